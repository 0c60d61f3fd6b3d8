//! Building without rustup's servers: the standard library for wasm is made from
//! Debian's package of its source, and a plugin then compiles as ever.
//!
//! The test runs a toolchain that lacks the wasm target (the active one behind a
//! folder of links) with rustup's server at a closed port. It needs apt and a
//! mirror of Debian's packages that has this compiler's release; where they are
//! absent it says so, and fails if `PORTREEVE_REQUIRE_AIRGAP` is 1.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use portreeve_build::{BuildOptions, build};

use crate::support::{say, tree};

/// Set for the process that builds: it works in the folder that is named here.
const CHILD: &str = "PORTREEVE_AIR_GAPPED_BUILD";

/// Set to 1 where the air-gapped way is known to work.
const REQUIRED: &str = "PORTREEVE_REQUIRE_AIRGAP";

#[test]
fn a_plugin_builds_where_rustup_cannot_be_reached() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return build_a_plugin(Path::new(&folder));
    }
    if !has_apt() {
        assert!(!required(), "{REQUIRED} is 1, but there is no apt here");
        say("SKIPPED: no apt here, so the air-gapped way of building plugins was not tried");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bin = toolchain_without_wasm(folder.path());
    let path =
        std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    // The environment of this process is everybody's: another one has its own.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "airgap::a_plugin_builds_where_rustup_cannot_be_reached", "--nocapture"])
        .env(CHILD, folder.path())
        .env("PATH", path.unwrap())
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .env("RUSTUP_DIST_SERVER", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    if !child.status.success() && !required() && nothing_served(&printed) {
        say(
            "SKIPPED: no mirror here serves this compiler's release, so the air-gapped way of building plugins was not tried",
        );
        return;
    }
    assert!(child.status.success(), "{printed}");
    assert!(printed.contains("compiling the standard library for wasm"), "{printed}");
    assert!(printed.contains("built well-behaved"), "{printed}");
}

#[test]
fn only_a_mirror_without_this_release_is_a_reason_to_skip() {
    assert!(nothing_served("it could not be had (no suite has version 1.99.0 of it (looked in noble, sid))"));
    assert!(nothing_served("it could not be had (no apt source with http or https is configured)"));
    for defect in ["unpacking the source failed: no such file", "a plugin does not compile", ""] {
        assert!(!nothing_served(defect), "{defect}");
    }
}

/// Whether a failure says that there is nothing to build from, here and now.
fn nothing_served(printed: &str) -> bool {
    ["no suite has version", "no apt source with http or https is configured"]
        .iter()
        .any(|reason| printed.contains(reason))
}

/// Where the air-gapped way has to be tried, a skip is a failure.
fn required() -> bool {
    std::env::var_os(REQUIRED).is_some_and(|value| value == "1")
}

fn build_a_plugin(folder: &Path) {
    let plugin = tree().root().join("tests/guests/well-behaved");
    let progress = |step: &portreeve_build::Progress| say(&step.to_string());
    let options = BuildOptions { target_dir: &folder.join("target"), offline: false, progress: &progress };
    let built = build(&[plugin], &options).unwrap_or_else(|error| panic!("{error}"));
    let component = fs::read(&built[0].component).unwrap();
    assert_eq!(portreeve_sandbox::inspect(&component).unwrap().exports, ["score"]);
}

fn has_apt() -> bool {
    let works = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    works("apt-get") && works("dpkg")
}

/// The active toolchain without its wasm target: links to all the rest, and a
/// `rustc` that looks there. Returns the folder for the front of `PATH`.
fn toolchain_without_wasm(folder: &Path) -> PathBuf {
    let real = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let real = PathBuf::from(String::from_utf8(real.stdout).unwrap().trim());
    let sysroot = folder.join("sysroot");
    links(&real, &sysroot, "lib");
    links(&real.join("lib"), &sysroot.join("lib"), "rustlib");
    links(&real.join("lib/rustlib"), &sysroot.join("lib/rustlib"), "wasm32-unknown-unknown");
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let rustc = bin.join("rustc");
    let real_rustc = real.join("bin/rustc");
    fs::write(&rustc, format!("#!/bin/sh\nexec {} --sysroot {} \"$@\"\n", real_rustc.display(), sysroot.display()))
        .unwrap();
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

/// Links everything in a folder but one entry.
fn links(from: &Path, to: &Path, but: &str) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_name() != but {
            symlink(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

//! The tools of other ecosystems, in pinned versions, and what they make.
//!
//! ```text
//! tests/foreign/… ─▶ digest of sources, wit/ and pins ─▶ kept? ─▶ target/foreign/NAME-DIGEST.wasm
//!                                                         └─ no ─▶ tool installed below target/foreign ─▶ made ─▶ manifest embedded
//! ```
//!
//! A tool that cannot be had on a machine (no `python3` with `pip`, no `npm`, no rustup,
//! no registry) is a reason to skip, said aloud, and a failure where `CI` is `true`. A
//! tool that is there and does not do its work is a failure everywhere.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::support::{say, tree};

/// Where tools and components are kept between runs.
fn workshop() -> PathBuf {
    tree().target().join("foreign")
}

fn sources() -> PathBuf {
    tree().root().join("tests/foreign")
}

/// A scorer by componentize-py.
pub(super) fn python() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = |work: &Path| {
        let (tool, pins) = (workshop().join("componentize-py"), sources().join("python/requirements.txt"));
        once(&tool, &pins, |folder| {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
            pip.args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "--timeout", "20", "--retries", "1"]);
            run(pip.arg("--target").arg(folder).arg("--requirement").arg(&pins))
        })?;
        let mut componentize = Command::new("python3");
        componentize.arg(tool.join("bin/componentize-py")).env("PYTHONPATH", &tool);
        componentize.args(["--quiet", "--wit-path"]).arg(work.join("wit")).args(["--world", "scorer"]);
        // Not the folder of the sources: Python would leave its caches there.
        componentize.args(["componentize", "scorer", "--python-path"]).arg(work.join("python"));
        works(componentize.arg("--output").arg(work.join("made.wasm")));
        Ok(work.join("made.wasm"))
    };
    MADE.get_or_init(|| component("python", make)).clone()
}

/// A scorer by componentize-qjs.
pub(super) fn javascript() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = |work: &Path| {
        let (tool, pins) = (workshop().join("componentize-qjs"), sources().join("js/package-lock.json"));
        once(&tool, &pins, |folder| {
            for file in ["package.json", "package-lock.json"] {
                fs::copy(sources().join("js").join(file), folder.join(file)).unwrap();
            }
            let mut npm = Command::new("npm");
            npm.current_dir(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            run(npm.args(["--fetch-timeout=20000", "--fetch-retries=1"]))
        })?;
        let mut componentize = Command::new(tool.join("node_modules/.bin/componentize-qjs"));
        // Without `--sync` it imports what only asynchronous hosts have.
        componentize.args(["--sync", "--world", "scorer", "--wit"]).arg(work.join("wit"));
        componentize.arg("--js").arg(work.join("js/scorer.js")).arg("--output").arg(work.join("made.wasm"));
        works(componentize.current_dir(work));
        Ok(work.join("made.wasm"))
    };
    MADE.get_or_init(|| component("js", make)).clone()
}

/// A scorer by cargo for `wasm32-wasip2`.
pub(super) fn wasip2() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = |_: &Path| {
        if !has_wasip2() {
            // Where its servers cannot be reached, rustup may wait for minutes.
            let mut rustup = Command::new("timeout");
            run(rustup.args(["60", "rustup", "target", "add", "wasm32-wasip2"]))?;
            if !has_wasip2() {
                return Err("rustup manages another toolchain than the active one".to_owned());
            }
        }
        // Beside our own guests: what runs on this machine meanwhile is compiled for both.
        let target = tree().target().join("guests");
        let mut cargo = Command::new("cargo");
        cargo.current_dir(tree().root()).args(["build", "--release", "--target", "wasm32-wasip2"]);
        for setting in portreeve_build::PROFILE {
            cargo.args(["--config", setting]);
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| names_a_build(name)) {
            cargo.env_remove(name);
        }
        works(cargo.args(["--package", "portreeve-guest-foreign-wasip2", "--target-dir"]).arg(&target));
        Ok(target.join("wasm32-wasip2/release/portreeve_guest_foreign_wasip2.wasm"))
    };
    MADE.get_or_init(|| component("wasip2", make)).clone()
}

/// What a cargo that runs tests sets for its own build.
fn names_a_build(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let kept = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR"];
    let build = ["CARGO", "RUSTC", "RUSTFLAGS", "MAKEFLAGS", "MFLAGS"];
    build.iter().any(|start| name.starts_with(start)) && !kept.iter().any(|start| name.starts_with(start))
}

fn has_wasip2() -> bool {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).output();
    let Ok(entries) =
        asked.map(|told| String::from_utf8(told.stdout).unwrap()).and_then(|path| fs::read_dir(path.trim()))
    else {
        return false;
    };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// The component of a folder below `tests/foreign`, from an earlier run or made now,
/// with its manifest embedded; none when it had to be skipped.
fn component(folder: &str, make: impl FnOnce(&Path) -> Result<PathBuf, String>) -> Option<PathBuf> {
    let kept = workshop().join(format!("{folder}-{}.wasm", digest_of_sources(folder)));
    if kept.is_file() {
        return Some(kept);
    }
    let manifest = fs::read(sources().join(folder).join("plugin.toml")).unwrap();
    fs::create_dir_all(workshop()).unwrap();
    let work = tempfile::Builder::new().prefix("making-").tempdir_in(workshop()).unwrap();
    lay_out(work.path(), folder);
    match make(work.path()) {
        Ok(made) => {
            let component = portreeve_build::embed(&fs::read(made).unwrap(), &manifest).unwrap();
            let new = work.path().join("component.wasm");
            fs::write(&new, component).unwrap();
            // Whole or not at all, whoever else makes it meanwhile.
            fs::rename(&new, &kept).unwrap();
            Some(kept)
        }
        Err(why) => {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "tests/foreign/{folder} was not made: {why}");
            say(&format!("SKIPPED: tests/foreign/{folder} was not made here: {why}"));
            None
        }
    }
}

/// Sources and WIT as the tools want them: the world in one folder with all that it uses.
fn lay_out(work: &Path, folder: &str) {
    copy_files(&sources().join(folder), &work.join(folder));
    let wit = work.join("wit");
    copy_files(&tree().root().join("wit"), &wit.join("deps/portreeve"));
    for package in ["clocks", "http", "io"] {
        copy_files(&tree().root().join("wit/deps").join(package), &wit.join("deps").join(package));
    }
    fs::copy(sources().join("scorer.wit"), wit.join("scorer.wit")).unwrap();
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in files(from) {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// The files of a folder, without those of its folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

/// Everything that a component is made of, the pins of its tool and how it is called here included.
fn digest_of_sources(folder: &str) -> String {
    let root = tree().root().to_path_buf();
    let mut inputs = vec![root.join("tests/it/foreign/tools.rs")];
    if folder == "wasip2" {
        inputs.push(root.join("Cargo.lock"));
        inputs.extend(files(&sources().join("wasip2/src")));
    }
    inputs.extend(files(&sources()));
    inputs.extend(files(&sources().join(folder)));
    for wit in ["wit", "wit/deps/clocks", "wit/deps/http", "wit/deps/io"] {
        inputs.extend(files(&root.join(wit)));
    }
    let mut digest = Sha256::new();
    for path in inputs {
        let bytes = fs::read(&path).unwrap();
        digest.update(path.strip_prefix(&root).unwrap().as_os_str().as_encoded_bytes());
        digest.update(bytes.len().to_be_bytes());
        digest.update(bytes);
    }
    hex::encode(digest.finalize()).chars().take(16).collect()
}

/// Installs a tool into a folder unless exactly these pins are installed there.
fn once(folder: &Path, pins: &Path, install: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let installed = folder.join("pins");
    let pins = fs::read(pins).unwrap();
    if fs::read(&installed).is_ok_and(|there| there == pins) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    fs::create_dir_all(folder).unwrap();
    install(folder)?;
    fs::write(installed, pins).unwrap();
    Ok(())
}

/// Runs what a machine may not have.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("`{program}` failed: {}", words.trim())) }
}

/// Runs what has to work once its tool is there.
fn works(command: &mut Command) {
    run(command).unwrap_or_else(|error| panic!("{error}"));
}

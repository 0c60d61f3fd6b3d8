//! The standard library for wasm where rustup's servers can't be reached: made
//! from Debian's package `rust-src`, in exactly the version of the compiler.
//!
//! ```text
//! apt-get download rust-src=<version> ─▶ dpkg -x ─▶ private sysroot + rustc wrapper ─▶ cargo -Zbuild-std ─▶ cache
//! ```
//!
//! No root, and nothing of the system's configuration changes: apt gets a list
//! of sources and a state folder of its own, and still checks Debian's
//! signatures. The toolchain isn't written to: the sysroot is a folder of
//! links beside it, for which a wrapper passes `--sysroot` (cargo looks for
//! `library/` in the sysroot that `rustc` prints, so a flag in `RUSTFLAGS`
//! would not do). `RUSTC_BOOTSTRAP` lets a stable compiler build its own
//! standard library, and only that.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::{command, output, run_until};
use crate::target::{TARGET, WasmTarget, has_standard_library};
use crate::{BuildError, BuildOptions, Progress};

/// Package lists of a suite are up to 10 MB.
const LISTS_DEADLINE: Duration = Duration::from_secs(120);
/// The package has 30 MB.
const PACKAGE_DEADLINE: Duration = Duration::from_secs(300);
/// Half a minute on two idle cores.
const COMPILE_DEADLINE: Duration = Duration::from_secs(900);

/// Where to look after the machine's own suites: a compiler that came from
/// rustup is newer than a stable suite, and its version passes through
/// backports, testing and unstable at different times. Backports come first,
/// their lists are small.
const FURTHER_SUITES: [&str; 4] = ["trixie-backports", "trixie", "forky", "sid"];

/// Debian's own keys, where apt's default key ring doesn't have them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Why the standard library could not be made; each is a part of a sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AirgapError {
    #[error("no apt source with http or https is configured")]
    NoMirror,
    #[error("no suite has version {release} of it (looked in {suites})")]
    NotServed { release: String, suites: String },
    #[error("{step} failed: {why}")]
    Step { step: &'static str, why: String },
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// The active compiler.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// `1.95.0`.
    release: String,
    /// Release and commit: what compiled code belongs to.
    key: String,
    sysroot: PathBuf,
}

impl Compiler {
    pub(crate) fn active(folder: &Path) -> Result<Self, BuildError> {
        let ask = |argument: &[&str]| -> Result<String, BuildError> {
            let mut rustc = command("rustc", folder);
            rustc.args(argument);
            output(rustc)?.map_err(|message| BuildError::NoTarget { why: message })
        };
        let version = ask(&["-vV"])?;
        let field = |name: &str| {
            let value = version.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or("unknown").trim().to_owned()
        };
        let release = field("release:");
        let commit: String = field("commit-hash:").chars().take(12).collect();
        Ok(Self {
            key: format!("{release}-{commit}"),
            release,
            sysroot: PathBuf::from(ask(&["--print", "sysroot"])?.trim_end()),
        })
    }

    /// Where this compiler's sysroot is kept between runs.
    fn cache(&self) -> Option<PathBuf> {
        let caches = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
        Some(caches.join("portreeve").join("wasm-std").join(&self.key))
    }
}

/// What an earlier run made for this compiler.
pub(crate) fn cached(compiler: &Compiler) -> Option<WasmTarget> {
    let folder = compiler.cache()?;
    let made = Sysroot { folder };
    has_standard_library(&made.libdir()).then(|| made.into_target())
}

/// Makes it, and keeps it for the next run.
pub(crate) fn make(compiler: &Compiler, options: &BuildOptions<'_>) -> Result<WasmTarget, AirgapError> {
    let cache = compiler.cache().ok_or_else(|| AirgapError::Step {
        step: "finding a cache folder",
        why: "neither XDG_CACHE_HOME nor HOME is set".to_owned(),
    })?;
    let beside = cache.parent().unwrap_or(&cache);
    fs::create_dir_all(beside).map_err(BuildError::io("create", beside))?;
    let work = tempfile::Builder::new()
        .prefix("making-")
        .tempdir_in(beside)
        .map_err(BuildError::io("create a folder in", beside))?;

    let library = Apt::new(work.path())?.source(compiler, options)?;
    let sysroot = Sysroot { folder: work.path().join("made") };
    sysroot.link(compiler, &library).map_err(BuildError::io("make a sysroot in", &sysroot.folder))?;
    (options.progress)(&Progress::CompilingStandardLibrary);
    let compiled = compile(&sysroot, work.path())?;
    sysroot.fill(&compiled).map_err(BuildError::io("fill", &sysroot.libdir()))?;

    // Somebody else may have been faster: theirs is as good.
    match fs::rename(&sysroot.folder, &cache) {
        Err(_) if cached(compiler).is_some() => {}
        other => other.map_err(BuildError::io("write", &cache))?,
    }
    Ok(Sysroot { folder: cache }.into_target())
}

/// Compiles the standard library for wasm in an empty crate, without network:
/// its dependencies lie beside it, and cargo has to be told to take them there.
fn compile(sysroot: &Sysroot, work: &Path) -> Result<PathBuf, AirgapError> {
    let empty = work.join("empty");
    let vendored = sysroot.library().join("vendor").display().to_string();
    let config = format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = {}\n",
        toml::Value::String(vendored)
    );
    fs::create_dir_all(empty.join("src"))
        .and_then(|()| fs::create_dir_all(empty.join(".cargo")))
        .and_then(|()| fs::write(empty.join(".cargo/config.toml"), config))
        .and_then(|()| fs::write(empty.join("src/lib.rs"), ""))
        .and_then(|()| fs::write(empty.join("Cargo.toml"), EMPTY_CRATE))
        .map_err(BuildError::io("write", &empty))?;

    let mut cargo = command("cargo", &empty);
    cargo.args(["build", "--release", "--offline", "--target", TARGET]);
    cargo.args(["-Zbuild-std=std,panic_abort", "--target-dir", "target"]);
    cargo.env("RUSTC", sysroot.rustc());
    cargo.env("RUSTC_BOOTSTRAP", "1");
    // Without bitcode in it, a plugin with link-time optimisation would not link.
    let remap = format!("--remap-path-prefix={}=/rust", work.display());
    cargo.env("CARGO_ENCODED_RUSTFLAGS", format!("-Cembed-bitcode=yes\u{1f}{remap}"));
    step("compiling the standard library", cargo, COMPILE_DEADLINE)?;
    Ok(empty.join("target").join(TARGET).join("release").join("deps"))
}

const EMPTY_CRATE: &str = "[package]
name = \"empty\"
version = \"0.0.0\"
edition = \"2021\"

[workspace]
";

/// A sysroot of links to the real one, with the wasm target in it, and the
/// compiler that uses it.
///
/// ```text
/// rustc       wrapper; finds the sysroot beside itself, so the folder can be moved
/// sysroot/    links, except lib/rustlib/{src,wasm32-unknown-unknown}
/// ```
struct Sysroot {
    folder: PathBuf,
}

impl Sysroot {
    fn rustc(&self) -> PathBuf {
        self.folder.join("rustc")
    }

    fn root(&self) -> PathBuf {
        self.folder.join("sysroot")
    }

    fn library(&self) -> PathBuf {
        self.root().join("lib/rustlib/src/rust/library")
    }

    fn libdir(&self) -> PathBuf {
        self.root().join("lib/rustlib").join(TARGET).join("lib")
    }

    fn into_target(self) -> WasmTarget {
        WasmTarget::Private { rustc: self.rustc(), sysroot: self.root() }
    }

    fn link(&self, compiler: &Compiler, library: &Path) -> io::Result<()> {
        let root = self.root();
        let rustlib = root.join("lib/rustlib");
        fs::create_dir_all(&rustlib)?;
        let real = &compiler.sysroot;
        link_entries(real, &root, &["lib"])?;
        link_entries(&real.join("lib"), &root.join("lib"), &["rustlib"])?;
        link_entries(&real.join("lib/rustlib"), &rustlib, &["src", TARGET])?;

        fs::create_dir_all(rustlib.join("src/rust"))?;
        fs::rename(library, self.library())?;
        fs::create_dir_all(self.libdir())?;
        self.write_wrapper(real)
    }

    fn write_wrapper(&self, real: &Path) -> io::Result<()> {
        // Single quotes keep every character but themselves.
        let real = real.join("bin/rustc").display().to_string();
        let quoted = real.replace('\'', "'\\''");
        let script = format!("#!/bin/sh\nexec '{quoted}' --sysroot \"$(dirname \"$0\")/sysroot\" \"$@\"\n");
        fs::write(self.rustc(), script)?;
        fs::set_permissions(self.rustc(), fs::Permissions::from_mode(0o755))
    }

    /// Takes over what was compiled. The source stays: panic messages of the
    /// standard library name it, and a debugger may want it.
    fn fill(&self, compiled: &Path) -> io::Result<()> {
        for entry in fs::read_dir(compiled)? {
            let entry = entry?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let ours = text.starts_with("lib") && !text.starts_with("libempty");
            if ours && text.ends_with(".rlib") {
                fs::copy(entry.path(), self.libdir().join(&name))?;
            }
        }
        Ok(())
    }
}

fn link_entries(from: &Path, to: &Path, except: &[&str]) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !except.iter().any(|left_out| name == *left_out) {
            symlink(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// An apt of our own: its lists, its cache, its sources.
struct Apt {
    folder: PathBuf,
    mirrors: Vec<String>,
    suites: Vec<String>,
}

impl Apt {
    fn new(work: &Path) -> Result<Self, AirgapError> {
        let folder = work.join("apt");
        for part in ["lists/partial", "cache/archives/partial", "package"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(BuildError::io("create", &path))?;
        }
        let mirrors = mirrors(&folder)?;
        if mirrors.is_empty() {
            return Err(AirgapError::NoMirror);
        }
        Ok(Self { folder, mirrors, suites: suites() })
    }

    /// The source of the standard library, unpacked.
    fn source(&self, compiler: &Compiler, options: &BuildOptions<'_>) -> Result<PathBuf, AirgapError> {
        for suite in &self.suites {
            (options.progress)(&Progress::SearchingSource { suite: suite.clone() });
            for mirror in &self.mirrors {
                if let Some(version) = self.find(mirror, suite, &compiler.release)? {
                    return self.unpack(&version);
                }
            }
        }
        Err(AirgapError::NotServed { release: compiler.release.clone(), suites: self.suites.join(", ") })
    }

    /// The version in this suite that belongs to the compiler, if there is one.
    /// A suite that can't be had is no error: the next one may do.
    fn find(&self, mirror: &str, suite: &str, release: &str) -> Result<Option<String>, AirgapError> {
        let signed_by = if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
        let sources = self.folder.join("sources.list");
        fs::write(&sources, format!("deb {signed_by}{mirror} {suite} main\n"))
            .map_err(BuildError::io("write", &sources))?;
        if run_until(self.tool("apt-get", &["update"]), LISTS_DEADLINE)?.is_err() {
            return Ok(None);
        }
        let listed = output(self.tool("apt-cache", &["madison", "rust-src"]))?;
        Ok(listed.ok().and_then(|lines| matching_version(&lines, release)))
    }

    fn unpack(&self, version: &str) -> Result<PathBuf, AirgapError> {
        let package = format!("rust-src={version}");
        let mut download = self.tool("apt-get", &["download", &package]);
        let folder = self.folder.join("package");
        download.current_dir(&folder);
        step("downloading rust-src", download, PACKAGE_DEADLINE)?;
        let archive = only_entry(&folder, |name| name.ends_with(".deb"))?;

        let unpacked = self.folder.join("unpacked");
        let mut dpkg = command("dpkg", &self.folder);
        dpkg.arg("-x").arg(&archive).arg(&unpacked);
        step("unpacking rust-src", dpkg, PACKAGE_DEADLINE)?;
        let source = only_entry(&unpacked.join("usr/src"), |name| name.starts_with("rustc-"))?;
        Ok(source.join("library"))
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> Command {
        let mut tool = command(program, &self.folder);
        for (option, value) in [
            ("Dir::Etc::SourceList", self.folder.join("sources.list")),
            ("Dir::Etc::SourceParts", PathBuf::from("/dev/null")),
            ("Dir::State::Lists", self.folder.join("lists")),
            ("Dir::Cache", self.folder.join("cache")),
            ("Acquire::Languages", PathBuf::from("none")),
        ] {
            tool.arg("-o").arg(format!("{option}={}", value.display()));
        }
        tool.args(arguments);
        tool
    }
}

/// The addresses of the machine's own package sources, never one from here: in
/// an air-gapped network only they exist.
fn mirrors(folder: &Path) -> Result<Vec<String>, AirgapError> {
    let mut apt = command("apt-get", folder);
    apt.args(["indextargets", "--format", "$(REPO_URI)"]);
    let listed = output(apt)?.map_err(|why| AirgapError::Step { step: "asking apt for its sources", why })?;
    let addresses: BTreeSet<&str> = listed
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("http://") || line.starts_with("https://"))
        .collect();
    Ok(addresses.into_iter().map(str::to_owned).collect())
}

fn suites() -> Vec<String> {
    let codename = fs::read_to_string("/etc/os-release").ok().and_then(|text| codename(&text));
    let own = codename.into_iter().flat_map(|name| [format!("{name}-backports"), name]);
    let mut suites: Vec<String> = Vec::new();
    for suite in own.chain(FURTHER_SUITES.map(str::to_owned)) {
        if !suites.contains(&suite) {
            suites.push(suite);
        }
    }
    suites
}

fn codename(os_release: &str) -> Option<String> {
    let line = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned())
}

/// `rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://… trixie-backports/main …`: the
/// upstream part has to be the release exactly; `1.95.0~beta` is another compiler.
fn matching_version(madison: &str, release: &str) -> Option<String> {
    madison.lines().find_map(|line| {
        let version = line.split('|').nth(1)?.trim();
        let rest = version.strip_prefix(release)?;
        rest.starts_with(['+', '-']).then(|| version.to_owned())
    })
}

fn only_entry(folder: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf, AirgapError> {
    let entries = fs::read_dir(folder).map_err(BuildError::io("read", folder))?;
    entries.flatten().find(|entry| fits(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).ok_or_else(
        || AirgapError::Step {
            step: "unpacking rust-src",
            why: "the package looks different from what was expected".to_owned(),
        },
    )
}

fn step(step: &'static str, command: Command, deadline: Duration) -> Result<(), AirgapError> {
    run_until(command, deadline)?.map_err(|why| AirgapError::Step { step, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_compilers_own_version_and_no_neighbour() {
        let madison = " rust-src | 1.97.1+dfsg1-1~bpo13+1 | http://m trixie-backports/main amd64 Packages
 rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://m trixie-backports/main amd64 Packages
 rust-src | 1.95.01+dfsg1-1 | http://m x/main amd64 Packages
";
        assert_eq!(matching_version(madison, "1.95.0").as_deref(), Some("1.95.0+dfsg1-2~bpo13+1"));
        assert_eq!(matching_version(madison, "1.9"), None);
        assert_eq!(matching_version("rust-src | 1.95.0~beta.2+dfsg1-1 | x", "1.95.0"), None);
    }

    #[test]
    fn looks_in_the_machines_own_suites_first() {
        let text = "ID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(codename(text).as_deref(), Some("bookworm"));
        assert_eq!(codename("ID=arch\n"), None);
    }
}

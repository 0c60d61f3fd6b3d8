//! What holds for every package, signature file, trust policy and entry of compiled code,
//! however damaged: one sentence, no panic, no hang, and nothing that was not there before is
//! trusted or loaded. Tried with some thousand of each from a seed; with a slip planted in
//! what is tried, each of them fails.

use std::cell::Cell;

use portreeve_model::strict::SourceFile;
use portreeve_registry::{CodeCache, Occasion, Package, PlatformGrant, Registry, Signature, TrustPolicy};
use portreeve_sandbox::{Sandbox, SandboxOptions};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestError};

use crate::drawn::{held, tried, wounded};
use crate::support::{MORNING, component, install, publisher, sign, trust_in};

/// Inputs of each kind that is cheap to try.
const CASES: u32 = 3_000;

/// Packages: each is read as a whole and hashed.
const PACKAGES: u32 = 800;

/// One line for people, whatever was found.
fn one_sentence(error: &impl std::fmt::Display) -> TestCaseResult {
    let error = error.to_string();
    prop_assert!(!error.is_empty() && !error.contains('\n') && error.len() < 4_096, "{error}");
    Ok(())
}

/// A small component of the project's with bytes, sections and lengths mangled.
fn packages() -> impl Strategy<Value = Vec<u8>> {
    let good = std::fs::read(component("trap")).unwrap();
    let sections = sections(&good);
    let shuffled =
        (prop::collection::vec(any::<prop::sample::Index>(), 1..12), Just(sections)).prop_map(|(order, sections)| {
            let header = [0, b'a', b's', b'm', 0x0d, 0, 1, 0].to_vec();
            order.iter().fold(header, |bytes, index| [bytes, index.get(&sections).clone()].concat())
        });
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..300),
        3 => wounded(good),
        3 => shuffled,
    ]
}

/// The outermost sections of a component, each with its kind and length.
fn sections(component: &[u8]) -> Vec<Vec<u8>> {
    let mut sections = Vec::new();
    let mut rest = &component[8..];
    while !rest.is_empty() {
        let (mut length, mut at) = (0_usize, 1);
        loop {
            length |= usize::from(rest[at] & 127) << (7 * (at - 1));
            at += 1;
            if rest[at - 1] < 128 {
                break;
            }
        }
        let (section, after) = rest.split_at(at + length);
        sections.push(section.to_vec());
        rest = after;
    }
    sections
}

/// Tries packages with whoever says whether one is trusted under a signature; says how
/// many could be read.
fn try_packages(name: &str, trusted: impl Fn(&[u8], &str) -> bool) -> (u32, Result<(), TestError<Vec<u8>>>) {
    let good = std::fs::read(component("trap")).unwrap();
    let signature = sign(&good);
    let readable = Cell::new(0);
    let result = tried(name, PACKAGES, &packages(), |bytes| {
        match Package::read(&bytes, None) {
            Ok(_) => readable.set(readable.get() + 1),
            Err(error) => one_sentence(&error)?,
        }
        // The signature of the good one is of no other bytes.
        prop_assert_eq!(trusted(&bytes, &signature), bytes == good);
        Ok(())
    });
    (readable.get(), result)
}

fn judged(bytes: &[u8], signature: &str) -> bool {
    let text = trust_in("hostile");
    let policy = TrustPolicy::load(&SourceFile { name: "trust.toml", text: &text }).unwrap();
    Package::read(bytes, Some(signature)).is_ok_and(|package| policy.judge(&package, Occasion::New, MORNING).is_ok())
}

#[test]
fn no_damaged_package_is_trusted_and_each_gets_one_sentence() {
    let (readable, result) = try_packages("packages", judged);
    held(result);
    assert!(readable > 20, "{readable} could be read, too few to say anything");
}

#[test]
fn a_planted_slip_in_judging_packages_is_found() {
    // Whoever looks at the statement's name alone takes any bytes of that plugin.
    let lenient = |bytes: &[u8], signature: &str| {
        let Ok(package) = Package::read(bytes, Some(signature)) else { return false };
        let signature = Signature::parse(signature).unwrap();
        let name = signature.statement().name == package.manifest().plugin.name;
        name && signature.is_by(&publisher("hostile").verifier()).unwrap()
    };
    let (_, found) = try_packages("packages, planted slip", lenient);
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

/// Signature files with wounds, and lines of them in any order.
fn signatures() -> impl Strategy<Value = Vec<u8>> {
    let good = sign(&std::fs::read(component("trap")).unwrap());
    let mut lines: Vec<String> = good.lines().map(|line| format!("{line}\n")).collect();
    lines.extend(
        ["\u{2014} hostile AAAAAA==\n", "\u{2014} x\n", "name b\n", "portreeve package 2\n", "\n"].map(str::to_owned),
    );
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        2 => prop::collection::vec(prop::sample::select(lines), 0..9).prop_map(|lines| lines.concat().into_bytes()),
        3 => wounded(good.into_bytes()),
    ]
}

fn try_signatures(name: &str, read: impl Fn(&[u8]) -> Option<String>) -> Result<(), TestError<Vec<u8>>> {
    let bytes = std::fs::read(component("trap")).unwrap();
    tried(name, CASES, &signatures(), |file| {
        let Some(text) = read(&file) else { return Ok(()) };
        match Signature::parse(&text) {
            // What was read is what stands there: another text was not signed.
            Ok(signature) => prop_assert!(signature.as_str().as_bytes() == file.as_slice(), "not the same bytes"),
            Err(error) => one_sentence(&error)?,
        }
        if judged(&bytes, &text) {
            prop_assert!(text.starts_with("portreeve package 1\nname trap\n"), "{text}");
        }
        Ok(())
    })
}

#[test]
fn no_damaged_signature_file_is_taken_for_what_it_is_not() {
    held(try_signatures("signature files", |file| String::from_utf8(file.to_vec()).ok()));
}

#[test]
fn a_planted_slip_in_reading_signature_files_is_found() {
    // Whatever is no text is replaced, and the rest is read.
    let found = try_signatures("signature files, planted slip", |file| {
        Some(String::from_utf8_lossy(file).trim_start().to_owned())
    });
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

/// Trust policies with wounds, and their lines in any order.
fn policies() -> impl Strategy<Value = Vec<u8>> {
    let good = trust_in("portreeve") + &trust_in("hostile");
    let mut lines: Vec<String> = good.lines().map(|line| format!("{line}\n")).collect();
    let odd = ["revoked = true", "revoked = 1", "not_after = 2026-02-30", "signatures_min = 99", "signatures_min = 2"];
    let odder = ["plugins = [\"**\"]", "kinds = [\"all\"]", "imports = 7", "unknown = {}", "[[[", "name = \"A\""];
    let odd: Vec<String> = odd.iter().chain(&odder).map(|line| format!("{line}\n")).collect();
    lines.extend(odd.clone());
    let with_more = (Just(good.clone()), prop::collection::vec(prop::sample::select(odd), 1..3));
    prop_oneof![
        2 => with_more.prop_map(|(good, more)| (good + &more.concat()).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        3 => prop::collection::vec(prop::sample::select(lines), 0..20).prop_map(|lines| lines.concat().into_bytes()),
        3 => wounded(good.into_bytes()),
    ]
}

/// Tries policies with whoever reads them; says how many could be read.
fn try_policies(
    name: &str,
    load: impl Fn(&str) -> Result<TrustPolicy, Vec<String>>,
) -> (u32, Result<(), TestError<Vec<u8>>>) {
    let bytes = std::fs::read(component("trap")).unwrap();
    let package = Package::read(&bytes, Some(&sign(&bytes))).unwrap();
    let loaded = Cell::new(0);
    let key = publisher("hostile").verifier().to_string();
    let result = tried(name, CASES, &policies(), |file| {
        let Ok(text) = std::str::from_utf8(&file) else { return Ok(()) };
        match load(text) {
            Ok(policy) => {
                loaded.set(loaded.get() + 1);
                // Nobody is trusted whose whole key is not there.
                if policy.judge(&package, Occasion::New, MORNING).is_ok() {
                    prop_assert!(text.contains(&key), "{text}");
                    prop_assert!(!text.contains("revoked = 1"), "a key that nobody understands: {text}");
                }
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    one_sentence(&problem)?;
                    prop_assert!(problem.starts_with("trust.toml:"), "{problem}");
                }
            }
        }
        Ok(())
    });
    (loaded.get(), result)
}

fn load(text: &str) -> Result<TrustPolicy, Vec<String>> {
    TrustPolicy::load(&SourceFile { name: "trust.toml", text })
        .map_err(|errors| errors.errors().iter().map(ToString::to_string).collect())
}

#[test]
fn no_damaged_trust_policy_trusts_anybody_who_is_not_named_and_each_error_has_its_line() {
    let (loaded, result) = try_policies("trust policies", load);
    held(result);
    assert!(loaded > 20, "{loaded} could be read, too few to say anything");
}

#[test]
fn a_planted_slip_in_reading_trust_policies_is_found() {
    // A line that cannot be understood is left out.
    let lenient = |text: &str| {
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("revoked = 1")).collect();
        load(&kept.join("\n"))
    };
    let (_, found) = try_policies("trust policies, planted slip", lenient);
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

/// Entries of the cache of compiled code with wounds. What is taken is the whole entry that
/// was written, or nothing.
fn try_entries(name: &str, taken: impl Fn(&[u8]) -> bool) -> Result<(), TestError<Vec<u8>>> {
    let good = Entry::new().sealed;
    let entries = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        4 => wounded(good.clone()),
    ];
    tried(name, PACKAGES, &entries, |bytes| {
        prop_assert_eq!(taken(&bytes), bytes == good, "an entry of {} bytes", bytes.len());
        Ok(())
    })
}

/// One entry of a cache.
struct Entry {
    sandbox: Sandbox,
    cache: CodeCache,
    file: std::path::PathBuf,
    sealed: Vec<u8>,
    component: portreeve_model::Digest,
    _folder: tempfile::TempDir,
}

impl Entry {
    fn new() -> Self {
        static CODE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), [7; 32]).unwrap();
        let cache = CodeCache::open(&folder.path().join("cache"), &folder.path().join("key")).unwrap();
        let sandbox = Sandbox::new(SandboxOptions { calls_at_once_max: 1, busy_wait_ms_max: 1 }).unwrap();
        let bytes = std::fs::read(component("trap")).unwrap();
        let (kind, component) = (portreeve_model::PluginKind::Scorer, portreeve_model::Digest::of(&bytes));
        let sealed = CODE.get_or_init(|| {
            let code = sandbox.compile(kind, &bytes).unwrap();
            cache.write(&sandbox, kind, component, &code).unwrap();
            std::fs::read(only_file(&folder.path().join("cache"))).unwrap()
        });
        let code = portreeve_sandbox::CompiledCode::open(
            sealed,
            &portreeve_sandbox::SealingKey::new([7; 32]),
            component,
            sandbox.engine_hash(kind),
        );
        cache.write(&sandbox, kind, component, &code.unwrap()).unwrap();
        let file = only_file(&folder.path().join("cache"));
        Self { sandbox, cache, file, sealed: sealed.clone(), component, _folder: folder }
    }

    fn is_taken(&self, bytes: &[u8]) -> bool {
        std::fs::write(&self.file, bytes).unwrap();
        let read = self.cache.read(&self.sandbox, portreeve_model::PluginKind::Scorer, self.component);
        read.is_ok_and(|code| code.is_some())
    }
}

fn only_file(folder: &std::path::Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.next().unwrap();
    assert!(files.next().is_none());
    file
}

#[test]
fn no_damaged_entry_of_compiled_code_is_taken() {
    let entry = Entry::new();
    held(try_entries("entries of compiled code", |bytes| entry.is_taken(bytes)));
}

#[test]
fn a_planted_slip_in_taking_compiled_code_is_found() {
    // Whoever compares the beginning and the length takes machine code of anybody.
    let good = Entry::new().sealed;
    let lenient = |bytes: &[u8]| bytes.len() == good.len() && bytes.starts_with(&good[..40]);
    let found = try_entries("entries of compiled code, planted slip", lenient);
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

#[test]
fn writers_side_by_side_leave_one_whole_entry_and_nothing_else() {
    let entry = std::sync::Arc::new(Entry::new());
    let kind = portreeve_model::PluginKind::Scorer;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let code = entry.cache.read(&entry.sandbox, kind, entry.component).unwrap().unwrap();
                    entry.cache.write(&entry.sandbox, kind, entry.component, &code).unwrap();
                }
            });
        }
    });
    // A writer that died left a file under a name of its own, which nobody reads.
    assert_eq!(std::fs::read(only_file(entry.file.parent().unwrap())).unwrap(), entry.sealed);
    std::fs::write(entry.file.with_file_name(".tmpDIED"), &entry.sealed[..100]).unwrap();
    assert!(entry.cache.read(&entry.sandbox, kind, entry.component).unwrap().is_some());
}

#[test]
fn a_tampered_entry_is_compiled_anew_and_replaced() {
    let Entry { sandbox, cache, file, sealed, component: digest, _folder } = Entry::new();
    let mut tampered = sealed;
    *tampered.last_mut().unwrap() ^= 1;
    std::fs::write(&file, &tampered).unwrap();
    let engine = sandbox.engine_hash(portreeve_model::PluginKind::Scorer);
    let registry = Registry::new(sandbox, cache);
    let bytes = std::fs::read(component("trap")).unwrap();
    install(&registry, &super::name("trap"), &bytes, &PlatformGrant::default()).unwrap();
    let key = portreeve_sandbox::SealingKey::new([7; 32]);
    let written = std::fs::read(&file).unwrap();
    assert!(portreeve_sandbox::CompiledCode::open(&written, &key, digest, engine).is_ok());
}

/// Puts something in the place of an entry.
type Put = fn(&std::path::Path);

/// What may lie in the place of an entry, with what is said of it.
fn odd_entries() -> Vec<(&'static str, Put)> {
    vec![
        ("a folder", |file| std::fs::create_dir(file).unwrap()),
        ("a folder", |file| {
            std::fs::create_dir(file).unwrap();
            std::fs::write(file.join("something"), b"of somebody").unwrap();
        }),
        #[cfg(unix)]
        ("a pipe", |file| rustix::fs::mkfifoat(rustix::fs::CWD, file, rustix::fs::Mode::RUSR).unwrap()),
        #[cfg(unix)]
        ("a socket", |file| drop(std::os::unix::net::UnixListener::bind(file).unwrap())),
        #[cfg(unix)]
        ("a device", |file| std::os::unix::fs::symlink("/dev/zero", file).unwrap()),
        // As large as a disk.
        ("1099511627776 bytes", |file| std::fs::File::create(file).unwrap().set_len(1 << 40).unwrap()),
    ]
}

#[test]
fn whatever_lies_in_an_entrys_place_the_component_is_compiled_again() {
    let Entry { sandbox, cache, file, sealed: _, component: digest, _folder } = Entry::new();
    let kind = portreeve_model::PluginKind::Scorer;
    let bytes = std::fs::read(component("trap")).unwrap();
    let engine = sandbox.engine_hash(kind);
    let registry = Registry::new(sandbox.clone(), cache);
    let reader = CodeCache::open(file.parent().unwrap(), &_folder.path().join("key")).unwrap();
    std::fs::remove_file(&file).unwrap();
    for (found, put) in odd_entries() {
        put(&file);
        let told = reader.read(&sandbox, kind, digest).err().unwrap().to_string();
        assert!(told.contains(found) && !told.contains('\n'), "{told}");
        install(&registry, &super::name("trap"), &bytes, &PlatformGrant::default()).unwrap();
        if file.is_dir() {
            // Somebody's folder is left alone, and the next start compiles again.
            install(&registry, &super::name("trap"), &bytes, &PlatformGrant::default()).unwrap();
            std::fs::remove_dir_all(&file).unwrap();
        } else {
            let key = portreeve_sandbox::SealingKey::new([7; 32]);
            let written = std::fs::read(&file).unwrap();
            assert!(portreeve_sandbox::CompiledCode::open(&written, &key, digest, engine).is_ok(), "{found}");
            std::fs::remove_file(&file).unwrap();
        }
    }
}

#[test]
fn a_key_of_the_cache_that_is_no_file_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::create_dir(&key).unwrap();
    let told = CodeCache::open(&folder.path().join("cache"), &key).err().unwrap().to_string();
    assert!(told.contains("it is a folder; expected a regular file"), "{told}");
    std::fs::remove_dir(&key).unwrap();
    #[cfg(unix)]
    {
        rustix::fs::mkfifoat(rustix::fs::CWD, &key, rustix::fs::Mode::RUSR).unwrap();
        let told = CodeCache::open(&folder.path().join("cache"), &key).err().unwrap().to_string();
        assert!(told.contains("it is a pipe"), "{told}");
    }
}

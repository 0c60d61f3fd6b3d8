//! Attacks that do not get as far as a call: what is no component, what is not the
//! component that it was, what wants more than a plugin gets. Each is refused in one
//! sentence, and a well-behaved plugin still installs beside it.

use portreeve_model::{Digest, PluginKind, PluginName};
use portreeve_registry::{CodeCache, Installed, Package, PlatformGrant, Registry};
use portreeve_sandbox::inspect::MANIFEST_BYTES_MAX;
use portreeve_sandbox::{CallContext, Sandbox, SandboxOptions};
use tempfile::TempDir;

use super::scoring;
use super::shell::{Core, HARMLESS, manifest, sections};
use crate::support::{MORNING, component, install};

/// One more than a component may have.
const COMPONENT_BYTES: usize = 64 * 1024 * 1024 + 1;

/// Where a file is cut, counted in parts of it.
const CUTS: usize = 200;

/// Bits that are flipped, one at a time.
const FLIPS: usize = 60;

/// A registry with a cache of its own.
struct Quay {
    registry: Registry,
    folder: TempDir,
}

impl Quay {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(&folder);
        Self { registry: Registry::new(Sandbox::new(SandboxOptions::default()).unwrap(), cache), folder }
    }

    fn install(&self, name: &str, bytes: &[u8], grant: &PlatformGrant) -> Result<Installed, String> {
        let name = PluginName::parse(name).unwrap();
        // What is no package cannot be signed either.
        Package::read(bytes, None).map_err(|error| error.to_string())?;
        install(&self.registry, &name, bytes, grant).map_err(|error| error.to_string())
    }

    /// Refused with all of this, and nothing is left of it in the cache.
    fn refuses(&self, name: &str, bytes: &[u8], expected: &[&str]) {
        let error = self.install(name, bytes, &PlatformGrant::default()).err().unwrap_or_default();
        for part in expected {
            assert!(error.contains(part), "`{name}`: expected `{part}` in `{error}`");
        }
    }
}

fn cache(folder: &TempDir) -> CodeCache {
    CodeCache::open(&folder.path().join("cache"), &folder.path().join("key")).unwrap()
}

fn harmless() -> Vec<u8> {
    of_core(HARMLESS, "harmless")
}

fn of_core(core: Core, name: &str) -> Vec<u8> {
    core.scorer(&std::fs::read(component("trap")).unwrap(), name, "")
}

/// A component of text with a manifest.
fn of_text(name: &str, kind: &str, text: &str) -> Vec<u8> {
    portreeve_build::embed(&wat::parse_str(text).unwrap(), manifest(name, kind, "", "").as_bytes()).unwrap()
}

#[test]
fn what_is_no_plugin_is_refused_in_a_sentence() {
    let quay = Quay::new();
    let whole = harmless();
    let empty = wat::parse_str("(component)").unwrap();
    let second = portreeve_build::embed(&empty, b"[plugin]").unwrap();
    let twice = [whole.as_slice(), &second[empty.len()..]].concat();

    quay.refuses("a", &wat::parse_str("(module)").unwrap(), &["this is a core module", "build a component"]);
    quay.refuses("a", b"", &["this is no component"]);
    quay.refuses("a", b"#!/bin/sh\nrm -rf /\n", &["this is no component"]);
    quay.refuses("a", &empty, &["no section `portreeve:manifest`"]);
    quay.refuses("harmless", &twice, &["more than one section"]);
    quay.refuses("a", &vec![0; COMPONENT_BYTES], &["67108865 bytes", "at most 67108864"]);
    quay.refuses("other", &whole, &["calls itself `harmless`"]);
    let long = portreeve_build::embed(&empty, &vec![b'#'; MANIFEST_BYTES_MAX + 1]).unwrap();
    quay.refuses("a", &long, &["the manifest has 65537 bytes"]);
    assert!(quay.install("harmless", &whole, &PlatformGrant::default()).is_ok());
}

#[test]
fn what_begins_beyond_its_limits_is_refused_before_it_is_compiled() {
    let quay = Quay::new();
    let shell = std::fs::read(component("trap")).unwrap();
    let of = |core: Core, name: &str, limits: &str| core.scorer(&shell, name, limits);
    let pages = |pages| Core { pages, ..HARMLESS };
    quay.refuses(
        "a",
        &of(pages(257), "a", ""),
        &["begins with 16842752 bytes", "`memory_bytes` is 16777216", "ask for more"],
    );
    quay.refuses("a", &of(pages(4), "a", "memory_bytes = 262143"), &["begins with 262144", "`memory_bytes` is 262143"]);
    let table = Core { extra: "(table 10001 funcref)", ..HARMLESS };
    quay.refuses("a", &of(table, "a", ""), &["begins with 10001 elements of tables", "`table_elements` is 10000"]);
    let crowd = HARMLESS.crowded_scorer(&shell, "a", "", 20);
    quay.refuses("a", &crowd, &["plugin `a` cannot run", "begins with 21 core instances", "`instances` is 16"]);
    let compiled = || std::fs::read_dir(quay.folder.path().join("cache")).unwrap().count();
    assert_eq!(compiled(), 0, "nothing of it was compiled");

    // Up to its limit, and beyond the default where that was asked for and granted.
    quay.install("b", &of(pages(256), "b", ""), &PlatformGrant::default()).unwrap();
    let more = of(pages(257), "c", "memory_bytes = 33554432");
    quay.refuses("c", &more, &["`memory_bytes` is 16777216"]);
    let granted: PlatformGrant = toml::from_str("limits = { memory_bytes = 33554432 }").unwrap();
    quay.install("c", &more, &granted).unwrap();
    // What the platform team takes away counts as well.
    let less: PlatformGrant = toml::from_str("limits = { instances = 0 }").unwrap();
    let refused = quay.install("b", &of(pages(1), "b", ""), &less).err().unwrap();
    assert!(refused.contains("begins with 1 core instances, and its limit `instances` is 0"), "{refused}");
}

#[test]
fn what_is_not_of_our_world_is_refused_with_what_is_wrong() {
    let quay = Quay::new();
    let lifted = |name: &str, signature: &str| {
        format!(
            r#"(component (core module $m (func (export "f") (param i32 i32) (result i32) i32.const 0)
                   (func (export "r") (param i32 i32 i32 i32) (result i32) i32.const 0) (memory (export "m") 1))
                (core instance $i (instantiate $m)) {signature}
                (func (export "{name}") (param "requests" $l) (result $l)
                    (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "r")))))"#
        )
    };
    let (list, deep) = ("(type $l (list string))", nested(50));
    quay.refuses("a", &of_text("a", "scorer", &lifted("score", list)), &["`score` with another signature"]);
    quay.refuses("a", &of_text("a", "scorer", &lifted("scores", list)), &["does not export `score`"]);
    // A value may nest as deep as its type, and its type has to be ours.
    quay.refuses("a", &of_text("a", "scorer", &lifted("score", &deep)), &["`score` with another signature"]);
    quay.refuses("a", &of_text("a", "scorer", &lifted("score", &nested(200))), &["a", "nesting"]);
    // Of one component, memory and tables are pooled.
    let memories = Core { extra: "(memory 1) (memory 1)", ..HARMLESS };
    quay.refuses("many", &of_core(memories, "many"), &["`many`", "memor"]);
}

/// Lists in lists, so deep.
fn nested(depth: usize) -> String {
    let types: String = (1..depth).map(|depth| format!("(type $t{depth} (list $t{}))", depth - 1)).collect();
    format!("(type $t0 (list u8)) {types} (type $l (list $t{}))", depth - 1)
}

#[test]
fn what_is_not_declared_or_nobody_has_is_refused_by_name() {
    let quay = Quay::new();
    // Chance, clocks, files and sockets of WASI 0.2 are linked, with nothing behind them.
    for import in [
        "wasi:random/random@0.3.0",
        "wasi:clocks/timezone@0.2.6",
        "wasi:keyvalue/store@0.2.0",
        "wasi:nn/inference@0.2.0",
        "wasi:logging/logging@0.1.0",
        "wasi:http/outgoing-handler@0.2.6",
        "portreeve:plugin/kv@0.1.0",
    ] {
        let text = format!(r#"(component (import "{import}" (instance)))"#);
        let interface = import.split('@').next().unwrap();
        quay.refuses("a", &of_text("a", "scorer", &text), &["`a` imports", interface]);
    }
}

#[test]
fn a_component_that_is_cut_is_refused_wherever_it_is_cut() {
    let quay = Quay::new();
    let whole = harmless();
    for cut in (0..CUTS).map(|part| whole.len() * part / CUTS) {
        let error = quay.install("harmless", &whole[..cut], &PlatformGrant::default()).err();
        assert!(error.is_some_and(|error| !error.is_empty()), "cut to {cut} of {} bytes", whole.len());
    }
    assert!(quay.install("harmless", &whole, &PlatformGrant::default()).is_ok());
}

#[tokio::test]
async fn a_flipped_bit_makes_another_component_that_no_grant_names() {
    let quay = Quay::new();
    let whole = harmless();
    let pinned = PlatformGrant { digests: vec![Digest::of(&whole)], ..PlatformGrant::default() };
    let mut loaded = 0;
    for flip in 0..FLIPS {
        let mut bytes = whole.clone();
        let bit = whole.len() * 8 * flip / FLIPS + flip % 8;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(quay.install("harmless", &bytes, &pinned).is_err(), "bit {bit} is flipped and the digest is the same");
        // Where nothing is pinned it may still load, say with another number in it; then it runs as any guest does.
        if let Ok(installed) = quay.install("harmless", &bytes, &PlatformGrant::default()) {
            loaded += 1;
            assert_ne!(installed.digest, Digest::of(&whole));
            let called = installed.plugin.score(&CallContext::with_nothing(MORNING), &scoring_of_nothing()).await;
            assert!(called.crossing.wall_us < 5_000_000, "bit {bit}");
        }
    }
    assert!(loaded < FLIPS, "no flip was noticed at all");
    assert!(quay.install("harmless", &whole, &pinned).is_ok());
}

fn scoring_of_nothing() -> portreeve_model::advice::ScoringRequest {
    scoring(crate::golden::an_order())
}

#[test]
fn compiled_code_that_somebody_touched_is_made_again_and_never_loaded() {
    let quay = Quay::new();
    let (one, other) = (of_core(HARMLESS, "one"), of_core(HARMLESS, "other"));
    quay.install("one", &one, &PlatformGrant::default()).unwrap();
    quay.install("other", &other, &PlatformGrant::default()).unwrap();
    let entries: Vec<_> =
        std::fs::read_dir(quay.folder.path().join("cache")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(entries.len(), 2);
    let (first, second) = (std::fs::read(&entries[0]).unwrap(), std::fs::read(&entries[1]).unwrap());

    let flipped = |at: usize| {
        let mut bytes = first.clone();
        bytes[at] ^= 1;
        bytes
    };
    let code = first.len() / 2;
    for tampered in [flipped(0), flipped(code), flipped(first.len() - 1), first[..code].to_vec(), Vec::new(), second] {
        std::fs::write(&entries[0], &tampered).unwrap();
        let read = |component: &[u8]| {
            cache(&quay.folder).read(quay.registry.sandbox(), PluginKind::Scorer, Digest::of(component))
        };
        let refused = [&one, &other].into_iter().filter(|component| read(component).is_err()).count();
        assert_eq!(refused, 1, "an entry of {} bytes", tampered.len());
        // Whoever starts a host gets both plugins all the same.
        quay.install("one", &one, &PlatformGrant::default()).unwrap();
        quay.install("other", &other, &PlatformGrant::default()).unwrap();
        assert_eq!(std::fs::read(&entries[0]).unwrap().len(), first.len());
    }
}

#[test]
fn the_shell_is_a_component_of_ours() {
    // Or everything above is refused for a reason of its own.
    let shell = std::fs::read(component("trap")).unwrap();
    let harmless = harmless();
    let kept = |bytes: &[u8]| -> Vec<u8> { sections(bytes).iter().map(|(id, _)| *id).filter(|id| *id != 0).collect() };
    assert_eq!(kept(&shell), kept(&harmless));
}

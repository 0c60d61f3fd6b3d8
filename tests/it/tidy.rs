//! Rules about the source that a machine can check: who imports whom, what each
//! file opens with, which words must not occur.
//!
//! Each rule is a pure function over text or names that returns what is wrong, so
//! that the tests below can show it something wrong and see it noticed. A rule that
//! has never failed is not known to work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Who may import whom: a room and the rooms that it may know. `*` at the end
/// stands for every crate below. A crate in no row fails.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("host/model", &[]),
    ("host/record", &["host/model"]),
    ("host/authority", &["host/model"]),
    ("host/store", &["host/model", "host/record"]),
    ("host/audit", &["host/model", "host/record", "host/store"]),
    ("host/sandbox", &["host/model"]),
    ("host/registry", &["host/model", "host/record", "host/store", "host/audit", "host/sandbox"]),
    (
        "host/pipeline",
        &["host/model", "host/record", "host/authority", "host/store", "host/audit", "host/sandbox", "host/registry"],
    ),
    (
        "host/api",
        &[
            "host/model",
            "host/record",
            "host/authority",
            "host/store",
            "host/audit",
            "host/sandbox",
            "host/registry",
            "host/pipeline",
        ],
    ),
    ("host/portreeve", &["host/*", "sdk/build"]),
    // An author's tools know `wit/` and nothing of the host.
    ("sdk/*", &[]),
    ("plugins/connectors/*", &["sdk/rust", "plugins/lib/*"]),
    ("plugins/transformers/*", &["sdk/rust", "plugins/lib/*"]),
    ("plugins/scorers/*", &["sdk/rust", "plugins/lib/*"]),
    ("plugins/lib/*", &["sdk/rust", "plugins/lib/*"]),
    ("tests/guests/*", &["sdk/rust", "plugins/lib/*"]),
    ("tests/foreign/*", &[]),
    ("tests/bench", &["*"]),
    ("tests", &["*"]),
];

/// Crates of others that belong to one room: elsewhere they are a leaky layer.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("wasmtime*", &["host/sandbox", "tests", "tests/bench"]),
    // The binary only for its stand-ins, and to serve what `api` returns.
    ("axum*", &["host/api", "host/portreeve", "tests", "tests/bench"]),
    ("rusqlite", &["host/store", "tests", "tests/bench"]),
    ("libsqlite3-sys", &["host/store"]),
    ("cedar-policy*", &["host/authority", "tests", "tests/bench"]),
    ("wit-bindgen", &["sdk/rust", "tests/foreign/wasip2"]),
    ("cap-std", &["host/portreeve"]),
    // Where the way out is judged.
    ("async-nats", &["host/pipeline", "tests"]),
];

/// The top level has rooms and a few files, so that a reader sees all of it at once.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "host",
    "wit",
    "plugins",
    "sdk",
    "tests",
    ".clippy.toml",
    ".rustfmt.toml",
    ".cargo",
    ".config",
    ".ci",
    ".gitattributes",
    ".gitignore",
    // Not part of the source.
    ".git",
    "target",
];

/// The rooms on the way from a decision to its proof: an error that is dropped there
/// is an order or a record that is lost.
const ROOMS_THAT_LOSE_NOTHING: &[&str] =
    &["host/store", "host/pipeline", "host/audit", "host/record", "host/authority"];

/// Beginnings of paths of one machine. (Written in two parts, or this file would be found.)
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/va", "r/folders/"),
];

const IGNORED_TEST: &str = concat!("#[ig", "nore");
const DROPPED_RESULT: &str = concat!("let ", "_ =");

/// A crate of the workspace, as far as these rules look at it.
#[derive(Debug, Clone)]
struct Member {
    name: String,
    /// From the workspace's root, with slashes.
    folder: String,
    licence: Option<String>,
    /// Crates that it imports, its tests aside: what only tests see leaks nothing.
    imports: Vec<String>,
}

#[test]
fn every_import_is_one_that_the_table_of_rooms_allows() {
    assert_clean(wrong_imports(&members()));
}

#[test]
fn a_deliberately_wrong_import_is_noticed() {
    let with = |folder: &str, import: &str| {
        let mut members = members();
        let member = members.iter_mut().find(|member| member.folder == folder).unwrap();
        member.imports.push(import.to_owned());
        wrong_imports(&members)
    };
    let wrong = [
        ("host/model", "portreeve-store"),
        ("host/record", "portreeve-authority"),
        ("host/sandbox", "portreeve-pipeline"),
        ("host/authority", "portreeve-store"),
        ("host/store", "portreeve-audit"),
        ("host/pipeline", "portreeve-api"),
        ("host/api", "portreeve"),
        ("host/api", "portreeve-build"),
        ("host/api", "portreeve-tests"),
        ("sdk/rust", "portreeve-model"),
        ("sdk/build", "portreeve-registry"),
        ("plugins/scorers/fraud", "portreeve-model"),
        ("plugins/scorers/fraud", "portreeve-scorer-margin"),
        ("tests/guests/trap", "portreeve-sandbox"),
        ("host/pipeline", "wasmtime-wasi-http"),
        ("host/pipeline", "axum"),
        ("host/audit", "rusqlite"),
        ("host/pipeline", "cedar-policy"),
        ("host/portreeve", "async-nats"),
    ];
    for (folder, import) in wrong {
        let noticed = with(folder, import);
        assert!(noticed.len() == 1 && noticed[0].contains(import), "{folder} importing {import}: {noticed:?}");
    }
    assert_clean(with("tests", "portreeve-store"));
    assert_clean(with("host/pipeline", "portreeve-registry"));

    let mut members = members();
    members[0].folder = "common/utils".to_owned();
    assert!(!wrong_imports(&members).is_empty(), "a crate outside all rooms is noticed");
}

#[test]
fn every_workspace_crate_says_apache_2() {
    let other = members().into_iter().filter(|member| member.licence.as_deref() != Some("Apache-2.0"));
    assert_clean(
        other
            .map(|member| format!("{}: its licence is {:?}; expected Apache-2.0", member.folder, member.licence))
            .collect(),
    );
}

#[test]
fn every_source_file_opens_with_what_it_owns() {
    assert_clean(over_files(&[""], &[".rs"], opening));
    assert!(opening("use std::fmt;\n//! Late.\n").is_some());
    assert!(opening("//! Owns something.\n").is_none());
}

#[test]
fn the_architecture_page_names_every_room_of_the_host() {
    let page = std::fs::read_to_string(root().join("host/ARCHITECTURE.md"))
        .expect("host/ARCHITECTURE.md has to be there; style.md says what it holds");
    let rooms = members().into_iter().map(|member| member.folder).filter(|folder| folder.starts_with("host/"));
    assert_clean(
        rooms
            .filter(|room| !page.contains(room.as_str()))
            .map(|room| format!("host/ARCHITECTURE.md does not name `{room}`"))
            .collect(),
    );
}

#[test]
fn every_page_links_to_files_that_are_there() {
    assert_clean(over_pages(dead_link));
    assert_eq!(dead_link(&root(), "see [it](host/nowhere.rs#here)").as_deref(), Some("links to `host/nowhere.rs`"));
    assert_eq!(dead_link(&root(), "see [it](host/ARCHITECTURE.md), [that](#that), [them](https://host.example)"), None);
}

#[test]
fn the_page_of_the_plugins_says_of_each_what_its_manifest_says() {
    let page = std::fs::read_to_string(root().join("plugins/README.md")).unwrap();
    let manifests: Vec<String> = files(&root().join("plugins"))
        .into_iter()
        .filter(|path| path.ends_with("plugin.toml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    assert!(manifests.len() > 20);
    assert_clean(manifests.iter().filter_map(|manifest| unsaid(&page, manifest)).collect());
    assert!(unsaid(&page, "name = \"nobody\"\ndescription = \"Does nothing.\"").is_some());
}

#[test]
fn the_top_level_holds_rooms_and_nothing_else() {
    let found = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_clean(strangers(found));
    assert_eq!(strangers(["scripts".to_owned()].into_iter()).len(), 1);
}

#[test]
fn no_result_is_dropped_between_a_decision_and_its_proof() {
    assert_clean(over_files(ROOMS_THAT_LOSE_NOTHING, &[".rs"], |text| without(text, &[DROPPED_RESULT])));
    assert!(without(&format!("    {DROPPED_RESULT} store.commit();"), &[DROPPED_RESULT]).is_some());
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    assert_clean(over_files(&[""], &[""], |text| without(text, MACHINE_PATHS)));
    assert!(without(&format!("see {}me/notes", MACHINE_PATHS[0]), MACHINE_PATHS).is_some());
}

#[test]
fn no_test_is_switched_off() {
    assert_clean(over_files(&[""], &[".rs"], |text| without(text, &[IGNORED_TEST])));
    assert!(without(&format!("{IGNORED_TEST} = \"slow\"]"), &[IGNORED_TEST]).is_some());
}

#[test]
fn every_dependency_of_the_workspace_has_its_reason_on_the_line_above() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert_clean(without_reason(&manifest));

    let unexplained = "[workspace.dependencies]\n# Ours.\nportreeve-model = { path = \"m\" }\n# --- data ---\nserde = \"1\"\ntoml = \"1\"\n[profile.dev]\nx = 1\n";
    assert_eq!(without_reason(unexplained).len(), 2);
}

/// Imports that the tables do not allow.
fn wrong_imports(members: &[Member]) -> Vec<String> {
    let folders: BTreeMap<&str, &str> =
        members.iter().map(|member| (member.name.as_str(), member.folder.as_str())).collect();
    let mut wrong = Vec::new();
    for member in members {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(room, _)| matches(room, &member.folder)) else {
            wrong.push(format!("`{}` is in no room of the table", member.folder));
            continue;
        };
        for import in &member.imports {
            let inside =
                folders.get(import.as_str()).is_some_and(|folder| !allowed.iter().any(|room| matches(room, folder)));
            let outside =
                ONLY_IN.iter().any(|(name, rooms)| matches(name, import) && !rooms.contains(&member.folder.as_str()));
            if inside || outside {
                wrong.push(format!("`{}` imports `{import}`, which the table of rooms does not allow", member.folder));
            }
        }
    }
    wrong
}

/// Equality, or equality up to a final `*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn opening(text: &str) -> Option<String> {
    (!text.starts_with("//! ")).then(|| "the first line has to be `//! ` and what the file owns".to_owned())
}

fn without(text: &str, words: &[&str]) -> Option<String> {
    let (number, word) = text
        .lines()
        .enumerate()
        .find_map(|(index, line)| words.iter().find(|word| line.contains(**word)).map(|word| (index + 1, word)))?;
    Some(format!("line {number} has `{word}`"))
}

fn strangers(found: impl Iterator<Item = String>) -> Vec<String> {
    found
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| format!("`{name}` does not belong at the top level"))
        .collect()
}

/// Dependencies without a comment on the line above that is more than a heading.
/// Our own crates need none: their reason is the table of rooms.
fn without_reason(manifest: &str) -> Vec<String> {
    let section = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let mut wrong = Vec::new();
    let mut above = "";
    for line in section {
        let dependency = line.contains('=') && !line.starts_with('#') && !line.contains("path = ");
        let reason = above.starts_with("# ") && !above.starts_with("# ---");
        if dependency && !reason {
            wrong.push(format!("`{line}` has no reason on the line above"));
        }
        above = line;
    }
    wrong
}

/// The first relative link of a page in `folder` behind which there is nothing.
fn dead_link(folder: &Path, page: &str) -> Option<String> {
    page.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link.split_once('#').map_or(link, |(file, _)| file))
        .filter(|file| !file.is_empty() && !file.contains("://") && !file.contains(' '))
        .find(|file| !folder.join(file).exists())
        .map(|file| format!("links to `{file}`"))
}

/// What the page lacks of the plugin whose manifest this is.
fn unsaid(page: &str, manifest: &str) -> Option<String> {
    let value = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        line.and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
    };
    let (name, description) = (value("name"), value("description"));
    let said = page.lines().any(|line| line.starts_with(&format!("| [{name}](")) && line.contains(&description));
    (!said).then(|| format!("plugins/README.md has no row of `{name}` that says: {description}"))
}

fn over_pages(rule: impl Fn(&Path, &str) -> Option<String>) -> Vec<String> {
    files(&root())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            rule(path.parent().unwrap(), &text).map(|what| format!("{}: {what}", path.display()))
        })
        .collect()
}

fn assert_clean(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{} found:\n{}", wrong.len(), wrong.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What a rule finds in the text files below some folders whose names end so.
fn over_files(folders: &[&str], endings: &[&str], rule: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for folder in folders {
        for path in files(&root().join(folder)) {
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            // What is no text (a component, a font) has no lines to look at.
            let Ok(text) = String::from_utf8(std::fs::read(&path).unwrap()) else { continue };
            if endings.iter().any(|ending| name.ends_with(ending)) {
                seen += 1;
                wrong.extend(rule(&text).map(|what| format!("{name}: {what}")));
            }
        }
    }
    assert!(seen > 0, "no file below {folders:?}: the rule looks in the wrong place");
    wrong
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_file() {
                found.push(entry.path());
            } else if kind.is_dir() && ![".git", "target"].iter().any(|name| entry.file_name() == *name) {
                open.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// None, `dev` or `build`.
    kind: Option<String>,
}

fn members() -> Vec<Member> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo has to run");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    metadata.packages.into_iter().map(member).collect()
}

fn member(package: Package) -> Member {
    let folder = package.manifest_path.parent().unwrap().strip_prefix(root()).unwrap();
    let folder: Vec<&str> = folder.iter().map(|part| part.to_str().unwrap()).collect();
    Member {
        name: package.name,
        folder: folder.join("/"),
        licence: package.license,
        imports: package
            .dependencies
            .into_iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| dependency.name)
            .collect(),
    }
}

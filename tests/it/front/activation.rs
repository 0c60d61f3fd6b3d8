//! A proposed configuration is active only after everything in it was tried: what
//! no host can open must not take the place of what one could.

use std::path::Path;
use std::sync::Arc;

use portreeve::clock::SystemClock;
use portreeve::config::{Files, Proposed};
use portreeve::host::{self, Host, Locations};
use portreeve_model::Digest;
use portreeve_record::leaf::{ConfigurationLeaf, Label, PackageStep};
use portreeve_record::{Leaf, LeafBody, NoteKey, canonical_json};
use portreeve_registry::{Package, Signature, Statement};
use portreeve_store::Store;

use crate::packages::of_version;
use crate::support::{EDI_TOKEN, MORNING, Setup, sign, tree};

/// What `init` says to a folder whose configuration a good one went before.
struct Attempts {
    folder: tempfile::TempDir,
    locations: Locations,
    store: Arc<dyn Store>,
}

impl Attempts {
    async fn after_a_good_one() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let locations = Locations::below(folder.path(), &tree().target().join("portreeve"));
        let store: Arc<dyn Store> = locations.store().unwrap();
        let attempts = Self { folder, locations, store };
        assert_eq!(attempts.activate(Setup::demo()).await.unwrap(), 1);
        attempts
    }

    async fn activate(&self, setup: Setup) -> anyhow::Result<u64> {
        self.activate_after(setup, |_| {}).await
    }

    /// The same after somebody changed something in the folder.
    async fn activate_after(&self, setup: Setup, change: impl FnOnce(&Path)) -> anyhow::Result<u64> {
        let config = setup.configuration(self.folder.path());
        change(&config);
        Ok(host::activate(&self.store, &self.locations, &Proposed::read(&config)?, MORNING).await?.version)
    }

    /// What became of packages, in the order of the log.
    async fn steps(&self) -> Vec<(PackageStep, String, Option<u64>)> {
        let leaves = self.store.unsequenced(1_000).await.unwrap().into_iter();
        let steps = leaves.filter_map(|leaf| match Leaf::parse(&leaf.bytes).unwrap().body {
            LeafBody::Package(package) => Some((package.step, package.plugin.to_string(), package.configuration)),
            _ => None,
        });
        steps.collect()
    }

    /// The error of a setup; version and tables are as before, and a host opens.
    async fn refused(&self, setup: Setup) -> String {
        let tables = [self.table("customer").await, self.table("item").await];
        let error = format!("{:#}", self.activate(setup).await.unwrap_err());
        assert_eq!(self.store.active_configuration().await.unwrap().unwrap().version, 1, "{error}");
        assert_eq!([self.table("customer").await, self.table("item").await], tables, "{error}");
        // The good one's secret is where it was.
        Setup::demo().configuration(self.folder.path());
        let opened = Host::open(Arc::clone(&self.store), &self.locations, Arc::new(SystemClock), None).await;
        assert!(opened.is_ok(), "after `{error}` no host starts: {:#}", opened.err().unwrap());
        error
    }

    async fn table(&self, name: &str) -> Option<(u64, usize)> {
        self.store.reference(name).await.unwrap().map(|(version, rows)| (version, rows.len()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_no_host_can_open_never_becomes_active() {
    let attempts = Attempts::after_a_good_one().await;
    let more_customers = "C-9999,Nobody,new,false,US,2026-01-01,USD\n";
    for (setup, expected) in [
        (Setup::demo().grant("fraud", "{}"), "lookup"),
        (
            Setup::demo().replace("portreeve.toml", "component = \"margin.wasm\"", "component = \"fraud.wasm\""),
            "margin",
        ),
        (Setup::demo().replace("portreeve.toml", "component = \"fraud.wasm\"", "component = \"rules.toml\""), "fraud"),
        (
            Setup::demo().replace("portreeve.toml", "connector = \"x12\"", "connector = \"fraud\""),
            "uses plugin `fraud` as a connector, and it is a scorer; name a connector there",
        ),
        (Setup::demo().replace("portreeve.toml", "${SHOP_SECRET_FILE}", "nowhere"), "nowhere` cannot be read"),
        (Setup::demo().replace("portreeve.toml", "portreeve.example/demo", "portreeve.example/other"), "began as"),
        (Setup::demo().append("portreeve.toml", "\n[[target]]\nid = \"erp\"\n"), "portreeve.toml"),
    ] {
        let setup = setup.append("reference/customer.csv", more_customers);
        let error = attempts.refused(setup).await;
        assert!(error.contains(expected), "expected `{expected}` in: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_active_and_wrong_by_a_newer_rule_gives_way_to_what_is_right() {
    let attempts = Attempts::after_a_good_one().await;
    // An earlier build took a channel of this name, which is the host's own by now.
    let channel = "\n[[channel]]\nid = \"advices\"\nconnector = \"x12\"\ndocuments = {}\ntarget = \"erp\"\nexception_queue = \"integration\"\n";
    let active = attempts.store.active_configuration().await.unwrap().unwrap();
    let mut files: serde_json::Value = serde_json::from_slice(&active.bytes).unwrap();
    files["host"] = format!("{}{channel}", files["host"].as_str().unwrap()).into();
    let bytes = canonical_json(&files).unwrap();
    let wrong = Files::from_bytes(&bytes).unwrap().check().err().unwrap().to_string();
    assert!(wrong.contains("`advices`"), "{wrong}");
    let body = ConfigurationLeaf { version: 2, digest: Digest::of(&bytes), who: Label::of("ada") };
    let leaf = Leaf::new("portreeve", MORNING, LeafBody::Configuration(body)).unwrap();
    let version = attempts.store.activate_configuration(bytes, Vec::new(), MORNING, vec![leaf], Vec::new()).await;
    assert_eq!(version.unwrap(), 2);

    let other = Setup::demo().replace("portreeve.toml", "portreeve.example/demo", "portreeve.example/other");
    let refused = format!("{:#}", attempts.activate(other).await.unwrap_err());
    assert!(refused.contains("began as"), "it is held to its origin all the same: {refused}");
    assert_eq!(attempts.activate(Setup::demo()).await.unwrap(), 3);
    assert_eq!(attempts.steps().await, [], "its plugins are what they were");
    let opened = Host::open(Arc::clone(&attempts.store), &attempts.locations, Arc::new(SystemClock), None).await;
    assert!(opened.is_ok(), "{:#}", opened.err().unwrap());
}

#[tokio::test]
async fn what_a_folder_does_to_plugins_is_on_record() {
    let attempts = Attempts::after_a_good_one().await;
    assert_eq!(attempts.steps().await, [], "the first version's own leaf says what begins with it");
    let bytes = of_version("fraud", "0.2.0");
    let second = |config: &Path| {
        std::fs::write(config.join("fraud.wasm"), &bytes).unwrap();
        std::fs::write(config.join("fraud.wasm.sig"), sign(&bytes)).unwrap();
    };
    attempts.activate_after(Setup::demo(), second).await.unwrap();
    attempts.activate(Setup::demo()).await.unwrap();
    let fraud = |step, version| (step, "fraud".to_owned(), Some(version));
    assert_eq!(attempts.steps().await, [fraud(PackageStep::Activated, 2), fraud(PackageStep::Activated, 3)]);

    let revoked = Setup::demo().replace("trust.toml", "[[publisher.key]]\n", "[[publisher.key]]\nrevoked = true\n");
    attempts.activate(revoked).await.unwrap();
    attempts.activate(Setup::demo()).await.unwrap();
    let steps = attempts.steps().await;
    let of = |step, version| steps.iter().filter(|found| found.0 == step && found.2 == Some(version)).count();
    assert_eq!((of(PackageStep::Distrusted, 4), of(PackageStep::Activated, 5), steps.len()), (9, 9, 20));
}

#[tokio::test]
async fn a_strangers_signature_in_the_folder_does_not_stop_what_is_active() {
    let attempts = Attempts::after_a_good_one().await;
    let stranger = NoteKey::generate("stranger.example").unwrap();
    let signed_by_a_stranger = |config: &Path| {
        let file = config.join("fraud.wasm");
        let package = Package::read(&std::fs::read(&file).unwrap(), None).unwrap();
        let statement = Statement::of(package.manifest(), package.digest());
        std::fs::write(Signature::beside(&file), Signature::made(statement, &stranger).as_str()).unwrap();
    };
    assert_eq!(attempts.activate_after(Setup::demo(), signed_by_a_stranger).await.unwrap(), 1);
    assert_eq!(attempts.steps().await, []);
    let host = Host::open(Arc::clone(&attempts.store), &attempts.locations, Arc::new(SystemClock), None).await.unwrap();
    assert_eq!(host.pipeline.plugins.now().ready().count(), 9);
}

#[tokio::test]
async fn tables_change_with_the_version_and_only_when_their_rows_do() {
    let attempts = Attempts::after_a_good_one().await;
    assert_eq!(attempts.activate(Setup::demo()).await.unwrap(), 1);
    assert_eq!(attempts.table("stock").await.unwrap().0, 1, "the same rows make no new version");
    let setup = Setup::demo()
        .append("reference/stock.csv", "NEW-1,DC-COLUMBUS,7,2,US,0\n")
        .append("rules.toml", "\n# another text\n");
    assert_eq!(attempts.activate(setup).await.unwrap(), 2);
    assert_eq!(attempts.table("stock").await.unwrap().0, 2);
    assert_eq!(attempts.table("item").await.unwrap().0, 1);
}

#[tokio::test]
async fn a_secret_that_everybody_can_guess_is_refused() {
    let attempts = Attempts::after_a_good_one().await;
    let secret = |text: &str| {
        let file = attempts.folder.path().join("short-secret");
        std::fs::write(&file, text).unwrap();
        Setup::demo().replace("portreeve.toml", "${SHOP_SECRET_FILE}", &file.display().to_string())
    };
    for text in ["", " \n", "fifteen-letters\n"] {
        let error = attempts.refused(secret(text)).await;
        assert!(error.contains("expected 16 or more"), "{error}");
    }
    let nothing = portreeve_model::Digest::of(b"").to_string();
    let empty = Setup::demo().replace("portreeve.toml", "${EDI_TOKEN_SHA256}", &nothing);
    assert!(attempts.refused(empty).await.contains("digest of an empty token"));
}

#[tokio::test]
async fn senders_of_a_channel_that_nobody_can_tell_apart_are_refused() {
    let attempts = Attempts::after_a_good_one().await;
    let token = |text: &str| portreeve_model::Digest::of(text.as_bytes()).to_string();
    let another = |channel: &str, id: &str, token: &str| {
        let entry = format!("\n[[sender]]\nchannel = \"{channel}\"\nid = \"{id}\"\ntoken_sha256 = \"{token}\"\n");
        Setup::demo().append("portreeve.toml", &entry)
    };
    let same = attempts.refused(another("edi", "acme", &token(EDI_TOKEN))).await;
    assert!(
        same.contains("senders `edi-gateway` and `acme` of channel `edi`") && same.contains("the same token"),
        "{same}"
    );
    let twice = attempts.refused(another("edi", "edi-gateway", &token("another"))).await;
    assert!(twice.contains("sender `edi-gateway` is there twice on channel `edi`"), "{twice}");
    // On another channel it is another sender.
    assert_eq!(attempts.activate(another("shop", "edi-gateway", &token(EDI_TOKEN))).await.unwrap(), 2);
}

#[tokio::test]
async fn a_relative_secret_file_is_found_from_the_configuration_wherever_the_host_starts() {
    let folder = tempfile::tempdir().unwrap();
    let locations = Locations::below(folder.path(), &tree().target().join("portreeve"));
    let store: Arc<dyn Store> = locations.store().unwrap();
    let setup = Setup::demo().replace("portreeve.toml", "${SHOP_SECRET_FILE}", "shop.secret");
    let config = setup.configuration(folder.path());
    std::fs::write(config.join("shop.secret"), "a-secret-beside-the-configuration").unwrap();
    let read_there = Proposed::read(&relative(&config)).unwrap();
    host::activate(&store, &locations, &read_there, MORNING).await.unwrap();
    Host::open(store, &locations, Arc::new(SystemClock), None).await.unwrap();
}

/// The same folder by a path that depends on where the process runs.
fn relative(folder: &Path) -> std::path::PathBuf {
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    up.join(folder.strip_prefix("/").unwrap())
}

#[test]
fn the_demos_folder_as_it_lies_is_refused_with_where_a_whole_one_is() {
    let refused = Proposed::read(&tree().demo()).err().unwrap().to_string();
    assert!(refused.contains("is no origin") && refused.contains("`demo --data-dir DIR`"), "{refused}");
}

//! The log over the real store, with a crash or an intruder at each step.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portreeve_model::{Digest, Instant};
use portreeve_record::leaf::{Code, Leaf, LeafBody, ReferenceLeaf};
use portreeve_record::{InclusionProof, LogKey, SignedCheckpoint, VerifyError};
use portreeve_store::{SqliteStore, Store};

use crate::error::AuditError;
use crate::outside::OutsideCheckpoint;
use crate::reader::LogReader;
use crate::sequencer::{OutsideFound, Recovered, SEQUENCE_BATCH, Sequencer};

/// A host's folders, and what one of its processes has open.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn outside_path(&self) -> PathBuf {
        self.folder.path().join("state/log.checkpoint")
    }

    fn outside(&self) -> OutsideCheckpoint {
        OutsideCheckpoint::at(self.outside_path())
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.data()).unwrap())
    }

    /// What an intruder does to the stopped host's database.
    fn tamper(&self, sql: &str) {
        let file = self.data().join("portreeve.db");
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    async fn recover(&self) -> Result<(Sequencer, Recovered), AuditError> {
        Sequencer::recover(self.store(), key(), self.outside()).await
    }
}

fn key() -> LogKey {
    LogKey::from_bytes("example.com/log", &[9; 32]).unwrap()
}

/// Commits leaves `from..to` in the way a command does.
async fn write(store: &Arc<dyn Store>, from: u64, to: u64) -> Vec<Digest> {
    let mut ids = Vec::new();
    for version in from..to {
        let leaf = leaf(version);
        ids.push(leaf.id());
        store.load_reference("stock", Vec::new(), leaf).await.unwrap();
    }
    ids
}

fn leaf(version: u64) -> Leaf {
    let body = LeafBody::Reference(ReferenceLeaf {
        table: Code::of("stock"),
        version,
        digest: Digest::of(b"rows"),
        rows: 0,
        who: None,
    });
    Leaf::new("host-1", Instant(1), body).unwrap()
}

async fn filled(site: &Site, leaves: u64) -> Vec<Digest> {
    let store = site.store();
    let ids = write(&store, 0, leaves).await;
    let (sequencer, _) = Sequencer::recover(store, key(), site.outside()).await.unwrap();
    let done = sequencer.sequence_all().await.unwrap();
    assert_eq!((done.appended, done.size), (leaves, leaves));
    ids
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn sequences_in_commit_order_over_restarts() {
    let site = Site::new();
    let (sequencer, found) = site.recover().await.unwrap();
    assert_eq!(found.outside, OutsideFound::NothingYet);
    assert_eq!(sequencer.sequence_once().await.unwrap().appended, 0);
    drop(sequencer);

    let ids = filled(&site, 5).await;
    let (sequencer, found) = site.recover().await.unwrap();
    assert_eq!((found.size, found.checked_tail), (5, 5));
    assert_eq!(found.outside, OutsideFound::Same);
    drop(sequencer);

    let store = site.store();
    for (index, id) in (0..).zip(&ids) {
        assert_eq!(store.leaf_index(*id).await.unwrap(), Some(index));
    }
    let reader = LogReader::new(store);
    let outside = site.outside().read().unwrap();
    let report = reader.verify(&key().verifier(), outside.as_ref()).await.unwrap();
    assert_eq!((report.entries, report.outside_entries), (5, Some(5)));
}

#[tokio::test]
async fn proves_each_leaf_offline() {
    let site = Site::new();
    let ids = filled(&site, 7).await;
    let reader = LogReader::new(site.store());
    for (version, id) in (0..).zip(ids) {
        let text = reader.prove(id, &key().verifier()).await.unwrap().to_text();
        let proof = InclusionProof::parse(&text).unwrap();
        let head = proof.verify(leaf(version).bytes(), &key().verifier()).unwrap();
        assert_eq!((proof.index(), head.size()), (version, 7));
    }
    let unknown = reader.prove(Digest::of(b"unknown"), &key().verifier()).await;
    assert!(matches!(unknown, Err(AuditError::NotSequenced(_))));
}

#[tokio::test]
async fn brings_the_outside_checkpoint_up_after_a_crash_before_it_was_written() {
    let site = Site::new();
    filled(&site, 3).await;
    let old = std::fs::read(site.outside_path()).unwrap();
    {
        let (sequencer, _) = site.recover().await.unwrap();
        let store = sequencer.store();
        write(&store, 3, 9).await;
        sequencer.sequence_all().await.unwrap();
    }
    std::fs::write(site.outside_path(), old).unwrap();

    let (_, found) = site.recover().await.unwrap();
    assert_eq!(found.outside, OutsideFound::Behind { size: 3 });
    let kept = site.outside().read().unwrap().unwrap();
    assert_eq!(kept.verify(&key().verifier()).unwrap().size(), 9);
}

#[tokio::test]
async fn catches_up_when_the_outside_file_could_not_be_written() {
    let site = Site::new();
    let (sequencer, _) = site.recover().await.unwrap();
    let store = sequencer.store();
    write(&store, 0, 4).await;
    // A file stands where the folder should be.
    let folder = site.outside_path().parent().unwrap().to_owned();
    std::fs::write(&folder, "in the way").unwrap();
    let failed = sequencer.sequence_once().await;
    assert!(failed.unwrap_err().is_transient());

    std::fs::remove_file(&folder).unwrap();
    let done = sequencer.sequence_once().await.unwrap();
    assert_eq!((done.appended, done.size), (0, 4));
    let kept = site.outside().read().unwrap().unwrap();
    assert_eq!(kept.verify(&key().verifier()).unwrap().size(), 4);
}

#[tokio::test]
async fn refuses_data_that_were_rolled_back() {
    let site = Site::new();
    filled(&site, 3).await;
    let backup = site.folder.path().join("backup");
    copy(&site.data(), &backup);
    {
        let (sequencer, _) = site.recover().await.unwrap();
        write(&sequencer.store(), 3, 6).await;
        sequencer.sequence_all().await.unwrap();
    }
    std::fs::remove_dir_all(site.data()).unwrap();
    copy(&backup, &site.data());

    let refused = site.recover().await.err().unwrap();
    assert!(matches!(refused, AuditError::RolledBack { found: 3, expected: 6, .. }), "{refused}");
    std::fs::remove_dir_all(site.data()).unwrap();
    let refused = site.recover().await.err().unwrap();
    assert!(matches!(refused, AuditError::RolledBack { found: 0, .. }), "{refused}");
}

#[tokio::test]
async fn refuses_a_log_that_was_rewritten_with_the_key() {
    let site = Site::new();
    filled(&site, 3).await;
    std::fs::remove_dir_all(site.data()).unwrap();
    // Somebody with the key builds another, longer past and does not reach the
    // outside checkpoint.
    let elsewhere = OutsideCheckpoint::at(site.folder.path().join("elsewhere"));
    {
        let store = site.store();
        write(&store, 1, 8).await;
        let (forger, _) = Sequencer::recover(store, key(), elsewhere).await.unwrap();
        forger.sequence_all().await.unwrap();
    }
    let refused = site.recover().await.err().unwrap();
    assert!(matches!(refused, AuditError::Rewritten { size: 3, .. }), "{refused}");
    let outside: Option<SignedCheckpoint> = site.outside().read().unwrap();
    let verified = LogReader::new(site.store()).verify(&key().verifier(), outside.as_ref()).await;
    assert!(matches!(verified, Err(AuditError::Verify(VerifyError::Rewritten { size: 3, .. }))));
}

#[tokio::test]
async fn refuses_another_key_and_another_logs_checkpoint() {
    let site = Site::new();
    filled(&site, 2).await;
    let other = LogKey::from_bytes("example.com/log", &[1; 32]).unwrap();
    let refused = Sequencer::recover(site.store(), other, site.outside()).await;
    assert!(matches!(refused, Err(AuditError::Head(_))));
    let foreign = LogKey::from_bytes("example.com/other", &[9; 32]).unwrap();
    let foreign = foreign.sign(2, Digest::of(b"root"));
    std::fs::write(site.outside_path(), foreign.as_str()).unwrap();
    let refused = site.recover().await.err().unwrap();
    assert!(matches!(refused, AuditError::OutsideCheckpoint { .. }), "{refused}");
}

#[tokio::test]
async fn names_the_entry_that_was_changed_in_the_database() {
    let site = Site::new();
    filled(&site, 6).await;
    site.tamper("UPDATE leaf SET bytes = CAST(replace(bytes, 'host-1', 'host-2') AS BLOB) WHERE seq = 5");
    let refused = site.recover().await.err().unwrap();
    assert!(matches!(refused, AuditError::LeafChanged { .. }), "{refused}");
    let verified = LogReader::new(site.store()).verify(&key().verifier(), None).await;
    assert!(matches!(verified, Err(AuditError::Verify(VerifyError::LeafChanged { index: 4, .. }))));
}

#[tokio::test]
async fn refuses_entries_that_were_exchanged_or_removed() {
    for (sql, missing) in [
        (
            "UPDATE leaf SET seq = 99 WHERE seq = 5; UPDATE leaf SET seq = 5 WHERE seq = 6; UPDATE leaf SET seq = 6 WHERE seq = 99",
            false,
        ),
        ("DELETE FROM leaf WHERE seq = 6", true),
    ] {
        let site = Site::new();
        filled(&site, 6).await;
        site.tamper(sql);
        let refused = site.recover().await.err().unwrap();
        let as_expected = match refused {
            AuditError::Gap { expected: 5 } => missing,
            AuditError::TailDiffers { start: 0, end: 6, .. } => !missing,
            _ => false,
        };
        assert!(as_expected, "{refused}");
        assert!(LogReader::new(site.store()).verify(&key().verifier(), None).await.is_err());
    }
}

#[tokio::test]
async fn checks_the_last_entries_of_a_log_of_any_length() {
    const TAIL: u64 = 8;
    // Powers of two are one perfect subtree, of which a check that goes by subtrees reads all or nothing.
    for size in [1, 7, 8, 9, 16, 17, 64, 65, 127, 128] {
        let site = Site::new();
        let store = site.store();
        write(&store, 0, size).await;
        let recover = || Sequencer::recover_checking(Arc::clone(&store), key(), site.outside(), TAIL);
        let (sequencer, _) = recover().await.unwrap();
        // In small steps, as a host does.
        let mut appended = 0;
        while appended < size {
            appended += sequencer.sequence(5).await.unwrap().appended;
        }
        let (_, found) = recover().await.unwrap();
        assert!(found.checked_tail >= TAIL.min(size), "{} of {size}", found.checked_tail);
        assert!(found.checked_tail <= 2 * (TAIL + 5), "{} of {size}", found.checked_tail);
        for index in size.saturating_sub(TAIL)..size {
            let change = |from: &str, to: &str| {
                format!(
                    "UPDATE leaf SET bytes = CAST(replace(bytes, '{from}', '{to}') AS BLOB) WHERE seq = {index} + 1"
                )
            };
            site.tamper(&change("host-1", "host-2"));
            let refused = recover().await.err();
            assert!(matches!(refused, Some(AuditError::LeafChanged { .. })), "entry {index} of {size}: {refused:?}");
            site.tamper(&change("host-2", "host-1"));
        }
        recover().await.unwrap();
    }
}

#[tokio::test]
async fn compares_an_outside_checkpoint_that_is_older_than_the_tail() {
    const TAIL: u64 = 4;
    let site = Site::new();
    filled(&site, 3).await;
    let old = std::fs::read(site.outside_path()).unwrap();
    let store = site.store();
    write(&store, 3, 40).await;
    let recover = || Sequencer::recover_checking(Arc::clone(&store), key(), site.outside(), TAIL);
    let (sequencer, _) = recover().await.unwrap();
    while sequencer.sequence(5).await.unwrap().appended > 0 {}
    std::fs::write(site.outside_path(), &old).unwrap();
    let (_, found) = recover().await.unwrap();
    assert_eq!((found.outside, found.checked_tail), (OutsideFound::Behind { size: 3 }, 40));

    let other = key().sign(3, Digest::of(b"another past"));
    std::fs::write(site.outside_path(), other.as_str()).unwrap();
    let refused = recover().await.err().unwrap();
    assert!(matches!(refused, AuditError::Rewritten { size: 3, .. }), "{refused}");
}

#[tokio::test]
async fn refuses_to_sign_an_unsequenced_record_that_was_changed() {
    let site = Site::new();
    write(&site.store(), 0, 3).await;
    site.tamper("UPDATE leaf SET bytes = CAST(replace(bytes, 'host-1', 'host-2') AS BLOB) WHERE seq = 2");
    let (sequencer, _) = site.recover().await.unwrap();
    let refused = sequencer.sequence_once().await.unwrap_err();
    assert!(matches!(refused, AuditError::LeafChanged { .. }), "{refused}");
    assert!(!refused.is_transient());
}

#[tokio::test]
async fn keeps_one_log_when_two_sequencers_race() {
    let site = Site::new();
    let store = site.store();
    write(&store, 0, 40).await;
    let other_outside = OutsideCheckpoint::at(site.folder.path().join("other/log.checkpoint"));
    let (one, _) = Sequencer::recover(Arc::clone(&store), key(), site.outside()).await.unwrap();
    let (other, _) = Sequencer::recover(Arc::clone(&store), key(), other_outside.clone()).await.unwrap();
    for round in 0..10 {
        let (from, to) = (40 + round * 4, 44 + round * 4);
        let (left, right, _) = tokio::join!(one.sequence_all(), other.sequence_all(), write(&store, from, to));
        left.unwrap();
        right.unwrap();
    }
    one.sequence_all().await.unwrap();
    for outside in [site.outside(), other_outside] {
        let outside = outside.read().unwrap();
        let report = LogReader::new(Arc::clone(&store)).verify(&key().verifier(), outside.as_ref()).await.unwrap();
        assert_eq!(report.entries, 80);
    }
}

#[tokio::test]
async fn runs_until_it_is_stopped_and_leaves_nothing_behind() {
    let site = Site::new();
    let store = site.store();
    let (sequencer, _) = Sequencer::recover(Arc::clone(&store), key(), site.outside()).await.unwrap();
    let count = u64::from(SEQUENCE_BATCH) + 64;
    // Side by side, so that the store commits them in groups.
    for group in (0..count).step_by(64) {
        let mut writes = tokio::task::JoinSet::new();
        for version in group..group + 64 {
            let store = Arc::clone(&store);
            writes.spawn(async move { write(&store, version, version + 1).await });
        }
        writes.join_all().await;
    }
    let mut appended = 0;
    let stopped = std::future::ready(());
    sequencer
        .run(Duration::from_millis(1), stopped, |result| {
            appended += result.as_ref().unwrap().appended;
        })
        .await
        .unwrap();
    assert_eq!(appended, count);
    assert!(store.unsequenced(1).await.unwrap().is_empty());
}

//! Gives leaves their index and signs the tree.
//!
//! One step, in an order that a crash may interrupt anywhere:
//!
//! ```text
//! 1 read the head, check it            nothing changed
//! 2 keep its checkpoint outside        repeats step 6 of a step that was interrupted
//! 3 read unsequenced leaves            in commit order
//! 4 append to the edge, sign           a signature that nobody has seen yet
//! 5 commit indices and head            compare and set on the head's size
//! 6 keep the checkpoint outside        fsynced
//! ```
//!
//! A crash before 5 leaves the log as it was; the signature of step 4 is gone
//! with the process and was shown to nobody, so the log never shows two trees
//! of which neither continues the other. A crash between 5 and 6 leaves the
//! outside checkpoint behind; step 2 of the next step brings it up. It can be
//! ahead only if the data went back, and that refuses to start.
//!
//! Danger: a second sequencer (another host, or this one after a long pause)
//! may hold an old head. A lock would not help, since its holder may sleep; step
//! 5 compares the head and writes in one transaction, and the slower one has
//! changed nothing.
//!
//! **Durability.** Leaves are durable before they come here. When a step returns
//! `Ok`, the indices and the outside checkpoint are, too. After an error, the
//! next step finds out by itself what persisted.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use portreeve_model::Digest;
use portreeve_record::{Checkpoint, Edge, LogKey, SignedCheckpoint, merkle::leaf_hash};
use portreeve_store::Store;
use portreeve_store::contract::TreeHead;

use crate::error::AuditError;
use crate::head::Edges;
use crate::outside::OutsideCheckpoint;
use crate::reader::LogReader;

/// Leaves that one step takes; at 16 KiB each at most 16 MiB in memory and one
/// transaction of this many rows.
pub const SEQUENCE_BATCH: u32 = 1024;

/// Entries at the end of the log whose bytes are hashed again at a start: at
/// least so many, or all, and at most about twice as many. The rest is `audit
/// verify`'s; a start must not take longer with every year of history.
pub const TAIL_ENTRIES: u64 = 4096;

/// The sequencer of one log. [`Sequencer::recover`] is the only way to get one:
/// nothing is appended to a log whose end was not checked first.
pub struct Sequencer {
    store: Arc<dyn Store>,
    key: LogKey,
    outside: OutsideCheckpoint,
    tail_entries: u64,
}

/// What a start found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Entries in the log.
    pub size: u64,
    /// Entries at its end whose bytes were hashed again.
    pub checked_tail: u64,
    /// How the outside checkpoint compared.
    pub outside: OutsideFound,
}

/// How the outside checkpoint compared with the log at a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideFound {
    /// It was that of the head.
    Same,
    /// It was of an earlier head, which the log continues; it is up to date now.
    Behind {
        /// Entries that it was signed over.
        size: u64,
    },
    /// There was none although the log has entries: the first start of a copy,
    /// a crash right after the first entries, or somebody removed it. Nothing
    /// rules out a rollback then, so tell the operator.
    Missing,
    /// There was none, and the log is empty.
    NothingYet,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequenced {
    /// Leaves that got an index in this step.
    pub appended: u64,
    /// Entries in the log.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Whether there may be more to do at once: the batch was full, or another
    /// sequencer was faster.
    pub more: bool,
}

/// A head whose parts agree and that the key signed.
struct CheckedHead {
    edges: Edges,
    /// None before the first entry.
    checkpoint: Option<SignedCheckpoint>,
}

impl Sequencer {
    /// Checks the end of the log, its head and the outside checkpoint against
    /// each other, and brings the outside checkpoint up to date.
    ///
    /// Reads the last [`TAIL_ENTRIES`], and not many more. All entries are read
    /// when the outside checkpoint is older than those.
    ///
    /// # Errors
    /// When the log was rolled back or rewritten since the outside checkpoint,
    /// its tail was changed, its head or the outside checkpoint is not signed by
    /// this key, or the store or the file fails.
    pub async fn recover(
        store: Arc<dyn Store>,
        key: LogKey,
        outside: OutsideCheckpoint,
    ) -> Result<(Self, Recovered), AuditError> {
        Self::recover_checking(store, key, outside, TAIL_ENTRIES).await
    }

    /// The same with another length of the tail.
    pub(crate) async fn recover_checking(
        store: Arc<dyn Store>,
        key: LogKey,
        outside: OutsideCheckpoint,
        tail_entries: u64,
    ) -> Result<(Self, Recovered), AuditError> {
        let sequencer = Self { store, key, outside, tail_entries };
        let head = sequencer.checked_head().await?;
        let kept = sequencer.read_outside(head.edges.head().size()).await?;
        let checked_tail = sequencer.check_tail(&head.edges, kept.as_ref()).await?;
        let size = head.edges.head().size();
        let outside = match kept.map(|kept| kept.size()) {
            None if size == 0 => OutsideFound::NothingYet,
            None => OutsideFound::Missing,
            Some(kept) if kept == size => OutsideFound::Same,
            Some(kept) => OutsideFound::Behind { size: kept },
        };
        sequencer.keep_outside(head.checkpoint, size).await?;
        Ok((sequencer, Recovered { size, checked_tail, outside }))
    }

    /// Does one step; see the module's description.
    ///
    /// # Errors
    /// When the head or a leaf is damaged, or the store or the outside file
    /// fails. The next step continues from whatever persisted.
    pub async fn sequence_once(&self) -> Result<Sequenced, AuditError> {
        self.sequence(SEQUENCE_BATCH).await
    }

    /// One step of at most so many leaves.
    pub(crate) async fn sequence(&self, leaves_max: u32) -> Result<Sequenced, AuditError> {
        let head = self.checked_head().await?;
        let mut edge = head.edges.head().clone();
        let old_size = edge.size();
        self.keep_outside(head.checkpoint, old_size).await?;

        let leaves = self.store.unsequenced(leaves_max).await?;
        if leaves.is_empty() {
            return Ok(sequenced(0, &edge, false));
        }
        let mut ids = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            let found = leaf_hash(&leaf.bytes);
            if found != leaf.id {
                return Err(AuditError::LeafChanged { id: leaf.id, found });
            }
            edge.append(found)?;
            ids.push(found);
        }
        let more = u32::try_from(ids.len()) == Ok(leaves_max);

        let checkpoint = self.key.sign(edge.size(), edge.root());
        let new_head = TreeHead {
            size: edge.size(),
            edge: head.edges.grown(edge.clone(), self.tail_entries).to_bytes(),
            checkpoint: checkpoint.as_str().to_owned(),
        };
        if !self.store.append_sequenced(old_size, ids, new_head).await? {
            return Ok(sequenced(0, head.edges.head(), true));
        }
        self.keep_outside(Some(checkpoint), edge.size()).await?;
        Ok(sequenced(edge.size().saturating_sub(old_size), &edge, more))
    }

    /// Steps until nothing is left: for a command that wrote to a stopped host's
    /// data and is about to exit. `appended` counts all steps.
    ///
    /// # Errors
    /// Those of [`Sequencer::sequence_once`].
    pub async fn sequence_all(&self) -> Result<Sequenced, AuditError> {
        let mut appended = 0_u64;
        loop {
            let step = self.sequence_once().await?;
            appended = appended.saturating_add(step.appended);
            if !step.more {
                return Ok(Sequenced { appended, ..step });
            }
        }
    }

    /// Steps at every interval until `stop` is ready, then once more until
    /// nothing is left. Each result goes to `observe`, for metrics and logs.
    /// What may pass (a busy store, a full disk) is tried again.
    ///
    /// # Errors
    /// At once when the log is damaged, since to go on would sign the damage;
    /// and when the last steps fail.
    pub async fn run(
        &self,
        interval: Duration,
        stop: impl Future<Output = ()>,
        mut observe: impl FnMut(&Result<Sequenced, AuditError>),
    ) -> Result<(), AuditError> {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = ticks.tick() => {}
            }
            let result = self.sequence_all().await;
            observe(&result);
            match result {
                Err(error) if !error.is_transient() => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let result = self.sequence_all().await;
        observe(&result);
        result.map(|_| ())
    }

    /// The store whose leaves it sequences.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Where the last checkpoint is kept.
    #[must_use]
    pub fn outside(&self) -> &OutsideCheckpoint {
        &self.outside
    }

    /// Check: the head's edge has the size and root that this key signed.
    async fn checked_head(&self) -> Result<CheckedHead, AuditError> {
        let Some(head) = self.store.tree_head().await? else {
            return Ok(CheckedHead { edges: Edges::default(), checkpoint: None });
        };
        let edges = Edges::from_bytes(&head.edge)?;
        let edge = edges.head();
        let signed = SignedCheckpoint::parse(&head.checkpoint).map_err(AuditError::Head)?;
        let checkpoint = signed.verify(&self.key.verifier()).map_err(AuditError::Head)?;
        let (size, root) = (checkpoint.size(), checkpoint.root());
        if edge.size() != size || edge.root() != root || head.size != size {
            return Err(AuditError::EdgeDiffers {
                found: format!("{} entries with root {}", edge.size(), edge.root()),
                expected: format!("{size} entries with root {root}"),
            });
        }
        Ok(CheckedHead { edges, checkpoint: Some(signed) })
    }

    /// The outside checkpoint, if there is one. Check: this key signed it, and it
    /// is not over more entries than there are.
    async fn read_outside(&self, size: u64) -> Result<Option<Checkpoint>, AuditError> {
        let outside = self.outside.clone();
        let path = || self.outside.path().to_owned();
        let Some(signed) = blocking(move || outside.read()).await? else {
            return Ok(None);
        };
        let kept = signed
            .verify(&self.key.verifier())
            .map_err(|reason| AuditError::OutsideCheckpoint { path: path(), reason })?;
        if kept.size() > size {
            return Err(AuditError::RolledBack { found: size, expected: kept.size(), path: path() });
        }
        Ok(Some(kept))
    }

    /// Check: the last entries lead from an earlier edge to the head, and past
    /// the outside checkpoint on the way. Returns how many were read.
    async fn check_tail(&self, edges: &Edges, kept: Option<&Checkpoint>) -> Result<u64, AuditError> {
        let reader = LogReader::new(Arc::clone(&self.store));
        let head = edges.head();
        let mut edge = edges.tail(self.tail_entries);
        if kept.is_some_and(|kept| kept.size() < edge.size()) {
            edge = Edge::new();
        }
        let start = edge.size();
        if let Some(kept) = kept {
            reader.append(&mut edge, start..kept.size()).await?;
            if edge.root() != kept.root() {
                // Either the entries were changed or the outside checkpoint is of another past.
                let (size, found, expected) = (kept.size(), edge.root(), kept.root());
                self.compare_with_head(&reader, edge, head, start).await?;
                return Err(AuditError::Rewritten { size, found, expected, path: self.outside.path().to_owned() });
            }
        }
        self.compare_with_head(&reader, edge, head, start).await?;
        Ok(head.size().saturating_sub(start))
    }

    async fn compare_with_head(
        &self,
        reader: &LogReader,
        mut edge: Edge,
        head: &Edge,
        start: u64,
    ) -> Result<(), AuditError> {
        let next = edge.size();
        reader.append(&mut edge, next..head.size()).await?;
        if edge.root() == head.root() {
            return Ok(());
        }
        Err(AuditError::TailDiffers { start, end: head.size(), found: edge.root(), expected: head.root() })
    }

    async fn keep_outside(&self, checkpoint: Option<SignedCheckpoint>, size: u64) -> Result<(), AuditError> {
        let Some(checkpoint) = checkpoint else {
            return Ok(());
        };
        let outside = self.outside.clone();
        blocking(move || outside.keep(&checkpoint, size)).await
    }
}

fn sequenced(appended: u64, edge: &Edge, more: bool) -> Sequenced {
    Sequenced { appended, size: edge.size(), root: edge.root(), more }
}

/// Files are waited for away from the tasks that serve requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AuditError> + Send + 'static,
) -> Result<T, AuditError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(AuditError::Interrupted(error.to_string())),
    }
}

//! Reconciliations: what two systems did not say the same of, from run to run.

use portreeve_model::{Digest, Instant};
use portreeve_record::{Leaf, PayloadKey};

use super::NewException;

/// How far a reconciliation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReconciliationView {
    /// Runs that are on record.
    pub runs: u64,
    /// When the last one was committed that did more than look; none before the first.
    pub last_at: Option<Instant>,
    /// What came of the last one that compared; none before the first.
    pub figures: Option<Figures>,
}

/// What came of comparing two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// When the lists were asked for.
    pub at: Instant,
    /// Keys that were compared.
    pub compared: u64,
    /// Those of them that both systems say the same of.
    pub agreeing: u64,
    /// Keys that differ and changed too lately to be judged.
    pub unsettled: u64,
    /// Keys that differ.
    pub differences: u64,
}

/// Something that a run found and that is not gone yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// Names what was found: its values when people heard of it, or last while they do.
    pub content: Digest,
    /// The exception by which they heard of it.
    pub exception: u64,
    /// Whether that waits for somebody still.
    pub is_open: bool,
}

/// Something that people hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFinding {
    /// What it is about, within its reconciliation.
    pub subject: String,
    /// Names what was found.
    pub content: Digest,
    /// What waits for a person.
    pub exception: NewException,
}

/// Something that is as it was, or different in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingFinding {
    /// What it is about.
    pub subject: String,
    /// Names what was found now.
    pub content: Digest,
    /// One sentence, in the place of the last one.
    pub detail: String,
}

/// A run, with what it changes.
#[derive(Debug)]
pub struct NewRun {
    /// Of which reconciliation.
    pub reconciliation: String,
    /// Runs that were on record when it began.
    pub after: u64,
    /// When it is committed.
    pub at: Instant,
    /// Whether it only looked: then nothing changes but that there was another run.
    pub is_dry: bool,
    /// What came of comparing; none where nothing was compared.
    pub figures: Option<Figures>,
    /// What people hear of from now on. Of a subject that somebody closed before, it takes the
    /// place.
    pub opened: Vec<NewFinding>,
    /// What they hear of already.
    pub standing: Vec<StandingFinding>,
    /// What is gone: their exceptions are closed where they wait still.
    pub gone: Vec<String>,
    /// What blinds the leaf's digests. It takes the place of that of the run before, whose digests
    /// nobody can compare any more.
    pub key: PayloadKey,
    /// The leaf.
    pub leaf: Leaf,
}

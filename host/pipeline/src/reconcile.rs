//! Reconcile: two systems, or this host and one, say what they have, and people hear where they do
//! not say the same.
//!
//! ```text
//! list left ─▶ list right ─▶ compare ─▶ what is new, what stays, what is gone ─▶ commit
//!  connector    connector     pure       against the findings of earlier runs     findings, exceptions, leaf
//!  transformer  transformer                                                       one transaction
//! ```
//!
//! The danger is a wrong alarm that hides the right one. So a run judges two whole lists or
//! nothing at all: a list that ends half way says of no key that a system does not have it. What
//! changed a moment ago is not judged where it differs, since it may be on its way. Numbers of
//! different units are told as what nobody can compare, and never converted.
//!
//! A difference is one finding with one exception for as long as it lasts, whatever its numbers
//! do meanwhile, and closes by itself in the first run that finds none. One that somebody abandoned
//! stays closed until its numbers change. Nothing that a list says goes any further: it is no
//! document, moves no order, and is not kept.

mod agreed;

mod aside;

mod configured;

pub mod difference;

mod listing;

mod own;

mod reading;

pub mod row;

mod whose;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{Digest, ExceptionKind, Instant, OrderId};
use portreeve_record::leaf::{Code, Label, ListRecord, ReconciliationLeaf};
use portreeve_record::{Leaf, LeafBody, PayloadKey, RecordError, SealError};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    Figures, Finding, NewException, NewFinding, NewRun, ReconciliationView, StandingFinding,
};
use tokio::sync::Mutex;

use crate::exception::Limits;
use crate::{Pipeline, SignedIn};
use aside::Aside;
pub use aside::{LeftAside, WhyAside};
use configured::MARGIN_MS;
pub use configured::{Reconciliation, Source};
use difference::{Comparison, Difference, Terms, Told, compare};
pub use listing::{ASKED_MS_MAX, Unheard};
use listing::{Asked, Listed};
use own::Own;
pub use row::Of;
use row::Rows;

/// Findings that are read at once.
const PAGE: u32 = 1_000;

/// What a run could not compare.
const LIST: &str = "list";
/// What a run did not file by itself.
const MORE: &str = "more";
/// Numbers of which nothing says whose they are.
const NUMBERS: &str = "numbers";
/// In front of a key.
const KEY: &str = "key/";

/// One run at a time in this process, so that nobody asks systems for what is then thrown away.
/// Among several the store decides.
#[derive(Debug, Default)]
pub struct Reconciling(Mutex<()>);

/// Why a run came to no end.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// There is no such reconciliation.
    #[error("there is no reconciliation `{0}`; `portreeve.toml` has them as [[reconciliation]]")]
    Unknown(String),
    /// One is under way.
    #[error("another reconciliation runs; try again when it is done")]
    Running,
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
    /// There was nothing to blind a record with.
    #[error("an audit record could not be blinded: {0}")]
    Blind(SealError),
}

/// A run that is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Of which reconciliation.
    pub reconciliation: String,
    /// Which run of it, from 1.
    pub run: u64,
    /// When it began.
    pub at: Instant,
    /// Whether it only looked: then it filed nothing.
    pub is_dry: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both lists were whole.
    Compared(Compared),
    /// One was not, and nothing was judged.
    NotCompared(Unheard),
}

/// What came of comparing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Keys that were compared.
    pub compared: u64,
    /// Those of them that both say the same of.
    pub agreeing: u64,
    /// Keys that differ and changed too lately to be judged.
    pub unsettled: u64,
    /// Keys that differ, with the sentence that tells it, by key.
    pub differences: BTreeMap<String, String>,
    /// Differences that people hear of now.
    pub opened: u64,
    /// Differences of earlier runs that are gone.
    pub closed: u64,
    /// Differences that somebody abandoned as they are.
    pub abandoned: u64,
    /// Differences beyond those that one run files.
    pub not_filed: u64,
    /// What was not compared, since it is about no order of this host as far as anybody can tell.
    pub left_aside: Vec<LeftAside>,
}

impl Pipeline {
    /// Compares what two systems have, and files what differs. A dry run files nothing; that it
    /// looked is on record all the same. `who` is who asked for it; none where the host looks by
    /// itself.
    ///
    /// # Errors
    /// See [`ReconcileError`]; nothing was filed then. That a list was not whole is no error: the
    /// run is on record, and people hear of it.
    pub async fn reconcile(&self, id: &str, who: Option<&SignedIn>, is_dry: bool) -> Result<Run, ReconcileError> {
        let reconciliation = self.routes.reconciliation(id).ok_or_else(|| ReconcileError::Unknown(id.to_owned()))?;
        let _one = self.reconciling.0.try_lock().map_err(|_| ReconcileError::Running)?;
        let runs = self.store.reconciliation(id).await?.runs;
        let began_at = self.clock.now();

        let Sides { left, right, left_out, known, moved, judged_from } = self.both(reconciliation, began_at).await?;
        let (of, settled_by) = (reconciliation.of, reconciliation.settled_by(began_at));
        let terms = Terms { of, settled_by, judged_from, moved: &moved, known: &known, left_out: &left_out };
        let left_aside = right.as_ref().map(|listed| listed.left_aside(terms)).unwrap_or_default();
        let mut compared = compared(&left, &right, terms);
        if let Ok(comparison) = &mut compared {
            self.number_orders(comparison).await?;
        }

        let findings = self.findings(id).await?;
        let filing = match &compared {
            Ok(comparison) => self.filing(reconciliation, comparison, &left_aside, &findings, began_at),
            Err(unheard) => self.filing_of_the_unheard(reconciliation, unheard, &findings, began_at),
        };
        let filing = if is_dry { Filing::default() } else { filing };

        let run = runs.saturating_add(1);
        let lists = [&left, &right].map(|list| list.as_ref().ok());
        let key = PayloadKey::random().map_err(ReconcileError::Blind)?;
        let body = blinded(recorded(reconciliation, run, who, is_dry, &compared, lists, &filing), &key);
        let leaf = Leaf::new(&self.host, began_at, LeafBody::Reconciliation(body))?;
        let figures = compared.as_ref().ok().filter(|_| !is_dry).map(|comparison| figures(comparison, began_at));
        let (opened, closed) = (count(filing.opened.len()), filing.closed(&findings));
        let (abandoned, not_filed) = (filing.abandoned, filing.not_filed);
        let new = NewRun {
            reconciliation: id.to_owned(),
            after: runs,
            at: self.clock.now(),
            is_dry,
            figures,
            opened: filing.opened,
            standing: filing.standing,
            gone: filing.gone,
            key,
            leaf,
        };
        self.store.commit_run(new).await?;
        self.metrics.reconciliation_ended(id, compared.is_ok());

        let outcome = match compared {
            Ok(comparison) => Outcome::Compared(Compared {
                compared: comparison.compared,
                agreeing: comparison.agreeing,
                unsettled: count(comparison.unsettled.len()),
                differences: reconciliation.told(&comparison.differences),
                opened,
                closed,
                abandoned,
                not_filed,
                left_aside: left_aside.told,
            }),
            Err(unheard) => Outcome::NotCompared(unheard),
        };
        Ok(Run { reconciliation: id.to_owned(), run, at: began_at, is_dry, outcome })
    }

    /// Asks both sides.
    async fn both(&self, reconciliation: &Reconciliation, at: Instant) -> Result<Sides, StoreError> {
        let Reconciliation { of, target, left, right, .. } = reconciliation;
        let (left_way, right_way) = (reconciliation.way("left"), reconciliation.way("right"));
        let window = reconciliation.since(at);
        // Open orders are listed as they are now, whatever their age.
        let judged_from = window.filter(|_| of.happens());
        let since = judged_from.map(|from| from.plus_ms(MARGIN_MS.saturating_neg()));
        let theirs = Asked { reconciliation, way: &right_way, source: right, since };
        if let Some(left) = left {
            // At the same time: what moves between two lists looks like a difference.
            let (left, right) = tokio::join!(
                self.list(Rows::new(*of), Asked { reconciliation, way: &left_way, source: left, since }),
                self.list(Rows::new(*of), theirs)
            );
            let moved = match target {
                Some(_) => self.moved_here(reconciliation, window).await?,
                None => BTreeMap::new(),
            };
            return Ok(Sides { left, right, left_out: BTreeSet::new(), known: BTreeSet::new(), moved, judged_from });
        }
        // The host looks after the other one has listed: what moved meanwhile has changed since, by
        // the host's own clock, and is not judged.
        let mut right = self.list(Rows::of_this_host(*of), theirs).await;
        let nothing = Rows::new(*of);
        let theirs = right.as_ref().map_or(&nothing, |listed| &listed.rows);
        let Own { rows, left_out, known } = self.own(reconciliation, theirs, window).await?;
        if let (Ok(rows), Ok(listed)) = (&rows, &mut right) {
            let taken = listed.rows.take_known(rows);
            if let Err(unusable) = taken {
                right = Err(listed.unusable(&unusable));
            }
        }
        let system = reconciliation.left_system();
        let left = rows.map(|rows| Listed::own(system, rows));
        let left = left.map_err(|unusable| Listed::own(system, Rows::new(*of)).unusable(&unusable));
        Ok(Sides { left, right, left_out, known, moved: BTreeMap::new(), judged_from })
    }

    /// When what the host knows of each key changed, where it passes it from one of two systems on to
    /// the other.
    async fn moved_here(
        &self,
        reconciliation: &Reconciliation,
        since: Option<Instant>,
    ) -> Result<BTreeMap<String, Instant>, StoreError> {
        let Own { rows, .. } = self.own(reconciliation, &Rows::new(reconciliation.of), since).await?;
        // What cannot be added up here is told by the lists themselves.
        let cells = rows.and_then(|rows| rows.cells()).unwrap_or_default();
        Ok(cells.into_iter().filter_map(|(key, cell)| Some((key, cell.changed_at?))).collect())
    }

    /// How far each reconciliation is, in the order of the configuration; monitors see it from then
    /// on as well.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reconciliations(&self) -> Result<Vec<(&Reconciliation, ReconciliationView)>, StoreError> {
        let mut found = Vec::new();
        for reconciliation in &self.routes.reconciliations {
            let view = self.store.reconciliation(&reconciliation.id).await?;
            if let Some(figures) = &view.figures {
                self.metrics.reconciled(&reconciliation.id, figures);
            }
            found.push((reconciliation, view));
        }
        Ok(found)
    }

    /// Reconciliations whose time has come by this host's clock. One that was never run is due.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn due_reconciliations(&self) -> Result<Vec<String>, StoreError> {
        let now = self.clock.now();
        let mut due = Vec::new();
        for (reconciliation, ReconciliationView { last_at: last, .. }) in self.reconciliations().await? {
            let Some(every_minutes) = reconciliation.every_minutes else { continue };
            let every_ms = i64::from(every_minutes).saturating_mul(Instant::MINUTE_MS);
            if last.is_none_or(|last| last.plus_ms(every_ms) <= now) {
                due.push(reconciliation.id.clone());
            }
        }
        Ok(due)
    }

    /// What earlier runs found and is not gone yet, by subject.
    async fn findings(&self, id: &str) -> Result<BTreeMap<String, Finding>, StoreError> {
        let (mut findings, mut after) = (BTreeMap::new(), None);
        loop {
            let page = self.store.findings(id, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(findings) };
            after = Some(last.clone());
            findings.extend(page);
        }
    }

    /// What a comparison changes about what is known.
    fn filing(
        &self,
        reconciliation: &Reconciliation,
        comparison: &Comparison,
        left_aside: &Aside,
        findings: &BTreeMap<String, Finding>,
        at: Instant,
    ) -> Filing {
        let mut filing = Filing::default();
        let mut subjects = BTreeSet::new();
        let most = usize::try_from(reconciliation.exceptions_max).unwrap_or(usize::MAX);
        for (key, difference) in &comparison.differences {
            let (subject, content) = (subject_of(key), difference.digest());
            let detail = format!("{}: {}", reconciliation.id, reconciliation.sentence(key, difference));
            match findings.get(&subject) {
                Some(known) if known.is_open => {
                    filing.standing.push(StandingFinding { subject: subject.clone(), content, detail });
                }
                Some(known) if known.content == content => filing.abandoned = filing.abandoned.saturating_add(1),
                _ if filing.opened.len() >= most => filing.not_filed = filing.not_filed.saturating_add(1),
                _ => {
                    let exception = self.told(reconciliation, difference.kind.as_str(), detail, at);
                    filing.opened.push(NewFinding { subject: subject.clone(), content, exception });
                }
            }
            subjects.insert(subject);
        }
        if filing.not_filed > 0 {
            self.file_the_rest(reconciliation, findings.get(MORE), &mut filing, at);
            subjects.insert(MORE.to_owned());
        } else if reconciliation.of.happens()
            && let Some(more) = findings.get(MORE).filter(|more| more.is_open)
        {
            // What was not filed may have become too old, and is not mended by that.
            let detail = reconciliation.rest_unseen();
            filing.standing.push(StandingFinding { subject: MORE.to_owned(), content: more.content, detail });
            subjects.insert(MORE.to_owned());
        }
        let numbers = findings.get(NUMBERS);
        if let Some(unresolved) = left_aside.told.iter().find(|aside| aside.why == WhyAside::Unresolved) {
            self.file_the_unresolved(reconciliation, unresolved, numbers, &mut filing, at);
        }
        // That such rows left the time that is looked at says of no number whose it is; that the host knows all of
        // them by their keys by now says it, and does not undo what somebody abandoned.
        let are_known = left_aside.has_known && numbers.is_some_and(|numbers| numbers.is_open);
        let is_said = are_known || self.routes.says_whose_orders(reconciliation);
        if left_aside.is_unresolved || (reconciliation.of.happens() && !is_said) {
            subjects.insert(NUMBERS.to_owned());
        }
        // What changed a moment ago, or is not judged any more, is neither told nor taken back.
        let subject = |key: &String| subject_of(key);
        subjects.extend(comparison.unsettled.iter().chain(&comparison.unjudged).map(subject));
        let gone = findings.keys().filter(|subject| !subjects.contains(*subject));
        // Of what happens, only what both say the same of is mended.
        let equal: BTreeSet<String> = comparison.equal.iter().map(subject).collect();
        let is_gone = |subject: &&String| {
            !reconciliation.of.happens()
                || [LIST, MORE, NUMBERS].contains(&subject.as_str())
                || equal.contains(*subject)
        };
        filing.gone = gone.filter(is_gone).cloned().collect();
        filing
    }

    fn file_the_rest(
        &self,
        reconciliation: &Reconciliation,
        known: Option<&Finding>,
        filing: &mut Filing,
        at: Instant,
    ) {
        let Reconciliation { id, exceptions_max, .. } = reconciliation;
        let count = filing.not_filed;
        let detail = format!(
            "{id}: found {count} differences more than the {exceptions_max} that one run files, expected fewer: first see whether one of the lists is wrong as a whole; `portreeve reconcile {id} --dry-run` tells all of them"
        );
        let content = Digest::of(&count.to_be_bytes());
        let subject = MORE.to_owned();
        match known {
            Some(known) if known.is_open => filing.standing.push(StandingFinding { subject, content, detail }),
            Some(known) if known.content == content => {}
            _ => {
                let exception = self.told(reconciliation, "more-differences", detail, at);
                filing.opened.push(NewFinding { subject, content, exception });
            }
        }
    }

    /// Of rows that name orders by numbers people hear once, however many there are: what is wrong is how the
    /// host is told whose numbers they are. Whoever abandons that says that they are others'.
    fn file_the_unresolved(
        &self,
        reconciliation: &Reconciliation,
        unresolved: &LeftAside,
        known: Option<&Finding>,
        filing: &mut Filing,
        at: Instant,
    ) {
        let detail = format!(
            "{}: {}; the next run then compares them and closes this; where all are orders of others, abandon this",
            reconciliation.id, unresolved.detail
        );
        let (subject, content) = (NUMBERS.to_owned(), Digest::of(reconciliation.right.system.as_bytes()));
        match known {
            Some(known) if known.is_open => filing.standing.push(StandingFinding { subject, content, detail }),
            Some(known) if known.content == content => {}
            _ => {
                let exception = self.told(reconciliation, unresolved.why.as_str(), detail, at);
                filing.opened.push(NewFinding { subject, content, exception });
            }
        }
    }

    /// A list was not whole: people hear of that, and whatever was found before stays as it is.
    fn filing_of_the_unheard(
        &self,
        reconciliation: &Reconciliation,
        unheard: &Unheard,
        findings: &BTreeMap<String, Finding>,
        at: Instant,
    ) -> Filing {
        let Unheard { system, code, why } = unheard;
        let detail = format!("{}: found no whole list of {system}, so nothing was compared: {why}", reconciliation.id);
        let (subject, content) = (LIST.to_owned(), Digest::of_parts(&[system.as_bytes(), code.as_bytes()]));
        let mut filing = Filing::default();
        match findings.get(LIST) {
            Some(known) if known.is_open => filing.standing.push(StandingFinding { subject, content, detail }),
            Some(known) if known.content == content => {}
            _ => {
                let exception = self.told(reconciliation, code, detail, at);
                filing.opened.push(NewFinding { subject, content, exception });
            }
        }
        filing
    }

    fn told(&self, reconciliation: &Reconciliation, code: &str, detail: String, at: Instant) -> NewException {
        let exception = NewException {
            kind: ExceptionKind::Difference,
            stage: "reconcile",
            code: code.to_owned(),
            detail,
            queue: reconciliation.exception_queue.clone(),
            due_at: None,
        };
        self.dated(exception, at, Limits::default())
    }
}

/// What both sides say.
struct Sides {
    left: Result<Listed, Unheard>,
    right: Result<Listed, Unheard>,
    /// Orders of which the host does not know any more what it had.
    left_out: BTreeSet<OrderId>,
    /// Keys of the right one that the host heard of before the time that is looked at.
    known: BTreeSet<String>,
    /// When what the host passes on between the two changed.
    moved: BTreeMap<String, Instant>,
    /// What happened before it is not judged.
    judged_from: Option<Instant>,
}

/// What a run changes.
#[derive(Default)]
struct Filing {
    opened: Vec<NewFinding>,
    standing: Vec<StandingFinding>,
    gone: Vec<String>,
    abandoned: u64,
    not_filed: u64,
}

impl Filing {
    /// How many that people still heard of are gone.
    fn closed(&self, findings: &BTreeMap<String, Finding>) -> u64 {
        let open = |subject: &&String| findings.get(*subject).is_some_and(|known| known.is_open);
        count(self.gone.iter().filter(open).count())
    }
}

impl Reconciliation {
    fn sentence(&self, key: &str, difference: &Difference) -> String {
        Told { of: self.of, key, difference, left: self.left_system(), right: &self.right.system }.to_string()
    }

    /// That nobody knows what became of differences that were not filed one by one.
    fn rest_unseen(&self) -> String {
        let (id, days) = (&self.id, self.window_days.unwrap_or_default());
        format!(
            "{id}: found no differences any more beyond those that one run files, but earlier ones that were not filed may have left the {days} days that are looked at without being mended, expected somebody to see to them: look at what both systems have of that time, then abandon this"
        )
    }

    fn told(&self, differences: &BTreeMap<String, Difference>) -> BTreeMap<String, String> {
        differences.iter().map(|(key, difference)| (key.clone(), self.sentence(key, difference))).collect()
    }
}

/// By what a finding about a key is known.
fn subject_of(key: &str) -> String {
    format!("{KEY}{key}")
}

/// Compares two lists where both are whole.
fn compared(
    left: &Result<Listed, Unheard>,
    right: &Result<Listed, Unheard>,
    terms: Terms<'_>,
) -> Result<Comparison, Unheard> {
    let unusable = |list: &Listed| list.rows.cells().map_err(|unusable| list.unusable(&unusable));
    let (left, right) = (left.as_ref().map_err(Clone::clone)?, right.as_ref().map_err(Clone::clone)?);
    Ok(compare(&unusable(left)?, &unusable(right)?, terms))
}

fn figures(comparison: &Comparison, at: Instant) -> Figures {
    Figures {
        at,
        compared: comparison.compared,
        agreeing: comparison.agreeing,
        unsettled: count(comparison.unsettled.len()),
        differences: count(comparison.differences.len()),
    }
}

/// What the log says of a run.
fn recorded(
    reconciliation: &Reconciliation,
    run: u64,
    who: Option<&SignedIn>,
    is_dry: bool,
    compared: &Result<Comparison, Unheard>,
    lists: [Option<&Listed>; 2],
    filing: &Filing,
) -> ReconciliationLeaf {
    let [left, right] = lists.map(|list| {
        list.map(|list| ListRecord {
            rows: count(list.rows.len()),
            pages: list.pages,
            digest: list.rows.digest(),
            connector: list.connector,
            transformer: list.transformer,
        })
    });
    let comparison = compared.as_ref().ok();
    ReconciliationLeaf {
        reconciliation: Code::of(&reconciliation.id),
        run,
        of: Code::of(reconciliation.of.as_str()),
        dry: is_dry,
        left,
        right,
        failed: compared.as_ref().err().map(|unheard| Code::of(&unheard.code)),
        compared: comparison.map_or(0, |comparison| comparison.compared),
        agreeing: comparison.map_or(0, |comparison| comparison.agreeing),
        unsettled: comparison.map_or(0, |comparison| count(comparison.unsettled.len())),
        differences: comparison.map_or(0, |comparison| count(comparison.differences.len())),
        digest: comparison.map(Comparison::digest),
        opened: count(filing.opened.len()),
        gone: count(filing.gone.len()),
        who: who.map(|who| Label::of(who.name().as_str())),
    }
}

/// The same with its digests blinded: of what an order comes to, somebody who knows its customer guesses
/// the rest.
fn blinded(leaf: ReconciliationLeaf, key: &PayloadKey) -> ReconciliationLeaf {
    let list = |list: ListRecord| ListRecord { digest: key.blind_digest(&list.digest), ..list };
    ReconciliationLeaf {
        left: leaf.left.map(list),
        right: leaf.right.map(list),
        digest: leaf.digest.map(|digest| key.blind_digest(&digest)),
        ..leaf
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

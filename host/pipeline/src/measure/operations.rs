//! How the host itself is run in a window: how changes went, how well systems agree and what that
//! takes, and how long it took until a channel or a target was in use.
//!
//! What is counted of changes and of reconciliations is what the audit log says of them, record by
//! record; onboarding is what the store keeps of the parts of configurations.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{ExceptionKind, Instant, PluginName};
use portreeve_record::leaf::{PackageLeaf, PackageStep, ReconciliationLeaf};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::StoreError;
use portreeve_store::contract::{After, Part, PartView, Period, Store};

use super::{add, per_hundred};
use crate::oversight::share_bp;

/// Records, or steps, that are read together.
const PAGE: u32 = 500;

/// How the host was run in a window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operations {
    /// How changes went.
    pub changes: ChangeMeasures,
    /// Reconciliations that had a run in the window, by name.
    pub reconciliations: BTreeMap<String, ReconciliationMeasures>,
    /// Steps that people took in the window about exceptions that a reconciliation opened, whenever
    /// it did.
    pub difference_touches: u64,
    /// Channels and targets that came into use in the window, and those that were configured before
    /// its end and are not in use yet. Without those of which nobody kept when they were configured.
    pub onboarding: Vec<Onboarding>,
}

/// How changes of configuration and plugins went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeMeasures {
    /// Versions of the configuration that became active in the window, whatever they changed: the
    /// denominator of the rollback frequency.
    pub versions: u64,
    /// Components that a plugin got in the window, or that were called again after they had not
    /// been: the denominator of change success. Without those of the first configuration of all.
    pub activations: u64,
    /// Those of them that were undone until now, before another one took their place: rolled back,
    /// disabled, taken out, or not trusted any more.
    pub undone: u64,
    /// Rollbacks of a plugin in the window: the numerator of the rollback frequency.
    pub rollbacks: u64,
    /// How often a plugin was disabled or taken out in the window.
    pub disabled: u64,
    /// How often all plugins were stopped at once in the window.
    pub halts: u64,
}

/// How well two systems agreed, and what that took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReconciliationMeasures {
    /// Of what: `stock`, …
    pub of: String,
    /// Runs in the window that did more than look.
    pub runs: u64,
    /// Those of them in which a list was not whole, so that nothing was compared.
    pub not_compared: u64,
    /// What people began to hear of in them: a difference, a list that is not whole, or how many
    /// differences are not told one by one.
    pub opened: u64,
    /// What was gone again in them.
    pub closed: u64,
    /// The last of them that compared; none where none did.
    pub last: Option<LastComparison>,
}

/// What a run that compared found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastComparison {
    /// When the lists were asked for.
    pub at: Instant,
    /// Keys that were compared: the denominator of accuracy.
    pub compared: u64,
    /// Those of them that both systems say the same of: its numerator.
    pub agreeing: u64,
    /// Keys that differ and changed too lately to be judged.
    pub unsettled: u64,
    /// Keys that differ.
    pub differences: u64,
}

/// How long it took until a channel or a target was in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onboarding {
    /// Which.
    pub part: Part,
    /// When the first configuration with it became active; of what was configured and not in use
    /// before its folder noted such times, the first that became active since.
    pub configured_at: Instant,
    /// When a channel's first input with documents was received, or the host knew that a target has
    /// a first delivery; none where that is still to come.
    pub used_at: Option<Instant>,
}

impl ChangeMeasures {
    /// Activations that were not undone among all, basis points; none where there is none.
    #[must_use]
    pub fn success_bp(&self) -> Option<u64> {
        share_bp(self.activations.saturating_sub(self.undone), self.activations)
    }

    /// Rollbacks among versions, basis points; none where there is no version.
    #[must_use]
    pub fn rollback_bp(&self) -> Option<u64> {
        share_bp(self.rollbacks, self.versions)
    }
}

impl LastComparison {
    /// Keys that agree among those that were compared, basis points; none of nothing.
    #[must_use]
    pub fn accuracy_bp(&self) -> Option<u64> {
        share_bp(self.agreeing, self.compared)
    }
}

impl Onboarding {
    /// How long it took, milliseconds; none where it is still to come.
    #[must_use]
    pub fn took_ms(&self) -> Option<i64> {
        Some(self.used_at?.0.saturating_sub(self.configured_at.0).max(0))
    }
}

impl Operations {
    /// Differences, and the like, that people began to hear of.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.reconciliations.values().fold(0, |sum, of| sum.saturating_add(of.opened))
    }

    /// Touches of a hundred that were opened, rounded down; none where none was.
    #[must_use]
    pub fn touches_per_hundred_opened(&self) -> Option<u64> {
        per_hundred(self.difference_touches, self.opened())
    }
}

/// Reads how the host was run in a window.
pub(super) async fn operations(store: &dyn Store, period: Period) -> Result<Operations, StoreError> {
    let mut tally = Tally::default();
    let mut after = After::from(period.from);
    // What becomes of a change is seen after the window, too.
    loop {
        let page = store.operation_leaves(after, Instant(i64::MAX), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = After { at: last.at, number: last.number };
        for leaf in page {
            let unreadable = |error| StoreError::Damaged(format!("a record of operation cannot be read: {error}"));
            let record = Leaf::parse(&leaf.bytes).map_err(unreadable)?;
            tally.take(record.body, record.at, leaf.at < period.until);
        }
    }
    let Tally { changes, halts, reconciliations, .. } = tally;
    let halts = u64::try_from(halts.len()).unwrap_or(u64::MAX);
    Ok(Operations {
        changes: ChangeMeasures { halts, ..changes },
        reconciliations,
        difference_touches: difference_touches(store, period).await?,
        onboarding: store.parts().await?.into_iter().filter_map(|view| onboarded(view, period)).collect(),
    })
}

async fn difference_touches(store: &dyn Store, period: Period) -> Result<u64, StoreError> {
    let (mut touches, mut after) = (0, After::from(period.from));
    loop {
        let page = store.steps_taken(after, period.until, PAGE).await?;
        let Some(last) = page.last() else { return Ok(touches) };
        after = After { at: last.at, number: last.seq };
        let of_people = page.iter().filter(|step| step.kind == ExceptionKind::Difference && step.who.is_some());
        add(&mut touches, u64::try_from(of_people.count()).unwrap_or(u64::MAX));
    }
}

/// A part that came into use in the window, or that is to.
fn onboarded(view: PartView, period: Period) -> Option<Onboarding> {
    let PartView { part, configured_at, used_at } = view;
    let configured_at = configured_at?;
    let belongs = match used_at {
        Some(used_at) => (period.from..period.until).contains(&used_at),
        None => configured_at < period.until,
    };
    belongs.then_some(Onboarding { part, configured_at, used_at })
}

/// What was read so far.
#[derive(Debug, Default)]
struct Tally {
    changes: ChangeMeasures,
    /// Versions in which all plugins were stopped.
    halts: BTreeSet<Option<u64>>,
    /// Plugins whose component was put in its place in the window.
    standing: BTreeSet<PluginName>,
    reconciliations: BTreeMap<String, ReconciliationMeasures>,
}

impl Tally {
    /// Takes a record that says when it was made.
    fn take(&mut self, body: LeafBody, at: Instant, in_window: bool) {
        match body {
            LeafBody::Configuration(_) if in_window => add(&mut self.changes.versions, 1),
            LeafBody::Package(leaf) => self.package(leaf, in_window),
            LeafBody::Reconciliation(leaf) if in_window && !leaf.dry => self.reconciled(leaf, at),
            _ => {}
        }
    }

    fn package(&mut self, leaf: PackageLeaf, in_window: bool) {
        let PackageLeaf { plugin, step, configuration, .. } = leaf;
        match step {
            // One that comes after the window takes the place of what was put there in it.
            PackageStep::Activated if in_window => {
                add(&mut self.changes.activations, 1);
                self.standing.insert(plugin);
            }
            PackageStep::Activated => {
                self.standing.remove(&plugin);
            }
            PackageStep::RolledBack | PackageStep::Disabled | PackageStep::Distrusted => {
                add(&mut self.changes.undone, u64::from(self.standing.remove(&plugin)));
                let counted = match step {
                    PackageStep::RolledBack => &mut self.changes.rollbacks,
                    PackageStep::Disabled => &mut self.changes.disabled,
                    _ => return,
                };
                add(counted, u64::from(in_window));
            }
            PackageStep::Halted if in_window => {
                self.halts.insert(configuration);
            }
            PackageStep::Halted
            | PackageStep::Resumed
            | PackageStep::Installed
            | PackageStep::Staged
            | PackageStep::Quarantined
            | PackageStep::Restored => {}
        }
    }

    fn reconciled(&mut self, leaf: ReconciliationLeaf, at: Instant) {
        let ReconciliationLeaf { reconciliation, of, failed, compared, agreeing, unsettled, differences, .. } = &leaf;
        let measured = self.reconciliations.entry(reconciliation.as_str().to_owned()).or_default();
        of.as_str().clone_into(&mut measured.of);
        add(&mut measured.runs, 1);
        add(&mut measured.not_compared, u64::from(failed.is_some()));
        add(&mut measured.opened, leaf.opened);
        add(&mut measured.closed, leaf.gone);
        if failed.is_none() {
            let (compared, agreeing) = (*compared, *agreeing);
            let (unsettled, differences) = (*unsettled, *differences);
            measured.last = Some(LastComparison { at, compared, agreeing, unsettled, differences });
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::Digest;
    use portreeve_record::leaf::{Code, ConfigurationLeaf, Label, Listed};
    use portreeve_store::contract::PartKind;

    use super::*;

    /// Takes what happened to plugins, each with its hour; the window is hours 0 to 9.
    fn changed(steps: &[(i64, &str, PackageStep)]) -> ChangeMeasures {
        let mut tally = Tally::default();
        for (hour, plugin, step) in steps {
            let plugin = PluginName::parse(plugin).unwrap();
            let leaf = PackageLeaf {
                plugin,
                component: Digest::of(b"component"),
                step: *step,
                cause: None,
                configuration: u64::try_from(*hour).ok(),
                signers: Listed::none(),
                who: Some(Label::of("olga")),
            };
            let configuration = ConfigurationLeaf { version: 1, digest: Digest::of(b"files"), who: Label::of("olga") };
            for body in [LeafBody::Configuration(configuration), LeafBody::Package(leaf)] {
                tally.take(body, Instant(*hour), *hour < 10);
            }
        }
        let halts = u64::try_from(tally.halts.len()).unwrap();
        ChangeMeasures { halts, ..tally.changes }
    }

    #[test]
    fn a_change_succeeded_unless_it_was_undone_before_another_took_its_place() {
        use PackageStep::{Activated, Disabled, Distrusted, Halted, Quarantined, Resumed, RolledBack, Staged};
        let undone = |steps: &[(i64, &str, PackageStep)]| {
            let found = changed(steps);
            (found.activations, found.undone)
        };
        assert_eq!(undone(&[(1, "fraud", Activated)]), (1, 0));
        for how in [RolledBack, Disabled, Distrusted] {
            assert_eq!(undone(&[(1, "fraud", Activated), (5, "fraud", how)]), (1, 1), "{how:?}");
            assert_eq!(undone(&[(1, "fraud", Activated), (50, "fraud", how)]), (1, 1), "{how:?}, after the window");
            assert_eq!(undone(&[(1, "fraud", Activated), (5, "margin", how)]), (1, 0), "{how:?}, of another one");
            assert_eq!(undone(&[(1, "fraud", how)]), (0, 0), "{how:?} of what came before the window");
            let twice = [(1, "fraud", Activated), (2, "fraud", how), (3, "fraud", how)];
            assert_eq!(undone(&twice), (1, 1), "{how:?}, once");
        }
        let replaced = [(1, "fraud", Activated), (12, "fraud", Activated), (13, "fraud", RolledBack)];
        assert_eq!(undone(&replaced), (1, 0), "it stood until another one took its place");
        let both = [(1, "fraud", Activated), (2, "fraud", Activated), (3, "fraud", RolledBack)];
        assert_eq!(undone(&both), (2, 1), "the first stands again");
        for other in [Halted, Resumed, Quarantined, Staged] {
            assert_eq!(undone(&[(1, "fraud", Activated), (2, "fraud", other)]), (1, 0), "{other:?}");
        }
    }

    #[test]
    fn rollbacks_and_stops_count_in_their_window() {
        use PackageStep::{Activated, Disabled, Halted, RolledBack};
        let found = changed(&[
            (1, "fraud", Activated),
            (2, "fraud", RolledBack),
            (3, "margin", Disabled),
            (4, "fraud", Halted),
            (4, "margin", Halted),
            (5, "fraud", Halted),
            (12, "fraud", RolledBack),
            (12, "fraud", Disabled),
            (12, "fraud", Halted),
        ]);
        let expected = ChangeMeasures { versions: 6, activations: 1, undone: 1, rollbacks: 1, disabled: 1, halts: 2 };
        assert_eq!(found, expected);
        assert_eq!((found.success_bp(), found.rollback_bp()), (Some(0), Some(1_666)));
        assert_eq!((ChangeMeasures::default().success_bp(), ChangeMeasures::default().rollback_bp()), (None, None));
    }

    #[test]
    fn a_reconciliation_is_as_accurate_as_its_last_run_that_compared() {
        let leaf = |run: u64, agreeing: u64, opened: u64, gone: u64| ReconciliationLeaf {
            reconciliation: Code::of("stock"),
            run,
            of: Code::of("stock"),
            dry: false,
            left: None,
            right: None,
            failed: None,
            compared: 40,
            agreeing,
            unsettled: 1,
            differences: 39 - agreeing,
            digest: None,
            opened,
            gone,
            who: None,
        };
        let mut tally = Tally::default();
        let failed = ReconciliationLeaf { failed: Some(Code::of("timeout")), ..leaf(3, 0, 1, 0) };
        let dry = ReconciliationLeaf { dry: true, ..leaf(4, 1, 0, 0) };
        for (at, leaf) in
            [(1, leaf(1, 30, 9, 0)), (2, leaf(2, 37, 0, 7)), (3, failed), (4, dry), (10, leaf(5, 0, 39, 0))]
        {
            tally.take(LeafBody::Reconciliation(leaf), Instant(at), at < 10);
        }
        let last = LastComparison { at: Instant(2), compared: 40, agreeing: 37, unsettled: 1, differences: 2 };
        let expected = ReconciliationMeasures {
            of: "stock".to_owned(),
            runs: 3,
            not_compared: 1,
            opened: 10,
            closed: 7,
            last: Some(last),
        };
        assert_eq!(tally.reconciliations, BTreeMap::from([("stock".to_owned(), expected)]));
        assert_eq!(last.accuracy_bp(), Some(9_250));
        let reconciliations = tally.reconciliations;
        let found = Operations { reconciliations, difference_touches: 25, ..Operations::default() };
        assert_eq!((found.opened(), found.touches_per_hundred_opened()), (10, Some(250)));
        assert_eq!(Operations::default().touches_per_hundred_opened(), None);
    }

    #[test]
    fn a_part_is_onboarded_in_the_window_in_which_it_came_into_use() {
        let period = Period { from: Instant(100), until: Instant(200) };
        let view = |configured_at: Option<i64>, used_at: Option<i64>| {
            let part = Part { kind: PartKind::Channel, id: "edi".to_owned() };
            PartView { part, configured_at: configured_at.map(Instant), used_at: used_at.map(Instant) }
        };
        let took = |configured, used| onboarded(view(configured, used), period).map(|found| found.took_ms());
        assert_eq!(took(Some(10), Some(100)), Some(Some(90)));
        assert_eq!(took(Some(10), Some(199)), Some(Some(189)));
        for used in [99, 200] {
            assert_eq!(took(Some(10), Some(used)), None, "{used}");
        }
        assert_eq!((took(Some(150), None), took(Some(200), None)), (Some(None), None), "it waits for its first use");
        assert_eq!(took(None, Some(150)), None, "nobody knows how long it took");
    }
}

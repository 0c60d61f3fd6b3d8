//! The file that says which state may follow which, and everything that is wrong with one.
//!
//! ```toml
//! unshipped = ["freight"]           # items that are invoiced and never shipped
//! warehouse_decides = ["backorder"] # what its code says of a short line and nobody has to agree to
//! part_payments = "told"            # or "expected": whether people hear of a payment that is too small
//!
//! [[transition]]
//! event = "shipment.confirmed"      # or `host = "release"`, what the host decides
//! from = ["packed", "part-shipped"]
//! to = ["part-shipped", "shipped"]  # the order may also stay where it is
//! ```

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::event::ShortReason;
use portreeve_model::strict::{LoadErrors, Problems, SourceFile, Table, choice, one_of, text};
use portreeve_model::{Digest, ProcessState};
use portreeve_store::contract::OrderEventKind;

/// What the host itself decides about an order.
const HOST_STEPS: [&str; 4] = ["validate", "hold", "release", "refuse"];

/// Events by which systems move orders along, by name.
#[must_use]
pub fn said_by_systems() -> Vec<&'static str> {
    let kinds = OrderEventKind::ALL.into_iter().filter(|kind| kind.is_a_systems());
    kinds.map(OrderEventKind::as_str).collect()
}

/// Events that can move an order along: those, and its sender's wish to cancel.
fn events() -> Vec<&'static str> {
    [said_by_systems(), vec![OrderEventKind::CancelRequested.as_str()]].concat()
}

/// In which states an event may come, and in which the order may be afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transition {
    pub(super) from: BTreeSet<ProcessState>,
    pub(super) to: BTreeSet<ProcessState>,
}

/// The process that orders go through: which state may follow which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Of events, by name; no state is in two transitions of a name.
    pub(super) events: BTreeMap<String, Vec<Transition>>,
    /// Of the host, by step.
    host: BTreeMap<String, Vec<Transition>>,
    /// Items that are invoiced and never shipped, such as freight.
    pub(super) unshipped: Vec<String>,
    /// What the warehouse's code decides about a line that it ships short; anything else is for people.
    pub(super) warehouse_decides: Vec<ShortReason>,
    /// Whether people hear of a payment that leaves something open.
    pub(super) part_payments: PartPayments,
    digest: Digest,
}

/// What a payment is that leaves some of what is invoiced open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartPayments {
    /// Too small, and people hear of it.
    Told,
    /// A part, as is agreed: the rest is still to come.
    Expected,
}

/// Those, by the words of the file.
const PART_PAYMENTS: [(&str, PartPayments); 2] = [("told", PartPayments::Told), ("expected", PartPayments::Expected)];

/// What may become of the rest of a short line, by the words of the file.
const SHORT: [(&str, ShortReason); 3] = [
    ("backorder", ShortReason::Backorder),
    ("cancel-rest", ShortReason::NoBackorder),
    ("substitution", ShortReason::Substitution),
];

impl Process {
    /// Reads a process's file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(file: &SourceFile<'_>) -> Result<Self, LoadErrors> {
        let mut problems = Problems::new();
        let process = read_file(*file, &mut problems);
        match process {
            Some(process) if problems.is_empty() => Ok(process),
            _ => Err(LoadErrors::new(problems)),
        }
    }

    /// What the file said, for records.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Every state that an order can be in after this one, however many steps it takes; not
    /// this one, unless it comes round.
    pub(crate) fn after(&self, state: ProcessState) -> BTreeSet<ProcessState> {
        let mut found = BTreeSet::new();
        let mut next = vec![state];
        while let Some(state) = next.pop() {
            let steps = self.transitions().filter(|(_, transition)| transition.from.contains(&state));
            next.extend(steps.flat_map(|(_, transition)| &transition.to).filter(|to| found.insert(**to)));
        }
        found
    }

    /// States that something is said to happen in and that no order gets into.
    fn refuse_unreachable(&self, root: &Table<'_>, problems: &mut Problems) {
        let mut reached = self.after(ProcessState::Received);
        reached.insert(ProcessState::Received);
        let from = self.transitions().flat_map(|(_, transition)| &transition.from);
        let lost: BTreeSet<&str> = from.filter(|state| !reached.contains(state)).map(|state| state.as_str()).collect();
        if !lost.is_empty() {
            let found = format!("without a way from `received` to {}", Vec::from_iter(lost).join(", "));
            root.wrong("transition", &found, "one into each state that another one begins from", problems);
        }
    }

    /// States in which an event may come, and states in which the order may be afterwards.
    #[must_use]
    pub fn around(&self, event: &str) -> (BTreeSet<ProcessState>, BTreeSet<ProcessState>) {
        let of_event = || self.events.get(event).into_iter().flatten();
        let from: BTreeSet<_> = of_event().flat_map(|transition| transition.from.iter().copied()).collect();
        let to = of_event().flat_map(|transition| transition.to.iter().copied());
        // An order may also stay where it is.
        let to = from.iter().copied().chain(to).collect();
        (from, to)
    }

    fn transitions(&self) -> impl Iterator<Item = (&str, &Transition)> {
        let all = self.host.iter().chain(&self.events);
        all.flat_map(|(name, transitions)| transitions.iter().map(|transition| (name.as_str(), transition)))
    }

    /// The process as a Mermaid state diagram.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = "stateDiagram-v2\n    [*] --> received\n".to_owned();
        for (from, to, names) in self.edges() {
            // A state's name has no dash there.
            let (from, to) = (from.as_str().replace('-', "_"), to.as_str().replace('-', "_"));
            text.push_str(&format!("    {from} --> {to}: {}\n", names.join(", ")));
        }
        text
    }

    /// The process for Graphviz.
    #[must_use]
    pub fn graphviz(&self) -> String {
        let mut text = "digraph process {\n    rankdir = LR;\n    node [shape = box];\n".to_owned();
        for (from, to, names) in self.edges() {
            let label = names.join("\\n");
            text.push_str(&format!("    \"{from}\" -> \"{to}\" [label = \"{label}\"];\n"));
        }
        text.push_str("}\n");
        text
    }

    /// From where to where, and by what; in the order of the way.
    fn edges(&self) -> Vec<(ProcessState, ProcessState, Vec<&str>)> {
        let mut edges: BTreeMap<(ProcessState, ProcessState), Vec<&str>> = BTreeMap::new();
        for (name, transition) in self.transitions() {
            for from in &transition.from {
                let others = transition.to.iter().filter(|to| *to != from);
                others.for_each(|to| edges.entry((*from, *to)).or_default().push(name));
            }
        }
        edges.into_iter().map(|((from, to), names)| (from, to, names)).collect()
    }
}

fn read_file(file: SourceFile<'_>, problems: &mut Problems) -> Option<Process> {
    let mut root = Table::parse(file, problems)?;
    let unshipped = root.list("unshipped", "the number of an item", problems, text);
    let words = one_of(SHORT.iter().map(|(word, _)| *word));
    let warehouse_decides = root.list("warehouse_decides", &words, problems, |value| choice(value, &SHORT));
    let words = one_of(PART_PAYMENTS.iter().map(|(word, _)| *word));
    let part_payments = root.optional("part_payments", &words, problems, |value| choice(value, &PART_PAYMENTS));
    let (events, host) = (BTreeMap::new(), BTreeMap::new());
    let part_payments = part_payments.unwrap_or(PartPayments::Told);
    let digest = Digest::of(file.text.as_bytes());
    let mut process = Process { events, host, unshipped, warehouse_decides, part_payments, digest };
    for mut table in root.tables("transition", problems) {
        read_transition(&mut table, &mut process, problems);
        table.finish(problems);
    }
    // Only of a file that is right so far: one slip would make whatever follows unreachable.
    if problems.is_empty() {
        process.refuse_unreachable(&root, problems);
    }
    root.finish(problems);
    Some(process)
}

fn read_transition(table: &mut Table<'_>, process: &mut Process, problems: &mut Problems) {
    let is_named = table.has("event") || table.has("host");
    let event = read_name(table, "event", &events(), problems);
    let host = read_name(table, "host", &HOST_STEPS, problems);
    let states = ProcessState::ALL.map(|state| (state.as_str(), state));
    let words = one_of(states.iter().map(|(word, _)| *word));
    let mut read = |key, problems: &mut Problems| -> BTreeSet<ProcessState> {
        table.list(key, &words, problems, |value| choice(value, &states)).into_iter().collect()
    };
    let transition = Transition { from: read("from", problems), to: read("to", problems) };
    if transition.from.is_empty() {
        table.wrong("from", "without a state", &words, problems);
    }
    let (name, of) = match (event, host) {
        (Some(event), None) => (event, &mut process.events),
        (None, Some(step)) => (step, &mut process.host),
        // What is there and wrong was told already.
        (None, None) if is_named => return,
        (None, None) => return table.wrong("event", "missing, and so is `host`", "one of the two", problems),
        (Some(_), Some(_)) => return table.wrong("host", "there beside `event`", "one of the two", problems),
    };
    let others = of.entry(name.clone()).or_default();
    if others.iter().any(|other| !other.from.is_disjoint(&transition.from)) {
        let found = format!("a state that another transition of `{name}` has");
        table.wrong("from", &found, "each state in one of them", problems);
    }
    others.push(transition);
}

fn read_name(table: &mut Table<'_>, key: &'static str, known: &[&str], problems: &mut Problems) -> Option<String> {
    table.optional(key, &one_of(known.iter().copied()), problems, |v| {
        text(v).filter(|name| known.contains(&name.as_str()))
    })
}

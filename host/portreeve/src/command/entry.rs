//! An entry of the audit log in a line for people: what happened, to what, by whom. Digests and
//! commitments are for programs, which get the record itself.

use portreeve_model::Matter;
use portreeve_record::LeafBody;
use portreeve_record::leaf::{
    AcceptLeaf, AttemptLeaf, CrossingRecord, DecideLeaf, EscalationLeaf, ExceptionLeaf, HoldRecord, Label, LateLeaf,
    LateStep, PackageLeaf, PollLeaf, ReceiptLeaf, ReconciliationLeaf, ReplayLeaf, ReviewLeaf, SessionLeaf,
    SubscriptionLeaf,
};
use serde::Serialize;

/// What an entry says.
pub(super) fn told(body: &LeafBody) -> String {
    match body {
        LeafBody::Configuration(leaf) => format!("version {} is active, by {}", leaf.version, leaf.who),
        LeafBody::Reference(leaf) => {
            format!("table {} is version {} with {} rows", leaf.table, leaf.version, leaf.rows)
        }
        LeafBody::Accept(leaf) => accepted(leaf),
        LeafBody::Decide(leaf) => decided(leaf),
        LeafBody::Attempt(leaf) => attempted(leaf),
        LeafBody::Receipt(leaf) => received(leaf),
        LeafBody::Exception(leaf) => exception(leaf),
        LeafBody::Retention(leaf) => {
            format!("content of {} input(s) finished before {}", leaf.inputs.count(), leaf.before)
        }
        LeafBody::Package(leaf) => package(leaf),
        LeafBody::Review(leaf) => reviewed(leaf),
        LeafBody::Escalation(leaf) => escalated(leaf),
        LeafBody::Person(leaf) => format!("account {}: {}, by {}", leaf.person, leaf.step.as_str(), leaf.who),
        LeafBody::Session(leaf) => session(leaf),
        LeafBody::Overdue(leaf) => {
            format!(
                "order {}: number {} to {} was to be acknowledged by {}",
                leaf.order, leaf.number, leaf.target, leaf.due_at
            )
        }
        LeafBody::Late(leaf) => late(leaf),
        LeafBody::Poll(leaf) => polled(leaf),
        LeafBody::Subscription(leaf) => subscribed(leaf),
        LeafBody::Reconciliation(leaf) => reconciled(leaf),
        LeafBody::Replay(leaf) => replayed(leaf),
    }
}

fn late(leaf: &LateLeaf) -> String {
    let LateLeaf { order, target, message, due_at, step } = leaf;
    let became = match step {
        LateStep::Told => "did not go out",
        LateStep::Sent => "went out late",
    };
    format!("order {order}: {message} to {target} was due by {due_at} and {became}")
}

fn reconciled(leaf: &ReconciliationLeaf) -> String {
    let ReconciliationLeaf { reconciliation, run, compared, differences, unsettled, opened, gone, .. } = leaf;
    let by = leaf.who.as_ref().map_or_else(String::new, |who| format!(", by {who}"));
    if let Some(why) = &leaf.failed {
        return format!("{reconciliation}: run {run} compared nothing ({why}){by}");
    }
    let filed = if leaf.dry { "only looked".to_owned() } else { format!("{opened} new, {gone} gone") };
    format!("{reconciliation}: run {run} compared {compared}, {differences} differ, {unsettled} unsettled; {filed}{by}")
}

fn accepted(leaf: &AcceptLeaf) -> String {
    let AcceptLeaf { channel, sender, documents, outcome, .. } = leaf;
    let call = called(leaf.crossing.iter());
    format!("{channel} from {sender}: {call}{}, {} document(s)", word(outcome), documents.count())
}

fn decided(leaf: &DecideLeaf) -> String {
    let order = match (leaf.order, leaf.about, leaf.item) {
        (Some(order), ..) => format!("order {order}: "),
        (None, Some(about), _) => format!("about order {about}: "),
        (None, None, Some(item)) => format!("item {item}: "),
        (None, None, None) => String::new(),
    };
    let holds = listed((leaf.policy_holds.shown(), leaf.policy_holds.count()), ToString::to_string);
    let holds = if holds.is_empty() { holds } else { format!(", held by {holds}") };
    let told = if leaf.told { ", which is told" } else { "" };
    format!("{order}{}{}{holds}{told}", called(leaf.crossings.shown()), word(&leaf.state))
}

fn attempted(leaf: &AttemptLeaf) -> String {
    let call = called(leaf.looked_up.iter().chain(&leaf.crossing));
    format!("{}attempt {} to {}{}", matter(leaf.matter()), leaf.attempt, leaf.target, after(&call))
}

fn received(leaf: &ReceiptLeaf) -> String {
    let call = called(leaf.crossing.iter());
    format!("{}attempt {}, {call}{}", matter(leaf.matter()), leaf.attempt, word(&leaf.outcome))
}

fn matter(matter: Option<Matter>) -> String {
    match matter {
        Some(Matter::Order(order)) => format!("order {order}: "),
        Some(Matter::Item(item)) => format!("item {item}: "),
        None => String::new(),
    }
}

fn exception(leaf: &ExceptionLeaf) -> String {
    let about = leaf.order.map_or_else(String::new, |order| format!(" about order {order}"));
    let queue = leaf.queue.as_ref().map_or_else(String::new, |queue| format!(", queue {queue}"));
    format!("exception {}{about}: {} in {}{queue}{}", leaf.exception, leaf.code, leaf.stage, by(leaf.who.as_ref()))
}

fn package(leaf: &PackageLeaf) -> String {
    format!("{}: {} {}{}", leaf.plugin, word(&leaf.step), leaf.component, by(leaf.who.as_ref()))
}

fn reviewed(leaf: &ReviewLeaf) -> String {
    let who = leaf.who.as_ref().map_or_else(|| "the host".to_owned(), ToString::to_string);
    let opened = listed((leaf.opened.shown(), leaf.opened.count()), ToString::to_string);
    let opened = if opened.is_empty() { opened } else { format!(", and {opened} held it") };
    let closed = listed((leaf.closed.shown(), leaf.closed.count()), hold);
    format!("order {}: {who} ended hold(s) {closed}{opened}; {}", leaf.order, word(&leaf.state))
}

fn escalated(leaf: &EscalationLeaf) -> String {
    let EscalationLeaf { exception, order, waits, due_at, queue, from } = leaf;
    let from = from.as_ref().map_or_else(String::new, |from| format!(" in queue {from}"));
    let about = order.map_or_else(String::new, |order| format!(" about order {order}"));
    format!("exception {exception}{about}: {waits} was due {due_at}{from}, and is queue {queue}'s")
}

fn replayed(leaf: &ReplayLeaf) -> String {
    let ReplayLeaf { target, since, until, count, part, parts, who, .. } = leaf;
    let part = if *parts > 1 { format!(", part {part} of {parts}") } else { String::new() };
    format!("{count} deliveries that {target} took from {since} until {until} are sent again{part}, by {who}")
}

fn session(leaf: &SessionLeaf) -> String {
    let whose = leaf.person.as_ref().map_or_else(|| "no account".to_owned(), |person| format!("account {person}"));
    let why = leaf.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("{whose}: {}{why}, {} time(s)", leaf.step.as_str(), leaf.count)
}

fn polled(leaf: &PollLeaf) -> String {
    let why = leaf.code.as_ref().map_or_else(String::new, |code| format!(" ({code})"));
    format!("poll {} of {}: {} after {} failure(s){why}", leaf.poll, leaf.channel, word(&leaf.step), leaf.failures)
}

fn subscribed(leaf: &SubscriptionLeaf) -> String {
    let SubscriptionLeaf { poll, channel, step, attempt, until, code, crossing, .. } = leaf;
    let until = until.as_ref().map_or_else(String::new, |until| format!(" until {until}"));
    let why = code.as_ref().map_or_else(String::new, |code| format!(" ({code})"));
    let call = called(crossing.iter());
    format!("subscription of poll {poll} on {channel}: {call}{} at try {attempt}{until}{why}", word(step))
}

fn hold(hold: &HoldRecord) -> String {
    format!("{} ({})", hold.hold, hold.reason)
}

/// The calls of plugins that an entry is about, before what became of them.
fn called<'a>(crossings: impl IntoIterator<Item = &'a CrossingRecord>) -> String {
    let calls = crossings.into_iter().map(|crossing| format!("{} {}", crossing.plugin, crossing.call));
    let calls: Vec<String> = calls.collect();
    if calls.is_empty() { String::new() } else { format!("{}; ", calls.join(", ")) }
}

/// The same after it.
fn after(calls: &str) -> String {
    let calls = calls.trim_end_matches("; ");
    if calls.is_empty() { String::new() } else { format!("; {calls}") }
}

fn by(who: Option<&Label>) -> String {
    who.map_or_else(String::new, |who| format!(", by {who}"))
}

/// The items that stand in the record, and that there were more.
fn listed<T>((shown, count): (&[T], u32), text: impl Fn(&T) -> String) -> String {
    let told: Vec<String> = shown.iter().map(text).collect();
    let more = if usize::try_from(count).is_ok_and(|count| count > told.len()) { ", …" } else { "" };
    format!("{}{more}", told.join(", "))
}

/// The word that stands in the record.
fn word(of: &impl Serialize) -> String {
    let word = serde_json::to_value(of).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned()
}

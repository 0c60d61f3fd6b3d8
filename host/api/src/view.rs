//! What operators read, as JSON: shapes and their making, nothing else.
//!
//! Amounts are decimal digits in minor units, as text: a script must not round
//! them. Times are RFC 3339.

use std::collections::BTreeMap;

use portreeve_model::value::Decimal;
use portreeve_pipeline::Routes;
use portreeve_pipeline::decision::{DecisionRecord, FindingRecord};
use portreeve_pipeline::process::{LineProgress, MoneyProgress, Progress};
use portreeve_pipeline::review::{ReviewRecord, ReviewedFinding};
use portreeve_record::leaf::{LeafRecord, ReceiptOutcome};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::contract::{
    DeliveryView, HoldView, InputView, InterchangeAnswer, OrderEventView, OrderTrail, OrderView, ProgressView,
    ReviewView, Summary,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::exception::Exception;

/// Reviews in an order's story: the latest. Each is a sealed record that is opened for whoever
/// asks.
pub const REVIEWS_SHOWN_MAX: usize = 20;

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Orders {
    /// In the order of the journal.
    pub(crate) orders: Vec<Order>,
    /// The `after` of the next page; none on the last one.
    pub(crate) next: Option<u64>,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    /// The host's id.
    id: String,
    /// Its place in the journal.
    position: u64,
    /// The sender's number.
    number: String,
    /// The channel.
    channel: String,
    /// `released`, `held`, `routed`, `refused` or `exception`.
    state: &'static str,
    /// Who works on it.
    queue: Option<String>,
    /// What it is worth, in minor units.
    value_minor: String,
    /// ISO 4217.
    currency: String,
    /// Whether it carries a recommendation.
    recommended: bool,
    /// One line.
    why: String,
    /// The configuration that decided.
    configuration: u64,
    /// Where it goes.
    deliveries: Vec<Delivery>,
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The target system.
    target: String,
    /// The kind of message.
    kind: String,
    /// The journal position of the document that said what is delivered; none where that is the
    /// order as it came.
    said: Option<u64>,
    /// `pending`, `withheld`, `in-doubt`, `delivered`, `dead` or `abandoned`. In doubt is
    /// one that is withheld and may have arrived all the same: the target is asked.
    state: String,
    /// Attempts so far.
    attempts: u32,
    /// The target's identifier.
    external_id: Option<String>,
    /// The code of how the last attempt ended that delivered nothing.
    problem: Option<String>,
    /// When it is tried again, or the target is asked, at the earliest.
    next_at: Option<String>,
    /// What it is known by at its receiver; none where it has no number.
    interchange: Option<Interchange>,
}

/// What a delivery is known by at its receiver, and what that says of having got it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Interchange {
    /// The receiver.
    partner: String,
    /// Its number, in each attempt.
    number: u64,
    /// `accepted`, `accepted-with-errors` or `rejected`; none while the receiver said nothing.
    answer: Option<&'static str>,
    /// By when it was to say something; none where nobody waits for that, or it is not sent yet.
    acknowledge_by: Option<String>,
}

/// An order's whole story.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Story {
    /// The order.
    #[serde(flatten)]
    order: Order,
    /// The input that it came in.
    input: Input,
    /// How it was decided; none when its record was erased.
    decision: Option<Decision>,
    /// What keeps it, and what did; oldest first.
    holds: Vec<Hold>,
    /// How often it was looked at again; the latest 20, oldest first.
    reviews: Vec<Review>,
    /// What came about it later; the latest 20.
    events: Vec<OrderEvent>,
    /// How far it is by what systems said; none where none said anything that counts.
    progress: Option<Course>,
    /// Every attempt to deliver it, in the order of the log.
    attempts: Vec<Attempt>,
    /// What waits for a person, or waited.
    exceptions: Vec<Exception>,
    /// What the audit log has about it.
    audit: Vec<Entry>,
}

/// An input.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Input {
    /// Its id.
    id: String,
    /// The channel.
    channel: String,
    /// Who sent it.
    sender: String,
    /// When.
    received_at: String,
    /// `documents`, `rejected` or `unparsed`.
    disposition: String,
    /// Which of its documents the order is, from 0.
    document: u32,
    /// What that document is, for example `x12/850`.
    kind: String,
}

/// A decision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Decision {
    /// When.
    decided_at: String,
    /// Digest of grants and policies.
    authority: String,
    /// What the host's rules found.
    findings: Vec<Finding>,
    /// What the scorers said.
    scores: Vec<Score>,
    /// What each proposal may cause, and why.
    verdicts: Vec<Verdict>,
}

/// A finding of the host's rules.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Finding {
    /// Stable code.
    code: String,
    /// The line.
    line: Option<String>,
    /// What was found.
    found: String,
    /// What was expected.
    expected: String,
    /// `hold` or `refuse`.
    consequence: String,
}

/// What a scorer said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Score {
    /// Who.
    plugin: String,
    /// Digest of the component.
    component: String,
    /// 0 to 10000; none when it failed.
    score_bp: Option<u16>,
    /// Reason code to signed contribution.
    reasons: BTreeMap<String, i64>,
    /// Why it failed.
    failure: Option<String>,
}

/// What a proposal may cause.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    /// Who proposed.
    plugin: String,
    /// `hold`, `route` or `recommend`.
    proposed: Option<String>,
    /// `granted`, `narrowed` or `refused`.
    outcome: String,
    /// Stable code.
    code: String,
    /// What it causes.
    effect: String,
    /// One line.
    summary: String,
    /// Every clause that was looked at.
    clauses: Vec<Clause>,
}

/// A clause of a grant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Clause {
    /// The grant's key.
    name: String,
    /// What was found.
    found: String,
    /// What is required.
    required: String,
    /// Whether it was met.
    met: bool,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Hold {
    /// Its number, by which it is released.
    number: u64,
    /// `policy`, `advice`, `route` or `spent-budget`.
    owner: String,
    /// The scorer, unless it is the host's own.
    plugin: Option<String>,
    /// Stable reason code; of a scorer's hold, its own words.
    reason: String,
    /// Who may release it.
    queue: String,
    /// Line numbers; none means the whole order.
    lines: Vec<String>,
    /// Since when.
    opened_at: String,
    /// Until when somebody is to look at it; it never ends by itself.
    expires_at: String,
    /// When it ended; none while it keeps the order back.
    closed_at: Option<String>,
    /// The account that released it; none where the host cleared its own.
    closed_by: Option<String>,
}

/// A look at an order after its decision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// When.
    at: String,
    /// The account that released; none where the host cleared its own holds.
    who: Option<String>,
    /// The configuration that was active.
    configuration: u64,
    /// The id of its entry in the audit log.
    leaf: String,
    /// Whether its record was erased: then nothing of it is known but the above.
    erased: bool,
    /// Why, in the account's words.
    reason: Option<String>,
    /// Where it left the order.
    state: Option<String>,
    /// What the host's rules found.
    findings: Vec<ReviewFinding>,
    /// The holds that ended, by number.
    closed: Vec<u64>,
    /// Codes of what kept it back from then on.
    opened: Vec<String>,
}

/// A finding of a review.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReviewFinding {
    /// What was found.
    #[serde(flatten)]
    finding: Finding,
    /// Whether it did not count, since an account let it pass.
    quiet: bool,
}

/// What came about an order after it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderEvent {
    /// The event's name, for example `order.changed` or `shipment.confirmed`.
    r#type: &'static str,
    /// `noted` of what its sender says. Of what a system says `applied`, `again` (it was said
    /// before), `early` (it waits for its turn) or `impossible`.
    outcome: &'static str,
    /// The input that it came in.
    input: String,
    /// Its place in the journal.
    position: u64,
    /// When it came.
    received_at: String,
    /// When it was decided.
    decided_at: String,
    /// The id of its entry in the audit log.
    leaf: String,
    /// What it says; none when it was erased.
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
}

/// How far an order is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// A state of the process, for example `part-shipped`.
    state: &'static str,
    /// How many events moved it.
    moves: u64,
    /// Its lines; none where what moved it last was erased.
    lines: Option<Vec<CourseLine>>,
    /// What was asked for and paid; none where that was erased.
    money: Option<CourseMoney>,
}

/// How far a line is: decimal numbers of its unit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CourseLine {
    /// Its number.
    number: String,
    /// The unit, as the order has it.
    unit: String,
    /// Ordered.
    ordered: String,
    /// Set aside.
    allocated: String,
    /// Picked.
    picked: String,
    /// Packed.
    packed: String,
    /// Left the warehouse.
    shipped: String,
    /// Will never leave.
    cancelled: String,
    /// Invoiced.
    invoiced: String,
    /// Came back.
    returned: String,
}

/// What was asked for and paid.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CourseMoney {
    /// The order's.
    currency: String,
    /// Invoices less credit memos.
    invoiced_minor: String,
    /// What is invoiced, and not paid or paid back again; 0 where more is paid than that.
    open_minor: String,
    /// Settled payments.
    paid_minor: String,
    /// Refunds.
    refunded_minor: String,
}

/// An attempt to deliver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    /// The target, as the log names it.
    target: String,
    /// From 1.
    number: u32,
    /// When it began.
    at: String,
    /// How it ended; none while that is not known.
    outcome: Option<String>,
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// Its index; none until it has one, within a second.
    index: Option<u64>,
    /// Its id, to prove it by.
    id: String,
    /// For example `accept`, `decide`, `review`, `attempt` or `receipt`.
    kind: String,
    /// When it was written.
    at: String,
}

impl Order {
    pub(crate) fn of(order: OrderView) -> Self {
        Self {
            id: order.id.to_string(),
            position: order.position.0,
            number: order.number,
            channel: order.channel.to_string(),
            state: order.state.as_str(),
            queue: order.queue,
            value_minor: order.value.minor.to_string(),
            currency: order.value.currency.to_string(),
            recommended: order.recommended,
            why: order.why,
            configuration: order.configuration,
            deliveries: order.deliveries.into_iter().map(Delivery::of).collect(),
        }
    }
}

impl Delivery {
    /// As operators read it.
    #[must_use]
    pub fn of(delivery: DeliveryView) -> Self {
        let DeliveryView { target, kind, said, state, attempts, external_id, problem, next_at, .. } = delivery;
        let acknowledge_by = delivery.acknowledge_by.map(|at| at.to_string());
        let interchange = delivery.interchange.map(|known| Interchange {
            partner: known.partner,
            number: known.number,
            answer: known.answer.map(InterchangeAnswer::as_str),
            acknowledge_by,
        });
        let (said, next_at) = (said.map(|position| position.0), next_at.map(|at| at.to_string()));
        Self { target, kind, said, state, attempts, external_id, problem, next_at, interchange }
    }
}

/// What the sealed records of an order say; none in the place of one that was erased.
#[derive(Default)]
pub(crate) struct Told {
    /// How it was decided.
    pub(crate) decision: Option<DecisionRecord>,
    /// Of each of the trail's reviews, in their order.
    pub(crate) reviews: Vec<Option<ReviewRecord>>,
    /// Of each of the trail's events, in their order.
    pub(crate) events: Vec<Option<serde_json::Value>>,
    /// How far it is.
    pub(crate) progress: Option<Progress>,
}

impl Story {
    pub(crate) fn of(order: OrderView, trail: OrderTrail, told: Told, routes: &Routes) -> Self {
        let leaves: Vec<LeafRecord> = trail.leaves.iter().filter_map(|leaf| Leaf::parse(&leaf.bytes).ok()).collect();
        let audit = trail.leaves.into_iter().map(|leaf| {
            let record = Leaf::parse(&leaf.bytes);
            Entry {
                index: leaf.index,
                id: leaf.id.to_string(),
                // Damage shows here as what it is; `audit verify` says which.
                kind: record.as_ref().map_or("unreadable", |record| record.body.kind()).to_owned(),
                at: record.map_or_else(|_| String::new(), |record| record.at.to_string()),
            }
        });
        Self {
            order: Order::of(order),
            input: Input::of(trail.input),
            decision: told.decision.map(Decision::of),
            holds: trail.holds.into_iter().map(Hold::of).collect(),
            reviews: trail
                .reviews
                .into_iter()
                .zip(told.reviews)
                .map(|(review, said)| Review::of(review, said))
                .collect(),
            events: trail
                .events
                .into_iter()
                .zip(told.events)
                .map(|(event, said)| OrderEvent::of(event, said))
                .collect(),
            progress: trail.progress.map(|found| Course::of(found, told.progress)),
            attempts: attempts(&leaves),
            exceptions: trail.exceptions.into_iter().map(|exception| Exception::of(exception, routes)).collect(),
            audit: audit.collect(),
        }
    }
}

/// Attempts with the receipts that ended them.
fn attempts(leaves: &[LeafRecord]) -> Vec<Attempt> {
    let outcome = |outbox, number| {
        leaves.iter().find_map(|leaf| match &leaf.body {
            LeafBody::Receipt(receipt) if receipt.outbox == outbox && receipt.attempt == number => {
                Some(outcome_word(receipt.outcome).to_owned())
            }
            _ => None,
        })
    };
    leaves
        .iter()
        .filter_map(|leaf| match &leaf.body {
            LeafBody::Attempt(attempt) => Some(Attempt {
                target: attempt.target.as_str().to_owned(),
                number: attempt.attempt,
                at: leaf.at.to_string(),
                outcome: outcome(attempt.outbox, attempt.attempt),
            }),
            _ => None,
        })
        .collect()
}

fn outcome_word(outcome: ReceiptOutcome) -> &'static str {
    match outcome {
        ReceiptOutcome::Applied => "applied",
        ReceiptOutcome::Rejected => "rejected",
        ReceiptOutcome::Retry => "retry",
        ReceiptOutcome::Unknown => "unknown",
        ReceiptOutcome::Found => "found",
        ReceiptOutcome::Absent => "absent",
        ReceiptOutcome::Dead => "dead",
    }
}

impl Input {
    fn of(input: InputView) -> Self {
        Self {
            id: input.id.0.to_string(),
            channel: input.channel.to_string(),
            sender: input.sender,
            received_at: input.received_at.to_string(),
            disposition: input.disposition,
            document: input.document,
            kind: input.kind,
        }
    }
}

impl Hold {
    fn of(hold: HoldView) -> Self {
        let (closed_at, closed_by) = hold.closed.map(|closed| (closed.at.to_string(), closed.who)).unzip();
        Self {
            number: hold.number,
            owner: hold.owner,
            plugin: hold.plugin,
            reason: hold.reason,
            queue: hold.queue,
            lines: hold.lines,
            opened_at: hold.opened_at.to_string(),
            expires_at: hold.expires_at.to_string(),
            closed_at,
            closed_by: closed_by.flatten(),
        }
    }
}

impl Review {
    /// As people read it; `said` is its record, unless that was erased.
    #[must_use]
    pub fn of(review: ReviewView, said: Option<ReviewRecord>) -> Self {
        let unsaid = Self {
            at: review.at.to_string(),
            who: review.who,
            configuration: review.configuration,
            leaf: review.leaf.to_string(),
            erased: true,
            reason: None,
            state: None,
            findings: Vec::new(),
            closed: Vec::new(),
            opened: Vec::new(),
        };
        let Some(said) = said else { return unsaid };
        Self {
            erased: false,
            reason: said.reason,
            state: Some(said.state),
            findings: said.findings.into_iter().map(ReviewFinding::of).collect(),
            closed: said.closed.iter().map(|hold| hold.hold).collect(),
            opened: said.opened,
            ..unsaid
        }
    }
}

impl ReviewFinding {
    fn of(ReviewedFinding { finding, quiet }: ReviewedFinding) -> Self {
        Self { finding: Finding::of(finding), quiet }
    }
}

impl Finding {
    fn of(finding: FindingRecord) -> Self {
        let FindingRecord { code, line, found, expected, consequence } = finding;
        Self { code, line, found, expected, consequence }
    }
}

impl OrderEvent {
    fn of(event: OrderEventView, data: Option<serde_json::Value>) -> Self {
        Self {
            r#type: event.kind.as_str(),
            outcome: event.outcome.as_str(),
            input: event.input.0.to_string(),
            position: event.position.0,
            received_at: event.received_at.to_string(),
            decided_at: event.decided_at.to_string(),
            leaf: event.leaf.to_string(),
            data,
        }
    }
}

impl Course {
    /// As it is told; without what was erased.
    #[must_use]
    pub fn of(found: ProgressView, progress: Option<Progress>) -> Self {
        let (lines, money) = match progress {
            Some(progress) => {
                let money = CourseMoney::of(&progress.money);
                let lines = progress.lines.into_iter().map(|(number, line)| CourseLine::of(number, &line));
                (Some(lines.collect()), Some(money))
            }
            None => (None, None),
        };
        Self { state: found.state.as_str(), moves: found.version, lines, money }
    }
}

impl CourseLine {
    fn of(number: String, line: &LineProgress) -> Self {
        let shown = |units| Decimal { units, scale: line.scale }.to_string();
        Self {
            number,
            unit: line.unit.clone(),
            ordered: shown(line.ordered),
            allocated: shown(line.allocated),
            picked: shown(line.picked),
            packed: shown(line.packed),
            shipped: shown(line.shipped),
            cancelled: shown(line.cancelled()),
            invoiced: shown(line.invoiced),
            returned: shown(line.returned),
        }
    }
}

impl CourseMoney {
    fn of(money: &MoneyProgress) -> Self {
        Self {
            currency: money.currency.to_string(),
            invoiced_minor: money.invoiced_minor.to_string(),
            open_minor: money.open_minor().to_string(),
            paid_minor: money.paid_minor.to_string(),
            refunded_minor: money.refunded_minor.to_string(),
        }
    }
}

impl Decision {
    fn of(record: DecisionRecord) -> Self {
        let scores = record.scorings.into_iter().map(|scoring| Score {
            plugin: scoring.plugin.to_string(),
            component: scoring.component.to_string(),
            score_bp: scoring.assessment.as_ref().map(|said| said.score_bp),
            reasons: scoring
                .assessment
                .iter()
                .flat_map(|said| &said.reasons)
                .map(|reason| (reason.code.clone(), i64::from(reason.contribution_bp)))
                .collect(),
            failure: scoring.failure,
        });
        let verdicts = record.verdicts.into_iter().map(|verdict| Verdict {
            plugin: verdict.plugin.to_string(),
            proposed: verdict.proposed,
            outcome: verdict.outcome,
            code: verdict.code,
            effect: verdict.effect,
            summary: verdict.summary,
            clauses: verdict
                .clauses
                .into_iter()
                .map(|clause| Clause {
                    name: clause.name,
                    found: clause.found,
                    required: clause.required,
                    met: clause.held,
                })
                .collect(),
        });
        Self {
            decided_at: record.decided_at.to_string(),
            authority: record.authority.to_string(),
            findings: record.findings.into_iter().map(Finding::of).collect(),
            scores: scores.collect(),
            verdicts: verdicts.collect(),
        }
    }
}

/// What the store holds, in numbers.
pub(crate) fn counts(summary: &Summary) -> Vec<(&'static str, u64)> {
    let mut counts: Vec<(&'static str, u64)> =
        summary.orders.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    counts.extend([
        ("inputs", summary.inputs),
        ("unmapped", summary.unmapped),
        ("order-events", summary.order_events),
        ("duplicates", summary.duplicates),
        ("rejected-inputs", summary.rejected_inputs),
        ("refused-inputs", summary.refused_inputs),
        ("unparsed-inputs", summary.unparsed_inputs),
        ("recommended", summary.recommended),
        ("undecided", summary.undecided),
        ("delivered", summary.delivered),
        ("retried", summary.retried),
        ("dead", summary.dead),
        ("pending", summary.pending),
        ("withheld", summary.withheld),
        ("unsequenced", summary.unsequenced),
        ("open-exceptions", summary.exceptions_open),
        ("unacknowledged", summary.unacknowledged),
        ("acknowledgements-overdue", summary.acknowledgements_overdue),
    ]);
    counts
}

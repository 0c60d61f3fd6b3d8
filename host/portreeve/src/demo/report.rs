//! What happened, in numbers that add up and one row per order.

use std::sync::Arc;
use std::time::Duration;

use portreeve_audit::AuditError;
use portreeve_model::Digest;
use portreeve_pipeline::decision::DecisionRecord;
use portreeve_record::VerifyReport;
use portreeve_store::contract::{DocumentPosition, OrderState, OrderView};
use portreeve_store::{Store, StoreError};
use serde::Serialize;

use super::feed::Fed;
use crate::output::Output;

/// Rows that are read at once.
const PAGE: u32 = 256;

/// The demo's result: each order is in one of the five states, so these add up to
/// `orders`; `recommended` counts those of them that carry a recommendation. What is said
/// of an order later, documents that nothing could be made of, rejected inputs and
/// duplicates are no orders.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// All orders.
    pub orders: u64,
    /// On their way to the ERP.
    pub released: u64,
    /// Kept back.
    pub held: u64,
    /// Sent to a queue.
    pub routed: u64,
    /// Refused by the host's rules.
    pub refused: u64,
    /// Kept back because something failed.
    pub exceptions: u64,
    /// With a recommendation.
    pub recommended: u64,
    /// Documents that change one of the orders or ask to cancel it, for a person.
    pub order_events: u64,
    /// Documents that nothing could be made of, for a person.
    pub unmapped: u64,
    /// Inputs that were no orders.
    pub rejected_inputs: u64,
    /// Inputs and documents that came before.
    pub duplicates: u64,
    /// What became of the scorers' proposals.
    pub proposals: Proposals,
    /// What became of the deliveries.
    pub deliveries: Deliveries,
    /// The audit log.
    pub audit: Audit,
    /// A digest of everything that was decided, in journal order.
    pub decisions_digest: Digest,
    /// Wall clock of the whole run.
    pub seconds: f64,
    /// What became of the bytes that were sent.
    pub inputs: Inputs,
    /// Inputs that a connector failed on, kept for a person.
    #[serde(skip)]
    pub unparsed_inputs: u64,
    /// One row per order, for the table.
    #[serde(skip)]
    pub rows: Vec<OrderRow>,
}

/// What became of the bytes that were sent: each input is kept, refused or repeated.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Inputs {
    /// Sent.
    pub fed: u64,
    /// In the journal.
    pub kept: u64,
    /// Refused by the front door.
    pub refused: u64,
    /// Sent again, and told so.
    pub repeated: u64,
}

impl Report {
    /// What does not add up, counted on both sides of the front door and of the
    /// ERP, and order by order beside by state: something was lost, or done twice.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let Inputs { fed, kept, refused, repeated } = self.inputs;
        if fed != kept + refused + repeated {
            return Some(format!(
                "{fed} inputs were sent, but {kept} are kept, {refused} refused and {repeated} repeated: an input was lost"
            ));
        }
        let (orders, in_states) = (self.orders, self.in_states());
        if orders != in_states {
            return Some(format!("{orders} orders are listed, but {in_states} are in some state"));
        }
        let Deliveries { delivered, booked, .. } = self.deliveries;
        (delivered != booked).then(|| {
            format!("{delivered} deliveries are settled as done, but the ERP has {booked} sales orders: something was sent twice or not at all")
        })
    }

    /// The sum over the states.
    fn in_states(&self) -> u64 {
        [self.released, self.held, self.routed, self.refused, self.exceptions].into_iter().fold(0, u64::saturating_add)
    }
}

/// What became of the scorers' proposals.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Proposals {
    /// As proposed.
    pub granted: u64,
    /// Less than proposed.
    pub narrowed: u64,
    /// Nothing but a record.
    pub refused: u64,
}

/// What became of the deliveries.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Deliveries {
    /// Done.
    pub delivered: u64,
    /// Attempts beyond the first.
    pub retried: u64,
    /// For a person.
    pub dead: u64,
    /// Sales orders in the ERP: as many as were delivered, or something was sent
    /// twice or not at all.
    pub booked: u64,
}

/// The audit log.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// Leaves.
    pub entries: u64,
    /// The root over them.
    pub root: String,
    /// Whether every leaf, the root and the checkpoint kept outside agree.
    pub verified: bool,
    /// Why not.
    #[serde(skip)]
    pub fault: Option<String>,
}

impl Audit {
    pub(super) fn of(verified: Result<VerifyReport, AuditError>) -> Self {
        match verified {
            Ok(report) => Self { entries: report.entries, root: report.root.to_string(), verified: true, fault: None },
            Err(error) => Self { entries: 0, root: String::new(), verified: false, fault: Some(error.to_string()) },
        }
    }
}

/// An order in the table.
#[derive(Debug, Clone)]
pub struct OrderRow {
    /// The sender's number.
    pub number: String,
    /// The channel.
    pub channel: String,
    /// Scores in basis points, in the order of the scorers.
    pub scores: String,
    /// What the scorers proposed.
    pub proposal: String,
    /// Where the order stands.
    pub verdict: &'static str,
    /// Why.
    pub why: String,
    /// Its delivery.
    pub delivery: String,
}

/// Reads the store and counts.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn make(
    store: &Arc<dyn Store>,
    fed: &Fed,
    verified: Result<VerifyReport, AuditError>,
    booked: usize,
    elapsed: Duration,
) -> anyhow::Result<Report> {
    let summary = store.summary().await?;
    let in_state = |state| summary.orders.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
    let mut proposals = Proposals::default();
    let mut rows = Vec::new();
    let mut after = DocumentPosition(0);
    loop {
        let page = store.orders(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for order in page {
            let record = decision(store, &order).await?;
            count(&mut proposals, record.as_ref());
            rows.push(row(order, record.as_ref()));
        }
    }
    let audit = Audit::of(verified);
    Ok(Report {
        orders: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        released: in_state(OrderState::Released),
        held: in_state(OrderState::Held),
        routed: in_state(OrderState::Routed),
        refused: in_state(OrderState::Refused),
        exceptions: in_state(OrderState::Exception),
        recommended: summary.recommended,
        order_events: summary.order_events,
        unmapped: summary.unmapped,
        rejected_inputs: summary.rejected_inputs + fed.refused,
        duplicates: summary.duplicates + fed.repeated,
        proposals,
        deliveries: Deliveries {
            delivered: summary.delivered,
            retried: summary.retried,
            dead: summary.dead,
            booked: u64::try_from(booked).unwrap_or(u64::MAX),
        },
        audit,
        unparsed_inputs: summary.unparsed_inputs,
        inputs: Inputs { fed: fed.inputs, kept: summary.inputs, refused: fed.refused, repeated: fed.repeated },
        decisions_digest: decisions_digest(store).await?,
        seconds: (elapsed.as_secs_f64() * 10.0).round() / 10.0,
        rows,
    })
}

async fn decision(store: &Arc<dyn Store>, order: &OrderView) -> anyhow::Result<Option<DecisionRecord>> {
    match store.payload(order.decision).await {
        Ok(bytes) => Ok(Some(DecisionRecord::parse(&bytes)?)),
        Err(StoreError::Erased(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn count(proposals: &mut Proposals, record: Option<&DecisionRecord>) {
    for verdict in record.iter().flat_map(|record| &record.verdicts) {
        match verdict.outcome.as_str() {
            "granted" => proposals.granted += 1,
            "narrowed" => proposals.narrowed += 1,
            _ => proposals.refused += 1,
        }
    }
}

fn row(order: OrderView, record: Option<&DecisionRecord>) -> OrderRow {
    let scorings = record.map(|record| record.scorings.as_slice()).unwrap_or_default();
    let scores = scorings
        .iter()
        .map(|scoring| {
            scoring.assessment.as_ref().map_or_else(|| "failed".to_owned(), |said| said.score_bp.to_string())
        })
        .collect::<Vec<_>>()
        .join("/");
    let proposal = record
        .iter()
        .flat_map(|record| &record.verdicts)
        .map(|verdict| format!("{} {}", verdict.proposed.as_deref().unwrap_or("other"), verdict.outcome))
        .collect::<Vec<_>>()
        .join(", ");
    let delivery = order.deliveries.first().map_or_else(
        || "-".to_owned(),
        |delivery| match &delivery.external_id {
            Some(id) if delivery.attempts > 1 => format!("{id} after {} attempts", delivery.attempts),
            Some(id) => id.clone(),
            None => delivery.state.clone(),
        },
    );
    OrderRow {
        number: order.number,
        channel: order.channel.to_string(),
        scores,
        proposal,
        verdict: order.state.as_str(),
        why: order.why,
        delivery,
    }
}

/// Over the fingerprints of all decisions, in journal order.
async fn decisions_digest(store: &Arc<dyn Store>) -> anyhow::Result<Digest> {
    let mut all = Vec::new();
    let mut after = DocumentPosition(0);
    loop {
        let page = store.decision_fingerprints(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(Digest::of(&all)) };
        after = *last;
        for (position, fingerprint) in page {
            all.extend_from_slice(&position.0.to_be_bytes());
            all.extend_from_slice(fingerprint.as_bytes());
        }
    }
}

/// Prints the table and the sums.
///
/// # Errors
/// When the output is closed.
pub(super) fn print(report: &Report, output: &mut Output) -> anyhow::Result<()> {
    output.line("")?;
    let header = ["order", "channel", "fraud/margin/fulfilment", "proposals", "verdict", "why", "delivery"];
    let rows: Vec<[String; 7]> = report
        .rows
        .iter()
        .map(|row| {
            let verdict = row.verdict.to_owned();
            [
                row.number.clone(),
                row.channel.clone(),
                row.scores.clone(),
                row.proposal.clone(),
                verdict,
                row.why.clone(),
                row.delivery.clone(),
            ]
        })
        .collect();
    output.table(&header, &rows, &[16, 8, 23, 34, 9, 76, 24])?;
    output.line("")?;
    output.line(&format!(
        "{} orders: {} released, {} held, {} routed, {} refused, {} exception(s); {} with a recommendation",
        report.orders,
        report.released,
        report.held,
        report.routed,
        report.refused,
        report.exceptions,
        report.recommended
    ))?;
    output.line(&format!(
        "beside them for a person: {} change(s) and cancellation(s) of these orders, {} document(s) that nothing could be made of",
        report.order_events, report.unmapped
    ))?;
    output.line(&format!(
        "{} input(s) rejected, {} duplicate(s): no orders",
        report.rejected_inputs, report.duplicates
    ))?;
    if report.unparsed_inputs > 0 {
        output.line(&format!("{} input(s) kept unread: a connector failed on them", report.unparsed_inputs))?;
    }
    output.line(&format!(
        "proposals: {} granted, {} narrowed, {} refused",
        report.proposals.granted, report.proposals.narrowed, report.proposals.refused
    ))?;
    output.line(&format!(
        "deliveries: {} delivered ({} sales order(s) in the ERP), {} further attempt(s), {} for a person",
        report.deliveries.delivered, report.deliveries.booked, report.deliveries.retried, report.deliveries.dead
    ))?;
    output.line(&format!(
        "audit log: {} entries, root {}, {}",
        report.audit.entries,
        report.audit.root,
        if report.audit.verified { "verified against the checkpoint kept outside" } else { "NOT verified" }
    ))?;
    output.line(&format!("decisions digest {}; {} s", report.decisions_digest, report.seconds))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::{Error, Write};
    use std::sync::Mutex;

    use super::*;

    /// What was printed.
    #[derive(Clone, Default)]
    struct Printed(Arc<Mutex<Vec<u8>>>);

    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> Result<(), Error> {
            Ok(())
        }
    }

    /// Eleven orders, two of which somebody wants otherwise; and a document that is none.
    fn report() -> Report {
        Report {
            orders: 11,
            released: 5,
            held: 3,
            routed: 1,
            refused: 1,
            exceptions: 1,
            recommended: 2,
            order_events: 2,
            unmapped: 1,
            rejected_inputs: 4,
            duplicates: 3,
            proposals: Proposals::default(),
            deliveries: Deliveries { delivered: 5, retried: 0, dead: 0, booked: 5 },
            audit: Audit { entries: 0, root: String::new(), verified: true, fault: None },
            decisions_digest: Digest::of(b""),
            seconds: 0.1,
            inputs: Inputs { fed: 20, kept: 16, refused: 1, repeated: 3 },
            unparsed_inputs: 0,
            rows: Vec::new(),
        }
    }

    #[test]
    fn what_is_said_of_an_order_later_is_counted_beside_the_orders() {
        let printed = Printed::default();
        print(&report(), &mut Output::to(Box::new(printed.clone()))).unwrap();
        let printed = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
        let sums = "11 orders: 5 released, 3 held, 1 routed, 1 refused, 1 exception(s); 2 with a recommendation\n\
                    beside them for a person: 2 change(s) and cancellation(s) of these orders, 1 document(s) that nothing could be made of\n";
        assert!(printed.contains(sums), "{printed}");
    }

    #[test]
    fn orders_that_are_in_no_state_or_in_two_are_a_contradiction() {
        assert_eq!(report().contradiction(), None);
        for change in [|report: &mut Report| report.held += 2, |report: &mut Report| report.exceptions -= 1] {
            let mut wrong = report();
            change(&mut wrong);
            let told = wrong.contradiction().unwrap_or_default();
            assert!(told.starts_with("11 orders are listed, but 1"), "{told}");
        }
    }
}

//! `order`: what operators look at.

use anyhow::{Context, bail};
use portreeve_api::{Course, Delivery, REVIEWS_SHOWN_MAX, Review};
use portreeve_model::{Money, OrderId};
use portreeve_pipeline::decision::DecisionRecord;
use portreeve_pipeline::process::{MoneyProgress, Progress};
use portreeve_pipeline::rederive::Rederived;
use portreeve_pipeline::review::ReviewRecord;
use portreeve_record::RecordError;
use portreeve_store::contract::{
    DeliveryView, DocumentPosition, HoldView, Interchange, OrderEventView, OrderState, OrderView, PayloadRef,
    ProgressView, ReviewView,
};
use portreeve_store::{Store, StoreError};
use serde::Serialize;

use super::{Data, one_of};
use crate::clock::SystemClock;
use crate::host::Host;
use crate::output::Output;

/// Rows that are read at once.
const PAGE: u32 = 256;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// All orders, in journal order.
    List {
        /// Only those in this state.
        #[arg(long, value_parser = one_of(OrderState::ALL, OrderState::as_str))]
        state: Option<OrderState>,
        #[command(flatten)]
        data: Data,
    },
    /// One order with what keeps it back and its decision: findings, scores, verdicts clause by
    /// clause.
    Show {
        /// The host's order id, or the sender's order number.
        order: String,
        #[command(flatten)]
        data: Data,
    },
    /// Decide orders again from their records and compare, bit for bit.
    Rederive {
        /// The host's order id, or the sender's order number; default: all orders.
        order: Option<String>,
        #[command(flatten)]
        data: Data,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::List { state, data } => list(&data, state, json, output).await,
        Command::Show { order, data } => show(&order, &data, json, output).await,
        Command::Rederive { order, data } => rederive(order.as_deref(), &data, json, output).await,
    }
}

async fn list(data: &Data, state: Option<OrderState>, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (_, store) = data.open()?;
    let mut after = DocumentPosition(0);
    loop {
        let page = match state {
            Some(state) => store.orders_in(state, after, PAGE).await?,
            None => store.orders(after, PAGE).await?,
        };
        let Some(last) = page.last() else { return Ok(()) };
        after = last.position;
        page.iter().try_for_each(|order| list_one(order, json, output))?;
    }
}

fn list_one(order: &OrderView, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(&serde_json::json!({
            "id": order.id, "number": order.number, "channel": order.channel, "state": order.state.as_str(),
            "queue": order.queue, "value": order.value, "recommended": order.recommended, "why": order.why,
        }));
    }
    let state = order.state.as_str();
    output.line(&format!("{}  {:<16}  {state:<9}  {:>16}  {}", order.id, order.number, order.value, order.why))
}

async fn show(text: &str, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (_, store) = data.open()?;
    let order = find(store.as_ref(), text).await?;
    let record = decided(store.as_ref(), &order).await?;
    let trail = store.order_trail(order.id).await?;
    let (holds, mut reviews, events, progress, exceptions) = trail
        .map(|trail| (trail.holds, trail.reviews, trail.events, trail.progress, trail.exceptions))
        .unwrap_or_default();
    let course = match progress {
        Some(found) => {
            let record = opened(store.as_ref(), found.record, DecisionRecord::parse).await?;
            Some((found, record.and_then(DecisionRecord::into_progress)))
        }
        None => None,
    };
    reviews.drain(..reviews.len().saturating_sub(REVIEWS_SHOWN_MAX));
    let mut reviewed = Vec::with_capacity(reviews.len());
    for review in reviews {
        let record = opened(store.as_ref(), review.record, ReviewRecord::parse).await?;
        reviewed.push((review, record));
    }
    if json {
        let mut later = Vec::with_capacity(events.len());
        for event in &events {
            later.push(said(store.as_ref(), event).await?);
        }
        let holds = holds.iter().map(shown_hold).collect();
        let reviews = reviewed.into_iter().map(|(review, record)| Review::of(review, record)).collect();
        let (number, state) = (order.number.as_str(), order.state.as_str());
        let erased = record.is_none().then_some(Erased { order: order.id, number, state, erased: true });
        let deliveries = order.deliveries.into_iter().map(Delivery::of).collect();
        let progress = course.map(|(found, progress)| Course::of(found, progress));
        return output.json(&Shown {
            record: record.as_ref(),
            erased,
            holds,
            reviews,
            events: later,
            progress,
            deliveries,
        });
    }
    output.line(&format!("order {} ({}), {}, {}", order.number, order.id, order.channel, order.value))?;
    output.line(&format!("{}: {}", order.state.as_str(), order.why))?;
    if let Some(queue) = &order.queue {
        output.line(&format!("works on it: queue `{queue}`"))?;
    }
    let (open, closed): (Vec<&HoldView>, Vec<&HoldView>) = holds.iter().partition(|hold| hold.closed.is_none());
    open.iter().chain(&closed).try_for_each(|hold| output.line(&hold_line(hold)))?;
    reviewed.iter().try_for_each(|(review, record)| output.line(&review_line(review, record.as_ref())))?;
    // What becomes of it is decided about its exceptions.
    for waits in exceptions.iter().filter(|one| one.closed.is_none() && one.order == Some(order.id)) {
        let (id, code, queue) = (waits.id, &waits.code, &waits.queue);
        output
            .line(&format!("exception {id} ({code}) waits in queue `{queue}`; see `portreeve exception show {id}`"))?;
    }
    if let Some(record) = &record {
        tell_decision(record, output)?;
    }
    for event in &events {
        output.line(&format!(
            "{} of {} in input {}: {}; `--json` shows what it says",
            event.kind.as_str(),
            event.received_at,
            event.input.0,
            event.outcome.as_str()
        ))?;
    }
    if let Some((found, progress)) = &course {
        tell_course(found, progress.as_ref(), output)?;
    }
    order.deliveries.iter().try_for_each(|delivery| output.line(&delivery_line(delivery)))?;
    match &record {
        Some(DecisionRecord { configuration, authority, .. }) => {
            output.line(&format!("decided under configuration {configuration} and authority {authority}"))
        }
        None => output.line(
            "what was decided about it and why is gone: its content was erased, by retention or with its customer; `audit show --order` still has its records",
        ),
    }
}

/// Where an order is in its process, and each line of it that something happened to.
fn tell_course(found: &ProgressView, progress: Option<&Progress>, output: &mut Output) -> anyhow::Result<()> {
    output
        .line(&format!("by what systems said of it: {}, after {} event(s) that count", found.state, found.version))?;
    let Some(progress) = progress else { return Ok(()) };
    for (number, line) in &progress.lines {
        let counts = [
            ("allocated", line.allocated),
            ("picked", line.picked),
            ("packed", line.packed),
            ("shipped", line.shipped),
            ("cancelled", line.cancelled()),
            ("invoiced", line.invoiced),
            ("returned", line.returned),
        ];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(what, count)| format!("{what} {}", line.shown(*count))).collect();
        let counts = if counts.is_empty() { "nothing yet".to_owned() } else { counts.join(", ") };
        output.line(&format!("    line {number}, ordered {}: {counts}", line.shown(line.ordered)))?;
    }
    let MoneyProgress { currency, invoiced_minor, paid_minor, refunded_minor, .. } = progress.money;
    let money = |minor| Money { minor, currency };
    output.line(&format!(
        "    invoiced {}, paid {}, refunded {}, open {}",
        money(invoiced_minor),
        money(paid_minor),
        money(refunded_minor),
        money(progress.money.open_minor())
    ))
}

/// A hold, and how it stands.
fn hold_line(hold: &HoldView) -> String {
    let who = hold.plugin.as_ref().map_or_else(|| hold.owner.clone(), |plugin| format!("{} of {plugin}", hold.owner));
    let lines = if hold.lines.is_empty() { String::new() } else { format!(", lines {}", hold.lines.join(", ")) };
    let stands = match &hold.closed {
        Some(closed) => format!("closed {} by {}", closed.at, closed.who.as_deref().unwrap_or("the host")),
        None => format!("to be looked at until {}", hold.expires_at),
    };
    format!(
        "hold {} ({who}): {}{lines}; queue `{}`, since {}, {stands}",
        hold.number, hold.reason, hold.queue, hold.opened_at
    )
}

/// A delivery; where it has not arrived, what went wrong last and when it goes on.
fn delivery_line(delivery: &DeliveryView) -> String {
    let DeliveryView { target, kind, said, state, attempts, external_id, problem, next_at, .. } = delivery;
    let said = said.map_or_else(String::new, |position| format!(" of document {}", position.0));
    let problem = problem.as_ref().map_or_else(String::new, |code| format!(", last problem `{code}`"));
    let next = next_at.map_or_else(String::new, |at| format!(", next attempt {at}"));
    let id = external_id.as_deref().unwrap_or("-");
    let number = numbered(delivery);
    format!("delivery of {kind}{said} to {target}: {state} after {attempts} attempt(s){problem}{next}, {id}{number}")
}

/// What it is known by at its receiver, and what that said.
fn numbered(delivery: &DeliveryView) -> String {
    let Some(Interchange { partner, number, answer, .. }) = &delivery.interchange else { return String::new() };
    let answer = match (answer, delivery.acknowledge_by) {
        (Some(answer), _) => format!(", {}", answer.as_str()),
        (None, Some(by)) => format!(", to be acknowledged by {by}"),
        (None, None) => String::new(),
    };
    format!("; interchange {number} of {partner}{answer}")
}

/// Who looked again, why, and what came of it.
fn review_line(review: &ReviewView, record: Option<&ReviewRecord>) -> String {
    let who = review.who.as_deref().unwrap_or("the host");
    let Some(record) = record else {
        return format!("looked at again {} by {who}; why, and what ended, was erased", review.at);
    };
    // A person's words may have line ends, and this is one line.
    let reason = record.reason.as_deref().map(|reason| reason.lines().collect::<Vec<_>>().join(" "));
    let why = reason.unwrap_or_else(|| "their cause was gone".to_owned());
    let ended: Vec<String> = record.closed.iter().map(|hold| hold.hold.to_string()).collect();
    let opened =
        if record.opened.is_empty() { String::new() } else { format!(", and {} held it", record.opened.join(", ")) };
    format!(
        "looked at again {} by {who}: hold(s) {} ended, {why}{opened}; then {}",
        review.at,
        ended.join(", "),
        record.state
    )
}

/// Findings, scores, and verdicts clause by clause.
fn tell_decision(record: &DecisionRecord, output: &mut Output) -> anyhow::Result<()> {
    for finding in &record.findings {
        let place = finding.line.as_ref().map_or_else(String::new, |line| format!(" line {line}"));
        output.line(&format!(
            "rule {}{place}: found {}, expected {}; {}",
            finding.code, finding.found, finding.expected, finding.consequence
        ))?;
    }
    for scoring in &record.scorings {
        match &scoring.assessment {
            None => output.line(&format!(
                "{} failed: {}",
                scoring.plugin,
                scoring.failure.as_deref().unwrap_or("unknown")
            ))?,
            Some(said) => {
                let reasons: Vec<String> =
                    said.reasons.iter().map(|reason| format!("{} {:+}", reason.code, reason.contribution_bp)).collect();
                let because = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
                output.line(&format!("{} scores {} bp{because}", scoring.plugin, said.score_bp))?;
            }
        }
    }
    for verdict in &record.verdicts {
        output.line(&verdict.summary)?;
        for clause in &verdict.clauses {
            let mark = if clause.held { "met" } else { "NOT met" };
            output.line(&format!(
                "    {:<24} found {}, required {}: {mark}",
                clause.name, clause.found, clause.required
            ))?;
        }
    }
    Ok(())
}

/// What `order show --json` prints: the decision's record, what keeps or kept the order back,
/// who looked at it again, and what came later.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    record: Option<&'a DecisionRecord>,
    #[serde(flatten)]
    erased: Option<Erased<'a>>,
    holds: Vec<serde_json::Value>,
    reviews: Vec<Review>,
    events: Vec<serde_json::Value>,
    progress: Option<Course>,
    deliveries: Vec<Delivery>,
}

/// What is left of an order whose record was erased.
#[derive(Serialize)]
struct Erased<'a> {
    order: OrderId,
    number: &'a str,
    state: &'a str,
    /// Always true: an order whose record is there does not have it.
    erased: bool,
}

/// A later event with its content, unless that was erased.
async fn said(store: &dyn Store, event: &OrderEventView) -> anyhow::Result<serde_json::Value> {
    let content = match store.payload(event.event).await {
        Ok(bytes) => Some(serde_json::from_slice::<serde_json::Value>(&bytes).context("an event cannot be read")?),
        Err(StoreError::Erased(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let data = content.as_ref().and_then(|content| content.get("data"));
    Ok(serde_json::json!({
        "type": event.kind.as_str(), "outcome": event.outcome.as_str(), "input": event.input.0, "position": event.position.0,
        "receivedAt": event.received_at.to_string(), "decidedAt": event.decided_at.to_string(),
        "leaf": event.leaf, "data": data,
    }))
}

fn shown_hold(hold: &HoldView) -> serde_json::Value {
    let closed = hold.closed.as_ref();
    serde_json::json!({
        "number": hold.number, "owner": hold.owner, "plugin": hold.plugin, "reason": hold.reason, "queue": hold.queue,
        "lines": hold.lines, "openedAt": hold.opened_at.to_string(), "expiresAt": hold.expires_at.to_string(),
        "closedAt": closed.map(|closed| closed.at.to_string()),
        "closedBy": closed.and_then(|closed| closed.who.as_deref()),
    })
}

async fn rederive(order: Option<&str>, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (locations, store) = data.open_to_write()?;
    let orders = match order {
        Some(text) => vec![find(store.as_ref(), text).await?],
        None => all(store.as_ref()).await?,
    };
    let host = Host::open(store, &locations, std::sync::Arc::new(SystemClock), None).await?;
    // A host that was cut off may have left decisions without an index.
    host.sequencer.sequence_all().await?;
    let (mut same, mut erased, mut nothing, mut host_caused) = (0_u64, 0_u64, 0_u64, 0_usize);
    let (mut left_out, mut different) = (Vec::new(), Vec::new());
    for order in orders {
        match host.pipeline.rederive(order.id).await? {
            Rederived::Same(compared) => {
                same += 1;
                host_caused += compared.host_caused;
                left_out.extend(compared.left_out.into_iter().map(|what| format!("order {}: {what}", order.number)));
            }
            Rederived::NothingCompared(compared) => {
                nothing += 1;
                host_caused += compared.host_caused;
                left_out.extend(compared.left_out.into_iter().map(|what| format!("order {}: {what}", order.number)));
            }
            Rederived::Erased => erased += 1,
            Rederived::Different(differences) => {
                different
                    .extend(differences.into_iter().map(|difference| format!("order {}: {difference}", order.number)));
            }
        }
    }
    if json {
        output.json(&serde_json::json!({
            "same": same, "erased": erased, "nothingCompared": nothing, "hostCaused": host_caused,
            "leftOut": left_out, "different": different,
        }))?;
    } else {
        output.line(&format!(
            "{same} decided alike, {erased} erased, {nothing} with nothing to compare, {host_caused} outcomes that the host caused, {} differences",
            different.len()
        ))?;
        for what in &left_out {
            output.line(&format!("left out: {what}"))?;
        }
    }
    if different.is_empty() { Ok(()) } else { bail!("{}", different.join("\n")) }
}

async fn all(store: &dyn Store) -> anyhow::Result<Vec<OrderView>> {
    let mut orders = Vec::new();
    let mut after = DocumentPosition(0);
    loop {
        let page = store.orders(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(orders) };
        after = last.position;
        orders.extend(page);
    }
}

/// What was decided about an order; none where it was erased.
pub(super) async fn decided(store: &dyn Store, order: &OrderView) -> anyhow::Result<Option<DecisionRecord>> {
    opened(store, order.decision, DecisionRecord::parse).await
}

/// A sealed record, unless it was erased.
async fn opened<T>(
    store: &dyn Store,
    record: PayloadRef,
    parse: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> anyhow::Result<Option<T>> {
    match store.payload(record).await {
        Ok(bytes) => Ok(Some(parse(&bytes)?)),
        Err(StoreError::Erased(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// By id, or by the sender's number where only one order has it.
pub(super) async fn find(store: &dyn Store, text: &str) -> anyhow::Result<OrderView> {
    if let Ok(id) = OrderId::parse(text) {
        return store
            .order(id)
            .await?
            .with_context(|| format!("there is no order `{id}`; `portreeve order list` shows all"));
    }
    let mut found = store.orders_numbered(text, PAGE).await?;
    match (found.pop(), found.len()) {
        (Some(order), 0) => Ok(order),
        (None, _) => bail!("there is no order `{text}`; `portreeve order list` shows all"),
        (Some(_), others) => bail!("{} orders have the number `{text}`; name one by its id", others + 1),
    }
}

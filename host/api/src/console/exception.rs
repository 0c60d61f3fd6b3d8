//! One exception: what it is, what speaks for and against it, what happened to it, and what
//! may be decided. The evidence is beside the forms, and the forms name the digest of it.

use maud::{Markup, html};
use portreeve_model::{Event, Order};
use portreeve_pipeline::Pipeline;
use portreeve_pipeline::decision::{DecisionRecord, Scoring, VerdictRecord};
use portreeve_pipeline::exception::{ExceptionError, Shown, TOGETHER_MAX};
use portreeve_store::StoreError;
use portreeve_store::contract::PayloadRef;

use super::form::Form;
use super::page::{Notice, frame, minute};
use super::visit::Visit;
use crate::exception::{CorrectionFacts, ExceptionStory, HoldFacts, OrderFacts, Proposal, Step};

/// Lines of an order that are shown at once; more are folded away, and a click shows them.
pub(super) const LINES_OPEN: usize = 20;

/// Holds that are offered one by one; of more, all at once or a list that is folded away.
const HOLDS_OPEN: usize = 10;

/// The word for all holds that are shown.
pub(super) const ALL: &str = "all";

/// Bytes of an input that are shown.
const INPUT_BYTES_SHOWN: usize = 64 * 1024;

/// What a decision rests on, beside what the API tells of the exception.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) order: Option<Order>,
    pub(super) decision: Option<DecisionRecord>,
    /// Other orders of the same customer that are kept back.
    pub(super) others: usize,
    /// The beginning of the input, where it is what has to be mended.
    input: Option<String>,
    cut: bool,
}

impl Evidence {
    pub(super) async fn read(pipeline: &Pipeline, shown: &Shown) -> Result<Self, ExceptionError> {
        let mut evidence = Self::default();
        if let Some(order) = &shown.order {
            let event = payload(pipeline, order.event).await?;
            evidence.order = event.and_then(|event| match Event::from_json(&event) {
                Ok(Event::OrderCreated(order)) => Some(order),
                _ => None,
            });
            let decision = payload(pipeline, order.decision).await?;
            evidence.decision = decision.map(|bytes| DecisionRecord::parse(&bytes)).transpose()?;
        } else if let Some((_, content)) = shown.trail.about.input
            && let Some(bytes) = payload(pipeline, content).await?
        {
            let some = bytes.get(..INPUT_BYTES_SHOWN.min(bytes.len())).unwrap_or_default();
            evidence.cut = some.len() < bytes.len();
            evidence.input = Some(String::from_utf8_lossy(some).into_owned());
        }
        Ok(evidence)
    }
}

/// What was sealed; none where it was removed.
async fn payload(pipeline: &Pipeline, kept: PayloadRef) -> Result<Option<Vec<u8>>, ExceptionError> {
    match pipeline.store.payload(kept).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::Erased(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn page(
    visit: &Visit,
    story: &ExceptionStory,
    evidence: &Evidence,
    queues: &[&str],
    notice: Option<Notice>,
    typed: &Form,
) -> Markup {
    let exception = &story.exception;
    let title = format!("{} {}", exception.id, exception.code);
    let content = html! {
        @if let Some(notice) = &notice { (notice.markup()) }
        p.back { a href="/console/exceptions" { "Queue" } }
        h1 { (exception.code) " " span.number { "exception " (exception.id) } }
        p.lead { (exception.detail) }
        (facts(story))
        div.case {
            div.evidence {
                @if let Some(order) = &story.order_facts { (holds(order)) }
                (others(exception.id, evidence.others))
                @if let Some(decision) = &evidence.decision { (models(decision)) }
                @if let Some(order) = &evidence.order { (lines(order)) }
                @if let Some(input) = &evidence.input { (came(input, evidence.cut)) }
                @if story.order_facts.is_some() && evidence.order.is_none() {
                    p.empty { "What the order says was removed." }
                }
                (corrected(&story.corrected))
                (history(&story.steps))
            }
            aside.acts aria-label="What you can do" {
                @if exception.closed_at.is_some() {
                    (closed(story))
                } @else {
                    @if let Some(proposal) = &story.proposal { (proposed(visit, exception.id, proposal, proposal.together.is_empty())) }
                    (claiming(visit, story))
                    @if story.proposal.is_none() { (deciding(visit, story, queues, typed)) }
                    (commenting(visit, exception.id, typed))
                }
            }
        }
    };
    frame(&title, Some(visit), &content)
}

// --- evidence ------------------------------------------------------------------------------------

fn facts(story: &ExceptionStory) -> Markup {
    let exception = &story.exception;
    html! {
        dl.facts {
            div { dt { "Queue" } dd { (exception.queue) } }
            @if let Some(owner) = &exception.route_owner {
                div { dt { "Owner (" (owner.part) ")" } dd { (owner.name) } }
            }
            div { dt { "Opened" } dd { (minute(&exception.opened_at)) } }
            @if let Some(due) = &exception.due_at { div { dt { "Due" } dd { (minute(due)) } } }
            @if let Some(at) = &exception.escalated_at { div { dt { "Escalated" } dd { (minute(at)) } } }
            div { dt { "With" } dd { (exception.claimed_by.as_deref().unwrap_or("nobody")) } }
            @if let Some(order) = &story.order_facts {
                div { dt { "Order" } dd { (order.number) " by " (order.channel) } }
                div { dt { "Value" } dd { (order.value) } }
                div { dt { "State" } dd { (order.state) } }
            }
            @if let Some((channel, sender)) = story.channel.as_ref().zip(story.sender.as_ref()) {
                div { dt { "Came" } dd { "by " (channel) " from " (sender) } }
            }
            @if let Some(delivery) = &story.delivery {
                div { dt { "Delivery" } dd {
                    "to " (delivery.target) ", " (delivery.state) " after " (delivery.attempts) " attempts"
                } }
            }
            @if let Some(plugin) = &story.plugin {
                div { dt { "Plugin" } dd { (plugin.plugin) ", " (plugin.component) } }
                div { dt { "Not called" } dd {
                    @match &plugin.cause { Some(cause) => { "in " (cause) } None => { "at all" } }
                    ", until " (minute(&plugin.until))
                } }
                div { dt { "Last failure" } dd { (plugin.failure) ", " (plugin.pauses) " pauses in a row" } }
            }
            @if !story.makers.is_empty() { div { dt { "Mended by" } dd { (story.makers.join(", ")) } } }
            @if !story.owners.is_empty() {
                div { dt { "Owner of the model's grant" } dd { (story.owners.join(", ")) } }
            }
        }
    }
}

fn holds(order: &OrderFacts) -> Markup {
    html! {
        section {
            h2 { "What keeps it back" }
            p { (order.why) }
            @if order.cancel_requested { p { strong.flag { "Its sender wants it cancelled." } } }
            @if order.changed { p { strong.flag { "Its sender sent other content since." } } }
            (table_of_holds(order, "Holds"))
        }
    }
}

pub(super) fn table_of_holds(order: &OrderFacts, called: &str) -> Markup {
    html! {
        @if !order.holds.is_empty() {
            div.wide tabindex="0" role="region" aria-label=(called) {
                table {
                    caption.hidden { (called) " that are open" }
                    thead { tr {
                        th scope="col" { "Hold" } th scope="col" { "By" } th scope="col" { "Reason" }
                        th scope="col" { "Lines" } th scope="col" { "Until" }
                    } }
                    tbody {
                        @for hold in &order.holds {
                            tr {
                                td data-label="Hold" { (hold.number) }
                                td data-label="By" { (by(hold)) }
                                td data-label="Reason" { (hold.reason) }
                                td data-label="Lines" { (of_lines(hold)) }
                                td data-label="Until" { (minute(&hold.expires_at)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn others(exception: u64, count: usize) -> Markup {
    html! {
        @if count > 0 {
            p {
                a href={ "/console/exceptions/" (exception) "/customer" } {
                    (count) @if count == 1 { " other order of this customer is kept back" }
                    @else if count == TOGETHER_MAX { " or more other orders of this customer are kept back" }
                    @else { " other orders of this customer are kept back" }
                }
            }
        }
    }
}

fn by(hold: &HoldFacts) -> String {
    match &hold.plugin {
        Some(plugin) => format!("{plugin} ({})", hold.owner),
        None => "the host's rules".to_owned(),
    }
}

fn of_lines(hold: &HoldFacts) -> String {
    if hold.lines.is_empty() { "all".to_owned() } else { hold.lines.join(", ") }
}

fn models(decision: &DecisionRecord) -> Markup {
    html! {
        @if !decision.findings.is_empty() {
            section { h2 { "What the rules found" } (found(decision)) }
        }
        @if !decision.scorings.is_empty() {
            section { h2 { "What the models said" } (said(decision)) }
        }
    }
}

pub(super) fn found(decision: &DecisionRecord) -> Markup {
    html! {
        ul {
            @for finding in &decision.findings {
                li {
                    strong { (finding.code) }
                    @if let Some(line) = &finding.line { ", line " (line) }
                    ": found " (finding.found) ", expected " (finding.expected)
                }
            }
        }
    }
}

pub(super) fn said(decision: &DecisionRecord) -> Markup {
    html! {
        ul { @for scoring in &decision.scorings { li { (scored(scoring)) } } }
        @for verdict in &decision.verdicts { (weighed(verdict)) }
    }
}

fn scored(scoring: &Scoring) -> Markup {
    html! {
        strong { (scoring.plugin) }
        @match (&scoring.assessment, &scoring.failure) {
            (Some(said), _) => {
                " scores " (said.score_bp) " of 10000"
                @for reason in &said.reasons {
                    ", " (reason.code) " " (format!("{:+}", reason.contribution_bp))
                }
            }
            (None, Some(failure)) => { " failed: " (failure) }
            (None, None) => { " said nothing" }
        }
    }
}

fn weighed(verdict: &VerdictRecord) -> Markup {
    html! {
        details {
            summary { (verdict.summary) " (" (verdict.outcome) ")" }
            ul {
                @for clause in &verdict.clauses {
                    li {
                        @if clause.held { "met: " } @else { strong.flag { "not met: " } }
                        (clause.name) ": found " (clause.found) ", required " (clause.required)
                    }
                }
            }
        }
    }
}

fn lines(order: &Order) -> Markup {
    let count = order.lines.len();
    html! {
        section {
            h2 { "The order" }
            @if let Some(date) = &order.requested_delivery { p { "Wanted by " (date) } }
            @if let Some(date) = &order.cancel_after { p { "Void when not shipped by " (date) } }
            @for note in &order.notes { p.note { (note) } }
            @if count > LINES_OPEN {
                details { summary { (count) " lines" } (table_of_lines(order, "Lines")) }
            } @else {
                (table_of_lines(order, "Lines"))
            }
        }
    }
}

pub(super) fn table_of_lines(order: &Order, called: &str) -> Markup {
    html! {
        div.wide.tall tabindex="0" role="region" aria-label=(called) {
            table {
                caption.hidden { "Lines of the order" }
                thead { tr {
                    th scope="col" { "Line" } th scope="col" { "Item" } th scope="col" { "Description" }
                    th scope="col" { "Quantity" } th scope="col" { "Unit price" }
                } }
                tbody {
                    @for line in &order.lines {
                        tr {
                            td data-label="Line" { (line.number) }
                            td data-label="Item" { (line.sku) }
                            td data-label="Description" { (line.description.as_deref().unwrap_or("none")) }
                            td data-label="Quantity" { (line.quantity) }
                            td data-label="Unit price" { (line.unit_price.in_words()) }
                        }
                    }
                }
            }
        }
    }
}

fn came(input: &str, cut: bool) -> Markup {
    html! {
        section {
            h2 { "What came" }
            pre.tall tabindex="0" aria-label="The input" { (input) }
            @if cut { p { "Only the beginning is shown." } }
        }
    }
}

/// What people corrected already: whoever corrects once more says all of it again.
fn corrected(before: &[CorrectionFacts]) -> Markup {
    html! {
        @if !before.is_empty() {
            section {
                h2 { "Corrected before" }
                p { "A further correction takes the place of all of this." }
                @for correction in before {
                    p { "At " (correction.at) ": " del { (correction.was) } " " ins { (correction.is) } }
                }
            }
        }
    }
}

fn history(steps: &[Step]) -> Markup {
    html! {
        section {
            h2 { "What happened to it" }
            @if steps.is_empty() {
                p.empty { "Nothing yet." }
            } @else {
                ol.history {
                    @for step in steps {
                        li {
                            (minute(&step.at)) " "
                            strong { (step.who.as_deref().unwrap_or("the host")) } " " (step.step)
                            @if let Some(to) = &step.to { " to " (to) }
                            @if let Some(words) = &step.words { ": " span.words { (words) } }
                        }
                    }
                }
            }
        }
    }
}

// --- forms ---------------------------------------------------------------------------------------

pub(super) fn form(visit: &Visit, exception: u64, act: &str, content: &Markup) -> Markup {
    html! {
        form method="post" action={ "/console/exceptions/" (exception) "/" (act) } {
            input type="hidden" name="token" value=(visit.token);
            (content)
        }
    }
}

fn closed(story: &ExceptionStory) -> Markup {
    let exception = &story.exception;
    html! {
        h2 { "Closed" }
        p {
            (exception.closed_how.as_deref().unwrap_or("closed")) " by "
            (exception.closed_by.as_deref().unwrap_or("the host"))
            @if let Some(at) = &exception.closed_at { ", " (minute(at)) }
        }
    }
}

fn claiming(visit: &Visit, story: &ExceptionStory) -> Markup {
    let exception = &story.exception;
    let mine = exception.claimed_by.as_deref() == Some(visit.person.name().as_str());
    html! {
        @if mine {
            (form(visit, exception.id, "give-back", &html! { button.quiet type="submit" { "Give back" } }))
        } @else if exception.claimed_by.is_none() {
            (form(visit, exception.id, "claim", &html! { button type="submit" { "Claim" } }))
        }
    }
}

/// What somebody proposed, and the forms to agree or not. What is about several is agreed to
/// where all of them are shown.
pub(super) fn proposed(visit: &Visit, exception: u64, proposal: &Proposal, all_shown: bool) -> Markup {
    let mine = proposal.by == visit.person.name().as_str();
    let count = proposal.together.len();
    let digest = html! { input type="hidden" name="proposal" value=(proposal.digest); };
    html! {
        section {
            h2 { "Proposed: " (label(&proposal.action)) }
            p { strong { (proposal.by) } ": " (proposal.reason.as_deref().unwrap_or("the words were removed")) }
            @if !proposal.holds.is_empty() { p { "Ends hold " (proposal.holds.join(", ")) } }
            @if count > 0 { p { "Ends all holds of " (count) " orders of this customer" } }
            @if let Some(queue) = &proposal.queue { p { "Goes to " (queue) } }
            @for correction in &proposal.corrections {
                p { "At " (correction.at) ": " del { (correction.was) } " " ins { (correction.is) } }
            }
            p {
                (proposal.approved_by.len()) " of " (proposal.approvals_needed) " agreed"
                @if !proposal.approved_by.is_empty() { " (" (proposal.approved_by.join(", ")) ")" }
                ", until " (minute(&proposal.expires_at))
            }
            @if !all_shown {
                p { a href={ "/console/exceptions/" (exception) "/customer" } { "Look at all " (count) " orders" } }
            } @else if mine {
                p { "You proposed it, and nobody judges work of their own: others have to agree." }
            } @else {
                (form(visit, exception, "approve", &html! { (digest) button type="submit" { "Approve" } }))
            }
            (form(visit, exception, "refuse", &html! {
                (digest)
                button.quiet type="submit" { @if mine { "Take back" } @else { "Refuse" } }
            }))
        }
    }
}

fn deciding(visit: &Visit, story: &ExceptionStory, queues: &[&str], typed: &Form) -> Markup {
    let exception = &story.exception;
    let chosen = typed.text("action");
    html! {
        section {
            h2 { "Decide" }
            (form(visit, exception.id, "decide", &html! {
                input type="hidden" name="shown" value=(story.shown);
                fieldset {
                    legend { "What is to happen" }
                    @for action in &story.actions {
                        div.choice {
                            input type="radio" name="action" value=(action) id={ "action-" (action) } required
                                checked[chosen == action];
                            label for={ "action-" (action) } { (label(action)) }
                        }
                        (details_of(action, story, queues, typed))
                    }
                }
                label for="reason" { "Why, for the record" }
                textarea id="reason" name="reason" rows="3" maxlength="1000" required { (typed.text("reason")) }
                button type="submit" { "Decide" }
            }))
        }
    }
}

/// What an action needs to know. All of it is there whatever is chosen, since nothing on this
/// page moves by itself; what belongs to another action is not read.
fn details_of(action: &str, story: &ExceptionStory, queues: &[&str], typed: &Form) -> Markup {
    let holds = story.order_facts.iter().flat_map(|order| &order.holds);
    html! {
        @match action {
            "release-holds" => div.more {
                @let holds: Vec<&HoldFacts> = holds.collect();
                @if holds.len() > HOLDS_OPEN {
                    div.choice {
                        input type="checkbox" name="hold" value=(ALL) id="hold-all"
                            checked[typed.is_empty() || typed.all("hold").any(|hold| hold == ALL)];
                        label for="hold-all" { "All " (holds.len()) " holds" }
                    }
                    details { summary { "Some of them" } (choices(&holds, typed, false)) }
                } @else {
                    (choices(&holds, typed, typed.is_empty()))
                }
            },
            "reroute" => div.more {
                label for="queue" { "To the queue" }
                select id="queue" name="queue" {
                    @for queue in queues.iter().filter(|queue| **queue != story.exception.queue) {
                        option value=(queue) selected[typed.text("queue") == *queue] { (queue) }
                    }
                }
            },
            "resubmit" => div.more {
                label for="payload" { "The whole input, mended" }
                textarea id="payload" name="payload" rows="8" spellcheck="false" { (typed.text("payload")) }
            },
            "correct" => div.more {
                label for="corrections" { "What is to stand where, in the place of what" }
                textarea id="corrections" name="corrections" rows="4" spellcheck="false"
                    placeholder=r#"[{"at": "/shipToName", "was": "…", "is": "…"}]"# { (typed.text("corrections")) }
            },
            _ => {}
        }
    }
}

fn commenting(visit: &Visit, exception: u64, typed: &Form) -> Markup {
    html! {
        section {
            h2 { "Comment" }
            (form(visit, exception, "comment", &html! {
                label for="words" { "For those who look next" }
                textarea id="words" name="words" rows="2" maxlength="1000" required { (typed.text("words")) }
                button.quiet type="submit" { "Add the comment" }
            }))
            details {
                summary { "Hand it to somebody" }
                (form(visit, exception, "assign", &html! {
                    label for="to" { "Account" }
                    input id="to" name="to" type="text" required maxlength="64" autocapitalize="none"
                        spellcheck="false" value=(typed.text("to"));
                    button.quiet type="submit" { "Hand over" }
                }))
            }
        }
    }
}

fn choices(holds: &[&HoldFacts], typed: &Form, all: bool) -> Markup {
    html! {
        @for hold in holds {
            @let number = hold.number.to_string();
            div.choice {
                input type="checkbox" name="hold" value=(number) id={ "hold-" (number) }
                    checked[all || typed.all("hold").any(|typed| typed == number)];
                label for={ "hold-" (number) } { "Hold " (number) ", " (hold.reason) }
            }
        }
    }
}

/// An action in words.
fn label(action: &str) -> &str {
    match action {
        "release-holds" => "Release the holds",
        "confirm-holds" => "Confirm: it stays held",
        "reject" => "Reject the order",
        "reroute" => "Give it to another queue",
        "resubmit" => "Mend the input and send it again",
        "retry" => "Try it again",
        "correct" => "Correct words of the message and try it again",
        "abandon" => "Abandon it",
        "accept-change" => "Accept the change: it was carried out",
        "refuse-change" => "Refuse the change: the order stays as it was",
        other => other,
    }
}

//! All orders of one customer that are kept back: each with what keeps it back, and after them
//! the form that releases all, or the one that agrees to what somebody proposed.

use maud::{Markup, html};
use portreeve_model::Order;

use super::RELEASE_TOGETHER;
use super::exception::{Evidence, LINES_OPEN, form, found, proposed, said, table_of_holds, table_of_lines};
use super::form::Form;
use super::page::{Notice, frame};
use super::visit::Visit;
use crate::exception::OrderFacts;
use crate::exception::together::{Member, TogetherStory};

pub(super) fn page(
    visit: &Visit,
    story: &TogetherStory,
    evidence: &[Evidence],
    notice: Option<Notice>,
    typed: &Form,
) -> Markup {
    let title = "Orders of one customer";
    let content = html! {
        @if let Some(notice) = &notice { (notice.markup()) }
        p.back { a href={ "/console/exceptions/" (story.exception) } { "Exception " (story.exception) } }
        h1 { (title) " " span.number { (story.members.len()) " together" } }
        dl.facts {
            div { dt { "Orders" } dd { (story.members.len()) } }
            div { dt { "Worth" } dd { (worth(story)) } }
            @if story.more > 0 { div { dt { "Not shown" } dd { (story.more) " more" } } }
        }
        div.case {
            div.evidence {
                @for (member, evidence) in story.members.iter().zip(evidence) { (order(member, evidence)) }
                @if !story.apart.is_empty() { (apart(story)) }
            }
            aside.acts aria-label="What you can do" {
                @if let Some(proposal) = &story.proposal {
                    (proposed(visit, story.exception, proposal, true))
                } @else if story.members.is_empty() {
                    p.empty { "None of them is in a queue of a role of yours." }
                } @else {
                    (releasing(visit, story, typed))
                }
            }
        }
    };
    frame(title, Some(visit), &content)
}

fn worth(story: &TogetherStory) -> String {
    match &story.worth {
        Some(worth) if worth.is_empty() => "nothing".to_owned(),
        Some(worth) => worth.join(", "),
        None => "more than can be told".to_owned(),
    }
}

fn order(member: &Member, evidence: &Evidence) -> Markup {
    let exception = &member.exception;
    let number = exception.order_number.as_deref().unwrap_or("none");
    html! {
        section {
            h2 { "Order " (number) }
            p {
                a href={ "/console/exceptions/" (exception.id) } { "Exception " (exception.id) }
                " in " (exception.queue) ", with " (exception.claimed_by.as_deref().unwrap_or("nobody"))
            }
            @if let Some(facts) = &member.order_facts { (held(number, facts)) }
            @if !member.makers.is_empty() { p { "Mended by " (member.makers.join(", ")) } }
            @if !member.owners.is_empty() { p { "Owner of the model's grant: " (member.owners.join(", ")) } }
            @if let Some(decision) = &evidence.decision {
                @if !decision.findings.is_empty() { h3 { "What the rules found" } (found(decision)) }
                @if !decision.scorings.is_empty() { h3 { "What the models said" } (said(decision)) }
            }
            @match &evidence.order {
                Some(order) => {
                    @for note in &order.notes { p.note { (note) } }
                    (lines(exception.id, number, order))
                }
                None => p.empty { "What the order says was removed." }
            }
        }
    }
}

/// An order's lines; those of a long one are on its own page, for a hundred such would be none
/// that a browser shows.
fn lines(exception: u64, number: &str, order: &Order) -> Markup {
    let count = order.lines.len();
    html! {
        @if count > LINES_OPEN {
            p { a href={ "/console/exceptions/" (exception) } { (count) " lines of " (number) } }
        } @else {
            details {
                summary { (count) @if count == 1 { " line of " } @else { " lines of " } (number) }
                (table_of_lines(order, &format!("Lines of {number}")))
            }
        }
    }
}

fn held(number: &str, order: &OrderFacts) -> Markup {
    html! {
        p { (order.value) ", " (order.state) ": " (order.why) }
        @if order.cancel_requested { p { strong.flag { "Its sender wants it cancelled." } } }
        @if order.changed { p { strong.flag { "Its sender sent other content since." } } }
        (table_of_holds(order, &format!("Holds of {number}")))
    }
}

fn apart(story: &TogetherStory) -> Markup {
    html! {
        section {
            h2 { "In other queues" }
            p { "These do not go with the others: whoever works on their queue decides." }
            ul {
                @for exception in &story.apart {
                    li {
                        a href={ "/console/exceptions/" (exception.id) } { "Exception " (exception.id) }
                        ", order " (exception.order_number.as_deref().unwrap_or("none"))
                        ", in " (exception.queue) ": " (exception.code)
                    }
                }
            }
        }
    }
}

fn releasing(visit: &Visit, story: &TogetherStory, typed: &Form) -> Markup {
    let count = story.members.len();
    html! {
        section {
            h2 { "Release them together" }
            p { "Ends all holds that are shown. What all of them are worth decides whether others have to agree." }
            (form(visit, story.exception, RELEASE_TOGETHER, &html! {
                input type="hidden" name="shown" value=(story.shown);
                label for="reason" { "Why, for the record" }
                textarea id="reason" name="reason" rows="3" maxlength="1000" required { (typed.text("reason")) }
                button type="submit" { "Release " (count) @if count == 1 { " order" } @else { " orders" } }
            }))
        }
    }
}

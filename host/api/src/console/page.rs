//! The frame of each page, and the pages without evidence: signing in, the queue, a refusal.

use maud::{DOCTYPE, Markup, html};

use super::visit::Visit;
use crate::exception::{Exception, PARTLY, cut};
use crate::problem::Problem;

/// What is told at the top of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    Claimed,
    GivenBack,
    Assigned,
    Commented,
    Decided,
    Proposed,
    Refused,
    /// Nothing was done, and why.
    NotDone(String),
    /// Not all of it was done, and why.
    Partly(String),
}

impl Notice {
    const ALL: [(&str, Self); 7] = [
        ("claimed", Self::Claimed),
        ("given-back", Self::GivenBack),
        ("assigned", Self::Assigned),
        ("commented", Self::Commented),
        ("decided", Self::Decided),
        ("proposed", Self::Proposed),
        ("refused", Self::Refused),
    ];

    /// The notice of a word in an address; an address says nothing else.
    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, notice)| notice)
    }

    pub(super) fn of_problem(problem: &Problem) -> Self {
        let why = problem.detail().to_owned();
        if problem.is(PARTLY) { Self::Partly(why) } else { Self::NotDone(why) }
    }

    pub(super) fn word(&self) -> &'static str {
        Self::ALL.into_iter().find(|(_, notice)| notice == self).map_or("", |(word, _)| word)
    }

    fn sentence(&self) -> &str {
        match self {
            Self::Claimed => "It is yours now.",
            Self::GivenBack => "Nobody works on it now.",
            Self::Assigned => "It was handed over.",
            Self::Commented => "Your comment is on record.",
            Self::Decided => "It is done, and on record.",
            Self::Proposed => "It is proposed. Others have to agree before it is done.",
            Self::Refused => "The proposal ended; nothing else changed.",
            Self::NotDone(why) | Self::Partly(why) => why,
        }
    }

    pub(super) fn markup(&self) -> Markup {
        match self {
            Self::NotDone(_) => html! {
                div.notice.bad role="alert" tabindex="-1" id="notice" {
                    p { strong { "Nothing was done. " } (self.sentence()) }
                }
            },
            Self::Partly(_) => html! {
                div.notice.bad role="alert" tabindex="-1" id="notice" {
                    p { strong { "Not all of it was done. " } (self.sentence()) }
                }
            },
            _ => html! { div.notice role="status" id="notice" { p { (self.sentence()) } } },
        }
    }
}

/// The frame.
pub(super) fn frame(title: &str, visit: Option<&Visit>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Portreeve" }
                link rel="stylesheet" href="/console/style.css";
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    p.brand { a href="/console/exceptions" { "Portreeve" } }
                    @if let Some(visit) = visit {
                        form method="post" action="/console/sign-out" {
                            input type="hidden" name="token" value=(visit.token);
                            span.who { (visit.person.name()) }
                            button.quiet type="submit" { "Sign out" }
                        }
                    }
                }
                main id="main" tabindex="-1" { (content) }
            }
        }
    }
}

pub(super) fn sign_in(name: &str, refused: Option<&str>) -> Markup {
    let content = html! {
        h1 { "Sign in" }
        @if let Some(refused) = refused {
            div.notice.bad role="alert" { p { (refused) } }
        }
        form.narrow method="post" action="/console/sign-in" {
            label for="name" { "Name" }
            input id="name" name="name" type="text" value=(name) autocomplete="username" autocapitalize="none"
                spellcheck="false" required maxlength="64" autofocus;
            label for="password" { "Password" }
            input id="password" name="password" type="password" autocomplete="current-password" required
                maxlength="256";
            button type="submit" { "Sign in" }
        }
    };
    frame("Sign in", None, &content)
}

pub(super) fn sorry(visit: Option<&Visit>, why: &str) -> Markup {
    let content = html! {
        h1 { "Nothing was done" }
        div.notice.bad role="alert" { p { (why) } }
        p { a href="/console/exceptions" { "Back to the queue" } }
    };
    frame("Nothing was done", visit, &content)
}

/// What is on a shelf.
pub(super) struct QueuePage {
    pub(super) own: Vec<String>,
    pub(super) all: Vec<String>,
    pub(super) chosen: Option<String>,
    pub(super) exceptions: Vec<Exception>,
    pub(super) overdue: Vec<bool>,
    pub(super) next: Option<u64>,
}

pub(super) fn queue(visit: &Visit, page: &QueuePage) -> Markup {
    let title = page.chosen.as_deref().unwrap_or("My queues");
    let content = html! {
        h1 { (title) }
        nav aria-label="Queues" {
            ul.queues {
                li { (queue_link("My queues", "/console/exceptions", page.chosen.is_none())) }
                @for queue in &page.all {
                    @let own = page.own.contains(queue);
                    li.other[!own] {
                        (queue_link(queue, &format!("/console/exceptions?queue={}", address(queue)),
                            page.chosen.as_ref() == Some(queue)))
                    }
                }
            }
        }
        @if page.exceptions.is_empty() {
            @if page.chosen.is_none() && page.own.is_empty() {
                p.empty { "No role of yours works on a queue. You can look at all of them." }
            } @else {
                p.empty { "Nothing waits here." }
            }
        } @else {
            (rows(page))
            @if let Some(next) = page.next {
                @let queue = page.chosen.as_ref().map(|queue| format!("&queue={}", address(queue)));
                p { a href={ "/console/exceptions?after=" (next) (queue.unwrap_or_default()) } { "The next ones" } }
            }
        }
    };
    frame(title, Some(visit), &content)
}

fn queue_link(name: &str, to: &str, is_here: bool) -> Markup {
    html! { a href=(to) aria-current=[is_here.then_some("page")] { (name) } }
}

fn rows(page: &QueuePage) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="What waits" {
            table {
                caption.hidden { "What waits, oldest first" }
                thead {
                    tr {
                        th scope="col" { "Exception" }
                        th scope="col" { "Order" }
                        th scope="col" { "Queue" }
                        th scope="col" { "Due" }
                        th scope="col" { "With" }
                    }
                }
                tbody {
                    @for (exception, overdue) in page.exceptions.iter().zip(&page.overdue) {
                        tr.overdue[*overdue] {
                            td data-label="Exception" {
                                a href={ "/console/exceptions/" (exception.id) } {
                                    (exception.id) " " (exception.code)
                                }
                                p.detail { (cut(&exception.detail)) }
                            }
                            td data-label="Order" { (exception.order_number.as_deref().unwrap_or("none")) }
                            td data-label="Queue" { (exception.queue) }
                            td data-label="Due" {
                                @if let Some(due) = &exception.due_at {
                                    (minute(due))
                                    @if *overdue { " " strong.flag { "overdue" } }
                                    @if exception.escalated_at.is_some() { " " strong.flag { "escalated" } }
                                } @else { "whenever" }
                            }
                            td data-label="With" { (exception.claimed_by.as_deref().unwrap_or("nobody")) }
                        }
                    }
                }
            }
        }
    }
}

/// A time, to the minute, as people read it.
pub(super) fn minute(at: &str) -> Markup {
    let text: String = at.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect();
    html! { time datetime=(at) { (text) " UTC" } }
}

/// A text within an address.
pub(super) fn address(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_shows_as_much_of_a_long_sentence_as_a_list_does() {
        let exception = Exception {
            id: 1,
            kind: "document".to_owned(),
            order: None,
            order_number: None,
            stage: "decide".to_owned(),
            code: "unmapped".to_owned(),
            detail: "x".repeat(2_000),
            queue: "integration".to_owned(),
            route_owner: None,
            opened_at: "2026-03-02T08:00:00Z".to_owned(),
            due_at: None,
            escalated_at: None,
            claimed_by: None,
            claimed_at: None,
            closed_at: None,
            closed_by: None,
            closed_how: None,
        };
        let (own, all) = (Vec::new(), Vec::new());
        let page = QueuePage { own, all, chosen: None, exceptions: vec![exception], overdue: vec![false], next: None };
        let shown = rows(&page).into_string();
        assert!(shown.len() < 1_500 && shown.contains("x…</p>"), "{shown}");
    }
}

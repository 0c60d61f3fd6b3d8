//! Where an order stands, and why: the strongest cause of all that was found.

use portreeve_authority::rules::{Consequence, Finding};
use portreeve_authority::{Effect, Reserve, Verdict};
use portreeve_model::advice::{Assessment, HoldScope, Proposal, Reason};
use portreeve_model::{Digest, ExceptionKind, Instant, PluginName};
use portreeve_store::contract::{HoldOwner, NewException, NewHold, OrderState, Spends};

use super::later;
use super::validating::Validated;
use crate::Pipeline;
use crate::decision::{Scoring, Weighed};
use crate::route::{FailedScorer, OF_A_SCORER};

/// Causes of a score that one line tells, the heaviest; the decision's record has all.
const REASONS_TOLD_MAX: usize = 3;

/// Where an order stands, and why.
pub(super) struct Standing {
    pub(super) state: OrderState,
    pub(super) queue: Option<String>,
    pub(super) why: String,
    pub(super) holds: Vec<NewHold>,
    pub(super) recommended: bool,
    exception: Option<NewException>,
}

impl Pipeline {
    /// Where an order stands, from the strongest cause down: refused by a rule,
    /// failed, held, routed, released.
    pub(super) fn standing(
        &self,
        order: &Validated,
        scorings: &[Scoring],
        verdicts: &[Weighed],
        now: Instant,
    ) -> Standing {
        let mut standing = Standing::released();
        if order.cancel_requested {
            let queue = self.queue(&order.document);
            standing.holds.push(later::cancel_hold(queue, now));
            let why = format!("{}: found a request to cancel the order before it came", later::CANCEL_REQUESTED);
            standing.raise(OrderState::Held, Some(queue.to_owned()), why);
        }
        for finding in &order.findings {
            standing.add_finding(finding, now);
        }
        for weighed in verdicts {
            let said = scorings.iter().find(|scoring| scoring.plugin == *weighed.verdict.plugin());
            let why = why(weighed, said.and_then(|scoring| scoring.assessment.as_ref()));
            standing.add_verdict(weighed, said.map(|scoring| scoring.component), why);
        }
        let fails_closed = self
            .routes
            .channel(order.document.channel())
            .is_none_or(|channel| channel.failed_scorer == FailedScorer::FailClosed);
        for scoring in scorings {
            if let Some(failure) = &scoring.failure {
                standing.add_failure(&scoring.plugin, failure, self.queue(&order.document), fails_closed);
            }
        }
        standing
    }
}

impl Standing {
    fn released() -> Self {
        Self {
            state: OrderState::Released,
            queue: None,
            why: "no hold".to_owned(),
            holds: Vec::new(),
            recommended: false,
            exception: None,
        }
    }

    /// Moves to a stronger state; an equal or weaker one adds nothing.
    fn raise(&mut self, state: OrderState, queue: Option<String>, why: String) {
        let strength = |state| match state {
            OrderState::Released => 0,
            OrderState::Routed => 1,
            OrderState::Held => 2,
            OrderState::Exception => 3,
            OrderState::Refused => 4,
        };
        if strength(state) > strength(self.state) {
            (self.state, self.queue, self.why) = (state, queue, why);
        }
    }

    /// What waits for a person: what failed or is refused, or else what keeps it back.
    pub(super) fn exception(&self) -> Option<NewException> {
        let kept_back = matches!(self.state, OrderState::Held | OrderState::Routed);
        self.exception.clone().or_else(|| {
            let hold = self.holds.iter().find(|hold| Some(&hold.queue) == self.queue.as_ref()).or(self.holds.first());
            let (hold, queue) = hold.zip(self.queue.clone()).filter(|_| kept_back)?;
            Some(NewException {
                kind: ExceptionKind::Held,
                stage: "decide",
                // A scorer's own words are no codes of the host.
                code: match &hold.owner {
                    HoldOwner::Policy => hold.reason.clone(),
                    HoldOwner::Advice(_) => "advice".to_owned(),
                    HoldOwner::Route(_) => "route".to_owned(),
                    HoldOwner::SpentBudget(_) => "spent-budget".to_owned(),
                },
                detail: self.why.clone(),
                queue,
                due_at: None,
            })
        })
    }

    fn add_finding(&mut self, finding: &Finding, now: Instant) {
        let place = finding.line.as_ref().map_or_else(String::new, |line| format!(" (line {line})"));
        let why = format!("{}{place}: found {}, expected {}", finding.code, finding.found, finding.expected);
        match &finding.consequence {
            Consequence::Refuse { queue } => {
                // Nothing answers the sender by itself. Without a row for people the
                // order would be gone, and the sender would wait for it.
                if self.state != OrderState::Refused {
                    self.exception = Some(NewException {
                        kind: ExceptionKind::Order,
                        stage: "decide",
                        code: "refused-order".to_owned(),
                        detail: format!("{why}; tell the sender that the order is refused"),
                        queue: queue.clone(),
                        due_at: None,
                    });
                }
                self.raise(OrderState::Refused, Some(queue.clone()), why);
            }
            Consequence::PolicyHold { queue, minutes } => {
                self.holds.push(NewHold {
                    owner: HoldOwner::Policy,
                    reason: finding.code.to_owned(),
                    queue: queue.clone(),
                    lines: finding.line.clone().into_iter().collect(),
                    expires_at: now.plus_ms(i64::from(*minutes) * Instant::MINUTE_MS),
                    component: None,
                });
                self.raise(OrderState::Held, Some(queue.clone()), why);
            }
        }
    }

    fn add_verdict(&mut self, weighed: &Weighed, component: Option<Digest>, why: String) {
        let Weighed { verdict, proposal, .. } = weighed;
        match verdict.effect() {
            Effect::RecordOnly => {}
            Effect::Recommend(_) => self.recommended = true,
            Effect::Route { queue, until, .. } => {
                self.holds.push(NewHold {
                    owner: match verdict.reserve() {
                        Some(reserve) => HoldOwner::Route(spends(verdict, reserve)),
                        None => HoldOwner::SpentBudget(verdict.plugin().clone()),
                    },
                    reason: reason(proposal),
                    queue: queue.clone(),
                    lines: Vec::new(),
                    expires_at: *until,
                    component,
                });
                self.raise(OrderState::Routed, Some(queue.clone()), why);
            }
            Effect::Hold { scope, until, queue, .. } => {
                let lines = match scope {
                    HoldScope::Order => Vec::new(),
                    HoldScope::Lines(lines) => lines.clone(),
                };
                self.holds.push(NewHold {
                    // A hold without a budget is none that could be committed.
                    owner: HoldOwner::Advice(spends(verdict, verdict.reserve().unwrap_or_default())),
                    reason: reason(proposal),
                    queue: queue.clone(),
                    lines,
                    expires_at: *until,
                    component,
                });
                self.raise(OrderState::Held, Some(queue.clone()), why);
            }
        }
    }

    fn add_failure(&mut self, plugin: &PluginName, code: &str, queue: &str, fails_closed: bool) {
        if !fails_closed {
            return;
        }
        let why = format!("scorer `{plugin}` failed: {code}");
        if self.exception.is_none() {
            self.exception = Some(NewException {
                kind: ExceptionKind::Held,
                stage: "decide",
                code: format!("{OF_A_SCORER}{code}"),
                detail: format!("{why}; decide about the order yourself or repair the plugin"),
                queue: queue.to_owned(),
                due_at: None,
            });
        }
        self.raise(OrderState::Exception, Some(queue.to_owned()), why);
    }
}

fn spends(verdict: &Verdict, reserve: Reserve) -> Spends {
    let Reserve { per_hour_max, held_share, value_held_per_day_max_minor } = reserve;
    Spends { plugin: verdict.plugin().clone(), per_hour_max, held_share, value_held_per_day_max_minor }
}

/// What a scorer found, in its codes and figures, and what authority made of it.
fn why(Weighed { verdict, proposal, .. }: &Weighed, said: Option<&Assessment>) -> String {
    let summary = verdict.summary();
    let Some(said) = said else { return summary };
    let mut reasons: Vec<&Reason> = said.reasons.iter().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.contribution_bp.unsigned_abs()));
    let told: Vec<String> = reasons.iter().take(REASONS_TOLD_MAX).map(|reason| of_reason(reason)).collect();
    let others = reasons.len().saturating_sub(REASONS_TOLD_MAX);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    let because = if told.is_empty() { String::new() } else { format!(" ({}{others})", told.join(", ")) };
    let cause = match proposal {
        Proposal::Hold(hold) => format!("{}: ", hold.reason),
        Proposal::Route(_) | Proposal::Recommend(_) | Proposal::Other(_) => String::new(),
    };
    format!("{cause}`{}` scores {} bp{because}; {summary}", verdict.plugin(), said.score_bp)
}

fn of_reason(reason: &Reason) -> String {
    let line = reason.line_number.as_ref().map_or_else(String::new, |line| format!(" line {line}"));
    format!("{}{line} {:+}", reason.code, reason.contribution_bp)
}

/// The reason code of a hold, as the scorer named it.
fn reason(proposal: &Proposal) -> String {
    match proposal {
        Proposal::Hold(hold) => hold.reason.clone(),
        Proposal::Route(_) | Proposal::Recommend(_) | Proposal::Other(_) => "advice".to_owned(),
    }
}

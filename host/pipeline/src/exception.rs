//! What waits for a person, and what a person decides about it.
//!
//! ```text
//! show ─▶ claim ─▶ decide ─▶ enough by itself ─────────────▶ carry out ─▶ commit
//!                    │           authority                        ▲        effect + step + leaf
//!                    └─────▶ propose ─▶ approve (once or twice) ──┘
//! ```
//!
//! Whoever decides names the digest of what was shown ([`Shown`]); whoever approves names the
//! digest of the exact action, which is bound to what its proposer was shown. When what is
//! shown is something else by then, nothing happens and the sentence says what it is now. Who
//! may do what is [`portreeve_authority::people::People`]'s answer; that nobody is maker and checker the store's writes
//! make sure of once more.
//!
//! INVARIANT: nothing here happens without an authenticated person, but that time passes.

mod agreed;

mod due;

mod letters;
mod overtaken;

mod paused;

mod possible;

mod shown;

mod together;

use std::fmt::Display;

use portreeve_authority::people::{Actor, Approvals, Denied, Proposed, Stake};
use portreeve_model::event::OrderAnswer;
use portreeve_model::{Digest, Event, ExceptionAction, ExceptionKind, Instant, PersonName, ProcessState};
use portreeve_record::leaf::{Code, ExceptionLeaf, HoldRecord, Label, Listed, REJECTED, REPLAYED};
use portreeve_record::{Leaf, LeafBody, RecordError, SealError, canonical_json, parse_canonical};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    Effect, ExceptionChange, ExceptionView, KeptBack, NewPayload, NewProposal, NewStep, OrderEventKind, PayloadRef,
    Person, ProposalView, Resolution, Saying,
};
use serde::{Deserialize, Serialize};

pub(crate) use self::due::Limits;
pub use self::due::Overdue;
pub use self::letters::{LETTERS_MAX, Letters, LettersWanted, Retried};
pub use self::paused::PauseRecords;
pub use self::shown::Shown;
use self::together::Seen;
pub use self::together::{TOGETHER_MAX, Together};
use crate::Pipeline;
use crate::accept::{AcceptError, Input};
use crate::correction;
pub use crate::correction::{Correction, edited};
use crate::own_word::OwnWord;
use crate::people::SignedIn;
use crate::review::{REASON_BYTES_MAX, Release, ReviewError, Reviewed, hold_record};
use crate::route::OwnChannel;
use crate::sender::Sender;

/// How often something that moved meanwhile is looked at again, where a person decided about
/// none of what moved.
const TRIES_MAX: u32 = 3;

/// What a person decides.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// The exception.
    pub exception: u64,
    /// The digest of what was shown.
    pub shown: Digest,
    /// What to do.
    pub action: ExceptionAction,
    /// Why, in the person's words.
    pub reason: &'a str,
    /// The holds that end, by number.
    pub holds: &'a [u64],
    /// Whose work it is to be.
    pub queue: Option<&'a str>,
    /// The bytes in place of the input's.
    pub payload: Option<&'a [u8]>,
}

/// What came of a decision or an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done {
        /// What became of the order, where one was looked at again.
        reviewed: Option<Reviewed>,
    },
    /// It is done about orders of one customer together.
    Together {
        /// What became of each that was looked at again, by the number of its exception.
        reviewed: Vec<Reviewed>,
    },
    /// Others have to agree first.
    Waits {
        /// The digest that they name.
        proposal: Digest,
        /// Until when.
        expires_at: Instant,
        /// How many more.
        approvals_missing: u8,
    },
}

/// A step that decides nothing.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// I work on it.
    Claim,
    /// Nobody does.
    GiveBack,
    /// This account does.
    Assign(&'a str),
    /// Words.
    Comment(&'a str),
}

/// Why nothing was done. Nothing changed, unless the store itself does not know.
#[derive(Debug, thiserror::Error)]
pub enum ExceptionError {
    /// Not this person, or not this.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Somebody else works on it.
    #[error("exception {exception} is `{by}`'s since {since}; ask for it, or have it assigned to you")]
    Claimed {
        /// Its number.
        exception: u64,
        /// Who.
        by: String,
        /// Since when.
        since: Instant,
    },
    /// Only who has it can give it back.
    #[error("exception {exception} is not yours to give back; nobody or somebody else works on it")]
    NotYours {
        /// Its number.
        exception: u64,
    },
    /// Not an account that could work on it.
    #[error("there is no account `{}` that counts; hand it to one that works on queue `{queue}`", name.escape_debug())]
    Nobody {
        /// What was named.
        name: String,
        /// Whose work it is.
        queue: String,
    },
    /// What was shown is not what there is.
    #[error(
        "exception {exception} changed since it was shown; now it stands so: {now}. Look at it again and decide about that"
    )]
    Stale {
        /// Its number.
        exception: u64,
        /// Where it stands.
        now: String,
        /// The digest of what is shown now.
        shown: Digest,
    },
    /// What was shown of a customer's orders is not what there is.
    #[error(
        "what keeps orders of this customer back changed since it was shown: {now}. Look at all of them again and decide about that"
    )]
    StaleTogether {
        /// What is different now.
        now: String,
    },
    /// What was shown of a target's dead letters is not what there is.
    #[error(
        "what was given up for `{}` changed since it was shown: {now} of it would be tried again now. Look at them again and decide about those",
        target.escape_debug()
    )]
    StaleLetters {
        /// The target.
        target: String,
        /// How many would go now.
        now: usize,
    },
    /// Nothing can be shown.
    #[error("no message of exception {exception} can be shown: {why}")]
    NoMessage {
        /// Its number.
        exception: u64,
        /// Why not.
        why: String,
    },
    /// One of those that were to go together may not, so none does.
    #[error("{}", Self::told_apart(*exception, cause))]
    Apart {
        /// Its number.
        exception: u64,
        /// Why not.
        cause: Box<ExceptionError>,
    },
    /// Some are done. What is on record stays, and the rest is as it was.
    #[error("{}", Self::told_partly(*done, *all, *exception, cause))]
    Partly {
        /// How many.
        done: usize,
        /// Of how many.
        all: usize,
        /// The first that is not.
        exception: u64,
        /// Why not.
        cause: Box<ExceptionError>,
    },
    /// No such proposal is open.
    #[error("exception {exception} has no open proposal {proposal}; it may have expired, or ended otherwise")]
    NoProposal {
        /// Its number.
        exception: u64,
        /// What was named.
        proposal: Digest,
    },
    /// One at a time.
    #[error("exception {exception} has a proposal by `{by}` that waits until {until}; approve or refuse it first")]
    Pending {
        /// Its number.
        exception: u64,
        /// Who proposed.
        by: String,
        /// Until when it waits.
        until: Instant,
    },
    /// No words, or a book.
    #[error("{}, expected 1 to {REASON_BYTES_MAX} bytes: whoever reads the record has to understand it", words_found(what, *found))]
    Words {
        /// `reason` or `comment`.
        what: &'static str,
        /// Their length.
        found: usize,
    },
    /// Something that the action needs is missing, or something is there that it does not take.
    #[error("`{}` {what}", action.as_str())]
    Incomplete {
        /// The action.
        action: ExceptionAction,
        /// `needs …` or `takes no …`.
        what: String,
    },
    /// The action is one of the kind's, and not possible here.
    #[error("`{}` is not possible here: {why}", action.as_str())]
    NotHere {
        /// The action.
        action: ExceptionAction,
        /// Why, and what is.
        why: String,
    },
    /// The order was not released.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// The input was not taken.
    #[error(transparent)]
    Accept(#[from] Box<AcceptError>),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
    /// Somebody's words could not be sealed.
    #[error("the words of the decision could not be sealed: {0}")]
    Seal(#[from] SealError),
}

impl ExceptionError {
    /// That one of several cannot go, so none does; why, in words that whoever hears it may know.
    #[must_use]
    pub fn told_apart(exception: u64, why: &dyn Display) -> String {
        format!("nothing was done, since exception {exception} cannot go with the others: {why}")
    }

    /// That only some of several are done; why, in words that whoever hears it may know.
    #[must_use]
    pub fn told_partly(done: usize, all: usize, exception: u64, why: &dyn Display) -> String {
        format!(
            "{done} of {all} are done, and exception {exception} is not: {why}. Look at what is left, and do the same again"
        )
    }
}

/// What a person said with a step, as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The reason, or the comment.
    pub words: String,
    /// The holds that were to end.
    pub holds: Vec<String>,
    /// Whose work it was to be.
    pub queue: Option<String>,
    /// Bytes of the payload that was to take the input's place.
    pub payload_bytes: Option<usize>,
    /// The exceptions whose orders were to go together, by number.
    pub together: Vec<String>,
    /// What was to stand in the message in the place of what.
    pub corrections: Vec<Correction>,
}

/// An action as it is proposed, sealed and digested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Act {
    v: u8,
    exception: String,
    shown: Digest,
    action: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    holds: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// What goes together, by number, each as it was shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    together: Vec<Seen>,
}

/// Who decided, and who agreed.
struct Deciders<'a> {
    /// Who takes the step.
    who: &'a str,
    /// What it carries out, where others had to agree.
    proposal: Option<&'a ProposalView>,
    /// When: what is decided together is decided at once.
    at: Instant,
}

impl Pipeline {
    /// Decides about an exception: at once where the person may alone, and else as a proposal
    /// that others agree to.
    ///
    /// # Errors
    /// See [`ExceptionError`].
    pub async fn decide_exception(&self, who: &SignedIn, decision: Decision<'_>) -> Result<Outcome, ExceptionError> {
        let shown = self.show_exception(decision.exception).await?;
        self.decide_shown(who, shown, decision).await
    }

    /// The same about an exception as it was just read.
    async fn decide_shown(
        &self,
        who: &SignedIn,
        shown: Shown,
        decision: Decision<'_>,
    ) -> Result<Outcome, ExceptionError> {
        let act = Act::of(&decision)?;
        // Check: it is open, nobody else's, and what the person saw.
        let needed = self.people.may_decide(who.actor(), decision.action, shown.stake())?;
        shown.is_open()?;
        shown.is_free_for(who.name().as_str())?;
        shown.is_what_was_shown(decision.shown)?;
        // Check: it could be carried out.
        self.is_complete(&shown, &decision)?;
        self.is_possible(&shown, decision.action).await?;
        if needed.0 == 0 {
            let by = Deciders { who: who.name().as_str(), proposal: None, at: self.clock.now() };
            return self.carry_out(&shown, &decision, &act, by).await;
        }
        if let Some(pending) = &shown.trail.proposal {
            let (by, until) = (pending.by.clone(), pending.expires_at);
            return Err(ExceptionError::Pending { exception: decision.exception, by, until });
        }
        self.propose(&shown, who, &act, needed, self.clock.now()).await
    }

    /// Puts an action to others, who have to agree.
    async fn propose(
        &self,
        shown: &Shown,
        who: &SignedIn,
        act: &Act,
        needed: Approvals,
        at: Instant,
    ) -> Result<Outcome, ExceptionError> {
        let (record, digest) = act.sealed()?;
        let expires_at = self.people.proposal_expires_at(at);
        let proposal = NewProposal { digest, action: act.action()?, expires_at, approvals_needed: needed.0 };
        let leaf = ExceptionLeaf {
            shown: Some(shown.digest),
            proposal: Some(digest),
            record: Some(record.sealed.commitment()),
            ..shown.leaf(who.name().as_str(), "proposed")
        };
        self.step(shown, who.name().as_str(), ExceptionChange::Proposed(proposal), Some(record), leaf, at).await?;
        Ok(Outcome::Waits { proposal: digest, expires_at, approvals_missing: needed.0 })
    }

    /// Agrees to exactly what somebody else proposed; when enough did, it is carried out.
    ///
    /// # Errors
    /// See [`ExceptionError`]; a proposal about something that changed since ends.
    pub async fn approve(&self, who: &SignedIn, exception: u64, proposal: Digest) -> Result<Outcome, ExceptionError> {
        let shown = self.show_exception(exception).await?;
        if let Some(act) = self.act_together(&shown, proposal).await? {
            return self.approve_together(who, &shown, &act, proposal).await;
        }
        shown.is_open()?;
        let open = self.open_proposal(&shown, proposal)?;
        let proposed = Proposed { action: open.action, by: &open.by, approved_by: &open.approved_by };
        self.people.may_approve(who.actor(), proposed, shown.stake())?;
        let act = self.read_act(&open).await?;
        // Check: it is still about what its proposer saw.
        if act.shown != shown.digest {
            let (digest, now) = (shown.digest, shown.standing());
            self.end_proposal(&shown, who.name().as_str(), &open, "stale").await?;
            return Err(ExceptionError::Stale { exception, now, shown: digest });
        }
        let (holds, payload) = (act.holds()?, act.payload()?);
        let decision = act.decision(exception, &holds, payload.as_deref())?;
        let by = Deciders { who: who.name().as_str(), proposal: Some(&open), at: self.clock.now() };
        self.agree(&shown, &open, &decision, &act, by).await
    }

    /// Somebody who may agrees; the last one carries it out.
    async fn agree(
        &self,
        shown: &Shown,
        open: &ProposalView,
        decision: &Decision<'_>,
        act: &Act,
        by: Deciders<'_>,
    ) -> Result<Outcome, ExceptionError> {
        let agreed = u8::try_from(open.approved_by.len()).unwrap_or(u8::MAX).saturating_add(1);
        let missing = open.approvals_needed.saturating_sub(agreed);
        if missing == 0 {
            self.is_complete(shown, decision)?;
            self.is_possible(shown, decision.action).await?;
            return self.carry_out(shown, decision, act, by).await;
        }
        let proposal = open.digest;
        let leaf = ExceptionLeaf { proposal: Some(proposal), ..shown.leaf(by.who, "approved") };
        let change = ExceptionChange::Approved { proposal };
        self.step(shown, by.who, change, None, leaf, by.at).await?;
        Ok(Outcome::Waits { proposal, expires_at: open.expires_at, approvals_missing: missing })
    }

    /// Ends a proposal without carrying it out: its proposer takes it back, or somebody who
    /// might approve it refuses.
    ///
    /// # Errors
    /// See [`ExceptionError`].
    pub async fn refuse(&self, who: &SignedIn, exception: u64, proposal: Digest) -> Result<(), ExceptionError> {
        let shown = self.show_exception(exception).await?;
        if let Some(act) = self.act_together(&shown, proposal).await? {
            return self.refuse_together(who, &shown, &act, proposal).await;
        }
        shown.is_open()?;
        let open = self.open_proposal(&shown, proposal)?;
        let how = if open.by == who.name().as_str() {
            "withdrawn"
        } else {
            let proposed = Proposed { action: open.action, by: &open.by, approved_by: &[] };
            self.people.may_approve(who.actor(), proposed, shown.stake())?;
            "refused"
        };
        self.end_proposal(&shown, who.name().as_str(), &open, how).await
    }

    /// Takes a step that decides nothing.
    ///
    /// # Errors
    /// See [`ExceptionError`].
    pub async fn work_on_exception(
        &self,
        who: &SignedIn,
        exception: u64,
        work: Work<'_>,
    ) -> Result<(), ExceptionError> {
        for _ in 1..TRIES_MAX {
            match self.work_once(who, exception, work).await {
                // A comment is about whatever it is by now, and of two claims the other one shows.
                Err(ExceptionError::Store(StoreError::ExceptionMoved { .. })) => {}
                done => return done,
            }
        }
        self.work_once(who, exception, work).await
    }

    async fn work_once(&self, who: &SignedIn, exception: u64, work: Work<'_>) -> Result<(), ExceptionError> {
        let shown = self.show_exception(exception).await?;
        shown.is_open()?;
        self.people.may_work_on(who.actor(), &shown.trail.exception.queue)?;
        let claimed_by_me = shown.trail.exception.claimed.as_ref().is_some_and(|(by, _)| by == who.name().as_str());
        let (change, words): (_, Option<&str>) = match work {
            Work::Claim => {
                shown.is_free_for(who.name().as_str())?;
                if claimed_by_me {
                    return Ok(());
                }
                (ExceptionChange::Claimed, None)
            }
            Work::GiveBack if claimed_by_me => (ExceptionChange::GivenBack, None),
            Work::GiveBack => return Err(ExceptionError::NotYours { exception }),
            Work::Assign(to) => {
                self.works_there(to, &shown.trail.exception.queue).await?;
                (ExceptionChange::Assigned { to: to.to_owned() }, None)
            }
            Work::Comment(words) => (ExceptionChange::Commented, Some(counted("comment", words)?)),
        };
        let record = words.map(|words| Act::comment(&shown, words).sealed()).transpose()?.map(|(record, _)| record);
        let to = match &change {
            ExceptionChange::Assigned { to } => Some(Label::of(to)),
            _ => None,
        };
        let leaf = ExceptionLeaf {
            to,
            record: record.as_ref().map(|record| record.sealed.commitment()),
            ..shown.leaf(who.name().as_str(), change.as_str())
        };
        self.step(&shown, who.name().as_str(), change, record, leaf, self.clock.now()).await
    }

    /// Check: there is an account of this name that works on the queue.
    async fn works_there(&self, name: &str, queue: &str) -> Result<(), ExceptionError> {
        let nobody = || ExceptionError::Nobody { name: name.chars().take(64).collect(), queue: queue.to_owned() };
        let known = PersonName::parse(name).map_err(|_| nobody())?;
        let person = self.store.person(&known).await?.filter(|person| person.disabled_at.is_none());
        let Person { name, email, roles, .. } = person.ok_or_else(nobody)?;
        let actor = Actor { name: name.as_str(), email: email.as_deref(), roles: &roles };
        Ok(self.people.may_work_on(actor, queue)?)
    }

    /// Check: the action has what it needs, and nothing that it does not take.
    fn is_complete(&self, shown: &Shown, decision: &Decision<'_>) -> Result<(), ExceptionError> {
        let action = decision.action;
        let incomplete = |what: &str| Err(ExceptionError::Incomplete { action, what: what.to_owned() });
        let not_here = |why: String| Err(ExceptionError::NotHere { action, why });
        if !decision.holds.is_empty() && action != ExceptionAction::ReleaseHolds {
            return incomplete("takes no holds");
        }
        if decision.payload.is_some() && !matches!(action, ExceptionAction::Resubmit | ExceptionAction::Correct) {
            return incomplete("takes no payload; `resubmit` and `correct` do");
        }
        if decision.queue.is_some() && action != ExceptionAction::Reroute {
            return incomplete("takes no queue; `reroute` does");
        }
        match action {
            ExceptionAction::ReleaseHolds => match &shown.kept {
                Some(kept) => Ok(self.is_releasable(kept, decision.holds)?),
                None => Ok(()),
            },
            ExceptionAction::Reroute => match decision.queue {
                None => incomplete("needs the queue whose work it is to be"),
                Some(queue) if !self.people.has_queue(queue) => {
                    let known: Vec<&str> = self.people.queues().collect();
                    incomplete(&format!("needs a queue that there is: {}", known.join(", ")))
                }
                Some(queue) if queue == shown.trail.exception.queue => {
                    not_here(format!("it is in queue `{queue}` already"))
                }
                Some(_) => Ok(()),
            },
            ExceptionAction::Resubmit if decision.payload.is_none() => {
                incomplete("needs the payload that takes the place of the input's; `retry` takes it as it came")
            }
            ExceptionAction::Correct => {
                let corrections = correction::read(decision.payload.unwrap_or_default());
                let corrections = corrections.map_err(|what| ExceptionError::Incomplete { action, what })?;
                let (target, matter) = self.corrected_target(shown)?;
                correction::may_be_made(&corrections, target, matter).or_else(not_here)
            }
            _ => Ok(()),
        }
    }

    /// Carries out what was decided, as one commit with the step that says so.
    async fn carry_out(
        &self,
        shown: &Shown,
        decision: &Decision<'_>,
        act: &Act,
        by: Deciders<'_>,
    ) -> Result<Outcome, ExceptionError> {
        let mut reviewed = None;
        match decision.action {
            ExceptionAction::ReleaseHolds => reviewed = Some(self.release(shown, decision, act, &by).await?),
            ExceptionAction::Resubmit | ExceptionAction::Retry
                if shown.trail.exception.kind == ExceptionKind::Input =>
            {
                // Twice the same is one input: a crash before the next line costs nothing.
                self.accept_again(shown, decision, by.who).await?;
                self.resolve(shown, decision, act, &by).await?;
            }
            ExceptionAction::Retry if shown.trail.exception.kind == ExceptionKind::Plugin => {
                self.resolve(shown, decision, act, &by).await?;
                self.try_paused(shown);
            }
            _ => self.resolve(shown, decision, act, &by).await?,
        }
        self.metrics.exception_decided(decision.action.as_str(), &shown.trail.exception.queue);
        Ok(Outcome::Done { reviewed })
    }

    async fn release(
        &self,
        shown: &Shown,
        decision: &Decision<'_>,
        act: &Act,
        by: &Deciders<'_>,
    ) -> Result<Reviewed, ExceptionError> {
        let order = shown.trail.exception.order.ok_or(StoreError::ExceptionMoved { exception: decision.exception })?;
        // Whoever proposed it released it; the others agreed.
        let who = by.proposal.map_or(by.who, |proposal| proposal.by.as_str());
        let step = || self.step_of(shown, decision, act, by);
        let agreed: Vec<&str> = match by.proposal {
            Some(proposal) => proposal.approved_by.iter().map(String::as_str).chain([by.who]).collect(),
            None => Vec::new(),
        };
        let (holds, reason) = (decision.holds, decision.reason);
        let release = Release { order, holds, who, agreed: &agreed, reason, step: &step };
        Ok(self.release_holds(release).await?)
    }

    /// Takes an unread input once more, as its bytes are now or as they came; as a file.
    async fn accept_again(&self, shown: &Shown, decision: &Decision<'_>, who: &str) -> Result<(), ExceptionError> {
        let moved = || StoreError::ExceptionMoved { exception: decision.exception };
        let (input, content) = shown.trail.about.input.ok_or_else(moved)?;
        let (channel, sender) = self.store.input_sender(input).await?.ok_or_else(moved)?;
        let came = self.store.payload(content).await?;
        let body = decision.payload.map_or(came, <[u8]>::to_vec);
        let type_of_files = self.routes.channel(&channel).and_then(crate::Channel::type_of_files);
        // Another path than the sender's: the same bytes are looked at again, and once.
        let path = format!("/exceptions/{}", decision.exception);
        let input = Input { path, ..Input::of_file(body, type_of_files) };
        let sender = Sender::on_record(channel, sender, who);
        self.accept(&sender, input).await.map_err(Box::new)?;
        Ok(())
    }

    async fn resolve(
        &self,
        shown: &Shown,
        decision: &Decision<'_>,
        act: &Act,
        by: &Deciders<'_>,
    ) -> Result<(), ExceptionError> {
        let mut step = self.step_of(shown, decision, act, by)?;
        if decision.action == ExceptionAction::AcceptChange {
            step.says = self.agreement_said(shown, by.at).await?;
        }
        self.store.step_exception(step).await?;
        if shown.trail.exception.kind == ExceptionKind::Delivery {
            self.gone.look_again();
        }
        Ok(())
    }

    /// The step that carries out a decision.
    fn step_of(
        &self,
        shown: &Shown,
        decision: &Decision<'_>,
        act: &Act,
        by: &Deciders<'_>,
    ) -> Result<NewStep, ReviewError> {
        let at = by.at;
        let (record, _) = act.sealed()?;
        // Somebody looks again when its queue promises, from now on: what held it until now was
        // looked at.
        let change = match decision.action {
            ExceptionAction::Reroute => {
                let queue = decision.queue.unwrap_or_default().to_owned();
                let due_at = self.due_at(&queue, at, Limits::default());
                ExceptionChange::Rerouted { queue, due_at }
            }
            ExceptionAction::ConfirmHolds => {
                ExceptionChange::Confirmed { due_at: self.due_at(&shown.trail.exception.queue, at, Limits::default()) }
            }
            action => ExceptionChange::Resolved(Resolution {
                action,
                proposal: by.proposal.map(|proposal| proposal.digest),
                effect: self.effect(shown, decision),
            }),
        };
        let says = match decision.action {
            ExceptionAction::Reject => self.rejection_said(shown, at)?,
            _ => None,
        };
        let leaf = ExceptionLeaf {
            to: decision.queue.map(Label::of),
            shown: Some(shown.digest),
            proposal: by.proposal.map(|proposal| proposal.digest),
            agreed: by.proposal.map(|proposal| agreed(proposal, by.who)).transpose()?,
            record: Some(record.sealed.commitment()),
            agreed_with: shown.agreed_with(&change)?,
            ..shown.leaf(by.who, code(&change))
        };
        Ok(NewStep {
            exception: decision.exception,
            revision: shown.trail.exception.revision,
            at,
            who: Some(by.who.to_owned()),
            since: shown.since(by.who),
            change,
            record: Some(record),
            says,
            leaf: Leaf::new(&self.host, at, LeafBody::Exception(leaf))?,
        })
    }

    /// What the host says of an order that people reject, for whoever hears it. Where nobody does,
    /// the store takes it where something was paid: then the order is followed once more, and its
    /// money goes back or is somebody's to see to.
    fn rejection_said(&self, shown: &Shown, at: Instant) -> Result<Option<Saying>, ReviewError> {
        let Some(kept) = &shown.kept else { return Ok(None) };
        let event = Event::OrderRejected(OrderAnswer {
            order_number: kept.id.to_string(),
            external_id: None,
            answered_at: Some(at),
            lines: Vec::new(),
            reason: None,
            extensions: Vec::new(),
        });
        // Whoever would pay it back answers for what cannot be decided, or whom the order was for.
        let refunds = self.routes.refunds.as_ref().map(|refunds| refunds.target.as_str());
        let target = || self.routes.channel(&kept.channel).map(|channel| channel.target.as_str());
        let by = refunds.or_else(target).unwrap_or("orders");
        let word = OwnWord { channel: OwnChannel::Rejections, by, key: kept.id.to_string() };
        let word = Box::new(word.of(&event, &self.host, at)?);
        // A process that has no such event would make each rejection a person's once more.
        let (counts_in, _) = self.process.around(OrderEventKind::Rejected.as_str());
        let counts = counts_in.contains(&ProcessState::Cancelled);
        Ok(Some(Saying { word, is_heard: counts && self.routes.hear_rejections(&kept.channel) }))
    }

    /// What happens beside the step.
    fn effect(&self, shown: &Shown, decision: &Decision<'_>) -> Effect {
        use ExceptionKind::{Delivery, Document};
        match (decision.action, shown.trail.exception.kind) {
            (ExceptionAction::ReleaseHolds, _) => Effect::ReviewHolds,
            (ExceptionAction::Reject, _) => {
                // Whoever has it with a block undoes it.
                let order = shown.order.as_ref();
                let outbox = order.map(|order| self.routes.of_rejected(&order.deliveries, order.position));
                let why = "rejected by a person".to_owned();
                Effect::RejectOrder { why, outbox: outbox.unwrap_or_default() }
            }
            (ExceptionAction::Retry, Delivery) => Effect::ReplayDelivery,
            (ExceptionAction::Correct, Delivery) => Effect::CorrectDelivery,
            (ExceptionAction::Abandon, Delivery) => Effect::AbandonDelivery,
            (ExceptionAction::Retry, Document) => Effect::DecideAgain,
            (ExceptionAction::AcceptChange, _) => self.answer(shown, true),
            (ExceptionAction::RefuseChange, _) => self.answer(shown, false),
            _ => Effect::Close,
        }
    }

    /// Whoever the routes name hears what became of a change.
    fn answer(&self, shown: &Shown, is_accepted: bool) -> Effect {
        let about = shown.order.as_ref().zip(shown.trail.about.document);
        let outbox = about.map(|(order, change)| self.routes.answers(is_accepted, change, &order.channel));
        Effect::AnswerChange { outbox: outbox.unwrap_or_default() }
    }

    async fn step(
        &self,
        shown: &Shown,
        who: &str,
        change: ExceptionChange,
        record: Option<NewPayload>,
        leaf: ExceptionLeaf,
        at: Instant,
    ) -> Result<(), ExceptionError> {
        let step = NewStep {
            exception: shown.trail.exception.id,
            revision: shown.trail.exception.revision,
            at,
            who: Some(who.to_owned()),
            since: shown.since(who),
            change,
            record,
            says: None,
            leaf: Leaf::new(&self.host, at, LeafBody::Exception(leaf))?,
        };
        Ok(self.store.step_exception(step).await?)
    }

    /// Takes a step that nobody decided.
    async fn step_of_host(
        &self,
        exception: &ExceptionView,
        change: ExceptionChange,
        body: LeafBody,
        at: Instant,
    ) -> Result<(), ExceptionError> {
        let step = NewStep {
            exception: exception.id,
            revision: exception.revision,
            at,
            who: None,
            since: exception.opened_at,
            change,
            record: None,
            says: None,
            leaf: Leaf::new(&self.host, at, body)?,
        };
        Ok(self.store.step_exception(step).await?)
    }

    fn open_proposal(&self, shown: &Shown, proposal: Digest) -> Result<ProposalView, ExceptionError> {
        let now = self.clock.now();
        let open = shown.trail.proposal.clone().filter(|open| open.digest == proposal && now < open.expires_at);
        open.ok_or(ExceptionError::NoProposal { exception: shown.trail.exception.id, proposal })
    }

    async fn end_proposal(
        &self,
        shown: &Shown,
        who: &str,
        proposal: &ProposalView,
        how: &'static str,
    ) -> Result<(), ExceptionError> {
        let leaf = ExceptionLeaf { proposal: Some(proposal.digest), ..shown.leaf(who, how) };
        let change = ExceptionChange::ProposalEnded { how, proposal: proposal.digest };
        self.step(shown, who, change, None, leaf, self.clock.now()).await?;
        self.metrics.proposal_ended(how, &shown.trail.exception.queue);
        Ok(())
    }

    /// What a person said with a step; none where its content was removed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn said(&self, record: PayloadRef) -> Result<Option<Said>, ExceptionError> {
        let bytes = match self.store.payload(record).await {
            Ok(bytes) => bytes,
            Err(StoreError::Erased(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let act: Act = parse_canonical(&bytes)?;
        let corrections = act.corrections()?;
        let Act { reason, holds, queue, payload, together, .. } = act;
        let payload_bytes = payload.map(|hex| hex.len() / 2);
        let together = together.into_iter().map(|seen| seen.exception).collect();
        Ok(Some(Said { words: reason, holds, queue, payload_bytes, together, corrections }))
    }

    /// What people want to stand in the message of a delivery, in the place of what.
    pub(crate) fn corrections_in(&self, sealed: &[u8]) -> Result<Vec<Correction>, ExceptionError> {
        parse_canonical::<Act>(sealed)?.corrections()
    }

    async fn read_act(&self, proposal: &ProposalView) -> Result<Act, ExceptionError> {
        let bytes = self.store.payload(proposal.record).await?;
        let act: Act = parse_canonical(&bytes)?;
        if Digest::of(&bytes) == proposal.digest {
            Ok(act)
        } else {
            Err(StoreError::Damaged("a proposed action has another digest than its proposal".to_owned()).into())
        }
    }
}

/// The word of a step in the log. Two of them say there what becomes of an order.
fn code(change: &ExceptionChange) -> &'static str {
    match change {
        ExceptionChange::Resolved(Resolution { effect: Effect::ReplayDelivery | Effect::CorrectDelivery, .. }) => {
            REPLAYED
        }
        ExceptionChange::Resolved(Resolution { effect: Effect::RejectOrder { .. }, .. }) => REJECTED,
        change => change.as_str(),
    }
}

/// Who proposed what is carried out, and who agreed to it, the last one last.
fn agreed(proposal: &ProposalView, last: &str) -> Result<Listed<Label>, RecordError> {
    let before = proposal.approved_by.iter().map(String::as_str);
    Listed::of(std::iter::once(proposal.by.as_str()).chain(before).chain([last]).map(Label::of).collect())
}

fn counted<'a>(what: &'static str, words: &'a str) -> Result<&'a str, ExceptionError> {
    let words = words.trim();
    if (1..=REASON_BYTES_MAX).contains(&words.len()) {
        Ok(words)
    } else {
        Err(ExceptionError::Words { what, found: words.len() })
    }
}

fn words_found(what: &str, bytes: usize) -> String {
    if bytes == 0 { format!("the {what} is blank") } else { format!("found a {what} of {bytes} bytes") }
}

impl Act {
    fn of(decision: &Decision<'_>) -> Result<Self, ExceptionError> {
        let reason = counted("reason", decision.reason)?;
        let mut holds = decision.holds.to_vec();
        holds.sort_unstable();
        holds.dedup();
        Ok(Self {
            v: 1,
            exception: decision.exception.to_string(),
            shown: decision.shown,
            action: decision.action.as_str().to_owned(),
            reason: reason.to_owned(),
            holds: holds.iter().map(u64::to_string).collect(),
            queue: decision.queue.map(str::to_owned),
            payload: decision.payload.map(hex::encode),
            together: Vec::new(),
        })
    }

    /// Words that ask for nothing.
    fn comment(shown: &Shown, words: &str) -> Self {
        Self {
            v: 1,
            exception: shown.trail.exception.id.to_string(),
            shown: shown.digest,
            action: "comment".to_owned(),
            reason: words.to_owned(),
            holds: Vec::new(),
            queue: None,
            payload: None,
            together: Vec::new(),
        }
    }

    /// The sealed action, and the digest that approvals name.
    fn sealed(&self) -> Result<(NewPayload, Digest), ReviewError> {
        let bytes = canonical_json(self)?;
        Ok((NewPayload::seal(&bytes, None)?, Digest::of(&bytes)))
    }

    fn action(&self) -> Result<ExceptionAction, ExceptionError> {
        ExceptionAction::parse(&self.action).ok_or_else(|| self.unreadable())
    }

    fn holds(&self) -> Result<Vec<u64>, ExceptionError> {
        self.holds.iter().map(|hold| hold.parse().map_err(|_| self.unreadable())).collect()
    }

    /// What it corrects; nothing where it is another action.
    fn corrections(&self) -> Result<Vec<Correction>, ExceptionError> {
        match self.payload()? {
            Some(payload) if self.action == ExceptionAction::Correct.as_str() => {
                correction::read(&payload).map_err(|_| self.unreadable())
            }
            Some(_) | None => Ok(Vec::new()),
        }
    }

    fn payload(&self) -> Result<Option<Vec<u8>>, ExceptionError> {
        self.payload.as_deref().map(hex::decode).transpose().map_err(|_| self.unreadable())
    }

    fn decision<'a>(
        &'a self,
        exception: u64,
        holds: &'a [u64],
        payload: Option<&'a [u8]>,
    ) -> Result<Decision<'a>, ExceptionError> {
        Ok(Decision {
            exception,
            shown: self.shown,
            action: self.action()?,
            reason: &self.reason,
            holds,
            queue: self.queue.as_deref(),
            payload,
        })
    }

    fn unreadable(&self) -> ExceptionError {
        StoreError::Damaged(format!("the action proposed about exception {} cannot be read", self.exception)).into()
    }
}

impl Shown {
    /// What a decision about it is about.
    #[must_use]
    pub fn stake(&self) -> Stake<'_> {
        Stake {
            kind: self.trail.exception.kind,
            queue: &self.trail.exception.queue,
            value: self.value.as_ref(),
            makers: &self.trail.about.makers,
            owners: &self.owners,
        }
    }

    /// Check: nobody decided it.
    fn is_open(&self) -> Result<(), ExceptionError> {
        match &self.trail.exception.closed {
            None => Ok(()),
            Some(closed) => Err(StoreError::ExceptionClosed {
                exception: self.trail.exception.id,
                how: closed.how.clone(),
                who: closed.who.clone(),
            }
            .into()),
        }
    }

    /// Check: nobody else works on it.
    fn is_free_for(&self, name: &str) -> Result<(), ExceptionError> {
        match &self.trail.exception.claimed {
            Some((by, since)) if by != name => {
                Err(ExceptionError::Claimed { exception: self.trail.exception.id, by: by.clone(), since: *since })
            }
            _ => Ok(()),
        }
    }

    /// Check: it is what somebody saw.
    fn is_what_was_shown(&self, shown: Digest) -> Result<(), ExceptionError> {
        if shown == self.digest {
            return Ok(());
        }
        Err(ExceptionError::Stale { exception: self.trail.exception.id, now: self.standing(), shown: self.digest })
    }

    /// Models' holds with which a person agrees by deciding so.
    fn agreed_with(&self, change: &ExceptionChange) -> Result<Listed<HoldRecord>, RecordError> {
        let agrees = match change {
            ExceptionChange::Confirmed { .. } => true,
            ExceptionChange::Resolved(resolution) => matches!(resolution.effect, Effect::RejectOrder { .. }),
            _ => false,
        };
        // What its sender wants cancelled is decided for the sender's sake.
        let open = self.kept.iter().filter(|kept| !kept.cancel_requested).flat_map(KeptBack::open_holds);
        Listed::of(open.filter(|hold| agrees && hold.component.is_some()).map(hold_record).collect())
    }

    /// From when on somebody could look at it.
    fn since(&self, who: &str) -> Instant {
        let exception = &self.trail.exception;
        let claimed = exception.claimed.as_ref().filter(|(by, _)| by == who).map(|(_, since)| *since);
        let proposed = self.trail.proposal.as_ref().filter(|proposal| proposal.by != who).map(|proposal| proposal.at);
        [claimed, proposed].into_iter().flatten().fold(exception.opened_at, Instant::max)
    }

    /// What the log says of a step of it.
    fn leaf(&self, who: &str, step: &str) -> ExceptionLeaf {
        let exception = &self.trail.exception;
        ExceptionLeaf {
            order: exception.order,
            outbox: self.trail.about.delivery.as_ref().map(|delivery| Digest::of(delivery.outbox.0.as_bytes())),
            who: Some(Label::of(who)),
            queue: Some(Code::of(&exception.queue)),
            opened_at: Some(exception.opened_at),
            since: Some(self.since(who)),
            ..ExceptionLeaf::of(exception.id, Code::of(&exception.stage), Code::of(step))
        }
    }
}

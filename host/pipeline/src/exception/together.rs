//! All orders of one customer that are kept back, looked at and released together under one
//! approval.
//!
//! ```text
//! one of them ─▶ its customer's ─▶ each by itself, at what all are worth ─▶ enough alone ─▶ each: release
//!                 open, held                     authority                    │                 ▲
//!                                                      each: propose the same ┘─▶ each: agree ──┘
//! ```
//!
//! Dangers, and what stops them:
//!
//! - *Going below the tier in parts.* What counts is the sum of all that go together, in each
//!   currency, and an order with a negative total takes nothing off it.
//! - *One among many.* Queue, makers and owners are asked about each; where one is refused none
//!   goes, and the sentence names it.
//! - *What nobody saw.* The decision names a digest of who goes together and of what was shown
//!   of each. The proposal on each of them is the same sealed act, which lists all.
//! - *A crash among them.* Each order has a transaction of its own, and nothing else says how
//!   far it went: whoever asks again does what is left. What one of them shows to be over ends
//!   the proposal on all.
//!
//! INVARIANT: the digest by which the store knows a customer is in nothing that is returned.

use std::collections::BTreeMap;

use portreeve_authority::people::{Approvals, Proposed, Stake};
use portreeve_model::{Currency, Digest, ExceptionAction, ExceptionKind, Money};
use portreeve_record::{RecordError, canonical_json, parse_canonical};
use portreeve_store::StoreError;
use portreeve_store::contract::{ExceptionView, ExceptionsWanted, PayloadRef, ProposalView};
use serde::{Deserialize, Serialize};

use super::{Act, Deciders, Decision, ExceptionError, Outcome, Shown, counted};
use crate::Pipeline;
use crate::people::SignedIn;
use crate::review::{ReviewError, Reviewed};

/// Orders that go together at most: each is looked at several times, and a person looks at all.
pub const TOGETHER_MAX: usize = 100;

/// Exceptions that are read at once.
const PAGE: u32 = 500;

/// Exceptions that a sentence tells of.
const TOLD_MAX: usize = 10;

/// Orders of one customer that are kept back, as a person is shown them.
#[derive(Debug)]
pub struct Together {
    /// The exception by which they are asked for and decided about: the one that was asked about,
    /// or, where that went, one that is left.
    pub lead: u64,
    /// Those that go together, by number.
    pub members: Vec<Shown>,
    /// Those that other people decide about, by number.
    pub apart: Vec<ExceptionView>,
    /// How many more there are, which are neither.
    pub more: usize,
    /// What somebody proposed about them, and others have to agree to; then no other is told of.
    pub proposal: Option<ProposalView>,
    /// What those that go together are worth, in each currency; none where that is more than can
    /// be told.
    pub worth: Option<Vec<Money>>,
    /// The digest of what is shown: a decision names it.
    pub digest: Digest,
}

/// An exception, as it was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Seen {
    pub(super) exception: String,
    shown: Digest,
}

/// What the digest is of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Evidence {
    v: u8,
    together: Vec<Seen>,
}

/// One of those that were proposed together.
struct Member {
    shown: Shown,
    /// The digest that the proposer was shown.
    seen: Digest,
    stands: Stands,
}

enum Stands {
    /// It waits for others to agree.
    Open(ProposalView),
    /// It was carried out.
    Done,
    /// It ended otherwise, or never began.
    Over,
}

impl Pipeline {
    /// All orders that are kept back of the customer of one of them: those that somebody proposed
    /// to release together with it, else those that this person might. Nobody named is shown what
    /// somebody would be who works on every queue. Of one that went with others, which did not
    /// all go, those that are left.
    ///
    /// # Errors
    /// See [`ExceptionError`].
    pub async fn show_together(&self, who: Option<&SignedIn>, exception: u64) -> Result<Together, ExceptionError> {
        let lead = self.lead(who, exception).await?;
        if let Some(open) = &lead.trail.proposal
            && let Some(act) = self.act_together(&lead, open.digest).await?
        {
            let members = self.members_of(&act, open.digest).await?;
            let members = members.into_iter().map(|member| member.shown).collect();
            let id = lead.trail.exception.id;
            return Ok(Together { proposal: Some(open.clone()), ..Together::of(id, members, Vec::new(), 0)? });
        }
        self.customers(who, &lead).await
    }

    /// How many orders of its customer are kept back beside this one, [`TOGETHER_MAX`] standing for
    /// that many and more; none where that cannot be told any more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn others_of_customer(&self, shown: &Shown) -> Result<usize, ExceptionError> {
        if shown.is_open().is_err() {
            return Ok(0);
        }
        match self.kept_back_with(shown, TOGETHER_MAX.saturating_add(1)).await {
            Ok(found) => Ok(found.len().saturating_sub(1)),
            Err(ExceptionError::NotHere { .. }) => Ok(0),
            // What the order says was removed, and with it whose it is.
            Err(ExceptionError::Review(ReviewError::Store(StoreError::Erased(_)) | ReviewError::Event(_))) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Releases the holds of all orders that go together: at once where the person may alone, and
    /// else as a proposal that others agree to.
    ///
    /// # Errors
    /// See [`ExceptionError`].
    pub async fn decide_together(
        &self,
        who: &SignedIn,
        exception: u64,
        seen: Digest,
        reason: &str,
    ) -> Result<Outcome, ExceptionError> {
        let reason = counted("reason", reason)?;
        let lead = self.lead(Some(who), exception).await?;
        let exception = lead.trail.exception.id;
        self.people.may_work_on(who.actor(), &lead.trail.exception.queue)?;
        let group = self.customers(Some(who), &lead).await?;
        group.is_what_was_shown(seen)?;
        // Check: nobody decided about it while the others were read.
        if !group.members.iter().any(|member| member.trail.exception.id == exception) {
            return Err(StoreError::ExceptionMoved { exception }.into());
        }
        let act = Act::together(&group, reason);
        let proposal = Digest::of(&canonical_json(&act)?);
        // Check: each of them may go, at what all of them are worth.
        let worth = group.worth.as_deref().ok_or_else(too_much)?;
        let mut needed = Approvals(0);
        for member in &group.members {
            let one = self.may_go(who, member, worth, proposal).map_err(|error| apart(member, error))?;
            needed = needed.max(one);
        }
        if needed.0 > 0 {
            return self.propose_together(who, &lead, &group, &act, needed).await;
        }
        let (at, mut reviewed) = (self.clock.now(), Vec::with_capacity(group.members.len()));
        for (done, member) in group.members.iter().enumerate() {
            let by = Deciders { who: who.name().as_str(), proposal: None, at };
            let released = self.release_member(member, &act, by).await;
            reviewed.extend(released.map_err(|error| partly(done, group.members.len(), member, error))?);
        }
        Ok(Outcome::Together { reviewed })
    }

    /// Check: the person may decide about it in this company, and it could be carried out.
    fn may_go(
        &self,
        who: &SignedIn,
        member: &Shown,
        worth: &[Money],
        proposal: Digest,
    ) -> Result<Approvals, ExceptionError> {
        let action = ExceptionAction::ReleaseHolds;
        let needed = self.people.may_decide(who.actor(), action, stake_among(member, worth))?;
        member.is_free_for(who.name().as_str())?;
        match &member.kept {
            Some(kept) => self.is_releasable(kept, &member.open_holds())?,
            None => return Err(not_held(member)),
        }
        match &member.trail.proposal {
            // The same, of which a part was proposed: what is missing follows.
            Some(open) if open.by == who.name().as_str() && open.digest == proposal => Ok(needed),
            Some(open) => Err(pending(member, open)),
            None => Ok(needed),
        }
    }

    /// Proposes the same act on each of them.
    async fn propose_together(
        &self,
        who: &SignedIn,
        lead: &Shown,
        group: &Together,
        act: &Act,
        needed: Approvals,
    ) -> Result<Outcome, ExceptionError> {
        let (at, mut outcome) = (self.clock.now(), None);
        for (done, member) in group.members.iter().enumerate() {
            if member.trail.proposal.is_none() {
                let waits = self.propose(member, who, act, needed, at).await;
                outcome = Some(waits.map_err(|error| partly(done, group.members.len(), member, error))?);
            }
        }
        match (outcome, &lead.trail.proposal) {
            (Some(waits), _) => Ok(waits),
            (None, Some(open)) => Err(pending(lead, open)),
            (None, None) => Err(StoreError::ExceptionMoved { exception: lead.trail.exception.id }.into()),
        }
    }

    /// Agrees to all that was proposed together, and carries out what enough agreed to.
    pub(super) async fn approve_together(
        &self,
        who: &SignedIn,
        lead: &Shown,
        act: &Act,
        proposal: Digest,
    ) -> Result<Outcome, ExceptionError> {
        let me = who.name().as_str();
        let members = self.members_of(act, proposal).await?;
        let open = are_open(&members, lead, proposal)?;
        // Check: the person may agree to each of them, at what all of them are worth. Where only
        // a part of it was done before, what is left is no second time.
        let worth = worth_of(members.iter().map(|member| &member.shown)).ok_or_else(too_much)?;
        let agreed = |view: &ProposalView| view.approved_by.iter().any(|name| name == me);
        let again = open.iter().all(|(_, view)| agreed(view));
        for (member, view) in &open {
            let before: Vec<String> = view.approved_by.iter().filter(|name| again || *name != me).cloned().collect();
            let proposed = Proposed { action: view.action, by: &view.by, approved_by: &before };
            let may = self.people.may_approve(who.actor(), proposed, stake_among(&member.shown, &worth));
            may.map_err(|denied| apart(&member.shown, denied.into()))?;
        }
        // Check: it is still about what its proposer saw.
        let changed: Vec<&Shown> =
            members.iter().filter(|member| member.changed()).map(|member| &member.shown).collect();
        if !changed.is_empty() {
            for (member, view) in &open {
                self.end_proposal(&member.shown, me, view, "stale").await?;
            }
            return Err(ExceptionError::StaleTogether { now: standing(&changed) });
        }
        // Check: each of them could be carried out.
        for (member, _) in &open {
            let kept = member.shown.kept.as_ref().ok_or_else(|| not_held(&member.shown))?;
            let may = self.is_releasable(kept, &member.shown.open_holds());
            may.map_err(|error| apart(&member.shown, error.into()))?;
        }
        let (at, mut reviewed, mut waits) = (self.clock.now(), Vec::new(), None::<Outcome>);
        for (done, (member, view)) in open.iter().enumerate() {
            let outcome = if agreed(view) {
                Ok(still_waits(view))
            } else {
                let holds = member.shown.open_holds();
                let by = Deciders { who: me, proposal: Some(view), at };
                self.agree(&member.shown, view, &decision(&member.shown, act, &holds), act, by).await
            };
            match outcome.map_err(|error| partly(done, open.len(), &member.shown, error))? {
                Outcome::Done { reviewed: one } => reviewed.extend(one),
                outcome => waits = waits.or(Some(outcome)),
            }
        }
        Ok(waits.unwrap_or(Outcome::Together { reviewed }))
    }

    /// Ends what was proposed together, on each of them.
    pub(super) async fn refuse_together(
        &self,
        who: &SignedIn,
        lead: &Shown,
        act: &Act,
        proposal: Digest,
    ) -> Result<(), ExceptionError> {
        let me = who.name().as_str();
        let members = self.members_of(act, proposal).await?;
        let open = are_open(&members, lead, proposal)?;
        let worth = worth_of(members.iter().map(|member| &member.shown)).ok_or_else(too_much)?;
        for (member, view) in open.iter().filter(|(_, view)| view.by != me) {
            let proposed = Proposed { action: view.action, by: &view.by, approved_by: &[] };
            let may = self.people.may_approve(who.actor(), proposed, stake_among(&member.shown, &worth));
            may.map_err(|denied| apart(&member.shown, denied.into()))?;
        }
        for (done, (member, view)) in open.iter().enumerate() {
            let how = if view.by == me { "withdrawn" } else { "refused" };
            let ended = self.end_proposal(&member.shown, me, view, how).await;
            ended.map_err(|error| partly(done, open.len(), &member.shown, error))?;
        }
        Ok(())
    }

    async fn release_member(
        &self,
        member: &Shown,
        act: &Act,
        by: Deciders<'_>,
    ) -> Result<Option<Reviewed>, ExceptionError> {
        let holds = member.open_holds();
        match self.carry_out(member, &decision(member, act, &holds), act, by).await? {
            Outcome::Done { reviewed } => Ok(reviewed),
            Outcome::Together { .. } | Outcome::Waits { .. } => Ok(None),
        }
    }

    // --- who goes together -----------------------------------------------------------------------

    /// What this person might decide together.
    async fn customers(&self, who: Option<&SignedIn>, lead: &Shown) -> Result<Together, ExceptionError> {
        let found = self.kept_back_with(lead, usize::MAX).await?;
        let (mut own, mut apart): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|open| self.works_on(who, &open.queue));
        // The one that was asked about is among them, however many there are.
        own.sort_by_key(|open| (open.id != lead.trail.exception.id, open.id));
        let beyond = |open: &Vec<ExceptionView>| open.len().saturating_sub(TOGETHER_MAX);
        let more = beyond(&own).saturating_add(beyond(&apart));
        own.truncate(TOGETHER_MAX);
        apart.truncate(TOGETHER_MAX);
        own.sort_by_key(|open| open.id);
        let mut members = Vec::with_capacity(own.len());
        for open in own {
            members.push(self.show_exception(open.id).await?);
        }
        members.retain(|member| member.is_open().is_ok());
        Together::of(lead.trail.exception.id, members, apart, more)
    }

    /// The one that was asked about; where it is over, since it went with others, one of those
    /// that did not go: one that is this person's work, if there is one.
    async fn lead(&self, who: Option<&SignedIn>, exception: u64) -> Result<Shown, ExceptionError> {
        let lead = self.show_exception(exception).await?;
        let Err(over) = lead.is_open() else { return Ok(lead) };
        let mut others_work = None;
        for record in released_by(&lead) {
            let Some(bytes) = self.unless_erased(record).await? else { continue };
            for seen in parse_canonical::<Act>(&bytes)?.together {
                let left = self.show_exception(seen.number()?).await?;
                if left.is_open().is_err() || left.kept.is_none() {
                    continue;
                }
                if self.works_on(who, &left.trail.exception.queue) {
                    return Ok(left);
                }
                others_work.get_or_insert(left);
            }
        }
        others_work.ok_or(over)
    }

    /// Whether a queue is somebody's work; nobody named works on every one.
    fn works_on(&self, who: Option<&SignedIn>, queue: &str) -> bool {
        who.is_none_or(|who| self.people.may_work_on(who.actor(), queue).is_ok())
    }

    /// Open exceptions about orders of its customer that are kept back, itself among them, and no
    /// more than so many.
    async fn kept_back_with(&self, shown: &Shown, most: usize) -> Result<Vec<ExceptionView>, ExceptionError> {
        let held = shown.trail.exception.kind == ExceptionKind::Held;
        let kept = shown.kept.as_ref().filter(|_| held).ok_or_else(|| not_held(shown))?;
        let customer = Some(self.customer_of(kept).await?);
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let limit = u32::try_from(most.saturating_sub(found.len())).unwrap_or(u32::MAX).min(PAGE);
            let wanted = ExceptionsWanted { customer, after, limit, ..ExceptionsWanted::default() };
            let page = self.store.exceptions_wanted(wanted).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = last.id;
            found.extend(page);
            if found.len() >= most {
                return Ok(found);
            }
        }
    }

    /// The act of this digest, where it is about several, and is proposed about this one or was
    /// carried out about it.
    pub(super) async fn act_together(&self, shown: &Shown, proposal: Digest) -> Result<Option<Act>, ExceptionError> {
        let open = shown.trail.proposal.iter().filter(|open| open.digest == proposal).map(|open| open.record);
        for record in open.chain(released_by(shown)) {
            let Some(bytes) = self.unless_erased(record).await? else { continue };
            if Digest::of(&bytes) == proposal {
                let act: Act = parse_canonical(&bytes)?;
                return Ok(Some(act).filter(|act| !act.together.is_empty()));
            }
        }
        Ok(None)
    }

    async fn unless_erased(&self, record: PayloadRef) -> Result<Option<Vec<u8>>, ExceptionError> {
        match self.store.payload(record).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::Erased(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All that were proposed together, as they are now.
    async fn members_of(&self, act: &Act, proposal: Digest) -> Result<Vec<Member>, ExceptionError> {
        let mut members = Vec::with_capacity(act.together.len());
        for seen in &act.together {
            let shown = self.show_exception(seen.number()?).await?;
            let stands = match self.open_proposal(&shown, proposal) {
                Ok(open) => Stands::Open(open),
                // What is not open was carried out where a step of it says so.
                Err(_) if shown.trail.proposal.as_ref().is_some_and(|open| open.digest == proposal) => Stands::Over,
                Err(_) if self.act_together(&shown, proposal).await?.is_some() => Stands::Done,
                Err(_) => Stands::Over,
            };
            members.push(Member { shown, seen: seen.shown, stands });
        }
        Ok(members)
    }
}

impl Together {
    fn of(lead: u64, members: Vec<Shown>, apart: Vec<ExceptionView>, more: usize) -> Result<Self, ExceptionError> {
        let (worth, digest) = (worth_of(&members), digest_of(&members)?);
        Ok(Self { lead, members, apart, more, proposal: None, worth, digest })
    }

    /// Check: it is what somebody saw.
    fn is_what_was_shown(&self, seen: Digest) -> Result<(), ExceptionError> {
        if seen == self.digest {
            return Ok(());
        }
        // What opens later has a higher number: what was shown may be how the list begins.
        for count in 1..self.members.len() {
            let (before, came) = self.members.split_at(count);
            if digest_of(before)? == seen {
                let came: Vec<&Shown> = came.iter().collect();
                return Err(ExceptionError::StaleTogether { now: format!("there came {}", standing(&came)) });
            }
        }
        let now = standing(&self.members.iter().collect::<Vec<_>>());
        Err(ExceptionError::StaleTogether { now: format!("now {} go together, {now}", self.members.len()) })
    }
}

impl Seen {
    fn number(&self) -> Result<u64, ExceptionError> {
        let unreadable = || format!("`{}` is no number of an exception that was proposed with others", self.exception);
        self.exception.parse().map_err(|_| StoreError::Damaged(unreadable()).into())
    }
}

impl Member {
    /// Whether it is not what its proposer saw, and was not carried out either.
    fn changed(&self) -> bool {
        match &self.stands {
            Stands::Open(_) => self.shown.digest != self.seen,
            Stands::Done => false,
            Stands::Over => true,
        }
    }
}

impl Act {
    /// The release of all that is shown to keep the orders of a group back: the same whichever of
    /// them was asked about.
    fn together(group: &Together, reason: &str) -> Self {
        let first = group.members.first().map_or(0, |member| member.trail.exception.id);
        Self {
            v: 1,
            exception: first.to_string(),
            shown: group.digest,
            action: ExceptionAction::ReleaseHolds.as_str().to_owned(),
            reason: reason.to_owned(),
            holds: Vec::new(),
            queue: None,
            payload: None,
            together: seen(&group.members),
        }
    }
}

/// Records of the acts that released holds of it, the latest first.
fn released_by(shown: &Shown) -> impl Iterator<Item = PayloadRef> {
    let released = ExceptionAction::ReleaseHolds.as_str();
    shown.trail.steps.iter().rev().filter(move |step| step.step == released).filter_map(|step| step.record)
}

/// The part of an act that is one order's: what was shown is all that keeps it back.
fn decision<'a>(member: &Shown, act: &'a Act, holds: &'a [u64]) -> Decision<'a> {
    Decision {
        exception: member.trail.exception.id,
        shown: member.digest,
        action: ExceptionAction::ReleaseHolds,
        reason: &act.reason,
        holds,
        queue: None,
        payload: None,
    }
}

/// Those that wait for others to agree; where none does, why.
fn are_open<'a>(
    members: &'a [Member],
    lead: &Shown,
    proposal: Digest,
) -> Result<Vec<(&'a Member, &'a ProposalView)>, ExceptionError> {
    let open: Vec<_> = members
        .iter()
        .filter_map(|member| match &member.stands {
            Stands::Open(view) => Some((member, view)),
            Stands::Done | Stands::Over => None,
        })
        .collect();
    if open.is_empty() {
        lead.is_open()?;
        return Err(ExceptionError::NoProposal { exception: lead.trail.exception.id, proposal });
    }
    Ok(open)
}

fn seen(members: &[Shown]) -> Vec<Seen> {
    let one = |member: &Shown| Seen { exception: member.trail.exception.id.to_string(), shown: member.digest };
    members.iter().map(one).collect()
}

fn digest_of(members: &[Shown]) -> Result<Digest, RecordError> {
    Ok(Digest::of(&canonical_json(&Evidence { v: 1, together: seen(members) })?))
}

/// The sum of the orders' values in each currency; none where it is more than can be told.
fn worth_of<'a>(members: impl IntoIterator<Item = &'a Shown>) -> Option<Vec<Money>> {
    sums(members.into_iter().filter_map(|member| member.value))
}

fn sums(values: impl Iterator<Item = Money>) -> Option<Vec<Money>> {
    let mut sums: BTreeMap<Currency, i64> = BTreeMap::new();
    for value in values {
        let sum = sums.entry(value.currency).or_default();
        // What is worth less than nothing makes nothing else worth less.
        *sum = sum.checked_add(value.minor.max(0))?;
    }
    Some(sums.into_iter().map(|(currency, minor)| Money { minor, currency }).collect())
}

/// What is at stake with one of them: its own, but for the value, which is that of all.
fn stake_among<'a>(member: &'a Shown, worth: &'a [Money]) -> Stake<'a> {
    let all = |value: &'a Money| worth.iter().find(|sum| sum.currency == value.currency).unwrap_or(value);
    Stake { value: member.value.as_ref().map(all), ..member.stake() }
}

fn still_waits(view: &ProposalView) -> Outcome {
    let agreed = u8::try_from(view.approved_by.len()).unwrap_or(u8::MAX);
    let approvals_missing = view.approvals_needed.saturating_sub(agreed);
    Outcome::Waits { proposal: view.digest, expires_at: view.expires_at, approvals_missing }
}

/// Where some of them stand, for somebody who saw something else.
fn standing(members: &[&Shown]) -> String {
    let one = |member: &&Shown| format!("exception {}: {}", member.trail.exception.id, member.standing());
    let told: Vec<String> = members.iter().take(TOLD_MAX).map(one).collect();
    let more = match members.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{}{more}", told.join("; "))
}

fn apart(member: &Shown, cause: ExceptionError) -> ExceptionError {
    ExceptionError::Apart { exception: member.trail.exception.id, cause: Box::new(cause) }
}

/// What failed after others were done; before that nothing was.
fn partly(done: usize, all: usize, member: &Shown, cause: ExceptionError) -> ExceptionError {
    if done == 0 {
        return cause;
    }
    ExceptionError::Partly { done, all, exception: member.trail.exception.id, cause: Box::new(cause) }
}

fn pending(member: &Shown, open: &ProposalView) -> ExceptionError {
    ExceptionError::Pending { exception: member.trail.exception.id, by: open.by.clone(), until: open.expires_at }
}

fn not_held(shown: &Shown) -> ExceptionError {
    let why = format!(
        "exception {} is not about an order that is kept back, and only such go with others of their customer",
        shown.trail.exception.id
    );
    ExceptionError::NotHere { action: ExceptionAction::ReleaseHolds, why }
}

fn too_much() -> ExceptionError {
    let why = "found orders that are worth more together than can be told, expected what somebody may let go; decide about them one by one";
    ExceptionError::NotHere { action: ExceptionAction::ReleaseHolds, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn money(minor: i64, currency: &str) -> Money {
        Money { minor, currency: Currency::parse(currency).unwrap() }
    }

    #[test]
    fn a_sum_is_of_one_currency_and_nothing_takes_anything_off_it() {
        let values = [money(300, "USD"), money(-900, "USD"), money(5, "EUR"), money(200, "USD"), money(-1, "CAD")];
        let expected = vec![money(0, "CAD"), money(5, "EUR"), money(500, "USD")];
        assert_eq!(sums(values.into_iter()), Some(expected));
        assert_eq!(sums([money(i64::MAX, "USD"), money(1, "USD")].into_iter()), None, "it is above every tier");
        assert_eq!(sums([money(i64::MAX, "USD"), money(1, "EUR")].into_iter()).map(|sums| sums.len()), Some(2));
    }

    #[test]
    fn an_act_about_one_order_has_the_digest_that_it_had_before_several_went_together() {
        let shown = Digest::of(b"shown");
        let act = Act {
            v: 1,
            exception: "7".to_owned(),
            shown,
            action: "release-holds".to_owned(),
            reason: "the buyer called".to_owned(),
            holds: vec!["3".to_owned()],
            queue: None,
            payload: None,
            together: Vec::new(),
        };
        let text = format!(
            r#"{{"action":"release-holds","exception":"7","holds":["3"],"reason":"the buyer called","shown":"{shown}","v":1}}"#
        );
        assert_eq!(String::from_utf8(canonical_json(&act).unwrap()).unwrap(), text);
        assert_eq!(parse_canonical::<Act>(text.as_bytes()).unwrap(), act);
    }
}

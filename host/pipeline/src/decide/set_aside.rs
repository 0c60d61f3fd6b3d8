//! Documents that are not decided now: those that the host itself failed on, those
//! whose plugin failed for a reason that passes, and those that come after one of
//! these and are about the same order.
//!
//! A decision must not depend on how busy the machine was. So a call that got no
//! sandbox, that was killed by a clock other than fuel, or that asks for another
//! try leaves its document undecided, and the next batches leave it out until its
//! time has come. After some tries a person gets it: it may never pass. A person also
//! gets what a channel has too much of: a plugin that asks for another try about
//! everything must stop no other channel and fill no memory.
//!
//! All of it is in memory. A restart forgets it, and tries once more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portreeve_model::{ChannelId, Instant, OrderId, SenderId};
use portreeve_store::Journaled;
use portreeve_store::contract::DocumentPosition;

/// Tries before a passing failure becomes an exception.
const TRIES_MAX: u32 = 5;

/// The wait after the first try; it doubles with every further one.
const BACKOFF_MS: i64 = 1_000;

/// The longest wait, whatever a plugin asks for.
const BACKOFF_MS_MAX: i64 = 5 * 60_000;

/// Documents of a channel that may wait at once. A batch steps over each of them.
pub(super) const WAITING_MAX: usize = 1_024;

/// How often the host may fail on a document: at its decision, and once more when all it
/// does is to give it to a person. Then the document stays as it is until a restart.
const FAULTS_MAX: u32 = 2;

/// Decisions of a document whose budget others used up meanwhile, before a person decides.
const OUTRUN_MAX: u32 = 3;

/// Documents that are not decided now.
#[derive(Default)]
pub struct SetAside {
    /// How often the host failed on them.
    failed: Mutex<BTreeMap<DocumentPosition, u32>>,
    waiting: Mutex<BTreeMap<DocumentPosition, Waiting>>,
    /// How often others used a budget up that their decisions counted on.
    outrun: Mutex<BTreeMap<DocumentPosition, u32>>,
    /// Up to here documents are decided one by one: one of them took its batch along.
    one_by_one_to: Mutex<Option<DocumentPosition>>,
    /// How often those that wait were woken.
    woken: AtomicU64,
}

/// Whose document it is: only they may say anything about its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Party {
    channel: ChannelId,
    sender: SenderId,
    partner: String,
}

impl Party {
    pub(super) fn of(document: &Journaled) -> Self {
        Self {
            channel: document.channel().clone(),
            sender: document.sender().clone(),
            partner: document.partner().to_owned(),
        }
    }
}

#[derive(Debug, Clone)]
struct Waiting {
    party: Party,
    /// None as long as nobody could read the document.
    order: Option<OrderId>,
    tries: u32,
    due_at: Instant,
    /// Whether it waits for something else than its own plugin's next answer.
    kept_back: bool,
}

impl SetAside {
    /// Sets documents aside that the host itself failed on, by an error or a panic.
    /// They would fail again and again, so the next batch does nothing with them but
    /// open an exception.
    pub(super) fn add(&self, positions: &BTreeSet<DocumentPosition>) {
        let mut failed = locked(&self.failed);
        for position in positions {
            let faults = failed.entry(*position).or_default();
            *faults = faults.saturating_add(1);
            if *faults == FAULTS_MAX {
                let position = position.0;
                tracing::error!(position, "a document cannot even be given to a person; it stays undecided");
            }
        }
    }

    /// Counts a decision whose budget others used up before it was committed. It is made again
    /// with what is left; after some times a person makes it.
    pub(super) fn outrun(&self, position: DocumentPosition) {
        let mut outrun = locked(&self.outrun);
        let times = outrun.entry(position).or_default();
        *times = times.saturating_add(1);
    }

    /// Whether a person makes that decision.
    pub(super) fn is_outrun(&self, position: DocumentPosition) -> bool {
        locked(&self.outrun).get(&position).is_some_and(|times| *times >= OUTRUN_MAX)
    }

    pub(super) fn has(&self, position: DocumentPosition) -> bool {
        locked(&self.failed).contains_key(&position)
    }

    /// From now on documents up to this one are decided one by one.
    pub(super) fn one_by_one(&self, to: DocumentPosition) {
        let mut one_by_one_to = locked(&self.one_by_one_to);
        *one_by_one_to = one_by_one_to.max(Some(to));
    }

    /// How many documents to decide at once, where as many are allowed.
    pub(super) fn at_once(&self, limit: u32) -> u32 {
        if locked(&self.one_by_one_to).is_some() { limit.min(1) } else { limit }
    }

    /// Ends `one_by_one` where nothing is left below its end.
    pub(super) fn goes_on_at(&self, next: Option<DocumentPosition>) {
        let mut to = locked(&self.one_by_one_to);
        *to = to.filter(|to| next.is_some_and(|next| next <= *to));
    }

    /// Lets a document wait after a passing failure, at least as long as was asked
    /// for. False when it has had its tries, or too many of its channel wait: it is to
    /// be decided as it is.
    pub(super) fn wait(
        &self,
        position: DocumentPosition,
        party: Party,
        order: Option<OrderId>,
        asked_ms: u32,
        now: Instant,
    ) -> bool {
        let mut waiting = locked(&self.waiting);
        let before = waiting.remove(&position);
        let tries = before.as_ref().map_or(0, |before| before.tries).saturating_add(1);
        if tries >= TRIES_MAX || full(&waiting, &party.channel) {
            return false;
        }
        let backoff_ms = BACKOFF_MS << tries.saturating_sub(1).min(16);
        let wait_ms = backoff_ms.max(i64::from(asked_ms)).min(BACKOFF_MS_MAX);
        let order = order.or(before.and_then(|before| before.order));
        let due_at = now.plus_ms(wait_ms);
        waiting.insert(position, Waiting { party, order, tries, due_at, kept_back: false });
        true
    }

    /// When the document has its next try that one about this order has to come after:
    /// a lower one that waits and is about the order too. `unread` names whose documents
    /// may be about it although nobody could read them yet.
    pub(super) fn before(
        &self,
        position: DocumentPosition,
        order: OrderId,
        unread: Option<&Party>,
        now: Instant,
    ) -> Option<Instant> {
        let waiting = locked(&self.waiting);
        let comes_first = |waiting: &Waiting| match waiting.order {
            Some(its_order) => its_order == order,
            None => unread == Some(&waiting.party),
        };
        let mut first = waiting.range(..position).map(|(_, waiting)| waiting);
        first.find(|waiting| waiting.due_at > now && comes_first(waiting)).map(|waiting| waiting.due_at)
    }

    /// Keeps a document back until the one that comes first has had its next try, or a
    /// plugin that is not called may be: that is no try of its own. False when too many of
    /// its channel wait.
    pub(super) fn keep_back(
        &self,
        position: DocumentPosition,
        party: Party,
        order: Option<OrderId>,
        due_at: Instant,
    ) -> bool {
        let mut waiting = locked(&self.waiting);
        let before = waiting.remove(&position);
        let tries = before.as_ref().map_or(0, |before| before.tries);
        if full(&waiting, &party.channel) {
            return false;
        }
        let order = order.or(before.and_then(|before| before.order));
        waiting.insert(position, Waiting { party, order, tries, due_at, kept_back: true });
        true
    }

    /// Lets those that are kept back have their turn now: what they wait for may be here.
    pub fn wake(&self, now: Instant) {
        for waiting in locked(&self.waiting).values_mut().filter(|waiting| waiting.kept_back) {
            waiting.due_at = waiting.due_at.min(now);
        }
        self.woken.fetch_add(1, Ordering::SeqCst);
    }

    /// How often [`Self::wake`] was called.
    pub(super) fn woken(&self) -> u64 {
        self.woken.load(Ordering::SeqCst)
    }

    /// Whether a document's next try is still to come.
    pub(super) fn waits(&self, position: DocumentPosition, now: Instant) -> bool {
        locked(&self.waiting).get(&position).is_some_and(|waiting| waiting.due_at > now)
    }

    /// The documents whose next try is still to come, and those that have none.
    pub(super) fn left_out(&self, now: Instant) -> Vec<DocumentPosition> {
        let (waiting, failed) = (locked(&self.waiting), locked(&self.failed));
        let waiting = waiting.iter().filter(|(_, waiting)| waiting.due_at > now).map(|(position, _)| *position);
        let failed = failed.iter().filter(|(_, faults)| **faults >= FAULTS_MAX).map(|(position, _)| *position);
        waiting.chain(failed).collect()
    }

    /// Forgets a document that was decided.
    pub(super) fn decided(&self, position: DocumentPosition) {
        locked(&self.waiting).remove(&position);
        locked(&self.failed).remove(&position);
        locked(&self.outrun).remove(&position);
    }
}

fn full(waiting: &BTreeMap<DocumentPosition, Waiting>, channel: &ChannelId) -> bool {
    // Nearly always nobody waits, and no channel can have more than there are.
    waiting.len() >= WAITING_MAX
        && waiting.values().filter(|waiting| waiting.party.channel == *channel).count() >= WAITING_MAX
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const FIRST: DocumentPosition = DocumentPosition(1);
    const NEXT: DocumentPosition = DocumentPosition(2);
    const START: Instant = Instant(0);

    fn party(channel: &str) -> Party {
        let sender = SenderId::authenticated("sender".to_owned());
        Party { channel: ChannelId::parse(channel).unwrap(), sender, partner: "partner".to_owned() }
    }

    fn order(number: &str) -> OrderId {
        let Party { channel, sender, partner } = party("edi");
        OrderId::derive(&channel, &sender, &partner, number, None)
    }

    fn wait(aside: &SetAside, position: DocumentPosition, asked_ms: u32, now: Instant) -> bool {
        aside.wait(position, party("edi"), None, asked_ms, now)
    }

    #[test]
    fn a_document_waits_longer_with_every_try_and_then_no_more() {
        let aside = SetAside::default();
        let mut now = START;
        for wait_ms in [1_000, 2_000, 4_000, 8_000] {
            assert!(wait(&aside, FIRST, 0, now));
            assert!(aside.waits(FIRST, now.plus_ms(wait_ms - 1)));
            now = now.plus_ms(wait_ms);
            assert!(!aside.waits(FIRST, now));
        }
        assert!(!wait(&aside, FIRST, 0, now), "it has had its tries");
        assert!(!aside.waits(FIRST, now));
    }

    #[test]
    fn a_plugin_may_ask_for_more_time_but_not_for_ever() {
        let aside = SetAside::default();
        assert!(wait(&aside, FIRST, 30_000, START));
        assert!(aside.waits(FIRST, Instant(29_999)) && !aside.waits(FIRST, Instant(30_000)));
        assert!(wait(&aside, FIRST, u32::MAX, START));
        assert!(!aside.waits(FIRST, Instant(BACKOFF_MS_MAX)));
    }

    #[test]
    fn a_channel_of_which_too_many_wait_keeps_no_other_channel_from_waiting() {
        let aside = SetAside::default();
        let positions = 1..=u64::try_from(WAITING_MAX).unwrap();
        for position in positions.clone() {
            assert!(wait(&aside, DocumentPosition(position), 0, START));
        }
        let other = DocumentPosition(positions.end() + 1);
        assert!(!wait(&aside, other, 0, START), "the channel has its share");
        assert!(!aside.keep_back(other, party("edi"), Some(order("PO-1")), Instant(1)));
        assert!(aside.wait(other, party("shop"), None, 0, START));
        assert!(wait(&aside, FIRST, 0, START), "one that waits already takes no further place");
        aside.decided(FIRST);
        assert!(wait(&aside, DocumentPosition(positions.end() + 2), 0, START));
    }

    #[test]
    fn those_whose_time_has_come_are_left_out_no_more() {
        let aside = SetAside::default();
        assert!(wait(&aside, FIRST, 0, START) && wait(&aside, NEXT, 5_000, START));
        assert_eq!(aside.left_out(START), [FIRST, NEXT]);
        assert_eq!(aside.left_out(Instant(1_000)), [NEXT]);
        aside.decided(NEXT);
        assert_eq!(aside.left_out(START), [FIRST]);
    }

    #[test]
    fn what_is_about_an_order_comes_after_what_waits_and_is_about_it_or_may_be() {
        let aside = SetAside::default();
        let (third, po) = (DocumentPosition(3), order("PO-1"));
        assert!(aside.wait(FIRST, party("edi"), None, 0, START));
        let may_be = |whose: Option<&Party>| aside.before(NEXT, po, whose, START);
        assert_eq!(may_be(Some(&party("edi"))), Some(Instant(1_000)));
        assert_eq!((may_be(Some(&party("shop"))), may_be(None)), (None, None));

        // Once it was read, it holds up its own order and no other, also while it waits again.
        let later = Instant(1_000);
        assert!(aside.wait(FIRST, party("edi"), Some(po), 0, later));
        assert!(aside.wait(FIRST, party("edi"), None, 0, later));
        let due_at = aside.before(NEXT, po, None, later).unwrap();
        assert_eq!(aside.before(NEXT, order("PO-2"), Some(&party("edi")), later), None);
        assert_eq!(aside.before(FIRST, po, None, later), None, "not after itself");

        // One that is kept back has its try with the first, and holds up the next.
        assert!(aside.keep_back(NEXT, party("edi"), Some(po), due_at));
        assert!(aside.waits(NEXT, later) && !aside.waits(NEXT, due_at));
        aside.decided(FIRST);
        assert_eq!(aside.before(third, po, None, later), Some(due_at));
        assert_eq!(aside.before(third, po, None, due_at), None);
    }

    #[test]
    fn what_waits_for_a_plugin_has_its_turn_when_there_may_be_one_and_no_try_less() {
        let aside = SetAside::default();
        assert!(aside.keep_back(FIRST, party("edi"), None, Instant(600_000)));
        assert!(wait(&aside, NEXT, 5_000, START));
        aside.wake(START);
        assert_eq!(aside.left_out(START), [NEXT], "who asked for time gets it");
        for wait_ms in [1_000, 2_000, 4_000, 8_000] {
            assert!(wait(&aside, FIRST, 0, START), "{wait_ms}");
        }
    }

    #[test]
    fn a_document_that_the_host_fails_on_in_every_way_stands_in_nobodys_way() {
        let aside = SetAside::default();
        for left_out in [Vec::new(), vec![FIRST]] {
            aside.add(&BTreeSet::from([FIRST]));
            assert_eq!((aside.has(FIRST), aside.left_out(START)), (true, left_out));
        }
    }

    #[test]
    fn the_documents_of_a_batch_that_ended_in_a_panic_are_decided_one_by_one_and_then_others_at_once_again() {
        let aside = SetAside::default();
        assert_eq!(aside.at_once(64), 64);
        aside.one_by_one(NEXT);
        aside.one_by_one(FIRST);
        for (next, at_once) in [(Some(FIRST), 1), (Some(NEXT), 1), (Some(DocumentPosition(3)), 64), (None, 64)] {
            aside.goes_on_at(next);
            assert_eq!(aside.at_once(64), at_once, "{next:?}");
        }
        aside.one_by_one(NEXT);
        aside.goes_on_at(None);
        assert_eq!(aside.at_once(64), 64, "nothing is left of them");
    }

    #[test]
    fn a_decision_that_others_outran_three_times_is_a_persons() {
        let aside = SetAside::default();
        for given_up in [false, false, true] {
            aside.outrun(FIRST);
            assert_eq!((aside.is_outrun(FIRST), aside.is_outrun(NEXT)), (given_up, false));
        }
        assert!(!aside.has(FIRST), "it is no fault of the host's");
        aside.decided(FIRST);
        aside.outrun(FIRST);
        assert!(!aside.is_outrun(FIRST), "it counts anew");
    }

    #[test]
    fn a_document_that_was_decided_is_forgotten() {
        let aside = SetAside::default();
        aside.add(&BTreeSet::from([FIRST]));
        assert!(aside.has(FIRST) && wait(&aside, FIRST, 0, START));
        aside.decided(FIRST);
        assert!(!aside.has(FIRST) && !aside.waits(FIRST, START));
    }
}

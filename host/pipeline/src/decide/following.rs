//! Following orders: what systems say of an order moves it along its process, and lets what
//! waited for that take its turn.
//!
//! How far an order is stands in the record of the decision that moved it last, and of an
//! order that nothing moved yet in its own event. Both are read before a batch is decided;
//! from then on the batch follows its orders itself, event by event.

use std::collections::BTreeMap;

use portreeve_model::{ChannelId, Currency, Event, Money, OrderId, ProcessState};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    CaughtUp, DocumentPosition, EARLY_MAX, EventOutcome, NewProgress, OpenPayload, OrderStanding, OrderState,
    PayloadRef,
};

use super::{CANCEL_REQUESTED, DecideError};
use crate::Pipeline;
use crate::decision::{CaughtUpRecord, DecisionRecord, ProcessRecord};
use crate::process::{ADVISED_OTHERWISE, Concern, Process, Progress, RefundRecord, Step};

/// How far an order is, and what waits.
pub(crate) struct Course {
    /// How many events moved it so far.
    version: u64,
    progress: Progress,
    /// What people know to be wrong with it.
    known: Option<Concern>,
    early: BTreeMap<DocumentPosition, Event>,
    /// The channel that the order came by, where the routes ask for that.
    channel: Option<ChannelId>,
}

/// The orders that a batch says something about; of those that cannot be followed, why.
pub(super) type Courses = BTreeMap<OrderId, Result<Course, Concern>>;

/// What the host pays back by itself.
pub(crate) struct Paying<'a> {
    /// The refund that it decides on of an order that is so far, where it may.
    pub(crate) decides: &'a dyn Fn(&Progress) -> Option<RefundRecord>,
    /// Whether it still pays what it decided on and says in the document at this place.
    pub(crate) pays: &'a dyn Fn(&RefundRecord, Currency, DocumentPosition) -> bool,
}

/// The code of what people hear of a refund that the host decided on and does not pay.
pub(super) const REFUND_NOT_SENT: &str = "refund-not-sent";

/// What a person has to know of an event.
pub(crate) struct Worry {
    /// The event's name.
    pub(crate) event: String,
    /// Its document, where it is another one than that which is decided.
    pub(crate) waited: Option<DocumentPosition>,
    /// Whether it counts all the same.
    pub(crate) counts: bool,
    pub(crate) concern: Concern,
}

/// An event that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Its name.
    pub(crate) event: String,
    /// Its document.
    pub(crate) position: DocumentPosition,
    /// Where the order was before.
    pub(crate) from: ProcessState,
    /// Where it is afterwards.
    pub(crate) to: ProcessState,
    /// Whether it is a refund that the host decided on, which is to be paid.
    pub(crate) is_own_refund: bool,
    /// Whether it is an invoice whose total is below nothing.
    pub(crate) is_credit_memo: bool,
    /// Whether a part of the order never leaves, and nothing more of it is to.
    pub(crate) is_cut_short: bool,
}

/// What an event makes of its order.
pub(crate) struct Followed {
    pub(crate) outcome: EventOutcome,
    /// What counts from now on: this one, and what waited for it.
    pub(crate) moved: Vec<Moved>,
    /// Where the order is now, where the event moved it.
    pub(crate) progress: Option<NewProgress>,
    pub(crate) caught_up: Vec<CaughtUp>,
    /// What it waits for, where it does.
    pub(crate) waits_for: Option<String>,
    /// What people have to know, of this event and of those that waited.
    pub(crate) concerns: Vec<Worry>,
    /// The codes of what people had to know and is over.
    pub(crate) settled: Vec<&'static str>,
    /// Whether a refund that was decided on is not made: nobody reserves that money any more.
    drops: bool,
    pub(crate) record: ProcessRecord,
}

impl Pipeline {
    /// Reads how far orders are, all of them at once; one that is not here has no course.
    pub(super) async fn courses(&self, orders: BTreeMap<OrderId, OrderStanding>) -> Result<Courses, DecideError> {
        let mut begin = Vec::new();
        let mut places = Vec::new();
        for (order, standing) in orders {
            let Some((state, event)) = standing.decided else { continue };
            places.push(standing.progress.map_or(event, |progress| progress.record));
            begin.push((order, standing, state));
        }
        let mut courses = Courses::new();
        for ((order, standing, state), kept) in begin.into_iter().zip(self.opened(places).await?) {
            courses.insert(order, self.course(order, standing, state, kept).await?);
        }
        Ok(courses)
    }

    /// How far an order is; none where it is not here, or cannot be followed.
    pub(crate) async fn progress_of(&self, order: OrderId) -> Result<Option<Progress>, DecideError> {
        let standings = self.store.order_standings(vec![order]).await?;
        let mut courses = self.courses(standings.into_iter().map(|standing| (order, standing)).collect()).await?;
        Ok(courses.remove(&order).and_then(Result::ok).map(|course| course.progress))
    }

    async fn opened(&self, places: Vec<PayloadRef>) -> Result<Vec<Result<OpenPayload, StoreError>>, DecideError> {
        if places.is_empty() { Ok(Vec::new()) } else { Ok(self.store.payloads(places).await?) }
    }

    /// How far an order is, by what is kept of that: the record of the decision that moved it last,
    /// or its own event.
    async fn course(
        &self,
        order: OrderId,
        standing: OrderStanding,
        state: OrderState,
        kept: Result<OpenPayload, StoreError>,
    ) -> Result<Result<Course, Concern>, DecideError> {
        let bytes = match kept {
            Ok((bytes, _)) => bytes,
            Err(error) => return unfollowed(error),
        };
        let progress = match standing.progress {
            Some(_) => moved_before(&bytes),
            None => self.beginning(&bytes, state),
        };
        let mut progress = match progress {
            Ok(progress) => progress,
            Err(concern) => return Ok(Err(concern)),
        };
        // Nobody was told of what is only wrong since it was refused.
        let known = self.process.contradiction(&progress);
        if state == OrderState::Refused {
            progress.was_refused();
        }
        let version = standing.progress.map_or(0, |found| found.version);
        let early = if standing.early > 0 { self.early(order).await? } else { BTreeMap::new() };
        let channel = standing.channel.filter(|_| self.routes.looks_at_channels());
        Ok(Ok(Course { version, progress, known, early, channel }))
    }

    async fn early(&self, order: OrderId) -> Result<BTreeMap<DocumentPosition, Event>, DecideError> {
        let waiting = self.store.early_events(order).await?;
        let places = waiting.iter().map(|waiting| waiting.event).collect();
        let mut early = BTreeMap::new();
        for (waiting, kept) in waiting.iter().zip(self.opened(places).await?) {
            // What was erased meanwhile, or is damaged, waits for good, with its exception.
            let event = match kept {
                Ok((bytes, _)) => said(&bytes),
                Err(error) => unfollowed(error)?,
            };
            early.extend(event.ok().map(|event| (waiting.position, event)));
        }
        Ok(early)
    }

    /// How far an order is that nothing moved yet.
    fn beginning(&self, bytes: &[u8], state: OrderState) -> Result<Progress, Concern> {
        let state = match state {
            OrderState::Released => ProcessState::Released,
            OrderState::Held | OrderState::Routed | OrderState::Exception => ProcessState::Held,
            OrderState::Refused => ProcessState::Cancelled,
        };
        match said(bytes)? {
            Event::OrderCreated(order) => self.process.beginning(&order, state),
            other => Err(not_followed(&format!("`{}` in the order's place", other.name()))),
        }
    }
}

/// How far an order is by the record of the decision that moved it last.
fn moved_before(bytes: &[u8]) -> Result<Progress, Concern> {
    let progress = DecisionRecord::progress_in(bytes).ok().flatten();
    progress.ok_or_else(|| not_followed("a record that says nothing of the order's progress"))
}

fn said(bytes: &[u8]) -> Result<Event, Concern> {
    Event::from_json(bytes).map_err(|error| not_followed(&format!("an unreadable event: {error}")))
}

/// What an event makes of an order that is here, and of what waits: the order may have gone on
/// without an event since, as when people released it. Where it moved the order, and nothing
/// waits that may say otherwise, the host may decide on a refund.
pub(crate) fn follow(
    process: &Process,
    course: Option<&mut Result<Course, Concern>>,
    position: DocumentPosition,
    event: &Event,
    paying: &Paying<'_>,
) -> Followed {
    let mut followed = Followed::begin(process, event);
    let course = match course {
        Some(Ok(course)) => course,
        Some(Err(concern)) => return followed.impossible(event, concern.clone()),
        None => {
            let found = format!("`{}` of an order that is not here", event.name());
            let expected = "the identifier of an order as this host gave it to its targets".to_owned();
            return followed.impossible(event, Concern { code: "unknown-order", found, expected });
        }
    };
    followed.record.from = Some(course.progress.state);
    course.catch_up(process, paying, &mut followed);
    let outcome = course.apply(process, position, event, paying, &mut followed);
    if outcome == EventOutcome::Applied {
        course.catch_up(process, paying, &mut followed);
    }
    // An advice moves no money, and may be the host's to tell of other orders with it.
    let moves_money = !matches!(event, Event::RemittanceReceived(_));
    let is_settled = moves_money && !followed.moved.is_empty() && course.early.is_empty();
    if let Some(refund) = is_settled.then(|| (paying.decides)(&course.progress)).flatten() {
        course.progress.refunds(refund.clone());
        followed.record.refund = Some(refund);
    }
    course.keep(outcome, &mut followed);
    if followed.drops || !followed.moved.is_empty() {
        let (wrong_before, wrong_now) = (course.known.take(), process.contradiction(&course.progress));
        if wrong_now != wrong_before {
            followed.settled.extend(wrong_before.map(|concern| concern.code));
            followed.worry(event, None, true, wrong_now.clone());
        }
        course.known = wrong_now;
    }
    let moves_to = |state: ProcessState| followed.moved.iter().any(|moved| moved.to == state && moved.from != state);
    let (cancelled, paid) = (moves_to(ProcessState::Cancelled), moves_to(ProcessState::Settled));
    if cancelled && course.progress.cancelling {
        followed.settled.push(CANCEL_REQUESTED);
    }
    // All of the money is here, whatever its payer said of it before, be it that it waited until now.
    if paid && course.progress.has_advices() {
        followed.settled.push(ADVISED_OTHERWISE);
        followed.concerns.retain(|worry| worry.concern.code != ADVISED_OTHERWISE);
    }
    followed.end(outcome)
}

impl Course {
    /// Whether the host let the order go: until then whatever becomes of it is for people and rules.
    pub(crate) fn is_released(&self) -> bool {
        self.progress.state != ProcessState::Held
    }

    /// An order that nothing moved yet, and of which nothing waits.
    pub(crate) fn at(progress: Progress) -> Self {
        let known = progress.contradiction();
        Self { version: 0, progress, known, early: BTreeMap::new(), channel: None }
    }

    /// Forgets what an earlier version of the host did not count, where its record has none of that.
    pub(crate) fn as_counted_in(&mut self, then: &Progress) {
        self.progress.as_counted_in(then);
    }

    /// The channel that the order came by, where the routes ask for that.
    pub(crate) fn channel(&self) -> Option<&ChannelId> {
        self.channel.as_ref()
    }

    /// While no event moved it, it is where the host's and people's decisions put it; and where
    /// people rejected it since, it is cancelled.
    pub(crate) fn from(mut self, state: ProcessState) -> Self {
        if self.version == 0 {
            self.progress.state = state;
        }
        if state == ProcessState::Cancelled {
            self.progress.was_refused();
        }
        self
    }

    fn apply(
        &mut self,
        process: &Process,
        position: DocumentPosition,
        event: &Event,
        paying: &Paying<'_>,
        followed: &mut Followed,
    ) -> EventOutcome {
        let concern = match self.step(process, position, event, paying) {
            Step::Again => return EventOutcome::Again,
            Step::Applied { after, concerns } => {
                self.moved(after, event, position, followed);
                followed.worry(event, None, true, concerns);
                return EventOutcome::Applied;
            }
            Step::Early { waits_for } if self.early.len() < usize::try_from(EARLY_MAX).unwrap_or(usize::MAX) => {
                self.early.insert(position, event.clone());
                followed.waits_for = Some(waits_for);
                return EventOutcome::Early;
            }
            Step::Early { .. } => Concern {
                code: "too-many-early",
                found: format!("`{}` before its turn, and {EARLY_MAX} others that wait for theirs", event.name()),
                expected: "what they wait for, or fewer of them".to_owned(),
            },
            Step::Impossible(concern) => concern,
        };
        self.counts_not(event, followed);
        followed.worry(event, None, false, [concern]);
        EventOutcome::Impossible
    }

    /// What follows from an event. A refund that the host decided on counts only where it is
    /// paid: the routes may name fewer causes by now, or less.
    fn step(&self, process: &Process, position: DocumentPosition, event: &Event, paying: &Paying<'_>) -> Step {
        let step = process.apply(&self.progress, event, position.0);
        let currency = self.progress.money.currency;
        match (&step, self.progress.decided(event)) {
            (Step::Applied { .. }, Some(refund)) if !(paying.pays)(refund, currency, position) => {
                let amount = Money { minor: refund.amount_minor, currency };
                let found = format!("a refund of {amount} that the host had decided on and may not pay any more");
                let expected = "`[refunds]` to have its cause and amount still: pay it by hand".to_owned();
                Step::Impossible(Concern { code: REFUND_NOT_SENT, found, expected })
            }
            _ => step,
        }
    }

    /// An event counts for nothing. If it is a refund that the host decided on, that money is owed
    /// as before, and people hear of it: what is reserved for ever is seen by nobody.
    fn counts_not(&mut self, event: &Event, followed: &mut Followed) {
        if let Some(refund) = self.progress.decided(event).cloned() {
            self.progress.drops(&refund);
            followed.drops = true;
        }
    }

    /// Looks at everything that waits, and at all of it again after each that counts.
    fn catch_up(&mut self, process: &Process, paying: &Paying<'_>, followed: &mut Followed) {
        while let Some((position, step)) = self.next_in_turn(process, paying) {
            let Some(event) = self.early.remove(&position) else { return };
            let outcome = match step {
                Step::Applied { after, concerns } => {
                    self.moved(after, &event, position, followed);
                    followed.worry(&event, Some(position), true, concerns);
                    EventOutcome::Applied
                }
                Step::Impossible(concern) => {
                    self.counts_not(&event, followed);
                    followed.worry(&event, Some(position), false, [concern]);
                    EventOutcome::Impossible
                }
                Step::Again | Step::Early { .. } => EventOutcome::Again,
            };
            followed.caught_up.push(CaughtUp { position, outcome });
        }
    }

    fn moved(&mut self, after: Progress, event: &Event, position: DocumentPosition, followed: &mut Followed) {
        let (from, to) = (self.progress.state, after.state);
        let (money, before) = (&after.money, &self.progress.money);
        let is_own_refund =
            money.refunding.len() < before.refunding.len() && money.refunded_minor > before.refunded_minor;
        let is_credit_memo = matches!(event, Event::InvoicePosted(invoice) if invoice.total.minor < 0);
        let is_cut_short = after.lines.values().any(|line| line.cancelled() > 0)
            && after.lines.values().all(|line| line.unshipped || line.open() == 0);
        let event = event.name().to_owned();
        followed.moved.push(Moved { event, position, from, to, is_own_refund, is_credit_memo, is_cut_short });
        self.progress = after;
    }

    /// The first that waits and need not any more.
    fn next_in_turn(&self, process: &Process, paying: &Paying<'_>) -> Option<(DocumentPosition, Step)> {
        let mut steps = self.early.iter().map(|(position, event)| {
            let step = self.step(process, *position, event, paying);
            (*position, step)
        });
        steps.find(|(_, step)| !matches!(step, Step::Early { .. }))
    }

    /// Where the order is now, if anything of this moved it.
    fn keep(&mut self, outcome: EventOutcome, followed: &mut Followed) {
        let counts = |outcome| outcome == EventOutcome::Applied;
        let moved = counts(outcome) || followed.caught_up.iter().any(|caught_up| counts(caught_up.outcome));
        if moved || followed.drops {
            followed.progress = Some(NewProgress { after: self.version, state: self.progress.state });
            self.version = self.version.saturating_add(1);
            followed.record.progress = Some(self.progress.clone());
        }
        let records = followed.caught_up.iter().map(|caught_up| CaughtUpRecord {
            position: caught_up.position.0,
            outcome: caught_up.outcome.as_str().to_owned(),
        });
        followed.record.caught_up = records.collect();
    }
}

impl Followed {
    fn begin(process: &Process, event: &Event) -> Self {
        let record = ProcessRecord {
            definition: process.digest(),
            from: None,
            event: event.name().to_owned(),
            outcome: String::new(),
            caught_up: Vec::new(),
            progress: None,
            refund: None,
        };
        Self {
            outcome: EventOutcome::Noted,
            moved: Vec::new(),
            progress: None,
            caught_up: Vec::new(),
            waits_for: None,
            concerns: Vec::new(),
            settled: Vec::new(),
            drops: false,
            record,
        }
    }

    fn impossible(mut self, event: &Event, concern: Concern) -> Self {
        self.worry(event, None, false, [concern]);
        self.end(EventOutcome::Impossible)
    }

    fn worry(
        &mut self,
        event: &Event,
        waited: Option<DocumentPosition>,
        counts: bool,
        concerns: impl IntoIterator<Item = Concern>,
    ) {
        let event = event.name();
        let worries = concerns.into_iter().map(|concern| Worry { event: event.to_owned(), waited, counts, concern });
        self.concerns.extend(worries);
    }

    fn end(mut self, outcome: EventOutcome) -> Self {
        self.outcome = outcome;
        outcome.as_str().clone_into(&mut self.record.outcome);
        self
    }
}

/// What cannot be read any more is nothing to go on from; any other error may pass.
fn unfollowed<T>(error: StoreError) -> Result<Result<T, Concern>, DecideError> {
    match error {
        StoreError::Erased(_) | StoreError::Damaged(_) => Ok(Err(not_followed(&error.to_string()))),
        other => Err(other.into()),
    }
}

fn not_followed(found: &str) -> Concern {
    Concern { code: "not-followed", found: found.to_owned(), expected: "what is known of the order so far".to_owned() }
}

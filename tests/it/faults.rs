//! A store whose writes fail on plan, in the two ways in which a write can fail:
//! nothing persisted, or everything did and nobody heard. A third way takes the
//! whole process with it. Beside that it can forget what it has seen, to show that
//! somebody notices, and give an order a second effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use async_trait::async_trait;
use portreeve_model::reference::Row;
use portreeve_model::{ChannelId, Currency, Digest, Instant, ItemId, OrderId, PersonName, PluginName, Reply, SenderId};
use portreeve_record::{Leaf, PayloadKey};
use portreeve_store::contract::{
    After, Configuration, CreditQuery, CreditReservation, CustomerAggregate, DeadLetter, Decided, DecisionCommit,
    DeliveredPage, DeliveredWanted, DocumentPosition, DocumentView, DueRule, EarlyEvent, ExceptionTrail, ExceptionView,
    ExceptionsWanted, Finding, Forgotten, Happening, HistoryQuery, HoldOwner, InputContent, InputId, InterchangeView,
    ItemStanding, JournalEntry, JournalOutcome, JudgedHold, Kept, KeptBack, KeptInput, LateMessage, Lease,
    MeasuredOrder, NewException, NewOutbox, NewPersonChange, NewReference, NewReplay, NewReview, NewRun, NewStep,
    NoticePlace, Numbering, OpenHolds, OpenPayload, OperationLeaf, OrderEventView, OrderName, OrderOrigin,
    OrderStanding, OrderState, OrderTrail, OrderView, OrdersAtPage, OrdersAtWanted, PackageChange, PackageView, Part,
    PartView, PauseAbout, PayloadRef, Period, Person, PersonView, PluginUsage, PollEnd, PollView, PolledChange,
    Presented, ReconciliationView, ReferenceTable, ReferenceWanted, ReplayView, Room, SaidPage, SaidWanted, Settlement,
    StepTaken, SubscriptionEnd, SubscriptionView, Summary, TreeHead, UnsequencedLeaf, UntakenInput, UntakenWanted,
    WaitingDeliveries, WaitingOrders, WeighedProposal,
};
use portreeve_store::{
    Attempt, Committed, Journaled, Permit, PollPermit, Settled, Store, StoreError, SubscriptionPermit,
};

use crate::support::say;

/// How a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It returns an error and nothing persisted.
    NotPersisted,
    /// So it does each time from then on.
    NeverPersisted,
    /// It persists and returns an error all the same.
    PersistedButFailed,
    /// Nothing is written any more, since whoever writes is gone.
    WriterEnded,
    /// It persists and never answers.
    PersistedAndSilent,
    /// The process ends before it.
    DieBefore,
    /// The process ends after it, and nobody hears of it.
    DieAfter,
}

/// What a process says before a fault takes it: here, and which.
pub(crate) const MET: &str = "meets its fault: ";

/// Writes of the road, by the names of their methods.
pub(crate) const WRITES: [&str; 6] =
    ["journal", "commit_decisions", "claim", "begin_attempt", "settle", "append_sequenced"];

/// What a write is about, for whoever plans faults by that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum About {
    /// The input that is sent.
    Input,
    /// A document about an order.
    Document(OrderId, DocumentPosition),
    /// An attempt at a delivery: matter, target, kind and which attempt.
    Delivery(String),
}

/// Says how a write fails, by its name and what it is about; asked before each.
type Plan = Arc<dyn Fn(&str, &[About]) -> Option<Fault> + Send + Sync>;

/// What tells inputs apart that are taken to be new: whose they are, and how many there were.
type Salt = (String, Arc<AtomicU32>);

/// Before which method's next call, and what happens then.
type Meanwhile = (String, Box<dyn FnOnce() + Send>);

/// The store behind, and when it fails.
pub(crate) struct FaultyStore {
    behind: Arc<dyn Store>,
    write: String,
    fault: Fault,
    /// Calls of that write that still go well.
    good: AtomicU32,
    failed: AtomicBool,
    /// What fails beside that.
    plan: Option<Plan>,
    forgets: OnceLock<Salt>,
    /// The position of a document about whose customer nobody can be asked; 0 for none.
    panics_at: AtomicU64,
    second_target: OnceLock<String>,
    /// By how much the windows of budgets are too short, in milliseconds; 0 for not at all.
    short_by: AtomicI64,
    /// By how much too much figures of credit are taken to know, in milliseconds; 0 for not at all.
    credit_forgotten: AtomicI64,
    /// Whether commits look at budgets once more.
    counts_again: AtomicBool,
    /// What happens before the next call of a method.
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl About {
    fn of_decision(decision: &DecisionCommit) -> Option<Self> {
        Some(Self::Document(decision.decided.order()?, decision.document.position()))
    }

    /// Not by the document that it is of: its place in the journal follows from who came first.
    fn of_permit(permit: &Permit) -> Self {
        let (matter, target, kind, attempt) = (permit.matter(), permit.target(), permit.kind(), permit.attempt());
        Self::Delivery(format!("{matter}/{target}/{kind} {attempt}"))
    }
}

impl FaultyStore {
    /// Fails at one write: at its call after so many good ones, once.
    pub(crate) fn new(behind: Arc<dyn Store>, write: &str, fault: Fault, good: u32) -> Arc<Self> {
        Arc::new(Self::of(behind, write, fault, good, None))
    }

    /// Fails wherever a plan says so, as often as it does.
    pub(crate) fn planned(
        behind: Arc<dyn Store>,
        plan: impl Fn(&str, &[About]) -> Option<Fault> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self::of(behind, "none", Fault::NotPersisted, 0, Some(Arc::new(plan))))
    }

    fn of(behind: Arc<dyn Store>, write: &str, fault: Fault, good: u32, plan: Option<Plan>) -> Self {
        let (good, failed, forgets) = (AtomicU32::new(good), AtomicBool::new(false), OnceLock::new());
        let (panics_at, second_target, short_by) = (AtomicU64::new(0), OnceLock::new(), AtomicI64::new(0));
        let (write, counts_again, meanwhile) = (write.to_owned(), AtomicBool::new(true), Mutex::new(None));
        Self {
            behind,
            write,
            fault,
            good,
            failed,
            plan,
            forgets,
            panics_at,
            second_target,
            short_by,
            credit_forgotten: AtomicI64::new(0),
            counts_again,
            meanwhile,
        }
    }

    /// From now on whoever decides the document at this position panics.
    pub(crate) fn panic_at(&self, position: DocumentPosition) {
        self.panics_at.store(position.0, Ordering::SeqCst);
    }

    /// Has no fault.
    pub(crate) fn sound(behind: Arc<dyn Store>) -> Arc<Self> {
        Self::new(behind, "none", Fault::NotPersisted, 0)
    }

    /// From now on an order that is released is delivered to this target, too, after
    /// its first one: the host gives an order one effect only, and with one there is
    /// no order to keep.
    pub(crate) fn deliver_also_to(&self, target: &str) {
        self.second_target.get_or_init(|| target.to_owned());
    }

    /// Does this between the reading and the scoring of the next batch, once.
    pub(crate) fn meanwhile(&self, act: impl FnOnce() + Send + 'static) {
        // An order was read then, and not scored.
        self.before("customer_histories", act);
    }

    /// Does this before the next call of a method, once.
    pub(crate) fn before(&self, method: &str, act: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((method.to_owned(), Box::new(act)));
    }

    fn act_before(&self, method: &str) {
        let act = self.meanwhile.lock().unwrap().take_if(|(of, _)| of == method);
        if let Some((_, act)) = act {
            act();
        }
    }

    /// From now on no commit looks at budgets once more, and they are counted over windows that
    /// are so much too short.
    pub(crate) fn trust_counters(&self, short_by_ms: i64) {
        self.counts_again.store(false, Ordering::SeqCst);
        self.short_by.store(short_by_ms, Ordering::SeqCst);
    }

    /// From now on no release looks at credit once more, and deliveries are taken to be in figures
    /// that are older than they by up to so much.
    pub(crate) fn forget_credit_of(&self, ms: i64) {
        self.counts_again.store(false, Ordering::SeqCst);
        self.credit_forgotten.store(ms, Ordering::SeqCst);
    }

    fn unbounded(&self, decision: &mut DecisionCommit) {
        if self.counts_again.load(Ordering::SeqCst) {
            return;
        }
        let Decided::Order(order) = &mut decision.decided else { return };
        unbounded(&mut order.credit);
        for hold in &mut order.holds {
            if let HoldOwner::Advice(spends) | HoldOwner::Route(spends) = &mut hold.owner {
                (spends.per_hour_max, spends.held_share) = (u32::MAX, None);
                spends.value_held_per_day_max_minor = None;
            }
        }
    }

    fn with_second(&self, mut decision: DecisionCommit) -> DecisionCommit {
        if let (Decided::Order(order), Some(target)) = (&mut decision.decided, self.second_target.get()) {
            let second = order.outbox.first().map(|first| NewOutbox { target: target.clone(), ..first.clone() });
            order.outbox.extend(second);
        }
        self.unbounded(&mut decision);
        decision
    }

    /// From now on it knows no duplicate: whatever is journaled is something new, by
    /// its bytes, its envelope, its business key and its order.
    pub(crate) fn forget(&self) {
        static JOURNALED: LazyLock<Arc<AtomicU32>> = LazyLock::new(Arc::default);
        self.forget_as(&std::process::id().to_string(), Arc::clone(&JOURNALED));
    }

    /// The same, with what tells its inputs apart: a word, and how many there were so far.
    pub(crate) fn forget_as(&self, whose: &str, journaled: Arc<AtomicU32>) {
        self.forgets.get_or_init(|| (whose.to_owned(), journaled));
    }

    fn as_new((whose, journaled): &Salt, entry: &mut JournalEntry) {
        let salt = format!("{whose}-{}", journaled.fetch_add(1, Ordering::SeqCst));
        entry.content = Digest::of_parts(&[entry.content.as_bytes(), salt.as_bytes()]);
        entry.envelopes.clear();
        for document in &mut entry.documents {
            document.key.push_str(&salt);
            document.partner.push_str(&salt);
        }
    }

    /// Whether it came to the fault.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    async fn meet<T>(
        &self,
        write: &str,
        run: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.meet_about(write, &[], run).await
    }

    async fn meet_about<T>(
        &self,
        write: &str,
        about: &[About],
        run: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.act_before(write);
        if let Some(fault) = self.plan.as_ref().and_then(|plan| plan(write, about)) {
            self.failed.store(true, Ordering::SeqCst);
            return self.fail(fault, run).await;
        }
        if write != self.write
            || self.good.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |good| good.checked_sub(1)).is_ok()
            || (self.failed.swap(true, Ordering::SeqCst) && self.fault != Fault::NeverPersisted)
        {
            return run.await;
        }
        self.fail(self.fault, run).await
    }

    async fn fail<T>(
        &self,
        fault: Fault,
        run: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match fault {
            Fault::NotPersisted | Fault::NeverPersisted => Err(StoreError::Failed("the fault of the plan".to_owned())),
            Fault::PersistedButFailed => {
                self.done(run.await)?;
                Err(StoreError::Unknown("the fault of the plan".to_owned()))
            }
            Fault::WriterEnded => Err(StoreError::WriterEnded),
            Fault::PersistedAndSilent => {
                self.done(run.await)?;
                std::future::pending().await
            }
            Fault::DieBefore => self.die(),
            Fault::DieAfter => {
                self.done(run.await)?;
                self.die()
            }
        }
    }

    /// A fault after a write needs one that is done: where the store refuses it, as an attempt
    /// whose order was cancelled since it was claimed, the fault is still to come.
    fn done<T>(&self, result: Result<T, StoreError>) -> Result<(), StoreError> {
        result.map(drop).inspect_err(|_| self.failed.store(false, Ordering::SeqCst))
    }

    fn die(&self) -> ! {
        say(&format!("{MET}{} {:?}", self.write, self.fault));
        std::process::abort()
    }
}

/// Takes the limit away from a release.
fn unbounded(credit: &mut Option<CreditReservation>) {
    if let Some(reservation) = credit {
        reservation.most_minor = None;
    }
}

macro_rules! store {
    (
        may_fail { $(async fn $write:ident(&self $(, $a:ident: $t:ty)*) -> $out:ty;)* }
        reads { $(async fn $read:ident(&self $(, $b:ident: $u:ty)*) -> $seen:ty;)* }
        changed { $($changed:tt)* }
    ) => {
        #[async_trait]
        impl Store for FaultyStore {
            $(async fn $write(&self $(, $a: $t)*) -> Result<$out, StoreError> {
                self.meet(stringify!($write), self.behind.$write($($a),*)).await
            })*
            $(async fn $read(&self $(, $b: $u)*) -> Result<$seen, StoreError> {
                self.behind.$read($($b),*).await
            })*
            $($changed)*
        }
    };
}

store! {
    may_fail {
        async fn activate_configuration(&self, bytes: Vec<u8>, tables: Vec<NewReference>, at: Instant, leaves: Vec<Leaf>, parts: Vec<Part>) -> u64;
        async fn change_packages(&self, change: PackageChange, at: Instant, leaves: Vec<Leaf>) -> ();
        async fn load_reference(&self, table: &str, rows: Vec<(String, Row)>, leaf: Leaf) -> u64;
        async fn claim_poll(&self, poll: &str, connector: &PluginName, now: Instant, lease_until: Instant) -> Option<PollPermit>;
        async fn journal_polled(&self, permit: PollPermit, entry: JournalEntry, change: PolledChange) -> JournalOutcome;
        async fn end_poll(&self, permit: PollPermit, end: PollEnd, at: Instant) -> ();
        async fn claim_subscription(&self, poll: &str, about: Digest, now: Instant, lease_until: Instant, leaf: Leaf) -> Option<SubscriptionPermit>;
        async fn end_subscription(&self, permit: SubscriptionPermit, end: SubscriptionEnd, at: Instant) -> ();
        async fn refuse(&self, leaf: Leaf) -> ();
        async fn lease_numbers(&self, range: &str, count: u32) -> u64;
        async fn number_delivery(&self, permit: Permit, numbering: Numbering, at: Instant) -> Permit;
        async fn tell_overdue(&self, partner: &str, number: u64, exception: NewException, at: Instant, leaf: Leaf) -> bool;
        async fn begin_due(&self, rules: Vec<DueRule>) -> ();
        async fn watch_due(&self, rule: DueRule, at: Instant, limit: u32) -> bool;
        async fn tell_late(&self, message: u64, exception: NewException, at: Instant, leaf: Leaf) -> bool;
        async fn end_late(&self, message: u64, at: Instant, leaf: Leaf) -> bool;
        async fn commit_run(&self, run: NewRun) -> ();
        async fn settle_unattempted(&self, permit: Permit, settlement: Settlement, at: Instant, leaf: Leaf) -> Settled;
        async fn payload(&self, kept: PayloadRef) -> Vec<u8>;
        async fn payloads(&self, kept: Vec<PayloadRef>) -> Vec<Result<OpenPayload, StoreError>>;
        async fn step_exception(&self, step: NewStep) -> ();
        async fn replay_delivered(&self, replay: NewReplay) -> bool;
        async fn forget(&self, inputs: Vec<InputId>, before: Instant, at: Instant, leaf: Leaf) -> Option<Forgotten>;
        async fn append_sequenced(&self, expected_size: u64, leaves: Vec<Digest>, head: TreeHead) -> bool;
        async fn change_person(&self, change: NewPersonChange) -> ();
        async fn credential_used(&self, credential: Digest, at: Instant) -> ();
        async fn begin_notices(&self, subscribers: Vec<String>) -> ();
        async fn move_notices(&self, subscriber: &str, from: NoticePlace, to: NoticePlace) -> bool;
    }
    reads {
        async fn active_configuration(&self) -> Option<Configuration>;
        async fn packages(&self) -> Vec<PackageView>;
        async fn poll(&self, poll: &str) -> Option<PollView>;
        async fn known_keys(&self, channel: &ChannelId, sender: &SenderId, keys: Vec<String>) -> Vec<bool>;
        async fn subscription(&self, poll: &str) -> Option<SubscriptionView>;
        async fn poll_state(&self, plugin: &PluginName, poll: &str) -> BTreeMap<String, Vec<u8>>;
        async fn person(&self, name: &PersonName) -> Option<Person>;
        async fn people(&self, after: Option<&PersonName>, limit: u32) -> Vec<PersonView>;
        async fn presented(&self, credential: Digest) -> Option<Presented>;
        async fn references(&self, wanted: Vec<ReferenceWanted>) -> Vec<Option<ReferenceTable>>;
        async fn reference(&self, table: &str) -> Option<(u64, Vec<(String, Row)>)>;
        async fn undecided(&self, limit: u32, without: &[DocumentPosition]) -> Vec<Journaled>;
        async fn kept_back(&self, which: Kept, after: DocumentPosition, limit: u32) -> Vec<KeptBack>;
        async fn exceptions_wanted(&self, wanted: ExceptionsWanted) -> Vec<ExceptionView>;
        async fn exception(&self, exception: u64) -> Option<ExceptionTrail>;
        async fn due_exceptions(&self, at: Instant, limit: u32) -> Vec<ExceptionView>;
        async fn expired_proposals(&self, at: Instant, limit: u32) -> Vec<u64>;
        async fn weighed(&self, period: Period) -> BTreeMap<WeighedProposal, u64>;
        async fn judged_holds(&self, after: After, until: Instant, limit: u32) -> Vec<JudgedHold>;
        async fn steps_taken(&self, after: After, until: Instant, limit: u32) -> Vec<StepTaken>;
        async fn measured_orders(&self, after: After, until: Instant, limit: u32) -> Vec<MeasuredOrder>;
        async fn operation_leaves(&self, after: After, until: Instant, limit: u32) -> Vec<OperationLeaf>;
        async fn parts(&self) -> Vec<PartView>;
        async fn paused_plugins(&self, after: u64, limit: u32) -> Vec<(ExceptionView, PauseAbout)>;
        async fn input_sender(&self, input: InputId) -> Option<(ChannelId, SenderId)>;
        async fn kept_back_order(&self, order: OrderId) -> Option<KeptBack>;
        async fn waiting_orders(&self) -> Vec<WaitingOrders>;
        async fn open_holds(&self, at: Instant) -> Vec<OpenHolds>;
        async fn waiting_deliveries(&self) -> Vec<WaitingDeliveries>;
        async fn untaken_inputs(&self, wanted: UntakenWanted) -> Vec<UntakenInput>;
        async fn untaken_input(&self, input: InputId) -> Option<UntakenInput>;
        async fn input_content(&self, input: InputId) -> Option<InputContent>;
        async fn dead_letters(&self, after: u64, limit: u32) -> Vec<DeadLetter>;
        async fn dead_letters_of(&self, target: &str, code: Option<&str>, after: u64, limit: u32) -> Vec<DeadLetter>;
        async fn delivered(&self, wanted: DeliveredWanted) -> DeliveredPage;
        async fn replay_shown(&self, digest: Digest) -> Option<ReplayView>;
        async fn replays(&self, after: u64, limit: u32) -> Vec<ReplayView>;
        async fn notice_place(&self, subscriber: &str) -> Option<NoticePlace>;
        async fn happenings(&self, after: NoticePlace, limit: u32) -> Vec<Happening>;
        async fn interchange(&self, partner: &str, number: u64) -> Option<InterchangeView>;
        async fn overdue_interchanges(&self, at: Instant, limit: u32) -> Vec<InterchangeView>;
        async fn late_messages(&self, at: Instant, limit: u32) -> Vec<LateMessage>;
        async fn reconciliation(&self, reconciliation: &str) -> ReconciliationView;
        async fn reconciliation_key(&self, reconciliation: &str) -> Option<PayloadKey>;
        async fn orders_at(&self, wanted: OrdersAtWanted) -> OrdersAtPage;
        async fn said_at(&self, wanted: SaidWanted) -> SaidPage;
        async fn findings(&self, reconciliation: &str, after: Option<&str>, limit: u32) -> Vec<(String, Finding)>;
        async fn next_due(&self) -> Option<Instant>;
        async fn next_due_without(&self, targets: BTreeSet<String>) -> Option<Instant>;
        async fn waits_since_gone(&self, target: &str) -> bool;
        async fn kept_inputs(&self, before: Instant, after: Option<(Instant, InputId)>, limit: u32) -> Vec<KeptInput>;
        async fn payloads_about(&self, subject: Digest) -> Vec<PayloadRef>;
        async fn state(&self, plugin: &PluginName, order: OrderId) -> BTreeMap<String, Vec<u8>>;
        async fn unsequenced(&self, limit: u32) -> Vec<UnsequencedLeaf>;
        async fn tree_head(&self) -> Option<TreeHead>;
        async fn sequenced(&self, from: u64, limit: u32) -> Vec<(u64, Digest, Vec<u8>)>;
        async fn leaf_index(&self, id: Digest) -> Option<u64>;
        async fn summary(&self) -> Summary;
        async fn orders(&self, after: DocumentPosition, limit: u32) -> Vec<OrderView>;
        async fn orders_numbered(&self, number: &str, limit: u32) -> Vec<OrderView>;
        async fn orders_in(&self, state: OrderState, after: DocumentPosition, limit: u32) -> Vec<OrderView>;
        async fn order_trail(&self, id: OrderId) -> Option<OrderTrail>;
        async fn input_documents(&self, input: InputId, limit: u32) -> Vec<DocumentView>;
        async fn document_received(&self, document: DocumentPosition) -> Option<(ChannelId, Instant)>;
        async fn exceptions_after(&self, after: u64, limit: u32) -> Vec<ExceptionView>;
        async fn orders_named(&self, names: Vec<OrderName>) -> Vec<Vec<OrderId>>;
        async fn order_standings(&self, ids: Vec<OrderId>) -> Vec<OrderStanding>;
        async fn item_standings(&self, ids: Vec<ItemId>) -> Vec<Option<ItemStanding>>;
        async fn order_origin(&self, order: OrderId) -> Option<OrderOrigin>;
        async fn order_events(&self, order: OrderId, after: u64, limit: u32) -> Vec<OrderEventView>;
        async fn early_events(&self, order: OrderId) -> Vec<EarlyEvent>;
        async fn order(&self, id: OrderId) -> Option<OrderView>;
        async fn exceptions(&self, limit: u32) -> Vec<ExceptionView>;
        async fn decision_fingerprints(&self, after: DocumentPosition, limit: u32) -> Vec<(DocumentPosition, Digest)>;
    }
    changed {
        async fn plugin_usage(&self, plugin: &PluginName, currency: Currency, at: Instant) -> Result<PluginUsage, StoreError> {
            self.behind.plugin_usage(plugin, currency, at.plus_ms(self.short_by.load(Ordering::SeqCst))).await
        }
        async fn credit_reserved(&self, mut queries: Vec<CreditQuery>) -> Result<Vec<i64>, StoreError> {
            for query in &mut queries {
                query.since = query.since.plus_ms(self.credit_forgotten.load(Ordering::SeqCst));
            }
            self.behind.credit_reserved(queries).await
        }
        async fn customer_histories(&self, queries: Vec<HistoryQuery>) -> Result<Vec<CustomerAggregate>, StoreError> {
            self.act_before("customer_histories");
            let panics_at = self.panics_at.load(Ordering::SeqCst);
            assert!(queries.iter().all(|query| query.below.0 != panics_at), "the panic of the plan");
            self.behind.customer_histories(queries).await
        }
        async fn commit_decisions(&self, decisions: Vec<DecisionCommit>) -> Result<Vec<Result<Committed, StoreError>>, StoreError> {
            let about: Vec<About> = decisions.iter().filter_map(About::of_decision).collect();
            let decisions = decisions.into_iter().map(|decision| self.with_second(decision)).collect();
            self.meet_about("commit_decisions", &about, self.behind.commit_decisions(decisions)).await
        }
        async fn commit_review(&self, mut review: NewReview) -> Result<(), StoreError> {
            if !self.counts_again.load(Ordering::SeqCst) {
                unbounded(&mut review.credit);
            }
            self.meet("commit_review", self.behind.commit_review(review)).await
        }
        async fn claim(&self, now: Instant, until: Instant, limit: u32, room: Room) -> Result<Vec<Permit>, StoreError> {
            let claimed = self.behind.claim(now, until, limit, room);
            // A claim when nothing is due writes nothing, and a host makes many of them. But
            // without its writer a store refuses that one as well.
            let is_due = self.behind.next_due().await?.is_some_and(|due| due <= now);
            if is_due || matches!(self.fault, Fault::WriterEnded) {
                self.meet("claim", claimed).await
            } else {
                claimed.await
            }
        }
        async fn journal(&self, mut entry: JournalEntry) -> Result<JournalOutcome, StoreError> {
            if let Some(salt) = self.forgets.get() {
                Self::as_new(salt, &mut entry);
            }
            self.meet_about("journal", &[About::Input], self.behind.journal(entry)).await
        }
        async fn reply_to(&self, input: InputId) -> Result<Option<Reply>, StoreError> {
            if self.forgets.get().is_some() {
                return Ok(None);
            }
            self.behind.reply_to(input).await
        }
        async fn begin_attempt(&self, permit: Permit, lease: Lease, leaf: Leaf) -> Result<Attempt, StoreError> {
            let about = [About::of_permit(&permit)];
            self.meet_about("begin_attempt", &about, self.behind.begin_attempt(permit, lease, leaf)).await
        }
        async fn settle(&self, attempt: Attempt, settlement: Settlement, at: Instant, leaf: Leaf) -> Result<Settled, StoreError> {
            let about = [About::of_permit(attempt.permit())];
            self.meet_about("settle", &about, self.behind.settle(attempt, settlement, at, leaf)).await
        }
    }
}

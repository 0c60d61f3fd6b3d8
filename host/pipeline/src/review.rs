//! An order that is kept back is looked at again: by a person, who releases holds of it, or
//! by the host, which clears holds of its own when their cause is gone.
//!
//! ```text
//! kept back ─▶ rules, once more ─▶ which holds end ─▶ what is found now ─▶ commit
//!   store        authority          person or host      host's rules       state + outbox + credit + leaf
//! ```
//!
//! A person ends the holds that were shown, by number, and no others. The host ends its own
//! only: never a person's decision, never a model's hold, and not what the sender wants
//! cancelled. When nothing is left that keeps the order back, all rules are asked once more,
//! and what they find keeps it back from then on; but for what a person released a little
//! while ago, which stays quiet for its grace. Scorers are not asked again: their word was
//! about the order as it came, and a person has read it.
//!
//! INVARIANT: no review commits on holds that nobody looked at. The store compares.

mod record;

use std::collections::BTreeMap;

use portreeve_authority::rules::{Account, CreditRoom, Finding, Rules, is_about_credit};
use portreeve_model::{Digest, Event, Instant, Order, OrderId, PluginName};
use portreeve_record::leaf::{Code, HoldRecord, Label, Listed, ReviewLeaf};
use portreeve_record::{Leaf, LeafBody, RecordError, SealError, canonical_json};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    ClosedHold, CreditReservation, DocumentPosition, HoldOwner, HoldView, Kept, KeptBack, NewHold, NewOutbox,
    NewPayload, NewReview, NewStep, OrderState,
};

pub use self::record::{ReviewRecord, ReviewedFinding};
use crate::Pipeline;
use crate::decide::{self, CANCEL_REQUESTED, RULE_TABLES, RuleRows, UnknownWord};
use crate::decision::{Answers, CreditRecord, FindingRecord};
use crate::exception::Limits;
use crate::history::{self, Origin};
use crate::leaf;
use crate::own_word::Unsaid;
use crate::tables::Tables;

/// Bytes of the reason that a person gives.
pub const REASON_BYTES_MAX: usize = 1_000;

/// Orders that are looked at together.
const PAGE: u32 = 64;

/// How often a person's release is made again when others used up the credit meanwhile.
const TRIES_MAX: u32 = 3;

/// What a person asks for.
#[derive(Clone, Copy)]
pub(crate) struct Release<'a> {
    /// The order.
    pub order: OrderId,
    /// The holds, by number, as they were shown.
    pub holds: &'a [u64],
    /// The account that answers for it.
    pub who: &'a str,
    /// The accounts that agreed to it.
    pub agreed: &'a [&'a str],
    /// Why, in the person's words.
    pub reason: &'a str,
    /// The step of the order's exception that says so, made anew for each try.
    pub step: Step<'a>,
}

/// Makes a step of an exception.
type Step<'a> = &'a (dyn Fn() -> Result<NewStep, ReviewError> + Sync);

/// What became of an order that was looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// The order.
    pub order: OrderId,
    /// The sender's number.
    pub number: String,
    /// Where it stands now.
    pub state: OrderState,
    /// One line: why.
    pub why: String,
    /// The holds that ended, by number.
    pub closed: Vec<u64>,
    /// Codes of what keeps it back from now on.
    pub opened: Vec<String>,
}

/// What the host did about all that is kept back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Orders of which it ended holds.
    pub orders: u64,
    /// Those of them that were released.
    pub released: u64,
}

/// Why nothing was done. Nothing changed, unless the store itself does not know.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// There is nothing to release.
    #[error("order {number} is not kept back: {how}; `portreeve order show {order}` tells its story")]
    NotKeptBack {
        /// The order.
        order: OrderId,
        /// The sender's number.
        number: String,
        /// How it came to stand where it does.
        how: String,
    },
    /// Not one of those that keep it back.
    #[error(
        "hold {hold} does not keep order {number} back{}; these do: {}. `portreeve order show {order}` tells what they are",
        ended_how(.ended.as_ref()), listed(open)
    )]
    UnknownHold {
        /// The order.
        order: OrderId,
        /// The sender's number.
        number: String,
        /// What was asked for.
        hold: u64,
        /// How it ended, if it was one of the order's.
        ended: Option<ClosedHold>,
        /// What is open.
        open: Vec<u64>,
    },
    /// No hold was named.
    #[error("no hold was named; expected the numbers of those that are to end, as `portreeve order show` lists them")]
    NoHolds,
    /// The sender wants it cancelled.
    #[error(
        "hold {hold} is the sender's wish to cancel order {number}, which no release overrides; see the order's exceptions"
    )]
    CancelRequested {
        /// The sender's number of the order.
        number: String,
        /// The hold.
        hold: u64,
    },
    /// Nobody knows any more where it goes.
    #[error(
        "order {order} came by channel `{channel}`, which the configuration does not have any more; a release would go nowhere"
    )]
    NoTarget {
        /// The sender's number of the order; its id where nobody asked, for that is logged.
        order: String,
        /// The channel.
        channel: String,
    },
    /// Its target may have it already.
    #[error(
        "found order {order} told to `{target}` as `{kind}` before its release, expected a kind that the configuration has as `create` of that target's [target.blocked] or for an effect of a hold; nothing was released, for `{target}` may have the order by that and would have it twice: put the kind back into the configuration, or take the order out there by hand and reject it here"
    )]
    UnknownWord {
        /// The sender's number of the order; its id where nobody asked, for that is logged.
        order: String,
        /// The target.
        target: String,
        /// The kind of message.
        kind: String,
    },
    /// Others took the credit, again and again.
    #[error(
        "found the credit of order {0}'s account used up by orders that were released at the same time, expected what was left when it was looked at; nothing was released: look at it again"
    )]
    CreditTaken(String),
    /// Something else happened to the order meanwhile, and it is kept back as before.
    #[error("order {0} changed while it was looked at; look at what keeps it back now and try again")]
    Moved(String),
    /// The event cannot be read.
    #[error("the order's event cannot be read: {0}")]
    Event(String),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
    /// A payload could not be sealed.
    #[error("the record of the review could not be sealed: {0}")]
    Seal(#[from] SealError),
    /// What the host says of a rejected order could not be written down.
    #[error(transparent)]
    OwnWord(#[from] Unsaid),
}

/// Who looks.
#[derive(Clone, Copy)]
enum Reviewer<'a> {
    Person(Release<'a>),
    Host,
}

/// What the rules find about an order now.
struct Found {
    findings: Vec<Finding>,
    account: Option<Account>,
    room: Option<CreditRoom>,
    credit: Option<CreditRecord>,
    answers: Answers,
    looked_up: Vec<u32>,
}

impl Found {
    /// Whether credit is looked at, and nothing is known of the account.
    fn lacks_figures(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.facts.found().is_none())
    }

    /// What a release takes of the account: within its room, but where a person let the limit
    /// pass. An order that its credit held counts also where nothing is known of the account.
    fn reserves(&self, kept: &KeptBack, quiet: &[bool], now: Instant) -> Option<CreditReservation> {
        let account = self.account.as_ref()?;
        let passed = |(finding, quiet): (&Finding, &bool)| *quiet && finding.code == Rules::CREDIT_LIMIT;
        match &self.room {
            Some(room) if !self.findings.iter().zip(quiet).any(passed) => {
                Some(decide::within(account, room, kept.value))
            }
            Some(_) => Some(decide::answered_for(account, kept.value, now)),
            None => {
                let held = kept.holds.iter().any(|hold| is_about_credit(&hold.reason));
                held.then(|| decide::answered_for(account, kept.value, now))
            }
        }
    }
}

/// Where a review leaves an order.
struct Standing {
    state: OrderState,
    queue: Option<String>,
    why: String,
}

impl Pipeline {
    /// Ends the holds that a person names, and releases the order where nothing else keeps it
    /// back.
    ///
    /// # Errors
    /// See [`ReviewError`]. Who was slower hears what the other one did.
    pub(crate) async fn release_holds(&self, release: Release<'_>) -> Result<Reviewed, ReviewError> {
        let mut tries = 1;
        let reviewed = loop {
            let kept = self.releasable(&release).await?;
            match self.review(&kept, Reviewer::Person(release)).await {
                Err(ReviewError::Store(StoreError::CreditSpent)) if tries < TRIES_MAX => tries += 1,
                Err(ReviewError::Store(StoreError::CreditSpent)) => {
                    return Err(ReviewError::CreditTaken(kept.number));
                }
                Err(ReviewError::Store(StoreError::OrderMoved { .. })) => {
                    return Err(ReviewError::Moved(self.releasable(&release).await?.number));
                }
                reviewed => break reviewed?,
            }
        };
        let reviewed = reviewed.ok_or(ReviewError::NoHolds)?;
        // What the host's own rules held for a cause that is gone is not left for later. The
        // release is on record by now, whatever comes of this.
        match self.clear_at_once(release.order).await {
            Ok(Some(Reviewed { closed, state, why, opened, .. })) => {
                Ok(Reviewed { closed: [reviewed.closed.clone(), closed].concat(), state, why, opened, ..reviewed })
            }
            Ok(None) => Ok(reviewed),
            Err(error) => {
                tracing::warn!(%error, order = %release.order, "an order will be looked at again in a while");
                Ok(reviewed)
            }
        }
    }

    /// The order as it is kept back, where a person may end these holds of it.
    async fn releasable(&self, release: &Release<'_>) -> Result<KeptBack, ReviewError> {
        let Some(kept) = self.store.kept_back_order(release.order).await? else {
            return Err(self.not_kept_back(release.order).await?);
        };
        may_release(&kept, release.holds)?;
        Ok(kept)
    }

    /// Check: a person's release of these holds would end them, and the order would have
    /// somewhere to go.
    pub(crate) fn is_releasable(&self, kept: &KeptBack, holds: &[u64]) -> Result<(), ReviewError> {
        may_release(kept, holds)?;
        match self.routes.channel(&kept.channel) {
            Some(_) => Ok(()),
            None => Err(ReviewError::NoTarget { order: kept.number.clone(), channel: kept.channel.to_string() }),
        }
    }

    /// Check: a person's release of some of its holds would end those, and the order would have
    /// somewhere to go and something to be looked at.
    pub(crate) async fn is_anything_releasable(&self, kept: &KeptBack) -> Result<(), ReviewError> {
        let others: Vec<u64> =
            kept.open_holds().filter(|hold| !is_a_wish_to_cancel(hold)).map(|hold| hold.number).collect();
        if let Some(wish) = kept.open_holds().next().filter(|_| others.is_empty()) {
            return Err(ReviewError::CancelRequested { number: kept.number.clone(), hold: wish.number });
        }
        self.is_releasable(kept, &others)?;
        self.read_order(kept).await.map(drop)
    }

    /// Whose order it is, as the store knows customers; nobody else is told.
    pub(crate) async fn customer_of(&self, kept: &KeptBack) -> Result<Digest, ReviewError> {
        Ok(subject(kept, &self.read_order(kept).await?))
    }

    /// Why there is nothing to release.
    pub(crate) async fn not_kept_back(&self, order: OrderId) -> Result<ReviewError, StoreError> {
        let Some(found) = self.store.order(order).await? else {
            let how = "there is no such order".to_owned();
            return Ok(ReviewError::NotKeptBack { order, number: order.to_string(), how });
        };
        let reviews = self.store.order_trail(order).await?.map(|trail| trail.reviews).unwrap_or_default();
        let how = match reviews.last() {
            Some(last) if found.state == OrderState::Released => {
                format!("released {} by {}", last.at, last.who.as_deref().unwrap_or("the host"))
            }
            _ => format!("{} when it was decided", found.state.as_str()),
        };
        Ok(ReviewError::NotKeptBack { order, number: found.number, how })
    }

    /// Ends holds of one order whose cause is gone.
    pub(crate) async fn clear_at_once(&self, order: OrderId) -> Result<Option<Reviewed>, ReviewError> {
        match self.store.kept_back_order(order).await? {
            Some(left) => self.review(&left, Reviewer::Host).await,
            None => Ok(None),
        }
    }

    /// Looks at everything that the host's own rules keep back, and ends holds whose cause is
    /// gone. One order's trouble is its own; the log tells the first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn clear_holds(&self, stop: impl Fn() -> bool) -> Result<Cleared, StoreError> {
        let (mut cleared, mut troubles) = (Cleared::default(), Vec::new());
        let mut after = DocumentPosition(0);
        loop {
            let page = self.store.kept_back(Kept::ByRules, after, PAGE).await?;
            let Some(last) = page.last().filter(|_| !stop()) else { break };
            after = last.position;
            for kept in page.iter().take_while(|_| !stop()) {
                match self.review(kept, Reviewer::Host).await {
                    Ok(None) => {}
                    Ok(Some(reviewed)) => {
                        cleared.orders = cleared.orders.saturating_add(1);
                        let released = u64::from(reviewed.state == OrderState::Released);
                        cleared.released = cleared.released.saturating_add(released);
                    }
                    // Somebody else was faster, or took the credit: the next look is soon.
                    Err(ReviewError::Store(StoreError::OrderMoved { .. } | StoreError::CreditSpent)) => {}
                    Err(error) => troubles.push((kept.id, error)),
                }
            }
        }
        if let Some((order, error)) = troubles.first() {
            let orders = troubles.len();
            tracing::warn!(%error, %order, orders, "orders could not be looked at again; this is the first of them");
        }
        Ok(cleared)
    }

    /// What the rules read: the version of each table, and of the configuration.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn versions_read(&self) -> Result<(BTreeMap<String, u64>, u64), StoreError> {
        let tables = self.tables.read(&self.store, &rule_tables()).await?;
        Ok((tables.versions(), self.plugins.now().configuration))
    }

    /// The story: what is found now, which holds end, what keeps the order back from now on,
    /// and all of it as one commit. None where nothing changes.
    async fn review(&self, kept: &KeptBack, by: Reviewer<'_>) -> Result<Option<Reviewed>, ReviewError> {
        if by.ends_nothing(kept) {
            return Ok(None);
        }
        let now = self.clock.now();
        let order = self.read_order(kept).await?;
        let tables = self.tables.read(&self.store, &rule_tables()).await?;
        let found = self.findings_now(kept, &order, &tables, now).await?;

        let (closed, left): (Vec<&HoldView>, Vec<&HoldView>) =
            kept.open_holds().partition(|hold| by.ends(hold, &found));
        // A person also answers for an order that no hold keeps back, but that failed.
        if closed.is_empty() && (matches!(by, Reviewer::Host) || !left.is_empty()) {
            return Ok(None);
        }
        let quiet: Vec<bool> = found
            .findings
            .iter()
            .map(|finding| kept.holds.iter().any(|hold| self.is_quiet(hold, &closed, by, finding, now)))
            .collect();
        let asked: Vec<&Finding> =
            found.findings.iter().zip(&quiet).filter(|(_, quiet)| !**quiet).map(|(finding, _)| finding).collect();
        let opened = if left.is_empty() {
            asked.iter().map(|finding| self.hold(finding, &closed, by, now)).collect()
        } else {
            Vec::new()
        };
        let standing = standing(kept, &left, &opened, &asked, by);
        let released = standing.state == OrderState::Released;
        let outbox = if released { self.release_to(kept, by).await? } else { Vec::new() };
        let credit = if released { found.reserves(kept, &quiet, now) } else { None };

        let review = self.commit_of(
            kept,
            by,
            Judged { found, quiet, closed, opened, standing, outbox, credit },
            &order,
            &tables,
            now,
        )?;
        let reviewed = Reviewed {
            order: kept.id,
            number: kept.number.clone(),
            state: review.state,
            why: review.why.clone(),
            closed: review.closed.clone(),
            opened: review.opened.iter().map(|hold| hold.reason.clone()).collect(),
        };
        let ended = closed_by_whom(by);
        self.store.commit_review(review).await?;
        self.metrics.holds_closed(ended, reviewed.closed.len());
        Ok(Some(reviewed))
    }

    async fn read_order(&self, kept: &KeptBack) -> Result<Order, ReviewError> {
        let bytes = self.store.payload(kept.event).await?;
        match Event::from_json(&bytes) {
            Ok(Event::OrderCreated(order)) => Ok(order),
            Ok(_) => Err(ReviewError::Event("it is another one than a new order".to_owned())),
            // What is wrong with it may quote it, and this is logged.
            Err(_) => Err(ReviewError::Event("it is none that this version knows".to_owned())),
        }
    }

    /// What the rules say of the order now.
    async fn findings_now(
        &self,
        kept: &KeptBack,
        order: &Order,
        tables: &Tables,
        now: Instant,
    ) -> Result<Found, ReviewError> {
        let answer = |table: &str, key: &str| tables.answer(table, key);
        let (findings, account, asked) = {
            let mut rows = RuleRows::of(&answer);
            let reference = decide::reference_facts(order, kept.received_at, self.is_test(kept), &mut rows);
            let findings = self.rules.check(order, &reference);
            let account = self.rules.checks_credit().then(|| decide::credit_account(order, &reference, &mut rows));
            (findings, account, rows.asked().collect::<Vec<_>>())
        };
        let mut answers = Answers::default();
        let looked_up = answers.places(&asked);
        let mut found = Found { findings, account, room: None, credit: None, answers, looked_up };
        if let Some(account) = &found.account {
            let reserved_minor = match decide::credit_query(account) {
                Some(query) => self.store.credit_reserved(vec![query]).await?.first().copied().unwrap_or(0),
                None => 0,
            };
            let checked = self.rules.check_credit(kept.value, account, reserved_minor, now);
            found.findings.extend(checked.findings);
            (found.room, found.credit) = (checked.room, Some(CreditRecord { reserved_minor }));
        }
        Ok(found)
    }

    fn is_test(&self, kept: &KeptBack) -> bool {
        self.routes.channel(&kept.channel).is_some_and(|channel| channel.test)
    }

    /// Whether a person let this finding pass, just now or within its grace. A limit of credit
    /// is passed by a person's release and never by the host's, however little ago.
    fn is_quiet(
        &self,
        hold: &HoldView,
        closed: &[&HoldView],
        by: Reviewer<'_>,
        finding: &Finding,
        now: Instant,
    ) -> bool {
        let by_person = matches!(by, Reviewer::Person(_));
        if !is_about(hold, finding) || (finding.code == Rules::CREDIT_LIMIT && !by_person) {
            return false;
        }
        let just_now = by_person && closed.iter().any(|ended| ended.number == hold.number);
        let before = hold
            .closed
            .as_ref()
            .filter(|ended| ended.who.is_some())
            .is_some_and(|ended| (ended.at..ended.at.plus_ms(self.rules.release_grace_ms())).contains(&now));
        just_now || before
    }

    /// What keeps the order back from now on. Where the host exchanges one cause for another
    /// nobody has looked yet, and the time that is over stays over.
    fn hold(&self, finding: &Finding, closed: &[&HoldView], by: Reviewer<'_>, now: Instant) -> NewHold {
        let (queue, minutes) = self.rules.hold_on_review(finding);
        let expires_at = now.plus_ms(i64::from(minutes).saturating_mul(Instant::MINUTE_MS));
        let before = closed.iter().map(|hold| hold.expires_at).filter(|_| matches!(by, Reviewer::Host)).min();
        NewHold {
            owner: HoldOwner::Policy,
            reason: finding.code.to_owned(),
            queue,
            lines: finding.line.clone().into_iter().collect(),
            expires_at: before.map_or(expires_at, |before| before.min(expires_at)),
            component: None,
        }
    }

    /// Where a released order goes, and who hears that it does. What somebody has with a block is
    /// cleared there.
    async fn release_to(&self, kept: &KeptBack, by: Reviewer<'_>) -> Result<Vec<NewOutbox>, ReviewError> {
        let order = || match by {
            Reviewer::Person(_) => kept.number.clone(),
            Reviewer::Host => kept.id.to_string(),
        };
        let channel = self
            .routes
            .channel(&kept.channel)
            .ok_or_else(|| ReviewError::NoTarget { order: order(), channel: kept.channel.to_string() })?;
        // Its deliveries are made with its decision, so nothing comes between this look and the commit.
        let found = self.store.order(kept.id).await?;
        let deliveries = found.map(|order| order.deliveries).unwrap_or_default();
        let released = self.outbox(channel, kept.position);
        let released = self.routes.of_released(released, &deliveries, &channel.id, kept.position);
        released.map_err(|UnknownWord { target, kind }| ReviewError::UnknownWord { order: order(), target, kind })
    }

    /// All of it as one commit.
    fn commit_of(
        &self,
        kept: &KeptBack,
        by: Reviewer<'_>,
        judged: Judged<'_>,
        order: &Order,
        tables: &Tables,
        now: Instant,
    ) -> Result<NewReview, ReviewError> {
        let Judged { found, quiet, closed, opened, standing, outbox, credit } = judged;
        let configuration = self.plugins.now().configuration;
        let (who, reason, step) = match by {
            Reviewer::Person(release) => {
                (Some(release.who.to_owned()), Some(release.reason.trim().to_owned()), Some((release.step)()?))
            }
            Reviewer::Host => (None, None, None),
        };
        let due_at = standing.queue.as_deref().and_then(|queue| {
            let channel = self.routes.channel(&kept.channel).map(|channel| (channel, kept.received_at));
            self.due_at(queue, now, Limits { channel, order: Some(order), holds: &opened })
        });
        let record = ReviewRecord {
            v: 1,
            order: kept.id,
            event: kept.event.commitment,
            received_at: kept.received_at,
            at: now,
            configuration,
            rules: self.rules.digest(),
            reference: tables.versions().into_iter().map(|(table, version)| (table, version.to_string())).collect(),
            test_channel: self.is_test(kept),
            answers: found.answers.into_records(),
            looked_up: found.looked_up,
            credit: found.credit,
            findings: found
                .findings
                .iter()
                .zip(quiet)
                .map(|(finding, quiet)| ReviewedFinding { finding: FindingRecord::from(finding), quiet })
                .collect(),
            closed: closed.iter().map(|hold| hold_record(hold)).collect(),
            opened: opened.iter().map(|hold| hold.reason.clone()).collect(),
            state: standing.state.as_str().to_owned(),
            who: who.clone(),
            reason,
        };
        let record = NewPayload::seal(&canonical_json(&record)?, Some(subject(kept, order)))?;
        let body = ReviewLeaf {
            order: kept.id,
            closed: Listed::of(closed.iter().map(|hold| hold_record(hold)).collect())?,
            opened: Listed::of(opened.iter().map(|hold| Code::of(&hold.reason)).collect())?,
            state: leaf::decided_state(standing.state),
            configuration,
            review: record.sealed.commitment(),
            who: who.as_deref().map(Label::of),
        };
        Ok(NewReview {
            order: kept.id,
            open: kept.open_holds().map(|hold| hold.number).collect(),
            closed: closed.iter().map(|hold| hold.number).collect(),
            who,
            opened,
            state: standing.state,
            queue: standing.queue,
            why: standing.why,
            outbox,
            credit,
            due_at,
            step,
            record,
            configuration,
            at: now,
            leaf: Leaf::new(&self.host, now, LeafBody::Review(body))?,
        })
    }
}

/// What a review comes to.
struct Judged<'a> {
    found: Found,
    quiet: Vec<bool>,
    closed: Vec<&'a HoldView>,
    opened: Vec<NewHold>,
    standing: Standing,
    outbox: Vec<NewOutbox>,
    credit: Option<CreditReservation>,
}

impl Reviewer<'_> {
    /// Whether no look could end a hold: most of what is kept back waits for people, and so
    /// does what its sender sent anew, for the host would send what came first.
    fn ends_nothing(self, kept: &KeptBack) -> bool {
        match self {
            Self::Person(_) => false,
            Self::Host => kept.changed || !kept.open_holds().any(is_the_hosts),
        }
    }

    /// Whether this hold ends.
    fn ends(self, hold: &HoldView, found: &Found) -> bool {
        match self {
            Self::Person(release) => release.holds.contains(&hold.number),
            Self::Host => {
                is_the_hosts(hold) && !found.findings.iter().any(|finding| is_about(hold, finding)) && {
                    // That a row is gone is no news of the account.
                    !is_about_credit(&hold.reason) || !found.lacks_figures()
                }
            }
        }
    }
}

fn rule_tables() -> Vec<String> {
    RULE_TABLES.iter().map(|name| (*name).to_owned()).collect()
}

/// Whether a rule of the host holds, and not the sender's wish to cancel.
fn is_the_hosts(hold: &HoldView) -> bool {
    is_a_rules(hold) && hold.reason != CANCEL_REQUESTED
}

/// Whether the sender's wish to cancel holds, which no release overrides.
fn is_a_wish_to_cancel(hold: &HoldView) -> bool {
    is_a_rules(hold) && hold.reason == CANCEL_REQUESTED
}

/// Whether it is none that a scorer asked for.
fn is_a_rules(hold: &HoldView) -> bool {
    hold.owner == "policy"
}

/// Whether a hold is there because of this finding.
fn is_about(hold: &HoldView, finding: &Finding) -> bool {
    is_a_rules(hold) && hold.reason == finding.code && hold.lines.iter().eq(finding.line.iter())
}

/// Check: what was named keeps the order back, and may be released.
fn may_release(kept: &KeptBack, holds: &[u64]) -> Result<(), ReviewError> {
    let failed_only = kept.state == OrderState::Exception && kept.open_holds().next().is_none();
    if holds.is_empty() && !failed_only {
        return Err(ReviewError::NoHolds);
    }
    for number in holds {
        let Some(hold) = kept.open_holds().find(|hold| hold.number == *number) else {
            let open = kept.open_holds().map(|hold| hold.number).collect();
            let ended = kept.holds.iter().find(|hold| hold.number == *number).and_then(|hold| hold.closed.clone());
            let order = kept.number.clone();
            return Err(ReviewError::UnknownHold { order: kept.id, number: order, hold: *number, ended, open });
        };
        if is_a_wish_to_cancel(hold) {
            return Err(ReviewError::CancelRequested { number: kept.number.clone(), hold: *number });
        }
    }
    Ok(())
}

/// Where the order stands: what is left decides, then what was found, then nothing does.
fn standing(kept: &KeptBack, left: &[&HoldView], opened: &[NewHold], asked: &[&Finding], by: Reviewer<'_>) -> Standing {
    // What failed otherwise stays so, but where a person answers for all there is.
    let answered = matches!(by, Reviewer::Person(_)) && left.is_empty();
    let failed = kept.state == OrderState::Exception && !answered;
    let (state, queue, why) = if let Some(hold) = left.iter().find(|hold| holds(hold)).or(left.first()) {
        let state = if holds(hold) { OrderState::Held } else { OrderState::Routed };
        (state, Some(hold.queue.clone()), format!("{}: hold {} is left", hold.reason, hold.number))
    } else if let Some((hold, finding)) = opened.first().zip(asked.first()) {
        let why = format!("{}: found {}, expected {}", finding.code, finding.found, finding.expected);
        (OrderState::Held, Some(hold.queue.clone()), why)
    } else {
        let why = match by {
            Reviewer::Person(Release { who, agreed: [], .. }) => format!("released by {who}"),
            Reviewer::Person(Release { who, agreed, .. }) => {
                format!("released by {who}, agreed to by {}", agreed.join(" and "))
            }
            Reviewer::Host => "released, since what held it is gone".to_owned(),
        };
        (OrderState::Released, None, why)
    };
    if !failed {
        return Standing { state, queue, why };
    }
    // Something else failed about it, which no release of a hold mends.
    let why = format!("{why}; but the order failed otherwise, and waits for a person's decision");
    Standing { state: OrderState::Exception, queue: kept.queue.clone(), why }
}

/// Whether it holds an order, rather than routing it.
fn holds(hold: &HoldView) -> bool {
    is_a_rules(hold) || hold.owner == "advice"
}

/// A hold as the log names it: a scorer's own words are not for it.
pub(crate) fn hold_record(hold: &HoldView) -> HoldRecord {
    HoldRecord {
        hold: hold.number,
        reason: Code::of(if is_a_rules(hold) { &hold.reason } else { &hold.owner }),
        // A plugin that is none could hold nothing.
        plugin: hold.plugin.as_deref().and_then(|name| PluginName::parse(name).ok()),
        component: hold.component,
    }
}

fn subject(kept: &KeptBack, order: &Order) -> Digest {
    let origin = Origin { channel: &kept.channel, sender: &kept.sender, partner: &kept.partner, order: kept.id };
    history::customer_digest(order, &origin)
}

fn closed_by_whom(by: Reviewer<'_>) -> &'static str {
    match by {
        Reviewer::Person(_) => "person",
        Reviewer::Host => "host",
    }
}

fn ended_how(ended: Option<&ClosedHold>) -> String {
    ended.map_or_else(String::new, |ended| match &ended.who {
        Some(who) => format!(": {who} released it {}", ended.at),
        None => format!(": the host ended it {}", ended.at),
    })
}

fn listed(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    if numbers.is_empty() { "none".to_owned() } else { numbers.join(", ") }
}

//! Replay from history: what a target took and lost is sent again.
//!
//! ```text
//! target, channel, kind, time, at most so many ─▶ what would go, what not and why, and a digest
//!                                   that digest ─▶ all of it is due again, in one transaction
//!                                               ─▶ the usual road: asked first, then sent
//! ```
//!
//! A target that restored an old backup lost what it had taken since. Each of its deliveries has
//! one row in the outbox, and a replay makes that row due again: under the same id, which is the
//! idempotency key, in its old place among the deliveries of its order, and with the target asked
//! by the natural key before anything is sent. A second row for the same effect would be a second
//! owner of it. No decision is made again: no effect follows, no budget is spent, no credit is
//! taken, and what the target says by taking the message is not heard a second time.
//!
//! Dangers, and what stops them:
//!
//! - *An effect twice.* A target that cannot be asked what it has, and does not know again what it
//!   gets, is sent nothing. What it still has is found, and not sent.
//! - *What the world has gone past.* The order as it came is left out where it is cancelled or is
//!   not released any more, and where goods of it have left: a warehouse would send them again.
//!   Whoever replays to a system that only writes down says so ([`ReplayWanted::shipped`]).
//! - *Blocks.* What gave an order to a target with a block, or undid it there, is left out: nothing
//!   would clear or undo it a second time.
//! - *An older change over a newer one.* Of changes that people accepted, each says how the whole order is
//!   to be. All but the last one of an order are left out; who only hears of them gets them all.
//! - *Money.* Refunds are left out: somebody looks into the processor's books, and pays by hand.
//! - *More than was meant.* Whoever decides says how many at most, and names a digest of exactly
//!   those that were shown; each is compared once more in the transaction.
//! - *Twice by mistake.* A replay is known by its digest, and is carried out once.

use portreeve_authority::people::{Act, Denied};
use portreeve_model::{ChannelId, Digest, Instant, ProcessState};
use portreeve_record::leaf::{Code, Label, Listed, ReplayLeaf};
use portreeve_record::{Leaf, LeafBody, RecordError, SealError, canonical_digest, canonical_json, parse_canonical};
use portreeve_store::StoreError;
use portreeve_store::contract::{
    Content, Delivered, DeliveredWanted, NewPayload, NewReplay, OrderEventKind, OrderState, PayloadRef, REPLAYS_MAX,
    ReplayPart, ReplayView,
};
use serde::{Deserialize, Serialize};

use crate::Pipeline;
use crate::people::SignedIn;
use crate::review::REASON_BYTES_MAX;
use crate::route::Target;

/// Deliveries that are sent again together at most: a person looks at all of them, and all commit
/// together.
pub const REPLAYED_MAX: u32 = 500;

/// Deliveries that are left out and shown with the reason; further ones are counted.
pub const LEFT_OUT_SHOWN_MAX: usize = 500;

/// Deliveries that are read at once.
const PAGE: u32 = 500;

/// Which deliveries.
#[derive(Debug, Clone, Copy)]
pub struct ReplayWanted<'a> {
    /// The target.
    pub target: &'a str,
    /// The channel that the orders came by; any, where none is named.
    pub channel: Option<&'a ChannelId>,
    /// The kind of message; any, where none is named.
    pub kind: Option<&'a str>,
    /// The target took them from then on.
    pub since: Instant,
    /// And before then.
    pub until: Instant,
    /// Also orders as they came of which goods have left.
    pub shipped: bool,
    /// At most so many, those first that were decided first; [`REPLAYED_MAX`] bounds it.
    pub most: u32,
}

/// Why a delivery is not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// What was delivered cannot be read any more.
    Erased,
    /// Its order is cancelled, or is to be.
    Cancelled,
    /// Its order is not to go any more.
    NotReleased,
    /// Goods of its order have left.
    GoodsLeft,
    /// It pays money back.
    Refund,
    /// It gave an order to its target with a block, or undid it there.
    Blocked,
    /// It tells a change that people accepted, and they accepted a later one since.
    Overtaken,
    /// Its receiver could not use it.
    Rejected,
    /// People had it sent again too often.
    ReplaysSpent,
}

impl LeftOut {
    /// The stable code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Cancelled => "cancelled",
            Self::NotReleased => "not-released",
            Self::GoodsLeft => "goods-left",
            Self::Refund => "refund",
            Self::Blocked => "blocked",
            Self::Overtaken => "overtaken",
            Self::Rejected => "rejected",
            Self::ReplaysSpent => "replays-spent",
        }
    }

    /// One sentence: what is so, and what can be done.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Erased => "its content was erased, so there is nothing to send",
            Self::Cancelled => "its order is cancelled or is to be, so the order does not go any more",
            Self::NotReleased => "its order is kept back or refused by now, so it does not go any more",
            Self::GoodsLeft => {
                "goods of its order have left, and a target that ships would ship them again; a target that only writes down gets it with `shipped`"
            }
            Self::Refund => "it pays money back; look into the processor's books, and pay by hand what is missing",
            Self::Blocked => {
                "it gave the order to its target with a block, or undid it there, and the order may have gone on since; see what the target has of it, and enter what is missing by hand"
            }
            Self::Overtaken => {
                "people accepted a later change of its order, and this one would take the place of that; the last one has all of the order, and goes where it was taken in the time that is asked for"
            }
            Self::Rejected => {
                "its receiver rejected it, and got a right one by hand or by none; see the exception of its order"
            }
            Self::ReplaysSpent => "it was sent again as often as anything is; enter it into the target by hand",
        }
    }
}

/// What would be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// What would go, in the order in which it was decided.
    pub deliveries: Vec<Delivered>,
    /// Whether there is more than may go at once. What comes after it was not looked at.
    pub more: bool,
    /// What would not go, at most [`LEFT_OUT_SHOWN_MAX`] of it.
    pub left_out: Vec<(Delivered, LeftOut)>,
    /// How much would not go.
    pub left_out_count: u64,
    /// The digest of what would go: a decision names it.
    pub digest: Digest,
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The replay, as it is on record.
    pub replay: ReplayView,
    /// Whether it was on record before: nothing was done now.
    pub before: bool,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Not this person.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Nothing is delivered there.
    #[error("target `{}` is not configured; `portreeve route check` names those that are", target.escape_debug())]
    NoTarget {
        /// What was named.
        target: String,
    },
    /// Nobody could tell what it still has.
    #[error(
        "target `{target}` cannot be asked what it has (`find = false`) and does not know again what it gets, so what it still has would be there twice; enter what is missing by hand"
    )]
    CannotBeAsked {
        /// The target.
        target: String,
    },
    /// A time that is none, or is not over.
    #[error(
        "found a time from {since} until {until}, expected one that begins before it ends and is over by now, {now}"
    )]
    Range {
        /// Its begin.
        since: Instant,
        /// Its end.
        until: Instant,
        /// When.
        now: Instant,
    },
    /// No words, or a book.
    #[error(
        "found a reason of {found} bytes, expected 1 to {REASON_BYTES_MAX}: whoever reads the record has to understand it"
    )]
    Words {
        /// Its length.
        found: usize,
    },
    /// What was shown is not what would go.
    #[error(
        "what would be sent again to `{}` changed since it was shown: {now} deliveries would go now. Look at them again and decide about those",
        target.escape_debug()
    )]
    Stale {
        /// The target.
        target: String,
        /// How many would go now.
        now: usize,
    },
    /// There is nothing to do.
    #[error("`{}` took nothing in that time that would be sent again", target.escape_debug())]
    Nothing {
        /// The target.
        target: String,
    },
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

/// What the digest is of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Evidence<'a> {
    v: u8,
    target: &'a str,
    channel: Option<&'a ChannelId>,
    kind: Option<&'a str>,
    since: Instant,
    until: Instant,
    shipped: bool,
    deliveries: Vec<(&'a str, Instant, u32)>,
}

/// What a person says with a replay, sealed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Said {
    v: u8,
    replay: Digest,
    reason: String,
}

impl Pipeline {
    /// What would be sent again. Nothing is written.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub async fn show_replay(&self, wanted: ReplayWanted<'_>) -> Result<Replay, ReplayError> {
        self.is_replayable(wanted)?;
        let most = usize::try_from(wanted.most.min(REPLAYED_MAX)).unwrap_or(usize::MAX);
        let (mut deliveries, mut left_out, mut left_out_count) = (Vec::new(), Vec::new(), 0_u64);
        let mut page = DeliveredWanted { limit: PAGE, ..wanted.of_store() };
        while deliveries.len() <= most {
            let found = self.store.delivered(page.clone()).await?;
            for delivery in found.deliveries {
                match self.left_out(&delivery, wanted) {
                    None if deliveries.len() <= most => deliveries.push(delivery),
                    None => break,
                    Some(why) => {
                        left_out_count = left_out_count.saturating_add(1);
                        if left_out.len() < LEFT_OUT_SHOWN_MAX {
                            left_out.push((delivery, why));
                        }
                    }
                }
            }
            let Some(next) = found.next else { break };
            page.after = next;
        }
        let more = deliveries.len() > most;
        deliveries.truncate(most);
        let digest = wanted.digest(&deliveries)?;
        Ok(Replay { deliveries, more, left_out, left_out_count, digest })
    }

    /// Has exactly what was shown sent again. What is on record already is not done a second time.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub async fn replay(
        &self,
        who: &SignedIn,
        wanted: ReplayWanted<'_>,
        seen: Digest,
        reason: &str,
    ) -> Result<Replayed, ReplayError> {
        let reason = reason.trim();
        if !(1..=REASON_BYTES_MAX).contains(&reason.len()) {
            return Err(ReplayError::Words { found: reason.len() });
        }
        self.may(who, Act::Operate)?;
        if let Some(replay) = self.store.replay_shown(seen).await? {
            return Ok(Replayed { replay, before: true });
        }
        let Replay { deliveries, digest, .. } = self.show_replay(wanted).await?;
        if digest != seen {
            return Err(ReplayError::Stale { target: wanted.target.to_owned(), now: deliveries.len() });
        }
        if deliveries.is_empty() {
            return Err(ReplayError::Nothing { target: wanted.target.to_owned() });
        }
        let new = self.new_replay(who, wanted, digest, deliveries, reason)?;
        let before = !self.store.replay_delivered(new).await?;
        let replay = self.store.replay_shown(digest).await?;
        let lost = || StoreError::Damaged("a replay that was committed is not in the store".to_owned());
        Ok(Replayed { replay: replay.ok_or_else(lost)?, before })
    }

    /// Why a replay was wanted; none where its content is gone.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reason_of(&self, record: PayloadRef) -> Result<Option<String>, ReplayError> {
        let bytes = match self.store.payload(record).await {
            Ok(bytes) => bytes,
            Err(StoreError::Erased(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(parse_canonical::<Said>(&bytes)?.reason))
    }

    /// Check: the target is there and can be asked, and the time is over.
    fn is_replayable(&self, wanted: ReplayWanted<'_>) -> Result<(), ReplayError> {
        let named = || wanted.target.to_owned();
        let target = self.routes.target(wanted.target).ok_or_else(|| ReplayError::NoTarget { target: named() })?;
        if !target.find && !target.knows_again() {
            return Err(ReplayError::CannotBeAsked { target: named() });
        }
        let now = self.clock.now();
        if wanted.since < wanted.until && wanted.until <= now {
            return Ok(());
        }
        Err(ReplayError::Range { since: wanted.since, until: wanted.until, now })
    }

    /// Why a delivery is not sent again; none where it is.
    fn left_out(&self, delivery: &Delivered, wanted: ReplayWanted<'_>) -> Option<LeftOut> {
        if !delivery.readable {
            return Some(LeftOut::Erased);
        }
        if delivery.said == Some(OrderEventKind::RefundIssued) && !self.is_word_of_a_refund(delivery) {
            return Some(LeftOut::Refund);
        }
        if self.is_of_a_block(delivery) {
            return Some(LeftOut::Blocked);
        }
        if delivery.overtaken && !self.routes.target(&delivery.target).is_some_and(Target::is_subscriber) {
            return Some(LeftOut::Overtaken);
        }
        if delivery.rejected {
            return Some(LeftOut::Rejected);
        }
        if delivery.replays >= REPLAYS_MAX {
            return Some(LeftOut::ReplaysSpent);
        }
        // What was said of an order goes whatever became of it.
        if delivery.content == Content::Order { left_out_order(delivery, wanted.shipped) } else { None }
    }

    /// Whether a refund is only told by it. Where nothing says so today, it paid one: the target that
    /// refunds go to may have been another one then.
    fn is_word_of_a_refund(&self, delivery: &Delivered) -> bool {
        let pays = self.routes.refunds.as_ref().is_some_and(|refunds| refunds.target == delivery.target);
        let hears = self.routes.target(&delivery.target).is_some_and(Target::is_subscriber);
        let is_told = self.routes.effects.iter().any(|effect| {
            effect.on == OrderEventKind::RefundIssued.as_str()
                && effect.target == delivery.target
                && self.routes.kind_of(effect) == Some(delivery.kind.as_str())
        });
        !pays && (hears || is_told)
    }

    /// Whether it made an order with a block, or undid such a one: sent again, a block would be there
    /// that nothing clears. What clears one is the order, and left out as that is.
    fn is_of_a_block(&self, delivery: &Delivered) -> bool {
        let blocked = self.routes.target(&delivery.target).and_then(|target| target.blocked.as_ref());
        let is_own = matches!(delivery.content, Content::Said(_)) && delivery.said.is_none();
        is_own && blocked.is_some_and(|blocked| [&blocked.create, &blocked.cancel].contains(&&delivery.kind))
    }

    fn new_replay(
        &self,
        who: &SignedIn,
        wanted: ReplayWanted<'_>,
        digest: Digest,
        deliveries: Vec<Delivered>,
        reason: &str,
    ) -> Result<NewReplay, ReplayError> {
        let at = self.clock.now();
        let said = canonical_json(&Said { v: 1, replay: digest, reason: reason.to_owned() })?;
        let record = NewPayload::seal(&said, None)?;
        let count = u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
        let parts: Vec<Vec<Delivered>> = deliveries.chunks(ReplayLeaf::OUTBOXES_MAX).map(<[_]>::to_vec).collect();
        let of = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let leaf = |part: u32, deliveries: &[Delivered]| -> Result<Leaf, RecordError> {
            let rows = deliveries.iter().map(|delivery| Digest::of(delivery.outbox.0.as_bytes())).collect();
            let body = ReplayLeaf {
                replay: digest,
                target: Code::of(wanted.target),
                channel: wanted.channel.cloned(),
                message: wanted.kind.map(Code::of),
                since: wanted.since,
                until: wanted.until,
                count,
                part,
                parts: of,
                outboxes: Listed::of(rows)?,
                who: Label::of(who.name().as_str()),
                record: record.sealed.commitment(),
            };
            Leaf::new(&self.host, at, LeafBody::Replay(body))
        };
        let parts =
            (1..).zip(parts).map(|(part, deliveries)| Ok(ReplayPart { leaf: leaf(part, &deliveries)?, deliveries }));
        let parts = parts.collect::<Result<Vec<_>, RecordError>>()?;
        Ok(NewReplay { digest, wanted: wanted.of_store(), parts, who: who.name().as_str().to_owned(), at, record })
    }
}

/// Why an order as it came is not sent again; none where it is.
fn left_out_order(delivery: &Delivered, shipped: bool) -> Option<LeftOut> {
    use ProcessState::{Cancelled, Cancelling, Credited, Invoiced, PartShipped, Returned, Returning, Settled, Shipped};
    match delivery.process {
        _ if delivery.cancel_requested => Some(LeftOut::Cancelled),
        Some(Cancelling | Cancelled) => Some(LeftOut::Cancelled),
        _ if delivery.state != OrderState::Released => Some(LeftOut::NotReleased),
        Some(PartShipped | Shipped | Invoiced | Settled | Returning | Returned | Credited) if !shipped => {
            Some(LeftOut::GoodsLeft)
        }
        _ => None,
    }
}

impl ReplayWanted<'_> {
    fn of_store(&self) -> DeliveredWanted {
        DeliveredWanted {
            target: self.target.to_owned(),
            channel: self.channel.cloned(),
            kind: self.kind.map(str::to_owned),
            since: self.since,
            until: self.until,
            after: 0,
            limit: self.most.min(REPLAYED_MAX),
        }
    }

    /// The digest of what was asked for and of what would go, each as it was taken.
    fn digest(&self, deliveries: &[Delivered]) -> Result<Digest, RecordError> {
        canonical_digest(&Evidence {
            v: 1,
            target: self.target,
            channel: self.channel,
            kind: self.kind,
            since: self.since,
            until: self.until,
            shipped: self.shipped,
            deliveries: deliveries
                .iter()
                .map(|delivery| (delivery.outbox.0.as_str(), delivery.taken_at, delivery.attempts))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::OrderId;
    use portreeve_store::contract::OutboxId;

    use super::*;

    fn delivered() -> Delivered {
        let order = OrderId::parse("3f0c1b0a-5d7c-4c3e-9a52-6d1f0c7be2a4").unwrap();
        Delivered {
            row: 1,
            outbox: OutboxId::derive(order, "erp", "order", Content::Order),
            order,
            number: "PO-1".to_owned(),
            channel: ChannelId::parse("edi").unwrap(),
            target: "erp".to_owned(),
            kind: "order".to_owned(),
            content: Content::Order,
            said: None,
            taken_at: Instant(5),
            external_id: Some("S-1".to_owned()),
            attempts: 1,
            replays: 0,
            state: OrderState::Released,
            cancel_requested: false,
            process: None,
            readable: true,
            rejected: false,
            overtaken: false,
        }
    }

    #[test]
    fn an_order_goes_again_only_while_it_is_still_to_be_carried_out() {
        let at = |process| left_out_order(&Delivered { process: Some(process), ..delivered() }, false);
        for process in ProcessState::ALL {
            let expected = match process {
                ProcessState::Cancelling | ProcessState::Cancelled => Some(LeftOut::Cancelled),
                process if process >= ProcessState::PartShipped => Some(LeftOut::GoodsLeft),
                _ => None,
            };
            assert_eq!(at(process), expected, "{process:?}");
            let written_down = left_out_order(&Delivered { process: Some(process), ..delivered() }, true);
            assert_eq!(written_down, expected.filter(|why| *why == LeftOut::Cancelled), "{process:?}");
        }
        assert_eq!(left_out_order(&delivered(), false), None);
        let wished = Delivered { cancel_requested: true, ..delivered() };
        assert_eq!(left_out_order(&wished, true), Some(LeftOut::Cancelled));
        let held = Delivered { state: OrderState::Held, ..delivered() };
        assert_eq!(left_out_order(&held, true), Some(LeftOut::NotReleased));
    }

    #[test]
    fn the_digest_is_of_what_would_go_and_of_what_was_asked_for() {
        let wanted = ReplayWanted {
            target: "erp",
            channel: None,
            kind: None,
            since: Instant(0),
            until: Instant(9),
            shipped: false,
            most: 5,
        };
        let one = [delivered()];
        let digest = wanted.digest(&one).unwrap();
        assert_eq!(ReplayWanted { most: 7, ..wanted }.digest(&one).unwrap(), digest, "not of how many might have gone");
        let others = [
            ReplayWanted { until: Instant(8), ..wanted }.digest(&one),
            ReplayWanted { shipped: true, ..wanted }.digest(&one),
            wanted.digest(&[]),
            wanted.digest(&[Delivered { taken_at: Instant(6), ..delivered() }]),
            wanted.digest(&[Delivered { attempts: 2, ..delivered() }]),
        ];
        for other in others {
            assert_ne!(other.unwrap(), digest);
        }
    }
}

//! Deliver: a permit becomes an effect on a target, and the outcome a receipt.
//!
//! First delivery, retry and recovery after a crash are this one path: whoever
//! wants an effect needs a [`Permit`], and permits come from claimed rows of the
//! committed outbox only. The attempt is on record before the first byte leaves;
//! after an unknown outcome the target is asked by the order's natural key
//! before anything is sent again, for many targets ignore idempotency keys.

mod correcting;
mod gone;
mod late;
mod looking;
mod making;
mod numbering;
mod order;
mod overdue;
mod publishing;
mod receipt;
mod under_way;

use std::sync::Arc;

use portreeve_model::document::{Delivery, FindQuery, Message, Receipt};
use portreeve_model::{Digest, Event, ExceptionKind, Failure, Instant, Matter};
use portreeve_record::leaf::{CrossingRecord, ReceiptOutcome};
use portreeve_record::{PayloadKey, RecordError, SealError, canonical_digest};
use portreeve_registry::Installed;
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, CallContext, CallFailure, Crossed, Crossing, RecordedRequest, RequestOutcome};
use portreeve_store::contract::{Content, GONE, Lease, NewException, OpenPayload, OutboxId, Settlement, StateChanges};
use portreeve_store::{Permit, Settled, StoreError};

use crate::accept::call_error_code;
use crate::capability::OrderState;
use crate::exception::Limits;
use crate::leaf::Rendered;
use crate::plugins::{Absent, Active, Stopped};
use crate::route::{self, AfterDead, Target, WhenStopped};
use crate::{Pipeline, leaf, process};

use correcting::Uncorrected;
pub use gone::Gone;
pub use looking::Made;
use numbering::{Acknowledged, Receiver, acknowledged, receiver};
pub(crate) use order::Subject;
use order::Untold;
pub use overdue::OverdueError;
pub use under_way::Deliveries;

/// How long a claim lasts, and from its beginning on an attempt: longer than a call
/// with its wall-clock limit and the waits around it, so that no second host claims
/// what is still under way. Where a claim is over before its attempt begins (a look-up
/// and a rendering come first), the attempt does not begin.
pub(crate) const LEASE_MS: i64 = 600_000;

/// A target that cannot be asked is asked again after this long at the latest.
const ASK_EVERY_MS_MAX: i64 = 3_600_000;

/// A back-off never grows beyond this.
const BACKOFF_MS_MAX: u64 = 3_600_000;

/// Why a delivery came to no outcome. Its row is still pending: the lease ends,
/// or the host starts again, and it is claimed again.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
    /// There was nothing to blind a record with.
    #[error("an audit record could not be blinded: {0}")]
    Seal(#[from] SealError),
    /// What its receipt says cannot be written down.
    #[error("what the target said by taking the message could not be written down: {0}")]
    Receipt(String),
    /// Its task panicked.
    #[error("a delivery was cut short: {0}")]
    CutShort(String),
}

impl Pipeline {
    /// Carries out due deliveries, at most `limit`, and waits for all of them.
    ///
    /// # Errors
    /// When nothing could be claimed; a single delivery's error is in its place.
    pub async fn deliver_due(self: &Arc<Self>, limit: u32) -> Result<Vec<Result<Settled, DeliverError>>, DeliverError> {
        let mut deliveries = Deliveries::new(Arc::clone(self), limit);
        deliveries.start_due().await?;
        let mut results = Vec::new();
        while let Some(ended) = deliveries.ended().await {
            results.extend(ended);
        }
        Ok(results)
    }

    /// One permitted delivery, up to its settlement.
    async fn deliver(&self, permit: Permit, event: Result<OpenPayload, StoreError>) -> Result<Settled, DeliverError> {
        let not_configured =
            || format!("target `{}` or one of its plugins is not configured; add it and replay", permit.target());
        let Some(target) = self.routes.target(permit.target()) else {
            let why = not_configured();
            return self.give_up(permit, None, "no-target", &why, None).await;
        };
        if let Some(stream) = self.outbound.stream(&target.id) {
            return self.publish(permit, event, target, stream).await;
        }
        let (event, key) = match event {
            Err(error) if !matches!(error, StoreError::Erased(_) | StoreError::Damaged(_)) => {
                return self.give_back(permit, target, &error, None).await;
            }
            event => readable(event)?,
        };

        // Who wants to hear no more is told no more until people have seen to it.
        match self.is_gone(target).await {
            Ok(false) => {}
            Ok(true) => return self.waits_for_the_gone(permit).await,
            Err(error) => return self.give_back(permit, target, &error, None).await,
        }

        // Whoever acknowledged it has it, or will not have it: nothing is left to find out, and no
        // plugin is asked.
        match acknowledged(&permit) {
            Some(Acknowledged::Arrived(external_id)) => {
                let receipt = Receipt { external_id, detail: None };
                return self.found(permit, receipt, None, &key).await;
            }
            Some(Acknowledged::Refused(why)) => {
                return self.give_up(permit, Some(target), "interchange-rejected", &why, None).await;
            }
            None => {}
        }

        // What is active now is what the delivery ends with, whatever takes its place.
        let active = self.plugins.now();
        let cause = Cause::Target(&target.id);
        // Whoever knows again what it has is not asked.
        let asks = permit.unresolved() && !repeats(target, &permit);
        let first = if asks { Call::Find } else { Call::Deliver };
        let plugins = self.plugin(&active, &target.connector, first, cause).and_then(|connector| {
            Ok((connector, self.plugin(&active, &target.transformer, Call::FromCanonical, cause)?))
        });
        let (connector, transformer) = match plugins {
            Ok(plugins) => plugins,
            Err(Absent::NotInstalled) => {
                let why = not_configured();
                return self.give_up(permit, None, "no-target", &why, None).await;
            }
            Err(Absent::Stopped(stopped)) => return self.not_called(permit, target, &stopped, None).await,
        };
        let context = self.target_context(&active, &permit, target, connector, transformer).await;

        let natural_key = match (&event, permit.content()) {
            (Ok(event), _) => natural_key(permit.matter(), event, permit.content()),
            (Err(_), Content::Order) => permit.matter().to_string(),
            // Nobody knows any more by what the target would know it.
            (Err(why), Content::Said(_) | Content::Level(_)) => {
                return self.give_up(permit, Some(target), "event-unreadable", why, None).await;
            }
        };

        // Nothing of it is sent any more, and nobody can be asked whether it is there already.
        if permit.withheld() && !asks {
            let why = "an attempt ended without a known outcome, nothing is sent any more since the order was held or is to be cancelled, and nobody can be asked what arrived; ask the target's people, and abandon it when you know";
            return self.give_up(permit, Some(target), "unknown-outcome", why, None).await;
        }

        // An earlier attempt may have worked: look before sending.
        let mut looked_up = None;
        if asks {
            if !target.find {
                let why = "an attempt ended without a known outcome and the target cannot be asked; ask its people";
                return self.give_up(permit, Some(target), "unknown-outcome", why, None).await;
            }
            match self.find(&permit, &natural_key, target, connector, &context, &key).await? {
                Found::Yes(receipt, crossing) => return self.found(permit, receipt, Some(crossing), &key).await,
                Found::No(crossing) if permit.withheld() => return self.absent(permit, crossing).await,
                Found::No(crossing) => looked_up = Some(crossing),
                Found::Unclear { code, crossing } => {
                    return self.later(permit, target, Wait::ForAnswer, code, Some(crossing)).await;
                }
                Found::NotAsked(stopped) => return self.not_called(permit, target, &stopped, None).await,
                Found::Refused { why, crossing } => {
                    let why = format!(
                        "an attempt ended without a known outcome, and the target refuses to be asked ({why}); ask its people"
                    );
                    return self.give_up(permit, Some(target), "unknown-outcome", &why, Some(crossing)).await;
                }
            }
        }
        // Only now: the last attempt may have worked as well. What surely did nothing
        // does not count: a target that is down is waited for until the deadline.
        if !is_uncounted(target, &permit) && permit.doubts() >= target.attempts_max {
            let found = if target.knows_again() { "nobody said that one arrived" } else { "the target has nothing" };
            let why =
                format!("{} attempts may have done something, and {found}; look at it and replay", permit.doubts());
            return self.give_up(permit, Some(target), "attempts-exhausted", &why, looked_up).await;
        }
        // The time of a level counts from the first that nobody could be told: each that took the place
        // of another has no try yet, and would be waited for anew.
        let is_level = matches!(permit.content(), Content::Level(_));
        if (permit.tries() > 1 || is_level) && self.clock.now() > deadline(&permit, target) {
            let todo = self.todo(&permit, target, "look at the target and replay");
            let why = format!("no success within {} minutes; {todo}", target.deadline_minutes);
            return self.give_up(permit, Some(target), "deadline", &why, looked_up).await;
        }

        let event = match event {
            Ok(event) => event,
            Err(why) => return self.give_up(permit, Some(target), "event-unreadable", &why, looked_up).await,
        };
        // A connector that may ask this target may still not be one that may send to it now.
        if looked_up.is_some()
            && let Err(Absent::Stopped(stopped)) = self.plugin(&active, &target.connector, Call::Deliver, cause)
        {
            return self.not_called(permit, target, &stopped, looked_up).await;
        }
        let told = match self.order_told(Subject::of(&permit), target).await {
            Ok(told) => told,
            Err(Untold::NotNow(error)) => return self.give_back(permit, target, &error, looked_up).await,
            Err(Untold::Never(why)) => {
                return self.give_up(permit, Some(target), "order-unreadable", &why, looked_up).await;
            }
        };
        let receiver = match receiver(target, &told, &permit) {
            Ok(receiver) => receiver,
            Err(why) => return self.give_up(permit, Some(target), "no-receiver", &why, looked_up).await,
        };
        let beside = (told.settings.as_slice(), told.input);
        let made = self.message(&permit, target, event, beside, (transformer, &context), &key).await?;
        let (message, rendering) = match made {
            Ok(made) => made,
            Err(none) => return self.without_message(permit, target, none, looked_up).await,
        };

        let made = key.blind_digest(&digest_of(&message));
        let message = match self.corrected(&permit, target, message).await {
            Ok(message) => message,
            Err(Uncorrected::NotNow(error)) => return self.give_back(permit, target, &error, looked_up).await,
            Err(Uncorrected::Never(why)) => {
                return self.give_up(permit, Some(target), "correction-unfit", &why, looked_up).await;
            }
        };
        let permit = self.numbered(permit, target, receiver.as_ref()).await?;
        let now = self.clock.now();
        let blinded = key.blind_digest(&digest_of(&message));
        let corrected = permit.correction().map(|record| record.commitment);
        let rendered = Rendered { input: told.input, made, message: blinded, corrected, crossing: &rendering };
        let attempt_leaf = leaf::attempt(&self.host, now, &permit, &key, looked_up, &rendered)?;
        let lease = self.lease(now, target, connector);
        let attempt = self.store.begin_attempt(permit, lease, attempt_leaf).await?;

        let delivery = delivery(attempt.permit(), natural_key, target, receiver.as_ref(), message);
        let sending = connector.plugin.deliver(&context, &delivery);
        let crossed = match self.call(connector, Call::Deliver, cause, sending).await {
            Ok(crossed) => crossed,
            // It came into quarantine since: nothing was sent.
            Err(stopped) => {
                let now = self.clock.now();
                let due_at = stopped.ask_at(now).max(now.plus_ms(backoff_ms(target, attempt.permit())));
                let settlement = Settlement::Retry { due_at, code: stopped.code().to_owned() };
                let leaf = leaf::receipt(&self.host, now, attempt.permit(), ReceiptOutcome::Retry, None, None)?;
                return Ok(self.store.settle(attempt, self.due(settlement), now, leaf).await?);
            }
        };
        let now = self.clock.now();
        let held_back = held_back_ms(&crossed.crossing);
        let in_doubt = !is_uncounted(target, attempt.permit()) && crossed.crossing.requests.iter().any(may_have_worked);
        let sent = Sent { held_back, in_doubt };
        let heard = match &crossed.outcome {
            Ok(Ok(receipt)) => self.heard(attempt.permit(), receipt, now)?,
            _ => None,
        };
        let turn = self.turn_of_the_gone(target, &crossed.crossing).await;
        let settlement = match (&turn, &crossed.outcome) {
            (Some(_), Ok(Err(failure))) => self.ends_gone(target, &leaf::failure_words(failure).1, now).await?,
            _ => settlement(&crossed.outcome, sent, attempt.permit(), target, now),
        };
        let was_taken = matches!(settlement, Settlement::Applied { .. });
        let code = settlement_code(&settlement);
        let output = match &crossed.outcome {
            Ok(Ok(receipt)) => Some(key.blind_digest(&canonical_digest(receipt)?)),
            _ => None,
        };
        let crossing = leaf::crossed(&crossed.crossing, blinded, output, code, &key)?;
        let receipt_leaf = leaf::receipt(
            &self.host,
            now,
            attempt.permit(),
            receipt_outcome(&settlement, &crossed.outcome),
            external_id(&settlement).map(|id| key.blind(id)),
            Some(crossing),
        )?;
        let changes = crossed.crossing.kv_writes.into_iter().map(|write| (write.key, write.value)).collect();
        let attempt = attempt.remembering(StateChanges { plugin: target.connector.clone(), changes }).saying(heard);
        let settled = self.store.settle(attempt, self.due(settlement), now, receipt_leaf).await?;
        drop(turn);
        if was_taken {
            self.gone.took_one(target);
        }
        Ok(settled)
    }

    /// How long the attempt that begins now keeps its delivery. Where nobody settles it,
    /// the target is asked as after an unknown outcome: when the call is over at the
    /// latest, and the target had its time.
    fn lease(&self, now: Instant, target: &Target, connector: &Installed) -> Lease {
        let call_ms = i64::try_from(connector.plugin.spec().limits.wall_ms).unwrap_or(i64::MAX);
        Lease {
            until: now.plus_ms(self.clock.lease_ms()),
            ask_at: now.plus_ms(call_ms.saturating_add(i64::from(target.find_after_ms))),
        }
    }

    async fn target_context(
        &self,
        active: &Active,
        permit: &Permit,
        target: &Target,
        connector: &Installed,
        transformer: &Installed,
    ) -> CallContext {
        let tables = [connector.manifest.imports.lookup.as_slice(), &transformer.manifest.imports.lookup].concat();
        let mut context = active.context(self.clock.now());
        context.lookup = self.tables.of(&self.store, &tables).await;
        context.egress = self.outbound.to_with(&target.id, message_id(&self.origin, permit.outbox()));
        let (store, plugin) = (Arc::clone(&self.store), target.connector.clone());
        // Nothing is kept about an item: what a connector remembers goes with its order.
        if let Some(order) = permit.order() {
            context.kv = Arc::new(OrderState { store, plugin, order });
        }
        context
    }

    async fn find(
        &self,
        permit: &Permit,
        natural_key: &str,
        target: &Target,
        connector: &Installed,
        context: &CallContext,
        key: &PayloadKey,
    ) -> Result<Found, DeliverError> {
        let query = FindQuery {
            kind: permit.kind().to_owned(),
            natural_key: natural_key.to_owned(),
            settings: route::settings(&target.settings),
        };
        let input = key.blind(&query.natural_key);
        let asking = connector.plugin.find(context, &query);
        let cause = Cause::Target(&target.id);
        let Crossed { outcome, crossing } = match self.call(connector, Call::Find, cause, asking).await {
            Ok(crossed) => crossed,
            Err(stopped) => return Ok(Found::NotAsked(stopped)),
        };
        Ok(match outcome {
            Ok(Ok(Some(receipt))) => {
                let output = key.blind(&receipt.external_id);
                Found::Yes(receipt, leaf::crossed(&crossing, input, Some(output), None, key)?)
            }
            Ok(Ok(None)) => Found::No(leaf::crossed(&crossing, input, Some(key.blind("")), None, key)?),
            other => {
                // What stays refused is not worth a day of asking. What the host held back is
                // asked again, whatever the connector made of it.
                let refused = matches!(other, Ok(Err(Failure::Permanent(_) | Failure::Invalid(_))))
                    && held_back_ms(&crossing).is_none();
                let (code, why) = failed(other);
                let crossing = leaf::crossed(&crossing, input, None, Some(&code), key)?;
                if refused { Found::Refused { why, crossing } } else { Found::Unclear { code, crossing } }
            }
        })
    }

    async fn found(
        &self,
        permit: Permit,
        receipt: Receipt,
        crossing: Option<CrossingRecord>,
        key: &PayloadKey,
    ) -> Result<Settled, DeliverError> {
        let now = self.clock.now();
        let external_id = key.blind(&receipt.external_id);
        let leaf = leaf::receipt(&self.host, now, &permit, ReceiptOutcome::Found, Some(external_id), crossing)?;
        let heard = self.heard(&permit, &receipt, now)?;
        let uncorrected = self.arrived_uncorrected(&permit, now).await?;
        let permit = permit.saying(heard).telling(uncorrected);
        let settlement = Settlement::Applied { external_id: receipt.external_id };
        Ok(self.store.settle_unattempted(permit, self.due(settlement), now, leaf).await?)
    }

    /// The target has nothing, and its order is to be cancelled: nothing is sent any more.
    async fn absent(&self, permit: Permit, crossing: CrossingRecord) -> Result<Settled, DeliverError> {
        let now = self.clock.now();
        let leaf = leaf::receipt(&self.host, now, &permit, ReceiptOutcome::Absent, None, Some(crossing))?;
        Ok(self.store.settle_unattempted(permit, Settlement::Absent, now, leaf).await?)
    }

    /// A plugin of the target is not called now: it is waited for as for a target that is
    /// down, unless the target says that a person gets it at once.
    async fn not_called(
        &self,
        permit: Permit,
        target: &Target,
        stopped: &Stopped,
        looked_up: Option<CrossingRecord>,
    ) -> Result<Settled, DeliverError> {
        if target.when_stopped == Some(WhenStopped::Exception) {
            return self.give_up(permit, Some(target), stopped.code(), &stopped.to_string(), looked_up).await;
        }
        let asks = permit.unresolved() && !repeats(target, &permit);
        let wait = if asks { Wait::ForAnswer } else { Wait::ForMessage };
        self.later(permit, target, wait, stopped.code().to_owned(), looked_up).await
    }

    /// Nothing was sent, for a cause that may pass. It is tried again, the rarer the
    /// longer it takes, and after the deadline a person decides.
    async fn later(
        &self,
        permit: Permit,
        target: &Target,
        wait: Wait,
        code: String,
        crossing: Option<CrossingRecord>,
    ) -> Result<Settled, DeliverError> {
        let Some(due_at) = self.next_try(&permit, target) else {
            let minutes = target.deadline_minutes;
            let (code, why) = match wait {
                Wait::ForAnswer => (
                    "unknown-outcome",
                    format!(
                        "an attempt ended without a known outcome, and the target could not be asked for {minutes} minutes; {}",
                        self.todo(&permit, target, "ask its people")
                    ),
                ),
                Wait::ForMessage => {
                    (code.as_str(), format!("no message could be made for {minutes} minutes; look at the plugin"))
                }
            };
            return self.give_up(permit, Some(target), code, &why, crossing).await;
        };
        let (outcome, settlement) = match wait {
            Wait::ForAnswer => (ReceiptOutcome::Unknown, Settlement::Unknown { due_at, code }),
            Wait::ForMessage => (ReceiptOutcome::Retry, Settlement::Retry { due_at, code }),
        };
        let now = self.clock.now();
        let leaf = leaf::receipt(&self.host, now, &permit, outcome, None, crossing)?;
        Ok(self.store.settle_unattempted(permit, self.due(settlement), now, leaf).await?)
    }

    /// Nothing was read, so nothing was sent: the delivery waits for the store, and not
    /// for its lease to end. That the target was asked before is on record all the same.
    async fn give_back(
        &self,
        permit: Permit,
        target: &Target,
        error: &StoreError,
        looked_up: Option<CrossingRecord>,
    ) -> Result<Settled, DeliverError> {
        tracing::error!(%error, "a delivery's event could not be read; it is tried again");
        let now = self.clock.now();
        let due_at = now.plus_ms(backoff_ms(target, &permit));
        let settlement = Settlement::Retry { due_at, code: "store-failed".to_owned() };
        let leaf = leaf::receipt(&self.host, now, &permit, ReceiptOutcome::Retry, None, looked_up)?;
        Ok(self.store.settle_unattempted(permit, self.due(settlement), now, leaf).await?)
    }

    /// What people are to do about a delivery that is late: as of any, and before it what would have had
    /// it go sooner, where it was a window that it waited for.
    fn todo(&self, permit: &Permit, target: &Target, otherwise: &str) -> String {
        let was_full = self.outbound.was_full(&target.id, permit.deadline_from());
        was_full.map_or_else(|| otherwise.to_owned(), |full| format!("{full}; {otherwise}"))
    }

    /// When something that counts as no attempt is tried again; none after the deadline.
    fn next_try(&self, permit: &Permit, target: &Target) -> Option<Instant> {
        let now = self.clock.now();
        let waited_ms = now.0.saturating_sub(permit.deadline_from().0);
        let due_at = now.plus_ms(backoff_ms(target, permit).max((waited_ms / 2).min(ASK_EVERY_MS_MAX)));
        (due_at <= deadline(permit, target)).then_some(due_at)
    }

    async fn give_up(
        &self,
        permit: Permit,
        target: Option<&Target>,
        code: &str,
        why: &str,
        crossing: Option<CrossingRecord>,
    ) -> Result<Settled, DeliverError> {
        let now = self.clock.now();
        let leaf = leaf::receipt(&self.host, now, &permit, ReceiptOutcome::Dead, None, crossing)?;
        Ok(self.store.settle_unattempted(permit, self.due(dead(target, code, why)), now, leaf).await?)
    }
}

/// The event to deliver, or why it cannot be read any more, with the key that blinds
/// what is made of it. What is said about an erased event is blinded with a key that
/// nobody keeps.
fn readable(event: Result<OpenPayload, StoreError>) -> Result<(Result<Event, String>, PayloadKey), DeliverError> {
    match event {
        Ok((bytes, key)) => {
            let event = Event::from_json(&bytes);
            Ok((event.map_err(|error| format!("the stored event cannot be read: {error}")), key))
        }
        Err(error @ (StoreError::Erased(_) | StoreError::Damaged(_))) => {
            Ok((Err(error.to_string()), PayloadKey::random()?))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a target said about an earlier attempt.
enum Found {
    Yes(Receipt, CrossingRecord),
    No(CrossingRecord),
    /// It could not be asked, or its answer cannot be understood.
    Unclear {
        code: String,
        crossing: CrossingRecord,
    },
    /// Nobody asked: the connector is not called now.
    NotAsked(Stopped),
    /// It will never say.
    Refused {
        why: String,
        crossing: CrossingRecord,
    },
}

/// What a delivery waits for when nothing was sent.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// What became of an earlier attempt: nothing is sent blindly.
    ForAnswer,
    /// The message.
    ForMessage,
}

/// Whether it may be sent again though an earlier attempt may have arrived: its target knows what it
/// has by the message's id or its interchange's number, or it is a level, which says how things stand
/// and changes nothing when it is said twice. What was attempted before its target counted numbers
/// has none, and a new one would be a new message.
fn repeats(target: &Target, permit: &Permit) -> bool {
    let is_known = target.is_subscriber() || (target.knows_again() && permit.interchange().is_some());
    is_known || matches!(permit.content(), Content::Level(_))
}

/// Whether nobody counts how often it may have arrived: whoever only hears of events hears them
/// again, and a level is no effect that could be there twice.
fn is_uncounted(target: &Target, permit: &Permit) -> bool {
    target.is_subscriber() || matches!(permit.content(), Content::Level(_))
}

/// What a target knows an effect by: the order, and of what was said of it the number that its
/// system gave that. An order is placed, accepted, rejected and cancelled once; whatever else has no
/// number is known by its place in the journal. Of an item there is one level at a time.
fn natural_key(matter: Matter, event: &Event, content: Content) -> String {
    match (content, process::number(event)) {
        (Content::Said(_), Some(number)) => format!("{matter}/{number}"),
        (Content::Said(position), None) if !process::happens_once(event) => format!("{matter}/{}", position.0),
        (Content::Order | Content::Said(_) | Content::Level(_), _) => matter.to_string(),
    }
}

/// By what a receiver of webhooks knows a message again: the same in every attempt, and no other
/// installation's. Without a full stop, which ends it in what is signed.
fn message_id(origin: &str, outbox: &OutboxId) -> String {
    let digest = Digest::of_parts(&[origin.as_bytes(), outbox.0.as_bytes()]);
    let short = digest.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    format!("msg_{}", hex::encode(short))
}

fn delivery(
    permit: &Permit,
    natural_key: String,
    target: &Target,
    receiver: Option<&Receiver>,
    message: Message,
) -> Delivery {
    let numbered = receiver.zip(permit.interchange()).map(|(receiver, number)| receiver.settings(number));
    Delivery {
        message,
        idempotency_key: permit.outbox().0.clone(),
        natural_key,
        attempt: permit.attempt(),
        settings: [numbered.unwrap_or_default(), route::settings(&target.settings)].concat(),
    }
}

/// When patience ends.
fn deadline(permit: &Permit, target: &Target) -> Instant {
    permit.deadline_from().plus_ms(i64::from(target.deadline_minutes) * Instant::MINUTE_MS)
}

/// What the host knows for itself about the requests of an attempt.
#[derive(Debug, Clone, Copy)]
struct Sent {
    /// See [`held_back_ms`].
    held_back: Option<i64>,
    /// Whether one of them may have worked, of a target where that matters.
    in_doubt: bool,
}

/// What an attempt's end means. A call that failed may have sent something
/// before: only a call that never began is surely without effect. One that asks for
/// another try is believed as far as the host's own record of its requests goes.
fn settlement(
    outcome: &Result<Result<Receipt, Failure>, portreeve_sandbox::CallError>,
    sent: Sent,
    permit: &Permit,
    target: &Target,
    now: Instant,
) -> Settlement {
    let backoff = backoff_ms(target, permit);
    let retry = |after_ms: i64, code: &str| Settlement::Retry { due_at: now.plus_ms(after_ms), code: code.to_owned() };
    let ask_at = now.plus_ms(backoff.max(i64::from(target.find_after_ms)));
    let unknown = |code: String| Settlement::Unknown { due_at: ask_at, code };
    match (outcome, sent.held_back) {
        (Ok(Ok(_)), _) | (_, None) => {}
        // Nothing was sent, as the host knows for itself: no connector's reading of its
        // refusal makes an end of it.
        (_, Some(after_ms)) => return retry(after_ms.max(backoff), "deferred"),
    }
    match outcome {
        Ok(Ok(receipt)) => Settlement::Applied { external_id: receipt.external_id.clone() },
        // The attack is a connector that loses an answer and asks for another try: an order twice.
        Ok(Err(Failure::Retry(_))) if sent.in_doubt => unknown("retry".to_owned()),
        Ok(Err(Failure::Retry(after_ms))) => retry(i64::from(*after_ms).max(backoff), "retry"),
        Ok(Err(Failure::UnknownOutcome(_))) => unknown("unknown-outcome".to_owned()),
        Ok(Err(failure @ (Failure::Invalid(_) | Failure::Permanent(_)))) => {
            let (code, why) = leaf::failure_words(failure);
            dead(Some(target), &code, &why)
        }
        Err(error) => match &error.failure {
            CallFailure::Busy { .. } | CallFailure::TooOften { .. } | CallFailure::RefusedImport { .. }
                if !sent.in_doubt =>
            {
                retry(backoff, &call_error_code(error))
            }
            _ => unknown(call_error_code(error)),
        },
    }
}

/// When the host lets the requests of a call through that it only held back: nothing was sent
/// that could have done anything. None where something was, or none was held back. What was only
/// read before one was held back (a look at what is to be changed, with a window that ended there) is
/// read again.
fn held_back_ms(crossing: &Crossing) -> Option<i64> {
    let (mut deferred, mut is_unsent, mut is_read) = (None, false, false);
    for request in &crossing.requests {
        match &request.outcome {
            RequestOutcome::Deferred { after_ms, .. } => deferred = deferred.max(Some(*after_ms)),
            // The call ended while the host looked for a name, a credential or a connection.
            RequestOutcome::Unsent if request.body.is_some() => is_unsent = true,
            RequestOutcome::Unsent | RequestOutcome::Refused(_) => {}
            RequestOutcome::Answered { .. } if matches!(request.method.as_str(), "GET" | "HEAD") => is_read = true,
            RequestOutcome::Unfinished | RequestOutcome::Failed(_) | RequestOutcome::Answered { .. } => return None,
        }
    }
    let longest = deferred.or((is_unsent && !is_read).then_some(0));
    longest.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Whether a request may have had its effect at the target. None has that only reads, that
/// the host did not send, or that the target refused with a whole answer.
fn may_have_worked(request: &RecordedRequest) -> bool {
    if matches!(request.method.as_str(), "GET" | "HEAD") {
        return false;
    }
    match &request.outcome {
        RequestOutcome::Unsent | RequestOutcome::Refused(_) | RequestOutcome::Deferred { .. } => false,
        RequestOutcome::Unfinished | RequestOutcome::Failed(_) => true,
        RequestOutcome::Answered { status, .. } => !is_refusal(*status),
    }
}

/// Whether a status says that nothing was done. A redirect may follow what was done, and
/// a 408 comes from proxies that waited for the target in vain.
fn is_refusal(status: u16) -> bool {
    matches!(status, 400..=407 | 409..=499 | 503)
}

/// How long a delivery waits that did not work, by the target's own first wait.
fn backoff_ms(target: &Target, permit: &Permit) -> i64 {
    waits_ms(target.backoff_ms, permit.tries(), permit.outbox(), permit.attempt())
}

/// Doubles with every attempt since a person last had it tried again, with a spread of a quarter that depends on the
/// order, so that a thousand orders do not come back in the same second.
fn waits_ms(first_ms: u32, tries: u32, outbox: &OutboxId, attempt: u32) -> i64 {
    let doublings = tries.saturating_sub(1).min(20);
    let base = u64::from(first_ms).saturating_mul(1 << doublings).min(BACKOFF_MS_MAX);
    let seed = Digest::of_parts(&[outbox.0.as_bytes(), &attempt.to_be_bytes()]);
    let spread = seed.as_bytes().first().copied().map_or(0, u64::from);
    i64::try_from(base + base * spread / 1024).unwrap_or(i64::MAX)
}

fn receipt_outcome<T>(
    settlement: &Settlement,
    outcome: &Result<Result<T, Failure>, portreeve_sandbox::CallError>,
) -> ReceiptOutcome {
    match settlement {
        Settlement::Applied { .. } => ReceiptOutcome::Applied,
        Settlement::Retry { .. } | Settlement::Parked => ReceiptOutcome::Retry,
        Settlement::Unknown { .. } => ReceiptOutcome::Unknown,
        Settlement::Absent => ReceiptOutcome::Absent,
        Settlement::Dead { .. } if matches!(outcome, Ok(Err(_))) => ReceiptOutcome::Rejected,
        Settlement::Dead { .. } => ReceiptOutcome::Dead,
    }
}

fn settlement_code(settlement: &Settlement) -> Option<&str> {
    match settlement {
        Settlement::Applied { .. } | Settlement::Absent => None,
        Settlement::Retry { code, .. } | Settlement::Unknown { code, .. } => Some(code),
        Settlement::Parked => Some(GONE),
        Settlement::Dead { exception, .. } => Some(&exception.code),
    }
}

fn external_id(settlement: &Settlement) -> Option<&str> {
    match settlement {
        Settlement::Applied { external_id } => Some(external_id),
        Settlement::Retry { .. }
        | Settlement::Parked
        | Settlement::Unknown { .. }
        | Settlement::Absent
        | Settlement::Dead { .. } => None,
    }
}

/// Code and sentence of a call without a usable result.
fn failed<T>(outcome: Result<Result<T, Failure>, portreeve_sandbox::CallError>) -> (String, String) {
    match outcome {
        Ok(Ok(_)) => ("unexpected".to_owned(), "the call succeeded".to_owned()),
        Ok(Err(failure)) => leaf::failure_words(&failure),
        Err(error) => (call_error_code(&error), error.to_string()),
    }
}

impl Pipeline {
    /// How a delivery ended, with the time by which a person is to look at it where it is
    /// given up.
    fn due(&self, settlement: Settlement) -> Settlement {
        match settlement {
            Settlement::Dead { exception, blocks } => {
                let exception = self.dated(exception, self.clock.now(), Limits::default());
                Settlement::Dead { exception, blocks }
            }
            other => other,
        }
    }
}

/// It will not happen without a person. What nobody configures any more blocks, too.
fn dead(target: Option<&Target>, code: &str, why: &str) -> Settlement {
    let exception = NewException {
        kind: ExceptionKind::Delivery,
        stage: "deliver",
        code: code.to_owned(),
        detail: why.to_owned(),
        queue: target.map_or("integration", |target| target.exception_queue.as_str()).to_owned(),
        due_at: None,
    };
    Settlement::Dead { exception, blocks: target.is_none_or(|target| target.after_dead == AfterDead::Block) }
}

fn digest_of(message: &Message) -> Digest {
    Digest::of_parts(&[message.kind.as_bytes(), message.content_type.as_bytes(), &message.body])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, outcome: RequestOutcome) -> RecordedRequest {
        RecordedRequest {
            method: method.to_owned(),
            url: String::new(),
            authority: None,
            body: None,
            body_bytes: 0,
            duration_ms: 0,
            outcome,
        }
    }

    fn answered(status: u16) -> RequestOutcome {
        RequestOutcome::Answered { status, body: Digest::of(b""), body_bytes: 0 }
    }

    #[test]
    fn what_was_read_before_the_host_held_a_request_back_is_read_again() {
        let held_back = |requests: Vec<RecordedRequest>| {
            held_back_ms(&Crossing { requests, ..crate::plugins::tests::uneventful(Call::Deliver) })
        };
        let deferred = |after_ms| request("PATCH", RequestOutcome::Deferred { after_ms, why: String::new() });
        let looked = || request("GET", answered(200));
        assert_eq!(held_back(vec![looked(), deferred(7)]), Some(7));
        assert_eq!(held_back(vec![deferred(7), looked(), deferred(9)]), Some(9));
        // What was sent and what was only read are for the connector to tell.
        assert_eq!(held_back(vec![request("POST", answered(201)), deferred(7)]), None);
        assert_eq!(held_back(vec![looked()]), None);
        let unsent = || RecordedRequest { body: Some(Digest::of(b"")), ..request("PATCH", RequestOutcome::Unsent) };
        assert_eq!((held_back(vec![unsent()]), held_back(vec![looked(), unsent()])), (Some(0), None));
    }

    #[test]
    fn a_request_may_have_worked_unless_the_host_knows_that_it_did_not() {
        for status in [200, 201, 204, 301, 303, 408, 500, 502, 504] {
            assert!(may_have_worked(&request("POST", answered(status))), "{status}");
            assert!(!may_have_worked(&request("GET", answered(status))), "{status}");
        }
        for status in [400, 401, 404, 409, 422, 429, 499, 503] {
            assert!(!may_have_worked(&request("POST", answered(status))), "{status}");
        }
        let broken = || RequestOutcome::Failed("the exchange broke off".to_owned());
        for method in ["POST", "PUT", "PATCH", "DELETE", "post", "get"] {
            assert!(may_have_worked(&request(method, broken())), "{method}");
            assert!(may_have_worked(&request(method, RequestOutcome::Unfinished)), "{method}");
            for nothing in [RequestOutcome::Unsent, RequestOutcome::Refused(String::new())] {
                assert!(!may_have_worked(&request(method, nothing)), "{method}");
            }
            let deferred = RequestOutcome::Deferred { after_ms: 1, why: String::new() };
            assert!(!may_have_worked(&request(method, deferred)), "{method}");
        }
        for method in ["GET", "HEAD"] {
            assert!(!may_have_worked(&request(method, broken())), "{method}");
        }
    }

    /// The first waits of a hundred deliveries after so many attempts.
    fn waits(first_ms: u32, tries: u32) -> Vec<i64> {
        (0..100).map(|order| waits_ms(first_ms, tries, &OutboxId(format!("order-{order}")), tries)).collect()
    }

    #[test]
    fn deliveries_that_failed_together_come_back_over_a_quarter_of_their_wait() {
        for (tries, base) in [(0, 1_024), (1, 1_024), (2, 2_048), (3, 4_096), (11, 1_048_576), (u32::MAX, 3_600_000)] {
            let waits = waits(1_024, tries);
            assert!(waits.iter().all(|wait| (base..base + base / 4).contains(wait)), "{tries}: {waits:?}");
            let (middle, different) = (base + base / 8, waits.iter().collect::<std::collections::BTreeSet<_>>().len());
            let late = waits.iter().filter(|wait| **wait >= middle).count();
            assert!((25..=75).contains(&late) && different > 60, "{late} late and {different} different: {waits:?}");
        }
    }

    #[test]
    fn a_wait_is_the_same_whoever_works_it_out_and_another_with_each_attempt() {
        assert_eq!(waits(1_024, 3), waits(1_024, 3));
        let outbox = OutboxId("order-1".to_owned());
        // Of one base, so that nothing differs but the spread.
        let spreads: std::collections::BTreeSet<i64> =
            (1..=20).map(|attempt| waits_ms(1_024, 1, &outbox, attempt)).collect();
        assert!(spreads.len() > 10, "{spreads:?}");
    }

    #[test]
    fn a_target_without_a_wait_is_tried_again_at_once() {
        assert!(waits(0, 5).iter().all(|wait| *wait == 0));
    }
}

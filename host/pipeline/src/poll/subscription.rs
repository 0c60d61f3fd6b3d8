//! Subscriptions: the source of a poll is asked to say by itself when there is something new, for as
//! long as it agrees to, and once more before that is over.
//!
//! ```text
//! due ─claim─▶ SubscriptionPermit ─▶ deliver ─▶ the source shakes hands at our own door
//!     store    leaf: it is asked     connector ◀─ its name and until when ─┘
//!                                        └─▶ store: until when, leaf, and the poll where it is a new one
//! ```
//!
//! It is a part of its poll: where the source is, as whom the host comes and which connector speaks
//! its protocol stand there already, and what a subscription is for is to have this poll made. The
//! message is the host's: `{"notificationUrl":…,"resource":…,"clientState":…}`. The connector looks
//! whether there is one, makes or renews it, and answers with what the source calls it and, as the
//! receipt's detail, until when it holds (RFC 3339). An answer that was lost costs nothing: the
//! next try looks first.
//!
//! The secret that each notification names is that of the channel's sender, the one by which
//! notifications are let in, so the two cannot differ. It never enters the guest: in the message
//! stands [`PLACEHOLDER`], and the host puts the secret there when the request has left the guest.
//!
//! The danger is silence: a source whose subscription ended says nothing, and nothing is what it
//! says most of the time. So it is renewed long before its end, people hear of failures while it
//! still holds, and where a source gave another one than before, or after the end, the poll is made
//! at once: of what changed in between nobody was told.

use portreeve_model::document::{Delivery, Message, Receipt};
use portreeve_model::{ChannelId, Digest, ExceptionKind, Instant, SenderId};
use portreeve_record::leaf::{Code, CrossingRecord, SubscriptionLeaf, SubscriptionStep};
use portreeve_record::{Leaf, LeafBody, PayloadKey, canonical_json};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, Crossed, Crossing};
use portreeve_store::contract::{HeldSubscription, NewException, PollFailure, SubscriptionEnd, SubscriptionView};
use portreeve_store::{StoreError, SubscriptionPermit};
use serde::{Deserialize, Serialize};

use super::{FAILURES_TOLD, Failing, Poll, PollError, not_polled, said};
use crate::accept::call_error_code;
use crate::egress::problem;
use crate::exception::Limits;
use crate::plugins::Absent;
use crate::route::{Channel, Routes};
use crate::{Pipeline, leaf, route};

/// What stands in the message in the secret's place. Every secret has other characters or is a
/// random one, so nothing else is taken for it.
pub(crate) const PLACEHOLDER: &str = "the-host-puts-the-client-state-here";

/// The part of its time after which a subscription is renewed, in hundredths, unless set.
const RENEW_PERCENT: u8 = 50;

/// Earlier than that nobody wants it, and later there is no time left to mend anything.
const RENEW_PERCENTS: std::ops::RangeInclusive<u8> = 10..=80;

/// A source that gives a second each time would be asked for ever.
const RENEW_MS_MIN: i64 = 60_000;

/// What lasts longer than a year is renewed after a year's part: a time that is wrong by a century
/// would leave a subscription to itself.
const HELD_MS_MAX: i64 = 366 * Instant::DAY_MS;

/// Bytes of what a source calls a subscription, and of a resource.
const NAME_BYTES_MAX: usize = 256;
const RESOURCE_BYTES_MAX: usize = 1024;

/// The code of what people are told.
const FAILS: &str = "subscription-fails";

/// What a source is asked to tell of by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The channel that its notifications come in by, which wakes this poll.
    pub channel: ChannelId,
    /// Whose secret each of them names; needed where the channel has more than one sender with a
    /// `client_state_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The channel's address, as the source reaches it.
    pub url: String,
    /// What is subscribed to, as the source names it.
    pub resource: String,
    /// The kind of message, by which the connector knows what is wanted.
    pub kind: String,
    /// The part of its time after which it is renewed, in hundredths.
    #[serde(default = "renew_percent_default")]
    pub renew_percent: u8,
}

fn renew_percent_default() -> u8 {
    RENEW_PERCENT
}

/// What a connector makes a subscription of.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wanted<'a> {
    notification_url: &'a str,
    resource: &'a str,
    client_state: &'a str,
}

impl Subscription {
    /// When it is to be renewed: after its part of the time, and up to a tenth of that sooner.
    fn renewal(&self, poll: &Poll, epoch: i64, now: Instant, until: Instant) -> Instant {
        let held_ms = until.0.saturating_sub(now.0).min(HELD_MS_MAX);
        let part_ms = held_ms.saturating_mul(i64::from(self.renew_percent)) / 100;
        let seed = Digest::of_parts(&[poll.id.as_bytes(), b"subscription", &epoch.to_be_bytes()]);
        let spread = seed.as_bytes().first_chunk::<2>().copied().map_or(0, u16::from_be_bytes);
        let sooner_ms = (part_ms / 10).saturating_mul(i64::from(spread)) / i64::from(u16::MAX);
        now.plus_ms(part_ms.saturating_sub(sooner_ms).max(RENEW_MS_MIN))
    }

    fn problems(&self, poll: &Poll, routes: &Routes) -> Vec<String> {
        let Self { channel, url, resource, kind, renew_percent, .. } = self;
        let called = format!("the subscription of poll `{}`", poll.id);
        let mut problems = Vec::new();
        match routes.channel(channel) {
            None => problems.push(format!(
                "{called} has notifications on channel `{channel}`, which does not exist; add a [[channel]] with that id"
            )),
            Some(on) => {
                if on.wakes.as_ref().is_none_or(|wakes| wakes.poll != poll.id) {
                    problems.push(format!(
                        "{called} has notifications on channel `{channel}`, which does not have this poll made; name it in `wakes` of the channel, and give each poll with a subscription a channel of its own"
                    ));
                }
                if !on.challenges {
                    problems.push(format!(
                        "{called} has notifications on channel `{channel}`, which answers no challenge, so that no source gives it; set `challenges = true` there"
                    ));
                }
            }
        }
        problems.extend(problem(url).map(|wrong| format!("`url` of {called} {wrong}")));
        if resource.is_empty() || resource.len() > RESOURCE_BYTES_MAX || resource.chars().any(char::is_control) {
            problems.push(format!(
                "`resource` of {called} is none; expected what the source calls it, up to {RESOURCE_BYTES_MAX} bytes"
            ));
        }
        if kind.is_empty() {
            problems.push(format!("`kind` of {called} is empty; expected one that the connector delivers"));
        }
        if !RENEW_PERCENTS.contains(renew_percent) {
            problems.push(format!(
                "`renew_percent` of {called} is {renew_percent}; expected {} to {}",
                RENEW_PERCENTS.start(),
                RENEW_PERCENTS.end()
            ));
        }
        problems
    }
}

impl Routes {
    /// What is wrong with subscriptions.
    pub(super) fn subscription_problems(&self, poll: &Poll) -> Vec<String> {
        poll.subscription.iter().flat_map(|subscription| subscription.problems(poll, self)).collect()
    }
}

/// What came of asking for a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subscribed {
    /// It holds until then; a new one, or for longer.
    Until(Instant, SubscriptionStep),
    /// It failed, with this code.
    Failed(String),
}

/// One that is asked for.
struct Asking<'a> {
    poll: &'a Poll,
    subscription: &'a Subscription,
    /// Of the poll.
    channel: &'a Channel,
    permit: SubscriptionPermit,
}

impl Pipeline {
    /// How the subscription of a poll stands; none where it has none, or none was asked for yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn subscription(&self, poll: &Poll) -> Result<Option<SubscriptionView>, StoreError> {
        match poll.subscription {
            Some(_) => self.store.subscription(&poll.id).await,
            None => Ok(None),
        }
    }

    /// Asks for the subscription of a poll, where it has one that is due and nobody else does. The
    /// source asks at the front door meanwhile, which has to be open.
    ///
    /// # Errors
    /// See [`PollError`]; its claim ends by itself, and it is asked for again.
    pub async fn subscribe(&self, poll: &Poll) -> Result<Option<Subscribed>, PollError> {
        let Some(subscription) = &poll.subscription else { return Ok(None) };
        let no_channel = || PollError::NoChannel { poll: poll.id.clone(), channel: poll.channel.clone() };
        let channel = self.routes.channel(&poll.channel).ok_or_else(no_channel)?;
        let no_secret = || PollError::NoClientState { poll: poll.id.clone(), channel: subscription.channel.clone() };
        let sender = subscription.sender.as_deref().map(SenderId::authenticated);
        let secret = self.senders.client_state(&subscription.channel, sender.as_ref()).ok_or_else(no_secret)?;

        let now = self.clock.now();
        let about = about(poll, subscription, &secret);
        let found = self.store.subscription(&poll.id).await?;
        if found.as_ref().is_some_and(|found| !found.is_due(about, now)) {
            return Ok(None);
        }
        let attempt = found.map_or(0, |found| found.failures).saturating_add(1);
        let leaf = self.subscription_leaf(poll, subscription, channel, SubscriptionLeafOf::asked(attempt), now)?;
        let lease_until = now.plus_ms(self.clock.lease_ms());
        let claimed = self.store.claim_subscription(&poll.id, about, now, lease_until, leaf).await?;
        let Some(permit) = claimed else { return Ok(None) };
        self.asked(Asking { poll, subscription, channel, permit }, secret).await.map(Some)
    }

    /// One call of the connector, up to what is on record of it.
    async fn asked(&self, asking: Asking<'_>, secret: Vec<u8>) -> Result<Subscribed, PollError> {
        let Asking { poll, subscription, channel, permit } = &asking;
        let (sender, active, received_at) = (poll.sender(), self.plugins.now(), self.clock.now());
        let cause = Cause::Sender { channel: &channel.id, sender: &sender };
        let connector = match self.plugin(&active, poll.connector(channel), Call::Deliver, cause) {
            Ok(connector) => connector,
            Err(absent) => return self.not_given(asking, not_polled(absent, received_at), None).await,
        };
        let wanted =
            Wanted { notification_url: &subscription.url, resource: &subscription.resource, client_state: PLACEHOLDER };
        let body = canonical_json(&wanted)?;
        let key = PayloadKey::random()?;
        let input = key.blind_digest(&Digest::of(&body));
        let delivery = Delivery {
            message: Message { kind: subscription.kind.clone(), content_type: "application/json".to_owned(), body },
            idempotency_key: Digest::of_parts(&[poll.id.as_bytes(), &permit.epoch().to_be_bytes()]).to_string(),
            natural_key: format!("subscription/{}", poll.id),
            attempt: permit.failures().saturating_add(1),
            settings: [route::settings(&channel.settings), route::settings(&poll.settings)].concat(),
        };
        let mut context = active.context(received_at);
        context.lookup = self.tables.of(&self.store, &connector.manifest.imports.lookup).await;
        context.egress = self.outbound.to_filling(&poll.way(), PLACEHOLDER, secret);
        let sending = connector.plugin.deliver(&context, &delivery);
        let Crossed { outcome, crossing } = match self.call(connector, Call::Deliver, cause, sending).await {
            Ok(crossed) => crossed,
            Err(stopped) => {
                let failing = not_polled(Absent::Stopped(stopped), received_at);
                return self.not_given(asking, failing, None).await;
            }
        };
        let record = |failure: Option<&str>, crossing: &Crossing| leaf::crossed(crossing, input, None, failure, &key);
        let failing = match outcome {
            Ok(Ok(receipt)) => match held(&receipt, self.clock.now()) {
                Ok(held) => return self.given(asking, held, record(None, &crossing)?).await,
                Err(failing) => failing,
            },
            // As for a poll: another try looks what became of this one.
            Ok(Err(failure)) => said(&failure),
            Err(error) => Failing { code: call_error_code(&error), why: error.to_string(), after_ms: 0 },
        };
        let record = record(Some(&failing.code), &crossing)?;
        self.not_given(asking, failing, Some(record)).await
    }

    /// The source gave one: it is renewed in time, and where it is another one the poll is made.
    async fn given(
        &self,
        asking: Asking<'_>,
        held: HeldSubscription,
        crossing: CrossingRecord,
    ) -> Result<Subscribed, PollError> {
        let Asking { poll, subscription, channel, permit } = asking;
        let now = self.clock.now();
        let goes_on = permit.held().is_some_and(|before| before.external_id == held.external_id && now < before.until);
        let step = if goes_on { SubscriptionStep::Renewed } else { SubscriptionStep::Made };
        let (until, due_at) = (held.until, subscription.renewal(poll, permit.epoch(), now, held.until));
        tracing::info!(poll = poll.id, %until, %due_at, is_new = !goes_on, "a source tells by itself what is new");
        let of = SubscriptionLeafOf {
            step,
            attempt: permit.failures().saturating_add(1),
            until: Some(until),
            code: None,
            crossing: Some(crossing),
        };
        let leaf = self.subscription_leaf(poll, subscription, channel, of, now)?;
        let end = SubscriptionEnd { due_at, outcome: Ok(held), wakes: !goes_on, leaf };
        self.store.end_subscription(permit, end, now).await?;
        self.metrics.subscribed(&poll.id, if goes_on { "renewed" } else { "made" }, 0);
        Ok(Subscribed::Until(until, step))
    }

    /// It failed: it is asked for again later, and people hear while there is time.
    async fn not_given(
        &self,
        asking: Asking<'_>,
        failing: Failing,
        crossing: Option<CrossingRecord>,
    ) -> Result<Subscribed, PollError> {
        let Asking { poll, subscription, channel, permit } = asking;
        let now = self.clock.now();
        let Failing { code, why, after_ms } = failing;
        let failures = permit.failures().saturating_add(1);
        let due_at = now.plus_ms(after_ms.max(poll.backoff_ms(permit.failures())));
        tracing::warn!(poll = poll.id, code, failures, %due_at, "a source was not made to tell what is new");
        let until = permit.held().map(|held| held.until).filter(|until| now < *until);
        // After the next try it may be over.
        let is_late = until.is_some_and(|until| until <= due_at);
        // Where there is none that could end, a source that wants to be left alone for long says nothing
        // meanwhile either.
        let is_too_long = poll.is_too_long(after_ms);
        let is_told = (failures >= FAILURES_TOLD || is_late || is_too_long) && !permit.is_told();
        let exception = is_told.then(|| {
            let holds = until.map_or_else(|| "there is none now".to_owned(), |until| format!("the one that there is ends {until}"));
            let new = NewException {
                kind: ExceptionKind::Poll,
                stage: "poll",
                code: FAILS.to_owned(),
                detail: format!(
                    "the subscription of poll `{}` was asked for {failures} time(s) in a row and not given, the last time since {why}; {holds}: without one what is new is found every {} seconds only; it is asked for again at {due_at}, and this is closed when the source gives it: see what is wrong there",
                    poll.id, poll.every_seconds
                ),
                queue: channel.exception_queue.clone(),
                due_at: None,
            };
            self.dated(new, now, Limits::default())
        });
        let of = SubscriptionLeafOf {
            step: SubscriptionStep::Failed,
            attempt: failures,
            until: None,
            code: Some(Code::of(&code)),
            crossing,
        };
        let leaf = self.subscription_leaf(poll, subscription, channel, of, now)?;
        let outcome = Err(PollFailure { code: code.clone(), exception });
        self.store.end_subscription(permit, SubscriptionEnd { due_at, outcome, wakes: false, leaf }, now).await?;
        self.metrics.subscribed(&poll.id, "failed", failures);
        Ok(Subscribed::Failed(code))
    }

    fn subscription_leaf(
        &self,
        poll: &Poll,
        subscription: &Subscription,
        channel: &Channel,
        of: SubscriptionLeafOf,
        now: Instant,
    ) -> Result<Leaf, PollError> {
        let SubscriptionLeafOf { step, attempt, until, code, crossing } = of;
        let body = SubscriptionLeaf {
            poll: Code::of(&poll.id),
            channel: subscription.channel.clone(),
            plugin: poll.connector(channel).clone(),
            step,
            attempt,
            until,
            code,
            crossing,
        };
        Ok(Leaf::new(&self.host, now, LeafBody::Subscription(body))?)
    }
}

/// What a leaf says beside what the configuration does.
struct SubscriptionLeafOf {
    step: SubscriptionStep,
    attempt: u32,
    until: Option<Instant>,
    code: Option<Code>,
    crossing: Option<CrossingRecord>,
}

impl SubscriptionLeafOf {
    fn asked(attempt: u32) -> Self {
        Self { step: SubscriptionStep::Asked, attempt, until: None, code: None, crossing: None }
    }
}

/// Names what is asked for: another one of these is another subscription.
fn about(poll: &Poll, subscription: &Subscription, secret: &[u8]) -> Digest {
    let Subscription { url, resource, kind, .. } = subscription;
    let origin = poll.origin.to_string();
    let parts = [origin.as_str(), url, resource, kind].map(str::as_bytes);
    Digest::of_parts(&[&parts[..], &[secret]].concat())
}

/// What a receipt says of a subscription. One that is over already tells nothing: taken for one that
/// holds, it would be asked for each minute, and nobody would hear that the source is silent.
fn held(receipt: &Receipt, now: Instant) -> Result<HeldSubscription, Failing> {
    let until = receipt.detail.as_deref().and_then(|detail| Instant::parse(detail).ok());
    let id = &receipt.external_id;
    match until {
        Some(until) if !id.is_empty() && id.len() <= NAME_BYTES_MAX => {
            if until <= now {
                return Err(Failing {
                    code: "ended-already".to_owned(),
                    why: format!(
                        "found a subscription that ended {until}, expected one that holds for longer than until {now}; compare the clocks of the source and of this machine, and see there why it gives none for longer"
                    ),
                    after_ms: 0,
                });
            }
            Ok(HeldSubscription { external_id: id.clone(), until })
        }
        _ => Err(Failing {
            code: "no-expiry".to_owned(),
            why: "the connector did not say what the source calls the subscription and until when it holds; repair the connector".to_owned(),
            after_ms: 0,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn subscription(renew_percent: u8) -> Subscription {
        Subscription {
            channel: ChannelId::parse("erp-webhooks").unwrap(),
            sender: None,
            url: "https://portreeve.example/v1/channels/erp-webhooks".to_owned(),
            resource: "/api/v2.0/companies(1)/salesInvoices".to_owned(),
            kind: "business-central/subscription".to_owned(),
            renew_percent,
        }
    }

    #[test]
    fn it_is_renewed_after_its_part_of_the_time_or_a_little_sooner_and_never_at_once() {
        let (poll, days) = (super::super::tests::poll(60, 0), Instant(3 * Instant::DAY_MS));
        let at = |percent, until| -> Vec<i64> {
            (0..100).map(|epoch| subscription(percent).renewal(&poll, epoch, Instant(0), until).0).collect()
        };
        let half = at(50, days);
        assert!(half.iter().all(|at| (116_640_000..=129_600_000).contains(at)), "{half:?}");
        assert!(half.iter().any(|at| *at < 123_000_000) && half.iter().any(|at| *at > 123_000_000));
        assert!(at(80, days).iter().all(|at| *at > 129_600_000));
        for short in [Instant(1), Instant(1_000), Instant(RENEW_MS_MIN)] {
            assert!(at(50, short).iter().all(|at| *at == RENEW_MS_MIN), "{short}");
        }
        assert!(at(80, Instant(i64::MAX)).iter().all(|at| *at <= HELD_MS_MAX));
    }

    #[test]
    fn a_receipt_without_a_name_or_a_time_is_no_subscription() {
        let receipt =
            |id: &str, detail: Option<&str>| Receipt { external_id: id.to_owned(), detail: detail.map(str::to_owned) };
        let given =
            held(&receipt("S", Some("2026-03-05T08:00:00Z")), Instant(0)).map_err(|failing| failing.code).unwrap();
        assert_eq!((given.external_id.as_str(), given.until.to_string()), ("S", "2026-03-05T08:00:00.000Z".to_owned()));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for (id, detail) in [
            ("", Some("2026-03-05T08:00:00Z")),
            ("S", None),
            ("S", Some("soon")),
            (&long, Some("2026-03-05T08:00:00Z")),
        ] {
            let failing =
                held(&receipt(id, detail), Instant(0)).map(|_| ()).map_err(|failing| failing.code).unwrap_err();
            assert_eq!(failing, "no-expiry");
        }
    }

    #[test]
    fn a_receipt_of_a_subscription_that_is_over_is_none() {
        let receipt = Receipt { external_id: "S".to_owned(), detail: Some("2026-03-05T08:00:00Z".to_owned()) };
        let end = Instant::parse("2026-03-05T08:00:00Z").unwrap();
        let code = |now| held(&receipt, now).err().map(|failing| failing.code);
        assert_eq!(code(end.plus_ms(-1)), None);
        for now in [end, end.plus_ms(1), Instant(i64::MAX)] {
            assert_eq!(code(now).as_deref(), Some("ended-already"));
        }
    }
}

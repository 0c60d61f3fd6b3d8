//! The event feed: whoever subscribes hears what counts of orders, as CloudEvents.
//!
//! ```text
//! order is released ─────▶ order.created ─┐
//! an event counts ───────▶ its name ──────┼─▶ outbox of each subscriber ─▶ deliver
//!                                         └─▶ outbox of the targets, as before
//! ```
//!
//! A subscriber (`[[subscriber]]`) is a target like any other: its messages commit with what made
//! the order move, leave under a permit, and are pending, tried again, dead and replayed as all
//! are. What is its own stands here: which events it hears, what of them it sees, and that it may
//! hear a message twice. A message is word of an order and no order: a wish to cancel stops none.
//!
//! An event is told when it counts, and no sooner: one that waits for its turn with what it waited
//! for, one that contradicts what is known never, and an order when it is released, be that days
//! later.
//!
//! Its receiver knows what it has by `webhook-id` and by the CloudEvent's id, and both stay the same
//! (Standard Webhooks, CloudEvents 1.0). So it is no danger to send again what it is not sure
//! that it has, and nobody is asked first.
//!
//! It is reached in one of two ways: a connector posts to it, or the host itself publishes to a
//! stream of NATS (`nats`, see `egress::jetstream`). Both get the same CloudEvents.
//!
//! Danger: a feed is the widest way out of all. So what points at anybody is masked unless the
//! subscription names it, by the same words and in the same way as for scorers.

pub mod catalogue;

use std::collections::{BTreeMap, BTreeSet};

use portreeve_authority::Fields;
use portreeve_model::document::{RenderingRequest, Setting};
use portreeve_model::{ChannelId, Event, PluginName};
use portreeve_store::StoreError;
use portreeve_store::contract::{Content, DocumentPosition, NewOutbox, OrderEventKind};
use serde::{Deserialize, Serialize};

use crate::Pipeline;
use crate::decide::masked_event;
use crate::deliver::Subject;
use crate::egress::{ANSWER_MS_MAX, CredentialEntry, NatsEntry, SecretSource, WebhookEntry, origin_of, problem};
use crate::process;
use crate::route::{self, AfterDead, Routes, Target, TargetTls, WhenStopped, deliveries_max_default};

/// What a subscriber gets.
pub const KIND: &str = "cloudevents/event";

/// The event of an order that is released.
pub(crate) const ORDER_CREATED: &str = "order.created";

/// The settings by which the transformer hears what no event says of itself.
const EVENT_ID: &str = "event-id";
const EVENT_SOURCE: &str = "event-source";
const EVENT_TIME: &str = "event-time";

/// Somebody who hears what counts (`[[subscriber]]` of `portreeve.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// Its name; no target has the same.
    pub id: String,
    /// What it hears, such as `shipment.confirmed`; everything, where nothing is said.
    #[serde(default)]
    pub events: BTreeSet<String>,
    /// Of orders that came by these channels; where nothing is said, by any but those that are
    /// for trying things out.
    #[serde(default)]
    pub channels: BTreeSet<ChannelId>,
    /// What it sees beyond what points at nobody, in the words of data grants.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Where messages are posted, for one that is reached by HTTP.
    pub url: Option<String>,
    /// The secret that signs what is posted, `whsec_…`.
    pub secret: Option<SecretSource>,
    /// The connector that posts.
    pub connector: Option<PluginName>,
    /// The stream that messages are published to, in the place of these three.
    pub nats: Option<NatsEntry>,
    /// The transformer that writes the message.
    pub transformer: PluginName,
    /// The queue of messages that it never took.
    pub exception_queue: String,
    /// Whom to trust there beside the machine's authorities, and as whom the host comes.
    #[serde(default)]
    pub tls: TargetTls,
    /// Milliseconds before the second attempt; doubles with every further one, up to an hour.
    #[serde(default = "backoff_ms_default")]
    pub backoff_ms: u32,
    /// Minutes from when a message is first taken up after which it is not sent again.
    #[serde(default = "deadline_minutes_default")]
    pub deadline_minutes: u32,
    /// Messages side by side, of different orders.
    #[serde(default = "deliveries_max_default")]
    pub deliveries_max: u32,
    /// What a message that was given up means for later ones of its order.
    #[serde(default)]
    pub after_dead: AfterDead,
    /// What becomes of messages while one of the two plugins is not called.
    pub when_stopped: Option<WhenStopped>,
    /// How long it may take to answer, milliseconds; what the connector has, where nothing is said.
    pub answer_timeout_ms: Option<u32>,
}

/// What is a subscriber's own among targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    fields: Fields,
    nats: Option<NatsEntry>,
    answer_timeout_ms: Option<u32>,
}

/// The settings of a connector that posts to a subscriber.
pub(crate) const URL: &str = "url";
pub(crate) const ANSWER_TIMEOUT: &str = "answer-timeout-ms";

/// Who stands in the place of a stream's connector, which it has none of: the host sends by itself.
const THE_HOST: &str = "host";

/// Receivers are told to expect attempts soon after each other first.
fn backoff_ms_default() -> u32 {
    5_000
}

/// A weekend and a day.
fn deadline_minutes_default() -> u32 {
    3 * 24 * 60
}

/// The names of everything that may be told of an order. A change of an order counts for nothing by
/// itself, and what is about no order has nowhere to wait for its turn.
#[must_use]
pub fn told() -> Vec<&'static str> {
    let by_systems = process::said_by_systems().into_iter().filter(|event| !is_confided(event));
    [ORDER_CREATED, OrderEventKind::CancelRequested.as_str()].into_iter().chain(by_systems).collect()
}

/// Whether it is for whoever looks after receivables alone: what a payer says that it will pay and
/// takes off moves nothing, and is nothing that goes outside by "everything".
fn is_confided(event: &str) -> bool {
    event == OrderEventKind::RemittanceReceived.as_str()
}

impl Subscriber {
    /// The target that it is; none of a URL or server that is none.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let Self { answer_timeout_ms, nats, .. } = self;
        let (origin, connector, credential, settings) = match nats {
            Some(nats) => (nats.origin()?, PluginName::parse(THE_HOST).ok()?, None, BTreeMap::new()),
            None => {
                let url = self.url.as_ref()?;
                let mut settings = BTreeMap::from([(URL.to_owned(), url.clone())]);
                settings.extend(answer_timeout_ms.map(|ms| (ANSWER_TIMEOUT.to_owned(), ms.to_string())));
                let credential = CredentialEntry::StandardWebhooks(WebhookEntry { secret: self.secret.clone()? });
                (origin_of(url)?, self.connector.clone()?, Some(credential), settings)
            }
        };
        let fields = Fields::parse(&self.fields)?;
        Some(Target {
            id: self.id.clone(),
            connector,
            transformer: self.transformer.clone(),
            kind: KIND.to_owned(),
            receipt: None,
            blocked: None,
            origin,
            tls: self.tls.clone(),
            credential,
            exception_queue: self.exception_queue.clone(),
            systems_owner: None,
            find: false,
            // Only time ends a message: whoever has it knows that it does.
            attempts_max: u32::MAX,
            backoff_ms: self.backoff_ms,
            find_after_ms: 0,
            deliveries_max: self.deliveries_max,
            after_dead: self.after_dead,
            deadline_minutes: self.deadline_minutes,
            when_stopped: self.when_stopped,
            with_order: false,
            outbox: None,
            interchange: None,
            correctable: BTreeSet::new(),
            settings,
            subscription: Some(Subscription { fields, nats: nats.clone(), answer_timeout_ms: *answer_timeout_ms }),
        })
    }

    /// Whether it hears of an event of an order that came by this channel.
    fn hears(&self, event: &str, channel: Option<&ChannelId>, is_test: bool) -> bool {
        let named = channel.is_some_and(|channel| self.channels.contains(channel));
        let of_channel = named || (self.channels.is_empty() && !is_test);
        of_channel && !is_confided(event) && (self.events.is_empty() || self.events.contains(event))
    }

    /// What is wrong with it beyond its grammar.
    fn problems(&self, routes: &Routes) -> Vec<String> {
        let mut problems = Vec::new();
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.id.is_empty() || self.id.len() > 64 || !self.id.bytes().all(letter) {
            problems.push("`id` is none; expected lower-case letters, digits and dashes".to_owned());
        }
        problems.extend(self.way_problems());
        for channel in self.channels.iter().filter(|channel| routes.channel(channel).is_none()) {
            problems.push(format!("channel `{channel}` does not exist; add a [[channel]] with that id"));
        }
        let known = told();
        for event in &self.events {
            if !known.contains(&event.as_str()) {
                problems.push(format!("`{event}` is told of no order; expected some of {}", known.join(", ")));
            } else if !routes.is_said(event) {
                problems.push(format!("it waits for `{event}`, which nobody says; {}", how_it_is_said(event)));
            }
        }
        let words = Fields::known();
        for field in self.fields.iter().filter(|field| !words.contains(&field.as_str())) {
            problems.push(format!("`fields` has `{field}`; expected some of {}", words.join(", ")));
        }
        if self.deadline_minutes == 0 {
            problems.push("`deadline_minutes` is 0; expected 1 or more".to_owned());
        }
        problems
    }

    /// What is wrong with the way to it: it is one of two, and all of that.
    fn way_problems(&self) -> Vec<String> {
        let posted =
            [("url", self.url.is_some()), ("secret", self.secret.is_some()), ("connector", self.connector.is_some())];
        let Some(nats) = &self.nats else {
            let missing = posted.iter().filter(|(_, there)| !there);
            let missing = missing.map(|(key, _)| format!("`{key}` is missing; add it, or say `nats` in its place"));
            let wrong = self.url.as_deref().and_then(problem).map(|wrong| format!("`url` {wrong}"));
            return missing.chain(wrong).collect();
        };
        let beside = posted.iter().filter(|(_, there)| *there);
        let beside = beside.map(|(key, _)| format!("`{key}` has no effect beside `nats`; take one of the two out"));
        let wrong = nats.problems().into_iter().map(|wrong| format!("`nats`: {wrong}"));
        let no_time = self.answer_timeout_ms.filter(|ms| !(1..=ANSWER_MS_MAX).contains(ms));
        let no_time =
            no_time.map(|ms| format!("`answer_timeout_ms` is {ms}; expected 1 to {ANSWER_MS_MAX} beside `nats`"));
        beside.chain(wrong).chain(no_time).collect()
    }
}

impl Target {
    /// The stream that it is, and how long its server may take to answer; none of any other.
    pub(crate) fn stream(&self) -> Option<(&NatsEntry, Option<u32>)> {
        let subscription = self.subscription.as_ref()?;
        Some((subscription.nats.as_ref()?, subscription.answer_timeout_ms))
    }
}

fn how_it_is_said(event: &str) -> &'static str {
    if event == OrderEventKind::CancelRequested.as_str() {
        "add an [[effect]] of it that undoes orders: without one a person decides what becomes of the wish"
    } else {
        "add it to `says` of a channel, or as `receipt` where a target says it"
    }
}

impl Routes {
    /// What is wrong with subscribers.
    pub(crate) fn subscriber_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for subscriber in &self.subscribers {
            let named = |problem: String| format!("[[subscriber]] `{}`: {problem}", subscriber.id);
            problems.extend(subscriber.problems(self).into_iter().map(named));
        }
        let of_channels = self.channels.iter().map(|channel| (format!("channel `{}`", channel.id), &channel.target));
        let of_effects = self.effects.iter().map(|effect| (format!("an effect of `{}`", effect.on), &effect.target));
        let of_refunds = self.refunds.iter().map(|refunds| ("[refunds]".to_owned(), &refunds.target));
        for (who, target) in of_channels.chain(of_effects).chain(of_refunds) {
            if self.target(target).is_some_and(|target| target.subscription.is_some()) {
                problems.push(format!(
                    "{who} sends to `{target}`, a subscriber, which only hears of events; name a [[target]]"
                ));
            }
        }
        problems
    }

    /// Whether who hears of an order differs by the channel that it came by.
    pub(crate) fn hears_by_channel(&self) -> bool {
        let tries = self.channels.iter().any(|channel| channel.test);
        self.subscribers.iter().any(|subscriber| tries || !subscriber.channels.is_empty())
    }

    /// The messages of an event that counts, in the order of the configuration.
    pub(crate) fn word_of(
        &self,
        event: &str,
        position: DocumentPosition,
        channel: Option<&ChannelId>,
    ) -> impl Iterator<Item = NewOutbox> {
        let is_test = channel.and_then(|channel| self.channel(channel)).is_some_and(|channel| channel.test);
        let hear = self.subscribers.iter().filter(move |subscriber| subscriber.hears(event, channel, is_test));
        hear.map(move |subscriber| NewOutbox {
            target: subscriber.id.clone(),
            kind: KIND.to_owned(),
            content: Content::Said(position),
        })
    }
}

impl Pipeline {
    /// What the transformer is asked to write for a target, which is `told` that of the order. For
    /// a subscriber that is what it may see of the event, and which event it is: by which channel
    /// it came and when, in words that stay the same however often it is asked.
    pub(crate) async fn rendering(
        &self,
        subject: Subject<'_>,
        target: &Target,
        event: Event,
        told: &[Setting],
    ) -> Result<RenderingRequest, StoreError> {
        let mut settings = [told, &route::settings(&target.settings)].concat();
        let (order_id, kind) = (subject.matter.to_string(), subject.kind.to_owned());
        let heard = (&target.subscription, subject.content, subject.matter.order());
        let (Some(subscription), Content::Said(position), Some(order)) = heard else {
            return Ok(RenderingRequest { event, order_id, kind, settings });
        };
        let origin = self.store.document_received(position).await?;
        let (channel, received_at) = origin
            .ok_or_else(|| StoreError::Failed(format!("document {} of an event is not in the journal", position.0)))?;
        let setting = |name: &str, value: String| Setting { name: name.to_owned(), value };
        settings.push(setting(EVENT_ID, format!("{order_id}-{}", position.0)));
        settings.push(setting(EVENT_SOURCE, format!("//{}/v1/channels/{channel}", self.origin)));
        settings.push(setting(EVENT_TIME, received_at.to_string()));
        let event = masked_event(event, order, &subscription.fields, &target.id, &self.pseudonyms);
        Ok(RenderingRequest { event, order_id, kind, settings })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    fn routes(test: bool, subscribers: &[(&str, &str)]) -> Routes {
        let channel = |id: &str, test: bool| {
            format!(
                r#"{{"id": "{id}", "connector": "a", "documents": {{}}, "target": "erp", "exception_queue": "q", "test": {test}}}"#
            )
        };
        let subscriber = |(id, more): &(&str, &str)| {
            format!(
                r#"{{"id": "{id}", "url": "https://a.example/b", "secret": {{"file": "k"}}, "connector": "c",
                     "transformer": "t", "exception_queue": "q"{more}}}"#
            )
        };
        let subscribers: Vec<String> = subscribers.iter().map(subscriber).collect();
        let text = format!(
            r#"{{"channel": [{}, {}], "subscriber": [{}]}}"#,
            channel("shop", false),
            channel("trial", test),
            subscribers.join(",")
        );
        serde_json::from_str(&text).unwrap()
    }

    fn hear<'a>(routes: &'a Routes, event: &'a str, channel: &str) -> Vec<String> {
        let channel = ChannelId::parse(channel).unwrap();
        let word = routes.word_of(event, DocumentPosition(7), Some(&channel));
        word.map(|word| {
            assert_eq!((word.kind.as_str(), word.content), (KIND, Content::Said(DocumentPosition(7))));
            word.target
        })
        .collect()
    }

    #[test]
    fn each_hears_what_it_asked_for_of_the_channels_that_it_named() {
        let routes = routes(
            false,
            &[("all", ""), ("created", r#", "events": ["order.created"]"#), ("trial", r#", "channels": ["trial"]"#)],
        );
        assert_eq!(hear(&routes, "order.created", "shop"), ["all", "created"]);
        assert_eq!(hear(&routes, "shipment.confirmed", "trial"), ["all", "trial"]);
        assert!(routes.hears_by_channel());
    }

    #[test]
    fn what_a_payer_advises_is_told_to_nobody_who_hears_everything() {
        let routes = routes(false, &[("all", "")]);
        assert_eq!(hear(&routes, "payment.settled", "shop"), ["all"]);
        assert_eq!(hear(&routes, "remittance.received", "shop"), Vec::<String>::new());
        assert!(told().contains(&"payment.settled") && !told().contains(&"remittance.received"));
    }

    #[test]
    fn orders_that_try_things_out_are_told_to_whoever_names_their_channel() {
        let subscribers = [("all", ""), ("trial", r#", "channels": ["trial"]"#)];
        let routes = routes(true, &subscribers);
        assert_eq!(hear(&routes, "order.created", "trial"), ["trial"]);
        assert_eq!(hear(&routes, "order.created", "shop"), ["all"]);
        let all = self::routes(true, &[("all", "")]);
        assert!(all.hears_by_channel() && !self::routes(false, &[("all", "")]).hears_by_channel());
    }

    #[test]
    fn a_key_that_nobody_knows_is_an_error() {
        let text = r#"{"id": "a", "url": "https://a.example/b", "secret": {"file": "k"}, "connector": "c",
                       "transformer": "t", "exception_queue": "q"}"#;
        let read: Subscriber = serde_json::from_str(text).unwrap();
        let target = read.target().unwrap();
        assert!(
            target.knows_again()
                && !target.find
                && target.settings.get("url").is_some_and(|url| url == "https://a.example/b")
        );
        let more = text.replace("\"id\"", "\"find\": true, \"id\"");
        assert!(serde_json::from_str::<Subscriber>(&more).is_err());
    }
}

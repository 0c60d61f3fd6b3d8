//! What the systems say, over the front door, each with what proves it, and like real ones: not in
//! the order in which it happened, and all of it once more at a later time, over another connection
//! and, where it has a number by which it is known for the same, in a message of another name.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::bail;
use bytes::Bytes;
use hyper::Method;
use portreeve_model::Instant;
use serde::Deserialize;
use serde_json::{Value, json};

use super::case::PLAIN;
use super::systems::{Secrets, Systems};
use crate::client;
use crate::standins::payment::{self, Payment, WEBHOOK_SECRET, Webhook};
use crate::standins::shop::{WEBHOOK_SIGNATURE, webhook_signature};

/// Events of one message, as the warehouse sends them.
const EVENTS_AT_ONCE: usize = 16;

/// The way to the host, what is to be said there once more, and how often it heard something.
pub(super) struct Door {
    address: SocketAddr,
    secrets: Secrets,
    /// What was said, and not yet once more.
    once: Vec<Message>,
    /// What waits at the warehouse to be said out of turn.
    held_back: Vec<Event>,
    /// Levels that do not get through at once.
    late: Vec<String>,
    /// Orders of which the ERP tells the credit memo first.
    memo_first: BTreeSet<String>,
    /// Invoices and credit memos that the host could know by now.
    told: BTreeSet<String>,
    pub(super) said: u64,
    /// Of these, what it had heard before.
    pub(super) again: u64,
    /// Of which orders what was said, in this order.
    pub(super) spoken: Vec<(String, String)>,
}

/// A message, as it is said once more.
struct Message {
    channel: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

/// What of an event of the warehouse says how it is told.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    order_id: String,
}

/// An event of the warehouse.
struct Event {
    kind: String,
    order: String,
    body: String,
}

impl Door {
    pub(super) fn new(address: SocketAddr, secrets: Secrets) -> Self {
        let (once, held_back, late, spoken) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (memo_first, told) = (BTreeSet::new(), BTreeSet::new());
        Self { address, secrets, once, held_back, late, memo_first, told, said: 0, again: 0, spoken }
    }

    /// A customer's interchange arrives, and how it arrives once more.
    pub(super) async fn edi(&mut self, file: &[u8], again: &[u8]) -> anyhow::Result<()> {
        let headers = vec![("authorization", format!("Bearer {}", self.secrets.edi_token))];
        let text = |file| String::from_utf8_lossy(file).into_owned();
        self.say("edi", headers, text(file), |_| text(again)).await
    }

    /// The shop tells of an order.
    pub(super) async fn shop(&mut self, order: &[u8]) -> anyhow::Result<()> {
        let headers = vec![(WEBHOOK_SIGNATURE, webhook_signature(order)?)];
        self.say("shop", headers, String::from_utf8_lossy(order).into_owned(), str::to_owned).await
    }

    /// The warehouse tells what it did, the last thing first. Of these orders it tells what it did
    /// before they left after that, and of those it keeps to itself for now that they left.
    pub(super) async fn warehouse(
        &mut self,
        events: Vec<String>,
        left_first: &BTreeSet<String>,
        leave_unsaid: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let (mut now, mut after) = (Vec::new(), Vec::new());
        for body in events.into_iter().rev() {
            let Told { kind, order_id: order } = serde_json::from_str(&body)?;
            let event = Event { kind, order, body };
            let is_before = ["picked", "packed", "dispatched"].contains(&event.kind.as_str());
            let is_held = match event.kind.as_str() {
                "confirmed" => leave_unsaid.contains(&event.order),
                _ => is_before && left_first.contains(&event.order),
            };
            if is_held {
                self.held_back.push(event);
                continue;
            }
            if event.kind == "confirmed" {
                after.extend(
                    self.held_back
                        .extract_if(.., |held| held.order == event.order)
                        .collect::<Vec<_>>()
                        .into_iter()
                        .rev(),
                );
            }
            now.push(event);
        }
        self.tell(now).await?;
        self.tell(after).await
    }

    /// The warehouse tells what it kept to itself.
    pub(super) async fn warehouse_recalls(&mut self) -> anyhow::Result<()> {
        let events = std::mem::take(&mut self.held_back);
        self.tell(events).await
    }

    /// The warehouse tells how much there is of its items, the last first. Every other level gets
    /// through the next time only, behind what was counted since.
    pub(super) async fn levels(&mut self, mut levels: Vec<String>, all_get_through: bool) -> anyhow::Result<()> {
        levels.reverse();
        let mut place = 0_usize;
        let late: Vec<String> = levels
            .extract_if(.., |_| {
                place += 1;
                !all_get_through && place.is_multiple_of(2)
            })
            .collect();
        levels.extend(std::mem::replace(&mut self.late, late));
        let token = format!("Bearer {}", self.secrets.warehouse);
        for levels in levels.chunks(EVENTS_AT_ONCE) {
            let headers = vec![("authorization", token.clone()), ("content-type", "application/json".to_owned())];
            let body = format!("[{}]", levels.join(","));
            let again = body.replace("\"id\":\"", "\"id\":\"again-");
            self.say("warehouse", headers, body, |_| again).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        let token = format!("Bearer {}", self.secrets.warehouse);
        for events in events.chunks(EVENTS_AT_ONCE) {
            self.spoken.extend(events.iter().map(|event| (event.order.clone(), event.kind.clone())));
            let headers = vec![("authorization", token.clone()), ("content-type", "application/json".to_owned())];
            let list = |bodies: Vec<String>| format!("[{}]", bodies.join(","));
            let again = list(events.iter().map(Event::renamed).collect());
            let body = list(events.iter().map(|event| event.body.clone()).collect());
            self.say("warehouse", headers, body, |_| again).await?;
        }
        Ok(())
    }

    /// The ERP notifies that it posted something since, over a network that loses some of that and
    /// says some of it twice; what is in its lists by now is told by that. The orders of which the
    /// credit memo is there before the invoice, as the ERP calls them.
    pub(super) async fn posted(&mut self, systems: &mut Systems) -> anyhow::Result<Vec<String>> {
        for invoice in systems.erp.invoices() {
            let order = hyphened(&invoice.external_document_number);
            if !self.memo_first.contains(&order) && self.told.insert(invoice.number) {
                self.spoken.push((order, "invoice".to_owned()));
            }
        }
        let mut late = Vec::new();
        for memo in systems.erp.credit_memos() {
            if !self.told.insert(memo.number) {
                continue;
            }
            let order = hyphened(&memo.external_document_number);
            if self.memo_first.remove(&order) {
                late.push(memo.external_document_number);
            }
            self.spoken.push((order, "credit memo".to_owned()));
        }
        let calls = systems.erp.notifications(systems.changes_told, &self.secrets.client_state, true);
        systems.changes_told = systems.erp.change_count();
        for call in calls {
            // Each of its subscriptions has a channel of its own.
            let channel = if call.contains("/salesCreditMemos(") { "erp-memo-webhooks" } else { "erp-webhooks" };
            let headers = vec![("content-type", "application/json".to_owned())];
            self.say(channel, headers, call, str::to_owned).await?;
        }
        Ok(late)
    }

    /// Of these orders the ERP tells the credit memo before the invoice.
    pub(super) fn memo_first(&mut self, orders: BTreeSet<String>) {
        self.memo_first = orders;
    }

    /// Customer service tells that boxes of an order's line are to come back.
    pub(super) async fn service(&mut self, order: &str, line: &str, number: &str, boxes: i64) -> anyhow::Result<()> {
        self.spoken.push((order.to_owned(), "return requested".to_owned()));
        let quantity = json!({"value": boxes.to_string(), "scale": 0, "unit": "BX"});
        let line = json!({"lineNumber": line, "sku": PLAIN.sku, "quantity": quantity});
        let data = json!({"orderNumber": order, "returnNumber": number, "lines": [line]});
        let token = self.secrets.service.clone();
        self.cloud_events("service", &token, [("return.requested", number.to_owned(), data)]).await
    }

    /// The shop tells that somebody asks to send boxes of an order back.
    pub(super) async fn asked_back(&mut self, order: &str, message: &[u8]) -> anyhow::Result<()> {
        self.spoken.push((order.to_owned(), "return requested".to_owned()));
        self.shop(message).await
    }

    /// The payment processor tells of a payment.
    pub(super) async fn paid(&mut self, systems: &Systems, payment: &Payment, now: Instant) -> anyhow::Result<()> {
        self.spoken.push((payment.order_id.clone(), "payment".to_owned()));
        self.webhook(systems.payments.paid(payment, now.0 / 1_000)).await
    }

    /// The payment processor tells of the refunds that it made since.
    pub(super) async fn refunded(&mut self, systems: &mut Systems, now: Instant) -> anyhow::Result<()> {
        let refunds = systems.payments.refunds();
        for refund in refunds.iter().skip(systems.refunds_told) {
            self.webhook(systems.payments.refunded(refund, now.0 / 1_000)).await?;
        }
        systems.refunds_told = refunds.len();
        Ok(())
    }

    async fn webhook(&mut self, webhook: Webhook) -> anyhow::Result<()> {
        let headers = vec![("stripe-signature", webhook.signature), ("content-type", "application/json".to_owned())];
        let again = |body: &str| body.replacen("\"id\":\"evt_", "\"id\":\"evt_again_", 1);
        self.say("payments", headers, webhook.body, again).await
    }

    async fn cloud_events(
        &mut self,
        channel: &'static str,
        token: &str,
        events: impl IntoIterator<Item = (&'static str, String, Value)>,
    ) -> anyhow::Result<()> {
        let event = |(kind, id, data): (&str, String, Value)| {
            json!({
                "specversion": "1.0", "id": format!("{kind} {id}"), "source": format!("/{channel}"), "type": kind,
                "data": data,
            })
        };
        let events: Vec<Value> = events.into_iter().map(event).collect();
        for events in events.chunks(EVENTS_AT_ONCE) {
            let content_type = "application/cloudevents-batch+json".to_owned();
            let headers = vec![("authorization", format!("Bearer {token}")), ("content-type", content_type)];
            let again = |body: &str| body.replace("\"id\":\"", "\"id\":\"again ");
            self.say(channel, headers, json!(events).to_string(), again).await?;
        }
        Ok(())
    }

    /// Says something, and remembers how it is said once more.
    async fn say(
        &mut self,
        channel: &'static str,
        headers: Vec<(&'static str, String)>,
        body: String,
        again: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<()> {
        let message = Message { channel, body: again(&body), headers: headers.clone() };
        self.post(&Message { channel, headers, body }).await?;
        self.once.push(message);
        Ok(())
    }

    /// Everything that was said is said once more.
    pub(super) async fn say_again(&mut self, now: Instant) -> anyhow::Result<()> {
        for mut message in std::mem::take(&mut self.once) {
            // The processor signs each of its attempts anew.
            for (name, value) in &mut message.headers {
                if *name == "stripe-signature" {
                    *value = payment::signature(WEBHOOK_SECRET, now.0 / 1_000, message.body.as_bytes());
                }
            }
            self.again += 1;
            self.post(&message).await?;
        }
        Ok(())
    }

    async fn post(&mut self, message: &Message) -> anyhow::Result<()> {
        self.said += 1;
        let (channel, headers) = (message.channel, &message.headers);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (path, body) = (format!("/v1/channels/{channel}"), Bytes::copy_from_slice(message.body.as_bytes()));
        let answer = client::send(self.address, Method::POST, &path, &headers, body).await?;
        if answer.status >= 300 {
            bail!("channel `{channel}` answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    }
}

impl Event {
    /// In a message of another name, where it has a number by which it is known for the same.
    fn renamed(&self) -> String {
        let is_numbered = ["\"shipmentNumber\":", "\"returnNumber\":"].iter().any(|name| self.body.contains(name));
        if is_numbered { self.body.replacen("\"id\":\"", "\"id\":\"again-", 1) } else { self.body.clone() }
    }
}

/// The host's id of an order, of which the ERP leaves the hyphens out.
fn hyphened(order: &str) -> String {
    let digits: Vec<char> = order.chars().filter(|character| *character != '-').collect();
    let parts = [(0, 8), (8, 4), (12, 4), (16, 4), (20, 12)];
    let part = |(start, length): (usize, usize)| digits.iter().skip(start).take(length).collect::<String>();
    parts.map(part).join("-")
}

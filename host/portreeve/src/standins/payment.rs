//! A payment processor in the shape of Stripe's API, as far as refunds and lists go.
//!
//! ```text
//! GET  /v1/balance                                 200 {"object":"balance",…}
//! POST /v1/refunds          a form                 200 {"object":"refund","id","status",…}
//! GET  /v1/refunds?charge=…|payment_intent=…&limit=…&starting_after=…
//!                                                  200 {"object":"list","data":[…],"has_more"}
//! GET  /v1/balance_transactions?limit=…&created[gte]=…&starting_after=…&expand[]=data.source
//!                                                  200 the same: each movement of money, newest first
//! GET  /v1/charges/search?query=metadata["order_id"]:"…"
//!                                                  200 {"object":"search_result","data":[…]}
//! any refusal                                      4xx/5xx {"error":{"type","code","message"}}
//! ```
//!
//! Like the original it honours `Idempotency-Key`: the same key with the same form gets the
//! first answer again, a refusal as well, and with another form it is refused. What it refuses
//! before it looks at a payment is not remembered. Without a key every `POST` is a refund more,
//! as long as something of the payment is left, so that a test can count doubles. [`Mischief`]
//! is that of the ERP, by key and attempt.
//!
//! It sends nothing by itself: [`Webhook`]s are values, signed as the original signs them,
//! that whoever plays the processor posts. It accepts any credentials, knows one currency per
//! payment and no fees, and every refund succeeds at once.
//!
//! A movement of money is an object of its own, made when the money moves: of a charge when it is
//! captured, of a dispute when its money goes and once more when it comes back. It names what it is
//! of, and where that is asked for, it has that in its place as it is now.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use portreeve_model::Digest;
use serde_json::{Value, json};
use sha2::Sha256;

use super::erp::unescaped;
use super::mischief::{Drawn, Mischief, RETRY_AFTER, SLOW_ANSWER, Trick, hung_up};
use super::serving::{self, Serving};

/// The secret of the webhook endpoint.
pub const WEBHOOK_SECRET: &str = "whsec_cGF5bWVudHMtb2YtdGhlLXN0YW5kLWlu";

/// Bytes of a form. A larger one would only fill the memory of the process under test.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Payments, and refunds with the keys they came with, that are kept. A sender in a loop
/// meets a refusal before the process runs out of memory.
const KEPT_MAX: usize = 100_000;

/// Objects of a page, as the original has it.
const PAGE_MAX: usize = 100;
const PAGE_DEFAULT: usize = 10;

/// When the first object is made, in seconds: 2026-03-02T08:00:00Z. Each is a second later
/// than the one before it.
const BEGINNING_S: i64 = 1_772_438_400;

/// A payment that was captured, or authorised alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// `ch_…`
    pub charge: String,
    /// `pi_…`
    pub payment_intent: String,
    /// The order's id, in its metadata.
    pub order_id: String,
    /// In the currency's unit as the original counts it.
    pub amount: i64,
    /// Three small letters.
    pub currency: String,
    /// Its place among all entries of all stand-ins' ledgers.
    pub at: u64,
    created: i64,
    is_captured: bool,
}

/// A refund that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// `re_…`
    pub id: String,
    /// The charge that it is of.
    pub charge: String,
    /// The payment intent of that.
    pub payment_intent: String,
    /// As in [`Payment`].
    pub amount: i64,
    /// As in [`Payment`].
    pub currency: String,
    /// Why, in the original's words.
    pub reason: Option<String>,
    /// What the sender wrote into it.
    pub metadata: BTreeMap<String, String>,
    /// Its place among all entries of all stand-ins' ledgers.
    pub at: u64,
    created: i64,
}

/// An event as it is posted to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The event's JSON.
    pub body: String,
    /// The value of the header `Stripe-Signature`.
    pub signature: String,
}

/// Which way the money of a dispute goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispute {
    /// From the account.
    Withdrawn,
    /// Back to it.
    Reinstated,
}

/// A running payment processor. It stops when this is dropped; [`Payments::stop`] also waits
/// for it.
#[derive(Debug)]
pub struct Payments {
    serving: Serving,
    ledger: Ledger,
}

impl Payments {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(mischief: Mischief) -> io::Result<Self> {
        let ledger = Ledger { mischief, books: Arc::default() };
        Ok(Self { serving: Serving::start(routes(ledger.clone())).await?, ledger })
    }

    /// Scheme, host and port, for the setting `base-url` of a connector as well.
    #[must_use]
    pub fn origin(&self) -> String {
        self.serving.origin()
    }

    /// A customer pays for an order.
    #[must_use]
    pub fn pay(&self, order_id: &str, amount: i64, currency: &str) -> Payment {
        let authorised = self.authorise(order_id, amount, currency);
        self.capture(&authorised.charge).unwrap_or(authorised)
    }

    /// A customer lets somebody take so much later; no money moves by it.
    #[must_use]
    pub fn authorise(&self, order_id: &str, amount: i64, currency: &str) -> Payment {
        let mut books = self.ledger.lock();
        let (number, created) = (books.payments.len().saturating_add(1), books.next_second());
        let payment = Payment {
            charge: format!("ch_standin{number:06}"),
            payment_intent: format!("pi_standin{number:06}"),
            order_id: order_id.to_owned(),
            amount,
            currency: currency.to_owned(),
            at: serving::entry(),
            created,
            is_captured: false,
        };
        books.payments.push(payment.clone());
        payment
    }

    /// What was authorised is taken; none where there is nothing to take.
    #[must_use]
    pub fn capture(&self, charge: &str) -> Option<Payment> {
        let mut books = self.ledger.lock();
        let payment = books.payments.iter_mut().rfind(|payment| payment.charge == charge && !payment.is_captured)?;
        payment.is_captured = true;
        let payment = payment.clone();
        books.moves(Source::Charge(payment.charge.clone()));
        Some(payment)
    }

    /// So many seconds pass.
    pub fn pass(&self, seconds: i64) {
        let mut books = self.ledger.lock();
        books.seconds = books.seconds.saturating_add(seconds);
    }

    /// Another amount stands in a payment, and nobody was told.
    pub fn charge_otherwise(&self, charge: &str, amount: i64) {
        for payment in self.ledger.lock().payments.iter_mut().filter(|payment| payment.charge == charge) {
            payment.amount = amount;
        }
    }

    /// Another order stands in a payment, and nobody was told.
    pub fn pay_for(&self, charge: &str, order_id: &str) {
        for payment in self.ledger.lock().payments.iter_mut().filter(|payment| payment.charge == charge) {
            order_id.clone_into(&mut payment.order_id);
        }
    }

    /// Has a page have so many objects at most, whatever is asked for.
    pub fn page_by(&self, objects_max: usize) {
        self.ledger.lock().page_max = Some(objects_max);
    }

    /// All payments, in the order in which they were made.
    #[must_use]
    pub fn payments(&self) -> Vec<Payment> {
        self.ledger.lock().payments.clone()
    }

    /// All refunds, in the order in which they were made.
    #[must_use]
    pub fn refunds(&self) -> Vec<Refund> {
        self.ledger.lock().refunds.clone()
    }

    /// The event that a payment was captured, as it is sent at this second.
    #[must_use]
    pub fn paid(&self, payment: &Payment, at_s: i64) -> Webhook {
        self.event("charge.succeeded", payment.object(), at_s)
    }

    /// The event that a refund was made.
    #[must_use]
    pub fn refunded(&self, refund: &Refund, at_s: i64) -> Webhook {
        self.event("refund.created", refund.object(), at_s)
    }

    /// The event that all of a payment is withdrawn, or comes back. The dispute names the
    /// order, which the original does where somebody wrote it into its metadata.
    #[must_use]
    pub fn disputed(&self, payment: &Payment, way: Dispute, at_s: i64) -> Webhook {
        let (kind, status) = match way {
            Dispute::Withdrawn => ("charge.dispute.funds_withdrawn", "needs_response"),
            Dispute::Reinstated => ("charge.dispute.funds_reinstated", "won"),
        };
        let id = payment.charge.replacen("ch_", "dp_", 1);
        let dispute = json!({
            "id": id, "object": "dispute", "status": status, "amount": payment.amount, "currency": payment.currency,
            "charge": payment.charge, "payment_intent": payment.payment_intent, "created": payment.created,
            "balance_transactions": [], "metadata": {"order_id": payment.order_id},
        });
        self.ledger.lock().dispute(&id, &dispute, payment, way);
        self.event(kind, dispute, at_s)
    }

    /// An event about any object, signed.
    #[must_use]
    pub fn event(&self, kind: &str, object: Value, at_s: i64) -> Webhook {
        let mut books = self.ledger.lock();
        books.events = books.events.saturating_add(1);
        let event = json!({
            "id": format!("evt_standin{:06}", books.events), "object": "event", "api_version": "2024-10-28.acacia",
            "created": at_s, "livemode": false, "pending_webhooks": 1, "type": kind, "data": {"object": object},
        });
        let body = event.to_string();
        let signature = signature(WEBHOOK_SECRET, at_s, body.as_bytes());
        Webhook { body, signature }
    }

    /// From now on its mischief follows from this seed as well.
    pub fn draw_by(&self, seed: u64) {
        self.ledger.lock().seed = Some(seed);
    }

    /// What its mischief drew so far, for each attempt at each thing.
    #[must_use]
    pub fn drawn(&self) -> Vec<Drawn> {
        let books = self.ledger.lock();
        self.ledger.mischief.drawn(books.seed, books.attempts.iter().map(|(about, count)| (about.as_str(), *count)))
    }

    /// Stops: requests under way are answered, new ones find the port closed.
    ///
    /// # Errors
    /// When the server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        self.serving.stop().await
    }
}

/// The header of a body that is sent at this second, under a secret.
#[must_use]
pub fn signature(secret: &str, at_s: i64, body: &[u8]) -> String {
    let signed = [at_s.to_string().as_bytes(), b".", body].concat();
    // HMAC takes keys of any length.
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(signed).finalize());
    format!("t={at_s},v1={}", mac.map(|mac| hex::encode(mac.into_bytes())).unwrap_or_default())
}

impl Payment {
    fn object(&self) -> Value {
        json!({
            "id": self.charge, "object": "charge", "status": "succeeded", "paid": true, "captured": self.is_captured,
            "amount": self.amount, "amount_captured": if self.is_captured { self.amount } else { 0 },
            "currency": self.currency,
            "created": self.created, "payment_intent": self.payment_intent, "balance_transaction": null,
            "metadata": {"order_id": self.order_id},
        })
    }
}

impl Refund {
    fn object(&self) -> Value {
        json!({
            "id": self.id, "object": "refund", "status": "succeeded", "amount": self.amount,
            "currency": self.currency, "charge": self.charge, "payment_intent": self.payment_intent,
            "created": self.created, "reason": self.reason, "metadata": self.metadata,
        })
    }
}

fn routes(ledger: Ledger) -> Router {
    Router::new()
        .route("/v1/balance", get(async || Json(json!({"object": "balance", "available": [], "pending": []}))))
        .route("/v1/refunds", get(list_refunds).post(make_refund))
        .route("/v1/balance_transactions", get(list_movements))
        .route("/v1/charges/search", get(search_charges))
        .fallback(async || Refusal::unknown_url())
        .method_not_allowed_fallback(async || Refusal::unknown_url())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(ledger)
}

async fn search_charges(State(ledger): State<Ledger>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let query = Form::read(query.unwrap_or_default().as_bytes())?;
    let searched = query.value("query").ok_or_else(|| Refusal::missing("query"))?;
    let order = searched.strip_prefix("metadata[\"order_id\"]:\"").and_then(|rest| rest.strip_suffix('"'));
    let order = order
        .filter(|order| !order.contains('"'))
        .ok_or_else(|| Refusal::invalid("search_query_invalid", "expected metadata[\"order_id\"]:\"…\"".to_owned()))?;
    let limit = query.limit()?;
    let books = ledger.lock();
    let found: Vec<&Payment> = books.payments.iter().rev().filter(|payment| payment.order_id == order).collect();
    let data: Vec<Value> = found.iter().take(limit).map(|payment| payment.object()).collect();
    Ok(Json(json!({"object": "search_result", "data": data, "has_more": found.len() > limit})).into_response())
}

/// A page of objects, newest first, each with its id and when it was made.
fn listed(ledger: &Ledger, name: &str, query: &Form, objects: Vec<(String, i64, Value)>) -> Result<Response, Refusal> {
    let since: i64 = match query.value("created[gte]") {
        Some(since) => since.parse().map_err(|_| {
            Refusal::invalid("parameter_invalid_integer", format!("Invalid integer: {}", since.escape_debug()))
        })?,
        None => i64::MIN,
    };
    let limit = query.limit()?.min(ledger.lock().page_max.unwrap_or(PAGE_MAX));
    let mut found: Vec<_> = objects.into_iter().rev().filter(|(_, created, _)| *created >= since).collect();
    if let Some(after) = query.value("starting_after") {
        let at = found.iter().position(|(id, ..)| id == after).ok_or_else(|| Refusal::no_such(name))?;
        found.drain(..=at);
    }
    let has_more = found.len() > limit;
    let data: Vec<Value> = found.into_iter().take(limit).map(|(.., object)| object).collect();
    let page = json!({"object": "list", "url": format!("/v1/{name}s"), "data": data, "has_more": has_more});
    Ok(Json(page).into_response())
}

async fn list_movements(State(ledger): State<Ledger>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let query = Form::read(query.unwrap_or_default().as_bytes())?;
    let is_whole = query.0.iter().any(|(name, value)| name == "expand[]" && value == "data.source");
    let movements = ledger.lock().movements_listed(is_whole);
    listed(&ledger, "balance_transaction", &query, movements)
}

async fn list_refunds(State(ledger): State<Ledger>, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let query = Form::read(query.unwrap_or_default().as_bytes())?;
    let is_wanted = |refund: &&Refund| {
        query.value("charge").is_none_or(|charge| charge == refund.charge)
            && query.value("payment_intent").is_none_or(|intent| intent == refund.payment_intent)
    };
    let of = |refund: &Refund| (refund.id.clone(), refund.created, refund.object());
    let refunds = ledger.lock().refunds.iter().filter(is_wanted).map(of).collect();
    listed(&ledger, "refund", &query, refunds)
}

async fn make_refund(
    State(ledger): State<Ledger>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|error| Refusal {
        status: error.status(),
        kind: "invalid_request_error",
        code: None,
        message: error.body_text(),
    })?;
    let form = Form::read(&body)?;
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let (trick, answer) = attempted(&ledger, key, &form, Digest::of(&body))?;
    match trick {
        Some(Trick::SlowAfter) => tokio::time::sleep(SLOW_ANSWER).await,
        Some(Trick::DropAfter) => return Ok(hung_up()),
        _ => {}
    }
    answer.map(|refund| Json(refund).into_response())
}

/// What happened to an attempt that was looked at, and its answer.
type Attempted = (Option<Trick>, Result<Value, Refusal>);

fn attempted(ledger: &Ledger, key: Option<&str>, form: &Form, said: Digest) -> Result<Attempted, Refusal> {
    let mut books = ledger.lock();
    let about = books.called(form).unwrap_or_else(|| key.map_or_else(|| said.to_string(), str::to_owned));
    let trick = books.trick(&ledger.mischief, &about)?;
    match trick {
        Some(Trick::Throttle) => return Err(Refusal::throttled()),
        Some(Trick::FailBefore) => return Err(Refusal::failed()),
        Some(Trick::Reject) => {
            let message = "The payment has been charged back; it cannot be refunded.".to_owned();
            return Err(Refusal::invalid("charge_disputed", message));
        }
        Some(Trick::DropAfter | Trick::SlowAfter) | None => {}
    }
    if let Some((first, answer)) = key.and_then(|key| books.answers.get(key)) {
        return if *first == said { Ok((trick, answer.clone())) } else { Err(Refusal::another_request()) };
    }
    let asked = Asked::of(form)?;
    let answer = books.refund(asked).map(|refund| refund.object());
    if let Some(key) = key {
        books.answers.insert(key.to_owned(), (said, answer.clone()));
    }
    Ok((trick, answer))
}

/// Fields of a form or a query.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = || Refusal::invalid("parameter_invalid", "the form cannot be read".to_owned());
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescaped(name)?, unescaped(value)?))
        });
        pairs.collect::<Option<Vec<_>>>().map(Self).ok_or_else(malformed)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn limit(&self) -> Result<usize, Refusal> {
        let Some(limit) = self.value("limit") else { return Ok(PAGE_DEFAULT) };
        limit
            .parse()
            .ok()
            .filter(|limit| (1..=PAGE_MAX).contains(limit))
            .ok_or_else(|| Refusal::invalid("parameter_invalid_integer", format!("limit must be 1 to {PAGE_MAX}")))
    }
}

/// A refund that is asked for.
struct Asked<'a> {
    charge: Option<&'a str>,
    payment_intent: Option<&'a str>,
    amount: Option<i64>,
    reason: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl<'a> Asked<'a> {
    fn of(form: &'a Form) -> Result<Self, Refusal> {
        let (charge, payment_intent) = (form.value("charge"), form.value("payment_intent"));
        if charge.is_none() && payment_intent.is_none() {
            return Err(Refusal::missing("payment_intent"));
        }
        let amount = form.value("amount").map(|text| text.parse::<i64>().ok().filter(|amount| *amount > 0).ok_or(text));
        let amount = amount.transpose().map_err(|text| {
            Refusal::invalid("parameter_invalid_integer", format!("Invalid integer: {}", text.escape_debug()))
        })?;
        let reason = form.value("reason").map(str::to_owned);
        if reason.as_deref().is_some_and(|reason| !REASONS.contains(&reason)) {
            return Err(Refusal::invalid("parameter_invalid", format!("reason must be one of {}", REASONS.join(", "))));
        }
        let metadata = form.0.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.clone()))
        });
        Ok(Self { charge, payment_intent, amount, reason, metadata: metadata.collect() })
    }

    fn is_of(&self, payment: &Payment) -> bool {
        self.charge.is_none_or(|charge| charge == payment.charge)
            && self.payment_intent.is_none_or(|intent| intent == payment.payment_intent)
    }
}

/// The original's words for why.
const REASONS: [&str; 3] = ["duplicate", "fraudulent", "requested_by_customer"];

/// The processor's memory, shared with the handlers. Its lock is never held across an `await`.
#[derive(Debug, Clone)]
struct Ledger {
    mischief: Mischief,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    payments: Vec<Payment>,
    refunds: Vec<Refund>,
    /// By id, as they are now.
    disputes: BTreeMap<String, Value>,
    /// In the order in which money moved.
    movements: Vec<Movement>,
    /// Objects of a page at most, where somebody asked for fewer.
    page_max: Option<usize>,
    /// By idempotency key: a digest of what was asked, and the answer.
    answers: BTreeMap<String, (Digest, Result<Value, Refusal>)>,
    attempts: BTreeMap<String, u32>,
    /// What mischief follows from beside what is tried.
    seed: Option<u64>,
    events: usize,
    seconds: i64,
}

/// Money that moved.
#[derive(Debug, Clone)]
struct Movement {
    /// `txn_…`
    id: String,
    of: Source,
    created: i64,
}

/// By what money moved, each with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Charge(String),
    Refund(String),
    Dispute(String, Dispute),
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn next_second(&mut self) -> i64 {
        self.seconds = self.seconds.saturating_add(1);
        BEGINNING_S.saturating_add(self.seconds)
    }

    /// Keeps that money moved now.
    fn moves(&mut self, of: Source) {
        let (number, created) = (self.movements.len().saturating_add(1), self.next_second());
        self.movements.push(Movement { id: format!("txn_standin{number:06}"), of, created });
    }

    /// Keeps how far a dispute is, with its movements on the balance. What comes back went before.
    fn dispute(&mut self, id: &str, dispute: &Value, payment: &Payment, way: Dispute) {
        let ways = [Dispute::Withdrawn, Dispute::Reinstated];
        for way in ways.into_iter().take(if way == Dispute::Reinstated { 2 } else { 1 }) {
            let of = Source::Dispute(id.to_owned(), way);
            if !self.movements.iter().any(|movement| movement.of == of) {
                self.moves(of);
            }
        }
        let of_it = |movement: &&Movement| matches!(&movement.of, Source::Dispute(known, _) if known == id);
        let moved = self.movements.iter().filter(of_it).map(|movement| {
            let amount = match movement.of {
                Source::Dispute(_, Dispute::Reinstated) => payment.amount,
                _ => payment.amount.saturating_neg(),
            };
            movement.object("adjustment", amount, &payment.currency, id.into())
        });
        let moved: Vec<Value> = moved.collect();
        let mut dispute = dispute.clone();
        if let Some(members) = dispute.as_object_mut() {
            members.insert("balance_transactions".to_owned(), Value::from(moved));
        }
        self.disputes.insert(id.to_owned(), dispute);
    }

    /// Each movement with its id and when it was made; with what moved in its place, where that is asked
    /// for.
    fn movements_listed(&self, is_whole: bool) -> Vec<(String, i64, Value)> {
        let listed = self.movements.iter().filter_map(|movement| {
            let (kind, amount, currency, id, whole) = match &movement.of {
                Source::Charge(charge) => {
                    let payment = self.payments.iter().find(|payment| payment.charge == *charge)?;
                    ("charge", payment.amount, payment.currency.clone(), charge, payment.object())
                }
                Source::Refund(refund) => {
                    let refund = self.refunds.iter().find(|known| known.id == *refund)?;
                    ("refund", refund.amount.saturating_neg(), refund.currency.clone(), &refund.id, refund.object())
                }
                Source::Dispute(id, way) => {
                    let dispute = self.disputes.get(id)?;
                    let amount = dispute.get("amount").and_then(Value::as_i64)?;
                    let amount = if *way == Dispute::Reinstated { amount } else { amount.saturating_neg() };
                    let currency = dispute.get("currency").and_then(Value::as_str)?.to_owned();
                    ("adjustment", amount, currency, id, dispute.clone())
                }
            };
            let source = if is_whole { whole } else { id.as_str().into() };
            Some((movement.id.clone(), movement.created, movement.object(kind, amount, &currency, source)))
        });
        listed.collect()
    }

    /// Counts an attempt and says what happens to it.
    fn trick(&mut self, mischief: &Mischief, key: &str) -> Result<Option<Trick>, Refusal> {
        if self.attempts.len() >= KEPT_MAX && !self.attempts.contains_key(key) {
            return Err(Refusal::full());
        }
        let count = self.attempts.entry(key.to_owned()).or_default();
        let attempt = *count;
        *count = count.saturating_add(1);
        Ok(mischief.trick_of(self.seed, key, attempt))
    }

    /// How an attempt is called in the run of a seed: by the order whose money it is, since keys and
    /// ids follow from who came first.
    fn called(&self, form: &Form) -> Option<String> {
        self.seed?;
        let asked = Asked::of(form).ok()?;
        let payment = self.payments.iter().find(|payment| asked.is_of(payment))?;
        Some(format!("refund {} of {}", asked.amount.unwrap_or(payment.amount), payment.order_id))
    }

    fn refund(&mut self, asked: Asked<'_>) -> Result<Refund, Refusal> {
        let payment = self.payments.iter().find(|payment| payment.is_captured && asked.is_of(payment)).cloned();
        let payment = payment.ok_or_else(|| Refusal::no_such("payment_intent"))?;
        let of_payment = self.refunds.iter().filter(|refund| refund.charge == payment.charge);
        let left = of_payment.fold(payment.amount, |left, refund| left.saturating_sub(refund.amount));
        let amount = asked.amount.unwrap_or(left);
        if left <= 0 {
            let message = format!("Charge {} has already been refunded.", payment.charge);
            return Err(Refusal::invalid("charge_already_refunded", message));
        }
        if amount > left {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(Refusal::invalid("amount_too_large", message));
        }
        if self.refunds.len() >= KEPT_MAX {
            return Err(Refusal::full());
        }
        let created = self.next_second();
        let refund = Refund {
            id: format!("re_standin{:06}", self.refunds.len().saturating_add(1)),
            charge: payment.charge,
            payment_intent: payment.payment_intent,
            amount,
            currency: payment.currency,
            reason: asked.reason,
            metadata: asked.metadata,
            at: serving::entry(),
            created,
        };
        self.refunds.push(refund.clone());
        self.moves(Source::Refund(refund.id.clone()));
        Ok(refund)
    }
}

impl Movement {
    fn object(&self, kind: &str, amount: i64, currency: &str, source: Value) -> Value {
        let Self { id, created, .. } = self;
        json!({
            "id": id, "object": "balance_transaction", "type": kind, "amount": amount, "currency": currency,
            "fee": 0, "net": amount, "status": "available", "created": created, "available_on": created,
            "source": source,
        })
    }
}

/// An answer that says no, in the original's words and shape.
#[derive(Debug, Clone)]
struct Refusal {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
}

impl Refusal {
    fn invalid(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "invalid_request_error", code: Some(code), message }
    }

    fn missing(parameter: &str) -> Self {
        Self::invalid("parameter_missing", format!("Missing required param: {parameter}."))
    }

    fn no_such(object: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::invalid("resource_missing", format!("No such {object}")) }
    }

    fn another_request() -> Self {
        let message =
            "Keys for idempotent requests can only be used with the same parameters they were first used with.";
        Self { code: None, kind: "idempotency_error", ..Self::invalid("", message.to_owned()) }
    }

    fn throttled() -> Self {
        let message = "Request rate limit exceeded.".to_owned();
        Self { status: StatusCode::TOO_MANY_REQUESTS, ..Self::invalid("rate_limit", message) }
    }

    fn failed() -> Self {
        let message = "something went wrong; nothing was said about what happened".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "api_error", code: None, message }
    }

    fn unknown_url() -> Self {
        let message = "Unrecognized request URL.".to_owned();
        Self { status: StatusCode::NOT_FOUND, kind: "invalid_request_error", code: None, message }
    }

    fn full() -> Self {
        let message = "the stand-in keeps no more; start a new one".to_owned();
        Self { status: StatusCode::INSUFFICIENT_STORAGE, kind: "api_error", code: None, message }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({"type": self.kind, "message": self.message});
        if let (Some(code), Some(error)) = (self.code, error.as_object_mut()) {
            error.insert("code".to_owned(), code.into());
        }
        let answer = (self.status, Json(json!({"error": error})));
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => (RETRY_AFTER, answer).into_response(),
            _ => answer.into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use hyper::Method;

    use super::*;
    use crate::client;

    /// Status and answer.
    async fn asked(payments: &Payments, method: Method, path: &str, key: &str, form: &str) -> (u16, Value) {
        let headers = [("idempotency-key", key)];
        let headers = if key.is_empty() { &[][..] } else { &headers };
        let form = Bytes::from(form.to_owned());
        let answer = client::send(payments.serving.address(), method, path, headers, form).await.unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    async fn refund(payments: &Payments, key: &str, form: &str) -> (u16, Value) {
        asked(payments, Method::POST, "/v1/refunds", key, form).await
    }

    async fn listed(payments: &Payments, path: &str) -> (Vec<String>, Value) {
        let (status, page) = asked(payments, Method::GET, path, "", "").await;
        assert_eq!(status, 200, "{page}");
        let ids = page["data"].as_array().unwrap().iter().map(|object| object["id"].as_str().unwrap().to_owned());
        (ids.collect(), page["has_more"].clone())
    }

    fn code(answer: &(u16, Value)) -> (u16, &str) {
        let error = &answer.1["error"];
        (answer.0, error["code"].as_str().or(error["type"].as_str()).unwrap())
    }

    #[tokio::test]
    async fn the_same_key_has_one_answer_and_no_key_a_refund_each() {
        let payments = Payments::start(Mischief::default()).await.unwrap();
        let payment = payments.pay("order", 100, "usd");
        let form = format!("payment_intent={}&amount=30&metadata[refund_number]=RF%2D1", payment.payment_intent);
        let first = refund(&payments, "key", &form).await;
        assert_eq!((first.0, first.1["metadata"]["refund_number"].as_str()), (200, Some("RF-1")));
        assert!(payment.at < payments.refunds()[0].at && first.1.get("at").is_none(), "{}", first.1);
        assert_eq!(refund(&payments, "key", &form).await, first);
        assert_eq!(code(&refund(&payments, "key", &form.replace("30", "31")).await), (400, "idempotency_error"));
        for _ in 0..2 {
            assert_eq!(refund(&payments, "", &form).await.0, 200);
        }
        assert_eq!(payments.refunds().len(), 3);
        // A refusal is remembered as well, although there is nothing left to refuse any more.
        let beyond = format!("charge={}&amount=20", payment.charge);
        assert_eq!(code(&refund(&payments, "beyond", &beyond).await), (400, "amount_too_large"));
        assert_eq!(refund(&payments, "rest", &format!("charge={}", payment.charge)).await.1["amount"], 10);
        assert_eq!(code(&refund(&payments, "beyond", &beyond).await), (400, "amount_too_large"));
        assert_eq!(code(&refund(&payments, "more", &beyond).await), (400, "charge_already_refunded"));
        payments.stop().await.unwrap();
    }

    #[tokio::test]
    async fn refuses_nonsense_and_remembers_none_of_it() {
        let payments = Payments::start(Mischief::default()).await.unwrap();
        let payment = payments.pay("order", 100, "usd");
        let of = |more: &str| format!("charge={}{more}", payment.charge);
        for (form, status, expected) in [
            ("amount=1".to_owned(), 400, "parameter_missing"),
            (of("&amount=0"), 400, "parameter_invalid_integer"),
            (of("&amount=1.5"), 400, "parameter_invalid_integer"),
            (of("&reason=because"), 400, "parameter_invalid"),
            (of("&amount=%zz"), 400, "parameter_invalid"),
        ] {
            assert_eq!(code(&refund(&payments, "key", &form).await), (status, expected), "{form}");
        }
        assert_eq!(code(&refund(&payments, "unknown", "charge=ch_9").await), (404, "resource_missing"));
        assert_eq!(refund(&payments, "key", &of("&amount=1")).await.0, 200, "the key was not used up");
        let elsewhere = asked(&payments, Method::GET, "/v1/customers", "", "").await;
        assert_eq!(code(&elsewhere), (404, "invalid_request_error"));
        payments.stop().await.unwrap();
    }

    #[tokio::test]
    async fn lists_newest_first_page_by_page_and_by_payment() {
        let payments = Payments::start(Mischief::default()).await.unwrap();
        let (one, other) = (payments.pay("order", 100, "usd"), payments.pay("order-2", 100, "usd"));
        for payment in [&one, &one, &other, &one] {
            assert_eq!(refund(&payments, "", &format!("charge={}&amount=1", payment.charge)).await.0, 200);
        }
        let ids: Vec<String> = payments.refunds().into_iter().map(|refund| refund.id).collect();
        let path = format!("/v1/refunds?payment_intent={}&limit=2", one.payment_intent);
        assert_eq!(listed(&payments, &path).await, (vec![ids[3].clone(), ids[1].clone()], json!(true)));
        let next = format!("{path}&starting_after={}", ids[1]);
        assert_eq!(listed(&payments, &next).await, (vec![ids[0].clone()], json!(false)));
        assert_eq!(listed(&payments, &format!("/v1/refunds?charge={}", other.charge)).await.0, [ids[2].clone()]);
        for limit in ["0", "101", "x"] {
            let answer = asked(&payments, Method::GET, &format!("/v1/refunds?limit={limit}"), "", "").await;
            assert_eq!(code(&answer), (400, "parameter_invalid_integer"));
        }
        let search = |order: &str| format!("/v1/charges/search?query=metadata%5B%22order_id%22%5D%3A%22{order}%22");
        assert_eq!(listed(&payments, &search("order")).await.0, [one.charge]);
        assert_eq!(listed(&payments, &search("order-3")).await.0, Vec::<String>::new());
        let open = asked(&payments, Method::GET, "/v1/charges/search?query=amount%3E0", "", "").await;
        assert_eq!(code(&open), (400, "search_query_invalid"));
        payments.stop().await.unwrap();
    }

    #[tokio::test]
    async fn money_that_moves_is_listed_by_when_it_moved_with_what_moved_it() {
        let payments = Payments::start(Mischief::default()).await.unwrap();
        let (paid, authorised) = (payments.pay("order", 100, "usd"), payments.authorise("order-2", 50, "usd"));
        let of = |page: &Value| -> Vec<(String, i64, String)> {
            let told = |row: &Value| {
                let source = row["source"].as_str().or(row["source"]["id"].as_str()).unwrap().to_owned();
                (row["type"].as_str().unwrap().to_owned(), row["amount"].as_i64().unwrap(), source)
            };
            page["data"].as_array().unwrap().iter().map(told).collect()
        };
        let all = "/v1/balance_transactions?limit=100&expand[]=data.source";
        let charge = |amount, payment: &Payment| ("charge".to_owned(), amount, payment.charge.clone());
        assert_eq!(of(&asked(&payments, Method::GET, all, "", "").await.1), [charge(100, &paid)]);
        let uncaptured = refund(&payments, "early", &format!("charge={}", authorised.charge)).await;
        assert_eq!(code(&uncaptured), (404, "resource_missing"));

        payments.pass(86_400);
        let captured = payments.capture(&authorised.charge).unwrap();
        assert_eq!(payments.capture(&authorised.charge), None, "once");
        for way in [Dispute::Withdrawn, Dispute::Withdrawn, Dispute::Reinstated] {
            drop(payments.disputed(&paid, way, 0));
        }
        assert_eq!(refund(&payments, "key", &format!("charge={}&amount=20", paid.charge)).await.0, 200);
        let dispute = paid.charge.replacen("ch_", "dp_", 1);
        let moved = |kind: &str, amount, id: &str| (kind.to_owned(), amount, id.to_owned());
        let later = [
            moved("refund", -20, &payments.refunds()[0].id),
            moved("adjustment", 100, &dispute),
            moved("adjustment", -100, &dispute),
            charge(50, &captured),
        ];
        let since = BEGINNING_S + 86_400;
        let page = asked(&payments, Method::GET, &format!("{all}&created[gte]={since}"), "", "").await.1;
        assert_eq!(of(&page), later, "the charge was authorised a day before");
        let dispute = &page["data"][1]["source"];
        assert_eq!(
            (dispute["object"].as_str(), dispute["balance_transactions"][1]["amount"].as_i64()),
            (Some("dispute"), Some(100))
        );
        // Without a word, what moved is named and no more; page by page it goes on behind a movement.
        let (ids, more) = listed(&payments, "/v1/balance_transactions?limit=2").await;
        assert_eq!((ids.len(), more), (2, json!(true)));
        let next = format!("/v1/balance_transactions?limit=2&starting_after={}", ids[1]);
        let page = asked(&payments, Method::GET, &next, "", "").await.1;
        assert_eq!((of(&page), page["data"][0]["source"].is_string()), (later[2..].to_vec(), true));
        payments.stop().await.unwrap();
    }

    #[tokio::test]
    async fn misbehaves_as_it_is_told_and_serves_the_attempts_after() {
        for (mischief, status) in [
            (Mischief { throttle_per_mille: 1_000, ..Mischief::default() }, 429),
            (Mischief { fail_before_per_mille: 1_000, ..Mischief::default() }, 500),
            (Mischief { reject_per_mille: 1_000, ..Mischief::default() }, 400),
        ] {
            let payments = Payments::start(mischief).await.unwrap();
            let form = format!("charge={}", payments.pay("order", 100, "usd").charge);
            for _ in 0..2 {
                assert_eq!(refund(&payments, "key", &form).await.0, status);
                assert_eq!(payments.refunds(), []);
            }
            assert_eq!(refund(&payments, "key", &form).await.0, 200);
            payments.stop().await.unwrap();
        }
        let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
        let payments = Payments::start(lost).await.unwrap();
        let form = Bytes::from(format!("charge={}", payments.pay("order", 100, "usd").charge));
        let headers = [("idempotency-key", "key")];
        for _ in 0..2 {
            let answer =
                client::send(payments.serving.address(), Method::POST, "/v1/refunds", &headers, form.clone()).await;
            assert!(answer.is_err(), "the connection was closed without a word");
            assert_eq!(payments.refunds().len(), 1);
        }
        payments.stop().await.unwrap();
    }
}

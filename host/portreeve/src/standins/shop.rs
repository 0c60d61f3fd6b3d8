//! A web shop in the shape of Adobe Commerce's REST API, as far as what becomes of its orders goes.
//!
//! ```text
//! GET  /rest/all/V1/orders?searchCriteria…            200 {"items":[{"entity_id",…}],"total_count"}
//! POST /rest/all/V1/orders           {"entity":{…}}   200 the order
//! POST /rest/all/V1/orders/ID/comments                200 true
//! GET  /rest/all/V1/orders/ID/comments                200 {"items":[{"comment",…}],"total_count"}
//! POST /rest/all/V1/orders/ID/cancel                  200 true, or false
//! POST /rest/all/V1/order/ID/ship | invoice | refund  200 the document's id
//! GET  /rest/all/V1/shipments | invoices | creditmemos | returns?searchCriteria…
//! POST /rest/all/V1/inventory/source-items             200 []
//! GET  /rest/all/V1/inventory/source-items?searchCriteria…
//! any refusal                                         4xx/5xx {"message","parameters"}
//! ```
//!
//! Like the original it knows no idempotency key: a second `ship` is a second shipment, as long as
//! something is left to ship, and is refused with 400 then. A request without items takes all that
//! is left. Quantities are kept to four places, and of an item that is sold whole to none, without
//! a word. What the original did in some versions it does always: an order that is saved without
//! its `increment_id` gets another one, a comment without a status clears that of its order.
//! [`Mischief`] is that of the ERP, by path, content and attempt; only what is posted meets it.
//!
//! With an [`Integration`] it takes only requests that are signed by OAuth 1.0a as that, each nonce
//! once; without one it takes everybody. It posts nothing by itself: [`webhook_signature`] is what
//! proves a webhook that somebody sends for it. It sends no mail but counts what it would have sent. It
//! filters by `eq`, `gteq` and `in` alone, sorts upwards, and gives all fields, whatever `fields` asks
//! for; who asks behind the last page gets that one once more. An order is listed in the words that it was
//! placed with, beside how it stands. It knows no taxes and
//! discounts, and captures whatever it is told to. What it may sell of an item is what it was told
//! last: unlike the original it reserves nothing for an order, and a shipment takes nothing away.

mod answer;
mod basket;
mod books;
mod returns;
mod signed;
mod stock;
mod webhook;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use portreeve_model::Digest;
use portreeve_model::value::Decimal;
use portreeve_pipeline::Clock;
use serde_json::{Value, json};

use super::mischief::{Mischief, SLOW_ANSWER, Trick, hung_up};
use super::serving::Serving;
use answer::{Page, Refusal, document, listed};
use books::Books;

pub use basket::Basket;
pub use books::{Fixed, ShopComment, ShopDocument, ShopDocumentKind, ShopItem, ShopOrder};
pub use returns::ShopReturn;
pub use signed::Integration;
pub use stock::SourceItem;
pub use webhook::{WEBHOOK_PUBLIC_KEY, WEBHOOK_SIGNATURE, webhook_signature};

/// Where the API begins; in front of `/V1`.
const REST: &str = "/rest/all";

/// Bytes of a request's body. A larger one would only fill the memory of the process under test.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// A running shop. It stops when this is dropped; [`Shop::stop`] also waits for it.
#[derive(Debug)]
pub struct Shop {
    serving: Serving,
    ledger: Ledger,
}

impl Shop {
    /// Starts on a free loopback port, for everybody.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(mischief: Mischief) -> io::Result<Self> {
        Self::start_for(None, mischief).await
    }

    /// Starts on a free loopback port, for this integration alone where there is one.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start_for(integration: Option<Integration>, mischief: Mischief) -> io::Result<Self> {
        let ledger = Ledger { mischief, integration: integration.map(Arc::new), books: Arc::default() };
        Ok(Self { serving: Serving::start(routes(ledger.clone())).await?, ledger })
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.serving.origin()
    }

    /// What the setting `base-url` of a connector is.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}{REST}", self.serving.origin())
    }

    /// Has a customer place an order, as `GET V1/orders/ID` tells it or one of the shop's messages.
    ///
    /// # Errors
    /// A sentence, when the JSON is no order or its id is taken.
    pub fn place(&self, json: &[u8]) -> Result<(), String> {
        self.ledger.lock().place(json)
    }

    /// From now on it goes by this clock.
    pub fn know_the_time(&self, clock: Arc<dyn Clock>) {
        self.ledger.lock().know_the_time(clock);
    }

    /// Has a customer cancel an order, as he does in his account; whether it still could be.
    #[must_use]
    pub fn cancel(&self, entity_id: u64) -> bool {
        self.ledger.lock().cancel(entity_id).is_ok_and(|answer| answer == Value::Bool(true))
    }

    /// Has a customer ask to send so much of an item of an order back, as he does in his account.
    ///
    /// # Errors
    /// A sentence, when the order has no such item or not so much of it.
    pub fn ask_back(&self, entity_id: u64, item_id: u64, quantity: u32) -> Result<ShopReturn, String> {
        self.ledger.lock().ask_back(entity_id, item_id, quantity)
    }

    /// All orders, by their ids.
    #[must_use]
    pub fn orders(&self) -> Vec<ShopOrder> {
        self.ledger.lock().orders.values().cloned().collect()
    }

    /// All shipments, invoices and credit memos, in the order in which they were made.
    #[must_use]
    pub fn documents(&self, kind: ShopDocumentKind) -> Vec<ShopDocument> {
        self.ledger.lock().documents.iter().filter(|document| document.kind == kind).cloned().collect()
    }

    /// Has the shop sell so much of an item from a source; until then it knows neither.
    pub fn put(&self, source: &str, sku: &str, quantity: Decimal) {
        self.ledger.lock().stock.put(source, sku, &quantity);
    }

    /// What it may sell of an item from a source.
    #[must_use]
    pub fn stock(&self, source: &str, sku: &str) -> Decimal {
        self.ledger.lock().stock.quantity(source, sku).decimal()
    }

    /// What it may sell, by source and item.
    #[must_use]
    pub fn source_items(&self) -> Vec<SourceItem> {
        self.ledger.lock().stock.all().cloned().collect()
    }

    /// How many e-mails its customers would have got.
    #[must_use]
    pub fn mails(&self) -> usize {
        self.ledger.lock().mails
    }

    /// Stops: requests under way are answered, new ones find the port closed.
    ///
    /// # Errors
    /// When the server had failed before.
    pub async fn stop(self) -> io::Result<()> {
        self.serving.stop().await
    }
}

fn routes(ledger: Ledger) -> Router {
    let below = |path: &str| format!("{REST}/V1/{path}");
    Router::new()
        .route(&below("orders"), get(orders).post(save))
        .route(&below("orders/{id}/comments"), get(comments).post(comment))
        .route(&below("orders/{id}/cancel"), post(cancel))
        .route(&below("order/{id}/{act}"), post(act))
        .route(&below("inventory/source-items"), get(source_items).post(set_stock))
        .route(&below("returns"), get(returned))
        .route(&below("{list}"), get(documents))
        .fallback(async || Refusal::no_route())
        .method_not_allowed_fallback(async || Refusal::no_route())
        .layer(middleware::from_fn_with_state(ledger.clone(), authenticated))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(ledger)
}

/// Lets only the integration in, where there is one.
async fn authenticated(State(ledger): State<Ledger>, request: Request, next: Next) -> Response {
    let Some(integration) = &ledger.integration else { return next.run(request).await };
    let nonce = integration.nonce(request.method(), request.uri(), request.headers());
    let is_new = nonce.is_some_and(|nonce| ledger.lock().nonces.insert(nonce));
    if is_new { next.run(request).await } else { Refusal::unauthorized().into_response() }
}

async fn orders(State(ledger): State<Ledger>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refusal> {
    let books = ledger.lock();
    let all = books.orders.values().map(listed).collect();
    Page::read(query.as_deref())?.of(all)
}

async fn documents(
    State(ledger): State<Ledger>,
    Path(list): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refusal> {
    let kind = ShopDocumentKind::listed_as(&list).ok_or_else(Refusal::no_route)?;
    let books = ledger.lock();
    let all = books.documents.iter().filter(|document| document.kind == kind).map(document).collect();
    Page::read(query.as_deref())?.of(all)
}

async fn returned(State(ledger): State<Ledger>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refusal> {
    let books = ledger.lock();
    let all = books.returns.iter().map(ShopReturn::listed).collect();
    Page::read(query.as_deref())?.of(all)
}

async fn comments(State(ledger): State<Ledger>, Path(id): Path<u64>) -> Result<Json<Value>, Refusal> {
    let books = ledger.lock();
    let found = books.orders.get(&id).ok_or_else(Refusal::no_entity)?;
    let items: Vec<Value> = found.history.iter().map(ShopComment::json).collect();
    Ok(Json(json!({"total_count": items.len(), "items": items})))
}

async fn source_items(State(ledger): State<Ledger>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refusal> {
    let books = ledger.lock();
    let all = books.stock.all().map(SourceItem::json).collect();
    Page::read(query.as_deref())?.of(all)
}

async fn set_stock(State(ledger): State<Ledger>, body: Result<Bytes, BytesRejection>) -> Result<Response, Refusal> {
    let body = whole(body)?;
    attempted(&ledger, "source-items", &body, |books| books.stock.set(&body)).await
}

async fn save(State(ledger): State<Ledger>, body: Result<Bytes, BytesRejection>) -> Result<Response, Refusal> {
    let body = whole(body)?;
    attempted(&ledger, "orders", &body, |books| books.save(&body)).await
}

async fn comment(
    State(ledger): State<Ledger>,
    Path(id): Path<u64>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = whole(body)?;
    attempted(&ledger, &format!("comments/{id}"), &body, |books| books.comment(id, &body)).await
}

async fn cancel(State(ledger): State<Ledger>, Path(id): Path<u64>) -> Result<Response, Refusal> {
    attempted(&ledger, &format!("cancel/{id}"), b"", |books| books.cancel(id)).await
}

async fn act(
    State(ledger): State<Ledger>,
    Path((id, act)): Path<(u64, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let kind = ShopDocumentKind::made_by(&act).ok_or_else(Refusal::no_route)?;
    let body = whole(body)?;
    attempted(&ledger, &format!("{act}/{id}"), &body, |books| books.document(kind, id, &body)).await
}

/// Does something, unless mischief is in the way.
async fn attempted(
    ledger: &Ledger,
    path: &str,
    body: &[u8],
    act: impl FnOnce(&mut Books) -> Result<Value, Refusal>,
) -> Result<Response, Refusal> {
    let (trick, answer) = {
        let mut books = ledger.lock();
        let about = Digest::of_parts(&[path.as_bytes(), body]).to_string();
        let trick = books.trick(&ledger.mischief, &about)?;
        match trick {
            Some(Trick::Throttle) => return Err(Refusal::throttled()),
            Some(Trick::FailBefore) => return Err(Refusal::failed()),
            Some(Trick::Reject) => return Err(Refusal::bad("The %1 module forbids it.", &["Acme_Orders"])),
            Some(Trick::DropAfter | Trick::SlowAfter) | None => (trick, act(&mut books)?),
        }
    };
    match trick {
        Some(Trick::SlowAfter) => tokio::time::sleep(SLOW_ANSWER).await,
        Some(Trick::DropAfter) => return Ok(hung_up()),
        _ => {}
    }
    Ok((StatusCode::OK, Json(answer)).into_response())
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|error| Refusal { status: error.status(), ..Refusal::bad(&error.body_text(), &[]) })
}

/// The shop's memory, shared with the handlers. Its lock is never held across an `await`.
#[derive(Debug, Clone)]
struct Ledger {
    mischief: Mischief,
    integration: Option<Arc<Integration>>,
    books: Arc<Mutex<Books>>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! A warehouse management system in the shape that the connector `wms-rest` speaks.
//!
//! ```text
//! GET  /api/v1/health                       200 {"state":"open"}
//! POST /api/v1/releases                     201 {"id","orderId","state"}
//! GET  /api/v1/releases?orderId=…           200 {"releases":[…]}
//! POST /api/v1/orders/ID/change             200 {"id","orderId","state"}, all lines as they are to be
//!      once it is picked                    409 {"error":{"code":"already-picked"}}
//! POST /api/v1/orders/ID/stop               200 {"id","orderId","state","lines"}
//!      once all that is to leave has left   409 {"error":{"code":"already-left"}}
//! GET  /api/v1/orders/ID/stop               200, or 404 {"error":{"code":"no-stop"}}
//! POST /api/v1/returns                      201 {"id","orderId","returnNumber","state"}
//! GET  /api/v1/returns?orderId=…&returnNumber=…   200 {"returns":[…]}
//! GET  /api/v1/stock?limit=…&after=…        200 {"stock":[{"sku","node","onHand","available","unit"}],"next"}
//! GET  /api/v1/shipments?since=…&limit=…&after=…  200 {"shipments":[{"orderId","shipmentNumber","at","lines",…}],"next"}
//! any refusal                               4xx/5xx {"error":{"code","message"}}
//! ```
//!
//! It ignores idempotency keys: the second `POST` of a release makes a second release, and
//! then a second shipment, so that a test can count goods that left twice. A stop and a change can
//! be repeated. [`Mischief`] meets what is posted, as at the ERP.
//!
//! Of items that were put there with their unit it also says how much there is, each time that this
//! changed ([`Wms::levels`]): what of it lies there, and what of that is set aside for nobody. A
//! level has a time of its own, and no two have the same.
//!
//! Nobody works in this warehouse by itself. [`Wms::work`] takes every release one step on
//! and returns what the warehouse says of it, for the caller to post; its times are counted,
//! not read from a clock. Stock, shipments, stops and returns are open to whoever wants to
//! know whether the goods add up. It accepts properties that it does not know, and any
//! credentials.

mod books;
mod level;
mod stock;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use portreeve_model::value::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::books::{AskedChange, AskedRelease, AskedReturn, AskedStop, Books};
pub use self::books::{NODE, OPENS_AT, Reason, Release, ReleaseLine, Return, Shipment, ShippedLine, Short, Step, Stop};
pub use self::stock::BadList;
use super::mischief::{Drawn, Mischief, RETRY_AFTER, SLOW_ANSWER, Trick, hung_up};
use super::serving::Serving;

/// The path in front of everything.
const BASE_PATH: &str = "/api/v1";

/// Bytes of a request's body. A larger one would only fill the memory of the
/// process that is being tested.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// A running warehouse. It stops when this is dropped; [`Wms::stop`] also waits for it.
#[derive(Debug)]
pub struct Wms {
    serving: Serving,
    ledger: Ledger,
}

impl Wms {
    /// Starts on a free loopback port, with nothing in stock.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(mischief: Mischief) -> io::Result<Self> {
        let ledger = Ledger { mischief, books: Arc::default() };
        Ok(Self { serving: Serving::start(routes(ledger.clone())).await?, ledger })
    }

    /// Scheme, host and port: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.serving.origin()
    }

    /// The address for the setting `base-url` of a connector.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}{BASE_PATH}", self.origin())
    }

    /// Puts so much of an item into a node's stock.
    pub fn put(&self, node: &str, sku: &str, quantity: Decimal) {
        self.ledger.lock().put(node, sku, quantity);
    }

    /// The same of an item of which it says from now on how much there is, in this unit.
    pub fn put_told(&self, node: &str, sku: &str, quantity: Decimal, unit: &str) {
        self.ledger.lock().put_told(node, sku, quantity, unit);
    }

    /// Has each line of an item, from the next allocation on, miss something.
    pub fn run_short(&self, short: Short) {
        self.ledger.lock().run_short(short);
    }

    /// Says that an item is there again: what was backordered of it is worked on from now on.
    pub fn restock(&self, sku: &str) {
        self.ledger.lock().restock(sku);
    }

    /// People in the warehouse take so much off a line of an order, which then leaves without it, as
    /// a short line that is cancelled. Says whether it was early enough for that.
    #[must_use]
    pub fn take_off(&self, order_id: &str, line_number: &str, quantity: Decimal) -> bool {
        self.ledger.lock().take_off(order_id, line_number, quantity)
    }

    /// Takes each open release and each expected return one step on. Returns the events that
    /// say so, each the body of a webhook, in the order in which they happened.
    ///
    /// # Errors
    /// None in practice; the serializer's signature has one.
    pub fn work(&self) -> Result<Vec<String>, serde_json::Error> {
        self.ledger.lock().work()
    }

    /// What it has to say of its stock since the last time, each the body of a webhook, in the order
    /// in which it counted.
    ///
    /// # Errors
    /// None in practice; the serializer's signature has one.
    pub fn levels(&self) -> Result<Vec<String>, serde_json::Error> {
        self.ledger.lock().levels.told()
    }

    /// What lies at a node of an item, with what is set aside.
    #[must_use]
    pub fn on_hand(&self, node: &str, sku: &str) -> Decimal {
        self.ledger.lock().on_hand(node, sku)
    }

    /// Says in which unit an item is counted; in `EA`, where nothing is said.
    pub fn count_in(&self, sku: &str, unit: &str) {
        self.ledger.lock().listed.count_in(sku, unit);
    }

    /// Says when what there is of an item changed last, as RFC 3339; where nothing is said, neither
    /// does the list.
    pub fn changed(&self, sku: &str, at: &str) {
        self.ledger.lock().listed.changed(sku, at);
    }

    /// Has a page of a list have so many rows at most, whatever is asked for.
    pub fn page_by(&self, rows_max: usize) {
        self.ledger.lock().listed.rows_max = Some(rows_max);
    }

    /// Has lists answer in another way.
    pub fn list_badly(&self, how: Option<BadList>) {
        self.ledger.lock().listed.bad = how;
    }

    /// What is in stock of an item at a node, without what is set aside.
    #[must_use]
    pub fn stock(&self, node: &str, sku: &str) -> Decimal {
        self.ledger.lock().stock(node, sku)
    }

    /// All releases, in the order in which they came.
    #[must_use]
    pub fn releases(&self) -> Vec<Release> {
        self.ledger.lock().releases.clone()
    }

    /// All shipments that left, in their order.
    #[must_use]
    pub fn shipments(&self) -> Vec<Shipment> {
        self.ledger.lock().shipments.clone()
    }

    /// How many releases came.
    #[must_use]
    pub fn release_count(&self) -> usize {
        self.ledger.lock().releases.len()
    }

    /// How many shipments left.
    #[must_use]
    pub fn shipment_count(&self) -> usize {
        self.ledger.lock().shipments.len()
    }

    /// All stops that stopped something, in their order.
    #[must_use]
    pub fn stops(&self) -> Vec<Stop> {
        self.ledger.lock().stops.clone()
    }

    /// All returns, in the order in which they were announced.
    #[must_use]
    pub fn returns(&self) -> Vec<Return> {
        self.ledger.lock().returns.clone()
    }

    /// From now on its mischief follows from this seed as well.
    pub fn draw_by(&self, seed: u64) {
        self.ledger.lock().seed = Some(seed);
    }

    /// What its mischief drew so far, for each attempt at each thing.
    #[must_use]
    pub fn drawn(&self) -> Vec<Drawn> {
        let books = self.ledger.lock();
        self.ledger.mischief.drawn(books.seed, books.attempts())
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
    Router::new()
        .route(&format!("{BASE_PATH}/health"), get(async || Json(json!({"state": "open"}))))
        .route(&format!("{BASE_PATH}/releases"), get(find_releases).post(create_release))
        .route(&format!("{BASE_PATH}/orders/{{order}}/change"), post(change_order))
        .route(&format!("{BASE_PATH}/orders/{{order}}/stop"), get(find_stop).post(stop_order))
        .route(&format!("{BASE_PATH}/stock"), get(stock::list))
        .route(&format!("{BASE_PATH}/shipments"), get(stock::shipments))
        .route(&format!("{BASE_PATH}/returns"), get(find_returns).post(expect_return))
        .fallback(async || Refusal::not_found())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(ledger)
}

/// What is asked for in a query.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    order_id: String,
    return_number: Option<String>,
}

async fn find_releases(State(ledger): State<Ledger>, Query(asked): Query<Asked>) -> Response {
    let books = ledger.lock();
    let found = books.releases.iter().filter(|release| release.order_id == asked.order_id);
    let releases: Vec<Told<'_>> = found.map(Told::of_release).collect();
    Json(json!({"releases": releases})).into_response()
}

async fn find_returns(State(ledger): State<Ledger>, Query(asked): Query<Asked>) -> Response {
    let books = ledger.lock();
    let found = books.returns.iter().filter(|found| {
        found.order_id == asked.order_id && asked.return_number.as_ref().is_none_or(|asked| *asked == found.number)
    });
    let returns: Vec<Told<'_>> = found.map(Told::of_return).collect();
    Json(json!({"returns": returns})).into_response()
}

async fn find_stop(State(ledger): State<Ledger>, Path(order): Path<String>) -> Result<Response, Refusal> {
    let books = ledger.lock();
    let last = books.stops.iter().rfind(|stop| stop.order_id == order);
    let last = last
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "no-stop", "nobody asked to stop this order".to_owned()))?;
    Ok(stop_answer(&books, last))
}

async fn create_release(
    State(ledger): State<Ledger>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked = AskedRelease::read(&whole(body)?)?;
    let about = format!("release {}", asked.order_id);
    acted(&ledger, &about, |books| {
        let release = books.release(asked)?;
        Ok((StatusCode::CREATED, Json(Told::of_release(release))).into_response())
    })
    .await
}

async fn change_order(
    State(ledger): State<Ledger>,
    Path(order): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked = AskedChange::read(&whole(body)?, &order)?;
    let about = format!("change {order}");
    acted(&ledger, &about, |books| {
        let release = books.change(asked)?;
        Ok(Json(Told::of_release(release)).into_response())
    })
    .await
}

async fn stop_order(
    State(ledger): State<Ledger>,
    Path(order): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let asked = AskedStop::read(&whole(body)?, &order)?;
    let about = format!("stop {order}");
    acted(&ledger, &about, |books| {
        let stop = books.stop(asked)?;
        Ok(stop_answer(books, &stop))
    })
    .await
}

async fn expect_return(State(ledger): State<Ledger>, body: Result<Bytes, BytesRejection>) -> Result<Response, Refusal> {
    let asked = AskedReturn::read(&whole(body)?)?;
    let about = format!("return {} {}", asked.order_id, asked.return_number);
    acted(&ledger, &about, |books| {
        let expected = books.expect(asked)?;
        Ok((StatusCode::CREATED, Json(Told::of_return(expected))).into_response())
    })
    .await
}

/// Does something, unless mischief has it otherwise. The lock is not held while a slow
/// answer waits.
async fn acted(
    ledger: &Ledger,
    about: &str,
    effect: impl FnOnce(&mut Books) -> Result<Response, Refusal>,
) -> Result<Response, Refusal> {
    let (trick, answer) = attempted(ledger, about, effect)?;
    if trick == Some(Trick::SlowAfter) {
        tokio::time::sleep(SLOW_ANSWER).await;
    }
    Ok(answer)
}

fn attempted(
    ledger: &Ledger,
    about: &str,
    effect: impl FnOnce(&mut Books) -> Result<Response, Refusal>,
) -> Result<(Option<Trick>, Response), Refusal> {
    let mut books = ledger.lock();
    let attempt = books.attempt(about)?;
    let trick = ledger.mischief.trick_of(books.seed, about, attempt);
    match trick {
        Some(Trick::Throttle) => return Ok((trick, throttled())),
        Some(Trick::FailBefore) => {
            let message = "something went wrong; nothing was said about what happened".to_owned();
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message));
        }
        Some(Trick::Reject) => return Err(Refusal::invalid("the dock is closed to this customer".to_owned())),
        Some(Trick::DropAfter | Trick::SlowAfter) | None => {}
    }
    let answer = effect(&mut books)?;
    Ok((trick, if trick == Some(Trick::DropAfter) { hung_up() } else { answer }))
}

fn throttled() -> Response {
    let message = "too many requests reached the warehouse; wait and try again".to_owned();
    (RETRY_AFTER, Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", message)).into_response()
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|error| Refusal::new(error.status(), "body-too-large", error.body_text()))
}

fn stop_answer(books: &Books, stop: &Stop) -> Response {
    let (state, lines) = books.standing(&stop.order_id);
    Json(json!({"id": stop.id, "orderId": stop.order_id, "state": state, "lines": lines})).into_response()
}

/// The warehouse's memory, shared with the handlers. Its lock is never held across an
/// `await`.
#[derive(Debug, Clone)]
struct Ledger {
    mischief: Mischief,
    books: Arc<Mutex<Books>>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is told of a release or a return.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    id: &'a str,
    order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_number: Option<&'a str>,
    state: &'static str,
}

impl<'a> Told<'a> {
    fn of_release(release: &'a Release) -> Self {
        let state = release.step.state();
        Self { id: &release.id, order_id: &release.order_id, return_number: None, state }
    }

    fn of_return(found: &'a Return) -> Self {
        let state = if found.received { "received" } else { "expected" };
        Self { id: &found.id, order_id: &found.order_id, return_number: Some(&found.number), state }
    }
}

/// An answer that says no.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, code, message }
    }

    fn invalid(message: String) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-resource", "there is no such resource".to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": {"code": self.code, "message": self.message}}))).into_response()
    }
}

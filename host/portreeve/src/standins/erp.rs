//! An ERP in the shape of Business Central's API v2.0, as far as an order's way to its invoice
//! and a return's to its credit memo go.
//!
//! ```text
//! GET    /api/v2.0/companies                          200 {"value":[{"id","name"}]}
//! POST   /api/v2.0/companies(ID)/salesOrders          201 {"id","number","externalDocumentNumber",…}
//! GET    …/salesOrders?$filter=externalDocumentNumber eq '…'[&$expand=salesOrderLines]
//!                                                     200 {"value":[…]}
//! DELETE …/salesOrders(ID)                            204; 412 where If-Match is another ETag
//! DELETE …/salesOrderLines(ID)                        the same, of a line of which nothing was shipped
//! POST   …/salesOrders(ID)/salesOrderLines            201, a line more
//! PATCH  …/salesOrderLines(ID)                        200; 412 where If-Match is another ETag
//!        …/salesOrders(ID)/salesOrderLines(ID)        the same
//! POST   …/salesOrders(ID)/Microsoft.NAV.shipAndInvoice   204; what is to be shipped is posted
//! GET    …/salesInvoices?$filter=externalDocumentNumber eq '…'[&$expand=salesInvoiceLines]
//! GET    …/salesShipments?$filter=externalDocumentNumber eq '…'   what each posting shipped
//! POST   …/salesCreditMemos                           201, a draft with its lines
//! POST   …/salesCreditMemos(ID)/Microsoft.NAV.post    204
//! GET    …/salesCreditMemos?$filter=externalDocumentNumber eq '…'[&$expand=salesCreditMemoLines]
//! GET    …/salesInvoices, …/salesCreditMemos?$filter=lastModifiedDateTime ge …   what changed since (`changed`)
//! GET    …/salesInvoices?$filter=number eq '…' or number eq '…'   those of these numbers (`changed`)
//! GET    …/salesOrders?$expand=salesOrderLines&$orderby=number&$top=…[&$filter=number gt '…']   all that are open
//! GET    …/salesInvoices, …/salesCreditMemos, …/salesShipments?$orderby=number&$expand=…&$top=…
//!        &$filter=lastModifiedDateTime ge …[ and number gt '…']   those that changed since, by number
//! GET    …/items?$filter=type eq 'Inventory'[ and number gt '…']&$orderby=number&$top=…
//! GET, POST /api/v2.0/subscriptions, PATCH …(ID)      who is told that something changed (`subscribing`)
//! any refusal                                         4xx/5xx {"error":{"code","message"}}
//! ```
//!
//! Like the original it documents no idempotency key and ignores one that is sent: the second
//! `POST` of a document makes a second one, and a second `shipAndInvoice` posts what is to be
//! shipped by then, so that a test can count doubles. [`Mischief`] adds what makes targets
//! hard: throttling, failures with and without an effect, answers that come too late, refusals.
//! [`Erp::takes`] has it count requests in a window, as the original does, and refuse what is more.
//! [`Erp::down`] is an outage: every request is answered 503 without an effect, and no attempt
//! of mischief is used up by it.
//!
//! It works out what each document charges, lines and accounts minus the discount, and refuses
//! a discount above that. It keeps the fields that documents are compared by and drops the
//! rest; unlike the original it accepts properties that it does not know, and any credentials,
//! has no taxes, and lets stock go below nothing.

mod answer;
mod asked;
mod books;
mod changed;
mod items;
mod posting;
mod subscribing;
mod throttle;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use bytes::Bytes;
use portreeve_model::value::Decimal;
use portreeve_pipeline::Clock;

use self::answer::{CompanyAnswer, DocumentAnswer, List, OrderLineAnswer, Refusal, SalesOrderAnswer, ShipmentAnswer};
use self::asked::{Change, Checked};
use self::books::{Books, Order};
use self::changed::Since;
use self::items::Posted;
use self::posting::Document;
pub use self::subscribing::ErpSubscription;
use self::throttle::Throttle;
use super::amount::Amount;
use super::mischief::{Drawn, Mischief, RETRY_AFTER, SLOW_ANSWER, Trick, hung_up};
use super::serving::Serving;
use crate::clock::SystemClock;

/// The id of the company that takes orders.
pub const COMPANY: &str = "6b3a3a3e-6c1f-4a0e-9a53-0d1c5a7e2f10";

/// The id of another company of this ERP. It has sales orders of its own; a test that
/// has one order delivered to both sees in which order they came.
pub const SECOND_COMPANY: &str = "0f9f7f62-9d0b-4c55-8a1e-7c1f0f3f5a21";

/// The path in front of `/companies`.
const BASE_PATH: &str = "/api/v2.0";

/// Bytes of a request's body. A larger one would only fill the memory of the
/// process that is being tested.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// A sales order as the ERP keeps it, until all of it is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalesOrder {
    /// Whose it is: the id of a company.
    pub company: &'static str,
    /// The sender's number of the document; not unique, as in the original.
    pub external_document_number: String,
    /// The ERP's own number.
    pub number: String,
    /// Who ordered.
    pub customer_number: String,
    /// The item lines.
    pub lines: Vec<SalesOrderLine>,
    /// What the customer is charged without tax: lines and accounts, minus the
    /// discount, in the currency's major units.
    pub total: Decimal,
}

/// An item line of a sales order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalesOrderLine {
    /// The order's own number of the line.
    pub line_number: String,
    /// The item.
    pub item_number: String,
    /// How much, in `unit`; more than 0.
    pub quantity: Decimal,
    /// How much of it was shipped and invoiced.
    pub shipped: Decimal,
    /// Major units of the order's currency for one `unit`; 0 or more.
    pub unit_price: Decimal,
    /// The unit of measure.
    pub unit: String,
}

/// An invoice that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedInvoice {
    /// Whose it is: the id of a company.
    pub company: &'static str,
    /// The ERP's own number.
    pub number: String,
    /// That of the sales order.
    pub external_document_number: String,
    /// The ERP's own number of the sales order.
    pub order_number: String,
    /// The number of the shipment that a comment of it names.
    pub shipment: Option<String>,
    /// The item lines with what of them is on it.
    pub lines: Vec<PostedLine>,
    /// What the customer is charged without tax: lines and accounts, minus their share of the
    /// order's discount.
    pub total: Decimal,
    /// Its place among all entries of all stand-ins' ledgers.
    pub at: u64,
}

/// An item line of an invoice or a credit memo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedLine {
    /// The order's own number of the line.
    pub line_number: String,
    /// The item.
    pub item_number: String,
    /// How much, in `unit`.
    pub quantity: Decimal,
    /// The unit of measure.
    pub unit: String,
    /// Major units for one `unit`.
    pub unit_price: Decimal,
    /// What it charges or gives back, before the document's discount.
    pub amount: Decimal,
}

/// A credit memo that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditMemo {
    /// Whose it is: the id of a company.
    pub company: &'static str,
    /// The ERP's own number.
    pub number: String,
    /// That of the sales order.
    pub external_document_number: String,
    /// The number of the return that a comment of it names.
    pub returned: Option<String>,
    /// The number of the invoice that it is applied to.
    pub corrects: Option<String>,
    /// The item lines.
    pub lines: Vec<PostedLine>,
    /// What the customer gets back without tax; more than 0.
    pub total: Decimal,
    /// Its place among all entries of all stand-ins' ledgers.
    pub at: u64,
}

/// A running ERP. It stops when this is dropped; [`Erp::stop`] also waits for it.
#[derive(Debug)]
pub struct Erp {
    serving: Serving,
    ledger: Ledger,
}

impl Erp {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(mischief: Mischief) -> io::Result<Self> {
        let ledger = Ledger::new(mischief);
        Ok(Self { serving: Serving::start(routes(ledger.clone())).await?, ledger })
    }

    /// Scheme, host and port: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.serving.origin()
    }

    /// The address in front of `/companies`, for the setting `base-url` of a connector.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}{BASE_PATH}", self.origin())
    }

    /// All sales orders of both companies that are not posted whole, in the order in which
    /// they were made.
    #[must_use]
    pub fn sales_orders(&self) -> Vec<SalesOrder> {
        self.ledger.lock().orders.values().map(Order::shown).collect()
    }

    /// How many sales orders there are.
    #[must_use]
    pub fn sales_order_count(&self) -> usize {
        self.ledger.lock().orders.len()
    }

    /// All posted invoices of both companies, in their order.
    #[must_use]
    pub fn invoices(&self) -> Vec<PostedInvoice> {
        self.ledger.lock().invoices.iter().map(Document::invoice).collect()
    }

    /// How many invoices were posted.
    #[must_use]
    pub fn invoice_count(&self) -> usize {
        self.ledger.lock().invoices.len()
    }

    /// All posted credit memos of both companies, in the order of their numbers.
    #[must_use]
    pub fn credit_memos(&self) -> Vec<CreditMemo> {
        let mut memos: Vec<CreditMemo> = self.ledger.lock().memos.iter().filter_map(Document::memo).collect();
        memos.sort_by_key(|memo| memo.at);
        memos
    }

    /// Puts so much of an item into stock.
    pub fn put(&self, item: &str, quantity: Decimal) {
        self.ledger.lock().put(item, Amount::of(&quantity));
    }

    /// Takes so much of an item out of stock without a document, as a booking that went wrong does.
    pub fn lose(&self, item: &str, quantity: Decimal) {
        self.ledger.lock().take(item, Amount::of(&quantity));
    }

    /// Says in which unit an item is counted; in `EA`, where nothing is said.
    pub fn count_in(&self, item: &str, unit: &str) {
        self.ledger.lock().units.insert(item.to_owned(), unit.to_owned());
    }

    /// What is in stock of an item: below nothing, where more was shipped than there was.
    #[must_use]
    pub fn stock(&self, item: &str) -> Decimal {
        self.ledger.lock().stock(item).decimal()
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

    /// Begins or ends an outage: until it ends every request is answered 503 and does nothing.
    pub fn down(&self, is_down: bool) {
        self.ledger.down.store(is_down, Ordering::Relaxed);
    }

    /// Restores a backup of when there were so many sales orders: those that came later are lost.
    /// Numbers that were given stay given.
    pub fn restore(&self, orders: usize) {
        let mut books = self.ledger.lock();
        let first_lost = books.orders.keys().nth(orders).copied();
        if let Some(first) = first_lost {
            drop(books.orders.split_off(&first));
        }
    }

    /// How many were ever made, with those that were deleted since.
    #[must_use]
    pub fn sales_orders_made(&self) -> usize {
        self.ledger.lock().made
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
    let company = |rest: &str| format!("{BASE_PATH}/{{company}}/{rest}");
    Router::new()
        .route(&format!("{BASE_PATH}/companies"), get(companies))
        .route(&format!("{BASE_PATH}/subscriptions"), get(subscribing::list).post(subscribing::create))
        .route(&format!("{BASE_PATH}/{{entity}}"), patch(subscribing::renew))
        .route(&company("items"), get(items::list))
        .route(&company("salesOrders"), get(find_sales_orders).post(create_sales_order))
        .route(&company("salesInvoices"), get(find_invoices))
        .route(&company("salesShipments"), get(find_shipments))
        .route(&company("salesCreditMemos"), get(find_credit_memos).post(create_credit_memo))
        .route(&company("{entity}"), delete(delete_entity).patch(change_any_line))
        .route(&company("{entity}/{of}"), post(act).patch(change_line))
        .fallback(async || Refusal::not_found("there is no such resource"))
        .method_not_allowed_fallback(async || Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "BadRequest_MethodNotAllowed",
            message: "the resource does not have this method".to_owned(),
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(ledger.clone(), unless_down_or_too_many))
        .with_state(ledger)
}

async fn unless_down_or_too_many(State(ledger): State<Ledger>, request: Request, next: Next) -> Response {
    if ledger.down.load(Ordering::Relaxed) {
        return Refusal::down().into_response();
    }
    let now = ledger.time.now().unwrap_or_else(|| SystemClock.now());
    if let Err(wait_seconds) = ledger.throttle.take(now) {
        return throttle::too_many(wait_seconds);
    }
    next.run(request).await
}

async fn companies() -> Response {
    let value = vec![
        CompanyAnswer { id: COMPANY, name: "Stand-in Distribution" },
        CompanyAnswer { id: SECOND_COMPANY, name: "Stand-in Logistics" },
    ];
    Json(List { value }).into_response()
}

async fn find_sales_orders(
    State(ledger): State<Ledger>,
    Path(company): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let company = known_company(&company)?;
    let text = query.as_deref().unwrap_or_default();
    if option(text, "orderby").is_some() {
        return items::sales_orders(&ledger, company, text);
    }
    let asked = Asked::read(query, "salesOrderLines")?;
    let books = ledger.lock();
    let found = books.orders_of(company, &asked.document);
    let value: Vec<_> = found.map(|order| SalesOrderAnswer::of(order, asked.with_lines)).collect();
    Ok(Json(List { value }).into_response())
}

async fn find_invoices(
    State(ledger): State<Ledger>,
    Path(company): Path<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (company, lines) = (known_company(&company)?, "salesInvoiceLines");
    if items::is_by_number(query.as_deref()) {
        return items::posted(&ledger, company, query.as_deref().unwrap_or_default(), Posted::Invoices);
    }
    if let Some(since) = Since::read(query.as_deref().unwrap_or_default(), &headers, lines)? {
        return changed::listed(&ledger, company, &since, &uri, &headers, |books| &books.invoices);
    }
    if let Some(numbers) = changed::numbered(query.as_deref().unwrap_or_default()) {
        let books = ledger.lock();
        let found = books.invoices.iter().filter(|it| it.company == company && numbers.contains(&it.number));
        let value: Vec<_> = found.map(|document| DocumentAnswer::of(document, false)).collect();
        return Ok(Json(List { value }).into_response());
    }
    let asked = Asked::read(query, lines)?;
    Ok(found(ledger.lock().invoices_of(company, &asked.document), &asked))
}

async fn find_shipments(
    State(ledger): State<Ledger>,
    Path(company): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let (company, lines) = (known_company(&company)?, "salesShipmentLines");
    if items::is_by_number(query.as_deref()) {
        return items::posted(&ledger, company, query.as_deref().unwrap_or_default(), Posted::Shipments);
    }
    let asked = Asked::read(query, lines)?;
    let books = ledger.lock();
    // Every posting ships what it invoices.
    let value: Vec<_> = books.invoices_of(company, &asked.document).map(ShipmentAnswer::of).collect();
    Ok(Json(List { value }).into_response())
}

async fn find_credit_memos(
    State(ledger): State<Ledger>,
    Path(company): Path<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (company, lines) = (known_company(&company)?, "salesCreditMemoLines");
    if items::is_by_number(query.as_deref()) {
        return items::posted(&ledger, company, query.as_deref().unwrap_or_default(), Posted::CreditMemos);
    }
    if let Some(since) = Since::read(query.as_deref().unwrap_or_default(), &headers, lines)? {
        return changed::listed(&ledger, company, &since, &uri, &headers, |books| &books.memos);
    }
    let asked = Asked::read(query, lines)?;
    let books = ledger.lock();
    let of_order =
        books.memos.iter().filter(|memo| memo.company == company && memo.external_document_number == asked.document);
    Ok(found(of_order, &asked))
}

fn found<'a>(documents: impl Iterator<Item = &'a Document>, asked: &Asked) -> Response {
    let value: Vec<_> = documents.map(|document| DocumentAnswer::of(document, asked.with_lines)).collect();
    Json(List { value }).into_response()
}

async fn create_sales_order(
    State(ledger): State<Ledger>,
    Path(company): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let company = known_company(&company)?;
    let asked = Checked::sales_order(&whole(body)?)?;
    let about = asked.external_document_number.clone();
    let effect = |books: &mut Books| {
        let order = books.take_order(company, asked)?;
        Ok((StatusCode::CREATED, Json(SalesOrderAnswer::of(order, false))).into_response())
    };
    acted(&ledger, company, (&about, None), effect).await
}

async fn create_credit_memo(
    State(ledger): State<Ledger>,
    Path(company): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let company = known_company(&company)?;
    let asked = Checked::credit_memo(&whole(body)?)?;
    let about = format!("memo of {}", asked.external_document_number);
    let effect = |books: &mut Books| {
        let memo = books.draft_memo(company, asked)?;
        Ok((StatusCode::CREATED, Json(DocumentAnswer::of(memo, false))).into_response())
    };
    acted(&ledger, company, (&about, None), effect).await
}

/// What is posted to a document: one of its actions, or a line more.
async fn act(
    State(ledger): State<Ledger>,
    Path((company, entity, of)): Path<(String, String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let (company, body) = (known_company(&company)?, whole(body)?);
    let order = keyed(&entity, "salesOrders");
    let about = format!("{of} of {entity}");
    match (order, keyed(&entity, "salesCreditMemos"), of.as_str()) {
        (Some(id), _, "salesOrderLines") => {
            let effect = |books: &mut Books| {
                let (order, line) = books.add_line(company, id, &body)?;
                Ok((StatusCode::CREATED, Json(OrderLineAnswer::of(order, line))).into_response())
            };
            acted(&ledger, company, (&about, Some(id)), effect).await
        }
        (Some(id), _, "Microsoft.NAV.shipAndInvoice") => {
            let effect = |books: &mut Books| {
                books.ship_and_invoice(company, id).map(|()| StatusCode::NO_CONTENT.into_response())
            };
            acted(&ledger, company, (&about, Some(id)), effect).await
        }
        (_, Some(id), "Microsoft.NAV.post") => {
            let effect =
                |books: &mut Books| books.post_memo(company, id).map(|()| StatusCode::NO_CONTENT.into_response());
            acted(&ledger, company, (&about, Some(id)), effect).await
        }
        _ => Err(Refusal::not_found("there is no such resource")),
    }
}

async fn change_any_line(
    state: State<Ledger>,
    Path((company, line)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    changed(state, &company, (None, &line), &headers, body).await
}

async fn change_line(
    state: State<Ledger>,
    Path((company, order, line)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let order = keyed(&order, "salesOrders").ok_or_else(|| Refusal::not_found("there is no such resource"))?;
    changed(state, &company, (Some(order), &line), &headers, body).await
}

async fn changed(
    State(ledger): State<Ledger>,
    company: &str,
    (order, line): (Option<&str>, &str),
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let company = known_company(company)?;
    let line = keyed(line, "salesOrderLines").ok_or_else(|| Refusal::not_found("there is no such resource"))?;
    let (expected, change) = (expected(headers)?, Change::read(&whole(body)?)?);
    let effect = |books: &mut Books| {
        let (order, line) = books.change_line(company, (order, line), expected, change)?;
        Ok(Json(OrderLineAnswer::of(order, line)).into_response())
    };
    acted(&ledger, company, (&format!("change {line}"), Some(line)), effect).await
}

async fn delete_entity(
    State(ledger): State<Ledger>,
    Path((company, order)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let company = known_company(&company)?;
    let of_order = keyed(&order, "salesOrders").map(|id| (id, false));
    let entity = of_order.or_else(|| keyed(&order, "salesOrderLines").map(|id| (id, true)));
    let (id, is_line) = entity.ok_or_else(|| Refusal::not_found("there is no such resource"))?;
    let expected = expected(&headers)?;
    let mut books = ledger.lock();
    let trick = ledger.trick(company, (&format!("delete {id}"), Some(id)), &mut books)?;
    match trick {
        Some(Trick::Throttle) => return Ok(throttled()),
        Some(Trick::FailBefore | Trick::Reject) => return Err(Refusal::failed()),
        Some(Trick::DropAfter | Trick::SlowAfter) | None => {}
    }
    if is_line {
        books.delete_line(company, id, expected)?;
    } else {
        books.delete(company, id, expected)?;
    }
    match trick {
        Some(Trick::DropAfter | Trick::SlowAfter) => Ok(hung_up()),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// As in the original the header is required where something changes, and names the state
/// that was looked at.
fn expected(headers: &HeaderMap) -> Result<&str, Refusal> {
    let expected = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    expected.ok_or_else(|| Refusal::bad("BadRequest", "If-Match is missing".to_owned()))
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|error| Refusal { status: error.status(), code: "RequestEntityTooLarge", message: error.body_text() })
}

/// The key of a path segment such as `salesOrders(KEY)`.
fn keyed<'a>(segment: &'a str, entity: &str) -> Option<&'a str> {
    segment.strip_prefix(entity)?.strip_prefix('(')?.strip_suffix(')')
}

/// What is tried, and the id of the document or line in its name.
type About<'a> = (&'a str, Option<&'a str>);

/// Does something, unless mischief has it otherwise. The lock is not held while a slow
/// answer waits.
async fn acted(
    ledger: &Ledger,
    company: &'static str,
    about: About<'_>,
    effect: impl FnOnce(&mut Books) -> Result<Response, Refusal>,
) -> Result<Response, Refusal> {
    let (trick, answer) = attempted(ledger, company, about, effect)?;
    if trick == Some(Trick::SlowAfter) {
        tokio::time::sleep(SLOW_ANSWER).await;
    }
    Ok(answer)
}

/// What happens to an attempt, and its answer.
fn attempted(
    ledger: &Ledger,
    company: &'static str,
    about: About<'_>,
    effect: impl FnOnce(&mut Books) -> Result<Response, Refusal>,
) -> Result<(Option<Trick>, Response), Refusal> {
    let mut books = ledger.lock();
    let trick = ledger.trick(company, about, &mut books)?;
    match trick {
        Some(Trick::Throttle) => return Ok((trick, throttled())),
        Some(Trick::FailBefore) => return Err(Refusal::failed()),
        Some(Trick::Reject) => {
            return Err(Refusal {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                code: "Application_DialogException",
                message: "the posting date is not within the allowed range".to_owned(),
            });
        }
        Some(Trick::DropAfter | Trick::SlowAfter) | None => {}
    }
    let answer = effect(&mut books)?;
    Ok((trick, if trick == Some(Trick::DropAfter) { hung_up() } else { answer }))
}

/// The company of a path segment `companies(ID)`.
fn known_company(segment: &str) -> Result<&'static str, Refusal> {
    let id = keyed(segment, "companies").ok_or_else(|| Refusal::not_found("there is no such resource"))?;
    let known = [COMPANY, SECOND_COMPANY].into_iter().find(|known| id.eq_ignore_ascii_case(known));
    known.ok_or_else(|| Refusal {
        status: StatusCode::NOT_FOUND,
        code: "Internal_CompanyNotFound",
        message: "the company does not exist; ask for `companies`".to_owned(),
    })
}

fn throttled() -> Response {
    (RETRY_AFTER, Refusal::too_many()).into_response()
}

/// The ERP's memory, shared with the handlers. Its lock is never held across an
/// `await`: whoever waits after it has the body does so when its books are closed.
#[derive(Debug, Clone)]
struct Ledger {
    mischief: Mischief,
    books: Arc<Mutex<Books>>,
    down: Arc<AtomicBool>,
    time: Arc<changed::Time>,
    throttle: Arc<Throttle>,
}

impl Ledger {
    fn new(mischief: Mischief) -> Self {
        Self { mischief, books: Arc::default(), down: Arc::default(), time: Arc::default(), throttle: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = self.time.now() {
            (books.now, books.has_clock) = (now, true);
        }
        books
    }

    /// Counts an attempt and says what happens to it.
    fn trick(&self, company: &'static str, about: About<'_>, books: &mut Books) -> Result<Option<Trick>, Refusal> {
        let about = books.called(about);
        let attempt = books.attempt(company, &about)?;
        Ok(self.mischief.trick_of(books.seed, &about, attempt))
    }
}

/// What a query asks for.
struct Asked {
    document: String,
    with_lines: bool,
}

impl Asked {
    /// The one filter that this ERP knows, and the lines of what is found where `$expand` has
    /// them.
    fn read(query: Option<String>, lines: &str) -> Result<Self, Refusal> {
        let query = query.unwrap_or_default();
        let document = filtered_document(&query)?;
        match option(&query, "expand") {
            None => Ok(Self { document, with_lines: false }),
            Some(expanded) if expanded == lines => Ok(Self { document, with_lines: true }),
            Some(_) => Err(Refusal::bad("BadRequest", format!("expected $expand={lines}"))),
        }
    }
}

/// A query option, whose dollar may be escaped.
fn option(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let is_named = |found: &str| found.strip_prefix('$').or_else(|| found.strip_prefix("%24")) == Some(name);
    pairs.filter(|(found, _)| is_named(found)).find_map(|(_, value)| unescaped(value))
}

/// The document number in `$filter=externalDocumentNumber eq '…'`. A quote within the number
/// is doubled.
fn filtered_document(query: &str) -> Result<String, Refusal> {
    let unknown = || Refusal::bad("BadRequest", "expected $filter=externalDocumentNumber eq '…'".to_owned());
    let filter = option(query, "filter").ok_or_else(unknown)?;
    let quoted = filter
        .strip_prefix("externalDocumentNumber eq '")
        .and_then(|rest| rest.strip_suffix('\''))
        .ok_or_else(unknown)?;
    if quoted.replace("''", "").contains('\'') {
        return Err(unknown());
    }
    Ok(quoted.replace("''", "'"))
}

/// Undoes the escapes of a query: `%20`, and `+` for a space.
pub(super) fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::task::{Context, Waker};

    use portreeve_model::Instant;

    use super::*;
    use crate::clock::SetClock;
    use crate::standins::mischief::ATTEMPTS_MISCHIEVOUS;

    /// Everything that comes back until the ERP closes the connection.
    async fn exchange(erp: &Erp, method: &str, path: &str, body: &str) -> String {
        exchange_if(erp, method, path, "*", body).await
    }

    /// The same, where the record has this ETag.
    async fn exchange_if(erp: &Erp, method: &str, path: &str, etag: &str, body: &str) -> String {
        let address = erp.serving.address();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: erp\r\nconnection: close\r\n\
             if-match: {etag}\r\nidempotency-key: always-the-same\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let exchanged = tokio::task::spawn_blocking(move || {
            let mut socket = TcpStream::connect(address)?;
            socket.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            // A refused body may reset the connection after the answer, which is here by then.
            match socket.read_to_end(&mut answer) {
                Err(error) if answer.is_empty() => Err(error),
                _ => Ok(answer),
            }
        });
        String::from_utf8(exchanged.await.unwrap().unwrap()).unwrap()
    }

    async fn post(erp: &Erp, document: &str) -> String {
        exchange(erp, "POST", &sales_orders_path(), &body(document)).await
    }

    fn status(answer: &str) -> Option<&str> {
        answer.split(' ').nth(1)
    }

    fn sales_orders_path() -> String {
        format!("{BASE_PATH}/companies({COMPANY})/salesOrders")
    }

    fn body(document: &str) -> String {
        format!(
            r#"{{"externalDocumentNumber":"{document}","customerNumber":"C-1001","currencyCode":"USD",
                "salesOrderLines":[{{"lineType":"Comment","description":"Order 4711"}},
                {{"lineType":"Item","lineObjectNumber":"SKU-1","quantity":5,"unitPrice":1.179,"unitOfMeasureCode":"EA"}}]}}"#
        )
    }

    fn only(kind: fn(&mut Mischief) -> &mut u16) -> Mischief {
        let mut mischief = Mischief::default();
        *kind(&mut mischief) = 1_000;
        mischief
    }

    #[tokio::test]
    async fn makes_a_second_sales_order_of_the_same_document_and_finds_both() {
        let erp = Erp::start(Mischief::default()).await.unwrap();
        assert_eq!(status(&post(&erp, "it's").await), Some("201"));
        assert_eq!(status(&post(&erp, "it's").await), Some("201"));

        let orders = erp.sales_orders();
        assert_eq!(orders.len(), 2);
        assert_eq!(orders[0].lines, orders[1].lines);
        assert_eq!(orders[0].lines[0].unit_price.to_string(), "1.179");
        assert_ne!(orders[0].number, orders[1].number);

        let filter = "?%24filter=externalDocumentNumber%20eq%20%27it%27%27s%27";
        let found = exchange(&erp, "GET", &format!("{}{filter}", sales_orders_path()), "").await;
        assert_eq!(found.matches("\"number\":\"S-ORD").count(), 2, "{found}");
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn lists_its_companies_and_knows_no_other() {
        let erp = Erp::start(Mischief::default()).await.unwrap();
        let companies = exchange(&erp, "GET", &format!("{BASE_PATH}/companies"), "").await;
        assert!(companies.contains(COMPANY) && companies.contains(SECOND_COMPANY), "{companies}");
        let elsewhere = format!("{BASE_PATH}/companies(other)/salesOrders");
        let answer = exchange(&erp, "POST", &elsewhere, &body("D")).await;
        assert_eq!(status(&answer), Some("404"));
        assert!(answer.contains("Internal_CompanyNotFound"));
        assert_eq!(erp.sales_orders(), []);
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_company_finds_its_own_sales_orders_only() {
        let erp = Erp::start(Mischief::default()).await.unwrap();
        let second = format!("{BASE_PATH}/companies({SECOND_COMPANY})/salesOrders");
        assert_eq!(status(&exchange(&erp, "POST", &second, &body("D")).await), Some("201"));
        let filter = "?$filter=externalDocumentNumber%20eq%20'D'";
        let found = exchange(&erp, "GET", &format!("{}{filter}", sales_orders_path()), "").await;
        assert!(found.ends_with(r#"{"value":[]}"#), "{found}");
        let found = exchange(&erp, "GET", &format!("{second}{filter}"), "").await;
        assert_eq!(found.matches("\"number\":\"S-ORD").count(), 1, "{found}");
        assert_eq!(erp.sales_orders()[0].company, SECOND_COMPANY);
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn refuses_nonsense_with_an_error_that_names_the_field() {
        let erp = Erp::start(Mischief::default()).await.unwrap();
        let good = body("D");
        let cases = [
            (r#""customerNumber":"C-1001""#, r#""customerNumber":"""#, "customerNumber"),
            (r#""quantity":5"#, r#""quantity":0"#, "quantity"),
            (r#""quantity":5"#, r#""quantity":"5""#, "quantity"),
            (r#""unitPrice":1.179"#, r#""unitPrice":-1"#, "unitPrice"),
            (r#""lineType":"Item""#, r#""lineType":"Comment""#, "salesOrderLines"),
            (r#""lineType":"Item""#, r#""lineType":"Resource""#, "lineType"),
            (r#""lineObjectNumber":"SKU-1""#, r#""lineObjectNumber":"a-number-of-21-letters""#, "lineObjectNumber"),
            ("{", "[", "no sales order"),
        ];
        for (from, to, named) in cases {
            let answer = exchange(&erp, "POST", &sales_orders_path(), &good.replacen(from, to, 1)).await;
            assert_eq!(status(&answer), Some("400"), "{to}: {answer}");
            assert!(answer.contains(r#"{"error":{"code":"#) && answer.contains(named), "{answer}");
        }
        let too_large = " ".repeat(BODY_BYTES_MAX + 1);
        let answer = exchange(&erp, "POST", &sales_orders_path(), &too_large).await;
        assert_eq!(status(&answer), Some("413"), "{answer}");
        let answer = exchange(&erp, "GET", &format!("{}?$filter=number%20eq%20'1'", sales_orders_path()), "").await;
        assert_eq!(status(&answer), Some("400"), "{answer}");
        assert_eq!(erp.sales_orders(), []);
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn charges_lines_and_accounts_minus_the_discount() {
        let erp = Erp::start(Mischief::default()).await.unwrap();
        let freight = r#"{"lineType":"Account","lineObjectNumber":"6130","quantity":1,"unitPrice":9.9},"#;
        let with = |discount: &str| {
            let lines = format!(r#""discountAmount":{discount},"salesOrderLines":[{freight}"#);
            body("D").replacen(r#""salesOrderLines":["#, &lines, 1)
        };
        // 5 × 1.179 is 5.90 to the cent.
        let answer = exchange(&erp, "POST", &sales_orders_path(), &with("0.8")).await;
        assert_eq!(status(&answer), Some("201"), "{answer}");
        assert_eq!(erp.sales_orders()[0].total.to_string(), "15.00");
        for beyond in ["15.81", "-1"] {
            let answer = exchange(&erp, "POST", &sales_orders_path(), &with(beyond)).await;
            assert!(status(&answer) == Some("400") && answer.contains("discountAmount"), "{answer}");
        }
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn closes_the_connection_without_a_word_after_the_effect() {
        let erp = Erp::start(only(|m| &mut m.drop_after_per_mille)).await.unwrap();
        assert_eq!(post(&erp, "D").await, "");
        assert_eq!(erp.sales_orders().len(), 1);
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_slow_answer_comes_after_the_effect_and_the_next_attempts_are_answered() {
        let ledger = Ledger::new(only(|m| &mut m.slow_per_mille));
        let answer = || {
            let company = Path(format!("companies({COMPANY})"));
            let mut answer = Box::pin(create_sales_order(State(ledger.clone()), company, Ok(body("D").into())));
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        };
        for made in 1..=2 {
            assert!(answer().is_pending());
            assert_eq!(ledger.lock().orders.len(), made, "the sales order is there, and nobody was told");
        }
        assert!(answer().is_ready());
    }

    #[tokio::test]
    async fn misbehaves_without_an_effect_and_serves_the_attempts_after() {
        let kinds: [(Mischief, &str); 3] = [
            (only(|m| &mut m.throttle_per_mille), "429"),
            (only(|m| &mut m.fail_before_per_mille), "500"),
            (only(|m| &mut m.reject_per_mille), "422"),
        ];
        for (mischief, expected) in kinds {
            let erp = Erp::start(mischief).await.unwrap();
            for _ in 0..ATTEMPTS_MISCHIEVOUS {
                let answer = post(&erp, "D").await;
                assert_eq!(status(&answer), Some(expected));
                assert_eq!(answer.contains("retry-after: 1"), expected == "429");
                assert_eq!(erp.sales_orders(), []);
            }
            assert_eq!(status(&post(&erp, "D").await), Some("201"));
            erp.stop().await.unwrap();
        }
    }

    #[test]
    fn reads_a_doubled_quote_as_one_and_refuses_a_single_one() {
        let read = |filter: &str| filtered_document(filter).ok();
        let of = |quoted: &str| format!("$filter=externalDocumentNumber+eq+'{quoted}'");
        assert_eq!(read(&of("a''b")), Some("a'b".to_owned()));
        assert_eq!(read(&of("a'b")), None);
        assert_eq!(read(&of("%zz")), None);
        assert_eq!(read("$top=1"), None);
    }

    #[test]
    fn keeps_no_more_lines_than_it_has_memory_for() {
        let mut books = Books::default();
        let asked = || Checked::sales_order(body("D").as_bytes()).unwrap();
        books.lines_total = books::LINES_TOTAL_MAX - 2;
        assert!(books.take_order(COMPANY, asked()).is_ok());
        assert_eq!(books.take_order(COMPANY, asked()).unwrap_err().status, StatusCode::INSUFFICIENT_STORAGE);
    }

    /// What follows the head of an answer.
    fn json(answer: &str) -> serde_json::Value {
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }

    fn found_path(entity: &str, lines: &str) -> String {
        format!("{BASE_PATH}/companies({COMPANY})/{entity}?$filter=externalDocumentNumber%20eq%20'D'&$expand={lines}")
    }

    async fn listed(erp: &Erp, entity: &str, lines: &str) -> Vec<serde_json::Value> {
        let found = exchange(erp, "GET", &found_path(entity, lines), "").await;
        json(&found)["value"].as_array().unwrap().clone()
    }

    /// An ERP with a sales order of two lines, freight and a discount of 1.00: 10 + 3 at 2.005
    /// and 1.
    async fn with_an_order(mischief: Mischief) -> Erp {
        let erp = Erp::start(mischief).await.unwrap();
        let body = r#"{"externalDocumentNumber":"D","customerNumber":"C-1001","currencyCode":"USD","discountAmount":1,
            "salesOrderLines":[{"lineType":"Comment","sequence":1,"description":"Order 4711"},
            {"lineType":"Item","sequence":10,"lineObjectNumber":"X","quantity":10,"unitPrice":1,"unitOfMeasureCode":"EA"},
            {"lineType":"Item","sequence":20,"lineObjectNumber":"Y","quantity":3,"unitPrice":2.005,"unitOfMeasureCode":"BX"},
            {"lineType":"Account","lineObjectNumber":"6130","quantity":1,"unitPrice":5}]}"#;
        erp.put("X", Decimal::parse("12").unwrap());
        exchange(&erp, "POST", &sales_orders_path(), body).await;
        erp
    }

    /// Sets what is to be shipped of the order's line at this place.
    async fn to_ship(erp: &Erp, place: usize, quantity: &str) -> String {
        let line = listed(erp, "salesOrders", "salesOrderLines").await[0]["salesOrderLines"][place].clone();
        let path = format!("{BASE_PATH}/companies({COMPANY})/salesOrderLines({})", line["id"].as_str().unwrap());
        let body = format!(r#"{{"shipQuantity":{quantity}}}"#);
        exchange_if(erp, "PATCH", &path, line["@odata.etag"].as_str().unwrap(), &body).await
    }

    async fn posted(erp: &Erp) -> String {
        let id = listed(erp, "salesOrders", "salesOrderLines").await[0]["id"].as_str().unwrap().to_owned();
        exchange(erp, "POST", &format!("{}({id})/Microsoft.NAV.shipAndInvoice", sales_orders_path()), "").await
    }

    #[tokio::test]
    async fn posts_what_is_to_be_shipped_and_lets_an_order_go_that_is_posted_whole() {
        let erp = with_an_order(Mischief::default()).await;
        assert_eq!(status(&to_ship(&erp, 1, "4").await), Some("200"));
        assert_eq!(status(&to_ship(&erp, 2, "0").await), Some("200"));
        assert_eq!(status(&posted(&erp).await), Some("204"));
        let order = &listed(&erp, "salesOrders", "salesOrderLines").await[0];
        let lines = order["salesOrderLines"].as_array().unwrap();
        let left: Vec<_> =
            lines.iter().map(|line| (line["shippedQuantity"].to_string(), line["shipQuantity"].to_string())).collect();
        let expected = [("0", "0"), ("4", "6"), ("0", "3"), ("1", "0")];
        assert_eq!(left, expected.map(|(shipped, ship)| (shipped.to_owned(), ship.to_owned())));
        assert_eq!(erp.sales_orders()[0].lines[0].shipped.to_string(), "4");
        // Nobody remembers that it was posted: the rest is, the next time.
        assert_eq!(status(&posted(&erp).await), Some("204"));
        assert_eq!((erp.sales_order_count(), erp.stock("X").to_string()), (0, "2".to_owned()));
        assert_eq!(erp.stock("Y").to_string(), "-3");

        let invoices = erp.invoices();
        let totals: Vec<String> = invoices.iter().map(|invoice| invoice.total.to_string()).collect();
        // 9.00 of 21.02 is charged first, with as much of the discount.
        assert_eq!(totals, ["8.57", "11.45"]);
        let lines = |invoice: &PostedInvoice| -> Vec<(String, String, String)> {
            let line =
                |line: &PostedLine| (line.line_number.clone(), line.quantity.to_string(), line.amount.to_string());
            invoice.lines.iter().map(line).collect()
        };
        let line = |number: &str, quantity: &str, amount: &str| (number.into(), quantity.into(), amount.into());
        assert_eq!(lines(&invoices[0]), [line("1", "4", "4.00")]);
        assert_eq!(lines(&invoices[1]), [line("1", "6", "6.00"), line("2", "3", "6.02")]);
        assert!(invoices[0].at < invoices[1].at && invoices[0].shipment.is_none());
        let shown = listed(&erp, "salesInvoices", "salesInvoiceLines").await;
        assert_eq!(shown[1]["salesInvoiceLines"][0]["description"], "Order 4711", "comments go onto every invoice");
        assert!(shown[1].get("at").is_none(), "{}", shown[1]);
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn by_a_clock_that_stands_still_each_posting_has_a_time_of_its_own_and_by_one_that_was_set_the_same() {
        for is_given in [false, true] {
            let erp = with_an_order(Mischief::default()).await;
            let now = Instant::parse("2026-03-02T12:00:00Z").unwrap();
            if is_given {
                erp.know_the_time(Arc::new(SetClock::at(now)));
            } else {
                erp.set_clock(now);
            }
            to_ship(&erp, 1, "4").await;
            posted(&erp).await;
            posted(&erp).await;
            let invoices = listed(&erp, "salesInvoices", "salesInvoiceLines").await;
            let times: Vec<Instant> = invoices
                .iter()
                .map(|invoice| Instant::parse(invoice["lastModifiedDateTime"].as_str().unwrap()).unwrap())
                .collect();
            assert_eq!(times, [now, now.plus_ms(i64::from(is_given))]);
            erp.stop().await.unwrap();
        }
    }

    #[tokio::test]
    async fn ships_no_more_than_is_outstanding_and_changes_nothing_that_somebody_else_changed() {
        let erp = with_an_order(Mischief::default()).await;
        let refused = to_ship(&erp, 1, "10.1").await;
        assert!(
            status(&refused) == Some("400") && refused.contains("You cannot ship more than 10 units."),
            "{refused}"
        );
        let order = listed(&erp, "salesOrders", "salesOrderLines").await.remove(0);
        let (id, line) = (order["id"].as_str().unwrap(), &order["salesOrderLines"][1]);
        let path = format!("{}({id})/salesOrderLines({})", sales_orders_path(), line["id"].as_str().unwrap());
        let etag = line["@odata.etag"].as_str().unwrap();
        assert_eq!(status(&exchange_if(&erp, "PATCH", &path, etag, r#"{"quantity":8}"#).await), Some("200"));
        let late = exchange_if(&erp, "PATCH", &path, etag, r#"{"shipQuantity":1}"#).await;
        assert!(status(&late) == Some("412") && late.contains("Request_EntityChanged"), "{late}");
        let old = order["@odata.etag"].as_str().unwrap();
        let late = exchange_if(&erp, "DELETE", &format!("{}({id})", sales_orders_path()), old, "").await;
        assert_eq!(status(&late), Some("412"), "a change of a line is one of the order");

        for place in 1..4 {
            to_ship(&erp, place, "0").await;
        }
        let nothing = posted(&erp).await;
        assert!(status(&nothing) == Some("400") && nothing.contains("There is nothing to post."), "{nothing}");
        assert_eq!(erp.invoices(), []);
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn an_invoice_names_the_shipment_and_a_credit_memo_the_return_that_a_comment_has() {
        let erp = with_an_order(Mischief::default()).await;
        let order = listed(&erp, "salesOrders", "salesOrderLines").await.remove(0);
        let lines = format!("{}({})/salesOrderLines", sales_orders_path(), order["id"].as_str().unwrap());
        let comment = r#"{"lineType":"Comment","description":"Shipment no. SH-1"}"#;
        let added = exchange(&erp, "POST", &lines, comment).await;
        assert!(status(&added) == Some("201") && added.contains(r#""sequence":20020"#), "{added}");
        posted(&erp).await;
        let invoice = erp.invoices().remove(0);
        assert_eq!((invoice.shipment.as_deref(), invoice.total.to_string().as_str()), (Some("SH-1"), "20.02"));

        let memos = format!("{BASE_PATH}/companies({COMPANY})/salesCreditMemos");
        let memo = format!(
            r#"{{"externalDocumentNumber":"D","customerNumber":"C-1001","currencyCode":"USD","invoiceNumber":"{}",
                "discountAmount":0.1,"salesCreditMemoLines":[{{"lineType":"Comment","description":"Return no. R-1"}},
                {{"lineType":"Item","sequence":10,"lineObjectNumber":"X","quantity":2,"unitPrice":1,"unitOfMeasureCode":"EA"}}]}}"#,
            invoice.number
        );
        let elsewhere = memo.replacen(&invoice.number, "PS-INV1", 1);
        assert_eq!(status(&exchange(&erp, "POST", &memos, &elsewhere).await), Some("400"));
        let draft = json(&exchange(&erp, "POST", &memos, &memo).await);
        assert_eq!((&draft["status"], erp.credit_memos().len()), (&"Draft".into(), 0));
        let post = format!("{memos}({})/Microsoft.NAV.post", draft["id"].as_str().unwrap());
        assert_eq!(status(&exchange(&erp, "POST", &post, "").await), Some("204"));
        let again = exchange(&erp, "POST", &post, "").await;
        assert!(status(&again) == Some("400") && again.contains("draft credit memo only"), "{again}");
        let posted = erp.credit_memos().remove(0);
        assert_eq!((posted.returned.as_deref(), posted.corrects.as_ref()), (Some("R-1"), Some(&invoice.number)));
        assert_eq!((posted.total.to_string(), erp.stock("X").to_string()), ("1.90".to_owned(), "4".to_owned()));
        assert!(invoice.at < posted.at && draft["number"] != posted.number.as_str());
        let shown = &listed(&erp, "salesCreditMemos", "salesCreditMemoLines").await[0];
        assert_eq!((&shown["status"], &shown["id"]), (&"Open".into(), &draft["id"]));
        assert_eq!(shown["salesCreditMemoLines"][1]["netAmount"].to_string(), "1.9");
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn documents_of_an_order_are_told_and_no_others_also_after_an_invoice_got_lost() {
        let erp = with_an_order(Mischief::default()).await;
        to_ship(&erp, 1, "4").await;
        posted(&erp).await;
        posted(&erp).await;
        assert_eq!(status(&post(&erp, "E").await), Some("201"));
        let documents = |list: &str, document: &str| {
            format!("{BASE_PATH}/companies({COMPANY})/{list}?$filter=externalDocumentNumber%20eq%20'{document}'")
        };
        let numbers = async |list: &str, document: &str| -> Vec<String> {
            let found = json(&exchange(&erp, "GET", &documents(list, document), "").await);
            let found = found["value"].as_array().unwrap().iter();
            found.map(|document| document["number"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(numbers("salesOrders", "D").await, [""; 0], "all of it is posted");
        assert_eq!(numbers("salesOrders", "E").await, [erp.sales_orders()[0].number.clone()]);
        let invoices = erp.invoices();
        assert_eq!((erp.invoice_count(), invoices.len()), (2, 2));
        assert_eq!(numbers("salesInvoices", "D").await, [invoices[0].number.clone(), invoices[1].number.clone()]);
        assert_eq!(numbers("salesInvoices", "E").await, [""; 0]);
        assert!(erp.lose_invoice(&invoices[0].number) && !erp.lose_invoice(&invoices[0].number));
        assert_eq!(numbers("salesInvoices", "D").await, [invoices[1].number.clone()]);
        erp.stop().await.unwrap();
    }

    #[tokio::test]
    async fn an_outage_does_nothing_and_is_no_attempt() {
        let erp = Erp::start(only(|m| &mut m.drop_after_per_mille)).await.unwrap();
        erp.down(true);
        for _ in 0..3 {
            assert_eq!(status(&post(&erp, "D").await), Some("503"));
        }
        assert_eq!(status(&exchange(&erp, "GET", &format!("{BASE_PATH}/companies"), "").await), Some("503"));
        assert_eq!(erp.sales_orders(), []);
        erp.down(false);
        assert_eq!(post(&erp, "D").await, "", "the first attempt is still to be met with mischief");
        assert_eq!(erp.sales_orders().len(), 1);
        erp.stop().await.unwrap();
    }
}

//! An ERP in the shape of Business Central's API v2.0, as far as sales orders go.
//!
//! ```text
//! GET  /api/v2.0/companies                          200 {"value":[{"id","name"}]}
//! POST /api/v2.0/companies(ID)/salesOrders          201 {"id","number","externalDocumentNumber",…}
//! GET  /api/v2.0/companies(ID)/salesOrders?$filter=externalDocumentNumber eq '…'
//!                                                   200 {"value":[…]}
//! DELETE /api/v2.0/companies(ID)/salesOrders(ID)    204; 412 where If-Match is another ETag
//! any refusal                                       4xx/5xx {"error":{"code","message"}}
//! ```
//!
//! Like the original it documents no idempotency key and ignores one that is sent:
//! the second `POST` of a document makes a second sales order, so that a test can
//! count doubles. [`Mischief`] adds what makes targets hard: throttling, failures
//! with and without an effect, answers that come too late, refusals.
//!
//! It works out what each sales order charges, lines and accounts minus the discount,
//! and refuses a discount above that. It keeps the fields that orders are compared by and drops the rest; unlike the
//! original it accepts properties that it does not know, and any credentials.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use bytes::Bytes;
use portreeve_model::value::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::mischief::{Mischief, RETRY_AFTER, SLOW_ANSWER, Trick, hung_up};
use super::serving::Serving;

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

/// Sales orders that are kept, doubles included, and documents whose attempts are
/// counted. A sender in a loop meets a refusal before the process runs out of memory.
const SALES_ORDERS_MAX: usize = 1_000_000;

/// Lines of one sales order; as many lines as [`SALES_ORDERS_MAX`] × 1000 would not
/// fit, hence the total below.
const LINES_MAX: usize = 1_000;

/// Lines that are kept over all sales orders: less than 250 MB.
const LINES_TOTAL_MAX: usize = 1_000_000;

/// Widths of the original's fields, in characters.
const DOCUMENT_NUMBER_CHARS_MAX: usize = 35;
const CODE_CHARS_MAX: usize = 20;
const UNIT_CHARS_MAX: usize = 10;

/// The first number that is given to a sales order.
const NUMBER_FIRST: usize = 101_001;

/// A sales order as the ERP keeps it.
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
    /// The item lines; comment lines are not kept.
    pub lines: Vec<SalesOrderLine>,
    /// What the customer is charged without tax: lines and accounts, minus the
    /// discount, in the currency's major units.
    pub total: Decimal,
}

/// An item line of a sales order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalesOrderLine {
    /// The item.
    pub item_number: String,
    /// How much, in `unit`; more than 0.
    pub quantity: Decimal,
    /// Major units of the order's currency for one `unit`; 0 or more.
    pub unit_price: Decimal,
    /// The unit of measure.
    pub unit: String,
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

    /// All sales orders of both companies, in the order in which they were made.
    #[must_use]
    pub fn sales_orders(&self) -> Vec<SalesOrder> {
        self.ledger.lock().orders.clone()
    }

    /// How many sales orders there are.
    #[must_use]
    pub fn sales_order_count(&self) -> usize {
        self.ledger.lock().orders.len()
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
        .route(&format!("{BASE_PATH}/companies"), get(companies))
        .route(&format!("{BASE_PATH}/{{company}}/salesOrders"), get(find_sales_orders).post(create_sales_order))
        .route(&format!("{BASE_PATH}/{{company}}/{{order}}"), delete(delete_sales_order))
        .fallback(async || Refusal::not_found("there is no such resource"))
        .method_not_allowed_fallback(async || Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: "BadRequest_MethodNotAllowed",
            message: "the resource does not have this method".to_owned(),
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(ledger)
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
    let document = filtered_document(query.as_deref().unwrap_or_default())?;
    let books = ledger.lock();
    let value: Vec<SalesOrderAnswer<'_>> = books
        .orders
        .iter()
        .filter(|order| order.company == company && order.external_document_number == document)
        .map(SalesOrderAnswer::of)
        .collect();
    Ok(Json(List { value }).into_response())
}

async fn create_sales_order(
    State(ledger): State<Ledger>,
    Path(company): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let company = known_company(&company)?;
    let body = body.map_err(|error| Refusal {
        status: error.status(),
        code: "RequestEntityTooLarge",
        message: error.body_text(),
    })?;
    let asked = checked(&body)?;

    let (trick, created) = attempted(&ledger, company, asked)?;
    if trick == Some(Trick::SlowAfter) {
        tokio::time::sleep(SLOW_ANSWER).await;
    }
    Ok(created)
}

/// As in the original the header is required, and names the state that was looked at.
async fn delete_sales_order(
    State(ledger): State<Ledger>,
    Path((company, order)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let company = known_company(&company)?;
    let id = order.strip_prefix("salesOrders(").and_then(|rest| rest.strip_suffix(')'));
    let id = id.ok_or_else(|| Refusal::not_found("there is no such resource"))?;
    let expected = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    let expected = expected.ok_or_else(|| Refusal::bad("BadRequest", "If-Match is missing".to_owned()))?;
    let mut books = ledger.lock();
    let trick = ledger.trick(company, &format!("delete {id}"), &mut books)?;
    match trick {
        Some(Trick::Throttle) => return Ok(throttled()),
        Some(Trick::FailBefore | Trick::Reject) => return Err(Refusal::failed()),
        Some(Trick::DropAfter | Trick::SlowAfter) | None => {}
    }
    books.delete(company, id, expected)?;
    match trick {
        Some(Trick::DropAfter | Trick::SlowAfter) => Ok(hung_up()),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// What happens to an attempt, and its answer.
fn attempted(ledger: &Ledger, company: &'static str, asked: Checked) -> Result<(Option<Trick>, Response), Refusal> {
    let mut books = ledger.lock();
    let trick = ledger.trick(company, &asked.external_document_number, &mut books)?;
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

    let order = books.post(company, asked)?;
    if trick == Some(Trick::DropAfter) {
        return Ok((trick, hung_up()));
    }
    Ok((trick, (StatusCode::CREATED, Json(SalesOrderAnswer::of(order))).into_response()))
}

/// The company of a path segment `companies(ID)`.
fn known_company(segment: &str) -> Result<&'static str, Refusal> {
    let id = segment
        .strip_prefix("companies(")
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(|| Refusal::not_found("there is no such resource"))?;
    let known = [COMPANY, SECOND_COMPANY].into_iter().find(|known| id.eq_ignore_ascii_case(known));
    known.ok_or_else(|| Refusal {
        status: StatusCode::NOT_FOUND,
        code: "Internal_CompanyNotFound",
        message: "the company does not exist; ask for `companies`".to_owned(),
    })
}

fn throttled() -> Response {
    let refusal = Refusal {
        status: StatusCode::TOO_MANY_REQUESTS,
        code: "Application_TooManyRequests",
        message: "too many requests reached the service; wait and try again".to_owned(),
    };
    (RETRY_AFTER, refusal).into_response()
}

/// The ERP's memory, shared with the handlers. Its lock is never held across an
/// `await`: the one handler that waits after it has the body does so when its books are
/// closed.
#[derive(Debug, Clone)]
struct Ledger {
    mischief: Mischief,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    orders: Vec<SalesOrder>,
    /// How many there ever were: a number is given once.
    made: usize,
    lines_total: usize,
    attempts: BTreeMap<(&'static str, String), u32>,
}

impl Ledger {
    fn new(mischief: Mischief) -> Self {
        Self { mischief, books: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an attempt and says what happens to it.
    fn trick(&self, company: &'static str, document: &str, books: &mut Books) -> Result<Option<Trick>, Refusal> {
        let (attempts, key) = (&mut books.attempts, (company, document.to_owned()));
        if attempts.len() >= SALES_ORDERS_MAX && !attempts.contains_key(&key) {
            return Err(Refusal::full());
        }
        let count = attempts.entry(key).or_default();
        let attempt = *count;
        *count = count.saturating_add(1);
        Ok(self.mischief.trick(document, attempt))
    }
}

impl Books {
    fn post(&mut self, company: &'static str, asked: Checked) -> Result<&SalesOrder, Refusal> {
        let lines_total = self.lines_total.saturating_add(asked.lines.len());
        if self.orders.len() >= SALES_ORDERS_MAX || lines_total > LINES_TOTAL_MAX {
            return Err(Refusal::full());
        }
        self.lines_total = lines_total;
        let number = NUMBER_FIRST.saturating_add(self.made);
        self.made = self.made.saturating_add(1);
        self.orders.push(SalesOrder {
            company,
            external_document_number: asked.external_document_number,
            number: format!("S-ORD{number}"),
            customer_number: asked.customer_number,
            lines: asked.lines,
            total: asked.total,
        });
        self.orders.last().ok_or_else(Refusal::full)
    }
}

impl Books {
    fn delete(&mut self, company: &str, id: &str, expected: &str) -> Result<(), Refusal> {
        let found = self.orders.iter().position(|order| order.company == company && order.id() == id);
        let found = found.ok_or_else(|| Refusal::not_found("there is no sales order with this id"))?;
        if self.orders.get(found).is_some_and(|order| ![order.etag().as_str(), "*"].contains(&expected)) {
            return Err(Refusal {
                status: StatusCode::PRECONDITION_FAILED,
                code: "Request_EntityChanged",
                message: "another user has already changed the record; read it again".to_owned(),
            });
        }
        let order = self.orders.remove(found);
        self.lines_total = self.lines_total.saturating_sub(order.lines.len());
        Ok(())
    }
}

impl SalesOrder {
    /// The original's ids are random; one that follows from the number can be repeated.
    fn id(&self) -> String {
        let digits = self.number.trim_start_matches(|c: char| !c.is_ascii_digit());
        format!("00000000-0000-4000-8000-{digits:0>12}")
    }

    fn etag(&self) -> String {
        format!("W/\"{}\"", self.number)
    }
}

/// A sales order that the ERP could take.
struct Checked {
    external_document_number: String,
    customer_number: String,
    lines: Vec<SalesOrderLine>,
    total: Decimal,
}

/// The part of a request's body that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewSalesOrder {
    #[serde(default)]
    external_document_number: String,
    #[serde(default)]
    customer_number: String,
    discount_amount: Option<Box<RawValue>>,
    #[serde(default)]
    sales_order_lines: Vec<NewLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewLine {
    #[serde(default)]
    line_type: String,
    #[serde(default)]
    line_object_number: String,
    quantity: Option<Box<RawValue>>,
    unit_price: Option<Box<RawValue>>,
    #[serde(default)]
    unit_of_measure_code: String,
}

fn checked(body: &[u8]) -> Result<Checked, Refusal> {
    let asked: NewSalesOrder = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad("BadRequest", format!("the body is no sales order: {error}")))?;
    within("externalDocumentNumber", &asked.external_document_number, DOCUMENT_NUMBER_CHARS_MAX)?;
    within("customerNumber", &asked.customer_number, CODE_CHARS_MAX)?;
    if asked.sales_order_lines.len() > LINES_MAX {
        let found = asked.sales_order_lines.len();
        return Err(Refusal::invalid(format!("salesOrderLines has {found} lines; at most {LINES_MAX} are allowed")));
    }
    let mut lines = Vec::new();
    let mut sum = Sum::default();
    for line in asked.sales_order_lines {
        match line.line_type.as_str() {
            "Comment" => {}
            "Item" => {
                let line = checked_line(line)?;
                sum.add(&line.quantity, &line.unit_price)?;
                lines.push(line);
            }
            "Account" => {
                within("lineObjectNumber", &line.line_object_number, CODE_CHARS_MAX)?;
                let (quantity, price) = amounts(line.quantity, line.unit_price)?;
                sum.add(&quantity, &price)?;
            }
            other => {
                let other: String = other.chars().take(CODE_CHARS_MAX).collect();
                return Err(Refusal::invalid(format!("lineType is `{other}`; it must be Item, Account or Comment")));
            }
        }
    }
    let discount = asked.discount_amount.map(|raw| decimal("discountAmount", Some(raw))).transpose()?;
    let total = sum.total(discount)?;
    if lines.is_empty() {
        return Err(Refusal::invalid("salesOrderLines has no line of type Item".to_owned()));
    }
    Ok(Checked {
        external_document_number: asked.external_document_number,
        customer_number: asked.customer_number,
        lines,
        total,
    })
}

/// The sum of a sales order, each line rounded to a hundredth as the original does.
#[derive(Default)]
struct Sum {
    hundredths: i128,
}

impl Sum {
    fn add(&mut self, quantity: &Decimal, price: &Decimal) -> Result<(), Refusal> {
        // Two products of 64 bits and the hundred may not fit; nobody orders that much.
        let divisor = 10_i128.pow(u32::from(quantity.scale) + u32::from(price.scale));
        let product = i128::from(quantity.units).checked_mul(i128::from(price.units));
        let rounded = product.and_then(|product| product.checked_mul(100)?.checked_add(divisor / 2));
        let sum = rounded.and_then(|rounded| self.hundredths.checked_add(rounded / divisor));
        self.hundredths = sum.ok_or_else(|| Refusal::invalid("the lines' sum is too large".to_owned()))?;
        Ok(())
    }

    /// The sum minus a discount, which is at most the sum.
    fn total(self, discount: Option<Decimal>) -> Result<Decimal, Refusal> {
        let discount = discount.unwrap_or(Decimal { units: 0, scale: 0 });
        let places = 10_i128.pow(u32::from(discount.scale));
        let taken = i128::from(discount.units) * 100 / places;
        if taken < 0 || taken > self.hundredths {
            return Err(Refusal::invalid(format!("discountAmount is {discount}; it must be 0 up to the lines' sum")));
        }
        let units = i64::try_from(self.hundredths - taken)
            .map_err(|_| Refusal::invalid("the lines' sum is too large".to_owned()))?;
        Ok(Decimal { units, scale: 2 })
    }
}

fn checked_line(line: NewLine) -> Result<SalesOrderLine, Refusal> {
    within("lineObjectNumber", &line.line_object_number, CODE_CHARS_MAX)?;
    within("unitOfMeasureCode", &line.unit_of_measure_code, UNIT_CHARS_MAX)?;
    let (quantity, unit_price) = amounts(line.quantity, line.unit_price)?;
    Ok(SalesOrderLine { item_number: line.line_object_number, quantity, unit_price, unit: line.unit_of_measure_code })
}

/// Quantity and price of a line.
fn amounts(quantity: Option<Box<RawValue>>, price: Option<Box<RawValue>>) -> Result<(Decimal, Decimal), Refusal> {
    let quantity = decimal("quantity", quantity)?;
    if quantity.units <= 0 {
        return Err(Refusal::invalid(format!("quantity is {quantity}; it must be more than 0")));
    }
    let unit_price = decimal("unitPrice", price)?;
    if unit_price.units < 0 {
        return Err(Refusal::invalid(format!("unitPrice is {unit_price}; it must be 0 or more")));
    }
    Ok((quantity, unit_price))
}

/// Reads the digits that were sent; through a float 1.179 would be another price.
fn decimal(field: &str, raw: Option<Box<RawValue>>) -> Result<Decimal, Refusal> {
    let raw = raw.ok_or_else(|| Refusal::invalid(format!("{field} is missing")))?;
    Decimal::parse(raw.get()).map_err(|error| Refusal::bad("BadRequest", format!("{field}: {error}")))
}

fn within(field: &str, value: &str, chars_max: usize) -> Result<(), Refusal> {
    match value.chars().count() {
        0 => Err(Refusal::invalid(format!("{field} must be filled in"))),
        found if found > chars_max => Err(Refusal::bad(
            "Application_StringExceededLength",
            format!("{field} has {found} characters; at most {chars_max} are allowed"),
        )),
        _ => Ok(()),
    }
}

/// The document number in `$filter=externalDocumentNumber eq '…'`, the one filter
/// that this ERP knows. A quote within the number is doubled.
fn filtered_document(query: &str) -> Result<String, Refusal> {
    let unknown = || Refusal::bad("BadRequest", "expected $filter=externalDocumentNumber eq '…'".to_owned());
    let filter = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| matches!(*name, "$filter" | "%24filter"))
        .and_then(|(_, value)| unescaped(value))
        .ok_or_else(unknown)?;
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

#[derive(Serialize)]
struct List<T> {
    value: Vec<T>,
}

#[derive(Serialize)]
struct CompanyAnswer {
    id: &'static str,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SalesOrderAnswer<'a> {
    #[serde(rename = "@odata.etag")]
    etag: String,
    id: String,
    number: &'a str,
    external_document_number: &'a str,
    customer_number: &'a str,
    total_amount_excluding_tax: String,
    status: &'static str,
}

impl<'a> SalesOrderAnswer<'a> {
    fn of(order: &'a SalesOrder) -> Self {
        Self {
            etag: order.etag(),
            id: order.id(),
            number: &order.number,
            external_document_number: &order.external_document_number,
            customer_number: &order.customer_number,
            total_amount_excluding_tax: order.total.to_string(),
            status: "Draft",
        }
    }
}

/// An answer that says no, in the original's words and shape.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    /// Nobody knows what happened.
    fn failed() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "Internal_ServerError",
            message: "something went wrong; nothing was said about what happened".to_owned(),
        }
    }

    fn bad(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }

    fn invalid(message: String) -> Self {
        Self::bad("Application_FieldValidationException", message)
    }

    fn not_found(message: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "BadRequest_ResourceNotFound", message: message.to_owned() }
    }

    fn full() -> Self {
        Self {
            status: StatusCode::INSUFFICIENT_STORAGE,
            code: "Internal_DatabaseFull",
            message: "the stand-in keeps no more sales orders; start a new one".to_owned(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Answer {
            error: Error,
        }
        #[derive(Serialize)]
        struct Error {
            code: &'static str,
            message: String,
        }
        let error = Error { code: self.code, message: self.message };
        (self.status, Json(Answer { error })).into_response()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::task::{Context, Waker};

    use super::*;
    use crate::standins::mischief::ATTEMPTS_MISCHIEVOUS;

    /// Everything that comes back until the ERP closes the connection.
    async fn exchange(erp: &Erp, method: &str, path: &str, body: &str) -> String {
        let address = erp.serving.address();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: erp\r\nconnection: close\r\n\
             idempotency-key: always-the-same\r\ncontent-length: {length}\r\n\r\n{body}"
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
        let asked = || checked(body("D").as_bytes()).unwrap();
        books.lines_total = LINES_TOTAL_MAX - 1;
        assert!(books.post(COMPANY, asked()).is_ok());
        assert_eq!(books.post(COMPANY, asked()).unwrap_err().status, StatusCode::INSUFFICIENT_STORAGE);
    }
}

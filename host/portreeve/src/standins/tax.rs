//! A tax service in the shape of AvaTax's REST API v2, as far as transactions go.
//!
//! ```text
//! GET  /api/v2/utilities/ping                            200 {"authenticated":true,…}
//! POST /api/v2/transactions/create                       201 {"code","status","totalAmount",…}
//! GET  /api/v2/companies/COMPANY/transactions/CODE       200 the same
//! POST /api/v2/companies/COMPANY/transactions/CODE/commit | void
//!                                                        200 the same
//! any refusal                                            4xx/5xx {"error":{"code","message","details"}}
//! ```
//!
//! Like the original it knows no idempotency key, and a transaction by company, type and code:
//! one that is saved is replaced by the next create of its code without a word, one that is
//! committed or cancelled refuses it, and amounts stand still when a transaction is voided. What
//! the sender says of one it tells again.
//! [`TaxTransaction::written`] counts how often one was written, so that a test sees a double.
//! [`Mischief`] is that of the ERP, by act, code and attempt.
//!
//! Amounts are read and written by their digits. It has one rate for every place, one company
//! and takes any credentials; it knows neither addresses nor tax codes, adjusts nothing and
//! locks nothing.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use portreeve_model::value::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::erp::unescaped;
use super::mischief::{Drawn, Mischief, RETRY_AFTER, SLOW_ANSWER, Trick, hung_up};
use super::serving::Serving;

/// The code of the company whose transactions are kept.
pub const TAX_COMPANY: &str = "DEFAULT";

/// The rate, in ten thousandths: the 7.75 % of Irvine, California.
const RATE: i128 = 775;

/// AvaTax's own code for what is not taxable.
const NOT_TAXABLE: &str = "NT";

/// Bytes of a request's body. A larger one would only fill the memory of the process under test.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Transactions that are kept, and acts whose attempts are counted. A sender in a loop meets a
/// refusal before the process runs out of memory. A benchmark has a transaction for each of up to a
/// million orders.
const KEPT_MAX: usize = 1_000_000;

/// Characters of a code, as the original has it.
const CODE_CHARS_MAX: usize = 50;

/// The first id that is given to a transaction; another one each time it is written, as the
/// original does.
const ID_FIRST: usize = 289_450_369;

/// A transaction's types that are kept.
const TYPES: [&str; 2] = ["SalesInvoice", "ReturnInvoice"];

/// The original's words for why something is voided, read whatever their case.
const VOID_REASONS: [&str; 5] = ["Unspecified", "PostFailed", "DocDeleted", "DocVoided", "AdjustmentCancelled"];

/// How far a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TaxStatus {
    /// Kept, and told nobody.
    Saved,
    /// Final: an authority is told.
    Committed,
    /// Voided.
    Cancelled,
}

/// A transaction as the service keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxTransaction {
    /// `SalesInvoice` or `ReturnInvoice`.
    pub document_type: &'static str,
    /// The sender's number.
    pub code: String,
    /// How far it is.
    pub status: TaxStatus,
    /// Who buys.
    pub customer_code: String,
    /// `2026-03-02`.
    pub date: String,
    /// ISO 4217.
    pub currency: String,
    /// The sender's own words about it.
    pub description: Option<String>,
    /// The sum of its lines, in major units.
    pub total_amount: Decimal,
    /// The tax of that.
    pub total_tax: Decimal,
    /// The item, the quantity and the amount of each line.
    pub lines: Vec<TaxLine>,
    /// How often it was created: each time but the first it replaced itself.
    pub written: u32,
    id: usize,
}

/// A line of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxLine {
    /// The item, where it has one.
    pub item_code: Option<String>,
    /// How much, never below nothing.
    pub quantity: Decimal,
    /// What it is worth, in major units; below nothing on a return.
    pub amount: Decimal,
}

/// A running tax service. It stops when this is dropped; [`Taxes::stop`] also waits for it.
#[derive(Debug)]
pub struct Taxes {
    serving: Serving,
    ledger: Ledger,
}

impl Taxes {
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

    /// All transactions, in the order of their codes.
    #[must_use]
    pub fn transactions(&self) -> Vec<TaxTransaction> {
        self.ledger.lock().transactions.values().cloned().collect()
    }

    /// From now on its mischief follows from this seed as well.
    pub fn draw_by(&self, seed: u64) {
        self.ledger.lock().seed = Some(seed);
    }

    /// What its mischief drew so far, for each attempt at each thing.
    #[must_use]
    pub fn drawn(&self) -> Vec<Drawn> {
        let books = self.ledger.lock();
        self.ledger.mischief.drawn(books.seed, books.attempts.iter().map(|(act, count)| (act.as_str(), *count)))
    }

    /// How many transactions are so far.
    #[must_use]
    pub fn count(&self, status: TaxStatus) -> usize {
        self.ledger.lock().transactions.values().filter(|transaction| transaction.status == status).count()
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
    let below = "/api/v2/companies/{company}/transactions/{code}";
    Router::new()
        .route("/api/v2/utilities/ping", get(ping))
        .route("/api/v2/transactions/create", post(create))
        .route(below, get(read))
        .route(&format!("{below}/commit"), post(commit))
        .route(&format!("{below}/void"), post(void))
        .fallback(async || Refusal::no_resource())
        .method_not_allowed_fallback(async || Refusal::no_resource())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(ledger)
}

async fn ping() -> Response {
    Json(json!({"version": "26.3.0", "authenticated": true, "authenticationType": "UsernamePassword"})).into_response()
}

async fn create(State(ledger): State<Ledger>, body: Result<Bytes, BytesRejection>) -> Result<Response, Refusal> {
    let asked = Asked::read(&whole(body)?)?;
    let act = ("create", asked.document_type, asked.code.clone(), asked.description.clone());
    let (trick, answer) = attempted(&ledger, act, |books| books.create(asked))?;
    answered(trick, StatusCode::CREATED, answer).await
}

async fn read(
    State(ledger): State<Ledger>,
    Path(path): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let key = key(path, query.as_deref())?;
    let books = ledger.lock();
    let found = books.transactions.get(&key).ok_or_else(|| Refusal::not_found("Document"))?;
    Ok(Json(Answer::of(found)?).into_response())
}

async fn commit(
    State(ledger): State<Ledger>,
    Path(path): Path<(String, String)>,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let key = key(path, query.as_deref())?;
    let Commit { commit } = parsed(&whole(body)?)?;
    if !commit {
        return Err(Refusal::bad("ValueRequiredError", "Field commit is required."));
    }
    let (trick, answer) = attempted(&ledger, ("commit", key.1, key.0.clone(), None), |books| books.commit(&key))?;
    answered(trick, StatusCode::OK, answer).await
}

async fn void(
    State(ledger): State<Ledger>,
    Path(path): Path<(String, String)>,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let key = key(path, query.as_deref())?;
    let Void { code } = parsed(&whole(body)?)?;
    if !VOID_REASONS.iter().any(|reason| reason.eq_ignore_ascii_case(&code)) {
        return Err(Refusal::bad("InvalidParameterValue", "The void reason is not one of the known ones."));
    }
    let (trick, answer) = attempted(&ledger, ("void", key.1, key.0.clone(), None), |books| books.void(&key))?;
    answered(trick, StatusCode::OK, answer).await
}

/// What is tried, the type and the code of the transaction, and what its sender says of it.
type Act = (&'static str, &'static str, String, Option<String>);

/// What happens to an attempt, and what it wrote.
fn attempted(
    ledger: &Ledger,
    act: Act,
    write: impl FnOnce(&mut Books) -> Result<TaxTransaction, Refusal>,
) -> Result<(Option<Trick>, TaxTransaction), Refusal> {
    let mut books = ledger.lock();
    let act = books.called(act);
    let trick = books.trick(&ledger.mischief, &act)?;
    match trick {
        Some(Trick::Throttle) => Err(Refusal::throttled()),
        Some(Trick::FailBefore) => Err(Refusal::failed()),
        Some(Trick::Reject) => Err(Refusal::bad("InvalidAddress", "The address is not deliverable.")),
        Some(Trick::DropAfter | Trick::SlowAfter) | None => Ok((trick, write(&mut books)?)),
    }
}

async fn answered(trick: Option<Trick>, status: StatusCode, written: TaxTransaction) -> Result<Response, Refusal> {
    match trick {
        Some(Trick::SlowAfter) => tokio::time::sleep(SLOW_ANSWER).await,
        Some(Trick::DropAfter) => return Ok(hung_up()),
        _ => {}
    }
    Ok((status, Json(Answer::of(&written)?)).into_response())
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|error| Refusal { status: error.status(), ..Refusal::bad("InvalidJsonObject", &error.body_text()) })
}

fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad("ModelStateInvalid", &error.to_string()))
}

/// Code and type of the transaction in a path and query.
type Key = (String, &'static str);

fn key((company, code): (String, String), query: Option<&str>) -> Result<Key, Refusal> {
    is_known(&named(&company))?;
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let stated = pairs.into_iter().find(|(name, _)| *name == "documentType");
    let stated = stated.map(|(_, value)| unescaped(value).unwrap_or_default());
    let document_type = stated.map_or(Ok("SalesInvoice"), |stated| known_type(&stated))?;
    Ok((named(&code), document_type))
}

/// Undoes the original's own escapes of what a path cannot have.
fn named(segment: &str) -> String {
    let escapes = [("2f", "/"), ("2b", "+"), ("3f", "?"), ("25", "%"), ("23", "#")];
    escapes.iter().fold(segment.to_owned(), |text, (hex, letter)| text.replace(&format!("_-ava{hex}-_"), letter))
}

fn is_known(company: &str) -> Result<(), Refusal> {
    if company.eq_ignore_ascii_case(TAX_COMPANY) { Ok(()) } else { Err(Refusal::not_found("Company")) }
}

fn known_type(stated: &str) -> Result<&'static str, Refusal> {
    let known = TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(stated));
    known.ok_or_else(|| Refusal::bad("InvalidDocumentType", "The document type is none that is kept."))
}

/// The part of a request's body that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    #[serde(rename = "type")]
    document_type: String,
    code: String,
    company_code: String,
    customer_code: String,
    date: String,
    currency_code: String,
    description: Option<String>,
    #[serde(default)]
    commit: bool,
    lines: Vec<ModelLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelLine {
    item_code: Option<String>,
    tax_code: Option<String>,
    quantity: Box<RawValue>,
    amount: Box<RawValue>,
}

#[derive(Deserialize)]
struct Commit {
    commit: bool,
}

#[derive(Deserialize)]
struct Void {
    code: String,
}

/// A transaction that could be created.
struct Asked {
    document_type: &'static str,
    code: String,
    status: TaxStatus,
    customer_code: String,
    date: String,
    currency: String,
    description: Option<String>,
    lines: Vec<TaxLine>,
    /// Hundredths of major units.
    total: i128,
    /// How much of that is taxable.
    taxable: i128,
}

impl Asked {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let model: Model = parsed(body)?;
        is_known(&model.company_code)?;
        within("code", &model.code)?;
        within("customerCode", &model.customer_code)?;
        let is_taxable = |line: &ModelLine| line.tax_code.as_deref() != Some(NOT_TAXABLE);
        let taxable: Vec<bool> = model.lines.iter().map(is_taxable).collect();
        let lines = model.lines.into_iter().map(line).collect::<Result<Vec<_>, _>>()?;
        if lines.is_empty() {
            return Err(Refusal::bad("MissingLine", "A transaction must have a line."));
        }
        Ok(Self {
            document_type: known_type(&model.document_type)?,
            code: model.code,
            status: if model.commit { TaxStatus::Committed } else { TaxStatus::Saved },
            customer_code: model.customer_code,
            date: model.date,
            currency: model.currency_code,
            description: model.description,
            total: lines.iter().map(|line| hundredths(line.amount)).sum(),
            taxable: lines.iter().zip(taxable).filter(|(_, is)| *is).map(|(line, _)| hundredths(line.amount)).sum(),
            lines,
        })
    }
}

fn line(line: ModelLine) -> Result<TaxLine, Refusal> {
    let quantity = decimal("quantity", &line.quantity)?;
    if quantity.units < 0 {
        return Err(Refusal::bad("NegativeQuantityError", "The quantity must not be below zero."));
    }
    let amount = decimal("amount", &line.amount)?;
    if amount.scale > 2 {
        return Err(Refusal::bad("InvalidParameterValue", "The amount is finer than a hundredth."));
    }
    Ok(TaxLine { item_code: line.item_code, quantity, amount })
}

/// Reads the digits that were sent; through a float 0.29 would be another amount.
fn decimal(field: &str, raw: &RawValue) -> Result<Decimal, Refusal> {
    Decimal::parse(raw.get()).map_err(|error| Refusal::bad("ModelStateInvalid", &format!("{field}: {error}")))
}

/// An amount of at most two places, in hundredths.
fn hundredths(amount: Decimal) -> i128 {
    i128::from(amount.units).saturating_mul(10_i128.pow(2_u32.saturating_sub(u32::from(amount.scale))))
}

fn within(field: &str, value: &str) -> Result<(), Refusal> {
    match value.chars().count() {
        0 => Err(Refusal::bad("ValueRequiredError", &format!("Field {field} is required."))),
        found if found > CODE_CHARS_MAX => {
            Err(Refusal::bad("StringLengthError", &format!("Field {field} has more than {CODE_CHARS_MAX} characters.")))
        }
        _ => Ok(()),
    }
}

/// The tax of a sum, half a hundredth away from zero.
fn tax_of(total: i128) -> i128 {
    let numerator = total.saturating_mul(RATE);
    numerator.saturating_add(5_000 * numerator.signum()) / 10_000
}

fn major(hundredths: i128) -> Result<Decimal, Refusal> {
    let units = i64::try_from(hundredths);
    let units = units.map_err(|_| Refusal::bad("InvalidParameterValue", "The lines' sum is too large."))?;
    Ok(Decimal { units, scale: 2 })
}

/// The service's memory, shared with the handlers. Its lock is never held across an `await`.
#[derive(Debug, Clone)]
struct Ledger {
    mischief: Mischief,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    transactions: BTreeMap<Key, TaxTransaction>,
    attempts: BTreeMap<String, u32>,
    /// What mischief follows from beside what is tried.
    seed: Option<u64>,
    ids: usize,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Counts an attempt and says what happens to it.
    fn trick(&mut self, mischief: &Mischief, act: &str) -> Result<Option<Trick>, Refusal> {
        if self.attempts.len() >= KEPT_MAX && !self.attempts.contains_key(act) {
            return Err(Refusal::full());
        }
        let count = self.attempts.entry(act.to_owned()).or_default();
        let attempt = *count;
        *count = count.saturating_add(1);
        Ok(mischief.trick_of(self.seed, act, attempt))
    }

    /// How an attempt is called. In the run of a seed by what the sender says of the transaction, which
    /// names the order: codes are numbers of invoices, and those follow from who came first.
    fn called(&self, (act, document_type, code, description): Act) -> String {
        let known = |code: &String| self.transactions.get(&(code.clone(), document_type))?.description.clone();
        let said = self.seed.and_then(|_| description.or_else(|| known(&code)));
        format!("{act}/{document_type}/{}", said.unwrap_or(code))
    }

    fn create(&mut self, asked: Asked) -> Result<TaxTransaction, Refusal> {
        let key = (asked.code.clone(), asked.document_type);
        let before = self.transactions.get(&key);
        if before.is_some_and(|before| before.status != TaxStatus::Saved) {
            return Err(Refusal::of_status());
        }
        if before.is_none() && self.transactions.len() >= KEPT_MAX {
            return Err(Refusal::full());
        }
        let written = before.map_or(0, |before| before.written).saturating_add(1);
        let transaction = TaxTransaction {
            document_type: asked.document_type,
            code: asked.code,
            status: asked.status,
            customer_code: asked.customer_code,
            date: asked.date,
            currency: asked.currency,
            description: asked.description,
            total_amount: major(asked.total)?,
            total_tax: major(tax_of(asked.taxable))?,
            lines: asked.lines,
            written,
            id: ID_FIRST.saturating_add(self.ids),
        };
        self.ids = self.ids.saturating_add(1);
        self.transactions.insert(key, transaction.clone());
        Ok(transaction)
    }

    fn commit(&mut self, key: &Key) -> Result<TaxTransaction, Refusal> {
        let found = self.transactions.get_mut(key).ok_or_else(|| Refusal::not_found("Document"))?;
        match found.status {
            TaxStatus::Saved => found.status = TaxStatus::Committed,
            TaxStatus::Committed => {
                return Err(Refusal::bad(
                    "TransactionIsCommitted",
                    "Committed transactions cannot be modified by this API.",
                ));
            }
            TaxStatus::Cancelled => return Err(Refusal::of_status()),
        }
        Ok(found.clone())
    }

    fn void(&mut self, key: &Key) -> Result<TaxTransaction, Refusal> {
        let found = self.transactions.get_mut(key).ok_or_else(|| Refusal::not_found("Document"))?;
        if found.status == TaxStatus::Cancelled {
            let message = "The transaction has already been cancelled.";
            return Err(Refusal::bad("TransactionAlreadyCancelled", message));
        }
        found.status = TaxStatus::Cancelled;
        Ok(found.clone())
    }
}

/// A transaction in the original's words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    id: usize,
    code: &'a str,
    date: &'a str,
    status: TaxStatus,
    #[serde(rename = "type")]
    document_type: &'a str,
    currency_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    customer_vendor_code: &'a str,
    total_amount: Box<RawValue>,
    total_tax: Box<RawValue>,
    locked: bool,
    version: u32,
    /// Without a zone, as the original has it.
    modified_date: &'static str,
}

impl<'a> Answer<'a> {
    fn of(transaction: &'a TaxTransaction) -> Result<Self, Refusal> {
        let number = |amount: Decimal| RawValue::from_string(amount.to_string()).map_err(|_| Refusal::failed());
        Ok(Self {
            id: transaction.id,
            code: &transaction.code,
            date: &transaction.date,
            status: transaction.status,
            document_type: transaction.document_type,
            currency_code: &transaction.currency,
            description: transaction.description.as_deref(),
            customer_vendor_code: &transaction.customer_code,
            total_amount: number(transaction.total_amount)?,
            total_tax: number(transaction.total_tax)?,
            locked: false,
            version: transaction.written,
            modified_date: "2026-03-02T08:00:00.000",
        })
    }
}

/// An answer that says no, in the original's words and shape.
#[derive(Debug, Clone)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// What it is about, where the original says so.
    refers_to: Option<&'static str>,
}

impl Refusal {
    fn bad(code: &'static str, message: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.to_owned(), refers_to: None }
    }

    /// A status that forbids it is a failed calculation there.
    fn of_status() -> Self {
        let refused = Self::bad("GetTaxError", "DocStatus is invalid for this operation.");
        Self { refers_to: Some("DocStatus"), ..refused }
    }

    fn not_found(what: &str) -> Self {
        let refused = Self::bad("EntityNotFoundError", &format!("{what} not found."));
        Self { status: StatusCode::NOT_FOUND, ..refused }
    }

    fn no_resource() -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::bad("ApiNotFound", "There is no such resource.") }
    }

    fn throttled() -> Self {
        Self { status: StatusCode::TOO_MANY_REQUESTS, ..Self::bad("TooManyRequests", "Too many requests.") }
    }

    fn failed() -> Self {
        let refused = Self::bad("ServerError", "something went wrong; nothing was said about what happened");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, ..refused }
    }

    fn full() -> Self {
        let refused = Self::bad("ServerError", "the stand-in keeps no more; start a new one");
        Self { status: StatusCode::INSUFFICIENT_STORAGE, ..refused }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let detail =
            json!({"code": self.code, "message": self.message, "refersTo": self.refers_to, "severity": "Error"});
        let error = json!({"code": self.code, "message": self.message, "target": "HttpRequest", "details": [detail]});
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
    use serde_json::Value;

    use super::*;
    use crate::client;

    const BELOW: &str = "/api/v2/companies/DEFAULT/transactions";

    /// Status and the answer's text.
    async fn asked(taxes: &Taxes, method: Method, path: &str, body: &str) -> (u16, String) {
        let answer =
            client::send(taxes.serving.address(), method, path, &[], Bytes::from(body.to_owned())).await.unwrap();
        (answer.status, String::from_utf8(answer.body.to_vec()).unwrap())
    }

    async fn create(taxes: &Taxes, body: &str) -> (u16, String) {
        asked(taxes, Method::POST, "/api/v2/transactions/create", body).await
    }

    async fn act(taxes: &Taxes, path: &str, body: &str) -> (u16, String) {
        asked(taxes, Method::POST, &format!("{BELOW}/{path}"), body).await
    }

    fn model(code: &str, amount: &str, commit: bool) -> String {
        format!(
            r#"{{"type":"SalesInvoice","code":"{code}","companyCode":"DEFAULT","customerCode":"ABC","date":"2026-03-02",
                "currencyCode":"USD","commit":{commit},"lines":[{{"itemCode":"Y0001","quantity":1,"amount":{amount}}}]}}"#
        )
    }

    /// Status of the request, and the error's code or the transaction's status.
    fn told((status, text): (u16, String)) -> (u16, String) {
        let answer: Value = serde_json::from_str(&text).unwrap();
        let word = answer["error"]["code"].as_str().or(answer["status"].as_str());
        (status, word.unwrap().to_owned())
    }

    fn is(status: u16, word: &str) -> (u16, String) {
        (status, word.to_owned())
    }

    #[tokio::test]
    async fn what_is_not_taxable_has_no_tax() {
        let taxes = Taxes::start(Mischief::default()).await.unwrap();
        let resold = model("INV-1", "100", true).replace("\"quantity\"", "\"taxCode\":\"NT\",\"quantity\"");
        let both = resold.replace("}]}", "},{\"taxCode\":\"PC040100\",\"quantity\":1,\"amount\":100}]}");
        assert_eq!(told(create(&taxes, &resold).await), is(201, "Committed"));
        assert_eq!(told(create(&taxes, &both.replace("INV-1", "INV-2")).await), is(201, "Committed"));
        let taxes: Vec<String> = taxes.transactions().iter().map(|kept| kept.total_tax.to_string()).collect();
        assert_eq!(taxes, ["0.00", "7.75"]);
    }

    #[tokio::test]
    async fn what_is_saved_is_replaced_and_what_is_final_is_not() {
        let taxes = Taxes::start(Mischief::default()).await.unwrap();
        assert_eq!(told(create(&taxes, &model("INV-1", "100", false)).await), is(201, "Saved"));
        assert_eq!(told(create(&taxes, &model("INV-1", "90.00", false)).await), is(201, "Saved"));
        let kept = taxes.transactions();
        assert_eq!((kept.len(), kept[0].written, kept[0].total_amount.to_string()), (1, 2, "90.00".to_owned()));
        // 6.975 is rounded away from zero.
        assert_eq!(kept[0].total_tax.to_string(), "6.98");

        assert_eq!(told(act(&taxes, "INV-1/commit", r#"{"commit":true}"#).await), is(200, "Committed"));
        assert_eq!(told(create(&taxes, &model("INV-1", "80", false)).await), is(400, "GetTaxError"));
        assert_eq!(told(act(&taxes, "INV-1/commit", r#"{"commit":true}"#).await), is(400, "TransactionIsCommitted"));
        assert_eq!(told(act(&taxes, "INV-1/void", r#"{"code":"docVoided"}"#).await), is(200, "Cancelled"));
        assert_eq!(
            told(act(&taxes, "INV-1/void", r#"{"code":"DocVoided"}"#).await),
            is(400, "TransactionAlreadyCancelled")
        );
        assert_eq!(told(create(&taxes, &model("INV-1", "80", true)).await), is(400, "GetTaxError"));
        let (status, text) = asked(&taxes, Method::GET, &format!("{BELOW}/INV-1"), "").await;
        assert!(status == 200 && text.contains(r#""totalAmount":90.00,"totalTax":6.98"#), "{text}");
        taxes.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_transaction_is_known_by_company_type_and_code() {
        let taxes = Taxes::start(Mischief::default()).await.unwrap();
        assert_eq!(told(create(&taxes, &model("A/1 +?%#", "0.29", true)).await), is(201, "Committed"));
        let path = format!("{BELOW}/A_-ava2f-_1%20_-ava2b-__-ava3f-__-ava25-__-ava23-_");
        for (query, expected) in [
            ("", is(200, "Committed")),
            ("?documentType=SalesInvoice", is(200, "Committed")),
            ("?documentType=ReturnInvoice", is(404, "EntityNotFoundError")),
            ("?documentType=SalesOrder", is(400, "InvalidDocumentType")),
        ] {
            assert_eq!(told(asked(&taxes, Method::GET, &format!("{path}{query}"), "").await), expected, "{query}");
        }
        let elsewhere = "/api/v2/companies/OTHER/transactions/INV-1";
        assert_eq!(told(asked(&taxes, Method::GET, elsewhere, "").await), is(404, "EntityNotFoundError"));
        assert_eq!(taxes.transactions()[0].total_amount, Decimal { units: 29, scale: 2 });
        taxes.stop().await.unwrap();
    }

    #[tokio::test]
    async fn refuses_nonsense_and_keeps_none_of_it() {
        let taxes = Taxes::start(Mischief::default()).await.unwrap();
        let good = model("INV-1", "100", false);
        for (body, code) in [
            ("{".to_owned(), "ModelStateInvalid"),
            (model("", "1", false), "ValueRequiredError"),
            (model(&"x".repeat(51), "1", false), "StringLengthError"),
            (model("INV-1", "1.005", false), "InvalidParameterValue"),
            (model("INV-1", "\"1\"", false), "ModelStateInvalid"),
            (good.replace("\"quantity\":1", "\"quantity\":-1"), "NegativeQuantityError"),
            (good.replace("SalesInvoice", "SalesOrder"), "InvalidDocumentType"),
        ] {
            assert_eq!(told(create(&taxes, &body).await), is(400, code), "{body}");
        }
        let nobody = good.replace("DEFAULT", "OTHER");
        assert_eq!(told(create(&taxes, &nobody).await), is(404, "EntityNotFoundError"));
        assert_eq!(told(act(&taxes, "INV-1/commit", r#"{"commit":true}"#).await), is(404, "EntityNotFoundError"));
        assert_eq!(told(act(&taxes, "INV-1/void", r#"{"code":"because"}"#).await), is(400, "InvalidParameterValue"));
        assert_eq!(taxes.transactions(), []);
        taxes.stop().await.unwrap();
    }

    #[tokio::test]
    async fn misbehaves_as_it_is_told_and_serves_the_attempts_after() {
        for (mischief, status) in [
            (Mischief { throttle_per_mille: 1_000, ..Mischief::default() }, 429),
            (Mischief { fail_before_per_mille: 1_000, ..Mischief::default() }, 500),
            (Mischief { reject_per_mille: 1_000, ..Mischief::default() }, 400),
        ] {
            let taxes = Taxes::start(mischief).await.unwrap();
            for _ in 0..2 {
                assert_eq!(create(&taxes, &model("INV-1", "1", true)).await.0, status);
                assert_eq!(taxes.transactions(), []);
            }
            assert_eq!(create(&taxes, &model("INV-1", "1", true)).await.0, 201);
            taxes.stop().await.unwrap();
        }
        let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
        let taxes = Taxes::start(lost).await.unwrap();
        let body = Bytes::from(model("INV-1", "1", true));
        let answer =
            client::send(taxes.serving.address(), Method::POST, "/api/v2/transactions/create", &[], body).await;
        assert!(answer.is_err(), "the connection was closed without a word");
        assert_eq!(taxes.transactions().len(), 1);
        taxes.stop().await.unwrap();
    }
}

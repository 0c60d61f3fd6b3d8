//! What changed since a time: posted documents page by page, and notifications that something did.
//!
//! ```text
//! GET …/salesInvoices?$filter=lastModifiedDateTime ge TIME[&$orderby=lastModifiedDateTime]
//!     [&$expand=salesInvoiceLines]      Prefer: odata.maxpagesize=N
//!                                       200 {"value":[…],"@odata.nextLink":"…&$skiptoken=N"}
//! GET …/salesInvoices?$filter=number eq 'A'[ or number eq 'B'…][&$select=…]   200 {"value":[…]}
//! {"value":[{"subscriptionId","clientState","resource","changeType","lastModifiedDateTime",…}]}
//! ```
//!
//! As in the original a notification has no data, several changes of one document are one, some
//! never arrive and some arrive twice; which follows from the document, so that a run can be
//! repeated. Whoever plays the network posts them. Times are what somebody set the ERP to, and
//! documents that are posted until it is set again have one time; or those of a clock that it was
//! given, and then no two postings have the same one.

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use portreeve_model::{Digest, Instant};
use portreeve_pipeline::Clock;
use serde::Serialize;
use serde_json::json;

use super::answer::{DocumentAnswer, Refusal};
use super::posting::Document;
use super::{Erp, Ledger, option, throttled};
use crate::standins::mischief::Trick;

/// Documents of a page where nothing is asked for.
const PAGE: usize = 100;

/// The days to pay in.
const DUE_DAYS: i64 = 30;

#[derive(Serialize)]
struct Page<'a> {
    value: Vec<DocumentAnswer<'a>>,
    #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What a list of changes asks for.
pub(super) struct Since {
    ge: Instant,
    with_lines: bool,
    skip: usize,
    size: usize,
}

impl Since {
    /// None where a query asks for something else.
    pub(super) fn read(query: &str, headers: &HeaderMap, lines: &str) -> Result<Option<Self>, Refusal> {
        let filter = option(query, "filter").unwrap_or_default();
        let Some(time) = filter.strip_prefix("lastModifiedDateTime ge ") else { return Ok(None) };
        let wrong = |what: &str| Refusal::bad("BadRequest", format!("expected {what}"));
        let ge = Instant::parse(time).map_err(|_| wrong("a time behind lastModifiedDateTime ge"))?;
        if option(query, "orderby").is_some_and(|by| by != "lastModifiedDateTime") {
            return Err(wrong("$orderby=lastModifiedDateTime"));
        }
        let expand = option(query, "expand");
        if expand.as_deref().is_some_and(|expanded| expanded != lines) {
            return Err(wrong(&format!("$expand={lines}")));
        }
        let skip = option(query, "skiptoken").map_or(Ok(0), |skip| skip.parse());
        let skip = skip.map_err(|_| wrong("a $skiptoken of a nextLink"))?;
        let prefer = headers.get("prefer").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let size = prefer.strip_prefix("odata.maxpagesize=").and_then(|size| size.parse().ok()).unwrap_or(PAGE);
        Ok(Some(Self { ge, with_lines: expand.is_some(), skip, size: size.max(1) }))
    }
}

/// The numbers that a filter asks for; none where it asks for something else. Whatever `$select`
/// has, whole documents are told.
pub(super) fn numbered(query: &str) -> Option<Vec<String>> {
    let filter = option(query, "filter")?;
    let number = |one: &str| {
        let quoted = one.strip_prefix("number eq '")?.strip_suffix('\'')?;
        (!quoted.replace("''", "").contains('\'')).then(|| quoted.replace("''", "'"))
    };
    filter.split(" or ").map(number).collect()
}

/// A page of what changed. What is asked for may meet mischief, as whatever is tried; lists from two
/// times of one second are one thing, for which of several documents has which millisecond follows
/// from who was first.
pub(super) fn listed(
    ledger: &Ledger,
    company: &'static str,
    since: &Since,
    uri: &Uri,
    headers: &HeaderMap,
    of: impl Fn(&super::books::Books) -> &[Document],
) -> Result<Response, Refusal> {
    let mut books = ledger.lock();
    let second = Instant(since.ge.0.div_euclid(1_000).saturating_mul(1_000));
    let about = format!("list {} since {second} from {}", uri.path(), since.skip);
    match ledger.trick(company, (&about, None), &mut books)? {
        Some(Trick::Throttle) => return Ok(throttled()),
        Some(Trick::FailBefore | Trick::Reject | Trick::DropAfter | Trick::SlowAfter) => {
            return Err(Refusal::failed());
        }
        None => {}
    }
    let mut changed: Vec<&Document> = of(&books)
        .iter()
        .filter(|document| document.company == company && document.modified >= since.ge)
        .filter(|document| !document.is_invoice() || !books.late.contains(&document.external_document_number))
        .collect();
    changed.sort_by_key(|document| document.modified);
    let there = changed.len();
    let value = changed.into_iter().skip(since.skip).take(since.size);
    let value = value.map(|document| DocumentAnswer::of(document, since.with_lines)).collect();
    let next = since.skip.saturating_add(since.size);
    let next = (next < there).then(|| next_link(uri, headers, next));
    Ok(Json(Page { value, next }).into_response())
}

fn next_link(uri: &Uri, headers: &HeaderMap, skip: usize) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let query = uri.query().unwrap_or_default();
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("$skiptoken=")).collect();
    format!("http://{host}{}?{}&$skiptoken={skip}", uri.path(), kept.join("&"))
}

/// The day of a time, as documents have it.
pub(super) fn day(at: Instant, days_later: i64) -> String {
    let text = at.plus_ms(days_later.saturating_mul(Instant::DAY_MS)).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// By when a document of this time is to be paid.
pub(super) fn due(at: Instant) -> String {
    day(at, DUE_DAYS)
}

/// A clock that the ERP goes by, where somebody gave it one.
#[derive(Default)]
pub(super) struct Time(OnceLock<Arc<dyn Clock>>);

impl Time {
    pub(super) fn now(&self) -> Option<Instant> {
        self.0.get().map(|clock| clock.now())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({:?})", self.now())
    }
}

impl Erp {
    /// From now on it posts by this clock, a millisecond later where something has the time
    /// already. The first clock counts.
    pub fn know_the_time(&self, clock: Arc<dyn Clock>) {
        self.ledger.time.0.get_or_init(|| clock);
    }

    /// What is invoiced of these orders is in no list of what changed, until [`Erp::tell`]: its
    /// posting takes long to commit. Orders are named as the ERP does.
    pub fn tells_late(&self, orders: impl IntoIterator<Item = String>) {
        self.ledger.lock().late.extend(orders);
    }

    /// What was invoiced of an order is there now, with a time of now, and its notification once more.
    pub fn tell(&self, order: &str) {
        let mut books = self.ledger.lock();
        if !books.late.remove(order) {
            return;
        }
        let now = books.posting_time();
        let mut told = Vec::new();
        for invoice in books.invoices.iter_mut().filter(|invoice| invoice.external_document_number == order) {
            invoice.modified = now;
            told.push((format!("companies({})/salesInvoices({})", invoice.company, invoice.id()), now));
        }
        books.changes.extend(told);
    }

    /// Sets the ERP's clock, by which documents are posted. It never says so by itself.
    pub fn set_clock(&self, now: Instant) {
        self.ledger.lock().now = now;
    }

    /// How many changes there were so far.
    #[must_use]
    pub fn change_count(&self) -> usize {
        self.ledger.lock().changes.len()
    }

    /// The calls that tell of the changes after so many, each with its body, under the secret of
    /// the subscription. Where the network is bad one in three is not among them, and one in three
    /// is there twice.
    #[must_use]
    pub fn notifications(&self, after: usize, client_state: &str, network_is_bad: bool) -> Vec<String> {
        let books = self.ledger.lock();
        let mut calls = Vec::new();
        for (resource, modified) in books.changes.iter().skip(after) {
            let draw = Digest::of(resource.as_bytes()).as_bytes().first().copied().unwrap_or_default() % 3;
            let times = match (network_is_bad, draw) {
                (true, 0) => 0,
                (true, 1) => 2,
                _ => 1,
            };
            let call = json!({"value": [{
                "subscriptionId": "posted", "clientState": client_state,
                "expirationDateTime": modified.plus_ms(3 * Instant::DAY_MS).to_string(),
                "resource": format!("api/v2.0/{resource}"), "changeType": "created",
                "lastModifiedDateTime": modified.to_string(),
            }]});
            calls.extend(std::iter::repeat_n(call.to_string(), times));
        }
        calls
    }
}

//! Sales orders into an ERP, and out of it again (`cancel`), that speaks the REST API of Business Central v2.0.
//!
//! The API documents no idempotency key, so the danger is a second sales order
//! for one order. The message carries the host's order id as
//! `externalDocumentNumber`, and by it `find` asks whether an earlier attempt
//! happened. What an answer means:
//!
//! ```text
//! 201            created; its number is the receipt
//! 400 409 422    the ERP refuses the order: invalid, and stays so
//! 429            not processed: later
//! 5xx, 408, a lost connection   unknown: look it up before trying again, also
//!                after a 503 with Retry-After: a gateway says so when its
//!                upstream was slow, and the upstream may have worked
//! no connection  nothing was sent: later
//! other          permanent (wrong address, no permission)
//! ```
//!
//! Settings: `base-url` (up to and without `/companies`), `company` (its id), and
//! `answer-timeout-ms`, how long the ERP may take to answer, 20000 unless set. The
//! call's own limit, `wall_ms` of the manifest and the grant, has to be longer: a
//! call that is cut says nothing, not even that the outcome is unknown. Credentials
//! are the host's.

mod cancel;

use portreeve_sdk::connector::*;
use portreeve_sdk::failure::RETRY_MS;
use serde::Deserialize;

/// The contract's longest wait: one day. A target could otherwise park an order
/// for ever with a header.
const RETRY_MS_MAX: u32 = 86_400_000;

/// Bytes of the target's words that a receipt or problem keeps.
const DETAIL_BYTES_MAX: usize = 512;

/// How long the ERP may take to answer, unless set. Posting a sales order of many
/// lines takes the original seconds.
const ANSWER_MS: u32 = 20_000;

/// The longest that may be set, below `wall_ms` of the manifest by what connecting
/// and the call itself take.
const ANSWER_MS_MAX: u32 = 25_000;

struct ErpRest;

impl Connector for ErpRest {
    fn receive(_: Inbound) -> Result<Received, Failure> {
        Err(Failure::permanent("this connector receives nothing; it delivers sales orders"))
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        if delivery.message.kind == cancel::KIND {
            return cancel::deliver(&delivery);
        }
        let url = format!("{}/salesOrders", company_url(&delivery.settings)?);
        let request = http::Request::json(http::Method::Post, &url, delivery.message.body)
            .with_header("idempotency-key", &delivery.idempotency_key);
        let response = http::send(patient(request, &delivery.settings)?)?;
        match response.status {
            200 | 201 => created(&response),
            400 | 409 | 422 => Err(refused("the sales order", &response)),
            429 => Err(Failure::Retry(wait(&response))),
            408 | 500..=599 => Err(Failure::unknown(format!(
                "the ERP answered {}; the sales order may exist all the same",
                response.status
            ))),
            status => Err(unusable(status)),
        }
    }

    fn find(query: FindQuery) -> Result<Option<Receipt>, Failure> {
        if query.kind == cancel::KIND {
            return cancel::find(&query);
        }
        let order = sales_orders(&query.natural_key, &query.settings)?;
        let receipt = |order: SalesOrder| {
            order.receipt().ok_or_else(|| Failure::permanent("the ERP lists a sales order without number and id"))
        };
        order.map(receipt).transpose()
    }

    fn check(request: CheckRequest) -> Result<CheckReport, Failure> {
        let url = format!("{}/companies", base_url(&request.settings)?);
        let (ok, detail) = match http::send(patient(http::Request::get_json(&url), &request.settings)?) {
            Ok(response) if response.is_success() => (true, "the ERP lists its companies".to_owned()),
            Ok(response) => (false, format!("the ERP answered {} when asked for its companies", response.status)),
            Err(error) => (false, error.to_string()),
        };
        Ok(CheckReport { ok, detail })
    }
}

/// The request with the time that the ERP has to answer it.
fn patient(mut request: http::Request, settings: &[Setting]) -> Result<http::Request, Failure> {
    request.answer_timeout_ms = match setting(settings, "answer-timeout-ms") {
        None => ANSWER_MS,
        Some(text) => text.parse().ok().filter(|ms| (1..=ANSWER_MS_MAX).contains(ms)).ok_or_else(|| {
            Failure::permanent(format!(
                "setting `answer-timeout-ms` is no whole number of milliseconds from 1 to {ANSWER_MS_MAX}"
            ))
        })?,
    };
    Ok(request)
}

fn base_url(settings: &[Setting]) -> Result<&str, Failure> {
    setting(settings, "base-url").map(|url| url.trim_end_matches('/')).ok_or_else(|| {
        Failure::permanent("setting `base-url` is missing; expected for example https://erp.example/api/v2.0")
    })
}

fn company_url(settings: &[Setting]) -> Result<String, Failure> {
    let company = setting(settings, "company")
        .ok_or_else(|| Failure::permanent("setting `company` is missing; expected the id of a company of the ERP"))?;
    Ok(format!("{}/companies({})", base_url(settings)?, http::escaped(company)))
}

/// The sales order of an order, where the ERP has one.
fn sales_orders(natural_key: &str, settings: &[Setting]) -> Result<Option<SalesOrder>, Failure> {
    let filter = format!("externalDocumentNumber eq '{}'", document_number(natural_key).replace('\'', "''"));
    let url = format!("{}/salesOrders?$filter={}", company_url(settings)?, http::escaped(&filter));
    let response = http::send(patient(http::Request::get_json(&url), settings)?)?;
    match response.status {
        200 => found(&response),
        408 | 429 | 500..=599 => Err(Failure::Retry(wait(&response))),
        status => Err(unusable(status)),
    }
}

/// The host's order id as the ERP keeps it: 35 characters, a UUID has 36, so its hyphens go.
fn document_number(order_id: &str) -> String {
    if order_id.len() == 36 { order_id.replace('-', "") } else { order_id.to_owned() }
}

#[derive(Deserialize)]
struct SalesOrder {
    #[serde(rename = "@odata.etag")]
    etag: Option<String>,
    id: Option<String>,
    number: Option<String>,
}

impl SalesOrder {
    /// What a person finds it by.
    fn name(&self) -> &str {
        self.number.as_deref().or(self.id.as_deref()).unwrap_or("one without a number")
    }

    fn receipt(self) -> Option<Receipt> {
        let detail = self.id.clone().map(|id| format!("id {id}"));
        let external_id = self.number.filter(|number| !number.is_empty()).or(self.id)?;
        Some(Receipt { external_id, detail })
    }
}

/// Reads the answer to a creation. It has happened: an answer that cannot be
/// read leaves its number unknown, which `find` then tells.
fn created(response: &http::Response) -> Result<Receipt, Failure> {
    let order: Option<SalesOrder> = serde_json::from_slice(&response.body).ok();
    order
        .and_then(SalesOrder::receipt)
        .ok_or_else(|| Failure::unknown("the ERP took the sales order, but its answer names neither number nor id"))
}

#[derive(Deserialize)]
struct Found {
    value: Vec<SalesOrder>,
}

fn found(response: &http::Response) -> Result<Option<SalesOrder>, Failure> {
    let found: Found = serde_json::from_slice(&response.body)
        .map_err(|_| Failure::permanent("the ERP's list of sales orders is not the JSON that was expected"))?;
    let mut orders = found.value.into_iter();
    match (orders.next(), orders.next()) {
        (None, _) => Ok(None),
        (Some(order), None) => Ok(Some(order)),
        // Taking the first would hide that the customer gets the goods twice.
        (Some(first), Some(second)) => Err(Failure::permanent(format!(
            "sales-order-twice: the ERP has {} sales orders with this external document number, {} and {} among them; \
             cancel all but one there, then replay",
            2 + orders.count(),
            first.name(),
            second.name()
        ))),
    }
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

/// The ERP's refusal in its own words; it will refuse the same again.
fn refused(what: &str, response: &http::Response) -> Failure {
    let body: Option<ErrorAnswer> = serde_json::from_slice(&response.body).ok();
    let (code, message) = body.map_or((None, None), |answer| (answer.error.code, answer.error.message));
    let said = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => "no reason given".to_owned(),
    };
    let message = format!("the ERP refused {what} ({}): {}", response.status, shortened(&said));
    Failure::invalid(Problem::new("refused-by-erp", message, ""))
}

fn unusable(status: u16) -> Failure {
    Failure::permanent(format!("the ERP answered {status}; check base-url, company and the credentials"))
}

fn wait(response: &http::Response) -> u32 {
    response.retry_after_ms().unwrap_or(RETRY_MS).min(RETRY_MS_MAX)
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

portreeve_sdk::connector!(ErpRest);

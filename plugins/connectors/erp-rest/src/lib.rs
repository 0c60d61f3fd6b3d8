//! Sales orders into an ERP that speaks the REST API of Business Central v2.0, and out of it
//! again (`cancel`); what people agreed that they are to be (`change`); shipments that it posts with their
//! invoices (`ship`), the rest of an order that does not leave any more (`close`), and returns of which it
//! posts credit memos (`credit`); and what it posted since it was polled last (`listed`), or all that it
//! has: stock, open sales orders, shipments and invoices (`listing`); and has it say by itself that it
//! posted something (`subscribe`).
//!
//! The API documents no idempotency key, so the danger is a second sales order
//! for one order. The message carries the host's order id as
//! `externalDocumentNumber`, and by it `find` asks whether an earlier attempt
//! happened: a sales order that a clerk posted whole since is found by what was
//! posted of it (`posted`). What an answer means is what it means of any such target, see
//! `plugins/lib/rest`: 400, 409 and 422 are the ERP's refusal of the order.
//!
//! Settings: `base-url` (up to and without `/companies`), `company` (its id), `answer-timeout-ms`, and
//! `substitutes`, see there. Credentials are the host's.

mod cancel;
mod change;
mod close;
mod credit;
mod document;
mod listed;
mod listing;
mod posted;
mod ship;
mod subscribe;
mod substitute;

use portreeve_guest_rest::{Answer, Target, only, patient, refusal};
use portreeve_sdk::connector::*;
use serde::Deserialize;

use crate::posted::{Posted, posted};

const ERP: Target =
    Target { name: "the ERP", example: "https://erp.example/api/v2.0", check: "base-url, company and the credentials" };

struct ErpRest;

impl Connector for ErpRest {
    fn receive(_: Inbound) -> Result<Received, Failure> {
        Err(Failure::permanent("this connector receives nothing; it delivers sales orders"))
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        match delivery.message.kind.as_str() {
            change::KIND => return change::deliver(&delivery),
            cancel::KIND => return cancel::deliver(&delivery),
            close::KIND => return close::deliver(&delivery),
            ship::KIND => return ship::deliver(&delivery),
            credit::KIND => return credit::deliver(&delivery),
            subscribe::KIND => return subscribe::deliver(&delivery),
            _ => {}
        }
        let url = format!("{}/salesOrders", company_url(&delivery.settings)?);
        let request = http::Request::json(http::Method::Post, &url, delivery.message.body)
            .with_header("idempotency-key", &delivery.idempotency_key);
        let response = http::send(patient(request, &delivery.settings)?)?;
        match ERP.answered(&response, "the sales order")? {
            Answer::Done => created(&response),
            Answer::Refused => Err(refused("the sales order", &response)),
        }
    }

    fn find(query: FindQuery) -> Result<Option<Receipt>, Failure> {
        match query.kind.as_str() {
            // Only its message says what is to be; whoever sends that again looks first.
            change::KIND => return Ok(None),
            cancel::KIND => return cancel::find(&query),
            close::KIND => return close::find(&query),
            ship::KIND => return ship::find(&query),
            credit::KIND => return credit::find(&query),
            _ => {}
        }
        match sales_order(&query.natural_key, &query.settings)? {
            Some(order) => order
                .receipt()
                .map(Some)
                .ok_or_else(|| Failure::permanent("the ERP lists a sales order without number and id")),
            None => posted(&query.natural_key, &query.settings)?.map(Posted::sales_order).transpose(),
        }
    }

    fn poll(request: PollRequest) -> Result<Polled, Failure> {
        if listing::is_wanted(&request.settings) { listing::page(request) } else { listed::poll(&request) }
    }

    fn check(request: CheckRequest) -> Result<CheckReport, Failure> {
        let url = format!("{}/companies", ERP.base_url(&request.settings)?);
        let answer = http::send(patient(http::Request::get_json(&url), &request.settings)?);
        Ok(ERP.report(answer, "lists its companies", "its companies"))
    }
}

fn company_url(settings: &[Setting]) -> Result<String, Failure> {
    let company = setting(settings, "company")
        .ok_or_else(|| Failure::permanent("setting `company` is missing; expected the id of a company of the ERP"))?;
    Ok(format!("{}/companies({})", ERP.base_url(settings)?, http::escaped(company)))
}

/// The sales order of an order, where the ERP has one.
fn sales_order(natural_key: &str, settings: &[Setting]) -> Result<Option<SalesOrder>, Failure> {
    let url = format!("{}/salesOrders?{}", company_url(settings)?, filter_of(natural_key));
    let response = http::send(patient(http::Request::get_json(&url), settings)?)?;
    ERP.told(&response)?;
    found(&response)
}

/// What lists the documents of an order.
fn filter_of(natural_key: &str) -> String {
    let filter = format!("externalDocumentNumber eq '{}'", document_number(natural_key).replace('\'', "''"));
    format!("$filter={}", http::escaped(&filter))
}

/// The host's order id as the ERP keeps it: 35 characters, a UUID has 36, so its hyphens go.
/// What stands behind a slash is the number of what was said of the order.
fn document_number(natural_key: &str) -> String {
    let order_id = natural_key.split_once('/').map_or(natural_key, |(order_id, _)| order_id);
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
    only(found.value, |count, first, second| {
        Failure::permanent(format!(
            "sales-order-twice: the ERP has {count} sales orders with this external document number, {} and {} among \
             them; cancel all but one there, then replay",
            first.name(),
            second.name()
        ))
    })
}

/// The ERP's refusal in its own words; it will refuse the same again.
fn refused(what: &str, response: &http::Response) -> Failure {
    let said = refusal(response).said;
    let message = format!("the ERP refused {what} ({}): {said}", response.status);
    Failure::invalid(Problem::new("refused-by-erp", message, ""))
}

portreeve_sdk::connector!(ErpRest);

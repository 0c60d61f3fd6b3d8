//! Payments in the shape of Stripe: its webhook events in, refunds out, and lists of what was paid and
//! refunded (`listing`).
//!
//! An event is answered 200 with `{"received":true}`, or 422 with what is wrong; Stripe sends
//! it again for three days until it is answered with a success. The host has checked its
//! signature. An event's id is its key: Stripe promises each at least once, and counts in it
//! how many endpoints still wait for it, so the same event comes again with other bytes.
//!
//! A refund carries the host's idempotency key, the same for all attempts. Stripe gives the
//! first answer again for at least 24 hours, a 500 as well. So a refund whose first answer was
//! a 500 ends with a person instead of a second refund under another key. What an answer
//! means (docs.stripe.com/api/errors, docs.stripe.com/error-low-level):
//!
//! ```text
//! 200            made; its id is the receipt
//! 400 402        refused, with Stripe's code; so is a 404 that names what is missing
//! 409 429        not processed: another request with the same key is, or there were too many
//! 408 424 5xx, a lost connection   unknown: look it up before trying again
//! other          permanent (wrong address, no permission)
//! ```
//!
//! A refund that names no payment, such as one that the host decided on, is of the only charge
//! that says to be of the order.
//!
//! `find` has the natural key alone, `ORDER/REFUND-NUMBER`, and not the payment. Refunds cannot
//! be searched, and what `deliver` would have remembered (`kv`) is dropped with the very call
//! whose outcome is unknown. Paging through all refunds has no end that would be safe: how long
//! ago the attempt was is not known here, and whoever stops too early pays twice. Charges,
//! though, are searched by `metadata["order_id"]`, without which no payment is an order's
//! here either; and the refunds of a charge are a list that is never late. A search is: a charge
//! that is not found says nothing, and is looked for again. Both are bounded, and what is
//! beyond is a person's.
//!
//! Settings: `base-url` (up to and without `/v1`), and `answer-timeout-ms`, 20000 unless set.
//! The API key is the host's.

mod event;
mod listing;
mod refund;

use portreeve_guest_rest::{Target, patient, wait};
use portreeve_sdk::connector::*;
use serde_json::json;

const REFUND: &str = "stripe/refund";

/// The version of the API whose words are read here, whatever the account's own one is.
const API_VERSION: &str = "2024-10-28.acacia";

const STRIPE: Target = Target {
    name: "Stripe",
    example: "https://api.stripe.com",
    check: "base-url and the API key with its permissions",
};

struct Stripe;

impl Connector for Stripe {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        let (documents, problems) = match event::document(&input) {
            Ok(document) => (vec![document], vec![]),
            Err(problem) => (vec![], vec![*problem]),
        };
        let reply = reply(&problems);
        Ok(Received { envelopes: vec![], documents, problems, reply })
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        of_refunds(&delivery.message.kind)?;
        let body = refund::with_payment(delivery.message.body, &delivery.natural_key, &delivery.settings)?;
        let headers = vec![];
        let url = url(&delivery.settings, "refunds")?;
        let request = http::Request { method: http::Method::Post, url, headers, body, answer_timeout_ms: 0 }
            .with_header("accept", "application/json")
            .with_header("content-type", &delivery.message.content_type)
            .with_header("idempotency-key", &delivery.idempotency_key);
        let response = send(request, &delivery.settings)?;
        match response.status {
            200 | 201 => refund::made(&response.body),
            400 | 402 | 404 => Err(refund::refused(&response)),
            409 | 429 => Err(Failure::Retry(wait(&response))),
            408 | 424 | 500..=599 => {
                Err(Failure::unknown(format!("Stripe answered {}; the refund may exist all the same", response.status)))
            }
            status => Err(STRIPE.unusable(status)),
        }
    }

    fn find(query: FindQuery) -> Result<Option<Receipt>, Failure> {
        of_refunds(&query.kind)?;
        refund::find(&query)
    }

    fn poll(request: PollRequest) -> Result<Polled, Failure> {
        listing::page(request)
    }

    fn check(request: CheckRequest) -> Result<CheckReport, Failure> {
        let asked = http::Request::get_json(&url(&request.settings, "balance")?);
        let (ok, detail) = match send(asked, &request.settings) {
            Ok(response) if response.is_success() => (true, "Stripe tells the account's balance".to_owned()),
            Ok(response) => (false, format!("Stripe answered {} when asked for the balance", response.status)),
            Err(Failure::Permanent(why) | Failure::UnknownOutcome(why)) => (false, why),
            Err(_) => (false, "Stripe could not be reached".to_owned()),
        };
        Ok(CheckReport { ok, detail })
    }
}

fn reply(problems: &[Problem]) -> Reply {
    let told = problems.iter().map(|problem| {
        let Problem { code, message, position } = problem;
        json!({"code": code, "message": message, "path": position.path})
    });
    let (status, answer) = match problems {
        [] => (200, json!({"received": true})),
        _ => (422, json!({"received": false, "problems": told.collect::<Vec<_>>()})),
    };
    let headers = vec![Header { name: "content-type".to_owned(), value: "application/json".to_owned() }];
    Reply { status, headers, body: answer.to_string().into_bytes() }
}

fn of_refunds(kind: &str) -> Result<(), Failure> {
    match kind {
        REFUND => Ok(()),
        other => {
            Err(Failure::permanent(format!("this connector delivers `{REFUND}` and no message of kind `{other}`")))
        }
    }
}

/// Sends a request with the time that Stripe has to answer it.
fn send(request: http::Request, settings: &[Setting]) -> Result<http::Response, Failure> {
    Ok(http::send(patient(request, settings)?.with_header("stripe-version", API_VERSION))?)
}

fn url(settings: &[Setting], below: &str) -> Result<String, Failure> {
    Ok(format!("{}/v1/{below}", STRIPE.base_url(settings)?))
}

portreeve_sdk::connector!(Stripe);

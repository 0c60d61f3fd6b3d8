//! Tax transactions of a service in the shape of AvaTax: created, committed, voided.
//!
//! ```text
//! avatax/transaction   POST /api/v2/transactions/create
//! avatax/commit        POST /api/v2/companies/COMPANY/transactions/CODE/commit
//! avatax/void          POST /api/v2/companies/COMPANY/transactions/CODE/void
//! find                 GET  /api/v2/companies/COMPANY/transactions/CODE
//! check                GET  /api/v2/utilities/ping, which has to say `authenticated`
//! ```
//!
//! There is no idempotency key: a transaction is known by company, code and type, and the code is
//! our invoice's number. The danger is a tax that is told twice, or another one than is sent.
//! AvaTax lets nothing be twice under one code; but a transaction that is merely saved is
//! replaced by the next create without a word, and one that is committed or cancelled refuses it
//! (blog "What's a DocStatusError?"; errors DocumentCodeConflict, TransactionAlreadyExists,
//! TransactionIsCommitted). So what is refused for being there is looked up: with the same type,
//! currency, sum of lines and tax it is ours from before, otherwise a person's.
//!
//! The tax is AvaTax's own work, and the customer was asked for the invoice's. Where they differ,
//! be it by a cent, a finance person has to hear: an authority will be told what nobody was asked
//! to pay. The transaction stands then, and the delivery does not count as done (`tax-differs`)
//! until it is adjusted there or somebody abandons it.
//!
//! What an answer means:
//!
//! ```text
//! 200 201            the status in it decides, never its amounts: those of a void stand still
//! 400 404 409 422    refused with AvaTax's code, unless it is there already, see above
//! 429                not processed: later, after Retry-After
//! 408 5xx, a lost connection   unknown: look it up before trying again
//! other              permanent (wrong address, no permission)
//! ```
//!
//! A receipt is the code: an adjustment has the same code and another id. `find` has the natural
//! key alone, `ORDER/NUMBER`, where the number is the code; whether it is an invoice's or a credit
//! memo's it does not say, so both are asked for. Whose one is its description says, which the
//! transformer writes and AvaTax tells again: `order ID: 62.79 USD and 4.87 tax`. One of another
//! order, or that somebody else made, is not this one, and is compared when the message is sent
//! again; one that is this order's has to have the amount and the tax that it says.
//!
//! Of a void the natural key has the memo's number, and what it voids has another one, so it
//! cannot be looked for: `find` says no, and a void is sent again, which is harmless
//! (AvaTax answers TransactionAlreadyCancelled). A void in doubt that nobody wants any more is
//! therefore told as not done; look in AvaTax.
//!
//! Settings: `base-url` (up to and without `/api/v2`), `company-code`, `commit` (`false` where
//! transactions are only saved, as the transformer has it), and `answer-timeout-ms`, 10000 unless
//! set. The credentials are the host's.
//!
//! AvaTax's error messages are kept, its descriptions are not: they quote addresses.

mod answer;
mod wanted;

use portreeve_guest_rest::{Patience, Target, wait};
use portreeve_sdk::connector::*;
use serde::Deserialize;

use crate::answer::{Refusal, State, Transaction};
use crate::wanted::Wanted;

const AVATAX: Target =
    Target { name: "AvaTax", example: "https://rest.avatax.com", check: "base-url, company-code and the credentials" };

/// Two requests, a create and a look-up, are below `wall_ms` of the manifest by what connecting
/// and reading take.
const PATIENCE: Patience = Patience { answer_ms: 10_000, answer_ms_max: 15_000 };

/// Leaves lines and jurisdictions out of an answer: those of a thousand lines would not fit.
const SUMMARY: &str = "%24include=SummaryOnly";

const SALES_INVOICE: &str = "SalesInvoice";
const RETURN_INVOICE: &str = "ReturnInvoice";

/// What is to become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Create,
    Commit,
    Void,
}

impl Effect {
    fn of(kind: &str) -> Result<Self, Failure> {
        match kind {
            "avatax/transaction" => Ok(Self::Create),
            "avatax/commit" => Ok(Self::Commit),
            "avatax/void" => Ok(Self::Void),
            other => Err(Failure::permanent(format!(
                "this connector delivers tax transactions, their commits and voids, and no message of kind `{other}`"
            ))),
        }
    }
}

struct Avatax;

impl Connector for Avatax {
    fn receive(_: Inbound) -> Result<Received, Failure> {
        Err(Failure::permanent("this connector receives nothing; it delivers tax transactions"))
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        let effect = Effect::of(&delivery.message.kind)?;
        let wanted = Wanted::read(effect, &delivery.message.body)?;
        let settings = &delivery.settings;
        let url = match effect {
            Effect::Create => format!("{}/transactions/create?{SUMMARY}", api(settings)?),
            Effect::Commit => transaction_url(&wanted.code, "/commit", &wanted.document_type, settings)?,
            Effect::Void => transaction_url(&wanted.code, "/void", &wanted.document_type, settings)?,
        };
        let response = send(http::Request::json(http::Method::Post, &url, wanted.model.clone()), settings)?;
        match response.status {
            200 | 201 => done(effect, &wanted, &response),
            400 | 404 | 409 | 422 => refused(effect, &wanted, &response, settings),
            429 => Err(Failure::Retry(wait(&response))),
            408 | 500..=599 => {
                Err(Failure::unknown(format!("AvaTax answered {}; it may have happened all the same", response.status)))
            }
            status => Err(AVATAX.unusable(status)),
        }
    }

    fn find(query: FindQuery) -> Result<Option<Receipt>, Failure> {
        let effect = Effect::of(&query.kind)?;
        let (order, code) = named(&query.natural_key)?;
        // The number is the memo's, and what it voids has another one.
        if effect == Effect::Void {
            return Ok(None);
        }
        let commits = setting(&query.settings, "commit") != Some("false");
        let mut ours = Vec::new();
        for document_type in [SALES_INVOICE, RETURN_INVOICE] {
            let Some(found) = look_up(code, document_type, &query.settings)? else { continue };
            let state = found.state(effect, commits);
            if matches!(state, State::Cancelled | State::Strange) {
                return Err(found.a_persons());
            }
            let stated = found.stated().filter(|stated| stated.order == order);
            ours.extend(stated.map(|stated| (found, state, stated)));
        }
        if ours.len() > 1 {
            return Err(Failure::permanent(
                "two-of-one-code: AvaTax has an invoice and a credit memo of this number; see there whether the one in \
                 question is right, then replay or abandon",
            ));
        }
        let Some((found, state, stated)) = ours.pop() else { return Ok(None) };
        let found = found.compared(Some(&stated))?;
        Ok(Some(found.receipt()).filter(|_| state == State::Done))
    }

    fn check(request: CheckRequest) -> Result<CheckReport, Failure> {
        let asked = http::Request::get_json(&format!("{}/utilities/ping", api(&request.settings)?));
        let (ok, detail) = match send(asked, &request.settings) {
            Ok(response) if response.is_success() => authenticated(&response),
            Ok(response) => (false, format!("AvaTax answered {} to a ping", response.status)),
            Err(Failure::Permanent(why) | Failure::UnknownOutcome(why)) => (false, why),
            Err(_) => (false, "AvaTax could not be reached".to_owned()),
        };
        Ok(CheckReport { ok, detail })
    }
}

/// What a success means. It has happened: an answer that cannot be read leaves open what, which
/// `find` then tells.
fn done(effect: Effect, wanted: &Wanted, response: &http::Response) -> Result<Receipt, Failure> {
    let Some(found) = Transaction::read(&response.body) else {
        return Err(Failure::unknown("AvaTax took the message, but its answer names no transaction"));
    };
    match found.state(effect, wanted.commits) {
        State::Done => Ok(wanted.is_it(found)?.receipt()),
        State::Open => Err(found.not_yet()),
        State::Cancelled | State::Strange => Err(found.a_persons()),
    }
}

/// What a refusal means: that it is there already, or that it never will be.
fn refused(
    effect: Effect,
    wanted: &Wanted,
    response: &http::Response,
    settings: &[Setting],
) -> Result<Receipt, Failure> {
    let Some(refusal) = Refusal::read(&response.body) else { return Err(AVATAX.unusable(response.status)) };
    if effect == Effect::Void && refusal.is_cancelled_already() {
        let detail = Some("AvaTax had cancelled it before".to_owned());
        return Ok(Receipt { external_id: wanted.code.clone(), detail });
    }
    if !refusal.is_there_already() {
        return Err(refusal.failure(response.status));
    }
    let Some(found) = look_up(&wanted.code, &wanted.document_type, settings)? else {
        return Err(refusal.failure(response.status));
    };
    match found.state(effect, wanted.commits) {
        State::Done => Ok(wanted.is_it(found)?.receipt()),
        State::Open => Err(refusal.failure(response.status)),
        State::Cancelled | State::Strange => Err(found.a_persons()),
    }
}

/// The transaction of a code and type, where AvaTax has one. Nothing is done by asking, so what
/// is asked in vain is asked again.
fn look_up(code: &str, document_type: &str, settings: &[Setting]) -> Result<Option<Transaction>, Failure> {
    let url = transaction_url(code, "", document_type, settings)?;
    let response = send(http::Request::get_json(&url), settings)?;
    match response.status {
        200 => Transaction::read(&response.body)
            .map(Some)
            .ok_or_else(|| Failure::permanent("AvaTax's transaction is not the JSON that was expected")),
        404 if Refusal::read(&response.body).is_some_and(|refusal| refusal.is_of_none()) => Ok(None),
        408 | 429 | 500..=599 => Err(Failure::Retry(wait(&response))),
        status => Err(AVATAX.unusable(status)),
    }
}

/// Order and code in a natural key. An order's id has no slash, a number may have.
fn named(natural_key: &str) -> Result<(&str, &str), Failure> {
    let names_both = |(order, number): &(&str, &str)| !order.is_empty() && wanted::is_segment(number);
    natural_key.split_once('/').filter(names_both).ok_or_else(|| {
        Failure::permanent(
            "the natural key names no invoice; expected the order's id, a slash and the invoice's number",
        )
    })
}

#[derive(Deserialize)]
struct Ping {
    authenticated: bool,
}

/// AvaTax answers a ping of a stranger as well.
fn authenticated(response: &http::Response) -> (bool, String) {
    match serde_json::from_slice(&response.body) {
        Ok(Ping { authenticated: true }) => (true, "AvaTax takes the credentials".to_owned()),
        Ok(Ping { authenticated: false }) => {
            (false, "AvaTax can be reached and does not take the credentials".to_owned())
        }
        Err(_) => (false, "the answer to a ping is not the JSON that was expected; check base-url".to_owned()),
    }
}

/// Sends a request with the time that AvaTax has to answer it.
fn send(request: http::Request, settings: &[Setting]) -> Result<http::Response, Failure> {
    Ok(http::send(PATIENCE.with(request, settings)?)?)
}

fn api(settings: &[Setting]) -> Result<String, Failure> {
    Ok(format!("{}/api/v2", AVATAX.base_url(settings)?))
}

fn transaction_url(code: &str, act: &str, document_type: &str, settings: &[Setting]) -> Result<String, Failure> {
    let company = setting(settings, "company-code").filter(|company| wanted::is_segment(company)).ok_or_else(|| {
        Failure::permanent("setting `company-code` is missing; expected the code of a company in AvaTax")
    })?;
    let (company, code) = (in_path(company), in_path(code));
    let document_type = http::escaped(document_type);
    Ok(format!(
        "{}/companies/{company}/transactions/{code}{act}?documentType={document_type}&{SUMMARY}",
        api(settings)?
    ))
}

/// A code in a path. AvaTax reads some characters there in an escape of its own only ("If your
/// companyCode or transactionCode contains any of these characters").
fn in_path(code: &str) -> String {
    let mut path = String::with_capacity(code.len());
    for letter in code.chars() {
        match letter {
            '/' => path.push_str("_-ava2f-_"),
            '+' => path.push_str("_-ava2b-_"),
            '?' => path.push_str("_-ava3f-_"),
            '%' => path.push_str("_-ava25-_"),
            '#' => path.push_str("_-ava23-_"),
            other => path.push_str(&http::escaped(other.encode_utf8(&mut [0; 4]))),
        }
    }
    path
}

portreeve_sdk::connector!(Avatax);

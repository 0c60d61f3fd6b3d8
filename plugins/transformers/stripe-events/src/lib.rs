//! Stripe's events as settled payments and issued refunds, and refunds as Stripe's API takes
//! them.
//!
//! ```text
//! charge.succeeded, charge.captured       captured: payment.settled, of what was captured
//! refund.created, refund.updated          succeeded: refund.issued
//! charge.refund.updated                   the same under its older name
//! refund.failed                           a person's: the customer has no money
//! charge.dispute.funds_withdrawn          payment.settled below nothing, a chargeback
//! charge.dispute.funds_reinstated         payment.settled, of what comes back
//! payment_intent.succeeded, charge.refunded   told by the charge, by the refund
//! ```
//!
//! Pages of its lists become the same, see `listing`.
//!
//! Whose order it is stands in `metadata`: `order_id`, the host's id, or `order_number`. A
//! charge has those of its payment intent from the moment that it is made; refunds and
//! disputes have their own.
//!
//! An event by which no money moved is `invalid` with a code that says so, and not an empty
//! list: the host takes a document without an event for something that its transformer failed
//! to find, and hands it to a person either way. So an endpoint subscribes to the types of the
//! table above and to no others.

mod amount;
mod field;
mod listing;
mod moved;
mod render;

use std::borrow::Cow;

use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::field::{OBJECT, Object, Read};
use crate::moved::Dispute;

const EVENT: &str = "stripe/event";
const REFUND: &str = "stripe/refund";

/// Types that say something, in the order of the table above.
const TOLD: [&str; 7] = [
    "charge.succeeded",
    "charge.captured",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
];

/// Types about a payment by which no money moves.
const NOTHING_MOVED: [&str; 14] = [
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.expired",
    "charge.failed",
    "charge.pending",
    "charge.updated",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.partially_funded",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
];

/// Characters of a type that a problem quotes.
const TYPE_CHARS_MAX: usize = 80;

struct StripeEvents;

/// What is read of an event.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

impl Transformer for StripeEvents {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        if request.kind == listing::LIST {
            return listing::moved(&request.body);
        }
        if request.kind != EVENT {
            return Err(Failure::permanent(format!(
                "this transformer does not map documents of kind `{}`",
                request.kind
            )));
        }
        let event: Told<'_> = serde_json::from_slice(&request.body).map_err(|error| {
            let message = format!("the event cannot be read at line {}, column {}", error.line(), error.column());
            Failure::invalid(Problem::new("malformed-document", message, ""))
        })?;
        canonical(&event.kind, event.data.object).map(|event| vec![event]).map_err(|problem| Failure::invalid(*problem))
    }

    fn from_canonical(request: RenderingRequest) -> Result<Message, Failure> {
        if request.kind != REFUND {
            return Err(Failure::permanent(format!(
                "this transformer does not render messages of kind `{}`",
                request.kind
            )));
        }
        let Event::RefundIssued(refund) = &request.event else {
            return Err(Failure::permanent("a refund is made of an issued refund; found another event"));
        };
        let body = render::form(refund, &request.order_id).map_err(Failure::Invalid)?;
        let content_type = "application/x-www-form-urlencoded".to_owned();
        Ok(Message { kind: REFUND.to_owned(), content_type, body: body.into_bytes() })
    }
}

fn canonical(kind: &str, object: &RawValue) -> Read<Event> {
    let read = || {
        let message = "found something else; expected an object that has each member once";
        field::object::<Object<'_>>(object).ok_or_else(|| Box::new(Problem::new("malformed-object", message, OBJECT)))
    };
    match kind {
        "charge.succeeded" => moved::charge(&read()?, true),
        "charge.captured" => moved::charge(&read()?, false),
        "refund.created" | "refund.updated" | "charge.refund.updated" => moved::refund(&read()?, false),
        "refund.failed" => moved::refund(&read()?, true),
        "charge.dispute.funds_withdrawn" => moved::dispute(&read()?, Dispute::Withdrawn),
        "charge.dispute.funds_reinstated" => moved::dispute(&read()?, Dispute::Reinstated),
        "payment_intent.succeeded" => elsewhere("a payment that `charge.succeeded` or `charge.captured` tells"),
        "charge.refunded" => elsewhere("a refund that `refund.created` or `refund.updated` tells"),
        other if NOTHING_MOVED.contains(&other) => {
            let message = format!("found the type `{other}`; expected nothing to do, since no money moves by it");
            Err(Box::new(Problem::new("nothing-moved", message, "type")))
        }
        other => Err(unsupported(other)),
    }
}

fn elsewhere<T>(found: &str) -> Read<T> {
    let message = format!("found {found}; expected it from there alone: have the endpoint subscribe to that");
    Err(Box::new(Problem::new("told-elsewhere", message, "type")))
}

fn unsupported(kind: &str) -> Box<Problem> {
    let hidden = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    let found: String = kind.chars().take(TYPE_CHARS_MAX).map(hidden).collect();
    let message = format!("found the type `{found}`; expected one of {}", TOLD.join(", "));
    Box::new(Problem::new("unsupported-type", message, "type"))
}

portreeve_sdk::transformer!(StripeEvents);

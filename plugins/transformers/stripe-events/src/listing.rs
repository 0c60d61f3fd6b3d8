//! Charges, refunds and disputes as Stripe lists them: the money of each that has moved.
//!
//! ```json
//! [{"object":"charge","id":"ch_…","status":"succeeded","captured":true,…},{"object":"refund",…},{"object":"dispute",…}]
//! ```
//!
//! What an event tells is told alike, so that both are one payment. What has moved nothing (a failed
//! charge, an authorisation, a pending refund, an inquiry) is left out, since a list has it beside the
//! rest; and so is what names no order, which is somebody else's, or was told to people when its event
//! came. Of a dispute the movements on the balance say which way its money went, and how often.
//!
//! When a row changed is the extension `changed-at`: when the money of a charge moved on the balance,
//! where that is told, and otherwise when the object was made.

use portreeve_sdk::transformer::*;
use serde_json::value::RawValue;

use crate::field::{self, OBJECT, Object, Read, flag, identifier, instant};
use crate::moved::{self, Dispute};

/// A page of objects.
pub(crate) const LIST: &str = "stripe/list";

const CHANGED_AT: &str = "changed-at";

/// The payments and refunds of a page.
///
/// # Errors
/// Everything that is wrong with its objects.
pub(crate) fn moved(body: &[u8]) -> Result<Vec<Event>, Failure> {
    let rows: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the list cannot be read at line {}, column {}", error.line(), error.column());
        Failure::invalid(Problem::new("malformed-document", message, ""))
    })?;
    let (mut events, mut problems) = (vec![], vec![]);
    for (index, row) in rows.into_iter().enumerate() {
        match of(row) {
            Ok(moved) => events.extend(moved),
            Err(mut problem) => {
                let path = problem.position.path.replacen(OBJECT, &format!("data[{index}]"), 1);
                problem.position.path = path;
                problems.push(*problem);
            }
        }
    }
    if problems.is_empty() { Ok(events) } else { Err(Failure::Invalid(problems)) }
}

fn of(row: &RawValue) -> Read<Vec<Event>> {
    let message = "found something else; expected an object that has each member once";
    let object =
        field::object::<Object<'_>>(row).ok_or_else(|| Box::new(Problem::new("malformed-object", message, OBJECT)))?;
    if !names_an_order(&object)? {
        return Ok(vec![]);
    }
    let at = changed_at(&object)?;
    let events = match identifier(object.object, "object")?.as_str() {
        "charge" if has_succeeded(&object)? && flag(object.captured, "captured")? => {
            vec![moved::charge(&object, false)?]
        }
        "refund" if has_succeeded(&object)? => vec![moved::refund(&object, false)?],
        "dispute" => disputed(&object)?,
        "charge" | "refund" => vec![],
        _ => {
            return Err(field::problem(
                "wrong-object",
                "found another object; expected a charge, a refund or a dispute",
                "object",
            ));
        }
    };
    Ok(events.into_iter().map(|event| marked(event, at)).collect())
}

fn names_an_order(object: &Object<'_>) -> Read<bool> {
    let metadata = field::metadata(object.metadata)?;
    let id = field::named(metadata.order_id, "metadata.order_id")?;
    Ok(id.is_some() || field::named(metadata.order_number, "metadata.order_number")?.is_some())
}

fn has_succeeded(object: &Object<'_>) -> Read<bool> {
    Ok(identifier(object.status, "status")? == "succeeded")
}

fn disputed(dispute: &Object<'_>) -> Read<Vec<Event>> {
    let (is_out, is_back) = moved::ways(dispute)?;
    let ways = [(is_out, Dispute::Withdrawn), (is_back, Dispute::Reinstated)];
    ways.into_iter().filter(|(moved, _)| *moved).map(|(_, way)| moved::dispute(dispute, way)).collect()
}

/// In milliseconds since 1970.
fn changed_at(object: &Object<'_>) -> Read<InstantMs> {
    let moved = object.balance_transaction.and_then(field::object::<Object<'_>>).and_then(|moved| moved.created);
    match moved {
        Some(moved) => instant(Some(moved), "balance_transaction.created"),
        None => instant(object.created, "created"),
    }
}

fn marked(mut event: Event, at: InstantMs) -> Event {
    let mark = Extension { name: CHANGED_AT.to_owned(), value: at.to_string() };
    match &mut event {
        Event::PaymentSettled(settlement) => settlement.extensions.push(mark),
        Event::RefundIssued(refund) => refund.extensions.push(mark),
        _ => {}
    }
    event
}

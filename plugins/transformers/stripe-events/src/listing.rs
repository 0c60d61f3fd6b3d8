//! Money that moved, as Stripe lists it: balance transactions, each with what moved in its place.
//!
//! ```json
//! [{"object":"balance_transaction","id":"txn_…","type":"charge","amount":7541,"created":1772438402,
//!   "source":{"object":"charge","id":"ch_…","status":"succeeded","captured":true,…}},
//!  {"object":"balance_transaction","id":"txn_…","type":"adjustment","amount":-7541,"created":1772524800,
//!   "source":{"object":"dispute",…}}]
//! ```
//!
//! What an event tells is told alike, so that both are one payment: the amount is that of what moved, in
//! the order's currency, and not that of the movement, which is in the account's. Of a dispute the
//! movement's sign says which way its money went.
//!
//! What moves no order's money (payouts, fees, transfers) is left out, and so is a source that has not
//! succeeded, such as a pending refund, and what names no order, which is somebody else's, or was told to
//! people when its event came.
//!
//! A movement of an order that cannot be read is told as such (`list.unreadable-row`), and all others are
//! read. One that names nothing ends the list. A refund whose metadata cannot be read has Stripe's own name,
//! and the order's where they can: nobody knows before what it will be called.
//!
//! A row happened and changed last when its money moved (`created` of the movement): so the extension
//! `changed-at`, and so its payment's or refund's own time.

use portreeve_guest_json::row::{self, ListRow};
use portreeve_sdk::transformer::*;
use serde_json::value::RawValue;

use crate::field::{self, Member, OBJECT, Object, Read, flag, identifier, instant, problem, whole};
use crate::moved::{self, Dispute};

/// A page of movements.
pub(crate) const LIST: &str = "stripe/list";

const CHANGED_AT: &str = "changed-at";

/// Types of movements that may be an order's, and what each is of
/// (docs.stripe.com/reports/balance-transaction-types). An adjustment of anything but a dispute is the
/// account's own.
const MOVEMENTS: [(&str, &str); 5] = [
    ("charge", "charge"),
    ("payment", "charge"),
    ("refund", "refund"),
    ("payment_refund", "refund"),
    ("adjustment", "dispute"),
];

/// The payments and refunds of a page.
///
/// # Errors
/// Everything that is wrong with rows that cannot be named.
pub(crate) fn moved(body: &[u8]) -> Result<Vec<Event>, Failure> {
    let rows: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the list cannot be read at line {}, column {}", error.line(), error.column());
        Failure::invalid(Problem::new("malformed-document", message, ""))
    })?;
    let read = |row: &RawValue, path: &str| of(row).map_err(|problem| at(problem, path));
    row::events(&rows, "data", name, read).map_err(Failure::Invalid)
}

fn of(row: &RawValue) -> Read<Option<Event>> {
    let movement = object(row)?;
    if identifier(movement.object, "object")? != "balance_transaction" {
        return Err(problem("wrong-object", "found another object; expected a balance transaction", "object"));
    }
    let kind = identifier(movement.kind, "type")?;
    let Some((_, expected)) = MOVEMENTS.iter().find(|(known, _)| *known == kind) else { return Ok(None) };
    let Some(source) = source(movement.source)? else { return Ok(None) };
    let moved_at = instant(movement.created, "created")?;
    let amount = whole(movement.amount, "amount")?;
    let event = payment(&source, expected, amount).map_err(|problem| at(problem, &format!("{OBJECT}.source")))?;
    Ok(event.map(|event| marked(event, moved_at)))
}

/// What moved; none where nothing of the account's customers did.
fn source(found: Member<'_>) -> Read<Option<Object<'_>>> {
    let Some(found) = found else { return Ok(None) };
    let whole = field::object::<Object<'_>>(found);
    whole.map(Some).ok_or_else(|| {
        let message = "found no object that has each member once; expected what moved in the place of its id \
                       (`expand[]=data.source`)";
        problem("source-missing", message, "source")
    })
}

/// What is told of something that moved; none where it is no order's.
fn payment(source: &Object<'_>, expected: &str, amount: i64) -> Read<Option<Event>> {
    let found = identifier(source.object, "object")?;
    if expected == "dispute" && found != expected {
        return Ok(None);
    }
    if !names_an_order(source)? {
        return Ok(None);
    }
    match expected {
        "charge" if has_succeeded(source)? && flag(source.captured, "captured")? => {
            moved::charge(source, false).map(Some)
        }
        "refund" if has_succeeded(source)? => moved::refund(source, false).map(Some),
        "dispute" if amount < 0 => moved::dispute(source, Dispute::Withdrawn).map(Some),
        "dispute" if amount > 0 => moved::dispute(source, Dispute::Reinstated).map(Some),
        _ => Ok(None),
    }
}

/// What names a movement that cannot be read, where it says that much: as its event would.
fn name(row: &RawValue) -> Option<ListRow> {
    let movement = object(row).ok()?;
    let source = source(movement.source).ok()??;
    let id = identifier(source.id, "id").ok()?;
    let metadata = field::metadata(source.metadata).unwrap_or_default();
    let named = |found| field::named(found, "metadata").ok().flatten();
    let order = named(metadata.order_id).or_else(|| named(metadata.order_number));
    let (of, number) = match identifier(source.object, "object").ok()?.as_str() {
        "charge" => ("payment.settled", id),
        "refund" => ("refund.issued", named(metadata.refund_number).unwrap_or(id)),
        "dispute" => match whole(movement.amount, "amount").ok()? {
            ..0 => ("payment.settled", id),
            _ => ("payment.settled", moved::reinstated(&id)),
        },
        _ => return None,
    };
    let changed_at = instant(movement.created, "created").ok();
    Some(ListRow { of, number, order, changed_at, ..ListRow::default() })
}

fn object(row: &RawValue) -> Read<Object<'_>> {
    let message = "found something else; expected an object that has each member once";
    field::object::<Object<'_>>(row).ok_or_else(|| Box::new(Problem::new("malformed-object", message, OBJECT)))
}

fn names_an_order(object: &Object<'_>) -> Read<bool> {
    let metadata = field::metadata(object.metadata)?;
    let id = field::named(metadata.order_id, "metadata.order_id")?;
    Ok(id.is_some() || field::named(metadata.order_number, "metadata.order_number")?.is_some())
}

fn has_succeeded(object: &Object<'_>) -> Read<bool> {
    Ok(identifier(object.status, "status")? == "succeeded")
}

/// The problem with an object that stands somewhere else than an event's does.
fn at(mut problem: Box<Problem>, place: &str) -> Box<Problem> {
    problem.position.path = problem.position.path.replacen(OBJECT, place, 1);
    problem
}

fn marked(mut event: Event, moved_at: InstantMs) -> Event {
    let mark = Extension { name: CHANGED_AT.to_owned(), value: moved_at.to_string() };
    match &mut event {
        Event::PaymentSettled(settlement) => {
            settlement.settled_at = Some(moved_at);
            settlement.extensions.push(mark);
        }
        Event::RefundIssued(refund) => {
            refund.issued_at = Some(moved_at);
            refund.extensions.push(mark);
        }
        _ => {}
    }
    event
}

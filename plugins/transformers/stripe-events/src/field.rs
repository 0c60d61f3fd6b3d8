//! Members of the event's object, each read out of the text that it was written as, and what
//! is wrong with one, with its place.
//!
//! What is found is never quoted: metadata are whatever somebody wrote into them. Amounts are
//! whole numbers in JSON and are read as such; `10.5` and `"10"` are refused.

use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes of an identifier, the contract's limit: beyond it the host takes nothing of the event.
const IDENTIFIER_BYTES_MAX: usize = 256;

/// Where the event's object is.
pub(crate) const OBJECT: &str = "data.object";

const MS_PER_S: i64 = 1_000;

/// A member that may be missing, or null.
pub(crate) type Member<'a> = Option<&'a RawValue>;

/// What is read of an object, whichever it is: Stripe's objects share the names.
#[derive(Default, Deserialize)]
pub(crate) struct Object<'a> {
    #[serde(borrow)]
    pub(crate) object: Member<'a>,
    #[serde(borrow)]
    pub(crate) id: Member<'a>,
    #[serde(borrow)]
    pub(crate) status: Member<'a>,
    #[serde(borrow)]
    pub(crate) captured: Member<'a>,
    #[serde(borrow)]
    pub(crate) amount: Member<'a>,
    #[serde(borrow)]
    pub(crate) amount_captured: Member<'a>,
    #[serde(borrow)]
    pub(crate) currency: Member<'a>,
    #[serde(borrow)]
    pub(crate) created: Member<'a>,
    #[serde(borrow)]
    pub(crate) metadata: Member<'a>,
    #[serde(borrow)]
    pub(crate) charge: Member<'a>,
    #[serde(borrow)]
    pub(crate) payment_intent: Member<'a>,
    #[serde(borrow)]
    pub(crate) balance_transaction: Member<'a>,
    #[serde(borrow)]
    pub(crate) balance_transactions: Member<'a>,
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Member<'a>,
    #[serde(borrow)]
    pub(crate) source: Member<'a>,
}

/// The metadata that are read; whatever else is among them is somebody else's.
#[derive(Default, Deserialize)]
pub(crate) struct Metadata<'a> {
    #[serde(borrow)]
    pub(crate) order_id: Member<'a>,
    #[serde(borrow)]
    pub(crate) order_number: Member<'a>,
    #[serde(borrow)]
    pub(crate) refund_number: Member<'a>,
    #[serde(borrow)]
    pub(crate) return_number: Member<'a>,
    #[serde(borrow)]
    pub(crate) cause: Member<'a>,
}

/// What may go wrong with a member.
pub(crate) type Read<T> = Result<T, Box<Problem>>;

/// An object of JSON with each member once. Of a list serde would take the elements for
/// members, in the order of the code.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Option<T> {
    Some(text.get()).filter(|text| text.starts_with('{')).and_then(|text| serde_json::from_str(text).ok())
}

/// The metadata of an object; none are as good as empty ones.
pub(crate) fn metadata<'a>(found: Member<'a>) -> Read<Metadata<'a>> {
    let Some(found) = found else { return Ok(Metadata::default()) };
    object(found).map_or_else(|| wrong(found, "metadata", "metadata: an object that has each name once"), Ok)
}

/// A text that names something: one with control characters would look like another.
pub(crate) fn identifier(found: Member<'_>, name: &str) -> Read<String> {
    let expected = "an identifier: a text of 1 to 256 bytes without control characters";
    let found = there(found, name, expected)?;
    let text: Option<String> = serde_json::from_str(found.get()).ok();
    text.filter(|text| names_one(text)).map_or_else(|| wrong(found, name, expected), Ok)
}

/// The same where it need not be. Stripe takes an empty text for none.
pub(crate) fn named(found: Member<'_>, name: &str) -> Read<Option<String>> {
    match found.filter(|found| found.get() != "\"\"") {
        None => Ok(None),
        found => identifier(found, name).map(Some),
    }
}

/// The identifier of another object, which may be there itself in its place.
pub(crate) fn reference(found: Member<'_>, name: &str) -> Read<Option<String>> {
    match found.and_then(object::<Object<'_>>) {
        Some(object) => identifier(object.id, name).map(Some),
        None => named(found, name),
    }
}

pub(crate) fn whole(found: Member<'_>, name: &str) -> Read<i64> {
    let expected = "a whole number of 64 bits";
    let found = there(found, name, expected)?;
    serde_json::from_str(found.get()).or_else(|_| wrong(found, name, expected))
}

pub(crate) fn flag(found: Member<'_>, name: &str) -> Read<bool> {
    let found = there(found, name, "true or false")?;
    serde_json::from_str(found.get()).or_else(|_| wrong(found, name, "true or false"))
}

/// A time in seconds.
pub(crate) fn instant(found: Member<'_>, name: &str) -> Read<InstantMs> {
    let seconds = whole(found, name)?;
    seconds
        .checked_mul(MS_PER_S)
        .ok_or_else(|| problem("wrong-value", "found a time that is none; expected seconds", name))
}

fn there<'a>(found: Member<'a>, name: &str, expected: &str) -> Read<&'a RawValue> {
    found.ok_or_else(|| problem("field-missing", format!("found none; expected {expected}"), name))
}

fn names_one(text: &str) -> bool {
    (1..=IDENTIFIER_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn wrong<T>(found: &RawValue, name: &str, expected: &str) -> Read<T> {
    let kind = match found.get().as_bytes().first() {
        Some(b'"') => "another text",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        _ => "another number",
    };
    Err(problem("wrong-value", format!("found {kind}; expected {expected}"), name))
}

/// A problem with a member of the event's object.
pub(crate) fn problem(code: &str, message: impl Into<String>, name: &str) -> Box<Problem> {
    Box::new(Problem::new(code, message, format!("{OBJECT}.{name}")))
}

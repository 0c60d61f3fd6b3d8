//! One entry of a call: what is read of it, and the documents that it becomes.

use std::collections::BTreeSet;

use portreeve_guest_json::listed::First;
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::{moment, wrong};

/// Entries of a call: of more changes than this Business Central tells a collection.
pub(crate) const ENTRIES_MAX: usize = 1_000;

/// Bytes of a key, the host's limit for one: it refuses a result with a longer key whole, and
/// with it every other entry of the call.
const KEY_BYTES_MAX: usize = 256;

/// Bytes of an entry. `clientState` has 2048 characters at most, the rest is short.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

const CHANGED: &str = "business-central/changed";
const COLLECTION: &str = "business-central/collection";
const EXPIRED: &str = "business-central/subscription-expired";

/// Types of change, and the kind of document that tells each.
const CHANGES: [(&str, &str); 4] =
    [("created", CHANGED), ("updated", CHANGED), ("deleted", CHANGED), ("collection", COLLECTION)];

/// The entries of a call.
pub(crate) type Entries<'a> = First<'a, ENTRIES_MAX>;

/// The members that are looked at, each as it was written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(borrow)]
    subscription_id: Option<&'a RawValue>,
    #[serde(borrow)]
    expiration_date_time: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    change_type: Option<&'a RawValue>,
    #[serde(borrow)]
    last_modified_date_time: Option<&'a RawValue>,
}

/// What an entry says.
struct Change {
    kind: &'static str,
    /// Its type, as Business Central writes it.
    what: &'static str,
    subscription: String,
    resource: String,
    modified: String,
}

/// Adds an entry's documents, and what is wrong with it.
pub(crate) fn tell(
    entry: &RawValue,
    index: usize,
    body: &[u8],
    documents: &mut Vec<Document>,
    problems: &mut Vec<Problem>,
) {
    let place = Place { index, offset_bytes: offset(entry, body) };
    let told = members(entry).and_then(|members| {
        let change = Change::read(&members)?;
        let key = key(&change)?;
        documents.push(place.document(change.kind, key, entry.get().as_bytes().to_vec()));
        // What is wrong with the end of the subscription takes nothing from the change.
        if let Some(ended) = ended(&members, &change)? {
            let (key, body) = expired(&change.subscription, &ended)?;
            documents.push(place.document(EXPIRED, key, body));
        }
        Ok(())
    });
    if let Err(problem) = told {
        problems.push(place.of(*problem));
    }
}

/// The documents without those that say what an earlier one says.
pub(crate) fn each_once(documents: Vec<Document>) -> Vec<Document> {
    let mut seen = BTreeSet::new();
    documents.into_iter().filter(|document| seen.insert((document.kind.clone(), document.key.clone()))).collect()
}

struct Place {
    index: usize,
    offset_bytes: Option<u64>,
}

impl Place {
    fn document(&self, kind: &str, key: String, body: Vec<u8>) -> Document {
        let position = self.position("");
        Document { key, partner: String::new(), kind: kind.to_owned(), position, envelope: None, body }
    }

    fn of(&self, problem: Problem) -> Problem {
        Problem { position: self.position(&problem.position.path), ..problem }
    }

    fn position(&self, member: &str) -> Position {
        let path = format!("value[{}].{member}", self.index);
        Position { offset_bytes: self.offset_bytes, segment: None, path: path.trim_end_matches('.').to_owned() }
    }
}

fn offset(entry: &RawValue, body: &[u8]) -> Option<u64> {
    entry.get().as_ptr().addr().checked_sub(body.as_ptr().addr()).and_then(|start| u64::try_from(start).ok())
}

fn members(entry: &RawValue) -> Result<Members<'_>, Box<Problem>> {
    let text = entry.get();
    if text.len() > ENTRY_BYTES_MAX {
        return wrong("entry-too-large", format!("found {} bytes; expected {ENTRY_BYTES_MAX} at most", text.len()), "");
    }
    let object = Some(text).filter(|text| text.starts_with('{'));
    object.and_then(|text| serde_json::from_str(text).ok()).map_or_else(
        || wrong("malformed-entry", "found something else; expected an object that has each member once", ""),
        Ok,
    )
}

impl Change {
    fn read(members: &Members<'_>) -> Result<Self, Box<Problem>> {
        let subscription = text(members.subscription_id, "subscriptionId")?;
        let resource = text(members.resource, "resource")?.trim_start_matches('/').to_owned();
        let found = text(members.change_type, "changeType")?;
        let Some((what, kind)) = CHANGES.into_iter().find(|(what, _)| *what == found) else {
            let message = "found another type; expected created, updated, deleted or collection";
            return wrong("unsupported-change", message, "changeType");
        };
        let modified = time(members.last_modified_date_time, "lastModifiedDateTime")?;
        Ok(Self { kind, what, subscription, resource, modified })
    }
}

/// The key of a change. Time, type and subscription have no slash, so it is one of one change. A
/// deletion has the time at which what is gone was modified last: without the type it would be
/// the update's repetition.
fn key(change: &Change) -> Result<String, Box<Problem>> {
    let Change { modified, what, subscription, resource, .. } = change;
    within(format!("{modified}/{what}/{}/{resource}", escaped_part(subscription)), "resource")
}

/// When the subscription ended, where it did before the change that it tells.
fn ended(members: &Members<'_>, change: &Change) -> Result<Option<String>, Box<Problem>> {
    let Some(found) = members.expiration_date_time else { return Ok(None) };
    let ended = time(Some(found), "expirationDateTime")?;
    Ok(Some(ended).filter(|ended| moment::parse(ended) <= moment::parse(&change.modified)))
}

/// Key and body of the document about an ended subscription, both made of nothing else.
fn expired(subscription: &str, ended: &str) -> Result<(String, Vec<u8>), Box<Problem>> {
    let key = within(format!("{ended}/{}", escaped_part(subscription)), "subscriptionId")?;
    let (subscription, ended) = (json!(subscription), json!(ended));
    let body = format!("{{\"subscriptionId\":{subscription},\"expirationDateTime\":{ended}}}");
    Ok((key, body.into_bytes()))
}

fn within(key: String, path: &str) -> Result<String, Box<Problem>> {
    let found = key.len();
    if found > KEY_BYTES_MAX {
        let message =
            format!("found time, type, subscription and resource of {found} bytes; expected {KEY_BYTES_MAX} at most");
        return wrong("key-too-long", message, path);
    }
    Ok(key)
}

fn time(found: Option<&RawValue>, name: &str) -> Result<String, Box<Problem>> {
    let found = text(found, name)?;
    if moment::parse(&found).is_none() {
        let message = "found something else; expected a time such as 2018-10-26T12:54:20.467Z";
        return wrong("member-malformed", message, name);
    }
    Ok(found)
}

fn text(found: Option<&RawValue>, name: &str) -> Result<String, Box<Problem>> {
    let expected = format!("expected `{name}` as a text, not blank and without control characters");
    let Some(found) = found else {
        return wrong("member-missing", format!("found none; {expected}"), name);
    };
    match serde_json::from_str::<String>(found.get()) {
        Ok(text) if !text.trim().is_empty() && !text.chars().any(char::is_control) => Ok(text),
        _ => wrong("member-malformed", format!("found another value; {expected}"), name),
    }
}

//! Notifications of Business Central: that something changed there, and not what.
//!
//! ```text
//! POST …?validationToken=…      200 with the token as plain text, when a subscription is made
//!                               or renewed; a GET is answered in the same way
//! POST {"value":[{…},{…}]}      202, whatever is in it
//! ```
//!
//! Any answer but a success, 408, 429 and 5xx makes Business Central delete the subscription, and
//! those make it send the same again, for 36 hours (learn.microsoft.com, "Working with webhooks in
//! Dynamics 365 Business Central", "Notifications and change types"). So nothing that is wrong
//! with a notification is told to it: the answer is a 202, and a person hears. A call of which
//! nothing can be taken is a failure here, which the host answers with a success and keeps.
//!
//! One call has entries of several subscriptions, and each is told by itself:
//!
//! ```text
//! changeType                    document, with the entry as it came
//! created, updated, deleted     business-central/changed,
//!                               key LAST-MODIFIED/TYPE/SUBSCRIPTION/RESOURCE
//! collection                    business-central/collection, the same key: more than a thousand
//!                               changed, and the resource is a filter to ask with
//! of either, its subscription ended before that     beside it
//!                               business-central/subscription-expired, key EXPIRATION/SUBSCRIPTION
//! ```
//!
//! Whether a subscription has ended is seen from the entry alone, never from the clock: a
//! notification may come 36 hours late, and the subscription may be renewed by then. Of an ended
//! one the document says only which and when, so that it is one document however often it is
//! told. The time comes first in a key, and a resource last and without the slash that some have
//! in front: so no part has to be escaped, and two of the longest resources still fit.
//!
//! What changed has to be fetched. No transformer comes with this connector, since a transformer
//! has no network: a channel of these documents hands them to people until something polls.
//!
//! `clientState` is a secret that the subscription was made with. It is not judged here: a
//! plugin has no secrets, and who sends is proven to the host.

mod entry;
mod moment;

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::entry::{ENTRIES_MAX, Entries};

/// Bytes of an input, of which nearly all come back as documents: the host refuses a result of
/// more than 4 MiB, keys and places included. A thousand entries with the longest `clientState`
/// are less.
const INPUT_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Bytes of a token that is echoed.
const TOKEN_BYTES_MAX: usize = 512;

/// Before version 19 each notification began with it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

struct Webhooks;

impl Connector for Webhooks {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        if let Some(token) = validation_token(&input.path) {
            return Ok(handshake(token));
        }
        let (mut documents, mut problems) = (vec![], vec![]);
        match entries(&input) {
            Ok(entries) => {
                for (index, entry) in entries.elements.into_iter().enumerate() {
                    entry::tell(entry, index, &input.body, &mut documents, &mut problems);
                }
                if entries.found > ENTRIES_MAX {
                    problems.push(too_many(entries.found));
                }
            }
            Err(problem) => problems.push(*problem),
        }
        if let (Some(first), true) = (problems.first(), documents.is_empty()) {
            return Err(unusable(first, problems.len()));
        }
        let documents = entry::each_once(documents);
        Ok(Received { envelopes: vec![], documents, problems, reply: plain(202, Vec::new()) })
    }
}

/// The value of the query's `validationToken`, escapes and all.
fn validation_token(path: &str) -> Option<&str> {
    let (_, query) = path.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("validationToken")).map(|(_, value)| value)
}

/// The answer by which a subscription is made: the token and nothing else.
fn handshake(token: &str) -> Received {
    let (problems, reply) = match unescaped(token) {
        Some(token) => (vec![], plain(200, token.into_bytes())),
        None => {
            let message = "found a token that is not plain; expected 1 to 512 letters, digits and -._~:=+/, and blanks";
            (vec![Problem::new("token-malformed", message, "validationToken")], plain(400, Vec::new()))
        }
    };
    Received { envelopes: vec![], documents: vec![], problems, reply }
}

/// Undoes the escapes of a query. Only plain text is echoed, so that the answer is never a page.
fn unescaped(token: &str) -> Option<String> {
    let (mut text, mut rest) = (String::new(), token.bytes());
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => hex(rest.next()?)?.checked_mul(16)?.checked_add(hex(rest.next()?)?)?,
            b'+' => b' ',
            other => other,
        };
        let plain = byte.is_ascii_alphanumeric() || b"-._~:=+/, ".contains(&byte);
        text.push(char::from(Some(byte).filter(|_| plain)?));
    }
    Some(text).filter(|text| (1..=TOKEN_BYTES_MAX).contains(&text.len()))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow)]
    value: Entries<'a>,
}

/// The entries of a call.
///
/// # Errors
/// What is wrong with the call as a whole.
fn entries(input: &Inbound) -> Result<Entries<'_>, Box<Problem>> {
    if input.method != "POST" {
        return wrong("not-posted", "found a request that posts nothing; expected a POST with notifications", "");
    }
    let found = input.body.len();
    if found > INPUT_BYTES_MAX {
        return wrong("input-too-large", format!("found {found} bytes; expected {INPUT_BYTES_MAX} at most"), "");
    }
    let text = input.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&input.body);
    let whole: &RawValue = serde_json::from_slice(text).or_else(|error| {
        let (line, column) = (error.line(), error.column());
        let message = format!("the JSON cannot be read at line {line}, column {column}; expected notifications");
        wrong("malformed-json", message, "")
    })?;
    // Of a list serde would take the first element for the member.
    let object = Some(whole.get()).filter(|text| text.starts_with('{'));
    let read = object.and_then(|text| serde_json::from_str::<Notification<'_>>(text).ok());
    read.map(|notification| notification.value).map_or_else(
        || {
            wrong(
                "not-a-notification",
                "found something else; expected an object with notifications in `value`",
                "value",
            )
        },
        Ok,
    )
}

/// Nothing could be taken. Of a rejection only its sender hears, and this one is told nothing; a
/// failure keeps the input for a person and is answered with a success.
fn unusable(first: &Problem, count: usize) -> Failure {
    let Problem { code, message, position } = first;
    let more = count.saturating_sub(1);
    Failure::permanent(format!("{code}: {message} (at `{}`, and {more} more problems)", position.path))
}

fn too_many(found: usize) -> Problem {
    let message = format!("found {found} notifications; took the first {ENTRIES_MAX}, ask for what else has changed");
    Problem::new("too-many-notifications", message, "value")
}

fn plain(status: u16, body: Vec<u8>) -> Reply {
    let headers = vec![Header { name: "content-type".to_owned(), value: "text/plain".to_owned() }];
    Reply { status, headers, body }
}

fn wrong<T>(code: &str, message: impl Into<String>, path: &str) -> Result<T, Box<Problem>> {
    Err(Box::new(Problem::new(code, message, path)))
}

portreeve_sdk::connector!(Webhooks);

//! `clientState`, by which Business Central proves its notifications.
//!
//! ```json
//! {"value":[{"subscriptionId":"…","clientState":"SECRET",…},…]}
//! ```
//!
//! It signs nothing: a subscription is made with a secret of its own, which each of its
//! notifications names (learn.microsoft.com, "Working with webhooks in Dynamics 365 Business
//! Central", "clientState"). So every notification of a call has to name it, or a stranger could
//! put some of his beside one that he has seen. It is compared in the same time whatever
//! differs, and taken out of the body then: a secret that goes on to plugins and into what is
//! kept is one no longer.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use subtle::{Choice, ConstantTimeEq};

/// Different values in one call. One counts; a list of a million others would be a million times
/// its own size in memory.
const STATES_MAX: usize = 8;

/// Before version 19 each notification began with it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Whether each notification of a body names the secret, and there is one.
pub(super) fn proves(body: &[u8], secret: &[u8]) -> bool {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    // Of a list serde would take the first element for the member.
    if !text.trim_ascii_start().starts_with(b"{") || secret.is_empty() {
        return false;
    }
    let Ok(call) = serde_json::from_slice::<Call>(text) else { return false };
    let all = call.value.0.iter().fold(Choice::from(1), |all, found| all & found.as_bytes().ct_eq(secret));
    !call.value.0.is_empty() && bool::from(all)
}

/// The body with stars in the secret's place.
pub(super) fn without(mut body: Vec<u8>, secret: &[u8]) -> Vec<u8> {
    if secret.is_empty() {
        return body;
    }
    let mut from = 0;
    while let Some(rest) = body.get_mut(from..) {
        let Some(at) = rest.windows(secret.len()).position(|window| window == secret) else { break };
        if let Some(found) = rest.get_mut(at..at.saturating_add(secret.len())) {
            found.fill(b'*');
        }
        from = from.saturating_add(at).saturating_add(secret.len());
    }
    body
}

#[derive(Deserialize)]
struct Call {
    value: States,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    #[serde(default)]
    client_state: Option<String>,
}

/// The different values of `clientState`; one that is not there is an empty one.
struct States(BTreeSet<String>);

impl<'de> Deserialize<'de> for States {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Collected)
    }
}

struct Collected;

impl<'de> Visitor<'de> for Collected {
    type Value = States;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of notifications")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<States, A::Error> {
        let mut states = BTreeSet::new();
        while let Some(Notification { client_state }) = list.next_element()? {
            states.insert(client_state.unwrap_or_default());
            if states.len() > STATES_MAX {
                return Err(serde::de::Error::custom("too many values of `clientState`"));
            }
        }
        Ok(States(states))
    }
}

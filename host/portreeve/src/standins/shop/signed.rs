//! Who may speak to the shop: requests that are signed by OAuth 1.0a (RFC 5849), as Adobe's page
//! "OAuth-based authentication" has it, with HMAC-SHA256.
//!
//! It builds the signed text for itself and shares no code with the host: two readings of the RFC
//! meet here, and one of both being wrong shows.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

use crate::standins::erp::unescaped;

/// What RFC 5849 3.6 leaves as it is.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What the shop gave out to an integration: two keys and their secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// The consumer's key.
    pub consumer_key: String,
    /// Its secret.
    pub consumer_secret: String,
    /// The access token.
    pub token: String,
    /// Its secret.
    pub token_secret: String,
}

impl Integration {
    /// The nonce of a request that this integration signed; none where it did not.
    pub(super) fn nonce(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("OAuth ")?;
        let mut said: BTreeMap<String, String> = said.split(',').filter_map(parameter).collect();
        said.remove("realm");
        let signature = STANDARD.decode(said.remove("oauth_signature")?).ok()?;
        let says = |name: &str, value: &str| said.get(name).is_some_and(|said| said == value);
        let is_ours = says("oauth_consumer_key", &self.consumer_key)
            && says("oauth_token", &self.token)
            && says("oauth_signature_method", "HMAC-SHA256");
        let nonce = said.get("oauth_nonce").filter(|_| is_ours)?.clone();

        let host = headers.get(header::HOST)?.to_str().ok()?;
        let mut all: Vec<(String, String)> = said.iter().map(|(name, value)| (escaped(name), escaped(value))).collect();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            all.push((escaped(&unescaped(name)?), escaped(&unescaped(value)?)));
        }
        all.sort();
        let all: Vec<String> = all.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let url = format!("http://{host}{}", uri.path());
        let text = format!("{method}&{}&{}", escaped(&url), escaped(&all.join("&")));

        let key = format!("{}&{}", escaped(&self.consumer_secret), escaped(&self.token_secret));
        let mac = <Hmac<Sha256>>::new_from_slice(key.as_bytes()).ok()?.chain_update(text);
        mac.verify_slice(&signature).is_ok().then_some(nonce)
    }
}

/// `name="value"`, with its escapes.
fn parameter(text: &str) -> Option<(String, String)> {
    let (name, value) = text.trim().split_once('=')?;
    let value = value.strip_prefix('"')?.strip_suffix('"')?;
    Some((name.to_owned(), percent_decode_str(value).decode_utf8().ok()?.into_owned()))
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, &ESCAPED).to_string()
}

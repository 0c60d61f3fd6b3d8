//! Who looks at the page: a session in a cookie, and the token that its forms carry.
//!
//! The token is a keyed digest of the session's own token: whoever can make it has the session
//! already, and nothing has to be kept. A browser that says where a request comes from
//! (`Sec-Fetch-Site`, else `Origin`) is believed when it says elsewhere.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use hmac::{Hmac, KeyInit, Mac};
use portreeve_pipeline::people::{NotSignedIn, SignedIn};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::form::Form;
use super::{SIGN_IN, sorry};
use crate::Door;

/// The cookie's name.
const COOKIE: &str = "portreeve-session";

/// What a form from another site is told.
pub(super) const ELSEWHERE: &str =
    "this form was sent from another site, and nothing was done; open the page here and send it from there";

/// What a form without its token is told.
const NO_TOKEN: &str =
    "this form is of another session or none, and nothing was done; open the page again and send it from there";

/// Somebody who is signed in, with what the forms of this session carry.
pub(super) struct Visit {
    pub(super) person: SignedIn,
    pub(super) token: String,
}

/// The same, as a request shows it; whoever shows none is sent to sign in.
pub(super) struct Visitor(pub(super) Visit);

impl FromRequestParts<Arc<Door>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, door: &Arc<Door>) -> Result<Self, Response> {
        let Some(session) = session(&parts.headers) else {
            return Err(Redirect::to(SIGN_IN).into_response());
        };
        match door.front.pipeline.authenticate(session).await {
            Ok(person) => Ok(Self(Visit { person, token: form_token(session) })),
            Err(NotSignedIn::Refused) => Err(Redirect::to(SIGN_IN).into_response()),
            Err(NotSignedIn::Store(error)) => Err(sorry(None, error.into())),
        }
    }
}

impl Visit {
    /// Check: the form was sent from a page of this session.
    pub(super) fn is_own(&self, headers: &HeaderMap, form: &Form) -> Result<(), &'static str> {
        if comes_from_elsewhere(headers) {
            return Err(ELSEWHERE);
        }
        let same: bool = form.text("token").as_bytes().ct_eq(self.token.as_bytes()).into();
        if same { Ok(()) } else { Err(NO_TOKEN) }
    }
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).find(|value| !value.is_empty())
}

/// The cookie of a session; an empty one ends it in the browser.
pub(super) fn cookie(token: &str, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    let age = if token.is_empty() { "; Max-Age=0" } else { "" };
    format!("{COOKIE}={token}; Path=/console; HttpOnly; SameSite=Lax{secure}{age}")
}

fn form_token(session: &str) -> String {
    // A key of any length is one for HMAC, which is why there is nothing else to say.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(session.as_bytes()) else { return String::new() };
    mac.update(b"portreeve console form v1");
    hex::encode(mac.finalize().into_bytes())
}

/// Whether the browser says that another site sent this.
pub(super) fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), ..) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => origin.split_once("://").is_none_or(|(_, of)| of != host),
        (None, Some(_), None) => true,
        (None, None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_form_of_another_site_is_known_by_what_its_browser_says() {
        let host = ("host", "desk.example:8443");
        for (elsewhere, said) in [
            (false, vec![host]),
            (false, vec![host, ("sec-fetch-site", "same-origin")]),
            (false, vec![host, ("origin", "https://desk.example:8443")]),
            (true, vec![host, ("sec-fetch-site", "cross-site")]),
            (true, vec![host, ("sec-fetch-site", "same-site")]),
            (true, vec![host, ("origin", "https://evil.example")]),
            (true, vec![host, ("origin", "null")]),
            (true, vec![host, ("origin", "https://desk.example:8443.evil.example")]),
            (true, vec![("origin", "https://desk.example")]),
        ] {
            assert_eq!(comes_from_elsewhere(&headers(&said)), elsewhere, "{said:?}");
        }
    }

    #[test]
    fn the_session_is_found_among_other_cookies_and_the_token_is_its_own() {
        let found = headers(&[("cookie", "a=b; portreeve-session=; x"), ("cookie", "portreeve-session=prs_1; c=d")]);
        assert_eq!(session(&found), Some("prs_1"));
        assert_eq!(session(&headers(&[("cookie", "other-portreeve-session=x")])), None);
        assert_ne!(form_token("prs_1"), form_token("prs_2"));
        assert_eq!(form_token("prs_1").len(), 64);
    }

    #[test]
    fn the_cookie_is_for_no_script_and_no_other_site() {
        let set = cookie("prs_1", true);
        for part in ["portreeve-session=prs_1; ", "HttpOnly", "SameSite=Lax", "Path=/console", "Secure"] {
            assert!(set.contains(part), "{set}");
        }
        assert!(!cookie("prs_1", false).contains("Secure"), "a browser keeps none such over plain HTTP");
        assert!(cookie("", true).contains("Max-Age=0"));
    }
}

//! A session with a token against forged requests, as SAP Gateway and other OData
//! services want it before anything is changed.
//!
//! ```text
//! GET path, X-CSRF-Token: Fetch, the credential  ──▶ target
//!                                                ◀── X-CSRF-Token: T, Set-Cookie: C
//! POST …, X-CSRF-Token: T, Cookie: C             ──▶ target
//!                                                ◀── 403, X-CSRF-Token: Required: over; once more from the top
//! ```
//!
//! Whoever has token and cookies is the host to the target, so both stay here: a guest
//! neither sets nor sees them. A session belongs to the credential that it was begun with,
//! and is fetched over the addresses that were checked for the guest's own request. Of a
//! cookie only name and value count: all of them go to the one origin that they came from.

use std::net::SocketAddr;
use std::sync::Arc;

use portreeve_sandbox::{ClientTls, EgressRefused, Ended, OwnRequest, Signature, own};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::Origin;
use super::destination::Asked;
use super::window::Windows;

/// The header of the token, and of the question for one.
const TOKEN: &str = "x-csrf-token";

/// Bytes of a cookie's value from which on it is looked for by itself in answers. Session
/// ids are longer; what is shorter is `100` or `EN`, and stands in any answer.
const VALUE_BYTES_MIN: usize = 16;

/// A delivery comes back after this long when there is no session.
const LATER_MS: u64 = 5_000;

/// Where a session begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsrfEntry {
    /// Path, and query where it needs one, at the target's origin. One that is cheap to
    /// answer: a service's root.
    path: String,
    /// How it is asked for.
    #[serde(default)]
    method: FetchMethod,
}

/// What asks for a token. Neither changes anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum FetchMethod {
    /// Every service knows it; the host reads no more than the headers.
    #[default]
    Get,
    Head,
}

impl CsrfEntry {
    /// What is wrong with it beyond its grammar, given the header and the methods of its
    /// credential.
    pub(super) fn problems(&self, header: &str, methods: &[String]) -> Vec<String> {
        let mut problems = Vec::new();
        if [TOKEN, "cookie"].iter().any(|own| header.eq_ignore_ascii_case(own)) {
            problems.push(format!("`{header}` would stand for credential and session, which are two headers; leave `csrf` out, or name another header"));
        }
        // Which origin it will be does not matter to a path.
        let read = Asked::read(&format!("https://target{}", self.path));
        if !self.path.starts_with('/') || read.map_or(true, |asked| asked.path_and_query != self.path) {
            problems.push(format!(
                "`path` of `csrf` is `{}`; expected a path at the target's origin, from its `/` on, as it is sent",
                self.path.escape_debug()
            ));
        }
        if !methods.is_empty() && !methods.iter().any(|method| changes(method)) {
            problems.push("`csrf` has no effect, since `methods` names none that changes anything; leave it out, or add the method that does".to_owned());
        }
        problems
    }
}

/// Whether a request with this method is one that a token is asked of (RFC 9110 9.2.1).
fn changes(method: &str) -> bool {
    !["GET", "HEAD", "OPTIONS", "TRACE"].contains(&method)
}

/// The way to the target, as it was checked for one request.
#[derive(Clone, Default)]
pub(super) struct Checked {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) tls: Option<(ClientTls, String)>,
    pub(super) authority: String,
    /// What counts the requests to it, and as which origin.
    pub(super) windows: Option<(Arc<Windows>, Origin)>,
}

impl Checked {
    /// Takes one request of the target's window, where it has one.
    fn take(&self) -> Result<(), NoSession> {
        let Some((windows, origin)) = &self.windows else { return Ok(()) };
        windows.take(origin).map_err(|full| NoSession { why: full.why(origin), after_ms: full.after_ms, ended: None })
    }
}

/// The headers by which the host proves itself.
type Proof = Vec<(String, String)>;

/// What a target gave out, and to whom.
#[derive(PartialEq, Eq)]
pub(super) struct Session {
    proof: Proof,
    token: String,
    cookies: Vec<(String, String)>,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) struct NoSession {
    /// One sentence, with nothing of what was asked or answered but the status.
    why: String,
    /// When it is worth asking again, milliseconds from now.
    after_ms: u64,
    /// How asking ended, for whoever keeps count of the target; none where nobody asked.
    pub(super) ended: Option<Ended>,
}

impl NoSession {
    fn after(why: String, ended: Ended) -> Self {
        Self { why, after_ms: LATER_MS, ended: Some(ended) }
    }

    /// Whether it is the credential that was refused.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.ended == Some(Ended::Answered { status: 401 })
    }
}

impl From<NoSession> for EgressRefused {
    fn from(none: NoSession) -> Self {
        let NoSession { why, after_ms, .. } = none;
        Self::Later { after_ms, why: format!("the host has no session with this target now: {why}") }
    }
}

/// The session with one target.
pub(super) struct Csrf {
    entry: CsrfEntry,
    /// Held while it is fetched, so that a hundred deliveries begin one.
    kept: Arc<Mutex<Option<Arc<Session>>>>,
}

impl Csrf {
    pub(super) fn new(entry: CsrfEntry) -> Self {
        Self { entry, kept: Arc::default() }
    }

    /// Adds the session to a request that is signed already, where it changes something.
    pub(super) async fn join(
        &self,
        to: &Checked,
        method: &str,
        signature: &mut Signature,
    ) -> Result<Option<Arc<Session>>, NoSession> {
        signature.reserved.push(TOKEN.to_owned());
        // Without a credential there is nobody whose session it could be.
        if !changes(method) || signature.headers.is_empty() {
            return Ok(None);
        }
        let session = self.current(to, &signature.headers).await?;
        session.add_to(signature);
        Ok(Some(session))
    }

    /// Whether there is another session than the one that is over.
    pub(super) async fn renew(&self, to: &Checked, over: &Session) -> bool {
        {
            let mut kept = self.kept.lock().await;
            // Somebody else may have been faster.
            if kept.as_deref().is_some_and(|kept| kept == over) {
                *kept = None;
            }
        }
        match self.current(to, &over.proof).await {
            Ok(session) => *session != *over,
            Err(NoSession { why, .. }) => {
                tracing::warn!(why, "a session that is over could not be renewed");
                false
            }
        }
    }

    /// The session of whoever proves himself like this.
    async fn current(&self, to: &Checked, proof: &Proof) -> Result<Arc<Session>, NoSession> {
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        if let Some(session) = kept.as_ref().filter(|session| session.proof == *proof) {
            return Ok(Arc::clone(session));
        }
        *kept = None;
        let (entry, to, proof) = (self.entry.clone(), to.clone(), proof.clone());
        // A task of its own: a caller that gives up does not throw away what comes a little later.
        let fetched = tokio::spawn(async move {
            let session = Arc::new(fetch(&entry, &to, proof).await?);
            *kept = Some(Arc::clone(&session));
            Ok(session)
        });
        fetched
            .await
            .unwrap_or_else(|_| Err(NoSession::after("whoever asked for it gave up".to_owned(), Ended::Failed)))
    }
}

impl Session {
    fn add_to(&self, signature: &mut Signature) {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookie = pairs.join("; ");
        let long = self.cookies.iter().map(|(_, value)| value).filter(|value| value.len() >= VALUE_BYTES_MIN);
        // The longest first: a part of it that was taken out would leave the rest.
        let hidden = [cookie.clone()].into_iter().chain(pairs).chain(long.cloned()).chain([self.token.clone()]);
        signature.secrets.extend(hidden.filter(|hidden| !hidden.is_empty()).map(String::into_bytes));
        signature.headers.push((TOKEN.to_owned(), self.token.clone()));
        if !cookie.is_empty() {
            signature.headers.push(("cookie".to_owned(), cookie));
        }
        signature.has_session = true;
    }
}

async fn fetch(entry: &CsrfEntry, to: &Checked, proof: Proof) -> Result<Session, NoSession> {
    let method = match entry.method {
        FetchMethod::Get => "GET",
        FetchMethod::Head => "HEAD",
    };
    let headers: Vec<(&str, &str)> = proof
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain([(TOKEN, "Fetch"), ("accept", "*/*")])
        .collect();
    let request = OwnRequest {
        addresses: &to.addresses,
        tls: to.tls.as_ref().map(|(tls, name)| (tls, name.as_str())),
        authority: &to.authority,
        path_and_query: &entry.path,
        headers: &headers,
        body: Vec::new(),
    };
    to.take()?;
    let asked = format!("{method} `{}`", entry.path);
    let (status, answer) = own::look(request, method)
        .await
        .map_err(|why| NoSession::after(format!("{asked} has no answer: {why}"), Ended::Failed))?;
    let ended = Ended::Answered { status };
    if !(200..300).contains(&status) {
        let why =
            format!("{asked} was answered {status}, expected 200; look at the credential and at `path` of `csrf`");
        return Err(NoSession::after(why, ended));
    }
    let token = answer.iter().find(|(name, _)| name == TOKEN).map(|(_, value)| value.trim());
    let word = |token: &&str| !["", "fetch", "required"].contains(&token.to_ascii_lowercase().as_str());
    let Some(token) = token.filter(word) else {
        let why = format!(
            "{asked} was answered {status} without a token in `X-CSRF-Token`; look at `path` and `method` of `csrf`"
        );
        return Err(NoSession::after(why, ended));
    };
    let cookies = answer.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str());
    Ok(Session { token: token.to_owned(), cookies: jar(cookies), proof })
}

/// Names and values of cookies that are set (RFC 6265 4.1.1), the last of each name; one
/// that is taken back is none.
fn jar<'a>(set: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let mut jar: Vec<(String, String)> = Vec::new();
    for cookie in set {
        let mut parts = cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
        let (name, value) = (name.trim(), value.trim());
        jar.retain(|(earlier, _)| earlier != name);
        let is_gone = parts.any(|attribute| {
            let lasts = attribute.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case("max-age"));
            lasts.is_some_and(|(_, seconds)| seconds.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0))
        });
        if !name.is_empty() && !value.is_empty() && !is_gone {
            jar.push((name.to_owned(), value.to_owned()));
        }
    }
    jar
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_cookie_is_name_and_value_and_the_last_word_about_it_counts() {
        for (set, kept) in [
            (
                vec!["SAP_SESSIONID_X=abc%3d; path=/; HttpOnly", "sap-usercontext=sap-client=100; path=/"],
                "SAP_SESSIONID_X=abc%3d; sap-usercontext=sap-client=100",
            ),
            (vec!["a=1", "b=2", "a=3"], "b=2; a=3"),
            (vec!["a=1", "a=; expires=Thu, 01 Jan 1970 00:00:00 GMT"], ""),
            (vec!["a=1", "a=deleted; Max-Age=0"], ""),
            (vec!["a=1; max-age=3600", "nothing", "=2", ""], "a=1"),
        ] {
            let jar: Vec<String> = jar(set.into_iter()).iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(jar.join("; "), kept);
        }
    }

    #[test]
    fn a_session_stands_in_the_request_and_none_of_it_may_come_back() {
        let cookies = jar(["SAP_SESSIONID_X=0123456789abcdef0123", "sap-usercontext=sap-client=100"].into_iter());
        let session = Session { proof: Vec::new(), token: "a-token".to_owned(), cookies };
        let mut signature = Signature::default();
        session.add_to(&mut signature);
        let cookie = "SAP_SESSIONID_X=0123456789abcdef0123; sap-usercontext=sap-client=100";
        let headers = [("x-csrf-token", "a-token"), ("cookie", cookie)];
        assert_eq!(signature.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let hides = |text: &str| signature.secrets.contains(&text.as_bytes().to_vec());
        for hidden in ["a-token", cookie, "0123456789abcdef0123", "sap-usercontext=sap-client=100"] {
            assert!(hides(hidden), "{hidden}");
        }
        assert!(!hides("sap-client=100"), "it stands in every link of the target");
    }

    #[test]
    fn a_path_that_is_none_and_a_session_without_effect_are_named() {
        let entry = |path: &str| CsrfEntry { path: path.to_owned(), method: FetchMethod::Get };
        for path in ["/sap/opu/odata/sap/ORDERS/", "/sap/?sap-client=100"] {
            assert!(entry(path).problems("authorization", &[]).is_empty(), "{path}");
        }
        for path in ["", "sap/", "/a/../b", "/a b", "https://a/", "/a#b", ":8080/a", "@a/"] {
            let problems = entry(path).problems("authorization", &[]);
            assert!(problems.len() == 1 && problems.concat().contains("`path` of `csrf`"), "{path}: {problems:?}");
        }
        let problems = entry("/").problems("authorization", &["GET".to_owned(), "HEAD".to_owned()]);
        assert!(problems.concat().contains("`csrf` has no effect"), "{problems:?}");
        assert!(entry("/").problems("authorization", &["GET".to_owned(), "POST".to_owned()]).is_empty());
        for wrong in [r#"{"path": "/", "method": "POST"}"#, r#"{"path": "/", "token": "a"}"#, r#"{"method": "GET"}"#] {
            serde_json::from_str::<CsrfEntry>(wrong).unwrap_err();
        }
    }
}

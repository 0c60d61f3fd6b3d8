//! How the host proves itself to a target. A guest never sees any of it.
//!
//! ```toml
//! [target.credential]                     # one of these; `methods` narrows each of them
//! kind = "header"                         # a fixed header
//! name = "x-api-key"
//! secret = { file = "erp.key" }
//!
//! kind = "basic"
//! user = "portreeve"
//! secret = { env = "ERP_PASSWORD" }
//! csrf = { path = "/sap/opu/odata/sap/API_SALES_ORDER_SRV/", method = "HEAD" }
//!                                         # a session with a CSRF token for whatever is no GET
//!                                         # or HEAD; also of `header`; without `method` GET
//!
//! kind = "oauth2"                         # client credentials, RFC 6749 4.4
//! token_url = "https://login.example/oauth2/token"
//! client_id = "portreeve"
//! scope = "orders.write"
//! secret = { command = ["vault", "read", "-field=secret", "erp"] }
//!
//! kind = "hmac"                           # HMAC-SHA256 over the body
//! header = "x-signature"
//! prefix = "sha256="
//! secret = { file = "erp.key" }
//!
//! kind = "oauth1"                         # OAuth 1.0a with one leg, RFC 5849
//! consumer_key = "portreeve"
//! consumer_secret = { file = "consumer.key" }
//! token = "orders"
//! token_secret = { file = "token.key" }
//! realm = "1234567_SB1"                   # without it none is said
//! signature_method = "hmac-sha256"        # or "hmac-sha1"; this is the default
//!
//! kind = "standard-webhooks"              # `webhook-id`, `-timestamp` and `-signature`
//! secret = { file = "shop.key" }          # `whsec_…`; that of a [[subscriber]] is this one
//! ```
//!
//! It is added to requests for the target's own origin and granted methods, over
//! whatever a guest set under the same name. Where the target answers 401, the secret is
//! read or the token asked for once more; if that gives another one, the request goes out
//! a second time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use portreeve_model::Instant;
use portreeve_sandbox::{ClientTls, EgressRefused, OwnRequest, Signature, ToSign, own};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::csrf::{Csrf, CsrfEntry};
use super::destination::{Asked, Destination, Origin};
use super::kept::{FAILED_KEPT_MS, Keeper, NoSecret};
use super::oauth1::{Oauth1Entry, Signed, Stamp};
use super::resolver::Resolver;
use super::secret::{self, FILE_KEPT_MS, Secret, SecretError, SecretSource};
use super::webhook;
use super::window::{Full, Windows};

/// A token is asked for so long before the old one ends: it has to last for the request.
const TOKEN_SPARE_MS: i64 = 30_000;

/// How long a token is used whose server does not say.
const TOKEN_KEPT_MS: i64 = 300_000;

/// How the host proves itself to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum CredentialEntry {
    /// A header with a fixed value.
    Header {
        /// Its name.
        name: String,
        /// What stands before the secret, for example `Bearer `.
        #[serde(default)]
        prefix: String,
        /// The rest.
        secret: SecretSource,
        /// Where a session begins, for a target that wants one before it is changed.
        csrf: Option<CsrfEntry>,
        /// Methods that it goes with; empty means all.
        #[serde(default)]
        methods: Vec<String>,
    },
    /// Name and password, RFC 7617.
    Basic {
        /// The name.
        user: String,
        /// The password.
        secret: SecretSource,
        /// Where a session begins, for a target that wants one before it is changed.
        csrf: Option<CsrfEntry>,
        /// Methods that it goes with; empty means all.
        #[serde(default)]
        methods: Vec<String>,
    },
    /// A bearer token for client credentials.
    Oauth2 {
        /// Where tokens are.
        token_url: String,
        /// Who asks.
        client_id: String,
        /// The client's secret.
        secret: SecretSource,
        /// What for.
        scope: Option<String>,
        /// Special networks that the token server's name may lead to.
        #[serde(default)]
        addresses: Vec<IpNet>,
        /// Methods that it goes with; empty means all.
        #[serde(default)]
        methods: Vec<String>,
    },
    /// HMAC-SHA256 over the body.
    Hmac {
        /// The header that it stands in.
        header: String,
        /// What stands before it.
        #[serde(default)]
        prefix: String,
        /// How it is written.
        #[serde(default)]
        encoding: Encoding,
        /// The key.
        secret: SecretSource,
        /// Methods that it goes with; empty means all.
        #[serde(default)]
        methods: Vec<String>,
    },
    /// OAuth 1.0a with one leg, RFC 5849.
    Oauth1(Oauth1Entry),
    /// The signature of Standard Webhooks.
    StandardWebhooks(WebhookEntry),
}

/// The signature of Standard Webhooks. Only what is delivered has one: a question has no id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEntry {
    /// `whsec_` and the key in base64.
    pub secret: SecretSource,
}

/// How bytes are written in a header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// Lower case.
    #[default]
    Hex,
    /// With padding.
    Base64,
}

impl CredentialEntry {
    fn sources(&self) -> Vec<&SecretSource> {
        match self {
            Self::Header { secret, .. }
            | Self::Basic { secret, .. }
            | Self::Oauth2 { secret, .. }
            | Self::Hmac { secret, .. }
            | Self::StandardWebhooks(WebhookEntry { secret }) => vec![secret],
            Self::Oauth1(entry) => entry.sources().into(),
        }
    }

    /// Reads what it proves itself with. Blocks.
    fn read(&self, base: &Path) -> Result<Secret, SecretError> {
        match self {
            Self::Header { secret, .. }
            | Self::Basic { secret, .. }
            | Self::Oauth2 { secret, .. }
            | Self::Hmac { secret, .. } => secret.read(base),
            Self::Oauth1(entry) => entry.key(base),
            Self::StandardWebhooks(entry) => {
                let secret = entry.secret.read(base)?;
                webhook::key(&secret)?;
                Ok(secret)
            }
        }
    }

    fn methods(&self) -> &[String] {
        match self {
            Self::Header { methods, .. }
            | Self::Basic { methods, .. }
            | Self::Oauth2 { methods, .. }
            | Self::Hmac { methods, .. } => methods,
            Self::Oauth1(entry) => &entry.methods,
            Self::StandardWebhooks(_) => &[],
        }
    }

    fn csrf(&self) -> Option<&CsrfEntry> {
        match self {
            Self::Header { csrf, .. } | Self::Basic { csrf, .. } => csrf.as_ref(),
            Self::Oauth2 { .. } | Self::Hmac { .. } | Self::Oauth1(_) | Self::StandardWebhooks(_) => None,
        }
    }

    /// The header that it stands in.
    fn header(&self) -> &str {
        match self {
            Self::Header { name, .. } | Self::Hmac { header: name, .. } => name,
            Self::Basic { .. } | Self::Oauth2 { .. } | Self::Oauth1(_) => "authorization",
            Self::StandardWebhooks(_) => webhook::SIGNATURE,
        }
    }

    /// Whether whoever gives tokens is spoken to over TLS.
    #[must_use]
    pub fn needs_tls(&self) -> bool {
        matches!(self, Self::Oauth2 { token_url, .. } if Asked::read(token_url).is_ok_and(|asked| asked.origin.is_https()))
    }

    /// How many requests to an origin the host may have to make by itself before one to a target at `of`
    /// goes with this credential: for a token, and for a session.
    #[must_use]
    pub fn own_requests(&self, of: &Origin, origin: &Origin) -> u64 {
        let has_token = self.token_origin().as_ref() == Some(origin);
        let has_session = self.csrf().is_some() && of == origin;
        u64::from(has_token).saturating_add(u64::from(has_session))
    }

    /// Where its tokens are asked for, where it has any.
    fn token_origin(&self) -> Option<Origin> {
        let Self::Oauth2 { token_url, .. } = self else { return None };
        Asked::read(token_url).ok().map(|asked| asked.origin)
    }

    /// What is wrong with it beyond its grammar.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let hosts = ["host", "content-length", "transfer-encoding", "connection"];
        let name = self.header().to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(token) || hosts.contains(&name.as_str()) {
            problems.push(format!("`{name}` is no header for a credential"));
        }
        if let Self::Basic { user, .. } = self
            && (user.contains(':') || user.chars().any(char::is_control))
        {
            problems
                .push("`user` has a colon or a control character, which basic authentication cannot say".to_owned());
        }
        if let Self::Oauth2 { token_url, .. } = self {
            match Asked::read(token_url) {
                Ok(asked) if asked.origin.is_private() => {}
                Ok(_) => problems.push(
                    "`token_url` is http, where everybody on the way can read the secret; write `https://…`".to_owned(),
                ),
                Err(refused) => problems.push(format!("`token_url`: {refused}")),
            }
        }
        problems.extend(self.csrf().into_iter().flat_map(|csrf| csrf.problems(self.header(), self.methods())));
        if let Self::Oauth1(entry) = self {
            problems.extend(entry.problems());
        }
        problems
    }
}

/// A credential at work.
pub(super) struct Credential {
    entry: CredentialEntry,
    /// The session that goes with it.
    pub(super) csrf: Option<Csrf>,
    /// Of the target.
    origin: Origin,
    /// Where relative paths begin.
    base: PathBuf,
    /// Of the target, for the token server as well.
    tls: Option<ClientTls>,
    resolver: Arc<dyn Resolver>,
    /// What a token server at a counted origin takes.
    windows: Arc<Windows>,
    /// What was got lately.
    kept: Arc<Keeper>,
}

impl Credential {
    /// Reads its secret once: what no host can read must not become active.
    pub(super) fn open(
        entry: CredentialEntry,
        origin: Origin,
        base: PathBuf,
        (tls, resolver, windows): (Option<ClientTls>, Arc<dyn Resolver>, Arc<Windows>),
    ) -> Result<Self, SecretError> {
        let secret = entry.read(&base)?;
        if !matches!(entry, CredentialEntry::Hmac { .. }) {
            secret.text()?;
        }
        let csrf = entry.csrf().cloned().map(Csrf::new);
        Ok(Self { entry, csrf, origin, base, tls, resolver, windows, kept: Arc::default() })
    }

    /// What goes with a request, and the secret that it was made with. `message` is the id of what
    /// is delivered by it.
    pub(super) async fn sign(
        self: &Arc<Self>,
        request: ToSign<'_>,
        message: Option<&str>,
        now: Instant,
    ) -> Result<(Signature, Option<Secret>), EgressRefused> {
        let mut reserved = vec!["authorization".to_owned(), self.entry.header().to_owned()];
        if let CredentialEntry::StandardWebhooks(_) = &self.entry {
            reserved.extend([webhook::ID, webhook::TIMESTAMP].map(str::to_owned));
            let Some(id) = message else { return Ok((Signature { reserved, ..Signature::default() }, None)) };
            let secret = self.current(now).await.map_err(later)?;
            let headers = webhook::headers(&secret, id, now, request.body).map_err(later)?;
            let secrets = vec![secret.bytes().to_vec()];
            let renewable = self.entry.sources().iter().any(|source| source.may_change());
            return Ok((Signature { headers, reserved, secrets, renewable, ..Signature::default() }, Some(secret)));
        }
        let methods = self.entry.methods();
        if !methods.is_empty() && !methods.iter().any(|method| method == request.method) {
            return Ok((Signature { reserved, ..Signature::default() }, None));
        }
        let secret = self.current(now).await.map_err(later)?;
        let (value, secrets) = self.value(&secret, request, now)?;
        let signature = Signature {
            headers: vec![(self.entry.header().to_owned(), value)],
            reserved,
            secrets,
            has_session: false,
            body: None,
            renewable: self.entry.sources().iter().any(|source| source.may_change()) || self.is_token(),
        };
        Ok((signature, Some(secret)))
    }

    /// Whether there is another secret than the one that was refused. What is expensive to get
    /// is asked for again once in a while only.
    pub(super) async fn renew(self: &Arc<Self>, refused: &Secret, now: Instant) -> bool {
        self.kept.refused(refused, now);
        match self.current(now).await {
            Ok(secret) => secret != *refused,
            Err(NoSecret { why, .. }) => {
                tracing::warn!(why, "a credential that was refused could not be renewed");
                false
            }
        }
    }

    /// The secret or token as it is now.
    async fn current(self: &Arc<Self>, now: Instant) -> Result<Secret, NoSecret> {
        let credential = Arc::clone(self);
        self.kept.current(now, || async move { credential.ask().await }).await
    }

    fn is_token(&self) -> bool {
        matches!(self.entry, CredentialEntry::Oauth2 { .. })
    }

    /// Where its tokens are asked for, where it has any.
    pub(super) fn token_origin(&self) -> Option<Origin> {
        self.entry.token_origin()
    }

    /// Asks whoever gives it, and for how long it is kept.
    async fn ask(&self) -> Result<(Secret, i64), NoSecret> {
        // Of two sources as long as the more expensive one.
        let kept_ms = self.entry.sources().iter().map(|source| source.kept_ms()).max().unwrap_or(FILE_KEPT_MS);
        let none = |why| NoSecret { after_ms: kept_ms.unsigned_abs().min(FAILED_KEPT_MS.unsigned_abs()), why };
        let secret = self.read().await.map_err(none)?;
        if self.is_token() { self.token(&secret).await } else { Ok((secret, kept_ms)) }
    }

    async fn read(&self) -> Result<Secret, String> {
        let (entry, base) = (self.entry.clone(), self.base.clone());
        secret::apart(move || entry.read(&base)).await
    }

    /// The header's value, and what of it must not come back.
    fn value(
        &self,
        secret: &Secret,
        request: ToSign<'_>,
        now: Instant,
    ) -> Result<(String, Vec<Vec<u8>>), EgressRefused> {
        let unusable = |error: SecretError| later(error.to_string());
        let text = || secret.text().map_err(unusable);
        let value = match &self.entry {
            CredentialEntry::Header { prefix, .. } => format!("{prefix}{}", text()?),
            CredentialEntry::Basic { user, .. } => format!("Basic {}", STANDARD.encode(format!("{user}:{}", text()?))),
            CredentialEntry::Oauth2 { .. } => format!("Bearer {}", text()?),
            // It has an id and a time beside it, and is made where those are.
            CredentialEntry::StandardWebhooks(_) => return Err(later("it signs messages only".to_owned())),
            CredentialEntry::Oauth1(entry) => {
                let stamp = Stamp::new(now).map_err(later)?;
                let Signed { header, secrets } = entry.sign(&self.origin, request, secret, &stamp)?;
                return Ok((header, secrets));
            }
            CredentialEntry::Hmac { prefix, encoding, .. } => {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes())
                    .map_err(|_| unusable(SecretError::Length { found: secret.bytes().len() }))?;
                mac.update(request.body);
                let mac = mac.finalize().into_bytes();
                let written = match encoding {
                    Encoding::Hex => hex::encode(mac),
                    Encoding::Base64 => STANDARD.encode(mac),
                };
                format!("{prefix}{written}")
            }
        };
        let secrets = vec![secret.bytes().to_vec(), value.clone().into_bytes(), last_word(&value)];
        Ok((value, secrets))
    }

    /// Asks the token server. What it says when it refuses is not repeated: it may
    /// repeat what it was told.
    async fn token(&self, secret: &Secret) -> Result<(Secret, i64), NoSecret> {
        let CredentialEntry::Oauth2 { token_url, client_id, scope, addresses, .. } = &self.entry else {
            return Err("it is no credential with tokens".to_owned().into());
        };
        let place = Asked::read(token_url).map_err(|refused| refused.to_string())?;
        let there = Destination::of_the_host(place.origin.clone(), addresses.clone());
        let found = super::resolved(&*self.resolver, &place.origin).await.map_err(|refused| refused.to_string())?;
        let pinned = there.pin(&found).map_err(|refused| refused.to_string())?;
        let name = place.origin.host_text();
        let tls = match (place.origin.is_https(), &self.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some((tls, name.as_str())),
            (true, None) => return Err("the token server is https, and this target has no TLS".to_owned().into()),
        };
        let form = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = secret.text().map_err(|error| error.to_string())?;
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", form(client_id), form(secret))));
        let scope = scope.as_ref().map_or_else(String::new, |scope| format!("&scope={}", form(scope)));
        let full = |full: Full| NoSecret { why: full.why(&place.origin), after_ms: full.after_ms };
        self.windows.take(&place.origin).map_err(full)?;
        let request = OwnRequest {
            addresses: &pinned,
            tls,
            authority: &place.origin.authority(),
            path_and_query: &place.path_and_query,
            headers: &[
                ("authorization", &basic),
                ("content-type", "application/x-www-form-urlencoded"),
                ("accept", "application/json"),
            ],
            body: format!("grant_type=client_credentials{scope}").into_bytes(),
        };
        let (status, body) =
            own::post(request).await.map_err(|why| format!("no token from `{}`: {why}", place.origin))?;
        if status != 200 {
            let why = format!("no token from `{}`: it answered {status}; look at `client_id` and secret", place.origin);
            return Err(why.into());
        }
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| format!("no token from `{}`: its answer is not that of RFC 6749", place.origin))?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(format!("no token from `{}`: it is not of type bearer", place.origin).into());
        }
        let lasts_ms = answer
            .expires_in
            .and_then(|lasts| lasts.seconds())
            .map_or(TOKEN_KEPT_MS, |seconds| seconds.saturating_mul(1_000).saturating_sub(TOKEN_SPARE_MS));
        Ok((Secret::new(answer.access_token.into_bytes()), lasts_ms))
    }
}

/// RFC 6749 5.1; what else is in it is the server's.
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    token_type: String,
    expires_in: Option<Lasts>,
}

/// Seconds: a number, or as some servers have it a text. What is neither is as good as nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lasts {
    Number(i64),
    Text(String),
    Other(serde::de::IgnoredAny),
}

impl Lasts {
    fn seconds(&self) -> Option<i64> {
        match self {
            Self::Number(seconds) => Some(*seconds),
            Self::Text(text) => text.parse().ok(),
            Self::Other(_) => None,
        }
    }
}

/// `Basic …` and `Bearer …`: what a target repeats may leave the first word out.
fn last_word(value: &str) -> Vec<u8> {
    value.rsplit(' ').next().unwrap_or_default().as_bytes().to_vec()
}

fn later(none: impl Into<NoSecret>) -> EgressRefused {
    let NoSecret { why, after_ms } = none.into();
    EgressRefused::Later { after_ms, why: format!("the host has no credential for this target now: {why}") }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn read(text: &str) -> Result<CredentialEntry, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_key_without_effect_is_an_error() {
        read(r#"{"kind": "basic", "user": "a", "secret": {"file": "f"}}"#).unwrap();
        for text in [
            r#"{"kind": "basic", "user": "a", "secret": {"file": "f"}, "scope": "x"}"#,
            r#"{"kind": "basic", "user": "a", "secret": {"file": "f", "env": "e"}}"#,
            r#"{"kind": "basic", "user": "a", "secret": {"vault": "f"}}"#,
            r#"{"kind": "basic", "user": "a"}"#,
            r#"{"kind": "digest", "user": "a", "secret": {"file": "f"}}"#,
            r#"{"kind": "basic", "user": "a", "secret": {"file": "f"}, "csrf": {"path": "/", "header": "x"}}"#,
            r#"{"kind": "hmac", "header": "x", "secret": {"file": "f"}, "csrf": {"path": "/"}}"#,
            r#"{"kind": "oauth1", "consumer_key": "a", "consumer_secret": {"file": "f"}, "token": "b"}"#,
            r#"{"kind": "oauth1", "consumer_key": "a", "consumer_secret": {"file": "f"}, "token": "b", "token_secret": {"file": "f"}, "scope": "x"}"#,
        ] {
            read(text).unwrap_err();
        }
    }

    #[test]
    fn a_token_lasts_what_the_server_says_as_number_or_text() {
        for (lasts, seconds) in
            [("3599", Some(3_599)), ("\"3599\"", Some(3_599)), ("3599.5", None), ("\"soon\"", None), ("null", None)]
        {
            let text = format!(r#"{{"access_token": "a", "token_type": "Bearer", "expires_in": {lasts}}}"#);
            let answer: TokenAnswer = serde_json::from_str(&text).unwrap();
            assert_eq!(answer.expires_in.and_then(|lasts| lasts.seconds()), seconds, "{lasts}");
        }
    }

    #[test]
    fn a_credential_that_no_request_can_carry_is_named() {
        for (text, what) in [
            (r#"{"kind": "header", "name": "host", "secret": {"file": "f"}}"#, "no header"),
            (r#"{"kind": "header", "name": "x y", "secret": {"file": "f"}}"#, "no header"),
            (r#"{"kind": "hmac", "header": "", "secret": {"file": "f"}}"#, "no header"),
            (r#"{"kind": "basic", "user": "a:b", "secret": {"file": "f"}}"#, "colon"),
            (r#"{"kind": "basic", "user": "a", "secret": {"file": "f"}, "csrf": {"path": "sap"}}"#, "`path` of `csrf`"),
            (
                r#"{"kind": "basic", "user": "a", "secret": {"file": "f"}, "methods": ["GET"], "csrf": {"path": "/"}}"#,
                "no effect",
            ),
            (r#"{"kind": "header", "name": "Cookie", "secret": {"file": "f"}, "csrf": {"path": "/"}}"#, "two headers"),
            (r#"{"kind": "oauth2", "token_url": "login", "client_id": "a", "secret": {"file": "f"}}"#, "token_url"),
            (
                r#"{"kind": "oauth2", "token_url": "https://a:b@c/", "client_id": "a", "secret": {"file": "f"}}"#,
                "token_url",
            ),
            (
                r#"{"kind": "oauth2", "token_url": "http://login.example/", "client_id": "a", "secret": {"file": "f"}}"#,
                "write `https://…`",
            ),
        ] {
            let problems = read(text).unwrap().problems();
            assert!(problems.len() == 1 && problems[0].contains(what), "{text}: {problems:?}");
        }
    }
}

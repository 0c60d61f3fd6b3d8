//! A URL that takes notices: how it is reached, and how it knows who speaks. Subscribers of events
//! know it by the same signature, and are reached as targets are.
//!
//! Signed after Standard Webhooks (standardwebhooks.com): `webhook-id` stays the same however
//! often a message is sent, and `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over
//! `ID.TIMESTAMP.BODY`, under the bytes behind `whsec_`. Who is reached is judged as for
//! guests: the name is resolved once, every address has to be public or named, and no
//! redirect is followed. The answer's body is not read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ipnet::IpNet;
use portreeve_model::Instant;
use portreeve_sandbox::{ClientTls, OwnRequest, own};
use sha2::Sha256;

use super::destination::{Asked, Destination, Origin, Refused};
use super::kept::Keeper;
use super::secret::{self, Secret, SecretError, SecretSource};
use super::{Resolver, resolved};

/// The headers of a signature.
pub(super) const ID: &str = "webhook-id";
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
pub(super) const SIGNATURE: &str = "webhook-signature";

/// What a signing secret begins with.
const PREFIX: &str = "whsec_";

/// Bytes of the key, as Standard Webhooks has them.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The way to whoever takes notices.
pub struct WayOfNotices {
    /// Where to.
    pub url: String,
    /// Networks that are not public and may be reached.
    pub addresses: Vec<IpNet>,
    /// Whom to trust there; needed where it is https.
    pub tls: Option<ClientTls>,
    /// Where the signing secret comes from.
    pub secret: SecretSource,
}

/// What is wrong with a URL for notices.
pub(crate) fn problem(url: &str) -> Option<String> {
    match Asked::read(url) {
        Ok(asked) if asked.origin.is_private() => None,
        Ok(_) => Some("is http, where everybody on the way can read it; write `https://…`".to_owned()),
        Err(refused) => Some(without_the_url(&refused)),
    }
}

/// What is wrong with a URL, whose path may be a secret.
fn without_the_url(refused: &Refused) -> String {
    match refused {
        Refused::NoUrl(_) => "is no http or https URL with a host; write it out as `https://HOST/PATH`".to_owned(),
        other => format!("cannot be used: {other}"),
    }
}

/// Scheme, host and port of a URL.
pub(crate) fn origin_of(url: &str) -> Option<Origin> {
    Asked::read(url).ok().map(|asked| asked.origin)
}

/// Whether the URL needs TLS.
pub(crate) fn needs_tls(url: &str) -> bool {
    Asked::read(url).is_ok_and(|asked| asked.origin.is_https())
}

/// What came of sending a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was taken.
    Taken,
    /// It was answered otherwise.
    Refused {
        /// HTTP status.
        status: u16,
        /// What `retry-after` asks for.
        after_ms: Option<i64>,
    },
    /// Nobody answered, or nothing could be sent: why, with nothing of it.
    Failed(String),
}

/// One URL at work.
pub(crate) struct Webhook {
    asked: Asked,
    there: Destination,
    tls: Option<ClientTls>,
    secret: SecretSource,
    /// Where relative paths begin.
    base: PathBuf,
    resolver: Arc<dyn Resolver>,
    /// What was read lately.
    kept: Arc<Keeper>,
}

impl Webhook {
    /// Reads its secret once: what no host can sign with must not become active.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn open(way: WayOfNotices, base: &Path, resolver: Arc<dyn Resolver>) -> Result<Self, String> {
        let WayOfNotices { url, addresses, tls, secret } = way;
        let asked = Asked::read(&url).map_err(|refused| format!("`url` {}", without_the_url(&refused)))?;
        secret.read(base).and_then(|secret| key(&secret)).map_err(|error| error.to_string())?;
        let there = Destination::of_the_host(asked.origin.clone(), addresses);
        Ok(Self { asked, there, tls, secret, base: base.to_owned(), resolver, kept: Arc::default() })
    }

    /// Scheme, host and port: what may be told of the URL, whose path may be a secret.
    pub(crate) fn origin(&self) -> String {
        self.asked.origin.to_string()
    }

    /// Sends a notice once.
    pub(crate) async fn send(&self, id: &str, now: Instant, body: Vec<u8>) -> Sent {
        self.exchange(id, now, body).await.unwrap_or_else(Sent::Failed)
    }

    async fn exchange(&self, id: &str, now: Instant, body: Vec<u8>) -> Result<Sent, String> {
        let found = resolved(&*self.resolver, &self.asked.origin).await.map_err(|refused| refused.to_string())?;
        let addresses = self.there.pin(&found).map_err(|refused| refused.to_string())?;
        let name = self.asked.origin.host_text();
        let tls = match (self.asked.origin.is_https(), &self.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some((tls, name.as_str())),
            (true, None) => return Err("it is https, and there is no TLS for it".to_owned()),
        };
        let signed = headers(&self.current(now).await?, id, now, &body)?;
        let plain =
            [("content-type", "application/json"), ("user-agent", concat!("portreeve/", env!("CARGO_PKG_VERSION")))];
        let signed = signed.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = plain.into_iter().chain(signed).collect();
        let request = OwnRequest {
            addresses: &addresses,
            tls,
            authority: &self.asked.origin.authority(),
            path_and_query: &self.asked.path_and_query,
            headers: &all,
            body,
        };
        let (status, headers) = own::look(request, "POST").await?;
        if (200..300).contains(&status) {
            return Ok(Sent::Taken);
        }
        let after = headers.iter().find(|(name, _)| name == "retry-after");
        Ok(Sent::Refused { status, after_ms: after.and_then(|(_, value)| after_ms(value, now)) })
    }

    async fn current(&self, now: Instant) -> Result<Secret, String> {
        let (source, base, kept_ms) = (self.secret.clone(), self.base.clone(), self.secret.kept_ms());
        let read = async move || Ok((secret::apart(move || source.read(&base)).await?, kept_ms));
        self.kept.current(now, read).await.map_err(|none| none.why)
    }
}

/// The three headers that say which message it is, when it was sent and by whom.
pub(super) fn headers(secret: &Secret, id: &str, now: Instant, body: &[u8]) -> Result<Vec<(String, String)>, String> {
    let timestamp = now.0.div_euclid(1_000).to_string();
    let key = key(secret).map_err(|error| error.to_string())?;
    let signature = signature(&key, id, &timestamp, body)?;
    let headers = [(ID, id.to_owned()), (TIMESTAMP, timestamp), (SIGNATURE, signature)];
    Ok(headers.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The key that a secret says.
pub(super) fn key(secret: &Secret) -> Result<Vec<u8>, SecretError> {
    let bytes = secret.text()?.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    bytes.filter(|key| KEY_BYTES.contains(&key.len())).ok_or(SecretError::NoWebhookKey)
}

fn signature(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| format!("it cannot be signed: {error}"))?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// What `retry-after` asks for: seconds, or a date (RFC 9110 10.2.3).
fn after_ms(value: &str, now: Instant) -> Option<i64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(i64::from(seconds).saturating_mul(1_000));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    Some(date.timestamp().as_millisecond().saturating_sub(now.0).max(0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::net::IpAddr;

    use async_trait::async_trait;

    use super::*;

    /// Every name leads to this machine.
    struct Home;

    #[async_trait]
    impl Resolver for Home {
        async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
            Ok(vec!["127.0.0.1".parse().unwrap()])
        }
    }

    /// The vector of the specification's libraries.
    #[test]
    fn a_notice_is_signed_as_the_standard_says() {
        let key = key(&Secret::new(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec())).unwrap();
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_no_key_is_refused_with_a_word_on_how_to_make_one() {
        for wrong in ["s3cret", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let refused = key(&Secret::new(wrong.as_bytes().to_vec())).unwrap_err().to_string();
            assert!(refused.contains("openssl rand -base64 32"), "{refused}");
            assert!(wrong == PREFIX || !refused.contains(wrong), "{refused}");
        }
    }

    #[test]
    fn the_time_to_wait_is_seconds_or_a_date() {
        let now = Instant(784_111_700_000);
        for (value, expected) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(77_000)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            ("-1", None),
            ("99999999999999999999", None),
            ("soon", None),
        ] {
            assert_eq!(after_ms(value, now), expected, "{value}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_into_a_network_nobody_named_is_not_reached() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        // Nobody listens on a port that is free again.
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        for (addresses, why) in [(vec![], "leads to the loopback address"), (vec!["127.0.0.0/8"], "no connection")] {
            let way = WayOfNotices {
                url: format!("http://hooks.example:{free}/a"),
                addresses: addresses.iter().map(|network| network.parse().unwrap()).collect(),
                tls: None,
                secret: SecretSource::File("key".into()),
            };
            let hook = Webhook::open(way, folder.path(), Arc::new(Home)).unwrap();
            let sent = hook.send("msg_1", Instant(0), Vec::new()).await;
            assert!(matches!(&sent, Sent::Failed(found) if found.contains(why)), "{sent:?}");
        }
    }
}

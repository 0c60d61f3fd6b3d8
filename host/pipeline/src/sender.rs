//! Senders: who may send on a channel, and how it is proved.
//!
//! A [`Sender`] is the proof. It comes from [`Senders::authenticate`] and from
//! nowhere else, so an input without an authenticated sender does not compile.
//! Tokens are kept as digests; comparison takes the same time whatever differs.

mod adobe;
mod client_state;
mod public_key;
#[cfg(test)]
mod samples;
mod stripe;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use portreeve_model::{ChannelId, Digest, Instant, SenderId};
use portreeve_registry::file::{self, SMALL_BYTES_MAX};
use sha2::Sha256;
use subtle::ConstantTimeEq;

pub use self::public_key::{KeyProblem, PublicKeyError, PublicKeyFile};
use crate::poll::Poll;

/// Somebody who was authenticated on a channel.
#[derive(Debug)]
pub struct Sender {
    channel: ChannelId,
    id: SenderId,
    /// The person who sends in the sender's place.
    mended_by: Option<String>,
}

impl Sender {
    /// The channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// Who.
    #[must_use]
    pub fn id(&self) -> &SenderId {
        &self.id
    }

    /// The account that sends in the sender's place what it mended.
    #[must_use]
    pub(crate) fn mended_by(&self) -> Option<&str> {
        self.mended_by.as_deref()
    }

    /// A poll of the configuration: the host asks, so what comes is of whoever it asked.
    pub(crate) fn polled(poll: &Poll) -> Self {
        Self { channel: poll.channel.clone(), id: poll.sender(), mended_by: None }
    }

    /// The sender of an input that is on record, for a person who decided about it: what was
    /// proved then is proved still.
    pub(crate) fn on_record(channel: ChannelId, id: SenderId, mended_by: &str) -> Self {
        Self { channel, id, mended_by: Some(mended_by.to_owned()) }
    }
}

/// What a sender shows.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A bearer token.
    Bearer(&'a str),
    /// HMAC-SHA256 over the raw body, hexadecimal.
    Signature {
        /// The signature.
        hex: &'a str,
        /// The bytes as they were received.
        body: &'a [u8],
    },
    /// What the header `Stripe-Signature` says: a time, and HMAC-SHA256 over it and the raw body.
    StripeSignature {
        /// The header's value.
        header: &'a str,
        /// The bytes as they were received.
        body: &'a [u8],
        /// The host's time: a signature of another one counts no more.
        now: Instant,
    },
    /// What the header `x-adobe-commerce-webhook-signature` says: an RSA signature of the base64 of
    /// the raw body.
    AdobeSignature {
        /// The header's value.
        base64: &'a str,
        /// The bytes as they were received.
        body: &'a [u8],
    },
    /// What each notification in the body names as `clientState`.
    ClientState {
        /// The bytes as they were received.
        body: &'a [u8],
    },
    /// Nothing.
    None,
}

/// How a sender proves who it is.
pub enum Proof {
    /// SHA-256 of its token.
    Token(Digest),
    /// The secret that it signs bodies with.
    SignedBody(SigningSecret),
    /// The secret of a webhook endpoint, with which Stripe signs time and body.
    StripeSigned(SigningSecret),
    /// The public key of a shop of Adobe Commerce, which signs its webhooks.
    AdobeSigned(PublicKeyFile),
    /// The secret that a subscription was made with, and each of its notifications names.
    ClientState(SigningSecret),
}

/// A secret that bodies are signed with, as its file has it now: a new one counts from the
/// next input on.
pub struct SigningSecret {
    file: PathBuf,
    bytes_min: usize,
    /// What it was when it could last be read: a file that is just being replaced shuts
    /// nobody out.
    last: Mutex<Vec<u8>>,
}

impl SigningSecret {
    /// The secret in a file, which is this one now.
    #[must_use]
    pub fn new(file: PathBuf, now: Vec<u8>, bytes_min: usize) -> Self {
        Self { file, bytes_min, last: Mutex::new(now) }
    }

    fn current(&self) -> Vec<u8> {
        self.current_where(|_| true)
    }

    /// The same of a subscription's secret.
    fn client_state(&self) -> Vec<u8> {
        self.current_where(is_client_state)
    }

    fn current_where(&self, may_be: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match file::read(&self.file, SMALL_BYTES_MAX) {
            Ok(bytes) if bytes.trim_ascii().len() >= self.bytes_min && may_be(bytes.trim_ascii()) => {
                *last = bytes.trim_ascii().to_vec();
            }
            Ok(_) => tracing::error!(
                "a sender's secret file holds no secret any more: it is too short, or has characters that such a secret may not have; the last one counts, write a secret there again"
            ),
            Err(error) => {
                let error = error.why();
                tracing::error!(error, "a sender's secret file cannot be read; the last one counts");
            }
        }
        last.clone()
    }
}

/// Whether a subscription can have this secret: letters, digits, `-` and `_`. The host writes it into
/// JSON as it is and finds it there to take it out again, so nothing that JSON or a source would write
/// in another way may be in it.
#[must_use]
pub fn is_client_state(secret: &[u8]) -> bool {
    secret.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

/// A sender that is known on a channel.
pub struct KnownSender {
    /// The channel.
    pub channel: ChannelId,
    /// Its name.
    pub id: SenderId,
    /// What it has to show.
    pub proof: Proof,
}

impl std::fmt::Debug for KnownSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownSender").field("channel", &self.channel).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Nobody could be authenticated. Says nothing about which part was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sender could not be authenticated on channel `{channel}`; send the channel's token or body signature")]
pub struct SenderRefused {
    /// The channel, as it was asked for.
    pub channel: String,
}

/// Everybody who may send.
#[derive(Debug, Default)]
pub struct Senders(Vec<KnownSender>);

impl Senders {
    /// Knows these senders and nobody else.
    #[must_use]
    pub fn new(known: Vec<KnownSender>) -> Self {
        Self(known)
    }

    /// Whether somebody on this channel proves itself in the body, so that it has to be read first.
    #[must_use]
    pub fn name_a_client_state(&self, channel: &str) -> bool {
        let mut on_channel = self.0.iter().filter(|known| known.channel.as_str() == channel);
        on_channel.any(|known| matches!(known.proof, Proof::ClientState(_)))
    }

    /// The secret that notifications on a channel name: of this sender, or of the only one that has
    /// one; none where nobody does, or several do and none is named.
    pub(crate) fn client_state(&self, channel: &ChannelId, sender: Option<&SenderId>) -> Option<Vec<u8>> {
        let mut secrets = self.0.iter().filter_map(|known| match &known.proof {
            Proof::ClientState(secret) if known.channel == *channel => Some((&known.id, secret)),
            _ => None,
        });
        let mut wanted = secrets.by_ref().filter(|(id, _)| sender.is_none_or(|sender| *id == sender));
        match (wanted.next(), wanted.next()) {
            (Some((_, secret)), None) => Some(secret.client_state()).filter(|secret| !secret.is_empty()),
            _ => None,
        }
    }

    /// A body without the secret that proved its sender, which is nobody's further on.
    #[must_use]
    pub fn without_secret(&self, sender: &Sender, body: Vec<u8>) -> Vec<u8> {
        let theirs = |known: &&KnownSender| known.channel == sender.channel && known.id == sender.id;
        match self.0.iter().find(theirs).map(|known| &known.proof) {
            Some(Proof::ClientState(secret)) => client_state::without(body, &secret.client_state()),
            _ => body,
        }
    }

    /// Finds out who sends.
    ///
    /// # Errors
    /// [`SenderRefused`] when nobody on that channel matches.
    pub fn authenticate(&self, channel: &str, credential: Credential<'_>) -> Result<Sender, SenderRefused> {
        let mut found = None;
        // All candidates are compared, so that time does not tell how many there are before a match.
        for known in self.0.iter().filter(|known| known.channel.as_str() == channel) {
            if known.proof.matches(credential) {
                found = Some(known);
            }
        }
        match found {
            Some(known) => Ok(Sender { channel: known.channel.clone(), id: known.id.clone(), mended_by: None }),
            None => Err(SenderRefused { channel: channel.chars().take(64).collect() }),
        }
    }
}

/// Nobody is the sender of a file on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocalRefused {
    /// The channel has no sender of that name.
    #[error("channel `{channel}` has no sender{}; its senders are: {known}", .asked.as_ref().map(|id| format!(" `{id}`")).unwrap_or_default())]
    Unknown {
        /// The channel.
        channel: String,
        /// Who was named.
        asked: Option<String>,
        /// Who sends there.
        known: String,
    },
    /// There are several, and none was named.
    #[error("channel `{channel}` has more than one sender; name the one that the files are of: {known}")]
    Several {
        /// The channel.
        channel: String,
        /// Who sends there.
        known: String,
    },
}

impl Senders {
    /// Whose a file is that lies where only the platform team writes: in the data
    /// folder's owner's hands, or in a watched folder of the configuration. The
    /// file system's permissions are the proof; a channel with one sender needs no
    /// name.
    ///
    /// # Errors
    /// When the channel has nobody of that name, or several and none is named.
    pub fn of_local_file(&self, channel: &str, sender: Option<&str>) -> Result<Sender, LocalRefused> {
        let on_channel: Vec<&KnownSender> = self.0.iter().filter(|known| known.channel.as_str() == channel).collect();
        let channel = channel.to_owned();
        let names = || match on_channel.as_slice() {
            [] => "nobody, or there is no such channel".to_owned(),
            some => some.iter().map(|known| format!("`{}`", known.id.as_str())).collect::<Vec<_>>().join(", "),
        };
        let mut wanted = on_channel.iter().filter(|known| sender.is_none_or(|id| known.id.as_str() == id));
        match (wanted.next(), wanted.next()) {
            (Some(known), None) => Ok(Sender { channel: known.channel.clone(), id: known.id.clone(), mended_by: None }),
            (None, _) => Err(LocalRefused::Unknown { channel, asked: sender.map(str::to_owned), known: names() }),
            (Some(_), Some(_)) => Err(LocalRefused::Several { channel, known: names() }),
        }
    }
}

impl Proof {
    fn matches(&self, credential: Credential<'_>) -> bool {
        match (self, credential) {
            (Self::Token(expected), Credential::Bearer(token)) => {
                Digest::of(token.as_bytes()).as_bytes().ct_eq(expected.as_bytes()).into()
            }
            (Self::SignedBody(secret), Credential::Signature { hex, body }) => {
                let secret = secret.current();
                let Ok(signature) = hex::decode(hex) else { return false };
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&secret) else { return false };
                mac.update(body);
                mac.verify_slice(&signature).is_ok()
            }
            (Self::StripeSigned(secret), Credential::StripeSignature { header, body, now }) => {
                stripe::proves(header, body, now, &secret.current())
            }
            (Self::AdobeSigned(key), Credential::AdobeSignature { base64, body }) => adobe::proves(base64, body, key),
            (Self::ClientState(secret), Credential::ClientState { body }) => {
                client_state::proves(body, &secret.client_state())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A file that is not there any more leaves the secret that it had.
    fn secret(file: &str) -> SigningSecret {
        SigningSecret::new(PathBuf::from(file), b"secret".to_vec(), 6)
    }

    fn senders() -> Senders {
        senders_with(secret("there is no such file"))
    }

    fn senders_with(secret: SigningSecret) -> Senders {
        let channel = ChannelId::parse("edi").unwrap();
        Senders::new(vec![
            KnownSender {
                channel: channel.clone(),
                id: SenderId::authenticated("acme"),
                proof: Proof::Token(Digest::of(b"correct")),
            },
            KnownSender { channel, id: SenderId::authenticated("shop"), proof: Proof::SignedBody(secret) },
            KnownSender {
                channel: ChannelId::parse("erp").unwrap(),
                id: SenderId::authenticated("business-central"),
                proof: Proof::ClientState(self::secret("there is no such file")),
            },
            KnownSender {
                channel: ChannelId::parse("payments").unwrap(),
                id: SenderId::authenticated("stripe"),
                proof: Proof::StripeSigned(self::secret("there is no such file")),
            },
        ])
    }

    #[test]
    fn a_token_names_its_sender_on_its_channel_only() {
        assert_eq!(senders().authenticate("edi", Credential::Bearer("correct")).unwrap().id().as_str(), "acme");
        assert!(senders().authenticate("web", Credential::Bearer("correct")).is_err());
        assert!(senders().authenticate("edi", Credential::Bearer("wrong")).is_err());
        assert!(senders().authenticate("edi", Credential::None).is_err());
    }

    #[test]
    fn a_local_file_is_of_a_sender_of_its_channel() {
        assert_eq!(senders().of_local_file("edi", Some("shop")).unwrap().id().as_str(), "shop");
        let error = senders().of_local_file("edi", None).unwrap_err().to_string();
        assert!(error.contains("`acme`, `shop`"), "{error}");
        let error = senders().of_local_file("edi", Some("nobody")).unwrap_err().to_string();
        assert!(error.contains("has no sender `nobody`"), "{error}");
        assert!(senders().of_local_file("web", Some("acme")).is_err());
    }

    fn signature(secret: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(b"{\"a\": 1}");
        hex::encode(mac.finalize().into_bytes())
    }

    #[test]
    fn a_new_secret_counts_from_the_next_input_on_and_a_broken_file_shuts_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let senders = senders_with(secret(file.to_str().unwrap()));
        let takes = |secret: &str| {
            let hex = signature(secret.as_bytes());
            senders.authenticate("edi", Credential::Signature { hex: &hex, body: b"{\"a\": 1}" }).is_ok()
        };
        for (written, counts) in [("secret", "secret"), ("another\n", "another"), ("short", "another"), ("", "another")]
        {
            std::fs::write(&file, written).unwrap();
            for secret in ["secret", "another", "short"] {
                assert_eq!(takes(secret), secret == counts, "{secret} after {written:?}");
            }
        }
        std::fs::remove_file(&file).unwrap();
        assert!(takes("another") && !takes(""));
    }

    #[test]
    fn a_subscriptions_secret_that_json_would_write_in_another_way_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let channel = ChannelId::parse("erp").unwrap();
        let senders = Senders::new(vec![KnownSender {
            channel: channel.clone(),
            id: SenderId::authenticated("business-central"),
            proof: Proof::ClientState(secret(file.to_str().unwrap())),
        }]);
        for (written, counts) in [
            ("another_secret-1\n", "another_secret-1"),
            ("a\"secret", "another_secret-1"),
            ("a+secret", "another_secret-1"),
            ("a/secret", "another_secret-1"),
            ("short", "another_secret-1"),
            ("a-secret", "a-secret"),
        ] {
            std::fs::write(&file, written).unwrap();
            assert_eq!(senders.client_state(&channel, None).unwrap(), counts.as_bytes(), "after {written:?}");
            let body = serde_json::json!({"value": [{"clientState": counts}]}).to_string().into_bytes();
            let sender = senders.authenticate("erp", Credential::ClientState { body: &body }).unwrap();
            let kept = String::from_utf8(senders.without_secret(&sender, body)).unwrap();
            assert!(!kept.contains(counts), "{kept}");
        }
    }

    #[test]
    fn a_signature_of_one_kind_is_none_of_another() {
        let (now, time) = (Instant(1_772_438_400_000), "1772438400");
        let signed = |bytes: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
            mac.update(bytes);
            hex::encode(mac.finalize().into_bytes())
        };
        let header = format!("t={time},v1={}", signed(format!("{time}.body").as_bytes()));
        let stripe = Credential::StripeSignature { header: &header, body: b"body", now };
        assert_eq!(senders().authenticate("payments", stripe).unwrap().id().as_str(), "stripe");
        assert!(senders().authenticate("edi", stripe).is_err());
        let plain = signed(b"body");
        for other in [
            Credential::Signature { hex: &plain, body: b"body" },
            Credential::AdobeSignature { base64: &plain, body: b"body" },
            Credential::Bearer("secret"),
            Credential::None,
        ] {
            assert!(senders().authenticate("payments", other).is_err(), "{other:?}");
        }
        let later = Credential::StripeSignature { header: &header, body: b"body", now: now.plus_ms(300_001) };
        assert!(senders().authenticate("payments", later).is_err());
    }

    #[test]
    fn notifications_prove_their_sender_where_each_of_them_names_its_secret() {
        let named = |body: &str| {
            senders()
                .authenticate("erp", Credential::ClientState { body: body.as_bytes() })
                .map(|sender| String::from_utf8(senders().without_secret(&sender, body.as_bytes().to_vec())).unwrap())
        };
        let body = r#"{"value":[{"clientState":"secret","n":1},{"clientState":"secret"}]}"#;
        assert_eq!(named(body).unwrap(), r#"{"value":[{"clientState":"******","n":1},{"clientState":"******"}]}"#);
        for wrong in [
            r#"{"value":[{"clientState":"secret"},{"clientState":"Secret"}]}"#,
            r#"{"value":[{"clientState":"secret"},{}]}"#,
            r#"{"value":[{"clientState":null}]}"#,
            r#"{"value":[{"clientState":"secre"}]}"#,
            r#"{"value":[{"clientState":"other","clientState":"secret"}]}"#,
            r#"{"value":[]}"#,
            r#"[[{"clientState":"secret"}]]"#,
            "secret",
            "",
        ] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
        assert!(senders().name_a_client_state("erp") && !senders().name_a_client_state("edi"));
        assert!(senders().authenticate("erp", Credential::Bearer("secret")).is_err());
    }

    #[test]
    fn a_signature_is_checked_over_the_raw_bytes() {
        let signature = signature(b"secret");
        let with = |body| Credential::Signature { hex: &signature, body };
        assert_eq!(senders().authenticate("edi", with(b"{\"a\": 1}")).unwrap().id().as_str(), "shop");
        assert!(senders().authenticate("edi", with(b"{\"a\":1}")).is_err());
    }
}

//! OAuth 1.0a with one leg (RFC 5849): each request is signed with what the target's
//! operator gave out once, a consumer's key and secret and a token and its secret. Adobe
//! Commerce on its own machines and NetSuite ask for it.
//!
//! The danger is a text that both sides build for themselves: one escape read in another
//! way, and no request is ever accepted. So it is built from what is sent, byte by byte
//! after section 3.4.1, and tried against the RFC's own examples. What the host signs is
//! the host's word: a guest that brings parameters of the protocol itself is refused,
//! since nobody knows which of two a target takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use portreeve_model::Instant;
use portreeve_sandbox::{EgressRefused, ToSign};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::destination::Origin;
use super::secret::{Secret, SecretError, SecretSource};

/// Everything but what RFC 5849 3.6 leaves as it is.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes of a form whose parameters are signed. In megabytes of `a&a&a` each parameter
/// costs the host fifty times what it costs the guest.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// Random bytes of a nonce: enough that no two are ever the same.
const NONCE_BYTES: usize = 16;

/// What all parameters of the protocol begin with.
const PROTOCOL: &[u8] = b"oauth_";

/// As whom the host signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth1Entry {
    /// Who signs.
    consumer_key: String,
    /// Its secret.
    consumer_secret: SecretSource,
    /// For whom.
    token: String,
    /// The token's secret.
    token_secret: SecretSource,
    /// What the target calls itself, or as with NetSuite the account; none leaves it out.
    realm: Option<String>,
    /// How it is signed.
    #[serde(default)]
    signature_method: SignatureMethod,
    /// Methods that it goes with; empty means all.
    #[serde(default)]
    pub(super) methods: Vec<String>,
}

/// RFC 5849 3.4.2, and the same with the hash function that took its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SignatureMethod {
    #[default]
    HmacSha256,
    /// For targets that know no other. What is weak in SHA-1 are collisions, which an HMAC
    /// does not rest on.
    HmacSha1,
}

impl SignatureMethod {
    fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "HMAC-SHA256",
            Self::HmacSha1 => "HMAC-SHA1",
        }
    }

    fn sign(self, key: &[u8], text: &str) -> String {
        let algorithm = match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        };
        STANDARD.encode(hmac::sign(&hmac::Key::new(algorithm, key), text.as_bytes()))
    }
}

/// What makes a request another one than every earlier one (RFC 5849 3.3).
pub(super) struct Stamp {
    timestamp_s: i64,
    nonce: String,
}

impl Stamp {
    /// # Errors
    /// When the machine has no random numbers.
    pub(super) fn new(now: Instant) -> Result<Self, String> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| format!("the system has no random numbers: {error}"))?;
        Ok(Self { timestamp_s: now.0.div_euclid(1_000), nonce: hex::encode(nonce) })
    }
}

/// What goes with a request.
pub(super) struct Signed {
    /// The value of `authorization`.
    pub(super) header: String,
    /// What of it must not come back: the secrets, and what was made with them.
    pub(super) secrets: Vec<Vec<u8>>,
}

impl Oauth1Entry {
    /// Both secrets, the consumer's first.
    pub(super) fn sources(&self) -> [&SecretSource; 2] {
        [&self.consumer_secret, &self.token_secret]
    }

    /// The key of the HMAC: both secrets in one text (RFC 5849 3.4.2).
    pub(super) fn key(&self, base: &std::path::Path) -> Result<Secret, SecretError> {
        let [consumer, token] = self.sources().map(|source| source.read(base));
        let (consumer, token) = (consumer?, token?);
        // A file of several lines is no secret that anybody gave out.
        let (consumer, token) = (consumer.text()?, token.text()?);
        Ok(Secret::new(format!("{}&{}", escaped(consumer.as_bytes()), escaped(token.as_bytes())).into_bytes()))
    }

    /// Signs a request to this origin.
    ///
    /// # Errors
    /// When the guest's request says what only the host may say.
    pub(super) fn sign(
        &self,
        origin: &Origin,
        request: ToSign<'_>,
        key: &Secret,
        stamp: &Stamp,
    ) -> Result<Signed, EgressRefused> {
        let timestamp = stamp.timestamp_s.to_string();
        let protocol = [
            ("oauth_consumer_key", self.consumer_key.as_str()),
            ("oauth_token", self.token.as_str()),
            ("oauth_signature_method", self.signature_method.name()),
            ("oauth_timestamp", timestamp.as_str()),
            ("oauth_nonce", stamp.nonce.as_str()),
            ("oauth_version", "1.0"),
        ];
        let own = guests_parameters(request)?;
        let text = base_string(request.method, origin, request.path_and_query, &own, &protocol);
        let signature = self.signature_method.sign(key.bytes(), &text);

        let realm = self.realm.iter().map(|realm| format!("realm=\"{realm}\""));
        let said = protocol.into_iter().chain([("oauth_signature", signature.as_str())]);
        let said = said.map(|(name, value)| format!("{name}=\"{}\"", escaped(value.as_bytes())));
        let header = format!("OAuth {}", realm.chain(said).collect::<Vec<_>>().join(", "));

        // Both secrets as they are and as they stand in the key, and the signature in both forms.
        let halves = key.bytes().split(|byte| *byte == b'&');
        let mut secrets: Vec<Vec<u8>> =
            halves.flat_map(|half| [half.to_vec(), percent_decode(half).collect()]).collect();
        secrets.extend([escaped(signature.as_bytes()), signature, header.clone()].map(String::into_bytes));
        Ok(Signed { header, secrets })
    }

    /// What is wrong with it beyond its grammar.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, value) in [("consumer_key", &self.consumer_key), ("token", &self.token)] {
            if value.trim().is_empty() {
                problems.push(format!("`{key}` is empty; write what the target's operator gave out"));
            }
        }
        let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\';
        if self.realm.as_ref().is_some_and(|realm| !realm.bytes().all(plain)) {
            problems.push("`realm` has a quotation mark, a backslash or what is no ASCII text, which a header cannot say; write it without".to_owned());
        }
        problems
    }
}

/// A parameter before it is escaped: names and values need not be text.
type Parameter = (Vec<u8>, Vec<u8>);

/// The parameters of query and form (RFC 5849 3.4.1.3.1); of a body of another type none.
fn guests_parameters(request: ToSign<'_>) -> Result<Vec<Parameter>, EgressRefused> {
    let denied = |why: String| Err(EgressRefused::Denied(why));
    let query = request.path_and_query.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = decoded(query.as_bytes());
    if is_form(request.content_type) {
        if request.body.len() > FORM_BYTES_MAX {
            return denied(format!(
                "the form has {} bytes, and one of more than {FORM_BYTES_MAX} is not signed; send less, or a body of another type",
                request.body.len()
            ));
        }
        parameters.extend(decoded(request.body));
    }
    if parameters.iter().any(|(name, _)| name.starts_with(PROTOCOL)) {
        return denied("the request has a parameter `oauth_…`; credentials are the host's, so leave it out".to_owned());
    }
    Ok(parameters)
}

/// Whether a media type, whatever its parameters, is that of forms.
fn is_form(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Names and values out of a query or form: a plus is a space there.
fn decoded(form: &[u8]) -> Vec<Parameter> {
    let decoded = |part: &[u8]| {
        let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&spaced).collect()
    };
    let pairs = form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            (decoded(parts.next().unwrap_or_default()), decoded(parts.next().unwrap_or_default()))
        })
        .collect()
}

/// The text that is signed (RFC 5849 3.4.1): the method, the URL without its query, and
/// all parameters escaped, sorted by name and then by value, and escaped once more.
fn base_string(
    method: &str,
    origin: &Origin,
    path_and_query: &str,
    own: &[Parameter],
    protocol: &[(&str, &str)],
) -> String {
    let path = path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path);
    let own = own.iter().map(|(name, value)| (escaped(name), escaped(value)));
    let protocol = protocol.iter().map(|(name, value)| (escaped(name.as_bytes()), escaped(value.as_bytes())));
    let mut all: Vec<(String, String)> = own.chain(protocol).collect();
    all.sort();
    let all: Vec<String> = all.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let url = format!("{origin}{path}");
    format!("{}&{}&{}", method.to_ascii_uppercase(), escaped(url.as_bytes()), escaped(all.join("&").as_bytes()))
}

fn escaped(bytes: &[u8]) -> String {
    percent_encode(bytes, &ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    /// What the RFC's examples sign with, in its order.
    fn example(token: &'static str, consumer: &'static str, time: &'static str, nonce: &'static str) -> Protocol {
        [
            ("oauth_consumer_key", consumer),
            ("oauth_token", token),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", time),
            ("oauth_nonce", nonce),
        ]
    }

    type Protocol = [(&'static str, &'static str); 5];

    fn to_sign<'a>(method: &'a str, path_and_query: &'a str, form: Option<&'a str>) -> ToSign<'a> {
        ToSign {
            method,
            authority: "example.com",
            path_and_query,
            content_type: form.map(|_| "application/x-www-form-urlencoded"),
            body: form.unwrap_or_default().as_bytes(),
        }
    }

    fn base(origin: &str, request: ToSign<'_>, protocol: &[(&str, &str)]) -> String {
        let own = guests_parameters(request).unwrap();
        base_string(request.method, &Origin::parse(origin).unwrap(), request.path_and_query, &own, protocol)
    }

    #[test]
    fn the_rfcs_example_of_a_base_string_comes_out_byte_by_byte() {
        // RFC 5849 3.4.1.1, its parameters in 3.4.1.3.1.
        let request = to_sign("POST", "/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b", Some("c2&a3=2+q"));
        let protocol = example("kkk9d7dh3k39sjv7", "9djdj82h48djs9d2", "137131201", "7d8f3e4a");
        let text = base("http://example.com", request, &protocol);
        assert_eq!(
            text,
            "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D\
             %26c2%3D%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1\
             %26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
        );
        // Not the one that the RFC prints, which does not follow from its own text: this one was
        // computed with Python's `hmac` from this base string and both secrets.
        let signature = SignatureMethod::HmacSha1.sign(b"j49sk3j29djd&dh893hdasih9", &text);
        assert_eq!(signature, "r6/TJjbCOr97/+UU0NsvSne7s5g=");
    }

    #[test]
    fn the_rfcs_example_of_a_signed_request_has_its_signature() {
        // RFC 5849 1.2, the last request.
        let protocol = example("nnch734d00sl2jdk", "dpf43f3p2l4k3l03", "137131202", "chapoH");
        let request = to_sign("GET", "/photos?file=vacation.jpg&size=original", None);
        let text = base("http://photos.example.net", request, &protocol);
        let signature = SignatureMethod::HmacSha1.sign(b"kd94hf93k423kf44&pfkkdhi9sl3r4s00", &text);
        assert_eq!(signature, "MdpQcU8iPSUjWoN/UDMsK2sui9I=");
    }

    #[test]
    fn the_url_is_that_which_is_sent_without_the_schemes_own_port() {
        // RFC 5849 3.4.1.2.
        for (origin, path, url) in [
            ("http://EXAMPLE.COM:80", "/r%20v/X?id=123", "http%3A%2F%2Fexample.com%2Fr%2520v%2FX"),
            ("https://www.example.net:8080", "/?q=1", "https%3A%2F%2Fwww.example.net%3A8080%2F"),
            ("https://example.com:443", "/", "https%3A%2F%2Fexample.com%2F"),
        ] {
            assert!(base(origin, to_sign("GET", path, None), &[]).starts_with(&format!("GET&{url}&")), "{origin}");
        }
    }

    fn entry(more: &str) -> Result<Oauth1Entry, serde_json::Error> {
        serde_json::from_str(&format!(
            r#"{{"consumer_key": "our key", "consumer_secret": {{"file": "consumer"}}, "token": "our/token",
                 "token_secret": {{"file": "token"}}{more}}}"#
        ))
    }

    #[test]
    fn a_request_is_signed_with_both_secrets_and_the_header_says_how() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("consumer"), "a consumer's&secret\n").unwrap();
        std::fs::write(folder.path().join("token"), "a-token's-secret").unwrap();
        let entry = entry(r#", "realm": "1234567_SB1""#).unwrap();
        assert!(entry.problems().is_empty());
        let key = entry.key(folder.path()).unwrap();
        let stamp = Stamp { timestamp_s: 1_775_000_000, nonce: "00112233445566778899aabbccddeeff".to_owned() };
        let request = to_sign("POST", "/rest/V1/orders?b=%C3%BC+x&a=~1", Some("status=done"));
        let origin = Origin::parse("https://shop.example:8443").unwrap();
        let signed = entry.sign(&origin, request, &key, &stamp).unwrap();

        // Made with Python's `hmac`, `hashlib` and `urllib.parse.quote(…, safe="~")`: quote both
        // secrets and join them by `&` for the key; quote names and values, sort the pairs, join
        // them by `=` and `&`, quote that, and join it by `&` to `POST` and the quoted URL;
        // `base64.b64encode(hmac.digest(key, text, "sha256"))`.
        let signature = "hnb3B16hvcFC9v5qmDiKE1SL3/afc5qLuHkcUpexNNk=";
        assert_eq!(
            signed.header,
            format!(
                "OAuth realm=\"1234567_SB1\", oauth_consumer_key=\"our%20key\", oauth_token=\"our%2Ftoken\", \
                 oauth_signature_method=\"HMAC-SHA256\", oauth_timestamp=\"1775000000\", \
                 oauth_nonce=\"00112233445566778899aabbccddeeff\", oauth_version=\"1.0\", oauth_signature=\"{}\"",
                escaped(signature.as_bytes())
            )
        );
        for hidden in ["a consumer's&secret", "a%20consumer%27s%26secret", "a-token's-secret", signature] {
            assert!(signed.secrets.contains(&hidden.as_bytes().to_vec()), "{hidden}");
        }
    }

    #[test]
    fn a_body_counts_only_as_a_form_and_a_form_only_up_to_its_limit() {
        let body = |content_type, body| ToSign { content_type, body, ..to_sign("POST", "/", None) };
        let count = |request| guests_parameters(request).map(|parameters| parameters.len());
        let form = b"a=1&&b=2".as_slice();
        assert_eq!(count(body(Some("application/x-www-form-urlencoded"), form)), Ok(2));
        assert_eq!(count(body(Some("Application/X-WWW-Form-urlencoded; charset=utf-8"), form)), Ok(2));
        for other in [None, Some("application/json"), Some("multipart/form-data"), Some("text/plain")] {
            assert_eq!(count(body(other, form)), Ok(0), "{other:?}");
        }
        let long = vec![b'a'; FORM_BYTES_MAX + 1];
        let within = long.split_last().unwrap().1;
        assert_eq!(count(body(Some("application/x-www-form-urlencoded"), within)), Ok(1));
        let refused = count(body(Some("application/x-www-form-urlencoded"), &long)).unwrap_err().to_string();
        assert!(refused.contains("65537 bytes") && refused.contains("is not signed"), "{refused}");
        assert_eq!(count(body(Some("application/json"), &long)), Ok(0));
    }

    #[test]
    fn a_guest_that_speaks_of_the_protocol_itself_is_refused() {
        for (path, form) in [
            ("/?oauth_token=mine", None),
            ("/?%6Fauth_nonce=again", None),
            ("/", Some("a=1&oauth_signature=forged")),
            ("/?oauth_", Some("")),
        ] {
            let refused = guests_parameters(to_sign("POST", path, form)).unwrap_err();
            assert!(matches!(&refused, EgressRefused::Denied(why) if why.contains("leave it out")), "{path}");
        }
        assert!(guests_parameters(to_sign("POST", "/oauth_/?a=oauth_", None)).is_ok());
    }

    #[test]
    fn no_two_requests_have_the_same_nonce() {
        let nonce = || Stamp::new(Instant(1_500)).unwrap().nonce;
        assert_ne!(nonce(), nonce());
        assert_eq!(nonce().len(), 2 * NONCE_BYTES);
        assert_eq!(Stamp::new(Instant(1_999)).unwrap().timestamp_s, 1, "seconds, begun ones left out");
    }

    #[test]
    fn what_no_header_can_say_is_named() {
        for more in [r#", "realm": "a\"b""#, r#", "realm": "ü""#] {
            let problems = entry(more).unwrap().problems();
            assert!(problems.len() == 1 && problems.concat().contains("`realm`"), "{problems:?}");
        }
        let empty =
            r#"{"consumer_key": " ", "consumer_secret": {"env": "A"}, "token": "", "token_secret": {"env": "B"}}"#;
        let empty: Oauth1Entry = serde_json::from_str(empty).unwrap();
        assert_eq!(empty.problems().len(), 2, "{:?}", empty.problems());
        for wrong in [r#", "signature_method": "plaintext""#, r#", "nonce": "1""#] {
            entry(wrong).unwrap_err();
        }
    }

    proptest! {
        /// A target sorts by itself, so the order in which a guest writes its parameters must not count.
        #[test]
        fn the_base_string_is_the_same_for_any_order_of_the_parameters(
            pairs in proptest::collection::vec(("[a-c%+ =]{0,3}", "[a-c&~ü]{0,3}"), 0..8),
            turn in 0_usize..8,
            in_form in 0_usize..8,
        ) {
            let written = |pairs: &[(String, String)]| {
                let pairs = pairs.iter().map(|(name, value)| format!("{}={}", escaped(name.as_bytes()), escaped(value.as_bytes())));
                pairs.collect::<Vec<_>>().join("&")
            };
            let protocol = example("token", "key", "1", "nonce");
            let signed = |query: &[(String, String)], form: &[(String, String)]| {
                let (path, form) = (format!("/a?{}", written(query)), written(form));
                base("https://example.com", to_sign("POST", &path, Some(&form)), &protocol)
            };
            let first = signed(&pairs, &[]);
            let mut turned = pairs.clone();
            turned.rotate_left(turn.min(pairs.len()));
            prop_assert_eq!(&signed(&turned, &[]), &first);
            turned.reverse();
            prop_assert_eq!(&signed(&turned, &[]), &first);
            // Query and form are one list.
            let (form, query) = turned.split_at(in_form.min(turned.len()));
            prop_assert_eq!(&signed(query, form), &first);
        }
    }
}

//! The header `Stripe-Signature`, by which a payment processor proves its events.
//!
//! ```text
//! t=1772438400,v1=5257a869…,v1=0f3c22d1…,v0=6ffbb59b…
//! ```
//!
//! `v1` is HMAC-SHA256, in hexadecimal, over the time as it is written, a point and the raw
//! body, under the endpoint's secret as it is written: nothing of `whsec_…` is decoded. While
//! a secret is rolled there is one `v1` for each of the two, and any one counts. Another
//! scheme never counts, however right it is: whoever could choose the scheme would choose
//! the weakest.
//!
//! The time is under the signature, because somebody who keeps a delivery could else send it
//! again for ever (docs.stripe.com/webhooks, "Verify webhook signatures manually").

use hmac::{Hmac, KeyInit, Mac};
use portreeve_model::Instant;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// How far the signed time may be from the host's clock, on either side: a time to come
/// would be a delivery that somebody can keep for longer.
const TOLERANCE_MS: u64 = 5 * 60 * 1_000;

/// Signatures of a header. A rolled secret has two; each of a long list would be compared.
const SIGNATURES_MAX: usize = 16;

/// Digits of a time in seconds. More would not fit, or be a time that nobody signs.
const TIME_DIGITS_MAX: usize = 12;

/// Whether a header proves a body, now.
pub(super) fn proves(header: &str, body: &[u8], now: Instant, secret: &[u8]) -> bool {
    let Some(signed) = Signed::parse(header) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(signed.time.as_bytes());
    mac.update(b".");
    mac.update(body);
    let expected = mac.finalize().into_bytes();
    // All are compared, so that time does not tell which one counts.
    let none = Choice::from(0);
    let counts =
        signed.signatures.iter().fold(none, |counts, found| counts | found.as_slice().ct_eq(expected.as_slice()));
    bool::from(counts) && now.0.abs_diff(signed.at_ms) <= TOLERANCE_MS
}

/// What a header says.
struct Signed<'a> {
    /// As it is written, for so it is signed.
    time: &'a str,
    at_ms: i64,
    signatures: Vec<Vec<u8>>,
}

impl<'a> Signed<'a> {
    /// One time and at least one signature; of anything else nobody knows what was meant.
    fn parse(header: &'a str) -> Option<Self> {
        let (mut times, mut signatures) = (Vec::new(), Vec::new());
        for part in header.split(',') {
            match part.trim().split_once('=')? {
                ("t", time) => times.push(time),
                ("v1", signature) if signatures.len() < SIGNATURES_MAX => signatures.push(hex::decode(signature).ok()?),
                ("v1", _) => return None,
                _ => {}
            }
        }
        let &[time] = times.as_slice() else { return None };
        let is_time = (1..=TIME_DIGITS_MAX).contains(&time.len()) && time.bytes().all(|byte| byte.is_ascii_digit());
        let at_ms = time.parse::<i64>().ok().filter(|_| is_time)?.checked_mul(1_000)?;
        (!signatures.is_empty()).then_some(Self { time, at_ms, signatures })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const SECRET: &[u8] = b"whsec_of-the-tests";
    const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;
    const AT_S: i64 = 1_772_438_400;
    const NOW: Instant = Instant(AT_S * 1_000);

    fn hmac(secret: &[u8], time: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(&[time.as_bytes(), b".", body].concat());
        hex::encode(mac.finalize().into_bytes())
    }

    fn signature() -> String {
        hmac(SECRET, &AT_S.to_string(), BODY)
    }

    fn proven(header: &str) -> bool {
        proves(header, BODY, NOW, SECRET)
    }

    #[test]
    fn the_hmac_of_time_point_and_body_under_the_secret_as_it_is_written_proves_a_body() {
        // Computed by another program: `openssl dgst -sha256 -hmac` of the same bytes.
        let known = "a1cff5f05d61fd6aec3edca390c6cfa811b3332cb0bd06a126237b26949c3bc0";
        assert_eq!(signature(), known);
        assert!(!proven(&format!("t={AT_S},v1={}", known.get(..32).unwrap())), "half a signature is none");
        assert!(proven(&format!("t={AT_S},v1={}", signature())));
        assert!(proven(&format!("t={AT_S}, v1={},v0=ab", signature().to_uppercase())));
    }

    #[test]
    fn another_secret_or_a_body_that_differs_by_a_byte_proves_nothing() {
        let header = format!("t={AT_S},v1={}", signature());
        assert!(!proves(&header, BODY, NOW, b"whsec_of-the-test"));
        for index in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body.iter_mut().skip(index).take(1).for_each(|byte| *byte ^= 1);
            assert!(!proves(&header, &body, NOW, SECRET), "{index}");
        }
        assert!(!proves(&header, &[BODY, b"\n"].concat(), NOW, SECRET));
    }

    #[test]
    fn a_signature_is_of_its_time_and_counts_for_five_minutes_on_either_side() {
        for (seconds, counts) in [(0, true), (300, true), (301, false), (-300, true), (-301, false), (86_400, false)] {
            let time = (AT_S + seconds).to_string();
            assert_eq!(proven(&format!("t={time},v1={}", hmac(SECRET, &time, BODY))), counts, "{seconds}");
        }
        assert!(!proven(&format!("t={},v1={}", AT_S + 1, signature())), "another time than the signed one");
        let header = format!("t={AT_S},v1={}", signature());
        assert!(!proves(&header, BODY, Instant(NOW.0 + 300_001), SECRET), "sent again later");
    }

    #[test]
    fn any_one_of_several_signatures_counts_and_no_other_scheme_does() {
        let (right, wrong) = (signature(), hmac(b"whsec_the-new-one", &AT_S.to_string(), BODY));
        assert!(proven(&format!("t={AT_S},v1={wrong},v1={right}")));
        assert!(proven(&format!("t={AT_S},v1={right},v1={wrong}")));
        assert!(!proven(&format!("t={AT_S},v1={wrong},v1={wrong}")));
        assert!(!proven(&format!("t={AT_S},v0={right}")), "a right v0");
        assert!(!proven(&format!("t={AT_S},v0={right},v1={wrong}")));
        let many = |count| format!("t={AT_S}{},v1={right}", format!(",v1={wrong}").repeat(count));
        assert!(proven(&many(SIGNATURES_MAX - 1)) && !proven(&many(SIGNATURES_MAX)));
    }

    #[test]
    fn a_header_that_says_something_else_proves_nothing() {
        let right = signature();
        for header in [
            String::new(),
            ",".to_owned(),
            right.clone(),
            format!("v1={right}"),
            format!("t=,v1={right}"),
            format!("t={AT_S}"),
            format!("t={AT_S},v1="),
            format!("t={AT_S},v1={right}0"),
            format!("t={AT_S},v1={right},v1=xyz"),
            format!("t={AT_S},v1"),
            format!("t={AT_S},t={AT_S},v1={right}"),
            format!("t=+{AT_S},v1={right}"),
            format!("t={AT_S}.0,v1={right}"),
            format!("t=99999999999999999999,v1={right}"),
            format!("t=999999999999,v1={right}"),
        ] {
            assert!(!proven(&header), "{header}");
        }
    }
}

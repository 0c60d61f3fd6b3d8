//! Canonical JSON (RFC 8785): one value, one sequence of bytes.
//!
//! Danger: RFC 8785 writes every number as a double. Two 64-bit integers that
//! differ in the last digit then have the same bytes, and one digest stands for
//! two records. So numbers that a double cannot hold exactly, and all numbers
//! with a fraction, are refused; 64-bit integers travel as decimal text
//! (`portreeve_model::value::text`).

mod exact;

use portreeve_model::Digest;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The largest integer magnitude that is written as a number: 2^53 − 1, the last
/// one that RFC 8785's double-precision numbers keep apart from its neighbours.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a record cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The value has no JSON form.
    #[error("a record has no canonical form: {0}")]
    Unserialisable(String),
    /// A number that other readers of JSON would round.
    #[error("the number {found} at `{place}` is not an integer of at most 2^53 - 1; write it as text")]
    InexactNumber {
        /// The number.
        found: String,
        /// Where it is: names and indexes, joined by dots.
        place: String,
    },
    /// A leaf over [`crate::LEAF_BYTES_MAX`].
    #[error("an audit leaf has {found_bytes} bytes; at most {allowed_bytes} are allowed")]
    LeafTooLarge {
        /// Its canonical size in bytes.
        found_bytes: usize,
        /// The limit in bytes.
        allowed_bytes: usize,
    },
    /// The bytes are no record of the expected kind.
    #[error("the bytes are no record that this version reads: {0}")]
    Unreadable(String),
    /// The same record has other canonical bytes.
    #[error("the bytes are not the canonical form of their record; they differ from it at byte {at}")]
    NotCanonical {
        /// Offset in bytes of the first difference.
        at: usize,
    },
    /// A record of a later version.
    #[error("the record has version {found}; this program reads version {expected}, use a newer one")]
    UnknownVersion {
        /// The version in the record.
        found: u32,
        /// The version that is written and read here.
        expected: u32,
    },
}

/// The RFC 8785 bytes of a value.
///
/// # Errors
/// When the value has no JSON form, an object has a key twice, or a number is
/// not an integer of at most [`INTEGER_MAX`] in magnitude.
pub fn canonical_json(value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    let unserialisable = |error: serde_json::Error| RecordError::Unserialisable(error.to_string());
    if !exact::is_exact(value) {
        // A tree shows where, and the numbers as they were before rounding.
        let tree = serde_json::to_value(value).map_err(unserialisable)?;
        refuse_inexact_numbers(&tree, "")?;
    }
    serde_json_canonicalizer::to_vec(value).map_err(unserialisable)
}

/// The SHA-256 of the canonical bytes of a value.
///
/// # Errors
/// Those of [`canonical_json`].
pub fn canonical_digest(value: &impl Serialize) -> Result<Digest, RecordError> {
    Ok(Digest::of(&canonical_json(value)?))
}

/// Reads a value and insists that the bytes are its canonical form, so that no
/// two different files mean the same record.
///
/// # Errors
/// When the bytes are not this kind of value, or not its canonical form.
pub fn parse_canonical<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let value: T = serde_json::from_slice(bytes).map_err(|error| RecordError::Unreadable(error.to_string()))?;
    let canonical = canonical_json(&value)?;
    if canonical == bytes {
        return Ok(value);
    }
    let at = canonical.iter().zip(bytes).take_while(|(expected, found)| expected == found).count();
    Err(RecordError::NotCanonical { at })
}

fn refuse_inexact_numbers(value: &Value, place: &str) -> Result<(), RecordError> {
    match value {
        Value::Number(number) if !is_exact(number) => Err(RecordError::InexactNumber {
            found: number.to_string(),
            place: place.trim_start_matches('.').to_owned(),
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| refuse_inexact_numbers(item, &format!("{place}.{index}"))),
        Value::Object(members) => {
            members.iter().try_for_each(|(name, member)| refuse_inexact_numbers(member, &format!("{place}.{name}")))
        }
        Value::Number(_) | Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn is_exact(number: &serde_json::Number) -> bool {
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    magnitude.is_some_and(|magnitude| magnitude <= INTEGER_MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sorts_names_and_leaves_no_space() {
        let value = serde_json::json!({"b": [1, true, null], "a": {"€": "\u{7}", "A": "ü"}});
        let bytes = canonical_json(&value).unwrap();
        let expected = "{\"a\":{\"A\":\"ü\",\"€\":\"\\u0007\"},\"b\":[1,true,null]}";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn refuses_a_number_that_a_double_would_round() {
        for (value, refused) in [
            (serde_json::json!(INTEGER_MAX), false),
            (serde_json::json!(-9_007_199_254_740_991_i64), false),
            (serde_json::json!(INTEGER_MAX + 1), true),
            (serde_json::json!(i64::MIN), true),
            (serde_json::json!(1.0), true),
            (serde_json::json!(0.1), true),
        ] {
            let found = canonical_json(&serde_json::json!({"lines": [{"amount": value}]}));
            assert_eq!(found.is_err(), refused, "{found:?}");
            if let Err(RecordError::InexactNumber { place, .. }) = found {
                assert_eq!(place, "lines.0.amount");
            }
        }
    }

    #[test]
    fn refuses_an_inexact_number_wherever_it_is() {
        #[derive(Serialize)]
        enum Case {
            Unit,
            One(u64),
            Two(i64, u128),
            Named { value: Option<u64> },
        }
        #[derive(Serialize)]
        struct Fraction(f64);
        let (largest, beyond) = (INTEGER_MAX, INTEGER_MAX + 1);
        let fine = (Case::Unit, Case::One(largest), Case::Two(-1, 7), Case::Named { value: None }, [Some(largest)]);
        canonical_json(&fine).unwrap();
        let too_far = -i64::try_from(beyond).unwrap();
        let raw = serde_json::value::RawValue::from_string("[0.5]".to_owned()).unwrap();
        let refused = [
            canonical_json(&Case::One(beyond)),
            canonical_json(&Case::Two(too_far, 0)),
            canonical_json(&Case::Two(0, u128::from(beyond))),
            canonical_json(&Case::Named { value: Some(beyond) }),
            canonical_json(&BTreeMap::from([("a", vec![(1_u8, beyond)])])),
            canonical_json(&Fraction(1.0)),
            canonical_json(&raw),
        ];
        for found in refused {
            assert!(matches!(found, Err(RecordError::InexactNumber { .. })), "{found:?}");
        }
    }

    #[test]
    fn reads_only_the_canonical_bytes() {
        type Map = BTreeMap<String, u32>;
        assert_eq!(parse_canonical::<Map>(br#"{"a":1,"b":2}"#).unwrap().len(), 2);
        let spaced = parse_canonical::<Map>(br#"{"a":1, "b":2}"#);
        assert_eq!(spaced.unwrap_err(), RecordError::NotCanonical { at: 7 });
        assert!(parse_canonical::<Map>(br#"{"b":2,"a":1}"#).is_err());
        assert!(parse_canonical::<Map>(br#"{"a":1,"a":1}"#).is_err());
    }
}

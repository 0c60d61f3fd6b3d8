//! Canonical JSON (RFC 8785): one value, one sequence of bytes.
//!
//! Danger: RFC 8785 writes every number as a double. Two 64-bit integers that
//! differ in the last digit then have the same bytes, and one digest stands for
//! two records. So numbers that a double cannot hold exactly, and all numbers
//! with a fraction, are refused; 64-bit integers travel as decimal text
//! (`portreeve_model::value::text`).

mod direct;

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
    if let Some(bytes) = direct::written(value) {
        return Ok(bytes);
    }
    let unserialisable = |error: serde_json::Error| RecordError::Unserialisable(error.to_string());
    // A tree shows where, and the numbers as they were before rounding.
    let tree = serde_json::to_value(value).map_err(unserialisable)?;
    refuse_inexact_numbers(&tree, "")?;
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

/// Reads those members of a record that `T` has, and skips the others. For whoever reads often what
/// this host sealed: that it is unchanged follows from its seal, and whether it is canonical from
/// who wrote it, so nothing is written again to be compared.
///
/// # Errors
/// When the bytes are no such record.
pub fn read_members<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(|error| RecordError::Unreadable(error.to_string()))
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

    use proptest::prelude::*;

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

    /// Texts of several blocks of bytes, of which few have to be escaped.
    fn rarely_special() -> impl Strategy<Value = String> {
        "([a-zé]{0,20}[\\x00-\\x22\\\\]?){0,4}"
    }

    /// Values that records are made of, and some that they are not.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-9_i64..9).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
            "[\\x00-\\x22\\\\é\u{ffff}\u{10000}]{0,6}".prop_map(Value::from),
            rarely_special().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-d]{1,2}|[\\x1f\"é\u{ffff}\u{10000}]{1,2}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Members in the order in which they are given, as a struct has them.
    struct Given(Vec<(String, Value)>);

    impl Serialize for Given {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
        }
    }

    /// What writes itself as a text.
    struct Shown(String);

    impl Serialize for Shown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&self.0)
        }
    }

    proptest! {
        #[test]
        fn what_shows_itself_is_written_as_its_text_is(text in rarely_special()) {
            let shown = direct::written(&[Shown(text.clone())]).unwrap();
            prop_assert_eq!(shown, serde_json_canonicalizer::to_vec(&[text]).unwrap());
        }

        #[test]
        fn what_is_written_in_one_pass_is_what_the_library_writes(value in any_value()) {
            if let Some(bytes) = direct::written(&value) {
                let expected = serde_json_canonicalizer::to_vec(&value).unwrap();
                prop_assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&expected));
            }
        }

        #[test]
        fn members_are_put_in_order_and_a_name_twice_is_refused(
            members in prop::collection::vec(("[a-e]{1,2}", any_value()), 0..8)
        ) {
            let names: std::collections::BTreeSet<_> = members.iter().map(|(name, _)| name.clone()).collect();
            let twice = names.len() < members.len();
            let given = Given(members);
            match direct::written(&given) {
                Some(bytes) => {
                    prop_assert!(!twice);
                    prop_assert_eq!(bytes, serde_json_canonicalizer::to_vec(&given).unwrap());
                }
                None => prop_assert!(!twice || canonical_json(&given).is_err()),
            }
        }
    }

    #[test]
    fn what_records_are_made_of_is_written_in_one_pass() {
        #[derive(Serialize)]
        #[serde(tag = "kind")]
        enum Tagged {
            Last { zebra: u32, ant: Option<i64>, list: Vec<(bool, char)> },
        }
        let value = Tagged::Last { zebra: 1, ant: Some(-5), list: vec![(true, '"'), (false, 'ü')] };
        let bytes = direct::written(&value).unwrap();
        let expected = "{\"ant\":-5,\"kind\":\"Last\",\"list\":[[true,\"\\\"\"],[false,\"ü\"]],\"zebra\":1}";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
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

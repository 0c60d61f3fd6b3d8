//! Single values, each checked against what the contract promises of it.
//!
//! The host refuses a whole result of which one text is too long, and counts it as the
//! plugin's failure. But a sender chose the text: so it is refused here, as the sender's,
//! at its place. What is found is never quoted, since it may be about somebody.

use std::cmp::Ordering;
use std::fmt;

use portreeve_sdk::money;
use portreeve_sdk::types::{self, Decimal, Quantity};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::{moment, object};

/// Bytes of an identifier, of a unit's code and of any other text: the contract's limits,
/// beyond which the host takes nothing of the event.
const IDENTIFIER_BYTES_MAX: usize = 256;
const UNIT_BYTES_MAX: usize = 64;
const TEXT_BYTES_MAX: usize = 4096;

/// What is read as JSON and is a value of the contract.
pub trait Canonical {
    /// The contract's type.
    type Of;

    /// The value as the contract has it.
    fn canonical(self) -> Self::Of;
}

impl<T: Canonical> Canonical for Option<T> {
    type Of = Option<T::Of>;

    fn canonical(self) -> Option<T::Of> {
        self.map(T::canonical)
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    type Of = Vec<T::Of>;

    fn canonical(self) -> Vec<T::Of> {
        self.into_iter().map(T::canonical).collect()
    }
}

/// Reads a value out of a text (`F` is `str`) or a number (`u64`), and refuses what is
/// the other one.
#[derive(Debug)]
pub struct Reading<F: ?Sized, T> {
    /// What should be there.
    pub expected: &'static str,
    /// The value, or none where this is another text or number.
    pub read: fn(&F) -> Option<T>,
}

impl<T> Visitor<'_> for Reading<str, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| E::invalid_value(Unexpected::Other("another text"), &self))
    }
}

impl<T> Visitor<'_> for Reading<u64, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        (self.read)(&number).ok_or_else(|| E::invalid_value(Unexpected::Other("another number"), &self))
    }
}

/// A value, what it is to the contract, and how it is read out of a text or a whole number.
#[macro_export]
macro_rules! written {
    ($(#[$doc:meta])* $vis:vis $name:ident, $from:ty => $of:ty, $expected:expr, $read:expr) => {
        $(#[$doc])*
        $vis struct $name($of);

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let reading: $crate::value::Reading<$from, $of> =
                    $crate::value::Reading { expected: $expected, read: $read };
                deserializer.deserialize_any(reading).map(Self)
            }
        }

        impl $crate::value::Canonical for $name {
            type Of = $of;

            fn canonical(self) -> $of {
                self.0
            }
        }
    };
}

/// A word out of a closed list.
#[macro_export]
macro_rules! word {
    ($name:ident => $of:ty { $($word:literal => $case:ident),* $(,)? }) => {
        $crate::written!(pub(crate) $name, str => $of, concat!("one of" $(, " `", $word, "`")*), |word| match word {
            $($word => Some(<$of>::$case),)*
            _ => None,
        });
    };
}

written!(
    /// What names something.
    #[derive(Debug)]
    pub Identifier,
    str => String,
    "an identifier: a text of 1 to 256 bytes without control characters",
    |text| names_one(text, IDENTIFIER_BYTES_MAX)
);

written!(
    /// The code of a unit of measure, kept as it is.
    #[derive(Debug)]
    pub UnitCode,
    str => String,
    "the code of a unit such as `EA`: a text of 1 to 64 bytes without control characters",
    |text| names_one(text, UNIT_BYTES_MAX)
);

written!(
    /// Words for people.
    #[derive(Debug)]
    pub Text,
    str => String,
    "a text of at most 4096 bytes",
    |text| (text.len() <= TEXT_BYTES_MAX).then(|| text.to_owned())
);

written!(
    /// A country.
    #[derive(Debug)]
    pub Country,
    str => String,
    "a country: two upper-case letters of ISO 3166-1",
    |text| (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())).then(|| text.to_owned())
);

written!(
    /// A time of RFC 3339, in milliseconds since 1970.
    #[derive(Debug)]
    pub Moment,
    str => i64,
    "a time of RFC 3339 such as `2026-03-02T15:30:00Z`",
    moment::parse
);

/// A decimal number, read from its digits.
macro_rules! exact {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $takes:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Decimal);

        impl $name {
            /// So much of a unit.
            #[must_use]
            pub fn of(&self, unit: &str) -> Quantity {
                Quantity { value: self.0.units, scale: self.0.scale, unit: unit.to_owned() }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = <&RawValue>::deserialize(deserializer)?;
                let takes: fn(&Decimal) -> bool = $takes;
                digits(raw.get(), $expected, takes).map(Self)
            }
        }
    };
}

exact!(
    /// How much of something, nothing as well.
    Amount,
    "a number of 0 or more in digits, such as `4` or `2.50`, of at most 9 decimal places",
    |decimal| decimal.units >= 0
);

exact!(
    /// How much of something that has to be there.
    PositiveAmount,
    "a number above 0 in digits, such as `4` or `2.50`, of at most 9 decimal places",
    |decimal| decimal.units > 0
);

fn digits<E: Error>(token: &str, expected: &'static str, takes: fn(&Decimal) -> bool) -> Result<Decimal, E> {
    let found = match token.bytes().next() {
        Some(b'"') => Unexpected::Str(""),
        Some(b'{') => Unexpected::Map,
        Some(b'[') => Unexpected::Seq,
        Some(b't' | b'f') => Unexpected::Bool(true),
        Some(b'n') => Unexpected::Unit,
        _ => {
            let decimal = money::decimal(token).ok().filter(takes);
            return decimal.ok_or_else(|| E::invalid_value(Unexpected::Other("another number"), &expected));
        }
    };
    Err(E::invalid_type(found, &expected))
}

object!(
    /// A postal address, whose members are those of the contract.
    #[derive(Debug)]
    pub Address,
    "an address: an object" {
        id: Option<Identifier>,
        name: Option<Text>,
        #[serde(default)]
        lines: Vec<Text>,
        city: Option<Text>,
        region: Option<Text>,
        postal_code: Option<Text>,
        country: Option<Country>,
    }
);

impl Canonical for Address {
    type Of = types::Address;

    fn canonical(self) -> types::Address {
        types::Address {
            id: self.id.canonical(),
            name: self.name.canonical(),
            lines: self.lines.canonical(),
            city: self.city.canonical(),
            region: self.region.canonical(),
            postal_code: self.postal_code.canonical(),
            country: self.country.canonical(),
        }
    }
}

/// Compares two quantities of one unit.
#[must_use]
pub fn compare(left: &Quantity, right: &Quantity) -> Ordering {
    // Scales are 0 to 9, so neither product is beyond 10^28.
    let scaled = |value: i64, scale: u8| i128::from(value).saturating_mul(10_i128.saturating_pow(u32::from(scale)));
    scaled(left.value, right.scale).cmp(&scaled(right.value, left.scale))
}

/// A text that names something: one with control characters would look like another.
#[must_use]
pub fn names_one(text: &str, bytes_max: usize) -> Option<String> {
    let names = (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control);
    names.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn amount(token: &str) -> Option<(i64, u8)> {
        let Amount(decimal) = serde_json::from_str(token).ok()?;
        Some((decimal.units, decimal.scale))
    }

    #[test]
    fn a_quantity_is_its_digits_and_nothing_that_only_looks_like_a_number() {
        for (token, expected) in [
            ("4", (4, 0)),
            ("2.50", (25, 1)),
            ("0", (0, 0)),
            ("0.000000001", (1, 9)),
            ("9007199254740993", (9_007_199_254_740_993, 0)),
            ("9223372036854775807", (i64::MAX, 0)),
        ] {
            assert_eq!(amount(token), Some(expected), "{token}");
        }
        for token in ["-1", "1e3", "0.0000000001", "9223372036854775808", "\"4\"", "null", "true", "[4]", "{}"] {
            assert_eq!(amount(token), None, "{token}");
        }
        assert!(serde_json::from_str::<PositiveAmount>("0").is_err());
        assert_eq!(serde_json::from_str::<PositiveAmount>("0.5").unwrap().of("KGM").unit, "KGM");
    }

    proptest! {
        #[test]
        fn quantities_of_any_scale_compare_as_numbers_do(left in any::<i32>(), right in any::<i32>(), a in 0..=9_u8, b in 0..=9_u8) {
            let quantity = |value: i32, scale: u8| {
                Quantity { value: i64::from(value) * 10_i64.pow(u32::from(scale)), scale, unit: String::new() }
            };
            prop_assert_eq!(compare(&quantity(left, a), &quantity(right, b)), left.cmp(&right));
        }
    }
}

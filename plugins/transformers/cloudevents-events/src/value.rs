//! The values of the data, each checked against what the contract promises of it.
//!
//! The host refuses a whole result of which one text is too long, and counts it as this
//! plugin's failure. But a sender chose the text: so it is refused here, as the sender's,
//! at its place. What is found is never quoted, since it may be about somebody.

use std::fmt;

use portreeve_sdk::date;
use portreeve_sdk::transformer as contract;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// Bytes of an identifier, of a unit's code, of an extension's name and of any other
/// text: the contract's limits, beyond which the host takes nothing of the event.
const IDENTIFIER_BYTES_MAX: usize = 256;
const UNIT_BYTES_MAX: usize = 64;
const EXTENSION_NAME_BYTES_MAX: usize = 128;
const TEXT_BYTES_MAX: usize = 4096;

/// Decimal places of a quantity or a price.
const PLACES_MAX: u8 = 9;

/// What is read as JSON and is a value of the contract.
pub(crate) trait Canonical {
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
struct Reading<F: ?Sized, T> {
    expected: &'static str,
    read: fn(&F) -> Option<T>,
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

/// A value, what it is to the contract, and how it is read.
macro_rules! written {
    ($name:ident, $from:ty => $of:ty, $expected:expr, $read:expr) => {
        pub(crate) struct $name($of);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let reading: Reading<$from, $of> = Reading { expected: $expected, read: $read };
                deserializer.deserialize_any(reading).map(Self)
            }
        }

        impl Canonical for $name {
            type Of = $of;

            fn canonical(self) -> $of {
                self.0
            }
        }
    };
}

/// A word out of a closed list.
macro_rules! word {
    ($name:ident { $($word:literal => $case:ident),* $(,)? }) => {
        written!($name, str => contract::$name, concat!("one of" $(, " `", $word, "`")*), |word| match word {
            $($word => Some(contract::$name::$case),)*
            _ => None,
        });
    };
}

written!(
    Identifier,
    str => String,
    "an identifier: a text of 1 to 256 bytes without control characters",
    |text| names_one(text, IDENTIFIER_BYTES_MAX)
);

written!(
    UnitCode,
    str => String,
    "the code of a unit such as `EA`: a text of 1 to 64 bytes without control characters",
    |text| names_one(text, UNIT_BYTES_MAX)
);

written!(ExtensionName, str => String, "a name: a text of 1 to 128 bytes without control characters", |text| names_one(
    text,
    EXTENSION_NAME_BYTES_MAX
));

written!(Text, str => String, "a text of at most 4096 bytes", |text| {
    (text.len() <= TEXT_BYTES_MAX).then(|| text.to_owned())
});

written!(Country, str => String, "a country: two upper-case letters of ISO 3166-1", |text| {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())).then(|| text.to_owned())
});

written!(CurrencyCode, str => String, "a currency code of ISO 4217 such as `USD`", |text| {
    iso_currency::Currency::from_code(text).map(|_| text.to_owned())
});

// Amounts, quantities and milliseconds since 1970: a reader that uses floating-point
// numbers would change them silently beyond 2^53, so none of them is a JSON number.
written!(Whole, str => i64, "a whole number of 64 bits as text, such as `\"12\"`", |text| text.parse().ok());

written!(Day, str => contract::Date, "a date such as `2026-03-02`", |text| {
    text.contains('-').then(|| date::parse(text))?
});

written!(Places, u64 => u8, "a number of decimal places from 0 to 9", |places| {
    u8::try_from(*places).ok().filter(|places| *places <= PLACES_MAX)
});

written!(PriceUnits, u64 => u32, "the number of units that the price is for, 1 or more", |units| {
    u32::try_from(*units).ok().filter(|units| *units > 0)
});

word!(LineStatus {
    "accepted" => Accepted,
    "backordered" => Backordered,
    "quantity-changed" => QuantityChanged,
    "price-changed" => PriceChanged,
    "date-changed" => DateChanged,
    "substituted" => Substituted,
    "rejected" => Rejected,
});

word!(ShortReason {
    "none" => None,
    "backorder" => Backorder,
    "no-backorder" => NoBackorder,
    "substitution" => Substitution,
    "damaged" => Damaged,
    "unknown" => Unknown,
});

word!(RefundCause {
    "goods-return" => GoodsReturn,
    "cancelled-prepayment" => CancelledPrepayment,
    "short-shipment" => ShortShipment,
    "price-correction" => PriceCorrection,
    "other" => Other,
});

/// A text that names something: one with control characters would look like another.
fn names_one(text: &str, bytes_max: usize) -> Option<String> {
    let names = (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control);
    names.then(|| text.to_owned())
}

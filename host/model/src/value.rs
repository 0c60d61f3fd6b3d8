//! Amounts, dates and addresses: integers with a unit, checked when they are made.
//!
//! No floating-point number occurs anywhere on the road: `0.1 + 0.2` in an
//! invoice is a dispute. Arithmetic that can overflow goes through `i128` and
//! says so when the result does not fit.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use serde::{Deserialize, Serialize};

use crate::as_text;

/// Decimal places that a quantity, price or decimal may have. A guest that sends
/// scale 255 would make `10^scale` overflow.
pub const SCALE_MAX: u8 = 9;

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A currency code that ISO 4217 does not list.
    #[error("`{0}` is not an ISO 4217 currency code; use three upper-case letters such as `USD`")]
    UnknownCurrency(String),
    /// A day that the calendar does not have.
    #[error("{year:04}-{month:02}-{day:02} is not a date of the calendar")]
    NoSuchDate {
        /// The year that was given.
        year: u16,
        /// The month that was given.
        month: u8,
        /// The day that was given.
        day: u8,
    },
    /// A scale beyond [`SCALE_MAX`].
    #[error("scale {0} is more than the {SCALE_MAX} decimal places that are allowed")]
    ScaleTooLarge(u8),
    /// A price for nothing.
    #[error("a unit price is for 0 units; expected 1 or more")]
    PriceForNothing,
    /// Two amounts in different currencies met.
    #[error("amounts in `{0}` and `{1}` cannot be combined")]
    MixedCurrencies(Currency, Currency),
    /// The result does not fit 64 bits.
    #[error("an amount is larger than 9.2 × 10^18 minor units")]
    Overflow,
    /// Text that is no decimal number.
    #[error("`{0}` is not a decimal number")]
    NotANumber(String),
    /// Text that is no point in time.
    #[error("`{0}` is no time; expected RFC 3339 with an offset, for example `2026-03-02T08:00:00Z`")]
    NotAnInstant(String),
    /// More decimal places than the currency has.
    #[error("`{text}` has more decimal places than {currency} allows")]
    TooPrecise {
        /// The number as it was written.
        text: String,
        /// The currency whose minor unit is coarser.
        currency: Currency,
    },
}

/// A currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

as_text!(Currency, Currency::parse);

impl Currency {
    /// Parses an alphabetic code.
    ///
    /// # Errors
    /// When ISO 4217 does not list it.
    pub fn parse(code: &str) -> Result<Self, ValueError> {
        let found: Option<[u8; 3]> = code.as_bytes().try_into().ok();
        let listed = found.filter(|code| minor_digits(*code).is_some());
        listed.map(Self).ok_or_else(|| ValueError::UnknownCurrency(code.chars().take(16).collect()))
    }

    /// The three letters.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Decimal places of the minor unit: 2 for USD, 0 for JPY. Currencies
    /// without a minor unit (gold, testing) count as 0.
    #[must_use]
    pub fn minor_digits(&self) -> u8 {
        minor_digits(self.0).unwrap_or(0)
    }
}

/// Decimal places of a code of ISO 4217; none for any other code. The list is gone through once
/// per code, for amounts are read and written many times an order.
fn minor_digits(code: [u8; 3]) -> Option<u8> {
    const LETTERS: usize = 26;
    const UNKNOWN: u8 = u8::MAX;
    /// One more than the decimal places, by the code's letters; 0 before anybody asked.
    static FOUND: [AtomicU8; LETTERS * LETTERS * LETTERS] = [const { AtomicU8::new(0) }; LETTERS * LETTERS * LETTERS];
    let index = code.iter().try_fold(0_usize, |index, letter| {
        let letter = letter.is_ascii_uppercase().then(|| usize::from(letter.wrapping_sub(b'A')))?;
        Some(index.wrapping_mul(LETTERS).wrapping_add(letter))
    });
    let found = FOUND.get(index?)?;
    let known = match found.load(Ordering::Relaxed) {
        0 => {
            let listed = std::str::from_utf8(&code).ok().and_then(iso_currency::Currency::from_code);
            let digits =
                listed.map(|listed| listed.exponent().and_then(|digits| u8::try_from(digits).ok()).unwrap_or(0));
            let looked_up = digits.map_or(UNKNOWN, |digits| digits.saturating_add(1));
            found.store(looked_up, Ordering::Relaxed);
            looked_up
        }
        known => known,
    };
    (known != UNKNOWN).then(|| known.saturating_sub(1))
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Money {
    /// Minor units; negative for credits.
    #[serde(with = "text")]
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Reads a decimal number of major units, exactly as it was written.
    ///
    /// # Errors
    /// When it is no number, does not fit, or is finer than the minor unit
    /// (trailing zeros are fine: `200.0000` USD is 20000 cents).
    pub fn from_major(text: &str, currency: Currency) -> Result<Self, ValueError> {
        let decimal = parse_decimal(text)?.normalize();
        let digits = u32::from(currency.minor_digits());
        if decimal.scale() > digits {
            return Err(ValueError::TooPrecise { text: clip(text), currency });
        }
        let factor = 10_i128.pow(digits - decimal.scale());
        let minor = decimal.mantissa().checked_mul(factor).ok_or(ValueError::Overflow)?;
        Ok(Self { minor: i64::try_from(minor).map_err(|_| ValueError::Overflow)?, currency })
    }

    /// The sum of two amounts.
    ///
    /// # Errors
    /// When the currencies differ or the sum does not fit.
    pub fn plus(self, other: Self) -> Result<Self, ValueError> {
        if self.currency != other.currency {
            return Err(ValueError::MixedCurrencies(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(ValueError::Overflow)?;
        Ok(Self { minor, currency: self.currency })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", scaled(self.minor.into(), self.currency.minor_digits()), self.currency)
    }
}

/// A decimal number: `units` × 10^−`scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Decimal {
    /// The digits, with their sign.
    #[serde(with = "text")]
    pub units: i64,
    /// Decimal places, at most [`SCALE_MAX`].
    pub scale: u8,
}

impl Decimal {
    /// Reads a decimal number as it was written, keeping its scale.
    ///
    /// # Errors
    /// When it is no number or has more than [`SCALE_MAX`] places.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let decimal = parse_decimal(text)?;
        let scale = u8::try_from(decimal.scale()).map_err(|_| ValueError::Overflow)?;
        if scale > SCALE_MAX {
            return Err(ValueError::ScaleTooLarge(scale));
        }
        Ok(Self { units: i64::try_from(decimal.mantissa()).map_err(|_| ValueError::Overflow)?, scale })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&scaled(self.units.into(), self.scale))
    }
}

/// How much of something, in a named unit of measure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quantity {
    /// `value` × 10^−`scale` units.
    #[serde(with = "text")]
    pub value: i64,
    /// Decimal places, at most [`SCALE_MAX`].
    pub scale: u8,
    /// Unit code, for example `EA`.
    pub unit: String,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", scaled(self.value.into(), self.scale), self.unit)
    }
}

/// A price for a number of units.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnitPrice {
    /// `amount` × 10^−`scale` major units of `currency`.
    #[serde(with = "text")]
    pub amount: i64,
    /// Decimal places, at most [`SCALE_MAX`].
    pub scale: u8,
    /// The currency.
    pub currency: Currency,
    /// The number of units that the price is for, at least 1.
    pub per_quantity: u32,
}

impl UnitPrice {
    /// The price for people, with the places of its currency at least. What is recorded of it has its own
    /// digits.
    #[must_use]
    pub fn in_words(&self) -> String {
        self.with_places(self.currency.minor_digits())
    }

    fn with_places(&self, places: u8) -> String {
        let factor = 10_i128.saturating_pow(u32::from(places.saturating_sub(self.scale)));
        let amount = scaled(i128::from(self.amount).saturating_mul(factor), places.max(self.scale));
        match self.per_quantity {
            1 => format!("{amount} {}", self.currency),
            units => format!("{amount} {} per {units}", self.currency),
        }
    }

    /// The price of a quantity, rounded half away from zero to the minor unit.
    ///
    /// # Errors
    /// When a scale is too large, the price is for nothing, or the amount does not fit.
    pub fn extended(&self, quantity: &Quantity) -> Result<Money, ValueError> {
        for scale in [self.scale, quantity.scale] {
            if scale > SCALE_MAX {
                return Err(ValueError::ScaleTooLarge(scale));
            }
        }
        if self.per_quantity == 0 {
            return Err(ValueError::PriceForNothing);
        }
        let minor = self.extended_narrow(quantity).or_else(|| self.extended_wide(quantity));
        Ok(Money { minor: minor.ok_or(ValueError::Overflow)?, currency: self.currency })
    }

    /// In minor units, where every step fits 64 bits, which real amounts do. Each order's lines
    /// are computed several times, and a division of 128 bits takes longer than all of this.
    fn extended_narrow(&self, quantity: &Quantity) -> Option<i64> {
        let power = |places: u32| 10_i64.checked_pow(places);
        let numerator =
            self.amount.checked_mul(quantity.value)?.checked_mul(power(u32::from(self.currency.minor_digits()))?)?;
        let places = u32::from(self.scale).checked_add(u32::from(quantity.scale))?;
        let denominator = power(places)?.checked_mul(i64::from(self.per_quantity))?;
        let half = if numerator < 0 { (denominator / 2).checked_neg()? } else { denominator / 2 };
        numerator.checked_add(half)?.checked_div(denominator)
    }

    /// The same for whatever fits 128 bits.
    fn extended_wide(&self, quantity: &Quantity) -> Option<i64> {
        // i64 × i64 × 10^4 is below 2^140: only the first product is sure to fit, so check.
        let numerator = i128::from(self.amount)
            .checked_mul(i128::from(quantity.value))?
            .checked_mul(10_i128.pow(u32::from(self.currency.minor_digits())))?;
        let denominator =
            10_i128.pow(u32::from(self.scale) + u32::from(quantity.scale)) * i128::from(self.per_quantity);
        let half = if numerator < 0 { -(denominator / 2) } else { denominator / 2 };
        i64::try_from(numerator.checked_add(half)? / denominator).ok()
    }
}

impl fmt::Display for UnitPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_places(self.scale))
    }
}

/// A calendar date without a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

as_text!(Date, Date::parse);

impl Date {
    /// When the day begins, UTC.
    #[must_use]
    pub fn midnight(self) -> Option<Instant> {
        let Self { year, month, day } = self;
        let date =
            jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        let start = date.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Instant(start.timestamp().as_millisecond()))
    }

    /// Makes a date.
    ///
    /// # Errors
    /// When the calendar does not have it.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, ValueError> {
        let wrong = || ValueError::NoSuchDate { year, month, day };
        let (y, m, d) = (i16::try_from(year), i8::try_from(month), i8::try_from(day));
        let (Ok(y), Ok(m), Ok(d)) = (y, m, d) else {
            return Err(wrong());
        };
        if y < 1 {
            return Err(wrong());
        }
        jiff::civil::Date::new(y, m, d).map_err(|_| wrong())?;
        Ok(Self { year, month, day })
    }

    /// Parses `year-month-day`.
    ///
    /// # Errors
    /// When it has another form, or the calendar does not have it.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let mut parts = text.splitn(3, '-').map(str::parse::<u16>);
        let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ValueError::NotANumber(clip(text)));
        };
        let (Ok(month), Ok(day)) = (u8::try_from(month), u8::try_from(day)) else {
            return Err(ValueError::NotANumber(clip(text)));
        };
        Self::new(year, month, day)
    }

    /// 1 to 9999.
    #[must_use]
    pub fn year(self) -> u16 {
        self.year
    }

    /// 1 to 12.
    #[must_use]
    pub fn month(self) -> u8 {
        self.month
    }

    /// 1 to 31.
    #[must_use]
    pub fn day(self) -> u8 {
        self.day
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(#[serde(with = "text")] pub i64);

impl Instant {
    /// Milliseconds of a minute.
    pub const MINUTE_MS: i64 = 60_000;

    /// Milliseconds of an hour.
    pub const HOUR_MS: i64 = 60 * Self::MINUTE_MS;

    /// Milliseconds of a day of 24 hours.
    pub const DAY_MS: i64 = 24 * Self::HOUR_MS;

    /// Reads RFC 3339 with an offset, to the millisecond.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| ValueError::NotAnInstant(clip(text)))?;
        Ok(Self(timestamp.as_millisecond()))
    }

    /// This many milliseconds later; stops at the ends of the range.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The UTC day, counted from 1970-01-01.
    #[must_use]
    pub fn day(self) -> i64 {
        self.0.div_euclid(Self::DAY_MS)
    }

    /// The UTC date.
    #[must_use]
    pub fn date(self) -> Option<Date> {
        let date = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(self.0).ok()?).date();
        Date::new(u16::try_from(date.year()).ok()?, u8::try_from(date.month()).ok()?, u8::try_from(date.day()).ok()?)
            .ok()
    }
}

impl fmt::Display for Instant {
    /// RFC 3339, UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A field that this version has no name for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extension {
    /// A name in the sender's vocabulary.
    pub name: String,
    /// Its value as text.
    pub value: String,
}

/// A postal address. Every field is personal data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// The identifier that the sender gives this place.
    pub id: Option<String>,
    /// Addressee.
    pub name: Option<String>,
    /// Street lines in order.
    pub lines: Vec<String>,
    /// City.
    pub city: Option<String>,
    /// State or province.
    pub region: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
}

/// Who orders.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Customer {
    /// The sender's identifier.
    pub id: String,
    /// Name, personal data.
    pub name: Option<String>,
    /// E-mail address, personal data.
    pub email: Option<String>,
    /// Telephone number, personal data.
    pub phone: Option<String>,
}

impl Customer {
    /// The id that transformers give a customer without an account.
    pub const GUEST: &'static str = "guest";

    /// Whether this is no known customer, but whoever ordered without an account.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.id == Self::GUEST
    }
}

/// 64-bit integers as text in JSON: a reader that uses floating-point numbers
/// would change them silently beyond 2^53.
pub mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the integer as decimal text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, T: std::fmt::Display>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads an integer from decimal text.
    ///
    /// # Errors
    /// When the text is no integer of the type.
    pub fn deserialize<'de, D: Deserializer<'de>, T: std::str::FromStr>(deserializer: D) -> Result<T, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format!("`{text}` is not an integer in decimal text")))
    }
}

/// As [`text`], for integers that may be missing.
pub mod text_option {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the integer as decimal text, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer, T: std::fmt::Display>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Reads an integer from decimal text, or null.
    ///
    /// # Errors
    /// When the text is no integer of the type.
    pub fn deserialize<'de, D: Deserializer<'de>, T: std::str::FromStr>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let Some(text) = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| D::Error::custom(format!("`{text}` is not an integer in decimal text")))
    }
}

fn parse_decimal(text: &str) -> Result<rust_decimal::Decimal, ValueError> {
    let parsed = if text.contains(['e', 'E']) {
        rust_decimal::Decimal::from_scientific(text)
    } else {
        rust_decimal::Decimal::from_str_exact(text)
    };
    parsed.map_err(|_| ValueError::NotANumber(clip(text)))
}

fn scaled(units: i128, scale: u8) -> String {
    rust_decimal::Decimal::try_from_i128_with_scale(units, u32::from(scale))
        .map_or_else(|_| format!("{units}e-{scale}"), |decimal| decimal.to_string())
}

/// The beginning of a hostile text, short enough for an error message.
fn clip(text: &str) -> String {
    text.chars().take(48).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_fits_64_bits_is_extended_as_in_128(
            amount in prop_oneof![-2_000_000_i64..2_000_000, any::<i64>()],
            value in prop_oneof![-20_000_i64..20_000, any::<i64>()],
            scales in (0..=SCALE_MAX, 0..=SCALE_MAX),
            per_quantity in prop_oneof![Just(1_u32), 1..1_000_u32, Just(u32::MAX)],
            code in prop::sample::select(vec!["USD", "JPY", "BHD", "CLF"]),
        ) {
            let currency = Currency::parse(code).unwrap();
            let price = UnitPrice { amount, scale: scales.0, currency, per_quantity };
            let quantity = Quantity { value, scale: scales.1, unit: "EA".to_owned() };
            let (narrow, wide) = (price.extended_narrow(&quantity), price.extended_wide(&quantity));
            prop_assert!(narrow.is_none() || narrow == wide, "{narrow:?} and {wide:?}");
            let real = amount.abs() < 2_000_000 && value.abs() < 20_000 && scales.0 <= 4 && scales.1 <= 3;
            prop_assert!(!real || per_quantity > 1_000 || narrow.is_some(), "a real amount takes 128 bits");
        }
    }

    #[test]
    fn a_code_is_a_currency_and_has_its_decimal_places_however_often_it_is_asked_for() {
        for _ in 0..2 {
            for (code, digits) in [("USD", 2), ("EUR", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4), ("XAU", 0), ("AED", 2)] {
                assert_eq!(Currency::parse(code).unwrap().minor_digits(), digits, "{code}");
            }
            for code in ["ZZZ", "AAA", "usd", "US", "USDX", "", "U\u{d6}", "U1D", "\u{20ac}"] {
                assert!(Currency::parse(code).is_err(), "{code}");
            }
        }
        let letters = || 'A'..='Z';
        for code in letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}")))) {
            let listed = iso_currency::Currency::from_code(&code);
            let found = Currency::parse(&code).ok();
            assert_eq!(found.is_some(), listed.is_some(), "{code}");
            let digits = listed.and_then(iso_currency::Currency::exponent).unwrap_or(0);
            assert_eq!(found.map_or(0, |found| u16::from(found.minor_digits())), digits, "{code}");
        }
    }
}

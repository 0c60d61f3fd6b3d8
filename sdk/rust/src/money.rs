//! Amounts, prices and quantities, exactly: decimal text to integers and back,
//! and the few sums that plugins do. No floating point, because the same order
//! must score the same on every machine, and 0.1 + 0.2 is not 0.3.
//!
//! Rounding is half away from zero to the minor unit, as the host does it.

use std::cmp::Ordering;
use std::fmt;

use crate::types::{Decimal, Money, Quantity, UnitPrice};

/// More places than this are refused, as the host refuses them: with nine,
/// every product here fits 128 bits.
pub const SCALE_MAX: u8 = 9;

/// Why a text or a sum is no number of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberError {
    /// Not digits with an optional sign and decimal point.
    NotANumber(String),
    /// More decimal places than the target has: its text, and the places allowed.
    TooPrecise(String, u8),
    /// Does not fit 64 bits.
    TooLarge,
    /// A unit price for zero units.
    PriceForNothing,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber(text) => {
                write!(f, "`{text}` is no decimal number; write digits with an optional sign and point")
            }
            Self::TooPrecise(text, places) => {
                write!(f, "`{text}` has more than {places} decimal places")
            }
            Self::TooLarge => f.write_str("the number does not fit 64 bits"),
            Self::PriceForNothing => f.write_str("the price is for 0 units; it must be for 1 or more"),
        }
    }
}

impl std::error::Error for NumberError {}

/// Reads a decimal number and drops trailing zeros behind the point:
/// `200.0000` is 200 with scale 0.
///
/// # Errors
/// When it is no number, has more than [`SCALE_MAX`] significant places, or does not fit.
pub fn decimal(text: &str) -> Result<Decimal, NumberError> {
    let unreadable = || NumberError::NotANumber(text.chars().take(40).collect());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if whole.len() + fraction.len() == 0 {
        return Err(unreadable());
    }
    let fraction = fraction.trim_end_matches('0');

    let mut units = 0_i128;
    for digit in whole.chars().chain(fraction.chars()) {
        let digit = digit.to_digit(10).ok_or_else(unreadable)?;
        units = units
            .checked_mul(10)
            .and_then(|units| units.checked_add(i128::from(digit)))
            .ok_or(NumberError::TooLarge)?;
    }
    if text.starts_with('-') {
        units = -units;
    }

    let scale = u8::try_from(fraction.len()).unwrap_or(u8::MAX);
    if scale > SCALE_MAX {
        return Err(NumberError::TooPrecise(text.chars().take(40).collect(), SCALE_MAX));
    }
    Ok(Decimal { units: i64::try_from(units).map_err(|_| NumberError::TooLarge)?, scale })
}

/// Reads major units (`19.99`) into minor units of a currency with `minor_digits` places.
///
/// # Errors
/// As [`decimal`], and when the text is finer than the minor unit.
pub fn from_major(text: &str, currency: &str, minor_digits: u8) -> Result<Money, NumberError> {
    let read = decimal(text)?;
    let missing = minor_digits
        .checked_sub(read.scale)
        .ok_or_else(|| NumberError::TooPrecise(text.chars().take(40).collect(), minor_digits))?;
    let minor = i128::from(read.units) * power(missing);
    Ok(Money { minor: i64::try_from(minor).map_err(|_| NumberError::TooLarge)?, currency: currency.to_owned() })
}

/// Reads implied decimals, as X12 N2 elements have them: `1999` with 2 is 19.99.
///
/// # Errors
/// When it is no whole number or does not fit.
pub fn from_minor(text: &str, currency: &str) -> Result<Money, NumberError> {
    let read = decimal(text)?;
    if read.scale != 0 {
        return Err(NumberError::TooPrecise(text.chars().take(40).collect(), 0));
    }
    Ok(Money { minor: read.units, currency: currency.to_owned() })
}

/// Reads a unit price for `per_quantity` units.
///
/// # Errors
/// As [`decimal`], and for a price of zero units.
pub fn unit_price(text: &str, currency: &str, per_quantity: u32) -> Result<UnitPrice, NumberError> {
    if per_quantity == 0 {
        return Err(NumberError::PriceForNothing);
    }
    let read = decimal(text)?;
    Ok(UnitPrice { amount: read.units, scale: read.scale, currency: currency.to_owned(), per_quantity })
}

/// Reads a quantity in a unit of measure.
///
/// # Errors
/// As [`decimal`].
pub fn quantity(text: &str, unit: &str) -> Result<Quantity, NumberError> {
    let read = decimal(text)?;
    Ok(Quantity { value: read.units, scale: read.scale, unit: unit.to_owned() })
}

/// The price of a quantity, rounded half away from zero to the minor unit.
///
/// # Errors
/// When a scale is over [`SCALE_MAX`], the price is for 0 units, or the amount does not fit.
pub fn extended(price: &UnitPrice, quantity: &Quantity, minor_digits: u8) -> Result<Money, NumberError> {
    if price.per_quantity == 0 {
        return Err(NumberError::PriceForNothing);
    }
    let numerator = i128::from(price.amount)
        .checked_mul(i128::from(quantity.value))
        .and_then(|product| product.checked_mul(power(minor_digits)))
        .ok_or(NumberError::TooLarge)?;
    let denominator = scale_factor(price.scale)? * scale_factor(quantity.scale)? * i128::from(price.per_quantity);
    let half = denominator / 2 * numerator.signum();
    let rounded = numerator.checked_add(half).ok_or(NumberError::TooLarge)? / denominator;
    Ok(Money { minor: i64::try_from(rounded).map_err(|_| NumberError::TooLarge)?, currency: price.currency.clone() })
}

/// Compares a unit price, per one unit, with a decimal number of major units.
///
/// # Errors
/// When a scale is over [`SCALE_MAX`] or the price is for 0 units.
pub fn compare_price(price: &UnitPrice, with: &Decimal) -> Result<Ordering, NumberError> {
    if price.per_quantity == 0 {
        return Err(NumberError::PriceForNothing);
    }
    // 2^63 × 10^9 × 2^32 stays below 2^127.
    let left = i128::from(price.amount) * scale_factor(with.scale)?;
    let right = i128::from(with.units) * scale_factor(price.scale)? * i128::from(price.per_quantity);
    Ok(left.cmp(&right))
}

/// Compares a quantity with a whole number of the same unit.
///
/// # Errors
/// When the scale is over [`SCALE_MAX`].
pub fn compare_quantity(quantity: &Quantity, with: i64) -> Result<Ordering, NumberError> {
    let right = i128::from(with) * scale_factor(quantity.scale)?;
    Ok(i128::from(quantity.value).cmp(&right))
}

/// The number as text, with exactly its scale: 1179 with scale 3 is `1.179`.
#[must_use]
pub fn to_text(units: i64, scale: u8) -> String {
    let digits = units.unsigned_abs().to_string();
    let sign = if units < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// The amount in major units, with the currency's places: 1999 USD is `19.99`.
#[must_use]
pub fn major_text(money: &Money) -> String {
    to_text(money.minor, minor_digits(&money.currency))
}

/// A number of major units for a sentence: with the currency's places at least, and with all digits that it
/// has. `1377.6` USD is `1377.60`, `1.179` stays.
///
/// # Errors
/// As [`decimal`].
pub fn in_words(text: &str, currency: &str) -> Result<String, NumberError> {
    decimal(text)?;
    let wanted = usize::from(minor_digits(currency));
    let (point, places) = match text.split_once('.') {
        Some((_, fraction)) => ("", fraction.len()),
        None if wanted == 0 => ("", 0),
        None => (".", 0),
    };
    Ok(format!("{text}{point}{}", "0".repeat(wanted.saturating_sub(places))))
}

/// Decimal places of a currency's minor unit, after ISO 4217; 2 for a code it doesn't list.
/// Codes without a minor unit (gold, drawing rights, none) have 0, as the host counts them.
#[must_use]
pub fn minor_digits(currency: &str) -> u8 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "XAG" | "XAU" | "XBA" | "XBB" | "XBC" | "XBD" | "XDR" | "XPD" | "XPT" | "XSU" | "XTS" | "XUA" | "XXX" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

fn scale_factor(scale: u8) -> Result<i128, NumberError> {
    if scale > SCALE_MAX {
        return Err(NumberError::TooPrecise(format!("scale {scale}"), SCALE_MAX));
    }
    Ok(power(scale))
}

/// 10^exponent; the exponent is at most [`SCALE_MAX`] or a currency's digits.
fn power(exponent: u8) -> i128 {
    10_i128.saturating_pow(u32::from(exponent))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn reads_decimals_exactly_as_written() {
        for (text, units, scale) in [
            ("1.179", 1_179, 3),
            ("200.0000", 200, 0),
            ("-0.05", -5, 2),
            ("+7", 7, 0),
            (".5", 5, 1),
            ("9223372036854775807", i64::MAX, 0),
        ] {
            assert_eq!(decimal(text), Ok(Decimal { units, scale }), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_exact_decimal() {
        for text in ["", "-", ".", "1e3", "1,5", "NaN", " 1", "--1", "1.2.3", "٣"] {
            assert!(matches!(decimal(text), Err(NumberError::NotANumber(_))), "{text}");
        }
        assert_eq!(decimal("9223372036854775808"), Err(NumberError::TooLarge));
        assert!(matches!(decimal("0.0000000001"), Err(NumberError::TooPrecise(_, SCALE_MAX))));
    }

    #[test]
    fn refuses_an_amount_finer_than_the_minor_unit() {
        assert_eq!(from_major("19.9900", "USD", 2).unwrap().minor, 1_999);
        assert_eq!(from_major("1500", "JPY", 0).unwrap().minor, 1_500);
        assert!(from_major("1.179", "USD", 2).is_err());
    }

    #[test]
    fn every_listed_currency_has_the_places_that_the_host_counts() {
        let letters = || 'A'..='Z';
        let mut listed = 0;
        for code in letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}")))) {
            let Some(currency) = iso_currency::Currency::from_code(&code) else { continue };
            // What has no minor unit counts as none.
            assert_eq!(u16::from(minor_digits(&code)), currency.exponent().unwrap_or(0), "{code}");
            listed += 1;
        }
        assert!(listed > 150, "{listed}");
    }

    #[test]
    fn rounds_extended_prices_half_away_from_zero() {
        let price = unit_price("1.179", "USD", 1).unwrap();
        let five = quantity("5", "EA").unwrap();
        assert_eq!(extended(&price, &five, 2).unwrap().minor, 590);
        let refund = quantity("-5", "EA").unwrap();
        assert_eq!(extended(&price, &refund, 2).unwrap().minor, -590);
        let per_hundred = unit_price("12.50", "USD", 100).unwrap();
        assert_eq!(extended(&per_hundred, &five, 2).unwrap().minor, 63);
    }

    #[test]
    fn compares_prices_of_different_scale_and_base() {
        let price = unit_price("117.9", "USD", 100).unwrap();
        let cost = decimal("1.179").unwrap();
        assert_eq!(compare_price(&price, &cost), Ok(Ordering::Equal));
        let floor = decimal("1.1791").unwrap();
        assert_eq!(compare_price(&price, &floor), Ok(Ordering::Less));
    }

    #[test]
    fn an_amount_in_a_sentence_has_the_places_of_its_currency_and_loses_no_digit() {
        for (text, currency, words) in [
            ("1377.6", "USD", "1377.60"),
            ("1377", "USD", "1377.00"),
            ("1377.", "USD", "1377.00"),
            ("-0.5", "KWD", "-0.500"),
            ("62.790", "USD", "62.790"),
            ("1.179", "USD", "1.179"),
            ("1500", "JPY", "1500"),
            ("1500.5", "JPY", "1500.5"),
        ] {
            assert_eq!(in_words(text, currency).as_deref(), Ok(words), "{text} {currency}");
            assert_eq!(decimal(words), decimal(text), "it is the same number");
        }
        assert!(in_words("12 boxes", "USD").is_err());
        // Every amount is told as its minor units are.
        for currency in ["USD", "JPY", "KWD", "CLF"] {
            for minor in [0, 1, -5, 10, 100, 137_760, -137_700, i64::MAX, i64::MIN + 1] {
                let money = Money { minor, currency: currency.to_owned() };
                let exact = major_text(&money);
                let shortest = match exact.split_once('.') {
                    Some(_) => exact.trim_end_matches('0').trim_end_matches('.'),
                    None => exact.as_str(),
                };
                assert_eq!(in_words(shortest, currency), Ok(exact.clone()), "{shortest} {currency}");
            }
        }
    }

    #[test]
    fn writes_numbers_with_their_places() {
        assert_eq!(to_text(1_179, 3), "1.179");
        assert_eq!(to_text(-5, 2), "-0.05");
        assert_eq!(to_text(i64::MIN, 0), "-9223372036854775808");
    }
}

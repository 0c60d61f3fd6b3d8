//! Stripe's amounts and ours: both are whole numbers, and not always of the same unit.
//!
//! Stripe counts in "the smallest currency unit", by a list of its own that is older than the
//! latest changes of ISO 4217 (docs.stripe.com/currencies, "Zero-decimal currencies",
//! "Three-decimal currencies", "Special cases"):
//!
//! ```text
//! ISK UGX               two places there, none in ISO 4217   500 is 5
//! MGA                   none there, two in ISO 4217          500 is 50000
//! BHD JOD KWD OMR TND   three in both; there the last digit has to be 0
//! ```
//!
//! Taken as it is, a payment in Icelandic krónur would be a hundred times as much. What does
//! not come out even is refused and never rounded.

use portreeve_sdk::transformer::*;

/// Why an amount of one side is none of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uneven {
    /// No currency that Stripe takes, or none at all.
    Currency,
    /// A part of the unit that the other side has.
    Fraction,
    /// More than 64 bits.
    TooLarge,
}

/// Stripe's amount in minor units of ISO 4217.
pub(crate) fn from_stripe(amount: i64, currency: &str) -> Result<Money, Uneven> {
    let currency = code(currency).ok_or(Uneven::Currency)?;
    let digits = stripes_digits(&currency).ok_or(Uneven::Currency)?;
    let minor = moved(amount, digits, money::minor_digits(&currency))?;
    Ok(Money { minor, currency })
}

/// Minor units of ISO 4217 as Stripe's amount.
pub(crate) fn to_stripe(money: &Money) -> Result<i64, Uneven> {
    let digits = stripes_digits(&money.currency).ok_or(Uneven::Currency)?;
    let amount = moved(money.minor, money::minor_digits(&money.currency), digits)?;
    match digits {
        3 if amount % 10 != 0 => Err(Uneven::Fraction),
        _ => Ok(amount),
    }
}

/// The same amount with another number of decimal places.
fn moved(amount: i64, from: u8, to: u8) -> Result<i64, Uneven> {
    let power = |digits: u8| 10_i64.checked_pow(u32::from(digits)).ok_or(Uneven::TooLarge);
    if to >= from {
        return amount.checked_mul(power(to.saturating_sub(from))?).ok_or(Uneven::TooLarge);
    }
    let unit = power(from.saturating_sub(to))?;
    if amount.checked_rem(unit) == Some(0) {
        amount.checked_div(unit).ok_or(Uneven::TooLarge)
    } else {
        Err(Uneven::Fraction)
    }
}

/// Stripe writes currencies in small letters.
fn code(currency: &str) -> Option<String> {
    let currency = currency.to_ascii_uppercase();
    iso_currency::Currency::from_code(&currency).map(|_| currency)
}

/// Decimal places of Stripe's amounts; none for a currency that Stripe does not say it of.
fn stripes_digits(currency: &str) -> Option<u8> {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "VND" | "VUV" | "XAF"
        | "XOF" | "XPF" => Some(0),
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => Some(3),
        "ISK" | "UGX" => Some(2),
        other => Some(money::minor_digits(other)).filter(|digits| *digits == 2),
    }
}

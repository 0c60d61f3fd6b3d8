//! How much of something, in billionths of its unit, so that nothing is rounded on the way.

use portreeve_model::value::Decimal;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Billionths in one.
const ONE: i128 = 1_000_000_000;

/// How much of something, in billionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount(i128);

impl Amount {
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) fn of(decimal: &Decimal) -> Self {
        // The model's decimals have 9 places at most.
        let places = 9_u32.saturating_sub(u32::from(decimal.scale));
        Self(i128::from(decimal.units).saturating_mul(10_i128.saturating_pow(places)))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, and nothing where that is below it.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }

    /// The difference, also below nothing.
    pub(crate) fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Without zeros behind the point. Beyond 64 bits it says the most that it can.
    pub(crate) fn decimal(self) -> Decimal {
        let (mut units, mut scale) = (self.0, 9_u8);
        while scale > 0 && units % 10 == 0 {
            units /= 10;
            scale -= 1;
        }
        Decimal { units: i64::try_from(units).unwrap_or(i64::MAX), scale }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A float would be another number.
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, billionths) =
            (self.0.unsigned_abs() / ONE.unsigned_abs(), self.0.unsigned_abs() % ONE.unsigned_abs());
        let text = format!("{sign}{whole}.{billionths:09}");
        let text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
        RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn counts_to_the_last_digit() {
        for text in ["0.000000001", "9223372036854775807", "2.5", "0", "-2.5"] {
            let amount = Amount::of(&Decimal::parse(text).unwrap());
            assert_eq!(
                (amount.decimal().to_string(), serde_json::to_string(&amount).unwrap()),
                (text.to_owned(), text.to_owned())
            );
        }
    }

    #[test]
    fn a_difference_ends_at_nothing_where_there_cannot_be_less() {
        let (two, five) = (Amount(2 * ONE), Amount(5 * ONE));
        assert_eq!((two.minus(five), five.minus(two)), (Amount::ZERO, Amount(3 * ONE)));
        assert_eq!(two.less(five), Amount(-3 * ONE));
    }
}

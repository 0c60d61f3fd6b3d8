//! Dates: the six and eight digits of X12, and the time that a reply carries.
//!
//! Guests have no clock; the time of a reply is when its input was received.

/// Two-digit years from here on are of the twentieth century (X12 before 4010).
const CENTURY_PIVOT: u16 = 70;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A point in time as an envelope writes it, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl Stamp {
    /// The stamp of an instant in milliseconds since 1970; years beyond 9999 are cut off.
    #[must_use]
    pub fn at(instant_ms: i64) -> Self {
        let (year, month, day) = civil(instant_ms.div_euclid(DAY_MS));
        let minutes = instant_ms.rem_euclid(DAY_MS) / 60_000;
        Self {
            year: u16::try_from(year.clamp(0, 9999)).unwrap_or_default(),
            month,
            day,
            hour: u8::try_from(minutes / 60).unwrap_or_default(),
            minute: u8::try_from(minutes % 60).unwrap_or_default(),
        }
    }

    /// `YYMMDD`.
    #[must_use]
    pub fn short_date(&self) -> String {
        format!("{:02}{:02}{:02}", self.year % 100, self.month, self.day)
    }

    /// `CCYYMMDD`.
    #[must_use]
    pub fn date(&self) -> String {
        format!("{:04}{:02}{:02}", self.year, self.month, self.day)
    }

    /// `HHMM`.
    #[must_use]
    pub fn time(&self) -> String {
        format!("{:02}{:02}", self.hour, self.minute)
    }
}

/// Reads `CCYYMMDD` or `YYMMDD` into year, month, day; none when it is no day of the calendar.
#[must_use]
pub fn date(text: &str) -> Option<(u16, u8, u8)> {
    let text = text.trim();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match text.len() {
        8 => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        6 => (full_year(text.get(..2)?.parse().ok()?), text.get(2..)?),
        _ => return None,
    };
    let (month, day) = (rest.get(..2)?.parse().ok()?, rest.get(2..)?.parse().ok()?);
    (year >= 1 && (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day))
        .then_some((year, month, day))
}

/// Midnight UTC of a day, in milliseconds since 1970.
#[must_use]
pub fn midnight_ms(year: u16, month: u8, day: u8) -> i64 {
    // Days from civil, after Howard Hinnant's "chrono-compatible low-level date algorithms".
    let (year, month, day) = (i64::from(year) - i64::from(month <= 2), i64::from(month), i64::from(day));
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468) * DAY_MS
}

fn full_year(two_digits: u16) -> u16 {
    if two_digits >= CENTURY_PIVOT { 1900 + two_digits } else { 2000 + two_digits }
}

fn month_days(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of a day number since 1970 (the inverse of [`midnight_ms`]).
fn civil(days: i64) -> (i64, u8, u8) {
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u8::try_from(month).unwrap_or(1), u8::try_from(day).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_date_forms_and_refuses_days_that_do_not_exist() {
        assert_eq!(date("20260302"), Some((2026, 3, 2)));
        assert_eq!(date("040317"), Some((2004, 3, 17)));
        assert_eq!(date("990101"), Some((1999, 1, 1)));
        for wrong in ["20260230", "99999999", "2026032", "", "2026-3-2", "00000101"] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn stamps_are_the_inverse_of_midnight() {
        for (year, month, day) in [(1970, 1, 1), (2000, 2, 29), (2026, 3, 2), (2100, 12, 31)] {
            let stamp = Stamp::at(midnight_ms(year, month, day) + 14 * 3_600_000 + 5 * 60_000);
            assert_eq!((stamp.year, stamp.month, stamp.day, stamp.hour, stamp.minute), (year, month, day, 14, 5));
        }
    }
}

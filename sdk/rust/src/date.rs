//! Calendar dates and instants, without a clock: what time it is, a plugin
//! learns from its request's `received_at`.
//!
//! Dates are proleptic Gregorian; the day arithmetic is Howard Hinnant's
//! (`days_from_civil`, <https://howardhinnant.github.io/date_algorithms.html>).

use crate::types::{Date, InstantMs};

/// Milliseconds of a day, without leap seconds.
pub const DAY_MS: i64 = 86_400_000;

/// The date, if there is such a day between the years 1 and 9999.
#[must_use]
pub fn date(year: u16, month: u8, day: u8) -> Option<Date> {
    let possible = (1..=9999).contains(&year) && (1..=days_in_month(year, month)).contains(&day);
    possible.then_some(Date { year, month, day })
}

/// Reads `2026-04-14` or `20260414`.
#[must_use]
pub fn parse(text: &str) -> Option<Date> {
    let digits: String = match text.len() {
        8 => text.to_owned(),
        10 => {
            let (year, month_and_day) = text.split_once('-')?;
            let (month, day) = month_and_day.split_once('-')?;
            if year.len() != 4 || month.len() != 2 {
                return None;
            }
            format!("{year}{month}{day}")
        }
        _ => return None,
    };
    if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    date(digits.get(0..4)?.parse().ok()?, digits.get(4..6)?.parse().ok()?, digits.get(6..8)?.parse().ok()?)
}

/// `2026-04-14`.
#[must_use]
pub fn to_text(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

/// `20260414`, as EDI writes it.
#[must_use]
pub fn to_compact(date: Date) -> String {
    format!("{:04}{:02}{:02}", date.year, date.month, date.day)
}

/// The UTC date of an instant, between the years 1 and 9999.
#[must_use]
pub fn of_instant(instant: InstantMs) -> Option<Date> {
    from_days(instant.div_euclid(DAY_MS))
}

/// The instant of a UTC date and time of day.
#[must_use]
pub fn at(date: Date, hour: u8, minute: u8, second: u8) -> InstantMs {
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    to_days(date) * DAY_MS + seconds * 1_000
}

/// Days from 1970-01-01 to the date.
#[must_use]
pub fn to_days(date: Date) -> i64 {
    // A year that starts in March has its leap day last.
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let month = (i64::from(date.month) + 9) % 12;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + i64::from(date.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date that many days after 1970-01-01, between the years 1 and 9999.
#[must_use]
pub fn from_days(days: i64) -> Option<Date> {
    let shifted = days.checked_add(719_468)?;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    date(u16::try_from(year).ok()?, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
}

/// Days from `earlier` to `later`; negative when `later` is before `earlier`.
#[must_use]
pub fn days_between(earlier: Date, later: Date) -> i64 {
    to_days(later) - to_days(earlier)
}

/// The date `days` later (or earlier, when negative).
#[must_use]
pub fn plus_days(date: Date, days: i64) -> Option<Date> {
    from_days(to_days(date).checked_add(days)?)
}

fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn goes_from_days_to_dates_and_back_over_every_day_of_the_calendar() {
        let first = to_days(date(1, 1, 1).unwrap());
        let last = to_days(date(9999, 12, 31).unwrap());
        assert_eq!(to_days(date(1970, 1, 1).unwrap()), 0);
        for days in first..=last {
            assert_eq!(to_days(from_days(days).unwrap()), days);
        }
        assert!(from_days(first - 1).is_none() && from_days(last + 1).is_none());
    }

    #[test]
    fn refuses_days_that_do_not_exist() {
        for text in ["2026-02-29", "2026-13-01", "20260100", "2026-4-14", "26-04-2014", "２０２６0414"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("2024-02-29"), parse("20240229"));
    }

    #[test]
    fn counts_days_across_a_leap_day() {
        let before = parse("2024-02-28").unwrap();
        assert_eq!(to_text(plus_days(before, 2).unwrap()), "2024-03-01");
        assert_eq!(days_between(before, parse("2024-03-01").unwrap()), 2);
        assert_eq!(of_instant(at(before, 23, 59, 59)), Some(before));
    }
}

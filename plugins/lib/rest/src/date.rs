//! Dates in HTTP headers (RFC 9110, section 5.6.7), in the three forms that a reader has to know.
//!
//! ```text
//! Sun, 06 Nov 1994 08:49:37 GMT     as they are written
//! Sunday, 06-Nov-94 08:49:37 GMT    as RFC 850 had them
//! Sun Nov  6 08:49:37 1994          as C's `asctime` writes them
//! ```
//!
//! All of them are UTC. The day of the week is not looked at.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970-01-01T00:00:00Z; none where it is no such date.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time) = match words.as_slice() {
        [_, day, month, year, time, "GMT"] => (day, month, year, time),
        [_, month, day, time, year] => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| name == month)?;
    let month = i64::try_from(month).ok()?.checked_add(1)?;
    let days = days(full(number(year, 9_999)?), month, number(day, 31).filter(|day| *day > 0)?);
    let mut parts = time.split(':');
    let [hour, minute, second] = [23, 59, 60].map(|most| parts.next().and_then(|part| number(part, most)));
    if parts.next().is_some() {
        return None;
    }
    Some(((days * 24 + hour?) * 60 + minute?) * 60 + second?)
}

/// A number in digits alone, at most this one.
fn number(text: &str, most: i64) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= most)
}

/// A year of two digits is one from 1970 on.
fn full(year: i64) -> i64 {
    match year {
        0..70 => year + 2_000,
        70..100 => year + 1_900,
        _ => year,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar: a year begins with March, so that the day that
/// some years have more is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_date_is_one_time_in_each_of_its_forms_and_what_is_none_is_none() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(seconds(text), Some(784_111_777), "{text}");
        }
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(seconds("Fri, 01 Mar 2024 00:00:00 GMT"), Some(1_709_251_200));
        assert_eq!(seconds("Tue, 01 Jan 2030 00:00:00 GMT"), Some(1_893_456_000));
        for text in [
            "",
            "7",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:01 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT",
            "Sun, 06 Non 1994 08:49:37 GMT",
            "Sun, 06 Nov 10000 08:49:37 GMT",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}

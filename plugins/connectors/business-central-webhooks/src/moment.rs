//! Times of OData (`Edm.DateTimeOffset`): `2018-10-26T12:54:20.467Z`, or with an offset.
//!
//! They are compared and never kept: a key and a document have a time as it was written.

use portreeve_sdk::connector::*;

const MS_PER_MINUTE: i64 = 60_000;

/// Digits of a fraction that are read; what is finer changes no comparison that matters.
const FRACTION_DIGITS: usize = 3;

/// Digits of a fraction that a time may have.
const FRACTION_DIGITS_MAX: usize = 12;

/// The moment of a time; none where it is no time or has no zone.
pub(crate) fn parse(text: &str) -> Option<InstantMs> {
    let (day, rest) = text.split_once('T')?;
    let day = date::parse(day).filter(|_| day.contains('-'))?;
    let (clock, offset) = zone(rest)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':').map(two_digits);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    date::at(day, hour, minute, second).checked_add(milliseconds(fraction)?)?.checked_sub(offset)
}

/// The time of day without its zone, and the zone's offset in milliseconds.
fn zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let at = text.find(['+', '-'])?;
    let (clock, offset) = text.split_at_checked(at)?;
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let minutes = i64::from(two_digits(hours)?) * 60 + i64::from(two_digits(minutes)?);
    Some((clock, sign * minutes * MS_PER_MINUTE))
}

fn two_digits(text: &str) -> Option<u8> {
    let both = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    both.then(|| text.parse().ok())?
}

fn milliseconds(fraction: &str) -> Option<i64> {
    let right =
        (1..=FRACTION_DIGITS_MAX).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let digits: String = fraction.chars().chain("00".chars()).take(FRACTION_DIGITS).collect();
    right.then(|| digits.parse().ok())?
}

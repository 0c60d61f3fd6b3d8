//! Times as RFC 3339 writes them (section 5.6), in milliseconds since 1970.
//!
//! A time without an offset is refused: whose clock it is would be a guess. So is a second
//! 60: milliseconds since 1970 have no leap seconds.

use portreeve_sdk::date;
use portreeve_sdk::types::InstantMs;

const MINUTE_MS: i64 = 60_000;

/// Reads `2026-03-02T15:30:00Z`, with any fraction of a second and any offset. What is below
/// a millisecond is cut off.
#[must_use]
pub fn parse(text: &str) -> Option<InstantMs> {
    let (day, rest) = text.split_once(['T', 't'])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (fraction_ms, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => fraction(rest)?,
    };
    let day = (day.len() == 10).then(|| date::parse(day))??;
    let (hour, rest) = two(clock, 23)?;
    let (minute, rest) = two(rest.strip_prefix(':')?, 59)?;
    let (second, _) = two(rest.strip_prefix(':')?, 59)?;
    Some(date::at(day, hour, minute, second) + fraction_ms - offset_ms(zone)?)
}

/// Writes `2026-03-02T15:30:00.500Z`; none where the year has not four digits.
#[must_use]
pub fn written(at: InstantMs) -> Option<String> {
    let day = date::of_instant(at)?;
    let ms = at.rem_euclid(date::DAY_MS);
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    Some(format!("{}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z", date::to_text(day)))
}

/// The milliseconds of a fraction, and what is behind its digits.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (digits, zone) = text.split_at_checked(end)?;
    let ms: String = digits.chars().chain("000".chars()).take(3).collect();
    (!digits.is_empty()).then_some((ms.parse().ok()?, zone))
}

fn offset_ms(zone: &str) -> Option<i64> {
    let sign = match zone {
        "Z" | "z" => return Some(0),
        zone if zone.starts_with('+') => 1,
        zone if zone.starts_with('-') => -1,
        _ => return None,
    };
    let (hours, rest) = two(zone.get(1..)?, 23)?;
    let (minutes, rest) = two(rest.strip_prefix(':')?, 59)?;
    rest.is_empty().then(|| sign * (i64::from(hours) * 60 + i64::from(minutes)) * MINUTE_MS)
}

/// Two digits, at most `max`, and what is behind them.
fn two(text: &str, max: u8) -> Option<(u8, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    let value = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (value <= max).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_with_fractions_and_offsets() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-03-02T15:30:00Z", 1_772_465_400_000),
            ("2026-03-02t15:30:00.5z", 1_772_465_400_500),
            ("2026-03-02T15:30:00.1239Z", 1_772_465_400_123),
            ("2026-03-02T16:30:00+01:00", 1_772_465_400_000),
            ("2026-03-02T10:00:00-05:30", 1_772_465_400_000),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for at in [0, 1, 1_772_465_400_500, -1, 253_402_300_799_999] {
            assert_eq!(written(at).as_deref().and_then(parse), Some(at));
        }
        assert_eq!(written(1_772_465_400_500).as_deref(), Some("2026-03-02T15:30:00.500Z"));
        assert_eq!(written(253_402_300_800_000), None);
    }

    #[test]
    fn refuses_what_is_no_time_or_nobodys_time() {
        for text in [
            "",
            "2026-03-02",
            "2026-03-02T15:30:00",
            "2026-03-02 15:30:00Z",
            "20260302T15:30:00Z",
            "2026-02-29T15:30:00Z",
            "2026-03-02T24:00:00Z",
            "2026-03-02T15:30:60Z",
            "2026-03-02T15:30Z",
            "2026-03-02T15:30:00.Z",
            "2026-03-02T15:30:00+1:00",
            "2026-03-02T15:30:00+01:00Z",
            "2026-03-02T15:30:00+24:00",
            "2026-03-02T+1:30:00Z",
            "2026-03-02T15:3ä:00Z",
            "1772465400000",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

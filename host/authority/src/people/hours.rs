//! When a queue's people are at work: the same hours on the wall clock of one place.
//!
//! Danger: hours are counted on a wall clock that jumps twice a year, so each day's opening
//! and closing is a moment of its own, as that day's offset has it. The zones come with the
//! binary: two hosts that read the same file count alike, whatever their systems know.

use portreeve_model::{Date, Instant};

/// Days that are looked at for the next open one: a calendar of one day in the week, closed
/// for a whole year, is a slip.
const DAYS_MAX: u32 = 3_660;

/// Hours of work.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calendar {
    pub(super) zone: jiff::tz::TimeZone,
    /// Monday first.
    pub(super) days: [bool; 7],
    pub(super) from: jiff::civil::Time,
    /// Later than `from`.
    pub(super) to: jiff::civil::Time,
    pub(super) closed: Vec<Date>,
}

impl Calendar {
    /// The moment at which so many open minutes are over. None where the calendar has no open
    /// day for years.
    pub(super) fn after(&self, start: Instant, minutes: i64) -> Option<Instant> {
        let begin = jiff::Timestamp::from_millisecond(start.0).ok()?.to_zoned(self.zone.clone());
        let mut left_ms = minutes.saturating_mul(Instant::MINUTE_MS);
        let mut day = begin.date();
        for _ in 0..DAYS_MAX {
            if let Some((opens, closes)) = self.open_on(day) {
                let from = opens.max(start.0);
                let room = closes.saturating_sub(from).max(0);
                if room >= left_ms {
                    return Some(Instant(from.saturating_add(left_ms)));
                }
                left_ms = left_ms.saturating_sub(room);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The first and the last moment of an open day, in milliseconds.
    fn open_on(&self, day: jiff::civil::Date) -> Option<(i64, i64)> {
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        let is_closed = |closed: &Date| closed.to_string() == day.to_string();
        if !*self.days.get(weekday)? || self.closed.iter().any(is_closed) {
            return None;
        }
        let at = |time: jiff::civil::Time| {
            let moment = day.to_datetime(time).to_zoned(self.zone.clone()).ok()?;
            Some(moment.timestamp().as_millisecond())
        };
        Some((at(self.from)?, at(self.to)?))
    }
}

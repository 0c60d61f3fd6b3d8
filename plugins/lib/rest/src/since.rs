//! Lists that are asked, again and again, for what changed since the last time.
//!
//! The dangers are something that is passed over and something that is told for ever. A clock of the
//! source that stands back, what commits behind something later, and equal times all put something
//! behind the newest that was seen. So each time the last minutes are asked for once more, and the
//! cursor has what was told with a time from there on:
//!
//! ```text
//! bc1 1772438400000      the connector's word for its cursors, and from when on it asks
//! …                      a line for each thing that was told, as the connector writes it
//! ```
//!
//! What has no time of its own would be forgotten by another thing's, and told again when it changes.
//! It is remembered for good ([`FOR_GOOD`]) and counts in what a cursor has room for: where that is
//! full of it, nothing can be told any more until people move the beginning on.
//!
//! Only the source's own times are compared, in whatever unit the connector counts them.

use std::collections::BTreeMap;

use portreeve_sdk::types::Failure;

/// The time of what has none, and is not forgotten.
pub const FOR_GOOD: i64 = i64::MAX;

/// From when on a list is asked, and what was told of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since<K> {
    from: i64,
    told: BTreeMap<K, i64>,
}

/// More things have one time, or none, than a cursor remembers: whatever it forgot of them would be
/// told for ever, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl<K: Ord> Since<K> {
    /// From then on, and nothing of it was told.
    #[must_use]
    pub fn beginning(from: i64) -> Self {
        Self { from, told: BTreeMap::new() }
    }

    /// The same, and never from earlier than people say: where that is later than what was asked for so
    /// far, what was remembered for good is what they passed over with the rest.
    #[must_use]
    pub fn not_before(mut self, from: i64) -> Self {
        if from > self.from {
            self.from = from;
            self.told.retain(|_, at| *at >= from && *at != FOR_GOOD);
        }
        self
    }

    /// Reads a cursor that [`Since::written`] wrote. `entry` reads a line.
    ///
    /// # Errors
    /// When it is another one's.
    pub fn read(bytes: &[u8], word: &str, entry: impl Fn(&str) -> Option<(K, i64)>) -> Result<Self, Failure> {
        let unreadable = || Failure::permanent("the cursor is none of this connector's");
        let mut lines = std::str::from_utf8(bytes).map_err(|_| unreadable())?.lines();
        let (version, from) = lines.next().and_then(|line| line.split_once(' ')).ok_or_else(unreadable)?;
        let from = from.parse().ok().filter(|_| version == word).ok_or_else(unreadable)?;
        let told = lines.map(entry).collect::<Option<_>>().ok_or_else(unreadable)?;
        Ok(Self { from, told })
    }

    /// The cursor. `entry` writes a line.
    pub fn written(&self, word: &str, entry: impl Fn(&K, i64) -> String) -> Vec<u8> {
        let head = format!("{word} {}", self.from);
        let told = self.told.iter().map(|(what, at)| entry(what, *at));
        std::iter::once(head).chain(told).collect::<Vec<_>>().join("\n").into_bytes()
    }

    /// From when on the list is asked.
    #[must_use]
    pub fn from(&self) -> i64 {
        self.from
    }

    /// Whether it was told.
    pub fn has_told(&self, what: &K) -> bool {
        self.told.contains_key(what)
    }

    /// It is told, with this time; which one it had when it was told before.
    pub fn tell(&mut self, what: K, at: i64) -> Option<i64> {
        self.told.insert(what, at)
    }

    /// From now on the list is asked from there on, and never from earlier than before; from later on
    /// where that is more than so many to remember.
    ///
    /// # Errors
    /// When nothing could be remembered: all that would be have one time, or none.
    pub fn move_to(&mut self, from: i64, told_max: usize) -> Result<(), TooMany> {
        self.from = self.from.max(from);
        self.told.retain(|_, at| *at >= self.from);
        let mut times: Vec<i64> = self.told.values().copied().filter(|at| *at != FOR_GOOD).collect();
        times.sort_unstable();
        let for_good = self.told.len().saturating_sub(times.len());
        let room = told_max.checked_sub(for_good).ok_or(TooMany)?;
        let beyond = times.len().checked_sub(room.saturating_add(1)).and_then(|beyond| times.get(beyond));
        let Some(beyond) = beyond else { return Ok(()) };
        // What has the time of the last one that is forgotten is forgotten with it.
        if times.last() == Some(beyond) {
            return Err(TooMany);
        }
        self.from = beyond.saturating_add(1);
        self.told.retain(|_, at| *at >= self.from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn entry(line: &str) -> Option<(u64, i64)> {
        let (what, at) = line.split_once(' ')?;
        Some((what.parse().ok()?, at.parse().ok()?))
    }

    fn told(all: &[(u64, i64)]) -> Since<u64> {
        let mut since = Since::beginning(10);
        all.iter().for_each(|(what, at)| assert_eq!(since.tell(*what, *at), None));
        since
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_no_other_is() {
        let since = told(&[(7, 12), (3, 15)]);
        let bytes = since.written("am1", |what, at| format!("{what} {at}"));
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), "am1 10\n3 15\n7 12");
        assert_eq!(Since::read(&bytes, "am1", entry).unwrap(), since);
        for other in ["", "am1", "am1 x", "am2 10", "am1 10\n3", "am1 10\n3 x", "am1 10\n\n3 15"] {
            assert!(Since::read(other.as_bytes(), "am1", entry).is_err(), "{other:?}");
        }
        assert!(Since::read(b"am1 10\n\xff", "am1", entry).is_err());
    }

    #[test]
    fn what_was_told_is_remembered_as_long_as_it_is_asked_for() {
        let mut since = told(&[(1, 12), (2, 15)]);
        since.move_to(5, 9).unwrap();
        assert_eq!((since.from(), since.has_told(&1)), (10, true), "it never goes back");
        assert_eq!(since.tell(2, 15), Some(15));
        since.move_to(13, 9).unwrap();
        assert_eq!((since.from(), since.has_told(&1), since.has_told(&2)), (13, false, true));
    }

    #[test]
    fn of_what_is_too_much_to_remember_the_newest_is_kept_and_no_time_is_cut_in_two() {
        let mut since = told(&[(1, 12), (2, 15), (3, 15), (4, 16)]);
        since.move_to(10, 3).unwrap();
        assert_eq!((since.from(), since.has_told(&2)), (13, true));
        let mut since = told(&[(1, 12), (2, 15), (3, 15), (4, 16)]);
        since.move_to(10, 2).unwrap();
        assert_eq!((since.from(), since.has_told(&3), since.has_told(&4)), (16, false, true));
        let mut since = told(&[(1, 15), (2, 15), (3, 15)]);
        assert_eq!(since.move_to(10, 2), Err(TooMany));
        assert_eq!(since.move_to(10, 3), Ok(()));
    }

    #[test]
    fn what_has_no_time_is_remembered_for_good_and_takes_room_from_the_others() {
        let mut since = told(&[(1, FOR_GOOD), (2, 12), (3, 15)]);
        since.move_to(13, 2).unwrap();
        assert_eq!((since.from(), since.has_told(&1), since.has_told(&2), since.has_told(&3)), (13, true, false, true));
        since.move_to(1_000, 2).unwrap();
        assert_eq!((since.from(), since.has_told(&1), since.has_told(&3)), (1_000, true, false));
        // Of two with a time the older one gives way; where there is room for neither, nothing can be told.
        let mut since = told(&[(1, FOR_GOOD), (2, 12), (3, 15)]);
        since.move_to(10, 2).unwrap();
        assert_eq!((since.from(), since.has_told(&1), since.has_told(&2), since.has_told(&3)), (13, true, false, true));
        assert_eq!(since.move_to(10, 1), Err(TooMany));
        assert_eq!(told(&[(1, FOR_GOOD), (2, FOR_GOOD)]).move_to(10, 1), Err(TooMany));
        assert_eq!(told(&[(1, FOR_GOOD), (2, FOR_GOOD)]).move_to(10, 2), Ok(()));
    }

    #[test]
    fn people_move_the_beginning_on_and_never_back() {
        let since = told(&[(1, FOR_GOOD), (2, 12), (3, 15)]);
        assert_eq!(since.clone().not_before(9), since);
        assert_eq!(since.clone().not_before(10), since);
        let later = since.not_before(13);
        assert_eq!(
            (later.from(), later.has_told(&1), later.has_told(&2), later.has_told(&3)),
            (13, false, false, true)
        );
    }
}

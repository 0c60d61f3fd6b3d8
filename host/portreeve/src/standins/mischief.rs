//! Mischief: what makes targets hard, for any stand-in.
//!
//! Whether an attempt goes wrong, and how, follows from what it is about and how often it
//! was tried, never from time, so that a run can be repeated. Beside that it follows from a seed,
//! where a stand-in was given one; then what is tried is called by the order that it is of wherever
//! there is one, since the numbers that systems give follow from who came first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderName, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use portreeve_model::Digest;

/// Attempts at one thing that may meet mischief. From the next one on it is
/// served, so that whoever repeats properly arrives.
pub(super) const ATTEMPTS_MISCHIEVOUS: u32 = 2;

/// What a throttled caller is told to wait: a second. Real targets count in windows of
/// minutes, a demo has no such patience.
pub(super) const RETRY_AFTER: [(HeaderName, &str); 1] = [(header::RETRY_AFTER, "1")];

/// How long a slow answer takes: longer than any caller waits for one. It ends when the
/// caller goes.
pub(super) const SLOW_ANSWER: Duration = Duration::from_secs(60);

/// How often an attempt goes wrong, in thousandths of all attempts, each kind apart;
/// together at most 1000, what is beyond never happens. What happens to an attempt
/// is a hash of what it is about and of the attempt, hence the same in every run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mischief {
    /// 429 with `Retry-After`, without an effect.
    pub throttle_per_mille: u16,
    /// 500 without an effect, which the caller cannot know.
    pub fail_before_per_mille: u16,
    /// It is done, then the connection is closed without an answer.
    pub drop_after_per_mille: u16,
    /// 422 without an effect: somebody has to look at it.
    pub reject_per_mille: u16,
    /// It is done, and the answer comes when nobody waits for it any more.
    pub slow_per_mille: u16,
}

/// What happens to an attempt instead of the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trick {
    Throttle,
    FailBefore,
    DropAfter,
    Reject,
    SlowAfter,
}

/// What was drawn for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// What it was about.
    pub about: String,
    /// How many there were before it.
    pub attempt: u32,
    /// What happened to it instead of the usual, in a word; none where nothing did.
    pub trick: Option<&'static str>,
}

impl Trick {
    fn as_str(self) -> &'static str {
        match self {
            Self::Throttle => "throttled",
            Self::FailBefore => "failed before",
            Self::DropAfter => "answer lost",
            Self::Reject => "rejected",
            Self::SlowAfter => "answered late",
        }
    }
}

impl Mischief {
    /// The trick for an attempt at something, counted from 0.
    pub(super) fn trick(&self, about: &str, attempt: u32) -> Option<Trick> {
        self.trick_of(None, about, attempt)
    }

    /// The same in the run of a seed.
    pub(super) fn trick_of(&self, seed: Option<u64>, about: &str, attempt: u32) -> Option<Trick> {
        if attempt >= ATTEMPTS_MISCHIEVOUS {
            return None;
        }
        let (seed, count) = (seed.map(u64::to_be_bytes), attempt.to_be_bytes());
        let parts = seed.iter().map(|seed| seed.as_slice()).chain([about.as_bytes(), count.as_slice()]);
        let digest = Digest::of_parts(&parts.collect::<Vec<_>>());
        let draw = digest.as_bytes().first_chunk().copied().map_or(0, u64::from_be_bytes) % 1_000;
        let shares = [
            (self.throttle_per_mille, Trick::Throttle),
            (self.fail_before_per_mille, Trick::FailBefore),
            (self.drop_after_per_mille, Trick::DropAfter),
            (self.reject_per_mille, Trick::Reject),
            (self.slow_per_mille, Trick::SlowAfter),
        ];
        let mut end = 0;
        shares.into_iter().find_map(|(share, trick)| {
            end += u64::from(share);
            (draw < end).then_some(trick)
        })
    }

    /// What was drawn in the run of a seed, where so many attempts were made at each of these.
    pub(super) fn drawn<'a>(&self, seed: Option<u64>, made: impl Iterator<Item = (&'a str, u32)>) -> Vec<Drawn> {
        let attempts = made.flat_map(|(about, count)| (0..count.min(ATTEMPTS_MISCHIEVOUS)).map(move |it| (about, it)));
        let drawn = attempts.map(|(about, attempt)| Drawn {
            about: about.to_owned(),
            attempt,
            trick: self.trick_of(seed, about, attempt).map(Trick::as_str),
        });
        drawn.collect()
    }
}

/// An answer that never comes: the connection is closed without a word.
pub(super) fn hung_up() -> Response {
    Response::new(axum::body::Body::new(HangUp))
}

/// A body that fails before its first byte. The server has not yet written the
/// response's head by then, and closes the connection without a word.
struct HangUp;

impl Body for HangUp {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "tests")]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_attempt_at_the_same_thing_always_meets_the_same_trick_at_about_the_rate_asked() {
        let mischief = Mischief {
            throttle_per_mille: 100,
            fail_before_per_mille: 50,
            drop_after_per_mille: 50,
            reject_per_mille: 10,
            slow_per_mille: 0,
        };
        let draw = || -> Vec<Option<Trick>> { (0..2_000).map(|n| mischief.trick(&format!("D{n}"), 0)).collect() };
        let tricks = draw();
        assert_eq!(tricks, draw());
        let met = tricks.iter().flatten().count();
        assert!((350..490).contains(&met), "{met} of 2000");
        let second: BTreeSet<bool> = (0..2_000).map(|n| mischief.trick(&format!("D{n}"), 1) == tricks[n]).collect();
        assert_eq!(second.len(), 2, "the second attempt draws anew");
    }

    #[test]
    fn each_seed_draws_anew_and_each_of_them_every_trick_at_about_its_rate() {
        let mischief = Mischief {
            throttle_per_mille: 150,
            fail_before_per_mille: 100,
            drop_after_per_mille: 200,
            reject_per_mille: 50,
            slow_per_mille: 50,
        };
        let made: Vec<String> = (0..2_000).map(|n| format!("order {n}")).collect();
        let draw = |seed| mischief.drawn(seed, made.iter().map(|about| (about.as_str(), 3)));
        let runs: Vec<Vec<Drawn>> = [None, Some(0), Some(1), Some(2), Some(u64::MAX)].map(draw).into();
        for run in &runs {
            // Of three attempts at each, the third has nothing to fear.
            assert_eq!(run.len(), 4_000);
            let met = |trick: Option<&str>| run.iter().filter(|drawn| drawn.trick == trick).count();
            let expected = [
                (None, 1_800),
                (Some("throttled"), 600),
                (Some("failed before"), 400),
                (Some("answer lost"), 800),
                (Some("rejected"), 200),
                (Some("answered late"), 200),
            ];
            for (trick, expected) in expected {
                let found = met(trick);
                assert!(found.abs_diff(expected) < 40 + expected / 10, "{trick:?}: {found} of about {expected}");
            }
        }
        assert!((0..runs.len()).all(|run| (0..run).all(|other| runs[run] != runs[other])));
        assert_eq!(runs[3], draw(Some(2)));
    }
}

//! Inputs that are drawn from a seed: how properties are tried, and what wounds a text.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestError, TestRng, TestRunner};

use crate::support::say;

/// Says from what the inputs are drawn. `.ci/run` sets a new one each time.
const SEED: &str = "PORTREEVE_FUZZ_SEED";

/// What they are drawn from where nobody says.
const SEED_UNSET: u64 = 7;

fn seed() -> u64 {
    std::env::var(SEED).map_or(SEED_UNSET, |seed| seed.parse().unwrap())
}

/// Runs a property and says how many inputs it saw.
pub(crate) fn tried<S: Strategy>(
    name: &str,
    cases: u32,
    inputs: &S,
    property: impl Fn(S::Value) -> TestCaseResult,
) -> Result<(), TestError<S::Value>> {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let seen = Cell::new(0_u32);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed().to_le_bytes().repeat(4));
    let result = TestRunner::new_with_rng(config, rng).run(inputs, |input| {
        seen.set(seen.get() + 1);
        property(input)
    });
    say(&format!("{name}: {} inputs, {SEED}={}", seen.get(), seed()));
    result
}

/// A failure with what repeats it.
pub(crate) fn held<V: std::fmt::Debug>(result: Result<(), TestError<V>>) {
    result.unwrap_or_else(|error| panic!("with {SEED}={}: {error}", seed()));
}

/// A text with a few bytes put in, cut or changed.
pub(crate) fn wounded(text: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let wound = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..12);
    prop::collection::vec(wound, 1..6).prop_map(move |wounds| {
        let mut bytes = text.clone();
        for (at, byte, act) in wounds {
            let at = at.index(bytes.len().max(1));
            match act {
                0 => bytes.truncate(at),
                1..5 => bytes.insert(at, byte),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        bytes
    })
}

//! The attack: to overflow the stack of the thread that runs the guest. The
//! linear-memory stack of a Rust guest ends at its first page, where a store
//! traps; the frames here are small, so that the host's own stack limit is
//! reached first.

use std::hint::black_box;

use portreeve_sdk::scorer::*;

struct DeepRecursion;

impl Scorer for DeepRecursion {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let mut card = Scorecard::new();
        card.add_if(depth(request.seed) == 0, "bottomless", 1);
        Ok(card.into_assessment())
    }
}

/// Recurses without end: the sum after the call keeps it from becoming a loop,
/// the function pointer behind a black box from being folded into a number.
fn depth(level: u64) -> u64 {
    let deeper: fn(u64) -> u64 = black_box(depth);
    deeper(level.wrapping_add(1)).wrapping_add(level | 1)
}

portreeve_sdk::scorer!(DeepRecursion);

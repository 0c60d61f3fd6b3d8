//! The attack: never to answer. A guest that spins without calling the host
//! can be stopped from outside only (fuel or epoch), and must not hold up its
//! neighbours meanwhile.

use std::hint::black_box;

use portreeve_sdk::scorer::*;

struct EndlessLoop;

impl Scorer for EndlessLoop {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let mut turns = request.seed;
        // The black box keeps the optimiser from seeing that nothing comes of it.
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    }
}

portreeve_sdk::scorer!(EndlessLoop);

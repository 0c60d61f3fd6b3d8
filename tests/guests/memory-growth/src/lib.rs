//! The attack: to grow the linear memory until the host has none left. The
//! failure must name what was asked and what is allowed, not "unreachable".

use std::hint::black_box;

use portreeve_sdk::scorer::*;

const CHUNK_BYTES: usize = 1024 * 1024;

struct MemoryGrowth;

impl Scorer for MemoryGrowth {
    fn score(_request: ScoringRequest) -> Result<Assessment, Failure> {
        let mut chunks: Vec<Vec<u8>> = Vec::new();
        // Written to and kept, so that no chunk can be optimised away.
        loop {
            chunks.push(black_box(vec![1; CHUNK_BYTES]));
        }
    }
}

portreeve_sdk::scorer!(MemoryGrowth);

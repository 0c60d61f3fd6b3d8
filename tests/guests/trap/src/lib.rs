//! The attack: to die in the middle of a call. A trap is the plugin's failure
//! and nobody else's: the next call gets a fresh sandbox.

use portreeve_sdk::scorer::*;

struct Trap;

impl Scorer for Trap {
    fn score(_request: ScoringRequest) -> Result<Assessment, Failure> {
        // With `panic = "abort"` this is wasm's `unreachable`.
        std::process::abort()
    }
}

portreeve_sdk::scorer!(Trap);

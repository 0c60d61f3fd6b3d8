//! The attack: an answer that fits the guest's memory, but not the host's idea
//! of an assessment. It must be refused while it is lifted, not afterwards.

use portreeve_sdk::scorer::*;

/// Each code is about 1 KiB: 8 MiB in all, with counts far over the contract's 32 and 8.
const REASONS: usize = 8_192;
const CODE_BYTES: usize = 1_000;

struct HugeOutput;

impl Scorer for HugeOutput {
    fn score(_request: ScoringRequest) -> Result<Assessment, Failure> {
        let reasons = (0..REASONS)
            .map(|_| Reason { code: "x".repeat(CODE_BYTES), contribution_bp: 1, line_number: None })
            .collect();
        Ok(Assessment {
            // Above the contract's 10000, too.
            score_bp: u16::MAX,
            reasons,
            proposals: Vec::new(),
            model: None,
        })
    }
}

portreeve_sdk::scorer!(HugeOutput);

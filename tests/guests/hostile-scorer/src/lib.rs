//! The attacks of a scorer that Rust can express: on its memory, on the host's
//! through what it returns, and on the functions that the host offers. The order's
//! number says which.

use std::hint::black_box;

use portreeve_sdk::scorer::*;

struct HostileScorer;

impl Scorer for HostileScorer {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let mut answer = Assessment { score_bp: 1, reasons: Vec::new(), proposals: Vec::new(), model: None };
        match request.order.number.as_str() {
            // None is large; together they are all of the memory.
            "SMALL-ALLOCATIONS" => {
                let mut kept: Vec<Box<[u8; 64]>> = Vec::new();
                loop {
                    kept.push(black_box(Box::new([1; 64])));
                }
            }
            // Far from `host_calls`, and all of it is hashed.
            "LONG-ARGUMENTS" => {
                let key = "x".repeat(100_000);
                loop {
                    drop(lookup("customer", &key));
                }
            }
            "LONG-TEXT" => answer.reasons.push(reason(&"x".repeat(1_000_000))),
            // Small for the guest, three times as large for the host.
            "GIANT-LIST" => {
                let lines = vec![String::new(); 300_000];
                answer.proposals.push(Proposal::Hold(Hold {
                    scope: HoldScope::Lines(lines),
                    minutes: 1,
                    reason: String::new(),
                }));
            }
            "MANY-ITEMS" => answer.reasons = vec![reason("x"); 1_001],
            "BEYOND-THE-SCALE" => answer.score_bp = u16::MAX,
            "WAITS" => drop(lookup("customer", "somebody who never answers")),
            other => return Err(Failure::permanent(format!("there is no attack `{other}`"))),
        }
        Ok(answer)
    }
}

fn reason(code: &str) -> Reason {
    Reason { code: code.to_owned(), contribution_bp: 1, line_number: None }
}

portreeve_sdk::scorer!(HostileScorer);

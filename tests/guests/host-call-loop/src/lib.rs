//! The attack: to make the host work, where neither fuel nor epoch count.
//! Lines to the log and questions to a table, without end.

use portreeve_sdk::scorer::*;

struct HostCallLoop;

impl Scorer for HostCallLoop {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let line = "x".repeat(log::LINE_BYTES_MAX);
        loop {
            log::info(&line);
            // Whatever the answer is, even a refusal: the next question follows.
            drop(lookup("customer", &request.order.customer.id));
        }
    }
}

portreeve_sdk::scorer!(HostCallLoop);

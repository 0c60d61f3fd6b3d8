//! The attack: a sender who knows the plugin's weakness. The order's number says
//! what happens, so that one order is poison and its neighbours are not.

use std::hint::black_box;

use portreeve_sdk::scorer::*;

/// Words that no proposal has a case for; a host that understood one would act on it.
const WISHES: [&str; 5] = ["release", "cancel", "allocate", "re-price", "set-priority"];

struct ObeysTheSender;

impl Scorer for ObeysTheSender {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let number = request.order.number.as_str();
        let mut card = Scorecard::new();
        if number.contains("TRAP") {
            std::process::abort();
        }
        if number.contains("SPIN") {
            spin(request.seed);
        }
        if number.contains("LATER") {
            return Err(Failure::Retry(1_000));
        }
        if number.contains("HOLD") {
            card.add("wished", 5_000);
            card.hold_order(60, "wished");
        }
        if number.contains("ROUTE") {
            card.route("order-desk");
        }
        if number.contains("FLOOD") {
            (0..8).for_each(|_| card.recommend(Recommendation::Review("order-desk".to_owned())));
        }
        let mut assessment = card.into_assessment();
        if number.contains("WISH") {
            let wish = |kind: &&str| {
                Proposal::Other(OtherAdvice { kind: (*kind).to_owned(), body: number.as_bytes().to_vec() })
            };
            assessment.proposals.extend(WISHES.iter().map(wish));
        }
        Ok(assessment)
    }
}

fn spin(mut turns: u64) -> ! {
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

portreeve_sdk::scorer!(ObeysTheSender);

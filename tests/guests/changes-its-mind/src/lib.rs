//! The attack: a model that is asked twice about one order and says something else, so that
//! what it said first is forgotten or both count. A call remembers nothing, so a row of a
//! table says what it wants this time.

use portreeve_sdk::scorer::*;

struct ChangesItsMind;

impl Scorer for ChangesItsMind {
    fn score(_request: ScoringRequest) -> Result<Assessment, Failure> {
        let row = lookup("mood", "now")?;
        let mood = row.as_ref().and_then(|row| row.text("mood"));
        let mut card = Scorecard::new();
        match mood {
            Some("hold") => {
                card.add("mood", 5_000);
                card.hold_order(60, "mood");
            }
            Some("route") => card.route("order-desk"),
            Some("later") => return Err(Failure::Retry(1_000)),
            _ => {}
        }
        Ok(card.into_assessment())
    }
}

portreeve_sdk::scorer!(ChangesItsMind);

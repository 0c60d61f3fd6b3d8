//! No attack: a scorer whose answer says what it was asked, for tests of the
//! boundary itself. Nothing in it depends on anything but the request and one
//! row of the table `customer`.

use portreeve_sdk::scorer::*;

struct WellBehaved;

impl Scorer for WellBehaved {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let order = &request.order;
        log::info(format!("scoring an order of {} lines", order.lines.len()));
        let customer = lookup("customer", &order.customer.id)?;

        let mut card = Scorecard::new();
        for line in &order.lines {
            card.add_for_line("line", 100, &line.number);
        }
        card.add_if(customer.is_some(), "customer-known", 10);
        card.add_if(request.seed % 2 == 1, "odd-seed", 1);
        if order.lines.len() > 10 {
            card.hold_order(60, "line");
        }
        Ok(card.into_assessment())
    }
}

portreeve_sdk::scorer!(WellBehaved);

//! The attack: a component that can do more than its manifest says. It calls
//! `lookup`, so it imports it, and its `plugin.toml` asks for nothing. Such a
//! component must not even load.

use portreeve_sdk::scorer::*;

struct UndeclaredImport;

impl Scorer for UndeclaredImport {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let customer = lookup("customer", &request.order.customer.id)?;
        let mut card = Scorecard::new();
        card.add_if(customer.is_some(), "customer-known", -1_000);
        Ok(card.into_assessment())
    }
}

portreeve_sdk::scorer!(UndeclaredImport);

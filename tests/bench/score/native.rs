//! The same scorer as a Rust function in the host: what a call would cost if its
//! author were trusted.
//!
//! It repeats `plugins/scorers/fraud`, which is built for wasm only; the benchmark
//! refuses to run when the two answer differently.

use portreeve_model::advice::ScoringRequest;
use portreeve_model::advice::{Assessment, CustomerHistory, Hold, HoldScope, Proposal, Reason, Recommendation};
use portreeve_model::event::Order;
use portreeve_model::reference::{Field, FieldValue};
use portreeve_model::value::{Address, ValueError};

const HOLD_FROM_BP: u16 = 7_000;
const LONG_HOLD_FROM_BP: u16 = 9_000;
const ROUTE_FROM_BP: u16 = 5_000;
const HOLD_MINUTES: u32 = 1_440;
const LONG_HOLD_MINUTES: u32 = 2_880;
const FIRST_ORDER_MAJOR_MAX: i64 = 2_500;
const ESTABLISHED_MS: i64 = 365 * 86_400_000;
const SCORE_BP_MAX: u16 = 10_000;

/// Scores an order.
pub(crate) fn score(request: &ScoringRequest, row: Option<&[Field]>) -> Result<Assessment, ValueError> {
    let order = &request.order;
    let class = row.and_then(|row| {
        row.iter().find(|field| field.name == "class").and_then(|field| match &field.value {
            FieldValue::Text(class) => Some(class.as_str()),
            _ => None,
        })
    });

    let mut card = Card(Vec::new());
    velocity(&mut card, &request.history);
    value(&mut card, order.value()?.minor, class, request);
    places(&mut card, order, &request.history);
    payment(&mut card, order);
    standing(&mut card, class, request);
    Ok(card.into_assessment())
}

struct Card(Vec<Reason>);

impl Card {
    fn add_if(&mut self, holds: bool, code: &str, contribution_bp: i32) {
        if holds {
            self.0.push(Reason { code: code.to_owned(), contribution_bp, line_number: None });
        }
    }

    fn into_assessment(self) -> Assessment {
        let Self(mut reasons) = self;
        let sum: i64 = reasons.iter().map(|reason| i64::from(reason.contribution_bp)).sum();
        let score_bp = u16::try_from(sum.clamp(0, i64::from(SCORE_BP_MAX))).unwrap_or(SCORE_BP_MAX);
        let main = reasons.iter().max_by_key(|reason| reason.contribution_bp).map(|reason| reason.code.clone());
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.contribution_bp.unsigned_abs()));

        let mut proposals = Vec::new();
        if score_bp >= HOLD_FROM_BP {
            let minutes = if score_bp >= LONG_HOLD_FROM_BP { LONG_HOLD_MINUTES } else { HOLD_MINUTES };
            let reason = main.unwrap_or_default();
            proposals.push(Proposal::Hold(Hold { scope: HoldScope::Order, minutes, reason }));
            proposals.push(Proposal::Recommend(Recommendation::Review("fraud-review".to_owned())));
        } else if score_bp >= ROUTE_FROM_BP {
            proposals.push(Proposal::Route("fraud-review".to_owned()));
        }
        Assessment { score_bp, reasons, proposals, model: None }
    }
}

fn velocity(card: &mut Card, history: &CustomerHistory) {
    card.add_if((3..=5).contains(&history.orders_1h), "velocity-hour", 1_500);
    card.add_if(history.orders_1h > 5, "velocity-hour", 3_000);
    let usual_in_four_days = u64::from(history.orders_30d) * 4 / 30;
    let burst = history.orders_24h >= 5 && u64::from(history.orders_24h) > usual_in_four_days;
    card.add_if(burst, "velocity-day", 1_500);
}

fn value(card: &mut Card, minor: i64, class: Option<&str>, request: &ScoringRequest) {
    let largest = request.history.largest_30d_minor;
    let times = minor.checked_div(largest).unwrap_or(0);
    card.add_if((3..=9).contains(&times), "value-above-history", 1_500);
    card.add_if(times > 9, "value-above-history", 3_000);
    let digits = u32::from(request.order.currency.minor_digits());
    let first = request.history.first_order_at.is_none() || class == Some("new");
    card.add_if(first && minor > FIRST_ORDER_MAJOR_MAX * 10_i64.pow(digits), "new-customer-high-value", 2_500);
}

fn places(card: &mut Card, order: &Order, history: &CustomerHistory) {
    card.add_if(history.orders_30d > 0 && !history.ship_to_known, "ship-to-unknown", 1_000);
    card.add_if(history.ship_to_places_30d >= 5, "ship-to-many", 1_000);
    card.add_if(differ(country(&order.ship_to), country(&order.bill_to)), "ship-country-differs", 2_000);
}

fn payment(card: &mut Card, order: &Order) {
    let Some(payment) = &order.payment else {
        return;
    };
    let foreign = differ(payment.issuer_country.as_deref(), country(&order.ship_to));
    card.add_if(foreign, "issuer-country-differs", 2_000);
    let failed = payment.address_check.as_deref().is_some_and(|result| {
        ["n", "no", "fail", "failed", "no-match", "mismatch"].contains(&result.to_ascii_lowercase().as_str())
    });
    card.add_if(failed, "address-check-failed", 2_000);
}

fn standing(card: &mut Card, class: Option<&str>, request: &ScoringRequest) {
    card.add_if(matches!(class, Some("priority" | "key-account")), "valued-customer", -1_500);
    let first = request.history.first_order_at;
    card.add_if(
        first.is_some_and(|first| request.received_at.0 - first.0 > ESTABLISHED_MS),
        "established-customer",
        -500,
    );
}

fn country(address: &Option<Address>) -> Option<&str> {
    address.as_ref()?.country.as_deref()
}

fn differ(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_some_and(|(one, other)| !one.eq_ignore_ascii_case(other))
}

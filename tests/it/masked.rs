//! What a scorer sees of an order: what its data grants show, and nothing else that points
//! at anybody. A spy says word by word what it was shown, of an order with something in
//! every field of the contract.

use portreeve_model::Proposal;
use portreeve_model::advice::Recommendation;
use portreeve_pipeline::rederive::Rederived;

use crate::support::{EVERYTHING, MORNING, PurchaseOrder, Setup, TestHost, x12};

/// What the order has under each field's word, and nowhere else.
const SECRETS: [(&str, &[&str]); 13] = [
    ("order.number", &["ORDER-NUMBER", "ORDER-RELEASE"]),
    ("customer.id", &["C-1002"]),
    ("customer.name", &["Ada Lovelace"]),
    ("customer.email", &["ada@lovelace.example"]),
    ("customer.phone", &["+44-20-5550100"]),
    ("bill-to", &["PAYER-PLACE", "Payer Ltd", "1 Payer Street", "Payerton", "PAY-001"]),
    ("ship-to", &["GOODS-PLACE", "Goods Ltd", "2 Goods Street", "Goodston", "GDS-002"]),
    ("line.sku", &["FST-1007", "BUYER-SKU"]),
    ("line.description", &["a described thing"]),
    ("payment", &["a-method", "a-state", "\"NZ\"", "a-check", "some-terms"]),
    ("sender-state", &["the-senders-state"]),
    ("notes", &["a note"]),
    ("extensions", &["order-extension", "order-value", "line-extension", "line-value"]),
];

/// What every scorer sees: it points at nobody.
const OPEN: [&str; 8] = ["LINE-1", "REGION-P", "REGION-G", "\"US\"", "1840", "18400", "18401", "\"BX\""];

/// A host whose orders say everything, and whose only scorer is a spy that sees these fields.
async fn spied(fields: &[&str]) -> TestHost {
    let setup = Setup::demo()
        .plugin("says-everything", "{}")
        .replace("portreeve.toml", "\"x12/850\" = \"x12-orders\"", "\"x12/850\" = \"says-everything\"")
        .scorers(&["sees-all"])
        .blindfolded("sees-all");
    let setup = if fields.is_empty() { setup } else { setup.sees("sees-all", fields) };
    let host = setup.start().await;
    host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap();
    host.decide_all().await;
    host.host.sequencer.sequence_all().await.unwrap();
    host
}

/// What the spy says of the order.
async fn told(host: &TestHost) -> String {
    let record = host.decision(&host.orders().await[0]).await;
    let scoring = &record.scorings[0];
    let said = scoring.assessment.as_ref().unwrap_or_else(|| panic!("{scoring:?}"));
    let drafts = said.proposals.iter().map(|proposal| match proposal {
        Proposal::Recommend(Recommendation::Draft(draft)) => draft.text.as_str(),
        other => panic!("{other:?}"),
    });
    drafts.collect()
}

fn check(told: &str, shown: &[&str]) {
    for (field, secrets) in SECRETS {
        for secret in secrets {
            assert_eq!(told.contains(secret), shown.contains(&field), "`{secret}` of `{field}` in:\n{told}");
        }
    }
    for open in OPEN {
        assert!(told.contains(open), "no `{open}` in:\n{told}");
    }
}

#[tokio::test]
async fn a_scorer_that_is_shown_nothing_finds_out_about_nobody() {
    let host = spied(&[]).await;
    check(&told(&host).await, &[]);
    let record = host.decision(&host.orders().await[0]).await;
    assert_eq!(record.scorings[0].sees.as_deref(), Some(&[][..]));
}

#[tokio::test]
async fn a_data_grant_shows_its_field_and_no_other() {
    for (field, _) in SECRETS {
        check(&told(&spied(&[field]).await).await, &[field]);
    }
    let words: Vec<&str> = SECRETS.iter().map(|(field, _)| *field).collect();
    assert_eq!(words, EVERYTHING, "a field without its case");
    check(&told(&spied(EVERYTHING).await).await, EVERYTHING);
}

#[tokio::test]
async fn a_pseudonym_is_the_same_for_the_next_order_also_after_a_restart() {
    let setup = Setup::demo().scorers(&["sees-all"]).blindfolded("sees-all");
    let host = setup.start().await;
    // The pseudonyms of an order, in the order in which the spy names them.
    let pseudonyms = async |host: &TestHost, control: u32, number: &str| -> Vec<String> {
        host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
        host.decide_all().await;
        let record = host.decision(&host.order(number).await).await;
        let said = format!("{:?}", record.scorings[0].assessment);
        said.split("masked-").skip(1).map(|rest| rest.chars().take(16).collect()).collect()
    };
    let first = pseudonyms(&host, 1, "PO-1").await;
    let host = host.stop().await.start_at(MORNING.plus_ms(60_000)).await;
    let second = pseudonyms(&host, 2, "PO-2").await;
    assert_eq!(first.len(), second.len());
    // Customer, place and items are those of before; the order's number is another one.
    let differ: Vec<_> = first.iter().zip(&second).filter(|(first, second)| first != second).collect();
    assert_eq!(differ.len(), 1, "{first:?} {second:?}");
    assert!(first.len() >= 4, "{first:?}");
    // Decided again, the order of before the restart has the input that it had.
    host.host.sequencer.sequence_all().await.unwrap();
    let order = host.orders().await.remove(0);
    let Rederived::Same(compared) = host.host.pipeline.rederive(order.id).await.unwrap() else { panic!("different") };
    assert_eq!(compared.scorers, 1);
}

#[tokio::test]
async fn what_a_scorer_saw_is_what_it_sees_when_the_order_is_decided_again() {
    let host = spied(&["customer.name"]).await;
    let order = host.orders().await.remove(0);
    let Rederived::Same(compared) = host.host.pipeline.rederive(order.id).await.unwrap() else { panic!("different") };
    assert_eq!(compared.scorers, 1);
}

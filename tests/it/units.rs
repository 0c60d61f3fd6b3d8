//! Units of measure: an order in cases of what is sold by the box is compared exactly,
//! and only where a table says what a case is.

use portreeve_model::reference::{Field, FieldValue, Row};
use portreeve_model::value::Decimal;
use portreeve_pipeline::rederive::Rederived;
use portreeve_record::Leaf;
use portreeve_record::leaf::{Code, LeafBody, ReferenceLeaf};
use portreeve_store::contract::OrderState;

use crate::support::{MORNING, PurchaseOrder, Setup, TestHost};

/// What so many boxes to the case make of a row of `unit`.
fn case_of_boxes(factor: &str) -> Vec<(String, Row)> {
    let row = Row(vec![
        Field { name: "to".to_owned(), value: FieldValue::Text("BX".to_owned()) },
        Field { name: "factor".to_owned(), value: FieldValue::Number(Decimal::parse(factor).unwrap()) },
    ]);
    vec![("FST-1007/CA".to_owned(), row)]
}

/// One order of ten cases at a price, on a host that may know what a case is.
async fn ordered(factor: Option<&str>, price: &'static str) -> TestHost {
    // What scorers think of it is another matter.
    let host = Setup::demo().scorers(&[]).start().await;
    if let Some(factor) = factor {
        let body = LeafBody::Reference(ReferenceLeaf {
            table: Code::of("unit"),
            version: 1,
            digest: portreeve_model::Digest::of(factor.as_bytes()),
            rows: 1,
            who: None,
        });
        let leaf = Leaf::new("test", MORNING, body).unwrap();
        host.store.load_reference("unit", case_of_boxes(factor), leaf).await.unwrap();
    }
    host.decide_orders(&[PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "CA", price)])]).await;
    host
}

#[tokio::test]
async fn a_case_is_compared_by_its_boxes_where_a_table_says_how_many() {
    // A box is 18.40: twelve are 220.80, and 5 % less is 209.76.
    for (factor, price, state, why) in [
        (Some("12"), "209.76", OrderState::Released, ""),
        (Some("12"), "209.75", OrderState::Held, "price-out-of-tolerance"),
        (None, "220.80", OrderState::Held, "unit-differs"),
    ] {
        let host = ordered(factor, price).await;
        let order = host.order("PO-1").await;
        assert_eq!(order.state, state, "{price}: {}", order.why);
        assert!(host.decision(&order).await.findings.iter().all(|finding| finding.code == why), "{}", order.why);
        // The factor is in the record: another table later changes nothing.
        let answer = host.rederive(order.id).await.unwrap();
        assert!(matches!(&answer, Rederived::Same(compared) if compared.rules), "{answer:?}");
        host.deliver_all().await;
        let sent = host.erp.sales_orders();
        if state == OrderState::Released {
            assert_eq!(sent[0].lines[0].unit, "CA", "it goes on in the unit that was ordered");
        } else {
            assert!(sent.is_empty());
        }
    }
}

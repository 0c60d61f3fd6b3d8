//! Items that a warehouse sent in the place of others: the ERP posts them at the price that was agreed
//! on where it is told to, and nothing of them where it is not.

use portreeve::standins::Mischief;
use portreeve_model::{OrderId, ProcessState};
use serde_json::{Value, json};

use crate::changing::post_at_the_erp;
use crate::posting::{accepted, boxes, posting, say, ship};
use crate::support::{Setup, TestHost};

/// A host whose warehouse may decide on substitutes, by its process.
fn agreed(mischief: Mischief) -> Setup {
    let standard = include_str!("../../host/pipeline/src/process/standard.toml");
    let decides = "warehouse_decides = [\"backorder\", \"cancel-rest\"";
    assert!(standard.contains(decides));
    let process = standard.replace(decides, &format!("{decides}, \"substitution\""));
    posting(mischief).append("process.toml", &process)
}

/// The same, and its ERP posts them.
fn substituting(mischief: Mischief) -> Setup {
    let account = "freight-account = \"6130\"";
    agreed(mischief).replace("portreeve.toml", account, &format!("{account}, substitutes = \"at-ordered-price\""))
}

/// So many boxes left, of a line and an item, and in the place of the line's own or not.
async fn left(host: &TestHost, order: OrderId, number: &str, lines: &[(&str, &str, &str, &str)]) {
    let line = |(line, sku, quantity, short): &(&str, &str, &str, &str)| json!({"lineNumber": line, "sku": sku, "shipped": boxes(quantity), "short": short});
    let lines: Vec<Value> = lines.iter().map(line).collect();
    say(host, "shipment.confirmed", json!({"orderNumber": order, "shipmentNumber": number, "lines": lines})).await;
    host.come_to_rest().await;
}

const INSTEAD: [(&str, &str, &str, &str); 2] =
    [("1", "FST-1007", "10", "none"), ("2", "FST-1021", "4", "substitution")];

/// Each line of each invoice, as item, quantity and price, and its total.
fn invoiced(host: &TestHost) -> Vec<(Vec<String>, String)> {
    let invoices = host.erp.invoices();
    let told = invoices.iter().map(|invoice| {
        let lines = invoice
            .lines
            .iter()
            .map(|line| format!("{} {} {} at {}", line.line_number, line.item_number, line.quantity, line.unit_price));
        (lines.collect(), invoice.total.to_string())
    });
    told.collect()
}

#[tokio::test]
async fn a_substitute_is_invoiced_at_the_price_of_what_was_ordered_and_credited_at_it() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    for mischief in [Mischief::default(), lost] {
        let host = substituting(mischief).start().await;
        let order = accepted(&host, "PO-1").await;
        left(&host, order, "S-1", &INSTEAD).await;
        assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Shipped), vec![]));
        let lines = ["1 FST-1007 10 at 18.4", "2 FST-1021 4 at 12.95"].map(str::to_owned).to_vec();
        assert_eq!((invoiced(&host), host.erp.sales_order_count()), (vec![(lines, "235.80".to_owned())], 0));

        let back = json!({"lineNumber": "2", "sku": "FST-1021", "quantity": boxes("1")});
        say(&host, "return.received", json!({"orderNumber": order, "returnNumber": "R-1", "lines": [back]})).await;
        host.come_to_rest().await;
        let memos: Vec<String> = host.erp.credit_memos().iter().map(|memo| memo.total.to_string()).collect();
        assert_eq!((memos, host.codes().await), (vec!["12.95".to_owned()], vec![]));
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn without_the_setting_a_substitute_is_a_persons_and_nothing_is_posted() {
    let host = agreed(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    left(&host, order, "S-1", &INSTEAD).await;
    let letters = host.exceptions().await;
    let details: Vec<&str> = letters.iter().map(|letter| letter.detail.as_str()).collect();
    let sentence =
        "`FST-1021` left in the place of `FST-1014`, which the ERP's line is of; expected the setting `substitutes`";
    assert!(details.len() == 1 && details[0].contains(sentence), "{details:?}");
    assert_eq!((invoiced(&host), host.erp.sales_orders()[0].lines[1].item_number.as_str()), (vec![], "FST-1014"));
}

#[tokio::test]
async fn what_took_the_place_of_a_part_of_a_line_is_a_persons() {
    let host = substituting(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    ship(&host, order, "S-1", &[("1", "FST-1007", "6"), ("2", "FST-1014", "4")]).await;
    host.come_to_rest().await;
    left(&host, order, "S-2", &[("1", "FST-1021", "4", "substitution")]).await;
    let details: Vec<String> = host.exceptions().await.into_iter().map(|letter| letter.detail).collect();
    let sentence = "4 of `FST-1021` left in the place of `FST-1007`, of which 10 was ordered and 6 shipped before";
    assert!(details.len() == 1 && details[0].contains(sentence), "{details:?}");
    assert_eq!((invoiced(&host).len(), host.erp.sales_orders()[0].lines[0].item_number.as_str()), (1, "FST-1007"));

    // In one shipment as well: two items have no place in one line.
    let other = accepted(&host, "PO-2").await;
    let both = [("1", "FST-1007", "6", "none"), ("1", "FST-1021", "4", "substitution")];
    left(&host, other, "S-3", &both).await;
    let details: Vec<String> = host.exceptions().await.into_iter().map(|letter| letter.detail).collect();
    assert!(
        details.iter().any(|detail| detail.contains("found line 1 twice with another item or unit")),
        "{details:?}"
    );
    assert_eq!(invoiced(&host).len(), 1);
}

#[tokio::test]
async fn where_another_line_cannot_be_posted_no_line_gets_another_item() {
    let host = substituting(Mischief::default()).start().await;
    let order = accepted(&host, "PO-1").await;
    post_at_the_erp(&host, &order.to_string().replace('-', "")).await;
    left(&host, order, "S-1", &INSTEAD).await;
    let details: Vec<String> = host.exceptions().await.into_iter().map(|letter| letter.detail).collect();
    let sentence = "10 left; expected at most 2, which is outstanding in the ERP";
    assert!(details.len() == 1 && details[0].contains(sentence), "{details:?}");
    assert_eq!(host.erp.sales_orders()[0].lines[1].item_number, "FST-1014");
}

//! What the host gave to the ERP against what the ERP lists as open: what differs is told with both
//! sides' figures, what is on its way is not, and each difference ends with the run that finds none.

use bytes::Bytes;
use hyper::Method;
use portreeve::client;
use portreeve::standins::Mischief;
use portreeve::standins::erp::COMPANY;
use portreeve_model::value::Decimal;
use portreeve_model::{ExceptionAction, ExceptionKind, Instant, OrderId};
use portreeve_pipeline::Clock;
use portreeve_pipeline::reconcile::{Compared, Outcome, Run};
use portreeve_record::LeafBody;
use portreeve_record::leaf::ReconciliationLeaf;
use portreeve_store::contract::ExceptionView;
use serde_json::json;

use crate::later::changed;
use crate::posting::{FIRST, SECOND, accepted, posting, ship};
use crate::support::exceptions::{about, decide, waiting};
use crate::support::{PurchaseOrder, Setup, TestHost, x12};

const ID: &str = "orders-erp";

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

fn with_reconciliation(setup: Setup) -> Setup {
    let entry = format!(
        r#"
[[reconciliation]]
id = "{ID}"
of = "orders"
target = "erp"
exception_queue = "integration"
settle_minutes = 30

[reconciliation.right]
system = "erp"
connector = "erp-rest"
transformer = "business-central"
origin = "${{ERP_ORIGIN}}"
settings = {{ base-url = "${{ERP_ORIGIN}}/api/v2.0", company = "{COMPANY}", list = "orders" }}
"#
    );
    setup.append("portreeve.toml", &entry)
}

/// A host whose ERP took so many orders an hour ago.
async fn with_orders(setup: Setup, count: usize) -> (TestHost, Vec<OrderId>) {
    let host = with_reconciliation(setup).start().await;
    let mut orders = Vec::new();
    for number in 1..=count {
        orders.push(accepted(&host, &format!("PO-{number}")).await);
    }
    later(&host, 60);
    (host, orders)
}

fn later(host: &TestHost, minutes: i64) {
    host.clock.advance_to(host.clock.now().plus_ms(minutes * Instant::MINUTE_MS));
}

/// What the ERP calls an order of the host.
pub(crate) fn document(order: OrderId) -> String {
    order.to_string().replace('-', "")
}

async fn run(host: &TestHost) -> Run {
    host.host.pipeline.reconcile(ID, None, false).await.unwrap()
}

async fn compared(host: &TestHost) -> Compared {
    match run(host).await.outcome {
        Outcome::Compared(found) => found,
        Outcome::NotCompared(unheard) => panic!("{unheard:?}"),
    }
}

async fn unheard(host: &TestHost) -> (String, String) {
    match run(host).await.outcome {
        Outcome::Compared(found) => panic!("{found:?}"),
        Outcome::NotCompared(unheard) => (unheard.code, unheard.why),
    }
}

pub(crate) fn counts(found: &Compared) -> (u64, u64, usize, u64) {
    (found.compared, found.agreeing, found.differences.len(), found.unsettled)
}

pub(crate) async fn told(host: &TestHost) -> Vec<ExceptionView> {
    waiting(host).await.into_iter().filter(|open| open.kind == ExceptionKind::Difference).collect()
}

pub(crate) async fn only(host: &TestHost) -> ExceptionView {
    let mut all = told(host).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

async fn last_run(host: &TestHost) -> ReconciliationLeaf {
    let leaves = host.leaves().await.into_iter().rev();
    let mut runs = leaves.filter_map(|leaf| match leaf.body {
        LeafBody::Reconciliation(leaf) => Some(leaf),
        _ => None,
    });
    runs.next().unwrap()
}

/// Asks the ERP as a clerk does.
pub(crate) async fn clerk(host: &TestHost, path: &str, body: &str) {
    let address = host.erp.origin().trim_start_matches("http://").parse().unwrap();
    let path = format!("/api/v2.0/companies({COMPANY})/{path}");
    let headers = [("content-type", "application/json")];
    let answer = client::send(address, Method::POST, &path, &headers, Bytes::from(body.to_owned())).await.unwrap();
    assert!((200..300).contains(&answer.status), "{}: {:?}", answer.status, answer.body);
}

/// A sales order as a clerk enters it.
pub(crate) fn entered(document: &str, currency: &str) -> String {
    json!({
        "externalDocumentNumber": document, "customerNumber": "C-9", "currencyCode": currency,
        "salesOrderLines": [{"lineType": "Item", "lineObjectNumber": "FST-1007", "quantity": 1, "unitPrice": 2,
                             "unitOfMeasureCode": "BX"}],
    })
    .to_string()
}

#[tokio::test]
async fn what_both_have_is_silent_and_what_the_erp_lost_is_told_until_it_is_there_again() {
    let (host, orders) = with_orders(posting(Mischief::default()), 3).await;
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.opened), ((3, 3, 0, 0), 0), "{found:?}");
    assert!(told(&host).await.is_empty());

    assert_eq!(host.erp.lose_order(&document(orders[1])), 1);
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.opened), ((3, 2, 1, 0), 1), "{found:?}");
    assert_eq!(found.differences.keys().collect::<Vec<_>>(), [&orders[1].to_string()]);
    let first = only(&host).await;
    assert_eq!((first.code.as_str(), first.queue.as_str()), ("missing", "integration"));
    let sentence = format!(
        "orders-erp: found order `PO-2` `{}` in this host (open, 10 BX ordered of `FST-1007` on line 1, 4 BX ordered of \
         `FST-1014` on line 2, 235.80 USD in total without tax) and not in erp, expected it in both; ",
        orders[1]
    );
    assert!(first.detail.starts_with(&sentence), "{}", first.detail);

    // The next morning it is the same one, also after a restart.
    later(&host, 24 * 60);
    let host = host.restart().await;
    assert_eq!(compared(&host).await.opened, 0);
    assert_eq!(only(&host).await.id, first.id);

    host.erp.find_lost_orders();
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed), ((3, 3, 0, 0), 1));
    assert!(told(&host).await.is_empty());
    let closed = host.store.exception(first.id).await.unwrap().unwrap().exception.closed.unwrap();
    assert_eq!((closed.who, closed.how.as_str()), (None, "cleared"));
    let leaf = last_run(&host).await;
    let (left, right) = (leaf.left.unwrap(), leaf.right.unwrap());
    assert_eq!((left.rows, left.pages, left.connector), (3, 0, None), "the host asks nobody");
    assert_eq!((right.rows, right.pages, right.connector.is_some()), (3, 2, true));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_difference_of_an_order_that_is_older_than_the_window_ends_when_it_is_mended_and_not_before() {
    let window = ("settle_minutes = 30\n", "settle_minutes = 30\nwindow_days = 7\n");
    let setup = with_reconciliation(posting(Mischief::default())).replace("portreeve.toml", window.0, window.1);
    let host = setup.start().await;
    let lost = document(accepted(&host, "PO-1").await);
    accepted(&host, "PO-2").await;
    later(&host, 60);
    host.erp.lose_order(&lost);
    assert_eq!(counts(&compared(&host).await), (2, 1, 1, 0));
    let first = only(&host).await;
    // A month later neither list would show it by itself: the ERP has lost it, and it is too old here.
    later(&host, 30 * 24 * 60);
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed), ((2, 1, 1, 0), 0), "{found:?}");
    assert_eq!(only(&host).await.id, first.id);
    host.erp.find_lost_orders();
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed, told(&host).await.len()), ((2, 2, 0, 0), 1, 0));
    // One that is lost when it is older is not looked for.
    host.erp.lose_order(&lost);
    assert_eq!(counts(&compared(&host).await), (1, 1, 0, 0));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_beyond_those_that_a_run_files_is_looked_at_until_it_is_filed_whatever_its_age() {
    let window = ("settle_minutes = 30\n", "settle_minutes = 30\nwindow_days = 7\nexceptions_max = 1\n");
    let setup = with_reconciliation(posting(Mischief::default())).replace("portreeve.toml", window.0, window.1);
    let host = setup.start().await;
    for number in 1..=3 {
        let order = accepted(&host, &format!("PO-{number}")).await;
        if number < 3 {
            host.erp.lose_order(&document(order));
        }
    }
    later(&host, 60);
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.opened, found.not_filed), ((3, 1, 2, 0), 2, 1), "{found:?}");
    // A month later both are too old, and the second one was never filed.
    later(&host, 30 * 24 * 60);
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.opened, found.closed, found.not_filed), ((3, 1, 2, 0), 1, 1, 0), "{found:?}");
    assert!(told(&host).await.iter().all(|open| open.code == "missing"));
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed, told(&host).await.len()), ((3, 1, 2, 0), 0, 2), "{found:?}");
    host.erp.find_lost_orders();
    let found = compared(&host).await;
    assert_eq!((found.closed, told(&host).await.len()), (2, 0), "{found:?}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn orders_that_were_not_filed_leave_the_window_where_somebody_closed_what_says_how_many_they_are() {
    let window = ("settle_minutes = 30\n", "settle_minutes = 30\nwindow_days = 7\nexceptions_max = 1\n");
    let setup = with_reconciliation(posting(Mischief::default())).replace("portreeve.toml", window.0, window.1);
    let host = setup.start().await;
    for number in 1..=3 {
        host.erp.lose_order(&document(accepted(&host, &format!("PO-{number}")).await));
    }
    later(&host, 60);
    let found = compared(&host).await;
    assert_eq!((found.differences.len(), found.opened, found.not_filed), (3, 2, 2), "{found:?}");
    let close_the_rest = async || {
        let open = told(&host).await;
        let more = open.iter().find(|open| open.code == "more-differences").unwrap().id;
        decide(&host, &host.ops().await, more, ExceptionAction::Abandon).await.unwrap();
    };
    close_the_rest().await;
    // Within the window the next run files the next one, and says again that another is left.
    let found = compared(&host).await;
    assert_eq!((found.differences.len(), found.opened, found.not_filed), (3, 2, 1), "{found:?}");
    close_the_rest().await;
    // A month later the two that people work on are looked at, and the last one is not.
    later(&host, 30 * 24 * 60);
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.opened, found.closed), ((2, 0, 2, 0), 0, 0), "{found:?}");
    assert!(told(&host).await.iter().all(|open| open.code == "missing"));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_order_whose_agreed_change_nobody_can_count_is_told_and_not_left_out() {
    let (host, orders) = with_orders(posting(Mischief::default()), 1).await;
    ship(&host, orders[0], "S-1", &[("1", "FST-1007", "6")]).await;
    host.come_to_rest().await;
    let change = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 7, "EA", "18.40")]);
    host.send_edi(&x12(7, &change)).await.unwrap();
    host.decide_all().await;
    let exception = about(&host, orders[0], ExceptionKind::Change).await.unwrap();
    decide(&host, &host.ops().await, exception, ExceptionAction::AcceptChange).await.unwrap();
    host.come_to_rest().await;
    assert_eq!(host.codes().await, ["other-unit"], "what can be counted in no unit of the order is a person's");
    later(&host, 60);
    let found = compared(&host).await;
    assert_eq!(counts(&found), (1, 0, 1, 0), "{found:?}");
    let exception = only(&host).await;
    assert_eq!(exception.code, "unreadable-row");
    assert!(exception.detail.contains("in this host, found an agreed change that says of a line"), "{exception:?}");
}

#[tokio::test]
async fn another_quantity_and_other_money_are_told_with_both_sides_figures_and_heal() {
    let (host, orders) = with_orders(posting(Mischief::default()), 2).await;
    let first = document(orders[0]);
    for (quantity, price, told) in [
        (
            "9",
            "18.40",
            "10 BX ordered of `FST-1007` on line 1 in this host and 9 BX in erp; 235.80 USD in total without tax in this host and 217.40 USD in erp, expected the same",
        ),
        ("10", "18.41", ": 235.80 USD in total without tax in this host and 235.90 USD in erp, expected the same"),
        // As much money for fewer goods.
        ("5", "36.80", ": 10 BX ordered of `FST-1007` on line 1 in this host and 5 BX in erp, expected the same"),
    ] {
        host.erp.enter_otherwise(&first, "1", decimal(quantity), decimal(price));
        let found = compared(&host).await;
        assert_eq!(counts(&found), (2, 1, 1, 0), "{found:?}");
        let exception = only(&host).await;
        assert_eq!(exception.code, "numbers-differ");
        assert!(exception.detail.contains(told), "{}", exception.detail);
    }
    host.erp.enter_otherwise(&first, "1", decimal("10.0"), decimal("18.4"));
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed, told(&host).await.len()), ((2, 2, 0, 0), 1, 0));
}

#[tokio::test]
async fn an_order_whose_change_people_accepted_is_what_they_agreed_on() {
    let (host, orders) = with_orders(posting(Mischief::default()), 1).await;
    let order = document(orders[0]);
    host.send_edi(&x12(7, &changed("PO-1", 7))).await.unwrap();
    host.decide_all().await;
    // They carry it out in the ERP first: seven of the first line, and nothing of the second.
    host.erp.enter_otherwise(&order, "1", decimal("7"), decimal("18.40"));
    host.erp.enter_otherwise(&order, "2", decimal("0"), decimal("12.95"));
    later(&host, 60);
    assert_eq!(counts(&compared(&host).await), (1, 0, 1, 0), "nobody has accepted it");
    let exception = about(&host, orders[0], ExceptionKind::Change).await.unwrap();
    decide(&host, &host.ops().await, exception, ExceptionAction::AcceptChange).await.unwrap();
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed, told(&host).await.len()), ((1, 1, 0, 0), 1, 0), "{found:?}");

    // What leaves of it is what the ERP posts, and what somebody changes there is told against what was agreed on.
    ship(&host, orders[0], "S-1", &[("1", "FST-1007", "6")]).await;
    host.come_to_rest().await;
    later(&host, 60);
    assert_eq!(counts(&compared(&host).await), (1, 1, 0, 0));
    host.erp.enter_otherwise(&order, "1", decimal("8"), decimal("18.40"));
    assert_eq!(counts(&compared(&host).await), (1, 0, 1, 0));
    let detail = only(&host).await.detail;
    assert!(detail.contains(": 7 BX ordered of `FST-1007` on line 1 in this host and 8 BX in erp; "), "{detail}");
}

#[tokio::test]
async fn what_is_on_its_way_and_what_changed_a_moment_ago_is_no_difference() {
    let (host, _) = with_orders(posting(Mischief::default()), 1).await;
    host.erp.down(true);
    host.send_edi(&x12(7, &PurchaseOrder::clean("PO-7"))).await.unwrap();
    host.decide_all().await;
    host.erp.down(false);
    later(&host, 60);
    let found = compared(&host).await;
    assert_eq!((counts(&found), told(&host).await.len()), ((1, 1, 0, 1), 0), "it waits in the outbox: {found:?}");
    host.come_to_rest().await;
    // It arrived a moment ago, and the ERP's list may be older.
    let order = host.order("PO-7").await.id;
    host.erp.lose_order(&document(order));
    assert_eq!(counts(&compared(&host).await), (1, 1, 0, 1));
    later(&host, 31);
    assert_eq!(counts(&compared(&host).await), (2, 1, 1, 0), "by then it should be there");
    host.erp.find_lost_orders();
    assert_eq!(counts(&compared(&host).await), (2, 2, 0, 0));
}

#[tokio::test]
async fn what_left_in_part_agrees_and_what_the_erp_posted_by_itself_is_told() {
    let (host, orders) = with_orders(posting(Mischief::default()), 3).await;
    ship(&host, orders[0], "S-1", &[("1", "FST-1007", "6")]).await;
    ship(&host, orders[1], "S-2", &[FIRST, SECOND]).await;
    host.come_to_rest().await;
    later(&host, 60);
    // Of the second all has left, and neither lists it.
    let found = compared(&host).await;
    assert_eq!((counts(&found), told(&host).await.len()), ((2, 2, 0, 0), 0), "{found:?}");

    clerk(&host, "salesOrders(00000000-0000-4000-8000-000000101003)/Microsoft.NAV.shipAndInvoice", "").await;
    assert_eq!(counts(&compared(&host).await), (2, 1, 1, 0));
    let exception = only(&host).await;
    assert!(exception.detail.contains("`PO-3`") && exception.detail.contains("and not in erp"), "{exception:?}");
}

#[tokio::test]
async fn what_left_and_is_still_open_in_the_erp_is_told_as_where_each_of_them_is() {
    let nothing_posted = posting(Mischief::default())
        .replace(
            "portreeve.toml",
            "on = \"shipment.confirmed\"\ntarget = \"erp\"\nkind = \"business-central/ship-and-invoice\"",
            "on = \"shipment.delayed\"\ntarget = \"erp\"\nkind = \"business-central/close\"",
        )
        .replace("portreeve.toml", "\"return.received\"]", "\"return.received\", \"shipment.delayed\"]");
    let (host, orders) = with_orders(nothing_posted, 1).await;
    ship(&host, orders[0], "S-1", &[FIRST, SECOND]).await;
    host.come_to_rest().await;
    later(&host, 60);
    assert_eq!(counts(&compared(&host).await), (1, 0, 1, 0));
    let exception = only(&host).await;
    assert_eq!(exception.code, "stages-differ");
    let told = format!(
        "found of order `PO-1` `{}`: shipped in this host and open in erp; 10 BX left of `FST-1007` on line 1 in this \
         host and none in erp; ",
        orders[0]
    );
    assert!(exception.detail.contains(&told), "{}", exception.detail);
}

#[tokio::test]
async fn orders_of_others_are_theirs_and_one_that_only_the_erp_has_is_told() {
    let (host, _) = with_orders(posting(Mischief::default()), 1).await;
    clerk(&host, "salesOrders", &entered("by hand", "USD")).await;
    assert_eq!(counts(&compared(&host).await), (1, 1, 0, 0));
    clerk(&host, "salesOrders", &entered("6fa459eaee8a3ca4894edb77e160355e", "USD")).await;
    later(&host, 60);
    let found = compared(&host).await;
    assert_eq!(counts(&found), (2, 1, 1, 0), "{found:?}");
    let exception = only(&host).await;
    let told = "found order `6fa459ea-ee8a-3ca4-894e-db77e160355e` in erp (open, 1 BX ordered of";
    assert!(exception.detail.contains(told) && exception.detail.contains("and not in this host"), "{exception:?}");
    // Two sales orders of one order are twice as much of it.
    clerk(&host, "salesOrders", &entered("6fa459eaee8a3ca4894edb77e160355e", "USD")).await;
    assert_eq!(counts(&compared(&host).await), (2, 1, 1, 0));
    let exception = only(&host).await;
    assert!(exception.detail.contains("in erp (open, 2 BX ordered of `FST-1007`"), "{exception:?}");
}

#[tokio::test]
async fn an_order_in_a_currency_of_the_erps_own_making_is_told_and_the_others_are_compared() {
    let (host, orders) = with_orders(posting(Mischief::default()), 2).await;
    clerk(&host, "salesOrders", &entered("by hand", "CLAIMS")).await;
    clerk(&host, "salesOrders", &entered(&document(orders[1]), "EURO")).await;
    later(&host, 60);
    assert_eq!(counts(&compared(&host).await), (2, 1, 1, 0));
    let exception = only(&host).await;
    let sentence = "in erp, found another currency; expected a code of ISO 4217 such as USD, also in the setting \
                    `local-currency` (`sales-order-malformed` at ";
    assert_eq!(exception.code, "unreadable-row");
    assert!(exception.detail.contains(sentence), "{}", exception.detail);
}

#[tokio::test]
async fn however_the_pages_are_cut_the_same_is_found_and_one_bad_order_silences_none_of_the_others() {
    let (host, orders) = with_orders(posting(Mischief::default()), 5).await;
    host.erp.enter_otherwise(&document(orders[2]), "2", decimal("3"), decimal("12.95"));
    host.erp.page_orders_by(2);
    assert_eq!(counts(&compared(&host).await), (5, 4, 1, 0));
    assert_eq!(last_run(&host).await.right.unwrap().pages, 4);
    let before = only(&host).await;

    // A clerk's own order in the ERP's own currency is none of the host's.
    clerk(&host, "salesOrders", &entered("by hand", "")).await;
    assert_eq!(counts(&compared(&host).await), (5, 4, 1, 0));
    // One that names an order of the host cannot be compared, and the others are what they are.
    clerk(&host, "salesOrders", &entered(&document(orders[1]), "")).await;
    host.erp.lose_order(&document(orders[0]));
    host.erp.enter_otherwise(&document(orders[2]), "2", decimal("4"), decimal("12.95"));
    assert_eq!(counts(&compared(&host).await), (5, 3, 2, 0), "what is equal again is closed");
    let open = told(&host).await;
    let codes: Vec<&str> = open.iter().map(|open| open.code.as_str()).collect();
    assert_eq!(codes, ["unreadable-row", "missing"], "{open:?}");
    assert!(open.iter().all(|open| open.id != before.id), "{open:?}");
    let sentence = format!(
        "found order `PO-2` `{}` that cannot be compared, expected one that can: in erp, found no currency, by which the \
         ERP means its own; expected the setting `local-currency` to say which that is (`sales-order-malformed` at ",
        orders[1]
    );
    assert!(open[0].detail.contains(&sentence), "{}", open[0].detail);
    assert_eq!(compared(&host).await.opened, 0, "it is the same one the next morning");

    // Half a list judges nothing: whatever was found before stands.
    host.erp.down(true);
    assert_eq!(unheard(&host).await.0, "not-now");
    let open = told(&host).await;
    assert!(open.len() == 3 && open[2].detail.contains("found no whole list of erp"), "{open:?}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_list_that_is_throttled_goes_on_from_the_page_where_it_stopped() {
    let throttling = Mischief { throttle_per_mille: 1_000, ..Mischief::default() };
    let (host, _) = with_orders(posting(throttling), 3).await;
    host.erp.page_orders_by(1);
    let before = host.clock.now();
    assert_eq!(counts(&compared(&host).await), (3, 3, 0, 0));
    assert_eq!(last_run(&host).await.right.unwrap().pages, 4);
    assert_eq!(host.clock.now(), before.plus_ms(8_000), "each page was asked for twice in vain, a second apart");
}

#[tokio::test]
async fn a_reconciliation_of_orders_that_cannot_work_is_refused_with_what_would_help() {
    for (from, to, told) in [
        ("of = \"orders\"\ntarget = \"erp\"", "of = \"orders\"", "at a target; name that as `target`"),
        ("of = \"orders\"\ntarget = \"erp\"", "of = \"orders\"\ntarget = \"nobody\"", "target `nobody` does not exist"),
        ("of = \"orders\"\ntarget = \"erp\"", "of = \"stock\"", "since the host keeps none; name both"),
        ("settle_minutes = 30\n", "window_days = 0\n", "`window_days` is out of bounds; expected 1 to 366"),
        ("system = \"erp\"", "system = \"this host\"", "both systems are called `this host`"),
    ] {
        let setup = with_reconciliation(posting(Mischief::default())).replace("portreeve.toml", from, to);
        let error = setup.try_start().await.err().map(|error| format!("{error:#}"));
        let error = error.unwrap_or_else(|| panic!("{to} was taken"));
        assert!(error.contains(told), "{error}");
    }
}

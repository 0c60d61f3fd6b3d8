//! What happened by what two systems say: invoices of the ERP, shipments of the warehouse and payments of
//! the processor, against each other and against what the host heard.

use portreeve::standins::erp::COMPANY;
use portreeve::standins::payment::Dispute;
use portreeve::standins::shop::Basket;
use portreeve::standins::{Mischief, Wms};
use portreeve_model::value::Decimal;
use portreeve_model::{Digest, ExceptionAction, Instant};
use portreeve_pipeline::reconcile::{Compared, Outcome};
use portreeve_pipeline::{Clock, Credential};
use serde_json::json;

use crate::posted::{fetching, invoiced, poll};
use crate::posting::{accepted, full_warehouse, warehoused, works};
use crate::reconciled_orders::{clerk, counts, document, entered, only, told};
use crate::refunds::Desk;
use crate::support::exceptions::decide;
use crate::support::people::acts_as;
use crate::support::{PurchaseOrder, Setup, TestHost, x12};

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

/// An entry of this subject, judged for a week, with the ERP on its right.
fn with_erp(setup: Setup, of: &str, more: &str) -> Setup {
    let entry = format!(
        "\n[[reconciliation]]\nid = \"{of}\"\nof = \"{of}\"\nexception_queue = \"integration\"\nsettle_minutes = 30\n\
         window_days = 7\n{more}\n[reconciliation.right]\nsystem = \"erp\"\nconnector = \"erp-rest\"\n\
         transformer = \"business-central\"\norigin = \"${{ERP_ORIGIN}}\"\nsettings = {{ base-url = \
         \"${{ERP_ORIGIN}}/api/v2.0\", company = \"{COMPANY}\", list = \"{of}\", account-unit = \"EA\", discount-line = \"DISCOUNT\" }}\n"
    );
    setup.append("portreeve.toml", &entry)
}

fn later(host: &TestHost, minutes: i64) {
    host.clock.advance_to(host.clock.now().plus_ms(minutes * Instant::MINUTE_MS));
}

async fn compared(host: &TestHost, id: &str) -> Compared {
    match host.host.pipeline.reconcile(id, None, false).await.unwrap().outcome {
        Outcome::Compared(found) => found,
        Outcome::NotCompared(unheard) => panic!("{unheard:?}"),
    }
}

// --- invoices ---

async fn with_invoices(count: usize) -> TestHost {
    let host = with_erp(fetching(Mischief::default(), ""), "invoices", "").start().await;
    for number in 1..=count {
        invoiced(&host, &format!("PO-{number}")).await;
    }
    host
}

async fn hears(host: &TestHost) {
    assert_eq!(poll(host, "invoices").await.failed, None);
    host.decide_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_nobody_told_of_is_told_and_closed_when_it_is_heard_of() {
    let host = with_invoices(2).await;
    hears(&host).await;
    later(&host, 60);
    assert_eq!(counts(&compared(&host, "invoices").await), (2, 2, 0, 0));

    invoiced(&host, "PO-3").await;
    later(&host, 60);
    assert_eq!(counts(&compared(&host, "invoices").await), (3, 2, 1, 0));
    let exception = only(&host).await;
    assert_eq!(exception.code, "missing");
    let sentence =
        "invoices: found invoice `PS-INV103003` in erp (235.80 USD in total, 0.00 USD of tax) and not in this host";
    assert!(exception.detail.starts_with(sentence), "{}", exception.detail);

    later(&host, 1);
    hears(&host).await;
    let found = compared(&host, "invoices").await;
    assert_eq!((counts(&found), found.closed, told(&host).await.len()), ((3, 3, 0, 0), 1, 0));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_money_and_an_invoice_that_the_erp_lost_are_told() {
    let host = with_invoices(3).await;
    hears(&host).await;
    later(&host, 60);
    host.erp.post_otherwise("PS-INV103001", "1", decimal("10"), 1);
    assert!(host.erp.lose_invoice("PS-INV103002"));
    assert_eq!(counts(&compared(&host, "invoices").await), (3, 1, 2, 0));
    let all = told(&host).await;
    let of = |code: &str| all.iter().find(|open| open.code == code).unwrap().detail.clone();
    let sentence =
        "found of invoice `PS-INV103001`: 235.80 USD in total in this host and 235.81 USD in erp, expected the same";
    assert!(of("numbers-differ").contains(sentence), "{all:?}");
    assert!(of("missing").contains("`PS-INV103002` in this host (235.80 USD in total"), "{all:?}");
    host.erp.post_otherwise("PS-INV103001", "1", decimal("10"), -1);
    assert_eq!(compared(&host, "invoices").await.closed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_that_nobody_can_read_is_told_by_its_number_and_the_others_are_compared() {
    let host = with_invoices(2).await;
    hears(&host).await;
    later(&host, 60);
    // A clerk invoices an order of the host without its line numbers, and one in the ERP's own currency.
    for (number, currency) in [("PO-1", "USD"), ("PO-2", "")] {
        let document = document(host.order(number).await.id);
        clerk(&host, "salesOrders", &entered(&document, currency)).await;
    }
    for number in ["101003", "101004"] {
        let path = format!("salesOrders(00000000-0000-4000-8000-000000{number})/Microsoft.NAV.shipAndInvoice");
        clerk(&host, &path, "").await;
    }
    host.erp.lose_invoice("PS-INV103001");
    later(&host, 60);
    assert_eq!(counts(&compared(&host, "invoices").await), (4, 1, 3, 0));
    let all = told(&host).await;
    let is = |code: &str, text: &str| all.iter().any(|open| open.code == code && open.detail.contains(text));
    assert!(is("missing", "found invoice `PS-INV103001` in this host"), "{all:?}");
    let unread = |number: &str| {
        format!("found invoice `{number}` that cannot be compared, expected one that can: in erp, found ")
    };
    assert!(is("unreadable-row", &format!("{}lines that do not have", unread("PS-INV103003"))), "{all:?}");
    assert!(is("unreadable-row", &format!("{}no currency", unread("PS-INV103004"))), "{all:?}");
    assert_eq!(compared(&host, "invoices").await.opened, 0);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_window_is_not_judged_and_what_was_heard_before_it_is_known() {
    let host = with_invoices(2).await;
    hears(&host).await;
    later(&host, 60);
    host.erp.lose_invoice("PS-INV103001");
    assert_eq!(counts(&compared(&host, "invoices").await), (2, 1, 1, 0));
    later(&host, 30 * 24 * 60);
    // What is too old is not judged any more. Nobody mended it by that, so people still see it.
    assert_eq!((counts(&compared(&host, "invoices").await), told(&host).await.len()), ((0, 0, 0, 0), 1));

    // The ERP says that it posted the other one now, which the host heard of a month ago.
    let document = host.order("PO-2").await.id.to_string().replace('-', "");
    host.erp.set_clock(host.clock.now().plus_ms(-Instant::DAY_MS));
    host.erp.tells_late([document.clone()]);
    host.erp.tell(&document);
    assert_eq!((counts(&compared(&host, "invoices").await), told(&host).await.len()), ((0, 0, 0, 0), 1));
}

// --- shipments ---

/// The ERP's number of what it posted of a shipment.
fn posting_of(host: &TestHost, shipment: &str) -> String {
    let invoices = host.erp.invoices();
    invoices.iter().find(|invoice| invoice.shipment.as_deref() == Some(shipment)).unwrap().number.clone()
}

fn between(wms: &Wms, more: &str) -> String {
    format!(
        "{more}\n[reconciliation.left]\nsystem = \"wms\"\nconnector = \"wms-rest\"\ntransformer = \"wms-documents\"\n\
         origin = \"{}\"\nsettings = {{ base-url = \"{}\", list = \"shipments\" }}\n",
        wms.origin(),
        wms.base_url()
    )
}

/// A host and its warehouse, from which so many orders left by way of the host into the ERP.
async fn shipped(count: usize) -> (Wms, TestHost) {
    let wms = full_warehouse(Mischief::default()).await;
    let setup = with_erp(warehoused(&wms, Mischief::default()), "shipments", &between(&wms, "target = \"erp\""));
    let host = setup.start().await;
    ships(&host, &wms, 1..=count).await;
    host.come_to_rest().await;
    later(&host, 120);
    (wms, host)
}

async fn ships(host: &TestHost, wms: &Wms, numbers: std::ops::RangeInclusive<usize>) {
    for number in numbers {
        accepted(host, &format!("PO-{number}")).await;
    }
    while works(host, wms).await {
        host.decide_all().await;
        host.deliver_due().await;
    }
}

#[tokio::test]
async fn what_left_the_warehouse_and_what_the_erp_posted_agree_however_their_pages_are_cut() {
    let (wms, host) = shipped(3).await;
    wms.page_by(2);
    host.erp.page_orders_by(1);
    let found = compared(&host, "shipments").await;
    assert_eq!((counts(&found), told(&host).await.len()), ((3, 3, 0, 0), 0), "{found:?}");

    let second = posting_of(&host, "SH-2");
    host.erp.post_otherwise(&second, "1", decimal("9"), 0);
    assert_eq!(counts(&compared(&host, "shipments").await), (3, 2, 1, 0));
    let exception = only(&host).await;
    let sentence = ": 10 BX left of `FST-1007` on line 1 in wms and 9 BX in erp, expected the same";
    assert!(exception.detail.contains(sentence) && exception.detail.contains("/SH-2`"), "{}", exception.detail);
    host.erp.post_otherwise(&second, "1", decimal("10"), 0);
    assert_eq!(compared(&host, "shipments").await.closed, 1);

    host.erp.lose_invoice(&posting_of(&host, "SH-1"));
    wms.forget_shipment("SH-3");
    assert_eq!(counts(&compared(&host, "shipments").await), (3, 1, 2, 0));
    let all = told(&host).await;
    let is = |text: &str| all.iter().any(|open| open.code == "missing" && open.detail.contains(text));
    assert!(
        is("/SH-1` in wms (10 BX left of `FST-1007` on line 1, 4 BX left of `FST-1014` on line 2) and not in erp"),
        "{all:?}"
    );
    assert!(is("/SH-3` in erp (") && is(") and not in wms"), "{all:?}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_left_and_waits_for_an_erp_that_is_down_is_on_its_way() {
    let (wms, host) = shipped(1).await;
    accepted(&host, "PO-2").await;
    host.come_to_rest().await;
    host.erp.down(true);
    while works(&host, &wms).await {
        host.decide_all().await;
        host.deliver_due().await;
    }
    later(&host, 5 * 60);
    host.erp.down(false);
    assert_eq!(counts(&compared(&host, "shipments").await), (1, 1, 0, 1), "the host has it in its outbox");
    host.come_to_rest().await;
    later(&host, 60);
    assert_eq!((counts(&compared(&host, "shipments").await), told(&host).await.len()), ((2, 2, 0, 0), 0));
}

// --- payments ---

/// A host with a paid order, and a processor that can list.
async fn paid() -> Desk {
    let with_list = |setup: Setup, origin: &str| setup.append("portreeve.toml", &PAYMENTS.replace("ORIGIN", origin));
    let desk = Desk::at(Mischief::default(), with_list).await;
    later(&desk.host, 60);
    desk
}

/// That of a channel for payments alone.
const TOKEN: &str = "token-of-the-processor";

const PAYMENTS: &str = r#"
[[reconciliation]]
id = "payments"
of = "payments"
target = "payments"
exception_queue = "integration"
settle_minutes = 30
window_days = 7

[reconciliation.right]
system = "stripe"
connector = "stripe"
transformer = "stripe-events"
origin = "ORIGIN"
settings = { base-url = "ORIGIN", list = "payments" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_another_system_says_is_none_of_the_two_where_channels_are_named() {
    for (channel, expected) in [("systems", (1, 1, 0, 0)), ("edi", (0, 0, 0, 0))] {
        let with_list = |setup: Setup, origin: &str| {
            let named = format!("target = \"payments\"\nchannels = [\"{channel}\"]");
            let payments = PAYMENTS.replace("ORIGIN", origin).replace("target = \"payments\"", &named);
            setup.append("portreeve.toml", &payments)
        };
        let desk = Desk::at(Mischief::default(), with_list).await;
        later(&desk.host, 60);
        let found = compared(&desk.host, "payments").await;
        // What only the processor lists and the host heard of elsewhere is known, and not missing.
        assert_eq!(counts(&found), expected, "{channel}: {found:?}");
    }
}

/// A host that hears of payments by a channel of their own, whose orders have the numbers that came in by this one.
async fn heard_by_number(channel: &str) -> Desk {
    let with_list = |setup: Setup, origin: &str| {
        let named = "target = \"payments\"\nchannels = [\"psp\"]";
        let payments = PAYMENTS.replace("ORIGIN", origin).replace("target = \"payments\"", named);
        let psp = format!(
            "\n[[sender]]\nchannel = \"psp\"\nid = \"psp\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"psp\"\n\
             connector = \"cloudevents\"\ndocuments = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\ntarget = \"erp\"\n\
             exception_queue = \"integration\"\nsays = [\"payment.settled\"]\norders_by = {{ channel = \"{channel}\" }}\n",
            Digest::of(TOKEN.as_bytes())
        );
        setup.append("portreeve.toml", &payments).append("portreeve.toml", &psp)
    };
    Desk::at(Mischief::default(), with_list).await
}

async fn says_by_number(host: &TestHost, number: &str, reference: &str, minor: &str) {
    let settled =
        json!({"orderNumber": number, "paymentReference": reference, "amount": {"minor": minor, "currency": "USD"}});
    let event =
        json!([{"specversion": "1.0", "id": reference, "source": "/psp", "type": "payment.settled", "data": settled}]);
    host.send("psp", Credential::Bearer(TOKEN), event.to_string().as_bytes()).await.unwrap();
    host.decide_all().await;
}

fn left_aside(found: &Compared) -> Vec<(&'static str, u64)> {
    found.left_aside.iter().map(|aside| (aside.why.as_str(), aside.rows)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_which_nothing_says_whose_they_are_are_told_in_one_sentence_until_something_does() {
    let desk = paid().await;
    // This one the host knows by its reference, whatever the processor calls its order.
    let known = desk.payments.pay("PO-1", 5_000, "usd");
    let settled = json!({"orderNumber": desk.order, "paymentReference": known.charge, "amount": {"minor": "5000", "currency": "USD"}});
    desk.said("payment.settled", &settled).await;
    for number in ["PO-1", "PO-7", "PO-8"] {
        drop(desk.payments.pay(number, 100, "usd"));
    }
    later(&desk.host, 60);
    let found = compared(&desk.host, "payments").await;
    assert_eq!((counts(&found), found.opened), ((2, 2, 0, 0), 1), "{found:?}");
    assert_eq!(left_aside(&found), [("orders-unresolved", 3)]);
    let exception = only(&desk.host).await;
    assert_eq!(exception.code, "orders-unresolved");
    let sentence = "payments: found 3 rows in the list of stripe naming orders by numbers of which nothing says whose they \
                    are (`PO-1`, `PO-7`, `PO-8`), expected the host's ids, or a channel that says so: set `orders_by` of";
    assert!(exception.detail.starts_with(sentence), "{}", exception.detail);

    // One more is the same exception, and one that somebody takes for others' stays closed.
    drop(desk.payments.pay("PO-9", 100, "usd"));
    assert_eq!(compared(&desk.host, "payments").await.opened, 0);
    assert!(only(&desk.host).await.detail.contains("found 4 rows"));
    let who = acts_as(&desk.host.host.pipeline, "ines", &["integration"]).await;
    decide(&desk.host, &who, exception.id, ExceptionAction::Abandon).await.unwrap();
    drop(desk.payments.pay("PO-10", 100, "usd"));
    let found = compared(&desk.host, "payments").await;
    assert_eq!((found.opened, left_aside(&found)), (0, vec![("orders-unresolved", 5)]));
    assert!(told(&desk.host).await.is_empty());

    // Once a channel says whose numbers they are, they are compared.
    let Desk { host, payments, .. } = desk;
    let by = ("[[channel]]\nid = \"systems\"\n", "[[channel]]\nid = \"systems\"\norders_by = { channel = \"edi\" }\n");
    let host = host.restart_with(|setup| setup.replace("portreeve.toml", by.0, by.1)).await;
    let found = compared(&host, "payments").await;
    assert_eq!((counts(&found), left_aside(&found)), ((3, 2, 1, 0), vec![("orders-of-others", 4)]), "{found:?}");
    assert!(only(&host).await.detail.contains("in stripe (1.00 USD moved) and not in this host"));
    drop(payments);
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_says_whose_numbers_payments_have_is_enough_where_no_channel_tells_of_refunds() {
    let with_list = |setup: Setup, origin: &str| {
        let without_refunds = setup.replace("portreeve.toml", ", \"refund.issued\"]\n", "]\n");
        without_refunds.append("portreeve.toml", &PAYMENTS.replace("ORIGIN", origin))
    };
    let desk = Desk::at(Mischief::default(), with_list).await;
    later(&desk.host, 60);
    drop(desk.payments.pay("PO-8", 100, "usd"));
    assert_eq!(compared(&desk.host, "payments").await.opened, 1);
    assert_eq!(only(&desk.host).await.code, "orders-unresolved");
    let Desk { host, payments, .. } = desk;
    let by = ("[[channel]]\nid = \"systems\"\n", "[[channel]]\nid = \"systems\"\norders_by = { channel = \"edi\" }\n");
    let host = host.restart_with(|setup| setup.replace("portreeve.toml", by.0, by.1)).await;
    let found = compared(&host, "payments").await;
    assert_eq!((left_aside(&found), found.closed), (vec![("orders-of-others", 1)], 1), "{found:?}");
    assert!(told(&host).await.is_empty());
    drop(payments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_told_when_its_row_has_settled_and_no_more_once_the_host_knows_the_row() {
    let desk = paid().await;
    let host = &desk.host;
    // The processor's clock is the host's again, so this was paid a moment ago.
    desk.payments.pass(60 * 60);
    let payment = desk.payments.pay("PO-1", 5_000, "usd");
    let found = compared(host, "payments").await;
    assert_eq!((found.opened, left_aside(&found)), (0, vec![]), "{found:?}");
    later(host, 60);
    let found = compared(host, "payments").await;
    assert_eq!((found.opened, left_aside(&found)), (1, vec![("orders-unresolved", 1)]), "{found:?}");
    let settled = json!({"orderNumber": desk.order, "paymentReference": payment.charge, "amount": {"minor": "5000", "currency": "USD"}});
    desk.said("payment.settled", &settled).await;
    let found = compared(host, "payments").await;
    assert_eq!((counts(&found), found.closed, left_aside(&found)), ((2, 2, 0, 0), 1, vec![]), "{found:?}");
    assert!(told(host).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_the_time_that_is_looked_at_says_of_no_number_whose_it_is() {
    let desk = paid().await;
    let host = &desk.host;
    drop(desk.payments.pay("PO-1", 100, "usd"));
    assert_eq!(compared(host, "payments").await.opened, 1);
    let first = only(host).await.id;
    later(host, 60 * 24 * 60);
    let found = compared(host, "payments").await;
    assert_eq!((found.left_aside.len(), found.closed), (0, 0), "{found:?}");
    assert_eq!(only(host).await.id, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_for_an_order_that_this_host_does_not_have_is_told_where_the_host_counted_it_and_else_is_others() {
    let desk = heard_by_number("edi").await;
    let host = &desk.host;
    let payment = desk.payments.pay("PO-1", 5_000, "usd");
    says_by_number(host, "PO-1", &payment.charge, "5000").await;
    later(host, 60);
    let found = compared(host, "payments").await;
    assert_eq!((counts(&found), left_aside(&found)), ((1, 1, 0, 0), vec![]));
    desk.payments.pay_for(&payment.charge, "PO-9");
    drop(desk.payments.pay("PO-8", 1, "usd"));
    later(host, 60);
    let found = compared(host, "payments").await;
    assert_eq!((counts(&found), left_aside(&found)), ((1, 0, 1, 0), vec![("orders-of-others", 1)]));
    let sentence = "left aside of the list of stripe, as about no order of this host: 1 row (`PO-8`)";
    assert_eq!(found.left_aside.first().unwrap().detail, sentence);
    let exception = only(host).await;
    assert_eq!(exception.code, "orders-differ");
    let sentence = format!(
        "50.00 USD for order `PO-1` (`{}`) in this host and for order `PO-9`, which this host does not have, in stripe, expected",
        desk.order
    );
    assert!(exception.detail.contains(&sentence), "{}", exception.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_looks_like_an_id_of_the_hosts_is_a_number_and_one_that_is_both_is_told() {
    let desk = heard_by_number("edi").await;
    let host = &desk.host;
    let (looks_alike, both) = ("6fa459ea-ee8a-3ca4-894e-db77e160355e", desk.order.to_string());
    let orders = [PurchaseOrder::clean(looks_alike), PurchaseOrder::clean(&both)];
    for (control, order) in (2..).zip(&orders) {
        host.send_edi(&x12(control, order)).await.unwrap();
    }
    host.decide_all().await;
    for (number, minor) in [(looks_alike, "5000"), (both.as_str(), "700")] {
        let payment = desk.payments.pay(number, minor.parse().unwrap(), "usd");
        says_by_number(host, number, &payment.charge, minor).await;
    }
    later(host, 60);
    let found = compared(host, "payments").await;
    // The one that the host did not hear of by this channel names the same order.
    assert_eq!(counts(&found), (3, 1, 2, 0), "{found:?}");
    let all = told(host).await;
    assert!(all.iter().all(|open| open.code == "unreadable-row"), "{all:?}");
    let second = host.order(&both).await.id;
    let sentence = format!(
        "in stripe, found the order `{both}` named, which is this host's id of one order and what others call the order `{second}`"
    );
    assert!(all.iter().all(|open| open.detail.contains(&sentence)), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_looks_like_an_id_of_the_hosts_and_is_no_orders_counts_as_any_other_number() {
    let cart = "6fa459ea-ee8a-3ca4-894e-db77e160355e";
    let desk = paid().await;
    // The host knows this one by its reference, and the processor has the cart's number beside it.
    let known = desk.payments.pay(cart, 5_000, "usd");
    let settled = json!({"orderNumber": desk.order, "paymentReference": known.charge, "amount": {"minor": "5000", "currency": "USD"}});
    desk.said("payment.settled", &settled).await;
    drop(desk.payments.pay(cart, 100, "usd"));
    later(&desk.host, 60);
    let found = compared(&desk.host, "payments").await;
    assert_eq!((counts(&found), left_aside(&found)), ((2, 2, 0, 0), vec![("orders-unresolved", 1)]), "{found:?}");

    // Where a channel says whose numbers they are, it is one that no order of this host has.
    let desk = heard_by_number("edi").await;
    drop((desk.payments.pay(cart, 100, "usd"), desk.payments.pay("PO-8", 100, "usd")));
    later(&desk.host, 60);
    let found = compared(&desk.host, "payments").await;
    assert_eq!((counts(&found), left_aside(&found)), ((0, 0, 0, 0), vec![("orders-of-others", 2)]), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_two_shops_have_is_that_of_the_channel_which_the_processor_names_orders_by() {
    let basket = Basket { entity_id: 1, sku: "FST-1007", quantity: 2, price_minor: 1_840 };
    let number = basket.increment_id();
    for (by, whose) in [("shop", true), ("edi", false)] {
        let desk = heard_by_number(by).await;
        let host = &desk.host;
        host.send_shop(&basket.placed()).await.unwrap();
        host.send_edi(&x12(2, &PurchaseOrder::clean(&number))).await.unwrap();
        host.decide_all().await;
        let payment = desk.payments.pay(&number, 3_680, "usd");
        says_by_number(host, &number, &payment.charge, "3680").await;
        let paid = async |channel: &str| {
            let orders = host.orders().await.into_iter();
            let mut of = orders.filter(|order| order.number == number && order.channel.as_str() == channel);
            host.progress(of.next().unwrap().id).await.money.paid_minor
        };
        assert_eq!(paid(if whose { "shop" } else { "edi" }).await, 3_680);
        later(host, 60);
        let found = compared(host, "payments").await;
        assert_eq!((counts(&found), told(host).await.len()), ((1, 1, 0, 0), 0), "{by}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_and_paid_back_agrees_with_the_processor_once_it_is_done() {
    let desk = paid().await;
    assert_eq!(counts(&compared(&desk.host, "payments").await), (1, 1, 0, 0));
    desk.said("order.rejected", &json!({"orderNumber": desk.order})).await;
    later(&desk.host, 60);
    let found = compared(&desk.host, "payments").await;
    assert_eq!(counts(&found), (1, 1, 0, 1), "the refund waits in the outbox: {found:?}");
    desk.host.come_to_rest().await;
    later(&desk.host, 60);
    desk.payments.page_by(1);
    let found = compared(&desk.host, "payments").await;
    assert_eq!((counts(&found), told(&desk.host).await.len()), ((2, 2, 0, 0), 0), "{found:?}");
    desk.host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_differs_and_money_that_only_one_of_both_knows_is_told() {
    let desk = paid().await;
    let host = &desk.host;
    let payment = desk.payments.payments().remove(0);
    desk.payments.charge_otherwise(&payment.charge, 18_399);
    assert_eq!(counts(&compared(host, "payments").await), (1, 0, 1, 0));
    let detail = only(host).await.detail;
    let sentence = format!(
        "found of `payment {}`: 184.00 USD moved in this host and 183.99 USD in stripe, expected",
        payment.charge
    );
    assert!(detail.contains(&sentence), "{detail}");
    desk.payments.charge_otherwise(&payment.charge, 18_400);
    assert_eq!(compared(host, "payments").await.closed, 1);

    // A second payment and a chargeback of the first, of which no webhook came; and one of nobody's order.
    let order = desk.order.to_string();
    drop((desk.payments.pay(&order, 5_000, "usd"), desk.payments.pay("somebody-elses", 1, "usd")));
    drop(desk.payments.disputed(&payment, Dispute::Withdrawn, 0));
    later(host, 60);
    assert_eq!(counts(&compared(host, "payments").await), (3, 1, 2, 0));
    let all = told(host).await;
    let is = |text: &str| all.iter().any(|open| open.code == "missing" && open.detail.contains(text));
    assert!(is("found `payment ch_standin000002` in stripe (50.00 USD moved) and not in this host"), "{all:?}");
    assert!(is("found `payment dp_standin000001` in stripe (-184.00 USD moved) and not in this host"), "{all:?}");
    // Heard of under the number that its sender gave the order, it is the same order.
    let settled = json!({"orderNumber": desk.order, "paymentReference": "ch_standin000002", "amount": {"minor": "5000", "currency": "USD"}});
    desk.said("payment.settled", &settled).await;
    let found = compared(host, "payments").await;
    assert_eq!((counts(&found), found.closed), ((3, 2, 1, 0), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transfer_that_pays_two_orders_is_one_and_silences_nothing_else() {
    let desk = paid().await;
    let host = &desk.host;
    host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();
    host.decide_all().await;
    let other = host.order("PO-2").await.id;
    let transfer = desk.payments.pay(&desk.order.to_string(), 5_000, "usd");
    for (order, minor) in [(desk.order, "3000"), (other, "2000")] {
        let part = json!({"orderNumber": order, "paymentReference": transfer.charge, "amount": {"minor": minor, "currency": "USD"}});
        desk.said("payment.settled", &part).await;
    }
    drop(desk.payments.pay(&desk.order.to_string(), 1, "usd"));
    later(host, 60);
    assert_eq!(counts(&compared(host, "payments").await), (3, 2, 1, 0), "the third nobody heard of");
    desk.payments.charge_otherwise(&transfer.charge, 5_001);
    assert_eq!(counts(&compared(host, "payments").await), (3, 1, 2, 0));
    let all = told(host).await;
    let sentence = format!(
        "found of `payment {}`: 50.00 USD moved in this host and 50.01 USD in stripe, expected",
        transfer.charge
    );
    assert!(all.iter().any(|open| open.detail.contains(&sentence)), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_the_processor_has_for_another_order_is_told_and_closed_when_both_name_the_same() {
    let desk = paid().await;
    let host = &desk.host;
    host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();
    host.decide_all().await;
    let other = host.order("PO-2").await.id;
    let payment = desk.payments.pay(&other.to_string(), 5_000, "usd");
    let settled = json!({"orderNumber": desk.order, "paymentReference": payment.charge, "amount": {"minor": "5000", "currency": "USD"}});
    desk.said("payment.settled", &settled).await;
    later(host, 60);
    assert_eq!(counts(&compared(host, "payments").await), (2, 1, 1, 0));
    let exception = only(host).await;
    assert_eq!(exception.code, "orders-differ");
    let number = host.orders().await.into_iter().find(|order| order.id == desk.order).unwrap().number;
    let sentence = format!(
        "payments: found of `payment {}`: 50.00 USD for order `{number}` (`{}`) in this host and for order `PO-2` (`{other}`) in \
         stripe, expected the same; find out which order it is for",
        payment.charge, desk.order
    );
    assert!(exception.detail.starts_with(&sentence), "{}", exception.detail);
    assert_eq!(compared(host, "payments").await.opened, 0, "it is the same one the next morning");
    desk.payments.pay_for(&payment.charge, &desk.order.to_string());
    let found = compared(host, "payments").await;
    assert_eq!((counts(&found), found.closed, told(host).await.len()), ((2, 2, 0, 0), 1, 0), "{found:?}");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn money_counts_when_it_moved_and_not_when_its_charge_or_its_dispute_was_made() {
    let desk = paid().await;
    let host = &desk.host;
    let order = desk.order.to_string();
    let payment = desk.payments.payments().remove(0);
    // A dispute that begins, and a charge that is authorised: the one is won and the other taken a month later.
    drop(desk.payments.disputed(&payment, Dispute::Withdrawn, 0));
    let authorised = desk.payments.authorise(&order, 1_000, "usd");
    let month = 30 * 24 * 60;
    later(host, month);
    desk.payments.pass(month * 60);
    drop(desk.payments.disputed(&payment, Dispute::Reinstated, 0));
    drop(desk.payments.capture(&authorised.charge).unwrap());
    let settled = |reference: &str, minor: &str| json!({"orderNumber": desk.order, "paymentReference": reference, "amount": {"minor": minor, "currency": "USD"}});
    desk.said("payment.settled", &settled("dp_standin000001-reinstated", "18400")).await;
    desk.said("payment.settled", &settled(&authorised.charge, "1000")).await;
    later(host, 60);
    let found = compared(host, "payments").await;
    // Of what moved a month ago nothing is judged: the first payment, and that its dispute began.
    assert_eq!((counts(&found), told(host).await.len()), ((2, 2, 0, 0), 0), "{found:?}");

    // What moves now and nobody hears of is told all the same, however old its charge is.
    let late = desk.payments.authorise(&order, 700, "usd");
    later(host, 6 * 24 * 60);
    desk.payments.pass(6 * 24 * 60 * 60);
    drop(desk.payments.capture(&late.charge).unwrap());
    later(host, 60);
    assert_eq!(counts(&compared(host, "payments").await), (3, 2, 1, 0));
    let detail = only(host).await.detail;
    let sentence = format!("found `payment {}` in stripe (7.00 USD moved) and not in this host", late.charge);
    assert!(detail.contains(&sentence), "{detail}");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciliation_of_what_happens_that_cannot_work_is_refused_with_what_would_help() {
    for (from, to, told) in [
        ("window_days = 7\n", "", "grows for ever, and only a time of it can be compared; name its `window_days`"),
        (
            "list = \"invoices\"",
            "list = \"invoices\", list-since = \"2026-01-01T00:00:00Z\"",
            "`list-since` is the host's to set",
        ),
    ] {
        let setup = with_erp(fetching(Mischief::default(), ""), "invoices", "").replace("portreeve.toml", from, to);
        let error = setup.try_start().await.err().map(|error| format!("{error:#}"));
        let error = error.unwrap_or_else(|| panic!("{to} was taken"));
        assert!(error.contains(told), "{error}");
    }
}

//! X12 to customers: what was said of an order goes out in an interchange of its own, under one
//! control number whatever is lost on the way, by HTTP or as a file.

use std::path::Path;

use portreeve::standins::Mischief;
use portreeve::standins::partner::{Entry, Partner};
use portreeve_model::{Digest, ExceptionAction, ExceptionKind, OrderId};
use portreeve_pipeline::Credential;
use portreeve_record::LeafBody;
use portreeve_record::leaf::ReceiptOutcome;
use portreeve_store::contract::{DeliveryView, OrderState};
use serde_json::{Value, json};

use crate::faults::{Fault, FaultyStore};
use crate::front::commands::{refused, run};
use crate::later::with_purpose;
use crate::support::{PurchaseOrder, Setup, TestHost, exceptions, x12};

const SYSTEMS: &str = "token-of-the-systems";

/// A host whose customers get an 855, 856 and 810 of each order: the ERP accepts by taking it, and
/// a channel says what was shipped and invoiced.
pub(crate) fn to_customers(setup: Setup, origin: &str, target: &str) -> Setup {
    let egress = format!("[[plugin.egress]]\norigin = \"{origin}\"\n");
    let channel = format!(
        "\n[[sender]]\nchannel = \"systems\"\nid = \"systems\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"systems\"\n\
         connector = \"cloudevents\"\ndocuments = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\n\
         target = \"erp\"\nexception_queue = \"integration\"\nsays = [\"shipment.confirmed\", \"invoice.posted\"]\n",
        Digest::of(SYSTEMS.as_bytes())
    );
    let customers = format!(
        "\n[[target]]\nid = \"customers\"\nconnector = \"x12-send\"\ntransformer = \"x12-out\"\nkind = \"x12/855\"\n\
         origin = \"{origin}\"\nexception_queue = \"integration\"\nfind = false\nfind_after_ms = 1000\nwith_order = true\n\
         {target}\n[target.interchange]\nknows_repeats = true\npartner_parts = 2\n"
    );
    let effects = [("order.accepted", "855"), ("shipment.confirmed", "856"), ("invoice.posted", "810")]
        .map(|(on, set)| format!("\n[[effect]]\non = \"{on}\"\ntarget = \"customers\"\nkind = \"x12/{set}\"\n"));
    let receipt = "kind = \"business-central/sales-order\"\nreceipt = \"order.accepted\"";
    setup
        .blindfolded("cloudevents")
        .blindfolded("cloudevents-events")
        .blindfolded("x12-out")
        .plugin("x12-send", "{ http = [\"POST\"] }")
        .append("portreeve.toml", &egress)
        .replace("portreeve.toml", "kind = \"business-central/sales-order\"", receipt)
        .append("portreeve.toml", &channel)
        .append("portreeve.toml", &customers)
        .append("portreeve.toml", &effects.concat())
}

/// What was agreed with customers.
pub(crate) fn agreed(origin: &str, more: &str) -> String {
    format!("settings = {{ base-url = \"{origin}\", sender = \"ZZ:PORTREEVE\", usage = \"P\"{more} }}")
}

async fn partners(mischief: Mischief) -> (Partner, Setup) {
    let partner = Partner::start(mischief).await.unwrap();
    let setup = to_customers(Setup::demo(), &partner.origin(), &agreed(&partner.origin(), ""));
    (partner, setup)
}

/// An order of ten boxes, which the demo's rules release, and that is delivered and accepted.
pub(crate) async fn accepted(host: &TestHost, number: &str, customer: &'static str) -> OrderId {
    let order = PurchaseOrder::clean(number).of_customer(customer).with_lines(&[("FST-1007", 10, "BX", "18.40")]);
    let control = u32::try_from(host.orders().await.len()).unwrap() + 1;
    host.send_edi(&x12(control, &order)).await.unwrap();
    host.decide_all().await;
    let order = host.order(number).await;
    assert_eq!(order.state, OrderState::Released, "{}", order.why);
    order.id
}

/// A system says something of an order.
pub(crate) async fn said(host: &TestHost, kind: &str, data: Value) {
    let id = Digest::of(format!("{kind}{data}").as_bytes()).to_string();
    let event = json!([{"specversion": "1.0", "id": id, "source": "/systems", "type": kind, "data": data}]);
    let sent = host.send("systems", Credential::Bearer(SYSTEMS), event.to_string().as_bytes()).await.unwrap();
    assert_eq!(sent.reply.status, 202, "{}", String::from_utf8_lossy(&sent.reply.body));
}

/// The order is shipped and invoiced.
pub(crate) async fn shipped_and_invoiced(host: &TestHost, order: OrderId, number: u32) {
    let boxes = json!({"value": "10", "scale": 0, "unit": "BX"});
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": boxes, "short": "none"});
    let shipment = format!("SH-{number}");
    let data = json!({"orderNumber": order, "shipmentNumber": shipment, "at": "1772530200000", "lines": [line]});
    said(host, "shipment.confirmed", data).await;
    let usd = |minor: i64| json!({"minor": minor.to_string(), "currency": "USD"});
    let price = json!({"amount": "1840", "scale": 2, "currency": "USD", "perQuantity": 1});
    let line = json!({"lineNumber": "1", "quantity": boxes, "unitPrice": price, "extended": usd(18_400)});
    let data = json!({"invoiceNumber": format!("INV-{number}"), "orderNumber": order, "shipmentNumber": shipment,
                      "postedOn": "2026-03-04", "lines": [line], "total": usd(18_400)});
    said(host, "invoice.posted", data).await;
}

/// Receiver, control number and set of what came, and how often.
fn came(ledger: &[Entry]) -> Vec<(&str, u64, &str, u32)> {
    ledger.iter().map(|entry| (entry.receiver.as_str(), entry.control, entry.set.as_str(), entry.times)).collect()
}

async fn to_the_customer(host: &TestHost, number: &str) -> Vec<DeliveryView> {
    let deliveries = host.order(number).await.deliveries.into_iter();
    deliveries.filter(|delivery| delivery.target == "customers").collect()
}

#[tokio::test]
async fn a_customer_hears_of_an_order_by_its_own_number_and_counts_what_it_hears() {
    let (partner, setup) = partners(Mischief::default()).await;
    let host = setup.start().await;
    let first = accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    shipped_and_invoiced(&host, first, 1).await;
    host.come_to_rest().await;
    let second = accepted(&host, "PO-2", "C1202").await;
    host.come_to_rest().await;
    assert_eq!(host.codes().await, Vec::<String>::new());
    let ledger = partner.ledger();
    assert_eq!(
        came(&ledger),
        [("ZZ:C1201", 1, "855", 1), ("ZZ:C1201", 2, "856", 1), ("ZZ:C1201", 3, "810", 1), ("ZZ:C1202", 1, "855", 1)]
    );
    assert_eq!(partner.faults(), Vec::<String>::new());
    assert_eq!([ledger[0].element("BAK", 3), ledger[0].element("BAK", 4)], ["PO-1", "20260302"]);
    assert_eq!([ledger[1].element("PRF", 1), ledger[2].element("BIG", 4)], ["PO-1", "PO-1"]);
    assert_eq!(ledger[3].element("BAK", 3), "PO-2");
    for (entry, order) in ledger.iter().zip([first, first, first, second]) {
        assert_eq!(entry.element("REF", 2).to_owned() + entry.element("REF", 3), expected_reference(entry, order));
        assert_eq!(entry.group, entry.control.to_string(), "one group, one number");
    }
    let known: Vec<_> = to_the_customer(&host, "PO-1").await.into_iter().filter_map(|view| view.interchange).collect();
    assert_eq!(
        known.iter().map(|known| (known.partner.as_str(), known.number)).collect::<Vec<_>>(),
        [("ZZ:C1201", 1), ("ZZ:C1201", 2), ("ZZ:C1201", 3)]
    );
    host.verify().await.unwrap();
    let numbers = attempted_numbers(&host).await;
    assert_eq!(numbers, [1, 2, 3, 1], "each attempt's record names its number");
}

/// The host's identifier, beside the number that the customer gave: in an 810 its shipment's
/// reference comes first.
fn expected_reference(entry: &Entry, order: OrderId) -> String {
    match entry.set.as_str() {
        "810" => "SH-1".to_owned(),
        _ => format!("PORTREEVE-ORDER{order}"),
    }
}

/// The control numbers in the records of attempts, in the order of the log.
async fn attempted_numbers(host: &TestHost) -> Vec<u64> {
    let attempts = host.leaves().await.into_iter().filter_map(|leaf| match leaf.body {
        LeafBody::Attempt(attempt) => Some(attempt),
        _ => None,
    });
    attempts.flat_map(|attempt| attempt.numbers.shown().to_vec()).map(|record| record.number).collect()
}

#[tokio::test]
async fn whatever_answer_is_lost_a_message_has_one_number_and_one_effect() {
    let lost = Mischief {
        throttle_per_mille: 100,
        fail_before_per_mille: 200,
        drop_after_per_mille: 500,
        ..Mischief::default()
    };
    let (partner, setup) = partners(lost).await;
    let mut host = setup.start().await;
    for number in 1..=6 {
        let order = accepted(&host, &format!("PO-{number}"), "C1201").await;
        host.come_to_rest().await;
        shipped_and_invoiced(&host, order, number).await;
        host.decide_all().await;
        host.deliver_due().await;
        host = host.restart().await;
        host.come_to_rest().await;
    }
    assert_eq!(host.codes().await, Vec::<String>::new());
    let ledger = partner.ledger();
    let numbers: Vec<u64> = ledger.iter().map(|entry| entry.control).collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=18).collect::<Vec<u64>>(), "{numbers:?}");
    assert!(ledger.iter().any(|entry| entry.times > 1), "answers were lost");
    assert_eq!(partner.faults(), Vec::<String>::new(), "a number never comes with other bytes");
    let mut invoices: Vec<&str> =
        ledger.iter().filter(|entry| entry.set == "810").map(|entry| entry.element("BIG", 2)).collect();
    invoices.sort_unstable();
    assert_eq!(invoices, ["INV-1", "INV-2", "INV-3", "INV-4", "INV-5", "INV-6"]);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_host_that_ends_between_sending_and_its_record_sends_under_the_same_number_again() {
    for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
        for write in ["number_delivery", "begin_attempt", "settle"] {
            let (partner, setup) = partners(Mischief::default()).await;
            let host = setup.start().await;
            accepted(&host, "PO-1", "C1201").await;
            host.deliver_all().await;
            host.decide_all().await;
            let (host, faulty) = host.restart_behind(|store| FaultyStore::new(store, write, fault, 0)).await;
            let settled = host.host.pipeline.deliver_due(8).await.unwrap();
            assert!(settled.iter().all(Result::is_err) && faulty.has_failed(), "{write} {fault:?}");
            drop(faulty);
            let host = host.restart().await;
            host.come_to_rest().await;
            let ledger = partner.ledger();
            assert!(matches!(came(&ledger)[..], [("ZZ:C1201", 1, "855", _)]), "{write} {fault:?}: {ledger:?}");
            assert_eq!((partner.faults(), host.codes().await), (vec![], vec![]), "{write} {fault:?}");
            host.verify().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_partner_that_knows_no_repeated_number_is_sent_nothing_again() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    for (find, sentence) in [(true, "knows_repeats"), (false, "ask its people")] {
        let partner = Partner::start(lost).await.unwrap();
        let setup = to_customers(Setup::demo(), &partner.origin(), &agreed(&partner.origin(), ""))
            .replace("portreeve.toml", "knows_repeats = true", "knows_repeats = false")
            .replace("portreeve.toml", "find = false", &format!("find = {find}"));
        let host = setup.start().await;
        accepted(&host, "PO-1", "C1201").await;
        host.come_to_rest().await;
        assert_eq!(came(&partner.ledger()), [("ZZ:C1201", 1, "855", 1)]);
        assert_eq!(host.codes().await, ["unknown-outcome"]);
        assert!(host.exceptions().await[0].detail.contains(sentence), "{:?}", host.exceptions().await);
    }
}

#[tokio::test]
async fn a_customer_is_told_that_people_rejected_his_order_though_nobody_paid_it() {
    let (partner, setup) = partners(Mischief::default()).await;
    let told =
        "\n[[effect]]\non = \"order.rejected\"\nchannels = [\"edi\"]\ntarget = \"customers\"\nkind = \"x12/855\"\n";
    let host = setup.append("portreeve.toml", told).start().await;
    // Far below the list price.
    let cheap = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "1.00")]);
    host.send_edi(&x12(1, &cheap)).await.unwrap();
    host.decide_all().await;
    let held = host.order("PO-1").await.id;
    let exception = exceptions::about(&host, held, ExceptionKind::Held).await.unwrap();
    exceptions::decide(&host, &host.ops().await, exception, ExceptionAction::Reject).await.unwrap();
    host.come_to_rest().await;
    assert_eq!((host.order("PO-1").await.state, host.codes().await), (OrderState::Refused, vec![]));
    let ledger = partner.ledger();
    assert_eq!(came(&ledger), [("ZZ:C1201", 1, "855", 1)]);
    assert_eq!([ledger[0].element("BAK", 2), ledger[0].element("BAK", 3)], ["RJ", "PO-1"]);
    host.verify().await.unwrap();
    host.rederive(held).await.unwrap();

    // With the order as it came there is nothing to tell: it goes nowhere.
    let folder = tempfile::tempdir().unwrap();
    let sent = told.replace("channels", "from = [\"cancelled\"]\nsends = \"order\"\nchannels");
    let config = partners(Mischief::default()).await.1.append("portreeve.toml", &sent).configuration(folder.path());
    let sentence = "an order that people rejected, which goes nowhere";
    refused(&["route", "check", "--config", config.to_str().unwrap()], &[sentence]).await;
}

#[tokio::test]
async fn a_customer_hears_by_an_865_what_people_made_of_the_change_that_he_asked_for() {
    let effect = |said: &str| {
        format!(
            "\n[[effect]]\non = \"order.change-{said}\"\nchannels = [\"edi\"]\ntarget = \"customers\"\nkind = \"x12/865-{said}\"\n"
        )
    };
    let effects = effect("accepted") + &effect("refused");
    for (action, answer, status) in
        [(ExceptionAction::AcceptChange, "AD", "IA"), (ExceptionAction::RefuseChange, "RD", "IR")]
    {
        let (partner, setup) = partners(Mischief::default()).await;
        let host = setup.append("portreeve.toml", &effects).start().await;
        let order = accepted(&host, "PO-1", "C1201").await;
        host.come_to_rest().await;
        let changed = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 7, "BX", "18.40")]);
        host.send_edi(&with_purpose(8, &changed, "05")).await.unwrap();
        host.decide_all().await;
        assert_eq!(host.codes().await, ["changed-order"]);
        let exception = exceptions::about(&host, order, ExceptionKind::Change).await.unwrap();
        exceptions::decide(&host, &host.ops().await, exception, action).await.unwrap();
        host.come_to_rest().await;
        let ledger = partner.ledger();
        assert_eq!(came(&ledger), [("ZZ:C1201", 1, "855", 1), ("ZZ:C1201", 2, "865", 1)]);
        let said = [("BCA", 2), ("BCA", 3), ("POC", 3), ("ACK", 1)].map(|(tag, at)| ledger[1].element(tag, at));
        assert_eq!((said, host.codes().await), ([answer, "PO-1", "7", status], vec![]));
        assert_eq!(host.erp.sales_orders().len(), 1, "the order itself goes on as it came");
        host.verify().await.unwrap();
        host.rederive(order).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let sent = effects.replace("channels", "sends = \"order\"\nchannels");
    let config = partners(Mischief::default()).await.1.append("portreeve.toml", &sent).configuration(folder.path());
    refused(&["route", "check", "--config", config.to_str().unwrap()], &["by which it gets the change"]).await;
}

/// A host whose released orders go to a warehouse as 940s.
pub(crate) fn to_a_warehouse(origin: &str) -> Setup {
    let egress = format!("[[plugin.egress]]\norigin = \"{origin}\"\n");
    let warehouse = format!(
        "\n[[target]]\nid = \"warehouse\"\nconnector = \"x12-send\"\ntransformer = \"x12-out\"\nkind = \"x12/940\"\n\
         origin = \"{origin}\"\nexception_queue = \"integration\"\nfind = false\nfind_after_ms = 1000\n{}\n\
         [target.interchange]\nknows_repeats = true\npartner = \"ZZ:WAREHOUSE\"\n",
        agreed(origin, "")
    );
    Setup::demo()
        .blindfolded("x12-out")
        .plugin("x12-send", "{ http = [\"POST\"] }")
        .append("portreeve.toml", &egress)
        .replace("portreeve.toml", "target = \"erp\"", "target = \"warehouse\"")
        .append("portreeve.toml", &warehouse)
}

#[tokio::test]
async fn what_a_warehouse_may_have_of_an_order_that_is_cancelled_is_a_persons_and_never_called_absent() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let partner = Partner::start(lost).await.unwrap();
    let host = to_a_warehouse(&partner.origin()).start().await;
    accepted(&host, "PO-1", "C1201").await;
    host.deliver_due().await;
    let order = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "18.40")]);
    host.send_edi(&with_purpose(9, &order, "01")).await.unwrap();
    host.decide_all().await;
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "in-doubt");
    host.come_to_rest().await;
    let order = host.order("PO-1").await;
    assert_eq!((order.state, order.deliveries[0].state.as_str()), (OrderState::Released, "dead"), "{}", order.why);
    let mut codes = host.codes().await;
    codes.sort();
    assert_eq!(codes, ["cancel-requested", "unknown-outcome"]);
    let absent = |body: &LeafBody| matches!(body, LeafBody::Receipt(said) if said.outcome == ReceiptOutcome::Absent);
    let absent = host.leaves().await.into_iter().filter(|leaf| absent(&leaf.body)).count();
    assert_eq!((absent, came(&partner.ledger())), (0, vec![("ZZ:WAREHOUSE", 1, "940", 1)]));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_target_that_goes_elsewhere_now_does_not_send_what_has_the_number_of_another() {
    let down = Mischief { fail_before_per_mille: 1_000, ..Mischief::default() };
    let (partner, setup) = partners(down).await;
    let host = setup.clone().start().await;
    accepted(&host, "PO-1", "C1201").await;
    host.deliver_all().await;
    host.decide_all().await;
    host.deliver_due().await;
    let elsewhere = setup.replace("portreeve.toml", "partner_parts = 2", "partner = \"ZZ:SOMEBODY\"");
    let host = host.restart_as(elsewhere).await;
    host.come_to_rest().await;
    assert_eq!((partner.ledger(), host.codes().await), (vec![], vec!["no-receiver".to_owned()]));
    let detail = host.exceptions().await.remove(0).detail;
    assert!(detail.contains("number 1 of `ZZ:C1201`") && detail.contains("`ZZ:SOMEBODY` now"), "{detail}");
}

#[tokio::test]
async fn what_was_agreed_with_one_partner_goes_before_what_is_agreed_with_all() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let origin = partner.origin();
    // Nobody listens where the others' go.
    let own = format!(
        ", path = \"/of/others\", \"path@ZZ:C1201\" = \"/one\", \"base-url@ZZ:C1201\" = \"{origin}/\", \
         \"sender@ZZ:C1201\" = \"ZZ:QUAY\", \"usage@ZZ:C1299\" = \"T\""
    );
    let agreed =
        agreed(&origin, &own).replace(&format!("base-url = \"{origin}\""), "base-url = \"http://127.0.0.1:9\"");
    let host = to_customers(Setup::demo(), &origin, &agreed).start().await;
    accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    assert_eq!((host.codes().await, came(&partner.ledger())), (vec![], vec![("ZZ:C1201", 1, "855", 1)]));
    assert_eq!(partner.ledger()[0].sender, "ZZ:QUAY");
}

#[tokio::test]
async fn an_effect_of_what_finance_posts_tells_invoices_from_credit_memos() {
    let agreed_memos = ", credit-memo = \"CR\", credit-memo-amounts = \"below-zero\"";
    for (wanted, told) in [("invoice", ("INV-1", "DI", "18400")), ("credit-memo", ("CM-1", "CR", "-1840"))] {
        let partner = Partner::start(Mischief::default()).await.unwrap();
        let origin = partner.origin();
        let of_some = format!("\"invoice.posted\"\ninvoices = \"{wanted}\"\ntarget");
        let host = to_customers(Setup::demo(), &origin, &agreed(&origin, agreed_memos))
            .replace("portreeve.toml", "\"invoice.posted\"\ntarget", &of_some)
            .start()
            .await;
        let order = accepted(&host, "PO-1", "C1201").await;
        host.come_to_rest().await;
        shipped_and_invoiced(&host, order, 1).await;
        let usd = json!({"minor": "-1840", "currency": "USD"});
        let price = json!({"amount": "1840", "scale": 2, "currency": "USD", "perQuantity": 1});
        let line = json!({"lineNumber": "1", "quantity": {"value": "1", "scale": 0, "unit": "BX"}, "unitPrice": price,
                          "extended": usd});
        let memo = json!({"invoiceNumber": "CM-1", "orderNumber": order, "postedOn": "2026-03-05", "lines": [line],
                          "total": usd});
        said(&host, "invoice.posted", memo).await;
        host.come_to_rest().await;
        let ledger = partner.ledger();
        let sent = ledger.iter().filter(|entry| entry.set == "810");
        let sent = sent.map(|entry| (entry.element("BIG", 2), entry.element("BIG", 7), entry.element("TDS", 1)));
        assert_eq!((sent.collect::<Vec<_>>(), host.codes().await), (vec![told], vec![]), "{wanted}");
        host.rederive(order).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let origin = "http://127.0.0.1:9";
    let wrong = "\"shipment.confirmed\"\ninvoices = \"invoice\"\ntarget";
    let setup = to_customers(Setup::demo(), origin, &agreed(origin, ""));
    let config = setup.replace("portreeve.toml", "\"shipment.confirmed\"\ntarget", wrong).configuration(folder.path());
    refused(&["route", "check", "--config", config.to_str().unwrap()], &["says `invoices`, and none is posted"]).await;
}

/// What lies in a folder, by name.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_file_for_a_partner_is_complete_or_not_there_and_named_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().join("out");
    std::fs::create_dir(&outbox).unwrap();
    let (origin, more) = ("http://customers.outbox", ", path = \"/{set}-{number}.edi\"");
    let target = format!("outbox = \"{}\"\n{}", outbox.display(), agreed(origin, more));
    let host = to_customers(Setup::demo(), origin, &target).start().await;
    accepted(&host, "PO-1", "C1201").await;
    host.deliver_all().await;
    host.decide_all().await;
    // The host ends when the file is there and nobody knows.
    let (host, faulty) = host.restart_behind(|store| FaultyStore::new(store, "settle", Fault::NotPersisted, 0)).await;
    assert!(host.host.pipeline.deliver_due(8).await.unwrap()[0].is_err());
    drop(faulty);
    let there = files(&outbox);
    assert_eq!(there.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["855-000000001.edi"]);
    let host = host.restart().await;
    host.come_to_rest().await;
    assert_eq!((files(&outbox), host.codes().await), (there.clone(), vec![]), "the same file, once");
    assert_eq!(to_the_customer(&host, "PO-1").await[0].state, "delivered");

    // The folder is away: nothing is there half, and the message comes when it is back.
    std::fs::rename(&outbox, folder.path().join("away")).unwrap();
    accepted(&host, "PO-2", "C1201").await;
    host.deliver_due().await;
    host.decide_all().await;
    host.deliver_due().await;
    assert_eq!(to_the_customer(&host, "PO-2").await[0].state, "pending");
    std::fs::rename(folder.path().join("away"), &outbox).unwrap();
    host.come_to_rest().await;
    let partner = Partner::start(Mischief::default()).await.unwrap();
    for (name, bytes) in files(&outbox) {
        assert!(name.starts_with("855-00000000"), "{name}");
        partner.collect(bytes.as_bytes());
    }
    assert_eq!(came(&partner.ledger()), [("ZZ:C1201", 1, "855", 1), ("ZZ:C1201", 2, "855", 1)]);
    assert_eq!((partner.faults(), host.codes().await), (vec![], vec![]));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_contradicts_itself_about_interchanges_and_folders_is_said_at_once() {
    let (_, setup) = partners(Mischief::default()).await;
    let folder = tempfile::tempdir().unwrap();
    for (from, to, sentence) in [
        ("partner_parts = 2", "partner_parts = 0", "has 0 `partner_parts`"),
        ("find = false", "find = true", "by which nobody is asked"),
        ("usage = \"P\"", "usage = \"P\", order-number = \"7\"", "is the host's to say"),
        ("usage = \"P\"", "usage = \"P\", interchange-number = \"7\"", "is the host's to say"),
    ] {
        let config = setup.clone().replace("portreeve.toml", from, to).configuration(folder.path());
        refused(&["route", "check", "--config", config.to_str().unwrap()], &[sentence]).await;
    }
    let missing = setup.replace("portreeve.toml", "with_order = true", "with_order = true\noutbox = \"nowhere\"");
    let error = missing.try_start().await.err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(error.contains("the `outbox` of target `customers`"), "{error}");
}

#[tokio::test]
async fn a_person_sees_the_number_of_what_went_out() {
    let (_partner, setup) = partners(Mischief::default()).await;
    let host = setup.start().await;
    accepted(&host, "PO-1", "C1201").await;
    host.come_to_rest().await;
    let data = host.locations().data.to_str().unwrap().to_owned();
    let shown = run(&["order", "show", "PO-1", "--data-dir", &data]).await.unwrap();
    assert!(shown.contains("; interchange 1 of ZZ:C1201"), "{shown}");
}

//! Refunds that the host decides on by itself: exactly what is paid and kept above what is
//! owed, once, within what it was granted, whatever is lost on the way.

use portreeve::standins::payment::Refund;
use portreeve::standins::{Mischief, Payments};
use portreeve_model::{Digest, ExceptionAction, ExceptionKind, OrderId};
use portreeve_pipeline::rederive::Rederived;
use portreeve_pipeline::replay::{LeftOut, ReplayWanted};
use portreeve_pipeline::{Clock, Credential};
use portreeve_store::contract::OrderState;
use serde_json::{Value, json};

use crate::faults::{Fault, FaultyStore};
use crate::packages::changed;
use crate::support::exceptions::{about, decide};
use crate::support::{PurchaseOrder, Setup, TestHost, x12};

const TOKEN: &str = "token-of-the-systems";

/// Ten boxes for 184.00.
const PAID: i64 = 18_400;

/// A host that hears of everything by one channel, and refunds at a payment processor.
fn setup(payments: &Payments) -> Setup {
    let origin = payments.origin();
    let more = format!(
        "\n[[sender]]\nchannel = \"systems\"\nid = \"systems\"\ntoken_sha256 = \"{}\"\n\n[[channel]]\nid = \"systems\"\n\
         connector = \"cloudevents\"\ndocuments = {{ \"cloudevents/event\" = \"cloudevents-events\" }}\ntarget = \"erp\"\n\
         exception_queue = \"integration\"\nsays = [\"order.accepted\", \"order.rejected\", \"shipment.dispatched\", \"shipment.confirmed\", \
         \"invoice.posted\", \"payment.settled\", \"return.received\", \"refund.issued\"]\n\n\
         [[plugin.egress]]\norigin = \"{origin}\"\n\n[[target]]\nid = \"payments\"\nconnector = \"stripe\"\n\
         transformer = \"stripe-events\"\nkind = \"stripe/refund\"\norigin = \"{origin}\"\n\
         exception_queue = \"integration\"\nfind = true\nfind_after_ms = 1000\nsettings = {{ base-url = \"{origin}\" }}\n\n\
         [refunds]\ntarget = \"payments\"\ncauses = [\"cancelled-prepayment\", \"short-shipment\", \"goods-return\"]\n\
         amount_max_minor = {{ USD = 20000 }}\n",
        Digest::of(TOKEN.as_bytes())
    );
    let events = Setup::demo().blindfolded("cloudevents").blindfolded("cloudevents-events");
    let grant = "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 85000 } }";
    events.plugin("stripe", grant).append("portreeve.toml", &more).blindfolded("stripe-events")
}

pub(crate) struct Desk {
    pub(crate) host: TestHost,
    pub(crate) payments: Payments,
    pub(crate) order: OrderId,
}

impl Desk {
    /// A host with a released order of ten boxes, which its customer has paid.
    async fn with_a_paid_order(mischief: Mischief) -> Self {
        Self::of(mischief, |setup| setup).await
    }

    async fn of(mischief: Mischief, change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::at(mischief, |setup, _| change(setup)).await
    }

    /// The same, where the change is told where the processor is.
    pub(crate) async fn at(mischief: Mischief, change: impl FnOnce(Setup, &str) -> Setup) -> Self {
        let payments = Payments::start(mischief).await.unwrap();
        let host = change(setup(&payments), &payments.origin()).start().await;
        let order = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "18.40")]);
        host.send_edi(&x12(1, &order)).await.unwrap();
        host.decide_all().await;
        let order = host.order("PO-1").await.id;
        let desk = Self { host, payments, order };
        desk.said("order.accepted", &json!({"orderNumber": order})).await;
        let payment = desk.payments.pay(&order.to_string(), PAID, "usd");
        let settled = json!({"orderNumber": order, "paymentReference": payment.charge, "amount": money(PAID)});
        desk.said("payment.settled", &settled).await;
        desk
    }

    /// A host with an order that a rule holds, and that its customer has paid.
    async fn with_a_held_order(change: impl FnOnce(Setup) -> Setup) -> Self {
        let payments = Payments::start(Mischief::default()).await.unwrap();
        let host = change(setup(&payments)).start().await;
        let order = PurchaseOrder::clean("PO-1").with_lines(&[("FST-1007", 10, "BX", "20.00")]);
        host.send_edi(&x12(1, &order)).await.unwrap();
        host.decide_all().await;
        let order = host.order("PO-1").await;
        assert_eq!(order.state, OrderState::Held, "{}", order.why);
        let desk = Self { host, payments, order: order.id };
        drop(desk.payments.pay(&desk.order.to_string(), 20_000, "usd"));
        desk
    }

    async fn pays(&self) {
        let settled = json!({"orderNumber": self.order, "paymentReference": "P-1", "amount": money(20_000)});
        self.said("payment.settled", &settled).await;
    }

    async fn a_person_rejects(&self) {
        let exception = about(&self.host, self.order, ExceptionKind::Held).await.unwrap();
        decide(&self.host, &self.host.ops().await, exception, ExceptionAction::Reject).await.unwrap();
        assert_eq!(self.host.order("PO-1").await.state, OrderState::Refused);
    }

    async fn comes_back(&self, number: &str, boxes: i64) {
        let line = json!({"lineNumber": "1", "sku": "FST-1007", "quantity": of(boxes), "condition": "good"});
        self.said("return.received", &json!({"orderNumber": self.order, "returnNumber": number, "lines": [line]}))
            .await;
    }

    /// So many boxes leave, and are invoiced.
    async fn leaves(&self, number: &str, boxes: i64, short: &str) {
        let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": of(boxes), "short": short});
        let shipment = json!({"orderNumber": self.order, "shipmentNumber": format!("S-{number}"), "lines": [line]});
        self.said("shipment.confirmed", &shipment).await;
        self.invoice(&format!("I-{number}"), boxes, None).await;
    }

    pub(crate) async fn said(&self, kind: &str, data: &Value) {
        let id = Digest::of(format!("{kind} {data}").as_bytes()).to_string();
        let event = json!([{"specversion": "1.0", "id": id, "source": "/systems", "type": kind, "data": data}]);
        let sent = self.host.send("systems", Credential::Bearer(TOKEN), event.to_string().as_bytes()).await.unwrap();
        assert_eq!(sent.reply.status, 202);
        self.host.decide_all().await;
    }

    /// The order ships with so many boxes, and is invoiced for them.
    async fn ships(&self, boxes: i64) {
        let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": of(boxes), "short": "no-backorder"});
        let shipment = json!({"orderNumber": self.order, "shipmentNumber": "S-1", "lines": [line]});
        self.said("shipment.confirmed", &shipment).await;
        self.invoice("I-1", boxes, None).await;
    }

    async fn invoice(&self, number: &str, boxes: i64, corrects: Option<&str>) {
        let line = json!({"lineNumber": "1", "sku": "FST-1007", "quantity": of(boxes.abs()),
            "unitPrice": {"amount": "1840", "scale": 2, "currency": "USD", "perQuantity": 1},
            "extended": money(1_840 * boxes)});
        let mut invoice = json!({"orderNumber": self.order, "invoiceNumber": number, "lines": [line],
            "total": money(1_840 * boxes)});
        if let Some(corrects) = corrects {
            invoice["corrects"] = json!(corrects);
        }
        self.said("invoice.posted", &invoice).await;
    }

    fn refunds(&self) -> Vec<(i64, String)> {
        let shown = |refund: &Refund| (refund.amount, refund.metadata["cause"].clone());
        self.payments.refunds().iter().map(shown).collect()
    }
}

fn of(boxes: i64) -> Value {
    json!({"value": boxes.to_string(), "scale": 0, "unit": "BX"})
}

fn money(minor: i64) -> Value {
    json!({"minor": minor.to_string(), "currency": "USD"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepaid_order_that_is_cancelled_is_paid_back_once() {
    let busy = Mischief { throttle_per_mille: 1_000, ..Mischief::default() };
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    for mischief in [busy, lost] {
        let desk = Desk::with_a_paid_order(mischief).await;
        desk.said("order.rejected", &json!({"orderNumber": desk.order})).await;
        assert_eq!(desk.refunds(), []);
        assert_eq!(desk.host.codes().await, ["rejected-by-target"], "nobody has to see to the money");
        desk.host.deliver_due().await;
        let refunded = desk.refunds().len();
        assert_eq!(refunded, usize::from(mischief == lost), "it was refused, or done without an answer");
        desk.host.come_to_rest().await;
        assert_eq!(desk.refunds(), [(PAID, "cancelled-prepayment".to_owned())]);
        let money = desk.host.progress(desk.order).await.money;
        assert_eq!((money.paid_minor, money.refunded_minor, money.refunding.len()), (PAID, PAID, 0));
        desk.host.verify().await.unwrap();
        assert!(matches!(desk.host.rederive(desk.order).await.unwrap(), Rederived::Same(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_short_is_paid_back_when_the_invoice_says_what_is_owed() {
    let desk = Desk::with_a_paid_order(Mischief::default()).await;
    desk.ships(7).await;
    desk.host.come_to_rest().await;
    assert_eq!(desk.refunds(), [(3 * 1_840, "short-shipment".to_owned())]);
    assert_eq!(desk.host.codes().await, Vec::<String>::new());
    assert!(matches!(desk.host.rederive(desk.order).await.unwrap(), Rederived::Same(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_back_is_paid_back_when_it_is_here_and_credited_and_not_before() {
    let desk = Desk::with_a_paid_order(Mischief::default()).await;
    desk.ships(10).await;
    // Finance credits before the goods are back.
    desk.invoice("M-1", -2, Some("I-1")).await;
    desk.host.come_to_rest().await;
    assert_eq!(desk.refunds(), [], "nothing is back yet");
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "quantity": of(2), "condition": "good"});
    desk.said("return.received", &json!({"orderNumber": desk.order, "returnNumber": "R-1", "lines": [line]})).await;
    desk.host.come_to_rest().await;
    assert_eq!(desk.refunds(), [(2 * 1_840, "goods-return".to_owned())]);
    assert_eq!(desk.payments.refunds()[0].metadata["return_number"], "R-1");
    desk.host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn above_its_ceiling_or_for_another_cause_it_is_a_persons() {
    for (from, to) in
        [("USD = 20000", "USD = 18399"), ("USD = 20000", "EUR = 20000"), ("\"cancelled-prepayment\", ", "")]
    {
        let desk = Desk::of(Mischief::default(), |setup| setup.replace("portreeve.toml", from, to)).await;
        desk.said("order.rejected", &json!({"orderNumber": desk.order})).await;
        desk.host.come_to_rest().await;
        assert_eq!(desk.refunds(), [], "{to}");
        assert_eq!(desk.host.codes().await, ["rejected-by-target", "paid-after-cancellation"], "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_pays_it_back_first_is_not_followed_by_the_host() {
    let desk = Desk::with_a_paid_order(Mischief::default()).await;
    let by_hand = json!({"orderNumber": desk.order, "refundNumber": "F-1", "cause": "cancelled-prepayment",
        "amount": money(PAID)});
    desk.said("refund.issued", &by_hand).await;
    desk.said("order.rejected", &json!({"orderNumber": desk.order})).await;
    desk.host.come_to_rest().await;
    assert_eq!((desk.refunds(), desk.host.progress(desk.order).await.money.refunded_minor), (vec![], PAID));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_pays_it_back_while_the_host_decides_and_one_who_guesses_its_number_are_not_followed() {
    for (number, amount) in [("F-1", PAID), ("host-1", 1_000_000)] {
        let desk = Desk::with_a_paid_order(Mischief::default()).await;
        let event = |id: &str, kind: &str, data: Value| json!({"specversion": "1.0", "id": id, "source": "/systems", "type": kind, "data": data});
        // Both are here before the host has decided on the first.
        let both = json!([
            event("no", "order.rejected", json!({"orderNumber": desk.order})),
            event(
                "back",
                "refund.issued",
                json!({"orderNumber": desk.order, "refundNumber": number,
                "cause": "cancelled-prepayment", "amount": money(amount)})
            ),
        ]);
        desk.host.send("systems", Credential::Bearer(TOKEN), both.to_string().as_bytes()).await.unwrap();
        desk.host.come_to_rest().await;
        assert_eq!(desk.refunds(), [], "{number}");
        let codes = desk.host.codes().await;
        assert!(
            codes.contains(&"refund-exceeds-paid".to_owned()) || codes.contains(&"refund-not-needed".to_owned()),
            "{codes:?}"
        );
        desk.host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_around_the_decision_refunds_once() {
    for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
        for good in 0..2 {
            let mut desk = Desk::with_a_paid_order(Mischief::default()).await;
            let (host, store) =
                desk.host.restart_behind(|store| FaultyStore::new(store, "commit_decisions", fault, good)).await;
            let rejected = json!([{"specversion": "1.0", "id": "no", "source": "/systems", "type": "order.rejected",
                "data": {"orderNumber": desk.order}}]);
            host.send("systems", Credential::Bearer(TOKEN), rejected.to_string().as_bytes()).await.unwrap();
            while host.host.pipeline.decide(16).await.is_ok_and(|decided| !decided.is_empty()) {}
            assert!(store.has_failed());
            drop(store);
            desk.host = host.restart().await;
            desk.host.come_to_rest().await;
            assert_eq!(desk.refunds(), [(PAID, "cancelled-prepayment".to_owned())], "{fault:?} after {good}");
            desk.host.verify().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_that_refunds_nothing_or_nowhere_is_refused_with_all_that_is_wrong() {
    let payments = Payments::start(Mischief::default()).await.unwrap();
    let wrong = setup(&payments)
        .replace("portreeve.toml", "[refunds]\ntarget = \"payments\"", "[refunds]\ntarget = \"nobody\"")
        .replace("portreeve.toml", "\"short-shipment\", ", "\"price-correction\", ")
        .replace("portreeve.toml", "USD = 20000", "USD = 0");
    let told = format!("{:#}", wrong.try_start().await.err().unwrap());
    for part in [
        "[refunds] are paid by target `nobody`, which does not exist",
        "[refunds] has the cause `price-correction`, which the host cannot see by itself; expected some of \
         cancelled-prepayment, short-shipment, goods-return",
        "[refunds] has an `amount_max_minor` of 0 in USD; expected 1 or more",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let taken =
        setup(&payments).replace("portreeve.toml", "id = \"systems\"\nconnector", "id = \"refunds\"\nconnector");
    let told = format!("{:#}", taken.try_start().await.err().unwrap());
    assert!(told.contains("channel `refunds` is the host's own, for refunds that the host decides on"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_that_a_person_rejects_before_any_system_has_it_is_paid_back_at_once() {
    let all = [(20_000, "cancelled-prepayment".to_owned())];
    // It was paid before that, or is after it.
    for early in [true, false] {
        let desk = Desk::with_a_held_order(|setup| setup).await;
        if early {
            desk.pays().await;
        }
        desk.a_person_rejects().await;
        desk.host.come_to_rest().await;
        assert_eq!(desk.refunds(), if early { &all[..] } else { &[] });
        if !early {
            desk.pays().await;
            desk.host.come_to_rest().await;
        }
        assert_eq!((desk.refunds(), desk.host.codes().await), (all.to_vec(), vec![]));
        let money = desk.host.progress(desk.order).await.money;
        assert_eq!((money.paid_minor, money.refunded_minor, money.refunding.len()), (20_000, 20_000, 0));
        desk.host.verify().await.unwrap();
        assert!(matches!(desk.host.rederive(desk.order).await.unwrap(), Rederived::Same(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_host_may_not_pay_it_back_people_hear_of_it_with_the_rejection() {
    for (from, to) in [("USD = 20000", "USD = 19999"), ("\"cancelled-prepayment\", ", "")] {
        let desk = Desk::with_a_held_order(|setup| setup.replace("portreeve.toml", from, to)).await;
        desk.pays().await;
        desk.a_person_rejects().await;
        desk.host.come_to_rest().await;
        assert_eq!((desk.refunds(), desk.host.codes().await), (vec![], vec!["paid-after-cancellation".to_owned()]));
        let by_hand = json!({"orderNumber": desk.order, "refundNumber": "F-1", "cause": "cancelled-prepayment",
            "amount": money(20_000)});
        desk.said("refund.issued", &by_hand).await;
        assert_eq!(desk.host.codes().await, Vec::<String>::new(), "it is over by that");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_ends_around_the_rejection_pays_it_back_once() {
    for fault in [Fault::NotPersisted, Fault::PersistedButFailed] {
        let mut desk = Desk::with_a_held_order(|setup| setup).await;
        desk.pays().await;
        let exception = about(&desk.host, desk.order, ExceptionKind::Held).await.unwrap();
        desk.host.ops().await;
        let (host, _) = desk.host.restart_behind(|store| FaultyStore::new(store, "step_exception", fault, 0)).await;
        let ops = host.ops().await;
        assert!(decide(&host, &ops, exception, ExceptionAction::Reject).await.is_err());
        desk.host = host.restart().await;
        desk.host.come_to_rest().await;
        assert_eq!(desk.refunds().len(), usize::from(fault == Fault::PersistedButFailed));
        if fault == Fault::NotPersisted {
            desk.a_person_rejects().await;
            desk.host.come_to_rest().await;
        }
        assert_eq!(desk.refunds(), [(20_000, "cancelled-prepayment".to_owned())], "{fault:?}");
        desk.host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_paid_is_rejected_without_another_word() {
    let desk = Desk::with_a_held_order(|setup| setup).await;
    let inputs = desk.host.summary().await.inputs;
    desk.a_person_rejects().await;
    desk.host.come_to_rest().await;
    assert_eq!((desk.host.summary().await.inputs, desk.refunds()), (inputs, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_narrowed_between_the_decision_and_the_hosts_own_word_is_not_paid() {
    let none = "[refunds]\ntarget = \"payments\"\ncauses = [\"cancelled-prepayment\", \"short-shipment\", \"goods-return\"]\n\
                amount_max_minor = { USD = 20000 }\n";
    for (from, to) in [("USD = 20000", "USD = 18399"), ("\"cancelled-prepayment\", ", ""), (none, "")] {
        let mut desk = Desk::with_a_paid_order(Mischief::default()).await;
        let rejected = json!([{"specversion": "1.0", "id": "no", "source": "/systems", "type": "order.rejected",
            "data": {"orderNumber": desk.order}}]);
        desk.host.send("systems", Credential::Bearer(TOKEN), rejected.to_string().as_bytes()).await.unwrap();
        assert_eq!(desk.host.host.pipeline.decide(1).await.unwrap().len(), 1);
        assert_eq!(desk.host.progress(desk.order).await.money.refunding.len(), 1, "it is decided and not said");
        let narrowed = setup(&desk.payments).replace("portreeve.toml", from, to);
        desk.host = desk.host.restart_as(narrowed).await;
        desk.host.come_to_rest().await;
        assert_eq!((desk.refunds(), desk.host.progress(desk.order).await.money.refunding.len()), (vec![], 0), "{to}");
        let codes = ["rejected-by-target", "refund-not-sent", "paid-after-cancellation"];
        assert_eq!(desk.host.codes().await, codes, "{to}");
        desk.host.verify().await.unwrap();
        assert!(matches!(desk.host.rederive(desk.order).await.unwrap(), Rederived::Same(_)), "{to}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overpayment_does_not_go_out_with_the_refund_of_a_return() {
    let desk = Desk::with_a_paid_order(Mischief::default()).await;
    desk.leaves("1", 10, "none").await;
    let twice = json!({"orderNumber": desk.order, "paymentReference": "P-2", "amount": money(5_000)});
    desk.said("payment.settled", &twice).await;
    assert_eq!(desk.host.codes().await, ["paid-too-much"]);
    desk.comes_back("R-1", 2).await;
    desk.invoice("M-1", -2, Some("I-1")).await;
    desk.host.come_to_rest().await;
    assert_eq!(desk.refunds(), [(2 * 1_840, "goods-return".to_owned())]);
    assert_eq!(desk.host.codes().await, ["paid-too-much"], "and people still see to the rest");
    desk.host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_credited_order_with_money_left_over_people_hear() {
    let desk = Desk::with_a_paid_order(Mischief::default()).await;
    desk.leaves("1", 10, "none").await;
    desk.comes_back("R-1", 1).await;
    desk.comes_back("R-2", 1).await;
    desk.invoice("M-1", -2, Some("I-1")).await;
    desk.host.come_to_rest().await;
    assert_eq!((desk.refunds(), desk.host.codes().await), (vec![], vec!["paid-too-much".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_without_a_confirmation_is_not_refunded_as_short() {
    let desk = Desk::with_a_paid_order(Mischief::default()).await;
    desk.leaves("1", 3, "none").await;
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "shipped": of(4), "short": "none"});
    let second = json!({"orderNumber": desk.order, "shipmentNumber": "S-2", "lines": [line]});
    desk.said("shipment.dispatched", &second).await;
    desk.leaves("3", 2, "no-backorder").await;
    desk.host.come_to_rest().await;
    assert_eq!(desk.refunds(), [], "four more have left");
    desk.leaves("2", 4, "none").await;
    desk.host.come_to_rest().await;
    assert_eq!((desk.refunds(), desk.host.codes().await), (vec![(1_840, "short-shipment".to_owned())], vec![]));
    assert!(matches!(desk.host.rederive(desk.order).await.unwrap(), Rederived::Same(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_keeps_the_hosts_own_word_from_counting_is_refused_with_refunds() {
    let payments = Payments::start(Mischief::default()).await.unwrap();
    let standard = portreeve_pipeline::process::Process::standard_file();
    let without = standard
        .replace(
            "event = \"refund.issued\"\nfrom = [\"settled\"]\nto = [\"invoiced\"]",
            "event = \"refund.issued\"\nfrom = [\"received\"]\nto = []",
        )
        .replace(
            "event = \"order.rejected\"\nfrom = [\"cancelled\"]",
            "event = \"order.rejected\"\nfrom = [\"received\"]",
        );
    assert_ne!(without, standard);
    let told = format!("{:#}", setup(&payments).append("process.toml", &without).try_start().await.err().unwrap());
    for part in [
        "[refunds] has the cause `short-shipment`, and the process has no `refund.issued` of an order that is settled",
        "[refunds] has the cause `cancelled-prepayment`, and the process has no `order.rejected` of an order that is cancelled",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_paid_a_refund_is_not_replayed_whatever_pays_refunds_by_then() {
    let desk = Desk::with_a_paid_order(Mischief::default()).await;
    let since = desk.host.clock.now();
    desk.said("order.rejected", &json!({"orderNumber": desk.order})).await;
    desk.host.come_to_rest().await;
    assert_eq!(desk.refunds(), [(PAID, "cancelled-prepayment".to_owned())]);
    let Desk { mut host, payments, .. } = desk;
    host.clock.advance_to(host.clock.now().plus_ms(1));
    let until = host.clock.now();
    let wanted = ReplayWanted { target: "payments", channel: None, kind: None, since, until, shipped: true, most: 5 };
    let to_erp = "[refunds]\ntarget = \"erp\"\nkind = \"business-central/cancel\"";
    let nobody = |setup: Setup| setup.replace("portreeve.toml", "[refunds]\ntarget = \"payments\"", to_erp);
    // A word of refunds to the same system is of another kind than what paid this one.
    let told = "\n[[effect]]\non = \"refund.issued\"\ntarget = \"payments\"\nkind = \"stripe/note\"\n";
    // Two plugins that have a second kind.
    let folder = tempfile::tempdir().unwrap();
    let with_notes = |setup: Setup, plugin: &str| {
        let path = folder.path().join(format!("{plugin}.wasm"));
        let second = ("= [\"stripe/refund\"]", "= [\"stripe/refund\", \"stripe/note\"]");
        std::fs::write(&path, changed(plugin, &[second])).unwrap();
        setup.shipped_as(plugin, &path)
    };
    let noting = with_notes(with_notes(nobody(setup(&payments)), "stripe"), "stripe-events");
    for setup in [setup(&payments), nobody(setup(&payments)), noting.append("portreeve.toml", told)] {
        host = host.restart_as(setup).await;
        let plan = host.host.pipeline.show_replay(wanted).await.unwrap();
        let left_out: Vec<_> = plan.left_out.iter().map(|(delivery, why)| (delivery.number.as_str(), *why)).collect();
        assert_eq!((plan.deliveries.len(), left_out), (0, vec![("PO-1", LeftOut::Refund)]));
    }
}

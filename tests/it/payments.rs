//! Payments that do not match what is invoiced: too small, in another currency, for what nobody
//! invoiced or nobody ordered; and what a payer advises of one that is still to come.

use portreeve_model::{ExceptionAction, OrderId, ProcessState};
use portreeve_pipeline::rederive::Rederived;
use portreeve_store::contract::{EventOutcome, OrderEventKind, OrderName};
use serde_json::{Value, json};

use crate::process::{accepted, boxes, confirmed, invoice, paid, released, said, tell, told, with_systems};
use crate::support::{Setup, TestHost, exceptions};

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
async fn a_payment_that_is_too_small_stays_somebodys_when_goods_of_the_order_come_back() {
    let host = host().await;
    let order = invoiced(&host).await;
    told(&host, &[paid(order, "P-1", "I-1", 10_000)]).await;
    assert_eq!(host.codes().await, ["paid-too-little"]);
    let line = json!({"lineNumber": "1", "sku": "FST-1007", "quantity": boxes(1)});
    let data = json!({"returnNumber": "R-1", "orderNumber": order, "lines": [line]});
    told(&host, &[said("return.requested", data)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Returning));
    assert_eq!(host.codes().await, ["paid-too-little"], "84.00 of it are open as before");
    told(&host, &[paid(order, "P-2", "I-1", 8_400)]).await;
    assert_eq!(host.codes().await, Vec::<String>::new());
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

// --- what a payer advises ---

/// Customers on the EDI channel advise of their payments as well.
fn with_advices(says: &str) -> Setup {
    let documents = "documents = { \"x12/850\" = \"x12-orders\" }";
    let both = format!("{says}documents = {{ \"x12/850\" = \"x12-orders\", \"x12/820\" = \"x12-remittance\" }}");
    with_systems(Setup::demo()).blindfolded("x12-remittance").replace("portreeve.toml", documents, &both).replace(
        "portreeve.toml",
        "{ currency = \"USD\" }",
        "{ currency = \"USD\", sets = \"850,820\" }",
    )
}

async fn advised() -> TestHost {
    with_advices("says = [\"remittance.received\"]\n").start().await
}

/// An 820 of this payment.
fn advice(control: u32, reference: &str, amount: &str, details: &[&str]) -> Vec<u8> {
    let head = [format!("BPR*I*{amount}*C*ACH************20260401"), format!("TRN*1*{reference}")];
    let segments: Vec<&str> = head.iter().map(String::as_str).chain(details.iter().copied()).collect();
    let count = segments.len() + 2;
    let set: String = segments.iter().map(|segment| format!("{segment}~\n")).collect();
    format!(
        "ISA*00*          *00*          *ZZ*C1002          *ZZ*PORTREEVE      *260302*0800*U*00401*{control:09}*0*P*>~\n\
         GS*RA*C1002*PORTREEVE*20260302*0800*{control}*X*004010~\nST*820*0001~\n{set}SE*{count}*0001~\n\
         GE*1*{control}~\nIEA*1*{control:09}~\n"
    )
    .into_bytes()
}

async fn hears(host: &TestHost, advice: &[u8]) {
    assert_eq!(host.send_edi(advice).await.unwrap().reply.status, 200);
    // The second time for what the host says of its own.
    host.decide_all().await;
    host.decide_all().await;
}

/// What came of the advices in an order's story.
async fn of_advices(host: &TestHost, order: OrderId) -> Vec<EventOutcome> {
    let events = host.store.order_trail(order).await.unwrap().unwrap().events;
    let advices = events.iter().filter(|event| event.kind == OrderEventKind::RemittanceReceived);
    advices.map(|event| event.outcome).collect()
}

async fn advised_minor(host: &TestHost, order: OrderId, invoice: &str) -> i64 {
    host.progress(order).await.money.invoices[invoice].advised_minor
}

#[tokio::test(flavor = "multi_thread")]
async fn an_820_of_what_is_invoiced_stands_in_its_orders_story_settles_nothing_and_asks_nobody() {
    let host = advised().await;
    let order = invoiced(&host).await;
    let of_order = advice(901, "R-1", "184.00", &["RMR*IV*I-1**184.00"]);
    hears(&host, &of_order).await;
    assert_eq!(host.codes().await, Vec::<String>::new());
    assert_eq!(of_advices(&host, order).await, [EventOutcome::Applied]);
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced), "the money is the bank's word");
    assert_eq!(advised_minor(&host, order, "I-1").await, WHOLE);
    assert_eq!(host.progress(order).await.money.open_minor(), WHOLE);

    // The payer sends it once more, and the bank says that the money is here.
    hears(&host, &advice(902, "R-1", "184.00", &["RMR*IV*I-1**184.00"])).await;
    told(&host, &[paid(order, "P-1", "I-1", WHOLE)]).await;
    assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Settled), Vec::new()));
    assert_eq!(advised_minor(&host, order, "I-1").await, WHOLE, "once");
    assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(compared) if compared.events >= 5));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_820_over_several_orders_is_told_of_each_of_them_however_they_are_decided() {
    for batch in [1, 64] {
        let host = advised().await;
        let mut orders = Vec::new();
        for number in ["PO-1", "PO-2", "PO-3"] {
            let order = released(&host, number).await;
            told(&host, &[accepted(order), confirmed(order, "S-1", 10)]).await;
            orders.push(order);
        }
        // The invoices are decided with the advice, where that is decided with others.
        for (order, number) in orders.iter().zip(["I-1", "I-2", "I-3"]) {
            tell(&host, &invoice(*order, number, 10)).await;
        }
        let details = ["RMR*IV*I-1**184.00", "RMR*IV*I-2**184.00", "RMR*IV*I-3**180.00", "ADX*-4*59"];
        host.send_edi(&advice(901, "R-1", "548.00", &details)).await.unwrap();
        for _ in 0..3 {
            host.decide_in_batches(batch).await;
        }
        for (order, (number, minor)) in orders.iter().zip([("I-1", WHOLE), ("I-2", WHOLE), ("I-3", 18_000)]) {
            assert_eq!(of_advices(&host, *order).await, [EventOutcome::Applied], "{number} in batches of {batch}");
            assert_eq!(advised_minor(&host, *order, number).await, minor);
        }
        let exceptions = host.exceptions().await;
        assert_eq!(exceptions.len(), 1, "only of the one that differs: {exceptions:?}");
        let (told, words) = (&exceptions[0], "180.00 USD of invoice `I-3` advised by `R-1`");
        assert_eq!((told.code.as_str(), told.order), ("advised-otherwise", Some(orders[2])));
        assert!(told.detail.contains(words) && told.detail.contains("-4.00 USD (59)"), "{}", told.detail);
        assert_eq!(told.queue, "integration", "that of the channel by which it came");

        let host = host.restart().await;
        for order in orders {
            assert!(matches!(host.rederive(order).await.unwrap(), Rederived::Same(compared) if compared.events == 4));
        }
        host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_820_that_differs_from_what_is_invoiced_is_a_persons_with_both_amounts() {
    for (amount, details, words) in [
        ("174.00", &["RMR*IV*I-1**174.00"][..], "174.00 USD of invoice `I-1` advised by `R-1`,"),
        (
            "174.00",
            &["RMR*IV*I-1**174.00", "ADX*-10*59"][..],
            "with an adjustment of -10.00 USD (59), expected 184.00 USD",
        ),
        ("194.00", &["RMR*IV*I-1**194.00"][..], "expected 184.00 USD, which is invoiced: agree with the payer"),
    ] {
        let host = advised().await;
        let order = invoiced(&host).await;
        hears(&host, &advice(901, "R-1", amount, details)).await;
        let open = host.exceptions().await;
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!((open[0].code.as_str(), open[0].order), ("advised-otherwise", Some(order)));
        assert!(open[0].detail.contains(words), "{}", open[0].detail);
        // It is on record all the same.
        assert_eq!(of_advices(&host, order).await, [EventOutcome::Applied]);
        // What is paid short of it is told as well, and all of the money ends both.
        told(&host, &[paid(order, "P-1", "I-1", 17_400)]).await;
        assert_eq!(host.codes().await, ["advised-otherwise", "paid-too-little"]);
        told(&host, &[paid(order, "P-2", "I-1", 1_000)]).await;
        assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Settled), Vec::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_820_that_comes_after_the_money_says_so_and_one_that_waited_until_the_money_was_here_asks_nobody() {
    let differs = advice(901, "R-1", "174.00", &["RMR*IV*I-1**174.00"]);
    let host = advised().await;
    let order = invoiced(&host).await;
    told(&host, &[paid(order, "P-1", "I-1", WHOLE)]).await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Settled));
    hears(&host, &differs).await;
    let open = host.exceptions().await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!((open[0].code.as_str(), open[0].order), ("advised-otherwise", Some(order)));
    assert!(open[0].detail.contains("and all of it is paid already: ask the payer"), "{}", open[0].detail);

    // Invoice and advice wait for the goods to leave, and all counts in one step.
    let host = advised().await;
    let order = released(&host, "PO-1").await;
    told(&host, &[accepted(order), invoice(order, "I-1", 10)]).await;
    hears(&host, &differs).await;
    assert_eq!(of_advices(&host, order).await, [EventOutcome::Early]);
    told(&host, &[paid(order, "P-1", "I-1", WHOLE), confirmed(order, "S-1", 10)]).await;
    assert_eq!(of_advices(&host, order).await, [EventOutcome::Applied]);
    assert_eq!((host.process_state(order).await, host.codes().await), (Some(ProcessState::Settled), Vec::new()));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_820_of_an_invoice_that_nobody_has_is_a_persons_as_a_whole_until_it_is_posted() {
    let host = advised().await;
    let order = invoiced(&host).await;
    let other = released(&host, "PO-2").await;
    told(&host, &[accepted(other), confirmed(other, "S-1", 10)]).await;
    hears(&host, &advice(901, "R-1", "368.00", &["RMR*IV*I-1**184.00", "RMR*IV*I-2**184.00"])).await;
    let unknown = host.exceptions().await.remove(0);
    assert_eq!((unknown.code.as_str(), unknown.order), ("unknown-invoice", None));
    assert!(
        unknown.detail.contains("found an advice `R-1` of invoice `I-2`, which no order has"),
        "{}",
        unknown.detail
    );
    assert!(of_advices(&host, order).await.is_empty(), "nothing of it counts");

    told(&host, &[invoice(other, "I-2", 10)]).await;
    exceptions::decide(&host, &host.ops().await, unknown.id, ExceptionAction::Retry).await.unwrap();
    host.decide_all().await;
    host.decide_all().await;
    assert_eq!(host.codes().await, Vec::<String>::new());
    for (order, number) in [(order, "I-1"), (other, "I-2")] {
        assert_eq!(
            (of_advices(&host, order).await, advised_minor(&host, order, number).await),
            (vec![EventOutcome::Applied], WHOLE)
        );
    }
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_820_counts_for_none_of_its_orders_where_an_invoice_that_is_decided_with_it_counts_for_nothing() {
    for batch in [1, 64] {
        let host = advised().await;
        let order = invoiced(&host).await;
        let other = released(&host, "PO-2").await;
        told(&host, &[accepted(other), confirmed(other, "S-1", 10)]).await;
        // Eleven boxes of ten.
        tell(&host, &invoice(other, "I-2", 11)).await;
        let both = ["RMR*IV*I-1**184.00", "RMR*IV*I-2**184.00"];
        host.send_edi(&advice(901, "R-1", "368.00", &both)).await.unwrap();
        for _ in 0..2 {
            host.decide_in_batches(batch).await;
        }
        let mut codes = host.codes().await;
        codes.sort();
        assert_eq!(codes, ["more-than-left", "unknown-invoice"], "in batches of {batch}");
        for order in [order, other] {
            assert!(of_advices(&host, order).await.is_empty(), "nothing of it counts in batches of {batch}");
        }
        host.verify().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_820_that_two_orders_may_be_meant_by_or_that_its_channel_may_not_say_moves_nothing() {
    let host = advised().await;
    let order = invoiced(&host).await;
    let other = released(&host, "PO-2").await;
    told(&host, &[accepted(other), confirmed(other, "S-1", 10), invoice(other, "I-1", 10)]).await;
    let whole = advice(901, "R-1", "184.00", &["RMR*IV*I-1**184.00"]);
    hears(&host, &whole).await;
    assert_eq!(host.codes().await, ["ambiguous-invoice"]);
    for order in [order, other] {
        assert!(of_advices(&host, order).await.is_empty());
    }

    let host = with_advices("").start().await;
    let order = invoiced(&host).await;
    hears(&host, &whole).await;
    assert_eq!((host.codes().await, of_advices(&host, order).await.len()), (vec!["may-not-say".to_owned()], 0));
    // Where nobody may advise, no invoice is a name of its order.
    let name = OrderName::Invoice { number: "I-1".to_owned() };
    assert_eq!(host.store.orders_named(vec![name]).await.unwrap(), vec![Vec::<OrderId>::new()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_may_advise_is_refused_with_a_process_in_which_no_advice_would_count() {
    let standard = include_str!("../../host/pipeline/src/process/standard.toml");
    let (before, after) = standard.split_once("[[transition]]\nevent = \"remittance.received\"").unwrap();
    let (_, after) = after.split_once("[[transition]]").unwrap();
    let without = format!("{before}[[transition]]{after}");
    let setup = with_advices("says = [\"remittance.received\"]\n").append("process.toml", &without);
    let refused = format!("{:#}", setup.try_start().await.err().unwrap());
    let words = "channel `edi` may say `remittance.received`, and the process has no transition for it";
    assert!(refused.contains(words), "{refused}");
    // Where none may say so, none is needed.
    with_advices("").append("process.toml", &without).start().await;
}

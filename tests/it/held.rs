//! Orders that are kept back, on their whole road: who asked for one hears once that it is, and what
//! becomes of it; and a system that has it with a block meanwhile gets it once.

use portreeve::config::Proposed;
use portreeve::host;
use portreeve::standins::partner::Partner;
use portreeve::standins::{Mischief, Shop};
use portreeve_model::reference::FieldValue;
use portreeve_model::{ExceptionAction, ExceptionKind, OrderId, ProcessState};
use portreeve_pipeline::Clock;
use portreeve_pipeline::rederive::Rederived;
use portreeve_pipeline::review::Reviewed;
use portreeve_record::LeafBody;
use portreeve_store::contract::OrderState;

use crate::front::commands::{refused, run};
use crate::interchanges::{agreed, to_customers};
use crate::kept_back::{change, dear};
use crate::later::with_purpose;
use crate::support::{PurchaseOrder, Setup, TestHost, exceptions, x12};

async fn sent(host: &TestHost, control: u32, order: &PurchaseOrder) -> OrderId {
    host.send_edi(&x12(control, order)).await.unwrap();
    host.decide_all().await;
    host.order(&order.number).await.id
}

/// An order that a rule of the host keeps back.
async fn held(host: &TestHost, control: u32, number: &str) -> OrderId {
    let order = sent(host, control, &dear(number)).await;
    assert_eq!(host.order(number).await.state, OrderState::Held);
    order
}

/// A person releases all that keeps it back.
async fn release(host: &TestHost, order: OrderId) -> Reviewed {
    let holds = host.store.order_trail(order).await.unwrap().unwrap().holds;
    let open: Vec<u64> = holds.iter().filter(|hold| hold.closed.is_none()).map(|hold| hold.number).collect();
    exceptions::release(host, &host.ops().await, order, &open).await.unwrap()
}

async fn reject(host: &TestHost, order: OrderId, kind: ExceptionKind) {
    let exception = exceptions::about(host, order, kind).await.unwrap();
    exceptions::decide(host, &host.ops().await, exception, ExceptionAction::Reject).await.unwrap();
}

/// What goes to a target of an order, whether it is the order itself, and where it stands.
async fn goes(host: &TestHost, number: &str, target: &str) -> Vec<(String, bool, String)> {
    let deliveries = host.order(number).await.deliveries.into_iter().filter(|delivery| delivery.target == target);
    deliveries.map(|delivery| (delivery.kind, delivery.said.is_none(), delivery.state)).collect()
}

fn row(kind: &str, is_order: bool, state: &str) -> (String, bool, String) {
    (kind.to_owned(), is_order, state.to_owned())
}

// --- who hears of it ---

const TELLS: &str = "
[[effect]]
on = \"order.held\"
channels = [\"edi\"]
target = \"customers\"
kind = \"x12/855-held\"

[[effect]]
on = \"order.rejected\"
channels = [\"edi\"]
target = \"customers\"
kind = \"x12/855\"
";

/// What a customer hears of an order: BAK02 of each 855.
fn answers(partner: &Partner, number: &str) -> Vec<String> {
    let ledger = partner.ledger();
    let own = ledger.iter().filter(|entry| entry.set == "855" && entry.element("BAK", 3) == number);
    own.map(|entry| entry.element("BAK", 2).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_hears_once_that_an_order_is_held_and_then_what_becomes_of_it() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let setup = to_customers(Setup::demo().scorers(&[]), &partner.origin(), &agreed(&partner.origin(), ""));
    let host = setup.append("portreeve.toml", TELLS).start().await;
    let order = held(&host, 1, "PO-1").await;
    assert_eq!(goes(&host, "PO-1", "customers").await, [row("x12/855-held", false, "pending")]);
    let host = host.restart().await;
    host.come_to_rest().await;
    assert_eq!(answers(&partner, "PO-1"), ["AH"]);
    assert_eq!(host.process_state(order).await, None, "nobody has it");

    // Another rule takes the place of the first: it waits as before, and nobody hears of that.
    change(&host, "customer", "C-1201", "blocked", FieldValue::Flag(true)).await;
    let reviewed = release(&host, order).await;
    assert_eq!((reviewed.state, reviewed.opened), (OrderState::Held, vec!["customer-blocked".to_owned()]));
    host.come_to_rest().await;
    assert_eq!(answers(&partner, "PO-1"), ["AH"]);
    change(&host, "customer", "C-1201", "blocked", FieldValue::Flag(false)).await;
    assert_eq!(host.host.pipeline.clear_holds(|| false).await.unwrap().released, 1);
    host.come_to_rest().await;
    assert_eq!(answers(&partner, "PO-1"), ["AH", "AK"]);
    assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted));
    let again = host.rederive(order).await.unwrap();
    assert!(matches!(again, Rederived::Same(_)), "{again:?}");

    // One that people reject before anything left hears both, in that order; one that goes at once
    // hears of no hold.
    let rejected = held(&host, 2, "PO-2").await;
    reject(&host, rejected, ExceptionKind::Held).await;
    let clean = PurchaseOrder::clean("PO-3").with_lines(&[("FST-1007", 10, "BX", "18.40")]);
    sent(&host, 3, &clean).await;
    host.come_to_rest().await;
    assert_eq!(
        (answers(&partner, "PO-2"), answers(&partner, "PO-3")),
        (vec!["AH".into(), "RJ".into()], vec!["AK".into()])
    );
    assert_eq!((host.order("PO-2").await.state, host.codes().await), (OrderState::Refused, vec![]));
    assert_eq!(partner.faults(), Vec::<String>::new());
    host.verify().await.unwrap();

    // The log says of which held orders somebody hears.
    let leaves = host.leaves().await;
    let told: Vec<bool> = leaves
        .iter()
        .filter_map(|leaf| match &leaf.body {
            LeafBody::Decide(decide) if decide.order.is_some() => Some(decide.told),
            _ => None,
        })
        .collect();
    assert_eq!(told, [true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_sender_does_not_want_it_any_more_is_told_of_no_hold() {
    let partner = Partner::start(Mischief::default()).await.unwrap();
    let setup = to_customers(Setup::demo().scorers(&[]), &partner.origin(), &agreed(&partner.origin(), ""));
    let host = setup.append("portreeve.toml", TELLS).start().await;
    host.send_edi(&with_purpose(1, &dear("PO-1"), "01")).await.unwrap();
    host.decide_all().await;
    held(&host, 2, "PO-1").await;
    host.come_to_rest().await;
    let told = goes(&host, "PO-1", "customers").await;
    assert!(told.is_empty(), "{told:?}");
    host.verify().await.unwrap();
}

// --- who has it with a block ---

const GRANT: &str = "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 250000 } }";

/// A shop of Adobe Commerce in the place of an ERP: what it has of an order with a block is a
/// comment, and so is what clears it; what undoes it cancels.
fn to_books(shop: &Shop) -> Setup {
    let target = format!(
        "\n[[target]]\nid = \"books\"\nconnector = \"adobe-commerce-rest\"\ntransformer = \"adobe-documents\"\n\
         kind = \"adobe/accepted\"\nreceipt = \"order.accepted\"\norigin = \"{}\"\nexception_queue = \"integration\"\n\
         find = true\nfind_after_ms = 1000\nsettings = {{ base-url = \"{}\", answer-timeout-ms = \"5000\" }}\n\n\
         [target.blocked]\ncreate = \"adobe/held\"\nclear = \"adobe/released\"\ncancel = \"adobe/cancel\"\n",
        shop.origin(),
        shop.base_url()
    );
    let egress = format!("[[plugin.egress]]\norigin = \"{}\"\nrequests_per_second = 20000\n", shop.origin());
    Setup::demo()
        .scorers(&[])
        .plugin("adobe-commerce-rest", GRANT)
        .append("portreeve.toml", &egress)
        .plugin("adobe-documents", "{ lookup = [\"item\"] }")
        .replace("portreeve.toml", "target = \"erp\"\n", "target = \"books\"\nheld = \"create-blocked\"\n")
        .append("portreeve.toml", &target)
}

/// The books know of an order by its number, and have nothing of it.
fn place(shop: &Shop, id: u64, number: &str) {
    let order = format!(
        r#"{{"entity_id":{id},"increment_id":"{number}","store_id":1,"state":"new","status":"pending",
            "order_currency_code":"USD","base_currency_code":"USD","grand_total":200.0,
            "items":[{{"item_id":{id},"product_type":"simple","sku":"FST-1007","qty_ordered":10,"row_total":200}}]}}"#
    );
    shop.place(order.as_bytes()).unwrap();
}

/// Books that know of three orders.
async fn knowing_three() -> Shop {
    let shop = Shop::start(Mischief::default()).await.unwrap();
    for (id, number) in [(1, "PO-1"), (2, "PO-2"), (3, "PO-3")] {
        place(&shop, id, number);
    }
    shop
}

/// What the books were told of an order, and its state there.
fn booked(shop: &Shop, number: &str) -> (Vec<&'static str>, &'static str) {
    let order = shop.orders().into_iter().find(|order| order.increment_id == number).unwrap();
    let known = |text: &str| {
        let words = ["[held ", "[released ", "[accepted "].into_iter();
        words.filter(|word| text.contains(word)).map(|word| word.trim_matches(['[', ' '])).collect::<Vec<_>>()
    };
    (order.history.iter().flat_map(|comment| known(&comment.comment)).collect(), order.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_created_with_a_block_is_cleared_and_not_created_again() {
    let shop = knowing_three().await;
    let host = to_books(&shop).start().await;
    let first = held(&host, 1, "PO-1").await;
    assert_eq!(goes(&host, "PO-1", "books").await, [row("adobe/held", false, "pending")]);
    host.come_to_rest().await;
    assert_eq!((booked(&shop, "PO-1"), host.process_state(first).await), ((vec!["held"], "new"), None));
    assert_eq!(host.codes().await, ["price-out-of-tolerance"], "that the books have it releases nothing");

    // The hold of another ends before anything of it left, and by then orders are withheld.
    let second = held(&host, 2, "PO-2").await;
    let withholds = |setup: Setup| setup.replace("portreeve.toml", "\"create-blocked\"", "\"withhold\"");
    let host = host.restart_with(withholds).await;
    let third = held(&host, 3, "PO-3").await;
    for order in [first, second, third] {
        assert_eq!(release(&host, order).await.state, OrderState::Released);
    }
    assert_eq!(
        goes(&host, "PO-2", "books").await,
        [row("adobe/held", false, "pending"), row("adobe/released", true, "pending")]
    );
    host.come_to_rest().await;
    for (number, order, expected) in [
        ("PO-1", first, vec!["held", "released"]),
        ("PO-2", second, vec!["held", "released"]),
        ("PO-3", third, vec!["accepted"]),
    ] {
        assert_eq!(booked(&shop, number), (expected, "new"), "{number}");
        assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted), "{number}");
    }
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_created_with_a_block_and_is_rejected_is_undone() {
    let shop = knowing_three().await;
    let host = to_books(&shop).start().await;
    let first = held(&host, 1, "PO-1").await;
    host.come_to_rest().await;
    reject(&host, first, ExceptionKind::Held).await;
    // Nothing of another left yet: it is made and undone, in that order.
    let second = held(&host, 2, "PO-2").await;
    reject(&host, second, ExceptionKind::Held).await;
    let host = host.restart().await;
    host.come_to_rest().await;
    for (number, order) in [("PO-1", first), ("PO-2", second)] {
        let expected = [row("adobe/held", false, "delivered"), row("adobe/cancel", false, "delivered")];
        assert_eq!(goes(&host, number, "books").await, expected, "{number}");
        assert_eq!(booked(&shop, number), (vec!["held"], "canceled"), "{number}");
        assert_eq!((host.order(number).await.state, host.process_state(order).await), (OrderState::Refused, None));
    }

    // A third is released, and its sender does not want it before the block is cleared.
    let third = held(&host, 3, "PO-3").await;
    host.come_to_rest().await;
    release(&host, third).await;
    host.send_edi(&with_purpose(4, &dear("PO-3"), "01")).await.unwrap();
    host.decide_all().await;
    assert_eq!(
        goes(&host, "PO-3", "books").await,
        [row("adobe/held", false, "delivered"), row("adobe/released", true, "withheld")]
    );
    reject(&host, third, ExceptionKind::Order).await;
    host.come_to_rest().await;
    let expected = [
        row("adobe/held", false, "delivered"),
        row("adobe/released", true, "abandoned"),
        row("adobe/cancel", false, "delivered"),
    ];
    assert_eq!(goes(&host, "PO-3", "books").await, expected);
    assert_eq!(booked(&shop, "PO-3"), (vec!["held"], "canceled"));
    host.verify().await.unwrap();
}

/// The same without a word of blocks: orders that are kept back stay here.
fn without_blocks(shop: &Shop) -> Setup {
    let section =
        "\n[target.blocked]\ncreate = \"adobe/held\"\nclear = \"adobe/released\"\ncancel = \"adobe/cancel\"\n";
    let withholds = to_books(shop).replace("portreeve.toml", "\"create-blocked\"", "\"withhold\"");
    withholds.replace("portreeve.toml", section, "")
}

/// Why a configuration does not take the place of the host's.
async fn refused_beside(host: &TestHost, setup: &Setup) -> String {
    let elsewhere = tempfile::tempdir().unwrap();
    let config = setup.configuration_with(elsewhere.path(), &host.erp.origin());
    let proposed = Proposed::read(&config).unwrap();
    let activated = host::activate(&host.store, host.locations(), &proposed, host.clock.now()).await;
    format!("{:#}", activated.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_orders_wait_with_is_neither_renamed_nor_taken_out_until_none_does() {
    let shop = knowing_three().await;
    let host = to_books(&shop).start().await;
    let first = held(&host, 1, "PO-1").await;
    host.come_to_rest().await;
    // The books have the first; of the second nothing left yet.
    let second = held(&host, 2, "PO-2").await;

    let main = "portreeve.toml";
    let renamed = to_books(&shop).replace(main, "create = \"adobe/held\"", "create = \"adobe/shipment\"");
    let taken_out = without_blocks(&shop);
    let moved = to_books(&shop).replace(main, "id = \"books\"", "id = \"ledgers\"").replace(
        main,
        "target = \"books\"",
        "target = \"ledgers\"",
    );
    let made = "found 2 orders that wait and that target `books` has, or gets, with a block, such as `PO-1`, expected `create = \"adobe/held\"` in `[target.blocked]` of that target as before: without it they would be made there a second time; keep the target and that line";
    for setup in [&renamed, &taken_out, &moved] {
        let said = refused_beside(&host, setup).await;
        assert!(said.contains(made) && !said.contains("`clear ="), "{said}");
    }
    assert_eq!(host.store.active_configuration().await.unwrap().unwrap().version, 1);

    // Released, they wait to be cleared.
    for order in [first, second] {
        assert_eq!(release(&host, order).await.state, OrderState::Released);
    }
    let said = refused_beside(&host, &taken_out).await;
    assert!(said.contains("expected `create = \"adobe/held\"`"), "{said}");
    assert!(said.contains("expected `clear = \"adobe/released\"`"), "{said}");
    host.come_to_rest().await;
    for (number, order) in [("PO-1", first), ("PO-2", second)] {
        assert_eq!(booked(&shop, number), (vec!["held", "released"], "new"), "{number}");
        assert_eq!(host.process_state(order).await, Some(ProcessState::Accepted), "{number}");
    }

    // Now none waits with a block.
    let host = host.restart_with(|_| taken_out).await;
    let third = held(&host, 3, "PO-3").await;
    assert_eq!(release(&host, third).await.state, OrderState::Released);
    host.come_to_rest().await;
    assert_eq!(booked(&shop, "PO-3"), (vec!["accepted"], "new"));
    assert_eq!((host.process_state(third).await, host.codes().await), (Some(ProcessState::Accepted), vec![]));
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn word_of_a_hold_stays_known_while_orders_wait_whose_own_target_was_told_by_it() {
    let shop = Shop::start(Mischief::default()).await.unwrap();
    place(&shop, 1, "PO-1");
    let effect = "\n[[effect]]\non = \"order.held\"\ntarget = \"books\"\nkind = \"adobe/held\"\n";
    let host = without_blocks(&shop).append("portreeve.toml", effect).start().await;
    let order = held(&host, 1, "PO-1").await;
    host.come_to_rest().await;

    // What the books make of that kind only they know: it may be the order.
    let renamed = effect.replace("adobe/held", "adobe/released");
    for setup in [without_blocks(&shop), without_blocks(&shop).append("portreeve.toml", &renamed)] {
        let said = refused_beside(&host, &setup).await;
        let sentence = "found 1 orders that wait and of which target `books` was told by `adobe/held`, such as `PO-1`, expected an [[effect]] of `order.held`";
        assert!(said.contains(sentence), "{said}");
    }
    assert_eq!(host.store.active_configuration().await.unwrap().unwrap().version, 1);
    assert_eq!(goes(&host, "PO-1", "books").await, [row("adobe/held", false, "delivered")]);

    assert_eq!(release(&host, order).await.state, OrderState::Released);
    host.come_to_rest().await;
    assert_eq!(booked(&shop, "PO-1"), (vec!["held", "accepted"], "new"));
    let host = host.restart_as(without_blocks(&shop)).await;
    assert_eq!(host.store.active_configuration().await.unwrap().unwrap().version, 2, "now none waits");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_an_answer_is_lost_a_block_is_made_and_cleared_once() {
    let mischief = Mischief {
        throttle_per_mille: 150,
        fail_before_per_mille: 150,
        drop_after_per_mille: 300,
        ..Mischief::default()
    };
    let shop = Shop::start(mischief).await.unwrap();
    let host = to_books(&shop).start().await;
    let mut orders = Vec::new();
    for control in 1..=12 {
        let number = format!("PO-{control}");
        place(&shop, u64::from(control), &number);
        orders.push((held(&host, control, &number).await, number));
    }
    // Of half of them the hold ends before the books have anything.
    let (late, early) = orders.split_at(6);
    for (order, _) in early {
        release(&host, *order).await;
    }
    host.come_to_rest().await;
    for (order, _) in late {
        release(&host, *order).await;
    }
    host.come_to_rest().await;
    for (order, number) in &orders {
        assert_eq!(booked(&shop, number), (vec!["held", "released"], "new"), "{number}");
        assert_eq!(host.process_state(*order).await, Some(ProcessState::Accepted), "{number}");
    }
    assert!(host.summary().await.retried > 0, "the books were hard to talk to");
    assert_eq!(host.codes().await, Vec::<String>::new());
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_target_that_cannot_clear_a_block_gets_no_order_with_one() {
    let creates = "target = \"erp\"\nheld = \"create-blocked\"\n";
    let setup = Setup::demo().replace("portreeve.toml", "target = \"erp\"\n", creates);
    let folder = tempfile::tempdir().unwrap();
    let config = setup.configuration(folder.path());
    let expected = [
        "channel `edi` has `held = \"create-blocked\"`, and its target `erp` does not say by which messages it has an order with a block; only an ERP whose block the host can also clear may get one: add `[target.blocked]` with `create`, `clear` and `cancel`, or write `held = \"withhold\"`",
        "channel `shop` has `held = \"create-blocked\"`",
    ];
    refused(&["route", "check", "--config", config.to_str().unwrap()], &expected).await;
    let right = Setup::demo().configuration(folder.path());
    run(&["route", "check", "--config", right.to_str().unwrap()]).await.unwrap();
}

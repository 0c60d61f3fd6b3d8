//! What the two channels' plugins make of inputs that are easily read wrongly:
//! several interchanges in one file, agreements, tests, prices on another basis,
//! places of single lines, operation documents, freight and discounts.

use portreeve_api::outcome::Outcome;
use portreeve_model::{Event, Failure, Received};
use portreeve_store::contract::OrderState;

use crate::at_the_plugin::{Plugins, Settings};
use crate::support::{PurchaseOrder, Setup, TestHost, sample, x12, x12_of};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn codes(received: &Received) -> Vec<&str> {
    received.problems.iter().map(|problem| problem.code.as_str()).collect()
}

fn order() -> String {
    text(&x12(7, &PurchaseOrder::clean("PO-1")))
}

/// What is agreed with partners who name no currency, and with a shop, which names no unit.
const IN_DOLLARS: Settings<'_> = &[("currency", "USD")];
const BY_THE_PIECE: Settings<'_> = &[("unit", "EA")];

/// The events of one order, or the codes of its problems.
async fn mapped(plugins: &Plugins, input: &str) -> Result<Vec<Event>, Vec<String>> {
    let received = plugins.receive("x12", input.as_bytes(), &[]).await;
    match plugins.map("x12-orders", &received.documents[0], IN_DOLLARS).await {
        Ok(events) => Ok(events),
        Err(Failure::Invalid(problems)) => Err(problems.into_iter().map(|problem| problem.code).collect()),
        Err(failure) => panic!("{failure:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_interchange_of_an_input_is_known_and_answered_by_itself() {
    let plugins = Plugins::demo().await;
    let (first, second) = (order(), text(&x12(8, &PurchaseOrder::clean("PO-2"))));
    let input = format!("{first}\n{second}{first}");
    let received = plugins.receive("x12", input.as_bytes(), &[]).await;

    let keys: Vec<&str> = received.envelopes.iter().map(|envelope| envelope.key.as_str()).collect();
    let key = |control: &str| format!("ZZ:C1201>ZZ:PORTREEVE/{control}");
    assert_eq!(keys, [key("000000007"), key("000000008"), key("000000007")]);
    let digests: Vec<_> =
        received.envelopes.iter().map(|envelope| envelope.digest(input.as_bytes()).unwrap()).collect();
    assert_eq!((digests[0] == digests[2], digests[0] == digests[1]), (true, false));
    assert_eq!(
        received.documents.iter().map(|document| document.envelope).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2)]
    );

    let mut answered = String::new();
    for envelope in &received.envelopes {
        let answer = text(envelope.answer.unwrap().of(&received.reply.body).unwrap());
        assert_eq!((answer.matches("ISA*").count(), answer.matches("AK5*A").count()), (1, 1), "{answer}");
        let refusal = text(envelope.refusal.as_ref().unwrap());
        assert!(refusal.contains("*R*025~") && !refusal.contains("AK5"), "{refusal}");
        answered.push_str(&answer);
    }
    assert_eq!(answered, text(&received.reply.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interchange_for_somebody_else_is_refused_where_the_channel_says_who_it_is() {
    let plugins = Plugins::demo().await;
    let ours: Settings<'_> = &[("receivers", "01:123456789 ZZ:PORTREEVE")];
    assert_eq!(plugins.receive("x12", order().as_bytes(), ours).await.documents.len(), 1);
    let theirs = order().replace("PORTREEVE      ", "SOMEBODY-ELSE  ");
    assert_eq!(plugins.receive("x12", theirs.as_bytes(), &[]).await.documents.len(), 1);
    let received = plugins.receive("x12", theirs.as_bytes(), ours).await;
    assert_eq!((codes(&received), received.documents.len()), (vec!["unknown-receiver"], 0));
    assert_eq!(received.envelopes, [], "its sender may send the same number to the right place");
    let reply = text(&received.reply.body);
    assert!(reply.contains("TA1*000000007*260302*0800*R*009~") && !reply.contains("AK"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_is_a_setting_for_all_partners_or_for_one() {
    let plugins = Plugins::demo().await;
    let wrong = order().replace("IEA*1*", "IEA*2*").replace("GE*1*7", "GE*1*9");
    let taken = plugins.receive("x12", wrong.as_bytes(), &[]).await;
    assert_eq!(taken.documents.len(), 1, "the default takes it, and says so");
    assert_eq!(codes(&taken), ["interchange-count-mismatch", "group-control-mismatch"]);

    let strict: Settings<'_> = &[("control-mismatch", "reject")];
    let refused = plugins.receive("x12", wrong.as_bytes(), strict).await;
    assert_eq!(refused.documents.len(), 0);
    assert!(text(&refused.reply.body).contains("AK5*R~\nAK9*R*1*1*0*4~"));

    let but: Settings<'_> = &[("control-mismatch", "reject"), ("control-mismatch@ZZ:C1201", "accept")];
    assert_eq!(plugins.receive("x12", wrong.as_bytes(), but).await.documents.len(), 1);
    let slip = plugins.answer("x12", "POST", "/", &[], wrong.as_bytes(), &[("isa-repair", "no")]).await;
    let Err(Failure::Permanent(why)) = slip else { panic!("{slip:?}") };
    assert_eq!(why, "setting `isa-repair` is neither `accept` nor `reject`; write one of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_set_between_good_ones_costs_only_itself() {
    let plugins = Plugins::demo().await;
    let orders = ["PO-1", "PO-2", "PO-3"].map(PurchaseOrder::clean);
    let input = text(&x12_of(7, &orders)).replace("*PO-2*", "**");
    let received = plugins.receive("x12", input.as_bytes(), &[]).await;
    assert_eq!((received.documents.len(), codes(&received)), (2, vec!["element-missing"]));
    let reply = text(&received.reply.body);
    assert!(
        reply.contains(
            "AK5*A~\nAK2*850*0002~\nAK3*BEG*2**8~\nAK4*3*324*1~\nAK5*R*5~\nAK2*850*0003~\nAK5*A~\nAK9*P*3*3*2~"
        ),
        "{reply}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_purpose_of_an_order_decides_about_its_event() {
    let plugins = Plugins::demo().await;
    let with = |purpose: &str| order().replace("BEG*00*", &format!("BEG*{purpose}*"));
    let events = mapped(&plugins, &with("00")).await.unwrap();
    assert!(matches!(&events[..], [Event::OrderCreated(order)] if order.number == "PO-1"), "{events:?}");
    let events = mapped(&plugins, &with("05")).await.unwrap();
    let [Event::OrderChanged(change)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((change.order.number.as_str(), change.revision.as_deref()), ("PO-1", Some("20260302")));
    let events = mapped(&plugins, &with("01")).await.unwrap();
    assert!(
        matches!(&events[..], [Event::OrderCancelRequested(cancel)] if cancel.order_number == "PO-1"),
        "{events:?}"
    );
    assert_eq!(mapped(&plugins, &with("22")).await.unwrap_err(), ["unsupported-purpose"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_a_cancellation_wait_for_a_person() {
    let host = TestHost::demo().await;
    host.send_edi(order().as_bytes()).await.unwrap();
    for (control, purpose) in [(8, "05"), (9, "01")] {
        let input = text(&x12(control, &PurchaseOrder::clean("PO-1"))).replace("BEG*00*", &format!("BEG*{purpose}*"));
        host.send_edi(input.as_bytes()).await.unwrap();
    }
    host.decide_all().await;
    let codes: Vec<String> = host.exceptions().await.into_iter().map(|exception| exception.code).collect();
    assert_eq!(
        (codes, host.count(OrderState::Held).await),
        (vec!["changed-order".to_owned(), "cancel-requested".to_owned()], 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_a_test_says_so_itself() {
    let plugins = Plugins::demo().await;
    for (usage, expected) in [("P", None), ("T", Some("T")), ("I", Some("I")), ("Q", Some("Q"))] {
        let input = order().replace("*0*P*>", &format!("*0*{usage}*>"));
        let events = mapped(&plugins, &input).await.unwrap();
        let [Event::OrderCreated(order)] = &events[..] else { panic!("{events:?}") };
        let found = order.extensions.iter().find(|extension| extension.name == "x12:usage");
        assert_eq!(found.map(|extension| extension.value.as_str()), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_charged_or_sent_wrongly_is_a_persons() {
    let plugins = Plugins::demo().await;
    let after_line = |segment: &str| order().replace("CTT*", &format!("{segment}~\nCTT*"));
    let in_header = |segment: &str| order().replace("PO1*1*", &format!("{segment}~\nPO1*1*"));
    let basis = |code: &str| order().replace("*PE*VP*FST", &format!("*{code}*VP*FST"));
    let cases = [
        (basis("HF"), "price-basis"),
        (basis("HT"), "price-basis"),
        (basis("PP"), "price-basis"),
        (order().replace("*BX*18.40*", "*BX**"), "price-missing"),
        (after_line("N1*ST*Another Place*92*C-1201-02"), "line-ship-to"),
        (after_line("SDQ*EA*92*0001*2*0002*2"), "line-destinations"),
        (after_line("SAC*A*C310***500"), "allowance-or-charge"),
        (after_line("CUR*BY*CAD"), "line-currency"),
        (in_header("SAC*C*D240***2500"), "allowance-or-charge"),
        (in_header(&format!("REF*ZZ*{}", "A".repeat(4_200))), "too-much-to-keep"),
        (in_header(&vec!["REF*ZZ*1"; 70].join("~\n")), "too-much-to-keep"),
    ];
    for (input, code) in cases {
        assert_eq!(mapped(&plugins, &input).await.unwrap_err(), [code], "{input}");
    }
    for harmless in [
        basis("UM"),
        basis("CT"),
        basis(""),
        in_header("SAC*N*D240***2500"),
        after_line("N1*SF*Depot"),
        after_line("CUR*BY*USD"),
    ] {
        assert!(mapped(&plugins, &harmless).await.is_ok(), "{harmless}");
    }
    let events = mapped(&plugins, &basis("HP")).await.unwrap();
    let [Event::OrderCreated(order)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(order.lines[0].unit_price.to_string(), "18.4 USD per 100");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_faults_do_not_hide_that_an_order_is_cut() {
    let host = TestHost::demo().await;
    let noise = "XX*1~".repeat(201);
    let cut = order().replace("ST*850", &format!("{noise}ST*850")).replace("SE*", "ZZ*");
    let answer = host.send_edi(cut.as_bytes()).await.unwrap();
    let reply = text(&answer.reply.body);
    assert!(reply.contains("AK5*R*2~\nAK9*R*1*1*0~"), "{reply}");
    host.decide_all().await;
    assert_eq!(host.orders().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_faulty_sets_are_answered_and_not_too_long_to_be_kept() {
    let plugins = Plugins::demo().await;
    let sets: String = (1..=9_000).map(|set| format!("ST*999*{set:04}~SE*2*{set:04}~")).collect();
    let input = order();
    let (head, _) = input.split_once("ST*850").unwrap();
    let received = plugins.receive("x12", format!("{head}{sets}GE*9000*7~IEA*1*000000007~").as_bytes(), &[]).await;
    assert_eq!((received.documents.len(), received.problems.len()), (0, 201));
    assert!(text(&received.reply.body).contains("AK9*R*9000*9000*0~"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_gets_an_operation_document_whatever_it_sends() {
    let plugins = Plugins::demo().await;
    let good = sample("adobe-commerce", "0001");
    let cases = [
        (good.clone(), "success", ""),
        (good.get(..good.len() / 2).unwrap().to_vec(), "exception", "malformed-json"),
        (format!("{{\"order\":{}", "[".repeat(100_000)).into_bytes(), "exception", "malformed-json"),
        ([&b"\xFF\xFE"[..], &good].concat(), "exception", "malformed-json"),
        (br#"{"increment_id":"1","increment_id":"2"}"#.to_vec(), "exception", "malformed-json"),
        (br#"{"increment_id":1e999999999}"#.to_vec(), "exception", "order-number-missing"),
        (br#"{"increment_id":"7\u0001"}"#.to_vec(), "exception", "order-number-missing"),
        (b"{\"increment_id\":\"7\x7F\"}".to_vec(), "exception", "order-number-missing"),
        (format!(r#"{{"increment_id":"{}"}}"#, "%".repeat(54)).into_bytes(), "exception", "order-number-missing"),
        (br#"{"increment_id":"7","store_id":{}}"#.to_vec(), "exception", "store-malformed"),
        (br#"{"increment_id":"7","store_id":"1\u0001"}"#.to_vec(), "exception", "store-malformed"),
        (br#"{"increment_id":"7","store_id":""}"#.to_vec(), "success", ""),
        (order().into_bytes(), "exception", "malformed-json"),
        (Vec::new(), "exception", "malformed-json"),
    ];
    for (body, op, code) in cases {
        let received = plugins.receive("adobe-commerce", &body, &[]).await;
        let operations: Vec<serde_json::Value> = serde_json::from_slice(&received.reply.body).unwrap();
        assert_eq!((received.reply.status, operations[0]["op"].as_str().unwrap()), (200, op), "{received:?}");
        assert_eq!(codes(&received).first().copied().unwrap_or_default(), code);
        if code == "malformed-json" {
            let position = &received.problems[0].position;
            assert!(position.offset_bytes.unwrap() <= u64::try_from(body.len()).unwrap() && position.segment.is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_registered_by_its_challenge_and_nothing_else_is_echoed() {
    let plugins = Plugins::demo().await;
    let challenge = "8ec8d794-e0ab-42df-9017-e3dada8e84f7";
    let get = async |path: &str| plugins.answer("adobe-commerce", "GET", path, &[], b"", &[]).await.unwrap();
    let received = get(&format!("/inputs?challenge={challenge}")).await;
    assert_eq!((received.reply.status, text(&received.reply.body)), (200, challenge.to_owned()));
    assert_eq!((received.documents.len(), received.problems.len()), (0, 0));
    for path in ["/inputs", "/inputs?challenge=", "/inputs?challenge=%3Cscript%3E", "/inputs?challenge=<b>"] {
        let received = get(path).await;
        assert_eq!((received.reply.status, codes(&received)), (400, vec!["challenge-missing"]), "{path}");
        assert!(!text(&received.reply.body).contains("<b>"));
    }
}

/// An order of 100.00 in goods with a discount, freight and tax.
fn shop_order(discount: &str, freight: &str, grand: &str) -> String {
    format!(
        r#"{{"increment_id":"000000777","store_id":1,"state":"new","order_currency_code":"USD","customer_id":3,
            "subtotal":100,"discount_amount":{discount},"shipping_amount":{freight},"tax_amount":7.75,"grand_total":{grand},
            "items":[{{"item_id":1,"sku":"FST-1007","qty_ordered":4,"price":25,"row_total":100}}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn freight_and_discount_reach_the_erp_or_the_order_does_not() {
    let plugins = Plugins::demo().await;
    let rendered = async |order: &str, settings: Settings<'_>| {
        let received = plugins.receive("adobe-commerce", order.as_bytes(), &[]).await;
        let event = plugins.map("adobe-orders", &received.documents[0], BY_THE_PIECE).await.unwrap().remove(0);
        plugins.render(event, settings).await
    };
    let account: Settings<'_> = &[("freight-account", "6130")];
    let message = rendered(&shop_order("-10.5", "9.90", "107.15"), account).await.unwrap();
    let body = text(&message.body);
    assert!(body.contains(r#""discountAmount":10.5"#), "{body}");
    let line =
        r#"{"lineType":"Account","lineObjectNumber":"6130","description":"Freight","quantity":1,"unitPrice":9.9"#;
    assert!(body.contains(line), "{body}");

    let Err(Failure::Invalid(problems)) = rendered(&shop_order("0", "9.90", "117.65"), &[]).await else { panic!() };
    assert_eq!(problems[0].code, "freight-account-missing");
    let plain = text(&rendered(&shop_order("0.0000", "0", "107.75"), &[]).await.unwrap().body);
    assert!(!plain.contains("discountAmount") && !plain.contains("Account"), "{plain}");
}

/// Code, place and sentence of everything that is wrong with the only document of an input.
async fn refused(plugins: &Plugins, names: (&str, &str), input: &str, settings: Settings<'_>) -> Vec<[String; 3]> {
    let (connector, transformer) = names;
    let received = plugins.receive(connector, input.as_bytes(), &[]).await;
    match plugins.map(transformer, &received.documents[0], settings).await {
        Err(Failure::Invalid(problems)) => {
            problems.into_iter().map(|problem| [problem.code, problem.position.path, problem.message]).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn only<T: std::fmt::Debug>(mut found: Vec<T>) -> T {
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_names_no_currency_is_in_the_agreed_one_or_a_persons() {
    let plugins = Plugins::demo().await;
    let names = ("x12", "x12-orders");
    let currency = async |input: &str, settings: Settings<'_>| {
        let received = plugins.receive("x12", input.as_bytes(), &[]).await;
        let event = plugins.map("x12-orders", &received.documents[0], settings).await.unwrap().remove(0);
        let Event::OrderCreated(order) = event else { panic!("{event:?}") };
        (order.currency.code().to_owned(), order.lines[0].unit_price.currency.code().to_owned())
    };
    let both = |code: &str| (code.to_owned(), code.to_owned());
    assert!(!order().contains("CUR*"));
    assert_eq!(currency(&order(), &[("currency", "CAD")]).await, both("CAD"));
    let stated = order().replace("PO1*1*", "CUR*BY*EUR~\nPO1*1*");
    for settings in [&[][..], IN_DOLLARS] {
        assert_eq!(currency(&stated, settings).await, both("EUR"));
    }

    let [code, path, message] = only(refused(&plugins, names, &order(), &[]).await);
    assert_eq!((code.as_str(), path.as_str()), ("currency-missing", "CUR/02"));
    assert_eq!(
        message,
        "found no currency in the header; expected CUR02 with a code such as `USD`, or the channel's setting \
         `currency` with the one that is agreed with the partner"
    );
    // A slip in the agreement is told as one, and so is a code that no list has.
    let [code, path, _] = only(refused(&plugins, names, &order(), &[("currency", "dollars")]).await);
    assert_eq!((code.as_str(), path.as_str()), ("unknown-currency", "settings.currency"));
    let unlisted = stated.replace("CUR*BY*EUR", "CUR*BY*ZZZ");
    let [code, path, _] = only(refused(&plugins, names, &unlisted, IN_DOLLARS).await);
    assert_eq!((code.as_str(), path.as_str()), ("unknown-currency", "CUR/02"));
    // A cancellation has no amounts.
    let cancels = order().replace("BEG*00*", "BEG*01*");
    let received = plugins.receive("x12", cancels.as_bytes(), &[]).await;
    let events = plugins.map("x12-orders", &received.documents[0], &[]).await.unwrap();
    assert!(matches!(&events[..], [Event::OrderCancelRequested(_)]), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_whose_unit_nobody_says_is_a_persons() {
    let plugins = Plugins::demo().await;
    let order = shop_order("0", "0", "107.75").replace(
        r#""row_total":100}]"#,
        r#""row_total":100},{"item_id":2,"sku":"NEW-1","qty_ordered":"x","price":1}]"#,
    );
    let names = ("adobe-commerce", "adobe-orders");
    // Tables have no rows here.
    let found = refused(&plugins, names, &order, &[]).await;
    let found: Vec<(&str, &str)> = found.iter().map(|[code, path, _]| (code.as_str(), path.as_str())).collect();
    assert_eq!(
        found,
        [("unit-missing", "items[0].sku"), ("unit-missing", "items[1].sku"), ("bad-number", "items[1].qty_ordered")]
    );
    let [_, _, message] = only(refused(&plugins, names, &shop_order("0", "0", "107.75"), &[]).await);
    assert_eq!(
        message,
        "found an item of which nobody says in which unit the shop sells it; expected it in the table `item`, or the \
         channel's setting `unit`"
    );
    let received = plugins.receive("adobe-commerce", shop_order("0", "0", "107.75").as_bytes(), &[]).await;
    let event = plugins.map("adobe-orders", &received.documents[0], &[("unit", "CA")]).await.unwrap().remove(0);
    let Event::OrderCreated(order) = event else { panic!("{event:?}") };
    assert_eq!(order.lines[0].quantity.to_string(), "4 CA");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_to_mend_a_document_hears_of_all_that_is_wrong_with_it() {
    let unlisted = "settings = { unit = \"EA\" }        # of what the table `item` does not have\n";
    let host = Setup::demo().scorers(&[]).replace("portreeve.toml", unlisted, "").start().await;
    let body = shop_order("0", "0", "107.75").replace("FST-1007", "NOT-LISTED").replace(
        r#""row_total":100}]"#,
        r#""row_total":100},{"item_id":2,"sku":"NEW-1","qty_ordered":"x","price":1}]"#,
    );
    let accepted = host.send_shop(body.as_bytes()).await.unwrap();
    let outcome = Outcome::of(&host.host.pipeline, accepted).await.unwrap();
    let found: Vec<_> = outcome.problems.iter().map(|one| (one.code.as_str(), one.r#where.as_str())).collect();
    assert_eq!(
        found,
        [("unit-missing", "items[0].sku"), ("unit-missing", "items[1].sku"), ("bad-number", "items[1].qty_ordered")]
    );
    host.decide_all().await;
    let waits = host.exceptions().await.into_iter().find(|waits| waits.code == "unit-missing").unwrap();
    assert!(waits.detail.starts_with("3 problem(s): (1) `items[0].sku`: found an item of which"), "{}", waits.detail);
    for told in ["(2) `items[1].sku`: ", "(3) `items[1].qty_ordered`: "] {
        assert!(waits.detail.contains(told), "`{told}` in {}", waits.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_items_says_the_unit_before_the_shops_setting_does() {
    let unlisted = "settings = { unit = \"EA\" }        # of what the table `item` does not have\n";
    let host = Setup::demo().scorers(&[]).replace("portreeve.toml", unlisted, "").start().await;
    let outcome = async |number: &str, sku: &str| {
        let body = shop_order("0", "0", "107.75").replace("000000777", number).replace("FST-1007", sku);
        let accepted = host.send_shop(body.as_bytes()).await.unwrap();
        Outcome::of(&host.host.pipeline, accepted).await.unwrap()
    };
    let listed = outcome("000000777", "FST-1007").await;
    let event: serde_json::Value = serde_json::from_str(listed.events[0].get()).unwrap();
    assert_eq!(event["data"]["lines"][0]["quantity"]["unit"], "BX", "{event}");
    let unlisted = outcome("000000778", "NOT-LISTED").await;
    let problems: Vec<&str> = unlisted.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!((problems, unlisted.events.len()), (vec!["unit-missing"], 0));
    // And what is decided is what was shown.
    host.decide_all().await;
    assert_eq!(host.orders().await.len(), 1);
    assert!(host.codes().await.iter().any(|code| code == "unit-missing"));

    // With the demo's setting the same item is sold by the piece.
    let host = TestHost::demo().await;
    let body = shop_order("0", "0", "107.75").replace("FST-1007", "NOT-LISTED");
    let accepted = host.send_shop(body.as_bytes()).await.unwrap();
    let outcome = Outcome::of(&host.host.pipeline, accepted).await.unwrap();
    let event: serde_json::Value = serde_json::from_str(outcome.events[0].get()).unwrap();
    assert_eq!(event["data"]["lines"][0]["quantity"]["unit"], "EA", "{event}");
}

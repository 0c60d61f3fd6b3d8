//! What the ERP posted is fetched: each invoice and credit memo once, whatever is lost, throttled
//! or told twice on the way; and woken by its notifications, which prove whose they are.

use std::path::Path;

use hyper::Method;
use portreeve::standins::Mischief;
use portreeve::standins::erp::COMPANY;
use portreeve_model::document::Position;
use portreeve_model::event::Invoice;
use portreeve_model::{Document, Event, Failure, ProcessState, UnreadableRow};
use portreeve_pipeline::poll::PollRun;
use portreeve_pipeline::{Clock, Poll};
use serde_json::{Value, json};

use crate::at_the_plugin::Plugins;
use crate::posting::{FIRST, SECOND, accepted, posting, ship};
use crate::support::{Setup, TestHost};

const SECRET: &str = "client-state-of-the-tests";

/// The interval of the polls here.
const MINUTE_MS: i64 = 60_000;

/// A host that has the ERP post what leaves, and fetches what it posted.
pub(crate) fn fetching(mischief: Mischief, settings: &str) -> Setup {
    let poll = |id: &str, list: &str| {
        format!(
            "\n[[poll]]\nid = \"{id}\"\nchannel = \"ledger\"\nevery_seconds = 60\norigin = \"${{ERP_ORIGIN}}\"\n\
             settings = {{ poll = \"{list}\", poll-since = \"2026-03-01T00:00:00Z\"{settings} }}\n"
        )
    };
    let channels = format!(
        "\n[[channel]]\nid = \"ledger\"\nconnector = \"erp-rest\"\ntarget = \"erp\"\nexception_queue = \"integration\"\n\
         documents = {{ \"business-central/sales-invoice\" = \"business-central\", \"business-central/sales-credit-memo\" = \"business-central\" }}\n\
         says = [\"invoice.posted\"]\n\
         settings = {{ base-url = \"${{ERP_ORIGIN}}/api/v2.0\", company = \"{COMPANY}\", account-unit = \"EA\", discount-line = \"DISCOUNT\" }}\n{}{}",
        poll("invoices", "salesInvoices"),
        poll("memos", "salesCreditMemos"),
    );
    posting(mischief).append("portreeve.toml", &channels)
}

/// The same with a channel for the ERP's notifications, under a secret in this folder.
fn notified(folder: &Path) -> Setup {
    let file = folder.join("client-state");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    fetching(Mischief::default(), "").blindfolded("business-central-webhooks").append(
        "portreeve.toml",
        &format!(
            "\n[[sender]]\nchannel = \"erp-webhooks\"\nid = \"erp\"\nclient_state_file = \"{}\"\n\n\
             [[channel]]\nid = \"erp-webhooks\"\nconnector = \"business-central-webhooks\"\ndocuments = {{}}\n\
             target = \"erp\"\nexception_queue = \"integration\"\nchallenges = true\n\n[channel.wakes]\n\
             poll = \"invoices\"\nkinds = [\"business-central/changed\", \"business-central/collection\"]\n",
            file.display()
        ),
    )
}

pub(crate) async fn poll(host: &TestHost, id: &str) -> PollRun {
    let pipeline = &host.host.pipeline;
    let poll: Poll = pipeline.routes.poll(id).unwrap().clone();
    pipeline.poll(&poll).await.unwrap()
}

fn later(host: &TestHost, ms: i64) {
    host.clock.advance_to(host.clock.now().plus_ms(ms));
}

/// An order of two lines that left, and which the ERP therefore invoiced.
pub(crate) async fn invoiced(host: &TestHost, number: &str) -> portreeve_model::OrderId {
    let order = accepted(host, number).await;
    ship(host, order, &format!("S-{number}"), &[FIRST, SECOND]).await;
    host.come_to_rest().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Shipped));
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_erp_posted_is_fetched_once_and_moves_its_order() {
    let host = fetching(Mischief::default(), "").start().await;
    let order = invoiced(&host, "PO-1").await;
    assert_eq!(poll(&host, "invoices").await, PollRun { asked: 2, documents: 1, failed: None });
    host.decide_all().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced), "{:?}", host.exceptions().await);
    let progress = host.progress(order).await;
    // Ten at 18.40 and four at 12.95.
    assert_eq!(progress.money.invoiced_minor, 18_400 + 5_180);

    // The last minutes are asked for again, and nothing of them is told again or on record.
    let leaves = host.leaves().await.len();
    for _ in 0..3 {
        later(&host, MINUTE_MS);
        assert_eq!(poll(&host, "invoices").await, PollRun { asked: 1, documents: 0, failed: None });
    }
    assert_eq!(host.leaves().await.len(), leaves);
    assert_eq!(poll(&host, "memos").await, PollRun { asked: 1, documents: 0, failed: None });
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn page_by_page_each_document_is_told_once_also_where_all_have_one_time() {
    let host = fetching(Mischief::default(), ", poll-page = \"2\"").start().await;
    let mut orders = Vec::new();
    for number in 0..5 {
        orders.push(invoiced(&host, &format!("PO-{number}")).await);
    }
    let run = poll(&host, "invoices").await;
    assert_eq!((run.documents, run.failed), (5, None));
    host.decide_all().await;
    for order in orders {
        assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
    }
    // One that was posted in the same moment as the last of them is not passed over.
    let late = invoiced(&host, "PO-9").await;
    later(&host, MINUTE_MS);
    assert_eq!(poll(&host, "invoices").await.documents, 1);
    host.decide_all().await;
    assert_eq!(host.process_state(late).await, Some(ProcessState::Invoiced));
    // And one that commits behind what was seen, within the overlap.
    host.erp.set_clock(crate::support::MORNING.plus_ms(-200_000));
    let behind = invoiced(&host, "PO-10").await;
    later(&host, MINUTE_MS);
    assert_eq!(poll(&host, "invoices").await.documents, 1);
    host.decide_all().await;
    assert_eq!(host.process_state(behind).await, Some(ProcessState::Invoiced));
    assert_eq!(host.summary().await.duplicates, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_set_poll_since_to_later_have_the_erp_asked_from_there_on() {
    let host = fetching(Mischief::default(), "").start().await;
    invoiced(&host, "PO-1").await;
    assert_eq!(poll(&host, "invoices").await.documents, 1);
    let passed_over = invoiced(&host, "PO-2").await;
    later(&host, MINUTE_MS);
    let setup = fetching(Mischief::default(), "");
    let host = host.restart_as(setup.replace("portreeve.toml", "2026-03-01T00:00:00Z", "2026-03-02T09:00:00Z")).await;
    assert_eq!(poll(&host, "invoices").await, PollRun { asked: 1, documents: 0, failed: None });
    host.erp.set_clock(crate::support::MORNING.plus_ms(3 * 60 * MINUTE_MS));
    let order = invoiced(&host, "PO-3").await;
    later(&host, MINUTE_MS);
    assert_eq!(poll(&host, "invoices").await.documents, 1);
    host.decide_all().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
    assert_eq!(host.process_state(passed_over).await, Some(ProcessState::Shipped), "people see to it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erp_that_throttles_is_asked_again_later_and_nothing_is_lost_or_doubled() {
    let throttling = Mischief { throttle_per_mille: 1_000, ..Mischief::default() };
    let host = fetching(throttling, "").start().await;
    let order = invoiced(&host, "PO-1").await;
    let (mut failures, mut documents) = (0, 0);
    loop {
        let run = poll(&host, "invoices").await;
        documents += run.documents;
        let Some(code) = run.failed else { break };
        assert_eq!(code, "retry");
        let found = host.store.poll("invoices").await.unwrap().unwrap();
        assert!(found.due_at > host.clock.now(), "it waits");
        host.clock.advance_to(found.due_at);
        failures += 1;
        assert!(failures < 8, "it never answers");
    }
    assert_eq!(documents, 1);
    assert!(failures >= 2);
    host.decide_all().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_has_the_poll_made_at_once_if_it_names_the_secret_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let host = notified(folder.path()).start().await;
    let door = host.front_door().await;
    let json = [("content-type", "application/json")];
    // How the subscription is made.
    let at = "/v1/channels/erp-webhooks?validationToken=abc-1";
    for method in [Method::POST, Method::GET] {
        let asked = door.send(method, at, &[], b"").await;
        assert_eq!((asked.status, &asked.body[..]), (200, &b"abc-1"[..]));
    }
    assert_eq!(door.post("erp-webhooks", &[], b"").await.status, 401, "an empty POST that asks nothing");
    assert_eq!(poll(&host, "invoices").await.asked, 1);
    let order = invoiced(&host, "PO-1").await;
    let inputs = host.summary().await.inputs;
    let forged = host.erp.notifications(0, "client-state-of-somebody", false);
    let told = host.erp.notifications(0, SECRET, false);
    assert_eq!((forged.len(), told.len()), (1, 1));
    let mixed = told[0].replacen("{\"value\":[", "{\"value\":[{\"clientState\":\"other\"},", 1);
    for body in [forged[0].as_str(), &mixed, "{\"value\":[]}", "{"] {
        assert_eq!(door.post("erp-webhooks", &json, body.as_bytes()).await.status, 401, "{body}");
    }
    let bearer = format!("Bearer {SECRET}");
    let shown = [json[0], ("authorization", bearer.as_str())];
    assert_eq!(door.post("erp-webhooks", &shown, b"{}").await.status, 401);
    assert_eq!((host.summary().await.inputs, poll(&host, "invoices").await.asked), (inputs, 0));

    for _ in 0..2 {
        let answer = door.post("erp-webhooks", &json, told[0].as_bytes()).await;
        assert_eq!((answer.status, &answer.body[..]), (202, &b""[..]));
    }
    assert_eq!(host.summary().await.inputs, inputs + 1);
    assert_eq!(poll(&host, "invoices").await, PollRun { asked: 2, documents: 1, failed: None });
    host.decide_all().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
    assert!(host.exceptions().await.is_empty(), "{:?}", host.exceptions().await);
    // What is kept of it has the secret no more.
    for kept in host.store.kept_inputs(host.clock.now().plus_ms(1), None, 100).await.unwrap() {
        let bytes = host.store.payload(kept.content).await.unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(SECRET));
    }
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_notification_told_and_what_was_posted_in_an_outage_is_found_by_the_interval() {
    let folder = tempfile::tempdir().unwrap();
    let host = notified(folder.path()).start().await;
    assert_eq!(poll(&host, "invoices").await.asked, 1);
    let order = invoiced(&host, "PO-1").await;
    assert_eq!(poll(&host, "invoices").await.asked, 0, "the notification was lost");
    later(&host, MINUTE_MS);
    host.erp.down(true);
    assert_eq!(poll(&host, "invoices").await.failed.as_deref(), Some("retry"));
    host.erp.down(false);
    let due = host.store.poll("invoices").await.unwrap().unwrap().due_at;
    host.clock.advance_to(due);
    assert_eq!(poll(&host, "invoices").await.documents, 1);
    host.decide_all().await;
    assert_eq!(host.process_state(order).await, Some(ProcessState::Invoiced));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_found_in_a_notification_again_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let setup = notified(folder.path());
    for (secret, expected) in [("short", "has 5 bytes"), ("with \"quotes\" and blanks", "other characters")] {
        std::fs::write(folder.path().join("client-state"), secret).unwrap();
        let error = setup.clone().try_start().await.err();
        let error = format!("{:#}", error.unwrap_or_else(|| panic!("`{secret}` is taken")));
        assert!(error.contains(expected), "{error}");
    }
}

// --- what a document means ---

/// Two items and the freight, less a discount of a tenth, and tax: computed by hand.
///
/// ```text
/// line 1   5 EA at 11.79     58.95   of the discount 5.90
/// line 2   2.5 KGM at 4      10.00                   1.00
/// 6130     1 at 9.90          9.90                   0.99
///                            78.85 less 7.89 is 70.96, and 5.12 tax: 76.08
/// ```
fn document() -> Value {
    json!({
        "number": "PS-INV103001", "externalDocumentNumber": "6fa459eaee8a3ca4894edb77e160355e",
        "customerNumber": "C-1001", "currencyCode": "USD", "orderNumber": "S-ORD101001",
        "postingDate": "2026-03-02", "dueDate": "0001-01-01", "pricesIncludeTax": false,
        "shipToAddressLine1": "230 Commerce Ave", "shipToCity": "Tucson", "shipToCountry": "US",
        "totalTaxAmount": 5.12, "totalAmountIncludingTax": 76.08,
        "lines": [
            {"sequence": 1, "lineType": "Comment", "description": "Order 4711"},
            {"sequence": 10, "lineType": "Item", "lineObjectNumber": "SKU-1", "quantity": 5,
             "unitOfMeasureCode": "EA", "unitPrice": 11.79, "amountExcludingTax": 58.95,
             "invoiceDiscountAllocation": 5.9},
            {"sequence": 20, "lineType": "Item", "lineObjectNumber": "SKU-2", "quantity": 2.5,
             "unitOfMeasureCode": "KGM", "unitPrice": 4, "amountExcludingTax": 10,
             "invoiceDiscountAllocation": 1},
            {"sequence": 10020, "lineType": "Account", "lineObjectNumber": "6130", "quantity": 1,
             "unitOfMeasureCode": "", "unitPrice": 9.9, "amountExcludingTax": 9.9,
             "invoiceDiscountAllocation": 0.99},
            {"sequence": 20020, "lineType": "Comment", "description": "Shipment no. SH-7"},
        ],
    })
}

async fn mapped(plugins: &Plugins, kind: &str, body: &Value, settings: &[(&str, &str)]) -> Result<Event, Failure> {
    let position = Position { offset_bytes: None, segment: None, path: String::new() };
    let document = Document {
        key: "1".to_owned(),
        partner: String::new(),
        kind: kind.to_owned(),
        position,
        envelope: None,
        body: body.to_string().into_bytes(),
    };
    let mut events = plugins.map("business-central", &document, settings).await?;
    assert_eq!(events.len(), 1);
    Ok(events.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_a_list_that_has_another_form_is_told_by_its_number() {
    let plugins = Plugins::demo().await;
    let mut listed = document();
    listed["lastModifiedDateTime"] = json!("2026-03-02T08:00:12.467Z");
    listed["lines"] = json!(5);
    let event = mapped(&plugins, "business-central/sales-invoice", &listed, &[]).await.unwrap();
    let Event::Other(other) = event else { panic!("{event:?}") };
    assert_eq!(other.kind, UnreadableRow::KIND);
    let UnreadableRow { of, number, code, .. } = UnreadableRow::from_json(&other.body).unwrap();
    assert_eq!((of.as_str(), number.as_str(), code.as_str()), ("invoice.posted", "PS-INV103001", "malformed-document"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_read_with_its_lines_quantities_taxes_and_amounts() {
    let plugins = Plugins::demo().await;
    let settings = [("account-unit", "EA"), ("discount-line", "DISCOUNT"), ("tax-code", "NT")];
    let read = async |kind: &str, body: &Value| match mapped(&plugins, kind, body, &settings).await.unwrap() {
        Event::InvoicePosted(invoice) => invoice,
        other => panic!("{other:?}"),
    };
    let invoice = read("business-central/sales-invoice", &document()).await;
    assert_eq!(invoice.order_number.as_deref(), Some("6fa459ea-ee8a-3ca4-894e-db77e160355e"));
    assert_eq!((invoice.invoice_number.as_str(), invoice.shipment_number.as_deref()), ("PS-INV103001", Some("SH-7")));
    assert_eq!((invoice.posted_on.map(|day| day.to_string()), invoice.due_on), (Some("2026-03-02".to_owned()), None));
    let lines: Vec<_> = invoice
        .lines
        .iter()
        .map(|line| {
            let (quantity, price) = (&line.quantity, &line.unit_price);
            let quantity = (quantity.value, quantity.scale, quantity.unit.as_str());
            (line.line_number.as_str(), quantity, (price.amount, price.scale), line.extended.minor)
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("1", (5, 0, "EA"), (1_179, 2), 5_895),
            ("2", (25, 1, "KGM"), (4, 0), 1_000),
            ("6130", (1, 0, "EA"), (99, 1), 990),
            ("DISCOUNT", (1, 0, "EA"), (-789, 2), -789),
        ]
    );
    assert_eq!((invoice.tax.map(|tax| tax.minor), invoice.total.minor), (Some(512), 7_608));
    let extensions: Vec<_> = invoice.extensions.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
    assert!(extensions.contains(&("avatax:customer-code", "C-1001")), "{extensions:?}");
    assert!(extensions.contains(&("avatax:tax-code/6130", "NT")), "{extensions:?}");

    let mut memo = document();
    memo["invoiceNumber"] = json!("PS-INV103001");
    memo["invoicePostingDate"] = json!("2026-02-27");
    let dated = |invoice: &Invoice| {
        let mut dates = invoice.extensions.iter().filter(|it| it.name == "avatax:tax-date");
        dates.next().map(|it| it.value.clone())
    };
    let stray = read("business-central/sales-invoice", &memo).await;
    assert_eq!(dated(&stray), None, "an invoice has a day of its own");
    let memo = read("business-central/sales-credit-memo", &memo).await;
    assert_eq!(dated(&memo).as_deref(), Some("2026-02-27"), "tax comes back at the rates of the invoice");
    assert_eq!((memo.corrects.as_deref(), memo.total.minor), (Some("PS-INV103001"), -7_608));
    assert_eq!((memo.lines[0].quantity.value, memo.lines[0].extended.minor), (5, -5_895));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_invoice_is_guessed() {
    let plugins = Plugins::demo().await;
    let set = |path: &str, value: Value| {
        let mut body = document();
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    let without = |path: &str, member: &str| {
        let mut body = document();
        drop(body.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(member));
        body
    };
    for (body, code, path) in [
        (without("", "currencyCode"), "currency-missing", "currencyCode"),
        (set("/currencyCode", json!("usd")), "currency-missing", "currencyCode"),
        (set("/currencyCode", json!("JPY")), "bad-amount", "lines[1].amountExcludingTax"),
        (without("", "pricesIncludeTax"), "prices-include-tax", "pricesIncludeTax"),
        (set("/pricesIncludeTax", json!(true)), "prices-include-tax", "pricesIncludeTax"),
        (set("/externalDocumentNumber", json!("PO-1")), "order-missing", "externalDocumentNumber"),
        (without("", "totalTaxAmount"), "number-missing", "totalTaxAmount"),
        (set("/totalAmountIncludingTax", json!("76.08")), "number-missing", "totalAmountIncludingTax"),
        (set("/totalAmountIncludingTax", json!(76.07)), "total-differs", "totalAmountIncludingTax"),
        (set("/totalAmountIncludingTax", json!(76.081)), "bad-amount", "totalAmountIncludingTax"),
        (set("/postingDate", json!("02.03.2026")), "bad-date", "postingDate"),
        (without("/lines/0", "description"), "", ""),
        (set("/lines/0/sequence", json!(2)), "line-not-numbered", "lines[1].sequence"),
        (set("/lines/1/sequence", json!(11)), "line-not-numbered", "lines[1].sequence"),
        (set("/lines/1/lineObjectNumber", json!("")), "item-missing", "lines[1].lineObjectNumber"),
        (set("/lines/1/unitOfMeasureCode", json!("")), "unit-missing", "lines[1].unitOfMeasureCode"),
        (without("/lines/1", "quantity"), "number-missing", "lines[1].quantity"),
        (set("/lines/1/quantity", json!(1e-10)), "bad-number", "lines[1].quantity"),
        (set("/lines/2/amountExcludingTax", json!(10.005)), "bad-amount", "lines[2].amountExcludingTax"),
        (
            set("/lines/1/invoiceDiscountAllocation", json!("5.9")),
            "number-missing",
            "lines[1].invoiceDiscountAllocation",
        ),
        (json!([]), "malformed-document", ""),
    ] {
        let settings = [("account-unit", "EA"), ("discount-line", "DISCOUNT")];
        let result = mapped(&plugins, "business-central/sales-invoice", &body, &settings).await;
        match (code, result) {
            ("", Ok(_)) => {}
            (_, Err(Failure::Invalid(problems))) => {
                assert_eq!((problems[0].code.as_str(), problems[0].position.path.as_str()), (code, path), "{body}");
            }
            (_, other) => panic!("{code} {path}: {other:?}"),
        }
    }
    let mut memo = document();
    memo["invoicePostingDate"] = json!("27.02.2026");
    let result = mapped(
        &plugins,
        "business-central/sales-credit-memo",
        &memo,
        &[("account-unit", "EA"), ("discount-line", "DISCOUNT")],
    )
    .await;
    let Err(Failure::Invalid(problems)) = result else { panic!("{result:?}") };
    assert_eq!((problems[0].code.as_str(), problems[0].position.path.as_str()), ("bad-date", "invoicePostingDate"));
    for (settings, code, path) in [
        (&[][..], "unit-missing", "lines[3].unitOfMeasureCode"),
        (&[("account-unit", "EA")][..], "discount-unnamed", "lines"),
    ] {
        let result = mapped(&plugins, "business-central/sales-invoice", &document(), settings).await;
        let Err(Failure::Invalid(problems)) = result else { panic!("{result:?}") };
        assert_eq!((problems[0].code.as_str(), problems[0].position.path.as_str()), (code, path));
    }
}

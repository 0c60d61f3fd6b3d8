//! Tax transactions in the shape of AvaTax: what an invoice becomes, and that a service which
//! answers badly is told each tax once.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Method;
use portreeve::standins::tax::TaxTransaction;
use portreeve::standins::{Mischief, TAX_COMPANY, TaxStatus, Taxes};
use portreeve_model::document::{Delivery, FindQuery, Message, Receipt};
use portreeve_model::event::{Invoice, InvoiceLine, OrderAnswer};
use portreeve_model::value::{Date, Decimal, Extension, Money, Quantity, UnitPrice};
use portreeve_model::{Currency, Event, Failure};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::at_the_plugin::{Plugins, given, order_id};
use crate::support::{Setup, say, tree};

const TRANSACTION: &str = "avatax/transaction";
const COMMIT: &str = "avatax/commit";
const VOID: &str = "avatax/void";

/// The demo's host with the two plugins, and transactions that go to this origin.
pub(crate) fn with_avatax(origin: &str) -> Setup {
    let target = format!(
        "[[plugin.egress]]\norigin = \"{origin}\"\n\n[[target]]\nid = \"tax\"\nconnector = \"avatax\"\n\
         transformer = \"avatax-transactions\"\nkind = \"avatax/transaction\"\norigin = \"{origin}\"\n\
         exception_queue = \"integration\"\nfind = true\n\
         settings = {{ base-url = \"{origin}\", company-code = \"{TAX_COMPANY}\" }}\n"
    );
    Setup::demo()
        .plugin("avatax", "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 65000 } }")
        .append("portreeve.toml", &target)
        .blindfolded("avatax-transactions")
}

/// The two plugins, the way to a service, and the target's settings.
struct Tax(Plugins, BTreeMap<&'static str, String>);

impl Tax {
    async fn start() -> Self {
        Self::before("http://127.0.0.1:9").await
    }

    async fn before(origin: &str) -> Self {
        let settings = [
            ("base-url", origin),
            ("company-code", TAX_COMPANY),
            ("ship-from-line1", "1 Quay Road"),
            ("ship-from-city", "Portland"),
            ("ship-from-region", "ME"),
            ("ship-from-postal-code", "04101"),
            ("ship-from-country", "US"),
        ];
        let settings = settings.map(|(name, value)| (name, value.to_owned())).into();
        Self(Plugins::of(with_avatax(origin)).await, settings)
    }

    /// The same with another setting; none where it is empty.
    fn set(mut self, name: &'static str, value: &str) -> Self {
        match value {
            "" => drop(self.1.remove(name)),
            value => drop(self.1.insert(name, value.to_owned())),
        }
        self
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        self.1.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    async fn message(&self, kind: &str, event: Event) -> Result<Message, Failure> {
        self.0.rendered("avatax-transactions", kind, event, &self.settings()).await
    }

    /// The text of a message, or what is wrong, as code and path.
    async fn rendered(&self, kind: &str, invoice: Invoice) -> Result<String, Vec<(String, String)>> {
        match self.message(kind, Event::InvoicePosted(invoice)).await {
            Ok(message) => {
                assert_eq!((message.kind.as_str(), message.content_type.as_str()), (kind, "application/json"));
                Ok(String::from_utf8(message.body).unwrap())
            }
            Err(Failure::Invalid(problems)) => {
                assert!(problems.iter().all(|problem| problem.message.contains("; expected ")), "{problems:?}");
                Err(problems.into_iter().map(|problem| (problem.code, problem.position.path)).collect())
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn refused(&self, kind: &str, invoice: Invoice) -> (String, String) {
        let mut problems = self.rendered(kind, invoice).await.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }

    async fn deliver(&self, kind: &str, invoice: Invoice) -> Result<Receipt, Failure> {
        let body = self.rendered(kind, invoice).await.unwrap();
        self.deliver_body(kind, &body).await
    }

    async fn deliver_body(&self, kind: &str, body: &str) -> Result<Receipt, Failure> {
        let delivery = Delivery {
            message: Message {
                kind: kind.to_owned(),
                content_type: "application/json".to_owned(),
                body: body.as_bytes().to_vec(),
            },
            idempotency_key: "key".to_owned(),
            natural_key: format!("{}/INV-1", order_id()),
            attempt: 1,
            settings: given(&self.settings()),
        };
        self.0.deliver("avatax", "tax", &delivery).await
    }

    async fn find(&self, kind: &str, number: &str) -> Result<Option<Receipt>, Failure> {
        self.find_key(kind, &format!("{}/{number}", order_id())).await
    }

    async fn find_key(&self, kind: &str, natural_key: &str) -> Result<Option<Receipt>, Failure> {
        let settings = given(&self.settings());
        let query = FindQuery { kind: kind.to_owned(), natural_key: natural_key.to_owned(), settings };
        self.0.find("avatax", "tax", &query).await
    }

    /// The code of what is found.
    async fn found(&self, kind: &str, number: &str) -> Option<String> {
        self.find(kind, number).await.unwrap().map(|receipt| receipt.external_id)
    }
}

fn money(minor: i64, currency: &str) -> Money {
    Money { minor, currency: Currency::parse(currency).unwrap() }
}

fn line(number: &str, sku: &str, quantity: (i64, u8), extended: Money) -> InvoiceLine {
    let unit_price = UnitPrice { amount: 0, scale: 0, currency: extended.currency, per_quantity: 1 };
    let quantity = Quantity { value: quantity.0, scale: quantity.1, unit: "EA".to_owned() };
    InvoiceLine { line_number: number.to_owned(), sku: Some(sku.to_owned()), quantity, unit_price, extended, tax: None }
}

fn extended(extensions: &[(&str, &str)]) -> Vec<Extension> {
    let extension = |(name, value): &(&str, &str)| Extension { name: (*name).into(), value: (*value).into() };
    extensions.iter().map(extension).collect()
}

/// An invoice of 62.79 USD and its tax, to Irvine.
fn invoice() -> Invoice {
    Invoice {
        invoice_number: "INV-1".to_owned(),
        order_number: Some("4711".to_owned()),
        shipment_number: None,
        corrects: None,
        posted_on: Some(Date::parse("2026-03-02").unwrap()),
        due_on: None,
        lines: vec![
            line("1", "FST-1007", (50, 1), money(6_250, "USD")),
            line("2", "FST-1008", (1, 0), money(29, "USD")),
        ],
        tax: Some(money(487, "USD")),
        total: money(6_766, "USD"),
        extensions: extended(&[
            ("avatax:customer-code", "C-1001"),
            ("avatax:ship-to-line1", "123 Main Street"),
            ("avatax:ship-to-city", "Irvine"),
            ("avatax:ship-to-region", "CA"),
            ("avatax:ship-to-postal-code", "92615"),
            ("avatax:ship-to-country", "US"),
        ]),
    }
}

/// The memo that takes the first line of [`invoice`] back.
fn memo() -> Invoice {
    let mut memo = invoice();
    memo.invoice_number = "CM-1".to_owned();
    memo.corrects = Some("INV-1".to_owned());
    memo.posted_on = Some(Date::parse("2026-04-01").unwrap());
    memo.lines = vec![line("1", "FST-1007", (-50, 1), money(-6_250, "USD"))];
    memo.tax = Some(money(-484, "USD"));
    memo.total = money(-6_734, "USD");
    said(memo, "avatax:tax-date", "2026-03-02")
}

/// The memo that cancels the whole of it.
fn cancellation() -> Invoice {
    said(Invoice { invoice_number: "CM-2".to_owned(), ..memo() }, "avatax:cancels", "whole")
}

/// The same with another extension; without it where its value is empty.
fn said(mut invoice: Invoice, name: &str, value: &str) -> Invoice {
    invoice.extensions.retain(|extension| extension.name != name);
    if !value.is_empty() {
        invoice.extensions.extend(extended(&[(name, value)]));
    }
    invoice
}

fn one_line(minor: i64, currency: &str) -> Invoice {
    let (amount, lines) = (money(minor, currency), vec![line("1", "Y0001", (1, 0), money(minor, currency))]);
    Invoice { lines, tax: None, total: amount, ..invoice() }
}

/// The sale of the public files: 100.00, and what it says of the tax.
fn hundred() -> Invoice {
    Invoice { tax: Some(money(775, "USD")), total: money(10_775, "USD"), ..one_line(10_000, "USD") }
}

/// An invoice with another tax than its lines have at the service's rate.
fn taxed(minor: i64) -> Invoice {
    Invoice { tax: Some(money(minor, "USD")), total: money(6_279 + minor, "USD"), ..invoice() }
}

/// What a transaction of the tests' order is described as.
fn described(of: &str) -> String {
    format!(r#""description":"order {}: {of} tax""#, order_id())
}

fn problem(failure: Failure) -> String {
    match failure {
        Failure::Invalid(problems) if problems.len() == 1 => problems[0].code.clone(),
        other => panic!("{other:?}"),
    }
}

fn permanent(failure: Failure) -> String {
    match failure {
        Failure::Permanent(why) => why,
        other => panic!("{other:?}"),
    }
}

fn pair(code: &str, path: &str) -> (String, String) {
    (code.to_owned(), path.to_owned())
}

// --- the public files ---

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    file: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    path: String,
    #[serde(default)]
    answer: Vec<ExpectedAnswer>,
    #[serde(default)]
    request: Vec<ExpectedRequest>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAnswer {
    to: String,
    kind: String,
    receipt: Option<String>,
    detail: Option<String>,
    outcome: Option<String>,
    says: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRequest {
    at: Option<String>,
    kind: String,
    invoice: String,
    order: String,
    customer: String,
    date: String,
    amount: String,
    ours: BTreeSet<String>,
    theirs: BTreeSet<String>,
}

impl ExpectedAnswer {
    /// What is wrong with what was made of the answer.
    fn wrong(&self, found: Result<Option<Receipt>, Failure>) -> Option<String> {
        let says = |why: &str| self.says.as_deref().is_none_or(|word| why.contains(word));
        let right = match &found {
            Ok(Some(receipt)) => (Some(&receipt.external_id), &receipt.detail) == (self.receipt.as_ref(), &self.detail),
            Ok(None) => self.outcome.as_deref() == Some("none"),
            Err(Failure::Permanent(why)) => self.outcome.as_deref() == Some("permanent") && says(why),
            Err(Failure::UnknownOutcome(why)) => self.outcome.as_deref() == Some("unknown") && says(why),
            Err(_) => false,
        };
        (!right).then(|| format!("{self:?}\n  found {found:?}"))
    }
}

impl ExpectedRequest {
    /// The invoice that says what the file says.
    fn event(&self) -> Invoice {
        let amount = Money::from_major(&self.amount, Currency::parse("USD").unwrap()).unwrap();
        let cancels = if amount.minor < 0 { "whole" } else { "" };
        let invoice = Invoice {
            invoice_number: self.invoice.clone(),
            order_number: Some(self.order.clone()),
            corrects: (amount.minor < 0).then(|| "INV-2".to_owned()),
            posted_on: Some(Date::parse(&self.date).unwrap()),
            ..one_line(amount.minor, "USD")
        };
        let extensions = [
            ("avatax:customer-code", self.customer.as_str()),
            ("avatax:tax-code/1", "PS081282"),
            ("avatax:description/1", "Yarn"),
            ("avatax:cancels", cancels),
        ];
        Invoice { extensions: extended(&extensions), ..invoice }
    }
}

/// Every member with its path and value, the names and words of the API in small letters and
/// numbers without zeros behind the point, whatever a float would make of them.
fn flat(found: &RawValue, path: &str, into: &mut BTreeMap<String, String>) {
    let text = found.get();
    match text.as_bytes()[0] {
        b'{' => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
            for (name, member) in members {
                flat(member, &format!("{path}.{name}").to_lowercase(), into);
            }
        }
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            for (index, element) in elements.into_iter().enumerate() {
                flat(element, &format!("{path}[{index}]"), into);
            }
        }
        b'-' | b'0'..=b'9' => {
            let number = Decimal::parse(text).unwrap().to_string();
            let short = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
            into.insert(path.trim_start_matches('.').to_owned(), short.to_owned());
        }
        _ => drop(into.insert(path.trim_start_matches('.').to_owned(), text.to_lowercase())),
    }
}

fn flattened(text: &str, at: Option<&str>) -> BTreeMap<String, String> {
    let whole: &RawValue = serde_json::from_str(text).unwrap();
    let members = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap();
    let part = at.map_or(whole, |at| members(text)[at]);
    let mut found = BTreeMap::new();
    flat(part, "", &mut found);
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_public_file_means_what_was_written_down_from_reading_it() {
    let text = std::fs::read_to_string(tree().root().join("tests/fixtures-expected-tax.toml")).unwrap();
    let expectations: Expectations = toml::from_str(&text).unwrap();
    let Some(folder) = tree().root().parent().map(|parent| parent.join("shared/fixtures")).filter(|it| it.is_dir())
    else {
        say("SKIPPED: the public fixtures are not beside the checkout");
        return;
    };
    let present: BTreeSet<_> =
        std::fs::read_dir(folder.join("avatax")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let known: BTreeSet<_> = expectations.file.iter().map(|expected| folder.join(&expected.path)).collect();
    assert_eq!(known, present, "each file has its expectation");

    let (mut answers, mut requests, mut wrong) = (0, 0, Vec::new());
    for expected in &expectations.file {
        let file = std::fs::read_to_string(folder.join(&expected.path)).unwrap();
        let target = Scripted::saying(200, &file).await;
        let tax = Tax::before(&target.origin).await;
        for answer in &expected.answer {
            answers += 1;
            let found = match answer.to.as_str() {
                "find" => tax.find(&answer.kind, "8f8084cb-d8d4-418a-bdbb-131f7254e09b").await,
                _ => {
                    let event = if answer.kind == VOID { cancellation() } else { hundred() };
                    tax.deliver(&answer.kind, event).await.map(Some)
                }
            };
            wrong.extend(answer.wrong(found).map(|wrong| format!("{}: {wrong}", expected.path)));
        }
        let shop = tax
            .set("single-location", "true")
            .set("ship-from-line1", "123 Main Street")
            .set("ship-from-city", "Irvine")
            .set("ship-from-region", "CA")
            .set("ship-from-postal-code", "92615");
        for request in &expected.request {
            requests += 1;
            let ours = shop.rendered(&request.kind, request.event()).await.unwrap();
            let mut ours = flattened(&ours, (request.kind == VOID).then_some("model"));
            let mut theirs = flattened(&file, request.at.as_deref());
            assert!(request.ours.iter().all(|name| ours.remove(name).is_some()), "{ours:?}");
            assert!(request.theirs.iter().all(|name| theirs.remove(name).is_some()), "{theirs:?}");
            if ours != theirs {
                wrong.push(format!("{}\n  ours   {ours:?}\n  theirs {theirs:?}", expected.path));
            }
        }
    }
    say(&format!(
        "read {} public files in AvaTax's shape, as {answers} answers and {requests} requests",
        present.len()
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((answers, requests), (14, 3));
}

// --- what is sent ---

#[tokio::test(flavor = "multi_thread")]
async fn an_invoice_is_a_transaction_with_every_amount_as_it_is() {
    let tax = Tax::start().await;
    let of_all = described("62.79 USD and 4.87");
    let head = concat!(
        r#"{"type":"SalesInvoice","code":"INV-1","companyCode":"DEFAULT","date":"2026-03-02","customerCode":"C-1001","#,
        r#""purchaseOrderNo":"4711","currencyCode":"USD","#,
    );
    let rest = concat!(
        r#","commit":true,"addresses":{"#,
        r#""shipFrom":{"line1":"1 Quay Road","city":"Portland","region":"ME","country":"US","postalCode":"04101"},"#,
        r#""shipTo":{"line1":"123 Main Street","city":"Irvine","region":"CA","country":"US","postalCode":"92615"}},"#,
        r#""lines":[{"number":"1","quantity":5.0,"amount":62.50,"itemCode":"FST-1007"},"#,
        r#"{"number":"2","quantity":1,"amount":0.29,"itemCode":"FST-1008"}]}"#
    );
    assert_eq!(tax.rendered(TRANSACTION, invoice()).await.unwrap(), format!("{head}{of_all}{rest}"));
    let committed = format!(r#"{{"code":"INV-1","documentType":"SalesInvoice",{of_all},"model":{{"commit":true}}}}"#);
    assert_eq!(tax.rendered(COMMIT, invoice()).await.unwrap(), committed);

    let mut plain = said(said(invoice(), "avatax:tax-code/2", "P0000000"), "avatax:description/2", "Bolts \"M8\"");
    plain.order_number = None;
    plain.lines[0].sku = None;
    let saved = tax.set("commit", "false");
    let text = saved.rendered(TRANSACTION, plain).await.unwrap();
    let without_order = format!(r#""customerCode":"C-1001","currencyCode":"USD",{of_all},"commit":false"#);
    assert!(text.contains(&without_order), "{text}");
    let lines = r#"{"number":"1","quantity":5.0,"amount":62.50},{"number":"2","quantity":1,"amount":0.29,"itemCode":"FST-1008","taxCode":"P0000000","description":"Bolts \"M8\""}]"#;
    assert!(text.contains(lines), "{text}");
    let shop = saved.set("single-location", "true");
    let text = shop.rendered(TRANSACTION, said(invoice(), "avatax:ship-to-country", "")).await.unwrap();
    assert!(text.contains(r#""addresses":{"singleLocation":{"line1":"1 Quay Road""#), "{text}");

    for (minor, currency, written) in [
        (i64::MAX, "USD", "92233720368547758.07"),
        (1, "USD", "0.01"),
        (1_500, "JPY", "1500"),
        (1_179, "KWD", "1.179"),
        (0, "USD", "0.00"),
    ] {
        let text = shop.rendered(TRANSACTION, one_line(minor, currency)).await.unwrap();
        assert!(text.contains(&format!(r#""amount":{written},"#)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credit_memo_is_a_return_at_the_rates_of_the_sale_or_a_void_and_never_both() {
    let tax = Tax::start().await;
    let text = tax.rendered(TRANSACTION, memo()).await.unwrap();
    for part in [
        r#"{"type":"ReturnInvoice","code":"CM-1","companyCode":"DEFAULT","date":"2026-04-01""#,
        r#""referenceCode":"INV-1","currencyCode":"USD""#,
        r#""taxOverride":{"type":"TaxDate","taxDate":"2026-03-02","reason":"Tax of the corrected invoice"}"#,
        r#""lines":[{"number":"1","quantity":5.0,"amount":-62.50,"itemCode":"FST-1007"}]"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let of_memo = described("-62.50 USD and -4.84");
    let committed = format!(r#"{{"code":"CM-1","documentType":"ReturnInvoice",{of_memo},"model":{{"commit":true}}}}"#);
    assert_eq!(tax.rendered(COMMIT, memo()).await.unwrap(), committed);
    // Goodwill corrects no invoice, so there is no day but its own.
    let goodwill = said(Invoice { corrects: None, ..memo() }, "avatax:tax-date", "");
    assert!(!tax.rendered(TRANSACTION, goodwill).await.unwrap().contains("taxOverride"));

    let voided = r#"{"code":"INV-1","documentType":"SalesInvoice","model":{"code":"DocVoided"}}"#;
    assert_eq!(tax.rendered(VOID, cancellation()).await.unwrap(), voided);
    let cancels = "extensions[avatax:cancels]";
    for kind in [TRANSACTION, COMMIT] {
        assert_eq!(tax.refused(kind, cancellation()).await, pair("voided-instead", cancels));
    }
    assert_eq!(tax.refused(VOID, memo()).await, pair("not-a-cancellation", cancels));
    for kind in [TRANSACTION, COMMIT, VOID] {
        let partly = said(memo(), "avatax:cancels", "half");
        assert_eq!(tax.refused(kind, partly).await, pair("wrong-value", cancels), "{kind}");
    }
    let nothing = Invoice { corrects: None, ..cancellation() };
    assert_eq!(tax.refused(VOID, nothing).await, pair("corrects-missing", "corrects"));
    let sale = said(invoice(), "avatax:cancels", "whole");
    let problems = tax.rendered(VOID, sale).await.unwrap_err();
    assert_eq!(problems, [pair("not-a-credit-memo", "total"), pair("corrects-missing", "corrects")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_with_its_place_and_nothing_is_guessed() {
    let tax = Tax::start().await;
    let without = |name: &str| said(invoice(), name, "");
    let ship_to = |part: &str| format!("extensions[avatax:ship-to-{part}]");
    let mut other_currency = invoice();
    other_currency.lines[1].extended = money(29, "CAD");
    let mut nameless = invoice();
    nameless.lines[1].line_number = String::new();
    let mut long_sku = invoice();
    long_sku.lines[0].sku = Some("x".repeat(51));
    let mut beyond = one_line(0, "USD");
    beyond.lines[0].quantity.value = i64::MIN;
    let tax_date = "extensions[avatax:tax-date]".to_owned();
    for (invoice, code, path) in [
        (Invoice { posted_on: None, ..invoice() }, "date-missing", "posted-on".to_owned()),
        (without("avatax:customer-code"), "customer-missing", "extensions[avatax:customer-code]".to_owned()),
        (without("avatax:ship-to-country"), "address-missing", ship_to("country")),
        (
            said(without("avatax:ship-to-postal-code"), "avatax:ship-to-region", ""),
            "address-missing",
            ship_to("postal-code"),
        ),
        (Invoice { total: money(6_767, "USD"), ..invoice() }, "wrong-total", "total".to_owned()),
        (Invoice { tax: None, ..invoice() }, "wrong-total", "total".to_owned()),
        (other_currency, "wrong-currency", "lines[1].extended".to_owned()),
        (nameless, "length", "lines[1].line-number".to_owned()),
        (long_sku, "length", "lines[0].sku".to_owned()),
        (beyond, "bad-number", "lines[0].quantity".to_owned()),
        (Invoice { invoice_number: "x".repeat(51), ..invoice() }, "length", "invoice-number".to_owned()),
        (said(invoice(), "avatax:tax-code/1", &"x".repeat(26)), "length", "extensions[avatax:tax-code/1]".to_owned()),
        (Invoice { invoice_number: "..".to_owned(), ..invoice() }, "wrong-value", "invoice-number".to_owned()),
        (said(memo(), "avatax:tax-date", ""), "tax-date-missing", tax_date.clone()),
        (said(memo(), "avatax:tax-date", "2026-02-30"), "wrong-value", tax_date),
    ] {
        assert_eq!(tax.refused(TRANSACTION, invoice).await, (code.to_owned(), path));
    }
    let empty = Invoice { lines: vec![], tax: None, total: money(0, "USD"), ..invoice() };
    assert_eq!(tax.refused(TRANSACTION, empty).await, pair("lines-missing", "lines"));
    // The postal code alone is enough, and so is the rest without it.
    let by_code = said(said(invoice(), "avatax:ship-to-line1", ""), "avatax:ship-to-city", "");
    assert!(tax.rendered(TRANSACTION, by_code).await.is_ok());
    assert!(tax.rendered(TRANSACTION, without("avatax:ship-to-postal-code")).await.is_ok());
    // The lines' own taxes count where the invoice names none.
    let mut of_lines = Invoice { tax: None, ..invoice() };
    of_lines.lines[0].tax = Some(money(484, "USD"));
    of_lines.lines[1].tax = Some(money(3, "USD"));
    assert!(tax.rendered(TRANSACTION, of_lines).await.is_ok());

    let secret = "Jane Doe";
    let personal = said(invoice(), "avatax:customer-code", &secret.repeat(10));
    let Err(Failure::Invalid(problems)) = tax.message(TRANSACTION, Event::InvoicePosted(personal)).await else {
        panic!("taken")
    };
    assert!(problems.iter().all(|problem| !problem.message.contains(secret)), "{problems:?}");

    let tax = tax.set("ship-from-country", "").set("company-code", "").set("commit", "perhaps");
    let problems = tax.rendered(TRANSACTION, invoice()).await.unwrap_err();
    let places: Vec<&str> = problems.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(places, ["settings.company-code", "settings.commit", "settings.ship-from-country"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_posted_invoice_is_a_transaction() {
    let tax = Tax::start().await;
    let rejected = OrderAnswer {
        order_number: "4711".to_owned(),
        external_id: None,
        answered_at: None,
        lines: vec![],
        reason: None,
        extensions: vec![],
    };
    for kind in [TRANSACTION, COMMIT, VOID] {
        let refused = tax.message(kind, Event::OrderRejected(rejected.clone())).await.unwrap_err();
        assert!(permanent(refused).contains("another event"));
    }
    let refused = tax.message("avatax/adjust", Event::InvoicePosted(invoice())).await.unwrap_err();
    assert!(permanent(refused).contains("avatax/adjust"));
}

// --- what becomes of it ---

/// The one transaction that is kept.
pub(crate) fn only(taxes: &Taxes) -> TaxTransaction {
    let mut kept = taxes.transactions();
    assert_eq!(kept.len(), 1, "{kept:?}");
    kept.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_told_once_and_another_one_of_its_number_is_a_persons() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await;
    let first = tax.deliver(TRANSACTION, invoice()).await.unwrap();
    // 7.75 % of 62.79 is 4.866.
    let detail = "SalesInvoice, 62.79 USD and 4.87 tax, Committed, version 1, id 289450369";
    assert_eq!((first.external_id.as_str(), first.detail.as_deref()), ("INV-1", Some(detail)));
    let kept = only(&taxes);
    assert_eq!((kept.status, kept.customer_code.as_str(), kept.written), (TaxStatus::Committed, "C-1001", 1));
    let quantities: Vec<String> = kept.lines.iter().map(|line| line.quantity.to_string()).collect();
    assert_eq!(quantities, ["5.0", "1"]);

    assert_eq!(tax.deliver(TRANSACTION, invoice()).await.unwrap(), first, "the same again");
    let mut cheaper = invoice();
    cheaper.lines[1].extended = money(28, "USD");
    cheaper.total = money(6_765, "USD");
    let mut elsewhere = invoice();
    for line in &mut elsewhere.lines {
        line.extended.currency = Currency::parse("CAD").unwrap();
    }
    elsewhere.total = money(6_766, "CAD");
    for another in [cheaper, elsewhere] {
        assert_eq!(problem(tax.deliver(TRANSACTION, another).await.unwrap_err()), "transaction-differs");
    }
    assert_eq!(only(&taxes), kept);

    // A memo of the same number is another transaction to AvaTax, and is found with the invoice.
    tax.deliver(TRANSACTION, Invoice { invoice_number: "INV-1".to_owned(), ..memo() }).await.unwrap();
    assert_eq!(taxes.transactions().len(), 2);
    for kind in [TRANSACTION, COMMIT] {
        assert!(permanent(tax.find(kind, "INV-1").await.unwrap_err()).contains("two-of-one-code"), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_saved_is_written_over_and_committed_by_a_message_of_its_own() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await.set("commit", "false");
    assert_eq!(tax.found(COMMIT, "INV-1").await, None);
    let refused = tax.deliver(COMMIT, invoice()).await.unwrap_err();
    assert_eq!(problem(refused), "entity-not-found-error");

    tax.deliver(TRANSACTION, invoice()).await.unwrap();
    tax.deliver(TRANSACTION, invoice()).await.unwrap();
    assert_eq!((only(&taxes).status, only(&taxes).written), (TaxStatus::Saved, 2));
    assert_eq!(tax.found(TRANSACTION, "INV-1").await.as_deref(), Some("INV-1"));
    assert_eq!(tax.found(COMMIT, "INV-1").await, None, "it may be committed yet");
    assert_eq!(tax.found(VOID, "INV-1").await, None);

    // Where transactions are committed at once, one that is saved is not what was wanted.
    let at_once = tax.set("commit", "");
    assert_eq!(at_once.found(TRANSACTION, "INV-1").await, None);
    let receipt = at_once.deliver(COMMIT, invoice()).await.unwrap();
    assert_eq!(receipt.external_id, "INV-1");
    let again = at_once.deliver(COMMIT, invoice()).await.unwrap();
    assert_eq!(again, receipt, "it is committed already");
    for kind in [TRANSACTION, COMMIT] {
        assert_eq!(at_once.find(kind, "INV-1").await.unwrap().as_ref(), Some(&receipt));
    }
    assert_eq!((only(&taxes).status, only(&taxes).written), (TaxStatus::Committed, 2));
    // A return is committed as one.
    at_once.deliver(TRANSACTION, memo()).await.unwrap();
    assert_eq!(at_once.deliver(COMMIT, memo()).await.unwrap().external_id, "CM-1");
    assert_eq!(at_once.found(COMMIT, "CM-1").await.as_deref(), Some("CM-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_is_done_once_and_what_it_voided_is_never_taken_for_told() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await;
    assert_eq!(problem(tax.deliver(VOID, cancellation()).await.unwrap_err()), "entity-not-found-error");
    tax.deliver(TRANSACTION, invoice()).await.unwrap();
    let receipt = tax.deliver(VOID, cancellation()).await.unwrap();
    let detail = "SalesInvoice, 62.79 USD and 4.87 tax, Cancelled, version 1, id 289450369";
    assert_eq!((receipt.external_id.as_str(), receipt.detail.as_deref()), ("INV-1", Some(detail)));
    assert_eq!(only(&taxes).status, TaxStatus::Cancelled);
    assert_eq!(only(&taxes).total_amount.to_string(), "62.79", "amounts stand still");

    let again = tax.deliver(VOID, cancellation()).await.unwrap();
    assert_eq!(again.detail.as_deref(), Some("AvaTax had cancelled it before"));
    // The number that it could be looked for by is the memo's.
    for number in ["CM-2", "INV-1"] {
        assert_eq!(tax.found(VOID, number).await, None, "{number}");
    }
    for kind in [TRANSACTION, COMMIT] {
        assert!(permanent(tax.find(kind, "INV-1").await.unwrap_err()).contains("transaction-cancelled"), "{kind}");
        let refused = tax.deliver(kind, invoice()).await.unwrap_err();
        assert!(permanent(refused).contains("transaction-cancelled"), "{kind}");
    }
    assert_eq!(only(&taxes).status, TaxStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_answer_is_found_by_its_number() {
    let lost = Mischief { drop_after_per_mille: 1_000, ..Mischief::default() };
    let taxes = Taxes::start(lost).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await;
    for (kind, event, found) in [(TRANSACTION, invoice(), Some("INV-1")), (VOID, cancellation(), None)] {
        let number = if kind == VOID { "CM-2" } else { "INV-1" };
        assert_eq!(tax.found(kind, number).await, None, "{kind}");
        let unknown = tax.deliver(kind, event).await.unwrap_err();
        assert!(matches!(unknown, Failure::UnknownOutcome(_)), "{unknown:?}");
        assert_eq!(tax.found(kind, number).await.as_deref(), found, "{kind}");
    }
    // A void cannot be looked for by its memo's number: it is sent again, and was done.
    let again = tax.deliver(VOID, cancellation()).await.unwrap();
    assert_eq!(again.detail.as_deref(), Some("AvaTax had cancelled it before"));
    assert_eq!((only(&taxes).written, only(&taxes).status), (1, TaxStatus::Cancelled));
    assert!(matches!(tax.deliver(TRANSACTION, memo()).await, Err(Failure::UnknownOutcome(_))));
    assert_eq!(tax.found(TRANSACTION, "CM-1").await.as_deref(), Some("CM-1"), "a return is found as one");
    assert_eq!(tax.found(TRANSACTION, "INV-2").await, None);
    for nameless in [order_id().to_string(), format!("{}/", order_id()), "/INV-1".to_owned(), "order/..".to_owned()] {
        let failure = tax.find_key(TRANSACTION, &nameless).await.unwrap_err();
        assert!(permanent(failure).contains("names no invoice"), "{nameless}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tax_than_the_customer_was_asked_for_is_a_persons_until_it_is_put_right() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await;
    for (minor, stated) in [(488, "4.88"), (0, "0.00")] {
        let failure = tax.deliver(TRANSACTION, taxed(minor)).await.unwrap_err();
        let Failure::Invalid(problems) = &failure else { panic!("{failure:?}") };
        assert_eq!((problems.len(), problems[0].code.as_str()), (1, "tax-differs"));
        let says = format!("AvaTax has the transaction with 4.87 of tax; expected {stated}, as the invoice has it");
        assert!(problems[0].message.starts_with(&says), "{problems:?}");
        // What is there stands, and is told again as it is.
        assert_eq!((only(&taxes).status, only(&taxes).written), (TaxStatus::Committed, 1));
        assert_eq!(problem(tax.deliver(COMMIT, taxed(minor)).await.unwrap_err()), "tax-differs");
    }
    for kind in [TRANSACTION, COMMIT] {
        assert_eq!(problem(tax.find(kind, "INV-1").await.unwrap_err()), "tax-differs", "{kind}");
    }
    assert_eq!(tax.deliver(TRANSACTION, invoice()).await.unwrap().external_id, "INV-1", "the same tax is the same");

    // Adjusted there to what the invoice says, it is what was wanted.
    let adjusted = transaction("Committed").replace("4.87", "4.880");
    let described = serde_json::Value::from(format!("order {}: 62.79 USD and 4.88 tax", order_id()));
    let adjusted = adjusted.replacen('{', &format!(r#"{{"description":{described},"#), 1);
    let service = Scripted::saying(200, &adjusted).await;
    let tax = Tax::before(&service.origin).await;
    assert_eq!(tax.found(TRANSACTION, "INV-1").await.as_deref(), Some("INV-1"));
    assert!(tax.deliver(TRANSACTION, taxed(488)).await.is_ok());
    let tampered = Scripted::saying(200, &adjusted.replace("62.790", "62.78")).await;
    let tax = Tax::before(&tampered.origin).await;
    assert_eq!(problem(tax.find(TRANSACTION, "INV-1").await.unwrap_err()), "transaction-differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_another_order_is_not_taken_for_this_one() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await;
    tax.deliver(TRANSACTION, invoice()).await.unwrap();
    for kind in [TRANSACTION, COMMIT] {
        assert_eq!(tax.found(kind, "INV-1").await.as_deref(), Some("INV-1"), "{kind}");
        let of_another = "6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f11/INV-1";
        assert_eq!(tax.find_key(kind, of_another).await.unwrap(), None, "{kind}");
    }
    // One that another program made says nothing of ours, and what is sent again is compared.
    for words in ["Yarn", "order 4711", ""] {
        let foreign = transaction("Committed").replacen('{', &format!(r#"{{"description":"{words}","#), 1);
        let service = Scripted::saying(200, &foreign).await;
        let tax = Tax::before(&service.origin).await;
        assert_eq!(tax.found(TRANSACTION, "INV-1").await, None, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_busy_or_fails_first_is_told_once_in_the_end() {
    let kinds = [
        Mischief { throttle_per_mille: 1_000, ..Mischief::default() },
        Mischief { fail_before_per_mille: 1_000, ..Mischief::default() },
        Mischief { reject_per_mille: 1_000, ..Mischief::default() },
    ];
    for mischief in kinds {
        let taxes = Taxes::start(mischief).await.unwrap();
        let tax = Tax::before(&taxes.origin()).await;
        for _ in 0..2 {
            let failure = tax.deliver(TRANSACTION, invoice()).await.unwrap_err();
            match (mischief.throttle_per_mille, mischief.reject_per_mille) {
                (1_000, _) => assert!(matches!(failure, Failure::Retry(1_000)), "{failure:?}"),
                (_, 1_000) => assert_eq!(problem(failure), "invalid-address"),
                _ => assert!(matches!(failure, Failure::UnknownOutcome(_)), "{failure:?}"),
            }
            assert_eq!((tax.found(TRANSACTION, "INV-1").await, taxes.transactions().len()), (None, 0));
        }
        tax.deliver(TRANSACTION, invoice()).await.unwrap();
        assert_eq!(only(&taxes).written, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_with_any_letters_is_the_same_transaction_in_a_path() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await.set("commit", "false");
    for number in ["2026/03-1", "A+B ?%#&=", "Rechnung Nr. 7\u{e4}", "...", "_-ava-_"] {
        let invoice = Invoice { invoice_number: number.to_owned(), ..invoice() };
        let receipt = tax.deliver(TRANSACTION, invoice.clone()).await.unwrap();
        assert_eq!(receipt.external_id, number);
        assert_eq!(tax.found(TRANSACTION, number).await.as_deref(), Some(number));
        tax.deliver(COMMIT, invoice).await.unwrap();
        assert_eq!(tax.found(COMMIT, number).await.as_deref(), Some(number));
    }
    assert_eq!(taxes.transactions().len(), 5);
}

/// A service whose answers a test writes, by path with query and method.
struct Scripted {
    origin: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Scripted {
    async fn start(answer: impl Fn(&str, &Method) -> (u16, String) + Clone + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let routes = axum::Router::new().fallback(move |method: Method, uri: axum::http::Uri| {
            let (status, body) = answer(&uri.to_string(), &method);
            async move { (axum::http::StatusCode::from_u16(status).unwrap(), body) }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { origin, serving }
    }

    /// The same answer to everything, but that there is no return of any number.
    async fn saying(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::start(move |uri, _| match uri.contains("documentType=ReturnInvoice") {
            true => (404, error("EntityNotFoundError")),
            false => (status, body.clone()),
        })
        .await
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn error(code: &str) -> String {
    json!({"error": {"code": code, "message": "No.", "details": [{"code": code, "message": "No.", "description": "Jane Doe"}]}})
        .to_string()
}

fn transaction(status: &str) -> String {
    json!({"id": 7, "code": "INV-1", "type": "SalesInvoice", "status": status, "currencyCode": "USD", "version": 1})
        .to_string()
        .replace("\"version\":1", "\"version\":1,\"totalAmount\":62.790,\"totalTax\":4.87")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_means_what_avatax_says_of_it() {
    let answered = async |status: u16, body: &str| {
        let target = Scripted::saying(status, body).await;
        let tax = Tax::before(&target.origin).await;
        (tax.deliver(TRANSACTION, invoice()).await, tax.find(TRANSACTION, "INV-1").await)
    };
    for status in [400, 404, 409, 422] {
        let (made, found) = answered(status, &error("InvalidPostalCode")).await;
        let Err(Failure::Invalid(problems)) = made else { panic!("{made:?}") };
        assert_eq!(problems[0].code, "invalid-postal-code");
        assert!(problems[0].message.contains("No.") && !problems[0].message.contains("Jane"), "{problems:?}");
        assert!(matches!(found, Err(Failure::Permanent(_))), "{status}: {found:?}");
    }
    let (made, found) = answered(404, &error("EntityNotFoundError")).await;
    assert_eq!((problem(made.unwrap_err()).as_str(), found.unwrap()), ("entity-not-found-error", None));
    for (status, body) in
        [(401, error("AuthenticationException")), (403, error("X")), (404, "not here".to_owned()), (302, String::new())]
    {
        let (made, found) = answered(status, &body).await;
        assert!(matches!(made, Err(Failure::Permanent(_))), "{status}: {made:?}");
        assert!(matches!(found, Err(Failure::Permanent(_))), "{status}: {found:?}");
    }
    let (made, found) = answered(429, "").await;
    assert!(matches!((made, found), (Err(Failure::Retry(30_000)), Err(Failure::Retry(30_000)))));
    for status in [408, 500, 503] {
        let (made, found) = answered(status, &error("ServerError")).await;
        assert!(matches!((made, found), (Err(Failure::UnknownOutcome(_)), Err(Failure::Retry(_)))), "{status}");
    }
    for body in ["taken", "[]", r#"{"code":"","status":"Committed"}"#, r#"{"code":7,"status":"Committed"}"#] {
        let (made, found) = answered(200, body).await;
        assert!(matches!((made, found), (Err(Failure::UnknownOutcome(_)), Err(Failure::Permanent(_)))), "{body}");
    }
    // Saved although it was to be committed: whether that comes nobody says.
    let (made, found) = answered(200, &transaction("Saved")).await;
    assert!(matches!((made, found), (Err(Failure::UnknownOutcome(_)), Ok(None))));
    let (made, found) = answered(200, &transaction("Temporary")).await;
    for failure in [made.unwrap_err(), found.unwrap_err()] {
        assert!(permanent(failure).contains("as Temporary"));
    }
    let (made, _) = answered(201, &transaction("Jane Doe was here")).await;
    assert!(!permanent(made.unwrap_err()).contains("Jane"));
    // Lines that nobody reads, and numbers that are none.
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let odd = transaction("Committed").replace("\"id\":7", &format!("\"id\":1e9,\"lines\":{deep}"));
    let (made, _) = answered(201, &odd).await;
    let detail = made.unwrap().detail.unwrap();
    assert_eq!(detail, "SalesInvoice, 62.790 USD and 4.87 tax, Committed, version 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_says_that_it_is_there_already_is_looked_up_and_compared() {
    let status_error =
        json!({"error": {"code": "GetTaxError", "details": [{"code": "GetTaxError", "refersTo": "DocStatus"}]}});
    let sub_code = json!({"error": {"code": "GetTaxError", "details": [{"faultSubCode": "DocStatusError"}]}});
    let refusals = [
        (400, error("DocumentCodeConflict")),
        (400, error("TransactionAlreadyExists")),
        (409, error("TransactionIsCommitted")),
        (400, status_error.to_string()),
        (422, sub_code.to_string()),
    ];
    let committed = transaction("Committed");
    let other_type = committed.replace("SalesInvoice", "ReturnInvoice");
    let looked_up = async |refusal: (u16, String), found: (u16, String)| {
        let target =
            Scripted::start(move |_, method| if method == Method::GET { found.clone() } else { refusal.clone() }).await;
        Tax::before(&target.origin).await.deliver(TRANSACTION, invoice()).await
    };
    for refusal in refusals {
        let receipt = looked_up(refusal.clone(), (200, committed.clone())).await.unwrap();
        assert_eq!(receipt.external_id, "INV-1", "{refusal:?}");
    }
    let conflict = || (400, error("DocumentCodeConflict"));
    for another in [
        committed.replace("62.790", "62.78"),
        committed.replace("62.790", "6279e-2"),
        committed.replace("USD", "CAD"),
        other_type,
    ] {
        assert_eq!(problem(looked_up(conflict(), (200, another)).await.unwrap_err()), "transaction-differs");
    }
    let other_tax = committed.replace("4.87", "4.86");
    assert_eq!(problem(looked_up(conflict(), (200, other_tax)).await.unwrap_err()), "tax-differs");
    let gone = looked_up(conflict(), (404, error("EntityNotFoundError"))).await.unwrap_err();
    assert_eq!(problem(gone), "document-code-conflict");
    // Nothing was done, so it is asked again and not looked for.
    assert!(matches!(looked_up(conflict(), (503, String::new())).await, Err(Failure::Retry(_))));
    let cancelled = looked_up(conflict(), (200, transaction("Cancelled"))).await.unwrap_err();
    assert!(permanent(cancelled).contains("transaction-cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_another_transformer_is_not_posted() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await;
    let right = tax.rendered(TRANSACTION, invoice()).await.unwrap();
    let committed = tax.rendered(COMMIT, invoice()).await.unwrap();
    for (kind, body) in [
        (TRANSACTION, "{}".to_owned()),
        (TRANSACTION, right.replace("INV-1", "")),
        (TRANSACTION, right.replace("62.50", "\"62.50\"")),
        (TRANSACTION, right.replace("62.50", "62.51")),
        (TRANSACTION, right.replace("62.79 USD and", "62.79 USD")),
        (COMMIT, right),
        (VOID, "[]".to_owned()),
        (COMMIT, committed.replace("INV-1", "..")),
        (COMMIT, r#"{"code":"INV-1","documentType":"SalesInvoice","model":{"commit":true}}"#.to_owned()),
    ] {
        assert!(matches!(tax.deliver_body(kind, &body).await, Err(Failure::Permanent(_))), "{kind} {body}");
    }
    assert_eq!(taxes.transactions(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_whether_the_credentials_are_taken_and_settings_are_named() {
    let taxes = Taxes::start(Mischief::default()).await.unwrap();
    let tax = Tax::before(&taxes.origin()).await;
    let checked = async |settings: &[(&str, &str)]| tax.0.check("avatax", "tax", settings).await;
    let origin = taxes.origin();
    let report = checked(&[("base-url", &format!("{origin}/"))]).await.unwrap();
    assert_eq!((report.ok, report.detail.as_str()), (true, "AvaTax takes the credentials"));
    assert!(permanent(checked(&[]).await.unwrap_err()).contains("`base-url` is missing"));
    for (ms, ok) in [("1000", true), ("15000", true), ("15001", false), ("0", false), ("soon", false)] {
        let report = checked(&[("base-url", &origin), ("answer-timeout-ms", ms)]).await.unwrap();
        assert_eq!(report.ok, ok, "{ms}: {}", report.detail);
    }
    taxes.stop().await.unwrap();
    let report = checked(&[("base-url", &origin)]).await.unwrap();
    assert_eq!((report.ok, report.detail.as_str()), (false, "AvaTax could not be reached"));
    for (status, body, word) in [
        (200, r#"{"authenticated":false}"#, "does not take the credentials"),
        (200, "<html>", "check base-url"),
        (503, "", "answered 503"),
    ] {
        let target = Scripted::saying(status, body).await;
        let tax = Tax::before(&target.origin).await;
        let report = tax.0.check("avatax", "tax", &[("base-url", &target.origin)]).await.unwrap();
        assert!(!report.ok && report.detail.contains(word), "{}", report.detail);
    }
    let nobody = Tax::before(&origin).await.set("company-code", "");
    assert!(permanent(nobody.find(TRANSACTION, "INV-1").await.unwrap_err()).contains("`company-code` is missing"));
}

//! Two systems that should say the same of their stock: what differs is found, listed once and
//! closed when it is mended, and a list that is not whole judges nothing.

use hyper::Method;
use portreeve::standins::erp::COMPANY;
use portreeve::standins::wms::{BadList, NODE};
use portreeve::standins::{Mischief, Wms};
use portreeve_model::event::InventoryLevel;
use portreeve_model::value::{Decimal, Quantity};
use portreeve_model::{Digest, Event, ExceptionAction, ExceptionKind, Instant};
use portreeve_pipeline::Clock;
use portreeve_pipeline::reconcile::row::Rows;
use portreeve_pipeline::reconcile::{Compared, Of, Outcome, ReconcileError, Run};
use portreeve_record::LeafBody;
use portreeve_record::leaf::ReconciliationLeaf;
use portreeve_store::contract::ExceptionView;
use serde_json::{Value, json};

use crate::faults::{Fault, FaultyStore};
use crate::front::commands::{json as commanded, refused};
use crate::support::exceptions::{decide, waiting};
use crate::support::people::acts_as;
use crate::support::{Setup, TestHost};

pub(crate) const ID: &str = "stock-erp-wms";

const GRANT: &str = "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 45000 } }";

pub(crate) fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

/// A comparison of what the demo's ERP has in stock with what another system has: `more` of its own keys, and
/// the other system's.
pub(crate) fn stock_of_the_erp_and(id: &str, more: &str, right: &str) -> String {
    format!(
        r#"
[[reconciliation]]
id = "{id}"
of = "stock"
exception_queue = "integration"
every_minutes = 1440
settle_minutes = 30
{more}

[reconciliation.left]
system = "erp"
connector = "erp-rest"
transformer = "business-central"
origin = "${{ERP_ORIGIN}}"
settings = {{ base-url = "${{ERP_ORIGIN}}/api/v2.0", company = "{COMPANY}", list = "stock" }}

[reconciliation.right]
{right}"#
    )
}

/// The demo's host with a warehouse that should have what its ERP has.
fn reconciled(wms: &Wms, more: &str) -> Setup {
    let origin = wms.origin();
    let right = format!(
        r#"system = "wms"
connector = "wms-rest"
transformer = "wms-documents"
origin = "{origin}"
settings = {{ base-url = "{}", list = "stock" }}
"#,
        wms.base_url()
    );
    Setup::demo()
        .plugin("wms-rest", GRANT)
        .append("portreeve.toml", &format!("[[plugin.egress]]\norigin = \"{origin}\"\n"))
        .blindfolded("wms-documents")
        .append("portreeve.toml", &stock_of_the_erp_and(ID, more, &right))
}

/// Both with the same stock of three items.
pub(crate) async fn agreeing() -> (Wms, TestHost) {
    agreeing_with("").await
}

async fn agreeing_with(more: &str) -> (Wms, TestHost) {
    let wms = Wms::start(Mischief::default()).await.unwrap();
    let host = reconciled(&wms, more).start().await;
    for (sku, here, there) in [("BOLT", "100", "0"), ("HOSE", "7.5", "2.5"), ("PUMP", "10", "2")] {
        wms.put(NODE, sku, decimal(here));
        wms.put("DC-WEST", sku, decimal(there));
    }
    for (sku, all) in [("BOLT", "100"), ("HOSE", "10"), ("PUMP", "12")] {
        host.erp.put(sku, decimal(all));
    }
    wms.count_in("HOSE", "MTR");
    host.erp.count_in("HOSE", "MTR");
    (wms, host)
}

async fn run(host: &TestHost) -> Run {
    host.host.pipeline.reconcile(ID, None, false).await.unwrap()
}

pub(crate) async fn compared(host: &TestHost) -> Compared {
    match run(host).await.outcome {
        Outcome::Compared(found) => found,
        Outcome::NotCompared(unheard) => panic!("{unheard:?}"),
    }
}

/// What people are told of differences.
async fn told(host: &TestHost) -> Vec<ExceptionView> {
    waiting(host).await.into_iter().filter(|open| open.kind == ExceptionKind::Difference).collect()
}

async fn codes(host: &TestHost) -> Vec<String> {
    told(host).await.into_iter().map(|open| open.code).collect()
}

async fn runs(host: &TestHost) -> Vec<ReconciliationLeaf> {
    let leaves = host.leaves().await.into_iter();
    let of_runs = leaves.filter_map(|leaf| match leaf.body {
        LeafBody::Reconciliation(leaf) => Some(leaf),
        _ => None,
    });
    of_runs.collect()
}

fn counts(found: &Compared) -> (u64, u64, usize) {
    (found.compared, found.agreeing, found.differences.len())
}

#[tokio::test]
async fn an_erp_that_lost_a_booking_is_found_listed_once_and_closed_when_it_is_mended() {
    let (wms, host) = agreeing().await;
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.opened), ((3, 3, 0), 0), "{found:?}");
    assert!(told(&host).await.is_empty());

    host.erp.lose("HOSE", decimal("2.25"));
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.opened, found.closed), ((3, 2, 1), 1, 0));
    let all = told(&host).await;
    let [first] = &all[..] else { panic!("one exception") };
    let sentence = "stock-erp-wms: found 7.75 MTR of `HOSE` in erp and 10 MTR in wms, expected the same; ";
    assert!(first.detail.starts_with(sentence), "{}", first.detail);
    assert_eq!(
        (first.code.as_str(), first.stage.as_str(), first.queue.as_str()),
        ("numbers-differ", "reconcile", "integration")
    );
    assert_eq!(found.differences.keys().collect::<Vec<_>>(), ["HOSE"]);

    // The next morning it is the same one, whatever its numbers are by then, also after a restart.
    host.clock.advance_to(host.clock.now().plus_ms(Instant::DAY_MS));
    wms.put(NODE, "HOSE", decimal("1"));
    let host = host.restart().await;
    let found = compared(&host).await;
    assert_eq!((found.opened, found.closed), (0, 0));
    let all = told(&host).await;
    let [second] = &all[..] else { panic!("one exception") };
    assert_eq!((second.id, second.opened_at), (first.id, first.opened_at));
    assert!(second.detail.contains("11 MTR in wms") && second.revision > first.revision, "{second:?}");

    host.erp.put("HOSE", decimal("3.25"));
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed), ((3, 3, 0), 1));
    assert!(told(&host).await.is_empty());
    let closed = host.store.exception(first.id).await.unwrap().unwrap().exception.closed.unwrap();
    assert_eq!((closed.who, closed.how.as_str()), (None, "cleared"));

    let runs = runs(&host).await;
    let record: Vec<_> =
        runs.iter().map(|run| (run.run, run.compared, run.differences, run.opened, run.gone)).collect();
    assert_eq!(record, [(1, 3, 0, 0, 0), (2, 3, 1, 1, 0), (3, 3, 1, 0, 0), (4, 3, 0, 0, 1)]);
    let lists: Vec<_> =
        runs.iter().map(|run| (run.left.as_ref().unwrap().rows, run.right.as_ref().unwrap().rows)).collect();
    assert_eq!(lists, [(3, 5); 4]);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn whoever_has_the_list_of_the_last_run_can_show_it_and_nobody_that_of_an_earlier_one() {
    let (_wms, host) = agreeing().await;
    run(&host).await;
    let first = runs(&host).await.remove(0).left.unwrap().digest;
    let level = |sku: &str, value: i64, unit: &str| {
        let on_hand = Quantity { value, scale: 0, unit: unit.to_owned() };
        let (sku, node, available) = (sku.to_owned(), "all".to_owned(), on_hand.clone());
        Event::InventoryLevel(InventoryLevel { sku, node, on_hand, available, as_of: None, extensions: vec![] })
    };
    let mut list = Rows::new(Of::Stock);
    for event in [level("BOLT", 100, "EA"), level("HOSE", 10, "MTR"), level("PUMP", 12, "EA")] {
        list.add(&event).unwrap();
    }
    let key = host.store.reconciliation_key(ID).await.unwrap().unwrap();
    assert_eq!(first, key.blind_digest(&list.digest()));
    assert_ne!(first, list.digest(), "whoever guesses the list cannot see that he is right");

    // Whoever may read the host's folder is told what it takes, and can make the digest by himself.
    let told =
        commanded(&["audit", "reconciliation", ID, "--data-dir", host.folder().to_str().unwrap()]).await.remove(0);
    assert_eq!((told["run"].as_u64(), told["reconciliation"].as_str()), (Some(1), Some(ID)));
    let salt = hex::decode(told["salt"].as_str().unwrap()).unwrap();
    let (domain, digest) = (told["domain"].as_str().unwrap(), list.digest());
    assert_eq!(first, Digest::of_parts(&[domain.as_bytes(), &salt, digest.as_bytes()]));
    let folder = host.folder().to_str().unwrap();
    refused(&["audit", "reconciliation", "another", "--data-dir", folder], &["found no run of"]).await;

    // The same list again has another digest, and the key of the first is gone.
    run(&host).await;
    let second = runs(&host).await.remove(1).left.unwrap().digest;
    let key = host.store.reconciliation_key(ID).await.unwrap().unwrap();
    assert_eq!(second, key.blind_digest(&list.digest()));
    assert_ne!(second, first);
    host.verify().await.unwrap();
}

#[tokio::test]
async fn what_only_one_system_lists_differs_however_the_pages_are_cut() {
    let (wms, host) = agreeing().await;
    wms.page_by(2);
    host.erp.put("TAPE", decimal("4"));
    let found = compared(&host).await;
    assert_eq!(found.differences.keys().collect::<Vec<_>>(), ["TAPE"]);
    let detail = told(&host).await.remove(0).detail;
    assert!(detail.contains("4 EA of `TAPE` in erp and none in wms"), "{detail}");
    let last = runs(&host).await.pop().unwrap();
    let (left, right) = (last.left.unwrap(), last.right.unwrap());
    assert_eq!((left.pages, right.pages), (2, 3), "the ERP's last page is empty");
}

#[tokio::test]
async fn numbers_of_different_units_are_told_as_what_nobody_can_compare() {
    let (wms, host) = agreeing().await;
    wms.count_in("PUMP", "BX");
    assert_eq!(counts(&compared(&host).await), (3, 2, 1));
    let exception = told(&host).await.remove(0);
    assert_eq!(exception.code, "units-differ");
    assert!(exception.detail.contains("12 EA") && exception.detail.contains("12 BX"), "{}", exception.detail);
}

#[tokio::test]
async fn what_changed_a_moment_ago_is_neither_told_nor_taken_back() {
    let (wms, host) = agreeing().await;
    host.erp.lose("PUMP", decimal("1"));
    host.erp.lose("BOLT", decimal("1"));
    let now = host.clock.now();
    wms.changed("PUMP", &now.plus_ms(-29 * Instant::MINUTE_MS).to_string());
    wms.changed("BOLT", &now.plus_ms(-30 * Instant::MINUTE_MS).to_string());
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.unsettled), ((2, 1, 1), 1), "{found:?}");
    host.clock.advance_to(now.plus_ms(Instant::MINUTE_MS));
    let found = compared(&host).await;
    assert_eq!((found.unsettled, found.opened, told(&host).await.len()), (0, 1, 2));
    wms.changed("PUMP", &host.clock.now().to_string());
    let found = compared(&host).await;
    assert_eq!((found.unsettled, found.closed, told(&host).await.len()), (1, 0, 2), "it waits as it did");
}

#[tokio::test]
async fn an_incomplete_list_judges_nothing_and_is_told_until_there_is_a_whole_one() {
    let (wms, host) = agreeing_with("exceptions_max = 2").await;
    wms.page_by(2);
    host.erp.lose("BOLT", decimal("1"));
    compared(&host).await;
    host.erp.put("BOLT", decimal("1"));
    host.erp.lose("PUMP", decimal("1"));
    for (bad, code) in [
        (BadList::EndsHalfWay, "not-now"),
        (BadList::GoesInACircle, "list-in-a-circle"),
        (BadList::HasNoEnd, "list-without-end"),
        (BadList::MissesAUnit, "unreadable"),
    ] {
        wms.list_badly(Some(bad));
        let Outcome::NotCompared(unheard) = run(&host).await.outcome else { panic!("{bad:?} was judged") };
        assert_eq!((unheard.system.as_str(), unheard.code.as_str()), ("wms", code), "{unheard:?}");
        // What was found before stands, what would be found is not, and there is one for all runs.
        let open = told(&host).await;
        assert_eq!(open.len(), 2, "{bad:?}: {open:?}");
        assert!(open[0].detail.contains("`BOLT`") && open[1].detail.contains("no whole list of wms"), "{open:?}");
        assert!(open[1].detail.contains(&unheard.why), "{bad:?}: {open:?}");
        host.clock.advance_to(host.clock.now().plus_ms(Instant::MINUTE_MS));
    }
    wms.list_badly(None);
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.opened, found.closed), ((3, 2, 1), 1, 2));
    assert_eq!(codes(&host).await, ["numbers-differ"]);
    let failed: Vec<_> = runs(&host).await.into_iter().map(|run| run.failed.map(|code| code.to_string())).collect();
    let expected =
        [None, Some("not-now"), Some("list-in-a-circle"), Some("list-without-end"), Some("unreadable"), None];
    assert_eq!(failed, expected.map(|code| code.map(str::to_owned)));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_row_without_its_unit_is_told_by_its_item_and_the_others_are_compared() {
    let (wms, host) = agreeing().await;
    host.erp.lose("BOLT", decimal("1"));
    wms.count_in("PUMP", "");
    host.erp.count_in("HOSE", "");
    assert_eq!(counts(&compared(&host).await), (3, 0, 3));
    assert_eq!(codes(&host).await, ["numbers-differ", "unreadable-row", "unreadable-row"]);
    let details: Vec<String> = told(&host).await.into_iter().map(|open| open.detail).collect();
    let sentence = |item: &str, system: &str| {
        format!("found item `{item}` that cannot be compared, expected one that can: in {system}, found ")
    };
    assert!(details[1].contains(&sentence("HOSE", "erp")), "{details:?}");
    assert!(details[2].contains(&sentence("PUMP", "wms")), "{details:?}");
    wms.count_in("PUMP", "EA");
    host.erp.count_in("HOSE", "MTR");
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed), ((3, 2, 1), 2));
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_list_of_which_no_row_can_be_read_is_told_row_by_row_where_one_run_files_them_all() {
    let (wms, host) = agreeing().await;
    host.erp.put("TAPE", decimal("4"));
    wms.list_badly(Some(BadList::MissesAUnit));
    assert_eq!(counts(&compared(&host).await), (4, 0, 4));
    assert_eq!(codes(&host).await, ["unreadable-row", "unreadable-row", "unreadable-row", "numbers-differ"]);
    wms.list_badly(None);
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.closed), ((4, 3, 1), 3));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_and_changed_a_moment_ago_is_told_when_it_has_settled() {
    let (wms, host) = agreeing().await;
    wms.count_in("PUMP", "");
    let now = host.clock.now();
    wms.changed("PUMP", &now.plus_ms(-29 * Instant::MINUTE_MS).to_string());
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.unsettled, told(&host).await.len()), ((2, 2, 0), 1, 0), "{found:?}");
    host.clock.advance_to(now.plus_ms(Instant::MINUTE_MS));
    let found = compared(&host).await;
    assert_eq!((counts(&found), found.unsettled), ((3, 2, 1), 0));
    assert_eq!(codes(&host).await, ["unreadable-row"]);
}

#[tokio::test]
async fn a_system_that_is_down_is_told_and_the_other_ones_list_says_nothing_by_itself() {
    let (_wms, host) = agreeing().await;
    host.erp.down(true);
    let Outcome::NotCompared(unheard) = run(&host).await.outcome else { panic!("it was judged") };
    assert_eq!((unheard.system.as_str(), unheard.code.as_str()), ("erp", "not-now"));
    assert_eq!(codes(&host).await, ["not-now"]);
    let leaf = runs(&host).await.pop().unwrap();
    assert!(leaf.left.is_none() && leaf.right.is_some() && leaf.digest.is_none(), "{leaf:?}");
    host.erp.down(false);
    assert_eq!(counts(&compared(&host).await), (3, 3, 0));
    assert!(told(&host).await.is_empty());
}

#[tokio::test]
async fn a_run_files_so_many_differences_and_says_how_many_more_there_are() {
    let (_wms, host) = agreeing_with("exceptions_max = 2").await;
    for number in 0..5 {
        host.erp.put(&format!("X-{number}"), decimal("1"));
    }
    let found = compared(&host).await;
    assert_eq!((found.differences.len(), found.opened, found.not_filed), (5, 3, 3));
    let open = told(&host).await;
    assert_eq!(
        open.iter().map(|open| open.code.as_str()).collect::<Vec<_>>(),
        ["numbers-differ", "numbers-differ", "more-differences"]
    );
    assert!(open[2].detail.contains("3 differences more than the 2"), "{}", open[2].detail);
    let found = compared(&host).await;
    assert_eq!((found.opened, found.not_filed, told(&host).await.len()), (2, 1, 5));
    let found = compared(&host).await;
    assert_eq!((found.opened, found.closed, found.not_filed), (1, 1, 0), "nothing is beyond it any more");
    assert_eq!(codes(&host).await, ["numbers-differ"; 5]);
}

#[tokio::test]
async fn whoever_closes_what_says_how_many_are_left_hears_of_them_one_by_one_and_again_when_they_are_others() {
    let (_wms, host) = agreeing_with("exceptions_max = 2").await;
    let who = acts_as(&host.host.pipeline, "ines", &["integration"]).await;
    let close_the_rest = async || {
        let open = told(&host).await;
        let more = open.iter().find(|open| open.code == "more-differences").unwrap().id;
        decide(&host, &who, more, ExceptionAction::Abandon).await.unwrap();
        more
    };
    let put =
        |numbers: std::ops::Range<u32>| numbers.for_each(|number| host.erp.put(&format!("X-{number}"), decimal("1")));
    put(0..5);
    let found = compared(&host).await;
    assert_eq!((found.opened, found.not_filed), (3, 3));
    let first = close_the_rest().await;
    // As many are left once two more are filed and two more came: that is what somebody closed.
    put(5..7);
    let found = compared(&host).await;
    assert_eq!((found.opened, found.closed, found.not_filed), (2, 0, 3), "{found:?}");
    assert_eq!(codes(&host).await, ["numbers-differ"; 4]);
    // Another number is another word, and people hear of it.
    let found = compared(&host).await;
    assert_eq!((found.opened, found.closed, found.not_filed), (3, 0, 1), "{found:?}");
    assert_ne!(close_the_rest().await, first);
    // Nothing is left: the last one is filed, and what was closed is forgotten.
    let found = compared(&host).await;
    assert_eq!((found.opened, found.closed, found.not_filed), (1, 0, 0), "{found:?}");
    assert_eq!(codes(&host).await, ["numbers-differ"; 7]);
    put(7..12);
    let found = compared(&host).await;
    assert_eq!((found.opened, found.not_filed), (3, 3), "it is told as on the first day");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_dry_run_tells_and_files_nothing() {
    let (_wms, host) = agreeing().await;
    host.erp.lose("BOLT", decimal("1"));
    let dry = host.host.pipeline.reconcile(ID, None, true).await.unwrap();
    assert!(dry.is_dry);
    let Outcome::Compared(found) = dry.outcome else { panic!("{dry:?}") };
    assert_eq!((counts(&found), found.opened), ((3, 2, 1), 0));
    assert!(told(&host).await.is_empty());
    assert_eq!(host.host.pipeline.due_reconciliations().await.unwrap(), [ID], "it is due as before");
    let leaf = runs(&host).await.pop().unwrap();
    assert!(leaf.dry && leaf.differences == 1 && leaf.opened == 0, "{leaf:?}");
    compared(&host).await;
    assert_eq!((told(&host).await.len(), runs(&host).await.len()), (1, 2));
    assert!(host.host.pipeline.due_reconciliations().await.unwrap().is_empty());
    host.clock.advance_to(host.clock.now().plus_ms(Instant::DAY_MS));
    assert_eq!(host.host.pipeline.due_reconciliations().await.unwrap(), [ID]);
}

#[tokio::test]
async fn what_somebody_abandoned_stays_closed_until_its_numbers_change() {
    let (_wms, host) = agreeing().await;
    host.erp.lose("BOLT", decimal("1"));
    compared(&host).await;
    let first = told(&host).await.remove(0).id;
    let who = acts_as(&host.host.pipeline, "ines", &["integration"]).await;
    decide(&host, &who, first, ExceptionAction::Abandon).await.unwrap();
    let found = compared(&host).await;
    assert_eq!((found.abandoned, found.opened, told(&host).await.len()), (1, 0, 0));
    host.erp.lose("BOLT", decimal("1"));
    let found = compared(&host).await;
    assert_eq!((found.abandoned, found.opened), (0, 1));
    assert_ne!(told(&host).await[0].id, first);
}

#[tokio::test]
async fn an_unreadable_row_that_somebody_abandoned_stays_closed_when_another_one_comes_in_front() {
    let (_wms, host) = agreeing().await;
    host.erp.count_in("HOSE", "");
    compared(&host).await;
    let first = told(&host).await.remove(0);
    assert_eq!(first.code, "unreadable-row");
    let who = acts_as(&host.host.pipeline, "ines", &["integration"]).await;
    decide(&host, &who, first.id, ExceptionAction::Abandon).await.unwrap();
    host.erp.put("A-0", decimal("0"));
    let found = compared(&host).await;
    assert_eq!((found.abandoned, found.opened, told(&host).await.len()), (1, 0, 0), "{found:?}");
}

#[tokio::test]
async fn a_fault_around_the_write_loses_and_doubles_nothing() {
    for (fault, runs_then) in [(Fault::NotPersisted, 1), (Fault::PersistedButFailed, 2)] {
        let (_wms, host) = agreeing().await;
        host.erp.lose("BOLT", decimal("1"));
        let (host, faulty) = host.restart_behind(|store| FaultyStore::new(store, "commit_run", fault, 0)).await;
        let failed = host.host.pipeline.reconcile(ID, None, false).await;
        assert!(matches!(failed, Err(ReconcileError::Store(_))), "{failed:?}");
        assert!(faulty.has_failed());
        let found = compared(&host).await;
        let expected = if fault == Fault::NotPersisted { 1 } else { 0 };
        assert_eq!(found.opened, expected, "{fault:?}");
        assert_eq!((told(&host).await.len(), runs(&host).await.len()), (1, runs_then), "{fault:?}");
        host.verify().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_operates_has_it_run_over_http_and_whoever_reads_sees_how_far_it_is() {
    let (_wms, host) = agreeing().await;
    host.erp.lose("BOLT", decimal("1"));
    let door = host.front_door().await;
    let path = format!("/v1/reconciliations/{ID}/runs");
    let ask = async |key: &str, path: &str, body: Value| {
        let headers = [("authorization", key), ("content-type", "application/json")];
        let answer = door.send(Method::POST, path, &headers, body.to_string().as_bytes()).await;
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        (answer.status, json)
    };
    let (vera, olga) = (door.key_of("vera", &["viewer"]).await, door.key_of("olga", &["operator"]).await);
    assert_eq!(ask(&vera, &path, json!({})).await.0, 403);
    assert_eq!(ask(&olga, "/v1/reconciliations/nothing/runs", json!({})).await.0, 404);
    assert_eq!(ask(&olga, &path, json!({ "sure": true })).await.0, 400);
    assert!(runs(&host).await.is_empty());

    let (status, dry) = ask(&olga, &path, json!({ "dryRun": true })).await;
    assert_eq!(
        (status, &dry["differences"], &dry["dryRun"], &dry["opened"]),
        (200, &json!(1), &json!(true), &json!(0))
    );
    let (status, done) = ask(&olga, &path, json!({})).await;
    assert_eq!((status, &done["run"], &done["compared"], &done["agreeing"]), (200, &json!(2), &json!(3), &json!(2)));
    assert_eq!((&done["differs"][0]["key"], &done["opened"]), (&json!("BOLT"), &json!(1)));
    let who: Vec<_> = runs(&host).await.into_iter().map(|run| run.who.map(|who| who.to_string())).collect();
    assert_eq!(who, [Some("olga".to_owned()), Some("olga".to_owned())]);

    let answer = door.get("/v1/reconciliations", &[("authorization", &vera)]).await;
    let list: Value = serde_json::from_slice(&answer.body).unwrap();
    let standing = &list["reconciliations"][0];
    assert_eq!((&standing["id"], &standing["runs"]), (&json!(ID), &json!(2)));
    assert_eq!((&standing["compared"]["agreeing"], &standing["compared"]["differences"]), (&json!(2), &json!(1)));
    let metrics = door.ask("/metrics").await;
    let gauge = format!("portreeve_reconciliation_keys{{reconciliation=\"{ID}\",what=\"different\"}} 1");
    assert!(metrics.contains(&gauge), "{metrics}");
    door.close().await;
}

#[tokio::test]
async fn a_reconciliation_that_cannot_work_is_refused_with_what_would_help() {
    let wms = Wms::start(Mischief::default()).await.unwrap();
    let setup = || reconciled(&wms, "");
    let egress = format!("[[plugin.egress]]\norigin = \"{}\"\n", wms.origin());
    for (from, to, told) in [
        ("system = \"wms\"", "system = \"erp\"", "both systems are called `erp`"),
        ("settle_minutes = 30", "settle_minutes = 100000", "`settle_minutes` is 100000; expected 10080 at most"),
        ("every_minutes = 1440", "every_minutes = 0", "`every_minutes` is out of bounds; expected 1 to 44640"),
        (
            "exception_queue = \"integration\"\nevery",
            "exception_queue = \"nobodys\"\nevery",
            "queue `nobodys` is not in `queues`",
        ),
        (egress.as_str(), "", "where its connector `wms-rest` may not go; a [[plugin.egress]]"),
        (
            "transformer = \"wms-documents\"",
            "transformer = \"wms-rest\"",
            "uses plugin `wms-rest` as a transformer, and it is a connector; name a transformer there",
        ),
    ] {
        let error =
            setup().replace("portreeve.toml", from, to).try_start().await.err().map(|error| format!("{error:#}"));
        let error = error.unwrap_or_else(|| panic!("{to} was taken"));
        assert!(error.contains(told), "{error}");
    }
}

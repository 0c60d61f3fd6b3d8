//! An ERP and a shop that should have the same in stock: what the shop lists is compared whole, or not
//! at all.

use portreeve::standins::{Mischief, Shop};
use portreeve_pipeline::reconcile::{Compared, Outcome};
use serde_json::{Value, json};

use crate::pulled::scripted;
use crate::reconciled::{decimal, stock_of_the_erp_and};
use crate::support::{Setup, TestHost};

const ID: &str = "stock-erp-shop";

/// The demo's host with a shop that should have what its ERP has; nodes `NODE=SOURCE`, and each item in pieces.
fn reconciled(origin: &str, base_url: &str, sources: &str) -> Setup {
    let right = format!(
        r#"system = "shop"
connector = "adobe-commerce-rest"
transformer = "adobe-documents"
origin = "{origin}"
settings = {{ base-url = "{base_url}", list = "stock", unit = "EA", sources = "{sources}" }}
"#
    );
    Setup::demo()
        .plugin("adobe-documents", "{ lookup = [\"item\"] }")
        .plugin("adobe-commerce-rest", "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 170000 } }")
        .append("portreeve.toml", &format!("[[plugin.egress]]\norigin = \"{origin}\"\n"))
        .append("portreeve.toml", &stock_of_the_erp_and(ID, "", &right))
}

async fn run(host: &TestHost) -> Outcome {
    host.host.pipeline.reconcile(ID, None, false).await.unwrap().outcome
}

async fn compared(host: &TestHost) -> Compared {
    match run(host).await {
        Outcome::Compared(found) => found,
        Outcome::NotCompared(unheard) => panic!("{unheard:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shop_sells_of_an_item_at_all_its_sources_is_compared_with_what_the_erp_has() {
    let shop = Shop::start(Mischief::default()).await.unwrap();
    let host = reconciled(&shop.origin(), &shop.base_url(), "DC-EAST=east DC-WEST=west").start().await;
    // More than two pages of the shop's.
    for number in 0..250 {
        let sku = format!("I-{number:03}");
        shop.put("east", &sku, decimal("7.5"));
        shop.put("west", &sku, decimal("2.5"));
        host.erp.put(&sku, decimal("10"));
    }
    let found = compared(&host).await;
    assert_eq!((found.compared, found.agreeing, found.opened), (250, 250, 0), "{:?}", found.differences);

    shop.put("west", "I-207", decimal("0"));
    host.erp.put("I-900", decimal("3"));
    let found = compared(&host).await;
    assert_eq!((found.compared, found.agreeing, found.opened), (251, 249, 2), "{:?}", found.differences);
    let told: Vec<String> = host.exceptions().await.into_iter().map(|open| open.detail).collect();
    assert!(told[0].contains("10 EA of `I-207` in erp and 7.5 EA in shop"), "{told:?}");
    shop.put("west", "I-207", decimal("2.5"));
    shop.put("east", "I-900", decimal("3"));
    let found = compared(&host).await;
    assert_eq!((found.agreeing, found.closed), (251, 2));
    host.verify().await.unwrap();
}

fn row(number: usize) -> Value {
    json!({"sku": format!("I-{number:03}"), "source_code": "east", "quantity": 1, "status": 1})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shops_list_that_changes_while_it_is_read_judges_nothing() {
    // Behind the first page an item is gone, and the next one's first row has moved to the page that was read.
    let moving = scripted(|query| match query.contains("currentPage%5D=1") {
        true => json!({"items": (0..200).map(row).collect::<Vec<_>>(), "total_count": 300}),
        false => json!({"items": (201..300).map(row).collect::<Vec<_>>(), "total_count": 299}),
    })
    .await;
    let host = reconciled(&moving, &moving, "DC-EAST=east").start().await;
    assert!(matches!(run(&host).await, Outcome::NotCompared(_)));

    // A row that cannot be read is told by itself, and the others are compared.
    let items = json!([row(1), {"sku": "I-002", "source_code": "nowhere", "quantity": 1, "status": 1},
        {"sku": "I-003", "source_code": "east", "quantity": "many", "status": 1}]);
    let broken = scripted(move |_| json!({"items": items, "total_count": 3})).await;
    let host = reconciled(&broken, &broken, "DC-EAST=east").start().await;
    for number in 1..=3 {
        host.erp.put(&format!("I-{number:03}"), decimal("1"));
    }
    let found = compared(&host).await;
    assert_eq!(found.agreeing, 1, "{found:?}");
    let mut codes: Vec<String> = host.exceptions().await.into_iter().map(|open| open.code).collect();
    codes.sort();
    assert_eq!(codes, ["unreadable-row", "unreadable-row"]);

    let nothing = scripted(|_| json!({"items": null, "total_count": 0})).await;
    let host = reconciled(&nothing, &nothing, "DC-EAST=east").start().await;
    assert_eq!(compared(&host).await.compared, 0);
}

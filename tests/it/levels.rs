//! How much there is of an item reaches the shop: the newest level of each, once, whatever came
//! first and whatever the shop does meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hyper::Method;
use portreeve_model::{Digest, Instant, Matter};
use portreeve_pipeline::{Clock, Credential};
use portreeve_record::LeafBody;
use portreeve_record::leaf::DecidedState;
use portreeve_store::contract::DocumentPosition;
use serde_json::{Value, json};

use crate::support::{PurchaseOrder, ScriptedTarget, Setup, TestHost};

/// What the warehouse shows when it says something.
const TOKEN: &str = "token-of-the-warehouse";

/// A shop that does as it is told, unless it is down, and remembers what it was told.
struct Told {
    target: ScriptedTarget,
    is_down: Arc<AtomicBool>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Told {
    async fn start() -> Self {
        let is_down = Arc::new(AtomicBool::new(false));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let (down, heard) = (Arc::clone(&is_down), Arc::clone(&bodies));
        let target = ScriptedTarget::start(move |_: Method, body: bytes::Bytes| {
            let answer = if down.load(Ordering::SeqCst) {
                (500, "{}".to_owned())
            } else {
                heard.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
                (200, "[]".to_owned())
            };
            async move { answer }
        })
        .await;
        Self { target, is_down, bodies }
    }

    fn down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Items and quantities that it was told since the last time.
    fn heard(&self) -> Vec<(String, String)> {
        let bodies = std::mem::take(&mut *self.bodies.lock().unwrap());
        let item = |body: String| {
            let told: Value = serde_json::from_str(&body).unwrap();
            let [item] = told["sourceItems"].as_array().unwrap().as_slice() else { panic!("{body}") };
            assert_eq!(item["source_code"], "DC-EAST", "{body}");
            (item["sku"].as_str().unwrap().to_owned(), item["quantity"].to_string())
        };
        bodies.into_iter().map(item).collect()
    }

    /// The demo's host with this shop, a warehouse that says levels, and others that say them too.
    fn setup(&self) -> Setup {
        let origin = self.target.origin();
        let sender = |channel: &str| {
            format!(
                "\n[[sender]]\nchannel = \"{channel}\"\nid = \"{channel}\"\ntoken_sha256 = \"{}\"\n",
                Digest::of(TOKEN.as_bytes())
            )
        };
        let channel = |id: &str, connector: &str, document: &str, transformer: &str, says: &str| {
            format!(
                "{}\n[[channel]]\nid = \"{id}\"\nconnector = \"{connector}\"\ndocuments = {{ \"{document}\" = \
                 \"{transformer}\" }}\ntarget = \"erp\"\nexception_queue = \"fulfilment\"\nsays = [{says}]\n",
                sender(id)
            )
        };
        let rest = [
            channel("wms", "wms-rest", "wms-rest/event", "wms-documents", "\"inventory.level\""),
            channel("stranger", "wms-rest", "wms-rest/event", "wms-documents", ""),
            channel("counts", "cloudevents", "cloudevents/event", "cloudevents-events", "\"inventory.level\""),
            format!(
                "\n[[target]]\nid = \"shop\"\nconnector = \"adobe-commerce-rest\"\ntransformer = \"adobe-documents\"\n\
                 kind = \"adobe/accepted\"\norigin = \"{origin}\"\nexception_queue = \"order-desk\"\nfind = true\n\
                 settings = {{ base-url = \"{origin}/rest/all\", answer-timeout-ms = \"2000\" }}\n"
            ),
            "\n[[effect]]\non = \"inventory.level\"\ntarget = \"shop\"\nkind = \"adobe/stock\"\n".to_owned(),
        ];
        let http = "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 45000 } }";
        let egress = format!("[[plugin.egress]]\norigin = \"{origin}\"\nrequests_per_second = 20000\n");
        Setup::demo()
            .scorers(&[])
            .plugin("wms-rest", http)
            .blindfolded("wms-documents")
            .blindfolded("cloudevents")
            .blindfolded("cloudevents-events")
            .plugin("adobe-documents", "{ lookup = [\"item\"] }")
            .plugin("adobe-commerce-rest", "{ http = [\"GET\", \"POST\"], limits = { wall_ms = 170000 } }")
            .append("portreeve.toml", &egress)
            .append("portreeve.toml", &rest.concat())
    }
}

fn level(id: &str, sku: &str, as_of: Instant, available: u32, unit: &str) -> Value {
    json!({
        "id": id, "type": "level", "at": as_of.to_string(), "sku": sku, "node": "DC-EAST",
        "onHand": available + 7, "available": available, "unit": unit,
    })
}

async fn say(host: &TestHost, channel: &str, body: &Value) {
    let sent = host.send(channel, Credential::Bearer(TOKEN), body.to_string().as_bytes()).await.unwrap();
    assert!(sent.reply.status < 300, "{}", String::from_utf8_lossy(&sent.reply.body));
    host.decide_all().await;
}

fn pair(sku: &str, quantity: &str) -> (String, String) {
    (sku.to_owned(), quantity.to_owned())
}

/// What became of the levels, by the log.
async fn decided(host: &TestHost) -> [usize; 3] {
    let leaves = host.leaves().await;
    let states = leaves.iter().filter_map(|leaf| match &leaf.body {
        LeafBody::Decide(decide) if decide.item.is_some() => Some((decide.order, decide.about, decide.state)),
        _ => None,
    });
    let mut counts = [0; 3];
    for (order, about, state) in states {
        assert_eq!((order, about), (None, None), "an item is no order");
        let place = [DecidedState::Applied, DecidedState::Again, DecidedState::Outdated];
        counts[place.iter().position(|known| *known == state).unwrap()] += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_backlog_the_shop_hears_the_newest_level_alone_and_no_older_one_afterwards() {
    let shop = Told::start().await;
    let host = shop.setup().start().await;
    let now = host.clock.now();
    let at = |count: u32| now.plus_ms(i64::from(count));
    say(&host, "wms", &level("LV-1", "FST-1007", at(1), 5_000, "BX")).await;
    host.deliver_all().await;
    assert_eq!(shop.heard(), [pair("FST-1007", "5000")]);

    shop.down(true);
    say(&host, "wms", &level("LV-2", "FST-1007", at(2), 4_999, "BX")).await;
    assert_eq!(host.deliver_due().await, 1, "it is under way, and nobody knows whether it arrived");
    // Three hundred more, the newest among them somewhere.
    let mut places: Vec<u32> = (3..=302).collect();
    places.rotate_left(117);
    for chunk in places.chunks(100) {
        let levels: Vec<Value> = chunk
            .iter()
            .map(|count| level(&format!("LV-{count}"), "FST-1007", at(*count), 5_001 - count, "BX"))
            .collect();
        say(&host, "wms", &json!(levels)).await;
    }
    assert_eq!(host.summary().await.pending, 1, "one level of the item is to be told");
    let waits = host.store.next_due().await.unwrap().unwrap();
    assert!(waits > host.clock.now(), "a target that is down is asked no sooner for each level that comes");

    shop.down(false);
    host.deliver_all().await;
    assert_eq!(shop.heard(), [pair("FST-1007", "4699")]);
    // What was counted before is told nobody any more, and what is said again neither.
    say(&host, "wms", &level("LV-LATE", "FST-1007", at(200), 4_801, "BX")).await;
    say(&host, "wms", &level("LV-AGAIN", "FST-1007", at(302), 4_699, "BX")).await;
    host.deliver_all().await;
    assert_eq!((shop.heard(), host.codes().await), (vec![], vec![]));
    let [applied, again, outdated] = decided(&host).await;
    assert_eq!((applied + outdated, again), (303, 1), "each level is decided");
    assert!(applied > 100 && outdated > 100, "{applied} {outdated}");

    // An item is no order, wherever orders are counted.
    let summary = host.summary().await;
    assert_eq!((summary.order_events, summary.delivered, summary.dead), (0, 2, 0));
    assert!(host.store.orders(DocumentPosition(0), 10).await.unwrap().is_empty());
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_the_shop_cannot_take_blocks_no_other_item_and_no_order_and_is_over_with_the_next() {
    let shop = Told::start().await;
    let host = shop.setup().start().await;
    let now = host.clock.now();
    // The shop sells boxes.
    say(&host, "wms", &level("LV-1", "FST-1007", now, 60_000, "EA")).await;
    say(&host, "wms", &level("LV-2", "ELC-1049", now, 40, "EA")).await;
    let order = host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await.remove(0);
    host.deliver_all().await;
    assert_eq!(shop.heard(), [pair("ELC-1049", "40")]);
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "delivered");
    let letter = host.store.dead_letters(0, 10).await.unwrap().remove(0);
    assert_eq!(
        (letter.number.as_str(), letter.queue.as_str(), letter.blocks),
        ("FST-1007 at DC-EAST", "order-desk", false)
    );
    assert!(
        matches!(letter.matter, Matter::Item(_))
            && letter.detail.starts_with("FST-1007 at DC-EAST: ")
            && letter.detail.contains("`EA`; expected `BX`"),
        "{letter:?}"
    );
    // It is an exception of its own, and none of an order.
    let waiting = host.exceptions().await;
    assert_eq!(
        waiting.iter().map(|waiting| (waiting.order, waiting.code.as_str())).collect::<Vec<_>>(),
        [(None, "other-unit")]
    );
    assert_eq!(host.order("PO-1").await.id, order.id);

    say(&host, "wms", &level("LV-3", "FST-1007", now.plus_ms(1), 4_000, "BX")).await;
    host.deliver_all().await;
    assert_eq!(shop.heard(), [pair("FST-1007", "4000")]);
    assert_eq!(
        (host.codes().await, host.summary().await.dead),
        (vec![], 0),
        "nobody has to look at what is out of date"
    );
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_of_which_nobody_can_tell_whether_it_is_the_newest_is_a_persons() {
    let shop = Told::start().await;
    let host = shop.setup().start().await;
    let now = host.clock.now();
    say(&host, "wms", &level("LV-1", "FST-1007", now, 10, "BX")).await;
    for (channel, body, code) in [
        ("wms", level("LV-2", "FST-1007", now, 11, "BX"), "said-otherwise"),
        ("wms", level("LV-3", "FST-1007", now.plus_ms(6 * Instant::MINUTE_MS), 12, "BX"), "level-to-come"),
        ("stranger", level("LV-4", "FST-1007", now.plus_ms(1), 13, "BX"), "may-not-say"),
    ] {
        say(&host, channel, &body).await;
        assert_eq!(host.codes().await.last().map(String::as_str), Some(code), "{body}");
    }
    let quantity = json!({"value": "14", "scale": 0, "unit": "BX"});
    let undated = json!({"sku": "FST-1007", "node": "DC-EAST", "onHand": quantity, "available": quantity});
    let event =
        json!({"specversion": "1.0", "id": "1", "source": "/counts", "type": "inventory.level", "data": undated});
    say(&host, "counts", &json!([event])).await;
    assert_eq!(host.codes().await.last().map(String::as_str), Some("level-undated"));
    host.deliver_all().await;
    assert_eq!(shop.heard(), [pair("FST-1007", "10")], "the first counts");
    host.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_waits_is_told_after_a_restart() {
    let shop = Told::start().await;
    let host = shop.setup().start().await;
    let now = host.clock.now();
    shop.down(true);
    say(&host, "wms", &level("LV-1", "FST-1007", now, 10, "BX")).await;
    host.deliver_due().await;
    let host = host.restart().await;
    say(&host, "wms", &level("LV-2", "FST-1007", now.plus_ms(1), 9, "BX")).await;
    shop.down(false);
    host.deliver_all().await;
    assert_eq!(shop.heard(), [pair("FST-1007", "9")]);
    say(&host, "wms", &level("LV-3", "FST-1007", now, 10, "BX")).await;
    host.deliver_all().await;
    assert_eq!(shop.heard(), []);
    host.verify().await.unwrap();
}

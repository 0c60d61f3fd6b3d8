//! A connector is swapped a hundred times while orders come in, are decided and delivered:
//! nothing is lost, nothing is sent twice, and every record names what ran.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_api::package::{Act, Lifecycle};
use portreeve_model::{Digest, PluginName};
use portreeve_record::leaf::{CrossingRecord, PackageStep};
use portreeve_record::{LeafBody, LeafRecord};
use tokio::sync::watch;

use super::{name, of_version};
use crate::support::{PurchaseOrder, TestHost, component, say, sign, x12};

/// How often the connector that delivers is swapped. The connector that receives and a scorer
/// are swapped at every so many of these turns.
const SWAPS: u32 = 100;
const OTHERS_EVERY: u32 = 10;

/// Orders between two swaps.
const ORDERS: u32 = 3;

/// The second version of a plugin, installed.
async fn second(host: &TestHost, plugin: &str) -> Digest {
    let bytes = of_version(plugin, "0.2.0");
    host.host.packages.install(&bytes, Some(&sign(&bytes)), "ops").await.unwrap();
    Digest::of(&bytes)
}

/// Forward at even turns, back at odd ones.
async fn swap(host: &TestHost, plugin: &PluginName, component: Digest, turn: u32) {
    let packages = &host.host.packages;
    if turn % 2 == 1 {
        packages.act(plugin, Act::Rollback, "ops").await.unwrap();
        return;
    }
    packages.act(plugin, Act::Stage { component, grant: None }, "ops").await.unwrap();
    packages.act(plugin, Act::Activate { component: None }, "ops").await.unwrap();
}

fn crossings(leaf: &LeafRecord) -> Vec<&CrossingRecord> {
    match &leaf.body {
        LeafBody::Accept(accept) => accept.crossing.iter().collect(),
        LeafBody::Decide(decide) => decide.crossings.shown().iter().collect(),
        LeafBody::Attempt(attempt) => attempt.looked_up.iter().chain(&attempt.crossing).collect(),
        LeafBody::Receipt(receipt) => receipt.crossing.iter().collect(),
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_is_swapped_a_hundred_times_under_load_loses_and_doubles_nothing() {
    let host = TestHost::demo().await;
    let swapped = ["erp-rest", "x12", "fraud"].map(name);
    let first: BTreeMap<PluginName, Digest> = swapped
        .iter()
        .map(|plugin| (plugin.clone(), Digest::of(&std::fs::read(component(plugin.as_str())).unwrap())))
        .collect();
    let mut seconds = Vec::new();
    for plugin in &swapped {
        seconds.push(second(&host, plugin.as_str()).await);
    }

    // The host works behind it all; each swap meets what the orders before it have under way.
    let (stop, stopping) = watch::channel(false);
    let traffic = async {
        for turn in 0..SWAPS {
            for order in 0..ORDERS {
                let control = turn * ORDERS + order + 1;
                let body = x12(control, &PurchaseOrder::clean(&format!("PO-{control}")));
                assert_eq!(host.send_edi(&body).await.unwrap().reply.status, 200);
            }
            swap(&host, &swapped[0], seconds[0], turn).await;
            if turn % OTHERS_EVERY == 0 {
                for (plugin, component) in swapped.iter().zip(&seconds).skip(1) {
                    swap(&host, plugin, *component, turn / OTHERS_EVERY).await;
                }
            }
        }
        stop.send_replace(true);
    };
    let (worked, ()) = tokio::join!(host.host.work(stopping), traffic);
    worked.unwrap();
    host.decide_all().await;
    host.deliver_all().await;

    // Nothing is lost and nothing doubled: the ERP's ledger has each order once.
    let orders = SWAPS * ORDERS;
    let booked = host.erp.sales_orders();
    let numbers: BTreeSet<String> = booked.iter().map(|order| order.external_document_number.clone()).collect();
    assert_eq!((booked.len(), numbers.len()), (usize::try_from(orders).unwrap(), usize::try_from(orders).unwrap()));
    let summary = host.summary().await;
    assert_eq!((summary.exceptions_open, summary.dead, summary.pending, summary.undecided), (0, 0, 0, 0));
    assert_eq!(summary.delivered, u64::from(orders));
    let report = host.verify().await.unwrap();
    assert_eq!(report.kinds.accept, u64::from(orders));

    // Every record names a component that was active, a decision the one of its version.
    let leaves = host.leaves().await;
    let mut of_version: BTreeMap<(PluginName, u64), Digest> = BTreeMap::new();
    let mut active = first.clone();
    for leaf in &leaves {
        let LeafBody::Package(package) = &leaf.body else { continue };
        if matches!(package.step, PackageStep::Activated | PackageStep::RolledBack) {
            active.insert(package.plugin.clone(), package.component);
            for (plugin, component) in &active {
                of_version.insert((plugin.clone(), package.configuration.unwrap()), *component);
            }
        }
    }
    let versions = u64::from(SWAPS + 2 * (SWAPS / OTHERS_EVERY)) + 1;
    assert_eq!(host.store.active_configuration().await.unwrap().unwrap().version, versions);
    let mut ran: BTreeMap<(PluginName, Digest), u32> = BTreeMap::new();
    for leaf in &leaves {
        for crossing in crossings(leaf).into_iter().filter(|crossing| swapped.contains(&crossing.plugin)) {
            *ran.entry((crossing.plugin.clone(), crossing.component)).or_default() += 1;
            if let LeafBody::Decide(decide) = &leaf.body {
                let key = (crossing.plugin.clone(), decide.configuration);
                let expected = of_version.get(&key).unwrap_or(&first[&crossing.plugin]);
                assert_eq!(&crossing.component, expected, "{key:?}");
            }
        }
    }
    for (plugin, second) in swapped.iter().zip(&seconds) {
        let counts = [first[plugin], *second].map(|digest| ran.get(&(plugin.clone(), digest)).copied().unwrap_or(0));
        assert!(counts.iter().all(|count| *count > 0), "{plugin}: both versions ran: {counts:?}");
        say(&format!("{plugin}: {counts:?} calls of the two versions"));
    }
    assert_eq!(ran.len(), 2 * swapped.len(), "and no other: {ran:?}");
    say(&format!("{orders} orders over {SWAPS} swaps: {} booked, each once", booked.len()));
}

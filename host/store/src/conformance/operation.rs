//! How the host is run: records that are about no order, and since when parts of the configuration
//! are there and in use.

use std::sync::Arc;

use portreeve_record::Leaf;

use super::configuration::{package, staged};
use super::fixture::{ALL, NOW, applied, claim, input, keep, leaf, lease, release, retry};
use super::{Maker, reconcile};
use crate::contract::{After, Disposition, JournalEntry, PackageChange, Part, PartKind, Store};

fn part(kind: PartKind, id: &str) -> Part {
    Part { kind, id: id.to_owned() }
}

/// What is configured and in use, milliseconds from the beginning.
async fn parts(store: &Arc<dyn Store>) -> Vec<(String, Option<i64>, Option<i64>)> {
    let found = store.parts().await.unwrap().into_iter();
    found
        .map(|view| {
            let at = |at: portreeve_model::Instant| at.0 - NOW.0;
            (view.part.id, view.configured_at.map(at), view.used_at.map(at))
        })
        .collect()
}

async fn configure(store: &Arc<dyn Store>, bytes: &str, at_ms: i64, leaf: Leaf, parts: &[Part]) {
    let (bytes, at) = (bytes.as_bytes().to_vec(), NOW.plus_ms(at_ms));
    store.activate_configuration(bytes, Vec::new(), at, vec![leaf], parts.to_vec()).await.unwrap();
}

pub(crate) async fn a_channel_and_a_target_are_in_use_from_the_first_time_on(maker: impl Maker) {
    let store = maker.open().await;
    let (edi, erp, wms) =
        (part(PartKind::Channel, "edi"), part(PartKind::Target, "erp"), part(PartKind::Target, "wms"));
    let row = |id: &str, configured: Option<i64>, used: Option<i64>| (id.to_owned(), configured, used);
    configure(&store, "one", 0, leaf(1), &[edi.clone(), erp.clone()]).await;
    assert_eq!(parts(&store).await, [row("edi", Some(0), None), row("erp", Some(0), None)]);
    // What brought no document is no use of it.
    let unparsed = JournalEntry { disposition: Disposition::Unparsed, ..input(2, &[]) };
    keep(&store, unparsed).await;
    assert_eq!(parts(&store).await[0], row("edi", Some(0), None));
    release(&store, 11, "PO-1", &[("erp", "order")]).await;
    assert_eq!(parts(&store).await[0], row("edi", Some(0), Some(11)));
    let attempt = store.begin_attempt(claim(&store, 20).await.remove(0), lease(20), leaf(21)).await.unwrap();
    store.settle(attempt, retry(30), NOW.plus_ms(20), leaf(22)).await.unwrap();
    assert_eq!(parts(&store).await[1], row("erp", Some(0), None), "it does not have it");
    let attempt = store.begin_attempt(claim(&store, 30).await.remove(0), lease(30), leaf(23)).await.unwrap();
    store.settle(attempt, applied(), NOW.plus_ms(40), leaf(24)).await.unwrap();
    release(&store, 51, "PO-2", &[("erp", "order")]).await;
    let attempt = store.begin_attempt(claim(&store, 60).await.remove(0), lease(60), leaf(55)).await.unwrap();
    store.settle(attempt, applied(), NOW.plus_ms(70), leaf(56)).await.unwrap();
    drop(store);

    let store = maker.open().await;
    configure(&store, "two", 100, leaf(61), &[edi.clone(), wms.clone()]).await;
    let used = [row("edi", Some(0), Some(11)), row("erp", Some(0), Some(40))];
    assert_eq!(parts(&store).await, [used[0].clone(), used[1].clone(), row("wms", Some(100), None)]);
    // One that was taken out before anybody used it begins anew; one that was in use does not.
    configure(&store, "three", 200, leaf(62), &[edi]).await;
    assert_eq!(parts(&store).await, used);
    configure(&store, "four", 300, leaf(63), &[erp, wms]).await;
    assert_eq!(parts(&store).await, [used[0].clone(), used[1].clone(), row("wms", Some(300), None)]);
}

pub(crate) async fn records_of_operation_are_found_by_their_time_and_no_others(maker: impl Maker) {
    let store = maker.open().await;
    configure(&store, "one", 0, leaf(1), &[]).await;
    for (change, at_ms, number) in [(PackageChange::Install(package(1)), 10, 2), (staged(1), 10, 3)] {
        store.change_packages(change, NOW.plus_ms(at_ms), vec![leaf(number)]).await.unwrap();
    }
    // What comes in and goes out is about orders.
    release(&store, 11, "PO-1", &[("erp", "order")]).await;
    store.refuse(leaf(20)).await.unwrap();
    let configure = PackageChange::Configure { after: 1, bytes: b"two".to_vec(), unstage: None, anew: None };
    store.change_packages(configure, NOW.plus_ms(20), vec![leaf(31), leaf(32)]).await.unwrap();
    assert_eq!(reconcile::differing(&store, 41).await, 1);
    drop(store);
    let store = maker.open().await;
    let found = store.operation_leaves(After::from(NOW), NOW.plus_ms(1_000), ALL).await.unwrap();
    let at: Vec<i64> = found.iter().map(|leaf| leaf.at.0 - NOW.0).collect();
    assert_eq!(at, [0, 0, 10, 10, 20, 20], "the run was committed at the beginning");
    let bytes = |numbers: &[u64]| numbers.iter().map(|number| leaf(*number).bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(found.iter().map(|leaf| leaf.bytes.clone()).collect::<Vec<_>>(), bytes(&[1, 41, 2, 3, 31, 32]));
    let after = After { at: found[2].at, number: found[2].number };
    assert_eq!(store.operation_leaves(after, NOW.plus_ms(20), ALL).await.unwrap(), found[3..4], "without its end");
    assert_eq!(store.operation_leaves(after, NOW.plus_ms(21), 2).await.unwrap(), found[3..5]);
}

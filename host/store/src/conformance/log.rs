//! The log: leaves in commit order, indices without a gap, one sequencer at a time.

use std::sync::Arc;

use portreeve_model::Digest;

use super::Maker;
use super::fixture::{ALL, leaf, observe};
use crate::contract::{Store, StoreError, TreeHead};

fn head(size: u64) -> TreeHead {
    TreeHead { size, edge: vec![7; 3], checkpoint: format!("checkpoint of {size}") }
}

async fn refuse(store: &Arc<dyn Store>, numbers: std::ops::Range<u64>) -> Vec<Digest> {
    for number in numbers.clone() {
        store.refuse(leaf(number)).await.unwrap();
    }
    numbers.map(|number| leaf(number).id()).collect()
}

pub(crate) async fn leaves_get_their_index_in_commit_order(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(store.tree_head().await.unwrap(), None);
    let ids = refuse(&store, 1..6).await;
    let waiting = store.unsequenced(3).await.unwrap();
    assert_eq!(waiting.iter().map(|leaf| leaf.id).collect::<Vec<_>>(), ids[..3]);
    assert_eq!(waiting[0].bytes, leaf(1).bytes());
    assert_eq!(store.leaf_index(ids[0]).await.unwrap(), None);
    assert!(store.append_sequenced(0, ids[..3].to_vec(), head(3)).await.unwrap());
    drop(store);

    let store = maker.open().await;
    assert_eq!(store.tree_head().await.unwrap(), Some(head(3)));
    assert!(store.append_sequenced(3, ids[3..].to_vec(), head(5)).await.unwrap());
    assert!(store.unsequenced(ALL).await.unwrap().is_empty());
    let page = store.sequenced(1, 3).await.unwrap();
    let expected: Vec<_> =
        (1..4).map(|index| (index, leaf(index + 1).id(), leaf(index + 1).bytes().to_vec())).collect();
    assert_eq!(page, expected);
    assert_eq!(store.leaf_index(ids[4]).await.unwrap(), Some(4));
    assert_eq!(store.leaf_index(Digest::of(b"unknown")).await.unwrap(), None);
}

pub(crate) async fn of_two_sequencers_one_appends(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    let ids = refuse(&one, 1..3).await;
    let (first, second) = tokio::join!(
        one.append_sequenced(0, ids.clone(), head(2)),
        other.append_sequenced(0, ids[..1].to_vec(), head(1))
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first != second, "exactly one of them: {first} and {second}");
    let size = one.tree_head().await.unwrap().unwrap().size;
    assert_eq!(size, if first { 2 } else { 1 });
    assert_eq!(u64::try_from(one.sequenced(0, ALL).await.unwrap().len()).unwrap(), size);
}

pub(crate) async fn a_head_that_does_not_fit_changes_nothing(maker: impl Maker) {
    let store = maker.open().await;
    let ids = refuse(&store, 1..4).await;
    assert!(store.append_sequenced(0, ids[..1].to_vec(), head(1)).await.unwrap());
    let before = observe(&store).await;
    let wrong = store.append_sequenced(1, ids[1..].to_vec(), head(4)).await;
    assert!(matches!(wrong, Err(StoreError::Failed(_))), "{wrong:?}");
    for unfit in [vec![ids[1], Digest::of(b"unknown")], vec![ids[1], ids[0]]] {
        let wrong = store.append_sequenced(1, unfit, head(3)).await;
        assert!(matches!(wrong, Err(StoreError::Damaged(_))), "{wrong:?}");
    }
    assert!(!store.append_sequenced(0, ids, head(3)).await.unwrap(), "another one was faster");
    assert_eq!(observe(&store).await, before);
}

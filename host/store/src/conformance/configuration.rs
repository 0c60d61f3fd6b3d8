//! Configuration, reference tables, and the small state of connectors.

use std::sync::Arc;

use portreeve_model::reference::{Field, FieldValue, Row};
use portreeve_model::{Digest, PluginName};

use super::Maker;
use super::fixture::{NOW, leaf, leaves, observe, order_id};
use crate::contract::{NewPackage, NewReference, PackageChange, ReferenceTable, ReferenceWanted, StoreError};

/// A table of two rows that say which version they are of.
pub(super) fn rows(version: i64) -> Vec<(String, Row)> {
    ["FST-1007", "ELC-1049"]
        .map(|key| {
            let value = FieldValue::Whole(version);
            (key.to_owned(), Row(vec![Field { name: "version".to_owned(), value }]))
        })
        .to_vec()
}

pub(super) fn table(version: i64, number: u64) -> NewReference {
    NewReference { table: "stock".to_owned(), rows: rows(version), leaf: leaf(number) }
}

/// Some version of one plugin's package.
pub(super) fn package(number: u64) -> NewPackage {
    NewPackage {
        digest: Digest::of(format!("component {number}").as_bytes()),
        plugin: PluginName::parse("fraud").unwrap(),
        version: format!("0.{number}.0"),
        kind: "scorer".to_owned(),
        publisher: "acme".to_owned(),
    }
}

pub(super) fn staged(number: u64) -> PackageChange {
    PackageChange::Stage { digest: package(number).digest, grant: Some(format!("log = {}", number == 1)) }
}

pub(crate) async fn of_a_plugins_packages_one_is_staged_until_it_is_activated(maker: impl Maker) {
    let store = maker.open().await;
    store.activate_configuration(b"one".to_vec(), Vec::new(), NOW, vec![leaf(1)], Vec::new()).await.unwrap();
    let change = |change, number| store.change_packages(change, NOW, vec![leaf(number)]);
    let staged_now = async || {
        let packages = store.packages().await.unwrap().into_iter().filter(|one| one.staged_at.is_some());
        packages.map(|one| (one.package.version, one.grant.unwrap())).collect::<Vec<_>>()
    };
    let unknown = change(staged(1), 2).await;
    assert!(matches!(unknown, Err(StoreError::UnknownPackage(_))), "{unknown:?}");
    for (number, leaf) in [(1, 3), (2, 4), (1, 5)] {
        change(PackageChange::Install(package(number)), leaf).await.unwrap();
    }
    let known: Vec<NewPackage> = store.packages().await.unwrap().into_iter().map(|one| one.package).collect();
    assert_eq!(known.len(), 2, "one that is there already stays as it is: {known:?}");
    change(staged(1), 6).await.unwrap();
    change(staged(2), 7).await.unwrap();
    assert_eq!(staged_now().await, [("0.2.0".to_owned(), "log = false".to_owned())]);

    let configure = |after, number| {
        let unstage = Some(package(1).plugin);
        let change = PackageChange::Configure { after, bytes: b"two".to_vec(), unstage, anew: None };
        store.change_packages(change, NOW, vec![leaf(number), leaf(number + 1)])
    };
    let moved = configure(2, 8).await;
    assert!(matches!(moved, Err(StoreError::ConfigurationMoved { expected: 2, found: 1 })), "{moved:?}");
    let without_leaf = store.change_packages(PackageChange::Note, NOW, Vec::new()).await;
    assert!(matches!(without_leaf, Err(StoreError::Failed(_))), "{without_leaf:?}");
    configure(1, 8).await.unwrap();
    assert_eq!(store.active_configuration().await.unwrap().unwrap().version, 2);
    assert_eq!(staged_now().await, []);
    change(PackageChange::Note, 10).await.unwrap();
    let before = observe(&store).await;
    assert_eq!(leaves(&store).await, [1, 3, 4, 5, 6, 7, 8, 9, 10].map(|number| leaf(number).id().short()));
    drop(store);
    let store = maker.open().await;
    assert_eq!(observe(&store).await, before);
}

pub(crate) async fn the_same_configuration_makes_no_new_version(maker: impl Maker) {
    let store = maker.open().await;
    assert!(store.active_configuration().await.unwrap().is_none());
    let activate = |bytes: &str, tables, number| {
        store.activate_configuration(bytes.as_bytes().to_vec(), tables, NOW, vec![leaf(number)], Vec::new())
    };
    assert_eq!(activate("one", vec![table(1, 1)], 2).await.unwrap(), 1);
    assert_eq!(activate("two", Vec::new(), 3).await.unwrap(), 2);
    assert_eq!(activate("two", vec![table(2, 4)], 5).await.unwrap(), 2, "no new version, and no leaf that says so");
    assert_eq!(store.reference("stock").await.unwrap().unwrap().0, 2, "but the table of it");
    assert_eq!(leaves(&store).await, [1, 2, 3, 4].map(|number| leaf(number).id().short()));
    assert_eq!(activate("one", Vec::new(), 6).await.unwrap(), 3, "going back is a new version, too");
    let before = observe(&store).await;
    drop(store);

    let store = maker.open().await;
    assert_eq!(observe(&store).await, before);
    let active = store.active_configuration().await.unwrap().unwrap();
    assert_eq!((active.version, active.bytes.as_slice()), (3, b"one".as_slice()));
}

pub(crate) async fn a_table_is_read_with_its_version(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    assert!(one.reference("stock").await.unwrap().is_none());
    assert_eq!(one.load_reference("stock", rows(1), leaf(1)).await.unwrap(), 1);
    assert_eq!(one.load_reference("stock", rows(1), leaf(1)).await.unwrap(), 1, "a leaf that is known");
    let before = observe(&one).await;
    let other_rows = one.load_reference("stock", rows(2), leaf(1)).await;
    assert!(matches!(other_rows, Err(StoreError::Failed(_))), "another write cannot have its leaf: {other_rows:?}");
    assert_eq!(observe(&one).await, before);
    let (_, found) = one.reference("stock").await.unwrap().unwrap();
    assert_eq!(found.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["ELC-1049", "FST-1007"]);

    let loading = {
        let store = Arc::clone(&other);
        tokio::spawn(async move {
            for version in 2..=300_u64 {
                let rows = rows(i64::try_from(version).unwrap());
                assert_eq!(store.load_reference("stock", rows, leaf(version)).await.unwrap(), version);
            }
        })
    };
    let mut seen = 0;
    while seen < 300 {
        let (version, rows) = one.reference("stock").await.unwrap().unwrap();
        assert_eq!(rows, sorted(version), "rows of another version");
        seen = version;
        tokio::task::yield_now().await;
    }
    loading.await.unwrap();
    one.load_reference("stock", Vec::new(), leaf(301)).await.unwrap();
    assert_eq!(one.reference("stock").await.unwrap(), Some((301, Vec::new())));
}

pub(crate) async fn a_table_whose_version_is_known_is_not_read_again(maker: impl Maker) {
    let store = maker.open().await;
    store.load_reference("stock", rows(1), leaf(1)).await.unwrap();
    let ask = async |known| {
        let wanted = |table: &str| ReferenceWanted { table: table.to_owned(), known };
        store.references(vec![wanted("item"), wanted("stock")]).await.unwrap()
    };
    let table = |version, rows| [None, Some(ReferenceTable { version, rows })];
    assert_eq!(ask(None).await, table(1, Some(sorted(1))));
    assert_eq!(ask(Some(1)).await, table(1, None));
    store.load_reference("stock", rows(2), leaf(2)).await.unwrap();
    assert_eq!(ask(Some(1)).await, table(2, Some(sorted(2))));
}

fn sorted(version: u64) -> Vec<(String, Row)> {
    let mut rows = rows(i64::try_from(version).unwrap());
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    rows
}

pub(crate) async fn a_connector_without_state_has_none(maker: impl Maker) {
    let store = maker.open().await;
    let plugin = PluginName::parse("edi").unwrap();
    assert!(store.state(&plugin, order_id("PO-1")).await.unwrap().is_empty());
}

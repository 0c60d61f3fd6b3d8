//! Inputs of which nothing was taken: what people are shown of them, and in which order.

use std::sync::Arc;

use portreeve_model::{ChannelId, ExceptionKind, SenderId};

use super::Maker;
use super::fixture::{ALL, NOW, channel, input, input_id, keep, leaf, waits};
use crate::StoreError;
use crate::contract::{Disposition, InputContent, InputId, JournalEntry, Store, Untaken, UntakenInput, UntakenWanted};

/// An input of which nothing was taken.
fn untaken(number: u64, disposition: Disposition) -> JournalEntry {
    let envelopes = Vec::new();
    JournalEntry { disposition, envelopes, ..input(number, &[]) }
}

async fn numbers(store: &Arc<dyn Store>, wanted: UntakenWanted) -> Vec<(u64, Untaken)> {
    let found = store.untaken_inputs(wanted).await.unwrap();
    found.into_iter().map(|input| (input.number, input.how)).collect()
}

fn all() -> UntakenWanted {
    UntakenWanted { limit: ALL, ..UntakenWanted::default() }
}

pub(crate) async fn inputs_of_which_nothing_was_taken_are_paged_by_why_by_whom_and_since_when(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, untaken(1, Disposition::Refused)).await;
    keep(&store, input(2, &["PO-1"])).await;
    keep(&store, untaken(3, Disposition::Unparsed)).await;
    let other = ChannelId::parse("other").unwrap();
    keep(&store, JournalEntry { channel: other.clone(), ..untaken(4, Disposition::Rejected) }).await;
    keep(&store, untaken(5, Disposition::Refused)).await;
    drop(store);

    let store = maker.open().await;
    let (refused, unparsed, rejected) = (Untaken::Refused, Untaken::Unparsed, Untaken::Rejected);
    assert_eq!(numbers(&store, all()).await, [(1, refused), (3, unparsed), (4, rejected), (5, refused)]);
    let pages = [(0, vec![(1, refused), (3, unparsed)]), (3, vec![(4, rejected), (5, refused)]), (5, Vec::new())];
    for (after, expected) in pages {
        let wanted = UntakenWanted { after, limit: 2, ..UntakenWanted::default() };
        assert_eq!(numbers(&store, wanted).await, expected, "after {after}");
    }
    let of = |how| UntakenWanted { how: Some(how), ..all() };
    assert_eq!(numbers(&store, of(refused)).await, [(1, refused), (5, refused)]);
    assert_eq!(numbers(&store, of(rejected)).await, [(4, rejected)]);
    let of_other = UntakenWanted { channel: Some(other), ..all() };
    assert_eq!(numbers(&store, of_other.clone()).await, [(4, rejected)]);
    assert!(numbers(&store, UntakenWanted { how: Some(refused), ..of_other }).await.is_empty());
    let since = |ms| UntakenWanted { since: Some(NOW.plus_ms(ms)), ..all() };
    assert_eq!(numbers(&store, since(4)).await, [(4, rejected), (5, refused)]);
    assert!(numbers(&store, since(6)).await.is_empty());
}

pub(crate) async fn one_of_which_nothing_was_taken_is_found_by_its_id_and_tells_when_its_content_went(
    maker: impl Maker,
) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    keep(&store, untaken(2, Disposition::Refused)).await;
    let exceptions = vec![waits(ExceptionKind::Input, "trap"), waits(ExceptionKind::Input, "another")];
    keep(&store, JournalEntry { exceptions, ..untaken(3, Disposition::Unparsed) }).await;

    assert_eq!(store.untaken_input(input_id(1)).await.unwrap(), None, "its documents were taken");
    let nobody = InputId::derive(&channel(), &SenderId::authenticated("nobody"), super::fixture::content(2));
    assert_eq!(store.untaken_input(nobody).await.unwrap(), None);
    // The bytes of any are found.
    assert_eq!(store.input_content(nobody).await.unwrap(), None);
    for number in 1..=3 {
        let InputContent { channel: by, content, forgotten_at } =
            store.input_content(input_id(number)).await.unwrap().unwrap();
        assert_eq!((by, forgotten_at), (channel(), None), "{number}");
        assert_eq!(store.payload(content).await.unwrap(), b"an input", "{number}");
    }
    let found = store.untaken_input(input_id(2)).await.unwrap().unwrap();
    let UntakenInput { number, id, channel: by, received_at, exception, leaf: bytes, forgotten_at, .. } = &found;
    assert_eq!((*number, *id, by, *received_at), (2, input_id(2), &channel(), NOW.plus_ms(2)));
    assert_eq!((exception, bytes.as_slice(), forgotten_at), (&None, leaf(2).bytes(), &None));
    assert_eq!(store.payload(found.content).await.unwrap(), b"an input");
    assert_eq!(store.untaken_inputs(all()).await.unwrap().first(), Some(&found));

    let unparsed = store.untaken_input(input_id(3)).await.unwrap().unwrap();
    let first = store.exceptions(ALL).await.unwrap().remove(0);
    assert_eq!(unparsed.exception, Some((first.id, "found trap".to_owned())));

    let later = NOW.plus_ms(1_000);
    assert!(store.forget(vec![input_id(2)], later, later, leaf(50)).await.unwrap().is_some());
    let forgotten = store.untaken_input(input_id(2)).await.unwrap().unwrap();
    assert_eq!((forgotten.forgotten_at, forgotten.how), (Some(later), Untaken::Refused));
    assert_eq!(forgotten.leaf, found.leaf);
    assert_eq!(store.input_content(input_id(2)).await.unwrap().unwrap().forgotten_at, Some(later));
    let gone = store.payload(forgotten.content).await;
    assert!(matches!(gone, Err(StoreError::Erased(_) | StoreError::Damaged(_))), "{gone:?}");
}

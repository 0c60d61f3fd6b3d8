//! Accept: inputs, duplicates, positions, refusals, numbers.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::ChannelId;

use super::Maker;
use super::fixture::{
    ALL, NOW, envelope, exception, input, input_id, keep, leaf, leaves, next, observe, reply, sealed, sender,
};
use crate::contract::{Disposition, DocumentPosition, JournalEntry, JournalOutcome, KnownEnvelope};

pub(crate) async fn an_acknowledged_input_is_there_after_a_reopening(maker: impl Maker) {
    let store = maker.open().await;
    assert_eq!(store.reply_to(input_id(1)).await.unwrap(), None);
    assert!(store.input_documents(input_id(1), ALL).await.unwrap().is_empty());
    let outcome = store.journal(input(1, &["PO-1", "PO-2"])).await.unwrap();
    assert!(matches!(outcome, JournalOutcome::Committed { input, documents: 2 } if input == input_id(1)));
    drop(store);

    let store = maker.open().await;
    assert_eq!(store.reply_to(input_id(1)).await.unwrap(), Some(reply("reply to 1")));
    let documents = store.undecided(ALL, &[]).await.unwrap();
    let first = documents.first().unwrap();
    assert_eq!((first.key(), first.index(), first.kind(), first.partner()), ("PO-1", 0, "x12/850", "C-1201"));
    assert_eq!((first.input(), first.sender(), first.received_at()), (input_id(1), &sender(), NOW.plus_ms(1)));
    assert_eq!(first.body(), Ok(b"body of PO-1".as_slice()));
    let views = store.input_documents(input_id(1), ALL).await.unwrap();
    let keys: Vec<_> = views.iter().map(|view| (view.key.as_str(), view.body.as_slice())).collect();
    assert_eq!(keys, [("PO-1", b"body of PO-1".as_slice()), ("PO-2", b"body of PO-2".as_slice())]);
    assert_eq!(leaves(&store).await, [leaf(1).id().short()]);
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.inputs, summary.undecided, summary.unsequenced), (1, 2, 1));
}

pub(crate) async fn the_same_input_again_gets_the_first_reply_and_writes_nothing(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    let before = observe(&store).await;
    let mut again = input(1, &["PO-1"]);
    (again.reply, again.leaf) = (reply("another reply"), leaf(2));
    let outcome = store.journal(again).await.unwrap();
    let JournalOutcome::Duplicate { input: id, reply: first } = outcome else { panic!("{outcome:?}") };
    assert_eq!((id, first), (input_id(1), reply("reply to 1")));
    assert_eq!(observe(&store).await, before);

    // The same bytes of somebody else, or on another channel, are another input.
    let mut elsewhere = input(1, &["PO-1"]);
    (elsewhere.channel, elsewhere.leaf) = (ChannelId::parse("shop").unwrap(), leaf(3));
    keep(&store, elsewhere).await;
    assert_eq!(store.summary().await.unwrap().inputs, 2);
}

pub(crate) async fn of_a_known_envelope_the_first_is_named_and_nothing_is_written(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    let before = observe(&store).await;
    let mut other = input(2, &["PO-2"]);
    other.envelopes = vec![envelope("a new one"), envelope("interchange 1")];
    let outcome = store.journal(other).await.unwrap();
    let JournalOutcome::Known { envelopes } = outcome else { panic!("{outcome:?}") };
    assert_eq!(envelopes, [KnownEnvelope { input: input_id(1), first: envelope("interchange 1") }]);
    assert_eq!(observe(&store).await, before, "the new envelope in it is not known either");
    let mut fresh = input(3, &["PO-2"]);
    fresh.envelopes = vec![envelope("a new one")];
    keep(&store, fresh).await;
}

pub(crate) async fn of_one_input_sent_at_the_same_time_one_is_kept(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    let mut sent = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(if number % 2 == 0 { &one } else { &other });
        let mut entry = input(1, &["PO-1"]);
        entry.leaf = leaf(10 + number);
        sent.spawn(async move { store.journal(entry).await.unwrap() });
    }
    let outcomes = sent.join_all().await;
    let kept = outcomes.iter().filter(|outcome| matches!(outcome, JournalOutcome::Committed { .. })).count();
    let repeated = outcomes.iter().filter(|outcome| matches!(outcome, JournalOutcome::Duplicate { .. })).count();
    assert_eq!((kept, repeated), (1, 7));
    assert_eq!(leaves(&one).await.len(), 1);
}

pub(crate) async fn no_position_appears_below_one_that_was_seen(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    let mut writers = tokio::task::JoinSet::new();
    for number in 1..=32 {
        let store = Arc::clone(if number % 2 == 0 { &one } else { &other });
        let keys: Vec<String> = (0..3).map(|index| format!("PO-{number}-{index}")).collect();
        writers.spawn(async move {
            keep(&store, input(number, &keys.iter().map(String::as_str).collect::<Vec<_>>())).await;
        });
    }
    let mut seen: Vec<(DocumentPosition, String)> = Vec::new();
    while seen.len() < 96 {
        let found = one.undecided(ALL, &[]).await.unwrap();
        let found: Vec<_> = found.iter().map(|document| (document.position(), document.key().to_owned())).collect();
        assert_eq!(found.get(..seen.len()), Some(seen.as_slice()), "what is new stands behind what was seen");
        seen = found;
        tokio::task::yield_now().await;
    }
    writers.join_all().await;
    assert!(seen.is_sorted_by(|(a, _), (b, _)| a < b));
    for input in seen.chunks(3) {
        let (number, _) = input[0].1.rsplit_once('-').unwrap();
        let expected: Vec<_> = (0..3).map(|index| format!("{number}-{index}")).collect();
        assert_eq!(input.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>(), expected, "side by side, in order");
    }
}

pub(crate) async fn a_refusal_is_on_record_once(maker: impl Maker) {
    let store = maker.open().await;
    store.refuse(leaf(1)).await.unwrap();
    store.refuse(leaf(1)).await.unwrap();
    store.refuse(leaf(2)).await.unwrap();
    drop(store);
    let store = maker.open().await;
    assert_eq!(leaves(&store).await, [leaf(1).id().short(), leaf(2).id().short()]);
    assert_eq!(store.summary().await.unwrap().inputs, 0);
}

pub(crate) async fn what_is_refused_is_kept_and_counts_as_none_that_was_taken(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1"])).await;
    let refused = || JournalEntry { disposition: Disposition::Refused, envelopes: Vec::new(), ..input(2, &[]) };
    keep(&store, refused()).await;
    let again = store.journal(refused()).await.unwrap();
    assert!(matches!(again, JournalOutcome::Duplicate { .. }), "{again:?}");
    drop(store);
    let store = maker.open().await;
    let summary = store.summary().await.unwrap();
    assert_eq!((summary.inputs, summary.refused_inputs, summary.rejected_inputs), (1, 1, 0));
    let kept = store.kept_inputs(NOW.plus_ms(10), None, 10).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(store.payload(kept[1].content).await.unwrap(), b"an input");
}

pub(crate) async fn exceptions_are_paged_oldest_first(maker: impl Maker) {
    let store = maker.open().await;
    for number in 1..=5 {
        let mut entry = input(number, &[]);
        entry.payload = sealed(b"not readable", None);
        entry.exceptions = vec![exception(&format!("code-{number}"))];
        keep(&store, entry).await;
    }
    assert!(store.undecided(ALL, &[]).await.unwrap().is_empty());
    let all = store.exceptions(ALL).await.unwrap();
    let mut paged = Vec::new();
    while let Some(last) = {
        let page = store.exceptions_after(paged.last().map_or(0, |last: &crate::contract::ExceptionView| last.id), 2);
        let page = page.await.unwrap();
        let last = page.last().cloned();
        paged.extend(page);
        last
    } {
        assert_eq!(paged.last(), Some(&last));
    }
    assert_eq!(paged, all);
    let codes: Vec<_> = all.iter().map(|exception| exception.code.as_str()).collect();
    assert_eq!(codes, ["code-1", "code-2", "code-3", "code-4", "code-5"]);
    assert_eq!(store.exceptions(2).await.unwrap(), all[..2]);
}

pub(crate) async fn a_number_is_never_given_twice(maker: impl Maker) {
    let mut given = BTreeSet::new();
    for _ in 0..2 {
        let (one, other) = maker.open_two().await;
        let mut leases = tokio::task::JoinSet::new();
        for lease in 0..20 {
            let store = Arc::clone(if lease % 2 == 0 { &one } else { &other });
            leases.spawn(async move { store.lease_numbers("interchange", 7).await.unwrap() });
        }
        for first in leases.join_all().await {
            for number in first..first + 7 {
                assert!(given.insert(number), "{number} was given before");
            }
        }
    }
    assert_eq!((given.first(), given.len()), (Some(&1), 280));
    let store = maker.open().await;
    assert!(store.lease_numbers("interchange", 1).await.unwrap() > 280);
    assert_eq!(store.lease_numbers("group", 1).await.unwrap(), 1, "each range counts by itself");
    keep(&store, input(1, &["PO-1"])).await;
    assert_eq!(next(&store).await.key(), "PO-1");
}

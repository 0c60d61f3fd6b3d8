//! What happened to exceptions, for those who are told of it, and how far they were.

use std::sync::Arc;

use portreeve_model::ExceptionAction;

use super::Maker;
use super::exception::proposed;
use super::fixture::{ALL, NOW, hold_back, leaf, step, waiting};
use crate::contract::{ExceptionChange, Happened, NewStep, NoticePlace, Store};

/// What happened after a place, each as its exception and a word, and the place behind it.
async fn told(store: &Arc<dyn Store>, after: NoticePlace, limit: u32) -> (Vec<String>, NoticePlace) {
    let happened = store.happenings(after, limit).await.unwrap();
    let last = happened.last().map_or(after, |last| last.place);
    let word = |what: &Happened| match what {
        Happened::Opened => "opened".to_owned(),
        Happened::Step { step, who, to, queue } => {
            format!("{step} by {} to {} in {queue}", who.as_deref().unwrap_or("-"), to.as_deref().unwrap_or("-"))
        }
    };
    (happened.iter().map(|one| format!("{} {}", one.exception.id, word(&one.what))).collect(), last)
}

/// Two orders that are held, and steps about both.
async fn story(store: &Arc<dyn Store>) {
    let take = async |exception, at_ms, change, number| {
        let step = step(store, exception, "ada", change, leaf(number)).await;
        store.step_exception(NewStep { at: NOW.plus_ms(at_ms), ..step }).await.unwrap();
    };
    hold_back(store, 1, "PO-1", &["credit-limit"]).await;
    let first = waiting(store, "PO-1").await;
    take(first, 1, ExceptionChange::Claimed, 3).await;
    hold_back(store, 10, "PO-2", &["credit-limit"]).await;
    let second = waiting(store, "PO-2").await;
    take(second, 20, ExceptionChange::Assigned { to: "bob".to_owned() }, 12).await;
    take(first, 5, ExceptionChange::Rerouted { queue: "pricing".to_owned(), due_at: None }, 13).await;
    take(first, 6, proposed(ExceptionAction::Reject, 1), 14).await;
}

const STORY: [&str; 6] = [
    "1 opened",
    "2 opened",
    "1 claimed by ada to - in order-desk",
    "2 assigned by ada to bob in order-desk",
    "1 rerouted by ada to pricing in order-desk",
    "1 proposed by ada to - in pricing",
];

pub(crate) async fn what_happens_is_told_once_in_its_order_page_by_page(maker: impl Maker) {
    let store = maker.open().await;
    let start = NoticePlace::default();
    assert_eq!(told(&store, start, ALL).await, (Vec::new(), start));
    story(&store).await;
    let (all, end) = told(&store, start, ALL).await;
    assert_eq!((all.as_slice(), end), (STORY.map(str::to_owned).as_slice(), NoticePlace { exception: 2, step: 4 }));
    for limit in 1..7 {
        let (mut place, mut pages) = (start, Vec::new());
        loop {
            let (page, behind) = told(&store, place, limit).await;
            if page.is_empty() {
                break;
            }
            pages.extend(page);
            place = behind;
        }
        assert_eq!(pages, all, "pages of {limit}");
    }
    let found = store.happenings(start, 1).await.unwrap().remove(0);
    assert_eq!(found.exception, store.exception(1).await.unwrap().unwrap().exception, "as it is now");
    drop(store);
    assert_eq!(told(&maker.open().await, start, ALL).await, (all, end));
}

pub(crate) async fn a_new_subscriber_hears_of_what_comes_and_one_that_is_gone_begins_anew(maker: impl Maker) {
    let store = maker.open().await;
    let begin = async |subscribers: &[&str]| {
        store.begin_notices(subscribers.iter().map(|one| (*one).to_owned()).collect()).await.unwrap();
    };
    begin(&["early"]).await;
    story(&store).await;
    begin(&["early", "late"]).await;
    let (start, end) = (Some(NoticePlace::default()), Some(NoticePlace { exception: 2, step: 4 }));
    let places = async || (store.notice_place("early").await.unwrap(), store.notice_place("late").await.unwrap());
    assert_eq!(places().await, (start, end));
    begin(&["late"]).await;
    assert_eq!(places().await, (None, end));
    begin(&["late", "early"]).await;
    assert_eq!(places().await, (end, end), "it missed what happened while it was gone");
}

pub(crate) async fn of_two_who_move_a_subscriber_one_does(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    one.begin_notices(vec!["desk".to_owned()]).await.unwrap();
    story(&one).await;
    let place = |exception, step| NoticePlace { exception, step };
    assert!(one.move_notices("desk", place(0, 0), place(1, 0)).await.unwrap());
    assert!(!other.move_notices("desk", place(0, 0), place(2, 0)).await.unwrap(), "it is elsewhere");
    assert!(other.move_notices("desk", place(0, 0), place(1, 0)).await.unwrap(), "it is there already");
    assert!(!one.move_notices("nobody", place(0, 0), place(1, 0)).await.unwrap());
    assert_eq!(other.notice_place("desk").await.unwrap(), Some(place(1, 0)));
}

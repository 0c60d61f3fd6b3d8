//! Credit: what releases take of accounts, what gives it back, and the limit that holds.

use std::sync::Arc;

use portreeve_model::reference::{CREDIT_TABLE, Field, FieldValue, Row};
use portreeve_model::{Currency, Digest, Instant, Money};
use portreeve_record::leaf::{Code, ExceptionLeaf};
use portreeve_record::{Leaf, LeafBody};

use super::Maker;
use super::fixture::{
    self, ALL, LEASE_MS, NOW, about_order, account, applied, ask_to_cancel, claim, cleared, commit, dead, hold_back,
    input, input_id, keep, kept_back, leaf, lease, leaves, next, observe, order_id, order_in, released, retry, usd,
};
use crate::contract::{
    CreditQuery, CreditReservation, DecisionCommit, NewReview, OrderEventKind, OrderState, Room, SUM_MINOR_MAX,
    Settlement, Store, StoreError,
};
use crate::proof::Journaled;

/// So many absurd amounts that they do not fit a number of the machine.
const ABSURD_ORDERS: u64 = 1_030;

/// What a release takes of the account, up to so much, by figures of the beginning.
pub(crate) fn credit(minor: i64, most_minor: Option<i64>) -> CreditReservation {
    CreditReservation { account: account(), amount: usd(minor), most_minor, since: NOW }
}

/// A decision that releases an order and takes 100 of the account.
fn taking(document: Journaled, most_minor: Option<i64>, leaf: Leaf) -> DecisionCommit {
    let mut decision = released(document, &[("erp", "first")], leaf);
    order_in(&mut decision).credit = Some(credit(100, most_minor));
    decision
}

/// Takes in one order that takes 100 of the account; two leaves, from a number on.
async fn take(store: &Arc<dyn Store>, number: u64, key: &str, kinds: &[&str]) {
    keep(store, input(number, &[key])).await;
    let effects: Vec<_> = kinds.iter().map(|kind| ("erp", *kind)).collect();
    let mut decision = released(next(store).await, &effects, leaf(number + 1));
    order_in(&mut decision).credit = Some(credit(100, Some(100_000)));
    commit(store, decision).await.unwrap();
}

/// Begins what is due, and ends it so; two leaves, from a number on.
async fn attempt(store: &Arc<dyn Store>, number: u64, settlement: Settlement, after_ms: i64) {
    let permit = claim(store, after_ms).await.remove(0);
    let attempt = store.begin_attempt(permit, lease(after_ms), leaf(number)).await.unwrap();
    store.settle(attempt, settlement, NOW.plus_ms(after_ms), leaf(number + 1)).await.unwrap();
}

/// Gives up the delivery that died first.
async fn abandon(store: &Arc<dyn Store>, number: u64) {
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    fixture::abandon(store, letter.exception, NOW, leaf(number)).await.unwrap();
}

/// What counts of the account by figures of some time after the beginning.
pub(crate) async fn reserved(store: &Arc<dyn Store>, after_ms: i64) -> i64 {
    let query = CreditQuery { account: account(), currency: usd(0).currency, since: NOW.plus_ms(after_ms) };
    store.credit_reserved(vec![query]).await.unwrap().remove(0)
}

pub(crate) async fn of_releases_weighed_at_the_same_time_those_beyond_the_limit_fail(maker: impl Maker) {
    let store = maker.open().await;
    keep(&store, input(1, &["PO-1", "PO-2", "PO-3", "PO-4", "PO-5"])).await;
    keep(&store, input(2, &["PO-3-cancelled"])).await;
    // Each was decided by the same figures, which have room for two of them.
    let mut decisions = Vec::new();
    for (document, number) in store.undecided(ALL, &[]).await.unwrap().into_iter().zip(3..) {
        decisions.push(match document.key() {
            "PO-3-cancelled" => about_order(document, "PO-3", OrderEventKind::CancelRequested, leaf(number)),
            _ => taking(document, Some(200), leaf(number)),
        });
    }
    order_in(&mut decisions[3]).credit.as_mut().unwrap().account = Digest::of(b"another");
    order_in(&mut decisions[4]).credit = None;
    let committed = store.commit_decisions(decisions).await.unwrap();
    let [Ok(_), Ok(_), Err(StoreError::CreditSpent), Ok(_), Ok(_), Err(StoreError::OrderWaits { order })] =
        &committed[..]
    else {
        panic!("{committed:?}")
    };
    assert_eq!(*order, order_id("PO-3"));
    assert_eq!(reserved(&store, 0).await, 200, "what was not committed took nothing");
    assert_eq!(leaves(&store).await, [1, 2, 3, 4, 6, 7].map(|number| leaf(number).id().short()));
    let left = store.undecided(ALL, &[]).await.unwrap();
    assert_eq!(left.iter().map(Journaled::key).collect::<Vec<_>>(), ["PO-3", "PO-3-cancelled"]);
    assert_eq!(claim(&store, 0).await.len(), 4, "its neighbours are on their way");

    // It is made again with what is left, and to the last bit fits.
    let before = observe(&store).await;
    let spent = commit(&store, taking(next(&store).await, Some(299), leaf(11))).await;
    assert!(matches!(spent, Err(StoreError::CreditSpent)), "{spent:?}");
    assert_eq!(observe(&store).await, before);
    let (first, second) = (next(&store).await, next(&store).await);
    commit(&store, taking(first, Some(300), leaf(12))).await.unwrap();
    // The same decision once more is none, and takes nothing.
    commit(&store, taking(second, Some(300), leaf(13))).await.unwrap();
    assert_eq!(reserved(&store, 0).await, 300);
}

pub(crate) async fn no_review_passes_a_limit_whoever_was_released_meanwhile(maker: impl Maker) {
    let (one, other) = maker.open_two().await;
    let first = hold_back(&one, 1, "PO-1", &["credit-limit"]).await;
    let second = hold_back(&one, 11, "PO-2", &["credit-limit"]).await;
    assert_eq!(reserved(&one, 0).await, 0, "what is kept back takes nothing");
    let review = |found, number| NewReview { credit: Some(credit(100, Some(150))), ..cleared(found, leaf(number)) };
    let results = tokio::join!(
        one.commit_review(review(&first, 21)),
        other.commit_review(review(&second, 22)),
        one.journal(input(31, &["PO-3"])),
    );
    let spent = match &results {
        (Ok(()), Err(StoreError::CreditSpent), Ok(_)) => "PO-2",
        (Err(StoreError::CreditSpent), Ok(()), Ok(_)) => "PO-1",
        both => panic!("one of two passes, and their neighbour with it: {both:?}"),
    };
    assert_eq!((reserved(&one, 0).await, leaves(&one).await.len()), (100, 6));
    let left = kept_back(&one, spent).await;
    assert_eq!((left.state, left.open_holds().count()), (OrderState::Held, 1));
    let trail = one.order_trail(left.id).await.unwrap().unwrap();
    assert_eq!((trail.reviews.len(), trail.leaves.len()), (0, 2));
    assert_eq!(claim(&one, 0).await.len(), 1);
    // A decision and a review take from the same account.
    let decision = taking(next(&one).await, Some(199), leaf(32));
    assert!(matches!(commit(&one, decision).await, Err(StoreError::CreditSpent)));
    // Made again, with what is left.
    let again = NewReview { credit: Some(credit(50, Some(150))), ..cleared(&left, leaf(41)) };
    other.commit_review(again).await.unwrap();
    assert_eq!(reserved(&one, 0).await, 150);
}

pub(crate) async fn what_one_took_counts_from_its_minute_on_and_what_none_took_always(maker: impl Maker) {
    let store = maker.open().await;
    take(&store, 1, "PO-1", &["first"]).await;
    let minute = Instant::MINUTE_MS;
    let all_times = [-1, 0, minute, 2 * minute - 1, 2 * minute, 400 * Instant::DAY_MS];
    for since in all_times {
        assert_eq!(reserved(&store, since).await, 100, "no target took it, whatever {since} is");
    }
    attempt(&store, 3, applied(), 2 * minute - 1).await;
    drop(store);
    let store = maker.open().await;
    let taken = [100, 100, 100, 100, 0, 0];
    for (since, expected) in all_times.into_iter().zip(taken) {
        assert_eq!(reserved(&store, since).await, expected, "{since}");
    }
    // What one took and what none took add up, and answers are in the order of the questions.
    take(&store, 11, "PO-2", &["first"]).await;
    let query = |since: i64| CreditQuery { account: account(), currency: usd(0).currency, since: NOW.plus_ms(since) };
    assert_eq!(store.credit_reserved(all_times.map(query).to_vec()).await.unwrap(), taken.map(|taken| taken + 100));
    assert_eq!(store.credit_reserved(Vec::new()).await.unwrap(), Vec::<i64>::new());
    // So a limit is of what the figures of its time do not know.
    keep(&store, input(21, &["PO-3"])).await;
    let by_old_figures = taking(next(&store).await, Some(200), leaf(22));
    assert!(matches!(commit(&store, by_old_figures).await, Err(StoreError::CreditSpent)));
    let mut by_new_figures = taking(next(&store).await, Some(200), leaf(22));
    order_in(&mut by_new_figures).credit.as_mut().unwrap().since = NOW.plus_ms(2 * minute);
    commit(&store, by_new_figures).await.unwrap();
    // Forgetting inputs changes nothing of it.
    let (before, at) = (NOW.plus_ms(Instant::DAY_MS), NOW.plus_ms(Instant::DAY_MS));
    store.forget(vec![input_id(1)], before, at, leaf(31)).await.unwrap().unwrap();
    assert_eq!((reserved(&store, 0).await, reserved(&store, 2 * minute).await), (300, 200));
}

pub(crate) async fn who_goes_to_no_target_any_more_gives_back_what_it_took(maker: impl Maker) {
    let store = maker.open().await;
    let since = NOW.plus_ms(100 * Instant::DAY_MS).0 - NOW.0;
    // A dead letter may be sent again; given up it is not.
    take(&store, 1, "PO-1", &["first"]).await;
    attempt(&store, 11, dead(true), 0).await;
    assert_eq!(reserved(&store, since).await, 100);
    let letter = store.dead_letters(0, ALL).await.unwrap().remove(0);
    fixture::replay(&store, letter.exception, NOW, leaf(13)).await.unwrap();
    let permit = claim(&store, 0).await.remove(0);
    store.settle_unattempted(permit, dead(true), NOW, leaf(14)).await.unwrap();
    assert_eq!(reserved(&store, since).await, 100);
    abandon(&store, 15).await;
    assert_eq!(reserved(&store, 0).await, 0);
    // Withheld at once.
    take(&store, 101, "PO-2", &["first"]).await;
    assert_eq!(reserved(&store, since).await, 100);
    ask_to_cancel(&store, 111, "PO-2").await;
    assert_eq!(reserved(&store, 0).await, 0);
    // Withheld while it was under way: it counts until the target says that it has nothing.
    take(&store, 201, "PO-3", &["first"]).await;
    let permit = claim(&store, 0).await.remove(0);
    let under_way = store.begin_attempt(permit, lease(0), leaf(203)).await.unwrap();
    ask_to_cancel(&store, 211, "PO-3").await;
    assert_eq!(reserved(&store, since).await, 100);
    let unknown = Settlement::Unknown { due_at: NOW, code: "unknown".to_owned() };
    store.settle(under_way, unknown, NOW, leaf(213)).await.unwrap();
    assert_eq!(reserved(&store, since).await, 100);
    let permit = claim(&store, 0).await.remove(0);
    store.settle_unattempted(permit, Settlement::Absent, NOW, leaf(214)).await.unwrap();
    assert_eq!(reserved(&store, 0).await, 0);
    // Or that it has it: delivered in spite of the request.
    take(&store, 301, "PO-4", &["first"]).await;
    let permit = claim(&store, 0).await.remove(0);
    let under_way = store.begin_attempt(permit, lease(0), leaf(303)).await.unwrap();
    ask_to_cancel(&store, 311, "PO-4").await;
    store.settle(under_way, applied(), NOW, leaf(313)).await.unwrap();
    assert_eq!((reserved(&store, 0).await, reserved(&store, since).await), (100, 0), "it is in the next figures");
    // What is tried again takes nothing more and gives nothing back.
    take(&store, 401, "PO-5", &["first"]).await;
    attempt(&store, 411, retry(0), 0).await;
    assert_eq!((reserved(&store, 0).await, reserved(&store, since).await), (200, 100));
}

pub(crate) async fn an_order_with_several_deliveries_counts_until_none_of_them_can_happen(maker: impl Maker) {
    let store = maker.open().await;
    let since = 100 * Instant::DAY_MS;
    // Of two that are given up the last one gives back.
    take(&store, 1, "PO-1", &["first", "second"]).await;
    attempt(&store, 11, dead(true), 0).await;
    abandon(&store, 13).await;
    assert_eq!(reserved(&store, since).await, 100, "the second may still arrive");
    attempt(&store, 14, dead(true), 0).await;
    abandon(&store, 16).await;
    assert_eq!(reserved(&store, 0).await, 0);
    // One arrives after the other was given up.
    take(&store, 101, "PO-2", &["first", "second"]).await;
    attempt(&store, 111, dead(false), 0).await;
    abandon(&store, 113).await;
    attempt(&store, 114, applied(), 0).await;
    assert_eq!((reserved(&store, 0).await, reserved(&store, since).await), (100, 0));
    // One arrives before the other is given up, and the order counts once, from the first.
    take(&store, 201, "PO-3", &["first", "second", "third"]).await;
    attempt(&store, 211, applied(), 0).await;
    attempt(&store, 213, applied(), Instant::MINUTE_MS).await;
    attempt(&store, 215, dead(true), Instant::MINUTE_MS).await;
    abandon(&store, 217).await;
    assert_eq!((reserved(&store, 0).await, reserved(&store, Instant::MINUTE_MS).await), (200, 0));
    // One arrives in spite of a request to cancel, which withholds the other.
    take(&store, 301, "PO-4", &["first", "second"]).await;
    let permit = claim(&store, 0).await.remove(0);
    let under_way = store.begin_attempt(permit, lease(0), leaf(303)).await.unwrap();
    ask_to_cancel(&store, 311, "PO-4").await;
    store.settle(under_way, applied(), NOW, leaf(313)).await.unwrap();
    assert_eq!(kept_back(&store, "PO-4").await.state, OrderState::Held);
    assert_eq!((reserved(&store, 0).await, reserved(&store, since).await), (300, 0), "what arrived is owed");
    // One is dead when a request to cancel withholds the other.
    take(&store, 401, "PO-5", &["first", "second"]).await;
    attempt(&store, 411, dead(false), 0).await;
    ask_to_cancel(&store, 421, "PO-5").await;
    abandon(&store, 423).await;
    assert_eq!((reserved(&store, 0).await, reserved(&store, since).await), (300, 0));
}

pub(crate) async fn amounts_of_another_account_or_in_another_currency_do_not_count(maker: impl Maker) {
    let store = maker.open().await;
    let euro = Currency::parse("EUR").unwrap();
    let another = CreditReservation { account: Digest::of(b"another"), ..credit(70, None) };
    let in_euro = CreditReservation { amount: Money { minor: 9, currency: euro }, ..credit(0, None) };
    // Below nothing is no room for others.
    let below_nothing = credit(-1_000, Some(100));
    for (number, credit) in (1..).step_by(10).zip([credit(100, None), another, in_euro, below_nothing]) {
        keep(&store, input(number, &[&format!("PO-{number}")])).await;
        let mut decision = released(next(&store).await, &[("erp", "first")], leaf(number + 1));
        order_in(&mut decision).credit = Some(credit);
        commit(&store, decision).await.unwrap();
    }
    let query = |account: Digest, currency| CreditQuery { account, currency, since: NOW };
    let (own, another, usd) = (account(), Digest::of(b"another"), usd(0).currency);
    let queries = || {
        vec![query(another, euro), query(another, usd), query(own, euro), query(own, usd), query(Digest::of(b""), usd)]
    };
    assert_eq!(store.credit_reserved(queries()).await.unwrap(), [0, 70, 9, 100, 0]);
    for (permit, number) in claim(&store, 0).await.into_iter().zip(51..) {
        store.settle_unattempted(permit, applied(), NOW, leaf(number)).await.unwrap();
    }
    assert_eq!(store.credit_reserved(queries()).await.unwrap(), [0, 70, 9, 100, 0], "nor when they were taken");
}

/// Loads a table that says nothing of times, by a clock that says so many minutes after the
/// beginning.
async fn load_at(store: &Arc<dyn Store>, number: u64, minutes: i64) {
    load_rows_at(store, number, minutes, "stock", Vec::new()).await;
}

/// Loads figures by such a clock, as of so many minutes after the beginning.
async fn load_figures_at(store: &Arc<dyn Store>, number: u64, minutes: i64, as_of: &[i64]) {
    let figures = as_of.iter().map(|minutes| {
        let as_of = FieldValue::Text(NOW.plus_ms(minutes * Instant::MINUTE_MS).to_string());
        (format!("as of {minutes}"), Row(vec![Field { name: "as-of".to_owned(), value: as_of }]))
    });
    load_rows_at(store, number, minutes, CREDIT_TABLE, figures.collect()).await;
}

async fn load_rows_at(store: &Arc<dyn Store>, number: u64, minutes: i64, table: &str, rows: Vec<(String, Row)>) {
    let code = Code::of("test");
    let body = ExceptionLeaf::of(number, code.clone(), code);
    let at = NOW.plus_ms(minutes * Instant::MINUTE_MS);
    let leaf = Leaf::new("host-1", at, LeafBody::Exception(body)).unwrap();
    store.load_reference(table, rows, leaf).await.unwrap();
}

/// An order that takes 100 and is taken over when the clock says so; four leaves.
async fn deliver_at(store: &Arc<dyn Store>, number: u64, minutes: i64) {
    take(store, number, &format!("PO-{number}"), &["first"]).await;
    let permit = claim(store, 0).await.remove(0);
    let at = NOW.plus_ms(minutes * Instant::MINUTE_MS);
    store.settle_unattempted(permit, applied(), at, leaf(number + 2)).await.unwrap();
}

pub(crate) async fn what_a_wrong_clock_says_of_a_delivery_counts_until_a_right_one_loads_figures(maker: impl Maker) {
    let store = maker.open().await;
    let minute = Instant::MINUTE_MS;
    let counts =
        async |since: [i64; 2]| [reserved(&store, since[0] * minute).await, reserved(&store, since[1] * minute).await];
    take(&store, 1, "PO-1", &["first"]).await;
    keep(&store, input(11, &["PO-2"])).await;
    let mut decision = released(next(&store).await, &[], leaf(12));
    decision.at = NOW.plus_ms(10 * minute);
    commit(&store, decision).await.unwrap();
    // The clock was set back: nobody knows when it was.
    let permit = claim(&store, 0).await.remove(0);
    store.settle_unattempted(permit, applied(), NOW.plus_ms(-5 * minute), leaf(13)).await.unwrap();
    assert_eq!(counts([11, 1_000_000]).await, [100, 100]);
    load_figures_at(&store, 14, 5, &[5]).await;
    assert_eq!(counts([11, 1_000_000]).await, [100, 100], "this clock is wrong as well");
    load_at(&store, 15, 30).await;
    assert_eq!(counts([30, 1_000_000]).await, [100, 100], "what is in stock says nothing of it");
    load_figures_at(&store, 16, 30, &[30]).await;
    assert_eq!(counts([30, 31]).await, [100, 0], "it was before this");
    // Nor does it know of one that was before its own release, where a review did that.
    let found = hold_back(&store, 21, "PO-3", &["credit-limit"]).await;
    let at = NOW.plus_ms(50 * minute);
    let review = NewReview { credit: Some(credit(100, None)), at, ..cleared(&found, leaf(23)) };
    store.commit_review(review).await.unwrap();
    let permit = claim(&store, 50 * minute).await.remove(0);
    store.settle_unattempted(permit, applied(), NOW.plus_ms(40 * minute), leaf(24)).await.unwrap();
    assert_eq!(counts([51, 1_000_000]).await, [100, 100]);
    load_figures_at(&store, 25, 60, &[60]).await;
    // The clock had gone ahead by more than a day, and is right again: it holds nothing up.
    let ahead = 10 * 24 * 60;
    take(&store, 31, "PO-4", &["first"]).await;
    let permit = claim(&store, 50 * minute).await.remove(0);
    store.settle_unattempted(permit, applied(), NOW.plus_ms(ahead * minute), leaf(33)).await.unwrap();
    load_figures_at(&store, 34, ahead, &[ahead]).await;
    assert_eq!(counts([61, ahead]).await, [100, 100]);
    load_figures_at(&store, 35, 70, &[70]).await;
    assert_eq!(counts([70, 71]).await, [100, 0]);
}

pub(crate) async fn figures_from_ahead_of_the_clock_make_count_what_it_said_since_those_before(maker: impl Maker) {
    let store = maker.open().await;
    let counts = async |since: i64| reserved(&store, since * Instant::MINUTE_MS).await;
    let day = 24 * 60;
    // The first was taken over two days ago, the others at times that the clock says.
    for (number, at) in [(1, -2 * day), (11, 0), (21, 9)] {
        deliver_at(&store, number, at).await;
    }
    // Clocks differ by a few minutes, and figures that are older say nothing about this one.
    load_figures_at(&store, 31, 5, &[-day, 10]).await;
    assert_eq!([counts(-2 * day).await, counts(0).await, counts(1).await, counts(10).await], [300, 200, 100, 0]);
    // Such as are ahead say that it is behind: whenever it was, it was not at that minute. The one
    // before was in the figures before, and a row that is days ahead hides no other one.
    load_figures_at(&store, 32, 10, &[-day, 16, 3 * day]).await;
    assert_eq!([counts(-2 * day).await, counts(0).await, counts(1_000_000).await], [300, 200, 100]);
    // So does what is taken over while it is still behind those, and no other table ends that.
    deliver_at(&store, 41, 10).await;
    load_at(&store, 44, 10).await;
    load_figures_at(&store, 45, 10, &[16]).await;
    assert_eq!(counts(1_000_000).await, 200, "the same figures know no more than they did");
    // Later ones, from ahead as well, know what was before those were loaded.
    deliver_at(&store, 51, 30).await;
    load_figures_at(&store, 54, 40, &[70]).await;
    assert_eq!([counts(64).await, counts(1_000_000).await], [100, 100]);
    // Set right, or ahead of them by itself, it says when.
    load_figures_at(&store, 61, 80, &[80]).await;
    assert_eq!([counts(80).await, counts(81).await], [100, 0]);
}

pub(crate) async fn a_clock_of_finance_that_is_always_ahead_holds_nothing_up(maker: impl Maker) {
    let store = maker.open().await;
    // Every hour a delivery, figures from eight minutes ahead, and another table in between.
    let mut most = 0;
    for hour in 0..60_i64 {
        let number = 100 * (u64::try_from(hour).unwrap() + 1);
        deliver_at(&store, number, 60 * hour + 20).await;
        load_at(&store, number + 10, 60 * hour + 30).await;
        load_figures_at(&store, number + 11, 60 * hour + 50, &[60 * hour + 58]).await;
        most = most.max(reserved(&store, (60 * hour + 53) * Instant::MINUTE_MS).await);
    }
    assert_eq!(most, 100, "what was delivered since the figures before, and nothing older");
}

pub(crate) async fn figures_that_are_set_right_end_what_wrong_ones_began(maker: impl Maker) {
    let store = maker.open().await;
    let counts = async |since: i64| reserved(&store, since * Instant::MINUTE_MS).await;
    load_figures_at(&store, 1, 0, &[0, 20 * 60]).await;
    deliver_at(&store, 11, 5).await;
    assert_eq!(counts(1_000_000).await, 100, "the clock is taken to be behind");
    load_figures_at(&store, 21, 15, &[15]).await;
    assert_eq!([counts(15).await, counts(16).await], [100, 0]);
    deliver_at(&store, 31, 20).await;
    assert_eq!([counts(20).await, counts(21).await], [100, 0], "it is believed again");
}

pub(crate) async fn what_a_person_answers_for_passes_and_counts_all_the_same(maker: impl Maker) {
    let store = maker.open().await;
    take(&store, 1, "PO-1", &["first"]).await;
    let found = hold_back(&store, 11, "PO-2", &["credit-limit"]).await;
    let beyond = || Some(credit(1_000, Some(100)));
    let refused = store.commit_review(NewReview { credit: beyond(), ..cleared(&found, leaf(21)) }).await;
    assert!(matches!(refused, Err(StoreError::CreditSpent)), "{refused:?}");
    let answered =
        NewReview { credit: Some(credit(1_000, None)), who: Some("ada".to_owned()), ..cleared(&found, leaf(21)) };
    store.commit_review(answered).await.unwrap();
    assert_eq!(reserved(&store, 0).await, 1_100);
    keep(&store, input(31, &["PO-3"])).await;
    let spent = commit(&store, taking(next(&store).await, Some(1_000), leaf(32))).await;
    assert!(matches!(spent, Err(StoreError::CreditSpent)), "others find less: {spent:?}");
    commit(&store, taking(next(&store).await, None, leaf(32))).await.unwrap();
    assert_eq!(reserved(&store, 0).await, 1_200);
}

pub(crate) async fn sums_of_absurd_amounts_stop_and_fail_nobody(maker: impl Maker) {
    let store = maker.open().await;
    let keys: Vec<String> = (0..ABSURD_ORDERS).map(|number| format!("PO-{number}")).collect();
    keep(&store, input(1, &keys.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let mut decisions = Vec::new();
    let limit = u32::try_from(ABSURD_ORDERS).unwrap();
    for (document, number) in store.undecided(limit, &[]).await.unwrap().into_iter().zip(2..) {
        let mut decision = taking(document, None, leaf(number));
        order_in(&mut decision).credit = Some(credit(i64::MAX, None));
        decisions.push(decision);
    }
    let committed = store.commit_decisions(decisions).await.unwrap();
    assert_eq!(committed.iter().filter(|result| result.is_ok()).count(), keys.len());
    assert_eq!(reserved(&store, 0).await, SUM_MINOR_MAX);
    // The next one fails for want of credit, and for nothing else.
    keep(&store, input(9_001, &["PO-NEXT"])).await;
    let spent = commit(&store, taking(next(&store).await, Some(SUM_MINOR_MAX - 1), leaf(9_002))).await;
    assert!(matches!(spent, Err(StoreError::CreditSpent)), "{spent:?}");
    commit(&store, taking(next(&store).await, None, leaf(9_002))).await.unwrap();

    let mut permits = store.claim(NOW, NOW.plus_ms(LEASE_MS), limit, Room::default()).await.unwrap();
    let last = permits.pop().unwrap();
    let mut settled = tokio::task::JoinSet::new();
    for (permit, number) in permits.into_iter().zip(10_001..) {
        let store = Arc::clone(&store);
        // Over two minutes, so that both a minute's sum and the sum of minutes are beyond.
        let at = NOW.plus_ms(if number % 2 == 0 { 0 } else { Instant::MINUTE_MS });
        settled.spawn(async move { store.settle_unattempted(permit, applied(), at, leaf(number)).await.map(|_| ()) });
    }
    settled.join_all().await.into_iter().for_each(Result::unwrap);
    store.settle_unattempted(last, dead(false), NOW, leaf(9_003)).await.unwrap();
    assert_eq!((reserved(&store, 0).await, reserved(&store, Instant::MINUTE_MS).await), (SUM_MINOR_MAX, SUM_MINOR_MAX));
    // What was taken is out of the sum, and what came at its end is at most what it is.
    let left = reserved(&store, 2 * Instant::MINUTE_MS).await;
    assert!((0..=100).contains(&left), "{left}");
    abandon(&store, 9_004).await;
    assert_eq!(reserved(&store, 2 * Instant::MINUTE_MS).await, 0);
}

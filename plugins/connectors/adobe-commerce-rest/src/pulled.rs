//! Orders and returns that the shop has and perhaps never told: those that changed, or were asked
//! for, since it was asked last.
//!
//! ```text
//! GET V1/orders?searchCriteria[filter_groups][0][filters][0]  updated_at gteq FROM
//!              &searchCriteria[sortOrders]                    updated_at, entity_id ascending
//!              &searchCriteria[pageSize]=50&searchCriteria[currentPage]=1
//! GET V1/returns?…                                            the same by date_requested, see `returns`
//! ```
//!
//! A webhook that was lost is heard of by nobody, so they are fetched, as the documents that
//! the webhook makes of them: of what came already the host knows the business key. Each list has a
//! poll of its own.
//!
//! The dangers are an order that is passed over and one that is told for ever. Pages are counted from
//! the beginning, and an order that changes meanwhile moves to the end, so that another one slips to
//! the page before: the next page is not asked for by its number but from the time on that the last
//! one ended at. Only of orders that changed in one second there are pages by number, up to
//! `total_count`: whoever asks behind the last page gets the last one again. What slips through
//! there, and what commits behind what was seen, comes with the next poll, since each asks for the
//! last minutes once more (`poll-overlap-seconds`); the cursor has what it saw there:
//!
//! ```text
//! am1 1772438400                 FROM, seconds since 1970
//! 300101 1772438460              what was told with a time from there on
//! ```
//!
//! An order without a number or a time is told once too, by a number that is made of what names it
//! otherwise, or of its bytes: told each time, it would end each poll at its page, and what is behind
//! that would never be read. Nobody knows when it changes, so that number is remembered for good, with
//! the time 0. Where a cursor is full of those, a poll fails: people see to them in the shop and set
//! `poll-since` to after them, from when on each of them may be told once more.
//!
//! Where `poll-since` is later than FROM, that is where the next poll begins.
//!
//! An order that was placed before `poll-since` is none of the host's, however late it changes: it
//! was dealt with otherwise. One that is over in the shop (complete, closed) needs nothing
//! any more; one of any other state, or of none, does, as where the webhook tells it. One that is
//! cancelled is told with a key of its own, so that it is heard of an order that came before, and of
//! one that never came a person hears. One of which
//! something left already is of a kind of its own, `adobe/order-begun`: where the host has it, that
//! is its own doing, and where not, somebody else began, and a person has to look before anything of
//! it is sent a second time.
//!
//! Settings: `poll` (`orders` unless set, or `returns`), `poll-since`, `poll-page` (50 unless set),
//! `poll-overlap-seconds` (300 unless set).
//! Sources: Adobe's "Search using REST endpoints", "Orders" and "Returns"; times are UTC.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_guest_adobe::{CANCELED, document};
use portreeve_guest_json::moment;
use portreeve_guest_rest::{FOR_GOOD, Since, TooMany, whole_number};
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::returns;
use crate::shop::{Shop, search, unreadable};

/// The kind of an order of which something left.
const BEGUN: &str = "adobe/order-begun";

/// What was told that a cursor remembers. The host keeps 64 KiB of one, and an entry has 32 bytes.
const TOLD_MAX: usize = 1_800;

/// Pages of one poll.
const PAGES_MAX: usize = 20;

/// Orders of a page, unless set, and at most: one of many items has 20 KB, and a page 2 MiB.
const PAGE: i64 = 50;
const PAGE_MAX: i64 = 100;

/// How far back is asked again, unless set, and at most.
const OVERLAP_S: i64 = 300;
const OVERLAP_S_MAX: i64 = 86_400;

/// How far what is nobody's may move on before the cursor does: a cursor that moves is a record.
const UNTOLD_S: i64 = 3_600;

/// States in which an order needs nobody any more. Those are listed, and not the others: a state that
/// nobody here knows is no reason to pass an order over without a word.
const OVER: [&str; 2] = ["complete", "closed"];

/// What no number of an order has: the numbers that are made of what names one otherwise begin with it.
const UNNAMED: u64 = 1 << 63;

/// Members that name an order where its number or a time of it is missing, the surest first.
const NAMES: [&str; 3] = ["entity_id", "increment_id", "quote_id"];

/// What the shop is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Orders,
    Returns,
}

impl List {
    /// # Errors
    /// When the setting is neither.
    fn of(settings: &[Setting]) -> Result<Self, Failure> {
        match setting(settings, "poll") {
            None | Some("orders") => Ok(Self::Orders),
            Some("returns") => Ok(Self::Returns),
            Some(_) => {
                Err(Failure::permanent("setting `poll` is neither `orders` nor `returns`; write one of them, or none"))
            }
        }
    }

    /// Where it is, and how people call what it has.
    fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Returns => "returns",
        }
    }

    /// The time that it is asked and sorted by.
    fn time(self) -> &'static str {
        match self {
            Self::Orders => "updated_at",
            Self::Returns => "date_requested",
        }
    }

    /// The first word of its cursors: one list's is none of the other's.
    fn version(self) -> &'static str {
        match self {
            Self::Orders => "am1",
            Self::Returns => "ar1",
        }
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
    total_count: i64,
}

/// What is looked at of an order here.
#[derive(Deserialize)]
struct Looked {
    entity_id: Option<u64>,
    created_at: Option<String>,
    updated_at: Option<String>,
    state: Option<String>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    qty_shipped: Option<Quantity>,
}

/// The shop writes numbers as numbers or as texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Quantity {
    Number(f64),
    Text(String),
}

impl Quantity {
    /// Anything but a zero: what cannot be read is not taken for nothing.
    fn is_something(&self) -> bool {
        match self {
            Self::Number(number) => *number != 0.0,
            Self::Text(text) => text.parse::<f64>() != Ok(0.0),
        }
    }
}

/// Where the last poll stopped: by the shop's number of an order or a return, in seconds.
pub(crate) type Cursor = Since<u64>;

/// What one poll found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) documents: Vec<Document>,
    pub(crate) problems: Vec<Problem>,
    /// What was told now without a number or a time.
    unnamed: BTreeSet<u64>,
    /// The newest time.
    high_s: Option<i64>,
}

impl Found {
    /// Nothing names it, or says its time: it is told once.
    pub(crate) fn tell_unnamed(&mut self, found: &RawValue, index: usize, cursor: &Cursor, wanted: &str) {
        let name = named_otherwise(found.get());
        if cursor.has_told(&name) || !self.unnamed.insert(name) {
            return;
        }
        let message = format!("found no {wanted}; expected all of them");
        self.problems.push(Problem::new("order-unnamed", message, format!("items[{index}]")));
    }

    /// The list goes on with what has this time.
    ///
    /// # Errors
    /// When it goes back: what is behind its end would be passed over.
    pub(crate) fn goes_on(&mut self, at_s: i64) -> Result<(), Failure> {
        if self.high_s.is_some_and(|high_s| at_s < high_s) {
            return Err(Failure::permanent("the shop lists in another order than by the time that was asked for"));
        }
        self.high_s = Some(at_s);
        Ok(())
    }
}

/// Fetches what changed since.
pub(crate) fn poll(request: &PollRequest) -> Result<Polled, Failure> {
    let settings = request.settings.as_slice();
    let list = List::of(settings)?;
    let since_s = since(settings)?;
    let overlap_s = whole_number(settings, "poll-overlap-seconds", OVERLAP_S, OVERLAP_S_MAX)?;
    let size = whole_number(settings, "poll-page", PAGE, PAGE_MAX)?;
    let mut cursor = match &request.cursor {
        Some(bytes) => Cursor::read(bytes, list.version(), entry)?.not_before(since_s),
        None => Cursor::beginning(since_s),
    };
    let (shop, mut found) = (Shop::of(settings)?, Found::default());
    let (mut from_s, mut number, mut is_end) = (cursor.from(), 1, false);
    for _ in 0..PAGES_MAX {
        let body = shop.get(&listed(list, from_s, size, number)?)?;
        let page: Page<'_> =
            serde_json::from_slice(&body).map_err(|_| unreadable(&format!("list of {}", list.name())))?;
        let items = page.items.unwrap_or_default();
        is_end = i64::try_from(items.len()).is_ok_and(|found| found < size)
            || number.saturating_mul(size) >= page.total_count;
        match list {
            List::Orders => {
                for (index, order) in items.into_iter().enumerate() {
                    take(order, (index, &body), since_s, &mut cursor, &mut found)?;
                }
            }
            List::Returns => returns::take(&shop, &items, &body, since_s, &mut cursor, &mut found)?,
        }
        if is_end || !found.documents.is_empty() || !found.problems.is_empty() {
            break;
        }
        (from_s, number) = match found.high_s {
            Some(high_s) if high_s > from_s => (high_s, 1),
            _ => (from_s, number.saturating_add(1)),
        };
    }
    let Found { documents, problems, unnamed, high_s } = found;
    let is_nothing = documents.is_empty() && problems.is_empty();
    let high_s = high_s.unwrap_or(cursor.from());
    if is_nothing && high_s.saturating_sub(overlap_s).saturating_sub(cursor.from()) <= UNTOLD_S {
        // All of what was asked for changed in one second and is known, and there is more of it.
        if !is_end && high_s == cursor.from() {
            return Err(Failure::permanent(format!(
                "the shop has more {} of one second than one poll reads, so nothing is known behind them; set poll-page higher",
                list.name()
            )));
        }
        if is_end {
            return Ok(Polled { documents, problems, cursor: None });
        }
    }
    // What stands in the way to what is new is passed: all up to there was read.
    let back_s = if is_nothing && !is_end { 0 } else { overlap_s };
    // Nobody knows their times, so no time of another order makes them forgotten.
    for name in unnamed {
        cursor.tell(name, FOR_GOOD);
    }
    cursor.move_to(high_s.saturating_sub(back_s), TOLD_MAX).map_err(|TooMany| {
        Failure::permanent(format!(
            "the shop has more {} of one second, or without a number or a time, than the {TOLD_MAX} that a cursor remembers, so nothing is known behind them; see to those there, and set poll-since to after them",
            list.name()
        ))
    })?;
    Ok(Polled { documents, problems, cursor: Some(cursor.written(list.version(), |id, at_s| line(*id, at_s))) })
}

/// When the host began to have the shop's orders, which nobody guesses.
fn since(settings: &[Setting]) -> Result<i64, Failure> {
    let moment = |text: &str| moment::parse(text).map(|at_ms| at_ms.div_euclid(1_000));
    let since = setting(settings, "poll-since").and_then(|text| moment(text).or_else(|| seconds(text)));
    since.ok_or_else(|| {
        Failure::permanent(
            "setting `poll-since` is missing or no time; expected from when on the shop's orders are the host's, such as 2026-03-02T00:00:00Z",
        )
    })
}

fn listed(list: List, from_s: i64, size: i64, page: i64) -> Result<String, Failure> {
    let from = written(from_s).ok_or_else(|| Failure::permanent("the cursor has a time that is none"))?;
    let size = size.to_string();
    let page = page.to_string();
    let criteria = [
        ("[filter_groups][0][filters][0][field]", list.time()),
        ("[filter_groups][0][filters][0][condition_type]", "gteq"),
        ("[filter_groups][0][filters][0][value]", from.as_str()),
        ("[sortOrders][0][field]", list.time()),
        ("[sortOrders][0][direction]", "ASC"),
        ("[sortOrders][1][field]", "entity_id"),
        ("[sortOrders][1][direction]", "ASC"),
        ("[pageSize]", size.as_str()),
        ("[currentPage]", page.as_str()),
    ];
    Ok(format!("{}?{}", list.name(), search(&criteria)))
}

/// Takes what is new of one order of a page.
fn take(
    order: &RawValue,
    (index, body): (usize, &[u8]),
    since_s: i64,
    cursor: &mut Cursor,
    found: &mut Found,
) -> Result<(), Failure> {
    let looked: Option<Looked> = serde_json::from_str(order.get()).ok();
    let known = looked.and_then(|looked| {
        let (id, updated_s) = (looked.entity_id?, looked.updated_at.as_deref().and_then(seconds)?);
        Some((id, updated_s, looked.created_at.as_deref().and_then(seconds)?, looked))
    });
    let Some((id, updated_s, created_s, looked)) = known else {
        found.tell_unnamed(order, index, cursor, "`entity_id`, or no time in `created_at` or `updated_at`");
        return Ok(());
    };
    found.goes_on(updated_s)?;
    let is_over = looked.state.as_deref().is_some_and(|state| OVER.contains(&state));
    if created_s < since_s || is_over || cursor.tell(id, updated_s) == Some(updated_s) {
        return Ok(());
    }
    match document(order, index, body, None) {
        Ok(mut document) => {
            let is_wanted = looked.state.as_deref() != Some(CANCELED);
            let has_left = |item: &Item| item.qty_shipped.as_ref().is_some_and(Quantity::is_something);
            if is_wanted && looked.items.iter().any(has_left) {
                document.kind = BEGUN.to_owned();
            }
            found.documents.push(document);
        }
        Err(problem) => found.problems.push(*problem),
    }
    Ok(())
}

/// A number for an order or a return that is told by none: of what names it all the same, so that it
/// is told once however often it changes, and of its bytes where nothing does. FNV-1a is the same in each build. A
/// shop that has two orders of one number keeps only its own from being told.
fn named_otherwise(order: &str) -> u64 {
    // A name may be escaped, which nothing that is only borrowed can be.
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(order).unwrap_or_default();
    let named = NAMES.iter().find_map(|name| {
        let value = members.get(*name)?.get();
        (!matches!(value, "null" | "\"\"")).then(|| format!("{name} {value}"))
    });
    let hash = named
        .as_deref()
        .unwrap_or(order)
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash | UNNAMED
}

/// What a cursor remembers of an order: of one that nothing names, no time.
fn entry(line: &str) -> Option<(u64, i64)> {
    let (id, at_s) = line.split_once(' ')?;
    let (id, at_s) = (id.parse().ok()?, at_s.parse().ok()?);
    Some((id, if is_unnamed(id) { FOR_GOOD } else { at_s }))
}

fn line(id: u64, at_s: i64) -> String {
    format!("{id} {}", if is_unnamed(id) { 0 } else { at_s })
}

/// Whether it is a number that is made of what names an order otherwise.
fn is_unnamed(id: u64) -> bool {
    id & UNNAMED != 0
}

/// Seconds since 1970 of `2026-03-02 08:00:00`, which is UTC.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    moment::parse(&format!("{}Z", text.replacen(' ', "T", 1))).map(|at_ms| at_ms.div_euclid(1_000))
}

/// A time as the shop's filters take it.
fn written(at_s: i64) -> Option<String> {
    let text = moment::written(at_s.checked_mul(1_000)?)?;
    text.get(..19).map(|seconds| seconds.replacen('T', " ", 1))
}

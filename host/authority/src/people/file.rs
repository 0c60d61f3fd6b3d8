//! Reading `people.toml`.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::strict::{Problems, SourceFile, Table, choice, date, one_of, text, whole};
use portreeve_model::{Currency, Digest};

use super::hours::Calendar;
use super::{ACTS, People, Queue, Role, Tier};
use crate::known::Known;

/// An exception that may wait longer than a quarter of a year is nobody's.
const DUE_MINUTES_MAX: i64 = 90 * 24 * 60;

/// A proposal that may wait longer than a week is about another world.
const PROPOSAL_MINUTES_MAX: i64 = 7 * 24 * 60;

const DAYS: [(&str, usize); 7] =
    [("monday", 0), ("tuesday", 1), ("wednesday", 2), ("thursday", 3), ("friday", 4), ("saturday", 5), ("sunday", 6)];

/// A calendar that has no hours.
const ALWAYS: &str = "always";

pub(super) fn read_file(file: SourceFile<'_>, known: &Known, problems: &mut Problems) -> Option<People> {
    let mut root = Table::parse(file, problems)?;
    let mut calendars = BTreeMap::new();
    for table in root.tables("calendar", problems) {
        if let Some((id, calendar)) = read_calendar(table, problems) {
            calendars.insert(id, calendar);
        }
    }
    let mut queues = BTreeMap::new();
    for table in root.tables("queue", problems) {
        if let Some((id, queue)) = read_queue(table, &calendars, &queues, known, problems) {
            queues.insert(id, queue);
        }
    }
    let (mut tiers, mut proposal_minutes) = (BTreeMap::new(), None);
    if let Some(table) = root.table("approval", problems) {
        (tiers, proposal_minutes) = read_approval(table, problems);
    }
    let mut roles = BTreeMap::new();
    for table in root.tables("role", problems) {
        if let Some((id, role)) = read_role(table, &tiers, &roles, known, problems) {
            roles.insert(id, role);
        }
    }
    everybody_has_work(&root, &queues, &roles, known, problems);
    root.finish(problems);
    let digest = Digest::of(file.text.as_bytes());
    Some(People { roles, queues, tiers, proposal_minutes: proposal_minutes?, digest })
}

fn read_calendar(mut table: Table<'_>, problems: &mut Problems) -> Option<(String, Calendar)> {
    let id = table.required("id", "a name other than `always`", problems, |v| text(v).filter(|id| id != ALWAYS));
    let zone = table.required("zone", "an IANA time zone, for example `America/Chicago`", problems, |v| {
        jiff::tz::TimeZone::get(v.as_str()?).ok()
    });
    let mut days = [false; 7];
    for day in table.list("days", &one_of(DAYS.iter().map(|(word, _)| *word)), problems, |v| choice(v, &DAYS)) {
        if let Some(open) = days.get_mut(day) {
            *open = true;
        }
    }
    if !days.contains(&true) {
        table.wrong("days", "empty", "at least one day of the week", problems);
    }
    let mut time = |key| table.required(key, "a time of day, `HH:MM`", problems, |v| v.as_str()?.parse().ok());
    let (from, to): (Option<jiff::civil::Time>, Option<jiff::civil::Time>) = (time("from"), time("to"));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        table.wrong("to", "not later than `from`", "a later time of the same day", problems);
    }
    let closed = table.list("closed", "a date", problems, date);
    table.finish(problems);
    Some((id?, Calendar { zone: zone?, days, from: from?, to: to?, closed }))
}

fn read_queue(
    mut table: Table<'_>,
    calendars: &BTreeMap<String, Calendar>,
    others: &BTreeMap<String, Queue>,
    known: &Known,
    problems: &mut Problems,
) -> Option<(String, Queue)> {
    let queues = one_of(known.queues.iter().map(String::as_str));
    let new = format!("{queues}, each once");
    let id = table
        .required("id", &new, problems, |v| text(v).filter(|id| known.queues.contains(id) && !others.contains_key(id)));
    let named = one_of(calendars.keys().map(String::as_str).chain([ALWAYS]));
    let calendar = table.required("calendar", &named, problems, |v| {
        let id = text(v)?;
        if id == ALWAYS { Some(None) } else { calendars.get(&id).cloned().map(Some) }
    });
    let minutes = format!("open minutes of the calendar, 1 to {DUE_MINUTES_MAX}");
    let due_minutes =
        table.required("due_minutes", &minutes, problems, |v| u32::try_from(whole(v, &(1..=DUE_MINUTES_MAX))?).ok());
    let other = format!("another of these: {queues}");
    let escalates_to = table.optional("escalates_to", &other, problems, |v| {
        text(v).filter(|queue| known.queues.contains(queue) && Some(queue) != id.as_ref())
    });
    table.finish(problems);
    Some((id?, Queue { calendar: calendar?, due_minutes: due_minutes?, escalates_to }))
}

fn read_approval(mut table: Table<'_>, problems: &mut Problems) -> (BTreeMap<Currency, Tier>, Option<u32>) {
    let minutes = format!("minutes, 1 to {PROPOSAL_MINUTES_MAX}");
    let proposal_minutes = table.required("proposal_minutes", &minutes, problems, |v| {
        u32::try_from(whole(v, &(1..=PROPOSAL_MINUTES_MAX))?).ok()
    });
    let mut tiers = BTreeMap::new();
    for mut table in table.tables("tier", problems) {
        let currency = table.required("currency", "a code of ISO 4217, each once", problems, |v| {
            Currency::parse(v.as_str()?).ok().filter(|currency| !tiers.contains_key(currency))
        });
        let mut minor = |key| table.required(key, "minor units, 0 or more", problems, |v| whole(v, &(0..=i64::MAX)));
        let (alone, one) = (minor("alone_max_minor"), minor("one_max_minor"));
        if alone.zip(one).is_some_and(|(alone, one)| alone > one) {
            table.wrong("one_max_minor", "less than `alone_max_minor`", "as much or more", problems);
        }
        table.finish(problems);
        if let (Some(currency), Some(alone_max_minor), Some(one_max_minor)) = (currency, alone, one) {
            tiers.insert(currency, Tier { alone_max_minor, one_max_minor });
        }
    }
    table.finish(problems);
    (tiers, proposal_minutes)
}

fn read_role(
    mut table: Table<'_>,
    tiers: &BTreeMap<Currency, Tier>,
    others: &BTreeMap<String, Role>,
    known: &Known,
    problems: &mut Problems,
) -> Option<(String, Role)> {
    let id = table.required("id", "lower-case letters, digits and dashes, each id once", problems, |v| {
        text(v).filter(|id| is_id(id) && !others.contains_key(id))
    });
    let queues = one_of(known.queues.iter().map(String::as_str));
    let queue = |v: &toml::de::DeValue<'_>| text(v).filter(|queue| known.queues.contains(queue));
    let resolves = table.list("resolves", &queues, problems, queue);
    let approves = table.list("approves", &queues, problems, queue);
    let mut approves_max_minor = BTreeMap::new();
    for mut most in table.tables("approves_max", problems) {
        let currency = most.required("currency", "one of `[[approval.tier]]`, each once", problems, |v| {
            let currency = Currency::parse(v.as_str()?).ok()?;
            (tiers.contains_key(&currency) && !approves_max_minor.contains_key(&currency)).then_some(currency)
        });
        let minor = most.required("minor", "minor units, 0 or more", problems, |v| whole(v, &(0..=i64::MAX)));
        most.finish(problems);
        approves_max_minor.extend(currency.zip(minor));
    }
    if !approves.is_empty() && approves_max_minor.is_empty() {
        let allowed = "an amount in at least one currency of `[[approval.tier]]`, since it approves";
        table.wrong("approves_max", "missing", allowed, problems);
    }
    if approves.is_empty() && !approves_max_minor.is_empty() {
        table.wrong("approves", "empty", "the queues in which it approves up to `approves_max`", problems);
    }
    let may = table.list("may", &one_of(ACTS.iter().map(|(word, _)| *word)), problems, |v| choice(v, &ACTS));
    table.finish(problems);
    Some((id?, Role { resolves, approves, approves_max_minor, may }))
}

/// Check: nothing can wait where nobody looks, and somebody can make accounts.
fn everybody_has_work(
    root: &Table<'_>,
    queues: &BTreeMap<String, Queue>,
    roles: &BTreeMap<String, Role>,
    known: &Known,
    problems: &mut Problems,
) {
    let resolved: BTreeSet<&String> = roles.values().flat_map(|role| &role.resolves).collect();
    for queue in &known.queues {
        if !queues.contains_key(queue) {
            root.wrong("queue", &format!("without `{queue}`"), "a [[queue]] for each of `[host] queues`", problems);
        }
        if !resolved.contains(queue) {
            let found = format!("nothing that resolves `{queue}`");
            root.wrong(
                "role",
                &found,
                "a [[role]] that works on each queue, or its exceptions wait for nobody",
                problems,
            );
        }
    }
    if !roles.values().any(|role| role.may.contains(&super::Act::Administer)) {
        root.wrong("role", "nothing that may `administer`", "a [[role]] whose accounts make accounts", problems);
    }
}

fn is_id(text: &str) -> bool {
    const ID_BYTES_MAX: usize = 64;
    text.len() <= ID_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

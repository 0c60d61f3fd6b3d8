//! Reading `rules.toml`.

use portreeve_model::Digest;

use super::{CreditRule, ONE_BP, Queues, Rules, UNKNOWN, UNKNOWN_OR_OFF};
use crate::grant::HOLD_MINUTES_MAX;
use crate::known::Known;
use portreeve_model::strict::{Problems, SourceFile, Table, choice, one_of, text, whole};

/// Figures of a credit account that are older than a year are none. The store keeps what
/// releases took for as long.
const DATA_AGE_MINUTES_MAX: i64 = 366 * 24 * 60;

/// What is done about a customer without a credit account.
const NO_ACCOUNT: [(&str, bool); 2] = [("hold", true), ("off", false)];

/// A tolerance above this, in minor units, is a typing error.
const TOTALS_TOLERANCE_MAX: i64 = 100_000;

pub(super) fn read_file(file: SourceFile<'_>, known: &Known, problems: &mut Problems) -> Option<Rules> {
    let mut root = Table::parse(file, problems)?;
    let table = root.table("rules", problems);
    root.finish(problems);
    read_rules(table?, Digest::of(file.text.as_bytes()), known, problems)
}

fn read_rules(mut table: Table<'_>, digest: Digest, known: &Known, problems: &mut Problems) -> Option<Rules> {
    let hold_or_refuse = one_of(UNKNOWN.iter().map(|(word, _)| *word));
    let minutes = format!("minutes, 1 to {HOLD_MINUTES_MAX}");
    let minor = format!("minor units, 0 to {TOTALS_TOLERANCE_MAX}");

    let price_tolerance_bp =
        table.required("price_tolerance_bp", "basis points, 0 to 10000", problems, |v| whole(v, &(0..=ONE_BP)));
    let totals_tolerance_minor =
        table.required("totals_tolerance_minor", &minor, problems, |v| whole(v, &(0..=TOTALS_TOLERANCE_MAX)));
    let discount_max_bp =
        table.required("discount_max_bp", "basis points, 0 to 10000", problems, |v| whole(v, &(0..=ONE_BP)));
    let blocked_customer = table.required("blocked_customer", "true or false", problems, |v| v.as_bool());
    let unknown_item = table.required("unknown_item", &hold_or_refuse, problems, |v| choice(v, &UNKNOWN));
    let unknown_customer = table.required("unknown_customer", &hold_or_refuse, problems, |v| choice(v, &UNKNOWN));
    let with_off = one_of(UNKNOWN_OR_OFF.iter().map(|(word, _)| *word));
    let unknown_ship_to = table.required("unknown_ship_to", &with_off, problems, |v| choice(v, &UNKNOWN_OR_OFF));
    let cross_reference = table.required("cross_reference", "true or false", problems, |v| v.as_bool());
    let short_stock = table.required("short_stock", "true or false", problems, |v| v.as_bool());
    if !table.has("unreleasable_sender_states") {
        let allowed = "a list of the sender's states; `[]` for none";
        table.wrong("unreleasable_sender_states", "missing", allowed, problems);
    }
    let unreleasable_sender_states = table.list("unreleasable_sender_states", "a sender's state", problems, text);
    let hold_minutes = table.required("hold_minutes", &minutes, problems, |v| {
        u32::try_from(whole(v, &(1..=i64::from(HOLD_MINUTES_MAX)))?).ok()
    });
    let grace = format!("minutes, 0 to {HOLD_MINUTES_MAX}");
    let release_grace_minutes =
        table.required("release_grace_minutes", &grace, problems, |v| whole(v, &(0..=i64::from(HOLD_MINUTES_MAX))));
    let queues = table.table("queue", problems).and_then(|queues| read_queues(queues, known, problems));
    let credit = table.table("credit", problems).and_then(|credit| read_credit(credit, problems));
    table.finish(problems);

    Some(Rules {
        price_tolerance_bp: price_tolerance_bp?,
        totals_tolerance_minor: totals_tolerance_minor?,
        discount_max_bp: discount_max_bp?,
        blocked_customer: blocked_customer?,
        unknown_item: unknown_item?,
        unknown_customer: unknown_customer?,
        unknown_ship_to: unknown_ship_to?,
        cross_reference: cross_reference?,
        short_stock: short_stock?,
        unreleasable_sender_states,
        hold_minutes: hold_minutes?,
        release_grace_minutes: release_grace_minutes?,
        credit: credit?,
        queues: queues?,
        digest,
    })
}

fn read_queues(mut table: Table<'_>, known: &Known, problems: &mut Problems) -> Option<Queues> {
    let allowed = one_of(known.queues.iter().map(String::as_str));
    let mut queue =
        |key| table.required(key, &allowed, problems, |v| text(v).filter(|queue| known.queues.contains(queue)));
    let queues = (queue("price"), queue("credit"), queue("customer"), queue("totals"), queue("item"), queue("payment"));
    table.finish(problems);
    let (price, credit, customer, totals, item, payment) = queues;
    Some(Queues {
        price: price?,
        credit: credit?,
        customer: customer?,
        totals: totals?,
        item: item?,
        payment: payment?,
    })
}

fn read_credit(mut table: Table<'_>, problems: &mut Problems) -> Option<CreditRule> {
    let minutes = format!("minutes, 1 to {DATA_AGE_MINUTES_MAX}");
    let check = table.required("check", "true or false", problems, |v| v.as_bool());
    let limit_bp = table.required("limit_bp", "basis points, 0 to 20000", problems, |v| whole(v, &(0..=2 * ONE_BP)));
    let overdue_days_max = table.required("overdue_days_max", "days, 0 to 3650", problems, |v| whole(v, &(0..=3650)));
    let data_age_minutes_max =
        table.required("data_age_minutes_max", &minutes, problems, |v| whole(v, &(1..=DATA_AGE_MINUTES_MAX)));
    let no_account = table.required("no_account", "`hold` or `off`", problems, |v| choice(v, &NO_ACCOUNT));
    // Files of before have no such key, and whoever wants no second look says so.
    let recheck = table.optional("recheck", "true or false", problems, |v| v.as_bool());
    table.finish(problems);
    Some(CreditRule {
        check: check?,
        limit_bp: limit_bp?,
        overdue_days_max: overdue_days_max?,
        data_age_minutes_max: data_age_minutes_max?,
        no_account_holds: no_account?,
        recheck: recheck.unwrap_or(true),
    })
}

//! Rows of reference tables as the host's rules see them. Every question is kept
//! with its answer, so that the rules can be asked again with the same rows.
//!
//! | table             | key                   | columns that the rules read                     |
//! |-------------------|-----------------------|-------------------------------------------------|
//! | `customer`        | customer              | `class`, `blocked`, `currency`, `country`       |
//! | `item`            | SKU                   | `list-price`, `unit`, `currency`                |
//! | `ship-to`         | customer `/` place    | none: the row is the agreement                  |
//! | `cross-reference` | customer `/` number   | `sku`                                           |
//! | `unit`            | SKU `/` ordered unit  | `to`, a unit; `factor`, how many of it one is   |
//! | `stock`           | SKU                   | `available`, in the item's unit                 |
//! | `credit`          | account               | see [`credit_account`]                          |
//!
//! A customer's account is `credit-account` of its row, else the customer itself.

use std::collections::BTreeMap;

use portreeve_authority::rules::{Account, CreditFacts, CustomerFacts, ItemFacts, Looked, ReferenceFacts, UnitFacts};
use portreeve_model::reference::{CREDIT_TABLE, Row};
use portreeve_model::value::Decimal;
use portreeve_model::{Currency, Instant, Money, Order};
use portreeve_sandbox::{LookupAnswer, RecordedLookup};

/// Where rows come from, and what was asked so far, each question once.
pub(crate) struct RuleRows<'a> {
    answer: &'a (dyn Fn(&str, &str) -> LookupAnswer + Sync),
    asked: BTreeMap<(String, String), LookupAnswer>,
}

impl<'a> RuleRows<'a> {
    /// Rows from a source of answers, given table and key.
    pub(crate) fn of(answer: &'a (dyn Fn(&str, &str) -> LookupAnswer + Sync)) -> Self {
        Self { answer, asked: BTreeMap::new() }
    }

    /// What was asked, by table and key.
    pub(crate) fn asked(self) -> impl Iterator<Item = RecordedLookup> {
        self.asked.into_iter().map(|((table, key), answer)| RecordedLookup { table, key, answer })
    }

    /// A row as facts. A row that lacks a column is told apart from no row: the one
    /// is our mistake and never the sender's.
    fn looked<T>(&mut self, table: &str, key: &str, facts: impl FnOnce(&Row) -> Option<T>) -> Looked<T> {
        let answer = (self.answer)(table, key);
        let looked = match &answer {
            LookupAnswer::Row(row) => facts(row).map_or(Looked::Incomplete, Looked::Found),
            LookupAnswer::NoRow => Looked::Unknown,
            LookupAnswer::UnknownTable | LookupAnswer::Denied | LookupAnswer::Unavailable => Looked::NotLoaded,
        };
        self.asked.insert((table.to_owned(), key.to_owned()), answer);
        looked
    }

    /// Our item for a customer's own number.
    fn our_item(&mut self, customer: &str, number: &str) -> Looked<String> {
        self.looked("cross-reference", &of_customer(customer, number), |row| row.text("sku").map(str::to_owned))
    }
}

/// Lines that name an item by the customer's own number get ours, where the two are
/// known to be the same. A number that is one of ours is never replaced.
pub(super) fn translate_items(order: &mut Order, rows: &mut RuleRows<'_>) {
    for line in &mut order.lines {
        if !matches!(rows.looked("item", &line.sku, item_facts), Looked::Unknown) {
            continue;
        }
        let theirs = line.buyer_sku.as_ref().unwrap_or(&line.sku);
        if let Looked::Found(ours) = rows.our_item(&order.customer.id, theirs) {
            let stated = std::mem::replace(&mut line.sku, ours);
            line.buyer_sku.get_or_insert(stated);
        }
    }
}

/// What the tables say about an order.
pub(crate) fn reference_facts(
    order: &Order,
    received_at: Instant,
    test_channel: bool,
    rows: &mut RuleRows<'_>,
) -> ReferenceFacts {
    let customer = &order.customer.id;
    let skus = || order.lines.iter().map(|line| &line.sku);
    let theirs = order.lines.iter().filter_map(|line| line.buyer_sku.as_ref());
    let place = order.ship_to.as_ref().and_then(|place| place.id.as_ref());
    let items: BTreeMap<_, _> = skus().map(|sku| (sku.clone(), rows.looked("item", sku, item_facts))).collect();
    ReferenceFacts {
        received_at,
        test_channel,
        customer: rows.looked("customer", customer, customer_facts),
        conversions: conversions(order, &items, rows),
        items,
        ship_to: place.map(|place| rows.looked("ship-to", &of_customer(customer, place), |_| Some(()))),
        cross_references: theirs.map(|number| (number.clone(), rows.our_item(customer, number))).collect(),
        available: skus().map(|sku| (sku.clone(), rows.looked("stock", sku, |row| row.whole("available")))).collect(),
    }
}

/// What finance says of the account that the order's customer buys on: amounts in major
/// units of `currency` (`limit`, `receivables`, `shipped-not-invoiced`,
/// `released-not-shipped`, `unapplied-cash`), `overdue-days`, and `as-of`, RFC 3339.
pub(crate) fn credit_account(order: &Order, reference: &ReferenceFacts, rows: &mut RuleRows<'_>) -> Account {
    account(order, &reference.customer, rows)
}

/// The same, of an order of which nothing else is asked.
pub(crate) fn credit_account_alone(order: &Order, rows: &mut RuleRows<'_>) -> Account {
    let customer = rows.looked("customer", &order.customer.id, customer_facts);
    account(order, &customer, rows)
}

fn account(order: &Order, customer: &Looked<CustomerFacts>, rows: &mut RuleRows<'_>) -> Account {
    let named = customer.found().and_then(|customer| customer.credit_account.as_ref());
    let name = named.unwrap_or(&order.customer.id).clone();
    Account { facts: rows.looked(CREDIT_TABLE, &name, |row| credit_facts(row).ok()), is_named: named.is_some(), name }
}

/// The figures in a row.
///
/// # Errors
/// Everything that is wrong with it: a column, and what it has to hold.
pub fn credit_facts(row: &Row) -> Result<CreditFacts, Vec<(&'static str, &'static str)>> {
    let mut wrong = Vec::new();
    let mut need = |column, found: Option<i64>, expected| {
        if found.is_none() {
            wrong.push((column, expected));
        }
        found.unwrap_or_default()
    };
    let currency = currency(row);
    need("currency", currency.map(|_| 0), "an ISO 4217 code, as text");
    let mut amount = |column| {
        // Without a currency nobody knows what its minor unit is.
        let known = currency.map_or(Some(0), |currency| minor(row.number(column)?, currency));
        need(column, known, "a number of major units, no finer than the currency's minor unit")
    };
    let [limit_minor, receivables_minor, shipped_minor, released_minor, unapplied_cash_minor] =
        ["limit", "receivables", "shipped-not-invoiced", "released-not-shipped", "unapplied-cash"].map(&mut amount);
    let overdue_days = need("overdue-days", row.whole("overdue-days"), "a whole number, 0 for none");
    let as_of = row.as_of();
    need("as-of", as_of.map(|at| at.0), "a time in RFC 3339 with an offset, as text");
    let (Some(currency), Some(as_of), true) = (currency, as_of, wrong.is_empty()) else { return Err(wrong) };
    Ok(CreditFacts {
        currency,
        limit_minor,
        receivables_minor,
        shipped_minor,
        released_minor,
        unapplied_cash_minor,
        overdue_days,
        as_of,
    })
}

/// Minor units of a number of major ones; none where it is finer than they are.
fn minor(major: Decimal, currency: Currency) -> Option<i64> {
    Money::from_major(&major.to_string(), currency).ok().map(|money| money.minor)
}

/// What the ordered units are of those that the items are sold in, where they differ.
fn conversions(
    order: &Order,
    items: &BTreeMap<String, Looked<ItemFacts>>,
    rows: &mut RuleRows<'_>,
) -> BTreeMap<(String, String), Looked<UnitFacts>> {
    let mut conversions = BTreeMap::new();
    for line in &order.lines {
        let unit = &line.quantity.unit;
        if let Some(Looked::Found(item)) = items.get(&line.sku)
            && *unit != item.unit
        {
            let row = rows.looked("unit", &format!("{}/{unit}", line.sku), unit_facts);
            conversions.insert((line.sku.clone(), unit.clone()), row);
        }
    }
    conversions
}

fn unit_facts(row: &Row) -> Option<UnitFacts> {
    Some(UnitFacts { to: row.text("to")?.to_owned(), factor: row.number("factor")? })
}

/// The customer's class, where the customer is known.
pub(crate) fn class(reference: &ReferenceFacts) -> Option<String> {
    reference.customer.found().map(|customer| customer.class.clone())
}

/// The key of what was agreed with one customer.
fn of_customer(customer: &str, what: &str) -> String {
    format!("{customer}/{what}")
}

fn customer_facts(row: &Row) -> Option<CustomerFacts> {
    Some(CustomerFacts {
        class: row.text("class")?.to_owned(),
        blocked: row.flag("blocked")?,
        currency: currency(row),
        country: row.text("country").map(str::to_owned),
        credit_account: row.text("credit-account").map(str::to_owned),
    })
}

fn item_facts(row: &Row) -> Option<ItemFacts> {
    Some(ItemFacts {
        list_price: row.number("list-price")?,
        unit: row.text("unit")?.to_owned(),
        currency: currency(row)?,
    })
}

fn currency(row: &Row) -> Option<Currency> {
    row.text("currency").and_then(|code| Currency::parse(code).ok())
}

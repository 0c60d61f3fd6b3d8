//! Data grants: what of an order a scorer sees.
//!
//! ```toml
//! [[data]]
//! plugin = "fraud"
//! owner = "privacy@distributor.example"
//! expires = 2027-12-31                     # the last day, UTC
//! fields = ["customer.id", "payment"]      # of `Field`'s words; everything else is masked
//! ```
//!
//! Danger: a model that is handed whole orders knows every customer's name and telephone
//! number, and says what it likes in its drafts. So a scorer sees nothing that points at
//! anybody unless somebody wrote down that it needs it. Amounts, quantities, currencies,
//! units, dates and the counts of the customer's history are always there, and the numbers of
//! the lines as the sender wrote them, since advice names lines by them. Of the rest an
//! identifier becomes a pseudonym that stays the same for this plugin, an address keeps its
//! country and region, and a text is not there.
//!
//! Several data grants of a plugin add up. One whose last day is over shows nothing any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portreeve_model::strict::{Problems, Table, choice, one_of};
use portreeve_model::{Date, Instant, PluginName};

use crate::grant;
use crate::known::Known;
use crate::terms::Direction;

/// A part of an order that is masked unless it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The sender's order number and release.
    OrderNumber,
    /// The customer's identifier.
    CustomerId,
    /// The customer's name.
    CustomerName,
    /// The customer's e-mail address.
    CustomerEmail,
    /// The customer's telephone number.
    CustomerPhone,
    /// The whole address of who pays.
    BillTo,
    /// The whole address of the place of delivery.
    ShipTo,
    /// The item numbers of the lines, ours and the buyer's.
    LineSku,
    /// The descriptions of the lines.
    LineDescription,
    /// How it is paid: method, state, terms, the issuer's country, the address check.
    Payment,
    /// The sender's own state of the order.
    SenderState,
    /// Notes.
    Notes,
    /// What else the sender said, of the order and of its lines.
    Extensions,
}

const FIELDS: [(&str, Field); 13] = [
    ("order.number", Field::OrderNumber),
    ("customer.id", Field::CustomerId),
    ("customer.name", Field::CustomerName),
    ("customer.email", Field::CustomerEmail),
    ("customer.phone", Field::CustomerPhone),
    ("bill-to", Field::BillTo),
    ("ship-to", Field::ShipTo),
    ("line.sku", Field::LineSku),
    ("line.description", Field::LineDescription),
    ("payment", Field::Payment),
    ("sender-state", Field::SenderState),
    ("notes", Field::Notes),
    ("extensions", Field::Extensions),
];

/// What a scorer sees beyond what carries no name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(BTreeSet<Field>);

impl Fields {
    /// Whether it sees this.
    #[must_use]
    pub fn show(&self, field: Field) -> bool {
        self.0.contains(&field)
    }

    /// Whether nothing is masked.
    #[must_use]
    pub fn show_all(&self) -> bool {
        self.0.len() == FIELDS.len()
    }

    /// The words of grants and records, in the order of [`Field`].
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        FIELDS.iter().filter(|(_, field)| self.show(*field)).map(|(word, _)| *word).collect()
    }

    /// Every word.
    #[must_use]
    pub fn known() -> Vec<&'static str> {
        FIELDS.iter().map(|(word, _)| *word).collect()
    }

    /// Reads what [`Fields::words`] wrote; none where this version does not know a word.
    #[must_use]
    pub fn parse(words: &[String]) -> Option<Self> {
        let known = |word: &String| FIELDS.iter().find(|(known, _)| known == word).map(|(_, field)| *field);
        words.iter().map(known).collect::<Option<_>>().map(Self)
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("nothing that points at anybody")
        } else {
            f.write_str(&self.words().join(", "))
        }
    }
}

/// What people wrote down that one scorer sees. Made by loading only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataGrant {
    /// The scorer.
    pub plugin: PluginName,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it is valid, UTC.
    pub expires: Date,
    /// What it shows.
    pub fields: Fields,
}

impl DataGrant {
    /// Whether its last day is over.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        grant::day_is_over(self.expires, now)
    }

    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("`{}` sees {}, until {}, owner {}", self.plugin, self.fields, self.expires, self.owner)
    }
}

/// What other data grants show each plugin more or less, and longer or shorter, a line for
/// each; `now` says which of those in force show nothing any more.
#[must_use]
pub fn changes_of_data(before: &[DataGrant], after: &[DataGrant], now: Instant) -> Vec<(Direction, String)> {
    let shown = |grants: &[DataGrant], plugin: &PluginName| {
        let mut until: BTreeMap<Field, Date> = BTreeMap::new();
        for grant in grants.iter().filter(|grant| grant.plugin == *plugin && !grant.is_over(now)) {
            for field in &grant.fields.0 {
                let day = until.entry(*field).or_insert(grant.expires);
                *day = grant.expires.max(*day);
            }
        }
        until
    };
    let beyond = |more: &BTreeMap<Field, Date>, less: &BTreeMap<Field, Date>| {
        let longer = more.iter().filter(|(field, day)| less.get(field).is_none_or(|other| other < day));
        Fields(longer.map(|(field, _)| *field).collect())
    };
    let plugins: BTreeSet<&PluginName> = before.iter().chain(after).map(|grant| &grant.plugin).collect();
    let mut changes = Vec::new();
    for plugin in plugins {
        let (saw, sees) = (shown(before, plugin), shown(after, plugin));
        let (more, less) = (beyond(&sees, &saw), beyond(&saw, &sees));
        if !more.0.is_empty() {
            changes.push((Direction::Wider, format!("`{plugin}` sees also, or longer: {more}")));
        }
        if !less.0.is_empty() {
            changes.push((Direction::Narrower, format!("`{plugin}` sees no more, or shorter: {less}")));
        }
    }
    changes
}

pub(crate) fn read(mut table: Table<'_>, known: &Known, problems: &mut Problems) -> Option<DataGrant> {
    let before = problems.len();
    let plugin = grant::plugin(&mut table, known, problems);
    let (owner, expires) = grant::owner_and_last_day(&mut table, problems);
    let allowed = one_of(FIELDS.iter().map(|(word, _)| *word));
    let fields: BTreeSet<Field> =
        table.list("fields", &allowed, problems, |v| choice(v, &FIELDS)).into_iter().collect();
    if fields.is_empty() && problems.len() == before {
        table.wrong("fields", "empty", &allowed, problems);
    }
    table.finish(problems);
    if problems.len() > before {
        return None;
    }
    Some(DataGrant { plugin: plugin?, owner: owner?, expires: expires?, fields: Fields(fields) })
}

/// What all grants of a plugin show it together.
pub(crate) fn shown(grants: &[DataGrant], plugin: &PluginName, now: Instant) -> Fields {
    let valid = grants.iter().filter(|grant| grant.plugin == *plugin && !grant.is_over(now));
    Fields(valid.flat_map(|grant| grant.fields.0.iter().copied()).collect())
}

//! Rows: what one system says of each key, as exact numbers with their units.
//!
//! Nothing is guessed. A number keeps its unit or currency, two units are never added up, and
//! what a system says twice in different words is no answer. Whatever the order of a list and
//! wherever its pages are cut, the rows of it are the same.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use portreeve_model::event::InventoryLevel;
use portreeve_model::value::{Instant, Quantity};
use portreeve_model::{Digest, Event};
use serde::{Deserialize, Serialize};

/// Rows of one list. The attack is a list that never ends: it takes the host's memory.
pub const ROWS_MAX: usize = 100_000;

/// The extension of a row that says when it changed last, in milliseconds since 1970. It is not
/// the time that a level is as of: a system may say of everything that it is as of now.
const CHANGED_AT: &str = "changed-at";

/// What a reconciliation is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Of {
    /// What is on hand of each item, over all places where a system keeps it.
    Stock,
    /// The same for each place by itself: both systems call places alike.
    StockByNode,
}

impl Of {
    /// The word in the configuration and in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::StockByNode => "stock-by-node",
        }
    }

    /// The event that lists of it consist of.
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Stock | Self::StockByNode => "inventory.level",
        }
    }
}

/// A number of something, exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Without zeros at the end of its fraction.
    units: i128,
    scale: u8,
}

impl Measure {
    /// That of a quantity, without its unit.
    #[must_use]
    pub fn of(quantity: &Quantity) -> Self {
        Self { units: i128::from(quantity.value), scale: quantity.scale }.shortest()
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.units == 0
    }

    /// The sum; none where it has too many digits.
    fn plus(&self, other: &Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let widened = |measure: &Self| {
            let places = u32::from(scale.saturating_sub(measure.scale));
            measure.units.checked_mul(10_i128.checked_pow(places)?)
        };
        let units = widened(self)?.checked_add(widened(other)?)?;
        Some(Self { units, scale }.shortest())
    }

    /// So that equal numbers are equal values.
    fn shortest(mut self) -> Self {
        while self.scale > 0 && self.units % 10 == 0 {
            self = Self { units: self.units / 10, scale: self.scale - 1 };
        }
        self
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.scale);
        let digits = format!("{:0width$}", self.units.unsigned_abs(), width = places.saturating_add(1));
        let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(places)).unwrap_or((&digits, ""));
        let sign = if self.units < 0 { "-" } else { "" };
        let point = if places > 0 { "." } else { "" };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

/// What a system has of one key: a number for each unit, those of nothing left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// By unit.
    measures: BTreeMap<String, Measure>,
    /// When it changed last, where the system says so.
    pub changed_at: Option<Instant>,
}

impl Cell {
    /// Units in which there is something.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        self.measures.keys().map(String::as_str)
    }

    /// Whether there is as much of everything.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        self.measures == other.measures
    }

    fn add(&mut self, part: &Part) -> Result<(), Unusable> {
        let of_unit = self.measures.entry(part.unit.clone()).or_insert(Measure { units: 0, scale: 0 });
        *of_unit = of_unit.plus(&part.measure).ok_or(Unusable::TooLarge)?;
        self.changed_at = self.changed_at.max(part.changed_at);
        Ok(())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.measures.is_empty() {
            return f.write_str("none");
        }
        for (index, (unit, measure)) in self.measures.iter().enumerate() {
            let and = if index > 0 { " and " } else { "" };
            write!(f, "{and}{measure} {}", unit.escape_debug())?;
        }
        Ok(())
    }
}

/// Why a list cannot be compared. Nothing of it is judged then: a list of which a row is missing
/// says of no key what the system has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It says two things of one row.
    #[error(
        "found `{row}` twice with different numbers, expected it once; it changed while it was listed, or the list has two of it"
    )]
    ListedTwice {
        /// What.
        row: String,
    },
    /// It is too long.
    #[error("found more than {ROWS_MAX} rows, expected {ROWS_MAX} at most; have its connector list a part of them")]
    TooMany,
    /// It says something else.
    #[error("found `{found}` in a list of {of}, expected `{expected}` alone; name the transformer that makes those", of = .of.as_str(), expected = .of.event())]
    OtherEvent {
        /// The event.
        found: String,
        /// What the list is of.
        of: Of,
    },
    /// Nobody can read when a row changed.
    #[error(
        "found another `{CHANGED_AT}` of `{row}` than milliseconds since 1970, expected those or none; mend its transformer"
    )]
    ChangedAt {
        /// Of what.
        row: String,
    },
    /// Its numbers cannot be added up.
    #[error(
        "found numbers of one key whose sum has more digits than the host counts with, expected real ones; look at the list"
    )]
    TooLarge,
}

impl Unusable {
    /// A stable word.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ListedTwice { .. } => "listed-twice",
            Self::TooMany => "too-many-rows",
            Self::OtherEvent { .. } => "other-event",
            Self::ChangedAt { .. } => "changed-at",
            Self::TooLarge => "sum-too-large",
        }
    }
}

/// One row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    key: String,
    measure: Measure,
    unit: String,
    changed_at: Option<Instant>,
}

/// The rows of one list while it is read.
#[derive(Debug)]
pub struct Rows {
    of: Of,
    /// By what names a row within its list.
    parts: BTreeMap<(String, String), Part>,
}

impl Rows {
    /// None yet.
    #[must_use]
    pub fn new(of: Of) -> Self {
        Self { of, parts: BTreeMap::new() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Takes a row. The same once more changes nothing: pages overlap.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub fn add(&mut self, event: &Event) -> Result<(), Unusable> {
        let (name, part) = match event {
            Event::InventoryLevel(level) => self.level(level)?,
            other => return Err(Unusable::OtherEvent { found: other.name().to_owned(), of: self.of }),
        };
        let full = self.parts.len() >= ROWS_MAX;
        match self.parts.entry(name) {
            Entry::Occupied(known) if *known.get() == part => Ok(()),
            Entry::Occupied(known) => Err(Unusable::ListedTwice { row: known.get().key.clone() }),
            Entry::Vacant(_) if full => Err(Unusable::TooMany),
            Entry::Vacant(place) => {
                place.insert(part);
                Ok(())
            }
        }
    }

    fn level(&self, level: &InventoryLevel) -> Result<((String, String), Part), Unusable> {
        let InventoryLevel { sku, node, on_hand, extensions, .. } = level;
        let key = match self.of {
            Of::Stock => sku.clone(),
            Of::StockByNode => format!("{sku} at {node}"),
        };
        let told = extensions.iter().find(|extension| extension.name == CHANGED_AT);
        let changed_at = told.map(|extension| extension.value.parse().map(Instant));
        let changed_at = changed_at.transpose().map_err(|_| Unusable::ChangedAt { row: key.clone() })?;
        let part = Part { key, measure: Measure::of(on_hand), unit: on_hand.unit.clone(), changed_at };
        Ok(((sku.clone(), node.clone()), part))
    }

    /// What the system has of each key.
    ///
    /// # Errors
    /// When it cannot be added up.
    pub fn cells(&self) -> Result<BTreeMap<String, Cell>, Unusable> {
        let mut cells = BTreeMap::<String, Cell>::new();
        for part in self.parts.values() {
            cells.entry(part.key.clone()).or_default().add(part)?;
        }
        for cell in cells.values_mut() {
            cell.measures.retain(|_, measure| !measure.is_zero());
        }
        Ok(cells)
    }

    /// Names what the list said: the same rows have the same one, however they came.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let rows = self.parts.iter().map(|((one, other), part)| {
            let changed_at = part.changed_at.map_or_else(String::new, |at| at.to_string());
            let number = part.measure.to_string();
            let parts = [one, other, &number, &part.unit, &changed_at];
            Digest::of_parts(&parts.map(|part| part.as_bytes()))
        });
        let rows: Vec<Digest> = rows.collect();
        Digest::of_parts(&rows.iter().map(|row| row.as_bytes().as_slice()).collect::<Vec<_>>())
    }
}

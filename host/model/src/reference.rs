//! Rows of reference tables: what customers, items and stock look like to
//! validation and to plugins. Typed values, so that nobody parses text twice.

use serde::{Deserialize, Serialize};

use crate::Instant;
use crate::value::{Date, Decimal, text};

/// The table of credit accounts: finance's figures, each row with its `as-of`.
pub const CREDIT_TABLE: &str = "credit";

/// How far the clocks of two systems may be apart that are both taken to be right.
pub const CLOCKS_DIFFER_MS: i64 = 5 * Instant::MINUTE_MS;

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "value")]
pub enum FieldValue {
    /// Text.
    Text(String),
    /// A whole number.
    Whole(#[serde(with = "text")] i64),
    /// A decimal number.
    Number(Decimal),
    /// A date.
    Day(Date),
    /// Yes or no.
    Flag(bool),
}

/// One named value of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// Its value in this row.
    pub value: FieldValue,
}

/// A row, without its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(pub Vec<Field>);

impl Row {
    /// The value of a column.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.0.iter().find(|field| field.name == name).map(|field| &field.value)
    }

    /// The text in a column.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            FieldValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The decimal number in a column.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<Decimal> {
        match self.get(name)? {
            FieldValue::Number(number) => Some(*number),
            FieldValue::Whole(units) => Some(Decimal { units: *units, scale: 0 }),
            _ => None,
        }
    }

    /// A whole number; none when the field is missing or something else.
    #[must_use]
    pub fn whole(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(FieldValue::Whole(number)) => Some(*number),
            _ => None,
        }
    }

    /// When what the row says was so, by the clock of whoever made it: its column `as-of`, text
    /// in RFC 3339. None for rows that do not say so.
    #[must_use]
    pub fn as_of(&self) -> Option<Instant> {
        self.text("as-of").and_then(|text| Instant::parse(text).ok())
    }

    /// The flag in a column.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            FieldValue::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

impl Row {
    /// Its JSON, as the store keeps it.
    ///
    /// # Errors
    /// None in practice; the serializer's signature has one.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads what [`Row::to_json`] wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

//! Reference tables of the host: customers, items, stock, whatever the platform
//! team granted. Every answer is recorded with the decision that used it.
//!
//! The manifest declares the tables: `[imports] lookup = ["customer"]`.

use crate::types::{Date, Decimal};

pub use crate::bindings::shared::portreeve::plugin::lookup::{Field, FieldValue, LookupError};

/// The row of `table` with this key, or none. Keys are compared byte by byte.
///
/// # Errors
/// When the table is not granted, doesn't exist, or can't be read now; `?`
/// turns each into the right [`Failure`](crate::Failure).
pub fn lookup(table: &str, key: &str) -> Result<Option<Row>, LookupError> {
    let answer = crate::bindings::shared::portreeve::plugin::lookup::get(table, key)?;
    Ok(answer.map(Row::from))
}

/// A row of a reference table. A field that is missing or has another type is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    fields: Vec<Field>,
}

impl From<Vec<Field>> for Row {
    fn from(fields: Vec<Field>) -> Self {
        Self { fields }
    }
}

impl Row {
    /// A text field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            FieldValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole-number field.
    #[must_use]
    pub fn whole(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            FieldValue::Whole(number) => Some(*number),
            _ => None,
        }
    }

    /// A decimal-number field.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<Decimal> {
        match self.value(name)? {
            FieldValue::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A date field.
    #[must_use]
    pub fn day(&self, name: &str) -> Option<Date> {
        match self.value(name)? {
            FieldValue::Day(day) => Some(*day),
            _ => None,
        }
    }

    /// A yes-or-no field.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            FieldValue::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    fn value(&self, name: &str) -> Option<&FieldValue> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_another_type_is_none() {
        let row = Row::from(vec![Field { name: "class".to_owned(), value: FieldValue::Text("priority".to_owned()) }]);
        assert_eq!(row.text("class"), Some("priority"));
        assert_eq!(row.whole("class"), None);
        assert_eq!(row.text("country"), None);
    }
}

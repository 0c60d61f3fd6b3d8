//! A row of a list that its transformer found and could not read, so that one of them does not take
//! all others with it.
//!
//! ```json
//! {"of":"invoice.posted","number":"PS-INV103001","order":"6fa459ea-…","changedAt":"1772438402000","code":"currency-missing","why":"found no currency; expected …"}
//! ```
//!
//! It is the body of an event of kind [`UnreadableRow::KIND`] in a list that is asked for to be compared.
//! It names its row as the event would that it could not become; a row of which not even that can be
//! told ends the whole list, since nobody would know what of it is missing. Among what a channel brings it
//! means nothing.

use serde::{Deserialize, Serialize};

use crate::legible::is_legible;
use crate::value::text_option;

/// Bytes of a name, as of any identifier.
const NAME_BYTES_MAX: usize = 256;

/// Bytes of a code.
const CODE_BYTES_MAX: usize = 64;

/// Bytes of a sentence for a person.
const WHY_BYTES_MAX: usize = 1_024;

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnreadableRow {
    /// The event that it would be, for example `invoice.posted`.
    pub of: String,
    /// What names it among those: the number of an order, invoice, shipment or refund, the reference of a
    /// payment, an item.
    pub number: String,
    /// The order that it is about, where that is not it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Where an item is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When it changed last, milliseconds since 1970, where its system says so: what changed a moment ago may be
    /// under way, or being written, and is not told before it has settled.
    #[serde(default, with = "text_option", skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<i64>,
    /// What is wrong, as a code.
    pub code: String,
    /// The same in a sentence.
    pub why: String,
}

/// Why some bytes are no such row.
#[derive(Debug, thiserror::Error)]
pub enum NotARow {
    /// They are no such JSON.
    #[error("a row that could not be read is told in other JSON than that of such a row: {0}")]
    Json(#[from] serde_json::Error),
    /// A text is empty, too long, or has characters that nobody should read.
    #[error("`{0}` of a row that could not be read is empty, too long or has control characters")]
    Text(&'static str),
}

impl UnreadableRow {
    /// The kind of the event that has one as its body.
    pub const KIND: &str = "list.unreadable-row";

    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(bytes: &[u8]) -> Result<Self, NotARow> {
        let read: Self = serde_json::from_slice(bytes)?;
        let texts = [
            ("of", Some(&read.of), NAME_BYTES_MAX),
            ("number", Some(&read.number), NAME_BYTES_MAX),
            ("order", read.order.as_ref(), NAME_BYTES_MAX),
            ("node", read.node.as_ref(), NAME_BYTES_MAX),
            ("code", Some(&read.code), CODE_BYTES_MAX),
            ("why", Some(&read.why), WHY_BYTES_MAX),
        ];
        for (name, text, most) in texts {
            if !text.is_none_or(|text| is_legible(text, most)) {
                return Err(NotARow::Text(name));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_row_is_named_and_its_fault_told_in_texts_that_people_can_read() {
        let row = |of: &str, why: &str| {
            UnreadableRow::from_json(format!(r#"{{"of":"{of}","number":"I-1","code":"bad","why":"{why}"}}"#).as_bytes())
        };
        let read = row("invoice.posted", "found no currency").unwrap();
        assert_eq!((read.number.as_str(), read.order, read.node, read.changed_at), ("I-1", None, None, None));
        let at = |at: &str| {
            let text = format!(r#"{{"of":"a","number":"1","changedAt":{at},"code":"b","why":"c"}}"#);
            UnreadableRow::from_json(text.as_bytes()).map(|row| row.changed_at)
        };
        assert_eq!(at(r#""1772438402000""#).unwrap(), Some(1_772_438_402_000));
        assert!(at(r#""yesterday""#).is_err() && at("1.5").is_err());
        for (of, why) in [("", "x"), ("invoice.posted", ""), ("invoice.posted", r"a\u0007"), ("x", &"y".repeat(1_025))]
        {
            assert!(row(of, why).is_err(), "{of} {why}");
        }
        assert!(UnreadableRow::from_json(br#"{"of":"a","number":"1","code":"b","why":"c","more":1}"#).is_err());
        assert!(UnreadableRow::from_json(b"[]").is_err());
    }
}

//! A line of the ERP's sales documents, posted or not. Each list has some of its members; what one
//! leaves out is none here, and whoever needs it says so.

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line<'a> {
    pub(crate) sequence: u32,
    pub(crate) line_type: String,
    #[serde(default)]
    pub(crate) line_object_number: String,
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) unit_of_measure_code: String,
    #[serde(borrow)]
    pub(crate) quantity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) shipped_quantity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) unit_price: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) amount_excluding_tax: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) invoice_discount_allocation: Option<&'a RawValue>,
}

impl Line<'_> {
    /// The order's own number of it, where the document has these, and otherwise the ERP's.
    pub(crate) fn number(&self, is_numbered: bool) -> u32 {
        let is_its_own = is_numbered && self.sequence.is_multiple_of(10);
        if is_its_own { self.sequence / 10 } else { self.sequence }
    }

    /// What a comment says behind these words.
    pub(crate) fn says(&self, words: &str) -> Option<&str> {
        self.description.as_deref()?.strip_prefix(words)
    }
}

//! In which unit an order's items are sold, which Commerce does not say.

use std::collections::BTreeMap;

use portreeve_sdk::transformer::*;

/// The units of an order's items.
pub(crate) struct Units<'a> {
    /// By SKU, as the table `item` has it.
    listed: BTreeMap<String, String>,
    /// Of all others, as it is agreed with the shop.
    agreed: Option<&'a str>,
}

impl<'a> Units<'a> {
    /// Looks up those of some SKUs; `agreed` is the unit of what the table does not have.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) fn of(skus: impl Iterator<Item = String>, agreed: Option<&'a str>) -> Result<Self, Failure> {
        let mut listed = BTreeMap::new();
        for sku in skus {
            if let Some(unit) = lookup("item", &sku)?.as_ref().and_then(|row| row.text("unit")) {
                listed.insert(sku, unit.to_owned());
            }
        }
        Ok(Self { listed, agreed })
    }

    /// The unit of an item, where somebody says it.
    pub(crate) fn unit(&self, sku: &str) -> Option<&str> {
        self.listed.get(sku).map(String::as_str).or(self.agreed)
    }
}

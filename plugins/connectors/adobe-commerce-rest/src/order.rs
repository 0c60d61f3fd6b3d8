//! The shop's order, as far as it is looked at.

use std::collections::BTreeMap;

use portreeve_sdk::connector::*;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::effect::{Item, Named, Total};

/// The product whose parts are refunded, not it.
const BUNDLE: &str = "bundle";

/// Digits of an id: Commerce's are of 32 bits.
const ID_DIGITS_MAX: usize = 10;

/// An id of the shop's: a whole number, or the same as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(String);

impl Id {
    /// Reads `3` or `"3"`.
    pub(crate) fn read(json: &str) -> Option<Self> {
        let digits = json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(json);
        let is_id = (1..=ID_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        is_id.then(|| Self(digits.to_owned()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <Box<RawValue>>::deserialize(deserializer)?;
        Self::read(raw.get()).ok_or_else(|| D::Error::custom("no id"))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[derive(Deserialize)]
pub(crate) struct Order {
    pub(crate) entity_id: Id,
    pub(crate) increment_id: String,
    store_id: Option<Id>,
    pub(crate) ext_order_id: Option<String>,
    state: Option<String>,
    pub(crate) status: Option<String>,
    order_currency_code: Option<String>,
    base_currency_code: Option<String>,
    grand_total: Option<Box<RawValue>>,
    total_invoiced: Option<Box<RawValue>>,
    items: Vec<ShopItem>,
}

#[derive(Deserialize)]
struct ShopItem {
    item_id: Id,
    parent_item_id: Option<Id>,
    product_type: Option<String>,
    /// 1, or `true`, where less than one is sold.
    is_qty_decimal: Option<Box<RawValue>>,
    qty_ordered: Option<Box<RawValue>>,
    qty_invoiced: Option<Box<RawValue>>,
    qty_canceled: Option<Box<RawValue>>,
}

impl Order {
    pub(crate) fn is_called(&self, named: &Named) -> bool {
        let store = self.store_id.as_ref().map(Id::text);
        self.increment_id == named.increment_id && (named.store_id.is_none() || store == named.store_id.as_deref())
    }

    pub(crate) fn is_canceled(&self) -> bool {
        self.state.as_deref() == Some("canceled")
    }

    /// That each item is one of the order, and so much of it as the shop can count.
    ///
    /// # Errors
    /// When one is not: the shop's customer would be told of something else.
    pub(crate) fn has(&self, items: &[Item]) -> Result<(), Failure> {
        for item in items {
            let id = item.order_item_id.text();
            let Some(known) = self.items.iter().find(|known| known.item_id == item.order_item_id) else {
                return Err(Failure::permanent(format!(
                    "item-unknown: the shop's order has no item {id}; expected the `item_id` of one, nothing was sent"
                )));
            };
            // The shop would leave out what is behind the point.
            if !known.is_sold_in_parts() && number(Some(&item.qty))? % ONE != 0 {
                return Err(Failure::permanent(format!(
                    "part-of-an-item: found less than one of item {id}, which the shop sells whole; expected whole ones"
                )));
            }
        }
        Ok(())
    }

    /// An item to hang a refund of no goods on.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn refundable(&self) -> Result<&Id, Failure> {
        let own = |item: &&ShopItem| item.parent_item_id.is_none() && item.product_type.as_deref() != Some(BUNDLE);
        self.items.iter().find(own).map(|item| &item.item_id).ok_or_else(|| {
            Failure::permanent("no-item: the shop's order has bundles only; refund it in the shop, with their parts")
        })
    }

    /// That an amount is of the one currency in which order and shop count.
    ///
    /// # Errors
    /// When it is not: the shop would convert it at a rate of its own.
    pub(crate) fn counts_in(&self, total: &Total) -> Result<(), Failure> {
        let (order, base) = (self.order_currency_code.as_deref(), self.base_currency_code.as_deref());
        if order == Some(total.currency.as_str()) && base == order {
            return Ok(());
        }
        Err(Failure::permanent(format!(
            "other-currency: found {}, and an order in {} of a shop in {}; expected the same, the shop would convert it",
            total.currency,
            order.unwrap_or("no currency"),
            base.unwrap_or("no currency")
        )))
    }

    /// That an invoice is of what the order still amounts to, where it leaves nothing open; of a
    /// part the shop alone knows the amount.
    ///
    /// # Errors
    /// When it is of another amount, or captures one that nobody knows.
    pub(crate) fn amounts_to(&self, items: &[Item], total: &Total, captures: bool) -> Result<(), Failure> {
        if !self.leaves_nothing(items)? {
            return match captures {
                false => Ok(()),
                true => Err(Failure::permanent(
                    "capture-of-a-part: the shop alone computes what a part of the order costs; capture it there, or \
                     leave `capture` unset",
                )),
            };
        }
        let open = number(self.grand_total.as_deref())? - number(self.total_invoiced.as_deref())?;
        let ours = number(Some(&total.amount))?;
        if open == ours {
            return Ok(());
        }
        let currency = &total.currency;
        let (open, ours) = (shown(open, currency), shown(ours, currency));
        Err(Failure::permanent(format!(
            "other-amount: the rest of the shop's order comes to {open}, the invoice to {ours}; expected the same, \
             invoice it in the shop"
        )))
    }

    fn leaves_nothing(&self, items: &[Item]) -> Result<bool, Failure> {
        let now: BTreeMap<&Id, &RawValue> = items.iter().map(|item| (&item.order_item_id, &*item.qty)).collect();
        for item in self.items.iter().filter(|item| item.parent_item_id.is_none()) {
            let done = number(item.qty_invoiced.as_deref())? + number(item.qty_canceled.as_deref())?;
            let now = number(now.get(&item.item_id).copied())?;
            if done + now < number(item.qty_ordered.as_deref())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl ShopItem {
    fn is_sold_in_parts(&self) -> bool {
        self.is_qty_decimal.as_ref().is_some_and(|flag| matches!(flag.get(), "1" | "true" | "\"1\""))
    }
}

/// Decimal places of [`number`]: all that the contract has.
const PLACES: u8 = 9;
const ONE: i128 = 1_000_000_000;

/// A number of the shop's in billionths, without a float; none is 0.
fn number(found: Option<&RawValue>) -> Result<i128, Failure> {
    let Some(found) = found.filter(|found| found.get() != "null") else { return Ok(0) };
    let digits = found.get().trim_matches('"');
    let read = money::decimal(digits).ok().filter(|read| read.scale <= PLACES).ok_or_else(|| {
        Failure::permanent("the shop's order has an amount or a quantity that is no number of at most 9 places")
    })?;
    Ok(i128::from(read.units) * 10_i128.pow(u32::from(PLACES - read.scale)))
}

/// The same as an amount for people.
fn shown(number: i128, currency: &str) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let (whole, rest) = (number.abs() / ONE, number.abs() % ONE);
    let text = format!("{sign}{whole}.{rest:09}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{} {currency}", money::in_words(text, currency).unwrap_or_else(|_| text.to_owned()))
}

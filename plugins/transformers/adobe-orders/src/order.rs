//! The order: customer, addresses, lines, totals.

use portreeve_sdk::transformer::*;

use crate::payment;
use crate::source::{Shipping, SourceAddress, SourceItem, SourceOrder, Token};
use crate::unit::Units;

/// The customer of orders without an account. Their addresses are theirs, but
/// no identifier is made of an e-mail address: it would be personal data in
/// every key and index.
const GUEST: &str = "guest";

/// Reads a whole order.
///
/// # Errors
/// `invalid` with every problem that was found.
pub(crate) fn read(source: &SourceOrder<'_>, units: &Units<'_>) -> Result<Order, Failure> {
    let mut reader = Reader { currency: String::new(), problems: vec![], extensions: vec![] };
    reader.currency = reader.currency(source.order_currency_code, "order_currency_code");
    let shipping = shipping(source);
    let order = Order {
        number: reader.required(source.increment_id, "increment_id"),
        release: None,
        customer: customer(source),
        bill_to: source.billing_address.as_ref().map(address),
        ship_to: shipping.and_then(|shipping| shipping.address.as_ref()).map(address),
        placed_at: reader.instant(source.created_at, "created_at"),
        requested_delivery: reader.day(source),
        cancel_after: None,
        currency: reader.currency.clone(),
        lines: reader.lines(&source.items, units),
        totals: OrderTotals {
            lines: reader.amount(source.subtotal, "subtotal"),
            shipping: reader.amount(source.shipping_amount, "shipping_amount"),
            tax: reader.amount(source.tax_amount, "tax_amount"),
            // Commerce writes a discount as a negative amount.
            discount: reader.amount(source.discount_amount, "discount_amount").map(magnitude),
            grand: reader.amount(source.grand_total, "grand_total"),
        },
        payment: payment::read(source, &mut reader),
        sender_state: text(source.state),
        notes: text(source.customer_note).into_iter().collect(),
        extensions: vec![],
    };
    reader.facts(source, shipping);
    if reader.problems.is_empty() {
        Ok(Order { extensions: reader.extensions, ..order })
    } else {
        Err(Failure::Invalid(reader.problems))
    }
}

/// Reads the wish to cancel that a cancelled order states.
pub(crate) fn cancellation(source: &SourceOrder<'_>) -> Result<CancelRequest, Failure> {
    let missing = || Failure::invalid(Problem::new("field-missing", "`increment_id` is missing", "increment_id"));
    Ok(CancelRequest {
        order_number: text(source.increment_id).ok_or_else(missing)?,
        reason: text(source.status),
        line_numbers: vec![],
        extensions: vec![],
    })
}

/// Reads fields and collects what is wrong with them.
pub(crate) struct Reader {
    currency: String,
    problems: Vec<Problem>,
    extensions: Vec<Extension>,
}

impl Reader {
    fn problem(&mut self, code: &str, message: impl Into<String>, path: &str) {
        self.problems.push(Problem::new(code, message, path));
    }

    fn required(&mut self, token: Option<Token<'_>>, path: &str) -> String {
        text(token).unwrap_or_else(|| {
            self.problem("field-missing", format!("`{path}` is missing"), path);
            String::new()
        })
    }

    fn currency(&mut self, token: Option<Token<'_>>, path: &str) -> String {
        let code = self.required(token, path);
        if !code.is_empty() && iso_currency::Currency::from_code(&code).is_none() {
            self.problem("unknown-currency", format!("`{path}` is no currency code of ISO 4217 such as USD"), path);
        }
        code
    }

    /// An amount in minor units. Commerce keeps four places: what is finer than
    /// the minor unit is rounded, and its digits are kept beside it.
    pub(crate) fn amount(&mut self, token: Option<Token<'_>>, path: &str) -> Option<Money> {
        let digits = text(token)?;
        let places = money::minor_digits(&self.currency);
        let rounded = money::unit_price(&digits, &self.currency, 1)
            .and_then(|price| money::extended(&price, &Quantity { value: 1, scale: 0, unit: String::new() }, places));
        match rounded {
            Ok(amount) => {
                if money::from_major(&digits, &self.currency, places).is_err() {
                    self.keep(path, digits);
                }
                Some(amount)
            }
            Err(error) => {
                self.problem("bad-amount", error.to_string(), path);
                None
            }
        }
    }

    /// `2017-08-21 22:22:19`, UTC as Commerce stores it.
    fn instant(&mut self, token: Option<Token<'_>>, path: &str) -> Option<InstantMs> {
        let written = text(token)?;
        let read = instant(&written);
        if read.is_none() {
            self.problem("bad-time", format!("`{path}` is no time such as 2026-03-02 09:15:00"), path);
        }
        read
    }

    /// The date that a delivery-date extension of the shop adds.
    fn day(&mut self, source: &SourceOrder<'_>) -> Option<Date> {
        let written = text(source.extension_attributes.as_ref()?.requested_delivery_date)?;
        let read = written.get(..10).and_then(date::parse);
        if read.is_none() {
            let path = "extension_attributes.requested_delivery_date";
            self.problem("bad-date", "the requested date is no date such as 2026-03-02", path);
        }
        read
    }

    fn lines(&mut self, items: &[SourceItem<'_>], units: &Units<'_>) -> Vec<OrderLine> {
        let lines: Vec<OrderLine> = sold(items).filter_map(|(index, item)| self.line(item, index, units)).collect();
        if lines.is_empty() && self.problems.is_empty() {
            self.problem("lines-missing", "the order has no items; expected at least one", "items");
        }
        lines
    }

    fn line(&mut self, item: &SourceItem<'_>, index: usize, units: &Units<'_>) -> Option<OrderLine> {
        let path = |field: &str| format!("items[{index}].{field}");
        let sku = self.required(item.sku, &path("sku"));
        let unit = units.unit(&sku);
        if unit.is_none() && !sku.is_empty() {
            let message = "found an item of which nobody says in which unit the shop sells it; expected it in the \
                           table `item`, or the channel's setting `unit`";
            self.problem("unit-missing", message, &path("sku"));
        }
        let written =
            (self.required(item.qty_ordered, &path("qty_ordered")), self.required(item.price, &path("price")));
        let quantity = money::quantity(&written.0, unit.unwrap_or_default());
        let price = money::unit_price(&written.1, &self.currency, 1);
        let (quantity, unit_price) = match (quantity, price) {
            (Ok(quantity), Ok(price)) => (quantity, price),
            (quantity, price) => {
                for (error, field) in [(quantity.err(), "qty_ordered"), (price.err(), "price")] {
                    if let Some(error) = error {
                        self.problem("bad-number", error.to_string(), &path(field));
                    }
                }
                return None;
            }
        };
        let facts = [
            ("product_type", item.product_type),
            ("discount_amount", item.discount_amount),
            ("tax_amount", item.tax_amount),
        ];
        let facts = facts
            .into_iter()
            .filter_map(|(name, token)| Some(extension(name, text(token).filter(|value| !is_zero(value))?)));
        Some(OrderLine {
            number: text(item.item_id).unwrap_or_else(|| (index + 1).to_string()),
            sku,
            buyer_sku: None,
            description: text(item.name),
            quantity,
            unit_price,
            extended: self.amount(item.row_total, &path("row_total")),
            requested_delivery: None,
            extensions: facts.collect(),
        })
    }

    /// What the canonical order has no field for.
    fn facts(&mut self, source: &SourceOrder<'_>, shipping: Option<&Shipping<'_>>) {
        let facts = [
            ("status", source.status),
            ("store_id", source.store_id),
            ("customer_group_id", source.customer_group_id),
            ("coupon_code", source.coupon_code),
            ("remote_ip", source.remote_ip),
            ("replaces", source.relation_parent_real_id),
            ("po_number", source.payment.as_ref().and_then(|payment| payment.po_number)),
            ("shipping_method", shipping.and_then(|shipping| shipping.method)),
        ];
        for (name, token) in facts {
            if let Some(value) = text(token) {
                self.keep(name, value);
            }
        }
    }

    fn keep(&mut self, name: &str, value: String) {
        self.extensions.push(extension(name, value));
    }
}

pub(crate) fn extension(name: &str, value: String) -> Extension {
    Extension { name: format!("adobe:{name}"), value }
}

pub(crate) fn text(token: Option<Token<'_>>) -> Option<String> {
    token.and_then(Token::text)
}

/// The items that were sold, with their places.
fn sold<'a, 'b>(items: &'a [SourceItem<'b>]) -> impl Iterator<Item = (usize, &'a SourceItem<'b>)> {
    items.iter().enumerate().filter(move |(_, item)| !is_part(item, items))
}

/// What the order is of.
pub(crate) fn skus(source: &SourceOrder<'_>) -> impl Iterator<Item = String> {
    sold(&source.items).filter_map(|(_, item)| text(item.sku))
}

/// Whether an item is part of another one that is in the order too.
fn is_part(item: &SourceItem<'_>, items: &[SourceItem<'_>]) -> bool {
    let parent = text(item.parent_item_id);
    parent.is_some() && items.iter().any(|other| text(other.item_id) == parent)
}

pub(crate) fn shipping<'a, 'b>(source: &'a SourceOrder<'b>) -> Option<&'a Shipping<'b>> {
    source.extension_attributes.as_ref()?.shipping_assignments.as_ref()?.first()?.shipping.as_ref()
}

fn customer(source: &SourceOrder<'_>) -> Customer {
    let guest = source.customer_is_guest.is_some_and(Token::is_set);
    let id = text(source.customer_id).filter(|_| !guest).unwrap_or_else(|| GUEST.to_owned());
    let company = source.billing_address.as_ref().and_then(|address| text(address.company));
    let phone = source.billing_address.as_ref().and_then(|address| text(address.telephone));
    let name = company.or_else(|| joined(source.customer_firstname, source.customer_lastname));
    Customer { id, name, email: text(source.customer_email), phone }
}

fn address(source: &SourceAddress<'_>) -> Address {
    Address {
        id: text(source.customer_address_id),
        name: text(source.company).or_else(|| joined(source.firstname, source.lastname)),
        lines: source.street.map(Token::texts).unwrap_or_default(),
        city: text(source.city),
        region: text(source.region_code).or_else(|| text(source.region)),
        postal_code: text(source.postcode),
        country: text(source.country_id).and_then(country),
    }
}

/// ISO 3166-1 alpha-2, or none: the contract takes nothing else.
pub(crate) fn country(code: String) -> Option<String> {
    (code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(code)
}

fn joined(first: Option<Token<'_>>, last: Option<Token<'_>>) -> Option<String> {
    let names: Vec<String> = [text(first), text(last)].into_iter().flatten().collect();
    (!names.is_empty()).then(|| names.join(" "))
}

/// Commerce writes every amount of every line, most of them as zero.
fn is_zero(text: &str) -> bool {
    money::decimal(text).is_ok_and(|number| number.units == 0)
}

fn magnitude(amount: Money) -> Money {
    Money { minor: amount.minor.saturating_abs(), ..amount }
}

pub(crate) fn instant(text: &str) -> Option<InstantMs> {
    let day = date::parse(text.get(..10)?)?;
    let time = text.get(10..)?.trim_start_matches(['T', ' ']);
    let mut parts = time.get(..8)?.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    (hour < 24 && minute < 60 && second < 60).then(|| date::at(day, hour, minute, second))
}

//! The shop's books: orders, and what was made of them.
//!
//! Which quantities and amounts are taken, and the words of a refusal, are those of Magento's
//! validators (`Magento\Sales\Model\Order\…\Validation`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};
use std::sync::Arc;

use portreeve_model::Instant;
use portreeve_model::value::Decimal;
use portreeve_pipeline::Clock;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::{Refusal, order};
use super::returns::ShopReturn;
use super::stock::Stock;
use crate::standins::mischief::{Mischief, Trick};

/// Orders, documents, returns, comments and counted attempts that are kept, each. A sender in a loop
/// meets a refusal before the process runs out of memory.
pub(super) const KEPT_MAX: usize = 100_000;

/// A quantity or an amount, in ten thousandths: the places of Magento's columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fixed(i128);

const FACTOR: i128 = 10_000;
const PLACES: u8 = 4;

impl Fixed {
    const NOTHING: Self = Self(0);

    /// Reads a number or a text of one; what is finer is rounded, as a column does.
    pub(super) fn read(json: &RawValue) -> Option<Self> {
        let Decimal { units, scale } = Decimal::parse(json.get().trim_matches('"')).ok()?;
        let units = i128::from(units);
        let Some(finer) = scale.checked_sub(PLACES) else {
            return Some(Self(units * 10_i128.pow(u32::from(PLACES - scale))));
        };
        let divisor = 10_i128.pow(u32::from(finer));
        Some(Self((units + units.signum() * (divisor / 2)) / divisor))
    }

    /// What others count; what is finer is left out.
    pub(super) fn of(decimal: &Decimal) -> Self {
        let Decimal { units, scale } = *decimal;
        let (units, power) = (i128::from(units), 10_i128.saturating_pow(u32::from(scale.abs_diff(PLACES))));
        Self(if scale > PLACES { units / power } else { units.saturating_mul(power) })
    }

    /// The same as others count.
    #[must_use]
    pub fn decimal(self) -> Decimal {
        Decimal { units: i64::try_from(self.0).unwrap_or(i64::MAX), scale: PLACES }
    }

    /// Without what is behind the point.
    fn whole(self) -> Self {
        Self(self.0 / FACTOR * FACTOR)
    }

    /// So much of an amount as a part is of a whole.
    fn share(self, part: Self, whole: Self) -> Self {
        if whole.0 == 0 { Self::NOTHING } else { Self(self.0.saturating_mul(part.0) / whole.0) }
    }
}

impl Add for Fixed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Fixed {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Fixed {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::NOTHING, Add::add)
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:04}", self.0.abs() / FACTOR, self.0.abs() % FACTOR)
    }
}

/// An order as the shop keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopOrder {
    /// Its id.
    pub entity_id: u64,
    /// Its number, which its customer knows.
    pub increment_id: String,
    /// Where it was placed.
    pub store_id: u64,
    /// Another system's id of it.
    pub ext_order_id: Option<String>,
    /// `new`, `processing`, `complete` or `canceled`.
    pub state: &'static str,
    /// The shop's own word for that; none where somebody cleared it.
    pub status: Option<String>,
    /// ISO 4217, of the order and of the shop.
    pub currency: String,
    /// That of the shop.
    pub base_currency: String,
    /// What it comes to.
    pub grand_total: Fixed,
    /// What was invoiced of that.
    pub total_invoiced: Fixed,
    /// What was captured of that.
    pub total_paid: Fixed,
    /// What went back of that.
    pub total_refunded: Fixed,
    /// Its items.
    pub items: Vec<ShopItem>,
    /// Its history.
    pub history: Vec<ShopComment>,
    /// When it was placed.
    pub created_at: Instant,
    /// When anything of it last changed.
    pub updated_at: Instant,
    /// Its words when it was placed.
    pub placed: Value,
}

/// An item of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopItem {
    /// Its id.
    pub item_id: u64,
    /// The item that it is a part of.
    pub parent_item_id: Option<u64>,
    /// `simple`, `configurable`, `bundle`.
    pub product_type: String,
    /// What it is.
    pub sku: String,
    /// Whether less than one is sold.
    pub is_qty_decimal: bool,
    /// What all of it costs.
    pub row_total: Fixed,
    /// How much was ordered.
    pub ordered: Fixed,
    /// How much left.
    pub shipped: Fixed,
    /// How much was invoiced.
    pub invoiced: Fixed,
    /// How much came back.
    pub refunded: Fixed,
    /// How much was cancelled.
    pub canceled: Fixed,
}

/// A comment of an order's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopComment {
    /// Its text.
    pub comment: String,
    /// The order's status from then on.
    pub status: Option<String>,
    /// The order.
    pub parent_id: u64,
    /// Whether the customer gets a mail.
    pub notified: bool,
    /// Whether he sees it.
    pub visible: bool,
}

/// What can be made of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShopDocumentKind {
    /// Goods that left.
    Shipment,
    /// What has to be paid.
    Invoice,
    /// What went back.
    CreditMemo,
}

/// A shipment, an invoice or a credit memo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopDocument {
    /// What it is.
    pub kind: ShopDocumentKind,
    /// Its id, of a series of its kind.
    pub entity_id: u64,
    /// Its order.
    pub order_id: u64,
    /// How much of which item.
    pub items: Vec<(u64, Fixed)>,
    /// Its comments.
    pub comments: Vec<String>,
    /// Number, title and carrier's code of each track.
    pub tracks: Vec<(String, String, String)>,
    /// What it comes to; of a shipment nothing.
    pub grand_total: Fixed,
    /// The request that made it.
    pub request: String,
}

impl ShopDocumentKind {
    pub(super) fn listed_as(list: &str) -> Option<Self> {
        match list {
            "shipments" => Some(Self::Shipment),
            "invoices" => Some(Self::Invoice),
            "creditmemos" => Some(Self::CreditMemo),
            _ => None,
        }
    }

    pub(super) fn made_by(act: &str) -> Option<Self> {
        match act {
            "ship" => Some(Self::Shipment),
            "invoice" => Some(Self::Invoice),
            "refund" => Some(Self::CreditMemo),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Shipment => "Shipment",
            Self::Invoice => "Invoice",
            Self::CreditMemo => "Creditmemo",
        }
    }
}

impl ShopItem {
    /// How much is left of it for a document. A part of another item goes with that.
    fn open(&self, kind: ShopDocumentKind) -> Fixed {
        match kind {
            ShopDocumentKind::Shipment => self.ordered - self.shipped - self.canceled,
            ShopDocumentKind::Invoice => self.ordered - self.invoiced - self.canceled,
            ShopDocumentKind::CreditMemo => self.invoiced - self.refunded,
        }
    }

    fn take(&mut self, kind: ShopDocumentKind, qty: Fixed) {
        let taken = match kind {
            ShopDocumentKind::Shipment => &mut self.shipped,
            ShopDocumentKind::Invoice => &mut self.invoiced,
            ShopDocumentKind::CreditMemo => &mut self.refunded,
        };
        *taken = *taken + qty;
    }
}

/// What a document is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    items: Vec<AskedItem>,
    #[serde(default)]
    notify: bool,
    #[serde(default)]
    capture: bool,
    comment: Option<AskedComment>,
    #[serde(default)]
    tracks: Vec<AskedTrack>,
    #[serde(default)]
    arguments: AskedArguments,
}

#[derive(Deserialize)]
struct AskedItem {
    order_item_id: u64,
    qty: Box<RawValue>,
}

#[derive(Deserialize)]
struct AskedComment {
    comment: String,
}

#[derive(Deserialize)]
struct AskedTrack {
    track_number: String,
    title: String,
    carrier_code: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AskedArguments {
    shipping_amount: Option<Box<RawValue>>,
    adjustment_positive: Option<Box<RawValue>>,
    adjustment_negative: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AskedHistory {
    status_history: History,
}

#[derive(Deserialize)]
struct History {
    comment: String,
    is_customer_notified: u8,
    is_visible_on_front: u8,
    parent_id: u64,
    status: Option<String>,
}

#[derive(Deserialize)]
struct AskedEntity {
    entity: Entity,
}

#[derive(Deserialize)]
struct Entity {
    entity_id: u64,
    increment_id: Option<String>,
    ext_order_id: Option<String>,
}

/// What the shop's messages have around an order: a webhook's and an event's.
#[derive(Deserialize)]
struct Wrapping<'a> {
    #[serde(borrow)]
    order: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

/// An order as it is placed.
#[derive(Deserialize)]
struct Placed {
    entity_id: u64,
    increment_id: String,
    store_id: u64,
    state: String,
    status: Option<String>,
    order_currency_code: String,
    base_currency_code: String,
    grand_total: Box<RawValue>,
    items: Vec<PlacedItem>,
}

#[derive(Deserialize)]
struct PlacedItem {
    item_id: u64,
    parent_item_id: Option<u64>,
    product_type: String,
    sku: String,
    is_qty_decimal: Option<u8>,
    row_total: Option<Box<RawValue>>,
    qty_ordered: Box<RawValue>,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) orders: BTreeMap<u64, ShopOrder>,
    pub(super) documents: Vec<ShopDocument>,
    pub(super) returns: Vec<ShopReturn>,
    pub(super) stock: Stock,
    pub(super) mails: usize,
    pub(super) nonces: BTreeSet<String>,
    attempts: BTreeMap<String, u32>,
    numbers_lost: u64,
    time: Time,
}

/// The shop's clock: where nobody gave it one it stands where the stories of the tests begin.
#[derive(Default)]
struct Time(Option<Arc<dyn Clock>>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

/// 2026-03-02T08:00:00Z.
const MORNING: Instant = Instant(1_772_438_400_000);

impl Books {
    /// From now on it goes by this clock.
    pub(super) fn know_the_time(&mut self, clock: Arc<dyn Clock>) {
        self.time = Time(Some(clock));
    }

    pub(super) fn now(&self) -> Instant {
        self.time.0.as_ref().map_or(MORNING, |clock| clock.now())
    }

    /// Counts an attempt and says what happens to it.
    pub(super) fn trick(&mut self, mischief: &Mischief, act: &str) -> Result<Option<Trick>, Refusal> {
        let full = self.attempts.len() >= KEPT_MAX || self.documents.len() >= KEPT_MAX || self.nonces.len() >= KEPT_MAX;
        if full && !self.attempts.contains_key(act) {
            return Err(Refusal::full());
        }
        let count = self.attempts.entry(act.to_owned()).or_default();
        let attempt = *count;
        *count = count.saturating_add(1);
        Ok(mischief.trick(act, attempt))
    }

    pub(super) fn place(&mut self, json: &[u8]) -> Result<(), String> {
        let none = |error: serde_json::Error| format!("no order: {error}");
        let wrapping: Wrapping<'_> = serde_json::from_slice(json).map_err(none)?;
        let wrapped = wrapping.order.or_else(|| wrapping.event.map(|event| event.data.value));
        let json = wrapped.map_or(json, |order| order.get().as_bytes());
        let placed: Placed = serde_json::from_slice(json).map_err(none)?;
        let words: Value = serde_json::from_slice(json).map_err(none)?;
        let now = self.now();
        let state = ["new", "processing", "complete", "canceled"].into_iter().find(|state| *state == placed.state);
        let items: Option<Vec<ShopItem>> = placed.items.into_iter().map(placed_item).collect();
        let order = ShopOrder {
            entity_id: placed.entity_id,
            increment_id: placed.increment_id,
            store_id: placed.store_id,
            ext_order_id: None,
            state: state.ok_or("the order's state is none of the stand-in's")?,
            status: placed.status,
            currency: placed.order_currency_code,
            base_currency: placed.base_currency_code,
            grand_total: Fixed::read(&placed.grand_total).ok_or("the order's total is no number")?,
            total_invoiced: Fixed::NOTHING,
            total_paid: Fixed::NOTHING,
            total_refunded: Fixed::NOTHING,
            items: items.ok_or("a quantity or an amount of the order is no number")?,
            history: vec![],
            created_at: now,
            updated_at: now,
            placed: words,
        };
        if self.orders.len() >= KEPT_MAX || self.orders.contains_key(&order.entity_id) {
            return Err("an order of this id is there already, or the stand-in keeps no more".to_owned());
        }
        self.orders.insert(order.entity_id, order);
        Ok(())
    }

    /// Writes what is said into an order. Nothing else of it changes, but a number that is not said.
    pub(super) fn save(&mut self, body: &[u8]) -> Result<Value, Refusal> {
        let (AskedEntity { entity }, now) = (parsed(body)?, self.now());
        let lost = self.numbers_lost.saturating_add(u64::from(entity.increment_id.is_none()));
        let found = self.orders.get_mut(&entity.entity_id).ok_or_else(Refusal::no_entity)?;
        self.numbers_lost = lost;
        found.increment_id = entity.increment_id.unwrap_or_else(|| format!("9{lost:08}"));
        found.ext_order_id = entity.ext_order_id.or_else(|| found.ext_order_id.take());
        found.updated_at = now;
        Ok(order(found))
    }

    pub(super) fn comment(&mut self, id: u64, body: &[u8]) -> Result<Value, Refusal> {
        let (AskedHistory { status_history: asked }, now) = (parsed(body)?, self.now());
        let found = self.orders.get_mut(&id).ok_or_else(Refusal::no_entity)?;
        let of_state = |status: &String| statuses(found.state).contains(&status.as_str());
        if let Some(status) = asked.status.as_ref().filter(|status| !of_state(status)) {
            let message = "Unable to add comment: The status \"%1\" is not part of the order status history.";
            return Err(Refusal::bad(message, &[status]));
        }
        if found.history.len() >= KEPT_MAX {
            return Err(Refusal::full());
        }
        found.status.clone_from(&asked.status);
        let (notified, visible) = (asked.is_customer_notified != 0, asked.is_visible_on_front != 0);
        self.mails = self.mails.saturating_add(usize::from(notified));
        let (comment, status, parent_id) = (asked.comment, asked.status, asked.parent_id);
        found.history.push(ShopComment { comment, status, parent_id, notified, visible });
        found.updated_at = now;
        Ok(json!(true))
    }

    /// Cancels what has not left; where there is no such thing it says no.
    pub(super) fn cancel(&mut self, id: u64) -> Result<Value, Refusal> {
        let now = self.now();
        let found = self.orders.get_mut(&id).ok_or_else(Refusal::no_entity)?;
        let is_open =
            |item: &ShopItem| item.parent_item_id.is_none() && item.open(ShopDocumentKind::Invoice) > Fixed(0);
        if matches!(found.state, "canceled" | "complete") || !found.items.iter().any(is_open) {
            return Ok(json!(false));
        }
        for item in &mut found.items {
            item.canceled = item.ordered - item.shipped.max(item.invoiced);
        }
        found.is("canceled");
        found.updated_at = now;
        Ok(json!(true))
    }

    /// Makes a shipment, an invoice or a credit memo.
    pub(super) fn document(&mut self, kind: ShopDocumentKind, id: u64, body: &[u8]) -> Result<Value, Refusal> {
        let (asked, now): (Asked, Instant) = (parsed(body)?, self.now());
        let entity_id = self.documents.iter().filter(|document| document.kind == kind).count() as u64 + 1;
        let found = self.orders.get_mut(&id).ok_or_else(Refusal::no_entity)?;
        let items = found.taken(kind, &asked)?;
        let grand_total = found.total(kind, &items, &asked)?;

        for (item, qty) in &items {
            for known in found.items.iter_mut().filter(|known| known.item_id == *item) {
                known.take(kind, *qty);
            }
        }
        found.pay(kind, grand_total, asked.capture);
        found.updated_at = now;
        self.mails = self.mails.saturating_add(usize::from(asked.notify));
        let tracks = asked.tracks.into_iter().map(|track| (track.track_number, track.title, track.carrier_code));
        self.documents.push(ShopDocument {
            kind,
            entity_id,
            order_id: id,
            items,
            comments: asked.comment.into_iter().map(|comment| comment.comment).collect(),
            tracks: tracks.collect(),
            grand_total,
            request: String::from_utf8_lossy(body).into_owned(),
        });
        Ok(json!(entity_id))
    }
}

impl ShopOrder {
    fn is(&mut self, state: &'static str) {
        self.state = state;
        self.status = statuses(state).first().map(|status| (*status).to_owned());
    }

    /// How much of which item a document takes, or everything that is wrong with that.
    fn taken(&self, kind: ShopDocumentKind, asked: &Asked) -> Result<Vec<(u64, Fixed)>, Refusal> {
        let mut messages = vec![];
        let mut taken = vec![];
        for item in &asked.items {
            let qty =
                Fixed::read(&item.qty).ok_or_else(|| Refusal::bad("The \"qty\" value's type is invalid.", &[]))?;
            let Some(known) = self.items.iter().find(|known| known.item_id == item.order_item_id) else {
                messages.push(format!("We can not found item \"{}\" in order.", item.order_item_id));
                continue;
            };
            let qty = if known.is_qty_decimal { qty } else { qty.whole() };
            if qty > known.open(kind) {
                messages.push(match kind {
                    ShopDocumentKind::Shipment => {
                        format!("We found an invalid quantity to ship for item \"{}\".", known.sku)
                    }
                    ShopDocumentKind::Invoice => format!(
                        "The quantity to invoice must not be greater than the uninvoiced quantity for product SKU \"{}\".",
                        known.sku
                    ),
                    ShopDocumentKind::CreditMemo => format!(
                        "The quantity to creditmemo must not be greater than the unrefunded quantity for product SKU \"{}\".",
                        known.sku
                    ),
                });
                continue;
            }
            taken.push((known.item_id, qty));
        }
        if asked.items.is_empty() {
            let own = self.items.iter().filter(|item| item.parent_item_id.is_none());
            taken.extend(own.map(|item| (item.item_id, item.open(kind))));
        }
        let nothing = taken.iter().map(|(_, qty)| *qty).sum::<Fixed>() <= Fixed::NOTHING;
        if nothing && kind != ShopDocumentKind::CreditMemo && messages.is_empty() {
            messages.push(format!("You can't create a {} without products.", kind.name().to_lowercase()));
        }
        if self.state == "canceled" {
            messages.push(format!("A {} cannot be created when an order has a status of canceled", kind.name()));
        }
        if messages.is_empty() { Ok(taken) } else { Err(Refusal::invalid(kind.name(), &messages)) }
    }

    /// What a document comes to: the last invoice to whatever is left of the order.
    fn total(&self, kind: ShopDocumentKind, items: &[(u64, Fixed)], asked: &Asked) -> Result<Fixed, Refusal> {
        let price = |(id, qty): &(u64, Fixed)| {
            let known = self.items.iter().find(|known| known.item_id == *id);
            known.map_or(Fixed::NOTHING, |known| known.row_total.share(*qty, known.ordered))
        };
        let goods: Fixed = items.iter().map(price).sum();
        let own = self.items.iter().filter(|item| item.parent_item_id.is_none());
        let open: Fixed = own.map(|item| item.open(kind)).sum();
        match kind {
            ShopDocumentKind::Shipment => Ok(Fixed::NOTHING),
            ShopDocumentKind::Invoice if items.iter().map(|(_, qty)| *qty).sum::<Fixed>() == open => {
                Ok(self.grand_total - self.total_invoiced)
            }
            ShopDocumentKind::Invoice => Ok(goods),
            ShopDocumentKind::CreditMemo => self.refund(goods, &asked.arguments),
        }
    }

    fn refund(&self, goods: Fixed, arguments: &AskedArguments) -> Result<Fixed, Refusal> {
        let number = |json: &Option<Box<RawValue>>| json.as_deref().and_then(Fixed::read).unwrap_or_default();
        let total = goods + number(&arguments.shipping_amount) + number(&arguments.adjustment_positive)
            - number(&arguments.adjustment_negative);
        let available = self.total_paid - self.total_refunded;
        let message = if total <= Fixed::NOTHING {
            "The credit memo's total must be positive.".to_owned()
        } else if total > available {
            format!("The most money available to refund is {available}.")
        } else {
            return Ok(total);
        };
        Err(Refusal::invalid(ShopDocumentKind::CreditMemo.name(), &[message]))
    }

    /// Counts a document's amount, and moves the order on.
    fn pay(&mut self, kind: ShopDocumentKind, amount: Fixed, captures: bool) {
        match kind {
            ShopDocumentKind::Shipment => {}
            ShopDocumentKind::Invoice => {
                self.total_invoiced = self.total_invoiced + amount;
                self.total_paid = self.total_paid + if captures { amount } else { Fixed::NOTHING };
            }
            ShopDocumentKind::CreditMemo => self.total_refunded = self.total_refunded + amount,
        }
        let closed = |kind| self.items.iter().all(|item| item.parent_item_id.is_some() || item.open(kind) <= Fixed(0));
        let done = closed(ShopDocumentKind::Shipment) && closed(ShopDocumentKind::Invoice);
        let next = if done { "complete" } else { "processing" };
        if self.state != next {
            self.is(next);
        }
    }
}

fn placed_item(item: PlacedItem) -> Option<ShopItem> {
    Some(ShopItem {
        item_id: item.item_id,
        parent_item_id: item.parent_item_id,
        product_type: item.product_type,
        sku: item.sku,
        is_qty_decimal: item.is_qty_decimal == Some(1),
        row_total: item.row_total.as_deref().map_or(Some(Fixed::NOTHING), Fixed::read)?,
        ordered: Fixed::read(&item.qty_ordered)?,
        shipped: Fixed::NOTHING,
        invoiced: Fixed::NOTHING,
        refunded: Fixed::NOTHING,
        canceled: Fixed::NOTHING,
    })
}

/// The statuses of a state, the usual one first.
fn statuses(state: &str) -> &'static [&'static str] {
    match state {
        "new" => &["pending", "accepted_by_erp"],
        "processing" => &["processing"],
        "complete" => &["complete"],
        _ => &["canceled"],
    }
}

pub(super) fn parsed<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad("Decoding error: %1", &[&error.to_string()]))
}

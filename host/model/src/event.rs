//! The canonical events of order to cash, and their JSON.
//!
//! The shapes are those of `wit/types.wit`, interface `events`, field by field;
//! the descriptions and units stand there too. The JSON form is camel case, tagged
//! `{"type": "order.created", "data": {…}}`, with 64-bit integers as text; the
//! golden file of the integration tests fixes it.
//!
//! An event carries the *sender's* identifiers. The channel, the host's order id
//! and the time of receipt are around it, in the journal, where no guest writes.

use serde::{Deserialize, Serialize};

use crate::value::{Address, Currency, Customer, Date, Extension, Instant, Money, Quantity, UnitPrice};

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderLine {
    /// The sender's line number, unique in the order.
    pub number: String,
    /// The distributor's item number, where the sender states it, else the sender's own.
    pub sku: String,
    /// The buyer's item number, where it differs.
    pub buyer_sku: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Quantity.
    pub quantity: Quantity,
    /// Unit price.
    pub unit_price: UnitPrice,
    /// The line's total as the sender states it.
    pub extended: Option<Money>,
    /// Requested delivery.
    pub requested_delivery: Option<Date>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// How an order is paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Payment {
    /// `invoice`, `card`, `bank-transfer`, `prepaid`, or the sender's own word.
    pub method: String,
    /// The payment processor's state, in the sender's words.
    pub state: Option<String>,
    /// Authorised.
    pub authorised: Option<Money>,
    /// When the authorisation ends.
    pub authorisation_expires_at: Option<Instant>,
    /// ISO 3166-1 alpha-2 country of the issuer.
    pub issuer_country: Option<String>,
    /// Result of the address verification, as the processor states it.
    pub address_check: Option<String>,
    /// Terms as text, for example `NET30`.
    pub terms: Option<String>,
}

/// The totals that the sender states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderTotals {
    /// Lines.
    pub lines: Option<Money>,
    /// Shipping.
    pub shipping: Option<Money>,
    /// Tax.
    pub tax: Option<Money>,
    /// Discount.
    pub discount: Option<Money>,
    /// Grand.
    pub grand: Option<Money>,
}

/// An order as its sender sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// The sender's order number (X12 BEG03, Adobe `increment_id`).
    pub number: String,
    /// The sender's release of a blanket order, where there is one.
    pub release: Option<String>,
    /// Customer.
    pub customer: Customer,
    /// Bill to.
    pub bill_to: Option<Address>,
    /// Ship to.
    pub ship_to: Option<Address>,
    /// Placed at.
    pub placed_at: Option<Instant>,
    /// Requested delivery.
    pub requested_delivery: Option<Date>,
    /// The order is void when it is not shipped by this date.
    pub cancel_after: Option<Date>,
    /// ISO 4217 alphabetic code; that of every amount in the order.
    pub currency: Currency,
    /// At least one.
    pub lines: Vec<OrderLine>,
    /// Totals.
    pub totals: OrderTotals,
    /// Payment.
    pub payment: Option<Payment>,
    /// The sender's state of the order, where it has one (`payment_review`).
    pub sender_state: Option<String>,
    /// Notes.
    pub notes: Vec<String>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// A change of an order: what it is to be afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderChange {
    /// Order.
    pub order: Order,
    /// The sender's revision or its time of change, as text.
    pub revision: Option<String>,
}

/// A wish to cancel. What it leads to depends on where the order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelRequest {
    /// Order number.
    pub order_number: String,
    /// Reason.
    pub reason: Option<String>,
    /// The lines to cancel; empty means the whole order.
    pub line_numbers: Vec<String>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// A system's answer per line.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineStatus {
    /// `accepted`.
    Accepted,
    /// `backordered`.
    Backordered,
    /// `quantity-changed`.
    QuantityChanged,
    /// `price-changed`.
    PriceChanged,
    /// `date-changed`.
    DateChanged,
    /// `substituted`.
    Substituted,
    /// `rejected`.
    Rejected,
}

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineAnswer {
    /// Line number.
    pub line_number: String,
    /// Status.
    pub status: LineStatus,
    /// Quantity.
    pub quantity: Option<Quantity>,
    /// Unit price.
    pub unit_price: Option<UnitPrice>,
    /// Promised.
    pub promised: Option<Date>,
    /// Substitute sku.
    pub substitute_sku: Option<String>,
    /// A stable code.
    pub reason: Option<String>,
}

/// An order was accepted or rejected by the system of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderAnswer {
    /// Order number.
    pub order_number: String,
    /// The answering system's identifier of the order.
    pub external_id: Option<String>,
    /// Answered at.
    pub answered_at: Option<Instant>,
    /// Lines.
    pub lines: Vec<LineAnswer>,
    /// Reason.
    pub reason: Option<String>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// What a warehouse has of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InventoryLevel {
    /// Sku.
    pub sku: String,
    /// Node.
    pub node: String,
    /// On hand.
    pub on_hand: Quantity,
    /// Available.
    pub available: Quantity,
    /// As of.
    pub as_of: Option<Instant>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// An order's stock was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllocationLine {
    /// Line number.
    pub line_number: String,
    /// Sku.
    pub sku: String,
    /// Node.
    pub node: String,
    /// Quantity.
    pub quantity: Quantity,
}

/// An order's stock was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allocation {
    /// Order number.
    pub order_number: String,
    /// Lines.
    pub lines: Vec<AllocationLine>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// Why less was shipped than ordered (X12 945 W1201).
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShortReason {
    /// `none`.
    None,
    /// `backorder`.
    Backorder,
    /// `no-backorder`.
    NoBackorder,
    /// `substitution`.
    Substitution,
    /// `damaged`.
    Damaged,
    /// `unknown`.
    Unknown,
}

/// A line of a shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShipmentLine {
    /// Line number.
    pub line_number: String,
    /// Sku.
    pub sku: String,
    /// Ordered.
    pub ordered: Option<Quantity>,
    /// Shipped.
    pub shipped: Quantity,
    /// Short.
    pub short: ShortReason,
    /// Lot.
    pub lot: Option<String>,
    /// Serials.
    pub serials: Vec<String>,
}

/// A shipment at one of its steps: picked, packed, dispatched or confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shipment {
    /// Order number.
    pub order_number: String,
    /// Shipment number.
    pub shipment_number: String,
    /// Node.
    pub node: Option<String>,
    /// Carrier.
    pub carrier: Option<String>,
    /// Tracking.
    pub tracking: Vec<String>,
    /// At.
    pub at: Option<Instant>,
    /// Lines.
    pub lines: Vec<ShipmentLine>,
    /// Ship to.
    pub ship_to: Option<Address>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// A shipment is late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShipmentDelay {
    /// Order number.
    pub order_number: String,
    /// Shipment number.
    pub shipment_number: Option<String>,
    /// Expected.
    pub expected: Option<Date>,
    /// Reason.
    pub reason: Option<String>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// A line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvoiceLine {
    /// Line number.
    pub line_number: String,
    /// Sku.
    pub sku: Option<String>,
    /// Quantity.
    pub quantity: Quantity,
    /// Unit price.
    pub unit_price: UnitPrice,
    /// Extended.
    pub extended: Money,
    /// Tax.
    pub tax: Option<Money>,
}

/// An invoice; a credit memo has negative amounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invoice {
    /// Invoice number.
    pub invoice_number: String,
    /// Order number.
    pub order_number: Option<String>,
    /// Shipment number.
    pub shipment_number: Option<String>,
    /// The invoice that this one corrects.
    pub corrects: Option<String>,
    /// Posted on.
    pub posted_on: Option<Date>,
    /// Due on.
    pub due_on: Option<Date>,
    /// Lines.
    pub lines: Vec<InvoiceLine>,
    /// Tax.
    pub tax: Option<Money>,
    /// Total.
    pub total: Money,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// Money arrived. An authorisation is no settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settlement {
    /// Payment reference.
    pub payment_reference: String,
    /// Order number.
    pub order_number: Option<String>,
    /// Invoice number.
    pub invoice_number: Option<String>,
    /// Amount.
    pub amount: Money,
    /// Fee.
    pub fee: Option<Money>,
    /// Settled at.
    pub settled_at: Option<Instant>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// A line of a return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReturnLine {
    /// Line number.
    pub line_number: Option<String>,
    /// Sku.
    pub sku: String,
    /// Quantity.
    pub quantity: Quantity,
    /// Reason.
    pub reason: Option<String>,
    /// Condition.
    pub condition: Option<String>,
}

/// A return that was asked for or has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GoodsReturn {
    /// Return number.
    pub return_number: String,
    /// Order number.
    pub order_number: String,
    /// Lines.
    pub lines: Vec<ReturnLine>,
    /// At.
    pub at: Option<Instant>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// Why money went back.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefundCause {
    /// `goods-return`.
    GoodsReturn,
    /// `cancelled-prepayment`.
    CancelledPrepayment,
    /// `short-shipment`.
    ShortShipment,
    /// `price-correction`.
    PriceCorrection,
    /// `other`.
    Other,
}

impl RefundCause {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GoodsReturn => "goods-return",
            Self::CancelledPrepayment => "cancelled-prepayment",
            Self::ShortShipment => "short-shipment",
            Self::PriceCorrection => "price-correction",
            Self::Other => "other",
        }
    }
}

/// Money went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refund {
    /// Refund number.
    pub refund_number: String,
    /// Order number.
    pub order_number: String,
    /// Cause.
    pub cause: RefundCause,
    /// Return number.
    pub return_number: Option<String>,
    /// Amount.
    pub amount: Money,
    /// Issued at.
    pub issued_at: Option<Instant>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// A line of a remittance advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemittanceLine {
    /// Invoice number.
    pub invoice_number: String,
    /// Paid.
    pub paid: Money,
    /// Adjustment.
    pub adjustment: Option<Money>,
    /// Adjustment reason.
    pub adjustment_reason: Option<String>,
}

/// A payer's advice of what it pays (X12 820). Settlement comes from the bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remittance {
    /// Reference.
    pub reference: String,
    /// Payer.
    pub payer: Customer,
    /// Total.
    pub total: Money,
    /// Lines.
    pub lines: Vec<RemittanceLine>,
    /// Pays on.
    pub pays_on: Option<Date>,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// A supplier is expected to be late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SupplierDelay {
    /// Purchase order.
    pub purchase_order: String,
    /// Supplier id.
    pub supplier_id: String,
    /// Sku.
    pub sku: Option<String>,
    /// Earliest.
    pub earliest: Date,
    /// Latest.
    pub latest: Date,
    /// Basis points, 0 to 10000.
    pub confidence_bp: u16,
    /// Extensions.
    pub extensions: Vec<Extension>,
}

/// An event that this version of the contract has no case for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OtherEvent {
    /// Kind.
    pub kind: String,
    /// The bytes in a format that `kind` names.
    #[serde(with = "hex")]
    pub body: Vec<u8>,
}

/// Everything that happens between an order and its payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// `order-created`.
    #[serde(rename = "order.created")]
    OrderCreated(Order),
    /// `order-changed`.
    #[serde(rename = "order.changed")]
    OrderChanged(OrderChange),
    /// `order-cancel-requested`.
    #[serde(rename = "order.cancel-requested")]
    OrderCancelRequested(CancelRequest),
    /// `order-accepted`.
    #[serde(rename = "order.accepted")]
    OrderAccepted(OrderAnswer),
    /// `order-rejected`.
    #[serde(rename = "order.rejected")]
    OrderRejected(OrderAnswer),
    /// `inventory-level`.
    #[serde(rename = "inventory.level")]
    InventoryLevel(InventoryLevel),
    /// `inventory-allocated`.
    #[serde(rename = "inventory.allocated")]
    InventoryAllocated(Allocation),
    /// `shipment-picked`.
    #[serde(rename = "shipment.picked")]
    ShipmentPicked(Shipment),
    /// `shipment-packed`.
    #[serde(rename = "shipment.packed")]
    ShipmentPacked(Shipment),
    /// `shipment-dispatched`.
    #[serde(rename = "shipment.dispatched")]
    ShipmentDispatched(Shipment),
    /// `shipment-confirmed`.
    #[serde(rename = "shipment.confirmed")]
    ShipmentConfirmed(Shipment),
    /// `shipment-delayed`.
    #[serde(rename = "shipment.delayed")]
    ShipmentDelayed(ShipmentDelay),
    /// `invoice-posted`.
    #[serde(rename = "invoice.posted")]
    InvoicePosted(Invoice),
    /// `payment-settled`.
    #[serde(rename = "payment.settled")]
    PaymentSettled(Settlement),
    /// `return-requested`.
    #[serde(rename = "return.requested")]
    ReturnRequested(GoodsReturn),
    /// `return-received`.
    #[serde(rename = "return.received")]
    ReturnReceived(GoodsReturn),
    /// `refund-issued`.
    #[serde(rename = "refund.issued")]
    RefundIssued(Refund),
    /// `remittance-received`.
    #[serde(rename = "remittance.received")]
    RemittanceReceived(Remittance),
    /// `supplier-delay-predicted`.
    #[serde(rename = "supplier.delay-predicted")]
    SupplierDelayPredicted(SupplierDelay),
    /// `other`.
    #[serde(rename = "other")]
    Other(OtherEvent),
}

impl Event {
    /// The name in the domain's vocabulary, for example `order.created`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::OrderCreated(_) => "order.created",
            Self::OrderChanged(_) => "order.changed",
            Self::OrderCancelRequested(_) => "order.cancel-requested",
            Self::OrderAccepted(_) => "order.accepted",
            Self::OrderRejected(_) => "order.rejected",
            Self::InventoryLevel(_) => "inventory.level",
            Self::InventoryAllocated(_) => "inventory.allocated",
            Self::ShipmentPicked(_) => "shipment.picked",
            Self::ShipmentPacked(_) => "shipment.packed",
            Self::ShipmentDispatched(_) => "shipment.dispatched",
            Self::ShipmentConfirmed(_) => "shipment.confirmed",
            Self::ShipmentDelayed(_) => "shipment.delayed",
            Self::InvoicePosted(_) => "invoice.posted",
            Self::PaymentSettled(_) => "payment.settled",
            Self::ReturnRequested(_) => "return.requested",
            Self::ReturnReceived(_) => "return.received",
            Self::RefundIssued(_) => "refund.issued",
            Self::RemittanceReceived(_) => "remittance.received",
            Self::SupplierDelayPredicted(_) => "supplier.delay-predicted",
            Self::Other(other) => &other.kind,
        }
    }

    /// The event's JSON.
    ///
    /// # Errors
    /// None in practice; the serializer's signature has one.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads an event's JSON.
    ///
    /// # Errors
    /// When the bytes are no event of this version.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

impl CancelRequest {
    /// The sender's release of the order, where its format has one: the extension
    /// `x12:release`. With the number it says which order is meant.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        let release = self.extensions.iter().find(|extension| extension.name == "x12:release");
        release.map(|extension| extension.value.as_str())
    }
}

impl Order {
    /// Whether its sender marks it as a test, in the words of its own format: X12
    /// ISA15 `T`, which transformers keep as the extension `x12:usage`. Any other
    /// format's transformer says `test` = `true`.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let marks = [("x12:usage", "T"), ("test", "true")];
        self.extensions.iter().any(|extension| marks.contains(&(extension.name.as_str(), extension.value.as_str())))
    }

    /// The sum of the lines in minor units, computed from quantity and price.
    ///
    /// # Errors
    /// When a line's amount does not fit or is in another currency.
    pub fn computed_total(&self) -> Result<Money, crate::value::ValueError> {
        let zero = Money { minor: 0, currency: self.currency };
        self.lines.iter().try_fold(zero, |sum, line| sum.plus(line.unit_price.extended(&line.quantity)?))
    }

    /// What the order is worth to whoever bounds it: the larger of the stated grand
    /// total and the sum of the lines. A sender could otherwise send goods of any
    /// value as an order below every limit, by a discount as high as the lines.
    ///
    /// Where the lines have no sum in the order's currency, and where the grand total
    /// is in another one, the stated total stands; the host's rules hold such orders.
    ///
    /// # Errors
    /// As [`Order::computed_total`], when no grand total is stated.
    pub fn value(&self) -> Result<Money, crate::value::ValueError> {
        match (self.totals.grand, self.computed_total()) {
            (Some(stated), Ok(computed)) if stated.currency == computed.currency => {
                Ok(if stated.minor >= computed.minor { stated } else { computed })
            }
            (Some(stated), _) => Ok(stated),
            (None, computed) => computed,
        }
    }
}

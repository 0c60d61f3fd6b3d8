//! The shapes of the data: field by field those of `wit/types.wit`, in camel case.
//!
//! One table for what is read and what is made of it, so that the two cannot differ. A
//! list that may be missing says so with `default`; nothing else has one.

use portreeve_guest_json::object;
use portreeve_guest_json::value::{Address, Canonical, Identifier, Text, UnitCode};
use portreeve_sdk::transformer as contract;

use crate::value::{CurrencyCode, Day, ExtensionName, LineStatus, Places, PriceUnits, RefundCause, ShortReason, Whole};

/// A JSON object and the record of the contract that has the same name and fields.
macro_rules! shape {
    ($name:ident, $expected:literal { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        object!(pub(crate) $name, $expected { $($(#[$attribute])* $field: $type,)* });

        impl Canonical for $name {
            type Of = contract::$name;

            fn canonical(self) -> contract::$name {
                contract::$name { $($field: self.$field.canonical(),)* }
            }
        }
    };
}

// --- values ---

shape!(Money, "an amount: an object with `minor` and `currency`" {
    minor: Whole,
    currency: CurrencyCode,
});

shape!(Quantity, "a quantity: an object with `value`, `scale` and `unit`" {
    value: Whole,
    scale: Places,
    unit: UnitCode,
});

shape!(UnitPrice, "a unit price: an object with `amount`, `scale`, `currency` and `perQuantity`" {
    amount: Whole,
    scale: Places,
    currency: CurrencyCode,
    per_quantity: PriceUnits,
});

shape!(Extension, "an extension: an object with `name` and `value`" {
    name: ExtensionName,
    value: Text,
});

// --- what the system of record answers ---

shape!(LineAnswer, "a line: an object" {
    line_number: Identifier,
    status: LineStatus,
    quantity: Option<Quantity>,
    unit_price: Option<UnitPrice>,
    promised: Option<Day>,
    substitute_sku: Option<Identifier>,
    reason: Option<Text>,
});

shape!(OrderAnswer, "the answer to an order: an object" {
    order_number: Identifier,
    external_id: Option<Identifier>,
    answered_at: Option<Whole>,
    #[serde(default)]
    lines: Vec<LineAnswer>,
    reason: Option<Text>,
    #[serde(default)]
    extensions: Vec<Extension>,
});

// --- the warehouse ---

shape!(InventoryLevel, "a level: an object" {
    sku: Identifier,
    node: Identifier,
    on_hand: Quantity,
    available: Quantity,
    as_of: Option<Whole>,
    #[serde(default)]
    extensions: Vec<Extension>,
});

shape!(AllocationLine, "a line: an object" {
    line_number: Identifier,
    sku: Identifier,
    node: Identifier,
    quantity: Quantity,
});

shape!(Allocation, "an allocation: an object" {
    order_number: Identifier,
    #[serde(default)]
    lines: Vec<AllocationLine>,
    #[serde(default)]
    extensions: Vec<Extension>,
});

shape!(ShipmentLine, "a line: an object" {
    line_number: Identifier,
    sku: Identifier,
    ordered: Option<Quantity>,
    shipped: Quantity,
    short: ShortReason,
    lot: Option<Identifier>,
    #[serde(default)]
    serials: Vec<Identifier>,
});

shape!(Shipment, "a shipment: an object" {
    order_number: Identifier,
    shipment_number: Identifier,
    node: Option<Identifier>,
    carrier: Option<Identifier>,
    #[serde(default)]
    tracking: Vec<Identifier>,
    at: Option<Whole>,
    #[serde(default)]
    lines: Vec<ShipmentLine>,
    ship_to: Option<Address>,
    #[serde(default)]
    extensions: Vec<Extension>,
});

shape!(ShipmentDelay, "a delay: an object" {
    order_number: Identifier,
    shipment_number: Option<Identifier>,
    expected: Option<Day>,
    reason: Option<Text>,
    #[serde(default)]
    extensions: Vec<Extension>,
});

// --- finance ---

shape!(InvoiceLine, "a line: an object" {
    line_number: Identifier,
    sku: Option<Identifier>,
    quantity: Quantity,
    unit_price: UnitPrice,
    extended: Money,
    tax: Option<Money>,
});

shape!(Invoice, "an invoice: an object" {
    invoice_number: Identifier,
    order_number: Option<Identifier>,
    shipment_number: Option<Identifier>,
    corrects: Option<Identifier>,
    posted_on: Option<Day>,
    due_on: Option<Day>,
    #[serde(default)]
    lines: Vec<InvoiceLine>,
    tax: Option<Money>,
    total: Money,
    #[serde(default)]
    extensions: Vec<Extension>,
});

shape!(Settlement, "a settlement: an object" {
    payment_reference: Identifier,
    order_number: Option<Identifier>,
    invoice_number: Option<Identifier>,
    amount: Money,
    fee: Option<Money>,
    settled_at: Option<Whole>,
    #[serde(default)]
    extensions: Vec<Extension>,
});

// --- what comes back ---

shape!(ReturnLine, "a line: an object" {
    line_number: Option<Identifier>,
    sku: Identifier,
    quantity: Quantity,
    reason: Option<Text>,
    condition: Option<Text>,
});

shape!(GoodsReturn, "a return: an object" {
    return_number: Identifier,
    order_number: Identifier,
    #[serde(default)]
    lines: Vec<ReturnLine>,
    at: Option<Whole>,
    #[serde(default)]
    extensions: Vec<Extension>,
});

shape!(Refund, "a refund: an object" {
    refund_number: Identifier,
    order_number: Identifier,
    cause: RefundCause,
    return_number: Option<Identifier>,
    amount: Money,
    issued_at: Option<Whole>,
    #[serde(default)]
    extensions: Vec<Extension>,
});

//! The shapes of the data: field by field those of `wit/types.wit`, in camel case.
//!
//! One table for what is read and what is made of it, so that the two cannot differ. A
//! list that may be missing says so with `default`; nothing else has one.

use std::fmt;
use std::marker::PhantomData;

use portreeve_sdk::transformer as contract;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::value::{
    Canonical, Country, CurrencyCode, Day, ExtensionName, Identifier, LineStatus, Places, PriceUnits, RefundCause,
    ShortReason, Text, UnitCode, Whole,
};

/// What is read out of the members of an object.
trait Shape: Sized {
    const EXPECTED: &'static str;

    fn of<'de, D: Deserializer<'de>>(members: D) -> Result<Self, D::Error>;
}

struct Object<S>(PhantomData<S>);

impl<'de, S: Shape> Visitor<'de> for Object<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::EXPECTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<S, A::Error> {
        S::of(MapAccessDeserializer::new(members))
    }
}

/// A JSON object and the record of the contract that has the same name and fields.
///
/// What serde derives takes a list as well, its elements in the order of the fields here.
/// That order means nothing to a sender, so the trait is implemented beside it, for objects.
macro_rules! shape {
    ($name:ident, $expected:literal { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Deserialize)]
        #[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$attribute])* $field: $type,)*
        }

        impl Shape for $name {
            const EXPECTED: &'static str = $expected;

            fn of<'de, D: Deserializer<'de>>(members: D) -> Result<Self, D::Error> {
                // The one that is derived, not the trait's.
                Self::deserialize(members)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Object(PhantomData))
            }
        }

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

shape!(Address, "an address: an object" {
    id: Option<Identifier>,
    name: Option<Text>,
    #[serde(default)]
    lines: Vec<Text>,
    city: Option<Text>,
    region: Option<Text>,
    postal_code: Option<Text>,
    country: Option<Country>,
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

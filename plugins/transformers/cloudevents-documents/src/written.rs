//! The records of the contract as JSON: field by field those of `wit/types.wit`, in camel case.
//!
//! 64-bit integers are text, for a reader that uses floating-point numbers would change them
//! silently beyond 2^53. What is not there is left out; an empty list stays.

use portreeve_sdk::transformer::*;
use serde_json::{Map, Value};

/// The name of an event and its data; none of what the contract has no name for.
pub(crate) fn event(event: &Event) -> Option<(&'static str, Value)> {
    Some(match event {
        Event::OrderCreated(data) => ("order.created", data.written()),
        Event::OrderChanged(data) => ("order.changed", data.written()),
        Event::OrderCancelRequested(data) => ("order.cancel-requested", data.written()),
        Event::OrderAccepted(data) => ("order.accepted", data.written()),
        Event::OrderRejected(data) => ("order.rejected", data.written()),
        Event::InventoryLevel(data) => ("inventory.level", data.written()),
        Event::InventoryAllocated(data) => ("inventory.allocated", data.written()),
        Event::ShipmentPicked(data) => ("shipment.picked", data.written()),
        Event::ShipmentPacked(data) => ("shipment.packed", data.written()),
        Event::ShipmentDispatched(data) => ("shipment.dispatched", data.written()),
        Event::ShipmentConfirmed(data) => ("shipment.confirmed", data.written()),
        Event::ShipmentDelayed(data) => ("shipment.delayed", data.written()),
        Event::InvoicePosted(data) => ("invoice.posted", data.written()),
        Event::PaymentSettled(data) => ("payment.settled", data.written()),
        Event::ReturnRequested(data) => ("return.requested", data.written()),
        Event::ReturnReceived(data) => ("return.received", data.written()),
        Event::RefundIssued(data) => ("refund.issued", data.written()),
        Event::RemittanceReceived(data) => ("remittance.received", data.written()),
        Event::SupplierDelayPredicted(data) => ("supplier.delay-predicted", data.written()),
        Event::Other(_) => return None,
    })
}

trait Written {
    fn written(&self) -> Value;
}

/// A record and the names of its fields. A field that is left out here does not compile.
macro_rules! record {
    ($name:ident { $($field:ident: $key:literal),* $(,)? }) => {
        impl Written for $name {
            fn written(&self) -> Value {
                let Self { $($field,)* } = self;
                let fields = [$(($key, $field.written()),)*];
                let there = fields.into_iter().filter(|(_, value)| !value.is_null());
                Value::Object(there.map(|(key, value)| (key.to_owned(), value)).collect::<Map<String, Value>>())
            }
        }
    };
}

/// An enumeration and its words.
macro_rules! words {
    ($name:ident { $($case:ident: $word:literal),* $(,)? }) => {
        impl Written for $name {
            fn written(&self) -> Value {
                Value::from(match self { $(Self::$case => $word,)* })
            }
        }
    };
}

// --- values ---

impl Written for String {
    fn written(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl Written for i64 {
    fn written(&self) -> Value {
        Value::from(self.to_string())
    }
}

impl Written for u8 {
    fn written(&self) -> Value {
        Value::from(*self)
    }
}

impl Written for u16 {
    fn written(&self) -> Value {
        Value::from(*self)
    }
}

impl Written for u32 {
    fn written(&self) -> Value {
        Value::from(*self)
    }
}

impl<T: Written> Written for Option<T> {
    fn written(&self) -> Value {
        self.as_ref().map_or(Value::Null, Written::written)
    }
}

impl<T: Written> Written for Vec<T> {
    fn written(&self) -> Value {
        self.iter().map(Written::written).collect()
    }
}

impl Written for Date {
    fn written(&self) -> Value {
        Value::from(date::to_text(*self))
    }
}

record!(Money { minor: "minor", currency: "currency" });

record!(Quantity { value: "value", scale: "scale", unit: "unit" });

record!(UnitPrice { amount: "amount", scale: "scale", currency: "currency", per_quantity: "perQuantity" });

record!(Extension { name: "name", value: "value" });

record!(Address {
    id: "id",
    name: "name",
    lines: "lines",
    city: "city",
    region: "region",
    postal_code: "postalCode",
    country: "country",
});

record!(Customer { id: "id", name: "name", email: "email", phone: "phone" });

// --- orders ---

record!(OrderLine {
    number: "number",
    sku: "sku",
    buyer_sku: "buyerSku",
    description: "description",
    quantity: "quantity",
    unit_price: "unitPrice",
    extended: "extended",
    requested_delivery: "requestedDelivery",
    extensions: "extensions",
});

record!(Payment {
    method: "method",
    state: "state",
    authorised: "authorised",
    authorisation_expires_at: "authorisationExpiresAt",
    issuer_country: "issuerCountry",
    address_check: "addressCheck",
    terms: "terms",
});

record!(OrderTotals { lines: "lines", shipping: "shipping", tax: "tax", discount: "discount", grand: "grand" });

record!(Order {
    number: "number",
    release: "release",
    customer: "customer",
    bill_to: "billTo",
    ship_to: "shipTo",
    placed_at: "placedAt",
    requested_delivery: "requestedDelivery",
    cancel_after: "cancelAfter",
    currency: "currency",
    lines: "lines",
    totals: "totals",
    payment: "payment",
    sender_state: "senderState",
    notes: "notes",
    extensions: "extensions",
});

record!(OrderChange { order: "order", revision: "revision" });

record!(CancelRequest {
    order_number: "orderNumber",
    reason: "reason",
    line_numbers: "lineNumbers",
    extensions: "extensions",
});

words!(LineStatus {
    Accepted: "accepted",
    Backordered: "backordered",
    QuantityChanged: "quantity-changed",
    PriceChanged: "price-changed",
    DateChanged: "date-changed",
    Substituted: "substituted",
    Rejected: "rejected",
});

record!(LineAnswer {
    line_number: "lineNumber",
    status: "status",
    quantity: "quantity",
    unit_price: "unitPrice",
    promised: "promised",
    substitute_sku: "substituteSku",
    reason: "reason",
});

record!(OrderAnswer {
    order_number: "orderNumber",
    external_id: "externalId",
    answered_at: "answeredAt",
    lines: "lines",
    reason: "reason",
    extensions: "extensions",
});

// --- the warehouse ---

record!(InventoryLevel {
    sku: "sku",
    node: "node",
    on_hand: "onHand",
    available: "available",
    as_of: "asOf",
    extensions: "extensions",
});

record!(AllocationLine { line_number: "lineNumber", sku: "sku", node: "node", quantity: "quantity" });

record!(Allocation { order_number: "orderNumber", lines: "lines", extensions: "extensions" });

words!(ShortReason {
    None: "none",
    Backorder: "backorder",
    NoBackorder: "no-backorder",
    Substitution: "substitution",
    Damaged: "damaged",
    Unknown: "unknown",
});

record!(ShipmentLine {
    line_number: "lineNumber",
    sku: "sku",
    ordered: "ordered",
    shipped: "shipped",
    short: "short",
    lot: "lot",
    serials: "serials",
});

record!(Shipment {
    order_number: "orderNumber",
    shipment_number: "shipmentNumber",
    node: "node",
    carrier: "carrier",
    tracking: "tracking",
    at: "at",
    lines: "lines",
    ship_to: "shipTo",
    extensions: "extensions",
});

record!(ShipmentDelay {
    order_number: "orderNumber",
    shipment_number: "shipmentNumber",
    expected: "expected",
    reason: "reason",
    extensions: "extensions",
});

// --- finance ---

record!(InvoiceLine {
    line_number: "lineNumber",
    sku: "sku",
    quantity: "quantity",
    unit_price: "unitPrice",
    extended: "extended",
    tax: "tax",
});

record!(Invoice {
    invoice_number: "invoiceNumber",
    order_number: "orderNumber",
    shipment_number: "shipmentNumber",
    corrects: "corrects",
    posted_on: "postedOn",
    due_on: "dueOn",
    lines: "lines",
    tax: "tax",
    total: "total",
    extensions: "extensions",
});

record!(Settlement {
    payment_reference: "paymentReference",
    order_number: "orderNumber",
    invoice_number: "invoiceNumber",
    amount: "amount",
    fee: "fee",
    settled_at: "settledAt",
    extensions: "extensions",
});

record!(RemittanceLine {
    invoice_number: "invoiceNumber",
    paid: "paid",
    adjustment: "adjustment",
    adjustment_reason: "adjustmentReason",
});

record!(Remittance {
    reference: "reference",
    payer: "payer",
    total: "total",
    lines: "lines",
    pays_on: "paysOn",
    extensions: "extensions",
});

// --- what comes back ---

record!(ReturnLine {
    line_number: "lineNumber",
    sku: "sku",
    quantity: "quantity",
    reason: "reason",
    condition: "condition",
});

record!(GoodsReturn {
    return_number: "returnNumber",
    order_number: "orderNumber",
    lines: "lines",
    at: "at",
    extensions: "extensions",
});

words!(RefundCause {
    GoodsReturn: "goods-return",
    CancelledPrepayment: "cancelled-prepayment",
    ShortShipment: "short-shipment",
    PriceCorrection: "price-correction",
    Other: "other",
});

record!(Refund {
    refund_number: "refundNumber",
    order_number: "orderNumber",
    cause: "cause",
    return_number: "returnNumber",
    amount: "amount",
    issued_at: "issuedAt",
    extensions: "extensions",
});

// --- suppliers ---

record!(SupplierDelay {
    purchase_order: "purchaseOrder",
    supplier_id: "supplierId",
    sku: "sku",
    earliest: "earliest",
    latest: "latest",
    confidence_bp: "confidenceBp",
    extensions: "extensions",
});

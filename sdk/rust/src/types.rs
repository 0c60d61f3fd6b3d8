//! Every type of the contract, as `wit/types.wit` describes it, under one name each.
//!
//! The descriptions and units are in `wit/types.wit`. What is added here are
//! the few questions about an order that every plugin asks.

use crate::money::{self, NumberError};

pub use crate::bindings::shared::portreeve::plugin::advice::{
    Assessment, CustomerHistory, DateProposal, Draft, Hold, HoldScope, OtherAdvice, PriceProposal, Proposal,
    RankedNode, Reason, Recommendation, ScoringRequest,
};
pub use crate::bindings::shared::portreeve::plugin::documents::{
    CheckReport, CheckRequest, Delivery, Document, Envelope, FindQuery, Header, Inbound, MappingRequest, Message,
    PollRequest, Polled, Receipt, Received, RenderingRequest, Reply, Span,
};
pub use crate::bindings::shared::portreeve::plugin::events::{
    Allocation, AllocationLine, CancelRequest, Event, GoodsReturn, InventoryLevel, Invoice, InvoiceLine, LineAnswer,
    LineStatus, Order, OrderAnswer, OrderChange, OrderLine, OrderTotals, OtherEvent, Payment, Refund, RefundCause,
    Remittance, RemittanceLine, ReturnLine, Settlement, Shipment, ShipmentDelay, ShipmentLine, ShortReason,
    SupplierDelay,
};
pub use crate::bindings::shared::portreeve::plugin::values::{
    Address, Customer, Date, Decimal, Extension, Failure, InstantMs, Money, Position, Problem, Quantity, Setting,
    UnitPrice,
};

impl Order {
    /// What the order is worth: the grand total that the sender states, or else
    /// the sum of its lines, each rounded to the minor unit.
    ///
    /// # Errors
    /// When a line's amount does not fit.
    pub fn value(&self) -> Result<Money, NumberError> {
        match &self.totals.grand {
            Some(total) => Ok(total.clone()),
            None => self.computed_total(),
        }
    }

    /// The sum of the lines, computed from quantity and price, in the order's currency.
    ///
    /// # Errors
    /// When a line's amount does not fit.
    pub fn computed_total(&self) -> Result<Money, NumberError> {
        let digits = money::minor_digits(&self.currency);
        let minor = self.lines.iter().try_fold(0_i64, |sum, line| {
            let extended = money::extended(&line.unit_price, &line.quantity, digits)?;
            sum.checked_add(extended.minor).ok_or(NumberError::TooLarge)
        })?;
        Ok(Money { minor, currency: self.currency.clone() })
    }
}

impl Envelope {
    /// An envelope that takes the whole input, such as a webhook call with an id.
    pub fn of_input(key: impl Into<String>) -> Self {
        Self { key: key.into(), part: None, answer: None, refusal: None }
    }
}

/// The setting with this name, where the platform team gave one.
#[must_use]
pub fn setting<'a>(settings: &'a [Setting], name: &str) -> Option<&'a str> {
    settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
}

/// The first header with this lower-case name.
#[must_use]
pub fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
}

//! The model's nouns to the contract's and back.
//!
//! To a guest everything converts. From a guest nothing is believed: each field
//! passes one conversion that counts it against the output limits and checks what
//! its description in `wit/types.wit` promises (a currency of ISO 4217, a scale
//! that does not overflow, a score of at most 10000). The first broken promise
//! refuses the whole result and names the field; nothing is repaired or dropped.
//!
//! Records convert field by field, so a macro writes them; whatever has a rule of
//! its own is written out. The rules are in `promise`.

use bumpalo::Bump;
use portreeve_model::{advice, document, event, id, value};

use crate::bindings::borrowed::{
    advice as given_advice, documents as given_documents, events as given_events, values as given_values,
};
use crate::bindings::{advice as wit_advice, documents as wit_documents, events as wit_events, values as wit_values};
use crate::limits::{Limits, to_u64};
use crate::promise::{
    Promise, Rule, assessment_is_bounded, basis_points, checked_scale, confidence_is_a_share, content_type_is_safe,
    envelope_has_a_key, envelopes_fit, extension_is_short, failure_is_usable, header_is_safe, hold_is_bounded,
    nodes_are_few, order_is_consistent, problem_has_a_code, reason_has_a_code, reply_is_sendable, within,
};

/// Makes the guest's form of a value.
pub(crate) trait ToGuest {
    /// The contract's type.
    type Guest<'a>
    where
        Self: 'a;
    /// Borrows what is text or bytes: wasmtime copies it into the guest, and one
    /// copy is enough. Lists are laid out in the arena.
    fn to_guest<'a>(&'a self, arena: &'a Bump) -> Self::Guest<'a>;
    /// The seed of a call with this value, where it has one.
    fn seed(&self) -> u64 {
        0
    }
}

/// Makes a value of what a guest returned, or refuses it.
pub(crate) trait FromGuest<G>: Sized {
    /// Checks and moves.
    fn from_guest(guest: G, meter: &mut Meter) -> Result<Self, Refused>;
}

/// Counts a result against its limits while it is converted.
#[derive(Debug)]
pub(crate) struct Meter {
    bytes: u64,
    items: u64,
    bytes_max: u64,
    items_max: u64,
    /// What the texts of the field at hand promise.
    rule: Rule,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { bytes: 0, items: 0, bytes_max: limits.output_bytes, items_max: limits.output_items, rule: Rule::Text }
    }

    fn count_bytes(&mut self, bytes: usize) -> Result<(), Refused> {
        self.bytes = self.bytes.saturating_add(to_u64(bytes));
        within("output bytes", self.bytes, self.bytes_max)
    }

    fn count_items(&mut self, items: usize) -> Result<(), Refused> {
        self.items = self.items.saturating_add(to_u64(items));
        within("output items", self.items, self.items_max)
    }
}

/// Why a result was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is beyond a limit.
    TooLarge { what: &'static str, found: u64, allowed: u64 },
    /// A field breaks its promise; the path is written from the inside out.
    Broken { path: Vec<&'static str>, problem: String },
}

impl Refused {
    pub(crate) fn broken(problem: impl std::fmt::Display) -> Self {
        Self::Broken { path: Vec::new(), problem: problem.to_string() }
    }

    /// Adds the field that contains the refused value.
    pub(crate) fn inside(mut self, field: &'static str) -> Self {
        if let Self::Broken { path, .. } = &mut self {
            path.push(field);
        }
        self
    }

    /// `lines.unit-price.currency: …`, as the contract spells it.
    pub(crate) fn describe(path: &[&'static str], problem: &str) -> String {
        let names: Vec<String> = path.iter().rev().map(|name| name.replace('_', "-")).collect();
        format!("`{}`: {problem}", names.join("."))
    }
}

/// Converts a field, whose name says what its text promises.
fn field<G, T: FromGuest<G>>(guest: G, rule: Rule, name: &'static str, meter: &mut Meter) -> Result<T, Refused> {
    meter.rule = rule;
    T::from_guest(guest, meter).map_err(|refused| refused.inside(name))
}

/// Writes conversions of records whose fields have the same names on both sides.
macro_rules! record {
    (to $given:ident, $model:ident: $($name:ident { $($field:ident),* })*) => { $(
        impl ToGuest for $model::$name {
            type Guest<'a> = $given::$name<'a>;
            fn to_guest<'a>(&'a self, arena: &'a Bump) -> Self::Guest<'a> {
                $given::$name { $($field: self.$field.to_guest(arena)),* }
            }
        }
    )* };
    (from $wit:ident, $model:ident: $($name:ident { $($field:ident),* } $(=> $check:ident)?)*) => { $(
        impl FromGuest<$wit::$name> for $model::$name {
            fn from_guest(guest: $wit::$name, meter: &mut Meter) -> Result<Self, Refused> {
                let value = Self {
                    $($field: field(guest.$field, const { Rule::of(stringify!($field)) }, stringify!($field), meter)?,)*
                };
                $($check(&value)?;)?
                Ok(value)
            }
        }
    )* };
    (both $given:ident, $wit:ident, $model:ident: $($name:ident { $($field:ident),* } $(=> $check:ident)?)*) => {
        record!(to $given, $model: $($name { $($field),* })*);
        record!(from $wit, $model: $($name { $($field),* } $(=> $check)?)*);
    };
}

/// Writes conversions of variants whose cases have the same names on both sides.
macro_rules! variant {
    (to $given:ident, $model:ident: $($name:ident { $($case:ident),* })*) => { $(
        impl ToGuest for $model::$name {
            type Guest<'a> = $given::$name<'a>;
            fn to_guest<'a>(&'a self, arena: &'a Bump) -> Self::Guest<'a> {
                match self { $(Self::$case(payload) => $given::$name::$case(payload.to_guest(arena)),)* }
            }
        }
    )* };
    (from $wit:ident, $model:ident: $($name:ident { $($case:ident),* } $(=> $check:ident)?)*) => { $(
        impl FromGuest<$wit::$name> for $model::$name {
            fn from_guest(guest: $wit::$name, meter: &mut Meter) -> Result<Self, Refused> {
                let value = match guest {
                    $($wit::$name::$case(payload) => {
                        meter.rule = const { Rule::of(stringify!($case)) };
                        Self::$case(FromGuest::from_guest(payload, meter)?)
                    })*
                };
                $($check(&value)?;)?
                Ok(value)
            }
        }
    )* };
}

/// Writes conversions of enumerations whose cases have the same names on both sides.
macro_rules! enumeration {
    ($given:ident, $wit:ident, $model:ident: $($name:ident { $($case:ident),* })*) => { $(
        impl ToGuest for $model::$name {
            type Guest<'a> = $given::$name;
            fn to_guest<'a>(&'a self, _arena: &'a Bump) -> Self::Guest<'a> {
                match self { $(Self::$case => $given::$name::$case,)* }
            }
        }
        impl FromGuest<$wit::$name> for $model::$name {
            fn from_guest(guest: $wit::$name, _meter: &mut Meter) -> Result<Self, Refused> {
                Ok(match guest { $($wit::$name::$case => Self::$case,)* })
            }
        }
    )* };
}

// --- values ---

record!(both given_values, wit_values, value:
    Money { minor, currency }
    Extension { name, value } => extension_is_short
    Address { id, name, lines, city, region, postal_code, country }
    Customer { id, name, email, phone }
);

/// A scale has a rule, so what carries one is written out.
macro_rules! scaled {
    (to $($name:ident { $($field:ident),* })*) => { $(
        impl ToGuest for value::$name {
            type Guest<'a> = given_values::$name<'a>;
            fn to_guest<'a>(&'a self, arena: &'a Bump) -> Self::Guest<'a> {
                given_values::$name { scale: self.scale, $($field: self.$field.to_guest(arena)),* }
            }
        }
    )* };
    (from $($name:ident { $($field:ident),* })*) => { $(
        impl FromGuest<wit_values::$name> for value::$name {
            fn from_guest(guest: wit_values::$name, meter: &mut Meter) -> Result<Self, Refused> {
                let value = Self {
                    scale: checked_scale(guest.scale)?,
                    $($field: field(guest.$field, const { Rule::of(stringify!($field)) }, stringify!($field), meter)?,)*
                };
                value.promise()?;
                Ok(value)
            }
        }
    )* };
}

scaled!(to
    Quantity { value, unit }
    UnitPrice { amount, currency, per_quantity }
);

scaled!(from
    Quantity { value, unit }
    UnitPrice { amount, currency, per_quantity }
);

impl ToGuest for value::Date {
    type Guest<'a> = given_values::Date;
    fn to_guest<'a>(&'a self, _arena: &'a Bump) -> Self::Guest<'a> {
        given_values::Date { year: self.year(), month: self.month(), day: self.day() }
    }
}

impl FromGuest<wit_values::Date> for value::Date {
    fn from_guest(guest: wit_values::Date, _meter: &mut Meter) -> Result<Self, Refused> {
        Self::new(guest.year, guest.month, guest.day).map_err(Refused::broken)
    }
}

impl ToGuest for value::Instant {
    type Guest<'a> = i64;
    fn to_guest<'a>(&'a self, _arena: &'a Bump) -> i64 {
        self.0
    }
}

impl FromGuest<i64> for value::Instant {
    fn from_guest(guest: i64, _meter: &mut Meter) -> Result<Self, Refused> {
        Ok(Self(guest))
    }
}

impl ToGuest for value::Currency {
    type Guest<'a> = &'a str;
    fn to_guest<'a>(&'a self, _arena: &'a Bump) -> &'a str {
        self.code()
    }
}

impl FromGuest<String> for value::Currency {
    fn from_guest(guest: String, _meter: &mut Meter) -> Result<Self, Refused> {
        Self::parse(&guest).map_err(Refused::broken)
    }
}

impl FromGuest<String> for id::Digest {
    fn from_guest(guest: String, _meter: &mut Meter) -> Result<Self, Refused> {
        Self::parse(&guest).map_err(Refused::broken)
    }
}

impl ToGuest for id::SenderId {
    type Guest<'a> = &'a str;
    fn to_guest<'a>(&'a self, _arena: &'a Bump) -> &'a str {
        self.as_str()
    }
}

// --- events ---

record!(both given_events, wit_events, event:
    OrderLine { number, sku, buyer_sku, description, quantity, unit_price, extended, requested_delivery, extensions }
    Payment { method, state, authorised, authorisation_expires_at, issuer_country, address_check, terms }
    OrderTotals { lines, shipping, tax, discount, grand }
    Order {
        number, release, customer, bill_to, ship_to, placed_at, requested_delivery, cancel_after, currency, lines,
        totals, payment, sender_state, notes, extensions
    } => order_is_consistent
    OrderChange { order, revision }
    CancelRequest { order_number, reason, line_numbers, extensions }
    LineAnswer { line_number, status, quantity, unit_price, promised, substitute_sku, reason }
    OrderAnswer { order_number, external_id, answered_at, lines, reason, extensions }
    InventoryLevel { sku, node, on_hand, available, as_of, extensions }
    AllocationLine { line_number, sku, node, quantity }
    Allocation { order_number, lines, extensions }
    ShipmentLine { line_number, sku, ordered, shipped, short, lot, serials }
    Shipment { order_number, shipment_number, node, carrier, tracking, at, lines, ship_to, extensions }
    ShipmentDelay { order_number, shipment_number, expected, reason, extensions }
    InvoiceLine { line_number, sku, quantity, unit_price, extended, tax }
    Invoice {
        invoice_number, order_number, shipment_number, corrects, posted_on, due_on, lines, tax, total, extensions
    }
    Settlement { payment_reference, order_number, invoice_number, amount, fee, settled_at, extensions }
    ReturnLine { line_number, sku, quantity, reason, condition }
    GoodsReturn { return_number, order_number, lines, at, extensions }
    Refund { refund_number, order_number, cause, return_number, amount, issued_at, extensions }
    RemittanceLine { invoice_number, paid, adjustment, adjustment_reason }
    Remittance { reference, payer, total, lines, pays_on, extensions }
    SupplierDelay { purchase_order, supplier_id, sku, earliest, latest, confidence_bp, extensions } => confidence_is_a_share
    OtherEvent { kind, body }
);

enumeration!(given_events, wit_events, event:
    LineStatus { Accepted, Backordered, QuantityChanged, PriceChanged, DateChanged, Substituted, Rejected }
    ShortReason { None, Backorder, NoBackorder, Substitution, Damaged, Unknown }
    RefundCause { GoodsReturn, CancelledPrepayment, ShortShipment, PriceCorrection, Other }
);

/// An event is the one variant that goes both ways.
macro_rules! event_cases {
    ($($case:ident),*) => {
        variant!(to given_events, event: Event { $($case),* });
        variant!(from wit_events, event: Event { $($case),* });
    };
}

event_cases!(
    OrderCreated,
    OrderChanged,
    OrderCancelRequested,
    OrderAccepted,
    OrderRejected,
    InventoryLevel,
    InventoryAllocated,
    ShipmentPicked,
    ShipmentPacked,
    ShipmentDispatched,
    ShipmentConfirmed,
    ShipmentDelayed,
    InvoicePosted,
    PaymentSettled,
    ReturnRequested,
    ReturnReceived,
    RefundIssued,
    RemittanceReceived,
    SupplierDelayPredicted,
    Other
);

// --- advice ---

impl ToGuest for advice::ScoringRequest {
    type Guest<'a> = given_advice::ScoringRequest<'a>;
    fn to_guest<'a>(&'a self, arena: &'a Bump) -> Self::Guest<'a> {
        given_advice::ScoringRequest {
            order: self.order.to_guest(arena),
            received_at: self.received_at.to_guest(arena),
            history: self.history.to_guest(arena),
            seed: self.seed,
            extensions: self.extensions.to_guest(arena),
        }
    }
    fn seed(&self) -> u64 {
        self.seed
    }
}

impl ToGuest for advice::CustomerHistory {
    type Guest<'a> = given_advice::CustomerHistory;
    fn to_guest<'a>(&'a self, arena: &'a Bump) -> Self::Guest<'a> {
        given_advice::CustomerHistory {
            orders_1h: self.orders_1h,
            orders_24h: self.orders_24h,
            orders_30d: self.orders_30d,
            value_24h_minor: self.value_24h_minor,
            value_30d_minor: self.value_30d_minor,
            largest_30d_minor: self.largest_30d_minor,
            first_order_at: self.first_order_at.to_guest(arena),
            ship_to_places_30d: self.ship_to_places_30d,
            ship_to_known: self.ship_to_known,
        }
    }
}

record!(from wit_advice, advice:
    Assessment { score_bp, reasons, proposals, model } => assessment_is_bounded
    Reason { code, contribution_bp, line_number } => reason_has_a_code
    Hold { scope, minutes, reason } => hold_is_bounded
    DateProposal { line_number, date, earliest, latest }
    PriceProposal { line_number, price, approver_tier }
    Draft { audience, text, facts }
    OtherAdvice { kind, body }
);

variant!(from wit_advice, advice:
    Proposal { Recommend, Route, Hold, Other }
    Recommendation { Review, AlternateShipNode, NewDate, Disposition, ExceptionPrice, Draft, Other } => nodes_are_few
);

impl FromGuest<wit_advice::HoldScope> for advice::HoldScope {
    fn from_guest(guest: wit_advice::HoldScope, meter: &mut Meter) -> Result<Self, Refused> {
        match guest {
            wit_advice::HoldScope::Order => Ok(Self::Order),
            wit_advice::HoldScope::Lines(lines) if lines.is_empty() => {
                Err(Refused::broken("a hold of lines names no line"))
            }
            wit_advice::HoldScope::Lines(lines) => Ok(Self::Lines(field(lines, Rule::Identifier, "lines", meter)?)),
        }
    }
}

impl FromGuest<wit_advice::RankedNode> for advice::RankedNode {
    fn from_guest(guest: wit_advice::RankedNode, meter: &mut Meter) -> Result<Self, Refused> {
        basis_points(guest.suitability_bp).map_err(|r| r.inside("suitability_bp"))?;
        Ok(Self {
            node: field(guest.node, Rule::Identifier, "node", meter)?,
            suitability_bp: guest.suitability_bp,
            freight_delta: FromGuest::from_guest(guest.freight_delta, meter).map_err(|r| r.inside("freight_delta"))?,
            country: field(guest.country, Rule::Country, "country", meter)?,
            splits: guest.splits,
        })
    }
}

// --- documents ---

record!(both given_documents, wit_documents, document:
    Header { name, value } => header_is_safe
);

record!(to given_documents, document:
    Inbound { method, path, headers, body, received_at, sender, settings }
    MappingRequest { kind, body, received_at, sender, settings }
    RenderingRequest { event, order_id, kind, settings }
    Message { kind, content_type, body }
    Delivery { message, idempotency_key, natural_key, attempt, settings }
    FindQuery { kind, natural_key, settings }
    PollRequest { cursor, now, settings }
    CheckRequest { settings }
);

record!(to given_values, document: Setting { name, value });

record!(from wit_values, document:
    Position { offset_bytes, segment, path }
    Problem { code, message, position } => problem_has_a_code
);

record!(from wit_documents, document:
    Reply { status, headers, body } => reply_is_sendable
    Span { offset_bytes, length_bytes }
    Envelope { key, part, answer, refusal } => envelope_has_a_key
    Document { key, partner, kind, position, envelope, body }
    Received { envelopes, documents, problems, reply } => envelopes_fit
    Message { kind, content_type, body } => content_type_is_safe
    Receipt { external_id, detail }
    Polled { documents, problems, cursor }
    CheckReport { ok, detail }
);

variant!(from wit_values, document:
    Failure { Invalid, Retry, Permanent, UnknownOutcome } => failure_is_usable
);

// --- what everything is made of ---

/// Values that are the same on both sides. Not `u8`: lists of it are bodies and
/// convert in one piece.
macro_rules! same {
    ($($type:ty),*) => { $(
        impl ToGuest for $type {
            type Guest<'a> = $type;
            fn to_guest<'a>(&'a self, _arena: &'a Bump) -> $type {
                *self
            }
        }
        impl FromGuest<$type> for $type {
            fn from_guest(guest: $type, _meter: &mut Meter) -> Result<Self, Refused> {
                Ok(guest)
            }
        }
    )* };
}

same!(bool, u16, u32, u64, i32, i64);

impl ToGuest for String {
    type Guest<'a> = &'a str;
    fn to_guest<'a>(&'a self, _arena: &'a Bump) -> &'a str {
        self
    }
}

impl FromGuest<String> for String {
    fn from_guest(guest: String, meter: &mut Meter) -> Result<Self, Refused> {
        meter.count_bytes(guest.len())?;
        meter.rule.check(&guest)?;
        Ok(guest)
    }
}

impl ToGuest for Vec<u8> {
    type Guest<'a> = &'a [u8];
    fn to_guest<'a>(&'a self, _arena: &'a Bump) -> &'a [u8] {
        self
    }
}

impl FromGuest<Vec<u8>> for Vec<u8> {
    fn from_guest(guest: Vec<u8>, meter: &mut Meter) -> Result<Self, Refused> {
        meter.count_bytes(guest.len())?;
        Ok(guest)
    }
}

impl<T: ToGuest> ToGuest for Vec<T> {
    type Guest<'a>
        = &'a [T::Guest<'a>]
    where
        T: 'a;
    fn to_guest<'a>(&'a self, arena: &'a Bump) -> Self::Guest<'a> {
        arena.alloc_slice_fill_iter(self.iter().map(|item| item.to_guest(arena)))
    }
}

impl<G, T: FromGuest<G>> FromGuest<Vec<G>> for Vec<T> {
    fn from_guest(guest: Vec<G>, meter: &mut Meter) -> Result<Self, Refused> {
        meter.count_items(guest.len())?;
        guest.into_iter().map(|item| T::from_guest(item, meter)).collect()
    }
}

impl<T: ToGuest> ToGuest for Option<T> {
    type Guest<'a>
        = Option<T::Guest<'a>>
    where
        T: 'a;
    fn to_guest<'a>(&'a self, arena: &'a Bump) -> Self::Guest<'a> {
        self.as_ref().map(|inner| inner.to_guest(arena))
    }
}

impl<G, T: FromGuest<G>> FromGuest<Option<G>> for Option<T> {
    fn from_guest(guest: Option<G>, meter: &mut Meter) -> Result<Self, Refused> {
        guest.map(|inner| T::from_guest(inner, meter)).transpose()
    }
}

/// A plugin's own answer: a value or a failure that it reports.
impl<G, T: FromGuest<G>> FromGuest<Result<G, wit_values::Failure>> for Result<T, document::Failure> {
    fn from_guest(guest: Result<G, wit_values::Failure>, meter: &mut Meter) -> Result<Self, Refused> {
        match guest {
            Ok(value) => Ok(Ok(T::from_guest(value, meter)?)),
            Err(failure) => Ok(Err(FromGuest::from_guest(failure, meter)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn assess(change: impl FnOnce(&mut wit_advice::Assessment)) -> Result<advice::Assessment, Refused> {
        let mut guest = wit_advice::Assessment {
            score_bp: 10_000,
            reasons: vec![wit_advice::Reason { code: "velocity".into(), contribution_bp: 10, line_number: None }],
            proposals: vec![wit_advice::Proposal::Hold(wit_advice::Hold {
                scope: wit_advice::HoldScope::Order,
                minutes: 5,
                reason: "velocity".into(),
            })],
            model: None,
        };
        change(&mut guest);
        FromGuest::from_guest(guest, &mut Meter::new(&Limits::DEFAULT))
    }

    fn path(result: Result<advice::Assessment, Refused>) -> String {
        match result.unwrap_err() {
            Refused::Broken { path, problem } => Refused::describe(&path, &problem),
            Refused::TooLarge { what, .. } => what.to_owned(),
        }
    }

    #[test]
    fn accepts_an_assessment_at_its_bounds() {
        assert_eq!(assess(|_| {}).unwrap().score_bp, 10_000);
    }

    #[test]
    fn names_the_field_that_breaks_its_promise() {
        assert!(path(assess(|a| a.score_bp = 10_001)).starts_with("`score-bp`: 10001 basis points"));
        assert!(path(assess(|a| a.reasons.clear())).starts_with("`proposals.reason`"));
        assert!(path(assess(|a| a.model = Some("sha256:no".into()))).starts_with("`model`"));
        assert!(
            path(assess(|a| a.reasons.iter_mut().for_each(|reason| reason.code = "Jane Doe".into())))
                .starts_with("`reasons.code`")
        );
    }

    #[test]
    fn refuses_a_price_for_nothing_and_a_scale_that_overflows() {
        let price =
            |scale, per_quantity| wit_values::UnitPrice { amount: 1, scale, currency: "USD".into(), per_quantity };
        let convert = |guest| <value::UnitPrice as FromGuest<_>>::from_guest(guest, &mut Meter::new(&Limits::DEFAULT));
        assert!(convert(price(2, 1)).is_ok());
        assert!(convert(price(2, 0)).is_err());
        assert!(convert(price(255, 1)).is_err());
    }

    #[test]
    fn counts_what_a_guest_returns() {
        let limits = Limits { output_bytes: 4, output_items: 2, ..Limits::DEFAULT };
        let convert = |list: Vec<String>| <Vec<String> as FromGuest<_>>::from_guest(list, &mut Meter::new(&limits));
        assert!(convert(vec!["ab".into(), "cd".into()]).is_ok());
        assert_eq!(
            convert(vec!["abc".into(), "de".into()]),
            Err(Refused::TooLarge { what: "output bytes", found: 5, allowed: 4 })
        );
        assert_eq!(
            convert(vec![String::new(); 3]),
            Err(Refused::TooLarge { what: "output items", found: 3, allowed: 2 })
        );
    }

    #[test]
    fn refuses_a_reply_that_smuggles_a_header() {
        let header = wit_documents::Header { name: "x-a".into(), value: "1\r\nset-cookie: a".into() };
        assert!(<document::Header as FromGuest<_>>::from_guest(header, &mut Meter::new(&Limits::DEFAULT)).is_err());
    }
}

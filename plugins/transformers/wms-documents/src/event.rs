//! What the warehouse says, by the `type` of its event.
//!
//! ```text
//! every event      "id", "type", "at" (RFC 3339), "orderId" but for a level
//! allocated        "lines": lineNumber sku node quantity unit
//! picked           "shipmentNumber" "node" carrier? tracking? shipTo? "lines"?: lineNumber sku quantity unit lot? serials?
//! packed           the same
//! dispatched       the same
//! confirmed        the same, but "lines": lineNumber sku ordered shipped unit reason? lot? serials?
//! return-received  "returnNumber" "lines": lineNumber? sku quantity unit reason? condition?
//! level            "sku" "node" "onHand" "available" "unit"
//! ```
//!
//! A level says how much of an item lies at a node at that time, and how much of that is set aside
//! for nobody.
//!
//! A confirmation says of each of its lines once how much was ordered and how much left, and
//! of a short one why:
//!
//! ```text
//! COMPLETE     none            nothing is missing
//! BACKORDERED  backorder       the rest comes later
//! CANCELLED    no-backorder    the rest does not come
//! SUBSTITUTED  substitution    another item came in its place
//! DAMAGED      damaged         the rest was no good
//! ```
//!
//! A short line without a reason, or one whose reason and quantities contradict each other,
//! would leave the rest of the order to a guess: it is refused.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use portreeve_guest_json::value::{
    Address, Amount, Canonical, Identifier, Moment, PositiveAmount, Text, UnitCode, compare,
};
use portreeve_guest_json::{object, place, word};
use portreeve_sdk::transformer::{
    Allocation, AllocationLine, Event, Extension, Failure, GoodsReturn, InstantMs, InventoryLevel, Problem, Quantity,
    ReturnLine, Shipment, ShipmentLine, ShortReason,
};
use serde::Deserialize;

/// Makes an event of one text, or says everything that is wrong with it.
type Read = fn(&str) -> Result<Event, Vec<Problem>>;

/// What the WMS says, by its own words.
const TYPES: [(&str, Read); 7] = [
    ("allocated", |text| shaped::<Allocated>(text)?.canonical().map(Event::InventoryAllocated)),
    ("picked", |text| Ok(Event::ShipmentPicked(shaped::<Step>(text)?.canonical()))),
    ("packed", |text| Ok(Event::ShipmentPacked(shaped::<Step>(text)?.canonical()))),
    ("dispatched", |text| Ok(Event::ShipmentDispatched(shaped::<Step>(text)?.canonical()))),
    ("confirmed", |text| shaped::<Confirmed>(text)?.canonical().map(Event::ShipmentConfirmed)),
    ("return-received", |text| shaped::<Returned>(text)?.canonical().map(Event::ReturnReceived)),
    ("level", |text| Ok(Event::InventoryLevel(shaped::<Level>(text)?.canonical()))),
];

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

word!(Reason => ShortReason {
    "COMPLETE" => None,
    "BACKORDERED" => Backorder,
    "CANCELLED" => NoBackorder,
    "SUBSTITUTED" => Substitution,
    "DAMAGED" => Damaged,
});

object!(pub(crate) Allocated, "an allocation: an object" {
    id: Identifier,
    r#type: Identifier,
    at: Moment,
    order_id: Identifier,
    lines: Vec<AllocatedLine>,
});

object!(pub(crate) AllocatedLine, "a line: an object" {
    line_number: Identifier,
    sku: Identifier,
    node: Identifier,
    quantity: Amount,
    unit: UnitCode,
});

object!(pub(crate) Step, "a step of a shipment: an object" {
    id: Identifier,
    r#type: Identifier,
    at: Moment,
    order_id: Identifier,
    shipment_number: Identifier,
    node: Identifier,
    carrier: Option<Identifier>,
    #[serde(default)]
    tracking: Vec<Identifier>,
    #[serde(default)]
    lines: Vec<StepLine>,
    ship_to: Option<Address>,
});

object!(pub(crate) StepLine, "a line: an object" {
    line_number: Identifier,
    sku: Identifier,
    quantity: Amount,
    unit: UnitCode,
    lot: Option<Identifier>,
    #[serde(default)]
    serials: Vec<Identifier>,
});

object!(pub(crate) Confirmed, "a confirmation: an object" {
    id: Identifier,
    r#type: Identifier,
    at: Moment,
    order_id: Identifier,
    shipment_number: Identifier,
    node: Identifier,
    carrier: Option<Identifier>,
    #[serde(default)]
    tracking: Vec<Identifier>,
    lines: Vec<ConfirmedLine>,
    ship_to: Option<Address>,
});

object!(pub(crate) Left, "a shipment that left: an object" {
    order_id: Identifier,
    shipment_number: Identifier,
    node: Identifier,
    at: Moment,
    carrier: Option<Identifier>,
    #[serde(default)]
    tracking: Vec<Identifier>,
    lines: Vec<ConfirmedLine>,
});

object!(pub(crate) ConfirmedLine, "a line: an object" {
    line_number: Identifier,
    sku: Identifier,
    ordered: PositiveAmount,
    shipped: Amount,
    unit: UnitCode,
    reason: Option<Reason>,
    lot: Option<Identifier>,
    #[serde(default)]
    serials: Vec<Identifier>,
});

object!(pub(crate) Returned, "a return: an object" {
    id: Identifier,
    r#type: Identifier,
    at: Moment,
    order_id: Identifier,
    return_number: Identifier,
    lines: Vec<ReturnedLine>,
});

object!(pub(crate) ReturnedLine, "a line: an object" {
    line_number: Option<Identifier>,
    sku: Identifier,
    quantity: PositiveAmount,
    unit: UnitCode,
    reason: Option<Text>,
    condition: Option<Text>,
});

object!(pub(crate) Level, "a level: an object" {
    id: Identifier,
    r#type: Identifier,
    at: Moment,
    sku: Identifier,
    node: Identifier,
    on_hand: Amount,
    available: Amount,
    unit: UnitCode,
});

/// The event that a document is.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(body: &[u8]) -> Result<Event, Failure> {
    let malformed = |line: usize, column: usize| {
        let message = format!("the event cannot be read at line {line}, column {column}");
        Failure::invalid(Problem::new("malformed-document", message, ""))
    };
    let text = std::str::from_utf8(body).map_err(|_| malformed(1, 1))?;
    let typed: Typed<'_> = serde_json::from_str(text).map_err(|error| malformed(error.line(), error.column()))?;
    let known = TYPES.iter().find(|(name, _)| *name == typed.kind);
    let (_, made) = known.ok_or_else(|| Failure::invalid(unsupported(&typed.kind)))?;
    made(text).map_err(Failure::Invalid)
}

fn unsupported(kind: &str) -> Problem {
    let supported: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
    let message = format!("found the type `{}`; expected one of {}", place::visible(kind), supported.join(", "));
    Problem::new("unsupported-type", message, "type")
}

fn shaped<'a, S: Deserialize<'a>>(text: &'a str) -> Result<S, Vec<Problem>> {
    portreeve_guest_json::read(text, "").map_err(|problem| vec![*problem])
}

impl Allocated {
    fn canonical(self) -> Result<Allocation, Vec<Problem>> {
        some_lines(self.lines.len())?;
        Ok(Allocation {
            order_number: self.order_id.canonical(),
            lines: self.lines.into_iter().map(AllocatedLine::canonical).collect(),
            // The contract's allocation has no time of its own.
            extensions: vec![Extension { name: "at".to_owned(), value: self.at.canonical().to_string() }],
        })
    }
}

impl AllocatedLine {
    fn canonical(self) -> AllocationLine {
        AllocationLine {
            line_number: self.line_number.canonical(),
            sku: self.sku.canonical(),
            node: self.node.canonical(),
            quantity: self.quantity.of(&self.unit.canonical()),
        }
    }
}

impl Step {
    fn canonical(self) -> Shipment {
        Shipment {
            order_number: self.order_id.canonical(),
            shipment_number: self.shipment_number.canonical(),
            node: Some(self.node.canonical()),
            carrier: self.carrier.canonical(),
            tracking: self.tracking.canonical(),
            at: Some(self.at.canonical()),
            lines: self.lines.into_iter().map(StepLine::canonical).collect(),
            ship_to: self.ship_to.canonical(),
            extensions: vec![],
        }
    }
}

impl StepLine {
    fn canonical(self) -> ShipmentLine {
        ShipmentLine {
            line_number: self.line_number.canonical(),
            sku: self.sku.canonical(),
            ordered: None,
            shipped: self.quantity.of(&self.unit.canonical()),
            short: ShortReason::None,
            lot: self.lot.canonical(),
            serials: self.serials.canonical(),
        }
    }
}

impl Confirmed {
    fn canonical(self) -> Result<Shipment, Vec<Problem>> {
        let Self { order_id, shipment_number, node, at, carrier, tracking, lines, ship_to, .. } = self;
        let left = Left { order_id, shipment_number, node, at, carrier, tracking, lines };
        Ok(Shipment { ship_to: ship_to.canonical(), ..left.canonical()? })
    }
}

impl Left {
    /// The same in a list, which has no event around it.
    pub(crate) fn listed(self) -> Result<Shipment, Vec<Problem>> {
        let shipment = self.canonical()?;
        let changed_at = shipment.at.map(|at| Extension { name: "changed-at".to_owned(), value: at.to_string() });
        Ok(Shipment { extensions: changed_at.into_iter().collect(), ..shipment })
    }

    fn canonical(self) -> Result<Shipment, Vec<Problem>> {
        some_lines(self.lines.len())?;
        let (mut lines, mut problems, mut seen) = (vec![], vec![], BTreeSet::new());
        for (index, line) in self.lines.into_iter().enumerate() {
            match line.canonical(&format!("lines[{index}]")) {
                Ok(line) if seen.insert(line.line_number.clone()) => lines.push(line),
                Ok(_) => problems.push(repeated(index)),
                Err(problem) => problems.push(*problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let at: InstantMs = self.at.canonical();
        Ok(Shipment {
            order_number: self.order_id.canonical(),
            shipment_number: self.shipment_number.canonical(),
            node: Some(self.node.canonical()),
            carrier: self.carrier.canonical(),
            tracking: self.tracking.canonical(),
            at: Some(at),
            lines,
            ship_to: None,
            extensions: vec![],
        })
    }
}

impl ConfirmedLine {
    fn canonical(self, path: &str) -> Result<ShipmentLine, Box<Problem>> {
        let unit = self.unit.canonical();
        let (ordered, shipped) = (self.ordered.of(&unit), self.shipped.of(&unit));
        let short = short(&ordered, &shipped, self.reason.canonical(), path)?;
        Ok(ShipmentLine {
            line_number: self.line_number.canonical(),
            sku: self.sku.canonical(),
            ordered: Some(ordered),
            shipped,
            short,
            lot: self.lot.canonical(),
            serials: self.serials.canonical(),
        })
    }
}

/// Why less left than was ordered, where that is so.
fn short(
    ordered: &Quantity,
    shipped: &Quantity,
    reason: Option<ShortReason>,
    path: &str,
) -> Result<ShortReason, Box<Problem>> {
    let is_short = compare(shipped, ordered) == Ordering::Less;
    let (code, message) = match (is_short, reason) {
        (true, None) => {
            ("reason-missing", "found less shipped than ordered and no reason; expected `reason` with one of its words")
        }
        (true, Some(ShortReason::None)) => {
            ("reason-contradicts", "found less shipped than ordered and `COMPLETE`; expected why the rest is missing")
        }
        (false, Some(ShortReason::Backorder | ShortReason::NoBackorder | ShortReason::Damaged)) => {
            ("reason-contradicts", "found all shipped and a reason why not; expected one of both")
        }
        // Another item may come in the whole quantity.
        (_, reason) => return Ok(reason.unwrap_or(ShortReason::None)),
    };
    Err(Box::new(Problem::new(code, message, place::within(path, "reason"))))
}

impl Returned {
    fn canonical(self) -> Result<GoodsReturn, Vec<Problem>> {
        some_lines(self.lines.len())?;
        Ok(GoodsReturn {
            return_number: self.return_number.canonical(),
            order_number: self.order_id.canonical(),
            lines: self.lines.into_iter().map(ReturnedLine::canonical).collect(),
            at: Some(self.at.canonical()),
            extensions: vec![],
        })
    }
}

impl ReturnedLine {
    fn canonical(self) -> ReturnLine {
        ReturnLine {
            line_number: self.line_number.canonical(),
            sku: self.sku.canonical(),
            quantity: self.quantity.of(&self.unit.canonical()),
            reason: self.reason.canonical(),
            condition: self.condition.canonical(),
        }
    }
}

impl Level {
    fn canonical(self) -> InventoryLevel {
        let unit = self.unit.canonical();
        InventoryLevel {
            sku: self.sku.canonical(),
            node: self.node.canonical(),
            on_hand: self.on_hand.of(&unit),
            available: self.available.of(&unit),
            as_of: Some(self.at.canonical()),
            extensions: vec![],
        }
    }
}

fn some_lines(count: usize) -> Result<(), Vec<Problem>> {
    if count > 0 {
        return Ok(());
    }
    let message = "found no lines; expected at least one, the event would say nothing";
    Err(vec![Problem::new("lines-missing", message, "lines")])
}

fn repeated(index: usize) -> Problem {
    let message = "found a line twice; expected each line once, with all that was ordered and shipped of it";
    Problem::new("line-repeated", message, format!("lines[{index}].lineNumber"))
}

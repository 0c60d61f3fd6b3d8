//! How far an order is, line by line, and what each event adds to it.
//!
//! Everything is counted in the unit and with the decimal places of the order's own line.
//! An event that counts otherwise is not converted: nothing is guessed about quantity,
//! unit or money.
//!
//! A line is known by its number, and numbers slip: a warehouse that counts its own lines says
//! 1 of what the order has as 2. So where an event names the item as well, it has to be one that
//! the line is known by: ours or the customer's number, which every system that was given the
//! order was given, or what its place was taken by, as a system said. Whoever calls items by
//! other numbers has a transformer that knows them.
//!
//! Two kinds of contradiction are told apart. What *cannot be* (more shipped than ordered) is
//! not counted; a person finds out which of the two systems is right. Money that has moved is
//! counted whatever it contradicts, since it has moved, and the contradiction is a concern.

mod agreed;

mod paying;

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::event::{
    Allocation, GoodsReturn, Invoice, InvoiceLine, LineStatus, OrderAnswer, Refund, RefundCause, Settlement, Shipment,
    ShipmentLine, ShortReason,
};
use portreeve_model::value::{text, text_option};
use portreeve_model::{Currency, Digest, Event, Money, Order, OrderLine, ProcessState, Quantity};
use serde::{Deserialize, Serialize};

use super::Process;

pub(crate) use self::agreed::LESS_THAN_LEFT;
pub(crate) use self::paying::ADVISED_OTHERWISE;
pub use self::paying::InvoiceProgress;

/// Things that were said about one order and are remembered, so that the same thing said
/// again has no effect. A system that never comes to an end would grow every later record.
pub const SAID_MAX: usize = 256;

/// What the numbers of the host's own refunds begin with.
const HOST_REFUND: &str = "host-";

/// How far an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// Where the order is as a whole.
    pub state: ProcessState,
    /// Its lines, by number.
    pub lines: BTreeMap<String, LineProgress>,
    /// What was asked for and paid.
    pub money: MoneyProgress,
    /// What was said about it, by event and the number that its system gave it
    /// (`shipment.confirmed/S-1`), with a digest of what it said.
    pub said: BTreeMap<String, Digest>,
    /// Returns that a refund was for.
    pub refunded_returns: BTreeSet<String>,
    /// Whether its sender wants it cancelled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// Whether people or rules refused it before any system had it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

/// How far a line is: counts of `10^−scale` units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineProgress {
    /// Unit code, as the order has it.
    pub unit: String,
    /// Decimal places of every count.
    pub scale: u8,
    /// The numbers that its item is known by, and those of what takes its place.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub items: BTreeSet<String>,
    /// Ordered.
    #[serde(with = "text")]
    pub ordered: i64,
    /// Set aside.
    #[serde(with = "text")]
    pub allocated: i64,
    /// Picked.
    #[serde(with = "text")]
    pub picked: i64,
    /// Packed.
    #[serde(with = "text")]
    pub packed: i64,
    /// Left the warehouse.
    #[serde(with = "text")]
    pub shipped: i64,
    /// Invoiced, less what credit memos took back.
    #[serde(with = "text")]
    pub invoiced: i64,
    /// Came back.
    #[serde(with = "text")]
    pub returned: i64,
    /// Whether what has not left never will.
    pub closed: bool,
    /// Whether it is invoiced and never shipped, such as freight.
    pub unshipped: bool,
}

/// What was asked for and paid, in minor units of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoneyProgress {
    /// The order's.
    pub currency: Currency,
    /// What the order comes to; unknown of one that an earlier version followed.
    #[serde(default, with = "text_option", skip_serializing_if = "Option::is_none")]
    pub ordered_minor: Option<i64>,
    /// What changes by which less is to leave took off that: who paid for it before gets it back.
    #[serde(default, with = "text", skip_serializing_if = "is_nothing")]
    pub let_go_minor: i64,
    /// Invoices less credit memos.
    #[serde(with = "text")]
    pub invoiced_minor: i64,
    /// Credit memos alone: what they took off those.
    #[serde(default, with = "text", skip_serializing_if = "is_nothing")]
    pub credited_minor: i64,
    /// Settled payments.
    #[serde(with = "text")]
    pub paid_minor: i64,
    /// What of payments was taken back, which those are less; nothing of what an earlier version counted.
    #[serde(default, with = "text", skip_serializing_if = "is_nothing")]
    pub taken_back_minor: i64,
    /// Refunds.
    #[serde(with = "text")]
    pub refunded_minor: i64,
    /// Those of them that are for returned goods.
    #[serde(default, with = "text", skip_serializing_if = "is_nothing")]
    pub refunded_for_goods_minor: i64,
    /// Refunds that the host decided on and that are not among those yet, by their numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refunding: BTreeMap<String, RefundRecord>,
    /// Its invoices and credit memos, by number; those that an earlier version counted are not among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub invoices: BTreeMap<String, InvoiceProgress>,
}

/// A refund that the host decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundRecord {
    /// Its number, among those of the order.
    pub number: String,
    /// Why.
    pub cause: RefundCause,
    /// The return that it is for.
    pub return_number: Option<String>,
    /// How much, in minor units of the order's currency; above nothing.
    #[serde(with = "text")]
    pub amount_minor: i64,
}

/// What was found and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concern {
    /// Stable code.
    pub code: &'static str,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
}

/// Why an event is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Something else comes first.
    Early(String),
    /// It contradicts what is known.
    Impossible(Concern),
}

/// What an event did, beside what a person has to know of it.
type Moved = Result<Vec<Concern>, Trouble>;

fn impossible(code: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Trouble {
    Trouble::Impossible(Concern { code, found: found.into(), expected: expected.into() })
}

impl Progress {
    /// An order before anything was said about it; these items of it are never shipped.
    pub(super) fn of_order(order: &Order, state: ProcessState, unshipped: &[String]) -> Result<Self, Concern> {
        let mut lines = BTreeMap::new();
        for line in &order.lines {
            let unshipped = unshipped.contains(&line.sku);
            let progress = LineProgress { unshipped, ..LineProgress::of(line) };
            if lines.insert(line.number.clone(), progress).is_some() {
                return Err(Concern {
                    code: "lines-alike",
                    found: format!("two lines with the number `{}`", line.number),
                    expected: "one of each number".to_owned(),
                });
            }
        }
        let ordered = order.value().ok().filter(|value| value.currency == order.currency);
        let money = MoneyProgress {
            currency: order.currency,
            ordered_minor: ordered.map(|value| value.minor),
            let_go_minor: 0,
            invoiced_minor: 0,
            credited_minor: 0,
            paid_minor: 0,
            taken_back_minor: 0,
            refunded_minor: 0,
            refunded_for_goods_minor: 0,
            refunding: BTreeMap::new(),
            invoices: BTreeMap::new(),
        };
        let (said, refunded_returns) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { state, lines, money, said, refunded_returns, cancelling: false, refused: false })
    }

    /// People or rules refused it, and no system had it yet.
    pub(crate) fn was_refused(&mut self) {
        let nothing_moved = self.state == ProcessState::Cancelled && self.said.is_empty();
        if nothing_moved || matches!(self.state, ProcessState::Held | ProcessState::Released) {
            self.state = ProcessState::Cancelled;
            self.refused = true;
        }
    }

    /// Counts what an event says.
    pub(super) fn count(&mut self, event: &Event, process: &Process) -> Moved {
        let unshipped = process.unshipped.as_slice();
        match event {
            Event::OrderChanged(change) => {
                let agreed = Self::of_order(&change.order, self.state, unshipped).map_err(Trouble::Impossible)?;
                self.agree(agreed).map(|()| Vec::new())
            }
            Event::OrderAccepted(answer) => self.accepted(answer),
            Event::OrderRejected(_) => self.rejected(),
            Event::OrderCancelRequested(_) => {
                self.cancelling = true;
                Ok(Vec::new())
            }
            Event::InventoryAllocated(allocation) => self.allocated(allocation),
            Event::ShipmentPicked(shipment) => self.handled(shipment, |line| &mut line.picked),
            Event::ShipmentPacked(shipment) => self.handled(shipment, |line| &mut line.packed),
            // Where it is, not how much of it: that is confirmed.
            Event::ShipmentDispatched(_) | Event::ShipmentDelayed(_) => Ok(Vec::new()),
            Event::ShipmentConfirmed(shipment) => self.shipped(shipment, &process.warehouse_decides),
            Event::InvoicePosted(invoice) => self.invoiced(invoice, unshipped),
            Event::PaymentSettled(settlement) => self.paid(settlement),
            Event::ReturnRequested(announced) => self.return_requested(announced),
            Event::ReturnReceived(received) => self.return_received(received),
            Event::RefundIssued(refund) => self.refunded(refund),
            Event::RemittanceReceived(advice) => self.advised(advice),
            other => Err(impossible(
                "not-of-the-process",
                format!("`{}`", other.name()),
                "an event that moves an order along",
            )),
        }
    }

    // --- the system of record ---

    fn accepted(&mut self, answer: &OrderAnswer) -> Moved {
        let (mut concerns, mut answered) = (Vec::new(), BTreeSet::new());
        for line in &answer.lines {
            let known = self.line(&line.line_number)?;
            known.items.extend(line.substitute_sku.clone().filter(|_| line.status == LineStatus::Substituted));
            if !answered.insert(&line.line_number) {
                let found = format!("two answers about line {}", line.line_number);
                return Err(impossible("lines-alike", found, "one about each line"));
            }
            let as_ordered = matches!(line.status, LineStatus::Accepted | LineStatus::Backordered);
            if !as_ordered {
                let found = format!("line {} with another answer than `accepted`", line.line_number);
                concerns.push(Concern {
                    code: "line-answered-otherwise",
                    found,
                    expected: "what was ordered".to_owned(),
                });
            }
        }
        Ok(concerns)
    }

    fn rejected(&mut self) -> Moved {
        self.lines.values_mut().for_each(|line| line.closed = true);
        // It is what its sender asked for, or people decided.
        if self.cancelling || self.refused {
            return Ok(Vec::new());
        }
        // The reason is the system's own words, and sealed with the event.
        let found = "the order rejected by the system of record".to_owned();
        Ok(vec![Concern { code: "rejected-by-target", found, expected: "its acceptance".to_owned() }])
    }

    // --- the warehouse ---

    fn allocated(&mut self, allocation: &Allocation) -> Moved {
        for said in &allocation.lines {
            let line = self.line_of(&said.line_number, &said.sku)?;
            let count = line.count_of(&said.quantity)?;
            let left = line.ordered.saturating_sub(line.allocated);
            line.allocated = line.add(line.allocated, count, left, &said.line_number, "left to allocate")?;
        }
        Ok(Vec::new())
    }

    /// Picked or packed.
    fn handled(&mut self, shipment: &Shipment, counted: impl Fn(&mut LineProgress) -> &mut i64) -> Moved {
        for said in &shipment.lines {
            let line = self.line_of(&said.line_number, &said.sku)?;
            let count = line.count_of(&said.shipped)?;
            let before = *counted(line);
            let left = line.ordered.saturating_sub(before);
            let after = line.add(before, count, left, &said.line_number, "left of the line")?;
            *counted(line) = after;
        }
        Ok(Vec::new())
    }

    fn shipped(&mut self, shipment: &Shipment, decides: &[ShortReason]) -> Moved {
        let mut concerns = Vec::new();
        // Nobody expects them: the system of record has no order any more.
        if self.was_said("order.rejected", "") && shipment.lines.iter().any(|line| line.shipped.value > 0) {
            concerns.push(shipped_after_rejection());
        }
        for said in &shipment.lines {
            if said.short == ShortReason::Substitution {
                self.line(&said.line_number)?.items.insert(said.sku.clone());
            }
            let line = self.line_of(&said.line_number, &said.sku)?;
            let count = line.count_of(&said.shipped)?;
            let left = line.ordered.saturating_sub(line.shipped);
            line.shipped = line.add(line.shipped, count, left, &said.line_number, "left to ship")?;
            concerns.extend(line.short(said, decides));
        }
        Ok(concerns)
    }

    // --- finance ---

    fn invoiced(&mut self, invoice: &Invoice, unshipped: &[String]) -> Moved {
        let total = self.amount(invoice.total)?;
        if total < 0 {
            return self.credited(total, invoice, unshipped);
        }
        for said in &invoice.lines {
            if self.is_unshipped(said, unshipped) {
                continue;
            }
            let line = self.line(&said.line_number)?;
            let count = line.count_of(&said.quantity)?;
            let left = line.shipped.saturating_sub(line.invoiced);
            if count > left && count <= line.ordered {
                let what = format!("shipment.confirmed of line {}, or a credit memo", said.line_number);
                return Err(Trouble::Early(what));
            }
            line.is_of(said.sku.as_deref(), &said.line_number)?;
            line.invoiced = line.add(line.invoiced, count, left, &said.line_number, "shipped and not invoiced")?;
        }
        self.money.invoiced_minor = more(self.money.invoiced_minor, total)?;
        self.bills(invoice, total)?;
        Ok(Vec::new())
    }

    /// A credit memo: what it names of an invoice's lines is not invoiced any more.
    fn credited(&mut self, total: i64, memo: &Invoice, unshipped: &[String]) -> Moved {
        for said in memo.lines.iter().filter(|_| memo.corrects.is_some()) {
            if self.is_unshipped(said, unshipped) {
                continue;
            }
            let line = self.line(&said.line_number)?;
            // Some systems write the quantity below nothing as well, beside the amount.
            let value = said.quantity.value.saturating_abs();
            let count = line.count_of(&Quantity { value, ..said.quantity.clone() })?;
            if count > line.invoiced && count <= line.ordered {
                return Err(Trouble::Early(format!("invoice.posted of line {}", said.line_number)));
            }
            line.is_of(said.sku.as_deref(), &said.line_number)?;
            line.add(0, count, line.invoiced, &said.line_number, "invoiced")?;
            line.invoiced = line.invoiced.saturating_sub(count);
        }
        self.money.invoiced_minor = more(self.money.invoiced_minor, total)?;
        self.money.credited_minor = more(self.money.credited_minor, total.saturating_neg())?;
        self.bills(memo, total)?;
        Ok(Vec::new())
    }

    fn paid(&mut self, settlement: &Settlement) -> Moved {
        let amount = self.amount(settlement.amount)?;
        self.money.paid_minor = more(self.money.paid_minor, amount)?;
        self.pays(settlement, amount)?;
        Ok(Vec::new())
    }

    // --- what comes back ---

    fn return_requested(&mut self, announced: &GoodsReturn) -> Moved {
        // It may be heard after the goods.
        if !self.was_said("return.received", &announced.return_number) {
            self.may_come_back(announced)?;
        }
        Ok(Vec::new())
    }

    fn return_received(&mut self, received: &GoodsReturn) -> Moved {
        for (number, count) in self.may_come_back(received)? {
            let line = self.line(&number)?;
            line.returned = line.returned.saturating_add(count);
        }
        Ok(Vec::new())
    }

    /// The lines of a return and their counts, where all of that can come back.
    fn may_come_back(&mut self, goods: &GoodsReturn) -> Result<Vec<(String, i64)>, Trouble> {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for said in &goods.lines {
            let number = said.line_number.as_deref().ok_or_else(|| {
                impossible("line-unknown", "a returned line without a number", "the number of the order's line")
            })?;
            let line = self.line(number)?;
            let count = line.count_of(&said.quantity)?;
            let all = counts.entry(number.to_owned()).or_default();
            let more = count.saturating_add(*all);
            let left = line.shipped.saturating_sub(line.returned);
            if more > left && more <= line.ordered.saturating_sub(line.returned) {
                return Err(Trouble::Early(format!("shipment.confirmed of line {number}")));
            }
            line.is_of(Some(&said.sku), number)?;
            *all = line.add(*all, count, left.saturating_sub(*all), number, "shipped and not returned")?;
        }
        Ok(counts.into_iter().collect())
    }

    fn refunded(&mut self, refund: &Refund) -> Moved {
        let amount = self.amount(refund.amount)?;
        let for_goods = refund.cause == RefundCause::GoodsReturn;
        let received = refund.return_number.as_deref().is_some_and(|number| self.was_said("return.received", number));
        if let (true, false, Some(number)) = (for_goods, received, &refund.return_number) {
            return Err(Trouble::Early(format!("return.received `{number}`, which the refund is for")));
        }
        let refunded_minor = more(self.money.refunded_minor, amount)?;
        if self.is_decided(refund) {
            self.money.refunding.remove(&refund.refund_number);
            // Somebody else paid it back meanwhile, or took the payment back: it is not sent.
            if refunded_minor > self.money.paid_minor {
                return Ok(vec![Concern {
                    code: "refund-not-needed",
                    found: format!(
                        "a refund of {} that the host had decided on, and less than that left",
                        refund.amount
                    ),
                    expected: "what is paid and not paid back to be as it was: nothing is refunded, see to the rest"
                        .to_owned(),
                }]);
            }
        }
        self.money.refunded_minor = refunded_minor;
        if for_goods {
            self.money.refunded_for_goods_minor = more(self.money.refunded_for_goods_minor, amount)?;
            self.refunded_returns.extend(refund.return_number.clone());
        }
        let before_receipt = (for_goods && !received).then(|| Concern {
            code: "refund-before-receipt",
            found: format!("a refund of {} for returned goods, and no receipt of them", refund.amount),
            expected: "the receipt of the return first".to_owned(),
        });
        Ok(before_receipt.into_iter().collect())
    }

    /// What is paid and kept above what is owed, where it is sure that nothing more will be owed:
    /// the order is cancelled, all of it that left is invoiced and the rest never leaves, or what
    /// came back is credited. Any other difference is for people, and so is what the cause does not
    /// explain: a customer who paid twice, or too much, is none who gets goods' worth back.
    pub(crate) fn owed_back(&self) -> Option<RefundRecord> {
        let above = self.money.kept_minor().saturating_sub(self.money.invoiced_minor);
        let open_returns = || self.numbers("return.received").into_iter().filter(|number| !self.is_refunded(number));
        let (cause, return_number, amount_minor) = match self.state {
            // Closed by the warehouse alone, it may still have shipped before.
            ProcessState::Cancelled
                if self.money.invoiced_minor == 0 && (self.refused || self.was_said("order.rejected", "")) =>
            {
                (RefundCause::CancelledPrepayment, None, above)
            }
            ProcessState::Settled
                if self.money.let_go_minor > 0 || self.lines.values().any(|line| line.cancelled() > 0) =>
            {
                // What went back already is explained by what never left, too: a second payment is not.
                let ordered = self.money.ordered_minor?.saturating_add(self.money.let_go_minor);
                let never_left = ordered.saturating_sub(self.money.invoiced_minor);
                if above > never_left.saturating_sub(self.money.returned_minor()) || self.may_have_left() {
                    return None;
                }
                (RefundCause::ShortShipment, None, above)
            }
            // It is credited as well where no invoice has come yet.
            ProcessState::Credited if self.lines.values().all(LineProgress::is_invoiced) => {
                let mut returns = open_returns();
                match (returns.next(), returns.next()) {
                    (Some(number), None) => {
                        let credited = self.money.credited_and_kept_minor();
                        (RefundCause::GoodsReturn, Some(number.to_owned()), above.min(credited))
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        (amount_minor > 0).then(|| RefundRecord { number: self.refund_number(), cause, return_number, amount_minor })
    }

    /// Whether what is taken for short may have left, and its confirmation be late: some system
    /// spoke of a shipment that nobody has confirmed yet.
    fn may_have_left(&self) -> bool {
        let confirmed = self.numbers("shipment.confirmed");
        let spoken_of = ["shipment.picked", "shipment.packed", "shipment.dispatched"].map(|event| self.numbers(event));
        spoken_of.iter().any(|numbers| !numbers.is_subset(&confirmed))
    }

    /// The host decided on a refund: nobody decides on the same money again.
    pub(crate) fn refunds(&mut self, refund: RefundRecord) {
        self.money.refunding.insert(refund.number.clone(), refund);
    }

    /// The refund that the host decided on and that this tells; none where it tells something else.
    pub(crate) fn decided(&self, event: &Event) -> Option<&RefundRecord> {
        match event {
            Event::RefundIssued(refund) if self.is_decided(refund) => self.money.refunding.get(&refund.refund_number),
            _ => None,
        }
    }

    /// A refund that the host decided on is not made: the money is owed as before.
    pub(crate) fn drops(&mut self, refund: &RefundRecord) {
        self.money.refunding.remove(&refund.number);
    }

    /// The first number that no refund of the order has.
    fn refund_number(&self) -> String {
        let numbers = (1_usize..).map(|number| format!("{HOST_REFUND}{number}"));
        let is_free =
            |number: &String| !self.money.refunding.contains_key(number) && !self.was_said("refund.issued", number);
        numbers.take(SAID_MAX).find(is_free).unwrap_or_else(|| HOST_REFUND.to_owned())
    }

    /// Whether it is, to the letter, a refund that the host decided on: a number alone is soon guessed.
    fn is_decided(&self, refund: &Refund) -> bool {
        self.money.refunding.get(&refund.refund_number).is_some_and(|decided| {
            decided.amount_minor == refund.amount.minor
                && refund.amount.currency == self.money.currency
                && decided.cause == refund.cause
                && decided.return_number == refund.return_number
        })
    }

    fn is_refunded(&self, return_number: &str) -> bool {
        let is_for = |refund: &RefundRecord| refund.return_number.as_deref() == Some(return_number);
        self.refunded_returns.contains(return_number) || self.money.refunding.values().any(is_for)
    }

    // --- what follows from the counts ---

    /// The state of these counts; of an order that nothing has moved yet, the one that it has.
    pub(super) fn follows(&self) -> ProcessState {
        // What people agreed to leave out, and nothing of which left, is no line of it any more.
        let is_of_it = |line: &&LineProgress| line.ordered > 0 || line.shipped > 0;
        let lines = || self.lines.values().filter(|line| !line.unshipped).filter(is_of_it);
        let (is_open, has_left) = (lines().any(|line| line.open() > 0), lines().any(|line| line.shipped > 0));
        let all = |counted: fn(&LineProgress) -> i64| lines().all(|line| counted(line) >= line.ordered);
        // Services: there is nothing to wait for but the money.
        if lines().next().is_none() && self.money.invoiced_minor > 0 {
            return self.after_shipping();
        }
        let all = |counted: fn(&LineProgress) -> i64| lines().next().is_some() && all(counted);
        match (is_open, has_left) {
            (false, false) if lines().any(|line| line.closed) => ProcessState::Cancelled,
            (false, true) => self.after_shipping(),
            (true, true) => ProcessState::PartShipped,
            // Before it is accepted there is nothing to undo yet, and it may still be refused.
            _ if self.cancelling && self.was_said("order.accepted", "") => ProcessState::Cancelling,
            _ if all(|line| line.packed) => ProcessState::Packed,
            _ if all(|line| line.picked) => ProcessState::Picked,
            _ if all(|line| line.allocated) => ProcessState::Allocated,
            _ if self.was_said("order.accepted", "") => ProcessState::Accepted,
            _ => self.state,
        }
    }

    /// Nothing is to leave any more.
    fn after_shipping(&self) -> ProcessState {
        let [requested, received] = ["return.requested", "return.received"].map(|event| self.numbers(event));
        if !requested.is_subset(&received) {
            return ProcessState::Returning;
        }
        let lines = || self.lines.values().filter(|line| !line.unshipped);
        if !received.is_empty() {
            let refunded = received.iter().all(|number| self.refunded_returns.contains(*number));
            let taken_back = lines().all(|line| line.invoiced <= line.shipped.saturating_sub(line.returned));
            return if refunded || taken_back { ProcessState::Credited } else { ProcessState::Returned };
        }
        match self.money.kept_minor() < self.money.invoiced_minor {
            _ if lines().any(|line| line.invoiced < line.shipped) => ProcessState::Shipped,
            true => ProcessState::Invoiced,
            false => ProcessState::Settled,
        }
    }

    /// What is wrong with all that was said so far, though each part of it counts. It may be
    /// over with what is said next: a payment comes before the invoice that it is for.
    #[must_use]
    pub fn contradiction(&self) -> Option<Concern> {
        let MoneyProgress { currency, invoiced_minor, paid_minor, .. } = self.money;
        let refunded_minor = self.money.returned_minor();
        let kept = self.money.kept_minor();
        let shown = |minor| Money { minor, currency }.to_string();
        let concern = |code, found, expected| Some(Concern { code, found, expected });
        match self.state {
            _ if refunded_minor > paid_minor => concern(
                "refund-exceeds-paid",
                format!("refunds of {}", shown(refunded_minor)),
                format!("{} at most, which is paid", shown(paid_minor)),
            ),
            _ if invoiced_minor < 0 => concern(
                "credited-too-much",
                format!("credit memos of {} above the invoices", shown(invoiced_minor.saturating_neg())),
                "none above what was invoiced".to_owned(),
            ),
            ProcessState::Cancelled if kept > 0 => concern(
                "paid-after-cancellation",
                format!("{} paid and kept for an order that is cancelled", shown(kept)),
                "none: refund it".to_owned(),
            ),
            // What had left when its sender wanted no more of it was right to leave.
            _ if self.was_said("order.rejected", "")
                && !self.cancelling
                && self.lines.values().any(|line| line.shipped > 0) =>
            {
                Some(shipped_after_rejection())
            }
            // Of goods that came back it is known what they are worth when all are invoiced.
            ProcessState::Settled | ProcessState::Credited
                if kept > invoiced_minor && self.lines.values().all(LineProgress::is_invoiced) =>
            {
                concern(
                    "paid-too-much",
                    format!("{} paid and kept", shown(kept)),
                    format!("{}, which is invoiced", shown(invoiced_minor)),
                )
            }
            _ => None,
        }
    }

    // --- parts ---

    fn line(&mut self, number: &str) -> Result<&mut LineProgress, Trouble> {
        self.lines
            .get_mut(number)
            .ok_or_else(|| impossible("line-unknown", format!("line `{number}`"), "a line of the order"))
    }

    /// A line, where it is of this item.
    fn line_of(&mut self, number: &str, item: &str) -> Result<&mut LineProgress, Trouble> {
        let line = self.line(number)?;
        line.is_of(Some(item), number)?;
        Ok(line)
    }

    /// Whether it is invoiced without goods, such as freight: by its item, or as a line of the order.
    fn is_unshipped(&self, line: &InvoiceLine, unshipped: &[String]) -> bool {
        line.sku.as_ref().is_some_and(|sku| unshipped.contains(sku))
            || self.lines.get(&line.line_number).is_some_and(|line| line.unshipped)
    }

    /// An amount of the order's currency, in minor units.
    fn amount(&self, money: Money) -> Result<i64, Trouble> {
        if money.currency == self.money.currency {
            return Ok(money.minor);
        }
        let expected = format!("an amount in {}", self.money.currency);
        Err(impossible("other-currency", format!("{money}"), expected))
    }

    fn was_said(&self, event: &str, number: &str) -> bool {
        self.said.contains_key(&said_as(event, number))
    }

    /// The numbers under which systems spoke of such an event.
    fn numbers(&self, event: &str) -> BTreeSet<&str> {
        let numbers = self.said.keys().filter_map(|said| said.strip_prefix(event)?.strip_prefix('/'));
        numbers.collect()
    }
}

fn shipped_after_rejection() -> Concern {
    Concern {
        code: "shipped-after-rejection",
        found: "goods that left for an order which the system of record rejected".to_owned(),
        expected: "none: have them back, or enter the order".to_owned(),
    }
}

/// What an event is remembered by.
pub(super) fn said_as(event: &str, number: &str) -> String {
    format!("{event}/{number}")
}

/// A sum of money.
fn more(before: i64, amount: i64) -> Result<i64, Trouble> {
    before.checked_add(amount).ok_or_else(|| {
        impossible("too-large", "amounts that add up to more than can be counted", "amounts of an order")
    })
}

fn is_nothing(amount: &i64) -> bool {
    *amount == 0
}

impl MoneyProgress {
    /// What credit memos took off, and was not given back for goods yet.
    fn credited_and_kept_minor(&self) -> i64 {
        let decided = self.refunding.values().filter(|refund| refund.cause == RefundCause::GoodsReturn);
        let returned =
            decided.map(|refund| refund.amount_minor).fold(self.refunded_for_goods_minor, i64::saturating_add);
        self.credited_minor.saturating_sub(returned)
    }

    /// Paid, and neither refunded nor about to be.
    fn kept_minor(&self) -> i64 {
        self.paid_minor.saturating_sub(self.returned_minor())
    }

    /// Refunded, or decided to be.
    fn returned_minor(&self) -> i64 {
        let decided = self.refunding.values().map(|refund| refund.amount_minor);
        decided.fold(self.refunded_minor, i64::saturating_add)
    }
}

impl LineProgress {
    fn of(line: &OrderLine) -> Self {
        let quantity = &line.quantity;
        Self {
            unit: quantity.unit.clone(),
            scale: quantity.scale,
            items: std::iter::once(&line.sku).chain(&line.buyer_sku).cloned().collect(),
            ordered: quantity.value,
            allocated: 0,
            picked: 0,
            packed: 0,
            shipped: 0,
            invoiced: 0,
            returned: 0,
            closed: false,
            unshipped: false,
        }
    }

    /// What is still to leave.
    #[must_use]
    pub fn open(&self) -> i64 {
        if self.closed { 0 } else { self.ordered.saturating_sub(self.shipped) }
    }

    /// Whether all of it that left and stayed away is invoiced.
    fn is_invoiced(&self) -> bool {
        self.unshipped || self.invoiced >= self.shipped.saturating_sub(self.returned)
    }

    /// What will never leave.
    #[must_use]
    pub fn cancelled(&self) -> i64 {
        if self.closed { self.ordered.saturating_sub(self.shipped) } else { 0 }
    }

    /// A count of the line as people read it.
    #[must_use]
    pub fn shown(&self, count: i64) -> Quantity {
        Quantity { value: count, scale: self.scale, unit: self.unit.clone() }
    }

    /// Whether an item is one that the line is known by. Of what an earlier version of the host
    /// followed, or an event does not name, nothing is known.
    fn is_of(&self, item: Option<&str>, number: &str) -> Result<(), Trouble> {
        let Some(item) = item.filter(|item| !self.items.is_empty() && !self.items.contains(*item)) else {
            return Ok(());
        };
        let known: Vec<String> = self.items.iter().map(|item| format!("`{item}`")).collect();
        let found = format!("item `{item}` on line {number}");
        Err(impossible("other-item", found, format!("{}, which the line is of", known.join(" or "))))
    }

    /// A quantity in the line's own unit and decimal places.
    fn count_of(&self, quantity: &Quantity) -> Result<i64, Trouble> {
        let otherwise = || impossible("other-unit", format!("{quantity}"), format!("a quantity in {}", self.unit));
        if quantity.unit != self.unit {
            return Err(otherwise());
        }
        if quantity.value < 0 {
            return Err(impossible("below-nothing", format!("{quantity}"), "a quantity of nothing or more"));
        }
        let factor = 10_i64.checked_pow(u32::from(quantity.scale.abs_diff(self.scale))).ok_or_else(otherwise)?;
        let counted = if quantity.scale <= self.scale {
            quantity.value.checked_mul(factor)
        } else {
            // Finer than the order counts: only what has no remainder is the same.
            (quantity.value % factor == 0).then_some(quantity.value / factor)
        };
        counted.ok_or_else(|| {
            impossible("other-scale", format!("{quantity}"), format!("a quantity with {} decimal places", self.scale))
        })
    }

    /// The sum, where what is added is not more than what is left.
    fn add(&self, before: i64, count: i64, left: i64, number: &str, what: &str) -> Result<i64, Trouble> {
        if count > left {
            let found = format!("{} of line {number}", self.shown(count));
            return Err(impossible("more-than-left", found, format!("{} at most, {what}", self.shown(left.max(0)))));
        }
        Ok(before.saturating_add(count))
    }

    /// What becomes of the rest of a line that was shipped short: the warehouse's code says so, where
    /// it may decide that.
    fn short(&mut self, said: &ShipmentLine, decides: &[ShortReason]) -> Option<Concern> {
        let rest = self.open();
        let not_agreed = |what: &str, expected: &str| {
            Some(Concern {
                code: "short-not-agreed",
                found: format!("line {} shipped short by {}, {what}", said.line_number, self.shown(rest)),
                expected: format!("{expected}; `warehouse_decides` of the process says what it may decide"),
            })
        };
        match said.short {
            ShortReason::None => None,
            ShortReason::Backorder if rest == 0 || decides.contains(&said.short) => None,
            ShortReason::Backorder => {
                not_agreed("and the rest as a backorder", "somebody to ask whether it may still come")
            }
            ShortReason::NoBackorder if decides.contains(&said.short) => {
                self.closed = true;
                None
            }
            ShortReason::NoBackorder if rest == 0 => None,
            ShortReason::NoBackorder => {
                not_agreed("and nothing more of it", "the rest, which is owed until somebody agrees otherwise")
            }
            ShortReason::Substitution if said.shipped.value > 0 && !decides.contains(&said.short) => {
                Some(Concern {
                    code: "substitute-not-agreed",
                    found: format!("another item in the place of line {}", said.line_number),
                    expected: "what was ordered, or somebody who asks whether the other one is wanted; `warehouse_decides` of the process says what the warehouse may decide".to_owned(),
                })
            }
            ShortReason::Substitution | ShortReason::Damaged | ShortReason::Unknown if rest == 0 => None,
            ShortReason::Substitution | ShortReason::Damaged | ShortReason::Unknown => Some(Concern {
                code: "short-shipment",
                found: format!("line {} shipped short by {}", said.line_number, self.shown(rest)),
                expected: "a word on what becomes of the rest: backorder or none".to_owned(),
            }),
        }
    }
}

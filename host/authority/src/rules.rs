//! The host's own rules for an order: deterministic, the same for every plugin, and
//! outside every model's budget.
//!
//! They hold what people have to look at and refuse what no one could deliver. A
//! rule compares the order with reference data that the caller looked up, in
//! integers only; amounts that cannot be compared count as a difference, never as
//! agreement. A line in another unit than its item's is converted by the table `unit`.
//!
//! ```toml
//! [rules]
//! price_tolerance_bp = 500         # unit price against list price, both directions
//! totals_tolerance_minor = 2       # minor units, stated against computed
//! discount_max_bp = 2500           # the whole discount against the sum of lines
//! blocked_customer = true          # hold orders of blocked customers
//! unknown_item = "refuse"          # hold or refuse
//! unknown_customer = "hold"        # hold or refuse
//! unknown_ship_to = "hold"         # hold, refuse or off: places that the customer has no agreement for
//! cross_reference = true           # hold lines whose two item numbers mean different items
//! short_stock = false              # hold lines that ask for more than is available
//! unreleasable_sender_states = ["payment_review", "fraud"]
//! hold_minutes = 1440              # then the hold escalates
//! release_grace_minutes = 1440     # how long a rule stays quiet about an order that a person released
//! queue = { price = "pricing", credit = "credit", customer = "customer-service", totals = "order-desk", item = "order-desk", payment = "fraud-review" }
//!
//! [rules.credit]
//! check = true                     # exposure of the customer's credit account against its limit
//! limit_bp = 10000                 # of the limit that the exposure may come to
//! overdue_days_max = 30            # the oldest receivable
//! data_age_minutes_max = 120       # the account's figures
//! no_account = "hold"              # hold or off: customers whom the table `credit` does not have
//! recheck = true                   # once more when stock is set aside; so it is where nothing is said
//! ```
//!
//! Every other key is required: a rule is off because somebody wrote so. Findings carry
//! codes, amounts and positions, and no personal data.

mod amounts;

mod credit;

mod units;

mod partner;

mod file;

use std::collections::BTreeMap;

use portreeve_model::value::Decimal;
use portreeve_model::{Currency, Digest, Instant, Order, OrderLine};

use self::amounts::{amount, within_tolerance};
use self::credit::CreditRule;
pub use self::credit::{Account, CreditCheck, CreditFacts, CreditRoom, is_about_credit};
use self::units::by_conversion;
use crate::known::Known;
use crate::verdict::shown;
use portreeve_model::strict::{LoadErrors, Problems, SourceFile};

/// Basis points of one.
const ONE_BP: i64 = 10_000;

/// The rules in force.
#[derive(Debug)]
pub struct Rules {
    price_tolerance_bp: i64,
    totals_tolerance_minor: i64,
    discount_max_bp: i64,
    blocked_customer: bool,
    unknown_item: Unknown,
    unknown_customer: Unknown,
    unknown_ship_to: Option<Unknown>,
    cross_reference: bool,
    short_stock: bool,
    unreleasable_sender_states: Vec<String>,
    hold_minutes: u32,
    release_grace_minutes: i64,
    credit: CreditRule,
    queues: Queues,
    digest: Digest,
}

/// What to do about something that reference data does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Hold,
    Refuse,
}

const UNKNOWN: [(&str, Unknown); 2] = [("hold", Unknown::Hold), ("refuse", Unknown::Refuse)];

/// The same for a rule that may be off.
const UNKNOWN_OR_OFF: [(&str, Option<Unknown>); 3] =
    [("hold", Some(Unknown::Hold)), ("refuse", Some(Unknown::Refuse)), ("off", None)];

#[derive(Debug)]
struct Queues {
    price: String,
    credit: String,
    customer: String,
    totals: String,
    item: String,
    payment: String,
}

/// What the host knows about the order from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceFacts {
    /// When the order was received.
    pub received_at: Instant,
    /// Whether it came by a channel for tests.
    pub test_channel: bool,
    /// The customer.
    pub customer: Looked<CustomerFacts>,
    /// The items by `sku`; those missing are unknown.
    pub items: BTreeMap<String, Looked<ItemFacts>>,
    /// The agreement with the customer about the place; none when the order names
    /// its place by an address only.
    pub ship_to: Option<Looked<()>>,
    /// Our item for each of the customer's own item numbers, where both stand in a line.
    pub cross_references: BTreeMap<String, Looked<String>>,
    /// What other units of an item are, by `sku` and unit, for the lines that are
    /// ordered in another unit than the item is sold in.
    pub conversions: BTreeMap<(String, String), Looked<UnitFacts>>,
    /// What is available of an item, in the unit that it is sold in, by `sku`.
    pub available: BTreeMap<String, Looked<i64>>,
}

/// What a reference table says about a key. Only the table's own "no such row" may
/// count against a sender: a table that was never loaded, or a row without a column,
/// is a mistake of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked<T> {
    /// The row.
    Found(T),
    /// The table has no such row.
    Unknown,
    /// The row lacks a column that a rule needs.
    Incomplete,
    /// There is no such table.
    NotLoaded,
}

impl<T> Looked<T> {
    /// The row, where there is a whole one.
    #[must_use]
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(row) => Some(row),
            Self::Unknown | Self::Incomplete | Self::NotLoaded => None,
        }
    }
}

/// What the host knows about a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerFacts {
    /// The class, for example `standard`.
    pub class: String,
    /// Whether orders of this customer are stopped.
    pub blocked: bool,
    /// The currency of the customer's account; none when any will do.
    pub currency: Option<Currency>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The credit account, where it is another than the customer's own.
    pub credit_account: Option<String>,
}

/// What the host knows about an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemFacts {
    /// Major units of `currency` for one `unit`.
    pub list_price: Decimal,
    /// The unit of measure that it is sold in.
    pub unit: String,
    /// The currency of the list price.
    pub currency: Currency,
}

/// What the host knows about another unit of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFacts {
    /// The unit that it is converted to.
    pub to: String,
    /// How many of those one of it is, exactly.
    pub factor: Decimal,
}

/// A rule, as records and metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The customer is known to the host.
    UnknownCustomer,
    /// The customer is not blocked.
    BlockedCustomer,
    /// The order is in the customer's currency.
    Currency,
    /// The sender's own state lets the order go.
    SenderState,
    /// Nothing is wanted before the order was received.
    RequestedDate,
    /// Something is ordered.
    Quantity,
    /// The item is known to the host.
    UnknownItem,
    /// The item is ordered in the unit that it is sold in, or in one that converts to it.
    UnitOfMeasure,
    /// The price is near the list price.
    Price,
    /// Stated amounts agree with computed ones.
    Totals,
    /// The discount is one that the distributor gives.
    Discount,
    /// No charge and no total is below nothing.
    NegativeAmount,
    /// The tables that the rules need are there and whole.
    Reference,
    /// A test is no order.
    TestOrder,
    /// The customer may have goods sent to this place.
    UnknownShipTo,
    /// The customer's item number and ours mean the same item.
    CrossReference,
    /// There is enough of the item.
    Availability,
    /// The customer's credit account bears the order.
    Credit,
}

impl Rule {
    /// The word used in records: lower case with dashes, never changed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownCustomer => "unknown-customer",
            Self::BlockedCustomer => "blocked-customer",
            Self::Currency => "currency",
            Self::SenderState => "sender-state",
            Self::RequestedDate => "requested-date",
            Self::Quantity => "quantity",
            Self::UnknownItem => "unknown-item",
            Self::UnitOfMeasure => "unit-of-measure",
            Self::Price => "price",
            Self::Totals => "totals",
            Self::Discount => "discount",
            Self::NegativeAmount => "negative-amount",
            Self::Reference => "reference",
            Self::TestOrder => "test-order",
            Self::UnknownShipTo => "unknown-ship-to",
            Self::CrossReference => "cross-reference",
            Self::Availability => "availability",
            Self::Credit => "credit",
        }
    }
}

/// What follows from a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consequence {
    /// People look at the order first. It is cleared by the host when its cause goes.
    PolicyHold {
        /// Whose work it is.
        queue: String,
        /// Until it escalates.
        minutes: u32,
    },
    /// The order goes nowhere. Nothing answers the sender by itself: people of the
    /// queue tell it, by an exception.
    Refuse {
        /// Whose work it is.
        queue: String,
    },
}

/// One thing that is wrong with an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// What about it; a stable lower-case code with dashes.
    pub code: &'static str,
    /// The sender's number of the line that it is about.
    pub line: Option<String>,
    /// What the order has.
    pub found: String,
    /// What the rule requires.
    pub expected: String,
    /// What follows.
    pub consequence: Consequence,
}

impl Rules {
    /// Reads the rules.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn load(file: &SourceFile<'_>, known: &Known) -> Result<Self, LoadErrors> {
        let mut problems = Problems::new();
        let rules = file::read_file(*file, known, &mut problems);
        match rules {
            Some(rules) if problems.is_empty() => Ok(rules),
            _ => Err(LoadErrors::new(problems)),
        }
    }

    /// The digest of the file, which every decision records.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How long a rule stays quiet about an order after a person released what it held.
    #[must_use]
    pub fn release_grace_ms(&self) -> i64 {
        self.release_grace_minutes.saturating_mul(Instant::MINUTE_MS)
    }

    /// The hold that keeps an order back when a rule finds something wrong with one that is
    /// to be released: also what would have refused it, for people are at it already.
    #[must_use]
    pub fn hold_on_review(&self, finding: &Finding) -> (String, u32) {
        match &finding.consequence {
            Consequence::PolicyHold { queue, minutes } => (queue.clone(), *minutes),
            Consequence::Refuse { queue } => (queue.clone(), self.hold_minutes),
        }
    }

    /// Everything that the rules find wrong with the order by itself and by the tables, but
    /// for its credit ([`Rules::check_credit`]): header first, then lines
    /// in order, then totals. Nothing found means that the host's default applies.
    #[must_use]
    pub fn check(&self, order: &Order, reference: &ReferenceFacts) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.check_test(order, reference, &mut findings);
        self.check_customer(order, reference, &mut findings);
        self.check_ship_to(reference, &mut findings);
        self.check_sender_state(order, &mut findings);
        self.check_date(order.requested_delivery, None, reference, &mut findings);
        self.check_item_table(reference, &mut findings);
        for line in &order.lines {
            self.check_line(order, line, reference, &mut findings);
        }
        self.check_totals(order, &mut findings);
        findings
    }

    fn check_test(&self, order: &Order, reference: &ReferenceFacts, findings: &mut Vec<Finding>) {
        // Check: a test ships nothing. Only a channel for tests takes one for an order.
        if order.is_test() && !reference.test_channel {
            findings.push(Finding {
                rule: Rule::TestOrder,
                code: "test-order",
                line: None,
                found: "marked as a test by its sender".to_owned(),
                expected: "an order, or a channel with `test = true`".to_owned(),
                consequence: self.hold(&self.queues.item),
            });
        }
    }

    fn check_item_table(&self, reference: &ReferenceFacts, findings: &mut Vec<Finding>) {
        // Check: there is a table of items at all; otherwise no line can be judged.
        if reference.items.values().any(|item| *item == Looked::NotLoaded) {
            findings.push(self.of_reference(
                "item-table-not-loaded",
                None,
                "a reference table `item`",
                &self.queues.item,
            ));
        }
    }

    fn check_customer(&self, order: &Order, reference: &ReferenceFacts, findings: &mut Vec<Finding>) {
        // Check: the customer is known. Without facts the next two cannot be checked.
        let customer = match &reference.customer {
            Looked::Found(customer) => customer,
            Looked::Unknown => {
                findings.push(Finding {
                    rule: Rule::UnknownCustomer,
                    code: "customer-unknown",
                    line: None,
                    found: "no such customer".to_owned(),
                    expected: "a customer of the reference table".to_owned(),
                    consequence: self.unknown(self.unknown_customer, &self.queues.customer),
                });
                return;
            }
            Looked::Incomplete => {
                findings.push(self.of_reference(
                    "customer-row-incomplete",
                    None,
                    "a row with class and blocked",
                    &self.queues.customer,
                ));
                return;
            }
            Looked::NotLoaded => {
                findings.push(self.of_reference(
                    "customer-table-not-loaded",
                    None,
                    "a reference table `customer`",
                    &self.queues.customer,
                ));
                return;
            }
        };

        // Check: the customer is not blocked.
        if self.blocked_customer && customer.blocked {
            findings.push(Finding {
                rule: Rule::BlockedCustomer,
                code: "customer-blocked",
                line: None,
                found: "blocked".to_owned(),
                expected: "not blocked".to_owned(),
                consequence: self.hold(&self.queues.credit),
            });
        }

        // Check: the order is in the customer's currency.
        if let Some(currency) = customer.currency
            && currency != order.currency
        {
            findings.push(Finding {
                rule: Rule::Currency,
                code: "currency-differs",
                line: None,
                found: order.currency.to_string(),
                expected: currency.to_string(),
                consequence: self.hold(&self.queues.customer),
            });
        }
    }

    fn check_sender_state(&self, order: &Order, findings: &mut Vec<Finding>) {
        // Check: the sender's own state lets the order go.
        let Some(state) = &order.sender_state else {
            return;
        };
        if self.unreleasable_sender_states.contains(state) {
            findings.push(Finding {
                rule: Rule::SenderState,
                code: "sender-state-unreleasable",
                line: None,
                found: shown(state),
                expected: "another state".to_owned(),
                consequence: self.hold(&self.queues.payment),
            });
        }
    }

    fn check_date(
        &self,
        requested: Option<portreeve_model::Date>,
        line: Option<&OrderLine>,
        reference: &ReferenceFacts,
        findings: &mut Vec<Finding>,
    ) {
        // Check: nothing is wanted before the order came.
        let Some(requested) = requested else { return };
        let Some(received) = reference.received_at.date() else { return };
        if requested < received {
            findings.push(Finding {
                rule: Rule::RequestedDate,
                code: "requested-in-the-past",
                line: line.map(|line| line.number.clone()),
                found: requested.to_string(),
                expected: format!("{received} or later"),
                consequence: self.hold(&self.queues.totals),
            });
        }
    }

    fn check_line(&self, order: &Order, line: &OrderLine, reference: &ReferenceFacts, findings: &mut Vec<Finding>) {
        let finding = |rule, code, found: String, expected: String, consequence| Finding {
            rule,
            code,
            line: Some(line.number.clone()),
            found,
            expected,
            consequence,
        };

        // Check: something is ordered.
        if line.quantity.value <= 0 {
            findings.push(finding(
                Rule::Quantity,
                "quantity-not-positive",
                amount(line.quantity.value, line.quantity.scale),
                "more than 0".to_owned(),
                Consequence::Refuse { queue: self.queues.item.clone() },
            ));
        }
        self.check_date(line.requested_delivery, Some(line), reference, findings);
        self.check_extended(order, line, findings);
        self.check_cross_reference(line, reference, findings);

        // Check: the item is known. Without facts the next two cannot be checked.
        let item = match reference.items.get(&line.sku) {
            Some(Looked::Found(item)) => item,
            None | Some(Looked::Unknown) => {
                findings.push(finding(
                    Rule::UnknownItem,
                    "item-unknown",
                    shown(&line.sku),
                    "an item of the reference table".to_owned(),
                    self.unknown(self.unknown_item, &self.queues.item),
                ));
                return;
            }
            Some(Looked::Incomplete) => {
                let line = Some(line.number.clone());
                findings.push(self.of_reference(
                    "item-row-incomplete",
                    line,
                    "a row with list-price, unit and currency",
                    &self.queues.item,
                ));
                return;
            }
            // Said once for the whole order.
            Some(Looked::NotLoaded) => return,
        };

        // What the list price and the stock are for is the unit that the item is sold in.
        let Some(factor) = self.check_unit(line, item, reference, findings) else {
            return;
        };
        let converted = by_conversion(line, item, factor);

        self.check_available(line, factor, &converted, reference, findings);

        // Check: the price is near the list price, in both directions.
        if !within_tolerance(&line.unit_price, item, factor, self.price_tolerance_bp) {
            let (list, tolerance) = (item.list_price, self.price_tolerance_bp);
            findings.push(finding(
                Rule::Price,
                "price-out-of-tolerance",
                line.unit_price.to_string(),
                format!("{list} {} within {tolerance} bp{converted}", item.currency),
                self.hold(&self.queues.price),
            ));
        }
    }

    /// A finding about our own tables: never a refusal.
    fn of_reference(&self, code: &'static str, line: Option<String>, expected: &str, queue: &str) -> Finding {
        Finding {
            rule: Rule::Reference,
            code,
            line,
            found: "nothing to compare with".to_owned(),
            expected: expected.to_owned(),
            consequence: self.hold(queue),
        }
    }

    fn hold(&self, queue: &str) -> Consequence {
        Consequence::PolicyHold { queue: queue.to_owned(), minutes: self.hold_minutes }
    }

    fn unknown(&self, what: Unknown, queue: &str) -> Consequence {
        match what {
            Unknown::Hold => self.hold(queue),
            Unknown::Refuse => Consequence::Refuse { queue: queue.to_owned() },
        }
    }
}

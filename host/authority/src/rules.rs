//! The host's own rules for an order: deterministic, the same for every plugin, and
//! outside every model's budget.
//!
//! They hold what people have to look at and refuse what no one could deliver. A
//! rule compares the order with reference data that the caller looked up, in
//! integers only; amounts that cannot be compared count as a difference, never as
//! agreement.
//!
//! ```toml
//! [rules]
//! price_tolerance_bp = 500         # unit price against list price, both directions
//! totals_tolerance_minor = 2       # minor units, stated against computed
//! blocked_customer = true          # hold orders of blocked customers
//! unknown_item = "refuse"          # hold or refuse
//! unknown_customer = "hold"        # hold or refuse
//! unreleasable_sender_states = ["payment_review", "fraud"]
//! hold_minutes = 1440              # then the hold escalates
//! queue = { price = "pricing", credit = "credit", customer = "customer-service", totals = "order-desk", item = "order-desk", payment = "fraud-review" }
//! ```
//!
//! Every key is required: a rule is off because somebody wrote so. Findings carry
//! codes, amounts and positions, and no personal data.

use std::collections::BTreeMap;

use portreeve_model::value::{Decimal, ValueError};
use portreeve_model::{Currency, Digest, Instant, Money, Order, OrderLine, UnitPrice};

use crate::grant::{HOLD_MINUTES_MAX, one_of};
use crate::strict::{Known, LoadErrors, Problems, SourceFile, Table, choice, text, whole};
use crate::verdict::shown;

/// Basis points of one.
const ONE_BP: i64 = 10_000;

/// A tolerance above this, in minor units, is a typing error.
const TOTALS_TOLERANCE_MAX: i64 = 100_000;

/// The rules in force.
#[derive(Debug)]
pub struct Rules {
    price_tolerance_bp: i64,
    totals_tolerance_minor: i64,
    blocked_customer: bool,
    unknown_item: Unknown,
    unknown_customer: Unknown,
    unreleasable_sender_states: Vec<String>,
    hold_minutes: u32,
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
    /// The customer; none when the reference table does not have it.
    pub customer: Option<CustomerFacts>,
    /// The items by `sku`; those missing are unknown.
    pub items: BTreeMap<String, ItemFacts>,
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
    /// The item is ordered in the unit that it is sold in.
    UnitOfMeasure,
    /// The price is near the list price.
    Price,
    /// Stated amounts agree with computed ones.
    Totals,
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
    /// The sender is told no.
    Refuse,
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
        let mut problems = Vec::new();
        let rules = read_file(*file, known, &mut problems);
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

    /// Everything that the rules find wrong with the order, header first, then lines
    /// in order, then totals. Nothing found means that the host's default applies.
    #[must_use]
    pub fn check(&self, order: &Order, reference: &ReferenceFacts) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.check_customer(order, reference, &mut findings);
        self.check_sender_state(order, &mut findings);
        self.check_date(order.requested_delivery, None, reference, &mut findings);
        for line in &order.lines {
            self.check_line(order, line, reference, &mut findings);
        }
        self.check_totals(order, &mut findings);
        findings
    }

    fn check_customer(&self, order: &Order, reference: &ReferenceFacts, findings: &mut Vec<Finding>) {
        // Check: the customer is known. Without facts the next two cannot be checked.
        let Some(customer) = &reference.customer else {
            findings.push(Finding {
                rule: Rule::UnknownCustomer,
                code: "customer-unknown",
                line: None,
                found: "no such customer".to_owned(),
                expected: "a customer of the reference table".to_owned(),
                consequence: self.unknown(self.unknown_customer, &self.queues.customer),
            });
            return;
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
        let Some((requested, received)) = requested.zip(reference.received_at.date()) else {
            return;
        };
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
                Consequence::Refuse,
            ));
        }
        self.check_date(line.requested_delivery, Some(line), reference, findings);
        self.check_extended(order, line, findings);

        // Check: the item is known. Without facts the next two cannot be checked.
        let Some(item) = reference.items.get(&line.sku) else {
            findings.push(finding(
                Rule::UnknownItem,
                "item-unknown",
                shown(&line.sku),
                "an item of the reference table".to_owned(),
                self.unknown(self.unknown_item, &self.queues.item),
            ));
            return;
        };

        // Check: it is ordered in the unit that it is sold in; the list price is for that unit.
        if line.quantity.unit != item.unit {
            findings.push(finding(
                Rule::UnitOfMeasure,
                "unit-differs",
                shown(&line.quantity.unit),
                shown(&item.unit),
                self.hold(&self.queues.item),
            ));
            return;
        }

        // Check: the price is near the list price, in both directions.
        if !within_tolerance(&line.unit_price, item, self.price_tolerance_bp) {
            findings.push(finding(
                Rule::Price,
                "price-out-of-tolerance",
                line.unit_price.to_string(),
                format!("{} {} within {} bp", item.list_price, item.currency, self.price_tolerance_bp),
                self.hold(&self.queues.price),
            ));
        }
    }

    fn check_extended(&self, order: &Order, line: &OrderLine, findings: &mut Vec<Finding>) {
        // Check: the line's amount can be computed in the order's currency, and is what the sender states.
        let computed = line.unit_price.extended(&line.quantity).and_then(|money| in_currency(money, order.currency));
        let difference = match (line.extended, computed) {
            (_, Err(error)) => Some(("line-amount-not-computable", None, error.to_string())),
            (Some(stated), Ok(computed)) if !self.agrees(stated, computed) => {
                Some(("line-amount-differs", Some(stated), computed.to_string()))
            }
            (_, Ok(_)) => None,
        };
        let Some((code, stated, expected)) = difference else {
            return;
        };
        findings.push(Finding {
            rule: Rule::Totals,
            code,
            line: Some(line.number.clone()),
            found: stated.map_or_else(|| line.unit_price.to_string(), |money| money.to_string()),
            expected,
            consequence: self.hold(&self.queues.totals),
        });
    }

    fn check_totals(&self, order: &Order, findings: &mut Vec<Finding>) {
        // A line that cannot be computed has its own finding; without it there is no sum.
        let Ok(lines) = order.computed_total() else {
            return;
        };

        // Check: the stated sum of lines.
        if let Some(stated) = order.totals.lines {
            self.compare_total("lines-total-differs", stated, lines, findings);
        }

        // Check: the stated grand total against lines, shipping, tax and discount.
        if let Some(stated) = order.totals.grand {
            match computed_grand(order, lines) {
                Ok(computed) => {
                    self.compare_total("grand-total-differs", stated, computed, findings);
                }
                Err(error) => findings.push(Finding {
                    rule: Rule::Totals,
                    code: "grand-total-not-computable",
                    line: None,
                    found: stated.to_string(),
                    expected: error.to_string(),
                    consequence: self.hold(&self.queues.totals),
                }),
            }
        }
    }

    fn compare_total(&self, code: &'static str, stated: Money, computed: Money, findings: &mut Vec<Finding>) {
        if !self.agrees(stated, computed) {
            findings.push(Finding {
                rule: Rule::Totals,
                code,
                line: None,
                found: stated.to_string(),
                expected: format!("{computed} within {} minor units", self.totals_tolerance_minor),
                consequence: self.hold(&self.queues.totals),
            });
        }
    }

    fn agrees(&self, stated: Money, computed: Money) -> bool {
        let difference = i128::from(stated.minor) - i128::from(computed.minor);
        stated.currency == computed.currency && difference.abs() <= i128::from(self.totals_tolerance_minor)
    }

    fn hold(&self, queue: &str) -> Consequence {
        Consequence::PolicyHold { queue: queue.to_owned(), minutes: self.hold_minutes }
    }

    fn unknown(&self, what: Unknown, queue: &str) -> Consequence {
        match what {
            Unknown::Hold => self.hold(queue),
            Unknown::Refuse => Consequence::Refuse,
        }
    }
}

/// Whether `|price − list| ≤ list × tolerance`, in integers: both sides are brought to
/// nine decimal places and to the price's quantity. What overflows is not within.
fn within_tolerance(price: &UnitPrice, item: &ItemFacts, tolerance_bp: i64) -> bool {
    if price.currency != item.currency || price.per_quantity == 0 {
        return false;
    }
    let compare = || {
        let stated = nano(price.amount, price.scale)?;
        let listed = nano(item.list_price.units, item.list_price.scale)?.checked_mul(i128::from(price.per_quantity))?;
        let difference = stated.checked_sub(listed)?.checked_abs()?;
        let scaled = difference.checked_mul(i128::from(ONE_BP))?;
        let allowed = listed.checked_abs()?.checked_mul(i128::from(tolerance_bp))?;
        Some(scaled <= allowed)
    };
    compare().unwrap_or(false)
}

/// `units` × 10^−`scale` in billionths; none for a scale that values cannot have.
fn nano(units: i64, scale: u8) -> Option<i128> {
    let places = portreeve_model::value::SCALE_MAX.checked_sub(scale)?;
    i128::from(units).checked_mul(10_i128.checked_pow(u32::from(places))?)
}

/// Lines + shipping + tax − discount. Some senders state a discount as a negative
/// amount (Adobe's `discount_amount`), others as a positive one: it always lowers.
fn computed_grand(order: &Order, lines: Money) -> Result<Money, ValueError> {
    let totals = &order.totals;
    let mut sum = lines;
    for part in [totals.shipping, totals.tax].into_iter().flatten() {
        sum = sum.plus(part)?;
    }
    if let Some(discount) = totals.discount {
        let lowered = discount.minor.checked_abs().and_then(i64::checked_neg).ok_or(ValueError::Overflow)?;
        sum = sum.plus(Money { minor: lowered, currency: discount.currency })?;
    }
    Ok(sum)
}

fn in_currency(money: Money, currency: Currency) -> Result<Money, ValueError> {
    if money.currency == currency { Ok(money) } else { Err(ValueError::MixedCurrencies(money.currency, currency)) }
}

fn amount(units: i64, scale: u8) -> String {
    Decimal { units, scale }.to_string()
}

fn read_file(file: SourceFile<'_>, known: &Known, problems: &mut Problems) -> Option<Rules> {
    let mut root = Table::parse(file, problems)?;
    let table = root.table("rules", problems);
    root.finish(problems);
    read_rules(table?, Digest::of(file.text.as_bytes()), known, problems)
}

fn read_rules(mut table: Table<'_>, digest: Digest, known: &Known, problems: &mut Problems) -> Option<Rules> {
    let hold_or_refuse = one_of(UNKNOWN.iter().map(|(word, _)| *word));
    let minutes = format!("minutes, 1 to {HOLD_MINUTES_MAX}");
    let minor = format!("minor units, 0 to {TOTALS_TOLERANCE_MAX}");

    let price_tolerance_bp =
        table.required("price_tolerance_bp", "basis points, 0 to 10000", problems, |v| whole(v, &(0..=ONE_BP)));
    let totals_tolerance_minor =
        table.required("totals_tolerance_minor", &minor, problems, |v| whole(v, &(0..=TOTALS_TOLERANCE_MAX)));
    let blocked_customer = table.required("blocked_customer", "true or false", problems, |v| v.as_bool());
    let unknown_item = table.required("unknown_item", &hold_or_refuse, problems, |v| choice(v, &UNKNOWN));
    let unknown_customer = table.required("unknown_customer", &hold_or_refuse, problems, |v| choice(v, &UNKNOWN));
    if !table.has("unreleasable_sender_states") {
        let allowed = "a list of the sender's states; `[]` for none";
        table.wrong("unreleasable_sender_states", "missing", allowed, problems);
    }
    let unreleasable_sender_states = table.list("unreleasable_sender_states", "a sender's state", problems, text);
    let hold_minutes = table.required("hold_minutes", &minutes, problems, |v| {
        u32::try_from(whole(v, &(1..=i64::from(HOLD_MINUTES_MAX)))?).ok()
    });
    let queues = table.table("queue", problems).and_then(|queues| read_queues(queues, known, problems));
    table.finish(problems);

    Some(Rules {
        price_tolerance_bp: price_tolerance_bp?,
        totals_tolerance_minor: totals_tolerance_minor?,
        blocked_customer: blocked_customer?,
        unknown_item: unknown_item?,
        unknown_customer: unknown_customer?,
        unreleasable_sender_states,
        hold_minutes: hold_minutes?,
        queues: queues?,
        digest,
    })
}

fn read_queues(mut table: Table<'_>, known: &Known, problems: &mut Problems) -> Option<Queues> {
    let allowed = one_of(known.queues.iter().map(String::as_str));
    let mut queue =
        |key| table.required(key, &allowed, problems, |v| text(v).filter(|queue| known.queues.contains(queue)));
    let queues = (queue("price"), queue("credit"), queue("customer"), queue("totals"), queue("item"), queue("payment"));
    table.finish(problems);
    let (price, credit, customer, totals, item, payment) = queues;
    Some(Queues {
        price: price?,
        credit: credit?,
        customer: customer?,
        totals: totals?,
        item: item?,
        payment: payment?,
    })
}

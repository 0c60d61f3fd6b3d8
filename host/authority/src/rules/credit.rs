//! Credit: what a release adds to the exposure of the customer's credit account.
//!
//! ```text
//! exposure = receivables + shipped and not invoiced + released and not shipped + this order − unapplied cash
//! ```
//!
//! Several customers may share an account. Its figures come from finance and are of some
//! time; of what was released and not shipped they know what the ERP had by then, and the
//! host adds what it released itself and the ERP had not. A few minutes count twice rather
//! than not at all, since two systems' clocks never agree. Old figures release nothing.
//!
//! The rule is the host's. What a model may say of credit is in its grant.

use portreeve_model::reference::CLOCKS_DIFFER_MS;
use portreeve_model::{Currency, Instant, Money};

use super::{Consequence, Finding, Looked, ONE_BP, Rule, Rules};

/// The rule's own settings.
#[derive(Debug)]
pub(super) struct CreditRule {
    pub(super) check: bool,
    pub(super) limit_bp: i64,
    pub(super) overdue_days_max: i64,
    pub(super) data_age_minutes_max: i64,
    pub(super) no_account_holds: bool,
    /// Whether it is looked at once more before picking.
    pub(super) recheck: bool,
}

/// The account that an order's release adds to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Whether the customer's row names it; else it is the customer's own, if it is there.
    pub is_named: bool,
    /// What finance says about it.
    pub facts: Looked<CreditFacts>,
}

/// What finance says about an account, amounts in minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditFacts {
    /// Its currency.
    pub currency: Currency,
    /// What it may owe.
    pub limit_minor: i64,
    /// Invoiced and not paid.
    pub receivables_minor: i64,
    /// Shipped and not invoiced.
    pub shipped_minor: i64,
    /// Released and not shipped, as far as the ERP knew.
    pub released_minor: i64,
    /// Paid, and not set off against an invoice.
    pub unapplied_cash_minor: i64,
    /// Days by which the oldest receivable is overdue; 0 for none.
    pub overdue_days: i64,
    /// When all of this was so.
    pub as_of: Instant,
}

/// What an order may take of an account, and what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditCheck {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What a release has to take; none where there is no account to take it from.
    pub room: Option<CreditRoom>,
}

/// How much releases may take of an account together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditRoom {
    /// Up to this, in minor units, releases may take that the figures do not know.
    pub most_minor: i64,
    /// From when on deliveries are not in the figures.
    pub since: Instant,
}

impl CreditFacts {
    /// From when on deliveries are taken not to be in the figures.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.as_of.plus_ms(-CLOCKS_DIFFER_MS)
    }

    /// Every part of the exposure, in the order in which it is counted.
    fn counted(&self, reserved_minor: i64, value: Money) -> String {
        let parts = [
            ("invoiced and not paid", self.receivables_minor),
            ("shipped and not invoiced", self.shipped_minor),
            ("released and not shipped", self.released_minor),
            ("released here since", reserved_minor),
            ("this order", value.minor.max(0)),
        ];
        let parts: Vec<String> =
            parts.into_iter().map(|(part, minor)| format!("{part} {}", self.money(minor.into()))).collect();
        let cash = self.money(self.unapplied_cash_minor.into());
        format!("{}, less unapplied cash {cash}; figures of {}", parts.join(", "), self.as_of)
    }

    fn money(&self, minor: i128) -> Money {
        let minor = i64::try_from(minor).unwrap_or(if minor < 0 { i64::MIN } else { i64::MAX });
        Money { minor, currency: self.currency }
    }
}

/// Whether a finding with this code is about credit: also that nothing is known of it.
#[must_use]
pub fn is_about_credit(code: &str) -> bool {
    code.starts_with("credit-")
}

impl Rules {
    /// The code of an exposure beyond the limit.
    pub const CREDIT_LIMIT: &str = "credit-limit";

    /// Whether credit is looked at at all.
    #[must_use]
    pub fn checks_credit(&self) -> bool {
        self.credit.check
    }

    /// Whether the account of an order is looked at once more when its stock is set aside.
    #[must_use]
    pub fn rechecks_credit(&self) -> bool {
        self.credit.check && self.credit.recheck
    }

    /// What speaks against picking an order that was released before: the rule as it is now, with an
    /// exposure that has the order already, in the figures or in what was released since.
    #[must_use]
    pub fn check_credit_again(
        &self,
        currency: Currency,
        account: &Account,
        reserved_minor: i64,
        now: Instant,
    ) -> Vec<Finding> {
        self.check_credit(Money { minor: 0, currency }, account, reserved_minor, now).findings
    }

    /// Looks at the account that an order's release would add to. `reserved_minor` is what
    /// the host released since [`CreditFacts::since`] or no target has taken yet.
    #[must_use]
    pub fn check_credit(&self, value: Money, account: &Account, reserved_minor: i64, now: Instant) -> CreditCheck {
        let mut findings = Vec::new();
        let room = if self.credit.check {
            self.credit_findings(value, account, reserved_minor, now, &mut findings)
        } else {
            None
        };
        CreditCheck { findings, room }
    }

    fn credit_findings(
        &self,
        value: Money,
        account: &Account,
        reserved_minor: i64,
        now: Instant,
        findings: &mut Vec<Finding>,
    ) -> Option<CreditRoom> {
        let queue = &self.queues.credit;
        let facts = match &account.facts {
            Looked::Found(facts) => facts,
            // An account that somebody named is one, and its row is missing.
            Looked::Unknown if !self.credit.no_account_holds && !account.is_named => return None,
            Looked::Unknown => {
                let (found, expected) = ("no credit account of this customer", "a row of the table `credit`");
                findings.push(self.of_credit("credit-account-unknown", found.to_owned(), expected.to_owned()));
                return None;
            }
            Looked::Incomplete => {
                let expected = "a row with currency, limit, receivables, shipped-not-invoiced, released-not-shipped, unapplied-cash, overdue-days and as-of";
                findings.push(self.of_reference("credit-row-incomplete", None, expected, queue));
                return None;
            }
            Looked::NotLoaded => {
                findings.push(self.of_reference("credit-table-not-loaded", None, "a reference table `credit`", queue));
                return None;
            }
        };

        let name = &account.name;

        // Check: amounts in two currencies have no sum.
        if facts.currency != value.currency {
            let (found, expected) =
                (value.currency.to_string(), format!("{}, as account `{name}` has", facts.currency));
            findings.push(self.of_credit("credit-currency-differs", found, expected));
            return None;
        }

        // Check: the figures are of now, or of a little while ago.
        let oldest = now.plus_ms(self.credit.data_age_minutes_max.saturating_mul(Instant::MINUTE_MS).saturating_neg());
        let newest = now.plus_ms(CLOCKS_DIFFER_MS);
        if facts.as_of < oldest || facts.as_of > newest {
            let expected = format!("between {oldest} and {newest}");
            let found = format!("figures of account `{name}` as of {}", facts.as_of);
            findings.push(self.of_credit("credit-data-not-current", found, expected));
        }

        // Check: nothing is overdue for too long.
        if facts.overdue_days > self.credit.overdue_days_max {
            let (found, most) = (facts.overdue_days, self.credit.overdue_days_max);
            let found = format!("account `{name}` {found} days overdue as of {}", facts.as_of);
            findings.push(self.of_credit("credit-overdue", found, format!("{most} or less")));
        }

        // Check: the exposure stays within the limit. Nothing here overflows 128 bits.
        let known =
            i128::from(facts.receivables_minor) + i128::from(facts.shipped_minor) + i128::from(facts.released_minor)
                - i128::from(facts.unapplied_cash_minor);
        let allowed = (i128::from(facts.limit_minor) * i128::from(self.credit.limit_bp)).div_euclid(i128::from(ONE_BP));
        let exposure = known + i128::from(reserved_minor) + i128::from(value.minor.max(0));
        if exposure > allowed {
            let counted = facts.counted(reserved_minor, value);
            let found = format!("an exposure of {} on account `{name}` ({counted})", facts.money(exposure));
            findings.push(self.of_credit(Self::CREDIT_LIMIT, found, self.within_limit(facts, allowed)));
        }
        Some(CreditRoom { most_minor: facts.money(allowed - known).minor, since: facts.since() })
    }

    /// What an exposure may be, and where that comes from when it is not the limit itself.
    fn within_limit(&self, facts: &CreditFacts, allowed: i128) -> String {
        let (allowed, bp) = (facts.money(allowed), self.credit.limit_bp);
        if bp == ONE_BP {
            return format!("{allowed} or less, its limit");
        }
        let (percent, hundredths) = (bp / 100, bp % 100);
        format!(
            "{allowed} or less, {percent}.{hundredths:02} % of its limit of {}",
            facts.money(facts.limit_minor.into())
        )
    }

    fn of_credit(&self, code: &'static str, found: String, expected: String) -> Finding {
        let consequence: Consequence = self.hold(&self.queues.credit);
        Finding { rule: Rule::Credit, code, line: None, found, expected, consequence }
    }
}

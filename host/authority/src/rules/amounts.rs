//! Amounts of an order against each other and against the price list, in integers.
//!
//! A total that agrees with its parts proves nothing when the sender chose the
//! parts: a discount as high as the lines, or a shipping charge below zero, makes
//! any order worth nothing. So the parts have bounds of their own.

use portreeve_model::value::{Decimal, ValueError};
use portreeve_model::{Currency, Money, Order, OrderLine, UnitPrice};

use super::{Finding, ItemFacts, ONE_BP, Rule, Rules};

impl Rules {
    pub(super) fn check_extended(&self, order: &Order, line: &OrderLine, findings: &mut Vec<Finding>) {
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

    pub(super) fn check_totals(&self, order: &Order, findings: &mut Vec<Finding>) {
        self.check_signs(order, findings);

        // A line that cannot be computed has its own finding; without it there is no sum.
        let Ok(lines) = order.computed_total() else {
            return;
        };

        self.check_discount(order, lines, findings);

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

    /// Check: no charge and no total is below nothing. Shipping below zero is a
    /// discount that the discount's bound does not see.
    fn check_signs(&self, order: &Order, findings: &mut Vec<Finding>) {
        let totals = &order.totals;
        for (code, stated) in [
            ("shipping-negative", totals.shipping),
            ("tax-negative", totals.tax),
            ("grand-total-negative", totals.grand),
        ] {
            if let Some(stated) = stated.filter(|stated| stated.minor < 0) {
                findings.push(Finding {
                    rule: Rule::NegativeAmount,
                    code,
                    line: None,
                    found: stated.to_string(),
                    expected: "0 or more".to_owned(),
                    consequence: self.hold(&self.queues.totals),
                });
            }
        }
    }

    /// Check: the discount is one that the distributor gives, whether or not the
    /// totals take it into account.
    fn check_discount(&self, order: &Order, lines: Money, findings: &mut Vec<Finding>) {
        let Some(discount) = order.totals.discount else {
            return;
        };
        let lowered = i128::from(discount.minor).abs().saturating_mul(i128::from(ONE_BP));
        let allowed = i128::from(lines.minor.max(0)).saturating_mul(i128::from(self.discount_max_bp));
        if lowered > allowed || discount.currency != lines.currency {
            findings.push(Finding {
                rule: Rule::Discount,
                code: "discount-too-high",
                line: None,
                found: discount.to_string(),
                expected: format!("{} bp of {lines} or less", self.discount_max_bp),
                consequence: self.hold(&self.queues.price),
            });
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
}

/// Whether `|price − list| ≤ list × tolerance`, in integers: both sides are brought to
/// nine decimal places, to the price's quantity, and to the ordered unit, of which one
/// is `factor` of the item's. What overflows is not within.
pub(super) fn within_tolerance(price: &UnitPrice, item: &ItemFacts, factor: Decimal, tolerance_bp: i64) -> bool {
    if price.currency != item.currency || price.per_quantity == 0 {
        return false;
    }
    let compare = || {
        let stated = nano(price.amount, price.scale)?.checked_mul(10_i128.checked_pow(u32::from(factor.scale))?)?;
        let listed = nano(item.list_price.units, item.list_price.scale)?
            .checked_mul(i128::from(price.per_quantity))?
            .checked_mul(i128::from(factor.units))?;
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

pub(super) fn amount(units: i64, scale: u8) -> String {
    Decimal { units, scale }.to_string()
}

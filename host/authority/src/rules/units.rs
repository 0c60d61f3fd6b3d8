//! Units of measure: a case is so many pieces, and a price per case is compared with a
//! list price per piece.
//!
//! Danger: a factor that divides leaves a remainder, and a rounded price is another
//! price. So nothing is divided: the side that is per small unit is multiplied, with
//! the factor's own digits. The order itself goes on in the unit that it came in.

use portreeve_model::OrderLine;
use portreeve_model::value::Decimal;

use super::{Finding, ItemFacts, Looked, ReferenceFacts, Rule, Rules, UnitFacts};
use crate::verdict::shown;

/// The factor of a unit to itself.
pub(super) const SAME_UNIT: Decimal = Decimal { units: 1, scale: 0 };

impl Rules {
    /// Check: the line is ordered in the unit that the item is sold in, or in one that
    /// a table converts to it. How many of the item's unit one ordered unit is; none,
    /// with a finding, where nobody says so.
    pub(super) fn check_unit(
        &self,
        line: &OrderLine,
        item: &ItemFacts,
        reference: &ReferenceFacts,
        findings: &mut Vec<Finding>,
    ) -> Option<Decimal> {
        let ordered = &line.quantity.unit;
        if *ordered == item.unit {
            return Some(SAME_UNIT);
        }
        let of_table = |code, expected: &str| {
            Some(self.of_reference(code, Some(line.number.clone()), expected, &self.queues.item))
        };
        let wrong = match reference.conversions.get(&(line.sku.clone(), ordered.clone())) {
            Some(Looked::Found(UnitFacts { to, factor })) if *to == item.unit && factor.units > 0 => {
                return Some(*factor);
            }
            // A factor to another unit says nothing, and one of nothing makes every price right.
            Some(Looked::Found(_)) => {
                of_table("unit-conversion-unfit", &format!("a factor above 0 to {}", shown(&item.unit)))
            }
            Some(Looked::Incomplete) => of_table("unit-row-incomplete", "a row with to and factor"),
            None | Some(Looked::Unknown | Looked::NotLoaded) => Some(Finding {
                rule: Rule::UnitOfMeasure,
                code: "unit-differs",
                line: Some(line.number.clone()),
                found: shown(ordered),
                expected: shown(&item.unit),
                consequence: self.hold(&self.queues.item),
            }),
        };
        findings.extend(wrong);
        None
    }
}

/// What a comparison went by, for people; empty when nothing was converted.
pub(super) fn by_conversion(line: &OrderLine, item: &ItemFacts, factor: Decimal) -> String {
    if line.quantity.unit == item.unit {
        return String::new();
    }
    format!(", at {factor} {} to the {}", shown(&item.unit), shown(&line.quantity.unit))
}

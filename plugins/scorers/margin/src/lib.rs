//! Whether an order's prices earn anything: each line's unit price against the
//! item's cost and floor.
//!
//! A price below the floor is often a stale price list at the customer or a
//! slipped decimal point, and it is cheaper to ask before the goods leave. Only
//! the lines concerned are kept; a person with the right tier may grant the price.

use std::cmp::Ordering;

use portreeve_sdk::scorer::*;

const BELOW_COST_BP: i32 = 6_000;
const BELOW_FLOOR_BP: i32 = 3_000;
/// An item without a cost can't be judged, which is a small risk of its own.
const ITEM_UNKNOWN_BP: i32 = 500;
/// A price list in another currency: nothing is compared, but somebody should know.
const CURRENCY_DIFFERS_BP: i32 = 500;
const HOLD_MINUTES: u32 = 1_440;

struct Margin;

impl Scorer for Margin {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let mut card = Scorecard::new();
        let mut low = Vec::new();
        for line in &request.order.lines {
            match judge(line)? {
                Finding::Fine => {}
                Finding::ItemUnknown => {
                    card.add_for_line("item-unknown", ITEM_UNKNOWN_BP, &line.number);
                }
                Finding::CurrencyDiffers => {
                    card.add_for_line("currency-differs", CURRENCY_DIFFERS_BP, &line.number);
                }
                Finding::Low(price) => {
                    card.add_for_line(price.code, price.contribution_bp, &line.number);
                    low.push((line.number.clone(), price));
                }
            }
        }
        propose(&mut card, low);
        Ok(card.into_assessment())
    }
}

enum Finding {
    Fine,
    ItemUnknown,
    CurrencyDiffers,
    Low(LowPrice),
}

/// A price below cost or floor, and what would be right.
struct LowPrice {
    code: &'static str,
    contribution_bp: i32,
    floor: UnitPrice,
    approver_tier: &'static str,
}

fn judge(line: &OrderLine) -> Result<Finding, Failure> {
    let Some(item) = lookup("item", &line.sku)? else {
        return Ok(Finding::ItemUnknown);
    };
    let (Some(cost), Some(floor), Some(currency)) = (item.number("cost"), item.number("floor"), item.text("currency"))
    else {
        return Ok(Finding::ItemUnknown);
    };
    if currency != line.unit_price.currency {
        return Ok(Finding::CurrencyDiffers);
    }

    let below = |limit: &Decimal| -> Result<bool, Failure> {
        Ok(money::compare_price(&line.unit_price, limit)? == Ordering::Less)
    };
    let (code, contribution_bp, approver_tier) = if below(&cost)? {
        ("below-cost", BELOW_COST_BP, "commercial-director")
    } else if below(&floor)? {
        ("below-floor", BELOW_FLOOR_BP, "sales-manager")
    } else {
        return Ok(Finding::Fine);
    };
    Ok(Finding::Low(LowPrice {
        code,
        contribution_bp,
        floor: UnitPrice { amount: floor.units, scale: floor.scale, currency: currency.to_owned(), per_quantity: 1 },
        approver_tier,
    }))
}

/// One hold for all lines that are too low, and the floor as the price to agree on.
fn propose(card: &mut Scorecard, low: Vec<(String, LowPrice)>) {
    let Some(worst) = low.iter().map(|(_, price)| price).max_by_key(|price| price.contribution_bp) else {
        return;
    };
    let lines = low.iter().map(|(number, _)| number.clone()).collect();
    card.hold_lines(lines, HOLD_MINUTES, worst.code);
    for (line_number, price) in low {
        card.recommend(Recommendation::ExceptionPrice(PriceProposal {
            line_number,
            price: price.floor,
            approver_tier: price.approver_tier.to_owned(),
        }));
    }
}

portreeve_sdk::scorer!(Margin);

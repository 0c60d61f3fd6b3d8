//! Whether an order can be delivered as asked: quantities against stock, and
//! requested dates against the lead time of what is missing.
//!
//! Reference table `stock`: the planned node's row has the item number as key;
//! further nodes, where the platform team lists any, have the keys `SKU#2` to
//! `SKU#4`, with `country` and `freight-minor` (against the planned node).
//! Nothing here touches stock: the advice is for the people who source the order.

use std::cmp::Ordering;

use portreeve_sdk::scorer::*;

const SHORT_BP: i32 = 1_500;
/// Less than half of a line is there.
const SEVERELY_SHORT_BP: i32 = 3_500;
const LATE_BP: i32 = 1_500;
const DATE_PAST_BP: i32 = 1_000;
const ITEM_UNKNOWN_BP: i32 = 500;
const PRIORITY_CUSTOMER_BP: i32 = 1_000;

/// The contract and the domain allow three alternatives.
const NODES_MAX: usize = 3;
/// A promise that is as exact as the lead time would be broken half of the time.
const MARGIN_DAYS_MIN: i64 = 2;

struct Fulfilment;

impl Scorer for Fulfilment {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let order = &request.order;
        let today = date::of_instant(request.received_at)
            .ok_or_else(|| Failure::permanent("the time of receipt is outside the calendar"))?;

        let mut card = Scorecard::new();
        let mut short = Vec::new();
        let mut severe = false;
        for line in &order.lines {
            let Some(stock) = lookup("stock", &line.sku)? else {
                card.add_for_line("item-unknown", ITEM_UNKNOWN_BP, &line.number);
                continue;
            };
            let supply = Supply::of(&stock, &line.quantity)?;
            match supply {
                Supply::Enough => {}
                Supply::Short => card.add_for_line("stock-short", SHORT_BP, &line.number),
                Supply::SeverelyShort => {
                    severe = true;
                    card.add_for_line("stock-severely-short", SEVERELY_SHORT_BP, &line.number);
                }
            }
            if supply != Supply::Enough {
                short.push(line);
            }
            let lead_days = match supply {
                Supply::Enough => 0,
                _ => stock.whole("lead-days").unwrap_or(0).clamp(0, 3_650),
            };
            judge_date(&mut card, order, line, today, lead_days);
        }

        if !short.is_empty() {
            let customer = lookup("customer", &order.customer.id)?;
            let class = customer.as_ref().and_then(|row| row.text("class"));
            let priority = matches!(class, Some("priority" | "key-account"));
            card.add_if(priority, "priority-customer-short", PRIORITY_CUSTOMER_BP);
            recommend_nodes(&mut card, order, &short)?;
        }
        if severe {
            card.route("fulfilment");
        }
        Ok(card.into_assessment())
    }
}

#[derive(PartialEq)]
enum Supply {
    Enough,
    Short,
    SeverelyShort,
}

impl Supply {
    fn of(stock: &Row, wanted: &Quantity) -> Result<Self, Failure> {
        let available = stock.whole("available").unwrap_or(0);
        Ok(if money::compare_quantity(wanted, available)? != Ordering::Greater {
            Self::Enough
        } else if money::compare_quantity(wanted, available.saturating_mul(2))? != Ordering::Greater {
            Self::Short
        } else {
            Self::SeverelyShort
        })
    }
}

/// Compares the date that the line, or else the order, asks for with the first possible one.
fn judge_date(card: &mut Scorecard, order: &Order, line: &OrderLine, today: Date, lead_days: i64) {
    let Some(requested) = line.requested_delivery.or(order.requested_delivery) else {
        return;
    };
    let Some(earliest) = date::plus_days(today, lead_days) else {
        return;
    };
    if date::days_between(requested, earliest) <= 0 {
        return;
    }
    if date::days_between(requested, today) > 0 {
        card.add_for_line("requested-date-past", DATE_PAST_BP, &line.number);
    } else {
        card.add_for_line("requested-date-too-early", LATE_BP, &line.number);
    }
    let margin_days = (lead_days / 2).max(MARGIN_DAYS_MIN);
    if let Some(latest) = date::plus_days(earliest, margin_days) {
        card.recommend(Recommendation::NewDate(DateProposal {
            line_number: Some(line.number.clone()),
            date: earliest,
            earliest,
            latest,
        }));
    }
}

/// The further nodes that have everything which is short, best first.
fn recommend_nodes(card: &mut Scorecard, order: &Order, short: &[&OrderLine]) -> Result<(), Failure> {
    let splits = u8::from(short.len() < order.lines.len());
    let mut nodes: Option<Vec<RankedNode>> = None;
    for line in short {
        let able = able_nodes(line, &order.currency, splits)?;
        nodes = Some(match nodes {
            None => able,
            Some(nodes) => common(nodes, &able),
        });
    }
    let mut nodes = nodes.unwrap_or_default();
    nodes.sort_by_key(|node| std::cmp::Reverse(node.suitability_bp));
    nodes.truncate(NODES_MAX);
    if !nodes.is_empty() {
        card.recommend(Recommendation::AlternateShipNode(nodes));
    }
    Ok(())
}

fn able_nodes(line: &OrderLine, currency: &str, splits: u8) -> Result<Vec<RankedNode>, Failure> {
    let mut able = Vec::new();
    for place in 2..2 + NODES_MAX {
        let Some(row) = lookup("stock", &format!("{}#{place}", line.sku))? else {
            break;
        };
        let (Some(node), Some(country)) = (row.text("node"), row.text("country")) else {
            continue;
        };
        if Supply::of(&row, &line.quantity)? == Supply::Enough {
            let freight_minor = row.whole("freight-minor").unwrap_or(0);
            able.push(RankedNode {
                node: node.to_owned(),
                suitability_bp: suitability_bp(place, splits),
                freight_delta: Money { minor: freight_minor, currency: currency.to_owned() },
                country: country.to_owned(),
                splits,
            });
        }
    }
    Ok(able)
}

/// The table lists nodes in the planners' order of preference; a split costs more than a place.
fn suitability_bp(place: usize, splits: u8) -> u16 {
    let places = u16::try_from(place).unwrap_or(u16::MAX);
    10_000_u16.saturating_sub(places.saturating_mul(1_000)).saturating_sub(u16::from(splits) * 1_500)
}

/// The nodes that are in both lists; their freight adds up.
fn common(nodes: Vec<RankedNode>, able: &[RankedNode]) -> Vec<RankedNode> {
    nodes
        .into_iter()
        .filter_map(|mut node| {
            let other = able.iter().find(|other| other.node == node.node)?;
            node.suitability_bp = node.suitability_bp.min(other.suitability_bp);
            node.freight_delta.minor = node.freight_delta.minor.saturating_add(other.freight_delta.minor);
            Some(node)
        })
        .collect()
}

portreeve_sdk::scorer!(Fulfilment);

//! Orders of Adobe Commerce as canonical events.
//!
//! Amounts are read from the digits of the JSON text. Commerce mixes types in
//! one object (`"price":200,"base_price":"200.0000"`), and both are the same
//! decimal here; a float never occurs. Amounts are those of the order's own
//! currency (`price`), not of the shop's (`base_price`).
//!
//! A configurable or bundled product is a parent line with the price and child
//! lines with the parts; the parent is what was sold, so children are left out.
//! An order in state `canceled` is a wish to cancel, every other one a created
//! order with its state beside it (`payment_review` is the host's to judge). What
//! was created before and comes again with other content, the host knows as a change.
//!
//! A return is what its customer asks to send back, with what stands in `goods`.
//!
//! Commerce names no unit of measure: an item is sold in the unit that the table `item`
//! states, and what the table does not have in the setting `unit`, which is agreed with the
//! shop. An order with an item of which neither says it is refused: five pieces and five
//! boxes are another delivery and another price.

mod goods;
mod order;
mod payment;
mod source;
mod unit;

use portreeve_sdk::transformer::*;

use crate::source::SourceOrder;
use crate::unit::Units;

const KIND: &str = "adobe/order";

struct AdobeOrders;

impl Transformer for AdobeOrders {
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        if request.kind == goods::KIND {
            return goods::event(&request).map(|event| vec![event]);
        }
        if request.kind != KIND {
            return Err(Failure::permanent(format!(
                "this transformer does not map documents of kind `{}`",
                request.kind
            )));
        }
        let source: SourceOrder<'_> = serde_json::from_slice(&request.body).map_err(|error| {
            let message = format!("the order cannot be read at line {}, column {}", error.line(), error.column());
            Failure::invalid(Problem::new("malformed-document", message, ""))
        })?;
        if source.state.is_some_and(|state| state.text().as_deref() == Some("canceled")) {
            return Ok(vec![Event::OrderCancelRequested(order::cancellation(&source)?)]);
        }
        let units = Units::of(order::skus(&source), setting(&request.settings, "unit"))?;
        Ok(vec![Event::OrderCreated(order::read(&source, &units)?)])
    }
}

portreeve_sdk::transformer!(AdobeOrders);

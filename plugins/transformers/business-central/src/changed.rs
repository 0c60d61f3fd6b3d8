//! The sales order as it is to be once people agreed on a change of it.
//!
//! ```json
//! {"externalDocumentNumber":"6fa459eaee8a3ca4894edb77e160355e",
//!  "salesOrderLines":[{"lineNumber":"1","sequence":10,"lineObjectNumber":"SKU-1","quantity":12,"unitPrice":12.50,"unitOfMeasureCode":"EA"}]}
//! ```
//!
//! It is all of the order's lines, so a line that is not in it goes, as does one of nothing. Which lines
//! of the ERP's sales order become others by that, the connector `erp-rest` sees there. Lines are found
//! by their sequences, as those of a shipment: an order whose lines have none is changed by people.

use std::collections::BTreeSet;

use portreeve_sdk::transformer::*;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::posting::{Named, named, none_of, some};
use crate::{number, price};

/// What has a sales order changed.
pub(crate) const CHANGE: &str = "business-central/change";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Changed<'a> {
    external_document_number: String,
    sales_order_lines: Vec<ChangedLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangedLine<'a> {
    #[serde(flatten)]
    line: Named<'a>,
    quantity: Box<RawValue>,
    unit_price: Box<RawValue>,
}

/// An order as it is to be.
pub(crate) fn changed<'a>(order: &'a Order, order_id: &str) -> Result<Changed<'a>, Vec<Problem>> {
    let mut problems = Vec::new();
    some(order.lines.len(), &mut problems);
    let (mut lines, mut numbers) = (Vec::new(), BTreeSet::new());
    for (index, line) in order.lines.iter().enumerate() {
        let path = format!("lines[{index}]");
        if line.quantity.value < 0 {
            let found = money::to_text(line.quantity.value, line.quantity.scale);
            let message = format!("found {found}; expected 0 or more");
            problems.push(Problem::new("negative-quantity", message, format!("{path}.quantity")));
        }
        if !numbers.insert(line.number.as_str()) {
            let message = format!("found line {} twice; expected a number of its own for each line", line.number);
            problems.push(Problem::new("line-twice", message, format!("{path}.number")));
        }
        let named = named(Some(&line.number), &line.sku, &line.quantity.unit, &path, &mut problems);
        let quantity = number(line.quantity.value, line.quantity.scale, &format!("{path}.quantity"));
        match (quantity, price(&line.unit_price, &format!("{path}.unit-price"))) {
            (Ok(quantity), Ok(unit_price)) => lines.push(ChangedLine { line: named, quantity, unit_price }),
            (quantity, unit_price) => {
                problems.extend([quantity.err(), unit_price.err()].into_iter().flatten().map(|problem| *problem));
            }
        }
    }
    none_of(problems, Changed { external_document_number: order_id.replace('-', ""), sales_order_lines: lines })
}

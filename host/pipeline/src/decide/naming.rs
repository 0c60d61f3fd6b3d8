//! Naming: which order a system means that does not know the host's identifiers.
//!
//! A payment processor knows the shop's number, a warehouse what the ERP called the order.
//! Names are looked up in the store and among the orders of the batch that come before, so
//! that the cut of batches decides nothing. A name that nobody has or that two orders have
//! is a person's: nothing is guessed about whose money or goods it is. A payer names invoices,
//! which may be of several orders (`advised`). Whether an invoice of the batch counts is known when
//! it is committed, so what a payer says of one waits for the next batch.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::OrderId;
use portreeve_store::contract::{DocumentPosition, OrderName};

use super::DecideError;
use super::reading::{Mapped, Reading, for_a_person};
use super::validating::order_id;
use crate::Pipeline;
use crate::process::Concern;

impl Pipeline {
    /// Finds the orders that are named otherwise. Gives the documents that name invoices of this batch.
    pub(super) async fn find_named(&self, mapped: &mut [Mapped]) -> Result<BTreeSet<DocumentPosition>, DecideError> {
        let (mut of_batch, mut waiting) = (BTreeSet::new(), BTreeSet::new());
        let names: Vec<OrderName> = mapped.iter().flat_map(Mapped::names).cloned().collect();
        if names.is_empty() {
            return Ok(waiting);
        }
        let found = self.store.orders_named(names.clone()).await?;
        let mut known: BTreeMap<OrderName, Vec<OrderId>> = names.into_iter().zip(found).collect();
        for mapped in mapped {
            if let Ok(Reading::Order(order, _)) = &mapped.outcome {
                let channel = mapped.document.channel().clone();
                let name = OrderName::Number { channel, number: order.number.clone() };
                let id = order_id(&mapped.document, &order.number, order.release.as_deref());
                if let Some(known) = known.get_mut(&name).filter(|known| !known.contains(&id)) {
                    known.push(id);
                }
            }
            if mapped.names().iter().any(|name| of_batch.contains(name)) {
                waiting.insert(mapped.document.position());
            }
            self.name(mapped, &known);
            if let Ok(Reading::Later(later)) = &mapped.outcome
                && let Some((name, order)) = later.invoice()
                && let Some(known) = known.get_mut(&name).filter(|known| !known.contains(&order))
            {
                known.push(order);
                of_batch.insert(name);
            }
        }
        Ok(waiting)
    }

    fn name(&self, mapped: &mut Mapped, known: &BTreeMap<OrderName, Vec<OrderId>>) {
        if let Ok(Reading::Later(later)) = &mut mapped.outcome
            && later.is_advice()
        {
            if let Err(Concern { code, found, expected }) = later.divide(known) {
                let detail = format!("found {found}, expected {expected}");
                mapped.outcome = Err(for_a_person(self.queue(&mapped.document), code, &detail));
            }
            return;
        }
        let Some(name) = mapped.names().first().cloned() else { return };
        let found = known.get(&name).map_or(&[][..], Vec::as_slice);
        let (code, detail) = match (found, &mut mapped.outcome) {
            ([order], Ok(Reading::Later(later))) => return later.is_about(*order),
            ([], _) => (
                "unknown-order",
                format!(
                    "found {}, and no order by it; expected one that the host has: see whether it is still to come, and retry then",
                    shown(&name)
                ),
            ),
            _ => (
                "ambiguous-order",
                format!(
                    "found {}, and more than one order by it; expected one: ask its system which is meant",
                    shown(&name)
                ),
            ),
        };
        mapped.outcome = Err(for_a_person(self.queue(&mapped.document), code, &detail));
    }
}

impl Mapped {
    /// The names of its orders, where those have to be found.
    fn names(&self) -> &[OrderName] {
        match &self.outcome {
            Ok(Reading::Later(later)) => later.names(),
            _ => &[],
        }
    }
}

fn shown(name: &OrderName) -> String {
    match name {
        OrderName::Number { channel, number } => format!("the order number `{number}` of channel `{channel}`"),
        OrderName::Receipt { target, external_id } => format!("`{external_id}`, as target `{target}` calls an order"),
        OrderName::Invoice { number } => format!("invoice `{number}`"),
    }
}

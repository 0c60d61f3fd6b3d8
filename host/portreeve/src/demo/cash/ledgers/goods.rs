//! What must not be in the ledgers of whoever has the goods.

use portreeve_model::value::Decimal;

use super::{Broken, Ledgers, Line, Stock, Sums, above, key, sums, twice};
use crate::standins::amount::Amount;
use crate::standins::wms::Shipment;

impl Ledgers {
    pub(super) fn unreleased(&self) -> Vec<Broken> {
        let released_before = |shipment: &Shipment| {
            self.releases.iter().any(|release| release.order_id == shipment.order_id && release.at < shipment.at)
        };
        let broken = self.shipments.iter().filter(|shipment| !released_before(shipment));
        broken.map(|shipment| (shipment.order_id.clone(), format!("shipment {} of it", shipment.number))).collect()
    }

    pub(super) fn released_twice(&self) -> Vec<Broken> {
        twice(self.releases.iter().map(|release| release.order_id.clone()), "releases")
    }

    pub(super) fn overshipped(&self) -> Vec<Broken> {
        let released = sums(self.releases.iter().flat_map(|release| {
            release
                .lines
                .iter()
                .map(|line| (key(&release.order_id, &line.line_number, &line.sku, &line.unit), &line.quantity))
        }));
        above(&self.shipped(), &released, "shipped", "released")
    }

    /// What was stopped before it left stays.
    pub(super) fn stopped_and_shipped(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        for release in &self.releases {
            for line in release.lines.iter().filter(|line| line.stopped) {
                let later = self.shipments.iter().filter(|shipment| {
                    shipment.order_id == release.order_id && line.stopped_at.is_some_and(|at| at < shipment.at)
                });
                let of_line = |shipment: &&Shipment| {
                    let mut lines = shipment.lines.iter();
                    lines.any(|shipped| shipped.line_number == line.line_number && shipped.shipped.units > 0)
                };
                broken.extend(later.filter(of_line).map(|shipment| {
                    let found =
                        format!("line {} of shipment {}, and was stopped before", line.line_number, shipment.number);
                    (release.order_id.clone(), found)
                }));
            }
        }
        broken
    }

    pub(super) fn expected_twice(&self) -> Vec<Broken> {
        twice(self.returns.iter().map(|back| format!("{} {}", back.order_id, back.number)), "returns")
    }

    pub(super) fn overreturned(&self) -> Vec<Broken> {
        above(&self.returned(), &self.shipped(), "came back", "shipped")
    }

    /// Whoever keeps stock has the same, each of what it counts: the ERP books what left and what
    /// came back, so it has what lies in the warehouse, with what is set aside there for orders; the
    /// shop may sell no more than is set aside for nobody, and has no cause to sell less.
    pub(super) fn stock_differs(&self) -> Vec<Broken> {
        let pairs = |stock: &Stock| {
            [
                (stock.erp, "in the ERP", stock.on_hand, "in the warehouse"),
                (stock.shop, "to be sold in the shop", stock.available, "set aside for nobody in the warehouse"),
            ]
        };
        let all = self.stock.iter().flat_map(|stock| pairs(stock).map(|pair| (&stock.sku, pair)));
        let differs = all.filter(|(_, (one, _, other, _))| Amount::of(one) != Amount::of(other));
        differs
            .map(|(sku, (one, here, other, there))| (sku.clone(), format!("{one} {here}, {other} {there}")))
            .collect()
    }

    pub(super) fn shipped(&self) -> Sums {
        sums(self.shipments.iter().flat_map(shipment_lines))
    }

    /// What is here again.
    pub(super) fn returned(&self) -> Sums {
        sums(self.returns.iter().filter(|back| back.received).flat_map(|back| {
            back.lines.iter().map(|line| {
                let number = line.line_number.as_deref().unwrap_or_default();
                (key(&back.order_id, number, &line.sku, &line.unit), &line.quantity)
            })
        }))
    }
}

/// Lines of a shipment with what left of them.
pub(super) fn shipment_lines(shipment: &Shipment) -> impl Iterator<Item = (Line, &Decimal)> {
    shipment.lines.iter().map(|line| (key(&shipment.order_id, &line.line_number, &line.sku, &line.unit), &line.shipped))
}

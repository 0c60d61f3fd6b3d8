//! What was said of an order, as a subscriber sees it.
//!
//! The words are those of data grants: an order's number is `order.number` wherever it stands, a
//! text that somebody wrote is `notes`, what names a payment is `payment`. The host's own id of
//! the order always shows, since the envelope says it; so do amounts, quantities, dates, and the
//! numbers of lines, shipments, invoices, returns and refunds, by which events belong together. A
//! tracking number leads to an address, so it is as hidden as that.

use portreeve_authority::Field;
use portreeve_model::event::{
    Allocation, AllocationLine, CancelRequest, GoodsReturn, InventoryLevel, Invoice, InvoiceLine, LineAnswer,
    OrderAnswer, OrderChange, Refund, Remittance, RemittanceLine, ReturnLine, Settlement, Shipment, ShipmentDelay,
    ShipmentLine, SupplierDelay,
};
use portreeve_model::{Event, OrderId};

use super::View;

impl View<'_> {
    pub(super) fn said(&self, event: Event, order: OrderId) -> Event {
        match event {
            Event::OrderCreated(data) => Event::OrderCreated(self.order(&data)),
            Event::OrderChanged(data) => Event::OrderChanged(self.change(data)),
            Event::OrderCancelRequested(data) => Event::OrderCancelRequested(self.cancel(data, order)),
            Event::OrderAccepted(data) => Event::OrderAccepted(self.answer(data, order)),
            Event::OrderRejected(data) => Event::OrderRejected(self.answer(data, order)),
            Event::InventoryLevel(data) => Event::InventoryLevel(self.level(data)),
            Event::InventoryAllocated(data) => Event::InventoryAllocated(self.allocation(data, order)),
            Event::ShipmentPicked(data) => Event::ShipmentPicked(self.shipment(data, order)),
            Event::ShipmentPacked(data) => Event::ShipmentPacked(self.shipment(data, order)),
            Event::ShipmentDispatched(data) => Event::ShipmentDispatched(self.shipment(data, order)),
            Event::ShipmentConfirmed(data) => Event::ShipmentConfirmed(self.shipment(data, order)),
            Event::ShipmentDelayed(data) => Event::ShipmentDelayed(self.delay(data, order)),
            Event::InvoicePosted(data) => Event::InvoicePosted(self.invoice(data, order)),
            Event::PaymentSettled(data) => Event::PaymentSettled(self.settlement(data, order)),
            Event::ReturnRequested(data) => Event::ReturnRequested(self.goods(data, order)),
            Event::ReturnReceived(data) => Event::ReturnReceived(self.goods(data, order)),
            Event::RefundIssued(data) => Event::RefundIssued(self.refund(data, order)),
            Event::RemittanceReceived(data) => Event::RemittanceReceived(self.remittance(data)),
            Event::SupplierDelayPredicted(data) => Event::SupplierDelayPredicted(self.supplier_delay(data)),
            // Nobody knows what is in it. No transformer of the feed renders it either.
            Event::Other(mut other) => {
                other.body.clear();
                Event::Other(other)
            }
        }
    }

    /// An order's number in somebody's words.
    fn named(&self, number: String, order: OrderId) -> String {
        if number == order.to_string() { number } else { self.id(Field::OrderNumber, "order", &number) }
    }

    fn named_where_it_is(&self, number: Option<String>, order: OrderId) -> Option<String> {
        number.map(|number| self.named(number, order))
    }

    fn sku(&self, sku: &str) -> String {
        self.id(Field::LineSku, "sku", sku)
    }

    // Each part is taken apart in full: a new field cannot be forgotten here.
    fn change(&self, change: OrderChange) -> OrderChange {
        let OrderChange { order, revision } = change;
        OrderChange { order: self.order(&order), revision: self.text(Field::SenderState, &revision) }
    }

    fn cancel(&self, cancel: CancelRequest, order: OrderId) -> CancelRequest {
        let CancelRequest { order_number, reason, line_numbers, extensions } = cancel;
        CancelRequest {
            order_number: self.named(order_number, order),
            reason: self.text(Field::Notes, &reason),
            line_numbers,
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn answer(&self, answer: OrderAnswer, order: OrderId) -> OrderAnswer {
        let OrderAnswer { order_number, external_id, answered_at, lines, reason, extensions } = answer;
        let line = |line: LineAnswer| {
            let LineAnswer { line_number, status, quantity, unit_price, promised, substitute_sku, reason } = line;
            LineAnswer {
                line_number,
                status,
                quantity,
                unit_price,
                promised,
                substitute_sku: substitute_sku.map(|sku| self.sku(&sku)),
                reason: self.text(Field::Notes, &reason),
            }
        };
        OrderAnswer {
            order_number: self.named(order_number, order),
            external_id: external_id.map(|id| self.id(Field::OrderNumber, "external", &id)),
            answered_at,
            lines: lines.into_iter().map(line).collect(),
            reason: self.text(Field::Notes, &reason),
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn level(&self, level: InventoryLevel) -> InventoryLevel {
        let InventoryLevel { sku, node, on_hand, available, as_of, extensions } = level;
        let extensions = self.list(Field::Extensions, &extensions);
        InventoryLevel { sku: self.sku(&sku), node, on_hand, available, as_of, extensions }
    }

    fn allocation(&self, allocation: Allocation, order: OrderId) -> Allocation {
        let Allocation { order_number, lines, extensions } = allocation;
        let line = |line: AllocationLine| {
            let AllocationLine { line_number, sku, node, quantity } = line;
            AllocationLine { line_number, sku: self.sku(&sku), node, quantity }
        };
        Allocation {
            order_number: self.named(order_number, order),
            lines: lines.into_iter().map(line).collect(),
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn shipment(&self, shipment: Shipment, order: OrderId) -> Shipment {
        let Shipment { order_number, shipment_number, node, carrier, tracking, at, lines, ship_to, extensions } =
            shipment;
        let line = |line: ShipmentLine| {
            let ShipmentLine { line_number, sku, ordered, shipped, short, lot, serials } = line;
            ShipmentLine {
                line_number,
                sku: self.sku(&sku),
                ordered,
                shipped,
                short,
                lot: lot.map(|lot| self.id(Field::LineSku, "lot", &lot)),
                serials: serials.iter().map(|serial| self.id(Field::LineSku, "serial", serial)).collect(),
            }
        };
        Shipment {
            order_number: self.named(order_number, order),
            shipment_number,
            node,
            carrier,
            tracking: self.list(Field::ShipTo, &tracking),
            at,
            lines: lines.into_iter().map(line).collect(),
            ship_to: ship_to.map(|place| self.address(Field::ShipTo, &place)),
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn delay(&self, delay: ShipmentDelay, order: OrderId) -> ShipmentDelay {
        let ShipmentDelay { order_number, shipment_number, expected, reason, extensions } = delay;
        ShipmentDelay {
            order_number: self.named(order_number, order),
            shipment_number,
            expected,
            reason: self.text(Field::Notes, &reason),
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn invoice(&self, invoice: Invoice, order: OrderId) -> Invoice {
        let Invoice {
            invoice_number,
            order_number,
            shipment_number,
            corrects,
            posted_on,
            due_on,
            lines,
            tax,
            total,
            extensions,
        } = invoice;
        let line = |line: InvoiceLine| {
            let InvoiceLine { line_number, sku, quantity, unit_price, extended, tax } = line;
            InvoiceLine { line_number, sku: sku.map(|sku| self.sku(&sku)), quantity, unit_price, extended, tax }
        };
        Invoice {
            invoice_number,
            order_number: self.named_where_it_is(order_number, order),
            shipment_number,
            corrects,
            posted_on,
            due_on,
            lines: lines.into_iter().map(line).collect(),
            tax,
            total,
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn settlement(&self, settlement: Settlement, order: OrderId) -> Settlement {
        let Settlement { payment_reference, order_number, invoice_number, amount, fee, settled_at, extensions } =
            settlement;
        Settlement {
            payment_reference: self.id(Field::Payment, "payment", &payment_reference),
            order_number: self.named_where_it_is(order_number, order),
            invoice_number,
            amount,
            fee,
            settled_at,
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn goods(&self, goods: GoodsReturn, order: OrderId) -> GoodsReturn {
        let GoodsReturn { return_number, order_number, lines, at, extensions } = goods;
        let line = |line: ReturnLine| {
            let ReturnLine { line_number, sku, quantity, reason, condition } = line;
            ReturnLine {
                line_number,
                sku: self.sku(&sku),
                quantity,
                reason: self.text(Field::Notes, &reason),
                condition: self.text(Field::Notes, &condition),
            }
        };
        GoodsReturn {
            return_number,
            order_number: self.named(order_number, order),
            lines: lines.into_iter().map(line).collect(),
            at,
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn refund(&self, refund: Refund, order: OrderId) -> Refund {
        let Refund { refund_number, order_number, cause, return_number, amount, issued_at, extensions } = refund;
        Refund {
            refund_number,
            order_number: self.named(order_number, order),
            cause,
            return_number,
            amount,
            issued_at,
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn remittance(&self, remittance: Remittance) -> Remittance {
        let Remittance { reference, payer, total, lines, pays_on, extensions } = remittance;
        let line = |line: RemittanceLine| {
            let RemittanceLine { invoice_number, paid, adjustment, adjustment_reason } = line;
            let adjustment_reason = self.text(Field::Notes, &adjustment_reason);
            RemittanceLine { invoice_number, paid, adjustment, adjustment_reason }
        };
        Remittance {
            reference: self.id(Field::Payment, "remittance", &reference),
            payer: self.customer(&payer),
            total,
            lines: lines.into_iter().map(line).collect(),
            pays_on,
            extensions: self.list(Field::Extensions, &extensions),
        }
    }

    fn supplier_delay(&self, delay: SupplierDelay) -> SupplierDelay {
        let SupplierDelay { purchase_order, supplier_id, sku, earliest, latest, confidence_bp, extensions } = delay;
        SupplierDelay {
            purchase_order: self.id(Field::OrderNumber, "purchase-order", &purchase_order),
            supplier_id: self.id(Field::CustomerId, "supplier", &supplier_id),
            sku: sku.map(|sku| self.sku(&sku)),
            earliest,
            latest,
            confidence_bp,
            extensions: self.list(Field::Extensions, &extensions),
        }
    }
}

//! What is to become of the day's orders: some of each case, all of ten boxes.

use std::collections::BTreeMap;

use self::Buyer::{Edi, Shop};
use self::Paid::{AtOnce, Later, Never};
use crate::standins::partner::PurchaseOrder;
use crate::standins::shop::Basket;

/// Orders of a case.
pub(super) const PER_CASE: usize = 3;

/// What an order is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goods {
    pub(super) sku: &'static str,
    pub(super) price: &'static str,
    pub(super) price_minor: u32,
}

/// Boxes of an order.
const BOXES: u32 = 10;

/// And of one that its customer wants to be smaller.
const FEWER_BOXES: u32 = 7;

/// What most orders are of.
pub(super) const PLAIN: Goods = Goods { sku: "FST-1007", price: "18.40", price_minor: 1_840 };

/// The same for more than the list price: the host's own rule holds such an order.
const DEAR: Goods = Goods { sku: "FST-1007", price: "20.00", price_minor: 2_000 };

/// What the warehouse has less of than it believes, for good and for a while.
pub(super) const SHORT: Goods = Goods { sku: "FST-1021", price: "34.80", price_minor: 3_480 };
pub(super) const LATE: Goods = Goods { sku: "FST-1014", price: "12.95", price_minor: 1_295 };

/// What is to become of some orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// Nothing happens to it.
    Plain,
    /// It is paid when it is ordered.
    Prepaid,
    /// It is prepaid, and three boxes of it are not there.
    Short,
    /// It is prepaid, and three boxes of it come later.
    Late,
    /// Its customer does not want it any more before the host has looked at it.
    CancelledReceived,
    /// When it is held.
    CancelledHeld,
    /// Before any system has it.
    CancelledReleased,
    /// When the ERP has it; it is prepaid.
    CancelledAccepted,
    /// When stock is set aside for it.
    CancelledAllocated,
    /// When it is out of the shelves; it is prepaid.
    CancelledPicked,
    /// When it is in its boxes.
    CancelledPacked,
    /// When a part of it has left, while finance is down; it is prepaid.
    CancelledPartShipped,
    /// When it has left, while finance is down; it is prepaid.
    CancelledShipped,
    /// When it is invoiced.
    CancelledInvoiced,
    /// When it is paid.
    CancelledSettled,
    /// When two boxes are announced to come back.
    CancelledReturning,
    /// When they are back.
    CancelledReturned,
    /// When they are credited.
    CancelledCredited,
    /// It is paid, and two boxes come back.
    Returned,
    /// It is prepaid, and two boxes are announced to come back before anybody says that they left.
    ReturnedEarly,
    /// Its customer pays five dollars too much.
    PaidOtherwise,
    /// Its customer wants fewer boxes before any system has it.
    ChangedReleased,
    /// When stock is set aside for it; it is prepaid.
    ChangedAllocated,
    /// When it is in its boxes, which is too late.
    ChangedPacked,
    /// It was bought in the shop and prepaid, and its customer cancels it there when the ERP has it.
    CancelledInShop,
    /// It was bought in the shop and paid, and two boxes come back.
    ReturnedToShop,
}

/// When somebody pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paid {
    AtOnce,
    /// What is invoiced.
    Later,
    Never,
}

/// Who buys: a customer over X12, or somebody in the shop, whose orders have ids from here on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Buyer {
    Edi(&'static str),
    Shop(u64),
}

/// A case, who buys so, what, when it is paid, and how people call it.
type Row = (Case, Buyer, Goods, Paid, &'static str);

/// All of them.
const ROWS: [Row; 26] = [
    (Case::Plain, Edi("C1001"), PLAIN, Later, "nothing special"),
    (Case::Prepaid, Edi("C1002"), PLAIN, AtOnce, "prepaid"),
    (Case::Short, Edi("C1003"), SHORT, AtOnce, "short shipment, prepaid"),
    (Case::Late, Edi("C1203"), LATE, AtOnce, "three boxes later, prepaid"),
    (Case::CancelledReceived, Edi("C1204"), PLAIN, Never, "cancelled when received"),
    (Case::CancelledHeld, Edi("C1205"), DEAR, Never, "cancelled when held"),
    (Case::CancelledReleased, Edi("C1004"), PLAIN, Never, "cancelled when released"),
    (Case::CancelledAccepted, Edi("C1005"), PLAIN, AtOnce, "cancelled when accepted, prepaid"),
    (Case::CancelledAllocated, Edi("C1006"), PLAIN, Never, "cancelled when allocated"),
    (Case::CancelledPicked, Edi("C1101"), PLAIN, AtOnce, "cancelled when picked, prepaid"),
    (Case::CancelledPacked, Edi("C1102"), PLAIN, Never, "cancelled when packed"),
    (Case::CancelledPartShipped, Edi("C1206"), LATE, AtOnce, "cancelled when part-shipped, prepaid"),
    (Case::CancelledShipped, Edi("C1103"), PLAIN, AtOnce, "cancelled when shipped, prepaid"),
    (Case::CancelledInvoiced, Edi("C1104"), PLAIN, Never, "cancelled when invoiced"),
    (Case::CancelledSettled, Edi("C1207"), PLAIN, Later, "cancelled when settled"),
    (Case::CancelledReturning, Edi("C1208"), PLAIN, Never, "cancelled when returning"),
    (Case::CancelledReturned, Edi("C1209"), PLAIN, Never, "cancelled when returned"),
    (Case::CancelledCredited, Edi("C1210"), PLAIN, Never, "cancelled when credited"),
    (Case::Returned, Edi("C1201"), PLAIN, Later, "two boxes come back"),
    (Case::ReturnedEarly, Edi("C1211"), PLAIN, AtOnce, "two boxes back, heard out of turn"),
    (Case::PaidOtherwise, Edi("C1202"), PLAIN, Later, "paid too much"),
    (Case::ChangedReleased, Edi("C1212"), PLAIN, Later, "changed when released"),
    (Case::ChangedAllocated, Edi("C1213"), PLAIN, AtOnce, "changed when allocated, prepaid"),
    (Case::ChangedPacked, Edi("C1214"), PLAIN, Later, "changed when packed, which is refused"),
    (Case::CancelledInShop, Shop(1_000), PLAIN, AtOnce, "cancelled in the shop, prepaid"),
    (Case::ReturnedToShop, Shop(2_000), PLAIN, Later, "bought in the shop, two boxes back"),
];

impl Case {
    /// All of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ROWS.into_iter().map(|(case, ..)| case)
    }

    fn row(self) -> Option<Row> {
        ROWS.into_iter().find(|(case, ..)| *case == self)
    }

    /// As people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().map_or("", |(.., name)| name)
    }

    pub(super) fn paid(self) -> Paid {
        self.row().map_or(Never, |(.., paid, _)| paid)
    }

    /// What an order of it comes to.
    pub(super) fn value_minor(self) -> i64 {
        self.row().map_or(0, |(_, _, goods, ..)| i64::from(BOXES).saturating_mul(i64::from(goods.price_minor)))
    }

    /// The customers' orders of this case.
    pub(super) fn orders(self) -> Vec<PurchaseOrder> {
        self.orders_of(BOXES)
    }

    fn orders_of(self, boxes: u32) -> Vec<PurchaseOrder> {
        let Some((_, Edi(customer), goods, ..)) = self.row() else { return Vec::new() };
        let order = |place| {
            let order = PurchaseOrder::clean(&format!("{customer}-{place:03}")).of_customer(customer);
            order.with_lines(&[(goods.sku, boxes, "BX", goods.price)])
        };
        (1..=PER_CASE).map(order).collect()
    }

    /// The same as they were, and as their customers want them to be.
    pub(super) fn changes(self) -> Vec<(PurchaseOrder, PurchaseOrder)> {
        self.orders().into_iter().zip(self.orders_of(FEWER_BOXES)).collect()
    }

    /// The shop's orders of this case.
    pub(super) fn baskets(self) -> Vec<Basket> {
        let Some((_, Shop(first), goods, ..)) = self.row() else { return Vec::new() };
        let basket = |place: u64| Basket {
            entity_id: first.saturating_add(place),
            sku: goods.sku,
            quantity: BOXES,
            price_minor: goods.price_minor,
        };
        (1..).take(PER_CASE).map(basket).collect()
    }

    /// The case of each order, by the order's number; with the number of its line.
    pub(super) fn of_numbers() -> BTreeMap<String, (Self, String)> {
        let by_edi = |case: Self| case.orders().into_iter().map(move |order| (order.number, (case, "1".to_owned())));
        let in_shop = |case: Self| {
            let baskets = case.baskets().into_iter();
            baskets.map(move |basket| (basket.increment_id(), (case, basket.item_id().to_string())))
        };
        Self::all().flat_map(|case| by_edi(case).chain(in_shop(case))).collect()
    }
}

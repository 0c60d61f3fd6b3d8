//! What must not be in the ledgers of customers and of whoever subscribes, at an address or by a
//! stream: that they were told less of an order than happened, or more. What happened, the warehouse and finance say.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, Ledgers, bare};
use crate::standins::partner::Entry;

/// Something of an order that somebody is to hear once: which order, what, and its number.
type Thing = (String, &'static str, String);

/// How often, by what.
type Counts = BTreeMap<Thing, usize>;

/// What customers are sent, by set.
const SETS: [&str; 3] = ["855", "856", "810"];

/// What customers hear before an order is answered: an 855 that says that it is held.
const WAITS: &str = "855 AH";

/// What a subscriber hears of an order that the warehouse got, whatever becomes of it.
const CREATED: &str = "order.created";
const SHIPPED: &str = "shipment.confirmed";
const POSTED: &str = "invoice.posted";

impl Ledgers {
    pub(super) fn customers_not_told(&self) -> Vec<Broken> {
        fewer(&self.for_customers(), &self.customers_heard())
    }

    pub(super) fn customers_told_more(&self) -> Vec<Broken> {
        fewer(&self.customers_heard(), &self.for_customers())
    }

    /// A customer's own complaint: an envelope that is none, or a number with other bytes.
    pub(super) fn customers_refused(&self) -> Vec<Broken> {
        self.customer_faults.iter().map(|fault| ("a customer".to_owned(), fault.clone())).collect()
    }

    pub(super) fn subscribers_not_told(&self) -> Vec<Broken> {
        fewer(&self.for_subscribers(), &self.subscribers_heard())
    }

    pub(super) fn subscribers_told_more(&self) -> Vec<Broken> {
        fewer(&self.subscribers_heard(), &self.for_subscribers())
    }

    pub(super) fn stream_not_told(&self) -> Vec<Broken> {
        fewer(&self.for_subscribers(), &self.streamed())
    }

    pub(super) fn stream_told_more(&self) -> Vec<Broken> {
        fewer(&self.streamed(), &self.for_subscribers())
    }

    /// An answer to each order that the warehouse got, a notice of each shipment, and each invoice
    /// and credit memo, of what was ordered over X12. Which order is held nobody but the host
    /// knows: of one that somebody heard so of it is said once.
    fn for_customers(&self) -> Counts {
        let of_shop: BTreeSet<&str> = self.shop_orders.iter().map(|order| order.increment_id.as_str()).collect();
        let own = self.releases.iter().filter(|release| !of_shop.contains(release.order_number.as_str()));
        let own: BTreeSet<String> = own.map(|release| bare(&release.order_id)).collect();
        let mut things: Counts = own.iter().map(|order| ((order.clone(), "855", String::new()), 1)).collect();
        let left = self.shipments.iter().map(|shipment| (bare(&shipment.order_id), "856", shipment.number.clone()));
        let invoices = self.invoices.iter().map(|invoice| (&invoice.external_document_number, &invoice.number));
        let memos = self.credit_memos.iter().map(|memo| (&memo.external_document_number, &memo.number));
        let posted = invoices.chain(memos).map(|(order, number)| (bare(order), "810", number.clone()));
        things.extend(left.chain(posted).filter(|(order, ..)| own.contains(order)).map(|thing| (thing, 1)));
        things.extend(self.customers_heard().into_keys().filter(|(_, what, _)| *what == WAITS).map(|thing| (thing, 1)));
        things
    }

    /// That it was taken back later is no second answer.
    fn customers_heard(&self) -> Counts {
        let heard = self.customers.iter().filter_map(|entry| {
            let set = SETS.into_iter().find(|set| entry.set == *set)?;
            if set == "855" && entry.element("BAK", 2) == "AH" {
                return Some((order_of(entry), WAITS, String::new()));
            }
            let number = match set {
                // RD and RJ: it is rejected; AC, AD and AK: accepted, with or without its lines.
                "855" if entry.element("BAK", 2).starts_with('R') => return None,
                "856" => entry.element("BSN", 2),
                "810" => entry.element("BIG", 2),
                _ => "",
            };
            Some((order_of(entry), set, number.to_owned()))
        });
        counted(heard)
    }

    /// By how many there are, since what a subscriber sees has not all of what would tell them apart.
    fn for_subscribers(&self) -> Counts {
        let released = self.released();
        let mut numbers: BTreeMap<(String, &'static str), BTreeSet<&str>> = BTreeMap::new();
        let left = self.shipments.iter().map(|shipment| (&shipment.order_id, SHIPPED, &shipment.number));
        let invoices = self.invoices.iter().map(|invoice| (&invoice.external_document_number, POSTED, &invoice.number));
        let memos = self.credit_memos.iter().map(|memo| (&memo.external_document_number, POSTED, &memo.number));
        for (order, kind, number) in left.chain(invoices).chain(memos) {
            numbers.entry((bare(order), kind)).or_default().insert(number);
        }
        let happened = numbers.into_iter().filter(|((order, _), _)| released.contains(order));
        let happened = happened.map(|((order, kind), numbers)| ((order, kind, String::new()), numbers.len()));
        let created = released.iter().map(|order| ((order.clone(), CREATED, String::new()), 1));
        happened.chain(created).collect()
    }

    fn released(&self) -> BTreeSet<String> {
        self.releases.iter().map(|release| bare(&release.order_id)).collect()
    }

    fn subscribers_heard(&self) -> Counts {
        self.heard_of(self.heard.iter().map(|heard| (heard.kind.as_str(), heard.subject.as_str())))
    }

    fn streamed(&self) -> Counts {
        self.heard_of(self.stream.iter().map(|streamed| (streamed.kind.as_str(), streamed.order.as_str())))
    }

    /// Of events, each with its order, those that count here.
    fn heard_of<'a>(&self, events: impl Iterator<Item = (&'a str, &'a str)>) -> Counts {
        let released = self.released();
        let heard = events.filter_map(|(kind, order)| {
            let kind = [CREATED, SHIPPED, POSTED].into_iter().find(|known| kind == *known)?;
            Some((bare(order), kind, String::new()))
        });
        // Of an order that ended before the warehouse got it, they hear that it was there.
        counted(heard.filter(|(order, kind, _)| *kind != CREATED || released.contains(order)))
    }
}

/// The host's id of the order that a message to a customer is about.
pub(super) fn order_of(entry: &Entry) -> String {
    let mut segments = entry.segments.iter();
    let own = segments.find(|segment| segment.get(2).is_some_and(|name| name == "PORTREEVE-ORDER"));
    own.and_then(|segment| segment.get(3)).map(|order| bare(order)).unwrap_or_default()
}

fn counted(things: impl Iterator<Item = Thing>) -> Counts {
    things.fold(Counts::new(), |mut counts, thing| {
        *counts.entry(thing).or_default() += 1;
        counts
    })
}

/// What there is less of on the second side.
fn fewer(more: &Counts, less: &Counts) -> Vec<Broken> {
    let compared = more.iter().map(|(thing, more)| (thing, *more, less.get(thing).copied().unwrap_or_default()));
    let broken = compared.filter(|(_, more, less)| more > less);
    broken
        .map(|((order, what, number), more, less)| (order.clone(), format!("{what} {number}: {more}, and {less}")))
        .collect()
}

//! Posting a shipment: the sales order's lines ship what left the warehouse, and are invoiced.
//!
//! ```text
//! GET   salesOrders?$filter=…&$expand=salesOrderLines       lines, ETags
//! GET   salesInvoices?$filter=…&$expand=salesInvoiceLines   is it posted already?
//! POST  salesOrders(ID)/salesOrderLines   a comment `Shipment NUMBER`; or
//! PATCH salesOrderLines(ID)               the comment of an earlier shipment is ours now
//! PATCH salesOrderLines(ID)               shipQuantity, where it is another one; 0 of what is not in it
//! GET   salesOrders…                      is all of it so?
//! GET   salesInvoices…                    and still not posted?
//! POST  salesOrders(ID)/Microsoft.NAV.shipAndInvoice
//! GET   salesInvoices…                    the invoice's number, and that it charges what left
//! ```
//!
//! The danger is a second posting: the action has no idempotency, and after the first one the
//! ERP proposes the rest of every line. So the comment is there before the action, posting
//! takes it onto the invoice, and by it `find` tells whether it happened. An order has one
//! such comment at most, since each invoice gets all of them: that of an earlier shipment,
//! posted or not, becomes the comment of this one. An answer that is lost on the way to the
//! action does not matter, as the order is read again before it; there the window is a
//! request wide, in which a clerk may still change something, because the action looks at no ETag.
//!
//! A posting may also take longer than anybody waits for it, and come while it is tried again.
//! The rest that the ERP proposes after it can be just what is to be posted, under the comment
//! that is there. So each look at the order is followed by one at the invoices, which have what
//! was posted until then; and an invoice counts only where it charges what left, line by line.
//! `find` knows no quantities: it takes the comment's word.
//!
//! ```text
//! 200 201 204    done
//! 409 412        somebody changed it since: look again, later
//! 404            a line or the order is gone: look again, later
//! 400 422        the ERP refuses, for example more than is outstanding: a person's
//! ```
//!
//! A line is found by its sequence, see the transformer `business-central`, and has to have
//! the item and the unit that the warehouse names; what it sent in the place of another item is put into
//! that one's line before, where the settings let it (`substitute`). Freight and whatever else is no item stays
//! as the ERP proposes it: with the first invoice. Of a shipment of nothing nothing is posted,
//! and what is short stays outstanding in the ERP until `close` takes it off the order, or a clerk does.
//!
//! Sources: Microsoft's pages 30028 "APIV2 - Sales Orders" (`ShipAndInvoice`, which answers
//! 204) and 30044 "APIV2 - Sales Order Lines"; resource types salesOrderLine and salesInvoice.

use std::collections::BTreeMap;

use portreeve_guest_rest::{Answer, only, patient};
use portreeve_sdk::connector::*;
use portreeve_sdk::failure::RETRY_MS;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::document::{Amount, Document, Documents, Line, SHIPMENT, after_posting, one_order, said_number};
use crate::{ERP, company_url, refused, substitute};

/// The kind of message.
pub(crate) const KIND: &str = "business-central/ship-and-invoice";

/// Lines that one call changes: with the seven other requests they stay below the 32 that a call
/// may send. What is left is changed by the next attempt.
pub(crate) const CHANGES_MAX: usize = 24;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shipment {
    shipment_number: String,
    sales_order_lines: Vec<Shipped>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shipped {
    line_number: String,
    sequence: u32,
    line_object_number: String,
    ship_quantity: Box<RawValue>,
    unit_of_measure_code: String,
    #[serde(default)]
    substitutes: bool,
}

/// What of a line is to be shipped.
pub(crate) struct Wanted {
    pub(crate) line_number: String,
    pub(crate) item: String,
    pub(crate) unit: String,
    pub(crate) quantity: Amount,
    /// Whether the warehouse sent it in the place of what was ordered.
    pub(crate) substitutes: bool,
}

/// What is to be shipped, by the sequence of its line.
pub(crate) type Lines = BTreeMap<u32, Wanted>;

/// A line whose quantity to ship is another one than is wanted.
struct Change<'a> {
    line: &'a Line,
    to: Amount,
}

/// Posts a shipment.
pub(crate) fn deliver(delivery: &Delivery) -> Result<Receipt, Failure> {
    let (key, settings) = (delivery.natural_key.as_str(), delivery.settings.as_slice());
    let comment = comment(key)?;
    let lines = read(&delivery.message.body, &comment)?;
    if lines.values().all(|line| line.quantity == Amount::ZERO) {
        let detail = Some("nothing of it left, so nothing was posted".to_owned());
        return Ok(Receipt { external_id: said_number(key)?.to_owned(), detail });
    }
    // Nothing in the ERP would notice a second posting.
    let order = match look(&comment, &lines, key, settings)? {
        Seen::Posted(receipt) => return Ok(receipt),
        Seen::Open(order) => order,
    };
    if substitute::put(&order, &lines, settings)? {
        // Whatever became of the answers: the next attempt looks whether it is so.
        return Err(Failure::Retry(RETRY_MS));
    }
    let changes = changes(&order, &lines)?;
    say(&order, &comment, settings)?;
    for change in changes.iter().take(CHANGES_MAX) {
        change_line(change.line, &ToShip { ship_quantity: change.to.json()? }, settings)?;
    }

    // Whatever became of an answer, and whoever else was at it: as it is now it is posted.
    let order = match look(&comment, &lines, key, settings)? {
        Seen::Posted(receipt) => return Ok(receipt),
        Seen::Open(order) => order,
    };
    if !self::changes(&order, &lines)?.is_empty() || !order.says(&comment) {
        return Err(Failure::Retry(RETRY_MS));
    }
    post(&order, settings)?;
    charges(&after_posting(invoice(&comment, key, settings))?, &lines)
}

/// Whether an earlier attempt posted it.
pub(crate) fn find(query: &FindQuery) -> Result<Option<Receipt>, Failure> {
    let invoice = invoice(&comment(&query.natural_key)?, &query.natural_key, &query.settings)?;
    Ok(invoice.map(|invoice| invoice.receipt()))
}

fn comment(natural_key: &str) -> Result<String, Failure> {
    said_number(natural_key).map(|number| format!("{SHIPMENT}{number}"))
}

/// Reads the message. Lots of one line are summed up.
fn read(body: &[u8], comment: &str) -> Result<Lines, Failure> {
    let foreign = || Failure::permanent("the message is no shipment as the transformer `business-central` renders it");
    let shipment: Shipment = serde_json::from_slice(body).map_err(|_| foreign())?;
    if comment.strip_prefix(SHIPMENT) != Some(shipment.shipment_number.as_str()) {
        return Err(foreign());
    }
    let mut lines = Lines::new();
    for shipped in shipment.sales_order_lines {
        let quantity = Amount::read(shipped.ship_quantity.get()).filter(|quantity| *quantity >= Amount::ZERO);
        let quantity = quantity.ok_or_else(foreign)?;
        let (item, unit) = (shipped.line_object_number, shipped.unit_of_measure_code);
        let (line_number, substitutes) = (shipped.line_number, shipped.substitutes);
        let nothing = Wanted { line_number, item, unit, quantity: Amount::ZERO, substitutes };
        let (item, unit) = (nothing.item.clone(), nothing.unit.clone());
        let line = lines.entry(shipped.sequence).or_insert(nothing);
        if (&line.item, &line.unit) != (&item, &unit) {
            return Err(Failure::invalid(two_of_one(&line.line_number)));
        }
        line.quantity = line.quantity.plus(quantity);
        line.substitutes |= substitutes;
    }
    Ok(lines)
}

fn two_of_one(line_number: &str) -> Problem {
    let message = format!("found line {line_number} twice with another item or unit; expected one of each");
    Problem::new("line-twice", message, "lines")
}

/// What the ERP has of a shipment.
enum Seen {
    /// It is posted.
    Posted(Receipt),
    /// It is not; this is its order.
    Open(Document),
}

/// Looks at the order and then at the invoices: what is posted between the two is on them.
fn look(comment: &str, lines: &Lines, natural_key: &str, settings: &[Setting]) -> Result<Seen, Failure> {
    let orders = Documents::Orders.of(natural_key, settings)?;
    if let Some(invoice) = invoice(comment, natural_key, settings)? {
        return charges(&invoice, lines).map(Seen::Posted);
    }
    one_order(orders)?.map(Seen::Open).ok_or_else(|| {
        Failure::permanent(
            "sales-order-gone: the ERP has no sales order of it, and no invoice of the shipment; see whether it was \
             posted or deleted there",
        )
    })
}

/// The one invoice that names the shipment.
fn invoice(comment: &str, natural_key: &str, settings: &[Setting]) -> Result<Option<Document>, Failure> {
    let invoices = Documents::Invoices.of(natural_key, settings)?;
    let posted = invoices.into_iter().filter(|invoice| invoice.is_posted() && invoice.says(comment)).collect();
    only(posted, |count, first: &Document, second: &Document| {
        Failure::permanent(format!(
            "invoice-twice: the ERP has {count} posted invoices of the shipment, {} and {} among them; credit all but \
             one there",
            first.number, second.number
        ))
    })
}

/// The receipt of an invoice that charges what left, and nothing else.
fn charges(invoice: &Document, lines: &Lines) -> Result<Receipt, Failure> {
    let mut charged: BTreeMap<u32, Amount> = BTreeMap::new();
    for line in invoice.items() {
        let known = charged.entry(line.sequence).or_default();
        *known = known.plus(Amount::of(line.quantity.as_deref(), "quantity")?);
    }
    let of = |amounts: &BTreeMap<u32, Amount>, sequence: u32| amounts.get(&sequence).copied().unwrap_or_default();
    let left: BTreeMap<u32, Amount> = lines.iter().map(|(sequence, line)| (*sequence, line.quantity)).collect();
    let mut all = left.keys().chain(charged.keys()).copied();
    match all.find(|sequence| of(&left, *sequence) != of(&charged, *sequence)) {
        None => Ok(invoice.receipt()),
        Some(sequence) => Err(Failure::permanent(format!(
            "invoice-differs: the ERP posted {} of the shipment with {} of line {}, of which {} left; expected the same: \
             correct the invoice there, and post what is missing",
            invoice.number,
            of(&charged, sequence).text(),
            sequence / 10,
            of(&left, sequence).text()
        ))),
    }
}

/// What is still to be set before the shipment can be posted, or everything that does not fit.
fn changes<'a>(order: &'a Document, wanted: &Lines) -> Result<Vec<Change<'a>>, Failure> {
    if !order.is_numbered() {
        let message = "the lines of the ERP's sales order do not have the order's numbers; expected a sales order as \
                       the host makes it: post the shipment in the ERP by hand";
        return Err(Failure::invalid(Problem::new("lines-not-numbered", message, "")));
    }
    let mut problems = Vec::new();
    for (sequence, wanted) in wanted.iter().filter(|(_, wanted)| wanted.quantity > Amount::ZERO) {
        let line = order.items().find(|line| line.sequence == *sequence);
        problems.extend(unfit(line, wanted)?);
    }
    if !problems.is_empty() {
        return Err(Failure::Invalid(problems));
    }
    let mut changes = Vec::new();
    for line in order.items() {
        let to = wanted.get(&line.sequence).map_or(Amount::ZERO, |wanted| wanted.quantity);
        if Amount::of(line.ship_quantity.as_deref(), "shipQuantity")? != to {
            changes.push(Change { line, to });
        }
    }
    Ok(changes)
}

/// Why a line of the sales order is not the one that left.
pub(crate) fn unfit(line: Option<&Line>, wanted: &Wanted) -> Result<Option<Problem>, Failure> {
    let path = format!("lines[{}]", wanted.line_number);
    let Some(line) = line else {
        let message = "the ERP's sales order has no item line of this number; expected the one that the order had";
        return Ok(Some(Problem::new("no-such-line", message, path)));
    };
    if line.line_object_number != wanted.item {
        let (found, left) = (&line.line_object_number, &wanted.item);
        let message = match wanted.substitutes {
            false => format!("the ERP's line is of item `{found}`; expected `{left}`, which left"),
            true => format!(
                "`{left}` left in the place of `{found}`, which the ERP's line is of; expected the setting `substitutes` \
                 where that is to be posted: post it in the ERP by hand"
            ),
        };
        return Ok(Some(Problem::new("item-differs", message, path)));
    }
    if line.unit_of_measure_code != wanted.unit {
        let found = &line.unit_of_measure_code;
        let message = format!("the ERP's line is in `{found}`; expected `{}`, in which it left", wanted.unit);
        return Ok(Some(Problem::new("unit-differs", message, path)));
    }
    let ordered = Amount::of(line.quantity.as_deref(), "quantity")?;
    let outstanding = ordered.minus(Amount::of(line.shipped_quantity.as_deref(), "shippedQuantity")?);
    if wanted.quantity > outstanding {
        let (left, outstanding) = (wanted.quantity.text(), outstanding.text());
        let message = format!("{left} left; expected at most {outstanding}, which is outstanding in the ERP");
        return Ok(Some(Problem::new("more-than-outstanding", message, path)));
    }
    Ok(None)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToShip {
    ship_quantity: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Comment<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line_type: Option<&'static str>,
    description: &'a str,
}

/// Has the order name this shipment and no other.
fn say(order: &Document, comment: &str, settings: &[Setting]) -> Result<(), Failure> {
    let others = order.comments().filter(|line| line.description.starts_with(SHIPMENT) && line.description != comment);
    let mut is_there = order.says(comment);
    for other in others {
        change_line(other, &Comment { line_type: None, description: comment }, settings)?;
        is_there = true;
    }
    if is_there {
        return Ok(());
    }
    add_line(order, &Comment { line_type: Some("Comment"), description: comment }, "the comment", settings)
}

pub(crate) fn add_line(
    order: &Document,
    line: &impl Serialize,
    what: &str,
    settings: &[Setting],
) -> Result<(), Failure> {
    let url = format!("{}/salesOrders({})/salesOrderLines", company_url(settings)?, http::escaped(&order.id));
    set(http::Request::json(http::Method::Post, &url, json(line)?), what, settings)
}

pub(crate) fn change_line(line: &Line, to: &impl Serialize, settings: &[Setting]) -> Result<(), Failure> {
    let (url, etag) = place(line, settings)?;
    let request = http::Request::json(http::Method::Patch, &url, json(to)?).with_header("if-match", etag);
    set(request, "the change of a line", settings)
}

pub(crate) fn delete_line(line: &Line, settings: &[Setting]) -> Result<(), Failure> {
    let (url, etag) = place(line, settings)?;
    let request = http::Request { method: http::Method::Delete, ..http::Request::get_json(&url) };
    set(request.with_header("if-match", etag), "the deletion of a line", settings)
}

/// Where a line is, and as what it was looked at.
fn place<'a>(line: &'a Line, settings: &[Setting]) -> Result<(String, &'a str), Failure> {
    let etag = line.etag.as_deref();
    let etag = etag.ok_or_else(|| Failure::permanent("the ERP lists a line of a sales order without an ETag"))?;
    Ok((format!("{}/salesOrderLines({})", company_url(settings)?, http::escaped(&line.id)), etag))
}

fn json(content: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(content).map_err(|error| Failure::permanent(error.to_string()))
}

/// Sets something that is looked at again before anything is posted: an answer that got lost
/// says as much as one that came.
fn set(request: http::Request, what: &str, settings: &[Setting]) -> Result<(), Failure> {
    let response = match http::send(patient(request, settings)?) {
        Ok(response) => response,
        Err(http::HttpError::UnknownOutcome(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match response.status {
        200 | 201 | 204 | 408 | 500..=599 => Ok(()),
        404 | 409 | 412 => Err(Failure::Retry(RETRY_MS)),
        _ => match ERP.answered(&response, what)? {
            Answer::Done => Ok(()),
            Answer::Refused => Err(refused(what, &response)),
        },
    }
}

fn post(order: &Document, settings: &[Setting]) -> Result<(), Failure> {
    let company = company_url(settings)?;
    let url = format!("{company}/salesOrders({})/Microsoft.NAV.shipAndInvoice", http::escaped(&order.id));
    post_action(&url, "to ship and invoice the sales order", settings)
}

/// Has a document posted. One that is gone since it was looked at was posted or deleted by
/// somebody: which of both, `find` tells.
pub(crate) fn post_action(url: &str, what: &str, settings: &[Setting]) -> Result<(), Failure> {
    let response = http::send(patient(http::Request::json(http::Method::Post, url, vec![]), settings)?)?;
    match response.status {
        204 => Ok(()),
        404 => Err(Failure::unknown("the document was gone when it was to be posted")),
        409 | 412 => Err(Failure::Retry(RETRY_MS)),
        _ => match ERP.answered(&response, "the posting")? {
            Answer::Done => Ok(()),
            Answer::Refused => Err(refused(what, &response)),
        },
    }
}

//! Posting: out of a sales order an invoice for what is shipped, out of a draft a credit
//! memo; and what is in stock after it.
//!
//! As in the original (page 30028 "APIV2 - Sales Orders", `ShipAndInvoice`, and codeunit
//! "Sales-Post") one posting ships and invoices what stands in the lines' quantity to ship,
//! then asks for the rest the next time; an order of which nothing is left is deleted.
//! Comments go onto every invoice, lines keep their sequence. The header's discount is on
//! invoices in proportion to what they charge, to the cent when all is posted.

use portreeve_model::Instant;
use portreeve_model::value::Decimal;

use super::answer::Refusal;
use super::asked::{Checked, Line, LineType, charged};
use super::books::{Books, Order, figure, line_number};
use super::{CreditMemo, PostedInvoice, PostedLine};
use crate::standins::amount::Amount;
use crate::standins::serving;

/// The first numbers of posted invoices, of drafts of credit memos, and of posted ones.
const INVOICE_FIRST: usize = 103_001;
const DRAFT_FIRST: usize = 1_001;
const MEMO_FIRST: usize = 104_001;

/// What stands in a comment in front of the number of a shipment or a return.
const SHIPMENT: &str = "Shipment no. ";
const RETURN: &str = "Return no. ";

/// An invoice or a credit memo.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) company: &'static str,
    /// Its place among its kind.
    place: usize,
    pub(super) number: String,
    pub(super) external_document_number: String,
    pub(super) customer_number: String,
    pub(super) currency_code: String,
    /// Of an invoice: the order that it is of.
    pub(super) order_number: Option<String>,
    /// Of a credit memo: the invoice that it is applied to.
    pub(super) invoice_number: Option<String>,
    pub(super) rows: Vec<Row>,
    /// Hundredths.
    pub(super) discount: i128,
    pub(super) total: Decimal,
    /// When it was posted; a draft was not.
    pub(super) at: Option<u64>,
    /// When it was posted or, a draft, made, and when it changed last; both by the ERP's clock.
    pub(super) dated: Instant,
    pub(super) modified: Instant,
}

/// A line of it, with its share of the discount, both in hundredths.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: Line,
    pub(super) amount: i128,
    pub(super) discount: i128,
}

impl Books {
    /// Posts what is to be shipped of an order.
    pub(super) fn ship_and_invoice(&mut self, company: &'static str, id: &str) -> Result<(), Refusal> {
        let place = self.order_place(company, id)?;
        let order = self.orders.get(&place).ok_or_else(Refusal::full)?;
        if order.lines.iter().all(|line| line.ship == Amount::ZERO) {
            return Err(Refusal::dialog("There is nothing to post.".to_owned()));
        }
        let lines = order.lines.len();
        self.room(self.invoices.len(), lines)?;
        let now = self.posting_time();
        let order = self.orders.get_mut(&place).ok_or_else(Refusal::full)?;
        let mut rows = order.post(now);
        let gross = rows.iter().map(|row| row.amount).sum();
        let discount = order.discount_of(gross);
        share_out(discount, gross, &mut rows);
        let is_done = order.lines.iter().all(|line| line.outstanding() == Amount::ZERO);
        let invoice = Document {
            company,
            place: self.invoices.len(),
            number: format!("PS-INV{}", INVOICE_FIRST.saturating_add(self.invoices.len())),
            external_document_number: order.external_document_number.clone(),
            customer_number: order.customer_number.clone(),
            currency_code: order.currency_code.clone(),
            order_number: Some(order.number.clone()),
            invoice_number: None,
            rows,
            discount,
            total: money(gross.saturating_sub(discount)),
            at: Some(serving::entry()),
            dated: now,
            modified: now,
        };
        for row in invoice.items() {
            self.take(&row.line.object, Amount::of(&row.line.quantity));
        }
        self.changes.push((format!("companies({company})/salesInvoices({})", invoice.id()), now));
        self.keep_invoice(invoice);
        if is_done {
            self.remove(place);
        }
        Ok(())
    }

    /// A draft.
    pub(super) fn draft_memo(&mut self, company: &'static str, asked: Checked) -> Result<&Document, Refusal> {
        let invoice_number = Some(asked.invoice_number).filter(|number| !number.is_empty());
        let is_known = |number: &String| {
            self.invoices.iter().any(|invoice| invoice.company == company && invoice.number == *number)
        };
        if !invoice_number.as_ref().is_none_or(is_known) {
            return Err(Refusal::invalid("invoiceNumber is no posted invoice".to_owned()));
        }
        self.room(self.memos.len(), asked.lines.len())?;
        let amount_of = |line: &Line| charged(&line.quantity, &line.unit_price).unwrap_or_default();
        let rows = asked.lines.into_iter().map(|line| Row { amount: amount_of(&line), discount: 0, line });
        let mut rows: Vec<Row> = rows.collect();
        share_out(asked.discount, rows.iter().map(|row| row.amount).sum(), &mut rows);
        self.memos.push(Document {
            company,
            place: self.memos.len(),
            number: format!("S-CR{}", DRAFT_FIRST.saturating_add(self.memos.len())),
            external_document_number: asked.external_document_number,
            customer_number: asked.customer_number,
            currency_code: asked.currency_code,
            order_number: None,
            invoice_number,
            rows,
            discount: asked.discount,
            total: asked.total,
            at: None,
            dated: self.now,
            modified: self.now,
        });
        self.memos.last().ok_or_else(Refusal::full)
    }

    /// Posts a draft, which gets another number by it and keeps its id.
    pub(super) fn post_memo(&mut self, company: &str, id: &str) -> Result<(), Refusal> {
        let posted = self.memos_posted;
        let now = self.posting_time();
        let memo = figure(id).and_then(|place| self.memos.get_mut(place));
        let memo = memo.filter(|memo| memo.company == company && memo.id() == id);
        let memo = memo.ok_or_else(|| Refusal::not_found("there is no sales credit memo with this id"))?;
        if memo.at.is_some() {
            return Err(Refusal::dialog("The action can be applied to a draft credit memo only.".to_owned()));
        }
        if memo.items().next().is_none() {
            return Err(Refusal::dialog("Please add at least one line item to the credit memo.".to_owned()));
        }
        memo.number = format!("PS-CR{}", MEMO_FIRST.saturating_add(posted));
        memo.at = Some(serving::entry());
        (memo.dated, memo.modified) = (now, now);
        let resource = format!("companies({company})/salesCreditMemos({})", memo.id());
        let items: Vec<(String, Amount)> =
            memo.items().map(|row| (row.line.object.clone(), Amount::of(&row.line.quantity))).collect();
        self.changes.push((resource, now));
        self.memos_posted = posted.saturating_add(1);
        for (item, quantity) in items {
            self.put(&item, quantity);
        }
        Ok(())
    }
}

impl Order {
    /// The rows of the next invoice; what is on them is shipped by it.
    fn post(&mut self, now: Instant) -> Vec<Row> {
        let mut rows = Vec::new();
        for line in &mut self.lines {
            if line.line.line_type == LineType::Comment {
                rows.push(Row { line: line.line.clone(), amount: 0, discount: 0 });
            } else if line.ship > Amount::ZERO {
                let charged_up_to =
                    |quantity: Amount| charged(&quantity.decimal(), &line.line.unit_price).unwrap_or_default();
                let (before, after) = (line.shipped, line.shipped.plus(line.ship));
                let amount = charged_up_to(after).saturating_sub(charged_up_to(before));
                rows.push(Row {
                    line: Line { quantity: line.ship.decimal(), ..line.line.clone() },
                    amount,
                    discount: 0,
                });
                line.shipped = after;
            }
            // The rest of every line is proposed, also of one that was left out now.
            line.ship = line.outstanding();
            line.posted();
        }
        self.changed(now);
        rows
    }

    /// What is taken off an invoice that charges so much, after [`Order::post`].
    fn discount_of(&mut self, gross: i128) -> i128 {
        let (mut all, mut posted) = (0_i128, 0_i128);
        for line in &self.lines {
            let price = &line.line.unit_price;
            all = all.saturating_add(charged(&line.line.quantity, price).unwrap_or_default());
            posted = posted.saturating_add(charged(&line.shipped.decimal(), price).unwrap_or_default());
        }
        let due = part(self.discount, posted, all).saturating_sub(self.discount_taken).clamp(0, gross.max(0));
        self.discount_taken = self.discount_taken.saturating_add(due);
        due
    }
}

/// Gives each row its share of a discount, by what it charges; the last cents are the last's.
fn share_out(discount: i128, gross: i128, rows: &mut [Row]) {
    let (mut charged, mut shared) = (0_i128, 0_i128);
    for row in rows {
        charged = charged.saturating_add(row.amount);
        let so_far = part(discount, charged, gross);
        row.discount = so_far.saturating_sub(shared);
        shared = so_far;
    }
}

/// So much of something as `of` is of `whole`, rounded half up.
fn part(something: i128, of: i128, whole: i128) -> i128 {
    if whole <= 0 {
        return 0;
    }
    something.saturating_mul(of).saturating_add(whole / 2) / whole
}

/// Hundredths in major units.
pub(super) fn money(hundredths: i128) -> Decimal {
    Decimal { units: i64::try_from(hundredths).unwrap_or(i64::MAX), scale: 2 }
}

impl Document {
    pub(super) fn id(&self) -> String {
        let kind = if self.is_invoice() { 1 } else { 2 };
        format!("00000000-0000-4000-a00{kind}-{:012}", self.place)
    }

    /// The number of the shipment that was posted with it.
    pub(super) fn shipment_number(&self) -> String {
        self.number.replacen("PS-INV", "PS-SHPT", 1)
    }

    pub(super) fn is_invoice(&self) -> bool {
        self.order_number.is_some()
    }

    fn items(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.line.line_type == LineType::Item)
    }

    /// The number that a comment names behind this word.
    fn named(&self, word: &str) -> Option<String> {
        let comments = self.rows.iter().filter(|row| row.line.line_type == LineType::Comment);
        comments.filter_map(|row| row.line.description.strip_prefix(word)).next_back().map(str::to_owned)
    }

    fn posted_lines(&self) -> Vec<PostedLine> {
        let line = |row: &Row| PostedLine {
            line_number: line_number(row.line.sequence),
            item_number: row.line.object.clone(),
            quantity: row.line.quantity,
            unit: row.line.unit.clone(),
            unit_price: row.line.unit_price,
            amount: money(row.amount),
        };
        self.items().map(line).collect()
    }

    pub(super) fn invoice(&self) -> PostedInvoice {
        PostedInvoice {
            company: self.company,
            number: self.number.clone(),
            external_document_number: self.external_document_number.clone(),
            order_number: self.order_number.clone().unwrap_or_default(),
            shipment: self.named(SHIPMENT),
            lines: self.posted_lines(),
            total: self.total,
            at: self.at.unwrap_or_default(),
        }
    }

    /// None of a draft.
    pub(super) fn memo(&self) -> Option<CreditMemo> {
        Some(CreditMemo {
            company: self.company,
            number: self.number.clone(),
            external_document_number: self.external_document_number.clone(),
            returned: self.named(RETURN),
            corrects: self.invoice_number.clone(),
            lines: self.posted_lines(),
            total: self.total,
            at: self.at?,
        })
    }
}

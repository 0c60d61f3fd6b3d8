//! Posting a credit memo for goods that came back.
//!
//! ```text
//! GET  salesCreditMemos?$filter=…&$expand=salesCreditMemoLines   posted or begun already?
//! GET  salesInvoices?$filter=…&$expand=salesInvoiceLines         prices, and what was invoiced
//! POST salesCreditMemos                       a draft with its lines and the comment `Return NUMBER`
//! POST salesCreditMemos(ID)/Microsoft.NAV.post
//! GET  salesCreditMemos…                      the number, which is another one after posting
//! ```
//!
//! The dangers are a second memo and money that nobody paid. The comment is in the draft from
//! its creation on: an attempt that got no further is continued, and by a posted memo with it
//! `find` tells that it happened. Two of them are a person's. What is credited is what the
//! posted invoices of the order charge: the line's price, less its share of the invoice's
//! discount, and never more of a line than was invoiced and not credited before. Freight is not
//! credited: whether it comes back is a person's to say.
//!
//! A line is found by its sequence, and has to have the item and the unit that came back; one
//! of a return that does not name its line by its item, where that is on one line only. A draft
//! that somebody changed since, prices that differ, and lines with discounts of their own are a
//! person's. `invoiceNumber` applies the memo to the invoice where it is about a single one.
//!
//! Sources: Microsoft's pages 30038 "APIV2 - Sales Credit Memos" (`invoiceNumber` is "Applies-to
//! Doc. No."; `post` applies to drafts) and the resource types salesCreditMemo and
//! salesCreditMemoLine.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_guest_rest::{Answer, only, patient};
use portreeve_sdk::connector::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::document::{Amount, Document, Documents, Line, RETURN, after_posting, said_number};
use crate::{ERP, company_url, document_number, refused, ship};

/// The kind of message.
pub(crate) const KIND: &str = "business-central/credit-memo";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GoodsBack {
    return_number: String,
    sales_credit_memo_lines: Vec<Back>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Back {
    sequence: Option<u32>,
    line_object_number: String,
    quantity: Box<RawValue>,
    unit_of_measure_code: String,
}

/// A credit memo as it is created.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Memo {
    external_document_number: String,
    customer_number: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    currency_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount_amount: Option<Box<RawValue>>,
    sales_credit_memo_lines: Vec<MemoLine>,
}

#[derive(Serialize)]
#[serde(tag = "lineType")]
enum MemoLine {
    Comment {
        sequence: u32,
        description: String,
    },
    #[serde(rename_all = "camelCase")]
    Item {
        sequence: u32,
        line_object_number: String,
        quantity: Box<RawValue>,
        unit_price: Box<RawValue>,
        unit_of_measure_code: String,
    },
}

impl Memo {
    /// What is taken off its lines.
    fn discount(&self) -> Amount {
        self.discount_amount.as_deref().and_then(|discount| Amount::read(discount.get())).unwrap_or_default()
    }
}

/// What is credited of a line.
struct Credited {
    item: String,
    unit: String,
    quantity: Amount,
    price: Amount,
    discount: Amount,
}

/// What the invoices of the order charge for a line, together.
struct Charged {
    item: String,
    unit: String,
    price: Amount,
    quantity: Amount,
    discount: Amount,
    invoices: BTreeSet<String>,
}

/// Posts a credit memo.
pub(crate) fn deliver(delivery: &Delivery) -> Result<Receipt, Failure> {
    let (key, settings) = (delivery.natural_key.as_str(), delivery.settings.as_slice());
    let comment = comment(key)?;
    let goods = read(&delivery.message.body, &comment)?;
    let memos = Documents::CreditMemos.of(key, settings)?;
    if let Some(receipt) = posted(&memos, &comment)? {
        return Ok(receipt);
    }
    let memo = wanted(&goods, &memos, key, &comment, settings)?;
    let drafts = memos.into_iter().filter(|memo| memo.says(&comment)).collect();
    let id = match only(drafts, twice)? {
        Some(draft) => continued(&draft, &memo)?,
        None => created(&memo, settings)?,
    };
    let url = format!("{}/salesCreditMemos({})/Microsoft.NAV.post", company_url(settings)?, http::escaped(&id));
    ship::post_action(&url, "to post the credit memo", settings)?;
    after_posting(Documents::CreditMemos.of(key, settings).and_then(|memos| posted(&memos, &comment)))
}

/// Whether an earlier attempt posted it. A draft is none.
pub(crate) fn find(query: &FindQuery) -> Result<Option<Receipt>, Failure> {
    let memos = Documents::CreditMemos.of(&query.natural_key, &query.settings)?;
    posted(&memos, &comment(&query.natural_key)?)
}

fn comment(natural_key: &str) -> Result<String, Failure> {
    said_number(natural_key).map(|number| format!("{RETURN}{number}"))
}

fn read(body: &[u8], comment: &str) -> Result<Vec<Back>, Failure> {
    let goods: Option<GoodsBack> = serde_json::from_slice(body).ok();
    let goods = goods.filter(|goods| comment.strip_prefix(RETURN) == Some(goods.return_number.as_str()));
    goods
        .map(|goods| goods.sales_credit_memo_lines)
        .ok_or_else(|| Failure::permanent("the message is no return as the transformer `business-central` renders it"))
}

fn posted(memos: &[Document], comment: &str) -> Result<Option<Receipt>, Failure> {
    let posted = memos.iter().filter(|memo| memo.is_posted() && memo.says(comment)).collect();
    let posted = only(posted, |count, first, second| twice(count, first, second))?;
    Ok(posted.map(Document::receipt))
}

fn twice(count: usize, first: &Document, second: &Document) -> Failure {
    Failure::permanent(format!(
        "credit-memo-twice: the ERP has {count} credit memos of the return, {} and {} among them; see which one is right \
         there, and take back or delete the others",
        first.number, second.number
    ))
}

/// The memo that the return is worth.
fn wanted(
    goods: &[Back],
    memos: &[Document],
    natural_key: &str,
    comment: &str,
    settings: &[Setting],
) -> Result<Memo, Failure> {
    let invoices: Vec<Document> =
        Documents::Invoices.of(natural_key, settings)?.into_iter().filter(Document::is_posted).collect();
    let Some(first) = invoices.first() else {
        return Err(Failure::permanent(
            "not-invoiced: the ERP has no posted invoice of the order; see what was posted there, and credit it by hand",
        ));
    };
    let charged = charged(&invoices)?;
    let credited = credited(goods, &charged, &before(memos)?, money::minor_digits(&first.currency_code))?;
    let of: BTreeSet<&String> =
        credited.keys().filter_map(|sequence| charged.get(sequence)).flat_map(|line| &line.invoices).collect();
    let invoice_number = of.first().filter(|_| of.len() == 1).map(|number| (*number).clone());
    let discount = credited.values().fold(Amount::ZERO, |sum, line| sum.plus(line.discount));
    let mut lines = vec![MemoLine::Comment { sequence: 1, description: comment.to_owned() }];
    for (sequence, line) in credited {
        lines.push(MemoLine::Item {
            sequence,
            line_object_number: line.item,
            quantity: line.quantity.json()?,
            unit_price: line.price.json()?,
            unit_of_measure_code: line.unit,
        });
    }
    Ok(Memo {
        external_document_number: document_number(natural_key),
        customer_number: first.customer_number.clone(),
        currency_code: first.currency_code.clone(),
        invoice_number,
        discount_amount: if discount == Amount::ZERO { None } else { Some(discount.json()?) },
        sales_credit_memo_lines: lines,
    })
}

/// What was invoiced of each line.
fn charged(invoices: &[Document]) -> Result<BTreeMap<u32, Charged>, Failure> {
    let mut charged: BTreeMap<u32, Charged> = BTreeMap::new();
    for invoice in invoices {
        for line in invoice.items() {
            let quantity = Amount::of(line.quantity.as_deref(), "quantity")?;
            if quantity <= Amount::ZERO {
                continue;
            }
            let price = priced(line)?;
            let known = charged.entry(line.sequence).or_insert_with(|| Charged {
                item: line.line_object_number.clone(),
                unit: line.unit_of_measure_code.clone(),
                price,
                quantity: Amount::ZERO,
                discount: Amount::ZERO,
                invoices: BTreeSet::new(),
            });
            if (&known.item, &known.unit, known.price) != (&line.line_object_number, &line.unit_of_measure_code, price)
            {
                let message = "the posted invoices of the order charge this line with another item, unit or price each; \
                               expected the same: credit it in the ERP by hand";
                return Err(Failure::invalid(Problem::new("invoices-differ", message, path_of(line.sequence))));
            }
            let discount = Amount::or_zero(line.invoice_discount_allocation.as_deref(), "invoiceDiscountAllocation")?;
            known.quantity = known.quantity.plus(quantity);
            known.discount = known.discount.plus(discount);
            known.invoices.insert(invoice.number.clone());
        }
    }
    Ok(charged)
}

/// The price of an invoiced line.
fn priced(line: &Line) -> Result<Amount, Failure> {
    if line.discount()? != Amount::ZERO {
        let message = "the invoice's line has a discount of its own; expected none: credit it in the ERP by hand";
        return Err(Failure::invalid(Problem::new("line-discount", message, path_of(line.sequence))));
    }
    Amount::of(line.unit_price.as_deref(), "unitPrice")
}

/// How much of each line and item posted memos gave back. One that a clerk made has other
/// sequences, so what it is about is known by the item alone.
fn before(memos: &[Document]) -> Result<BTreeMap<(u32, String), Amount>, Failure> {
    let mut before: BTreeMap<(u32, String), Amount> = BTreeMap::new();
    for line in memos.iter().filter(|memo| memo.is_posted()).flat_map(Document::items) {
        let quantity = Amount::of(line.quantity.as_deref(), "quantity")?;
        let known = before.entry((line.sequence, line.line_object_number.clone())).or_default();
        *known = known.plus(quantity);
    }
    Ok(before)
}

/// What is credited of each line, or everything that does not fit.
fn credited(
    goods: &[Back],
    charged: &BTreeMap<u32, Charged>,
    before: &BTreeMap<(u32, String), Amount>,
    minor_digits: u8,
) -> Result<BTreeMap<u32, Credited>, Failure> {
    let (mut credited, mut problems): (BTreeMap<u32, Credited>, _) = (BTreeMap::new(), Vec::new());
    for (index, back) in goods.iter().enumerate() {
        match line_of(back, charged, &format!("lines[{index}]")) {
            Ok((sequence, line)) => {
                let quantity = Amount::read(back.quantity.get()).filter(|quantity| *quantity > Amount::ZERO);
                let quantity = quantity.ok_or_else(|| Failure::permanent("a line of the return has no quantity"))?;
                let (item, unit) = (line.item.clone(), line.unit.clone());
                let nothing =
                    Credited { item, unit, quantity: Amount::ZERO, price: line.price, discount: Amount::ZERO };
                let sum = credited.entry(sequence).or_insert(nothing);
                sum.quantity = sum.quantity.plus(quantity);
            }
            Err(problem) => problems.push(*problem),
        }
    }
    for (sequence, line) in &mut credited {
        let Some(charged_line) = charged.get(sequence) else { continue };
        let earlier = before.get(&(*sequence, line.item.clone())).copied().unwrap_or_default();
        let left = left_of(charged_line, earlier, charged, before);
        if line.quantity > left {
            let (came, left) = (line.quantity.text(), left.text());
            let message = format!("{came} came back; expected at most {left}, which is invoiced and not credited yet");
            problems.push(Problem::new("more-than-invoiced", message, path_of(*sequence)));
        }
        line.discount = share(charged_line, earlier, line.quantity, minor_digits)?;
    }
    if problems.is_empty() { Ok(credited) } else { Err(Failure::Invalid(problems)) }
}

/// What of a line can still be credited: no more than of its item altogether.
fn left_of(
    line: &Charged,
    earlier: Amount,
    charged: &BTreeMap<u32, Charged>,
    before: &BTreeMap<(u32, String), Amount>,
) -> Amount {
    let sum = |sum: Amount, quantity: Amount| sum.plus(quantity);
    let of_item = charged.values().filter(|other| other.item == line.item);
    let invoiced = of_item.map(|other| other.quantity).fold(Amount::ZERO, sum);
    let of_item = before.iter().filter(|((_, item), _)| *item == line.item);
    let credited = of_item.map(|(_, quantity)| *quantity).fold(Amount::ZERO, sum);
    line.quantity.minus(earlier).min(invoiced.minus(credited))
}

/// The invoiced line that came back.
fn line_of<'a>(
    back: &Back,
    charged: &'a BTreeMap<u32, Charged>,
    path: &str,
) -> Result<(u32, &'a Charged), Box<Problem>> {
    let wrong = |code: &str, message: String| Box::new(Problem::new(code, message, path));
    let is_meant = |(sequence, line): &(&u32, &Charged)| match back.sequence {
        Some(asked) => **sequence == asked,
        None => line.item == back.line_object_number,
    };
    let mut meant = charged.iter().filter(is_meant);
    let (Some((sequence, line)), another) = (meant.next(), meant.next()) else {
        let message = "no posted invoice of the order charges this line; expected one that does".to_owned();
        return Err(wrong("not-invoiced", message));
    };
    if another.is_some() {
        let message =
            "the return does not say which line it is of, and several have its item; expected the line's number";
        return Err(wrong("line-ambiguous", message.to_owned()));
    }
    if line.item != back.line_object_number {
        let message = format!("the invoice's line is of item `{}`; expected `{}`", line.item, back.line_object_number);
        return Err(wrong("item-differs", message));
    }
    if line.unit != back.unit_of_measure_code {
        let message = format!("the invoice's line is in `{}`; expected `{}`", line.unit, back.unit_of_measure_code);
        return Err(wrong("unit-differs", message));
    }
    Ok((*sequence, line))
}

/// What of a line's discount comes off with so much of it. It is worked out from the beginning,
/// so that returns one after the other take off what one of all would.
fn share(line: &Charged, earlier: Amount, quantity: Amount, minor_digits: u8) -> Result<Amount, Failure> {
    let up_to = |quantity: Amount| -> Option<i128> {
        let unit = 10_i128.checked_pow(9_u32.checked_sub(u32::from(minor_digits))?)?;
        let part = line.discount.0.checked_mul(quantity.0)?.checked_div(line.quantity.0)?;
        part.checked_add(unit / 2)?.checked_div(unit)?.checked_mul(unit)
    };
    let share = up_to(earlier.plus(quantity)).zip(up_to(earlier)).map(|(after, before)| Amount(after - before));
    share.ok_or_else(|| Failure::permanent("the discount of an invoice's line is too large to be shared out"))
}

fn path_of(sequence: u32) -> String {
    format!("lines[{}]", sequence / 10)
}

/// A line as it is compared: its sequence, item, quantity, unit and price.
type Compared = (u32, String, String, String, String);

/// A draft that an earlier attempt made, where it is to the letter what is wanted: of the same
/// customer, applied to the same invoice, as much off, and line by line the same items. Compared
/// is a list and no set, or a line that was copied there would be credited twice; and whatever is
/// neither item nor comment gives money back as well.
fn continued(draft: &Document, memo: &Memo) -> Result<String, Failure> {
    let mut found: Vec<Compared> = Vec::new();
    for line in draft.items() {
        let (quantity, price) =
            (Amount::of(line.quantity.as_deref(), "quantity")?, Amount::of(line.unit_price.as_deref(), "unitPrice")?);
        let (item, unit) = (line.line_object_number.clone(), line.unit_of_measure_code.clone());
        found.push((line.sequence, item, quantity.text(), unit, price.text()));
    }
    let wanted = memo.sales_credit_memo_lines.iter().filter_map(|line| match line {
        MemoLine::Item { sequence, line_object_number, quantity, unit_price, unit_of_measure_code } => {
            let (quantity, price) = (quantity.get().to_owned(), unit_price.get().to_owned());
            Some((*sequence, line_object_number.clone(), quantity, unit_of_measure_code.clone(), price))
        }
        MemoLine::Comment { .. } => None,
    });
    let mut wanted: Vec<Compared> = wanted.collect();
    found.sort();
    wanted.sort();
    let applied_to = memo.invoice_number.as_deref().unwrap_or_default();
    let differs = [
        (found != wanted, "other lines"),
        (draft.others().next().is_some(), "a line that is no item"),
        (!draft.has_no_line_discount()?, "a line with a discount of its own"),
        (draft.discount()? != memo.discount(), "another discount"),
        (draft.customer_number != memo.customer_number, "another customer"),
        (draft.currency_code != memo.currency_code, "another currency"),
        (draft.invoice_number.as_deref().unwrap_or_default() != applied_to, "another invoice"),
    ];
    let differs: Vec<&str> = differs.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect();
    if differs.is_empty() {
        return Ok(draft.id.clone());
    }
    Err(Failure::permanent(format!(
        "draft-differs: the ERP has a draft of the return, {}, with {} than what came back is worth; expected what the \
         host had made: post it or delete it there, then replay",
        draft.number,
        differs.join(", ")
    )))
}

#[derive(Deserialize)]
struct Created {
    id: String,
}

fn created(memo: &Memo, settings: &[Setting]) -> Result<String, Failure> {
    let url = format!("{}/salesCreditMemos", company_url(settings)?);
    let body = serde_json::to_vec(memo).map_err(|error| Failure::permanent(error.to_string()))?;
    let response = http::send(patient(http::Request::json(http::Method::Post, &url, body), settings)?)?;
    match ERP.answered(&response, "the credit memo")? {
        Answer::Done => {
            let created: Option<Created> = serde_json::from_slice(&response.body).ok();
            created.map(|created| created.id).ok_or_else(|| {
                Failure::unknown("the ERP took the draft of the credit memo, but its answer does not name it")
            })
        }
        Answer::Refused => Err(refused("the credit memo", &response)),
    }
}

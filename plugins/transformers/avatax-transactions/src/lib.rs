//! Posted invoices as transactions of AvaTax, whose tax an authority is told.
//!
//! ```text
//! kind                  of a posted invoice       of a credit memo         that cancels a whole invoice
//! avatax/transaction    SalesInvoice              ReturnInvoice            refused: it is voided
//! avatax/commit         commits it                commits it               refused: it is voided
//! avatax/void           refused                   refused                  voids what it corrects
//! ```
//!
//! A memo for the whole of an invoice could be told as a return or as a void. Told as both, the
//! tax would come back twice, so each memo is one of them and every other kind refuses it: the
//! extension `avatax:cancels` with `whole` says that it is a void. That is for invoices that no
//! authority was told yet; AvaTax refuses to void what is reported, and a return takes that back.
//! An order that is rejected has no transaction: tax begins with the invoice.
//!
//! A message to AvaTax's `POST /api/v2/transactions/create` is its `CreateTransactionModel`. The
//! two others have what says which transaction it is beside the model that is posted:
//! `{"code":"INV-1","documentType":"SalesInvoice","description":"…","model":{"commit":true}}`.
//!
//! A transaction's description says what it is of, `order ID: 62.79 USD and 4.87 tax` with the
//! host's id of the order, the sum of the lines and the invoice's own tax. AvaTax keeps it and
//! tells it again, and the connector knows by it whose a transaction is, and whether AvaTax
//! worked out the tax that the customer was asked for.
//!
//! An invoice's event has no customer and no address. Extensions of the event say the first and
//! where the goods go, settings of the target where they come from; whatever is missing is told
//! with its place, because a guess would be a tax return that is wrong:
//!
//! ```text
//! avatax:customer-code                 who buys
//! avatax:ship-to-line1 -line2 -city -region -postal-code -country
//! avatax:tax-code/LINE                 of the line of that number; AvaTax has its own mind without
//! avatax:description/LINE              the same
//! avatax:tax-date                      of a memo that corrects an invoice: the invoice's date, at
//!                                      whose rates the tax comes back
//! avatax:cancels                       `whole`, see above
//!
//! company-code                         the company in AvaTax
//! ship-from-line1 -line2 -city -region -postal-code -country
//! single-location                      `true`: sold over a counter at that address, no ship-to
//! commit                               `false`: saved only, until `avatax/commit`; `true` unless set
//! ```
//!
//! Sources: developer.avalara.com, the models `CreateTransactionModel`, `CommitTransactionModel`
//! and `VoidTransactionModel` of the REST API v2; "Product Returns" (avatax/handling-return-invoices)
//! for returns: amounts below zero, quantities above, today's date and the invoice's tax date.

mod amount;
mod place;
mod transaction;

use portreeve_sdk::transformer::*;
use serde::Serialize;

const TRANSACTION: &str = "avatax/transaction";
const COMMIT: &str = "avatax/commit";
const VOID: &str = "avatax/void";

/// Characters of AvaTax's codes: of documents, customers, items, lines and references.
const CODE_CHARS_MAX: usize = 50;

struct AvataxTransactions;

impl Transformer for AvataxTransactions {
    fn from_canonical(request: RenderingRequest) -> Result<Message, Failure> {
        let Event::InvoicePosted(invoice) = &request.event else {
            return Err(Failure::permanent("a tax transaction is made of a posted invoice; found another event"));
        };
        let rendered = match request.kind.as_str() {
            TRANSACTION => transaction::transaction(invoice, &request).and_then(|it| json(&it)),
            COMMIT => commit(invoice, &request.order_id).and_then(|it| json(&it)),
            VOID => void(invoice).and_then(|it| json(&it)),
            other => {
                return Err(Failure::permanent(format!("this transformer does not render messages of kind `{other}`")));
            }
        };
        let body = rendered.map_err(Failure::Invalid)?;
        Ok(Message { kind: request.kind, content_type: "application/json".to_owned(), body })
    }
}

/// What everything that is wrong with an invoice makes of it.
type Rendered<T> = Result<T, Vec<Problem>>;

/// A change to a transaction that there is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a, T> {
    code: &'a str,
    document_type: DocumentType,
    /// Of a commit, what the transaction says that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    model: T,
}

/// AvaTax's types of documents that are kept; a transaction is known by company, code and type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum DocumentType {
    SalesInvoice,
    ReturnInvoice,
}

impl DocumentType {
    fn of(invoice: &Invoice) -> Self {
        if invoice.total.minor < 0 { Self::ReturnInvoice } else { Self::SalesInvoice }
    }
}

#[derive(Serialize)]
struct Commit {
    commit: bool,
}

#[derive(Serialize)]
struct Void {
    code: &'static str,
}

fn commit<'a>(invoice: &'a Invoice, order_id: &str) -> Rendered<Change<'a, Commit>> {
    let mut problems = Vec::new();
    is_no_void(invoice, &mut problems);
    let code = &invoice.invoice_number;
    code_within(code, "invoice-number", &mut problems);
    let document_type = DocumentType::of(invoice);
    let description = Some(amount::description(invoice, order_id, &mut problems));
    let model = Commit { commit: true };
    if problems.is_empty() { Ok(Change { code, document_type, description, model }) } else { Err(problems) }
}

fn void(memo: &Invoice) -> Rendered<Change<'_, Void>> {
    let mut problems = Vec::new();
    if memo.total.minor >= 0 {
        let message = "found an invoice; expected a credit memo, whose total is below nothing";
        problems.push(Problem::new("not-a-credit-memo", message, "total"));
    }
    match cancels_whole(memo) {
        Some(true) => {}
        Some(false) => problems.push(unknown_cancels()),
        None => {
            let message = "found a memo that does not say to cancel a whole invoice; expected the extension \
                           `avatax:cancels` with `whole`, or a message of kind `avatax/transaction`";
            problems.push(Problem::new("not-a-cancellation", message, place_of("avatax:cancels")));
        }
    }
    let code = memo.corrects.as_deref().unwrap_or_default();
    if code.is_empty() {
        let message = "found none; expected the number of the invoice that the memo cancels";
        problems.push(Problem::new("corrects-missing", message, "corrects"));
    } else {
        code_within(code, "corrects", &mut problems);
    }
    let model = Void { code: "DocVoided" };
    if problems.is_empty() {
        Ok(Change { code, document_type: DocumentType::SalesInvoice, description: None, model })
    } else {
        Err(problems)
    }
}

/// Refuses what only `avatax/void` tells.
fn is_no_void(invoice: &Invoice, problems: &mut Vec<Problem>) {
    let place = place_of("avatax:cancels");
    match cancels_whole(invoice) {
        None => {}
        Some(true) => {
            let message = "found a memo that cancels a whole invoice; expected it as `avatax/void` alone";
            problems.push(Problem::new("voided-instead", message, place));
        }
        Some(false) => problems.push(unknown_cancels()),
    }
}

/// Whether it cancels a whole invoice, where it says something about that.
fn cancels_whole(invoice: &Invoice) -> Option<bool> {
    extension(invoice, "avatax:cancels").map(|what| what == "whole")
}

fn unknown_cancels() -> Problem {
    let message = "found another word; expected `whole`, or no such extension";
    Problem::new("wrong-value", message, place_of("avatax:cancels"))
}

/// The value of an extension; one that is empty says nothing.
fn extension<'a>(invoice: &'a Invoice, name: &str) -> Option<&'a str> {
    let named = invoice.extensions.iter().find(|extension| extension.name == name);
    named.map(|extension| extension.value.as_str()).filter(|value| !value.is_empty())
}

fn place_of(extension: &str) -> String {
    format!("extensions[{extension}]")
}

fn code_within(code: &str, path: &str, problems: &mut Vec<Problem>) {
    // Codes are parts of paths, and dots alone lead out of one.
    if matches!(code, "." | "..") {
        problems.push(Problem::new("wrong-value", "found dots alone; expected a code with another letter", path));
    }
    within(code, CODE_CHARS_MAX, path, problems);
}

/// AvaTax refuses longer ones, and a code that is cut is another transaction's.
fn within(value: &str, chars_max: usize, path: &str, problems: &mut Vec<Problem>) {
    let found = value.chars().count();
    if found == 0 || found > chars_max {
        let message = format!("found {found} characters; expected 1 to {chars_max}, AvaTax takes no more");
        problems.push(Problem::new("length", message, path));
    }
}

fn json<T: Serialize>(message: &T) -> Rendered<Vec<u8>> {
    serde_json::to_vec(message).map_err(|error| vec![Problem::new("bad-message", error.to_string(), "")])
}

portreeve_sdk::transformer!(AvataxTransactions);

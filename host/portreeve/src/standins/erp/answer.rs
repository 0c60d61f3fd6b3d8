//! What the ERP answers, in the original's words and shape.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::asked::Line;
use super::books::{Order, OrderLine};
use super::changed::{day, due};
use super::posting::{Document, Row, money};
use crate::standins::amount::Amount;

#[derive(Serialize)]
pub(super) struct List<T> {
    pub(super) value: Vec<T>,
}

#[derive(Serialize)]
pub(super) struct CompanyAnswer {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SalesOrderAnswer<'a> {
    #[serde(rename = "@odata.etag")]
    etag: String,
    id: String,
    number: &'a str,
    external_document_number: &'a str,
    customer_number: &'a str,
    currency_code: &'a str,
    prices_include_tax: bool,
    discount_amount: Amount,
    total_amount_excluding_tax: Amount,
    total_tax_amount: Amount,
    total_amount_including_tax: Amount,
    status: &'static str,
    last_modified_date_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sales_order_lines: Option<Vec<OrderLineAnswer<'a>>>,
}

impl<'a> SalesOrderAnswer<'a> {
    pub(super) fn of(order: &'a Order, with_lines: bool) -> Self {
        let lines = || order.lines.iter().map(|line| OrderLineAnswer::of(order, line)).collect();
        let total = Amount::of(&order.charges());
        Self {
            etag: order.etag(),
            id: order.id(),
            number: &order.number,
            external_document_number: &order.external_document_number,
            customer_number: &order.customer_number,
            currency_code: &order.currency_code,
            prices_include_tax: false,
            discount_amount: Amount::of(&money(order.discount)),
            total_amount_excluding_tax: total,
            total_tax_amount: Amount::ZERO,
            total_amount_including_tax: total,
            status: "Draft",
            last_modified_date_time: order.modified.to_string(),
            sales_order_lines: with_lines.then(lines),
        }
    }
}

/// What a line has in any document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LineAnswer<'a> {
    id: String,
    document_id: String,
    sequence: u32,
    line_type: &'static str,
    line_object_number: &'a str,
    description: &'a str,
    unit_of_measure_code: &'a str,
    quantity: Amount,
    unit_price: Amount,
}

impl<'a> LineAnswer<'a> {
    fn of(line: &'a Line, id: String, document_id: String) -> Self {
        Self {
            id,
            document_id,
            sequence: line.sequence,
            line_type: line.line_type.word(),
            line_object_number: &line.object,
            description: &line.description,
            unit_of_measure_code: &line.unit,
            quantity: Amount::of(&line.quantity),
            unit_price: Amount::of(&line.unit_price),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderLineAnswer<'a> {
    #[serde(rename = "@odata.etag")]
    etag: String,
    #[serde(flatten)]
    line: LineAnswer<'a>,
    ship_quantity: Amount,
    shipped_quantity: Amount,
    invoice_quantity: Amount,
    invoiced_quantity: Amount,
}

impl<'a> OrderLineAnswer<'a> {
    pub(super) fn of(order: &Order, line: &'a OrderLine) -> Self {
        Self {
            etag: line.etag(),
            line: LineAnswer::of(&line.line, order.line_id(line), order.id()),
            ship_quantity: line.ship,
            shipped_quantity: line.shipped,
            // What is shipped is invoiced with it, so both are always the same.
            invoice_quantity: line.ship,
            invoiced_quantity: line.shipped,
        }
    }
}

/// Where goods go to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShipTo {
    ship_to_address_line1: &'static str,
    ship_to_city: &'static str,
    ship_to_state: &'static str,
    ship_to_post_code: &'static str,
    ship_to_country: &'static str,
}

/// The address that the ERP has of every customer, and puts onto whatever it posts. Unlike the
/// original it takes no other one.
const CUSTOMER_CARD: ShipTo = ShipTo {
    ship_to_address_line1: "230 Commerce Ave",
    ship_to_city: "Tucson",
    ship_to_state: "AZ",
    ship_to_post_code: "85701",
    ship_to_country: "US",
};

/// An invoice or a credit memo.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentAnswer<'a> {
    #[serde(rename = "@odata.etag")]
    etag: String,
    id: String,
    number: &'a str,
    external_document_number: &'a str,
    customer_number: &'a str,
    currency_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_number: Option<&'a str>,
    #[serde(flatten)]
    ship_to: ShipTo,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_memo_date: Option<String>,
    posting_date: String,
    due_date: String,
    prices_include_tax: bool,
    discount_amount: Amount,
    total_amount_excluding_tax: Amount,
    total_tax_amount: Amount,
    total_amount_including_tax: Amount,
    status: &'static str,
    last_modified_date_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sales_invoice_lines: Option<Vec<RowAnswer<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sales_credit_memo_lines: Option<Vec<RowAnswer<'a>>>,
}

impl<'a> DocumentAnswer<'a> {
    pub(super) fn of(document: &'a Document, with_lines: bool) -> Self {
        let lines = || document.rows.iter().map(|row| RowAnswer::of(document, row)).collect();
        let is_invoice = document.is_invoice();
        Self {
            etag: format!("W/\"{}\"", document.number),
            id: document.id(),
            number: &document.number,
            external_document_number: &document.external_document_number,
            customer_number: &document.customer_number,
            currency_code: &document.currency_code,
            order_number: document.order_number.as_deref(),
            invoice_number: document.invoice_number.as_deref(),
            ship_to: CUSTOMER_CARD,
            invoice_date: is_invoice.then(|| day(document.dated, 0)),
            credit_memo_date: (!is_invoice).then(|| day(document.dated, 0)),
            posting_date: day(document.dated, 0),
            due_date: due(document.dated),
            prices_include_tax: false,
            discount_amount: Amount::of(&money(document.discount)),
            total_amount_excluding_tax: Amount::of(&document.total),
            total_tax_amount: Amount::ZERO,
            total_amount_including_tax: Amount::of(&document.total),
            last_modified_date_time: document.modified.to_string(),
            status: if document.at.is_some() { "Open" } else { "Draft" },
            sales_invoice_lines: (with_lines && is_invoice).then(lines),
            sales_credit_memo_lines: (with_lines && !is_invoice).then(lines),
        }
    }
}

/// A posted shipment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShipmentAnswer<'a> {
    id: String,
    number: String,
    external_document_number: &'a str,
    customer_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_number: Option<&'a str>,
    posting_date: String,
    last_modified_date_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sales_shipment_lines: Option<Vec<LineAnswer<'a>>>,
}

impl<'a> ShipmentAnswer<'a> {
    /// That which was posted with this invoice, as lists have it.
    pub(super) fn listed(invoice: &'a Document, with_lines: bool) -> Self {
        let lines = || {
            let id = |row: &Row| format!("{:08x}{}", row.line.sequence, invoice.id().get(8..).unwrap_or_default());
            invoice.rows.iter().map(|row| LineAnswer::of(&row.line, id(row), invoice.id())).collect()
        };
        Self { sales_shipment_lines: with_lines.then(lines), ..Self::of(invoice) }
    }

    /// That which was posted with this invoice.
    pub(super) fn of(invoice: &'a Document) -> Self {
        Self {
            posting_date: day(invoice.modified, 0),
            last_modified_date_time: invoice.modified.to_string(),
            sales_shipment_lines: None,
            id: invoice.id().replacen("-a001-", "-a003-", 1),
            number: invoice.shipment_number(),
            external_document_number: &invoice.external_document_number,
            customer_number: &invoice.customer_number,
            order_number: invoice.order_number.as_deref(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowAnswer<'a> {
    #[serde(flatten)]
    line: LineAnswer<'a>,
    amount_excluding_tax: Amount,
    invoice_discount_allocation: Amount,
    net_amount: Amount,
    net_tax_amount: Amount,
    net_amount_including_tax: Amount,
}

impl<'a> RowAnswer<'a> {
    fn of(document: &Document, row: &'a Row) -> Self {
        let id = format!("{:08x}{}", row.line.sequence, document.id().get(8..).unwrap_or_default());
        let (amount, discount) = (Amount::of(&money(row.amount)), Amount::of(&money(row.discount)));
        Self {
            line: LineAnswer::of(&row.line, id, document.id()),
            amount_excluding_tax: amount,
            invoice_discount_allocation: discount,
            net_amount: amount.less(discount),
            net_tax_amount: Amount::ZERO,
            net_amount_including_tax: amount.less(discount),
        }
    }
}

/// An answer that says no, in the original's words and shape.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    /// Nobody knows what happened.
    pub(super) fn failed() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "Internal_ServerError",
            message: "something went wrong; nothing was said about what happened".to_owned(),
        }
    }

    /// It is down; nothing happens.
    pub(super) fn down() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "Internal_ServiceUnavailable",
            message: "the service is not available; try again later".to_owned(),
        }
    }

    /// It is asked too much; nothing happens.
    pub(super) fn too_many() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "Application_TooManyRequests",
            message: "too many requests reached the service; wait and try again".to_owned(),
        }
    }

    pub(super) fn bad(code: &'static str, message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }

    pub(super) fn invalid(message: String) -> Self {
        Self::bad("Application_FieldValidationException", message)
    }

    /// What the original says in a dialog to whoever posts.
    pub(super) fn dialog(message: String) -> Self {
        Self::bad("Application_DialogException", message)
    }

    pub(super) fn changed() -> Self {
        Self {
            status: StatusCode::PRECONDITION_FAILED,
            code: "Request_EntityChanged",
            message: "another user has already changed the record; read it again".to_owned(),
        }
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "BadRequest_ResourceNotFound", message: message.to_owned() }
    }

    pub(super) fn full() -> Self {
        Self {
            status: StatusCode::INSUFFICIENT_STORAGE,
            code: "Internal_DatabaseFull",
            message: "the stand-in keeps no more documents; start a new one".to_owned(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Answer {
            error: Error,
        }
        #[derive(Serialize)]
        struct Error {
            code: &'static str,
            message: String,
        }
        let error = Error { code: self.code, message: self.message };
        (self.status, Json(Answer { error })).into_response()
    }
}

//! What the shop answers, in the original's words and shapes.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portreeve_model::Instant;
use serde_json::{Value, json};

use super::books::{Fixed, ShopComment, ShopDocument, ShopItem, ShopOrder};
use crate::standins::erp::unescaped;
use crate::standins::mischief::RETRY_AFTER;

/// What is asked of a list.
pub(super) struct Page {
    /// Each group, all of which have to be so.
    filters: Vec<Filter>,
    /// Fields by which it is sorted, ascending.
    sorted_by: Vec<String>,
    size: usize,
    /// From 1.
    page: usize,
}

/// What a group asks of a field.
struct Filter {
    field: String,
    condition: Condition,
    value: String,
}

/// How a value is compared; as text, which times and numbers of one length are in order as.
#[derive(Clone, Copy)]
enum Condition {
    Equal,
    AtLeast,
    /// One of a list with commas.
    OneOf,
}

impl Filter {
    fn is_so(&self, object: &Value) -> bool {
        let Some(found) = object.get(&self.field).and_then(text) else { return false };
        match self.condition {
            Condition::Equal => found == self.value,
            Condition::AtLeast => found >= self.value,
            Condition::OneOf => self.value.split(',').any(|value| value == found),
        }
    }
}

/// A field as it is sorted by: numbers by their size.
fn place(value: &Value) -> Option<String> {
    text(value).map(|text| if value.is_number() { format!("{text:>20}") } else { text })
}

/// A time as the shop writes it.
pub(super) fn time(at: Instant) -> String {
    at.to_string().chars().take(19).map(|sign| if sign == 'T' { ' ' } else { sign }).collect()
}

/// A field as it is compared.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Page {
    /// Reads `searchCriteria[filter_groups][0][filters][0][field]=…` and its like.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let mut page = Self { filters: vec![], sorted_by: vec![], size: usize::MAX, page: 1 };
        let wrong = || Refusal::bad("The search criteria cannot be read.", &[]);
        let mut fields: Vec<(String, String, String)> = vec![];
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescaped(name).ok_or_else(wrong)?, unescaped(value).ok_or_else(wrong)?);
            let Some(criterion) = name.strip_prefix("searchCriteria") else { continue };
            if criterion == "[pageSize]" {
                page.size = value.parse().ok().filter(|size| *size > 0).ok_or_else(wrong)?;
                continue;
            }
            if criterion == "[currentPage]" {
                page.page = value.parse().ok().filter(|page| *page > 0).ok_or_else(wrong)?;
                continue;
            }
            if criterion.starts_with("[sortOrders]") {
                match criterion.ends_with("[field]") {
                    true => page.sorted_by.push(value),
                    false if value == "ASC" => {}
                    false => return Err(Refusal::bad("The stand-in sorts upwards alone.", &[])),
                }
                continue;
            }
            let (group, word) = criterion.rsplit_once('[').ok_or_else(wrong)?;
            fields.push((group.to_owned(), word.trim_end_matches(']').to_owned(), value));
        }
        let says = |group: &str, word: &str| {
            let found = fields.iter().find(|(of, said, _)| of == group && said == word);
            found.map(|(_, _, value)| value.clone())
        };
        for (group, _, field) in fields.iter().filter(|(_, word, _)| word == "field") {
            let condition = match says(group, "condition_type").as_deref() {
                None | Some("eq") => Condition::Equal,
                Some("gteq") => Condition::AtLeast,
                Some("in") => Condition::OneOf,
                Some(_) => return Err(Refusal::bad("The stand-in knows no condition but eq, gteq and in.", &[])),
            };
            let value = says(group, "value").ok_or_else(wrong)?;
            page.filters.push(Filter { field: field.clone(), condition, value });
        }
        Ok(page)
    }

    /// The part of all that was asked for, and how many there are. Behind the last page is the last
    /// one again, as Magento's collections have it.
    pub(super) fn of(self, all: Vec<Value>) -> Result<Json<Value>, Refusal> {
        let mut items: Vec<Value> =
            all.into_iter().filter(|object| self.filters.iter().all(|filter| filter.is_so(object))).collect();
        items.sort_by_cached_key(|object| {
            self.sorted_by.iter().map(|field| object.get(field).and_then(place)).collect::<Vec<_>>()
        });
        let total_count = items.len();
        let last = total_count.div_ceil(self.size).max(1);
        let skipped = self.page.min(last).saturating_sub(1).saturating_mul(self.size);
        let items: Vec<Value> = items.into_iter().skip(skipped).take(self.size).collect();
        Ok(Json(json!({"items": items, "search_criteria": {}, "total_count": total_count})))
    }
}

/// A number as text, as the original writes some: through a float some would be others.
fn number(fixed: Fixed) -> Value {
    Value::String(fixed.to_string())
}

pub(super) fn order(order: &ShopOrder) -> Value {
    let mut told = json!({
        "entity_id": order.entity_id, "increment_id": order.increment_id, "store_id": order.store_id,
        "state": order.state, "order_currency_code": order.currency, "base_currency_code": order.base_currency,
        "customer_email": "somebody@example.com",
        "grand_total": number(order.grand_total), "total_paid": number(order.total_paid),
        "total_invoiced": number(order.total_invoiced), "total_refunded": number(order.total_refunded),
        "items": order.items.iter().map(item).collect::<Vec<_>>(),
        "status_histories": order.history.iter().map(ShopComment::json).collect::<Vec<_>>(),
    });
    // What is null is left out there.
    for (name, value) in [("ext_order_id", &order.ext_order_id), ("status", &order.status)] {
        if let (Some(value), Some(told)) = (value, told.as_object_mut()) {
            told.insert(name.to_owned(), json!(value));
        }
    }
    told
}

/// An order as a list tells it: as it was placed, and how it stands.
pub(super) fn listed(found: &ShopOrder) -> Value {
    let (mut told, stands) = (found.placed.clone(), order(found));
    let stands = stands.as_object().cloned().unwrap_or_default();
    let items = stands.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(members) = told.as_object_mut() else { return Value::Object(stands) };
    for (name, value) in &stands {
        // Of what stays, the words of then.
        let stays = ["items", "grand_total", "customer_email"].contains(&name.as_str());
        if !stays || !members.contains_key(name) {
            members.insert(name.clone(), value.clone());
        }
    }
    for placed in members.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        let stands = items.iter().find(|item| item.get("item_id") == placed.get("item_id"));
        let (Some(stands), Some(placed)) = (stands.and_then(Value::as_object), placed.as_object_mut()) else {
            continue;
        };
        for (name, value) in stands {
            let moves = ["qty_shipped", "qty_invoiced", "qty_refunded", "qty_canceled"].contains(&name.as_str());
            if moves || !placed.contains_key(name) {
                placed.insert(name.clone(), value.clone());
            }
        }
    }
    members.insert("updated_at".to_owned(), Value::String(time(found.updated_at)));
    members.entry("created_at").or_insert_with(|| Value::String(time(found.created_at)));
    told
}

fn item(item: &ShopItem) -> Value {
    let mut told = json!({
        "item_id": item.item_id, "product_type": item.product_type, "sku": item.sku,
        "is_qty_decimal": u8::from(item.is_qty_decimal), "row_total": number(item.row_total),
        "qty_ordered": number(item.ordered), "qty_shipped": number(item.shipped),
        "qty_invoiced": number(item.invoiced), "qty_refunded": number(item.refunded),
        "qty_canceled": number(item.canceled),
    });
    if let (Some(parent), Some(told)) = (item.parent_item_id, told.as_object_mut()) {
        told.insert("parent_item_id".to_owned(), json!(parent));
    }
    told
}

pub(super) fn document(document: &ShopDocument) -> Value {
    let items = document.items.iter().map(|(id, qty)| json!({"order_item_id": id, "qty": number(*qty)}));
    let comments = document.comments.iter().map(|comment| json!({"comment": comment, "is_visible_on_front": 0}));
    json!({
        "entity_id": document.entity_id, "order_id": document.order_id,
        "increment_id": format!("{:09}", document.entity_id), "grand_total": number(document.grand_total),
        "items": items.collect::<Vec<_>>(), "comments": comments.collect::<Vec<_>>(),
    })
}

impl ShopComment {
    pub(super) fn json(&self) -> Value {
        json!({
            "comment": self.comment, "status": self.status, "parent_id": self.parent_id,
            "is_customer_notified": u8::from(self.notified), "is_visible_on_front": u8::from(self.visible),
        })
    }
}

/// An answer that says no.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) parameters: Vec<String>,
    /// What is wrong with one of several things, with parameters of its own.
    pub(super) error: Option<(String, Vec<String>)>,
}

impl Refusal {
    pub(super) fn bad(message: &str, parameters: &[&str]) -> Self {
        let parameters = parameters.iter().map(|parameter| (*parameter).to_owned()).collect();
        Self { status: StatusCode::BAD_REQUEST, message: message.to_owned(), parameters, error: None }
    }

    fn with(status: StatusCode, message: &str) -> Self {
        Self { status, ..Self::bad(message, &[]) }
    }

    /// What is wrong with a document, all of it.
    pub(super) fn invalid(document: &str, messages: &[String]) -> Self {
        Self::bad(&format!("{document} Document Validation Error(s):\n{}", messages.join("\n")), &[])
    }

    /// What is wrong with an item of a list.
    pub(super) fn of_items(message: &str, parameters: &[&str]) -> Self {
        let parameters = parameters.iter().map(|parameter| (*parameter).to_owned()).collect();
        Self { error: Some((message.to_owned(), parameters)), ..Self::bad("Validation Failed", &[]) }
    }

    pub(super) fn no_entity() -> Self {
        let message = "The entity that was requested doesn't exist. Verify the entity and try again.";
        Self::with(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn no_route() -> Self {
        Self::with(StatusCode::NOT_FOUND, "Request does not match any route.")
    }

    pub(super) fn unauthorized() -> Self {
        let refused = Self::bad("The consumer isn't authorized to access %1.", &["Magento_Sales::sales"]);
        Self { status: StatusCode::UNAUTHORIZED, ..refused }
    }

    pub(super) fn throttled() -> Self {
        Self::with(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
    }

    pub(super) fn failed() -> Self {
        let message = "Internal Error. Details are available in Magento log file. Report ID: webapi-65e2f0a1b2c3d";
        Self::with(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub(super) fn full() -> Self {
        Self::with(StatusCode::INSUFFICIENT_STORAGE, "the stand-in keeps no more; start a new one")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({"message": self.message});
        if let Some(body) = body.as_object_mut().filter(|_| !self.parameters.is_empty()) {
            body.insert("parameters".to_owned(), json!(self.parameters));
        }
        if let (Some((message, parameters)), Some(body)) = (&self.error, body.as_object_mut()) {
            body.insert("errors".to_owned(), json!([{"message": message, "parameters": parameters}]));
        }
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => (self.status, RETRY_AFTER, Json(body)).into_response(),
            status => (status, Json(body)).into_response(),
        }
    }
}

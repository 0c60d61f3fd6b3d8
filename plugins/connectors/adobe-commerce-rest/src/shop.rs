//! The shop: what it is asked, and what its answers mean.

use portreeve_guest_rest::{Answer, Target, only, patient};
use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::effect::{Key, Named};
use crate::order::{Id, Order};

const SHOP: Target = Target {
    name: "the shop",
    example: "https://shop.example/rest/all",
    check: "base-url and the integration's credentials and resources",
};

/// Documents of one order that one look-up reads. An order that has more is looked at by a person.
const PAGE: usize = 100;

/// Bytes of a list. Of [`PAGE`] documents with the fields that are asked for it has a tenth, and
/// in as many of the smallest ones as it could have the plugin's memory would end.
const LIST_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of the shop's words that a problem keeps.
const DETAIL_BYTES_MAX: usize = 512;

/// What is asked of an order: no address and no name of anybody.
const ORDER_FIELDS: &str = "items[entity_id,increment_id,store_id,ext_order_id,state,status,order_currency_code,\
                            base_currency_code,grand_total,total_invoiced,items[item_id,parent_item_id,product_type,\
                            is_qty_decimal,qty_ordered,qty_invoiced,qty_canceled]],total_count";

const DOCUMENT_FIELDS: &str = "items[entity_id,order_id,comments[comment]],total_count";

/// What a search found: `items` is `null` in some versions where it is none.
#[derive(Deserialize)]
struct Page<T> {
    items: Option<Vec<T>>,
    total_count: usize,
}

/// A shipment, an invoice or a credit memo.
#[derive(Deserialize)]
pub(crate) struct Document {
    pub(crate) entity_id: Id,
    order_id: Id,
    comments: Option<Vec<Comment>>,
}

#[derive(Deserialize)]
struct Comment {
    comment: Option<String>,
}

#[derive(Deserialize)]
struct Said<'a> {
    message: Option<String>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    /// What is wrong with each of several things; the message then says only that something is.
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
}

/// What a search asks for, as the query of an address: of each criterion what stands behind
/// `searchCriteria`, and its value.
pub(crate) fn search(criteria: &[(&str, &str)]) -> String {
    let criteria = criteria
        .iter()
        .map(|(name, value)| format!("{}={}", http::escaped(&format!("searchCriteria{name}")), http::escaped(value)));
    criteria.collect::<Vec<_>>().join("&")
}

pub(crate) struct Shop<'a> {
    settings: &'a [Setting],
    base_url: &'a str,
}

impl<'a> Shop<'a> {
    /// # Errors
    /// When nobody says where it is.
    pub(crate) fn of(settings: &'a [Setting]) -> Result<Self, Failure> {
        Ok(Self { settings, base_url: SHOP.base_url(settings)? })
    }

    /// The order that has the host's id.
    ///
    /// # Errors
    /// When several have it, or the shop does not tell.
    pub(crate) fn order_with(&self, key: &Key) -> Result<Option<Order>, Failure> {
        let found = self.orders(&[("ext_order_id", &key.order)])?;
        if found.iter().any(|order| order.ext_order_id.as_deref() != Some(key.order.as_str())) {
            return Err(unreadable("list of orders"));
        }
        only(found, |count, first, second| {
            let (first, second) = (&first.increment_id, &second.increment_id);
            Failure::permanent(format!(
                "named-twice: the shop has {count} orders with this `ext_order_id`, {first} and {second} among them; \
                 clear it in all but the right one"
            ))
        })
    }

    /// The order that something is told of, which has the host's id from now on.
    ///
    /// # Errors
    /// When the shop has none, or more than one that it could be.
    pub(crate) fn order_of(&self, key: &Key, named: Option<&Named>) -> Result<Order, Failure> {
        if let Some(order) = self.order_with(key)? {
            return Ok(order);
        }
        let Some(named) = named else {
            return Err(Failure::permanent(
                "order-unknown: no order of the shop has the host's id as its `ext_order_id`; expected one, which a \
                 message made of the order writes there: have an effect with `sends = \"order\"` come before this one",
            ));
        };
        let order = self.order_called(named)?;
        self.name(&order, key)?;
        Ok(order)
    }

    fn order_called(&self, named: &Named) -> Result<Order, Failure> {
        let number = ("increment_id", named.increment_id.as_str());
        let store = named.store_id.as_deref().map(|store| ("store_id", store));
        let filters: Vec<(&str, &str)> = [Some(number), store].into_iter().flatten().collect();
        let found = self.orders(&filters)?;
        if found.iter().any(|order| !order.is_called(named)) {
            return Err(unreadable("list of orders"));
        }
        let one = only(found, |count, _, _| {
            Failure::permanent(format!("order-ambiguous: the shop has {count} orders of this number in its stores"))
        })?;
        let order = one.ok_or_else(|| {
            Failure::permanent("order-unknown: the shop has no order of this number and store; look there")
        })?;
        if order.ext_order_id.as_ref().is_some_and(|other| !other.is_empty()) {
            return Err(Failure::permanent(
                "named-otherwise: the shop's order has another `ext_order_id` already; expected none or the host's, by \
                 which it is found again",
            ));
        }
        Ok(order)
    }

    /// Writes the host's id into the order. Twice is as once.
    fn name(&self, order: &Order, key: &Key) -> Result<(), Failure> {
        let entity = json!({
            "entity_id": order.entity_id, "increment_id": order.increment_id, "ext_order_id": key.order,
        });
        let body = json!({"entity": entity}).to_string().into_bytes();
        self.post("orders?fields=entity_id", body, "the order's external id").map(drop)
    }

    fn orders(&self, filters: &[(&str, &str)]) -> Result<Vec<Order>, Failure> {
        self.list("orders", filters, ORDER_FIELDS)
    }

    /// The one document of an order with this mark in its comments.
    ///
    /// # Errors
    /// When there are several, or the shop does not tell.
    pub(crate) fn document(&self, list: &str, order: &Order, key: &Key) -> Result<Option<Document>, Failure> {
        let found: Vec<Document> = self.list(list, &[("order_id", order.entity_id.text())], DOCUMENT_FIELDS)?;
        if found.iter().any(|document| document.order_id != order.entity_id) {
            return Err(unreadable(list));
        }
        let marked = |document: &Document| document.comments.iter().flatten().any(|comment| comment.has(key));
        let found = found.into_iter().filter(marked).collect();
        only(found, |count, first: &Document, second: &Document| {
            let (first, second) = (first.entity_id.text(), second.entity_id.text());
            Failure::permanent(format!(
                "told-twice: the shop has {count} {list} of this number, {first} and {second} among them; look at them \
                 there"
            ))
        })
    }

    /// Whether a comment of the order has this mark.
    ///
    /// # Errors
    /// When the shop does not tell.
    pub(crate) fn is_commented(&self, order: &Order, key: &Key) -> Result<bool, Failure> {
        let found: Vec<Comment> = self.page(&format!("orders/{}/comments", order.entity_id.text()))?;
        Ok(found.iter().any(|comment| comment.has(key)))
    }

    fn list<T: for<'de> Deserialize<'de>>(
        &self,
        list: &str,
        filters: &[(&str, &str)],
        fields: &str,
    ) -> Result<Vec<T>, Failure> {
        let mut below = format!("{list}?");
        for (index, (field, value)) in filters.iter().enumerate() {
            for (name, value) in [("field", field), ("value", value), ("condition_type", &"eq")] {
                let name = format!("searchCriteria[filter_groups][{index}][filters][0][{name}]");
                below.push_str(&format!("{}={}&", http::escaped(&name), http::escaped(value)));
            }
        }
        let size = http::escaped("searchCriteria[pageSize]");
        below.push_str(&format!("{size}={PAGE}&fields={}", http::escaped(fields)));
        self.page(&below)
    }

    /// All that there is: a list that goes on could have left out what is looked for.
    fn page<T: for<'de> Deserialize<'de>>(&self, below: &str) -> Result<Vec<T>, Failure> {
        let response = self.send(http::Request::get_json(&self.url(below)))?;
        SHOP.told(&response)?;
        if response.body.len() > LIST_BYTES_MAX {
            return Err(Failure::permanent(format!(
                "the shop told {} bytes; expected {LIST_BYTES_MAX} at most, it does not heed `fields` or has too much",
                response.body.len()
            )));
        }
        let page: Page<T> = serde_json::from_slice(&response.body).map_err(|_| unreadable("list"))?;
        let found = page.items.unwrap_or_default();
        if found.len() < page.total_count {
            return Err(Failure::permanent(format!(
                "too-many: the shop has {} of what was asked for, and told {}; look for it there",
                page.total_count,
                found.len()
            )));
        }
        Ok(found)
    }

    /// What the shop tells of itself.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn get(&self, below: &str) -> Result<Vec<u8>, Failure> {
        let response = self.send(http::Request::get_json(&self.url(below)))?;
        SHOP.told(&response)?;
        Ok(response.body)
    }

    /// Posts something and returns what it is answered with.
    ///
    /// # Errors
    /// Whatever is not done.
    pub(crate) fn post(&self, below: &str, body: Vec<u8>, effect: &str) -> Result<Vec<u8>, Failure> {
        let response = self.send(http::Request::json(http::Method::Post, &self.url(below), body))?;
        match SHOP.answered(&response, effect)? {
            Answer::Done => Ok(response.body),
            Answer::Refused => {
                let message = format!("the shop refused {effect} ({}): {}", response.status, said(&response.body));
                Err(Failure::invalid(Problem::new("refused-by-shop", message, "")))
            }
        }
    }

    /// Whether the integration may read orders.
    ///
    /// # Errors
    /// When a setting is none.
    pub(crate) fn check(&self) -> Result<CheckReport, Failure> {
        let size = http::escaped("searchCriteria[pageSize]");
        let request = http::Request::get_json(&self.url(&format!("orders?{size}=1&fields=total_count")));
        let answer = http::send(patient(request, self.settings)?);
        Ok(SHOP.report(answer, "tells its orders", "its orders"))
    }

    fn send(&self, request: http::Request) -> Result<http::Response, Failure> {
        Ok(http::send(patient(request, self.settings)?)?)
    }

    fn url(&self, below: &str) -> String {
        format!("{}/V1/{below}", self.base_url)
    }
}

impl Comment {
    fn has(&self, key: &Key) -> bool {
        self.comment.as_ref().is_some_and(|comment| comment.trim_end().ends_with(&key.mark))
    }
}

pub(crate) fn unreadable(what: &str) -> Failure {
    Failure::permanent(format!("the shop's {what} is not the JSON that was asked for"))
}

/// Why it refuses, with the parameters in their places. Their names are numbers, or words.
fn said(body: &[u8]) -> String {
    let said: Option<Said<'_>> = serde_json::from_slice(body).ok();
    let Some(Said { message: Some(mut message), mut parameters, errors }) = said else {
        return "no reason given".to_owned();
    };
    let errors: Option<Vec<Said<'_>>> = errors.and_then(|found| serde_json::from_str(found.get()).ok());
    if let Some(Said { message: Some(first), parameters: own, .. }) = errors.into_iter().flatten().next() {
        message = format!("{message}: {first}");
        parameters = own;
    }
    let list: Option<Vec<String>> = parameters.and_then(|found| serde_json::from_str(found.get()).ok());
    for (number, parameter) in (1..).zip(list.iter().flatten().take(9)) {
        // What is put in may be long, and have places of its own.
        message = shortened(&message.replace(&format!("%{number}"), parameter)).to_owned();
    }
    shortened(&message).to_owned()
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(DETAIL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

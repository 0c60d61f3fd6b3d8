//! Subscriptions to what changes: made with a handshake, over after three days.
//!
//! ```text
//! GET   /api/v2.0/subscriptions                  200 {"value":[…]}
//! POST  /api/v2.0/subscriptions                  201 {"subscriptionId","expirationDateTime",…}
//! PATCH /api/v2.0/subscriptions('ID')  If-Match  200; 404 where it is over; 409 another ETag
//! POST  NOTIFICATIONURL?validationToken=…        has to answer 200 with the token, before any of these is done
//! ```
//!
//! As in the original each of them shakes hands, one that is over is gone, and two to the same are
//! two, which tell everything twice. There are so many and no more ([`Erp::allow_subscriptions`]).
//! Times are the ERP's clock's. What they tell nobody posts by itself: whoever plays the network
//! takes it from [`Erp::told`].

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use portreeve_model::{Digest, Instant};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{List, Refusal};
use super::books::Books;
use super::{COMPANY, Erp, Ledger, acted, expected, keyed, whole};
use crate::client;

/// How long one holds.
const HELD_MS: i64 = 3 * Instant::DAY_MS;

/// How many there may be, unless somebody says otherwise.
const ALLOWED: usize = 200;

/// Bytes of a client state, as the original has them.
const STATE_BYTES_MAX: usize = 2_048;

/// A subscription as the ERP keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErpSubscription {
    /// The ERP's name for it.
    pub id: String,
    /// Where it tells.
    pub notification_url: String,
    /// Of what: `companies(ID)/LIST`.
    pub resource: String,
    /// What it says with each.
    pub client_state: String,
    /// Until when it holds.
    pub until: Instant,
    /// How often it was changed.
    pub version: u32,
}

/// All of them, and what becomes of more.
#[derive(Debug)]
pub(super) struct Subscriptions {
    all: Vec<ErpSubscription>,
    made: u64,
    allowed: usize,
    /// Renewals that somebody else is faster than.
    conflicts: u32,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self { all: Vec::new(), made: 0, allowed: ALLOWED, conflicts: 0 }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    notification_url: Option<String>,
    resource: Option<String>,
    client_state: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionAnswer {
    #[serde(rename = "@odata.etag")]
    etag: String,
    subscription_id: String,
    notification_url: String,
    resource: String,
    client_state: String,
    expiration_date_time: String,
}

impl ErpSubscription {
    fn etag(&self) -> String {
        format!("W/\"{}.{}\"", self.id, self.version)
    }

    fn answer(&self) -> SubscriptionAnswer {
        SubscriptionAnswer {
            etag: self.etag(),
            subscription_id: self.id.clone(),
            notification_url: self.notification_url.clone(),
            resource: self.resource.clone(),
            client_state: self.client_state.clone(),
            expiration_date_time: self.until.to_string(),
        }
    }
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::bad("BadRequest", format!("expected {what}"));
        let wanted: Self = serde_json::from_slice(body).map_err(|_| wrong("a subscription"))?;
        if wanted.client_state.as_ref().is_some_and(|state| state.len() > STATE_BYTES_MAX) {
            return Err(wrong("a clientState of 2048 characters at most"));
        }
        Ok(wanted)
    }

    /// The list in a resource, without what stands in front of the company.
    fn resource(&self) -> Result<String, Refusal> {
        let resource = self.resource.as_deref().unwrap_or_default();
        let below = resource.find("companies(").and_then(|at| resource.get(at..));
        let known = below.filter(|below| {
            let list = below.split_once(")/").map(|(_, list)| list);
            list.is_some_and(|list| ["salesInvoices", "salesCreditMemos", "salesOrders", "items"].contains(&list))
        });
        known
            .map(str::to_owned)
            .ok_or_else(|| Refusal::bad("BadRequest", "the resource is none that tells of its changes".to_owned()))
    }
}

pub(super) async fn list(State(ledger): State<Ledger>) -> Response {
    let mut books = ledger.lock();
    let value: Vec<SubscriptionAnswer> = books.live().map(|found| found.answer()).collect();
    Json(List { value }).into_response()
}

pub(super) async fn create(
    State(ledger): State<Ledger>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let wanted = Wanted::read(&whole(body)?)?;
    let (url, resource) = (wanted.notification_url.clone().unwrap_or_default(), wanted.resource()?);
    shake_hands(&ledger, &url).await?;
    let about = format!("subscribe {url} {resource}");
    let effect = |books: &mut Books| {
        let made = books.subscribe(url, resource, wanted.client_state.unwrap_or_default())?;
        Ok((StatusCode::CREATED, Json(made.answer())).into_response())
    };
    acted(&ledger, COMPANY, (&about, None), effect).await
}

pub(super) async fn renew(
    State(ledger): State<Ledger>,
    Path(entity): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let id = keyed(&entity, "subscriptions").map(|id| id.trim_matches('\'').to_owned());
    let id = id.ok_or_else(|| Refusal::not_found("there is no such resource"))?;
    let (expected, wanted) = (expected(&headers)?.to_owned(), Wanted::read(&whole(body)?)?);
    let url = match wanted.notification_url.clone() {
        Some(url) => url,
        None => ledger.lock().subscription(&id)?.notification_url.clone(),
    };
    shake_hands(&ledger, &url).await?;
    let effect = |books: &mut Books| {
        let until = books.now.plus_ms(HELD_MS);
        let is_changed = books.subscriptions.conflicts > 0;
        books.subscriptions.conflicts = books.subscriptions.conflicts.saturating_sub(1);
        let found = books.subscription(&id)?;
        found.version = found.version.saturating_add(u32::from(is_changed));
        if expected != "*" && expected != found.etag() {
            return Err(Refusal { status: StatusCode::CONFLICT, ..Refusal::changed() });
        }
        found.client_state = wanted.client_state.unwrap_or_else(|| found.client_state.clone());
        (found.until, found.version, found.notification_url) = (until, found.version.saturating_add(1), url);
        Ok(Json(found.answer()).into_response())
    };
    acted(&ledger, COMPANY, (&format!("renew {id}"), None), effect).await
}

/// The address has to say the token, or it is somebody's who asked for nothing.
async fn shake_hands(ledger: &Ledger, url: &str) -> Result<(), Refusal> {
    let no_hand =
        || Refusal::bad("BadRequest", "the notificationUrl did not answer with the validationToken".to_owned());
    let uri: Uri = url.parse().map_err(|_| no_hand())?;
    let address: SocketAddr = uri.authority().and_then(|place| place.as_str().parse().ok()).ok_or_else(no_hand)?;
    let token = {
        let books = ledger.lock();
        Digest::of_parts(&[url.as_bytes(), &books.now.0.to_be_bytes()]).short()
    };
    let separator = if uri.query().is_some() { '&' } else { '?' };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = format!("{path}{separator}validationToken={token}");
    let answer = client::send(address, Method::POST, &path, &[], Bytes::new()).await.map_err(|_| no_hand())?;
    if answer.status == 200 && answer.body == token.as_bytes() { Ok(()) } else { Err(no_hand()) }
}

impl Books {
    /// Those that hold; the others are gone.
    fn live(&mut self) -> impl Iterator<Item = &ErpSubscription> {
        let now = self.now;
        self.subscriptions.all.retain(|found| now < found.until);
        self.subscriptions.all.iter()
    }

    fn subscription(&mut self, id: &str) -> Result<&mut ErpSubscription, Refusal> {
        let now = self.now;
        self.subscriptions.all.retain(|found| now < found.until);
        let found = self.subscriptions.all.iter_mut().find(|found| found.id == id);
        found.ok_or_else(|| Refusal::not_found("the subscription does not exist"))
    }

    fn subscribe(&mut self, url: String, resource: String, state: String) -> Result<&ErpSubscription, Refusal> {
        let (there, until) = (self.live().count(), self.now.plus_ms(HELD_MS));
        let Subscriptions { all, made, allowed, .. } = &mut self.subscriptions;
        if there >= *allowed {
            let message = format!("there are {there} subscriptions, which is the maximum");
            return Err(Refusal::bad("Application_MaximumSubscriptions", message));
        }
        *made = made.saturating_add(1);
        let id = Digest::of_parts(&[url.as_bytes(), resource.as_bytes(), &made.to_be_bytes()]).short();
        all.push(ErpSubscription { id, notification_url: url, resource, client_state: state, until, version: 1 });
        all.last().ok_or_else(Refusal::failed)
    }
}

impl Erp {
    /// The subscriptions that hold.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<ErpSubscription> {
        self.ledger.lock().live().cloned().collect()
    }

    /// Says how many there may be.
    pub fn allow_subscriptions(&self, allowed: usize) {
        self.ledger.lock().subscriptions.allowed = allowed;
    }

    /// Deletes all of them, as it does where an address refused to be told.
    pub fn end_subscriptions(&self) {
        self.ledger.lock().subscriptions.all.clear();
    }

    /// Somebody else changes a subscription right before so many of the next renewals: it has another
    /// ETag then.
    pub fn change_before_renewals(&self, renewals: u32) {
        self.ledger.lock().subscriptions.conflicts = renewals;
    }

    /// What the subscriptions that hold tell of the changes after so many: address and body of each
    /// call.
    #[must_use]
    pub fn told(&self, after: usize) -> Vec<(String, String)> {
        let mut books = self.ledger.lock();
        let live: Vec<ErpSubscription> = books.live().cloned().collect();
        let changes = books.changes.iter().skip(after);
        changes.flat_map(|change| live.iter().filter_map(move |told| told.call(change))).collect()
    }
}

impl ErpSubscription {
    /// The call that tells of a change, where it is one of this.
    fn call(&self, (changed, at): &(String, Instant)) -> Option<(String, String)> {
        changed.strip_prefix(self.resource.as_str()).filter(|key| key.starts_with('('))?;
        let call: Value = json!({"value": [{
            "subscriptionId": self.id, "clientState": self.client_state,
            "expirationDateTime": self.until.to_string(), "resource": format!("api/v2.0/{changed}"),
            "changeType": "created", "lastModifiedDateTime": at.to_string(),
        }]});
        Some((self.notification_url.clone(), call.to_string()))
    }
}

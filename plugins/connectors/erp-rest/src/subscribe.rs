//! A subscription: the ERP posts to an address whenever one of its lists changes, for three days.
//!
//! ```text
//! GET   subscriptions                  which there are                200 {"value":[…]}
//! PATCH subscriptions('ID')  If-Match  three days more                200; 404: it is over
//! POST  subscriptions                  where there is none, or no more  201
//! ```
//!
//! Before it answers the last two the ERP asks at the address, which has to echo its token: the
//! host's front door does. The API lets anybody make a second subscription to the same, which would
//! tell everything twice, so there is a look first, and it tells as well what became of an attempt
//! whose answer was lost. One that somebody else changed in between is looked at once more.
//!
//! The message is the ERP's own shape and goes on as it came: in it stands a word for the secret,
//! which the host puts in its place behind this. The receipt is the ERP's id, and as its detail the
//! time until when the subscription holds.
//!
//! Source: Microsoft's "Working with webhooks in Dynamics 365 Business Central" and the resource
//! type subscriptions of the API v2.0.

use portreeve_guest_rest::{patient, wait};
use portreeve_sdk::connector::*;
use serde::Deserialize;

use crate::{ERP, refused};

/// The kind of message that this takes.
pub(crate) const KIND: &str = "business-central/subscription";

/// Looks of one call: somebody else changed it since, once.
const LOOKS_MAX: u32 = 2;

/// What is wanted, as far as it is looked at here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    notification_url: String,
    resource: String,
}

#[derive(Deserialize)]
struct Listed {
    value: Vec<Subscription>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    #[serde(rename = "@odata.etag")]
    etag: Option<String>,
    subscription_id: String,
    #[serde(default)]
    notification_url: String,
    #[serde(default)]
    resource: String,
    expiration_date_time: Option<String>,
}

/// Renews the subscription that there is, or makes one.
pub(crate) fn deliver(delivery: &Delivery) -> Result<Receipt, Failure> {
    let wanted: Wanted = serde_json::from_slice(&delivery.message.body).map_err(|_| {
        Failure::permanent("found another message, expected a subscription with `notificationUrl` and `resource`")
    })?;
    let settings = delivery.settings.as_slice();
    let all = format!("{}/subscriptions", ERP.base_url(settings)?);
    let ask = |method, url: &str| http::Request::json(method, url, delivery.message.body.clone());
    let mut looks = 0;
    loop {
        looks += 1;
        let Some(there) = there(&all, &wanted, settings)? else { return made(ask(http::Method::Post, &all), settings) };
        let url = format!("{all}('{}')", http::escaped(&there.subscription_id));
        let etag = there.etag.as_deref().unwrap_or("*");
        let renewed = http::send(patient(ask(http::Method::Patch, &url).with_header("if-match", etag), settings)?)?;
        match renewed.status {
            200 => return receipt(&renewed),
            404 => return made(ask(http::Method::Post, &all), settings),
            409 | 412 if looks < LOOKS_MAX => {}
            // There is one: another beside it would tell everything twice.
            409 | 412 => return Err(Failure::Retry(wait(&renewed))),
            _ => return Err(not_given(&renewed)),
        }
    }
}

/// Makes a subscription where there is none.
fn made(request: http::Request, settings: &[Setting]) -> Result<Receipt, Failure> {
    let made = http::send(patient(request, settings)?)?;
    match made.status {
        200 | 201 => receipt(&made),
        _ => Err(not_given(&made)),
    }
}

/// The subscription that there is; the one that holds longest, where there are several.
fn there(all: &str, wanted: &Wanted, settings: &[Setting]) -> Result<Option<Subscription>, Failure> {
    let response = http::send(patient(http::Request::get_json(all), settings)?)?;
    ERP.told(&response)?;
    let listed: Listed = serde_json::from_slice(&response.body)
        .map_err(|_| Failure::permanent("the ERP's list of subscriptions is not the JSON that was expected"))?;
    if listed.next.is_some() {
        return Err(Failure::permanent("the ERP has more subscriptions than it tells at once; see to them there"));
    }
    let same = |found: &Subscription| {
        found.notification_url == wanted.notification_url && below_api(&found.resource) == below_api(&wanted.resource)
    };
    let same = listed.value.into_iter().filter(same);
    Ok(same.max_by(|one, other| one.expiration_date_time.cmp(&other.expiration_date_time)))
}

/// What is subscribed to, from its company on: the ERP tells it with and without what is in front.
fn below_api(resource: &str) -> String {
    let below = resource.find("companies(").and_then(|at| resource.get(at..));
    below.unwrap_or_else(|| resource.trim_start_matches('/')).to_ascii_lowercase()
}

/// What the ERP gave. It has happened: what cannot be read, the next look tells.
fn receipt(response: &http::Response) -> Result<Receipt, Failure> {
    let given: Option<Subscription> = serde_json::from_slice(&response.body).ok();
    let given = given.and_then(|given| Some((given.subscription_id, given.expiration_date_time?)));
    given.map(|(external_id, until)| Receipt { external_id, detail: Some(until) }).ok_or_else(|| {
        Failure::unknown("the ERP took the subscription, but its answer names neither its id nor until when it holds")
    })
}

fn not_given(response: &http::Response) -> Failure {
    match response.status {
        400 | 409 | 422 => refused("the subscription", response),
        // Nothing is done twice by another try, which looks first.
        408 | 429 | 500..=599 => Failure::Retry(wait(response)),
        status => ERP.unusable(status),
    }
}

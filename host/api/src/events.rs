//! The catalogue of events: what each says, whose word it is, and who hears it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use portreeve_pipeline::Routes;
use portreeve_pipeline::feed::catalogue::{Consumer, Entry, Owner};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Door;
use crate::problem::Problem;

/// Every canonical event, as the active routes have it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Catalogue {
    /// In the order in which an order meets them.
    pub events: Vec<EventType>,
}

/// A type of event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventType {
    /// Its name, the `type` of its CloudEvents.
    pub event: String,
    /// What it says.
    pub meaning: String,
    /// Whether somebody may subscribe to it.
    pub is_told: bool,
    /// Whose word it is; nobody's, where nothing is said.
    pub said_by: Vec<EventOwner>,
    /// Who gets something because of it.
    pub consumers: Vec<EventConsumer>,
}

/// Whose word an event is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventOwner {
    /// `senders` of a channel, of their own orders; the `system` behind a channel, of any order; a
    /// `target` by taking a message; the `host` itself.
    pub kind: String,
    /// The channel or the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Who gets something because of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventConsumer {
    /// `subscriber` or `target`.
    pub kind: String,
    /// Its name.
    pub id: String,
    /// The kind of message, of a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of orders of these channels alone; empty means of all.
    pub channels: Vec<String>,
    /// What a subscriber sees beyond what points at nobody, in the words of data grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sees: Option<Vec<String>>,
}

impl Catalogue {
    /// That of some routes.
    #[must_use]
    pub fn of(routes: &Routes) -> Self {
        Self { events: routes.catalogue().into_iter().map(EventType::of).collect() }
    }
}

impl EventType {
    fn of(entry: Entry<'_>) -> Self {
        let Entry { event, meaning, is_told, said_by, consumers } = entry;
        Self {
            event: event.to_owned(),
            meaning: meaning.to_owned(),
            is_told,
            said_by: said_by.into_iter().map(EventOwner::of).collect(),
            consumers: consumers.into_iter().map(EventConsumer::of).collect(),
        }
    }
}

impl EventOwner {
    fn of(owner: Owner<'_>) -> Self {
        let (kind, id) = match owner {
            Owner::Senders(channel) => ("senders", Some(channel.to_string())),
            Owner::System(channel) => ("system", Some(channel.to_string())),
            Owner::Target(target) => ("target", Some(target.to_owned())),
            Owner::Host => ("host", None),
        };
        Self { kind: kind.to_owned(), id }
    }
}

impl EventConsumer {
    fn of(consumer: Consumer<'_>) -> Self {
        match consumer {
            Consumer::Subscriber { id, channels, sees } => Self {
                kind: "subscriber".to_owned(),
                id: id.to_owned(),
                message: None,
                channels: channels.iter().map(ToString::to_string).collect(),
                sees: Some(sees.to_vec()),
            },
            Consumer::Target { id, kind, channels } => Self {
                kind: "target".to_owned(),
                id: id.to_owned(),
                message: Some(kind.to_owned()),
                channels: channels.into_iter().map(ToString::to_string).collect(),
                sees: None,
            },
        }
    }
}

/// What each event says, whose word it is, and who hears it.
#[utoipa::path(
    get, path = "/v1/events/catalogue", tag = "operators",
    responses(
        (status = 200, description = "Every canonical event, with its owners and its consumers", body = Catalogue),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn catalogue(State(door): State<Arc<Door>>) -> Json<Catalogue> {
    Json(Catalogue::of(&door.front.pipeline.routes))
}

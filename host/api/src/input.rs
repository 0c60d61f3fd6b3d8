//! Inputs: authenticate over the raw bytes, hand over, reply after the commit.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portreeve_model::document::Header;
use portreeve_pipeline::accept::{AcceptError, Accepted, Input};
use portreeve_pipeline::{Credential, SenderRefused};

use crate::Front;
use crate::problem::Problem;

/// The header that carries an HMAC-SHA256 of the body, in hexadecimal.
const SIGNATURE: &str = "x-portreeve-signature";

/// The header that tells the sender under which id its input is kept.
const INPUT_ID: HeaderName = HeaderName::from_static("x-portreeve-input");

/// Headers that never reach a guest: they are credentials.
const CREDENTIALS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", SIGNATURE];

pub(crate) async fn receive(
    state: State<Arc<Front>>,
    Path(channel): Path<String>,
    uri: OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    accept(state, channel, uri, headers, body).await
}

pub(crate) async fn receive_below(
    state: State<Arc<Front>>,
    Path((channel, _below)): Path<(String, String)>,
    uri: OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    accept(state, channel, uri, headers, body).await
}

async fn accept(
    State(front): State<Arc<Front>>,
    channel: String,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let sender = match front.pipeline.senders.authenticate(&channel, credential(&headers, &body)) {
        Ok(sender) => sender,
        Err(refused @ SenderRefused { .. }) => {
            tracing::warn!(%refused, "an input was refused");
            front.pipeline.metrics.refused("unauthenticated");
            return Problem::unauthorized(refused.to_string()).into_response();
        }
    };
    let input = Input {
        method: "POST".to_owned(),
        path: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: visible(&headers),
        body: body.to_vec(),
    };
    match front.pipeline.accept(&sender, input).await {
        Ok(accepted) => {
            front.accepted.notify_one();
            reply(accepted)
        }
        Err(error) => {
            front.pipeline.metrics.refused(error.code());
            refusal(error).into_response()
        }
    }
}

fn credential<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Credential<'a> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(hex) = text(SIGNATURE) {
        return Credential::Signature { hex, body };
    }
    match text(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) => Credential::Bearer(token),
        None => Credential::None,
    }
}

/// Headers without credentials; a value that is no text is left out.
fn visible(headers: &HeaderMap) -> Vec<Header> {
    headers
        .iter()
        .filter(|(name, _)| !CREDENTIALS.contains(&name.as_str()))
        .filter_map(|(name, value)| {
            Some(Header { name: name.as_str().to_owned(), value: value.to_str().ok()?.to_owned() })
        })
        .collect()
}

/// The protocol's reply. Of the connector's headers only the content type is
/// passed on: a guest has no say in cookies, caching or framing.
fn reply(accepted: Accepted) -> Response {
    let status = StatusCode::from_u16(accepted.reply.status).unwrap_or(StatusCode::OK);
    let content_type = accepted.reply.headers.iter().find(|header| header.name == "content-type");
    let content_type = content_type.and_then(|header| HeaderValue::from_str(&header.value).ok());
    let mut response = Response::new(Body::from(accepted.reply.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    if let Ok(id) = HeaderValue::from_str(&accepted.input.0.to_string()) {
        headers.insert(INPUT_ID, id);
    }
    response
}

fn refusal(error: AcceptError) -> Problem {
    match error {
        AcceptError::UnknownChannel(_) => Problem::not_found(error.to_string()),
        AcceptError::Conflict { .. } => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "conflict",
            "Same envelope, other content",
            error.to_string(),
        ),
        AcceptError::Later { .. } => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", "Too many requests", error.to_string())
        }
        AcceptError::Store(error) => error.into(),
        AcceptError::Record(_) | AcceptError::Seal(_) => {
            tracing::error!(%error, "an input could not be recorded");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
                "nothing was kept; send it again later",
            )
        }
    }
}

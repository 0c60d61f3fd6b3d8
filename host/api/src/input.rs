//! Inputs: authenticate, hand over, reply after the commit.
//!
//! A bearer token is looked at before the body is read; a signature needs the
//! whole body, so bodies of strangers have a count of their own.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portreeve_model::document::Header;
use portreeve_model::{Instant, Reply};
use portreeve_pipeline::accept::{AcceptError, Accepted, Input};
use portreeve_pipeline::{Credential, Sender, SenderRefused, reply};
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::INPUT_BYTES_MAX;
use crate::outcome::{self, Outcome};
use crate::problem::Problem;
use crate::{Door, Front};

/// The header that carries an HMAC-SHA256 of the body, in hexadecimal.
const SIGNATURE: &str = "x-portreeve-signature";

/// The header with Stripe's own kind of signature, over a time and the body.
const STRIPE_SIGNATURE: &str = "stripe-signature";

/// The header with Adobe Commerce's kind of signature, over the base64 of the body.
const ADOBE_SIGNATURE: &str = "x-adobe-commerce-webhook-signature";

/// The header that tells the sender under which id its input is kept.
pub const INPUT_ID: HeaderName = HeaderName::from_static("x-portreeve-input");

/// The header that tells whether the same bytes were received before: `true` or
/// `false`. The reply itself is the same.
pub const DUPLICATE: HeaderName = HeaderName::from_static("x-portreeve-duplicate");

/// Headers that never reach a guest: they are credentials.
const CREDENTIALS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", SIGNATURE, STRIPE_SIGNATURE, ADOBE_SIGNATURE];

/// The host's own answer to an input, where its protocol has none.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Kept {
    /// The input's id.
    input: String,
    /// Whether the same bytes were received before.
    duplicate: bool,
}

/// Takes an input.
///
/// The reply is the channel's own: an operation document, a 997, or with status 422 its
/// word for an envelope that came before with other content. A channel without one
/// answers 202 with the input's id, 200 when the same bytes came before. With
/// `accept: application/vnd.portreeve.outcome+json` the answer is an `Outcome`. A
/// connector may answer with any other status that its protocol wants.
#[utoipa::path(
    post, path = "/v1/channels/{channel}", tag = "senders",
    params(("channel" = String, Path, description = "The channel's id")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The channel's own reply, or the host's to bytes that came before", body = Kept),
        (status = 202, description = "Kept; the channel has no reply of its own", body = Kept),
        (status = 400, description = "A path that is none, or a body that ended before its length", body = Problem),
        (status = 401, description = "Not authenticated", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 413, description = "Larger than an input may be", body = Problem),
        (status = 415, description = "A media type that the channel does not take", body = Problem),
        (status = 422, description = "Cannot be read, or an envelope that came before with other content, where the channel has no reply of its own for it", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was kept", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("sender" = []), ("signature" = []), ("stripe-signature" = []), ("adobe-signature" = []))
)]
pub(crate) async fn receive(
    state: State<Arc<Door>>,
    channel: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(channel) = channel?;
    accept(&state, channel, request).await
}

/// The same below the channel, for protocols that name what they send in the path.
#[utoipa::path(
    post, path = "/v1/channels/{channel}/{below}", tag = "senders",
    params(
        ("channel" = String, Path, description = "The channel's id"),
        ("below" = String, Path, description = "Any path, for the connector; it may have slashes"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "The channel's own reply, or the host's to bytes that came before", body = Kept),
        (status = 202, description = "Kept; the channel has no reply of its own", body = Kept),
        (status = 400, description = "A path that is none, or a body that ended before its length", body = Problem),
        (status = 401, description = "Not authenticated", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 413, description = "Larger than an input may be", body = Problem),
        (status = 415, description = "A media type that the channel does not take", body = Problem),
        (status = 422, description = "As without the path below", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was kept", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("sender" = []), ("signature" = []), ("stripe-signature" = []), ("adobe-signature" = []))
)]
pub(crate) async fn receive_below(
    state: State<Arc<Door>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path((channel, _)) = path?;
    accept(&state, channel, request).await
}

/// Answers a challenge, where the channel takes any.
#[utoipa::path(
    get, path = "/v1/channels/{channel}", tag = "senders",
    params(("channel" = String, Path, description = "The channel's id")),
    responses(
        (status = 200, description = "The connector's answer", body = String),
        (status = 400, description = "A path that is none", body = Problem),
        (status = 404, description = "No challenge, or the channel takes none", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
    )
)]
pub(crate) async fn challenge(
    state: State<Arc<Door>>,
    channel: Result<Path<String>, PathRejection>,
    uri: OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(channel) = channel?;
    answer_challenge(&state.front, &channel, &uri, &headers).await
}

/// The same below the channel.
#[utoipa::path(
    get, path = "/v1/channels/{channel}/{below}", tag = "senders",
    params(
        ("channel" = String, Path, description = "The channel's id"),
        ("below" = String, Path, description = "Any path, for the connector; it may have slashes"),
    ),
    responses(
        (status = 200, description = "The connector's answer", body = String),
        (status = 400, description = "A path that is none", body = Problem),
        (status = 404, description = "No challenge, or the channel takes none", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
    )
)]
pub(crate) async fn challenge_below(
    state: State<Arc<Door>>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((channel, _)) = path?;
    answer_challenge(&state.front, &channel, &uri, &headers).await
}

async fn answer_challenge(front: &Front, channel: &str, uri: &Uri, headers: &HeaderMap) -> Result<Response, Problem> {
    let answer = front.pipeline.challenge(channel, below_channel(uri), visible(headers)).await;
    let answer =
        answer.ok_or_else(|| Problem::not_found("there is nothing to read here; inputs are sent with POST"))?;
    Ok(of_channel(answer))
}

async fn accept(door: &Door, channel: String, request: Request) -> Result<Response, Problem> {
    let front = &door.front;
    let (parts, body) = request.into_parts();
    // Some systems ask by an empty POST whether an address is the right one. It is no input.
    if is_empty(&parts.headers) && bearer(&parts.headers).is_none() && signature(&parts.headers).is_none() {
        let (below, headers) = (below_channel(&parts.uri), visible(&parts.headers));
        if let Some(answer) = front.pipeline.challenge(&channel, below, headers).await {
            return Ok(of_channel(answer));
        }
    }
    let (sender, body) = proven(door, &channel, &parts.headers, body).await?;
    let body = front.pipeline.senders.without_secret(&sender, body.into());
    let input = Input {
        method: parts.method.as_str().to_owned(),
        path: below_channel(&parts.uri),
        headers: visible(&parts.headers),
        body,
    };
    if let Some(channel) = front.pipeline.routes.channel(sender.channel()) {
        let content_type = text(&parts.headers, header::CONTENT_TYPE.as_str());
        if !channel.takes(content_type) {
            front.pipeline.metrics.refused("media-type");
            front.pipeline.refuse_media_type(&sender, &input).await.map_err(refusal)?;
            return Err(Problem::media_type(content_type, &channel.content_types));
        }
    }
    let asks_for_outcome = text(&parts.headers, header::ACCEPT.as_str()) == Some(outcome::MEDIA_TYPE);
    match front.pipeline.accept(&sender, input).await {
        Ok(accepted) => {
            front.accepted.notify_one();
            if asks_for_outcome {
                return Ok(Json(Outcome::of(&front.pipeline, accepted).await?).into_response());
            }
            Ok(answer(accepted))
        }
        Err(error) => {
            front.pipeline.metrics.refused(error.code());
            match error {
                AcceptError::Conflict { .. } if asks_for_outcome => {
                    Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(Outcome::refused(error))).into_response())
                }
                AcceptError::Conflict { reply: Some(reply), .. } => Ok(of_channel(reply)),
                error => Err(refusal(error)),
            }
        }
    }
}

/// Who sends, and the whole body.
async fn proven(door: &Door, channel: &str, headers: &HeaderMap, body: Body) -> Result<(Sender, Bytes), Problem> {
    let front = &door.front;
    let authenticate = |credential| {
        front.pipeline.senders.authenticate(channel, credential).map_err(|refused @ SenderRefused { .. }| {
            // A stranger's words are not for the log: only a channel that there is has its name there.
            let known = front.pipeline.routes.channels.iter().find(|known| known.id.as_str() == channel);
            let channel = known.map_or("unknown", |known| known.id.as_str());
            tracing::warn!(channel, "an input was refused: its sender is not authenticated");
            front.pipeline.metrics.refused("unauthenticated");
            Problem::unauthorized(refused.to_string())
        })
    };
    if let Some(signature) = signature(headers) {
        let Ok(_place) = door.unproven.try_acquire() else {
            front.pipeline.metrics.refused("busy");
            return Err(Problem::busy("the host is reading as many unproven inputs as it may"));
        };
        let body = read(front, headers, body).await?;
        return Ok((authenticate(signature.over(&body, front.pipeline.clock.now()))?, body));
    }
    if bearer(headers).is_none() && front.pipeline.senders.name_a_client_state(channel) {
        let Ok(_place) = door.unproven.try_acquire() else {
            front.pipeline.metrics.refused("busy");
            return Err(Problem::busy("the host is reading as many unproven inputs as it may"));
        };
        let body = read(front, headers, body).await?;
        return Ok((authenticate(Credential::ClientState { body: &body })?, body));
    }
    let credential = match bearer(headers) {
        Some(token) => Credential::Bearer(token),
        None => Credential::None,
    };
    let sender = authenticate(credential)?;
    Ok((sender, read(front, headers, body).await?))
}

/// Whether a request says that it has no body.
fn is_empty(headers: &HeaderMap) -> bool {
    let length = text(headers, header::CONTENT_LENGTH.as_str());
    length.map_or_else(|| !headers.contains_key(header::TRANSFER_ENCODING), |length| length == "0")
}

/// A signature that a request shows, of whichever kind.
enum Shown<'a> {
    Hex(&'a str),
    Stripe(&'a str),
    Adobe(&'a str),
}

/// The signature that proves a request, where one is to. Whoever hands an event of Stripe's or a
/// shop's on shows a token of its own beside the header that it came with.
fn signature(headers: &HeaderMap) -> Option<Shown<'_>> {
    let of_another = || {
        let stripe = || text(headers, STRIPE_SIGNATURE).map(Shown::Stripe);
        stripe().or_else(|| only(headers, ADOBE_SIGNATURE).map(Shown::Adobe))
    };
    text(headers, SIGNATURE).map(Shown::Hex).or_else(|| of_another().filter(|_| bearer(headers).is_none()))
}

impl<'a> Shown<'a> {
    fn over(self, body: &'a [u8], now: Instant) -> Credential<'a> {
        match self {
            Self::Hex(hex) => Credential::Signature { hex, body },
            Self::Stripe(header) => Credential::StripeSignature { header, body, now },
            Self::Adobe(base64) => Credential::AdobeSignature { base64, body },
        }
    }
}

/// A body within its limits of bytes and time.
async fn read(front: &Front, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let refuse = |reason, problem| {
        front.pipeline.metrics.refused(reason);
        Err(problem)
    };
    let announced = text(headers, header::CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > INPUT_BYTES_MAX)) {
        return refuse("too-large", Problem::too_large(announced, INPUT_BYTES_MAX));
    }
    let body = Limited::new(body, INPUT_BYTES_MAX).collect();
    match tokio::time::timeout(front.limits.body_within, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            refuse("too-large", Problem::too_large(None, INPUT_BYTES_MAX))
        }
        Ok(Err(_)) => refuse("cut-short", Problem::bad_request("the body ended before its length; send it again")),
        Err(_) => {
            let allowed = front.limits.body_within.as_secs();
            refuse("timeout", Problem::timeout(format!("the body was not complete after {allowed} s; send it again")))
        }
    }
}

/// The token of `authorization: Bearer TOKEN`. A scheme is the same in any case
/// (RFC 9110, 11.1), and some clients write `bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_start_matches(' '))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A header that is there once: of two nobody knows which one counts.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Path and query after `/v1/channels/{channel}`.
fn below_channel(uri: &Uri) -> String {
    let whole = uri.path_and_query().map_or("", |whole| whole.as_str());
    let below = whole.strip_prefix("/v1/channels/").unwrap_or_default();
    below.find(['/', '?']).and_then(|start| below.get(start..)).unwrap_or_default().to_owned()
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

/// The reply, and in the headers what the host has to say about the input.
fn answer(accepted: Accepted) -> Response {
    let Accepted { input, duplicate, reply, .. } = accepted;
    let id = input.0.to_string();
    let mut response = if reply::is_hosts(&reply) {
        let status = if duplicate { StatusCode::OK } else { StatusCode::ACCEPTED };
        (status, Json(Kept { input: id.clone(), duplicate })).into_response()
    } else {
        of_channel(reply)
    };
    let headers = response.headers_mut();
    headers.insert(DUPLICATE, HeaderValue::from_static(if duplicate { "true" } else { "false" }));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(INPUT_ID, id);
    }
    response
}

/// The protocol's reply. Of the connector's headers only the content type is
/// passed on: a guest has no say in cookies, caching or framing.
fn of_channel(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let content_type = reply.headers.iter().find(|header| header.name == "content-type");
    let content_type = content_type.and_then(|header| HeaderValue::from_str(&header.value).ok());
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = status;
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
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
        AcceptError::Later { .. } => Problem::busy(error.to_string()),
        AcceptError::Store(error) => error.into(),
        AcceptError::Record(_) | AcceptError::Seal(_) => {
            Problem::internal(&error, "nothing was kept; send it again later")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_one_however_its_scheme_is_written() {
        let shown = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        for value in ["Bearer T1", "bearer T1", "BEARER  T1"] {
            assert_eq!(shown(value).as_deref(), Some("T1"), "{value}");
        }
        for value in ["Basic T1", "BearerT1", "Bearer", "T1"] {
            assert_eq!(shown(value), None, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn a_guest_sees_no_credential_of_any_kind() {
        let mut headers: HeaderMap = CREDENTIALS
            .iter()
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("secret")))
            .collect();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let seen: Vec<_> = visible(&headers).into_iter().map(|header| (header.name, header.value)).collect();
        assert_eq!(seen, [("content-type".to_owned(), "text/plain".to_owned())]);
    }

    #[test]
    fn a_shops_signature_is_one_where_it_is_there_once_and_no_token_is_beside_it() {
        let shown = |headers: &[(HeaderName, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name, HeaderValue::from_static(value));
            }
            matches!(signature(&map), Some(Shown::Adobe("S1")))
        };
        let adobe = HeaderName::from_static(ADOBE_SIGNATURE);
        assert!(shown(&[(adobe.clone(), "S1")]));
        assert!(!shown(&[]));
        assert!(!shown(&[(adobe.clone(), "S1"), (adobe.clone(), "S1")]));
        assert!(!shown(&[(adobe.clone(), "S1"), (header::AUTHORIZATION, "Bearer T1")]));
        assert!(!shown(&[(adobe, "S1"), (HeaderName::from_static(SIGNATURE), "S2")]));
    }

    #[test]
    fn a_guest_sees_the_path_below_its_channel() {
        for (uri, below) in [
            ("/v1/channels/shop", ""),
            ("/v1/channels/shop?challenge=1", "?challenge=1"),
            ("/v1/channels/shop/orders/7?x=/y", "/orders/7?x=/y"),
            ("/v1/channels/shop/", "/"),
        ] {
            assert_eq!(below_channel(&Uri::from_static(uri)), below);
        }
    }
}

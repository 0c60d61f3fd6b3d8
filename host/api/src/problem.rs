//! Problem details (RFC 9457): what was found, what was expected, what to do.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portreeve_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::unread;

/// Seconds after which a refused input may come again.
const RETRY_AFTER_S: u64 = 1;

/// A problem, as clients see it. The title is the same for every occurrence,
/// the detail is about this one; neither holds secrets or stack traces.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A stable name, `urn:portreeve:problem:…`.
    #[serde(rename = "type")]
    kind: String,
    /// The same for every occurrence.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// About this occurrence: what was found, what was expected, what to do.
    detail: String,
    /// For an input that cannot be read: what is wrong, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<InputProblem>,
}

/// One thing that is wrong with an input.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InputProblem {
    /// A stable lower-case code with dashes.
    code: String,
    /// One sentence.
    message: String,
    /// Where.
    position: Position,
}

/// A place in an input.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Position {
    /// Bytes from the start, as decimal digits, where known.
    offset_bytes: Option<String>,
    /// One-based segment, line or element number, where the format has one.
    segment: Option<u32>,
    /// A path in the format's own notation.
    path: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:portreeve:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authenticated", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The sentence about this occurrence.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same with another sentence.
    pub(crate) fn saying(self, detail: String) -> Self {
        Self { detail, ..self }
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, code: &str) -> bool {
        self.kind.strip_prefix("urn:portreeve:problem:") == Some(code)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail)
    }

    /// What is wrong inside goes to the log; the client hears what to do.
    pub(crate) fn internal(error: &impl std::fmt::Display, detail: &str) -> Self {
        tracing::error!(%error, "a request could not be put on record");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "this address does not take that method; the `allow` header names those that it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    pub(crate) fn too_large(found: Option<u64>, allowed: usize) -> Self {
        let found = found.map_or_else(|| "more".to_owned(), |bytes| format!("{bytes} bytes"));
        let detail = format!("found {found}, expected at most {allowed} bytes; send it in parts");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The input is too large", detail)
    }

    pub(crate) fn timeout(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long", detail)
    }

    pub(crate) fn media_type(found: Option<&str>, taken: &[String]) -> Self {
        let found = found.map_or_else(|| "none".to_owned(), |found| format!("`{}`", visible(found)));
        let detail = format!("the content type is {found}, this channel takes {}", taken.join(", "));
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type", detail)
    }

    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        let detail = format!("{}; nothing was kept, send it again", detail.into());
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "Too many requests", detail)
    }
}

/// The beginning of what somebody sent, without what a terminal would obey.
fn visible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // The client hears what to do; what is wrong inside goes to the log.
        tracing::error!(%error, "the store refused");
        match error {
            StoreError::Busy { .. } => Self::busy(error.to_string()),
            _ => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store",
                "The store is unavailable",
                "nothing was acknowledged; send the request again later",
            ),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(unread::query(&rejection))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(unread::path(&rejection))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // The rest of the body is on its way and nobody will read it.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

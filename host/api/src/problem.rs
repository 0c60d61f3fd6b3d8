//! Problem details (RFC 9457): what was found, what was expected, what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portreeve_store::StoreError;
use serde::Serialize;

/// Seconds after which a refused input may come again.
const RETRY_AFTER_S: u64 = 1;

/// A problem, as clients see it. The title is the same for every occurrence,
/// the detail is about this one; neither holds secrets or stack traces.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { kind: format!("urn:portreeve:problem:{code}"), title, status: status.as_u16(), detail: detail.into() }
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Not authenticated", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // The client hears what to do; what is wrong inside goes to the log.
        tracing::error!(%error, "the store refused");
        match error {
            StoreError::Busy { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", "Too many requests", error.to_string())
            }
            _ => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store",
                "The store is unavailable",
                "nothing was acknowledged; send the request again later",
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response
    }
}

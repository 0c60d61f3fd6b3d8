//! Reference tables: operators replace one as a whole, while the host goes on. What a table
//! may hold and how its text reads is the host's ([`Tables`]); here are address, size and
//! statuses.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use portreeve_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Door;
use crate::access::Person;
use crate::operator::to_its_end;
use crate::package::read;
use crate::problem::Problem;

/// Bytes of a table's text: as many rows as a table may have, of 300 bytes each. It is
/// parsed as a whole, beside the work of the host that is to go on; a larger one is loaded
/// into a stopped host's folder. Only who operates gets so far.
pub const TABLE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What to do where nobody knows what became of a load.
const LOOK_AT_THE_VERSION: &str = "see which version the table has before it is loaded again; the host's log says why";

/// What operators can do about reference tables.
#[async_trait]
pub trait Tables: Send + Sync + 'static {
    /// Replaces a table by the rows of a CSV text with a typed header, all or nothing, with
    /// an entry in the log. Decisions that begin later see it. One load after the other;
    /// what was begun is to be awaited to its end.
    async fn load(&self, table: &str, text: String, who: &str) -> Result<Loaded, NotLoaded>;
}

/// What became of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Loaded {
    /// The table.
    pub table: String,
    /// Its version, from 1.
    pub version: u64,
    /// Rows in it.
    pub rows: u64,
    /// Whether the rows differ from those before.
    pub changed: bool,
    /// That nothing reads a table of this name, and which ones are read; or that figures are of the
    /// time to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Why the table is as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotLoaded {
    /// The name or the text is wrong: where, and what was expected there.
    #[error("{0}")]
    Wrong(String),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host could not.
    #[error("{0}")]
    Internal(String),
}

impl From<NotLoaded> for Problem {
    fn from(error: NotLoaded) -> Self {
        match error {
            NotLoaded::Wrong(detail) => {
                Self::new(StatusCode::BAD_REQUEST, "reference-table", "Not a reference table", detail)
            }
            NotLoaded::Store(error) => error.into(),
            NotLoaded::Internal(error) => Self::internal(&error, LOOK_AT_THE_VERSION),
        }
    }
}

/// Replaces a reference table by the rows of a CSV text, all or nothing. Its header names the
/// columns with their types: `key,name:text,price:number`. Decisions that begin later see it.
#[utoipa::path(
    post, path = "/v1/reference/{table}", tag = "operators",
    params(("table" = String, Path, description = "1 to 64 lower-case letters, digits and dashes, a letter first")),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, description = "These are its rows, and this is on record", body = Loaded),
        (status = 400, description = "No name, no text, or a row that is wrong: its line and column", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 413, description = "Larger than a table may be", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record, or nobody knows whether it was", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn load(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    table: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Json<Loaded>, Problem> {
    let Path(table) = table?;
    let bytes = read(&door, body, TABLE_BYTES_MAX).await?;
    let text = String::from_utf8(bytes.into())
        .map_err(|error| Problem::bad_request(format!("the table is no text: {error}; send it as UTF-8")))?;
    // The next load counts on this one's version.
    let work = async move { door.front.tables.load(&table, text, who.name().as_str()).await };
    Ok(Json(to_its_end(work, LOOK_AT_THE_VERSION).await??))
}

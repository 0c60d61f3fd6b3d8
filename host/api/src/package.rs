//! Plugins' packages: operators take them in, try them, activate them, go back, and say
//! whose are taken, while the host goes on. What each of these means is the host's
//! ([`Lifecycle`]); here are addresses, sizes and statuses.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portreeve_model::{Digest, PluginName};
use portreeve_pipeline::SignedIn;
use portreeve_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Door;
use crate::access::Person;
use crate::operator::to_its_end;
use crate::problem::Problem;
use crate::unread;

/// Bytes of a package: the largest component that a host looks at, and its signature.
/// Only who publishes gets so far.
const PACKAGE_BYTES_MAX: usize = 64 * 1024 * 1024 + 64 * 1024;

/// Bytes of a trust policy: some thousand publishers. It is parsed as a whole.
pub const TRUST_BYTES_MAX: usize = 1024 * 1024;

/// What operators can do about packages.
#[async_trait]
pub trait Lifecycle: Send + Sync + 'static {
    /// All that are installed or active.
    async fn list(&self) -> Result<Vec<PackageRow>, Refusal>;

    /// Takes one in; nothing calls it.
    async fn install(&self, component: &[u8], signature: Option<&str>, who: &str) -> Result<PackageRow, Refusal>;

    /// Does something about a plugin.
    async fn act(&self, plugin: &PluginName, act: Act, who: &str) -> Result<Acted, Refusal>;

    /// Trusts others from now on: the text of `trust.toml`.
    async fn trust(&self, text: String, who: &str) -> Result<TrustChanged, Refusal>;

    /// Stops all plugins from the next call on.
    async fn halt(&self, who: &str) -> Result<Halted, Refusal>;

    /// Lets each be what it was before.
    async fn resume(&self, who: &str) -> Result<Halted, Refusal>;
}

/// What is done about a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// An installed package is tried in full.
    Stage {
        /// Which.
        component: Digest,
        /// The grant that it is to have, as TOML; none keeps the one that there is.
        grant: Option<String>,
    },
    /// The staged package becomes what routes call.
    Activate {
        /// Which; none for the one that is staged.
        component: Option<Digest>,
    },
    /// Routes call what they called before.
    Rollback,
    /// Routes call it no more.
    Disable,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It may not be done as things are.
    #[error("{0}")]
    Refused(String),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host could not.
    #[error("{0}")]
    Internal(String),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(detail) => Self::not_found(detail),
            Refusal::Refused(detail) => Self::new(StatusCode::CONFLICT, "refused", "Refused as things are", detail),
            Refusal::Store(error @ (StoreError::ConfigurationMoved { .. } | StoreError::UnknownPackage(_))) => {
                Self::new(StatusCode::CONFLICT, "refused", "Refused as things are", error.to_string())
            }
            Refusal::Store(error) => error.into(),
            Refusal::Internal(error) => Self::internal(&error, "nothing was changed; the host's log says why"),
        }
    }
}

/// A package.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PackageRow {
    /// The plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// `connector`, `transformer` or `scorer`.
    pub kind: String,
    /// Its publisher, as its manifest has it.
    pub publisher: String,
    /// Digest of the component.
    pub digest: String,
    /// `installed`, `staged`, `active`, `retired` (a rollback may go back to it), `disabled`, `halted`,
    /// `not-trusted`, `unreadable`, `quarantined until …`, or, of one that is called otherwise,
    /// `quarantined for … until …` with the sender or target.
    pub state: String,
}

/// Packages.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PackageRows {
    /// By plugin.
    pub packages: Vec<PackageRow>,
}

/// What was done about a plugin.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Acted {
    /// The plugin.
    pub plugin: String,
    /// The component that it is about.
    pub component: String,
    /// `staged`, `active` or `disabled`.
    pub state: String,
    /// The version of the configuration that is active now.
    pub configuration: u64,
    /// What the package asks for beyond the one that was active.
    pub grown: Vec<String>,
}

/// Whether plugins are called at all.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Halted {
    /// The version of the configuration that is active now.
    pub configuration: u64,
    /// Whether all plugins are stopped.
    pub halted: bool,
    /// The plugins that this is about.
    pub plugins: Vec<String>,
}

/// Whose packages are taken from now on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TrustChanged {
    /// The version of the configuration that is active now.
    pub configuration: u64,
    /// Plugins that are not called any more.
    pub stopped: Vec<String>,
    /// Plugins that are called again.
    pub restored: Vec<String>,
}

/// Which package, and what it is granted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StageRequest {
    /// Digest of an installed component.
    digest: String,
    /// The grant that it is to have, as TOML; without it the one that there is counts.
    grant: Option<String>,
}

/// Which package.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivateRequest {
    /// Digest of the staged component; without it whichever is staged.
    digest: Option<String>,
}

/// Lists packages.
#[utoipa::path(
    get, path = "/v1/plugins", tag = "operators",
    responses(
        (status = 200, description = "All of them", body = PackageRows),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "A component cannot be read", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn list(State(door): State<Arc<Door>>) -> Result<Json<PackageRows>, Problem> {
    Ok(Json(PackageRows { packages: door.front.packages.list().await? }))
}

/// Takes a package in. The body is the signature file and then the component: its first
/// NUL byte begins the component.
#[utoipa::path(
    post, path = "/v1/plugins", tag = "operators",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It is installed, and this is on record", body = PackageRow),
        (status = 400, description = "A body that ended before its length", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 409, description = "No package, or not trusted", body = Problem),
        (status = 413, description = "Larger than a package may be", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be kept; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn install(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    body: Body,
) -> Result<Json<PackageRow>, Problem> {
    let bytes = read(&door, body, PACKAGE_BYTES_MAX).await?;
    let signature = std::str::from_utf8(parts(&bytes).0)
        .map_err(|_| Problem::bad_request("the signature file before the component is no text"))?;
    let signature = Some(signature.to_owned()).filter(|signature| !signature.is_empty());
    changed(
        async move { door.front.packages.install(parts(&bytes).1, signature.as_deref(), who.name().as_str()).await },
    )
    .await
}

/// Tries an installed package in full: its signature, its grant, its code, its imports.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/stage", tag = "operators",
    params(("plugin" = String, Path, description = "The plugin's name")),
    request_body = StageRequest,
    responses(
        (status = 200, description = "It may be activated, and this is on record", body = Acted),
        (status = 400, description = "No name, or a body that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 404, description = "No such plugin, or not installed", body = Problem),
        (status = 409, description = "Not trusted, asks for more than it is granted, or does not load", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn stage(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    plugin: Result<Path<String>, PathRejection>,
    request: Result<Json<StageRequest>, JsonRejection>,
) -> Result<Json<Acted>, Problem> {
    let (plugin, Json(request)) = (name(plugin)?, request.map_err(no_json)?);
    let act = Act::Stage { component: digest(&request.digest)?, grant: request.grant };
    change(door, who, plugin, act).await
}

/// Makes the staged package what routes call, in one step; calls under way end on the one
/// before. Lets a disabled plugin be called again where nothing is staged.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/activate", tag = "operators",
    params(("plugin" = String, Path, description = "The plugin's name")),
    request_body = ActivateRequest,
    responses(
        (status = 200, description = "It is active, and this is on record", body = Acted),
        (status = 400, description = "No name, or a body that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 404, description = "No such plugin", body = Problem),
        (status = 409, description = "Nothing is staged, or it does not load any more", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn activate(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    plugin: Result<Path<String>, PathRejection>,
    request: Result<Json<ActivateRequest>, JsonRejection>,
) -> Result<Json<Acted>, Problem> {
    let (plugin, Json(request)) = (name(plugin)?, request.map_err(no_json)?);
    let act = Act::Activate { component: request.digest.as_deref().map(digest).transpose()? };
    change(door, who, plugin, act).await
}

/// Routes call what they called before the last activation.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/rollback", tag = "operators",
    params(("plugin" = String, Path, description = "The plugin's name")),
    responses(
        (status = 200, description = "It is active again, and this is on record", body = Acted),
        (status = 400, description = "No name", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 404, description = "No such plugin", body = Problem),
        (status = 409, description = "Nothing to go back to, or its key was revoked", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn rollback(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    plugin: Result<Path<String>, PathRejection>,
) -> Result<Json<Acted>, Problem> {
    change(door, who, name(plugin)?, Act::Rollback).await
}

/// Routes call it no more; what would have been for it waits, or goes to a person, as the
/// route says.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/disable", tag = "operators",
    params(("plugin" = String, Path, description = "The plugin's name")),
    responses(
        (status = 200, description = "It is not called, and this is on record", body = Acted),
        (status = 400, description = "No name", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 404, description = "No such plugin", body = Problem),
        (status = 409, description = "It is disabled already", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn disable(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    plugin: Result<Path<String>, PathRejection>,
) -> Result<Json<Acted>, Problem> {
    change(door, who, name(plugin)?, Act::Disable).await
}

/// Stops all plugins from the next call on, whatever each of them is; a call that waits for a
/// sandbox by then is still made. Orders and deliveries wait, or go to a person, as the routes
/// say. Inputs are kept, and those that no connector could read are a person's.
#[utoipa::path(
    post, path = "/v1/plugins/halt", tag = "operators",
    responses(
        (status = 200, description = "None is called, and this is on record", body = Halted),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 409, description = "They are stopped already", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "None is called, and this could not be put on record", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn halt(State(door): State<Arc<Door>>, Person(who): Person) -> Result<Json<Halted>, Problem> {
    changed(async move { door.front.packages.halt(who.name().as_str()).await }).await
}

/// Ends a halt: each plugin is what it was before, or what was made of it since.
#[utoipa::path(
    post, path = "/v1/plugins/resume", tag = "operators",
    responses(
        (status = 200, description = "They are called again, and this is on record", body = Halted),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 409, description = "They are not stopped", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn resume(State(door): State<Arc<Door>>, Person(who): Person) -> Result<Json<Halted>, Problem> {
    changed(async move { door.front.packages.resume(who.name().as_str()).await }).await
}

/// Whose packages are taken from now on: the text of `trust.toml`. Packages that rest on a
/// key that it revokes are not called any more.
#[utoipa::path(
    post, path = "/v1/trust", tag = "operators",
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 200, description = "It is active, and this is on record", body = TrustChanged),
        (status = 400, description = "No text, or a body that ended before its length", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 409, description = "Not a trust policy; nothing was changed", body = Problem),
        (status = 413, description = "Larger than a trust policy may be", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn trust(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    body: Body,
) -> Result<Json<TrustChanged>, Problem> {
    let bytes = read(&door, body, TRUST_BYTES_MAX).await?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| Problem::bad_request("the trust policy is no text"))?;
    changed(async move { door.front.packages.trust(text, who.name().as_str()).await }).await
}

async fn change(door: Arc<Door>, who: Arc<SignedIn>, plugin: PluginName, act: Act) -> Result<Json<Acted>, Problem> {
    changed(async move { door.front.packages.act(&plugin, act, who.name().as_str()).await }).await
}

/// Between the commit of a change and the road's hearing of it nobody may leave.
async fn changed<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<Json<T>, Problem> {
    Ok(Json(to_its_end(work, "start the host again, and look at `plugin list`").await??))
}

/// The signature file, and the component.
fn parts(body: &[u8]) -> (&[u8], &[u8]) {
    let at = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    body.split_at(at)
}

/// A body, within its size and its time.
pub(crate) async fn read(door: &Door, body: Body, most: usize) -> Result<Bytes, Problem> {
    let read = Limited::new(body, most).collect();
    match tokio::time::timeout(door.front.limits.body_within, read).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Problem::too_large(None, most)),
        Ok(Err(_)) => Err(Problem::bad_request("the body ended before its length; send it again")),
        Err(_) => Err(Problem::timeout("the body took too long; send it again")),
    }
}

fn name(plugin: Result<Path<String>, PathRejection>) -> Result<PluginName, Problem> {
    let Path(plugin) = plugin?;
    PluginName::parse(&plugin).map_err(|error| Problem::bad_request(error.to_string()))
}

fn digest(text: &str) -> Result<Digest, Problem> {
    Digest::parse(text).map_err(|error| Problem::bad_request(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(crate) fn no_json(rejection: JsonRejection) -> Problem {
    Problem::bad_request(unread::body(&rejection))
}

//! People: they sign in and out, and whoever administers makes and changes accounts. What
//! that means is the pipeline's; here are addresses, sizes and statuses.
//!
//! Whoever signs in has proved nothing yet: a body is `BODY_BYTES_MAX` at most, and takes no
//! longer than the door waits for one. What is answered is kept by no cache on the way.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portreeve_authority::people::Act;
use portreeve_model::{Instant, PersonName};
use portreeve_pipeline::people::{AccountError, NewAccount, ProvedBy, SignInError, SignOutError};
use portreeve_store::StoreError;
use portreeve_store::contract::{Credential, CredentialKind, PersonView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Door;
use crate::access::Person;
use crate::operator::{page_rows, rows};
use crate::package::read;
use crate::problem::Problem;
use crate::unread;

/// Bytes of a request about people: the longest password, name and address, all roles, and
/// room for a client's own way to write JSON.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// Who wants to sign in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The account.
    name: String,
    /// Its password.
    password: String,
}

/// A session that began.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// To be shown as a bearer token. It is told here and nowhere else.
    pub token: String,
    /// When it ends, however much it is used. Half an hour without use ends it, too.
    pub expires_at: String,
    /// The account.
    pub name: String,
    /// Ids of its roles.
    pub roles: Vec<String>,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Who {
    /// The account.
    name: String,
    /// The address by which grants name an owner.
    email: Option<String>,
    /// Ids of its roles.
    roles: Vec<String>,
    /// `session` or `key`.
    proved_by: &'static str,
    /// When what was shown ends; none for never.
    expires_at: Option<String>,
    /// Queues whose cases it works on, or approves in.
    queues: Vec<String>,
    /// What it may do beside that: `operate`, `publish`, `administer`.
    may: Vec<&'static str>,
}

/// An account that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountRequest {
    /// 1 to 64 lower-case letters, digits, dots and dashes, a letter first.
    name: String,
    /// The address by which grants name an owner.
    email: Option<String>,
    /// 12 to 256 bytes; without one it has keys alone.
    password: Option<String>,
    /// Ids of its roles, of `people.toml`.
    roles: Vec<String>,
}

/// Which roles.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolesRequest {
    /// Ids of all roles that it is to have.
    roles: Vec<String>,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordRequest {
    /// 12 to 256 bytes.
    password: String,
    /// The present one, of whoever changes the own one and does not administer.
    present: Option<String>,
}

/// A key that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct KeyRequest {
    /// What it is called, for whoever revokes it: 1 to 64 bytes.
    label: String,
    /// When it stops by itself (RFC 3339); none for never.
    expires_at: Option<String>,
}

/// A key that was made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// To be shown as a bearer token. It is told here and nowhere else.
    pub token: String,
    /// The account.
    pub name: String,
    /// What it is called.
    pub label: String,
    /// When it stops by itself.
    pub expires_at: Option<String>,
}

/// What was done about an account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// The account.
    pub name: String,
    /// `added`, `roles`, `password`, `disabled`, `enabled` or `revoked`.
    pub change: String,
}

/// A page of accounts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Accounts {
    /// In the order of their names.
    pub people: Vec<Account>,
    /// The `after` of the next page; none on the last one.
    pub next: Option<String>,
}

/// An account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its name.
    pub name: String,
    /// The address by which grants name an owner.
    pub email: Option<String>,
    /// Ids of its roles.
    pub roles: Vec<String>,
    /// Whether it has a password.
    pub has_password: bool,
    /// When it was made.
    pub made_at: String,
    /// By whom; of the first one, the account of the machine.
    pub made_by: String,
    /// Since when it proves nothing.
    pub disabled_at: Option<String>,
    /// Until when no password signs in, right or wrong.
    pub locked_until: Option<String>,
    /// Sign-ins that failed since the last one that did not.
    pub failures: u32,
    /// Sessions that nobody ended; some may have run out.
    pub sessions: u32,
    /// Keys that nobody ended.
    pub keys: Vec<KeyRow>,
}

/// A key as whoever revokes it sees it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRow {
    /// What it is called.
    pub label: String,
    /// When it was made.
    pub made_at: String,
    /// When it stops by itself.
    pub expires_at: Option<String>,
    /// When it was last shown, to the minute.
    pub last_used_at: String,
}

/// Which accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountPage {
    /// Only those after this name.
    after: Option<String>,
    /// At most so many, and at most 500.
    #[serde(default = "page_rows")]
    limit: u32,
}

impl Account {
    /// As whoever administers reads it.
    #[must_use]
    pub fn of(view: PersonView) -> Self {
        let PersonView { person, credentials } = view;
        let is = |kind| move |credential: &&Credential| credential.kind == kind;
        let sessions = credentials.iter().filter(is(CredentialKind::Session)).count();
        Self {
            name: person.name.to_string(),
            email: person.email,
            roles: person.roles,
            has_password: person.password.is_some(),
            made_at: person.made_at.to_string(),
            made_by: person.made_by,
            disabled_at: person.disabled_at.map(|at| at.to_string()),
            locked_until: person.locked_until.map(|until| until.to_string()),
            failures: person.failures,
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
            keys: credentials.iter().filter(is(CredentialKind::Key)).map(KeyRow::of).collect(),
        }
    }
}

impl KeyRow {
    fn of(key: &Credential) -> Self {
        Self {
            label: key.label.clone().unwrap_or_default(),
            made_at: key.made_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
            last_used_at: key.last_used_at.to_string(),
        }
    }
}

/// Signs somebody in.
#[utoipa::path(
    post, path = "/v1/session", tag = "people",
    request_body = SignIn,
    responses(
        (status = 200, description = "A session, and this is on record", body = Session),
        (status = 400, description = "A body that is none", body = Problem),
        (status = 401, description = "Nobody was signed in, whyever", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 413, description = "Larger than name and password are", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    )
)]
pub(crate) async fn sign_in(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let SignIn { name, password } = json(&door, &headers, body).await?;
    let opened = door.front.pipeline.sign_in(&name, &password).await.map_err(not_signed_in)?;
    let session = Session {
        token: opened.token.reveal().to_owned(),
        expires_at: opened.expires_at.to_string(),
        name: opened.name.to_string(),
        roles: opened.roles,
    };
    Ok(uncached(Json(session)))
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/v1/session", tag = "people",
    responses(
        (status = 200, description = "Whoever shows this token", body = Who),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "The operator token is nobody", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn who(State(door): State<Arc<Door>>, Person(who): Person) -> Response {
    let pipeline = &door.front.pipeline;
    let may = Act::ALL.into_iter().filter(|act| pipeline.may(&who, *act).is_ok()).map(Act::as_str).collect();
    uncached(Json(Who {
        name: who.name().to_string(),
        email: who.email().map(str::to_owned),
        roles: who.roles().to_vec(),
        proved_by: match who.proved_by() {
            ProvedBy::Session => "session",
            ProvedBy::Key => "key",
        },
        expires_at: who.expires_at().map(|at| at.to_string()),
        queues: pipeline.people.queues_of(who.actor()).into_iter().map(str::to_owned).collect(),
        may,
    }))
}

/// Ends the session that is shown.
#[utoipa::path(
    delete, path = "/v1/session", tag = "people",
    responses(
        (status = 204, description = "It ended, and this is on record"),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "The operator token is nobody", body = Problem),
        (status = 409, description = "A key is no session", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn sign_out(State(door): State<Arc<Door>>, Person(who): Person) -> Result<StatusCode, Problem> {
    match door.front.pipeline.sign_out(&who).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error @ SignOutError::Key(_)) => {
            Err(Problem::new(StatusCode::CONFLICT, "not-a-session", "A key is no session", error.to_string()))
        }
        Err(SignOutError::Store(error)) => Err(account_refusal(error)),
        Err(error @ (SignOutError::Record(_) | SignOutError::Host(_))) => {
            Err(Problem::internal(&error, "the session goes on; try again later"))
        }
    }
}

/// Lists accounts.
#[utoipa::path(
    get, path = "/v1/people", tag = "people",
    params(AccountPage),
    responses(
        (status = 200, description = "A page", body = Accounts),
        (status = 400, description = "A parameter that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Somebody who does not administer", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn list(
    State(door): State<Arc<Door>>,
    _administrator: Person,
    page: Result<Query<AccountPage>, QueryRejection>,
) -> Result<Json<Accounts>, Problem> {
    let Query(page) = page?;
    let limit = rows(page.limit)?;
    let after = page.after.as_deref().map(PersonName::parse).transpose();
    let after = after.map_err(|error| Problem::bad_request(error.to_string()))?;
    let people = door.front.pipeline.store.people(after.as_ref(), limit).await?;
    let full = people.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = people.last().filter(|_| full).map(|view| view.person.name.to_string());
    Ok(Json(Accounts { people: people.into_iter().map(Account::of).collect(), next }))
}

/// Makes an account.
#[utoipa::path(
    post, path = "/v1/people", tag = "people",
    request_body = AccountRequest,
    responses(
        (status = 200, description = "It is there, and this is on record", body = Changed),
        (status = 400, description = "No name, password, address or role, or a body that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Somebody who does not administer", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 409, description = "There is one of this name", body = Problem),
        (status = 413, description = "Larger than an account is", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn add(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Problem> {
    let AccountRequest { name, email, password, roles } = json(&door, &headers, body).await?;
    let account = NewAccount { name, email, password, roles };
    let name = door.front.pipeline.add_person(&who, account).await.map_err(refusal)?;
    Ok(Json(Changed { name: name.to_string(), change: "added".to_owned() }))
}

/// Gives an account these roles and no others. Its sessions end.
#[utoipa::path(
    post, path = "/v1/people/{name}/roles", tag = "people",
    params(("name" = String, Path, description = "The account")),
    request_body = RolesRequest,
    responses(
        (status = 200, description = "It has them, and this is on record", body = Changed),
        (status = 400, description = "No role, or a body that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Somebody who does not administer", body = Problem),
        (status = 404, description = "No such account", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 409, description = "The last one that administers, or it changed meanwhile", body = Problem),
        (status = 413, description = "Larger than a list of roles is", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn roles(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Problem> {
    let Path(name) = name?;
    let RolesRequest { roles } = json(&door, &headers, body).await?;
    changed(&name, "roles", door.front.pipeline.set_roles(&who, &name, &roles).await)
}

/// Gives an account another password. Its sessions end, and so does a lock.
#[utoipa::path(
    post, path = "/v1/people/{name}/password", tag = "people",
    params(("name" = String, Path, description = "The account: one's own, or any of whoever administers")),
    request_body = PasswordRequest,
    responses(
        (status = 200, description = "It has it, and this is on record", body = Changed),
        (status = 400, description = "No password, or a body that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Somebody else's, or the present one does not fit", body = Problem),
        (status = 404, description = "No such account", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 409, description = "It changed meanwhile", body = Problem),
        (status = 413, description = "Larger than passwords are", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn password(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Changed>, Problem> {
    let Path(name) = name?;
    let PasswordRequest { password, present } = json(&door, &headers, body).await?;
    let done = door.front.pipeline.set_password(&who, &name, &password, present.as_deref()).await;
    changed(&name, "password", done)
}

/// Stops an account: its sessions and keys end.
#[utoipa::path(
    post, path = "/v1/people/{name}/disable", tag = "people",
    params(("name" = String, Path, description = "The account")),
    responses(
        (status = 200, description = "It proves nothing, and this is on record", body = Changed),
        (status = 400, description = "No name", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Somebody who does not administer", body = Problem),
        (status = 404, description = "No such account", body = Problem),
        (status = 409, description = "The last one that administers, or it changed meanwhile", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn disable(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Changed>, Problem> {
    let Path(name) = name?;
    changed(&name, "disabled", door.front.pipeline.disable_person(&who, &name).await)
}

/// Lets an account sign in again, also where it was locked. What ended stays ended.
#[utoipa::path(
    post, path = "/v1/people/{name}/enable", tag = "people",
    params(("name" = String, Path, description = "The account")),
    responses(
        (status = 200, description = "It may sign in, and this is on record", body = Changed),
        (status = 400, description = "No name", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Somebody who does not administer", body = Problem),
        (status = 404, description = "No such account", body = Problem),
        (status = 409, description = "It changed meanwhile", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn enable(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Changed>, Problem> {
    let Path(name) = name?;
    changed(&name, "enabled", door.front.pipeline.enable_person(&who, &name).await)
}

/// Makes a key for an account. It is told once, here.
#[utoipa::path(
    post, path = "/v1/people/{name}/keys", tag = "people",
    params(("name" = String, Path, description = "The account")),
    request_body = KeyRequest,
    responses(
        (status = 200, description = "It counts, and this is on record", body = Key),
        (status = 400, description = "No label, an expiry that is over, or a body that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Somebody who does not administer", body = Problem),
        (status = 404, description = "No such account", body = Problem),
        (status = 408, description = "The body took too long", body = Problem),
        (status = 409, description = "As many keys as it may have, disabled, or it changed meanwhile", body = Problem),
        (status = 413, description = "Larger than a label is", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn key(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Path(name) = name?;
    let KeyRequest { label, expires_at } = json(&door, &headers, body).await?;
    let until = expires_at.as_deref().map(Instant::parse).transpose();
    let until = until.map_err(|error| Problem::bad_request(format!("`expiresAt`: {error}")))?;
    let token = door.front.pipeline.make_key(&who, &name, &label, until).await.map_err(refusal)?;
    let expires_at = until.map(|at| at.to_string());
    Ok(uncached(Json(Key { token: token.reveal().to_owned(), name, label, expires_at })))
}

/// Ends all sessions and keys of an account.
#[utoipa::path(
    delete, path = "/v1/people/{name}/credentials", tag = "people",
    params(("name" = String, Path, description = "The account: one's own, or any of whoever administers")),
    responses(
        (status = 200, description = "None of them counts, and this is on record", body = Changed),
        (status = 400, description = "No name", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Somebody else's", body = Problem),
        (status = 404, description = "No such account", body = Problem),
        (status = 409, description = "It changed meanwhile", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was changed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn revoke(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Changed>, Problem> {
    let Path(name) = name?;
    changed(&name, "revoked", door.front.pipeline.end_credentials(&who, &name).await)
}

fn changed(name: &str, change: &str, done: Result<(), AccountError>) -> Result<Json<Changed>, Problem> {
    done.map_err(refusal)?;
    Ok(Json(Changed { name: name.to_owned(), change: change.to_owned() }))
}

/// A body within its size and time. It has to call itself JSON, which no form of another
/// site can.
async fn json<T: DeserializeOwned>(door: &Door, headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::bad_request(
            "expected JSON with `content-type: application/json`; /v1/openapi.json shows what is expected",
        ));
    }
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > BODY_BYTES_MAX)) {
        return Err(Problem::too_large(announced, BODY_BYTES_MAX));
    }
    let bytes = read(door, body, BODY_BYTES_MAX).await?;
    // What is wrong, and not what stands there: it may be a password.
    unread::json(&bytes).map_err(Problem::bad_request)
}

fn uncached(body: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}

fn not_signed_in(error: SignInError) -> Problem {
    let said = error.to_string();
    match error {
        SignInError::Refused => Problem::new(StatusCode::UNAUTHORIZED, "not-signed-in", "Nobody was signed in", said),
        SignInError::Busy => Problem::busy(said),
        SignInError::Store(error) => account_refusal(error),
        SignInError::Record(_) | SignInError::Host(_) => {
            Problem::internal(&said, "nobody was signed in; try again later")
        }
    }
}

fn refusal(error: AccountError) -> Problem {
    let said = error.to_string();
    match error {
        AccountError::Denied(_) | AccountError::PresentPassword => Problem::forbidden(said),
        AccountError::Name(_)
        | AccountError::Role { .. }
        | AccountError::FirstAdministers { .. }
        | AccountError::Password { .. }
        | AccountError::Email(_)
        | AccountError::Label { .. }
        | AccountError::Expiry(_) => Problem::new(StatusCode::BAD_REQUEST, "account", "Not an account", said),
        AccountError::Busy => Problem::busy(said),
        AccountError::Store(error) => account_refusal(error),
        AccountError::Record(_) | AccountError::Host(_) => {
            Problem::internal(&said, "nothing was changed; try again later")
        }
    }
}

fn account_refusal(error: StoreError) -> Problem {
    match error {
        StoreError::UnknownPerson(_) => Problem::not_found(error.to_string()),
        StoreError::PersonExists(_)
        | StoreError::NotTheFirstPerson
        | StoreError::PersonMoved(_)
        | StoreError::PersonDisabled(_)
        | StoreError::LastAdministrator(_)
        | StoreError::TooManyKeys { .. } => {
            Problem::new(StatusCode::CONFLICT, "refused", "Refused as things are", error.to_string())
        }
        other => other.into(),
    }
}

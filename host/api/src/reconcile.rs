//! Whether systems say the same: how far each reconciliation is, and a run of one.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use portreeve_pipeline::reconcile::{Compared, LeftAside, Outcome, ReconcileError, Run, Unheard};
use portreeve_pipeline::{Pipeline, Reconciliation};
use portreeve_store::StoreError;
use portreeve_store::contract::{Figures, ReconciliationView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Door;
use crate::access::Person;
use crate::operator::to_its_end;
use crate::package::no_json;
use crate::problem::Problem;

/// What to do about a run of which nobody knows whether it is on record.
const LOOK_AT_THE_RUNS: &str = "see at /v1/reconciliations whether there was another run, and ask for one again";

/// Every reconciliation.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Reconciliations {
    /// In the order of the configuration.
    pub reconciliations: Vec<ReconciliationStanding>,
}

/// How far a reconciliation is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconciliationStanding {
    /// Its name.
    pub id: String,
    /// Of what: `stock`, `orders`, …
    pub of: String,
    /// What the one system is called; `this host` where it is what the host knows.
    pub left: String,
    /// What the other one is called.
    pub right: String,
    /// Minutes between runs of a host that serves; none where it runs only when somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_minutes: Option<u32>,
    /// Runs that are on record, those with them that only looked.
    pub runs: u64,
    /// When the last one was that did more than look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    /// What came of the last one that compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<ReconciliationFigures>,
}

/// What came of comparing. How accurate stock is between two systems is `agreeing` of `compared`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconciliationFigures {
    /// When the systems were asked.
    pub at: String,
    /// Keys that were compared.
    pub compared: u64,
    /// Those of them that both say the same of.
    pub agreeing: u64,
    /// Keys that differ and changed too lately to be judged.
    pub unsettled: u64,
    /// Keys that differ.
    pub differences: u64,
}

/// A run that is wanted.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunRequest {
    /// Whether it only looks, and files nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What came of a run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReconciliationRun {
    /// Of which reconciliation.
    pub reconciliation: String,
    /// Which run of it, from 1.
    pub run: u64,
    /// When it began.
    pub at: String,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Why nothing was compared; none where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<NotCompared>,
    /// Keys that were compared.
    pub compared: u64,
    /// Those of them that both say the same of.
    pub agreeing: u64,
    /// Keys that differ and changed too lately to be judged.
    pub unsettled: u64,
    /// Keys that differ; the first 500 stand in `differs`.
    pub differences: u64,
    /// What differs, by key.
    pub differs: Vec<Differs>,
    /// Differences that people hear of from this run on.
    pub opened: u64,
    /// Differences of earlier runs that are gone.
    pub closed: u64,
    /// Differences that somebody abandoned as they are.
    pub abandoned: u64,
    /// Differences beyond those that one run files.
    pub not_filed: u64,
    /// What of the other system's list was not compared with what this host knows, by reason: rows that are
    /// about no order of this host, as far as anybody can tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_aside: Vec<RowsLeftAside>,
}

/// Rows that were not compared.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RowsLeftAside {
    /// Stable code: `orders-of-others` where they are about orders that this host does not have, or about
    /// none; `orders-unresolved` where they name orders by numbers of which no channel's `orders_by` says
    /// whose they are.
    pub code: String,
    /// How many.
    pub rows: u64,
    /// One sentence, with the first few orders that they name.
    pub detail: String,
}

/// A list that was not whole.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct NotCompared {
    /// Whose.
    pub system: String,
    /// Stable code.
    pub code: String,
    /// One sentence.
    pub why: String,
}

/// A key that two systems do not say the same of.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Differs {
    /// The key.
    pub key: String,
    /// One sentence.
    pub detail: String,
}

/// Differences that an answer lists.
const DIFFERS_MAX: usize = 500;

impl Reconciliations {
    /// How far each is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(pipeline: &Pipeline) -> Result<Self, StoreError> {
        let found = pipeline.reconciliations().await?;
        let reconciliations = found.into_iter().map(|(entry, view)| ReconciliationStanding::of(entry, view)).collect();
        Ok(Self { reconciliations })
    }
}

impl ReconciliationStanding {
    fn of(entry: &Reconciliation, view: ReconciliationView) -> Self {
        Self {
            id: entry.id.clone(),
            of: entry.of.as_str().to_owned(),
            left: entry.left_system().to_owned(),
            right: entry.right.system.clone(),
            every_minutes: entry.every_minutes,
            runs: view.runs,
            last_at: view.last_at.map(|at| at.to_string()),
            compared: view.figures.map(ReconciliationFigures::of),
        }
    }
}

impl ReconciliationFigures {
    fn of(figures: Figures) -> Self {
        let Figures { at, compared, agreeing, unsettled, differences } = figures;
        Self { at: at.to_string(), compared, agreeing, unsettled, differences }
    }
}

impl ReconciliationRun {
    /// As people read it.
    #[must_use]
    pub fn of(run: Run) -> Self {
        let Run { reconciliation, run, at, is_dry, outcome } = run;
        let (found, not_compared) = match outcome {
            Outcome::Compared(found) => (found, None),
            Outcome::NotCompared(Unheard { system, code, why }) => {
                (Compared::default(), Some(NotCompared { system, code, why }))
            }
        };
        let differences = u64::try_from(found.differences.len()).unwrap_or(u64::MAX);
        let differs = found.differences.into_iter().take(DIFFERS_MAX);
        Self {
            reconciliation,
            run,
            at: at.to_string(),
            dry_run: is_dry,
            not_compared,
            compared: found.compared,
            agreeing: found.agreeing,
            unsettled: found.unsettled,
            differences,
            differs: differs.map(|(key, detail)| Differs { key, detail }).collect(),
            opened: found.opened,
            closed: found.closed,
            abandoned: found.abandoned,
            not_filed: found.not_filed,
            left_aside: found.left_aside.into_iter().map(RowsLeftAside::of).collect(),
        }
    }
}

impl RowsLeftAside {
    fn of(aside: LeftAside) -> Self {
        Self { code: aside.why.as_str().to_owned(), rows: aside.rows, detail: aside.detail }
    }
}

/// Lists reconciliations, and how far each is.
#[utoipa::path(
    get, path = "/v1/reconciliations", tag = "operators",
    responses(
        (status = 200, description = "All of them", body = Reconciliations),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn list(State(door): State<Arc<Door>>) -> Result<Json<Reconciliations>, Problem> {
    Ok(Json(Reconciliations::read(&door.front.pipeline).await?))
}

/// Compares what two systems have, and files what differs. The answer comes when both have listed
/// all that they have.
#[utoipa::path(
    post, path = "/v1/reconciliations/{reconciliation}/runs", tag = "operators",
    params(("reconciliation" = String, Path, description = "Its name")),
    request_body = RunRequest,
    responses(
        (status = 200, description = "The run is on record, also where nothing could be compared", body = ReconciliationRun),
        (status = 400, description = "No name, or a body that is none", body = Problem),
        (status = 401, description = "No session or key that counts", body = Problem),
        (status = 403, description = "Not by a person, or by one whose roles do not let", body = Problem),
        (status = 404, description = "No such reconciliation", body = Problem),
        (status = 409, description = "Another run is under way, or was faster", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 500, description = "Could not be put on record; nothing was filed", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("person" = []))
)]
pub(crate) async fn run(
    State(door): State<Arc<Door>>,
    Person(who): Person,
    reconciliation: Result<Path<String>, PathRejection>,
    request: Result<Json<RunRequest>, JsonRejection>,
) -> Result<Json<ReconciliationRun>, Problem> {
    let Path(reconciliation) = reconciliation?;
    let Json(RunRequest { dry_run }) = request.map_err(no_json)?;
    let work =
        async move { door.front.pipeline.reconcile(&reconciliation, Some(&who), dry_run).await.map_err(problem) };
    Ok(Json(ReconciliationRun::of(to_its_end(work, LOOK_AT_THE_RUNS).await??)))
}

fn problem(error: ReconcileError) -> Problem {
    match error {
        ReconcileError::Unknown(_) => Problem::not_found(error.to_string()),
        ReconcileError::Running | ReconcileError::Store(StoreError::ReconciliationMoved { .. }) => {
            Problem::new(StatusCode::CONFLICT, "reconciliation-running", "Another run is under way", error.to_string())
        }
        ReconcileError::Store(error) => error.into(),
        ReconcileError::Record(error) => Problem::internal(&error, LOOK_AT_THE_RUNS),
        ReconcileError::Blind(error) => Problem::internal(&error, LOOK_AT_THE_RUNS),
    }
}

//! What plugins may cause, what of it is used up, and what is kept back because of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use portreeve_pipeline::usage::{Budget, InUse, Used};
use portreeve_store::contract::OpenHolds;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Door;
use crate::problem::Problem;

/// Authority as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Authority {
    /// The version of the configuration that is active.
    configuration: u64,
    /// Digest of the grants and policies in force.
    digest: String,
    /// Whether an operator stopped all plugins.
    halted: bool,
    /// Every grant, in the order of the file, which is its precedence.
    grants: Vec<Grant>,
    /// What scorers see of orders.
    data: Vec<Data>,
    /// Holds on orders that are not released, by who holds and why; the oldest first.
    holds: Vec<Holds>,
}

/// What a plugin may cause.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Its name.
    pub id: String,
    /// The plugin.
    pub plugin: String,
    /// Who answers for it.
    pub owner: String,
    /// Its last day, UTC.
    pub expires: String,
    /// Whether that day is over: then it grants nothing.
    pub is_over: bool,
    /// One line: who may do what, how far, until when.
    pub summary: String,
    /// Its budgets. Another grant of the same plugin draws on the same counts.
    pub budgets: Vec<BudgetRow>,
}

/// A budget.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetRow {
    /// The grant's key.
    pub name: String,
    /// What is used up: holds or routes of the last hour, or minor units since midnight UTC.
    pub used: String,
    /// How far it goes. A share is told as the holds that it comes to now.
    pub most: String,
    /// What is left.
    pub left: String,
}

/// What a scorer sees.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Data {
    /// The scorer.
    plugin: String,
    /// The fields that it sees; the rest is masked.
    sees: Vec<&'static str>,
    /// Who answers for it.
    owner: String,
    /// Its last day, UTC.
    expires: String,
}

/// Open holds that are alike.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Holds {
    /// `policy`, `advice`, `route` or `spent-budget`.
    owner: String,
    /// The scorer, unless it is the host's own.
    plugin: Option<String>,
    /// The rule, or the owner once more where a scorer asked for it.
    reason: String,
    /// Who works on them.
    queue: String,
    /// How many there are.
    count: u64,
    /// Since when there is the oldest.
    oldest_at: String,
    /// How many of them are past their time: people should have decided.
    overdue: u64,
}

impl Authority {
    fn of(in_use: InUse<'_>, pipeline: &portreeve_pipeline::Pipeline) -> Self {
        let active = pipeline.plugins.now();
        let data = pipeline.authority.data_grants().iter().map(|data| Data {
            plugin: data.plugin.to_string(),
            sees: data.fields.words(),
            owner: data.owner.clone(),
            expires: data.expires.to_string(),
        });
        Self {
            configuration: active.configuration,
            digest: pipeline.authority.digest().to_string(),
            halted: pipeline.plugins.is_halted(),
            grants: in_use.grants.into_iter().map(Grant::of).collect(),
            data: data.collect(),
            holds: in_use.holds.into_iter().map(Holds::of).collect(),
        }
    }
}

impl Grant {
    pub(crate) fn of(used: Used<'_>) -> Self {
        let Used { grant, is_over, budgets } = used;
        Self {
            id: grant.id.clone(),
            plugin: grant.plugin.to_string(),
            owner: grant.owner.clone(),
            expires: grant.expires.to_string(),
            is_over,
            summary: grant.summary(),
            budgets: budgets.iter().map(BudgetRow::of).collect(),
        }
    }
}

impl BudgetRow {
    fn of(budget: &Budget) -> Self {
        let Budget { name, used, most } = budget;
        Self {
            name: (*name).to_owned(),
            used: used.to_string(),
            most: most.to_string(),
            left: budget.left().to_string(),
        }
    }
}

impl Holds {
    fn of(holds: OpenHolds) -> Self {
        let OpenHolds { owner, plugin, reason, queue, count, oldest_at, overdue } = holds;
        Self { owner, plugin, reason, queue, count, oldest_at: oldest_at.to_string(), overdue }
    }
}

/// What plugins may cause, how much of it they have used up, and what is kept back.
#[utoipa::path(
    get, path = "/v1/authority", tag = "operators",
    responses(
        (status = 200, description = "Grants with their budgets, data grants, open holds", body = Authority),
        (status = 401, description = "Neither the operator token nor a session or key that counts", body = Problem),
        (status = 429, description = "Busy; see Retry-After", body = Problem),
        (status = 503, description = "The store is unavailable; see Retry-After", body = Problem),
    ),
    security(("operator" = []), ("person" = []))
)]
pub(crate) async fn show(State(door): State<Arc<Door>>) -> Result<Json<Authority>, Problem> {
    let pipeline = &door.front.pipeline;
    Ok(Json(Authority::of(pipeline.in_use().await?, pipeline)))
}

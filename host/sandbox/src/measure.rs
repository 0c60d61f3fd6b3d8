//! The parts of a governed call, one by one, for the benchmark in `tests/bench`.
//!
//! A host has no use for them. They are the functions that a call is made of, not
//! copies, so that the benchmark measures what runs; and the engine's settings, so
//! that it compares with the same sandbox.

use std::sync::Arc;

use portreeve_model::advice::{Assessment, ScoringRequest};
use portreeve_model::id::{Digest, PluginKind};
use portreeve_model::reference::Row;

use crate::bindings::advice as wit;
use crate::call::Room;
use crate::capability::CallContext;
use crate::convert::{FromGuest, Meter, ToGuest};
use crate::host::Record;
use crate::limits::Limits;
use crate::outcome::{Call, CallFailure, Crossed};
use crate::plugin::Plugin;

/// The settings of the engine for this kind of plugin, as [`crate::Sandbox::new`] uses them.
#[must_use]
pub fn engine_config(kind: PluginKind, calls_at_once_max: u32) -> wasmtime::Config {
    crate::engine::usual_config(kind != PluginKind::Connector, calls_at_once_max)
}

/// Keeps the clock of the plugin's engines ticking until it is dropped, as a call does.
#[must_use]
pub fn ticking(plugin: &Plugin) -> impl Drop + '_ {
    plugin.loaded().engines.tick()
}

/// A call in which no guest runs: permit, store, limits, clocks, crossing.
pub async fn limits(plugin: &Plugin, context: &CallContext) -> Crossed<()> {
    match Room::prepare(plugin.loaded(), Call::Score, context, 0).await {
        Ok(room) => {
            let ended = room.clock.bounded(async { Ok(()) }).await;
            room.close(plugin.loaded(), Call::Score, ended, |(), _| Ok(()))
        }
        Err(failure) => crate::call::unstarted(plugin.loaded(), Call::Score, failure),
    }
}

/// Converts a request as a call does.
pub fn to_guest(request: &ScoringRequest) -> usize {
    let arena = bumpalo::Bump::with_capacity(4096);
    let converted = request.to_guest(&arena);
    std::hint::black_box(&converted).order.lines.len()
}

/// An assessment as a guest returns it: seven reasons, a hold and a recommendation.
#[must_use]
pub fn answer() -> Answer {
    let code = |index: i32| wit::Reason {
        code: format!("reason-number-{index}"),
        contribution_bp: 1_000 - index,
        line_number: None,
    };
    Answer(wit::Assessment {
        score_bp: 9_500,
        reasons: (0..7).map(code).collect(),
        proposals: vec![
            wit::Proposal::Hold(wit::Hold {
                scope: wit::HoldScope::Order,
                minutes: 1_440,
                reason: "reason-number-0".to_owned(),
            }),
            wit::Proposal::Recommend(wit::Recommendation::Review("fraud-review".to_owned())),
        ],
        model: None,
    })
}

/// What [`answer`] makes.
#[derive(Clone)]
pub struct Answer(wit::Assessment);

impl Answer {
    /// Converts and checks it as a call does.
    ///
    /// # Errors
    /// When it breaks the contract.
    pub fn into_assessment(self) -> Result<Assessment, CallFailure> {
        Ok(FromGuest::from_guest(self.0, &mut Meter::new(&Limits::DEFAULT))?)
    }
}

/// Counts and folds one look-up as a call does.
#[must_use]
pub fn transcript(table: &str, key: &str, row: &Arc<Row>) -> Digest {
    let mut record = Record::new(Limits::DEFAULT);
    let answer = Ok(Some(Arc::clone(row)));
    match record.looked_up(table.to_owned(), key.to_owned(), answer) {
        Ok(to_guest) => drop(std::hint::black_box(to_guest)),
        Err(stop) => drop(stop),
    }
    record.transcript()
}

//! Plugins that are not called, as far as people decide about it.
//!
//! A pause is this process's memory, and what waits for a person because of it is the store's.
//! So a host that begins, which knows of no pause, closes what an earlier one left; and a
//! person's word ends a pause after it is on record: a crash in between ends it as well.
//!
//! Danger: a pause may end while its exception is being opened, and begin again while it is
//! being closed: another component takes the place, an operator begins anew, the next call
//! goes well or does not. So what is written about pauses is written one after the other,
//! each time by what stands then, whatever turn it was that led to it; and what a write that
//! failed has left is found by whoever looks next, a minute later at the latest.

use portreeve_model::{Digest, PluginName};
use portreeve_record::LeafBody;
use portreeve_record::leaf::{Code, ExceptionLeaf};
use portreeve_store::StoreError;
use portreeve_store::contract::{CLEARED, ExceptionChange, ExceptionView, PauseAbout};
use tokio::sync::{Mutex, MutexGuard};

use super::{ExceptionError, Shown};
use crate::Pipeline;

/// Exceptions that are read together.
const PAGE: u32 = 64;

/// How often one is closed again that people work on meanwhile.
const TRIES_MAX: u32 = 8;

/// What is written about pauses, one after the other.
#[derive(Debug, Default)]
pub struct PauseRecords(Mutex<()>);

impl PauseRecords {
    pub(crate) async fn one(&self) -> MutexGuard<'_, ()> {
        self.0.lock().await
    }
}

impl Pipeline {
    /// Closes what waits because of pauses that do not stand any more: those of a host that is
    /// gone, of a component that is not called at all, of one that began anew.
    ///
    /// # Errors
    /// When the store fails. What was closed until then is on record.
    pub async fn close_pauses(&self) -> Result<(), ExceptionError> {
        let _one = self.pause_records.one().await;
        let (mut after, mut closed) = (0, Ok(()));
        loop {
            let open = self.store.paused_plugins(after, PAGE).await?;
            let Some((last, _)) = open.last() else { return closed };
            after = last.id;
            for (exception, pause) in open {
                // One that people keep working on keeps no other one open.
                closed = closed.and(self.close_pause(exception, pause).await);
            }
        }
    }

    /// Whether a component is active and its calls are paused: all of them, or those for a cause.
    pub(crate) fn is_paused(&self, plugin: &PluginName, component: Digest, cause: Option<&str>) -> bool {
        let plugins = self.plugins.now();
        let is_active = plugins.installed(plugin).is_some_and(|active| active.digest == component);
        is_active && self.quarantine.stands(component, cause)
    }

    async fn close_pause(&self, mut exception: ExceptionView, pause: PauseAbout) -> Result<(), ExceptionError> {
        for _ in 0..TRIES_MAX {
            if self.is_paused(&pause.plugin, pause.component, pause.cause.as_deref()) {
                return Ok(());
            }
            let at = self.clock.now();
            let leaf = ExceptionLeaf {
                queue: Some(Code::of(&exception.queue)),
                opened_at: Some(exception.opened_at),
                ..ExceptionLeaf::of(exception.id, Code::of(&exception.stage), Code::of(CLEARED))
            };
            match self.step_of_host(&exception, ExceptionChange::Cleared, LeafBody::Exception(leaf), at).await {
                // Somebody took a step about it meanwhile.
                Err(ExceptionError::Store(StoreError::ExceptionMoved { .. })) => {}
                Err(ExceptionError::Store(StoreError::ExceptionClosed { .. })) => return Ok(()),
                done => return done,
            }
            let Some(trail) = self.store.exception(exception.id).await? else { return Ok(()) };
            exception = trail.exception;
        }
        Err(StoreError::ExceptionMoved { exception: exception.id }.into())
    }

    /// Has the next call of a paused plugin tried, as a person decided.
    pub(super) fn try_paused(&self, shown: &Shown) {
        let Some(pause) = &shown.trail.about.plugin else { return };
        let now = self.clock.now();
        if self.quarantine.try_now(pause.component, pause.cause.as_deref(), now) {
            tracing::info!(plugin = %pause.plugin, component = %pause.component, "a person has a paused plugin tried");
            self.set_aside.wake(now);
        }
    }
}

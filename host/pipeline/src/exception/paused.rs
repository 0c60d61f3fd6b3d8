//! Plugins that are not called, as far as people decide about it.
//!
//! A pause is this process's memory, and what waits for a person because of it is the store's.
//! So a host that begins, which knows of no pause, closes what an earlier one left; and a
//! person's word ends a pause after it is on record: a crash in between ends it as well.

use portreeve_record::LeafBody;
use portreeve_record::leaf::{Code, ExceptionLeaf};
use portreeve_store::contract::{CLEARED, ExceptionChange};

use super::{ExceptionError, Shown};
use crate::Pipeline;

/// Exceptions that are closed together.
const PAGE: u32 = 64;

impl Pipeline {
    /// Closes what waits because of the pauses of a host that is gone.
    ///
    /// # Errors
    /// When the store fails. What was closed until then is on record.
    pub async fn forget_pauses(&self) -> Result<(), ExceptionError> {
        loop {
            let left = self.store.paused_plugins(PAGE).await?;
            if left.is_empty() {
                return Ok(());
            }
            for exception in left {
                let at = self.clock.now();
                let leaf = ExceptionLeaf {
                    queue: Some(Code::of(&exception.queue)),
                    opened_at: Some(exception.opened_at),
                    ..ExceptionLeaf::of(exception.id, Code::of(&exception.stage), Code::of(CLEARED))
                };
                self.step_of_host(&exception, ExceptionChange::Cleared, LeafBody::Exception(leaf), at).await?;
            }
        }
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

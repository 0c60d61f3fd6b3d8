//! Documents that the host itself failed on.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use portreeve_store::contract::DocumentPosition;

/// Documents that the host itself failed on, by an error or a panic. They would
/// fail again and again, so the next batch does nothing with them but open an
/// exception. A restart forgets them, and tries once more.
#[derive(Default)]
pub struct SetAside(Mutex<BTreeSet<DocumentPosition>>);

impl SetAside {
    pub(super) fn add(&self, positions: &BTreeSet<DocumentPosition>) {
        self.locked().extend(positions);
    }

    pub(super) fn has(&self, position: DocumentPosition) -> bool {
        self.locked().contains(&position)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeSet<DocumentPosition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Number ranges: control and document numbers, each given to one call only.
//!
//! The store leases numbers by the block, so that a hundred inputs side by side
//! don't wait for each other's commits. Within a run of the host a number that a
//! call drew and whose effect did not commit is given again; what is left of a
//! block when the host stops is skipped. A receiver of X12 sees gaps as what they
//! are, nothing lost: a repeated number it would throw away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use portreeve_sandbox::{Numbers, NumbersError};
use portreeve_store::Store;

/// Numbers that are leased at a time.
const BLOCK: u32 = 128;

/// What this host may still give out.
#[derive(Default)]
pub struct NumberRanges(Mutex<BTreeMap<String, Vec<u64>>>);

impl NumberRanges {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest number at hand.
    fn take(&self, range: &str) -> Option<u64> {
        self.locked().get_mut(range)?.pop()
    }

    /// Adds numbers; they are kept so that the lowest is the last.
    fn add(&self, range: &str, numbers: impl IntoIterator<Item = u64>) {
        let mut ranges = self.locked();
        let free = ranges.entry(range.to_owned()).or_default();
        free.extend(numbers);
        free.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
    }
}

/// The numbers of one call. What it drew goes back when it is dropped, unless a write
/// that names the numbers has begun.
pub(crate) struct Draw {
    store: Arc<dyn Store>,
    ranges: Arc<NumberRanges>,
    drawn: Mutex<Vec<(String, u64)>>,
}

impl Draw {
    pub(crate) fn new(store: &Arc<dyn Store>, ranges: &Arc<NumberRanges>) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(store), ranges: Arc::clone(ranges), drawn: Mutex::default() })
    }

    /// Takes the numbers out, for a write that names them: it goes on when whoever
    /// waits for it is gone, as a sender is who hangs up.
    pub(crate) fn spend(&self) -> Spent {
        Spent(std::mem::take(&mut *self.drawn()))
    }

    /// The write persisted nothing for certain: its numbers are as good as new.
    pub(crate) fn unspent(&self, spent: Spent) {
        self.drawn().extend(spent.0);
    }

    fn drawn(&self) -> MutexGuard<'_, Vec<(String, u64)>> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers that a write names. Dropped, they are given to nobody else.
pub(crate) struct Spent(Vec<(String, u64)>);

#[async_trait]
impl Numbers for Draw {
    async fn next(&self, range: &str) -> Result<u64, NumbersError> {
        let number = loop {
            if let Some(number) = self.ranges.take(range) {
                break number;
            }
            let leased = self.store.lease_numbers(range, BLOCK).await;
            let first = leased.map_err(|error| NumbersError::Unavailable(error.to_string()))?;
            self.ranges.add(range, first..first.saturating_add(u64::from(BLOCK)));
        };
        self.drawn().push((range.to_owned(), number));
        Ok(number)
    }
}

impl Drop for Draw {
    fn drop(&mut self) {
        for (range, number) in std::mem::take(&mut *self.drawn()) {
            self.ranges.add(&range, [number]);
        }
    }
}

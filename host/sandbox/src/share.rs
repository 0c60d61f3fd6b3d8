//! What one plugin may take of the host, over all of its versions.
//!
//! The attack is a plugin that is swapped: a version that begins with a share and a rate of
//! its own takes as much again beside what the one before has under way, as often as
//! somebody activates, rolls back or stages. So both are kept by the plugin's name, and
//! every version that is loaded refers to the same.
//!
//! Which limits bind is the newest version's *that was called*: one that is loaded to be
//! tried, and never called, changes nothing about the one that runs. From its first call on,
//! what is still under way of earlier versions counts for it, and what they still begin is
//! bound by its limits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portreeve_model::id::PluginName;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};

use crate::limits::to_usize;
use crate::rate::Rate;

/// The shares of all plugins of a sandbox. A name's stays when no version of it is loaded
/// any more, or disabling and activating would begin anew with the rate; they are bounded
/// by the names of packages that somebody trusted was made to load.
#[derive(Default)]
pub(crate) struct Shares {
    by_name: Mutex<BTreeMap<PluginName, Arc<Share>>>,
    versions: AtomicU64,
}

/// A loaded version's claim on the share of its plugin.
pub(crate) struct Claim {
    share: Arc<Share>,
    /// Its place among all versions that were loaded; later ones are higher.
    version: u64,
    calls_at_once: usize,
    calls_per_second: u64,
}

/// What all versions of a plugin have together.
pub(crate) struct Share {
    /// The newest version that was called; its limits bind.
    bound_by: AtomicU64,
    /// How many of its calls may run at once; held by whoever changes what binds.
    calls_at_once: Mutex<usize>,
    free: Semaphore,
    /// Permits that are out and do not come back: the limit became lower meanwhile.
    owed: AtomicUsize,
    rate: Rate,
    /// Whether a call of it was seen to fill what it grows.
    fills: AtomicBool,
}

/// The right to one call within the share.
pub(crate) struct Part<'a> {
    share: &'a Share,
    permit: Option<SemaphorePermit<'a>>,
}

impl Shares {
    /// The claim of a version that is loaded. The first one's limits are those that bind
    /// until a later one is called.
    pub(crate) fn claim(&self, name: &PluginName, calls_at_once: u64, calls_per_second: u64) -> Claim {
        let version = self.versions.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let calls_at_once = to_usize(calls_at_once);
        let new = || {
            Arc::new(Share {
                bound_by: AtomicU64::new(version),
                calls_at_once: Mutex::new(calls_at_once),
                free: Semaphore::new(calls_at_once),
                owed: AtomicUsize::new(0),
                rate: Rate::per_second(calls_per_second),
                fills: AtomicBool::new(false),
            })
        };
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let share = Arc::clone(by_name.entry(name.clone()).or_insert_with(new));
        Claim { share, version, calls_at_once, calls_per_second }
    }
}

impl Claim {
    /// What a call of this version is to begin with: the share, bound by its limits if it
    /// is the newest that was called.
    pub(crate) fn of_call(&self) -> &Share {
        if self.version > self.share.bound_by.load(Ordering::Acquire) {
            self.share.bind(self);
        }
        &self.share
    }
}

impl Share {
    fn bind(&self, claim: &Claim) {
        let mut calls_at_once = self.calls_at_once.lock().unwrap_or_else(PoisonError::into_inner);
        if claim.version <= self.bound_by.load(Ordering::Acquire) {
            return;
        }
        if let Some(more) = claim.calls_at_once.checked_sub(*calls_at_once) {
            // What is owed is given first: it is out already.
            let forgiven = (0..more).take_while(|_| self.pay()).count();
            self.free.add_permits(more.saturating_sub(forgiven));
        } else {
            // Nothing is cut short: what runs goes on to its end, and its permits are taken
            // out as they come back. Until so many have, no call begins.
            self.owed.fetch_add(calls_at_once.saturating_sub(claim.calls_at_once), Ordering::SeqCst);
            while let Ok(permit) = self.free.try_acquire() {
                if !self.pay() {
                    break;
                }
                permit.forget();
            }
        }
        *calls_at_once = claim.calls_at_once;
        self.rate.change(claim.calls_per_second);
        self.bound_by.store(claim.version, Ordering::Release);
    }

    /// Takes a call out of the rate; the error is how many there are in a second.
    pub(crate) fn begin(&self) -> Result<(), u64> {
        self.rate.take()
    }

    /// Whether a call of the plugin was seen to fill what it grows: from then on, whatever its
    /// version, it has slots that keep what was touched.
    pub(crate) fn fills(&self) -> bool {
        self.fills.load(Ordering::Relaxed)
    }

    /// A call was seen to fill what it grows; whether that is new.
    pub(crate) fn seen_to_fill(&self) -> bool {
        !self.fills.swap(true, Ordering::Relaxed)
    }

    /// Takes time out of the rate for what a call that is over costs others.
    pub(crate) fn spend(&self, us: u64) {
        self.rate.spend(us);
    }

    /// The right to one more call beside those that run, if there is one.
    pub(crate) fn try_part(&self) -> Result<Part<'_>, TryAcquireError> {
        loop {
            let permit = self.free.try_acquire()?;
            if let Some(part) = self.unless_owed(permit) {
                return Ok(part);
            }
        }
    }

    /// Waits for the right to one more call.
    pub(crate) async fn part(&self) -> Result<Part<'_>, AcquireError> {
        loop {
            let permit = self.free.acquire().await?;
            if let Some(part) = self.unless_owed(permit) {
                return Ok(part);
            }
        }
    }

    /// A permit that came back just when the limit became lower is found here.
    fn unless_owed<'a>(&'a self, permit: SemaphorePermit<'a>) -> Option<Part<'a>> {
        if self.pay() {
            permit.forget();
            return None;
        }
        Some(Part { share: self, permit: Some(permit) })
    }

    /// Whether a permit was owed that is not any more.
    fn pay(&self) -> bool {
        self.owed.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |owed| owed.checked_sub(1)).is_ok()
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.share.pay()
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn claim(shares: &Shares, calls_at_once: u64, calls_per_second: u64) -> Claim {
        shares.claim(&PluginName::parse("plugin").unwrap(), calls_at_once, calls_per_second)
    }

    /// How many more calls may begin beside those that run.
    fn room(claim: &Claim) -> usize {
        let parts: Vec<_> = std::iter::from_fn(|| claim.of_call().try_part().ok()).collect();
        parts.len()
    }

    /// How many calls the rate has left, as if no time had passed.
    fn left(claim: &Claim) -> usize {
        (0..1_000).filter(|_| claim.of_call().rate.take_at(0)).count()
    }

    #[test]
    fn two_versions_of_a_plugin_have_one_share_and_another_plugin_has_its_own() {
        let shares = Shares::default();
        let (first, second) = (claim(&shares, 2, 10), claim(&shares, 2, 10));
        let running = first.of_call().try_part().unwrap();
        assert_eq!((room(&second), room(&first)), (1, 1));
        drop(running);
        assert_eq!(room(&second), 2);
        let _running = first.of_call().try_part().unwrap();
        assert_eq!(room(&shares.claim(&PluginName::parse("other").unwrap(), 2, 10)), 2);
    }

    #[test]
    fn a_version_that_is_swapped_in_finds_what_the_one_before_left_of_the_second() {
        let shares = Shares::default();
        assert_eq!(left(&claim(&shares, 1, 100)), 100);
        for calls_per_second in [100, 10, 100] {
            assert_eq!(left(&claim(&shares, 1, calls_per_second)), 0, "{calls_per_second}");
        }
    }

    #[test]
    fn a_version_that_is_loaded_and_never_called_changes_nothing() {
        let shares = Shares::default();
        let running = claim(&shares, 3, 10);
        assert_eq!(room(&running), 3);
        let _tried = [claim(&shares, 1, 1), claim(&shares, 8, 1_000)];
        assert_eq!((room(&running), left(&running)), (3, 10));
    }

    #[test]
    fn a_lower_limit_cuts_nothing_short_and_lets_nothing_begin_until_enough_has_ended() {
        let shares = Shares::default();
        let first = claim(&shares, 4, 10);
        let mut running: Vec<_> = (0..4).map(|_| first.of_call().try_part().unwrap()).collect();
        let second = claim(&shares, 2, 10);
        for under_way in (0..=4).rev() {
            running.truncate(under_way);
            assert_eq!(room(&second), 2_usize.saturating_sub(under_way), "{under_way} under way");
        }
    }

    #[test]
    fn a_version_that_ends_its_work_is_bound_by_the_limits_of_the_one_after_it() {
        let shares = Shares::default();
        let (first, second) = (claim(&shares, 4, 10), claim(&shares, 2, 0));
        assert_eq!(room(&second), 2);
        assert_eq!((room(&first), first.of_call().begin()), (2, Err(0)));
    }

    #[test]
    fn limits_that_go_down_and_up_again_end_where_they_began() {
        for under_way in 0..=4 {
            let shares = Shares::default();
            let first = claim(&shares, 4, 10);
            let running: Vec<_> = (0..under_way).map(|_| first.of_call().try_part().unwrap()).collect();
            for calls_at_once in [1, 3, 0, 2, 4] {
                let expected = to_usize(calls_at_once).saturating_sub(under_way);
                let found = room(&claim(&shares, calls_at_once, 10));
                assert_eq!(found, expected, "{under_way} under way, {calls_at_once} allowed");
            }
            drop(running);
            assert_eq!(room(&first), 4);
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_part_gets_one_when_the_limit_is_raised() {
        let shares = Shares::default();
        let first = claim(&shares, 1, 10);
        let _running = first.of_call().try_part().unwrap();
        let second = claim(&shares, 2, 10);
        let raised = async { second.of_call() };
        let (waited, _) = tokio::join!(first.of_call().part(), raised);
        let waited = waited.unwrap();
        assert_eq!(room(&second), 0);
        drop(waited);
        assert_eq!(room(&second), 1);
    }
}

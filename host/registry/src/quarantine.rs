//! Quarantine: what fails again and again is not called for a while.
//!
//! ```text
//!            failures add up             the pause is over
//!   calling ────────────────▶ paused ◀─────────────────────▶ one call is tried
//!      ▲                        ▲   it failed: a longer pause     │
//!      └────────────────────────┼─────────────────────────────────┘
//!                               │        it did not fail
//! ```
//!
//! Danger: a component that traps at every call costs each input a sandbox and each order a
//! person, as fast as orders come. And one sender's poison, or one target that hangs, looks
//! just like that to whoever counts failures alone, and would stop the component for all
//! others. So failures are counted apart for each [`Cause`] in each export, and there are
//! two kinds of pauses:
//!
//! | what was seen | what is paused |
//! | --- | --- |
//! | the calls that one cause made necessary fail | this export, for this cause |
//! | those of two causes fail, and nobody's call in between came back well | the whole component |
//!
//! A call that came back well for somebody else is the proof that it is not the component.
//!
//! A component is known by its digest: a rollback begins with a clean sheet, and so does a
//! component that an operator activates again, whatever calls of it are under way then. Time
//! is the caller's. All of it is in memory; a restart forgets it, and the next failures add
//! up again. Nothing is kept of what does not fail, so a good call costs a look into a map
//! that is mostly empty, and memory is bounded by the senders and targets of the
//! configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portreeve_model::{ChannelId, Digest, Instant, SenderId};
use portreeve_sandbox::Call;

/// Failures in a row that open a pause: what cannot work at all is found within these calls.
pub const IN_A_ROW_MAX: u32 = 5;

/// Calls that are looked back at.
pub const LOOKED_BACK_AT: u32 = 32;

/// Failures among them that open it: what fails at every other call.
pub const AMONG_THE_LAST_MAX: u32 = 16;

/// The first pause. Long enough that a hanging target or a deploy may be over, short
/// enough that nobody has to be called for it.
pub const PAUSE_MS: i64 = 30_000;

/// The longest pause; it doubles after every call that was tried in vain.
pub const PAUSE_MS_MAX: i64 = 10 * Instant::MINUTE_MS;

/// Whose call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause<'a> {
    /// A sender's input is received, read or scored.
    Sender {
        /// Its channel.
        channel: &'a ChannelId,
        /// Its name there.
        sender: &'a SenderId,
    },
    /// Something is written for a target, delivered to it or looked up there.
    Target(&'a str),
    /// Somebody only looks: a stranger's challenge, an operator who has something read or
    /// decided again. Such a call counts for nothing and tries nothing, or anybody could
    /// stop a plugin; and while the calls that it is like are paused, it is not made.
    Looking {
        /// The channel.
        channel: &'a ChannelId,
        /// Whose input is looked at; none where it may be any sender's.
        sender: Option<&'a SenderId>,
    },
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender { channel, sender } | Self::Looking { channel, sender: Some(sender) } => {
                write!(f, "sender `{}` of channel `{channel}`", sender.as_str())
            }
            Self::Target(target) => write!(f, "target `{target}`"),
            Self::Looking { channel, sender: None } => write!(f, "channel `{channel}`"),
        }
    }
}

/// The calls of one export that somebody makes necessary, as people and exceptions name them.
#[must_use]
pub fn calls_of(call: Call, cause: Cause<'_>) -> String {
    format!("`{call}` for {cause}")
}

/// How much of a component a pause stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All calls.
    Component,
    /// One export's calls for one cause.
    Cause,
}

/// What happened to a component, or to its calls for one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is not called before this time.
    Quarantined {
        /// When one call is tried.
        until: Instant,
        /// How much of it.
        scope: Scope,
    },
    /// It is called again.
    Restored {
        /// How much of it.
        scope: Scope,
    },
}

/// Why a call may not be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused {
    /// When to ask again.
    pub until: Instant,
    /// How much is not called.
    pub scope: Scope,
}

/// A pause as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Of which component.
    pub component: Digest,
    /// When its next call is tried.
    pub until: Instant,
    /// Which export and for whom, where it is not the whole component.
    pub of: Option<(Call, String)>,
}

/// What was seen of components lately, by digest. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Quarantine(Arc<Mutex<BTreeMap<Digest, Component>>>);

/// A component of which something failed lately.
#[derive(Debug, Default)]
struct Component {
    /// Changes where everything begins anew: what began before says nothing any more.
    generation: u64,
    /// Of all of it.
    pause: Option<Pause>,
    exports: BTreeMap<Call, Export>,
}

#[derive(Debug, Default)]
struct Export {
    /// Calls that came back well, of causes that are not paused.
    good: u64,
    senders: BTreeMap<ChannelId, BTreeMap<SenderId, Sheet>>,
    targets: BTreeMap<String, Sheet>,
}

/// A cause of which one of the last calls failed, or that is paused.
#[derive(Debug, Clone, Copy, Default)]
struct Sheet {
    /// The last calls, newest in the lowest bit; 1 is a failure.
    last: u32,
    pause: Option<Pause>,
    /// The export's `good` when the pause began.
    good_before: u64,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length_ms: i64,
    /// One call is under way to see whether it works again.
    trying: bool,
}

/// The right to make one call. Whoever drops it without saying how the call ended gives a
/// call that was to be tried back.
#[derive(Debug)]
#[must_use]
pub struct Pass<'a> {
    of: Quarantine,
    component: Digest,
    call: Call,
    cause: Cause<'a>,
    generation: u64,
    /// The pause that the call may end.
    trial: Option<Scope>,
    said: bool,
}

impl Quarantine {
    /// Asks for a call of a component.
    ///
    /// # Errors
    /// [`Paused`] while it is in quarantine, as a whole or for this cause, and while another
    /// call tries it.
    pub fn pass<'a>(
        &self,
        component: Digest,
        call: Call,
        cause: Cause<'a>,
        now: impl FnOnce() -> Instant,
    ) -> Result<Pass<'a>, Paused> {
        let pass =
            |generation, trial| Pass { of: self.clone(), component, call, cause, generation, trial, said: false };
        let mut components = self.components();
        // Nearly always, and then nobody needs to know the time.
        let Some(seen) = components.get_mut(&component) else { return Ok(pass(0, None)) };
        let trial = seen.open(call, cause, now)?.filter(|_| !matches!(cause, Cause::Looking { .. }));
        if let Some(pause) = trial.and_then(|scope| seen.pause_mut(scope, call, cause)) {
            pause.trying = true;
        }
        Ok(pass(seen.generation, trial))
    }

    /// Why a component is not called now; none when it is, or may be tried. Asking takes no
    /// call.
    #[must_use]
    pub fn paused_for(
        &self,
        component: Digest,
        call: Call,
        cause: Cause<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Paused> {
        self.components().get(&component)?.open(call, cause, now).err()
    }

    /// Begins anew with a component, as when an operator activates it. Its calls that are
    /// under way, one that tries it among them, say nothing any more.
    pub fn forget(&self, component: Digest) {
        self.components().entry(component).or_default().begin_anew();
    }

    /// Has the next call tried, as if the pause were over: that of all calls, or that of the
    /// calls that [`calls_of`] names so. False where there is no such pause.
    pub fn try_now(&self, component: Digest, of: Option<&str>, now: Instant) -> bool {
        let mut components = self.components();
        let Some(pause) = components.get_mut(&component).and_then(|seen| seen.named(of)) else { return false };
        pause.until = pause.until.min(now);
        true
    }

    /// Whether such a pause stands, named as for [`Self::try_now`].
    #[must_use]
    pub fn stands(&self, component: Digest, of: Option<&str>) -> bool {
        self.components().get_mut(&component).and_then(|seen| seen.named(of)).is_some()
    }

    /// All pauses.
    #[must_use]
    pub fn paused(&self) -> Vec<Standing> {
        let mut standing = Vec::new();
        for (digest, component) in self.components().iter() {
            let mut add = |pause: &Pause, of| standing.push(Standing { component: *digest, until: pause.until, of });
            if let Some(pause) = &component.pause {
                add(pause, None);
            }
            for (call, export) in &component.exports {
                for (cause, sheet) in export.sheets() {
                    if let Some(pause) = &sheet.pause {
                        add(pause, Some((*call, cause.to_string())));
                    }
                }
            }
        }
        standing
    }

    /// For how many causes, export by export, a component is paused.
    #[must_use]
    pub fn causes_paused(&self, component: Digest) -> usize {
        let components = self.components();
        let exports = components.get(&component).into_iter().flat_map(|seen| seen.exports.values());
        exports.flat_map(Export::sheets).filter(|(_, sheet)| sheet.pause.is_some()).count()
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<Digest, Component>> {
        // Whoever panicked left a sheet with one call too few.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Says how the call ended; what follows from it is to be put on record.
    pub fn ended(mut self, failed: bool, now: impl FnOnce() -> Instant) -> Option<Turn> {
        self.said = true;
        if matches!(self.cause, Cause::Looking { .. }) {
            return None;
        }
        let mut components = self.of.components();
        // Nearly always: a good call, and nothing failed before.
        if !failed && !components.contains_key(&self.component) {
            return None;
        }
        let component = components.entry(self.component).or_default();
        let turn = component.ended(&self, failed, now);
        if component.is_blank() {
            components.remove(&self.component);
        }
        turn
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(scope) = self.trial.filter(|_| !self.said)
            && let Some(component) = self.of.components().get_mut(&self.component)
            && component.generation == self.generation
            && let Some(pause) = component.pause_mut(scope, self.call, self.cause)
        {
            pause.trying = false;
        }
    }
}

impl Component {
    /// Whether a call may be made; of what, where it would be the one that is tried.
    fn open(&self, call: Call, cause: Cause<'_>, now: impl FnOnce() -> Instant) -> Result<Option<Scope>, Paused> {
        let of_cause = || self.exports.get(&call).and_then(|export| export.pause_of(cause));
        let whole = self.pause.map(|pause| (Scope::Component, pause));
        let Some((scope, pause)) = whole.or_else(|| of_cause().map(|pause| (Scope::Cause, pause))) else {
            return Ok(None);
        };
        let now = now();
        if pause.trying || pause.until > now {
            return Err(Paused { until: pause.until.max(now.plus_ms(1)), scope });
        }
        Ok(Some(scope))
    }

    /// The pause of all calls, or of those that [`calls_of`] names so.
    fn named(&mut self, of: Option<&str>) -> Option<&mut Pause> {
        let Some(name) = of else { return self.pause.as_mut() };
        self.exports.iter_mut().find_map(|(call, export)| {
            let mut sheets = export.sheets_mut();
            sheets.find(|(cause, _)| calls_of(*call, *cause) == name)?.1.pause.as_mut()
        })
    }

    fn pause_mut(&mut self, scope: Scope, call: Call, cause: Cause<'_>) -> Option<&mut Pause> {
        match scope {
            Scope::Component => self.pause.as_mut(),
            Scope::Cause => self.exports.get_mut(&call)?.sheet_mut(cause)?.pause.as_mut(),
        }
    }

    fn ended(&mut self, pass: &Pass<'_>, failed: bool, now: impl FnOnce() -> Instant) -> Option<Turn> {
        // What began before everything began anew says nothing about what is now.
        if self.generation != pass.generation {
            return None;
        }
        match (pass.trial, failed) {
            (Some(Scope::Component), true) => Some(self.pause_all(now(), longer(self.pause))),
            (Some(Scope::Component), false) => {
                self.begin_anew();
                Some(Turn::Restored { scope: Scope::Component })
            }
            (trial, true) => {
                let export = self.exports.entry(pass.call).or_default();
                let length_ms = export.failed(pass.cause, trial.is_some())?;
                if export.another_fails(pass.cause) {
                    return Some(self.pause_all(now(), PAUSE_MS));
                }
                Some(export.pause(pass.cause, Pause::of(now(), length_ms)))
            }
            (trial, false) => {
                let export = self.exports.get_mut(&pass.call)?;
                let turn = export.went_well(pass.cause, trial.is_some());
                if export.is_blank() {
                    self.exports.remove(&pass.call);
                }
                turn
            }
        }
    }

    fn pause_all(&mut self, now: Instant, length_ms: i64) -> Turn {
        self.begin_anew();
        let pause = Pause::of(now, length_ms);
        self.pause = Some(pause);
        Turn::Quarantined { until: pause.until, scope: Scope::Component }
    }

    fn begin_anew(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::default() };
    }

    /// Whether it is as if it had never been seen. One that began anew is not: calls may
    /// be under way that began before.
    fn is_blank(&self) -> bool {
        self.generation == 0 && self.pause.is_none() && self.exports.is_empty()
    }
}

impl Export {
    /// Notes a failure; the length of the pause that it opens, if it opens one.
    fn failed(&mut self, cause: Cause<'_>, trial: bool) -> Option<i64> {
        let sheet = match cause {
            Cause::Sender { channel, sender } => {
                self.senders.entry(channel.clone()).or_default().entry(sender.clone()).or_default()
            }
            Cause::Target(target) => self.targets.entry(target.to_owned()).or_default(),
            Cause::Looking { .. } => return None,
        };
        if trial {
            return Some(longer(sheet.pause));
        }
        // What began before the pause says nothing new.
        if sheet.pause.is_some() {
            return None;
        }
        sheet.last = (sheet.last << 1) | 1;
        sheet.is_full().then_some(PAUSE_MS)
    }

    /// Whether it is the component: another cause is paused as well, and since its pause began
    /// nobody's call came back well.
    fn another_fails(&self, cause: Cause<'_>) -> bool {
        self.sheets().any(|(other, sheet)| other != cause && sheet.pause.is_some() && sheet.good_before == self.good)
    }

    fn pause(&mut self, cause: Cause<'_>, pause: Pause) -> Turn {
        let good_before = self.good;
        if let Some(sheet) = self.sheet_mut(cause) {
            *sheet = Sheet { last: 0, pause: Some(pause), good_before };
        }
        Turn::Quarantined { until: pause.until, scope: Scope::Cause }
    }

    /// Notes that a call came back well.
    fn went_well(&mut self, cause: Cause<'_>, trial: bool) -> Option<Turn> {
        if let Some(sheet) = self.sheet_mut(cause) {
            // What began before the pause says nothing new.
            if sheet.pause.is_some() && !trial {
                return None;
            }
            sheet.last <<= 1;
            if trial || sheet.last == 0 {
                self.remove(cause);
            }
        }
        self.good = self.good.saturating_add(1);
        trial.then_some(Turn::Restored { scope: Scope::Cause })
    }

    fn sheet_mut(&mut self, cause: Cause<'_>) -> Option<&mut Sheet> {
        match cause {
            Cause::Sender { channel, sender } => self.senders.get_mut(channel)?.get_mut(sender),
            Cause::Target(target) => self.targets.get_mut(target),
            Cause::Looking { .. } => None,
        }
    }

    fn remove(&mut self, cause: Cause<'_>) {
        match cause {
            Cause::Sender { channel, sender } => {
                if let Some(senders) = self.senders.get_mut(channel) {
                    senders.remove(sender);
                    if senders.is_empty() {
                        self.senders.remove(channel);
                    }
                }
            }
            Cause::Target(target) => {
                self.targets.remove(target);
            }
            Cause::Looking { .. } => {}
        }
    }

    /// What keeps this cause's calls back; of several senders', what does so the longest.
    fn pause_of(&self, cause: Cause<'_>) -> Option<Pause> {
        match cause {
            Cause::Sender { channel, sender } | Cause::Looking { channel, sender: Some(sender) } => {
                self.senders.get(channel)?.get(sender)?.pause
            }
            Cause::Target(target) => self.targets.get(target)?.pause,
            Cause::Looking { channel, sender: None } => {
                let pauses = self.senders.get(channel)?.values().filter_map(|sheet| sheet.pause);
                pauses.max_by_key(|pause| pause.until)
            }
        }
    }

    fn sheets(&self) -> impl Iterator<Item = (Cause<'_>, &Sheet)> {
        let senders = self.senders.iter().flat_map(|(channel, senders)| {
            senders.iter().map(move |(sender, sheet)| (Cause::Sender { channel, sender }, sheet))
        });
        senders.chain(self.targets.iter().map(|(target, sheet)| (Cause::Target(target), sheet)))
    }

    fn sheets_mut(&mut self) -> impl Iterator<Item = (Cause<'_>, &mut Sheet)> {
        let senders = self.senders.iter_mut().flat_map(|(channel, senders)| {
            senders.iter_mut().map(move |(sender, sheet)| (Cause::Sender { channel, sender }, sheet))
        });
        senders.chain(self.targets.iter_mut().map(|(target, sheet)| (Cause::Target(target), sheet)))
    }

    fn is_blank(&self) -> bool {
        self.senders.is_empty() && self.targets.is_empty()
    }
}

impl Sheet {
    fn is_full(&self) -> bool {
        self.last.trailing_ones() >= IN_A_ROW_MAX || self.last.count_ones() >= AMONG_THE_LAST_MAX
    }
}

impl Pause {
    fn of(now: Instant, length_ms: i64) -> Self {
        Self { until: now.plus_ms(length_ms), length_ms, trying: false }
    }
}

/// The pause after one that a call was tried after in vain.
fn longer(pause: Option<Pause>) -> i64 {
    pause.map_or(PAUSE_MS, |pause| pause.length_ms.saturating_mul(2).min(PAUSE_MS_MAX))
}

#[cfg(test)]
mod tests;

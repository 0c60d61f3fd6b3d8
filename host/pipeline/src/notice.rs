//! Notices: whoever works elsewhere hears by webhook of what waits for a person.
//!
//! ```text
//! exceptions, steps ──place──▶ next ──wanted?──▶ sign ─▶ send ─2xx─▶ place moves on
//!                       ▲                                 │
//!                       └──── a longer wait each time ◀───┘
//! ```
//!
//! Nothing is written when something happens: what is told is read from what the store has
//! anyway, from the place on where a subscriber stands, and the place moves only after it
//! answered 2xx. So a notice comes at least once and in order, survives a crash, and comes
//! again with the same id where nobody knows whether it came. Each subscriber has a place
//! and a pace of its own; one that is down keeps nobody else back.
//!
//! A notice says which exception, in which queue, where it stands *when it is sent*, and where
//! to look. It holds nothing of what a sender, a guest or a person says in words.
//!
//! It changes nothing and decides nothing, so it has no leaf: the log says already what it tells.
//!
//! Danger: a notice that a subscriber never takes must not keep the later ones back for good.
//! One that was refused for what it is so often, or that is older than three days, is left
//! out, visibly.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use portreeve_model::{Digest, ExceptionAction, Instant};
use portreeve_record::{RecordError, canonical_json};
use portreeve_store::StoreError;
use portreeve_store::contract::{CLEARED, Happened, Happening};
use serde::{Deserialize, Serialize};

use crate::Pipeline;
pub use crate::egress::WayOfNotices;
use crate::egress::{Resolver, SecretSource, Sent, Webhook, needs_tls, problem};
use crate::route::RouteOwner;

/// What happened is looked at in pages of so much.
const PAGE: u32 = 64;

/// The first wait after a notice that was not taken.
const BACKOFF_MS: u64 = 5_000;

/// The longest one of the host's own: who comes back after a night hears so soon.
const BACKOFF_MS_MAX: u64 = 15 * 60_000;

/// The longest wait that a subscriber may ask for: one that says "next year" asks for silence.
const RETRY_AFTER_MS_MAX: i64 = 60 * Instant::MINUTE_MS;

/// The longest wait of all. What is further off is of a clock that was set back since.
const WAIT_MS_MAX: i64 = RETRY_AFTER_MS_MAX;

/// A notice that is older than this when it is not taken is left out: a weekend and a day.
const KEPT_MS: i64 = 3 * Instant::DAY_MS;

/// How often one is sent that is refused for what it is, before it is left out.
const REFUSALS_MAX: u32 = 8;

/// Who takes notices, and which (`[[notice]]` of `portreeve.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeEntry {
    /// Its name, for good: under it the host remembers how far it was told.
    pub id: String,
    /// Where notices are sent.
    pub url: String,
    /// Only those of exceptions in these queues; empty means all.
    #[serde(default)]
    pub queues: Vec<String>,
    /// Only those of these events; empty means all.
    #[serde(default)]
    pub events: Vec<NoticeEvent>,
    /// Where the secret that signs them comes from.
    pub secret: SecretSource,
    /// Networks that are not public and that its name may lead to.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// Certificates of authorities in PEM that are trusted there beside the machine's.
    pub ca_file: Option<PathBuf>,
}

impl NoticeEntry {
    /// Whether it is reached over TLS.
    #[must_use]
    pub fn needs_tls(&self) -> bool {
        needs_tls(&self.url)
    }

    /// What is wrong with it beyond its grammar.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.id.is_empty() || self.id.len() > 64 || !self.id.bytes().all(letter) {
            problems.push("`id` is none; expected lower-case letters, digits and dashes".to_owned());
        }
        problems.extend(problem(&self.url).map(|wrong| format!("`url` {wrong}")));
        if self.ca_file.is_some() && !self.needs_tls() {
            problems.push("`ca_file` has no effect on a `url` that is not https".to_owned());
        }
        problems
    }
}

/// What others hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeEvent {
    /// Something waits for a person.
    Opened,
    /// Nobody decided in time.
    Escalated,
    /// Others have to agree to something.
    Proposed,
    /// It is another queue's work.
    Rerouted,
    /// It was given to somebody.
    Assigned,
    /// What was proposed is over: withdrawn, refused, out of date or expired.
    ProposalEnded,
    /// Somebody decided, or a paused plugin is called again. Of an order some holds may be open still.
    Resolved,
}

impl NoticeEvent {
    /// What a happening is told as; none of what nobody is told of.
    fn of(what: &Happened) -> Option<Self> {
        let Happened::Step { step, .. } = what else { return Some(Self::Opened) };
        match step.as_str() {
            "escalated" => Some(Self::Escalated),
            "proposed" => Some(Self::Proposed),
            "rerouted" => Some(Self::Rerouted),
            "assigned" => Some(Self::Assigned),
            "withdrawn" | "refused" | "stale" | "expired" => Some(Self::ProposalEnded),
            CLEARED | "confirmed" => Some(Self::Resolved),
            other => ExceptionAction::parse(other).map(|_| Self::Resolved),
        }
    }

    fn as_type(self) -> &'static str {
        match self {
            Self::Opened => "exception.opened",
            Self::Escalated => "exception.escalated",
            Self::Proposed => "exception.proposed",
            Self::Rerouted => "exception.rerouted",
            Self::Assigned => "exception.assigned",
            Self::ProposalEnded => "exception.proposal-ended",
            Self::Resolved => "exception.resolved",
        }
    }
}

/// A subscriber that cannot be told anything.
#[derive(Debug, thiserror::Error)]
#[error("the notices to `{subscriber}`: {why}")]
pub struct UnusableNotice {
    subscriber: String,
    why: String,
}

/// Everybody who is told.
#[derive(Default)]
pub struct Notices(Vec<Arc<Subscriber>>);

/// Somebody who is told.
pub struct Subscriber {
    id: String,
    /// The origin of the log, which no other installation has.
    log: String,
    queues: BTreeSet<String>,
    events: BTreeSet<NoticeEvent>,
    hook: Webhook,
    waits: Mutex<Waits>,
}

/// How it went lately; a restart begins anew.
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// Nothing is sent before.
    until: Instant,
    /// Notices in a row that were not taken.
    failures: u32,
    /// How often the next one was refused for what it is.
    refusals: u32,
}

const AT_ONCE: Waits = Waits { until: Instant(i64::MIN), failures: 0, refusals: 0 };

/// What came of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Notices that were taken.
    pub sent: u64,
    /// Notices that were left out.
    pub skipped: u64,
}

/// The body of a notice.
///
/// ```json
/// {"data":{"code":"price-out-of-tolerance","dueAt":"2026-03-02T21:00:00.000Z","exception":"12",
///  "isOpen":true,"kind":"held","orderNumber":"PO-1","path":"/console/exceptions/12",
///  "queue":"pricing","routeOwner":{"name":"order-desk@distributor.example","part":"business"}},"timestamp":"2026-03-02T08:00:00.000Z","type":"exception.opened"}
/// ```
///
/// `who` is the account of a step, `from` the queue whose work it was until a step that made it
/// another's, `to` the account or queue that a step is addressed to, `decided` the action of a
/// decision, `cleared`, or how a proposal ended. `routeOwner` is there where the configuration names
/// owners.
#[derive(Debug, Serialize)]
struct Notice<'a> {
    r#type: &'a str,
    timestamp: String,
    data: NoticeData<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NoticeData<'a> {
    exception: String,
    kind: &'a str,
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_owner: Option<NoticeOwner<'a>>,
    code: &'a str,
    is_open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<&'a str>,
    path: String,
}

/// Who answers for it on its route.
#[derive(Debug, Serialize)]
struct NoticeOwner<'a> {
    part: &'a str,
    name: &'a str,
}

impl Notices {
    /// Reads each secret once.
    ///
    /// # Errors
    /// When one cannot be read or is no key.
    pub fn open(
        entries: Vec<(NoticeEntry, WayOfNotices)>,
        log: &str,
        base: &Path,
        resolver: &Arc<dyn Resolver>,
    ) -> Result<Self, UnusableNotice> {
        let subscriber = |(entry, way): (NoticeEntry, WayOfNotices)| {
            let hook = Webhook::open(way, base, Arc::clone(resolver))
                .map_err(|why| UnusableNotice { subscriber: entry.id.clone(), why })?;
            Ok(Arc::new(Subscriber {
                id: entry.id,
                log: log.to_owned(),
                queues: entry.queues.into_iter().collect(),
                events: entry.events.into_iter().collect(),
                hook,
                waits: Mutex::new(AT_ONCE),
            }))
        };
        Ok(Self(entries.into_iter().map(subscriber).collect::<Result<_, _>>()?))
    }

    /// Each of them.
    pub fn subscribers(&self) -> impl Iterator<Item = &Arc<Subscriber>> {
        self.0.iter()
    }
}

impl Subscriber {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is told as, where it wants to hear of it: those whose work it was then, and those
    /// whose work it is now.
    fn wants(&self, happening: &Happening) -> Option<NoticeEvent> {
        let then = match &happening.what {
            Happened::Opened => None,
            Happened::Step { queue, .. } => Some(queue),
        };
        let mut whose = then.into_iter().chain([&happening.exception.queue]);
        let of_queue = self.queues.is_empty() || whose.any(|queue| self.queues.contains(queue));
        let wanted = |event: &NoticeEvent| of_queue && (self.events.is_empty() || self.events.contains(event));
        NoticeEvent::of(&happening.what).filter(wanted)
    }

    /// The same for the same notice, however often and by whom it is sent. Without a full stop,
    /// which ends it in what is signed.
    fn notice_id(&self, happening: &Happening) -> String {
        let (what, number) = match happening.what {
            Happened::Opened => ("opened", happening.place.exception),
            Happened::Step { .. } => ("step", happening.place.step),
        };
        let (number, at) = (number.to_be_bytes(), happening.at.0.to_be_bytes());
        let digest = Digest::of_parts(&[self.log.as_bytes(), self.id.as_bytes(), what.as_bytes(), &number, &at]);
        let short = digest.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        format!("msg_{}", hex::encode(short))
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        // Whoever panicked left what was there before, or after.
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a notice was not taken. Whether it is to be left out.
    fn not_taken(&self, id: &str, happened_at: Instant, sent: &Sent, now: Instant) -> bool {
        let (about_the_notice, asked_ms) = match sent {
            // It was read, and would be read so again; all others may be over by then.
            Sent::Refused { status: 400 | 409 | 413 | 415 | 422, after_ms } => (true, *after_ms),
            Sent::Refused { after_ms, .. } => (false, *after_ms),
            Sent::Taken | Sent::Failed(_) => (false, None),
        };
        let mut waits = self.waits();
        waits.failures = waits.failures.saturating_add(1);
        waits.refusals = waits.refusals.saturating_add(u32::from(about_the_notice));
        let asked_ms = asked_ms.unwrap_or_default().min(RETRY_AFTER_MS_MAX);
        waits.until = now.plus_ms(backoff_ms(id, waits.failures).max(asked_ms));
        waits.refusals >= REFUSALS_MAX || now.0.saturating_sub(happened_at.0) >= KEPT_MS
    }

    /// Notes that the next notice is another one.
    fn leaves_out(&self) {
        let mut waits = self.waits();
        // Whoever says what is wrong with one is there, and may take the next one at once.
        *waits = if waits.refusals >= REFUSALS_MAX { AT_ONCE } else { Waits { refusals: 0, ..*waits } };
    }

    /// Whether it has to be waited for. A clock that was set back makes no wait longer.
    fn is_waited_for(&self, now: Instant) -> bool {
        let until = self.waits().until;
        now < until && until <= now.plus_ms(WAIT_MS_MAX)
    }

    /// Notes that it cannot be known how far it was told.
    fn not_noted(&self, now: Instant) {
        let mut waits = self.waits();
        waits.failures = waits.failures.saturating_add(1);
        waits.until = now.plus_ms(backoff_ms(&self.id, waits.failures));
    }
}

/// Doubles, with a spread of a quarter that follows from the notice: subscribers of many hosts
/// that were down together do not come back in the same second.
fn backoff_ms(id: &str, failures: u32) -> i64 {
    let doublings = failures.saturating_sub(1).min(20);
    let base = BACKOFF_MS.saturating_mul(1 << doublings).min(BACKOFF_MS_MAX);
    let seed = Digest::of_parts(&[id.as_bytes(), &failures.to_be_bytes()]);
    let spread = seed.as_bytes().first().copied().map_or(0, u64::from);
    i64::try_from(base + base * spread / 1024).unwrap_or(i64::MAX)
}

impl Pipeline {
    /// Has the store remember how far each subscriber was told; a new one stands at what has
    /// happened by now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin_notices(&self) -> Result<(), StoreError> {
        let subscribers = self.notices.subscribers().map(|subscriber| subscriber.id.clone());
        self.store.begin_notices(subscribers.collect()).await
    }

    /// Tells a subscriber everything that it was not told yet, one after the other, until
    /// nothing is left or it has to be waited for. Whoever drops it in the middle may have a
    /// notice sent once more.
    ///
    /// # Errors
    /// When the store fails; what was not noted by then is told again.
    pub async fn notify(&self, subscriber: &Subscriber) -> Result<Told, NotifyError> {
        let told = self.tell_all(subscriber).await;
        if told.is_err() {
            // What cannot be noted would come again at once.
            subscriber.not_noted(self.clock.now());
        }
        told
    }

    async fn tell_all(&self, subscriber: &Subscriber) -> Result<Told, NotifyError> {
        let mut told = Told::default();
        if subscriber.is_waited_for(self.clock.now()) {
            return Ok(told);
        }
        // Another configuration does without it.
        let Some(mut place) = self.store.notice_place(&subscriber.id).await? else { return Ok(told) };
        loop {
            let page = self.store.happenings(place, PAGE).await?;
            let Some(end) = page.last().map(|last| last.place) else { return Ok(told) };
            for happening in &page {
                let Some(event) = subscriber.wants(happening) else { continue };
                let next = self.tell(subscriber, happening, event).await?;
                match next {
                    Next::Taken => told.sent = told.sent.saturating_add(1),
                    Next::LeftOut => {}
                    Next::Waits => return Ok(told),
                }
                if !self.store.move_notices(&subscriber.id, place, happening.place).await? {
                    // Another host over this store tells it too, and was faster.
                    return Ok(told);
                }
                place = happening.place;
                if matches!(next, Next::Taken) {
                    *subscriber.waits() = AT_ONCE;
                } else {
                    subscriber.leaves_out();
                    told.skipped = told.skipped.saturating_add(1);
                    self.metrics.notices.skipped(&subscriber.id);
                    let (subscriber, exception) = (&subscriber.id, happening.exception.id);
                    tracing::error!(subscriber, exception, "a notice was never taken and is left out");
                }
                if subscriber.is_waited_for(self.clock.now()) {
                    return Ok(told);
                }
            }
            if place != end && !self.store.move_notices(&subscriber.id, place, end).await? {
                return Ok(told);
            }
            place = end;
        }
    }

    /// Sends one notice once.
    async fn tell(
        &self,
        subscriber: &Subscriber,
        happening: &Happening,
        event: NoticeEvent,
    ) -> Result<Next, NotifyError> {
        let id = subscriber.notice_id(happening);
        let body = body_of(happening, event, self.routes.owner_of(&happening.exception))?;
        let sent = subscriber.hook.send(&id, self.clock.now(), body).await;
        let why = match &sent {
            Sent::Taken => {
                self.metrics.notices.sent(&subscriber.id);
                return Ok(Next::Taken);
            }
            Sent::Refused { status, .. } => format!("it answered {status}"),
            Sent::Failed(why) => why.clone(),
        };
        self.metrics.notices.failed(&subscriber.id);
        let left_out = subscriber.not_taken(&id, happening.at, &sent, self.clock.now());
        let (subscriber, origin, exception) = (&subscriber.id, subscriber.hook.origin(), happening.exception.id);
        tracing::warn!(subscriber, origin, exception, notice = id, why, "a notice was not taken");
        Ok(if left_out { Next::LeftOut } else { Next::Waits })
    }
}

/// How it goes on after a notice.
enum Next {
    Taken,
    LeftOut,
    Waits,
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A body could not be written.
    #[error("the body of a notice could not be written: {0}")]
    Body(#[from] RecordError),
}

fn body_of(happening: &Happening, event: NoticeEvent, owner: Option<RouteOwner<'_>>) -> Result<Vec<u8>, RecordError> {
    let exception = &happening.exception;
    let (step, who, to, queue) = match &happening.what {
        Happened::Opened => (None, None, None, None),
        Happened::Step { step, who, to, queue } => (Some(step.as_str()), who.as_deref(), to.as_deref(), Some(queue)),
    };
    let moves = to.is_some() && matches!(event, NoticeEvent::Rerouted | NoticeEvent::Escalated);
    let notice = Notice {
        r#type: event.as_type(),
        timestamp: happening.at.to_string(),
        data: NoticeData {
            exception: exception.id.to_string(),
            kind: exception.kind.as_str(),
            queue: &exception.queue,
            route_owner: owner.map(|owner| NoticeOwner { part: owner.part.as_str(), name: owner.name }),
            code: &exception.code,
            is_open: exception.closed.is_none(),
            due_at: exception.due_at.map(|at| at.to_string()),
            order_number: exception.order_number.as_deref(),
            who,
            from: queue.filter(|from| moves && Some(from.as_str()) != to).map(String::as_str),
            to,
            decided: step.filter(|_| matches!(event, NoticeEvent::Resolved | NoticeEvent::ProposalEnded)),
            path: format!("/console/exceptions/{}", exception.id),
        },
    };
    canonical_json(&notice)
}

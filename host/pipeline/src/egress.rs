//! The way out: whether a guest's request leaves, where to, and as whom.
//!
//! ```text
//! URL ─read─▶ the target's origin? ─▶ granted to the plugin? ─▶ not too fast or too many, target not down?
//!     ─resolve once─▶ every address allowed? ─▶ pinned ─▶ signed ─▶ sent by the sandbox
//! ```
//!
//! Default deny: a request leaves if it is for the origin of the target that is being
//! delivered to *and* within a [`Destination`] that the platform team granted the plugin.
//! The host follows no redirect: a guest that does asks again, here.

mod address;
mod credential;
mod csrf;
mod destination;
mod jetstream;
mod kept;
mod oauth1;
mod pace;
mod resolver;
mod secret;
mod webhook;
mod window;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ipnet::IpNet;
use portreeve_model::{Instant, PluginName};
use portreeve_sandbox::{
    ClientTls, Egress, EgressRefused, EgressRequest, Ended, OutTray, Passage, Permitted, Signature, ToSign,
};

use self::credential::Credential;
use self::csrf::{Checked, NoSession, Session};
use self::destination::Asked;
use self::jetstream::Opening;
use self::pace::{Breaker, Bucket, Turn};
use self::resolver::TooMany;
use self::secret::Secret;
use self::window::Windows;
use crate::Clock;
use crate::metrics::EgressMetrics;
use crate::route::Target;

pub use credential::{CredentialEntry, Encoding, WebhookEntry};
pub use csrf::CsrfEntry;
pub use destination::{Destination, Origin, Refused};
pub(crate) use jetstream::{ANSWER_MS_MAX, NotPublished, Outgoing, Stream};
pub use jetstream::{NatsCredential, NatsEntry};
pub use oauth1::Oauth1Entry;
pub use pace::plugin_requests_per_second_default;
pub use resolver::{Resolver, SystemResolver};
pub use secret::{SecretError, SecretSource};
pub use webhook::WayOfNotices;
pub(crate) use webhook::{Sent, Webhook, needs_tls, origin_of, problem};
pub use window::{WindowEntry, window_problems};

/// Addresses of a name that are tried. A zone may have thousands.
const ADDRESSES_MAX: usize = 8;

/// Where a plugin may go, and how fast.
#[derive(Debug, Clone)]
pub struct Allowance {
    /// Its destinations.
    pub destinations: Vec<Destination>,
    /// Requests to all of them in a second.
    pub requests_per_second: u32,
}

/// A target, as far as the way to it goes.
pub struct WayTo {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Whom to trust there; needed where anything is https.
    pub tls: Option<ClientTls>,
    /// How the host proves itself.
    pub credential: Option<CredentialEntry>,
    /// The place of this host that takes its requests, where it has one.
    pub tray: Option<Arc<dyn OutTray>>,
}

/// A credential that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the credential of target `{target}`: {source}")]
pub struct UnusableCredential {
    /// The target.
    target: String,
    /// Why not.
    source: SecretError,
}

/// Every way out of this host.
pub struct Outbound {
    clock: Arc<dyn Clock>,
    resolver: Arc<dyn Resolver>,
    plugins: BTreeMap<PluginName, Allowance>,
    targets: BTreeMap<String, Way>,
    streams: BTreeMap<String, Arc<Stream>>,
    pace: Mutex<Pace>,
    windows: Arc<Windows>,
    metrics: EgressMetrics,
}

/// What is known of one target.
struct Way {
    origin: Origin,
    tls: Option<ClientTls>,
    credential: Option<Arc<Credential>>,
    tray: Option<Arc<dyn OutTray>>,
}

impl Way {
    /// The origins whose windows what goes this way may wait for.
    fn counted(&self) -> Vec<Origin> {
        let tokens = self.credential.as_ref().and_then(|credential| credential.token_origin());
        std::iter::once(self.origin.clone()).chain(tokens).collect()
    }
}

/// How much went out lately, and how it ended. As many entries as are configured.
#[derive(Default)]
struct Pace {
    plugins: BTreeMap<PluginName, Bucket>,
    hosts: BTreeMap<Origin, Bucket>,
    breakers: BTreeMap<(PluginName, Origin), Breaker>,
}

impl Outbound {
    /// Reads each credential once.
    ///
    /// # Errors
    /// When a secret cannot be read.
    pub fn open(
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn Resolver>,
        plugins: BTreeMap<PluginName, Allowance>,
        targets: BTreeMap<String, WayTo>,
        base: &std::path::Path,
        metrics: EgressMetrics,
    ) -> Result<Self, UnusableCredential> {
        let destinations = plugins.values().flat_map(|allowance| &allowance.destinations);
        let windows = Arc::new(Windows::of(Arc::clone(&clock), destinations));
        let mut ways = BTreeMap::new();
        for (id, WayTo { origin, tls, credential, tray }) in targets {
            let open = |entry| {
                let through = (tls.clone(), Arc::clone(&resolver), Arc::clone(&windows));
                Credential::open(entry, origin.clone(), PathBuf::from(base), through)
            };
            let credential = credential.map(open).transpose();
            let credential = credential.map_err(|source| UnusableCredential { target: id.clone(), source })?;
            ways.insert(id, Way { origin, tls, credential: credential.map(Arc::new), tray });
        }
        let (streams, pace) = (BTreeMap::new(), Mutex::default());
        Ok(Self { clock, resolver, plugins, targets: ways, streams, pace, windows, metrics })
    }

    /// Also the way to each subscriber that is a stream, for whom [`Outbound::open`] had a way. Reads
    /// each credential once.
    ///
    /// # Errors
    /// When a secret cannot be read.
    pub fn with_streams(mut self, targets: &[Target], base: &Path) -> Result<Self, UnusableCredential> {
        for target in targets {
            let Some((entry, answer_timeout_ms)) = target.stream() else { continue };
            let Some(Way { origin, tls, .. }) = self.targets.get(&target.id) else { continue };
            let (base, tls) = (PathBuf::from(base), tls.clone());
            let (resolver, clock) = (Arc::clone(&self.resolver), Arc::clone(&self.clock));
            let opening = Opening { tls, base, resolver, clock, answer_timeout_ms };
            let stream = Stream::open(&target.id, entry, origin.clone(), opening)
                .map_err(|source| UnusableCredential { target: target.id.clone(), source })?;
            self.streams.extend(stream.map(|stream| (target.id.clone(), Arc::new(stream))));
        }
        Ok(self)
    }

    /// The stream that a target is; none of any other.
    pub(crate) fn stream(&self, target: &str) -> Option<&Arc<Stream>> {
        self.streams.get(target)
    }

    /// The way to one target.
    #[must_use]
    pub fn to(self: &Arc<Self>, target: &str) -> Arc<dyn Egress> {
        Arc::new(ToTarget { out: Arc::clone(self), target: target.to_owned(), message: None, fill: None })
    }

    /// The same with a message that receivers of webhooks know by this id.
    #[must_use]
    pub fn to_with(self: &Arc<Self>, target: &str, message: String) -> Arc<dyn Egress> {
        Arc::new(ToTarget { out: Arc::clone(self), target: target.to_owned(), message: Some(message), fill: None })
    }

    /// The same where a secret, which no guest has, takes the place of a word in bodies, once in each.
    #[must_use]
    pub(crate) fn to_filling(self: &Arc<Self>, target: &str, word: &'static str, secret: Vec<u8>) -> Arc<dyn Egress> {
        let fill = Some(Fill { word, secret: Arc::from(secret) });
        Arc::new(ToTarget { out: Arc::clone(self), target: target.to_owned(), message: None, fill })
    }

    /// How many requests of a plugin to a target would be let through now: none while its breaker
    /// is open, one when somebody is to try, and what its window has for deliveries.
    pub(crate) fn room(&self, plugin: &PluginName, target: &str) -> u32 {
        if let Some(stream) = self.streams.get(target) {
            return stream.room();
        }
        let Some(way) = self.targets.get(target) else { return u32::MAX };
        let (key, now) = ((plugin.clone(), way.origin.clone()), self.clock.now());
        let by_breaker = self.pace(|pace| pace.breakers.get(&key).map_or(u32::MAX, |breaker| breaker.room(now)));
        by_breaker.min(self.windows.room(&way.origin))
    }

    /// When a window lets a request to a target through again, where it held one back since then: the
    /// target's own, or that of whoever gives its tokens.
    pub(crate) fn held_until(&self, target: &str, since: Instant) -> Option<Instant> {
        let way = self.targets.get(target)?;
        way.counted().iter().filter_map(|origin| self.windows.held_until(origin, since)).max()
    }

    /// That what is for a target waited for a window since then: the end of a sentence.
    pub(crate) fn was_full(&self, target: &str, since: Instant) -> Option<String> {
        let way = self.targets.get(target)?;
        way.counted().iter().find_map(|origin| self.windows.was_full(origin, since))
    }

    /// Whether there is anything to go by, and the first request of both buckets, the window and the
    /// breaker.
    fn enter(&self, plugin: &PluginName, allowance: &Allowance, there: &Destination) -> Result<Turn, EgressRefused> {
        let now = self.clock.now();
        let origin = &there.origin;
        self.pace(|pace| {
            let breaker = pace.breakers.entry((plugin.clone(), origin.clone())).or_default();
            // The breaker last: a probe that a bucket then stops would hold up the next one.
            let mut probe = *breaker;
            let turn = probe.enter(there.breaker_open_ms, now).map_err(|after_ms| EgressRefused::Later {
                after_ms,
                why: format!("`{origin}` failed {} times in a row; nothing is sent there now", there.breaker_failures),
            })?;
            let too_fast = |key: &str, per_second| {
                let why =
                    format!("`{plugin}` sends more than {per_second} requests in a second; `{key}` would allow more");
                move |after_ms| EgressRefused::Later { after_ms, why }
            };
            let (all, one) = (allowance.requests_per_second, there.requests_per_second);
            // The plugin's own bucket first: what it may not send takes nothing from the others
            // that share its host.
            let bucket = pace.plugins.entry(plugin.clone()).or_default();
            bucket.take(all, now).map_err(too_fast("requests_per_second` of its [[plugin]]", all))?;
            let bucket = pace.hosts.entry(origin.clone()).or_default();
            bucket.take(one, now).map_err(too_fast("requests_per_second` of its [[plugin.egress]]", one))?;
            // Then the window, which takes minutes to fill up again: what is held back by anything
            // else uses none of it.
            self.windows.take(origin).map_err(|full| full.refusal(origin))?;
            *breaker = probe;
            Ok(turn)
        })
    }

    fn pace<T>(&self, change: impl FnOnce(&mut Pace) -> T) -> T {
        change(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A word in bodies, and the secret that is sent in its place.
#[derive(Clone)]
struct Fill {
    word: &'static str,
    secret: Arc<[u8]>,
}

impl Fill {
    /// The body with the secret where the word stands first; none where it is not in it. A message
    /// names its secret once. The attack is a guest that sends the word again and again, in whose
    /// place the secrets would be many times the body that a guest may send.
    fn filled(&self, body: &[u8]) -> Option<Vec<u8>> {
        let word = self.word.as_bytes();
        let at = body.windows(word.len()).position(|window| window == word)?;
        let (before, from) = body.split_at_checked(at)?;
        Some([before, &*self.secret, from.get(word.len()..)?].concat())
    }
}

/// The way to one target.
struct ToTarget {
    out: Arc<Outbound>,
    target: String,
    message: Option<String>,
    fill: Option<Fill>,
}

#[async_trait]
impl Egress for ToTarget {
    async fn authorize(&self, request: EgressRequest<'_>) -> Result<Permitted, EgressRefused> {
        let permitted = self.permit(request).await;
        if let Err(refused) = &permitted {
            self.out.metrics.refused(request.plugin, refused);
        }
        permitted
    }
}

impl ToTarget {
    async fn permit(&self, request: EgressRequest<'_>) -> Result<Permitted, EgressRefused> {
        let (out, plugin) = (&self.out, request.plugin);
        let nowhere = || EgressRefused::Denied(format!("target `{}` is not configured", self.target));
        let way = out.targets.get(&self.target).ok_or_else(nowhere)?;

        let asked = Asked::read(request.url).map_err(denied)?;
        if asked.origin != way.origin {
            let (found, origin) = (asked.origin.to_string(), way.origin.clone());
            return Err(denied(Refused::OtherOrigin { found, origin }));
        }
        let allowance = out.plugins.get(plugin).ok_or_else(nowhere)?;
        let there = Destination::judge(plugin.as_str(), &allowance.destinations, request.method, &asked);
        let there = there.map_err(denied)?;
        let turn = out.enter(plugin, allowance, there)?;
        // From here on a probe is given back, whatever happens.
        let mut passage = Crossing {
            out: Arc::clone(out),
            plugin: plugin.clone(),
            there: there.clone(),
            turn,
            checked: Checked::default(),
            credential: way.credential.clone(),
            message: self.message.clone(),
            fill: self.fill.clone(),
            used: Mutex::default(),
            is_again: AtomicBool::new(false),
            is_over: Mutex::new(false),
        };

        if let Some(tray) = &way.tray {
            let (authority, path_and_query) = (asked.origin.authority(), asked.path_and_query);
            let (tray, passage) = (Some(Arc::clone(tray)), Box::new(passage));
            return Ok(Permitted { addresses: Vec::new(), authority, path_and_query, tls: None, tray, passage });
        }
        let found = resolved(&*out.resolver, &asked.origin).await.map_err(denied)?;
        let addresses = there.pin(&found).map_err(denied)?;
        let tls = match (asked.origin.is_https(), &way.tls) {
            (false, _) => None,
            (true, Some(tls)) => Some((tls.clone(), asked.origin.host_text())),
            (true, None) => return Err(nowhere()),
        };
        let authority = asked.origin.authority();
        let windows = Some((Arc::clone(&out.windows), asked.origin.clone()));
        passage.checked =
            Checked { addresses: addresses.clone(), tls: tls.clone(), authority: authority.clone(), windows };
        let (path_and_query, passage) = (asked.path_and_query, Box::new(passage));
        Ok(Permitted { addresses, authority, path_and_query, tls, tray: None, passage })
    }
}

/// The addresses of an origin: its own, or those of its name, asked for once.
async fn resolved(resolver: &dyn Resolver, origin: &Origin) -> Result<Vec<IpAddr>, Refused> {
    match (origin.address(), origin.name()) {
        (Some(address), _) => Ok(vec![address]),
        (None, name) => {
            let host = name.unwrap_or_default();
            let unresolved = |error: std::io::Error| {
                // The machine's own words are many and of any length; ours say what to do.
                let too_many = error.get_ref().and_then(|why| why.downcast_ref::<TooMany>());
                let why = too_many.map_or_else(|| error.kind().to_string(), ToString::to_string);
                Refused::Unresolved { host: host.to_owned(), why }
            };
            let mut found = resolver.resolve(host).await.map_err(unresolved)?;
            found.truncate(ADDRESSES_MAX);
            Ok(found)
        }
    }
}

fn denied(refused: Refused) -> EgressRefused {
    let why = refused.to_string();
    match refused {
        Refused::Address { .. } => EgressRefused::Address(why),
        Refused::Unresolved { .. } => EgressRefused::Unresolved(why),
        _ => EgressRefused::Denied(why),
    }
}

/// What a request was signed with last.
#[derive(Clone, Default)]
struct Used {
    secret: Option<Secret>,
    session: Option<Arc<Session>>,
}

/// One request that was let through.
struct Crossing {
    out: Arc<Outbound>,
    plugin: PluginName,
    there: Destination,
    turn: Turn,
    /// Where it goes, for a session that has to be begun there first.
    checked: Checked,
    credential: Option<Arc<Credential>>,
    /// The id of the message that goes out by it.
    message: Option<String>,
    fill: Option<Fill>,
    used: Mutex<Used>,
    /// Whether it was sent before. The first time was counted when it was let through.
    is_again: AtomicBool,
    is_over: Mutex<bool>,
}

#[async_trait]
impl Passage for Crossing {
    async fn sign(&self, request: ToSign<'_>) -> Result<Signature, EgressRefused> {
        if self.is_again.swap(true, Ordering::Relaxed) {
            let origin = &self.there.origin;
            self.out.windows.take(origin).map_err(|full| full.refusal(origin))?;
        }
        let Some(fill) = &self.fill else { return self.signed(request).await };
        // What is signed is what is sent.
        let body = fill.filled(request.body);
        let mut signature = self.signed(ToSign { body: body.as_deref().unwrap_or(request.body), ..request }).await?;
        signature.secrets.push(fill.secret.to_vec());
        signature.body = body;
        Ok(signature)
    }

    async fn renew(&self, status: u16) -> bool {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(credential) = &self.credential else { return false };
        match (status, used, &credential.csrf) {
            (401, Used { secret: Some(secret), .. }, _) => credential.renew(&secret, self.out.clock.now()).await,
            (403, Used { session: Some(session), .. }, Some(csrf)) => csrf.renew(&self.checked, &session).await,
            _ => false,
        }
    }

    fn ended(&self, ended: Ended) {
        // An answer that says "not me, not now" is a failure of the target, every other is not.
        let well = matches!(ended, Ended::Answered { status } if status < 500);
        let (now, there) = (self.out.clock.now(), &self.there);
        let key = (self.plugin.clone(), there.origin.clone());
        let open = self.out.pace(|pace| {
            let breaker = pace.breakers.entry(key).or_default();
            breaker.ended(self.turn, well, there.breaker_failures, there.breaker_open_ms, now);
            breaker.is_open()
        });
        *self.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.out.metrics.ended(&self.plugin, &there.origin, ended, open);
    }
}

impl Crossing {
    /// What the host adds of its credentials.
    async fn signed(&self, request: ToSign<'_>) -> Result<Signature, EgressRefused> {
        let Some(credential) = &self.credential else {
            // What looks like a credential is the host's, also where it has none.
            let reserved = vec!["authorization".to_owned()];
            return Ok(Signature { reserved, ..Signature::default() });
        };
        let now = self.out.clock.now();
        let (mut signature, mut secret) = credential.sign(request, self.message.as_deref(), now).await?;
        let mut session = self.join(credential, request.method, &mut signature).await;
        // Where a session begins, a secret that ran out is found out before the request is.
        if let (Err(none), Some(refused)) = (&session, &secret)
            && none.is_unauthorized()
            && credential.renew(refused, now).await
        {
            (signature, secret) = credential.sign(request, self.message.as_deref(), now).await?;
            session = self.join(credential, request.method, &mut signature).await;
        }
        let session = session.map_err(|none| {
            // It is the target that was asked, if anybody, and nothing else will be sent.
            if let Some(ended) = none.ended {
                self.ended(ended);
            }
            EgressRefused::from(none)
        })?;
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Used { secret, session };
        Ok(signature)
    }

    /// Adds the session, where the target has any.
    async fn join(
        &self,
        credential: &Credential,
        method: &str,
        signature: &mut Signature,
    ) -> Result<Option<Arc<Session>>, NoSession> {
        match &credential.csrf {
            Some(csrf) => csrf.join(&self.checked, method, signature).await,
            None => Ok(None),
        }
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        if !*self.is_over.lock().unwrap_or_else(PoisonError::into_inner) {
            let (key, now) = ((self.plugin.clone(), self.there.origin.clone()), self.out.clock.now());
            self.out.pace(|pace| pace.breakers.entry(key).or_default().abandoned(self.turn, now));
        }
    }
}

impl Destination {
    /// Where the host goes by itself.
    fn of_the_host(origin: Origin, addresses: Vec<IpNet>) -> Self {
        Self {
            origin,
            methods: Vec::new(),
            paths: Vec::new(),
            addresses,
            requests_per_second: pace::host_requests_per_second_default(),
            window: None,
            breaker_failures: pace::breaker_failures_default(),
            breaker_open_ms: pace::breaker_open_ms_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_secret_stands_where_its_word_stood_first_and_a_body_without_the_word_is_the_guests() {
        let fill = Fill { word: "here", secret: Arc::from(b"s3cret".as_slice()) };
        for (body, filled) in [
            ("{\"a\":\"here\"}", Some("{\"a\":\"s3cret\"}")),
            ("herehere her", Some("s3crethere her")),
            ("her here", Some("her s3cret")),
            ("here", Some("s3cret")),
            ("", None),
            ("her", None),
        ] {
            let found = fill.filled(body.as_bytes()).map(|filled| String::from_utf8(filled).unwrap());
            assert_eq!(found.as_deref(), filled, "{body}");
        }
    }
}

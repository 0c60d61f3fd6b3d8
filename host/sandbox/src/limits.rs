//! How much of everything a call may use.
//!
//! A plugin declares what it wants in its manifest, the platform team grants, and
//! [`Limits::smallest`] decides: a plugin gets the default unless it asks for less,
//! or asks for more *and* was granted more; nobody gets past the hard maximum,
//! which is what the pools are sized for. Each limit is declared once, with its unit
//! and the attack that it stops; one that nothing enforces does not belong here, and a
//! test has a hostile guest for each (`tests/it/hostile/limits.rs`).
//!
//! The stack cannot be chosen: it is a property of an engine, the same for every
//! plugin ([`STACK_BYTES`]). How deep a result nests is no limit at all: the types of
//! the contract do not refer to themselves, a component of other types does not load,
//! and one whose own types nest more than a hundred deep does not compile.

use portreeve_model::id::PluginKind;
use serde::{Deserialize, Serialize};

/// Bytes of guest stack. Unbounded recursion would otherwise overrun the stack
/// that the call shares with the host's own functions.
pub const STACK_BYTES: u64 = 512 * 1024;

/// Bytes of a component file. Compiling takes memory and time in proportion, and
/// happens outside any sandbox.
pub const COMPONENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Bytes of one log line; the rest of a longer one is cut at a character's boundary.
/// A line is copied into the journal and shown to people.
pub const LOG_LINE_BYTES_MAX: usize = 2048;

/// Bytes of a key of a connector's state: keys are indexed by the store.
pub const KV_KEY_BYTES_MAX: usize = 256;

/// Bytes of a URL, and of each part of one that a guest sets: the request keeps
/// the part in the host until it is sent or dropped, and the URL is recorded.
pub(crate) const URL_BYTES_MAX: usize = 4096;

/// Bytes of a method's or a scheme's name, for the same reason. The longest
/// registered method has 16.
pub(crate) const HTTP_NAME_BYTES_MAX: usize = 32;

/// Headers in a target's answer. A hostile target is as good an attacker as a
/// hostile guest.
pub(crate) const HTTP_HEADERS_MAX: usize = 64;

/// What one transfer out of a guest may have even where `output_bytes` is less:
/// a write to a request body, a value of its state.
pub(crate) const TRANSFER_BYTES_MIN: u64 = 128 * 1024;

/// Bytes that a guest may hand over in one write to a request body. The host keeps
/// up to two writes of each body that nobody sends.
pub(crate) const HTTP_CHUNK_BYTES_MAX: usize = 16 * 1024;

/// Random bytes that a guest may ask for at once: the host makes them before the
/// guest shows that it has room for them.
pub(crate) const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// Bytes that an output stream with nothing behind it says it takes at once.
pub(crate) const WRITE_BYTES_MAX: u64 = 64 * 1024;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A limit, for whoever has to know what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its key in a manifest and in a grant.
    pub name: &'static str,
    /// What its number counts.
    pub unit: &'static str,
    /// Whom it binds.
    pub binds: Binds,
    /// What a plugin gets that asks for nothing and was granted nothing.
    pub default: u64,
    /// The most that any grant can give.
    pub max: u64,
    /// The attack that it bounds.
    pub stops: &'static str,
}

/// The kinds of plugin that a limit binds; for the others it is a knob without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binds {
    /// Every kind.
    All,
    /// Those that talk to the network and keep numbers and state.
    Connectors,
    /// Those that give the same answer on every machine.
    ScorersAndTransformers,
}

impl Binds {
    /// Whether a plugin of this kind has the limit.
    #[must_use]
    pub fn binds(self, kind: PluginKind) -> bool {
        match self {
            Self::All => true,
            Self::Connectors => kind == PluginKind::Connector,
            Self::ScorersAndTransformers => kind != PluginKind::Connector,
        }
    }

    /// Who has it, as a sentence names them.
    #[must_use]
    pub fn who(self) -> &'static str {
        match self {
            Self::All => "plugin",
            Self::Connectors => "connector",
            Self::ScorersAndTransformers => "transformer or scorer",
        }
    }
}

/// Whose word a limit's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetBy {
    /// Nobody's: it is what everybody gets.
    Default,
    /// The plugin's own, which asked.
    Manifest,
    /// The platform team's.
    Grant,
    /// The host's: no grant gives more.
    HardMax,
    /// The host's: it is the same for every plugin.
    Host,
}

impl SetBy {
    /// In one or two words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Manifest => "manifest",
            Self::Grant => "grant",
            Self::HardMax => "hard maximum",
            Self::Host => "host",
        }
    }
}

/// A limit as it binds one plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Which; its `max` is that of the sandbox at hand.
    pub limit: Limit,
    /// What binds.
    pub value: u64,
    /// Whose word that is.
    pub set_by: SetBy,
    /// What the manifest asks for.
    pub asked: Option<u64>,
    /// What was granted.
    pub granted: Option<u64>,
}

/// Declares each limit once: its field, its optional form and how it is settled.
macro_rules! limits {
    ($(
        $(#[$doc:meta])*
        $name:ident: $unit:literal, default $default:expr, max $max:expr, binds $binds:ident,
        stops $stops:literal;
    )*) => {
        /// What one call may use, and how often and how many at once there may be.
        /// Made by [`Limits::smallest`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits {
            $(
                $(#[$doc])*
                ///
                #[doc = concat!("It stops ", $stops, ".")]
                pub $name: u64,
            )*
        }

        /// The limits that somebody named: a manifest's wishes or a grant.
        /// An unknown name is an error: a limit that nothing enforces helps nobody.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct LimitChoices {
            $(
                #[doc = concat!("See [`Limits::", stringify!($name), "`].")]
                pub $name: Option<u64>,
            )*
        }

        impl LimitChoices {
            /// Each limit and what was chosen.
            pub fn named(&self) -> impl Iterator<Item = (&'static Limit, Option<u64>)> {
                Limits::ALL.iter().zip([$(self.$name),*])
            }
        }

        impl Limits {
            /// Every limit that can be chosen, in the order of the documentation.
            pub const ALL: &[Limit] = &[$(Limit {
                name: stringify!($name),
                unit: $unit,
                binds: Binds::$binds,
                default: $default,
                max: $max,
                stops: $stops,
            }),*];

            /// The most that any grant can give; the pools are sized for it.
            pub const HARD_MAX: Self = Self { $($name: $max,)* };

            /// Each limit's name and its value.
            pub fn named(self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }

            /// What a plugin gets that asks for nothing and was granted nothing.
            pub const DEFAULT: Self = Self { $($name: $default,)* };

            /// The smallest of wish and ceiling, field by field. The wish is the
            /// manifest's, else the default; the ceiling is the grant's, else the
            /// default; the hard maximum is above both.
            #[must_use]
            pub fn smallest(manifest: &LimitChoices, grant: &LimitChoices) -> Self {
                Self {
                    $($name: settle(manifest.$name, grant.$name, Self::DEFAULT.$name, Self::HARD_MAX.$name).0,)*
                }
            }

            /// The same in a sandbox whose hard maximum is `most`, each with whose word it
            /// is. Those that the kind does not have are left out.
            #[must_use]
            pub fn settled(
                kind: PluginKind,
                manifest: &LimitChoices,
                grant: &LimitChoices,
                most: &Self,
            ) -> Vec<Settled> {
                let most = [$(most.$name),*];
                let choices = manifest.named().zip(grant.named()).zip(most);
                let settled = choices.map(|(((limit, asked), (_, granted)), max)| {
                    let (value, set_by) = settle(asked, granted, limit.default, max);
                    Settled { limit: Limit { max, ..*limit }, value, set_by, asked, granted }
                });
                settled.filter(|settled| settled.limit.binds.binds(kind)).collect()
            }
        }
    };
}

limits! {
    /// Bytes of linear memory, all of the component's memories together. Since a
    /// `memory.fill` is not interrupted, the cap also bounds how far a call can
    /// overrun its CPU budget (by cap ÷ 1.5 GB/s). A `memory.copy` over pages that
    /// nobody has touched costs the kernel two faults for each, and on a virtual
    /// machine 16 MiB of them up to 100 ms, once in a call.
    memory_bytes: "bytes", default 16 * MIB, max 256 * MIB, binds All,
        stops "growth of memory until the host swaps";

    /// Elements of all tables together; 8 to 16 bytes of the host each, outside of
    /// `memory_bytes`.
    table_elements: "elements", default 10_000, max 100_000, binds All,
        stops "growth of tables, which are the host's memory and not the guest's";

    /// Core instances that the component may consist of.
    instances: "instances", default 16, max 32, binds All,
        stops "a component of many parts, each with structures of the host's own";

    /// Fuel of a call, about one unit per instruction and per byte copied in bulk; the
    /// default is some 0.2 s. It ends a call at the same instruction on every machine.
    fuel: "units a call", default 200_000_000, max 10_000_000_000, binds ScorersAndTransformers,
        stops "an endless loop, at the same instruction on every machine";

    /// Milliseconds of CPU of a call, waiting excluded.
    cpu_ms: "ms of CPU a call", default 1_000, max 60_000, binds Connectors,
        stops "an endless loop";

    /// Milliseconds of wall clock of any call, waiting included.
    wall_ms: "ms a call", default 5_000, max 300_000, binds All,
        stops "waiting for ever in a host function, where neither fuel nor CPU runs";

    /// Calls of a plugin at the same time; never more than half of the sandboxes. Another
    /// one waits for a while, and then has to be tried again.
    calls_at_once: "calls", default 32, max 1_024, binds All,
        stops "taking every sandbox, for example while the target hangs";

    /// Calls of a plugin in a second, after a rest as many at once. One more has to be
    /// tried again. The default is more than one store can commit.
    calls_per_second: "calls a second", default 50_000, max 1_000_000, binds All,
        stops "a flood of calls that are cheap one by one and take the processors together";

    /// Calls of host functions. The functions of `wasi:http` and the `wasi:io` behind it are
    /// not among them: CPU bounds how often they are called, `handles` and `http_bytes` what
    /// they leave in the host. Those of the WASI that has nothing behind it are.
    host_calls: "calls a call", default 10_000, max 1_000_000, binds All,
        stops "a flood of host calls, each cheap for the guest, and for the host a look-up, a hash and a place on record";

    /// Bytes of arguments and answers of host calls together.
    host_call_bytes: "bytes a call", default 8 * MIB, max 256 * MIB, binds All,
        stops "large arguments and answers, all of which the host copies and hashes";

    /// Log lines that are kept; what is beyond is counted and dropped.
    log_lines: "lines a call", default 100, max 10_000, binds All,
        stops "a flood of lines that hides what matters";

    /// Bytes of kept log lines together; what is beyond is counted and dropped.
    log_bytes: "bytes a call", default 64 * KIB, max MIB, binds All,
        stops "the same with long lines";

    /// Bytes of the result as the host holds it: texts, bodies, and list elements
    /// at their size in memory. Refused while it is copied.
    output_bytes: "bytes a call", default 4 * MIB, max 64 * MIB, binds All,
        stops "a result that is the host's memory before anybody has looked at it";

    /// Elements of all lists in the result together.
    output_items: "elements a call", default 20_000, max 1_000_000, binds All,
        stops "a million empty records, small for the guest and a million rows for the host";

    /// Handles to host resources (requests, streams, pollables). Each is a host
    /// allocation that the guest decides when to free: headers of 16 KiB at most, or two
    /// writes of 16 KiB to a body that is not sent.
    handles: "handles", default 1_024, max 8_192, binds All,
        stops "resources of the host that a guest takes and never frees";

    /// Numbers drawn from number ranges.
    numbers: "numbers a call", default 64, max 1_000, binds Connectors,
        stops "drawing until a range, which has an end, is used up for everybody";

    /// Keys of a connector's state about one order; what is kept for every order grows
    /// with all of them.
    kv_keys: "keys an order", default 64, max 1_024, binds Connectors,
        stops "a row for every key, written in the transaction of the receipt, which others wait for";

    /// Bytes of one value of a connector's state.
    kv_value_bytes: "bytes", default 64 * KIB, max 256 * KIB, binds Connectors,
        stops "large values in the transaction of the receipt, which others wait for";

    /// Bytes of all keys and values of a connector's state about one order. A call that
    /// uses its state holds all of it in the host.
    kv_bytes: "bytes an order", default 256 * KIB, max 4 * MIB, binds Connectors,
        stops "state that grows until the host's memory and disk are full of it";

    /// Bytes of all model files of a plugin together. The host reads them at its start and
    /// keeps them in its memory.
    artifact_bytes: "bytes", default 64 * MIB, max 1024 * MIB, binds ScorersAndTransformers,
        stops "model files that fill the host's memory";

    /// HTTP requests.
    http_requests: "requests a call", default 32, max 1_000, binds Connectors,
        stops "a connector as a port scanner or a load generator";

    /// Bytes of one request's body.
    http_request_bytes: "bytes", default 4 * MIB, max 64 * MIB, binds Connectors,
        stops "a request without an end, which the host holds until it is sent";

    /// Bytes of one response's body.
    http_response_bytes: "bytes", default 8 * MIB, max 64 * MIB, binds Connectors,
        stops "an answer without an end, which the host holds while the guest reads";

    /// Bytes of the headers of one request or of one answer, as they are held in memory.
    http_header_bytes: "bytes", default 16 * KIB, max 64 * KIB, binds Connectors,
        stops "a million header fields, which live in the host and not in the guest; a target sends as many as it likes";

    /// Milliseconds until a target's name is resolved, again until the host has a credential
    /// for it, and again until a connection to it stands, TLS included; never beyond what is
    /// left of `wall_ms`. Name and connection together by default end before it does: a target
    /// that is not there is then known to have seen nothing.
    http_connect_ms: "ms", default 2_000, max 60_000, binds Connectors,
        stops "a target that drops packets and uses up the whole call";

    /// Milliseconds of one request, from the end of its body to the end of the answer,
    /// and before that to the end of its body. No request lasts longer than its call: of what
    /// is left of `wall_ms` when it begins, the last twentieth is the guest's.
    http_total_ms: "ms a request", default 30_000, max 300_000, binds Connectors,
        stops "an answer of which a byte comes now and then";

    /// Bytes of all requests and answers of a call together: what a guest sets of a
    /// URL, bodies, and an answer's headers. What was charged stays charged.
    http_bytes: "bytes a call", default 32 * MIB, max 256 * MIB, binds Connectors,
        stops "many exchanges at once, each within its own limits";
}

impl Limits {
    /// What binds every plugin alike: a property of an engine or of the host, and no key
    /// of a manifest or a grant.
    #[must_use]
    pub fn fixed() -> [Settled; 3] {
        let fixed = |name, value, stops| Settled {
            limit: Limit { name, unit: "bytes", binds: Binds::All, default: value, max: value, stops },
            value,
            set_by: SetBy::Host,
            asked: None,
            granted: None,
        };
        [
            fixed("stack_bytes", STACK_BYTES, "deep recursion, onto the stack of the host's own functions"),
            fixed("component_bytes", COMPONENT_BYTES_MAX, "a file that takes the host's time and memory to compile"),
            fixed("log_line_bytes", to_u64(LOG_LINE_BYTES_MAX), "a line that fills the journal and the screen"),
        ]
    }
}

/// A limit's value and whose word it is.
fn settle(asked: Option<u64>, granted: Option<u64>, default: u64, max: u64) -> (u64, SetBy) {
    let (wish, ceiling) = (asked.unwrap_or(default), granted.unwrap_or(default));
    let smaller = wish.min(ceiling);
    if smaller > max {
        return (max, SetBy::HardMax);
    }
    let set_by = match (asked, granted) {
        // Where the grant gives what was asked for, it was asked for.
        (Some(_), _) if wish <= ceiling => SetBy::Manifest,
        (_, Some(_)) if ceiling < wish => SetBy::Grant,
        _ => SetBy::Default,
    };
    (smaller, set_by)
}

/// A limit as a size in memory; on a machine where it does not fit, everything fits.
pub(crate) fn to_usize(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A size in memory as a limit's unit.
pub(crate) fn to_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fuel(manifest: Option<u64>, grant: Option<u64>) -> u64 {
        let choice = |fuel| LimitChoices { fuel, ..LimitChoices::default() };
        Limits::smallest(&choice(manifest), &choice(grant)).fuel
    }

    #[test]
    fn a_plugin_gets_more_than_the_default_only_when_it_asks_and_is_granted() {
        let default = Limits::DEFAULT.fuel;
        assert_eq!(fuel(None, None), default);
        assert_eq!(fuel(Some(5), None), 5);
        assert_eq!(fuel(None, Some(5)), 5);
        assert_eq!(fuel(Some(default * 2), None), default);
        assert_eq!(fuel(None, Some(default * 2)), default);
        assert_eq!(fuel(Some(default * 2), Some(default * 3)), default * 2);
        assert_eq!(fuel(Some(u64::MAX), Some(u64::MAX)), Limits::HARD_MAX.fuel);
    }

    #[test]
    fn a_limit_knows_who_set_it() {
        // Asked, granted, what binds, and whose word it is; the default is 10, the hard maximum 100.
        for (asked, granted, value, set_by) in [
            (None, None, 10, SetBy::Default),
            (Some(5), None, 5, SetBy::Manifest),
            (None, Some(5), 5, SetBy::Grant),
            (Some(7), Some(5), 5, SetBy::Grant),
            (Some(5), Some(5), 5, SetBy::Manifest),
            (Some(20), None, 10, SetBy::Default),
            (None, Some(20), 10, SetBy::Default),
            (Some(20), Some(30), 20, SetBy::Manifest),
            (Some(30), Some(20), 20, SetBy::Grant),
            (Some(100), Some(100), 100, SetBy::Manifest),
            (Some(200), Some(300), 100, SetBy::HardMax),
        ] {
            assert_eq!(settle(asked, granted, 10, 100), (value, set_by), "{asked:?} {granted:?}");
        }
    }

    #[test]
    fn what_binds_is_what_a_plugin_is_told_binds() {
        let manifest = LimitChoices { fuel: Some(5), wall_ms: Some(u64::MAX), ..LimitChoices::default() };
        let grant = LimitChoices { wall_ms: Some(u64::MAX), handles: Some(3), ..LimitChoices::default() };
        let binds = Limits::smallest(&manifest, &grant);
        let told = Limits::settled(PluginKind::Scorer, &manifest, &grant, &Limits::HARD_MAX);
        let value = |name: &str| told.iter().find(|settled| settled.limit.name == name).map(|settled| settled.value);
        assert_eq!(value("fuel"), Some(binds.fuel));
        assert_eq!(value("wall_ms"), Some(binds.wall_ms));
        assert_eq!(value("handles"), Some(binds.handles));
        assert_eq!(value("cpu_ms"), None, "a scorer has no such limit");
        // Each default is within its hard maximum.
        assert!(Limits::ALL.iter().all(|limit| (1..=limit.max).contains(&limit.default)));
    }
}

//! How much of everything a call may use.
//!
//! A plugin declares what it wants in its manifest, the platform team grants, and
//! [`Limits::smallest`] decides: a plugin gets the default unless it asks for less,
//! or asks for more *and* was granted more; nobody gets past the hard maximum,
//! which is what the pools are sized for. Each field names the attack that it
//! stops; a field that nothing enforces does not belong here.
//!
//! The stack is not here: it is a property of an engine, the same for every
//! plugin ([`STACK_BYTES`]).

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

/// Bytes of a value of a connector's state: it is written in the transaction of
/// the journal entry or the receipt, which others wait for.
pub const KV_VALUE_BYTES_MAX: usize = 64 * 1024;

/// Keys that one call may write, for the same reason.
pub const KV_WRITES_MAX: usize = 64;

/// Bytes of the headers of a guest's request or of a target's answer, as they
/// are held in memory. Header fields live in the host, so a guest that sets a
/// million of them spends the host's memory, not its own.
pub(crate) const HTTP_FIELDS_BYTES_MAX: usize = 16 * 1024;

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

/// Milliseconds until a connection to a target stands; a target that drops
/// packets would otherwise use up the whole call.
pub(crate) const HTTP_CONNECT_MS_MAX: u64 = 5_000;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Declares each limit once: its field, its optional form and how it is settled.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: default $default:expr, max $max:expr;)*) => {
        /// What one call may use. Made by [`Limits::smallest`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $name: u64,)*
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
            /// Each limit's name and what was chosen.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }

        impl Limits {
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
                    $($name: settle(manifest.$name, grant.$name, Self::DEFAULT.$name, Self::HARD_MAX.$name),)*
                }
            }
        }
    };
}

limits! {
    /// Bytes of linear memory, all of the component's memories together.
    /// Default 16 MiB, at most 256 MiB. Growth until the host swaps; and since a
    /// `memory.fill` is not interrupted, the cap also bounds how far a call can
    /// overrun its CPU budget (by cap ÷ 1.5 GB/s).
    memory_bytes: default 16 * MIB, max 256 * MIB;

    /// Elements of all tables together. Default 10 000, at most 100 000. Tables
    /// are host memory at 8 to 16 bytes an element, outside the memory limit.
    table_elements: default 10_000, max 100_000;

    /// Core instances that the component may consist of. Default 16, at most 32.
    /// Each has host structures of its own.
    instances: default 16, max 32;

    /// Fuel of a scorer's or transformer's call, about one unit per instruction and
    /// per byte copied in bulk. Default 200 million (some 0.2 s), at most 10 billion.
    /// An endless loop; stopped at the same instruction on every machine.
    fuel: default 200_000_000, max 10_000_000_000;

    /// Milliseconds of CPU of a connector's call, waiting excluded. Default 1000,
    /// at most 60 000. An endless loop.
    cpu_ms: default 1_000, max 60_000;

    /// Milliseconds of wall clock of any call, waiting included. Default 5000, at
    /// most 300 000. A call that waits for ever in a host function, where neither
    /// fuel nor CPU runs.
    wall_ms: default 5_000, max 300_000;

    /// Calls of host functions. Default 10 000, at most 1 000 000. Each is cheap
    /// for the guest and costs the host a look-up, a hash and a place on record. The
    /// functions of `wasi:http` and `wasi:io` are not among them: CPU bounds how often
    /// they are called, `handles` and `http_bytes` what they leave in the host.
    host_calls: default 10_000, max 1_000_000;

    /// Bytes of arguments and answers of host calls together. Default 8 MiB, at
    /// most 256 MiB. The host copies and hashes all of them.
    host_call_bytes: default 8 * MIB, max 256 * MIB;

    /// Log lines that are kept. Default 100, at most 10 000; what is beyond is
    /// counted and dropped. A flood that hides what matters.
    log_lines: default 100, max 10_000;

    /// Bytes of kept log lines together. Default 64 KiB, at most 1 MiB.
    log_bytes: default 64 * KIB, max MIB;

    /// Bytes of the result as the host holds it: texts, bodies, and list elements
    /// at their size in memory. Default 4 MiB, at most 64 MiB. Refused while it is
    /// copied: the result would be host memory before anybody had looked at it.
    output_bytes: default 4 * MIB, max 64 * MIB;

    /// Elements of all lists in the result together. Default 20 000, at most
    /// 1 000 000. A million empty records are small for the guest, and a million
    /// rows for the host.
    output_items: default 20_000, max 1_000_000;

    /// Handles to host resources (requests, streams, pollables). Default 1024, at
    /// most 8192. Each is a host allocation that the guest decides when to free:
    /// headers of 16 KiB at most, or two writes of 16 KiB to a body that is not sent.
    handles: default 1_024, max 8_192;

    /// Numbers drawn from number ranges. Default 64, at most 1000. A range has an
    /// end: a call that draws on and on would use it up for everybody.
    numbers: default 64, max 1_000;

    /// HTTP requests. Default 32, at most 1000. A connector as a port scanner or a
    /// load generator.
    http_requests: default 32, max 1_000;

    /// Bytes of one request's body. Default 4 MiB, at most 64 MiB.
    http_request_bytes: default 4 * MIB, max 64 * MIB;

    /// Bytes of one response's body. Default 8 MiB, at most 64 MiB. The host holds
    /// it while the guest reads.
    http_response_bytes: default 8 * MIB, max 64 * MIB;

    /// Bytes of all requests and answers of a call together: what a guest sets of a
    /// URL, bodies, and an answer's headers. Default 32 MiB, at most 256 MiB. Many
    /// exchanges at once, each within its own limits. What was charged stays charged.
    http_bytes: default 32 * MIB, max 256 * MIB;
}

fn settle(wish: Option<u64>, grant: Option<u64>, default: u64, max: u64) -> u64 {
    wish.unwrap_or(default).min(grant.unwrap_or(default)).min(max)
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
}

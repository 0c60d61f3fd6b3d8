//! What a visitor may take of this machine: bytes, time, places.
//!
//! Each limit names the visit that it ends. Before authentication everybody on the
//! network is a visitor.

use std::time::Duration;

/// Bytes of an input. A sender that streams for ever would otherwise fill memory
/// before the connector sees the first byte.
pub const INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long requests under way get when the host stops. The host waits for the door,
/// a little longer than this, before it ends its own work.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(8);

/// Counts and times of the front door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. The next one waits in the system's backlog: a crowd that
    /// connects and says nothing takes no memory of ours.
    pub connections_max: usize,
    /// Requests under way; one more is answered 429.
    pub requests_max: usize,
    /// Bodies of visitors who have proved nothing yet. A signature can only be
    /// checked over a whole body, so so many times [`INPUT_BYTES_MAX`] is what
    /// strangers can make the host keep in memory.
    pub unproven_bodies_max: usize,
    /// How long a connection may take for a request's head, or be silent between
    /// two. Ends a visitor who sends a header a minute.
    pub head_within: Duration,
    /// How long a body may take. Ends a visitor who sends a byte a minute.
    pub body_within: Duration,
    /// How long a connection lives, whatever it does. Ends a visitor who never
    /// reads the answer.
    pub connection_within: Duration,
    /// How long requests under way get when the host stops.
    pub drain_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            requests_max: 256,
            unproven_bodies_max: 16,
            head_within: Duration::from_secs(15),
            body_within: Duration::from_secs(30),
            connection_within: Duration::from_secs(600),
            drain_within: DRAIN_WITHIN,
        }
    }
}

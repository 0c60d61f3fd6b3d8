//! Durability: what was acknowledged is kept, with its audit leaf, in one transaction.
//!
//! [`contract`] is what the rest of the host relies on; [`sqlite`] keeps it in one
//! file with one writer. The proofs of the road are minted here and nowhere else:
//! [`Journaled`] (a document is durable), [`Committed`] (a decision is), [`Permit`]
//! (a committed outbox row was claimed), [`Attempt`] (an attempt is on record), [`PollPermit`]
//! (a poll is nobody else's now) and [`SubscriptionPermit`] (that a subscription is asked for is on
//! record).
//! None of them can be made from outside, cloned or deserialised, so "nothing is
//! delivered without a decision" does not compile otherwise.

pub mod contract;

pub mod proof;

pub mod sqlite;

#[cfg(test)]
mod conformance;

pub use contract::{Store, StoreError};
pub use proof::{Attempt, Committed, Journaled, Permit, PollPermit, Settled, SubscriptionPermit};
pub use sqlite::SqliteStore;

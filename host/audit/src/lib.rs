//! The audit log in operation.
//!
//! ```text
//! stage commits ──▶ unsequenced leaf
//!                        │  sequence: append to the edge → sign → commit the head
//!                        ▼            (compare and set) → keep the checkpoint outside
//!                   indexed leaf ──▶ verify, prove
//! ```
//!
//! A stage's effect and its leaf commit together in the store; from then on the
//! leaf exists. Here it gets its index and comes under a signature. What a
//! database holds, its owner can rewrite; so the last signed checkpoint is kept
//! a second time, away from the data, and a log that does not continue it is
//! refused at the next start ([`sequencer`], [`outside`]). Reading and proving
//! need no key ([`reader`]).
//!
//! The bytes and the arithmetic are `portreeve-record`'s; what a leaf says is
//! the business of the stage that writes it.

pub mod error;

pub mod outside;

mod head;

pub mod sequencer;

pub mod reader;

pub use error::AuditError;
pub use outside::OutsideCheckpoint;
pub use reader::LogReader;
pub use sequencer::{OutsideFound, Recovered, Sequenced, Sequencer};

#[cfg(test)]
mod tests;

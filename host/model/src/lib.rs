//! The nouns of the host: what an order, an event, an amount, an assessment and
//! an identifier are. No I/O, no clock, nothing asynchronous.
//!
//! The same shapes exist three times, on purpose: here, in `wit/` (what guests
//! see, converted by `sandbox`), and as JSON (beside the types here, golden-tested).
//! Values are checked where they are made, so that a [`Currency`] or a
//! [`Digest`] needs no second look.

pub mod acknowledgement;

pub mod as_text;

pub mod value;

pub mod event;

pub mod advice;

pub mod document;

pub mod exception;

pub mod id;

mod legible;

pub mod process;

pub mod reference;

pub mod share;

pub mod strict;

pub mod unreadable_row;

pub use acknowledgement::Acknowledgement;
pub use advice::{Assessment, Proposal, Recommendation};
pub use document::{Document, Envelope, Failure, Inbound, Problem, Received, Reply};
pub use event::{Event, Order, OrderLine};
pub use exception::{ExceptionAction, ExceptionKind};
pub use id::{ChannelId, Digest, ItemId, Matter, OrderId, PersonName, PluginKind, PluginName, SenderId};
pub use process::ProcessState;
pub use share::ShareCeiling;
pub use unreadable_row::UnreadableRow;
pub use value::{Currency, Date, Instant, Money, Quantity, UnitPrice};

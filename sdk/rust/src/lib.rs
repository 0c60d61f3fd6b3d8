//! What an author writes a Portreeve plugin with.
//!
//! There are three kinds of plugin and one module for each:
//! [`scorer`](mod@scorer), [`transformer`](mod@transformer) and
//! [`connector`](mod@connector). A plugin implements the kind's trait and names
//! itself to the kind's macro; everything else here is optional help.
//!
//! ```
//! use portreeve_sdk::scorer::*;
//!
//! struct LargeOrder;
//!
//! impl Scorer for LargeOrder {
//!     fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
//!         let mut card = Scorecard::new();
//!         if request.order.lines.len() > 100 {
//!             card.add("many-lines", 2_000);
//!         }
//!         Ok(card.into_assessment())
//!     }
//! }
//!
//! portreeve_sdk::scorer!(LargeOrder);
//! # fn main() {}
//! ```
//!
//! A plugin runs in a fresh sandbox for every call: a `static` doesn't outlive
//! it, there is no clock but the request's `received_at`, no file, no
//! environment, and no network but a connector's [`http`]. A panic becomes a
//! trap, which the host reports as the plugin's fault: return a [`Failure`]
//! instead. Calling a host function makes the component import it, so
//! `plugin.toml` has to declare it.
//!
//! The modules of pure arithmetic ([`money`], [`date`], [`scorecard`]) run
//! natively too, in an author's unit tests. The host functions ([`lookup`],
//! [`log`], [`numbers`], [`kv`], [`artifact`], [`http`]) abort there.

pub mod connector;
pub mod scorer;
pub mod transformer;

pub mod types;

pub mod failure;
pub mod money;

pub mod date;
pub mod scorecard;

pub mod artifact;
pub mod http;
pub mod kv;
pub mod log;
pub mod numbers;
pub mod reference;

#[cfg(target_arch = "wasm32")]
mod heap;

#[doc(hidden)]
pub mod bindings;

pub use reference::lookup;
pub use types::Failure;

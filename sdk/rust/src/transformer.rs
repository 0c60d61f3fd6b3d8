//! Transformers: they turn documents into canonical events, and events into messages.
//! Import this module whole.
//!
//! A transformer is deterministic and has no network; it may read reference
//! tables ([`lookup`]) and model files ([`artifact`](crate::artifact)).

pub use crate::reference::{Row, lookup};
pub use crate::types::*;
pub use crate::{date, log, money};

/// A transformer. Name it to [`transformer!`](crate::transformer!).
///
/// Implement the directions that the manifest's `maps` and `renders` name.
pub trait Transformer {
    /// Turns one document into the canonical events that it states.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with every problem that was found, or
    /// [`Failure::Permanent`] for a kind that this transformer doesn't map.
    fn to_canonical(request: MappingRequest) -> Result<Vec<Event>, Failure> {
        Err(Failure::permanent(format!("this transformer does not map documents of kind `{}`", request.kind)))
    }

    /// Puts one event into a target's shape.
    ///
    /// # Errors
    /// [`Failure::Permanent`] for a kind that this transformer doesn't render,
    /// or for an event that the target has no words for.
    fn from_canonical(request: RenderingRequest) -> Result<Message, Failure> {
        Err(Failure::permanent(format!("this transformer does not render messages of kind `{}`", request.kind)))
    }
}

impl<T: Transformer> crate::bindings::transformer::Guest for T {
    fn to_canonical(requests: Vec<MappingRequest>) -> Vec<Result<Vec<Event>, Failure>> {
        requests.into_iter().map(<T as Transformer>::to_canonical).collect()
    }

    fn from_canonical(requests: Vec<RenderingRequest>) -> Vec<Result<Message, Failure>> {
        requests.into_iter().map(<T as Transformer>::from_canonical).collect()
    }
}

/// Makes this crate a transformer component. Once per crate.
#[macro_export]
macro_rules! transformer {
    ($plugin:ident) => {
        $crate::bindings::transformer::export!($plugin with_types_in $crate::bindings::transformer);
    };
}

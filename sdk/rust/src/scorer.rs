//! Scorers: they assess an order and give advice. Import this module whole.
//!
//! A scorer is deterministic and has no network; it may read reference tables
//! ([`lookup`]) and model files ([`artifact`](crate::artifact)).

pub use crate::reference::{Row, lookup};
pub use crate::scorecard::Scorecard;
pub use crate::types::*;
pub use crate::{date, log, money};

/// A scorer. Name it to [`scorer!`](crate::scorer!).
pub trait Scorer {
    /// Assesses one order.
    ///
    /// # Errors
    /// A [`Failure`] is recorded and leaves the order to a person, unless the channel
    /// is configured to go on without: return one only when nothing can be said.
    fn score(request: ScoringRequest) -> Result<Assessment, Failure>;
}

impl<S: Scorer> crate::bindings::scorer::Guest for S {
    fn score(requests: Vec<ScoringRequest>) -> Vec<Result<Assessment, Failure>> {
        requests.into_iter().map(<S as Scorer>::score).collect()
    }
}

/// Makes this crate a scorer component. Once per crate.
#[macro_export]
macro_rules! scorer {
    ($plugin:ident) => {
        $crate::bindings::scorer::export!($plugin with_types_in $crate::bindings::scorer);
    };
}

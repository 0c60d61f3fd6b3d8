//! A change that was given up, and that a later one took the place of.
//!
//! A change that people accept says how the whole order is to be. Where its target takes later deliveries
//! all the same (`after_dead = "skip"`), the next change may be there by now, and the one before, tried
//! again, would undo it. The target could not tell: what is to be is all that it is told. Who only hears of
//! changes is told each.

use portreeve_model::ExceptionAction;
use portreeve_store::contract::DeadLetter;

use super::ExceptionError;
use crate::Pipeline;
use crate::route::Target;

impl Pipeline {
    /// Check: what would be tried again is no change after which people accepted another one. One that
    /// keeps the later ones back may go: they come after it.
    pub(super) fn is_not_overtaken(&self, letter: &DeadLetter, action: ExceptionAction) -> Result<(), ExceptionError> {
        let hears_each = self.routes.target(&letter.target).is_some_and(Target::is_subscriber);
        if !letter.overtaken || letter.blocks || hears_each {
            return Ok(());
        }
        let why = format!(
            "people accepted a later change of the order, which this one would undo at target `{}`; abandon it, and see that the later one arrived",
            letter.target
        );
        Err(ExceptionError::NotHere { action, why })
    }
}

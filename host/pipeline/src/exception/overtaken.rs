//! A change that was given up, and that a later one took the place of.
//!
//! A change that people accept says how the whole order is to be. Where its target takes later deliveries
//! all the same (`after_dead = "skip"`), the next change may be there by now, and the one before, tried
//! again, would undo it. The target could not tell: what is to be is all that it is told. Who only hears of
//! changes is told each.

use portreeve_model::{ExceptionAction, ExceptionKind};

use super::{ExceptionError, Shown};
use crate::Pipeline;
use crate::route::Target;

impl Pipeline {
    /// Check: what would be tried again is no change after which people accepted another one. One that
    /// keeps the later ones back may go: they come after it.
    pub(super) async fn is_not_overtaken(&self, shown: &Shown, action: ExceptionAction) -> Result<(), ExceptionError> {
        let exception = &shown.trail.exception;
        let is_tried = matches!(action, ExceptionAction::Retry | ExceptionAction::Correct);
        if !is_tried || exception.kind != ExceptionKind::Delivery {
            return Ok(());
        }
        let found = self.store.dead_letters(exception.id.saturating_sub(1), 1).await?.pop();
        let letter = found.filter(|letter| letter.exception == exception.id && letter.overtaken && !letter.blocks);
        let Some(letter) = letter else { return Ok(()) };
        if self.routes.target(&letter.target).is_some_and(Target::is_subscriber) {
            return Ok(());
        }
        let why = format!(
            "people accepted a later change of the order, which this one would undo at target `{}`; abandon it, and see that the later one arrived",
            letter.target
        );
        Err(ExceptionError::NotHere { action, why })
    }
}

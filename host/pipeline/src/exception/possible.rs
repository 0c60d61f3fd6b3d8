//! Which actions are possible about an exception now, whoever asks.
//!
//! Whoever shows an exception lists what passes here, and whoever decides is held to the same function:
//! nobody is offered what would be refused whatever he said with it. Who may take an action is authority's,
//! and what has to be said with it (holds, a queue, bytes) is checked with the decision. The store compares
//! once more with what it writes, for things move in between.

use portreeve_model::{ExceptionAction, ExceptionKind, Matter};
use portreeve_store::StoreError;
use portreeve_store::contract::{Content, DeadLetter, REPLAYS_MAX};

use super::{ExceptionError, Shown};
use crate::Pipeline;
use crate::accept::AcceptError;
use crate::review::ReviewError;
use crate::route::Target;

/// States of a delivery of the order as it came in which a system has it, or may have it soon.
const ARRIVES: [&str; 3] = ["pending", "in-doubt", "delivered"];

impl Pipeline {
    /// What may be decided about it now; nothing where it is closed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn actions_of(&self, shown: &Shown) -> Result<Vec<ExceptionAction>, ExceptionError> {
        let mut actions = Vec::new();
        if shown.is_open().is_err() {
            return Ok(actions);
        }
        let kind = shown.trail.exception.kind;
        // One answer for both, since it opens all bytes of the input.
        let mut can_be_taken: Option<bool> = None;
        for &action in kind.actions() {
            let takes_bytes =
                matches!((action, kind), (ExceptionAction::Resubmit | ExceptionAction::Retry, ExceptionKind::Input));
            let is_offered = match can_be_taken.filter(|_| takes_bytes) {
                Some(known) => known,
                None => self.is_offered(shown, action).await?,
            };
            if takes_bytes {
                can_be_taken = Some(is_offered);
            }
            if is_offered {
                actions.push(action);
            }
        }
        Ok(actions)
    }

    /// Whether it is possible, where that can be told.
    async fn is_offered(&self, shown: &Shown, action: ExceptionAction) -> Result<bool, ExceptionError> {
        let Err(error) = self.is_possible(shown, action).await else { return Ok(true) };
        if !is_refused(&error) {
            return Err(error);
        }
        if is_damaged(&error) {
            // Whoever looks sees an action less, and does not see why.
            let (exception, action) = (shown.trail.exception.id, action.as_str());
            tracing::error!(exception, action, %error, "an action is not offered, since content of it is damaged");
        }
        Ok(false)
    }

    /// Check: the action can be taken about this exception as it is now, whatever is said with it.
    pub(super) async fn is_possible(&self, shown: &Shown, action: ExceptionAction) -> Result<(), ExceptionError> {
        use ExceptionAction::{
            Abandon, AcceptChange, ConfirmHolds, Correct, RefuseChange, Reject, ReleaseHolds, Reroute, Resubmit, Retry,
        };
        use ExceptionKind::{Delivery, Input};
        match (action, shown.trail.exception.kind) {
            (ReleaseHolds, _) => self.can_be_released(shown).await,
            (Reject, _) => can_be_rejected(shown),
            (Reroute, _) => self.can_be_rerouted(shown),
            (AcceptChange, _) => self.can_be_agreed(shown, action).await,
            (Resubmit | Retry, Input) => self.can_be_taken(shown, action).await,
            (Retry, Delivery) => self.can_be_sent(shown, action).await,
            (Correct, _) => {
                self.can_be_sent(shown, action).await?;
                self.corrected_target(shown).map(drop)
            }
            (Abandon, Delivery) => self.letter_of(shown).await.map(drop),
            (ConfirmHolds | Resubmit | Retry | Abandon | RefuseChange, _) => Ok(()),
        }
    }

    async fn can_be_released(&self, shown: &Shown) -> Result<(), ExceptionError> {
        match (&shown.kept, shown.trail.exception.order) {
            (Some(kept), _) => Ok(self.is_anything_releasable(kept).await?),
            (None, Some(order)) => Err(self.not_kept_back(order).await?.into()),
            (None, None) => Err(not_here(ExceptionAction::ReleaseHolds, "it is about no order".to_owned())),
        }
    }

    fn can_be_rerouted(&self, shown: &Shown) -> Result<(), ExceptionError> {
        let queue = shown.trail.exception.queue.as_str();
        if self.people.queues().any(|other| other != queue) {
            return Ok(());
        }
        Err(not_here(ExceptionAction::Reroute, format!("there is no other queue than `{queue}`")))
    }

    /// Check: a connector can look at the input once more, as its bytes are or as somebody mended them.
    async fn can_be_taken(&self, shown: &Shown, action: ExceptionAction) -> Result<(), ExceptionError> {
        if shown.trail.about.is_taken() {
            let why =
                "the sender was told what is wrong with it, and sends again what was not taken; `abandon` closes it";
            return Err(not_here(action, why.to_owned()));
        }
        let Some((_, content)) = shown.trail.about.input else {
            return Err(not_here(action, "no input is kept with it; `abandon` closes it".to_owned()));
        };
        let channel = shown.trail.exception.channel.as_ref();
        if let Some(gone) = channel.filter(|channel| self.routes.channel(channel).is_none()) {
            return Err(Box::new(AcceptError::UnknownChannel(gone.to_string())).into());
        }
        // What was removed nobody takes, and mended bytes take the place of bytes that are there.
        self.store.payload(content).await?;
        Ok(())
    }

    /// Check: the delivery can be tried again.
    async fn can_be_sent(&self, shown: &Shown, action: ExceptionAction) -> Result<(), ExceptionError> {
        let letter = self.letter_of(shown).await?;
        // What was only told of the order is told also where it is to be cancelled.
        if let (Content::Order, Some(order)) = (letter.content, letter.matter.order()) {
            let standings = self.store.order_standings(vec![order]).await?;
            if standings.first().is_some_and(|standing| standing.cancel_requested) {
                return Err(StoreError::CancelRequested { outbox: letter.outbox.0 }.into());
            }
        }
        if letter.replays >= REPLAYS_MAX {
            return Err(StoreError::ReplaysSpent { outbox: letter.outbox.0, replays: REPLAYS_MAX }.into());
        }
        self.is_not_overtaken(&letter, action)
    }

    /// The delivery that was given up.
    async fn letter_of(&self, shown: &Shown) -> Result<DeadLetter, ExceptionError> {
        let exception = shown.trail.exception.id;
        let found = self.store.dead_letters(exception.saturating_sub(1), 1).await?.pop();
        let letter = found.filter(|letter| letter.exception == exception);
        Ok(letter.ok_or(StoreError::NotDead { exception })?)
    }

    /// The target of a delivery in whose message something may be corrected, and the order by which the
    /// target knows it.
    pub(super) fn corrected_target(&self, shown: &Shown) -> Result<(&Target, Matter), ExceptionError> {
        let no = |why: String| Err(not_here(ExceptionAction::Correct, why));
        let (Some(about), Some(order)) = (&shown.trail.about.delivery, shown.trail.exception.order) else {
            return no("it is about no delivery of an order".to_owned());
        };
        match self.routes.target(&about.target) {
            None => no(format!("target `{}` is not configured", about.target)),
            Some(target) if target.correctable.is_empty() => {
                no(format!("the owner of target `{}` lists nothing as `correctable`", target.id))
            }
            Some(target) => Ok((target, Matter::Order(order))),
        }
    }
}

/// Check: the order is here alone.
fn can_be_rejected(shown: &Shown) -> Result<(), ExceptionError> {
    let no = |why: String| Err(not_here(ExceptionAction::Reject, why));
    if shown.kept.is_none() {
        return no("the order is not kept back; what left cannot be rejected here".to_owned());
    }
    let mut deliveries = shown.order.iter().flat_map(|order| &order.deliveries);
    match deliveries.find(|delivery| delivery.said.is_none() && ARRIVES.contains(&delivery.state.as_str())) {
        None => Ok(()),
        Some(delivery) => {
            no(format!("target `{}` has the order, or may have it; what left cannot be rejected here", delivery.target))
        }
    }
}

fn not_here(action: ExceptionAction, why: String) -> ExceptionError {
    ExceptionError::NotHere { action, why }
}

/// Whether an action is refused, and it is not the look that failed. What is gone or damaged stays so.
fn is_refused(error: &ExceptionError) -> bool {
    match error {
        ExceptionError::Store(error) | ExceptionError::Review(ReviewError::Store(error)) => matches!(
            error,
            StoreError::Erased(_)
                | StoreError::Damaged(_)
                | StoreError::NotDead { .. }
                | StoreError::CancelRequested { .. }
                | StoreError::ReplaysSpent { .. }
        ),
        _ => true,
    }
}

/// Whether the store found something else than was kept.
fn is_damaged(error: &ExceptionError) -> bool {
    matches!(
        error,
        ExceptionError::Store(StoreError::Damaged(_))
            | ExceptionError::Review(ReviewError::Store(StoreError::Damaged(_)))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_refused_and_a_store_that_cannot_be_read_refuses_nothing() {
        let refused = [
            not_here(ExceptionAction::Reject, "the order left".to_owned()),
            ReviewError::NoHolds.into(),
            StoreError::Damaged("a payload".to_owned()).into(),
            ReviewError::from(StoreError::NotDead { exception: 7 }).into(),
        ];
        assert!(refused.iter().all(is_refused));
        assert_eq!(refused.iter().map(is_damaged).collect::<Vec<_>>(), [false, false, true, false]);
        let unknown = [
            ExceptionError::from(StoreError::Busy { queued: 1 }),
            StoreError::Failed("disk I/O error".to_owned()).into(),
            ReviewError::from(StoreError::WriterEnded).into(),
        ];
        assert!(!unknown.iter().any(is_refused));
    }
}

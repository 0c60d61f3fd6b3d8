//! Deliveries that were given up: a person has them tried again, or ends them.

use portreeve_authority::people::{Act, Denied};
use portreeve_model::Digest;
use portreeve_record::leaf::{Code, ExceptionLeaf, Label, REPLAYED};
use portreeve_record::{Leaf, LeafBody, RecordError};
use portreeve_store::StoreError;
use portreeve_store::contract::OutboxId;

use crate::{Pipeline, SignedIn};

/// What a person decides about a delivery that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterAction {
    /// Try it again, after asking the target about earlier attempts.
    Replay,
    /// It will never happen from here.
    Abandon,
}

/// Why it was not done; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever asks may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A record could not be made.
    #[error("an audit record could not be made: {0}")]
    Record(#[from] RecordError),
}

impl Pipeline {
    /// Carries out what a person decided about a dead letter, named by its exception.
    /// `who` has to be allowed to operate, and is on record.
    ///
    /// # Errors
    /// See [`DeadLetterError`].
    pub async fn resolve_dead_letter(
        &self,
        exception: u64,
        action: DeadLetterAction,
        who: &SignedIn,
    ) -> Result<OutboxId, DeadLetterError> {
        self.may(who, Act::Operate)?;
        let now = self.clock.now();
        let code = match action {
            DeadLetterAction::Replay => REPLAYED,
            DeadLetterAction::Abandon => "abandoned",
        };
        // What the record names does not change; whether it is still dead, the write judges.
        let found = self.store.dead_letters(exception.saturating_sub(1), 1).await?;
        let letter = found.into_iter().find(|letter| letter.exception == exception);
        let letter = letter.ok_or(StoreError::NotDead { exception })?;
        let body = ExceptionLeaf {
            exception,
            stage: Code::of("deliver"),
            code: Code::of(code),
            order: Some(letter.order),
            outbox: Some(Digest::of(letter.outbox.0.as_bytes())),
            who: Some(Label::of(who.name().as_str())),
        };
        let leaf = Leaf::new(&self.host, now, LeafBody::Exception(body))?;
        Ok(match action {
            DeadLetterAction::Replay => self.store.replay_dead_letter(exception, now, leaf).await?,
            DeadLetterAction::Abandon => self.store.abandon_dead_letter(exception, now, leaf).await?,
        })
    }
}

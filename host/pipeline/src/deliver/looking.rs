//! The message of a delivery that was given up, for somebody who is to put it right.
//!
//! It is made as it would be for sending, and is not sent: there is no permit. It says what an
//! order says, so only who works on the exception's queue, or approves in it, sees it.

use portreeve_model::Event;
use portreeve_model::document::Message;
use portreeve_sandbox::Crossed;
use portreeve_store::StoreError;
use portreeve_store::contract::DeadLetter;

use super::order::Untold;
use super::{Subject, failed};
use crate::Pipeline;
use crate::exception::{Correction, ExceptionError};
use crate::people::SignedIn;
use crate::plugins::Slot;
use crate::route::Target;

/// What a target would be sent.
#[derive(Debug)]
pub struct Made {
    /// As the transformer makes it now; what people corrected in it is not in it.
    pub message: Message,
    /// Places that may be corrected.
    pub correctable: Vec<String>,
}

/// Why there is no message.
enum Unmade {
    NotNow(StoreError),
    Never(String),
}

impl Pipeline {
    /// The message of a delivery that waits for a person.
    ///
    /// # Errors
    /// See [`ExceptionError`]: also where no message can be made, which says why.
    pub async fn message_of(&self, who: &SignedIn, exception: u64) -> Result<Made, ExceptionError> {
        let queue = self.show_exception(exception).await?.trail.exception.queue;
        if !self.people.queues_of(who.actor()).contains(&queue.as_str()) {
            self.people.may_work_on(who.actor(), &queue)?;
        }
        let found = self.store.dead_letters(exception.saturating_sub(1), 1).await?.pop();
        let letter = found.filter(|letter| letter.exception == exception);
        let letter = letter.ok_or(StoreError::NotDead { exception })?;
        let no_message = |why: String| ExceptionError::NoMessage { exception, why };
        let target = self.routes.target(&letter.target);
        let target = target.ok_or_else(|| no_message(format!("target `{}` is not configured", letter.target)))?;
        let message = self.made(&letter, target).await.map_err(|unmade| match unmade {
            Unmade::NotNow(error) => error.into(),
            Unmade::Never(why) => no_message(why),
        })?;
        Ok(Made { message, correctable: target.correctable.iter().cloned().collect() })
    }

    /// What people corrected already in the message of a delivery that waits for a person: whatever
    /// is corrected next takes the place of all of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn corrected_before(&self, exception: u64) -> Result<Vec<Correction>, ExceptionError> {
        let found = self.store.dead_letters(exception.saturating_sub(1), 1).await?.pop();
        let Some(record) = found.filter(|letter| letter.exception == exception).and_then(|letter| letter.correction)
        else {
            return Ok(Vec::new());
        };
        Ok(self.said(record).await?.map(|said| said.corrections).unwrap_or_default())
    }

    async fn made(&self, letter: &DeadLetter, target: &Target) -> Result<Message, Unmade> {
        let active = self.plugins.now();
        let Some(Slot::Ready(transformer)) = active.plugins.get(&target.transformer) else {
            return Err(Unmade::Never(format!("transformer `{}` is not called now", target.transformer)));
        };
        let event = match self.store.payload(letter.event).await {
            Ok(bytes) => Event::from_json(&bytes).map_err(|error| Unmade::Never(error.to_string()))?,
            Err(error @ (StoreError::Erased(_) | StoreError::Damaged(_))) => {
                return Err(Unmade::Never(error.to_string()));
            }
            Err(error) => return Err(Unmade::NotNow(error)),
        };
        let subject = Subject::of_letter(letter);
        let told = self.order_told(subject, target).await.map_err(|untold| match untold {
            Untold::NotNow(error) => Unmade::NotNow(error),
            Untold::Never(why) => Unmade::Never(why),
        })?;
        let rendering = self.rendering(subject, target, event, &told.settings).await.map_err(Unmade::NotNow)?;
        let mut context = active.context(self.clock.now());
        context.lookup = self.tables.of(&self.store, &transformer.manifest.imports.lookup).await;
        // Who only looks counts neither for nor against a plugin.
        let Crossed { outcome, .. } = transformer.plugin.from_canonical(&context, &rendering).await;
        match outcome {
            Ok(Ok(message)) => Ok(message),
            other => Err(Unmade::Never(failed(other).1)),
        }
    }
}

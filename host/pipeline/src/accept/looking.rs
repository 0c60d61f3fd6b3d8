//! The bytes of an input, for somebody who wants to see what came.
//!
//! They are what a sender sent, so only who works on the queue of the channel's exceptions, or
//! approves in it, sees them. Who else reads learns what became of it, and why nothing was taken where
//! nothing was, and no word of them.

use portreeve_authority::people::Denied;
use portreeve_model::Instant;
use portreeve_store::StoreError;
use portreeve_store::contract::InputContent;

use crate::{Pipeline, SignedIn};

/// Whose matter an input is whose channel is not configured any more.
const QUEUE_OF_NONE: &str = "integration";

/// Why the bytes of an input are not shown.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// Not this person.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// They are kept no longer.
    #[error("the bytes of the input were removed at {at}, when their retention ended; what remains is its record")]
    Removed {
        /// When.
        at: Instant,
    },
    /// The store cannot read them.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Pipeline {
    /// The bytes of an input, whether something of it was taken or not.
    ///
    /// # Errors
    /// See [`ContentError`].
    pub async fn content_of_input(&self, who: &SignedIn, input: &InputContent) -> Result<Vec<u8>, ContentError> {
        let channel = self.routes.channel(&input.channel);
        let queue = channel.map_or(QUEUE_OF_NONE, |channel| channel.exception_queue.as_str());
        if !self.people.queues_of(who.actor()).contains(&queue) {
            self.people.may_work_on(who.actor(), queue)?;
        }
        if let Some(at) = input.forgotten_at {
            return Err(ContentError::Removed { at });
        }
        Ok(self.store.payload(input.content).await?)
    }
}

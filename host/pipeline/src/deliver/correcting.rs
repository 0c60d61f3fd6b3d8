//! What people corrected in a message, before it leaves.
//!
//! The transformer makes the message each time, from the event that was decided on; then the words
//! that two people agreed on take their places. Where the message has become another one since, or
//! the target's owner lets nobody correct that place any more, nothing leaves.

use portreeve_model::document::Message;
use portreeve_model::{ExceptionKind, Instant};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::contract::{NewException, PayloadRef};
use portreeve_store::{Permit, StoreError};

use crate::Pipeline;
use crate::correction;
use crate::exception::Limits;
use crate::route::Target;

/// Why a message cannot be corrected.
pub(super) enum Uncorrected {
    /// The store failed: later.
    NotNow(StoreError),
    /// What people said cannot be read, or does not fit any more.
    Never(String),
}

impl Pipeline {
    /// The message as it leaves.
    pub(super) async fn corrected(
        &self,
        permit: &Permit,
        target: &Target,
        message: Message,
    ) -> Result<Message, Uncorrected> {
        let Some(record) = permit.correction() else { return Ok(message) };
        let sealed = match self.store.payload(record).await {
            Ok(sealed) => sealed,
            Err(error @ (StoreError::Erased(_) | StoreError::Damaged(_))) => {
                return Err(Uncorrected::Never(format!("what people corrected cannot be read: {error}")));
            }
            Err(error) => return Err(Uncorrected::NotNow(error)),
        };
        let unfit = |why: String| {
            Uncorrected::Never(format!(
                "what people corrected does not fit any more: {why}; correct it anew, or enter it by hand"
            ))
        };
        let corrections = self.corrections_in(&sealed).map_err(|error| unfit(error.to_string()))?;
        correction::may_be_made(&corrections, target, permit.matter()).map_err(unfit)?;
        let body = correction::applied(&corrections, &message.body).map_err(unfit)?;
        Ok(Message { body, ..message })
    }

    /// What people hear of a delivery that its target turns out to have, before anything was sent
    /// with the words that they wanted: it has the others. Where something was, however often it was
    /// only tried again since, the target has those words, for it was asked before that and had
    /// nothing. And where it was taken after it was corrected and is replayed now, people heard then
    /// what there was to hear.
    pub(super) async fn arrived_uncorrected(
        &self,
        permit: &Permit,
        now: Instant,
    ) -> Result<Option<NewException>, StoreError> {
        let Some(correction) = permit.correction().filter(|_| !permit.taken_corrected()) else { return Ok(None) };
        if self.was_sent_corrected(permit, correction).await? {
            return Ok(None);
        }
        let queue = self.routes.target(permit.target()).map_or("integration", |target| target.exception_queue.as_str());
        let exception = NewException {
            kind: ExceptionKind::Order,
            stage: "deliver",
            code: "arrived-uncorrected".to_owned(),
            detail: format!(
                "found at `{}` what was sent before it was corrected, so nothing was sent again; correct it there by hand, and abandon this when it is done",
                permit.target()
            ),
            queue: queue.to_owned(),
            due_at: None,
        };
        Ok(Some(self.dated(exception, now, Limits::default())))
    }

    /// Whether an attempt began with these words, as the log has it.
    async fn was_sent_corrected(&self, permit: &Permit, correction: PayloadRef) -> Result<bool, StoreError> {
        let Some(order) = permit.order() else { return Ok(false) };
        let leaves = self.store.order_trail(order).await?.map(|trail| trail.leaves).unwrap_or_default();
        let words = Some(correction.commitment);
        for leaf in leaves {
            let record = Leaf::parse(&leaf.bytes).map_err(|error| StoreError::Damaged(error.to_string()))?;
            if matches!(record.body, LeafBody::Attempt(attempt) if attempt.corrected == words) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

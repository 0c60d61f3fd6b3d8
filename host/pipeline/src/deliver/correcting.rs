//! What people corrected in a message, before it leaves.
//!
//! The transformer makes the message each time, from the event that was decided on; then the words
//! that two people agreed on take their places. Where the message has become another one since, or
//! the target's owner lets nobody correct that place any more, nothing leaves.

use std::collections::BTreeMap;

use portreeve_model::document::Message;
use portreeve_model::{Digest, ExceptionKind, Instant};
use portreeve_record::leaf::ReceiptOutcome;
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::contract::{NewException, PayloadRef};
use portreeve_store::{Permit, StoreError};

use crate::exception::Limits;
use crate::route::Target;
use crate::{Pipeline, correction, leaf};

/// Why a message cannot be corrected.
pub(super) enum Uncorrected {
    /// The store failed: later.
    NotNow(StoreError),
    /// What people said cannot be read, or does not fit any more.
    Never(String),
}

/// Which words a target may have that turns out to have a message.
enum Words {
    Corrected,
    /// Nothing may have arrived with the corrected ones.
    Before,
    /// Nobody knows.
    Either,
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
        if let Some(known) = permit.interchange() {
            let may_be_there = self.may_be_there(permit, record).await.map_err(Uncorrected::NotNow)?;
            if may_be_there.values().any(|had_words| !had_words) {
                return Err(Uncorrected::Never(format!(
                    "what was sent before it was corrected may have arrived as interchange {}, and `{}` would take other words under that number for known; ask its people, and enter it by hand",
                    known.number, known.partner
                )));
            }
        }
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

    /// What people hear of a delivery that its target turns out to have, where it may have other words
    /// than they wanted. An attempt with those proves only that it began: where it surely did nothing,
    /// the target has what was sent before. And where that may have arrived as well nobody knows, for a
    /// target that had nothing when it was asked may have been slow to take the first. Where it was taken
    /// after it was corrected and is replayed now, people heard then what there was to hear.
    pub(super) async fn arrived_uncorrected(
        &self,
        permit: &Permit,
        now: Instant,
    ) -> Result<Option<NewException>, StoreError> {
        let Some(correction) = permit.correction().filter(|_| !permit.taken_corrected()) else { return Ok(None) };
        let found = match self.words_at_target(permit, correction).await? {
            Words::Corrected => return Ok(None),
            Words::Before => {
                "what was sent before it was corrected, so nothing was sent again; correct it there by hand"
            }
            Words::Either => {
                "the message, and nobody knows whether as it was before it was corrected or after, so nothing was sent again; look at it there, correct it by hand where it has the words from before"
            }
        };
        let queue = self.routes.target(permit.target()).map_or("integration", |target| target.exception_queue.as_str());
        let exception = NewException {
            kind: ExceptionKind::Order,
            stage: "deliver",
            code: "arrived-uncorrected".to_owned(),
            detail: format!("found at `{}` {found}, and abandon this when it is done", permit.target()),
            queue: queue.to_owned(),
            due_at: None,
        };
        Ok(Some(self.dated(exception, now, Limits::default())))
    }

    /// With which words attempts may have arrived.
    async fn words_at_target(&self, permit: &Permit, correction: PayloadRef) -> Result<Words, StoreError> {
        let may_be_there = self.may_be_there(permit, correction).await?;
        let some_had = |words: bool| may_be_there.values().any(|had_words| *had_words == words);
        Ok(match (some_had(true), some_had(false)) {
            (true, false) => Words::Corrected,
            (false, _) => Words::Before,
            (true, true) => Words::Either,
        })
    }

    /// Attempts that may have arrived, by their numbers, and whether each had the corrected words, as
    /// the log has it. One may that ended otherwise than refused or without effect, or of whose end
    /// nothing is there.
    async fn may_be_there(&self, permit: &Permit, correction: PayloadRef) -> Result<BTreeMap<u32, bool>, StoreError> {
        let Some(order) = permit.order() else { return Ok(BTreeMap::new()) };
        let (outbox, words) = (leaf::outbox(permit), correction.commitment);
        // What was corrected may be erased by now: then nobody knows its commitment any more.
        let is_erased = words.as_bytes().iter().all(|byte| *byte == 0);
        let has_words = |corrected: Option<Digest>| corrected.is_some_and(|corrected| is_erased || corrected == words);
        let leaves = self.store.order_trail(order).await?.map(|trail| trail.leaves).unwrap_or_default();
        let mut may_be_there = BTreeMap::new();
        for leaf in leaves {
            let record = Leaf::parse(&leaf.bytes).map_err(|error| StoreError::Damaged(error.to_string()))?;
            match record.body {
                LeafBody::Attempt(attempt) if attempt.outbox == outbox => {
                    may_be_there.insert(attempt.attempt, has_words(attempt.corrected));
                }
                LeafBody::Receipt(receipt)
                    if receipt.outbox == outbox
                        && matches!(receipt.outcome, ReceiptOutcome::Retry | ReceiptOutcome::Rejected) =>
                {
                    may_be_there.remove(&receipt.attempt);
                }
                _ => {}
            }
        }
        Ok(may_be_there)
    }
}

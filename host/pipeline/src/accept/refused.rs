//! What is refused of an authenticated sender: its bytes are kept, and never looked at again by the road.
//!
//! Whoever is refused says later that it sent something else, and whoever answers for the channel
//! wants to see what came. So the bytes are sealed as those of any input, and end with its retention.

use portreeve_model::document::Position;
use portreeve_model::{Digest, Problem, Reply};
use portreeve_record::leaf::{AcceptLeaf, AcceptOutcome};
use portreeve_record::{Leaf, LeafBody};
use portreeve_store::StoreError;
use portreeve_store::contract::{Disposition, InputId, JournalEntry, JournalOutcome, NewPayload};

use super::{AcceptError, Input};
use crate::leaf::{self, AcceptFacts};
use crate::numbers::{Draw, Spent};
use crate::{Pipeline, Sender, reply};

/// What came before with other content. Told apart from the same bytes that are taken: what a sender mends
/// may then come.
pub(super) const CHANGED: &[u8] = b"refused";

/// What has a media type that its channel does not take. Told apart from the same bytes under the right one,
/// to which the protocol has an answer of its own.
const OF_MEDIA_TYPE: &[u8] = b"refused-media-type";

/// The code of an input that has a media type which its channel does not take, in its record.
const MEDIA_TYPE: &str = "media-type";

/// What is kept of a refusal.
pub(super) struct Refused {
    /// Why, which tells it apart from the same bytes that are refused for another reason.
    pub(super) why: &'static [u8],
    pub(super) content: Digest,
    pub(super) payload: NewPayload,
    pub(super) record: AcceptLeaf,
    /// What its sender hears the first time.
    pub(super) reply: Reply,
}

impl Pipeline {
    /// Keeps an input of a media type that its channel does not take: no connector sees it.
    ///
    /// # Errors
    /// [`AcceptError::Store`], [`AcceptError::Record`] and [`AcceptError::Seal`]: it is not kept.
    pub async fn refuse_media_type(&self, sender: &Sender, input: &Input) -> Result<(), AcceptError> {
        let payload = NewPayload::seal(&input.body, Some(Digest::of(sender.id().as_str().as_bytes())))?;
        let position = Position { offset_bytes: None, segment: None, path: String::new() };
        let message = "this channel does not take its media type".to_owned();
        let problems = [Problem { code: MEDIA_TYPE.to_owned(), message, position }];
        let record = leaf::accept(&AcceptFacts {
            channel: sender.channel(),
            sender: sender.id(),
            content: payload.sealed.commitment(),
            key: &payload.key,
            kinds: &|_| false,
            crossing: None,
            failure: None,
            documents: &[],
            problems: &problems,
            settled: &[],
            outcome: AcceptOutcome::Rejected,
        })?;
        let (content, reply) = (input.digest(), reply::rejected(&problems));
        let refused = Refused { why: OF_MEDIA_TYPE, content, payload, record, reply };
        self.keep_refused(sender, refused, None).await.map(drop)
    }

    /// Keeps it once, however often it comes; each time has its leaf. The numbers of `drawn` are those that
    /// the reply names.
    ///
    /// Returns what its sender hears: what it heard the first time, and under no other number. Where that was
    /// no word of the protocol, or was erased since, it is the reply of this time.
    pub(super) async fn keep_refused(
        &self,
        sender: &Sender,
        refused: Refused,
        drawn: Option<&Draw>,
    ) -> Result<Reply, AcceptError> {
        let received_at = self.clock.now();
        let Refused { why, content, payload, record, reply } = refused;
        let on_record = |record: AcceptLeaf| Leaf::new(&self.host, received_at, LeafBody::Accept(record));
        let give_back = |spent: Option<Spent>| {
            if let Some((drawn, spent)) = drawn.zip(spent) {
                drawn.unspent(spent);
            }
        };
        let content = Digest::of_parts(&[content.as_bytes(), why]);
        let mut kept = self.store.reply_to(InputId::derive(sender.channel(), sender.id(), content)).await?;
        if kept.is_none() {
            let entry = JournalEntry {
                channel: sender.channel().clone(),
                sender: sender.id().clone(),
                received_at,
                content,
                envelopes: Vec::new(),
                disposition: Disposition::Refused,
                payload,
                reply: reply.clone(),
                documents: Vec::new(),
                exceptions: Vec::new(),
                mended_by: sender.mended_by().map(str::to_owned),
                wakes: None,
                leaf: on_record(record.clone())?,
            };
            // An answer names numbers. Without one they go back with the draw.
            let spent = drawn.map(Draw::spend);
            let journaled = self.store.journal(entry).await;
            if !matches!(&journaled, Ok(JournalOutcome::Committed { .. }) | Err(StoreError::Unknown(_))) {
                give_back(spent);
            }
            kept = match journaled? {
                JournalOutcome::Committed { .. } => return Ok(reply),
                // Another one was faster with the same bytes.
                JournalOutcome::Duplicate { reply: first, .. } => Some(first),
                JournalOutcome::Known { .. } => None,
            };
        }
        if let Some(first) = kept.filter(|kept| drawn.is_some() && is_answer(kept)) {
            // Its numbers are on record with the first time.
            self.store.refuse(on_record(leaf::refused(record, false)?)?).await?;
            return Ok(first);
        }
        let entry = on_record(record)?;
        let spent = drawn.map(Draw::spend);
        let written = self.store.refuse(entry).await;
        if matches!(&written, Err(error) if !matches!(error, StoreError::Unknown(_))) {
            give_back(spent);
        }
        written?;
        Ok(reply)
    }
}

/// Whether a reply that is kept is a word of the protocol, and was not erased.
fn is_answer(reply: &Reply) -> bool {
    !reply.body.is_empty() && !reply::is_problem(reply)
}

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
use crate::numbers::Draw;
use crate::{Pipeline, Sender, reply};

/// Told apart from the same bytes that are taken: what a sender mends may then come.
const REFUSED: &[u8] = b"refused";

/// The code of an input that has a media type which its channel does not take, in its record.
const MEDIA_TYPE: &str = "media-type";

/// What is kept of a refusal.
pub(super) struct Refused {
    pub(super) content: Digest,
    pub(super) payload: NewPayload,
    pub(super) record: AcceptLeaf,
    /// What its sender hears.
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
        let refused = Refused { content: input.digest(), payload, record, reply: reply::rejected(&problems) };
        self.keep_refused(sender, refused, None).await
    }

    /// What its sender heard when exactly this was refused before; none where the protocol had no words for
    /// it, or they were erased since.
    pub(super) async fn refusal_before(&self, sender: &Sender, content: Digest) -> Result<Option<Reply>, AcceptError> {
        let id = InputId::derive(sender.channel(), sender.id(), as_refused(content));
        let kept = self.store.reply_to(id).await?;
        Ok(kept.filter(|reply| !reply.body.is_empty() && !reply::is_problem(reply)))
    }

    /// Keeps it once, however often it comes; each time has its leaf. The numbers of `drawn` are those that
    /// the reply names.
    pub(super) async fn keep_refused(
        &self,
        sender: &Sender,
        refused: Refused,
        drawn: Option<&Draw>,
    ) -> Result<(), AcceptError> {
        let received_at = self.clock.now();
        let Refused { content, payload, record, reply } = refused;
        let leaf = || Leaf::new(&self.host, received_at, LeafBody::Accept(record.clone()));
        let content = as_refused(content);
        let id = InputId::derive(sender.channel(), sender.id(), content);
        let is_kept = self.store.reply_to(id).await?.is_some();
        let entry = JournalEntry {
            channel: sender.channel().clone(),
            sender: sender.id().clone(),
            received_at,
            content,
            envelopes: Vec::new(),
            disposition: Disposition::Refused,
            payload,
            reply,
            documents: Vec::new(),
            exceptions: Vec::new(),
            mended_by: sender.mended_by().map(str::to_owned),
            wakes: None,
            leaf: leaf()?,
        };
        // An answer names numbers. Without one they go back with the draw.
        let spent = drawn.map(Draw::spend);
        let written = match is_kept {
            true => self.store.refuse(entry.leaf).await,
            false => match self.store.journal(entry).await {
                // Another one was faster with the same bytes.
                Ok(JournalOutcome::Duplicate { .. } | JournalOutcome::Known { .. }) => self.store.refuse(leaf()?).await,
                Ok(JournalOutcome::Committed { .. }) => Ok(()),
                Err(error) => Err(error),
            },
        };
        written.map_err(|error| {
            if let (Some(drawn), Some(spent)) = (drawn, spent)
                && !matches!(error, StoreError::Unknown(_))
            {
                drawn.unspent(spent);
            }
            error.into()
        })
    }
}

/// The content by which a refused input is known.
fn as_refused(content: Digest) -> Digest {
    Digest::of_parts(&[content.as_bytes(), REFUSED])
}

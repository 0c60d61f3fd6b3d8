//! Envelopes that came before. A sender that heard nothing sends its interchange
//! again, often in another file than the first time: beside new ones, or alone. Each
//! envelope is judged by itself:
//!
//! ```text
//! key      bytes        documents   answer in the reply
//! new      –            taken       the connector's
//! known    the same     left out    the one that it got the first time
//! known    others       left out    the connector's refusal (X12: a TA1 with note 025)
//! ```
//!
//! The same goes for two envelopes with one key in the same input: the first one counts.
//!
//! Danger: an answer that is put into a reply moves everything behind it, and a
//! connector says where the answers are. So every place is checked while the new
//! reply is put together, and what is put in is bounded.

use std::collections::BTreeMap;

use portreeve_model::document::{Envelope, Position, Span};
use portreeve_model::{Digest, Problem, Received};
use portreeve_record::leaf::EnvelopeOutcome;
use portreeve_store::StoreError;
use portreeve_store::contract::{InputId, KnownEnvelope, NewEnvelope};

use crate::Pipeline;

/// Bytes of earlier answers in one reply. An answer of megabytes, asked for by ten
/// thousand small envelopes with the same key, would be all of the host's memory.
const REPEATED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What earlier inputs brought, as far as the journal was asked.
#[derive(Default)]
pub(crate) struct Memory {
    known: BTreeMap<String, Remembered>,
    bytes: usize,
}

struct Remembered {
    input: InputId,
    content: Digest,
    answer: Option<Vec<u8>>,
}

impl Pipeline {
    /// Remembers envelopes that the journal knows, each with the answer that it got.
    pub(super) async fn recall(&self, known: Vec<KnownEnvelope>, memory: &mut Memory) -> Result<(), StoreError> {
        let mut replied: Option<(InputId, Vec<u8>)> = None;
        for KnownEnvelope { input, first } in known {
            if replied.as_ref().is_none_or(|(of, _)| *of != input) {
                replied = self.store.reply_to(input).await?.map(|reply| (input, reply.body));
            }
            let body = replied.as_ref().map_or(&[][..], |(_, body)| body);
            // What is too much is not held: the input is judged as too large.
            let answer = first.answer.and_then(|span| span.of(body));
            memory.bytes = memory.bytes.saturating_add(answer.map_or(0, <[u8]>::len));
            let answer = answer.filter(|_| memory.bytes <= REPEATED_BYTES_MAX).map(<[u8]>::to_vec);
            memory.known.insert(first.key, Remembered { input, content: first.content, answer });
        }
        Ok(())
    }
}

/// What becomes of an envelope, with what stands in the place of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate<'a> {
    New,
    Repeated(Option<&'a [u8]>),
    Changed(Option<&'a [u8]>),
}

/// The envelopes of an input, judged one by one.
#[derive(Debug)]
pub(super) struct Sorted<'a> {
    envelopes: &'a [Envelope],
    fates: Vec<Fate<'a>>,
    /// Those that come for the first time, with the places of their answers in `reply`.
    pub(super) new: Vec<NewEnvelope>,
    /// The body of the reply.
    pub(super) reply: Vec<u8>,
}

/// Why no reply could be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsortable {
    /// The sandbox lets no such result through.
    #[error("the reply has no such answers as its envelopes say; repair the connector")]
    Broken,
    #[error("the earlier answers have more than {REPEATED_BYTES_MAX} bytes; send fewer repeated envelopes at once")]
    TooLarge,
}

impl Unsortable {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Broken => "contract-violation",
            Self::TooLarge => "too-large",
        }
    }
}

impl<'a> Sorted<'a> {
    pub(super) fn of(received: &'a Received, input: &[u8], memory: &'a Memory) -> Result<Self, Unsortable> {
        if memory.bytes > REPEATED_BYTES_MAX {
            return Err(Unsortable::TooLarge);
        }
        let envelopes = &received.envelopes[..];
        let contents: Option<Vec<Digest>> = envelopes.iter().map(|envelope| envelope.digest(input)).collect();
        let contents = contents.ok_or(Unsortable::Broken)?;

        let mut first: BTreeMap<&str, (Digest, Option<&[u8]>)> = BTreeMap::new();
        let mut fates = Vec::with_capacity(envelopes.len());
        for (envelope, content) in envelopes.iter().zip(&contents) {
            let answer = envelope.answer.and_then(|span| span.of(&received.reply.body));
            let earlier = match memory.known.get(&envelope.key) {
                Some(known) => Some((known.content, known.answer.as_deref())),
                None => first.get(envelope.key.as_str()).copied(),
            };
            fates.push(match earlier {
                None => Fate::New,
                Some((earlier, answer)) if earlier == *content => Fate::Repeated(answer),
                Some(_) => Fate::Changed(envelope.refusal.as_deref()),
            });
            first.entry(&envelope.key).or_insert((*content, answer));
        }

        let (reply, places) = spliced(&received.reply.body, envelopes, &fates)?;
        let new = envelopes.iter().zip(contents).zip(&fates).zip(places);
        let new = new
            .filter(|((_, fate), _)| **fate == Fate::New)
            .map(|(((envelope, content), _), answer)| NewEnvelope { key: envelope.key.clone(), content, answer });
        let new = new.collect();
        Ok(Self { envelopes, fates, new, reply })
    }

    /// Whether a document is taken: it came in a new envelope, or in none.
    pub(super) fn takes(&self, document: &portreeve_model::Document) -> bool {
        self.fate(document.envelope).is_none_or(|fate| fate == Fate::New)
    }

    fn fate(&self, envelope: Option<u32>) -> Option<Fate<'a>> {
        let index = usize::try_from(envelope?).ok()?;
        self.fates.get(index).copied()
    }

    /// Whether the first of the changed envelopes has no refusal of its own.
    pub(super) fn unrefusable(&self) -> Option<&'a str> {
        self.changed_ones().find(|(_, fate)| *fate == Fate::Changed(None)).map(|(envelope, _)| envelope.key.as_str())
    }

    /// The key of the first changed envelope.
    pub(super) fn first_changed(&self) -> Option<&'a str> {
        self.changed_ones().next().map(|(envelope, _)| envelope.key.as_str())
    }

    fn changed_ones(&self) -> impl Iterator<Item = (&'a Envelope, Fate<'a>)> {
        let both = self.envelopes.iter().zip(self.fates.iter().copied());
        both.filter(|(_, fate)| matches!(fate, Fate::Changed(_)))
    }

    /// Envelopes that came before, for the record.
    pub(super) fn settled(&self) -> Vec<(String, EnvelopeOutcome)> {
        let both = self.envelopes.iter().zip(&self.fates);
        both.filter_map(|(envelope, fate)| match fate {
            Fate::New => None,
            Fate::Repeated(_) => Some((envelope.key.clone(), EnvelopeOutcome::Repeated)),
            Fate::Changed(_) => Some((envelope.key.clone(), EnvelopeOutcome::Changed)),
        })
        .collect()
    }

    /// What is wrong with what is taken, and with the envelopes that changed. What is
    /// wrong with a repeated one was said when it came first.
    pub(super) fn problems(&self, received: &Received) -> Vec<Problem> {
        let left_out: Vec<&Envelope> = self
            .envelopes
            .iter()
            .zip(&self.fates)
            .filter_map(|(envelope, fate)| (*fate != Fate::New).then_some(envelope))
            .collect();
        let theirs = |problem: &&Problem| !left_out.iter().any(|envelope| within(&problem.position, envelope));
        let kept = received.problems.iter().filter(theirs).cloned();
        kept.chain(self.changed(received)).collect()
    }

    /// A problem for each envelope that changed.
    pub(super) fn changed(&self, received: &Received) -> Vec<Problem> {
        let both = (0_u32..).zip(self.envelopes.iter().zip(&self.fates));
        both.filter(|(_, (_, fate))| matches!(fate, Fate::Changed(_)))
            .map(|(index, (envelope, _))| {
                let document = received.documents.iter().find(|document| document.envelope == Some(index));
                let path = document.and_then(|document| document.position.path.split('/').next());
                Problem {
                    code: "envelope-changed".to_owned(),
                    message: "found other content under the key of an earlier envelope; expected the same bytes, or a new control number or event id".to_owned(),
                    position: Position {
                        offset_bytes: Some(envelope.part.map_or(0, |part| part.offset_bytes)),
                        segment: None,
                        path: path.unwrap_or_default().to_owned(),
                    },
                }
            })
            .collect()
    }
}

/// The first input of a repeated envelope that is a whole input without an answer of
/// its own: what answers it is that input's whole reply.
pub(super) fn repeated_whole(received: &Received, memory: &Memory) -> Option<InputId> {
    match &received.envelopes[..] {
        [Envelope { key, part: None, answer: None, .. }] => memory.known.get(key).map(|known| known.input),
        _ => None,
    }
}

/// Whether a problem is about the bytes of an envelope. Its end counts in: what is
/// missing is missing there.
fn within(position: &Position, envelope: &Envelope) -> bool {
    match (envelope.part, position.offset_bytes) {
        (None, _) => true,
        (Some(part), Some(offset)) => {
            (part.offset_bytes..=part.offset_bytes.saturating_add(part.length_bytes)).contains(&offset)
        }
        (Some(_), None) => false,
    }
}

/// The reply with other bytes in the place of some answers, and where each answer is now.
fn spliced(
    body: &[u8],
    envelopes: &[Envelope],
    fates: &[Fate<'_>],
) -> Result<(Vec<u8>, Vec<Option<Span>>), Unsortable> {
    let mut pieces: Vec<(usize, Span, Option<&[u8]>)> = Vec::new();
    let mut repeated_bytes = 0_usize;
    for (index, (envelope, fate)) in envelopes.iter().zip(fates).enumerate() {
        let Some(span) = envelope.answer else { continue };
        let instead = match fate {
            Fate::New => None,
            Fate::Repeated(answer) | Fate::Changed(answer) => *answer,
        };
        repeated_bytes = repeated_bytes.saturating_add(instead.map_or(0, <[u8]>::len));
        pieces.push((index, span, instead));
    }
    if repeated_bytes > REPEATED_BYTES_MAX {
        return Err(Unsortable::TooLarge);
    }
    pieces.sort_by_key(|(_, span, _)| (span.offset_bytes, span.length_bytes));

    let mut reply = Vec::with_capacity(body.len().saturating_add(repeated_bytes));
    let mut places = vec![None; envelopes.len()];
    let mut read = 0;
    for (index, span, instead) in pieces {
        let answer = span.of(body).ok_or(Unsortable::Broken)?;
        let start = usize::try_from(span.offset_bytes).map_err(|_| Unsortable::Broken)?;
        // Nothing when it begins before the last one ended.
        reply.extend_from_slice(body.get(read..start).ok_or(Unsortable::Broken)?);
        read = start.saturating_add(answer.len());
        let piece = instead.unwrap_or(answer);
        if let Some(place) = places.get_mut(index) {
            *place = Some(Span { offset_bytes: bytes(reply.len()), length_bytes: bytes(piece.len()) });
        }
        reply.extend_from_slice(piece);
    }
    reply.extend_from_slice(body.get(read..).ok_or(Unsortable::Broken)?);
    Ok((reply, places))
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

//! Deliveries to one target that were given up, tried again together: after an outage that
//! outlived their deadlines there are hundreds, and one cause.
//!
//! ```text
//! target, cause, at most so many ─▶ what would go, and its digest ─▶ each by itself: retry
//! ```
//!
//! Each is decided about as if it were alone: by its own queue's rules, with a record and a
//! transaction of its own. Dangers of doing so with many, and what stops them:
//!
//! - *More than was meant.* Whoever decides says how many at most, and names a digest of exactly
//!   those that were shown.
//! - *One that stops all.* What may not go is told with the reason, and the others go.
//! - *A crash among them.* Nothing else says how far it went: whoever asks again does what is left.

use portreeve_model::{Digest, ExceptionAction};
use portreeve_record::canonical_digest;
use portreeve_store::contract::DeadLetter;

use super::{Decision, ExceptionError, Outcome, counted};
use crate::Pipeline;
use crate::people::SignedIn;

/// Deliveries that are tried again together at most: a person looks at all of them.
pub const LETTERS_MAX: u32 = 500;

/// Which deliveries.
#[derive(Debug, Clone, Copy)]
pub struct LettersWanted<'a> {
    /// The target.
    pub target: &'a str,
    /// The code with which they were given up; every one where there is none.
    pub code: Option<&'a str>,
    /// At most so many, those first that were given up first; [`LETTERS_MAX`] bounds it.
    pub most: u32,
}

impl LettersWanted<'_> {
    fn wants(&self, letter: &DeadLetter) -> bool {
        letter.target == self.target && self.code.is_none_or(|code| letter.code == code)
    }
}

/// What would be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letters {
    /// By number.
    pub letters: Vec<DeadLetter>,
    /// Whether there are more of them.
    pub more: bool,
    /// The digest of what is shown: a decision names it.
    pub digest: Digest,
}

/// What became of one of them.
#[derive(Debug)]
pub struct Retried {
    /// Its exception.
    pub exception: u64,
    /// Whether it is tried again, or why not.
    pub outcome: Result<Outcome, ExceptionError>,
}

impl Pipeline {
    /// What would be tried again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn show_letters(&self, wanted: LettersWanted<'_>) -> Result<Letters, ExceptionError> {
        let most = usize::try_from(wanted.most.min(LETTERS_MAX)).unwrap_or(usize::MAX);
        let (mut letters, mut more, mut after) = (Vec::new(), false, 0);
        while !more {
            let page = self.store.dead_letters(after, LETTERS_MAX).await?;
            let Some(last) = page.last() else { break };
            after = last.exception;
            let found = page.into_iter().filter(|letter| wanted.wants(letter));
            letters.extend(found.take(most.saturating_add(1).saturating_sub(letters.len())));
            more = letters.len() > most;
        }
        letters.truncate(most);
        let shown: Vec<_> = letters
            .iter()
            .map(|letter| {
                (letter.exception.to_string(), &letter.outbox.0, &letter.code, letter.attempts, letter.replays)
            })
            .collect();
        let digest = canonical_digest(&(1, wanted.target, wanted.code, shown))?;
        Ok(Letters { letters, more, digest })
    }

    /// Has each of them tried again, and says what became of each: a target is asked first about
    /// what may have arrived, as after every retry.
    ///
    /// # Errors
    /// When there is no reason or it is a book, others than those that were shown would go, or the
    /// person may not decide about the first of them. Nothing was done then.
    pub async fn retry_letters(
        &self,
        who: &SignedIn,
        wanted: LettersWanted<'_>,
        seen: Digest,
        reason: &str,
    ) -> Result<Vec<Retried>, ExceptionError> {
        let reason = counted("reason", reason)?;
        let Letters { letters, digest, .. } = self.show_letters(wanted).await?;
        if digest != seen {
            return Err(ExceptionError::StaleLetters { target: wanted.target.to_owned(), now: letters.len() });
        }
        let mut retried: Vec<Retried> = Vec::with_capacity(letters.len());
        for letter in letters {
            let exception = letter.exception;
            match self.retry_letter(who, exception, reason).await {
                Err(denied @ ExceptionError::Denied(_)) if retried.is_empty() => return Err(denied),
                outcome => retried.push(Retried { exception, outcome }),
            }
        }
        Ok(retried)
    }

    async fn retry_letter(&self, who: &SignedIn, exception: u64, reason: &str) -> Result<Outcome, ExceptionError> {
        let shown = self.show_exception(exception).await?.digest;
        let action = ExceptionAction::Retry;
        let decision = Decision { exception, shown, action, reason, holds: &[], queue: None, payload: None };
        self.decide_exception(who, decision).await
    }
}

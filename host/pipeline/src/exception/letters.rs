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
//!   those that were shown, each with all that a decision about it alone is compared with.
//! - *One that stops all.* What may not go is told with the reason, and the others go.
//! - *A crash among them.* Nothing else says how far it went: whoever asks again does what is left.

use portreeve_model::{Digest, ExceptionAction};
use portreeve_record::canonical_digest;
use portreeve_store::contract::DeadLetter;

use super::{Decision, ExceptionError, Outcome, Shown, counted};
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

/// What would be tried again, with all that a decision about each of them depends on.
struct Members {
    letters: Vec<(DeadLetter, Shown)>,
    more: bool,
    digest: Digest,
}

impl Pipeline {
    /// What would be tried again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn show_letters(&self, wanted: LettersWanted<'_>) -> Result<Letters, ExceptionError> {
        let Members { letters, more, digest } = self.members_wanted(wanted).await?;
        Ok(Letters { letters: letters.into_iter().map(|(letter, _)| letter).collect(), more, digest })
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
        let Members { letters, digest, .. } = self.members_wanted(wanted).await?;
        if digest != seen {
            return Err(ExceptionError::StaleLetters { target: wanted.target.to_owned(), now: letters.len() });
        }
        let mut retried: Vec<Retried> = Vec::with_capacity(letters.len());
        for (letter, shown) in letters {
            let exception = letter.exception;
            match self.retry_letter(who, shown, reason).await {
                Err(denied @ ExceptionError::Denied(_)) if retried.is_empty() => return Err(denied),
                outcome => retried.push(Retried { exception, outcome }),
            }
        }
        Ok(retried)
    }

    /// Those that are meant, each as somebody is shown it.
    async fn members_wanted(&self, wanted: LettersWanted<'_>) -> Result<Members, ExceptionError> {
        let most = wanted.most.min(LETTERS_MAX);
        let found = self.store.dead_letters_of(wanted.target, wanted.code, 0, most.saturating_add(1)).await?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let more = found.len() > most;
        let mut letters = Vec::with_capacity(found.len().min(most));
        for letter in found.into_iter().take(most) {
            let shown = self.show_exception(letter.exception).await?;
            letters.push((letter, shown));
        }
        let shown: Vec<_> =
            letters.iter().map(|(letter, shown)| (letter.exception.to_string(), shown.digest)).collect();
        let digest = canonical_digest(&(2, wanted.target, wanted.code, shown))?;
        Ok(Members { letters, more, digest })
    }

    /// What was shown of it is what was compared with all others: it is not read a second time.
    async fn retry_letter(&self, who: &SignedIn, shown: Shown, reason: &str) -> Result<Outcome, ExceptionError> {
        let (exception, action) = (shown.trail.exception.id, ExceptionAction::Retry);
        let shown_digest = shown.digest;
        let decision =
            Decision { exception, shown: shown_digest, action, reason, holds: &[], queue: None, payload: None };
        self.decide_shown(who, shown, decision).await
    }
}

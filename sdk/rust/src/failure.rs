//! How a plugin says that something went wrong, and how the host functions'
//! errors become a plugin's failure with `?`.
//!
//! The rule behind the conversions: what the platform team has to change is
//! permanent, what time may mend is a retry.

use crate::bindings::shared::portreeve::plugin::artifact::ArtifactError;
use crate::bindings::shared::portreeve::plugin::kv::KvError;
use crate::bindings::shared::portreeve::plugin::lookup::LookupError;
use crate::bindings::shared::portreeve::plugin::numbers::NumbersError;
use crate::log::clipped_to;
use crate::money::NumberError;
use crate::types::{Failure, Position, Problem};

/// Milliseconds until another try, where the host can't say when it will work again.
pub const RETRY_MS: u32 = 30_000;

/// The host's limit for a sentence and for a path. What quotes a sender or a target
/// may be longer; it is cut here, since the host would refuse the whole result.
pub const SENTENCE_BYTES_MAX: usize = 1_024;

impl Failure {
    /// It will never work; one sentence for a person.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent(sentence(message))
    }

    /// The input is wrong, for this one reason.
    #[must_use]
    pub fn invalid(problem: Problem) -> Self {
        Self::Invalid(vec![problem])
    }

    /// The effect may or may not have happened; one sentence for a person.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::UnknownOutcome(sentence(message))
    }
}

fn sentence(text: impl Into<String>) -> String {
    let mut text = text.into();
    text.truncate(clipped_to(&text, SENTENCE_BYTES_MAX).len());
    text
}

impl Problem {
    /// A problem with a stable `code` (lower case, dashes), one sentence, and
    /// its place as a path in the format's own notation.
    pub fn new(code: impl Into<String>, message: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: sentence(message),
            position: Position { offset_bytes: None, segment: None, path: sentence(path) },
        }
    }

    /// The same problem, at this byte offset of the input.
    #[must_use]
    pub fn at_offset(mut self, offset_bytes: u64) -> Self {
        self.position.offset_bytes = Some(offset_bytes);
        self
    }

    /// The same problem, at this one-based segment, line or element.
    #[must_use]
    pub fn at_segment(mut self, segment: u32) -> Self {
        self.position.segment = Some(segment);
        self
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Denied(table) => Self::Permanent(format!(
                "reference table `{table}` is not granted; declare it under `[imports] lookup` and ask for the grant"
            )),
            LookupError::UnknownTable(table) => Self::Permanent(format!("the host has no reference table `{table}`")),
            LookupError::Unavailable(_) => Self::Retry(RETRY_MS),
        }
    }
}

impl From<NumbersError> for Failure {
    fn from(error: NumbersError) -> Self {
        match error {
            NumbersError::Denied(range) => Self::Permanent(format!(
                "number range `{range}` is not granted; declare it under `[imports] numbers` and ask for the grant"
            )),
            NumbersError::Exhausted(range) => {
                Self::Permanent(format!("number range `{range}` has no number left; widen it"))
            }
            NumbersError::Unavailable(_) => Self::Retry(RETRY_MS),
        }
    }
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Self {
        match error {
            KvError::TooLarge(what) => Self::Permanent(format!("connector state is too large: {what}")),
            KvError::Unavailable(_) => Self::Retry(RETRY_MS),
        }
    }
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Denied(digest) => {
                Self::Permanent(format!("model file `{digest}` is not granted; declare it under `[imports] artifact`"))
            }
            ArtifactError::Missing(digest) => Self::Permanent(format!("the host does not have model file `{digest}`")),
        }
    }
}

impl From<NumberError> for Failure {
    fn from(error: NumberError) -> Self {
        Self::invalid(Problem::new("bad-number", error.to_string(), ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_quotes_a_long_text_is_one_that_the_host_takes() {
        let problem = Problem::new("bad", "ä".repeat(SENTENCE_BYTES_MAX), "x".repeat(2 * SENTENCE_BYTES_MAX));
        assert_eq!((problem.message.len(), problem.position.path.len()), (SENTENCE_BYTES_MAX, SENTENCE_BYTES_MAX));
        assert_eq!(Failure::permanent("x".repeat(5_000)), Failure::Permanent("x".repeat(SENTENCE_BYTES_MAX)));
    }
}

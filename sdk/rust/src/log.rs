//! Lines for the operator's log. No personal data, no secrets.
//!
//! The manifest declares it: `[imports] log = true`. The host limits lines and
//! bytes per call, and counts what it drops.

use crate::bindings::shared::portreeve::plugin::log::{Level, write};

/// The host's limit for a line; a longer one is cut here, between characters.
pub const LINE_BYTES_MAX: usize = 2_048;

/// What is of interest only when something is being looked for.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, clipped(message.as_ref()));
}

/// What an operator may like to know.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, clipped(message.as_ref()));
}

/// What an operator should look at some day.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, clipped(message.as_ref()));
}

/// What an operator should look at now.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, clipped(message.as_ref()));
}

fn clipped(message: &str) -> &str {
    clipped_to(message, LINE_BYTES_MAX)
}

/// The beginning of a text, cut between characters.
pub(crate) fn clipped_to(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_a_long_line_between_characters() {
        let line = "ä".repeat(LINE_BYTES_MAX);
        assert_eq!(clipped(&line).len(), LINE_BYTES_MAX);
        let shifted = format!("x{line}");
        assert_eq!(clipped(&shifted).len(), LINE_BYTES_MAX - 1);
    }
}

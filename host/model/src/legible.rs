//! Whether a text that somebody else wrote is one that people can be shown.

/// Whether it has 1 to so many bytes and no control characters.
pub(crate) fn is_legible(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control)
}

//! Control and document numbers, from ranges that the host keeps.
//!
//! A number is used up when the call's effect commits, and given again when it
//! doesn't: never derive one number from another.
//! The manifest declares the ranges: `[imports] numbers = ["x12-interchange"]`.

pub use crate::bindings::shared::portreeve::plugin::numbers::NumbersError;

/// The next number of a range.
///
/// # Errors
/// When the range is not granted or has no number left.
pub fn next(range: &str) -> Result<u64, NumbersError> {
    crate::bindings::shared::portreeve::plugin::numbers::next(range)
}

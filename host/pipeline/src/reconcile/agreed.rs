//! An order as people agreed on since it came: they accept a change when they have carried it out in
//! the systems that have the order, so those have other quantities by then than came first.
//!
//! The change is the whole order as it is to be. What has left of it has left all the same: a line that
//! it does not have any more and of which some left is as much as that. How far the order is by the change,
//! its process says (`process/progress/agreed.rs`): an order whose progress knows of the change is counted
//! alike once more, and one whose change an earlier version accepted is counted as if it did.
//!
//! Where nobody can say what the systems made of it, people are told so: an order that is left out without
//! a word is one of which nobody finds out that it is wrong.

use portreeve_model::Order;

use crate::process::{Process, Progress};

/// Why nobody can compare an order by a change that people accepted.
pub(super) const NOT_COUNTED: &str = "found an agreed change that says of a line of which some has left another unit or item, or less than that, expected the same as before: see what both systems have of it";

/// The order and how far it is by a change that people accepted. None where the change contradicts what
/// has left: nobody knows then what the systems made of it.
pub(super) fn agreed(
    process: &Process,
    first: &Order,
    mut changed: Order,
    progress: Option<Progress>,
) -> Option<(Order, Option<Progress>)> {
    let Some(known) = progress else { return Some((changed, None)) };
    let progress = process.agreed(&known, &changed).ok()?;
    let has_left = |number: &String| known.lines.get(number).is_some_and(|line| line.shipped > 0);
    let is_gone = |number: &String| changed.lines.iter().all(|line| line.number != *number);
    let rest = first.lines.iter().filter(|line| is_gone(&line.number) && has_left(&line.number));
    let rest: Vec<_> = rest.cloned().collect();
    changed.lines.extend(rest);
    Some((changed, Some(progress)))
}

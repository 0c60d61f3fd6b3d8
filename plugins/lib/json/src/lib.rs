//! JSON that systems send about orders: taken event by event, read in its own digits,
//! refused at its place.
//!
//! The danger is what a friendly reader does: a number that passes through a float is
//! another number, a field that nobody knows is a fact that gets lost, an error that quotes
//! what it found is somebody's address in a log. Here numbers are read from their own
//! digits, unknown fields are refused, and problems name the place and the kind of what was
//! found, never the value.
//!
//! Connectors use [`listed`], which takes an input apart and leaves each event's bytes as
//! they came; transformers the rest. What a field means is theirs.

pub mod listed;

pub mod object;
pub mod value;

pub mod moment;
pub mod place;

pub mod row;

use portreeve_sdk::types::Problem;
use serde::Deserialize;

/// Values of one event. The host refuses a result of more than 20,000 elements in its
/// lists, and counts it as the plugin's failure: a sender of endless serial numbers would
/// have the plugin stopped for everybody. A line of a shipment is some ten values.
const VALUES_MAX: usize = 19_000;

/// Reads a JSON text. `root` is the path of it within its event, empty for the event itself.
///
/// # Errors
/// What is wrong with it, with its place.
pub fn read<'a, S: Deserialize<'a>>(text: &'a str, root: &str) -> Result<S, Box<Problem>> {
    let values = values(text);
    if values > VALUES_MAX {
        let message = format!("found data of some {values} values; expected {VALUES_MAX} at most");
        return Err(Box::new(Problem::new("event-too-large", message, root)));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| Box::new(place::problem(&error, root)))
}

/// No fewer than there are: each but the last of a list or an object ends with a comma,
/// and those in texts count along.
fn values(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b',').count()
}

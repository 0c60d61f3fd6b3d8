//! The list of a batch, read without holding more of it than is taken.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Events of one batch: one input is one commit. A list of millions of tiny elements
/// would be many times its own size in memory.
pub(crate) const EVENTS_MAX: usize = 500;

/// The events of a batch, each as it was written: the first [`EVENTS_MAX`] of those found.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    pub(crate) events: Vec<&'a RawValue>,
    pub(crate) found: usize,
}

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de> Visitor<'de> for Batch<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(event) = list.next_element()? {
            self.found = self.found.saturating_add(1);
            if self.found <= EVENTS_MAX {
                self.events.push(event);
            }
        }
        Ok(self)
    }
}

//! What is wrong with one setting of one place: in a sentence for people, and in terms that two
//! looks at the same configuration can be compared by.
//!
//! A sentence names what would be right (the settings that are read, what a plugin takes), and so it
//! is another one as soon as a component says more of itself, though what is wrong is as it was.

use std::collections::BTreeSet;
use std::fmt;

use portreeve_model::PluginName;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// Where: how people call the channel, target, poll or system.
    pub(super) place: String,
    /// The setting, as it is written there, or as a plugin that misses it calls it.
    pub(super) setting: String,
    pub(super) kind: Slip,
    /// Those who need it, or do not take what it holds; none where nobody reads it.
    pub(super) plugins: BTreeSet<PluginName>,
    /// What people read.
    pub(super) sentence: String,
}

/// How a setting is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slip {
    /// It is there, and nobody reads it.
    Unread,
    /// It is not there, and somebody needs it.
    Missing,
    /// It holds what somebody does not take.
    NotTaken,
}

impl SettingProblem {
    /// Whether the same was wrong already by an earlier look: with the same setting of the same place,
    /// in the same way, and for every plugin that it is wrong for now. How it was said does not matter.
    #[must_use]
    pub fn was_among(&self, before: &[Self]) -> bool {
        before.iter().any(|earlier| {
            let is_same = earlier.kind == self.kind && earlier.setting == self.setting && earlier.place == self.place;
            is_same && self.plugins.is_subset(&earlier.plugins)
        })
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

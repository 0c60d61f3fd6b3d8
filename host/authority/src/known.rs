//! What the files of this room may refer to; whoever reads them knows it.

use std::collections::BTreeSet;

use portreeve_model::PluginName;

/// Names that configuration may refer to.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The queues that people work on.
    pub queues: BTreeSet<String>,
    /// The plugins that are installed or about to be.
    pub plugins: BTreeSet<PluginName>,
}

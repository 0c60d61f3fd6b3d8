//! The configuration that another one takes the place of, as it was.
//!
//! What was active was right by the rules of its time, and a newer build may know better: a name that is the
//! host's own by now, a setting that nobody reads. What follows it has to be right, and must not fail by
//! what it repairs. So of the one before is read what its successor is held to, and nothing is asked of it.

use std::collections::BTreeMap;

use portreeve_authority::SourceFile;
use portreeve_model::{Digest, PluginName};
use portreeve_pipeline::Routes;
use portreeve_registry::TrustPolicy;

use super::{Files, TRUST_FILE, parse_host, routes_of};

/// What a configuration is held to by the one before.
pub(crate) struct Before {
    /// The origin of its audit log.
    pub(crate) origin: String,
    /// Its routes, whatever is wrong with them by now.
    pub(crate) routes: Routes,
    /// Plugin to the digest of its component.
    pub(crate) components: BTreeMap<PluginName, Digest>,
    /// Whose packages counted; none where that cannot be understood any more, so that nobody's did.
    pub(crate) trust: Option<TrustPolicy>,
}

impl Files {
    /// What whatever takes the place of these files is held to.
    ///
    /// # Errors
    /// When the main file cannot be understood at all.
    pub(crate) fn before(&self) -> anyhow::Result<Before> {
        let host = parse_host(&self.host)?;
        let routes = routes_of(&host);
        // Each plugin whose package counts now is then on record as activated, which it is.
        let trust = TrustPolicy::load(&SourceFile { name: TRUST_FILE, text: &self.trust }).ok();
        Ok(Before { origin: host.host.origin, routes, components: self.components.clone(), trust })
    }
}

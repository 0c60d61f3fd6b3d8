//! What the plugins of a folder of configuration say of their settings and messages, and how many requests
//! a call of theirs may make, out of its components.
//!
//! Routes are checked before anything is built, so a component that is not there is no fault
//! here: whoever asks is told of which plugins nothing could be looked at, and trying the
//! configuration says what is wrong with them.

use std::collections::BTreeMap;
use std::path::Path;

use portreeve_model::{Digest, PluginName};
use portreeve_pipeline::route::Manifests;
use portreeve_pipeline::settings::Declarations;
use portreeve_registry::Package;
use portreeve_registry::file::read_component;
use portreeve_sandbox::Limits;

use crate::config::{PluginEntry, Proposed};

/// What plugins declare, and those of which nobody could look.
#[derive(Debug, Default)]
pub struct Declared {
    /// What they declare, of those that declare anything.
    pub settings: Declarations,
    /// All that they say.
    pub manifests: Manifests,
    /// Those whose component is not there, or is none.
    pub unread: Vec<PluginName>,
}

impl Declared {
    /// Looks at the components that are in a folder.
    #[must_use]
    pub fn in_folder(folder: &Path, plugins: &[PluginEntry]) -> Self {
        let mut declared = Self::default();
        for plugin in plugins {
            let bytes = read_component(&folder.join(&plugin.component)).ok();
            declared.add(&plugin.name, bytes.as_deref());
        }
        declared
    }

    /// Looks at components that were read.
    #[must_use]
    pub fn proposed(proposed: &Proposed) -> Self {
        let Proposed { files, components, .. } = proposed;
        let mut declared = Self::default();
        for (name, digest) in &files.components {
            declared.add(name, bytes_of(components, *digest));
        }
        declared
    }

    /// How many requests one call of a plugin may make, by what it asks for and its entry grants.
    pub(crate) fn requests(&self, plugin: &PluginEntry) -> Option<u64> {
        let asked = &self.manifests.get(&plugin.name)?.limits;
        Some(Limits::smallest(asked, &plugin.grant.limits).http_requests)
    }

    fn add(&mut self, name: &PluginName, component: Option<&[u8]>) {
        // What is wrong with a component is said where it is tried, with its reason.
        match component.and_then(|bytes| Package::read(bytes, None).ok()) {
            Some(package) => {
                let manifest = package.manifest().clone();
                self.settings.extend(manifest.settings.clone().map(|settings| (name.clone(), settings)));
                self.manifests.insert(name.clone(), manifest);
            }
            None => self.unread.push(name.clone()),
        }
    }
}

fn bytes_of(components: &BTreeMap<Digest, (Vec<u8>, Option<String>)>, digest: Digest) -> Option<&[u8]> {
    components.get(&digest).map(|(bytes, _)| bytes.as_slice())
}

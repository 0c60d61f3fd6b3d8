//! Packages of plugins: whose are taken, how one becomes what routes call, and what becomes
//! of events while one is not called.

mod damaged;

mod lifecycle;

mod quarantined;

mod swapped;

mod trust;

use portreeve_model::PluginName;

use crate::support::component;

pub(crate) fn name(plugin: &str) -> PluginName {
    PluginName::parse(plugin).unwrap()
}

/// A plugin's component with another manifest: what an author ships who changed that alone.
pub(crate) fn changed(plugin: &str, changes: &[(&str, &str)]) -> Vec<u8> {
    let bytes = std::fs::read(component(plugin)).unwrap();
    let mut manifest = portreeve_sandbox::inspect(&bytes).unwrap().manifest;
    for (from, to) in changes {
        assert!(manifest.contains(from), "the manifest of `{plugin}` has no `{from}` any more:\n{manifest}");
        manifest = manifest.replace(from, to);
    }
    portreeve_build::embed(without_manifest(&bytes), manifest.as_bytes()).unwrap()
}

/// The same plugin in another version.
pub(crate) fn of_version(plugin: &str, version: &str) -> Vec<u8> {
    changed(plugin, &[("version = \"0.1.0\"", &format!("version = \"{version}\""))])
}

/// A component up to its manifest, which the build tool puts last.
fn without_manifest(bytes: &[u8]) -> &[u8] {
    let section = b"portreeve:manifest";
    let name = bytes.windows(section.len()).rposition(|window| window == section).unwrap();
    // Before the name stand its length, the section's length as LEB128, and its kind.
    let content = bytes.len() - (name - 1);
    let digits = (1..=5).find(|digits| content < 1 << (7 * digits)).unwrap();
    &bytes[..name - 1 - digits - 1]
}

//! Packages as people see them.

use portreeve_api::package::PackageRow;
use portreeve_model::{Digest, Instant, PluginName};
use portreeve_pipeline::Why;
use portreeve_registry::Occasion;
use portreeve_registry::quarantine::Standing;
use portreeve_store::contract::{NewPackage, PackageView};

use super::Components;
use crate::config::{Configuration, Files};

/// What a component's state is called that routes call.
pub(super) const ACTIVE: &str = "active";

/// All packages of a folder on which no host works, each as the next start will find it.
#[must_use]
pub fn rows_in_folder(
    files: &Files,
    configuration: &Configuration,
    known: &[PackageView],
    components: &Components,
    now: Instant,
) -> Vec<PackageRow> {
    let state = |_: &PluginName, digest| {
        let why = match components.package(digest) {
            Err(_) => Why::Unreadable,
            Ok(package) => match configuration.trust.judge(&package, Occasion::Active, now) {
                Ok(_) => return ACTIVE.to_owned(),
                Err(_) => Why::NotTrusted,
            },
        };
        why.code().to_owned()
    };
    rows(files, configuration, known, components, state)
}

/// All packages: those that were installed, and those that came with the configuration.
pub(super) fn rows(
    files: &Files,
    configuration: &Configuration,
    known: &[PackageView],
    components: &Components,
    state: impl Fn(&PluginName, Digest) -> String,
) -> Vec<PackageRow> {
    let state = |name: &PluginName, digest| {
        if configuration.disabled.contains(name) {
            Why::Disabled.code().to_owned()
        } else if configuration.halted {
            Why::Halted.code().to_owned()
        } else {
            state(name, digest)
        }
    };
    let mut rows: Vec<PackageRow> = Vec::new();
    for one in known {
        let NewPackage { digest, plugin, version, kind, publisher } = &one.package;
        let state = match configuration.components.get(plugin) == Some(digest) {
            true => state(plugin, *digest),
            false if one.staged_at.is_some() => "staged".to_owned(),
            false if files.earlier(plugin).any(|earlier| earlier == *digest) => "retired".to_owned(),
            false => "installed".to_owned(),
        };
        rows.push(PackageRow {
            plugin: plugin.to_string(),
            version: version.clone(),
            kind: kind.clone(),
            publisher: publisher.clone(),
            digest: digest.to_string(),
            state,
        });
    }
    for (name, digest) in &configuration.components {
        if known.iter().any(|one| one.package.digest == *digest) {
            continue;
        }
        let about = components.package(*digest).ok().map(|package| package.manifest().plugin.clone());
        let unknown = || "unknown".to_owned();
        rows.push(PackageRow {
            plugin: name.to_string(),
            version: about.as_ref().map_or_else(unknown, |about| about.version.clone()),
            kind: about.as_ref().map_or_else(unknown, |about| about.kind.to_string()),
            publisher: about.map_or_else(unknown, |about| about.publisher),
            digest: digest.to_string(),
            state: state(name, *digest),
        });
    }
    rows.sort_by(|a, b| a.plugin.cmp(&b.plugin));
    rows
}

/// How a component that is paused, or one of its causes, is shown; of several causes the
/// first, and how many more there are.
pub(super) fn quarantined(paused: &[Standing], component: Digest) -> Option<String> {
    let mut paused = paused.iter().filter(|standing| standing.component == component);
    let Standing { until, of, .. } = paused.next()?;
    let Some((call, cause)) = of else { return Some(format!("quarantined until {until}")) };
    let more = match paused.count() {
        0 => String::new(),
        more => format!(" and for {more} more"),
    };
    Some(format!("quarantined for {cause} in `{call}` until {until}{more}"))
}

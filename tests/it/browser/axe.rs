//! axe-core's rules over a page: which parts of it somebody cannot see, read or reach.
//!
//! axe-core is not part of the source: `.ci/run` puts it below `target/`, and
//! `PORTREEVE_AXE` names another copy. Where there is none, that is said aloud.
//!
//! An automated check finds what is certainly wrong. That it finds nothing does not mean
//! that a page is good.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use super::{Page, skip};
use crate::support::tree;

/// Names axe-core's `axe.min.js`.
const CHOSEN: &str = "PORTREEVE_AXE";

/// How bad it is for those whom it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Impact {
    /// A nuisance.
    Minor,
    /// It costs effort.
    Moderate,
    /// Some cannot do what the page is for.
    Serious,
    /// Some cannot use it at all.
    Critical,
}

/// A rule that a page breaks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Violation {
    /// The rule: `label`, `color-contrast`, …
    pub(crate) id: String,
    /// How bad it is.
    pub(crate) impact: Impact,
    /// What the rule asks for.
    pub(crate) help: String,
    /// The elements that break it, as HTML, each with what would mend it.
    pub(crate) nodes: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, impact, help, nodes } = self;
        write!(formatter, "{impact:?} `{id}`: {help}\n    {}", nodes.join("\n    "))
    }
}

impl Page {
    /// What axe-core finds on the page as it is shown now; `None` where there is no
    /// axe-core, which was said aloud.
    pub(crate) async fn axe(&self) -> Option<Vec<Violation>> {
        let file = file();
        let Ok(source) = std::fs::read_to_string(&file) else {
            skip(&format!(
                "SKIPPED: the accessibility of {} was not checked: there is no {}; `.ci/run` gets axe-core, or `{CHOSEN}` names its axe.min.js",
                self.url().await,
                file.display()
            ));
            return None;
        };
        let axe = json!({ "expression": source, "contextId": self.world().await });
        let axe = self.command("Runtime.evaluate", axe).await;
        assert!(axe["exceptionDetails"].is_null(), "{} is not axe-core: {}", file.display(), axe["exceptionDetails"]);
        // It waits with timers, which stand still where a page's scripts do.
        self.run_scripts(true).await;
        let found = self.run(RUN, &[]).await;
        self.run_scripts(self.scripts).await;
        Some(found)
    }

    /// Fails if axe-core finds anything serious or critical.
    pub(crate) async fn assert_accessible(&self) {
        let found = self.axe().await.unwrap_or_default();
        let bad: Vec<String> =
            found.iter().filter(|one| one.impact >= Impact::Serious).map(ToString::to_string).collect();
        assert!(bad.is_empty(), "{} is not accessible:\n  {}", self.url().await, bad.join("\n  "));
    }
}

fn file() -> PathBuf {
    std::env::var_os(CHOSEN).map_or_else(|| tree().target().join("axe/axe.min.js"), PathBuf::from)
}

/// All rules, and of what they find only what is wrong.
const RUN: &str = "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations.map(one => ({
    id: one.id,
    impact: one.impact ?? 'minor',
    help: one.help,
    nodes: one.nodes.map(node => `${node.html} ${(node.failureSummary ?? '').replace(/\\s+/g, ' ')}`),
}))";

//! `target`: what waits for each destination; of a data folder, or of a running host over HTTP.
//! Nothing is sent or changed by it.

use portreeve_api::target::{TargetStanding, Targets};

use super::looking::Found;
use super::plugin::Of;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// How many deliveries wait for each, those behind another one about the same order apart, and
    /// since when the oldest waits.
    List {
        #[command(flatten)]
        of: Of,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Command::List { of } = command;
    let found = match of.look("/v1/targets").await? {
        Found::Told(found) => found,
        Found::InFolder(host) => Targets::read(&host.pipeline).await?,
    };
    if json {
        return output.json(&found);
    }
    found.targets.iter().try_for_each(|target| output.line(&shown(target)))
}

fn shown(standing: &TargetStanding) -> String {
    let TargetStanding { target, pending, behind, .. } = standing;
    let waits = match (&standing.waiting_since, standing.waiting_seconds) {
        (Some(since), Some(seconds)) => {
            let behind = if *behind > 0 { format!(", {behind} of them behind others") } else { String::new() };
            format!("{pending} wait{behind}, the oldest since {since} ({seconds} s)")
        }
        _ => "nothing waits".to_owned(),
    };
    let unknown =
        if standing.is_configured { "" } else { "; the configuration does not have it: add it, or they are given up" };
    format!("{target:<16}  {waits}{unknown}")
}

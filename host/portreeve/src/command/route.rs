//! `route`: which plugin listens where, and where orders go.

use std::path::PathBuf;

use portreeve_pipeline::Clock;
use serde_json::json;

use crate::clock::SystemClock;
use crate::config::Files;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Everything that is wrong with a folder's routes and process, and with what is beside them;
    /// no plugin has to be built.
    Check {
        /// The folder with portreeve.toml and, where it has a process of its own, process.toml.
        #[arg(long)]
        config: PathBuf,
    },
}

pub(super) fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Command::Check { config } = command;
    let configuration = Files::read(&config)?.check_new(SystemClock.now())?;
    let (channels, targets) = (configuration.routes.channels.len(), configuration.routes.targets.len());
    let warnings = configuration.warnings();
    if json {
        return output.json(&json!({ "channels": channels, "targets": targets, "warnings": warnings }));
    }
    output.line(&format!("{channels} channel(s), {targets} target(s) and the process can be put in force"))?;
    warnings.iter().try_for_each(|warning| output.line(&format!("warning: {warning}")))
}

//! `process`: what orders go through, for people who would rather look.

use std::path::PathBuf;

use clap::ValueEnum;
use portreeve_pipeline::Clock;
use portreeve_pipeline::process::Process;
use serde_json::json;

use crate::clock::SystemClock;
use crate::config::Files;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The states and transitions of a folder's process, or of the standard one.
    Draw {
        /// The folder with portreeve.toml, grants.toml, policies.cedar, rules.toml, people.toml, trust.toml and, where
        /// it has a process of its own, process.toml.
        #[arg(long)]
        config: Option<PathBuf>,
        /// For whom.
        #[arg(long = "as", value_enum, default_value_t)]
        form: Form,
    },
}

/// What reads the drawing.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Form {
    /// A Mermaid state diagram, which many wikis show.
    #[default]
    Mermaid,
    /// Graphviz, for `dot -Tsvg`.
    Graphviz,
}

pub(super) fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Command::Draw { config, form } = command;
    let process = match config {
        Some(folder) => Files::read(&folder)?.check_new(SystemClock.now())?.process,
        None => Process::standard()?,
    };
    let text = match form {
        Form::Mermaid => process.mermaid(),
        Form::Graphviz => process.graphviz(),
    };
    if json {
        return output.json(&json!({ "process": process.digest(), "drawing": text }));
    }
    output.line(text.trim_end())
}

//! `route`: which plugin listens where, and where orders go.

use std::path::Path;

use portreeve_api::events::Catalogue;
use portreeve_pipeline::feed::catalogue::{Consumer, Entry};
use portreeve_pipeline::{Clock, Routes};
use serde_json::json;

use super::Folder;
use crate::clock::SystemClock;
use crate::config::Files;
use crate::declared::Declared;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Everything that is wrong with a folder's routes and process, and with grants, policies, rules, people and
    /// trust beside them.
    ///
    /// No plugin has to be built. Of those that are, it is looked at of which kind they are, which settings they take,
    /// which messages and documents they make, take and read, and how many requests a call of theirs may make, and
    /// nothing else: `portreeve init` looks at components with their signatures and what they were granted, at secrets,
    /// certificates, watched folders and reference tables.
    Check {
        #[command(flatten)]
        folder: Folder,
    },
    /// Every canonical event: what it says, whose word it is, and who hears it. A running host tells the same at
    /// `GET /v1/events/catalogue`.
    Catalogue {
        #[command(flatten)]
        folder: Folder,
    },
}

pub(super) fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::Check { folder } => check(&folder.config, json, output),
        Command::Catalogue { folder } => catalogue(&folder.config, json, output),
    }
}

fn catalogue(config: &Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let routes = Files::read(config)?.check_new(SystemClock.now())?.routes;
    if json {
        return output.json(&Catalogue::of(&routes));
    }
    for Entry { event, meaning, is_told, said_by, consumers } in routes.catalogue() {
        output.line(&format!("{event}: {meaning}"))?;
        let nobody = if said_by.is_empty() && is_told { vec!["nobody".to_owned()] } else { Vec::new() };
        let said_by: Vec<String> = said_by.iter().map(ToString::to_string).chain(nobody).collect();
        let said_by =
            if is_told { said_by.join(", ") } else { "a person decides about it, and nobody is told".to_owned() };
        output.line(&format!("  said by {said_by}"))?;
        for consumer in &consumers {
            output.line(&format!("  {}", told(consumer)))?;
        }
    }
    Ok(())
}

fn told(consumer: &Consumer<'_>) -> String {
    let of = |channels: Vec<String>| match channels.is_empty() {
        true => String::new(),
        false => format!(", of orders of {}", channels.join(", ")),
    };
    match consumer {
        Consumer::Subscriber { id, channels, sees } => {
            let sees = if sees.is_empty() { "nothing that points at anybody".to_owned() } else { sees.join(", ") };
            format!("told to {id}{}; it sees {sees}", of(channels.iter().map(ToString::to_string).collect()))
        }
        Consumer::Target { id, kind, channels } => {
            format!("sent to {id} as {kind}{}", of(channels.iter().map(ToString::to_string).collect()))
        }
    }
}

fn check(config: &Path, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let files = Files::read(config)?;
    let declared = Declared::in_folder(config, &files.plugins()?);
    let configuration = files.check_new_with(SystemClock.now(), &declared)?;
    let unread = declared.unread;
    let Routes { channels, targets, subscribers, .. } = &configuration.routes;
    let (channels, subscribers) = (channels.len(), subscribers.len());
    // Each subscriber is a target as well, and is counted once.
    let targets = targets.len().saturating_sub(subscribers);
    let warnings = configuration.warnings();
    if json {
        return output.json(&json!({
            "channels": channels, "targets": targets, "subscribers": subscribers, "warnings": warnings,
            "settings_not_looked_at": unread,
        }));
    }
    let told = if subscribers == 0 { String::new() } else { format!(", {subscribers} subscriber(s)") };
    output.line(&format!("{channels} channel(s), {targets} target(s){told} and the process can be put in force"))?;
    warnings.iter().try_for_each(|warning| output.line(&format!("warning: {warning}")))?;
    if unread.is_empty() {
        return Ok(());
    }
    let unread = unread.iter().map(|plugin| format!("`{plugin}`")).collect::<Vec<_>>().join(", ");
    output.line(&format!(
        "the settings and messages of {unread} were not looked at: their components are not there, or are none"
    ))
}

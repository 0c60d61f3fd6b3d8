//! `reference`: tables that rules and plugins look things up in.

use std::path::PathBuf;

use anyhow::Context;
use portreeve_pipeline::Clock;

use super::Data;
use crate::clock::SystemClock;
use crate::host;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Replace a table by the rows of a CSV file, all or nothing.
    Load {
        /// The file, with a typed header: `key,name:text,price:number`.
        file: PathBuf,
        /// The table; default: the file's name without its ending.
        #[arg(long)]
        table: Option<String>,
        #[command(flatten)]
        data: Data,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Command::Load { file, table, data } = command;
    let table = match table {
        Some(table) => table,
        None => {
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            stem.with_context(|| format!("`{}` names no table; name it with --table", file.display()))?.to_owned()
        }
    };
    let (locations, store) = data.open_to_write()?;
    let loaded = host::load_reference(&store, &table, &file, SystemClock.now()).await?;
    host::sequence(&store, &locations).await?;
    if json {
        return output.json(&serde_json::json!({
            "table": table, "version": loaded.version, "rows": loaded.rows, "changed": loaded.changed,
        }));
    }
    let what = if loaded.changed { "is now" } else { "has these rows already:" };
    output.line(&format!("table `{table}` {what} version {} with {} rows", loaded.version, loaded.rows))
}

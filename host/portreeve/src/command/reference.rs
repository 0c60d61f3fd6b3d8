//! `reference`: tables that rules and plugins look things up in; in a stopped host's folder,
//! or of a running host over HTTP.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use portreeve_api::reference::{Loaded, TABLE_BYTES_MAX};
use portreeve_pipeline::Clock;
use portreeve_registry::file::read_text;

use super::plugin::{Of, understood};
use crate::clock::SystemClock;
use crate::output::Output;
use crate::{host, reference};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Replace a table by the rows of a CSV file, all or nothing, also of a running host.
    Load {
        /// The file, with a typed header: `key,name:text,price:number`.
        file: PathBuf,
        /// The table; default: the file's name without its ending.
        #[arg(long)]
        table: Option<String>,
        #[command(flatten)]
        of: Of,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let Command::Load { file, table, of } = command;
    let table = match table {
        Some(table) => table,
        None => {
            let stem = file.file_stem().and_then(|stem| stem.to_str());
            stem.with_context(|| format!("`{}` names no table; name it with --table", file.display()))?.to_owned()
        }
    };
    reference::check_name(&table)?;
    let loaded = load(&table, &file, &of).await?;
    if let Some(warning) = &loaded.warning {
        output.warning(warning)?;
    }
    if json {
        return output.json(&loaded);
    }
    let what = if loaded.changed { "is now" } else { "has these rows already:" };
    output.line(&format!("table `{table}` {what} version {} with {} rows", loaded.version, loaded.rows))
}

async fn load(table: &str, file: &Path, of: &Of) -> anyhow::Result<Loaded> {
    if let Some(server) = of.running.server()? {
        let text = read_text(file, TABLE_BYTES_MAX)?;
        let (path, headers) = (format!("/v1/reference/{table}"), [("content-type", "text/csv")]);
        let answer = server.send(Method::POST, &path, &headers, Bytes::from(text)).await?;
        return understood(&answer).with_context(|| format!("`{}` was not loaded", file.display()));
    }
    let (locations, store) = of.data.open_to_write_or_ask()?;
    let content = reference::read(table, file)?;
    let loaded = host::load_reference(&store, table, content, &host::account(), SystemClock.now()).await?;
    host::sequence(&store, &locations).await?;
    Ok(loaded)
}

//! `trust`: whose packages are taken.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use portreeve_api::package::{Lifecycle, TRUST_BYTES_MAX, TrustChanged};
use portreeve_registry::file::read_text;

use super::plugin::{Of, understood};
use crate::clock::SystemClock;
use crate::config::Files;
use crate::host::{self, Host, account};
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Whose packages are taken, as it is active.
    Show {
        #[command(flatten)]
        data: super::Data,
    },
    /// Make a trust policy the active one, also of a running host. Packages that rest on a
    /// key that it revokes are not called any more.
    Activate {
        /// The file, `trust.toml`.
        file: PathBuf,
        #[command(flatten)]
        of: Of,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::Show { data } => {
            let (_, store) = data.open()?;
            let files = Files::from_bytes(&host::active(&store).await?.bytes)?;
            if json {
                return output.json(&serde_json::json!({ "trust": files.trust() }));
            }
            output.line(files.trust().trim_end())
        }
        Command::Activate { file, of } => {
            let text = read_text(&file, TRUST_BYTES_MAX)?;
            let changed = activate(text, &of).await?;
            if json {
                return output.json(&changed);
            }
            for (plugins, what) in [(&changed.stopped, "not called any more"), (&changed.restored, "called again")] {
                plugins.iter().try_for_each(|plugin| output.line(&format!("{plugin} is {what}")))?;
            }
            output.line(&format!("configuration {} is active", changed.configuration))
        }
    }
}

async fn activate(text: String, of: &Of) -> anyhow::Result<TrustChanged> {
    if let Some(server) = of.running.server()? {
        return understood(&server.send(Method::POST, "/v1/trust", &[], Bytes::from(text)).await?);
    }
    let (locations, store) = of.data.open_to_write_or_ask()?;
    let host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
    let changed = host.packages.trust(text, &account()).await?;
    host.sequencer.sequence_all().await?;
    Ok(changed)
}

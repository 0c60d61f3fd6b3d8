//! Who acts in a stopped host's folder: an account that proves itself as it does at the front
//! door, by the same code and with the same records.
//!
//! Whoever has the folder could change its files as well. That is another matter: what is
//! done by this program is done by somebody, and the log says by whom.

use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use portreeve_pipeline::SignedIn;
use portreeve_pipeline::people::ProvedBy;
use portreeve_registry::file::{SMALL_BYTES_MAX, read_text};
use portreeve_store::Store;

use super::{BadUsage, Data};
use crate::clock::SystemClock;
use crate::host::{Host, Locations};

/// Bytes of a line with a password: more than the longest that anybody has.
const LINE_BYTES_MAX: u64 = 1024;

/// Who acts, in a stopped host's folder.
#[derive(Debug, Args)]
pub(super) struct Acting {
    /// The account that acts, in a stopped host's folder.
    #[arg(long = "as", value_name = "NAME", id = "acting", conflicts_with = "server")]
    name: Option<String>,
    /// The file with a key of that account.
    #[arg(long, value_name = "FILE", requires = "acting")]
    key_file: Option<PathBuf>,
    /// The file with its password; without this and without a key it is asked for.
    #[arg(long, value_name = "FILE", requires = "acting", conflicts_with = "key_file")]
    as_password_file: Option<PathBuf>,
}

/// A decision about exactly what was shown before.
#[derive(Debug, Args)]
pub(super) struct Deciding {
    /// What you were shown: the digest that was printed with it, or at least its first 12 digits.
    #[arg(long, value_name = "DIGEST")]
    pub(super) shown: String,
    /// Why, for the record.
    #[arg(long)]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) acting: Acting,
}

impl Acting {
    /// Whether somebody was named.
    pub(super) fn is_somebody(&self) -> bool {
        self.name.is_some()
    }

    /// Who acts.
    ///
    /// # Errors
    /// When nobody was named: this is looked at before anything is opened.
    pub(super) fn somebody(&self) -> Result<&str, BadUsage> {
        self.name.as_deref().ok_or_else(|| {
            BadUsage(
                "nobody is named who does this; say who with --as NAME, and prove it with --key-file FILE, --as-password-file FILE or the password that is asked for"
                    .to_owned(),
            )
        })
    }

    /// Opens a stopped host's folder and proves who acts.
    ///
    /// # Errors
    /// When the folder cannot be used, or the account proves nothing.
    pub(super) async fn open(&self, data: &Data) -> anyhow::Result<Place> {
        self.somebody()?;
        let (locations, store) = data.open_to_write()?;
        self.open_in(&locations, store).await
    }

    /// The same, of a store that is open.
    pub(super) async fn open_in(&self, locations: &Locations, store: Arc<dyn Store>) -> anyhow::Result<Place> {
        let name = self.somebody()?;
        let host = Host::open(store, locations, Arc::new(SystemClock), None).await?;
        match self.prove(name, &host).await {
            Ok(who) => Ok(Place { host, who }),
            Err(error) => {
                // That it was refused is in the log before anybody hears of it.
                host.pipeline.note_refused_sign_ins(true).await;
                host.sequencer.sequence_all().await?;
                Err(error)
            }
        }
    }

    async fn prove(&self, name: &str, host: &Host) -> anyhow::Result<SignedIn> {
        let Some(key_file) = &self.key_file else {
            let password = match &self.as_password_file {
                Some(file) => read_secret(file)?,
                None => ask(&format!("Password of {name}: "))?,
            };
            let session = host.pipeline.sign_in(name, &password).await?;
            return Ok(host.pipeline.authenticate(session.token.reveal()).await?);
        };
        let who = host.pipeline.authenticate(&read_secret(key_file)?).await?;
        if who.name().as_str() != name {
            bail!(
                "found a key of another account in `{}`, expected one of `{name}`; name the account that the key is of",
                key_file.display()
            );
        }
        Ok(who)
    }
}

/// A stopped host's folder, and who acts in it.
pub(super) struct Place {
    pub(super) host: Host,
    pub(super) who: SignedIn,
}

impl Place {
    /// Ends what was begun to act, and gives all that was written its place in the log.
    pub(super) async fn finish<T, E>(self, done: Result<T, E>) -> anyhow::Result<T>
    where
        anyhow::Error: From<E>,
    {
        let Self { host, who } = self;
        let ended = match who.proved_by() {
            ProvedBy::Session => host.pipeline.sign_out(&who).await,
            ProvedBy::Key => Ok(()),
        };
        // What was committed before a failure is in the log all the same.
        host.sequencer.sequence_all().await?;
        let done = done?;
        ended.context("it is done, and the session that did it goes on until it runs out")?;
        Ok(done)
    }
}

/// A password or token out of a file, without the line's end that editors write.
pub(super) fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = read_text(file, SMALL_BYTES_MAX)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for a password without showing it; where nobody sits there, takes a line of stdin.
///
/// # Errors
/// When there is none.
pub(super) fn ask(prompt: &str) -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(prompt).context("the password could not be read");
    }
    let mut line = Vec::new();
    let read = std::io::stdin().lock().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
    read.context("the password could not be read from stdin")?;
    let line = String::from_utf8(line).context("the password on stdin is no text")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("found no password on stdin, expected a line with it; or name a file that has it");
    }
    Ok(password.to_owned())
}

/// Asks for a new password, twice where somebody types it.
///
/// # Errors
/// When there is none, or the two differ.
pub(super) fn ask_new(name: &str) -> anyhow::Result<String> {
    let password = ask(&format!("New password of {name}: "))?;
    if std::io::stdin().is_terminal() && ask("The same again: ")? != password {
        bail!("found two different passwords; nothing was changed");
    }
    Ok(password)
}

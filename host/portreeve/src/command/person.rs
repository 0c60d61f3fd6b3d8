//! `person`: accounts of people, in a stopped host's folder or of a running host over HTTP.
//!
//! The first account of a folder is made by whoever has the folder; every other change is by
//! an account that administers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use portreeve_api::people::{Account, Accounts, Changed, Key};
use portreeve_model::{Instant, PersonName};
use portreeve_pipeline::people::NewAccount;
use portreeve_store::Store;
use serde_json::{Value, json};

use super::acting::{Acting, Place, ask_new, read_secret};
use super::looking;
use super::plugin::{Of, understood};
use crate::client::Server;
use crate::clock::SystemClock;
use crate::files;
use crate::host::{Host, Locations, account};
use crate::output::Output;

/// Accounts that are read at once.
const PAGE: u32 = 256;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make an account. The first one of a folder needs nobody, and has to administer.
    Add {
        /// 1 to 64 lower-case letters, digits, dots and dashes, a letter first.
        name: String,
        /// A role of `people.toml`; once for each.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// The address by which grants name an owner.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        password: NewPassword,
        /// It gets no password, and signs in with keys alone.
        #[arg(long, conflicts_with = "password_file")]
        no_password: bool,
        #[command(flatten)]
        by: By,
    },
    /// All accounts.
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Give an account these roles and no others. Its sessions end.
    Roles {
        /// The account.
        name: String,
        /// A role of `people.toml`; once for each.
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        #[command(flatten)]
        by: By,
    },
    /// Give an account another password. Its sessions end, and so does a lock.
    Password {
        /// The account.
        name: String,
        #[command(flatten)]
        password: NewPassword,
        /// The file with the present one, of whoever changes the own one and does not administer.
        #[arg(long, value_name = "FILE")]
        present_file: Option<PathBuf>,
        #[command(flatten)]
        by: By,
    },
    /// Stop an account. Its sessions and keys end.
    Disable {
        /// The account.
        name: String,
        #[command(flatten)]
        by: By,
    },
    /// Let an account sign in again, also where it is locked. What ended stays ended.
    Enable {
        /// The account.
        name: String,
        #[command(flatten)]
        by: By,
    },
    /// Make a key for an account: what a machine shows, or whoever has no password.
    Key {
        /// The account.
        name: String,
        /// What it is called, for whoever revokes it.
        #[arg(long)]
        label: String,
        /// The file that it is written to, which only its owner can read; `-` prints it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// When it stops by itself, for example 2027-01-01T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        #[command(flatten)]
        by: By,
    },
    /// End all sessions and keys of an account.
    Revoke {
        /// The account.
        name: String,
        #[command(flatten)]
        by: By,
    },
}

/// Where a new password comes from.
#[derive(Debug, clap::Args)]
pub(super) struct NewPassword {
    /// The file with the account's new password; without it it is asked for.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl NewPassword {
    fn read(&self, name: &str) -> anyhow::Result<String> {
        match &self.password_file {
            Some(file) => read_secret(file),
            None => ask_new(name),
        }
    }
}

/// Of which host, and who changes something.
#[derive(Debug, clap::Args)]
pub(super) struct By {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    acting: Acting,
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::List { of } => list(&of, json, output).await,
        Command::Key { name, label, out, expires, by } => {
            key(&by, &name, &label, &out, expires.as_deref(), json, output).await
        }
        change => {
            let changed = changed(change).await?;
            if json {
                return output.json(&changed);
            }
            output.line(&format!("account `{}`: {}", changed.name, said(&changed.change)))
        }
    }
}

/// What a change means, for people.
fn said(change: &str) -> &str {
    match change {
        "added" => "it is there",
        "roles" => "it has these roles, and its sessions ended",
        "password" => "it has another password, and its sessions ended",
        "disabled" => "it is disabled; its sessions and keys ended",
        "enabled" => "it may sign in",
        "revoked" => "its sessions and keys ended",
        other => other,
    }
}

async fn changed(command: Command) -> anyhow::Result<Changed> {
    let (by, change) = Change::of(command)?;
    if let Some(server) = by.of.running.server()? {
        return change.on_host(&server).await;
    }
    let (locations, store) = change.open(&by)?;
    let first = store.people(None, 1).await?.is_empty();
    let (name, word) = (change.name.clone(), change.what.word());
    if let (What::Add { .. }, true, false) = (&change.what, first, by.acting.is_somebody()) {
        make_first(&locations, store, change).await?;
    } else {
        let place = by.acting.open_in(&locations, store).await?;
        let done = change.in_folder(&place).await;
        place.finish(done).await?;
    }
    Ok(Changed { name, change: word.to_owned() })
}

/// Nobody is there who could be asked.
async fn make_first(locations: &Locations, store: Arc<dyn Store>, change: Change) -> anyhow::Result<()> {
    let host = Host::open(store, locations, Arc::new(SystemClock), None).await?;
    let made = host.pipeline.add_first_person(&account(), change.account()?).await;
    host.sequencer.sequence_all().await?;
    made?;
    Ok(())
}

/// A change of an account, and what it takes.
struct Change {
    name: String,
    what: What,
}

enum What {
    Add { roles: Vec<String>, email: Option<String>, password: Option<String> },
    Roles(Vec<String>),
    Password { password: String, present: Option<String> },
    Disable,
    Enable,
    Revoke,
}

impl What {
    fn word(&self) -> &'static str {
        match self {
            Self::Add { .. } => "added",
            Self::Roles(_) => "roles",
            Self::Password { .. } => "password",
            Self::Disable => "disabled",
            Self::Enable => "enabled",
            Self::Revoke => "revoked",
        }
    }
}

impl Change {
    /// Passwords are asked for here, before anything is opened.
    fn of(command: Command) -> anyhow::Result<(By, Self)> {
        let (by, name, what) = match command {
            Command::Add { name, roles, email, password, no_password, by } => {
                let password = if no_password { None } else { Some(password.read(&name)?) };
                (by, name, What::Add { roles, email, password })
            }
            Command::Roles { name, roles, by } => (by, name, What::Roles(roles)),
            Command::Password { name, password, present_file, by } => {
                let present = present_file.as_deref().map(read_secret).transpose()?;
                let password = password.read(&name)?;
                (by, name, What::Password { password, present })
            }
            Command::Disable { name, by } => (by, name, What::Disable),
            Command::Enable { name, by } => (by, name, What::Enable),
            Command::Revoke { name, by } => (by, name, What::Revoke),
            Command::List { .. } | Command::Key { .. } => anyhow::bail!("this changes no account"),
        };
        Ok((by, Self { name, what }))
    }

    fn open(&self, by: &By) -> anyhow::Result<(Locations, Arc<dyn Store>)> {
        // Of all changes one may be nobody's, and whether it is, the store says.
        if !matches!(self.what, What::Add { .. }) {
            by.acting.somebody()?;
        }
        by.of.data.open_to_write()
    }

    fn account(self) -> anyhow::Result<NewAccount> {
        let What::Add { roles, email, password } = self.what else { anyhow::bail!("this makes no account") };
        Ok(NewAccount { name: self.name, email, password, roles })
    }

    async fn in_folder(self, place: &Place) -> anyhow::Result<()> {
        let (pipeline, who) = (&place.host.pipeline, &place.who);
        let name = self.name;
        match self.what {
            What::Add { roles, email, password } => {
                let account = NewAccount { name, email, password, roles };
                pipeline.add_person(who, account).await?;
            }
            What::Roles(roles) => pipeline.set_roles(who, &name, &roles).await?,
            What::Password { password, present } => {
                pipeline.set_password(who, &name, &password, present.as_deref()).await?;
            }
            What::Disable => pipeline.disable_person(who, &name).await?,
            What::Enable => pipeline.enable_person(who, &name).await?,
            What::Revoke => pipeline.end_credentials(who, &name).await?,
        }
        Ok(())
    }

    async fn on_host(self, server: &Server) -> anyhow::Result<Changed> {
        let at = |what: &str| format!("{}/{what}", path_of(&self.name));
        let (method, path, body) = match &self.what {
            What::Add { roles, email, password } => {
                let body = json!({ "name": self.name, "email": email, "password": password, "roles": roles });
                (Method::POST, "/v1/people".to_owned(), body)
            }
            What::Roles(roles) => (Method::POST, at("roles"), json!({ "roles": roles })),
            What::Password { password, present } => {
                (Method::POST, at("password"), json!({ "password": password, "present": present }))
            }
            What::Disable => (Method::POST, at("disable"), Value::Null),
            What::Enable => (Method::POST, at("enable"), Value::Null),
            What::Revoke => (Method::DELETE, at("credentials"), Value::Null),
        };
        ask(server, method, &path, &body).await
    }
}

fn path_of(name: &str) -> String {
    format!("/v1/people/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

async fn ask<T: serde::de::DeserializeOwned>(
    server: &Server,
    method: Method,
    path: &str,
    body: &Value,
) -> anyhow::Result<T> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    understood(&server.send(method, path, &[("content-type", "application/json")], body).await?)
}

async fn key(
    by: &By,
    name: &str,
    label: &str,
    out: &Path,
    expires: Option<&str>,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<()> {
    let until = expires.map(Instant::parse).transpose().context("--expires is no time")?;
    let printed = out == Path::new("-");
    if !printed {
        // A key that cannot be kept is not made.
        files::write_private(out, b"")?;
    }
    let key: Key = match by.of.running.server()? {
        Some(server) => {
            let body = json!({ "label": label, "expiresAt": until.map(|at| at.to_string()) });
            ask(&server, Method::POST, &format!("{}/keys", path_of(name)), &body).await?
        }
        None => {
            let place = by.acting.open(&by.of.data).await?;
            let made = place.host.pipeline.make_key(&place.who, name, label, until).await;
            let token = place.finish(made).await?.reveal().to_owned();
            let expires_at = until.map(|at| at.to_string());
            Key { token, name: name.to_owned(), label: label.to_owned(), expires_at }
        }
    };
    if printed {
        return if json { output.json(&key) } else { output.line(&key.token) };
    }
    files::write_private(out, key.token.as_bytes())?;
    let file = out.display().to_string();
    if json {
        let Key { name, label, expires_at, .. } = key;
        return output.json(&json!({ "name": name, "label": label, "expiresAt": expires_at, "file": file }));
    }
    output.line(&format!("a key of `{name}` is in `{file}`, and nowhere else"))
}

async fn list(of: &Of, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let place = of.store().await?;
    let mut after = String::new();
    loop {
        let page = match &place {
            looking::Place::Host(server) => {
                let query = if after.is_empty() { String::new() } else { format!("&after={after}") };
                looking::asked::<Accounts>(server, &format!("/v1/people?limit={PAGE}{query}")).await?.people
            }
            looking::Place::Folder(store) => {
                let name = PersonName::parse(&after).ok();
                store.people(name.as_ref(), PAGE).await?.into_iter().map(Account::of).collect()
            }
        };
        let Some(last) = page.last() else { return Ok(()) };
        after.clone_from(&last.name);
        page.iter().try_for_each(|account| show(account, json, output))?;
    }
}

fn show(account: &Account, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        return output.json(account);
    }
    let state = match (&account.disabled_at, &account.locked_until) {
        (Some(since), _) => format!("disabled since {since}"),
        (None, Some(until)) => format!("locked until {until}"),
        (None, None) => "enabled".to_owned(),
    };
    let password = if account.has_password { "a password" } else { "no password" };
    let roles = if account.roles.is_empty() { "no role".to_owned() } else { account.roles.join(" ") };
    output.line(&format!(
        "{:<16}  {state}  {roles}  {password}, {} session(s), {} key(s)",
        account.name,
        account.sessions,
        account.keys.len()
    ))?;
    account.keys.iter().try_for_each(|key| {
        let until = key.expires_at.as_deref().map(|at| format!(", until {at}")).unwrap_or_default();
        output.line(&format!("    key `{}` since {}{until}, last shown {}", key.label, key.made_at, key.last_used_at))
    })
}

//! `sign-in` and `sign-out`: a session of a running host, in a file that `--token-file` takes.

use std::path::PathBuf;

use anyhow::{Context, bail};
use bytes::Bytes;
use hyper::Method;
use portreeve_api::people::Session;
use serde_json::json;

use super::acting::{ask, read_secret};
use super::plugin::understood;
use crate::client::{self, Server};
use crate::files;
use crate::output::Output;

/// Begins a session.
#[derive(Debug, clap::Args)]
pub(super) struct SignIn {
    /// The running host, `http://ADDRESS:PORT`.
    #[arg(long)]
    server: String,
    /// The account.
    #[arg(long)]
    name: String,
    /// The file with its password; without it it is asked for.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The file that the session is written to, which only its owner can read.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Ends one.
#[derive(Debug, clap::Args)]
pub(super) struct SignOut {
    /// The running host, `http://ADDRESS:PORT`.
    #[arg(long)]
    server: String,
    /// The file with the session.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

pub(super) async fn sign_in(command: SignIn, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let SignIn { server, name, password_file, out } = command;
    let address = client::address(&server)?;
    let password = match &password_file {
        Some(file) => read_secret(file)?,
        None => ask(&format!("Password of {name}: "))?,
    };
    // A session that cannot be kept is not begun.
    files::write_private(&out, b"")?;
    let body = Bytes::from(json!({ "name": name, "password": password }).to_string());
    let headers = [("content-type", "application/json")];
    let answer = client::send(address, Method::POST, "/v1/session", &headers, body).await?;
    let Session { token, expires_at, name, roles } = understood(&answer)?;
    files::write_private(&out, token.as_bytes())?;
    let file = out.display().to_string();
    if json {
        return output.json(&json!({ "name": name, "roles": roles, "expiresAt": expires_at, "file": file }));
    }
    output.line(&format!("`{name}` is signed in until {expires_at}, or for half an hour without use"))?;
    output.line(&format!("show it with --server {server} --token-file {file}"))
}

pub(super) async fn sign_out(command: SignOut, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let server = Server::new(&command.server, &command.token_file)?;
    let answer = server.send(Method::DELETE, "/v1/session", &[], Bytes::new()).await?;
    if answer.status != 204 {
        bail!("{}", answer.problem().1);
    }
    let file = &command.token_file;
    std::fs::remove_file(file).with_context(|| format!("the session ended, and `{}` stays there", file.display()))?;
    if json {
        return output.json(&json!({ "ended": true }));
    }
    output.line("the session ended")
}

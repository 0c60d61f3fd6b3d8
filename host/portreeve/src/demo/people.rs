//! The demo's people: made anew for every run, each with a key and a password that lie beside
//! the demo's other secrets, where only their owner reads them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use portreeve_pipeline::people::NewAccount;
use portreeve_pipeline::{Pipeline, SignedIn};

use super::feed::random_text;
use crate::files;
use crate::host::account;

/// Who makes the others; and who works on what. Nobody is both maker and checker.
const PEOPLE: [(&str, &[&str]); 4] = [
    ("olga", &["operator", "publisher", "administrator"]),
    ("anna", &["order-desk", "pricing-resolver", "credit-resolver", "fraud-resolver"]),
    ("iris", &["integration"]),
    ("ben", &["approver"]),
];

/// Where a run's people keep what proves them: `people/NAME.key` and `people/NAME.password`.
pub(super) fn folder(of: &Path) -> PathBuf {
    of.join("people")
}

/// Makes them, the first one by nobody and the others by her.
///
/// # Errors
/// When a file cannot be written or an account cannot be made.
pub(super) async fn make(pipeline: &Pipeline, run: &Path) -> anyhow::Result<()> {
    let folder = folder(run);
    let mut first: Option<SignedIn> = None;
    for (name, roles) in PEOPLE {
        let password = random_text()?;
        files::write_private(&folder.join(format!("{name}.password")), password.as_bytes())?;
        let account_of = NewAccount {
            name: name.to_owned(),
            email: Some(format!("{name}@distributor.example")),
            password: Some(password.clone()),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        };
        match &first {
            Some(first) => pipeline.add_person(first, account_of).await?,
            None => pipeline.add_first_person(&account(), account_of).await?,
        };
        if first.is_none() {
            let session = pipeline.sign_in(name, &password).await?;
            first = Some(pipeline.authenticate(session.token.reveal()).await?);
        }
        let by = first.as_ref().context("nobody could make accounts")?;
        let key = pipeline.make_key(by, name, "of the demo", None).await?;
        files::write_private(&folder.join(format!("{name}.key")), key.reveal().as_bytes())?;
    }
    if let Some(first) = &first {
        pipeline.sign_out(first).await?;
    }
    Ok(())
}

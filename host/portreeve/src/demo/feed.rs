//! Feeding: the bundled samples of both channels, in the order of their numbers,
//! through the front door, each at its own time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hyper::Method;
use sha2::Sha256;

use super::MORNING;
use crate::clock::SetClock;
use crate::output::Output;
use crate::source_tree::SourceTree;
use crate::{client, files};

/// Milliseconds between two samples on the samples' clock.
const STEP_MS: i64 = 60_000;

/// What the demo's senders prove themselves with, made anew for every run.
pub(super) struct Secrets {
    /// The EDI gateway's bearer token.
    pub(super) edi_token: String,
    /// The shop's signing secret.
    shop_secret: String,
    /// Where the host reads it.
    pub(super) shop_secret_file: PathBuf,
}

impl Secrets {
    /// Makes them.
    ///
    /// # Errors
    /// When there are no random numbers or the file cannot be written.
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        let shop_secret_file = folder.join("secrets").join("shop");
        let secrets = Self { edi_token: random_text()?, shop_secret: random_text()?, shop_secret_file };
        files::write_private(&secrets.shop_secret_file, secrets.shop_secret.as_bytes())?;
        Ok(secrets)
    }

    /// The shop's signature of a body.
    ///
    /// # Errors
    /// None in practice; the HMAC's signature has one.
    fn sign(&self, body: &[u8]) -> anyhow::Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.shop_secret.as_bytes()).context("the secret cannot sign")?;
        mac.update(body);
        Ok(hex::encode(mac.finalize().into_bytes()))
    }
}

/// What was fed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fed {
    /// Inputs sent.
    pub(super) inputs: u64,
    /// Inputs that the front door itself refused.
    pub(super) refused: u64,
    /// Inputs that it said it had received before.
    pub(super) repeated: u64,
}

/// A sample and its channel.
struct Sample {
    path: PathBuf,
    channel: &'static str,
}

/// Feeds all samples, one after the other: their order in the journal is theirs.
///
/// # Errors
/// When a sample cannot be read or the front door does not answer.
pub(super) async fn feed(
    tree: &SourceTree,
    address: SocketAddr,
    secrets: &Secrets,
    clock: &SetClock,
    output: &Output,
) -> anyhow::Result<Fed> {
    let samples = samples(tree)?;
    let mut fed = Fed::default();
    for (index, sample) in (1_i64..).zip(&samples) {
        let body =
            std::fs::read(&sample.path).with_context(|| format!("`{}` cannot be read", sample.path.display()))?;
        clock.advance_to(MORNING.plus_ms(index.saturating_mul(STEP_MS)));
        let path = format!("/v1/channels/{}", sample.channel);
        let (name, value) = match sample.channel {
            "edi" => ("authorization", format!("Bearer {}", secrets.edi_token)),
            _ => ("x-portreeve-signature", secrets.sign(&body)?),
        };
        let headers = [(name, value.as_str()), ("content-type", "application/octet-stream")];
        let answer = client::send(address, Method::POST, &path, &headers, Bytes::from(body)).await?;
        fed.inputs += 1;
        // What is kept says so in its answer; an input without a word about it is lost.
        match (answer.status, answer.header(portreeve_api::DUPLICATE.as_str())) {
            (_, Some("true")) => fed.repeated += 1,
            (_, Some("false")) => {}
            (422, None) => fed.refused += 1,
            (status, _) => bail!("`{}` was answered {status}", sample.path.display()),
        }
        let (done, of) = (usize::try_from(index).unwrap_or(samples.len()), samples.len());
        output.count(done, of, &format!("fed {done} of {of} inputs"));
    }
    Ok(fed)
}

fn samples(tree: &SourceTree) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (connector, channel) in [("x12", "edi"), ("adobe-commerce", "shop")] {
        let folder = tree.root().join("plugins/connectors").join(connector).join("samples");
        let entries = std::fs::read_dir(&folder).with_context(|| format!("`{}` cannot be read", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("`{}` cannot be read", folder.display()))?.path();
            if path.is_file() {
                samples.push(Sample { path, channel });
            }
        }
    }
    samples.sort_by(|a, b| a.path.file_name().cmp(&b.path.file_name()).then(a.channel.cmp(b.channel)));
    if samples.is_empty() {
        bail!("there are no samples under `{}`", tree.root().join("plugins/connectors").display());
    }
    Ok(samples)
}

pub(super) fn random_text() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system has no random numbers: {error}"))?;
    Ok(hex::encode(bytes))
}

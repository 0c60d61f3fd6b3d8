//! `audit`: verify the log, prove an entry, show the checkpoint.

use anyhow::Context;
use portreeve_audit::LogReader;
use portreeve_model::Digest;
use portreeve_record::leaf::LeafRecord;
use portreeve_record::seal::BLIND_DOMAIN;
use portreeve_record::{Leaf, VerifierKey};

use super::{Data, entry};
use crate::config::Files;
use crate::host::Locations;
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check every entry, the root, the signature and the checkpoint kept outside.
    ///
    /// Proved are the entries up to the last signed checkpoint: none was changed, taken out or put between, they
    /// continue the checkpoint kept outside, and what they say comes in order. So nothing is decided that was not
    /// accepted, no order is delivered that the last decision on it keeps back, nothing is sent again that a target
    /// took, unless people had it replayed, and no record of an account is missing.
    ///
    /// Not looked at is the rest of the store, which the host works by and other commands show: where orders,
    /// exceptions and deliveries stand, holds, accounts with what they prove themselves with, configuration,
    /// reference tables, budgets, what plugins keep, and the sealed contents that entries name by their digests.
    /// Whoever changes those in the database changes no entry, and the log verifies as before. `portreeve order
    /// rederive` compares the record of an order's decision with its entry, and decides again; `portreeve audit
    /// show` prints the entries themselves.
    ///
    /// The checkpoint kept outside lies beside the log's key. Whoever writes to both can sign another log: keep
    /// what `portreeve audit checkpoint` prints where he does not, and compare the roots.
    Verify {
        #[command(flatten)]
        data: Data,
        /// The log's public key (`name+hash+key`); default: that of the key on this machine.
        #[arg(long)]
        key: Option<String>,
    },
    /// Prove that an entry is in the log, as C2SP tlog-proof text.
    Prove {
        /// The entry's id (`sha256:…`).
        entry: String,
        #[command(flatten)]
        data: Data,
        /// The log's public key (`name+hash+key`); default: that of the key on this machine.
        #[arg(long)]
        key: Option<String>,
    },
    /// What blinds the digests in the record of the last run of a reconciliation: whoever has what a
    /// system listed shows with it that the record is of that list.
    Reconciliation {
        /// The reconciliation.
        id: String,
        #[command(flatten)]
        data: Data,
    },
    /// The last signed checkpoint.
    Checkpoint {
        #[command(flatten)]
        data: Data,
    },
    /// The entries, a line each; with `--json` the canonical records as they are hashed.
    Show {
        /// From this index on.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Only those of this order and its input: the host's order id, or the
        /// sender's order number.
        #[arg(long, conflicts_with_all = ["from", "limit"])]
        order: Option<String>,
        #[command(flatten)]
        data: Data,
    },
}

pub(super) async fn run(command: Command, json: bool, output: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::Verify { data, key } => verify(&data, key.as_deref(), json, output).await,
        Command::Prove { entry, data, key } => prove(&entry, &data, key.as_deref(), json, output).await,
        Command::Reconciliation { id, data } => reconciliation(&id, &data, json, output).await,
        Command::Checkpoint { data } => {
            let (_, store) = data.open()?;
            let checkpoint = LogReader::new(store).checkpoint().await?;
            if json {
                return output.json(&serde_json::json!({ "checkpoint": checkpoint.as_str() }));
            }
            output.line(checkpoint.as_str().trim_end())
        }
        Command::Show { order: Some(order), data, .. } => {
            let (_, store) = data.open()?;
            let order = super::order::find(store.as_ref(), &order).await?;
            let trail = store.order_trail(order.id).await?.context("the order vanished while it was read")?;
            trail.leaves.into_iter().try_for_each(|leaf| show(leaf.index, leaf.id, leaf.bytes, json, output))
        }
        Command::Show { from, limit, data, .. } => {
            let (_, store) = data.open()?;
            let mut entries = store.sequenced(from, limit.saturating_add(1)).await?;
            let rest = entries.split_off(entries.len().min(limit.try_into()?));
            entries.into_iter().try_for_each(|(index, id, bytes)| show(Some(index), id, bytes, json, output))?;
            let Some((next, ..)) = rest.first() else { return Ok(()) };
            let more = format!("there are more: read on with `portreeve audit show --from {next} --limit {limit}`");
            // A program reads records alone.
            if json { output.step(&more) } else { output.line(&more) }
        }
    }
}

/// An entry; one without an index is in the log within a second.
fn show(index: Option<u64>, id: Digest, bytes: Vec<u8>, json: bool, output: &mut Output) -> anyhow::Result<()> {
    if json {
        let record = String::from_utf8(bytes).context("an entry is not text; run `portreeve audit verify`")?;
        return output.line(&record);
    }
    let LeafRecord { at, body, .. } =
        Leaf::parse(&bytes).context("an entry cannot be read; run `portreeve audit verify`")?;
    let index = index.map_or_else(|| "-".to_owned(), |index| index.to_string());
    output.line(&format!("{index:>6}  {at}  {:<13}  {}  {id}", body.kind(), entry::told(&body)))
}

async fn reconciliation(id: &str, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (_, store) = data.open()?;
    let mut run = store.reconciliation(id).await?.runs;
    // A run that ends meanwhile has another key: the two belong together where none did.
    let key = loop {
        let key = store.reconciliation_key(id).await?;
        let now = store.reconciliation(id).await?.runs;
        if now == run {
            break key;
        }
        run = now;
    };
    let key = key.with_context(|| {
        format!(
            "found no run of reconciliation `{id}`, expected one; `portreeve reconcile` without an id tells which there are"
        )
    })?;
    let (domain, salt) = (String::from_utf8_lossy(BLIND_DOMAIN), hex::encode(key.salt()));
    if json {
        return output.json(&serde_json::json!({ "reconciliation": id, "run": run, "domain": domain, "salt": salt }));
    }
    output.line(&format!("run {run} of {id}, the last one, is blinded with {salt}"))?;
    output.line(&format!(
        "a digest in its record is SHA-256 over `{domain}`, those 32 bytes and the digest of the list, each behind its length in 8 bytes, the highest first"
    ))
}

async fn verify(data: &Data, key: Option<&str>, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (locations, store) = data.open()?;
    let origin = origin(&store).await?;
    let key = verifier(key, &locations, &origin)?;
    let outside = locations.outside(&origin).read()?;
    let report = LogReader::new(store).verify(&key, outside.as_ref()).await?;
    if json {
        return output.json(&serde_json::json!({
            "verified": true,
            "origin": report.origin,
            "entries": report.entries,
            "root": report.root,
            "outside": report.outside_entries,
        }));
    }
    output.line(&format!("{} entries of `{}` verified, root {}", report.entries, report.origin, report.root))?;
    match report.outside_entries {
        Some(entries) => output.line(&format!("they continue the checkpoint kept outside, which covers {entries}")),
        None => output.line("there is no checkpoint outside: nothing rules out that the whole log was replaced"),
    }
}

async fn prove(entry: &str, data: &Data, key: Option<&str>, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (locations, store) = data.open()?;
    let key = verifier(key, &locations, &origin(&store).await?)?;
    let proof = LogReader::new(store).prove(Digest::parse(entry)?, &key).await?;
    if json {
        return output.json(&serde_json::json!({ "entry": entry, "proof": proof.to_text() }));
    }
    output.line(proof.to_text().trim_end())
}

/// The key that was given, else that of the log key on this machine. Neither
/// makes one: a log that is verified with a new key is found to be forged.
fn verifier(given: Option<&str>, locations: &Locations, origin: &str) -> anyhow::Result<VerifierKey> {
    match given {
        Some(text) => Ok(VerifierKey::parse(text)?),
        None => Ok(locations.log_key(origin)?.verifier()),
    }
}

async fn origin(store: &std::sync::Arc<dyn portreeve_store::Store>) -> anyhow::Result<String> {
    let active =
        store.active_configuration().await?.context("there is no active configuration; run `portreeve init`")?;
    Ok(Files::from_bytes(&active.bytes)?.check()?.host.host.origin)
}

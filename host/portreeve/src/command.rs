//! The command line.
//!
//! Every command prints its result on stdout, as text or with `--json` as one
//! JSON value per line, and progress on stderr.

mod acting;

mod audit;

mod dead_letter;

mod entry;

mod exception;

mod ingest;

mod input;

mod looking;

mod order;

mod measure;
mod oversight;

mod grant;

mod person;

mod plugin;

mod process;

mod poll;

mod reconcile;

mod reference;

mod replay;

mod retention;

mod route;

mod serve;

mod session;

mod target;

mod trust;

use std::future::ready;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use portreeve_pipeline::Clock;
use portreeve_registry::grant::without_effect;
use portreeve_store::{Store, StoreError};

use crate::client::Server;
use crate::clock::SystemClock;
use crate::config::Proposed;
use crate::demo::{self, DemoOptions};
use crate::host::{self, Activated, Host, Locations};
use crate::output::{Output, sentence, tame};
use crate::reference as tables;
use crate::source_tree::SourceTree;

/// Portreeve: a WebAssembly plugin host for a distributor's integration layer.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct CommandLine {
    /// JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// How the log on stderr is written. It holds ids, codes and counts, never what
    /// an order says.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line, for collectors.
    Json,
}

/// What the demo plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Scenario {
    /// A morning of orders over two channels, up to the ERP.
    #[default]
    Morning,
    /// Orders up to their money, through an ERP, a warehouse, a tax service and a payment
    /// processor.
    OrderToCash,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the plugins and walk a morning of sample orders down the whole road.
    Demo {
        /// Keep the folder of the run here.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        /// Orders that are mapped and scored side by side.
        #[arg(long)]
        workers: Option<usize>,
        /// What is played.
        #[arg(long, value_enum, default_value_t)]
        scenario: Scenario,
    },
    /// Import a folder of configuration as the active version.
    Init {
        /// The folder with portreeve.toml, grants.toml, policies.cedar, rules.toml, people.toml, trust.toml, the
        /// components that it names and, where it has them, process.toml and reference/*.csv.
        #[arg(long)]
        config: PathBuf,
        #[command(flatten)]
        data: Data,
    },
    /// Run the host.
    Serve {
        #[command(flatten)]
        data: Data,
    },
    /// Bring files into a channel; one line of result for each. Exit code 0 means
    /// that every file is on record, whatever its disposition; 1 that one is not.
    Ingest(ingest::Ingest),
    /// Look at inputs of which nothing was taken, and at what they or any other said.
    #[command(subcommand)]
    Input(input::Command),
    /// Load reference tables.
    #[command(subcommand)]
    Reference(reference::Command),
    /// Look at deliveries that were given up, and have those of a target tried again together.
    #[command(subcommand)]
    DeadLetter(dead_letter::Command),
    /// Send again what a target took and lost.
    #[command(subcommand)]
    Replay(replay::Command),
    /// Build, sign and check packages of plugins, and change which ones a host calls.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Whose packages are taken.
    #[command(subcommand)]
    Trust(trust::Command),
    /// Make accounts of people, and change them.
    #[command(subcommand)]
    Person(person::Command),
    /// Begin a session of a running host.
    SignIn(session::SignIn),
    /// End it.
    SignOut(session::SignOut),
    /// Look at orders.
    #[command(subcommand)]
    Order(order::Command),
    /// Look at what waits for a person, work on it, and decide about it.
    #[command(subcommand)]
    Exception(exception::Command),
    /// Look at what plugins may cause, and at what a change of that would mean.
    #[command(subcommand)]
    Grant(grant::Command),
    /// Check who listens where, and where orders go.
    #[command(subcommand)]
    Route(route::Command),
    /// Look at what orders go through.
    #[command(subcommand)]
    Process(process::Command),
    /// How models and people get on with each other: what became of proposals, how soon people
    /// decide, and whether they look.
    Oversight(oversight::Look),
    /// How long orders take, how often people have to touch them, and what goes wrong where.
    Measures(measure::Look),
    /// Look at destinations and what waits for them.
    #[command(subcommand)]
    Target(target::Command),
    /// Look at sources that are asked for what is new.
    #[command(subcommand)]
    Poll(poll::Command),
    /// Compare what two systems have, and file what differs.
    Reconcile(reconcile::Reconcile),
    /// Remove old content.
    #[command(subcommand)]
    Retention(retention::Command),
    /// Verify the audit log, or prove an entry.
    ///
    /// Each stage leaves an entry, in the transaction that it commits. The log proves its entries, and nothing
    /// of the tables beside them: `portreeve audit verify --help` says what is covered and what is not.
    #[command(subcommand)]
    Audit(audit::Command),
}

/// One of these, by its word; help lists all.
fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    all: [T; N],
    word: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.map(word)).try_map(move |typed| {
        let known = all.into_iter().find(|one| word(*one) == typed);
        known.ok_or("there is no such word")
    })
}

/// A folder of configuration that is looked at.
#[derive(Debug, Args)]
struct Folder {
    /// The folder with portreeve.toml, grants.toml, policies.cedar, rules.toml, people.toml, trust.toml and, where
    /// it has a process of its own, process.toml.
    #[arg(long)]
    config: PathBuf,
}

/// Which data.
#[derive(Debug, Args)]
pub struct Data {
    /// The data folder.
    #[arg(long, default_value = "portreeve-data")]
    data_dir: PathBuf,
}

impl Data {
    /// A folder that `demo --data-dir` kept has its state beside its data.
    fn locations(&self) -> anyhow::Result<Locations> {
        let kept = self.data_dir.join("data").is_dir() && self.data_dir.join("state").is_dir();
        if kept {
            let folder = self
                .data_dir
                .canonicalize()
                .with_context(|| format!("`{}` cannot be used", self.data_dir.display()))?;
            // In a checkout the compiled code of the demo is there already.
            let shared =
                SourceTree::find().map_or_else(|_| folder.join("code"), |tree| tree.target().join("portreeve"));
            return Ok(Locations::below(&folder, &shared));
        }
        Locations::standard(&self.data_dir)
    }

    /// The store of a folder that exists already, for reading alone: a host may
    /// be working on it.
    fn open(&self) -> anyhow::Result<(Locations, Arc<dyn Store>)> {
        let locations = self.existing()?;
        let store = locations.store_to_read()?;
        Ok((locations, store))
    }

    /// The same for writing; no host may be working on it.
    fn open_to_write(&self) -> anyhow::Result<(Locations, Arc<dyn Store>)> {
        let locations = self.existing()?;
        let store = locations.store()?;
        Ok((locations, store))
    }

    /// The same for a command that a running host does as well.
    fn open_to_write_or_ask(&self) -> anyhow::Result<(Locations, Arc<dyn Store>)> {
        self.open_to_write().map_err(|error| match error.downcast_ref::<StoreError>() {
            Some(StoreError::InUse { folder }) => anyhow::anyhow!(
                "the data folder `{folder}` is in use by another process; have the host that has it do this, with `--server URL --token-file FILE`, or stop it"
            ),
            _ => error,
        })
    }

    fn existing(&self) -> anyhow::Result<Locations> {
        let locations = self.locations()?;
        if !locations.data.join("store").is_dir() {
            anyhow::bail!(
                "`{}` holds no Portreeve data; run `portreeve init --config FOLDER --data-dir {}` first",
                self.data_dir.display(),
                self.data_dir.display()
            );
        }
        Ok(locations)
    }
}

/// A host that runs, instead of a folder that nobody works on.
#[derive(Debug, Args)]
pub struct Running {
    /// Ask this running host, `http://ADDRESS:PORT`, instead of a folder.
    #[arg(long, requires = "token_file", conflicts_with = "data_dir")]
    server: Option<String>,
    /// The file with the bearer token, for `--server`: a session or a key; to read, also the
    /// operator token.
    #[arg(long, requires = "server")]
    token_file: Option<PathBuf>,
}

impl Running {
    fn server(&self) -> anyhow::Result<Option<Server>> {
        match (&self.server, &self.token_file) {
            (Some(server), Some(token)) => Server::new(server, token).map(Some),
            _ => Ok(None),
        }
    }
}

/// Words of a command line that are missing or do not go together: exit code 2, as where the
/// parser itself finds it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(String);

/// Runs a command.
///
/// # Errors
/// When it fails; the error says what was found, what was expected and what to do.
pub fn run(line: CommandLine) -> anyhow::Result<()> {
    log_to_stderr(matches!(line.command, Command::Serve { .. }), line.log_format)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads could be started")?;
    runtime.block_on(dispatch(line, &mut Output::standard()))
}

/// Runs a command that writes its results where the caller says.
///
/// # Errors
/// As [`run`].
pub async fn dispatch(line: CommandLine, output: &mut Output) -> anyhow::Result<()> {
    carried_out(line, output).await
}

/// Each command's future lies on the heap: all of them side by side on the stack of whoever asks
/// are more than some threads have.
fn carried_out(line: CommandLine, output: &mut Output) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + '_>> {
    let json = line.json;
    match line.command {
        Command::Demo { data_dir, workers, scenario } => {
            let options = DemoOptions { data_dir, workers, json };
            match scenario {
                Scenario::Morning => Box::pin(async move { demo::run(&options, output).await.map(drop) }),
                Scenario::OrderToCash => Box::pin(async move { demo::cash::run(&options, output).await.map(drop) }),
            }
        }
        Command::Init { config, data } => Box::pin(async move { init(&config, &data, json, output).await }),
        Command::Serve { data } => Box::pin(async move { serve::run(&data, json, output).await }),
        Command::Ingest(files) => Box::pin(ingest::run(files, json, output)),
        Command::Input(command) => Box::pin(input::run(command, json, output)),
        Command::Reference(command) => Box::pin(reference::run(command, json, output)),
        Command::DeadLetter(command) => Box::pin(dead_letter::run(command, json, output)),
        Command::Replay(command) => Box::pin(replay::run(command, json, output)),
        Command::Plugin(command) => Box::pin(plugin::run(command, json, output)),
        Command::Trust(command) => Box::pin(trust::run(command, json, output)),
        Command::Person(command) => Box::pin(person::run(command, json, output)),
        Command::SignIn(command) => Box::pin(session::sign_in(command, json, output)),
        Command::SignOut(command) => Box::pin(session::sign_out(command, json, output)),
        Command::Order(command) => Box::pin(order::run(command, json, output)),
        Command::Exception(command) => Box::pin(exception::run(command, json, output)),
        Command::Grant(command) => Box::pin(grant::run(command, json, output)),
        Command::Route(command) => Box::pin(ready(route::run(command, json, output))),
        Command::Process(command) => Box::pin(ready(process::run(command, json, output))),
        Command::Oversight(look) => Box::pin(oversight::run(look, json, output)),
        Command::Measures(look) => Box::pin(measure::run(look, json, output)),
        Command::Target(command) => Box::pin(target::run(command, json, output)),
        Command::Poll(command) => Box::pin(poll::run(command, json, output)),
        Command::Reconcile(command) => Box::pin(reconcile::run(command, json, output)),
        Command::Retention(command) => Box::pin(retention::run(command, json, output)),
        Command::Audit(command) => Box::pin(audit::run(command, json, output)),
    }
}

async fn init(config: &std::path::Path, data: &Data, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let proposed = Proposed::read(config)?;
    let now = SystemClock.now();
    let configuration = proposed.files.check_new(now)?;
    let mut warnings = configuration.warnings();
    let read = configuration.tables_read();
    warnings.extend(proposed.reference.iter().filter_map(|(table, _)| tables::unread(table, &read)));
    let locations = data.locations()?;
    let store: Arc<dyn Store> = locations.store()?;
    warnings.extend(host::changed_components(&store, &locations, &proposed).await?);
    let Activated { version, loaded_otherwise } = host::activate(&store, &locations, &proposed, now).await?;
    warnings.extend(loaded_otherwise.iter().map(|table| table.sentence(&data.data_dir)));
    // Opening proves that the plugins load, and sequences the new leaves before the exit.
    let host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
    host.sequencer.sequence_all().await?;
    let active = host.pipeline.plugins.now();
    warnings.extend(active.ready().flat_map(|(name, installed)| without_effect(name, &installed.limits)));
    if json {
        return output.json(&serde_json::json!({
            "configuration": version, "verifier": host.verifier.to_string(), "warnings": warnings,
        }));
    }
    for warning in &warnings {
        output.line(&format!("warning: {warning}"))?;
    }
    output.line(&format!("configuration {version} is active in `{}`", locations.data.display()))?;
    output.line(&format!("the audit log is verified with {}", host.verifier))?;
    output.line(&format!("run it with `portreeve serve --data-dir {}`", data.data_dir.display()))
}

fn log_to_stderr(serving: bool, format: LogFormat) -> anyhow::Result<()> {
    let default = if serving { "info" } else { "error" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .or_else(|_| tracing_subscriber::EnvFilter::try_new(default))
        .context("the log filter in RUST_LOG cannot be understood")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

/// Writes an error with its causes as one sentence to stderr.
pub fn report(error: &anyhow::Error) {
    let io = error.root_cause().downcast_ref::<std::io::Error>();
    if io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe) {
        // The reader has seen enough (`… | head`): nobody is left to tell.
        return;
    }
    // Nothing is left to tell when stderr itself is closed.
    writeln!(std::io::stderr(), "portreeve: {}", tame(&sentence(error))).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line about the demo asks for: scenario, folder, workers, JSON.
    fn demo(arguments: &[&str]) -> Option<(Scenario, Option<PathBuf>, Option<usize>, bool)> {
        let line = CommandLine::try_parse_from(["portreeve", "demo"].iter().chain(arguments)).ok()?;
        match line.command {
            Command::Demo { data_dir, workers, scenario } => Some((scenario, data_dir, workers, line.json)),
            _ => None,
        }
    }

    #[test]
    fn a_line_says_which_scenario_is_played_and_who_reads_it() {
        assert_eq!(demo(&[]), Some((Scenario::Morning, None, None, false)));
        assert_eq!(demo(&["--scenario", "morning"]), demo(&[]));
        let whole = Some((Scenario::OrderToCash, None, None, true));
        assert_eq!(demo(&["--scenario", "order-to-cash", "--json"]), whole);
        assert_eq!(demo(&["--json", "--scenario=order-to-cash"]), whole);
        let kept = demo(&["--scenario", "order-to-cash", "--data-dir", "day", "--workers", "3"]);
        assert_eq!(kept, Some((Scenario::OrderToCash, Some(PathBuf::from("day")), Some(3), false)));
        for wrong in [&["--scenario", "order_to_cash"][..], &["--scenario"], &["--scenario", "", "--json"], &["day"]] {
            assert_eq!(demo(wrong), None, "{wrong:?}");
        }
        let told = CommandLine::try_parse_from(["portreeve", "demo", "--scenario", "evening"]).err();
        let told = told.map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains("morning") && told.contains("order-to-cash"), "{told}");
    }
}

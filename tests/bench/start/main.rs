//! How long a host that was stopped takes to its first decision.
//!
//! ```text
//! cargo bench -p portreeve-bench --bench start                 15 starts, a table
//! cargo bench -p portreeve-bench --bench start -- --json       one JSON object
//! cargo bench -p portreeve-bench --bench start -- --runs 40
//! ```
//!
//! A folder is initialised with all shipped plugins, which leaves their compiled
//! code in the cache. Then `portreeve serve` is started on it again and again, each
//! time as a new process of this program, which runs the command line as the
//! product does. The clock runs from before the process is made; the phases are the
//! lines of its log as they come in, then the line that says where it listens. The
//! first order is posted at once, and is decided when the host shows it: decisions
//! are shown when they are committed.

#[path = "../throughput/setup.rs"]
mod setup;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::Parser;
use hyper::Method;
use portreeve::client;
use portreeve::command::{self, CommandLine};
use portreeve_model::Digest;

/// Starts of a full run.
const RUNS: u32 = 15;
/// The aim, from the process's start to its first decision.
const AIM: Duration = Duration::from_millis(300);
/// A start that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the operator shows.
const OPERATOR_TOKEN: &str = "an-operator-token-for-the-benchmark-only";
/// The first argument of the process that is the product.
const PRODUCT: &str = "portreeve";

/// The ends of the phases, in their order. Where a log line ends one, its message.
const PHASES: [(&str, Option<&str>); 6] = [
    ("store open", Some("the store is open")),
    ("plugins loaded", Some("the plugins are loaded")),
    ("log continued", Some("the audit log continues")),
    ("listening", None),
    ("acknowledged", None),
    ("decided", None),
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == PRODUCT) {
        return command::run(CommandLine::parse_from(arguments));
    }
    let options = Options::from_arguments(arguments)?;
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    initialise(folder.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let starts = (0..options.runs)
        .map(|run| runtime.block_on(start(folder.path(), run)).with_context(|| format!("start {run} failed")))
        .collect::<Result<Vec<Phases>>>()?;
    report(&options, &starts)
}

struct Options {
    json: bool,
    runs: u32,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { json: false, runs: RUNS };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => options.json = true,
                "--runs" => {
                    let runs = arguments.next().context("`--runs` needs a number")?;
                    options.runs = runs.parse().with_context(|| format!("`{runs}` is no number of starts"))?;
                    ensure!(options.runs > 0, "`--runs` needs a number above 0");
                }
                // Cargo says so to every benchmark.
                "--bench" => {}
                other => bail!("`{other}` is unknown; expected `--json` or `--runs N`"),
            }
        }
        Ok(options)
    }
}

/// Time from before the process was made to the end of each phase.
type Phases = [Duration; PHASES.len()];

/// The product as a process of its own, whose keys and cache are in the folder.
fn product(folder: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("failed to find this program")?);
    command.arg(PRODUCT).args(arguments).arg("--data-dir").arg(folder.join("data"));
    command.env("XDG_STATE_HOME", folder.join("state")).env("RUST_LOG", "info");
    Ok(command)
}

fn initialise(folder: &Path) -> Result<()> {
    // Nobody takes the orders: deliveries are another benchmark's.
    setup::write(folder, "http://127.0.0.1:9", false)?;
    let config = folder.join(setup::CONFIG);
    let main = std::fs::read_to_string(config.join("portreeve.toml"))?;
    let token = Digest::of(OPERATOR_TOKEN.as_bytes());
    let host = format!("[host]\noperator_token_sha256 = \"{token}\"");
    let main = main.replace("[host]", &host).replace("127.0.0.1:8080", "127.0.0.1:0");
    // No channel of the demo uses these, and they are loaded as all others are.
    let more = ["cloudevents", "cloudevents-events"];
    let more = more.map(|name| format!("\n[[plugin]]\nname = \"{name}\"\ncomponent = \"{name}.wasm\"\n"));
    std::fs::write(config.join("portreeve.toml"), main + &more.concat())?;
    let status = product(folder, &["init"])?.arg("--config").arg(&config).stdout(Stdio::null()).status();
    ensure!(status.context("failed to start `init`")?.success(), "`init` failed");
    Ok(())
}

/// One start up to its first decision.
async fn start(folder: &Path, run: u32) -> Result<Phases> {
    let mut command = product(folder, &["serve", "--json", "--log-format", "json"])?;
    let began = Instant::now();
    let mut host = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("failed to start the host")?;
    let measured = measure(&mut host, began, run).await;
    stop(&mut host)?;
    measured
}

async fn measure(host: &mut Child, began: Instant, run: u32) -> Result<Phases> {
    let (log, listening) = (lines(host.stderr.take(), began)?, lines(host.stdout.take(), began)?);
    let (at, line) = listening.recv_timeout(PATIENCE).context("it does not listen")?;
    let line: serde_json::Value = serde_json::from_str(&line)?;
    let address = line.get("listening").and_then(|url| url.as_str()?.strip_prefix("http://"));
    let address: SocketAddr = address.context("it does not say where it listens")?.parse()?;

    let bearer = format!("Bearer {}", setup::EDI_TOKEN);
    let body = Bytes::from(order(run));
    let answer = client::send(address, Method::POST, "/v1/channels/edi", &[("authorization", &bearer)], body).await?;
    ensure!(answer.status == 200, "the order was answered {}", answer.status);
    let acknowledged = began.elapsed();

    // One order a start: the last one is after all the others.
    let path = format!("/v1/orders?after={run}&limit=1");
    let bearer = format!("Bearer {OPERATOR_TOKEN}");
    let decided = loop {
        let answer = client::send(address, Method::GET, &path, &[("authorization", &bearer)], Bytes::new()).await?;
        let page: serde_json::Value = serde_json::from_slice(&answer.body)?;
        if page.pointer("/orders/0/state").is_some_and(|state| state == "released") {
            break began.elapsed();
        }
        ensure!(began.elapsed() < PATIENCE, "the order is not released: {page}");
    };

    let mut phases = Phases::default();
    for (phase, (name, message)) in phases.iter_mut().zip(PHASES) {
        *phase = match (message, name) {
            (Some(message), _) => logged(&log, message)?,
            (None, "listening") => at,
            (None, "acknowledged") => acknowledged,
            (None, _) => decided,
        };
    }
    Ok(phases)
}

/// When a line of the log with this message came in.
fn logged(log: &mpsc::Receiver<(Duration, String)>, message: &str) -> Result<Duration> {
    loop {
        let (at, line) = log.recv_timeout(PATIENCE).with_context(|| format!("the log does not say `{message}`"))?;
        if line.contains(message) {
            return Ok(at);
        }
    }
}

/// Lines with the time since the beginning at which each came in.
fn lines(stream: Option<impl Read + Send + 'static>, began: Instant) -> Result<mpsc::Receiver<(Duration, String)>> {
    let stream = BufReader::new(stream.context("the process has no such stream")?);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // Ends with the process, or when nobody listens any more.
        for line in stream.lines().map_while(std::io::Result::ok) {
            if tell.send((began.elapsed(), line)).is_err() {
                return;
            }
        }
    });
    Ok(told)
}

/// As a supervisor stops it: the next start finds a folder in order.
fn stop(host: &mut Child) -> Result<()> {
    let told = Command::new("kill").arg(host.id().to_string()).status().context("failed to stop the host")?;
    ensure!(told.success(), "the host was gone before it was stopped");
    let ended = host.wait()?;
    ensure!(ended.success(), "the host ended with {ended}");
    Ok(())
}

/// An order that nothing is wrong with, new in every start.
fn order(run: u32) -> String {
    let (control, buyer) = (run + 1, setup::customer(run));
    let sender = buyer.replace('-', "");
    format!(
        "ISA*00*          *00*          *ZZ*{sender:<15}*ZZ*PORTREEVE      *260302*0800*U*00401*{control:09}*0*P*>~\n\
         GS*PO*{sender}*PORTREEVE*20260302*0800*{control}*X*004010~\nST*850*0001~\nBEG*00*SA*S{control:08}**20260302~\n\
         DTM*002*20990330~\nN1*BY*The Customer*92*{buyer}~\nN1*ST*The Customer*92*{buyer}-01~\nN3*230 Commerce Ave~\n\
         N4*Tucson*AZ*85701*US~\nPO1*1*5*BX*18.40*PE*VP*FST-1007~\nCTT*1~\nSE*10*0001~\nGE*1*{control}~\nIEA*1*{control:09}~\n"
    )
}

fn report(options: &Options, starts: &[Phases]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let of = |index: usize| {
        let mut all: Vec<Duration> = starts.iter().filter_map(|phases| phases.get(index).copied()).collect();
        all.sort_unstable();
        let median = all.get(all.len() / 2).copied().unwrap_or_default();
        (median, all.last().copied().unwrap_or_default())
    };
    if options.json {
        let phases: serde_json::Map<String, serde_json::Value> = PHASES
            .iter()
            .enumerate()
            .map(|(index, (name, _))| {
                let (median, max) = of(index);
                (name.replace(' ', "_"), serde_json::json!({ "median_ms": ms(median), "max_ms": ms(max) }))
            })
            .collect();
        let result = serde_json::json!({ "starts": starts.len(), "aim_ms": ms(AIM), "since_spawn": phases });
        writeln!(out, "{result}")?;
        return Ok(());
    }
    writeln!(out, "{} starts with cached plugins, since the process was made", starts.len())?;
    writeln!(out, "{:<16}{:>12}{:>12}", "", "median", "max")?;
    for (index, (name, _)) in PHASES.iter().enumerate() {
        let (median, max) = of(index);
        writeln!(out, "{name:<16}{:>9.1} ms{:>9.1} ms", ms(median), ms(max))?;
    }
    writeln!(out, "aim for {:<8}{:>9.1} ms", "decided", ms(AIM))?;
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

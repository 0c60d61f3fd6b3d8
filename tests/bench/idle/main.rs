//! What plugins cost a host that does not call them: memory, and time to load.
//!
//! ```text
//! cargo bench -p portreeve-bench --bench idle              100 plugins
//! cargo bench -p portreeve-bench --bench idle -- --count 10
//! ```
//!
//! The plugins are one scorer with another custom section each, so their digests,
//! entries in the cache and compiled code are apart. Compiling happens in a process
//! of its own: what an allocator keeps of it would hide what loading takes. What is
//! counted is private memory (`/proc/self/smaps_rollup`), which leaves out what
//! processes share, and address space that nobody touched.

#[path = "../scorer.rs"]
mod scorer;

#[path = "../trusted.rs"]
mod trusted;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant as Stopwatch;

use anyhow::{Context, Result, bail, ensure};
use portreeve_model::id::PluginName;
use portreeve_registry::{CodeCache, Installed, PlatformGrant, Registry};
use portreeve_sandbox::{Sandbox, SandboxOptions};

/// What a host of a hundred partners has.
const COUNT: u32 = 100;

/// The aim, in KiB above the empty host.
const AIM_KIB: u64 = 60 * 1024;

fn main() -> Result<()> {
    let options = Options::from_arguments(std::env::args().skip(1))?;
    match &options.fill {
        Some(folder) => install(&registry(folder)?, folder, options.count).map(drop),
        None => measure(options.count),
    }
}

struct Options {
    count: u32,
    /// The folder to fill with compiled code, in the process that compiles.
    fill: Option<PathBuf>,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self { count: COUNT, fill: None };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--count" => {
                    let count = arguments.next().context("`--count` needs a number")?;
                    options.count = count.parse().with_context(|| format!("`{count}` is no number of plugins"))?;
                }
                "--fill" => options.fill = Some(arguments.next().context("`--fill` needs a folder")?.into()),
                // Cargo says so to every benchmark.
                "--bench" => {}
                other => bail!("`{other}` is unknown; expected `--count N`"),
            }
        }
        Ok(options)
    }
}

fn measure(count: u32) -> Result<()> {
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    std::fs::write(component(folder.path()), scorer::build("plugins/scorers/fraud")?)
        .context("failed to keep the scorer")?;
    let compiling = Stopwatch::now();
    let status = Command::new(std::env::current_exe().context("failed to find this program")?)
        .args(["--count", &count.to_string(), "--fill"])
        .arg(folder.path())
        .status()
        .context("failed to start the process that compiles")?;
    ensure!(status.success(), "compiling ended with {status}");
    let compiled = compiling.elapsed();

    let before = private_kib()?;
    let starting = Stopwatch::now();
    let registry = registry(folder.path())?;
    let started = starting.elapsed();
    let empty = private_kib()?;
    let loading = Stopwatch::now();
    let installed = install(&registry, folder.path(), count)?;
    let loaded = loading.elapsed();
    let full = private_kib()?;
    ensure!(u32::try_from(installed.len()).is_ok_and(|found| found == count), "not every plugin was loaded");

    let mut out = std::io::stdout().lock();
    let above = full.saturating_sub(empty);
    writeln!(out, "plugins of distinct digests     {count}")?;
    writeln!(out, "compiled in another process     {:.1} s", compiled.as_secs_f64())?;
    writeln!(
        out,
        "engines made                    {:.1} ms, {} KiB private",
        ms(started),
        empty.saturating_sub(before)
    )?;
    writeln!(
        out,
        "loaded from the warm cache      {:.1} ms, {:.2} ms each",
        ms(loaded),
        ms(loaded) / f64::from(count)
    )?;
    writeln!(out, "private memory above the empty  {above} KiB, {} KiB each", above / u64::from(count.max(1)))?;
    writeln!(out, "aim for {COUNT}                     {AIM_KIB} KiB")?;
    Ok(())
}

fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn registry(folder: &Path) -> Result<Registry> {
    let cache = CodeCache::open(&folder.join("cache"), &folder.join("key"))?;
    Ok(Registry::new(Sandbox::new(SandboxOptions::default())?, cache))
}

fn component(folder: &Path) -> PathBuf {
    folder.join("scorer.wasm")
}

/// Installs as many plugins as a host with that many entries would.
fn install(registry: &Registry, folder: &Path, count: u32) -> Result<Vec<Installed>> {
    let scorer = std::fs::read(component(folder)).context("failed to read the scorer")?;
    let name = PluginName::parse("fraud")?;
    let grant = PlatformGrant { lookup: vec!["customer".to_owned()], ..PlatformGrant::default() };
    (0..count)
        .map(|index| {
            let mut bytes = scorer.clone();
            // A custom section at component level: `00`, its length, its name's length and name, four bytes.
            bytes.extend_from_slice(&[0, 7, 2, b'n', b'o']);
            bytes.extend_from_slice(&index.to_be_bytes());
            trusted::install(registry, &name, &bytes, &grant)
        })
        .collect()
}

/// Memory that only this process has, in KiB.
fn private_kib() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").context("this measure needs Linux")?;
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    lines
        .map(|line| line.split_whitespace().nth(1).context("a size is missing")?.parse::<u64>().context("no size"))
        .sum()
}

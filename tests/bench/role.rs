//! Processes of a benchmark that answer one line to each line, so that each one's CPU is its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, Lines, Stdin, stdin};

/// A process of this program in another role.
pub(crate) struct Role {
    name: &'static str,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Role {
    /// A host in this folder, whose configuration another process made active before.
    pub(crate) fn host(name: &'static str, folder: String) -> anyhow::Result<Self> {
        let folder = [folder];
        Self::start("init", &folder)?.stop()?;
        Self::start(name, &folder)
    }

    pub(crate) fn start(name: &'static str, arguments: &[String]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role", name])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("the process `{name}` cannot start"))?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { name, child, to, from })
    }

    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the process `{}` ended early", self.name);
        Ok(line.trim().to_owned())
    }

    pub(crate) fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        let to = self.to.as_mut().context("stopped already")?;
        writeln!(to, "{question}")?;
        self.line()
    }

    /// CPU so far, in microseconds.
    pub(crate) fn cpu_us(&mut self) -> anyhow::Result<f64> {
        let [cpu_us, _] = numbers(&self.ask("usage")?)?;
        Ok(cpu_us)
    }

    /// The end of its input is what tells it to stop.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.to.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the process `{}` ended with {status}", self.name);
        Ok(())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // After an error elsewhere; one that has stopped cannot be killed, and need not.
        drop(self.child.kill());
    }
}

pub(crate) fn questions() -> Lines<tokio::io::BufReader<Stdin>> {
    tokio::io::BufReader::new(stdin()).lines()
}

#[expect(clippy::print_stdout, reason = "the line is the protocol between the processes")]
pub(crate) fn answer(text: &str) {
    println!("{text}");
}

/// CPU so far in microseconds, then the peak of resident memory in KiB.
pub(crate) fn usage() -> anyhow::Result<String> {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu_us = i128::from(cpu.tv_sec) * 1_000_000 + i128::from(cpu.tv_nsec) / 1_000;
    let status = std::fs::read_to_string("/proc/self/status").context("/proc is not there")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(format!("{cpu_us} {}", peak.trim().trim_end_matches(" kB")))
}

/// A line of so many numbers.
pub(crate) fn numbers<const N: usize>(line: &str) -> anyhow::Result<[f64; N]> {
    let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>();
    let numbers = numbers.with_context(|| format!("`{line}` are no numbers"))?;
    let found = numbers.len();
    numbers.try_into().map_err(|_| anyhow::anyhow!("`{line}` are {found} numbers, expected {N}"))
}

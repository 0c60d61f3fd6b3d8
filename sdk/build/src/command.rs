//! How other programs are run: with an environment that is ours to decide, and
//! with an end.
//!
//! A build inside of `cargo run` or `cargo test` inherits what that cargo set for
//! its own build: flags, profiles, wrappers, a job server. With them the nested
//! build would compile for the wrong machine or wait for ever.

use std::ffi::OsStr;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::BuildError;

/// Between looks at a running program.
const POLL: Duration = Duration::from_millis(50);
/// Enough of a program's words for a sentence.
const WORDS_CHARS_MAX: usize = 1_024;

/// A program in a folder, with the cleaned environment.
pub(crate) fn command(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if !is_kept(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

/// What says where cargo keeps things and how it reaches the network stays; what
/// says how to compile goes.
fn is_kept(name: &str) -> bool {
    const KEPT: [&str; 5] = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_"];
    const STRIPPED: [&str; 6] = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC", "MAKEFLAGS", "MFLAGS"];
    KEPT.iter().any(|kept| name.starts_with(kept)) || !STRIPPED.iter().any(|stripped| name.starts_with(stripped))
}

/// What a program printed, if it succeeded; otherwise its words about why not.
pub(crate) fn output(mut command: Command) -> Result<Result<String, String>, BuildError> {
    let output = command.output().map_err(not_started(&command))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

/// Runs a program to its end or its deadline, whichever comes first; what it
/// started dies with it. Says why it failed in one line.
pub(crate) fn run_until(mut command: Command, deadline: Duration) -> Result<Result<(), String>, BuildError> {
    let io = |source| BuildError::Io { act: "create a file in", path: std::env::temp_dir(), source };
    // A file and no pipe: nobody has to empty it while the program runs.
    let mut words = tempfile::tempfile().map_err(io)?;
    let mut child = command
        .stdout(Stdio::null())
        .stderr(words.try_clone().map_err(io)?)
        .process_group(0)
        .spawn()
        .map_err(not_started(&command))?;

    let Some(status) = wait(&mut child, deadline) else {
        kill_group(&mut child);
        return Ok(Err(format!("no end after {} s", deadline.as_secs())));
    };
    if status.success() {
        return Ok(Ok(()));
    }
    let mut text = String::new();
    let read = words.rewind().and_then(|()| words.read_to_string(&mut text));
    Ok(Err(match read {
        Ok(_) => telling_line(&text),
        Err(_) => status.to_string(),
    }))
}

fn wait(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if start.elapsed() >= deadline {
            return None;
        }
        std::thread::sleep(POLL);
    }
}

/// The child leads a group of its own, so this reaches nobody else.
fn kill_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // An error says that it ended in this moment: nobody is left to kill.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap_or(());
    }
    drop(child.wait());
}

/// The line that says why: the first that calls itself an error (cargo, rustup
/// and apt each have a word for it), or else the last that isn't empty.
fn telling_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| ["error", "E: "].iter().any(|word| line.starts_with(word));
    let line = lines.clone().find(is_error).or_else(|| lines.next_back());
    line.unwrap_or("it said nothing").chars().take(WORDS_CHARS_MAX).collect()
}

fn not_started(command: &Command) -> impl FnOnce(std::io::Error) -> BuildError + use<> {
    let tool = command.get_program().to_string_lossy().into_owned();
    move |source| BuildError::Tool { tool, source }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn strips_what_says_how_to_compile_and_keeps_the_rest() {
        for stripped in [
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_MAKEFLAGS",
            "CARGO_MANIFEST_DIR",
            "RUSTC_WRAPPER",
            "RUSTC",
            "RUSTFLAGS",
            "MAKEFLAGS",
        ] {
            assert!(!is_kept(stripped), "{stripped}");
        }
        for kept in [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "RUSTUP_HOME",
            "RUSTUP_TOOLCHAIN",
            "CARGO_REGISTRIES_MIRROR_INDEX",
            "CARGO_HTTP_PROXY",
        ] {
            assert!(is_kept(kept), "{kept}");
        }
    }

    #[test]
    fn a_program_past_its_deadline_dies_with_what_it_started() {
        let mut shell = command("sh", Path::new("/"));
        shell.args(["-c", "sleep 600 & sleep 600"]);
        let start = Instant::now();
        let ended = run_until(shell, Duration::from_millis(100)).unwrap();
        assert!(ended.unwrap_err().contains("no end"));
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_failure_is_told_by_the_line_that_says_why() {
        for (words, reason) in [
            ("echo trying; echo the reason", "the reason"),
            ("echo trying; echo error: no route; echo 1: backtrace", "error: no route"),
        ] {
            let mut shell = command("sh", Path::new("/"));
            shell.args(["-c", &format!("({words}) >&2; exit 3")]);
            let ended = run_until(shell, Duration::from_secs(30)).unwrap();
            assert_eq!(ended.unwrap_err(), reason);
        }
    }
}

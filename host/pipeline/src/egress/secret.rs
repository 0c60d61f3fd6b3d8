//! Secrets, and where they come from.
//!
//! A secret is read when it is used, so that a new one counts without a restart: a file
//! once a second at most, a command again after five minutes, either when the target refused what it
//! said last. What an environment says stays as it was at the start: nobody can change it.
//!
//! Nothing prints a secret: it has no `Display`, its `Debug` is a word, and no error
//! repeats what a file or a command said.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long what a command said is used. It may be a token that ends.
const COMMAND_KEPT_MS: i64 = 300_000;

/// How long what a file said is used. Each message would read it anew, on a thread of its own;
/// who writes another one waits so long at most.
pub(super) const FILE_KEPT_MS: i64 = 1_000;

/// Bytes of a secret. More is another file.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// What is read of a command's output: enough to see that it is no secret.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024 + 1;

/// How long a command may take. Deliveries wait for it.
const COMMAND_MAX: Duration = Duration::from_secs(10);

/// How often a command is looked after.
const COMMAND_LOOK: Duration = Duration::from_millis(10);

/// Where a secret comes from: `{ file = "…" }`, `{ env = "…" }` or `{ command = ["…", …] }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// A file; a relative path begins at the configuration's folder.
    File(PathBuf),
    /// A variable of the host's environment.
    Env(String),
    /// A program with its arguments, without a shell; what it prints is the secret.
    Command(Vec<String>),
}

/// Something that nobody prints.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As part of a header.
    pub(super) fn text(&self) -> Result<&str, SecretError> {
        let text = std::str::from_utf8(&self.0).ok();
        text.filter(|text| !text.chars().any(char::is_control)).ok_or(SecretError::NotText)
    }
}

/// Why there is no secret. Never with anything of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file.
    #[error("the secret cannot be read from `{}`: {why}; write it there, readable for the host", .path.display())]
    File {
        /// Where it should be.
        path: PathBuf,
        /// In a few words.
        why: String,
    },
    /// The variable.
    #[error("the environment has no variable `{0}` with a secret; set it and start the host again")]
    Env(String),
    /// The program.
    #[error("the command `{program}` gives no secret: {why}")]
    Command {
        /// Its first word.
        program: String,
        /// What happened.
        why: String,
    },
    /// Nothing in it, or far too much.
    #[error("the secret has {found} bytes; expected 1 to {SECRET_BYTES_MAX}")]
    Length {
        /// Bytes without the white space around them.
        found: usize,
    },
    /// No text.
    #[error("the secret is not UTF-8 text of one line; a header takes nothing else")]
    NotText,
    /// No key of Standard Webhooks.
    #[error(
        "the secret is no `whsec_` with 24 to 64 bytes in base64 behind it; make one with `echo whsec_$(openssl rand -base64 32)`"
    )]
    NoWebhookKey,
}

impl SecretSource {
    /// Whether asking again can give another one.
    pub(super) fn may_change(&self) -> bool {
        !matches!(self, Self::Env(_))
    }

    /// How long what it said is used, milliseconds.
    pub(super) fn kept_ms(&self) -> i64 {
        match self {
            Self::Command(_) => COMMAND_KEPT_MS,
            Self::File(_) | Self::Env(_) => FILE_KEPT_MS,
        }
    }

    /// Reads it. Blocks: a file system or a program may take its time.
    pub(super) fn read(&self, base: &Path) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::File(file) => {
                let path = base.join(file);
                portreeve_registry::file::read(&path, SECRET_BYTES_MAX)
                    .map_err(|error| SecretError::File { why: error.why(), path })?
            }
            Self::Env(name) => {
                let value = std::env::var_os(name).ok_or_else(|| SecretError::Env(name.clone()))?;
                value.into_encoded_bytes()
            }
            Self::Command(words) => {
                let program = words.first().cloned().unwrap_or_default();
                said_by(words, base).map_err(|why| SecretError::Command { program, why })?
            }
        };
        let secret = bytes.trim_ascii();
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX {
            return Err(SecretError::Length { found: secret.len() });
        }
        Ok(Secret::new(secret.to_vec()))
    }
}

/// A secret that is read on a thread where waiting holds up nobody else, or one sentence.
pub(super) async fn apart(
    read: impl FnOnce() -> Result<Secret, SecretError> + Send + 'static,
) -> Result<Secret, String> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|_| "the secret was not read".to_owned())?.map_err(|error| error.to_string())
}

/// What a program prints, if it ends well and in time.
fn said_by(words: &[String], base: &Path) -> Result<Vec<u8>, String> {
    let (program, arguments) = words.split_first().ok_or("it is empty; name a program")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(base).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("it does not start: {}", error.kind()))?;
    let stdout = child.stdout.take().ok_or("it has no output")?;
    // Read beside the wait: a program that prints more than a pipe holds would never end.
    let (tell, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let read = stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut said);
        // Nobody listens any more after the program was ended.
        drop(tell.send(read.map(|_| said)));
    });
    let mut waited = Duration::ZERO;
    let status = loop {
        match child.try_wait().map_err(|error| error.kind().to_string())? {
            Some(status) => break status,
            None if waited >= COMMAND_MAX => {
                child.kill().and_then(|()| child.wait()).map_err(|error| error.kind().to_string())?;
                return Err(format!("it took longer than {} seconds", COMMAND_MAX.as_secs()));
            }
            None => std::thread::sleep(COMMAND_LOOK),
        }
        waited = waited.saturating_add(COMMAND_LOOK);
    };
    if !status.success() {
        return Err(format!("it ended with {status}"));
    }
    // What it left running may hold its output open.
    let said = hear.recv_timeout(COMMAND_MAX).map_err(|_| "its output does not end".to_owned())?;
    said.map_err(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The configuration is TOML, whose inline tables are JSON with other signs.
    fn source(text: &str) -> SecretSource {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_secret_is_read_anew_each_time_without_the_white_space_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = source(r#"{"file": "key"}"#);
        let missing = file.read(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("key") && missing.contains("cannot be read"), "{missing}");
        for text in ["first\n", " second "] {
            std::fs::write(folder.path().join("key"), text).unwrap();
            assert_eq!(file.read(folder.path()).unwrap().bytes(), text.trim().as_bytes());
        }
        std::fs::write(folder.path().join("key"), " \n").unwrap();
        assert_eq!(file.read(folder.path()), Err(SecretError::Length { found: 0 }));
        std::fs::write(folder.path().join("key"), "x".repeat(70_000)).unwrap();
        let long = file.read(folder.path()).unwrap_err().to_string();
        assert!(long.contains("it has 70000 bytes; expected at most 65536"), "{long}");
        std::fs::remove_file(folder.path().join("key")).unwrap();
        std::fs::create_dir(folder.path().join("key")).unwrap();
        let odd = file.read(folder.path()).unwrap_err().to_string();
        assert!(odd.contains("it is a folder; expected a regular file"), "{odd}");
        std::fs::remove_dir(folder.path().join("key")).unwrap();
        std::fs::write(folder.path().join("key"), "two\nlines").unwrap();
        assert_eq!(file.read(folder.path()).unwrap().text(), Err(SecretError::NotText));
    }

    #[test]
    fn a_command_says_a_secret_or_why_there_is_none_and_no_error_repeats_it() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| source(text).read(folder.path());
        assert_eq!(read(r#"{"command": ["echo", "a secret"]}"#).unwrap().bytes(), b"a secret");
        for (command, why) in [
            (r#"{"command": ["sh", "-c", "echo s3cret; exit 3"]}"#, "exit status: 3"),
            (r#"{"command": ["there-is-no-such-program"]}"#, "it does not start"),
            (r#"{"command": []}"#, "it is empty"),
            (r#"{"env": "PORTREEVE_NO_SUCH_VARIABLE"}"#, "PORTREEVE_NO_SUCH_VARIABLE"),
        ] {
            let refused = read(command).unwrap_err().to_string();
            assert!(refused.contains(why) && !refused.contains("s3cret"), "{refused}");
        }
        // More than a pipe holds, and more than a secret has.
        let long = read(r#"{"command": ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"]}"#);
        assert!(long.is_err(), "{long:?}");
    }

    #[test]
    fn nothing_prints_a_secret() {
        assert_eq!(format!("{:?}", Secret::new(b"s3cret".to_vec())), "Secret");
    }
}

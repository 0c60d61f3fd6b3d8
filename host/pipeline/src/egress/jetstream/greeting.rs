//! The first line that a NATS server says, read before anything else happens.
//!
//! ```text
//! INFO {"version":"2.10.29","headers":true,"tls_required":true,…}\r\n
//! ```
//!
//! The attack is whatever answers at an address that is no NATS server, or an old one: the client
//! reads on for a line that never ends and keeps all of it. So the host looks first, with a
//! connection of its own, at so many bytes and for so long, and sends nothing: no credential goes to
//! a server that cannot keep what it says it has.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{NO_CONNECTION, NotPublished};

/// Bytes of the line. A cluster that names a hundred of its servers has a tenth of it.
const INFO_BYTES_MAX: usize = 64 * 1024;

/// The oldest server: from here on one can be told to write to its disk before it acknowledges.
const VERSION_MIN: (u64, u64) = (2, 10);

/// What is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Greeting {
    #[serde(default)]
    version: String,
    #[serde(default)]
    headers: bool,
    #[serde(default)]
    tls_required: bool,
    #[serde(default)]
    tls_available: bool,
}

/// Reads it, and says whether the host goes on.
pub(super) async fn look(address: SocketAddr, is_tls: bool, within: Duration) -> Result<(), NotPublished> {
    let greeting = tokio::time::timeout(within, read(address)).await;
    let late = |_| NotPublished::not_now("no-greeting", "nothing like a NATS server greeted in time");
    greeting.map_err(late)??.judged(is_tls)
}

async fn read(address: SocketAddr) -> Result<Greeting, NotPublished> {
    let broken = |error: std::io::Error| {
        NotPublished::not_now(NO_CONNECTION, format!("no connection to {address}: {}", error.kind()))
    };
    let mut stream = TcpStream::connect(address).await.map_err(broken)?;
    let (mut said, mut piece) = (Vec::new(), [0_u8; 4096]);
    loop {
        let read = stream.read(&mut piece).await.map_err(broken)?;
        said.extend(piece.iter().take(read));
        match said.iter().position(|byte| *byte == b'\n') {
            Some(end) => return parse(said.get(..end).unwrap_or_default()),
            None if read == 0 || said.len() > INFO_BYTES_MAX => return Err(unreadable()),
            None => {}
        }
    }
}

fn parse(line: &[u8]) -> Result<Greeting, NotPublished> {
    let info = line.strip_prefix(b"INFO ").ok_or_else(unreadable)?.trim_ascii();
    // A list would be read as the same fields, in their order.
    if !info.starts_with(b"{") {
        return Err(unreadable());
    }
    serde_json::from_slice(info).map_err(|_| unreadable())
}

fn unreadable() -> NotPublished {
    NotPublished::not_now(
        "no-greeting",
        "what greeted there is no NATS server; `server` names one, and one that begins with TLS (`handshake_first`) is not spoken to",
    )
}

impl Greeting {
    fn judged(&self, is_tls: bool) -> Result<(), NotPublished> {
        recent(&self.version)?;
        if !self.headers {
            return Err(NotPublished::not_now(
                "no-headers",
                "the NATS server takes no headers, by which messages are known again; let it take them",
            ));
        }
        if self.tls_required && !is_tls {
            return Err(NotPublished::not_now("tls-required", "the NATS server speaks TLS only; write `tls://…`"));
        }
        if is_tls && !self.tls_required && !self.tls_available {
            return Err(NotPublished::not_now("no-tls", "the NATS server has no TLS; configure it there"));
        }
        Ok(())
    }
}

/// Whether a server is new enough.
pub(super) fn recent(version: &str) -> Result<(), NotPublished> {
    let mut parts = version.split('.').map(str::parse::<u64>);
    let found = match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    };
    if found.is_some_and(|found| found >= VERSION_MIN) {
        return Ok(());
    }
    let shown: String = version.chars().filter(|character| !character.is_control()).take(32).collect();
    let (major, minor) = VERSION_MIN;
    Err(NotPublished::not_now(
        "old-server",
        format!(
            "the NATS server is version `{shown}`; expected {major}.{minor} or later, which can write to its disk before it acknowledges"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_keep_its_word_is_not_spoken_to() {
        for right in ["2.10.0", "2.10.29-RC.1", "2.15.1", "3.0.0", "2.10"] {
            assert!(recent(right).is_ok(), "{right}");
        }
        for wrong in ["2.9.21", "1.99.9", "", "two", "2", "2.x"] {
            assert_eq!(recent(wrong).err().map(|why| why.code()), Some("old-server"), "{wrong}");
        }
        let judged = |info: &str, is_tls| {
            let line = format!("INFO {info}\r");
            parse(line.as_bytes()).and_then(|greeting| greeting.judged(is_tls)).err().map(|why| why.code())
        };
        let plain = r#"{"version":"2.10.1","headers":true}"#;
        assert_eq!((judged(plain, false), judged(plain, true)), (None, Some("no-tls")));
        let secured = r#"{"version":"2.10.1","headers":true,"tls_required":true}"#;
        assert_eq!((judged(secured, false), judged(secured, true)), (Some("tls-required"), None));
        assert_eq!(judged(r#"{"version":"2.10.1"}"#, false), Some("no-headers"));
        for garbage in ["", "{", "[]", "HTTP/1.1 400 Bad Request"] {
            assert_eq!(judged(garbage, false), Some("no-greeting"), "{garbage}");
        }
    }
}

//! Connections to targets, kept open between the calls of one plugin.
//!
//! A connection of its own for every request costs a target and the host more than
//! the request. What is kept belongs to one plugin, one pinned address and, over TLS,
//! the name and the trust that it was proven under, so no plugin meets what another one
//! left behind and no name is spoken to over another one's connection; and only a connection whose last
//! answer was read to its end is kept, for what is left of one would be read as the
//! next answer.
//!
//! Danger: a target may close a kept connection at the moment in which the next
//! request goes out. A request that was not written yet is sent over a new
//! connection; one that was is in doubt, as after any other broken exchange.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::limits::{HTTP_HEADERS_MAX, to_usize};
use crate::tls::{ClientTls, NotProven};

/// Bytes that the HTTP parser wants to read at least; a smaller limit is held after it.
const READ_BYTES_MIN: u64 = 8 * 1024;

/// Connections kept for one address. A burst of deliveries opens as many as there are
/// calls; a target is not to keep them all for us.
const IDLE_MAX: usize = 32;

/// A kept connection is used within this time: the usual servers close theirs after
/// five seconds at the earliest, and whoever is first decides whether a request is lost.
const IDLE_FOR_MAX: Duration = Duration::from_secs(4);

/// Where a connection leads, and as whom its other end proved itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    /// The name and the settings of TLS; none for plain HTTP.
    pub(crate) proven: Option<(String, u64)>,
}

/// Kept connections with the time since when.
type Idle = HashMap<Place, Vec<(Instant, Open)>>;

/// The kept connections of a plugin.
#[derive(Default)]
pub(crate) struct Connections {
    idle: Mutex<Idle>,
}

/// An open connection, and the task that drives it: that ends with it, whatever the
/// target does.
pub(crate) struct Open {
    sender: SendRequest<Full<Bytes>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why nobody can be spoken to over a new connection. Nothing was sent.
pub(crate) enum Unopened {
    /// The other end is not who it should be.
    NotProven(NotProven),
    /// It went away at once.
    Broken(hyper::Error),
}

/// Why a request had no answer.
pub(crate) enum Unanswered {
    /// The target has seen nothing of it; the request is still whole.
    Unsent(Box<Request<Full<Bytes>>>),
    /// The target may have seen it.
    Broken(hyper::Error),
}

impl Connections {
    /// A kept connection to this place that is still good.
    pub(crate) async fn take(&self, place: &Place) -> Option<Open> {
        loop {
            let (since, mut open) = self.with(|idle| idle.get_mut(place)?.pop())?;
            if since.elapsed() <= IDLE_FOR_MAX && open.sender.ready().await.is_ok() {
                return Some(open);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(crate) fn keep(&self, place: Place, open: Open) {
        if open.sender.is_closed() {
            return;
        }
        self.with(|idle| {
            // Whoever is not used any more goes with the next one that is.
            for connections in idle.values_mut() {
                connections.retain(|(since, _)| since.elapsed() <= IDLE_FOR_MAX);
            }
            idle.retain(|_, connections| !connections.is_empty());
            let connections = idle.entry(place).or_default();
            if connections.len() < IDLE_MAX {
                connections.push((Instant::now(), open));
            }
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut Idle) -> T) -> T {
        change(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Open {
    /// Begins to speak HTTP over a new connection, over TLS where a name is to be proven.
    pub(crate) async fn over(
        stream: TcpStream,
        tls: Option<(&ClientTls, &str)>,
        header_bytes_max: u64,
    ) -> Result<Self, Unopened> {
        match tls {
            None => Self::speak(stream, header_bytes_max).await,
            Some((tls, name)) => {
                let stream = tls.over(stream, name).await.map_err(Unopened::NotProven)?;
                Self::speak(stream, header_bytes_max).await
            }
        }
    }

    async fn speak<S>(stream: S, header_bytes_max: u64) -> Result<Self, Unopened>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = Builder::new()
            .max_headers(HTTP_HEADERS_MAX)
            .max_buf_size(to_usize(header_bytes_max.max(READ_BYTES_MIN)))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Unopened::Broken)?;
        // Its errors show in the exchange as well.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, task })
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        self.sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            Some(request) => Unanswered::Unsent(Box::new(request)),
            None => Unanswered::Broken(error.into_error()),
        })
    }
}

//! A stand-in's server: on a free loopback port, until nobody holds it any more.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Entries of all ledgers so far.
static ENTRIES: AtomicU64 = AtomicU64::new(0);

/// The place of a ledger's next entry among those of every stand-in of the process, so that
/// whoever has several ledgers can put them in order.
pub(super) fn entry() -> u64 {
    ENTRIES.fetch_add(1, Ordering::Relaxed).saturating_add(1)
}

/// A running server. It stops when this is dropped; [`Serving::stop`] also waits for it.
#[derive(Debug)]
pub(super) struct Serving {
    address: SocketAddr,
    running: oneshot::Sender<Infallible>,
    server: JoinHandle<io::Result<()>>,
}

impl Serving {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub(super) async fn start(routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (running, dropped) = oneshot::channel::<Infallible>();
        let server = axum::serve(listener, routes)
            // Nothing is ever sent: the end of the channel is the signal.
            .with_graceful_shutdown(async move { drop(dropped.await) });
        Ok(Self { address, running, server: tokio::spawn(server.into_future()) })
    }

    /// Scheme, host and port: `http://127.0.0.1:PORT`.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[cfg(test)]
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: requests under way are answered, new ones find the port closed.
    ///
    /// # Errors
    /// When the server had failed before.
    pub(super) async fn stop(self) -> io::Result<()> {
        drop(self.running);
        self.server.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::entry;

    #[test]
    fn a_later_entry_of_any_ledger_has_a_higher_place() {
        let (first, second, third) = (entry(), entry(), entry());
        assert!(first < second && second < third);
    }
}

//! Connections: how many, how long, and how they end when the host stops.
//!
//! ```text
//! place ─▶ accept ─▶ TLS ─▶ head ─▶ body ─▶ answer ─▶ head …   every arrow has its time
//! stop  ─▶ no new connection; what is under way is answered, until the drain is over
//! ```

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::limits::Limits;
use crate::{Front, router};

/// How long to wait after the system could not give a connection: out of file
/// descriptors, the loop would spin.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Bytes of a request's head. Ours have few and short headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Serves until `stop` completes. Then no connection is accepted any more, and
/// requests under way are answered within [`Limits::drain_within`].
///
/// # Errors
/// None at present: a connection that fails is that connection's end.
pub async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let limits = front.limits;
    let door = Door { limits, tls: front.tls.as_ref().map(crate::Tls::acceptor), routes: router(front) };
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let (close, closing) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = next(&listener, &places) => {
                if let Some((stream, place)) = accepted {
                    connections.spawn(door.clone().connection(stream, place, closing.clone()));
                }
            }
        }
    }
    drop(listener);
    close.send_replace(true);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(limits.drain_within, drained).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "connections were cut: their requests were not answered in time; what they had sent and was accepted is kept"
        );
        connections.shutdown().await;
    }
    Ok(())
}

/// A connection and its place.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            None
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a request panicked; its connection was cut, others go on");
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    limits: Limits,
    tls: Option<TlsAcceptor>,
    routes: Router,
}

impl Door {
    async fn connection(self, stream: TcpStream, _place: OwnedSemaphorePermit, closing: watch::Receiver<bool>) {
        // Replies are small and whole; waiting to fill a packet only makes them late.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection stays with delays");
        }
        let Some(tls) = &self.tls else { return self.requests(stream, closing).await };
        match tokio::time::timeout(self.limits.head_within, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.requests(stream, closing).await,
            Ok(Err(error)) => tracing::debug!(%error, "a visitor did not agree on TLS"),
            Err(_) => tracing::debug!("a visitor did not speak TLS in time"),
        }
    }

    async fn requests<S>(&self, stream: S, mut closing: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(self.routes.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_within)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            // The sender being gone is an end as well.
            _ = closing.wait_for(|closing| *closing) => None,
            () = tokio::time::sleep(self.limits.connection_within) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(self.limits.drain_within, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return tracing::debug!("a connection was cut at its end"),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}

//! The HTTP front door.
//!
//! Two kinds of visitors: senders, who prove themselves to the pipeline on their
//! channel and get their protocol's own reply; and operators, who show the
//! operator token and get JSON or RFC 9457 problem details. Without a configured
//! operator token every operator route refuses: default deny.
//!
//! Here are URLs, statuses and limits; what happens to an input is the
//! pipeline's. Nothing here writes to the store.

mod problem;

mod input;

mod operator;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use portreeve_model::Digest;
use portreeve_pipeline::Pipeline;
use tokio::net::TcpListener;

/// Bytes of an input. A sender that streams for ever would otherwise fill memory
/// before the connector sees the first byte.
pub const INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the front door needs to know.
pub struct Front {
    /// The road behind the door.
    pub pipeline: Arc<Pipeline>,
    /// SHA-256 of the operator token; none closes the operator routes.
    pub operator_token: Option<Digest>,
    /// Whether the host may be sent work.
    pub ready: Arc<AtomicBool>,
    /// Wakes the worker that decides, after every accepted input.
    pub accepted: Arc<tokio::sync::Notify>,
}

impl Front {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// All routes.
pub fn router(front: Arc<Front>) -> Router {
    Router::new()
        .route("/v1/channels/{channel}/inputs", post(input::receive))
        .route("/v1/channels/{channel}/inputs/{*path}", post(input::receive_below))
        .route("/v1/orders", get(operator::orders))
        .route("/v1/orders/{id}", get(operator::order))
        .route("/v1/exceptions", get(operator::exceptions))
        .route("/v1/summary", get(operator::summary))
        .route("/v1/audit/checkpoint", get(operator::checkpoint))
        .route("/metrics", get(operator::metrics))
        .route("/healthz", get(operator::healthz))
        .route("/readyz", get(operator::readyz))
        .layer(DefaultBodyLimit::max(INPUT_BYTES_MAX))
        .with_state(front)
}

/// Serves until `stop` completes; open requests are answered first.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    front: Arc<Front>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(front)).with_graceful_shutdown(stop).await
}

/// Binds a listener.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

//! The HTTP front door.
//!
//! Three kinds of visitors: senders, who prove themselves to the pipeline on their
//! channel and get their protocol's own reply; people, who show a session or a key, get JSON,
//! and do what their roles let them; and machines that show the operator token and read.
//! Whatever goes wrong is told as RFC 9457 problem details. Who may knock where is one table
//! ([`access`]), and what is not in it is let in for nobody.
//!
//! Here are URLs, statuses and limits; what happens to an input or by an operator's
//! decision is the pipeline's. Nothing here writes to the store.

mod limits;

mod problem;

mod unread;

pub mod access;

mod input;

pub mod outcome;

mod view;

mod operator;

mod story;

pub mod exception;

mod console;

pub mod authority;

pub mod events;

pub mod measure;

pub mod oversight;

pub mod dead_letter;

pub mod poll;

pub mod target;

pub mod untaken;

pub mod reconcile;

pub mod replay;

pub mod reference;

pub mod package;

pub mod people;

mod openapi;

mod tls;

mod serve;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use portreeve_model::Digest;
use portreeve_pipeline::Pipeline;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use input::{DUPLICATE, INPUT_ID};
pub use limits::{DRAIN_WITHIN, INPUT_BYTES_MAX, Limits};
pub use openapi::document as openapi;
pub use serve::serve;
pub use tls::{Tls, TlsError};
pub use view::{Course, CourseLine, CourseMoney, Delivery, REVIEWS_SHOWN_MAX, Review};

use problem::Problem;

/// What the front door needs to know.
pub struct Front {
    /// The road behind the door.
    pub pipeline: Arc<Pipeline>,
    /// The packages of the road's plugins.
    pub packages: Arc<dyn package::Lifecycle>,
    /// The reference tables that decisions look things up in.
    pub tables: Arc<dyn reference::Tables>,
    /// SHA-256 of the operator token, with which a machine reads; with none, people alone do.
    pub operator_token: Option<Digest>,
    /// Whether the host may be sent work.
    pub ready: Arc<AtomicBool>,
    /// Wakes the worker that decides, after every accepted input.
    pub accepted: Arc<tokio::sync::Notify>,
    /// Wakes the worker that delivers, after every release.
    pub released: Arc<tokio::sync::Notify>,
    /// What a visitor may take of this machine.
    pub limits: Limits,
    /// Certificate and key; none serves without TLS.
    pub tls: Option<Tls>,
}

impl Front {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// The door with what it counts.
struct Door {
    front: Arc<Front>,
    /// Requests under way.
    requests: Semaphore,
    /// Bodies of visitors who have proved nothing yet.
    unproven: Semaphore,
}

impl Door {
    /// Wakes whoever carries on after a person's decision: an order may be released, a delivery
    /// due again, a document undecided.
    fn wake(&self) {
        self.front.released.notify_one();
        self.front.accepted.notify_one();
    }
}

/// All routes.
pub fn router(front: Arc<Front>) -> Router {
    let limits = front.limits;
    let door = Arc::new(Door {
        front,
        requests: Semaphore::new(limits.requests_max),
        unproven: Semaphore::new(limits.unproven_bodies_max),
    });
    let counted = Router::new()
        .route("/v1/channels/{channel}", get(input::challenge).post(input::receive))
        .route("/v1/channels/{channel}/{*below}", get(input::challenge_below).post(input::receive_below))
        .route("/v1/session", post(people::sign_in).get(people::who).delete(people::sign_out))
        .route("/v1/people", get(people::list).post(people::add))
        .route("/v1/people/{name}/roles", post(people::roles))
        .route("/v1/people/{name}/password", post(people::password))
        .route("/v1/people/{name}/disable", post(people::disable))
        .route("/v1/people/{name}/enable", post(people::enable))
        .route("/v1/people/{name}/keys", post(people::key))
        .route("/v1/people/{name}/credentials", delete(people::revoke))
        .route("/v1/orders", get(operator::orders))
        .route("/v1/orders/{id}", get(story::order))
        .route("/v1/exceptions", get(exception::list))
        .route("/v1/exceptions/{exception}", get(exception::show))
        .route("/v1/exceptions/{exception}/message", get(exception::message))
        .route("/v1/exceptions/{exception}/claim", post(exception::claim))
        .route("/v1/exceptions/{exception}/give-back", post(exception::give_back))
        .route("/v1/exceptions/{exception}/assign", post(exception::assign))
        .route("/v1/exceptions/{exception}/comment", post(exception::comment))
        .route("/v1/exceptions/{exception}/decide", post(exception::decide))
        .route("/v1/exceptions/{exception}/approve", post(exception::approve))
        .route("/v1/exceptions/{exception}/refuse", post(exception::refuse))
        .route("/v1/exceptions/{exception}/customer", get(exception::together::show).post(exception::together::release))
        .route("/v1/inputs", get(untaken::list))
        .route("/v1/inputs/{input}", get(untaken::show))
        .route("/v1/inputs/{input}/content", get(untaken::content))
        .route("/v1/dead-letters", get(dead_letter::list))
        .route("/v1/dead-letters/together", get(dead_letter::together).post(dead_letter::retry))
        .route("/v1/polls", get(poll::list))
        .route("/v1/targets", get(target::list))
        .route("/v1/reconciliations", get(reconcile::list))
        .route("/v1/reconciliations/{reconciliation}/runs", post(reconcile::run))
        .route("/v1/replays", get(replay::list).post(replay::replay))
        .route("/v1/replays/dry-run", get(replay::dry_run))
        .route("/v1/reference/{table}", post(reference::load))
        .route("/v1/plugins", get(package::list).post(package::install))
        .route("/v1/plugins/halt", post(package::halt))
        .route("/v1/plugins/resume", post(package::resume))
        .route("/v1/plugins/{plugin}/stage", post(package::stage))
        .route("/v1/plugins/{plugin}/activate", post(package::activate))
        .route("/v1/plugins/{plugin}/rollback", post(package::rollback))
        .route("/v1/plugins/{plugin}/disable", post(package::disable))
        .route("/v1/trust", post(package::trust))
        .route("/v1/authority", get(authority::show))
        .route("/v1/events/catalogue", get(events::catalogue))
        .route("/v1/oversight", get(oversight::show))
        .route("/v1/measures", get(measure::show))
        .route("/v1/summary", get(operator::summary))
        .route("/v1/audit/checkpoint", get(operator::checkpoint))
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/metrics", get(operator::metrics))
        .layer(middleware::from_fn_with_state(Arc::clone(&door), access::admit))
        .merge(console::routes())
        .layer(middleware::from_fn_with_state(Arc::clone(&door), counted));
    Router::new()
        // Not counted: whoever watches the host has to hear it when it is full.
        .route("/healthz", get(operator::healthz))
        .route("/readyz", get(operator::readyz))
        .merge(counted)
        .fallback(async || Problem::not_found("there is nothing at this address; /v1/openapi.json lists what there is"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(door)
}

/// Refuses at once what is beyond the count, instead of letting it queue up.
async fn counted(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    match door.requests.try_acquire() {
        Ok(_under_way) => next.run(request).await,
        Err(_) => {
            door.front.pipeline.metrics.refused("busy");
            Problem::busy("the host has as many requests under way as it may").into_response()
        }
    }
}

/// Binds a listener.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

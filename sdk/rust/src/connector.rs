//! Connectors: they speak a protocol with an outside system. Import this module whole.
//!
//! Authentication is the host's: a connector sends no credentials and sees none,
//! and the signature of what it receives has been checked before.

pub use crate::reference::{Row, lookup};
pub use crate::types::*;
pub use crate::{date, http, kv, log, money, numbers};

/// A part of a document's key in which `/`, which stands between the parts, cannot occur: no
/// two lists of parts have one key.
#[must_use]
pub fn escaped_part(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

/// A connector. Name it to [`connector!`](crate::connector!).
///
/// `receive` has no network; `find`, `poll` and `check` may send GET and HEAD;
/// `deliver` may send what the manifest declares and the platform team granted.
pub trait Connector {
    /// Judges the syntax of one input: its documents, its problems, and the reply
    /// that the protocol wants.
    ///
    /// # Errors
    /// Only when not even a reply can be made; the host then keeps the input as
    /// unparsed. What is merely wrong with it belongs into `problems`.
    fn receive(input: Inbound) -> Result<Received, Failure>;

    /// Causes one effect at the target.
    ///
    /// # Errors
    /// [`Failure::UnknownOutcome`] whenever the effect may have happened; the
    /// host then asks [`find`](Connector::find) before it tries again.
    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        Err(Failure::permanent(format!("this connector does not deliver messages of kind `{}`", delivery.message.kind)))
    }

    /// Looks an effect up by its natural key; `None` means that it did not happen.
    ///
    /// # Errors
    /// When the target can't be asked; never guess.
    fn find(query: FindQuery) -> Result<Option<Receipt>, Failure> {
        Err(Failure::permanent(format!("this connector cannot look up messages of kind `{}`", query.kind)))
    }

    /// Fetches what is new since the cursor.
    ///
    /// # Errors
    /// When the source can't be read; the cursor then stays where it was.
    fn poll(request: PollRequest) -> Result<Polled, Failure> {
        drop(request);
        Err(Failure::permanent("this connector does not poll"))
    }

    /// Tells whether the target can be reached and takes our credentials.
    ///
    /// # Errors
    /// When nothing can be told; an unreachable target is a report, no failure.
    fn check(request: CheckRequest) -> Result<CheckReport, Failure> {
        drop(request);
        Err(Failure::permanent("this connector has no check"))
    }
}

impl<C: Connector> crate::bindings::connector::Guest for C {
    fn receive(inputs: Vec<Inbound>) -> Vec<Result<Received, Failure>> {
        inputs.into_iter().map(<C as Connector>::receive).collect()
    }

    fn deliver(deliveries: Vec<Delivery>) -> Vec<Result<Receipt, Failure>> {
        deliveries.into_iter().map(<C as Connector>::deliver).collect()
    }

    fn find(queries: Vec<FindQuery>) -> Vec<Result<Option<Receipt>, Failure>> {
        queries.into_iter().map(<C as Connector>::find).collect()
    }

    fn poll(requests: Vec<PollRequest>) -> Vec<Result<Polled, Failure>> {
        requests.into_iter().map(<C as Connector>::poll).collect()
    }

    fn check(requests: Vec<CheckRequest>) -> Vec<Result<CheckReport, Failure>> {
        requests.into_iter().map(<C as Connector>::check).collect()
    }
}

/// Makes this crate a connector component. Once per crate.
#[macro_export]
macro_rules! connector {
    ($plugin:ident) => {
        $crate::bindings::connector::export!($plugin with_types_in $crate::bindings::connector);
    };
}

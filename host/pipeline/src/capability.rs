//! What the sandbox asks for, answered from a record or the configuration: look-ups
//! as they were answered before, and the way out to a target.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use portreeve_model::reference::Row;
use portreeve_sandbox::{Egress, EgressRequest, Lookup, LookupAnswer, LookupError, Pinned, RecordedLookup};

use crate::route::Target;

/// Answers that were recorded with a decision, given again.
pub(crate) struct Recorded(pub(crate) Vec<RecordedLookup>);

#[async_trait]
impl Lookup for Recorded {
    async fn get(&self, table: &str, key: &str) -> Result<Option<Arc<Row>>, LookupError> {
        let recorded = self.0.iter().find(|lookup| lookup.table == table && lookup.key == key);
        match recorded.map(|lookup| &lookup.answer) {
            Some(LookupAnswer::Row(row)) => Ok(Some(Arc::clone(row))),
            Some(LookupAnswer::NoRow) => Ok(None),
            Some(LookupAnswer::Denied) => Err(LookupError::Denied(table.to_owned())),
            Some(LookupAnswer::UnknownTable) => Err(LookupError::UnknownTable(table.to_owned())),
            Some(LookupAnswer::Unavailable) => Err(LookupError::Unavailable("as it was then".to_owned())),
            None => Err(LookupError::Unavailable("this question was not asked then".to_owned())),
        }
    }
}

/// The way to one target: its origin, which has to be an address, and nothing else.
pub(crate) struct TargetEgress {
    origin: String,
    address: Result<SocketAddr, String>,
}

impl TargetEgress {
    pub(crate) fn new(target: &Target) -> Arc<Self> {
        Arc::new(Self { origin: target.origin.clone(), address: address_of(&target.origin) })
    }
}

#[async_trait]
impl Egress for TargetEgress {
    async fn authorize(&self, request: EgressRequest<'_>) -> Result<Pinned, String> {
        // The origin ends where the path begins: `http://erp.example.evil` does
        // not start with the origin `http://erp.example`.
        let rest = request.url.strip_prefix(&self.origin);
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.starts_with('?')) {
            return Err(format!(
                "`{}` may talk to `{}` only; another `origin` in its [[target]] would allow it",
                request.plugin, self.origin
            ));
        }
        let address = self.address.clone()?;
        Ok(Pinned { address, headers: Vec::new() })
    }
}

/// Names are not resolved yet: an origin is an address, so that nothing can
/// change its mind between check and connection.
fn address_of(origin: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("the origin `{origin}` is not `http://ADDRESS:PORT`; names and https are not supported yet");
    let authority = origin.strip_prefix("http://").ok_or_else(wrong)?;
    authority
        .parse::<SocketAddr>()
        .or_else(|_| authority.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 80)))
        .map_err(|_| wrong())
}

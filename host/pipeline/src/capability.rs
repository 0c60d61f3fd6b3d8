//! What the sandbox asks for, answered from the store and the configuration:
//! reference tables, and the way out to a target.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use portreeve_model::reference::{Field, Row};
use portreeve_sandbox::{Egress, EgressRequest, Lookup, LookupAnswer, LookupError, Pinned, RecordedLookup};
use portreeve_store::{Store, StoreError};

use crate::route::Target;

/// Reference tables as they were when the batch began: all orders of a batch,
/// and all questions of a call, see the same rows.
#[derive(Default)]
pub(crate) struct Tables {
    tables: BTreeMap<String, Table>,
    failed: BTreeMap<String, String>,
}

struct Table {
    version: u64,
    rows: HashMap<String, Row>,
}

impl Tables {
    /// Reads the named tables.
    pub(crate) async fn of(store: &Arc<dyn Store>, names: &[String]) -> Arc<Self> {
        let mut tables = Self::default();
        for name in names {
            match store.reference(name).await {
                Ok(Some((version, rows))) => {
                    tables.tables.insert(name.clone(), Table { version, rows: rows.into_iter().collect() });
                }
                Ok(None) => {}
                Err(error) => {
                    tables.failed.insert(name.clone(), error.to_string());
                }
            }
        }
        Arc::new(tables)
    }

    /// Reads the named tables, all or none: what is decided without a table that
    /// merely could not be read would be decided otherwise a second later.
    pub(crate) async fn read(store: &Arc<dyn Store>, names: &[String]) -> Result<Arc<Self>, StoreError> {
        let mut tables = Self::default();
        for name in names {
            if let Some((version, rows)) = store.reference(name).await? {
                tables.tables.insert(name.clone(), Table { version, rows: rows.into_iter().collect() });
            }
        }
        Ok(Arc::new(tables))
    }

    /// Whether a table was ever loaded.
    pub(crate) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// A row.
    pub(crate) fn row(&self, table: &str, key: &str) -> Option<&Row> {
        self.tables.get(table)?.rows.get(key)
    }

    /// The versions that were read, for the decision's record.
    pub(crate) fn versions(&self) -> BTreeMap<String, u64> {
        self.tables.iter().map(|(name, table)| (name.clone(), table.version)).collect()
    }
}

#[async_trait]
impl Lookup for Tables {
    async fn get(&self, table: &str, key: &str) -> Result<Option<Vec<Field>>, LookupError> {
        if let Some(error) = self.failed.get(table) {
            return Err(LookupError::Unavailable(error.clone()));
        }
        let Some(table) = self.tables.get(table) else { return Err(LookupError::UnknownTable(table.to_owned())) };
        Ok(table.rows.get(key).map(fields))
    }
}

fn fields(row: &Row) -> Vec<Field> {
    row.0.clone()
}

/// Answers that were recorded with a decision, given again.
pub(crate) struct Recorded(pub(crate) Vec<RecordedLookup>);

#[async_trait]
impl Lookup for Recorded {
    async fn get(&self, table: &str, key: &str) -> Result<Option<Vec<Field>>, LookupError> {
        let recorded = self.0.iter().find(|lookup| lookup.table == table && lookup.key == key);
        match recorded.map(|lookup| &lookup.answer) {
            Some(LookupAnswer::Row(row)) => Ok(Some(row.clone())),
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

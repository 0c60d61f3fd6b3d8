//! What the sandbox asks for, answered from a record or the store: look-ups as they were
//! answered before, and what a connector remembers about an order.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use portreeve_model::reference::Row;
use portreeve_model::{OrderId, PluginName};
use portreeve_sandbox::{Kv, Lookup, LookupAnswer, LookupError, RecordedLookup};
use portreeve_store::Store;

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

/// A connector's state about one order. A guest names keys only: plugin and order are the
/// host's, so another one's state has no name here.
pub(crate) struct OrderState {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) plugin: PluginName,
    pub(crate) order: OrderId,
}

#[async_trait]
impl Kv for OrderState {
    async fn read(&self) -> Result<BTreeMap<String, Vec<u8>>, String> {
        self.store.state(&self.plugin, self.order).await.map_err(|error| {
            tracing::error!(%error, plugin = %self.plugin, "a connector's state could not be read");
            "the state cannot be read now".to_owned()
        })
    }
}

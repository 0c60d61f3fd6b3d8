//! Reference tables, kept in memory as long as the store has the same version of
//! them: a batch asks which versions there are, and reads the rows of those that
//! changed.
//!
//! No decision depends on the copy: it is of the version that the store named when
//! the batch began, or it is read anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use portreeve_model::reference::Row;
use portreeve_sandbox::{Lookup, LookupAnswer, LookupError};
use portreeve_store::contract::ReferenceWanted;
use portreeve_store::{Store, StoreError};

/// Tables as they were when the batch began: all orders of a batch, and all
/// questions of a call, see the same rows.
#[derive(Default)]
pub(crate) struct Tables {
    tables: BTreeMap<String, Arc<Table>>,
    failed: BTreeMap<String, String>,
}

struct Table {
    version: u64,
    rows: HashMap<String, Arc<Row>>,
}

/// The last version that was read of each table.
#[derive(Default)]
pub struct TableCache {
    tables: Mutex<BTreeMap<String, Arc<Table>>>,
}

impl TableCache {
    /// The named tables, all or none: what is decided without a table that merely
    /// could not be read would be decided otherwise a second later.
    pub(crate) async fn read(&self, store: &Arc<dyn Store>, names: &[String]) -> Result<Arc<Tables>, StoreError> {
        let known: Vec<Option<Arc<Table>>> = {
            let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            names.iter().map(|name| tables.get(name).map(Arc::clone)).collect()
        };
        let wanted = names.iter().zip(&known).map(|(name, known)| ReferenceWanted {
            table: name.clone(),
            known: known.as_ref().map(|table| table.version),
        });
        let found = store.references(wanted.collect()).await?;
        let mut tables = Tables::default();
        for ((name, known), found) in names.iter().zip(known).zip(found) {
            let Some(found) = found else { continue };
            let table = match (found.rows, known) {
                (None, Some(known)) => known,
                (rows, _) => {
                    let rows = rows.unwrap_or_default().into_iter().map(|(key, row)| (key, Arc::new(row))).collect();
                    let table = Arc::new(Table { version: found.version, rows });
                    let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
                    tables.insert(name.clone(), Arc::clone(&table));
                    table
                }
            };
            tables.tables.insert(name.clone(), table);
        }
        Ok(Arc::new(tables))
    }

    /// The named tables for one call. What cannot be read is unavailable to the
    /// guest, which may do without.
    pub(crate) async fn of(&self, store: &Arc<dyn Store>, names: &[String]) -> Arc<Tables> {
        if names.is_empty() {
            return Arc::default();
        }
        self.read(store, names).await.unwrap_or_else(|error| {
            let failed = names.iter().map(|name| (name.clone(), error.to_string())).collect();
            Arc::new(Tables { tables: BTreeMap::new(), failed })
        })
    }
}

impl Tables {
    /// What a table says about a key.
    pub(crate) fn answer(&self, table: &str, key: &str) -> LookupAnswer {
        match self.tables.get(table).map(|table| table.rows.get(key)) {
            None => LookupAnswer::UnknownTable,
            Some(None) => LookupAnswer::NoRow,
            Some(Some(row)) => LookupAnswer::Row(Arc::clone(row)),
        }
    }

    /// The versions that were read, for the decision's record.
    pub(crate) fn versions(&self) -> BTreeMap<String, u64> {
        self.tables.iter().map(|(name, table)| (name.clone(), table.version)).collect()
    }
}

#[async_trait]
impl Lookup for Tables {
    async fn get(&self, table: &str, key: &str) -> Result<Option<Arc<Row>>, LookupError> {
        if let Some(error) = self.failed.get(table) {
            return Err(LookupError::Unavailable(error.clone()));
        }
        let Some(table) = self.tables.get(table) else { return Err(LookupError::UnknownTable(table.to_owned())) };
        Ok(table.rows.get(key).map(Arc::clone))
    }
}

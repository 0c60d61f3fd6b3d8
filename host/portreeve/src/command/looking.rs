//! Where a command that only looks finds what it shows: a running host says it at a path, or the
//! command opens a data folder and reads it there, by the code that answers at that path.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use serde::de::DeserializeOwned;

use super::plugin::{Of, understood};
use crate::clock::SystemClock;
use crate::host::Host;

/// Who was found that knows it.
pub(super) enum Found<T> {
    /// A running host, which said it.
    Told(T),
    /// Nobody but the folder: this is its host, which serves nobody.
    InFolder(Box<Host>),
}

impl Of {
    /// Asks the running host that the command line names, at a path that changes nothing, or opens
    /// the folder.
    pub(super) async fn look<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Found<T>> {
        if let Some(server) = self.running.server()? {
            return Ok(Found::Told(understood(&server.send(Method::GET, path, &[], Bytes::new()).await?)?));
        }
        let (locations, store) = self.data.open()?;
        let host = Host::open(store, &locations, Arc::new(SystemClock), None).await?;
        Ok(Found::InFolder(Box::new(host)))
    }
}

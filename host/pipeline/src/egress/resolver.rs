//! Names to addresses, asked once per request.
//!
//! Whoever owns a name can change its answer between two questions. So nobody asks
//! twice: the addresses that were checked are the ones that are connected to.

use std::net::IpAddr;

use async_trait::async_trait;

/// Resolves names.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name, best first; never for a literal address. The future
    /// may be dropped.
    ///
    /// # Errors
    /// When there is no answer.
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver, with its files and its cache.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        // The dot makes it a whole name: no search domain of the machine is tried behind it.
        // Names without one are the machine's own, such as `localhost`.
        let name = if name.contains('.') { format!("{name}.") } else { name.to_owned() };
        let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

//! Names become addresses.

use std::{io, net::IpAddr};

use async_trait::async_trait;

/// Finds the addresses of a name. Whoever connects takes one of them and asks nobody again.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All of its addresses.
    ///
    /// # Errors
    /// The name is unknown, or nobody can be asked.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The port is of no interest to it.
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect())
    }
}

//! Name resolution, bounded.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Turns a host name into addresses.
///
/// A [`HyperTransport`](crate::transport::HyperTransport) asks once for each new connection,
/// checks every address of the answer with its address policy and connects to one of them: what
/// a resolver answers is never trusted (S-3). The connect timeout bounds the call.
#[async_trait]
pub trait Resolve: Debug + Send + Sync + 'static {
    /// All addresses of `host`, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// The name has no address, or nobody could be asked.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// How many lookups of the system's resolver may run at once: each blocks a thread, and names
/// come from endpoints that strangers chose (S-31).
const LOOKUPS_AT_ONCE: usize = 32;

/// `getaddrinfo`, on the runtime's blocking threads.
#[derive(Debug)]
pub(super) struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)) }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let lookup = move || {
            // The permit goes with the thread: a caller who gave up does not end `getaddrinfo`.
            let _permit = permit;
            (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
    }
}

//! The system's name resolution, bounded.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::sync::Semaphore;

/// How many lookups of the system's resolver may run at once: each blocks a thread, and names
/// come from endpoints that strangers chose (S-31).
const LOOKUPS_AT_ONCE: usize = 32;

/// `getaddrinfo`, on the runtime's blocking threads; 32 lookups at once.
#[derive(Clone, Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)) }
    }
}

impl SystemResolver {
    /// All addresses of `host`.
    pub(super) async fn lookup(&self, host: String) -> io::Result<Vec<IpAddr>> {
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let lookup = move || {
            // The permit goes with the thread: a caller who gave up does not end `getaddrinfo`.
            let _permit = permit;
            (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
    }
}

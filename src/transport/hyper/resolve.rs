//! Name resolution, replaceable.

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

use crate::transport::lookup::SystemResolver;

/// Turns a host name into addresses.
///
/// A [`HyperTransport`](crate::transport::HyperTransport) asks once for each new connection,
/// checks every address of the answer with its address policy and connects to one of the first
/// 16: what a resolver answers is never trusted (S-3). The connect timeout bounds the call.
#[async_trait]
pub trait Resolve: Debug + Send + Sync + 'static {
    /// All addresses of `host`, in the order in which they are to be tried.
    ///
    /// # Errors
    ///
    /// The name has no address, or nobody could be asked.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.lookup(host.to_owned()).await
    }
}

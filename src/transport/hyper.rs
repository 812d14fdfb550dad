//! The transport over hyper: pooled HTTP/2 and HTTP/1.1, rustls, the address guard.

mod batch;
mod builder;
mod config;
mod connection;
mod connector;
mod error;
mod exchange;
mod io;
mod lease;
mod opening;
mod origin;
mod pool;
mod resolve;
mod tls;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

pub use self::builder::{HyperTransportBuilder, HyperTransportError};
use self::pool::Pool;
pub use self::resolve::Resolve;
use super::{Transport, TransportError};

/// The transport of this crate: HTTP/2 over TLS, HTTP/1.1 where the peer has nothing better.
///
/// Connections are pooled by origin. A name is resolved once for each connection, every address
/// of the answer is checked with the [`AddressPolicy`](crate::AddressPolicy), and the connection
/// goes to a checked address, so that an endpoint cannot lead into the sender's own network by
/// DNS (S-3, S-4). Certificates are always verified.
///
/// Cloning is cheap, and clones share the pool. Connections live in tasks of the runtime that
/// [`send`](Transport::send) is called on (a current-thread one will do), and end when the last
/// clone is dropped or when they were idle for 90 s.
///
/// ```
/// use std::time::Duration;
/// use webpush_channels::transport::HyperTransport;
///
/// # fn main() -> Result<(), webpush_channels::transport::HyperTransportError> {
/// let usual = HyperTransport::new()?;
/// let patient = HyperTransport::builder().total_timeout(Duration::from_secs(60)).build()?;
/// # let _ = (usual, patient);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HyperTransport {
    pool: Arc<Pool>,
}

impl HyperTransport {
    /// A transport with the defaults.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, HyperTransportError> {
        Self::builder().build()
    }

    /// Starts from the defaults.
    pub fn builder() -> HyperTransportBuilder {
        HyperTransportBuilder::new()
    }
}

#[async_trait]
impl Transport for HyperTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.pool.send(request).await
    }
}

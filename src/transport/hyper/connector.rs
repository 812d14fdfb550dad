//! From an origin to an open, checked and encrypted stream.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::error::ConnectError;
use super::io::{Io, Meter, Metered};
use super::resolve::Resolve;
use crate::address::AddressPolicy;
use crate::transport::lookup::ADDRESSES_TRIED;
use crate::transport::target::OriginKey;

/// Opens streams: resolves once, checks every address, connects to checked addresses only.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) policy: AddressPolicy,
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) http2_prior_knowledge: bool,
}

/// An open stream, and what to speak on it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) io: Io,
    pub(super) meter: Arc<Meter>,
    pub(super) http2: bool,
}

impl Connector {
    /// Opens one stream to `origin` before `deadline`.
    pub(super) async fn open(&self, origin: &OriginKey, deadline: Instant) -> Result<Opened, ConnectError> {
        let addresses = self.addresses(origin).await?;
        let tcp = connect(&addresses, origin.port(), deadline).await?;
        // Nagle's algorithm would share segments on a busy connection, but holds a request back
        // until the one before is acknowledged: up to 40 ms against a peer that delays its
        // acknowledgements. Sharing is done above, by `Batched`, where nothing has to wait for it.
        tcp.set_nodelay(true).map_err(ConnectError::new)?;
        let meter = Arc::new(Meter::default());
        let stream = Metered::new(tcp, Arc::clone(&meter));
        if !origin.tls() {
            return Ok(Opened { io: Io::Plain(stream), meter, http2: self.http2_prior_knowledge });
        }
        // The name stays the endpoint's: SNI and certificate do not follow the address (S-3).
        let name = ServerName::try_from(origin.host().to_owned()).map_err(ConnectError::new)?;
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        let stream = tls.connect(name, stream).await.map_err(ConnectError::new)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Opened { io: Io::Tls(Box::new(stream)), meter, http2 })
    }

    /// The checked addresses of `origin`. One forbidden address condemns the whole answer: mixed
    /// answers are an attack (S-4).
    async fn addresses(&self, origin: &OriginKey) -> Result<Vec<IpAddr>, ConnectError> {
        let mut addresses = match origin.ip() {
            Some(literal) => vec![literal],
            None => self.resolver.resolve(origin.host()).await.map_err(ConnectError::new)?,
        };
        if !addresses.iter().all(|&address| self.policy.allows(address)) {
            return Err(ConnectError::address_refused());
        }
        addresses.dedup();
        addresses.truncate(ADDRESSES_TRIED);
        Ok(addresses)
    }
}

/// Tries the addresses in order. Each gets an equal share of the time that is left, so that one
/// which swallows packets cannot spend it all.
async fn connect(addresses: &[IpAddr], port: u16, deadline: Instant) -> Result<TcpStream, ConnectError> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, &address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let now = Instant::now();
        let until = now + deadline.saturating_duration_since(now) / left;
        error = match timeout_at(until, TcpStream::connect(SocketAddr::new(address, port))).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    }
    Err(ConnectError::new(error))
}

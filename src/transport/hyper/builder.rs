//! Building a [`HyperTransport`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::HyperTransport;
use super::config::Config;
use super::connector::Connector;
use super::origin::Shared;
use super::pool::Pool;
use super::resolve::Resolve;
use super::tls;
use crate::address::AddressPolicy;
use crate::transport::lookup::SystemResolver;

/// Configures a [`HyperTransport`]. The defaults are for sending to browsers' push services.
#[derive(Debug)]
#[must_use]
pub struct HyperTransportBuilder {
    config: Config,
    policy: AddressPolicy,
    resolver: Option<Arc<dyn Resolve>>,
    roots: Vec<CertificateDer<'static>>,
    http2_prior_knowledge: bool,
}

impl HyperTransportBuilder {
    pub(super) fn new() -> Self {
        Self {
            config: Config::default(),
            policy: AddressPolicy::public(),
            resolver: None,
            roots: Vec::new(),
            http2_prior_knowledge: false,
        }
    }

    /// Which addresses may be connected to. Default: public ones only.
    pub fn address_policy(mut self, policy: AddressPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long opening a connection may take: name resolution, TCP, TLS and the first frame of
    /// HTTP/2 together. Default: 5 s.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.config.connect_timeout = limit;
        self
    }

    /// How long a request may take from the moment it has a stream to the end of its response.
    /// Default: 30 s.
    pub const fn total_timeout(mut self, limit: Duration) -> Self {
        self.config.total_timeout = limit;
        self
    }

    /// How long a request may wait for a free stream, a new connection included. It is not part
    /// of the total timeout. Default: 30 s.
    pub const fn stream_wait(mut self, limit: Duration) -> Self {
        self.config.stream_wait = limit;
        self
    }

    /// How many connections one origin gets; another opens only when every stream of the others
    /// is in use. At least 1. Default: 12.
    pub const fn max_connections_per_origin(mut self, connections: usize) -> Self {
        self.config.max_connections = at_least_one(connections);
        self
    }

    /// How many requests share one HTTP/2 connection, if the peer allows as many. At least 1.
    /// Default: 100.
    pub const fn max_streams_per_connection(mut self, streams: usize) -> Self {
        self.config.max_streams = at_least_one(streams);
        self
    }

    /// How many origins keep connections; the least recently used gives way. At least 1.
    /// Default: 256.
    pub const fn max_origins(mut self, origins: usize) -> Self {
        self.config.max_origins = at_least_one(origins);
        self
    }

    /// An unused connection is closed after this long. Default: 90 s.
    pub const fn idle_timeout(mut self, limit: Duration) -> Self {
        self.config.idle_timeout = limit;
        self
    }

    /// Cleartext (`http:`) connections speak HTTP/2 from the first octet instead of HTTP/1.1.
    /// For peers that are known to, in tests and measurements. Default: false.
    pub const fn http2_prior_knowledge(mut self, known: bool) -> Self {
        self.http2_prior_knowledge = known;
        self
    }

    /// Asks `resolver` for addresses instead of the system.
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Trusts the certificates in `pem` as roots, besides Mozilla's. For tests and private push
    /// services.
    ///
    /// # Errors
    ///
    /// `pem` holds no certificate, or something else than PEM.
    pub fn extra_root_pem(mut self, pem: &[u8]) -> Result<Self, HyperTransportError> {
        self.roots.extend(tls::certificates(pem)?);
        Ok(self)
    }

    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// A certificate given as an extra root is none.
    pub fn build(self) -> Result<HyperTransport, HyperTransportError> {
        let connector = Connector {
            policy: self.policy,
            resolver: self.resolver.unwrap_or_else(|| Arc::new(SystemResolver::default())),
            tls: tls::client_config(self.roots)?,
            http2_prior_knowledge: self.http2_prior_knowledge,
        };
        let shared = Arc::new(Shared { config: self.config, connector });
        Ok(HyperTransport { pool: Arc::new(Pool::new(shared)) })
    }
}

const fn at_least_one(count: usize) -> usize {
    if count == 0 { 1 } else { count }
}

/// A [`HyperTransport`] could not be built.
#[derive(Debug)]
pub struct HyperTransportError {
    problem: &'static str,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl HyperTransportError {
    pub(super) fn invalid_root(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { problem: "an extra root is not a certificate in PEM", source: Some(source.into()) }
    }

    pub(super) const fn no_root() -> Self {
        Self { problem: "the PEM text for extra roots holds no certificate", source: None }
    }

    pub(super) fn tls(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { problem: "TLS cannot be set up", source: Some(source.into()) }
    }
}

impl fmt::Display for HyperTransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem)
    }
}

impl StdError for HyperTransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

//! Building a [`ReqwestTransport`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, redirect, retry};

use super::ReqwestTransport;
use crate::address::AddressPolicy;
use crate::transport::guard::AddressGuard;
use crate::transport::lookup::SystemResolver;

/// From the call to the end of the response (H-24).
pub(super) const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Configures a [`ReqwestTransport`] and builds its client.
#[must_use]
pub struct ReqwestTransportBuilder {
    client: ClientBuilder,
    policy: AddressPolicy,
    resolver: Arc<dyn Resolve>,
    connect_timeout: Duration,
    total_timeout: Duration,
}

impl ReqwestTransportBuilder {
    pub(super) fn new() -> Self {
        Self {
            client: Client::builder(),
            policy: AddressPolicy::public(),
            resolver: Arc::new(SystemResolver::default()),
            connect_timeout: Duration::from_secs(5),
            total_timeout: TOTAL_TIMEOUT,
        }
    }

    /// Builds the client out of `client`, which brings roots, identities, the user agent and the
    /// like. Redirects, proxies, retries, decompression, the resolver and the timeouts are set
    /// last, by [`build`](Self::build).
    ///
    /// What a builder cannot take back stays: `default_headers`, `cookie_store`, `unix_socket`, and
    /// `resolve`, which bypasses the resolver, so that what it leads to is checked only after the
    /// request.
    pub fn client(mut self, client: ClientBuilder) -> Self {
        self.client = client;
        self
    }

    /// Which addresses may be connected to. Default: public ones only.
    pub fn address_policy(mut self, policy: AddressPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Asks `resolver` for addresses instead of the system. Its answers are checked.
    pub fn resolver(mut self, resolver: impl Resolve + 'static) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// How long opening a connection may take, name resolution and TLS included. Default: 5 s.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long a request may take, from the call to the end of its response. Default: 30 s.
    pub const fn total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = limit;
        self
    }

    /// Builds the client and the transport.
    ///
    /// # Errors
    ///
    /// The client's own settings do not fit together, or TLS cannot be set up.
    pub fn build(self) -> Result<ReqwestTransport, ReqwestTransportError> {
        let client = self
            .client
            .redirect(redirect::Policy::none())
            .no_proxy()
            .retry(retry::never())
            // Off in reqwest as this crate asks for it, but any crate may enable the features.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .referer(false)
            .connect_timeout(self.connect_timeout)
            .dns_resolver(AddressGuard::new(Shared(self.resolver), self.policy.clone()))
            .build()
            .map_err(ReqwestTransportError)?;
        Ok(ReqwestTransport::with_limit(client, self.policy, self.total_timeout))
    }
}

/// Without the client's own parts: they may hold credentials.
impl fmt::Debug for ReqwestTransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransportBuilder")
            .field("policy", &self.policy)
            .field("connect_timeout", &self.connect_timeout)
            .field("total_timeout", &self.total_timeout)
            .finish_non_exhaustive()
    }
}

struct Shared(Arc<dyn Resolve>);

impl Resolve for Shared {
    fn resolve(&self, name: Name) -> Resolving {
        self.0.resolve(name)
    }
}

/// A [`ReqwestTransport`] could not be built. The client's error is its source.
#[derive(Debug)]
pub struct ReqwestTransportError(reqwest::Error);

impl fmt::Display for ReqwestTransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the HTTP client cannot be built from these settings")
    }
}

impl StdError for ReqwestTransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

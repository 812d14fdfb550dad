//! The transport over a client of the crate `reqwest`.

mod builder;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use reqwest::{Client, Url};
use tokio::time::Instant;

pub use self::builder::{ReqwestTransportBuilder, ReqwestTransportError};
use super::cause::{Secrets, failure};
use super::target::Target;
use super::wire::{prepare, read_body};
use super::{Processed, Transport, TransportError, TransportErrorKind};
use crate::address::AddressPolicy;

/// A transport over a client of the crate `reqwest` (0.13).
///
/// For those who have one and its ways already: TLS from the operating system, client
/// certificates, metrics in a connector. `HyperTransport` brings TLS with it, limits connections and
/// streams, and tells waiting from sending.
///
/// **TLS and HTTP/2.** The feature `reqwest` of this crate brings reqwest with HTTP/2 and without
/// TLS, and without TLS no `https:` endpoint is reached. Depend on reqwest yourself to choose one:
/// `reqwest = { version = "0.13", default-features = false, features = ["rustls"] }`.
///
/// **Redirects and the like.** What [`Transport`] demands of a client is said when the client is
/// built, and cannot be asked of one or changed in it. So there are two ways:
///
/// * [`builder`](Self::builder) makes the client, out of a `reqwest::ClientBuilder` of yours if you
///   have one, and sets what the contract demands last.
/// * [`from_client`](Self::from_client) takes one that is built, says what it must be like, and
///   notices what can be noticed.
///
/// A failure is [`Processed::No`] where the client's error proves it: no connection, a request that
/// never left the queue, `REFUSED_STREAM`, or GOAWAY below its stream. The total timeout covers
/// waiting and connecting, and its failure is [`Processed::Unknown`]. URLs that the client would
/// rewrite (`/a/../b`) are refused (H-3).
///
/// ```
/// use std::time::Duration;
/// use webpush_channels::transport::ReqwestTransport;
///
/// # fn main() -> Result<(), webpush_channels::transport::ReqwestTransportError> {
/// let usual = ReqwestTransport::builder().build()?;
/// let mine = reqwest::Client::builder().user_agent("newsroom/1").pool_max_idle_per_host(4);
/// let transport =
///     ReqwestTransport::builder().client(mine).total_timeout(Duration::from_secs(20)).build()?;
/// # let _ = (usual, transport);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReqwestTransport {
    client: Client,
    policy: AddressPolicy,
    total_timeout: Duration,
    /// The client was seen to follow a redirect.
    follows: Arc<AtomicBool>,
}

impl ReqwestTransport {
    /// Starts from the defaults.
    pub fn builder() -> ReqwestTransportBuilder {
        ReqwestTransportBuilder::new()
    }

    /// Takes a client that is built already. Its builder must have been told:
    ///
    /// | setting | or else | noticed |
    /// |---|---|---|
    /// | `redirect(redirect::Policy::none())` | an endpoint leads anywhere (S-6) | yes, too late: see below |
    /// | `dns_resolver(AddressGuard::system(policy))`, no `resolve` | a name leads into your network (S-3) | yes, too late: see below |
    /// | `no_proxy()` | the environment decides who sees the requests (S-7) | only by the proxy's address |
    /// | `connect_timeout` | connecting may take the total timeout | no |
    /// | `retry(retry::never())` | what was refused unprocessed is sent again by the client, too | no |
    /// | `no_gzip()`, `no_brotli()`, `no_zstd()`, `no_deflate()` | bodies are changed | no |
    /// | no `default_headers`, `cookie_store`, `unix_socket` | requests are changed, or go elsewhere | no |
    ///
    /// The total timeout, the 16 KiB and the check of addresses that stand in the URL do not
    /// depend on the client. Two things are noticed with a response in hand, when the request has
    /// been sent: that it comes from an address that `policy` forbids, which fails as
    /// [`TransportErrorKind::AddressRefused`] with [`Processed::Unknown`]; and that a redirect was
    /// followed, which fails as [`TransportErrorKind::Interrupted`]. After the latter the transport
    /// refuses every further request as [`TransportErrorKind::InvalidRequest`], because any
    /// endpoint could use it to reach your network.
    ///
    /// `testing::transport_suite` finds most of the rest: run it on your transport.
    #[must_use]
    pub fn from_client(client: Client, policy: AddressPolicy) -> Self {
        Self::with_limit(client, policy, builder::TOTAL_TIMEOUT)
    }

    fn with_limit(client: Client, policy: AddressPolicy, total_timeout: Duration) -> Self {
        Self { client, policy, total_timeout, follows: Arc::default() }
    }

    /// The same with another limit for a request, from the call of [`send`](Transport::send) to the
    /// end of the response. Default: 30 s.
    #[must_use]
    pub const fn with_total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = limit;
        self
    }

    /// The client's form of a request, where it would arrive octet for octet.
    fn convert(&self, mut request: Request<Bytes>) -> Result<reqwest::Request, TransportError> {
        prepare(&mut request)?;
        let uri = request.uri().clone();
        // Userinfo would become a header.
        Target::of(&uri).ok_or_else(invalid)?;
        // The client's error would quote the URL.
        let mut request = reqwest::Request::try_from(request).map_err(|_| invalid())?;
        // URL parsers normalise: `/a/../b` would become another resource (H-3).
        if (request.url().path(), request.url().query()) != (uri.path(), uri.query()) {
            return Err(invalid());
        }
        // Not the host as it was written: `0x7f.1` is an address, too.
        let host = request.url().host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.parse::<IpAddr>().is_ok_and(|address| !self.policy.allows(address)) {
            return Err(TransportError::new(TransportErrorKind::AddressRefused));
        }
        *request.timeout_mut() = Some(self.total_timeout);
        Ok(request)
    }

    /// Did the client do what a transport must not?
    fn check(&self, asked: &Url, response: &reqwest::Response) -> Result<(), TransportError> {
        if response.url() != asked {
            return Err(self.followed());
        }
        if response.remote_addr().is_some_and(|peer| !self.policy.allows(peer.ip())) {
            let refused = TransportError::new(TransportErrorKind::AddressRefused);
            return Err(refused.with_processed(Processed::Unknown));
        }
        Ok(())
    }

    fn followed(&self) -> TransportError {
        if !self.follows.swap(true, Ordering::Relaxed) {
            tracing::error!("the client of a ReqwestTransport follows redirects: it is not used again");
        }
        TransportError::new(TransportErrorKind::Interrupted).with_source(FollowsRedirects)
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        if self.follows.load(Ordering::Relaxed) {
            return Err(invalid().with_source(FollowsRedirects));
        }
        let deadline = Instant::now() + self.total_timeout;
        let secrets = Secrets::of(&request);
        let request = self.convert(request)?;
        let asked = request.url().clone();
        let response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) if error.is_redirect() => return Err(self.followed()),
            Err(error) => return Err(unanswered(error, &secrets)),
        };
        self.check(&asked, &response)?;
        let (mut head, body) = Response::<reqwest::Body>::from(response).into_parts();
        // They hold the URL.
        head.extensions.clear();
        let (body, _) = read_body(body, deadline, |_| true, || 0).await;
        Ok(Response::from_parts(head, body))
    }
}

/// Without the client's own parts: they may hold credentials of a proxy.
impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport")
            .field("policy", &self.policy)
            .field("total_timeout", &self.total_timeout)
            .field("follows", &self.follows)
            .finish_non_exhaustive()
    }
}

fn unanswered(error: reqwest::Error, secrets: &Secrets) -> TransportError {
    let out_of_time = error.is_timeout() && !error.is_connect();
    let failed = failure(error.without_url(), secrets);
    match failed.kind() {
        TransportErrorKind::Interrupted if out_of_time => {
            TransportError::new(TransportErrorKind::Timeout).with_processed(failed.processed())
        }
        _ => failed,
    }
}

const fn invalid() -> TransportError {
    TransportError::new(TransportErrorKind::InvalidRequest)
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the client follows redirects: build it with `redirect::Policy::none()`, or let the transport build it"
)]
struct FollowsRedirects;

//! The transport over a `tower` service.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Body;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use super::cause::{Secrets, failure};
use super::target::Target;
use super::wire::{prepare, read_body};
use super::{Processed, Transport, TransportError, TransportErrorKind};
use crate::address::AddressPolicy;

/// A transport over any `tower::Service` from an `http::Request<B>` to an `http::Response`.
///
/// For HTTP clients that are services, hyper-util's for instance, with layers around them if you
/// like. A request comes with its absolute URI; the service writes it as its version of HTTP has
/// it. `B` is what the service wants as a body, made from [`Bytes`]: `Full<Bytes>` of
/// `http-body-util`, or see [`with_body`](Self::with_body).
///
/// What the transport sees to by itself: the length, the time limits, 16 KiB of body, addresses
/// that stand in the URI, and that errors do not quote the request. The rest of the contract of
/// [`Transport`] is the service's:
///
/// * No redirects, no retries of what may have been processed, no proxies from the environment, no
///   decompression: leave those layers out.
/// * Names are checked by the client's resolver: put an
///   [`AddressGuard`](crate::transport::AddressGuard) around it.
/// * Dropping the service's future ends the exchange. A service that hands requests to a task
///   (`tower::buffer`) may go on.
///
/// A failure is [`Processed::No`] where the error or one of its causes proves it: a
/// [`TransportError`] that says so, by which a service of your own tells, `connect` errors of
/// hyper-util's client, a request that hyper never sent, `REFUSED_STREAM`, GOAWAY below its stream,
/// or a refused connection. All else is [`Processed::Unknown`], so a service that fails before it
/// sends (load shedding) should fail with a `TransportError`.
///
/// The service is cloned for each request and may be told apart from others by `poll_ready`:
/// waiting for that has a limit of its own and ends as [`TransportErrorKind::Busy`].
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use webpush_channels::transport::{TowerTransport, Transport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = tower::service_fn(async |request: Request<Full<Bytes>>| {
///     let host = request.uri().host().unwrap_or_default().to_owned();
///     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(host)))
/// });
/// let transport = TowerTransport::new(service);
/// let request = Request::post("https://push.example/secret").body(Bytes::from("hello"))?;
/// assert_eq!(transport.send(request).await?.body(), "push.example");
/// # Ok(())
/// # }
/// ```
pub struct TowerTransport<S, B = Full<Bytes>> {
    /// Locked for as long as a clone takes, so that the service need not be `Sync`.
    service: Mutex<S>,
    policy: AddressPolicy,
    ready_wait: Duration,
    total_timeout: Duration,
    body: PhantomData<fn() -> B>,
}

impl<S> TowerTransport<S> {
    /// A transport to public addresses over `service`.
    #[must_use]
    pub const fn new(service: S) -> Self {
        Self {
            service: Mutex::new(service),
            policy: AddressPolicy::public(),
            ready_wait: Duration::from_secs(30),
            total_timeout: Duration::from_secs(30),
            body: PhantomData,
        }
    }
}

impl<S, B> TowerTransport<S, B> {
    /// The same for a service whose requests have bodies of the type `C`.
    #[must_use]
    pub fn with_body<C: From<Bytes>>(self) -> TowerTransport<S, C> {
        let Self { service, policy, ready_wait, total_timeout, body: _ } = self;
        TowerTransport { service, policy, ready_wait, total_timeout, body: PhantomData }
    }

    /// Which addresses may stand in a URI. Names are the service's affair. Default: public ones
    /// only.
    #[must_use]
    pub fn address_policy(mut self, policy: AddressPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long a request may wait until the service is ready for it. Default: 30 s.
    #[must_use]
    pub const fn ready_wait(mut self, limit: Duration) -> Self {
        self.ready_wait = limit;
        self
    }

    /// How long a request may take from then on, to the end of its response; connecting is part
    /// of it. Default: 30 s.
    #[must_use]
    pub const fn total_timeout(mut self, limit: Duration) -> Self {
        self.total_timeout = limit;
        self
    }

    fn check(&self, request: &mut Request<Bytes>) -> Result<(), TransportError> {
        prepare(request)?;
        let target = Target::of(request.uri());
        let target = target.ok_or_else(|| TransportError::new(TransportErrorKind::InvalidRequest))?;
        match target.ip() {
            Some(address) if !self.policy.allows(address) => {
                Err(TransportError::new(TransportErrorKind::AddressRefused))
            }
            _ => Ok(()),
        }
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

#[async_trait]
impl<S, B, R> Transport for TowerTransport<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: From<Bytes> + Send + 'static,
    R: Body + Send,
    R::Data: Send,
    R::Error: Send,
{
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.check(&mut request)?;
        let secrets = Secrets::of(&request);
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match timeout(self.ready_wait, poll_fn(|context| service.poll_ready(context))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(not_ready(failure(error, &secrets))),
            Err(_) => return Err(TransportError::new(TransportErrorKind::Busy)),
        }
        let deadline = Instant::now() + self.total_timeout;
        let response = match timeout_at(deadline, service.call(request.map(B::from))).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure(error, &secrets)),
            Err(_) => return Err(TransportError::new(TransportErrorKind::Timeout)),
        };
        let (mut head, body) = response.into_parts();
        head.extensions.clear();
        let (body, _) = read_body(body, deadline, |_| true, || 0).await;
        Ok(Response::from_parts(head, body))
    }
}

/// A service that never became ready got no request.
fn not_ready(failed: TransportError) -> TransportError {
    let TransportError { kind, source, .. } = failed;
    let kind = match kind {
        TransportErrorKind::Interrupted | TransportErrorKind::Timeout => TransportErrorKind::Connect,
        kind => kind,
    };
    TransportError { kind, processed: Processed::No, source }
}

impl<S, B> fmt::Debug for TowerTransport<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerTransport")
            .field("policy", &self.policy)
            .field("ready_wait", &self.ready_wait)
            .field("total_timeout", &self.total_timeout)
            .finish_non_exhaustive()
    }
}

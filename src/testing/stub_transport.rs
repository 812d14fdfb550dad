//! A transport without a network.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use tokio::sync::Notify;

use super::lock;
use crate::Endpoint;
use crate::transport::{Processed, Transport, TransportError, TransportErrorKind};

/// Made once: the stub stands in benches, where its own cost is to be small.
const TTL: HeaderName = HeaderName::from_static("ttl");

/// What a [`StubTransport`] does about one request.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum StubReply {
    /// 201, with a `Location` of the request's origin and the request's TTL; 204 to a DELETE.
    #[default]
    Created,
    /// Waits on tokio's clock, then does this.
    Delayed(Duration, Box<Self>),
    /// Fails.
    Error(TransportErrorKind, Processed),
    /// Never returns, until it is dropped.
    Hang,
    /// Returns this.
    Response(Response<Bytes>),
}

impl StubReply {
    /// A bare status.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        Self::Response(response)
    }

    /// A failure of this kind, processed or not as the kind says.
    #[must_use]
    pub fn error(kind: TransportErrorKind) -> Self {
        Self::Error(kind, TransportError::new(kind).processed())
    }

    /// This, after a wait on tokio's clock.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self::Delayed(wait, Box::new(self))
    }
}

type Chooser = dyn Fn(&Request<Bytes>) -> StubReply + Send + Sync;

/// A [`Transport`] that plays the push service by script: answers, fails, delays or hangs, records
/// what it was given and sees what was cancelled. Clones share their state.
///
/// The next reply is that of the endpoint's own script, else of the script for all, else what the
/// chooser says, else [`StubReply::Created`].
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, StatusCode};
/// use webpush_channels::testing::{StubReply, StubTransport};
/// use webpush_channels::transport::Transport as _;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let stub = StubTransport::new();
/// stub.script_all([StubReply::status(StatusCode::GONE)]);
/// let request = || Request::post("https://push.example.net/p/1").body(Bytes::new()).unwrap();
/// assert_eq!(stub.send(request()).await.unwrap().status(), StatusCode::GONE);
/// assert_eq!(stub.send(request()).await.unwrap().status(), StatusCode::CREATED);
/// assert_eq!((stub.sent(), stub.requests().len()), (2, 2));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct StubTransport(Arc<Shared>);

#[derive(Default)]
struct Shared {
    forgetful: bool,
    choose: Option<Box<Chooser>>,
    /// Whether a script was ever given, so that without one no lock is taken.
    scripted: AtomicBool,
    scripts: Mutex<Scripts>,
    requests: Mutex<Vec<StubRequest>>,
    changed: Notify,
    sent: AtomicU64,
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
    cancelled: AtomicU64,
}

#[derive(Default)]
struct Scripts {
    by_uri: HashMap<Uri, VecDeque<StubReply>>,
    all: VecDeque<StubReply>,
}

impl StubTransport {
    /// A transport that accepts and records everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A transport that records nothing, for millions of requests.
    #[must_use]
    pub fn forgetful() -> Self {
        Self(Arc::new(Shared { forgetful: true, ..Shared::default() }))
    }

    /// A transport whose unscripted replies a closure chooses.
    #[must_use]
    pub fn answering(choose: impl Fn(&Request<Bytes>) -> StubReply + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared { choose: Some(Box::new(choose)), ..Shared::default() }))
    }

    /// Replies to the next requests to this endpoint so.
    pub fn script(&self, endpoint: &Endpoint, replies: impl IntoIterator<Item = StubReply>) {
        lock(&self.0.scripts).by_uri.entry(endpoint.to_uri()).or_default().extend(replies);
        self.0.scripted.store(true, Ordering::Release);
    }

    /// Replies to the next requests so, wherever they go.
    pub fn script_all(&self, replies: impl IntoIterator<Item = StubReply>) {
        lock(&self.0.scripts).all.extend(replies);
        self.0.scripted.store(true, Ordering::Release);
    }

    /// What was sent, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<StubRequest> {
        lock(&self.0.requests).clone()
    }

    /// How many requests came.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// How many are in progress.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// The most that were in progress at once.
    #[must_use]
    pub fn in_flight_max(&self) -> u64 {
        self.0.in_flight_max.load(Ordering::Relaxed)
    }

    /// How many were dropped before they returned.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// Waits until the counts are so. For tests that would sleep otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn wait_for(&self, mut until: impl FnMut(&Self) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Listening must begin before looking, or a change in between is missed.
            changed.as_mut().enable();
            if until(self) {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Transport for StubTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let mut flight = Flight::new(&self.0);
        let created = self.0.created(&request);
        let mut reply = self.0.reply(&request);
        if !self.0.forgetful {
            lock(&self.0.requests).push(StubRequest(request));
        }
        while let StubReply::Delayed(wait, then) = reply {
            tokio::time::sleep(wait).await;
            reply = *then;
        }
        let result = match reply {
            StubReply::Response(response) => Ok(response),
            StubReply::Error(kind, processed) => Err(TransportError::new(kind).with_processed(processed)),
            StubReply::Hang => pending().await,
            StubReply::Created | StubReply::Delayed(..) => Ok(created),
        };
        flight.ended = true;
        result
    }
}

impl Shared {
    fn reply(&self, request: &Request<Bytes>) -> StubReply {
        if self.scripted.load(Ordering::Acquire) {
            let mut scripts = lock(&self.scripts);
            let own = scripts.by_uri.get_mut(request.uri()).and_then(VecDeque::pop_front);
            if let Some(reply) = own.or_else(|| scripts.all.pop_front()) {
                return reply;
            }
        }
        self.choose.as_ref().map_or(StubReply::Created, |choose| choose(request))
    }

    fn created(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        if request.method() == Method::DELETE {
            *response.status_mut() = StatusCode::NO_CONTENT;
            return response;
        }
        *response.status_mut() = StatusCode::CREATED;
        let uri = request.uri();
        let (scheme, authority) = (uri.scheme_str().unwrap_or("https"), uri.authority());
        let authority = authority.map_or("push.invalid", |authority| authority.as_str());
        let number = self.sent.load(Ordering::Relaxed);
        let location = HeaderValue::try_from(format!("{scheme}://{authority}/m/{number}"));
        let headers = response.headers_mut();
        headers.insert(LOCATION, location.expect("the parts of a URI can stand in a header"));
        if let Some(ttl) = request.headers().get(TTL) {
            headers.insert(TTL, ttl.clone());
        }
        response
    }
}

impl fmt::Debug for StubTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubTransport")
            .field("sent", &self.sent())
            .field("in_flight", &self.in_flight())
            .field("cancelled", &self.cancelled())
            .finish_non_exhaustive()
    }
}

/// A request that a [`StubTransport`] was given. `Debug` shows its method only: everything else
/// is secret.
#[derive(Clone)]
pub struct StubRequest(Request<Bytes>);

impl StubRequest {
    /// The request itself.
    #[must_use]
    pub const fn get(&self) -> &Request<Bytes> {
        &self.0
    }
}

impl fmt::Debug for StubRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubRequest").field("method", self.0.method()).finish_non_exhaustive()
    }
}

/// Counts a request while its future lives.
struct Flight<'a> {
    shared: &'a Shared,
    ended: bool,
}

impl<'a> Flight<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.sent.fetch_add(1, Ordering::Relaxed);
        let now = shared.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        shared.in_flight_max.fetch_max(now, Ordering::Relaxed);
        shared.changed.notify_waiters();
        Self { shared, ended: false }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.ended {
            self.shared.cancelled.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request<Bytes> {
        let uri = format!("https://push.example.net{path}");
        Request::post(uri).header("ttl", "60").body(Bytes::from_static(b"secret")).unwrap()
    }

    #[tokio::test]
    async fn an_endpoints_script_comes_first_then_that_for_all_then_the_chooser() {
        let stub = StubTransport::answering(|_| StubReply::status(StatusCode::GONE));
        stub.script_all([StubReply::status(StatusCode::TOO_MANY_REQUESTS)]);
        let endpoint = "https://push.example.net/1".parse().unwrap();
        stub.script(&endpoint, [StubReply::error(TransportErrorKind::Busy)]);
        let refused = stub.send(request("/1")).await.unwrap_err();
        assert_eq!((refused.kind(), refused.processed()), (TransportErrorKind::Busy, Processed::No));
        for (path, status) in [("/1", 429), ("/1", 410), ("/2", 410)] {
            assert_eq!(stub.send(request(path)).await.unwrap().status().as_u16(), status);
        }
    }

    #[tokio::test]
    async fn the_default_is_acceptance_as_a_service_writes_it() {
        let stub = StubTransport::new();
        let response = stub.send(request("/1")).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()[LOCATION], "https://push.example.net/m/1");
        assert_eq!(response.headers()["ttl"], "60");
        assert_eq!(stub.requests()[0].get().body(), "secret");
        assert_eq!(format!("{:?}", stub.requests()), "[StubRequest { method: POST, .. }]");
        let forgetful = StubTransport::forgetful();
        forgetful.send(request("/1")).await.unwrap();
        assert_eq!((forgetful.sent(), forgetful.requests().len()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn delays_hangs_and_cancellations_are_seen() {
        let stub = StubTransport::new();
        stub.script_all([StubReply::Created.after(Duration::from_secs(60)), StubReply::Hang]);
        let began = tokio::time::Instant::now();
        let slow = tokio::spawn({
            let stub = stub.clone();
            async move { stub.send(request("/1")).await.map(|response| response.status()) }
        });
        stub.wait_for(|stub| stub.in_flight() == 1).await;
        let hung = tokio::spawn({
            let stub = stub.clone();
            async move { stub.send(request("/2")).await.is_ok() }
        });
        stub.wait_for(|stub| stub.in_flight() == 2).await;
        assert_eq!(slow.await.unwrap().unwrap(), StatusCode::CREATED);
        assert_eq!(began.elapsed(), Duration::from_secs(60));
        hung.abort();
        stub.wait_for(|stub| stub.cancelled() == 1).await;
        assert_eq!((stub.in_flight(), stub.in_flight_max(), stub.sent()), (0, 2, 2));
    }
}

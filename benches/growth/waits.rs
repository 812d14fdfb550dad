//! How long an entry is in hand until its request is handed to the transport.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use webpush_channels::store::Entry;
use webpush_channels::transport::{HyperTransport, Transport, TransportError};

/// How long each subscription's message waited, by the number at the end of its endpoint.
pub(crate) struct Waits {
    began: Instant,
    each: Vec<Wait>,
}

/// In nanoseconds.
#[derive(Default)]
struct Wait {
    read: AtomicU64,
    /// Until its last request.
    waited: AtomicU64,
}

impl Waits {
    pub(crate) fn new(subscriptions: usize) -> Arc<Self> {
        let each = std::iter::repeat_with(Wait::default).take(subscriptions).collect();
        Arc::new(Self { began: now(), each })
    }

    /// An entry was read: a filter sees it before it takes any place. Leaves nobody out.
    pub(crate) fn read(&self, entry: &Entry) -> bool {
        self.of(entry.subscription.endpoint().as_str()).read.store(self.elapsed(), Ordering::Relaxed);
        true
    }

    fn sent(&self, uri: &Uri) {
        let wait = self.of(uri.path());
        wait.waited.store(self.elapsed() - wait.read.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The median and the longest of the last broadcast, in milliseconds.
    pub(crate) fn milliseconds(&self) -> (f64, f64) {
        let mut all: Vec<_> = self.each.iter().map(|it| it.waited.load(Ordering::Relaxed)).collect();
        all.sort_unstable();
        #[allow(clippy::cast_precision_loss, reason = "seconds are far below 2^52 nanoseconds")]
        let [median, longest] = [all[all.len() / 2], all[all.len() - 1]].map(|nanos| nanos as f64 / 1e6);
        (median, longest)
    }

    fn of(&self, path: &str) -> &Wait {
        let number = path.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
        &self.each[number.expect("endpoints end in a number")]
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a run is shorter than five hundred years")
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits").finish_non_exhaustive()
    }
}

/// Sees requests come.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) transport: HyperTransport,
    pub(crate) waits: Arc<Waits>,
}

#[async_trait]
impl Transport for Watched {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.waits.sent(request.uri());
        self.transport.send(request).await
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

//! A transport that remembers what went through it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use super::target::Target;
use super::{Processed, Transport, TransportError, TransportErrorKind};
use crate::clock::{Clock, SystemClock};

/// A transport that writes each exchange of another into an [`ExchangeLog`].
///
/// For tests and audits. Where a request went is kept as its origin, and what was said as a number
/// of octets: no path, no header and no body, so that the log holds no secret (S-12). Everything
/// else is passed on unchanged. An exchange whose future is dropped is kept, too.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use webpush_channels::testing::StubTransport;
/// use webpush_channels::transport::{ExchangeEnd, ExchangeLog, Recording, Transport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = ExchangeLog::new(100);
/// let transport = Recording::new(StubTransport::new(), log.clone());
/// transport.send(Request::post("https://push.example/secret").body(Bytes::from("hello"))?).await?;
///
/// let seen = log.snapshot().remove(0);
/// assert_eq!(seen.origin.as_deref(), Some("https://push.example"));
/// assert_eq!(seen.sent, 5);
/// assert!(matches!(seen.end, ExchangeEnd::Answered { status, .. } if status == 201));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Recording<T> {
    inner: T,
    log: ExchangeLog,
    clock: Arc<dyn Clock>,
}

impl<T: Transport> Recording<T> {
    /// Records what goes through `inner` in `log`.
    #[must_use]
    pub fn new(inner: T, log: ExchangeLog) -> Self {
        Self { inner, log, clock: Arc::new(SystemClock) }
    }

    /// The same with another clock for [`Exchange::began`].
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Transport> Transport for Recording<T> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let open = Open::new(self, &request);
        let result = self.inner.send(request).await;
        open.close(match &result {
            Ok(response) => {
                ExchangeEnd::Answered { status: response.status(), received: response.body().len() }
            }
            Err(error) => ExchangeEnd::Failed { kind: error.kind(), processed: error.processed() },
        });
        result
    }
}

/// The last exchanges of one [`Recording`] or several, the oldest first.
///
/// Clones are handles to the same log.
#[derive(Clone, Debug)]
pub struct ExchangeLog {
    capacity: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    exchanges: VecDeque<Exchange>,
    dropped: u64,
}

impl ExchangeLog {
    /// An empty log, which keeps at most this many exchanges: each that comes then drops the
    /// oldest.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, kept: Arc::default() }
    }

    /// What is kept, in the order in which the exchanges ended.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Exchange> {
        self.kept().exchanges.iter().cloned().collect()
    }

    /// The same, and forgets it.
    #[must_use]
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.kept().exchanges).into()
    }

    /// How many were dropped to make room. An audit that reads this as zero has seen everything.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.kept().dropped
    }

    fn push(&self, exchange: Exchange) {
        let mut kept = self.kept();
        kept.exchanges.push_back(exchange);
        if kept.exchanges.len() > self.capacity {
            kept.exchanges.pop_front();
            kept.dropped += 1;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request and how it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Exchange {
    /// When it began, by the wall clock.
    pub began: SystemTime,
    /// How long it took, by the runtime's clock.
    pub took: Duration,
    /// The request's method.
    pub method: Method,
    /// Scheme, host and port that it was for, as in `https://push.example:8443`. `None` if its
    /// URI has none.
    pub origin: Option<String>,
    /// Octets of its body.
    pub sent: usize,
    /// How it ended.
    pub end: ExchangeEnd,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExchangeEnd {
    /// Its future was dropped.
    Abandoned,
    /// With a status.
    Answered {
        /// The status.
        status: StatusCode,
        /// Octets of the body that the transport returned, 16 KiB at most.
        received: usize,
    },
    /// Without one.
    Failed {
        /// Where it failed.
        kind: TransportErrorKind,
        /// Whether the peer can have acted on it.
        processed: Processed,
    },
}

/// An exchange that is going on; dropped, it is an abandoned one.
struct Open<'a> {
    log: &'a ExchangeLog,
    since: Instant,
    exchange: Option<Exchange>,
}

impl<'a> Open<'a> {
    fn new<T>(recording: &'a Recording<T>, request: &Request<Bytes>) -> Self {
        let exchange = Exchange {
            began: recording.clock.now(),
            took: Duration::ZERO,
            method: request.method().clone(),
            origin: Target::of(request.uri()).map(|target| target.to_string()),
            sent: request.body().len(),
            end: ExchangeEnd::Abandoned,
        };
        Self { log: &recording.log, since: Instant::now(), exchange: Some(exchange) }
    }

    fn close(mut self, end: ExchangeEnd) {
        if let Some(exchange) = &mut self.exchange {
            exchange.end = end;
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.log.push(Exchange { took: self.since.elapsed(), ..exchange });
        }
    }
}

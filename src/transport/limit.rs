//! A transport that keeps to a rate.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::{Request, Response};
use lru::LruCache;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::target::{AsOrigin, OriginKey, Target};
use super::{Transport, TransportError, TransportErrorKind};

/// A transport that sends through another no faster than a rate, or two: one for each origin, and
/// one for all together.
///
/// A request that is too early waits, in the order of arrival, for at most
/// [`max_wait`](Self::max_wait); then it fails as [`TransportErrorKind::Busy`], which senders
/// retry. The wait is not part of the inner transport's time limits. A request that fails has used
/// its turn all the same.
///
/// For channels there is `SenderBuilder::origin_rate`, where nobody who waits holds a place in flight;
/// this is for everything else that is sent, and for one rate over all origins.
///
/// The rates are this process's own: with several nodes, divide them. Origins are remembered by
/// last use, 4096 of them; one that is forgotten meanwhile may send a burst again.
///
/// # Cancel safety
///
/// A future that is dropped while it waits leaves the queue, and nobody waits for it. If it had its
/// turn at the origin and waited for the one of all, the former is used up: the rates are never
/// exceeded.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use bytes::Bytes;
/// use http::Request;
/// use webpush_channels::testing::StubTransport;
/// use webpush_channels::transport::{Rate, RateLimited, Transport, TransportErrorKind};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let one_a_minute = Rate::per_minute(NonZeroU32::MIN);
/// let transport =
///     RateLimited::new(StubTransport::new()).per_origin(one_a_minute).max_wait(Duration::from_secs(1));
///
/// let push = |uri| Request::post(uri).body(Bytes::from("hello"));
/// assert!(transport.send(push("https://push.example/a")?).await.is_ok());
/// assert!(transport.send(push("https://other.example/b")?).await.is_ok());
/// let early = transport.send(push("https://push.example/c")?).await.unwrap_err();
/// assert_eq!(early.kind(), TransportErrorKind::Busy);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RateLimited<T> {
    inner: T,
    overall: Option<Gate>,
    per_origin: Option<PerOrigin>,
    max_wait: Duration,
}

impl<T: Transport> RateLimited<T> {
    /// Around `inner`, without a limit until one is set.
    #[must_use]
    pub const fn new(inner: T) -> Self {
        Self { inner, overall: None, per_origin: None, max_wait: Duration::from_secs(30) }
    }

    /// Limits what is sent to each origin.
    #[must_use]
    pub fn per_origin(mut self, rate: Rate) -> Self {
        self.per_origin = Some(PerOrigin::new(rate));
        self
    }

    /// Limits what is sent to all origins together.
    #[must_use]
    pub fn overall(mut self, rate: Rate) -> Self {
        self.overall = Some(Gate::new(rate));
        self
    }

    /// How long a request may wait for its turn. Default: 30 s. One that cannot have it in time
    /// fails as soon as that is known.
    #[must_use]
    pub const fn max_wait(mut self, limit: Duration) -> Self {
        self.max_wait = limit;
        self
    }

    async fn turn(&self, request: &Request<Bytes>) -> Result<(), TransportError> {
        let now = Instant::now();
        let deadline = now.checked_add(self.max_wait).unwrap_or(now + A_DAY);
        // What has no origin is refused by the transport, and uses up no turn at one.
        if let (Some(gates), Some(target)) = (&self.per_origin, Target::of(request.uri())) {
            gates.of(&target).pass(deadline).await?;
        }
        match &self.overall {
            Some(gate) => gate.pass(deadline).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Transport> Transport for RateLimited<T> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        self.turn(&request).await?;
        self.inner.send(request).await
    }
}

/// So many requests in a time.
///
/// They are spread evenly. After a quiet time some may go at once, the burst: by default as many as
/// the rate admits in 20 ms, and at least one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    every: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// This many requests a second.
    #[must_use]
    pub const fn per_second(requests: NonZeroU32) -> Self {
        Self::new(requests, 1_000_000_000)
    }

    /// This many requests a minute.
    #[must_use]
    pub const fn per_minute(requests: NonZeroU32) -> Self {
        Self::new(requests, 60_000_000_000)
    }

    /// The same with another burst.
    #[must_use]
    pub const fn with_burst(mut self, burst: NonZeroU32) -> Self {
        self.burst = burst;
        self
    }

    #[allow(clippy::cast_lossless, clippy::cast_possible_truncation, reason = "const; below 2^27")]
    const fn new(requests: NonZeroU32, nanoseconds: u64) -> Self {
        let requests = requests.get() as u64;
        // Rounded up, so that the rate is never exceeded.
        let every = Duration::from_nanos(nanoseconds.div_ceil(requests));
        let burst = match NonZeroU32::new((requests * 20_000_000 / nanoseconds) as u32) {
            Some(burst) => burst,
            None => NonZeroU32::MIN,
        };
        Self { every, burst }
    }
}

/// Instead of a limit that no clock can show.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many origins have a gate: they come from endpoints that strangers chose (S-31).
const ORIGINS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

#[derive(Debug)]
struct PerOrigin {
    rate: Rate,
    gates: Mutex<LruCache<OriginKey, Arc<Gate>>>,
}

impl PerOrigin {
    fn new(rate: Rate) -> Self {
        Self { rate, gates: Mutex::new(LruCache::new(ORIGINS)) }
    }

    fn of(&self, target: &Target<'_>) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(target as &dyn AsOrigin) {
            return Arc::clone(gate);
        }
        let gate = Arc::new(Gate::new(self.rate));
        gates.put(target.to_key(), Arc::clone(&gate));
        gate
    }
}

/// Lets requests through at a rate, one after the other.
#[derive(Debug)]
struct Gate {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    clock: TokioClock,
    /// Who has the permit waits for the limiter, the others for the permit: a queue, where each
    /// would wake up for nothing otherwise.
    queue: Semaphore,
}

impl Gate {
    fn new(rate: Rate) -> Self {
        let clock = TokioClock { start: Instant::now() };
        let quota = Quota::with_period(rate.every).expect("a rate's period is not zero");
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(rate.burst), clock);
        Self { limiter, clock, queue: Semaphore::new(1) }
    }

    async fn pass(&self, deadline: Instant) -> Result<(), TransportError> {
        let busy = || TransportError::new(TransportErrorKind::Busy);
        let first = timeout_at(deadline, self.queue.acquire()).await.map_err(|_| busy())?;
        let _first = first.expect("the queue is never closed");
        while let Err(early) = self.limiter.check() {
            let at = self.clock.start + early.earliest_possible();
            if at > deadline {
                return Err(busy());
            }
            sleep_until(at).await;
        }
        Ok(())
    }
}

/// The runtime's clock, which tests can pause.
#[derive(Clone, Copy, Debug)]
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn n(requests: u32) -> NonZeroU32 {
        NonZeroU32::new(requests).expect("not zero")
    }

    async fn passed(gate: &Gate, within: Duration) -> usize {
        let deadline = Instant::now() + within;
        let mut passed = 0;
        while gate.pass(deadline).await.is_ok() {
            passed += 1;
        }
        passed
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_from_one_a_minute_to_more_than_a_timer_can_tell() {
        let seconds = Duration::from_secs(10);
        for (rate, expected) in [
            (Rate::per_minute(n(6)), 2),
            (Rate::per_second(n(1)), 11),
            (Rate::per_second(n(5)).with_burst(n(3)), 53),
            (Rate::per_second(n(5000)), 50_100),
        ] {
            assert_eq!(passed(&Gate::new(rate), seconds).await, expected, "{rate:?}");
        }
    }

    #[test]
    fn every_number_is_a_rate() {
        for requests in [NonZeroU32::MIN, NonZeroU32::MAX] {
            for rate in [Rate::per_second(requests), Rate::per_minute(requests)] {
                assert!(!rate.every.is_zero() && rate.burst.get() >= 1, "{rate:?}");
            }
        }
        assert_eq!(Rate::per_second(n(5000)).burst, n(100));
    }

    #[tokio::test(start_paused = true)]
    async fn origins_are_remembered_within_a_bound() {
        let gates = PerOrigin::new(Rate::per_second(NonZeroU32::MIN));
        for port in 1..=5000_u16 {
            let uri: http::Uri = format!("https://push.example:{port}/").parse().unwrap();
            gates.of(&Target::of(&uri).unwrap());
        }
        assert_eq!(gates.gates.lock().unwrap().len(), ORIGINS.get());
    }
}

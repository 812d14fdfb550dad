//! What is counted, for Prometheus. Each service has a registry of its own, and no label holds a word that a stranger
//! chose: the series are bounded by the routes, the browser vendors and the words below.

use std::time::Duration;

use ::http::StatusCode;
use metrics::{Counter, Gauge};
use webpush_channels::store::Put;
use webpush_channels::store::journal::Journal;

mod broadcasts;
mod http;
mod registry;

use self::broadcasts::Broadcasts;
pub(crate) use self::http::{observe, observe_publication};
use self::registry::Registry;

/// How often what was measured is put into buckets. It takes memory until then.
const UPKEEP: Duration = Duration::from_secs(5);

/// Everything that one service counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    connections: Gauge,
    broadcasts: Broadcasts,
}

impl Metrics {
    /// Those of a service that has `/metrics`, or none.
    pub(crate) fn new(enabled: bool) -> Self {
        let registry = if enabled { Registry::new() } else { Registry::none() };
        Self {
            connections: registry.gauge(registry::CONNECTIONS, &[]),
            broadcasts: Broadcasts::new(&registry),
            registry,
        }
    }

    /// The text that Prometheus reads, or `None` where nothing is counted.
    pub(crate) async fn scrape(&self, journal: &dyn Journal) -> Option<String> {
        let handle = self.registry.handle()?;
        self.broadcasts.look(journal).await;
        Some(handle.render())
    }

    /// Runs as long as the service.
    pub(crate) fn upkeep(&self) -> impl Future<Output = ()> + Send + use<> {
        let handle = self.registry.handle().cloned();
        async move {
            let Some(handle) = handle else { return };
            loop {
                tokio::time::sleep(UPKEEP).await;
                handle.run_upkeep();
            }
        }
    }

    /// Open as long as the answer is kept.
    pub(crate) fn connection(&self) -> Open {
        Open::new(self.connections.clone())
    }

    /// What is made inside counts here: the library's senders and keys.
    pub(crate) fn counting<T>(&self, make: impl FnOnce() -> T) -> T {
        self.registry.counting(make)
    }

    /// How a POST to a channel ended. A repeat under the same key is accepted, too.
    fn publication(&self, status: StatusCode) {
        let result = match status.as_u16() {
            200..=299 => "accepted",
            401 => "unauthenticated",
            403 => "forbidden",
            409 => "conflict",
            429 => "too_fast",
            503 => "unavailable",
            500.. => "failed",
            _ => "invalid",
        };
        self.registry.counter(registry::PUBLICATIONS, &[("result", result)]).increment(1);
    }

    /// What became of a subscription that a user brought.
    pub(crate) fn put(&self, put: Put) {
        self.subscriptions(match put {
            Put::LimitReached => "refused",
            Put::Moved => "moved",
            Put::New => "new",
            Put::Renewed => "renewed",
            _ => "same",
        })
        .increment(1);
    }

    /// How many subscriptions a user took away.
    pub(crate) fn removed(&self, n: usize) {
        self.subscriptions("removed").increment(n as u64);
    }

    fn subscriptions(&self, change: &str) -> Counter {
        self.registry.counter(registry::SUBSCRIPTIONS, &[("change", change)])
    }
}

/// Something that lasts: counted from now to its drop.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

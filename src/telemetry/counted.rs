//! With the feature: handles of the recorder that there was when they were made.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio::time::Instant;

use super::series;
use super::{CancelEnd, Halt, LeaseEnd, Mode, Pause};
use crate::{BroadcastState, OriginLabel, OutcomeKind, Vendor};

/// All others are one: who they are is their subscribers' choice.
const VENDORS: [Vendor; 5] = [Vendor::Apple, Vendor::Fcm, Vendor::Mozilla, Vendor::Other, Vendor::Wns];

/// What comes of a request: the class of its status, why it has none, or that nobody waited for it.
const RESULTS: [&str; 13] = [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "address refused",
    "busy",
    "connect",
    "dropped",
    "interrupted",
    "invalid request",
    "other",
    "timeout",
];
const CLASSES: usize = 5;
const DROPPED: usize = 8;
const OTHER: usize = 11;

/// How broadcasts end.
const ENDS: [&str; 4] = ["dropped", "failed", "finished", "timed_out"];
const MODES: [(&str, &str); 2] =
    [("direct", series::BROADCASTS_RUNNING), ("durable", series::LEASES_RUNNING)];
const CANCEL_ENDS: [&str; 4] = ["done", "failed", "gone", "unsupported"];
const LEASE_ENDS: [&str; 5] = ["aborted", "done", "failed", "lost", "released"];

/// Everything that one sender counts with. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Instruments(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    services: [Service; VENDORS.len()],
    modes: [Modal; MODES.len()],
    /// Written, not written.
    checkpoints: [Counter; 2],
    checkpoint_seconds: Histogram,
    deferred: Gauge,
    encryption_seconds: Histogram,
    leases: [Counter; LEASE_ENDS.len()],
}

#[derive(Debug)]
struct Modal {
    ends: [Counter; ENDS.len()],
    running: Gauge,
    seconds: Histogram,
}

impl Modal {
    fn new((mode, running): (&'static str, &'static str)) -> Self {
        Self {
            ends: ENDS.map(|end| counter!(series::BROADCASTS, "mode" => mode, "end" => end)),
            running: gauge!(running),
            seconds: histogram!(series::BROADCAST_SECONDS, "mode" => mode),
        }
    }
}

impl Instruments {
    pub(crate) fn new() -> Self {
        series::describe();
        Self(Arc::new(Inner {
            services: VENDORS.map(Service::new),
            modes: MODES.map(Modal::new),
            checkpoints: ["written", "failed"]
                .map(|result| counter!(series::CHECKPOINTS, "result" => result)),
            checkpoint_seconds: histogram!(series::CHECKPOINT_SECONDS),
            deferred: gauge!(series::DEFERRED),
            encryption_seconds: histogram!(series::ENCRYPTION_SECONDS),
            leases: LEASE_ENDS.map(|end| counter!(series::LEASES, "end" => end)),
        }))
    }

    /// What a push service's part is counted with.
    pub(crate) fn of(&self, vendor: Vendor) -> &Service {
        let place = VENDORS.iter().position(|it| *it == vendor);
        &self.0.services[place.unwrap_or(Vendor::Other as usize)]
    }

    pub(crate) fn of_label(&self, label: &OriginLabel) -> &Service {
        self.of(if let OriginLabel::Vendor(vendor) = label { *vendor } else { Vendor::Other })
    }

    /// So many messages were encrypted since.
    pub(crate) fn encrypted(&self, messages: usize, since: Stopwatch) {
        if let Ok(divisor @ 1..) = u32::try_from(messages) {
            self.0.encryption_seconds.record_many(since.read() / divisor, messages);
        }
    }

    pub(crate) fn checkpoint(&self, written: bool, since: Stopwatch) {
        self.0.checkpoints[usize::from(!written)].increment(1);
        self.0.checkpoint_seconds.record(since.read());
    }

    pub(crate) fn lease_ended(&self, end: LeaseEnd) {
        self.0.leases[end as usize].increment(1);
    }
}

/// What one push service's part is counted with. Cloning is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Service(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    cancels: [Counter; CANCEL_ENDS.len()],
    deliveries: [Counter; OutcomeKind::ALL.len()],
    exchange_seconds: Histogram,
    in_flight: Gauge,
    pauses: [Counter; 2],
    /// Applied, withheld.
    removals: [Counter; 2],
    requests: [Counter; RESULTS.len()],
    retries: Counter,
    stops: [Counter; 2],
}

impl Service {
    fn new(vendor: Vendor) -> Self {
        let service = vendor.as_str();
        let deliveries = std::array::from_fn(|place| {
            let outcome = OutcomeKind::ALL[place].as_str();
            counter!(series::DELIVERIES, "service" => service, "outcome" => outcome)
        });
        Self(Arc::new(Handles {
            cancels: CANCEL_ENDS.map(|end| counter!(series::CANCELS, "service" => service, "end" => end)),
            deliveries,
            exchange_seconds: histogram!(series::EXCHANGE_SECONDS, "service" => service),
            in_flight: gauge!(series::IN_FLIGHT, "service" => service),
            pauses: ["asked", "broken"]
                .map(|cause| counter!(series::PAUSES, "service" => service, "cause" => cause)),
            removals: ["applied", "withheld"]
                .map(|review| counter!(series::REMOVALS, "service" => service, "review" => review)),
            requests: RESULTS
                .map(|result| counter!(series::REQUESTS, "service" => service, "result" => result)),
            retries: counter!(series::RETRIES, "service" => service),
            stops: ["auth", "blocked"]
                .map(|cause| counter!(series::STOPS, "service" => service, "cause" => cause)),
        }))
    }

    pub(crate) fn delivered(&self, outcome: OutcomeKind) {
        self.0.deliveries[outcome as usize].increment(1);
    }

    /// A message was taken back, or not.
    pub(crate) fn cancelled(&self, end: CancelEnd) {
        self.0.cancels[end as usize].increment(1);
    }

    /// A request is handed to the transport.
    pub(crate) fn exchange(&self) -> Exchange<'_> {
        self.0.in_flight.increment(1);
        Exchange { handles: &self.0, began: Stopwatch::start(), result: DROPPED }
    }

    /// Another request is to follow.
    pub(crate) fn retried(&self) {
        self.0.retries.increment(1);
    }

    pub(crate) fn paused(&self, pause: Pause) {
        self.0.pauses[pause as usize].increment(1);
    }

    pub(crate) fn stopped(&self, halt: Halt) {
        self.0.stops[halt as usize].increment(1);
    }

    pub(crate) fn removals(&self, entries: usize, withheld: bool) {
        self.0.removals[usize::from(withheld)].increment(entries as u64);
    }
}

/// A request in flight. One that is dropped without a result is counted as that.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    handles: &'a Handles,
    began: Stopwatch,
    result: usize,
}

impl Exchange<'_> {
    pub(crate) fn answered(mut self, status: u16) {
        // A status has three digits (RFC 9110 section 15), and those from 600 are read as 5xx.
        self.result = usize::from(status / 100).clamp(1, CLASSES) - 1;
        self.handles.exchange_seconds.record(self.began.read());
    }

    /// No status arrived, for a reason that is one of a few words.
    pub(crate) fn failed(mut self, kind: &'static str) {
        self.result = RESULTS.iter().position(|it| *it == kind).unwrap_or(OTHER);
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        self.handles.in_flight.decrement(1);
        self.handles.requests[self.result].increment(1);
    }
}

/// A broadcast that runs here, or a lease of one.
#[derive(Debug)]
pub(crate) struct Run {
    instruments: Instruments,
    mode: Mode,
    began: Stopwatch,
    /// How old the broadcast was then.
    age: Duration,
    deferred: usize,
    ended: bool,
}

impl Run {
    pub(crate) fn begin(instruments: &Instruments, mode: Mode) -> Self {
        let run = Self {
            instruments: instruments.clone(),
            mode,
            began: Stopwatch::start(),
            age: Duration::ZERO,
            deferred: 0,
            ended: false,
        };
        run.modal().running.increment(1);
        run
    }

    /// The broadcast began so long ago.
    pub(crate) const fn age(&mut self, age: Duration) {
        self.age = age;
    }

    /// So many entries wait outside the window now.
    pub(crate) fn deferred(&mut self, entries: usize) {
        if entries != self.deferred {
            self.instruments.0.deferred.increment(count(entries) - count(self.deferred));
            self.deferred = entries;
        }
    }

    /// The broadcast ended, and not only a lease of it.
    pub(crate) fn ended(&mut self, state: BroadcastState) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let end = match state {
            BroadcastState::Failed => "failed",
            BroadcastState::TimedOut => "timed_out",
            _ => "finished",
        };
        self.count(end);
        self.modal().seconds.record(self.age + self.began.read());
    }

    fn count(&self, end: &str) {
        if let Some(place) = ENDS.iter().position(|it| *it == end) {
            self.modal().ends[place].increment(1);
        }
    }

    fn modal(&self) -> &Modal {
        &self.instruments.0.modes[self.mode as usize]
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.deferred(0);
        self.modal().running.decrement(1);
        if !self.ended && self.mode == Mode::Direct {
            self.count("dropped");
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "entries in memory are far below 2^52")]
const fn count(entries: usize) -> f64 {
    entries as f64
}

/// Measures from its start. By the runtime's clock, which tests can pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    fn read(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportErrorKind;

    #[test]
    fn every_list_has_the_places_that_are_asked_for() {
        assert_eq!((RESULTS[DROPPED], RESULTS[OTHER]), ("dropped", "other"));
        let kinds = [
            TransportErrorKind::AddressRefused,
            TransportErrorKind::Busy,
            TransportErrorKind::Connect,
            TransportErrorKind::Interrupted,
            TransportErrorKind::InvalidRequest,
            TransportErrorKind::Timeout,
        ];
        for kind in kinds {
            assert!(RESULTS[CLASSES..].contains(&kind.as_str()), "{kind:?}");
        }
        assert_eq!(kinds.len() + 2, RESULTS.len() - CLASSES);
        for (place, vendor) in VENDORS.into_iter().enumerate() {
            assert_eq!(vendor as usize, place, "{vendor}");
        }
        assert_eq!(LEASE_ENDS[LeaseEnd::Released as usize], "released");
        assert_eq!(LEASE_ENDS[LeaseEnd::Lost as usize], "lost");
        assert_eq!(CANCEL_ENDS[CancelEnd::Unsupported as usize], "unsupported");
        assert_eq!(MODES[Mode::Durable as usize].0, "durable");
        for (place, kind) in OutcomeKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place);
        }
    }
}

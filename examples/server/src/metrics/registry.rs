//! The series by name, and what they are.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub(super) const BROADCASTS: &str = "webpush_channels_broadcasts_running";
pub(super) const CONNECTIONS: &str = "webpush_channels_http_connections";
pub(super) const DATABASE: &str = "webpush_channels_database_up";
pub(super) const PENDING: &str = "webpush_channels_deliveries_pending";
pub(super) const PUBLICATIONS: &str = "webpush_channels_publications_total";
pub(super) const REQUESTS: &str = "webpush_channels_http_requests_total";
pub(super) const REQUEST_SECONDS: &str = "webpush_channels_http_request_duration_seconds";
pub(super) const SUBSCRIPTIONS: &str = "webpush_channels_subscriptions_total";

const COUNTERS: [(&str, &str); 3] = [
    (PUBLICATIONS, "POSTs to channels by how they ended"),
    (REQUESTS, "HTTP requests by method, route and class of the status"),
    (SUBSCRIPTIONS, "What users did to their subscriptions"),
];
const GAUGES: [(&str, &str); 4] = [
    (BROADCASTS, "Broadcasts of all nodes that have not ended; at most 1000 are counted"),
    (CONNECTIONS, "Open connections of clients"),
    (DATABASE, "Whether the database answered when it was last looked at"),
    (PENDING, "Deliveries that were read and have no outcome yet, of the first 50 running broadcasts"),
];
const HISTOGRAMS: [(&str, &str); 1] = [(REQUEST_SECONDS, "From a request's head to the head of its answer")];
/// Seconds. From what one look into a database takes to the longest timeout.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Of one message, which takes less.
const ENCRYPTION_BUCKETS: [f64; 6] = [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.01];
/// Of a whole broadcast, which takes longer.
const BROADCAST_BUCKETS: [f64; 9] = [0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0];

const ORIGIN: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// A recorder with its handle, or nothing that counts.
#[derive(Debug)]
pub(super) struct Registry(Option<(PrometheusRecorder, PrometheusHandle)>);

impl Registry {
    pub(super) fn new() -> Self {
        let full = |name: &str| Matcher::Full(name.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .and_then(|it| it.set_buckets_for_metric(full("webpush_encryption_seconds"), &ENCRYPTION_BUCKETS))
            .and_then(|it| it.set_buckets_for_metric(full("webpush_broadcast_seconds"), &BROADCAST_BUCKETS))
            .expect("there are buckets")
            .build_recorder();
        for (name, help) in COUNTERS {
            recorder.describe_counter(name.into(), None, help.into());
        }
        for (name, help) in GAUGES {
            recorder.describe_gauge(name.into(), None, help.into());
        }
        for (name, help) in HISTOGRAMS {
            recorder.describe_histogram(name.into(), None, help.into());
        }
        let handle = recorder.handle();
        Self(Some((recorder, handle)))
    }

    pub(super) const fn none() -> Self {
        Self(None)
    }

    pub(super) fn handle(&self) -> Option<&PrometheusHandle> {
        self.0.as_ref().map(|(_, handle)| handle)
    }

    /// Makes something that counts with the recorder of its thread, which is this one meanwhile.
    pub(super) fn counting<T>(&self, make: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some((recorder, _)) => metrics::with_local_recorder(recorder, make),
            None => make(),
        }
    }

    pub(super) fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.0.as_ref().map_or_else(Counter::noop, |(it, _)| it.register_counter(&key(name, labels), &ORIGIN))
    }

    pub(super) fn gauge(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.0.as_ref().map_or_else(Gauge::noop, |(it, _)| it.register_gauge(&key(name, labels), &ORIGIN))
    }

    pub(super) fn histogram(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
        self.0
            .as_ref()
            .map_or_else(Histogram::noop, |(it, _)| it.register_histogram(&key(name, labels), &ORIGIN))
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

/// A status by its class: there are as many statuses as a push service cares to send.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

pub(super) fn class(status: ::http::StatusCode) -> usize {
    // A status has three digits (RFC 9110 section 15), and those from 600 are read as 5xx.
    usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1
}

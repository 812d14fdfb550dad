//! The names, and what they mean. docs/operations.md has the same table; tests/telemetry.rs compares.

use metrics::Unit;

pub(super) const BROADCASTS: &str = "webpush_broadcasts_total";
pub(super) const BROADCAST_SECONDS: &str = "webpush_broadcast_seconds";
pub(super) const CANCELS: &str = "webpush_cancels_total";
pub(super) const CHECKPOINTS: &str = "webpush_checkpoints_total";
pub(super) const CHECKPOINT_SECONDS: &str = "webpush_checkpoint_seconds";
pub(super) const DEFERRED: &str = "webpush_deferred";
pub(super) const DELIVERIES: &str = "webpush_deliveries_total";
pub(super) const ENCRYPTION_SECONDS: &str = "webpush_encryption_seconds";
pub(super) const EXCHANGE_SECONDS: &str = "webpush_exchange_seconds";
pub(super) const IN_FLIGHT: &str = "webpush_in_flight";
pub(super) const BROADCASTS_RUNNING: &str = "webpush_broadcasts_running";
pub(super) const LEASES_RUNNING: &str = "webpush_leases_running";
pub(super) const LEASES: &str = "webpush_leases_total";
pub(super) const PAUSES: &str = "webpush_pauses_total";
pub(super) const REMOVALS: &str = "webpush_removals_total";
pub(super) const REQUESTS: &str = "webpush_requests_total";
pub(super) const RETRIES: &str = "webpush_retries_total";
pub(super) const STOPS: &str = "webpush_stops_total";
pub(super) const TOKENS: &str = "webpush_tokens_signed_total";

const COUNTERS: [(&str, &str); 11] = [
    (BROADCASTS, "Broadcasts that ended here"),
    (CANCELS, "Messages that were to be taken back, by what came of it"),
    (CHECKPOINTS, "Checkpoints by whether they were written"),
    (DELIVERIES, "Subscriptions by the outcome that a message had for them"),
    (LEASES, "Leases of broadcasts by how they ended"),
    (PAUSES, "Times that a push service was paused"),
    (REMOVALS, "Subscriptions that a push service called gone"),
    (REQUESTS, "Requests to push services by what came of them"),
    (RETRIES, "Requests whose answer asks for another one"),
    (STOPS, "Times that a push service refused a key or this sender"),
    (TOKENS, "VAPID tokens that were signed"),
];
const GAUGES: [(&str, &str); 4] = [
    (BROADCASTS_RUNNING, "Broadcasts that are sent from here to their end"),
    (DEFERRED, "Subscriptions that wait here for a later try, outside the window"),
    (IN_FLIGHT, "Requests that wait for their answer"),
    (LEASES_RUNNING, "Leases of broadcasts that are worked on here"),
];
const HISTOGRAMS: [(&str, &str); 4] = [
    (BROADCAST_SECONDS, "From the start of a broadcast to its end"),
    (CHECKPOINT_SECONDS, "From a checkpoint to its answer, repeats included"),
    (ENCRYPTION_SECONDS, "What one message took to encrypt, sign and build, without waiting for it"),
    (EXCHANGE_SECONDS, "From handing a request to the transport to the push service's answer"),
];

/// Tells the recorder what the names mean. It may be told again.
pub(super) fn describe() {
    for (name, help) in COUNTERS {
        metrics::describe_counter!(name, Unit::Count, help);
    }
    for (name, help) in GAUGES {
        metrics::describe_gauge!(name, Unit::Count, help);
    }
    for (name, help) in HISTOGRAMS {
        metrics::describe_histogram!(name, Unit::Seconds, help);
    }
}

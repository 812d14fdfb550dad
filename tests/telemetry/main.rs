//! What is counted, by a recorder of our own.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

mod documented;
mod recorder;
#[path = "../support/mod.rs"]
mod support;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::StatusCode;
use webpush_channels::channel::{
    Broadcast, Channel as _, Channels, DurableChannel, Publication, RemovalHook, Removals, Review, Worker,
};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::Journal as _;
use webpush_channels::store::{Audience, MemoryStore};
use webpush_channels::testing::{StubReply, StubTransport};
use webpush_channels::transport::{TransportError, TransportErrorKind};
use webpush_channels::{OutcomeKind, Report};

use recorder::Book;
use support::{Answer, Double, Seen, at, broadcast, limits, message, news, sender, status, store};

const SECOND: Duration = Duration::from_secs(1);
/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(100);

/// A hub that counts into the book.
fn hub(book: &Book, store: &Arc<MemoryStore>, double: &Double) -> Channels {
    metrics::with_local_recorder(book, || support::hub(Arc::clone(store), double))
}

async fn publish(channels: &Channels) -> Report {
    channels.channel(&news()).publish(broadcast()).await.unwrap()
}

fn audience() -> Audience {
    Audience::Channel(news())
}

/// Answers after a while, by the number that the endpoint ends with: one is gone, one is asked for
/// three times, one gets no status, the others are accepted.
fn mixed(seen: &Seen, nth: usize) -> (Duration, Answer) {
    let answer = match (seen.uri.rsplit_once('/').unwrap().1, nth) {
        ("0", _) => status(410),
        ("1", 1 | 2) => status(500),
        ("2", _) => Err(TransportError::new(TransportErrorKind::AddressRefused)),
        _ => status(201),
    };
    (ANSWER, answer)
}

fn endpoints() -> impl Iterator<Item = String> {
    let hosts =
        ["fcm.googleapis.com", "updates.push.services.mozilla.com", "push.example.net", "other.example"];
    hosts.into_iter().flat_map(|host| at(host, 5))
}

const SERVICES: [&str; 5] = ["apple", "fcm", "mozilla", "other", "wns"];

/// What one broadcast to `endpoints` led to, whoever sent it.
#[track_caller]
fn assert_counted(book: &Book, report: &Report) {
    for (kind, expected) in [(OutcomeKind::Gone, 4), (OutcomeKind::Refused, 4), (OutcomeKind::Accepted, 12)] {
        assert_eq!(report.counts[kind], expected, "{report}");
    }
    for (service, n) in SERVICES.into_iter().zip([0.0, 1.0, 1.0, 2.0, 0.0]) {
        let service = ("service", service);
        for (outcome, times) in [("accepted", 3.0), ("gone", 1.0), ("refused", 1.0), ("expired", 0.0)] {
            book.is("webpush_deliveries_total", &[service, ("outcome", outcome)], times * n);
        }
        book.is("webpush_deliveries_total", &[service], 5.0 * n);
        for (result, times) in [("2xx", 3.0), ("4xx", 1.0), ("5xx", 2.0), ("address refused", 1.0)] {
            book.is("webpush_requests_total", &[service, ("result", result)], times * n);
        }
        book.is("webpush_requests_total", &[service], 7.0 * n);
        book.is("webpush_retries_total", &[service], 2.0 * n);
        book.is("webpush_removals_total", &[service, ("review", "applied")], n);
        book.is("webpush_removals_total", &[service, ("review", "withheld")], 0.0);
        book.is("webpush_exchange_seconds", &[service], 0.6 * n);
        book.is("webpush_in_flight", &[service], 0.0);
    }
    assert_eq!(report.attempts, 28);
    assert_eq!(book.get("webpush_exchange_seconds", &[]).times, 24, "one for each status");
    assert_eq!(book.get("webpush_encryption_seconds", &[]).times, 28, "one for each request");
    assert!(book.get("webpush_in_flight", &[("service", "other")]).most > 1.0);
    book.is("webpush_tokens_signed_total", &[], 4.0);
    book.is("webpush_deferred", &[], 0.0);
    for name in ["webpush_pauses_total", "webpush_stops_total"] {
        book.is(name, &[], 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_direct_broadcast_counts_what_its_report_says() {
    let (book, double, store) = (Book::default(), Double::slow(mixed), store(endpoints()).await);
    let channels = hub(&book, &store, &double);
    let report = publish(&channels).await;
    assert_counted(&book, &report);
    book.is("webpush_broadcasts_total", &[("mode", "direct"), ("end", "finished")], 1.0);
    book.is("webpush_broadcasts_total", &[], 1.0);
    book.is("webpush_broadcast_seconds", &[("mode", "direct")], report.elapsed.as_secs_f64());
    let running = book.get("webpush_broadcasts_running", &[]);
    assert_eq!((running.value, running.most), (0.0, 1.0));
    assert_eq!(book.get("webpush_leases_running", &[]).times, 0);
}

#[tokio::test(start_paused = true)]
async fn a_durable_broadcast_counts_what_its_report_says() {
    let (book, double, store) = (Book::default(), Double::slow(mixed), store(endpoints()).await);
    let channels = hub(&book, &store, &double);
    let durable = DurableChannel::new(Arc::clone(&store)).with_ranges(NonZeroU16::MIN);
    let id = durable.enqueue(Publication::new(audience(), message())).await.unwrap().id;
    Worker::builder(channels, Arc::clone(&store)).build().run_until_idle().await.unwrap();
    let report = store.report(&id).await.unwrap().unwrap();
    assert_counted(&book, &report);
    book.is("webpush_broadcasts_total", &[("mode", "durable"), ("end", "finished")], 1.0);
    book.is("webpush_broadcasts_total", &[], 1.0);
    assert!(book.get("webpush_broadcast_seconds", &[("mode", "durable")]).value >= 0.3, "three answers");
    let (done, leases) =
        (book.get("webpush_leases_total", &[("end", "done")]), book.get("webpush_leases_total", &[]));
    assert!(done.value >= 1.0 && (done.value - leases.value).abs() < 1e-9, "{leases:?}");
    let checkpoints = book.get("webpush_checkpoints_total", &[("result", "written")]);
    assert!(checkpoints.value >= 1.0);
    assert_eq!(book.get("webpush_checkpoint_seconds", &[]).times, checkpoints.times);
    let running = book.get("webpush_leases_running", &[]);
    assert!(running.value.abs() < 1e-9 && running.most >= 1.0, "{running:?}");
    assert_eq!(book.get("webpush_broadcasts_running", &[]).times, 0);
}

#[tokio::test(start_paused = true)]
async fn pauses_and_stops_are_counted_and_what_waits_is_seen() {
    let slow = |_: &Seen, nth: usize| {
        if nth == 1 { support::answer(429, &[("retry-after", "30")], "") } else { status(201) }
    };
    let book = Book::default();
    let channels = hub(&book, &store(at("push.example.net", 4)).await, &Double::new(slow));
    publish(&channels).await;
    let other = ("service", "other");
    book.is("webpush_pauses_total", &[other, ("cause", "asked")], 1.0);
    let deferred = book.get("webpush_deferred", &[]);
    assert_eq!((deferred.value, deferred.most), (0.0, 4.0));

    let channels = hub(&book, &store(at("fcm.googleapis.com", 300)).await, &Double::new(|_, _| status(401)));
    publish(&channels).await;
    book.is("webpush_stops_total", &[("service", "fcm"), ("cause", "auth")], 1.0);
    book.is("webpush_deliveries_total", &[("service", "fcm"), ("outcome", "auth_refused")], 300.0);

    let down = Double::new(|_, _| Err(TransportError::new(TransportErrorKind::Connect)));
    let channels = hub(&book, &store(at("web.push.apple.com", 20)).await, &down);
    publish(&channels).await;
    let apple = ("service", "apple");
    assert!(book.get("webpush_pauses_total", &[apple, ("cause", "broken")]).value >= 1.0);
    assert!(book.get("webpush_requests_total", &[apple, ("result", "connect")]).value >= 8.0);
    book.is("webpush_deliveries_total", &[apple, ("outcome", "gave_up")], 20.0);
}

#[derive(Debug)]
struct Never;

impl RemovalHook for Never {
    fn review(&self, _: &Removals<'_>) -> Review {
        Review::Withhold
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_decides_and_what_it_withheld_is_counted() {
    let (book, gone) = (Book::default(), Double::new(|_, _| status(410)));
    let store = store(at("fcm.googleapis.com", 3)).await;
    let channels = metrics::with_local_recorder(&book, || {
        let hub = Channels::builder(Arc::clone(&store), sender(&gone).build());
        hub.limits(limits()).removal_hook(Never).build()
    });
    let report = publish(&channels).await;
    assert_eq!((report.withheld, support::left(&*store).await), (3, 3));
    book.is("webpush_removals_total", &[("service", "fcm"), ("review", "withheld")], 3.0);
    book.is("webpush_removals_total", &[("review", "applied")], 0.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_neither_in_flight_nor_running() {
    let book = Book::default();
    let silent = Double::slow(|_, _| (3600 * SECOND, status(201)));
    let channels = hub(&book, &store(at("push.example.net", 5)).await, &silent);
    let mut deliveries = channels.deliveries(Publication::new(audience(), message()));
    assert!(tokio::time::timeout(SECOND, deliveries.next()).await.is_err());
    book.is("webpush_in_flight", &[("service", "other")], 5.0);
    book.is("webpush_broadcasts_running", &[], 1.0);
    drop(deliveries);
    tokio::time::sleep(SECOND).await;
    book.is("webpush_in_flight", &[], 0.0);
    book.is("webpush_broadcasts_running", &[], 0.0);
    book.is("webpush_requests_total", &[("result", "dropped")], 5.0);
    book.is("webpush_requests_total", &[], 5.0);
    book.is("webpush_broadcasts_total", &[("mode", "direct"), ("end", "dropped")], 1.0);
    book.is("webpush_deliveries_total", &[], 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_has_no_time_is_counted_as_that() {
    let book = Book::default();
    let silent = Double::slow(|_, _| (3600 * SECOND, status(201)));
    let channels = hub(&book, &store(at("push.example.net", 5)).await, &silent);
    let short = Broadcast::new(message()).with_send_within(SECOND);
    channels.channel(&news()).publish(short).await.unwrap();
    // Its requests are told to end.
    tokio::time::sleep(SECOND).await;
    book.is("webpush_broadcasts_total", &[("end", "finished")], 1.0);
    book.is("webpush_broadcast_seconds", &[], 1.0);
    book.is("webpush_deliveries_total", &[("outcome", "unconfirmed")], 5.0);
    book.is("webpush_requests_total", &[("result", "dropped")], 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_single_message_is_counted_too() {
    let (book, double) = (Book::default(), Double::slow(mixed));
    let sender = metrics::with_local_recorder(&book, || sender(&double).build());
    sender.send(&support::subscription("https://updates.push.services.mozilla.com/p/1"), &message()).await;
    let mozilla = ("service", "mozilla");
    book.is("webpush_deliveries_total", &[mozilla, ("outcome", "accepted")], 1.0);
    book.is("webpush_requests_total", &[mozilla], 3.0);
    book.is("webpush_retries_total", &[mozilla], 2.0);
    book.is("webpush_in_flight", &[], 0.0);
    assert_eq!(book.get("webpush_encryption_seconds", &[]).times, 3);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_taken_back_is_counted_by_what_came_of_it() {
    let book = Book::default();
    let stub = StubTransport::new();
    let statuses = [
        StatusCode::NO_CONTENT,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::IM_A_TEAPOT,
    ];
    stub.script_all([StubReply::Created].into_iter().chain(statuses.map(StubReply::status)));
    let sender = metrics::with_local_recorder(&book, || {
        Sender::builder(support::vapid(1), stub).encryptor(support::Plain).build()
    });
    let subscription = support::subscription("https://updates.push.services.mozilla.com/p/1");
    let sent = sender.send(&subscription, &message()).await;
    let url = sent.outcome.message_url().unwrap();
    for _ in 0..statuses.len() {
        let _ = sender.cancel(&subscription, url).await;
    }
    for end in ["done", "gone", "unsupported", "failed"] {
        book.is("webpush_cancels_total", &[("service", "mozilla"), ("end", end)], 1.0);
    }
    book.is("webpush_requests_total", &[], 1.0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_push_services_make_no_series() {
    let book = Book::default();
    let origins = (0..10_000).map(|n| format!("https://stranger-{n}.example.net/p/1"));
    let channels = hub(&book, &store(origins).await, &Double::accepting());
    let before = book.series();
    let report = publish(&channels).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 10_000);
    assert_eq!(book.series(), before);
    assert!(before.len() < 400, "{}", before.len());
    book.is("webpush_deliveries_total", &[("service", "other"), ("outcome", "accepted")], 10_000.0);
    book.is("webpush_tokens_signed_total", &[], 10_000.0);
}

#[tokio::test(start_paused = true)]
async fn senders_with_recorders_of_their_own_count_apart() {
    let (one, other) = (Book::default(), Book::default());
    let store = store(at("push.example.net", 2)).await;
    let hubs = [&one, &other].map(|book| hub(book, &store, &Double::accepting()));
    publish(&hubs[0]).await;
    one.is("webpush_deliveries_total", &[], 2.0);
    other.is("webpush_deliveries_total", &[], 0.0);
}

//! What `tracing` is told, by level.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod support;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use webpush_channels::channel::{Broadcast, Channel as _, DurableChannel, Publication, Worker};
use webpush_channels::store::Audience;
use webpush_channels::transport::{TransportError, TransportErrorKind};
use webpush_channels::{BroadcastId, Report};

use support::{Answer, Double, Seen, at, hub, message, news, status, store};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// One test at a time: whether a span is wanted is remembered for all threads, and while there is one subscriber,
/// threads that have none are believed too.
static TURN: Mutex<()> = Mutex::new(());

/// Until it is dropped, of this thread only: a test's runtime has no other.
struct Listening {
    _subscriber: tracing::subscriber::DefaultGuard,
    _turn: MutexGuard<'static, ()>,
}

fn listen(level: Level) -> (Log, Listening) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .without_time()
        .with_writer(log.clone())
        .finish();
    let subscriber = tracing::subscriber::set_default(subscriber);
    (log, Listening { _subscriber: subscriber, _turn: turn })
}

/// Answers by the number that the endpoint ends with: one is gone, one is asked for three times, one gets no status,
/// the others are accepted.
fn mixed(seen: &Seen, nth: usize) -> (Duration, Answer) {
    let answer = match (seen.uri.rsplit_once('/').unwrap().1, nth) {
        ("0", _) => status(410),
        ("1", 1 | 2) => status(500),
        ("2", _) => Err(TransportError::new(TransportErrorKind::AddressRefused)),
        _ => status(201),
    };
    (Duration::from_millis(100), answer)
}

fn endpoints() -> impl Iterator<Item = String> {
    ["fcm.googleapis.com", "updates.push.services.mozilla.com"].into_iter().flat_map(|host| at(host, 5))
}

fn count(lines: &[String], parts: &[&str]) -> usize {
    lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

/// The ends of spans of this name.
fn ended(lines: &[String], span: &str, field: &str) -> usize {
    let last = |line: &&String| {
        let (spans, _) = line.split_once("}: ").unwrap_or_default();
        line.ends_with(": close")
            && spans
                .rsplit_once('{')
                .is_some_and(|(path, fields)| path.ends_with(span) && fields.contains(field))
    };
    lines.iter().filter(last).count()
}

async fn publish(endpoints: impl IntoIterator<Item = String>, double: &Double) -> Report {
    let channels = hub(store(endpoints).await, double);
    let named = Broadcast::new(message()).with_id(BroadcastId::new("goal-1").unwrap());
    channels.channel(&news()).publish(named).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn at_info_a_broadcast_is_a_span_and_its_size_does_not_matter() {
    let (log, _guard) = listen(Level::INFO);
    publish(at("push.example.net", 500), &Double::accepting()).await;
    let lines = log.lines();
    assert_eq!(
        ended(&lines, "broadcast", r#"id=goal-1 audience="channel" send_within=3600"#),
        1,
        "{lines:#?}"
    );
    assert_eq!(lines.len(), 2, "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn at_trace_each_request_is_a_span_and_each_outcome_an_event() {
    let (log, _guard) = listen(Level::TRACE);
    let report = publish(endpoints(), &Double::slow(mixed)).await;
    let lines = log.lines();
    assert_eq!(ended(&lines, "broadcast", "id=goal-1"), 1);
    assert!(ended(&lines, "page", "limit=") >= 1 && ended(&lines, "batch", "messages=") >= 1);
    for (fields, n) in [
        ("service=fcm origin=https://fcm.googleapis.com subscription=", 7),
        ("attempt=1", 10),
        ("attempt=3", 2),
        ("status=201", 6),
        ("status=500", 4),
        (r#"error="address refused""#, 2),
    ] {
        assert_eq!(ended(&lines, ":delivery", fields), n, "{fields}");
    }
    assert_eq!(ended(&lines, ":delivery", "attempt="), usize::try_from(report.attempts).unwrap());
    assert_eq!(count(&lines, &["settled", "outcome="]), 10);
    assert_eq!(count(&lines, &["settled", "service=mozilla", "outcome=gone attempts=1"]), 1);
    // Everything happens inside.
    assert_eq!(count(&lines, &["delivery{"]), count(&lines, &["broadcast{", "batch{", "delivery{"]));
}

#[tokio::test(start_paused = true)]
async fn at_debug_a_worker_tells_its_leases_pages_and_checkpoints() {
    let (log, _guard) = listen(Level::DEBUG);
    let store = store(endpoints()).await;
    let worker = Worker::builder(hub(Arc::clone(&store), &Double::slow(mixed)), Arc::clone(&store)).build();
    let named = Broadcast::new(message()).with_id(BroadcastId::new("goal-2").unwrap());
    DurableChannel::new(store).enqueue(Publication::new(Audience::Channel(news()), named)).await.unwrap();
    worker.run_until_idle().await.unwrap();
    let lines = log.lines();
    assert!(ended(&lines, "lease", r#"id=goal-2 audience="channel""#) >= 1, "{lines:#?}");
    assert!(count(&lines, &["lease{", "retries="]) >= 1, "some are tried again in a lease of their own");
    for (span, field) in [("page", "limit="), ("checkpoint", "entries="), ("batch", "messages=")] {
        assert!(ended(&lines, &format!(":{span}"), field) >= 1, "{span}: {lines:#?}");
    }
    assert_eq!(count(&lines, &["delivery{"]), 0);
}

//! A journal that fails at any call, and a worker that vanishes at any call: nothing is lost,
//! and what is repeated is bounded.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
mod support;

use std::future::pending;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use durable::faulty::{Fault, Faulty};
use durable::{builder, report, times};
use proptest::prelude::*;
use support::{Double, answer, broadcast, left, news, status, store, user};
use tokio::time::{sleep, timeout};
use webpush_channels::channel::{Channels, DurableChannel, Publication, Worker};
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, Change, MemoryStore, SubscriptionStore};
use webpush_channels::transport::{Processed, TransportError, TransportErrorKind};
use webpush_channels::{BroadcastId, BroadcastState, OutcomeKind, Report};

const WINDOW: usize = 4;
const LEASES: usize = 2;
const MEMBERS: [&str; 14] = [
    "a", "b", "c", "gone", "busy", "slow", "torn", "renew", "d", "e", "gone-too", "busy-too", "slow-too", "f",
];

async fn audience() -> Arc<MemoryStore> {
    let urls = MEMBERS.map(|name| format!("https://{name}.example.net/{name}"));
    let store = store(urls).await;
    let renew = MEMBERS.iter().position(|name| *name == "renew").unwrap();
    let entry = store.subscriptions(&user(renew)).await.unwrap().remove(0);
    store.apply(&[(entry.reference(), Change::NeedsRenewal)]).await.unwrap();
    store
}

/// Removals, deferrals, answers that come late, and requests that may have arrived.
fn transport() -> Double {
    Double::slow(|seen, nth| {
        let moment = Duration::from_millis(40);
        match seen.uri.rsplit_once('/').unwrap().1 {
            "gone" | "gone-too" => (moment, status(410)),
            "busy" | "busy-too" if nth == 1 => (moment, answer(429, &[("retry-after", "5")], "")),
            "slow" | "slow-too" => (Duration::from_secs(10), status(201)),
            "torn" if nth == 1 => {
                let torn = TransportError::new(TransportErrorKind::Interrupted);
                (moment, Err(torn.with_processed(Processed::Unknown)))
            }
            _ => (moment, status(201)),
        }
    })
}

fn worker(journal: &Arc<Faulty>, transport: &Double) -> Worker {
    builder(journal, transport, WINDOW).leases(LEASES.try_into().unwrap()).build()
}

async fn enqueue(journal: &Arc<Faulty>) -> BroadcastId {
    let id = BroadcastId::new("one").unwrap();
    let publication = Publication::new(Audience::Channel(news()), broadcast().with_id(id.clone()));
    let channel = DurableChannel::new(Arc::clone(journal)).with_ranges(3.try_into().unwrap());
    while let Err(error) = channel.enqueue(publication.clone()).await {
        assert!(error.is_retryable(), "{error}");
    }
    id
}

/// Everything that must hold, whatever went wrong. Returns how many requests were not needed.
async fn check(journal: &Arc<Faulty>, transport: &Double, id: &BroadcastId, what: &str) -> (Report, usize) {
    let report = report(journal, id).await;
    let members = MEMBERS.len() as u64;
    assert_eq!((report.state, report.pending), (BroadcastState::Finished, 0), "{what}: {report}");
    assert_eq!(report.read, members, "{what}: {report}");
    assert_eq!(report.counts[OutcomeKind::Skipped], 1, "{what}: {report}");
    // Whoever was removed by a checkpoint is not there for the successor, and counts all the same.
    assert_eq!(report.counts[OutcomeKind::Gone], 2, "{what}: {report}");
    assert_eq!(report.counts[OutcomeKind::Accepted], members - 3, "{what}: {report}");
    assert_eq!((report.pruned, left(&*journal.store).await), (2, members - 2), "{what}");
    let totals = journal.totals(&news()).await.unwrap();
    assert_eq!((totals.broadcasts, totals.pruned), (1, 2), "{what}");
    assert_eq!(totals.counts, report.counts, "{what}");
    assert!(journal.unfinished(None, support::PAGE).await.unwrap().is_empty(), "{what}");
    let times = times(transport);
    let mut extra = 0;
    for name in MEMBERS.iter().filter(|name| **name != "renew") {
        let needed = if ["busy", "busy-too", "torn"].contains(name) { 2 } else { 1 };
        let asked = times[&format!("https://{name}.example.net/{name}")];
        assert!(asked >= needed, "{what}: {name} was asked {asked} times");
        extra += asked - needed;
    }
    (report, extra)
}

/// How many calls there are when nothing goes wrong.
async fn calls() -> usize {
    let (journal, transport) = (Faulty::new(audience().await), transport());
    let id = enqueue(&journal).await;
    worker(&journal, &transport).run_until_idle().await.unwrap();
    let (report, extra) = check(&journal, &transport, &id, "nothing").await;
    assert_eq!((extra, report.repeats, report.takeovers), (0, 1, 0), "{report}");
    assert_eq!(report.attempts, transport.seen().len() as u64, "{report}");
    let calls = journal.calls();
    assert!((30..500).contains(&calls), "{calls}");
    calls
}

async fn spoil(fault: Fault) {
    for call in 0..calls().await {
        let (journal, transport) = (Faulty::at(audience().await, call, fault), transport());
        let id = enqueue(&journal).await;
        worker(&journal, &transport).run_until_idle().await.unwrap();
        let what = format!("call {call}: {fault:?}");
        let (report, extra) = check(&journal, &transport, &id, &what).await;
        assert_eq!((extra, report.repeats), (0, 1), "{what}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_done_loses_and_repeats_nothing() {
    spoil(Fault::NotDone).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_was_lost_loses_and_repeats_nothing() {
    spoil(Fault::AnswerLost).await;
}

async fn crash(fault: Fault) {
    let mut most = 0;
    // The first call is the one that enqueues.
    for call in 1..calls().await {
        let (journal, transport) = (Faulty::at(audience().await, call, fault), transport());
        let id = enqueue(&journal).await;
        let first = worker(&journal, &transport);
        tokio::select! {
            done = first.run_until_idle() => panic!("call {call} did not come: {done:?}"),
            () = journal.crashed() => {}
        }
        drop(first);
        tokio::task::yield_now().await;
        assert_eq!(transport.in_flight(), 0, "nothing keeps running");
        worker(&journal, &transport).run_until_idle().await.unwrap();
        let what = format!("call {call}: {fault:?}");
        let (report, extra) = check(&journal, &transport, &id, &what).await;
        // Each lease: its window, and what is in flight.
        assert!(extra <= LEASES * 2 * WINDOW, "{what}: {extra} requests too many: {report}");
        assert!(report.takeovers <= 2 * LEASES as u64, "{what}: {report}");
        most = most.max(extra);
    }
    assert!(most > 0, "a crash repeats something, somewhere: or the test tests nothing");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_vanishes_before_any_call_loses_nothing() {
    crash(Fault::CrashBefore).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_vanishes_after_any_call_loses_nothing() {
    crash(Fault::CrashAfter).await;
}

/// What a push service does, by a draw for each request: answers of any kind, after any time.
fn erratic(seed: u64) -> Double {
    Double::slow(move |seen, nth| {
        let mut rng = fastrand_of(seed, &seen.uri, nth);
        let delay = [0, 1, 40, 300, 2500, 9000, 28_000][rng(7)];
        let answer = match rng(12) {
            0 => answer(429, &[("retry-after", ["0", "1", "7"][rng(3)])], ""),
            1 => answer(503, &[("retry-after", "3")], ""),
            2 => status(500),
            3 => status(410),
            4 => Err(TransportError::new(TransportErrorKind::Connect)),
            5 => Err(TransportError::new(TransportErrorKind::Interrupted).with_processed(Processed::Unknown)),
            6 => status(403),
            _ => status(201),
        };
        (Duration::from_millis(delay), answer)
    })
}

/// Numbers below a bound, the same for the same request.
fn fastrand_of(seed: u64, uri: &str, nth: usize) -> impl FnMut(usize) -> usize {
    let mut hash = std::hash::DefaultHasher::new();
    (seed, uri, nth).hash(&mut hash);
    let mut state = hash.finish();
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_answers_come_and_whenever_a_worker_ends_the_counts_add_up(
        seed in any::<u64>(),
        window in 1_usize..20,
        leases in 1_usize..4,
        in_flight in 1_usize..12,
        per_origin in 1_usize..6,
        ends_after in 1_u64..60_000,
        crashes in any::<bool>(),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let urls = (0..60).map(|n| format!("https://h{}.example.net/{n}", n % 5));
            let (journal, transport) = (Faulty::new(store(urls).await), erratic(seed));
            let id = enqueue(&journal).await;
            let worker = || {
                let limits = support::limits().with_window(window).with_in_flight(in_flight);
                let sender = support::sender(&transport).per_origin(per_origin).build();
                let hub = Channels::builder(Arc::clone(&journal.store), sender).limits(limits).build();
                Worker::builder(hub, Arc::clone(&journal)).leases(leases.try_into().unwrap()).build()
            };
            let end = Duration::from_millis(ends_after);
            if crashes {
                drop(timeout(end, worker().run(pending())).await);
            } else {
                worker().run(sleep(end)).await.unwrap();
            }
            tokio::task::yield_now().await;
            assert_eq!(transport.in_flight(), 0);
            let day = Duration::from_secs(86_400);
            timeout(day, worker().run_until_idle()).await.expect("it ends").unwrap();
            let report = report(&journal, &id).await;
            assert_eq!((report.state, report.pending), (BroadcastState::Finished, 0), "{report}");
            assert_eq!(report.read, 60, "{report}");
            assert_eq!(report.counts.total(), report.read);
            assert!(crashes || report.takeovers == 0, "no lease panicked: {report}");
            assert!(crashes || report.attempts == transport.seen().len() as u64, "{report}");
            assert!(report.counts[OutcomeKind::Gone] >= report.pruned, "{report}");
            let gone: u64 = 60 - left(&*journal.store).await;
            assert_eq!(gone, report.pruned);
            assert!(transport.most_in_flight() <= 5 * per_origin, "{}", transport.most_in_flight());
        });
    }
}

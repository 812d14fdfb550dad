//! What a broadcast does when the parts around it misbehave, and at the edges of its limits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::future::{Future, pending};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use proptest::prelude::*;
use support::flawed::{Flaw, Flawed, Odd, PanicsAtOnce};
use support::{Double, answer, at, broadcast, hub, left, limits, message, news, sender, status, store};
use tokio::time::{Instant, timeout};
use webpush_channels::channel::{Broadcast, BroadcastError, Channel, Channels, Deliveries};
use webpush_channels::sender::{RetryPolicy, Sender};
use webpush_channels::store::{Change, NewEntry, SubscriptionStore};
use webpush_channels::testing::UserAgent;
use webpush_channels::{
    BroadcastState, KeyId, Message, Outcome, OutcomeKind, Padding, Payload, Report, SkipReason, Ttl,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Publishes; what is read adds up, and all of it has an outcome.
async fn publish(hub: &Channels, broadcast: impl Into<Broadcast>) -> Report {
    let publishing = hub.channel(&news()).publish(broadcast.into()).await;
    let report = publishing.expect("the store does not fail");
    adds_up(&report);
    assert_eq!(report.pending, 0, "{report}");
    report
}

fn adds_up(report: &Report) {
    assert_eq!(report.counts.total() + report.pending, report.read, "{report}");
    let by_origin: u64 = report.origins.iter().map(|origin| origin.counts.total()).sum();
    assert_eq!(by_origin, report.counts.total(), "{report}");
}

fn all(report: &Report, kind: OutcomeKind) {
    assert_eq!(report.counts[kind], report.read, "{report}");
}

fn deliveries(hub: &Channels) -> Deliveries {
    hub.channel(&news()).deliveries(broadcast())
}

// --- the store fails

async fn failure(flaw: Flaw, window: usize, transport: &Double) -> (u64, BroadcastError) {
    let store = store(at("push.example.net", 100)).await;
    let hub = Channels::builder(Flawed::new(store, flaw), sender(transport).build())
        .limits(limits().with_window(window))
        .without_removal_hook()
        .build();
    let mut stream = deliveries(&hub);
    let mut delivered = 0;
    let error = loop {
        match stream.next().await.expect("it ends with an error") {
            Ok(_) => delivered += 1,
            Err(error) => break error,
        }
    };
    assert!(stream.next().await.is_none(), "the error is the end");
    assert_eq!(error.report.state, BroadcastState::Failed);
    adds_up(&error.report);
    assert_eq!(error.report.counts.total(), delivered, "each outcome was yielded: {}", error.report);
    assert_eq!(transport.in_flight(), 0, "what was in flight landed");
    (delivered, error)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_once_ends_the_broadcast_with_an_empty_report() {
    for flaw in [Flaw::Split, Flaw::Page(0)] {
        let (delivered, error) = failure(flaw, 4096, &Double::accepting()).await;
        assert_eq!((delivered, error.report.read), (0, 0), "{flaw:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_in_the_middle_ends_the_broadcast_with_a_report_that_adds_up() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let (delivered, error) = failure(Flaw::Page(3), 10, &transport).await;
    assert!(delivered > 0 && error.report.read < 100, "{}", error.report);
    assert_eq!(error.report.attempts, transport.seen().len() as u64);
}

#[tokio::test(start_paused = true)]
async fn changes_that_cannot_be_applied_end_the_broadcast_after_the_deliveries() {
    let (delivered, error) = failure(Flaw::Apply, 4096, &Double::new(|_, _| status(410))).await;
    assert_eq!((delivered, error.report.counts[OutcomeKind::Gone], error.report.pruned), (100, 100, 0));
}

#[tokio::test(start_paused = true)]
async fn empty_pages_are_not_the_end() {
    let store = Flawed::new(store(at("push.example.net", 100)).await, Flaw::EmptyPages);
    let hub = Channels::builder(store, sender(&Double::accepting()).build())
        .limits(limits().with_window(7))
        .build();
    let report = publish(&hub, broadcast()).await;
    all(&report, OutcomeKind::Accepted);
    assert_eq!(report.read, 100);
}

#[tokio::test(start_paused = true)]
async fn changes_that_outlast_the_deadline_are_waited_for_without_spinning() {
    let store = store(at("push.example.net", 100)).await;
    let slow = Flawed::new(Arc::clone(&store), Flaw::SlowApply(10 * SECOND));
    // With a paused clock the sleep of the store would never end under a loop that spins.
    let gone = Double::new(|_, _| status(410));
    let hub = Channels::builder(slow, sender(&gone).build()).limits(limits()).without_removal_hook().build();
    let report = publish(&hub, broadcast().with_send_within(SECOND)).await;
    assert_eq!((report.pruned, left(&*store).await), (100, 0));
}

// --- the encryptor and the transport fail

/// Ten members, each with keys of its own.
async fn ten() -> Arc<webpush_channels::store::MemoryStore> {
    let store = store([]).await;
    for (n, url) in at("push.example.net", 10).into_iter().enumerate() {
        let subscription = UserAgent::seeded(n as u64).subscribe(url.parse().unwrap());
        store.put(&[NewEntry::new(support::user(n), subscription)]).await.unwrap();
        store.join(&news(), &[support::user(n)]).await.unwrap();
    }
    store
}

#[tokio::test]
async fn a_faulty_encryptor_costs_the_entries_that_it_fails() {
    for (odd, failed) in [(Odd::Panics, 10), (Odd::FailsForOne, 1), (Odd::LeavesOneOut, 1)] {
        for threads in [0, 1] {
            let transport = Double::accepting();
            let sender = sender(&transport).encryptor(odd).per_origin(10).build();
            let hub = Channels::builder(ten().await, sender)
                .limits(limits().with_encryption_threads(threads).with_in_flight(10))
                .build();
            // Twice: the first must have given every place back.
            for _ in 0..2 {
                let report = publish(&hub, broadcast()).await;
                assert_eq!(report.counts[OutcomeKind::GaveUp], failed, "{odd:?}: {report}");
                assert_eq!(report.counts[OutcomeKind::Accepted], 10 - failed, "{odd:?}: {report}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_costs_one_entry() {
    let transport = Double::new(|seen, _| {
        assert!(!seen.uri.ends_with("/3"), "a transport's bug");
        status(201)
    });
    let report = publish(&hub(ten().await, &transport), broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 9, "{report}");
    assert_eq!(report.counts[OutcomeKind::Unconfirmed], 1, "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_before_its_future_exists_loses_no_entry() {
    let sender = Sender::builder(support::vapid(1), PanicsAtOnce).encryptor(support::Plain).build();
    let hub = Channels::builder(ten().await, sender).limits(limits()).build();
    let start = Instant::now();
    all(&publish(&hub, broadcast()).await, OutcomeKind::Unconfirmed);
    assert!(start.elapsed() < 60 * SECOND, "{:?}", start.elapsed());
}

// --- limits of one

#[tokio::test(start_paused = true)]
async fn the_smallest_limits_still_reach_everybody() {
    for (window, in_flight, deferred, per_origin) in [
        (1, 2048, 65_536, 1024),
        (4096, 1, 65_536, 1024),
        (4096, 2048, 0, 1024),
        (4096, 2048, 9, 1),
        (1, 1, 0, 1),
    ] {
        let transport = Double::slow(|seen, nth| {
            let throttled = nth == 1 && seen.uri.ends_with('7');
            let answer = if throttled { answer(429, &[("retry-after", "20")], "") } else { status(201) };
            (Duration::from_millis(20), answer)
        });
        let sender = sender(&transport).per_origin(per_origin).build();
        let urls = at("a.example.net", 30).into_iter().chain(at("b.example.net", 30));
        let limits = limits().with_window(window).with_in_flight(in_flight).with_deferred(deferred);
        let hub = Channels::builder(store(urls).await, sender).limits(limits).build();
        let report = publish(&hub, broadcast()).await;
        all(&report, OutcomeKind::Accepted);
        assert_eq!((report.read, report.attempts), (60, 66), "{window} {in_flight} {deferred} {per_origin}");
    }
}

// --- several broadcasts on one hub

/// A hub whose requests take a second, `in_flight` at once, and whose channel has `members`.
async fn narrow(in_flight: usize, members: usize) -> (Double, Channels) {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let store = store(at("push.example.net", members)).await;
    let hub = Channels::builder(store, sender(&transport).build())
        .limits(limits().with_in_flight(in_flight))
        .build();
    (transport, hub)
}

async fn accepted(deliveries: Deliveries) -> usize {
    deliveries
        .filter(|delivery| std::future::ready(delivery.as_ref().unwrap().outcome.is_accepted()))
        .count()
        .await
}

async fn completes(hub: &Channels, members: u64) {
    let report = timeout(HOUR, publish(hub, broadcast())).await.expect("the others are not blocked");
    assert_eq!(report.counts[OutcomeKind::Accepted], members, "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_stalls_after_a_delivery_blocks_no_other_broadcast() {
    for in_flight in [1, 3] {
        let (_, hub) = narrow(in_flight, 20).await;
        let mut stalled = deliveries(&hub);
        stalled.next().await.unwrap().unwrap();
        tokio::join!(completes(&hub, 20), completes(&hub, 20));
        assert_eq!(accepted(stalled).await, 19);
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_stalls_while_it_waits_for_room_blocks_no_other_broadcast() {
    let (_, hub) = narrow(1, 5).await;
    let mut first = deliveries(&hub);
    first.next().await.unwrap().unwrap();
    let mut stalled = deliveries(&hub);
    // It asks for a request that the first broadcast holds, and is not polled again.
    assert!(timeout(SECOND / 2, stalled.next()).await.is_err());
    assert_eq!(accepted(first).await, 4);
    completes(&hub, 5).await;
    assert_eq!(accepted(stalled).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_small_broadcast_is_not_starved_by_a_large_one() {
    let (_, hub) = narrow(50, 5000).await;
    small_beside_large(&hub).await;
}

/// Fifty requests of a second at once, 5000 of them on the way: a hundred more want their share.
async fn small_beside_large(hub: &Channels) {
    let few = webpush_channels::ChannelName::new("few").unwrap();
    let users: Vec<_> = (0..100).map(support::user).collect();
    hub.store().join(&few, &users).await.unwrap();
    let large = tokio::spawn({
        let hub = hub.clone();
        async move { publish(&hub, broadcast()).await }
    });
    tokio::time::sleep(10 * SECOND).await;
    let start = Instant::now();
    let report = hub.channel(&few).publish(broadcast()).await.unwrap();
    all(&report, OutcomeKind::Accepted);
    // Half of the hub would take four seconds.
    assert!(start.elapsed() < 12 * SECOND, "{:?}", start.elapsed());
    all(&large.await.unwrap(), OutcomeKind::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_small_broadcast_is_not_starved_at_a_push_service_that_takes_little() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let sender = sender(&transport).per_origin(50).build();
    let store = store(at("push.example.net", 5000)).await;
    let hub = Channels::builder(store, sender).limits(limits()).build();
    small_beside_large(&hub).await;
    assert_eq!(transport.most_in_flight(), 50);
}

#[tokio::test(start_paused = true)]
async fn room_that_another_broadcast_gives_back_is_noticed_while_a_request_hangs() {
    let transport = Double::slow(|seen, _| {
        if seen.uri.contains("hangs") { (300 * SECOND, status(201)) } else { (SECOND, status(201)) }
    });
    let store = store(at("push.example.net", 100)).await;
    let hung = NewEntry::new(support::user(0), support::subscription("https://hangs.example.net/x"));
    store.put(&[hung]).await.unwrap();
    let hub = Channels::builder(store, sender(&transport).build()).limits(limits().with_in_flight(4)).build();
    let start = Instant::now();
    tokio::join!(completes(&hub, 101), completes(&hub, 101));
    let last = transport.seen_at("push.example.net").iter().map(|seen| seen.at - start).max().unwrap();
    assert!(last < 150 * SECOND, "{last:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_broadcasts_on_threads_all_end_and_keep_the_limits() {
    let transport = Double::slow(|_, _| (Duration::from_millis(1), status(201)));
    let urls = ["a", "b", "c"].into_iter().flat_map(|host| at(&format!("{host}.example.net"), 20));
    let sender = sender(&transport).per_origin(2).build();
    let limits = limits().with_in_flight(5).with_window(30).with_encryption_threads(2);
    let hub = Channels::builder(store(urls).await, sender).limits(limits).build();
    let mut stalled = deliveries(&hub);
    stalled.next().await.unwrap().unwrap();
    let publish = || {
        let hub = hub.clone();
        tokio::spawn(async move { publish(&hub, broadcast()).await })
    };
    for publishing in [publish(), publish(), publish(), publish(), publish()] {
        let report = timeout(60 * SECOND, publishing).await.expect("no wake-up is missed").unwrap();
        assert_eq!(report.counts[OutcomeKind::Accepted], 60, "{report}");
    }
    assert_eq!(accepted(stalled).await, 59);
    assert!(transport.most_in_flight() <= 5, "{}", transport.most_in_flight());
}

// --- entries

#[tokio::test(start_paused = true)]
async fn a_payload_limit_counts_octets_of_the_body() {
    // 5 octets of payload: a body of 108, padded to 256.
    for (limit, body) in
        [(4096, Some(256)), (256, Some(256)), (255, Some(255)), (108, Some(108)), (107, None)]
    {
        let store = store(at("push.example.net", 1)).await;
        let entry = store.subscriptions(&support::user(0)).await.unwrap().remove(0);
        store.apply(&[(entry.reference(), Change::LimitPayload(limit))]).await.unwrap();
        let transport = Double::accepting();
        let sender = Sender::builder(support::vapid(1), transport.clone()).build();
        let hub = Channels::builder(store, sender).limits(limits()).build();
        let report = publish(&hub, broadcast()).await;
        all(&report, if body.is_some() { OutcomeKind::Accepted } else { OutcomeKind::TooLarge });
        assert_eq!(transport.seen().first().map(|seen| seen.body.len()), body, "{limit}");
        // An empty message has no body to limit.
        let empty = Message::new(Payload::empty(), Ttl::hours(1));
        all(&publish(&hub, empty).await, OutcomeKind::Accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_too_large_is_remembered_and_the_next_is_padded_less() {
    let store = store(at("push.example.net", 1)).await;
    let transport = Double::new(|seen, _| status(if seen.body.len() >= 256 { 413 } else { 201 }));
    let sender = Sender::builder(support::vapid(1), transport.clone()).build();
    let hub = Channels::builder(Arc::clone(&store), sender).limits(limits()).build();
    all(&publish(&hub, broadcast()).await, OutcomeKind::TooLarge);
    let entry = store.subscriptions(&support::user(0)).await.unwrap().remove(0);
    assert_eq!(entry.payload_limit, Some(255));
    all(&publish(&hub, broadcast()).await, OutcomeKind::Accepted);
    // What is longer than the limit without padding is not tried again.
    let long = Message::new(Payload::new(vec![0; 200]).unwrap(), Ttl::hours(1));
    all(&publish(&hub, long).await, OutcomeKind::TooLarge);
    assert_eq!(transport.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_length_that_no_payload_fits_is_too_large_and_an_empty_message_is_sent() {
    let hub = hub(store(at("push.example.net", 3)).await, &Double::accepting());
    all(&publish(&hub, message().with_padding(Padding::Fixed(50))).await, OutcomeKind::TooLarge);
    let empty = Message::new(Payload::empty(), Ttl::hours(1)).with_padding(Padding::Fixed(50));
    all(&publish(&hub, empty).await, OutcomeKind::Accepted);
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_lost_key_and_those_that_wait_for_renewal_are_skipped_and_kept() {
    let store = store(at("push.example.net", 2)).await;
    let lost = NewEntry::new(support::user(0), support::subscription("https://push.example.net/p/0"))
        .with_key(KeyId::from_bytes([9; 16]));
    store.put(&[lost]).await.unwrap();
    let waits = store.subscriptions(&support::user(1)).await.unwrap().remove(0);
    store.apply(&[(waits.reference(), Change::NeedsRenewal)]).await.unwrap();
    let transport = Double::accepting();
    let hub = hub(Arc::clone(&store), &transport);
    let outcomes: Vec<_> = deliveries(&hub).map(|delivery| delivery.unwrap().outcome).collect().await;
    assert_eq!(
        outcomes,
        [Outcome::Skipped(SkipReason::NeedsRenewal), Outcome::Skipped(SkipReason::NeedsRenewal)]
    );
    assert_eq!((transport.seen().len(), left(&*store).await), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_sends_nothing_lets_other_tasks_run() {
    let past = std::time::UNIX_EPOCH + SECOND;
    let store = store([]).await;
    let agent = UserAgent::seeded(1);
    let entries: Vec<_> = at("push.example.net", 20_000)
        .into_iter()
        .map(|url| agent.subscribe(url.parse().unwrap()).with_expiration_time(Some(past)))
        .enumerate()
        .map(|(n, subscription)| NewEntry::new(support::user(n), subscription))
        .collect();
    store.put(&entries).await.unwrap();
    store.join(&news(), &entries.iter().map(|entry| entry.user.clone()).collect::<Vec<_>>()).await.unwrap();
    let turns = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        }
    });
    all(&publish(&hub(store, &Double::accepting()), broadcast()).await, OutcomeKind::Skipped);
    other.abort();
    assert!(turns.load(std::sync::atomic::Ordering::SeqCst) > 5, "{turns:?}");
}

// --- time

#[tokio::test(start_paused = true)]
async fn the_time_may_be_unlimited_or_none() {
    let hub = hub(store(at("push.example.net", 10)).await, &Double::accepting());
    all(&publish(&hub, broadcast().with_send_within(Duration::MAX)).await, OutcomeKind::Accepted);
    let report = publish(&hub, broadcast().with_send_within(Duration::ZERO)).await;
    assert_eq!((report.state, report.read), (BroadcastState::TimedOut, 0));
}

#[tokio::test(start_paused = true)]
async fn pauses_without_end_are_no_overflow() {
    let transport = Double::new(|seen, _| {
        if seen.uri.contains("late") {
            answer(429, &[("retry-after", "99999999999999999999")], "")
        } else {
            status(503)
        }
    });
    let endless =
        RetryPolicy::default().with_backoff(Duration::MAX, Duration::MAX).with_max_retry_after(Duration::MAX);
    let urls = at("late.example.net", 10).into_iter().chain(at("push.example.net", 10));
    let store = store(urls).await;
    let hub = Channels::builder(store, sender(&transport).retry(endless).build()).limits(limits()).build();
    for within in [HOUR, Duration::MAX] {
        all(&publish(&hub, broadcast().with_send_within(within)).await, OutcomeKind::Expired);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_due_at_the_deadline_is_not_waited_for() {
    let transport =
        Double::new(
            |_, nth| {
                if nth % 2 == 1 { answer(429, &[("retry-after", "10")], "") } else { status(201) }
            },
        );
    let hub = hub(store(at("push.example.net", 1)).await, &transport);
    let start = Instant::now();
    all(&publish(&hub, broadcast().with_send_within(10 * SECOND)).await, OutcomeKind::Expired);
    assert!(start.elapsed() < SECOND);
    let transport_again = publish(&hub, broadcast().with_send_within(10 * SECOND)).await;
    all(&transport_again, OutcomeKind::Accepted);
    let later = broadcast().with_send_within(10 * SECOND + Duration::from_millis(50));
    all(&publish(&hub, later).await, OutcomeKind::Accepted);
    assert_eq!(transport.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_paused_beyond_the_deadline_holds_up_no_other() {
    let transport = Double::new(|seen, _| {
        if seen.uri.contains("busy") { answer(429, &[("retry-after", "1800")], "") } else { status(201) }
    });
    let urls = at("busy.example.net", 200).into_iter().chain(at("calm.example.net", 50));
    let sender = sender(&transport).build();
    let hub = Channels::builder(store(urls).await, sender)
        .limits(limits().with_window(10).with_deferred(5))
        .build();
    let start = Instant::now();
    let report = publish(&hub, broadcast().with_send_within(60 * SECOND)).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 50, "{report}");
    assert_eq!(report.counts[OutcomeKind::Expired], 200, "{report}");
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn entries_that_come_to_a_paused_origin_whose_request_hangs_hold_up_no_other() {
    let transport = Double::slow(|seen, _| match () {
        () if seen.uri.contains("calm") => (Duration::ZERO, status(201)),
        () if seen.uri.ends_with("/0") => (50 * SECOND, status(201)),
        () => (Duration::ZERO, answer(429, &[("retry-after", "1800")], "")),
    });
    let urls = at("busy.example.net", 200).into_iter().chain(at("calm.example.net", 50));
    let sender = sender(&transport).build();
    let hub = Channels::builder(store(urls).await, sender)
        .limits(limits().with_window(10).with_deferred(5))
        .build();
    let start = Instant::now();
    let report = publish(&hub, broadcast().with_send_within(60 * SECOND)).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 51, "{report}");
    assert_eq!(report.counts[OutcomeKind::Expired], 199, "{report}");
    let last = transport.seen_at("calm").iter().map(|seen| seen.at - start).max().unwrap();
    assert!(last < 5 * SECOND, "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_short_lived_message_is_repeated_with_a_fresh_token_at_once() {
    for ttl in [0, 1] {
        let first = std::sync::Mutex::new(None::<String>);
        let transport = Double::slow(move |seen, _| {
            let mut first = first.lock().unwrap();
            let refused = first.get_or_insert_with(|| seen.authorization.clone());
            (Duration::from_millis(50), status(if *refused == seen.authorization { 403 } else { 201 }))
        });
        let hub = hub(store(at("push.example.net", 1)).await, &transport);
        let report = publish(&hub, Message::new(Payload::empty(), Ttl::from_secs(ttl))).await;
        all(&report, OutcomeKind::Accepted);
        let ttls: Vec<_> = transport.seen().into_iter().map(|seen| seen.ttl).collect();
        assert_eq!(ttls, [ttl.to_string(), "0".to_owned()]);
    }
}

// --- cancellation

/// Polls a future this often, a few milliseconds apart, then drops it.
async fn poll_and_drop(future: impl Future, polls: usize) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let done = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if done {
            return;
        }
        let _ = timeout(Duration::from_millis(3), pending::<()>()).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_broadcast_dropped_at_any_moment_gives_every_place_back(
        polls in 0_usize..60,
        in_flight in 1_usize..4,
        per_origin in 1_usize..3,
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let transport = Double::slow(|seen, nth| {
                let busy = nth == 1 && seen.uri.ends_with('5');
                (Duration::from_millis(7), if busy { answer(429, &[("retry-after", "1")], "") } else { status(201) })
            });
            let urls = at("a.example.net", 10).into_iter().chain(at("b.example.net", 10));
            let sender = sender(&transport).per_origin(per_origin).build();
            let limits = limits().with_in_flight(in_flight);
            let hub = Channels::builder(store(urls).await, sender).limits(limits).build();
            poll_and_drop(hub.channel(&news()).publish(broadcast()), polls).await;
            tokio::task::yield_now().await;
            assert_eq!(transport.in_flight(), 0);
            completes(&hub, 20).await;
            assert!(transport.most_in_flight() <= in_flight.min(2 * per_origin));
        });
    }
}

//! What a durable broadcast promises, on doubles and with paused time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
mod support;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use durable::{enqueue, one, report, run, times, worker};
use support::{
    Double, Seen, answer, assert_each_status, at, broadcast, each_status, left, limits, message, news,
    sender, status, user,
};
use tokio::time::{Instant, sleep};
use webpush_channels::channel::{
    Broadcast, Channels, DurableChannel, Publication, RemovalHook, Removals, Review, Worker,
};
use webpush_channels::store::journal::{Begun, Control, Journal, JournalErrorKind};
use webpush_channels::store::{Audience, Change, MemoryStore, NewEntry, SubscriptionStore};
use webpush_channels::transport::{Processed, TransportError, TransportErrorKind};
use webpush_channels::{BroadcastId, BroadcastState, CollapseKey, Message, OutcomeKind, Payload, Ttl};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn everything_reaches_everybody_once() {
    for (window, members) in [(4096, 10_000), (100, 1000), (1, 30), (4096, 1), (4096, 0)] {
        let journal = durable::journal(at("push.example.net", members)).await;
        let transport = Double::slow(|_, _| (Duration::from_millis(50), status(201)));
        let report = run(&journal, &transport, window, broadcast()).await;
        assert_eq!((report.state, report.read), (BroadcastState::Finished, members as u64), "{report}");
        one(&report, OutcomeKind::Accepted);
        assert_eq!((report.attempts, report.repeats, report.takeovers), (members as u64, 0, 0), "{report}");
        assert_eq!((transport.seen().len(), times(&transport).len()), (members, members));
        let covered: u64 = journal.checkpoints().iter().map(|(_, checkpoint)| checkpoint.read).sum();
        assert_eq!(covered, members as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn each_message_has_a_topic_of_the_broadcast_or_of_its_collapse_key() {
    let journal = durable::journal(at("push.example.net", 3)).await;
    let transport = Double::accepting();
    run(&journal, &transport, 10, broadcast()).await;
    run(&journal, &transport, 10, broadcast()).await;
    let collapsing = message().with_collapse_key(CollapseKey::new("inbox").unwrap());
    run(&journal, &transport, 10, collapsing.clone()).await;
    run(&journal, &transport, 10, collapsing).await;
    let topics: HashSet<_> = transport.seen().into_iter().map(|seen| seen.topic.unwrap()).collect();
    assert_eq!(topics.len(), 9, "two broadcasts and one collapse key, for each of three subscriptions");
}

#[tokio::test(start_paused = true)]
async fn only_gone_subscriptions_are_removed_and_every_failure_is_listed() {
    let journal = durable::journal(each_status()).await;
    let transport = Double::by_status();
    let report = run(&journal, &transport, 4096, broadcast()).await;
    assert_each_status(&report, &*journal.store).await;
    // Also those that were settled as retries, each once.
    let subscriptions: HashSet<_> = report.failures.iter().map(|failure| failure.subscription).collect();
    assert_eq!((report.failures.len(), subscriptions.len()), (12, 12), "{report}");
    let gave_up = report.failures.iter().find(|failure| failure.outcome == OutcomeKind::GaveUp).unwrap();
    assert_eq!(gave_up.attempts, 6, "attempts are counted over all leases");
    assert_eq!(report.attempts, transport.seen().len() as u64, "{report}");
}

#[derive(Debug)]
struct Withhold;

impl RemovalHook for Withhold {
    fn review(&self, removals: &Removals<'_>) -> Review {
        assert!(removals.counts[OutcomeKind::Gone] >= removals.entries.len() as u64, "{removals:?}");
        if removals.origin.as_str().contains("suspect") { Review::Withhold } else { Review::Apply }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_sees_removals_before_a_checkpoint_has_them() {
    let urls = at("suspect.example.net", 30).into_iter().chain(at("push.example.net", 20));
    let journal = durable::journal(urls).await;
    let hub = Channels::builder(Arc::clone(&journal.store), sender(&Double::new(|_, _| status(410))).build())
        .limits(limits().with_window(8))
        .removal_hook(Withhold)
        .build();
    let id = enqueue(&journal, broadcast()).await;
    Worker::builder(hub, Arc::clone(&journal)).build().run_until_idle().await.unwrap();
    let report = report(&journal, &id).await;
    assert_eq!((report.pruned, report.withheld, report.counts[OutcomeKind::Gone]), (20, 30, 50), "{report}");
    assert_eq!(left(&*journal.store).await, 30);
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_not_sent_to_are_counted_and_do_not_hold_the_window() {
    let journal = durable::journal(at("push.example.net", 100)).await;
    for n in 0..99 {
        let entry = journal.subscriptions(&user(n)).await.unwrap().remove(0);
        journal.store.apply(&[(entry.reference(), Change::NeedsRenewal)]).await.unwrap();
    }
    let transport = Double::accepting();
    let report = run(&journal, &transport, 4, broadcast()).await;
    assert_eq!((report.counts[OutcomeKind::Skipped], report.counts[OutcomeKind::Accepted]), (99, 1));
    assert_eq!(transport.seen().len(), 1);
}

// --- deferral

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_kept_and_the_lifetime_runs_from_the_first_attempt() {
    let transport = Double::new(|seen, nth| {
        if seen.uri.ends_with("/3") && nth <= 2 {
            answer(429, &[("retry-after", "30")], "")
        } else {
            status(201)
        }
    });
    let journal = durable::journal(at("push.example.net", 50)).await;
    let start = Instant::now();
    let report = run(&journal, &transport, 8, broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, report.repeats), (52, 0));
    let seen: Vec<_> = transport.seen().into_iter().filter(|seen| seen.uri.ends_with("/3")).collect();
    assert!(seen[1].at - seen[0].at >= 30 * SECOND && seen[2].at - seen[1].at >= 30 * SECOND);
    assert!(seen[2].at - seen[0].at < 65 * SECOND, "{:?}", seen[2].at - seen[0].at);
    let ttls: Vec<u32> = seen.iter().map(|seen| seen.ttl.parse().unwrap()).collect();
    assert!(ttls[0] == 3600 && ttls[1] <= 3570 && ttls[2] <= 3540 && ttls[2] > 3530, "{ttls:?}");
    let others = transport.seen().into_iter().filter(|seen| !seen.uri.ends_with("/3"));
    assert!(others.into_iter().all(|seen| seen.at - start < 5 * SECOND), "the window was held");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_live_longer_is_not_repeated() {
    let transport = Double::new(|_, _| answer(503, &[("retry-after", "20")], ""));
    let journal = durable::journal(at("push.example.net", 1)).await;
    for (ttl, requests) in [(0, 1), (10, 1), (30, 2), (59, 3)] {
        let before = transport.seen().len();
        let message = Message::new(Payload::empty(), Ttl::from_secs(ttl));
        let report = run(&journal, &transport, 10, message).await;
        one(&report, OutcomeKind::Expired);
        assert_eq!(transport.seen().len() - before, requests, "TTL {ttl}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_429_pause_the_origin_and_its_entries_leave_the_window() {
    let start = Instant::now();
    let transport = Double::slow(move |seen: &Seen, _| {
        let busy = seen.uri.contains("busy") && seen.at - start < 50 * SECOND;
        (
            Duration::from_millis(10),
            if busy { answer(429, &[("retry-after", "60")], "") } else { status(201) },
        )
    });
    let urls = at("busy.example.net", 500).into_iter().chain(at("calm.example.net", 500));
    let journal = durable::journal(urls).await;
    let report = run(&journal, &transport, 16, broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    let early = transport.seen_at("busy").into_iter().filter(|seen| seen.at - start < 60 * SECOND).count();
    assert!(early < 100, "{early} of 500 did not wait for the origin's pause");
    let calm = transport.seen_at("calm").iter().map(|seen| seen.at - start).max().unwrap();
    assert!(calm < 30 * SECOND, "{calm:?}");
    assert!(start.elapsed() < 120 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_failure_is_repeated_and_counted() {
    let fail =
        |processed| Err(TransportError::new(TransportErrorKind::Interrupted).with_processed(processed));
    for (processed, repeats) in [(Processed::Unknown, 5), (Processed::No, 0)] {
        let transport = Double::new(move |_, nth| if nth == 1 { fail(processed) } else { status(201) });
        let journal = durable::journal(at("push.example.net", 5)).await;
        let report = run(&journal, &transport, 16, broadcast()).await;
        one(&report, OutcomeKind::Accepted);
        assert_eq!((report.attempts, report.repeats), (10, repeats), "{processed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_arrived_when_its_time_ends_is_unconfirmed() {
    let torn = |_: &Seen, nth| match nth {
        1 => Err(TransportError::new(TransportErrorKind::Interrupted).with_processed(Processed::Unknown)),
        _ => answer(503, &[("retry-after", "60")], ""),
    };
    // The pause before the repeat is drawn: a lifetime that ends before any.
    let transport = Double::new(torn);
    let journal = durable::journal(at("push.example.net", 1)).await;
    let message = Message::new(Payload::empty(), Ttl::ZERO);
    one(&run(&journal, &transport, 10, message).await, OutcomeKind::Unconfirmed);
    assert_eq!(transport.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_removed_while_deferred_is_skipped() {
    let transport =
        Double::new(|_, nth| if nth == 1 { answer(429, &[("retry-after", "30")], "") } else { status(201) });
    let journal = durable::journal(at("push.example.net", 2)).await;
    let id = enqueue(&journal, broadcast()).await;
    let working = tokio::spawn({
        let worker = worker(&journal, &transport, 10);
        async move { worker.run_until_idle().await }
    });
    sleep(10 * SECOND).await;
    let entry = journal.subscriptions(&user(1)).await.unwrap().remove(0);
    journal.store.apply(&[(entry.reference(), Change::Remove)]).await.unwrap();
    working.await.unwrap().unwrap();
    let report = report(&journal, &id).await;
    assert_eq!(
        (report.counts[OutcomeKind::Accepted], report.counts[OutcomeKind::Skipped]),
        (1, 1),
        "{report}"
    );
    assert_eq!((report.failures.len(), report.failures[0].attempts), (1, 1), "{report}");
    assert_eq!(transport.seen().len(), 3);
}

// --- slow and dead origins

#[tokio::test(start_paused = true)]
async fn silent_origins_do_not_slow_the_others() {
    let transport = Double::slow(|seen, _| {
        if seen.uri.contains("dead") {
            return (30 * SECOND, Err(TransportError::new(TransportErrorKind::Timeout)));
        }
        (Duration::from_millis(50), status(201))
    });
    let dead = (0..6).flat_map(|i| at(&format!("dead{i}.example.net"), 300));
    let journal = durable::journal(dead.chain(at("fine.example.net", 5000))).await;
    let start = Instant::now();
    let report = run(&journal, &transport, 200, broadcast().with_send_within(600 * SECOND)).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 5000, "{report}");
    let fine = transport.seen_at("fine").iter().map(|seen| seen.at - start).max().unwrap();
    assert!(fine < 20 * SECOND, "the healthy origin took {fine:?}");
    assert!(transport.seen_at("dead").len() < 1800, "{} requests", transport.seen_at("dead").len());
    assert!(start.elapsed() < 700 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_refuses_connections_is_probed_and_given_up() {
    let transport = Double::new(|seen, _| {
        if seen.uri.contains("down") {
            return Err(TransportError::new(TransportErrorKind::Connect));
        }
        status(201)
    });
    let urls = at("down.example.net", 2000).into_iter().chain(at("fine.example.net", 2000));
    let journal = durable::journal(urls).await;
    let start = Instant::now();
    let report = run(&journal, &transport, 200, broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 2000, "{report}");
    assert_eq!(report.counts[OutcomeKind::GaveUp], 2000, "{report}");
    assert!(transport.seen_at("down").len() < 1000, "{} requests", transport.seen_at("down").len());
    assert!(start.elapsed() < 300 * SECOND, "{:?}", start.elapsed());
    assert!(transport.seen_at("fine").iter().all(|seen| seen.at - start < 10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_slow_origin_gets_everything_and_does_not_hold_the_window() {
    // Two at once, half a second each: four a second.
    let transport = Double::slow(|seen, _| {
        let slow = seen.uri.contains("slow");
        (if slow { SECOND / 2 } else { Duration::from_millis(10) }, status(201))
    });
    let urls = at("slow.example.net", 200).into_iter().chain(at("fine.example.net", 1000));
    let journal = durable::journal(urls).await;
    let sender = sender(&transport).per_origin(2).build();
    let hub = Channels::builder(Arc::clone(&journal.store), sender).limits(limits().with_window(20)).build();
    let id = enqueue(&journal, broadcast()).await;
    let start = Instant::now();
    Worker::builder(hub, Arc::clone(&journal)).build().run_until_idle().await.unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, report.repeats), (1200, 0), "{report}");
    assert!(start.elapsed() < 300 * SECOND, "{:?}", start.elapsed());
    let fine = transport.seen_at("fine").iter().map(|seen| seen.at - start).max().unwrap();
    assert!(fine < 60 * SECOND, "{fine:?}");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_alone_is_not_written_down_because_it_is_slow() {
    // Forty a second: the last of a window waits for five.
    let transport = Double::slow(|_, _| (SECOND / 20, status(201)));
    let journal = durable::journal(at("push.example.net", 1200)).await;
    let sender = sender(&transport).per_origin(2).build();
    let hub = Channels::builder(Arc::clone(&journal.store), sender).limits(limits().with_window(200)).build();
    enqueue(&journal, broadcast()).await;
    let start = Instant::now();
    Worker::builder(hub, Arc::clone(&journal)).build().run_until_idle().await.unwrap();
    assert_eq!(transport.seen().len(), 1200);
    let deferred: usize = journal.checkpoints().iter().map(|(_, checkpoint)| checkpoint.deferred.len()).sum();
    assert_eq!(deferred, 0);
    assert!(start.elapsed() < 33 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_settles_what_was_deferred_and_nothing_is_repeated() {
    for late in [3, 10, 25] {
        let transport = Double::slow(move |seen, _| {
            (if seen.uri.contains("late") { late * SECOND } else { Duration::ZERO }, status(201))
        });
        let urls = at("late.example.net", 20).into_iter().chain(at("push.example.net", 200));
        let journal = durable::journal(urls).await;
        let start = Instant::now();
        let report = run(&journal, &transport, 12, broadcast()).await;
        one(&report, OutcomeKind::Accepted);
        assert_eq!((report.attempts, report.repeats), (220, 0), "{report}");
        assert_eq!(times(&transport).values().max(), Some(&1));
        let prompt = transport.seen_at("push").iter().map(|seen| seen.at - start).max().unwrap();
        assert!(prompt < 25 * SECOND, "{prompt:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_and_is_no_outcome_is_tried_again() {
    let transport = Double::slow(|_, nth| match nth {
        1 => (10 * SECOND, answer(429, &[("retry-after", "100")], "")),
        _ => (Duration::ZERO, status(201)),
    });
    let journal = durable::journal(at("push.example.net", 1)).await;
    let start = Instant::now();
    let report = run(&journal, &transport, 12, broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, report.repeats), (2, 0), "{report}");
    let (first, second) = (&transport.seen()[0], &transport.seen()[1]);
    assert!(second.at - first.at >= 110 * SECOND, "{:?}", second.at - first.at);
    assert!(start.elapsed() < 120 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_deferred_does_not_wait_for_late_answers() {
    // All in one page, which has no position: it is committed with the end of its range.
    let transport = Double::slow(|seen, nth| match (seen.uri.contains("silent"), nth) {
        (true, _) => (25 * SECOND, status(201)),
        (false, 1) => (Duration::ZERO, status(503)),
        (false, _) => (Duration::ZERO, status(201)),
    });
    let urls = at("silent.example.net", 1).into_iter().chain(at("push.example.net", 2));
    let journal = durable::journal(urls).await;
    let start = Instant::now();
    let report = run(&journal, &transport, 400, broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, report.repeats), (5, 0), "{report}");
    let second = transport.seen_at("push").iter().map(|seen| seen.at - start).max().unwrap();
    assert!(second < 5 * SECOND, "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_is_repeated_and_ends() {
    let transport = Double::slow(|_, _| (1_000_000 * SECOND, status(201)));
    let journal = durable::journal(at("push.example.net", 2)).await;
    let report = run(&journal, &transport, 12, broadcast()).await;
    one(&report, OutcomeKind::Unconfirmed);
    assert_eq!(report.attempts, transport.seen().len() as u64, "{report}");
    assert!(transport.seen().len() <= 12, "{}", transport.seen().len());
}

// --- time

#[tokio::test(start_paused = true)]
async fn time_used_up_is_told_apart_from_what_was_not_read() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let journal = durable::journal(at("push.example.net", 3000)).await;
    let sender = sender(&transport).per_origin(10).build();
    let hub = Channels::builder(Arc::clone(&journal.store), sender).limits(limits().with_window(40)).build();
    let id = enqueue(&journal, broadcast().with_send_within(Duration::from_millis(5500))).await;
    Worker::builder(hub, Arc::clone(&journal)).build().run_until_idle().await.unwrap();
    let report = report(&journal, &id).await;
    assert_eq!((report.state, report.pending), (BroadcastState::TimedOut, 0), "{report}");
    assert_eq!(report.counts[OutcomeKind::Accepted], 50, "{report}");
    assert_eq!(report.counts[OutcomeKind::Unconfirmed], 10, "what was in flight may have arrived: {report}");
    assert!(report.counts[OutcomeKind::Expired] > 0 && report.read < 3000, "{report}");
    assert_eq!(transport.seen().len(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_whose_time_has_passed_ends_without_a_request() {
    let journal = durable::journal(at("push.example.net", 10)).await;
    let transport = Double::accepting();
    let report = run(&journal, &transport, 10, broadcast().with_send_within(Duration::ZERO)).await;
    assert_eq!((report.state, report.read), (BroadcastState::TimedOut, 0), "{report}");
    assert!(transport.seen().is_empty());
    one(
        &run(&journal, &transport, 10, broadcast().with_send_within(Duration::MAX)).await,
        OutcomeKind::Accepted,
    );
}

#[tokio::test(start_paused = true)]
async fn retries_that_are_left_when_the_time_has_passed_expire() {
    let transport = Double::new(|_, _| answer(429, &[("retry-after", "40")], ""));
    let journal = durable::journal(at("push.example.net", 1)).await;
    let id = enqueue(&journal, broadcast().with_send_within(60 * SECOND)).await;
    // The worker is away when the retry is due, and until the time has passed.
    let first = worker(&journal, &transport, 10);
    first.run(sleep(5 * SECOND)).await.unwrap();
    sleep(100 * SECOND).await;
    worker(&journal, &transport, 10).run_until_idle().await.unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Expired);
    assert_eq!((report.state, transport.seen().len()), (BroadcastState::Finished, 1), "{report}");
}

// --- control

#[tokio::test(start_paused = true)]
async fn an_aborted_broadcast_stops_at_once() {
    let transport = Double::slow(|_, _| (SECOND / 10, status(201)));
    let journal = durable::journal(at("push.example.net", 5000)).await;
    let id = enqueue(&journal, broadcast()).await;
    let working = tokio::spawn({
        let worker = worker(&journal, &transport, 50);
        async move { worker.run_until_idle().await }
    });
    sleep(SECOND).await;
    let aborted = journal.abort(&id).await.unwrap();
    assert_eq!(aborted.state, BroadcastState::Aborted);
    working.await.unwrap().unwrap();
    let sent = transport.seen().len();
    assert!(sent > 0 && sent < 3000, "{sent}");
    assert_eq!(report(&journal, &id).await.counts, aborted.counts, "nothing is counted afterwards");
}

#[tokio::test(start_paused = true)]
async fn a_paused_broadcast_waits_and_goes_on_where_it_was() {
    let transport = Double::slow(|_, _| (SECOND / 10, status(201)));
    let journal = durable::journal(at("push.example.net", 3000)).await;
    let id = enqueue(&journal, broadcast()).await;
    let working = tokio::spawn({
        let worker = worker(&journal, &transport, 50);
        async move { worker.run_until_idle().await }
    });
    sleep(SECOND).await;
    let mut control = Control::default();
    control.paused = true;
    journal.control(&id, control).await.unwrap();
    sleep(15 * SECOND).await;
    let before = transport.seen().len();
    sleep(100 * SECOND).await;
    assert_eq!(transport.seen().len(), before, "nothing is sent meanwhile");
    assert!(before > 0 && before < 3000, "{before}");
    control.paused = false;
    journal.control(&id, control).await.unwrap();
    working.await.unwrap().unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.read, report.attempts, report.takeovers), (3000, 3000, 0), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_limited_rate_is_kept_over_all_leases() {
    let transport = Double::accepting();
    let journal = durable::journal(at("push.example.net", 500)).await;
    let id = enqueue(&journal, broadcast()).await;
    let mut control = Control::default();
    control.per_minute = NonZeroU32::new(300);
    journal.control(&id, control).await.unwrap();
    let start = Instant::now();
    worker(&journal, &transport, 4096).run_until_idle().await.unwrap();
    one(&report(&journal, &id).await, OutcomeKind::Accepted);
    let took = start.elapsed();
    assert!(took > 85 * SECOND && took < 150 * SECOND, "{took:?}");
    for second in 0..u32::try_from(took.as_secs()).unwrap() {
        let within = (start + second * SECOND)..(start + (second + 1) * SECOND);
        let sent = transport.seen().into_iter().filter(|seen| within.contains(&seen.at)).count();
        assert!(sent <= 20, "{sent} in one second");
    }
}

// --- enqueuing

#[tokio::test(start_paused = true)]
async fn enqueuing_is_idempotent_and_another_publication_of_the_same_id_is_a_conflict() {
    let journal = durable::journal(at("push.example.net", 3)).await;
    let channel = DurableChannel::new(Arc::clone(&journal));
    let named = |text: &str| {
        let message = Message::new(Payload::new(text.to_owned()).unwrap(), Ttl::hours(1));
        Publication::new(
            Audience::Channel(news()),
            Broadcast::new(message).with_id(BroadcastId::new("order-17").unwrap()),
        )
    };
    let first = channel.enqueue(named("hello")).await.unwrap();
    let second = channel.clone().enqueue(named("hello")).await.unwrap();
    assert_eq!((first.begun, second.begun, &first.id), (Begun::Created, Begun::Known, &second.id));
    let error = channel.enqueue(named("goodbye")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (JournalErrorKind::Conflict, false));
    assert!(error.to_string().contains("choose another id"), "{error}");
    let transport = Double::accepting();
    worker(&journal, &transport, 10).run_until_idle().await.unwrap();
    assert_eq!(transport.seen().len(), 3);
    let unnamed = Publication::new(Audience::Channel(news()), message());
    let (a, b) = (channel.enqueue(unnamed.clone()).await.unwrap(), channel.enqueue(unnamed).await.unwrap());
    assert_ne!(a.id, b.id);
}

#[tokio::test(start_paused = true)]
async fn who_joins_after_it_was_enqueued_is_not_meant() {
    let journal = durable::journal(at("push.example.net", 10)).await;
    let id = enqueue(&journal, broadcast()).await;
    let late = support::subscription("https://push.example.net/late");
    journal.store.put(&[NewEntry::new(user(99), late)]).await.unwrap();
    journal.store.join(&news(), &[user(99)]).await.unwrap();
    let transport = Double::accepting();
    worker(&journal, &transport, 10).run_until_idle().await.unwrap();
    assert_eq!((report(&journal, &id).await.read, transport.seen().len()), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_channels_numbers_add_up() {
    let transport = Double::new(|seen, _| status(if seen.uri.ends_with("/0") { 410 } else { 201 }));
    let journal = durable::journal(at("push.example.net", 10)).await;
    let empty = DurableChannel::new(Arc::new(MemoryStore::new())).statistics(&news()).await.unwrap();
    assert_eq!(empty, webpush_channels::channel::ChannelStatistics::default());
    for _ in 0..2 {
        run(&journal, &transport, 10, broadcast()).await;
    }
    let statistics = DurableChannel::new(Arc::clone(&journal)).statistics(&news()).await.unwrap();
    assert_eq!((statistics.members, statistics.subscriptions, statistics.broadcasts), (10, 9, 2));
    assert_eq!((statistics.counts[OutcomeKind::Accepted], statistics.pruned), (18, 1));
}

//! What workers promise: shutdown, takeover, sharing, and journals that are away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
mod support;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use durable::{builder, enqueue, one, report, times, worker};
use support::{Double, answer, at, broadcast, limits, news, sender, status};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use webpush_channels::channel::{
    Channels, DurableChannel, Publication, RemovalHook, Removals, Review, Worker,
};
use webpush_channels::store::journal::{JournalError, JournalErrorKind};
use webpush_channels::store::{Audience, NewEntry, StoreErrorKind, SubscriptionStore};
use webpush_channels::{BroadcastState, ChannelName, Message, OutcomeKind, Payload, Ttl};

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: usize = 40;

fn start(worker: Worker) -> (oneshot::Sender<()>, JoinHandle<Result<(), JournalError>>) {
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { drop(stopped.await) };
    (stop, tokio::spawn(async move { worker.run(shutdown).await }))
}

/// Stops a worker and returns how long that took.
async fn stop((stop, running): (oneshot::Sender<()>, JoinHandle<Result<(), JournalError>>)) -> Duration {
    let began = Instant::now();
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_graceful_shutdown_in_the_middle_loses_and_repeats_nothing() {
    for (delay, after) in [(300, 1000), (300, 1010), (1500, 2500), (0, 0), (0, 20)] {
        let transport = Double::slow(move |_, _| (Duration::from_millis(delay), status(201)));
        let journal = durable::journal(at("push.example.net", 1000)).await;
        let id = enqueue(&journal, broadcast()).await;
        let first = start(worker(&journal, &transport, WINDOW));
        sleep(Duration::from_millis(after)).await;
        let took = stop(first).await;
        assert!(took < 2 * SECOND, "{took:?}");
        assert_eq!(transport.in_flight(), 0);
        let middle = report(&journal, &id).await;
        assert_eq!(
            middle.counts.total(),
            transport.seen().len() as u64,
            "what was sent is counted: {middle}"
        );
        let again = Instant::now();
        worker(&journal, &transport, WINDOW).run_until_idle().await.unwrap();
        let report = report(&journal, &id).await;
        one(&report, OutcomeKind::Accepted);
        assert_eq!((report.attempts, report.repeats, report.takeovers), (1000, 0, 0), "{report}");
        assert_eq!(times(&transport).values().max(), Some(&1));
        assert!(again.elapsed() < 25 * SECOND, "no lease had to run out: {:?}", again.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_answer_within_the_grace_is_reset_and_repeated_by_others() {
    let transport = Double::slow(|_, nth| (if nth == 1 { 20 * SECOND } else { Duration::ZERO }, status(201)));
    let journal = durable::journal(at("push.example.net", 30)).await;
    let publication = Publication::new(Audience::Channel(news()), broadcast());
    let channel = DurableChannel::new(Arc::clone(&journal)).with_ranges(1.try_into().unwrap());
    let id = channel.enqueue(publication).await.unwrap().id;
    let first = start(builder(&journal, &transport, 100).grace(SECOND).build());
    sleep(SECOND / 2).await;
    let took = stop(first).await;
    assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
    assert_eq!(transport.in_flight(), 0, "they were reset");
    let began = Instant::now();
    worker(&journal, &transport, 100).run_until_idle().await.unwrap();
    assert!(began.elapsed() < 3 * SECOND, "{:?}", began.elapsed());
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, report.repeats, report.takeovers), (60, 30, 0), "{report}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stops_at_once() {
    let journal = durable::journal(at("push.example.net", 1)).await;
    let idle = start(worker(&journal, &Double::accepting(), WINDOW));
    sleep(60 * SECOND).await;
    assert_eq!(stop(idle).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_vanishes_is_taken_over_and_repeats_what_it_had_in_hand() {
    let transport = Double::slow(|_, _| (Duration::from_millis(300), status(201)));
    let journal = durable::journal(at("push.example.net", 2000)).await;
    let id = enqueue(&journal, broadcast()).await;
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let first = worker(&journal, &transport, WINDOW);
    assert!(timeout(SECOND, first.run(pending())).await.is_err());
    tokio::task::yield_now().await;
    assert_eq!(transport.in_flight(), 0, "nothing keeps running");
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), before);
    let sent = transport.seen().len();
    let began = Instant::now();
    worker(&journal, &transport, WINDOW).run_until_idle().await.unwrap();
    assert!(began.elapsed() >= 29 * SECOND && began.elapsed() < 60 * SECOND, "{:?}", began.elapsed());
    let report = report(&journal, &id).await;
    assert_eq!((report.state, report.read), (BroadcastState::Finished, 2000), "{report}");
    one(&report, OutcomeKind::Accepted);
    assert_eq!((times(&transport).len(), report.takeovers), (2000, 4), "{report}");
    let repeated = transport.seen().len() - 2000;
    assert!(repeated > 0 && repeated <= 4 * WINDOW && repeated < sent, "{repeated} of {sent}");
}

#[tokio::test(start_paused = true)]
async fn many_workers_share_a_broadcast() {
    let transport = Double::slow(|_, _| (Duration::from_millis(100), status(201)));
    let journal = durable::journal(at("push.example.net", 3000)).await;
    let id = enqueue(&journal, broadcast()).await;
    let workers: Vec<_> = (0..4).map(|_| worker(&journal, &transport, WINDOW)).collect();
    let start = Instant::now();
    let all = workers.iter().map(Worker::run_until_idle);
    futures_util::future::try_join_all(all).await.unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, report.repeats, report.takeovers), (3000, 0, 0), "{report}");
    assert_eq!(transport.seen().len(), 3000);
    // 16 ranges of 40 in hand.
    assert!(start.elapsed() < 8 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_small_broadcast_is_not_behind_a_large_one() {
    let transport = Double::slow(|_, _| (SECOND / 2, status(201)));
    let journal = durable::journal(at("push.example.net", 4000)).await;
    let few = ChannelName::new("few").unwrap();
    journal.store.join(&few, &[support::user(3), support::user(5)]).await.unwrap();
    let large = enqueue(&journal, broadcast()).await;
    let working = start(builder(&journal, &transport, WINDOW).leases(2.try_into().unwrap()).build());
    sleep(5 * SECOND).await;
    let publication = Publication::new(Audience::Channel(few), broadcast());
    let small = DurableChannel::new(Arc::clone(&journal)).enqueue(publication).await.unwrap().id;
    let began = Instant::now();
    while report(&journal, &small).await.state == BroadcastState::Running {
        sleep(SECOND / 10).await;
    }
    // One range of the large one may have to end first.
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    assert_eq!(report(&journal, &large).await.state, BroadcastState::Running);
    stop(working).await;
}

#[tokio::test(start_paused = true)]
async fn new_work_is_noticed_without_polling_also_beside_other_work() {
    let transport = Double::slow(|seen, _| {
        (if seen.uri.ends_with("/0") { 1000 * SECOND } else { Duration::ZERO }, status(201))
    });
    let journal = durable::journal(at("push.example.net", 4)).await;
    let working = start(builder(&journal, &transport, WINDOW).poll(3600 * SECOND).build());
    sleep(10 * SECOND).await;
    let looks = journal.leases();
    assert!(looks < 5, "{looks} looks for work that is not there");
    for _ in 0..3 {
        let (began, sent) = (Instant::now(), transport.seen().len());
        enqueue(&journal, broadcast()).await;
        while transport.seen().len() < sent + 4 {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(began.elapsed() <= SECOND / 10, "{:?}", began.elapsed());
        sleep(SECOND).await;
    }
    stop(working).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_on_threads_lose_and_repeat_nothing() {
    let transport = Double::slow(|seen, nth| {
        let torn = nth == 1 && seen.uri.ends_with('7');
        let answer = if torn { answer(429, &[("retry-after", "1")], "") } else { status(201) };
        (Duration::from_millis(1), answer)
    });
    let urls = ["a", "b", "c"].into_iter().flat_map(|host| at(&format!("{host}.example.net"), 500));
    let journal = durable::journal(urls).await;
    let limits = limits().with_window(64).with_in_flight(20).with_encryption_threads(2);
    let hub = Channels::builder(Arc::clone(&journal.store), sender(&transport).per_origin(9).build())
        .limits(limits)
        .build();
    let ids = [enqueue(&journal, broadcast()).await, enqueue(&journal, broadcast()).await];
    let workers = [0, 1].map(|_| {
        let worker = Worker::builder(hub.clone(), Arc::clone(&journal)).build();
        tokio::spawn(async move { worker.run_until_idle().await })
    });
    for worker in workers {
        let ended = timeout(60 * SECOND, worker).await.expect("no wake-up is missed");
        ended.unwrap().unwrap();
    }
    let mut attempts = 0;
    for id in &ids {
        let report = report(&journal, id).await;
        one(&report, OutcomeKind::Accepted);
        assert_eq!((report.read, report.repeats, report.takeovers), (1500, 0, 0), "{report}");
        attempts += report.attempts;
    }
    assert_eq!(attempts, transport.seen().len() as u64);
    assert!(transport.most_in_flight() <= 20, "{}", transport.most_in_flight());
}

#[tokio::test(start_paused = true)]
async fn silent_push_services_take_no_lease_from_the_others() {
    // Four broadcasts to push services that answer after half a minute, and one to a prompt one.
    let transport = Double::slow(|seen, _| {
        (if seen.uri.contains("silent") { 29 * SECOND } else { Duration::ZERO }, status(201))
    });
    let urls = (0..8).flat_map(|n| at(&format!("silent{n}.example.net"), 3));
    let journal = durable::journal(urls).await;
    let prompt = ChannelName::new("prompt").unwrap();
    let entry = NewEntry::new(support::user(99), support::subscription("https://push.example.net/x"));
    journal.store.put(&[entry]).await.unwrap();
    journal.store.join(&prompt, &[support::user(99)]).await.unwrap();
    for _ in 0..4 {
        enqueue(&journal, broadcast()).await;
    }
    let working = start(builder(&journal, &transport, WINDOW).leases(1.try_into().unwrap()).build());
    sleep(SECOND).await;
    let publication = Publication::new(Audience::Channel(prompt), broadcast());
    let began = Instant::now();
    let id = DurableChannel::new(Arc::clone(&journal)).enqueue(publication).await.unwrap().id;
    while report(&journal, &id).await.state == BroadcastState::Running {
        sleep(SECOND / 10).await;
    }
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    stop(working).await;
}

#[tokio::test(start_paused = true)]
async fn settings_without_end_or_measure_work() {
    let journal = durable::journal(at("push.example.net", 50)).await;
    for (length, leases) in [(Duration::MAX, usize::MAX), (Duration::ZERO, 1)] {
        let transport = Double::accepting();
        let id = enqueue(&journal, broadcast()).await;
        let worker = builder(&journal, &transport, WINDOW)
            .term(length)
            .poll(length)
            .grace(length)
            .leases(leases.try_into().unwrap())
            .build();
        let running = start(worker);
        sleep(10 * SECOND).await;
        one(&report(&journal, &id).await, OutcomeKind::Accepted);
        stop(running).await;
    }
}

// --- journals that fail

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_away_for_seconds_loses_and_repeats_nothing() {
    for length in [3, 12] {
        let transport = Double::slow(|_, _| (Duration::from_millis(100), status(201)));
        let journal = durable::journal(at("push.example.net", 2000)).await;
        let id = enqueue(&journal, broadcast()).await;
        journal.away(Instant::now() + SECOND, length * SECOND);
        let working = start(worker(&journal, &transport, WINDOW));
        sleep(2 * SECOND).await;
        let sent = transport.seen().len();
        sleep(SECOND / 2).await;
        assert_eq!(transport.seen().len(), sent, "the window bounds what is sent without a checkpoint");
        sleep(60 * SECOND).await;
        let report = report(&journal, &id).await;
        assert_eq!(report.state, BroadcastState::Finished, "{report}");
        one(&report, OutcomeKind::Accepted);
        assert_eq!((report.attempts, report.repeats, report.takeovers), (2000, 0, 0), "{report}");
        assert_eq!(times(&transport).values().max(), Some(&1));
        stop(working).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_away_for_longer_than_the_term_costs_the_window() {
    let transport = Double::slow(|_, _| (Duration::from_millis(100), status(201)));
    let journal = durable::journal(at("push.example.net", 1000)).await;
    let id = enqueue(&journal, broadcast()).await;
    journal.away(Instant::now() + SECOND, 60 * SECOND);
    let first = worker(&journal, &transport, WINDOW);
    first.run_until_idle().await.unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    let repeated = transport.seen().len() - 1000;
    assert!(repeated <= 4 * WINDOW, "{repeated}");
}

#[tokio::test(start_paused = true)]
async fn a_range_that_cannot_be_read_is_given_back_and_not_asked_for_all_the_time() {
    for kind in [StoreErrorKind::Backend, StoreErrorKind::Unavailable] {
        let transport = Double::accepting();
        let journal = durable::journal(at("push.example.net", 20)).await;
        let id = enqueue(&journal, broadcast()).await;
        *journal.page_kind.lock().unwrap() = Some(kind);
        let working = start(worker(&journal, &transport, WINDOW));
        sleep(600 * SECOND).await;
        assert!(journal.leases() < 1500, "{} leases in ten minutes", journal.leases());
        assert!(journal.releases() > 10 && transport.seen().is_empty());
        *journal.page_kind.lock().unwrap() = None;
        sleep(10 * SECOND).await;
        one(&report(&journal, &id).await, OutcomeKind::Accepted);
        stop(working).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_for_good_ends_the_worker() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let journal = durable::journal(at("push.example.net", 1000)).await;
    let id = enqueue(&journal, broadcast()).await;
    let working = start(worker(&journal, &transport, WINDOW));
    sleep(5 * SECOND / 2).await;
    journal.broken.store(true, Ordering::SeqCst);
    let error = working.1.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Backend);
    let report = report(&journal, &id).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], transport.seen().len() as u64, "gracefully: {report}");
}

#[derive(Debug)]
struct Panics;

impl RemovalHook for Panics {
    fn review(&self, _: &Removals<'_>) -> Review {
        panic!("a hook's bug")
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_panics_does_not_end_the_worker() {
    let transport = Double::new(|seen, _| status(if seen.uri.ends_with("/3") { 410 } else { 201 }));
    let journal = durable::journal(at("push.example.net", 20)).await;
    let id = enqueue(&journal, broadcast()).await;
    let hub = Channels::builder(Arc::clone(&journal.store), sender(&transport).build())
        .limits(limits())
        .removal_hook(Panics)
        .build();
    let working = start(Worker::builder(hub, Arc::clone(&journal)).build());
    sleep(10 * SECOND).await;
    stop(working).await;
    assert!(report(&journal, &id).await.read < 20);
    sleep(60 * SECOND).await;
    worker(&journal, &transport, WINDOW).run_until_idle().await.unwrap();
    let report = report(&journal, &id).await;
    assert_eq!((report.counts[OutcomeKind::Gone], report.pruned), (1, 1), "{report}");
}

#[tokio::test(start_paused = true)]
async fn retries_of_several_broadcasts_are_waited_for() {
    let transport =
        Double::new(
            |_, nth| {
                if nth % 2 == 1 { answer(429, &[("retry-after", "20")], "") } else { status(201) }
            },
        );
    let journal = durable::journal(at("push.example.net", 2)).await;
    let (a, began) = (enqueue(&journal, broadcast()).await, Instant::now());
    worker(&journal, &transport, WINDOW).run_until_idle().await.unwrap();
    let b = enqueue(&journal, broadcast()).await;
    worker(&journal, &transport, WINDOW).run_until_idle().await.unwrap();
    for id in [a, b] {
        one(&report(&journal, &id).await, OutcomeKind::Accepted);
    }
    assert!(began.elapsed() >= 40 * SECOND && began.elapsed() < 50 * SECOND, "{:?}", began.elapsed());
    let totals = webpush_channels::store::journal::Journal::totals(&*journal, &news()).await.unwrap();
    assert_eq!((totals.broadcasts, totals.counts[OutcomeKind::Accepted]), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_range_that_cannot_be_read_is_given_back_after_an_outage() {
    let transport = Double::accepting();
    let journal = durable::journal(at("push.example.net", 20)).await;
    let id = enqueue(&journal, broadcast()).await;
    // Reading is given up after three seconds, in the middle of the outage.
    *journal.page_kind.lock().unwrap() = Some(StoreErrorKind::Unavailable);
    journal.away(Instant::now() + SECOND, 5 * SECOND);
    let worker = worker(&journal, &transport, 8);
    let back = async {
        sleep(6 * SECOND).await;
        *journal.page_kind.lock().unwrap() = None;
    };
    // Before the term of the lease has passed.
    let (done, ()) = tokio::join!(timeout(20 * SECOND, worker.run_until_idle()), back);
    done.expect("nobody waits for the end of a term").unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.state, report.read, report.takeovers), (BroadcastState::Finished, 20, 0), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_in_time_although_the_journal_is_away() {
    let transport = Double::slow(|_, _| (Duration::from_millis(100), status(201)));
    let journal = durable::journal(at("push.example.net", 400)).await;
    enqueue(&journal, broadcast()).await;
    let worker = builder(&journal, &transport, 40).term(600 * SECOND).grace(2 * SECOND).build();
    journal.away(Instant::now() + SECOND / 2, 10_000 * SECOND);
    let start = Instant::now();
    worker.run(sleep(SECOND)).await.unwrap();
    assert!(start.elapsed() <= 7 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_late_gives_no_message_a_longer_life() {
    let transport =
        Double::new(|_, nth| if nth == 1 { answer(503, &[("retry-after", "2")], "") } else { status(201) });
    let journal = durable::journal(at("push.example.net", 1)).await;
    let id = enqueue(&journal, Message::new(Payload::empty(), Ttl::from_secs(60))).await;
    let start = Instant::now();
    // The lease is taken, and then nothing can be written for a while.
    journal.away(start + SECOND / 10, 12 * SECOND);
    worker(&journal, &transport, WINDOW).run_until_idle().await.unwrap();
    one(&report(&journal, &id).await, OutcomeKind::Accepted);
    let seen = transport.seen();
    let used = seen[1].at - seen[0].at;
    assert!((10..20).contains(&used.as_secs()), "{used:?}");
    let (ttl, left) = (seen[1].ttl.parse::<u64>().unwrap(), 60 - used.as_secs());
    assert!((left - 1..=left).contains(&ttl), "{ttl} s of {left} s");
}

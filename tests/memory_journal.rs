//! What `MemoryStore` promises as a journal beyond the contract: times, on tokio's clock.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/journal.rs"]
mod kit;

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::{JoinError, JoinHandle, yield_now};
use tokio::time::{Instant, advance, timeout};
use webpush_channels::store::journal::{
    Begun, Checkpoint, Control, Deferred, Due, FailedDelivery, Journal, JournalErrorKind, Lease, LeaseToken,
    SettledRetry, State, Work, WorkerId,
};
use webpush_channels::store::{Change, MemoryStore, SubscriptionStore};
use webpush_channels::testing::ManualClock;
use webpush_channels::{BroadcastState, Failure, OutcomeKind};

use kit::{BATCH, FCM, HOUR, ONE, TERM, broadcast, deferred, done, entry, id, news, reference, retry, user};

const MOMENT: Duration = Duration::from_millis(1);

async fn begin(store: &MemoryStore, name: &str, ranges: u16) {
    let new = broadcast(name);
    // One split may give fewer: the memory journal takes octets of any split.
    let range = store.split(&new.audience, ONE).await.unwrap()[0];
    let ranges = vec![range; usize::from(ranges)];
    assert_eq!(store.begin(&new, &ranges).await.unwrap(), Begun::Created);
}

async fn lease(store: &MemoryStore) -> Option<Lease> {
    store.lease(&WorkerId::random(), TERM, BATCH).await.unwrap()
}

async fn checkpoint(store: &MemoryStore, token: &LeaseToken, checkpoint: Checkpoint) -> State {
    store.checkpoint(token, checkpoint).await.unwrap()
}

/// Ends a range with these retries left.
async fn defer(store: &MemoryStore, name: &str, retries: Vec<Deferred>) {
    begin(store, name, 1).await;
    let token = lease(store).await.unwrap().token;
    let mut last = done(1);
    (last.read, last.deferred) = (retries.len() as u64, retries);
    assert!(matches!(checkpoint(store, &token, last).await, State::Running(_)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_its_term_from_the_last_checkpoint() {
    let store = MemoryStore::new();
    begin(&store, "a", 1).await;
    let first = lease(&store).await.unwrap();
    advance(TERM.saturating_sub(MOMENT)).await;
    assert!(lease(&store).await.is_none());
    checkpoint(&store, &first.token, Checkpoint::new(1, TERM)).await;
    advance(TERM.saturating_sub(MOMENT)).await;
    assert!(lease(&store).await.is_none());
    advance(MOMENT).await;

    let lost = store.checkpoint(&first.token, Checkpoint::new(2, TERM)).await.unwrap_err();
    assert_eq!(lost.kind(), JournalErrorKind::LeaseLost);
    let second = lease(&store).await.unwrap();
    assert_eq!(second.age, (2 * TERM).saturating_sub(MOMENT));
    assert_eq!(second.send_within_left, HOUR.saturating_sub(second.age));
    let report = store.report(&id("a")).await.unwrap().unwrap();
    assert_eq!((report.takeovers, report.elapsed), (1, second.age));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_checkpoint_renews_the_lease() {
    let store = MemoryStore::new();
    begin(&store, "a", 1).await;
    let first = lease(&store).await.unwrap();
    let mut stored = Checkpoint::new(1, TERM);
    stored.read = 5;
    for _ in 0..3 {
        advance(TERM / 2).await;
        checkpoint(&store, &first.token, stored.clone()).await;
    }
    assert_eq!(store.report(&id("a")).await.unwrap().unwrap().read, 5);
    assert!(lease(&store).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_given_once_it_is_due() {
    let store = MemoryStore::new();
    let after = Duration::from_secs(60);
    defer(&store, "a", vec![deferred(1, 1, after), deferred(2, 1, 2 * after)]).await;
    advance(after.saturating_sub(MOMENT)).await;
    assert!(lease(&store).await.is_none());
    advance(MOMENT).await;
    let Work::Retries(due) = lease(&store).await.unwrap().work else { panic!("a range is free") };
    assert_eq!(due.iter().map(|due| due.retry).collect::<Vec<_>>(), [retry(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_runs_from_the_first_attempt() {
    let store = MemoryStore::new();
    let after = Duration::from_secs(60);
    let tried = vec![deferred(1, 0, after), deferred(2, 1, after), deferred(3, 1, 2 * HOUR)];
    defer(&store, "a", tried).await;
    advance(2 * after).await;
    let first = lease(&store).await.unwrap();
    let Work::Retries(mut due) = first.work else { panic!("a range is free") };
    due.sort_by_key(|due| due.retry);
    assert_eq!([due[0].ttl_left, due[1].ttl_left], [HOUR, HOUR.saturating_sub(2 * after)]);

    // Where it comes back it has run on; where it is deferred again, what was said then counts.
    let mut again = Checkpoint::new(1, TERM);
    again.deferred = vec![deferred(1, 1, Duration::ZERO)];
    again.deferred[0].ttl_left = after;
    checkpoint(&store, &first.token, again).await;
    advance(2 * HOUR).await;
    let Work::Retries(due) = lease(&store).await.unwrap().work else { panic!("a range is free") };
    assert_eq!(due.len(), 3);
    assert!(due.iter().all(|due| due.ttl_left == Duration::ZERO));
}

/// Waits, and says for how long and whether it was less than allowed.
async fn waited(store: &MemoryStore) -> (Duration, bool) {
    let start = Instant::now();
    store.wait(HOUR).await;
    (start.elapsed(), start.elapsed() < HOUR)
}

fn waiting(store: &Arc<MemoryStore>) -> JoinHandle<(Duration, bool)> {
    let store = Arc::clone(store);
    tokio::spawn(async move { waited(&store).await })
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_over_at_once_where_there_is_work() {
    let store = MemoryStore::new();
    assert_eq!(waited(&store).await, (HOUR, false));
    begin(&store, "a", 1).await;
    assert_eq!(waited(&store).await, (Duration::ZERO, true));
    lease(&store).await.unwrap();
    store.wait(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_over_when_a_term_passes_or_a_retry_is_due() {
    let store = MemoryStore::new();
    defer(&store, "a", vec![deferred(1, 1, 4 * TERM)]).await;
    begin(&store, "b", 1).await;
    lease(&store).await.unwrap();
    assert_eq!(waited(&store).await, (TERM, true));
    // Taken over, and done.
    let token = lease(&store).await.unwrap().token;
    assert_eq!(checkpoint(&store, &token, done(1)).await, State::Finished);
    assert_eq!(waited(&store).await, (3 * TERM, true));
    assert!(matches!(lease(&store).await.unwrap().work, Work::Retries(_)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_whatever_makes_work() {
    let store = Arc::new(MemoryStore::new());
    let at_once = |waited: Result<_, JoinError>| assert_eq!(waited.unwrap(), (Duration::ZERO, true));

    let wait = waiting(&store);
    yield_now().await;
    begin(&store, "a", 2).await;
    at_once(wait.await);

    let (first, second) = (lease(&store).await.unwrap(), lease(&store).await.unwrap());
    let wait = waiting(&store);
    yield_now().await;
    store.release(&first.token).await.unwrap();
    at_once(wait.await);

    let first = lease(&store).await.unwrap();
    let wait = waiting(&store);
    yield_now().await;
    let mut later = Checkpoint::new(1, 2 * HOUR);
    later.deferred = vec![deferred(1, 1, Duration::ZERO)];
    checkpoint(&store, &second.token, later).await;
    at_once(wait.await);

    let mut paused = Control::default();
    paused.paused = true;
    store.control(&id("a"), paused).await.unwrap();
    checkpoint(&store, &first.token, Checkpoint::new(1, 2 * HOUR)).await;
    assert_eq!(waited(&store).await, (HOUR, false));
    let wait = waiting(&store);
    yield_now().await;
    store.control(&id("a"), Control::default()).await.unwrap();
    at_once(wait.await);

    assert!(matches!(lease(&store).await.unwrap().work, Work::Retries(_)));
    let wait = waiting(&store);
    yield_now().await;
    store.abort(&id("a")).await.unwrap();
    at_once(wait.await);
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_are_all_woken() {
    let store = Arc::new(MemoryStore::new());
    let waits: Vec<_> = (0..20).map(|_| waiting(&store)).collect();
    yield_now().await;
    begin(&store, "a", 20).await;
    for wait in waits {
        assert_eq!(wait.await.unwrap(), (Duration::ZERO, true));
    }
}

#[tokio::test(start_paused = true)]
async fn what_ended_is_purged_by_age() {
    let store = MemoryStore::new();
    begin(&store, "old", 0).await;
    advance(HOUR).await;
    begin(&store, "young", 0).await;
    begin(&store, "running", 1).await;
    advance(HOUR).await;
    assert_eq!(store.purge(3 * HOUR).await.unwrap(), 0);
    assert_eq!(store.purge(2 * HOUR).await.unwrap(), 1);
    assert!(store.report(&id("old")).await.unwrap().is_none());
    assert!(store.report(&id("young")).await.unwrap().is_some());
    assert_eq!(store.purge(Duration::ZERO).await.unwrap(), 1);
    assert!(store.report(&id("running")).await.unwrap().is_some());
    assert_eq!(store.totals(&news()).await.unwrap().broadcasts, 2);
}

#[tokio::test(start_paused = true)]
async fn more_is_listed_and_purged_than_fits_into_one_step() {
    let store = MemoryStore::new();
    for number in 0..600 {
        begin(&store, &format!("b{number}"), 0).await;
    }
    let all = store.recent(None, NonZeroU16::MAX).await.unwrap();
    let ids: Vec<_> = all.into_iter().map(|summary| summary.id).collect();
    assert_eq!(ids, (0..600).rev().map(|number| id(&format!("b{number}"))).collect::<Vec<_>>());
    assert_eq!(store.recent(Some(&ids[9]), BATCH).await.unwrap()[0].id, ids[10]);

    assert_eq!(store.purge(Duration::ZERO).await.unwrap(), 600);
    let gone = store.recent(Some(&ids[9]), BATCH).await.unwrap_err();
    assert_eq!(gone.kind(), JournalErrorKind::Unknown);
    assert!(store.recent(None, BATCH).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_report_stops_with_the_broadcast() {
    let store = MemoryStore::new();
    begin(&store, "a", 1).await;
    advance(TERM).await;
    store.abort(&id("a")).await.unwrap();
    advance(TERM).await;
    let report = store.report(&id("a")).await.unwrap().unwrap();
    assert_eq!((report.state, report.elapsed), (BroadcastState::Aborted, TERM));
    assert_eq!(store.recent(None, BATCH).await.unwrap()[0].age, 2 * TERM);
}

#[tokio::test(start_paused = true)]
async fn when_a_broadcast_began_is_told_by_the_stores_clock() {
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    begin(&store, "a", 1).await;
    clock.advance(HOUR);
    let summary = store.summary(&id("a")).await.unwrap().unwrap();
    assert_eq!(summary.created, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_broadcasts_take_turns() {
    let store = MemoryStore::new();
    for number in 0..100 {
        begin(&store, &format!("b{number}"), 3).await;
    }
    for _ in 0..3 {
        let mut turn = Vec::new();
        for _ in 0..100 {
            turn.push(lease(&store).await.unwrap().broadcast.id.clone());
        }
        let begun: Vec<_> = (0..100).map(|number| id(&format!("b{number}"))).collect();
        assert_eq!(turn, begun);
    }
    assert!(lease(&store).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_shared_by_leases_whose_term_has_not_passed() {
    let store = MemoryStore::new();
    begin(&store, "a", 3).await;
    let mut control = Control::default();
    control.per_minute = NonZeroU32::new(90);
    store.control(&id("a"), control).await.unwrap();
    let share = |state: State| match state {
        State::Running(control) => control.per_minute.unwrap().get(),
        other => panic!("{other:?}"),
    };
    let first = lease(&store).await.unwrap();
    assert_eq!(first.control.per_minute, NonZeroU32::new(90));
    advance(TERM / 2).await;
    let second = lease(&store).await.unwrap();
    assert_eq!(second.control.per_minute, NonZeroU32::new(45));
    advance(TERM / 2).await;
    assert_eq!(share(checkpoint(&store, &second.token, Checkpoint::new(1, TERM)).await), 90);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_another_lease_has_stays_with_it() {
    let store = MemoryStore::new();
    begin(&store, "a", 1).await;
    let range = lease(&store).await.unwrap().token;
    let mut first = Checkpoint::new(1, HOUR);
    (first.read, first.deferred) = (1, vec![deferred(1, 1, Duration::ZERO)]);
    checkpoint(&store, &range, first).await;
    let batch = lease(&store).await.unwrap();
    assert!(matches!(&batch.work, Work::Retries(due) if due.len() == 1));

    // The first answer came after all, and asked to try again.
    let mut second = Checkpoint::new(2, HOUR);
    second.deferred = vec![deferred(1, 2, Duration::ZERO)];
    checkpoint(&store, &range, second).await;
    assert!(lease(&store).await.is_none());
    store.release(&batch.token).await.unwrap();
    let Work::Retries(due) = lease(&store).await.unwrap().work else { panic!("no range is free") };
    assert_eq!(due[0].tried.attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_come_in_the_checkpoint_of_its_deferral() {
    let store = MemoryStore::new();
    begin(&store, "a", 1).await;
    let token = lease(&store).await.unwrap().token;
    let mut last = done(1);
    last.read = 1;
    last.deferred = vec![deferred(1, 1, TERM)];
    last.settled = vec![SettledRetry::new(retry(1), FCM, OutcomeKind::Accepted, None)];
    assert_eq!(checkpoint(&store, &token, last).await, State::Finished);
    assert_eq!(store.report(&id("a")).await.unwrap().unwrap().counts[OutcomeKind::Accepted], 1);
}

#[tokio::test(start_paused = true)]
async fn a_user_is_forgotten_among_many() {
    let store = MemoryStore::new();
    store.put(&[entry("ann", 1)]).await.unwrap();
    begin(&store, "a", 1).await;
    let token = lease(&store).await.unwrap().token;
    let mut all = done(1);
    all.read = 2000;
    for number in 0..1000 {
        let owner = if number % 10 == 0 { "ann" } else { "bob" };
        let failure = Failure::new(reference(owner, 1).id, FCM, OutcomeKind::GaveUp, None, 1);
        all.failures.push(FailedDelivery::new(user(owner), failure));
        all.deferred.push(deferred(number, 1, Duration::ZERO));
        all.deferred.last_mut().unwrap().user = user(owner);
    }
    checkpoint(&store, &token, all).await;
    store.forget(&user("ann")).await.unwrap();

    let report = store.report(&id("a")).await.unwrap().unwrap();
    assert_eq!((report.counts[OutcomeKind::Skipped], report.pending), (100, 1900));
    let page = store.failures(&id("a"), None, NonZeroU16::MAX).await.unwrap();
    assert_eq!((page.failures.len(), page.next), (900, None));
    store.forget(&user("bob")).await.unwrap();
    assert!(store.unfinished(None, ONE).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn terms_and_delays_may_be_endless() {
    let store = MemoryStore::new();
    begin(&store, "a", 1).await;
    let first = store.lease(&WorkerId::random(), Duration::MAX, BATCH).await.unwrap().unwrap();
    let mut endless = Checkpoint::new(1, Duration::MAX);
    endless.deferred = vec![deferred(1, 1, Duration::MAX)];
    checkpoint(&store, &first.token, endless).await;
    advance(24 * HOUR).await;
    assert!(lease(&store).await.is_none());
    assert!(timeout(HOUR, store.wait(Duration::MAX)).await.is_err());
}

/// Works until nothing is left: each range defers one attempt, each retry is settled.
async fn work(store: &MemoryStore, worker: u64) {
    let mut number = 1_000_000 * worker;
    while !store.unfinished(None, ONE).await.unwrap().is_empty() {
        let Some(lease) = lease(store).await else {
            store.wait(MOMENT).await;
            continue;
        };
        let mut last = done(1);
        if let Work::Retries(due) = lease.work {
            let settled = |due: Due| SettledRetry::new(due.retry, due.origin, OutcomeKind::Accepted, None);
            last.settled = due.into_iter().map(settled).collect();
        } else {
            number += 1;
            (last.read, last.deferred) = (1, vec![deferred(number, 1, Duration::ZERO)]);
            last.changes = vec![(reference("ann", 1), Change::LimitPayload(3000))];
        }
        checkpoint(store, &lease.token, last).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_do_everything_once() {
    let store = Arc::new(MemoryStore::new());
    store.put(&[entry("ann", 1)]).await.unwrap();
    for number in 0..10 {
        begin(&store, &format!("b{number}"), 20).await;
    }
    let mut tasks = Vec::new();
    for worker in 1..=4 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move { work(&store, worker).await }));
    }
    let others = Arc::clone(&store);
    tasks.push(tokio::spawn(async move {
        for _ in 0..200 {
            others.put(&[entry("ann", 1), entry("bob", 2)]).await.unwrap();
            others.forget(&user("bob")).await.unwrap();
            assert!(format!("{others:?}").contains("broadcasts: 10"));
            yield_now().await;
        }
    }));
    for task in tasks {
        task.await.unwrap();
    }
    let totals = store.totals(&news()).await.unwrap();
    assert_eq!((totals.broadcasts, totals.counts[OutcomeKind::Accepted]), (10, 200));
    for summary in store.recent(None, BATCH).await.unwrap() {
        assert_eq!((summary.report.read, summary.report.pending, summary.report.counts.total()), (20, 0, 20));
    }
}

#[tokio::test]
async fn debug_counts_broadcasts() {
    let store = MemoryStore::new();
    begin(&store, "a", 1).await;
    assert!(format!("{store:?}").contains("broadcasts: 1"));
}

//! Nodes whose clocks are wrong agree all the same: times are the database's.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use webpush_channels::store::{NewEntry, SubscriptionStore as _};
use webpush_channels::testing::ManualClock;
use webpush_channels::{BroadcastId, BroadcastState, Clock as _, OutcomeKind, SystemClock};

use crate::nodes::{HOST, Store, enqueue, finish, nodes, report, times, until, work_until, worker_of};
use crate::support::{Double, Seen, answer, broadcast, news, sender, status, subscription, user};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
const MEMBERS: usize = 12;

fn ahead() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(SystemClock::new().now() + HOUR))
}

fn behind() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(SystemClock::new().now() - HOUR))
}

fn worker(store: &Store, transport: &Double, clock: Arc<ManualClock>) -> webpush_channels::channel::Worker {
    worker_of(store, sender(transport).clock(clock), 8).build()
}

fn ttl(seen: &Seen) -> u64 {
    seen.ttl.parse().unwrap()
}

/// Works until everything is read and deferred.
async fn defer_all(store: &Store, id: &BroadcastId, busy: &Double, clock: Arc<ManualClock>) {
    work_until(&worker(store, busy, clock), "deferral", async || {
        let report = report(store, id).await;
        (report.read, report.pending) == (MEMBERS as u64, MEMBERS as u64)
    })
    .await;
}

/// One node finds a push service busy, the other tries again.
async fn deferred_by(first: Arc<ManualClock>, then: Arc<ManualClock>) {
    let (_database, [one, other]) = nodes(MEMBERS).await;
    let id = enqueue(&one, broadcast().with_send_within(Duration::from_secs(50))).await;
    let busy = Double::new(|_, _| answer(503, &[("retry-after", "1")], ""));
    let asked = Instant::now();
    defer_all(&one, &id, &busy, first).await;
    let accepting = Double::accepting();
    finish(&[worker(&other, &accepting, then)]).await;
    let last = report(&other, &id).await;
    assert_eq!(last.state, BroadcastState::Finished, "{last}");
    assert_eq!(last.counts[OutcomeKind::Accepted], MEMBERS as u64, "nothing expires early: {last}");
    assert_eq!(last.takeovers, 0, "{last}");
    assert_eq!(times(std::slice::from_ref(&accepting)).len(), MEMBERS);
    for seen in accepting.seen() {
        let waited = seen.at.duration_since(asked);
        assert!((SECOND..20 * SECOND).contains(&waited), "tried again after {waited:?}");
        assert!((3570..=3600).contains(&ttl(&seen)), "its lifetime is {}", seen.ttl);
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_hands_retries_to_one_that_is_behind() {
    deferred_by(ahead(), behind()).await;
}

#[tokio::test]
async fn a_clock_that_is_behind_hands_retries_to_one_that_is_ahead() {
    deferred_by(behind(), ahead()).await;
}

#[tokio::test]
async fn the_end_of_a_broadcast_is_the_same_for_all_clocks() {
    for clock in [ahead(), behind()] {
        let (_database, [one, other]) = nodes(MEMBERS).await;
        let limit = Duration::from_millis(20);
        let id = enqueue(&one, broadcast().with_send_within(limit)).await;
        until("its end", async || report(&one, &id).await.elapsed > limit).await;
        let transport = Double::accepting();
        finish(&[worker(&other, &transport, clock)]).await;
        let last = report(&one, &id).await;
        assert_eq!((last.state, last.read), (BroadcastState::TimedOut, 0), "{last}");
        assert!(transport.seen().is_empty(), "nothing is sent after the end");
    }
}

#[tokio::test]
async fn what_was_deferred_expires_with_its_broadcast_for_all_clocks() {
    for (first, then) in [(ahead(), behind()), (behind(), ahead())] {
        let (database, [one, other]) = nodes(MEMBERS).await;
        let id = enqueue(&one, broadcast()).await;
        let busy = Double::new(|_, _| answer(503, &[("retry-after", "600")], ""));
        defer_all(&one, &id, &busy, first).await;
        let later = "UPDATE webpush_channels.broadcasts SET created = created - send_within; \
            UPDATE webpush_channels.retries SET due = 0";
        database.client().await.batch_execute(later).await.unwrap();
        let transport = Double::accepting();
        finish(&[worker(&other, &transport, then)]).await;
        let last = report(&one, &id).await;
        assert_eq!((last.state, last.read), (BroadcastState::Finished, MEMBERS as u64), "{last}");
        assert_eq!(last.counts[OutcomeKind::Expired], MEMBERS as u64, "{last}");
        assert!(transport.seen().is_empty(), "nothing is sent after the end");
    }
}

#[tokio::test]
async fn only_what_a_browser_says_of_its_subscription_is_judged_by_the_nodes_clock() {
    let (_database, [one, other]) = nodes(0).await;
    let now = SystemClock::new().now();
    let until = |at: SystemTime| {
        let subscription = subscription(&format!("https://{HOST}/p/1"));
        NewEntry::new(user(1), subscription.with_expiration_time(Some(at)))
    };
    one.put(&[until(now + HOUR / 2)]).await.unwrap();
    one.join(&news(), &[user(1)]).await.unwrap();
    for (store, clock, expected) in
        [(&one, ahead(), OutcomeKind::Skipped), (&other, behind(), OutcomeKind::Accepted)]
    {
        let id = enqueue(store, broadcast()).await;
        finish(&[worker(store, &Double::new(|_, _| status(201)), clock)]).await;
        let report = report(store, &id).await;
        assert_eq!((report.read, report.counts[expected]), (1, 1), "{report}");
    }
}

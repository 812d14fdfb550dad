//! Many workers at once, on several nodes.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use webpush_channels::store::journal::{
    Begun, Checkpoint, Journal, JournalErrorKind, Lease, SettledRetry, State, Work, WorkerId,
};
use webpush_channels::store::{PostgresStore, SubscriptionStore};
use webpush_channels::{BroadcastState, Counts, Message, OriginReport, OutcomeKind, Payload, Ttl};

use super::kit::{BATCH, FCM, TERM, broadcast, deferred, done, entry, id, news, retry, user};
use super::postgres::Database;
use super::{begin, expire_leases, lease, pg_consistency, ranges};

const WORKERS: usize = 8;
const NOW: Duration = Duration::ZERO;

/// Two nodes: each has half of the workers.
async fn nodes(database: &Database) -> [Arc<PostgresStore>; 2] {
    [Arc::new(database.store().await), Arc::new(database.store().await)]
}

fn of_range(lease: &Lease) -> Vec<u8> {
    let Work::Range { range, .. } = &lease.work else { panic!("a range, not {:?}", lease.work) };
    range.as_bytes().to_vec()
}

/// So many entries, accepted.
fn accepted(number: u64, read: u64) -> Checkpoint {
    let mut step = Checkpoint::new(number, TERM);
    let mut counts = Counts::default();
    counts.add(OutcomeKind::Accepted, read);
    (step.read, step.counts) = (read, vec![OriginReport::new(FCM, counts)]);
    step
}

fn settled(number: u64) -> SettledRetry {
    SettledRetry::new(retry(number), FCM, OutcomeKind::Accepted, None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_share_ranges_and_finish_once() {
    const RANGES: u64 = 64;
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    begin(&nodes[0], "a", RANGES).await;
    let work = |node: Arc<PostgresStore>| async move {
        let (mut had, mut finished) = (Vec::new(), 0);
        while let Some(lease) = lease(&node).await {
            had.push(of_range(&lease));
            node.checkpoint(&lease.token, accepted(1, 3)).await.unwrap();
            let state = node.checkpoint(&lease.token, done(2)).await.unwrap();
            finished += usize::from(state == State::Finished);
        }
        (had, finished)
    };
    let workers = (0..WORKERS).map(|n| tokio::spawn(work(Arc::clone(&nodes[n % 2]))));
    let (mut had, mut finished) = (Vec::new(), 0);
    for worker in join_all(workers).await {
        let (ranges, times) = worker.unwrap();
        had.extend(ranges);
        finished += times;
    }
    let expected: Vec<_> = ranges(RANGES).iter().map(|range| range.as_bytes().to_vec()).collect();
    had.sort();
    assert_eq!(had, expected, "each range once");
    assert_eq!(finished, 1);
    let report = nodes[1].report(&id("a")).await.unwrap().unwrap();
    assert_eq!((report.state, report.read, report.pending), (BroadcastState::Finished, 3 * RANGES, 0));
    let totals = nodes[0].totals(&news()).await.unwrap();
    assert_eq!((totals.broadcasts, totals.counts.total()), (1, 3 * RANGES));
    pg_consistency::check(&database.client().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_who_come_at_once_all_get_work() {
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    for round in 0..10 {
        let name = format!("round {round}");
        begin(&nodes[0], &name, WORKERS as u64).await;
        let leases = (0..WORKERS).map(|n| {
            let node = Arc::clone(&nodes[n % 2]);
            tokio::spawn(async move { lease(&node).await })
        });
        let leases: Vec<_> = join_all(leases).await.into_iter().map(Result::unwrap).collect();
        let ranges: BTreeSet<_> = leases.iter().flatten().map(of_range).collect();
        assert_eq!(ranges.len(), WORKERS, "round {round}");
        nodes[1].abort(&id(&name)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_publications_of_one_id_wins() {
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    for round in 0..10 {
        let publish = |n: usize| {
            let node = Arc::clone(&nodes[n % 2]);
            let mut new = broadcast(&format!("round {round}"));
            new.message = Message::new(Payload::new(format!("{}", n % 4 / 2)).unwrap(), Ttl::hours(1));
            tokio::spawn(async move { (n % 4 / 2, node.begin(&new, &ranges(3)).await) })
        };
        let begun: Vec<_> =
            join_all((0..WORKERS).map(publish)).await.into_iter().map(Result::unwrap).collect();
        let created: Vec<_> = begun
            .iter()
            .filter(|(_, begun)| matches!(begun, Ok(Begun::Created)))
            .map(|(text, _)| *text)
            .collect();
        assert_eq!(created.len(), 1, "{begun:?}");
        for (text, begun) in &begun {
            match begun {
                Ok(_) => assert_eq!(*text, created[0]),
                Err(error) => assert_eq!((error.kind(), *text), (JournalErrorKind::Conflict, 1 - created[0])),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_last_checkpoints_at_once_one_finishes() {
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    for round in 1..=20 {
        let name = format!("round {round}");
        begin(&nodes[0], &name, 2).await;
        let last = [&nodes[0], &nodes[1]].map(|node| {
            let node = Arc::clone(node);
            async move {
                let token = lease(&node).await.unwrap().token;
                (node, token)
            }
        });
        let last = join_all(last).await.into_iter().map(|(node, token)| {
            tokio::spawn(async move { node.checkpoint(&token, done(1)).await.unwrap() })
        });
        let states: Vec<_> = join_all(last).await.into_iter().map(Result::unwrap).collect();
        let finished = states.iter().filter(|state| **state == State::Finished).count();
        assert_eq!(finished, 1, "round {round}: {states:?}");
        assert_eq!(nodes[0].totals(&news()).await.unwrap().broadcasts, round);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_that_are_settled_from_two_sides_count_once() {
    const RETRIES: u64 = 120;
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    begin(&nodes[0], "a", 1).await;
    let range = lease(&nodes[0]).await.unwrap();
    let mut first = Checkpoint::new(1, TERM);
    (first.read, first.deferred) = (RETRIES, (0..RETRIES).map(|n| deferred(n, 1, NOW)).collect());
    nodes[0].checkpoint(&range.token, first).await.unwrap();

    let late = Arc::clone(&nodes[0]);
    let late = tokio::spawn(async move {
        for (number, retry) in (2..).zip(0..RETRIES) {
            let mut step = Checkpoint::new(number, TERM);
            step.settled.push(settled(retry));
            late.checkpoint(&range.token, step).await.unwrap();
        }
        late.checkpoint(&range.token, done(1000)).await.unwrap()
    });
    let batches = (0..3).map(|n| {
        let node = Arc::clone(&nodes[n % 2]);
        tokio::spawn(async move {
            let few = NonZeroU16::new(7).unwrap();
            while let Some(lease) = node.lease(&WorkerId::random(), TERM, few).await.unwrap() {
                let Work::Retries(due) = &lease.work else { panic!("{:?}", lease.work) };
                let mut last = done(1);
                // The other way round than they are settled late.
                let due = due.iter().rev().map(|due| due.retry);
                last.settled =
                    due.map(|retry| SettledRetry::new(retry, FCM, OutcomeKind::GaveUp, None)).collect();
                match node.checkpoint(&lease.token, last).await {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), JournalErrorKind::LeaseLost, "{error:?}"),
                }
            }
        })
    });
    for batch in join_all(batches).await {
        batch.unwrap();
    }
    late.await.unwrap();
    let report = nodes[1].report(&id("a")).await.unwrap().unwrap();
    assert_eq!((report.state, report.pending), (BroadcastState::Finished, 0));
    assert_eq!(report.counts.total(), RETRIES, "{:?}", report.counts);
    pg_consistency::check(&database.client().await).await;
}

/// Everything at once: workers who defer, settle and lose leases, users who are forgotten,
/// broadcasts that are aborted and purged. Whatever comes of it must be consistent, and nobody may
/// see more than a lost lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_a_crowd() {
    const BROADCASTS: u64 = 6;
    let database = Database::new().await;
    let nodes = nodes(&database).await;
    let users: Vec<_> = (0..8).map(|n| user(&format!("user {n}"))).collect();
    let entries: Vec<_> = (0_u32..8).map(|n| entry(&format!("user {n}"), n)).collect();
    nodes[0].put(&entries).await.unwrap();
    for n in 0..BROADCASTS {
        begin(&nodes[0], &format!("b {n}"), 6).await;
    }
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..WORKERS).map(|n| {
        let (node, next) = (Arc::clone(&nodes[n % 2]), Arc::clone(&next));
        tokio::spawn(async move { work_in_a_crowd(&node, &next).await })
    });
    let workers: Vec<_> = workers.collect();
    for (n, user) in users.iter().enumerate().take(5) {
        expire_leases(&database).await;
        nodes[n % 2].forget(user).await.unwrap();
        if n % 2 == 0 {
            nodes[1].abort(&id(&format!("b {n}"))).await.unwrap();
        }
        nodes[0].purge(Duration::from_secs(3600)).await.unwrap();
        pg_consistency::check_counts(&database.client().await).await;
    }
    for worker in workers {
        worker.await.unwrap();
    }
    // What was leased when its worker lost it.
    expire_leases(&database).await;
    while let Some(lease) = lease(&nodes[0]).await {
        finish_in_a_crowd(&nodes[0], &lease).await;
    }
    for n in 0..BROADCASTS {
        let report = nodes[1].report(&id(&format!("b {n}"))).await.unwrap().unwrap();
        assert_ne!(report.state, BroadcastState::Running, "b {n}: {report:?}");
    }
    pg_consistency::check(&database.client().await).await;
    nodes[0].purge(Duration::ZERO).await.unwrap();
    assert!(nodes[0].recent(None, BATCH).await.unwrap().is_empty());
    pg_consistency::check_rows(&database.client().await).await;
}

/// Reads eight entries in each range, defers those of four users, and settles some of that late.
async fn work_in_a_crowd(node: &PostgresStore, next: &AtomicUsize) {
    while let Some(lease) = lease(node).await {
        let Work::Range { .. } = lease.work else {
            finish_in_a_crowd(node, &lease).await;
            continue;
        };
        let first = next.fetch_add(4, Ordering::Relaxed) as u64;
        let mut step = accepted(1, 4);
        step.read += 4;
        step.deferred = (first..first + 4)
            .map(|number| {
                let mut deferred = deferred(number, 1, NOW);
                deferred.user = user(&format!("user {}", number % 8));
                deferred
            })
            .collect();
        let mut late = done(2);
        late.settled = vec![settled(first + 3), settled(first + 1)];
        for checkpoint in [step, late] {
            match node.checkpoint(&lease.token, checkpoint).await {
                Ok(State::Aborted) => break,
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), JournalErrorKind::LeaseLost, "{error:?}");
                    break;
                }
            }
        }
    }
}

/// Settles half of a batch and puts the other half off; ends a range.
async fn finish_in_a_crowd(node: &PostgresStore, lease: &Lease) {
    let mut last = done(1);
    if let Work::Retries(due) = &lease.work {
        for (n, due) in due.iter().rev().enumerate() {
            if n % 2 == 0 {
                last.settled.push(SettledRetry::new(due.retry, FCM, OutcomeKind::Gone, None));
            } else {
                let mut again = deferred(0, 2, NOW);
                (again.retry, again.user) = (due.retry, due.user.clone());
                last.deferred.push(again);
            }
        }
    }
    match node.checkpoint(&lease.token, last).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), JournalErrorKind::LeaseLost, "{error:?}"),
    }
}

//! Workers that share a broadcast, and one that vanishes.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use webpush_channels::store::journal::Journal as _;
use webpush_channels::{BroadcastState, OutcomeKind};

use crate::nodes::{each_once, enqueue, finish, nodes, report, times, until, work_until, worker};
use crate::support::{Double, broadcast, news, status};

fn slow() -> Double {
    Double::slow(|_, _| (Duration::from_millis(20), status(201)))
}

/// Two ranges for each node: no range of this store is narrower than 256 numbers.
async fn shared<const N: usize>() {
    let members = 512 * N;
    let (_database, stores) = nodes::<N>(members).await;
    let id = enqueue(&stores[0], broadcast()).await;
    let transports = [(); N].map(|()| slow());
    let each = |(store, transport)| worker(store, transport, 64).leases(NonZeroUsize::MIN).build();
    let workers: Vec<_> = stores.iter().zip(&transports).map(each).collect();
    finish(&workers).await;
    let last = report(&stores[0], &id).await;
    assert_eq!(last.state, BroadcastState::Finished, "{last}");
    each_once(&last, &transports, members);
    for (node, transport) in transports.iter().enumerate() {
        assert!(transport.seen().len() >= 256, "node {node} did {}", transport.seen().len());
    }
    for store in &stores {
        let totals = store.totals(&news()).await.unwrap();
        assert_eq!((totals.broadcasts, &totals.counts), (1, &last.counts));
        assert_eq!(report(store, &id).await.counts, last.counts);
    }
}

#[tokio::test]
async fn two_workers_share_a_broadcast() {
    shared::<2>().await;
}

#[tokio::test]
async fn three_workers_share_a_broadcast() {
    shared::<3>().await;
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_leaves_the_rest_to_another() {
    const MEMBERS: usize = 300;
    let (_database, [first, second]) = nodes(MEMBERS).await;
    let id = enqueue(&first, broadcast()).await;
    let transports = [slow(), slow()];
    work_until(&worker(&first, &transports[0], 16).build(), "the middle", async || {
        transports[0].seen().len() > 40
    })
    .await;
    assert!(transports[0].seen().len() < MEMBERS);
    // At once: what was on its way has landed, and leases are given back.
    let working = Instant::now();
    finish(&[worker(&second, &transports[1], 64).build()]).await;
    assert!(working.elapsed() < Duration::from_secs(15), "no lease ends by its term");
    each_once(&report(&second, &id).await, &transports, MEMBERS);
}

#[tokio::test]
async fn a_successor_finishes_what_a_vanished_worker_began() {
    const MEMBERS: usize = 300;
    const WINDOW: usize = 8;
    const LEASES: usize = 2;
    let (database, [first, second]) = nodes(MEMBERS).await;
    let id = enqueue(&first, broadcast()).await;
    let (answered, requests) = (40, Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&requests);
    let vanishing = Double::slow(move |_, _| {
        let silent = counted.fetch_add(1, Ordering::SeqCst) >= answered;
        (Duration::from_secs(if silent { 3600 } else { 0 }), status(201))
    });
    let doomed = worker(&first, &vanishing, WINDOW).leases(LEASES.try_into().unwrap()).build();
    tokio::select! {
        ended = doomed.run_until_idle() => panic!("it cannot end: {ended:?}"),
        () = until("silence", async || requests.load(Ordering::SeqCst) > answered) => {}
    }
    drop(doomed);
    // So that the test need not wait for the rest of their term; a worker's own is 1 s at least.
    let shorten = "UPDATE webpush_channels.leases SET until = least(until, 1000 + \
        (SELECT extract(epoch FROM clock_timestamp()) * 1000)::bigint)";
    let leases = database.client().await.execute(shorten, &[]).await.unwrap();
    assert!((1..=LEASES as u64).contains(&leases), "{leases}");

    let following = Double::accepting();
    finish(&[worker(&second, &following, WINDOW).build()]).await;
    let last = report(&second, &id).await;
    assert_eq!(
        (last.state, last.read, last.pending),
        (BroadcastState::Finished, MEMBERS as u64, 0),
        "{last}"
    );
    assert_eq!(last.counts[OutcomeKind::Accepted], MEMBERS as u64, "{last}");
    assert_eq!(last.takeovers, leases, "{last}");
    let times = times(&[vanishing, following]);
    assert_eq!(times.len(), MEMBERS, "nobody is left out");
    let extra: usize = times.values().map(|times| times - 1).sum();
    assert!((1..=LEASES * WINDOW).contains(&extra), "{extra} were sent to again");
    assert_eq!(first.totals(&news()).await.unwrap().broadcasts, 1);
}

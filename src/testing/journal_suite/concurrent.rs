//! Several nodes at the same moment.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::JournalHarness;
use super::finish::totals;
use super::kit::*;
use crate::{BroadcastState, OutcomeKind};

const NODES: u8 = 6;

async fn nodes(harness: &dyn JournalHarness) -> Vec<Box<dyn Journal>> {
    handles(harness, NODES.into()).await
}

/// Of the same publication on several nodes, one begins; all others find it.
pub async fn one_of_many_beginnings_begins(harness: &dyn JournalHarness) {
    let (journal, nodes) = (harness.journal(), nodes(harness).await);
    let (new, ranges) = (broadcast("b"), ranges(2));
    let begun = join_all(nodes.iter().map(|node| node.begin(&new, &ranges))).await;
    let created = begun.iter().filter(|begun| matches!(begun, Ok(Begun::Created))).count();
    let known = begun.iter().filter(|begun| matches!(begun, Ok(Begun::Known))).count();
    assert_eq!((created, known), (1, nodes.len() - 1), "{begun:?}");
    take_all(journal, 2).await;
    idle(journal).await;

    let others: Vec<_> =
        (0..NODES).map(|n| NewBroadcast { message: message(&n.to_string()), ..broadcast("c") }).collect();
    let begun = join_all(nodes.iter().zip(&others).map(|(node, new)| node.begin(new, &ranges))).await;
    let winner = begun.iter().position(Result::is_ok).expect("one of them begins");
    for (n, begun) in begun.into_iter().enumerate().filter(|(n, _)| *n != winner) {
        assert_eq!(begun.expect_err("another one").kind(), JournalErrorKind::Conflict, "{n}");
    }
    assert_eq!(take(journal).await.broadcast.fingerprint(), others[winner].fingerprint());
}

/// Leases the rest on all nodes at once, until there is none.
async fn drain(nodes: &[Box<dyn Journal>]) -> Vec<Lease> {
    let mut leases = Vec::new();
    loop {
        let round = join_all((1..).zip(nodes).map(|(n, node)| lease(&**node, n, 2))).await;
        let before = leases.len();
        leases.extend(round.into_iter().flatten());
        if leases.len() == before {
            return leases;
        }
    }
}

/// However many ask at once: each piece of work is given to one of them.
pub async fn nothing_is_leased_twice_at_once(harness: &dyn JournalHarness) {
    let (journal, nodes) = (harness.journal(), nodes(harness).await);
    for name in ["b", "c"] {
        begin(journal, name, 9).await;
    }
    for retaken in [false, true] {
        let leases = drain(&nodes).await;
        let work: BTreeSet<_> = leases.iter().map(|l| (l.broadcast.id.clone(), of_range(l).0)).collect();
        assert_eq!((leases.len(), work.len()), (18, 18), "taken over: {retaken}");
        harness.expire_leases().await;
    }
    let mut takeovers = 0;
    idle_after_all(&nodes, 18).await;
    for name in ["b", "c"] {
        takeovers += report(journal, name).await.takeovers;
    }
    assert_eq!(takeovers, 36);
}

async fn idle_after_all(nodes: &[Box<dyn Journal>], count: usize) {
    assert_eq!(drain(nodes).await.len(), count);
    idle(&*nodes[0]).await;
}

/// The same for retries.
pub async fn no_retry_is_leased_twice_at_once(harness: &dyn JournalHarness) {
    let (journal, nodes) = (harness.journal(), nodes(harness).await);
    begin(journal, "b", 1).await;
    let range = take(journal).await;
    go_on(journal, &range, deferring(1, (0..25).map(|n| deferred(n, NOW)).collect())).await;
    let leases = drain(&nodes).await;
    let mut all: Vec<_> = leases.iter().flat_map(retry_ids).collect();
    assert_eq!(all.len(), 25);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 25, "a retry is given once");
}

/// When several end the last ranges at once, one of them finishes the broadcast.
pub async fn one_of_many_last_checkpoints_finishes(harness: &dyn JournalHarness) {
    let (journal, nodes) = (harness.journal(), nodes(harness).await);
    for round in 1..=3_u64 {
        let name = format!("b{round}");
        begin(journal, &name, NODES.into()).await;
        let leases = take_all(journal, NODES.into()).await;
        let states = join_all(nodes.iter().zip(&leases).map(|(node, lease)| {
            let last = Checkpoint { done: true, ..reading(1, &[(OutcomeKind::Accepted, 2)]) };
            keep(&**node, lease, last)
        }))
        .await;
        let finished = states.iter().filter(|state| **state == State::Finished).count();
        assert_eq!(finished, 1, "{states:?}");
        let report = report(journal, &name).await;
        assert_eq!((report.state, report.read), (BroadcastState::Finished, 2 * u64::from(NODES)));
        let totals = totals(journal, "news").await;
        assert_eq!((totals.broadcasts, totals.counts.total()), (round, round * 2 * u64::from(NODES)));
    }
}

/// The same for a last range and last retries.
pub async fn a_last_range_and_last_retries_finish_once(harness: &dyn JournalHarness) {
    let (journal, nodes) = (harness.journal(), nodes(harness).await);
    begin(journal, "b", 1).await;
    let range = take(journal).await;
    let retries = (1..u64::from(NODES)).map(|n| deferred(n, NOW)).collect();
    go_on(journal, &range, deferring(1, retries)).await;
    let mut work = vec![(range, done(2))];
    while let Some(batch) = lease(journal, 2, 1).await {
        let [due] = of_retries(&batch) else { panic!("one was asked for") };
        let settled = vec![SettledRetry::new(due.retry, FCM, OutcomeKind::Accepted, None)];
        work.push((batch, Checkpoint { settled, ..done(1) }));
    }
    assert_eq!(work.len(), nodes.len());
    let steps =
        nodes.iter().zip(work).map(|(node, (lease, step))| async move { keep(&**node, &lease, step).await });
    let states = join_all(steps).await;
    let finished = states.iter().filter(|state| **state == State::Finished).count();
    assert_eq!(finished, 1, "{states:?}");
    let totals = totals(journal, "news").await;
    assert_eq!((totals.broadcasts, totals.counts.total()), (1, u64::from(NODES) - 1));
}

/// A checkpoint that is sent a second time while the first is on its way counts once.
pub async fn a_checkpoint_sent_twice_at_once_counts_once(harness: &dyn JournalHarness) {
    let (journal, nodes) = (harness.journal(), nodes(harness).await);
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    for number in 1..=3 {
        let step = reading(number, &[(OutcomeKind::Accepted, 5)]);
        join_all(nodes.iter().map(|node| go_on(&**node, &lease, step.clone()))).await;
        assert_eq!(report(journal, "b").await.read, 5 * number);
    }
}

/// Whoever settles a retry first, and whoever else does at the same moment: it counts once.
pub async fn a_retry_settled_twice_at_once_counts_once(harness: &dyn JournalHarness) {
    let (journal, nodes) = (harness.journal(), nodes(harness).await);
    begin(journal, "b", NODES.into()).await;
    let leases = take_all(journal, NODES.into()).await;
    let retries: Vec<u64> = (1..=10).collect();
    let all = retries.iter().map(|n| deferred(*n, NOW)).collect();
    go_on(journal, &leases[0], deferring(1, all)).await;
    let numbers = [retries.clone(), retries.iter().rev().copied().collect()];
    let steps = nodes.iter().zip(&leases).enumerate();
    join_all(steps.map(|(n, (node, lease))| go_on(&**node, lease, settling(2, &numbers[n % 2])))).await;
    let report = report(journal, "b").await;
    assert_eq!((report.counts.total(), report.pending), (10, 0));
}

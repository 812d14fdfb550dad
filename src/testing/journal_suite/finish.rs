//! How a broadcast ends, and what channels add up to.

use super::JournalHarness;
use super::kit::*;
use crate::store::Change;
use crate::store::journal::Totals;
use crate::testing::store_suite::kit::channel;
use crate::{BroadcastState, OutcomeKind};

pub(super) async fn totals(journal: &dyn Journal, name: &str) -> Totals {
    journal.totals(&channel(name)).await.expect("totals")
}

/// Exactly the checkpoint that leaves nothing open finishes the broadcast, and says so.
pub async fn the_last_range_finishes_the_broadcast(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 3).await;
    let leases = take_all(journal, 3).await;
    for lease in &leases[..2] {
        go_on(journal, lease, done(1)).await;
        assert_eq!(report(journal, "b").await.state, BroadcastState::Running);
    }
    go_on(journal, &leases[2], step(1)).await;
    let last = Checkpoint { done: true, ..reading(2, &[(OutcomeKind::Accepted, 7)]) };
    finish(journal, &leases[2], last).await;
    for handle in [journal, &*other] {
        let report = report(handle, "b").await;
        assert_eq!((report.state, report.read, report.pending), (BroadcastState::Finished, 7, 0));
        idle(handle).await;
    }
}

/// A lease may go on although its range is done, so that answers which come late still count.
pub async fn a_range_that_awaits_answers_keeps_its_lease(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    let mut all = deferring(1, vec![deferred(1, DAY), deferred(2, DAY)]);
    (all.done, all.awaits) = (true, true);
    go_on(journal, &lease, all.clone()).await;
    let before = report(journal, "b").await;
    assert_eq!((before.state, before.read, before.pending), (BroadcastState::Running, 2, 2));
    idle(&*other).await;
    go_on(journal, &lease, settling(2, &[1])).await;
    let last = Checkpoint { done: true, ..settling(3, &[2]) };
    finish(journal, &lease, last).await;
    let report = report(&*other, "b").await;
    assert_eq!((report.state, report.counts.total()), (BroadcastState::Finished, 2));
}

/// What is done stays done, also when the lease that awaited answers is lost.
pub async fn a_range_that_awaited_answers_is_not_worked_on_again(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    let mut all = deferring(1, vec![deferred(1, DAY)]);
    (all.done, all.awaits) = (true, true);
    go_on(journal, &lease, all).await;
    go_on(journal, &lease, step(2)).await;
    harness.expire_leases().await;
    idle(journal).await;
    assert_eq!(report(journal, "b").await.state, BroadcastState::Running);
}

/// A broadcast whose time was over before it had read every entry has timed out.
pub async fn a_range_that_ran_out_of_time_times_the_broadcast_out(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 3).await;
    let leases = take_all(journal, 3).await;
    go_on(journal, &leases[0], done(1)).await;
    let out = Checkpoint { timed_out: true, ..done(1) };
    go_on(journal, &leases[1], Checkpoint { deferred: vec![deferred(1, NOW)], read: 1, ..out }).await;
    go_on(journal, &leases[2], done(1)).await;
    assert_eq!(report(journal, "b").await.state, BroadcastState::Running);
    let batch = take(journal).await;
    finish(journal, &batch, Checkpoint { done: true, ..settling(1, &[1]) }).await;
    let report = report(journal, "b").await;
    assert_eq!((report.state, report.pending), (BroadcastState::TimedOut, 0));
    assert_eq!(totals(journal, "news").await.broadcasts, 1, "that is an end like another");
}

/// What a broadcast came to is added to its channel, at its end, once.
pub async fn an_ended_broadcast_is_added_to_its_channel_once(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    let entry = subscribed(journal, "ann", 1).await;
    begin(journal, "b", 2).await;
    let leases = take_all(journal, 2).await;
    let mut step = reading(1, &[(OutcomeKind::Accepted, 5), (OutcomeKind::Gone, 1)]);
    (step.read, step.deferred) = (7, vec![deferred(1, NOW)]);
    step.changes = vec![(entry.reference(), Change::Remove)];
    go_on(journal, &leases[0], step).await;
    go_on(journal, &leases[0], done(2)).await;
    go_on(journal, &leases[1], Checkpoint { done: true, ..reading(1, &[(OutcomeKind::Accepted, 4)]) }).await;
    assert_eq!(totals(journal, "news").await, Totals::default(), "it runs");
    let batch = take(journal).await;
    finish(journal, &batch, Checkpoint { done: true, ..settling(1, &[1]) }).await;
    begin(journal, "another", 1).await;
    let lease = take(journal).await;
    finish(journal, &lease, Checkpoint { done: true, ..reading(1, &[(OutcomeKind::GaveUp, 2)]) }).await;

    lost(journal, &lease, done(2)).await;
    assert_eq!(journal.begin(&broadcast("b"), &ranges(2)).await.expect("begin"), Begun::Known);
    let expected = [(OutcomeKind::Accepted, 10), (OutcomeKind::Gone, 1), (OutcomeKind::GaveUp, 2)];
    for handle in [journal, &*other] {
        let totals = totals(handle, "news").await;
        assert_eq!((totals.broadcasts, totals.pruned), (2, 1));
        assert_eq!(totals.counts, counts(&expected));
    }
}

/// Only channels have totals, each its own, and only of what came to its end.
pub async fn totals_are_of_one_channel(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let to = |name, audience| NewBroadcast { audience, ..broadcast(name) };
    let sport = crate::store::Audience::Channel(channel("sport"));
    for broadcast in [to("a", sport), to("b", to_user("news")), broadcast("c")] {
        begin_this(journal, &broadcast, 1).await;
        let lease = take(journal).await;
        go_on_or_finish(journal, &lease).await;
    }
    for (name, expected) in [("news", 0), ("sport", 1), ("nowhere", 0), ("Sport", 0)] {
        let totals = totals(journal, name).await;
        assert_eq!((totals.broadcasts, totals.counts.total()), (expected, 3 * expected), "{name}");
    }
}

/// All but the broadcast `c` are finished; that one is aborted.
async fn go_on_or_finish(journal: &dyn Journal, lease: &Lease) {
    go_on(journal, lease, reading(1, &[(OutcomeKind::Accepted, 3)])).await;
    if lease.broadcast.id == id("c") {
        journal.abort(&lease.broadcast.id).await.expect("abort");
    } else {
        finish(journal, lease, done(2)).await;
    }
}

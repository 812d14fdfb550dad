//! `abort` and `purge`.

use super::JournalHarness;
use super::finish::totals;
use super::kit::*;
use crate::store::Change;
use crate::{BroadcastState, OutcomeKind};

/// No more work is given, neither what was open nor what comes back.
pub async fn an_aborted_broadcast_gives_no_work(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 3).await;
    let leases = take_all(journal, 2).await;
    go_on(journal, &leases[0], deferring(1, vec![deferred(1, NOW)])).await;
    let report = other.abort(&id("b")).await.expect("abort");
    check_report(&report);
    assert_eq!(report.state, BroadcastState::Aborted);
    idle(journal).await;
    release(journal, &leases[0]).await;
    harness.expire_leases().await;
    idle(journal).await;
    assert!(journal.unfinished(None, limit(10)).await.expect("unfinished").is_empty());
    assert_eq!(self::report(journal, "b").await.takeovers, 0, "nobody took it over");
}

/// A worker learns from its next checkpoint that it has to stop; nothing of that is done.
pub async fn an_aborted_lease_is_told_so(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let entry = subscribed(journal, "ann", 1).await;
    begin(journal, "b", 1).await;
    let range = take(journal).await;
    go_on(journal, &range, deferring(1, vec![deferred(1, NOW), deferred(2, DAY)])).await;
    let batch = take(journal).await;
    let before = journal.abort(&id("b")).await.expect("abort");

    let mut late = reading(2, &[(OutcomeKind::Gone, 1)]);
    late.changes = vec![(entry.reference(), Change::Remove)];
    (late.deferred, late.settled) = (vec![deferred(3, NOW)], vec![settled(1), settled(2)]);
    (late.failures, late.done) = (vec![failed("ann", 1)], true);
    for lease in [&range, &batch] {
        for _ in 0..2 {
            assert_eq!(keep(journal, lease, late.clone()).await, State::Aborted);
        }
    }
    assert_same(&before, &report(journal, "b").await);
    assert!(self::entry(journal, "ann", 1).await.is_some());
    assert!(failures(journal, "b", 10).await.is_empty());
    idle(journal).await;
    release(journal, &range).await;
}

/// What was counted stays, and what was deferred stays pending for ever.
pub async fn an_abort_keeps_the_counts(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    let lease = take(journal).await;
    let mut step = reading(1, &[(OutcomeKind::Accepted, 5), (OutcomeKind::Gone, 2)]);
    (step.read, step.deferred) = (8, vec![deferred(1, NOW)]);
    (step.repeats, step.withheld, step.failures) = (1, 2, vec![failed("ann", 1)]);
    go_on(journal, &lease, step).await;
    let before = report(journal, "b").await;
    assert_eq!(before.pending, 1);
    let aborted = crate::Report { state: BroadcastState::Aborted, ..before };
    for _ in 0..2 {
        let report = journal.abort(&id("b")).await.expect("abort");
        assert_same(&aborted, &report);
        assert_same(&aborted, &self::report(journal, "b").await);
    }
    assert_eq!(failures(journal, "b", 10).await.len(), 1);
    assert_eq!(totals(journal, "news").await.broadcasts, 0, "it did not come to its end");
}

/// What finished has finished.
pub async fn aborting_what_ended_changes_nothing(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    finish(journal, &lease, Checkpoint { done: true, ..reading(1, &[(OutcomeKind::Accepted, 5)]) }).await;
    let before = report(journal, "b").await;
    assert_same(&before, &journal.abort(&id("b")).await.expect("abort"));
    assert_same(&before, &report(journal, "b").await);
    assert_eq!(totals(journal, "news").await.broadcasts, 1);
}

/// There is nothing to abort.
pub async fn aborting_an_unknown_broadcast_is_an_error(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let error = journal.abort(&id("c")).await.expect_err("it is unknown");
    assert_eq!(error.kind(), JournalErrorKind::Unknown);
    assert!(!error.is_retryable());
    assert_eq!(report(journal, "b").await.state, BroadcastState::Running);
}

/// Three that ended, each in its own way, and two that run.
async fn three_ended_and_two_running(journal: &dyn Journal) {
    begin(journal, "finished", 1).await;
    let lease = take(journal).await;
    let mut last = reading(1, &[(OutcomeKind::Accepted, 5), (OutcomeKind::Gone, 1)]);
    (last.done, last.failures) = (true, vec![failed("ann", 1)]);
    finish(journal, &lease, last).await;
    begin(journal, "empty", 0).await;
    begin(journal, "aborted", 1).await;
    journal.abort(&id("aborted")).await.expect("abort");
    for (name, retry) in [("runs", deferred(1, NOW)), ("waits", deferred(2, DAY))] {
        begin(journal, name, 1).await;
        let lease = take(journal).await;
        let mut step = deferring(1, vec![retry]);
        step.failures = vec![failed("ann", 2)];
        go_on(journal, &lease, Checkpoint { done: true, ..step }).await;
    }
}

async fn known(journal: &dyn Journal) -> Vec<String> {
    let listed = journal.recent(None, limit(100)).await.expect("recent");
    listed.iter().map(|summary| summary.id.to_string()).collect()
}

/// Only what ended is forgotten, and then all of it.
pub async fn purging_forgets_what_ended(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    three_ended_and_two_running(journal).await;
    assert_eq!(other.purge(NOW).await.expect("purge"), 3);
    for name in ["finished", "empty", "aborted"] {
        assert!(journal.report(&id(name)).await.expect("report").is_none(), "{name}");
        let page = journal.failures(&id(name), None, limit(10)).await;
        assert!(page.map_or(0, |page| page.failures.len()) == 0, "{name} has no failures any more");
    }
    assert_eq!(known(journal).await, ["waits", "runs"]);
    assert_eq!(failures(journal, "waits", 10).await.len(), 1);
    assert_eq!(journal.purge(NOW).await.expect("purge"), 0);
    let lease = take(journal).await;
    assert_eq!(lease.broadcast.id, id("runs"));
    finish(journal, &lease, Checkpoint { done: true, ..settling(1, &[1]) }).await;
}

/// What ended not long ago is still there.
pub async fn purging_spares_what_ended_lately(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    three_ended_and_two_running(journal).await;
    assert_eq!(journal.purge(30 * DAY).await.expect("purge"), 0);
    assert_eq!(known(journal).await.len(), 5);
    let error = journal
        .begin(&NewBroadcast { message: message("another"), ..broadcast("finished") }, &ranges(1))
        .await
        .expect_err("the id is taken");
    assert_eq!(error.kind(), JournalErrorKind::Conflict);
}

/// A purged broadcast never was: its id may name another one. What its channel had stays.
pub async fn a_purged_id_is_free(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    three_ended_and_two_running(journal).await;
    let before = totals(journal, "news").await;
    assert_eq!((before.broadcasts, before.counts.total()), (2, 6));
    journal.purge(NOW).await.expect("purge");
    assert_eq!(totals(&*other, "news").await, before, "totals survive");

    let another = NewBroadcast { message: message("another"), ..broadcast("finished") };
    begin_this(&*other, &another, 2).await;
    assert_same(&report(journal, "finished").await, &crate::Report::default());
    for (n, lease) in take_all(journal, 3).await.into_iter().enumerate() {
        if lease.broadcast.id == another.id {
            let checkpoint = Checkpoint { done: true, ..reading(1, &[(OutcomeKind::Accepted, 1)]) };
            keep(journal, &lease, checkpoint).await;
        } else {
            assert_eq!(lease.broadcast.id, id("runs"), "lease {n}");
        }
    }
    let after = totals(journal, "news").await;
    assert_eq!((after.broadcasts, after.counts.total()), (3, 8));
}

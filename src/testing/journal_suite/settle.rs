//! Retries that have their outcome.

use super::JournalHarness;
use super::kit::*;
use crate::{BroadcastState, OriginReport, OutcomeKind};

async fn begin_deferring(journal: &dyn Journal, numbers: std::ops::RangeInclusive<u64>) -> Lease {
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    go_on(journal, &lease, deferring(1, numbers.map(|n| deferred(n, NOW)).collect())).await;
    lease
}

/// Each retry has one outcome, however often it is told.
pub async fn a_settled_retry_counts_once(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let range = begin_deferring(journal, 1..=3).await;
    let batch = take(journal).await;
    let outcome = |number, origin, outcome| SettledRetry::new(retry(number), origin, outcome, None);
    let mut first = step(1);
    first.settled =
        vec![outcome(1, FCM, OutcomeKind::Accepted), outcome(2, other_origin(2), OutcomeKind::GaveUp)];
    first.attempts = 4;
    go_on(journal, &batch, first.clone()).await;
    let before = report(journal, "b").await;
    assert_eq!((before.read, before.pending, before.attempts), (3, 1, 4));
    let expected = [
        OriginReport::new(FCM, counts(&[(OutcomeKind::Accepted, 1)])),
        OriginReport::new(other_origin(2), counts(&[(OutcomeKind::GaveUp, 1)])),
    ];
    assert!(expected.iter().all(|origin| before.origins.contains(origin)), "{:?}", before.origins);

    (first.number, first.attempts) = (2, 0);
    go_on(journal, &batch, first.clone()).await;
    go_on(journal, &range, first).await;
    assert_same(&before, &report(journal, "b").await);
}

/// An answer for what nobody deferred does and counts nothing.
pub async fn settling_an_unknown_retry_counts_nothing(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let range = begin_deferring(journal, 1..=1).await;
    let before = report(journal, "b").await;
    let mut unknown = settled(99);
    (unknown.outcome, unknown.failure) = (OutcomeKind::Gone, Some(failed("ann", 9)));
    go_on(journal, &range, Checkpoint { settled: vec![unknown], ..step(2) }).await;
    assert_same(&before, &report(journal, "b").await);
    assert!(failures(journal, "b", 10).await.is_empty());
}

/// An answer that comes late settles the retry, also while another worker has it: that one's
/// outcome does not count then.
pub async fn a_late_answer_settles_what_another_lease_has(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    let range = begin_deferring(journal, 1..=2).await;
    let batch = take_for(&*other, 2).await;
    assert_eq!(of_retries(&batch).len(), 2);
    go_on(journal, &range, settling(2, &[1])).await;
    let mut second = settled(1);
    (second.outcome, second.failure) = (OutcomeKind::GaveUp, Some(failed("ann", 1)));
    let last = Checkpoint { done: true, settled: vec![second, settled(2)], ..step(1) };
    go_on(&*other, &batch, last).await;
    let report = report(journal, "b").await;
    assert_eq!(report.counts, counts(&[(OutcomeKind::Accepted, 2)]));
    assert_eq!((report.pending, report.failures.len()), (0, 0));
    idle(journal).await;
    finish(journal, &range, done(3)).await;
}

/// A batch cannot defer what was settled late: it would count twice.
pub async fn what_was_settled_late_is_not_deferred_again(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let range = begin_deferring(journal, 1..=2).await;
    let batch = take_for(journal, 2).await;
    go_on(journal, &range, settling(2, &[1])).await;
    let again = Checkpoint { deferred: vec![deferred(1, NOW), deferred(2, NOW)], done: true, ..step(1) };
    go_on(journal, &batch, again).await;
    let batch = take_for(journal, 2).await;
    assert_eq!(of_retries(&batch).iter().map(|due| due.retry).collect::<Vec<_>>(), [retry(2)]);
}

/// One that was settled late is not given back by the lease that had it.
pub async fn what_was_settled_late_does_not_come_back(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let range = begin_deferring(journal, 1..=3).await;
    let batch = take_for(journal, 2).await;
    go_on(journal, &range, settling(2, &[1])).await;
    release(journal, &batch).await;
    let batch = take_for(journal, 2).await;
    assert_eq!(of_retries(&batch).len(), 2);
    go_on(journal, &range, settling(3, &[2])).await;
    harness.expire_leases().await;
    // The range is free by now as well.
    for lease in take_all(journal, 2).await {
        if let Work::Retries(due) = &lease.work {
            assert_eq!(due.iter().map(|due| due.retry).collect::<Vec<_>>(), [retry(3)]);
        }
    }
    idle(journal).await;
    assert_eq!(report(journal, "b").await.counts.total(), 2);
}

/// A broadcast is not finished as long as something is deferred; the checkpoint that settles the
/// last of it finishes it.
pub async fn the_last_settled_retry_finishes_the_broadcast(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let range = begin_deferring(journal, 1..=2).await;
    go_on(journal, &range, done(2)).await;
    assert_eq!(report(journal, "b").await.state, BroadcastState::Running);
    let batch = take(journal).await;
    go_on(journal, &batch, settling(1, &[1])).await;
    go_on(journal, &batch, step(2)).await;
    finish(journal, &batch, Checkpoint { done: true, ..settling(3, &[2]) }).await;
    let report = report(journal, "b").await;
    assert_eq!((report.state, report.counts.total()), (BroadcastState::Finished, 2));
    idle(journal).await;
}

/// Retries that are later than others keep a broadcast open, and its range may settle the last.
pub async fn a_range_that_settles_the_last_retry_finishes_the_broadcast(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let range = take(journal).await;
    go_on(journal, &range, deferring(1, vec![deferred(1, DAY)])).await;
    finish(journal, &range, Checkpoint { done: true, ..settling(2, &[1]) }).await;

    begin(journal, "c", 1).await;
    let range = take(journal).await;
    let last = Checkpoint { done: true, ..deferring(1, vec![deferred(2, DAY)]) };
    go_on(journal, &range, last).await;
    idle(journal).await;
    assert_eq!(journal.unfinished(None, limit(10)).await.expect("unfinished"), [id("c")]);
}

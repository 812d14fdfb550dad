//! `forget`, as far as broadcasts are concerned.

use super::JournalHarness;
use super::finish::totals;
use super::kit::*;
use crate::testing::store_suite::kit::user;
use crate::{BroadcastState, OutcomeKind};

/// What was deferred for a user is skipped, and nothing is left of it; others keep theirs.
pub async fn forgetting_a_user_skips_the_retries(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    subscribed(journal, "ann", 1).await;
    for name in ["b", "c"] {
        begin(journal, name, 1).await;
    }
    let leases = take_all(journal, 2).await;
    for lease in &leases {
        let base = if lease.broadcast.id == id("b") { 0 } else { 100 };
        let retries = vec![
            deferred_of("ann", base + 1, NOW),
            deferred_of("bob", base + 2, NOW),
            deferred_of("ann", base + 3, DAY),
            crate::store::journal::Deferred { origin: other_origin(1), ..deferred_of("ann", base + 4, NOW) },
        ];
        go_on(journal, lease, deferring(1, retries)).await;
    }
    other.forget(&user("ann")).await.expect("forget");
    assert!(entry(journal, "ann", 1).await.is_none());
    for name in ["b", "c"] {
        let report = report(journal, name).await;
        assert_eq!(report.counts, counts(&[(OutcomeKind::Skipped, 3)]));
        assert_eq!((report.read, report.pending, report.state), (4, 1, BroadcastState::Running));
        let skipped = crate::OriginReport::new(other_origin(1), counts(&[(OutcomeKind::Skipped, 1)]));
        assert!(report.origins.contains(&skipped), "{:?}", report.origins);
    }
    for batch in take_all(journal, 2).await {
        let expected = if batch.broadcast.id == id("b") { 2 } else { 102 };
        assert_eq!(retry_ids(&batch), [retry(expected)].into());
        // The answer comes late: it was counted already.
        go_on(journal, &batch, settling(1, &[expected - 1])).await;
    }
    for name in ["b", "c"] {
        assert_eq!(report(journal, name).await.counts.total(), 3);
    }
    idle(journal).await;
}

/// A list of failures names subscriptions: those of a forgotten user go, the counts stay.
pub async fn forgetting_a_user_removes_the_failures(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    begin(journal, "ended", 1).await;
    for lease in take_all(journal, 2).await {
        let mut step = reading(1, &[(OutcomeKind::Gone, 4)]);
        step.failures = vec![failed("ann", 1), failed("bob", 2), failed("ann", 3), failed("bob", 4)];
        step.done = lease.broadcast.id == id("ended");
        keep(journal, &lease, step).await;
    }
    journal.forget(&user("ann")).await.expect("forget");
    for name in ["b", "ended"] {
        let left = [failed("bob", 2).failure, failed("bob", 4).failure];
        for page in [1, 10] {
            assert_eq!(failures(journal, name, page).await, left);
        }
        let report = report(journal, name).await;
        assert_eq!(report.failures, left);
        assert_eq!(report.counts, counts(&[(OutcomeKind::Gone, 4)]));
    }
}

/// A broadcast that had nothing else left is finished by it.
pub async fn forgetting_a_user_may_finish_a_broadcast(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    for (name, timed_out, base) in [("b", false, 0), ("late", true, 100)] {
        begin(journal, name, 1).await;
        let lease = take(journal).await;
        let retries = vec![deferred_of("ann", base + 1, DAY), deferred_of("ann", base + 2, NOW)];
        go_on(journal, &lease, Checkpoint { done: true, timed_out, ..deferring(1, retries) }).await;
    }
    begin(journal, "open", 1).await;
    let open = take(journal).await;
    assert_eq!(open.broadcast.id, id("open"), "it had no turn yet");
    go_on(journal, &open, deferring(1, vec![deferred_of("ann", 200, DAY)])).await;

    other.forget(&user("ann")).await.expect("forget");
    for (name, state) in [
        ("b", BroadcastState::Finished),
        ("late", BroadcastState::TimedOut),
        ("open", BroadcastState::Running),
    ] {
        assert_eq!(report(journal, name).await.state, state, "{name}");
    }
    let expected = counts(&[(OutcomeKind::Skipped, 2)]);
    assert_eq!(report(journal, "b").await.counts, expected);
    let totals = totals(journal, "news").await;
    assert_eq!((totals.broadcasts, totals.counts.total()), (2, 4));
    idle(journal).await;
    finish(journal, &open, done(2)).await;
    other.forget(&user("ann")).await.expect("forget");
    assert_eq!(report(journal, "b").await.counts, expected);
}

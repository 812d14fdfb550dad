//! Reports and failures.

use super::JournalHarness;
use super::kit::*;
use crate::{BroadcastState, OriginLabel, OriginReport, OutcomeKind, Vendor};

/// At every moment, the counts and what is pending are what was read. Every report of this suite
/// is checked for it; this is a life with everything in it.
pub async fn counts_and_pending_are_what_was_read(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    let mut pending = Vec::new();
    let first = take(journal).await;
    go_on(journal, &first, reading(1, &[(OutcomeKind::Accepted, 5)])).await;
    pending.push(report(journal, "b").await.pending);
    let retries = (1..=4).map(|n| deferred_of(["ann", "bob"][usize::from(n > 3)], n, NOW)).collect();
    go_on(journal, &first, deferring(2, retries)).await;
    pending.push(report(journal, "b").await.pending);
    go_on(journal, &first, done(3)).await;
    let second = take_all(journal, 2).await;
    pending.push(report(journal, "b").await.pending);
    let batch = second.iter().find(|lease| matches!(lease.work, Work::Retries(_))).expect("four are due");
    go_on(journal, batch, settling(1, &[1, 99])).await;
    pending.push(report(journal, "b").await.pending);
    harness.expire_leases().await;
    pending.push(report(journal, "b").await.pending);
    journal.forget(&crate::testing::store_suite::kit::user("bob")).await.expect("forget");
    pending.push(report(journal, "b").await.pending);
    assert_eq!(pending, [0, 4, 4, 3, 3, 2]);
    journal.abort(&id("b")).await.expect("abort");
    let report = report(journal, "b").await;
    assert_eq!((report.state, report.read, report.pending), (BroadcastState::Aborted, 9, 2));
}

/// Work that was taken from one who vanished may have been sent twice: it is counted. What was
/// given back was not.
pub async fn takeovers_are_counted(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let first = take(journal).await;
    release(journal, &first).await;
    take(journal).await;
    assert_eq!(report(journal, "b").await.takeovers, 0);
    for takeovers in 1..=2 {
        harness.expire_leases().await;
        take(journal).await;
        assert_eq!(report(journal, "b").await.takeovers, takeovers);
    }
    harness.expire_leases().await;
    let last = take(journal).await;
    finish(journal, &last, done(1)).await;
    assert_eq!(report(journal, "b").await.takeovers, 3);
}

/// Failures come in the order in which they were stored, whatever the size of the pages, and are
/// those of one broadcast.
pub async fn failures_are_listed_oldest_first(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    for name in ["b", "c"] {
        begin(journal, name, 1).await;
    }
    let leases = take_all(journal, 2).await;
    let failing = |number, these: &[u64]| {
        let failures = these.iter().map(|n| failed("ann", *n)).collect();
        Checkpoint { failures, ..reading(number, &[(OutcomeKind::Gone, these.len() as u64)]) }
    };
    for lease in &leases {
        let base = if lease.broadcast.id == id("b") { 0 } else { 100 };
        go_on(journal, lease, failing(1, &[base + 3, base + 1])).await;
        go_on(journal, lease, Checkpoint { deferred: vec![deferred(base + 7, NOW)], ..step(2) }).await;
        let outcome = OutcomeKind::Gone;
        let settled = SettledRetry { outcome, failure: Some(failed("ann", base + 7)), ..settled(base + 7) };
        go_on(journal, lease, Checkpoint { read: 1, settled: vec![settled], ..step(3) }).await;
        go_on(journal, lease, failing(4, &[base + 2])).await;
        finish(journal, lease, Checkpoint { done: true, ..failing(5, &[base + 5]) }).await;
    }
    for (name, base) in [("b", 0), ("c", 100)] {
        let expected: Vec<_> = [3, 1, 7, 2, 5].iter().map(|n| failed("ann", base + n).failure).collect();
        for page in [1, 2, 5, 6, 1000] {
            assert_eq!(failures(&*other, name, page).await, expected, "pages of {page}");
        }
        assert_eq!(report(journal, name).await.failures, expected);
    }
}

/// A report shows the first hundred failures; the others are listed.
pub async fn a_report_shows_the_first_hundred_failures(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    for number in 1..=3 {
        let failures = (40 * number..40 * number + 40).map(|n| failed("ann", n)).collect();
        let checkpoint = Checkpoint { failures, ..reading(number, &[(OutcomeKind::Gone, 40)]) };
        go_on(journal, &lease, checkpoint).await;
    }
    let all = failures(journal, "b", 7).await;
    let expected: Vec<_> = (40..160).map(|n| failed("ann", n).failure).collect();
    assert_eq!(all, expected);
    assert_eq!(report(journal, "b").await.failures, expected[..100]);
    finish(journal, &lease, done(4)).await;
    assert_eq!(report(journal, "b").await.failures, expected[..100]);
}

/// Origins come from strangers: a report names the vendors and the sixteen busiest others.
pub async fn a_report_names_sixteen_origins_and_the_rest(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    let accepted = |n| counts(&[(OutcomeKind::Accepted, n)]);
    let vendor = OriginLabel::Vendor(Vendor::Apple);
    let mut expected: Vec<_> =
        (5..=20).map(|n| OriginReport::new(other_origin(n), accepted(2 * n))).collect();
    expected.push(OriginReport::new(vendor.clone(), accepted(2)));
    expected.push(OriginReport::new(OriginLabel::Rest, accepted(2 * (1 + 2 + 3 + 4) + 200)));
    for lease in take_all(journal, 2).await {
        let mut origins: Vec<_> = (1..=20).map(|n| OriginReport::new(other_origin(n), accepted(n))).collect();
        origins.push(OriginReport::new(vendor.clone(), accepted(1)));
        origins.push(OriginReport::new(OriginLabel::Rest, accepted(100)));
        let read = origins.iter().map(|origin| origin.counts.total()).sum();
        keep(journal, &lease, Checkpoint { read, counts: origins, done: true, ..step(1) }).await;
    }
    let mut origins = report(journal, "b").await.origins;
    assert_eq!(origins.len(), 18);
    origins.sort_by(|a, b| a.origin.cmp(&b.origin));
    expected.sort_by(|a, b| a.origin.cmp(&b.origin));
    assert_eq!(origins, expected);
}

/// The time of a broadcast ends with it.
pub async fn the_time_stands_still_after_the_end(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    for name in ["finished", "aborted"] {
        begin(journal, name, 1).await;
    }
    journal.abort(&id("aborted")).await.expect("abort");
    let lease = take(journal).await;
    finish(journal, &lease, done(1)).await;
    for name in ["finished", "aborted"] {
        let before = report(journal, name).await.elapsed;
        assert!(before < DAY, "{before:?}");
        harness.expire_leases().await;
        assert_eq!(report(journal, name).await.elapsed, before);
    }
}

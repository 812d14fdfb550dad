//! `checkpoint`: what is kept of it.

use super::JournalHarness;
use super::kit::*;
use crate::store::Change;
use crate::testing::store_suite::kit::{key, subscription};
use crate::{OriginReport, OutcomeKind};

/// The position is the last one that was said; a checkpoint that says none leaves it.
pub async fn a_checkpoint_moves_the_position(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    let lease = take(journal).await;
    let (this, _) = of_range(&lease);
    for (number, at) in [(1, Some(3)), (2, None), (3, Some(8)), (4, None)] {
        go_on(journal, &lease, Checkpoint { position: at.map(position), ..step(number) }).await;
    }
    release(journal, &lease).await;
    let work: Vec<_> = take_all(journal, 2).await.iter().map(of_range).collect();
    assert!(work.contains(&(this, Some(8))), "{work:?}");
    assert!(work.contains(&(1 - this, None)), "each range has its own: {work:?}");
}

/// Nothing in a checkpoint is a total: over checkpoints, leases and ranges they are added.
pub async fn checkpoints_add_up(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 2).await;
    let first = take(journal).await;
    let mut step = reading(1, &[(OutcomeKind::Accepted, 5), (OutcomeKind::Gone, 1)]);
    (step.read, step.attempts, step.repeats, step.withheld) = (8, 7, 2, 1);
    step.deferred = vec![deferred(1, DAY), deferred(2, DAY)];
    go_on(journal, &first, step).await;
    let mut step = reading(2, &[(OutcomeKind::Accepted, 10)]);
    let elsewhere = counts(&[(OutcomeKind::Accepted, 3), (OutcomeKind::GaveUp, 4)]);
    step.counts.push(OriginReport::new(other_origin(1), elsewhere));
    (step.read, step.attempts, step.repeats, step.withheld) = (17, 20, 1, 2);
    step.pruned = 6;
    go_on(journal, &first, step).await;
    release(journal, &first).await;
    for handle in [journal, &*other] {
        let lease = take(handle).await;
        go_on(handle, &lease, reading(1, &[(OutcomeKind::Accepted, 100)])).await;
    }

    let report = report(&*other, "b").await;
    assert_eq!((report.read, report.pending, report.attempts), (225, 2, 227));
    assert_eq!((report.repeats, report.withheld, report.pruned, report.takeovers), (3, 3, 6, 0));
    let expected = [(OutcomeKind::Accepted, 218), (OutcomeKind::GaveUp, 4), (OutcomeKind::Gone, 1)];
    assert_eq!(report.counts, counts(&expected));
    let of = |label| report.origins.iter().find(|origin| origin.origin == label).map(|o| o.counts.clone());
    assert_eq!(of(FCM), Some(counts(&[(OutcomeKind::Accepted, 215), (OutcomeKind::Gone, 1)])));
    let elsewhere = counts(&[(OutcomeKind::Accepted, 3), (OutcomeKind::GaveUp, 4)]);
    assert_eq!(of(other_origin(1)), Some(elsewhere));
}

/// Every kind of outcome is counted as itself, while it runs and when it has ended.
pub async fn every_outcome_is_counted_as_itself(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    let of: Vec<_> = OutcomeKind::ALL.iter().copied().zip(1..).collect();
    go_on(journal, &lease, reading(1, &of)).await;
    assert_eq!(report(journal, "b").await.counts, counts(&of));
    finish(journal, &lease, done(2)).await;
    assert_eq!(report(journal, "b").await.counts, counts(&of));
}

/// What a checkpoint does to entries is done with it, if they are still in the version that was
/// sent to; what it removed is counted.
pub async fn changes_are_applied_to_the_version_that_was_sent_to(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let mut sent = Vec::new();
    for n in 1..=5 {
        sent.push(subscribed(journal, "ann", n).await.reference());
    }
    journal.put(&[entry_of("ann", 2, 9)]).await.expect("put");
    journal.put(&[entry_of("bob", 3, 0)]).await.expect("put");
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    let mut checkpoint = reading(1, &[(OutcomeKind::Gone, 3), (OutcomeKind::Accepted, 2)]);
    checkpoint.changes = vec![
        (sent[3], Change::UseKey(key(4))),
        (sent[0], Change::Remove),
        (sent[1], Change::Remove),
        (sent[2], Change::Remove),
        (sent[3], Change::LimitPayload(3000)),
        (sent[4], Change::NeedsRenewal),
    ];
    go_on(journal, &lease, checkpoint).await;

    assert!(entry(journal, "ann", 1).await.is_none());
    let renewed = entry(journal, "ann", 2).await.expect("it was renewed meanwhile");
    assert_eq!(*renewed.subscription, subscription(2, 9));
    assert!(entry(journal, "bob", 3).await.is_some(), "it moved meanwhile");
    let limited = entry(journal, "ann", 4).await.expect("it was not removed");
    assert_eq!((limited.payload_limit, limited.key), (Some(3000), Some(key(4))));
    assert!(entry(journal, "ann", 5).await.expect("it was not removed").needs_renewal);
    assert_eq!(report(journal, "b").await.pruned, 1);

    let mut checkpoint = step(2);
    checkpoint.changes = vec![(sent[0], Change::Remove), (sent[4], Change::Remove)];
    finish(journal, &lease, Checkpoint { done: true, ..checkpoint }).await;
    assert!(entry(journal, "ann", 5).await.is_none());
    assert_eq!(report(journal, "b").await.pruned, 2, "in the last one as well, and none twice");
}

/// A checkpoint whose answer was lost is sent again under its number: nothing is done twice.
pub async fn a_repeated_checkpoint_is_answered_and_does_nothing(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 2).await;
    let lease = take(journal).await;
    let (this, _) = of_range(&lease);
    let mut first = reading(1, &[(OutcomeKind::Accepted, 5), (OutcomeKind::Gone, 1)]);
    (first.read, first.repeats, first.withheld) = (7, 1, 1);
    (first.position, first.deferred) = (Some(position(3)), vec![deferred(1, DAY)]);
    first.failures = vec![failed("ann", 1)];
    let mut second = settling(2, &[1]);
    second.position = Some(position(6));
    go_on(journal, &lease, first.clone()).await;
    let before = report(journal, "b").await;
    assert_eq!(go_on(&*other, &lease, first.clone()).await, Control::default());
    assert_same(&before, &report(journal, "b").await);

    go_on(journal, &lease, second.clone()).await;
    let before = report(journal, "b").await;
    assert_eq!((before.read, before.pending, before.failures.len()), (7, 0, 1));
    for again in [second, first] {
        go_on(journal, &lease, again).await;
        assert_same(&before, &report(journal, "b").await);
    }
    // Also one that would do something else, or end the range.
    go_on(journal, &lease, Checkpoint { done: true, ..reading(2, &[(OutcomeKind::Gone, 9)]) }).await;
    assert_same(&before, &report(journal, "b").await);
    assert_eq!(failures(journal, "b", 10).await.len(), 1);
    go_on(journal, &lease, reading(3, &[(OutcomeKind::Accepted, 1)])).await;
    release(journal, &lease).await;
    let work: Vec<_> = take_all(journal, 2).await.iter().map(of_range).collect();
    assert!(work.contains(&(this, Some(6))), "{work:?}");
    idle(journal).await;
}

/// The last checkpoint of a lease, sent again: whatever is answered, it is not done twice.
pub async fn a_repeated_last_checkpoint_does_nothing(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    let lease = take(journal).await;
    let last = Checkpoint { done: true, ..reading(1, &[(OutcomeKind::Accepted, 5)]) };
    go_on(journal, &lease, last.clone()).await;
    let before = report(journal, "b").await;
    if let Err(error) = journal.checkpoint(&lease.token, last).await {
        assert_eq!(error.kind(), JournalErrorKind::LeaseLost);
    }
    assert_same(&before, &report(journal, "b").await);
    take(journal).await;
    idle(journal).await;
}

/// Each lease numbers its checkpoints from 1, whatever the one before it did.
pub async fn numbers_begin_anew_with_each_lease(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    let first = take(journal).await;
    let other = take(journal).await;
    for number in 1..=5 {
        go_on(journal, &first, reading(number, &[(OutcomeKind::Accepted, 1)])).await;
    }
    release(journal, &first).await;
    let second = take(journal).await;
    for lease in [&second, &other] {
        go_on(journal, lease, reading(1, &[(OutcomeKind::Accepted, 10)])).await;
    }
    harness.expire_leases().await;
    let third = take(journal).await;
    go_on(journal, &third, reading(1, &[(OutcomeKind::Accepted, 100)])).await;
    assert_eq!(report(journal, "b").await.read, 125);
}

/// A range that was read to its end is not given again.
pub async fn a_done_range_is_not_given_again(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 3).await;
    let leases = take_all(journal, 2).await;
    go_on(journal, &leases[0], done(1)).await;
    release(journal, &leases[1]).await;
    harness.expire_leases().await;
    let mut left: Vec<_> = take_all(journal, 2).await.iter().map(|lease| of_range(lease).0).collect();
    left.push(of_range(&leases[0]).0);
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2]);
    idle(journal).await;
}

/// Each checkpoint says the new term, from now: it may be a shorter one.
pub async fn a_checkpoint_sets_the_term(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let first = take(journal).await;
    go_on(journal, &first, step(1)).await;
    idle(journal).await;
    let last = Checkpoint { position: Some(position(2)), extend: NOW, ..step(2) };
    go_on(journal, &first, last).await;
    lost(journal, &first, step(3)).await;
    let second = take(journal).await;
    assert_eq!(of_range(&second), (0, Some(2)));
    finish(journal, &second, done(1)).await;
}

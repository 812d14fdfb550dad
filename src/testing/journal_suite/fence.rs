//! Leases that ended.

use super::JournalHarness;
use super::kit::*;
use crate::OutcomeKind;
use crate::store::Change;
use crate::store::journal::LeaseToken;

/// The term is strict: who was away longer is refused, also if nobody took the work.
pub async fn a_lease_ends_with_its_term(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    go_on(journal, &lease, step(1)).await;
    harness.expire_leases().await;
    lost(journal, &lease, step(2)).await;
    lost(journal, &lease, done(2)).await;
    assert_eq!(of_range(&take(journal).await), (0, None));
}

/// Who comes back finds another at work, and does not disturb.
pub async fn a_lease_that_was_taken_over_is_lost(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 1).await;
    let first = take_for(journal, 1).await;
    harness.expire_leases().await;
    let second = take_for(&*other, 2).await;
    lost(journal, &first, done(1)).await;
    // One's own work, taken anew, is another lease as well.
    harness.expire_leases().await;
    let third = take_for(journal, 1).await;
    lost(journal, &first, step(1)).await;
    lost(&*other, &second, step(1)).await;
    finish(journal, &third, done(1)).await;
}

/// What was given back is given back.
pub async fn a_released_lease_is_lost(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let first = take(journal).await;
    release(journal, &first).await;
    lost(journal, &first, done(1)).await;
    release(journal, &first).await;
    let second = take(journal).await;
    assert_ne!(first.token, second.token);
    lost(journal, &first, step(1)).await;
    finish(journal, &second, done(1)).await;
}

/// After the last checkpoint of a lease there is no other; the broadcast goes on without it.
pub async fn a_done_lease_is_lost(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 2).await;
    let leases = take_all(journal, 2).await;
    go_on(journal, &leases[0], done(1)).await;
    lost(journal, &leases[0], reading(2, &[(OutcomeKind::Accepted, 1)])).await;
    idle(journal).await;
    finish(journal, &leases[1], done(1)).await;
    lost(journal, &leases[0], step(2)).await;
    lost(journal, &leases[1], step(2)).await;
    assert_eq!(report(journal, "b").await.read, 0);
}

/// Who was too late does not end the lease of another.
pub async fn releasing_a_lost_lease_does_nothing(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let first = take_for(journal, 1).await;
    harness.expire_leases().await;
    let second = take_for(journal, 2).await;
    release(journal, &first).await;
    idle(journal).await;
    finish(journal, &second, done(1)).await;
    release(journal, &second).await;
    idle(journal).await;
}

/// A checkpoint is stored as a whole or not at all.
pub async fn nothing_of_a_refused_checkpoint_is_done(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let entry = subscribed(journal, "ann", 1).await;
    begin(journal, "b", 1).await;
    let first = take(journal).await;
    let before = Checkpoint { position: Some(position(1)), ..deferring(1, vec![deferred(7, DAY)]) };
    go_on(journal, &first, before).await;
    let before = report(journal, "b").await;
    harness.expire_leases().await;

    let mut refused = reading(2, &[(OutcomeKind::Gone, 1)]);
    (refused.position, refused.done) = (Some(position(9)), true);
    (refused.repeats, refused.withheld) = (1, 1);
    refused.changes = vec![(entry.reference(), Change::Remove)];
    refused.deferred = vec![deferred(8, NOW)];
    refused.settled = vec![settled(7)];
    refused.failures = vec![failed("ann", 1)];
    lost(journal, &first, refused.clone()).await;
    assert_same(&before, &report(journal, "b").await);
    let second = take_for(journal, 2).await;
    lost(journal, &first, refused).await;

    assert_eq!(of_range(&second), (0, Some(1)));
    idle(journal).await;
    assert!(self::entry(journal, "ann", 1).await.is_some());
    assert!(failures(journal, "b", 10).await.is_empty());
    let after = report(journal, "b").await;
    assert_same(&before, &crate::Report { takeovers: 0, ..after });
    go_on(journal, &second, done(1)).await;
}

/// Octets of another journal, or made up, are an error, and move nothing.
pub async fn foreign_tokens_are_refused(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin(journal, "b", 1).await;
    let lease = take(journal).await;
    let before = report(journal, "b").await;
    let foreign = *b"foreign!";
    for token in [LeaseToken::encode(foreign, []), LeaseToken::encode(foreign, [1, 2, 3])] {
        let error = journal.checkpoint(&token, done(1)).await.expect_err("another journal's");
        assert_eq!(error.kind(), JournalErrorKind::Invalid);
        assert!(!error.is_retryable());
        // Whether this is an error is not said; that it does nothing, is.
        drop(journal.release(&token).await);
    }
    let tag = lease.token.as_bytes()[1..9].try_into().expect("eight octets");
    for token in [
        LeaseToken::encode(tag, [u64::MAX]),
        LeaseToken::encode(tag, [u64::MAX; 2]),
        LeaseToken::encode(tag, [u64::MAX; 3]),
        LeaseToken::encode(tag, [u64::MAX; 4]),
    ] {
        let error = journal.checkpoint(&token, done(1)).await.expect_err("no lease of this journal");
        assert!(matches!(error.kind(), JournalErrorKind::Invalid | JournalErrorKind::LeaseLost));
        drop(journal.release(&token).await);
    }
    assert_same(&before, &report(journal, "b").await);
    idle(journal).await;
    finish(journal, &lease, done(1)).await;
}

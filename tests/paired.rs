//! A store and a journal as one, and what happens between the two.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/faulty.rs"]
mod faulty;
#[path = "support/journal.rs"]
mod kit;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;
use webpush_channels::store::journal::{
    Checkpoint, FailedDelivery, Journal, JournalErrorKind, LeaseToken, State, Work, WorkerId,
};
use webpush_channels::store::{
    Change, Entry, MemoryStore, Paired, StoreError, StoreErrorKind, SubscriptionStore,
};
use webpush_channels::testing::store_suite;
use webpush_channels::{Failure, KeyId, OutcomeKind, Report};

use faulty::{Fault, Faulty};
use kit::{BATCH, FCM, HOUR, ONE, TERM, broadcast, deferred, done, entry, id, reference, retry, user};

type Pair = Paired<Arc<Faulty>, Arc<Faulty>>;

/// Three entries of ann, and a broadcast "a" of two ranges.
async fn pair() -> Pair {
    let half = || Faulty::new(Arc::new(MemoryStore::new()));
    let pair = Paired::new(half(), half());
    pair.put(&[entry("ann", 1), entry("ann", 2), entry("ann", 3)]).await.unwrap();
    let new = broadcast("a");
    let range = pair.split(&new.audience, ONE).await.unwrap()[0];
    pair.begin(&new, &[range, range]).await.unwrap();
    pair
}

async fn lease(pair: &Pair) -> LeaseToken {
    pair.lease(&WorkerId::random(), TERM, BATCH).await.unwrap().unwrap().token
}

async fn report(pair: &Pair) -> Report {
    pair.report(&id("a")).await.unwrap().unwrap()
}

async fn left(pair: &Pair) -> usize {
    pair.subscriptions(&user("ann")).await.unwrap().len()
}

/// Read one entry, which is gone.
fn removal(number: u64, endpoint: u32) -> Checkpoint {
    let mut checkpoint = Checkpoint::new(number, TERM);
    checkpoint.read = 1;
    checkpoint.changes = vec![(reference("ann", endpoint), Change::Remove)];
    checkpoint
}

#[tokio::test]
async fn the_store_gets_all_that_is_a_stores() {
    let journal = MemoryStore::new();
    store_suite::a_decorator_forwards_every_method(|probe| Paired::new(probe, journal)).await;
}

#[tokio::test]
async fn changes_are_made_in_the_store_and_counted_in_the_journal() {
    let pair = pair().await;
    let token = lease(&pair).await;
    let mut checkpoint = removal(1, 1);
    checkpoint.changes.push((reference("ann", 2), Change::UseKey(KeyId::from_bytes([7; 16]))));
    checkpoint.changes.push((reference("ann", 3), Change::LimitPayload(2000)));
    // Another version than the stored one.
    let stale = entry("ann", 3).with_key(KeyId::from_bytes([8; 16]));
    let stale = webpush_channels::store::EntryRef { version: stale.version(), ..reference("ann", 3) };
    checkpoint.changes.push((stale, Change::Remove));
    assert!(matches!(pair.checkpoint(&token, checkpoint).await.unwrap(), State::Running(_)));

    let entries = pair.subscriptions(&user("ann")).await.unwrap();
    let learned = |entry: &Entry| (entry.key, entry.payload_limit);
    let key = Some(KeyId::from_bytes([7; 16]));
    assert_eq!(entries.iter().map(learned).collect::<Vec<_>>(), [(key, None), (None, Some(2000))]);
    assert_eq!((report(&pair).await.pruned, report(&pair).await.read), (1, 1));
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_checkpoint_unstored() {
    let pair = pair().await;
    let token = lease(&pair).await;
    for (kind, expected) in [
        (StoreErrorKind::Unavailable, JournalErrorKind::Unavailable),
        (StoreErrorKind::Backend, JournalErrorKind::Backend),
    ] {
        pair.store().fail("apply", kind);
        let error = pair.checkpoint(&token, removal(1, 1)).await.unwrap_err();
        assert_eq!(error.kind(), expected);
        let source = error.source().and_then(|source| source.downcast_ref::<StoreError>());
        assert_eq!(source.map(StoreError::kind), Some(kind));
        assert_eq!((report(&pair).await.read, left(&pair).await), (0, 3));
    }
    pair.checkpoint(&token, removal(1, 1)).await.unwrap();
    assert_eq!((report(&pair).await.pruned, report(&pair).await.read), (1, 1));
}

#[tokio::test]
async fn what_was_removed_before_the_journal_failed_is_counted_by_the_repetition() {
    let pair = pair().await;
    let token = lease(&pair).await;
    for _ in 0..2 {
        pair.journal().spoil(1, Fault::NotDone);
        let error = pair.checkpoint(&token, removal(1, 1)).await.unwrap_err();
        assert!(error.is_retryable());
        assert_eq!((report(&pair).await.read, left(&pair).await), (0, 2));
    }
    pair.checkpoint(&token, removal(1, 1)).await.unwrap();
    assert_eq!((report(&pair).await.pruned, report(&pair).await.read), (1, 1));
    // The next one has its own.
    pair.checkpoint(&token, removal(2, 2)).await.unwrap();
    assert_eq!((report(&pair).await.pruned, report(&pair).await.read), (2, 2));
}

#[tokio::test]
async fn a_checkpoint_whose_answer_was_lost_counts_once() {
    let pair = pair().await;
    let token = lease(&pair).await;
    pair.journal().spoil(1, Fault::AnswerLost);
    assert!(pair.checkpoint(&token, removal(1, 1)).await.unwrap_err().is_retryable());
    pair.checkpoint(&token, removal(1, 1)).await.unwrap();
    assert_eq!((report(&pair).await.pruned, report(&pair).await.read), (1, 1));
    pair.checkpoint(&token, removal(2, 2)).await.unwrap();
    assert_eq!((report(&pair).await.pruned, report(&pair).await.read), (2, 2));
}

#[tokio::test]
async fn what_was_removed_under_one_lease_is_not_counted_under_another() {
    let pair = pair().await;
    let (first, second) = (lease(&pair).await, lease(&pair).await);
    pair.journal().spoil(1, Fault::NotDone);
    pair.checkpoint(&first, removal(1, 1)).await.unwrap_err();
    pair.checkpoint(&second, removal(1, 2)).await.unwrap();
    assert_eq!(report(&pair).await.pruned, 1);
    pair.checkpoint(&first, removal(1, 1)).await.unwrap();
    assert_eq!(report(&pair).await.pruned, 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_changes_nothing() {
    let pair = pair().await;
    let token = lease(&pair).await;
    advance(TERM).await;
    let error = pair.checkpoint(&token, removal(1, 1)).await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::LeaseLost);
    assert_eq!((pair.store().called("apply"), left(&pair).await), (0, 3));
}

#[tokio::test]
async fn a_last_checkpoint_needs_no_term() {
    let pair = pair().await;
    let token = lease(&pair).await;
    let mut last = removal(1, 1);
    (last.done, last.extend) = (true, Duration::ZERO);
    assert!(matches!(pair.checkpoint(&token, last).await.unwrap(), State::Running(_)));
    assert_eq!((report(&pair).await.pruned, left(&pair).await), (1, 2));
}

#[tokio::test]
async fn an_aborted_broadcast_changes_nothing() {
    let pair = pair().await;
    let token = lease(&pair).await;
    pair.abort(&id("a")).await.unwrap();
    assert_eq!(pair.checkpoint(&token, removal(1, 1)).await.unwrap(), State::Aborted);
    assert_eq!((pair.store().called("apply"), left(&pair).await), (0, 3));
}

/// Ends the ranges of "a", with retries of ann's three entries left, and one of bob's.
async fn defer(pair: &Pair) {
    let first = lease(pair).await;
    let mut last = done(1);
    last.read = 4;
    for endpoint in 1..=3 {
        let mut deferred = deferred(endpoint.into(), 1, Duration::ZERO);
        deferred.entry = reference("ann", endpoint);
        last.deferred.push(deferred);
    }
    let mut of_bob = deferred(4, 1, Duration::ZERO);
    of_bob.user = user("bob");
    last.deferred.push(of_bob);
    // The other range ends first, so that only retries are left.
    let second = lease(pair).await;
    pair.checkpoint(&second, done(1)).await.unwrap();
    pair.checkpoint(&first, last).await.unwrap();
}

#[tokio::test]
async fn retries_have_the_entries_of_the_store() {
    let pair = pair().await;
    defer(&pair).await;
    let key = KeyId::from_bytes([7; 16]);
    pair.put(&[entry("ann", 2).with_key(key)]).await.unwrap();
    pair.apply(&[(reference("ann", 3), Change::Remove)]).await.unwrap();
    // The journal's own subscriptions do not matter.
    pair.journal().put(&[entry("ann", 3)]).await.unwrap();

    let lease = pair.lease(&WorkerId::random(), TERM, BATCH).await.unwrap().unwrap();
    let Work::Retries(mut due) = lease.work else { panic!("the ranges are done") };
    due.sort_by_key(|due| due.retry);
    assert_eq!(due.iter().map(|due| due.retry).collect::<Vec<_>>(), [1, 2, 3, 4].map(retry));
    let keys: Vec<_> = due.iter().map(|due| due.entry.as_ref().map(|entry| entry.key)).collect();
    // What is bob's retry is not ann's entry.
    assert_eq!(keys, [Some(None), Some(Some(key)), None, None]);
    assert_eq!(pair.store().called("subscriptions"), 2);
}

#[tokio::test]
async fn retries_whose_entries_cannot_be_read_are_given_back() {
    let pair = pair().await;
    defer(&pair).await;
    pair.store().fail("subscriptions", StoreErrorKind::Unavailable);
    let error = pair.lease(&WorkerId::random(), TERM, BATCH).await.unwrap_err();
    assert_eq!(error.kind(), JournalErrorKind::Unavailable);
    let lease = pair.lease(&WorkerId::random(), TERM, BATCH).await.unwrap().unwrap();
    assert!(matches!(lease.work, Work::Retries(due) if due.len() == 4));
}

#[tokio::test]
async fn a_user_is_forgotten_in_both() {
    let pair = pair().await;
    defer(&pair).await;
    let token = lease(&pair).await;
    let mut failed = Checkpoint::new(1, TERM);
    let failure = Failure::new(reference("ann", 1).id, FCM, OutcomeKind::GaveUp, None, 1);
    failed.failures = vec![FailedDelivery::new(user("ann"), failure)];
    pair.checkpoint(&token, failed).await.unwrap();

    // When the second step fails, the first is done, and both can be repeated.
    pair.journal().fail("forget", StoreErrorKind::Unavailable);
    assert!(pair.forget(&user("ann")).await.unwrap_err().is_retryable());
    assert_eq!((left(&pair).await, report(&pair).await.failures.len()), (0, 1));
    pair.forget(&user("ann")).await.unwrap();
    let report = report(&pair).await;
    assert_eq!((report.counts[OutcomeKind::Skipped], report.pending), (3, 1));
    assert!(report.failures.is_empty());
}

#[tokio::test]
async fn both_are_checked() {
    let pair = pair().await;
    pair.check().await.unwrap();
    for half in [pair.store(), pair.journal()] {
        half.fail("check", StoreErrorKind::Unavailable);
        assert_eq!(pair.check().await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
    assert_eq!((pair.store().called("check"), pair.journal().called("check")), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_elsewhere_may_be_said_without_changes() {
    let pair = pair().await;
    let token = lease(&pair).await;
    let mut checkpoint = removal(1, 1);
    checkpoint.pruned = 5;
    pair.checkpoint(&token, checkpoint).await.unwrap();
    assert_eq!(report(&pair).await.pruned, 6);
    pair.wait(HOUR).await;
    assert!(pair.lease(&WorkerId::random(), TERM, BATCH).await.unwrap().is_some());
}

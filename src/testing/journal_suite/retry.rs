//! Deferred attempts: when they are due, and what is handed out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::JournalHarness;
use super::kit::*;
use crate::Ttl;
use crate::store::Change;
use crate::testing::store_suite::kit::{new, subscription, user};

/// Begins a broadcast, and defers these in it. Its one range stays leased.
async fn begin_deferring(journal: &dyn Journal, name: &str, retries: Vec<Deferred>) -> Lease {
    begin(journal, name, 1).await;
    let lease = take(journal).await;
    assert_eq!(lease.broadcast.id, id(name), "it is its turn");
    go_on(journal, &lease, deferring(1, retries)).await;
    lease
}

fn ids(numbers: &[u64]) -> BTreeSet<RetryId> {
    numbers.iter().map(|number| retry(*number)).collect()
}

/// A retry is due when the time that it was deferred for is over, on every node.
pub async fn a_retry_is_due_after_its_time(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    let later = vec![deferred(1, DAY), deferred(2, NOW), deferred(3, DAY), deferred(4, NOW)];
    begin_deferring(journal, "b", later).await;
    let due = take(&*other).await;
    assert_eq!(due.broadcast.fingerprint(), broadcast("b").fingerprint());
    assert_eq!(retry_ids(&due), ids(&[2, 4]));
    idle(journal).await;
    assert_eq!(report(journal, "b").await.pending, 4);
}

/// A retry comes back as it was deferred, with the subscription.
pub async fn a_retry_comes_back_as_it_was_deferred(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let entry = subscribed(journal, "ann", 1).await;
    let tried = [Tried::new(1, 1, false), Tried::new(u8::MAX, 3, true), Tried::new(2, u8::MAX, true)];
    let origins = [FCM, other_origin(1), crate::OriginLabel::Rest];
    let retries: Vec<_> = (0..3_u8)
        .map(|n| Deferred {
            entry: entry.reference(),
            tried: tried[usize::from(n)],
            origin: origins[usize::from(n)].clone(),
            retry: RetryId::from_bytes([[0, 0x7f, 0xff][usize::from(n)]; 16]),
            ..deferred(n.into(), NOW)
        })
        .collect();
    begin_deferring(journal, "b", retries.clone()).await;
    let lease = take(journal).await;
    assert_eq!(of_retries(&lease).len(), 3);
    for due in of_retries(&lease) {
        let was = retries.iter().find(|was| was.retry == due.retry).expect("it was deferred");
        assert_eq!((&due.user, due.subscription), (&was.user, was.entry.id));
        assert_eq!((&due.origin, due.tried), (&was.origin, was.tried));
        assert!(due.ttl_left <= DAY && due.ttl_left > DAY / 2, "{:?}", due.ttl_left);
        let now = due.entry.as_ref().expect("the subscription is there");
        assert_eq!((now.reference(), &now.subscription), (entry.reference(), &entry.subscription));
    }
}

/// A retry goes to the subscription as it is by then, if the user still has it.
pub async fn a_retry_shows_the_subscription_as_it_is_now(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let mut retries = Vec::new();
    for n in 1..=6 {
        let entry = subscribed(journal, "ann", n).await.reference();
        retries.push(Deferred { entry, ..deferred(n.into(), NOW) });
    }
    retries.push(deferred(7, NOW));
    begin_deferring(journal, "b", retries.clone()).await;
    journal.put(&[entry_of("ann", 2, 9), entry_of("bob", 3, 0)]).await.expect("put");
    let (ann, old) = (user("ann"), subscription(5, 0).id());
    journal.replace(&ann, &old, &new("ann", 50)).await.expect("replace");
    let changes = [(retries[3].entry, Change::Remove), (retries[5].entry, Change::LimitPayload(3000))];
    assert_eq!(journal.apply(&changes).await.expect("apply"), [true, true]);

    let lease = take(journal).await;
    let now = |n: u64| {
        let due = of_retries(&lease).iter().find(|due| due.retry == retry(n)).expect("it is due");
        assert_eq!(due.subscription, reference(n).id);
        due.entry.clone()
    };
    assert_eq!(now(1).map(|entry| entry.reference()), Some(retries[0].entry));
    assert_eq!(now(2).map(|entry| (*entry.subscription).clone()), Some(subscription(2, 9)));
    for gone in [3, 4, 5, 7] {
        assert!(now(gone).is_none(), "{gone}: moved, removed, replaced or never there");
    }
    assert_eq!(now(6).and_then(|entry| entry.payload_limit), Some(3000));
}

/// The lifetime runs from the first attempt (H-6): what was not tried yet keeps it whole.
pub async fn the_lifetime_runs_from_the_first_attempt(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let untried = |n| Deferred { tried: Tried::new(0, n, false), ..deferred(n.into(), NOW) };
    let hour = Duration::from_secs(3600);
    let retries = vec![
        untried(1),
        Deferred { ttl_left: Ttl::MAX.as_duration(), ..untried(2) },
        deferred(3, NOW),
        Deferred { ttl_left: NOW, ..deferred(4, NOW) },
        Deferred { ttl_left: hour, ..untried(5) },
        Deferred { ttl_left: hour, ..deferred(6, NOW) },
    ];
    begin_deferring(journal, "b", retries).await;
    harness.expire_leases().await;
    let lease = take_retries(journal).await;
    let left = |n| of_retries(&lease).iter().find(|due| due.retry == retry(n)).expect("it is due").ttl_left;
    assert_eq!((left(1), left(2), left(5)), (DAY, Ttl::MAX.as_duration(), hour));
    assert!(left(3) <= DAY && left(3) > DAY / 2, "{:?}", left(3));
    assert_eq!(left(4), NOW);
    assert!(left(6) <= hour, "{:?}", left(6));
}

/// Whatever else is there: leases until there are retries.
async fn take_retries(journal: &dyn Journal) -> Lease {
    loop {
        let lease = take(journal).await;
        if matches!(lease.work, Work::Retries(_)) {
            return lease;
        }
    }
}

/// A batch has as many retries as were asked for; what is in no batch is for others.
pub async fn retries_are_leased_by_batches(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin_deferring(journal, "b", (0..5).map(|n| deferred(n, NOW)).collect()).await;
    let mut given = BTreeSet::new();
    for (handle, asked, size) in [(journal, 2, 2), (&*other, 1, 1), (journal, 2, 2)] {
        let batch = lease(handle, 2, asked).await.expect("there are retries");
        let ids = retry_ids(&batch);
        assert_eq!(ids.len(), size);
        assert!(ids.is_disjoint(&given), "a retry is given once");
        given.extend(ids);
    }
    assert_eq!(given, ids(&[0, 1, 2, 3, 4]));
    idle(journal).await;
}

/// Retries of two broadcasts are two pieces of work, and have their turns.
pub async fn a_batch_is_of_one_broadcast(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin_deferring(journal, "b", vec![deferred(1, NOW), deferred(2, NOW)]).await;
    begin(journal, "c", 1).await;
    let range = take(journal).await;
    assert_eq!(range.broadcast.id, id("c"), "it had no turn yet");
    go_on(journal, &range, deferring(1, vec![deferred(3, NOW), deferred(4, NOW)])).await;
    for (name, retries) in [("b", [1, 2]), ("c", [3, 4])] {
        let batch = take(journal).await;
        assert_eq!((&batch.broadcast.id, retry_ids(&batch)), (&id(name), ids(&retries)));
    }
    idle(journal).await;
}

/// Retries that were leased and not done come back, as ranges do.
pub async fn retries_come_back_when_their_lease_ends(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    let range = begin_deferring(journal, "b", vec![deferred(1, NOW), deferred(2, NOW)]).await;
    go_on(journal, &range, done(2)).await;
    let first = take(journal).await;
    idle(&*other).await;
    release(journal, &first).await;
    let second = take_for(&*other, 2).await;
    assert_eq!(retry_ids(&second), ids(&[1, 2]));
    assert_eq!(report(journal, "b").await.takeovers, 0);
    lost(journal, &first, settling(1, &[1])).await;

    go_on(&*other, &second, settling(1, &[1])).await;
    harness.expire_leases().await;
    let third = take(journal).await;
    assert_eq!(retry_ids(&third), ids(&[2]), "what was settled is settled");
    assert_eq!(report(journal, "b").await.takeovers, 1);
    lost(&*other, &second, settling(2, &[2])).await;
    finish(journal, &third, Checkpoint { done: true, ..settling(1, &[2]) }).await;
}

/// What a batch neither settled nor deferred is due again at once when it is done.
pub async fn what_a_done_batch_leaves_is_due_at_once(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    begin_deferring(journal, "b", (1..=4).map(|n| deferred(n, NOW)).collect()).await;
    let first = take(journal).await;
    let mut last = settling(1, &[1]);
    (last.done, last.deferred) = (true, vec![deferred(2, DAY)]);
    go_on(journal, &first, last).await;
    lost(journal, &first, settling(2, &[3])).await;
    assert_eq!(retry_ids(&take(journal).await), ids(&[3, 4]));
    assert_eq!(report(journal, "b").await.takeovers, 0);
}

/// One that is deferred again is the same retry: later, and as it was deferred last.
pub async fn a_retry_deferred_again_is_the_same(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    let range = begin_deferring(journal, "b", vec![deferred(1, NOW), deferred(2, DAY)]).await;
    let batch = take(journal).await;
    let tried = Tried::new(2, 2, true);
    let again = Deferred { tried, ttl_left: DAY / 4, ..deferred(1, NOW) };
    go_on(journal, &batch, Checkpoint { done: true, deferred: vec![again], ..step(1) }).await;
    let batch = take(journal).await;
    let [due] = of_retries(&batch) else { panic!("one retry, not {:?}", batch.work) };
    assert_eq!((due.retry, due.tried), (retry(1), tried));
    assert!(due.ttl_left <= DAY / 4, "{:?}", due.ttl_left);
    go_on(journal, &batch, Checkpoint { done: true, deferred: vec![deferred(1, DAY)], ..step(1) }).await;
    idle(journal).await;

    // By the lease of the range, too: sooner as well as later.
    go_on(journal, &range, Checkpoint { deferred: vec![deferred(2, NOW)], ..step(2) }).await;
    go_on(journal, &range, Checkpoint { deferred: vec![deferred(2, DAY)], ..step(3) }).await;
    idle(journal).await;
    go_on(journal, &range, Checkpoint { deferred: vec![deferred(2, NOW)], ..step(4) }).await;
    assert_eq!(retry_ids(&take(journal).await), ids(&[2]));
    let report = report(journal, "b").await;
    assert_eq!((report.read, report.pending), (2, 2));
    go_on(journal, &range, settling(5, &[1, 2])).await;
    assert_eq!(self::report(journal, "b").await.pending, 0);
}

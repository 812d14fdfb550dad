//! `lease` and `release`: who gets which work.

use std::collections::BTreeSet;
use std::time::Duration;

use super::JournalHarness;
use super::kit::*;
use crate::store::journal::LeaseToken;
use crate::testing::store_suite::kit::{join, members, new, numbers, scan, sorted};

/// Where nothing was begun, nothing is to be done.
pub async fn there_is_no_work_at_first(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    idle(journal).await;
    assert!(journal.recent(None, limit(10)).await.expect("recent").is_empty());
    assert!(journal.unfinished(None, limit(10)).await.expect("unfinished").is_empty());
}

/// What is leased is nobody else's, on no node.
pub async fn each_range_is_leased_once(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 3).await;
    let mut given = BTreeSet::new();
    for (handle, number) in [(journal, 1), (&*other, 2), (journal, 1)] {
        let lease = take_for(handle, number).await;
        assert_eq!(of_range(&lease).1, None, "from its beginning");
        assert!(given.insert(of_range(&lease).0), "a range is given once");
    }
    assert_eq!(given, (0..3).collect());
    idle(journal).await;
    idle(&*other).await;
}

/// A lease says how long the broadcast has gone on, and how long it may go on.
pub async fn a_lease_says_how_much_time_is_left(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    for (name, within) in [("weeks", WEEKS), ("none", NOW), ("ever", Duration::MAX)] {
        begin_this(journal, &NewBroadcast { send_within: within, ..broadcast(name) }, 1).await;
        let lease = take(journal).await;
        assert_eq!(lease.broadcast.id, id(name), "also where no time is left");
        assert!(lease.age < DAY, "{:?}", lease.age);
        let left = lease.send_within_left;
        assert!(left <= within && left >= within.saturating_sub(DAY).min(100 * WEEKS), "{name}: {left:?}");
    }
}

/// What was released goes on from the last checkpoint, at once, and was not taken over.
pub async fn released_work_goes_on(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 1).await;
    let first = take(journal).await;
    release(journal, &first).await;
    let second = take(&*other).await;
    assert_eq!(of_range(&second), (0, None));
    keep(&*other, &second, Checkpoint { position: Some(position(5)), ..step(1) }).await;
    release(&*other, &second).await;
    assert_eq!(of_range(&take(journal).await), (0, Some(5)));
    assert_eq!(report(journal, "b").await.takeovers, 0);
}

/// What a worker that vanished had is given to another, from the last checkpoint.
pub async fn expired_work_goes_on(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 1).await;
    let first = take(journal).await;
    harness.expire_leases().await;
    let second = take_for(&*other, 2).await;
    assert_eq!(of_range(&second), (0, None));
    keep(&*other, &second, Checkpoint { position: Some(position(5)), ..step(1) }).await;
    harness.expire_leases().await;
    let third = take(journal).await;
    assert_eq!(of_range(&third), (0, Some(5)));
    idle(&*other).await;
    assert!(first.token != second.token && second.token != third.token);
    finish(journal, &third, done(1)).await;
}

/// A token can be kept and passed on.
pub async fn a_token_holds_on_every_node_and_as_octets(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    begin(journal, "b", 1).await;
    let mut lease = take(journal).await;
    lease.token = LeaseToken::from_bytes(lease.token.as_bytes()).expect("a token survives as octets");
    go_on(&*other, &lease, Checkpoint { position: Some(position(1)), ..step(1) }).await;
    release(&*other, &lease).await;
    assert_eq!(of_range(&take(journal).await), (0, Some(1)));
}

/// A journal's own ranges and positions: a scan that changes hands reads everything once.
pub async fn a_scan_goes_on_in_other_hands(harness: &dyn JournalHarness) {
    let journal = harness.journal();
    for owner in 0..4_u32 {
        let name = format!("u{owner}");
        let entries: Vec<_> = (0..3).map(|i| new(&name, 10 * owner + i)).collect();
        journal.put(&entries).await.expect("put");
        join(journal, "news", &[&name]).await;
    }
    let expected = sorted(&scan(journal, &members("news"), 100).await);
    let ranges = journal.split(&members("news"), limit(2)).await.expect("split");
    journal.begin(&broadcast("b"), &ranges).await.expect("begin");

    let (mut read, mut ended) = (Vec::new(), 0);
    while let Some(lease) = lease(journal, 1, 1).await {
        let Work::Range { range, after } = lease.work else { panic!("nothing was deferred") };
        let to = &lease.broadcast.audience;
        let page = journal.page(to, &range, after.as_ref(), limit(2)).await.expect("page");
        read.extend(numbers(&page.entries));
        assert!(read.len() <= expected.len(), "nothing is read twice: {read:?}");
        let checkpoint = Checkpoint {
            position: page.next,
            done: page.next.is_none(),
            ..reading(1, &[(crate::OutcomeKind::Accepted, page.entries.len() as u64)])
        };
        ended += usize::from(checkpoint.done);
        journal.checkpoint(&lease.token, checkpoint).await.expect("checkpoint");
        journal.release(&lease.token).await.expect("release");
    }
    read.sort_unstable();
    assert_eq!((read, ended), (expected, ranges.len()));
    assert_eq!(report(journal, "b").await.read, 12);
}

/// Waiting ends in time, and what happened on another node meanwhile is seen.
pub async fn waiting_ends_when_there_is_work(harness: &dyn JournalHarness) {
    let (journal, other) = (harness.journal(), harness.another().await);
    let at_most = Duration::from_secs(1);
    within_a_minute(other.wait(NOW)).await;
    within_a_minute(other.wait(at_most)).await;
    let waiting = within_a_minute(other.wait(at_most));
    tokio::join!(waiting, begin(journal, "b", 1));
    let lease = take(&*other).await;
    within_a_minute(other.wait(NOW)).await;
    let waiting = within_a_minute(other.wait(at_most));
    tokio::join!(waiting, release(journal, &lease));
    take(&*other).await;
}

async fn within_a_minute(waiting: impl Future<Output = ()> + Send) {
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("a wait ends in time");
}

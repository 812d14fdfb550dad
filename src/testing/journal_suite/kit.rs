//! What the cases are made of.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

use super::JournalHarness;
pub(super) use crate::store::journal::{
    Begun, Checkpoint, Control, Deferred, Due, FailedDelivery, Journal, JournalErrorKind, Lease,
    NewBroadcast, RetryId, SettledRetry, State, Tried, Work, WorkerId,
};
use crate::store::{Audience, Entry, EntryRef, NewEntry, Position, Range};
use crate::testing::store_suite::kit as store;
use crate::{
    BroadcastId, BroadcastState, Counts, Endpoint, Failure, Message, OriginLabel, OriginReport, OutcomeKind,
    Payload, Report, Ttl, Vendor,
};

/// The harness may move a clock by hours to let terms pass: nothing else may pass by that.
pub(super) const TERM: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const WEEKS: Duration = Duration::from_secs(4 * 7 * 24 * 3600);
pub(super) const NOW: Duration = Duration::ZERO;

/// Ranges and positions are octets to a journal: these come from no store.
const TAG: [u8; 8] = *b"anything";

pub(super) const FCM: OriginLabel = OriginLabel::Vendor(Vendor::Fcm);

pub(super) fn limit(limit: u16) -> NonZeroU16 {
    NonZeroU16::new(limit).expect("limits are not zero")
}

pub(super) fn id(name: &str) -> BroadcastId {
    BroadcastId::new(name).expect("the name is valid")
}

pub(super) fn worker(number: u8) -> WorkerId {
    WorkerId::from_bytes([number; 16])
}

pub(super) fn retry(number: u64) -> RetryId {
    RetryId::of(&worker(1), number)
}

pub(super) fn position(number: u64) -> Position {
    Position::encode(TAG, [number])
}

pub(super) fn range(number: u64) -> Range {
    Range::encode(TAG, [number])
}

pub(super) fn ranges(count: u64) -> Vec<Range> {
    (0..count).map(range).collect()
}

pub(super) fn message(text: &str) -> Message {
    Message::new(Payload::new(text.to_owned()).expect("the payload is short"), Ttl::days(1))
}

pub(super) fn broadcast(name: &str) -> NewBroadcast {
    NewBroadcast::new(id(name), store::members("news"), message("hello"), WEEKS)
}

/// Begins one to the members of `news`, with so many ranges.
pub(super) async fn begin(journal: &dyn Journal, name: &str, parts: u64) {
    begin_this(journal, &broadcast(name), parts).await;
}

pub(super) async fn begin_this(journal: &dyn Journal, broadcast: &NewBroadcast, parts: u64) {
    let begun = journal.begin(broadcast, &ranges(parts)).await.expect("begin");
    assert_eq!(begun, Begun::Created);
}

/// Leases work that must be there.
pub(super) async fn take(journal: &dyn Journal) -> Lease {
    take_for(journal, 1).await
}

pub(super) async fn take_for(journal: &dyn Journal, number: u8) -> Lease {
    lease(journal, number, 100).await.expect("there is work")
}

/// As many leases as there must be.
pub(super) async fn take_all(journal: &dyn Journal, count: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    for _ in 0..count {
        leases.push(take(journal).await);
    }
    leases
}

pub(super) async fn lease(journal: &dyn Journal, number: u8, retries: u16) -> Option<Lease> {
    journal.lease(&worker(number), TERM, limit(retries)).await.expect("lease")
}

/// There must be no work now.
pub(super) async fn idle(journal: &dyn Journal) {
    let lease = lease(journal, 9, 100).await;
    assert!(lease.is_none(), "there is no work: {lease:?}");
}

/// Number of the range that was leased, and of the position.
pub(super) fn of_range(lease: &Lease) -> (u64, Option<u64>) {
    let Work::Range { range, after } = &lease.work else { panic!("a range, not {:?}", lease.work) };
    let [range] = range.decode(TAG).expect("the range is as it was begun");
    (range, after.as_ref().map(number_of))
}

/// The number of a position.
pub(super) fn number_of(position: &Position) -> u64 {
    let [number] = position.decode(TAG).expect("the position is as it was stored");
    number
}

/// The retries that were leased.
pub(super) fn of_retries(lease: &Lease) -> &[Due] {
    let Work::Retries(due) = &lease.work else { panic!("retries, not {:?}", lease.work) };
    assert!(!due.is_empty(), "a batch of retries is not empty");
    due
}

pub(super) fn retry_ids(lease: &Lease) -> BTreeSet<RetryId> {
    of_retries(lease).iter().map(|due| due.retry).collect()
}

/// Does a checkpoint that must be taken.
pub(super) async fn keep(journal: &dyn Journal, lease: &Lease, checkpoint: Checkpoint) -> State {
    journal.checkpoint(&lease.token, checkpoint).await.expect("checkpoint")
}

/// The same, for a broadcast that goes on.
pub(super) async fn go_on(journal: &dyn Journal, lease: &Lease, checkpoint: Checkpoint) -> Control {
    match keep(journal, lease, checkpoint).await {
        State::Running(control) => control,
        state => panic!("the broadcast goes on, it is not {state:?}"),
    }
}

/// The same, for the last one.
pub(super) async fn finish(journal: &dyn Journal, lease: &Lease, checkpoint: Checkpoint) {
    assert_eq!(keep(journal, lease, checkpoint).await, State::Finished);
}

/// Tries a checkpoint that must be refused.
pub(super) async fn lost(journal: &dyn Journal, lease: &Lease, checkpoint: Checkpoint) {
    let error = journal.checkpoint(&lease.token, checkpoint).await.expect_err("the lease is lost");
    assert_eq!(error.kind(), JournalErrorKind::LeaseLost);
    assert!(!error.is_retryable());
}

pub(super) async fn release(journal: &dyn Journal, lease: &Lease) {
    journal.release(&lease.token).await.expect("release");
}

pub(super) fn step(number: u64) -> Checkpoint {
    Checkpoint::new(number, TERM)
}

pub(super) fn done(number: u64) -> Checkpoint {
    Checkpoint { done: true, ..step(number) }
}

pub(super) fn counts(of: &[(OutcomeKind, u64)]) -> Counts {
    let mut counts = Counts::default();
    for (kind, n) in of {
        counts.add(*kind, *n);
    }
    counts
}

/// So many entries read, with these outcomes at FCM.
pub(super) fn reading(number: u64, of: &[(OutcomeKind, u64)]) -> Checkpoint {
    let counts = counts(of);
    Checkpoint {
        read: counts.total(),
        attempts: counts.total(),
        counts: vec![OriginReport::new(FCM, counts)],
        ..step(number)
    }
}

/// These entries read, and deferred.
pub(super) fn deferring(number: u64, deferred: Vec<Deferred>) -> Checkpoint {
    Checkpoint { read: deferred.len() as u64, deferred, ..step(number) }
}

/// These retries settled as accepted.
pub(super) fn settling(number: u64, retries: &[u64]) -> Checkpoint {
    Checkpoint { settled: retries.iter().map(|n| settled(*n)).collect(), ..step(number) }
}

pub(super) fn settled(number: u64) -> SettledRetry {
    SettledRetry::new(retry(number), FCM, OutcomeKind::Accepted, None)
}

/// The retry of this number, of `ann`'s endpoint of that number, after one request.
pub(super) fn deferred(number: u64, after: Duration) -> Deferred {
    deferred_of("ann", number, after)
}

pub(super) fn deferred_of(user: &str, number: u64, after: Duration) -> Deferred {
    let entry = reference(number);
    Deferred::new(retry(number), store::user(user), entry, FCM, Tried::new(1, 1, false), after, DAY)
}

/// A reference to an entry that need not be there.
pub(super) fn reference(number: u64) -> EntryRef {
    let new = store::new("ann", u32::try_from(number).expect("small"));
    EntryRef { id: new.subscription.id(), version: new.version() }
}

pub(super) fn failed(user: &str, number: u64) -> FailedDelivery {
    let detail = Some(format!("answered 410, number {number}"));
    let failure = Failure::new(reference(number).id, FCM, OutcomeKind::Gone, detail, 2);
    FailedDelivery::new(store::user(user), failure)
}

pub(super) fn other_origin(number: u64) -> OriginLabel {
    let text = format!("https://p{number}.example.net:8443/");
    OriginLabel::Origin(text.parse::<Endpoint>().expect("the endpoint is valid").origin())
}

/// A report that must be there, and must be consistent in itself.
pub(super) async fn report(journal: &dyn Journal, name: &str) -> Report {
    let report = journal.report(&id(name)).await.expect("report").expect("the broadcast is known");
    check_report(&report);
    report
}

/// What must hold of every report.
pub(super) fn check_report(report: &Report) {
    assert_eq!(report.counts.total() + report.pending, report.read, "counts and pending are what was read");
    let mut origins = Counts::default();
    report.origins.iter().for_each(|origin| origins.merge(&origin.counts));
    assert_eq!(origins, report.counts, "the origins add up to the whole");
    assert!(report.failures.len() <= 100, "a report shows 100 failures");
    if matches!(report.state, BroadcastState::Finished | BroadcastState::TimedOut) {
        assert_eq!(report.pending, 0, "nothing is pending at the end");
    }
}

/// Two reports that say the same, but for the time.
#[track_caller]
pub(super) fn assert_same(before: &Report, after: &Report) {
    assert_eq!(before, &Report { elapsed: before.elapsed, ..after.clone() });
}

/// All failures, by pages of this size.
pub(super) async fn failures(journal: &dyn Journal, name: &str, page: u16) -> Vec<Failure> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let found = journal.failures(&id(name), after, limit(page)).await.expect("failures");
        assert!(found.failures.len() <= usize::from(page), "a page has at most `limit` failures");
        all.extend(found.failures);
        assert!(all.len() < 10_000, "a list ends");
        let Some(next) = found.next else { return all };
        assert!(after < Some(next), "pages go on");
        after = Some(next);
    }
}

/// A subscription that is stored, with its entry.
pub(super) async fn subscribed(journal: &dyn Journal, user: &str, endpoint: u32) -> Entry {
    journal.put(&[store::new(user, endpoint)]).await.expect("put");
    entry(journal, user, endpoint).await.expect("it was put")
}

pub(super) async fn entry(journal: &dyn Journal, user: &str, endpoint: u32) -> Option<Entry> {
    let entries = journal.subscriptions(&store::user(user)).await.expect("subscriptions");
    entries.into_iter().find(|entry| store::number(entry) == endpoint)
}

/// So many handles on the same storage.
pub(super) async fn handles(harness: &dyn JournalHarness, count: usize) -> Vec<Box<dyn Journal>> {
    let mut handles = Vec::new();
    for _ in 0..count {
        handles.push(harness.another().await);
    }
    handles
}

/// Another owner's entry.
pub(super) fn entry_of(user: &str, endpoint: u32, keys: u8) -> NewEntry {
    store::new_with_keys(user, endpoint, keys)
}

pub(super) fn to_user(name: &str) -> Audience {
    Audience::User(store::user(name))
}

//! `SqliteStore` passes the journal's suite, keeps broadcasts over restarts, and shares them.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "support/consistency.rs"]
mod consistency;
#[path = "support/consistent.rs"]
mod consistent;
#[path = "support/temp.rs"]
mod temp;
#[path = "sqlite_journal/workers.rs"]
mod workers;

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rusqlite::Connection;
use temp::TempDir;
use tokio::time::timeout;
use webpush_channels::store::journal::{
    Begun, Checkpoint, Control, Deferred, FailedDelivery, Journal, JournalErrorKind, Lease, LeaseToken,
    NewBroadcast, RetryId, SettledRetry, State, Tried, Work, WorkerId,
};
use webpush_channels::store::{Audience, Change, NewEntry, Position, Range, SqliteStore, SubscriptionStore};
use webpush_channels::testing::ManualClock;
use webpush_channels::testing::journal_suite::JournalHarness;
use webpush_channels::{
    AuthSecret, BroadcastId, BroadcastState, ChannelName, Counts, Failure, Message, OriginLabel,
    OriginReport, OutcomeKind, Payload, PublicKey, Report, Subscription, SubscriptionId, SubscriptionKeys,
    Ttl, Urgency, UserId, Vendor,
};

const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const FCM: OriginLabel = OriginLabel::Vendor(Vendor::Fcm);
const TAG: [u8; 8] = *b"journal1";

struct Harness {
    dir: TempDir,
    store: SqliteStore,
}

impl Harness {
    async fn new() -> Self {
        let dir = TempDir::new();
        Self { store: open(&dir).await, dir }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            consistency::check_rows(&raw(&self.dir));
        }
    }
}

#[async_trait]
impl JournalHarness for Harness {
    fn journal(&self) -> &dyn Journal {
        &self.store
    }

    async fn another(&self) -> Box<dyn Journal> {
        Box::new(open(&self.dir).await)
    }

    async fn expire_leases(&self) {
        raw(&self.dir).execute("UPDATE leases SET until = 0", []).unwrap();
    }
}

webpush_channels::journal_suite!(Harness::new().await);

async fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.join("store.sqlite")).await.unwrap()
}

async fn open_at(dir: &TempDir, clock: &Arc<ManualClock>) -> SqliteStore {
    SqliteStore::builder(dir.join("store.sqlite")).clock(Arc::clone(clock)).open().await.unwrap()
}

/// The file as another program sees it.
fn raw(dir: &TempDir) -> Connection {
    let connection = Connection::open(dir.join("store.sqlite")).unwrap();
    connection.busy_timeout(MINUTE).unwrap();
    connection
}

fn id(name: &str) -> BroadcastId {
    BroadcastId::new(name).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn news() -> ChannelName {
    ChannelName::new("news").unwrap()
}

fn limit(limit: u16) -> NonZeroU16 {
    NonZeroU16::new(limit).unwrap()
}

fn broadcast(name: &str) -> NewBroadcast {
    let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1)).with_urgency(Urgency::High);
    NewBroadcast::new(id(name), Audience::Channel(news()), message, DAY)
}

async fn begin(store: &SqliteStore, name: &str, ranges: u64) {
    let ranges: Vec<_> = (0..ranges).map(|n| Range::encode(TAG, [n])).collect();
    assert_eq!(store.begin(&broadcast(name), &ranges).await.unwrap(), Begun::Created);
}

async fn lease(store: &SqliteStore) -> Option<Lease> {
    store.lease(&WorkerId::random(), MINUTE, limit(100)).await.unwrap()
}

async fn take(store: &SqliteStore) -> Lease {
    lease(store).await.expect("there is work")
}

async fn report(store: &SqliteStore, name: &str) -> Report {
    store.report(&id(name)).await.unwrap().unwrap()
}

fn step(number: u64) -> Checkpoint {
    Checkpoint::new(number, MINUTE)
}

fn done(number: u64) -> Checkpoint {
    let mut checkpoint = step(number);
    checkpoint.done = true;
    checkpoint
}

/// So many entries were read and accepted.
fn accepted(mut checkpoint: Checkpoint, entries: u64) -> Checkpoint {
    let mut counts = Counts::default();
    counts.add(OutcomeKind::Accepted, entries);
    checkpoint.read += entries;
    checkpoint.attempts += entries;
    checkpoint.counts.push(OriginReport::new(FCM, counts));
    checkpoint
}

fn new(owner: &str, endpoint: u64) -> NewEntry {
    let key = PublicKey::from_base64url(P256DH).unwrap();
    let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes([1; 16]));
    let endpoint = format!("https://push.example.net/secret/{endpoint}").parse().unwrap();
    NewEntry::new(user(owner), Subscription::new(endpoint, keys))
}

fn retry(number: u64) -> RetryId {
    RetryId::of(&WorkerId::from_bytes([7; 16]), number)
}

fn deferred(number: u64, after: Duration) -> Deferred {
    let new = new("ann", number);
    let entry = webpush_channels::store::Entry::first(&new, SystemTime::UNIX_EPOCH).reference();
    Deferred::new(retry(number), user("ann"), entry, FCM, Tried::new(1, 1, false), after, HOUR)
}

fn settled(number: u64, outcome: OutcomeKind) -> SettledRetry {
    let failure = Failure::new(new("ann", number).subscription.id(), FCM, outcome, None, 2);
    SettledRetry::new(retry(number), FCM, outcome, Some(FailedDelivery::new(user("ann"), failure)))
}

fn control(paused: bool, per_minute: Option<NonZeroU32>) -> Control {
    let mut control = Control::default();
    (control.paused, control.per_minute) = (paused, per_minute);
    control
}

fn kind<T: std::fmt::Debug>(
    result: Result<T, webpush_channels::store::journal::JournalError>,
) -> JournalErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn a_broadcast_goes_on_after_a_restart() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    store.put(&[new("ann", 1)]).await.unwrap();
    begin(&store, "b", 2).await;
    let first = take(&store).await;
    let mut half = accepted(step(1), 5);
    (half.position, half.read) = (Some(Position::encode(TAG, [5])), 6);
    half.deferred = vec![deferred(1, Duration::ZERO)];
    store.checkpoint(&first.token, half).await.unwrap();
    let before = report(&store, "b").await;
    store.close().await.unwrap();

    let store = open(&dir).await;
    let mut after = report(&store, "b").await;
    after.elapsed = before.elapsed;
    assert_eq!(after, before);
    assert_eq!(store.begin(&broadcast("b"), &[]).await.unwrap(), Begun::Known);
    let retries = take(&store).await;
    let Work::Retries(due) = &retries.work else { panic!("{retries:?}") };
    assert_eq!((due.len(), due[0].retry, due[0].entry.is_some()), (1, retry(1), true));
    let second = take(&store).await;
    assert!(matches!(second.work, Work::Range { after: None, .. }));
    assert!(lease(&store).await.is_none(), "the first range is still leased");

    // The worker that has it may be on another node, and did not restart.
    store.checkpoint(&first.token, accepted(step(2), 1)).await.unwrap();
    store.release(&first.token).await.unwrap();
    let again = take(&store).await;
    assert!(matches!(again.work, Work::Range { after: Some(at), .. } if at == Position::encode(TAG, [5])));
    store.checkpoint(&again.token, done(1)).await.unwrap();
    store.checkpoint(&second.token, done(1)).await.unwrap();
    let mut last = done(1);
    last.settled = vec![settled(1, OutcomeKind::GaveUp)];
    assert_eq!(store.checkpoint(&retries.token, last).await.unwrap(), State::Finished);
    store.close().await.unwrap();
    consistency::check(&raw(&dir));
}

#[tokio::test]
async fn two_stores_share_the_work_of_one_file() {
    let dir = TempDir::new();
    let (a, b) = (open(&dir).await, open(&dir).await);
    begin(&a, "b", 2).await;
    let (first, second) = (take(&a).await, take(&b).await);
    assert!(lease(&a).await.is_none() && lease(&b).await.is_none());
    // A token is good on each node.
    assert!(matches!(b.checkpoint(&first.token, accepted(step(1), 3)).await.unwrap(), State::Running(_)));
    a.checkpoint(&second.token, accepted(done(1), 4)).await.unwrap();
    assert_eq!(report(&b, "b").await.read, 7);
    assert_eq!(a.checkpoint(&first.token, done(2)).await.unwrap(), State::Finished);
    assert_eq!(b.totals(&news()).await.unwrap().broadcasts, 1);
    consistency::check(&raw(&dir));
}

#[tokio::test]
async fn a_token_of_another_file_is_invalid() {
    let (dir, other) = (TempDir::new(), TempDir::new());
    let (store, other) = (open(&dir).await, open(&other).await);
    begin(&store, "b", 1).await;
    begin(&other, "b", 1).await;
    let (lease, foreign) = (take(&store).await, take(&other).await);
    assert_eq!(kind(store.checkpoint(&foreign.token, done(1)).await), JournalErrorKind::Invalid);
    assert_eq!(kind(store.release(&foreign.token).await), JournalErrorKind::Invalid);
    // One of this file that nobody was given.
    let [tag_and_number] = [lease.token.as_bytes()[1..9].try_into().unwrap()];
    for number in [0, 77, u64::MAX] {
        let token = LeaseToken::encode(tag_and_number, [number]);
        assert_eq!(kind(store.checkpoint(&token, done(1)).await), JournalErrorKind::LeaseLost);
        store.release(&token).await.unwrap();
    }
    assert_eq!(store.checkpoint(&lease.token, done(1)).await.unwrap(), State::Finished);
}

#[tokio::test]
async fn times_come_from_the_clock() {
    let dir = TempDir::new();
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store = open_at(&dir, &clock).await;
    begin(&store, "b", 1).await;
    clock.advance(HOUR);
    let summary = store.summary(&id("b")).await.unwrap().unwrap();
    assert_eq!(summary.created, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    assert_eq!((summary.age, summary.report.elapsed), (HOUR, HOUR));
    let range = take(&store).await;
    assert_eq!((range.age, range.send_within_left), (HOUR, 23 * HOUR));
    let mut checkpoint = accepted(done(1), 1);
    checkpoint.read = 3;
    let mut untried = deferred(2, MINUTE);
    untried.tried = Tried::new(0, 1, false);
    checkpoint.deferred = vec![deferred(1, MINUTE), untried];
    store.checkpoint(&range.token, checkpoint).await.unwrap();
    assert!(lease(&store).await.is_none());

    clock.advance(MINUTE);
    let batch = take(&store).await;
    let Work::Retries(due) = &batch.work else { panic!("{batch:?}") };
    // A lifetime begins with the first attempt (H-6).
    let left: Vec<_> = due.iter().map(|due| (due.tried.attempts, due.ttl_left)).collect();
    assert!(left.contains(&(1, 59 * MINUTE)) && left.contains(&(0, HOUR)), "{left:?}");

    clock.advance(MINUTE);
    assert_eq!(kind(store.checkpoint(&batch.token, step(1)).await), JournalErrorKind::LeaseLost);
    let batch = take(&store).await;
    assert_eq!(report(&store, "b").await.takeovers, 1);
    clock.advance(DAY);
    assert_eq!(take(&store).await.send_within_left, Duration::ZERO);
    assert_eq!(kind(store.checkpoint(&batch.token, step(1)).await), JournalErrorKind::LeaseLost);
    assert_eq!(report(&store, "b").await.elapsed, DAY + HOUR + 2 * MINUTE);
}

#[tokio::test]
async fn what_ended_is_purged_by_its_age() {
    let dir = TempDir::new();
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store = open_at(&dir, &clock).await;
    for name in ["old", "new"] {
        begin(&store, name, 0).await;
        clock.advance(HOUR);
    }
    begin(&store, "running", 1).await;
    assert_eq!(store.purge(2 * HOUR + MINUTE).await.unwrap(), 0);
    assert_eq!(store.purge(2 * HOUR).await.unwrap(), 1);
    assert!(store.report(&id("old")).await.unwrap().is_none());
    clock.advance(DAY);
    assert_eq!(store.purge(Duration::MAX).await.unwrap(), 0);
    assert_eq!(store.purge(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(report(&store, "running").await.state, BroadcastState::Running);
    assert_eq!(store.totals(&news()).await.unwrap().broadcasts, 2);
}

#[tokio::test]
async fn failures_are_purged_however_many_there_are() {
    const FAILURES: u64 = 2500;
    let dir = TempDir::new();
    let store = open(&dir).await;
    for name in ["a", "b"] {
        begin(&store, name, 1).await;
        let range = take(&store).await;
        let mut last = done(1);
        last.failures = (0..FAILURES)
            .map(|n| {
                let subscription = SubscriptionId::from_bytes([u8::try_from(n % 256).unwrap(); 32]);
                let failure = Failure::new(subscription, FCM, OutcomeKind::Gone, None, 1);
                FailedDelivery::new(user("ann"), failure)
            })
            .collect();
        store.checkpoint(&range.token, last).await.unwrap();
    }
    assert_eq!(store.purge(Duration::ZERO).await.unwrap(), 2);
    let left: i64 = raw(&dir).query_row("SELECT count(*) FROM failures", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn waiting_ends_when_this_or_another_process_makes_work() {
    let dir = TempDir::new();
    let (store, other) = (open(&dir).await, open(&dir).await);
    assert!(lease(&store).await.is_none());
    // The one is told, the other looks.
    let (here, there, ()) =
        tokio::join!(timeout(LONG, store.wait(DAY)), timeout(LONG, other.wait(DAY)), begin(&store, "b", 1));
    assert!(here.is_ok() && there.is_ok());
    let range = take(&other).await;
    let (woken, ()) = tokio::join!(timeout(LONG, store.wait(DAY)), async {
        other.release(&range.token).await.unwrap();
    });
    assert!(woken.is_ok());
}

#[tokio::test]
async fn waiting_ends_with_its_time() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    begin(&store, "b", 1).await;
    store.control(&id("b"), control(true, None)).await.unwrap();
    store.wait(Duration::ZERO).await;
    store.wait(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_damaged_broadcast_does_not_stop_the_others() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    begin(&store, "damaged", 1).await;
    begin(&store, "whole", 1).await;
    let damage = "UPDATE broadcasts SET audience = x'ff' WHERE id = 'damaged'";
    assert_eq!(raw(&dir).execute(damage, []).unwrap(), 1);
    let range = take(&store).await;
    assert_eq!(range.broadcast.id, id("whole"));
    assert_eq!(store.checkpoint(&range.token, done(1)).await.unwrap(), State::Finished);
    assert!(lease(&store).await.is_none());
    assert_eq!(kind(store.recent(None, limit(10)).await), JournalErrorKind::Backend);
    // The way out.
    assert_eq!(store.abort(&id("damaged")).await.unwrap().state, BroadcastState::Aborted);
}

#[tokio::test]
async fn a_checkpoint_that_fails_does_nothing() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    store.put(&[new("ann", 1)]).await.unwrap();
    let entry = store.subscriptions(&user("ann")).await.unwrap().remove(0);
    begin(&store, "b", 1).await;
    let range = take(&store).await;
    let damage = |sql: &str| assert_eq!(raw(&dir).execute(sql, []).unwrap(), 1, "{sql}");
    damage("UPDATE ranges SET tally = '{' WHERE number = 0");
    let mut last = accepted(done(1), 1);
    last.read = 3;
    last.changes = vec![(entry.reference(), Change::Remove)];
    last.deferred = vec![deferred(1, Duration::ZERO), deferred(2, Duration::ZERO)];
    last.settled = vec![settled(1, OutcomeKind::Gone)];
    assert_eq!(kind(store.checkpoint(&range.token, last.clone()).await), JournalErrorKind::Backend);
    assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 1);
    assert!(lease(&store).await.is_none(), "nothing was deferred, and the range is leased");

    // Once it is repaired the same checkpoint can be sent again.
    damage("UPDATE ranges SET tally = '{\"origins\": {}}' WHERE number = 0");
    assert!(matches!(store.checkpoint(&range.token, last).await.unwrap(), State::Running(_)));
    assert!(store.subscriptions(&user("ann")).await.unwrap().is_empty());
    let report = report(&store, "b").await;
    assert_eq!((report.read, report.pending, report.pruned), (3, 1, 1));
    consistency::check(&raw(&dir));
}

#[tokio::test]
async fn a_rate_survives_a_restart() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    begin(&store, "b", 2).await;
    let control = control(false, NonZeroU32::new(60));
    store.control(&id("b"), control).await.unwrap();
    store.close().await.unwrap();
    let store = open(&dir).await;
    assert_eq!(take(&store).await.control, control);
    assert_eq!(take(&store).await.control.per_minute, NonZeroU32::new(30));
}

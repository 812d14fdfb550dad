//! `SqliteStore` passes the suite, keeps what it was given, and shares its file.

#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "support/temp.rs"]
mod temp;

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rusqlite::Connection;
use temp::TempDir;
use webpush_channels::store::{
    Audience, Change, Count, Entry, EntryRef, NewEntry, Page, Position, Put, Range, SqliteStore, StoreError,
    StoreErrorKind, SubscriptionStore, UnseenPage,
};
use webpush_channels::testing::{ManualClock, store_suite};
use webpush_channels::{
    AuthSecret, ChannelName, PublicKey, Subscription, SubscriptionId, SubscriptionKeys, UserId,
};

const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

fn news() -> Audience {
    Audience::Channel(channel("news"))
}

fn limit(limit: u16) -> NonZeroU16 {
    NonZeroU16::new(limit).unwrap()
}

fn new(owner: &str, endpoint: u32) -> NewEntry {
    let key = PublicKey::from_base64url(P256DH).unwrap();
    let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes([1; 16]));
    let endpoint = format!("https://push.example.net/secret/{endpoint}").parse().unwrap();
    NewEntry::new(user(owner), Subscription::new(endpoint, keys))
}

async fn open(dir: &TempDir) -> SqliteStore {
    SqliteStore::open(dir.join("store.sqlite")).await.unwrap()
}

async fn limited(dir: &TempDir, limit: u32) -> SqliteStore {
    let limit = NonZeroU32::new(limit).unwrap();
    SqliteStore::builder(dir.join("store.sqlite")).max_subscriptions_per_user(limit).open().await.unwrap()
}

/// All of an audience by pages, and how many pages it took.
async fn scan(store: &SqliteStore, to: &Audience, range: &Range, page: u16) -> (Vec<Entry>, usize) {
    let (mut entries, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.page(to, range, after.as_ref(), limit(page)).await.unwrap();
        entries.extend(page.entries);
        pages += 1;
        let Some(next) = page.next else { return (entries, pages) };
        after = Some(next);
    }
}

/// A store together with the directory of its file.
#[derive(Debug)]
struct InTemp {
    store: SqliteStore,
    _dir: TempDir,
}

macro_rules! forward {
    ($($name:ident ( $($arg:ident : $type:ty),* ) -> $result:ty;)*) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl SubscriptionStore for InTemp {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$result, StoreError> {
                self.store.$name($($arg),*).await
            })*
        }
    };
}
forward! {
    put(entries: &[NewEntry]) -> Vec<Put>;
    replace(user: &UserId, old: &SubscriptionId, new: &NewEntry) -> Put;
    apply(changes: &[(EntryRef, Change)]) -> Vec<bool>;
    subscriptions(user: &UserId) -> Vec<Entry>;
    join(channel: &ChannelName, users: &[UserId]) -> ();
    leave(channel: &ChannelName, users: &[UserId]) -> ();
    channels(user: &UserId) -> Vec<ChannelName>;
    page(to: &Audience, range: &Range, after: Option<&Position>, limit: NonZeroU16) -> Page;
    split(to: &Audience, parts: NonZeroU16) -> Vec<Range>;
    needing_renewal(after: Option<&Position>, limit: NonZeroU16) -> Page;
    unseen(for_at_least: Duration, after: Option<&Position>, limit: NonZeroU16) -> UnseenPage;
    remove_channel(channel: &ChannelName) -> ();
    forget(user: &UserId) -> ();
    check() -> ();
    count(to: &Audience) -> Count;
}

mod suite {
    use super::*;

    async fn empty() -> InTemp {
        let dir = TempDir::new();
        InTemp { store: open(&dir).await, _dir: dir }
    }

    async fn small() -> InTemp {
        let dir = TempDir::new();
        InTemp { store: limited(&dir, 3).await, _dir: dir }
    }

    webpush_channels::store_suite!(empty().await, limit 3: small().await);
}

#[tokio::test]
async fn it_passes_the_suite_behind_a_pointer() {
    for case in webpush_channels::testing::store_suite::CASES {
        let dir = TempDir::new();
        let store: Arc<dyn SubscriptionStore> = Arc::new(open(&dir).await);
        case.run(&store).await;
    }
}

#[tokio::test]
async fn what_was_stored_is_there_after_opening_again() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    store.put(&[new("ann", 1), new("ann", 2), new("bob", 3)]).await.unwrap();
    store.join(&channel("news"), &[user("ann"), user("bob")]).await.unwrap();
    let ann = store.subscriptions(&user("ann")).await.unwrap();
    store.apply(&[(ann[1].reference(), Change::NeedsRenewal)]).await.unwrap();
    store.replace(&user("bob"), &new("bob", 3).subscription.id(), &new("bob", 4)).await.unwrap();
    let range = store.split(&news(), limit(1)).await.unwrap()[0];
    let first = store.page(&news(), &range, None, limit(2)).await.unwrap();
    store.close().await.unwrap();

    let store = open(&dir).await;
    assert_eq!(store.count(&news()).await.unwrap(), Count { members: 2, subscriptions: 3 });
    let again = store.subscriptions(&user("ann")).await.unwrap();
    assert_eq!(again[1].subscription, ann[1].subscription);
    assert!(!again[0].needs_renewal && again[1].needs_renewal);
    // The position, the range and the former id still mean the same.
    let rest = store.page(&news(), &range, first.next.as_ref(), limit(9)).await.unwrap();
    assert_eq!((first.entries.len(), rest.entries.len(), rest.next), (2, 1, None));
    let put = store.replace(&user("bob"), &new("bob", 3).subscription.id(), &new("bob", 5)).await.unwrap();
    assert_eq!(put, Put::Renewed);
    assert_eq!(store.subscriptions(&user("bob")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    store.put(&[new("ann", 1)]).await.unwrap();
    assert!(dir.join("store.sqlite-wal").exists());
    store.close().await.unwrap();
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["store.sqlite"]);

    // Moved, it is the same store.
    std::fs::rename(dir.join("store.sqlite"), dir.join("moved")).unwrap();
    let store = SqliteStore::open(dir.join("moved")).await.unwrap();
    assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_stores_on_one_file_are_one_store() {
    let dir = TempDir::new();
    let (a, b) = (open(&dir).await, open(&dir).await);
    a.put(&[new("ann", 1), new("ann", 2)]).await.unwrap();
    b.join(&channel("news"), &[user("ann")]).await.unwrap();
    assert_eq!(a.channels(&user("ann")).await.unwrap(), [channel("news")]);
    let range = a.split(&news(), limit(1)).await.unwrap()[0];
    let page = b.page(&news(), &range, None, limit(1)).await.unwrap();
    assert!(b.apply(&[(page.entries[0].reference(), Change::Remove)]).await.unwrap()[0]);
    let rest = a.page(&news(), &range, page.next.as_ref(), limit(1)).await.unwrap();
    assert_eq!(rest.entries.len(), 1);
    assert_eq!(a.count(&news()).await.unwrap(), Count { members: 1, subscriptions: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_holds_for_puts_through_two_stores() {
    let dir = TempDir::new();
    let stores = [limited(&dir, 5).await, limited(&dir, 5).await].map(Arc::new);
    let puts = (0..20).map(|number| {
        let store = Arc::clone(&stores[number as usize % 2]);
        tokio::spawn(async move { store.put(&[new("ann", number)]).await.unwrap()[0] })
    });
    let mut added = 0;
    for put in puts.collect::<Vec<_>>() {
        added += u32::from(put.await.unwrap() == Put::New);
    }
    assert_eq!(added, 5);
    assert_eq!(stores[0].subscriptions(&user("ann")).await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_can_be_opened_by_many_at_once() {
    let dir = TempDir::new();
    let path = dir.join("store.sqlite");
    let opened: Vec<_> = (0..6).map(|_| tokio::spawn(SqliteStore::open(path.clone()))).collect();
    let mut stores = Vec::new();
    for store in opened {
        stores.push(store.await.unwrap().unwrap());
    }
    // They agree on whose the positions are.
    let range = stores[0].split(&news(), limit(1)).await.unwrap()[0];
    for store in &stores {
        assert!(store.page(&news(), &range, None, limit(1)).await.unwrap().next.is_none());
    }
}

#[tokio::test]
async fn positions_of_another_database_are_refused() {
    let (dir, other) = (TempDir::new(), TempDir::new());
    let (store, other) = (open(&dir).await, open(&other).await);
    let range = other.split(&news(), limit(1)).await.unwrap()[0];
    let error = store.page(&news(), &range, None, limit(1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Position);
}

#[tokio::test]
async fn times_come_from_the_clock() {
    let dir = TempDir::new();
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let builder = SqliteStore::builder(dir.join("store.sqlite")).clock(Arc::clone(&clock));
    let store = builder.open().await.unwrap();
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    store.put(&[new("ann", 1)]).await.unwrap();
    clock.advance(Duration::from_secs(100));
    store.put(&[new("ann", 1)]).await.unwrap();
    let entry = store.subscriptions(&user("ann")).await.unwrap().remove(0);
    assert_eq!((seconds(entry.created), seconds(entry.seen)), (1_700_000_000, 1_700_000_100));
}

#[tokio::test]
async fn who_stays_away_is_unseen() {
    let dir = TempDir::new();
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store =
        SqliteStore::builder(dir.join("store.sqlite")).clock(Arc::clone(&clock)).open().await.unwrap();
    store_suite::who_stays_away_is_unseen(&store, async |by| clock.advance(by)).await;
}

/// Five thousand rows are more than one page looks at.
#[tokio::test]
async fn a_page_of_unseen_ends_before_the_rows_do() {
    let dir = TempDir::new();
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store =
        SqliteStore::builder(dir.join("store.sqlite")).clock(Arc::clone(&clock)).open().await.unwrap();
    let all: Vec<_> = (0..5000).map(|number| new(&format!("u{number}"), number)).collect();
    store.put(&all).await.unwrap();
    clock.advance(Duration::from_secs(100));
    store.put(&all[..4999]).await.unwrap();
    let long = Duration::from_secs(50);
    let first = store.unseen(long, None, limit(10)).await.unwrap();
    assert!(first.entries.is_empty() && first.next.is_some());
    let second = store.unseen(long, first.next.as_ref(), limit(10)).await.unwrap();
    assert_eq!((second.entries.len(), second.next), (1, None));
    assert_eq!((second.entries[0].entry.user.as_str(), second.entries[0].age.as_secs()), ("u4999", 100));
}

#[tokio::test]
async fn batches_larger_than_a_transaction_are_done_whole_and_in_order() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let batch: Vec<_> = (0..2500).map(|number| new(&format!("u{number}"), number)).collect();
    assert_eq!(store.put(&batch).await.unwrap(), vec![Put::New; 2500]);
    let users: Vec<_> = batch.iter().map(|new| new.user.clone()).collect();
    store.join(&channel("news"), &users).await.unwrap();
    assert_eq!(store.count(&news()).await.unwrap(), Count { members: 2500, subscriptions: 2500 });

    // The removals come first, however far behind they stand.
    let range = store.split(&news(), limit(1)).await.unwrap()[0];
    let (entries, _) = scan(&store, &news(), &range, 1000).await;
    let key = webpush_channels::KeyId::from_bytes([1; 16]);
    let keys = entries.iter().map(|entry| (entry.reference(), Change::UseKey(key)));
    let removals = entries[2000..].iter().map(|entry| (entry.reference(), Change::Remove));
    let changes: Vec<_> = keys.chain(removals).collect();
    let done = store.apply(&changes).await.unwrap();
    assert!(done[..2000].iter().chain(&done[2500..]).all(|done| *done));
    assert!(done[2000..2500].iter().all(|done| !done), "what is removed gets no key");
    assert_eq!(store.count(&news()).await.unwrap(), Count { members: 2500, subscriptions: 2000 });

    store.remove_channel(&channel("news")).await.unwrap();
    assert_eq!(store.count(&news()).await.unwrap(), Count::default());
}

#[tokio::test]
async fn ranges_are_cut_by_numbers_and_not_too_small() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let users: Vec<_> = (0..2000).map(|number| user(&format!("u{number}"))).collect();
    store.join(&channel("news"), &users).await.unwrap();
    assert_eq!(store.split(&news(), limit(4)).await.unwrap().len(), 4);
    assert_eq!(store.split(&news(), limit(1000)).await.unwrap().len(), 8);
    store.join(&channel("few"), &users[..10]).await.unwrap();
    assert_eq!(store.split(&Audience::Channel(channel("few")), limit(16)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_page_looks_at_a_bounded_number_of_members() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    let users: Vec<_> = (0..9000).map(|number| user(&format!("u{number}"))).collect();
    store.join(&channel("news"), &users).await.unwrap();
    store.put(&[new("u8999", 1)]).await.unwrap();
    let range = store.split(&news(), limit(1)).await.unwrap()[0];
    let (entries, pages) = scan(&store, &news(), &range, 100).await;
    assert_eq!((entries.len(), pages), (1, 3));
}

/// What is in a table, by SQL.
fn rows(dir: &TempDir, table: &str) -> i64 {
    let connection = Connection::open(dir.join("store.sqlite")).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn run_sql(dir: &TempDir, sql: &str) {
    Connection::open(dir.join("store.sqlite")).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_who_is_gone() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    store.put(&[new("ann", 1), new("bob", 2), new("cid", 3)]).await.unwrap();
    store.replace(&user("ann"), &new("ann", 1).subscription.id(), &new("ann", 9)).await.unwrap();
    store.join(&channel("news"), &[user("ann"), user("bob"), user("dan")]).await.unwrap();
    store.join(&channel("sport"), &[user("bob")]).await.unwrap();

    store.forget(&user("ann")).await.unwrap();
    store.leave(&channel("sport"), &[user("bob")]).await.unwrap();
    store.remove_channel(&channel("news")).await.unwrap();
    // The last subscription of one, and of another by a move.
    let bob = store.subscriptions(&user("bob")).await.unwrap().remove(0);
    assert_eq!(store.apply(&[(bob.reference(), Change::Remove)]).await.unwrap(), [true]);
    assert_eq!(store.put(&[new("eve", 3)]).await.unwrap(), [Put::Moved]);
    let left = ["users", "subscriptions", "former_ids", "members", "channels"].map(|table| rows(&dir, table));
    assert_eq!(left, [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn a_channel_that_was_half_removed_is_not_seen_and_goes_with_the_next() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    store.join(&channel("news"), &[user("ann"), user("bob")]).await.unwrap();
    store.join(&channel("sport"), &[user("ann")]).await.unwrap();
    // As after a crash in the middle.
    run_sql(&dir, "UPDATE channels SET name = char(1) || number WHERE name = 'news'");
    assert_eq!(store.channels(&user("ann")).await.unwrap(), [channel("sport")]);
    assert_eq!(store.count(&news()).await.unwrap(), Count::default());
    store.join(&channel("news"), &[user("bob")]).await.unwrap();
    assert_eq!(store.count(&news()).await.unwrap().members, 1);

    store.remove_channel(&channel("sport")).await.unwrap();
    assert_eq!((rows(&dir, "members"), rows(&dir, "users"), rows(&dir, "channels")), (1, 1, 1));
}

#[tokio::test]
async fn a_damaged_row_is_skipped_by_scans_and_mended_by_a_put() {
    let damages = [
        "endpoint = 'https://user:secret@push.example.net/'",
        "endpoint = 17",
        "p256dh = zeroblob(65)",
        "auth = 'text'",
        "key = x'00'",
        "coding = 7",
        "payload_limit = -1",
        "needs_renewal = 'perhaps'",
        "seen = 'never'",
        "version = x''",
    ];
    for damage in damages {
        let dir = TempDir::new();
        let store = open(&dir).await;
        store.put(&[new("ann", 1), new("ann", 2), new("ann", 3)]).await.unwrap();
        store.join(&channel("news"), &[user("ann")]).await.unwrap();
        run_sql(&dir, &format!("UPDATE subscriptions SET {damage} WHERE number = 1"));

        let range = store.split(&news(), limit(1)).await.unwrap()[0];
        for page in [1, 2, 9] {
            assert_eq!(scan(&store, &news(), &range, page).await.0.len(), 2, "{damage}");
        }
        let error = store.subscriptions(&user("ann")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Backend, "{damage}");
        let text = format!("{error:?} {}", std::error::Error::source(&error).unwrap());
        let column = damage.split(' ').next().unwrap();
        assert!(text.contains(column) && !text.contains("secret"), "{text}");

        assert_eq!(store.put(&[new("ann", 2)]).await.unwrap(), [Put::Renewed], "{damage}");
        assert_eq!(store.subscriptions(&user("ann")).await.unwrap().len(), 3, "{damage}");
        assert_eq!(scan(&store, &news(), &range, 9).await.0.len(), 3, "{damage}");
    }
}

#[tokio::test]
async fn dropped_operations_do_no_harm() {
    let dir = TempDir::new();
    let store = open(&dir).await;
    for number in 0..50 {
        let entries = [new("ann", number)];
        let mut put = std::pin::pin!(store.put(&entries));
        // Asked, and not awaited.
        assert!(put.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let before = store.subscriptions(&user("ann")).await.unwrap().len();
    store.put(&[new("ann", 50)]).await.unwrap();
    let after = store.subscriptions(&user("ann")).await.unwrap();
    assert!(after.len() > before);
    assert_eq!(after.last().unwrap().subscription, new("ann", 50).subscription);
}

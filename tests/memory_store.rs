//! What `MemoryStore` promises beyond the contract.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use webpush_channels::store::{
    Audience, Change, Count, EntryRef, MemoryStore, NewEntry, Put, StoreErrorKind, SubscriptionStore,
};
use webpush_channels::testing::{ManualClock, store_suite};
use webpush_channels::{AuthSecret, ChannelName, KeyId, PublicKey, Subscription, SubscriptionKeys, UserId};

const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const PAGE: NonZeroU16 = NonZeroU16::new(7).unwrap();

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn new(owner: &str, endpoint: u32) -> NewEntry {
    let key = PublicKey::from_base64url(P256DH).unwrap();
    let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes([1; 16]));
    let endpoint = format!("https://push.example.net/secret/{endpoint}").parse().unwrap();
    NewEntry::new(user(owner), Subscription::new(endpoint, keys))
}

fn reference(new: &NewEntry) -> EntryRef {
    EntryRef { id: new.subscription.id(), version: new.version() }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[tokio::test]
async fn times_come_from_the_clock() {
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    store.put(&[new("ann", 1)]).await.unwrap();
    let first = store.subscriptions(&user("ann")).await.unwrap().remove(0);
    assert_eq!(first.created, first.seen);

    clock.advance(Duration::from_secs(100));
    store.put(&[new("ann", 1)]).await.unwrap();
    let again = store.subscriptions(&user("ann")).await.unwrap().remove(0);
    assert_eq!((again.created, seconds(again.seen)), (first.created, seconds(first.seen) + 100));

    clock.advance(Duration::from_secs(100));
    store.put(&[new("bob", 1)]).await.unwrap();
    let moved = store.subscriptions(&user("bob")).await.unwrap().remove(0);
    assert_eq!(seconds(moved.created), seconds(first.created) + 200);
}

#[tokio::test]
async fn who_stays_away_is_unseen() {
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    store_suite::who_stays_away_is_unseen(&store, async |by| clock.advance(by)).await;

    clock.set(SystemTime::UNIX_EPOCH);
    let all = store.unseen(Duration::ZERO, None, NonZeroU16::MAX).await.unwrap();
    assert!(!all.entries.is_empty() && all.entries.iter().all(|unseen| unseen.age.is_zero()));
}

/// Two thousand users are more than one page looks at.
#[tokio::test]
async fn a_page_of_unseen_ends_before_the_rows_do() {
    let clock = Arc::new(ManualClock::at_unix(1_700_000_000));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let all: Vec<_> = (0..2000).map(|number| new(&format!("u{number}"), number)).collect();
    store.put(&all).await.unwrap();
    clock.advance(Duration::from_secs(100));
    store.put(&all[..1999]).await.unwrap();
    let (mut pages, mut found, mut after) = (0, Vec::new(), None);
    loop {
        let page = store.unseen(Duration::from_secs(50), after.as_ref(), NonZeroU16::MAX).await.unwrap();
        (pages, after) = (pages + 1, page.next);
        found.extend(page.entries);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((pages, found.len(), found[0].entry.user.as_str()), (4, 1, "u1999"));
}

#[tokio::test]
async fn a_user_has_at_most_64_subscriptions_unless_told_otherwise() {
    let store = MemoryStore::new();
    let batch: Vec<_> = (0..65).map(|i| new("ann", i)).collect();
    let puts = store.put(&batch).await.unwrap();
    assert!(puts[..64].iter().all(|put| *put == Put::New));
    assert_eq!(puts[64], Put::LimitReached);
}

#[tokio::test]
async fn every_member_is_counted() {
    let (store, news) = (MemoryStore::new(), ChannelName::new("news").unwrap());
    store.put(&[new("ann", 1)]).await.unwrap();
    store.join(&news, &[user("ann"), user("bob")]).await.unwrap();
    let count = store.count(&Audience::Channel(news)).await.unwrap();
    assert_eq!(count, Count { members: 2, subscriptions: 1 });
}

#[tokio::test]
async fn a_page_stops_after_a_thousand_members_without_subscriptions() {
    let (store, news) = (MemoryStore::new(), ChannelName::new("news").unwrap());
    let silent: Vec<_> = (0..5000).map(|i| user(&format!("silent{i}"))).collect();
    store.join(&news, &silent).await.unwrap();
    let to = Audience::Channel(news);
    let range = store.split(&to, NonZeroU16::MIN).await.unwrap()[0];
    let page = store.page(&to, &range, None, PAGE).await.unwrap();
    assert!(page.entries.is_empty() && page.next.is_some());
}

#[tokio::test]
async fn positions_of_another_instance_are_refused() {
    let (one, other) = (MemoryStore::new(), MemoryStore::new());
    let to = Audience::User(user("ann"));
    let range = one.split(&to, NonZeroU16::MIN).await.unwrap()[0];
    let error = other.page(&to, &range, None, PAGE).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Position);
}

#[tokio::test]
async fn nothing_stays_of_what_is_removed() {
    let store = MemoryStore::new();
    let empty = format!("{store:?}");
    let (news, sport) = (ChannelName::new("news").unwrap(), ChannelName::new("sport").unwrap());
    let entries: Vec<_> = (0..100).map(|i| new(&format!("u{}", i / 5), i)).collect();
    store.put(&entries).await.unwrap();
    let users: Vec<_> = (0..30).map(|i| user(&format!("u{i}"))).collect();
    store.join(&news, &users).await.unwrap();
    store.join(&sport, &users).await.unwrap();
    assert_eq!(
        format!("{store:?}"),
        "MemoryStore { subscriptions: 100, users: 30, channels: 2, broadcasts: 0, .. }"
    );

    store.remove_channel(&news).await.unwrap();
    store.leave(&sport, &users).await.unwrap();
    let mut removals = Vec::new();
    for user in &users {
        let entries = store.subscriptions(user).await.unwrap();
        removals.extend(entries.iter().map(|entry| (entry.reference(), Change::Remove)));
    }
    assert!(store.apply(&removals).await.unwrap().iter().all(|done| *done));
    assert_eq!(format!("{store:?}"), empty);
}

#[test]
fn a_limit_holds_between_threads() {
    let limit = NonZeroU32::new(10).unwrap();
    let store = MemoryStore::builder().max_subscriptions_per_user(limit).build();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..50 {
                    run(store.put(&[new("ann", thread * 100 + i)])).unwrap();
                }
            });
        }
    });
    assert_eq!(run(store.subscriptions(&user("ann"))).unwrap().len(), 10);
}

/// Whoever is first changes the version, so the other one changes nothing at all.
#[test]
fn nothing_comes_between_the_changes_of_one_entry() {
    const ROUNDS: usize = 200;
    let store = MemoryStore::builder().max_subscriptions_per_user(NonZeroU32::MAX).build();
    let entries: Vec<_> = (0..100).map(|endpoint| new("ann", endpoint)).collect();
    let changes = |new, n: u8| {
        let both = [Change::UseKey(KeyId::from_bytes([n; 16])), Change::LimitPayload(n.into())];
        both.map(|change| (reference(new), change))
    };
    for _ in 0..ROUNDS {
        run(store.put(&entries)).unwrap();
        let together = Barrier::new(2);
        std::thread::scope(|scope| {
            for n in 1..=2 {
                let (store, together) = (&store, &together);
                let changes: Vec<_> = entries.iter().map(|new| changes(new, n)).collect();
                scope.spawn(move || {
                    together.wait();
                    for of_entry in changes {
                        assert!(store.apply(&of_entry).now_or_never().unwrap().is_ok());
                    }
                });
            }
        });
        for entry in run(store.subscriptions(&user("ann"))).unwrap() {
            let limit = u8::try_from(entry.payload_limit.unwrap()).unwrap();
            assert_eq!(entry.key, Some(KeyId::from_bytes([limit; 16])));
        }
        run(store.forget(&user("ann"))).unwrap();
    }
}

#[test]
fn scans_and_changes_go_on_in_several_threads() {
    let (store, news) = (MemoryStore::new(), ChannelName::new("news").unwrap());
    let stay: Vec<_> = (0..200).map(|i| new(&format!("u{}", i / 4), i)).collect();
    run(store.put(&stay)).unwrap();
    let users: Vec<_> = (0..50).map(|i| user(&format!("u{i}"))).collect();
    run(store.join(&news, &users)).unwrap();
    let (to, done) = (Audience::Channel(news.clone()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let (owner, endpoint) = (format!("u{}", round % 50), 1000 + round % 300);
                run(store.put(&[new(&owner, endpoint), stay[round as usize % 200].clone()])).unwrap();
                let entries = run(store.subscriptions(&user(&owner))).unwrap();
                let late = entries.iter().filter(|e| e.subscription.endpoint().as_str().len() > 35);
                let removals: Vec<_> = late.map(|e| (e.reference(), Change::Remove)).collect();
                run(store.apply(&removals)).unwrap();
                let guest = user(&format!("guest{round}"));
                run(store.join(&news, std::slice::from_ref(&guest))).unwrap();
                run(store.leave(&news, &[guest])).unwrap();
            }
        });
        for _ in 0..20 {
            let mut seen = 0;
            for range in run(store.split(&to, NonZeroU16::new(3).unwrap())).unwrap() {
                let mut after = None;
                loop {
                    let page = run(store.page(&to, &range, after.as_ref(), PAGE)).unwrap();
                    let stays = |e: &&_| stay.iter().any(|new| is(new, e));
                    seen += page.entries.iter().filter(stays).count();
                    let Some(next) = page.next else { break };
                    after = Some(next);
                }
            }
            assert_eq!(seen, 200, "what stays is read once");
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn is(new: &NewEntry, entry: &webpush_channels::store::Entry) -> bool {
    new.subscription.endpoint() == entry.subscription.endpoint()
}

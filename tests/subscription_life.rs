//! The life of a subscription: stored, moved, replaced, missed, expired, ended.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
#[path = "support/temp.rs"]
mod temp;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::{StreamExt as _, TryStreamExt as _};
use support::flawed::{Flaw, Flawed};
use support::{Answer, Double, Seen, answer, hub, limits, message, status, subscription};
use temp::TempDir;
use tokio::time::{Instant, sleep};
use webpush_channels::channel::{
    Channel as _, Channels, DurableChannel, Freshness, Publication, RenewalWindow, SubscribeError, Worker,
};
use webpush_channels::store::journal::Journal as _;
use webpush_channels::store::{
    Audience, Coding, MemoryStore, NewEntry, Put, SqliteStore, StoreErrorKind, SubscriptionStore,
};
use webpush_channels::testing::ManualClock;
use webpush_channels::transport::{Processed, TransportError, TransportErrorKind};
use webpush_channels::{ChannelName, CollapseKey, Message, Outcome, OutcomeKind, SkipReason, UserId};

const NOW: u64 = 1_700_000_000;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn new(owner: &str, endpoint: &str) -> NewEntry {
    NewEntry::new(user(owner), subscription(&url(endpoint)))
}

fn url(endpoint: &str) -> String {
    format!("https://push.example.net/p/{endpoint}")
}

/// In memory, and in a file.
async fn on_each_store(test: impl AsyncFn(Arc<dyn SubscriptionStore>, &ManualClock)) {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    test(Arc::new(MemoryStore::builder().clock(Arc::clone(&clock)).build()), &clock).await;
    let dir = TempDir::new();
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let store =
        SqliteStore::builder(dir.join("store.sqlite")).clock(Arc::clone(&clock)).open().await.unwrap();
    test(Arc::new(store), &clock).await;
}

/// Whom a message to an audience reaches: the ends of the endpoints.
async fn reached(store: &Arc<dyn SubscriptionStore>, to: Audience) -> Vec<String> {
    let transport = Double::accepting();
    let report = hub(Arc::clone(store), &transport).publish(Publication::new(to, message())).await.unwrap();
    assert_eq!(report.counts[OutcomeKind::Accepted], report.read, "{report}");
    let mut reached: Vec<_> =
        transport.seen().iter().map(|seen| seen.uri.rsplit_once('/').unwrap().1.to_owned()).collect();
    reached.sort();
    reached
}

fn channel(name: &str) -> Audience {
    Audience::Channel(ChannelName::new(name).unwrap())
}

#[tokio::test]
async fn a_shared_browser_belongs_to_whoever_subscribed_last() {
    on_each_store(async |store, _| {
        let hub = hub(Arc::clone(&store), &Double::accepting());
        let (alice, bob) = (user("alice"), user("bob"));
        for (name, member) in [("hers", &alice), ("his", &bob)] {
            hub.channel(&ChannelName::new(name).unwrap()).join(member).await.unwrap();
        }
        let shared = subscription(&url("shared"));
        assert_eq!(hub.subscribe(&alice, shared.clone(), None).await.unwrap(), Put::New);
        assert_eq!(hub.put(new("alice", "phone")).await.unwrap(), Put::New);
        assert_eq!(reached(&store, channel("hers")).await, ["phone", "shared"]);

        assert_eq!(hub.subscribe(&bob, shared.clone(), None).await.unwrap(), Put::Moved);
        assert_eq!(reached(&store, channel("hers")).await, ["phone"]);
        assert_eq!(reached(&store, Audience::User(alice.clone())).await, ["phone"]);
        assert_eq!(reached(&store, channel("his")).await, ["shared"]);
        assert_eq!(reached(&store, Audience::User(bob.clone())).await, ["shared"]);
        assert!(!hub.unsubscribe(&alice, &shared.id()).await.unwrap(), "it is not hers any more");

        assert_eq!(hub.subscribe(&alice, shared, None).await.unwrap(), Put::Moved);
        assert_eq!(reached(&store, channel("hers")).await, ["phone", "shared"]);
        assert!(reached(&store, channel("his")).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_replaced_subscription_is_reached_by_its_last_endpoint_only() {
    on_each_store(async |store, _| {
        let hub = hub(Arc::clone(&store), &Double::accepting());
        hub.channel(&ChannelName::new("news").unwrap()).join(&user("alice")).await.unwrap();
        let first = new("alice", "1");
        let old = first.subscription.id();
        hub.put(first).await.unwrap();
        let coded = new("alice", "2").with_coding(Coding::AesGcm);
        let second = coded.subscription.id();
        assert_eq!(hub.replace(&old, coded).await.unwrap(), Put::Renewed);
        assert_eq!(hub.subscriptions(&user("alice")).await.unwrap()[0].coding, Coding::AesGcm);
        // Its answer was lost, and the browser has another one by now.
        assert_eq!(hub.replace(&old, new("alice", "3")).await.unwrap(), Put::Renewed);
        assert_eq!(reached(&store, channel("news")).await, ["3"]);
        // A request that was under way for long changes nothing.
        assert_eq!(hub.replace(&old, new("alice", "2")).await.unwrap(), Put::Same);
        assert_eq!(reached(&store, channel("news")).await, ["3"]);
        assert!(!hub.unsubscribe(&user("alice"), &second).await.unwrap(), "a former id is nobody's");

        // Knowing an endpoint is not enough.
        let known = hub.subscriptions(&user("alice")).await.unwrap()[0].subscription.id();
        assert_eq!(hub.replace(&known, new("mallory", "4")).await.unwrap(), Put::New);
        assert_eq!(reached(&store, channel("news")).await, ["3"]);
        assert_eq!(reached(&store, Audience::User(user("mallory"))).await, ["4"]);
    })
    .await;
}

#[tokio::test]
async fn a_replacement_must_be_allowed_by_the_policy() {
    on_each_store(async |store, _| {
        let hub = hub(Arc::clone(&store), &Double::accepting());
        let fine = new("alice", "1");
        let old = fine.subscription.id();
        hub.put(fine).await.unwrap();
        for inside in ["http://push.example.net/p", "https://169.254.169.254/p", "https://router.local/p"] {
            let inside = || NewEntry::new(user("alice"), subscription(inside));
            assert!(matches!(hub.replace(&old, inside()).await, Err(SubscribeError::Policy(_))));
            assert!(matches!(hub.put(inside()).await, Err(SubscribeError::Policy(_))));
        }
        let entries = hub.subscriptions(&user("alice")).await.unwrap();
        assert_eq!(entries.iter().map(|entry| entry.subscription.id()).collect::<Vec<_>>(), [old]);
    })
    .await;
}

#[tokio::test]
async fn a_user_lists_and_ends_own_devices() {
    on_each_store(async |store, _| {
        let hub = hub(Arc::clone(&store), &Double::accepting());
        for endpoint in ["1", "2", "3"] {
            hub.put(new("alice", endpoint)).await.unwrap();
        }
        hub.put(new("bob", "4")).await.unwrap();
        let ids = async |owner| {
            let entries = hub.subscriptions(&user(owner)).await.unwrap();
            entries.iter().map(|entry| entry.subscription.id()).collect::<Vec<_>>()
        };
        let (own, other) = (ids("alice").await, ids("bob").await);
        assert_eq!((own.len(), other.len()), (3, 1));
        assert!(!hub.unsubscribe(&user("alice"), &other[0]).await.unwrap());
        assert!(hub.unsubscribe(&user("alice"), &own[1]).await.unwrap());
        assert!(!hub.unsubscribe(&user("alice"), &own[1]).await.unwrap());
        assert_eq!((ids("alice").await, ids("bob").await), (vec![own[0], own[2]], other));
    })
    .await;
}

#[tokio::test]
async fn what_changes_meanwhile_is_ended_all_the_same() {
    let store = Arc::new(MemoryStore::new());
    store.put(&[new("alice", "1")]).await.unwrap();
    let id = subscription(&url("1")).id();
    let always = hub(Flawed::new(Arc::clone(&store), Flaw::Stale(usize::MAX)), &Double::accepting());
    let error = always.unsubscribe(&user("alice"), &id).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let twice = hub(Flawed::new(Arc::clone(&store), Flaw::Stale(2)), &Double::accepting());
    assert!(twice.unsubscribe(&user("alice"), &id).await.unwrap());
    assert!(store.subscriptions(&user("alice")).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_stays_away_is_asked_to_come_back_and_given_up() {
    on_each_store(async |store, clock| {
        let hub = hub(Arc::clone(&store), &Double::accepting());
        // More than a page, of several users.
        let all: Vec<_> = (0..250).map(|n| new(&format!("u{}", n / 5), &n.to_string())).collect();
        store.put(&all).await.unwrap();
        let window = RenewalWindow::new(55 * DAY, Some(60 * DAY));
        let unseen = async || hub.unseen(window).try_collect::<Vec<_>>().await.unwrap();
        clock.advance(50 * DAY);
        assert!(unseen().await.is_empty());
        store.put(&all[..50]).await.unwrap();
        clock.advance(5 * DAY);
        let asked = unseen().await;
        assert_eq!(asked.len(), 200);
        assert!(asked.iter().all(|(it, what)| *what == Freshness::AskToRenew && it.age == 55 * DAY));
        // One opens the page, which is all that it takes.
        assert_eq!(hub.put(all[249].clone()).await.unwrap(), Put::Same);
        clock.advance(5 * DAY);
        let overdue = unseen().await;
        assert_eq!(overdue.len(), 199);
        assert!(overdue.iter().all(|(it, what)| *what == Freshness::Overdue && it.age == 60 * DAY));

        // It comes back while it is being given up; so does one with other keys.
        hub.put(all[100].clone()).await.unwrap();
        let other = webpush_channels::testing::UserAgent::seeded(9);
        let renewed = other.subscribe(url("101").parse().unwrap());
        hub.subscribe(&all[101].user, renewed, None).await.unwrap();
        let mut removed = 0;
        for (unseen, _) in &overdue {
            removed += usize::from(hub.remove_unseen(unseen).await.unwrap());
        }
        assert_eq!(removed, 197);
        assert!(!hub.remove_unseen(&overdue[0].0).await.unwrap(), "it is gone");
        assert!(unseen().await.is_empty());
        clock.advance(55 * DAY);
        assert_eq!(unseen().await.len(), 53);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_fails_ends_the_reading() {
    let failing = Flawed::new(Arc::new(MemoryStore::new()), Flaw::Unseen);
    let mut unseen = hub(failing, &Double::accepting()).unseen(RenewalWindow::new(DAY, None));
    assert_eq!(unseen.next().await.unwrap().unwrap_err().kind(), StoreErrorKind::Backend);
    assert!(unseen.next().await.is_none());
}

// --- expirationTime

fn collapsing() -> Message {
    message().with_collapse_key(CollapseKey::new("inbox").unwrap())
}

/// Asks to wait for half a minute, for ever.
fn later(_: &Seen, _: usize) -> (Duration, Answer) {
    (Duration::ZERO, answer(503, &[("retry-after", "30")], ""))
}

/// It may have arrived, or not.
fn perhaps() -> Answer {
    Err(TransportError::new(TransportErrorKind::Timeout).with_processed(Processed::Unknown))
}

/// A hub whose one member's subscription expires a thousand seconds from now. Another member's push
/// service takes a message at the second try, ten seconds from now, when the clock jumps to `then`.
async fn expiring(
    first: impl Fn(&Seen, usize) -> (Duration, Answer) + Send + Sync + 'static,
    then: u64,
) -> (Arc<MemoryStore>, Channels, Double) {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let store = Arc::new(MemoryStore::new());
    let at = Some(UNIX_EPOCH + Duration::from_secs(NOW + 1000));
    let expiring = subscription(&url("expiring")).with_expiration_time(at);
    let other = subscription("https://other.example.net/p");
    store.put(&[expiring, other].map(|it| NewEntry::new(user("alice"), it))).await.unwrap();
    let jump = Arc::clone(&clock);
    let transport = Double::slow(move |seen, nth| match (seen.uri.ends_with("expiring"), nth) {
        (true, _) => first(seen, nth),
        (false, 1) => (Duration::ZERO, answer(503, &[("retry-after", "10")], "")),
        (false, _) => {
            jump.set(UNIX_EPOCH + Duration::from_secs(then));
            (Duration::ZERO, status(201))
        }
    });
    let sender = support::sender(&transport).clock(clock).build();
    (Arc::clone(&store), Channels::builder(store, sender).limits(limits()).build(), transport)
}

fn to_alice(message: Message) -> Publication {
    Publication::new(Audience::User(user("alice")), message)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_again_once_a_subscription_has_expired() {
    for (then, requests, kind) in [(NOW + 1000, 1, OutcomeKind::Skipped), (NOW + 900, 6, OutcomeKind::GaveUp)]
    {
        let (_, hub, transport) = expiring(later, then).await;
        let report = hub.publish(to_alice(message())).await.unwrap();
        assert_eq!((report.counts[kind], report.counts[OutcomeKind::Accepted]), (1, 1), "{report}");
        assert_eq!(transport.seen_at("expiring").len(), requests);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_retry_that_comes_after_the_expiration() {
    let (store, began) = (Arc::new(MemoryStore::new()), Instant::now());
    let at = Some(UNIX_EPOCH + Duration::from_secs(NOW + 30));
    let expiring = subscription(&url("1")).with_expiration_time(at);
    store.put(&[NewEntry::new(user("alice"), expiring)]).await.unwrap();
    let sender = support::sender(&Double::slow(later)).clock(ManualClock::at_unix(NOW)).build();
    let hub = Channels::builder(store, sender).limits(limits()).build();
    let report = hub.publish(to_alice(message())).await.unwrap();
    assert_eq!((report.counts[OutcomeKind::Skipped], began.elapsed()), (1, Duration::ZERO), "{report}");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_deferred_is_sent_once_a_subscription_has_expired() {
    let silent = |_: &Seen, _| (100 * SECOND, status(201));
    for (kind, (store, hub, transport)) in [
        (OutcomeKind::Skipped, expiring(later, NOW + 1000).await),
        (OutcomeKind::Unconfirmed, expiring(silent, NOW + 1000).await),
    ] {
        let enqueued = DurableChannel::new(Arc::clone(&store)).enqueue(to_alice(message())).await.unwrap();
        Worker::builder(hub, Arc::clone(&store)).build().run_until_idle().await.unwrap();
        let report = store.report(&enqueued.id).await.unwrap().unwrap();
        assert_eq!((report.counts[kind], report.counts[OutcomeKind::Accepted]), (1, 1), "{report}");
        assert_eq!(transport.seen_at("expiring").len(), 1);
        assert_eq!(store.subscriptions(&user("alice")).await.unwrap().len(), 2, "nothing is removed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_message_is_not_repeated_after_the_expiration_or_waited_with_until_then() {
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(NOW + seconds));
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let transport = Double::slow(later);
    let sender = support::sender(&transport).clock(Arc::clone(&clock)).build();
    let (began, message) = (Instant::now(), message());
    let sent = sender.send(&subscription(&url("1")).with_expiration_time(at(30)), &message).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Skipped(SkipReason::Expired), 1));
    assert_eq!((sent.detail.unwrap().status, began.elapsed()), (503, Duration::ZERO), "it will have expired");

    let jump = async {
        sleep(10 * SECOND).await;
        clock.advance(1000 * SECOND);
    };
    let expiring = subscription(&url("2")).with_expiration_time(at(1000));
    let (sent, ()) = tokio::join!(sender.send(&expiring, &message), jump);
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Skipped(SkipReason::Expired), 1));
    assert_eq!(transport.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_arrived_before_the_expiration_is_unconfirmed() {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let moved = Arc::clone(&clock);
    let transport = Double::new(move |_, _| {
        moved.advance(1000 * SECOND);
        perhaps()
    });
    let sender = support::sender(&transport).clock(clock).build();
    let at = Some(UNIX_EPOCH + Duration::from_secs(NOW + 1000));
    let sent = sender.send(&subscription(&url("1")).with_expiration_time(at), &collapsing()).await;
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Unconfirmed, 1));
}

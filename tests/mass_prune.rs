//! a push service that calls everything gone has few subscriptions removed, however the answers
//! come: in one broadcast or in many, in direct mode or under leases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Double, at, broadcast, left, limits, message, news, sender, status, store, user};
use webpush_channels::channel::{Broadcast, Channels, MassPruneBreaker, Publication, Worker};
use webpush_channels::store::{Audience, MemoryStore, SubscriptionStore as _};
use webpush_channels::testing::ManualClock;
use webpush_channels::{OutcomeKind, Report};

use self::durable::faulty::Faulty;

/// What goes before it is too many.
const BOUND: u64 = 49;
const HOUR: Duration = Duration::from_secs(3600);

/// A node: what it knows is gone with it.
struct Node {
    store: Arc<MemoryStore>,
    hub: Channels,
    journal: Option<Arc<Faulty>>,
}

impl Node {
    fn new(store: &Arc<MemoryStore>, transport: &Double, durable: bool) -> Self {
        let sender = sender(transport).clock(Arc::new(ManualClock::at_unix(1_700_000_000))).build();
        let limits = limits().with_window(16);
        let hub = Channels::builder(Arc::clone(store), sender).limits(limits).build();
        Self { store: Arc::clone(store), hub, journal: durable.then(|| Faulty::new(Arc::clone(store))) }
    }

    async fn publish(&self, audience: Audience) -> Report {
        let Some(journal) = &self.journal else {
            return self.hub.publish(Publication::new(audience, broadcast())).await.unwrap();
        };
        let publication = Publication::new(audience, Broadcast::new(message()));
        let durable = webpush_channels::channel::DurableChannel::new(Arc::clone(journal));
        let id = durable.enqueue(publication).await.unwrap().id;
        Worker::builder(self.hub.clone(), Arc::clone(journal)).build().run_until_idle().await.unwrap();
        durable::report(journal, &id).await
    }

    async fn publish_news(&self) -> Report {
        let (before, report) = (left(&*self.store).await, self.publish(Audience::Channel(news())).await);
        assert_eq!(report.pruned + report.withheld, report.counts[OutcomeKind::Gone], "{report}");
        assert_eq!(before - report.pruned, left(&*self.store).await, "{report}");
        report
    }
}

fn gone() -> Double {
    Double::new(|_, _| status(410))
}

/// Every n-th is gone.
fn stale(nth: usize) -> Double {
    Double::new(move |seen, _| {
        let n: usize = seen.uri.rsplit_once('/').unwrap().1.parse().unwrap();
        status(if n.is_multiple_of(nth) { 404 } else { 201 })
    })
}

/// Many hosts of one vendor.
fn wns(each: usize) -> Vec<String> {
    let host = |n| format!("wns2-by3p{n}.notify.windows.com");
    (0..10).flat_map(|n| at(&host(n), each)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_calls_everything_gone_loses_less_than_the_minimum() {
    for durable in [false, true] {
        let store = store(wns(100)).await;
        let node = Node::new(&store, &gone(), durable);
        let first = node.publish_news().await;
        assert_eq!(first.counts[OutcomeKind::Gone], 1000);
        assert!(first.pruned <= BOUND, "{first}");
        for _ in 0..3 {
            let next = node.publish_news().await;
            assert_eq!((next.pruned, next.withheld), (0, next.read), "durable {durable}: {next}");
        }
        let restarted = Node::new(&store, &gone(), durable);
        let after = restarted.publish_news().await;
        assert!(after.pruned <= BOUND, "the bound is for each start: {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_small_broadcasts_are_as_one() {
    for durable in [false, true] {
        let store = store(wns(20)).await;
        let node = Node::new(&store, &gone(), durable);
        let mut pruned = 0;
        for n in 0..200 {
            pruned += node.publish(Audience::User(user(n))).await.pruned;
        }
        assert_eq!(pruned, BOUND, "durable {durable}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_usual_share_is_removed_whatever_comes_first() {
    for durable in [false, true] {
        let store = store(at("fcm.googleapis.com", 5000)).await;
        let report = Node::new(&store, &stale(10), durable).publish_news().await;
        assert_eq!((report.pruned, report.withheld), (500, 0), "durable {durable}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_with_thirty_percent_of_stale_subscriptions_is_cleaned_when_that_is_allowed() {
    for durable in [false, true] {
        let store =
            store(at("fcm.googleapis.com", 3000).into_iter().chain(at("push.example.net", 3000))).await;
        let node = Node::new(&store, &stale(3), durable);
        let first = node.publish_news().await;
        assert_eq!(first.counts[OutcomeKind::Gone], 2000, "{first}");
        assert!(first.withheld > 1700, "durable {durable}: {first}");
        let fcm = support::subscription("https://fcm.googleapis.com/p/0").endpoint().origin();
        node.hub.breaker().unwrap().allow(&fcm, HOUR);
        let second = node.publish_news().await;
        let stays = store.count(&Audience::Channel(news())).await.unwrap().subscriptions - 4000;
        assert_eq!(second.withheld, stays, "only the other push service's: {second}");
        let other = support::subscription("https://push.example.net/p/0").endpoint().origin();
        node.hub.breaker().unwrap().allow(&other, HOUR);
        assert_eq!(node.publish_news().await.withheld, 0);
        assert_eq!(left(&*store).await, 4000, "durable {durable}");
    }
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_prove_nothing_do_not_hide_the_share() {
    let transport = Double::new(|seen, _| {
        let n: usize = seen.uri.rsplit_once('/').unwrap().1.parse().unwrap();
        status(if n.is_multiple_of(10) { 410 } else { 400 })
    });
    let store = store(at("push.example.net", 3000)).await;
    let report = Node::new(&store, &transport, false).publish_news().await;
    assert_eq!(report.counts[OutcomeKind::Gone], 300, "{report}");
    assert!(report.pruned <= BOUND, "{report}");
}

#[tokio::test(start_paused = true)]
async fn the_breaker_can_be_tuned_replaced_and_left_out() {
    let publish = |hub: Channels| async move {
        let publication = Publication::new(Audience::Channel(news()), broadcast());
        hub.publish(publication).await.unwrap()
    };
    let builder = |store| Channels::builder(store, sender(&gone()).build()).limits(limits());
    let breaker = MassPruneBreaker::new().with_minimum(5);
    let hub = builder(store(at("push.example.net", 10)).await).removal_hook(breaker).build();
    assert!(hub.breaker().is_none());
    assert_eq!(publish(hub).await.withheld, 10);
    let hub = builder(store(at("push.example.net", 1000)).await).without_removal_hook().build();
    assert!(hub.breaker().is_none());
    assert_eq!(publish(hub).await.pruned, 1000);
}

#[tokio::test(start_paused = true)]
async fn single_messages_pass_the_breaker_too() {
    let store = store(at("push.example.net", 60)).await;
    let node = Node::new(&store, &gone(), false);
    let mut removed = 0;
    for n in 0..60 {
        let entry = store.subscriptions(&user(n)).await.unwrap().remove(0);
        let sent = node.hub.send_to(&entry, &message()).await.unwrap();
        assert_eq!(sent.outcome.kind(), OutcomeKind::Gone);
        removed += sent.changes.len() as u64;
    }
    assert_eq!((removed, left(&*store).await), (BOUND, 60 - BOUND));
}

#[tokio::test]
async fn strangers_origins_are_bounded_and_displace_no_vendor() {
    let store = store(wns(10)).await;
    let node = Node::new(&store, &gone(), false);
    assert_eq!(node.publish_news().await.pruned, 0, "all of a batch");
    let urls: Vec<_> = (0..10_000).map(|n| format!("https://h{n}.example.net/p/0")).collect();
    let strangers = Node { store: support::store(urls).await, hub: node.hub.clone(), journal: None };
    let origins = strangers.store.count(&Audience::Channel(news())).await.unwrap().subscriptions;
    assert_eq!(origins, 10_000);
    let breaker = node.hub.breaker().unwrap().clone();
    let hub = Channels::builder(Arc::clone(&strangers.store), sender(&gone()).build())
        .limits(limits())
        .removal_hook(breaker)
        .build();
    let report = hub.publish(Publication::new(Audience::Channel(news()), broadcast())).await.unwrap();
    assert_eq!(report.pruned, 10_000, "one of each");
    assert_eq!(node.publish_news().await.pruned, 0, "the vendor is remembered");
}

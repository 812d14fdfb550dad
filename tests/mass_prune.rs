//! a push service that calls everything gone has few subscriptions removed, however the answers
//! come: in one broadcast or in many, in direct mode or under leases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
#[path = "support/modes.rs"]
mod modes;
mod support;

use std::sync::Arc;
use std::time::Duration;

use modes::Node;
use support::{Double, at, broadcast, left, limits, message, news, sender, status, store, user};
use webpush_channels::channel::{Channels, MassPruneBreaker, Publication, RemovalHook, Removals, Review};
use webpush_channels::store::{Audience, MemoryStore, SubscriptionStore as _};
use webpush_channels::testing::ManualClock;
use webpush_channels::{OutcomeKind, Report};

/// What goes before it is too many.
const BOUND: u64 = 49;
const HOUR: Duration = Duration::from_secs(3600);

fn process(store: &Arc<MemoryStore>, transport: &Double, durable: bool) -> Node {
    let sender = sender(transport).clock(Arc::new(ManualClock::at_unix(1_700_000_000)));
    Node::new(store, sender, limits().with_window(16), durable)
}

async fn publish(node: &Node) -> Report {
    let (before, report) = (left(&*node.store).await, node.publish_news(broadcast()).await);
    assert_eq!(report.pruned + report.withheld, report.counts[OutcomeKind::Gone], "{report}");
    assert_eq!(before - report.pruned, left(&*node.store).await, "{report}");
    report
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
        let node = process(&store, &gone(), durable);
        let first = publish(&node).await;
        assert_eq!(first.counts[OutcomeKind::Gone], 1000);
        assert!(first.pruned <= BOUND, "{first}");
        for _ in 0..3 {
            let next = publish(&node).await;
            assert_eq!((next.pruned, next.withheld), (0, next.read), "durable {durable}: {next}");
        }
        let restarted = process(&store, &gone(), durable);
        let after = publish(&restarted).await;
        assert!(after.pruned <= BOUND, "the bound is for each start: {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_small_broadcasts_are_as_one() {
    for durable in [false, true] {
        let store = store(wns(20)).await;
        let node = process(&store, &gone(), durable);
        let mut pruned = 0;
        for n in 0..200 {
            pruned += node.publish(Audience::User(user(n)), broadcast()).await.pruned;
        }
        assert_eq!(pruned, BOUND, "durable {durable}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_usual_share_is_removed_whatever_comes_first() {
    for durable in [false, true] {
        let store = store(at("fcm.googleapis.com", 3000)).await;
        let report = publish(&process(&store, &stale(10), durable)).await;
        assert_eq!((report.pruned, report.withheld), (300, 0), "durable {durable}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_with_thirty_percent_of_stale_subscriptions_is_cleaned_when_that_is_allowed() {
    for durable in [false, true] {
        let store = store(at("fcm.googleapis.com", 900).into_iter().chain(at("push.example.net", 900))).await;
        let node = process(&store, &stale(3), durable);
        let first = publish(&node).await;
        assert_eq!(first.counts[OutcomeKind::Gone], 600, "{first}");
        assert!(first.withheld > 450, "durable {durable}: {first}");
        let fcm = support::subscription("https://fcm.googleapis.com/p/0").endpoint().origin();
        node.hub.breaker().unwrap().allow(&fcm, HOUR);
        let second = publish(&node).await;
        let stays = store.count(&Audience::Channel(news())).await.unwrap().subscriptions - 1200;
        assert_eq!(second.withheld, stays, "only the other push service's: {second}");
        let other = support::subscription("https://push.example.net/p/0").endpoint().origin();
        node.hub.breaker().unwrap().allow(&other, HOUR);
        assert_eq!(publish(&node).await.withheld, 0);
        assert_eq!(left(&*store).await, 1200, "durable {durable}");
    }
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_prove_nothing_do_not_hide_the_share() {
    let transport = Double::new(|seen, _| {
        let n: usize = seen.uri.rsplit_once('/').unwrap().1.parse().unwrap();
        status(if n.is_multiple_of(10) { 410 } else { 400 })
    });
    let store = store(at("push.example.net", 3000)).await;
    let report = publish(&process(&store, &transport, false)).await;
    assert_eq!(report.counts[OutcomeKind::Gone], 300, "{report}");
    assert!(report.pruned <= BOUND, "{report}");
}

#[tokio::test(start_paused = true)]
async fn the_breaker_can_be_tuned_replaced_and_left_out() {
    let report = |hub: Channels| async move {
        let publication = Publication::new(Audience::Channel(news()), broadcast());
        hub.publish(publication).await.unwrap()
    };
    let builder = |store| Channels::builder(store, sender(&gone()).build()).limits(limits());
    let breaker = MassPruneBreaker::new().with_minimum(5);
    let hub = builder(store(at("push.example.net", 10)).await).removal_hook(breaker).build();
    assert!(hub.breaker().is_none());
    assert_eq!(report(hub).await.withheld, 10);
    let hub = builder(store(at("push.example.net", 1000)).await).without_removal_hook().build();
    assert!(hub.breaker().is_none());
    assert_eq!(report(hub).await.pruned, 1000);
}

#[tokio::test(start_paused = true)]
async fn single_messages_pass_the_breaker_too() {
    let store = store(at("push.example.net", 60)).await;
    let node = process(&store, &gone(), false);
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
    let node = process(&store, &gone(), false);
    assert_eq!(publish(&node).await.pruned, 0, "all of a batch");
    let urls: Vec<_> = (0..10_000).map(|n| format!("https://h{n}.example.net/p/0")).collect();
    let breaker = node.hub.breaker().unwrap().clone();
    let hub = Channels::builder(support::store(urls).await, sender(&gone()).build())
        .limits(limits())
        .removal_hook(breaker)
        .build();
    let report = hub.publish(Publication::new(Audience::Channel(news()), broadcast())).await.unwrap();
    assert_eq!(report.pruned, 10_000, "one of each");
    assert_eq!(publish(&node).await.pruned, 0, "the vendor is remembered");
}

#[tokio::test(start_paused = true)]
async fn what_was_withheld_is_not_removed_because_the_push_service_recovers_before_it_is_reviewed() {
    for durable in [false, true] {
        // Nobody's removal is reviewed before the last answer is there.
        let transport = Double::slow(|seen, _| {
            let n: u64 = seen.uri.rsplit_once('/').unwrap().1.parse().unwrap();
            (Duration::from_millis(n), status(if n < 200 { 410 } else { 201 }))
        });
        let store = store(at("fcm.googleapis.com", 800)).await;
        let sender = sender(&transport).clock(Arc::new(ManualClock::at_unix(1_700_000_000)));
        let node = Node::new(&store, sender, limits(), durable);
        let report = publish(&node).await;
        assert_eq!(report.counts[OutcomeKind::Gone], 200, "{report}");
        assert!(report.pruned <= BOUND, "durable {durable}: {report}");
    }
}

/// One that was written before hooks were told of deliveries.
#[derive(Debug)]
struct Forgetful(MassPruneBreaker);

impl RemovalHook for Forgetful {
    fn review(&self, removals: &Removals<'_>) -> Review {
        self.0.review(removals)
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_not_told_of_deliveries_goes_by_removals() {
    let hub = Channels::builder(store(at("push.example.net", 1000)).await, sender(&gone()).build())
        .limits(limits())
        .removal_hook(Forgetful(MassPruneBreaker::new()))
        .build();
    let report = hub.publish(Publication::new(Audience::Channel(news()), broadcast())).await.unwrap();
    assert!(report.pruned <= BOUND, "{report}");
}

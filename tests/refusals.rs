//! R-20 and R-21, attacked: who may register subscriptions that their push service refuses does not
//! silence the others there, and a key that is really wrong makes few useless requests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
#[path = "support/modes.rs"]
mod modes;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use modes::Node;
use support::{Answer, Double, answer, at, broadcast, left, limits, sender, status, store, subscription};
use tokio::time::Instant;
use webpush_channels::store::{Audience, Entry, MemoryStore, NewEntry, SubscriptionStore as _};
use webpush_channels::{ChannelName, OutcomeKind, Payload, Report, UserId};

type Refusal = fn() -> Answer;

const SECOND: Duration = Duration::from_secs(1);
const OTHER_KEY: &str = "the VAPID credentials in the authorization header do not correspond to the \
                         credentials used to create the subscriptions.\n";

/// A push service that everybody uses, where anybody can have subscriptions that it refuses.
fn shared(refusal: Refusal) -> Double {
    Double::slow(move |seen, _| {
        let answer = if seen.uri.contains("evil") { refusal() } else { status(201) };
        (Duration::from_millis(50), answer)
    })
}

fn forbidden() -> Answer {
    answer(403, &[], "no")
}

/// `honest` members of the usual channel, and strangers in one of their own.
async fn with_strangers(host: &str, honest: usize, strangers: usize) -> Arc<MemoryStore> {
    let store = store(at(host, honest)).await;
    for n in 0..strangers {
        let user = UserId::new(format!("evil-{n}")).unwrap();
        let subscription = subscription(&format!("https://{host}/evil/{n}"));
        store.put(&[NewEntry::new(user.clone(), subscription)]).await.unwrap();
        store.join(&evil(), &[user]).await.unwrap();
    }
    store
}

fn evil() -> ChannelName {
    ChannelName::new("evil").unwrap()
}

fn process(store: &Arc<MemoryStore>, transport: &Double, durable: bool) -> Node {
    Node::new(store, sender(transport), limits(), durable)
}

async fn attack(node: &Node) -> Report {
    let report = node.publish(Audience::Channel(evil()), broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 0, "{report}");
    assert_eq!(report.pruned, 0);
    report
}

/// Everybody else is reached; returns how long it took.
async fn reaches_everybody(node: &Node) -> Duration {
    let start = Instant::now();
    let report = node.publish_news(broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], report.read, "{report}");
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn three_strangers_cost_the_others_seconds_and_no_message() {
    for durable in [false, true] {
        let transport = shared(forbidden);
        let store = with_strangers("push.example.net", 100, 3).await;
        let node = process(&store, &transport, durable);
        for _ in 0..3 {
            attack(&node).await;
            let took = reaches_everybody(&node).await;
            assert!(took < 5 * SECOND, "durable {durable}: {took:?}");
        }
        assert_eq!(transport.seen_at("/p/").len(), 300, "and not one request more");
    }
}

#[tokio::test(start_paused = true)]
async fn any_number_of_strangers_silences_nobody_where_the_key_was_accepted_lately() {
    for durable in [false, true] {
        let store = with_strangers("push.example.net", 100, 300).await;
        let node = process(&store, &shared(forbidden), durable);
        reaches_everybody(&node).await;
        // While it runs, which takes minutes where nobody else is there.
        let running = tokio::spawn({
            let node = node.clone();
            async move { attack(&node).await }
        });
        tokio::time::sleep(30 * SECOND).await;
        let took = reaches_everybody(&node).await;
        assert!(took < 90 * SECOND, "durable {durable}: {took:?}");
        let report = running.await.unwrap();
        assert_eq!(report.counts[OutcomeKind::AuthRefused], 300, "{report}");
        tokio::time::sleep(60 * SECOND).await;
        assert!(reaches_everybody(&node).await < 10 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn any_number_of_strangers_silences_the_others_for_a_minute_at_most() {
    for durable in [false, true] {
        let store = with_strangers("push.example.net", 100, 300).await;
        let node = process(&store, &shared(forbidden), durable);
        let report = attack(&node).await;
        assert_eq!(report.counts[OutcomeKind::AuthRefused], 300, "{report}");
        tokio::time::sleep(60 * SECOND).await;
        // The first of them is the probe, and the others wait for it.
        assert!(reaches_everybody(&node).await < 10 * SECOND, "durable {durable}");
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_among_the_others_are_refused_alone() {
    for durable in [false, true] {
        let honest = at("push.example.net", 500);
        let evil = (0..500).map(|n| format!("https://push.example.net/evil/{n}"));
        let store = store(honest.into_iter().chain(evil)).await;
        let transport = shared(forbidden);
        let report = process(&store, &transport, durable).publish_news(broadcast()).await;
        assert_eq!(report.counts[OutcomeKind::Accepted], 500, "durable {durable}: {report}");
        assert_eq!(report.counts[OutcomeKind::AuthRefused], 500, "{report}");
        assert_eq!((report.pruned, left(&*store).await), (0, 1000));
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_is_the_subscriptions_own_trouble() {
    let mismatches: [(&str, Refusal); 3] = [
        ("fcm.googleapis.com", || answer(403, &[], OTHER_KEY)),
        ("web.push.apple.com", || answer(400, &[], r#"{"reason":"VapidPkHashMismatch"}"#)),
        ("updates.push.services.mozilla.com", || {
            answer(
                401,
                &[],
                r#"{"code":401,"errno":109,"error":"Unauthorized","message":"VAPID public key mismatch"}"#,
            )
        }),
    ];
    for durable in [false, true] {
        for (host, mismatch) in mismatches {
            let store = with_strangers(host, 100, 300).await;
            let node = process(&store, &shared(mismatch), durable);
            let report = attack(&node).await;
            assert_eq!(report.counts[OutcomeKind::KeyMismatch], 300, "{report}");
            let took = reaches_everybody(&node).await;
            assert!(took < SECOND, "durable {durable}, {host}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_really_wrong_makes_few_useless_requests() {
    for durable in [false, true] {
        let transport =
            Double::slow(|_, _| (Duration::from_millis(50), answer(403, &[], r#"{"reason":"BadJwtToken"}"#)));
        let store = store(at("web.push.apple.com", 3000)).await;
        let node = process(&store, &transport, durable);
        let start = Instant::now();
        let report = node.publish_news(broadcast()).await;
        assert_eq!((report.counts[OutcomeKind::AuthRefused], report.pruned), (3000, 0), "{report}");
        // Those in flight at first, each with a second token, others in their place, and two probes.
        let first = transport.seen().len();
        assert!(first <= 3 * 64 + 8, "durable {durable}: {first} requests");
        assert!(start.elapsed() < 30 * SECOND, "{:?}", start.elapsed());
        while start.elapsed() < 3600 * SECOND {
            tokio::time::sleep(60 * SECOND).await;
            node.publish_news(broadcast()).await;
        }
        let later = transport.seen().len() - first;
        assert!((3..=8).contains(&later), "durable {durable}: {later} requests in an hour");
        assert_eq!(left(&*store).await, 3000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_accepted_again_is_used_at_once() {
    for durable in [false, true] {
        let start = Instant::now();
        let transport = Double::slow(move |seen, _| {
            let refused = seen.at - start < 100 * SECOND;
            (Duration::from_millis(50), status(if refused { 401 } else { 201 }))
        });
        let store = store(at("push.example.net", 500)).await;
        let node = process(&store, &transport, durable);
        node.publish_news(broadcast()).await;
        tokio::time::sleep_until(start + 200 * SECOND).await;
        node.publish_news(broadcast()).await;
        assert!(reaches_everybody(&node).await < 2 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_answer_says_nothing_of_the_key_holds_nobody_up() {
    let answers: [Refusal; 4] =
        [|| status(410), || answer(403, &[], OTHER_KEY), || status(400), || status(500)];
    for durable in [false, true] {
        for (n, nothing) in answers.into_iter().enumerate() {
            let armed = Arc::new(AtomicUsize::new(usize::MAX));
            let probes = Arc::clone(&armed);
            let transport = Double::slow(move |seen, _| {
                let evil = seen.uri.contains("evil");
                // The first few after the suspicion.
                let nth = if evil { 0 } else { probes.fetch_add(1, Ordering::SeqCst) };
                let answer = match (evil, nth < 5) {
                    (true, _) => forbidden(),
                    (false, true) => nothing(),
                    (false, false) => status(201),
                };
                (Duration::from_millis(50), answer)
            });
            armed.store(1_000_000, Ordering::SeqCst);
            let store = with_strangers("fcm.googleapis.com", 100, 3).await;
            let node = process(&store, &transport, durable);
            attack(&node).await;
            armed.store(0, Ordering::SeqCst);
            let start = Instant::now();
            let report = node.publish_news(broadcast()).await;
            assert!(report.counts[OutcomeKind::Accepted] >= 95, "{n}: {report}");
            assert!(start.elapsed() < 20 * SECOND, "{n}, durable {durable}: {:?}", start.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_holds_nobody_up() {
    for durable in [false, true] {
        let store = with_strangers("push.example.net", 100, 3).await;
        let node = process(&store, &shared(forbidden), durable);
        attack(&node).await;
        tokio::time::sleep(SECOND).await;
        let entry = store.subscriptions(&support::user(7)).await.unwrap().remove(0);
        let news = support::message();
        let probe = node.hub.sender().send_to(&entry, &news);
        assert!(tokio::time::timeout(SECOND / 100, probe).await.is_err(), "nobody waits for its answer");
        assert!(reaches_everybody(&node).await < 5 * SECOND, "durable {durable}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_has_no_payload_holds_nobody_up() {
    let store = with_strangers("push.example.net", 100, 3).await;
    let node = process(&store, &shared(forbidden), false);
    attack(&node).await;
    let (start, asked) = (Instant::now(), AtomicUsize::new(0));
    let payloads = move |_: &Entry| (asked.fetch_add(1, Ordering::SeqCst) >= 5).then(Payload::empty);
    let report = node.publish_news(broadcast().with_payloads(payloads)).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 95, "{report}");
    assert!(start.elapsed() < 20 * SECOND, "{:?}", start.elapsed());
}

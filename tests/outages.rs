//! an outage of a push service does not multiply what is sent to it, and loses nothing that
//! can still arrive; one that flaps is neither hammered nor starved.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
#[path = "support/modes.rs"]
mod modes;
mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use modes::Node;
use support::{Answer, Double, at, broadcast, limits, message, sender, status, store, subscription};
use tokio::task::JoinSet;
use tokio::time::Instant;
use webpush_channels::channel::{Controls, Limits};
use webpush_channels::sender::{RetryBudget, RetryPolicy};
use webpush_channels::transport::{TransportError, TransportErrorKind};
use webpush_channels::{Message, OutcomeKind, Payload, Report, Ttl};

const SECOND: Duration = Duration::from_secs(1);
const LATENCY: Duration = Duration::from_millis(50);

fn no_connection() -> Answer {
    Err(TransportError::new(TransportErrorKind::Connect))
}

fn answering(script: impl Fn(&support::Seen, usize) -> Answer + Send + Sync + 'static) -> Double {
    Double::slow(move |seen, nth| (LATENCY, script(seen, nth)))
}

/// What an outage may cost: a fifth more than there are messages, and ten a second.
fn bound(entries: usize, start: Instant) -> f64 {
    1.2 * f64::from(u32::try_from(entries).unwrap()) + 10.0 * (start.elapsed().as_secs_f64() + 1.0)
}

fn within(requests: usize, entries: usize, start: Instant) -> bool {
    f64::from(u32::try_from(requests).unwrap()) <= bound(entries, start)
}

struct Run {
    report: Report,
    requests: usize,
    took: Duration,
    start: Instant,
}

/// A broadcast to so many members of one push service.
async fn run(entries: usize, transport: &Double, retry: RetryPolicy, durable: bool) -> Run {
    let store = store(at("push.example.net", entries)).await;
    let node = Node::new(&store, sender(transport).retry(retry), limits(), durable);
    let start = Instant::now();
    let report = node.publish_news(broadcast()).await;
    assert_eq!((report.read, report.pending), (entries as u64, 0), "{report}");
    Run { report, requests: transport.seen().len(), took: start.elapsed(), start }
}

// --- the budget

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_multiply_what_is_sent() {
    const N: usize = 150;
    let outages: [fn() -> Answer; 4] =
        [|| status(500), || status(503), || support::answer(503, &[("retry-after", "5")], ""), no_connection];
    for durable in [false, true] {
        for (n, outage) in outages.into_iter().enumerate() {
            let transport = answering(move |_, _| outage());
            let ran = run(N, &transport, RetryPolicy::default(), durable).await;
            assert!(within(ran.requests, N, ran.start), "{n}, durable {durable}: {}", ran.requests);
            assert_eq!(ran.report.counts[OutcomeKind::Accepted], 0);
        }
        let transport = answering(|_, _| status(500));
        let ran = run(N, &transport, RetryPolicy::default().without_budget(), durable).await;
        assert_eq!(ran.requests, 6 * N, "without a budget");
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_everything_arrives_and_soon() {
    for durable in [false, true] {
        let start = Instant::now();
        let transport =
            answering(move |seen, _| status(if seen.at - start < 20 * SECOND { 500 } else { 201 }));
        let ran = run(5000, &transport, RetryPolicy::default(), durable).await;
        assert_eq!(ran.report.counts[OutcomeKind::Accepted], 5000, "durable {durable}: {}", ran.report);
        assert!(ran.took < 180 * SECOND, "durable {durable}: {:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_push_service_is_not_slowed_down() {
    for durable in [false, true] {
        // One in twenty fails once.
        let transport = || {
            answering(|seen, nth| {
                status(if nth == 1 && seen.uri.ends_with('7') && seen.uri.len().is_multiple_of(2) {
                    500
                } else {
                    201
                })
            })
        };
        let free = run(5000, &transport(), RetryPolicy::default().without_budget(), durable).await;
        let ran = run(5000, &transport(), RetryPolicy::default(), durable).await;
        assert!(ran.requests > 5050, "{} requests", ran.requests);
        assert_eq!(ran.report.counts[OutcomeKind::Accepted], 5000, "{}", ran.report);
        assert!(ran.took <= free.took + SECOND, "durable {durable}: {:?} and {:?}", ran.took, free.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_broadcast_retries_at_once() {
    for durable in [false, true] {
        let transport = answering(|_, nth| status(if nth == 1 { 500 } else { 201 }));
        let ran = run(10, &transport, RetryPolicy::default(), durable).await;
        assert_eq!((ran.report.counts[OutcomeKind::Accepted], ran.requests), (10, 20));
        assert!(ran.took < 3 * SECOND, "durable {durable}: {:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_holds_up_no_other_push_service_even_where_nothing_more_can_wait() {
    for (durable, deferred) in [(false, 50), (false, 65_536), (true, 0)] {
        let transport = answering(|seen, _| status(if seen.uri.contains("down") { 500 } else { 201 }));
        let urls = at("down.example.net", 500).into_iter().chain(at("fine.example.net", 3000));
        let limits = limits().with_window(256).with_deferred(deferred);
        let node = Node::new(&store(urls).await, sender(&transport), limits, durable);
        let start = Instant::now();
        let report = node.publish_news(broadcast()).await;
        assert_eq!(report.counts[OutcomeKind::Accepted], 3000, "{report}");
        assert_eq!(report.counts[OutcomeKind::GaveUp], 500, "{report}");
        let last = transport.seen_at("fine").iter().map(|seen| seen.at - start).max().unwrap();
        assert!(last < 600 * SECOND, "durable {durable}, {deferred}: {last:?}");
        assert!(within(transport.seen_at("down").len(), 500, start));
    }
}

/// Each of five origins that misbehave in another way.
fn misbehaves(seen: &support::Seen) -> Option<(Duration, Answer)> {
    let fails = |kind| Err(TransportError::new(kind));
    let (_, rest) = seen.uri.split_once("//bad")?;
    Some(match rest.as_bytes()[0] {
        b'0' => (30 * SECOND, fails(TransportErrorKind::Timeout)),
        b'1' => (LATENCY, fails(TransportErrorKind::Interrupted)),
        b'2' => (LATENCY, status(503)),
        b'3' => (LATENCY, no_connection()),
        _ => (30 * SECOND, Ok(status(500).unwrap())),
    })
}

/// How long it takes until five sound origins have their messages, beside others or alone.
async fn neighbours(others: usize, each: usize, limits: Limits, durable: bool) -> Duration {
    let transport = Double::slow(|seen, _| misbehaves(seen).unwrap_or((LATENCY, status(201))));
    let hosts = (0..5).map(|n| format!("good{n}")).chain((0..others).map(|n| format!("bad{n}")));
    let origins: Vec<_> = hosts.map(|host| at(&format!("{host}.example.net"), each)).collect();
    let urls = (0..each).flat_map(|n| origins.iter().map(move |urls| urls[n].clone()));
    let node = Node::new(&store(urls).await, sender(&transport), limits, durable);
    let start = Instant::now();
    let report = node.publish_news(broadcast()).await;
    let entries = (each * (5 + others)) as u64;
    assert_eq!((report.read, report.pending), (entries, 0), "{report}");
    assert_eq!(report.counts[OutcomeKind::Accepted], (each * 5) as u64, "{report}");
    transport.seen_at("//good").iter().map(|seen| seen.at - start).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn five_origins_of_ten_that_misbehave_cost_the_others_no_time() {
    const EACH: usize = 1500;
    let alone = neighbours(0, EACH, limits(), false).await;
    let beside = neighbours(5, EACH, limits(), false).await;
    assert!(beside <= alone.mul_f64(1.1) + LATENCY, "{beside:?}, alone {alone:?}");
    // A page can be done once what has no answer is written down: after two seconds, and then no more.
    let beside = neighbours(5, 500, limits(), true).await;
    assert!(beside < 3 * SECOND, "{beside:?}");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_more_can_wait_they_cost_a_minute_at_a_time() {
    // 5000 have to wait where 1000 can.
    let limits = limits().with_window(512).with_deferred(1000);
    let beside = neighbours(5, 1000, limits, false).await;
    assert!(beside < 4 * 60 * SECOND, "{beside:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_through_soon_after_an_outage_even_where_it_held_others_up() {
    let start = Instant::now();
    let transport = answering(move |seen, _| {
        let down = seen.uri.contains("down") && seen.at - start < 14 * SECOND;
        status(if down { 500 } else { 201 })
    });
    let (down, fine) = (at("down.example.net", 6000), at("fine.example.net", 6000));
    let urls = down.into_iter().zip(fine).flat_map(|(down, fine)| [down, fine]);
    let limits = limits().with_deferred(1000);
    let node = Node::new(&store(urls).await, sender(&transport), limits, false);
    let report = node.publish_news(broadcast()).await;
    assert!(report.counts[OutcomeKind::Accepted] > 11_900, "{report}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_else_waits_no_try_is_used_up_by_waiting() {
    let start = Instant::now();
    let transport = answering(move |seen, _| status(if seen.at - start < 60 * SECOND { 500 } else { 201 }));
    let limits = limits().with_window(256).with_deferred(50);
    let node = Node::new(&store(at("push.example.net", 2000)).await, sender(&transport), limits, false);
    let report = node.publish_news(broadcast()).await;
    let mut requests = HashMap::new();
    for seen in transport.seen() {
        *requests.entry(seen.uri).or_insert(0) += 1;
    }
    let six = requests.values().filter(|requests| **requests == 6).count() as u64;
    let gave_up = report.counts[OutcomeKind::GaveUp];
    assert_eq!((requests.len(), report.counts[OutcomeKind::Accepted]), (2000, 2000 - gave_up), "{report}");
    assert!(gave_up <= six, "{six} had six tries, {report}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_budget_ends_with_its_lifetime() {
    for durable in [false, true] {
        let transport = answering(|_, _| status(500));
        let node =
            Node::new(&store(at("push.example.net", 1000)).await, sender(&transport), limits(), durable);
        let start = Instant::now();
        let report = node.publish_news(Message::new(Payload::empty(), Ttl::from_secs(30))).await;
        let counts = &report.counts;
        assert_eq!(counts[OutcomeKind::Expired] + counts[OutcomeKind::GaveUp], 1000, "{report}");
        assert!(counts[OutcomeKind::Expired] > 500, "{report}");
        assert!(start.elapsed() < 60 * SECOND, "durable {durable}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn single_messages_share_the_budget() {
    let transport = answering(|_, _| status(500));
    let retry = RetryPolicy::default().with_budget(RetryBudget::new(50, 2.try_into().unwrap()));
    let sender = sender(&transport).retry(retry).build();
    let (start, mut sends) = (Instant::now(), JoinSet::new());
    for n in 0..300 {
        let (sender, to) = (sender.clone(), subscription(&format!("https://push.example.net/p/{n}")));
        sends.spawn(async move { sender.send(&to, &message()).await });
    }
    for sent in sends.join_all().await {
        assert!(matches!(sent.outcome.kind(), OutcomeKind::GaveUp | OutcomeKind::Expired), "{sent:?}");
    }
    let most = 300.0 * 1.5 + 2.0 * (start.elapsed().as_secs_f64() + 1.0);
    assert!(f64::from(u32::try_from(transport.seen().len()).unwrap()) <= most, "{}", transport.seen().len());
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_that_is_paused_takes_no_retries_from_others() {
    let transport = answering(|_, nth| status(if nth == 1 { 500 } else { 201 }));
    let node = Node::new(&store(at("push.example.net", 1000)).await, sender(&transport), limits(), false);
    let controls = Controls::default();
    let paused = tokio::spawn({
        let (node, broadcast) = (node.clone(), broadcast().with_controls(&controls));
        async move { node.publish_news(broadcast).await }
    });
    while transport.seen().len() < 1000 {
        tokio::time::sleep(LATENCY).await;
    }
    controls.pause();
    tokio::time::sleep(30 * SECOND).await;
    let sender = node.hub.sender().clone();
    for n in 0..5 {
        let start = Instant::now();
        let sent = sender.send(&subscription(&format!("https://push.example.net/q/{n}")), &message()).await;
        assert_eq!((sent.outcome.kind(), sent.attempts), (OutcomeKind::Accepted, 2));
        assert!(start.elapsed() < 3 * SECOND, "{n}: {:?}", start.elapsed());
    }
    controls.resume();
    assert_eq!(paused.await.unwrap().counts[OutcomeKind::Accepted], 1000);
}

#[tokio::test(start_paused = true)]
async fn retries_that_a_pause_of_the_push_service_kept_do_not_come_all_at_once_afterwards() {
    let transport = answering(|seen, nth| {
        let asks = nth == 1 && seen.uri.contains("slow");
        if asks { support::answer(429, &[("retry-after", "300")], "") } else { status(500) }
    });
    let slow = (0..200).map(|n| format!("https://push.example.net/slow/{n}"));
    let urls = at("push.example.net", 1000).into_iter().chain(slow);
    let node = Node::new(&store(urls).await, sender(&transport), limits(), false);
    let start = Instant::now();
    node.publish_news(broadcast()).await;
    let mut at: Vec<_> = transport.seen().iter().map(|seen| (seen.at - start).as_secs()).collect();
    at.retain(|second| *second > 200);
    let most = at.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap();
    assert!(most <= 30, "{most} in a second");
}

// --- the circuit breaker

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_probes_a_broken_push_service_over_all_broadcasts_and_leases() {
    let transport = Double::slow(|_, _| (SECOND / 2, no_connection()));
    let store = store(at("push.example.net", 500)).await;
    let direct = Node::new(&store, sender(&transport), limits(), false);
    let durable = direct.with_journal();
    let (first, second, leased) = tokio::join!(
        direct.publish_news(broadcast()),
        direct.publish_news(broadcast()),
        durable.publish_news(broadcast())
    );
    for report in [first, second, leased] {
        assert_eq!(report.counts[OutcomeKind::GaveUp], 500, "{report}");
    }
    let mut at: Vec<_> = transport.seen().into_iter().map(|seen| seen.at).collect();
    at.sort();
    let probes: Vec<_> = at
        .into_iter()
        .skip_while({
            let mut last = None::<Instant>;
            move |at| last.replace(*at).is_none_or(|last| *at - last < SECOND)
        })
        .collect();
    assert!(probes.len() >= 4, "{probes:?}");
    let apart: Vec<_> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(apart.iter().all(|apart| *apart >= SECOND * 3 / 2), "one at a time: {apart:?}");
    assert!(
        apart.windows(2).all(|pair| pair[1] >= pair[0] || pair[0] > 30 * SECOND),
        "longer each time: {apart:?}"
    );
}

/// Every second request ends so.
async fn flapping(bad: fn() -> Answer, durable: bool) -> Run {
    let turn = Arc::new(AtomicUsize::new(0));
    let transport =
        answering(
            move |_, _| {
                if turn.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) { bad() } else { status(201) }
            },
        );
    run(2000, &transport, RetryPolicy::default(), durable).await
}

#[tokio::test(start_paused = true)]
async fn a_push_service_that_flaps_is_neither_hammered_nor_starved() {
    for durable in [false, true] {
        for (n, bad) in [no_connection, || status(503)].into_iter().enumerate() {
            let ran = flapping(bad, durable).await;
            let accepted = ran.report.counts[OutcomeKind::Accepted];
            // Six attempts are not enough for who is unlucky.
            assert!(accepted >= 1800, "{n}, durable {durable}: {}", ran.report);
            assert!(ran.requests <= 2 * 2000 + 200, "{n}, durable {durable}: {} requests", ran.requests);
            assert!(ran.took < 600 * SECOND, "{n}, durable {durable}: {:?}", ran.took);
        }
    }
}

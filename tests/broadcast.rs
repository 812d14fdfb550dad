//! What a broadcast promises, on doubles and with paused time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use support::{
    Double, answer, assert_each_status, at, broadcast, each_status, hub, left, limits, message, news, status,
    store,
};
use webpush_channels::channel::{Broadcast, Channel, Channels, Progress, Publication};
use webpush_channels::channel::{RemovalHook, Removals, Review, SubscribeError};
use webpush_channels::engine::vapid::Keyring;
use webpush_channels::sender::{RetryPolicy, Sender};
use webpush_channels::store::{Audience, NewEntry, Put, SubscriptionStore};
use webpush_channels::transport::{Processed, TransportError, TransportErrorKind};
use webpush_channels::{
    BroadcastState, CollapseKey, Message, Outcome, OutcomeKind, Payload, Report, SkipReason, Ttl,
};

const SECOND: Duration = Duration::from_secs(1);

async fn publish(hub: &Channels, broadcast: impl Into<Broadcast>) -> Report {
    let report = hub.channel(&news()).publish(broadcast.into()).await.unwrap();
    assert_eq!(report.counts.total() + report.pending, report.read, "{report}");
    assert_eq!(report.pending, 0, "{report}");
    let by_origin: u64 = report.origins.iter().map(|origin| origin.counts.total()).sum();
    assert_eq!(by_origin, report.counts.total(), "{report}");
    report
}

fn one(report: &Report, kind: OutcomeKind) {
    assert_eq!(report.counts[kind], report.read, "{report}");
}

#[tokio::test(start_paused = true)]
async fn every_subscription_of_every_member_gets_one_request_and_one_outcome() {
    let store = store(at("push.example.net", 2500)).await;
    let second = support::subscription("https://web.push.apple.com/second");
    store.put(&[NewEntry::new(support::user(7), second)]).await.unwrap();
    let outsider = support::subscription("https://push.example.net/outsider");
    store.put(&[NewEntry::new(support::user(99_999), outsider)]).await.unwrap();
    let transport = Double::accepting();
    let report = publish(&hub(store, &transport), broadcast()).await;
    assert_eq!((report.state, report.read), (BroadcastState::Finished, 2501));
    one(&report, OutcomeKind::Accepted);
    let asked: HashSet<_> = transport.seen().into_iter().map(|seen| seen.uri).collect();
    assert_eq!((asked.len(), transport.seen().len()), (2501, 2501));
    assert!(asked.contains("https://web.push.apple.com/second"));
    assert!(!asked.contains("https://push.example.net/outsider"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_channel_is_finished_at_once() {
    let report = publish(&hub(store([]).await, &Double::accepting()), broadcast()).await;
    assert_eq!((report.state, report.read), (BroadcastState::Finished, 0));
}

#[tokio::test(start_paused = true)]
async fn only_gone_subscriptions_are_removed() {
    let store = store(each_status()).await;
    let report = publish(&hub(Arc::clone(&store), &Double::by_status()), broadcast()).await;
    assert_each_status(&report, &*store).await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_was_renewed_meanwhile_survives_its_410() {
    let store = store(at("push.example.net", 1)).await;
    let (kept, runtime) = (Arc::clone(&store), tokio::runtime::Handle::current());
    let transport = Double::new(move |seen, _| {
        // The browser subscribes anew, with other keys, while the answer is on its way.
        let agent = webpush_channels::testing::UserAgent::seeded(2);
        let renewed = NewEntry::new(support::user(0), agent.subscribe(seen.uri.parse().unwrap()));
        let kept = Arc::clone(&kept);
        runtime.spawn(async move { kept.put(&[renewed]).await.unwrap() });
        status(410)
    });
    let report = publish(&hub(Arc::clone(&store), &transport), broadcast()).await;
    assert_eq!((report.counts[OutcomeKind::Gone], report.pruned, left(&*store).await), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn one_429_delays_one_subscription() {
    let transport = Double::new(|seen, nth| {
        if seen.uri.ends_with("/3") && nth == 1 {
            answer(429, &[("retry-after", "30")], "")
        } else {
            status(201)
        }
    });
    let start = tokio::time::Instant::now();
    let report = publish(&hub(store(at("push.example.net", 100)).await, &transport), broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!(report.attempts, 101);
    let slow =
        transport.seen_at("/3").into_iter().filter(|seen| seen.uri.ends_with("/3")).collect::<Vec<_>>();
    assert!(slow[1].at - slow[0].at >= 30 * SECOND);
    // H-6: what is left of the lifetime.
    assert_eq!(slow[0].ttl, "3600");
    assert!(slow[1].ttl.parse::<u32>().unwrap() <= 3570, "{}", slow[1].ttl);
    let others = transport.seen().into_iter().filter(|seen| !seen.uri.ends_with("/3"));
    assert!(others.into_iter().all(|seen| seen.at - start < SECOND));
}

#[tokio::test(start_paused = true)]
async fn several_429_pause_the_origin_and_no_other() {
    let transport = Double::slow(|seen, nth| {
        let busy = seen.uri.contains("busy") && nth == 1 && seen.at.elapsed() < SECOND;
        let first = seen.uri.contains("busy") && nth == 1;
        let throttled = first && busy && seen.ttl == "3600" && seen.uri.ends_with(['0', '5']);
        (
            Duration::from_millis(10),
            if throttled { answer(429, &[("retry-after", "60")], "") } else { status(201) },
        )
    });
    let urls = at("busy.example.net", 500).into_iter().chain(at("calm.example.net", 500));
    let start = tokio::time::Instant::now();
    let report = publish(&hub(store(urls).await, &transport), broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    let paused = transport.seen_at("busy").into_iter().filter(|seen| seen.at - start >= 60 * SECOND).count();
    assert!(paused > 300, "{paused} of 500 waited for the origin's pause");
    assert!(transport.seen_at("calm").iter().all(|seen| seen.at - start < 2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_429_after_the_last_try_pauses_the_origin_too() {
    let transport = Double::new(|_, _| answer(429, &[("retry-after", "60")], ""));
    let sender = support::sender(&transport).per_origin(1).retry(RetryPolicy::default().with_attempts(1));
    let store = store(at("push.example.net", 20)).await;
    let hub = Channels::builder(store, sender.build()).limits(limits()).build();
    let start = tokio::time::Instant::now();
    let report = publish(&hub, broadcast()).await;
    one(&report, OutcomeKind::Throttled);
    let seen = transport.seen();
    assert_eq!((seen.len(), seen.iter().filter(|seen| seen.at - start < 60 * SECOND).count()), (20, 3));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded_and_a_retry_after_beyond_an_hour_is_not_waited_for() {
    let urls = ["https://a.example.net/503", "https://b.example.net/late"].map(str::to_owned);
    let transport = Double::new(|seen, _| {
        if seen.uri.ends_with("late") { answer(429, &[("retry-after", "86400")], "") } else { status(503) }
    });
    let start = tokio::time::Instant::now();
    let report = publish(&hub(store(urls).await, &transport), broadcast()).await;
    assert_eq!(transport.seen_at("503").len(), 6);
    assert_eq!(transport.seen_at("late").len(), 1);
    assert_eq!((report.counts[OutcomeKind::GaveUp], report.counts[OutcomeKind::Throttled]), (1, 1));
    assert!(start.elapsed() <= 31 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_live_longer_is_not_repeated() {
    let transport = Double::new(|_, _| answer(503, &[("retry-after", "20")], ""));
    let store = store(at("push.example.net", 1)).await;
    let hub = hub(store, &transport);
    for (ttl, requests) in [(0, 1), (10, 1), (30, 2)] {
        let before = transport.seen().len();
        let report = publish(&hub, Message::new(Payload::empty(), Ttl::from_secs(ttl))).await;
        one(&report, OutcomeKind::Expired);
        assert_eq!(transport.seen().len() - before, requests, "TTL {ttl}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_rebuilt_once_and_used_from_then_on() {
    let first = Arc::new(std::sync::Mutex::new(None::<String>));
    let transport = Double::new(move |seen, _| {
        let mut first = first.lock().unwrap();
        let refused = first.get_or_insert_with(|| seen.authorization.clone());
        status(if *refused == seen.authorization { 403 } else { 201 })
    });
    let report = publish(&hub(store(at("push.example.net", 200)).await, &transport), broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    let tokens: HashSet<_> = transport.seen().into_iter().map(|seen| seen.authorization).collect();
    assert_eq!(tokens.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_refused_too_stops_the_origin_and_prunes_nobody() {
    let transport = Double::new(|seen, _| {
        if seen.uri.contains("apple") { answer(403, &[], r#"{"reason":"BadJwtToken"}"#) } else { status(201) }
    });
    let urls = at("web.push.apple.com", 3000).into_iter().chain(at("fcm.googleapis.com", 50));
    let store = store(urls).await;
    let report = publish(&hub(Arc::clone(&store), &transport), broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::AuthRefused], 3000, "{report}");
    assert_eq!(report.counts[OutcomeKind::Accepted], 50);
    assert_eq!((report.pruned, left(&*store).await), (0, 3050));
    // Those in flight when it stopped were sent; the rest was not.
    let sent = transport.seen_at("apple").len();
    assert!(sent < 500, "{sent} requests to an origin that refuses us");
    let detail = report.failures[0].detail.as_deref().unwrap();
    assert!(detail.contains("403") && detail.contains("BadJwtToken"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn one_subscription_that_is_refused_stops_nobody_else() {
    let transport = Double::new(|seen, _| status(if seen.uri.ends_with("/5") { 403 } else { 201 }));
    let report = publish(&hub(store(at("push.example.net", 300)).await, &transport), broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::AuthRefused], 1, "{report}");
    assert_eq!(report.counts[OutcomeKind::Accepted], 299);
}

#[tokio::test(start_paused = true)]
async fn the_key_that_a_subscription_is_bound_to_is_found_and_remembered() {
    let (new, old) = (support::vapid(1), support::vapid(2));
    let key = old.application_server_key().to_owned();
    let transport = Double::new(move |seen, _| {
        if seen.authorization.ends_with(&key) {
            return status(201);
        }
        answer(
            403,
            &[],
            "the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions.\n",
        )
    });
    let store = store(at("fcm.googleapis.com", 10)).await;
    let keyring = Keyring::new(new.clone()).with_older(old.clone());
    let sender = Sender::builder(keyring, transport.clone()).encryptor(support::Plain).build();
    let hub = Channels::builder(Arc::clone(&store), sender).limits(limits()).build();
    one(&publish(&hub, broadcast()).await, OutcomeKind::Accepted);
    assert_eq!(transport.seen().len(), 20);
    one(&publish(&hub, broadcast()).await, OutcomeKind::Accepted);
    assert_eq!(transport.seen().len(), 30, "the second time the right key is known");
    // Without that key there is nothing to sign with, and nothing is sent or pruned.
    let alone = hub_with(&store, Sender::builder(new, transport.clone()).encryptor(support::Plain).build());
    one(&publish(&alone, broadcast()).await, OutcomeKind::Skipped);
    assert_eq!((transport.seen().len(), left(&*store).await), (30, 10));
}

fn hub_with(store: &Arc<webpush_channels::store::MemoryStore>, sender: Sender) -> Channels {
    Channels::builder(Arc::clone(store), sender).limits(limits()).build()
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_an_unknown_key_waits_for_its_renewal() {
    let transport = Double::new(|_, _| answer(400, &[], r#"{"reason":"VapidPkHashMismatch"}"#));
    let store = store(at("web.push.apple.com", 1)).await;
    let hub = hub(Arc::clone(&store), &transport);
    one(&publish(&hub, broadcast()).await, OutcomeKind::KeyMismatch);
    assert!(store.subscriptions(&support::user(0)).await.unwrap()[0].needs_renewal);
    one(&publish(&hub, broadcast()).await, OutcomeKind::Skipped);
    assert_eq!(transport.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_ambiguous_failure_is_repeated_only_where_that_is_harmless() {
    let fail = |kind, processed| Err(TransportError::new(kind).with_processed(processed));
    let transport = Double::new(move |_, nth| match nth {
        1 => fail(TransportErrorKind::Interrupted, Processed::Unknown),
        _ => status(201),
    });
    let plain = publish(&hub(store(at("push.example.net", 1)).await, &transport), broadcast()).await;
    one(&plain, OutcomeKind::Unconfirmed);
    let transport = Double::new(move |_, nth| match nth {
        1 => fail(TransportErrorKind::Interrupted, Processed::Unknown),
        _ => status(201),
    });
    let collapsing = message().with_collapse_key(CollapseKey::new("inbox").unwrap());
    let report = publish(&hub(store(at("push.example.net", 1)).await, &transport), collapsing).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, report.repeats), (2, 1));
    let topics: HashSet<_> = transport.seen().into_iter().map(|seen| seen.topic.unwrap()).collect();
    assert_eq!((topics.len(), topics.iter().next().unwrap().len()), (1, 32));
    let transport = Double::new(move |_, nth| match nth {
        1 => fail(TransportErrorKind::Interrupted, Processed::No),
        _ => status(201),
    });
    let unsent = publish(&hub(store(at("push.example.net", 1)).await, &transport), broadcast()).await;
    one(&unsent, OutcomeKind::Accepted);
    assert_eq!((unsent.attempts, unsent.repeats), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn silent_origins_do_not_slow_the_others() {
    let transport = Double::slow(|seen, _| {
        if seen.uri.contains("dead") {
            return (30 * SECOND, Err(TransportError::new(TransportErrorKind::Timeout)));
        }
        (Duration::from_millis(50), status(201))
    });
    let dead = (0..5).flat_map(|i| at(&format!("dead{i}.example.net"), 2000));
    let urls = dead.chain(at("fine.example.net", 20_000));
    let start = tokio::time::Instant::now();
    let report = publish(&hub(store(urls).await, &transport), broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 20_000, "{report}");
    let fine = transport.seen_at("fine").iter().map(|seen| seen.at - start).max().unwrap();
    // Alone it takes 20 000 / 1024 x 50 ms = 1 s, and a little to find out how much it takes.
    assert!(fine < 8 * SECOND, "the healthy origin took {fine:?}");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_refuses_connections_is_probed_and_given_up() {
    let transport = Double::new(|seen, _| {
        if seen.uri.contains("down") {
            return Err(TransportError::new(TransportErrorKind::Connect));
        }
        status(201)
    });
    let urls = at("down.example.net", 5000).into_iter().chain(at("fine.example.net", 5000));
    let start = tokio::time::Instant::now();
    let report = publish(&hub(store(urls).await, &transport), broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 5000, "{report}");
    assert_eq!(report.counts[OutcomeKind::GaveUp], 5000, "{report}");
    assert!(transport.seen_at("down").len() < 1000, "{} requests", transport.seen_at("down").len());
    assert!(start.elapsed() < 300 * SECOND, "{:?}", start.elapsed());
    assert!(transport.seen_at("fine").iter().all(|seen| seen.at - start < 8 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_recovers_gets_everything() {
    let start = tokio::time::Instant::now();
    let transport = Double::new(move |seen, _| {
        if seen.at - start < 10 * SECOND {
            return Err(TransportError::new(TransportErrorKind::Connect));
        }
        status(201)
    });
    let report = publish(&hub(store(at("push.example.net", 5000)).await, &transport), broadcast()).await;
    one(&report, OutcomeKind::Accepted);
}

#[tokio::test(start_paused = true)]
async fn the_limits_hold() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let store = store(at("push.example.net", 3000)).await;
    let sender = support::sender(&transport).per_origin(50).build();
    let limited =
        Channels::builder(store, sender).limits(limits().with_in_flight(200).with_window(300)).build();
    one(&publish(&limited, broadcast()).await, OutcomeKind::Accepted);
    assert_eq!(transport.most_in_flight(), 50);
}

#[tokio::test(start_paused = true)]
async fn two_broadcasts_share_the_hub_and_both_end() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let store = store(at("push.example.net", 500)).await;
    let hub = Channels::builder(store, support::sender(&transport).build())
        .limits(limits().with_in_flight(60))
        .build();
    let (a, b) = tokio::join!(publish(&hub, broadcast()), publish(&hub, broadcast()));
    assert_eq!(a.counts[OutcomeKind::Accepted] + b.counts[OutcomeKind::Accepted], 1000);
    assert!(transport.most_in_flight() <= 60, "{}", transport.most_in_flight());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_stops_polling_loses_nothing() {
    let transport = Double::slow(|_, _| (Duration::from_millis(10), status(201)));
    let hub = hub(store(at("push.example.net", 2000)).await, &transport);
    let mut deliveries = hub.channel(&news()).deliveries(broadcast());
    let mut accepted = 0;
    while let Some(delivery) = deliveries.next().await {
        assert!(delivery.unwrap().outcome.is_accepted());
        accepted += 1;
        if accepted % 500 == 1 {
            tokio::time::sleep(60 * SECOND).await;
        }
    }
    assert_eq!(accepted, 2000);
    assert_eq!(transport.seen().len(), 2000, "nothing was repeated");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_polls_sends_nothing() {
    let transport = Double::accepting();
    let hub = hub(store(at("push.example.net", 10)).await, &transport);
    let deliveries = hub.channel(&news()).deliveries(broadcast());
    tokio::time::sleep(SECOND).await;
    drop(deliveries);
    assert!(transport.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_stops_everything_and_leaks_no_task() {
    let transport = Double::slow(|seen, _| {
        (if seen.uri.ends_with('7') { Duration::ZERO } else { 30 * SECOND }, status(201))
    });
    let hub = hub(store(at("push.example.net", 1000)).await, &transport);
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut deliveries = hub.channel(&news()).deliveries(broadcast());
    assert!(deliveries.next().await.unwrap().unwrap().outcome.is_accepted());
    assert!(transport.in_flight() > 0);
    let sent = transport.seen().len();
    drop(deliveries);
    tokio::task::yield_now().await;
    assert_eq!(transport.in_flight(), 0, "requests in flight were dropped");
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), before);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(transport.seen().len(), sent);
}

#[tokio::test(start_paused = true)]
async fn time_used_up_is_told_apart_from_what_was_not_read() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let store = store(at("push.example.net", 3000)).await;
    let sender = support::sender(&transport).per_origin(10).build();
    let hub = Channels::builder(store, sender).limits(limits().with_window(500)).build();
    let report = publish(&hub, broadcast().with_send_within(Duration::from_millis(5500))).await;
    assert_eq!(report.state, BroadcastState::TimedOut);
    assert_eq!(report.counts[OutcomeKind::Accepted], 50, "{report}");
    assert_eq!(report.counts[OutcomeKind::Unconfirmed], 10, "what was in flight may have arrived: {report}");
    assert!(report.counts[OutcomeKind::Expired] > 0 && report.read < 3000, "{report}");
}

#[derive(Debug)]
struct Withhold;

impl RemovalHook for Withhold {
    fn review(&self, removals: &Removals<'_>) -> Review {
        if removals.origin.as_str().contains("suspect") {
            assert_eq!(removals.counts[OutcomeKind::Gone], 3);
            return Review::Withhold;
        }
        Review::Apply
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_may_withhold_removals_by_origin() {
    let transport = Double::new(|_, _| status(410));
    let urls = at("suspect.example.net", 3).into_iter().chain(at("sound.example.net", 2));
    let store = store(urls).await;
    let hub = Channels::builder(Arc::clone(&store), support::sender(&transport).build())
        .limits(limits())
        .removal_hook(Withhold)
        .build();
    let report = publish(&hub, broadcast()).await;
    one(&report, OutcomeKind::Gone);
    assert_eq!((report.pruned, report.withheld, left(&*store).await), (2, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn what_lies_in_the_subscription_is_settled_without_a_request() {
    let now = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let expired = support::subscription("https://push.example.net/expired").with_expiration_time(Some(now));
    let inside = support::subscription("https://10.0.0.1/inside");
    let store = store([]).await;
    let entries = [NewEntry::new(support::user(0), expired), NewEntry::new(support::user(1), inside)];
    store.put(&entries).await.unwrap();
    store.join(&news(), &[support::user(0), support::user(1)]).await.unwrap();
    let transport = Double::accepting();
    let hub = hub(store, &transport);
    let outcomes: Vec<_> = hub
        .channel(&news())
        .deliveries(broadcast())
        .map(|delivery| delivery.unwrap().outcome)
        .collect()
        .await;
    assert!(outcomes.contains(&Outcome::Skipped(SkipReason::Expired)), "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Outcome::Refused(_))), "{outcomes:?}");
    assert!(transport.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_stored_only_where_the_policy_allows_it() {
    let hub = hub(store([]).await, &Double::accepting());
    let (alice, key) = (support::user(0), support::vapid(1).key_id());
    let fine = support::subscription("https://push.example.net/p");
    assert_eq!(hub.subscribe(&alice, fine, Some(key)).await.unwrap(), Put::New);
    for url in ["http://push.example.net/p", "https://169.254.169.254/p", "https://router.local/p"] {
        let error = hub.subscribe(&alice, support::subscription(url), None).await.unwrap_err();
        assert!(matches!(error, SubscribeError::Policy(_)), "{url}: {error:?}");
    }
    let stored = hub.store().subscriptions(&alice).await.unwrap();
    assert_eq!((stored.len(), stored[0].key), (1, Some(key)));
}

#[tokio::test(start_paused = true)]
async fn who_left_is_not_reached() {
    let transport = Double::accepting();
    let hub = hub(store(at("push.example.net", 3)).await, &transport);
    let news = hub.channel(&news());
    news.leave(&support::user(1)).await.unwrap();
    news.join(&support::user(2)).await.unwrap();
    assert_eq!(publish(&hub, broadcast()).await.read, 2);
    assert!(transport.seen_at("/p/1").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_empty_message_has_no_body_and_is_authorised() {
    let transport = Double::accepting();
    let hub = hub(store(at("push.example.net", 1)).await, &transport);
    one(&publish(&hub, Message::new(Payload::empty(), Ttl::ZERO)).await, OutcomeKind::Accepted);
    let seen = &transport.seen()[0];
    assert!(seen.body.is_empty() && seen.authorization.starts_with("vapid t="));
}

#[tokio::test(start_paused = true)]
async fn progress_can_be_watched() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let hub = hub(store(at("push.example.net", 200)).await, &transport);
    let progress = Progress::default();
    let mut deliveries = hub.channel(&news()).deliveries(broadcast().with_progress(&progress));
    for _ in 0..10 {
        deliveries.next().await.unwrap().unwrap();
    }
    let half = progress.snapshot();
    assert_eq!((half.total, half.read), (Some(200), 200));
    assert!(half.done >= 10 && half.done < 200, "{half:?}");
    assert_eq!(deliveries.count().await, 190);
    let end = progress.snapshot();
    assert_eq!((end.done, end.accepted, end.attempts), (200, 200, 200));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_origins_are_served_and_reported_in_bounded_numbers() {
    let transport = Double::accepting();
    let urls = (0..10_000).map(|i| format!("https://h{i}.example.net/p"));
    let report = publish(&hub(store(urls).await, &transport), broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!(report.read, 10_000);
    assert_eq!(report.origins.len(), 17);
}

#[tokio::test(start_paused = true)]
async fn one_users_devices_are_an_audience_too() {
    let transport = Double::accepting();
    let hub = hub(store(at("push.example.net", 5)).await, &transport);
    let report = hub.publish(Publication::new(Audience::User(support::user(3)), message())).await.unwrap();
    assert_eq!(report.read, 1);
    assert!(transport.seen()[0].uri.ends_with("/3"));
}

#[tokio::test]
async fn encryption_threads_give_the_same_result() {
    let transport = Double::accepting();
    let store = store(at("push.example.net", 500)).await;
    let sender = Sender::builder(support::vapid(1), transport.clone()).build();
    let hub = Channels::builder(store, sender).limits(limits().with_encryption_threads(2)).build();
    one(&publish(&hub, broadcast()).await, OutcomeKind::Accepted);
    let agent = webpush_channels::testing::UserAgent::seeded(1);
    for seen in transport.seen() {
        assert_eq!(agent.decrypt(&seen.body).unwrap(), b"hello");
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_attempt_is_a_policy_too() {
    let transport = Double::new(|_, _| status(500));
    let store = store(at("push.example.net", 3)).await;
    let sender = support::sender(&transport).retry(RetryPolicy::default().with_attempts(1)).build();
    let report = publish(&hub_with(&store, sender), broadcast()).await;
    one(&report, OutcomeKind::GaveUp);
    assert_eq!(transport.seen().len(), 3);
}

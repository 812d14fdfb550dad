//! Slower on purpose: rates, pauses, and their changes while a broadcast runs.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

#[path = "support/durable.rs"]
mod durable;
#[path = "rate/enqueued.rs"]
mod enqueued;
mod support;

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use webpush_channels::channel::{Broadcast, Channel as _, Channels, Controls, Progress};
use webpush_channels::store::{MemoryStore, StoreErrorKind, SubscriptionStore};
use webpush_channels::{BroadcastState, OutcomeKind, Report, Vendor};

use self::durable::one;
use self::support::{Double, at, broadcast, hub, limits, news, sender, status, store};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

async fn publish(store: Arc<MemoryStore>, transport: &Double, broadcast: Broadcast) -> Report {
    hub(store, transport).channel(&news()).publish(broadcast).await.unwrap()
}

fn spawn(store: Arc<MemoryStore>, transport: &Double, broadcast: Broadcast) -> JoinHandle<Report> {
    let transport = transport.clone();
    tokio::spawn(async move { publish(store, &transport, broadcast).await })
}

/// When requests started, in seconds since `start`.
fn starts(transport: &Double, start: Instant) -> Vec<f64> {
    transport.seen().iter().map(|seen| seen.at.duration_since(start).as_secs_f64()).collect()
}

/// In no time do more start than the rate gives and so many more.
fn assert_rate(times: &[f64], per_minute: u32, burst: f64) {
    let per_second = f64::from(per_minute) / 60.0;
    for (i, from) in times.iter().enumerate() {
        for (more, to) in (1_u32..).zip(&times[i..]) {
            let most = (to - from).mul_add(per_second, burst.max(1.0)) + 0.01;
            assert!(f64::from(more) <= most.ceil(), "{more} between {from} and {to}");
        }
    }
}

// --- a broadcast's rate

#[tokio::test(start_paused = true)]
async fn a_minute_has_as_many_as_the_rate_says() {
    for per_minute in [60, 1000, 12_000] {
        let members = usize::try_from(per_minute).unwrap() * 2;
        let store = store(at("push.example.net", members)).await;
        let (transport, start) = (Double::accepting(), Instant::now());
        let report = publish(store, &transport, broadcast().with_rate(n(per_minute))).await;
        one(&report, OutcomeKind::Accepted);
        let times = starts(&transport, start);
        if per_minute <= 1000 {
            assert_rate(&times, per_minute, f64::from(per_minute) / 60.0);
        }
        let first = times.iter().filter(|at| **at <= 60.0).count();
        assert!(first.abs_diff(members / 2) <= 1 + members / 1000, "{first} of {per_minute}");
        assert!((times.last().unwrap() - 120.0).abs() < 0.5, "{:?}", times.last());
        // Evenly: each second has its part.
        for second in 1..119_u32 {
            let from = f64::from(second);
            let within = times.iter().filter(|at| (from..from + 1.0).contains(*at)).count();
            let expected = members / 120;
            assert!(within.abs_diff(expected) <= 1 + expected / 5, "{within} in second {second}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_are_not_counted_and_not_held_back() {
    let transport = Double::new(|_, nth| status(if nth == 1 { 500 } else { 201 }));
    let (store, start) = (store(at("push.example.net", 60)).await, Instant::now());
    let report = publish(store, &transport, broadcast().with_rate(n(60))).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!(report.attempts, 120);
    let last = starts(&transport, start).into_iter().fold(0.0, f64::max);
    assert!((60.0..62.0).contains(&last), "the last is repeated within its backoff: {last}");
}

#[tokio::test(start_paused = true)]
async fn an_audience_is_spread_over_ten_minutes() {
    for members in [7, 500, 6000] {
        let (transport, progress) = (Double::accepting(), Progress::default());
        let (store, start) = (store(at("push.example.net", members)).await, Instant::now());
        let broadcast = broadcast().spread_over(10 * MINUTE).with_progress(&progress);
        let report = publish(store, &transport, broadcast).await;
        one(&report, OutcomeKind::Accepted);
        assert_eq!(progress.snapshot().total, Some(members as u64));
        let times = starts(&transport, start);
        let last = times.last().unwrap();
        assert!((590.0..=601.0).contains(last), "{members}: {last}");
        let half = times.iter().filter(|at| **at <= 300.0).count();
        assert!(half.abs_diff(members / 2) <= 1 + members / 50, "{half} of {members} in five minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn spreading_needs_no_time_for_nobody_and_gives_itself_the_time_it_needs() {
    let (transport, start) = (Double::accepting(), Instant::now());
    let report = publish(store([]).await, &transport, broadcast().spread_over(10 * MINUTE)).await;
    assert_eq!((report.read, report.state), (0, BroadcastState::Finished));
    assert!(start.elapsed() < SECOND);
    let members = store(at("push.example.net", 100)).await;
    let report = publish(members, &transport, broadcast().spread_over(300 * MINUTE)).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 100, "five hours, at a TTL of one: {report}");
    let none =
        publish(store(at("a.example.net", 5)).await, &transport, broadcast().spread_over(Duration::ZERO));
    one(&none.await, OutcomeKind::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_count_ends_a_broadcast_that_is_to_be_spread() {
    let faulty = durable::journal(at("push.example.net", 10)).await;
    let transport = Double::accepting();
    faulty.fail("count", StoreErrorKind::Backend);
    let channel = hub(Arc::clone(&faulty), &transport).channel(&news());
    let error = channel.publish(broadcast().spread_over(MINUTE)).await.unwrap_err();
    assert_eq!((error.report.read, error.report.state), (0, BroadcastState::Failed), "{}", error.report);
    assert!(transport.seen().is_empty());
    faulty.fail("count", StoreErrorKind::Backend);
    let progress = Progress::default();
    let report = channel.publish(broadcast().with_progress(&progress)).await.unwrap();
    one(&report, OutcomeKind::Accepted);
    assert_eq!(progress.snapshot().total, None, "for a display, it is only unknown");
}

// --- controls

#[tokio::test(start_paused = true)]
async fn a_pause_starts_nothing_and_lets_land_what_is_in_flight() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let (controls, progress) = (Controls::default(), Progress::default());
    let broadcast = broadcast().with_controls(&controls).with_progress(&progress);
    let sending = spawn(store(at("push.example.net", 5000)).await, &transport, broadcast);
    sleep(2 * SECOND + SECOND / 2).await;
    controls.pause();
    let in_flight = transport.in_flight();
    let (started, done) = (transport.seen().len(), progress.snapshot().done);
    assert!(in_flight > 0 && started < 5000, "{in_flight} {started}");
    sleep(10 * MINUTE).await;
    assert_eq!(transport.seen().len(), started, "nothing starts");
    assert_eq!(transport.in_flight(), 0);
    let landed = usize::try_from(progress.snapshot().done - done).unwrap();
    assert_eq!(landed, in_flight, "what is on its way lands");
    controls.resume();
    let report = sending.await.unwrap();
    one(&report, OutcomeKind::Accepted);
    assert_eq!(report.attempts, 5000, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_repeats_back_too() {
    let transport = Double::new(|_, nth| status(if nth == 1 { 500 } else { 201 }));
    let controls = Controls::default();
    let sending =
        spawn(store(at("push.example.net", 3)).await, &transport, broadcast().with_controls(&controls));
    while transport.seen().len() < 3 {
        sleep(Duration::from_millis(1)).await;
    }
    controls.pause();
    sleep(MINUTE).await;
    assert_eq!(transport.seen().len(), 3);
    controls.resume();
    assert_eq!(sending.await.unwrap().attempts, 6);
}

#[tokio::test(start_paused = true)]
async fn it_may_be_paused_before_it_begins_and_ends_in_time_all_the_same() {
    let (transport, controls, start) = (Double::accepting(), Controls::default(), Instant::now());
    controls.pause();
    let members = store(at("push.example.net", 10)).await;
    let paused = broadcast().with_controls(&controls).with_send_within(MINUTE);
    let report = publish(Arc::clone(&members), &transport, paused).await;
    assert_eq!((report.state, transport.seen().len()), (BroadcastState::TimedOut, 0), "{report}");
    assert_eq!(start.elapsed().as_secs(), 60);
    assert!(controls.is_paused());
    let sending = spawn(members, &transport, broadcast().with_controls(&controls));
    sleep(MINUTE).await;
    assert_eq!(transport.seen().len(), 0);
    controls.resume();
    one(&sending.await.unwrap(), OutcomeKind::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_rate_holds_at_once() {
    let transport = Double::slow(|_, _| (SECOND / 10, status(201)));
    let (controls, start) = (Controls::default(), Instant::now());
    let members = store(at("push.example.net", 3000)).await;
    let sending = spawn(members, &transport, broadcast().with_rate(n(600)).with_controls(&controls));
    let mut before = 0;
    let mut started = || {
        let now = transport.seen().len();
        let started = now - before;
        before = now;
        started
    };
    sleep(MINUTE).await;
    assert!(started().abs_diff(600) <= 2);
    controls.set_rate(Some(n(60)));
    sleep(MINUTE).await;
    assert!(started().abs_diff(60) <= 2);
    controls.set_rate(Some(n(1200)));
    sleep(MINUTE).await;
    assert!(started().abs_diff(1200) <= 4);
    controls.set_rate(None);
    let report = sending.await.unwrap();
    one(&report, OutcomeKind::Accepted);
    assert!(start.elapsed() < 181 * SECOND + SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_set_later_holds_for_what_was_read_already() {
    let transport = Double::slow(|_, _| (SECOND, status(201)));
    let controls = Controls::default();
    let members = store(at("push.example.net", 4000)).await;
    let sending = spawn(members, &transport, broadcast().with_controls(&controls));
    sleep(SECOND + SECOND / 2).await;
    controls.set_rate(Some(n(60)));
    sleep(2 * SECOND).await;
    let before = transport.seen().len();
    assert!(before < 1000, "{before}");
    sleep(MINUTE).await;
    assert!((transport.seen().len() - before).abs_diff(60) <= 1);
    controls.set_rate(None);
    one(&sending.await.unwrap(), OutcomeKind::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_told_needs_no_count() {
    let (transport, controls) = (Double::accepting(), Controls::default());
    controls.set_rate(None);
    let start = Instant::now();
    let members = store(at("push.example.net", 100)).await;
    let report =
        publish(members, &transport, broadcast().spread_over(10 * MINUTE).with_controls(&controls)).await;
    one(&report, OutcomeKind::Accepted);
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_paused_push_service_neither_holds_the_rate_of_another_nor_breaks_it_afterwards() {
    // Half of them answer 429 at first: the origin pauses for 30 s.
    let transport = Double::new(|seen, nth| {
        if seen.uri.contains("busy") && nth == 1 {
            return support::answer(429, &[("retry-after", "30")], "");
        }
        status(201)
    });
    let endpoints = at("busy.example.net", 600).into_iter().zip(at("idle.example.net", 600));
    let members = store(endpoints.flat_map(|(a, b)| [a, b])).await;
    let start = Instant::now();
    let report = publish(members, &transport, broadcast().with_rate(n(1200))).await;
    one(&report, OutcomeKind::Accepted);
    let idle: Vec<_> = transport.seen_at("idle").iter().map(|seen| seen.at.duration_since(start)).collect();
    assert!(idle[500] < 65 * SECOND, "{:?}", idle[500]);
    let mut first: Vec<f64> = Vec::new();
    let mut known = HashSet::new();
    for seen in transport.seen() {
        if known.insert(seen.uri.clone()) {
            first.push(seen.at.duration_since(start).as_secs_f64());
        }
    }
    assert_rate(&first, 1200, 20.0);
}

/// Whatever is done to it, a broadcast keeps to the fastest rate that it was told.
#[tokio::test(start_paused = true)]
async fn no_pause_and_no_answer_breaks_the_rate() {
    for seed in 0..12 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (fastest, slow) = (rng.u32(30..3000), rng.u64(1..4000));
        let transport = Double::slow(move |seen, nth| {
            let number: u64 = seen.uri.rsplit_once('/').unwrap().1.parse().unwrap();
            let wait = Duration::from_millis(number * 7919 % slow);
            match number % 10 {
                0 if nth == 1 => (wait, support::answer(429, &[("retry-after", "20")], "")),
                1 if nth == 1 => (wait, status(500)),
                _ => (wait, status(201)),
            }
        });
        let endpoints = at("a.example.net", 300).into_iter().chain(at("b.example.net", 300));
        let (controls, members) = (Controls::default(), store(endpoints).await);
        let start = Instant::now();
        let paced = broadcast().with_rate(n(fastest)).with_controls(&controls);
        let sending = spawn(members, &transport, paced);
        while !sending.is_finished() {
            sleep(Duration::from_millis(rng.u64(1..20_000))).await;
            match rng.u8(0..4) {
                0 => controls.pause(),
                1 => controls.set_rate(Some(n(rng.u32(1..=fastest).max(fastest / 4)))),
                _ => controls.resume(),
            }
        }
        let report = sending.await.unwrap();
        assert_eq!(report.counts.total(), 600, "seed {seed}: {report}");
        let mut known = HashSet::new();
        let first = transport.seen().into_iter().filter(|seen| known.insert(seen.uri.clone()));
        let first: Vec<f64> = first.map(|seen| seen.at.duration_since(start).as_secs_f64()).collect();
        assert_rate(&first, fastest, f64::from(fastest) / 60.0);
    }
}

// --- a push service's rate

fn metered(store: impl SubscriptionStore, transport: &Double, per_minute: u32) -> Channels {
    let sender = sender(transport).origin_rate(n(per_minute)).build();
    Channels::builder(store, sender).limits(limits()).build()
}

#[tokio::test(start_paused = true)]
async fn a_push_service_gets_no_more_than_its_rate_repeats_included() {
    let transport =
        Double::new(|seen, nth| status(if nth == 1 && seen.uri.ends_with('7') { 500 } else { 201 }));
    let (members, start) = (store(at("push.example.net", 1000)).await, Instant::now());
    let report = metered(members, &transport, 1000).channel(&news()).publish(broadcast()).await.unwrap();
    one(&report, OutcomeKind::Accepted);
    assert_eq!(report.attempts, 1100);
    let times = starts(&transport, start);
    assert_rate(&times, 1000, 100.0 / 60.0);
    let last = times.last().unwrap();
    assert!((65.0..68.0).contains(last), "1100 at 1000 a minute: {last}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_rate_does_not_slow_another_push_service() {
    for window in [64, 4096] {
        let transport = Double::accepting();
        let members =
            store(at("slow.example.net", 300).into_iter().chain(at("fast.example.net", 2000))).await;
        let sender = sender(&transport).origin_rate(n(600_000)).vendor_rate(Vendor::Fcm, n(60)).build();
        let fcm: Vec<_> = at("fcm.googleapis.com", 300);
        let members = support::members(members, fcm).await;
        let hub = Channels::builder(members, sender).limits(limits().with_window(window)).build();
        let start = Instant::now();
        let report = hub.channel(&news()).publish(broadcast()).await.unwrap();
        one(&report, OutcomeKind::Accepted);
        let at = |part: &str| -> Vec<f64> {
            transport.seen_at(part).iter().map(|seen| seen.at.duration_since(start).as_secs_f64()).collect()
        };
        let (fast, slow) = (at("fast."), at("fcm."));
        assert!(*fast.last().unwrap() < 10.0, "window {window}: {:?}", fast.last());
        assert_rate(&slow, 60, 1.0);
        assert!((298.0..302.0).contains(slow.last().unwrap()), "{:?}", slow.last());
    }
}

#[tokio::test(start_paused = true)]
async fn broadcasts_share_a_push_services_rate_fairly() {
    let transport = Double::accepting();
    let members = store(at("push.example.net", 300)).await;
    let (channel, start) = (metered(members, &transport, 300).channel(&news()), Instant::now());
    let (first, second) = tokio::join!(channel.publish(broadcast()), async {
        sleep(SECOND / 2).await;
        channel.publish(broadcast()).await
    });
    let (first, second) = (first.unwrap(), second.unwrap());
    one(&first, OutcomeKind::Accepted);
    one(&second, OutcomeKind::Accepted);
    assert_rate(&starts(&transport, start), 300, 1.0);
    assert!((first.elapsed.as_secs_f64() - second.elapsed.as_secs_f64()).abs() < 3.0);
    assert!((118..=122).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn hosts_of_one_vendor_share_its_rate_and_nothing_else_does() {
    let transport = Double::accepting();
    let endpoints = at("fcm.googleapis.com", 60).into_iter().chain(at("jmt17.google.com", 60));
    let members = store(endpoints.chain(at("push.example.net", 60))).await;
    let sender = sender(&transport).vendor_rate(Vendor::Fcm, n(60)).build();
    let hub = Channels::builder(members, sender).limits(limits()).build();
    let start = Instant::now();
    let report = hub.channel(&news()).publish(broadcast()).await.unwrap();
    one(&report, OutcomeKind::Accepted);
    let google: Vec<f64> = starts(&transport, start).into_iter().filter(|at| *at > 0.0).collect();
    assert!((118.0..121.0).contains(google.last().unwrap()), "{:?}", google.last());
    assert!(transport.seen_at("example.net").iter().all(|seen| seen.at - start < SECOND));
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_not_sent_use_up_no_rate() {
    // The origin refuses our token: after the stop nothing is sent, and nothing waits.
    let transport = Double::new(|_, _| status(403));
    let (members, start) = (store(at("push.example.net", 600)).await, Instant::now());
    let report = metered(members, &transport, 60).channel(&news()).publish(broadcast()).await.unwrap();
    one(&report, OutcomeKind::AuthRefused);
    assert!(start.elapsed() < MINUTE, "{:?} for {} requests", start.elapsed(), transport.seen().len());
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_not_sent_leave_a_broadcasts_rate_to_others() {
    let transport = Double::slow(|_, _| (SECOND, status(403)));
    let (members, controls) = (store(at("push.example.net", 600)).await, Controls::default());
    let sending = spawn(members, &transport, broadcast().with_controls(&controls));
    sleep(SECOND / 2).await;
    controls.set_rate(Some(n(60)));
    let start = Instant::now();
    one(&sending.await.unwrap(), OutcomeKind::AuthRefused);
    assert!(start.elapsed() < MINUTE, "{:?} for {} requests", start.elapsed(), transport.seen().len());
}

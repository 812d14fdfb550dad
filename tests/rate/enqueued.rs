//! Rates of broadcasts that were enqueued, and of push services that a worker sends to.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::{Instant, sleep};
use webpush_channels::channel::{Broadcast, Channels, Controls, DurableChannel, Publication, Worker};
use webpush_channels::store::journal::{Control, Journal as _};
use webpush_channels::store::{Audience, NewEntry, SubscriptionStore as _};
use webpush_channels::{BroadcastId, OutcomeKind, Vendor};

use super::durable::faulty::Faulty;
use super::durable::{self, one, report, worker};
use super::support::{self, Double, at, broadcast, limits, message, news, sender, status};
use super::{MINUTE, SECOND, assert_rate, n, starts};

async fn enqueue(journal: &Arc<Faulty>, broadcast: Broadcast) -> BroadcastId {
    let publication = Publication::new(Audience::Channel(news()), broadcast);
    DurableChannel::new(Arc::clone(journal)).enqueue(publication).await.unwrap().id
}

#[tokio::test(start_paused = true)]
async fn an_enqueued_broadcast_keeps_its_rate_from_its_beginning() {
    let transport = Double::accepting();
    let journal = durable::journal(at("push.example.net", 1000)).await;
    let id = enqueue(&journal, broadcast().with_rate(n(500))).await;
    let start = Instant::now();
    worker(&journal, &transport, 4096).run_until_idle().await.unwrap();
    one(&report(&journal, &id).await, OutcomeKind::Accepted);
    let times = starts(&transport, start);
    assert!((114.0..135.0).contains(times.last().unwrap()), "{:?}", times.last());
    for minute in [0.0, 20.0, 40.0, 60.0] {
        let within = times.iter().filter(|at| (minute..minute + 60.0).contains(*at)).count();
        assert!((470..=520).contains(&within), "{within} from {minute}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_enqueued_broadcast_is_spread_over_ten_minutes() {
    let transport = Double::accepting();
    let journal = durable::journal(at("push.example.net", 5000)).await;
    let id = enqueue(&journal, broadcast().spread_over(10 * MINUTE)).await;
    let start = Instant::now();
    worker(&journal, &transport, 4096).run_until_idle().await.unwrap();
    one(&report(&journal, &id).await, OutcomeKind::Accepted);
    let last = starts(&transport, start).into_iter().fold(0.0, f64::max);
    assert!((580.0..640.0).contains(&last), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_may_be_enqueued_paused() {
    let (transport, controls) = (Double::accepting(), Controls::default());
    let journal = durable::journal(at("push.example.net", 100)).await;
    controls.pause();
    let id = enqueue(&journal, broadcast().with_controls(&controls)).await;
    controls.resume();
    let working = tokio::spawn({
        let worker = worker(&journal, &transport, 100);
        async move { worker.run_until_idle().await }
    });
    sleep(MINUTE).await;
    assert_eq!(transport.seen().len(), 0, "what the controls say later is not heard");
    journal.control(&id, Control::default()).await.unwrap();
    working.await.unwrap().unwrap();
    one(&report(&journal, &id).await, OutcomeKind::Accepted);
}

#[tokio::test(start_paused = true)]
async fn slow_broadcasts_leave_the_places_of_a_worker_to_others() {
    let transport = Double::accepting();
    let journal = durable::journal(at("push.example.net", 100)).await;
    let start = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..6 {
        slow.push(enqueue(&journal, broadcast().with_rate(n(10))).await);
    }
    let working = tokio::spawn({
        let worker = worker(&journal, &transport, 100);
        async move { worker.run_until_idle().await }
    });
    sleep(10 * SECOND).await;
    let fast = enqueue(&journal, broadcast()).await;
    sleep(5 * SECOND).await;
    assert_eq!(report(&journal, &fast).await.counts[OutcomeKind::Accepted], 100);
    working.await.unwrap().unwrap();
    for id in slow {
        one(&report(&journal, &id).await, OutcomeKind::Accepted);
    }
    let took = start.elapsed().as_secs();
    assert!((600..=640).contains(&took), "100 at 10 a minute, also in small parts: {took}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_below_the_number_of_ranges_is_kept_too() {
    let transport = Double::accepting();
    let journal = durable::journal(at("push.example.net", 2000)).await;
    enqueue(&journal, broadcast().with_rate(n(3))).await;
    let working = tokio::spawn({
        let worker = worker(&journal, &transport, 100);
        async move { worker.run_until_idle().await }
    });
    sleep(20 * MINUTE).await;
    assert!((50..=60).contains(&transport.seen().len()), "{}", transport.seen().len());
    working.abort();
}

#[tokio::test(start_paused = true)]
async fn many_slow_broadcasts_hold_up_no_other() {
    let transport = Double::accepting();
    let journal = durable::journal(at("push.example.net", 5000)).await;
    // In sixteen ranges each: more than a worker has leases.
    let mut slow = Vec::new();
    for _ in 0..6 {
        slow.push(enqueue(&journal, broadcast().with_rate(n(960))).await);
    }
    let start = Instant::now();
    let working = tokio::spawn({
        let worker = worker(&journal, &transport, 100);
        async move { worker.run_until_idle().await }
    });
    sleep(MINUTE).await;
    let fast = enqueue(&journal, broadcast()).await;
    sleep(MINUTE).await;
    assert_eq!(report(&journal, &fast).await.counts[OutcomeKind::Accepted], 5000);
    working.await.unwrap().unwrap();
    for id in slow {
        one(&report(&journal, &id).await, OutcomeKind::Accepted);
    }
    assert!(start.elapsed() < 15 * MINUTE, "they go on meanwhile: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_was_deferred_untried_keeps_to_the_rate_too() {
    // The origin asks to wait for a minute, while the rest is read: that comes back all at once.
    let start = Instant::now();
    let transport = Double::new(move |seen, _| {
        if seen.at < start + 5 * SECOND {
            support::answer(429, &[("retry-after", "60")], "")
        } else {
            status(201)
        }
    });
    let journal = durable::journal(at("push.example.net", 600)).await;
    let id = enqueue(&journal, Broadcast::new(message()).with_rate(n(600))).await;
    worker(&journal, &transport, 4096).run_until_idle().await.unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    assert!((119..180).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let mut known = HashSet::new();
    let first: Vec<_> = transport.seen().into_iter().filter(|seen| known.insert(seen.uri.clone())).collect();
    for second in 0..u32::try_from(start.elapsed().as_secs()).unwrap() {
        let within = (start + second * SECOND)..(start + (second + 1) * SECOND);
        let sent = first.iter().filter(|seen| within.contains(&seen.at)).count();
        assert!(sent <= 30, "{sent} in second {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_keeps_to_a_push_services_rate_and_sends_the_others_meanwhile() {
    let transport = Double::accepting();
    let endpoints = at("fcm.googleapis.com", 600).into_iter().chain(at("push.example.net", 3000));
    let journal = durable::journal(endpoints).await;
    let id = enqueue(&journal, broadcast()).await;
    let sender = sender(&transport).vendor_rate(Vendor::Fcm, n(120)).build();
    let hub = Channels::builder(Arc::clone(&journal.store), sender).limits(limits().with_window(256)).build();
    let start = Instant::now();
    let worker = Worker::builder(hub, Arc::clone(&journal)).build();
    worker.run_until_idle().await.unwrap();
    let report = report(&journal, &id).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, report.repeats), (3600, 0), "{report}");
    let written: usize = journal.checkpoints().iter().map(|(_, checkpoint)| checkpoint.deferred.len()).sum();
    assert!(written > 0 && written < 1200, "each is written down about once: {written}");
    let at = |part: &str| -> Vec<f64> {
        transport.seen_at(part).iter().map(|seen| seen.at.duration_since(start).as_secs_f64()).collect()
    };
    let (fast, slow) = (at("push."), at("fcm."));
    assert!(*fast.last().unwrap() < 30.0, "{:?}", fast.last());
    assert_rate(&slow, 120, 1.0);
    assert!((295.0..360.0).contains(slow.last().unwrap()), "{:?}", slow.last());
}

#[tokio::test(start_paused = true)]
async fn a_push_services_rate_holds_up_no_broadcast_to_others() {
    let transport = Double::accepting();
    let journal = durable::journal(at("fcm.googleapis.com", 2000)).await;
    let sender = sender(&transport).vendor_rate(Vendor::Fcm, n(60)).build();
    let hub = Channels::builder(Arc::clone(&journal.store), sender).limits(limits().with_window(100)).build();
    enqueue(&journal, broadcast()).await;
    let worker = Worker::builder(hub, Arc::clone(&journal)).build();
    let working = tokio::spawn(async move { worker.run_until_idle().await });
    sleep(MINUTE).await;
    let (ann, phone) = (support::user(5000), support::subscription("https://push.example.net/p/1"));
    journal.store.put(&[NewEntry::new(ann.clone(), phone)]).await.unwrap();
    let other = Publication::new(Audience::User(ann), broadcast());
    let other = DurableChannel::new(Arc::clone(&journal)).enqueue(other).await.unwrap().id;
    sleep(MINUTE).await;
    one(&report(&journal, &other).await, OutcomeKind::Accepted);
    assert_eq!(report(&journal, &other).await.read, 1);
    sleep(18 * MINUTE).await;
    let slow = transport.seen_at("fcm.").len();
    assert!((1150..=1202).contains(&slow), "60 a minute, for 20 minutes: {slow}");
    working.abort();
}

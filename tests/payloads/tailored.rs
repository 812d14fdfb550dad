//! A payload for each subscription, and subscriptions that are left out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use serde_json::json;
use webpush_channels::channel::{Broadcast, Channel as _, Channels, DurableChannel, Publication};
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Lane, Plaintext};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::JournalErrorKind;
use webpush_channels::store::{Audience, Entry, MemoryStore, NewEntry, SubscriptionStore as _};
use webpush_channels::testing::{StubTransport, UserAgent};
use webpush_channels::transport::{Processed, TransportError, TransportErrorKind};
use webpush_channels::{
    CollapseKey, LastFailure, Outcome, OutcomeKind, Padding, Payload, SkipReason, SubscriptionKeys,
};

use super::support::{self, Double, Plain, answer, at, hub, limits, news, sender, status, store, user};
use super::{SECOND, counted, durable, encrypting, entry, message, octets, opened, payload, publish};

/// The number in the name of an entry's user.
fn number(entry: &Entry) -> usize {
    entry.user.as_str().rsplit_once('-').unwrap().1.parse().unwrap()
}

fn greeting(n: usize) -> Payload {
    let text = ["hello", "bonjour", "gr\u{fc}ezi"][n % 3];
    Payload::json(&json!({"text": text, "badge": n / 3})).unwrap()
}

/// What each path got.
fn got(seen: &[support::Seen]) -> BTreeMap<usize, Vec<u8>> {
    seen.iter()
        .map(|seen| (seen.uri.rsplit_once('/').unwrap().1.parse().unwrap(), seen.body.to_vec()))
        .collect()
}

// --- payloads

/// Real browsers' keys, each another: nobody gets another's.
#[tokio::test]
async fn each_gets_its_language_and_its_badge() {
    let store = MemoryStore::new();
    let agents: Vec<_> = (0..100).map(UserAgent::seeded).collect();
    for (n, agent) in agents.iter().enumerate() {
        let url = format!("https://push.example.net/p/{n}");
        store.put(&[NewEntry::new(user(n), agent.subscribe(url.parse().unwrap()))]).await.unwrap();
        store.join(&news(), &[user(n)]).await.unwrap();
    }
    let transport = StubTransport::new();
    let sender = Sender::builder(support::vapid(1), transport.clone()).build();
    let hub = Channels::builder(store, sender).limits(limits().with_encryption_threads(2)).build();
    let broadcast =
        Broadcast::new(message(payload("for nobody"))).with_payloads(|entry| Some(greeting(number(entry))));
    counted(&publish(&hub, broadcast).await, &[(OutcomeKind::Accepted, 100)]);
    let requests = transport.requests();
    assert_eq!(requests.len(), 100);
    for request in requests {
        let request = request.get();
        let n: usize = request.uri().path().rsplit_once('/').unwrap().1.parse().unwrap();
        let opened = agents[n].receive(request.headers(), request.body()).unwrap();
        assert_eq!(opened.unwrap(), greeting(n).as_bytes(), "{n}");
        assert_eq!(request.body().len(), 256, "padded by the message's rule");
    }
}

/// Remembers how many lanes it was given at once.
#[derive(Debug, Default)]
struct Counting(Arc<Mutex<Calls>>);

/// What was encrypted, and for how many.
type Calls = Vec<(Vec<u8>, usize)>;

impl Encryptor for Counting {
    fn max_plaintext_len(&self) -> usize {
        3993
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        Plain.encrypt(to, plaintext, out)
    }

    fn encrypt_batch(&self, plaintext: &Plaintext, lanes: &mut [Lane<'_>]) {
        self.0.lock().unwrap().push((plaintext.as_bytes().to_vec(), lanes.len()));
        for lane in lanes {
            lane.result = Some(self.encrypt(lane.to, plaintext, &mut lane.out));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn equal_payloads_are_encrypted_together() {
    let calls: Arc<Mutex<Calls>> = Arc::default();
    let transport = Double::accepting();
    let sender = sender(&transport).encryptor(Counting(Arc::clone(&calls))).build();
    let hub = Channels::builder(store(at("push.example.net", 64)).await, sender).limits(limits()).build();
    // Equal octets, made anew each time.
    let broadcast = Broadcast::new(message(payload("-")))
        .with_payloads(|entry| Some(payload(vec![b'a' + u8::try_from(number(entry) % 2).unwrap()])));
    counted(&publish(&hub, broadcast).await, &[(OutcomeKind::Accepted, 64)]);
    let mut calls = calls.lock().unwrap().clone();
    calls.sort();
    assert_eq!(calls, [(b"a".to_vec(), 32), (b"b".to_vec(), 32)]);
    assert!(got(&transport.seen()).iter().all(|(n, body)| body[0] == [b'a', b'b'][n % 2]));
}

#[tokio::test(start_paused = true)]
async fn without_a_payload_nothing_is_sent_and_an_empty_one_has_no_body() {
    let transport = Double::accepting();
    let hub = hub(store(at("push.example.net", 30)).await, &transport);
    let broadcast = Broadcast::new(message(payload("-"))).with_payloads(|entry| match number(entry) % 3 {
        0 => None,
        1 => Some(Payload::empty()),
        _ => Some(payload("two")),
    });
    let deliveries: Vec<_> = hub.channel(&news()).deliveries(broadcast.clone()).collect().await;
    for delivery in deliveries {
        let delivery = delivery.unwrap();
        let filtered = delivery.outcome == Outcome::Skipped(SkipReason::Filtered);
        assert_eq!(
            (filtered, delivery.attempts),
            if number(&delivery.entry).is_multiple_of(3) { (true, 0) } else { (false, 1) }
        );
    }
    let report = publish(&hub, broadcast).await;
    counted(&report, &[(OutcomeKind::Accepted, 20), (OutcomeKind::Skipped, 10)]);
    assert_eq!(report.attempts, 20);
    for (n, body) in got(&transport.seen()) {
        assert_eq!(body, [&b""[..], b"", b"two"][n % 3], "{n}");
    }
}

/// Nothing is kept while an entry waits: the function is asked again.
#[tokio::test(start_paused = true)]
async fn each_attempt_asks_for_its_payload() {
    let asked = Arc::new(AtomicUsize::new(0));
    let transport =
        Double::new(|_, nth| if nth == 1 { answer(503, &[("retry-after", "60")], "") } else { status(201) });
    let hub = hub(store(at("push.example.net", 2)).await, &transport);
    let counter = Arc::clone(&asked);
    let broadcast = Broadcast::new(message(payload("-")))
        .with_payloads(move |_| Some(payload(counter.fetch_add(1, Ordering::Relaxed).to_string())));
    counted(&publish(&hub, broadcast).await, &[(OutcomeKind::Accepted, 2)]);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    let mut bodies: Vec<_> = transport.seen().into_iter().map(|seen| seen.body).collect();
    bodies.sort();
    assert_eq!(bodies, ["0", "1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_too_large_for_one_falls_back_for_that_one() {
    let transport = Double::new(|seen, _| status(if seen.body.len() > 2847 { 413 } else { 201 }));
    let store = store(at("push.example.net", 4)).await;
    let hub = encrypting(&store, &transport);
    let tailored =
        |message| Broadcast::new(message).with_payloads(|entry| Some(octets([100, 3000][number(entry) % 2])));
    let alone = message(octets(3993));
    let report = publish(&hub, tailored(alone.clone())).await;
    counted(&report, &[(OutcomeKind::Accepted, 2), (OutcomeKind::TooLarge, 2)]);
    assert_eq!(entry(&store, 1).await.payload_limit, Some(3327));
    assert_eq!(entry(&store, 0).await.payload_limit, None);
    let report = publish(&hub, tailored(alone.with_fallback(octets(7)))).await;
    counted(&report, &[(OutcomeKind::Accepted, 4)]);
    assert_eq!(report.attempts, 4);
    for seen in &transport.seen()[4..] {
        let odd = seen.uri.ends_with('1') || seen.uri.ends_with('3');
        assert_eq!(opened(seen).unwrap().len(), if odd { 7 } else { 100 });
    }
    let fixed = tailored(message(octets(0)).with_padding(Padding::Fixed(500)));
    counted(&publish(&hub, fixed).await, &[(OutcomeKind::Accepted, 2), (OutcomeKind::TooLarge, 2)]);
}

// --- left out

#[tokio::test(start_paused = true)]
async fn the_device_that_wrote_is_left_out() {
    let transport = Double::accepting();
    let store = store(at("push.example.net", 10)).await;
    let hub = hub(Arc::clone(&store), &transport);
    let mut broadcast = support::broadcast();
    for n in [3, 5] {
        broadcast = broadcast.except(entry(&store, n).await.subscription.id());
    }
    let report = publish(&hub, broadcast).await;
    counted(&report, &[(OutcomeKind::Accepted, 8), (OutcomeKind::Skipped, 2)]);
    assert_eq!(report.attempts, 8);
    let got: Vec<_> = got(&transport.seen()).into_keys().collect();
    assert_eq!(got, [0, 1, 2, 4, 6, 7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_is_asked_once_for_each_entry() {
    let asked = Arc::new(AtomicUsize::new(0));
    let transport = Double::new(|_, nth| status(if nth == 1 { 503 } else { 201 }));
    // Of pages and a window that are smaller than the channel.
    let store = store(at("push.example.net", 500)).await;
    let hub = Channels::builder(store, sender(&transport).build()).limits(limits().with_window(20)).build();
    let counter = Arc::clone(&asked);
    let broadcast = support::broadcast().with_filter(move |entry| {
        counter.fetch_add(1, Ordering::Relaxed);
        number(entry).is_multiple_of(5)
    });
    let report = publish(&hub, broadcast).await;
    counted(&report, &[(OutcomeKind::Accepted, 100), (OutcomeKind::Skipped, 400)]);
    assert_eq!(asked.load(Ordering::Relaxed), 500);
    assert!(got(&transport.seen()).into_keys().all(|n| n % 5 == 0));
    let reasons = |outcome: &Outcome| *outcome == Outcome::Skipped(SkipReason::Filtered);
    let none = support::broadcast().with_filter(|_| false);
    let outcomes: Vec<_> =
        hub.channel(&news()).deliveries(none).map(|it| it.unwrap().outcome).collect().await;
    assert!(outcomes.len() == 500 && outcomes.iter().all(reasons));
}

// --- functions that panic

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_costs_one_entry() {
    let transport = Double::accepting();
    let hub = hub(store(at("push.example.net", 100)).await, &transport);
    let payloads = Broadcast::new(message(payload("-"))).with_payloads(|entry| {
        assert!(number(entry) % 10 != 3, "a test's panic");
        Some(payload("fine"))
    });
    let filter = support::broadcast().with_filter(|entry| {
        assert!(number(entry) % 10 != 3, "a test's panic");
        true
    });
    for broadcast in [payloads, filter] {
        let failed: Vec<_> = hub
            .channel(&news())
            .deliveries(broadcast)
            .map(Result::unwrap)
            .filter(|delivery| std::future::ready(!delivery.outcome.is_accepted()))
            .collect()
            .await;
        assert_eq!(failed.len(), 10);
        for delivery in failed {
            assert_eq!((number(&delivery.entry) % 10, delivery.attempts), (3, 0));
            assert_eq!(delivery.outcome, Outcome::GaveUp { last: LastFailure::Engine });
        }
    }
    assert_eq!(transport.seen().len(), 180);
}

/// On threads, beside another broadcast, and afterwards.
#[tokio::test]
async fn a_function_that_panics_takes_no_thread_and_no_other_broadcast_down() {
    let transport = Double::slow(|_, _| (SECOND / 100, status(201)));
    let store = store(at("push.example.net", 300)).await;
    let limits = limits().with_encryption_threads(2).with_in_flight(40);
    let hub = Channels::builder(store, sender(&transport).build()).limits(limits).build();
    let bad = Broadcast::new(message(payload("-"))).with_payloads(|_| panic!("a test's panic"));
    let (good, bad) = tokio::join!(publish(&hub, support::broadcast()), publish(&hub, bad));
    counted(&good, &[(OutcomeKind::Accepted, 300)]);
    counted(&bad, &[(OutcomeKind::GaveUp, 300)]);
    counted(&publish(&hub, support::broadcast()).await, &[(OutcomeKind::Accepted, 300)]);
}

// --- stored broadcasts

#[tokio::test(start_paused = true)]
async fn functions_cannot_be_stored() {
    let journal = durable::journal(at("push.example.net", 1)).await;
    let id = entry(&journal.store, 0).await.subscription.id();
    for broadcast in [
        support::broadcast().with_payloads(|_| None),
        support::broadcast().with_filter(|_| true),
        support::broadcast().except(id),
    ] {
        let publication = Publication::new(Audience::Channel(news()), broadcast);
        let error = DurableChannel::new(Arc::clone(&journal)).enqueue(publication).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (JournalErrorKind::Invalid, false));
        let mut causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        assert!(causes.any(|cause| cause.to_string().contains("publish it from here")), "{error:?}");
    }
    let transport = Double::accepting();
    durable::worker(&journal, &transport, 8).run_until_idle().await.unwrap();
    assert!(transport.seen().is_empty());
}

/// Nothing says that the first did not arrive.
#[tokio::test(start_paused = true)]
async fn who_may_have_got_a_payload_is_not_skipped_when_there_is_none_for_the_repeat() {
    let transport = Double::new(|_, _| {
        Err(TransportError::new(TransportErrorKind::Timeout).with_processed(Processed::Unknown))
    });
    let asked = AtomicUsize::new(0);
    let once = move |_: &Entry| (asked.fetch_add(1, Ordering::SeqCst) == 0).then(|| octets(9));
    let collapsing = message(octets(9)).with_collapse_key(CollapseKey::new("inbox").unwrap());
    let hub = hub(store(at("push.example.net", 1)).await, &transport);
    let report = publish(&hub, Broadcast::new(collapsing).with_payloads(once)).await;
    counted(&report, &[(OutcomeKind::Unconfirmed, 1)]);
    assert_eq!(report.attempts, 1);
}

//! Keys behind a signer that is slow, fails or never answers, on doubles and with paused time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
mod support;

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use durable::faulty::Faulty;
use durable::one;
use futures_util::future::join_all;
use support::{Double, Plain, at, broadcast, left, limits, message, news, status, subscription};
use tokio::time::{Instant, sleep, timeout};
use webpush_channels::channel::{
    Broadcast, Channel as _, Channels, Controls, DurableChannel, Publication, Worker,
};
use webpush_channels::engine::vapid::{Keyring, SignError, SignErrorKind, Signer, TopicKey, Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::Journal as _;
use webpush_channels::store::{Audience, Change, MemoryStore, NewEntry, SubscriptionStore as _};
use webpush_channels::transport::{Processed, TransportError, TransportErrorKind};
use webpush_channels::{Clock, CollapseKey, LastFailure, Outcome, OutcomeKind, PublicKey, Report};

const SECOND: Duration = Duration::from_secs(1);
const SLOT: u64 = 6 * 3600;
const START: u64 = 80_000 * SLOT;

/// What a signer does when it is asked for the n-th time, counted from 1, about an origin.
type Script = dyn Fn(&str, usize) -> (Duration, Answer) + Send + Sync;

enum Answer {
    Fails(SignErrorKind),
    Never,
    Panics,
    Signs,
    WrongSignature,
}

#[derive(Clone)]
struct Remote {
    key: VapidKey,
    public: PublicKey,
    script: Arc<Script>,
    /// The origins that it was asked about, and when.
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Remote {
    fn new(script: impl Fn(&str, usize) -> (Duration, Answer) + Send + Sync + 'static) -> Self {
        let key = VapidKey::from_scalar(&[1; 32]).unwrap();
        let public = PublicKey::from_bytes(key.public_key()).unwrap();
        Self { key, public, script: Arc::new(script), asked: Arc::default() }
    }

    fn asked(&self) -> Vec<(String, Instant)> {
        self.asked.lock().unwrap().clone()
    }

    fn vapid(&self) -> Vapid {
        let vapid = Vapid::with_signer(self.clone(), "mailto:ops@example.org".parse().unwrap());
        // Not the real clock: near the end of a token's term the next one is signed as well.
        vapid.with_clock(Arc::new(Wall(Arc::new(AtomicU64::new(EARLY)))))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

#[async_trait]
impl Signer for Remote {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn topic_key(&self) -> TopicKey {
        TopicKey::from_bytes([7; 32])
    }

    async fn sign(&self, unsigned: &[u8]) -> Result<[u8; 64], SignError> {
        let origin = audience(unsigned);
        let nth = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((origin.clone(), Instant::now()));
            asked.iter().filter(|(other, _)| *other == origin).count()
        };
        let (delay, answer) = (self.script)(&origin, nth);
        sleep(delay).await;
        match answer {
            Answer::Fails(kind) => Err(SignError::new(kind).with_source("on purpose")),
            Answer::Never => pending().await,
            Answer::Panics => panic!("on purpose"),
            Answer::Signs => self.key.sign(unsigned).await,
            Answer::WrongSignature => self.key.sign(b"something else").await,
        }
    }
}

/// The `aud` of an unsigned token.
fn audience(unsigned: &[u8]) -> String {
    let claims = std::str::from_utf8(unsigned).unwrap().split('.').nth(1).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&decode(claims)).unwrap();
    claims["aud"].as_str().unwrap().to_owned()
}

fn decode(base64url: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let sextet = |octet| u32::try_from(ALPHABET.iter().position(|known| *known == octet).unwrap()).unwrap();
    let (mut octets, mut held, mut bits) = (Vec::new(), 0, 0);
    for octet in base64url.bytes() {
        held = (held << 6 | sextet(octet)) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            octets.push(u8::try_from(held >> bits & 0xFF).unwrap());
        }
    }
    octets
}

fn sender(keyring: impl Into<Keyring>, transport: &Double) -> Sender {
    Sender::builder(keyring, transport.clone()).encryptor(Plain).seed(7).build()
}

fn hub(store: &Arc<MemoryStore>, sender: &Sender, window: usize) -> Channels {
    Channels::builder(Arc::clone(store), sender.clone()).limits(limits().with_window(window)).build()
}

async fn publish(hub: &Channels, broadcast: Broadcast) -> Report {
    hub.channel(&news()).publish(broadcast).await.unwrap()
}

/// The same in durable mode.
async fn work(store: &Arc<MemoryStore>, sender: &Sender, window: usize) -> Report {
    let publication = Publication::new(Audience::Channel(news()), broadcast());
    let id = DurableChannel::new(Arc::clone(store)).enqueue(publication).await.unwrap().id;
    let journal = Faulty::new(Arc::clone(store));
    let worker = Worker::builder(hub(store, sender, window), journal).build();
    worker.run_until_idle().await.unwrap();
    store.report(&id).await.unwrap().unwrap()
}

/// The broadcast of [`broadcast`], in one mode or the other.
async fn send(durable: bool, store: &Arc<MemoryStore>, sender: &Sender, window: usize) -> Report {
    if durable {
        work(store, sender, window).await
    } else {
        publish(&hub(store, sender, window), broadcast()).await
    }
}

#[tokio::test(start_paused = true)]
async fn the_signer_is_asked_once_for_all_that_wait() {
    for durable in [false, true] {
        let remote = Remote::new(|_, _| (SECOND, Answer::Signs));
        let transport = Double::accepting();
        let store = support::store(at("push.example.net", 2000)).await;
        let sender = sender(remote.vapid(), &transport);
        let report = send(durable, &store, &sender, 4096).await;
        one(&report, OutcomeKind::Accepted);
        assert_eq!((report.read, report.attempts), (2000, 2000), "{report}");
        assert_eq!(remote.asked().len(), 1, "durable: {durable}");
    }
}

#[tokio::test(start_paused = true)]
async fn single_messages_share_the_question_too() {
    let remote = Remote::new(|_, _| (SECOND, Answer::Signs));
    let transport = Double::accepting();
    let sender = sender(remote.vapid(), &transport);
    let to = subscription("https://push.example.net/p/1");
    let sent = join_all((0..50).map(|_| async { sender.send(&to, &message()).await })).await;
    assert!(sent.iter().all(|sent| sent.outcome.is_accepted() && sent.attempts == 1));
    assert_eq!((remote.asked().len(), transport.seen().len()), (1, 50));
}

/// The others' window is not held, nor their places, for longer than the moment after which an
/// entry is found to wait.
#[tokio::test(start_paused = true)]
async fn a_slow_signer_for_one_origin_slows_no_other() {
    for durable in [false, true] {
        let remote = Remote::new(|origin, _| {
            (if origin.contains("slow") { 20 * SECOND } else { Duration::ZERO }, Answer::Signs)
        });
        let transport = Double::accepting();
        let urls: Vec<_> =
            at("slow.example.net", 3000).into_iter().zip(at("fast.example.net", 3000)).collect();
        let store = support::store(urls.into_iter().flat_map(|(slow, fast)| [slow, fast])).await;
        let sender = sender(remote.vapid(), &transport);
        let start = Instant::now();
        let report = send(durable, &store, &sender, 1000).await;
        one(&report, OutcomeKind::Accepted);
        assert_eq!(report.attempts, 6000, "{report}");
        assert_eq!(remote.asked().len(), 2, "{:?}", remote.asked());
        let fast = transport.seen_at("fast").iter().map(|seen| seen.at).max().unwrap();
        let slow = transport.seen_at("slow").iter().map(|seen| seen.at).min().unwrap();
        assert!(fast - start < 5 * SECOND, "durable: {durable}, {:?}", fast - start);
        assert!(slow - start >= 20 * SECOND, "durable: {durable}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_signed_is_given_up_and_nobody_is_removed() {
    for (answer, longest) in [
        ((|| Answer::Fails(SignErrorKind::Unavailable)) as fn() -> Answer, 600),
        (|| Answer::Fails(SignErrorKind::Refused), 600),
        (|| Answer::Panics, 600),
        (|| Answer::WrongSignature, 600),
        (|| Answer::Never, 900),
    ] {
        for durable in [false, true] {
            let remote = Remote::new(move |_, _| (Duration::ZERO, answer()));
            let transport = Double::accepting();
            let store = support::store(at("push.example.net", 300)).await;
            let (sender, start) = (sender(remote.vapid(), &transport), Instant::now());
            let report = send(durable, &store, &sender, 4096).await;
            assert_eq!((report.counts[OutcomeKind::GaveUp], report.attempts), (300, 0), "{report}");
            assert_eq!((report.pruned, left(&*store).await), (0, 300));
            assert!(transport.seen().is_empty());
            assert!((2..=20).contains(&remote.asked().len()), "{} questions", remote.asked().len());
            assert!(start.elapsed() < Duration::from_secs(longest), "{:?}", start.elapsed());
            let sent = sender.send(&subscription("https://push.example.net/p/1"), &message()).await;
            assert_eq!((sent.outcome, sent.attempts), (Outcome::GaveUp { last: LastFailure::Engine }, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_recovers_costs_no_message() {
    for durable in [false, true] {
        let remote = Remote::new(|_, nth| match nth {
            1 => (Duration::ZERO, Answer::Fails(SignErrorKind::Unavailable)),
            2 => (Duration::ZERO, Answer::Never),
            _ => (SECOND, Answer::Signs),
        });
        let transport = Double::accepting();
        let store = support::store(at("push.example.net", 1000)).await;
        let sender = sender(remote.vapid(), &transport);
        let report = send(durable, &store, &sender, 4096).await;
        one(&report, OutcomeKind::Accepted);
        assert_eq!((report.attempts, remote.asked().len()), (1000, 3), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_at_the_same_origin_does_not_wait() {
    let remote = Remote::new(|_, _| (Duration::ZERO, Answer::Never));
    let transport = Double::accepting();
    let here = support::vapid(2);
    let store = support::store(at("push.example.net", 10)).await;
    for n in 0..10 {
        let entry = store.subscriptions(&support::user(n)).await.unwrap().remove(0);
        let key = if n % 2 == 0 { remote.vapid().key_id() } else { here.key_id() };
        store.apply(&[(entry.reference(), Change::UseKey(key))]).await.unwrap();
    }
    let sender = sender(Keyring::new(remote.vapid()).with_older(here), &transport);
    let start = Instant::now();
    let report = publish(&hub(&store, &sender, 4096), broadcast()).await;
    assert_eq!(report.counts[OutcomeKind::Accepted], 5, "{report}");
    assert_eq!(report.counts[OutcomeKind::GaveUp], 5, "{report}");
    assert!(transport.seen().iter().all(|seen| seen.at - start < SECOND));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_key_that_is_exchanged_goes_on_with_the_new_one() {
    let remote = Remote::new(|_, _| (Duration::ZERO, Answer::Never));
    let transport = Double::accepting();
    let store = support::store(at("push.example.net", 100)).await;
    let sender = sender(remote.vapid(), &transport);
    let (hub, start) = (hub(&store, &sender, 4096), Instant::now());
    let exchange = async {
        sleep(SECOND).await;
        sender.set_keyring(support::vapid(2));
    };
    let (report, ()) = tokio::join!(publish(&hub, broadcast()), exchange);
    one(&report, OutcomeKind::Accepted);
    let last = transport.seen().iter().map(|seen| seen.at).max().unwrap();
    assert!(last - start < 5 * SECOND, "{:?}", last - start);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_takes_the_answer_from_nobody() {
    let remote = Remote::new(|_, _| (2 * SECOND, Answer::Signs));
    let transport = Double::accepting();
    let sender = sender(remote.vapid(), &transport);
    let to = subscription("https://push.example.net/p/1");
    let message = message();
    let impatient = timeout(SECOND, sender.send(&to, &message));
    let patient = async {
        sleep(SECOND / 2).await;
        sender.send(&to, &message).await
    };
    let (impatient, patient) = tokio::join!(impatient, patient);
    assert!(impatient.is_err() && patient.outcome.is_accepted());
    assert_eq!(remote.asked().len(), 1);
    // Also when all go away: whoever comes next finds the answer.
    let other = subscription("https://push.example.org/p/1");
    assert!(timeout(SECOND, sender.send(&other, &message)).await.is_err());
    assert!(sender.send(&other, &message).await.outcome.is_accepted());
    assert_eq!(remote.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_a_signer() {
    for durable in [false, true] {
        let remote = Remote::new(|_, _| (Duration::ZERO, Answer::Never));
        let store = support::store(at("push.example.net", 100)).await;
        let sender = sender(remote.vapid(), &Double::accepting());
        let start = Instant::now();
        let limited = broadcast().with_send_within(10 * SECOND);
        let report = if durable {
            let publication = Publication::new(Audience::Channel(news()), limited);
            let id = DurableChannel::new(Arc::clone(&store)).enqueue(publication).await.unwrap().id;
            let worker = Worker::builder(hub(&store, &sender, 4096), Arc::clone(&store)).build();
            worker.run_until_idle().await.unwrap();
            store.report(&id).await.unwrap().unwrap()
        } else {
            publish(&hub(&store, &sender, 4096), limited).await
        };
        one(&report, OutcomeKind::Expired);
        // What was written down is found to be late when it comes back.
        assert!(start.elapsed() < 25 * SECOND, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_signed_anew_once() {
    let remote = Remote::new(|_, _| (SECOND, Answer::Signs));
    let refused: Arc<Mutex<Option<String>>> = Arc::default();
    let transport = {
        let refused = Arc::clone(&refused);
        Double::new(move |seen, _| {
            let mut first = refused.lock().unwrap();
            let first = first.get_or_insert_with(|| seen.authorization.clone());
            status(if *first == seen.authorization { 401 } else { 201 })
        })
    };
    let store = support::store(at("push.example.net", 50)).await;
    let sender = sender(remote.vapid(), &transport);
    let report = publish(&hub(&store, &sender, 4096), broadcast()).await;
    one(&report, OutcomeKind::Accepted);
    assert_eq!((report.attempts, remote.asked().len()), (100, 2), "{report}");
}

/// An hour into a term of tokens.
const EARLY: u64 = 1_800_057_600 + 3600;

/// The wall clock, set by the test.
#[derive(Clone, Debug)]
struct Wall(Arc<AtomicU64>);

impl Clock for Wall {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_token_is_signed_while_the_present_one_is_used() {
    for single in [false, true] {
        let remote = Remote::new(|_, _| (SECOND, Answer::Signs));
        let transport = Double::slow(|_, _| (2 * SECOND, status(201)));
        let wall = Wall(Arc::new(AtomicU64::new(START)));
        let vapid = remote.vapid().with_clock(Arc::new(wall.clone()));
        let store = support::store(at("push.example.net", 100)).await;
        let sender = sender(vapid, &transport);
        let to = subscription("https://push.example.net/p/0");
        let send = async || {
            let start = Instant::now();
            if single {
                assert!(sender.send(&to, &message()).await.outcome.is_accepted());
            } else {
                one(&publish(&hub(&store, &sender, 4096), broadcast()).await, OutcomeKind::Accepted);
            }
            start.elapsed()
        };
        assert!(send().await >= 3 * SECOND, "the first one waits for its token");
        wall.0.store(START + SLOT - 300, Ordering::SeqCst);
        assert!(send().await < 3 * SECOND, "the old one is still used");
        assert_eq!(remote.asked().len(), 2, "and the next one was signed meanwhile");
        wall.0.store(START + SLOT + 60, Ordering::SeqCst);
        assert!(send().await < 3 * SECOND);
        assert_eq!(remote.asked().len(), 2);
        let tokens: std::collections::BTreeSet<_> =
            transport.seen().into_iter().map(|seen| seen.authorization).collect();
        assert_eq!(tokens.len(), 2);
    }
}

/// Signers, keyrings, rates, pauses and the deadline as they come: each entry has one outcome.
#[tokio::test(start_paused = true)]
async fn whatever_happens_while_they_wait_each_entry_has_one_outcome() {
    for (seed, durable) in (0..30).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let remote = |n: u64| {
            Remote::new(move |origin, nth| {
                let mut rng = fastrand::Rng::with_seed(n + (origin.len() * 31 + nth) as u64);
                let answer =
                    if rng.u8(0..3) == 0 { Answer::Fails(SignErrorKind::Unavailable) } else { Answer::Signs };
                (Duration::from_millis(rng.u64(0..5000)), answer)
            })
        };
        let (first, second) = (remote(seed).vapid(), support::vapid(2));
        let keyrings = [
            Keyring::new(first.clone()),
            Keyring::new(second.clone()).with_older(first.clone()),
            Keyring::new(first.clone()).with_older(second.clone()),
            Keyring::new(second.clone()).with_retired(first.key_id()).unwrap(),
        ];
        let hosts = ["a.example.net", "bb.example.net", "ccc.example.net"];
        let store = support::store(hosts.iter().flat_map(|host| at(host, 60))).await;
        let transport = Double::slow(|seen, nth| {
            let (slow, failing) = (seen.uri.contains("/ccc."), nth == 1 && seen.uri.ends_with('7'));
            (SECOND * if slow { 3 } else { 0 }, status(if failing { 503 } else { 201 }))
        });
        let (sender, controls) = (sender(keyrings[0].clone(), &transport), Controls::default());
        let timely = broadcast().with_send_within(40 * SECOND).with_controls(&controls);
        let steered = async {
            for _ in 0..30 {
                sleep(Duration::from_millis(rng.u64(0..3000))).await;
                match rng.u8(0..6) {
                    0 => controls.pause(),
                    1 => controls.set_rate(std::num::NonZeroU32::new(rng.u32(0..2000))),
                    2 | 3 => controls.resume(),
                    _ => sender.set_keyring(rng.choice(&keyrings).unwrap().clone()),
                }
            }
        };
        let report = async {
            if durable {
                work(&store, &sender, 16).await
            } else {
                publish(&hub(&store, &sender, 16), timely).await
            }
        };
        let (report, ()) = tokio::join!(report, steered);
        let counts = (report.counts.total(), report.pending);
        assert_eq!(counts, (report.read, 0), "seed {seed}, durable {durable}: {report}");
        let accepted = report.counts[OutcomeKind::Accepted];
        assert!(transport.seen().len() as u64 >= accepted, "seed {seed}, durable {durable}: {report}");
        assert!(!durable || report.read == 180, "seed {seed}: {report}");
        // Tasks that are ended at the deadline need a moment.
        sleep(SECOND).await;
        assert_eq!(transport.in_flight(), 0, "seed {seed}, durable {durable}");
    }
}

// --- keys at hand

/// FCM's answer to the wrong key.
const MISMATCH: &str = "the key in the authorization header does not correspond to the credentials";

/// Its answers are late: the entry was written down, and is another lease's then.
#[tokio::test(start_paused = true)]
async fn a_slow_push_service_is_asked_with_each_key_and_not_for_ever() {
    let [first, second, third, other] = [1, 2, 3, 4].map(support::vapid);
    for (right, kind, most) in [(&third, OutcomeKind::Accepted, 3), (&other, OutcomeKind::KeyMismatch, 6)] {
        let right = right.application_server_key().to_owned();
        let transport = Double::slow(move |seen, _| {
            let fits = seen.authorization.ends_with(&right);
            (3 * SECOND, if fits { status(201) } else { support::answer(403, &[], MISMATCH) })
        });
        let store = support::store(at("fcm.googleapis.com", 5)).await;
        let keyring = Keyring::new(first.clone()).with_older(second.clone()).with_older(third.clone());
        let report = work(&store, &sender(keyring, &transport), 4096).await;
        one(&report, kind);
        assert!(report.attempts <= 5 * most, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_have_got_a_message_is_not_skipped_when_its_key_is_retired() {
    let transport = Double::slow(|_, _| {
        let silence = TransportError::new(TransportErrorKind::Timeout).with_processed(Processed::Unknown);
        (SECOND, Err(silence))
    });
    let (old, new) = (support::vapid(1), support::vapid(2));
    let store = MemoryStore::new();
    let entry = NewEntry::new(support::user(1), subscription("https://push.example.net/p/1"));
    store.put(&[entry.with_key(old.key_id())]).await.unwrap();
    let entry = store.subscriptions(&support::user(1)).await.unwrap().remove(0);
    let keyring = Keyring::new(new).with_older(old.clone());
    let sender = sender(keyring.clone(), &transport);
    let message = message().with_collapse_key(CollapseKey::new("inbox").unwrap());
    let (sent, ()) = tokio::join!(sender.send_to(&entry, &message), async {
        sleep(SECOND / 2).await;
        sender.set_keyring(keyring.with_retired(old.key_id()).unwrap());
    });
    assert_eq!((sent.outcome, sent.attempts), (Outcome::Unconfirmed, 1));
    assert_eq!(sent.changes, [Change::NeedsRenewal]);
}

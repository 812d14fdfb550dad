//! A hub over doubles, with paused time: what the broadcast tests stand on.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]
#![allow(clippy::unnecessary_wraps, reason = "an answer is a result")]

pub mod flawed;

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use webpush_channels::channel::{Broadcast, Channels, Limits};
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::{Sender, SenderBuilder};
use webpush_channels::store::{MemoryStore, NewEntry, SubscriptionStore};
use webpush_channels::testing::UserAgent;
use webpush_channels::transport::{Transport, TransportError};
use webpush_channels::{
    ChannelName, Message, OutcomeKind, Payload, Report, Subscription, SubscriptionKeys, Ttl, UserId,
};

pub type Answer = Result<Response<Bytes>, TransportError>;

/// One request, as a [`Double`] saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub uri: String,
    pub at: tokio::time::Instant,
    pub ttl: String,
    pub authorization: String,
    pub topic: Option<String>,
    pub body: Bytes,
}

type Script = dyn Fn(&Seen, usize) -> (Duration, Answer) + Send + Sync;

/// A transport that answers by a function of the request and of how often its URI was asked.
#[derive(Clone)]
pub struct Double {
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<Seen>>>,
    times: Arc<Mutex<HashMap<String, usize>>>,
    in_flight: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Double {
    /// Answers after a delay.
    pub fn slow(script: impl Fn(&Seen, usize) -> (Duration, Answer) + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            seen: Arc::default(),
            times: Arc::default(),
            in_flight: Arc::default(),
            most: Arc::default(),
        }
    }

    /// Answers at once.
    pub fn new(script: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::slow(move |seen, nth| (Duration::ZERO, script(seen, nth)))
    }

    /// Accepts everything.
    pub fn accepting() -> Self {
        Self::new(|_, _| status(201))
    }

    /// Answers with the status that an endpoint of [`each_status`] ends with.
    pub fn by_status() -> Self {
        Self::new(|seen, _| status(seen.uri.rsplit_once('/').unwrap().1.parse().unwrap()))
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests to endpoints that hold this text.
    pub fn seen_at(&self, part: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.uri.contains(part)).collect()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub fn most_in_flight(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Double")
    }
}

/// Counts a request out even when its future is dropped.
struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Transport for Double {
    async fn send(&self, request: Request<Bytes>) -> Answer {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let seen = Seen {
            uri: request.uri().to_string(),
            at: tokio::time::Instant::now(),
            ttl: header("ttl").unwrap(),
            authorization: header("authorization").unwrap(),
            topic: header("topic"),
            body: request.body().clone(),
        };
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let _in_flight = InFlight(Arc::clone(&self.in_flight));
        let nth = {
            let mut times = self.times.lock().unwrap();
            let times = times.entry(seen.uri.clone()).or_default();
            *times += 1;
            *times
        };
        let (delay, answer) = (self.script)(&seen, nth);
        self.seen.lock().unwrap().push(seen);
        tokio::time::sleep(delay).await;
        answer
    }
}

pub fn status(status: u16) -> Answer {
    answer(status, &[], "")
}

pub fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    Ok(response)
}

/// Encrypts nothing: fast, and its bodies can be read.
#[derive(Debug)]
pub struct Plain;

impl Encryptor for Plain {
    fn max_plaintext_len(&self) -> usize {
        3993
    }

    fn encrypt(
        &self,
        _: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        out.clear();
        out.extend_from_slice(plaintext.as_bytes());
        Ok(Encoded::Aes128Gcm)
    }
}

pub fn vapid(n: u8) -> Vapid {
    let mut scalar = [n; 32];
    scalar[0] = 1;
    Vapid::new(VapidKey::from_scalar(&scalar).unwrap(), "mailto:ops@example.org".parse().unwrap())
}

pub fn sender(transport: &Double) -> SenderBuilder {
    Sender::builder(vapid(1), transport.clone()).encryptor(Plain).seed(7)
}

/// A hub without threads, so that a paused clock moves only when nothing else can.
pub fn hub(store: impl SubscriptionStore, transport: &Double) -> Channels {
    Channels::builder(store, sender(transport).build()).limits(limits()).build()
}

pub fn limits() -> Limits {
    Limits::default().with_encryption_threads(0)
}

pub fn news() -> ChannelName {
    ChannelName::new("news").unwrap()
}

pub fn user(n: usize) -> UserId {
    UserId::new(format!("user-{n}")).unwrap()
}

pub fn subscription(url: &str) -> Subscription {
    UserAgent::seeded(1).subscribe(url.parse().expect(url))
}

/// Members of `news`, one for each endpoint.
pub async fn members<S: SubscriptionStore>(store: S, endpoints: impl IntoIterator<Item = String>) -> S {
    let agent = UserAgent::seeded(1);
    let entries: Vec<_> = endpoints
        .into_iter()
        .enumerate()
        .map(|(n, url)| NewEntry::new(user(n), agent.subscribe(url.parse().expect(&url))))
        .collect();
    let users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
    store.put(&entries).await.unwrap();
    store.join(&news(), &users).await.unwrap();
    store
}

/// `n` members at one push service.
pub fn at(host: &str, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("https://{host}/p/{i}")).collect()
}

/// What push services answer with, one of each.
const STATUSES: [u16; 13] = [201, 301, 400, 401, 403, 404, 406, 410, 413, 418, 429, 500, 503];

/// An endpoint for each status, each at an origin of its own.
pub fn each_status() -> impl Iterator<Item = String> {
    STATUSES.iter().map(|code| format!("https://s{code}.example.net/{code}"))
}

/// What becomes of them: only those that are gone are removed.
pub async fn assert_each_status(report: &Report, store: &dyn SubscriptionStore) {
    assert_eq!((report.pruned, report.counts[OutcomeKind::Gone]), (2, 2), "{report}");
    assert_eq!(left(store).await, STATUSES.len() as u64 - 2);
    for (kind, n) in [
        (OutcomeKind::Accepted, 1),
        (OutcomeKind::Moved, 1),
        (OutcomeKind::BadRequest, 2),
        (OutcomeKind::AuthRefused, 2),
        (OutcomeKind::TooLarge, 1),
        (OutcomeKind::Unexpected, 1),
        (OutcomeKind::Throttled, 1),
        (OutcomeKind::GaveUp, 2),
    ] {
        assert_eq!(report.counts[kind], n, "{kind}: {report}");
    }
}

pub async fn store(endpoints: impl IntoIterator<Item = String>) -> Arc<MemoryStore> {
    members(Arc::new(MemoryStore::new()), endpoints).await
}

/// How many subscriptions the channel has.
pub async fn left(store: &dyn SubscriptionStore) -> u64 {
    store.count(&webpush_channels::store::Audience::Channel(news())).await.unwrap().subscriptions
}

pub fn message() -> Message {
    Message::new(Payload::new("hello").unwrap(), Ttl::hours(1))
}

pub fn broadcast() -> Broadcast {
    Broadcast::new(message())
}

pub const PAGE: NonZeroU16 = NonZeroU16::new(1000).unwrap();

//! Keys are changed while broadcasts run, over sockets, at a push service that is strict about keys.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use webpush_channels::channel::{Broadcast, Channel as _, Channels, DurableChannel, Publication, Worker};
use webpush_channels::engine::vapid::{Keyring, Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, Change, Entry, MemoryStore, NewEntry, SubscriptionStore};
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::transport::{HyperTransport, Transport, TransportError};
use webpush_channels::{
    AddressPolicy, ChannelName, EndpointPolicy, Message, OutcomeKind, Payload, Report, Subscription,
    SubscriptionId, Ttl, UserId,
};

const NEW: u8 = 1;
const OLD: u8 = 2;
const OLDEST: u8 = 3;
/// Of each key, half of them known to be bound to it.
const SUBSCRIPTIONS: usize = 60;

fn key(n: u8) -> VapidKey {
    VapidKey::from_scalar(&[n; 32]).unwrap()
}

fn vapid(n: u8) -> Vapid {
    Vapid::new(key(n), "mailto:ops@example.org".parse().unwrap())
}

/// Does something once, before a request.
#[derive(Clone)]
struct Midway {
    inner: HyperTransport,
    requests: Arc<AtomicUsize>,
    at: usize,
    sender: Arc<OnceLock<(Sender, Keyring)>>,
}

impl std::fmt::Debug for Midway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Midway")
    }
}

#[async_trait]
impl Transport for Midway {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        if self.requests.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            let (sender, keyring) = self.sender.get().unwrap();
            sender.set_keyring(keyring.clone());
        }
        self.inner.send(request).await
    }
}

struct World {
    service: PushService,
    store: Arc<MemoryStore>,
    channels: Channels,
    /// And the key that each is bound to.
    subscriptions: Vec<(u8, Subscription)>,
}

impl World {
    /// Subscriptions of three keys, and a sender whose oldest key is retired before that request.
    async fn new(retired_at: usize) -> Self {
        let service = PushService::builder().start().await.unwrap();
        let store = Arc::new(MemoryStore::new());
        let mut subscriptions = Vec::new();
        let mut entries = Vec::new();
        for n in 0..3 * SUBSCRIPTIONS {
            let bound = [NEW, OLD, OLDEST][n % 3];
            let subscription = service.subscribe_bound(&UserAgent::seeded(n as u64), key(bound).public_key());
            let entry = NewEntry::new(UserId::new(format!("user-{n}")).unwrap(), subscription.clone());
            entries.push(if n % 2 == 0 { entry.with_key(key(bound).id()) } else { entry });
            subscriptions.push((bound, subscription));
        }
        let users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
        store.put(&entries).await.unwrap();
        store.join(&news(), &users).await.unwrap();
        let inner = HyperTransport::builder()
            .address_policy(AddressPolicy::loopback_for_tests())
            .http2_prior_knowledge(true)
            .build()
            .unwrap();
        let transport = Midway { inner, requests: Arc::default(), at: retired_at, sender: Arc::default() };
        let keyring = Keyring::new(vapid(NEW)).with_older(vapid(OLD)).with_older(vapid(OLDEST));
        let sender = Sender::builder(keyring.clone(), transport.clone())
            .policy(EndpointPolicy::loopback_for_tests())
            .build();
        let retired = keyring.with_retired(key(OLDEST).id()).unwrap();
        assert!(transport.sender.set((sender.clone(), retired)).is_ok());
        let channels = Channels::new(Arc::clone(&store), sender);
        Self { service, store, channels, subscriptions }
    }

    async fn publish(&self, durable: bool) -> Report {
        let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1));
        if !durable {
            return self.channels.channel(&news()).publish(message.into()).await.unwrap();
        }
        let publication = Publication::new(Audience::Channel(news()), Broadcast::new(message));
        let id = DurableChannel::new(Arc::clone(&self.store)).enqueue(publication).await.unwrap().id;
        let worker = Worker::builder(self.channels.clone(), Arc::clone(&self.store)).build();
        worker.run_until_idle().await.unwrap();
        self.store.report(&id).await.unwrap().unwrap()
    }

    /// The subscriptions bound to a key, and how many messages each has got.
    fn received(&self, bound: u8) -> Vec<usize> {
        let of = |(key, _): &&(u8, Subscription)| *key == bound;
        self.subscriptions.iter().filter(of).map(|(_, s)| self.service.received(s).len()).collect()
    }

    async fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for n in 0..self.subscriptions.len() {
            entries
                .extend(self.store.subscriptions(&UserId::new(format!("user-{n}")).unwrap()).await.unwrap());
        }
        entries
    }

    async fn needing_renewal(&self) -> BTreeSet<SubscriptionId> {
        let page = self.store.needing_renewal(None, NonZeroU16::new(1000).unwrap()).await.unwrap();
        page.entries.iter().map(|entry| entry.subscription.id()).collect()
    }

    /// Those of a key that have got so many messages.
    fn that_got(&self, bound: u8, messages: usize) -> BTreeSet<SubscriptionId> {
        let got = |s: &Subscription| self.service.received(s).len() == messages;
        let these = self.subscriptions.iter().filter(|(key, s)| *key == bound && got(s));
        these.map(|(_, s)| s.id()).collect()
    }
}

fn news() -> ChannelName {
    ChannelName::new("news").unwrap()
}

/// One of three keys is retired before a request of the first broadcast. All that can be accepted
/// is, exactly the others are marked, nobody is removed, and the second broadcast needs no second
/// try.
async fn retired_midway(at: usize, durable: bool) {
    let world = World::new(at).await;
    let all = world.subscriptions.len() as u64;

    let first = world.publish(durable).await;
    assert_eq!((first.read, first.pending, first.pruned), (all, 0, 0), "{first}");
    assert_eq!(world.received(NEW), [1; SUBSCRIPTIONS], "{first}");
    assert_eq!(world.received(OLD), [1; SUBSCRIPTIONS], "{first}");
    let lost = world.that_got(OLDEST, 0);
    assert!(!lost.is_empty(), "it was retired before the end: {first}");
    assert!(at == 1 || lost.len() < SUBSCRIPTIONS, "what was sent before is accepted: {first}");
    assert_eq!(first.counts[OutcomeKind::Accepted], all - lost.len() as u64, "{first}");
    let marked = first.counts[OutcomeKind::KeyMismatch] + first.counts[OutcomeKind::Skipped];
    assert_eq!(marked, lost.len() as u64, "{first}");
    assert_eq!(world.needing_renewal().await, lost);

    let requests = world.service.counters().requests;
    let second = world.publish(durable).await;
    assert_eq!((second.read, second.pending, second.pruned), (all, 0, 0), "{second}");
    assert_eq!(second.counts[OutcomeKind::Accepted], 2 * SUBSCRIPTIONS as u64, "{second}");
    assert_eq!(second.counts[OutcomeKind::Skipped], SUBSCRIPTIONS as u64, "{second}");
    assert_eq!(second.attempts, second.counts[OutcomeKind::Accepted], "one try each: {second}");
    assert_eq!(world.service.counters().requests - requests, second.attempts);
    assert_eq!(world.received(NEW), [2; SUBSCRIPTIONS]);
    assert_eq!(world.received(OLD), [2; SUBSCRIPTIONS]);

    let oldest: BTreeSet<_> =
        world.subscriptions.iter().filter(|(key, _)| *key == OLDEST).map(|(_, s)| s.id()).collect();
    assert_eq!(world.needing_renewal().await, oldest, "the others have learned it by now");
    let entries = world.entries().await;
    assert_eq!(entries.len(), world.subscriptions.len(), "nobody was removed");
    for (entry, (bound, _)) in entries.iter().zip(&world.subscriptions) {
        if *bound != OLDEST {
            assert_eq!(entry.key, Some(key(*bound).id()), "the right key is remembered");
        }
    }
}

#[tokio::test]
async fn a_key_is_retired_during_a_broadcast() {
    retired_midway(70, false).await;
}

#[tokio::test]
async fn a_key_is_retired_during_a_durable_broadcast() {
    retired_midway(70, true).await;
}

#[tokio::test]
async fn a_key_is_retired_with_the_first_request() {
    retired_midway(1, false).await;
    retired_midway(1, true).await;
}

#[tokio::test]
async fn what_a_foreign_key_made_is_neither_sent_to_nor_marked() {
    let world = World::new(usize::MAX).await;
    let sender = world.channels.sender();
    // As a node with an old configuration, which has not heard of two keys.
    sender.set_keyring(vapid(OLD));
    let known: Vec<_> = world.entries().await.into_iter().filter(|entry| entry.key.is_some()).collect();
    let unknown: Vec<_> = world.entries().await.into_iter().filter(|entry| entry.key.is_none()).collect();
    for entry in unknown {
        world.store.apply(&[(entry.reference(), Change::Remove)]).await.unwrap();
    }
    let report = world.publish(false).await;
    let third = SUBSCRIPTIONS as u64 / 2;
    assert_eq!(report.read, known.len() as u64, "{report}");
    assert_eq!(
        (report.counts[OutcomeKind::Accepted], report.counts[OutcomeKind::Skipped]),
        (third, 2 * third)
    );
    assert_eq!(world.needing_renewal().await, BTreeSet::new());
    // With a keyring that knows them, all are reached.
    sender.set_keyring(Keyring::new(vapid(NEW)).with_older(vapid(OLD)).with_older(vapid(OLDEST)));
    let report = world.publish(false).await;
    assert_eq!((report.counts[OutcomeKind::Accepted], report.attempts), (3 * third, 3 * third), "{report}");
}

#[tokio::test]
async fn a_single_message_goes_by_the_keyring_in_force() {
    let world = World::new(usize::MAX).await;
    let sender = world.channels.sender();
    let oldest = |entry: &Entry| entry.key == Some(key(OLDEST).id());
    let entry = world.entries().await.into_iter().find(oldest).unwrap();
    let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1));
    let sent = sender.send_to(&entry, &message).await;
    assert_eq!((sent.outcome.kind(), sent.attempts), (OutcomeKind::Accepted, 1));
    sender.set_keyring(sender.keyring().with_retired(key(OLDEST).id()).unwrap());
    let sent = sender.send_to(&entry, &message).await;
    assert_eq!((sent.outcome.kind(), sent.attempts), (OutcomeKind::Skipped, 0));
    assert_eq!(sent.changes, [Change::NeedsRenewal], "to be applied where the entry is");
    let sent = sender.send(&entry.subscription, &message).await;
    assert_eq!((sent.outcome.kind(), sent.attempts), (OutcomeKind::KeyMismatch, 2), "both keys were tried");
}

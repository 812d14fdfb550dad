//! A channel to publish to, and what is published.

#![allow(dead_code, reason = "not every benchmark uses all of it")]

use std::num::NonZeroU16;
use std::sync::Arc;

use webpush_channels::channel::{
    Broadcast, Channel as _, Channels, DurableChannel, Limits, Publication, Worker,
};
use webpush_channels::engine::encryption::Encryptor;
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, NewEntry, SubscriptionStore};
use webpush_channels::transport::Transport;
use webpush_channels::{
    ChannelName, EndpointPolicy, Message, OutcomeKind, Padding, Payload, Subscription, Ttl, UserId,
};

/// Phone and laptop.
const DEVICES: usize = 2;
/// Small batches leave no room in the heap that a measurement of memory would hide in.
const BATCH: usize = 1000;

pub(crate) fn name() -> ChannelName {
    ChannelName::new("news").expect("the name is valid")
}

/// 1 KB, without padding, so that it is the same message everywhere.
pub(crate) fn broadcast() -> Broadcast {
    let payload = Payload::new(vec![b'x'; 1024]).expect("it fits");
    Message::new(payload, Ttl::hours(1)).with_padding(Padding::None).into()
}

/// Stores subscriptions, two for each user, and lets every user join.
pub(crate) async fn fill(
    store: &dyn SubscriptionStore,
    count: usize,
    mut subscription: impl FnMut(usize) -> Subscription,
) {
    for from in (0..count).step_by(BATCH) {
        let user = |n: usize| UserId::new(format!("user-{}", n / DEVICES)).expect("the name is valid");
        let numbers = from..count.min(from + BATCH);
        let entries: Vec<_> = numbers.map(|n| NewEntry::new(user(n), subscription(n))).collect();
        let mut users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
        users.dedup();
        store.put(&entries).await.expect("the store takes them");
        store.join(&name(), &users).await.expect("the store takes them");
    }
}

pub(crate) fn channels(
    store: impl SubscriptionStore,
    transport: impl Transport,
    encryptor: impl Encryptor,
    policy: EndpointPolicy,
    limits: Limits,
) -> Channels {
    let key = VapidKey::generate().expect("the system has randomness");
    let vapid = Vapid::new(key, "mailto:ops@example.org".parse().expect("a contact"));
    let sender = Sender::builder(vapid, transport).encryptor(encryptor).policy(policy).build();
    Channels::builder(store, sender).limits(limits).build()
}

/// Publishes once; every entry must be accepted.
pub(crate) async fn publish(channels: &Channels, count: usize) {
    let report = channels.channel(&name()).publish(broadcast()).await.expect("the store does not fail");
    assert_eq!(report.counts[OutcomeKind::Accepted], count as u64, "{report}");
}

/// The same by a worker, with a journal; everything is written down at the end.
pub(crate) async fn publish_durably(channels: &Channels, store: &Arc<dyn Journal>, count: usize) {
    let publication = Publication::new(Audience::Channel(name()), broadcast());
    let channel = DurableChannel::new(Arc::clone(store)).with_ranges(NonZeroU16::new(4).expect("not zero"));
    let enqueued = channel.enqueue(publication).await.expect("it is stored");
    let worker = Worker::builder(channels.clone(), Arc::clone(store)).build();
    worker.run_until_idle().await.expect("the journal does not fail");
    let report = store.report(&enqueued.id).await.expect("a report").expect("it is there");
    assert_eq!((report.counts[OutcomeKind::Accepted], report.pending), (count as u64, 0), "{report}");
}

//! A service's own database, for what a test does behind the service's back.

#![allow(dead_code, unreachable_pub, reason = "a part of the tests that use it")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use webpush_channels::channel::{Broadcast, DurableChannel, Publication};
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, NewEntry, SqliteStore};
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::{BroadcastId, ChannelName, Message, Payload, Report, Subscription, Ttl, UserId};

/// The channel of these tests.
pub const CHANNEL: &str = "news";

/// Only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The file in a data directory.
pub async fn sqlite(data: &Path) -> Arc<dyn Journal> {
    Arc::new(SqliteStore::open(data.join("push.sqlite")).await.unwrap())
}

/// So many users with one subscription each, all members of the channel.
pub async fn fill(store: &dyn Journal, push: &PushService, users: u64) -> Vec<Subscription> {
    let mut subscriptions = Vec::new();
    let (mut entries, mut members) = (Vec::new(), Vec::new());
    // Making keys takes long; browsers that share some are told apart by their endpoints.
    let agents: Vec<_> = (0..16).map(UserAgent::seeded).collect();
    for (n, agent) in (0..users).zip(agents.iter().cycle()) {
        let user = UserId::new(format!("user-{n}")).unwrap();
        let subscription = push.subscribe(agent);
        entries.push(NewEntry::new(user.clone(), subscription.clone()));
        subscriptions.push(subscription);
        members.push(user);
    }
    store.put(&entries).await.unwrap();
    store.join(&channel(), &members).await.unwrap();
    subscriptions
}

pub fn channel() -> ChannelName {
    ChannelName::new(CHANNEL).unwrap()
}

/// Begins a broadcast to the channel.
pub async fn enqueue(store: &Arc<dyn Journal>) -> BroadcastId {
    let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1));
    let publication = Publication::new(Audience::Channel(channel()), Broadcast::new(message));
    DurableChannel::new(Arc::clone(store)).enqueue(publication).await.unwrap().id
}

pub async fn report(store: &dyn Journal, id: &BroadcastId) -> Report {
    store.report(id).await.unwrap().unwrap()
}

/// Looks again and again.
pub async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_true().await {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

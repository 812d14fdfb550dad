//! The same broadcast in direct mode and under leases.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "a part of the tests that use it")]

use std::sync::Arc;

use webpush_channels::Report;
use webpush_channels::channel::{Broadcast, Channels, DurableChannel, Limits, Publication, Worker};
use webpush_channels::sender::SenderBuilder;
use webpush_channels::store::{Audience, MemoryStore};

use crate::durable;
use crate::durable::faulty::Faulty;
use crate::support::news;

/// A process: what it knows is gone with it.
#[derive(Clone)]
pub struct Node {
    pub store: Arc<MemoryStore>,
    pub hub: Channels,
    journal: Option<Arc<Faulty>>,
}

impl Node {
    pub fn new(store: &Arc<MemoryStore>, sender: SenderBuilder, limits: Limits, durable: bool) -> Self {
        let hub = Channels::builder(Arc::clone(store), sender.build()).limits(limits).build();
        Self { store: Arc::clone(store), hub, journal: durable.then(|| Faulty::new(Arc::clone(store))) }
    }

    /// The same process, sending what it enqueues.
    pub fn with_journal(&self) -> Self {
        Self { journal: Some(Faulty::new(Arc::clone(&self.store))), ..self.clone() }
    }

    pub async fn publish(&self, audience: Audience, broadcast: impl Into<Broadcast>) -> Report {
        let publication = Publication::new(audience, broadcast);
        let Some(journal) = &self.journal else { return self.hub.publish(publication).await.unwrap() };
        let id = DurableChannel::new(Arc::clone(journal)).enqueue(publication).await.unwrap().id;
        Worker::builder(self.hub.clone(), Arc::clone(journal)).build().run_until_idle().await.unwrap();
        durable::report(journal, &id).await
    }

    pub async fn publish_news(&self, broadcast: impl Into<Broadcast>) -> Report {
        self.publish(Audience::Channel(news()), broadcast).await
    }
}

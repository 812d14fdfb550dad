//! Whole broadcasts: what the crate adds to encryption and HTTP, and what everything costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use webpush_channels::channel::{Channels, Limits};
use webpush_channels::engine::encryption::AwsLc;
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{MemoryStore, SqliteStore};
use webpush_channels::testing::StubTransport;
use webpush_channels::{AuthSecret, EndpointPolicy, PublicKey, Subscription, SubscriptionKeys};

use super::null::Null;
use super::peer::Peer;
use super::usage::micros_each;
use super::{channel, floor, transport};

/// Where the stub's subscriptions live.
pub(crate) const NOWHERE: &str = "https://push.example.net";

/// A hub with a full channel, and the runtime that it publishes on.
#[derive(Debug)]
pub(crate) struct Rig {
    runtime: Runtime,
    channels: Channels,
    entries: usize,
}

impl Rig {
    /// No encryption and no sockets, on one thread and one that would encrypt.
    pub(crate) fn bare(entries: usize) -> Self {
        let limits = Limits::default().with_encryption_threads(1);
        let (store, stub) = (filled(NOWHERE, entries), StubTransport::forgetful());
        let policy = EndpointPolicy::public_internet();
        let channels = channel::channels(store, stub, Null, policy, limits);
        Self { runtime: runtime(1), channels, entries }
    }

    /// The real thing, on this many threads and as many that encrypt.
    pub(crate) fn whole(peer: &Peer, store: &Arc<MemoryStore>, entries: usize, threads: usize) -> Self {
        let limits = Limits::default().with_encryption_threads(threads);
        let (store, transport) = (Arc::clone(store), transport::transport(peer));
        let policy = EndpointPolicy::loopback_for_tests();
        let channels = channel::channels(store, transport, AwsLc::new(), policy, limits);
        Self { runtime: runtime(threads), channels, entries }
    }

    /// Publishes once; microseconds for each push.
    pub(crate) fn publish(&self) -> f64 {
        let (channels, entries) = (self.channels.clone(), self.entries);
        micros_each(entries, || {
            let published = async move { channel::publish(&channels, entries).await };
            // On a worker, where there are any: the caller is no further thread.
            self.runtime.block_on(self.runtime.spawn(published)).expect("it does not panic");
        })
    }
}

/// The real thing from a file, by a worker with its journal, on one thread and one that encrypts.
pub(crate) struct Durable {
    runtime: Runtime,
    channels: Channels,
    journal: Arc<dyn Journal>,
    entries: usize,
}

impl Durable {
    pub(crate) fn new(peer: &Peer, entries: usize) -> Self {
        let runtime = runtime(1);
        let store = Arc::new(runtime.block_on(SqliteStore::open(file())).expect("the file opens"));
        runtime.block_on(channel::fill(&store, entries, subscriptions(&peer.origin())));
        let limits = Limits::default().with_encryption_threads(1);
        let policy = EndpointPolicy::loopback_for_tests();
        let transport = transport::transport(peer);
        let channels = channel::channels(Arc::clone(&store), transport, AwsLc::new(), policy, limits);
        Self { runtime, channels, journal: store, entries }
    }

    /// Enqueues once and sends; microseconds for each push.
    pub(crate) fn publish(&self) -> f64 {
        let published = channel::publish_durably(&self.channels, &self.journal, self.entries);
        micros_each(self.entries, || self.runtime.block_on(published))
    }
}

/// Below target/, so that it lies on a disk; a former run's is emptied.
fn file() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("budgets");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("target/ is writable");
    directory.join("bench.sqlite")
}

/// A store with a channel of subscriptions at one push service.
pub(crate) fn filled(origin: &str, entries: usize) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    runtime(1).block_on(channel::fill(&store, entries, subscriptions(origin)));
    store
}

fn subscriptions(origin: &str) -> impl FnMut(usize) -> Subscription {
    move |n| {
        let endpoint = format!("{origin}/p/{n:0154}").parse().expect("an endpoint");
        let key = PublicKey::from_bytes(&floor::P256DH).expect("a public key");
        Subscription::new(endpoint, SubscriptionKeys::new(key, AuthSecret::from_bytes(floor::AUTH)))
    }
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads).enable_all().build().expect("a runtime")
}

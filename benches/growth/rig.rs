//! A hub over a channel of a certain size at so many push services, on so many threads.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::{Builder, Runtime};
use webpush_channels::channel::{Broadcast, Channel as _, Channels, Limits};
use webpush_channels::engine::encryption::AwsLc;
use webpush_channels::store::MemoryStore;
use webpush_channels::transport::{HyperTransport, HyperTransportBuilder, Resolve};
use webpush_channels::{
    AddressPolicy, AuthSecret, EndpointPolicy, OutcomeKind, PublicKey, Subscription, SubscriptionKeys,
};

use super::peer::{DOMAIN, Peer};
use super::samples::Figures;
use super::waits::{self, Waits, Watched};
use super::{Leg, channel, floor, usage};

#[derive(Debug)]
pub(crate) struct Rig {
    runtime: Runtime,
    channels: Channels,
    entries: usize,
    waits: Option<Arc<Waits>>,
}

impl Rig {
    /// Publishes once, so that its connections are open.
    pub(crate) fn new(peer: &Peer, store: &Arc<MemoryStore>, leg: &Leg) -> Self {
        let limits = Limits::default().with_encryption_threads(leg.threads);
        let policy = EndpointPolicy::custom(|host| host.ends_with(DOMAIN)).with_port(peer.address.port());
        let transport = transport(peer, leg);
        let waits = leg.waits.then(|| Waits::new(leg.size));
        let store = Arc::clone(store);
        let channels = match &waits {
            None => channel::channels(store, transport, AwsLc::new(), policy, limits),
            Some(waits) => {
                let watched = Watched { transport, waits: Arc::clone(waits) };
                channel::channels(store, watched, AwsLc::new(), policy, limits)
            }
        };
        let rig = Self { runtime: runtime(leg.threads), channels, entries: leg.size, waits };
        rig.publish();
        rig
    }

    /// Publishes so many times, one broadcast after the other.
    pub(crate) fn run(&self, broadcasts: usize) -> Figures {
        let pushes = self.entries * broadcasts;
        let began = waits::now();
        let cpu = usage::micros_each(pushes, || (0..broadcasts).for_each(|_| self.publish()));
        let each = usage::micros(began.elapsed(), pushes);
        let (wait, longest) = self.waits.as_ref().map_or((0.0, 0.0), |waits| waits.milliseconds());
        Figures { cpu, rate: 1e6 / each, wait, longest }
    }

    fn publish(&self) {
        let mut broadcast: Broadcast = channel::broadcast();
        if let Some(waits) = self.waits.clone() {
            broadcast = broadcast.with_filter(move |entry| waits.read(entry));
        }
        let (channels, entries) = (self.channels.clone(), self.entries as u64);
        let published = async move {
            let published = channels.channel(&channel::name()).publish(broadcast).await;
            let report = published.expect("the store does not fail");
            assert_eq!(report.counts[OutcomeKind::Accepted], entries, "{report}");
        };
        // On a worker, where there are any: the caller is no further thread.
        self.runtime.block_on(self.runtime.spawn(published)).expect("it does not panic");
    }
}

/// A store with a channel of subscriptions, each at the push service after the one before.
pub(crate) fn filled(peer: &Peer, size: usize, origins: usize) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let port = peer.address.port();
    let subscription = |n: usize| {
        let endpoint = format!("https://n{}.{DOMAIN}:{port}/p/{n:0154}", n % origins);
        let key = PublicKey::from_bytes(&floor::P256DH).expect("a public key");
        let keys = SubscriptionKeys::new(key, AuthSecret::from_bytes(floor::AUTH));
        Subscription::new(endpoint.parse().expect("an endpoint"), keys)
    };
    runtime(1).block_on(channel::fill(&store, size, subscription));
    store
}

/// With the defaults, but that it trusts the peer, waits for a thousand handshakes at once, and keeps
/// what is open from round to round.
fn transport(peer: &Peer, leg: &Leg) -> HyperTransport {
    let mut transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .resolver(Arc::new(Loopback(peer.address.ip())))
        .connect_timeout(Duration::from_secs(60))
        .idle_timeout(Duration::from_secs(24 * 3600));
    if leg.keeps_all {
        transport = transport.max_origins(leg.origins.max(256));
    }
    transport
        .extra_root_pem(peer.certificate_pem().as_bytes())
        .and_then(HyperTransportBuilder::build)
        .expect("TLS can be set up")
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads).enable_all().build().expect("a runtime")
}

/// Every name is the peer's.
#[derive(Debug)]
struct Loopback(IpAddr);

#[async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![self.0])
    }
}

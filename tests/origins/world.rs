//! A broadcast to an origin that misbehaves, beside one that does not.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;
use webpush_channels::channel::{Broadcast, Channel as _, Channels};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::{RetryPolicy, Sender};
use webpush_channels::store::{Audience, MemoryStore, NewEntry, SubscriptionStore as _};
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::transport::{HyperTransport, HyperTransportBuilder};
use webpush_channels::{
    AddressPolicy, ChannelName, EndpointPolicy, Message, OutcomeKind, Payload, Subscription, Ttl, UserId,
};

use crate::certificates::ROOT;

/// For a connection.
pub(crate) const CONNECT: Duration = Duration::from_millis(700);
/// For a free stream.
pub(crate) const WAIT: Duration = Duration::from_millis(700);
/// For a request and its answer.
pub(crate) const TOTAL: Duration = Duration::from_millis(500);
/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(5);
pub(crate) const ATTEMPTS: u8 = 2;
/// Subscriptions at the origin that misbehaves: too few for a pause of the whole origin.
pub(crate) const FEW: usize = 3;
/// Subscriptions at the other one.
const SOUND: usize = 6;

/// A transport that gives up soon.
pub(crate) fn impatient() -> HyperTransportBuilder {
    HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .extra_root_pem(ROOT.pem.as_bytes())
        .expect("a root")
        .connect_timeout(CONNECT)
        .stream_wait(WAIT)
        .total_timeout(TOTAL)
}

/// What became of the subscriptions at the origin that misbehaves.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) outcomes: BTreeMap<&'static str, usize>,
    pub(crate) attempts: u64,
    pub(crate) elapsed: Duration,
}

impl Run {
    /// All ended so.
    pub(crate) fn all(&self, kind: OutcomeKind) -> bool {
        self.outcomes.len() == 1 && self.outcomes.contains_key(kind.as_str())
    }
}

/// Publishes once to a few subscriptions at `origin` and to some at a push service beside it.
///
/// Whatever the first does: nothing is removed, the second has its messages, and it is over when
/// every attempt has used up its time.
pub(crate) async fn publish(origin: &str, few: usize, transport: HyperTransportBuilder) -> Run {
    let subscribe = |n, agent: &UserAgent| agent.subscribe(format!("{origin}/p/{n}").parse().unwrap());
    publish_beside(origin, few, subscribe, transport).await
}

/// The same to a push service of the kit.
pub(crate) async fn publish_at(service: &PushService, few: usize, transport: HyperTransportBuilder) -> Run {
    let subscribe = |_, agent: &UserAgent| service.subscribe(agent);
    publish_beside(service.origin().as_str(), few, subscribe, transport).await
}

async fn publish_beside(
    origin: &str,
    few: usize,
    subscribe: impl Fn(usize, &UserAgent) -> Subscription,
    transport: HyperTransportBuilder,
) -> Run {
    let sound = PushService::builder().start().await.unwrap();
    let agents = (0..).map(UserAgent::seeded).take(few + SOUND);
    let subscriptions: Vec<_> = agents
        .enumerate()
        .map(|(n, agent)| if n < few { subscribe(n, &agent) } else { sound.subscribe(&agent) })
        .collect();
    let run = publish_to(origin, &subscriptions, transport).await;
    assert_eq!(run.outcomes.values().sum::<usize>(), few, "{run:?}");
    let counters = sound.counters();
    assert_eq!((counters.accepted, counters.decrypted), (SOUND as u64, SOUND as u64), "{run:?}");
    run
}

async fn publish_to(origin: &str, subscriptions: &[Subscription], transport: HyperTransportBuilder) -> Run {
    let hub = hub(transport.build().unwrap());
    let news = ChannelName::new("news").unwrap();
    let entries: Vec<_> = subscriptions
        .iter()
        .enumerate()
        .map(|(n, it)| NewEntry::new(UserId::new(format!("user-{n}")).unwrap(), it.clone()))
        .collect();
    let users: Vec<_> = entries.iter().map(|entry| entry.user.clone()).collect();
    hub.store().put(&entries).await.unwrap();
    hub.store().join(&news, &users).await.unwrap();
    let message = Message::new(Payload::new("hello").unwrap(), Ttl::hours(1));

    let began = Instant::now();
    let mut deliveries = hub.channel(&news).deliveries(Broadcast::new(message));
    let (mut outcomes, mut attempts) = (BTreeMap::new(), 0);
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery.unwrap();
        if delivery.entry.subscription.endpoint().origin().as_str() == origin {
            *outcomes.entry(delivery.outcome.kind().as_str()).or_default() += 1;
            attempts += u64::from(delivery.attempts);
        } else {
            assert_eq!(delivery.outcome.kind(), OutcomeKind::Accepted, "{:?}", delivery.outcome);
        }
    }
    let elapsed = began.elapsed();
    let most = u32::from(ATTEMPTS) * (CONNECT.max(WAIT) + TOTAL + PAUSE) + SLACK;
    assert!(elapsed < most, "{elapsed:?} {outcomes:?}");
    let left = hub.store().count(&Audience::Channel(news)).await.unwrap();
    assert_eq!(left.subscriptions, subscriptions.len() as u64, "nothing is removed: {outcomes:?}");
    Run { outcomes, attempts, elapsed }
}

fn hub(transport: HyperTransport) -> Channels {
    let vapid = Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap());
    let retry = RetryPolicy::default().with_attempts(ATTEMPTS).with_backoff(PAUSE, PAUSE);
    let sender =
        Sender::builder(vapid, transport).policy(EndpointPolicy::loopback_for_tests()).retry(retry).build();
    Channels::new(MemoryStore::new(), sender)
}

//! Channels: publish one message, every subscription of every member gets it.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::Stream;
use futures_util::stream;
use tracing::Instrument as _;

mod breaker;
mod broadcast;
mod content;
mod controls;
mod driver;
mod durable;
mod encryption;
mod gate;
mod hook;
mod limits;
mod progress;
mod renewal;
mod single;
mod subscriptions;
mod tally;
mod worker;

pub use self::breaker::MassPruneBreaker;
pub use self::broadcast::{Broadcast, BroadcastError, Delivery, Publication};
pub use self::controls::Controls;
pub use self::durable::{ChannelStatistics, DurableChannel, EnqueueError, Enqueued};
pub use self::hook::{RemovalHook, Removals, Review};
pub use self::limits::Limits;
pub use self::progress::{Progress, Snapshot};
pub use self::renewal::{Freshness, RenewalWindow, UnseenEntries};
pub use self::subscriptions::SubscribeError;
pub use self::worker::{Worker, WorkerBuilder};

use self::driver::Direct;
use self::encryption::EncryptionPool;
use self::gate::Gate;
use self::tally::Tally;
use crate::sender::Sender;
use crate::store::{Audience, StoreError, SubscriptionStore};
use crate::{ChannelName, Report, UserId};

/// Deliveries as they are settled. It ends after the last one, or with an error.
pub type Deliveries = Pin<Box<dyn Stream<Item = Result<Delivery, BroadcastError>> + Send + 'static>>;

/// A named group of users that messages are published to.
///
/// # Contract
///
/// Between an application and whatever keeps members and sends:
///
/// * Channels exist implicitly; joining and leaving are idempotent. A member's every subscription
///   is reached.
/// * A broadcast reaches who is a member when it starts. Each entry that it reads gets exactly one
///   final [`Outcome`](crate::Outcome), and a failed delivery is an outcome, not an error.
/// * `Gone` subscriptions are removed from the store, unless a [`RemovalHook`] withholds it, and nothing
///   else removes them.
/// * [`deliveries`](Self::deliveries) does nothing before it is polled. A consumer that polls
///   slowly slows the broadcast down and loses nothing; requests in flight go on meanwhile.
///
/// # Cancel safety
///
/// Dropping a stream of [`deliveries`](Self::deliveries), or the future of
/// [`publish`](Self::publish), ends the broadcast: no request starts any more, those in flight
/// are reset, nothing keeps running.
#[async_trait]
pub trait Channel: Debug + Send + Sync + 'static {
    /// The channel's name.
    fn name(&self) -> &ChannelName;

    /// Makes a user a member.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn join(&self, user: &UserId) -> Result<(), StoreError>;

    /// Ends a user's membership.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store fails.
    async fn leave(&self, user: &UserId) -> Result<(), StoreError>;

    /// Publishes, and yields each delivery as it is settled. Must be polled inside a tokio
    /// runtime.
    fn deliveries(&self, broadcast: Broadcast) -> Deliveries;

    /// Publishes here, to the end.
    ///
    /// # Errors
    ///
    /// [`BroadcastError`] when the store fails; it carries the report of what was done.
    async fn publish(&self, broadcast: Broadcast) -> Result<Report, BroadcastError>;
}

/// The hub: a store, a sender, and the channels over them. Cloning is cheap.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use webpush_channels::channel::{Channel, Channels};
/// use webpush_channels::engine::vapid::{Vapid, VapidKey};
/// use webpush_channels::sender::Sender;
/// use webpush_channels::store::MemoryStore;
/// use webpush_channels::testing::{StubTransport, UserAgent};
/// use webpush_channels::{ChannelName, Message, Payload, Ttl, UserId};
///
/// let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
/// let channels = Channels::new(MemoryStore::new(), Sender::builder(vapid, StubTransport::new()).build());
///
/// let alice = UserId::new("alice")?;
/// let phone = UserAgent::new().subscribe("https://push.example.net/p/1".parse()?);
/// channels.subscribe(&alice, phone, None).await?;
/// let news = channels.channel(&ChannelName::new("news")?);
/// news.join(&alice).await?;
///
/// let report = news.publish(Message::new(Payload::new("hello")?, Ttl::hours(1)).into()).await?;
/// assert_eq!(report.counts.to_string(), "accepted 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Channels {
    hub: Arc<Hub>,
}

#[derive(Debug)]
struct Hub {
    store: Arc<dyn SubscriptionStore>,
    sender: Sender,
    limits: Limits,
    pool: EncryptionPool,
    /// The requests that may be in flight.
    gate: Arc<Gate>,
    removal_hook: Option<Arc<dyn RemovalHook>>,
    /// Where it is the hook.
    breaker: Option<MassPruneBreaker>,
}

impl Channels {
    /// Channels over a store and a sender, with the default limits.
    pub fn new(store: impl SubscriptionStore, sender: Sender) -> Self {
        Self::builder(store, sender).build()
    }

    /// The same with other limits or a hook.
    pub fn builder(store: impl SubscriptionStore, sender: Sender) -> ChannelsBuilder {
        let clock = Arc::clone(&sender.core().clock);
        let breaker = MassPruneBreaker::new().with_clock(clock);
        ChannelsBuilder {
            store: Arc::new(store),
            sender,
            limits: Limits::default(),
            removal_hook: None,
            breaker: Some(breaker),
        }
    }

    /// One channel.
    #[must_use]
    pub fn channel(&self, name: &ChannelName) -> HubChannel {
        HubChannel { name: name.clone(), channels: self.clone() }
    }

    /// Publishes to any audience, and yields each delivery as it is settled. See
    /// [`Channel::deliveries`].
    #[must_use]
    pub fn deliveries(&self, publication: Publication) -> Deliveries {
        let hub = Arc::clone(&self.hub);
        // The driver is made at the first poll: a stream that nobody polls does nothing.
        let start = (Some((hub, publication)), None);
        Box::pin(stream::unfold(start, |(start, driver)| async move {
            let mut driver = match (driver, start) {
                (Some(driver), _) => driver,
                (None, Some((hub, publication))) => Box::new(Direct::new(hub, publication)),
                (None, None) => return None,
            };
            let span = driver.span();
            driver.next().instrument(span).await.map(|delivery| (delivery, (None, Some(driver))))
        }))
    }

    /// Publishes to any audience, here, to the end. See [`Channel::publish`].
    ///
    /// # Errors
    ///
    /// [`BroadcastError`] when the store fails; it carries the report of what was done.
    pub async fn publish(&self, publication: Publication) -> Result<Report, BroadcastError> {
        let id = publication.broadcast().id().cloned();
        let mut driver = Box::new(Direct::new(Arc::clone(&self.hub), publication));
        let (mut error, span) = (None, driver.span());
        let all = async {
            while let Some(delivery) = driver.next().await {
                error = delivery.err().or(error.take());
            }
        };
        all.instrument(span).await;
        let report = driver.report();
        tracing::info!(
            id = id.as_ref().map(tracing::field::display),
            state = ?report.state,
            read = report.read,
            counts = %report.counts,
            pruned = report.pruned,
            seconds = report.elapsed.as_secs_f64(),
            "broadcast ended"
        );
        error.map_or(Ok(report), Err)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn SubscriptionStore> {
        &self.hub.store
    }

    /// The sender.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        &self.hub.sender
    }

    /// The breaker against mass pruning, to [allow](MassPruneBreaker::allow) removals with; none where
    /// another hook took its place.
    #[must_use]
    pub fn breaker(&self) -> Option<&MassPruneBreaker> {
        self.hub.breaker.as_ref()
    }
}

/// [`Channels`] in the making.
#[derive(Debug)]
pub struct ChannelsBuilder {
    store: Arc<dyn SubscriptionStore>,
    sender: Sender,
    limits: Limits,
    removal_hook: Option<Arc<dyn RemovalHook>>,
    breaker: Option<MassPruneBreaker>,
}

impl ChannelsBuilder {
    /// Other limits than the default.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A hook that sees each batch of removals first, in the place of the [`MassPruneBreaker`] that is
    /// there by default, by the sender's clock. One with other settings, or that you keep a clone of, is
    /// such a hook; one of your own may ask a breaker.
    #[must_use]
    pub fn removal_hook(mut self, hook: impl RemovalHook) -> Self {
        self.removal_hook = Some(Arc::new(hook));
        self.breaker = None;
        self
    }

    /// No hook, and no breaker: whatever a push service calls gone is removed.
    #[must_use]
    pub fn without_removal_hook(mut self) -> Self {
        self.removal_hook = None;
        self.breaker = None;
        self
    }

    /// The hub. Starts the threads that encrypt; they end with its last clone.
    #[must_use]
    pub fn build(self) -> Channels {
        let pool = EncryptionPool::new(self.limits.encryption_threads);
        let gate = Gate::new(self.limits.in_flight);
        let Self { store, sender, limits, removal_hook, breaker } = self;
        let by_default = || breaker.clone().map(|breaker| Arc::new(breaker) as Arc<dyn RemovalHook>);
        let counted = hook::Counted::new(removal_hook.or_else(by_default), &sender.core().instruments);
        let removal_hook: Option<Arc<dyn RemovalHook>> = Some(Arc::new(counted));
        Channels { hub: Arc::new(Hub { store, sender, limits, pool, gate, removal_hook, breaker }) }
    }
}

/// One channel of a hub.
#[derive(Clone, Debug)]
pub struct HubChannel {
    name: ChannelName,
    channels: Channels,
}

impl HubChannel {
    fn publication(&self, broadcast: Broadcast) -> Publication {
        Publication::new(Audience::Channel(self.name.clone()), broadcast)
    }
}

#[async_trait]
impl Channel for HubChannel {
    fn name(&self) -> &ChannelName {
        &self.name
    }

    async fn join(&self, user: &UserId) -> Result<(), StoreError> {
        self.channels.store().join(&self.name, std::slice::from_ref(user)).await
    }

    async fn leave(&self, user: &UserId) -> Result<(), StoreError> {
        self.channels.store().leave(&self.name, std::slice::from_ref(user)).await
    }

    fn deliveries(&self, broadcast: Broadcast) -> Deliveries {
        self.channels.deliveries(self.publication(broadcast))
    }

    async fn publish(&self, broadcast: Broadcast) -> Result<Report, BroadcastError> {
        self.channels.publish(self.publication(broadcast)).await
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Channel + ?Sized> Channel for $pointer<T> {
            fn name(&self) -> &ChannelName {
                (**self).name()
            }

            async fn join(&self, user: &UserId) -> Result<(), StoreError> {
                (**self).join(user).await
            }

            async fn leave(&self, user: &UserId) -> Result<(), StoreError> {
                (**self).leave(user).await
            }

            fn deliveries(&self, broadcast: Broadcast) -> Deliveries {
                (**self).deliveries(broadcast)
            }

            async fn publish(&self, broadcast: Broadcast) -> Result<Report, BroadcastError> {
                (**self).publish(broadcast).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);

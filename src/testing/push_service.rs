//! A push service that runs in the test's own process.

use std::fmt;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use self::inbox::Inbox;
use self::receiver::Receiver;
use self::service::Service;
use super::UserAgent;
use crate::{Endpoint, Origin, Subscription};

mod answer;
#[cfg(feature = "testing-browser")]
mod browser;
mod builder;
mod checks;
mod counters;
mod delivery;
mod directory;
mod flight;
mod h1;
mod h2;
mod inbox;
mod io;
mod message;
#[cfg(feature = "testing-browser")]
mod mozilla;
mod receiver;
mod reply;
mod server;
mod service;
mod strict;
mod tls;
mod token;
mod violation;

pub use self::answer::Answer;
#[cfg(feature = "testing-browser")]
pub use self::browser::Browser;
pub use self::builder::PushServiceBuilder;
pub use self::counters::Counters;
pub use self::message::Received;
pub use self::server::ConnectionFault;
pub use self::violation::Violation;

/// An in-process push service: as strict as the strictest vendor on every rule, over HTTP/1.1 and
/// HTTP/2, in cleartext or TLS, on a free port of 127.0.0.1.
///
/// It verifies VAPID tokens and headers, hands each message to the [`UserAgent`] that subscribed,
/// and answers as vendors do; what breaks a rule is answered with the vendor's status and kept in
/// [`violations`](Self::violations). Scripts make it misbehave: see [`Answer`] and
/// [`ConnectionFault`].
///
/// With the feature `testing-browser` it can follow Mozilla's rules instead of the strictest ones
/// (`PushServiceBuilder::mozilla`), and a real Firefox can subscribe at it.
///
/// Dropping it closes its port and its connections and ends its tasks.
///
/// ```
/// use webpush_channels::testing::{Answer, PushService, UserAgent};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let service = PushService::start().await?;
/// let agent = UserAgent::seeded(1);
/// let subscription = service.subscribe(&agent);
/// service.script(&subscription, [Answer::throttled(None), Answer::Normal]);
/// // ... send to the subscription, then look:
/// assert_eq!(service.received(&subscription).len(), 0);
/// assert_eq!(service.counters().accepted, 0);
/// # std::io::Result::Ok(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct PushService {
    service: Arc<Service>,
    address: SocketAddr,
    ca_pem: Option<String>,
    _server: AbortOnDrop,
}

impl PushService {
    /// A service with every default: cleartext, HTTP/1.1 and HTTP/2.
    ///
    /// # Errors
    ///
    /// No port, or no randomness.
    pub async fn start() -> std::io::Result<Self> {
        Self::builder().start().await
    }

    /// A service to be set up.
    pub fn builder() -> PushServiceBuilder {
        PushServiceBuilder::new()
    }

    /// The origin of every endpoint: what a token's `aud` must be.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.service.origin.clone()
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its authority, where it speaks TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Gives a user agent a new endpoint that takes messages of any VAPID key. Subscriptions are
    /// numbered from 0.
    #[must_use]
    pub fn subscribe(&self, agent: &UserAgent) -> Subscription {
        self.add(agent, None)
    }

    /// Gives a user agent a new endpoint that takes messages signed with this key only (V-13): an
    /// `applicationServerKey`, 65 octets.
    #[must_use]
    pub fn subscribe_bound(&self, agent: &UserAgent, application_server_key: &[u8; 65]) -> Subscription {
        self.add(agent, Some(*application_server_key))
    }

    /// The number of a subscription: how many came before it.
    ///
    /// # Panics
    ///
    /// When the subscription is another service's, as in every method that takes one.
    #[must_use]
    pub fn number(&self, subscription: &Subscription) -> usize {
        self.find(subscription).0
    }

    /// Ends a subscription: 410 from now on.
    ///
    /// # Panics
    ///
    /// When the subscription is another service's.
    pub fn unsubscribe(&self, subscription: &Subscription) {
        self.find(subscription).1.unsubscribe();
        self.service.changed.notify_waiters();
    }

    /// Disconnects a user agent, or connects it. Messages to one that is offline wait for as long
    /// as their TTL says, the newest of each Topic only, and are delivered when it comes back.
    ///
    /// # Panics
    ///
    /// When the subscription is another service's.
    pub fn set_offline(&self, subscription: &Subscription, offline: bool) {
        let (number, inbox) = self.find(subscription);
        let waiting = inbox.set_offline(offline);
        self.service.hand_waiting(number, &inbox, waiting);
        self.service.changed.notify_waiters();
    }

    /// Answers the next pushes to one subscription so; after them the rules apply again.
    ///
    /// # Panics
    ///
    /// When the subscription is another service's.
    pub fn script(&self, subscription: &Subscription, answers: impl IntoIterator<Item = Answer>) {
        self.find(subscription).1.script(answers);
    }

    /// Answers the next requests to delete a message of this subscription so: those of
    /// `Sender::cancel`. After them the rules apply again: what still waits for its user agent is
    /// removed, and the answer is 204 in any case.
    ///
    /// # Panics
    ///
    /// When the subscription is another service's.
    pub fn script_delete(&self, subscription: &Subscription, answers: impl IntoIterator<Item = Answer>) {
        self.find(subscription).1.script_delete(answers);
    }

    /// Answers the next pushes to whatever subscription so. A subscription's own script comes
    /// first.
    pub fn script_all(&self, answers: impl IntoIterator<Item = Answer>) {
        self.service.script(answers);
    }

    /// What reached the user agent, in order; empty when payloads are not kept, and for a browser's
    /// subscription, because only the browser can open them.
    ///
    /// # Panics
    ///
    /// When the subscription is another service's.
    #[must_use]
    pub fn received(&self, subscription: &Subscription) -> Vec<Received> {
        self.find(subscription).1.received()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.service.counts.read()
    }

    /// Why requests were refused: the first 256.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.service.violations()
    }

    /// Waits until the counters are so. For tests that would sleep otherwise.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn wait_for(&self, mut until: impl FnMut(&Counters) -> bool) -> Counters {
        self.wait(|| Some(self.counters()).filter(|counters| until(counters))).await
    }

    /// Looks after each change until there is something to see.
    async fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let changed = self.service.changed.notified();
            tokio::pin!(changed);
            // Listening must begin before looking, or a change in between is missed.
            changed.as_mut().enable();
            if let Some(seen) = look() {
                return seen;
            }
            changed.await;
        }
    }

    fn add(&self, agent: &UserAgent, bound: Option<[u8; 65]>) -> Subscription {
        let (number, inbox) = self.service.subscribe(Receiver::Agent(agent.clone()), bound);
        let endpoint = self.service.endpoint(number, &inbox);
        agent.subscribe(endpoint.parse().expect("an origin and a plain path are an endpoint"))
    }

    fn find(&self, subscription: &Subscription) -> (usize, Arc<Inbox>) {
        self.find_endpoint(subscription.endpoint())
    }

    fn find_endpoint(&self, endpoint: &Endpoint) -> (usize, Arc<Inbox>) {
        let path = endpoint.as_str().strip_prefix(self.service.origin.as_str());
        path.and_then(|path| self.service.directory.inbox(path))
            .expect("the subscription is one of this push service's")
    }
}

impl fmt::Debug for PushService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushService")
            .field("origin", &self.service.origin)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// A task that ends with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

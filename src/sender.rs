//! Sends one message to one subscription: engine, transport, retries.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, Request};
use tokio::time::Instant;

pub(crate) mod origin;
mod request;
mod retry;
mod shares;
pub(crate) mod trial;

pub use self::retry::RetryPolicy;

use self::origin::{OriginState, Origins};
pub(crate) use self::request::{Job, Prepared, plaintext};
pub(crate) use self::retry::later;
pub(crate) use self::shares::Shares;
use self::trial::{Made, Settled, Step, Trial};
use crate::engine::encryption::{Encryption, Encryptor};
use crate::engine::response::{self, Classified};
use crate::engine::vapid::Keyring;
use crate::transport::{Transport, TransportError};
use crate::{Clock, EndpointPolicy, Message, Outcome, ResponseDetail, Subscription, SystemClock, Ttl};

/// Sends messages to single subscriptions, and is what channels send with.
///
/// It encrypts, signs, posts, reads the answer by the push service's own rules, and repeats as
/// far as that is harmless and the message still lives. What it learns of a push service (pauses,
/// refusals) is shared by its clones and by every channel over it. Cloning is cheap.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use webpush_channels::engine::vapid::{Vapid, VapidKey};
/// use webpush_channels::sender::Sender;
/// use webpush_channels::testing::{StubTransport, UserAgent};
/// use webpush_channels::{Message, Payload, Ttl};
///
/// let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
/// let sender = Sender::builder(vapid, StubTransport::new()).build();
/// let subscription = UserAgent::new().subscribe("https://push.example.net/p/1".parse()?);
/// let sent = sender.send(&subscription, &Message::new(Payload::new("hello")?, Ttl::hours(1))).await;
/// assert!(sent.outcome.is_accepted());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Sender {
    core: Arc<Core>,
}

/// What became of one message to one subscription.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sent {
    /// How it ended.
    pub outcome: Outcome,
    /// What the push service said last, when it was no plain success.
    pub detail: Option<ResponseDetail>,
    /// How many requests were made.
    pub attempts: u8,
}

/// What all attempts share.
pub(crate) struct Core {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) encryptor: Arc<dyn Encryptor>,
    pub(crate) keyring: Keyring,
    pub(crate) origins: Origins,
    pub(crate) policy: EndpointPolicy,
    pub(crate) retry: RetryPolicy,
    pub(crate) transport: Arc<dyn Transport>,
    rng: Mutex<fastrand::Rng>,
}

impl Core {
    /// A number from 0 to 1, for jitter.
    pub(crate) fn draw(&self) -> f64 {
        self.rng.lock().expect("no panic while drawing").f64()
    }

    /// Sends a request, tells its origin that it was answered, and reads the answer.
    pub(crate) async fn exchange(
        &self,
        origin: &OriginState,
        subscription: &Subscription,
        ttl: Ttl,
        request: Request<Bytes>,
    ) -> Result<Classified, TransportError> {
        let answer = self.transport.send(request).await?;
        origin.answered(Instant::now());
        Ok(response::classify(subscription.endpoint(), ttl, &answer, self.clock.now()))
    }

    /// A generator of its own for each broadcast.
    pub(crate) fn fork_rng(&self) -> fastrand::Rng {
        self.rng.lock().expect("no panic while forking").fork()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("transport", &self.transport)
            .field("encryptor", &self.encryptor)
            .field("keyring", &self.keyring)
            .field("policy", &self.policy)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender in the making: with these keys, over this transport.
    pub fn builder(keyring: impl Into<Keyring>, transport: impl Transport) -> SenderBuilder {
        SenderBuilder {
            clock: Arc::new(SystemClock::new()),
            content_type: None,
            encryptor: Encryption::fastest(),
            keyring: keyring.into(),
            per_origin: 1024,
            policy: EndpointPolicy::public_internet(),
            retry: RetryPolicy::default(),
            seed: None,
            transport: Arc::new(transport),
        }
    }

    /// Sends `message` to one subscription, to its end: repeats are waited for, within the
    /// [`RetryPolicy`] and the message's lifetime. That may take hours when the push service asks
    /// for it; wrap it in a timeout where that is too long.
    ///
    /// A pause that other messages brought about is not waited for: this one asks for itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the message: it may have been accepted or not.
    pub async fn send(&self, subscription: &Subscription, message: &Message) -> Sent {
        let mut trial = Trial::default();
        let settled = match trial::refusal(&self.core, subscription, None, false) {
            Some(outcome) => Settled::new(outcome),
            None => self.attempts(subscription, message, &mut trial).await,
        };
        Sent {
            outcome: settled.outcome,
            detail: settled.detail.map(|detail| *detail),
            attempts: trial.attempts,
        }
    }

    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    async fn attempts(&self, subscription: &Subscription, message: &Message, trial: &mut Trial) -> Settled {
        let core = &*self.core;
        let Some(plaintext) = plaintext(core, message, None) else {
            return Settled::new(Outcome::TooLarge);
        };
        let origin = core.origins.of(subscription.endpoint());
        loop {
            let now = Instant::now();
            let Some(ttl) = trial.ttl_left(message.ttl(), now) else {
                return trial.expire();
            };
            let Some(vapid) = trial.vapid(core, None) else {
                return trial.settle(Outcome::KeyMismatch);
            };
            if let Some(stop) = origin.stopped(vapid.key_id(), now) {
                return trial.settle_stopped(stop);
            }
            let content_type = core.content_type.as_ref();
            let job = Job { subscription, vapid, ttl, message, content_type, broadcast: None };
            let Ok(Prepared { request, generation }) = job.prepare(&*core.encryptor, &plaintext) else {
                return trial.engine_failed();
            };
            trial.begin(now);
            let body_len = request.body().len();
            let classified = core.exchange(&origin, subscription, ttl, request).await;
            let made = Made {
                vapid,
                bound: None,
                generation,
                has_topic: message.collapse_key().is_some(),
                body_len,
                subscription,
            };
            match trial.judge(core, &origin, &made, classified, Instant::now()) {
                Step::Settle(settled) => return settled,
                Step::Again(wait) => {
                    if trial.ttl_left(message.ttl(), later(Instant::now(), wait)).is_none() {
                        return trial.expire();
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

/// A [`Sender`] in the making. Everything has a default but the keys and the transport.
#[derive(Debug)]
pub struct SenderBuilder {
    clock: Arc<dyn Clock>,
    content_type: Option<HeaderValue>,
    encryptor: Arc<dyn Encryptor>,
    keyring: Keyring,
    per_origin: usize,
    policy: EndpointPolicy,
    retry: RetryPolicy,
    seed: Option<u64>,
    transport: Arc<dyn Transport>,
}

impl SenderBuilder {
    /// Another encryptor than [`Encryption::fastest`].
    #[must_use]
    pub fn encryptor(mut self, encryptor: impl Encryptor) -> Self {
        self.encryptor = Arc::new(encryptor);
        self
    }

    /// Another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another `Content-Type` than `application/octet-stream`, for all messages.
    ///
    /// User agents do not read it, not even for [declarative](crate::declarative) messages, and
    /// push services do: it tells them what kind of message this is (D-2). So it is a sender's
    /// setting, for a push service that insists, and no part of a message.
    #[must_use]
    pub fn content_type(mut self, content_type: HeaderValue) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// Another policy than [`EndpointPolicy::public_internet`]. The transport has an address
    /// policy of its own: set both.
    #[must_use]
    pub fn policy(mut self, policy: EndpointPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Another retry policy than the default.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The most requests that one push service holds at once, over all broadcasts. 1024. Single
    /// messages of [`Sender::send`] neither count nor wait.
    #[must_use]
    pub fn per_origin(mut self, limit: usize) -> Self {
        self.per_origin = limit.max(1);
        self
    }

    /// Draws jitter and order from this seed, for tests. Keys and salts are not drawn from it.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The sender.
    #[must_use]
    pub fn build(self) -> Sender {
        let rng = self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Sender {
            core: Arc::new(Core {
                clock: self.clock,
                content_type: self.content_type,
                encryptor: self.encryptor,
                keyring: self.keyring,
                origins: Origins::new(self.per_origin),
                policy: self.policy,
                retry: self.retry,
                transport: self.transport,
                rng: Mutex::new(rng),
            }),
        }
    }
}

//! Sends one message to one subscription: engine, transport, retries.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use tokio::time::Instant;
use tracing::Instrument as _;

mod bucket;
mod budget;
mod builder;
mod cancel;
mod circuit;
mod fitting;
mod keyrings;
mod meter;
pub(crate) mod origin;
mod request;
mod retry;
mod shares;
mod signing;
mod stops;
pub(crate) mod trial;

pub use self::budget::RetryBudget;
pub use self::builder::SenderBuilder;
pub use self::cancel::{CancelError, Cancellation};
pub use self::retry::RetryPolicy;

pub(crate) use self::bucket::{Bucket, Pace};
pub(crate) use self::fitting::{Fitted, Fitting};
use self::keyrings::Keyrings;
pub(crate) use self::keyrings::Snapshot;
pub(crate) use self::meter::Meter;
use self::origin::{OriginState, Origins};
pub(crate) use self::request::{Job, Prepared};
pub(crate) use self::retry::later;
pub(crate) use self::shares::Shares;
use self::signing::Signing;
pub(crate) use self::signing::Unsigned;
pub(crate) use self::stops::Leave;
use self::trial::{Made, Settled, Step, Trial};
use crate::engine::encryption::Encryptor;
use crate::engine::response::{self, Classified};
use crate::engine::vapid::{Keyring, Readiness, Token, Vapid};
use crate::store::{Change, Coding, Entry};
use crate::telemetry::{Instruments, Service, Stopwatch};
use crate::transport::{Transport, TransportError};
use crate::{
    Clock, EndpointPolicy, KeyId, Message, Origin, Outcome, OutcomeKind, ResponseDetail, SkipReason,
    Subscription, Ttl,
};

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
    /// What the answers taught about the subscription, at most two changes. Where it is in a store,
    /// [`apply`](crate::store::SubscriptionStore::apply) them there.
    pub changes: Vec<Change>,
}

/// What all attempts share.
pub(crate) struct Core {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) content_type: Option<HeaderValue>,
    encryptor: Arc<dyn Encryptor>,
    legacy_encryptor: Option<Arc<dyn Encryptor>>,
    pub(crate) keyrings: Keyrings,
    pub(crate) instruments: Instruments,
    pub(crate) origins: Origins,
    pub(crate) policy: EndpointPolicy,
    pub(crate) retry: RetryPolicy,
    pub(crate) signing: Signing,
    pub(crate) transport: Arc<dyn Transport>,
    rng: Mutex<fastrand::Rng>,
}

impl Core {
    /// What encrypts in this coding.
    pub(crate) const fn encryptor(&self, coding: Coding) -> Option<&Arc<dyn Encryptor>> {
        match coding {
            Coding::Aes128Gcm => Some(&self.encryptor),
            Coding::AesGcm => self.legacy_encryptor.as_ref(),
        }
    }

    /// A number from 0 to 1, for jitter.
    pub(crate) fn draw(&self) -> f64 {
        self.rng.lock().expect("no panic while drawing").f64()
    }

    /// Sends a request, tells its origin that it was answered, and reads the answer. `attempt`
    /// counts from 1.
    pub(crate) async fn exchange(
        &self,
        origin: &OriginState,
        subscription: &Subscription,
        ttl: Ttl,
        attempt: u8,
        request: Request<Bytes>,
    ) -> Result<Classified, TransportError> {
        let span = tracing::trace_span!(
            "delivery",
            service = %subscription.endpoint().vendor(),
            origin = %origin.origin(),
            subscription = %subscription.id(),
            attempt,
            octets = request.body().len(),
            status = tracing::field::Empty,
            error = tracing::field::Empty,
        );
        if attempt == 1 {
            origin.earn(Instant::now());
        }
        let counted = origin.service().exchange();
        // Of an `Arc` it would be one box around another.
        match (*self.transport).send(request).instrument(span.clone()).await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                span.record("status", status);
                counted.answered(status);
                origin.answered(Instant::now());
                Ok(response::classify(subscription.endpoint(), ttl, &answer, self.clock.now()))
            }
            Err(error) => {
                let kind = error.kind().as_str();
                span.record("error", kind);
                counted.failed(kind);
                Err(error)
            }
        }
    }

    /// The token of a request to this origin, waiting for a signer where there is one; none where the
    /// key is at hand.
    async fn token(&self, vapid: &Vapid, origin: &Origin) -> Result<Option<Token>, Unsigned> {
        let mut readiness = vapid.readiness(origin.as_str());
        if matches!(readiness, Readiness::Missing) {
            self.signing.token(vapid, origin).0.await?;
            readiness = vapid.readiness(origin.as_str());
        }
        match readiness {
            Readiness::OnDemand => Ok(None),
            Readiness::Ready { token, ending } => {
                if ending {
                    self.signing.next_token(vapid, origin);
                }
                Ok(Some(token))
            }
            // Others took its place in the cache at once.
            Readiness::Missing => Err(Unsigned { until: Instant::now() }),
        }
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
            .field("legacy_encryptor", &self.legacy_encryptor)
            .field("keyring", &self.keyrings.current())
            .field("policy", &self.policy)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl Sender {
    /// A sender in the making: with these keys, over this transport.
    pub fn builder(keyring: impl Into<Keyring>, transport: impl Transport) -> SenderBuilder {
        SenderBuilder::new(keyring.into(), Arc::new(transport))
    }

    /// Sends `message` to one subscription, to its end: repeats are waited for, within the
    /// [`RetryPolicy`] and the message's lifetime. That may take hours when the push service asks
    /// for it; wrap it in a timeout where that is too long.
    ///
    /// A pause that other messages brought about is not waited for: this one asks for itself.
    ///
    /// The subscription takes the usual coding, and nothing else is known of it.
    /// [`send_to`](Self::send_to) is for those in a store.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the message: it may have been accepted or not.
    pub async fn send(&self, subscription: &Subscription, message: &Message) -> Sent {
        self.send_as(&Recipient::of(subscription), message).await
    }

    /// Sends `message` to one stored subscription as [`send`](Self::send) does, in its coding, with
    /// its VAPID key and within its payload limit, and does not send to one that waits for renewal.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// use webpush_channels::engine::vapid::{Vapid, VapidKey};
    /// use webpush_channels::sender::Sender;
    /// use webpush_channels::store::{Change, MemoryStore, NewEntry, SubscriptionStore as _};
    /// use webpush_channels::testing::{StubReply, StubTransport, UserAgent};
    /// use webpush_channels::{Message, Payload, Ttl, UserId};
    ///
    /// # let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    /// # let transport = StubTransport::new();
    /// # let store = MemoryStore::new();
    /// # let ada = UserId::new("ada")?;
    /// # let phone = UserAgent::new().subscribe("https://push.example.net/p/1".parse()?);
    /// # store.put(&[NewEntry::new(ada.clone(), phone)]).await?;
    /// # transport.script_all([StubReply::status(http::StatusCode::PAYLOAD_TOO_LARGE)]);
    /// # let sender = Sender::builder(vapid, transport).build();
    /// let message = Message::new(Payload::new("an article ".repeat(300))?, Ttl::hours(1))
    ///     .with_fallback(Payload::new("article 4711")?);
    /// for entry in store.subscriptions(&ada).await? {
    ///     let sent = sender.send_to(&entry, &message).await;
    ///     let changes: Vec<_> = sent.changes.iter().map(|change| (entry.reference(), *change)).collect();
    ///     store.apply(&changes).await?;
    /// #   assert!(sent.outcome.is_accepted());
    /// #   assert_eq!((sent.attempts, &*sent.changes), (2, &[Change::LimitPayload(3583)][..]));
    /// }
    /// # assert_eq!(store.subscriptions(&ada).await?[0].payload_limit, Some(3583));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send).
    pub async fn send_to(&self, entry: &Entry, message: &Message) -> Sent {
        let Entry { subscription, key, coding, payload_limit, needs_renewal, .. } = entry;
        let recipient = Recipient {
            subscription,
            key: *key,
            coding: *coding,
            payload_limit: *payload_limit,
            needs_renewal: *needs_renewal,
        };
        self.send_as(&recipient, message).await
    }

    async fn send_as(&self, to: &Recipient<'_>, message: &Message) -> Sent {
        let mut trial = Trial::default();
        let keyring = self.core.keyrings.current();
        let settled = match trial::refusal(&self.core, &keyring, to.subscription, to.key, to.needs_renewal) {
            Some(settled) => settled,
            None => self.attempts(to, message, &mut trial).await,
        };
        let service = self.core.instruments.of(to.subscription.endpoint().vendor());
        tell(service, to.subscription, settled.outcome.kind(), trial.attempts);
        Sent {
            changes: settled.changes().into_iter().flatten().collect(),
            outcome: settled.outcome,
            detail: settled.detail.map(|detail| *detail),
            attempts: trial.attempts,
        }
    }

    /// Changes the keys, for all clones of this sender and all channels over it, while broadcasts
    /// run: what is not sent yet is sent with the new ones. A request that was made already keeps
    /// the key that it was made with.
    ///
    /// With several nodes, change the keyring of each: add the new key as an older one everywhere
    /// before one node prefers it.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # {
    /// use webpush_channels::engine::vapid::{Contact, Keyring, Vapid, VapidKey};
    /// use webpush_channels::sender::Sender;
    /// use webpush_channels::testing::StubTransport;
    ///
    /// let contact: Contact = "mailto:ops@example.org".parse()?;
    /// let old = Vapid::new(VapidKey::generate()?, contact.clone());
    /// let sender = Sender::builder(old.clone(), StubTransport::new()).build();
    ///
    /// let new = Vapid::new(VapidKey::generate()?, contact);
    /// sender.set_keyring(Keyring::new(new.clone()).with_older(old));
    /// assert_eq!(sender.keyring().preferred().key_id(), new.key_id());
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_keyring(&self, keyring: impl Into<Keyring>) {
        self.core.keyrings.set(keyring.into());
    }

    /// The keys in use.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        self.core.keyrings.current()
    }

    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    async fn attempts(&self, to: &Recipient<'_>, message: &Message, trial: &mut Trial) -> Settled {
        let origin = self.core.origins.of(to.subscription.endpoint());
        loop {
            match self.attempt(to, message, &origin, trial).await {
                Step::Settle(settled) => return settled,
                Step::Again(wait) => {
                    if trial.ttl_left(message.ttl(), later(Instant::now(), wait)).is_none() {
                        return trial.expire();
                    }
                    if let Some(settled) = trial.outlived(&self.core, to.subscription, wait) {
                        return settled;
                    }
                    tokio::time::sleep(wait).await;
                    if let Some(settled) = self.pay(message, &origin, trial).await {
                        return settled;
                    }
                }
            }
        }
    }

    /// Waits until the origin's budget has a retry; returns the end where the lifetime is over first.
    async fn pay(&self, message: &Message, origin: &OriginState, trial: &mut Trial) -> Option<Settled> {
        let budget = origin.budget().filter(|_| trial.is_retry())?;
        loop {
            let now = Instant::now();
            if origin.pay(now) {
                return None;
            }
            let due = budget.book(self.core.draw(), now);
            if trial.ttl_left(message.ttl(), due).is_none() {
                return Some(trial.expire());
            }
            tokio::time::sleep_until(due).await;
        }
    }

    async fn attempt(
        &self,
        to: &Recipient<'_>,
        message: &Message,
        origin: &OriginState,
        trial: &mut Trial,
    ) -> Step {
        let (core, subscription) = (&*self.core, to.subscription);
        let (fitting, Fitted { plaintext, has_fallback }) = match to.fit(core, message, trial) {
            Ok(fitted) => fitted,
            Err(settled) => return settled.into(),
        };
        let keyring = core.keyrings.current();
        let Some(vapid) = trial.vapid(&keyring, to.key) else {
            return trial.keyless(&keyring, to.key).into();
        };
        let now = Instant::now();
        match origin.leave(vapid.key_id(), || subscription.id(), now) {
            Leave::Go => {}
            Leave::Wait(until) => {
                // It pays again when it comes back.
                if let Some(budget) = origin.budget().filter(|_| trial.is_retry()) {
                    budget.give_back(now);
                }
                return Step::Again(until.duration_since(now));
            }
            Leave::Stopped(stop) => return trial.settle_stopped(stop).into(),
        }
        let mut leave = Taken { origin: Some(origin), key: vapid.key_id(), subscription };
        let token = core.token(vapid, origin.origin()).await;
        let now = Instant::now();
        let token = match token {
            Ok(token) => token,
            Err(unsigned) => return trial.unsigned(core, &unsigned, now),
        };
        let Some(ttl) = trial.ttl_left(message.ttl(), now) else {
            return trial.expire().into();
        };
        if let Some(settled) = trial.outlived(core, subscription, Duration::ZERO) {
            return settled.into();
        }
        let (token, content_type) = (token.as_ref(), core.content_type.as_ref());
        let job = Job { subscription, vapid, token, ttl, message, content_type, broadcast: None };
        let watch = Stopwatch::start();
        let Ok(Prepared { request, generation }) = job.prepare(fitting.encryptor, &plaintext) else {
            return trial.engine_failed().into();
        };
        core.instruments.encrypted(1, watch);
        let body_len = request.body().len();
        // Some encryptors pad by a rule of their own.
        if !fitting.takes(body_len) {
            if has_fallback {
                trial.refused = true;
                return Step::Again(Duration::ZERO);
            }
            return trial.settle(Outcome::TooLarge).into();
        }
        trial.begin(now);
        let classified = core.exchange(origin, subscription, ttl, trial.attempts, request).await;
        leave.used();
        let (bound, has_topic) = (to.key, message.collapse_key().is_some());
        let keyring = &core.keyrings.current();
        let made =
            Made { vapid, keyring, bound, generation, has_topic, body_len, has_fallback, subscription };
        trial.judge(core, origin, &made, classified, Instant::now())
    }
}

/// Leave to make a request, which may be a probe: where none is made, or its answer is not waited for, others may.
struct Taken<'a> {
    /// None once there was an answer.
    origin: Option<&'a OriginState>,
    key: KeyId,
    subscription: &'a Subscription,
}

impl Taken<'_> {
    /// There is an answer, or a failure.
    const fn used(&mut self) {
        self.origin = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(origin) = self.origin {
            origin.unproven(self.key, || self.subscription.id());
        }
    }
}

/// What is known of whom a message goes to.
#[derive(Debug)]
struct Recipient<'a> {
    subscription: &'a Subscription,
    key: Option<KeyId>,
    coding: Coding,
    payload_limit: Option<u16>,
    needs_renewal: bool,
}

impl<'a> Recipient<'a> {
    const fn of(subscription: &'a Subscription) -> Self {
        let (key, payload_limit) = (None, None);
        Self { subscription, key, coding: Coding::Aes128Gcm, payload_limit, needs_renewal: false }
    }

    /// What is encrypted next.
    fn fit<'c>(
        &self,
        core: &'c Core,
        message: &Message,
        trial: &mut Trial,
    ) -> Result<(Fitting<'c>, Fitted), Settled> {
        let limit = trial.limit.or(self.payload_limit);
        let Some(fitting) = core.fitting(self.coding, limit, trial.refused) else {
            return Err(trial.settle(Outcome::Skipped(SkipReason::Coding)));
        };
        let fitted = fitting.choose(message.payload(), message);
        fitted.map(|fitted| (fitting, fitted)).ok_or_else(|| trial.settle(Outcome::TooLarge))
    }
}

/// Counts the outcome for one subscription, and tells whoever listens closely.
pub(crate) fn tell(service: &Service, subscription: &Subscription, outcome: OutcomeKind, attempts: u8) {
    service.delivered(outcome);
    tracing::trace!(
        service = %subscription.endpoint().vendor(),
        subscription = %subscription.id(),
        %outcome,
        attempts,
        "settled"
    );
}

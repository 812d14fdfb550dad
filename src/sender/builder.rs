//! A sender in the making.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use http::HeaderValue;

use super::keyrings::Keyrings;
use super::meter::OriginRates;
use super::origin::Origins;
use super::signing::Signing;
use super::{Core, RetryPolicy, Sender};
use crate::engine::encryption::{Encryption, Encryptor};
use crate::engine::vapid::Keyring;
use crate::telemetry::Instruments;
use crate::transport::Transport;
use crate::{Clock, EndpointPolicy, SystemClock, Vendor};

/// A [`Sender`] in the making. Everything has a default but the keys and the transport.
#[derive(Debug)]
pub struct SenderBuilder {
    clock: Arc<dyn Clock>,
    content_type: Option<HeaderValue>,
    encryptor: Arc<dyn Encryptor>,
    legacy_encryptor: Option<Arc<dyn Encryptor>>,
    keyring: Keyring,
    origin_rates: OriginRates,
    per_origin: usize,
    policy: EndpointPolicy,
    retry: RetryPolicy,
    seed: Option<u64>,
    transport: Arc<dyn Transport>,
}

impl SenderBuilder {
    pub(super) fn new(keyring: Keyring, transport: Arc<dyn Transport>) -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            content_type: None,
            encryptor: Encryption::fastest(),
            legacy_encryptor: Encryption::legacy(),
            keyring,
            origin_rates: OriginRates::default(),
            per_origin: 1024,
            policy: EndpointPolicy::public_internet(),
            retry: RetryPolicy::default(),
            seed: None,
            transport,
        }
    }

    /// Another encryptor than [`Encryption::fastest`].
    #[must_use]
    pub fn encryptor(mut self, encryptor: impl Encryptor) -> Self {
        self.encryptor = Arc::new(encryptor);
        self
    }

    /// Another encryptor than [`Encryption::legacy`] for subscriptions that ask for the legacy coding
    /// ([`Coding::AesGcm`](crate::store::Coding::AesGcm)). Without any they are [skipped](crate::SkipReason::Coding).
    #[must_use]
    pub fn legacy_encryptor(mut self, encryptor: impl Encryptor) -> Self {
        self.legacy_encryptor = Some(Arc::new(encryptor));
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

    /// Another retry policy than the default: how often, how long apart, and how many at one push
    /// service ([`RetryBudget`](super::RetryBudget)), over all broadcasts and single messages of this
    /// sender.
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

    /// The most requests that start at one push service in a minute, repeats included, over all
    /// broadcasts of this sender. No limit. Single messages of [`Sender::send`] neither count nor
    /// wait.
    ///
    /// What has to wait does so in the queue of its push service, where it holds nobody else's place;
    /// of more than that the window is relieved as it is of a push service that asked to wait. What
    /// was not sent within the last tenth of a second may be made up for, and one request in any case:
    /// in no time `t` more start than in `t` at this rate and in a tenth of a second.
    ///
    /// It is this process's rate: with several nodes, divide it. `transport::RateLimited` keeps to a
    /// rate as well, but in the transport, where whoever waits holds a place.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # {
    /// use std::num::NonZeroU32;
    /// use webpush_channels::Vendor;
    /// # use webpush_channels::engine::vapid::{Vapid, VapidKey};
    /// # use webpush_channels::sender::Sender;
    /// # use webpush_channels::testing::StubTransport;
    /// # let vapid = Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap());
    /// # let builder = Sender::builder(vapid, StubTransport::new());
    ///
    /// const THOUSAND: NonZeroU32 = NonZeroU32::new(1000).unwrap();
    ///
    /// // What Chrome allows a site that it finds disruptive.
    /// let sender = builder.vendor_rate(Vendor::Fcm, THOUSAND).build();
    /// # }
    /// ```
    #[must_use]
    pub const fn origin_rate(mut self, per_minute: NonZeroU32) -> Self {
        self.origin_rates.set(per_minute);
        self
    }

    /// The same for one vendor, in the place of [`origin_rate`](Self::origin_rate): all hosts of a
    /// vendor share the rate. Only those of [`Vendor::Other`] have it each for itself.
    ///
    /// Chrome limits sites that it finds disruptive to 1000 messages a minute (Q-F5).
    #[must_use]
    pub fn vendor_rate(mut self, vendor: Vendor, per_minute: NonZeroU32) -> Self {
        self.origin_rates.set_for(vendor, per_minute);
        self
    }

    /// Draws jitter and order from this seed, for tests. Keys and salts are not drawn from it.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The sender. With the feature `metrics`, it counts with the recorder that is installed now.
    #[must_use]
    pub fn build(self) -> Sender {
        let rng = self.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let instruments = Instruments::new();
        Sender {
            core: Arc::new(Core {
                clock: self.clock,
                content_type: self.content_type,
                encryptor: self.encryptor,
                legacy_encryptor: self.legacy_encryptor,
                keyrings: Keyrings::new(self.keyring),
                origins: Origins::new(self.per_origin, self.origin_rates, self.retry.budget, &instruments),
                instruments,
                policy: self.policy,
                retry: self.retry,
                signing: Signing::new(),
                transport: self.transport,
                rng: Mutex::new(rng),
            }),
        }
    }
}

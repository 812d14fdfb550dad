//! What is sent: a payload and how to treat it.

mod collapse;
mod padding;
mod payload;
mod ttl;
mod urgency;

pub use self::collapse::{CollapseKey, CollapseKeyError};
pub use self::padding::Padding;
pub use self::payload::{Payload, PayloadError};
pub use self::ttl::{Ttl, TtlError};
pub use self::urgency::{Urgency, UrgencyError};

/// A push message, before it is encrypted for anybody.
///
/// The payload and the lifetime have no default: a hidden TTL of 0 loses every message to a
/// device that is offline, a hidden one of four weeks surprises people (H-6).
///
/// ```
/// use webpush_channels::{CollapseKey, Message, Payload, Ttl, Urgency};
///
/// let message = Message::new(Payload::new("3 new letters")?, Ttl::hours(4))
///     .with_urgency(Urgency::High)
///     .with_collapse_key(CollapseKey::new("inbox")?);
/// assert_eq!(message.ttl().as_secs(), 14_400);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    payload: Payload,
    fallback: Option<Payload>,
    ttl: Ttl,
    urgency: Urgency,
    collapse_key: Option<CollapseKey>,
    padding: Padding,
}

impl Message {
    /// A message of normal urgency, padded to a multiple of 256 octets, that collapses with no
    /// other.
    #[must_use]
    pub fn new(payload: Payload, ttl: Ttl) -> Self {
        Self {
            payload,
            fallback: None,
            ttl,
            urgency: Urgency::default(),
            collapse_key: None,
            padding: Padding::default(),
        }
    }

    /// The same message with another urgency.
    #[must_use]
    pub const fn with_urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    /// The same message, replacing an undelivered one with the same key (RFC 8030 section 5.4).
    /// It also makes repeats after an ambiguous failure harmless while undelivered (H-21).
    #[must_use]
    pub fn with_collapse_key(mut self, key: CollapseKey) -> Self {
        self.collapse_key = Some(key);
        self
    }

    /// The same message with a smaller payload for subscriptions that do not take the first.
    ///
    /// It is sent where the payload, padded as the message asks, is longer than the encryptor or
    /// the subscription takes, and when a push service refuses the payload as too large (413): at
    /// once, encrypted with a fresh key and salt (E-34). What the refusal taught is remembered for
    /// the subscription, so that the next broadcast begins with the fallback (Q-M5). Where its own
    /// padding would make it too long, it has none.
    ///
    /// A fallback that is not shorter than the payload is never sent. An empty one is: without a
    /// body, it only wakes the service worker up.
    ///
    /// ```
    /// use webpush_channels::{Message, Payload, Ttl};
    ///
    /// let article = "a very long article ".repeat(180);
    /// let message = Message::new(Payload::new(article)?, Ttl::hours(4))
    ///     .with_fallback(Payload::new("article 4711")?);
    /// assert_eq!(message.fallback().map(Payload::len), Some(12));
    /// # Ok::<(), webpush_channels::PayloadError>(())
    /// ```
    #[must_use]
    pub fn with_fallback(mut self, payload: Payload) -> Self {
        self.fallback = Some(payload);
        self
    }

    /// The same message with another padding.
    #[must_use]
    pub const fn with_padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// The payload.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What is sent where the payload is too large.
    #[must_use]
    pub const fn fallback(&self) -> Option<&Payload> {
        self.fallback.as_ref()
    }

    /// How long the push service may keep it.
    #[must_use]
    pub const fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// How urgent it is for the device's battery.
    #[must_use]
    pub const fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// What it collapses with.
    #[must_use]
    pub const fn collapse_key(&self) -> Option<&CollapseKey> {
        self.collapse_key.as_ref()
    }

    /// How its length is hidden.
    #[must_use]
    pub const fn padding(&self) -> Padding {
        self.padding
    }
}

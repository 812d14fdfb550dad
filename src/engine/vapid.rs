//! VAPID (RFC 8292): who sends, proven to the push service.
//!
//! [`VapidKey`] signs, [`Contact`] says whom the push service can reach, [`Vapid`] puts both into
//! the `Authorization` of a request and keeps the tokens, [`Keyring`] holds several signers while
//! a key is changed.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock, unix_seconds};
use crate::{KeyId, Origin, SubscriptionId};

mod cache;
mod contact;
mod key;
mod keyring;
mod secret;
mod token;
mod topic;

pub use self::contact::{Contact, ContactError};
pub use self::key::{VapidKey, VapidKeyError};
pub use self::keyring::Keyring;
pub use self::secret::{SecretOctets, SecretText};
pub use self::token::Token;
pub use self::topic::{Topic, TopicError, TopicInput};

use self::cache::TokenCache;
use self::token::Term;
use self::topic::TopicKey;

/// The vendors of browsers need a handful of tokens; the rest is for self-hosted push services.
const CACHE_CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("1024 is not zero");

/// Signs requests with one key, in the name of one contact.
///
/// Tokens are kept per origin and reused (V-15). A token belongs to a slot of six hours that
/// begins at 0, 6, 12 and 18 o'clock UTC and expires 18 hours after the slot began; because
/// signatures are deterministic, all nodes with the same key and contact make the same token, and
/// none of them renews it more often than the slots change (V-16, V-17). Cloning is cheap, and
/// clones share the tokens.
///
/// ```
/// use webpush_channels::Endpoint;
/// use webpush_channels::engine::vapid::{Vapid, VapidKey};
///
/// let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
/// let endpoint: Endpoint = "https://push.example.net/p/x".parse()?;
/// let token = vapid.authorization(&endpoint.origin());
/// assert!(token.header.to_str()?.starts_with("vapid t="));
/// assert!(token.header.is_sensitive());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Vapid(Arc<Inner>);

struct Inner {
    signer: Arc<Signer>,
    clock: Arc<dyn Clock>,
    tokens: TokenCache,
}

struct Signer {
    key: VapidKey,
    contact: Contact,
    topic_key: TopicKey,
    application_server_key: String,
}

impl Vapid {
    /// A signer by the system's clock that keeps 1024 tokens.
    #[must_use]
    pub fn new(key: VapidKey, contact: Contact) -> Self {
        let application_server_key = key.application_server_key();
        let signer = Signer { topic_key: TopicKey::of(&key), key, contact, application_server_key };
        Self::of(Arc::new(signer), Arc::new(SystemClock), CACHE_CAPACITY)
    }

    /// The same signer by another clock, without tokens yet.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self::of(Arc::clone(&self.0.signer), clock, self.0.tokens.capacity())
    }

    /// The same signer keeping at most as many tokens, without any yet. One is a few hundred octets.
    #[must_use]
    pub fn with_cache_capacity(self, tokens: NonZeroUsize) -> Self {
        Self::of(Arc::clone(&self.0.signer), Arc::clone(&self.0.clock), tokens)
    }

    /// The `Authorization` for a request to this origin.
    ///
    /// The token is made at the first request of a slot (about 0.2 ms) and shared afterwards.
    #[must_use]
    pub fn authorization(&self, origin: &Origin) -> Token {
        self.authorization_str(origin.as_str())
    }

    /// As [`authorization`](Self::authorization), for the origin inside an endpoint: no
    /// allocation where the token is known.
    pub(crate) fn authorization_str(&self, origin: &str) -> Token {
        self.0.tokens.get_or_make(origin, self.now(), |term| self.0.signer.token(origin, term))
    }

    /// Asks for another token after the push service refused the one of this generation with 401
    /// or 403.
    ///
    /// Where somebody renewed meanwhile, or the slot has changed since, that newer token is the
    /// answer. Else a token is made that expires 12 hours from now, in case the service disliked
    /// the slot's, and replaces it for six hours; at most once an hour for an origin (R-21),
    /// because Apple punishes more (V-16). Safe to call from many tasks at once: one renews.
    ///
    /// The hour is remembered as long as the renewal is among the most recently used 1024 (or what
    /// [`with_cache_capacity`](Self::with_cache_capacity) says) of *renewed* origins, whatever
    /// other origins are used meanwhile. Nodes renew each for themselves.
    ///
    /// ```
    /// use webpush_channels::Endpoint;
    /// use webpush_channels::engine::vapid::{Renewal, Vapid, VapidKey};
    ///
    /// let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    /// let origin = "https://push.example.net/p/x".parse::<Endpoint>()?.origin();
    /// let refused = vapid.authorization(&origin);
    /// let Renewal::Renewed(token) = vapid.renew_after(&origin, refused.generation) else {
    ///     panic!("the first renewal is never too soon");
    /// };
    /// assert_ne!(token.header, refused.header);
    /// assert!(matches!(vapid.renew_after(&origin, token.generation), Renewal::TooSoon));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn renew_after(&self, origin: &Origin, refused_generation: u32) -> Renewal {
        let origin = origin.as_str();
        self.0.tokens.renew(origin, refused_generation, self.now(), |term| self.0.signer.token(origin, term))
    }

    /// The topic that makes a message replace an undelivered one of the same subscription.
    ///
    /// A keyed hash, so that the push service learns neither the name nor which subscriptions
    /// share one (H-10); equal on all nodes with the same key.
    #[must_use]
    pub fn topic(&self, subscription: &SubscriptionId, input: TopicInput<'_>) -> Topic {
        self.0.signer.topic_key.topic(subscription, input)
    }

    /// The id of the key, to remember with each subscription (V-13).
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.0.signer.key.id()
    }

    /// What pages subscribe with: the public key in base64url. Not secret.
    #[must_use]
    pub fn application_server_key(&self) -> &str {
        &self.0.signer.application_server_key
    }

    /// Whom the push service can reach.
    #[must_use]
    pub fn contact(&self) -> &Contact {
        &self.0.signer.contact
    }

    fn of(signer: Arc<Signer>, clock: Arc<dyn Clock>, capacity: NonZeroUsize) -> Self {
        Self(Arc::new(Inner { signer, clock, tokens: TokenCache::new(capacity) }))
    }

    fn now(&self) -> u64 {
        unix_seconds(self.0.clock.now())
    }
}

impl Signer {
    fn token(&self, origin: &str, term: Term) -> Token {
        let jwt = token::sign(&self.key, &self.contact, origin, term.exp);
        let header = token::authorization(&jwt, &self.application_server_key);
        Token { header, generation: term.generation }
    }
}

impl fmt::Debug for Vapid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vapid")
            .field("key", &self.key_id())
            .field("contact", self.contact())
            .field("tokens", &self.0.tokens.len())
            .finish_non_exhaustive()
    }
}

/// The answer to a request for another token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Renewal {
    /// A newer token than the refused one: repeat the request with it.
    Renewed(Token),
    /// The last renewal is less than an hour ago and did not help: stop sending to the origin and
    /// tell somebody.
    TooSoon,
}

#[cfg(test)]
mod tests;

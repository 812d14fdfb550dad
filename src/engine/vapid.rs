//! VAPID (RFC 8292): who sends, proven to the push service.
//!
//! [`VapidKey`] signs, or a [`Signer`] where the key cannot be read; [`Contact`] says whom the push
//! service can reach; [`Vapid`] puts both into the `Authorization` of a request and keeps the
//! tokens; [`Keyring`] holds several keys while one is changed.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock, unix_seconds};
use crate::telemetry::Signed;
use crate::{KeyId, Origin, PublicKey, SubscriptionId};

mod cache;
mod contact;
mod key;
mod keyring;
mod secret;
mod signer;
mod token;
mod topic;

pub use self::contact::{Contact, ContactError};
pub use self::key::{VapidKey, VapidKeyError};
pub use self::keyring::{KeyAdvice, Keyring, RetireError};
pub use self::secret::{SecretOctets, SecretText};
pub use self::signer::{SignError, SignErrorKind, Signer};
pub use self::token::Token;
pub use self::topic::{Topic, TopicError, TopicInput, TopicKey};

use self::cache::TokenCache;
use self::token::Term;

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
/// let token = vapid.authorization(&endpoint.origin())?;
/// assert!(token.header.to_str()?.starts_with("vapid t="));
/// assert!(token.header.is_sensitive());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Vapid(Arc<Inner>);

struct Inner {
    identity: Arc<Identity>,
    clock: Arc<dyn Clock>,
    tokens: TokenCache,
}

/// In whose name tokens are made.
struct Identity {
    key: Key,
    id: KeyId,
    contact: Contact,
    topic_key: TopicKey,
    public_key: PublicKey,
    application_server_key: String,
    signed: Signed,
}

enum Key {
    /// At hand: signs where it is needed.
    Here(VapidKey),
    /// Elsewhere: has to be waited for.
    Elsewhere(Arc<dyn Signer>),
}

/// What there is to sign a request with, without waiting.
#[cfg(feature = "channel")]
#[derive(Debug)]
pub(crate) enum Readiness {
    /// The key is at hand: the token is made when the request is.
    OnDemand,
    /// A signer's token. `ending`: it is time to have the next one signed.
    Ready { token: Token, ending: bool },
    /// A signer has to be waited for.
    Missing,
}

impl Vapid {
    /// With a key at hand, by the system's clock, keeping 1024 tokens. With the feature
    /// `metrics`, it counts what it signs with the recorder that is installed now.
    #[must_use]
    pub fn new(key: VapidKey, contact: Contact) -> Self {
        let (public_key, topic_key) = (key.public().clone(), TopicKey::of(&key));
        Self::of_key(Key::Here(key), public_key, topic_key, contact)
    }

    /// The same with a key that is elsewhere: in a KMS or an HSM. Its signatures are checked.
    #[must_use]
    pub fn with_signer(signer: impl Signer, contact: Contact) -> Self {
        let (public_key, topic_key) = (signer.public_key().clone(), signer.topic_key());
        Self::of_key(Key::Elsewhere(Arc::new(signer)), public_key, topic_key, contact)
    }

    fn of_key(key: Key, public_key: PublicKey, topic_key: TopicKey, contact: Contact) -> Self {
        let id = KeyId::of_public_key(public_key.as_bytes());
        let application_server_key = public_key.to_base64url();
        let signed = Signed::new();
        let identity = Identity { key, id, contact, topic_key, public_key, application_server_key, signed };
        Self::of(Arc::new(identity), Arc::new(SystemClock), CACHE_CAPACITY)
    }

    /// The same by another clock, without tokens yet.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self::of(Arc::clone(&self.0.identity), clock, self.0.tokens.capacity())
    }

    /// The same keeping at most as many tokens, without any yet. One is a few hundred octets.
    #[must_use]
    pub fn with_cache_capacity(self, tokens: NonZeroUsize) -> Self {
        Self::of(Arc::clone(&self.0.identity), Arc::clone(&self.0.clock), tokens)
    }

    /// The `Authorization` for a request to this origin.
    ///
    /// With a key at hand the token is made at the first request of a slot (about 0.2 ms) and
    /// shared afterwards; it never fails.
    ///
    /// # Errors
    ///
    /// [`SignErrorKind::NotReady`]: the key is behind a [`Signer`], and no token of this slot is
    /// there. [`authorize`](Self::authorize) makes it.
    pub fn authorization(&self, origin: &Origin) -> Result<Token, SignError> {
        self.authorization_str(origin.as_str())
    }

    /// As [`authorization`](Self::authorization), for the origin inside an endpoint: no
    /// allocation where the token is known.
    pub(crate) fn authorization_str(&self, origin: &str) -> Result<Token, SignError> {
        let (tokens, now) = (&self.0.tokens, self.now());
        match &self.0.identity.key {
            Key::Here(key) => {
                Ok(tokens.get_or_make(origin, now, |term| self.0.identity.token(key, origin, term)))
            }
            Key::Elsewhere(_) => {
                tokens.find(origin, now).map_err(|_| SignError::new(SignErrorKind::NotReady))
            }
        }
    }

    /// The `Authorization` for a request to this origin, waiting for the [`Signer`] where the key
    /// is elsewhere and the token is not there.
    ///
    /// Callers that ask at the same time each have one signed; `Sender` lets one ask for all.
    ///
    /// # Errors
    ///
    /// What the signer says, or [`SignErrorKind::Faulty`] when its signature does not fit its
    /// public key: push services would answer it with 403.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn authorize(&self, origin: &Origin) -> Result<Token, SignError> {
        let Key::Elsewhere(signer) = &self.0.identity.key else { return self.authorization(origin) };
        let (tokens, origin) = (&self.0.tokens, origin.as_str());
        loop {
            let term = match tokens.find(origin, self.now()) {
                Ok(token) => return Ok(token),
                Err(term) => term,
            };
            let token = self.0.identity.ask(&**signer, origin, term).await?;
            // None where the slot ended, or the token was refused, while it was signed.
            if let Some(token) = tokens.offer(origin, self.now(), term, token) {
                return Ok(token);
            }
        }
    }

    /// Has the [`Signer`] make the next token of an origin while the present one is still used, when
    /// that one is used for less than ten minutes more; else, and with a key at hand, nothing
    /// happens. `Sender` does this by itself.
    ///
    /// # Errors
    ///
    /// As [`authorize`](Self::authorize). The present token stays.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn authorize_ahead(&self, origin: &Origin) -> Result<(), SignError> {
        let origin = origin.as_str();
        if let Key::Elsewhere(signer) = &self.0.identity.key
            && let Some(term) = self.0.tokens.next_term(origin, self.now())
        {
            let token = self.0.identity.ask(&**signer, origin, term).await?;
            self.0.tokens.keep_next(origin, self.now(), term, token);
        }
        Ok(())
    }

    /// What there is to sign with for an origin, without waiting.
    #[cfg(feature = "channel")]
    pub(crate) fn readiness(&self, origin: &str) -> Readiness {
        match &self.0.identity.key {
            Key::Here(_) => Readiness::OnDemand,
            Key::Elsewhere(_) => {
                let now = self.now();
                match (self.0.tokens.find(origin, now), self.0.tokens.next_term(origin, now)) {
                    (Ok(token), next) => Readiness::Ready { token, ending: next.is_some() },
                    (Err(_), _) => Readiness::Missing,
                }
            }
        }
    }

    /// Asks for another token after the push service refused the one of this generation with 401
    /// or 403.
    ///
    /// Where somebody renewed meanwhile, or the slot has changed since, that newer token is the
    /// answer. Else a token is made that expires 12 hours from now, in case the service disliked
    /// the slot's, and replaces it for six hours; at most once an hour for an origin (R-21),
    /// because Apple punishes more (V-16). Safe to call from many tasks at once: one renews.
    ///
    /// Where the key is behind a [`Signer`], nothing is signed here: the answer is
    /// [`Renewal::Renewing`], and [`authorize`](Self::authorize) makes that token.
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
    /// let refused = vapid.authorization(&origin)?;
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
        self.0.tokens.renew(origin, refused_generation, self.now(), |term| match &self.0.identity.key {
            Key::Here(key) => Some(self.0.identity.token(key, origin, term)),
            Key::Elsewhere(_) => None,
        })
    }

    /// The topic that makes a message replace an undelivered one of the same subscription.
    ///
    /// A keyed hash, so that the push service learns neither the name nor which subscriptions
    /// share one (H-10); equal on all nodes with the same key.
    #[must_use]
    pub fn topic(&self, subscription: &SubscriptionId, input: TopicInput<'_>) -> Topic {
        self.0.identity.topic_key.topic(subscription, input)
    }

    /// The id of the key, to remember with each subscription (V-13).
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.0.identity.id
    }

    /// What pages subscribe with: the public key in base64url. Not secret.
    #[must_use]
    pub fn application_server_key(&self) -> &str {
        &self.0.identity.application_server_key
    }

    /// Whom the push service can reach.
    #[must_use]
    pub fn contact(&self) -> &Contact {
        &self.0.identity.contact
    }

    fn of(identity: Arc<Identity>, clock: Arc<dyn Clock>, capacity: NonZeroUsize) -> Self {
        Self(Arc::new(Inner { identity, clock, tokens: TokenCache::new(capacity) }))
    }

    fn now(&self) -> u64 {
        unix_seconds(self.0.clock.now())
    }
}

impl Identity {
    fn token(&self, key: &VapidKey, origin: &str, term: Term) -> Token {
        let unsigned = token::unsigned(&self.contact, origin, term.exp);
        let signature = key.sign_now(unsigned.as_bytes());
        self.complete(unsigned, &signature, term)
    }

    async fn ask(&self, signer: &dyn Signer, origin: &str, term: Term) -> Result<Token, SignError> {
        let unsigned = token::unsigned(&self.contact, origin, term.exp);
        let signature = signer.sign(unsigned.as_bytes()).await?;
        // By the key that requests carry: a signer that changed it afterwards is at fault, too.
        if !token::verify(&self.public_key, unsigned.as_bytes(), &signature) {
            return Err(SignError::new(SignErrorKind::Faulty)
                .with_source("the signature does not fit the public key"));
        }
        Ok(self.complete(unsigned, &signature, term))
    }

    fn complete(&self, unsigned: String, signature: &[u8; 64], term: Term) -> Token {
        self.signed.count();
        let jwt = token::signed(unsigned, signature);
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
    /// A newer token is to be signed, by a [`Signer`]: repeat the request with what
    /// [`Vapid::authorize`] answers.
    Renewing,
    /// The last renewal is less than an hour ago and did not help: stop sending to the origin and
    /// tell somebody.
    TooSoon,
}

#[cfg(test)]
mod tests;

//! The seam: what signs.

use std::error::Error;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;

use super::{TopicKey, VapidKey};
use crate::PublicKey;

/// Signs VAPID tokens with a key that may be elsewhere: in a KMS, an HSM, another process.
///
/// It may be slow. Tokens are signed once in six hours for each push service, by one caller at a
/// time, and are signed ahead of their turn while the last ones are still in use. A key that can
/// be read needs no signer: [`Vapid::new`](super::Vapid::new) takes a [`VapidKey`].
///
/// # Contract
///
/// Between whoever implements it and the engine; `testing::signer_suite` checks it.
///
/// - [`public_key`](Self::public_key) and [`topic_key`](Self::topic_key) answer at once and never
///   change: subscriptions are bound to the first, and undelivered messages are replaced by means
///   of the second (V-13, H-10). Both are equal on all nodes.
/// - [`sign`](Self::sign) answers with an ECDSA signature over the SHA-256 of exactly these octets,
///   by the private half of `public_key`, as R and S of 32 octets each (V-2); **not** in DER, which
///   most services return. It need not be deterministic.
/// - Calls at the same time are answered each for its own octets. A call may be dropped at any
///   time, and what is asked afterwards is answered as if it had not been.
/// - What cannot be signed is an error that tells whether to ask again
///   ([`SignErrorKind::Unavailable`]); a signer does not repeat by itself, or not for long: the
///   caller waits 30 seconds at most.
/// - Neither `Debug` nor an error shows the topic key or a token.
///
/// A panic, an answer that never comes and a signature that does not fit cost the messages
/// that wait for this key and origin, and nobody else.
///
/// ```
/// use async_trait::async_trait;
/// use tokio::sync::{mpsc, oneshot};
/// use webpush_channels::PublicKey;
/// use webpush_channels::engine::vapid::{SignError, SignErrorKind, Signer, TopicKey, Vapid, VapidKey};
///
/// type Question = (Vec<u8>, oneshot::Sender<[u8; 64]>);
///
/// /// The key is behind a channel; an HTTP call to a KMS looks the same.
/// #[derive(Debug)]
/// struct Remote {
///     public_key: PublicKey,
///     topic_key: TopicKey,
///     questions: mpsc::Sender<Question>,
/// }
///
/// #[async_trait]
/// impl Signer for Remote {
///     fn public_key(&self) -> &PublicKey {
///         &self.public_key
///     }
///
///     fn topic_key(&self) -> TopicKey {
///         self.topic_key.clone()
///     }
///
///     async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
///         let (answer, signature) = oneshot::channel();
///         let unavailable = || SignError::new(SignErrorKind::Unavailable);
///         let question = (message.to_vec(), answer);
///         self.questions.send(question).await.map_err(|error| unavailable().with_source(error))?;
///         signature.await.map_err(|error| unavailable().with_source(error))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let key = VapidKey::generate()?;
/// let (questions, mut asked) = mpsc::channel::<Question>(8);
/// let remote = Remote {
///     public_key: PublicKey::from_bytes(key.public_key())?,
///     // In earnest: 32 random octets, kept in the same secret store on all nodes.
///     topic_key: TopicKey::from_bytes([7; 32]),
///     questions,
/// };
/// tokio::spawn(async move {
///     while let Some((message, answer)) = asked.recv().await {
///         let _ = answer.send(key.sign(&message).await.expect("a key at hand always signs"));
///     }
/// });
///
/// let vapid = Vapid::with_signer(remote, "mailto:ops@example.org".parse()?);
/// let origin = "https://push.example.net/p/x".parse::<webpush_channels::Endpoint>()?.origin();
/// assert_eq!(vapid.authorization(&origin).unwrap_err().kind(), SignErrorKind::NotReady);
/// let token = vapid.authorize(&origin).await?;
/// assert_eq!(vapid.authorization(&origin)?.header, token.header);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait Signer: Debug + Send + Sync + 'static {
    /// The public half of the key: what browsers subscribe with.
    fn public_key(&self) -> &PublicKey;

    /// What topics are made with: a secret of its own, because the private key cannot be read.
    fn topic_key(&self) -> TopicKey;

    /// Signs the SHA-256 of these octets. Asked for a token, they are all of it but the signature.
    ///
    /// # Errors
    ///
    /// [`SignError`]; the messages that wait are tried again later.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

macro_rules! forward {
    ($($pointer:ident)+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Signer + ?Sized> Signer for $pointer<T> {
            fn public_key(&self) -> &PublicKey {
                (**self).public_key()
            }

            fn topic_key(&self) -> TopicKey {
                (**self).topic_key()
            }

            async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
                (**self).sign(message).await
            }
        }
    )+};
}

forward!(Arc Box);

/// A key at hand answers at once. Its signatures are deterministic (RFC 6979).
#[async_trait]
impl Signer for VapidKey {
    fn public_key(&self) -> &PublicKey {
        self.public()
    }

    fn topic_key(&self) -> TopicKey {
        TopicKey::of(self)
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.sign_now(message))
    }
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SignErrorKind {
    /// The signer is at fault: its signature does not fit its public key, or it panicked.
    Faulty,
    /// No token for this origin was signed yet. Only of keys behind a [`Signer`]:
    /// [`Vapid::authorize`](super::Vapid::authorize) signs one.
    NotReady,
    /// The signer does not sign with this key: it is disabled, or we lack the permission.
    Refused,
    /// The signer cannot be reached, is busy, or did not answer in time.
    Unavailable,
}

/// A token could not be signed.
///
/// ```
/// use webpush_channels::engine::vapid::{SignError, SignErrorKind};
///
/// let error = SignError::new(SignErrorKind::Unavailable).with_source("connection reset");
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "the signer of the VAPID key cannot be reached now");
/// ```
#[derive(Clone, Debug)]
pub struct SignError {
    kind: SignErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl SignError {
    /// A failure of this kind.
    #[must_use]
    pub const fn new(kind: SignErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// The same with its cause, whose text must not hold a key or a token (S-12).
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> SignErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later, without anybody repairing something.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, SignErrorKind::NotReady | SignErrorKind::Unavailable)
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SignErrorKind::Faulty => {
                "the signer of the VAPID key is faulty: check that it signs ES256 (R and S, no DER) with the private half of its public key"
            }
            SignErrorKind::NotReady => "no VAPID token is signed for this origin yet: call `authorize` first",
            SignErrorKind::Refused => {
                "the signer refuses to sign with the VAPID key: check that it is enabled and that this program may use it"
            }
            SignErrorKind::Unavailable => "the signer of the VAPID key cannot be reached now",
        })
    }
}

impl Error for SignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_has_to_be_repaired() {
        let retryable = |kind| SignError::new(kind).is_retryable();
        assert!(retryable(SignErrorKind::Unavailable) && retryable(SignErrorKind::NotReady));
        assert!(!retryable(SignErrorKind::Faulty) && !retryable(SignErrorKind::Refused));
    }

    #[test]
    fn the_cause_stays_with_the_clones_of_an_error() {
        let error = SignError::new(SignErrorKind::Refused).with_source("key 7 is disabled");
        let clone = error.clone();
        assert_eq!(clone.source().unwrap().to_string(), "key 7 is disabled");
        assert_eq!(clone.to_string(), error.to_string());
    }
}

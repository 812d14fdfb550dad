//! The browser's side of a subscription.

use std::fmt;

use http::header::{CONTENT_ENCODING, HeaderMap};
use p256::SecretKey;
use p256::elliptic_curve::Generate as _;
use sha2::{Digest as _, Sha256};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use self::legacy::Sealed;
use crate::engine::encryption::Encoded;
use crate::{AuthSecret, Endpoint, KeyError, PublicKey, Subscription, SubscriptionKeys};

mod decrypt;
mod fields;
mod legacy;
#[cfg(test)]
mod vectors;

pub use self::decrypt::DecryptError;

pub(super) use self::fields::Fields;

/// A simulated user agent: holds the private half of one subscription's keys and opens what was
/// encrypted for it.
///
/// It shares no code with the encryptors, so that a mistake in them cannot hide in it, and it
/// refuses everything that some browser refuses (see [`DecryptError`]). A real browser drops such
/// a message in silence while the sender sees a 201.
///
/// ```
/// use webpush_channels::testing::{DecryptError, UserAgent};
///
/// let agent = UserAgent::seeded(7);
/// let subscription = agent.subscribe("https://push.example.net/p/7".parse()?);
/// assert_eq!(subscription.keys(), &UserAgent::seeded(7).keys());
/// assert_eq!(agent.decrypt(b"not encrypted"), Err(DecryptError::HeaderTruncated { octets: 13 }));
/// # Ok::<(), webpush_channels::EndpointError>(())
/// ```
#[derive(Clone)]
pub struct UserAgent {
    private: SecretKey,
    public: PublicKey,
    auth: AuthSecret,
}

impl UserAgent {
    /// A user agent with fresh random keys.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness.
    #[must_use]
    pub fn new() -> Self {
        let mut auth = [0; 16];
        getrandom::fill(&mut auth).expect("the operating system gives randomness");
        Self::of(SecretKey::generate(), auth)
    }

    /// The user agent of this number: the same keys in every run and on every machine.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        // Almost every 32 octets are a valid scalar; where they are not, the next ones are.
        let mut attempt = 0;
        let private = loop {
            match SecretKey::from_slice(&*derive(b"private", seed, attempt)) {
                Ok(private) => break private,
                Err(_) => attempt += 1,
            }
        };
        let mut auth = [0; 16];
        auth.copy_from_slice(&derive(b"auth", seed, 0)[..16]);
        Self::of(private, auth)
    }

    /// A user agent with given keys, such as those of published vectors.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotOnCurve`] when the private key is zero or not below the group order.
    pub fn from_keys(private: [u8; 32], auth: [u8; 16]) -> Result<Self, KeyError> {
        let private = Zeroizing::new(private);
        let private = SecretKey::from_slice(&*private).map_err(|_| KeyError::NotOnCurve)?;
        Ok(Self::of(private, auth))
    }

    fn of(private: SecretKey, auth: [u8; 16]) -> Self {
        let point = private.public_key().to_sec1_bytes();
        let public = PublicKey::from_bytes(&point).expect("a private key's point is on the curve");
        Self { private, public, auth: AuthSecret::from_bytes(auth) }
    }

    /// The public half: what `getKey()` gives a page.
    #[must_use]
    pub fn keys(&self) -> SubscriptionKeys {
        SubscriptionKeys::new(self.public.clone(), self.auth.clone())
    }

    /// The subscription of this user agent at an endpoint that some push service gave out.
    #[must_use]
    pub fn subscribe(&self, endpoint: Endpoint) -> Subscription {
        Subscription::new(endpoint, self.keys())
    }

    /// Opens a body in the content coding `aes128gcm` (RFC 8291) and returns what the page sees.
    ///
    /// # Errors
    ///
    /// [`DecryptError`], one variant for each rule.
    pub fn decrypt(&self, body: &[u8]) -> Result<Vec<u8>, DecryptError> {
        decrypt::decrypt(&self.private, &self.public, &self.auth, body)
    }

    /// Opens what an encryptor wrote, in the coding that it says: `aes128gcm` as
    /// [`decrypt`](Self::decrypt) does, the legacy `aesgcm` with the salt and the key that come
    /// beside the body (E-51, E-52).
    ///
    /// # Errors
    ///
    /// [`DecryptError`], one variant for each rule.
    pub fn open(&self, encoded: &Encoded, body: &[u8]) -> Result<Vec<u8>, DecryptError> {
        match encoded {
            Encoded::Aes128Gcm => self.decrypt(body),
            Encoded::AesGcm { salt, dh } => {
                self.decrypt_legacy(Sealed { salt, dh, rs: legacy::DEFAULT_RS }, body)
            }
        }
    }

    /// Receives a whole message: checks the content coding (E-46), finds the parameters of the
    /// legacy `aesgcm` in `Encryption` and `Crypto-Key` (E-53), and opens the body. `None` is the
    /// null payload: an empty body without a content coding.
    ///
    /// # Errors
    ///
    /// [`DecryptError`], one variant for each rule.
    pub fn receive(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<Vec<u8>>, DecryptError> {
        let mut codings = headers.get_all(CONTENT_ENCODING).into_iter();
        match (codings.next(), codings.next()) {
            (None, _) if body.is_empty() => Ok(None),
            (Some(coding), None) if coding == "aes128gcm" => self.decrypt(body).map(Some),
            (Some(coding), None) if coding == "aesgcm" => {
                self.decrypt_legacy(Fields::parse(headers)?.sealed(), body).map(Some)
            }
            _ => Err(DecryptError::ContentEncoding),
        }
    }

    fn decrypt_legacy(&self, sealed: Sealed<'_>, body: &[u8]) -> Result<Vec<u8>, DecryptError> {
        legacy::decrypt(&self.private, &self.public, &self.auth, sealed, body)
    }
}

impl Default for UserAgent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserAgent([redacted])")
    }
}

/// Both secret fields erase themselves.
impl ZeroizeOnDrop for UserAgent {}

fn derive(what: &[u8], seed: u64, attempt: u64) -> Zeroizing<[u8; 32]> {
    let hash = Sha256::new()
        .chain_update(b"webpush-channels user agent ")
        .chain_update(what)
        .chain_update(attempt.to_be_bytes())
        .chain_update(seed.to_be_bytes());
    Zeroizing::new(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_seed_is_an_identity_and_fresh_keys_are_not() {
        assert_eq!(UserAgent::seeded(1).keys(), UserAgent::seeded(1).keys());
        assert_ne!(UserAgent::seeded(1).keys(), UserAgent::seeded(2).keys());
        assert_ne!(UserAgent::new().keys(), UserAgent::new().keys());
        assert_eq!(UserAgent::from_keys([0; 32], [0; 16]).unwrap_err(), KeyError::NotOnCurve);
        assert_eq!(UserAgent::from_keys([0xff; 32], [0; 16]).unwrap_err(), KeyError::NotOnCurve);
    }

    #[test]
    fn the_content_coding_is_required_and_exact() {
        let agent = UserAgent::seeded(1);
        let mut headers = HeaderMap::new();
        assert_eq!(agent.receive(&headers, b""), Ok(None));
        assert_eq!(agent.receive(&headers, b"x"), Err(DecryptError::ContentEncoding));
        for coding in ["aesgcm128", "AESGCM", "AES128GCM", "aes128gcm, gzip", ""] {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            assert_eq!(agent.receive(&headers, b"x"), Err(DecryptError::ContentEncoding), "{coding}");
        }
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        assert_eq!(agent.receive(&headers, b"x"), Err(DecryptError::HeaderTruncated { octets: 1 }));
        assert_eq!(agent.receive(&headers, b""), Err(DecryptError::HeaderTruncated { octets: 0 }));
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
        assert_eq!(agent.receive(&headers, b"x"), Err(DecryptError::ContentEncoding));
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", UserAgent::seeded(1)), "UserAgent([redacted])");
    }
}

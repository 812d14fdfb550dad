//! The signing key.

use std::fmt;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{KeyId, PublicKey};

mod der;
mod error;
mod export;
mod import;
mod jwk;
mod pair;
mod pem;

pub use self::error::VapidKeyError;

/// The key that signs VAPID tokens: ECDSA on P-256 (V-1).
///
/// A subscription is bound to the key that it was created with (V-13): losing the key means that
/// every browser has to subscribe again. Keep it in a file of mode 0600 or a secret store, never
/// in the database beside the subscriptions (S-14).
///
/// Signatures are deterministic (RFC 6979), so that all nodes with the same key make the same
/// token. The key is wiped when dropped; `Debug` shows its [`KeyId`] only.
///
/// ```
/// use webpush_channels::engine::vapid::VapidKey;
///
/// let key = VapidKey::generate()?;
/// let stored = key.to_pkcs8_pem();
/// let again = VapidKey::from_text(stored.expose())?;
/// assert_eq!(again.id(), key.id());
///
/// // For the browser: pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: ... })
/// assert_eq!(key.application_server_key().len(), 87);
/// # Ok::<(), webpush_channels::engine::vapid::VapidKeyError>(())
/// ```
#[derive(Clone, ZeroizeOnDrop)]
pub struct VapidKey {
    signing: SigningKey,
    #[zeroize(skip)]
    public: PublicKey,
    #[zeroize(skip)]
    id: KeyId,
}

impl VapidKey {
    /// Makes a key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError::Random`] when there is none.
    pub fn generate() -> Result<Self, VapidKeyError> {
        let mut scalar = Zeroizing::new([0; 32]);
        loop {
            getrandom::fill(scalar.as_mut_slice()).map_err(|error| VapidKeyError::Random(error.into()))?;
            // About one draw in 2^32 is not below the order of the curve.
            if let Ok(key) = Self::from_scalar(&scalar) {
                return Ok(key);
            }
        }
    }

    /// The public key, uncompressed.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 65] {
        self.public.as_bytes()
    }

    /// The public key as a browser's `pushManager.subscribe` takes it and as the `k` of a request
    /// carries it: 87 characters of base64url. Not secret.
    #[must_use]
    pub fn application_server_key(&self) -> String {
        self.public.to_base64url()
    }

    /// The id that stores remember with each subscription.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// R and S, 32 octets each, big endian (V-2), with the nonce of RFC 6979.
    pub(crate) fn sign_now(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.signing.sign(message);
        signature.to_bytes().into()
    }

    pub(super) const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn scalar(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes().into())
    }

    fn of_signing_key(signing: SigningKey) -> Self {
        let point = signing.verifying_key().to_sec1_point(false);
        let public = PublicKey::from_bytes(point.as_bytes()).expect("the public half of a key on P-256");
        Self { id: KeyId::of_public_key(public.as_bytes()), signing, public }
    }
}

impl fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VapidKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_wiped_and_does_not_print() {
        static_assertions::assert_impl_all!(VapidKey: ZeroizeOnDrop);
        let key = VapidKey::generate().unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("VapidKey({})", key.id()));
        assert!(!shown.contains(key.to_base64url().expose()));
    }

    #[test]
    fn generated_keys_differ() {
        assert_ne!(VapidKey::generate().unwrap().id(), VapidKey::generate().unwrap().id());
    }

    /// RFC 6979 appendix A.2.5; the S of "test" begins with 0x01 (V-2).
    #[test]
    fn signatures_are_the_published_ones() {
        let key = VapidKey::from_base64url("ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE").unwrap();
        for (message, signature) in [
            (
                "sample",
                "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                 f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
            ),
            (
                "test",
                "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367\
                 019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
            ),
        ] {
            let hex: String = key.sign_now(message.as_bytes()).iter().map(|o| format!("{o:02x}")).collect();
            assert_eq!(hex, signature, "{message}");
        }
    }
}

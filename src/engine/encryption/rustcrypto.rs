//! Pure Rust.

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use hmac::{Hmac, Mac};
use p256::elliptic_curve::Generate;
use p256::{NonZeroScalar, ecdh};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::record::{self, Ephemeral, Primitives};
use super::{Encoded, EncryptError, Encryptor, Plaintext};
use crate::message::Payload;
use crate::subscription::SubscriptionKeys;

/// Encrypts with the crates of the `RustCrypto` project: no C compiler, every platform.
///
/// Randomness comes from the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RustCrypto;

impl RustCrypto {
    /// The encryptor.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Encryptor for RustCrypto {
    fn max_plaintext_len(&self) -> usize {
        Payload::MAX_LEN
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        record::encrypt::<Self>(to, plaintext, out)
    }
}

impl Primitives for RustCrypto {
    type Private = Zeroizing<NonZeroScalar>;
    type Hmac = Hmac<Sha256>;

    fn ephemeral() -> Result<Ephemeral<Self::Private>, EncryptError> {
        let private = Zeroizing::new(NonZeroScalar::try_generate().map_err(EncryptError::backend)?);
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(EncryptError::backend)?;
        Ok(Ephemeral { public: public(&private), private, salt })
    }

    fn agree(private: Self::Private, with: &[u8; 65], secret: &mut [u8; 32]) -> Result<(), EncryptError> {
        let with = p256::PublicKey::from_sec1_bytes(with).map_err(|_| EncryptError::Key)?;
        let shared = ecdh::diffie_hellman(&*private, with.as_affine());
        secret.copy_from_slice(shared.raw_secret_bytes());
        Ok(())
    }

    fn hmac(key: &[u8]) -> Self::Hmac {
        Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
    }

    fn sign(hmac: &Self::Hmac, message: &[u8], tag: &mut [u8; 32]) -> Result<(), EncryptError> {
        let mut hmac = hmac.clone();
        hmac.update(message);
        tag.copy_from_slice(hmac.finalize().as_bytes());
        Ok(())
    }

    fn seal(key: &[u8; 16], nonce: [u8; 12], in_out: &mut [u8]) -> Result<[u8; 16], EncryptError> {
        Aes128Gcm::new(key.into())
            .encrypt_inout_detached(&nonce.into(), &[], in_out.into())
            .map(Into::into)
            .map_err(EncryptError::backend)
    }

    #[cfg(test)]
    fn import(private: &[u8; 32]) -> (Self::Private, [u8; 65]) {
        let private = p256::SecretKey::from_slice(private).unwrap().to_nonzero_scalar();
        (Zeroizing::new(private), public(&private))
    }
}

fn public(private: &NonZeroScalar) -> [u8; 65] {
    use p256::elliptic_curve::sec1::ToSec1Point;

    let point = p256::PublicKey::from_secret_scalar(private).to_sec1_point(false);
    point.as_bytes().try_into().expect("an uncompressed point has 65 octets")
}

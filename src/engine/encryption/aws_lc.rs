//! aws-lc, the library that rustls uses.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::{hmac, rand};

use super::record::{self, Ephemeral, Primitives};
use super::{Encoded, EncryptError, Encryptor, Plaintext};
use crate::message::Payload;
use crate::subscription::SubscriptionKeys;

/// Encrypts with `aws-lc-rs`: the fastest, and all of it in one library for those who need its
/// FIPS build.
///
/// Randomness comes from aws-lc's generator, which the operating system seeds.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AwsLc;

impl AwsLc {
    /// The encryptor.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Encryptor for AwsLc {
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

impl Primitives for AwsLc {
    // Not `EphemeralPrivateKey`: that one cannot be made from a fixed key, so the published
    // vectors could not test this path. aws-lc erases both when it frees them.
    type Private = PrivateKey;
    type Hmac = hmac::Key;

    fn ephemeral() -> Result<Ephemeral<Self::Private>, EncryptError> {
        let private = PrivateKey::generate(&ECDH_P256).map_err(EncryptError::backend)?;
        let public = public(&private)?;
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(EncryptError::backend)?;
        Ok(Ephemeral { private, public, salt })
    }

    fn agree(private: Self::Private, with: &[u8; 65], secret: &mut [u8; 32]) -> Result<(), EncryptError> {
        let with = UnparsedPublicKey::new(&ECDH_P256, with);
        agreement::agree(&private, with, EncryptError::Key, |x| {
            secret.copy_from_slice(x);
            Ok(())
        })
    }

    fn hmac(key: &[u8]) -> Self::Hmac {
        hmac::Key::new(hmac::HMAC_SHA256, key)
    }

    fn sign(hmac: &Self::Hmac, message: &[u8], tag: &mut [u8; 32]) -> Result<(), EncryptError> {
        hmac::sign_to_buffer(hmac, message, tag).map_err(EncryptError::backend)?;
        Ok(())
    }

    fn seal(key: &[u8; 16], nonce: [u8; 12], in_out: &mut [u8]) -> Result<[u8; 16], EncryptError> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).map_err(EncryptError::backend)?);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag =
            key.seal_in_place_separate_tag(nonce, Aad::empty(), in_out).map_err(EncryptError::backend)?;
        Ok(tag.as_ref().try_into().expect("a tag has 16 octets"))
    }

    #[cfg(test)]
    fn import(private: &[u8; 32]) -> (Self::Private, [u8; 65]) {
        let private = PrivateKey::from_private_key(&ECDH_P256, private).unwrap();
        let public = public(&private).unwrap();
        (private, public)
    }
}

fn public(private: &PrivateKey) -> Result<[u8; 65], EncryptError> {
    let public = private.compute_public_key().map_err(EncryptError::backend)?;
    Ok(public.as_ref().try_into().expect("an uncompressed point has 65 octets"))
}

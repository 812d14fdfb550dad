//! Mozilla's `ece` on the system's OpenSSL.

use super::record::HEADER_LEN;
use super::{Encoded, EncryptError, Encryptor, Plaintext};
use crate::subscription::SubscriptionKeys;

mod legacy;

pub use self::legacy::EceAesGcm;

/// Encrypts with Mozilla's `ece` crate and OpenSSL.
///
/// Its padding is its own: the plaintext with its delimiter is padded to a multiple of 128
/// octets, whatever [`Plaintext::padded_len`] says. It takes from 1 to 3967 octets, because one
/// more would make a second record, which RFC 8291 section 4 forbids; an empty plaintext is
/// [`EncryptError::Empty`]. It allocates several times a message and copies the body once.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Ece;

impl Ece {
    /// 31 blocks of 128 octets, less the delimiter.
    const MAX_LEN: usize = 31 * 128 - 1;

    /// The encryptor.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Encryptor for Ece {
    fn max_plaintext_len(&self) -> usize {
        Self::MAX_LEN
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        out.clear();
        let octets = takes(plaintext, Self::MAX_LEN)?;
        let (p256dh, auth) = (to.p256dh().as_bytes(), to.auth().as_bytes());
        // `ece` indexes by the key's length without a check; ours is an array of 65.
        let body = ece::encrypt(p256dh, auth, octets).map_err(EncryptError::backend)?;
        debug_assert!(body.len() > HEADER_LEN);
        out.extend_from_slice(&body);
        Ok(Encoded::Aes128Gcm)
    }
}

/// What there is to encrypt, where `ece` takes it: it has no form for nothing.
fn takes(plaintext: &Plaintext, limit: usize) -> Result<&[u8], EncryptError> {
    plaintext.check(limit)?;
    let octets = plaintext.as_bytes();
    if octets.is_empty() { Err(EncryptError::Empty) } else { Ok(octets) }
}

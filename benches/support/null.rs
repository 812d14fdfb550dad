//! An encryptor that costs nothing, to see what everything around it costs.

use webpush_channels::SubscriptionKeys;
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};

/// Makes bodies of the right length, full of zeros.
#[derive(Debug)]
pub(crate) struct Null;

impl Encryptor for Null {
    fn max_plaintext_len(&self) -> usize {
        3993
    }

    fn encrypt(
        &self,
        _: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        out.clear();
        out.resize(plaintext.padded_len() + Plaintext::OVERHEAD, 0);
        Ok(Encoded::Aes128Gcm)
    }
}

//! An encryptor of the legacy coding that is right unless it is told to be wrong in one way.

use p256::SecretKey;
use p256::elliptic_curve::Generate;
use webpush_channels::SubscriptionKeys;
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};

use super::legacy::{Parties, public};

/// What a double does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LegacyFault {
    ConstantKey,
    ConstantSalt,
    FillsTheRecordSize,
    None,
    PadsWithOnes,
    SaysTheOtherCoding,
    SendsAnotherKey,
}

#[derive(Debug)]
pub(crate) struct LegacyDouble(pub(crate) LegacyFault);

impl LegacyDouble {
    fn padded(&self, plaintext: &Plaintext) -> Vec<u8> {
        let text = plaintext.as_bytes();
        let padding = match self.0 {
            LegacyFault::FillsTheRecordSize => 4096 - 2 - text.len(),
            _ => 5,
        };
        let filler = u8::from(self.0 == LegacyFault::PadsWithOnes);
        let length = u16::try_from(padding).unwrap().to_be_bytes();
        [&length[..], &vec![filler; padding], text].concat()
    }
}

impl Encryptor for LegacyDouble {
    /// Less than what fits, so that there is something to refuse.
    fn max_plaintext_len(&self) -> usize {
        1000
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        out.clear();
        let (len, limit) = (plaintext.padded_len(), self.max_plaintext_len());
        if len > limit {
            return Err(EncryptError::TooLarge { len, limit });
        }
        let (mut private, mut salt): ([u8; 32], _) = (SecretKey::generate().to_bytes().into(), [7; 16]);
        if self.0 == LegacyFault::ConstantKey {
            private = [7; 32];
        }
        if self.0 != LegacyFault::ConstantSalt {
            getrandom::fill(&mut salt).unwrap();
        }
        let (receiver, auth) = (*to.p256dh().as_bytes(), *to.auth().as_bytes());
        let parties = Parties { receiver, sender: public(&private), auth, salt };
        out.extend(parties.seal_padded(&private, &self.padded(plaintext)));
        match self.0 {
            LegacyFault::SaysTheOtherCoding => Ok(Encoded::Aes128Gcm),
            LegacyFault::SendsAnotherKey => Ok(Encoded::AesGcm { salt, dh: receiver }),
            _ => Ok(Encoded::AesGcm { salt, dh: parties.sender }),
        }
    }
}

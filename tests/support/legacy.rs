//! The content coding `aesgcm` (draft-ietf-webpush-encryption-04), from both ends.
#![allow(clippy::unwrap_used, dead_code, reason = "a test helper")]

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes128Gcm, Nonce};
use hmac::{Hmac, Mac as _};
use p256::{PublicKey, SecretKey};
use sha2::Sha256;

/// Key and nonce of a record.
struct Secrets {
    key: [u8; 16],
    nonce: [u8; 12],
}

/// Who encrypts to whom.
pub(crate) struct Parties {
    pub(crate) receiver: [u8; 65],
    pub(crate) sender: [u8; 65],
    pub(crate) auth: [u8; 16],
    pub(crate) salt: [u8; 16],
}

impl Parties {
    /// Encrypts with the sender's private key.
    pub(crate) fn seal(&self, private: &[u8; 32], plaintext: &[u8]) -> Vec<u8> {
        self.seal_padded(private, &[&[0, 0], plaintext].concat())
    }

    /// Encrypts what need not be padded as it must be.
    pub(crate) fn seal_padded(&self, private: &[u8; 32], padded: &[u8]) -> Vec<u8> {
        let Secrets { key, nonce } = self.secrets(private, &self.receiver);
        Aes128Gcm::new_from_slice(&key).unwrap().encrypt(&Nonce::from(nonce), padded).unwrap()
    }

    /// Decrypts with the receiver's private key.
    pub(crate) fn open(&self, private: &[u8; 32], body: &[u8]) -> Option<Vec<u8>> {
        let Secrets { key, nonce } = self.secrets(private, &self.sender);
        let padded = Aes128Gcm::new_from_slice(&key).unwrap().decrypt(&Nonce::from(nonce), body).ok()?;
        let (padding, rest) = padded.split_at(2);
        Some(rest[usize::from(u16::from_be_bytes(padding.try_into().unwrap()))..].to_vec())
    }

    fn secrets(&self, private: &[u8; 32], other: &[u8; 65]) -> Secrets {
        let private = SecretKey::from_slice(private).unwrap();
        let shared = private.diffie_hellman(&PublicKey::from_sec1_bytes(other).unwrap());
        let prk = hmac(&self.auth, &[shared.raw_secret_bytes()]);
        let input = hmac(&prk, &[b"Content-Encoding: auth\0\x01"]);
        let prk = hmac(&self.salt, &[&input]);
        let context = [b"P-256\0\0\x41", &self.receiver[..], &[0, 65], &self.sender].concat();
        let key = hmac(&prk, &[b"Content-Encoding: aesgcm\0", &context, &[1]]);
        let nonce = hmac(&prk, &[b"Content-Encoding: nonce\0", &context, &[1]]);
        Secrets { key: key[..16].try_into().unwrap(), nonce: nonce[..12].try_into().unwrap() }
    }
}

/// The public half of a private key.
pub(crate) fn public(private: &[u8; 32]) -> [u8; 65] {
    SecretKey::from_slice(private).unwrap().public_key().to_sec1_bytes().as_ref().try_into().unwrap()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

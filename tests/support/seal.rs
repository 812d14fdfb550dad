//! RFC 8291 from the sender's end, short and slow, for tests of receivers.
#![allow(clippy::unwrap_used, reason = "a test helper")]

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes128Gcm, Nonce};
use hmac::{Hmac, Mac as _};
use p256::{PublicKey, SecretKey};
use sha2::Sha256;
use webpush_channels::SubscriptionKeys;

/// Encrypts with a given key and salt, which is safe in tests only.
pub(crate) fn seal(
    to: &SubscriptionKeys,
    private: &[u8; 32],
    salt: [u8; 16],
    plaintext: &[u8],
    pad: usize,
) -> Vec<u8> {
    let private = SecretKey::from_slice(private).unwrap();
    let from = private.public_key().to_sec1_bytes();
    let point = PublicKey::from_sec1_bytes(to.p256dh().as_bytes()).unwrap();
    let shared = private.diffie_hellman(&point);
    let prk = hmac(to.auth().as_bytes(), &[shared.raw_secret_bytes()]);
    let input = hmac(&prk, &[b"WebPush: info\0", to.p256dh().as_bytes(), &from, &[1]]);
    let prk = hmac(&salt, &[&input]);
    let key = hmac(&prk, &[b"Content-Encoding: aes128gcm\0\x01"]);
    let nonce = hmac(&prk, &[b"Content-Encoding: nonce\0\x01"]);
    let mut padded = plaintext.to_vec();
    padded.push(2);
    padded.resize(padded.len() + pad, 0);
    let nonce: [u8; 12] = nonce[..12].try_into().unwrap();
    let record = Aes128Gcm::new_from_slice(&key[..16])
        .unwrap()
        .encrypt(&Nonce::from(nonce), padded.as_slice())
        .unwrap();
    [&salt[..], &4096_u32.to_be_bytes(), &[65], &from, &record].concat()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

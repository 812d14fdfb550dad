//! The record of RFC 8291, written once for every crypto provider.

use zeroize::{Zeroize, Zeroizing};

use super::{Encoded, EncryptError, Plaintext};
use crate::message::Payload;
use crate::subscription::SubscriptionKeys;

/// RFC 8291 section 4: strictly more than the one record, which has at most 4010 octets (E-21).
const RECORD_SIZE: u32 = 4096;

/// Salt, record size, length of the key id, key id (RFC 8188 section 2.1).
pub(super) const HEADER_LEN: usize = 16 + 4 + 1 + 65;

const TAG_LEN: usize = 16;

/// The delimiter of a last record (E-24).
const LAST: u8 = 0x02;

const KEY_INFO: &[u8; 14] = b"WebPush: info\0";
const CEK_INFO: &[u8; 29] = b"Content-Encoding: aes128gcm\0\x01";
const NONCE_INFO: &[u8; 25] = b"Content-Encoding: nonce\0\x01";

/// What a crypto provider supplies. Secrets are written in place, so that no copy stays behind.
pub(super) trait Primitives {
    /// A P-256 private key, erased when dropped.
    type Private;
    /// HMAC-SHA-256 with its key.
    type Hmac;

    /// A fresh key pair and a fresh salt.
    fn ephemeral() -> Result<Ephemeral<Self::Private>, EncryptError>;

    /// ECDH with a public key of 65 octets: the x coordinate, leading zeros kept.
    fn agree(private: Self::Private, with: &[u8; 65], secret: &mut [u8; 32]) -> Result<(), EncryptError>;

    fn hmac(key: &[u8]) -> Self::Hmac;

    fn sign(hmac: &Self::Hmac, message: &[u8], tag: &mut [u8; 32]) -> Result<(), EncryptError>;

    /// AES-128-GCM without associated data (E-11).
    fn seal(key: &[u8; 16], nonce: [u8; 12], in_out: &mut [u8]) -> Result<[u8; TAG_LEN], EncryptError>;

    /// A fixed key pair: published vectors only.
    #[cfg(test)]
    fn import(private: &[u8; 32]) -> (Self::Private, [u8; 65]);
}

/// What is made for one message and used for no other (E-30, E-33).
pub(super) struct Ephemeral<K> {
    pub(super) private: K,
    pub(super) public: [u8; 65],
    pub(super) salt: [u8; 16],
}

/// Encrypts one message under a fresh key pair and salt.
pub(super) fn encrypt<P: Primitives>(
    to: &SubscriptionKeys,
    plaintext: &Plaintext,
    out: &mut Vec<u8>,
) -> Result<Encoded, EncryptError> {
    out.clear();
    plaintext.check(Payload::MAX_LEN)?;
    write::<P>(P::ephemeral()?, to, plaintext, out)
}

/// Writes header and record; an error leaves nothing in `out`, not even beyond its length.
pub(super) fn write<P: Primitives>(
    fresh: Ephemeral<P::Private>,
    to: &SubscriptionKeys,
    plaintext: &Plaintext,
    out: &mut Vec<u8>,
) -> Result<Encoded, EncryptError> {
    let Ephemeral { private, public, salt } = fresh;
    let info = key_info(to.p256dh().as_bytes(), &public);
    let mut secret = Zeroizing::new([0; 32]);
    P::agree(private, to.p256dh().as_bytes(), &mut secret)?;
    let ikm = input_keying_material::<P>(to.auth().as_bytes(), &secret, &info)?;
    let keys = ContentKeys::derive::<P>(&salt, &*ikm)?;
    lay_out(&salt, &public, plaintext, out);
    match P::seal(&keys.cek, keys.nonce, &mut out[HEADER_LEN..]) {
        Ok(tag) => out.extend_from_slice(&tag),
        Err(error) => {
            out.zeroize();
            return Err(error);
        }
    }
    Ok(Encoded::Aes128Gcm)
}

/// The body before it is sealed: header, plaintext, delimiter, padding, and room for the tag.
fn lay_out(salt: &[u8; 16], public: &[u8; 65], plaintext: &Plaintext, out: &mut Vec<u8>) {
    let sealed_from = HEADER_LEN + plaintext.padded_len() + 1;
    out.reserve_exact(sealed_from + TAG_LEN);
    out.extend_from_slice(salt);
    out.extend_from_slice(&RECORD_SIZE.to_be_bytes());
    out.push(65);
    out.extend_from_slice(public);
    out.extend_from_slice(plaintext.as_bytes());
    out.push(LAST);
    out.resize(sealed_from, 0);
}

/// RFC 8291 section 3.4 with the counter of HKDF's only block. Nothing in it is secret.
pub(super) fn key_info(ua_public: &[u8; 65], as_public: &[u8; 65]) -> [u8; 145] {
    let mut info = [0x01; 145];
    info[..14].copy_from_slice(KEY_INFO);
    info[14..79].copy_from_slice(ua_public);
    info[79..144].copy_from_slice(as_public);
    info
}

/// `IKM` of RFC 8291 section 3.4.
pub(super) fn input_keying_material<P: Primitives>(
    auth: &[u8; 16],
    ecdh_secret: &[u8; 32],
    info: &[u8; 145],
) -> Result<Zeroizing<[u8; 32]>, EncryptError> {
    let mut prk_key = Zeroizing::new([0; 32]);
    P::sign(&P::hmac(auth), ecdh_secret, &mut prk_key)?;
    let mut ikm = Zeroizing::new([0; 32]);
    P::sign(&P::hmac(&*prk_key), info, &mut ikm)?;
    Ok(ikm)
}

/// The key and the nonce of the one record (RFC 8188 sections 2.2 and 2.3); its sequence number
/// is 0, so the nonce is used as it is.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub(super) struct ContentKeys {
    pub(super) cek: [u8; 16],
    pub(super) nonce: [u8; 12],
}

impl ContentKeys {
    pub(super) fn derive<P: Primitives>(salt: &[u8; 16], ikm: &[u8]) -> Result<Self, EncryptError> {
        let mut prk = Zeroizing::new([0; 32]);
        P::sign(&P::hmac(salt), ikm, &mut prk)?;
        let prk = P::hmac(&*prk);
        let mut keys = Self { cek: [0; 16], nonce: [0; 12] };
        let mut block = Zeroizing::new([0; 32]);
        P::sign(&prk, CEK_INFO, &mut block)?;
        keys.cek.copy_from_slice(&block[..16]);
        P::sign(&prk, NONCE_INFO, &mut block)?;
        keys.nonce.copy_from_slice(&block[..12]);
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Padding;

    #[test]
    fn every_length_is_laid_out_as_one_record() {
        for len in 0..=Payload::MAX_LEN {
            let payload = Payload::new(vec![0xAA; len]).unwrap();
            let plaintext = Plaintext::new(&payload, Padding::None, Payload::MAX_LEN).unwrap();
            let mut out = Vec::new();
            lay_out(&[1; 16], &[4; 65], &plaintext, &mut out);
            assert_eq!(out.len(), HEADER_LEN + len + 1);
            assert_eq!(out.capacity(), len + Plaintext::OVERHEAD, "the tag fits, and nothing else");
            assert!(out.capacity() <= 4096);
            assert!((RECORD_SIZE as usize) > out.capacity() - HEADER_LEN, "E-21");
            assert_eq!(out[HEADER_LEN + len], LAST);
        }
    }
}

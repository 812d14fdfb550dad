//! RFC 8291 on RFC 8188, from the receiver's end.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes128Gcm, Tag};
use hmac::{Hmac, Mac as _};
use p256::SecretKey;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{AuthSecret, PublicKey};

/// Salt, record size and the length of the key id.
const FIXED_HEADER: usize = 21;
pub(super) const TAG: usize = 16;
/// A P-256 point, uncompressed.
const POINT: usize = 65;

/// Why a user agent drops a message. Never holds any of its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// No octet of the opened record is non-zero, so it has no delimiter (E-40).
    #[error("the record holds zeros only: the delimiter 0x02 is missing")]
    AllZero,
    /// The tag does not fit: other keys, another salt, or a changed or cut record (E-44).
    #[error("authentication failed: the record was made for other keys, or was changed or cut")]
    Authentication,
    /// `Content-Encoding` is neither exactly `aes128gcm` (E-46) nor exactly the legacy `aesgcm`.
    #[error("a message has one content coding, aes128gcm or aesgcm")]
    ContentEncoding,
    /// `Crypto-Key` does not have exactly one entry with a `dh` for an `aesgcm` body, or that has
    /// another `keyid` than the salt (E-53).
    #[error("aesgcm needs one Crypto-Key field with one dh in base64url, of the keyid that Encryption names")]
    CryptoKeyField,
    /// The last non-zero octet of the only record is not 0x02 (E-41).
    #[error("the only record must end in the delimiter 0x02 and zeros, found 0x{found:02x}")]
    Delimiter {
        /// The octet that stands in the delimiter's place.
        found: u8,
    },
    /// `Encryption` is not exactly one entry with a salt of 16 octets for an `aesgcm` body (E-53).
    #[error("aesgcm needs one Encryption field of one entry, with a salt of 16 octets in base64url")]
    EncryptionField,
    /// The body ends within its header (E-42).
    #[error("the body ends within its header, after {octets} octets")]
    HeaderTruncated {
        /// Octets found.
        octets: usize,
    },
    /// The key id, or `dh`, does not have the length of an uncompressed point (E-42).
    #[error("the key id (of aesgcm: dh) must be a public key of 65 octets, this one has {octets}")]
    KeyIdLength {
        /// Octets announced.
        octets: usize,
    },
    /// The key id, or `dh`, is not an uncompressed point on P-256 (E-42).
    #[error("the key id (of aesgcm: dh) is not an uncompressed point on P-256")]
    KeyIdNotAPoint,
    /// An octet of the padding of an `aesgcm` record is not zero (E-52).
    #[error("the padding of an aesgcm record must be zeros")]
    LegacyPadding,
    /// An `aesgcm` record says that it has more padding than octets (E-52).
    #[error("the record announces {padding} octets of padding and has {octets}")]
    LegacyPaddingLength {
        /// Octets announced.
        padding: usize,
        /// Octets after the length of the padding.
        octets: usize,
    },
    /// An `aesgcm` body cannot hold the length of its padding and a tag (E-52).
    #[error("an aesgcm body has at least 18 octets, this one has {octets}")]
    LegacyTooShort {
        /// Octets found.
        octets: usize,
    },
    /// The body goes on after one full record (E-45).
    #[error("a message is one record, this body goes on after {rs} octets")]
    MoreThanOneRecord {
        /// The record size announced.
        rs: u32,
    },
    /// The body is a header only (E-47).
    #[error("the body has no record")]
    NoRecord,
    /// The record fills the record size, which must exceed it (RFC 8291 section 4).
    #[error("the record size {rs} must exceed the record, which has as many octets")]
    RecordFull {
        /// The record size announced.
        rs: u32,
    },
    /// The record size leaves no room for data (E-43).
    #[error("the record size must be at least 18, this one is {rs}")]
    RecordSize {
        /// The record size announced.
        rs: u32,
    },
    /// The record cannot hold a delimiter and a tag (E-44).
    #[error("a record has at least 17 octets, this one has {octets}")]
    RecordTooShort {
        /// Octets found.
        octets: usize,
    },
}

pub(super) fn decrypt(
    private: &SecretKey,
    public: &PublicKey,
    auth: &AuthSecret,
    body: &[u8],
) -> Result<Vec<u8>, DecryptError> {
    let body = Body::parse(body)?;
    let sender = sender(body.key_id)?;
    body.check_single_record()?;
    let shared = private.diffie_hellman(&sender);
    let input = keying_material(auth, shared.raw_secret_bytes(), public.as_bytes(), body.key_id);
    let mut record = ContentKey::derive(&*input, body.salt).open(0, body.records)?;
    let length = unpad(&record, 0x02)?;
    record.truncate(length);
    Ok(record)
}

/// The header of RFC 8188 section 2.1 and what follows it.
struct Body<'a> {
    salt: &'a [u8],
    rs: u32,
    key_id: &'a [u8],
    records: &'a [u8],
}

impl<'a> Body<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, DecryptError> {
        let truncated = DecryptError::HeaderTruncated { octets: body.len() };
        let (fixed, rest) = body.split_first_chunk::<FIXED_HEADER>().ok_or(truncated)?;
        let (key_id, records) = rest.split_at_checked(usize::from(fixed[20])).ok_or(truncated)?;
        let rs = u32::from_be_bytes([fixed[16], fixed[17], fixed[18], fixed[19]]);
        match rs {
            0..18 => Err(DecryptError::RecordSize { rs }),
            _ => Ok(Self { salt: &body[..16], rs, key_id, records }),
        }
    }

    /// RFC 8291 section 4: one record, and a record size that exceeds it.
    fn check_single_record(&self) -> Result<(), DecryptError> {
        let (octets, rs) = (self.records.len(), self.rs);
        match u32::try_from(octets).unwrap_or(u32::MAX) {
            0 => Err(DecryptError::NoRecord),
            1..17 => Err(DecryptError::RecordTooShort { octets }),
            length if length > rs => Err(DecryptError::MoreThanOneRecord { rs }),
            length if length == rs => Err(DecryptError::RecordFull { rs }),
            _ => Ok(()),
        }
    }
}

/// The sender's public key. Compressed and hybrid forms are refused before the library, which would
/// take them (E-5).
pub(super) fn sender(key: &[u8]) -> Result<p256::PublicKey, DecryptError> {
    match key {
        [0x04, ..] if key.len() == POINT => {
            p256::PublicKey::from_sec1_bytes(key).map_err(|_| DecryptError::KeyIdNotAPoint)
        }
        _ if key.len() == POINT => Err(DecryptError::KeyIdNotAPoint),
        _ => Err(DecryptError::KeyIdLength { octets: key.len() }),
    }
}

/// IKM of RFC 8291 section 3.4.
fn keying_material(auth: &AuthSecret, shared: &[u8], to: &[u8], from: &[u8]) -> Zeroizing<[u8; 32]> {
    let key = hmac(auth.as_bytes(), &[shared]);
    hmac(&*key, &[b"WebPush: info\0", to, from, &[1]])
}

/// The content encryption key and the nonce of a body (RFC 8188 sections 2.2 and 2.3).
pub(super) struct ContentKey {
    pub(super) cipher: Aes128Gcm,
    pub(super) nonce: Zeroizing<[u8; 12]>,
}

impl ContentKey {
    fn derive(input: &[u8], salt: &[u8]) -> Self {
        let pseudorandom = hmac(salt, &[input]);
        let key = hmac(&*pseudorandom, &[b"Content-Encoding: aes128gcm\0", &[1]]);
        let nonce_block = hmac(&*pseudorandom, &[b"Content-Encoding: nonce\0", &[1]]);
        let mut nonce = Zeroizing::new([0; 12]);
        nonce.copy_from_slice(&nonce_block[..12]);
        let cipher = Aes128Gcm::new_from_slice(&key[..16]).expect("a key of AES-128 has 16 octets");
        Self { cipher, nonce }
    }

    /// Opens the record of this number; what comes out is still padded.
    pub(super) fn open(&self, number: u32, record: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let short = DecryptError::RecordTooShort { octets: record.len() };
        let (sealed, tag) = record.split_last_chunk::<TAG>().ok_or(short)?;
        let mut nonce = *self.nonce;
        for (octet, count) in nonce[8..].iter_mut().zip(number.to_be_bytes()) {
            *octet ^= count;
        }
        let mut opened = sealed.to_vec();
        self.cipher
            .decrypt_inout_detached(&nonce.into(), b"", opened.as_mut_slice().into(), &Tag::from(*tag))
            .map_err(|_| DecryptError::Authentication)?;
        Ok(opened)
    }
}

/// The length of the data in an opened record.
fn unpad(record: &[u8], delimiter: u8) -> Result<usize, DecryptError> {
    let end = record.iter().rposition(|octet| *octet != 0).ok_or(DecryptError::AllZero)?;
    match record[end] {
        found if found == delimiter => Ok(end),
        found => Err(DecryptError::Delimiter { found }),
    }
}

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{octets, vector};
    use super::*;

    /// RFC 8188 as it is, any number of records: the published vectors use a raw key.
    fn decode(input: &[u8], body: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let body = Body::parse(body)?;
        let key = ContentKey::derive(input, body.salt);
        let records: Vec<_> = body.records.chunks(body.rs as usize).collect();
        let mut data = Vec::new();
        for (number, record) in (0..).zip(&records) {
            let opened = key.open(number, record)?;
            let last = number as usize + 1 == records.len();
            let length = unpad(&opened, if last { 0x02 } else { 0x01 })?;
            data.extend_from_slice(&opened[..length]);
        }
        Ok(data)
    }

    #[test]
    fn the_examples_of_rfc_8188_open_with_their_raw_key() {
        for id in ["rfc8188-s3.1", "rfc8188-s3.2"] {
            let vector = vector(id);
            let opened = decode(&octets(&vector, "IKM"), &octets(&vector, "body")).unwrap();
            assert_eq!(opened, b"I am the walrus", "{id}");
        }
    }

    #[test]
    fn every_intermediate_value_is_that_of_rfc_8291() {
        let vector = vector("rfc8291-s5");
        let auth = AuthSecret::from_bytes(octets(&vector, "auth_secret").try_into().unwrap());
        let (to, from) = (octets(&vector, "ua_public"), octets(&vector, "as_public"));
        let input = keying_material(&auth, &octets(&vector, "ecdh_secret"), &to, &from);
        assert_eq!(input.as_slice(), octets(&vector, "IKM"));
        let key = ContentKey::derive(&*input, &octets(&vector, "salt"));
        assert_eq!(key.nonce.as_slice(), octets(&vector, "NONCE"));
        let opened = key.open(0, &octets(&vector, "ciphertext")).unwrap();
        assert_eq!(opened, octets(&vector, "padded_plaintext"));
    }
}

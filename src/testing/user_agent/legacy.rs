//! The legacy coding `aesgcm`, from the receiver's end (draft-ietf-webpush-encryption-04 on
//! draft-ietf-httpbis-encryption-encoding-03).

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::KeyInit as _;
use p256::SecretKey;
use zeroize::Zeroizing;

use super::decrypt::{ContentKey, DecryptError, TAG, hmac, sender};
use crate::{AuthSecret, PublicKey};

/// The record size where the header names none.
pub(super) const DEFAULT_RS: u32 = 4096;
/// The length of the padding.
const PAD_LEN: usize = 2;

/// What the header fields say.
#[derive(Clone, Copy)]
pub(super) struct Sealed<'a> {
    pub(super) salt: &'a [u8; 16],
    pub(super) dh: &'a [u8],
    pub(super) rs: u32,
}

pub(super) fn decrypt(
    private: &SecretKey,
    public: &PublicKey,
    auth: &AuthSecret,
    sealed: Sealed<'_>,
    body: &[u8],
) -> Result<Vec<u8>, DecryptError> {
    let key = sender(sealed.dh)?;
    check_single_record(sealed.rs, body.len())?;
    let shared = private.diffie_hellman(&key);
    let input = keying_material(auth, shared.raw_secret_bytes());
    let context = context(public.as_bytes(), sealed.dh);
    let mut record = derive(&*input, sealed.salt, &context).open(0, body)?;
    let start = unpad(&record)?;
    Ok(record.split_off(start))
}

/// E-52: one record, shorter than the record size, which counts what is sealed.
fn check_single_record(rs: u32, octets: usize) -> Result<(), DecryptError> {
    if octets < PAD_LEN + TAG {
        return Err(DecryptError::LegacyTooShort { octets });
    }
    match u32::try_from(octets - TAG).unwrap_or(u32::MAX) {
        // A full record announces another one.
        length if length >= rs => Err(DecryptError::MoreThanOneRecord { rs }),
        _ => Ok(()),
    }
}

/// E-51.
fn keying_material(auth: &AuthSecret, shared: &[u8]) -> Zeroizing<[u8; 32]> {
    let key = hmac(auth.as_bytes(), &[shared]);
    hmac(&*key, &[b"Content-Encoding: auth\0", &[1]])
}

/// Both public keys with their lengths.
fn context(to: &[u8], from: &[u8]) -> Vec<u8> {
    [b"P-256\0", &[0, 65][..], to, &[0, 65], from].concat()
}

/// Key and nonce. The raw examples of the draft below have an empty context.
fn derive(input: &[u8], salt: &[u8], context: &[u8]) -> ContentKey {
    let pseudorandom = hmac(salt, &[input]);
    let key = hmac(&*pseudorandom, &[b"Content-Encoding: aesgcm\0", context, &[1]]);
    let nonce_block = hmac(&*pseudorandom, &[b"Content-Encoding: nonce\0", context, &[1]]);
    let mut nonce = Zeroizing::new([0; 12]);
    nonce.copy_from_slice(&nonce_block[..12]);
    let cipher = Aes128Gcm::new_from_slice(&key[..16]).expect("a key of AES-128 has 16 octets");
    ContentKey { cipher, nonce }
}

/// Where the data begins in an opened record.
fn unpad(record: &[u8]) -> Result<usize, DecryptError> {
    let short = DecryptError::LegacyTooShort { octets: record.len() + TAG };
    let (length, rest) = record.split_first_chunk::<PAD_LEN>().ok_or(short)?;
    let padding = usize::from(u16::from_be_bytes(*length));
    match rest.get(..padding) {
        None => Err(DecryptError::LegacyPaddingLength { padding, octets: rest.len() }),
        Some(zeros) if zeros.iter().all(|octet| *octet == 0) => Ok(PAD_LEN + padding),
        Some(_) => Err(DecryptError::LegacyPadding),
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{octets, vector};
    use super::*;

    /// The coding as it is, any number of records: these examples use a raw key.
    #[test]
    fn the_examples_of_the_encoding_open_with_their_raw_key() {
        for id in ["draft-ece-03-s5.1", "draft-ece-03-s5.2"] {
            let vector = vector(id);
            let key = derive(&octets(&vector, "IKM"), &octets(&vector, "salt"), b"");
            assert_eq!(key.nonce.as_slice(), octets(&vector, "NONCE"), "{id}");
            let body = octets(&vector, "body");
            let size = usize::try_from(vector["rs"].as_u64().unwrap()).unwrap() + TAG;
            let mut data = Vec::new();
            for (number, record) in (0..).zip(body.chunks(size)) {
                let opened = key.open(number, record).unwrap();
                data.extend_from_slice(&opened[unpad(&opened).unwrap()..]);
            }
            assert_eq!(data, b"I am the walrus", "{id}");
        }
    }

    #[test]
    fn every_intermediate_value_is_that_of_the_draft() {
        let vector = vector("draft-webpush-encryption-04-s5");
        let auth = AuthSecret::from_bytes(octets(&vector, "auth_secret").try_into().unwrap());
        let input = keying_material(&auth, &octets(&vector, "ecdh_secret"));
        assert_eq!(input.as_slice(), octets(&vector, "IKM"));
        let context = context(&octets(&vector, "ua_public"), &octets(&vector, "as_public"));
        assert_eq!(context, octets(&vector, "context"));
        let key = derive(&*input, &octets(&vector, "salt"), &context);
        assert_eq!(key.nonce.as_slice(), octets(&vector, "NONCE"));
        assert_eq!(key.open(0, &octets(&vector, "body")).unwrap(), octets(&vector, "padded_plaintext"));
    }

    #[test]
    fn padding_is_counted_and_zero() {
        assert_eq!(unpad(&[0, 0]), Ok(2));
        assert_eq!(unpad(&[0, 2, 0, 0, 7]), Ok(4));
        assert_eq!(unpad(&[0, 3, 0, 0, 0]), Ok(5));
        assert_eq!(unpad(&[0, 2, 0, 1, 7]), Err(DecryptError::LegacyPadding));
        assert_eq!(unpad(&[1, 0, 0]), Err(DecryptError::LegacyPaddingLength { padding: 256, octets: 1 }));
        assert_eq!(unpad(&[0]), Err(DecryptError::LegacyTooShort { octets: 17 }));
    }
}

//! The floor of one message, written directly on the crypto libraries: what no implementation of
//! RFC 8291 on them can leave out. One key generation and its 65 octets, one ECDH from 65 octets,
//! five HMACs, 16 random octets, one copy of the payload into a reused buffer, one AES-128-GCM in
//! place. No header, no parsing beyond the library's own, no allocation beside the library's own,
//! and nothing of this crate.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]
#![allow(dead_code, reason = "not every benchmark has a floor on both libraries")]

use std::hint::black_box;

/// A subscription's keys, as octets: those of RFC 8291 section 5.
pub(crate) const P256DH: [u8; 65] = [
    0x04, 0x25, 0x71, 0xb2, 0xbe, 0xcd, 0xfd, 0xe3, 0x60, 0x55, 0x1a, 0xaf, 0x1e, 0xd0, 0xf4, 0xcd, 0x36,
    0x6c, 0x11, 0xce, 0xbe, 0x55, 0x5f, 0x89, 0xbc, 0xb7, 0xb1, 0x86, 0xa5, 0x33, 0x39, 0x17, 0x31, 0x68,
    0xec, 0xe2, 0xeb, 0xe0, 0x18, 0x59, 0x7b, 0xd3, 0x04, 0x79, 0xb8, 0x6e, 0x3c, 0x8f, 0x8e, 0xce, 0xd5,
    0x77, 0xca, 0x59, 0x18, 0x7e, 0x92, 0x46, 0x99, 0x0d, 0xb6, 0x82, 0x00, 0x8b, 0x0e,
];
pub(crate) const AUTH: [u8; 16] = *b"\x05\x30\x59\x32\xa1\xc7\xea\xbe\x13\xb6\xce\xc9\xfd\xa4\x88\x82";

const CEK_INFO: &[u8] = b"Content-Encoding: aes128gcm\0\x01";
const NONCE_INFO: &[u8] = b"Content-Encoding: nonce\0\x01";

/// One message on aws-lc-rs.
pub(crate) fn aws_lc(payload: &[u8], out: &mut Vec<u8>) {
    use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
    use aws_lc_rs::{hmac, rand};

    fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        hmac::sign_to_buffer(&hmac::Key::new(hmac::HMAC_SHA256, key), message, &mut tag).unwrap();
        tag
    }

    let private = PrivateKey::generate(&ECDH_P256).unwrap();
    let public = private.compute_public_key().unwrap();
    let mut salt = [0; 16];
    rand::fill(&mut salt).unwrap();
    let prk_key =
        agree(&private, UnparsedPublicKey::new(&ECDH_P256, &P256DH), (), |secret| Ok(mac(&AUTH, secret)))
            .unwrap();
    let ikm = mac(&prk_key, &info(public.as_ref()));
    let prk = mac(&salt, &ikm);
    let key = UnboundKey::new(&AES_128_GCM, &mac(&prk, CEK_INFO)[..16]).unwrap();
    let nonce = Nonce::try_assume_unique_for_key(&mac(&prk, NONCE_INFO)[..12]).unwrap();
    out.clear();
    out.extend_from_slice(payload);
    let tag = LessSafeKey::new(key).seal_in_place_separate_tag(nonce, Aad::empty(), out).unwrap();
    black_box(tag.as_ref());
}

/// One message on the crates of RustCrypto.
pub(crate) fn rustcrypto(payload: &[u8], out: &mut Vec<u8>) {
    use aes_gcm::aead::{AeadInOut, KeyInit};
    use hmac::{Hmac, Mac};
    use p256::elliptic_curve::Generate;
    use p256::elliptic_curve::sec1::ToSec1Point;

    fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
        Hmac::<sha2::Sha256>::new_from_slice(key)
            .unwrap()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .into()
    }

    let private = p256::ecdh::EphemeralSecret::try_generate().unwrap();
    let public = private.public_key().to_sec1_point(false);
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).unwrap();
    let secret = private.diffie_hellman(&p256::PublicKey::from_sec1_bytes(&P256DH).unwrap());
    let ikm = mac(&mac(&AUTH, secret.raw_secret_bytes()), &info(public.as_bytes()));
    let prk = mac(&salt, &ikm);
    let key = aes_gcm::Aes128Gcm::new_from_slice(&mac(&prk, CEK_INFO)[..16]).unwrap();
    let nonce: [u8; 12] = mac(&prk, NONCE_INFO)[..12].try_into().unwrap();
    out.clear();
    out.extend_from_slice(payload);
    black_box(key.encrypt_inout_detached(&nonce.into(), &[], out.as_mut_slice().into()).unwrap());
}

fn info(public: &[u8]) -> [u8; 145] {
    let mut info = [0x01; 145];
    info[..14].copy_from_slice(b"WebPush: info\0");
    info[14..79].copy_from_slice(&P256DH);
    info[79..144].copy_from_slice(public);
    info
}

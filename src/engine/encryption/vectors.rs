//! The published and derived vectors, over the real path with a fixed key and salt.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::record::{self, ContentKeys, Ephemeral, Primitives};
use super::{Plaintext, RustCrypto};
use crate::base64url;
use crate::message::{Padding, Payload};
use crate::subscription::SubscriptionKeys;

#[cfg(feature = "aws-lc-rs")]
use super::AwsLc;

const FILE: &str = include_str!("../../../tests/vectors/vectors.json");

fn vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    vectors.iter().find(|vector| vector["id"] == id).expect("a vector of this id").clone()
}

fn octets(value: &Value) -> Vec<u8> {
    base64url::decode(value.as_str().unwrap()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    base64url::decode_array(value.as_str().unwrap()).unwrap()
}

fn length(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn receiver(vector: &Value) -> SubscriptionKeys {
    let text = |name: &str| vector[name].as_str().unwrap();
    SubscriptionKeys::from_base64url(text("ua_public"), text("auth_secret")).unwrap()
}

fn padded(octets: impl Into<bytes::Bytes>, pad: usize) -> Plaintext {
    let payload = Payload::new(octets).unwrap();
    let body = u16::try_from(payload.len() + pad + Plaintext::OVERHEAD).unwrap();
    Plaintext::new(&payload, Padding::Fixed(body), Payload::MAX_LEN).unwrap()
}

/// The body under the fixed key `as_private` of `sender` and the salt of `case`.
fn body<P: Primitives>(sender: &Value, case: &Value, plaintext: &Plaintext) -> Vec<u8> {
    let (private, public) = P::import(&array(&sender["as_private"]));
    assert_eq!(public, array(&sender["as_public"]));
    let fresh = Ephemeral { private, public, salt: array(&case["salt"]) };
    let mut out = Vec::new();
    record::write::<P>(fresh, &receiver(case), plaintext, &mut out).unwrap();
    out
}

fn ecdh_secret<P: Primitives>(sender: &Value, case: &Value) -> [u8; 32] {
    let (private, _) = P::import(&array(&sender["as_private"]));
    let mut secret = [0; 32];
    P::agree(private, &array(&case["ua_public"]), &mut secret).unwrap();
    secret
}

fn hmac<P: Primitives>(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut tag = [0; 32];
    P::sign(&P::hmac(key), message, &mut tag).unwrap();
    tag
}

fn seal<P: Primitives>(keys: &ContentKeys, padded_plaintext: &Value) -> Vec<u8> {
    let mut record = octets(padded_plaintext);
    let tag = P::seal(&keys.cek, keys.nonce, &mut record).unwrap();
    record.extend_from_slice(&tag);
    record
}

fn rfc8291_section_5<P: Primitives>() {
    let v = vector("rfc8291-s5");
    let secret = ecdh_secret::<P>(&v, &v);
    assert_eq!(secret, array(&v["ecdh_secret"]));
    let auth = array(&v["auth_secret"]);
    assert_eq!(hmac::<P>(&auth, &secret), array(&v["PRK_key"]));
    let info = record::key_info(&array(&v["ua_public"]), &array(&v["as_public"]));
    assert_eq!((&info[..144], info[144]), (&*octets(&v["key_info"]), 0x01));
    let ikm = record::input_keying_material::<P>(&auth, &secret, &info).unwrap();
    assert_eq!(*ikm, array(&v["IKM"]));
    assert_eq!(hmac::<P>(&octets(&v["salt"]), &*ikm), array(&v["PRK"]));
    let keys = ContentKeys::derive::<P>(&array(&v["salt"]), &*ikm).unwrap();
    assert_eq!((keys.cek, keys.nonce), (array(&v["CEK"]), array(&v["NONCE"])));
    assert_eq!(seal::<P>(&keys, &v["padded_plaintext"]), octets(&v["ciphertext"]));
    let body = body::<P>(&v, &v, &padded(octets(&v["plaintext"]), 0));
    assert_eq!(body[..record::HEADER_LEN], octets(&v["header"]));
    assert_eq!(body, octets(&v["body"]));
}

/// The content keys and each record; what we send has one record, and another header.
fn rfc8188_section_3<P: Primitives>() {
    for v in [vector("rfc8188-s3.1"), vector("rfc8188-s3.2")] {
        let ikm = octets(&v["IKM"]);
        assert_eq!(hmac::<P>(&octets(&v["salt"]), &ikm), array(&v["PRK"]));
        let mut keys = ContentKeys::derive::<P>(&array(&v["salt"]), &ikm).unwrap();
        assert_eq!((keys.cek, keys.nonce), (array(&v["CEK"]), array(&v["NONCE"])));
        for record in v["records"].as_array().unwrap() {
            keys.nonce = array(&record["nonce"]);
            assert_eq!(seal::<P>(&keys, &record["padded_plaintext"]), octets(&record["ciphertext"]));
        }
    }
}

fn size_limits<P: Primitives>() {
    let sender = vector("rfc8291-s5");
    for case in vector("derived-size-limits")["cases"].as_array().unwrap() {
        let payload = vec![0x41; length(&case["plaintext_len"])];
        if case["fits_4096"] == false {
            assert!(Payload::new(payload).is_err());
            continue;
        }
        let body = body::<P>(&sender, &sender, &padded(payload, length(&case["pad"])));
        assert_eq!(body.len(), length(&case["body_len"]));
        assert_eq!(*Sha256::digest(&body), hex(&case["body_sha256_hex"]));
    }
}

fn padding<P: Primitives>() {
    let sender = vector("rfc8291-s5");
    for case in vector("derived-padding")["cases"].as_array().unwrap() {
        let plaintext = padded(octets(&case["plaintext"]), length(&case["pad"]));
        let body = body::<P>(&sender, &sender, &plaintext);
        assert_eq!(body.len(), length(&case["body_len"]));
        assert_eq!(*Sha256::digest(&body), hex(&case["body_sha256_hex"]));
    }
}

fn one_sender_key_for_two_receivers<P: Primitives>() {
    let v = vector("derived-shared-as-key");
    let plaintext = padded(v["plaintext_text"].as_str().unwrap().to_owned(), 0);
    for case in v["cases"].as_array().unwrap() {
        let secret = ecdh_secret::<P>(&v, case);
        assert_eq!(secret, array(&case["ecdh_secret"]));
        let info = record::key_info(&array(&case["ua_public"]), &array(&v["as_public"]));
        let ikm = record::input_keying_material::<P>(&array(&case["auth_secret"]), &secret, &info).unwrap();
        assert_eq!(*ikm, array(&case["IKM"]));
        let keys = ContentKeys::derive::<P>(&array(&case["salt"]), &*ikm).unwrap();
        assert_eq!((keys.cek, keys.nonce), (array(&case["CEK"]), array(&case["NONCE"])));
        assert_eq!(body::<P>(&v, case, &plaintext), octets(&case["body"]), "{}", case["name"]);
    }
}

macro_rules! on_every_provider {
    ($($behaviour:ident)+) => {$(
        mod $behaviour {
            #[test]
            fn rustcrypto() {
                super::$behaviour::<super::RustCrypto>();
            }

            #[cfg(feature = "aws-lc-rs")]
            #[test]
            fn aws_lc() {
                super::$behaviour::<super::AwsLc>();
            }
        }
    )+};
}

on_every_provider! {
    rfc8291_section_5
    rfc8188_section_3
    size_limits
    padding
    one_sender_key_for_two_receivers
}

#[test]
fn secrets_are_erased_when_dropped() {
    use static_assertions::assert_impl_all;
    use zeroize::{ZeroizeOnDrop, Zeroizing};

    assert_impl_all!(ContentKeys: ZeroizeOnDrop);
    assert_impl_all!(<RustCrypto as Primitives>::Private: ZeroizeOnDrop);
    // What an HMAC is made of.
    assert_impl_all!(Sha256: ZeroizeOnDrop);
    assert_impl_all!(Zeroizing<[u8; 32]>: ZeroizeOnDrop);
    assert_impl_all!(aes_gcm::Aes128Gcm: ZeroizeOnDrop);
    assert_impl_all!(p256::ecdh::SharedSecret: ZeroizeOnDrop);
}

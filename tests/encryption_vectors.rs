//! What the vectors and the arithmetic of RFC 8291 say about sending, through the public API. The
//! vectors with a fixed key and salt run inside the crate, where these can be fixed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use webpush_channels::engine::encryption::{EncryptError, Encryptor, Plaintext, RustCrypto};
use webpush_channels::{AuthSecret, Padding, Payload, PayloadError, PublicKey, SubscriptionKeys};

const VALID_P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const VALID_AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

fn cases(id: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let vector = vectors.iter().find(|vector| vector["id"] == id).expect("a vector of this id");
    vector["cases"].as_array().unwrap().clone()
}

fn keys() -> SubscriptionKeys {
    SubscriptionKeys::from_base64url(VALID_P256DH, VALID_AUTH).unwrap()
}

fn payload(len: usize) -> Payload {
    Payload::new(vec![b'x'; len]).unwrap()
}

#[test]
fn only_uncompressed_points_of_p256_are_public_keys() {
    let cases = cases("derived-p256dh-validation");
    assert_eq!(cases.len(), 16);
    for case in cases {
        let (name, text) = (&case["name"], case["p256dh"].as_str().unwrap());
        let (key, valid) = (PublicKey::from_base64url(text), case["valid"] == true);
        assert_eq!(key.is_ok(), valid, "{name}");
        assert_eq!(SubscriptionKeys::from_base64url(text, VALID_AUTH).is_ok(), valid, "{name}");
        if let Ok(key) = key {
            assert_eq!(key.to_base64url(), text, "{name}: leading zeros are kept");
        }
    }
}

#[test]
fn only_sixteen_octets_are_an_auth_secret() {
    for case in cases("derived-auth-length") {
        let (text, valid) = (case["auth"].as_str().unwrap(), case["valid"] == true);
        assert_eq!(AuthSecret::from_base64url(text).is_ok(), valid, "{} octets", case["octets"]);
        assert_eq!(SubscriptionKeys::from_base64url(VALID_P256DH, text).is_ok(), valid);
    }
}

/// Every valid key of the vectors can be encrypted for: what parses never fails later.
#[test]
fn what_parses_can_be_encrypted_for() {
    let plaintext = Plaintext::new(&payload(1), Padding::None, 3993).unwrap();
    for case in cases("derived-p256dh-validation").iter().filter(|case| case["valid"] == true) {
        let keys = SubscriptionKeys::from_base64url(case["p256dh"].as_str().unwrap(), VALID_AUTH).unwrap();
        for encryptor in encryptors() {
            let result = encryptor.encrypt(&keys, &plaintext, &mut Vec::new());
            assert!(result.is_ok(), "{encryptor:?}, {}: {result:?}", case["name"]);
        }
    }
}

fn encryptors() -> Vec<Box<dyn Encryptor>> {
    vec![
        Box::new(RustCrypto::new()),
        #[cfg(feature = "aws-lc-rs")]
        Box::new(webpush_channels::engine::encryption::AwsLc::new()),
        #[cfg(feature = "ece")]
        Box::new(webpush_channels::engine::encryption::Ece::new()),
        #[cfg(feature = "ece")]
        Box::new(webpush_channels::engine::encryption::EceAesGcm::new()),
    ]
}

/// Each of these lengths makes one record, and a body of exactly the length that `expected` says.
fn each_length(
    encryptor: &dyn Encryptor,
    lengths: impl Iterator<Item = usize>,
    expected: fn(usize) -> usize,
) {
    let (to, mut out) = (keys(), Vec::new());
    for len in lengths {
        let plaintext = Plaintext::new(&payload(len), Padding::None, usize::MAX).unwrap();
        encryptor.encrypt(&to, &plaintext, &mut out).unwrap();
        assert_eq!(out.len(), expected(len), "{len} octets");
        assert!(out.len() <= 4096, "{len} octets");
        assert_eq!(out[16..22], [0, 0, 0x10, 0, 65, 0x04], "{len} octets: rs, idlen, keyid");
    }
}

/// Every eleventh, both ends included: this one is slow unoptimised, and shares the code that lays
/// out the body with the one below.
#[test]
fn lengths_make_one_record_with_rustcrypto() {
    assert_eq!(RustCrypto::new().max_plaintext_len(), 3993);
    each_length(&RustCrypto::new(), (0..=3993).step_by(11), |len| len + 103);
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn every_length_makes_one_record_with_aws_lc() {
    use webpush_channels::engine::encryption::AwsLc;

    assert_eq!(AwsLc::new().max_plaintext_len(), 3993);
    each_length(&AwsLc::new(), 0..=3993, |len| len + 103);
}

#[cfg(feature = "ece")]
#[test]
fn every_length_makes_one_record_with_ece() {
    use webpush_channels::engine::encryption::Ece;

    assert_eq!(Ece::new().max_plaintext_len(), 3967);
    // The plaintext and its delimiter, padded to a multiple of 128, then the header and the tag.
    each_length(&Ece::new(), 1..=3967, |len| (len + 1).next_multiple_of(128) + 86 + 16);
}

#[cfg(feature = "ece")]
#[test]
fn ece_refuses_what_would_make_no_or_two_records() {
    use webpush_channels::engine::encryption::Ece;

    let refused = |len| {
        let plaintext = Plaintext::new(&payload(len), Padding::None, usize::MAX).unwrap();
        let mut out = vec![1];
        let error = Ece::new().encrypt(&keys(), &plaintext, &mut out).unwrap_err();
        assert!(out.is_empty());
        error
    };
    assert!(matches!(refused(0), EncryptError::Empty));
    assert!(matches!(refused(3968), EncryptError::TooLarge { len: 3968, limit: 3967 }));
    assert!(matches!(refused(3993), EncryptError::TooLarge { len: 3993, limit: 3967 }));
}

/// E-54 has room for 4077, `ece` for fewer: its 32nd block would fill the record size.
#[cfg(feature = "ece")]
#[test]
fn every_length_makes_one_legacy_record_with_ece() {
    use webpush_channels::engine::encryption::{Encoded, Encryption};

    let legacy = Encryption::legacy().unwrap();
    assert_eq!(legacy.max_plaintext_len(), 3966);
    let mut out = Vec::new();
    for len in 1..=3966 {
        let plaintext = Plaintext::new(&payload(len), Padding::None, usize::MAX).unwrap();
        let encoded = legacy.encrypt(&keys(), &plaintext, &mut out).unwrap();
        // The length of the padding and the plaintext, padded to a multiple of 128, and the tag.
        assert_eq!(out.len(), (len + 2).next_multiple_of(128) + 16, "{len} octets");
        let Encoded::AesGcm { dh, .. } = encoded else { panic!("{len} octets: {encoded:?}") };
        assert!(PublicKey::from_bytes(&dh).is_ok(), "{len} octets");
    }
}

#[cfg(feature = "ece")]
#[test]
fn the_legacy_coding_refuses_what_would_make_no_or_two_records() {
    use webpush_channels::engine::encryption::EceAesGcm;

    let refused = |len| {
        let plaintext = Plaintext::new(&payload(len), Padding::None, usize::MAX).unwrap();
        let mut out = vec![1];
        let error = EceAesGcm::new().encrypt(&keys(), &plaintext, &mut out).unwrap_err();
        assert!(out.is_empty());
        error
    };
    assert!(matches!(refused(0), EncryptError::Empty));
    assert!(matches!(refused(3967), EncryptError::TooLarge { len: 3967, limit: 3966 }));
    assert!(matches!(refused(3993), EncryptError::TooLarge { len: 3993, limit: 3966 }));
    // It is `ece` that has no room for more.
    let to = keys();
    let seal = |len| {
        let text = vec![b'x'; len];
        ece::legacy::encrypt_aesgcm(to.p256dh().as_bytes(), to.auth().as_bytes(), &text)
    };
    assert!(seal(3966).is_ok() && seal(3967).is_err());
}

/// One octet more than fits is an error before it gets to an encryptor.
#[test]
fn one_octet_too_many_is_a_typed_error() {
    let refused = Payload::new(vec![0; 3994]).unwrap_err();
    assert!(matches!(refused, PayloadError::TooLarge { len: 3994, limit: 3993 }));
    for encryptor in encryptors() {
        let limit = encryptor.max_plaintext_len();
        let too_long = payload(3993);
        let refused = Plaintext::new(&too_long, Padding::None, limit.min(3992)).unwrap_err();
        assert!(matches!(refused, EncryptError::TooLarge { len: 3993, .. }), "{encryptor:?}");
    }
}

/// A message costs one allocation of ours, and none with a buffer that is long enough.
#[test]
fn the_body_is_allocated_once_at_its_length() {
    let limit = RustCrypto::new().max_plaintext_len();
    for encryptor in encryptors().iter().filter(|encryptor| encryptor.max_plaintext_len() == limit) {
        let mut out = Vec::new();
        for len in [100, 99, 0] {
            let plaintext = Plaintext::new(&payload(len), Padding::None, limit).unwrap();
            encryptor.encrypt(&keys(), &plaintext, &mut out).unwrap();
            assert_eq!((out.len(), out.capacity()), (len + 103, 203), "{encryptor:?}");
        }
    }
}

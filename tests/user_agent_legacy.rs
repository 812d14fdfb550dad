//! The simulated user agent on the legacy coding `aesgcm`: the published vector, and what must be
//! refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderMap;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, proptest};
use serde_json::Value;
use webpush_channels::engine::encryption::Encoded;
use webpush_channels::testing::{DecryptError, UserAgent};

use self::legacy::{Parties, public};

#[path = "support/legacy.rs"]
mod legacy;

const TEXT: &[u8] = b"I am the walrus";
const SENDER: [u8; 32] = [7; 32];

fn vector() -> Value {
    let file: Value = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    vectors.iter().find(|vector| vector["id"] == "draft-webpush-encryption-04-s5").unwrap().clone()
}

fn octets<const N: usize>(vector: &Value, field: &str) -> [u8; N] {
    BASE64_URL_SAFE_NO_PAD.decode(vector[field].as_str().unwrap()).unwrap().try_into().unwrap()
}

fn agent() -> UserAgent {
    let vector = vector();
    UserAgent::from_keys(octets(&vector, "ua_private"), octets(&vector, "auth_secret")).unwrap()
}

/// The vector's message.
fn published() -> (Encoded, [u8; 33]) {
    let vector = vector();
    let (salt, dh) = (octets(&vector, "salt"), octets(&vector, "as_public"));
    (Encoded::AesGcm { salt, dh }, octets(&vector, "body"))
}

fn parties() -> Parties {
    let receiver = *agent().keys().p256dh().as_bytes();
    let auth = *agent().keys().auth().as_bytes();
    Parties { receiver, sender: public(&SENDER), auth, salt: [9; 16] }
}

/// What the user agent makes of a record that need not be padded as it must be.
fn open_padded(padded: &[u8]) -> Result<Vec<u8>, DecryptError> {
    let parties = parties();
    let encoded = Encoded::AesGcm { salt: parties.salt, dh: parties.sender };
    agent().open(&encoded, &parties.seal_padded(&SENDER, padded))
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[test]
fn the_example_of_the_draft_opens() {
    let (encoded, body) = published();
    assert_eq!(agent().open(&encoded, &body).unwrap(), TEXT);
}

#[test]
fn the_example_opens_with_its_own_headers() {
    let vector = vector();
    let mut headers = HeaderMap::new();
    for name in ["content-encoding", "encryption", "crypto-key"] {
        let fields = vector["headers"].as_object().unwrap();
        let (_, value) = fields.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).unwrap();
        headers.insert(name, value.as_str().unwrap().parse().unwrap());
    }
    assert_eq!(agent().receive(&headers, &published().1), Ok(Some(TEXT.to_vec())));
}

#[test]
fn the_fields_are_found_or_missed_for_a_reason() {
    let vector = vector();
    let (salt, dh) = (vector["salt"].as_str().unwrap(), vector["as_public"].as_str().unwrap());
    let (salt, dh) = (format!("salt={salt}"), format!("dh={dh}"));
    let receive = |encryption: &str, crypto_key: &str| {
        let headers = headers(&[
            ("content-encoding", "aesgcm"),
            ("encryption", encryption),
            ("crypto-key", crypto_key),
        ]);
        agent().receive(&headers, &published().1)
    };
    let text = Ok(Some(TEXT.to_vec()));
    assert_eq!(receive(&salt, &format!("{dh};p256ecdsa=BA")), text);
    assert_eq!(receive(&salt, &format!("p256ecdsa=BA,{dh}")), text);
    assert_eq!(receive(&format!("keyid=p256dh;{salt}"), &format!("keyid=p256dh;{dh}")), text);
    assert_eq!(receive(&format!("keyid=a;{salt}"), &dh), Err(DecryptError::CryptoKeyField));
    assert_eq!(receive(&salt, &format!("{dh},{dh}")), Err(DecryptError::CryptoKeyField));
    assert_eq!(receive(&format!("{salt},{salt}"), &dh), Err(DecryptError::EncryptionField));
    assert_eq!(receive(&salt, "dh=BAAA"), Err(DecryptError::KeyIdLength { octets: 3 }));
    // 33 octets are 17 and the tag: as long as the record, and one longer.
    assert_eq!(receive(&format!("{salt};rs=17"), &dh), Err(DecryptError::MoreThanOneRecord { rs: 17 }));
    assert_eq!(receive(&format!("{salt};rs=18"), &dh), text);
}

#[test]
fn the_parameters_of_the_other_coding_are_not_needed_and_do_not_help() {
    let (_, body) = published();
    let fields = headers(&[("content-encoding", "aesgcm")]);
    assert_eq!(agent().receive(&fields, &body), Err(DecryptError::EncryptionField));
    let other = headers(&[("content-encoding", "aes128gcm")]);
    assert!(agent().receive(&other, &body).is_err());
}

#[test]
fn padding_is_taken_off() {
    for padding in [0, 1, 110, 4000] {
        let padded = [&u16::to_be_bytes(padding)[..], &vec![0; padding.into()], TEXT].concat();
        assert_eq!(open_padded(&padded), Ok(TEXT.to_vec()), "{padding}");
    }
    assert_eq!(open_padded(&[0, 0]), Ok(vec![]));
}

#[test]
fn broken_padding_is_refused() {
    assert_eq!(open_padded(b"\0\x02\0\x01text"), Err(DecryptError::LegacyPadding));
    assert_eq!(open_padded(b"\0\x05text"), Err(DecryptError::LegacyPaddingLength { padding: 5, octets: 4 }));
}

#[test]
fn a_record_is_neither_too_short_nor_full() {
    let (encoded, body) = published();
    for octets in 0..18 {
        let refused = agent().open(&encoded, &body[..octets]);
        assert_eq!(refused, Err(DecryptError::LegacyTooShort { octets }));
    }
    assert_eq!(open_padded(&[0; 4095]), Ok(vec![0; 4093]));
    assert_eq!(open_padded(&[0; 4096]), Err(DecryptError::MoreThanOneRecord { rs: 4096 }));
    assert_eq!(open_padded(&[0; 4097]), Err(DecryptError::MoreThanOneRecord { rs: 4096 }));
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let (encoded, body) = published();
    let Encoded::AesGcm { salt, dh } = encoded else { panic!("{encoded:?}") };
    for length in 0..body.len() {
        assert!(agent().open(&encoded, &body[..length]).is_err(), "cut to {length}");
    }
    for octet in 0..body.len() {
        let mut changed = body;
        changed[octet] ^= 1 << (octet % 8);
        assert_eq!(agent().open(&encoded, &changed), Err(DecryptError::Authentication), "octet {octet}");
    }
    for octet in 0..16 {
        let mut salt = salt;
        salt[octet] ^= 1;
        let changed = Encoded::AesGcm { salt, dh };
        assert_eq!(agent().open(&changed, &body), Err(DecryptError::Authentication), "salt {octet}");
    }
    for octet in 0..65 {
        let mut dh = dh;
        dh[octet] ^= 1;
        assert!(agent().open(&Encoded::AesGcm { salt, dh }, &body).is_err(), "dh {octet}");
    }
    assert!(UserAgent::seeded(1).open(&encoded, &body).is_err());
}

#[test]
fn a_key_is_an_uncompressed_point_on_the_curve() {
    let (encoded, body) = published();
    let Encoded::AesGcm { salt, dh } = encoded else { panic!("{encoded:?}") };
    let off_the_curve = {
        let mut dh = dh;
        dh[64] ^= 1;
        dh
    };
    let hybrid = {
        let mut dh = dh;
        dh[0] = 6 + (dh[64] & 1);
        dh
    };
    for dh in [off_the_curve, hybrid, [0; 65]] {
        let refused = agent().open(&Encoded::AesGcm { salt, dh }, &body);
        assert_eq!(refused, Err(DecryptError::KeyIdNotAPoint));
    }
}

proptest! {
    #[test]
    fn any_octets_are_refused_without_a_panic(body in vec(any::<u8>(), 0..200)) {
        let (encoded, _) = published();
        prop_assert!(agent().open(&encoded, &body).is_err());
    }

    #[test]
    fn any_padding_is_opened_or_refused_without_a_panic(padded in vec(any::<u8>(), 0..40)) {
        let _ = open_padded(&padded);
    }
}

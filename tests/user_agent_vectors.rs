//! The simulated user agent against the published and derived vectors.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, proptest};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use webpush_channels::PublicKey;
use webpush_channels::testing::{DecryptError, UserAgent};

use self::seal::seal;

#[path = "support/seal.rs"]
mod seal;

const TEXT: &[u8] = b"When I grow up, I want to be a watermelon";

fn vector(id: &str) -> Value {
    static FILE: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("vectors/vectors.json")).unwrap());
    FILE["vectors"].as_array().unwrap().iter().find(|vector| vector["id"] == id).unwrap().clone()
}

fn octets(vector: &Value, field: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(vector[field].as_str().unwrap()).unwrap()
}

fn agent_of(vector: &Value) -> UserAgent {
    let private = octets(vector, "ua_private").try_into().unwrap();
    UserAgent::from_keys(private, octets(vector, "auth_secret").try_into().unwrap()).unwrap()
}

fn agent() -> UserAgent {
    agent_of(&vector("rfc8291-s5"))
}

#[test]
fn the_example_of_rfc_8291_opens() {
    let vector = vector("rfc8291-s5");
    let agent = agent_of(&vector);
    assert_eq!(agent.keys().p256dh().as_bytes().as_slice(), octets(&vector, "ua_public"));
    assert_eq!(agent.decrypt(&octets(&vector, "body")).unwrap(), TEXT);
}

#[test]
fn one_sender_key_opens_at_each_of_its_receivers() {
    for case in vector("derived-shared-as-key")["cases"].as_array().unwrap() {
        assert_eq!(agent_of(case).decrypt(&octets(case, "body")).unwrap(), TEXT, "{}", case["name"]);
    }
}

#[test]
fn padding_is_taken_off() {
    for case in vector("derived-padding")["cases"].as_array().unwrap() {
        let plaintext = octets(case, "plaintext");
        let body = sealed(&plaintext, case);
        if case["body"].is_string() {
            assert_eq!(body, octets(case, "body"));
        }
        assert_eq!(agent().decrypt(&body).unwrap(), plaintext, "{}", case["pad"]);
    }
}

#[test]
fn every_size_opens_whole() {
    for case in vector("derived-size-limits")["cases"].as_array().unwrap() {
        let plaintext = vec![0x41; number(case, "plaintext_len")];
        assert_eq!(agent().decrypt(&sealed(&plaintext, case)).unwrap(), plaintext);
    }
}

/// The body of a case that gives its hash only.
fn sealed(plaintext: &[u8], case: &Value) -> Vec<u8> {
    let keys = vector("rfc8291-s5");
    let private = octets(&keys, "as_private").try_into().unwrap();
    let salt = octets(&keys, "salt").try_into().unwrap();
    let body = seal(&agent().keys(), &private, salt, plaintext, number(case, "pad"));
    let hash = Sha256::digest(&body).iter().fold(String::new(), |hash, octet| format!("{hash}{octet:02x}"));
    assert_eq!(
        (hash.as_str(), body.len()),
        (case["body_sha256_hex"].as_str().unwrap(), number(case, "body_len"))
    );
    body
}

fn number(case: &Value, field: &str) -> usize {
    case[field].as_u64().unwrap().try_into().unwrap()
}

#[test]
fn each_broken_body_is_refused_for_its_own_reason() {
    let reasons = [
        ("tag-bit-flip", DecryptError::Authentication),
        ("ciphertext-bit-flip", DecryptError::Authentication),
        ("salt-bit-flip", DecryptError::Authentication),
        ("delimiter-0x01", DecryptError::Delimiter { found: 1 }),
        ("delimiter-0x03", DecryptError::Delimiter { found: 3 }),
        ("all-zero-record", DecryptError::AllZero),
        ("trailing-garbage-after-padding", DecryptError::Delimiter { found: 0x41 }),
        ("rs-17", DecryptError::RecordSize { rs: 17 }),
        ("rs-0", DecryptError::RecordSize { rs: 0 }),
        ("truncated-header-20", DecryptError::HeaderTruncated { octets: 20 }),
        ("truncated-keyid", DecryptError::HeaderTruncated { octets: 60 }),
        ("header-only", DecryptError::NoRecord),
        ("record-16-octets", DecryptError::RecordTooShort { octets: 16 }),
        ("truncated-record", DecryptError::Authentication),
        ("idlen-64", DecryptError::KeyIdLength { octets: 64 }),
        ("keyid-empty", DecryptError::KeyIdLength { octets: 0 }),
        ("keyid-compressed", DecryptError::KeyIdLength { octets: 33 }),
        ("keyid-off-curve", DecryptError::KeyIdNotAPoint),
        ("two-records", DecryptError::MoreThanOneRecord { rs: 40 }),
    ];
    let vector = vector("derived-reject");
    let cases = vector["cases"].as_array().unwrap();
    assert_eq!(cases.len(), reasons.len());
    for (case, (name, reason)) in cases.iter().zip(reasons) {
        assert_eq!(case["name"], name);
        assert_eq!(agent().decrypt(&octets(case, "body")), Err(reason), "{name}");
    }
}

#[test]
fn every_cut_and_every_flipped_bit_of_a_body_is_refused() {
    let body = octets(&vector("rfc8291-s5"), "body");
    let agent = agent();
    for length in 0..body.len() {
        assert!(agent.decrypt(&body[..length]).is_err(), "cut to {length}");
    }
    // The record size may be any that exceeds the record; all else is authenticated.
    for octet in (0..16).chain(20..body.len()) {
        let mut changed = body.clone();
        changed[octet] ^= 1 << (octet % 8);
        assert!(agent.decrypt(&changed).is_err(), "octet {octet}");
    }
}

proptest! {
    #[test]
    fn any_octets_are_refused_without_a_panic(tail in vec(any::<u8>(), 0..200), kept in 0..150_usize) {
        let vector = octets(&vector("rfc8291-s5"), "body");
        let mut body = vector[..kept.min(vector.len())].to_vec();
        body.extend(tail);
        if !body.starts_with(&vector) || body.len() != vector.len() {
            prop_assert!(agent().decrypt(&body).is_err());
        }
    }
}

#[test]
fn the_record_size_must_exceed_the_record() {
    let mut body = octets(&vector("rfc8291-s5"), "body");
    let record = u32::try_from(body.len() - 86).unwrap();
    for (rs, expected) in [
        (record - 1, Err(DecryptError::MoreThanOneRecord { rs: record - 1 })),
        (record, Err(DecryptError::RecordFull { rs: record })),
        (record + 1, Ok(TEXT.to_vec())),
        (u32::MAX, Ok(TEXT.to_vec())),
    ] {
        body[16..20].copy_from_slice(&rs.to_be_bytes());
        assert_eq!(agent().decrypt(&body), expected, "{rs}");
    }
}

#[test]
fn only_an_uncompressed_point_on_the_curve_is_a_key() {
    for case in vector("derived-p256dh-validation")["cases"].as_array().unwrap() {
        let (key, name) = (octets(case, "p256dh"), &case["name"]);
        assert_eq!(PublicKey::from_bytes(&key).is_ok(), case["valid"].as_bool().unwrap(), "{name}");
        let mut body = vec![0; 16];
        body.extend([0, 0, 16, 0, u8::try_from(key.len()).unwrap()]);
        body.extend(&key);
        body.extend([0; 32]);
        let point_or_length = matches!(
            agent().decrypt(&body),
            Err(DecryptError::KeyIdNotAPoint | DecryptError::KeyIdLength { .. })
        );
        assert_eq!(point_or_length, !case["valid"].as_bool().unwrap(), "{name}");
    }
}

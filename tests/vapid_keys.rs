//! Key files as OpenSSL writes them, and whatever else ends up in a key file.

#![allow(clippy::unwrap_used, reason = "a test may")]

use proptest::prelude::*;
use webpush_channels::engine::vapid::{VapidKey, VapidKeyError};

const SEC1: &str = include_str!("keys/sec1.pem");
const PKCS8: &str = include_str!("keys/pkcs8.pem");
const PUBLIC: &str =
    "BA2faX-4Xv1uDs_Luyx1VLB6omtNmUWYw6BklqrJPhYon40XLraC1Mm5zB1-929E0OJmefXLDxjCx-np2ihsLNY";

fn refused(text: &str) -> VapidKeyError {
    VapidKey::from_text(text).unwrap_err()
}

#[test]
fn the_four_encodings_of_openssl_are_one_key() {
    for key in [
        VapidKey::from_text(SEC1),
        VapidKey::from_text(PKCS8),
        VapidKey::from_pem(SEC1),
        VapidKey::from_der(include_bytes!("keys/sec1.der")),
        VapidKey::from_der(include_bytes!("keys/pkcs8.der")),
    ] {
        assert_eq!(key.unwrap().application_server_key(), PUBLIC);
    }
}

#[test]
fn our_encodings_are_those_of_openssl() {
    let key = VapidKey::from_text(SEC1).unwrap();
    assert_eq!(key.to_sec1_pem().expose(), SEC1);
    assert_eq!(key.to_pkcs8_pem().expose(), PKCS8);
    assert_eq!(key.to_sec1_der().expose(), include_bytes!("keys/sec1.der"));
    assert_eq!(key.to_pkcs8_der().expose(), include_bytes!("keys/pkcs8.der"));
}

#[test]
fn what_stands_around_a_key_does_not_matter() {
    let parameters_first = include_str!("keys/sec1_with_parameters.pem");
    assert!(parameters_first.starts_with("-----BEGIN EC PARAMETERS-----"));
    assert!(VapidKey::from_text(parameters_first).is_ok());
    let certificate = include_str!("keys/certificate.pem");
    for text in [
        format!("\u{feff}\r\n  {}", PKCS8.replace('\n', "\r\n")),
        format!("{certificate}{SEC1}"),
        format!("Bag Attributes\n  friendlyName: push\n{PKCS8}"),
        PKCS8.trim_end().to_owned(),
    ] {
        assert_eq!(VapidKey::from_text(&text).unwrap().application_server_key(), PUBLIC, "{text}");
    }
}

#[test]
fn another_kind_of_file_is_named() {
    for (file, says) in [
        (include_str!("keys/rsa.pem"), "this is an RSA key: VAPID needs an EC key on the curve P-256"),
        (include_str!("keys/rsa_pkcs1.pem"), "this is an RSA key"),
        (include_str!("keys/ed25519.pem"), "this is an Ed25519 key"),
        (include_str!("keys/p384.pem"), "this EC key is on the curve P-384"),
        (include_str!("keys/p384_sec1.pem"), "this EC key is on the curve P-384"),
        (include_str!("keys/secp256k1.pem"), "this EC key is on the curve secp256k1"),
        (include_str!("keys/encrypted.pem"), "the key is encrypted: decrypt it first"),
        (include_str!("keys/encrypted_sec1.pem"), "the key is encrypted"),
        (include_str!("keys/certificate.pem"), "this is a certificate, not a private key"),
        (include_str!("keys/public.pem"), "this is a public key, not a private key"),
        (include_str!("keys/parameters.pem"), "this is the parameters of a curve without a key"),
        (PUBLIC, "this is a public key, not a private key"),
        ("", "the key is empty"),
        ("c2hvcnQ", "a private key has 32 octets, this one has 5"),
        (
            "hunter2!",
            "not a private key: expected PEM, JSON (a JWK or a pair), or 43 characters of base64url",
        ),
        ("{", "not the JSON of a private key (line 1, column 1)"),
    ] {
        let error = refused(file).to_string();
        assert!(error.starts_with(says), "{says}: {error}");
    }
    assert!(matches!(refused(&"x".repeat(100_000)), VapidKeyError::TooLong { len: 100_000, .. }));
}

#[test]
fn damaged_pem_is_refused() {
    for text in [
        SEC1.split("-----END").next().unwrap().to_owned(),
        SEC1.replace("MHcC", "MH?C"),
        SEC1.replace("-----END EC PRIVATE KEY-----", "-----END PRIVATE KEY-----"),
        SEC1.replace('\n', "\\n"),
        "-----BEGIN ".to_owned(),
    ] {
        assert!(matches!(refused(&text), VapidKeyError::Pem), "{text}");
    }
    // Whole base64, cut DER: the cause is kept.
    let cut = refused("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----");
    assert!(matches!(&cut, VapidKeyError::Der(_)), "{cut:?}");
    assert!(std::error::Error::source(&cut).is_some());
}

/// V-20.
#[test]
fn scalars_out_of_range_are_refused() {
    const ORDER: &str = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";
    for text in ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ORDER] {
        assert!(matches!(refused(text), VapidKeyError::Scalar), "{text}");
    }
    assert!(matches!(VapidKey::from_scalar(&[0xff; 32]), Err(VapidKeyError::Scalar)));
    let below = ORDER.replace("JVE", "JVA");
    assert!(VapidKey::from_text(&below).is_ok());
}

/// V-20.
#[test]
fn a_public_key_of_another_pair_is_refused() {
    let (key, other) = (VapidKey::from_text(SEC1).unwrap(), VapidKey::generate().unwrap());
    let private = key.to_base64url();
    let pair = |public: &str| VapidKey::from_base64url_pair(private.expose(), public);
    assert!(pair(PUBLIC).is_ok());
    assert!(matches!(pair(&other.application_server_key()), Err(VapidKeyError::Mismatch)));
    assert!(matches!(pair("AAAA"), Err(VapidKeyError::PublicKey)));

    let jwk = key.to_jwk();
    let [ours, theirs] = [&jwk, &other.to_jwk()].map(|jwk| {
        let jwk: serde_json::Value = serde_json::from_str(jwk.expose()).unwrap();
        jwk["x"].as_str().unwrap().to_owned()
    });
    assert!(matches!(refused(&jwk.expose().replace(&ours, &theirs)), VapidKeyError::Mismatch));

    let mut der = key.to_sec1_der().expose().to_vec();
    let (at, theirs) = (der.len() - 65, other.public_key());
    der[at..].copy_from_slice(theirs);
    assert!(matches!(VapidKey::from_der(&der), Err(VapidKeyError::Mismatch)));
}

#[test]
fn a_jwk_is_read_whatever_else_it_holds() {
    let jwk = VapidKey::from_text(SEC1).unwrap().to_jwk();
    let with = |from: &str, to: &str| jwk.expose().replacen(from, to, 1);
    assert!(VapidKey::from_jwk(&with("{", r#"{"kid":"a","use":"sig","key_ops":["sign"],"#)).is_ok());
    assert!(matches!(refused(&with("P-256", "P-384")), VapidKeyError::Curve { found: "P-384" }));
    assert!(matches!(refused(&with("EC", "RSA")), VapidKeyError::Algorithm { .. }));
    assert!(matches!(refused(&with("\"d\"", "\"e\"")), VapidKeyError::NotPrivate { .. }));
    assert!(matches!(refused(&with("\"y\"", "\"z\"")), VapidKeyError::Jwk { member: "y" }));
    assert!(matches!(refused(r#"{"keys":[]}"#), VapidKeyError::Jwk { member: "kty" }));
    assert!(matches!(refused(&with("\"d\":\"", "\"d\":7,\"e\":\"")), VapidKeyError::Json { .. }));
}

#[test]
fn a_scalar_that_begins_as_pem_does_is_read() {
    let text = "-----BEGINPRIVATEKEY-----MIGHAgEAMBMGByqGSM";
    let key = VapidKey::from_base64url(text).unwrap();
    assert_eq!(key.to_base64url().expose(), text);
    for again in [VapidKey::from_text(text), VapidKey::from_octets(text.as_bytes())] {
        assert_eq!(again.unwrap().id(), key.id());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = VapidKey::from_text(&text);
        let _ = VapidKey::from_jwk(&text);
        let _ = VapidKey::from_json_pair(&text);
        let _ = VapidKey::from_base64_der(&text);
        let _ = VapidKey::from_octets(text.as_bytes());
        let _ = VapidKey::from_base64url_pair(&text, &text);
        let _ = VapidKey::from_der(text.as_bytes());
    }

    #[test]
    fn no_damage_panics_or_shows_the_key(
        file in prop::sample::select(vec![SEC1, PKCS8, include_str!("keys/rsa.pem")]),
        at in any::<prop::sample::Index>(),
        with in "[ -~\n]{0,3}",
        flip in 1..=u8::MAX,
    ) {
        let at = at.index(file.len());
        let text = format!("{}{with}{}", &file[..at], &file[at + 1..]);
        if let Err(error) = VapidKey::from_text(&text) {
            let shown = format!("{error:?} {error}");
            prop_assert!(!shown.contains("MHcCAQ") && !shown.contains("e4V1En"), "{}", shown);
        }
        let mut der = include_bytes!("keys/pkcs8.der").to_vec();
        let at = at % der.len();
        der[at] ^= flip;
        let _ = VapidKey::from_der(&der);
        let _ = VapidKey::from_der(&der[..at]);
        let _ = VapidKey::from_octets(&der);
        let _ = VapidKey::from_octets(&der[..at]);
    }
}

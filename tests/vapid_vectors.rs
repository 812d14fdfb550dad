//! The published and derived vectors of RFC 8292, RFC 7515, RFC 6979 and RFC 8030 section 5.4.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use webpush_channels::engine::vapid::{Renewal, Topic, Vapid, VapidKey};
use webpush_channels::testing::vapid::{VapidRefusal, parse_authorization, verify};
use webpush_channels::{Clock, Endpoint, EndpointPolicy, Origin};

fn vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("vectors/vectors.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    vectors.iter().find(|vector| vector["id"] == id).unwrap_or_else(|| panic!("no vector {id}")).clone()
}

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member].as_str().unwrap()
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn origin(url: &str) -> Origin {
    url.parse::<Endpoint>().unwrap().origin()
}

#[derive(Debug)]
struct Frozen(u64);

impl Clock for Frozen {
    fn now(&self) -> SystemTime {
        at(self.0)
    }
}

#[test]
fn published_tokens_verify() {
    for id in ["rfc8292-s2.4", "autopush-sample-vapid"] {
        let vector = vector(id);
        let claims: Value = serde_json::from_str(text(&vector, "jwt_claims_json")).unwrap();
        let (aud, exp) = (origin(text(&claims, "aud")), claims["exp"].as_u64().unwrap());
        let credentials = parse_authorization(text(&vector, "authorization_vapid")).unwrap();
        let verified = verify(&credentials, &aud, at(exp - 3600)).unwrap();
        assert_eq!(verified.audience, text(&claims, "aud"), "{id}");
        assert_eq!(verified.expires, exp, "{id}");
        assert_eq!(verified.contact.as_str(), text(&claims, "sub"), "{id}");

        assert!(verify(&credentials, &aud, at(exp)).is_ok());
        assert_eq!(verify(&credentials, &aud, at(exp + 1)), Err(VapidRefusal::Expired));
        assert!(verify(&credentials, &aud, at(exp - 86_400)).is_ok());
        assert_eq!(verify(&credentials, &aud, at(exp - 86_401)), Err(VapidRefusal::TooFarAhead));
        let other = origin("https://push.example.org");
        assert_eq!(verify(&credentials, &other, at(exp)), Err(VapidRefusal::Audience));
    }
}

#[test]
fn the_legacy_scheme_is_refused() {
    let vector = vector("rfc8292-s2.4");
    let refused = parse_authorization(text(&vector, "legacy_authorization")).unwrap_err();
    assert_eq!(refused, VapidRefusal::Scheme);
}

/// The claims are no VAPID claims, so that only the signature passes.
#[test]
fn the_es256_example_of_rfc_7515_verifies() {
    let vector = vector("rfc7515-a3");
    let key = VapidKey::from_base64url(text(&vector, "d")).unwrap();
    assert_eq!(key.application_server_key(), text(&vector, "public_uncompressed"));
    let header = |jws: &str| format!("vapid t={jws}, k={}", key.application_server_key());
    let check = |jws: &str| {
        let credentials = parse_authorization(&header(jws)).unwrap();
        verify(&credentials, &origin("https://push.example.net"), at(0)).unwrap_err()
    };
    let jws = text(&vector, "jws");
    assert_eq!(check(jws), VapidRefusal::Audience);
    assert_eq!(check(&jws.replace(".DtEh", ".DtEi")), VapidRefusal::Signature);
}

#[test]
fn the_key_of_rfc_6979_reads() {
    let vector = vector("rfc6979-a2.5");
    let scalar = hex(text(&vector, "private_hex"));
    let key = VapidKey::from_scalar(scalar.as_slice().try_into().unwrap()).unwrap();
    assert_eq!(key.public_key().as_slice(), hex(text(&vector, "public_uncompressed_hex")));
}

/// V-21. A renewed token expires twelve hours later, so that any `exp` can be had.
#[test]
fn our_token_is_the_deterministic_one_byte_for_byte() {
    let vector = vector("derived-vapid-deterministic");
    let key = VapidKey::from_base64url_pair(text(&vector, "private"), text(&vector, "k")).unwrap();
    let clock = Arc::new(Frozen(1_453_523_768 - 12 * 3600));
    let vapid = Vapid::new(key, "mailto:push@example.com".parse().unwrap()).with_clock(clock);
    let origin = origin("https://push.example.net/p/x");
    let slot = vapid.authorization(&origin).unwrap();
    let Renewal::Renewed(token) = vapid.renew_after(&origin, slot.generation) else {
        panic!("the first renewal is never too soon");
    };
    assert_eq!(token.header, text(&vector, "authorization"));
}

#[test]
fn the_aud_is_the_origin_of_the_endpoint() {
    let policy = EndpointPolicy::public_internet().with_port(8443);
    for case in vector("derived-aud-origin")["cases"].as_array().unwrap() {
        let url = text(case, "endpoint");
        let parsed = url.parse::<Endpoint>();
        let Some(aud) = case["aud"].as_str() else {
            let refused = parsed.map_or(true, |endpoint| policy.check(&endpoint).is_err());
            assert!(refused, "{url}");
            continue;
        };
        let endpoint = parsed.unwrap();
        assert_eq!(endpoint.origin().as_str(), aud, "{url}");
        let literal = endpoint.host().starts_with('[');
        assert_eq!(policy.check(&endpoint).is_ok(), !literal, "{url}");
    }
}

#[test]
fn topics_are_judged_as_rfc_8030_does() {
    for case in vector("derived-topic")["cases"].as_array().unwrap() {
        let topic = text(case, "topic");
        assert_eq!(Topic::parse(topic).is_ok(), case["valid"].as_bool().unwrap(), "{topic:?}");
    }
}

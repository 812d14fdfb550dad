//! What strangers send: each a typed error that says what is wrong, or accepted where the rules
//! say so. Nothing panics.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use webpush_channels::channel::{Channels, SubscribeError};
use webpush_channels::engine::encryption::{Encryption, Plaintext};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::vapid::{Contact, ContactError, Vapid, VapidKey, VapidKeyError};
use webpush_channels::sender::Sender;
use webpush_channels::store::MemoryStore;
use webpush_channels::testing::vapid::{VapidRefusal, parse_authorization, verify};
use webpush_channels::testing::{ManualClock, PushService, UserAgent, Violation};
use webpush_channels::transport::{HyperTransport, Transport as _};
use webpush_channels::{
    AddressPolicy, AuthSecret, ChannelName, Clock as _, Endpoint, EndpointError, EndpointPolicy, KeyError,
    NameError, Padding, Payload, PolicyError, Subscription, SubscriptionError, Ttl, UserId,
};

const ENDPOINT: &str = "https://push.example.net/p/x";

fn point() -> [u8; 65] {
    *UserAgent::seeded(1).keys().p256dh().as_bytes()
}

fn encode(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

fn json(endpoint: &str, p256dh: &str, auth: &str) -> String {
    format!(
        r#"{{"endpoint":"{endpoint}","expirationTime":null,"keys":{{"p256dh":"{p256dh}","auth":"{auth}"}}}}"#
    )
}

fn good() -> String {
    json(ENDPOINT, &encode(&point()), &encode(&[7; 16]))
}

fn with_key(p256dh: &[u8]) -> Result<Subscription, SubscriptionError> {
    Subscription::from_json(json(ENDPOINT, &encode(p256dh), &encode(&[7; 16])))
}

fn with_endpoint(endpoint: &str) -> Result<Subscription, SubscriptionError> {
    Subscription::from_json(json(endpoint, &encode(&point()), &encode(&[7; 16])))
}

#[test]
fn keys_in_another_form_than_an_uncompressed_point_are_refused() {
    let point = point();
    let parity = point[64] & 1;
    let compressed = [&[2 + parity], &point[1..33]].concat();
    let hybrid = [&[6 + parity], &point[1..]].concat();
    let mut off_curve = point;
    off_curve[64] ^= 1;
    let beyond_the_field = [&[4][..], &[0xff; 64]].concat();
    let spki = [&[0x30, 0x59][..], &[0; 24], &point].concat();
    for (key, error) in [
        (&compressed[..], KeyError::PublicKeyLength { octets: 33 }),
        (&hybrid, KeyError::PublicKeyForm),
        (&off_curve, KeyError::NotOnCurve),
        (&beyond_the_field, KeyError::NotOnCurve),
        (&point[1..], KeyError::PublicKeyLength { octets: 64 }),
        (&[&point[..], &[0]].concat(), KeyError::PublicKeyLength { octets: 66 }),
        (&spki, KeyError::PublicKeyLength { octets: 91 }),
        (&[0], KeyError::PublicKeyLength { octets: 1 }),
        (&[], KeyError::PublicKeyLength { octets: 0 }),
        (&[4; 65], KeyError::NotOnCurve),
        (&[0; 65], KeyError::PublicKeyForm),
    ] {
        assert_eq!(with_key(key), Err(SubscriptionError::Key(error)), "{error}");
    }
    assert!(with_key(&point).is_ok());
}

#[test]
fn a_secret_has_sixteen_octets() {
    for octets in [0, 1, 15, 17, 32] {
        let secret = encode(&vec![7; octets]);
        let refused = Subscription::from_json(json(ENDPOINT, &encode(&point()), &secret));
        assert_eq!(refused, Err(SubscriptionError::Key(KeyError::AuthLength { octets })), "{octets}");
    }
}

#[test]
fn keys_are_base64url_with_padding_or_without() {
    let point = point();
    let padded = json(ENDPOINT, &BASE64_URL_SAFE.encode(point), &BASE64_URL_SAFE.encode([7; 16]));
    assert!(padded.contains("=="));
    assert_eq!(Subscription::from_json(padded), Subscription::from_json(good()));

    let p256dh = encode(&point);
    for auth in
        [&BASE64_STANDARD_NO_PAD.encode([0xff; 16]), "BTBZMqHH6r4Tts7J_aSIg!", "BTBZMqHH 6r4Tts7J_aSIgg"]
    {
        let refused = Subscription::from_json(json(ENDPOINT, &p256dh, auth));
        assert_eq!(refused, Err(SubscriptionError::Key(KeyError::AuthEncoding)), "{auth}");
    }
    // Bits after the last octet: another text for the same secret.
    assert_eq!(AuthSecret::from_base64url("BTBZMqHH6r4Tts7J_aSIgh"), Err(KeyError::AuthEncoding));
    let standard = format!("{}+", &p256dh[..86]);
    let refused = Subscription::from_json(json(ENDPOINT, &standard, &encode(&[7; 16])));
    assert_eq!(refused, Err(SubscriptionError::Key(KeyError::PublicKeyEncoding)));
}

#[test]
fn what_is_no_endpoint_is_refused_when_it_is_parsed() {
    use EndpointError::{Character, Fragment, Host, NotAbsolute, Port, Scheme, TooLong, Userinfo};
    let long = format!("{ENDPOINT}/{}", "x".repeat(10_240));
    for (endpoint, error) in [
        ("", NotAbsolute),
        ("/p/x", NotAbsolute),
        ("push.example.net/p/x", NotAbsolute),
        ("//push.example.net/p/x", NotAbsolute),
        ("https:/push.example.net/p/x", NotAbsolute),
        ("ws://push.example.net/p/x", Scheme),
        ("file:///etc/passwd", Scheme),
        ("https://user@push.example.net/p/x", Userinfo),
        ("https://user:password@push.example.net/p/x", Userinfo),
        ("https://push.example.net@169.254.169.254/", Userinfo),
        ("https://push.example.net/p/x#fragment", Fragment),
        ("https://push.example.net/p/x#", Fragment),
        ("https://push.example.net:99999/p/x", Port),
        ("https://push.example.net:65536/p/x", Port),
        ("https://push.example.net:/p/x", Port),
        ("https://push.example.net:-1/p/x", Port),
        ("https://push.example.net/p/\u{fc}", Character),
        ("https://p\u{fc}sh.example.net/p/x", Character),
        ("https://push.example.net/p/x y", Character),
        ("https://push.example.net/p/x\u{7f}", Character),
        (&long, TooLong { len: long.len() }),
        // Addresses in spellings that resolvers take and firewalls do not expect.
        ("https://127.1/p/x", Host),
        ("https://127.0.1/p/x", Host),
        ("https://2130706433/p/x", Host),
        ("https://0x7f000001/p/x", Host),
        ("https://0x7f.0.0.1/p/x", Host),
        ("https://0177.0.0.1/p/x", Host),
        ("https://127.0.0.1./p/x", Host),
        ("https://256.0.0.1/p/x", Host),
        ("https://[::1/p/x", Host),
        ("https://[fe80::1%25eth0]/p/x", Host),
        ("https://[v1.fe80::a]/p/x", Host),
        ("https://[127.0.0.1]/p/x", Host),
        ("https://::1/p/x", Port),
    ] {
        assert_eq!(endpoint.parse::<Endpoint>(), Err(error), "{endpoint}");
        assert_eq!(with_endpoint(endpoint), Err(SubscriptionError::Endpoint(error)), "{endpoint}");
    }
    for octet in (0..=0x20).chain([0x7f]) {
        let endpoint = format!("{ENDPOINT}{}", char::from(octet));
        assert_eq!(endpoint.parse::<Endpoint>(), Err(Character), "{octet}");
    }
}

#[test]
fn what_is_an_endpoint_but_no_public_push_service_is_refused_by_the_policy() {
    use PolicyError::{IpLiteral, LocalName, NotHttps, Port};
    for (endpoint, error) in [
        ("http://push.example.net/p/x", NotHttps),
        ("HTTP://push.example.net/p/x", NotHttps),
        ("https://127.0.0.1/p/x", IpLiteral),
        ("https://169.254.169.254/latest/meta-data", IpLiteral),
        ("https://8.8.8.8/p/x", IpLiteral),
        ("https://0.0.0.0/p/x", IpLiteral),
        ("https://[::1]/p/x", IpLiteral),
        ("https://[0:0:0:0:0:0:0:1]/p/x", IpLiteral),
        ("https://[::ffff:127.0.0.1]/p/x", IpLiteral),
        ("https://[::ffff:7f00:1]/p/x", IpLiteral),
        ("https://[64:ff9b::7f00:1]/p/x", IpLiteral),
        ("https://[2001:4860:4860::8888]/p/x", IpLiteral),
        ("https://localhost/p/x", LocalName),
        ("https://LOCALHOST./p/x", LocalName),
        ("https://metadata.google.internal/p/x", LocalName),
        ("https://intranet/p/x", LocalName),
        ("https://push.example.net:22/p/x", Port),
        ("https://push.example.net:80/p/x", Port),
    ] {
        let endpoint: Endpoint = endpoint.parse().expect(endpoint);
        for policy in [EndpointPolicy::public_internet(), EndpointPolicy::known_vendors()] {
            assert_eq!(policy.check(&endpoint), Err(error), "{}", endpoint.as_str());
        }
    }
    let public: Endpoint = ENDPOINT.parse().unwrap();
    assert_eq!(EndpointPolicy::public_internet().check(&public), Ok(()));
    assert_eq!(EndpointPolicy::known_vendors().check(&public), Err(PolicyError::HostNotAllowed));
}

#[tokio::test]
async fn an_endpoint_that_the_policy_refuses_is_not_stored() {
    let vapid = Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap());
    let sender = Sender::builder(vapid, HyperTransport::new().unwrap()).build();
    let channels = Channels::new(MemoryStore::new(), sender);
    let user = UserId::new("alice").unwrap();
    let metadata = with_endpoint("https://169.254.169.254/latest/meta-data").unwrap();
    let refused = channels.subscribe(&user, metadata, None).await.unwrap_err();
    assert!(matches!(refused, SubscribeError::Policy(PolicyError::IpLiteral)), "{refused}");
    assert!(channels.store().subscriptions(&user).await.unwrap().is_empty());
}

#[test]
fn an_expiration_time_is_null_or_milliseconds() {
    let at = |time: &str| {
        let json = good().replace(r#""expirationTime":null"#, &format!(r#""expirationTime":{time}"#));
        Subscription::from_json(json).map(|subscription| subscription.expiration_time())
    };
    let after = |milliseconds| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds));
    for (time, expected) in [
        ("null", Ok(None)),
        ("0", Ok(after(0))),
        ("1700000000123", Ok(after(1_700_000_000_123))),
        ("1700000000123.7", Ok(after(1_700_000_000_123))),
        ("1.7e12", Ok(after(1_700_000_000_000))),
        ("-1", Err(SubscriptionError::ExpirationTime)),
        ("1e300", Err(SubscriptionError::ExpirationTime)),
        (r#""1700000000123""#, Err(SubscriptionError::ExpirationTime)),
        ("{}", Err(SubscriptionError::ExpirationTime)),
        ("true", Err(SubscriptionError::ExpirationTime)),
    ] {
        assert_eq!(at(time), expected, "{time}");
    }
    // Later than any clock shows is as good as never.
    assert!(at("18446744073709551615").is_ok());
    let absent = good().replace(r#""expirationTime":null,"#, "");
    assert_eq!(Subscription::from_json(absent), Subscription::from_json(good()));
}

#[test]
fn unknown_members_are_ignored() {
    let more = good().replacen('{', r#"{"options":{"userVisibleOnly":true},"id":[1,{}],"#, 1);
    let more = more.replace(r#""keys":{"#, r#""keys":{"other":"x","#);
    assert_eq!(Subscription::from_json(more), Subscription::from_json(good()));
}

#[test]
fn what_is_not_the_json_of_a_subscription_is_told_where() {
    let twice = serde_json::to_string(&good()).unwrap();
    let deep = "[".repeat(16_000);
    for bad in [
        "",
        "null",
        "7",
        "[]",
        "{}",
        "{",
        &good()[1..],
        &good()[..40],
        &twice,
        &deep,
        "{\"endpoint\":\"\\ud800\"}",
    ] {
        let error = Subscription::from_json(bad).unwrap_err();
        assert!(matches!(error, SubscriptionError::Json { .. }), "{error:?}: {bad}");
    }
    assert!(matches!(Subscription::from_json(b"\xff\xfe"), Err(SubscriptionError::Json { .. })));
    let long = good() + &" ".repeat(16 * 1024);
    assert_eq!(Subscription::from_json(&long), Err(SubscriptionError::TooLong { len: long.len() }));
}

#[test]
fn a_channel_name_of_four_kilobytes_is_too_long() {
    let error = ChannelName::new("x".repeat(4096)).unwrap_err();
    assert_eq!(error, NameError::TooLong { what: "channel name", len: 4096, limit: 1024 });
    assert!(ChannelName::new("x".repeat(1024)).is_ok());
    assert!(matches!(ChannelName::new(""), Err(NameError::Empty { .. })));
    assert!(matches!(ChannelName::new("a\0b"), Err(NameError::Control { .. })));
}

#[test]
fn a_key_file_that_is_something_else_says_what_it_is() {
    let pem = VapidKey::generate().unwrap().to_pkcs8_pem();
    let pem = pem.expose();
    let cut = &pem[..pem.len() / 2];
    let damaged = pem.replacen("MIG", "MI!", 1);
    let other_der = pem.replacen("MIG", "AAA", 1);
    for (text, check) in [
        (cut, (|error| matches!(error, VapidKeyError::Pem)) as fn(&VapidKeyError) -> bool),
        (&damaged, |error| matches!(error, VapidKeyError::Pem)),
        (&other_der, |error| matches!(error, VapidKeyError::Der(_))),
        ("-----BEGIN PRIVATE KEY-----", |error| matches!(error, VapidKeyError::Pem)),
        (" \n", |error| matches!(error, VapidKeyError::Empty)),
        ("not a key", |error| matches!(error, VapidKeyError::Base64)),
        ("{", |error| matches!(error, VapidKeyError::Json { .. })),
        ("{}", |error| matches!(error, VapidKeyError::Jwk { member: "kty" })),
        (&"A".repeat(43), |error| matches!(error, VapidKeyError::Scalar)),
        (&"A".repeat(42), |error| matches!(error, VapidKeyError::Base64 | VapidKeyError::Length { .. })),
        (&"A".repeat(100_000), |error| matches!(error, VapidKeyError::TooLong { .. })),
        (include_str!("keys/encrypted.pem"), |error| matches!(error, VapidKeyError::Encrypted)),
        (include_str!("keys/rsa.pem"), |error| matches!(error, VapidKeyError::Algorithm { .. })),
        (include_str!("keys/p384.pem"), |error| matches!(error, VapidKeyError::Curve { .. })),
        (include_str!("keys/certificate.pem"), |error| matches!(error, VapidKeyError::NotPrivate { .. })),
    ] {
        let error = VapidKey::from_text(text).unwrap_err();
        assert!(check(&error), "{error:?}: {text}");
    }
}

#[test]
fn a_contact_that_nobody_can_reach_is_refused() {
    for (contact, error) in [
        ("mailto:a@localhost", ContactError::LocalHost),
        ("mailto:a@example", ContactError::LocalHost),
        ("mailto:a@host", ContactError::Host),
        ("mailto:a", ContactError::Address),
        ("mailto:<a@example.org>", ContactError::Character),
        ("a@example.org", ContactError::BareAddress),
        ("http://example.org/", ContactError::Scheme),
        ("https://localhost/", ContactError::LocalHost),
        ("", ContactError::Scheme),
    ] {
        assert_eq!(contact.parse::<Contact>(), Err(error), "{contact}");
    }
}

/// A token is made for the signer's clock: one that is wrong makes tokens that live too long.
#[tokio::test]
async fn a_token_that_lives_25_hours_is_refused() {
    const SLOT: u64 = 6 * 3600;
    let signer = ManualClock::at_unix(80_000 * SLOT);
    let expires = 80_000 * SLOT + 3 * SLOT;
    let vapid = Vapid::new(VapidKey::generate().unwrap(), "mailto:ops@example.org".parse().unwrap())
        .with_clock(Arc::new(signer));
    let service_clock = Arc::new(ManualClock::at_unix(expires - 25 * 3600));
    let service =
        PushService::builder().clock(Arc::clone(&service_clock) as _).http1_only(true).start().await.unwrap();
    let transport =
        HyperTransport::builder().address_policy(AddressPolicy::loopback_for_tests()).build().unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let token = vapid.authorization(&service.origin()).unwrap().header;
    let send = async || {
        let request = PushRequest::new(subscription.endpoint(), Ttl::hours(1), token.clone())
            .with_body(sealed(&subscription))
            .into_http();
        transport.send(request).await.unwrap().status().as_u16()
    };
    let credentials = parse_authorization(token.to_str().unwrap()).unwrap();
    let judge = || verify(&credentials, &service.origin(), service_clock.now());

    assert_eq!(judge(), Err(VapidRefusal::TooFarAhead));
    assert_eq!(send().await, 403);
    assert_eq!(service.violations(), [Violation::VapidTooLong]);
    service_clock.advance(Duration::from_secs(3600));
    assert_eq!(judge().unwrap().expires, expires);
    assert_eq!(send().await, 201);
    service_clock.advance(Duration::from_secs(24 * 3600 + 1));
    assert_eq!(judge(), Err(VapidRefusal::Expired));
    assert_eq!(send().await, 403);
}

fn sealed(to: &Subscription) -> Body {
    let plaintext = Plaintext::new(&Payload::new("hello").unwrap(), Padding::None, 3993).unwrap();
    let mut body = Vec::new();
    let encoded = Encryption::fastest().encrypt(to.keys(), &plaintext, &mut body).unwrap();
    Body::encrypted(encoded, Bytes::from(body))
}

//! The in-process push service: its rules, over every wire.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use webpush_channels::Subscription;
use webpush_channels::testing::{
    DecryptError, ManualClock, PushService, PushServiceBuilder, UserAgent, Violation,
};

use self::client::{NOW, Push, Vapid, Wire};
use self::legacy::Parties;

#[path = "support/client.rs"]
mod client;
#[path = "support/legacy.rs"]
mod legacy;
#[path = "support/seal.rs"]
mod seal;

fn builder() -> PushServiceBuilder {
    PushService::builder().clock(Arc::new(ManualClock::at_unix(NOW)))
}

/// Requests that break one rule each.
fn broken(to: &Subscription) -> Vec<(Violation, Push)> {
    let good = Push::new(to, b"hello");
    let push = || good.clone();
    let mut cases = broken_headers(&push);
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        cases.push((Violation::Method, push().method(method)));
    }
    let origin = to.endpoint().origin();
    for path in ["/", "/p/", "/p/0", "/p/0-0000000000000000", "/p/99999999999999999999-0", "/p/1-zz", "/m"] {
        cases.push((Violation::NotFound, push().at(&format!("{origin}{path}"))));
    }
    cases.push((Violation::NotFound, push().at(&format!("{}/", to.endpoint().as_str()))));
    for path in ["/m/", "/m/0-1-0", "/m/0-0-0"] {
        let delete = push().at(&format!("{origin}{path}")).method(Method::DELETE);
        cases.push((Violation::MessageId, delete));
    }
    cases.push((Violation::TooLarge, push().body(vec![0; 4097])));
    cases.push((Violation::TooLarge, push().body(vec![0; 20_000])));
    cases.push((Violation::ContentEncoding, Push::null(to).with("content-encoding", "aes128gcm")));
    let reused = seal::seal(to.keys(), &[5; 32], [9; 16], b"hello", 0);
    cases.push((Violation::VapidKeyReused, push().body(reused)));
    cases.extend(broken_legacy(to));
    cases
}

const SENDER: [u8; 32] = [6; 32];

/// A message in `aesgcm`, with the VAPID of that time.
fn legacy_push(to: &Subscription, text: &[u8]) -> Push {
    let (receiver, auth) = (*to.keys().p256dh().as_bytes(), *to.keys().auth().as_bytes());
    let parties = Parties { receiver, sender: legacy::public(&SENDER), auth, salt: [9; 16] };
    let push = Push::new(to, b"").body(parties.seal(&SENDER, text)).with("content-encoding", "aesgcm");
    let encode = |octets: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(octets);
    let vapid = push.headers["authorization"].to_str().unwrap().to_owned();
    let (token, key) = vapid.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
    push.with("authorization", &format!("WebPush {token}"))
        .with("encryption", &format!("keyid=p256dh;salt={}", encode(&parties.salt)))
        .with("crypto-key", &format!("keyid=p256dh;dh={};p256ecdsa={key}", encode(&parties.sender)))
}

/// What breaks a rule of the legacy coding (E-53, V-30).
fn broken_legacy(to: &Subscription) -> Vec<(Violation, Push)> {
    let push = || legacy_push(to, b"hello");
    let key = push().headers["crypto-key"].to_str().unwrap().to_owned();
    let dh = |octets: &[u8]| {
        let (_, vapid) = key.split_once(";p256ecdsa=").unwrap();
        format!("keyid=p256dh;dh={};p256ecdsa={vapid}", BASE64_URL_SAFE_NO_PAD.encode(octets))
    };
    let without_vapid = key.split(";p256ecdsa").next().unwrap();
    vec![
        (Violation::LegacyEncryption, push().without("encryption").with("authorization", &vapid_of(to))),
        (
            Violation::LegacyEncryption,
            push().with("encryption", "salt=AAAA").with("authorization", &vapid_of(to)),
        ),
        (Violation::LegacyCryptoKey, push().without("crypto-key").with("authorization", &vapid_of(to))),
        (Violation::LegacyCryptoKey, push().with("crypto-key", &dh(&[4; 64]))),
        // Without its fields there is no key either.
        (Violation::VapidHeader, push().without("crypto-key")),
        (Violation::VapidHeader, push().with("crypto-key", without_vapid)),
        (Violation::VapidHeader, push().with("authorization", "WebPush")),
        (Violation::VapidToken, push().with("authorization", "WebPush x")),
        (Violation::VapidHeader, push().with("authorization", "WebPush x, k=y")),
        (Violation::VapidKeyReused, push().with("crypto-key", &dh(&legacy::public(&[5; 32])))),
        (Violation::VapidMissing, push().without("authorization")),
        (Violation::TooLarge, push().body(vec![0; 4097])),
        // Beside the current coding only the current VAPID is taken.
        (
            Violation::VapidHeader,
            Push::new(to, b"hello").with("authorization", push().headers["authorization"].to_str().unwrap()),
        ),
    ]
}

/// The token as RFC 8292 has it.
fn vapid_of(to: &Subscription) -> String {
    Push::new(to, b"").headers["authorization"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_legacy_message_reaches_its_user_agent() {
    for wire in Wire::ALL {
        let service = wire.start(builder()).await;
        let agent = UserAgent::seeded(1);
        let subscription = service.subscribe_bound(&agent, &Vapid::default().public());
        let mut client = wire.connect(&service).await;
        let push = legacy_push(&subscription, b"hello");
        for push in [push.clone(), push.with("authorization", &vapid_of(&subscription))] {
            assert_eq!(client.status(&push).await, StatusCode::CREATED, "{wire:?}");
        }
        let received = service.received(&subscription);
        assert_eq!(received.len(), 2);
        for message in received {
            assert_eq!(message.payload(), Ok(Some(&b"hello"[..])));
        }
        assert_eq!(service.violations(), []);
    }
}

fn broken_headers(push: &dyn Fn() -> Push) -> Vec<(Violation, Push)> {
    let mut cases = vec![
        (Violation::Ttl, push().without("ttl")),
        (Violation::VapidMissing, push().without("authorization")),
        (Violation::ContentEncodingMissing, push().without("content-encoding")),
    ];
    for (violation, name, value) in [
        (Violation::Ttl, "ttl", "-1"),
        (Violation::Ttl, "ttl", "60.5"),
        (Violation::Ttl, "ttl", ""),
        (Violation::Urgency, "urgency", "bogus"),
        (Violation::Urgency, "urgency", "low,high"),
        (Violation::Urgency, "urgency", ""),
        (Violation::Topic, "topic", ""),
        (Violation::Topic, "topic", "abcde"),
        (Violation::Topic, "topic", "a.bc"),
        (Violation::Topic, "topic", "abcdefghijklmnopqrstuvwxyzabcdefg"),
        (Violation::ContentEncoding, "content-encoding", "gzip"),
        (Violation::ContentEncoding, "content-encoding", "aesgcm128"),
        (Violation::LegacyEncryption, "content-encoding", "aesgcm"),
        (Violation::ContentEncoding, "content-encoding", "AES128GCM"),
        (Violation::CryptoKey, "crypto-key", "p256ecdsa=x; dh=y"),
        (Violation::Encryption, "encryption", "salt=x"),
        (Violation::Expect, "expect", "100-continue"),
        (Violation::AmbientHeader, "cookie", "a=b"),
        (Violation::AmbientHeader, "referer", "https://example.com/"),
        (Violation::AmbientHeader, "origin", "https://example.com"),
        (Violation::AmbientHeader, "x-forwarded-for", "192.0.2.1"),
    ] {
        cases.push((violation, push().with(name, value)));
    }
    for (name, value) in
        [("ttl", "60"), ("urgency", "low"), ("topic", "abcd"), ("content-type", "text/plain")]
    {
        cases.push((Violation::Duplicate, push().with(name, value).and(name, value)));
    }
    let token = push().headers["authorization"].clone();
    cases.push((Violation::Duplicate, push().and("authorization", token.to_str().unwrap())));
    cases
}

#[tokio::test]
async fn each_broken_rule_is_answered_as_a_vendor_would() {
    for wire in Wire::ALL {
        let service = wire.start(builder()).await;
        let subscription = service.subscribe(&UserAgent::seeded(1));
        let mut client = wire.connect(&service).await;
        let mut expected = Vec::new();
        for (violation, push) in broken(&subscription) {
            let answer = client.push(&push).await;
            assert_eq!(answer.status().as_u16(), violation.status(), "{wire:?} {violation}");
            let body: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(body["code"], violation.status());
            assert_eq!(body["errno"], json!(violation.errno()));
            assert_eq!(body["message"], violation.to_string());
            expected.push(violation);
        }
        assert_eq!(service.violations(), expected, "{wire:?}");
        let counters = service.counters();
        assert_eq!((counters.accepted, counters.rejected), (0, expected.len() as u64));
        assert_eq!(counters.connections, 1);
    }
}

#[tokio::test]
async fn a_message_reaches_its_user_agent_over_every_wire() {
    for wire in Wire::ALL {
        let service = wire.start(builder()).await;
        let subscription = service.subscribe(&UserAgent::seeded(1));
        let mut client = wire.connect(&service).await;
        let push = Push::new(&subscription, b"hello")
            .with("ttl", "99999999999")
            .with("topic", "abcd")
            .with("urgency", "high");
        let answer = client.push(&push).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{wire:?}");
        assert_eq!(answer.headers()["ttl"], "2592000");
        assert!(answer.body().is_empty());
        let location = answer.headers()["location"].to_str().unwrap();
        assert!(location.starts_with(&format!("{}/m/", service.origin())));
        assert_eq!(client.status(&Push::null(&subscription)).await, StatusCode::CREATED);

        let received = service.received(&subscription);
        assert_eq!(received[0].payload(), Ok(Some(&b"hello"[..])));
        assert_eq!(received[0].ttl(), Duration::from_secs(2_592_000));
        assert_eq!((received[0].topic(), received[0].urgency()), (Some("abcd"), Some("high")));
        assert_eq!(received[1].payload(), Ok(None));
        assert_eq!(received.len(), 2);
        let counters = service.counters();
        assert_eq!((counters.accepted, counters.decrypted, counters.rejected), (2, 2, 0));
    }
}

#[tokio::test]
async fn a_token_is_verified_to_the_letter() {
    let service = builder().start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let mut client = Wire::Http2.connect(&service).await;
    let origin = service.origin();
    let origin = origin.as_str();
    let good = |change: fn(&mut Vapid)| {
        let mut vapid = Vapid::default();
        change(&mut vapid);
        vapid.header(origin)
    };
    let claims = |claims: Value| Vapid::default().header_of(&claims.to_string());
    let (exp, sub) = (NOW + 3600, "mailto:ops@example.com");
    let token = Vapid::default().token(&json!({"aud": origin, "exp": exp, "sub": sub}).to_string());
    let k = Vapid::default().k();
    let other = Vapid::of([6; 32]).k();
    let cases = [
        (Ok(()), good(|_| {})),
        (Ok(()), good(|vapid| vapid.expires = NOW)),
        (Ok(()), good(|vapid| vapid.expires = NOW + 86_400)),
        (Ok(()), good(|vapid| vapid.contact = Some("https://example.com/contact"))),
        (Ok(()), claims(json!({"aud": origin, "exp": exp, "sub": sub, "iat": NOW}))),
        (Ok(()), format!("Vapid k={k},t={token}")),
        (Err(Violation::VapidExpired), good(|vapid| vapid.expires = NOW - 1)),
        (Err(Violation::VapidTooLong), good(|vapid| vapid.expires = NOW + 86_401)),
        (Err(Violation::VapidTooLong), good(|vapid| vapid.expires = NOW * 1000)),
        (Err(Violation::VapidContact), good(|vapid| vapid.contact = None)),
        (Err(Violation::VapidContact), good(|vapid| vapid.contact = Some("mailto:ops@localhost"))),
        (Err(Violation::VapidContact), good(|vapid| vapid.contact = Some("mailto: <ops@example.com>"))),
        (Err(Violation::VapidContact), good(|vapid| vapid.contact = Some("ops@example.com"))),
        (Err(Violation::VapidToken), good(|vapid| vapid.header = r#"{"typ":"JWT","alg":"HS256"}"#)),
        (Err(Violation::VapidToken), good(|vapid| vapid.header = "[]")),
        (Err(Violation::VapidAudience), Vapid::default().header("https://example.com")),
        (Err(Violation::VapidAudience), Vapid::default().header(&format!("{origin}/"))),
        (Err(Violation::VapidAudience), Vapid::default().header(subscription.endpoint().as_str())),
        (Err(Violation::VapidClaims), claims(json!({"aud": [origin], "exp": exp, "sub": sub}))),
        (Err(Violation::VapidClaims), claims(json!({"exp": exp, "sub": sub}))),
        (Err(Violation::VapidClaims), claims(json!({"aud": origin, "sub": sub}))),
        (Err(Violation::VapidClaims), claims(json!({"aud": origin, "exp": exp.to_string(), "sub": sub}))),
        (Err(Violation::VapidClaims), claims(json!({"aud": origin, "exp": 1.5, "sub": sub}))),
        (Err(Violation::VapidClaims), claims(json!([]))),
        (Err(Violation::VapidSignature), format!("vapid t={token}, k={other}")),
        (Err(Violation::VapidSignature), format!("vapid t={token}AAAA, k={k}")),
        (Err(Violation::VapidToken), format!("vapid t=a.b, k={k}")),
        (Err(Violation::VapidKey), format!("vapid t={token}, k={k}=")),
        (Err(Violation::VapidKey), format!("vapid t={token}, k=\"{k}\"")),
        (Err(Violation::VapidKey), format!("vapid t={token}, k={}", &k[..40])),
        (Err(Violation::VapidHeader), format!("vapid t={token}")),
        (Err(Violation::VapidHeader), format!("vapid k={k}")),
        (Err(Violation::VapidHeader), format!("vapid t={token}; k={k}")),
        (Err(Violation::VapidHeader), format!("Basic {token}")),
        (Err(Violation::VapidHeader), String::new()),
    ];
    for (expected, header) in cases {
        let refused = service.violations().len();
        let status = client.status(&Push::new(&subscription, b"x").with("authorization", &header)).await;
        match expected {
            Ok(()) => assert_eq!(status, StatusCode::CREATED, "{header}"),
            Err(violation) => assert_eq!(service.violations()[refused..], [violation], "{header}"),
        }
    }
}

#[tokio::test]
async fn a_token_that_was_verified_before_still_expires() {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let service = PushService::builder().clock(clock.clone()).start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let mut client = Wire::Http2.connect(&service).await;
    let push = Push::new(&subscription, b"x");
    assert_eq!(client.status(&push).await, StatusCode::CREATED);
    clock.advance(Duration::from_secs(12 * 3600 + 1));
    assert_eq!(client.status(&push).await, StatusCode::FORBIDDEN);
    assert_eq!(service.violations(), [Violation::VapidExpired]);
}

#[tokio::test]
async fn a_bound_subscription_takes_its_own_key_only() {
    let service = builder().start().await.unwrap();
    let key = Vapid::of([6; 32]);
    let bound = service.subscribe_bound(&UserAgent::seeded(1), &key.public());
    let mut client = Wire::Http2.connect(&service).await;
    let answer = client.push(&Push::new(&bound, b"x")).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let text = std::str::from_utf8(answer.body()).unwrap();
    assert!(text.contains("do not correspond to the credentials used to create the subscriptions"));
    let right = Push::new(&bound, b"x").with("authorization", &key.header(service.origin().as_str()));
    assert_eq!(client.status(&right).await, StatusCode::CREATED);
}

#[tokio::test]
async fn an_unsubscribed_endpoint_is_gone() {
    let service = builder().start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let mut client = Wire::Http1.connect(&service).await;
    service.unsubscribe(&subscription);
    let answer = client.push(&Push::new(&subscription, b"x")).await;
    assert_eq!(answer.status(), StatusCode::GONE);
    assert_eq!(answer.headers()["cache-control"], "max-age=86400");
}

#[tokio::test]
async fn another_host_is_misdirected() {
    let service = builder().start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let push = Push::new(&subscription, b"x");
    let mut client = Wire::Http1.connect(&service).await;
    assert_eq!(
        client.status(&push.clone().with("host", "example.com")).await,
        StatusCode::MISDIRECTED_REQUEST
    );
    let mut client = Wire::Http2.connect(&service).await;
    let elsewhere = push.uri.replace("127.0.0.1", "example.com");
    assert_eq!(client.status(&push.at(&elsewhere)).await, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn an_undecryptable_message_is_accepted_and_dropped() {
    let service = builder().start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let mut client = Wire::Http2.connect(&service).await;
    let for_another = service.subscribe(&UserAgent::seeded(2));
    let push = Push::new(&for_another, b"x").at(subscription.endpoint().as_str());
    assert_eq!(client.status(&push).await, StatusCode::CREATED);
    assert_eq!(service.received(&subscription)[0].payload(), Err(DecryptError::Authentication));
    assert_eq!(service.counters().undecryptable, 1);
}

#[tokio::test]
async fn chunked_and_unlengthed_bodies_are_refused() {
    let service = builder().start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::seeded(1));
    let path = subscription.endpoint().as_str().strip_prefix(service.origin().as_str()).unwrap();
    let host = service.address();
    for (framing, violation) in [
        ("", Violation::ContentLengthMissing),
        ("transfer-encoding: chunked\r\n", Violation::TransferEncoding),
    ] {
        let mut stream = TcpStream::connect(service.address()).await.unwrap();
        let end = if framing.is_empty() { "" } else { "1\r\nx\r\n0\r\n\r\n" };
        let text = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nttl: 60\r\nconnection: close\r\n{framing}\r\n{end}"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
        assert_eq!(service.violations().last(), Some(&violation));
    }
}

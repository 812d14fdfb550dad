//! No entry point that is reachable from a subscription, a response or a key file panics.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use webpush_channels::engine::cancel;
use webpush_channels::engine::response::{Verdict, classify, retry_after};
use webpush_channels::engine::vapid::{Contact, Topic, VapidKey};
use webpush_channels::store::{Position, Range};
use webpush_channels::testing::UserAgent;
use webpush_channels::testing::vapid::{parse_authorization, verify};
use webpush_channels::{
    AuthSecret, BroadcastId, ChannelName, CollapseKey, Endpoint, EndpointPolicy, KeyId, PublicKey,
    Subscription, SubscriptionId, Ttl, Urgency, UserId,
};

const SUBSCRIPTION: &str = r#"{"endpoint":"https://push.example.net/p/x?y=%2b","expirationTime":1.7e12,"keys":{"p256dh":"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}"#;

/// Texts that are something, to be damaged.
const TEXTS: [&str; 16] = [
    SUBSCRIPTION,
    "https://push.example.net:8443/p/x?y=%2b",
    "http://[2001:db8::1]:80/",
    "HTTPS://127.0.0.1/",
    "https://[::ffff:10.0.0.1]",
    "mailto:ops@example.org",
    "https://example.org/contact",
    include_str!("keys/pkcs8.pem"),
    include_str!("keys/sec1.pem"),
    include_str!("keys/sec1_with_parameters.pem"),
    include_str!("keys/encrypted_sec1.pem"),
    include_str!("keys/rsa.pem"),
    "ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE",
    r#"{"kty":"EC","crv":"P-256","x":"YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y","y":"eQP-EAi4vN0X8LFQI6OOH4XhMTWsr2ZeQKJI_uhAqpg","d":"ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE"}"#,
    "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQifQ.c2ln, k=BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];

/// Anything, and something with a piece replaced.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        any::<char>().prop_map(String::from),
        select(vec![
            "",
            ":",
            "/",
            "@",
            "#",
            "?",
            "[",
            "]",
            "%",
            "=",
            "\"",
            "{",
            "}",
            "\\",
            "\0",
            "\u{e9}",
            "0x7f",
            "99999",
            "-----BEGIN",
            "-----END",
            "://",
            "null",
            ",",
            ".",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let damaged =
        (select(&TEXTS[..]), any::<Index>(), any::<Index>(), pieces).prop_map(|(text, from, to, piece)| {
            let mut characters: Vec<char> = text.chars().collect();
            let (from, to) = (from.index(characters.len()), to.index(characters.len()));
            characters.splice(from.min(to)..from.max(to).min(from.min(to) + 8), piece.chars());
            characters.into_iter().collect()
        });
    prop_oneof![1 => any::<String>(), 4 => damaged]
}

/// Anything, and something cut or changed.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let seeds = vec![
        include_bytes!("keys/pkcs8.der").to_vec(),
        include_bytes!("keys/sec1.der").to_vec(),
        Position::encode(*b"a store.", [1, 2]).as_bytes().to_vec(),
        Range::encode(*b"a store.", [1, 2, 3]).as_bytes().to_vec(),
        UserAgent::seeded(1).keys().p256dh().as_bytes().to_vec(),
        SUBSCRIPTION.into(),
    ];
    let damaged = (select(seeds), any::<Index>(), any::<u8>(), any::<Index>()).prop_map(
        |(mut octets, at, value, len)| {
            let at = at.index(octets.len());
            octets[at] = value;
            octets.truncate(len.index(octets.len() + 1).max(at));
            octets
        },
    );
    prop_oneof![1 => vec(any::<u8>(), 0..200), 3 => damaged]
}

fn response() -> impl Strategy<Value = Response<Bytes>> {
    let names = [
        "retry-after",
        "location",
        "link",
        "ttl",
        "x-wns-status",
        "x-wns-error-description",
        "content-type",
        "date",
    ];
    let values = prop_oneof![
        vec(any::<u8>(), 0..60),
        text().prop_map(String::into_bytes),
        select(vec![
            "-1",
            "0",
            "9223372036854775808",
            "1e9",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "/m/1",
            "//evil/",
            r#"</r/1>; rel="urn:ietf:params:push:receipt""#,
        ])
        .prop_map(|value| value.as_bytes().to_vec()),
    ];
    let headers = vec((select(names.to_vec()), values), 0..6);
    let bodies = prop_oneof![
        vec(any::<u8>(), 0..300),
        select(vec![
            r#"{"code":410,"errno":106,"error":"Gone","message":"x"}"#,
            r#"{"reason":"BadJwtToken","timestamp":-1}"#,
            r#"{"error":{"code":404,"message":"x","status":"NOT_FOUND","details":[{}]}}"#,
            "<html><title>\u{130}x</title>",
            "push subscription has unsubscribed or expired.",
            "{\"errno\":1e400}",
            "<title>",
        ])
        .prop_map(|body| body.as_bytes().to_vec()),
        (16_000..70_000_usize).prop_map(|len| vec![b'['; len]),
    ];
    (prop_oneof![3 => 100..1000_u16, 1 => Just(202)], headers, bodies).prop_map(|(status, headers, body)| {
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let map: &mut HeaderMap = response.headers_mut();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        response
    })
}

/// Pieces of links in any order, up to some kilobytes, and octets that are none.
fn link() -> impl Strategy<Value = Vec<u8>> {
    let pieces = select(vec![
        "<",
        ">",
        "</r/1>",
        "<https://push.example.net/r/2>",
        "<//evil/r>",
        "<https://evil.example/r>",
        ";",
        ",",
        "=",
        " ",
        "\t",
        "\"",
        "\\",
        "rel",
        "REL=",
        "rel=\"",
        "rel*=UTF-8''x",
        "anchor=\"/x\"",
        "title=\"a, b; \\\"c\"",
        "urn:ietf:params:push:receipt",
        "next",
        "\"; ",
        ",,,,",
        "\u{e9}",
    ]);
    let piece =
        prop_oneof![9 => pieces.prop_map(|piece| piece.as_bytes().to_vec()), 1 => vec(0x20..=0xff_u8, 0..20)];
    (vec(piece, 0..40), 1..40_usize).prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn subscriptions_and_endpoints(text in text()) {
        if let Ok(subscription) = Subscription::from_json(&text) {
            let _ = subscription.expiration_time();
            let written = serde_json::to_string(&subscription).unwrap();
            prop_assert_eq!(Subscription::from_json(written).unwrap(), subscription);
        }
        let _ = serde_json::from_str::<Subscription>(&text);
        if let Ok(endpoint) = text.parse::<Endpoint>() {
            for policy in [
                EndpointPolicy::known_vendors(),
                EndpointPolicy::public_internet(),
                EndpointPolicy::custom(|_| true),
                EndpointPolicy::loopback_for_tests(),
            ] {
                let _ = policy.check(&endpoint);
            }
            let _ = (endpoint.origin(), endpoint.port(), endpoint.vendor(), SubscriptionId::of(&endpoint));
            prop_assert_eq!(endpoint.as_str().parse::<Endpoint>().unwrap(), endpoint);
        }
    }

    #[test]
    fn keys_and_contacts(text in text()) {
        let _ = PublicKey::from_base64url(&text);
        let _ = AuthSecret::from_base64url(&text);
        let _ = VapidKey::from_text(&text);
        let _ = VapidKey::from_pem(&text);
        let _ = VapidKey::from_jwk(&text);
        let _ = VapidKey::from_json_pair(&text);
        let _ = VapidKey::from_base64_der(&text);
        let _ = VapidKey::from_base64url(&text);
        if let Ok(contact) = text.parse::<Contact>() {
            prop_assert_eq!(contact.as_str(), &*text);
        }
    }

    #[test]
    fn names(text in text()) {
        let _ = (text.parse::<KeyId>(), text.parse::<SubscriptionId>(), text.parse::<Topic>());
        let _ = (text.parse::<Ttl>(), text.parse::<Urgency>(), CollapseKey::new(&text));
        let _ = (ChannelName::new(&text), UserId::new(&text), BroadcastId::new(&text));
    }

    #[test]
    fn tokens_as_a_push_service_reads_them(text in text()) {
        if let Ok(credentials) = parse_authorization(&text) {
            let origin = "https://push.example.net/".parse::<Endpoint>().unwrap().origin();
            let _ = verify(&credentials, &origin, SystemTime::UNIX_EPOCH);
        }
    }

    #[test]
    fn links(fields in vec(link(), 1..4)) {
        let endpoint: Endpoint = "https://push.example.net/p/x".parse().unwrap();
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::ACCEPTED;
        for field in &fields {
            if let Ok(field) = HeaderValue::from_bytes(field) {
                response.headers_mut().append("link", field);
            }
        }
        let classified = classify(&endpoint, Ttl::hours(1), &response, SystemTime::UNIX_EPOCH);
        let Verdict::Accepted { receipt_url, .. } = classified.verdict else { panic!("202 is accepted") };
        prop_assert!(receipt_url.is_none_or(|url| url.as_str().starts_with("https://push.example.net/")));
    }

    #[test]
    fn binary_input(octets in octets()) {
        let _ = Subscription::from_json(&octets);
        let _ = PublicKey::from_bytes(&octets);
        let _ = VapidKey::from_der(&octets);
        let _ = VapidKey::from_octets(&octets);
        if let Ok(position) = Position::from_bytes(&octets) {
            prop_assert_eq!(position.as_bytes(), &*octets);
            let _ = position.decode::<2>(*b"a store.");
        }
        if let Ok(range) = Range::from_bytes(&octets) {
            let _ = range.decode::<6>(*b"a store.");
        }
        let _ = UserAgent::seeded(1).decrypt(&octets);
    }

    #[test]
    fn responses(
        response in response(),
        host in select(vec![
            "push.example.net", "web.push.apple.com", "fcm.googleapis.com", "db5p.notify.windows.com",
            "updates.push.services.mozilla.com",
        ]),
        now in any::<u32>(),
    ) {
        let endpoint: Endpoint = format!("https://{host}/p/x").parse().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.into());
        let classified = classify(&endpoint, Ttl::hours(1), &response, now);
        // What is kept of it is bounded.
        let kept = classified.detail.reason.map_or(0, |reason| reason.chars().count());
        prop_assert!(kept <= 256);
        if let Verdict::Accepted { message_url, receipt_url, .. } = classified.verdict {
            let own = |url: &str| url.parse::<Endpoint>().unwrap().origin() == endpoint.origin();
            prop_assert!(receipt_url.is_none_or(|url| own(url.as_str())));
            // What may be asked is at the own origin, too.
            let request = message_url.and_then(|url| cancel::request(&endpoint, &url).ok());
            prop_assert!(request.is_none_or(|request| own(&request.uri().to_string())));
        }
        let _ = cancel::classify(&response, now);
        let after = retry_after(response.headers(), now);
        prop_assert!(after.is_none_or(|after| after <= Duration::from_secs(1 << 31)));
    }
}

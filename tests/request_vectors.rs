//! Requests against the rules of RFC 8030 section 5 and the published vectors.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use serde_json::Value;
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::{Endpoint, Ttl, Urgency};

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("a valid endpoint")
}

fn token() -> HeaderValue {
    HeaderValue::from_static("vapid t=eyJ0.eyJh.c2ln, k=BA1Hxzyi")
}

fn names(request: &Request<Bytes>) -> Vec<&str> {
    let mut names: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn decode<const N: usize>(text: &str) -> [u8; N] {
    let octets = BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
    octets.try_into().expect("the field's length")
}

fn vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("vectors/vectors.json")).expect("vectors are JSON");
    file["vectors"]
        .as_array()
        .and_then(|all| all.iter().find(|v| v["id"] == id))
        .expect("a known vector")
        .clone()
}

#[test]
fn a_full_request_has_the_shape_of_the_reference() {
    let endpoint = endpoint("https://push.example.net/p/abc");
    let topic = HeaderValue::from_static("0123456789abcdef0123456789abcdef");
    let request = PushRequest::new(&endpoint, Ttl::hours(1), token())
        .with_urgency(Urgency::High)
        .with_topic(topic)
        .with_body(Body::Aes128Gcm(vec![7; 144].into()))
        .into_http();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "https://push.example.net/p/abc");
    assert_eq!(
        names(&request),
        ["authorization", "content-encoding", "content-length", "content-type", "topic", "ttl", "urgency"]
    );
    for (name, value) in [
        ("authorization", "vapid t=eyJ0.eyJh.c2ln, k=BA1Hxzyi"),
        ("content-encoding", "aes128gcm"),
        ("content-length", "144"),
        ("content-type", "application/octet-stream"),
        ("topic", "0123456789abcdef0123456789abcdef"),
        ("ttl", "3600"),
        ("urgency", "high"),
    ] {
        assert_eq!(request.headers()[name], value, "{name}");
    }
    assert_eq!(request.body(), &vec![7; 144]);
}

#[test]
fn an_empty_message_has_a_length_and_no_description_of_a_body() {
    let endpoint = endpoint("https://push.example.net/p/abc");
    let request = PushRequest::new(&endpoint, Ttl::ZERO, token()).into_http();
    assert_eq!(names(&request), ["authorization", "content-length", "ttl"]);
    assert_eq!(request.headers()["content-length"], "0");
    assert!(request.body().is_empty());
}

#[test]
fn the_legacy_coding_puts_its_parameters_into_headers() {
    let vector = vector("draft-webpush-encryption-04-s5");
    let (salt, dh) = (vector["salt"].as_str().expect("text"), vector["as_public"].as_str().expect("text"));
    let body = Body::AesGcm { octets: Bytes::from_static(b"record"), salt: decode(salt), dh: decode(dh) };
    let endpoint = endpoint("https://push.example.net/p/abc");
    let request = PushRequest::new(&endpoint, Ttl::ZERO, token()).with_body(body).into_http();
    for (name, value) in [
        ("content-encoding", "aesgcm"),
        ("content-length", "6"),
        ("authorization", "WebPush eyJ0.eyJh.c2ln"),
        ("crypto-key", &format!("keyid=p256dh;dh={dh};p256ecdsa=BA1Hxzyi")),
        ("encryption", &format!("keyid=p256dh;salt={salt}")),
    ] {
        assert_eq!(request.headers()[name], value, "{name}");
        assert_eq!(request.headers().get_all(name).iter().count(), 1, "{name}");
    }
    assert!(request.headers()["authorization"].is_sensitive());
}

#[test]
fn the_legacy_coding_leaves_an_authorization_alone_that_is_not_vapid() {
    let endpoint = endpoint("https://push.example.net/p/abc");
    let body = Body::AesGcm { octets: Bytes::from_static(b"record"), salt: [0; 16], dh: [4; 65] };
    let token = HeaderValue::from_static("Bearer abc");
    let request = PushRequest::new(&endpoint, Ttl::ZERO, token).with_body(body).into_http();
    assert_eq!(request.headers()["authorization"], "Bearer abc");
    assert!(!request.headers()["crypto-key"].to_str().expect("text").contains("p256ecdsa"));
}

#[test]
fn ttl_is_written_as_the_vectors_say() {
    let endpoint = endpoint("https://push.example.net/p/abc");
    let cases = vector("derived-ttl");
    let cases = cases["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let ttl: Result<Ttl, _> = case["ttl"].to_string().parse();
        assert_eq!(ttl.is_ok(), case["valid"].as_bool().expect("valid"), "{case}");
        if let Ok(ttl) = ttl {
            let request = PushRequest::new(&endpoint, ttl, token()).into_http();
            assert_eq!(request.headers()["ttl"], case["header"].as_str().expect("header"), "{case}");
        }
    }
}

#[test]
fn urgency_is_written_unless_it_is_normal() {
    let endpoint = endpoint("https://push.example.net/p/abc");
    for (urgency, expected) in [
        (Urgency::VeryLow, Some("very-low")),
        (Urgency::Low, Some("low")),
        (Urgency::Normal, None),
        (Urgency::High, Some("high")),
    ] {
        let request = PushRequest::new(&endpoint, Ttl::ZERO, token()).with_urgency(urgency).into_http();
        let value = request.headers().get("urgency").map(|value| value.to_str().expect("ASCII"));
        assert_eq!(value, expected);
    }
}

#[test]
fn topics_of_the_vectors_go_out_as_they_are() {
    let endpoint = endpoint("https://push.example.net/p/abc");
    let vector = vector("derived-topic");
    for case in vector["cases"].as_array().expect("cases") {
        let Some(topic) = case["topic"].as_str().and_then(|topic| HeaderValue::from_str(topic).ok()) else {
            continue;
        };
        let request = PushRequest::new(&endpoint, Ttl::ZERO, token()).with_topic(topic.clone()).into_http();
        assert_eq!(request.headers()["topic"], topic);
    }
}

#[test]
fn path_and_query_are_sent_byte_for_byte() {
    for (text, sent) in [
        ("https://wns2-par02p.notify.windows.com/w/?token=BQ%2bA%2f%3d", "/w/?token=BQ%2bA%2f%3d"),
        ("https://push.example.net//a//b/../c/?", "//a//b/../c/?"),
        ("https://push.example.net/a;b=c,d:e@f!$&'()*+~|", "/a;b=c,d:e@f!$&'()*+~|"),
        ("https://push.example.net/%C3%a9%", "/%C3%a9%"),
        ("https://push.example.net", "/"),
        ("https://push.example.net?x=/y", "/?x=/y"),
    ] {
        let endpoint = endpoint(text);
        let request = PushRequest::new(&endpoint, Ttl::ZERO, token()).into_http();
        assert_eq!(request.uri().path_and_query().map(http::uri::PathAndQuery::as_str), Some(sent));
        assert_eq!(request.uri().scheme_str(), Some("https"));
        assert_eq!(request.uri().host(), Some(endpoint.host()));
    }
}

#[test]
fn wns_gets_a_cache_policy_that_agrees_with_the_ttl() {
    for (host, ttl, expected) in [
        ("db5p.notify.windows.com", Ttl::ZERO, Some("no-cache")),
        ("db5p.notify.windows.com", Ttl::from_secs(1), Some("cache")),
        ("xnotify.windows.com", Ttl::ZERO, None),
        ("notify.windows.com.evil.example", Ttl::ZERO, None),
        ("push.example.net", Ttl::ZERO, None),
    ] {
        let endpoint = endpoint(&format!("https://{host}/w/?token=x"));
        let request = PushRequest::new(&endpoint, ttl, token()).into_http();
        let policy = request.headers().get("x-wns-cache-policy").map(|value| value.to_str().expect("ASCII"));
        assert_eq!(policy, expected, "{host} {ttl}");
    }
}

#[test]
fn capabilities_are_marked_sensitive() {
    let endpoint = endpoint("https://push.example.net/p/abc");
    let request = PushRequest::new(&endpoint, Ttl::ZERO, token())
        .with_topic(HeaderValue::from_static("TOPIC"))
        .into_http();
    assert!(request.headers()["authorization"].is_sensitive());
    assert!(request.headers()["topic"].is_sensitive());
    let shown = format!("{:?}", request.headers());
    assert!(!shown.contains("eyJ0") && !shown.contains("TOPIC"), "{shown}");
}

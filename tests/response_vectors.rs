//! Responses against the published matrix, and against what a hostile push service may answer.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use proptest::prelude::*;
use serde_json::Value;
use webpush_channels::engine::response::{Classified, Verdict, classify, retry_after};
use webpush_channels::{Endpoint, Ttl};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

const ENDPOINTS: [(&str, &str); 6] = [
    ("any", "https://push.example.net/p/x"),
    ("apple", "https://web.push.apple.com/QHsLpVu5abcdefgh"),
    ("fcm", "https://fcm.googleapis.com/wp/dHIoDxE7Hdg:APA91bH1Zj0kNaQrstuvwxyz0123456789"),
    ("mozilla", "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABl"),
    ("other", "https://push.example.net/p/x"),
    ("wns", "https://db5p.notify.windows.com/w/?token=BQ%2bA"),
];

fn endpoint(vendor: &str) -> Endpoint {
    let found = ENDPOINTS.iter().find(|(name, _)| *name == vendor).expect("a known vendor");
    found.1.parse().expect("a valid endpoint")
}

fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status.try_into().expect("a valid status");
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a valid name");
        response.headers_mut().append(name, HeaderValue::from_str(value).expect("a valid value"));
    }
    response
}

fn answer(vendor: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Classified {
    let response = response(status, headers, body.to_owned());
    classify(&endpoint(vendor), Ttl::from_secs(60), &response, NOW)
}

fn vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("vectors/vectors.json")).expect("vectors are JSON");
    file["vectors"]
        .as_array()
        .and_then(|all| all.iter().find(|v| v["id"] == id))
        .expect("a known vector")
        .clone()
}

/// The verdict as the vectors write it.
fn word(verdict: &Verdict, requested: Ttl) -> String {
    let with = |word: &str, after: &Option<Duration>| match after {
        Some(after) => format!("retry_after:{}", after.as_secs()),
        None => word.to_owned(),
    };
    match verdict {
        Verdict::Accepted { granted_ttl: Some(ttl), .. } if *ttl < requested => "accepted_ttl_reduced".into(),
        Verdict::Accepted { .. } => "accepted".into(),
        Verdict::AcceptedDropped => "accepted_dropped".into(),
        Verdict::AuthError => "auth_error".into(),
        Verdict::BadRequest => "bad_request".into(),
        Verdict::Gone => "gone".into(),
        Verdict::KeyMismatch => "key_mismatch".into(),
        Verdict::Moved { .. } => "moved".into(),
        Verdict::PayloadTooLarge => "payload_too_large".into(),
        Verdict::RateLimited { after } => with("rate_limited", after),
        Verdict::Retry { after } => with("retry", after),
        Verdict::SenderBlocked => "sender_blocked".into(),
        Verdict::Unexpected => "unexpected".into(),
        _ => "unknown".into(),
    }
}

#[test]
fn every_row_of_the_matrix_has_its_verdict() {
    let matrix = vector("derived-response-matrix");
    let rows = matrix["cases"].as_array().expect("rows");
    assert_eq!(rows.len(), 74);
    for row in rows {
        let headers: Vec<_> = row["headers"].as_object().expect("headers").iter().collect();
        let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str().expect("text"))).collect();
        let status = row["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
        let response = response(status, &headers, row["body"].as_str().expect("a body").to_owned());
        let requested = Ttl::from_secs(5_000_000);
        let endpoint = endpoint(row["vendor"].as_str().expect("a vendor"));
        let classified = classify(&endpoint, requested, &response, NOW);
        assert_eq!(word(&classified.verdict, requested), row["expect"].as_str().expect("a word"), "{row}");
        assert_eq!(classified.detail.status, status);
    }
}

#[test]
fn retry_after_is_read_as_the_vectors_say() {
    let vector = vector("derived-retry-after");
    let now = vector["now"].as_str().expect("now");
    assert_eq!(now, "1994-11-06T08:48:37Z");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_717);
    let cases = vector["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 13);
    for case in cases {
        let mut headers = HeaderMap::new();
        let value = case["value"].as_str().expect("a value");
        headers.insert("retry-after", HeaderValue::from_str(value).expect("a header value"));
        let seconds = retry_after(&headers, now).map(|after| after.as_secs());
        assert_eq!(seconds, case["seconds"].as_u64(), "{case}");
    }
}

#[test]
fn the_granted_ttl_is_read_as_the_vectors_say() {
    let vector = vector("derived-ttl");
    let cases = vector["response_cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let requested =
            Ttl::from_secs(u32::try_from(case["requested"].as_u64().expect("seconds")).expect("small"));
        let headers: Vec<_> = case["response_ttl"].as_str().map(|ttl| ("ttl", ttl)).into_iter().collect();
        let verdict = classify(&endpoint("any"), requested, &response(201, &headers, ""), NOW).verdict;
        let Verdict::Accepted { granted_ttl, .. } = verdict else { panic!("{case}: {verdict:?}") };
        assert_eq!(granted_ttl.map(|ttl| u64::from(ttl.as_secs())), case["granted"].as_u64(), "{case}");
        let reduced = granted_ttl.is_some_and(|granted| granted < requested);
        assert_eq!(Some(reduced), case["reduced"].as_bool(), "{case}");
    }
}

#[test]
fn the_endpoint_that_fcm_quotes_does_not_reach_the_detail() {
    let text = "A valid push subscription endpoint should be specified in the URL as such: \
                https://fcm.googleapis.com/wp/dHIoDxE7Hdg:APA91bH1Zj0kNa...";
    let detail = answer("fcm", 404, &[], text).detail;
    assert_eq!(
        detail.reason.as_deref(),
        Some("A valid push subscription endpoint should be specified in the URL as such: [redacted]")
    );
    assert!(!format!("{detail:?} {detail}").contains("APA91"));
}

#[test]
fn only_a_permanent_move_within_the_origin_names_its_target() {
    let target = "https://push.example.net/p/new";
    for (status, location, expected) in [
        (301, target, (Some(target), true)),
        (308, "/p/new", (Some(target), true)),
        (308, "https://elsewhere.example/p/new", (None, true)),
        (308, "http://169.254.169.254/", (None, true)),
        (302, target, (None, false)),
        (307, target, (None, false)),
    ] {
        let verdict = answer("other", status, &[("location", location)], "").verdict;
        let Verdict::Moved { location, permanent } = verdict else { panic!("{verdict:?}") };
        assert_eq!((location.as_ref().map(Endpoint::as_str), permanent), expected, "{status}");
    }
}

#[test]
fn an_accepted_message_names_its_resource() {
    for (location, expected) in [
        ("https://push.example.net/m/1", Some("https://push.example.net/m/1")),
        ("/m/1", Some("https://push.example.net/m/1")),
        ("//elsewhere.example/m/1", None),
        ("not a url", None),
    ] {
        let verdict = answer("any", 201, &[("location", location)], "").verdict;
        let Verdict::Accepted { message_url, .. } = &verdict else { panic!("{verdict:?}") };
        assert_eq!(message_url.as_ref().map(webpush_channels::MessageUrl::as_str), expected);
        assert!(!format!("{verdict:?}").contains("/m/1"));
    }
}

#[test]
fn what_users_ask_about_has_advice() {
    for (vendor, status, headers, body, fragment) in [
        ("apple", 403, &[][..], r#"{"reason":"BadJwtToken"}"#, "`sub`"),
        ("apple", 403, &[], r#"{"reason":"BadVapidPublicKey"}"#, "65-octet"),
        ("apple", 403, &[], r#"{"reason":"BadAuthorizationHeader"}"#, "vapid t="),
        ("apple", 400, &[], r#"{"reason":"BadWebPushTopic"}"#, "base64url"),
        ("apple", 400, &[], r#"{"reason":"VapidPkHashMismatch"}"#, "applicationServerKey"),
        ("apple", 400, &[], r#"{"reason":"BadTtl"}"#, "TTL"),
        ("mozilla", 401, &[], r#"{"errno":109,"message":"Invalid VAPID audience"}"#, "`aud`"),
        ("mozilla", 401, &[], r#"{"errno":109,"message":"ExpiredSignature"}"#, "clock"),
        (
            "mozilla",
            401,
            &[],
            r#"{"errno":109,"message":"VAPID public key mismatch"}"#,
            "applicationServerKey",
        ),
        ("mozilla", 400, &[], r#"{"errno":110,"message":"x"}"#, "aes128gcm"),
        ("mozilla", 400, &[], r#"{"errno":111,"message":"x"}"#, "TTL"),
        ("mozilla", 413, &[], r#"{"errno":104,"message":"x"}"#, "2744"),
        ("fcm", 403, &[], "invalid push subscription endpoint.", "keep the subscription"),
        ("fcm", 403, &[], "credentials do not correspond to the credentials used", "applicationServerKey"),
        ("fcm", 410, &[], "push subscription has unsubscribed or expired.", "subscribe anew"),
        ("wns", 400, &[("X-WNS-Error-Description", "Ttl value conflicts")], "", "X-WNS-Cache-Policy"),
        ("wns", 410, &[("X-WNS-Error-Description", "Domain Blocked")], "", "operator"),
        ("any", 429, &[], "", "slow down"),
        ("any", 413, &[], "", "2744"),
        ("any", 403, &[], "", "clock"),
    ] {
        let advice = answer(vendor, status, headers, body).detail.advice.unwrap_or_default();
        assert!(advice.contains(fragment), "{vendor} {status} {body}: {advice}");
    }
}

#[test]
fn hostile_bodies_print_as_one_tame_line() {
    for body in [
        "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nfake log line\n\0",
        "a\u{2028}b\u{202e}c\u{feff}\u{200b}\u{85}",
        "{\"reason\":\"\\u001b[31mBad\\nToken\",\"message\":\"\\u001b[31mBad\\nToken\"}",
        "<title>\u{9b}31m</title>",
    ] {
        for (vendor, _) in ENDPOINTS {
            let detail = answer(vendor, 400, &[], body).detail;
            let shown = detail.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert!(!shown.contains(['\u{2028}', '\u{202e}', '\u{feff}', '\u{200b}']), "{shown:?}");
            assert!(!format!("{detail:?}").contains('\n'));
        }
    }
}

#[test]
fn a_body_of_any_shape_leaves_the_verdict_to_the_status() {
    let bodies: [Vec<u8>; 7] = [
        b"[".repeat(16 * 1024),
        b"{\"reason\":".repeat(1600),
        b"{\"reason\":\"BadJwtToken\"".to_vec(),
        [&b"{\"reason\":\"BadJwtToken\",\"x\":\""[..], &b"x".repeat(64 * 1024), b"\"}"].concat(),
        vec![0xff; 16 * 1024],
        b"<html><title>".to_vec(),
        "\u{130}".repeat(5000).into_bytes(),
    ];
    for body in bodies {
        for (vendor, _) in ENDPOINTS {
            let response = response(410, &[], body.clone());
            let classified = classify(&endpoint(vendor), Ttl::ZERO, &response, NOW);
            assert_eq!(classified.verdict, Verdict::Gone, "{vendor}");
            assert!(classified.detail.reason.is_none_or(|reason| reason.chars().count() <= 256));
        }
    }
}

#[test]
fn no_reason_makes_a_live_subscription_gone() {
    for reason in ["Unregistered", "BadPath", "ExpiredToken"] {
        for status in [400, 403, 405, 429, 500, 503] {
            let verdict = answer("apple", status, &[], &format!(r#"{{"reason":"{reason}"}}"#)).verdict;
            assert_ne!(verdict, Verdict::Gone, "{status} {reason}");
        }
    }
    assert_eq!(answer("apple", 410, &[], r#"{"reason":"ExpiredToken"}"#).verdict, Verdict::Gone);
}

fn header_value() -> impl Strategy<Value = HeaderValue> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_filter_map("octets", |v| HeaderValue::from_bytes(&v).ok()),
        "[0-9]{0,25}".prop_filter_map("digits", |v| HeaderValue::from_str(&v).ok()),
        "(Sun|Sunday), [0-9]{2}.[A-Z][a-z]{2}.[0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
            .prop_filter_map("dates", |v| HeaderValue::from_str(&v).ok()),
        "(/|//|https?://)[a-z.:@/#?%0-9]{0,30}".prop_filter_map("urls", |v| HeaderValue::from_str(&v).ok()),
        "(dropped|channelthrottled|Domain Blocked)"
            .prop_filter_map("words", |v| HeaderValue::from_str(&v).ok()),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        "\\{\"(reason|errno|message)\":(\"(Unregistered|BadPath|ExpiredToken)\"|10[0-9]|null),\"x\":\"\\PC{0,80}\"\\}"
            .prop_map(String::into_bytes),
        "\\PC{0,300}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn no_answer_panics_and_none_but_404_and_410_is_gone(
        vendor in prop::sample::select(ENDPOINTS.map(|(vendor, _)| vendor).to_vec()),
        status in prop_oneof![100_u16..1000, Just(400), Just(403), Just(404), Just(410)],
        headers in prop::collection::vec((prop::sample::select(vec![
            "location", "ttl", "retry-after", "x-wns-status", "x-wns-error-description", "ms-cv",
        ]), header_value()), 0..5),
        body in body(),
    ) {
        let mut response = response(status, &[], body);
        for (name, value) in headers {
            response.headers_mut().append(name, value);
        }
        let requested = Ttl::hours(1);
        let Classified { verdict, detail, .. } = classify(&endpoint(vendor), requested, &response, NOW);
        prop_assert!(verdict != Verdict::Gone || status == 404 || status == 410);
        match &verdict {
            Verdict::Accepted { granted_ttl, .. } => {
                prop_assert!((200..300).contains(&status));
                prop_assert!(granted_ttl.is_none_or(|granted| granted <= requested));
            }
            Verdict::RateLimited { after: Some(after) } | Verdict::Retry { after: Some(after) } => {
                prop_assert!(after.as_secs() <= 1 << 31);
            }
            _ => {}
        }
        prop_assert!(!detail.to_string().chars().any(char::is_control));
        prop_assert!(detail.reason.is_none_or(|reason| reason.chars().count() <= 256));
    }
}

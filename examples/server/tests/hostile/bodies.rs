//! Bodies that are not what they must be.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::raw::{basic, parse, request};
use super::{ADA, Attack, PUBLISHER, Victim};

const INVALID: (u16, u64) = (400, 107);

/// Each call that reads a body, by somebody who may make it.
fn targets(victim: &Victim) -> [(&'static str, String); 6] {
    let record = victim.record();
    [
        (ADA, "POST /v0/subscriptions".to_owned()),
        (ADA, format!("PUT {record}")),
        (ADA, format!("PATCH {record}")),
        (ADA, format!("POST {record}/replace")),
        (ADA, "POST /v0/batch".to_owned()),
        (PUBLISHER, "POST /v0/channels/news".to_owned()),
    ]
}

#[tokio::test]
async fn broken_json_is_refused_everywhere() {
    let victim = Victim::new().await;
    let deep = format!("{{\"data\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let deep_objects = format!("{}1{}", "{\"data\":".repeat(5000), "}".repeat(5000));
    let bodies: [&[u8]; 22] = [
        b"{",
        b"}",
        b"{\"data\":",
        b"{\"data\":{}}x",
        b"{\"data\":{},}",
        b"{'data':{}}",
        b"{data:{}}",
        b"[]",
        b"null",
        b"7",
        b"\"data\"",
        b"nul",
        b" ",
        b"\xef\xbb\xbf{\"data\":{}}",
        b"{\"data\":{\"a\":\"\xff\"}}",
        b"{\"\xc3\x28\":1}",
        b"{\"data\":{\"a\":\"\\ud800\"}}",
        b"{\"data\":{\"a\":\"\x00\"}}",
        b"{\"data\":{\"a\":1e999}}",
        b"{\"data\":{\"a\":NaN}}",
        deep.as_bytes(),
        deep_objects.as_bytes(),
    ];
    let mut attacks = Vec::new();
    for (by, line) in targets(&victim) {
        attacks.extend(bodies.iter().map(|body| Attack::by(by, &line, body, INVALID)));
    }
    victim.withstands(&attacks).await;
}

#[tokio::test]
async fn wrong_types_are_refused() {
    let victim = Victim::new().await;
    let mut attacks = Vec::new();
    for (by, line) in targets(&victim) {
        for body in [
            json!({"data": []}),
            json!({"data": "x"}),
            json!({"data": 7}),
            json!({"x": 1}),
            json!({"data": {}, "": 0}),
        ] {
            attacks.push(Attack::by(by, &line, body.to_string().as_bytes(), INVALID));
        }
    }
    let good = json!(victim.device);
    for (name, value) in [
        ("endpoint", json!(7)),
        ("endpoint", json!(null)),
        ("endpoint", json!(["https://a.example/"])),
        ("endpoint", json!("")),
        ("endpoint", json!("javascript:alert(1)")),
        ("endpoint", json!("file:///etc/passwd")),
        ("endpoint", json!("http://user:password@127.0.0.1/x")),
        ("endpoint", json!("http://127.0.0.1/x\r\nHost: other")),
        ("endpoint", json!("http://127.0.0.1/\u{0}")),
        ("endpoint", json!("http://127.0.0.1:99999/x")),
        ("endpoint", json!("http://169.254.169.254/latest/meta-data")),
        ("endpoint", json!("http://[::ffff:169.254.169.254]/x")),
        ("endpoint", json!(format!("http://127.0.0.1/{}", "x".repeat(3000)))),
        ("keys", json!(null)),
        ("keys", json!([])),
        ("keys", json!("x")),
        ("keys", json!({"auth": 7, "p256dh": 7})),
        ("keys", json!({"auth": [], "p256dh": {}})),
        ("keys", json!({"auth": "AAAA", "p256dh": "AAAA"})),
        ("keys", json!({"auth": good["keys"]["auth"], "p256dh": "A".repeat(87)})),
        ("keys", json!({"auth": "\u{1f600}", "p256dh": "%%%"})),
        ("expirationTime", json!("soon")),
        ("expirationTime", json!(-1)),
        ("expirationTime", json!([])),
        ("id", json!(7)),
        ("id", json!("../../x")),
        ("id", json!("0".repeat(64))),
    ] {
        let mut data = good.clone();
        data[name] = value;
        let body = json!({"data": data}).to_string();
        attacks.push(Attack::by(ADA, "POST /v0/subscriptions", body.as_bytes(), INVALID));
        attacks.push(Attack::by(ADA, &format!("PUT {}", victim.record()), body.as_bytes(), INVALID));
        attacks.push(Attack::by(ADA, &format!("POST {}/replace", victim.record()), body.as_bytes(), INVALID));
    }
    for requests in [
        json!(7),
        json!({}),
        json!(null),
        json!([7]),
        json!([null]),
        json!([{}]),
        json!([{"path": 7}]),
        json!([{"path": "/", "method": "CONNECT"}]),
        json!([{"path": "http://other.example/"}]),
        json!([{"path": "/batch", "method": "POST", "body": {"requests": []}}]),
        json!([{"path": "/%62atch/../batch", "method": "POST", "headers": {"a\r\nb": "c"}}]),
        json!(vec![json!({"path": "/"}); 26]),
    ] {
        let body = json!({"requests": requests}).to_string();
        attacks.push(Attack::by(ADA, "POST /v0/batch", body.as_bytes(), INVALID));
    }
    victim.withstands(&attacks).await;
}

#[tokio::test]
async fn what_is_there_twice_counts_as_the_last() {
    let victim = Victim::new().await;
    let device = json!(victim.device).to_string();
    victim
        .withstands(&[
            Attack::by(
                ADA,
                "POST /v0/subscriptions",
                format!(r#"{{"data":{device},"data":7}}"#).as_bytes(),
                INVALID,
            ),
            Attack::by(PUBLISHER, "POST /v0/channels/news", br#"{"data":{"a":1},"data":[]}"#, INVALID),
        ])
        .await;
    let body = format!(r#"{{"data":7,"data":{device}}}"#);
    let answer =
        victim.send(&Attack::by(ADA, "POST /v0/subscriptions", body.as_bytes(), (201, 0)).octets).await;
    assert_eq!(answer.unwrap().status, 201);
}

#[tokio::test]
async fn other_content_types_are_refused() {
    let victim = Victim::new().await;
    let body = json!({"data": victim.device}).to_string();
    let mut attacks = Vec::new();
    for (by, line) in targets(&victim) {
        for kind in [
            "text/plain",
            "text/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonx",
            "application/xml",
            "",
            ";",
            "*/*",
        ] {
            let headers = [("Authorization", &*basic(by)), ("Content-Type", kind)];
            attacks.push(Attack::new(
                format!("{line} {kind}"),
                request(&line, &headers, body.as_bytes()),
                &[(415, 107)],
            ));
        }
        let headers = [
            ("Authorization", &*basic(by)),
            ("Content-Type", "application/json"),
            ("Content-Encoding", "gzip"),
        ];
        attacks.push(Attack::new(
            format!("{line} gzip"),
            request(&line, &headers, b"\x1f\x8b\x08\x00\x00"),
            &[INVALID],
        ));
    }
    victim.withstands(&attacks).await;
}

#[tokio::test]
async fn ten_megabytes_are_too_much() {
    let victim = Victim::new().await;
    let large = format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(10 << 20));
    let mut chunked = Vec::new();
    for part in large.as_bytes().chunks(1 << 16) {
        chunked.extend(format!("{:x}\r\n", part.len()).bytes());
        chunked.extend(part);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let mut attacks = Vec::new();
    for (by, line) in targets(&victim) {
        attacks.push(Attack::by(by, &line, large.as_bytes(), (413, 113)));
        let headers = [
            ("Authorization", &*basic(by)),
            ("Content-Type", "application/json"),
            ("Transfer-Encoding", "chunked"),
        ];
        let mut octets = request(&line, &headers, b"");
        octets.extend(&chunked);
        attacks.push(Attack::new(format!("{line} in chunks"), octets, &[(413, 113)]));
    }
    victim.withstands(&attacks).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let victim = Victim::new().await;
    let before = victim.snapshot().await;
    for (by, line) in targets(&victim) {
        let mut stream = TcpStream::connect(victim.world.service.address()).await.unwrap();
        let authorization = basic(by);
        let head = format!(
            "{line} HTTP/1.1\r\nHost: service\r\nConnection: close\r\nAuthorization: {authorization}\r\n\
            Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // It is said when the body begins to be read, and with that the time begins.
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"{\"data\":").await.unwrap();
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::resume();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(parse(&answer).unwrap().verdict(), (408, 999), "{line}");
    }
    assert_eq!(victim.snapshot().await, before);
}

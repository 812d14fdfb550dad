//! Where one request ends and the next begins.

use super::raw::{basic, request};
use super::{ADA, Attack, Victim};

/// A request to store something whose framing headers are as given.
fn framed(headers: &str, rest: &[u8]) -> Vec<u8> {
    let authorization = basic(ADA);
    let mut octets = format!(
        "PUT /v0/channels/smuggled/registration HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\
        Authorization: {authorization}\r\n{headers}\r\n\r\n"
    )
    .into_bytes();
    octets.extend(rest);
    octets
}

#[tokio::test]
async fn requests_of_two_lengths_are_none() {
    let victim = Victim::new().await;
    let refused = [(400, 0)];
    victim
        .withstands(&[
            Attack::new("two lengths", framed("Content-Length: 0\r\nContent-Length: 5", b"GET /"), &refused),
            Attack::new("a list of lengths", framed("Content-Length: 0, 5", b"GET /"), &refused),
            Attack::new("a sign", framed("Content-Length: +5", b"GET /"), &refused),
            Attack::new("negative", framed("Content-Length: -1", b""), &refused),
            Attack::new("hex", framed("Content-Length: 0x5", b"GET /"), &refused),
            Attack::new("no number", framed("Content-Length: x", b""), &refused),
            Attack::new("overflow", framed("Content-Length: 99999999999999999999999", b""), &refused),
            Attack::new("unknown coding", framed("Transfer-Encoding: xchunked", b"0\r\n\r\n"), &refused),
            Attack::new(
                "not chunked at last",
                framed("Transfer-Encoding: chunked, identity", b"0\r\n\r\n"),
                &refused,
            ),
            Attack::new("folded", framed("X: a\r\n b: c", b""), &refused),
            Attack::new("no name", framed(": x", b""), &refused),
            Attack::new("no colon", framed("Content-Length", b""), &refused),
        ])
        .await;
}

#[tokio::test]
async fn chunks_that_are_none_end_the_request() {
    let victim = Victim::new().await;
    let authorization = basic(ADA);
    let headers = [
        ("Authorization", &*authorization),
        ("Content-Type", "application/json"),
        ("Transfer-Encoding", "chunked"),
    ];
    let chunked = |body: &[u8]| [request("POST /v0/subscriptions", &headers, b""), body.to_vec()].concat();
    let verdicts = [(400, 107), (400, 0)];
    victim
        .withstands(&[
            Attack::new("no size", chunked(b"x\r\n{}\r\n0\r\n\r\n"), &verdicts),
            Attack::new("negative", chunked(b"-1\r\n{}\r\n0\r\n\r\n"), &verdicts),
            Attack::new("overflow", chunked(b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n"), &verdicts),
            Attack::new("no line break", chunked(b"2\r\n{}XX0\r\n\r\n"), &verdicts),
        ])
        .await;
}

/// RFC 9112 section 6.3: chunks win over a length, and what follows them is not hidden in the body.
#[tokio::test]
async fn a_length_beside_chunks_hides_nothing() {
    let victim = Victim::new().await;
    let before = victim.snapshot().await;
    let hidden = format!(
        "0\r\n\r\nPUT /v0/channels/hidden/registration HTTP/1.1\r\nHost: service\r\nAuthorization: {}\r\n\r\n",
        basic(ADA)
    );
    let headers = format!("Content-Length: {}\r\nTransfer-Encoding: chunked", hidden.len());
    let octets = String::from_utf8(framed(&headers, hidden.as_bytes())).unwrap().replace("smuggled", "news");
    let answer = victim.send(octets.as_bytes()).await.unwrap();
    assert!(answer.status == 400 || answer.status == 202, "{answer:?}");
    assert_eq!(victim.snapshot().await, before, "the second request was not the client's");
}

#[tokio::test]
async fn other_methods_and_targets_are_refused() {
    let victim = Victim::new().await;
    let by_ada = |line: &str, verdicts: &[(u16, u64)]| {
        Attack::new(line, request(line, &[("Authorization", &basic(ADA))], b""), verdicts)
    };
    victim
        .withstands(&[
            by_ada("TRACE /v0/subscriptions", &[(405, 115)]),
            by_ada("CONNECT other.example:443", &[(400, 0), (404, 111), (405, 115), (307, 0)]),
            by_ada("PURGE /v0/subscriptions", &[(405, 115)]),
            by_ada("get /v0/subscriptions", &[(405, 115), (400, 0)]),
            by_ada("DELETE /v0/", &[(405, 115)]),
            by_ada("POST /v0/vapid", &[(405, 115)]),
            by_ada("GET *", &[(400, 0), (404, 111), (307, 0)]),
            by_ada("GET v0/", &[(400, 0)]),
            by_ada("GET", &[(400, 0)]),
            by_ada("GET /v0/ x", &[(400, 0)]),
            Attack::new(
                "no HTTP",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n".to_vec(),
                &[(400, 0)],
            ),
            Attack::new("garbage", b"\xff\xfe\xfd\r\n\r\n".to_vec(), &[(400, 0)]),
        ])
        .await;
}

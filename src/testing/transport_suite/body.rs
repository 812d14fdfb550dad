//! Cases: whatever is wrong with a response's body, the status has decided.

use super::peer::{Peer, Script};
use super::{Verdict, ensure, post, send_ok};
use crate::transport::Transport;

/// The cap of the contract.
const CAP: usize = 16 * 1024;

/// A body that ends before its length is what came of it.
pub async fn a_cut_body_is_truncated(transport: &dyn Transport) -> Verdict {
    let octets = b"HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\nonly this";
    let peer = Peer::start(Script::AnswerAndClose(octets.to_vec())).await;
    let response = send_ok(transport, post(peer.address, "body")).await?;
    ensure(response.status() == 410, || format!("410 became {}", response.status()))?;
    ensure(b"only this".starts_with(response.body()), || "the body holds what was not sent".to_owned())
}

/// A body that comes octet by octet, without end, is cut by time.
pub async fn a_slow_body_is_truncated(transport: &dyn Transport) -> Verdict {
    let octets = b"HTTP/1.1 429 Slow Down\r\ncontent-length: 16000\r\n\r\n";
    let peer = Peer::start(Script::Trickle(octets.to_vec())).await;
    let response = send_ok(transport, post(peer.address, "body")).await?;
    ensure(response.status() == 429, || format!("429 became {}", response.status()))?;
    ensure(response.body().iter().all(|&octet| octet == b'.'), || {
        "the body holds what was not sent".to_owned()
    })
}

/// Of a megabyte 16 KiB are kept.
pub async fn a_long_body_ends_at_16_kib(transport: &dyn Transport) -> Verdict {
    let body: Vec<u8> = (0..1_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    for framing in ["content-length: 1000000", "connection: close"] {
        let mut octets = format!("HTTP/1.1 400 Bad Request\r\n{framing}\r\n\r\n").into_bytes();
        octets.extend_from_slice(&body);
        let peer = Peer::start(Script::AnswerAndClose(octets)).await;
        let response = send_ok(transport, post(peer.address, "body")).await?;
        ensure(response.status() == 400, || format!("400 became {}", response.status()))?;
        let length = response.body().len();
        ensure(length <= CAP, || format!("{length} octets of a long body were kept"))?;
        ensure(length >= CAP / 2, || format!("of a long body only {length} octets were kept"))?;
        ensure(body.starts_with(response.body()), || {
            "the body is not the beginning of what was sent".to_owned()
        })?;
    }
    Ok(())
}

/// Nothing is allocated from `Content-Length`: this one would not fit into any memory.
pub async fn a_lying_length_is_not_believed(transport: &dyn Transport) -> Verdict {
    let octets = b"HTTP/1.1 201 Created\r\ncontent-length: 9000000000000000000\r\n\r\nhello";
    let peer = Peer::start(Script::AnswerAndClose(octets.to_vec())).await;
    let response = send_ok(transport, post(peer.address, "body")).await?;
    ensure(response.status() == 201, || format!("201 became {}", response.status()))?;
    ensure(b"hello".starts_with(response.body()), || "the body holds what was not sent".to_owned())
}

/// A body with a content coding is passed on as it is (S-30).
pub async fn a_compressed_body_is_left_alone(transport: &dyn Transport) -> Verdict {
    // `hello`, by gzip.
    let body = [
        0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0x86, 0xa6, 0x10,
        0x36, 0x05, 0, 0, 0,
    ];
    let mut octets = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 25\r\n\r\n".to_vec();
    octets.extend_from_slice(&body);
    let peer = Peer::start(Script::Answer(octets)).await;
    let response = send_ok(transport, post(peer.address, "body")).await?;
    let coding = response.headers().get("content-encoding");
    ensure(coding.is_some_and(|coding| coding == "gzip"), || format!("Content-Encoding became {coding:?}"))?;
    ensure(response.body()[..] == body, || "the body was changed".to_owned())
}

//! Cases: what the peer gets is what was given.

#![allow(clippy::missing_panics_doc, reason = "the panics are invariants of constant requests")]

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Command;

use bytes::Bytes;
use http::Request;

use super::peer::{Peer, Seen, header};
use super::{Verdict, Violation, ensure, post, send, send_err, send_ok, violation};
use crate::transport::{Processed, Transport, TransportErrorKind};

/// Method, path and query (escapes untouched), headers and body arrive as they were given, with
/// an exact length, and with nothing that was not asked for.
pub async fn a_request_arrives_octet_for_octet(transport: &dyn Transport) -> Verdict {
    let mut peer = Peer::answering("201 Created").await;
    let path = "/wpush/v2/gAAA%2b%2F=:x~/a//b?q=%20+&r=%7e";
    let body: Bytes = (0..4096_u32).map(|at| at.to_le_bytes()[0]).collect();
    let request = Request::post(format!("http://{}{path}", peer.address))
        .header("authorization", "vapid t=a.b.c, k=d")
        .header("content-encoding", "aes128gcm")
        .header("content-type", "application/octet-stream")
        .header("topic", "Aa-_09")
        .header("ttl", "2419200")
        .header("urgency", "very-low")
        .header("x-twice", "one")
        .header("x-twice", "two")
        .body(body.clone())
        .expect("the parts are valid");
    send_ok(transport, request).await?;
    let (head, got) = received(&mut peer).await?;
    let line = head.lines().next().unwrap_or_default();
    ensure(line == format!("POST {path} HTTP/1.1"), || format!("the request line became {line:?}"))?;
    ensure(got == body[..], || format!("the body of 4096 octets became one of {}", got.len()))?;
    let mut headers: Vec<String> =
        head.lines().skip(1).filter(|line| !line.is_empty()).map(lower_name).collect();
    // These belong to the connection, and to the client that makes it.
    headers.retain(|line| !["accept: */*", "connection: keep-alive"].contains(&line.as_str()));
    headers.retain(|line| !line.starts_with("user-agent:"));
    headers.sort();
    let expected = expected_headers(&peer);
    ensure(headers == expected, || format!("the headers became {headers:?}, not {expected:?}"))
}

/// A path with dot segments arrives as it was given; a client that would resolve them first
/// refuses it, because another resource would get the message.
pub async fn dot_segments_arrive_or_are_refused(transport: &dyn Transport) -> Verdict {
    for path in ["/push/../a", "/push/%2e%2E/a", "/push/./a"] {
        let mut peer = Peer::answering("201 Created").await;
        let request = Request::post(format!("http://{}{path}", peer.address))
            .body(Bytes::from_static(b"body"))
            .expect("the parts are valid");
        match send(transport, request).await? {
            Ok(_) => {
                let (head, _) = received(&mut peer).await?;
                let line = head.lines().next().unwrap_or_default();
                ensure(line == format!("POST {path} HTTP/1.1"), || format!("{path} became {line:?}"))?;
            }
            Err(error) => {
                ensure(error.kind() == TransportErrorKind::InvalidRequest, || format!("{path}: {error:?}"))?;
                ensure(error.processed() == Processed::No, || format!("claims {:?}", error.processed()))?;
                ensure(peer.connections() == 0, || format!("{path} was refused after connecting"))?;
            }
        }
    }
    Ok(())
}

fn expected_headers(peer: &Peer) -> Vec<String> {
    [
        "authorization: vapid t=a.b.c, k=d",
        "content-encoding: aes128gcm",
        "content-length: 4096",
        "content-type: application/octet-stream",
        &format!("host: {}", peer.address),
        "topic: Aa-_09",
        "ttl: 2419200",
        "urgency: very-low",
        "x-twice: one",
        "x-twice: two",
    ]
    .map(str::to_owned)
    .into()
}

fn lower_name(line: &str) -> String {
    match line.split_once(':') {
        Some((name, value)) => format!("{}: {}", name.to_ascii_lowercase(), value.trim()),
        None => line.to_owned(),
    }
}

/// A POST without a body says `Content-Length: 0` (RFC 9110 8.6), also where its headers do not
/// say so yet.
pub async fn an_empty_body_has_its_length(transport: &dyn Transport) -> Verdict {
    let mut peer = Peer::answering("201 Created").await;
    send_ok(transport, post(peer.address, "")).await?;
    let (head, body) = received(&mut peer).await?;
    let head = head.to_ascii_lowercase();
    let length = header(&head, "content-length");
    ensure(length == Some("0"), || format!("the length of an empty body is {length:?}"))?;
    ensure(header(&head, "transfer-encoding").is_none() && body.is_empty(), || "a body was sent".to_owned())
}

/// A request that names no origin is refused, not guessed.
pub async fn a_request_without_origin_is_refused(transport: &dyn Transport) -> Verdict {
    let request = Request::post("/no-origin").body(Bytes::new()).expect("the parts are valid");
    let error = send_err(transport, request).await?;
    ensure(error.kind() == TransportErrorKind::InvalidRequest, || format!("it became {error:?}"))?;
    ensure(error.processed() == Processed::No, || format!("claims {:?}", error.processed()))
}

/// Many at a time: each gets an answer.
pub async fn concurrent_requests_are_all_answered(transport: &dyn Transport) -> Verdict {
    const REQUESTS: usize = 64;

    let mut peer = Peer::answering("201 Created").await;
    let requests = (0..REQUESTS).map(|_| send_ok(transport, post(peer.address, "body")));
    for response in futures_util::future::join_all(requests).await {
        let status = response?.status();
        ensure(status == 201, || format!("201 became {status}"))?;
    }
    let requests = peer.seen_so_far().iter().filter(|seen| matches!(seen, Seen::Request(_))).count();
    ensure(requests == REQUESTS, || format!("{REQUESTS} requests arrived as {requests}"))
}

async fn received(peer: &mut Peer) -> Result<(String, Vec<u8>), Violation> {
    let Some(Seen::Request(octets)) = peer.seen().await else {
        return violation("no request arrived");
    };
    let Some(end) = octets.windows(4).position(|window| window == b"\r\n\r\n") else {
        return violation("the request has no end of headers");
    };
    Ok((String::from_utf8_lossy(&octets[..end]).into_owned(), octets[end + 4..].to_vec()))
}

/// Set for the process that [`environment_proxies_are_ignored`] starts.
const CHILD: &str = "WEBPUSH_CHANNELS_PROXIED_TEST";

/// A proxy in the environment is not used: it would resolve names behind the address policy's
/// back (S-7).
///
/// The environment cannot be changed safely from within, so the test called `test_path` (module
/// path and name) runs once more as a child process.
pub fn environment_proxies_are_ignored<T: Transport>(
    test_path: &str,
    transport: impl FnOnce() -> T,
) -> Verdict {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.expect("a runtime can be built").block_on(async {
            let peer = Peer::answering("201 Created").await;
            send_ok(&transport(), post(peer.address, "body")).await?;
            ensure(peer.connections() == 1, || "the request did not come directly".to_owned())
        });
    }
    let proxy = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    proxy.set_nonblocking(true).expect("a listener can be non-blocking");
    let url = format!("http://{}", proxy.local_addr().expect("a bound socket has an address"));
    let name = test_path.split_once("::").map_or(test_path, |(_crate, name)| name);
    let mut child = Command::new(std::env::current_exe().expect("a test has an executable"));
    child
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy");
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(variable, &url);
    }
    let output = child.output().expect("a test can start itself");
    let told = String::from_utf8_lossy(&output.stdout);
    ensure(told.contains("1 passed") || told.contains("1 failed"), || format!("{name} did not run: {told}"))?;
    let untouched = proxy.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    ensure(untouched, || "the proxy of the environment was used".to_owned())?;
    ensure(output.status.success(), || format!("the test failed under a proxy: {told}"))?;
    Ok(())
}

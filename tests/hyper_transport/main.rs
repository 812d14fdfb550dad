//! `HyperTransport` against peers on loopback: what its contract does not say, or says only for
//! HTTP/2 and TLS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connecting;
mod frames;
mod http1;
mod http2;
mod life;
mod pooling;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{
    HyperTransport, HyperTransportBuilder, Processed, Transport, TransportError, TransportErrorKind,
};

type Sent = Result<Response<Bytes>, TransportError>;

/// For cleartext HTTP/2 on loopback.
fn http2() -> HyperTransportBuilder {
    http1().http2_prior_knowledge(true)
}

/// For cleartext HTTP/1.1 on loopback.
fn http1() -> HyperTransportBuilder {
    HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .total_timeout(Duration::from_secs(20))
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn post(origin: &str) -> Request<Bytes> {
    Request::post(format!("{origin}/secret")).body(Bytes::from_static(b"body")).unwrap()
}

/// Sends in a task, so that the test can be the peer.
fn sending(transport: &HyperTransport, peer: SocketAddr) -> JoinHandle<Sent> {
    sending_to(transport, &format!("http://{peer}"))
}

fn sending_to(transport: &HyperTransport, origin: &str) -> JoinHandle<Sent> {
    let (transport, request) = (transport.clone(), post(origin));
    tokio::spawn(async move { transport.send(request).await })
}

async fn status(sending: JoinHandle<Sent>) -> u16 {
    sending.await.unwrap().unwrap().status().as_u16()
}

async fn failure(sending: JoinHandle<Sent>) -> (TransportErrorKind, Processed) {
    let error = sending.await.unwrap().unwrap_err();
    (error.kind(), error.processed())
}

/// Answers requests of HTTP/1.1 with 201, on every connection; counts neither.
fn serve_http1(listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_http1_on(stream));
        }
    })
}

/// Answers each `body` with a 201 that names the Host it was sent to.
async fn serve_http1_on(mut stream: impl frames::Stream) {
    let mut request = Vec::new();
    while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
        if !request.ends_with(b"\r\n\r\nbody") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
        let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let answer = format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{host}", host.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

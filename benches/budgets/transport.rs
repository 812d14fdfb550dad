//! One POST of 4 KB over HTTP/2 and TLS 1.3, 64 in flight: through the transport, and through
//! hyper alone on one connection.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::transport::{HyperTransport, Transport as _};
use webpush_channels::{AddressPolicy, Endpoint, Payload, Ttl};

use super::peer::Peer;
use super::usage::micros_each;

const IN_FLIGHT: usize = 64;
const BODY: usize = Payload::MAX_LEN + 103;

/// Both clients, connected, each on a runtime of one thread.
#[derive(Debug)]
pub(crate) struct Clients {
    request: Request<Bytes>,
    raw: (Runtime, SendRequest<Full<Bytes>>),
    ours: (Runtime, HyperTransport),
}

impl Clients {
    pub(crate) fn connect(peer: &Peer) -> Self {
        let endpoint = format!("{}/p/{:0154}", peer.origin(), 1).parse().expect("an endpoint");
        let runtime = runtime();
        let sender = runtime.block_on(connect(peer));
        let clients = Self {
            request: request(&endpoint),
            raw: (runtime, sender),
            ours: (self::runtime(), transport(peer)),
        };
        // Neither pays for its connection later.
        clients.ours(IN_FLIGHT);
        clients.raw(IN_FLIGHT);
        clients
    }

    /// Microseconds for one request through hyper.
    pub(crate) fn raw(&self, times: usize) -> f64 {
        let (runtime, sender) = &self.raw;
        let (sender, request) = (sender.clone(), self.request.clone());
        micros_each(times, || {
            runtime.block_on(in_parallel(times, |count| {
                let (mut sender, request) = (sender.clone(), request.clone());
                async move {
                    for _ in 0..count {
                        let response = sender.send_request(request.clone().map(Full::new)).await;
                        assert_eq!(response.expect("an answer").status(), StatusCode::CREATED);
                    }
                }
            }));
        })
    }

    /// Microseconds for one request through the transport.
    pub(crate) fn ours(&self, times: usize) -> f64 {
        let (runtime, transport) = &self.ours;
        micros_each(times, || {
            runtime.block_on(in_parallel(times, |count| {
                let (transport, request) = (transport.clone(), self.request.clone());
                async move {
                    for _ in 0..count {
                        let response = transport.send(request.clone()).await;
                        assert_eq!(response.expect("an answer").status(), StatusCode::CREATED);
                    }
                }
            }));
        })
    }
}

/// A transport that trusts the peer.
pub(crate) fn transport(peer: &Peer) -> HyperTransport {
    HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .extra_root_pem(peer.certificate_pem().as_bytes())
        .and_then(webpush_channels::transport::HyperTransportBuilder::build)
        .expect("TLS can be set up")
}

async fn in_parallel<F>(times: usize, client: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut clients = JoinSet::new();
    for n in 0..IN_FLIGHT {
        clients.spawn(client((times + n) / IN_FLIGHT));
    }
    clients.join_all().await;
}

/// A request as the sender makes it, with a token that nobody reads.
fn request(endpoint: &Endpoint) -> Request<Bytes> {
    let token = HeaderValue::try_from(format!("vapid t={:0>200}, k={:0>87}", "", "")).expect("it is ASCII");
    PushRequest::new(endpoint, Ttl::hours(1), token)
        .with_body(Body::Aes128Gcm(vec![b'x'; BODY].into()))
        .into_http()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn connect(peer: &Peer) -> SendRequest<Full<Bytes>> {
    let mut roots = RootCertStore::empty();
    roots.add(peer.certificate.clone()).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols.push(b"h2".to_vec());
    let tcp = TcpStream::connect(peer.address).await.expect("the peer listens");
    tcp.set_nodelay(true).expect("TCP can do that");
    let stream = TlsConnector::from(Arc::new(config)).connect(peer.address.ip().into(), tcp).await;
    let stream = TokioIo::new(stream.expect("the certificate is trusted"));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

//! TLS: verified, and HTTP/2 where the peer has it (S-32).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use webpush_channels::transport::{
    HyperTransport, HyperTransportBuilder, Processed, Resolve, Transport as _, TransportErrorKind,
};

use crate::frames::Frames;
use crate::{http1, listen, post, serve_http1_on};

#[derive(Debug)]
struct Loopback;

#[async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

/// A server with a certificate of its own for push.example, which offers `alpn`; and that
/// certificate. Connections that agree on `h2` are answered by HTTP/2, others by HTTP/1.1.
fn serve(listener: TcpListener, alpn: &[&str]) -> String {
    let made = rcgen::generate_simple_self_signed(["push.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(tcp).await else { continue };
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                tokio::spawn(serve_http1_on(stream));
                continue;
            }
            tokio::spawn(async move {
                let mut peer = Frames::start(stream, None).await;
                peer.open_windows().await;
                while let Some(stream) = peer.request().await {
                    peer.answer(stream, "202").await;
                }
            });
        }
    });
    let base64 = STANDARD.encode(made.cert.der());
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

fn trusting(pem: &str) -> HyperTransport {
    http1().resolver(Arc::new(Loopback)).extra_root_pem(pem.as_bytes()).unwrap().build().unwrap()
}

#[tokio::test]
async fn alpn_decides_between_http2_and_http1() {
    for (alpn, status) in [(&["h2", "http/1.1"][..], 202), (&["http/1.1"], 201), (&[], 201)] {
        let (listener, address) = listen().await;
        let transport = trusting(&serve(listener, alpn));
        let origin = format!("https://push.example:{}", address.port());
        for _ in 0..2 {
            let response = transport.send(post(&origin)).await.unwrap();
            assert_eq!(response.status(), status, "{alpn:?}");
        }
    }
}

#[tokio::test]
async fn more_than_the_socket_takes_at_once_arrives_all_the_same() {
    let (listener, address) = listen().await;
    let transport = trusting(&serve(listener, &["h2"]));
    for octets in [10_000_000, 10_000_001] {
        let mut request = post(&format!("https://push.example:{}", address.port()));
        *request.body_mut() = vec![b'x'; octets].into();
        assert_eq!(transport.send(request).await.unwrap().status(), 202);
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (listener, address) = listen().await;
    let transport = trusting(&serve(listener, &["h2"]));
    let origin = format!("https://other.example:{}", address.port());
    let error = transport.send(post(&origin)).await.unwrap_err();
    assert_eq!((error.kind(), error.processed()), (TransportErrorKind::Connect, Processed::No));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (listener, address) = listen().await;
    serve(listener, &["h2"]);
    let transport = http1().resolver(Arc::new(Loopback)).build().unwrap();
    let origin = format!("https://push.example:{}", address.port());
    let error = transport.send(post(&origin)).await.unwrap_err();
    assert_eq!((error.kind(), error.processed()), (TransportErrorKind::Connect, Processed::No));
}

#[test]
fn what_is_no_certificate_is_no_root() {
    for pem in ["", "certificate", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        assert!(HyperTransport::builder().extra_root_pem(pem.as_bytes()).is_err(), "{pem:?}");
    }
    let no_certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let built =
        HyperTransport::builder().extra_root_pem(no_certificate).and_then(HyperTransportBuilder::build);
    assert!(built.is_err());
}

//! A bare HTTP client and VAPID signer, for tests of the in-process push service.
#![allow(clippy::unwrap_used, dead_code, reason = "a test helper")]

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use webpush_channels::Subscription;
use webpush_channels::testing::{PushService, PushServiceBuilder};

use crate::seal::seal;

/// The four ways to reach a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wire {
    Http1,
    Http2,
    Tls1,
    Tls2,
}

impl Wire {
    pub(crate) const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Tls1, Self::Tls2];

    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Tls1 | Self::Tls2)
    }

    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Tls2)
    }

    pub(crate) async fn start(self, builder: PushServiceBuilder) -> PushService {
        builder.tls(self.is_tls()).start().await.unwrap()
    }

    pub(crate) async fn connect(self, service: &PushService) -> Client {
        let stream = TcpStream::connect(service.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        if !self.is_tls() {
            return Client::over(stream, self.is_http2()).await;
        }
        let config = client_config(service.ca_pem().unwrap(), self.is_http2());
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let negotiated = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let expected: &[u8] = if self.is_http2() { b"h2" } else { b"http/1.1" };
        assert_eq!(negotiated.as_deref(), Some(expected));
        Client::over(stream, self.is_http2()).await
    }
}

pub(crate) fn client_config(ca_pem: &str, http2: bool) -> ClientConfig {
    let body: String = ca_pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut roots = RootCertStore::empty();
    roots.add(BASE64_STANDARD.decode(body).unwrap().into()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    config
}

type Body = BoxBody<Bytes, Infallible>;

pub(crate) enum Client {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Client {
    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, http2: bool) -> Self {
        let io = TokioIo::new(stream);
        if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(async { drop(connection.await) });
            return Self::Http2(sender);
        }
        let (sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(async { drop(connection.await) });
        Self::Http1(sender)
    }

    pub(crate) async fn start(&mut self, mut request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                let authority = request.uri().authority().unwrap().as_str().to_owned();
                request.headers_mut().entry("host").or_insert(authority.try_into().unwrap());
                *request.uri_mut() = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    /// Sends and reads the answer whole.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Response<Bytes> {
        let (head, body) = self.start(request).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    pub(crate) async fn push(&mut self, push: &Push) -> Response<Bytes> {
        self.send(push.request()).await
    }

    pub(crate) async fn status(&mut self, push: &Push) -> StatusCode {
        self.push(push).await.status()
    }
}

/// A request that breaks no rule, until it is changed.
#[derive(Clone)]
pub(crate) struct Push {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Push {
    pub(crate) fn new(to: &Subscription, plaintext: &[u8]) -> Self {
        let mut headers = HeaderMap::new();
        let token = Vapid::default().header(to.endpoint().origin().as_str());
        for (name, value) in [
            ("ttl", "60"),
            ("content-encoding", "aes128gcm"),
            ("content-type", "application/octet-stream"),
            ("authorization", &token),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let body = seal(to.keys(), &[7; 32], [9; 16], plaintext, 0);
        Self { method: Method::POST, uri: to.endpoint().as_str().to_owned(), headers, body }
    }

    pub(crate) fn null(to: &Subscription) -> Self {
        let mut push = Self::new(to, b"").without("content-encoding").without("content-type");
        push.body.clear();
        push
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn and(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn at(mut self, uri: &str) -> Self {
        uri.clone_into(&mut self.uri);
        self
    }

    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn request(&self) -> Request<Body> {
        let body = Full::new(Bytes::from(self.body.clone()));
        let mut request = Request::new(body.boxed());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().entry("content-length").or_insert(self.body.len().into());
        request
    }
}

/// Signs tokens, right ones and wrong ones.
pub(crate) struct Vapid {
    pub(crate) key: SigningKey,
    pub(crate) header: &'static str,
    pub(crate) expires: u64,
    pub(crate) contact: Option<&'static str>,
}

/// The wall time of these tests.
pub(crate) const NOW: u64 = 1_700_000_000;

impl Default for Vapid {
    fn default() -> Self {
        Self::of([5; 32])
    }
}

impl Vapid {
    pub(crate) fn of(private: [u8; 32]) -> Self {
        Self {
            key: SigningKey::from_slice(&private).unwrap(),
            header: r#"{"typ":"JWT","alg":"ES256"}"#,
            expires: NOW + 12 * 60 * 60,
            contact: Some("mailto:ops@example.com"),
        }
    }

    pub(crate) fn public(&self) -> [u8; 65] {
        self.key.verifying_key().to_sec1_bytes().as_ref().try_into().unwrap()
    }

    pub(crate) fn k(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.public())
    }

    pub(crate) fn header(&self, audience: &str) -> String {
        let mut claims = serde_json::json!({"aud": audience, "exp": self.expires});
        if let Some(contact) = self.contact {
            claims["sub"] = contact.into();
        }
        self.header_of(&claims.to_string())
    }

    pub(crate) fn header_of(&self, claims: &str) -> String {
        format!("vapid t={}, k={}", self.token(claims), self.k())
    }

    pub(crate) fn token(&self, claims: &str) -> String {
        let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        let signed = format!("{}.{}", encode(self.header.as_bytes()), encode(claims.as_bytes()));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", encode(&signature.to_bytes()))
    }
}

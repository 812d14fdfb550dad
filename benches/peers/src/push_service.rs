//! The push service: this program once more, doing as little as HTTP and TLS allow. It counts what arrives, and keeps
//! the last message, so that somebody can open it.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io, thread};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{Result, setup};

/// What arrived since somebody asked last.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Arrived {
    pub(crate) count: usize,
    pub(crate) last: Option<Message>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Message {
    pub(crate) version: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// In base64.
    pub(crate) body: String,
}

/// What is kept: nothing is made of it before somebody asks.
#[derive(Debug, Default)]
struct Log {
    count: usize,
    last: Option<(Parts, Bytes)>,
}

/// Tells its address, then answers each line of standard input with what arrived, until there are no more.
pub(crate) fn serve(directory: &Path) -> Result<()> {
    let log = Arc::new(Mutex::new(Log::default()));
    thread::spawn({
        let log = Arc::clone(&log);
        move || {
            for _ in io::stdin().lines().map_while(io::Result::ok) {
                let log = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
                let told = serde_json::to_string(&arrived(log)).expect("it has no maps");
                writeln!(io::stdout(), "{told}").expect("somebody listens");
            }
            std::process::exit(0);
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let acceptor = tls(directory)?;
        writeln!(io::stdout(), "{}", listener.local_addr()?)?;
        loop {
            let Ok((tcp, _)) = listener.accept().await else { continue };
            tokio::spawn(connection(tcp, acceptor.clone(), Arc::clone(&log)));
        }
    })
}

fn arrived(log: Log) -> Arrived {
    let last = log.last.map(|(head, body)| Message {
        version: format!("{:?}", head.version),
        path: head.uri.path().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: BASE64_STANDARD.encode(body),
    });
    Arrived { count: log.count, last }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor, log: Arc<Mutex<Log>>) {
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    let service = service_fn(move |request| {
        let log = Arc::clone(&log);
        async move { answer(request, &log).await }
    });
    // The client closes when it has measured; what that looks like from here does not matter.
    if is_http2 {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2.initial_connection_window_size(1 << 24).max_concurrent_streams(128);
        drop(http2.serve_connection(stream, service).await);
    } else {
        drop(http1::Builder::new().serve_connection(stream, service).await);
    }
}

/// Reads the message to its end, and answers as vendors do.
async fn answer(
    request: Request<Incoming>,
    log: &Mutex<Log>,
) -> std::result::Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let ttl = head.headers.get("ttl").cloned();
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    if let Ok(body) = body.collect().await {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.count += 1;
        log.last = Some((head, body.to_bytes()));
        *response.status_mut() = StatusCode::CREATED;
    }
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/m/0123456789abcdef0123456789abcdef"));
    if let Some(ttl) = ttl {
        response.headers_mut().insert("ttl", ttl);
    }
    Ok(response)
}

/// A certificate for the loopback, from an authority of its own: what OpenSSL, Python and node demand.
fn tls(directory: &Path) -> Result<TlsAcceptor> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "webpush-channels bench authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let certificate = authority.self_signed(&authority_key)?;
    fs::write(setup::authority(directory), pem(certificate.der()))?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(vec![Ipv4Addr::LOCALHOST.to_string()])?;
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &issuer)?.der().clone();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// RFC 7468.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

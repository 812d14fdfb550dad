//! The push service: this programme once more, doing as little as HTTP/2 and TLS allow.

#![allow(dead_code, reason = "not every benchmark uses all of it")]

use std::convert::Infallible;
use std::io::{self, BufRead as _, BufReader, Lines, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{HeaderValue, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Names below this one are the push service's too, for whoever resolves them to its address.
pub(crate) const DOMAIN: &str = "push.example.net";

/// How long it takes over a message, in milliseconds.
static LATENCY: AtomicU64 = AtomicU64::new(0);

/// The push service's process. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
    pub(crate) certificate: CertificateDer<'static>,
}

impl Peer {
    pub(crate) fn start() -> Self {
        Self::start_by(Command::new(this()))
    }

    /// On these cores only, as `taskset` names them.
    pub(crate) fn start_on(cores: &str) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).arg(this());
        Self::start_by(command)
    }

    fn start_by(mut command: Command) -> Self {
        let mut process = command
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the programme starts once more");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let address = next(&mut lines).parse().expect("an address");
        let certificate = BASE64_STANDARD.decode(next(&mut lines)).expect("base64").into();
        Self { process, lines, address, certificate }
    }

    /// From now on every message takes so long, in whole milliseconds.
    pub(crate) fn take(&mut self, latency: Duration) {
        let input = self.process.stdin.as_mut().expect("it is piped");
        writeln!(input, "{}", latency.as_millis()).expect("the push service listens");
        let told = next(&mut self.lines);
        assert_eq!(told, latency.as_millis().to_string());
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn certificate_pem(&self) -> String {
        let text = BASE64_STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn this() -> std::path::PathBuf {
    std::env::current_exe().expect("the programme knows its path")
}

fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    lines.next().and_then(Result::ok).expect("the push service ended early")
}

/// Runs as the push service: tells its address and its certificate, serves until nobody holds its
/// standard input any more. Each line of that is a new latency, and is repeated when it holds.
pub(crate) fn serve() {
    std::thread::spawn(|| {
        for line in io::stdin().lines().map_while(Result::ok) {
            LATENCY.store(line.parse().expect("milliseconds"), Ordering::Relaxed);
            writeln!(io::stdout(), "{line}").expect("somebody listens");
        }
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port of the loopback");
        let (acceptor, certificate) = tls();
        let mut out = io::stdout();
        let address = listener.local_addr().expect("it is bound");
        writeln!(out, "{address}\n{}", BASE64_STANDARD.encode(certificate)).expect("somebody listens");
        loop {
            let Ok((tcp, _)) = listener.accept().await else { continue };
            tokio::spawn(connection(tcp, acceptor.clone()));
        }
    });
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor) {
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let served = http2::Builder::new(TokioExecutor::new())
        .initial_connection_window_size(1 << 24)
        .max_concurrent_streams(128)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
    // The client closes when it has measured; what that looks like from here does not matter.
    drop(served);
}

/// Reads the message to its end, and answers as vendors do.
async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let latency = Duration::from_millis(LATENCY.load(Ordering::Relaxed));
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/m/0123456789abcdef"));
    if let Some(ttl) = head.headers.get("ttl") {
        response.headers_mut().insert("ttl", ttl.clone());
    }
    Ok(response)
}

fn tls() -> (TlsAcceptor, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string(), format!("*.{DOMAIN}")]);
    let made = made.expect("a certificate can be made");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("the certificate is good");
    config.alpn_protocols.push(b"h2".to_vec());
    (TlsAcceptor::from(Arc::new(config)), certificate)
}

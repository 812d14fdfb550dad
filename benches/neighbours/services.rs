//! Ten push services in a process of their own: this programme once more.

use std::future::pending;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
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
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How many of them answer.
pub(crate) const SOUND: usize = 5;

/// What each of them does.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// 201.
    Sound,
    /// It never answers.
    Silent,
    /// It resets every stream.
    Resetting,
    /// 503.
    Unavailable,
    /// It closes the connection in the middle of the first request.
    Closing,
    /// It sends an octet a second, and never a whole answer.
    Slow,
}

const MANNERS: [Manner; 10] = {
    use Manner::{Closing, Resetting, Silent, Slow, Sound, Unavailable};
    [Sound, Sound, Sound, Sound, Sound, Silent, Resetting, Unavailable, Closing, Slow]
};

/// The process. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Services {
    process: Child,
    /// Those that answer first.
    pub(crate) origins: Vec<String>,
    pub(crate) certificate_pem: String,
}

impl Services {
    pub(crate) fn start() -> Self {
        let this = std::env::current_exe().expect("the programme knows its path");
        let mut process = Command::new(this)
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the programme starts once more");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut line = || lines.next().and_then(Result::ok).expect("the push services ended early");
        let certificate = line();
        let certificate_pem =
            format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
        let origins = MANNERS.iter().map(|_| line()).collect();
        Self { process, origins, certificate_pem }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs as the push services: tells the certificate and the origins, serves until nobody holds its
/// standard input any more.
pub(crate) fn serve() {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    // One thread, which the caller keeps on its core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (acceptor, certificate) = tls();
        let mut out = io::stdout();
        writeln!(out, "{}", BASE64_STANDARD.encode(certificate)).expect("somebody listens");
        for manner in MANNERS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port of the loopback");
            let address = listener.local_addr().expect("it is bound");
            writeln!(out, "https://{address}").expect("somebody listens");
            tokio::spawn(accept(manner, listener, acceptor.clone()));
        }
        pending::<()>().await;
    });
}

async fn accept(manner: Manner, listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        tokio::spawn(connection(manner, tcp, acceptor.clone()));
    }
}

async fn connection(manner: Manner, tcp: TcpStream, acceptor: TlsAcceptor) {
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    // The client closes when it has measured; what that looks like from here does not matter.
    match manner {
        Manner::Closing => drop(close(stream).await),
        Manner::Slow => drop(trickle(stream).await),
        _ => drop(answer_all(manner, stream).await),
    }
}

async fn close(mut stream: TlsStream<TcpStream>) -> io::Result<()> {
    // The preface and SETTINGS, and some of a request. The client waits for ours.
    stream.write_all(&SETTINGS).await?;
    stream.flush().await?;
    stream.read_exact(&mut [0; 200]).await?;
    Ok(())
}

/// A frame without settings.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

async fn trickle(mut stream: TlsStream<TcpStream>) -> io::Result<()> {
    stream.write_all(&SETTINGS).await?;
    stream.flush().await?;
    let (mut read, mut write) = tokio::io::split(stream);
    tokio::spawn(async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await });
    // A frame of 16 000 octets and of no known kind.
    let mut second = interval(Duration::from_secs(1));
    for octet in [0, 0x3e, 0x80, 0xee].into_iter().chain(std::iter::repeat(0)) {
        second.tick().await;
        write.write_all(&[octet]).await?;
        write.flush().await?;
    }
    Ok(())
}

async fn answer_all(manner: Manner, stream: TlsStream<TcpStream>) -> hyper::Result<()> {
    http2::Builder::new(TokioExecutor::new())
        .initial_connection_window_size(1 << 24)
        .max_concurrent_streams(128)
        .serve_connection(TokioIo::new(stream), service_fn(move |request| answer(manner, request)))
        .await
}

/// Reads the message to its end. An error resets the stream.
async fn answer(manner: Manner, request: Request<Incoming>) -> io::Result<Response<Empty<Bytes>>> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let mut response = Response::new(Empty::new());
    match manner {
        Manner::Silent => pending::<()>().await,
        Manner::Resetting => return Err(io::ErrorKind::Other.into()),
        Manner::Unavailable => {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Ok(response);
        }
        _ => {}
    }
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/m/0123456789abcdef"));
    if let Some(ttl) = head.headers.get("ttl") {
        response.headers_mut().insert("ttl", ttl.clone());
    }
    Ok(response)
}

fn tls() -> (TlsAcceptor, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()]);
    let made = made.expect("a certificate can be made");
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("the certificate is good");
    config.alpn_protocols.push(b"h2".to_vec());
    (TlsAcceptor::from(Arc::new(config)), made.cert.der().to_vec())
}

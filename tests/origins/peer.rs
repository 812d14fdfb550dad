//! A peer that does what a test says on each connection, over real sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::server::TlsStream;

use crate::certificates::{Flaw, ROOT};

pub(crate) type Tls = TlsStream<TcpStream>;

pub(crate) const HTTP1: &str = "http/1.1";
pub(crate) const HTTP2: &str = "h2";

/// What a peer saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    broken: AtomicUsize,
}

impl Seen {
    /// One more request was read; its number from 0.
    pub(crate) fn request(&self) -> usize {
        self.requests.fetch_add(1, Ordering::SeqCst)
    }

    /// The client broke a rule.
    pub(crate) fn broken(&self) {
        self.broken.fetch_add(1, Ordering::SeqCst);
    }
}

/// It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    address: SocketAddr,
    seen: Arc<Seen>,
    accepting: JoinHandle<()>,
}

impl Peer {
    /// Speaks TLS and what `alpn` says, as `serve` does it.
    pub(crate) async fn tls<F, S>(alpn: &str, serve: S) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
        S: Fn(Tls, Arc<Seen>) -> F + Clone + Send + Sync + 'static,
    {
        Self::with_flaw(Flaw::None, alpn, serve).await
    }

    pub(crate) async fn with_flaw<F, S>(flaw: Flaw, alpn: &str, serve: S) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
        S: Fn(Tls, Arc<Seen>) -> F + Clone + Send + Sync + 'static,
    {
        let acceptor = ROOT.acceptor(flaw, alpn);
        Self::tcp(move |tcp, seen| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            async move { serve(acceptor.accept(tcp).await?, seen).await }
        })
        .await
    }

    /// Speaks what `serve` does below TLS.
    pub(crate) async fn tcp<F, S>(serve: S) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
        S: Fn(TcpStream, Arc<Seen>) -> F + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Seen>::default());
        let counts = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                counts.connections.fetch_add(1, Ordering::SeqCst);
                tcp.set_nodelay(true).ok();
                let serving = serve(tcp, Arc::clone(&counts));
                // Its error is the client's doing: what is looked at is what the client makes of it.
                connections.spawn(async move { drop(serving.await) });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, seen, accepting }
    }

    pub(crate) fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many requests were read to their end, as far as the peer says.
    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn broken(&self) -> usize {
        self.seen.broken.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads one request of HTTP/1.1 with the body that its `Content-Length` tells.
pub(crate) async fn read_request(stream: &mut Tls) -> io::Result<()> {
    let mut octets = Vec::new();
    loop {
        if stream.read_buf(&mut octets).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = octets.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&octets[..head]).to_ascii_lowercase();
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if octets.len() >= head + 4 + length.unwrap_or(0) {
            return Ok(());
        }
    }
}

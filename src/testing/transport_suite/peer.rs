//! A peer that answers from a script, octet for octet.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::PATIENCE;

/// What a [`Peer`] does with each request it has read.
#[derive(Clone, Debug)]
pub(super) enum Script {
    /// Writes this and reads the next request.
    Answer(Vec<u8>),
    /// Writes this and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Writes this, then one octet after the other, for ever.
    Trickle(Vec<u8>),
    /// Closes the connection without a word.
    Close,
    /// Says nothing, and waits for the client's end.
    Silence,
}

/// What a peer saw.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Seen {
    /// A whole request, as it came.
    Request(Vec<u8>),
    /// The client ended the connection.
    End,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: mpsc::UnboundedReceiver<Seen>,
    listener: JoinHandle<()>,
}

impl Peer {
    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("a bound socket has an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let (tell, seen) = mpsc::unbounded_channel();
        let count = Arc::clone(&connections);
        let listener = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, tell) = (script.clone(), tell.clone());
                tokio::spawn(async move {
                    // Errors are the client's doing, which is what the cases look at.
                    let _ = serve(stream, script, &tell).await;
                    let _ = tell.send(Seen::End);
                });
            }
        });
        Self { address, connections, seen, listener }
    }

    /// Answers every request with this status line and these headers, without a body.
    pub(super) async fn answering(head: &str) -> Self {
        Self::start(Script::Answer(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n").into_bytes()))
            .await
    }

    /// An address where nobody listens.
    pub(super) async fn nobody() -> SocketAddr {
        let peer = Self::start(Script::Close).await;
        let address = peer.address;
        peer.listener.abort();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        address
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next thing the peer saw; `None` when nothing happens.
    pub(super) async fn seen(&mut self) -> Option<Seen> {
        timeout(PATIENCE, self.seen.recv()).await.ok().flatten()
    }

    /// Everything it has seen by now.
    pub(super) fn seen_so_far(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Script, tell: &mpsc::UnboundedSender<Seen>) -> io::Result<()> {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut unread).await? {
        let _ = tell.send(Seen::Request(request));
        match &script {
            Script::Answer(octets) => stream.write_all(octets).await?,
            Script::AnswerAndClose(octets) => {
                stream.write_all(octets).await?;
                return stream.shutdown().await;
            }
            Script::Trickle(octets) => {
                stream.write_all(octets).await?;
                loop {
                    stream.write_all(b".").await?;
                    sleep(Duration::from_millis(20)).await;
                }
            }
            Script::Close => return stream.shutdown().await,
            Script::Silence => {}
        }
    }
    Ok(())
}

/// One request, head and body, or `None` at the end of the stream.
async fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = end_of_request(unread) {
            return Ok(Some(unread.drain(..end).collect()));
        }
        if stream.read_buf(unread).await? == 0 {
            return Ok(None);
        }
    }
}

fn end_of_request(octets: &[u8]) -> Option<usize> {
    let head = octets.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&octets[..head]).to_ascii_lowercase();
    if text.contains("\r\ntransfer-encoding:") {
        let body = &octets[head..];
        return body.windows(5).position(|window| window == b"0\r\n\r\n").map(|at| head + at + 5);
    }
    let length = header(&text, "content-length").and_then(|value| value.parse::<usize>().ok()).unwrap_or(0);
    (octets.len() >= head + length).then_some(head + length)
}

/// The value of a header in a head of lower-case text.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

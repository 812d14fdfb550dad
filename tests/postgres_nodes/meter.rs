//! Counts the statements that a node sends to its server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;

/// Passes connections on, and reads the types of what clients send.
pub struct Meter {
    at: SocketAddr,
    target: u16,
    statements: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Meter {
    pub async fn new(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, statements) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, target, Arc::clone(&statements)));
        Self { at, target, statements, _serving: serving }
    }

    /// The URL of the server, by way of this.
    pub fn url(&self, server: &str) -> String {
        server.replace(&format!(":{}/", self.target), &format!(":{}/", self.at.port()))
    }

    /// How many statements were executed so far, `BEGIN` and `COMMIT` included.
    pub fn statements(&self) -> usize {
        self.statements.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, target: u16, statements: Arc<AtomicUsize>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = tokio::net::TcpStream::connect(("127.0.0.1", target)).await.unwrap();
        let ((from, mut back), (mut answers, to)) = (client.into_split(), server.into_split());
        let statements = Arc::clone(&statements);
        // How it ends does not matter.
        connections.spawn(async move { drop(count(from, to, &statements).await) });
        connections.spawn(async move { drop(copy(&mut answers, &mut back).await) });
    }
}

/// The first message has a length only, all others a type before it.
async fn count(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    statements: &AtomicUsize,
) -> std::io::Result<()> {
    let mut kind = None;
    loop {
        let length = from.read_u32().await?;
        let mut body = vec![0; length.saturating_sub(4) as usize];
        from.read_exact(&mut body).await?;
        // Execute, and Query.
        statements.fetch_add(usize::from(matches!(kind, Some(b'E' | b'Q'))), Ordering::SeqCst);
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend(length.to_be_bytes());
        message.extend(body);
        to.write_all(&message).await?;
        kind = Some(from.read_u8().await?);
    }
}

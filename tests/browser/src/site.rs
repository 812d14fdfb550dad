use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::{fmt, io};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longer than any request line of a browser's to a page of ours.
const LONGEST_LINE: usize = 16 << 10;

/// A file: its path, its content type and what it holds.
pub type File = (&'static str, &'static str, &'static str);

/// A web site of a few files on a free port of loopback, for pages that need no service behind them.
pub struct Site {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Site {
    /// Serves the files until it is dropped.
    pub async fn start(files: Vec<File>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let files: Arc<[File]> = files.into();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let files = Arc::clone(&files);
                // A browser that goes away in the middle has what it wants.
                tokio::spawn(async move { answer(stream, &files).await.ok() });
            }
        });
        Ok(Self { address, task })
    }

    /// Where a file is. `localhost` is a secure context.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.address.port())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("address", &self.address).finish_non_exhaustive()
    }
}

/// One request for each connection.
async fn answer(stream: TcpStream, files: &[File]) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut line = first.clone();
    while line.trim() != "" {
        if line.len() > LONGEST_LINE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        line.clear();
        stream.read_line(&mut line).await?;
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let found = files.iter().find(|(name, ..)| *name == path);
    let (status, kind, body) =
        found.map_or(("404 Not Found", "text/plain", ""), |(_, kind, body)| ("200 OK", *kind, *body));
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

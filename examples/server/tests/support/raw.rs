//! HTTP/1.1 octet by octet, for what no client library sends.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer; `head` is its status line and headers.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Value,
}

impl Answer {
    /// Status and errno, 0 where the body has none.
    pub fn verdict(&self) -> (u16, u64) {
        (self.status, self.body["errno"].as_u64().unwrap_or_default())
    }
}

/// The `Authorization` of `user:password`.
pub fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// A whole request. The connection ends with its answer.
pub fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut octets = format!("{line} HTTP/1.1\r\nHost: service\r\nConnection: close\r\n").into_bytes();
    for (name, value) in headers {
        octets.extend(format!("{name}: {value}\r\n").bytes());
    }
    if !body.is_empty() {
        octets.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    octets.extend(b"\r\n");
    octets.extend(body);
    octets
}

/// Sends octets, and reads until the service closes. `None`: it said nothing.
pub async fn exchange(address: SocketAddr, octets: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    // A service that has heard enough closes while there is more to send, and its answer is there all the same.
    let write = async {
        let _ = writing.write_all(octets).await;
    };
    let read = async {
        let mut part = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = reading.read(&mut part).await {
            answer.extend(&part[..n]);
        }
    };
    tokio::join!(write, read);
    parse(&answer)
}

/// The first answer of a connection.
pub fn parse(octets: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(octets);
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let body = rest.get(..length.unwrap_or(rest.len())).unwrap_or(rest);
    let body = serde_json::from_str(body).unwrap_or_else(|_| body.into());
    Some(Answer { status, head: head.to_owned(), body })
}

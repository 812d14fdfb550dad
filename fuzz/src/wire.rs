//! Octets over a socket of this machine, and what came back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Whoever holds a connection longer than this after the end of all requests does not end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends octets and reads until the other side closes. Where it does not within `wait`, it may wait for more: it is told
/// that there is no more, and has to end then.
pub async fn exchange(to: SocketAddr, octets: &[u8], wait: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).await.expect("it listens");
    let mut answer = Vec::new();
    let (mut reading, mut writing) = stream.split();
    let talk = async {
        // It may have heard enough before everything is written.
        let write = async { drop(writing.write_all(octets).await) };
        let read = async { drop(reading.read_to_end(&mut answer).await) };
        tokio::join!(write, read);
    };
    if timeout(wait, talk).await.is_err() {
        let _ = writing.shutdown().await;
        let end = timeout(PATIENCE, reading.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "a connection on which nothing more comes ends");
    }
    // No waiting for stray segments: there are thousands of connections in a minute.
    let _ = stream.set_zero_linger();
    answer
}

/// The status of the first answer on a connection, and what comes after its head.
#[must_use]
pub fn first_answer(octets: &[u8]) -> Option<(u16, &[u8])> {
    let end = octets.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&octets[..end]).expect("a head is ASCII");
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    Some((status, &octets[end + 4..]))
}

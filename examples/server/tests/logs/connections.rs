//! Connections that speak no HTTP, or not to its end.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is said in them.
pub(super) const SECRETS: [&str; 1] = ["secret-of-a-connection"];

/// Opens, speaks, and closes where the service does not.
pub(super) async fn abuse(base: &str) {
    let address = base.strip_prefix("http://").unwrap();
    let [secret] = SECRETS;
    let head =
        format!("POST /v0/subscriptions HTTP/1.1\r\nHost: service\r\nAuthorization: Basic {secret}\r\n");
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // A frame of headers (RFC 9113 section 6.2) whose block is no HPACK.
    let frame = format!("\0\0\x16\x01\x05\0\0\0\x01{secret}");
    for octets in [
        format!("{secret}\r\n\r\n"),
        format!("GET /{secret} HTTP/9.9\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{secret}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{secret}: a\0b\r\n\r\n"),
        format!("{head}Content-Length: {secret}\r\n\r\n"),
        format!("{head}Content-Length: 100\r\nContent-Type: application/json\r\n\r\n{{\"data\": \"{secret}"),
        format!("{head}Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n{secret}\r\n"),
        format!("{head}X: {}\r\n\r\n", secret.repeat(10_000)),
        format!("\x16\x03\x01\x02\0\x01\0\x01\u{7f}{secret}"),
        format!("{preface}{secret}{secret}"),
        format!("{preface}\0\0\0\x04\0\0\0\0\0{frame}"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The service may have closed before it has heard all.
        let _ = stream.write_all(octets.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains(secret), "an error repeats what was sent");
    }
}

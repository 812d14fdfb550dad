//! HTTP/1.1: caps, and when a connection is used again.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use webpush_channels::transport::{Processed, TransportErrorKind};

use crate::{failure, http1, listen, sending, status};

/// Reads one request of the tests, and answers it.
async fn answer(stream: &mut TcpStream, octets: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\nbody") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "no request");
    }
    // The client may have seen enough of it.
    let _ = stream.write_all(octets).await;
}

#[tokio::test]
async fn headers_beyond_the_cap_are_an_error() {
    let (listener, address) = listen().await;
    let transport = http1().build().unwrap();
    for (octets, fits) in [(8000, true), (100_000, false)] {
        let sending = sending(&transport, address);
        let (mut stream, _) = listener.accept().await.unwrap();
        let value = "v".repeat(octets);
        let head =
            format!("HTTP/1.1 201 Created\r\nx: {value}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        answer(&mut stream, head.as_bytes()).await;
        if fits {
            assert_eq!(status(sending).await, 201);
        } else {
            assert_eq!(failure(sending).await, (TransportErrorKind::Interrupted, Processed::Unknown));
        }
    }
}

#[tokio::test]
async fn a_connection_whose_body_was_not_read_to_its_end_is_closed() {
    let (listener, address) = listen().await;
    let transport = http1().build().unwrap();
    let long = sending(&transport, address);
    let (mut first, _) = listener.accept().await.unwrap();
    answer(&mut first, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1000000\r\n\r\n").await;
    // The client ends the connection when it has read enough.
    while first.write_all(&[b'x'; 4096]).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(long.await.unwrap().unwrap().body().len(), 16 * 1024);

    let next = sending(&transport, address);
    let (mut second, _) = listener.accept().await.unwrap();
    answer(&mut second, b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok").await;
    assert_eq!(status(next).await, 201);
    let same_connection = sending(&transport, address);
    answer(&mut second, b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(status(same_connection).await, 202);
}

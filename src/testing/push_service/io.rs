//! A connection whose first octets were already looked at, and that can be taken back from the
//! protocol that drives it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::testing::lock;

/// How HTTP/2 begins when it is not negotiated (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One connection. Clones share it.
pub(super) struct Io<T>(Arc<Mutex<Inner<T>>>);

struct Inner<T> {
    stream: T,
    /// Octets that were read ahead, and how many of them were handed out.
    ahead: Vec<u8>,
    taken: usize,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Io<T> {
    pub(super) fn new(stream: T) -> Self {
        Self::with_ahead(stream, Vec::new())
    }

    fn with_ahead(stream: T, ahead: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Inner { stream, ahead, taken: 0 })))
    }

    /// Looks at the first octets: is this HTTP/2 with prior knowledge?
    pub(super) async fn sniff(mut stream: T) -> io::Result<(Self, bool)> {
        let mut ahead = Vec::with_capacity(PREFACE.len());
        while ahead.len() < PREFACE.len() && PREFACE.starts_with(&ahead) {
            let mut octets = [0; PREFACE.len()];
            let missing = PREFACE.len() - ahead.len();
            match stream.read(&mut octets[..missing]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => ahead.extend_from_slice(&octets[..count]),
            }
        }
        let is_http2 = ahead == PREFACE;
        Ok((Self::with_ahead(stream, ahead), is_http2))
    }

    /// Writes as the only holder, ends the sending side, and reads until the peer ends too: octets
    /// left unread would make the system reset the connection, and the peer might lose these.
    pub(super) async fn write_last(mut self, octets: &[u8]) -> io::Result<()> {
        self.write_all(octets).await?;
        self.flush().await?;
        self.shutdown().await?;
        let mut rest = [0; 1024];
        while self.read(&mut rest).await? > 0 {}
        Ok(())
    }
}

impl<T> Clone for Io<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Io<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = lock(&self.0);
        let inner = &mut *inner;
        let ahead = &inner.ahead[inner.taken..];
        if ahead.is_empty() {
            return Pin::new(&mut inner.stream).poll_read(cx, buf);
        }
        let count = ahead.len().min(buf.remaining());
        buf.put_slice(&ahead[..count]);
        inner.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Io<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(&self.0).stream).poll_write(cx, octets)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(&self.0).stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        lock(&self.0).stream.is_write_vectored()
    }
}

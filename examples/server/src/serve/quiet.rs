//! A connection on which nothing moves is ended: nobody keeps a place by saying nothing, or by not reading.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may take for its first octet. hyper's own limit begins when it knows the version of HTTP.
const FIRST: Duration = Duration::from_secs(10);
/// How long no octet may move, in either direction, after that. Whoever is alive is heard more often: event streams
/// and pings see to it.
const QUIET: Duration = Duration::from_secs(45);

/// A stream whose operations fail when nothing moved for too long.
#[derive(Debug)]
pub(super) struct Quiet<T> {
    stream: T,
    heard: bool,
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<T> Quiet<T> {
    pub(super) fn new(stream: T) -> Self {
        Self { stream, heard: false, moved: Instant::now(), alarm: Box::pin(sleep(FIRST)) }
    }

    /// The outcome of an operation, or that nothing has moved for too long.
    fn watched<R>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.moved = Instant::now();
            return polled;
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let end = self.moved + if self.heard { QUIET } else { FIRST };
            if end <= self.alarm.deadline() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // It is set again when it rings, and not with every octet.
            self.alarm.as_mut().reset(end);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Quiet<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.heard |= polled.is_ready();
        self.watched(cx, polled)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Quiet<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watched(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watched(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // Nothing waits in these two of a socket, and they move no octet.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_given_up() {
        let ((_client, server), began) = (duplex(64), Instant::now());
        let error = Quiet::new(server).read_u8().await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, FIRST));
    }

    #[tokio::test(start_paused = true)]
    async fn each_octet_gives_more_time() {
        let ((mut client, server), began) = (duplex(64), Instant::now());
        let writes = async {
            client.write_u8(1).await.unwrap();
            for _ in 0..3 {
                tokio::time::sleep(QUIET / 2).await;
                client.write_u8(1).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let mut octets = Vec::new();
        let mut quiet = Quiet::new(server);
        tokio::select! {
            () = writes => unreachable!("it does not end"),
            read = quiet.read_to_end(&mut octets) => assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut),
        }
        assert_eq!((octets.len(), began.elapsed()), (4, 3 * (QUIET / 2) + QUIET));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let ((mut client, server), began) = (duplex(64), Instant::now());
        client.write_u8(1).await.unwrap();
        let mut quiet = Quiet::new(server);
        quiet.read_u8().await.unwrap();
        let error = quiet.write_all(&[0; 65]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, QUIET));
    }
}

//! The socket below hyper, cleartext or TLS, with a meter on the octets that cross it.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::config::{HELD_CAP, HELD_EACH};

/// Counts the octets of one connection, below TLS.
///
/// It is how [`Processed::No`](crate::transport::Processed::No) is proven for a connection that
/// the peer had closed: no octet was written between the request and the end, and after the end
/// none is (H-21). And it tells a slow peer from a dead one: a connection that was silent for a
/// whole total timeout gets no more requests.
#[derive(Debug, Default)]
pub(super) struct Meter {
    written: AtomicU64,
    read: AtomicU64,
    ended: AtomicBool,
    held: AtomicUsize,
    answers: AtomicUsize,
}

/// The state of a [`Meter`] when a request was handed to its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    written: u64,
    read: u64,
}

impl Meter {
    pub(super) fn mark(&self) -> Mark {
        Mark { written: self.written.load(Ordering::Acquire), read: self.read.load(Ordering::Acquire) }
    }

    /// No octet was written since, and none will be.
    pub(super) fn proves_unsent_since(&self, mark: Mark) -> bool {
        self.has_ended() && self.written.load(Ordering::Acquire) == mark.written
    }

    pub(super) fn read_since(&self, mark: Mark) -> bool {
        self.read.load(Ordering::Acquire) != mark.read
    }

    pub(super) fn add_written(&self, octets: usize) {
        self.written.fetch_add(octets as u64, Ordering::Release);
    }

    /// The peer's half of the connection is over.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The head of an answer came.
    pub(super) fn answer(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many came since the last call.
    pub(super) fn take_answers(&self) -> usize {
        self.answers.swap(0, Ordering::Relaxed)
    }

    /// Nothing held yet, of what all answers on the connection may hold together.
    pub(super) const fn hold(&self) -> Held<'_> {
        Held { meter: self, octets: 0 }
    }
}

/// What an answer holds that has begun and not ended.
#[derive(Debug)]
pub(super) struct Held<'a> {
    meter: &'a Meter,
    octets: usize,
}

impl Held<'_> {
    /// So many octets more, if there is room: its own, or some of what its connection has for all.
    pub(super) fn more(&mut self, octets: usize) -> bool {
        let before = self.beyond();
        self.octets += octets;
        let more = self.beyond() - before;
        more == 0 || self.meter.held.fetch_add(more, Ordering::Relaxed) + more <= HELD_CAP
    }

    /// What does not fit into its own room.
    const fn beyond(&self) -> usize {
        self.octets.saturating_sub(HELD_EACH)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.meter.held.fetch_sub(self.beyond(), Ordering::Relaxed);
    }
}

/// A TCP stream with its meter.
#[derive(Debug)]
pub(super) struct Metered {
    tcp: TcpStream,
    meter: Arc<Meter>,
}

impl Metered {
    pub(super) const fn new(tcp: TcpStream, meter: Arc<Meter>) -> Self {
        Self { tcp, meter }
    }

    /// Nothing is written to a peer that has closed: it could not answer, and what is still in
    /// some buffer must not reach it after it was reported as unsent.
    fn check(&self) -> io::Result<()> {
        if self.meter.has_ended() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if let Poll::Ready(result) = &polled {
            let octets = buf.filled().len() - before;
            self.meter.read.fetch_add(octets as u64, Ordering::Release);
            if result.is_err() || (octets == 0 && room > 0) {
                self.meter.end();
            }
        }
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let polled = Pin::new(&mut self.tcp).poll_write(cx, buf);
        if let Poll::Ready(Ok(octets)) = polled {
            self.meter.add_written(octets);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let polled = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(octets)) = polled {
            self.meter.add_written(octets);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// What hyper reads and writes: one type for both schemes.
#[derive(Debug)]
pub(super) enum Io {
    Plain(Metered),
    Tls(Box<TlsStream<Metered>>),
}

macro_rules! either {
    ($io:expr, $stream:ident => $call:expr) => {
        match $io {
            Io::Plain($stream) => $call,
            Io::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut *self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(&mut *self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut *self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_share_the_room_of_their_connection() {
        let meter = Meter::default();
        let (mut one, mut two, mut three) = (meter.hold(), meter.hold(), meter.hold());
        assert!(one.more(HELD_EACH) && one.more(HELD_CAP), "alone it may have all");
        assert!(two.more(HELD_EACH), "each has its own");
        assert!(!two.more(1));
        drop(one);
        assert!(three.more(HELD_EACH + HELD_CAP - 1), "what ended holds nothing");
        assert!(!three.more(1));
        drop((two, three));
        assert_eq!(meter.held.into_inner(), 0);
    }
}

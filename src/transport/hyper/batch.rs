//! One write for all frames of one turn of an HTTP/2 connection.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// When so much is waiting it is written, whether the turn is over or not. Two records of TLS.
const FULL: usize = 32 * 1024;

/// What is read in one turn: the least, so much more for each answer that the last turn brought, and
/// the most.
///
/// An octet of HTTP/2 can become 200 of memory (a field of a head, by its index), which the tasks
/// that wait for the answers give back: they get their turn before there is more. Who answers is
/// read faster: a usual answer takes 100 octets or two.
const LEAST: usize = 128;
const FOR_AN_ANSWER: usize = 256;
const MOST: usize = 1024;

/// A stream that keeps what is written to it until [`Batch::end_turn`] or until there is much.
///
/// `h2` flushes after every DATA frame, so each request would cost a TLS record and a system call
/// of its own although the next ones are ready: a sixth of the CPU time of a busy connection. Here flushing waits for the end of the turn: the
/// task that polls the connection calls [`Batch::end_turn`] after each poll.
#[derive(Debug)]
pub(super) struct Batched<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

/// The other handle of a [`Batched`]. It does not keep the stream open.
#[derive(Debug)]
pub(super) struct Batch<T> {
    shared: Weak<Mutex<Shared<T>>>,
}

#[derive(Debug)]
struct Shared<T> {
    io: T,
    /// Written by HTTP/2; of it `taken` octets are already with the socket.
    waiting: Vec<u8>,
    taken: usize,
    /// It has waited for one turn.
    held: bool,
    /// TLS may still hold octets that it has taken.
    unflushed: bool,
    /// What may still be read in this turn.
    readable: usize,
    error: Option<io::ErrorKind>,
}

impl<T: AsyncWrite + Unpin> Batched<T> {
    pub(super) fn new(io: T) -> (Self, Batch<T>) {
        let shared = Shared {
            io,
            waiting: Vec::new(),
            taken: 0,
            held: false,
            unflushed: false,
            readable: LEAST,
            error: None,
        };
        let shared = Arc::new(Mutex::new(shared));
        let batch = Batch { shared: Arc::downgrade(&shared) };
        (Self { shared }, batch)
    }

    fn lock(&self) -> MutexGuard<'_, Shared<T>> {
        lock(&self.shared)
    }
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: AsyncWrite + Unpin> Batch<T> {
    /// Writes what is waiting, one turn later if it is little: the tasks that are ready to run now
    /// add their frames first. What the socket does not take is written when it does, by the turn
    /// which that wakes; an error is reported by the next read or write. `answers` came since the
    /// last turn.
    pub(super) fn end_turn(&self, cx: &mut Context<'_>, answers: usize) {
        let Some(shared) = self.shared.upgrade() else { return };
        let mut shared = lock(&shared);
        shared.readable = LEAST.saturating_add(answers.saturating_mul(FOR_AN_ANSWER)).min(MOST);
        let little = !shared.waiting.is_empty() && shared.waiting.len() < FULL && !shared.unflushed;
        shared.held = little && !shared.held;
        if shared.held {
            cx.waker().wake_by_ref();
        } else if let Poll::Ready(Err(error)) = shared.poll_write_out(cx) {
            shared.error = Some(error.kind());
            shared.waiting = Vec::new();
            cx.waker().wake_by_ref();
        }
    }
}

impl<T: AsyncWrite + Unpin> Shared<T> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.taken < self.waiting.len() {
            self.unflushed = true;
            let left = &self.waiting[self.taken..];
            match ready!(Pin::new(&mut self.io).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.taken += taken,
            }
        }
        self.waiting.clear();
        self.taken = 0;
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn check(&self) -> io::Result<()> {
        self.error.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Batched<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        shared.check()?;
        if shared.readable == 0 {
            // In the next turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let most = shared.readable.min(buf.remaining());
        let mut some = ReadBuf::new(buf.initialize_unfilled_to(most));
        ready!(Pin::new(&mut shared.io).poll_read(cx, &mut some))?;
        let octets = some.filled().len();
        shared.readable -= octets;
        buf.advance(octets);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Batched<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.lock();
        shared.check()?;
        if shared.waiting.len() >= FULL {
            ready!(shared.poll_write_out(cx))?;
        }
        let before = shared.waiting.len();
        for buf in bufs {
            shared.waiting.extend_from_slice(buf);
        }
        Poll::Ready(Ok(shared.waiting.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// At the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.lock().check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        ready!(shared.poll_write_out(cx))?;
        Pin::new(&mut shared.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// Takes what it is told to take, call by call, and is pending when told nothing.
    #[derive(Debug, Default)]
    struct Socket {
        takes: VecDeque<usize>,
        flushes: VecDeque<()>,
        taken: Vec<u8>,
        writes: usize,
    }

    impl AsyncWrite for Socket {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let Some(take) = self.takes.pop_front() else { return Poll::Pending };
            self.writes += 1;
            self.taken.extend_from_slice(&buf[..take.min(buf.len())]);
            Poll::Ready(Ok(take.min(buf.len())))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes.pop_front().map_or(Poll::Pending, |()| Poll::Ready(Ok(())))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Has more than anybody reads.
    impl AsyncRead for Socket {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buf.put_slice(&vec![0; buf.remaining()]);
            Poll::Ready(Ok(()))
        }
    }

    /// What can be read in one turn.
    fn read_out(stream: &mut Batched<Socket>) -> usize {
        let (mut octets, mut all) = ([0; 100], 0);
        loop {
            let mut buf = ReadBuf::new(&mut octets);
            match Pin::new(&mut *stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
                Poll::Ready(Ok(())) => all += buf.filled().len(),
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => return all,
            }
        }
    }

    fn write(stream: &mut Batched<Socket>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), octets)
    }

    fn end_turns(batch: &Batch<Socket>, turns: usize) {
        for _ in 0..turns {
            batch.end_turn(&mut Context::from_waker(Waker::noop()), 0);
        }
    }

    #[test]
    fn the_frames_of_two_turns_are_one_write() {
        let (mut stream, batch) = Batched::new(Socket::default());
        stream.lock().io.takes.push_back(usize::MAX);
        for turn in [&b"one "[..], b"two"] {
            assert!(write(&mut stream, turn).is_ready());
            assert_eq!(stream.lock().io.writes, 0);
            end_turns(&batch, 1);
        }
        let shared = stream.lock();
        assert_eq!((shared.io.writes, &shared.io.taken[..]), (1, &b"one two"[..]));
    }

    #[test]
    fn a_turn_reads_as_much_as_the_last_one_answered() {
        let (mut stream, batch) = Batched::new(Socket::default());
        assert_eq!(read_out(&mut stream), LEAST);
        for (answers, octets) in
            [(0, LEAST), (1, LEAST + FOR_AN_ANSWER), (100, MOST), (usize::MAX, MOST), (0, LEAST)]
        {
            batch.end_turn(&mut Context::from_waker(Waker::noop()), answers);
            assert_eq!(read_out(&mut stream), octets, "after {answers} answers");
        }
    }

    #[test]
    fn what_the_socket_does_not_take_is_written_later_and_flushed() {
        let (mut stream, batch) = Batched::new(Socket::default());
        stream.lock().io.takes.push_back(2);
        assert!(write(&mut stream, b"frames").is_ready());
        end_turns(&batch, 2);
        assert_eq!(stream.lock().io.taken, b"fr");
        stream.lock().io.takes.push_back(4);
        end_turns(&batch, 1);
        assert_eq!(stream.lock().io.taken, b"frames");
        // TLS has taken all, but the socket below it has not.
        assert!(stream.lock().unflushed);
        stream.lock().io.flushes.push_back(());
        end_turns(&batch, 1);
        let shared = stream.lock();
        assert!(!shared.unflushed && shared.io.flushes.is_empty());
    }

    #[test]
    fn a_full_batch_that_the_socket_does_not_take_holds_the_writer_back() {
        let (mut stream, _batch) = Batched::new(Socket::default());
        assert!(write(&mut stream, &vec![0; FULL]).is_ready());
        assert!(write(&mut stream, b"more").is_pending());
    }

    #[test]
    fn an_error_of_the_socket_is_the_writers() {
        let (mut stream, batch) = Batched::new(Socket::default());
        stream.lock().io.takes.push_back(0);
        assert!(write(&mut stream, b"frames").is_ready());
        end_turns(&batch, 2);
        let Poll::Ready(Err(error)) = write(&mut stream, b"more") else { panic!("the stream is broken") };
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}

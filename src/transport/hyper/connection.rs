//! One connection: the handshake, the task that drives it, one exchange on it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::batch::{Batch, Batched};
use super::config::HEADER_CAP;
use super::connector::Opened;
use super::error::{ConnectError, handshake};
use super::io::{Io, Meter};

pub(super) type Body = Full<Bytes>;

/// The sending half of a connection.
#[derive(Debug)]
pub(super) enum Sender {
    /// One exchange at a time.
    Http1(http1::SendRequest<Body>),
    /// A handle of many.
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }
}

/// A connection that is ready for requests.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) sender: Sender,
    pub(super) meter: Arc<Meter>,
    pub(super) driver: Driver,
}

/// The half that has to be polled.
#[derive(Debug)]
pub(super) enum Driver {
    Http1(Box<http1::Connection<TokioIo<Io>, Body>>),
    Http2(Box<http2::Connection<TokioIo<Batched<Io>>, Body, Spawner>>, Arc<Settings>),
}

impl Driver {
    /// Polls the connection until it is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        match self {
            Self::Http1(connection) => Pin::new(connection).poll(cx),
            Self::Http2(connection, settings) => {
                settings.driver.register(cx.waker());
                Pin::new(connection).poll(cx)
            }
        }
    }

    /// The task that reads and writes the frames of HTTP/2; it outlives the driver while requests
    /// are in flight.
    pub(super) fn frames(&self) -> Option<JoinHandle<()>> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(_, settings) => settings.frames().take(),
        }
    }

    /// How many requests may be in flight, by the peer's word. Zero: it has not spoken yet.
    pub(super) fn streams(&self) -> usize {
        match self {
            Self::Http1(_) => 1,
            Self::Http2(connection, settings) => {
                let streams = connection.current_max_send_streams();
                settings.awaited.store(streams == 0, Ordering::Release);
                streams
            }
        }
    }
}

/// Speaks HTTP on an open stream until it is known how many requests it takes.
pub(super) async fn establish(opened: Opened) -> Result<Established, ConnectError> {
    let Opened { io, meter, http2 } = opened;
    if !http2 {
        let io = TokioIo::new(io);
        let (sender, connection) =
            http1::Builder::new().max_buf_size(HEADER_CAP as usize).handshake(io).await.map_err(handshake)?;
        let driver = Driver::Http1(Box::new(connection));
        return Ok(Established { sender: Sender::Http1(sender), meter, driver });
    }
    let (io, batch) = Batched::new(io);
    let io = TokioIo::new(io);
    let settings = Arc::new(Settings::new(batch, Arc::clone(&meter)));
    let (sender, connection) = http2_builder(&settings).handshake(io).await.map_err(handshake)?;
    let mut driver = Driver::Http2(Box::new(connection), settings);
    poll_fn(|cx| match driver.poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(handshake(error))),
        Poll::Ready(Ok(())) => {
            Poll::Ready(Err(ConnectError::new(io::Error::from(io::ErrorKind::UnexpectedEof))))
        }
        Poll::Pending if driver.streams() == 0 => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
    })
    .await?;
    Ok(Established { sender: Sender::Http2(sender), meter, driver })
}

fn http2_builder(settings: &Arc<Settings>) -> http2::Builder<Spawner> {
    let mut builder = http2::Builder::new(Spawner { settings: Arc::clone(settings) });
    builder
        // No stream before the peer's SETTINGS: hyper would assume 100, and h2 would queue what
        // exceeds the real limit where nobody sees it.
        .initial_max_send_streams(0)
        .max_header_list_size(HEADER_CAP)
        // A body is read up to 16 KiB. These windows are what a hostile peer can make us hold before it is
        // read (S-30). HTTP/2 begins with 64 KiB for a connection; with less to return to, h2 keeps fewer
        // frames of a few octets.
        .initial_stream_window_size(16 * 1024)
        .initial_connection_window_size(48 * 1024);
    builder
}

/// Tells the driver that the peer's SETTINGS may have come: hyper reads frames in a task of its
/// own and keeps the news to itself.
#[derive(Debug)]
pub(super) struct Settings {
    batch: Batch<Io>,
    meter: Arc<Meter>,
    driver: AtomicWaker,
    awaited: AtomicBool,
    started: AtomicBool,
    frames: Mutex<Option<JoinHandle<()>>>,
}

impl Settings {
    fn new(batch: Batch<Io>, meter: Arc<Meter>) -> Self {
        Self {
            batch,
            meter,
            driver: AtomicWaker::new(),
            awaited: AtomicBool::new(false),
            started: AtomicBool::new(false),
            frames: Mutex::new(None),
        }
    }

    fn frames(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spawns hyper's tasks. The first one reads and writes the frames.
#[derive(Clone, Debug)]
pub(super) struct Spawner {
    settings: Arc<Settings>,
}

impl<F> Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        if self.settings.started.swap(true, Ordering::AcqRel) {
            tokio::spawn(future);
            return;
        }
        let settings = Arc::clone(&self.settings);
        let task = tokio::spawn(async move {
            let mut frames = pin!(future);
            poll_fn(|cx| {
                let polled = frames.as_mut().poll(cx);
                settings.batch.end_turn(cx, settings.meter.take_answers());
                if settings.awaited.load(Ordering::Acquire) {
                    settings.driver.wake();
                }
                polled
            })
            .await;
        });
        *self.settings.frames() = Some(task);
    }
}

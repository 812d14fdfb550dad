//! HTTP/1.1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use super::checks::Body;
use super::io::Io;
use super::reply::{Damage, READ_LIMIT, Reply};
use super::service::Service;

#[cfg(feature = "testing-browser")]
use super::service::Rules;

/// How a cut announces itself before it comes.
pub(super) const CUT_LENGTH: u64 = 100;
const CHUNK: usize = 16 * 1024;

pub(super) async fn serve<T>(service: Arc<Service>, io: Io<T>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    #[cfg(feature = "testing-browser")]
    if service.settings.rules == Rules::Mozilla {
        return super::browser::serve(service, io).await;
    }
    let answer = service_fn(|request| answer(Arc::clone(&service), request));
    // A deadline for headers would make a paused clock end idle connections.
    let connection =
        http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(io), answer);
    // Its error says that the client went away, or that we cut the connection on purpose.
    drop(connection.await);
}

/// An error ends the connection without a status.
pub(super) async fn answer(
    service: Arc<Service>,
    request: Request<Incoming>,
) -> Result<Response<Payload>, io::Error> {
    let (head, incoming) = request.into_parts();
    let mut flight = service.arrive(&head);
    if flight.answer.early().is_some() {
        flight.end();
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let body = read(incoming).await;
    match flight.reply(head, body).await {
        Reply::Whole(response) => Ok(response.map(Payload::Whole)),
        Reply::Last(mut response) => {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Ok(response.map(Payload::Whole))
        }
        Reply::Damaged(head, damage) => Ok(damaged(head, damage)),
        Reply::Fail(_) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

async fn read(mut incoming: Incoming) -> Result<Body, ()> {
    let mut body = Body::default();
    while let Some(frame) = incoming.frame().await {
        if let Ok(data) = frame.map_err(drop)?.into_data() {
            body.push(&data);
        }
        if body.length > READ_LIMIT {
            break;
        }
    }
    Ok(body)
}

fn damaged(mut head: Response<()>, damage: Damage) -> Response<Payload> {
    let (length, payload) = match damage {
        Damage::Cut => (CUT_LENGTH, Payload::Cut { step: 0 }),
        Damage::Huge(octets) => (octets, Payload::Huge { left: octets }),
        Damage::Trickle(every, octets) => {
            (octets, Payload::Trickle { every, left: octets, timer: Box::pin(sleep(every)) })
        }
    };
    head.headers_mut().insert(CONTENT_LENGTH, length.into());
    head.map(|()| payload)
}

/// A response's body.
pub(super) enum Payload {
    Whole(Bytes),
    Cut { step: u8 },
    Huge { left: u64 },
    Trickle { every: Duration, left: u64, timer: Pin<Box<Sleep>> },
}

impl HttpBody for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let data = match self.get_mut() {
            Self::Whole(octets) if octets.is_empty() => return Poll::Ready(None),
            Self::Whole(octets) => std::mem::take(octets),
            Self::Cut { step } => return poll_cut(step, cx),
            Self::Huge { left: 0 } | Self::Trickle { left: 0, .. } => return Poll::Ready(None),
            Self::Huge { left } => chunk(left),
            Self::Trickle { every, left, timer } => {
                ready!(timer.as_mut().poll(cx));
                timer.set(sleep(*every));
                *left -= 1;
                Bytes::from_static(b"x")
            }
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(octets) if octets.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(octets) => SizeHint::with_exact(octets.len() as u64),
            _ => SizeHint::new(),
        }
    }
}

/// Some data, one poll in which hyper writes it out, then the end of the connection.
fn poll_cut(step: &mut u8, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    *step += 1;
    match *step {
        1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"half a body"))))),
        2 => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        _ => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
    }
}

/// The next piece of a long body.
pub(super) fn chunk(left: &mut u64) -> Bytes {
    static FILLER: [u8; CHUNK] = [b'x'; CHUNK];
    let length = usize::try_from(*left).unwrap_or(CHUNK).min(CHUNK);
    *left -= length as u64;
    Bytes::from_static(&FILLER[..length])
}

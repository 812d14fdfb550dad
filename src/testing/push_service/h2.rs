//! HTTP/2, on the `h2` crate itself: hyper's server cannot refuse a stream.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::header::CONTENT_LENGTH;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::checks::Body;
use super::flight::Flight;
use super::h1::{CUT_LENGTH, chunk};
use super::io::Io;
use super::reply::{Damage, Failure, READ_LIMIT, Reply};
use super::service::Service;

/// Large enough that flow control never slows a sender of small messages.
const WINDOW: u32 = 1 << 24;
const MAX_HEADERS: u32 = 32 * 1024;

/// How a stream ends its whole connection.
enum End {
    /// Now.
    Cut,
    /// Once everything written so far is sent.
    CutAfterFlush,
    /// With GOAWAY, once its streams have ended.
    Graceful,
    /// With GOAWAY, naming the stream that was not processed.
    Goaway(u32),
}

pub(super) async fn serve<T>(service: Arc<Service>, io: Io<T>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = Builder::new()
        .max_concurrent_streams(service.settings.max_streams)
        .max_header_list_size(MAX_HEADERS)
        .initial_connection_window_size(WINDOW)
        .handshake(io.clone());
    let Ok(mut connection) = handshake.await else { return };
    let (ends, mut ended) = mpsc::unbounded_channel();
    // The newest stream that something was decided about.
    let judged = Arc::new(AtomicU32::new(0));
    let mut streams = JoinSet::new();
    let end = loop {
        tokio::select! {
            biased;
            Some(end) = ended.recv() => match end {
                End::Graceful => connection.graceful_shutdown(),
                end => break end,
            },
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let (service, judged) = (Arc::clone(&service), Arc::clone(&judged));
                    streams.spawn(stream(service, request, respond, ends.clone(), judged));
                }
                _ => return,
            },
            Some(_) = streams.join_next() => {}
        }
    };
    match end {
        End::Cut | End::Graceful => {}
        End::CutAfterFlush => flush(&mut connection).await,
        End::Goaway(stream) => {
            // From here on nothing is judged any more.
            streams.shutdown().await;
            drop(connection);
            let last = stream.saturating_sub(2).max(judged.load(Ordering::Relaxed));
            // The peer may have closed first; then there is nobody to tell.
            drop(io.write_last(&goaway(last)).await);
        }
    }
}

/// One poll of the connection writes what its streams have queued.
async fn flush<T: AsyncRead + AsyncWrite + Unpin>(connection: &mut Connection<T, Bytes>) {
    poll_fn(|cx| {
        while let Poll::Ready(Some(Ok(_))) = connection.poll_accept(cx) {}
        Poll::Ready(())
    })
    .await;
}

/// A GOAWAY frame (RFC 9113 section 6.8) that excludes the streams after the last one. h2 itself
/// would always include the newest one.
fn goaway(last: u32) -> [u8; 17] {
    let mut frame = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    frame[9..13].copy_from_slice(&last.to_be_bytes());
    frame
}

async fn stream(
    service: Arc<Service>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    ends: mpsc::UnboundedSender<End>,
    judged: Arc<AtomicU32>,
) {
    let number = respond.stream_id().as_u32();
    let (head, mut incoming) = request.into_parts();
    let mut flight = service.arrive(&head);
    if let Some(failure) = flight.answer.early() {
        return fail(flight, failure, &mut respond, &ends).await;
    }
    let reply = tokio::select! {
        biased;
        reply = async {
            let body = read(&mut incoming).await;
            let reply = flight.reply(head, body).await;
            if !matches!(reply, Reply::Fail(Failure::Goaway)) {
                judged.fetch_max(number, Ordering::Relaxed);
            }
            reply
        } => reply,
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    // Its error says that the client went away, which nobody asks about after the verdict.
    match reply {
        Reply::Whole(response) => drop(send_whole(response, &mut respond)),
        Reply::Last(response) => {
            drop(send_whole(response, &mut respond));
            // Another stream may have ended the connection already.
            drop(ends.send(End::Graceful));
        }
        Reply::Damaged(head, damage) => drop(send_damaged(head, damage, &mut respond, &ends).await),
        Reply::Fail(failure) => fail(flight, failure, &mut respond, &ends).await,
    }
}

async fn fail(
    mut flight: Flight,
    failure: Failure,
    respond: &mut SendResponse<Bytes>,
    ends: &mpsc::UnboundedSender<End>,
) {
    flight.end();
    let end = match failure {
        Failure::Refuse => return respond.send_reset(Reason::REFUSED_STREAM),
        Failure::Reset => return respond.send_reset(Reason::INTERNAL_ERROR),
        Failure::Goaway => End::Goaway(respond.stream_id().as_u32()),
        Failure::Cut => End::Cut,
    };
    // Another stream may have ended the connection already.
    drop(ends.send(end));
    // Dropped, the stream would be reset, and that could arrive before the end of the connection.
    pending::<()>().await;
}

async fn read(incoming: &mut RecvStream) -> Result<Body, ()> {
    let mut body = Body::default();
    while let Some(data) = incoming.data().await {
        let data = data.map_err(drop)?;
        body.push(&data);
        incoming.flow_control().release_capacity(data.len()).map_err(drop)?;
        if body.length > READ_LIMIT {
            break;
        }
    }
    Ok(body)
}

fn send_whole(response: Response<Bytes>, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let (head, body) = response.into_parts();
    let head = Response::from_parts(head, ());
    if body.is_empty() {
        return respond.send_response(head, true).map(drop);
    }
    respond.send_response(head, false)?.send_data(body, true)
}

async fn send_damaged(
    mut head: Response<()>,
    damage: Damage,
    respond: &mut SendResponse<Bytes>,
    ends: &mpsc::UnboundedSender<End>,
) -> Result<(), h2::Error> {
    let length = match damage {
        Damage::Cut => CUT_LENGTH,
        Damage::Huge(octets) | Damage::Trickle(_, octets) => octets,
    };
    head.headers_mut().insert(CONTENT_LENGTH, length.into());
    let mut body = respond.send_response(head, length == 0)?;
    match damage {
        Damage::Cut => {
            body.send_data(Bytes::from_static(b"half a body"), false)?;
            drop(ends.send(End::CutAfterFlush));
            // Dropped, it would be reset, and what is queued for it forgotten.
            pending().await
        }
        Damage::Huge(octets) => send_huge(&mut body, octets).await,
        Damage::Trickle(every, octets) => {
            for left in (0..octets).rev() {
                tokio::select! {
                    () = sleep(every) => body.send_data(Bytes::from_static(b"x"), left == 0)?,
                    _ = poll_fn(|cx| body.poll_reset(cx)) => return Ok(()),
                }
            }
            Ok(())
        }
    }
}

async fn send_huge(body: &mut SendStream<Bytes>, mut left: u64) -> Result<(), h2::Error> {
    while left > 0 {
        let data = chunk(&mut left);
        body.reserve_capacity(data.len());
        while body.capacity() < data.len() {
            match poll_fn(|cx| body.poll_capacity(cx)).await {
                Some(Ok(_)) => {}
                _ => return Ok(()),
            }
        }
        body.send_data(data, left == 0)?;
    }
    Ok(())
}

//! A small, slow HTTP/1.1 transport that keeps the contract, and does not where a flaw is named.

use std::io;
use std::io::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use webpush_channels::transport::{Processed, Transport, TransportError, TransportErrorKind};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    None,
    ClaimsNoAlways,
    ClaimsUnknownAlways,
    DecodesEscapes,
    Decompresses,
    DropsDotSegments,
    DropsResponseHeaders,
    FailsOnCutBody,
    FailsOnErrorStatus,
    FailsOnSecondAtATime,
    FailsOnSlowBody,
    FollowsRedirects,
    GoesOnWhenDropped,
    GuessesAnOrigin,
    KeepsWholeBody,
    KeepsNoBody,
    LosesSecondHeader,
    NeverTimesOut,
    OmitsZeroLength,
    RepeatsWhenClosed,
    ReturnsInterim,
    SendsChunked,
    SendsExpect,
    TellsTheUri,
    TrustsLength,
    UsesProxy,
}

#[derive(Clone, Debug)]
pub(crate) struct Naive(pub(crate) Flaw);

type Sent = Result<Response<Bytes>, TransportError>;

#[async_trait]
impl Transport for Naive {
    async fn send(&self, request: Request<Bytes>) -> Sent {
        static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

        let Self(flaw) = *self;
        let uri = request.uri().to_string();
        let sent = match flaw {
            Flaw::FailsOnSecondAtATime => {
                let others = IN_FLIGHT.fetch_add(1, Ordering::SeqCst);
                let sent = exchange(flaw, request).await;
                IN_FLIGHT.fetch_sub(1, Ordering::SeqCst);
                if others > 0 { Err(TransportError::new(TransportErrorKind::Busy)) } else { sent }
            }
            Flaw::GoesOnWhenDropped => tokio::spawn(exchange(flaw, request)).await.unwrap(),
            _ => exchange(flaw, request).await,
        };
        sent.map_err(|error| match flaw {
            Flaw::ClaimsNoAlways => error.with_processed(Processed::No),
            Flaw::ClaimsUnknownAlways => error.with_processed(Processed::Unknown),
            Flaw::TellsTheUri => error.with_source(uri),
            _ => error,
        })
    }
}

async fn exchange(flaw: Flaw, request: Request<Bytes>) -> Sent {
    let limit = if flaw == Flaw::NeverTimesOut { Duration::from_secs(60) } else { Duration::from_secs(1) };
    let authority = match request.uri().authority() {
        Some(authority) => authority.to_string(),
        None if flaw == Flaw::GuessesAnOrigin => "127.0.0.1:9".to_owned(),
        None => return Err(TransportError::new(TransportErrorKind::InvalidRequest)),
    };
    let proxy = std::env::var("HTTP_PROXY").ok().filter(|_| flaw == Flaw::UsesProxy);
    let address = proxy.as_deref().and_then(|url| url.strip_prefix("http://")).unwrap_or(&authority);
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|error| TransportError::new(TransportErrorKind::Connect).with_source(error))?;
    stream.write_all(&octets(flaw, &authority, &request)).await.map_err(interrupted)?;
    let mut unread = Vec::new();
    let head = match timeout(limit, read_head(flaw, &mut stream, &mut unread)).await {
        Ok(Ok(head)) => head,
        Ok(Err(_)) if flaw == Flaw::RepeatsWhenClosed => {
            return Box::pin(exchange(Flaw::None, request)).await;
        }
        Ok(Err(error)) => return Err(interrupted(error)),
        Err(_) => return Err(TransportError::new(TransportErrorKind::Timeout)),
    };
    let body = timeout(limit, read_body(flaw, &head, &mut stream, &mut unread)).await;
    if body.is_err() && flaw == Flaw::FailsOnSlowBody {
        return Err(TransportError::new(TransportErrorKind::Timeout));
    }
    body.unwrap_or(Ok(())).map_err(interrupted)?;
    respond(flaw, &head, unread).await
}

async fn respond(flaw: Flaw, head: &str, mut body: Vec<u8>) -> Sent {
    match flaw {
        Flaw::KeepsWholeBody => {}
        Flaw::KeepsNoBody => body.clear(),
        Flaw::Decompresses if head.contains("gzip") => body = b"hello".to_vec(),
        _ => body.truncate(16 * 1024),
    }
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = head[9..12].parse().unwrap();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        let name: http::HeaderName = name.parse().unwrap();
        if flaw != Flaw::DropsResponseHeaders {
            response.headers_mut().append(name, value.parse().unwrap());
        }
    }
    if flaw == Flaw::FailsOnErrorStatus && response.status().as_u16() >= 400 {
        return Err(TransportError::new(TransportErrorKind::Interrupted));
    }
    if flaw == Flaw::FollowsRedirects
        && let Some(location) = response.headers().get("location")
    {
        let next = Request::get(location.to_str().unwrap()).body(Bytes::new()).unwrap();
        return Box::pin(exchange(flaw, next)).await;
    }
    Ok(response)
}

fn octets(flaw: Flaw, authority: &str, request: &Request<Bytes>) -> Vec<u8> {
    let mut path = request.uri().path_and_query().unwrap().to_string();
    if flaw == Flaw::DecodesEscapes {
        path = path.replace("%2b", "+");
    }
    if flaw == Flaw::DropsDotSegments {
        path = path.replace("/push/..", "").replace("/./", "/");
    }
    let mut head = format!("{} {path} HTTP/1.1\r\nhost: {authority}\r\n", request.method());
    for name in request.headers().keys() {
        let values = request.headers().get_all(name).iter();
        for value in values.take(if flaw == Flaw::LosesSecondHeader { 1 } else { 9 }) {
            head.extend([name.as_str(), ": ", value.to_str().unwrap(), "\r\n"]);
        }
    }
    let length = request.body().len();
    match flaw {
        Flaw::SendsChunked => head += "transfer-encoding: chunked\r\n",
        Flaw::OmitsZeroLength if length == 0 => {}
        _ => head.extend(["content-length: ", &length.to_string(), "\r\n"]),
    }
    if flaw == Flaw::SendsExpect {
        head += "expect: 100-continue\r\n";
    }
    let mut octets = format!("{head}\r\n").into_bytes();
    match flaw {
        Flaw::SendsChunked => {
            octets.extend(format!("{length:x}\r\n").into_bytes());
            octets.extend_from_slice(request.body());
            octets.extend_from_slice(b"\r\n0\r\n\r\n");
        }
        _ => octets.extend_from_slice(request.body()),
    }
    octets
}

async fn read_head(flaw: Flaw, stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(unread.drain(..end + 4).collect()).unwrap();
            if !head[9..].starts_with('1') || flaw == Flaw::ReturnsInterim {
                return Ok(head);
            }
            continue;
        }
        if stream.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Reads what follows the head into `unread`, up to its length or the end.
async fn read_body(flaw: Flaw, head: &str, stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<()> {
    let named = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = named.map_or(usize::MAX, |digits| digits.parse().unwrap());
    let cap = if flaw == Flaw::KeepsWholeBody { usize::MAX } else { 16 * 1024 };
    if flaw == Flaw::TrustsLength && named.is_some() {
        unread.try_reserve_exact(length).map_err(Error::other)?;
    }
    while unread.len() < length.min(cap) {
        if stream.read_buf(unread).await? == 0 {
            let cut = named.is_some() && flaw == Flaw::FailsOnCutBody;
            return if cut { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) };
        }
    }
    Ok(())
}

fn interrupted(error: Error) -> TransportError {
    TransportError::new(TransportErrorKind::Interrupted).with_source(error)
}

//! What went wrong, and whether the peer can have acted on the request (H-21).

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::io::{Mark, Meter};
use crate::transport::{Processed, TransportError, TransportErrorKind};

/// Why no connection could be opened. Every request that waited for it gets a copy.
#[derive(Clone, Debug)]
pub(super) struct ConnectError {
    kind: TransportErrorKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ConnectError {
    pub(super) fn new(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: TransportErrorKind::Connect, source: Some(Arc::from(source.into())) }
    }

    pub(super) const fn address_refused() -> Self {
        Self { kind: TransportErrorKind::AddressRefused, source: None }
    }
}

impl From<ConnectError> for TransportError {
    fn from(error: ConnectError) -> Self {
        let shared = Self::new(error.kind);
        match error.source {
            Some(source) => shared.with_source(Shared(source)),
            None => shared,
        }
    }
}

/// A cause that several errors have in common.
#[derive(Debug)]
struct Shared(Arc<dyn StdError + Send + Sync>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// What HTTP/2 said, without the peer's own words: a GOAWAY's debug data may repeat the path or
/// a header (S-12).
#[derive(Debug, thiserror::Error)]
enum Http2Error {
    #[error("the peer reset the stream: {0}")]
    ResetByPeer(h2::Reason),
    #[error("the stream was reset for an error of the peer: {0}")]
    Reset(h2::Reason),
    #[error("the peer closed the connection before it began this request: {0}")]
    GoAwayByPeer(h2::Reason),
    #[error("the connection was closed for an error of the peer: {0}")]
    GoAway(h2::Reason),
    #[error("the connection broke: {0}")]
    Io(std::io::ErrorKind),
    #[error("the request is not one that HTTP/2 can carry")]
    Request,
}

impl Http2Error {
    fn of(error: &h2::Error) -> Self {
        let reason = error.reason().unwrap_or(h2::Reason::INTERNAL_ERROR);
        match (error.is_reset(), error.is_go_away(), error.is_remote()) {
            (true, _, true) => Self::ResetByPeer(reason),
            (true, _, false) => Self::Reset(reason),
            (_, true, true) => Self::GoAwayByPeer(reason),
            (_, true, false) => Self::GoAway(reason),
            _ => match error.get_io() {
                Some(io) => Self::Io(io.kind()),
                None if error.reason().is_some() => Self::Reset(reason),
                None => Self::Request,
            },
        }
    }

    /// Does it prove that the peer did not act?
    ///
    /// `h2` gives a stream the peer's GOAWAY as its error only when the stream's id is above the
    /// GOAWAY's last one (RFC 9113 6.8) or was not sent at all; the others run on, and end with
    /// an I/O error if the connection goes first.
    fn processed(&self) -> Processed {
        match self {
            Self::ResetByPeer(h2::Reason::REFUSED_STREAM) | Self::GoAwayByPeer(_) | Self::Request => {
                Processed::No
            }
            _ => Processed::Unknown,
        }
    }
}

/// The error of a request that hyper had accepted and that got no status.
pub(super) fn interrupted(error: hyper::Error, meter: &Meter, mark: Mark) -> TransportError {
    let http2 = find_h2(&error).map(Http2Error::of);
    let processed = match &http2 {
        _ if meter.proves_unsent_since(mark) => Processed::No,
        Some(http2) => http2.processed(),
        None if error.is_canceled() => Processed::No,
        None => Processed::Unknown,
    };
    let kind = match http2 {
        Some(Http2Error::Request) => TransportErrorKind::InvalidRequest,
        _ => TransportErrorKind::Interrupted,
    };
    let error = match http2 {
        Some(http2) => TransportError::new(kind).with_source(http2),
        None => TransportError::new(kind).with_source(error),
    };
    error.with_processed(processed)
}

/// What hyper says while a connection is set up.
pub(super) fn handshake(error: hyper::Error) -> ConnectError {
    match find_h2(&error).map(Http2Error::of) {
        Some(http2) => ConnectError::new(http2),
        None => ConnectError::new(error),
    }
}

fn find_h2(error: &hyper::Error) -> Option<&h2::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processed(error: &h2::Error) -> Processed {
        Http2Error::of(error).processed()
    }

    #[test]
    fn what_http2_proves_depends_on_who_said_it() {
        // Only frames carry who said it; tests over loopback make those. A bare reason is ours.
        assert_eq!(processed(&h2::Reason::REFUSED_STREAM.into()), Processed::Unknown);
        assert_eq!(processed(&h2::Reason::CANCEL.into()), Processed::Unknown);
        for (error, expected) in [
            (Http2Error::ResetByPeer(h2::Reason::REFUSED_STREAM), Processed::No),
            (Http2Error::ResetByPeer(h2::Reason::CANCEL), Processed::Unknown),
            (Http2Error::Reset(h2::Reason::REFUSED_STREAM), Processed::Unknown),
            (Http2Error::GoAwayByPeer(h2::Reason::NO_ERROR), Processed::No),
            (Http2Error::GoAway(h2::Reason::PROTOCOL_ERROR), Processed::Unknown),
            (Http2Error::Io(std::io::ErrorKind::BrokenPipe), Processed::Unknown),
            (Http2Error::Request, Processed::No),
        ] {
            assert_eq!(error.processed(), expected, "{error}");
        }
    }

    /// An error of hyper that proves nothing by itself.
    async fn broken() -> hyper::Error {
        let (client, server) = tokio::io::duplex(1024);
        let io = hyper_util::rt::TokioIo::new(client);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        let request = http::Request::new(http_body_util::Full::<bytes::Bytes>::default());
        let sent = sender.send_request(request);
        let peer = async {
            let mut server = server;
            tokio::io::AsyncReadExt::read_u8(&mut server).await.unwrap();
        };
        let (sent, _, ()) = tokio::join!(sent, connection, peer);
        sent.unwrap_err()
    }

    #[tokio::test]
    async fn a_request_of_which_no_octet_was_written_before_the_end_was_not_processed() {
        let meter = Meter::default();
        let mark = meter.mark();
        let processed = async |mark| interrupted(broken().await, &meter, mark).processed();
        assert_eq!(processed(mark).await, Processed::Unknown, "it may still be written");
        meter.end();
        assert_eq!(processed(mark).await, Processed::No);
        meter.add_written(1);
        assert_eq!(processed(mark).await, Processed::Unknown);
    }
}

//! What went wrong, and whether the peer can have acted on the request (H-21).

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::io::{Mark, Meter};
use crate::transport::http2::Http2Error;
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

/// The error of a request that hyper had accepted and that got no status.
pub(super) fn interrupted(error: hyper::Error, meter: &Meter, mark: Mark) -> TransportError {
    let http2 = Http2Error::find(&error);
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
    match Http2Error::find(&error) {
        Some(http2) => ConnectError::new(http2),
        None => ConnectError::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! The seam to HTTP: requests out, responses in, no interpretation.
//!
//! | transport | feature | what it is |
//! |---|---|---|
//! | `HyperTransport` | `http-client` | pooled HTTP/2 and HTTP/1.1 over rustls, with the address guard |
//! | `ReqwestTransport` | `reqwest` | any client of the crate `reqwest` |
//! | `TowerTransport` | `tower` | any `tower::Service` over `http` |
//! | `RateLimited` | `limit` | another transport, no faster than a rate, for each origin and overall |
//! | `Recording` | `channel` | another transport, and a bounded log of what went through it |
//! | `testing::StubTransport` | `testing` | scripted answers, no sockets |

#[cfg(any(feature = "reqwest", feature = "tower"))]
mod cause;
#[cfg(any(feature = "reqwest", feature = "tower"))]
mod guard;
#[cfg(any(feature = "http-client", feature = "reqwest", feature = "tower"))]
mod http2;
#[cfg(feature = "http-client")]
mod hyper;
#[cfg(feature = "limit")]
mod limit;
#[cfg(any(feature = "http-client", feature = "reqwest", feature = "tower"))]
mod lookup;
#[cfg(feature = "channel")]
mod recording;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "channel")]
mod target;
#[cfg(feature = "tower")]
mod tower;
#[cfg(any(feature = "http-client", feature = "reqwest", feature = "tower"))]
mod wire;

use std::error::Error as StdError;
use std::fmt;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(any(feature = "reqwest", feature = "tower"))]
pub use self::guard::AddressGuard;
#[cfg(feature = "http-client")]
pub use self::hyper::{HyperTransport, HyperTransportBuilder, HyperTransportError, Resolve};
#[cfg(feature = "limit")]
pub use self::limit::{Rate, RateLimited};
#[cfg(any(feature = "http-client", feature = "reqwest", feature = "tower"))]
pub use self::lookup::SystemResolver;
#[cfg(feature = "channel")]
pub use self::recording::{Exchange, ExchangeEnd, ExchangeLog, Recording};
#[cfg(feature = "reqwest")]
pub use self::reqwest::{ReqwestTransport, ReqwestTransportBuilder, ReqwestTransportError};
#[cfg(feature = "tower")]
pub use self::tower::TowerTransport;

/// Sends one HTTP request and returns its response.
///
/// # Contract
///
/// Between the sender, which builds complete requests and reads verdicts out of responses, and an
/// HTTP client, which moves octets:
///
/// * **Status decides.** Any status is `Ok`. Once the response's headers arrived the result is
///   `Ok`: a body that is slow, cut off or longer than 16 KiB is truncated, never an error.
/// * **Octet for octet.** Method, path, query, headers and body arrive as they were given (H-3).
///   A client whose URL parser normalises must refuse what it would change, `/a/../b` for
///   instance, as [`TransportErrorKind::InvalidRequest`]. An empty body is announced by
///   `Content-Length: 0`, and no body is sent in chunks.
/// * **No interpretation.** Redirects are not followed (S-6), nothing is retried, no proxy is
///   taken from the environment (S-7), no header is added beyond what the connection needs (and
///   `User-Agent` or `Accept: */*`, where the client insists), bodies are not decompressed. Most
///   clients do some of these unless they are told not to.
/// * **Bounded.** The connect timeout and the total timeout are finite. Nothing is allocated from
///   `Content-Length`. Waiting for a free connection or stream has a limit of its own, outside
///   the total timeout, and fails with [`Processed::No`]; where a client cannot tell waiting from
///   sending, the total timeout covers both, and its failure is [`Processed::Unknown`].
/// * **Honest failure.** [`TransportError::processed`] is [`Processed::No`] only when the peer
///   cannot have acted on the request (H-21): no octet of it was written, or HTTP/2 said so
///   (`REFUSED_STREAM`, GOAWAY below our stream). A timeout or a reset after writing is
///   [`Processed::Unknown`]; so is whatever the client does not tell apart, except that a refused
///   connection must be `No`.
/// * **Checked.** The address that is connected to was checked, at connect time (S-3): by a hook
///   of the client's resolver that asks an [`AddressPolicy`](crate::AddressPolicy), never by
///   looking the name up beforehand, because a second look-up may answer otherwise. Addresses in
///   the URL itself pass no resolver: check them apart. An address that the policy forbids is
///   [`TransportErrorKind::AddressRefused`].
///
/// `testing::transport_suite` holds a test for each of these, but for those that need names or
/// HTTP/2. The example `custom_transport` keeps the contract with another HTTP client.
///
/// # Cancel safety
///
/// Dropping the future of [`send`](Self::send) abandons the exchange: a request in flight is
/// reset, its outcome is unknown, and nothing keeps running for it.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Sends `request`, whose URI is absolute, and returns the response with at most 16 KiB of
    /// its body.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when no status arrived.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, TransportError>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<T: Transport + ?Sized> Transport for $pointer<T> {
            async fn send(
                &self,
                request: http::Request<Bytes>,
            ) -> Result<http::Response<Bytes>, TransportError> {
                (**self).send(request).await
            }
        }
    };
}
forward!(Arc);
forward!(Box);

/// Can the peer have acted on a request that failed? (H-21)
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "a third answer would be `Unknown`")]
pub enum Processed {
    /// No: sending it again cannot duplicate anything.
    No,
    /// Perhaps: sending it again may deliver it twice.
    Unknown,
}

/// Where a request failed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The address policy forbids where the name leads. Not retried: the outcome is a refusal.
    AddressRefused,
    /// Waiting for a free connection or stream took too long. Retried.
    Busy,
    /// No connection: name resolution, TCP or TLS failed, or took too long. Retried.
    Connect,
    /// The connection failed after the request began. Retried by the rules of [`Processed`].
    Interrupted,
    /// The request cannot be expressed in HTTP by this transport. Not retried.
    InvalidRequest,
    /// The total timeout passed without a status. Retried by the rules of [`Processed`].
    Timeout,
}

impl TransportErrorKind {
    /// The kind as a short word, for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressRefused => "address refused",
            Self::Busy => "busy",
            Self::Connect => "connect",
            Self::Interrupted => "interrupted",
            Self::InvalidRequest => "invalid request",
            Self::Timeout => "timeout",
        }
    }
}

/// A request that got no status.
///
/// Its text never holds the URI (S-12); an implementation must see to it that its source's text
/// does not either.
#[derive(Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    processed: Processed,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl TransportError {
    /// A failure of this kind. [`Processed`] is `No` where the kind proves it, else `Unknown`.
    #[must_use]
    pub const fn new(kind: TransportErrorKind) -> Self {
        let processed = match kind {
            TransportErrorKind::Interrupted | TransportErrorKind::Timeout => Processed::Unknown,
            _ => Processed::No,
        };
        Self { kind, processed, source: None }
    }

    /// The same with its cause. The cause's text must not hold the URI, nor any header.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same, knowing better whether the peer can have acted on it.
    #[must_use]
    pub const fn with_processed(mut self, processed: Processed) -> Self {
        self.processed = processed;
        self
    }

    /// Where it failed.
    #[must_use]
    pub const fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Whether the peer can have acted on the request.
    #[must_use]
    pub const fn processed(&self) -> Processed {
        self.processed
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TransportErrorKind::AddressRefused => {
                "the push service's address is not one that the policy allows"
            }
            TransportErrorKind::Busy => "no free connection to the push service within the limit",
            TransportErrorKind::Connect => "no connection to the push service",
            TransportErrorKind::Interrupted => "the connection to the push service failed during the request",
            TransportErrorKind::InvalidRequest => "the request cannot be sent by this transport",
            TransportErrorKind::Timeout => "the push service did not answer in time",
        })
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_tells_what_it_proves() {
        for kind in
            [TransportErrorKind::Busy, TransportErrorKind::Connect, TransportErrorKind::AddressRefused]
        {
            assert_eq!(TransportError::new(kind).processed(), Processed::No);
        }
        let reset = TransportError::new(TransportErrorKind::Interrupted);
        assert_eq!(reset.processed(), Processed::Unknown);
        assert_eq!(reset.with_processed(Processed::No).processed(), Processed::No);
    }

    #[test]
    fn an_error_keeps_its_source() {
        let error =
            TransportError::new(TransportErrorKind::Connect).with_source(std::io::Error::other("refused"));
        assert_eq!(error.source().unwrap().to_string(), "refused");
    }
}

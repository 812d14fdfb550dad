//! What a service answers instead of what the rules say.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::violation::{Violation, error_body};

/// How one request is answered.
///
/// Where an answer is said to *accept*, the request is first judged by the rules: a refusal is
/// answered as such, and only an accepted message has its answer damaged.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Answer {
    /// By the rules.
    #[default]
    Normal,
    /// Accepts the message and answers, and wants no more requests on this connection: GOAWAY once
    /// its streams have ended, or `Connection: close`.
    AcceptAndClose,
    /// Accepts the message, then closes the connection without a status: the sender cannot know.
    AcceptAndCut,
    /// Accepts with 202 and a receipt subscription in `Link` (RFC 8030 section 5.1), whether the
    /// request asked for receipts or not. It is a name only: no receipt ever comes.
    AcceptWithReceipts,
    /// Accepts, sends the status, half a body, and closes the connection.
    CutAfterHeaders,
    /// Reads the request and closes the connection without a status. Nothing is accepted.
    CutBeforeStatus,
    /// Waits first, then answers so. The wait runs on tokio's clock.
    Delayed(Duration, Box<Self>),
    /// HTTP/2: announces with GOAWAY that this request was not processed, and closes the
    /// connection. Where a later request on it was, this one is left in doubt. HTTP/1.1: as [`CutBeforeStatus`](Self::CutBeforeStatus).
    Goaway,
    /// Never answers, until the client gives up.
    Hang,
    /// Accepts, with a body of this many octets.
    HugeBody(u64),
    /// Accepts, with about this many octets of headers.
    HugeHeaders(usize),
    /// HTTP/2: refuses the stream (`REFUSED_STREAM`): not processed. HTTP/1.1: as
    /// [`CutBeforeStatus`](Self::CutBeforeStatus).
    RefuseStream,
    /// HTTP/2: reads the request and resets the stream (`INTERNAL_ERROR`). HTTP/1.1: as
    /// [`CutBeforeStatus`](Self::CutBeforeStatus).
    ResetStream,
    /// This response, whatever the request is.
    Response(Response<Bytes>),
    /// Accepts, and sends a body of this many octets, one each time the duration passes.
    Trickle {
        /// Between two octets, on tokio's clock.
        every: Duration,
        /// How many come.
        octets: u64,
    },
}

impl Answer {
    /// A bare status.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        Self::Response(response)
    }

    /// 404, as if the service did not know the subscription.
    #[must_use]
    pub fn gone_404() -> Self {
        Self::Response(Violation::NotFound.response())
    }

    /// 410, as after unsubscribing.
    #[must_use]
    pub fn gone_410() -> Self {
        Self::Response(Violation::Gone.response())
    }

    /// 413.
    #[must_use]
    pub fn too_large() -> Self {
        Self::Response(Violation::TooLarge.response())
    }

    /// 429, with `Retry-After` in whole seconds.
    #[must_use]
    pub fn throttled(retry_after: Option<Duration>) -> Self {
        Self::error(StatusCode::TOO_MANY_REQUESTS, None, "Too many requests", retry_after)
    }

    /// 503, with `Retry-After` in whole seconds.
    #[must_use]
    pub fn unavailable(retry_after: Option<Duration>) -> Self {
        Self::error(
            StatusCode::SERVICE_UNAVAILABLE,
            Some(201),
            "Use exponential back-off for retries",
            retry_after,
        )
    }

    /// 500.
    #[must_use]
    pub fn server_error() -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, None, "Database error", None)
    }

    /// 307 to another place.
    ///
    /// # Panics
    ///
    /// When the location cannot stand in a header.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        let location = HeaderValue::from_str(location).expect("the location can stand in a header");
        response.headers_mut().insert(LOCATION, location);
        Self::Response(response)
    }

    /// This answer, after a wait on tokio's clock.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self::Delayed(wait, Box::new(self))
    }

    fn error(status: StatusCode, errno: Option<u16>, message: &str, retry_after: Option<Duration>) -> Self {
        let mut response = Response::new(error_body(status, errno, message));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = retry_after {
            headers.insert(RETRY_AFTER, wait.as_secs().into());
        }
        Self::Response(response)
    }
}

//! What every client needs around its requests and responses.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Version};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

use super::{TransportError, TransportErrorKind};

/// A response's body is cut here (H-24).
pub(super) const BODY_CAP: usize = 16 * 1024;

/// Most bodies fit into this.
const SHORT: usize = 2 * 1024;

/// What a piece of a body counts at least: one of a single octet has its place in several buffers, too.
const EACH_FRAME: usize = 64;

/// What a slow body gets after the headers: the status is known, the rest is a hint for people.
pub(super) const BODY_WAIT: Duration = Duration::from_secs(5);

/// Makes a request one that both versions of HTTP can carry: exact length, never chunked.
pub(super) fn prepare(request: &mut Request<Bytes>) -> Result<(), TransportError> {
    if *request.method() == Method::CONNECT {
        return Err(TransportError::new(TransportErrorKind::InvalidRequest));
    }
    *request.version_mut() = Version::HTTP_11;
    let length = request.body().len();
    let expected = length != 0 || matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    let named = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if expected && named != Some(length) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    } else if !expected {
        headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

/// Reads at most 16 KiB, and tells whether that was the whole body. Whatever stops it early is no
/// error: the status has decided.
///
/// `hold` is told of what is held until the end, beginning with so many octets of headers; when it
/// refuses, that is the end.
pub(super) async fn read_body<B: Body>(
    body: B,
    deadline: Instant,
    mut hold: impl FnMut(usize) -> bool,
    headers: impl FnOnce() -> usize,
) -> (Bytes, bool) {
    if body.is_end_stream() {
        return (Bytes::new(), true);
    }
    if !hold(headers()) {
        return (Bytes::new(), false);
    }
    let mut body = pin!(body);
    let mut read: Vec<u8> = Vec::new();
    let whole = timeout_at(deadline.min(Instant::now() + BODY_WAIT), async {
        loop {
            match body.frame().await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let fits = data.remaining().min(BODY_CAP - read.len());
                    if !hold(fits.max(EACH_FRAME)) {
                        return false;
                    }
                    if read.capacity() - read.len() < fits {
                        // Most are short. A long one is not moved again and again.
                        let more = if read.len() + fits <= SHORT { SHORT } else { BODY_CAP };
                        read.reserve_exact(more - read.len());
                    }
                    read.put(data.take(fits));
                    if read.len() == BODY_CAP {
                        return body.is_end_stream();
                    }
                }
            }
        }
    })
    .await;
    (Bytes::from(read), whole.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_exact_whatever_the_caller_says() {
        for (method, said, body, length) in [
            (Method::POST, None, "body", Some("4")),
            (Method::POST, Some("400"), "body", Some("4")),
            (Method::POST, None, "", Some("0")),
            (Method::GET, None, "", None),
            (Method::GET, Some("4"), "", None),
            (Method::DELETE, None, "body", Some("4")),
        ] {
            let mut request = Request::new(Bytes::from_static(body.as_bytes()));
            *request.method_mut() = method.clone();
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            if let Some(said) = said {
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static(said));
            }
            prepare(&mut request).unwrap();
            let got = request.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap());
            assert_eq!((got, request.headers().len()), (length, usize::from(length.is_some())), "{method}");
        }
    }

    #[test]
    fn a_tunnel_is_not_a_request() {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::CONNECT;
        assert_eq!(prepare(&mut request).unwrap_err().kind(), TransportErrorKind::InvalidRequest);
    }
}

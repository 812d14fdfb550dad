//! Taking a message back: `DELETE` of its push message resource (H-16).
//!
//! RFC 8030 gives that request to user agents, which acknowledge a message with it (section 6.2);
//! the resource is the same one that a sender gets in `Location`, so it ends the message for
//! everybody. Mozilla documents it for senders. What other push services do is in
//! `docs/operations.md`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response};

use super::response::retry_after;
use crate::{Endpoint, MessageUrl};

/// The request that takes back the message of `url`, which was sent to `endpoint`.
///
/// It has no credentials: the URL is a capability (H-15). That is why it goes to the origin that
/// was posted to and nowhere else, whatever origin the answer's `Location` named.
///
/// ```
/// use webpush_channels::engine::cancel::{CancelUrlError, request};
/// use webpush_channels::{Endpoint, MessageUrl};
///
/// let endpoint: Endpoint = "https://push.example.net/p/1".parse()?;
/// let url = |text: &str| text.parse::<Endpoint>().map(MessageUrl::from);
/// let request_at = |text| Ok::<_, webpush_channels::EndpointError>(request(&endpoint, &url(text)?));
///
/// let delete = request_at("https://push.example.net/m/7")?.unwrap();
/// assert_eq!((delete.method().as_str(), delete.uri().path()), ("DELETE", "/m/7"));
/// assert_eq!(request_at("https://evil.example/m/7")?.unwrap_err(), CancelUrlError::OtherOrigin);
/// # Ok::<(), webpush_channels::EndpointError>(())
/// ```
///
/// # Errors
///
/// [`CancelUrlError`] where there is no such request.
pub fn request(endpoint: &Endpoint, url: &MessageUrl) -> Result<Request<Bytes>, CancelUrlError> {
    let target: Endpoint = url.as_str().parse().map_err(|_| CancelUrlError::Malformed)?;
    if target.origin_str() != endpoint.origin_str() {
        return Err(CancelUrlError::OtherOrigin);
    }
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::DELETE;
    *request.uri_mut() = target.to_uri();
    // H-13.
    request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    Ok(request)
}

/// Why a message's URL cannot be asked to end it. Never holds the URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CancelUrlError {
    /// It is no URL that a request can be sent to.
    #[error("the message's URL is not one that a request can be sent to")]
    Malformed,
    /// It leads to another origin than the subscription's endpoint.
    #[error(
        "the message's URL is not at the origin of the subscription's endpoint: no request may be sent there"
    )]
    OtherOrigin,
}

/// What one response to [`request`] means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CancelVerdict {
    /// The push service took it (2xx): from now on nobody gets the message. Whether somebody got
    /// it before, it does not say: Mozilla's service answers so for delivered messages, too.
    Cancelled,
    /// It has no such message (404, 410): delivered, expired or cancelled before. A push service
    /// that offers nothing of the kind may say the same.
    Gone,
    /// A transient failure (408, 425, 429, 5xx): try again, which is harmless.
    Retry {
        /// `Retry-After`, up to 2^31 seconds: cap it (R-7).
        after: Option<Duration>,
    },
    /// A redirect, which must not be followed (R-40), or a status that no rule covers.
    Unexpected,
    /// The push service does not offer it (405, 501), not to whoever has nothing but the URL (401,
    /// 403), or makes nothing of the URL (400).
    Unsupported,
}

/// Reads a response to [`request`]. `now` is for a `Retry-After` that is a date.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::{Response, StatusCode, header::RETRY_AFTER};
/// use webpush_channels::engine::cancel::{CancelVerdict, classify};
///
/// let busy = Response::builder().status(503).header(RETRY_AFTER, "120").body(bytes::Bytes::new())?;
/// let after = Some(Duration::from_secs(120));
/// assert_eq!(classify(&busy, SystemTime::UNIX_EPOCH), CancelVerdict::Retry { after });
/// # Ok::<(), http::Error>(())
/// ```
#[must_use]
pub fn classify(response: &Response<Bytes>, now: SystemTime) -> CancelVerdict {
    match response.status().as_u16() {
        200..=299 => CancelVerdict::Cancelled,
        404 | 410 => CancelVerdict::Gone,
        400 | 401 | 403 | 405 | 501 => CancelVerdict::Unsupported,
        408 | 425 | 429 | 500 | 502..=504 | 506..=599 => {
            CancelVerdict::Retry { after: retry_after(response.headers(), now) }
        }
        _ => CancelVerdict::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn at(endpoint: &str, url: &str) -> Result<String, CancelUrlError> {
        let url = MessageUrl::from(url.parse::<Endpoint>().unwrap());
        request(&endpoint.parse().unwrap(), &url).map(|request| request.uri().to_string())
    }

    #[test]
    fn only_the_endpoints_own_origin_is_asked() {
        let endpoint = "https://push.example.net:8443/p/x?y";
        let own = "https://push.example.net:8443/m/1";
        assert_eq!(at(endpoint, own).as_deref(), Ok(own));
        for url in [
            "https://elsewhere.example/m/1",
            "https://push.example.net/m/1",
            "https://push.example.net:844/m/1",
            "http://push.example.net:8443/m/1",
            "https://push.example.net.evil.example:8443/m/1",
            "https://sub.push.example.net:8443/m/1",
            "https://169.254.169.254/m/1",
        ] {
            assert_eq!(at(endpoint, url), Err(CancelUrlError::OtherOrigin), "{url}");
        }
        assert_eq!(at("https://a.example/", "https://a.example?m=%2b").unwrap(), "https://a.example/?m=%2b");
        // As FCM writes them.
        let fcm = "https://fcm.googleapis.com/0:1712799666977195%e609af1cf9fd7ecd";
        assert_eq!(at("https://fcm.googleapis.com/fcm/send/x", fcm).as_deref(), Ok(fcm));
    }

    #[test]
    fn what_the_engine_reads_out_of_a_location_can_be_asked_or_is_refused() {
        let endpoint: Endpoint = "https://push.example.net/p/x".parse().unwrap();
        for path in ["/m/1", "/m/{1}?a=%2b", "/", "//m", "/m/../1", "/^`|", "/m/1?<"] {
            let Some(url) = MessageUrl::at_origin_of(&endpoint, path) else { continue };
            match request(&endpoint, &url) {
                Ok(request) => assert_eq!(request.uri().path_and_query().unwrap(), path),
                Err(error) => assert_eq!(error, CancelUrlError::Malformed, "{path}"),
            }
        }
    }

    #[test]
    fn the_request_carries_nothing_but_its_length() {
        let endpoint = "https://push.example.net/p/x".parse().unwrap();
        let url = MessageUrl::at_origin_of(&endpoint, "/m/1").unwrap();
        let request = request(&endpoint, &url).unwrap();
        assert_eq!((request.method(), request.body().len()), (&Method::DELETE, 0));
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()[CONTENT_LENGTH], "0");
    }

    #[test]
    fn every_status_has_its_meaning() {
        use CancelVerdict::{Cancelled, Gone, Retry, Unexpected, Unsupported};
        for status in 100..1000 {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let expected = match status {
                200..=299 => Cancelled,
                404 | 410 => Gone,
                400 | 401 | 403 | 405 | 501 => Unsupported,
                505 => Unexpected,
                408 | 425 | 429 | 500..=599 => Retry { after: None },
                _ => Unexpected,
            };
            assert_eq!(classify(&response, SystemTime::UNIX_EPOCH), expected, "{status}");
        }
    }
}

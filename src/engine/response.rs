//! What a push service's answer means.
//!
//! The status decides; the vendor, told by the endpoint's host, refines it with what its body or
//! headers say (R-9). A body that is missing, HTML, cut off, too large or no JSON refines
//! nothing and breaks nothing.

mod apple;
mod detail;
mod fcm;
mod link;
mod location;
mod mozilla;
mod retry_after;
mod wns;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{Endpoint, MessageUrl, ReceiptUrl, ResponseDetail, Ttl, Vendor};

pub(super) use self::link::RECEIPT;
pub use self::retry_after::retry_after;

/// What one response means for one message and its subscription.
///
/// `Verdict` is about one attempt; [`Outcome`](crate::Outcome) is what remains after all of them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The push service took the message (RFC 8030 section 5). No proof of delivery.
    #[non_exhaustive]
    Accepted {
        /// The push message resource, where `Location` is a usable URL.
        message_url: Option<MessageUrl>,
        /// The lifetime that the push service granted, where it said so: at most the requested
        /// one, and smaller where the service reduced it.
        granted_ttl: Option<Ttl>,
        /// The receipt subscription, where the status is 202 and a `Link` names one at the
        /// endpoint's own origin (H-17).
        receipt_url: Option<ReceiptUrl>,
    },
    /// Success, and the push service says that it dropped the message (WNS).
    AcceptedDropped,
    /// Token or key refused: our fault. Make a new token, repeat once, then stop for this origin.
    /// Never a reason to remove a subscription (R-20).
    AuthError,
    /// The request is wrong: permanent for this message, no reason to remove anything.
    BadRequest,
    /// The subscription does not exist any more. Only ever for status 404 or 410.
    Gone,
    /// The subscription belongs to another VAPID key than the one that signed.
    KeyMismatch,
    /// A redirect. Do not follow it: it may lead anywhere (R-40).
    Moved {
        /// Where to, if the answer says that it is for good and the origin is unchanged: this may
        /// replace the stored endpoint, after the check of an
        /// [`EndpointPolicy`](crate::EndpointPolicy).
        location: Option<Endpoint>,
        /// Whether it is for good (301, 308).
        permanent: bool,
    },
    /// The payload is larger than this subscription takes.
    PayloadTooLarge,
    /// Too many messages. Meant for this subscription, unless several of one origin say so (R-30).
    RateLimited {
        /// `Retry-After`, up to 2^31 seconds: cap it (R-7).
        after: Option<Duration>,
    },
    /// A transient failure: try again.
    Retry {
        /// `Retry-After`, up to 2^31 seconds: cap it (R-7).
        after: Option<Duration>,
    },
    /// The push service refuses us as a sender. Stop for this origin.
    SenderBlocked,
    /// No rule covers it: no repeat, no removal.
    Unexpected,
}

/// A verdict and the reason that the push service gave.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Classified {
    /// What it means.
    pub verdict: Verdict,
    /// What it said, for the operator's logs.
    pub detail: ResponseDetail,
}

/// Reads a response to a message for `endpoint` that was sent with `requested_ttl`. `now` is for
/// a `Retry-After` that is a date.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use bytes::Bytes;
/// use webpush_channels::engine::response::{Verdict, classify};
/// use webpush_channels::{Endpoint, Ttl};
///
/// let endpoint: Endpoint = "https://web.push.apple.com/QAbc".parse()?;
/// let response = http::Response::builder()
///     .status(403)
///     .body(Bytes::from_static(br#"{"reason":"BadJwtToken"}"#))?;
/// let classified = classify(&endpoint, Ttl::hours(1), &response, SystemTime::UNIX_EPOCH);
/// assert_eq!(classified.verdict, Verdict::AuthError);
/// assert_eq!(classified.detail.reason.as_deref(), Some("BadJwtToken"));
/// assert!(classified.detail.advice.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn classify(
    endpoint: &Endpoint,
    requested_ttl: Ttl,
    response: &Response<Bytes>,
    now: SystemTime,
) -> Classified {
    let status = response.status();
    let vendor = endpoint.vendor();
    let finding = refine(vendor, response);
    let class = finding
        .class
        // Removal needs proof: a body alone is none (R-20).
        .filter(|class| *class != Class::Gone || is_gone(status))
        .unwrap_or_else(|| by_status(status, vendor));
    let detail = ResponseDetail {
        status: status.as_u16(),
        reason: finding.reason.and_then(|reason| detail::clean(&reason, endpoint)),
        advice: finding.advice.or_else(|| advice(class, status)),
    };
    Classified { verdict: verdict(class, endpoint, requested_ttl, response, now), detail }
}

/// [`Verdict`] without what comes from the headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    Accepted,
    AcceptedDropped,
    AuthError,
    BadRequest,
    Gone,
    KeyMismatch,
    Moved,
    PayloadTooLarge,
    RateLimited,
    Retry,
    SenderBlocked,
    Unexpected,
}

/// What a vendor's body or headers tell beyond the status.
#[derive(Debug, Default)]
struct Finding {
    /// None: the status decides.
    class: Option<Class>,
    /// As the service wrote it: not yet fit to be shown.
    reason: Option<String>,
    advice: Option<&'static str>,
}

fn refine(vendor: Vendor, response: &Response<Bytes>) -> Finding {
    let status = response.status();
    if vendor == Vendor::Wns {
        return wns::read(status, response.headers(), response.body());
    }
    // Success has nothing to refine, and is what a million answers are.
    if status.as_u16() < 400 {
        return Finding::default();
    }
    let body = response.body();
    let known = match vendor {
        Vendor::Apple => apple::read(status, body),
        Vendor::Fcm => fcm::read(body),
        // What people host themselves is mostly autopush, and it names its `errno`.
        Vendor::Mozilla | Vendor::Other => mozilla::read(body),
        Vendor::Wns => None,
    };
    known.unwrap_or_else(|| Finding { reason: detail::plain(body), ..Finding::default() })
}

/// R-1, R-3, R-10.
fn by_status(status: StatusCode, vendor: Vendor) -> Class {
    match status.as_u16() {
        200..=299 => Class::Accepted,
        300..=399 => Class::Moved,
        401 | 403 => Class::AuthError,
        404 | 410 => Class::Gone,
        406 if vendor == Vendor::Wns => Class::RateLimited,
        413 => Class::PayloadTooLarge,
        429 => Class::RateLimited,
        400 | 405 | 406 | 411 | 414 | 415 | 431 | 501 | 505 => Class::BadRequest,
        408 | 425 | 500..=599 => Class::Retry,
        _ => Class::Unexpected,
    }
}

fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE)
}

fn verdict(
    class: Class,
    endpoint: &Endpoint,
    requested_ttl: Ttl,
    response: &Response<Bytes>,
    now: SystemTime,
) -> Verdict {
    let (status, headers) = (response.status(), response.headers());
    match class {
        Class::Accepted => Verdict::Accepted {
            message_url: location::message_url(endpoint, headers),
            granted_ttl: location::granted_ttl(requested_ttl, headers),
            receipt_url: (status == StatusCode::ACCEPTED)
                .then(|| link::receipt_url(endpoint, headers))
                .flatten(),
        },
        Class::AcceptedDropped => Verdict::AcceptedDropped,
        Class::AuthError => Verdict::AuthError,
        Class::BadRequest => Verdict::BadRequest,
        Class::Gone => Verdict::Gone,
        Class::KeyMismatch => Verdict::KeyMismatch,
        Class::Moved => {
            let permanent = matches!(status.as_u16(), 301 | 308);
            let location = permanent.then(|| location::moved_to(endpoint, headers)).flatten();
            Verdict::Moved { location, permanent }
        }
        // With Retry-After it is temporary (R-4).
        Class::PayloadTooLarge => retry_after(headers, now)
            .map_or(Verdict::PayloadTooLarge, |after| Verdict::Retry { after: Some(after) }),
        Class::RateLimited => Verdict::RateLimited { after: retry_after(headers, now) },
        Class::Retry => Verdict::Retry { after: retry_after(headers, now) },
        Class::SenderBlocked => Verdict::SenderBlocked,
        Class::Unexpected => Verdict::Unexpected,
    }
}

const ENDED: &str = "the subscription has ended: the client must subscribe anew";

const OTHER_KEY: &str = "the subscription was made with another applicationServerKey: send with that key, or have \
    the client unsubscribe and subscribe anew";

/// What to do where the vendor's own words are not known.
fn advice(class: Class, status: StatusCode) -> Option<&'static str> {
    match class {
        Class::AuthError => Some(
            "check the VAPID key, that `sub` is a contact that exists, and this machine's clock; \
             the subscription is not at fault",
        ),
        Class::Gone => Some(ENDED),
        Class::KeyMismatch => Some(OTHER_KEY),
        Class::Moved => Some("redirects are not followed: the client should subscribe anew"),
        Class::PayloadTooLarge => Some(
            "send a smaller payload or less padding: 2744 octets of plaintext fit everywhere, \
             Firefox for Android takes little more",
        ),
        Class::RateLimited => Some("slow down: wait as long as Retry-After says, and send less often"),
        Class::SenderBlocked => Some("the push service blocks this sender: stop, and ask its operator why"),
        Class::BadRequest if status == StatusCode::LENGTH_REQUIRED => {
            Some("the HTTP client must send Content-Length and no chunks")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_class() {
        use Class::{
            Accepted, AuthError, BadRequest, Gone, Moved, PayloadTooLarge, RateLimited, Retry, Unexpected,
        };
        for (statuses, class) in [
            (&[200_u16, 201, 202, 204, 226][..], Accepted),
            (&[301, 302, 303, 307, 308], Moved),
            (&[401, 403], AuthError),
            (&[404, 410], Gone),
            (&[400, 405, 406, 411, 414, 415, 431, 501, 505], BadRequest),
            (&[408, 425, 500, 502, 503, 504, 507, 599], Retry),
            (&[413], PayloadTooLarge),
            (&[429], RateLimited),
            (&[100, 402, 407, 409, 418, 451, 600, 999], Unexpected),
        ] {
            for status in statuses {
                let status = StatusCode::from_u16(*status).unwrap();
                assert_eq!(by_status(status, Vendor::Other), class, "{status}");
            }
        }
        assert_eq!(by_status(StatusCode::NOT_ACCEPTABLE, Vendor::Wns), RateLimited);
    }
}

//! Requests as Mozilla's service judges them: autopush 1.83, as it was measured.
//!
//! It is lenient where the strictest vendor is not, and its statuses, numbers and messages are
//! those that senders see in practice.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use self::coding::{CODING, check_coding};
use self::refusal::Refusal;
use self::vapid::{Credentials, check_claims};
use super::checks::{Asked, Body, MAX_BODY, MAX_TTL, TOPIC, TTL, text};
use super::directory::Target;
use super::inbox::Inbox;
use super::service::Service;
use super::violation::Violation;

mod coding;
mod refusal;
mod vapid;

pub(super) use self::coding::{delivered, stripped};
pub(super) use self::vapid::Signatures;

impl Service {
    /// The rules, for a request with its whole body.
    pub(super) fn judge_as_mozilla(&self, head: Parts, body: Body, target: &Target) -> Response<Bytes> {
        let result = match (target, &head.method) {
            // The error has a number in autopush's source, and no body on the wire.
            (Target::Unknown, _) => return self.refuse_bare(Violation::NotFound),
            (Target::Push(number, inbox), &Method::POST) => self.push_as_mozilla(head, body, *number, inbox),
            (Target::Message(inbox, number), &Method::DELETE) => Ok(self.cancel(inbox, *number)),
            (Target::UnknownMessage, &Method::DELETE) => Err(Violation::MessageId.into()),
            (Target::Push(..), _) => return self.refuse_method("POST"),
            (Target::Message(..) | Target::UnknownMessage, _) => return self.refuse_method("DELETE"),
        };
        result.unwrap_or_else(|refusal| {
            self.count_refusal(refusal.violation);
            refusal.response()
        })
    }

    /// In this order: the key, the subscription, the token, the body, the message.
    fn push_as_mozilla(
        &self,
        mut head: Parts,
        body: Body,
        number: usize,
        inbox: &Inbox,
    ) -> Result<Response<Bytes>, Refusal> {
        let credentials = Credentials::parse(&head.headers)?;
        if let Some(bound) = inbox.bound.as_deref() {
            let missing = Refusal::vapid(Violation::VapidMissing, "Missing VAPID public key");
            if credentials.as_ref().ok_or(missing)?.key()? != bound {
                return Err(Refusal::vapid(Violation::VapidKeyMismatch, "VAPID public key mismatch"));
            }
        }
        if inbox.is_gone() {
            return Err(Violation::Gone.into());
        }
        if let Some(credentials) = credentials {
            let claims = self.signatures.verify(&credentials)?;
            check_claims(&claims, self.origin.as_str(), self.now())?;
        }
        let asked = check_message(&head.headers, &body)?;
        if body.length == 0 {
            // What has no payload tells the browser nothing about one.
            for name in &CODING {
                head.headers.remove(name);
            }
        }
        Ok(self.accept(head.headers, body, asked, number, inbox))
    }

    fn refuse_bare(&self, violation: Violation) -> Response<Bytes> {
        self.count_refusal(violation);
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(violation.status()).expect("a valid status");
        response
    }

    fn refuse_method(&self, allowed: &'static str) -> Response<Bytes> {
        let mut response = self.refuse_bare(Violation::Method);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        response
    }
}

/// The size, the TTL, the coding, and the ranges last.
fn check_message(headers: &HeaderMap, body: &Body) -> Result<Asked, Refusal> {
    check_compression(headers, body)?;
    if body.length > MAX_BODY {
        return Err(Violation::TooLarge.into());
    }
    let ttl: i64 = text(headers, &TTL).and_then(|ttl| ttl.parse().ok()).ok_or(Violation::Ttl)?;
    if body.length > 0 {
        check_coding(headers)?;
    }
    let ttl = u32::try_from(ttl.min(MAX_TTL.into()))
        .map_err(|_| Refusal::new(Violation::Ttl, 400, Some(114), "ttl: TTL must be greater than 0"))?;
    let topic = text(headers, &TOPIC);
    if let Some(topic) = topic {
        check_topic(topic)?;
    }
    Ok(Asked { ttl, topic: topic.map(Into::into) })
}

/// The server in front of autopush unpacks what says that it is packed.
fn check_compression(headers: &HeaderMap, body: &Body) -> Result<(), Refusal> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    const MESSAGE: &str = "payload reached EOF before completing: \
        Some(Custom { kind: InvalidInput, error: \"invalid gzip header\" })";
    let packed = text(headers, &CONTENT_ENCODING) == Some("gzip");
    if packed && body.length > 0 && !body.octets.starts_with(&GZIP) {
        return Err(Refusal::new(Violation::ContentEncoding, 400, None, MESSAGE));
    }
    Ok(())
}

fn check_topic(topic: &str) -> Result<(), Refusal> {
    let refuse = |message| Err(Refusal::new(Violation::Topic, 400, Some(113), message));
    if topic.chars().count() > 32 {
        return refuse("topic: Topic must be no greater than 32 characters");
    }
    if !coding::is_base64url(topic) {
        return refuse("topic: Topic must be URL and Filename safe Base64 alphabet");
    }
    Ok(())
}

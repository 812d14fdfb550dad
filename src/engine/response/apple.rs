//! Apple: `{"reason": "..."}`. The reason decides, since its status is not documented (Q-A7).

use http::StatusCode;
use serde::Deserialize;

use super::{Class, Finding, detail, is_gone};

#[derive(Deserialize)]
struct Body {
    reason: String,
}

const REASONS: [(&str, Class, Option<&str>); 18] = [
    ("BadAuthorizationHeader", Class::AuthError, Some(AUTHORIZATION)),
    ("BadJwtToken", Class::AuthError, Some(JWT)),
    ("BadPath", Class::Gone, Some("the endpoint's path is not one of Apple's: the subscription was damaged")),
    ("BadTtl", Class::BadRequest, Some("give the message a TTL from 1 second to 30 days")),
    ("BadUrgency", Class::BadRequest, Some("send one Urgency: very-low, low, normal or high")),
    ("BadVapidPublicKey", Class::AuthError, Some(AUTHORIZATION)),
    ("BadWebPushRequest", Class::BadRequest, Some("Apple takes only aes128gcm and at most 4 KB")),
    ("BadWebPushTopic", Class::BadRequest, Some(TOPIC)),
    ("ExpiredJwtToken", Class::AuthError, Some(JWT)),
    ("ExpiredToken", Class::AuthError, Some(JWT)),
    ("IdleTimeout", Class::Retry, None),
    ("InternalServerError", Class::Retry, None),
    ("MethodNotAllowed", Class::BadRequest, None),
    ("PayloadTooLarge", Class::PayloadTooLarge, Some("Apple takes 4 KB: send a smaller payload")),
    ("ServiceUnavailable", Class::Retry, None),
    ("Shutdown", Class::Retry, None),
    ("TooManyRequests", Class::RateLimited, None),
    ("VapidPkHashMismatch", Class::KeyMismatch, None),
];

const AUTHORIZATION: &str = "send `Authorization: vapid t=<JWT>, k=<key>` where k is the 65-octet public key \
    that signed the token, in base64url without padding";

const JWT: &str = "check the token's claims: `sub` must be mailto: or https: with a real contact (no localhost, no \
    space, no brackets), `aud` the endpoint's origin without a slash, `exp` at most 24 h ahead of a right clock";

const TOPIC: &str =
    "a Topic must decode as base64url and have at most 32 characters: derive one of exactly 32";

pub(super) fn read(status: StatusCode, body: &[u8]) -> Option<Finding> {
    let Body { reason } = detail::parse(body)?;
    let known = REASONS.iter().find(|(name, ..)| *name == reason);
    let class = known
        .map(|(_, class, _)| *class)
        // In Apple's native protocol this is the device token, with 410: one dead subscription
        // must not stop the origin.
        .filter(|_| reason != "ExpiredToken" || !is_gone(status));
    let advice = known.and_then(|(_, _, advice)| *advice).filter(|_| class.is_some());
    Some(Finding { class, reason: Some(reason), advice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_token_is_the_devices_only_with_410() {
        let read = |status| read(status, br#"{"reason":"ExpiredToken"}"#).unwrap().class;
        assert_eq!(read(StatusCode::GONE), None);
        assert_eq!(read(StatusCode::FORBIDDEN), Some(Class::AuthError));
    }

    #[test]
    fn an_unknown_reason_is_kept_and_decides_nothing() {
        let finding = read(StatusCode::BAD_REQUEST, br#"{"reason":"New","timestamp":1}"#).unwrap();
        assert_eq!((finding.class, finding.reason.as_deref()), (None, Some("New")));
        assert!(read(StatusCode::BAD_REQUEST, br#"{"reason":1}"#).is_none());
    }
}

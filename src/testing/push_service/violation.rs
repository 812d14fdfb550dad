//! The rules, each with the answer that a vendor would give.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $errno:expr, $message:literal;)*) => {
        /// A rule that a request broke: what the strictest push service would refuse.
        ///
        /// The status and the `errno` are those of the service that is known to enforce the rule,
        /// Mozilla's where it does. A service built with
        /// `PushServiceBuilder::mozilla` answers in Mozilla's words throughout, with 401 for all of
        /// VAPID.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
        #[non_exhaustive]
        pub enum Violation {
            $($(#[$doc])* #[error($message)] $name,)*
        }

        impl Violation {
            const fn row(self) -> (u16, Option<u16>, &'static str) {
                match self {
                    $(Self::$name => ($status, $errno, $message),)*
                }
            }
        }
    };
}

violations! {
    /// A header that says who the user is or where the request came from (H-14).
    AmbientHeader = 400, None, "Cookie, Referer, Origin, Proxy-Authorization, Forwarded and Push-Receipt have no place here";
    /// `:authority` or `Host` is not the service's own.
    Authority = 421, None, "the request names another host than this service's origin";
    /// The body did not arrive whole.
    BodyTruncated = 400, None, "the body ended early";
    /// A browser's WebSocket frame is none of the protocol, or comes before its `hello`.
    BrowserFrame = 400, None, "the WebSocket frame is no message of the push protocol";
    /// `Content-Encoding` is neither `aes128gcm` nor the legacy `aesgcm`, or stands without a body (E-29, H-12).
    ContentEncoding = 400, Some(110), "Unknown Content-Encoding header";
    /// A body without `Content-Encoding` (E-29).
    ContentEncodingMissing = 400, Some(110), "Missing Content-Encoding header";
    /// `Content-Length` is missing (H-13).
    ContentLengthMissing = 411, None, "Content-Length is required, even for an empty body";
    /// `Crypto-Key` with `dh=` beside `aes128gcm` (V-31); Mozilla's service: without it beside
    /// `aesgcm`.
    CryptoKey = 400, Some(110), "Do not include 'dh' header in aes128gcm Crypto-Key header";
    /// A header that must not be repeated is (H-7, RFC 9110 5.3).
    Duplicate = 400, None, "a header stands twice that may stand once";
    /// `Encryption` with `salt=` beside `aes128gcm` (V-31); Mozilla's service: without it beside
    /// `aesgcm`.
    Encryption = 400, Some(110), "Do not include 'salt' header in aes128gcm Encryption header";
    /// `Expect` is present (H-13).
    Expect = 400, None, "Expect is not supported";
    /// The subscription was removed.
    Gone = 410, Some(106), "No such subscription";
    /// `Crypto-Key` is not what `aesgcm` needs: one entry with a `dh` of 65 octets, of the `keyid`
    /// that `Encryption` names (E-53).
    LegacyCryptoKey = 400, Some(110), "Missing dh value in Crypto-Key header";
    /// `Encryption` is not what `aesgcm` needs: one entry with a salt of 16 octets (E-53).
    LegacyEncryption = 400, Some(110), "Missing salt value in Encryption header";
    /// The id of a message that this service never made.
    MessageId = 400, None, "Invalid message ID";
    /// Neither POST to a subscription nor DELETE of a message (H-1).
    Method = 405, None, "Method Not Allowed";
    /// No such subscription.
    NotFound = 404, Some(102), "Request did not validate: Invalid token";
    /// The body exceeds 4096 octets (E-25).
    TooLarge = 413, Some(104), "payload reached size limit";
    /// `Topic` is not 1 to 32 characters of base64url, or cannot be decoded (H-8, H-9).
    Topic = 400, Some(113), "topic: Topic must be 1 to 32 characters of URL and Filename safe Base64";
    /// `Transfer-Encoding` is present (H-13).
    TransferEncoding = 411, None, "chunked transfer is not supported, Content-Length is required";
    /// `TTL` is missing or not a number of seconds (H-4).
    Ttl = 400, Some(111), "Missing TTL value";
    /// `Urgency` is not one of the four values (H-7).
    Urgency = 400, None, "Urgency must be very-low, low, normal or high";
    /// `aud` is not exactly this service's origin (V-3, V-4).
    VapidAudience = 403, Some(109), "Invalid VAPID audience";
    /// The claims are not JSON, or `aud`, `exp` or `sub` has another type.
    VapidClaims = 403, Some(109), "Invalid VAPID token: a claim is missing or incorrectly specified";
    /// `sub` is missing, or neither `mailto:` nor `https:` with a public host (V-8).
    VapidContact = 403, Some(109), "Invalid VAPID token: sub must be a mailto: or https: URI with a public host";
    /// `exp` has passed (V-5); there is no leeway.
    VapidExpired = 403, Some(109), "ExpiredSignature";
    /// The header is not `vapid t=..., k=...` (V-10), nor, beside `aesgcm`, `WebPush` with a
    /// `p256ecdsa` in `Crypto-Key` (V-30).
    VapidHeader = 401, Some(109), "Authorization must be vapid t=<token>, k=<key>";
    /// `k` is not an uncompressed point on P-256 (V-10).
    VapidKey = 403, Some(109), "Invalid VAPID public key";
    /// The token was signed by another key than the subscription is bound to (V-13).
    VapidKeyMismatch = 403, Some(109), "VAPID public key mismatch: the VAPID credentials in the authorization header do not correspond to the credentials used to create the subscriptions";
    /// The VAPID key also encrypted the message (E-31).
    VapidKeyReused = 400, Some(110), "the VAPID key must not be the key that encrypts";
    /// No `Authorization` (V-19).
    VapidMissing = 401, Some(109), "Missing VAPID public key";
    /// The signature does not verify (V-1, V-2).
    VapidSignature = 403, Some(109), "InvalidSignature";
    /// `exp` is more than 24 hours ahead (V-5, V-6); there is no leeway.
    VapidTooLong = 403, Some(109), "The VAPID token expiration is too long";
    /// The token is not a JWS with `alg` ES256 (V-1).
    VapidToken = 403, Some(109), "InvalidAlgorithm or malformed token";
}

impl Violation {
    /// The status that answers it.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().0
    }

    /// Mozilla's error number, where the rule has one.
    #[must_use]
    pub const fn errno(self) -> Option<u16> {
        self.row().1
    }

    /// The answer: Mozilla's JSON.
    pub(super) fn response(self) -> Response<Bytes> {
        let (status, errno, message) = self.row();
        let status = StatusCode::from_u16(status).expect("the table holds valid statuses");
        let mut response = Response::new(error_body(status, errno, message));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::Method => headers.insert(ALLOW, HeaderValue::from_static("POST")),
            Self::Gone => headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400")),
            _ => None,
        };
        response
    }
}

/// Mozilla's error JSON.
pub(super) fn error_body(status: StatusCode, errno: Option<u16>, message: &str) -> Bytes {
    let json = serde_json::json!({
        "code": status.as_u16(),
        "errno": errno,
        "error": status.canonical_reason().unwrap_or("Error"),
        "message": message,
        "more_info": "http://autopush.readthedocs.io/en/latest/http.html#error-codes",
    });
    json.to_string().into()
}

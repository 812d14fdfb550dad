//! One push message as an HTTP request (RFC 8030 section 5).

mod legacy;

use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use self::legacy::draft_vapid;
use crate::engine::encryption::Encoded;
use crate::engine::response::RECEIPT;
use crate::{Endpoint, ReceiptUrl, Ttl, Urgency, Vendor, base64url};

const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
const TOPIC: HeaderName = HeaderName::from_static("topic");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const ENCRYPTION: HeaderName = HeaderName::from_static("encryption");
const CRYPTO_KEY: HeaderName = HeaderName::from_static("crypto-key");
const WNS_CACHE_POLICY: HeaderName = HeaderName::from_static("x-wns-cache-policy");
const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The most headers that a request has, so that the map is allocated once. Receipts, which no
/// vendor gives, add two.
const MAX_HEADERS: usize = 10;

/// One push message for one subscription, on its way to an `http::Request`.
///
/// What every push service demands cannot be left out: the constructor takes it. The result is a
/// `POST` to exactly the endpoint (H-3), with `TTL` (H-4) and an exact `Content-Length` (H-13),
/// and with the quirks of the endpoint's vendor.
///
/// ```
/// use http::HeaderValue;
/// use webpush_channels::engine::request::{Body, PushRequest};
/// use webpush_channels::{Endpoint, Ttl, Urgency};
///
/// let endpoint: Endpoint = "https://push.example.net/p/abc?x=%2b".parse()?;
/// let token = HeaderValue::from_static("vapid t=eyJ.eyJ.c2ln, k=BA");
/// let request = PushRequest::new(&endpoint, Ttl::hours(1), token)
///     .with_urgency(Urgency::High)
///     .with_body(Body::Aes128Gcm(vec![0; 144].into()))
///     .into_http();
///
/// assert_eq!(request.uri(), "https://push.example.net/p/abc?x=%2b");
/// assert_eq!(request.headers()["ttl"], "3600");
/// assert_eq!(request.headers()["content-length"], "144");
/// assert!(request.headers()["authorization"].is_sensitive());
/// # Ok::<(), webpush_channels::EndpointError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PushRequest<'a> {
    endpoint: &'a Endpoint,
    ttl: Ttl,
    authorization: HeaderValue,
    urgency: Urgency,
    topic: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    receipts: Option<Receipts>,
    body: Body,
}

impl<'a> PushRequest<'a> {
    /// A message without a body, of normal urgency, that replaces no other.
    ///
    /// `authorization` is the whole value, `vapid t=..., k=...` (RFC 8292 section 3); it is marked
    /// sensitive. Beside a body in the legacy coding it goes out in the form of that time,
    /// `WebPush ...` with the key in `Crypto-Key` (V-30).
    pub fn new(endpoint: &'a Endpoint, ttl: Ttl, mut authorization: HeaderValue) -> Self {
        authorization.set_sensitive(true);
        Self {
            endpoint,
            ttl,
            authorization,
            urgency: Urgency::Normal,
            topic: None,
            content_type: None,
            receipts: None,
            body: Body::Empty,
        }
    }

    /// The same with another urgency. `Normal` is not written: it is what absence means (H-7).
    pub const fn with_urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    /// The same with a `Topic`: the message replaces an undelivered one of the same topic
    /// (RFC 8030 section 5.4). It is marked sensitive: together with the endpoint's owner it tells
    /// what a message is about.
    pub fn with_topic(mut self, mut topic: HeaderValue) -> Self {
        topic.set_sensitive(true);
        self.topic = Some(topic);
        self
    }

    /// The same with another `Content-Type` than `application/octet-stream`, which says nothing of
    /// what was encrypted: the push service reads this one (D-2). A message without a body has
    /// none (H-12).
    pub fn with_content_type(mut self, content_type: HeaderValue) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// The same, asking for a receipt once the message has arrived (`Prefer: respond-async`, RFC
    /// 8030 section 5.1). A push service that gives receipts answers with 202 and names a receipt
    /// subscription; no vendor is known to do so (H-18).
    ///
    /// Give it the subscription that an earlier message to the same origin got, so that the receipts
    /// come together (H-17). One of another origin is not sent: it is a capability, and not that
    /// push service's.
    pub fn with_receipts(mut self, known: Option<&ReceiptUrl>) -> Self {
        self.receipts = Some(Receipts::new(self.endpoint, known));
        self
    }

    /// The same with a body.
    pub fn with_body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// The request, complete: a transport adds nothing but what its connection needs.
    #[must_use]
    pub fn into_http(self) -> Request<Bytes> {
        let mut headers = HeaderMap::with_capacity(MAX_HEADERS);
        headers.insert(TTL, decimal(self.ttl.as_secs().into()));
        if self.urgency != Urgency::Normal {
            headers.insert(URGENCY, HeaderValue::from_static(self.urgency.as_str()));
        }
        if let Some(topic) = self.topic {
            headers.insert(TOPIC, topic);
        }
        headers.insert(AUTHORIZATION, self.authorization);
        if let Some((name, value)) = vendor_header(self.endpoint.vendor(), self.ttl) {
            headers.insert(name, value);
        }
        if let Some(receipts) = self.receipts {
            receipts.write_headers(&mut headers);
        }
        let octets = self.body.write_headers(self.content_type, &mut headers);
        let mut request = Request::new(octets);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.to_uri();
        *request.headers_mut() = headers;
        request
    }
}

/// A wish for receipts, and where they shall go.
#[derive(Clone, Debug)]
struct Receipts(Option<HeaderValue>);

impl Receipts {
    fn new(endpoint: &Endpoint, known: Option<&ReceiptUrl>) -> Self {
        let url = known.and_then(|url| url.as_str().parse::<Endpoint>().ok());
        let own = url.filter(|url| url.origin_str() == endpoint.origin_str());
        Self(own.and_then(|url| {
            let mut link = HeaderValue::try_from(format!("<{}>; rel=\"{RECEIPT}\"", url.as_str())).ok()?;
            link.set_sensitive(true);
            Some(link)
        }))
    }

    fn write_headers(self, headers: &mut HeaderMap) {
        headers.insert(PREFER, HeaderValue::from_static("respond-async"));
        if let Some(link) = self.0 {
            headers.insert(LINK, link);
        }
    }
}

/// What a push message carries.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Body {
    /// Nothing: the service worker gets an event whose `data` is null (H-12).
    #[default]
    Empty,
    /// One record in the `aes128gcm` coding (RFC 8188, RFC 8291).
    Aes128Gcm(Bytes),
    /// One record in the legacy `aesgcm` coding (E-50), whose parameters travel in header fields.
    AesGcm {
        /// The record.
        octets: Bytes,
        /// The salt.
        salt: [u8; 16],
        /// The sender's public key for this message, uncompressed.
        dh: [u8; 65],
    },
}

impl Body {
    /// What an encryptor wrote, in the coding that it says.
    #[must_use]
    pub fn encrypted(encoded: Encoded, octets: Bytes) -> Self {
        match encoded {
            Encoded::Aes128Gcm => Self::Aes128Gcm(octets),
            Encoded::AesGcm { salt, dh } => Self::AesGcm { octets, salt, dh },
        }
    }

    /// Writes the headers that describe the body and returns its octets.
    fn write_headers(self, content_type: Option<HeaderValue>, headers: &mut HeaderMap) -> Bytes {
        let (coding, octets) = match self {
            Self::Empty => ("", Bytes::new()),
            Self::Aes128Gcm(octets) => ("aes128gcm", octets),
            Self::AesGcm { octets, salt, dh } => {
                // E-53. WNS wants the `keyid` that ties the two together (Q-W5).
                let encryption = format!("keyid=p256dh;salt={}", base64url::encode(&salt));
                let mut crypto_key = format!("keyid=p256dh;dh={}", base64url::encode(&dh));
                if let Some((authorization, key)) = headers.get(AUTHORIZATION).and_then(draft_vapid) {
                    crypto_key.extend([";p256ecdsa=", &key]);
                    headers.insert(AUTHORIZATION, authorization);
                }
                headers.insert(ENCRYPTION, text(encryption));
                headers.insert(CRYPTO_KEY, text(crypto_key));
                ("aesgcm", octets)
            }
        };
        if !coding.is_empty() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            headers.insert(CONTENT_TYPE, content_type.unwrap_or(OCTET_STREAM));
        }
        // WNS refuses chunked requests and those without a length (H-13).
        headers.insert(CONTENT_LENGTH, decimal(octets.len() as u64));
        octets
    }
}

/// The length only.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Aes128Gcm(octets) => write!(f, "Aes128Gcm({} octets)", octets.len()),
            Self::AesGcm { octets, .. } => write!(f, "AesGcm({} octets)", octets.len()),
        }
    }
}

/// A number as `http` writes it too, in one allocation instead of two: two numbers a push.
fn decimal(number: u64) -> HeaderValue {
    const ZERO: HeaderValue = HeaderValue::from_static("0");
    let (mut digits, mut left) = ([0; 20], number);
    let mut start = digits.len();
    while left > 0 {
        start -= 1;
        digits[start] = b'0' + u8::try_from(left % 10).expect("a remainder of ten");
        left /= 10;
    }
    if number == 0 { ZERO } else { HeaderValue::from_bytes(&digits[start..]).expect("digits are ASCII") }
}

fn text(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("base64url and parts of headers are ASCII")
}

/// What one vendor wants beyond the RFCs.
fn vendor_header(vendor: Vendor, ttl: Ttl) -> Option<(HeaderName, HeaderValue)> {
    match vendor {
        // Q-W1: TTL 0 conflicts with the default policy, which is to cache.
        Vendor::Wns => {
            let policy = if ttl == Ttl::ZERO { "no-cache" } else { "cache" };
            Some((WNS_CACHE_POLICY, HeaderValue::from_static(policy)))
        }
        Vendor::Apple | Vendor::Fcm | Vendor::Mozilla | Vendor::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_allocated_once() {
        let endpoint: Endpoint = "https://a.notify.windows.com/w/?token=x".parse().unwrap();
        let request = PushRequest::new(&endpoint, Ttl::ZERO, HeaderValue::from_static("vapid t=a, k=b"))
            .with_urgency(Urgency::Low)
            .with_topic(HeaderValue::from_static("t"))
            .with_body(Body::AesGcm { octets: Bytes::from_static(b"x"), salt: [0; 16], dh: [4; 65] })
            .into_http();
        assert_eq!(request.headers().len(), MAX_HEADERS);
        assert_eq!(
            request.headers().capacity(),
            HeaderMap::<HeaderValue>::with_capacity(MAX_HEADERS).capacity()
        );
    }

    #[test]
    fn receipts_are_asked_for_and_a_known_subscription_goes_to_its_own_origin_only() {
        let endpoint: Endpoint = "https://push.example.net/p/1".parse().unwrap();
        let headers = |known: Option<&str>| {
            let known = known.map(|url| ReceiptUrl::from(url.parse::<Endpoint>().unwrap()));
            let request = PushRequest::new(&endpoint, Ttl::ZERO, HeaderValue::from_static("vapid t=a, k=b"));
            assert!(!request.clone().into_http().headers().contains_key("prefer"), "off (H-18)");
            let request = request.with_receipts(known.as_ref());
            assert!(!format!("{request:?}").contains("SECRET"), "{request:?}");
            request.into_http().headers().clone()
        };
        let with_link = headers(Some("https://push.example.net/r/SECRET"));
        assert_eq!(with_link["prefer"], "respond-async");
        assert_eq!(
            with_link["link"],
            r#"<https://push.example.net/r/SECRET>; rel="urn:ietf:params:push:receipt""#
        );
        assert!(with_link["link"].is_sensitive());
        for none in [None, Some("https://push.example.net:8443/r/1"), Some("https://elsewhere.example/r/1")] {
            let headers = headers(none);
            assert_eq!((headers.contains_key("prefer"), headers.contains_key("link")), (true, false));
        }
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 4096, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(decimal(number), HeaderValue::from(number));
        }
    }

    #[test]
    fn debug_hides_token_topic_and_content() {
        let endpoint: Endpoint = "https://push.example.net/SECRET-PATH".parse().unwrap();
        let request = PushRequest::new(&endpoint, Ttl::ZERO, HeaderValue::from_static("vapid t=SECRET, k=b"))
            .with_topic(HeaderValue::from_static("SECRET-TOPIC"))
            .with_body(Body::Aes128Gcm(Bytes::from_static(b"SECRET")));
        let shown = format!("{request:?}");
        assert!(!shown.contains("SECRET"), "{shown}");
        assert!(shown.contains("Aes128Gcm(6 octets)"), "{shown}");
    }
}

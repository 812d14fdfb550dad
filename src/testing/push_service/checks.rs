//! What a request must look like, as the strictest vendor sees it.

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST,
    HeaderName, ORIGIN, PROXY_AUTHORIZATION, REFERER, TRANSFER_ENCODING,
};
use http::request::Parts;

use super::violation::Violation;
use crate::testing::DecryptError;
use crate::testing::user_agent::Fields;

/// A service need not take more (RFC 8030 section 7.2).
pub(super) const MAX_BODY: usize = 4096;
/// Thirty days: where Mozilla and Apple cut (H-6).
pub(super) const MAX_TTL: u32 = 2_592_000;

pub(super) const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
pub(super) const TOPIC: HeaderName = HeaderName::from_static("topic");
pub(super) const CRYPTO_KEY: HeaderName = HeaderName::from_static("crypto-key");
pub(super) const ENCRYPTION: HeaderName = HeaderName::from_static("encryption");

/// What would tell who the user is, or let a proxy in between speak (H-14, H-19).
const AMBIENT: [HeaderName; 10] = [
    COOKIE,
    REFERER,
    ORIGIN,
    PROXY_AUTHORIZATION,
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("push-receipt"),
];

const SINGLE: [HeaderName; 10] = [
    TTL,
    URGENCY,
    TOPIC,
    AUTHORIZATION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CRYPTO_KEY,
    ENCRYPTION,
    HOST,
];

/// What a request's headers ask for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Seconds granted.
    pub(super) ttl: u32,
    pub(super) topic: Option<Box<str>>,
}

/// A body as it was read: its first octets, and how long it was altogether.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    pub(super) octets: Vec<u8>,
    pub(super) length: usize,
}

impl Body {
    /// Keeps what an acceptable body can hold and counts the rest.
    pub(super) fn push(&mut self, data: &[u8]) {
        let room = MAX_BODY.saturating_sub(self.octets.len());
        self.octets.extend_from_slice(&data[..data.len().min(room)]);
        self.length = self.length.saturating_add(data.len());
    }
}

/// Everything that does not need the token: framing first, as a server sees it.
pub(super) fn check_framing(head: &Parts, authority: &str) -> Result<(), Violation> {
    let headers = &head.headers;
    let named = head.uri.authority().map(http::uri::Authority::as_str);
    let host = headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
    if SINGLE.iter().any(|name| headers.get_all(name).iter().nth(1).is_some()) {
        return Err(Violation::Duplicate);
    }
    if named.or(host) != Some(authority) || host.is_some_and(|host| host != authority) {
        return Err(Violation::Authority);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Violation::TransferEncoding);
    }
    if headers.contains_key(EXPECT) {
        return Err(Violation::Expect);
    }
    if headers.contains_key(CONTENT_LENGTH) { Ok(()) } else { Err(Violation::ContentLengthMissing) }
}

/// The message's own headers.
pub(super) fn check_message(headers: &HeaderMap, body: &Body) -> Result<Asked, Violation> {
    if AMBIENT.iter().any(|name| headers.contains_key(name)) {
        return Err(Violation::AmbientHeader);
    }
    if body.length > MAX_BODY {
        return Err(Violation::TooLarge);
    }
    let ttl = granted_ttl(text(headers, &TTL).ok_or(Violation::Ttl)?)?;
    check_coding(headers, body)?;
    match text(headers, &URGENCY) {
        None | Some("very-low" | "low" | "normal" | "high") => {}
        Some(_) => return Err(Violation::Urgency),
    }
    let topic = text(headers, &TOPIC);
    if topic.is_some_and(|topic| !is_topic(topic)) {
        return Err(Violation::Topic);
    }
    Ok(Asked { ttl, topic: topic.map(Into::into) })
}

/// `1*DIGIT`; what does not fit is the longest there is (H-4).
fn granted_ttl(text: &str) -> Result<u32, Violation> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Violation::Ttl);
    }
    Ok(text.parse().unwrap_or(u32::MAX).min(MAX_TTL))
}

fn check_coding(headers: &HeaderMap, body: &Body) -> Result<(), Violation> {
    match text(headers, &CONTENT_ENCODING) {
        None if body.length == 0 => Ok(()),
        None => Err(Violation::ContentEncodingMissing),
        Some("aes128gcm") if body.length > 0 => check_no_legacy(headers),
        Some("aesgcm") if body.length > 0 => check_legacy(headers),
        Some(_) => Err(Violation::ContentEncoding),
    }
}

/// E-53: what browsers need to open it.
fn check_legacy(headers: &HeaderMap) -> Result<(), Violation> {
    match Fields::parse(headers) {
        Ok(fields) if fields.dh.len() == 65 => Ok(()),
        Err(DecryptError::EncryptionField) => Err(Violation::LegacyEncryption),
        _ => Err(Violation::LegacyCryptoKey),
    }
}

/// V-31.
fn check_no_legacy(headers: &HeaderMap) -> Result<(), Violation> {
    let has = |name, parameter| {
        let parameters = text(headers, name).unwrap_or_default();
        parameters.split([',', ';']).any(|part| part.trim_start().starts_with(parameter))
    };
    match (has(&CRYPTO_KEY, "dh="), has(&ENCRYPTION, "salt=")) {
        (true, _) => Err(Violation::CryptoKey),
        (_, true) => Err(Violation::Encryption),
        _ => Ok(()),
    }
}

/// Apple decodes the value, which a length of 1 modulo 4 does not allow (H-9).
fn is_topic(topic: &str) -> bool {
    (1..=32).contains(&topic.len())
        && topic.len() % 4 != 1
        && topic.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
}

/// A header's text; what is not text is empty, which no rule accepts.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_digits_and_is_cut_at_thirty_days() {
        for (text, granted) in [
            ("0", Ok(0)),
            ("0060", Ok(60)),
            ("2592000", Ok(MAX_TTL)),
            ("2592001", Ok(MAX_TTL)),
            ("99999999999999999999999", Ok(MAX_TTL)),
            ("", Err(Violation::Ttl)),
            ("-1", Err(Violation::Ttl)),
            ("+1", Err(Violation::Ttl)),
            ("60.5", Err(Violation::Ttl)),
            ("1 ", Err(Violation::Ttl)),
        ] {
            assert_eq!(granted_ttl(text), granted, "{text:?}");
        }
    }

    #[test]
    fn a_topic_is_what_apple_can_decode() {
        for topic in ["ab", "abc", "abcd-_Z9", &"a".repeat(32)] {
            assert!(is_topic(topic), "{topic}");
        }
        for topic in ["", "a", "abcde", "a+b/", "ab==", "a.bc", "a bc", &"a".repeat(33), &"a".repeat(34)] {
            assert!(!is_topic(topic), "{topic}");
        }
    }

    #[test]
    fn a_body_is_counted_whole_and_kept_in_part() {
        let mut body = Body::default();
        body.push(&[1; 4000]);
        body.push(&[2; 4000]);
        assert_eq!((body.octets.len(), body.length), (4096, 8000));
    }
}

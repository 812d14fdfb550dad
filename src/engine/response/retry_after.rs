//! `Retry-After` (RFC 9110 section 10.2.3).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// What is longer is clamped. A sender caps much lower (R-7); this keeps sums from overflowing.
const MAX_SECONDS: u64 = 1 << 31;

/// How long the response asks to wait: seconds, or an HTTP date in any of its three forms
/// (R-6). A date in the past is zero.
///
/// None where the header is absent, unreadable, a list or given twice. At most 2^31 seconds; a
/// stranger chose the value, so cap it before waiting (R-7).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
/// use webpush_channels::engine::response::retry_after;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(RETRY_AFTER, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_717);
/// assert_eq!(retry_after(&headers, now), Some(Duration::from_secs(60)));
/// ```
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let mut values = headers.get_all(RETRY_AFTER).iter();
    let value = values.next()?.to_str().ok()?.trim_matches([' ', '\t']);
    if values.next().is_some() || value.is_empty() {
        return None;
    }
    let seconds = if value.bytes().all(|octet| octet.is_ascii_digit()) {
        // Only overflow is left to fail.
        value.parse().unwrap_or(MAX_SECONDS)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        until.duration_since(now).map_or(0, |left| left.as_secs())
    };
    Some(Duration::from_secs(seconds.min(MAX_SECONDS)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn two_headers_are_no_answer() {
        let mut headers = HeaderMap::new();
        headers.append(RETRY_AFTER, HeaderValue::from_static("120"));
        assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), Some(Duration::from_secs(120)));
        headers.append(RETRY_AFTER, HeaderValue::from_static("60"));
        assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), None);
    }

    #[test]
    fn a_far_date_is_clamped() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), Some(Duration::from_secs(MAX_SECONDS)));
    }
}

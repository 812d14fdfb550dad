//! `Location` and `TTL` of a response.

use http::header::LOCATION;
use http::{HeaderMap, HeaderName};

use crate::outcome::MessageUrl;
use crate::{Endpoint, Ttl};

const TTL: HeaderName = HeaderName::from_static("ttl");

/// The push message resource of an accepted message (H-15). Any origin: it is kept, not called.
pub(super) fn message_url(endpoint: &Endpoint, headers: &HeaderMap) -> Option<MessageUrl> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    MessageUrl::at_origin_of(endpoint, location).or_else(|| resolve(endpoint, location).map(Into::into))
}

/// Where a push resource moved for good. Only the same origin may replace a stored endpoint
///
pub(super) fn moved_to(endpoint: &Endpoint, headers: &HeaderMap) -> Option<Endpoint> {
    at_origin_of(endpoint, headers.get(LOCATION)?.to_str().ok()?)
}

/// Where a reference leads, if that is at the endpoint's own origin.
pub(super) fn at_origin_of(endpoint: &Endpoint, reference: &str) -> Option<Endpoint> {
    resolve(endpoint, reference).filter(|url| url.origin_str() == endpoint.origin_str())
}

/// An absolute URL, or an absolute path below the endpoint's origin. Other relative references
/// (RFC 3986 section 4.2) are not known from any push service, and `//host` leads elsewhere.
fn resolve(endpoint: &Endpoint, location: &str) -> Option<Endpoint> {
    if location.len() > Endpoint::MAX_LEN || location.starts_with("//") {
        return None;
    }
    if location.starts_with('/') {
        return format!("{}{location}", endpoint.origin_str()).parse().ok();
    }
    location.parse().ok()
}

/// The lifetime that was granted (RFC 8030 section 5.2). A service must not raise it: a larger
/// value is read as the requested one.
pub(super) fn granted_ttl(requested: Ttl, headers: &HeaderMap) -> Option<Ttl> {
    let text = headers.get(TTL)?.to_str().ok()?;
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    // Only overflow is left to fail.
    Some(text.parse().map_or(requested, Ttl::from_secs).min(requested))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn kept(location: &str) -> Option<String> {
        let endpoint = "https://push.example.net:8443/p/x".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(location).unwrap());
        message_url(&endpoint, &headers).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn a_location_is_absolute_or_an_absolute_path() {
        for (location, expected) in [
            ("https://push.example.net/m/1", Some("https://push.example.net/m/1")),
            ("https://elsewhere.example/m/1?a", Some("https://elsewhere.example/m/1?a")),
            ("https://push.example.net:8443/m/1", Some("https://push.example.net:8443/m/1")),
            ("https://push.example.net:8443/m 1", None),
            ("https://push.example.net:8443/m#1", None),
            ("https://push.example.net:8443@elsewhere.example/m", None),
            ("/m/1?a=%2b", Some("https://push.example.net:8443/m/1?a=%2b")),
            ("//elsewhere.example/m/1", None),
            ("m/1", None),
            ("", None),
            ("ftp://push.example.net/m", None),
            ("javascript:alert(1)", None),
            ("https://u:p@push.example.net/m", None),
            ("/m#fragment", None),
        ] {
            assert_eq!(kept(location).as_deref(), expected, "{location}");
        }
        assert_eq!(kept(&format!("/{}", "x".repeat(2048))), None);
        assert_eq!(kept(&format!("https://push.example.net:8443/{}", "x".repeat(2048))), None);
    }

    #[test]
    fn an_endpoint_moves_within_its_origin_only() {
        let endpoint = "https://push.example.net/p/x".parse().unwrap();
        for (location, taken) in [
            ("https://push.example.net/p/y", true),
            ("HTTPS://PUSH.example.net:443/p/y", true),
            ("/p/y", true),
            ("http://push.example.net/p/y", false),
            ("https://push.example.net:8443/p/y", false),
            ("https://push.example.net.evil.example/", false),
            ("http://169.254.169.254/", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            assert_eq!(moved_to(&endpoint, &headers).is_some(), taken, "{location}");
        }
    }
}

//! WNS: empty bodies, everything is in headers, and success may not be one (Q-W3).

use std::fmt::Write as _;

use http::{HeaderMap, StatusCode};

use super::{Class, Finding, detail};

/// What Microsoft's support asks for, beside the description and the status.
const SUPPORT: [(&str, &str); 4] = [
    ("x-wns-deviceconnectionstatus", "device"),
    ("x-wns-debug-trace", "trace"),
    ("x-wns-msg-id", "message"),
    ("ms-cv", "MS-CV"),
];

pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Finding {
    let message_status = text(headers, "x-wns-status").or_else(|| text(headers, "x-wns-notificationstatus"));
    let is = |word: &str| message_status.is_some_and(|text| text.trim().eq_ignore_ascii_case(word));
    let description = text(headers, "x-wns-error-description").unwrap_or_default();
    let class = match status.as_u16() {
        200..=299 if is("dropped") => Some(Class::AcceptedDropped),
        200..=299 if is("channelthrottled") => Some(Class::RateLimited),
        200..=299 => return Finding::default(),
        // Which header says so is not documented (Q-W4).
        403 | 410 if detail::contains(description.as_bytes(), "block") || detail::contains(body, "block") => {
            Some(Class::SenderBlocked)
        }
        _ => None,
    };
    let mut reason = description.to_owned();
    let said = message_status.map(|text| ("status", text));
    let support = SUPPORT.iter().filter_map(|(name, label)| Some((*label, text(headers, name)?)));
    for (label, value) in said.into_iter().chain(support) {
        let separator = if reason.is_empty() { "" } else { "; " };
        // Writing to a string cannot fail.
        let _ = write!(reason, "{separator}{label} {value}");
    }
    if reason.is_empty() {
        reason = detail::plain(body).unwrap_or_default();
    }
    Finding { class, reason: Some(reason), advice: advice(description) }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
}

fn advice(description: &str) -> Option<&'static str> {
    let says = |fragment| detail::contains(description.as_bytes(), fragment);
    if says("ttl") {
        Some("send `X-WNS-Cache-Policy: no-cache` with TTL 0 and `cache` with any other")
    } else if says("duplicate tokens") {
        Some("send one Authorization header, `vapid t=<JWT>, k=<key>`, and no Crypto-Key without keyid")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_headers_for_support_are_kept() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-wns-error-description", "Bad thing."),
            ("x-wns-status", "dropped"),
            ("ms-cv", "abc.1"),
            ("x-wns-debug-trace", "BN3"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let finding = read(StatusCode::BAD_REQUEST, &headers, b"");
        assert_eq!(finding.reason.as_deref(), Some("Bad thing.; status dropped; trace BN3; MS-CV abc.1"));
        assert_eq!(finding.class, None);
    }

    #[test]
    fn a_blocked_domain_is_no_dead_subscription() {
        let read = |status, body| read(status, &HeaderMap::new(), body).class;
        assert_eq!(read(StatusCode::GONE, b"Domain Blocked"), Some(Class::SenderBlocked));
        assert_eq!(read(StatusCode::GONE, b""), None);
        assert_eq!(read(StatusCode::NOT_FOUND, b"blocked"), None);
    }
}

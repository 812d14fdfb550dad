//! A push service's answer: the verdict is what the status can prove, and what is kept of it is bounded and clean.
//!
//! Input: a line `STATUS HOST TTL`, header lines, an empty line, the body.
#![no_main]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::cancel::{self, CancelVerdict};
use webpush_channels::engine::response::{Verdict, classify, retry_after};
use webpush_channels::{Endpoint, Ttl, Vendor};
use webpush_channels_fuzz::Fields;

const HOSTS: [&str; 5] = [
    "push.example.net",
    "web.push.apple.com",
    "fcm.googleapis.com",
    "db5p.notify.windows.com",
    "updates.push.services.mozilla.com",
];
/// Parts of the endpoint, which is a capability (S-12).
const SECRETS: [&str; 3] = ["gAAAAsecret-1", "BQ2bAqwertz", "tokenpath"];

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let line = fields.line();
    let mut words = line.split(' ');
    let status = words.next().and_then(|word| word.parse::<u16>().ok());
    let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) else { return };
    let host = words.next().and_then(|word| word.parse::<usize>().ok()).unwrap_or_default() % HOSTS.len();
    let ttl = words.next().and_then(|word| word.parse().ok()).unwrap_or(Ttl::hours(1));
    let endpoint: Endpoint = format!("https://{}/tokenpath/gAAAAsecret-1?t=BQ2bAqwertz", HOSTS[host])
        .parse()
        .expect("a plain URL");
    let response = response(status, fields);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);

    let classified = classify(&endpoint, ttl, &response, now);
    assert_eq!(classify(&endpoint, ttl, &response, now), classified);
    let after = retry_after(response.headers(), now);
    assert!(after.is_none_or(|after| after <= Duration::from_secs(1 << 31)));
    check_verdict(&classified.verdict, status, &endpoint, ttl, after);
    check_cancel(cancel::classify(&response, now), status, after);
    assert_eq!(classified.detail.status, status.as_u16());
    if let Some(reason) = &classified.detail.reason {
        assert!(!reason.is_empty() && reason.chars().count() <= 256);
        assert!(!reason.chars().any(char::is_control), "it is one line (S-9)");
        assert!(!SECRETS.iter().any(|secret| reason.contains(secret)), "{reason}");
    }
    let shown = format!("{classified:?} {}", classified.detail);
    assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{shown}");
});

fn response(status: StatusCode, mut fields: Fields<'_>) -> Response<Bytes> {
    let mut headers = Vec::new();
    while !fields.is_empty() {
        let line = fields.line();
        if line.is_empty() {
            break;
        }
        headers.push(line);
    }
    let mut response = Response::new(Bytes::copy_from_slice(fields.rest()));
    *response.status_mut() = status;
    for line in headers {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.trim())) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn check_verdict(
    verdict: &Verdict,
    status: StatusCode,
    endpoint: &Endpoint,
    ttl: Ttl,
    retry_after: Option<Duration>,
) {
    let code = status.as_u16();
    let wns = endpoint.vendor() == Vendor::Wns;
    match verdict {
        Verdict::Accepted { message_url, granted_ttl, receipt_url, .. } => {
            assert!(status.is_success());
            assert!(granted_ttl.is_none_or(|granted| granted <= ttl), "R-2");
            let origin = endpoint.origin();
            if let Some(url) = receipt_url {
                assert!(code == 202 && url.as_str().starts_with(origin.as_str()), "H-17");
            }
            if let Some(url) = message_url {
                let url = url.as_str();
                let here = url.strip_prefix(origin.as_str()).is_some_and(|path| path.starts_with('/'));
                assert!(here || url.parse::<Endpoint>().is_ok_and(|parsed| parsed.as_str() == url), "{url}");
                assert!(url.len() <= Endpoint::MAX_LEN && url.bytes().all(|octet| octet.is_ascii_graphic()));
            }
        }
        Verdict::AcceptedDropped => assert!(wns && status.is_success()),
        Verdict::Gone => assert!(code == 404 || code == 410, "removal needs proof (R-20)"),
        Verdict::Moved { location, permanent } => {
            assert!(status.is_redirection());
            assert_eq!(*permanent, code == 301 || code == 308);
            if let Some(location) = location {
                assert!(*permanent && location.origin() == endpoint.origin(), "R-40");
            }
        }
        Verdict::RateLimited { after } => {
            assert_eq!(*after, retry_after);
            assert!(!status.is_success() || wns);
        }
        Verdict::Retry { after } => {
            assert_eq!(*after, retry_after);
            assert!(code >= 400);
        }
        Verdict::AuthError
        | Verdict::BadRequest
        | Verdict::KeyMismatch
        | Verdict::PayloadTooLarge
        | Verdict::SenderBlocked => assert!(code >= 400, "{status}"),
        Verdict::Unexpected => assert!(!status.is_success() && !status.is_redirection()),
        other => panic!("{other:?} is not in this list"),
    }
}

/// The answer to a `DELETE` of a message.
fn check_cancel(verdict: CancelVerdict, status: StatusCode, retry_after: Option<Duration>) {
    let code = status.as_u16();
    match verdict {
        CancelVerdict::Cancelled => assert!(status.is_success()),
        CancelVerdict::Gone => assert!(code == 404 || code == 410),
        CancelVerdict::Retry { after } => assert!(after == retry_after && code >= 400),
        CancelVerdict::Unsupported => assert!(code == 501 || status.is_client_error()),
        CancelVerdict::Unexpected => assert!(!status.is_success()),
        other => panic!("{other:?} is not in this list"),
    }
}

//! `Location` and `Link`: where an accepted message is and how it is taken back, where its receipts come, and where an
//! endpoint has moved to.
//!
//! Input: a line with the endpoint, a line with `Location`, lines with `Link`.
#![no_main]

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, LINK, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Response};
use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::cancel::{self, CancelUrlError};
use webpush_channels::engine::request::PushRequest;
use webpush_channels::engine::response::{Verdict, classify};
use webpush_channels::{Endpoint, MessageUrl, ReceiptUrl, Ttl};
use webpush_channels_fuzz::Fields;

const RECEIPT: &str = "urn:ietf:params:push:receipt";

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let line = fields.line();
    let url = if line.is_empty() { "https://push.example.net/p/x" } else { &line };
    let Ok(endpoint) = url.parse::<Endpoint>() else { return };
    let location = fields.line();
    if let Ok(value) = HeaderValue::from_bytes(location.as_bytes()) {
        check_message(&endpoint, &value);
        check_moved(&endpoint, &value);
    }
    let mut links = Vec::new();
    while !fields.is_empty() {
        links.push(fields.line());
    }
    check_links(&endpoint, &links);
    if let [path, text, ..] = &links[..] {
        check_written(&endpoint, path, text);
    }
});

/// A path on this host, and not `//host` (RFC 3986 section 4.2).
fn path(location: &HeaderValue) -> Option<&str> {
    location.to_str().ok().filter(|text| text.starts_with('/') && !text.starts_with("//"))
}

fn check_message(endpoint: &Endpoint, location: &HeaderValue) {
    let origin = endpoint.origin();
    let Some(message_url) = accepted(endpoint, 201, &[(LOCATION, location)]).0 else { return };
    let url = message_url.as_str();
    assert!(url.len() <= Endpoint::MAX_LEN && url.bytes().all(|octet| octet.is_ascii_graphic()));
    match path(location) {
        Some(path) => assert_eq!(url, format!("{}{path}", origin.as_str())),
        None => assert!(url.starts_with("https://") || url.starts_with("http://")),
    }
    let here = url.strip_prefix(origin.as_str()).is_some_and(|path| path.starts_with('/'));
    let target = url.parse::<Endpoint>();
    assert!(here || target.is_ok(), "{url}");

    // It is asked where the message was sent to, and nowhere else (H-16).
    match (cancel::request(endpoint, &message_url), target) {
        (Ok(request), Ok(target)) => {
            assert_eq!((target.origin(), request.method()), (origin, &Method::DELETE));
            assert_eq!(request.uri().host(), Some(endpoint.host()));
            let default = if endpoint.is_https() { 443 } else { 80 };
            assert_eq!(request.uri().port_u16().unwrap_or(default), endpoint.port());
            assert_eq!(request.headers().keys().collect::<Vec<_>>(), [CONTENT_LENGTH], "no credentials");
            assert!(request.body().is_empty());
        }
        (Err(CancelUrlError::OtherOrigin), Ok(target)) => assert_ne!(target.origin(), origin),
        (Err(CancelUrlError::Malformed), Err(_)) => {}
        (asked, target) => panic!("{url}: {asked:?}, {target:?}"),
    }
}

fn check_moved(endpoint: &Endpoint, value: &HeaderValue) {
    for (status, for_good) in [(301, true), (308, true), (302, false), (307, false)] {
        let Verdict::Moved { location, permanent } = answer(endpoint, status, &[(LOCATION, value)]) else {
            panic!("{status} is a redirect")
        };
        assert_eq!(permanent, for_good);
        let Some(location) = location else { continue };
        assert!(permanent, "only what is for good replaces an endpoint");
        assert_eq!(location.origin(), endpoint.origin(), "R-40");
        if let Some(path) = path(value) {
            assert_eq!(location.as_str(), format!("{}{path}", endpoint.origin().as_str()));
        }
    }
}

/// A receipt subscription is of the endpoint's own origin, and goes nowhere else (H-17).
fn check_links(endpoint: &Endpoint, links: &[String]) {
    let values: Vec<_> =
        links.iter().filter_map(|link| HeaderValue::from_bytes(link.as_bytes()).ok()).collect();
    let headers: Vec<_> = values.iter().map(|value| (LINK, value)).collect();
    assert_eq!(accepted(endpoint, 201, &headers).1, None, "only 202 announces receipts");
    let Some(receipt_url) = accepted(endpoint, 202, &headers).1 else { return };
    let target = receipt_url.as_str().parse::<Endpoint>().expect("it is a plain URL");
    assert_eq!(target.origin(), endpoint.origin());

    let asked = asking(endpoint, &receipt_url);
    let again = accepted(endpoint, 202, &[(LINK, &asked[LINK])]).1;
    assert_eq!(again, Some(receipt_url.clone()), "what is written can be read");
    assert!(asked[LINK].is_sensitive());
    let elsewhere = "https://elsewhere.example/p".parse().expect("a plain URL");
    assert!(
        target.origin().as_str() == "https://elsewhere.example"
            || !asking(&elsewhere, &receipt_url).contains_key(LINK)
    );
}

/// A link that is written by the rules is found, whatever text stands beside it.
fn check_written(endpoint: &Endpoint, path: &str, text: &str) {
    if !path.starts_with('/') || path.starts_with("//") {
        return;
    }
    let Ok(target) = format!("{}{path}", endpoint.origin().as_str()).parse::<Endpoint>() else { return };
    let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let link = format!("</other>; rel=next; title={quoted}, <{path}>; title={quoted}; rel=\"up {RECEIPT}\"");
    let Ok(value) = HeaderValue::from_bytes(link.as_bytes()) else { return };
    let found = accepted(endpoint, 202, &[(LINK, &value)]).1;
    assert_eq!(found.as_ref().map(ReceiptUrl::as_str), Some(target.as_str()), "{link}");
}

fn asking(endpoint: &Endpoint, known: &ReceiptUrl) -> HeaderMap {
    let token = HeaderValue::from_static("vapid t=eyJ.eyJ.c2ln, k=BA");
    PushRequest::new(endpoint, Ttl::hours(1), token).with_receipts(Some(known)).into_http().headers().clone()
}

fn accepted(
    endpoint: &Endpoint,
    status: u16,
    headers: &[(http::HeaderName, &HeaderValue)],
) -> (Option<MessageUrl>, Option<ReceiptUrl>) {
    match answer(endpoint, status, headers) {
        Verdict::Accepted { message_url, receipt_url, .. } => (message_url, receipt_url),
        // WNS says what became of it in headers of its own, of which there are none.
        verdict => panic!("a header does not undo success: {verdict:?}"),
    }
}

fn answer(endpoint: &Endpoint, status: u16, headers: &[(http::HeaderName, &HeaderValue)]) -> Verdict {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status.try_into().expect("a status");
    for (name, value) in headers {
        response.headers_mut().append(name, (*value).clone());
    }
    classify(endpoint, Ttl::hours(1), &response, SystemTime::UNIX_EPOCH).verdict
}

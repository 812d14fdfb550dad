//! A URL that a stranger registers: it means one thing to every parser, and no policy takes what leads inside.
#![no_main]

use std::str::FromStr;

use http::Uri;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use sha2::{Digest, Sha256};
use webpush_channels::{Endpoint, EndpointPolicy, SubscriptionId, Vendor};
use webpush_channels_fuzz::{as_address, whole};

/// A push service of one's own.
const OWN: &str = "https://push.corp.internal:8443";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = SubscriptionId::from_str(text) {
        assert_eq!(id.to_string(), text);
    }
    let deserialized = Endpoint::deserialize(StrDeserializer::<Error>::new(text));
    match Endpoint::from_str(text) {
        Ok(endpoint) => {
            assert_eq!(deserialized.as_ref(), Ok(&endpoint));
            check_syntax(text, &endpoint);
            check_id(&endpoint);
            check_policies(&endpoint);
        }
        Err(error) => {
            whole(&error);
            assert!(deserialized.is_err());
        }
    }
});

fn check_syntax(text: &str, endpoint: &Endpoint) {
    let url = endpoint.as_str();
    assert_eq!(url.parse::<Endpoint>().as_ref(), Ok(endpoint), "parsing is idempotent");
    assert!(url.len() <= Endpoint::MAX_LEN && url.bytes().all(|octet| octet.is_ascii_graphic()));
    assert!(!url.contains(['#', '\\', '"', '<', '>']));

    let origin = endpoint.origin();
    let path = url.strip_prefix(origin.as_str()).expect("a URL begins with its origin");
    assert!(path.is_empty() || path.starts_with(['/', '?']));
    assert!(text.ends_with(path), "path and query stay byte for byte (H-3)");
    let root =
        format!("{}/", origin.as_str()).parse::<Endpoint>().expect("an origin is the URL of something");
    assert_eq!(root.origin(), origin);

    // The client's parser reads the same.
    let uri: Uri = url.parse().expect("an endpoint is a URI");
    assert_eq!(uri.host(), Some(endpoint.host()));
    assert_eq!(uri.scheme_str(), Some(if endpoint.is_https() { "https" } else { "http" }));
    let default = if endpoint.is_https() { 443 } else { 80 };
    assert_eq!(uri.port_u16().unwrap_or(default), endpoint.port());
    assert!(endpoint.port() != 0);
    let kept = uri.path_and_query().map_or("", |kept| kept.as_str());
    assert!(kept == path || kept.strip_prefix('/') == Some(path));

    let shown = format!("Endpoint({}/[redacted])", origin.as_str());
    assert_eq!(format!("{endpoint:?}"), shown, "what a log shows is the origin (S-12)");
}

/// As the service before this one computed it.
fn check_id(endpoint: &Endpoint) {
    let json = serde_json::to_string(endpoint).expect("a text is JSON");
    assert_eq!(SubscriptionId::of(endpoint).as_bytes()[..], Sha256::digest(json)[..]);
}

fn check_policies(endpoint: &Endpoint) {
    let allows = |policy: EndpointPolicy| policy.check(endpoint).is_ok();
    let known = allows(EndpointPolicy::known_vendors());
    let public = allows(EndpointPolicy::public_internet());
    let loopback = allows(EndpointPolicy::loopback_for_tests());
    assert_eq!(allows(EndpointPolicy::custom(|_| true)), public, "a predicate only narrows");
    assert!(!allows(EndpointPolicy::custom(|_| false)));
    assert_eq!(known, public && endpoint.vendor() != Vendor::Other);

    // An own push service is the one origin, and https (H-2).
    let own: Endpoint = OWN.parse().expect("a plain URL");
    let here = endpoint.origin() == own.origin();
    assert_eq!(allows(EndpointPolicy::known_vendors().with_origin(own.origin())), known || here);
    let of_this = EndpointPolicy::public_internet().with_origin(endpoint.origin());
    assert_eq!(allows(of_this), endpoint.is_https());
    let with_port = allows(EndpointPolicy::public_internet().with_port(8443));
    assert!(with_port == public || endpoint.port() == 8443);

    let host = endpoint.host();
    if public {
        assert!(endpoint.is_https() && endpoint.port() == 443);
        assert_eq!(as_address(host), None, "{host} is an address to somebody");
        assert!(is_public_name(host), "{host}");
    }
    if loopback {
        assert!(!public);
        let address = as_address(host);
        assert!(host == "localhost" || address.is_some_and(|address| address.is_loopback()), "{host}");
    }
}

fn is_public_name(host: &str) -> bool {
    let labels: Vec<&str> = host.trim_end_matches('.').rsplit('.').collect();
    let local = ["local", "localhost", "internal", "invalid", "test", "onion"];
    labels.len() > 1 && !local.contains(&labels[0]) && labels[..2] != ["arpa", "home"]
}

//! The addresses and URLs of `derived-ssrf-addresses`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use webpush_channels::{AddressPolicy, Endpoint, EndpointPolicy};

fn cases(list: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap();
    let all = vectors["vectors"].as_array().unwrap();
    let ssrf = all.iter().find(|vector| vector["id"] == "derived-ssrf-addresses").unwrap();
    ssrf[list].as_array().unwrap().clone()
}

/// Each address, and whether it is forbidden.
pub fn addresses() -> Vec<(IpAddr, bool)> {
    let parsed =
        |case: &Value| (case["address"].as_str().unwrap().parse().unwrap(), case["block"].as_bool().unwrap());
    cases("cases").iter().map(parsed).collect()
}

#[test]
fn each_address_is_allowed_or_not() {
    let addresses = addresses();
    assert_eq!(addresses.len(), 48);
    for (address, forbidden) in addresses {
        assert_eq!(AddressPolicy::public().allows(address), !forbidden, "{address}");
    }
}

#[test]
fn each_url_is_refused_when_it_is_read_or_by_every_policy() {
    let cases = cases("url_cases");
    assert_eq!(cases.len(), 19);
    for case in cases {
        assert_eq!(case["reject"], true);
        let url = case["url"].as_str().unwrap();
        let Ok(endpoint) = url.parse::<Endpoint>() else { continue };
        for policy in [
            EndpointPolicy::public_internet(),
            EndpointPolicy::known_vendors(),
            EndpointPolicy::custom(|_| true),
        ] {
            assert!(policy.check(&endpoint).is_err(), "{url}: {}", case["why"]);
        }
    }
}

/// Every way in which an IPv6 address says an IPv4 address.
pub fn embeddings(v4: Ipv4Addr) -> [Ipv6Addr; 9] {
    let [a, b, c, d] = v4.octets().map(u16::from);
    let (high, low) = ((a << 8) | b, (c << 8) | d);
    [
        v4.to_ipv6_mapped(),
        // IPv4-compatible and IPv4-translated (RFC 4291 section 2.5.5.1, RFC 2765).
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        // NAT64: well-known, and for local use (RFC 6052, RFC 8215).
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
        // 6to4 (RFC 3056).
        Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        // Teredo: the server, and the client behind it with its bits turned (RFC 4380 section 4).
        Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0, 0),
        Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !high, !low),
        // ISATAP on a link (RFC 5214).
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5efe, high, low),
    ]
}

#[test]
fn no_address_is_allowed_inside_another() {
    for (address, _) in addresses() {
        let IpAddr::V4(address) = address else { continue };
        for embedding in embeddings(address) {
            assert!(!AddressPolicy::public().allows(embedding.into()), "{embedding} of {address}");
        }
    }
}

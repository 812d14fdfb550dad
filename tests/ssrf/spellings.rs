//! Addresses in the URL itself, in every spelling that some parser takes for one (S-5). Transports see them only if
//! somebody goes around `Endpoint`.

use http::Uri;
use webpush_channels::transport::{Processed, TransportErrorKind};
use webpush_channels::{Endpoint, EndpointPolicy};

use crate::world::{ALL, FORBIDDEN, Ground, Names, REFUSED};

/// Hosts that lead, or could lead, to 127.0.0.1, `::1` or a link.
const HOSTS: [&str; 43] = [
    // Decimal, hexadecimal and octal; whole, in parts, and short.
    "127.0.0.1",
    "127.0.0.1.",
    "127.0.1",
    "127.1",
    "127.1.",
    "2130706433",
    "2130706433.",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0x7f.0.0.0x1",
    "127.0.0.0x1",
    "127.0x1",
    "017700000001",
    "0177.0.0.1",
    "0177.1",
    "127.0.0.01",
    "127.000.000.001",
    "00000177.0.0.1",
    "[127.0.0.1]",
    // This network is this host.
    "0",
    "0.0.0.0",
    "0x",
    "[::]",
    // IPv6, and IPv4 inside it.
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[2001:0:808:808:0:0:80ff:fffe]",
    // Zones.
    "[::1%25lo]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    // Names of this host.
    "localhost",
    "LocalHost.",
    "ip6-localhost",
];

/// The resolver knows every spelling that a client does not.
#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_connected_to() {
    let ground = Ground::accepting();
    for case in ALL {
        let case = case(&Names::then(&[&FORBIDDEN[..1]]));
        for host in HOSTS {
            let uri = format!("http://{host}:{}/p/x", ground.port);
            // What is no URI cannot be asked for.
            if uri.parse::<Uri>().is_err() {
                continue;
            }
            let sent = case.post(&uri).await;
            let invalid = Err((TransportErrorKind::InvalidRequest, Processed::No));
            assert!([REFUSED, invalid].contains(&sent), "{}: {host}: {sent:?}", case.name);
            ground.assert_untouched(&format!("{}: {host}", case.name));
        }
        // And the address that may be connected to is.
        assert_eq!(
            case.post(&format!("http://127.0.0.2:{}/p/x", ground.port)).await,
            Ok(201),
            "{}",
            case.name
        );
    }
}

#[test]
fn no_spelling_of_a_forbidden_address_is_an_acceptable_endpoint() {
    for host in HOSTS {
        for url in [format!("https://{host}/p/x"), format!("https://{host}:443/p/x")] {
            let Ok(endpoint) = url.parse::<Endpoint>() else { continue };
            for policy in [EndpointPolicy::public_internet(), EndpointPolicy::custom(|_| true)] {
                assert!(policy.check(&endpoint).is_err(), "{url}");
            }
        }
    }
}

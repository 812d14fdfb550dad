//! Spellings of one name are one push service: for policies, ids, tokens, labels and pools (S-5).

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use webpush_channels::testing::UserAgent;
use webpush_channels::{Endpoint, EndpointError, EndpointPolicy, PolicyError, Vendor};

use crate::world::{ALLOWED, Ground, Names, hyper};

const SPELLINGS: [&str; 6] = [
    "https://web.push.apple.com/QGuQ",
    "https://web.push.apple.com./QGuQ",
    "https://web.push.apple.com:443/QGuQ",
    "https://web.push.apple.com.:443/QGuQ",
    "HTTPS://Web.Push.Apple.COM/QGuQ",
    "https://WEB.PUSH.APPLE.COM.:0443/QGuQ",
];

fn endpoint(url: &str) -> Endpoint {
    url.parse().expect(url)
}

#[test]
fn spellings_of_one_name_are_one_endpoint_with_one_id_one_origin_and_one_vendor() {
    let agent = UserAgent::seeded(1);
    let ids: HashSet<_> = SPELLINGS.iter().map(|url| agent.subscribe(endpoint(url)).id()).collect();
    let origins: HashSet<_> = SPELLINGS.iter().map(|url| endpoint(url).origin().to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(origins, HashSet::from(["https://web.push.apple.com".to_owned()]));
    assert!(SPELLINGS.iter().all(|url| endpoint(url).vendor() == Vendor::Apple));
}

#[test]
fn a_policy_says_the_same_of_each_spelling() {
    let only = EndpointPolicy::custom(|host| host == "web.push.apple.com");
    for url in SPELLINGS {
        for policy in [EndpointPolicy::known_vendors(), EndpointPolicy::public_internet(), only.clone()] {
            assert_eq!(policy.check(&endpoint(url)), Ok(()), "{url}");
        }
    }
    for url in
        ["https://LocalHost./x", "https://a.LOCAL./x", "https://intranet./x", "https://x.Home.Arpa.:443/x"]
    {
        assert_eq!(
            EndpointPolicy::public_internet().check(&endpoint(url)),
            Err(PolicyError::LocalName),
            "{url}"
        );
    }
}

/// Compared label by label: what only looks like a vendor's host is none.
#[test]
fn a_name_that_resembles_a_known_one_is_another() {
    for host in [
        "web.push.apple.com.evil.example",
        "evilnotify.windows.com",
        "notify.windows.com.evil.example",
        "fcm-googleapis.com",
        "xfcm.googleapis.com",
        "fcm.googleapis.com.",
        "fcm.googleapis.co",
        "updates.push.services.mozilla.com.evil.example",
        "xn--fcm-googleapis.com",
    ] {
        let known = EndpointPolicy::known_vendors().check(&endpoint(&format!("https://{host}/x")));
        let expected = if host == "fcm.googleapis.com." { Ok(()) } else { Err(PolicyError::HostNotAllowed) };
        assert_eq!(known, expected, "{host}");
    }
}

/// International names come as browsers send them, in ASCII, and are not interpreted: what would become a digit, a
/// dot or nothing in somebody's mapping is no character of a host here.
#[test]
fn international_names_are_ascii_or_refused() {
    let ascii = endpoint("https://XN--Bcher-Kva.example/x");
    assert_eq!(ascii.host(), "xn--bcher-kva.example");
    assert_eq!(EndpointPolicy::public_internet().check(&ascii), Ok(()));
    for host in [
        "b\u{fc}cher.example",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "\u{2460}\u{2461}\u{2466}.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "local\u{ad}host",
        "\u{ff4c}ocalhost",
        "localhost\u{200b}",
        "local\u{212a}ost",
    ] {
        let url = format!("https://{host}/x");
        assert_eq!(url.parse::<Endpoint>(), Err(EndpointError::Character), "{url}");
    }
    for host in ["%6cocalhost", "localhost%00.example", "localhost%2e", "127%2e1", "a%20.example"] {
        let url = format!("https://{host}/x");
        assert_eq!(url.parse::<Endpoint>(), Err(EndpointError::Host), "{url}");
    }
}

/// Also for requests that no `Endpoint` made: one pool, one question to the resolver.
#[tokio::test]
async fn spellings_of_one_name_share_a_connection() {
    let ground = Ground::accepting();
    let names = Names::then(&[&[ALLOWED]]);
    let case = hyper(&names);
    for host in ["push.example", "push.example.", "Push.Example", "PUSH.EXAMPLE."] {
        assert_eq!(case.post(&format!("http://{host}:{}/p/x", ground.port)).await, Ok(201), "{host}");
    }
    assert_eq!((names.asked(), names.names()), (1, HashSet::from(["push.example".to_owned()])));
    assert_eq!(ground.connections.load(Ordering::SeqCst), 1);
}

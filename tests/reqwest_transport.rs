//! `ReqwestTransport` keeps the contract, with a client of its own making or with a good one of somebody else's, and
//! notices bad ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "hyper_transport/frames.rs"]
#[allow(dead_code, reason = "shared")]
mod frames;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use frames::{CANCEL, Frames, NO_ERROR, REFUSED_STREAM};
use http::{Request, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder};
use tokio::net::TcpListener;
use webpush_channels::AddressPolicy;
use webpush_channels::testing::{Answer, PushService, UserAgent};
use webpush_channels::transport::{
    AddressGuard, Processed, ReqwestTransport, Transport as _, TransportError, TransportErrorKind,
};

fn loopback() -> AddressPolicy {
    AddressPolicy::loopback_for_tests()
}

fn built(client: ClientBuilder, policy: AddressPolicy) -> ReqwestTransport {
    let builder = ReqwestTransport::builder().client(client).address_policy(policy);
    builder.connect_timeout(Duration::from_secs(1)).total_timeout(Duration::from_secs(1)).build().unwrap()
}

mod built_here {
    use super::{Client, built, loopback};

    webpush_channels::transport_suite!(built(Client::builder(), loopback()));
}

mod built_elsewhere {
    use std::time::Duration;

    use webpush_channels::transport::{AddressGuard, ReqwestTransport};

    use super::{Client, loopback};

    fn transport() -> ReqwestTransport {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .dns_resolver(AddressGuard::system(loopback()))
            .build()
            .unwrap();
        ReqwestTransport::from_client(client, loopback()).with_total_timeout(Duration::from_secs(1))
    }

    webpush_channels::transport_suite!(transport());
}

fn post(uri: &str) -> Request<Bytes> {
    Request::post(uri).body(Bytes::from_static(b"body")).unwrap()
}

async fn failure(transport: &ReqwestTransport, uri: &str) -> (TransportErrorKind, Processed) {
    told(&transport.send(post(uri)).await.unwrap_err())
}

fn told(error: &TransportError) -> (TransportErrorKind, Processed) {
    (error.kind(), error.processed())
}

const REFUSED: (TransportErrorKind, Processed) = (TransportErrorKind::AddressRefused, Processed::No);

/// S-3, S-4: what the suite cannot ask of a transport that is set up for loopback.
#[tokio::test]
async fn an_address_that_the_policy_forbids_is_refused_by_name_and_by_number() {
    let transport = built(Client::builder(), AddressPolicy::public());
    for host in ["localhost", "127.0.0.1", "[::1]", "0x7f.1", "2130706433"] {
        assert_eq!(failure(&transport, &format!("http://{host}:9/push")).await, REFUSED, "{host}");
    }
}

struct Answers(Vec<IpAddr>);

impl Resolve for Answers {
    fn resolve(&self, _: Name) -> Resolving {
        let found: Vec<_> = self.0.iter().map(|&address| SocketAddr::new(address, 0)).collect();
        Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
    }
}

#[tokio::test]
async fn one_forbidden_address_refuses_the_whole_answer_of_a_resolver() {
    let public = IpAddr::from([142, 250, 74, 42]);
    let metadata = IpAddr::from([169, 254, 169, 254]);
    let builder = ReqwestTransport::builder().resolver(Answers(vec![public, metadata]));
    assert_eq!(failure(&builder.build().unwrap(), "http://push.example/").await, REFUSED);
}

/// H-3, and S-12: userinfo would become a header.
#[tokio::test]
async fn an_endpoint_that_the_client_would_rewrite_is_refused() {
    let transport = built(Client::builder(), loopback());
    for rest in ["127.0.0.1:9/a/../b", "127.0.0.1:9/a/%2e%2e/b", "127.0.0.1:9/a?'", "user:pass@127.0.0.1:9/"]
    {
        let refused = failure(&transport, &format!("http://{rest}")).await;
        assert_eq!(refused.0, TransportErrorKind::InvalidRequest, "{rest}");
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What HTTP/2 says is found among the client's causes (H-21).
#[tokio::test]
async fn a_reset_proves_what_its_reason_says() {
    let (listener, address) = listen().await;
    let transport = built(Client::builder().http2_prior_knowledge(), loopback());
    let uri = format!("http://{address}/secret");
    let peer = async {
        let mut peer = Frames::accept(&listener, None).await;
        for reason in [REFUSED_STREAM, CANCEL] {
            let stream = peer.request().await.unwrap();
            peer.reset(stream, reason).await;
        }
        peer
    };
    let sent = async { [failure(&transport, &uri).await, failure(&transport, &uri).await] };
    let (sent, _peer) = tokio::join!(sent, peer);
    let interrupted = |processed| (TransportErrorKind::Interrupted, processed);
    assert_eq!(sent, [interrupted(Processed::No), interrupted(Processed::Unknown)]);
}

#[tokio::test]
async fn a_go_away_proves_it_for_the_streams_above_its_last_one() {
    let (listener, address) = listen().await;
    let transport = built(Client::builder().http2_prior_knowledge(), loopback());
    let uri = format!("http://{address}/secret");
    let peer = async {
        let mut peer = Frames::accept(&listener, None).await;
        peer.request().await.unwrap();
        peer.go_away(0, NO_ERROR, b"/secret").await;
        peer
    };
    let (error, _peer) = tokio::join!(transport.send(post(&uri)), peer);
    let error = error.unwrap_err();
    assert_eq!(told(&error), (TransportErrorKind::Interrupted, Processed::No));
    assert!(!format!("{error:?}").contains("secret"), "the peer's words are shown: {error:?}");
}

/// S-6: too late for the first, and never again.
#[tokio::test]
async fn a_client_that_follows_redirects_is_found_out_and_not_used_again() {
    let service = PushService::start().await.unwrap();
    let agent = UserAgent::new();
    let (first, elsewhere) = (service.subscribe(&agent), service.subscribe(&agent));
    let to = elsewhere.endpoint().as_str().to_owned();
    service.script(&first, [Answer::redirect(&to)]);
    let client = Client::builder().no_proxy().build().unwrap();
    let transport = ReqwestTransport::from_client(client, loopback());
    let uri = first.endpoint().as_str();
    let (kind, processed) = failure(&transport, uri).await;
    assert_eq!((kind, processed), (TransportErrorKind::Interrupted, Processed::Unknown));
    assert_eq!(failure(&transport, uri).await.0, TransportErrorKind::InvalidRequest);

    // A builder with the same default cannot be wrong.
    service.script(&first, [Answer::redirect(&to)]);
    let status = built(Client::builder(), loopback()).send(post(uri)).await.unwrap().status();
    assert_eq!(status, StatusCode::TEMPORARY_REDIRECT);
}

/// S-3: a client whose resolver checks nothing, and an override that bypasses the one that does.
#[tokio::test]
async fn an_answer_from_a_forbidden_address_is_no_answer() {
    let service = PushService::start().await.unwrap();
    let subscription = service.subscribe(&UserAgent::new());
    let uri = subscription.endpoint().as_str().replace("127.0.0.1", "push.example");
    let overridden = || Client::builder().no_proxy().resolve("push.example", (Ipv4Addr::LOCALHOST, 0).into());
    let unguarded = ReqwestTransport::from_client(overridden().build().unwrap(), AddressPolicy::public());
    for transport in [unguarded, built(overridden(), AddressPolicy::public())] {
        let late = (TransportErrorKind::AddressRefused, Processed::Unknown);
        assert_eq!(failure(&transport, &uri).await, late);
    }
    let guarded = Client::builder().no_proxy().dns_resolver(AddressGuard::system(AddressPolicy::public()));
    let transport = ReqwestTransport::from_client(guarded.build().unwrap(), AddressPolicy::public());
    assert_eq!(failure(&transport, &uri.replace("push.example", "localhost")).await, REFUSED);
}

/// S-12: reqwest's own `Debug` shows default headers.
#[tokio::test]
async fn what_a_client_was_given_is_not_shown() {
    let headers = [(http::header::AUTHORIZATION, http::HeaderValue::from_static("hunter2"))];
    let client = || Client::builder().default_headers(headers.clone().into_iter().collect());
    assert!(format!("{:?}", client()).contains("hunter2"));
    for shown in [
        format!("{:?}", built(client(), loopback())),
        format!("{:?}", ReqwestTransport::builder().client(client())),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

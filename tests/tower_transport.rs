//! `TowerTransport` keeps the contract over hyper-util's client, and asks services as they want to be asked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "hyper_transport/frames.rs"]
#[allow(dead_code, reason = "shared")]
mod frames;
#[path = "../examples/tower_transport.rs"]
mod tower_transport;

use std::convert::Infallible;
use std::error::Error;
use std::future::{Pending, Ready, pending, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use frames::{CANCEL, Frames, REFUSED_STREAM};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{Service, service_fn};
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{
    AddressGuard, Processed, TowerTransport, Transport, TransportError, TransportErrorKind as Kind,
};

mod the_example_keeps_the_contract {
    use std::time::Duration;

    use webpush_channels::AddressPolicy;

    use super::tower_transport::transport;

    webpush_channels::transport_suite!(transport(
        &AddressPolicy::loopback_for_tests(),
        Duration::from_secs(1)
    ));
}

type BoxError = Box<dyn Error + Send + Sync>;

async fn failure(transport: &dyn Transport, uri: &str) -> (Kind, Processed) {
    let request = Request::post(uri).body(Bytes::from_static(b"body")).unwrap();
    let error = transport.send(request).await.unwrap_err();
    (error.kind(), error.processed())
}

const REFUSED: (Kind, Processed) = (Kind::AddressRefused, Processed::No);

/// S-3, S-4.
#[tokio::test]
async fn an_address_that_the_policy_forbids_is_refused_by_name_and_by_number() {
    let transport = tower_transport::transport(&AddressPolicy::public(), Duration::from_secs(1));
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        assert_eq!(failure(&transport, &format!("http://{host}:9/push")).await, REFUSED, "{host}");
    }
    // Mixed answers are an attack.
    let addresses = [IpAddr::from([142, 250, 74, 42]), IpAddr::from([10, 0, 0, 1])];
    let mixed = service_fn(move |_| {
        ready(Ok::<_, Infallible>(addresses.map(|address| SocketAddr::new(address, 0)).to_vec()))
    });
    let connector = HttpConnector::new_with_resolver(AddressGuard::new(mixed, AddressPolicy::public()));
    let transport = TowerTransport::new(Client::builder(TokioExecutor::new()).build(connector));
    assert_eq!(failure(&transport, "http://push.example/").await, REFUSED);
}

#[tokio::test]
async fn a_reset_proves_what_its_reason_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/secret", listener.local_addr().unwrap());
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let transport = TowerTransport::new(client).address_policy(AddressPolicy::loopback_for_tests());
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
    assert_eq!(sent, [(Kind::Interrupted, Processed::No), (Kind::Interrupted, Processed::Unknown)]);
}

/// Neither `Sync` nor ever ready, or ready and silent.
#[derive(Clone)]
struct Stuck {
    ready: Option<Result<(), &'static str>>,
    _not_sync: std::marker::PhantomData<std::cell::Cell<()>>,
}

impl Service<Request<Full<Bytes>>> for Stuck {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pending<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.ready.map_or(Poll::Pending, |ready| Poll::Ready(ready.map_err(Into::into)))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        pending()
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_service_and_for_its_answer_are_bounded_apart() {
    for (ready, limit, expected) in [
        (None, 7, (Kind::Busy, Processed::No)),
        (Some(Ok(())), 9, (Kind::Timeout, Processed::Unknown)),
        (Some(Err("closed")), 0, (Kind::Connect, Processed::No)),
    ] {
        let service = Stuck { ready, _not_sync: std::marker::PhantomData };
        let transport = TowerTransport::new(service)
            .ready_wait(Duration::from_secs(7))
            .total_timeout(Duration::from_secs(9));
        let began = tokio::time::Instant::now();
        assert_eq!(failure(&transport, "https://push.example/").await, expected);
        assert_eq!(began.elapsed().as_secs(), limit, "{expected:?}");
    }
}

fn failing(error: fn() -> BoxError) -> impl Transport {
    TowerTransport::new(service_fn(
        move |_: Request<Full<Bytes>>| -> Ready<Result<Response<Full<Bytes>>, _>> { ready(Err(error())) },
    ))
}

#[tokio::test]
async fn a_service_tells_by_its_error_what_was_processed() {
    let shed = failing(|| TransportError::new(Kind::Busy).into());
    assert_eq!(failure(&shed, "https://push.example/").await, (Kind::Busy, Processed::No));
    let refused = failing(|| io::Error::from(io::ErrorKind::ConnectionRefused).into());
    assert_eq!(failure(&refused, "https://push.example/").await, (Kind::Connect, Processed::No));
    let vague = failing(|| "it did not work".into());
    assert_eq!(failure(&vague, "https://push.example/").await, (Kind::Interrupted, Processed::Unknown));
}

/// S-12.
#[tokio::test]
async fn an_error_that_quotes_the_endpoint_is_not_passed_on() {
    let transport = failing(|| "https://push.example/secret failed".into());
    let request = Request::post("https://push.example/secret").body(Bytes::new()).unwrap();
    let error = transport.send(request).await.unwrap_err();
    assert!(error.source().is_none() && !format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_service_may_want_bodies_of_its_own_type() {
    let service = service_fn(async |request: Request<reqwest::Body>| {
        let body = request.body().as_bytes().unwrap_or_default().to_vec();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
    });
    let transport = TowerTransport::new(service).with_body::<reqwest::Body>();
    let request = Request::post("https://push.example/").body(Bytes::from_static(b"body")).unwrap();
    assert_eq!(transport.send(request).await.unwrap().body(), "body");
}

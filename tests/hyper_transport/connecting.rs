//! From a name to a connection: resolved once, every address checked (S-3, S-4).

use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout};
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{HyperTransport, Processed, Resolve, Transport as _, TransportErrorKind};

use crate::{http1, http2, listen, post, serve_http1};

/// Answers every question with the same addresses.
#[derive(Debug)]
struct Answer {
    addresses: Vec<IpAddr>,
    asked: AtomicUsize,
}

fn answer(addresses: &[&str]) -> Arc<Answer> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Arc::new(Answer { addresses, asked: AtomicUsize::new(0) })
}

#[async_trait]
impl Resolve for Answer {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        assert_eq!(host, "push.example");
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.addresses.clone())
    }
}

#[derive(Debug)]
struct NoAnswer;

#[async_trait]
impl Resolve for NoAnswer {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        pending().await
    }
}

const REFUSED: (TransportErrorKind, Processed) = (TransportErrorKind::AddressRefused, Processed::No);
const NOT_CONNECTED: (TransportErrorKind, Processed) = (TransportErrorKind::Connect, Processed::No);

async fn outcome(transport: &HyperTransport, origin: &str) -> (TransportErrorKind, Processed) {
    let error = transport.send(post(origin)).await.unwrap_err();
    (error.kind(), error.processed())
}

#[tokio::test]
async fn one_forbidden_address_condemns_the_answer() {
    for addresses in
        [["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["8.8.8.8", "::ffff:169.254.169.254"]]
    {
        let transport = HyperTransport::builder().resolver(answer(&addresses)).build().unwrap();
        assert_eq!(outcome(&transport, "https://push.example").await, REFUSED, "{addresses:?}");
    }
    let (listener, address) = listen().await;
    let transport = http1().resolver(answer(&["127.0.0.1", "10.0.0.1"])).build().unwrap();
    assert_eq!(outcome(&transport, &format!("http://push.example:{}", address.port())).await, REFUSED);
    assert!(timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "it connected");
}

#[tokio::test]
async fn the_public_policy_refuses_what_leads_inside() {
    let transport = HyperTransport::builder().address_policy(AddressPolicy::public()).build().unwrap();
    for origin in [
        "https://127.0.0.1",
        "http://127.0.0.1:8080",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://10.1.2.3",
        "https://169.254.169.254",
        "https://localhost",
        // `getaddrinfo` takes these for 127.0.0.1 (S-5).
        "https://127.1",
        "https://2130706433",
    ] {
        assert_eq!(outcome(&transport, origin).await, REFUSED, "{origin}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_for_a_connection_and_kept_in_the_request() {
    let (listener, address) = listen().await;
    serve_http1(listener);
    let resolver = answer(&["127.0.0.1"]);
    let transport = http1().resolver(resolver.clone()).build().unwrap();
    let origin = format!("http://push.example:{}", address.port());
    for _ in 0..3 {
        let response = transport.send(post(&origin)).await.unwrap();
        assert_eq!(response.body(), &format!("push.example:{}", address.port()));
    }
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let (listener, address) = listen().await;
    serve_http1(listener);
    let transport = http1().resolver(answer(&["127.0.0.2", "127.0.0.1"])).build().unwrap();
    let response = transport.send(post(&format!("http://push.example:{}", address.port()))).await.unwrap();
    assert_eq!(response.status(), 201);
}

#[tokio::test]
async fn a_name_without_address_is_a_failure_to_connect() {
    let transport = http1().resolver(answer(&[])).build().unwrap();
    assert_eq!(outcome(&transport, "http://push.example").await, NOT_CONNECTED);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_does_not_answer_costs_the_connect_timeout() {
    let transport = http1().resolver(Arc::new(NoAnswer)).build().unwrap();
    let start = Instant::now();
    assert_eq!(outcome(&transport, "http://push.example").await, NOT_CONNECTED);
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_peer_that_never_speaks_http2_costs_the_connect_timeout() {
    let (listener, address) = listen().await;
    let transport = http2().connect_timeout(Duration::from_millis(50)).build().unwrap();
    let silent =
        tokio::spawn(async move { listener.accept().await.map(|accepted| (accepted, pending::<()>())) });
    assert_eq!(outcome(&transport, &format!("http://{address}")).await, NOT_CONNECTED);
    drop(silent);
}

#[tokio::test]
async fn everybody_who_waits_for_a_connection_learns_why_there_is_none() {
    let transport = http1().resolver(answer(&["8.8.8.8"])).build().unwrap();
    let sends = (0..20).map(|_| outcome(&transport, "http://push.example"));
    for outcome in futures_util::future::join_all(sends).await {
        assert_eq!(outcome, REFUSED);
    }
}

//! The transport of the example keeps the contract.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/custom_transport.rs"]
mod custom_transport;

use std::time::Duration;

use bytes::Bytes;
use custom_transport::ReqwestTransport;
use http::Request;
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{Processed, Transport as _, TransportErrorKind};

webpush_channels::transport_suite!(
    ReqwestTransport::new(AddressPolicy::loopback_for_tests(), Duration::from_secs(1)).unwrap()
);

/// What the suite cannot ask of a transport that is set up for loopback: S-3.
#[tokio::test]
async fn an_address_that_the_policy_forbids_is_refused_by_name_and_by_number() {
    let transport = ReqwestTransport::new(AddressPolicy::public(), Duration::from_secs(1)).unwrap();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let request = Request::post(format!("http://{host}:9/push")).body(Bytes::new()).unwrap();
        let error = transport.send(request).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::AddressRefused, "{host}");
        assert_eq!(error.processed(), Processed::No);
    }
}

/// The client's URL parser would rewrite it: H-3.
#[tokio::test]
async fn an_endpoint_that_the_client_would_rewrite_is_refused() {
    let transport =
        ReqwestTransport::new(AddressPolicy::loopback_for_tests(), Duration::from_secs(1)).unwrap();
    for path in ["/a/../b", "/a/%2e%2e/b"] {
        let request = Request::post(format!("http://127.0.0.1:9{path}")).body(Bytes::new()).unwrap();
        assert_eq!(transport.send(request).await.unwrap_err().kind(), TransportErrorKind::InvalidRequest);
    }
}

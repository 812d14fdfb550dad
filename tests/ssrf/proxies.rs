//! Proxies of the environment, for https: those for http are the transport suite's (S-7).

use std::io::ErrorKind;
use std::net::TcpListener;

use bytes::Bytes;
use http::Request;
use webpush_channels::AddressPolicy;
use webpush_channels::testing::PushService;
use webpush_channels::transport::{HyperTransport, Transport as _};

use crate::world::alone;

/// The environment cannot be changed safely from within.
#[test]
fn https_takes_no_proxy_from_the_environment() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let variables = variables.map(|variable| (variable, url.as_str()));
    if alone("proxies::https_takes_no_proxy_from_the_environment", &variables) {
        return tokio::runtime::Runtime::new().unwrap().block_on(post_over_tls());
    }
    assert!(proxy.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "the proxy was used");
}

async fn post_over_tls() {
    let service = PushService::builder().localhost(true).tls(true).start().await.unwrap();
    let transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .extra_root_pem(service.ca_pem().unwrap().as_bytes())
        .unwrap()
        .build()
        .unwrap();
    let request = Request::post(format!("{}/p/x", service.origin())).body(Bytes::new()).unwrap();
    transport.send(request).await.unwrap();
    assert_eq!(service.counters().requests, 1);
}

//! Ten thousand names, and the threads that look them up (S-31). Linux tells a process its threads' names.

use std::net::Ipv4Addr;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use webpush_channels::AddressPolicy;
use webpush_channels::transport::{
    AddressGuard, HyperTransport, TowerTransport, Transport, TransportErrorKind,
};

use crate::world::alone;

const NAMES: u32 = 10_000;

/// Of this process, by their name.
fn lookup_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // One may end while we look.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "webpush-lookup").count()
}

/// Names are numbers in decimal: a client takes them for names, and the system's resolver for addresses, so that no
/// network is needed to look up as many as one likes.
async fn look_up_ten_thousand(transport: &dyn Transport) {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 1));
    let lookups = stream::iter(first..first + NAMES).map(|number| {
        let request = Request::post(format!("http://{number}/p/x")).body(Bytes::from_static(b"body"));
        transport.send(request.unwrap())
    });
    let mut refused = lookups.buffer_unordered(1000).enumerate();
    let mut most = 0;
    while let Some((nth, sent)) = refused.next().await {
        assert_eq!(sent.unwrap_err().kind(), TransportErrorKind::AddressRefused);
        if nth % 100 == 0 {
            most = lookup_threads().max(most);
        }
    }
    assert!((1..=32).contains(&most), "{most} threads: {transport:?}");
}

#[tokio::test]
async fn ten_thousand_names_are_looked_up_by_32_threads() {
    if alone("lookups::ten_thousand_names_are_looked_up_by_32_threads", &[]) {
        look_up_ten_thousand(&HyperTransport::new().unwrap()).await;
    }
}

#[tokio::test]
async fn ten_thousand_names_behind_a_guard_are_looked_up_by_32_threads() {
    if alone("lookups::ten_thousand_names_behind_a_guard_are_looked_up_by_32_threads", &[]) {
        let connector = HttpConnector::new_with_resolver(AddressGuard::system(AddressPolicy::public()));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        look_up_ten_thousand(&TowerTransport::new(client)).await;
    }
}

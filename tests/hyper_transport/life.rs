//! When connections end, and on which runtimes they live.

use std::time::Duration;

use tokio::runtime::Handle;
use webpush_channels::transport::Transport as _;

use crate::frames::Frames;
use crate::{http1, http2, listen, post, sending, serve_http1, status};

#[tokio::test]
async fn dropping_the_last_clone_ends_connections_and_tasks() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let sent = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "201").await;
    assert_eq!(status(sent).await, 201);
    assert!(Handle::current().metrics().num_alive_tasks() > 0);
    drop(transport);
    peer.end().await;
    drop(peer);
    while Handle::current().metrics().num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dropping_the_last_clone_ends_connection_attempts() {
    let (listener, address) = listen().await;
    let transport = http2().build().unwrap();
    let sent = sending(&transport, address);
    let (stream, _) = listener.accept().await.unwrap();
    sent.abort();
    drop(transport);
    while Handle::current().metrics().num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (listener, address) = listen().await;
    let transport = http2().idle_timeout(Duration::from_millis(50)).build().unwrap();
    let sent = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    peer.answer(stream, "201").await;
    assert_eq!(status(sent).await, 201);
    peer.end().await;
}

#[tokio::test]
async fn a_connection_in_use_is_not_idle() {
    let (listener, address) = listen().await;
    let transport = http2().idle_timeout(Duration::from_millis(20)).build().unwrap();
    let sent = sending(&transport, address);
    let mut peer = Frames::accept(&listener, None).await;
    let stream = peer.request().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), peer.end()).await.is_err(), "it was closed");
    peer.answer(stream, "201").await;
    assert_eq!(status(sent).await, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_on_two_threads_are_all_answered() {
    let (listener, address) = listen().await;
    serve_http1(listener);
    let transport = http1().build().unwrap();
    let sent: Vec<_> = (0..300).map(|_| sending(&transport, address)).collect();
    for sent in sent {
        assert_eq!(status(sent).await, 201);
    }
}

#[test]
fn a_transport_outlives_a_runtime() {
    let transport = http1().build().unwrap();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (listener, address) = listen().await;
            serve_http1(listener);
            let response = transport.send(post(&format!("http://{address}"))).await.unwrap();
            assert_eq!(response.status(), 201);
        });
    }
}

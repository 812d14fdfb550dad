//! HTTP itself, from a hostile push service: whatever octets come, there is a bounded response or an honest failure.
//!
//! Input: the version (an octet, odd for HTTP/2), then all that the push service says.
#![no_main]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Response};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::response::classify;
use webpush_channels::transport::{HyperTransport, Processed, Transport, TransportError};
use webpush_channels::{AddressPolicy, Endpoint, Ttl};
use webpush_channels_fuzz::{Fields, Served, whole};

/// A body is cut here (H-24).
const CAP: usize = 16 * 1024;
const LIMIT: Duration = Duration::from_secs(2);

thread_local! {
    static WORLD: Served<World> = const { Served::new(u32::MAX, World::new) };
}

struct World {
    listener: TcpListener,
    endpoint: Endpoint,
}

impl World {
    fn new(runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        Self { listener, endpoint: format!("http://{address}/secret").parse().expect("a plain URL") }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let http2 = fields.octet() & 1 == 1;
    WORLD.with(|served| served.with(|world, runtime| runtime.block_on(attack(world, http2, fields.rest()))));
});

async fn attack(world: &World, http2: bool, octets: &[u8]) {
    let transport = HyperTransport::builder()
        .address_policy(AddressPolicy::loopback_for_tests())
        .http2_prior_knowledge(http2)
        .connect_timeout(LIMIT)
        .total_timeout(LIMIT)
        .build()
        .expect("the settings are good");
    let token = HeaderValue::from_static("vapid t=eyJ.eyJ.c2ln, k=BA");
    let request = PushRequest::new(&world.endpoint, Ttl::hours(1), token)
        .with_body(Body::Aes128Gcm(Bytes::from_static(&[7; 100])))
        .into_http();
    // The last one may have made a second connection, which would be taken for this one's.
    while timeout(Duration::ZERO, world.listener.accept()).await.is_ok() {}
    let mut peer = None;
    let serve = async {
        let (mut stream, _) = world.listener.accept().await.expect("the client connects");
        hear(&mut stream, http2).await;
        let _ = stream.write_all(octets).await;
        let _ = stream.shutdown().await;
        // Kept, or the client might not read what was said.
        peer = Some(stream);
        // What nobody has processed is sent again: another connection would wait to its timeout.
        loop {
            drop(world.listener.accept().await);
        }
    };
    let answered = tokio::select! {
        answered = transport.send(request) => answered,
        never = serve => never,
    };
    check(world, http2, answered);
    if let Some(stream) = peer {
        // No waiting for stray segments: there are thousands of connections in a minute.
        let _ = stream.set_zero_linger();
    }
}

/// All of the request in HTTP/1.1; in HTTP/2 its beginning, since the rest waits for our settings.
async fn hear(stream: &mut TcpStream, http2: bool) {
    let mut heard = Vec::new();
    let mut part = [0; 4096];
    let whole = |heard: &[u8]| {
        let end = heard.windows(4).position(|window| window == b"\r\n\r\n");
        if http2 { heard.len() > 24 } else { end.is_some_and(|end| heard.len() >= end + 4 + 100) }
    };
    while !whole(&heard) {
        match stream.read(&mut part).await {
            Ok(n @ 1..) => heard.extend_from_slice(&part[..n]),
            _ => return,
        }
    }
}

fn check(world: &World, http2: bool, answered: Result<Response<Bytes>, TransportError>) {
    match answered {
        Ok(response) => {
            assert!(response.body().len() <= CAP);
            let _ = classify(&world.endpoint, Ttl::hours(1), &response, SystemTime::UNIX_EPOCH);
        }
        Err(error) => {
            let said = whole(&error);
            assert!(!said.contains("secret") && !said.contains("eyJ"), "{said}");
            // The peer has read the request to its end: it can have acted (H-21).
            assert!(http2 || error.processed() == Processed::Unknown, "{error:?}");
        }
    }
}

//! The channels service: requests by somebody who has signed in, and octets that are no requests.
//!
//! Input: `r` and raw octets; or `a` (Ada), `p` (the publisher) or `n` (nobody), then a line `METHOD PATH`, header
//! lines, an empty line, the body.
#![no_main]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use webpush_channels_fuzz::{Fields, Served, exchange, first_answer, scratch};
use webpush_channels_server::auth::Basic;
use webpush_channels_server::{Service, Settings};

const ADA: &str = "ada:secret";
const PUBLISHER: &str = "publisher:secret";
/// Of requests, until a new service takes over.
const EVERY: u32 = 20_000;
/// Most raw octets are a part of a request, for whose rest the service would wait; the others are whole.
const RAW: Duration = Duration::from_millis(5);
const FRAMED: Duration = Duration::from_millis(200);

thread_local! {
    static SERVICE: Served<World> = const { Served::new(EVERY, World::new) };
}

struct World {
    service: Service,
    _directory: TempDir,
}

impl World {
    fn new(runtime: &Runtime) -> Self {
        let directory = scratch();
        let publisher = format!("{}=*", Basic::new("").user_id(PUBLISHER));
        let data = directory.path().to_str().expect("a plain path");
        let flags = ["server", "--listen", "127.0.0.1:0", "--data-dir", data, "--publisher", &publisher];
        let more =
            ["--worker", "false", "--publishes-per-second", "1000000", "--contact", "mailto:ops@example.org"];
        let settings =
            Settings::parse(flags.into_iter().chain(more).map(OsString::from)).expect("good settings");
        let service = runtime.block_on(Service::start(settings)).expect("it starts");
        Self { service, _directory: directory }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let (octets, wait) = match fields.octet() {
        b'r' => (fields.rest().to_vec(), RAW),
        b'a' => (request(Some(ADA), fields), FRAMED),
        b'p' => (request(Some(PUBLISHER), fields), FRAMED),
        b'n' => (request(None, fields), FRAMED),
        _ => return,
    };
    SERVICE.with(|service| {
        service.with(|world, runtime| runtime.block_on(attack(world.service.address(), &octets, wait)));
    });
});

/// A request whose framing is right, whatever is in it.
fn request(by: Option<&str>, mut fields: Fields<'_>) -> Vec<u8> {
    let mut request = format!("{} HTTP/1.1\r\nHost: service\r\nConnection: close\r\n", fields.line());
    if let Some(pair) = by {
        request.push_str("Authorization: Basic ");
        STANDARD.encode_string(pair, &mut request);
        request.push_str("\r\n");
    }
    loop {
        let line = fields.line();
        if line.is_empty() {
            break;
        }
        request.push_str(&line);
        request.push_str("\r\n");
    }
    let body = fields.rest();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    [request.as_bytes(), length.as_bytes(), b"\r\n", body].concat()
}

async fn attack(to: SocketAddr, octets: &[u8], wait: Duration) {
    let answer = exchange(to, octets, wait).await;
    let Some((status, body)) = first_answer(&answer) else { return };
    // 507: whoever registers again and again has as many subscriptions as one may.
    let expected = (200..500).contains(&status) || [505, 507].contains(&status);
    assert!(expected, "{status}: {}", String::from_utf8_lossy(&answer));
    if body.starts_with(b"{") && !octets.starts_with(b"HEAD ") && !chunked(&answer) {
        let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
        let value = values.next().expect("there is a brace").expect("an answer is whole JSON");
        assert!(status < 400 || value["errno"].is_u64(), "an error has a number: {value}");
    }
}

fn chunked(answer: &[u8]) -> bool {
    answer.windows(7).any(|window| window.eq_ignore_ascii_case(b"chunked"))
}

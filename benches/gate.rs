//! What `scripts/gate` counts the instructions of: `gate floor|message|push aws-lc-rs|rustcrypto N`
//! does N of them, `gate push none N` without encryption. Without arguments it does some of each, so
//! that it cannot rot.

mod support {
    pub(crate) mod channel;
    pub(crate) mod floor;
    pub(crate) mod null;
}

use std::hint::black_box;

use tokio::runtime::Builder;
use webpush_channels::channel::Limits;
use webpush_channels::engine::encryption::{AwsLc, Encryptor, Plaintext, RustCrypto};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::store::MemoryStore;
use webpush_channels::testing::StubTransport;
use webpush_channels::{
    AuthSecret, Endpoint, EndpointPolicy, Padding, Payload, PublicKey, Subscription, SubscriptionKeys, Ttl,
};

use self::support::null::Null;
use self::support::{channel, floor};

const PAYLOAD: [u8; 1024] = [b'x'; 1024];
/// As long as those of FCM.
const ENDPOINT: &str = "https://fcm.googleapis.com/fcm/send/dHIoDxE7Hdg:APA91bH1Zj0kNa7qEjFOSBaHqOVkYk4oDdBmmFgCtP\
    8dTnLc1rE2uVwXyZ3aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
/// The channel of `push`. It is filled however many pushes there are, so that filling is not counted.
const SUBSCRIPTIONS: u32 = 1000;

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            for (what, times) in [("floor", 1), ("message", 1), ("push", SUBSCRIPTIONS)] {
                run(what, "aws-lc-rs", times);
                run(what, "rustcrypto", times);
            }
            run("push", "none", SUBSCRIPTIONS);
        }
        [what, by, times] => run(what, by, times.parse().expect("a number of messages")),
        _ => panic!("usage: gate floor|message|push aws-lc-rs|rustcrypto|none N"),
    }
}

fn run(what: &str, by: &str, times: u32) {
    match (what, by) {
        ("floor", "aws-lc-rs") => repeat(times, |out| floor::aws_lc(&PAYLOAD, out)),
        ("floor", "rustcrypto") => repeat(times, |out| floor::rustcrypto(&PAYLOAD, out)),
        ("message", "aws-lc-rs") => messages(times, &AwsLc::new()),
        ("message", "rustcrypto") => messages(times, &RustCrypto::new()),
        ("push", "aws-lc-rs") => pushes(times, AwsLc::new()),
        ("push", "rustcrypto") => pushes(times, RustCrypto::new()),
        ("push", "none") => pushes(times, Null),
        _ => panic!("unknown: {what} {by}"),
    }
}

/// What a message costs once subscription, plaintext and token exist: encrypted, signed, and a
/// request that can be sent.
fn messages(times: u32, encryptor: &dyn Encryptor) {
    let to = SubscriptionKeys::new(
        PublicKey::from_bytes(&floor::P256DH).expect("a public key"),
        AuthSecret::from_bytes(floor::AUTH),
    );
    let payload = Payload::new(&PAYLOAD[..]).expect("a short payload");
    let plaintext = Plaintext::new(&payload, Padding::None, encryptor.max_plaintext_len()).expect("fits");
    let endpoint: Endpoint = ENDPOINT.parse().expect("an endpoint");
    let origin = endpoint.origin();
    let key = VapidKey::from_scalar(&[7; 32]).expect("a scalar");
    let vapid = Vapid::new(key, "mailto:ops@example.org".parse().expect("a contact"));
    repeat(times, |out| {
        let encoded = encryptor.encrypt(&to, &plaintext, out).expect("encrypts");
        let body = Body::encrypted(encoded, std::mem::take(out).into());
        let token = vapid.authorization(&origin).expect("the key is at hand");
        let request = PushRequest::new(&endpoint, Ttl::hours(1), token.header).with_body(body);
        black_box(request.into_http());
    });
}

/// What a push costs from the store to the report, but for the sockets.
fn pushes(times: u32, encryptor: impl Encryptor) {
    assert!(times.is_multiple_of(SUBSCRIPTIONS), "whole broadcasts to {SUBSCRIPTIONS} each");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (store, stub) = (MemoryStore::new(), StubTransport::forgetful());
    let subscription = |n| {
        let endpoint = format!("https://fcm.googleapis.com/fcm/send/{n:0152}").parse().expect("an endpoint");
        let key = PublicKey::from_bytes(&floor::P256DH).expect("a public key");
        Subscription::new(endpoint, SubscriptionKeys::new(key, AuthSecret::from_bytes(floor::AUTH)))
    };
    runtime.block_on(channel::fill(&store, SUBSCRIPTIONS as usize, subscription));
    let limits = Limits::default().with_encryption_threads(1);
    let channels = channel::channels(store, stub, encryptor, EndpointPolicy::known_vendors(), limits);
    for _ in 0..times / SUBSCRIPTIONS {
        runtime.block_on(channel::publish(&channels, SUBSCRIPTIONS as usize));
    }
}

fn repeat(times: u32, mut message: impl FnMut(&mut Vec<u8>)) {
    let mut out = Vec::with_capacity(4096);
    for _ in 0..times {
        message(black_box(&mut out));
        black_box(&out);
    }
}

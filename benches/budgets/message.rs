//! One message, as the sender makes it, beside the floor of its crypto library.

#![allow(dead_code, reason = "not every benchmark uses both")]

use std::hint::black_box;

use webpush_channels::engine::encryption::{Encryptor, Plaintext};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::{AuthSecret, Endpoint, Padding, Payload, PublicKey, SubscriptionKeys, Ttl};

use super::floor;
use super::usage::micros_each;

const PAYLOAD: [u8; 1024] = [b'x'; 1024];

/// Microseconds for one message of a floor.
pub(crate) fn floor(times: usize, message: fn(&[u8], &mut Vec<u8>)) -> f64 {
    let mut out = Vec::with_capacity(4096);
    micros_each(times, || {
        for _ in 0..times {
            message(black_box(&PAYLOAD), &mut out);
            black_box(&out);
        }
    })
}

/// Microseconds to encrypt one message and to build its request, with the token in the cache.
pub(crate) fn message(times: usize, encryptor: &dyn Encryptor) -> f64 {
    let key = PublicKey::from_bytes(&floor::P256DH).expect("a public key");
    let to = SubscriptionKeys::new(key, AuthSecret::from_bytes(floor::AUTH));
    let payload = Payload::new(&PAYLOAD[..]).expect("it fits");
    let limit = encryptor.max_plaintext_len();
    let plaintext = Plaintext::new(&payload, Padding::None, limit).expect("it fits");
    let endpoint: Endpoint =
        format!("https://push.example.net/p/{:0154}", 1).parse().expect("the endpoint is valid");
    let origin = endpoint.origin();
    let vapid = VapidKey::generate().expect("the system has randomness");
    let vapid = Vapid::new(vapid, "mailto:ops@example.org".parse().expect("a contact"));
    black_box(vapid.authorization(&origin).expect("the key is at hand"));
    micros_each(times, || {
        for _ in 0..times {
            let mut body = Vec::new();
            let encoded = encryptor.encrypt(&to, &plaintext, &mut body).expect("it encrypts");
            let token = vapid.authorization(&origin).expect("the key is at hand");
            let request = PushRequest::new(&endpoint, Ttl::hours(1), token.header)
                .with_body(Body::encrypted(encoded, body.into()));
            black_box(request.into_http());
        }
    })
}

//! Decryption in the test kit: what an encryptor made opens, what was changed does not, and anything else is a typed
//! error.
//!
//! Input: how to pad (an octet), where and how to damage (three octets), then the payload, which is also a body.
#![no_main]

use std::num::NonZeroU16;
use std::sync::LazyLock;

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::encryption::{Encryption, Encryptor, Plaintext};
use webpush_channels::testing::UserAgent;
use webpush_channels::{Padding, Payload};
use webpush_channels_fuzz::{Fields, whole};

/// Made once: elliptic curves are slow.
static AGENT: LazyLock<UserAgent> = LazyLock::new(|| UserAgent::seeded(1));
static OTHER: LazyLock<UserAgent> = LazyLock::new(|| UserAgent::seeded(2));

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let (padding, at, change) = (fields.octet(), fields.take(2), fields.octet());
    let octets = fields.rest();
    let agent = &*AGENT;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));

    // Nobody makes a body by chance that these keys open.
    whole(&agent.decrypt(octets).expect_err("the body is not ours"));
    assert!(agent.receive(&headers, octets).is_err());
    assert_eq!(agent.receive(&HeaderMap::new(), octets).is_ok(), octets.is_empty());

    let Ok(payload) = Payload::new(octets.to_vec()) else { return };
    let encryptor = Encryption::fastest();
    let Ok(plaintext) = Plaintext::new(&payload, how(padding), encryptor.max_plaintext_len()) else { return };
    let mut body = Vec::new();
    encryptor.encrypt(&agent.keys(), &plaintext, &mut body).expect("a plaintext that fits can be encrypted");
    assert_eq!(body.len(), plaintext.padded_len() + Plaintext::OVERHEAD);
    assert_eq!(agent.decrypt(&body).as_deref(), Ok(octets));
    assert_eq!(agent.receive(&headers, &body).ok().flatten().as_deref(), Some(octets));
    assert!(OTHER.decrypt(&body).is_err(), "it is for one user agent");

    let at = at.iter().fold(0, |at, octet| at << 8 | usize::from(*octet)) % body.len();
    body[at] ^= change.max(1);
    // The record size alone is not authenticated: it may grow.
    match agent.decrypt(&body) {
        Ok(opened) => assert!((16..20).contains(&at) && opened == octets),
        Err(error) => drop(whole(&error)),
    }
    body[at] ^= change.max(1);
    body.truncate(at);
    assert!(agent.decrypt(&body).is_err(), "a part is not the whole");
});

fn how(padding: u8) -> Padding {
    match padding {
        0 => Padding::None,
        step @ 1..128 => NonZeroU16::new(u16::from(step) * 8).map_or(Padding::None, Padding::MultipleOf),
        fixed => Padding::Fixed(u16::from(fixed) * 17),
    }
}

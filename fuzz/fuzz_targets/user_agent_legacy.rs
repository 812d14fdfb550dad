//! The legacy coding `aesgcm`, from an encryptor through the header fields to the test kit: what was encrypted opens, what
//! was changed does not, and any other fields are a typed error.
//!
//! Input: a line with `Encryption`, a line with `Crypto-Key` (`{salt}` and `{dh}` stand for the right ones), where and how
//! to damage (three octets), then the payload, which is also a body.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::encryption::{Encoded, Encryption, Plaintext};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::testing::UserAgent;
use webpush_channels::{Endpoint, Padding, Payload, Ttl};
use webpush_channels_fuzz::{Fields, whole};

const ENCRYPTION: HeaderName = HeaderName::from_static("encryption");
const CRYPTO_KEY: HeaderName = HeaderName::from_static("crypto-key");

/// Made once: elliptic curves are slow.
static AGENT: LazyLock<UserAgent> = LazyLock::new(|| UserAgent::seeded(1));

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let (encryption, crypto_key) = (fields.line(), fields.line());
    let (at, change) = (fields.take(2), fields.octet().max(1));
    let octets = fields.rest();
    let agent = &*AGENT;
    let headers = with_fields(&encryption, &crypto_key);
    whole(&agent.receive(&headers, octets).expect_err("the body is not ours"));

    let Some((encoded, mut body)) = encrypt(agent, octets) else { return };
    assert_eq!(agent.open(&encoded, &body).as_deref(), Ok(octets));
    let request = request(encoded, &body);
    assert_eq!(agent.receive(request.headers(), request.body()).ok().flatten().as_deref(), Some(octets));

    // The fields as others write them: the right parameters, or none that open it.
    let Encoded::AesGcm { salt, dh } = encoded else { panic!("it is the legacy encryptor") };
    let written = |line: &str| {
        line.replace("{salt}", &URL_SAFE_NO_PAD.encode(salt)).replace("{dh}", &URL_SAFE_NO_PAD.encode(dh))
    };
    match agent.receive(&with_fields(&written(&encryption), &written(&crypto_key)), &body) {
        Ok(opened) => {
            assert_eq!(opened.as_deref(), Some(octets));
            assert!(
                encryption.contains("{salt}") && crypto_key.contains("{dh}"),
                "{encryption}, {crypto_key}"
            );
        }
        Err(error) => drop(whole(&error)),
    }

    let at = at.iter().fold(0, |at, octet| at << 8 | usize::from(*octet)) % body.len();
    body[at] ^= change;
    assert!(agent.open(&encoded, &body).is_err(), "nothing of a record may change");
    body[at] ^= change;
    body.truncate(at);
    assert!(agent.open(&encoded, &body).is_err(), "a part is not the whole");
});

/// With the legacy encryptor; `None` is what it does not take.
fn encrypt(agent: &UserAgent, octets: &[u8]) -> Option<(Encoded, Vec<u8>)> {
    let encryptor = Encryption::legacy().expect("the feature is on");
    let payload = Payload::new(octets.to_vec()).ok()?;
    let plaintext = Plaintext::new(&payload, Padding::None, encryptor.max_plaintext_len()).ok()?;
    let mut body = Vec::new();
    let encoded = encryptor.encrypt(&agent.keys(), &plaintext, &mut body);
    assert_eq!(encoded.is_err(), octets.is_empty(), "{encoded:?}");
    Some((encoded.ok()?, body))
}

fn request(encoded: Encoded, body: &[u8]) -> http::Request<Bytes> {
    let endpoint: Endpoint = "https://push.example.net/p/x".parse().expect("a plain URL");
    PushRequest::new(&endpoint, Ttl::hours(1), HeaderValue::from_static("vapid t=eyJ.eyJ.c2ln, k=BA"))
        .with_body(Body::encrypted(encoded, Bytes::copy_from_slice(body)))
        .into_http()
}

fn with_fields(encryption: &str, crypto_key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::CONTENT_ENCODING, HeaderValue::from_static("aesgcm"));
    for (name, text) in [(ENCRYPTION, encryption), (CRYPTO_KEY, crypto_key)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.append(name, value);
        }
    }
    headers
}

//! Keys of a receiver: what is taken can be encrypted for, by every encryptor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::encryption::{AwsLc, Encryptor, Plaintext, RustCrypto};
use webpush_channels::{AuthSecret, Padding, Payload, PublicKey, SubscriptionKeys};
use webpush_channels_fuzz::whole;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        match PublicKey::from_base64url(text) {
            Ok(key) => check(&key),
            Err(error) => drop(whole(&error)),
        }
        match AuthSecret::from_base64url(text) {
            Ok(secret) => assert_eq!(secret.to_base64url(), text.trim_end_matches('=')),
            Err(error) => drop(whole(&error)),
        }
    }
    match PublicKey::from_bytes(data) {
        Ok(key) => {
            assert_eq!(key.as_bytes()[..], *data);
            check(&key);
        }
        Err(error) => drop(whole(&error)),
    }
});

fn check(key: &PublicKey) {
    assert_eq!(key.as_bytes()[0], 0x04);
    assert_eq!(PublicKey::from_base64url(&key.to_base64url()).as_ref(), Ok(key));
    let keys = SubscriptionKeys::new(key.clone(), AuthSecret::from_bytes([7; 16]));
    let payload = Payload::new("hello").expect("five octets fit");
    let plaintext = Plaintext::new(&payload, Padding::None, Payload::MAX_LEN).expect("five octets fit");
    let mut body = Vec::new();
    let encryptors: [&dyn Encryptor; 2] = [&AwsLc::new(), &RustCrypto::new()];
    for encryptor in encryptors {
        encryptor.encrypt(&keys, &plaintext, &mut body).expect("a key that was parsed can be used");
        assert_eq!(body.len(), payload.len() + Plaintext::OVERHEAD);
    }
}

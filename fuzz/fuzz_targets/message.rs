//! What a caller wants sent, and how.
#![no_main]

use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use webpush_channels::{CollapseKey, Payload, PayloadError, Ttl, Urgency};
use webpush_channels_fuzz::whole;

fuzz_target!(|data: &[u8]| {
    match Payload::new(data.to_vec()) {
        Ok(payload) => assert_eq!(payload.as_bytes(), data),
        Err(error) => {
            assert!(data.len() > Payload::MAX_LEN);
            whole(&error);
        }
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        let json = serde_json::to_vec(&value).expect("it was JSON");
        match Payload::json(&value) {
            Ok(payload) => assert_eq!(payload.as_bytes(), json),
            Err(PayloadError::TooLarge { len, limit }) => assert!(len == json.len() && len > limit),
            Err(error) => panic!("{error}"),
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        check_text(text);
    }
});

fn check_text(text: &str) {
    let key = CollapseKey::new(text);
    assert_eq!(key.is_ok(), (1..=CollapseKey::MAX_LEN).contains(&text.len()));
    assert_eq!(CollapseKey::from_str(text), key);
    if let Ok(key) = key {
        assert_eq!(key.as_str(), text);
    }
    let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    let number = text.trim_start_matches('0');
    let fits = number.is_empty() || number.parse::<u64>().is_ok_and(|n| n <= Ttl::MAX.as_secs().into());
    let ttl = Ttl::from_str(text);
    assert_eq!(ttl.is_ok(), digits && fits);
    if let Ok(ttl) = ttl {
        assert_eq!(ttl.to_string(), if number.is_empty() { "0" } else { number });
    }
    if let Ok(urgency) = Urgency::from_str(text) {
        assert_eq!(urgency.as_str(), text);
    }
}

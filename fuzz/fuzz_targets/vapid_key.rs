//! Key files of any kind: what is read can be written in every form and read back as the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::vapid::{VapidKey, VapidKeyError};
use webpush_channels_fuzz::whole;

fuzz_target!(|data: &[u8]| {
    let of_octets = read(VapidKey::from_octets(data));
    let of_der = read(VapidKey::from_der(data));
    if let Some(scalar) = data.first_chunk::<32>() {
        read(VapidKey::from_scalar(scalar));
    }
    let of_text = std::str::from_utf8(data).ok().and_then(read_text);
    if let Some(key) = &of_text
        && data.len() != 32
    {
        assert_eq!(of_octets.as_ref().map(VapidKey::id), Some(key.id()), "text in a file is text");
    }
    // Once: elliptic curves are slow.
    if let Some(key) = of_octets.or(of_der).or(of_text) {
        check_forms(&key);
    }
});

fn read(result: Result<VapidKey, VapidKeyError>) -> Option<VapidKey> {
    result.map_err(|error| whole(&error)).ok()
}

fn read_text(text: &str) -> Option<VapidKey> {
    let of_text = read(VapidKey::from_text(text));
    if let Some(key) = read(VapidKey::from_pem(text)) {
        assert_eq!(of_text.as_ref().map(VapidKey::id), Some(key.id()));
    }
    let (private, public) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(key) = read(VapidKey::from_base64url_pair(private, public)) {
        assert_eq!(key.application_server_key(), public.trim().trim_end_matches('='));
    }
    read(VapidKey::from_base64_der(text));
    read(VapidKey::from_jwk(text));
    read(VapidKey::from_json_pair(text));
    read(VapidKey::from_base64url(text));
    of_text
}

fn check_forms(key: &VapidKey) {
    let same =
        |again: Result<VapidKey, VapidKeyError>| assert_eq!(again.ok().map(|key| key.id()), Some(key.id()));
    let (scalar, pair) = (key.to_base64url(), key.to_json_pair());
    same(VapidKey::from_octets(key.to_pkcs8_pem().expose().as_bytes()));
    same(VapidKey::from_octets(key.to_pkcs8_der().expose()));
    same(VapidKey::from_octets(key.to_sec1_pem().expose().as_bytes()));
    same(VapidKey::from_octets(key.to_sec1_der().expose()));
    same(VapidKey::from_octets(key.to_jwk().expose().as_bytes()));
    same(VapidKey::from_octets(pair.expose().as_bytes()));
    same(VapidKey::from_text(scalar.expose()));
    same(VapidKey::from_base64url_pair(scalar.expose(), &key.application_server_key()));
    let shown = format!("{key:?} {:?}", key.to_jwk());
    assert!(!shown.contains(scalar.expose()), "a key is not shown (S-11)");
}

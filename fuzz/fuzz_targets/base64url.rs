//! Base64url, by all that read it, against the text of RFC 4648 section 5 (E-3).
#![no_main]

use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::vapid::{VapidKey, VapidKeyError};
use webpush_channels::{AuthSecret, KeyError, KeyId, PublicKey};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let octets = decode(text);
    match (AuthSecret::from_base64url(text), &octets) {
        (Ok(secret), Some(octets)) => assert_eq!(secret.as_bytes()[..], octets[..]),
        (Err(KeyError::AuthLength { octets: len }), Some(octets)) => assert_eq!(len, octets.len()),
        (Err(KeyError::AuthEncoding), None) => {}
        (other, octets) => panic!("{other:?} of {octets:?}"),
    }
    match (KeyId::from_str(text), &octets) {
        (Ok(id), Some(octets)) => assert_eq!(id.as_bytes()[..], octets[..]),
        (Err(_), Some(octets)) => assert_ne!(octets.len(), 16),
        (Err(_), None) => {}
        (Ok(id), None) => panic!("{id} of what is no base64url"),
    }
    match (PublicKey::from_base64url(text), &octets) {
        (Ok(key), Some(octets)) => assert_eq!(key.as_bytes()[..], octets[..]),
        (Err(KeyError::PublicKeyEncoding), None) => {}
        (Err(error), Some(octets)) => assert_eq!(Err(error), PublicKey::from_bytes(octets)),
        (other, octets) => panic!("{other:?} of {octets:?}"),
    }
    match (VapidKey::from_base64url(text), octets) {
        (Ok(key), Some(octets)) => assert_eq!(key.to_scalar().expose(), octets),
        (Err(VapidKeyError::Base64 | VapidKeyError::TooLong { .. }), None) | (Err(_), Some(_)) => {}
        // White space around it does not count.
        (_, None) => assert_ne!(text.trim_start_matches('\u{feff}').trim(), text),
    }
});

/// As the RFC has it: whole groups of six bits, nothing left over but zeros, and padding up to four characters.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if padding > (4 - digits.len() % 4) % 4 || digits.len() % 4 == 1 {
        return None;
    }
    let (mut octets, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            octets.push((held >> bits).to_be_bytes()[3]);
        }
    }
    (held & ((1 << bits) - 1) == 0).then_some(octets)
}

//! The headers that say how a body is encrypted: of RFC 8291, and of the draft before it
//! (draft-ietf-webpush-encryption-04).

use http::header::{CONTENT_ENCODING, HeaderName};
use http::{HeaderMap, HeaderValue};

use super::refusal::Refusal;
use crate::testing::push_service::checks::{CRYPTO_KEY, ENCRYPTION, text};
use crate::testing::push_service::violation::Violation;

const ENCRYPTION_KEY: HeaderName = HeaderName::from_static("encryption-key");

/// The headers that only a body needs.
pub(super) const CODING: [HeaderName; 4] = [CONTENT_ENCODING, CRYPTO_KEY, ENCRYPTION, ENCRYPTION_KEY];

/// A body's coding and what it needs, or must not have, in other headers.
pub(super) fn check_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    match text(headers, &CONTENT_ENCODING) {
        None => Err(Violation::ContentEncodingMissing.into()),
        Some("aes128gcm") => check_aes128gcm(headers),
        Some("aesgcm") => check_aesgcm(headers),
        Some(_) => Err(Violation::ContentEncoding.into()),
    }
}

/// All parameters are in the body (V-31).
fn check_aes128gcm(headers: &HeaderMap) -> Result<(), Refusal> {
    if parameter(headers, Part::Salt, "aes128gcm Encryption")?.is_some() {
        return Err(Violation::Encryption.into());
    }
    if parameter(headers, Part::Dh, "aes128gcm Crypto-Key")?.is_some() {
        return Err(Violation::CryptoKey.into());
    }
    Ok(())
}

/// Without `Crypto-Key` it is taken, too, and no browser can open it.
fn check_aesgcm(headers: &HeaderMap) -> Result<(), Refusal> {
    if text(headers, &ENCRYPTION).is_none() {
        return Err(Refusal::coding(Violation::Encryption, "Missing Encryption header"));
    }
    require(headers, Part::Salt, "Encryption")?;
    if headers.contains_key(ENCRYPTION_KEY) {
        let message = "Encryption-Key header is not valid for webpush draft 02 or later";
        return Err(Refusal::coding(Violation::Encryption, message));
    }
    if text(headers, &CRYPTO_KEY).is_some() {
        require(headers, Part::Dh, "Crypto-Key")?;
    }
    Ok(())
}

/// A parameter of a header.
#[derive(Clone, Copy)]
enum Part {
    Salt,
    Dh,
}

impl Part {
    const fn row(self) -> (Violation, &'static str) {
        match self {
            Self::Salt => (Violation::Encryption, "salt"),
            Self::Dh => (Violation::CryptoKey, "dh"),
        }
    }
}

fn require(headers: &HeaderMap, part: Part, header: &str) -> Result<(), Refusal> {
    let (violation, name) = part.row();
    match parameter(headers, part, header)? {
        Some(value) if is_base64url(&value) => Ok(()),
        Some(_) => Err(Refusal::coding(violation, format!("Invalid {name} value in {header} header"))),
        None => Err(Refusal::coding(violation, format!("Missing {name} value in {header} header"))),
    }
}

/// `called` is what an error calls the header.
fn parameter(headers: &HeaderMap, part: Part, called: &str) -> Result<Option<String>, Refusal> {
    let (violation, name) = part.row();
    let header = match part {
        Part::Salt => &ENCRYPTION,
        Part::Dh => &CRYPTO_KEY,
    };
    let Some(text) = text(headers, header) else { return Ok(None) };
    find(&stripped(text), name)
        .map_err(|Malformed| Refusal::coding(violation, format!("Invalid {called} header")))
}

/// A part of a header without `=`.
pub(super) struct Malformed;

/// The first parameter with this name. Sections are parted by commas, parameters by semicolons.
pub(super) fn find(header: &str, name: &str) -> Result<Option<String>, Malformed> {
    let mut found = None;
    for part in header.split([',', ';']) {
        let (key, value) = part.split_once('=').ok_or(Malformed)?;
        if key.trim() == name && found.is_none() {
            found = Some(value.trim_matches([' ', '"']).to_owned());
        }
    }
    Ok(found)
}

/// What a browser gets of a message's headers.
pub(in crate::testing::push_service) fn delivered(headers: &HeaderMap) -> HeaderMap {
    let mut delivered = headers.clone();
    for name in [CRYPTO_KEY, ENCRYPTION] {
        let value = text(headers, &name).map(stripped);
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            delivered.insert(name, value);
        }
    }
    delivered
}

/// A header without quotes and padding, as browsers get it.
pub(in crate::testing::push_service) fn stripped(header: &str) -> String {
    let header = header.replace('"', "");
    let parts = header.split_inclusive([',', ';']).map(|part| match part.strip_suffix([',', ';']) {
        Some(value) => format!("{}{}", value.trim_end_matches('='), &part[value.len()..]),
        None => part.trim_end_matches('=').to_owned(),
    });
    parts.collect()
}

/// At least one character, then perhaps padding.
pub(super) fn is_base64url(text: &str) -> bool {
    let text = text.trim_end_matches('=');
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_lose_quotes_and_padding() {
        assert_eq!(
            stripped(r#"keyid="p256dh";dh="deadbeef==",p256ecdsa=ab="#),
            "keyid=p256dh;dh=deadbeef,p256ecdsa=ab"
        );
        assert_eq!(stripped("salt=foo"), "salt=foo");
    }

    #[test]
    fn parameters_are_found_in_any_section() {
        let find = |header, name| find(header, name).ok().flatten();
        assert_eq!(find("keyid=p256dh; dh=\"ab\"", "dh").as_deref(), Some("ab"));
        assert_eq!(find("dh=ab,p256ecdsa=cd", "p256ecdsa").as_deref(), Some("cd"));
        assert_eq!(find("dh=ab,dh=cd", "dh").as_deref(), Some("ab"));
        assert_eq!(find("notdh=ab", "dh"), None);
        assert!(super::find("dh=ab;junk", "dh").is_err());
    }
}

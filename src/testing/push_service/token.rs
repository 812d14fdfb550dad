//! VAPID tokens as the strictest vendor verifies them (RFC 8292 section 4.2).

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde_json::Value;

use super::violation::Violation;
use crate::base64url;
use crate::testing::lock;

/// The longest life of a token, in seconds (V-5).
const MAX_LIFE: u64 = 24 * 60 * 60;
/// Enough for the keys of a test; more than that starts anew.
const CAPACITY: usize = 1024;

/// A token's key and end; its other claims were found right.
#[derive(Clone, Copy)]
pub(super) struct Token {
    pub(super) key: [u8; 65],
    expires: u64,
}

/// Tokens verified before, because one token serves many requests (RFC 8292 section 5).
pub(super) struct Tokens {
    audience: Box<str>,
    verified: Mutex<HashMap<Box<[u8]>, Token>>,
}

impl Tokens {
    pub(super) fn new(audience: &str) -> Self {
        Self { audience: audience.into(), verified: Mutex::default() }
    }

    /// Verifies the value of an `Authorization` header.
    pub(super) fn verify(&self, header: &[u8], now: u64) -> Result<Token, Violation> {
        let known = lock(&self.verified).get(header).copied();
        let token = match known {
            Some(token) => token,
            None => self.verify_anew(header)?,
        };
        match token.expires {
            expires if expires < now => Err(Violation::VapidExpired),
            expires if expires > now.saturating_add(MAX_LIFE) => Err(Violation::VapidTooLong),
            _ => Ok(token),
        }
    }

    fn verify_anew(&self, header: &[u8]) -> Result<Token, Violation> {
        let (token, key) = parameters(header)?;
        let key: [u8; 65] = strict_base64(key)
            .and_then(|key| key.try_into().ok())
            .filter(|key: &[u8; 65]| key[0] == 0x04)
            .ok_or(Violation::VapidKey)?;
        let point = VerifyingKey::from_sec1_bytes(&key).map_err(|_| Violation::VapidKey)?;
        let claims = verified_claims(token, &point)?;
        let expires = self.check_claims(&claims)?;
        let token = Token { key, expires };
        let mut verified = lock(&self.verified);
        if verified.len() >= CAPACITY {
            verified.clear();
        }
        verified.insert(header.into(), token);
        Ok(token)
    }

    /// `aud` is this origin to the letter, `exp` an integer, `sub` a way to reach the sender.
    fn check_claims(&self, claims: &Value) -> Result<u64, Violation> {
        let expires = claims["exp"].as_u64().ok_or(Violation::VapidClaims)?;
        if claims["aud"].as_str().ok_or(Violation::VapidClaims)? != &*self.audience {
            return Err(Violation::VapidAudience);
        }
        match claims["sub"].as_str() {
            Some(contact) if is_contact(contact) => Ok(expires),
            _ => Err(Violation::VapidContact),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("verified", &lock(&self.verified).len()).finish_non_exhaustive()
    }
}

/// `t` and `k`, in any order; others are ignored (RFC 8292 section 3). Quotes are refused, as
/// Mozilla does.
fn parameters(header: &[u8]) -> Result<(&str, &str), Violation> {
    let header = std::str::from_utf8(header).map_err(|_| Violation::VapidHeader)?;
    let (scheme, rest) = header.split_once(' ').ok_or(Violation::VapidHeader)?;
    if !scheme.eq_ignore_ascii_case("vapid") {
        return Err(Violation::VapidHeader);
    }
    let (mut token, mut key) = (None, None);
    for parameter in rest.split(',') {
        let (name, value) = parameter.trim().split_once('=').ok_or(Violation::VapidHeader)?;
        let known = match name.to_ascii_lowercase().as_str() {
            "t" => token.replace(value),
            "k" => key.replace(value),
            _ => None,
        };
        if known.is_some() {
            return Err(Violation::VapidHeader);
        }
    }
    token.zip(key).ok_or(Violation::VapidHeader)
}

/// The claims of a JWS in compact form, once its signature is seen to be right.
fn verified_claims(token: &str, key: &VerifyingKey) -> Result<Value, Violation> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Violation::VapidToken)?;
    let (header, claims) = signed.split_once('.').ok_or(Violation::VapidToken)?;
    let header = json(header).ok_or(Violation::VapidToken)?;
    let typ = &header["typ"];
    if header["alg"] != "ES256" || !(typ.is_null() || typ == "JWT") {
        return Err(Violation::VapidToken);
    }
    let signature = strict_base64(signature).ok_or(Violation::VapidSignature)?;
    let signature = Signature::from_slice(&signature).map_err(|_| Violation::VapidSignature)?;
    key.verify(signed.as_bytes(), &signature).map_err(|_| Violation::VapidSignature)?;
    json(claims).filter(Value::is_object).ok_or(Violation::VapidClaims)
}

fn json(part: &str) -> Option<Value> {
    serde_json::from_slice(&strict_base64(part)?).ok()
}

/// Without padding: V-10 and RFC 7515 section 2.
fn strict_base64(text: &str) -> Option<Vec<u8>> {
    if text.contains('=') { None } else { base64url::decode(text).ok() }
}

/// V-8: what Apple accepts.
fn is_contact(contact: &str) -> bool {
    if !contact.bytes().all(|octet| octet.is_ascii_graphic() && !b"<>\"\\".contains(&octet)) {
        return false;
    }
    if let Some(address) = contact.strip_prefix("mailto:") {
        let address = address.split('?').next().unwrap_or_default();
        return address.split_once('@').is_some_and(|(user, host)| !user.is_empty() && is_public(host));
    }
    contact.strip_prefix("https://").is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        is_public(authority.split(':').next().unwrap_or_default())
    })
}

fn is_public(host: &str) -> bool {
    let name = |label: &str| {
        !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.contains('.')
        && host.split('.').all(name)
        && !["localhost", "local", "invalid", "localdomain"].contains(&last)
        && !last.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";

    #[test]
    fn a_contact_is_one_that_apple_accepts() {
        for contact in
            ["mailto:ops@example.com", "https://example.com", "https://push.example.com:8443/contact"]
        {
            assert!(is_contact(contact), "{contact}");
        }
        for contact in [
            "",
            "ops@example.com",
            "mailto:",
            "mailto:@example.com",
            "mailto:ops@localhost",
            "mailto:ops@mail.localhost",
            "mailto: ops@example.com",
            "mailto:<ops@example.com>",
            "https://localhost",
            "https://127.0.0.1/",
            "http://example.com",
        ] {
            assert!(!is_contact(contact), "{contact}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_refused_without_a_panic(header in ".{0,200}", token in "[\\w.=-]{0,100}") {
            let tokens = Tokens::new("https://push.example.net");
            proptest::prop_assert!(tokens.verify(header.as_bytes(), 0).is_err());
            let with_key = format!("vapid t={token}, k={KEY}");
            proptest::prop_assert!(tokens.verify(with_key.as_bytes(), 0).is_err());
        }
    }

    #[test]
    fn parameters_come_in_any_order_and_spacing() {
        for header in ["vapid t=a, k=b", "Vapid k=b,t=a", "vapid t=a,x=y=z, k=b"] {
            assert_eq!(parameters(header.as_bytes()), Ok(("a", "b")), "{header}");
        }
        for header in
            ["", "vapid", "vapid t=a", "vapid k=b", "vapid t=a;k=b", "Bearer t=a, k=b", "vapid t=a, k=b, k=c"]
        {
            assert_eq!(parameters(header.as_bytes()), Err(Violation::VapidHeader), "{header}");
        }
    }
}

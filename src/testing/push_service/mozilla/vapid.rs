//! VAPID as Mozilla verifies it: the scheme and parameters of RFC 8292, and those of the drafts
//! before it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Mutex;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Deserialize;
use serde_json::Value;

use super::coding;
use super::refusal::Refusal;
use crate::base64url;
use crate::testing::lock;
use crate::testing::push_service::checks::{CRYPTO_KEY, text};
use crate::testing::push_service::violation::Violation;

/// The longest life of a token, in seconds (V-5).
const MAX_LIFE: u64 = 24 * 60 * 60;
/// What clocks may differ, in seconds.
const LEEWAY: u64 = 60;
/// Enough for the keys of a test; more than that starts anew.
const CAPACITY: usize = 1024;

/// What the headers hold, before anything is verified.
pub(super) struct Credentials {
    token: String,
    key: String,
}

impl Credentials {
    /// Reads `Authorization`, and `Crypto-Key` where the key is there as the drafts had it.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let Some(header) = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()) else {
            return Ok(None);
        };
        let missing_token = || Refusal::vapid(Violation::VapidHeader, "Missing VAPID token");
        let (scheme, rest) = header.split_once(' ').ok_or_else(missing_token)?;
        let rest = rest.replace(' ', "");
        match scheme.to_ascii_lowercase().as_str() {
            "vapid" => {
                let parameters: HashMap<_, _> =
                    rest.split(',').filter_map(|part| part.split_once('=')).collect();
                let missing_key = || Refusal::vapid(Violation::VapidHeader, "Missing VAPID public key");
                let key = (*parameters.get("k").ok_or_else(missing_key)?).to_owned();
                let token = (*parameters.get("t").ok_or_else(missing_token)?).to_owned();
                Ok(Some(Self { token, key }))
            }
            "webpush" | "bearer" => Ok(Some(Self { token: rest, key: draft_key(headers)? })),
            _ => Err(Refusal::vapid(Violation::VapidHeader, "Unknown auth scheme")),
        }
    }

    /// Some senders pad, or use the other alphabet, which is overlooked.
    pub(super) fn key(&self) -> Result<Vec<u8>, Refusal> {
        let key = self.key.trim_end_matches('=');
        let engine = if key.contains(['+', '/']) { BASE64_STANDARD_NO_PAD } else { BASE64_URL_SAFE_NO_PAD };
        engine.decode(key).map_err(|error| {
            Refusal::vapid(Violation::VapidKey, format!("Invalid VAPID public key: {error}"))
        })
    }
}

fn draft_key(headers: &HeaderMap) -> Result<String, Refusal> {
    let refuse = |message: &'static str| Refusal::coding(Violation::CryptoKey, message);
    let header = text(headers, &CRYPTO_KEY).ok_or_else(|| refuse("Missing Crypto-Key header"))?;
    coding::find(header, "p256ecdsa")
        .map_err(|_| refuse("Invalid Crypto-Key header"))?
        .ok_or_else(|| refuse("Missing p256ecdsa in Crypto-Key header"))
}

/// Tokens whose signature was verified before, because one serves many requests.
#[derive(Default)]
pub(in crate::testing::push_service) struct Signatures(Mutex<HashSet<(String, String)>>);

impl fmt::Debug for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signatures").field("verified", &lock(&self.0).len()).finish_non_exhaustive()
    }
}

impl Signatures {
    /// The claims, as octets, once the signature is seen to be right.
    pub(super) fn verify(&self, credentials: &Credentials) -> Result<Vec<u8>, Refusal> {
        let key = credentials.key()?;
        let malformed = || Refusal::vapid(Violation::VapidToken, "InvalidToken");
        let (signed, signature) = credentials.token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        let header: Value = base64url::decode(header)
            .ok()
            .and_then(|header| serde_json::from_slice(&header).ok())
            .ok_or_else(malformed)?;
        if header["alg"] != "ES256" {
            return Err(Refusal::vapid(Violation::VapidToken, "InvalidAlgorithm"));
        }
        let known = (credentials.token.clone(), credentials.key.clone());
        if !lock(&self.0).contains(&known) {
            verify_signature(&key, signed, signature)
                .ok_or_else(|| Refusal::vapid(Violation::VapidSignature, "InvalidSignature"))?;
            let mut verified = lock(&self.0);
            if verified.len() >= CAPACITY {
                verified.clear();
            }
            verified.insert(known);
        }
        base64url::decode(claims).map_err(|_| malformed())
    }
}

fn verify_signature(key: &[u8], signed: &str, signature: &str) -> Option<()> {
    let key = VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = Signature::from_slice(&base64url::decode(signature).ok()?).ok()?;
    key.verify(signed.as_bytes(), &signature).ok()
}

/// `sub` is not looked at.
#[derive(Deserialize)]
struct Claims {
    exp: u64,
    aud: Option<String>,
}

/// Checks the claims of a token for this origin.
pub(super) fn check_claims(claims: &[u8], audience: &str, now: u64) -> Result<(), Refusal> {
    const UNFIT: &str = "A value in the vapid claims is either missing or incorrectly specified \
        (e.g. \"exp\":\"12345\" or \"sub\":null). Please correct and retry.";
    let refuse = |violation, message: String| Err(Refusal::vapid(violation, message));
    let claims: Claims = match serde_json::from_slice(claims) {
        Ok(claims) => claims,
        Err(error) if error.is_data() => {
            return refuse(Violation::VapidClaims, format!("Invalid VAPID token: {UNFIT}"));
        }
        Err(error) => return refuse(Violation::VapidClaims, format!("Invalid VAPID token: {error}")),
    };
    let Some(aud) = claims.aud else {
        return refuse(Violation::VapidClaims, "Invalid VAPID token: Missing required aud".to_owned());
    };
    if claims.exp < now.saturating_sub(LEEWAY) {
        return refuse(Violation::VapidExpired, "ExpiredSignature".to_owned());
    }
    if claims.exp > now.saturating_add(MAX_LIFE + LEEWAY) {
        return refuse(Violation::VapidTooLong, "The VAPID token expiration is too long".to_owned());
    }
    if aud == audience {
        Ok(())
    } else {
        refuse(Violation::VapidAudience, "Invalid VAPID audience".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    proptest::proptest! {
        #[test]
        fn any_header_and_any_claims_are_refused_without_a_panic(
            header in ".{0,200}",
            claims in proptest::collection::vec(0_u8.., 0..100),
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(header) = HeaderValue::from_str(&header) {
                headers.insert(AUTHORIZATION, header);
            }
            if let Ok(Some(credentials)) = Credentials::parse(&headers) {
                proptest::prop_assert!(Signatures::default().verify(&credentials).is_err());
            }
            proptest::prop_assert!(check_claims(&claims, "https://push.example.net", 0).is_err());
        }
    }

    #[test]
    fn the_slack_is_a_minute_on_both_sides() {
        let origin = "https://push.example.net";
        let check = |exp: u64| {
            let claims = serde_json::json!({"aud": origin, "exp": exp}).to_string();
            check_claims(claims.as_bytes(), origin, 1_000_000).map_err(|refusal| refusal.violation)
        };
        assert_eq!(check(999_940), Ok(()));
        assert_eq!(check(999_939), Err(Violation::VapidExpired));
        assert_eq!(check(1_086_460), Ok(()));
        assert_eq!(check(1_086_461), Err(Violation::VapidTooLong));
    }
}

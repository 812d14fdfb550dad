//! VAPID as a push service checks it (RFC 8292 section 4.2), as strictly as the strictest vendor.

use std::fmt;
use std::time::SystemTime;

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::base64url;
use crate::clock::unix_seconds;
use crate::engine::vapid::{Contact, ContactError};
use crate::{KeyId, Origin};

mod authorization;

pub use self::authorization::parse_authorization;

/// RFC 8292 section 2, measured without leeway as Mozilla's service does (V-6).
const MAX_AHEAD: u64 = 24 * 3600;

/// What an `Authorization` header holds: a token and the key that it claims to be signed with.
/// `Debug` shows the [`KeyId`] only.
#[derive(Clone)]
pub struct Credentials {
    token: String,
    key: [u8; 65],
}

impl Credentials {
    /// The id of the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::of_public_key(&self.key)
    }

    /// The key, uncompressed.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 65] {
        &self.key
    }

    /// Checks that the key is the one that a subscription was created with.
    ///
    /// # Errors
    ///
    /// [`VapidRefusal::KeyMismatch`] when it is another one (RFC 8292 section 4.2).
    pub fn require_key(&self, key: KeyId) -> Result<(), VapidRefusal> {
        if self.key_id() == key { Ok(()) } else { Err(VapidRefusal::KeyMismatch) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("key", &self.key_id()).finish_non_exhaustive()
    }
}

/// What a token says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Claims {
    /// `aud`: the origin that the token is for.
    pub audience: String,
    /// `exp`: when it expires, in seconds since 1970.
    pub expires: u64,
    /// `sub`: whom the push service can reach.
    pub contact: Contact,
}

/// Checks a token: signed with its key, made for this origin, not expired, expiring within
/// 24 hours, with a contact that Apple takes (V-8, V-19).
///
/// # Errors
///
/// [`VapidRefusal`] with the first rule that it breaks.
///
/// ```
/// use std::time::SystemTime;
/// use webpush_channels::engine::vapid::{Vapid, VapidKey};
/// use webpush_channels::testing::vapid::{VapidRefusal, parse_authorization, verify};
/// use webpush_channels::{Clock, Endpoint, SystemClock};
///
/// let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
/// let origin = "https://push.example.net/p/x".parse::<Endpoint>()?.origin();
/// let token = vapid.authorization(&origin)?;
///
/// let credentials = parse_authorization(token.header.to_str()?)?;
/// credentials.require_key(vapid.key_id())?;
/// let claims = verify(&credentials, &origin, SystemClock::default().now())?;
/// assert_eq!(claims.audience, "https://push.example.net");
///
/// let late = SystemClock::default().now() + std::time::Duration::from_secs(86_400);
/// assert_eq!(verify(&credentials, &origin, late), Err(VapidRefusal::Expired));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify(credentials: &Credentials, origin: &Origin, now: SystemTime) -> Result<Claims, VapidRefusal> {
    check_signature(credentials)?;
    let raw: RawClaims = json_part(&credentials.token, 1)?;
    let audience = match raw.aud {
        Some(Value::String(aud)) if aud == origin.as_str() => aud,
        _ => return Err(VapidRefusal::Audience),
    };
    let expires = raw.exp.as_ref().and_then(Value::as_u64).ok_or(VapidRefusal::Expiry)?;
    let now = unix_seconds(now);
    if expires < now {
        return Err(VapidRefusal::Expired);
    }
    if expires > now.saturating_add(MAX_AHEAD) {
        return Err(VapidRefusal::TooFarAhead);
    }
    let Some(Value::String(sub)) = raw.sub else {
        return Err(VapidRefusal::NoContact);
    };
    let contact = sub.parse().map_err(VapidRefusal::Contact)?;
    Ok(Claims { audience, expires, contact })
}

/// Why a push service refuses a request's credentials (V-19). Vendors answer 401 (Mozilla), 403
/// or 400 (Apple, by reason).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VapidRefusal {
    /// `aud` is not, as one string, the origin of the push resource (V-3, V-4).
    #[error("the token's aud is not the push service's origin")]
    Audience,
    /// `sub` is not usable.
    #[error("the token's sub is not usable")]
    Contact(#[source] ContactError),
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `exp` is missing or not an integer (V-6).
    #[error("the token's exp is missing or not a whole number of seconds")]
    Expiry,
    /// `k` is not an uncompressed point on P-256 in base64url.
    #[error("the parameter k is not a public key: 65 octets of base64url, a point on P-256")]
    Key,
    /// The key is not the subscription's.
    #[error("the subscription was created with another key")]
    KeyMismatch,
    /// `t` or `k` is missing.
    #[error("the parameter {parameter} is missing")]
    Missing {
        /// Which one.
        parameter: &'static str,
    },
    /// There is no `sub`, which Apple needs (V-8).
    #[error("the token has no sub")]
    NoContact,
    /// Another scheme than `vapid`.
    #[error("the authorization scheme is not vapid")]
    Scheme,
    /// The signature is not the key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// Not a list of parameters (RFC 9110 section 11.4).
    #[error("the authorization is not a list of parameters, each once")]
    Syntax,
    /// `t` is not an ES256 JWT.
    #[error("the parameter t is not a JWT signed with ES256")]
    Token,
    /// `exp` is more than 24 hours ahead.
    #[error("the token expires more than 24 hours from now")]
    TooFarAhead,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
}

/// Any JSON: the type of each claim is judged apart.
#[derive(Deserialize)]
struct RawClaims {
    aud: Option<Value>,
    exp: Option<Value>,
    sub: Option<Value>,
}

fn check_signature(credentials: &Credentials) -> Result<(), VapidRefusal> {
    let token = &credentials.token;
    let header: Header = json_part(token, 0)?;
    // RFC 7515 section 4.1.9: the type is optional and compared without case.
    let jwt = header.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    if header.alg != "ES256" || !jwt || token.split('.').count() != 3 {
        return Err(VapidRefusal::Token);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(VapidRefusal::Token)?;
    let signature: [u8; 64] = base64url::decode_array(signature).map_err(|_| VapidRefusal::Signature)?;
    let signature = Signature::from_slice(&signature).map_err(|_| VapidRefusal::Signature)?;
    let key = VerifyingKey::from_sec1_bytes(&credentials.key).map_err(|_| VapidRefusal::Key)?;
    key.verify(signed.as_bytes(), &signature).map_err(|_| VapidRefusal::Signature)
}

fn json_part<T: for<'de> Deserialize<'de>>(token: &str, part: usize) -> Result<T, VapidRefusal> {
    let text = token.split('.').nth(part).ok_or(VapidRefusal::Token)?;
    let json = base64url::decode(text).map_err(|_| VapidRefusal::Token)?;
    serde_json::from_slice(&json).map_err(|_| VapidRefusal::Token)
}

#[cfg(test)]
mod tests;

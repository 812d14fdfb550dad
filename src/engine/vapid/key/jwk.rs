//! JSON Web Keys (RFC 7517, RFC 7518 section 6.2).

use std::borrow::Cow;

use serde::Deserialize;

use super::{VapidKey, VapidKeyError};
use crate::base64url::{self, Base64Error};

/// Borrowed where it can be: the private member is not copied.
#[derive(Deserialize)]
struct Jwk<'a> {
    #[serde(borrow)]
    kty: Option<Cow<'a, str>>,
    #[serde(borrow)]
    crv: Option<Cow<'a, str>>,
    #[serde(borrow)]
    x: Option<Cow<'a, str>>,
    #[serde(borrow)]
    y: Option<Cow<'a, str>>,
    #[serde(borrow)]
    d: Option<Cow<'a, str>>,
}

pub(super) fn parse(text: &str) -> Result<VapidKey, VapidKeyError> {
    // The JSON error's own text may quote the key: only the place is told.
    let jwk: Jwk<'_> = serde_json::from_str(text)
        .map_err(|error| VapidKeyError::Json { line: error.line(), column: error.column() })?;
    check_kind(&jwk)?;
    let Some(scalar) = &jwk.d else {
        return Err(VapidKeyError::NotPrivate { found: "the JWK of a public key" });
    };
    let key = VapidKey::from_scalar(&zeroize::Zeroizing::new(member("d", Some(scalar))?))?;
    let x = member("x", jwk.x.as_deref())?;
    let y = member("y", jwk.y.as_deref())?;
    if key.public_key()[1..33] == x && key.public_key()[33..] == y {
        Ok(key)
    } else {
        Err(VapidKeyError::Mismatch)
    }
}

fn check_kind(jwk: &Jwk<'_>) -> Result<(), VapidKeyError> {
    match (jwk.kty.as_deref(), jwk.crv.as_deref()) {
        (Some("EC"), Some("P-256")) => Ok(()),
        (Some("EC"), Some("P-384")) => Err(VapidKeyError::Curve { found: "P-384" }),
        (Some("EC"), Some("P-521")) => Err(VapidKeyError::Curve { found: "P-521" }),
        (Some("EC"), Some("secp256k1")) => Err(VapidKeyError::Curve { found: "secp256k1" }),
        (Some("EC"), _) => Err(VapidKeyError::Jwk { member: "crv" }),
        (Some("RSA"), _) => Err(VapidKeyError::Algorithm { found: "an RSA key" }),
        (Some("OKP"), _) => Err(VapidKeyError::Algorithm { found: "an Edwards or Montgomery curve key" }),
        _ => Err(VapidKeyError::Jwk { member: "kty" }),
    }
}

/// RFC 7518 sections 6.2.1.2 and 6.2.2.1: exactly as long as the curve's coordinates.
fn member(name: &'static str, text: Option<&str>) -> Result<[u8; 32], VapidKeyError> {
    base64url::decode_array(text.unwrap_or_default()).map_err(|error| match error {
        Base64Error::Length { got, .. } if name == "d" => VapidKeyError::Length { octets: got },
        _ => VapidKeyError::Jwk { member: name },
    })
}

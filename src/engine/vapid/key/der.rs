//! PKCS#8 (RFC 5208, RFC 5958) and SEC1 (RFC 5915).

use p256::ecdsa::SigningKey;
use p256::pkcs8::der::asn1::{BitStringRef, OctetStringRef};
use p256::pkcs8::der::{self, Decode as _, Reader as _, SliceReader, TagMode, TagNumber};
use p256::pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};

use super::{VapidKey, VapidKeyError};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

pub(super) fn parse(octets: &[u8]) -> Result<VapidKey, VapidKeyError> {
    match parse_pkcs8(octets) {
        Err(VapidKeyError::Der(_)) => parse_sec1(octets),
        other => other,
    }
}

pub(super) fn parse_pkcs8(octets: &[u8]) -> Result<VapidKey, VapidKeyError> {
    let info = PrivateKeyInfoRef::from_der(octets).map_err(|error| VapidKeyError::Der(error.into()))?;
    if info.algorithm.oid != EC_PUBLIC_KEY {
        return Err(VapidKeyError::Algorithm { found: algorithm_name(info.algorithm.oid) });
    }
    if let Some(parameters) = info.algorithm.parameters {
        check_curve(parameters.decode_as().map_err(damaged)?)?;
    }
    parse_sec1(info.private_key.as_bytes())
}

pub(super) fn parse_sec1(octets: &[u8]) -> Result<VapidKey, VapidKeyError> {
    let parts = ec_private_key(octets).map_err(damaged)?;
    if let Some(curve) = parts.curve {
        check_curve(curve)?;
    }
    // RFC 5915 asks for leading zeros, some writers leave them out; the library puts them back.
    if !(24..=32).contains(&parts.scalar.len()) {
        return Err(VapidKeyError::Length { octets: parts.scalar.len() });
    }
    let signing = SigningKey::from_slice(parts.scalar).map_err(|_| VapidKeyError::Scalar)?;
    let key = VapidKey::of_signing_key(signing);
    match parts.public {
        // Possibly compressed, so the points are compared.
        Some(public)
            if p256::PublicKey::from_sec1_bytes(public) != Ok(key.signing.verifying_key().into()) =>
        {
            Err(VapidKeyError::Mismatch)
        }
        _ => Ok(key),
    }
}

struct EcPrivateKey<'a> {
    scalar: &'a [u8],
    curve: Option<ObjectIdentifier>,
    public: Option<&'a [u8]>,
}

fn ec_private_key(octets: &[u8]) -> der::Result<EcPrivateKey<'_>> {
    let mut reader = SliceReader::new(octets)?;
    let key = reader.sequence(|fields| {
        u8::decode(fields)?;
        let scalar = <&OctetStringRef>::decode(fields)?.as_bytes();
        let curve = fields.context_specific(TagNumber(0), TagMode::Explicit)?;
        let public: Option<BitStringRef<'_>> = fields.context_specific(TagNumber(1), TagMode::Explicit)?;
        let public = public.and_then(|bits| bits.as_bytes());
        Ok::<_, der::Error>(EcPrivateKey { scalar, curve, public })
    })?;
    reader.finish()?;
    Ok(key)
}

fn check_curve(curve: ObjectIdentifier) -> Result<(), VapidKeyError> {
    if curve == P256 { Ok(()) } else { Err(VapidKeyError::Curve { found: curve_name(curve) }) }
}

fn damaged(error: der::Error) -> VapidKeyError {
    VapidKeyError::Der(error.into())
}

fn algorithm_name(oid: ObjectIdentifier) -> &'static str {
    match oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.10" => "an RSA key",
        "1.2.840.10040.4.1" => "a DSA key",
        "1.3.101.110" => "an X25519 key",
        "1.3.101.112" => "an Ed25519 key",
        _ => "a key for another algorithm",
    }
}

fn curve_name(oid: ObjectIdentifier) -> &'static str {
    match oid.to_string().as_str() {
        "1.3.132.0.10" => "secp256k1",
        "1.3.132.0.33" => "P-224",
        "1.3.132.0.34" => "P-384",
        "1.3.132.0.35" => "P-521",
        _ => "of another name",
    }
}

//! Keys that verify tokens, each with the algorithms that it is for (RFC 8725 section 3.1).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::BearerError;

/// The most octets that are read of a file of keys.
const MAX_FILE: u64 = 1024 * 1024;
/// RFC 7518 section 3.3, and what the verifier takes.
const RSA_OCTETS: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key, its algorithms, and its name in a JWK Set.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) verifier: DecodingKey,
}

impl Key {
    /// The one key of a file.
    pub(super) fn read(path: PathBuf) -> Result<Self, BearerError> {
        let octets = read(&path)?;
        Self::from_file(&octets).map_err(|problem| BearerError::Key { path, problem })
    }

    /// A public key in PEM; what is no PEM is a secret.
    fn from_file(octets: &[u8]) -> Result<Self, &'static str> {
        match label(octets) {
            Some(label) if label.contains("PRIVATE") => {
                Err("it is a private key: give the public one (openssl pkey -in FILE -pubout)")
            }
            Some(label) if label.contains("CERTIFICATE") => {
                Err("it is a certificate: give its public key (openssl x509 -in FILE -noout -pubkey)")
            }
            Some(label) if label.ends_with("PUBLIC KEY") => Self::from_pem(octets),
            Some(_) => Err("its PEM is no PUBLIC KEY"),
            None => Self::from_text(octets),
        }
    }

    fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let key = DecodingKey::from_rsa_pem(pem)
            .or_else(|_| DecodingKey::from_ec_pem(pem))
            .or_else(|_| DecodingKey::from_ed_pem(pem))
            .map_err(|_| "its PEM is damaged, or its kind is not one of RSA, P-256, P-384 and Ed25519")?;
        let octets = match key.family() {
            AlgorithmFamily::Rsa => modulus(&key).ok_or("its RSA key is damaged")?.len(),
            _ => key.try_get_as_bytes().map_or(0, <[u8]>::len),
        };
        Self::new(None, key, octets)
    }

    /// A secret. Many tools end a text with a line break, which is no part of it.
    fn from_text(octets: &[u8]) -> Result<Self, &'static str> {
        let secret = std::str::from_utf8(octets).map_or(octets, |text| {
            text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text).as_bytes()
        });
        // Everybody knows a public key: as a secret it would let everybody in.
        if looks_public(secret) {
            return Err("it looks like a key in another format than PEM: give the public key in PEM");
        }
        Self::new(None, DecodingKey::from_secret(secret), secret.len())
    }

    /// A key of a JWK Set, or `None`: one that is not for signatures, or of a kind that nobody here knows, is ignored
    /// (RFC 7517 section 5).
    pub(super) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let is_for = &jwk.common;
        if is_for.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature)
            || is_for.key_operations.as_ref().is_some_and(|can| !can.contains(&KeyOperations::Verify))
        {
            return None;
        }
        let (key, octets) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let (n, e) = (number(&rsa.n)?, number(&rsa.e)?);
                (DecodingKey::from_rsa_raw_components(&n, &e), n.len())
            }
            AlgorithmParameters::EllipticCurve(ec)
                if matches!(ec.curve, EllipticCurve::P256 | EllipticCurve::P384) =>
            {
                point(DecodingKey::from_ec_components(&ec.x, &ec.y).ok()?)
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                point(DecodingKey::from_ed_components(&pair.x).ok()?)
            }
            AlgorithmParameters::OctetKey(secret) => {
                point(DecodingKey::from_secret(&URL_SAFE_NO_PAD.decode(&secret.value).ok()?))
            }
            _ => return None,
        };
        let mut key = Self::new(is_for.key_id.clone(), key, octets).ok()?;
        if let Some(only) = is_for.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            key.algorithms.retain(|algorithm| *algorithm == only);
        }
        (!key.algorithms.is_empty()).then_some(key)
    }

    /// With the algorithms that its kind and its size allow.
    fn new(id: Option<String>, key: DecodingKey, octets: usize) -> Result<Self, &'static str> {
        let algorithms: Vec<_> = match (key.family(), octets) {
            // RFC 7518 section 3.2: a key at least as long as the hash.
            (AlgorithmFamily::Hmac, 0..32) => {
                return Err("a secret has at least 32 octets, such as of `openssl rand -base64 32`");
            }
            (AlgorithmFamily::Hmac, 32..48) => vec![Algorithm::HS256],
            (AlgorithmFamily::Hmac, 48..64) => vec![Algorithm::HS256, Algorithm::HS384],
            (AlgorithmFamily::Rsa, octets) if !RSA_OCTETS.contains(&octets) => {
                return Err("an RSA key has 2048 to 8192 bits");
            }
            (AlgorithmFamily::Ec, 65) => vec![Algorithm::ES256],
            (AlgorithmFamily::Ec, 97) => vec![Algorithm::ES384],
            (AlgorithmFamily::Ec, _) => return Err("of elliptic curves P-256 and P-384 can be used"),
            (AlgorithmFamily::Ed, octets) if octets != 32 => return Err("an Ed25519 key has 32 octets"),
            (family, _) => family.algorithms().to_vec(),
        };
        Ok(Self { id, algorithms, verifier: key })
    }

    pub(super) fn verifies(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

/// A file of keys, in whole.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, BearerError> {
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut octets))
        .map_err(|error| BearerError::Read(path.to_owned(), error))?;
    if octets.len() as u64 > MAX_FILE {
        return Err(BearerError::Key { path: path.to_owned(), problem: "it is larger than 1 MiB" });
    }
    Ok(octets)
}

/// The label of the first PEM in a file.
fn label(octets: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(octets);
    let (_, after) = text.split_once("-----BEGIN ")?;
    after.split_once("-----").map(|(label, _)| label.to_owned())
}

/// The modulus of an RSA key in DER.
fn modulus(key: &DecodingKey) -> Option<Vec<u8>> {
    match Jwk::from_decoding_key(key, None).ok()?.algorithm {
        AlgorithmParameters::RSA(rsa) => number(&rsa.n),
        _ => None,
    }
}

/// A number of a JWK. Leading zeros are forbidden (RFC 7518 section 2), and written by some all the same.
fn number(text: &str) -> Option<Vec<u8>> {
    let octets = URL_SAFE_NO_PAD.decode(text).ok()?;
    let first = octets.iter().position(|octet| *octet != 0)?;
    Some(octets[first..].to_vec())
}

fn point(key: DecodingKey) -> (DecodingKey, usize) {
    let octets = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    (key, octets)
}

/// Whether a file is a public key in DER, in bare base64, in JSON or of SSH.
fn looks_public(octets: &[u8]) -> bool {
    let text = octets.trim_ascii_start();
    let begins = |with: &[u8]| text.starts_with(with);
    if begins(b"{") || begins(b"ssh-") || begins(b"ecdsa-") || begins(b"---- BEGIN") || is_der(octets) {
        return true;
    }
    let bare: Vec<u8> = octets.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    STANDARD.decode(bare).is_ok_and(|octets| is_der(&octets))
}

/// A DER sequence as long as the whole, and as the shortest public key.
fn is_der(octets: &[u8]) -> bool {
    let (len, header) = match octets {
        [0x30, len @ 0..=0x7f, ..] => (usize::from(*len), 2),
        [0x30, 0x81, len, ..] => (usize::from(*len), 3),
        [0x30, 0x82, high, low, ..] => (usize::from(u16::from_be_bytes([*high, *low])), 4),
        _ => return false,
    };
    octets.len() == header + len && octets.len() >= 44
}

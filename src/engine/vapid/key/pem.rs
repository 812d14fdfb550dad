//! PEM (RFC 7468), and what else is commonly found in a `.pem` file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{VapidKey, VapidKeyError, der};

/// The key in the first block that holds one.
pub(super) fn parse(text: &str) -> Result<VapidKey, VapidKeyError> {
    let mut rest = text;
    let mut passed_over = None;
    while let Some(block) = Block::next(&mut rest)? {
        match block.label {
            "PRIVATE KEY" => return der::parse_pkcs8(&block.decode()?),
            "EC PRIVATE KEY" => return der::parse_sec1(&block.decode()?),
            "ENCRYPTED PRIVATE KEY" => return Err(VapidKeyError::Encrypted),
            label => {
                passed_over.get_or_insert(label);
            }
        }
    }
    Err(passed_over.map_or(VapidKeyError::Pem, other_kind))
}

fn other_kind(label: &str) -> VapidKeyError {
    match label {
        "RSA PRIVATE KEY" => VapidKeyError::Algorithm { found: "an RSA key" },
        "DSA PRIVATE KEY" => VapidKeyError::Algorithm { found: "a DSA key" },
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
            VapidKeyError::NotPrivate { found: "a certificate" }
        }
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            VapidKeyError::NotPrivate { found: "a certificate request" }
        }
        "PUBLIC KEY" | "RSA PUBLIC KEY" => VapidKeyError::NotPrivate { found: "a public key" },
        "EC PARAMETERS" => VapidKeyError::NotPrivate { found: "the parameters of a curve without a key" },
        "OPENSSH PRIVATE KEY" => VapidKeyError::Algorithm { found: "an OpenSSH key" },
        _ => VapidKeyError::NotPrivate { found: "PEM of another kind" },
    }
}

struct Block<'a> {
    label: &'a str,
    body: &'a str,
}

impl<'a> Block<'a> {
    fn next(rest: &mut &'a str) -> Result<Option<Self>, VapidKeyError> {
        let Some((_, after)) = rest.split_once("-----BEGIN ") else {
            return Ok(None);
        };
        let (label, after) = after.split_once("-----").ok_or(VapidKeyError::Pem)?;
        let (body, after) = after.split_once("-----END ").ok_or(VapidKeyError::Pem)?;
        let (end, after) = after.split_once("-----").ok_or(VapidKeyError::Pem)?;
        if end != label {
            return Err(VapidKeyError::Pem);
        }
        *rest = after;
        Ok(Some(Self { label, body }))
    }

    fn decode(&self) -> Result<Zeroizing<Vec<u8>>, VapidKeyError> {
        // RFC 1421 headers: OpenSSL writes them for keys with a passphrase only.
        if self.body.contains("Proc-Type:") && self.body.contains("ENCRYPTED") {
            return Err(VapidKeyError::Encrypted);
        }
        let mut base64 = Zeroizing::new(Vec::with_capacity(self.body.len()));
        base64.extend(self.body.bytes().filter(|octet| !octet.is_ascii_whitespace()));
        let mut octets = Zeroizing::new(Vec::with_capacity(base64.len()));
        STANDARD.decode_vec(base64.as_slice(), &mut octets).map_err(|_| VapidKeyError::Pem)?;
        Ok(octets)
    }
}

//! Keys on their way to a file.

use std::fmt::Debug;

use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};

use super::VapidKey;
use crate::base64url;
use crate::engine::vapid::{SecretOctets, SecretText};

impl VapidKey {
    /// The key as PKCS#8 PEM: what `openssl`, other Web Push libraries and secret stores take.
    #[must_use]
    pub fn to_pkcs8_pem(&self) -> SecretText {
        let pem = encoded(self.secret_key().to_pkcs8_pem(LineEnding::LF));
        SecretText::new(pem.as_str().to_owned())
    }

    /// The key as PKCS#8 DER.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> SecretOctets {
        SecretOctets::new(encoded(self.secret_key().to_pkcs8_der()).as_bytes())
    }

    /// The key as SEC1 PEM (`EC PRIVATE KEY`), which older tools want.
    #[must_use]
    pub fn to_sec1_pem(&self) -> SecretText {
        let pem = encoded(self.secret_key().to_sec1_pem(LineEnding::LF));
        SecretText::new(pem.as_str().to_owned())
    }

    /// The key as SEC1 DER.
    #[must_use]
    pub fn to_sec1_der(&self) -> SecretOctets {
        SecretOctets::new(&encoded(self.secret_key().to_sec1_der()))
    }

    /// The private scalar as 43 characters of base64url: what the JavaScript library `web-push`
    /// calls the private key.
    #[must_use]
    pub fn to_base64url(&self) -> SecretText {
        SecretText::new(base64url::encode(self.scalar().as_slice()))
    }

    /// The private scalar as 32 octets, big endian.
    #[must_use]
    pub fn to_scalar(&self) -> SecretOctets {
        SecretOctets::new(self.scalar().as_slice())
    }

    /// The pair as JSON on one line, as `web-push generate-vapid-keys --json` of the JavaScript
    /// library prints it.
    #[must_use]
    pub fn to_json_pair(&self) -> SecretText {
        let (public, private) = (self.application_server_key(), self.to_base64url());
        let private = private.expose();
        SecretText::of(&[r#"{"publicKey":""#, &public, r#"","privateKey":""#, private, r#""}"#])
    }

    /// The key as a JSON Web Key on one line.
    #[must_use]
    pub fn to_jwk(&self) -> SecretText {
        let (x, y) =
            (base64url::encode(&self.public_key()[1..33]), base64url::encode(&self.public_key()[33..]));
        let d = self.to_base64url();
        let d = d.expose();
        let parts = [r#"{"kty":"EC","crv":"P-256","x":""#, &x, r#"","y":""#, &y, r#"","d":""#, d, r#""}"#];
        SecretText::of(&parts)
    }

    fn secret_key(&self) -> SecretKey {
        SecretKey::from(self.signing.as_nonzero_scalar())
    }
}

fn encoded<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("a key on P-256 has a fixed length that fits every encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_as_the_same_key() {
        let key = VapidKey::generate().unwrap();
        let pair = (key.to_base64url(), key.application_server_key());
        for (form, again) in [
            ("PKCS#8 PEM", VapidKey::from_text(key.to_pkcs8_pem().expose())),
            ("PKCS#8 DER", VapidKey::from_der(key.to_pkcs8_der().expose())),
            ("SEC1 PEM", VapidKey::from_text(key.to_sec1_pem().expose())),
            ("SEC1 DER", VapidKey::from_der(key.to_sec1_der().expose())),
            ("base64url", VapidKey::from_text(key.to_base64url().expose())),
            ("scalar", VapidKey::from_octets(key.to_scalar().expose())),
            ("JWK", VapidKey::from_text(key.to_jwk().expose())),
            ("JSON pair", VapidKey::from_json_pair(key.to_json_pair().expose())),
            ("pair", VapidKey::from_base64url_pair(pair.0.expose(), &pair.1)),
        ] {
            assert_eq!(again.unwrap().public_key(), key.public_key(), "{form}");
        }
    }
}

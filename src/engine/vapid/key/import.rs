//! Keys as text, and which kind of text it is.

use p256::ecdsa::SigningKey;
use zeroize::Zeroizing;

use super::{VapidKey, VapidKeyError, der, jwk, pem};
use crate::base64url;

/// The longest text that is read. An EC key has 227 octets of PEM; a certificate chain beside it
/// fits.
const MAX_LEN: usize = 64 * 1024;

impl VapidKey {
    /// Reads a key file of any kind: PEM (PKCS#8 or SEC1), a JWK, or the private key as
    /// 43 characters of base64url. White space around it is ignored.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`], saying what the text is where it is something else.
    ///
    /// ```
    /// use webpush_channels::engine::vapid::{VapidKey, VapidKeyError};
    ///
    /// let key = VapidKey::from_text("ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE\n")?;
    /// assert!(key.application_server_key().starts_with("BGD-1LolWp0xyWHrdMY1bWjA"));
    ///
    /// let public = VapidKey::from_text(&key.application_server_key()).unwrap_err();
    /// assert_eq!(public.to_string(), "this is a public key, not a private key");
    /// # Ok::<(), VapidKeyError>(())
    /// ```
    pub fn from_text(text: &str) -> Result<Self, VapidKeyError> {
        let text = bounded(text)?;
        if text.contains("-----BEGIN") {
            pem::parse(text)
        } else if text.starts_with('{') {
            jwk::parse(text)
        } else {
            Self::from_base64url(text)
        }
    }

    /// Reads PEM: PKCS#8 (`PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`). A block of `EC PARAMETERS`
    /// before the key, as OpenSSL writes it, is skipped.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`].
    pub fn from_pem(text: &str) -> Result<Self, VapidKeyError> {
        pem::parse(bounded(text)?)
    }

    /// Reads DER: PKCS#8 or SEC1.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`].
    pub fn from_der(octets: &[u8]) -> Result<Self, VapidKeyError> {
        der::parse(octets)
    }

    /// Reads a JSON Web Key (RFC 7517) with `kty` EC, `crv` P-256, `x`, `y` and `d`. Other
    /// members are ignored.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`], among them [`Mismatch`](VapidKeyError::Mismatch) when `x` and `y` belong
    /// to another `d` (V-20).
    pub fn from_jwk(text: &str) -> Result<Self, VapidKeyError> {
        jwk::parse(bounded(text)?)
    }

    /// Reads the private key as 32 octets of base64url, as the JavaScript library `web-push`
    /// writes it.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`].
    pub fn from_base64url(text: &str) -> Result<Self, VapidKeyError> {
        let octets = Zeroizing::new(base64url::decode(bounded(text)?).map_err(|_| VapidKeyError::Base64)?);
        match octets.as_slice().try_into() {
            Ok(scalar) => Self::from_scalar(scalar),
            Err(_) if octets.len() == 65 && octets[0] == 0x04 => {
                Err(VapidKeyError::NotPrivate { found: "a public key" })
            }
            Err(_) => Err(VapidKeyError::Length { octets: octets.len() }),
        }
    }

    /// Reads a pair as the JavaScript library `web-push` makes it, and checks that it is one.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`], among them [`Mismatch`](VapidKeyError::Mismatch) when the two do not
    /// belong together.
    pub fn from_base64url_pair(private: &str, public: &str) -> Result<Self, VapidKeyError> {
        let key = Self::from_base64url(private)?;
        let public: [u8; 65] =
            base64url::decode_array(public.trim()).map_err(|_| VapidKeyError::PublicKey)?;
        if public == key.public { Ok(key) } else { Err(VapidKeyError::Mismatch) }
    }

    /// A key of a private scalar, big endian.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError::Scalar`] when it is zero or not below the order of the curve (V-20).
    pub fn from_scalar(scalar: &[u8; 32]) -> Result<Self, VapidKeyError> {
        let signing = SigningKey::from_slice(scalar).map_err(|_| VapidKeyError::Scalar)?;
        Ok(Self::of_signing_key(signing))
    }
}

fn bounded(text: &str) -> Result<&str, VapidKeyError> {
    if text.len() > MAX_LEN {
        return Err(VapidKeyError::TooLong { len: text.len(), limit: MAX_LEN });
    }
    // Windows editors put a byte order mark before the text.
    match text.trim_start_matches('\u{feff}').trim() {
        "" => Err(VapidKeyError::Empty),
        text => Ok(text),
    }
}

//! Keys as text, and which kind of text it is.

use p256::ecdsa::SigningKey;
use zeroize::Zeroizing;

use super::{VapidKey, VapidKeyError, der, jwk, pair, pem};
use crate::base64url;

/// The longest text that is read. An EC key has 227 octets of PEM; a certificate chain beside it
/// fits.
const MAX_LEN: usize = 64 * 1024;

impl VapidKey {
    /// Reads a key of any kind of text: PEM (PKCS#8 or SEC1), a JWK, the JSON of a pair, DER in
    /// base64, or the private key as 43 characters of base64url. White space is ignored, and base64
    /// may have either alphabet, padded or not: the tools that write keys do not agree.
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
        // All but the space may be in base64url.
        if text.contains("-----BEGIN ") || text == "-----BEGIN" {
            pem::parse(text)
        } else if text.starts_with('{') {
            parse_json(text)
        } else {
            parse_base64(text)
        }
    }

    /// Reads a key file of any kind: what [`from_text`](Self::from_text) reads, DER, or the 32 octets
    /// of the private scalar as they are. (32 octets of printable ASCII are text.)
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`].
    ///
    /// ```
    /// use webpush_channels::engine::vapid::{VapidKey, VapidKeyError};
    ///
    /// let key = VapidKey::generate()?;
    /// for file in [
    ///     key.to_pkcs8_pem().expose().as_bytes(),
    ///     key.to_sec1_der().expose(),
    ///     key.to_scalar().expose(),
    ///     key.to_json_pair().expose().as_bytes(),
    /// ] {
    ///     assert_eq!(VapidKey::from_octets(file)?.id(), key.id());
    /// }
    /// # Ok::<(), VapidKeyError>(())
    /// ```
    pub fn from_octets(octets: &[u8]) -> Result<Self, VapidKeyError> {
        if octets.len() > MAX_LEN {
            return Err(VapidKeyError::TooLong { len: octets.len(), limit: MAX_LEN });
        }
        // 32 characters are a password or half a key: no scalar looks like that by chance.
        if let Ok(scalar) = octets.try_into()
            && !octets.iter().all(u8::is_ascii_graphic)
        {
            return Self::from_scalar(scalar);
        }
        match (der::parse(octets), str::from_utf8(octets)) {
            (Err(VapidKeyError::Der(_)), Ok(text)) => Self::from_text(text),
            (parsed, _) => parsed,
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

    /// Reads DER in base64: either alphabet, padded or not, with or without line breaks. It is what
    /// Python's `py-vapid` takes as a string, and PEM without its first and last line.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`].
    pub fn from_base64_der(text: &str) -> Result<Self, VapidKeyError> {
        der::parse(&decode_any(bounded(text)?)?)
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
        of_raw(&octets)
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
        if public == *key.public_key() { Ok(key) } else { Err(VapidKeyError::Mismatch) }
    }

    /// Reads a pair as JSON with the members `privateKey` and `publicKey`, as `web-push
    /// generate-vapid-keys --json` of the JavaScript library prints it, and checks that it is one.
    /// Other members are ignored.
    ///
    /// # Errors
    ///
    /// [`VapidKeyError`], among them [`Pair`](VapidKeyError::Pair) when a member is missing and
    /// [`Mismatch`](VapidKeyError::Mismatch) when the two do not belong together (V-20).
    pub fn from_json_pair(text: &str) -> Result<Self, VapidKeyError> {
        pair::parse(bounded(text)?)
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

/// The two kinds of JSON, told apart by the private member.
fn parse_json(text: &str) -> Result<VapidKey, VapidKeyError> {
    match pair::parse(text) {
        Err(VapidKeyError::Pair { member: pair::PRIVATE } | VapidKeyError::Json { .. }) => jwk::parse(text),
        other => other,
    }
}

fn parse_base64(text: &str) -> Result<VapidKey, VapidKeyError> {
    let octets = decode_any(text)?;
    match octets.as_slice() {
        // The tag of a SEQUENCE; around a scalar it is longer than one.
        [0x30, ..] if octets.len() > 32 => der::parse(&octets),
        octets => of_raw(octets),
    }
}

fn of_raw(octets: &[u8]) -> Result<VapidKey, VapidKeyError> {
    match octets.try_into() {
        Ok(scalar) => VapidKey::from_scalar(scalar),
        Err(_) if octets.len() == 65 && octets[0] == 0x04 => {
            Err(VapidKeyError::NotPrivate { found: "a public key" })
        }
        Err(_) => Err(VapidKeyError::Length { octets: octets.len() }),
    }
}

/// Base64 in whatever spelling.
fn decode_any(text: &str) -> Result<Zeroizing<Vec<u8>>, VapidKeyError> {
    let mut spelled = Zeroizing::new(String::with_capacity(text.len()));
    spelled.extend(text.chars().filter(|c| !c.is_ascii_whitespace()).map(|c| match c {
        '+' => '-',
        '/' => '_',
        c => c,
    }));
    base64url::decode(&spelled).map(Zeroizing::new).map_err(|_| VapidKeyError::Base64)
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

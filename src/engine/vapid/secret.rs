//! Key material on its way out.

use std::fmt;

use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A private key as text. Wiped when dropped; `Debug` shows nothing of it.
///
/// ```
/// use webpush_channels::engine::vapid::VapidKey;
///
/// let pem = VapidKey::generate()?.to_pkcs8_pem();
/// assert!(pem.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
/// assert_eq!(format!("{pem:?}"), "SecretText([redacted])");
/// # Ok::<(), webpush_channels::engine::vapid::VapidKeyError>(())
/// ```
pub struct SecretText(Zeroizing<String>);

/// Its field erases itself.
impl ZeroizeOnDrop for SecretText {}

impl SecretText {
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Parts in a row. They are copied once: a text that grew would leave copies behind.
    pub(super) fn of(parts: &[&str]) -> Self {
        Self::new(parts.concat())
    }

    /// The text. It belongs in a file of mode 0600 or a secret store, and nowhere else (S-14).
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText([redacted])")
    }
}

/// A private key as octets. Wiped when dropped; `Debug` shows nothing of it.
pub struct SecretOctets(Zeroizing<Vec<u8>>);

/// Its field erases itself.
impl ZeroizeOnDrop for SecretOctets {}

impl SecretOctets {
    pub(super) fn new(octets: &[u8]) -> Self {
        Self(Zeroizing::new(octets.to_vec()))
    }

    /// The octets. They belong in a file of mode 0600 or a secret store, and nowhere else (S-14).
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretOctets([redacted])")
    }
}

//! Encryption (RFC 8291): one message, for one subscription, into one body.
//!
//! | Encryptor | Feature | Built on |
//! |---|---|---|
//! | [`RustCrypto`] | always there | `p256`, `aes-gcm`, `hmac`, `sha2`: no C compiler |
//! | `AwsLc` | `aws-lc-rs` (default) | `aws-lc-rs`: about six times the speed (`docs/benchmarks.md`) |
//! | `Ece` | `ece` | Mozilla's `ece` on the system's OpenSSL |
//! | `EceAesGcm` | `ece` | the same, for the legacy coding `aesgcm` |
//!
//! The bodies of the first three are of the same format, one `aes128gcm` record;
//! [`Encryption::fastest`] picks. The last writes the coding that preceded it, for subscriptions
//! that ask for it; [`Encryption::legacy`] has it. A body is always encrypted under a key pair and
//! a salt that were made for it alone (E-30, E-33).

mod encryptor;
mod error;
mod plaintext;
mod record;
mod rustcrypto;

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "ece")]
mod ece;
#[cfg(test)]
mod vectors;

use std::sync::Arc;

pub use self::encryptor::{Encoded, Encryptor, Lane};
pub use self::error::EncryptError;
pub use self::plaintext::Plaintext;
pub use self::rustcrypto::RustCrypto;

#[cfg(feature = "aws-lc-rs")]
pub use self::aws_lc::AwsLc;
#[cfg(feature = "ece")]
pub use self::ece::{Ece, EceAesGcm};

/// Chooses an encryptor.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Encryption;

impl Encryption {
    /// The fastest encryptor of this build: `AwsLc` with the feature `aws-lc-rs`, else
    /// [`RustCrypto`]. A receiver cannot tell them apart.
    ///
    /// ```
    /// use webpush_channels::engine::encryption::{Encryption, Plaintext};
    /// use webpush_channels::{Padding, Payload, SubscriptionKeys};
    ///
    /// let keys = SubscriptionKeys::from_base64url(
    ///     "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    ///     "BTBZMqHH6r4Tts7J_aSIgg",
    /// )?;
    /// let encryptor = Encryption::fastest();
    /// let plaintext =
    ///     Plaintext::new(&Payload::new("hello")?, Padding::None, encryptor.max_plaintext_len())?;
    /// let mut body = Vec::new();
    /// encryptor.encrypt(&keys, &plaintext, &mut body)?;
    /// assert_eq!(body.len(), 5 + Plaintext::OVERHEAD);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fastest() -> Arc<dyn Encryptor> {
        #[cfg(feature = "aws-lc-rs")]
        let encryptor = AwsLc::new();
        #[cfg(not(feature = "aws-lc-rs"))]
        let encryptor = RustCrypto::new();
        Arc::new(encryptor)
    }

    /// The encryptor of the legacy coding `aesgcm`: `EceAesGcm` with the feature `ece`, else none
    /// (E-50). It is for subscriptions whose client asked for that coding, and for no others.
    ///
    /// ```
    /// use webpush_channels::engine::encryption::Encryption;
    ///
    /// assert_eq!(Encryption::legacy().is_some(), cfg!(feature = "ece"));
    /// ```
    #[must_use]
    pub fn legacy() -> Option<Arc<dyn Encryptor>> {
        #[cfg(feature = "ece")]
        return Some(Arc::new(EceAesGcm::new()));
        #[cfg(not(feature = "ece"))]
        None
    }
}

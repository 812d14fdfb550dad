//! Why nothing was encrypted.

use std::error::Error;

/// Why a message could not be encrypted. Holds lengths and the provider's own error, never a key
/// or an octet of the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The crypto library failed; for the built-in encryptors that is no source of randomness or
    /// no memory. It may go away.
    #[error("the crypto library failed")]
    Backend(#[source] Box<dyn Error + Send + Sync>),
    /// This encryptor cannot encrypt nothing: send an empty message without a body (E-28).
    #[error("this encryptor cannot encrypt an empty message: send it without a body")]
    Empty,
    /// The crypto library refused the receiver's key, although it was checked when it was parsed.
    #[error("the crypto library refused the receiver's public key")]
    Key,
    /// The fixed length is shorter than the encryption's own octets.
    #[error(
        "no body is {body} octets long: the encryption alone adds {} (RFC 8291 section 4)",
        crate::engine::encryption::Plaintext::OVERHEAD
    )]
    Padding {
        /// The length asked for by [`Padding::Fixed`](crate::Padding::Fixed).
        body: u16,
    },
    /// The plaintext is longer than what fits here (E-27).
    #[error("{len} octets of plaintext, at most {limit} fit: send an id and fetch the rest")]
    TooLarge {
        /// Octets of plaintext.
        len: usize,
        /// Octets that fit.
        limit: usize,
    },
}

impl EncryptError {
    /// The crypto library's error, for the source chain.
    pub fn backend(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Backend(source.into())
    }
}

//! Why a key was refused.

use std::error::Error;

/// Why a key could not be read or made. Never holds the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VapidKeyError {
    /// A key for another algorithm than ECDSA.
    #[error("this is {found}: VAPID needs an EC key on the curve P-256 (prime256v1)")]
    Algorithm {
        /// What it is instead.
        found: &'static str,
    },
    /// The text is neither PEM nor JSON, and not base64url.
    #[error(
        "not a private key: expected PEM, JSON (a JWK or a pair), or 43 characters of base64url (RFC 4648 section 5)"
    )]
    Base64,
    /// An EC key on another curve.
    #[error("this EC key is on the curve {found}: VAPID needs P-256 (prime256v1)")]
    Curve {
        /// The curve it is on.
        found: &'static str,
    },
    /// Neither PKCS#8 nor SEC1.
    #[error("the key's DER is neither PKCS#8 nor SEC1: it may be cut or damaged")]
    Der(#[source] Box<dyn Error + Send + Sync>),
    /// The text or file is empty.
    #[error("the key is empty")]
    Empty,
    /// The key is encrypted with a passphrase.
    #[error("the key is encrypted: decrypt it first, as with `openssl pkey -in ENCRYPTED -out PLAIN`")]
    Encrypted,
    /// The text begins like JSON and is damaged, or a member has another type.
    #[error("not the JSON of a private key (line {line}, column {column})")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// JSON, but not the JWK of a private key on P-256.
    #[error("not the JWK of a private EC key: check its member {member:?}")]
    Jwk {
        /// The first member that is missing or not usable.
        member: &'static str,
    },
    /// The private key does not have 32 octets.
    #[error("a private key has 32 octets, this one has {octets}")]
    Length {
        /// Octets found.
        octets: usize,
    },
    /// The public key that came with it belongs to another private key (V-20).
    #[error("the public key does not belong to the private key: use the two of one pair")]
    Mismatch,
    /// A file of another kind.
    #[error("this is {found}, not a private key")]
    NotPrivate {
        /// What it is instead.
        found: &'static str,
    },
    /// JSON, but not the pair of a private and a public key.
    #[error("not the JSON of a pair of keys: its member {member:?} is missing")]
    Pair {
        /// The first member that is missing.
        member: &'static str,
    },
    /// Damaged PEM.
    #[error("the PEM is damaged: expected whole lines from `-----BEGIN` to `-----END`, base64 between them")]
    Pem,
    /// The public key of a pair is not 65 octets of base64url.
    #[error("a public key is 87 characters of base64url: 65 octets, beginning with 0x04")]
    PublicKey,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness for a new key")]
    Random(#[source] Box<dyn Error + Send + Sync>),
    /// The private key is zero or not below the order of the curve (V-20).
    #[error("the private key is out of range: it may be damaged")]
    Scalar,
    /// Longer than any key.
    #[error("a key has at most {limit} octets of text, this one has {len}")]
    TooLong {
        /// Octets found.
        len: usize,
        /// Octets allowed.
        limit: usize,
    },
}

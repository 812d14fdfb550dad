//! The octets of positions, ranges and leases, in one form for all stores.

use sha2::{Digest, Sha256};

/// Why octets are not a [`Position`](super::Position) or [`Range`](super::Range) of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PositionError {
    /// The octets were cut, or changed.
    #[error(
        "a position, range or lease token was damaged: pass on the octets exactly as the store gave them"
    )]
    Damaged,
    /// They come from another store, another kind of store, or are a position where a range
    /// or a lease token belongs.
    #[error("a position, range or lease token belongs to another store: use the store that gave it")]
    Foreign,
    /// There are more than 64.
    #[error("a position, range or lease token has at most 64 octets, this one has {len}")]
    TooLong {
        /// Octets found.
        len: usize,
    },
}

/// The most octets of a token.
pub(in crate::store) const MAX_LEN: usize = 64;
/// The most numbers that fit.
pub(in crate::store) const MAX_FIELDS: usize = (MAX_LEN - HEAD_LEN - CHECK_LEN) / 8;
/// What kind of octets they are, and whose.
const HEAD_LEN: usize = 9;
/// Enough to notice damage; not a protection against forgery.
const CHECK_LEN: usize = 4;

/// Octets with their length, not on the heap: there is one in every page.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(in crate::store) struct Token {
    octets: [u8; MAX_LEN],
    len: u8,
}

impl Token {
    pub(in crate::store) fn encode<const N: usize>(kind: u8, tag: [u8; 8], fields: [u64; N]) -> Self {
        const {
            assert!(HEAD_LEN + 8 * N + CHECK_LEN <= MAX_LEN, "at most 6 fields fit");
        }
        let mut token = Self { octets: [0; MAX_LEN], len: 0 };
        token.push(&[kind]);
        token.push(&tag);
        for field in fields {
            token.push(&field.to_be_bytes());
        }
        token.push(&check(token.as_bytes()));
        token
    }

    fn push(&mut self, octets: &[u8]) {
        let start = usize::from(self.len);
        self.octets[start..start + octets.len()].copy_from_slice(octets);
        self.len += u8::try_from(octets.len()).expect("parts are short");
    }

    pub(in crate::store) fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    pub(in crate::store) fn from_bytes(kind: u8, bytes: &[u8]) -> Result<Self, PositionError> {
        if bytes.len() > MAX_LEN {
            return Err(PositionError::TooLong { len: bytes.len() });
        }
        if bytes.len() < HEAD_LEN + CHECK_LEN {
            return Err(PositionError::Damaged);
        }
        let (body, found) = bytes.split_at(bytes.len() - CHECK_LEN);
        if check(body) != found {
            return Err(PositionError::Damaged);
        }
        if body[0] != kind {
            return Err(PositionError::Foreign);
        }
        let mut token = Self { octets: [0; MAX_LEN], len: 0 };
        token.push(bytes);
        Ok(token)
    }

    pub(in crate::store) fn decode<const N: usize>(&self, tag: [u8; 8]) -> Result<[u64; N], PositionError> {
        let body = &self.as_bytes()[..usize::from(self.len) - CHECK_LEN];
        let (head, rest) = body.split_at(HEAD_LEN);
        if head[1..] != tag || rest.len() != 8 * N {
            return Err(PositionError::Foreign);
        }
        let mut fields = [0; N];
        for (field, octets) in fields.iter_mut().zip(rest.chunks_exact(8)) {
            *field = octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
        }
        Ok(fields)
    }
}

fn check(body: &[u8]) -> [u8; CHECK_LEN] {
    let digest = Sha256::digest(body);
    [digest[0], digest[1], digest[2], digest[3]]
}

macro_rules! token {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, PartialEq)]
        pub struct $name($crate::store::token::Token);

        impl $name {
            /// The most octets.
            pub const MAX_LEN: usize = $crate::store::token::MAX_LEN;
            /// The most numbers that fit.
            pub const MAX_FIELDS: usize = $crate::store::token::MAX_FIELDS;

            /// For store authors: writes numbers in the common form. More than
            /// [`MAX_FIELDS`](Self::MAX_FIELDS) do not compile.
            ///
            /// `tag` says whose they are: the kind of store, and something of the instance (its
            /// database, say), so that another instance's are refused.
            #[must_use]
            pub fn encode<const N: usize>(tag: [u8; 8], fields: [u64; N]) -> Self {
                Self($crate::store::token::Token::encode($kind, tag, fields))
            }

            /// For store authors: reads the numbers back.
            ///
            /// # Errors
            ///
            /// [`PositionError::Foreign`](crate::store::PositionError::Foreign) when the tag or the number of fields is another.
            pub fn decode<const N: usize>(&self, tag: [u8; 8]) -> Result<[u64; N], $crate::store::PositionError> {
                self.0.decode(tag)
            }

            /// The octets, to be kept or passed on: at most 64.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            /// Takes octets that were kept.
            ///
            /// # Errors
            ///
            /// [`PositionError`](crate::store::PositionError) when they are not what [`as_bytes`](Self::as_bytes) gave.
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, $crate::store::PositionError> {
                $crate::store::token::Token::from_bytes($kind, bytes).map(Self)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                self.as_bytes().iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
                f.write_str(")")
            }
        }
    };
}
pub(in crate::store) use token;

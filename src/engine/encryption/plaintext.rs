//! What is encrypted: the payload and how far to pad it.

use std::fmt;

use super::EncryptError;
use crate::message::{Padding, Payload};

/// A payload with its padded length: the same for every subscription with the same limit.
///
/// Cloning is cheap: the octets are shared. `Debug` shows lengths only.
///
/// ```
/// use webpush_channels::engine::encryption::Plaintext;
/// use webpush_channels::{Padding, Payload};
///
/// // The default padding makes bodies of 256, 512, ... octets.
/// let plaintext = Plaintext::new(&Payload::new("hello")?, Padding::default(), 3993)?;
/// assert_eq!(plaintext.padded_len() + Plaintext::OVERHEAD, 256);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Plaintext {
    payload: Payload,
    padded_len: usize,
}

impl Plaintext {
    /// How much longer than its padded plaintext a body is: the header, the delimiter and the tag
    /// (E-25).
    pub const OVERHEAD: usize = 103;

    /// Decides how far a payload is padded (S-20).
    ///
    /// `limit` is the most octets of plaintext that the encryptor and the subscription take; more
    /// than 3993 never fit. It also caps the padding: what fits unpadded is not refused, except
    /// where it would not fit the body that [`Padding::Fixed`] asks for.
    ///
    /// # Errors
    ///
    /// [`EncryptError::TooLarge`] when the payload does not fit, [`EncryptError::Padding`] when no
    /// payload fits the fixed length.
    pub fn new(payload: &Payload, padding: Padding, limit: usize) -> Result<Self, EncryptError> {
        let len = payload.len();
        let limit = limit.min(Payload::MAX_LEN);
        let (padded_len, limit) = match padding {
            Padding::Fixed(body) => {
                let fixed = usize::from(body).checked_sub(Self::OVERHEAD);
                let fits = limit.min(fixed.ok_or(EncryptError::Padding { body })?);
                (fits, fits)
            }
            Padding::MultipleOf(step) => {
                let body = (len + Self::OVERHEAD).next_multiple_of(usize::from(step.get()));
                (limit.min(body - Self::OVERHEAD), limit)
            }
            Padding::None => (len, limit),
        };
        if len > limit {
            return Err(EncryptError::TooLarge { len, limit });
        }
        Ok(Self { payload: payload.clone(), padded_len })
    }

    /// The octets, without padding. They are the message's secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.payload.as_bytes()
    }

    /// The length of the plaintext with its padding: never less than that of the octets.
    #[must_use]
    pub const fn padded_len(&self) -> usize {
        self.padded_len
    }

    /// Refuses what an encryptor does not take.
    pub(super) const fn check(&self, limit: usize) -> Result<(), EncryptError> {
        if self.padded_len > limit {
            return Err(EncryptError::TooLarge { len: self.padded_len, limit });
        }
        Ok(())
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} octets, padded to {})", self.payload.len(), self.padded_len)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn padded(len: usize, padding: Padding, limit: usize) -> Result<usize, (usize, usize)> {
        let payload = Payload::new(vec![0; len]).unwrap();
        match Plaintext::new(&payload, padding, limit) {
            Ok(plaintext) => Ok(plaintext.padded_len()),
            Err(EncryptError::TooLarge { len, limit }) => Err((len, limit)),
            Err(error) => panic!("{error}"),
        }
    }

    fn multiple_of(step: u16) -> Padding {
        Padding::MultipleOf(NonZeroU16::new(step).unwrap())
    }

    #[test]
    fn without_padding_the_length_shows() {
        assert_eq!(padded(0, Padding::None, 3993), Ok(0));
        assert_eq!(padded(3993, Padding::None, 3993), Ok(3993));
        assert_eq!(padded(2745, Padding::None, 2744), Err((2745, 2744)));
    }

    #[test]
    fn no_limit_exceeds_what_fits_4096_octets() {
        assert_eq!(padded(3900, Padding::Fixed(u16::MAX), usize::MAX), Ok(3993));
        assert_eq!(padded(3993, multiple_of(u16::MAX), usize::MAX), Ok(3993));
    }

    #[test]
    fn multiples_count_octets_of_the_body() {
        assert_eq!(padded(0, multiple_of(256), 3993), Ok(153));
        assert_eq!(padded(153, multiple_of(256), 3993), Ok(153));
        assert_eq!(padded(154, multiple_of(256), 3993), Ok(409));
        assert_eq!(padded(5, multiple_of(1), 3993), Ok(5));
    }

    #[test]
    fn multiples_stop_at_the_limit() {
        assert_eq!(padded(154, multiple_of(256), 200), Ok(200));
        assert_eq!(padded(200, multiple_of(256), 200), Ok(200));
        assert_eq!(padded(201, multiple_of(256), 200), Err((201, 200)));
    }

    #[test]
    fn a_fixed_length_refuses_what_does_not_fit() {
        assert_eq!(padded(1, Padding::Fixed(1024), 3993), Ok(921));
        assert_eq!(padded(921, Padding::Fixed(1024), 3993), Ok(921));
        assert_eq!(padded(922, Padding::Fixed(1024), 3993), Err((922, 921)));
        assert_eq!(padded(0, Padding::Fixed(103), 3993), Ok(0));
    }

    #[test]
    fn a_fixed_length_stops_at_the_limit() {
        assert_eq!(padded(1, Padding::Fixed(4096), 2744), Ok(2744));
        assert_eq!(padded(2745, Padding::Fixed(4096), 2744), Err((2745, 2744)));
    }

    #[test]
    fn a_fixed_length_below_the_overhead_is_refused() {
        let refused = Plaintext::new(&Payload::empty(), Padding::Fixed(102), 3993);
        assert!(matches!(refused, Err(EncryptError::Padding { body: 102 })));
    }

    #[test]
    fn debug_shows_lengths_only() {
        let plaintext = Plaintext::new(&Payload::new("secret").unwrap(), Padding::None, 3993).unwrap();
        assert_eq!(format!("{plaintext:?}"), "Plaintext(6 octets, padded to 6)");
    }
}

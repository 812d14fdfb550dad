//! How a payload's length is hidden.

use std::num::NonZeroU16;

/// How the length of a payload is hidden from the push service (S-20).
///
/// Lengths count octets of the encrypted body, which is 103 longer than the padded payload. A
/// body is never padded beyond what the subscription takes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Padding {
    /// Every body has exactly this many octets; a payload that does not fit is refused. Bodies
    /// over 2847 octets do not reach Firefox on Android (Q-M5).
    Fixed(u16),
    /// The body's length is rounded up to a multiple of this.
    MultipleOf(NonZeroU16),
    /// The length is not hidden.
    None,
}

impl Default for Padding {
    /// Multiples of 256 octets.
    fn default() -> Self {
        const { Self::MultipleOf(NonZeroU16::new(256).expect("256 is not zero")) }
    }
}

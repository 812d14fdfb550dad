//! Where a scan is, and how far it goes: octets that only their own store understands.

use super::token::token;

token! {
    /// Up to where a scan came. Opaque to all but the store that gave it; at most 64 octets; may
    /// be kept and used later, on another node of the same store.
    ///
    /// ```
    /// use webpush_channels::store::{Position, PositionError};
    ///
    /// const TAG: [u8; 8] = *b"mystore1";
    /// let position = Position::encode(TAG, [17, 4]);
    /// let kept = position.as_bytes().to_vec();
    ///
    /// let position = Position::from_bytes(&kept)?;
    /// assert_eq!(position.decode(TAG)?, [17, 4]);
    /// assert_eq!(position.decode::<2>(*b"another1"), Err(PositionError::Foreign));
    /// assert_eq!(Position::from_bytes(&kept[1..]), Err(PositionError::Damaged));
    /// # Ok::<(), PositionError>(())
    /// ```
    Position, b'p'
}

token! {
    /// A part of an audience as it was when [`split`](super::SubscriptionStore::split) made it.
    /// Opaque to all but the store that gave it; at most 64 octets.
    Range, b'r'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PositionError;

    const TAG: [u8; 8] = *b"test\0\0\0\0";

    #[test]
    fn six_numbers_fit_and_come_back() {
        let fields = [0, 1, u64::MAX, 1 << 40, 7, 8];
        let range = Range::encode(TAG, fields);
        assert!(range.as_bytes().len() <= Range::MAX_LEN);
        assert_eq!(Range::from_bytes(range.as_bytes()).unwrap().decode(TAG), Ok(fields));
    }

    #[test]
    fn a_position_is_not_a_range() {
        let position = Position::encode(TAG, [1]);
        assert_eq!(Range::from_bytes(position.as_bytes()), Err(PositionError::Foreign));
        assert_eq!(position.decode::<2>(TAG), Err(PositionError::Foreign));
    }

    #[test]
    fn any_damage_is_noticed() {
        let octets = Position::encode(TAG, [1, 2]).as_bytes().to_vec();
        for i in 0..octets.len() {
            let mut damaged = octets.clone();
            damaged[i] ^= 1;
            assert_eq!(Position::from_bytes(&damaged), Err(PositionError::Damaged), "{i}");
            assert_eq!(Position::from_bytes(&octets[..i]), Err(PositionError::Damaged), "{i}");
        }
        assert_eq!(Position::from_bytes(&[0; 65]), Err(PositionError::TooLong { len: 65 }));
    }
}

//! Base64url as the Push API writes it: no padding out, optional padding in (E-3).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// E-3: padding is optional, the standard alphabet and non-zero trailing bits are refused.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_allow_trailing_bits(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The text is not base64url, or has another length than its field. Says nothing of the octets:
/// they are usually secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Base64Error {
    #[error("not base64url without line breaks (RFC 4648 section 5)")]
    Alphabet,
    #[error("{got} octets where {want} are needed")]
    Length { got: usize, want: usize },
}

pub(crate) fn encode(octets: &[u8]) -> String {
    ENGINE.encode(octets)
}

pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    ENGINE.decode(text).map_err(|_| Base64Error::Alphabet)
}

/// Decodes exactly `N` octets.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Result<[u8; N], Base64Error> {
    let octets = zeroize::Zeroizing::new(decode(text)?);
    octets.as_slice().try_into().map_err(|_| Base64Error::Length { got: octets.len(), want: N })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_optional_and_never_written() {
        assert_eq!(encode(b"a"), "YQ");
        assert_eq!(decode("YQ"), Ok(b"a".to_vec()));
        assert_eq!(decode("YQ=="), Ok(b"a".to_vec()));
    }

    #[test]
    fn other_spellings_are_refused() {
        // Standard alphabet, trailing bits, an impossible length, white space.
        for text in ["+/+/", "YR", "A", "YQ\n", " YQ"] {
            assert_eq!(decode(text), Err(Base64Error::Alphabet), "{text:?}");
        }
        assert_eq!(decode_array::<2>("YQ"), Err(Base64Error::Length { got: 1, want: 2 }));
    }
}

//! `_token`: where the next page begins. It is opaque, stands in URLs, and holds no secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// The last record of a page.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) id: String,
    pub(super) last_modified: u64,
    /// How many records come before it.
    pub(super) before: usize,
}

/// Longer ones are not ours: an id has 64 characters.
const MAX_LEN: usize = 256;

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Token {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let invalid = || ApiError::invalid("querystring", None, "_token has invalid content");
        if text.len() > MAX_LEN {
            return Err(invalid());
        }
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        serde_json::from_slice(&json).map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_round_trips_and_others_are_refused() {
        let token = Token { id: "f".repeat(64), last_modified: 9_999_999_999_999, before: 64 };
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        let longest = Token { last_modified: u64::MAX, before: usize::MAX, ..token };
        assert_eq!(longest.to_string().parse::<Token>().unwrap(), longest);
        for wrong in ["", "x", "e30", "W10", &"A".repeat(1000)] {
            assert!(wrong.parse::<Token>().is_err(), "{wrong}");
        }
    }
}

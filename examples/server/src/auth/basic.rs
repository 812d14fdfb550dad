//! Basic authentication as the original has it: any user and password, together, are somebody.

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use webpush_channels::UserId;

use super::{Authenticate, credential};

/// `Authorization: Basic`: the user id is `basicauth:` and the HMAC-SHA256 of `user:password` in hex. Nobody is
/// refused: whoever knows the pair is the user.
pub struct Basic {
    secret: Box<[u8]>,
}

impl Basic {
    /// With the key of the HMAC, the original's `userid_hmac_secret`. Another secret makes other people of everyone.
    #[must_use]
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        Self { secret: secret.as_ref().into() }
    }

    /// The id of a pair, written `user:password`.
    ///
    /// ```
    /// use webpush_channels_server::auth::Basic;
    ///
    /// let id = Basic::new("").user_id("ada:secret");
    /// assert!(id.as_str().starts_with("basicauth:") && id.as_str().len() == 74);
    /// assert_ne!(id, Basic::new("pepper").user_id("ada:secret"));
    /// ```
    ///
    /// # Panics
    ///
    /// Never: an HMAC takes keys of any length, and the id is short and plain.
    #[must_use]
    pub fn user_id(&self, pair: &str) -> UserId {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(pair.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect();
        UserId::new(format!("basicauth:{hex}")).expect("74 characters of plain text are a user id")
    }
}

#[async_trait]
impl Authenticate for Basic {
    fn name(&self) -> &'static str {
        "basicauth"
    }

    fn description(&self) -> &'static str {
        "Very basic authentication sessions. Not for production use."
    }

    fn challenge(&self) -> &'static str {
        "Basic realm=\"Realm\""
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Option<UserId> {
        let pair = STANDARD.decode(credential(headers, "basic")?).ok()?;
        let pair = std::str::from_utf8(&pair).ok()?;
        // RFC 7617 section 2: the first colon ends the user's name.
        pair.contains(':').then(|| self.user_id(pair))
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic").finish_non_exhaustive()
    }
}

//! Bearer tokens: JWTs (RFC 7519) that somebody else issued.

use std::path::PathBuf;

use async_trait::async_trait;
use http::HeaderMap;
use webpush_channels::UserId;

mod jwks;
mod key;
mod token;

use self::jwks::Jwks;
use self::key::Key;
use self::token::{Refusal, Rules};
use super::{Authenticate, credential};

/// What [`Bearer`] is made of: a key, a JWK Set, or both.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BearerOptions {
    /// A file with a public key in PEM (RSA, P-256, P-384 or Ed25519); a file that is no PEM is the secret that the
    /// issuer shares, of at least 32 octets.
    pub key: Option<PathBuf>,
    /// A JWK Set (RFC 7517). It is read again when it changes.
    pub jwks: Option<PathBuf>,
    /// The `iss` that a token must have.
    pub issuer: Option<String>,
    /// The `aud` that a token must have. Without it a token must have none.
    pub audience: Option<String>,
    /// The claim that names the user. Default: `sub`.
    pub user_claim: Option<String>,
}

/// `Authorization: Bearer` with a JWT: the user id is `bearer:` and the claim that names the user.
///
/// The key decides which algorithms a token may have, never the token: a public key verifies no HMAC, and `none` is no
/// algorithm. A token must have `exp`; clocks may differ by 30 seconds.
#[derive(Debug)]
pub struct Bearer {
    key: Option<Key>,
    jwks: Option<Jwks>,
    rules: Rules,
}

impl Bearer {
    /// Reads the keys.
    ///
    /// ```
    /// use webpush_channels_server::auth::{Bearer, BearerOptions};
    ///
    /// let error = Bearer::new(&BearerOptions::default()).unwrap_err();
    /// assert_eq!(error.to_string(), "bearer tokens need a key: set jwt_key or jwks");
    /// ```
    pub fn new(options: &BearerOptions) -> Result<Self, BearerError> {
        if options.key.is_none() && options.jwks.is_none() {
            return Err(BearerError::NoKey);
        }
        // Named, since with two of them in the graph the choice is a panic. An error means that one is installed.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Ok(Self {
            key: options.key.clone().map(Key::read).transpose()?,
            jwks: options.jwks.clone().map(Jwks::open).transpose()?,
            rules: Rules::new(options),
        })
    }

    async fn user(&self, token: &str) -> Result<UserId, Refusal> {
        let header = token::header(token)?;
        let set = match &self.jwks {
            Some(jwks) => Some(jwks.keys().await),
            None => None,
        };
        let own = self.key.iter().filter(|key| key.verifies(header.alg));
        let of_the_set = set.as_deref().map_or_else(Vec::new, |set| jwks::choose(set, &header));
        self.rules.user(token, header.alg, own.chain(of_the_set))
    }
}

#[async_trait]
impl Authenticate for Bearer {
    fn name(&self) -> &'static str {
        "bearer"
    }

    fn description(&self) -> &'static str {
        "JSON Web Tokens in the Authorization header."
    }

    fn challenge(&self) -> &'static str {
        "Bearer realm=\"Realm\""
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Option<UserId> {
        match self.user(credential(headers, "bearer")?).await {
            Ok(user) => Some(user),
            Err(refusal) => {
                // The reason and nothing of the token: parts of it may be somebody's secret.
                tracing::debug!(reason = %refusal, "a bearer token was refused");
                None
            }
        }
    }
}

/// Why there is no [`Bearer`], and what to do about it. No octet of a key file is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BearerError {
    /// Neither a key nor a JWK Set was named.
    #[error("bearer tokens need a key: set jwt_key or jwks")]
    NoKey,
    /// A file cannot be read.
    #[error("the key file {0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// A file holds something else.
    #[error("{path} holds no usable key: {problem}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
}

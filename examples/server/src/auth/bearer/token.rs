//! One token: its shape, its signature, its claims.

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use webpush_channels::UserId;

use super::BearerOptions;
use super::key::Key;

/// The most octets of a token.
const MAX_TOKEN: usize = 8 * 1024;
/// Seconds by which clocks may differ.
const LEEWAY: u64 = 30;
/// The most characters of the claim that names the user.
const MAX_USER: usize = 200;

/// Why a token is nobody's: for the log, and nothing in it is the token's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it is longer than 8 KiB")]
    TooLong,
    #[error("it is no JWT, or has no algorithm that is known")]
    Malformed,
    #[error("it has critical parameters, and none is known")]
    Critical,
    #[error("no key fits its algorithm and its kid")]
    NoKey,
    #[error("its signature is another key's")]
    Signature,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("its iss is another one")]
    Issuer,
    #[error("its aud is another one")]
    Audience,
    #[error("exp, iss or aud is missing or malformed")]
    Claim,
    #[error("the claim that names the user is no text of 1 to 200 characters without controls")]
    User,
}

/// What a token must be besides signed.
#[derive(Debug)]
pub(super) struct Rules {
    validation: Validation,
    user_claim: String,
}

/// The head of a token, which nobody has vouched for yet.
pub(super) fn header(token: &str) -> Result<Header, Refusal> {
    if token.len() > MAX_TOKEN {
        return Err(Refusal::TooLong);
    }
    let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
    // RFC 7515 section 4.1.11: what is critical and not understood is fatal.
    if header.crit.is_some() {
        return Err(Refusal::Critical);
    }
    Ok(header)
}

impl Rules {
    pub(super) fn new(options: &BearerOptions) -> Self {
        let mut validation = Validation { leeway: LEEWAY, validate_nbf: true, ..Validation::default() };
        let mut required = vec!["exp"];
        if let Some(issuer) = &options.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &options.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        Self { validation, user_claim: options.user_claim.clone().unwrap_or_else(|| "sub".to_owned()) }
    }

    /// The user of a token that one of the keys has made. The keys are for `algorithm`.
    pub(super) fn user<'a>(
        &self,
        token: &str,
        algorithm: Algorithm,
        keys: impl Iterator<Item = &'a Key>,
    ) -> Result<UserId, Refusal> {
        let mut validation = self.validation.clone();
        validation.algorithms = vec![algorithm];
        let mut refusal = Refusal::NoKey;
        for key in keys {
            match decode::<Map<String, Value>>(token, &key.verifier, &validation) {
                Ok(token) => return self.named(&token.claims),
                Err(error) => refusal = reason(&error),
            }
            // Only a wrong signature can be right with another key.
            if refusal != Refusal::Signature {
                break;
            }
        }
        Err(refusal)
    }

    fn named(&self, claims: &Map<String, Value>) -> Result<UserId, Refusal> {
        // RFC 7519 section 4.1.3. `jsonwebtoken` takes one that is malformed for one that is not there.
        if self.validation.aud.is_none() && claims.contains_key("aud") {
            return Err(Refusal::Audience);
        }
        let name = claims.get(&self.user_claim).and_then(Value::as_str).ok_or(Refusal::User)?;
        if name.is_empty() || name.chars().count() > MAX_USER {
            return Err(Refusal::User);
        }
        UserId::new(format!("bearer:{name}")).map_err(|_| Refusal::User)
    }
}

fn reason(error: &Error) -> Refusal {
    match error.kind() {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::Early,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Refusal::Claim,
        _ => Refusal::Malformed,
    }
}

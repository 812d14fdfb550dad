//! Who calls: a small trait, and the policies that come with the service.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::HeaderMap;
use http::request::Parts;
use webpush_channels::UserId;

mod basic;
mod bearer;

pub use self::basic::Basic;
pub use self::bearer::{Bearer, BearerError, BearerOptions};
use crate::error::ApiError;
use crate::state::App;

/// Tells who sent a request.
///
/// Policies are asked in order, and the first that knows the caller wins. The user ids of a policy begin with its
/// [`name`](Self::name) and a colon, so that no two policies can mean different people by one id.
#[async_trait]
pub trait Authenticate: Debug + Send + Sync + 'static {
    /// What its user ids begin with, and the name of its capability.
    fn name(&self) -> &'static str;

    /// What a client must know to use it, for `GET /v0/`.
    fn description(&self) -> &'static str;

    /// How the `WWW-Authenticate` of a 401 asks for it (RFC 9110 section 11.6.1).
    fn challenge(&self) -> &'static str;

    /// The caller, or `None`: nothing in the headers that this policy knows, or a credential that it refuses.
    async fn authenticate(&self, headers: &HeaderMap) -> Option<UserId>;
}

/// The authenticated caller. Without one, the request ends with 401.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) UserId);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let caller = identify(&parts.headers, app).await;
        caller
            .map(Self)
            .ok_or_else(|| ApiError::unauthenticated(app.policies.iter().map(|policy| policy.challenge())))
    }
}

impl OptionalFromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Option<Self>, ApiError> {
        Ok(identify(&parts.headers, app).await.map(Self))
    }
}

async fn identify(headers: &HeaderMap, app: &App) -> Option<UserId> {
    for policy in &app.policies {
        if let Some(user) = policy.authenticate(headers).await {
            return Some(user);
        }
    }
    None
}

/// What follows a scheme in `Authorization`, which is compared without case (RFC 9110 section 11.1).
fn credential<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (found, credential) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| credential.trim())
}

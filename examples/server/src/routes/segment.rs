//! One segment of a path, as a name.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use webpush_channels::{BroadcastId, ChannelName};

use crate::error::ApiError;
use crate::state::App;

/// The channel of `/v0/channels/{id}`.
///
/// It is taken from the path as it was sent: an encoded slash is no part of a name (404), as in the original.
#[derive(Debug)]
pub(crate) struct ChannelId(pub(crate) ChannelName);

impl FromRequestParts<Arc<App>> for ChannelId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let name = third(parts)?;
        ChannelName::from_str(&name)
            .map(Self)
            .map_err(|error| ApiError::invalid("path", "channel_id", error.to_string()))
    }
}

/// The id of `/v0/broadcasts/{id}`.
#[derive(Debug)]
pub(crate) struct Broadcast(pub(crate) BroadcastId);

impl FromRequestParts<Arc<App>> for Broadcast {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let id = third(parts)?;
        // What is no id is the id of nothing.
        BroadcastId::from_str(&id).map(Self).map_err(|_| ApiError::unknown_record("broadcast", &id))
    }
}

/// The third segment, decoded.
pub(crate) fn third(parts: &Parts) -> Result<String, ApiError> {
    let raw = parts.uri.path().split('/').nth(3).unwrap_or_default();
    let decoded = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| ApiError::invalid("path", "id", "Invalid UTF-8"))?;
    if decoded.is_empty() || decoded.contains('/') {
        return Err(ApiError::unknown_route());
    }
    Ok(decoded.into_owned())
}

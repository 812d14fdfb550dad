//! `If-Match` and `If-None-Match` as kinto.core has them: a number of milliseconds in quotes, or `*`.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::record::{Record, Stamp, uncached};
use crate::error::ApiError;

/// On which state of the record, or the list, a request is to be done.
///
/// States are compared for equality (RFC 9110 section 13.1): a list from which something was removed is another one,
/// also if it looks older.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions {
    if_match: Option<Tag>,
    if_none_match: Option<Tag>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tag {
    Any,
    State(Stamp),
}

impl Conditions {
    /// 304 for a reader who has this state.
    pub(crate) fn not_modified(self, stamp: Stamp) -> Option<Response> {
        (self.if_none_match == Some(Tag::State(stamp)))
            .then(|| uncached((StatusCode::NOT_MODIFIED, stamp.headers()).into_response()))
    }

    /// 412 for who means another state than this, or none where there is one.
    pub(crate) fn check(self, stamp: Stamp, existing: Option<&Record>) -> Result<(), ApiError> {
        let exists = existing.is_some() && self.if_none_match == Some(Tag::Any);
        let differs = matches!(self.if_match, Some(Tag::State(meant)) if meant != stamp);
        if exists || differs { Err(modified(stamp, existing)) } else { Ok(()) }
    }

    /// 412 for who means a record that is not there.
    pub(crate) fn check_absent(self, stamp: Stamp) -> Result<(), ApiError> {
        if self.if_match.is_some() { Err(modified(stamp, None)) } else { Ok(()) }
    }
}

fn modified(stamp: Stamp, existing: Option<&Record>) -> ApiError {
    let mut headers = stamp.headers();
    [ETAG, LAST_MODIFIED]
        .into_iter()
        .filter_map(|name| headers.remove(&name).map(|value| (name, value)))
        .fold(ApiError::modified(existing.map(Record::json)), |error, (name, value)| {
            error.with_header(name, value)
        })
}

impl<S: Sync> FromRequestParts<S> for Conditions {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self {
            if_match: tag(&parts.headers, IF_MATCH, "If-Match")?,
            if_none_match: tag(&parts.headers, IF_NONE_MATCH, "If-None-Match")?,
        })
    }
}

fn tag(headers: &HeaderMap, header: HeaderName, name: &str) -> Result<Option<Tag>, ApiError> {
    let Some(value) = headers.get(header) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text == "*" {
        return Ok(Some(Tag::Any));
    }
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        let description = "The value should be integer between double quotes.";
        return Err(ApiError::invalid("header", name, description));
    }
    // A number that is too long is a state that never was.
    Ok(Some(Tag::State(Stamp(digits.parse().unwrap_or(u64::MAX)))))
}

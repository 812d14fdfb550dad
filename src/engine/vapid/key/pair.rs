//! The pair of keys as JSON, as the JavaScript library `web-push` prints it.

use std::borrow::Cow;

use serde::Deserialize;

use super::{VapidKey, VapidKeyError};

/// The member without which the JSON is something else.
pub(super) const PRIVATE: &str = "privateKey";

/// Borrowed where it can be: the private member is not copied.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair<'a> {
    #[serde(borrow)]
    private_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    public_key: Option<Cow<'a, str>>,
}

pub(super) fn parse(text: &str) -> Result<VapidKey, VapidKeyError> {
    // The JSON error's own text may quote the key: only the place is told.
    let pair: Pair<'_> = serde_json::from_str(text)
        .map_err(|error| VapidKeyError::Json { line: error.line(), column: error.column() })?;
    let private = pair.private_key.ok_or(VapidKeyError::Pair { member: PRIVATE })?;
    let public = pair.public_key.ok_or(VapidKeyError::Pair { member: "publicKey" })?;
    VapidKey::from_base64url_pair(&private, &public)
}

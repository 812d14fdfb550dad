//! JSON in and out: bodies that are checked before they are used.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::state::App;

/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A response in JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(octets) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], octets).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "a response could not be written as JSON");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// The octets of a body: bounded, and arrived in time. Empty is fine.
#[derive(Debug)]
pub(crate) struct RawBody(pub(crate) Bytes);

impl FromRequest<Arc<App>> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let limited = Limited::new(request.into_body(), app.settings.limits.body_octets);
        match tokio::time::timeout(ARRIVAL, limited.collect()).await {
            Ok(Ok(body)) => Ok(Self(body.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::body_too_large()),
            Ok(Err(_)) => Err(ApiError::invalid("body", None, "The body broke off")),
            Err(_) => Err(ApiError::slow_body()),
        }
    }
}

/// A body of JSON: an object whose top level has no keys but those that are allowed. `None` without a body.
///
/// What it must hold beyond that is said by [`object`] and the like.
#[derive(Debug)]
pub(crate) struct ObjectBody(pub(crate) Option<Map<String, Value>>);

impl FromRequest<Arc<App>> for ObjectBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let json = is_json(request.headers());
        let RawBody(octets) = RawBody::from_request(request, app).await?;
        if octets.is_empty() {
            return Ok(Self(None));
        }
        if !json {
            return Err(ApiError::unsupported_media_type());
        }
        parse(&octets).map(Some).map(Self)
    }
}

impl ObjectBody {
    /// The one member `data`, an object; other members are refused as the original does.
    pub(crate) fn into_data(self) -> Result<Option<Map<String, Value>>, ApiError> {
        let Some(mut body) = self.0 else { return Ok(None) };
        let data = body.remove("data");
        if !body.is_empty() {
            let description = format!("Unrecognized keys in mapping: \"{}\"", Python(&Value::Object(body)));
            return Err(ApiError::invalid("body", "", description));
        }
        match data {
            None => Ok(None),
            Some(Value::Object(data)) => Ok(Some(data)),
            Some(other) => Err(ApiError::invalid("body", "data", not_a_mapping(&other))),
        }
    }
}

/// A JSON object out of octets that anybody may have sent.
pub(crate) fn parse(octets: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(octets) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(ApiError::invalid("body", "", not_a_mapping(&other))),
        // Only where, never what: the text may hold a secret.
        Err(error) => {
            let place = format!("Invalid JSON: line {} column {}", error.line(), error.column());
            Err(ApiError::invalid("body", None, place))
        }
    }
}

fn not_a_mapping(value: &Value) -> String {
    format!("\"{}\" is not a mapping type", Python(value))
}

/// No content type is taken as JSON, as the original does; but not from a browser, where pages of any site may send
/// such a body without a preflight.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return !headers.contains_key(ORIGIN) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("application/merge-patch+json")
}

/// A value as Python's `repr` writes it: the original's messages quote it so. Cut after some octets, and without the
/// texts in it: a client that forgets `data` sends its keys and endpoint in its place.
struct Python<'a>(&'a Value);

/// The most characters of a value that a message repeats.
const QUOTED: usize = 200;

impl std::fmt::Display for Python<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        python(self.0, &mut text);
        f.write_str(text.char_indices().nth(QUOTED).map_or(&text, |(end, _)| &text[..end]))
    }
}

fn python(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(_) => out.push_str("'...'"),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                python(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (i, (key, item)) in members.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                quote(key, out);
                out.push_str(": ");
                python(item, out);
            }
            out.push('}');
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('\'');
    for c in text.chars() {
        out.extend(matches!(c, '\'' | '\\').then_some('\\'));
        out.push(c);
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_quoted_as_python_does() {
        let value: Value = serde_json::from_str(r#"{"it's": 1, "y": [true, null, "secret"]}"#).unwrap();
        assert_eq!(Python(&value).to_string(), r"{'it\'s': 1, 'y': [True, None, '...']}");
    }

    #[test]
    fn a_long_value_is_cut_on_a_character() {
        let value = json!({"\u{e9}".repeat(1000): 1});
        assert_eq!(Python(&value).to_string().chars().count(), QUOTED);
    }
}

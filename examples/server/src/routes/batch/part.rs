//! The requests of a batch, checked as kinto.core does.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::reply::PREFIX;

/// One request.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

const METHODS: [&str; 7] = ["GET", "HEAD", "DELETE", "TRACE", "POST", "PUT", "PATCH"];

/// What stands in JSON as it is and must be encoded in a URI.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

impl Part {
    pub(super) fn is_batch(&self) -> bool {
        self.uri.path().strip_prefix(PREFIX) == Some("/batch")
    }

    /// The path as people write it.
    pub(super) fn shown_path(&self) -> String {
        percent_decode_str(self.uri.path()).decode_utf8_lossy().into_owned()
    }
}

/// The requests, with what they have of the defaults.
pub(super) fn all(mut body: Map<String, Value>, max: usize) -> Result<Vec<Part>, ApiError> {
    let defaults = match body.remove("defaults") {
        None => Map::new(),
        Some(Value::Object(defaults)) => defaults,
        Some(_) => return Err(invalid("defaults", MAPPING)),
    };
    let requests = match body.remove("requests") {
        None | Some(Value::Null) => return Err(invalid("requests", REQUIRED)),
        Some(Value::Array(requests)) => requests,
        Some(_) => return Err(invalid("requests", "Must be a list")),
    };
    if requests.len() > max {
        return Err(invalid("requests", format!("Number of requests is limited to {max}")));
    }
    let named = requests.into_iter().enumerate().map(|(at, request)| (format!("requests.{at}"), request));
    named.map(|(name, request)| part(&name, request, &defaults)).collect()
}

const MAPPING: &str = "Must be a mapping";
const REQUIRED: &str = "Required";

fn invalid(name: &str, description: impl Into<String>) -> ApiError {
    ApiError::invalid("body", name, description)
}

fn part(name: &str, request: Value, defaults: &Map<String, Value>) -> Result<Part, ApiError> {
    let Value::Object(mut request) = request else { return Err(invalid(name, MAPPING)) };
    fill(&mut request, defaults);
    let member = |member: &str| format!("{name}.{member}");
    let body = match request.get("body") {
        None => Bytes::new(),
        Some(body @ Value::Object(_)) => body.to_string().into(),
        Some(_) => return Err(invalid(&member("body"), MAPPING)),
    };
    let mut headers = headers(&member("headers"), request.get("headers"))?;
    if !body.is_empty() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json; charset=utf-8"));
    }
    Ok(Part {
        method: method(&member("method"), request.get("method"))?,
        uri: uri(&member("path"), request.get("path"))?,
        headers,
        body,
    })
}

/// Adds what is missing, on all levels.
fn fill(into: &mut Map<String, Value>, defaults: &Map<String, Value>) {
    for (name, default) in defaults {
        match (into.get_mut(name), default) {
            (Some(Value::Object(own)), Value::Object(default)) => fill(own, default),
            (Some(_), _) => {}
            (None, default) => {
                into.insert(name.clone(), default.clone());
            }
        }
    }
}

fn method(name: &str, given: Option<&Value>) -> Result<Method, ApiError> {
    let Some(given) = given else { return Ok(Method::GET) };
    let known =
        given.as_str().filter(|method| METHODS.contains(method)).and_then(|method| method.parse().ok());
    known.ok_or_else(|| invalid(name, format!("Must be one of {}", METHODS.join(", "))))
}

/// The prefix may be missing, and a slash at the end does not count: a client alone would be redirected.
fn uri(name: &str, given: Option<&Value>) -> Result<Uri, ApiError> {
    let path = match given {
        None | Some(Value::Null) => return Err(invalid(name, REQUIRED)),
        Some(Value::String(path)) if path.starts_with('/') => path,
        Some(_) => return Err(invalid(name, "String does not match expected pattern")),
    };
    let (path, query) =
        path.split_once('?').map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
    let rest =
        path.strip_prefix(PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
    let rest = match rest.strip_suffix('/').unwrap_or(rest) {
        "" => "/",
        rest => rest,
    };
    let mut target = format!("{PREFIX}{}", utf8_percent_encode(rest, ENCODED));
    if let Some(query) = query {
        target.push('?');
        target.extend(utf8_percent_encode(query, ENCODED));
    }
    target.parse().map_err(|_| invalid(name, "Must be a path"))
}

fn headers(name: &str, given: Option<&Value>) -> Result<HeaderMap, ApiError> {
    let given = match given {
        None => return Ok(HeaderMap::new()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(invalid(name, MAPPING)),
    };
    let mut headers = HeaderMap::new();
    for (header, value) in given {
        let value = value.as_str().ok_or_else(|| invalid(name, "Contains non string value"))?;
        let pair = header.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
        let (header, value) = pair.ok_or_else(|| invalid(name, "Contains what is no HTTP header"))?;
        // How the body is framed is the batch's matter.
        if ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&header) {
            headers.insert(header, value);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(body: Value) -> Result<Vec<Part>, ApiError> {
        let Value::Object(body) = body else { unreachable!("an object") };
        all(body, 2)
    }

    #[test]
    fn paths_lead_into_the_api() {
        for (path, target, is_batch) in [
            ("/", "/v0/", false),
            ("/v0", "/v0/", false),
            ("/v0/", "/v0/", false),
            ("/v0/subscriptions/?a=b/", "/v0/subscriptions?a=b/", false),
            ("/v0x", "/v0/v0x", false),
            ("/channels/caf\u{e9} #1", "/v0/channels/caf%C3%A9%20%231", false),
            ("//example.org", "/v0//example.org", false),
            ("/batch", "/v0/batch", true),
            ("/v0/batch/?x", "/v0/batch?x", true),
            ("/channels/batch", "/v0/channels/batch", false),
        ] {
            let parts = parts(json!({"requests": [{"path": path}]})).unwrap();
            assert_eq!(parts[0].uri.to_string(), target);
            assert_eq!(parts[0].is_batch(), is_batch, "{path}");
        }
    }

    #[test]
    fn defaults_fill_what_is_missing() {
        let parts = parts(json!({
            "defaults": {"method": "PUT", "headers": {"A": "1", "B": "2"}, "body": {"data": {"x": 1}}},
            "requests": [{"path": "/a", "headers": {"b": "3", "B": "4"}, "body": {"data": {"y": 2}}}],
        }));
        let part = &parts.unwrap()[0];
        assert_eq!(
            (&part.method, &part.headers["a"], &part.headers["content-type"]),
            (&Method::PUT, &"1".parse().unwrap(), &"application/json; charset=utf-8".parse().unwrap())
        );
        assert_eq!(part.body, r#"{"data":{"x":1,"y":2}}"#);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for wrong in [
            json!({}),
            json!({"requests": {}}),
            json!({"requests": [7]}),
            json!({"requests": [{}]}),
            json!({"requests": [{"path": "x"}]}),
            json!({"requests": [{"path": 7}]}),
            json!({"requests": [{"path": "/", "method": "get"}]}),
            json!({"requests": [{"path": "/", "method": 7}]}),
            json!({"requests": [{"path": "/", "headers": []}]}),
            json!({"requests": [{"path": "/", "headers": {"A": 1}}]}),
            json!({"requests": [{"path": "/", "headers": {"a b": "1"}}]}),
            json!({"requests": [{"path": "/", "headers": {"a": "1\r\nb: 2"}}]}),
            json!({"requests": [{"path": "/", "body": "x"}]}),
            json!({"requests": [{"path": "/"}, {"path": "/"}, {"path": "/"}]}),
            json!({"requests": [], "defaults": []}),
        ] {
            assert!(parts(wrong.clone()).is_err(), "{wrong}");
        }
        assert!(parts(json!({"requests": []})).unwrap().is_empty());
    }
}

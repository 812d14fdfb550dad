//! What every response has, and what is answered before a route is looked for.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_TYPE,
    HOST, LOCATION, ORIGIN, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde_json::{Value, json};
use webpush_channels::{Clock as _, SystemClock};

use crate::canonical;
use crate::error::ApiError;
use crate::json::Json;
use crate::settings::Settings;
use crate::state::App;

/// The prefix of the API: the original's major version.
pub(crate) const PREFIX: &str = "/v0";

const EXPOSED: &str = "Alert, Backoff, Cache-Control, Content-Length, ETag, Expires, Last-Modified, Location, \
    Next-Page, Pragma, Retry-After, Total-Records";
const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";
const PREFLIGHT_SECONDS: u64 = 3600;

/// Without authentication: pages of any site, in a browser that reaches this service, must not read it.
pub(crate) const METRICS: &str = "/metrics";

static BACKOFF: HeaderName = HeaderName::from_static("backoff");
static ALERT: HeaderName = HeaderName::from_static("alert");

/// Around every route: preflights, the end of the service, and the headers of all responses.
pub(crate) async fn decorate(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let settings = &app.settings;
    let readable = request.uri().path() != METRICS;
    let origin = allowed_origin(settings, request.headers()).filter(|_| readable);
    let preflight = (request.method() == Method::OPTIONS).then(|| preflight(request.headers()));
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let mut response = if let Some(preflight) = preflight {
        preflight
    } else if ended(settings) {
        ApiError::service_ended(settings.notices.end_message.as_deref()).into_response()
    } else if writes && is_forged(request.headers()) {
        ApiError::forbidden().into_response()
    } else if writes && settings.read_only {
        ApiError::read_only().into_response()
    } else {
        next.run(request).await
    };
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    if settings.cors_origins.iter().all(|origin| origin != "*") {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    if matches!(status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(RETRY_AFTER, settings.notices.retry_after.into());
    }
    if let Some(seconds) = settings.notices.backoff {
        headers.insert(BACKOFF.clone(), seconds.into());
    }
    if let Some(alert) = alert(settings) {
        headers.insert(ALERT.clone(), alert);
    }
    response
}

/// `*`, or the origin of the request if it is one of those that are allowed.
fn allowed_origin(settings: &Settings, headers: &HeaderMap) -> Option<HeaderValue> {
    if settings.cors_origins.iter().any(|origin| origin == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let origin = headers.get(ORIGIN)?;
    settings
        .cors_origins
        .iter()
        .any(|allowed| allowed.as_bytes() == origin.as_bytes())
        .then(|| origin.clone())
}

fn preflight(headers: &HeaderMap) -> Response {
    let mut response = Json(Value::Null).into_response();
    let answer = response.headers_mut();
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    answer.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS.into());
    if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

/// Whether a page of another site made a browser send this without a preflight: by a form, or by `fetch` without CORS.
/// If there is a password in it, it is one that the browser remembers and the user did not mean to use.
fn is_forged(headers: &HeaderMap) -> bool {
    let is = |name, one_of: [&str; 2]| {
        headers.get(name).is_some_and(|value: &HeaderValue| one_of.iter().any(|it| value == it))
    };
    is("sec-fetch-site", ["cross-site", "same-site"]) && is("sec-fetch-mode", ["navigate", "no-cors"])
}

fn ended(settings: &Settings) -> bool {
    settings.notices.end.is_some_and(|end| end <= SystemClock::new().now())
}

fn alert(settings: &Settings) -> Option<HeaderValue> {
    settings.notices.end?;
    let mut alert = json!({"code": if ended(settings) { "hard-eol" } else { "soft-eol" }});
    for (name, text) in [("message", &settings.notices.end_message), ("url", &settings.notices.end_url)] {
        if let Some(text) = text {
            alert[name] = Value::from(text.as_str());
        }
    }
    // In ASCII, whatever language it is in.
    HeaderValue::from_str(&canonical::object(alert.as_object()?)).ok()
}

/// Around what answers in JSON: 406 for a client that takes none.
pub(crate) async fn in_json(request: Request, next: Next) -> Response {
    if takes_json(request.headers()) {
        next.run(request).await
    } else {
        ApiError::not_acceptable().into_response()
    }
}

/// Whether a media range of `Accept` has JSON in it (RFC 9110 section 12.5.1).
fn takes_json(headers: &HeaderMap) -> bool {
    let ranges =
        headers.get_all(ACCEPT).into_iter().flat_map(|value| value.as_bytes().split(|octet| *octet == b','));
    let mut ranges = ranges.map(|range| String::from_utf8_lossy(range).to_ascii_lowercase()).peekable();
    ranges.peek().is_none() || ranges.any(|range| is_json(&range))
}

fn is_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let json = matches!(parts.next(), Some("*/*" | "application/*" | "application/json" | ""));
    let weight = parts.find_map(|part| part.strip_prefix("q=")).map(str::parse::<f32>);
    json && weight.is_none_or(|weight| weight.is_ok_and(|weight| weight > 0.0))
}

/// A path that no route has: redirected where the original does, else 404.
pub(crate) async fn unrouted(uri: Uri) -> Response {
    let (path, query) = (uri.path(), uri.query());
    let Some(rest) = path.strip_prefix(PREFIX) else {
        return if is_version(path) {
            ApiError::unknown_version().into_response()
        } else {
            redirect(&format!("{PREFIX}{path}"), query)
        };
    };
    match rest.strip_suffix('/') {
        _ if rest.is_empty() => redirect(&format!("{PREFIX}/"), query),
        Some(shorter) if !shorter.is_empty() && !shorter.ends_with('/') && rest.starts_with('/') => {
            redirect(&format!("{PREFIX}{shorter}"), query)
        }
        _ => ApiError::unknown_route().into_response(),
    }
}

/// Whether a path begins with the version of an API, `/v` and digits.
fn is_version(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    first
        .strip_prefix('v')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// To a path of this service. Slashes at its beginning are one: `//host` would be another host.
fn redirect(path: &str, query: Option<&str>) -> Response {
    let path = format!("/{}", path.trim_start_matches('/'));
    let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    match HeaderValue::from_str(&target) {
        Ok(target) => {
            let headers =
                [(LOCATION, target), (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"))];
            (StatusCode::TEMPORARY_REDIRECT, headers, "307 Temporary Redirect\n").into_response()
        }
        Err(_) => ApiError::unknown_route().into_response(),
    }
}

/// The service's own address as the client of this request sees it.
pub(crate) fn base_url(settings: &Settings, headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    settings.base_url(host.or_else(|| uri.authority().map(http::uri::Authority::as_str)))
}

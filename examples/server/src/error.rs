//! Errors as the original service writes them: `{code, errno, error, message?, info?, details?}`.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use webpush_channels::channel::EnqueueError;
use webpush_channels::store::journal::{JournalError, JournalErrorKind};
use webpush_channels::store::{StoreError, StoreErrorKind};

use crate::chain::Chain;

/// A request that fails, with the status, the number and the headers that clients of the original know.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: Box<ErrorBody>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Clone, Debug, Serialize)]
struct ErrorBody {
    code: u16,
    errno: u16,
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

/// What is wrong with one part of a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) location: &'static str,
    pub(crate) name: Option<String>,
    pub(crate) description: String,
}

impl Problem {
    /// As the original puts it: where and what, unless that is said already.
    fn message(&self) -> String {
        let Self { location, name, description } = self;
        match name {
            None => format!("{location}: {description}"),
            Some(name) if description.contains(name) => description.clone(),
            Some(name) => format!("{name} in {location}: {description}"),
        }
    }
}

impl ApiError {
    fn new(status: StatusCode, errno: u16, message: impl Into<Option<&'static str>>) -> Self {
        let error = status.canonical_reason().unwrap_or("Error");
        let message = message.into().map(str::to_owned);
        let body = ErrorBody { code: status.as_u16(), errno, error, message, info: None, details: None };
        Self { status, body: Box::new(body), headers: Vec::new() }
    }

    /// 400: a part of the request is not what it must be. `location` is `body`, `header`, `path` or `querystring`; a name
    /// that is empty is the whole of it.
    pub(crate) fn invalid<'a>(
        location: &'static str,
        name: impl Into<Option<&'a str>>,
        description: impl Into<String>,
    ) -> Self {
        let name = name.into().map(str::to_owned);
        Self::all_invalid(&[Problem { location, name, description: description.into() }])
    }

    /// 400: several parts. The message tells the first of them.
    pub(crate) fn all_invalid(problems: &[Problem]) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, 107, None);
        error.body.error = "Invalid parameters";
        error.body.message = problems.iter().min_by_key(|problem| &problem.name).map(Problem::message);
        error.body.details = Some(json!(problems));
        error
    }

    /// 401: who is it? A header for each way to say so.
    pub(crate) fn unauthenticated(challenges: impl Iterator<Item = &'static str>) -> Self {
        let message = "Please authenticate yourself to use this endpoint.";
        challenges.fold(Self::new(StatusCode::UNAUTHORIZED, 104, message), |error, challenge| {
            error.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        })
    }

    /// 403: known, and not allowed.
    pub(crate) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, 121, "This user cannot access this resource.")
    }

    /// 404: no such path.
    pub(crate) fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, 111, "The resource you are looking for could not be found.")
    }

    /// 404: a path of another version of the API.
    pub(crate) fn unknown_version() -> Self {
        let message = "The requested API version is not available on this server.";
        Self::new(StatusCode::NOT_FOUND, 116, message)
    }

    /// 404: no such record, or not the caller's.
    pub(crate) fn unknown_record(resource: &'static str, id: &str) -> Self {
        let mut error = Self::new(StatusCode::NOT_FOUND, 110, None);
        error.body.details = Some(json!({"id": id, "resource_name": resource}));
        error
    }

    /// 405; the `Allow` header is the router's.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, 115, "Method not allowed on this endpoint.")
    }

    /// 405 on a service that is set to be read only.
    pub(crate) fn read_only() -> Self {
        Self::method_not_allowed().with_header(ALLOW, HeaderValue::from_static("GET, HEAD"))
    }

    /// 406: the client does not take JSON.
    pub(crate) fn not_acceptable() -> Self {
        let description = "Accept header should be one of ['application/json']";
        Self::invalid("header", "Accept", description).with_status(StatusCode::NOT_ACCEPTABLE)
    }

    /// 408: the body did not come.
    pub(crate) fn slow_body() -> Self {
        let message = "The request's body did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, 999, message)
    }

    /// 409: the same key for another request.
    pub(crate) fn conflict(message: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, 122, message)
    }

    /// 410: the service has ended.
    pub(crate) fn service_ended(message: Option<&str>) -> Self {
        let mut error = Self::new(StatusCode::GONE, 202, None);
        error.body.message = message.map(str::to_owned);
        error
    }

    /// 412: somebody else was there first.
    pub(crate) fn modified(existing: Option<&Value>) -> Self {
        let mut error = Self::new(StatusCode::PRECONDITION_FAILED, 114, "Resource was modified meanwhile");
        error.body.details =
            Some(existing.map_or_else(|| json!({}), |existing| json!({"existing": existing})));
        error
    }

    /// 413: more octets than a body may have.
    pub(crate) fn body_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, 113, "The request's body is too large.")
    }

    /// 415: not JSON.
    pub(crate) fn unsupported_media_type() -> Self {
        let description = "Content-Type header should be one of ['application/json']";
        Self::invalid("header", "Content-Type", description).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }

    /// 429: too fast.
    pub(crate) fn too_fast(seconds: u64) -> Self {
        let message = "Too many requests: come back later, see Retry-After.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, 117, message).with_retry_after(seconds)
    }

    /// 500: our fault. What happened is for the log, not for the client.
    pub(crate) fn internal() -> Self {
        let message = "A programmatic error occured, developers have been informed.";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, 999, message);
        error.body.info = Some("https://github.com/webpush-channels/webpush-channels/issues");
        error
    }

    /// 503: the database is away, or there are too many of a kind at once.
    pub(crate) fn unavailable() -> Self {
        let message = "Service temporary unavailable due to overloading or maintenance, please retry later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 201, message)
    }

    /// 507: the user holds as many subscriptions as one may.
    pub(crate) fn too_many_subscriptions() -> Self {
        Self::user_is_full("There are too many subscriptions of this user: delete some first.")
    }

    /// 507: the user is in as many channels as one may be.
    pub(crate) fn too_many_channels() -> Self {
        Self::user_is_full("This user is in too many channels: leave some first.")
    }

    fn user_is_full(message: &'static str) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, 121, message)
    }

    /// What the body of the response says.
    pub(crate) fn to_json(&self) -> Value {
        serde_json::to_value(&*self.body).expect("an error is words and numbers")
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self.body.code = status.as_u16();
        self
    }

    fn with_retry_after(self, seconds: u64) -> Self {
        self.with_header(RETRY_AFTER, seconds.into())
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, super::json::Json(&*self.body)).into_response();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.kind() == StoreErrorKind::Unavailable {
            tracing::warn!(error = %Chain(&error), "the store is not available");
            return Self::unavailable();
        }
        tracing::error!(error = %Chain(&error), "the store failed");
        Self::internal()
    }
}

impl From<JournalError> for ApiError {
    fn from(error: JournalError) -> Self {
        if error.kind() == JournalErrorKind::Unavailable {
            tracing::warn!(error = %Chain(&error), "the journal is not available");
            return Self::unavailable();
        }
        tracing::error!(error = %Chain(&error), "the journal failed");
        Self::internal()
    }
}

impl From<EnqueueError> for ApiError {
    fn from(error: EnqueueError) -> Self {
        match error.kind() {
            JournalErrorKind::Unavailable => {
                tracing::warn!(error = %Chain(&error), "a broadcast could not be stored");
                Self::unavailable()
            }
            JournalErrorKind::Conflict => {
                Self::conflict("This Idempotency-Key belongs to another publication: choose another.")
            }
            _ => {
                tracing::error!(error = %Chain(&error), "a broadcast could not be stored");
                Self::internal()
            }
        }
    }
}

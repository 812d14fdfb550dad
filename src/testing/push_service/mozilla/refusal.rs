//! What a refused request is told.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::testing::push_service::violation::{Violation, error_body};

/// A refusal in Mozilla's words.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The rule that comes nearest.
    pub(super) violation: Violation,
    status: u16,
    errno: Option<u16>,
    message: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(
        violation: Violation,
        status: u16,
        errno: Option<u16>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { violation, status, errno, message: message.into() }
    }

    /// All that is wrong with VAPID is a 401.
    pub(super) fn vapid(violation: Violation, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(violation, 401, Some(109), message)
    }

    pub(super) fn coding(violation: Violation, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(violation, 400, Some(110), message)
    }

    pub(super) fn response(&self) -> Response<Bytes> {
        let status = StatusCode::from_u16(self.status).expect("refusals have valid statuses");
        let mut response = Response::new(error_body(status, self.errno, &self.message));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.violation == Violation::Gone {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
        }
        response
    }
}

/// The rules whose table holds Mozilla's answer already.
impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        Self::new(violation, violation.status(), violation.errno(), violation.to_string())
    }
}

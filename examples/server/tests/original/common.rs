//! What all paths have in common.

use serde_json::{Value, json};

use super::case::{Case, call};
use super::{ADA, error};

pub fn unauthenticated() -> Value {
    error(401, 104, "Unauthorized", "Please authenticate yourself to use this endpoint.")
}

/// Redirects, refusals and headers.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        call("GET", "/subscriptions")
            .gives(307)
            .with("location", "/v0/subscriptions")
            .with("content-type", "text/plain*"),
        call("GET", "/channels/news?x=1").gives(307).with("location", "/v0/channels/news?x=1"),
        call("GET", "/v0").gives(307).with("location", "/v0/"),
        call("GET", "/v0/subscriptions/").by(ADA).gives(307).with("location", "/v0/subscriptions"),
        call("GET", "/v9/x").gives(404).exactly(error(
            404,
            116,
            "Not Found",
            "The requested API version is not available on this server.",
        )),
        call("GET", "/v0/nothing").by(ADA).gives(404).exactly(error(
            404,
            111,
            "Not Found",
            "The resource you are looking for could not be found.",
        )),
        call("PUT", "/v0/subscriptions")
            .by(ADA)
            .gives(405)
            .with("allow", "GET, POST, DELETE")
            .exactly(error(405, 115, "Method Not Allowed", "Method not allowed on this endpoint.")),
        call("GET", "/v0/subscriptions").by(ADA).header("accept", "text/html").gives(406).part(json!({
            "code": 406, "errno": 107, "message": "Accept header should be one of ['application/json']",
        })),
        call("POST", "/v0/subscriptions")
            .by(ADA)
            .header("content-type", "text/plain")
            .text("x")
            .gives(415)
            .part(json!({
                "code": 415, "errno": 107, "message": "Content-Type header should be one of*",
            })),
        call("OPTIONS", "/v0/subscriptions")
            .header("origin", "https://page.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .exactly(Value::Null)
            .with("access-control-allow-origin", "*")
            .with("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE")
            .with("access-control-allow-headers", "authorization"),
        call("GET", "/v0/")
            .header("origin", "https://page.example")
            .with("access-control-allow-origin", "*")
            .with("access-control-expose-headers", "Backoff, Retry-After, Alert, Content-Length")
            .with("x-content-type-options", "nosniff")
            .with("content-type", "application/json*")
            .without("backoff")
            .without("alert"),
        call("GET", "/v0/subscriptions").by(ADA).header("origin", "https://page.example").with(
            "access-control-expose-headers",
            "ETag, Last-Modified, Total-Records, Next-Page, Cache-Control, Expires, Pragma",
        ),
    ];
    for (method, path) in [
        ("GET", "/v0/subscriptions"),
        ("POST", "/v0/subscriptions"),
        ("DELETE", "/v0/subscriptions"),
        ("GET", "/v0/subscriptions/abc"),
        ("PUT", "/v0/subscriptions/abc"),
        ("PATCH", "/v0/subscriptions/abc"),
        ("DELETE", "/v0/subscriptions/abc"),
        ("PUT", "/v0/channels/news/registration"),
        ("DELETE", "/v0/channels/news/registration"),
        ("GET", "/v0/channels/news"),
        ("POST", "/v0/channels/news"),
    ] {
        let refused = call(method, path).gives(401).exactly(unauthenticated());
        cases.push(refused.with("www-authenticate", "Basic realm=\"Realm\""));
    }
    cases
}

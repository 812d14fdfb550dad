//! The answer to one request of a batch.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// The most octets of all answers of a batch together: they are in memory at once.
pub(super) const MAX_BODIES: usize = 4 * 1024 * 1024;

/// Reads a response. One that never ends, or has more octets than are left, is a failure of that request.
pub(super) async fn read(path: String, is_head: bool, response: Response, left: &mut usize) -> Value {
    let (mut parts, body) = response.into_parts();
    let octets = if parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
        Err("Event streams cannot be part of a batch: ask for it alone.")
    } else {
        Limited::new(body, *left)
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .map_err(|_| "The answers are too large for a batch: ask for this one alone.")
    };
    let octets = match octets {
        Ok(octets) => {
            *left -= octets.len();
            octets
        }
        Err(description) => {
            let error = ApiError::invalid("body", "requests", description).into_response();
            let (failed, body) = error.into_parts();
            parts = failed;
            whole(body).await
        }
    };
    json!({
        "path": path,
        "status": parts.status.as_u16(),
        "headers": headers(&parts.headers, octets.len()),
        "body": if is_head { Value::from("") } else { content(&octets) },
    })
}

/// An error is in memory already.
async fn whole(body: Body) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

fn content(octets: &[u8]) -> Value {
    serde_json::from_slice(octets).unwrap_or_else(|_| String::from_utf8_lossy(octets).into())
}

/// Headers as an object, in the case that the original writes them in.
fn headers(headers: &HeaderMap, length: usize) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert(canonical(&CONTENT_LENGTH), length.to_string().into());
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        object.insert(canonical(name), values.join(", ").into());
    }
    object
}

fn canonical(name: &HeaderName) -> String {
    match name.as_str() {
        "etag" => return "ETag".to_owned(),
        "www-authenticate" => return "WWW-Authenticate".to_owned(),
        _ => {}
    }
    let mut word_begins = true;
    let letters = name.as_str().chars().map(|c| {
        let upper = std::mem::replace(&mut word_begins, c == '-');
        if upper { c.to_ascii_uppercase() } else { c }
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_headers_are_written_as_people_do() {
        for (name, expected) in [("etag", "ETag"), ("total-records", "Total-Records"), ("allow", "Allow")] {
            assert_eq!(canonical(&HeaderName::from_static(name)), expected);
        }
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_a_failure_of_its_own() {
        let left = &mut 100;
        let stream = ([(CONTENT_TYPE, "text/event-stream")], Body::from("data: 1\n\n")).into_response();
        let large = Body::from(vec![b'x'; 101]).into_response();
        for response in [stream, large] {
            let answer = read("/v0/x".to_owned(), false, response, left).await;
            assert_eq!((&answer["status"], &answer["body"]["errno"]), (&json!(400), &json!(107)));
            let length = answer["headers"]["Content-Length"].as_str().unwrap();
            assert!(length.parse::<usize>().unwrap() < 1000, "{answer}");
        }
        let text = read("/v0/x".to_owned(), false, "text".into_response(), left).await;
        assert_eq!((&text["status"], &text["body"], *left), (&json!(200), &json!("text"), 96));
        let next = read("/v0/x".to_owned(), false, "x".repeat(97).into_response(), left).await;
        assert_eq!((&next["status"], *left), (&json!(400), 96));
    }
}

//! Channels: joining, leaving, their numbers, and what a publication may look like.

use serde_json::{Value, json};

use super::case::{Case, call};
use super::differences::{AT_ONCE, NAMES, PUBLISHERS, REAL_COUNT};
use super::{ADA, BOB, error};
use crate::world::PUBLISHER;

fn accepted() -> Value {
    json!({"code": 202, "message": "Accepted"})
}

fn forbidden() -> Value {
    error(403, 121, "Forbidden", "This user cannot access this resource.")
}

pub fn cases() -> Vec<Case> {
    let mut cases = members();
    cases.extend(publications());
    cases.extend(names());
    cases
}

fn members() -> Vec<Case> {
    let registration = "/v0/channels/news/registration";
    vec![
        call("PUT", registration).by(ADA).gives(202).exactly(accepted()),
        call("PUT", registration).by(ADA).gives(202).exactly(accepted()),
        call("PUT", registration)
            .by(ADA)
            .header("content-type", "text/plain")
            .text("x")
            .gives(202)
            .exactly(accepted()),
        call("DELETE", registration).by(BOB).gives(202).exactly(accepted()),
        call("GET", "/v0/channels/news")
            .by(ADA)
            .exactly(json!({"data": {"id": "news", "registrations": 1, "push": 0}}))
            .without("etag")
            .without("last-modified")
            .differs(REAL_COUNT),
        call("GET", "/v0/channels/news").by(BOB).gives(403).exactly(forbidden()),
        call("GET", "/v0/channels/unknown").by(ADA).gives(403).exactly(forbidden()),
        call("PUT", registration).by(BOB).gives(202).exactly(accepted()),
        call("GET", "/v0/channels/news").by(BOB).part(json!({"data": {"registrations": 2}})),
        call("DELETE", registration).by(BOB).gives(202).exactly(accepted()),
        call("GET", "/v0/channels/news").by(BOB).gives(403).exactly(forbidden()),
        call("GET", "/v0/channels/news").by(ADA).part(json!({"data": {"registrations": 1}})),
        call("PATCH", "/v0/channels/news").by(ADA).gives(405).part(json!({"errno": 115})),
    ]
}

fn publications() -> Vec<Case> {
    let post = || call("POST", "/v0/channels/empty").by(PUBLISHER);
    let invalid = |description: &str| {
        json!({"code": 400, "errno": 107, "error": "Invalid parameters", "details": [
            {"location": "body", "description": description},
        ]})
    };
    vec![
        post().gives(202).exactly(accepted()).with("location", "http*").differs(AT_ONCE),
        post().json(&json!({})).gives(202).exactly(accepted()),
        post().json(&json!({"data": {}})).gives(202).exactly(accepted()),
        post().json(&json!({"data": {"title": "caf\u{e9}"}})).gives(202).exactly(accepted()),
        post().json(&json!({"x": 1})).gives(400).part(invalid("Unrecognized keys in mapping: \"{'x': 1}\"")),
        post().json(&json!({"data": {}, "x": 1})).gives(400).part(json!({"errno": 107})),
        post().json(&json!({"data": [1]})).gives(400).part(invalid("\"[1]\" is not a mapping type")),
        post().json(&json!({"data": "text"})).gives(400).part(json!({"errno": 107})),
        post().header("content-type", "application/json").text("{").gives(400).part(json!({"errno": 107})),
        call("POST", "/v0/channels/empty").by(ADA).gives(403).exactly(forbidden()).differs(PUBLISHERS),
    ]
}

fn names() -> Vec<Case> {
    let join = |name: &str| call("PUT", format!("/v0/channels/{name}/registration")).by(ADA);
    let unicode = "%C3%A9t%C3%A9%20%F0%9F%94%94";
    vec![
        join(unicode).gives(202),
        call("GET", format!("/v0/channels/{unicode}"))
            .by(ADA)
            .part(json!({"data": {"id": "\u{e9}t\u{e9} \u{1f514}"}})),
        join(&"x".repeat(1000)).gives(202).exactly(accepted()),
        join(&"x".repeat(3000)).gives(400).part(json!({"errno": 107})).differs(NAMES),
        join("a%2Fb").gives(404).part(json!({"errno": 111})),
    ]
}

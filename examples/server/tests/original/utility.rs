//! What the service says about itself, and requests in batches.

use serde_json::json;

use super::ADA;
use super::case::{Case, call};
use super::common::unauthenticated;
use super::differences::{NO_FLUSH, OPENAPI, PROJECT};
use crate::world::user;

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        call("GET", "/v0/").part(json!({
            "project_name": "webpush-channels",
            "project_version": "<text>",
            "http_api_version": "0.1",
            "url": "http*",
            "settings": {"readonly": false, "batch_max_requests": 25},
            "capabilities": {"basicauth": {"description": "<text>", "url": "<text>"}},
        })),
        call("GET", "/v0/")
            .part(json!({"project_docs": "https://github.com/webpush-channels/*"}))
            .differs(PROJECT),
        call("GET", "/v0/").by(ADA).part(json!({"user": {"id": user(ADA).as_str()}})),
        call("GET", "/v0/__heartbeat__").exactly(json!({"storage": true, "permission": true, "cache": true})),
        call("GET", "/v0/__lbheartbeat__").exactly(json!({})),
        call("GET", "/v0/__version__").gives(404).part(json!({"errno": 111})),
        call("GET", "/v0/contribute.json").gives(404).part(json!({"errno": 111})),
        call("GET", "/v0/__api__").part(json!({"openapi": "3.1*"})).differs(OPENAPI),
        call("POST", "/v0/__flush__").by(ADA).gives(404).part(json!({"errno": 111})).differs(NO_FLUSH),
    ];
    cases.extend(batches());
    cases
}

fn batches() -> Vec<Case> {
    let batch = |body| call("POST", "/v0/batch").json(&body);
    let registration = "/channels/batch/registration";
    vec![
        batch(json!({"defaults": {"method": "PUT"}, "requests": [
            {"path": registration},
            {"method": "GET", "path": "/channels/batch"},
            {"method": "GET", "path": "/v0/channels/unknown"},
        ]}))
        .by(ADA)
        .part(json!({"responses": [
            {"status": 202, "path": "/v0/channels/batch/registration", "body": {"code": 202, "message": "Accepted"}},
            {"status": 200, "path": "/v0/channels/batch", "body": {"data": {"registrations": 1}}},
            {"status": 403, "path": "/v0/channels/unknown", "body": {"errno": 121}},
        ]})),
        batch(json!({"requests": [{"path": "/subscriptions"}]}))
            .part(json!({"responses": [{"status": 401, "body": unauthenticated()}]})),
        batch(json!({"requests": []})).by(ADA).exactly(json!({"responses": []})),
        batch(json!({})).by(ADA).gives(400).part(json!({"errno": 107})),
        batch(json!({"requests": vec![json!({"path": "/"}); 26]})).by(ADA).gives(400).part(json!({"errno": 107})),
    ]
}

//! Several requests in one.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "support/world.rs"]
mod world;

use reqwest::Method;
use serde_json::{Value, json};
use world::{World, read};

const ADA: &str = "ada:secret";
/// `Basic bob:secret`.
const BOB: &str = "Basic Ym9iOnNlY3JldA==";

async fn batch(world: &World, body: &Value) -> (u16, Value) {
    read(world.by(ADA, Method::POST, "/v0/batch").json(body).send().await.unwrap()).await
}

fn statuses(body: &Value) -> Vec<u64> {
    body["responses"].as_array().unwrap().iter().map(|answer| answer["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn requests_are_done_in_order_as_who_sends_the_batch() {
    let world = World::start().await;
    let subscription = world.subscription(1);
    let path = format!("/subscriptions/{}", subscription.id());
    let requests = json!([
        {"method": "POST", "path": "/subscriptions", "body": {"data": subscription}},
        {"path": path},
        {"method": "HEAD", "path": "/v0/subscriptions/"},
        {"method": "DELETE", "path": format!("/v0{path}")},
        {"path": path},
        {"path": "/__lbheartbeat__"},
    ]);
    let (status, body) = batch(&world, &json!({"requests": requests})).await;
    assert_eq!((status, statuses(&body)), (200, vec![201, 200, 200, 200, 404, 200]));
    let answers = body["responses"].as_array().unwrap();
    assert_eq!(answers[1]["path"], format!("/v0{path}"));
    assert_eq!(answers[1]["body"], answers[0]["body"]);
    assert_eq!(answers[1]["headers"]["ETag"], answers[0]["headers"]["ETag"]);
    assert_eq!(answers[1]["headers"]["Content-Type"], "application/json");
    assert_eq!((&answers[2]["body"], &answers[2]["headers"]["Total-Records"]), (&json!(""), &json!("1")));
    assert_eq!(answers[4]["body"]["errno"], 110);
    let length: usize = answers[5]["headers"]["Content-Length"].as_str().unwrap().parse().unwrap();
    assert_eq!((&answers[5]["body"], length), (&json!({}), 2));
}

#[tokio::test]
async fn a_request_may_have_credentials_of_its_own() {
    let world = World::start().await;
    let requests = json!([
        {"path": "/"},
        {"path": "/", "headers": {"authorization": BOB}},
        {"path": "/subscriptions", "headers": {"Authorization": "nobody"}},
    ]);
    let (_, body) = batch(&world, &json!({"requests": requests})).await;
    let user = |at: usize| body["responses"][at]["body"]["user"]["id"].as_str().map(str::to_owned);
    assert_eq!(user(0).unwrap(), world::user(ADA).as_str());
    assert_eq!(user(1).unwrap(), world::user("bob:secret").as_str());
    assert_eq!(statuses(&body)[2], 401);
    let url = &body["responses"][0]["body"]["url"];
    assert_eq!(*url, format!("http://{}/v0/", world.service.address()));

    let anonymous = world.request(Method::POST, "/v0/batch").json(&json!({"requests": requests}));
    let (status, body) = read(anonymous.send().await.unwrap()).await;
    assert_eq!((status, statuses(&body)), (200, vec![200, 200, 401]));
}

#[tokio::test]
async fn defaults_are_for_all() {
    let world = World::start().await;
    let body = json!({
        "defaults": {"method": "POST", "path": "/subscriptions"},
        "requests": [
            {"body": {"data": world.subscription(1)}},
            {"body": {"data": world.subscription(2)}},
            {"method": "GET"},
        ],
    });
    let (_, body) = batch(&world, &body).await;
    assert_eq!(statuses(&body), [201, 201, 200]);
    assert_eq!(body["responses"][2]["body"]["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn one_that_fails_costs_the_others_nothing() {
    let world = World::start().await;
    let requests = json!([
        {"method": "POST", "path": "/subscriptions", "body": {"data": {}}},
        {"method": "POST", "path": "/subscriptions"},
        {"method": "PATCH", "path": "/vapid"},
        {"method": "TRACE", "path": "/"},
        {"path": "/unknown"},
        {"path": "//example.org/x"},
        {"path": "/subscriptions/%ff"},
        {"path": "/subscriptions", "headers": {"If-Match": "x"}},
        {"method": "POST", "path": "/subscriptions", "headers": {"Content-Type": "text/plain"}, "body": {"data": {}}},
        {"path": "/subscriptions", "headers": {"Content-Length": "7", "Transfer-Encoding": "chunked"}},
    ]);
    let (status, body) = batch(&world, &json!({"requests": requests})).await;
    assert_eq!((status, statuses(&body)), (200, vec![400, 400, 405, 405, 404, 404, 400, 400, 415, 200]));
}

#[tokio::test]
async fn what_is_no_batch_is_refused_before_anything_is_done() {
    let world = World::start().await;
    let store = json!({"method": "POST", "path": "/subscriptions", "body": {"data": world.subscription(1)}});
    let with = |request: Value| json!({"requests": [store, request]});
    for (body, message) in [
        (json!({}), "requests in body: Required"),
        (json!({"requests": "x"}), "requests in body: Must be a list"),
        (json!({"requests": vec![&store; 26]}), "Number of requests is limited to 25"),
        (
            with(json!({"path": "/batch"})),
            "requests in body: Recursive call on /batch endpoint is forbidden.",
        ),
        (
            with(json!({"path": "/v0/batch/"})),
            "requests in body: Recursive call on /batch endpoint is forbidden.",
        ),
        (with(json!({})), "requests.1.path in body: Required"),
        (
            with(json!({"path": "/", "headers": {"Authorization": 7}})),
            "requests.1.headers in body: Contains non string value",
        ),
        (with(json!({"path": "/", "body": []})), "requests.1.body in body: Must be a mapping"),
    ] {
        let (status, told) = batch(&world, &body).await;
        assert_eq!((status, &told["errno"], &told["message"]), (400, &json!(107), &json!(message)));
    }
    let (status, told) = read(world.by(ADA, Method::POST, "/v0/batch").body("[").send().await.unwrap()).await;
    assert_eq!((status, &told["errno"]), (400, &json!(107)));
    let (_, list) = read(world.by(ADA, Method::GET, "/v0/subscriptions").send().await.unwrap()).await;
    assert_eq!(list, json!({"data": []}));
    assert_eq!(batch(&world, &json!({"requests": []})).await, (200, json!({"responses": []})));
    assert_eq!(
        statuses(&batch(&world, &json!({"requests": vec![json!({"path": "/"}); 25]})).await.1).len(),
        25
    );
}

//! Subscriptions one by one: stored, read, changed, replaced and removed by their owner alone.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use webpush_channels_server::Service;
use world::{World, read};

const ADA: &str = "ada:secret";
const BOB: &str = "bob:secret";

/// What a browser sends, and its id.
fn browser(world: &World, seed: u64) -> (Value, String) {
    let subscription = world.subscription(seed);
    let mut json = serde_json::to_value(&subscription).unwrap();
    json.as_object_mut().unwrap().remove("expirationTime");
    (json, subscription.id().to_string())
}

fn path(id: &str) -> String {
    format!("/v0/subscriptions/{id}")
}

async fn post(world: &World, pair: &str, data: &Value) -> (u16, Value) {
    let request = world.by(pair, Method::POST, "/v0/subscriptions").json(&json!({"data": data}));
    read(request.send().await.unwrap()).await
}

/// Status, body and `ETag`.
async fn send(request: RequestBuilder) -> (u16, Value, String) {
    let response = request.send().await.unwrap();
    let etag = response.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
    let (status, body) = read(response).await;
    (status, body, etag.unwrap_or_default())
}

#[tokio::test]
async fn a_subscription_is_stored_under_the_hash_of_its_endpoint() {
    let world = World::start().await;
    let (data, id) = browser(&world, 1);
    let request = world.by(ADA, Method::POST, "/v0/subscriptions").json(&json!({"data": data}));
    let response = request.send().await.unwrap();
    let headers = response.headers().clone();
    let (status, body) = read(response).await;
    assert_eq!(status, 201);
    let record = &body["data"];
    assert_eq!((&record["endpoint"], &record["keys"]), (&data["endpoint"], &data["keys"]));
    assert_eq!(record["id"], id);
    assert_eq!(record.as_object().unwrap().len(), 4);
    assert_eq!(headers["etag"], format!("\"{}\"", record["last_modified"].as_u64().unwrap()));
    assert!(headers["last-modified"].to_str().unwrap().ends_with("GMT"));

    let (status, read) = read(world.by(ADA, Method::GET, &path(&id)).send().await.unwrap()).await;
    assert_eq!((status, &read["data"]), (200, record));
}

#[tokio::test]
async fn what_a_browser_adds_is_kept_or_dropped() {
    let world = World::start().await;
    let (mut data, _) = browser(&world, 1);
    data["expirationTime"] = json!(4_102_444_800_000_u64);
    data["options"] = json!({"userVisibleOnly": true});
    let (status, body) = post(&world, ADA, &data).await;
    assert_eq!((status, &body["data"]["expirationTime"]), (201, &json!(4_102_444_800_000_u64)));
    assert_eq!(body["data"].get("options"), None);
    data["expirationTime"] = json!(u64::MAX);
    assert_eq!(post(&world, ADA, &data).await.0, 201, "a time that no clock reaches");
    data["expirationTime"] = Value::Null;
    let (status, body) = post(&world, ADA, &data).await;
    assert_eq!((status, body["data"].get("expirationTime")), (201, None));
}

#[tokio::test]
async fn posting_again_stores_again_unless_the_body_has_the_id() {
    let world = World::start().await;
    let (mut data, id) = browser(&world, 1);
    let (other, _) = browser(&world, 2);
    assert_eq!(post(&world, ADA, &data).await.0, 201);
    let keys = std::mem::replace(&mut data["keys"], other["keys"].clone());
    let (status, body) = post(&world, ADA, &data).await;
    assert_eq!((status, &body["data"]["keys"]), (201, &other["keys"]));

    data["keys"] = keys;
    data["id"] = json!(id);
    let (status, body) = post(&world, ADA, &data).await;
    assert_eq!((status, &body["data"]["keys"]), (200, &other["keys"]), "the stored one");

    data["id"] = json!("nope");
    let (status, body) = post(&world, ADA, &data).await;
    let message = format!("data in body: Invalid ID: 'nope' found while it should be '{id}'");
    assert_eq!((status, &body["errno"], &body["message"]), (400, &json!(107), &json!(message)));
    for wrong in [json!("no id"), json!(7), json!(null)] {
        data["id"] = wrong;
        let (status, body) = post(&world, ADA, &data).await;
        assert_eq!((status, &body["message"]), (400, &json!("path: Invalid record id")));
    }
}

#[tokio::test]
async fn a_wrong_subscription_is_refused_and_not_repeated() {
    let world = World::start().await;
    let (data, _) = browser(&world, 1);
    let with = |name: &str, value: Value| {
        let mut data = data.clone();
        data[name] = value;
        data
    };
    let keys = |name: &str, value: &str| {
        with("keys", {
            let mut keys = data["keys"].clone();
            keys[name] = json!(value);
            keys
        })
    };
    let off_curve = format!("BA{}", "A".repeat(85));
    for (data, message) in [
        (json!({}), "data.endpoint in body: Required"),
        (with("keys", Value::Null), "data.keys in body: Required"),
        (with("keys", json!("secret")), "data.keys in body: Must be a mapping"),
        (with("keys", json!({"auth": "c2VjcmV0"})), "data.keys.auth in body: keys.auth must have 16 octets"),
        (keys("p256dh", ""), "data.keys.p256dh in body: Required"),
        (keys("p256dh", "secret"), "data.keys.p256dh in body: keys.p256dh"),
        (keys("p256dh", &off_curve), "data.keys.p256dh in body: keys.p256dh is not a point on P-256"),
        (with("endpoint", json!("secret")), "data.endpoint in body: Must be a URL"),
        (with("endpoint", json!(["secret"])), "data.endpoint in body: Must be a URL"),
        (
            with("endpoint", json!("http://10.0.0.1/secret")),
            "data.endpoint in body: the endpoint is not on this",
        ),
        (with("expirationTime", json!("secret")), "data.expirationTime in body: Must be null or a number"),
    ] {
        let (status, body) = post(&world, ADA, &data).await;
        let told = body["message"].as_str().unwrap();
        assert!(status == 400 && told.starts_with(message), "{status} {body}");
        assert!(body["errno"] == 107 && body["details"][0]["location"] == "body", "{body}");
        assert!(!body.to_string().contains("secret") && !body.to_string().contains("c2VjcmV0"), "{body}");
    }
    let request = world.by(ADA, Method::POST, "/v0/subscriptions").json(&data);
    let (status, body) = read(request.send().await.unwrap()).await;
    assert_eq!(status, 400);
    assert!(
        body["message"].as_str().unwrap().starts_with("Unrecognized keys in mapping: \"{'endpoint': '...'")
    );
    let (status, body) = read(world.by(ADA, Method::POST, "/v0/subscriptions").send().await.unwrap()).await;
    assert_eq!((status, &body["message"]), (400, &json!("data in body: Required")));
}

#[tokio::test]
async fn only_public_push_services_are_taken_by_default() {
    let mut world = World::start().await;
    let mut settings = world::settings(&world.directory, &[]);
    settings.sending.allow_loopback_endpoints = false;
    world.service = Service::start(settings).await.unwrap();
    let (data, _) = browser(&world, 1);
    let (status, body) = post(&world, ADA, &data).await;
    assert_eq!((status, &body["errno"]), (400, &json!(107)));
    assert_eq!(body["message"], "data.endpoint in body: the endpoint is not https");
}

#[tokio::test]
async fn put_creates_and_replaces_under_the_endpoints_id_only() {
    let world = World::start().await;
    let (data, id) = browser(&world, 1);
    let (other, other_id) = browser(&world, 2);
    let put = |id: &str, data: &Value| world.by(ADA, Method::PUT, &path(id)).json(&json!({"data": data}));
    let (status, _, _) = send(put(&id, &data).header("if-match", "\"1\"")).await;
    assert_eq!(status, 412, "it is not there");
    let (status, created, etag) = send(put(&id, &data).header("if-none-match", "*")).await;
    assert_eq!((status, &created["data"]["id"]), (201, &json!(id)));
    let (status, refused, _) = send(put(&id, &data).header("if-none-match", "*")).await;
    assert_eq!(
        (status, &refused["errno"], &refused["details"]["existing"]),
        (412, &json!(114), &created["data"])
    );

    let mut changed = data.clone();
    changed["keys"] = other["keys"].clone();
    let (status, replaced, new_etag) = send(put(&id, &changed).header("if-match", &etag)).await;
    assert_eq!((status, &replaced["data"]["keys"]), (200, &other["keys"]));
    assert_ne!(new_etag, etag, "also within one second");
    let (status, refused, told) = send(put(&id, &data).header("if-match", &etag)).await;
    assert_eq!((status, told), (412, new_etag));
    assert_eq!(refused["details"]["existing"]["keys"], other["keys"]);

    let mut wrong = other.clone();
    wrong["id"] = json!(other_id);
    for (id, data, message) in [
        ("abc", &data, format!("data in body: Invalid ID: 'abc' found while it should be '{id}'")),
        (&id, &other, format!("data in body: Invalid ID: '{id}' found while it should be '{other_id}'")),
        (&id, &wrong, "Record id does not match existing record".to_owned()),
        ("-abc", &data, "path: Invalid record id".to_owned()),
    ] {
        let (status, body, _) = send(put(id, data)).await;
        assert_eq!((status, &body["message"]), (400, &json!(message)));
    }
}

#[tokio::test]
async fn two_states_of_one_second_never_look_like_one() {
    let world = World::start().await;
    let (mut data, id) = browser(&world, 1);
    // Keys that `last_modified` cannot tell apart within a second: the 500 values that it has for them soon repeat.
    let mut seen = BTreeMap::new();
    let twins = (0_u64..).find_map(|n| {
        data["keys"]["auth"] = world.subscription(n).keys().auth().to_base64url().into();
        let digest = Sha256::digest(data.to_string());
        let value = u64::from_be_bytes(digest[..8].try_into().unwrap()) % 500;
        seen.insert(value, data.clone()).map(|twin| (twin, data.clone()))
    });
    let (one, other) = twins.unwrap();
    let put = |data: &Value| send(world.by(ADA, Method::PUT, &path(&id)).json(&json!({"data": data})));
    let (_, _, etag) = put(&one).await;
    let (_, body, new_etag) = put(&other).await;
    assert_eq!(body["data"]["keys"], other["keys"]);
    assert_ne!(new_etag, etag);
    let get = world.by(ADA, Method::GET, &path(&id)).header("if-none-match", etag);
    assert_eq!(send(get).await.0, 200);
}

#[tokio::test]
async fn a_reader_who_has_it_is_told_so() {
    let world = World::start().await;
    let (data, id) = browser(&world, 1);
    post(&world, ADA, &data).await;
    let get = || world.by(ADA, Method::GET, &path(&id));
    let response = get().send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-cache, no-store");
    let etag = response.headers()["etag"].clone();
    for (header, value, expected) in [
        ("if-none-match", etag.to_str().unwrap(), 304),
        ("if-none-match", "\"1\"", 200),
        ("if-none-match", "*", 412),
        ("if-match", etag.to_str().unwrap(), 200),
        ("if-match", "\"99999999999999999999\"", 412),
        ("if-match", "*", 200),
        ("if-match", "1", 400),
        ("if-none-match", "\"x\"", 400),
    ] {
        let (status, body, told) = send(get().header(header, value)).await;
        assert_eq!(status, expected, "{header}: {value}");
        assert!(status == 400 || told.as_bytes() == etag.as_bytes());
        assert!(
            status != 400 || body["message"].as_str().unwrap().ends_with("between double quotes."),
            "{body}"
        );
    }
    let (_, body, _) =
        send(world.by(ADA, Method::GET, &format!("{}?_fields=endpoint&other=1", path(&id)))).await;
    assert_eq!(body["data"].as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn patch_changes_some_members() {
    let world = World::start().await;
    let (mut data, id) = browser(&world, 1);
    let (other, _) = browser(&world, 2);
    data["expirationTime"] = json!(4_102_444_800_000_u64);
    post(&world, ADA, &data).await;
    let patch = |body: &Value| world.by(ADA, Method::PATCH, &path(&id)).json(&json!({"data": body}));

    let (status, body, _) =
        send(patch(&json!({"keys": other["keys"]})).header("response-behavior", "light")).await;
    assert_eq!((status, &body["data"]), (200, &json!({"keys": other["keys"]})));
    let (status, body, etag) = send(patch(&json!({"expirationTime": null}))).await;
    assert_eq!((status, body["data"].get("expirationTime")), (200, None));
    assert_eq!((&body["data"]["endpoint"], &body["data"]["keys"]), (&data["endpoint"], &other["keys"]));
    let (status, body, same) = send(patch(&json!({"unknown": 1})).header("response-behavior", "diff")).await;
    assert_eq!((status, &body["data"], same), (200, &json!({}), etag), "nothing changed");

    let half = json!({"keys": {"auth": data["keys"]["auth"]}});
    let (status, body, _) = send(patch(&half)).await;
    assert_eq!((status, &body["message"]), (400, &json!("keys.p256dh in body: Required")));
    let request = world.by(ADA, Method::PATCH, &path(&id)).body(json!({"data": half}).to_string());
    let (status, body, _) = send(request.header("content-type", "application/merge-patch+json")).await;
    let keys = json!({"auth": data["keys"]["auth"], "p256dh": other["keys"]["p256dh"]});
    assert_eq!((status, &body["data"]["keys"]), (200, &keys));

    for (body, status) in [
        (json!({"endpoint": other["endpoint"]}), 400),
        (json!({"id": "abc"}), 400),
        (json!({"endpoint": null}), 400),
        (json!({"id": id}), 200),
    ] {
        assert_eq!(send(patch(&body)).await.0, status, "{body}");
    }
    assert_eq!(send(patch(&json!({})).header("response-behavior", "odd")).await.0, 400);
    assert_eq!(send(patch(&json!({})).header("if-match", "\"1\"")).await.0, 412);
    assert_eq!(send(world.by(ADA, Method::PATCH, &path("abc")).json(&json!({"data": {}}))).await.0, 404);
    assert_eq!(send(world.by(ADA, Method::PATCH, &path(&id)).json(&json!({}))).await.0, 400);
}

#[tokio::test]
async fn a_deletion_leaves_a_tombstone_in_its_answer_only() {
    let world = World::start().await;
    let (data, id) = browser(&world, 1);
    let (_, stored) = post(&world, ADA, &data).await;
    let delete = || world.by(ADA, Method::DELETE, &path(&id));
    assert_eq!(send(delete().header("if-match", "\"1\"")).await.0, 412);
    let (status, body, etag) = send(delete()).await;
    let last_modified = body["data"]["last_modified"].as_u64().unwrap();
    assert_eq!(
        (status, &body["data"]),
        (200, &json!({"id": id, "last_modified": last_modified, "deleted": true}))
    );
    assert!(last_modified > stored["data"]["last_modified"].as_u64().unwrap());
    assert_eq!(etag, format!("\"{last_modified}\""));
    let (status, body, _) = send(delete()).await;
    let details = json!({"id": id, "resource_name": "subscription"});
    assert_eq!((status, &body["errno"], &body["details"]), (404, &json!(110), &details));
    assert_eq!(body.get("message"), None);

    post(&world, ADA, &data).await;
    let later = world.by(ADA, Method::DELETE, &format!("{}?last_modified=99999999999999999", path(&id)));
    let (status, body, _) = send(later).await;
    assert_eq!((status, &body["data"]["last_modified"]), (200, &json!(99_999_999_999_999_999_u64)));
}

#[tokio::test]
async fn nobody_sees_or_changes_what_is_anothers() {
    let world = World::start().await;
    let (data, id) = browser(&world, 1);
    let (other, _) = browser(&world, 2);
    post(&world, ADA, &data).await;
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let request =
            world.by(BOB, method.clone(), &path(&id)).json(&json!({"data": {"keys": other["keys"]}}));
        let (status, body, _) = send(request).await;
        assert_eq!((status, &body["errno"]), (404, &json!(110)), "{method}");
        let (status, body, _) = send(world.request(method.clone(), &path(&id))).await;
        assert_eq!((status, &body["errno"]), (401, &json!(104)), "{method}");
    }
    let request =
        world.by(BOB, Method::POST, &format!("{}/replace", path(&id))).json(&json!({"data": other}));
    assert_eq!(send(request).await.0, 201, "a subscription of Bob's own");
    let (status, body, _) = send(world.by(ADA, Method::GET, &path(&id))).await;
    assert_eq!((status, &body["data"]["keys"]), (200, &data["keys"]));
}

#[tokio::test]
async fn an_endpoint_belongs_to_who_stored_it_last() {
    let world = World::start().await;
    let (data, id) = browser(&world, 1);
    post(&world, ADA, &data).await;
    assert_eq!(post(&world, BOB, &data).await.0, 201);
    assert_eq!(send(world.by(BOB, Method::GET, &path(&id))).await.0, 200);
    assert_eq!(send(world.by(ADA, Method::GET, &path(&id))).await.0, 404);
}

#[tokio::test]
async fn a_replacement_takes_the_place_of_the_old_one() {
    let world = World::start().await;
    let (old, old_id) = browser(&world, 1);
    let (new, new_id) = browser(&world, 2);
    let (newer, newer_id) = browser(&world, 3);
    post(&world, ADA, &old).await;
    let replace = |id: &str, data: &Value| {
        let url = format!("{}/replace", path(id));
        send(world.by(ADA, Method::POST, &url).json(&json!({"data": data})))
    };
    let (status, body, etag) = replace(&old_id, &new).await;
    assert_eq!((status, &body["data"]["id"]), (200, &json!(new_id)));
    assert_eq!(etag, format!("\"{}\"", body["data"]["last_modified"]));
    assert_eq!(send(world.by(ADA, Method::GET, &path(&old_id))).await.0, 404);
    assert_eq!(replace(&old_id, &new).await.0, 200, "repeated");
    let (status, body, _) = replace("unknown", &newer).await;
    assert_eq!((status, &body["data"]["id"]), (201, &json!(newer_id)));
    assert_eq!(replace("unknown", &newer).await.0, 200, "it is there");
    let (newest, _) = browser(&world, 4);
    assert_eq!(replace(&newer_id, &newest).await.0, 200);
    let (status, body, _) = replace(&newer_id, &newer).await;
    assert_eq!((status, &body["data"]["id"]), (201, &json!(newer_id)), "its own id is none to replace");
    let (fresh, _) = browser(&world, 5);
    assert_eq!(replace(&new_id, &fresh).await.0, 200);
    let (status, body, _) = replace(&old_id, &new).await;
    assert_eq!((status, &body["errno"]), (412, &json!(114)), "it came late");
    let mut wrong = new.clone();
    wrong["endpoint"] = json!("http://10.0.0.1/x");
    assert_eq!(replace(&new_id, &wrong).await.0, 400);
    assert_eq!(replace("-", &new).await.0, 400);
    let (_, list) = read(world.by(ADA, Method::GET, "/v0/subscriptions").send().await.unwrap()).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_user_has_so_many_subscriptions_and_not_more() {
    let world = World::with(&["--subscriptions-per-user", "2"]).await;
    let (first, first_id) = browser(&world, 1);
    post(&world, ADA, &first).await;
    post(&world, ADA, &browser(&world, 2).0).await;
    let (third, third_id) = browser(&world, 3);
    let (status, body) = post(&world, ADA, &third).await;
    assert_eq!((status, &body["errno"]), (507, &json!(121)));
    let put = world.by(ADA, Method::PUT, &path(&third_id)).json(&json!({"data": third}));
    assert_eq!(send(put).await.0, 507);
    assert_eq!(post(&world, ADA, &first).await.0, 201, "one that is there");
    let replace = world.by(ADA, Method::POST, &format!("{}/replace", path(&first_id)));
    assert_eq!(send(replace.json(&json!({"data": third}))).await.0, 200);
    assert_eq!(post(&world, BOB, &browser(&world, 4).0).await.0, 201);
}

#[tokio::test]
async fn the_limit_holds_also_for_many_at_once() {
    let world = World::with(&["--subscriptions-per-user", "3"]).await;
    let bodies: Vec<_> = (0..8).map(|seed| browser(&world, seed).0).collect();
    let mut statuses =
        futures_util::future::join_all(bodies.iter().map(|data| post(&world, ADA, data))).await;
    statuses.sort_by_key(|(status, _)| *status);
    let statuses: Vec<_> = statuses.into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, [201, 201, 201, 507, 507, 507, 507, 507]);
}

#[tokio::test]
async fn the_key_to_subscribe_with_is_public() {
    let world = World::start().await;
    let (status, body) = read(world.request(Method::GET, "/v0/vapid").send().await.unwrap()).await;
    let key = body["data"]["applicationServerKey"].as_str().unwrap();
    assert_eq!((status, key.len()), (200, 87));
}

//! Members with devices, publications, and what becomes of them.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use webpush_channels::Subscription;
use webpush_channels::store::{NewEntry, SqliteStore, SubscriptionStore as _};

use crate::world::{PUBLISHER, World, read, user};

/// Gives users devices, through the service's own database.
pub async fn own(world: &World, devices: &[(&str, &Subscription)]) {
    let store = SqliteStore::open(&world.directory.path().join("push.sqlite")).await.unwrap();
    let entries: Vec<_> =
        devices.iter().map(|(pair, device)| NewEntry::new(user(pair), (*device).clone())).collect();
    store.put(&entries).await.unwrap();
}

/// Joins a channel.
pub async fn join(world: &World, pair: &str, channel: &str) {
    let path = format!("/v0/channels/{channel}/registration");
    assert_eq!(world.by(pair, Method::PUT, &path).send().await.unwrap().status(), 202);
}

/// A new device of a user who is a member of `channel` then.
pub async fn member(world: &World, pair: &str, channel: &str, seed: u64) -> Subscription {
    let device = world.subscription(seed);
    own(world, &[(pair, &device)]).await;
    join(world, pair, channel).await;
    device
}

/// A publication of the world's publisher, to be completed.
pub fn post(world: &World, channel: &str) -> RequestBuilder {
    world.by(PUBLISHER, Method::POST, &format!("/v0/channels/{channel}"))
}

/// Sends a publication that must be accepted, and says the path of its broadcast.
pub async fn accepted(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    let location = response.headers().get("location").map(|path| path.to_str().unwrap().to_owned());
    let (status, body) = read(response).await;
    assert_eq!((status, body), (202, serde_json::json!({"code": 202, "message": "Accepted"})));
    let location = location.unwrap();
    location[location.find("/v0/").unwrap()..].to_owned()
}

/// The events of a broadcast until its stream closes: names and data.
pub async fn events(world: &World, path: &str) -> Vec<(String, Value)> {
    let response = world.by(PUBLISHER, Method::GET, &format!("{path}/events")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    text.split_terminator("\n\n").filter_map(event).collect()
}

/// One event; a comment is none.
pub fn event(text: &str) -> Option<(String, Value)> {
    let rest = text.strip_prefix("event: ")?;
    let (name, data) = rest.split_once("\ndata: ").unwrap();
    Some((name.to_owned(), serde_json::from_str(data).unwrap()))
}

/// Waits for the end of a broadcast, and tells how it ended.
pub async fn end(world: &World, path: &str) -> Value {
    let (name, data) = events(world, path).await.pop().unwrap();
    assert_eq!(name, "end");
    data
}

/// What a device showed: each payload as text, or nothing where there was none.
pub fn payloads(world: &World, device: &Subscription) -> Vec<Option<String>> {
    let received = world.push.received(device);
    received
        .iter()
        .map(|message| message.payload().unwrap().map(|text| String::from_utf8(text.to_vec()).unwrap()))
        .collect()
}

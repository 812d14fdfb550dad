//! The list of one's subscriptions: filters, order, pages, states.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "support/world.rs"]
mod world;

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use world::{World, read};

const ADA: &str = "ada:secret";
const BOB: &str = "bob:secret";

/// A service where Ada has so many subscriptions, which are returned, and Bob has one.
async fn world(count: u64) -> (World, Vec<Value>) {
    let world = World::start().await;
    let mut records = Vec::new();
    for (pair, seed) in (0..count).map(|seed| (ADA, seed)).chain([(BOB, count)]) {
        records.push(store(&world, pair, seed).await);
    }
    records.pop();
    (world, records)
}

async fn store(world: &World, pair: &str, seed: u64) -> Value {
    let body = json!({"data": world.subscription(seed)});
    let request = world.by(pair, Method::POST, "/v0/subscriptions").json(&body);
    let (status, body) = read(request.send().await.unwrap()).await;
    assert_eq!(status, 201);
    body["data"].clone()
}

async fn call(world: &World, method: Method, query: &str) -> (u16, HeaderMap, Value) {
    let path = format!("/v0/subscriptions{query}");
    let response = world.by(ADA, method, &path).send().await.unwrap();
    let headers = response.headers().clone();
    let (status, body) = read(response).await;
    (status, headers, body)
}

async fn list(world: &World, query: &str) -> Vec<Value> {
    let (status, headers, body) = call(world, Method::GET, query).await;
    assert_eq!(status, 200, "{query}: {body}");
    assert!(headers.contains_key("total-records"), "{query}");
    body["data"].as_array().unwrap().clone()
}

fn ids(records: &[Value]) -> BTreeSet<&str> {
    records.iter().map(|record| record["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_has_ones_own_newest_first() {
    let (world, records) = world(5).await;
    let (status, headers, body) = call(&world, Method::GET, "").await;
    let listed = body["data"].as_array().unwrap();
    assert_eq!((status, ids(listed)), (200, ids(&records)));
    assert!(listed.is_sorted_by_key(|record| std::cmp::Reverse(record["last_modified"].as_u64().unwrap())));
    assert_eq!(headers["total-records"], "5");
    assert_eq!(headers["cache-control"], "no-cache, no-store");
    assert!(headers.contains_key("etag") && headers.contains_key("last-modified"));
    assert!(!headers.contains_key("next-page"));
    let response = world.by(ADA, Method::HEAD, "/v0/subscriptions").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["total-records"]),
        (200, &"5".parse().unwrap())
    );
    assert_eq!(response.headers()["etag"], headers["etag"]);
}

#[tokio::test]
async fn nobody_has_an_empty_list_and_no_one_has_none() {
    let world = World::start().await;
    let (status, headers, body) = call(&world, Method::GET, "").await;
    assert_eq!((status, body, &headers["total-records"]), (200, json!({"data": []}), &"0".parse().unwrap()));
    let (status, _, body) = call(&world, Method::DELETE, "").await;
    assert_eq!((status, body), (200, json!({"data": []})));
    let (status, body) = read(world.request(Method::GET, "/v0/subscriptions").send().await.unwrap()).await;
    assert_eq!((status, &body["errno"]), (401, &json!(104)));
}

#[tokio::test]
async fn filters_choose() {
    let (world, records) = world(4).await;
    let first = records[0]["id"].as_str().unwrap();
    let second = records[1]["id"].as_str().unwrap();
    let endpoint = records[2]["endpoint"].as_str().unwrap();
    let time = records[3]["last_modified"].as_u64().unwrap();
    let newer =
        |than: u64| records.iter().filter(|record| record["last_modified"].as_u64().unwrap() > than).count();
    for (query, count) in [
        (format!("?id={first}"), 1),
        (format!("?not_id={first}"), 3),
        (format!("?in_id={first},{second}"), 2),
        (format!("?in_id={first}&in_id={second}"), 0),
        (format!("?exclude_id={first},{second}"), 2),
        (format!("?endpoint={}", endpoint.replace(':', "%3A")), 1),
        ("?endpoint=https://push.example.net/".to_owned(), 0),
        ("?like_endpoint=HTTP".to_owned(), 4),
        (format!("?_since={time}"), newer(time)),
        (format!("?_since=%22{time}%22"), newer(time)),
        (format!("?_before={time}"), 4 - newer(time - 1)),
        (format!("?min_last_modified={time}"), newer(time - 1)),
        (format!("?max_last_modified={time}"), 4 - newer(time)),
        ("?last_modified=1".to_owned(), 0),
        ("?_since=0&_before=9999999999999".to_owned(), 4),
        ("?_unknown=1".to_owned(), 4),
    ] {
        assert_eq!(list(&world, &query).await.len(), count, "{query}");
    }
    let (_, headers, _) = call(&world, Method::GET, &format!("?id={first}")).await;
    assert_eq!(headers["total-records"], "1");
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_in_the_words_of_the_original() {
    let (world, _) = world(1).await;
    for (query, message) in [
        ("_limit=x", "_limit in querystring: \"x\" is not a number"),
        ("_limit=-1", "_limit in querystring: -1 is less than minimum value 0"),
        ("_since=abc", "_since in querystring: \"abc\" is not a number"),
        ("_sort=-other", "querystring: Unknown sort field 'other'"),
        ("_token=abc", "querystring: _token has invalid content"),
        ("_fields=endpoint,other", "Invalid _fields parameter in body: Fields other do not exist"),
        ("other=1", "Unknown filter field 'other'"),
        ("min_last_modified=x", "Invalid value for min_last_modified"),
        ("in_id=0,1", "Invalid value for in_id"),
        ("id=%ff", "querystring: Invalid UTF-8"),
    ] {
        for method in [Method::GET, Method::DELETE] {
            let (status, _, body) = call(&world, method, &format!("?{query}")).await;
            assert_eq!(
                (status, &body["errno"], &body["message"]),
                (400, &json!(107), &json!(message)),
                "{query}"
            );
        }
    }
    assert_eq!(list(&world, "").await.len(), 1, "nothing is gone");
}

#[tokio::test]
async fn pages_have_everything_once_in_any_order() {
    let (world, records) = world(7).await;
    for sort in ["", "_sort=id", "_sort=-endpoint", "_sort=last_modified,-id", "_sort=keys.auth"] {
        let whole = list(&world, &format!("?{sort}")).await;
        assert_eq!(ids(&whole), ids(&records), "{sort}");
        let (mut query, mut read) = (format!("?_limit=3&{sort}"), Vec::new());
        for size in [3, 3, 1] {
            let (_, headers, body) = call(&world, Method::GET, &query).await;
            assert_eq!(
                (body["data"].as_array().unwrap().len(), &headers["total-records"]),
                (size, &"7".parse().unwrap())
            );
            read.extend(body["data"].as_array().unwrap().iter().cloned());
            let Some(next) = headers.get("next-page") else { break };
            let next = next.to_str().unwrap();
            assert!(!next.contains("127.0.0.1%3A"), "an endpoint in a URL: {next}");
            let base = format!("http://{}/v0/subscriptions", world.service.address());
            query = next.strip_prefix(&base).unwrap().to_owned();
        }
        assert_eq!(read, whole, "{sort}");
    }
    let (_, headers, _) = call(&world, Method::GET, "?_limit=7").await;
    assert!(!headers.contains_key("next-page"));
}

#[tokio::test]
async fn a_page_is_right_also_when_the_list_changed_before_it() {
    for sort in ["_sort=id", "_sort=endpoint", "_sort=-last_modified"] {
        for removed in [0, 2] {
            let (world, _) = world(6).await;
            let whole = list(&world, &format!("?{sort}")).await;
            let (_, headers, _) = call(&world, Method::GET, &format!("?_limit=3&{sort}")).await;
            let path = format!("/v0/subscriptions/{}", whole[removed]["id"].as_str().unwrap());
            assert_eq!(return_status(world.by(ADA, Method::DELETE, &path)).await, 200);
            assert_eq!(list(&world, &next_page(&headers)).await, whole[3..], "{sort} without {removed}");
        }
    }
}

fn next_page(headers: &HeaderMap) -> String {
    headers["next-page"].to_str().unwrap().split_once("subscriptions").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_list_can_be_deleted_by_pages() {
    for sort in ["_sort=id", "_sort=endpoint", ""] {
        let (world, _) = world(5).await;
        let whole = list(&world, &format!("?{sort}")).await;
        let (_, headers, _) = call(&world, Method::GET, &format!("?_limit=1&{sort}")).await;
        let (_, headers, body) =
            call(&world, Method::DELETE, &next_page(&headers).replace("limit=1", "limit=2")).await;
        assert_eq!(body["data"].as_array().unwrap().len(), 2);
        assert_eq!(list(&world, &next_page(&headers)).await, whole[3..], "{sort}");
        call(&world, Method::DELETE, &next_page(&headers)).await;
        assert_eq!(list(&world, "").await, whole[..1], "{sort}");
    }
}

#[tokio::test]
async fn a_list_tells_its_readers_when_it_is_another() {
    let (world, records) = world(3).await;
    let get = |header: &'static str, etag: String| {
        let request = world.by(ADA, Method::GET, "/v0/subscriptions").header(header, etag);
        async move {
            let response = request.send().await.unwrap();
            let told = response.headers()["etag"].to_str().unwrap().to_owned();
            (response.status().as_u16(), told)
        }
    };
    let mut etag = get("accept", "*/*".to_owned()).await.1;
    assert_eq!(list(&world, &format!("?_since={}", etag.replace('"', "%22"))).await.len(), 0);
    // A new one, one with other keys, one less.
    for change in 0..3 {
        assert_eq!(get("if-none-match", etag.clone()).await, (304, etag.clone()));
        assert_eq!(get("if-match", etag.clone()).await.0, 200);
        let path = format!("/v0/subscriptions/{}", records[0]["id"].as_str().unwrap());
        let status = match change {
            0 => {
                return_status(
                    world
                        .by(ADA, Method::POST, "/v0/subscriptions")
                        .json(&json!({"data": world.subscription(9)})),
                )
                .await
            }
            1 => {
                return_status(
                    world.by(ADA, Method::PATCH, &path).json(&json!({"data": {"keys": records[1]["keys"]}})),
                )
                .await
            }
            _ => return_status(world.by(ADA, Method::DELETE, &path)).await,
        };
        assert!(status == 200 || status == 201);
        let (status, new) = get("if-none-match", etag.clone()).await;
        assert!(status == 200 && new != etag, "change {change} is seen");
        assert_eq!(get("if-match", etag).await, (412, new.clone()));
        etag = new;
    }
    let refused = world.by(ADA, Method::DELETE, "/v0/subscriptions").header("if-match", "\"1\"");
    assert_eq!(return_status(refused).await, 412);
    assert_eq!(list(&world, "").await.len(), 3);
}

async fn return_status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn deleting_a_list_removes_what_it_has() {
    let (world, records) = world(5).await;
    let first = records[0]["id"].as_str().unwrap();
    let (status, headers, body) = call(&world, Method::DELETE, &format!("?id={first}")).await;
    let tombstone = &body["data"][0];
    assert_eq!((status, &tombstone["id"], &tombstone["deleted"]), (200, &json!(first), &json!(true)));
    assert_eq!(headers["total-records"], "1");
    assert!(tombstone["last_modified"].as_u64() > records[0]["last_modified"].as_u64());

    let (status, headers, body) = call(&world, Method::DELETE, "?_limit=3&_sort=id").await;
    assert_eq!(
        (status, body["data"].as_array().unwrap().len(), &headers["total-records"]),
        (200, 3, &"4".parse().unwrap())
    );
    let left = list(&world, "?_since=0").await;
    assert_eq!(left.len(), 1, "live ones only");
    let (_, _, body) = call(&world, Method::DELETE, &next_page(&headers)).await;
    assert_eq!(body["data"][0]["id"], left[0]["id"]);
    let (_, _, body) = call(&world, Method::DELETE, "").await;
    assert_eq!(body, json!({"data": []}));
    let bobs = read(world.by(BOB, Method::GET, "/v0/subscriptions").send().await.unwrap()).await;
    assert_eq!(bobs.1["data"].as_array().unwrap().len(), 1, "nobody else's");
}

#[tokio::test]
async fn some_fields_are_enough() {
    let (world, records) = world(1).await;
    let record = &records[0];
    let expected = json!([{"keys": {"auth": record["keys"]["auth"]}, "id": record["id"], "last_modified": record["last_modified"]}]);
    assert_eq!(json!(list(&world, "?_fields=keys.auth").await), expected);
}

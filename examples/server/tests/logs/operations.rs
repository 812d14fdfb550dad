//! Each operation of the API in each way that it is refused, in both versions of HTTP.

use std::collections::BTreeSet;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::{ADA, PUBLISHER};

/// A secret for each place of a request.
pub(super) const PLACES: [&str; 4] = [PATH, QUERY, HEADER, BODY];
const PATH: &str = "secret-in-a-path";
const QUERY: &str = "secret-in-a-query";
const HEADER: &str = "secret-in-a-header";
const BODY: &str = "secret-in-a-body";

/// Larger than the bodies that the service under test takes.
pub(super) const BODY_OCTETS: usize = 8 << 10;

/// What is wrong with a request besides where it goes.
type Spoil = fn(RequestBuilder) -> RequestBuilder;

const SPOILS: [Spoil; 8] = [
    |request| request,
    |request| request.json(&json!({"data": {"endpoint": BODY, "keys": {"auth": BODY, "p256dh": BODY}}})),
    |request| request.header("content-type", "application/json").body(format!("{{\"{BODY}\": {BODY}")),
    |request| request.json(&json!({"data": BODY.repeat(BODY_OCTETS / BODY.len() + 1)})),
    |request| request.header("content-type", "text/plain").body(BODY),
    |request| request.header("accept", format!("text/plain; title={HEADER}")),
    |request| request.header("if-match", format!("\"{HEADER}\"")).header("if-none-match", HEADER),
    |request| request.header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate"),
];

/// Who asks.
const CALLERS: [Spoil; 5] = [
    |request| request,
    |request| signed_in(request, ADA),
    |request| signed_in(request, PUBLISHER),
    |request| request.bearer_auth(format!("eyJhbGciOiJIUzI1NiJ9.{HEADER}.x")),
    |request| request.header("authorization", format!("Basic {HEADER}")),
];

fn signed_in(request: RequestBuilder, pair: &str) -> RequestBuilder {
    let (user, password) = pair.split_once(':').unwrap();
    request.basic_auth(user, Some(password))
}

/// Makes all these requests. Returns the statuses that were seen.
pub(super) async fn drive(base: &str) -> BTreeSet<u16> {
    let clients = [Client::new(), Client::builder().http2_prior_knowledge().build().unwrap()];
    let query = format!("?endpoint={QUERY}&_since={QUERY}&_token={QUERY}");
    let mut seen = BTreeSet::new();
    for (at, (method, path)) in operations(&clients[0], base).await.iter().enumerate() {
        for (spoiled, spoil) in SPOILS.iter().enumerate() {
            // Who asks matters where nothing else is wrong.
            let callers = if spoiled == 0 { &CALLERS[..] } else { &CALLERS[1..3] };
            for (called, caller) in callers.iter().enumerate() {
                // Over the whole, each way is taken in each version.
                let client = &clients[(at + spoiled + called) % 2];
                let query = if (at + called) % 3 == 0 { &*query } else { "" };
                let request = client.request(method.clone(), format!("{base}{path}{query}"));
                let request = request.header("cookie", HEADER).header("idempotency-key", HEADER);
                let request = spoil(caller(request.header("collapse-key", HEADER)));
                seen.insert(request.send().await.unwrap().status().as_u16());
            }
        }
    }
    seen
}

/// Methods and paths as the service describes them, one method too many for each path, and a path of nothing.
async fn operations(client: &Client, base: &str) -> Vec<(Method, String)> {
    let document = client.get(format!("{base}/v0/__api__")).send().await.unwrap().text().await.unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let prefix = if path == "/metrics" { "" } else { "/v0" };
        let path = format!("{prefix}{}", path.replace("{id}", PATH));
        let methods = ["get", "post", "put", "patch", "delete"].into_iter();
        let methods = methods.filter(|method| item.get(method).is_some()).map(str::to_uppercase);
        for method in methods.chain(["TRACE".to_owned()]) {
            operations.push((method.parse().unwrap(), path.clone()));
        }
    }
    assert!(operations.len() > 35, "{operations:?}");
    operations.push((Method::GET, format!("/v0/unknown/{PATH}")));
    operations
}

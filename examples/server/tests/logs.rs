//! What the service writes while it is used and abused: at no level a secret.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

#[path = "logs/connections.rs"]
mod connections;
#[path = "logs/operations.rs"]
mod operations;
#[path = "support/process.rs"]
mod process;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::time::Instant;
use webpush_channels::Subscription;
use webpush_channels::testing::{Answer, PushService, UserAgent};
use webpush_channels_server::auth::Basic;

const PUBLISHER: &str = "publisher:password-of-the-publisher";
const ADA: &str = "ada:password-of-ada";

/// The binary, with its log in a file.
#[derive(Debug)]
struct Server {
    process: process::Server,
    client: Client,
}

impl Server {
    async fn start(directory: &Path, flags: &[&str]) -> Self {
        let log = fs::File::create(directory.join("log")).unwrap();
        let publisher = Basic::new("secret-of-the-hmac").user_id(PUBLISHER);
        let mut command = process::command();
        command.args(["--listen", "127.0.0.1:0", "--allow-loopback-endpoints", "--log", "trace"]);
        command.arg("--data-dir").arg(directory.join("data")).args(["--publisher", publisher.as_str()]);
        command.args(flags).env("WEBPUSH_CHANNELS_USERID_HMAC_SECRET", "secret-of-the-hmac").stderr(log);
        Self { process: process::Server::of(command).await, client: Client::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.process.base))
    }

    async fn by(&self, pair: &str, method: Method, path: &str, body: &Value) -> Response {
        let (user, password) = pair.split_once(':').unwrap();
        let request = self.request(method, path).basic_auth(user, Some(password));
        let request = if body.is_null() { request } else { request.json(body) };
        request.send().await.unwrap()
    }

    /// Publishes, and waits for the end.
    async fn publish(&self, body: &Value) -> Value {
        let (user, password) = PUBLISHER.split_once(':').unwrap();
        let request =
            self.request(Method::POST, "/v0/channels/news").basic_auth(user, Some(password)).json(body);
        let request = request.header("collapse-key", "collapse-secret").header("ttl", "0");
        let published = request.header("idempotency-key", "idempotency-secret").send().await.unwrap();
        assert_eq!(published.status(), 202);
        let location = published.headers()["location"].to_str().unwrap();
        let path = location[location.find("/v0/").unwrap()..].to_owned();
        let events = self
            .by(PUBLISHER, Method::GET, &format!("{path}/events"), &Value::Null)
            .await
            .text()
            .await
            .unwrap();
        let (_, end) = events.split_once("event: end\ndata: ").unwrap();
        serde_json::from_str(end.trim()).unwrap()
    }
}

/// What nobody may read, by what it is.
fn secrets(directory: &Path, devices: &[Subscription]) -> HashMap<String, String> {
    let mut secrets: HashMap<_, _> = [
        ("payload", "payload-secret"),
        ("collapse key", "collapse-secret"),
        ("idempotency key", "idempotency-secret"),
        ("password", "password-of"),
        ("HMAC", "secret-of-the-hmac"),
        ("VAPID header", "vapid t="),
        ("JWT", "eyJ"),
        ("rejected key", "rejected-key-secret"),
        ("rejected endpoint", "rejected-endpoint-secret"),
        ("scheme", "Basic "),
        ("scheme of tokens", "Bearer "),
    ]
    .map(|(name, secret)| (name.to_owned(), secret.to_owned()))
    .into();
    for (at, pair) in [PUBLISHER, ADA].into_iter().enumerate() {
        secrets.insert(format!("credentials {at}"), STANDARD.encode(pair));
    }
    for (at, device) in devices.iter().enumerate() {
        let json = json!(device);
        let endpoint = json["endpoint"].as_str().unwrap();
        secrets.insert(format!("endpoint {at}"), endpoint.rsplit('/').next().unwrap().to_owned());
        for key in ["auth", "p256dh"] {
            secrets.insert(format!("{key} {at}"), json["keys"][key].as_str().unwrap().to_owned());
        }
    }
    let vapid = fs::read_to_string(directory.join("data/vapid.pem")).unwrap();
    secrets.insert("VAPID key".to_owned(), vapid.lines().nth(1).unwrap()[..40].to_owned());
    assert!(secrets.values().all(|secret| secret.len() >= 3));
    secrets
}

#[tokio::test]
async fn no_level_of_the_log_has_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bearer/p256.pub.pem");
    let server = Server::start(directory.path(), &["--jwt-key", key]).await;
    let push = PushService::start().await.unwrap();
    let devices: Vec<_> = (1..=4).map(|seed| push.subscribe(&UserAgent::seeded(seed))).collect();
    for device in &devices[..3] {
        assert_eq!(
            server.by(ADA, Method::POST, "/v0/subscriptions", &json!({"data": device})).await.status(),
            201
        );
    }
    assert_eq!(
        server.by(ADA, Method::PUT, "/v0/channels/news/registration", &Value::Null).await.status(),
        202
    );

    // Sent, pruned and failed.
    push.script(&devices[1], [Answer::gone_410()]);
    push.script(&devices[2], [Answer::server_error()]);
    let broadcast = server.publish(&json!({"data": {"text": "payload-secret"}})).await;
    assert_eq!(
        (&broadcast["counts"]["accepted"], &broadcast["pruned"]),
        (&json!(1), &json!(1)),
        "{broadcast}"
    );

    // Listed, changed, replaced, refused.
    let old = format!("/v0/subscriptions/{}", devices[0].id());
    for query in ["", "?_limit=1&_sort=endpoint", "?unknown=rejected-key-secret"] {
        server.by(ADA, Method::GET, &format!("/v0/subscriptions{query}"), &Value::Null).await;
    }
    let keys = json!({"auth": "rejected-key-secret", "p256dh": "rejected-key-secret"});
    for data in [
        json!({"endpoint": "https://10.0.0.1/rejected-endpoint-secret", "keys": keys}),
        json!({"endpoint": "rejected-endpoint-secret"}),
    ] {
        for body in [json!({"data": data}), data] {
            assert_eq!(server.by(ADA, Method::POST, "/v0/subscriptions", &body).await.status(), 400);
            assert_eq!(server.by(ADA, Method::PATCH, &old, &body).await.status(), 400);
        }
    }
    let replaced =
        server.by(ADA, Method::POST, &format!("{old}/replace"), &json!({"data": devices[3]})).await;
    assert_eq!(replaced.status(), 200);
    let batch = json!({"requests": [{"path": "/subscriptions"}, {"path": "/subscriptions", "method": "POST", "body": {"data": devices[0]}}]});
    assert_eq!(server.by(ADA, Method::POST, "/v0/batch", &batch).await.status(), 200);
    assert_eq!(
        server
            .by(ADA, Method::POST, "/v0/channels/news", &json!({"data": {"text": "payload-secret"}}))
            .await
            .status(),
        403
    );

    // Tokens, right and wrong.
    let signing = EncodingKey::from_ec_pem(include_bytes!("bearer/p256.pem")).unwrap();
    for exp in [0, get_current_timestamp() + 3600] {
        let token =
            encode(&Header::new(Algorithm::ES256), &json!({"sub": "ada", "exp": exp}), &signing).unwrap();
        server.request(Method::GET, "/v0/subscriptions").bearer_auth(token).send().await.unwrap();
    }
    server
        .request(Method::GET, "/v0/subscriptions")
        .bearer_auth("eyJub3QiOiJhIn0.token.x")
        .send()
        .await
        .unwrap();
    assert_eq!(server.by(ADA, Method::DELETE, "/v0/subscriptions", &Value::Null).await.status(), 200);

    // It is the log of all this, and of all levels.
    let words = [" TRACE ", " DEBUG ", " INFO ", "a bearer token was refused"];
    has_no_secret(directory.path(), &words, &secrets(directory.path(), &devices));
}

#[track_caller]
fn has_no_secret(directory: &Path, words: &[&str], secrets: &HashMap<String, String>) {
    let log = fs::read_to_string(directory.join("log")).unwrap();
    for word in words {
        assert!(log.contains(word), "{word}");
    }
    for (name, secret) in secrets {
        // The whole first: to look at each line takes long.
        let line = log.contains(secret).then(|| log.lines().find(|line| line.contains(secret)));
        assert!(line.is_none(), "{name}: {line:?}");
    }
}

#[tokio::test]
async fn no_refusal_and_no_failure_is_logged_with_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let jwks = directory.path().join("jwks.json");
    let shared = URL_SAFE_NO_PAD.encode("secret-of-the-issuer-and-of-the-service");
    fs::write(&jwks, json!({"keys": [{"kty": "oct", "k": shared}]}).to_string()).unwrap();
    let (jwks, body_octets) = (jwks.to_str().unwrap(), operations::BODY_OCTETS.to_string());
    let flags = ["--jwks", jwks, "--body-octets", &body_octets, "--publishes-per-second", "3"];
    let server = Server::start(directory.path(), &flags).await;
    let push = PushService::start().await.unwrap();
    let device = push.subscribe(&UserAgent::seeded(1));
    let body = json!({"data": device});
    assert_eq!(server.by(ADA, Method::POST, "/v0/subscriptions", &body).await.status(), 201);

    let mut seen = operations::drive(&server.process.base).await;
    connections::abuse(&server.process.base).await;
    read_a_damaged_set(&server, jwks).await;

    // Last: nothing of the database is left.
    for file in ["push.sqlite", "push.sqlite-wal"] {
        fs::OpenOptions::new()
            .write(true)
            .open(directory.path().join("data").join(file))
            .unwrap()
            .set_len(0)
            .unwrap();
    }
    seen.extend(operations::drive(&server.process.base).await);
    for status in [200, 202, 400, 401, 403, 404, 405, 406, 413, 415, 429, 500] {
        assert!(seen.contains(&status), "{status} is not among {seen:?}");
    }
    let _ = server.process.terminate().await;

    let mut secrets = secrets(directory.path(), &[device]);
    secrets.insert("key of the set".to_owned(), shared);
    secrets.insert("damaged set".to_owned(), DAMAGED.to_owned());
    for secret in operations::PLACES.into_iter().chain(connections::SECRETS) {
        secrets.insert(secret.to_owned(), secret.to_owned());
    }
    let words = ["a connection ended", "the JWK Set is not usable", "the store failed", "shutting down"];
    has_no_secret(directory.path(), &words, &secrets);
}

const DAMAGED: &str = "secret-of-a-damaged-set";

/// The file is looked at once a second, when somebody comes with a token.
async fn read_a_damaged_set(server: &Server, jwks: &str) {
    fs::write(jwks, format!(r#"{{"keys": [{{"kty": "oct", "k": {DAMAGED}"#)).unwrap();
    let (log, began) = (Path::new(jwks).with_file_name("log"), Instant::now());
    while !fs::read_to_string(&log).unwrap().contains("the JWK Set is not usable") {
        assert!(began.elapsed() < process::PATIENCE, "it is not read");
        let request = server.request(Method::GET, "/v0/channels").bearer_auth("eyJhbGciOiJIUzI1NiJ9.e30.x");
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
}

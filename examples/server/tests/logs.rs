//! What the service writes while it is used and abused: at no level a secret.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "a test")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use webpush_channels::Subscription;
use webpush_channels::testing::{Answer, PushService, UserAgent};
use webpush_channels_server::auth::Basic;

const PUBLISHER: &str = "publisher:password-of-the-publisher";
const ADA: &str = "ada:password-of-ada";

/// The binary, with its log in a file.
#[derive(Debug)]
struct Server {
    _child: Child,
    base: String,
    client: Client,
}

impl Server {
    async fn start(directory: &Path) -> Self {
        let log = fs::File::create(directory.join("log")).unwrap();
        let publisher = Basic::new("secret-of-the-hmac").user_id(PUBLISHER);
        let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bearer/p256.pub.pem");
        let mut command = Command::new(env!("CARGO_BIN_EXE_webpush-channels-server"));
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--allow-loopback-endpoints",
            "--log",
            "trace",
            "--jwt-key",
            key,
        ]);
        command.arg("--data-dir").arg(directory.join("data")).args(["--publisher", publisher.as_str()]);
        command.env("WEBPUSH_CHANNELS_USERID_HMAC_SECRET", "secret-of-the-hmac");
        let mut child = command.stdout(Stdio::piped()).stderr(log).kill_on_drop(true).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
        let base = line.trim().strip_prefix("listening on ").unwrap().trim_end_matches('/').to_owned();
        Self { _child: child, base, client: Client::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
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
    let server = Server::start(directory.path()).await;
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

    let log = fs::read_to_string(directory.path().join("log")).unwrap();
    // It is the log of all this, and of all levels.
    for word in [" TRACE ", " DEBUG ", " INFO ", "a bearer token was refused"] {
        assert!(log.contains(word), "{word}");
    }
    for (name, secret) in secrets(directory.path(), &devices) {
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{name}: {line:?}");
    }
}

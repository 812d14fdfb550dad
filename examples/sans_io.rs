//! The engine alone: no runtime, no TLS, no I/O. Bring your own HTTP client.
//!
//! ```sh
//! cargo run --example sans_io                    # a made-up subscription
//! cargo run --example sans_io < subscription.json
//! ```
//!
//! It shows the three steps around your client: build the request, send it yourself, read the
//! answer. Here the "client" is a canned response.

use std::error::Error;
use std::io::{IsTerminal, Read, stdin};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use webpush_channels::engine::encryption::{Encryption, Plaintext};
use webpush_channels::engine::request::{Body, PushRequest};
use webpush_channels::engine::response::{Verdict, classify};
use webpush_channels::engine::vapid::{TopicInput, Vapid, VapidKey};
use webpush_channels::{
    Clock, CollapseKey, EndpointPolicy, Padding, Payload, Subscription, SystemClock, Ttl, Urgency,
};

/// What `JSON.stringify(subscription)` gives in a browser.
const SAMPLE: &str = r#"{
    "endpoint": "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABlExample",
    "expirationTime": null,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg"
    }
}"#;

const TTL: Ttl = Ttl::hours(1);

fn main() -> Result<(), Box<dyn Error>> {
    let subscription: Subscription = serde_json::from_str(&input()?)?;
    // A subscription is a stranger's input: check where it leads before anything is sent there.
    EndpointPolicy::known_vendors().check(subscription.endpoint())?;

    // Keep the key: a subscription takes messages of the key it was made with only.
    let vapid = Vapid::new(VapidKey::generate()?, "mailto:ops@example.org".parse()?);
    let request = build(&vapid, &subscription)?;
    show(&request);

    let response = your_http_client(&request)?;
    let classified = classify(subscription.endpoint(), TTL, &response, SystemClock::default().now());
    println!("\n{}", classified.detail);
    println!("-> {}", what_to_do(&classified.verdict));
    Ok(())
}

fn input() -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    if !stdin().is_terminal() {
        // The longest subscription is far shorter.
        stdin().take(16 * 1024).read_to_string(&mut text)?;
    }
    Ok(if text.trim().is_empty() { SAMPLE.to_owned() } else { text })
}

/// Encrypts, signs and puts the two into a request.
fn build(vapid: &Vapid, subscription: &Subscription) -> Result<Request<Bytes>, Box<dyn Error>> {
    let encryptor = Encryption::fastest();
    let payload = Payload::new("The build is green.")?;
    let plaintext = Plaintext::new(&payload, Padding::default(), encryptor.max_plaintext_len())?;
    let mut octets = Vec::new();
    let encoded = encryptor.encrypt(subscription.keys(), &plaintext, &mut octets)?;
    let body = Body::encrypted(encoded, octets.into());

    let token = vapid.authorization(&subscription.endpoint().origin())?;
    // The next message with this key replaces this one, as long as it is undelivered.
    let collapse: CollapseKey = "build".parse()?;
    let topic = vapid.topic(&subscription.id(), TopicInput::Collapse(&collapse));
    Ok(PushRequest::new(subscription.endpoint(), TTL, token.header)
        .with_urgency(Urgency::High)
        .with_topic(topic.to_header_value())
        .with_body(body)
        .into_http())
}

/// Path, token and topic are capabilities or tell who gets what: they are not printed.
fn show(request: &Request<Bytes>) {
    println!("{} {}/[redacted]", request.method(), request.uri().authority().map_or("", |a| a.as_str()));
    for (name, value) in request.headers() {
        println!("{name}: {value:?}");
    }
    println!("\n[{} octets]", request.body().len());
}

/// Your client goes here: any status is an answer, redirects are not followed, and a few KiB of
/// the body are enough.
fn your_http_client(_: &Request<Bytes>) -> Result<Response<Bytes>, http::Error> {
    Response::builder()
        .status(StatusCode::UNAUTHORIZED)
        .body(Bytes::from_static(br#"{"code":401,"errno":109,"message":"VAPID public key mismatch"}"#))
}

fn what_to_do(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted { .. } => "done: the push service took it",
        Verdict::Gone => "remove the subscription",
        Verdict::KeyMismatch => "try an older key, or ask the client to subscribe anew",
        Verdict::RateLimited { .. } | Verdict::Retry { .. } => {
            "wait and send it again, with the TTL that is left"
        }
        Verdict::AuthError => "make a new token and try once more; keep the subscription",
        _ => "report it; keep the subscription",
    }
}

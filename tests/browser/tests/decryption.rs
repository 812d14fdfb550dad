//! The crate alone, without the service: what it encrypts, a browser's own code opens.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use webpush_channels::engine::encryption::{AwsLc, Ece, EceAesGcm, Encryptor, RustCrypto};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::Sender;
use webpush_channels::testing::PushService;
use webpush_channels::transport::HyperTransport;
use webpush_channels::{AddressPolicy, EndpointPolicy, Message, Padding, Payload, Subscription, Ttl};
use webpush_channels_browser_tests::{Failure, Firefox, Site, eventually, tell};

const PAGE: &str =
    "<!doctype html><title>A page</title><pre id=received>[]</pre><script src=page.js></script>";

/// Keeps what the worker got: octets in base64, or null.
const PAGE_SCRIPT: &str = "
    const received = [];
    navigator.serviceWorker.onmessage = ({ data }) => {
        received.push(data);
        document.getElementById('received').textContent = JSON.stringify(received);
    };
    navigator.serviceWorker.register('/worker.js').then(async registration => {
        while (registration.active?.state !== 'activated') await new Promise(resolve => setTimeout(resolve, 20));
        document.documentElement.dataset.ready = '';
    });";

const WORKER: &str = "
    addEventListener('install', event => event.waitUntil(skipWaiting()));
    addEventListener('activate', event => event.waitUntil(clients.claim()));
    addEventListener('push', event => event.waitUntil(hand(event.data)));
    async function hand(data) {
        const octets = data && new Uint8Array(data.arrayBuffer());
        const text = octets && btoa(Array.from(octets, octet => String.fromCharCode(octet)).join(''));
        for (const page of await clients.matchAll()) page.postMessage(text);
    }";

const SUBSCRIBE: &str = "
    const registration = await navigator.serviceWorker.ready;
    const late = new Promise(resolve => setTimeout(resolve, 1500, null));
    if (await Promise.race([registration.pushManager.getSubscription().then(() => true), late]) === null) return null;
    const options = { userVisibleOnly: true, applicationServerKey: arguments[0] };
    return JSON.stringify(await registration.pushManager.subscribe(options))";

#[tokio::test]
async fn a_browser_opens_what_every_encryptor_makes() {
    tell("decryption", 1, async |story| {
        let push = PushService::builder().mozilla().start().await?;
        let files = vec![
            ("/", "text/html", PAGE),
            ("/page.js", "text/javascript", PAGE_SCRIPT),
            ("/worker.js", "text/javascript", WORKER),
        ];
        let site = Site::start(files).await?;
        let key = VapidKey::generate()?;
        story.step("subscribe");
        let browser = story.browser("ann", &push.websocket_url()).await?;
        browser.open(&site.url("/")).await?;
        let subscription = subscribe(&browser, &key).await?;

        let mut wanted: Vec<Value> = Vec::new();
        // The last in the legacy coding.
        let encryptors: [Arc<dyn Encryptor>; 4] = [
            Arc::new(AwsLc::default()),
            Arc::new(RustCrypto::default()),
            Arc::new(Ece::default()),
            Arc::new(EceAesGcm::default()),
        ];
        for encryptor in encryptors {
            story.step("send payloads of every kind");
            let longest = encryptor.max_plaintext_len();
            let sender = sender(&key, encryptor)?;
            for message in messages(longest)? {
                let sent = sender.send(&subscription, &message).await;
                assert!(sent.outcome.is_accepted(), "{sent:?}");
                wanted.push(seen(message.payload()));
            }
            story.step("the service worker has each, octet for octet");
            received(&browser, &wanted).await?;
        }
        let counters = push.counters();
        assert_eq!((counters.decrypted, counters.undecryptable), (wanted.len() as u64, 0));
        assert_eq!(push.violations(), []);
        assert_eq!(browser.errors_of(&site.url("/")).await?, "");
        Ok(())
    })
    .await;
}

/// What the page says about a push: its octets in base64, or null.
fn seen(payload: &Payload) -> Value {
    if payload.is_empty() { Value::Null } else { BASE64_STANDARD.encode(payload.as_bytes()).into() }
}

async fn subscribe(browser: &Firefox, key: &VapidKey) -> Result<Subscription, Failure> {
    let key = json!(key.application_server_key());
    let json = eventually("subscription", async || {
        let answer = browser.script(SUBSCRIBE, std::slice::from_ref(&key)).await?;
        Ok(answer.as_str().map(str::to_owned))
    });
    Ok(Subscription::from_json(json.await?)?)
}

fn sender(key: &VapidKey, encryptor: Arc<dyn Encryptor>) -> Result<Sender, Failure> {
    let transport = HyperTransport::builder().address_policy(AddressPolicy::loopback_for_tests()).build()?;
    let vapid = Vapid::new(key.clone(), "mailto:push@tests.webpush.dev".parse()?);
    let policy = EndpointPolicy::loopback_for_tests();
    Ok(Sender::builder(vapid, transport).encryptor(encryptor).policy(policy).build())
}

/// None, one octet, all octets, text, and the longest; padded in each way.
fn messages(longest: usize) -> Result<Vec<Message>, Failure> {
    let payloads: [Vec<u8>; 4] =
        [vec![0], (0..=255).collect(), "Gr\u{fc}\u{df}e \u{1f514}".into(), vec![b'x'; longest]];
    let mut messages = vec![Message::new(Payload::empty(), Ttl::hours(1))];
    for payload in payloads {
        for padding in [Padding::None, Padding::default(), Padding::Fixed(4096)] {
            let payload = Payload::new(payload.clone())?;
            messages.push(Message::new(payload, Ttl::hours(1)).with_padding(padding));
        }
    }
    Ok(messages)
}

/// Waits until the page got all that was sent, in whatever order.
async fn received(browser: &Firefox, wanted: &[Value]) -> Result<(), Failure> {
    let sorted = |values: &[Value]| {
        let mut texts: Vec<_> = values.iter().map(ToString::to_string).collect();
        texts.sort_unstable();
        texts
    };
    eventually("page with everything", async || {
        let values: Vec<Value> = serde_json::from_str(&browser.read("#received").await?)?;
        Ok((sorted(&values) == sorted(wanted)).then_some(()))
    })
    .await
}

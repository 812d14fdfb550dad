//! The WebSocket of the in-process push service, as Firefox speaks it.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use webpush_channels::Subscription;
use webpush_channels::testing::{Answer, ManualClock, PushService, UserAgent, Violation};

use super::client::{Client, NOW, Push, Vapid, Wire};
use super::fake::{self, Browser, channel};

/// A service, its clock, a browser with one subscription, and a sender.
struct World {
    clock: Arc<ManualClock>,
    service: PushService,
    browser: Browser,
    agent: UserAgent,
    subscription: Subscription,
    sender: Client,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at_unix(NOW));
        let service = PushService::builder().mozilla().clock(clock.clone()).start().await.unwrap();
        let mut browser = Browser::start(&service, None).await;
        let agent = UserAgent::seeded(1);
        let key = Vapid::default().public();
        let subscription = browser.subscribe(&channel(1), &agent, Some(&key)).await;
        let sender = Wire::Http2.connect(&service).await;
        Self { clock, service, browser, agent, subscription, sender }
    }

    async fn push(&mut self, text: &str, headers: &[(&'static str, &str)]) {
        let mut push = Push::new(&self.subscription, text.as_bytes());
        for (name, value) in headers {
            push = push.with(name, value);
        }
        assert_eq!(self.sender.status(&push).await, StatusCode::CREATED);
    }

    /// The browser loses its connection.
    async fn disconnect(self) -> Away {
        let uaid = self.browser.uaid.clone();
        self.browser.close().await;
        self.service.wait_for_browsers(<[_]>::is_empty).await;
        let Self { clock, service, agent, subscription, sender, .. } = self;
        Away { uaid, clock, service, agent, subscription, sender }
    }

    /// The next message, acknowledged.
    async fn receive(&mut self) -> String {
        let notification = self.browser.notification().await;
        self.browser.ack(&notification, 100).await;
        String::from_utf8(notification.open(&self.agent).unwrap()).unwrap()
    }

    /// All that comes before the answer to a ping.
    async fn drain(&mut self) -> Vec<String> {
        self.browser.say(&json!({})).await;
        let mut texts = Vec::new();
        loop {
            let frame = self.browser.hear().await;
            if frame == json!({}) {
                return texts;
            }
            texts.push(
                self.agent.decrypt(&fake::data(&frame)).map(|text| String::from_utf8(text).unwrap()).unwrap(),
            );
        }
    }
}

struct Away {
    uaid: String,
    clock: Arc<ManualClock>,
    service: PushService,
    agent: UserAgent,
    subscription: Subscription,
    sender: Client,
}

impl Away {
    async fn push(&mut self, text: &str, headers: &[(&'static str, &str)]) -> String {
        let mut push = Push::new(&self.subscription, text.as_bytes());
        for (name, value) in headers {
            push = push.with(name, value);
        }
        let answer = self.sender.push(&push).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn connect(self) -> World {
        let browser = Browser::start(&self.service, Some(&self.uaid)).await;
        assert_eq!(browser.uaid, self.uaid);
        let Self { clock, service, agent, subscription, sender, .. } = self;
        World { clock, service, browser, agent, subscription, sender }
    }
}

#[tokio::test]
async fn a_browser_subscribes_and_receives() {
    let mut world = World::new().await;
    assert!(
        world.subscription.endpoint().as_str().starts_with(&format!("{}/wpush/v2/", world.service.origin()))
    );
    let browsers = world.service.browsers();
    assert_eq!(browsers.len(), 1);
    assert_eq!((browsers[0].uaid(), browsers[0].channels()), (&*world.browser.uaid, &[channel(1)][..]));

    world.push("hello", &[]).await;
    let notification = world.browser.notification().await;
    assert_eq!(notification.channel, channel(1));
    assert_eq!(notification.headers, json!({"encoding": "aes128gcm"}));
    assert_eq!(notification.open(&world.agent).unwrap(), b"hello");
    assert_eq!(world.service.counters().browser_acks, 0);
    world.browser.ack(&notification, 100).await;
    let counters = world.service.wait_for(|counters| counters.browser_acks == 1).await;
    assert_eq!(
        (counters.accepted, counters.delivered, counters.decrypted, counters.browser_sent),
        (1, 1, 1, 1)
    );

    let null = Push::null(&world.subscription);
    assert_eq!(world.sender.status(&null).await, StatusCode::CREATED);
    let notification = world.browser.notification().await;
    assert_eq!((notification.body, notification.headers), (None, json!(null)));
}

#[tokio::test]
async fn the_codes_of_acknowledgements_are_counted() {
    let mut world = World::new().await;
    for code in [100, 101, 101, 102, 102, 102] {
        world.push("x", &[]).await;
        let notification = world.browser.notification().await;
        world.browser.ack(&notification, code).await;
        // A browser may repeat itself.
        world.browser.ack(&notification, code).await;
    }
    world.browser.ping().await;
    let counters = world.service.counters();
    assert_eq!((counters.browser_acks, counters.decrypted), (6, 1));
    assert_eq!((counters.undecryptable, counters.browser_failed), (2, 3));
    assert_eq!(counters.browser_bad_frames, 0);
}

#[tokio::test]
async fn a_known_browser_keeps_its_channels_and_another_gets_a_name() {
    let mut world = World::new().await;
    let endpoint = world.subscription.endpoint().clone();
    let mut away = world.disconnect().await;
    let mut names = vec![away.uaid.clone()];
    for uaid in [None, Some("0123456789abcdef0123456789abcdef"), Some("bad"), Some("")] {
        let other = Browser::start(&away.service, uaid).await;
        assert!(!names.contains(&other.uaid));
        assert!(other.uaid.len() == 32 && other.uaid.bytes().all(|octet| octet.is_ascii_hexdigit()));
        names.push(other.uaid.clone());
    }
    away.push("while away", &[]).await;
    world = away.connect().await;
    assert_eq!(world.receive().await, "while away");
    let key = Vapid::default().public();
    assert_eq!(world.browser.register(&channel(1), Some(&key)).await, endpoint);
    assert_ne!(world.browser.register(&channel(2), Some(&key)).await, endpoint);
    let keyless = world.browser.register(&channel(3), None).await;
    assert!(keyless.as_str().contains("/wpush/v1/"));
    world.service.wait_for_browsers(|browsers| browsers.len() == 1).await;
    assert_eq!(world.service.browsers()[0].channels(), [channel(1), channel(2), channel(3)]);
}

#[tokio::test]
async fn messages_wait_for_a_browser_as_their_ttl_and_topic_say() {
    let mut away = World::new().await.disconnect().await;
    away.push("ttl 0", &[("ttl", "0")]).await;
    away.push("ttl 2", &[("ttl", "2")]).await;
    for text in ["first of T", "second of T", "last of T"] {
        away.push(text, &[("topic", "TTTT")]).await;
    }
    away.push("last of U", &[("topic", "UUUU")]).await;
    away.push("plain", &[]).await;
    let cancelled = away.push("cancelled", &[]).await;
    let delete = Push::null(&away.subscription).method(Method::DELETE).at(&cancelled);
    assert_eq!(away.sender.status(&delete).await, StatusCode::NO_CONTENT);
    away.clock.advance(Duration::from_secs(4));

    let mut world = away.connect().await;
    assert_eq!(world.drain().await, ["last of T", "last of U", "plain"]);
    let counters = world.service.counters();
    assert_eq!((counters.expired, counters.replaced, counters.cancelled), (2, 2, 1));
    assert_eq!((counters.browser_sent, counters.delivered), (3, 0));
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again() {
    let mut world = World::new().await;
    world.push("acknowledged", &[]).await;
    assert_eq!(world.receive().await, "acknowledged");
    world.push("unacknowledged", &[]).await;
    world.push("unacknowledged, TTL 0", &[("ttl", "0")]).await;
    world.browser.notification().await;
    world.browser.notification().await;
    let mut world = world.disconnect().await.connect().await;
    assert_eq!(world.receive().await, "unacknowledged");
    assert_eq!(world.drain().await, [""; 0]);
    let counters = world.service.counters();
    assert_eq!((counters.browser_sent, counters.browser_acks, counters.delivered), (4, 2, 2));
    assert_eq!(counters.expired, 1);
    let mut world = world.disconnect().await.connect().await;
    assert_eq!(world.drain().await, [""; 0]);
}

#[tokio::test]
async fn a_newer_connection_takes_over() {
    let mut world = World::new().await;
    world.push("before", &[]).await;
    let second = Browser::start(&world.service, Some(&world.browser.uaid)).await;
    let first = std::mem::replace(&mut world.browser, second);
    assert_eq!(world.receive().await, "before");
    world.push("after", &[]).await;
    assert_eq!(world.receive().await, "after");
    drop(first);
    world.service.wait_for(|counters| counters.connections_open == 2).await;
    assert_eq!(world.service.browsers().len(), 1);
}

#[tokio::test]
async fn an_unregistered_channel_is_gone() {
    let mut world = World::new().await;
    world.browser.unregister(&channel(1)).await;
    world.browser.unregister(&channel(9)).await;
    let gone = Push::new(&world.subscription, b"x");
    assert_eq!(world.sender.status(&gone).await, StatusCode::GONE);
    let key = Vapid::default().public();
    let again = world.browser.register(&channel(1), Some(&key)).await;
    assert_ne!(&again, world.subscription.endpoint());
}

#[tokio::test]
async fn a_subscription_ends_at_the_service_too() {
    let mut world = World::new().await;
    let other = world.browser.subscribe(&channel(2), &UserAgent::seeded(2), None).await;
    world.service.expire(world.subscription.endpoint());
    assert_eq!(world.sender.status(&Push::new(&world.subscription, b"x")).await, StatusCode::GONE);
    assert_eq!(world.service.browsers()[0].channels(), [channel(2)]);

    world.service.forget_browser(&world.browser.uaid);
    assert_eq!(world.sender.status(&Push::new(&other, b"x")).await, StatusCode::GONE);
    let uaid = world.browser.uaid.clone();
    world.browser.closed().await;
    let renamed = Browser::start(&world.service, Some(&uaid)).await;
    assert_ne!(renamed.uaid, uaid);
}

#[tokio::test]
async fn bad_frames_are_ignored_and_counted() {
    let service = PushService::builder().mozilla().start().await.unwrap();
    let mut browser = Browser::connect(&service).await;
    let register = json!({"messageType": "register", "channelID": channel(1)});
    for frame in [register.clone(), json!({"messageType": "ack", "updates": []}), json!([]), json!(1)] {
        browser.say(&frame).await;
    }
    browser.ping().await;
    assert_eq!(service.counters().browser_bad_frames, 4);
    assert!(service.browsers().is_empty());

    browser.say(&json!({"messageType": "hello", "use_webpush": true})).await;
    assert_eq!(browser.hear().await["status"], 200);
    browser.say(&json!({"messageType": "hello", "use_webpush": true})).await;
    browser.say(&json!({"messageType": "broadcast_subscribe", "broadcasts": {}})).await;
    browser.say(&json!({"messageType": "register", "channelID": "not a uuid"})).await;
    let ack = json!({"channelID": channel(7), "version": "1", "code": 100});
    browser.say(&json!({"messageType": "ack", "updates": [ack]})).await;
    browser.say_raw(Message::binary(b"{}".to_vec())).await;
    browser.ping().await;
    assert_eq!(service.counters().browser_bad_frames, 7);
    assert_eq!(service.violations(), [Violation::BrowserFrame; 7]);
    browser.register(&channel(1), None).await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_ends_the_connection() {
    let service = PushService::builder().mozilla().start().await.unwrap();
    let mut browser = Browser::start(&service, None).await;
    browser.say(&json!({"messageType": "ack", "updates": [], "filler": "x".repeat(60_000)})).await;
    browser.ping().await;
    browser.say_raw(Message::text("x".repeat(70_000))).await;
    service.wait_for_browsers(<[_]>::is_empty).await;
    assert_eq!(service.counters().browser_bad_frames, 1);
}

#[tokio::test]
async fn only_mozilla_speaks_with_browsers() {
    let service = PushService::start().await.unwrap();
    let stream = tokio::net::TcpStream::connect(service.address()).await.unwrap();
    let refused = tokio_tungstenite::client_async(service.websocket_url(), stream).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_simulated_user_agent_receives_beside_browsers() {
    let mut world = World::new().await;
    let agent = UserAgent::seeded(7);
    let subscription = world.service.subscribe_bound(&agent, &Vapid::default().public());
    assert_eq!(world.sender.status(&Push::new(&subscription, b"x")).await, StatusCode::CREATED);
    assert_eq!(world.service.received(&subscription)[0].payload(), Ok(Some(&b"x"[..])));
    world.browser.ping().await;
}

#[tokio::test]
async fn a_script_answers_for_a_browser_too() {
    let mut world = World::new().await;
    world.service.script(&world.subscription, [Answer::throttled(None), Answer::Normal]);
    let push = Push::new(&world.subscription, b"second try");
    assert_eq!(world.sender.status(&push).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.sender.status(&push).await, StatusCode::CREATED);
    assert_eq!(world.receive().await, "second try");
}

#[tokio::test]
async fn dropping_the_service_ends_its_browsers() {
    let world = World::new().await;
    drop(world.service);
    let browser = world.browser;
    browser.gone().await;
}

/// Whatever the moment at which a connection ends, and however it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_is_lost_while_a_browser_comes_and_goes() {
    const MESSAGES: usize = 60;
    let World { service, browser, agent, subscription, mut sender, .. } = World::new().await;
    let uaid = browser.uaid.clone();
    let pushing = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let push = Push::new(&subscription, number.to_string().as_bytes());
            assert_eq!(sender.status(&push).await, StatusCode::CREATED);
        }
    });
    let mut seen = BTreeSet::new();
    let mut browser = Some(browser);
    for round in 0.. {
        let mut connected = match browser.take() {
            Some(browser) => browser,
            None => Browser::start(&service, Some(&uaid)).await,
        };
        for _ in 0..=round % 4 {
            let notification = connected.notification().await;
            let text = String::from_utf8(notification.open(&agent).unwrap()).unwrap();
            seen.insert(text.parse::<usize>().unwrap());
            connected.ack(&notification, 100).await;
            if seen.len() == MESSAGES {
                break;
            }
        }
        if seen.len() == MESSAGES {
            break;
        }
        match round % 3 {
            0 => connected.close().await,
            1 => drop(connected),
            // The next connection takes over from one that is still there.
            _ => _ = tokio::spawn(connected.gone()),
        }
    }
    pushing.await.unwrap();
    assert_eq!(seen, (0..MESSAGES).collect());
    assert_eq!(service.counters().accepted, MESSAGES as u64);
    assert_eq!((service.counters().expired, service.counters().browser_bad_frames), (0, 0));
}

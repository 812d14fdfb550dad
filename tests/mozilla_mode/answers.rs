//! Each row of the table, against a browser that is online.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use webpush_channels::Subscription;
use webpush_channels::testing::{ManualClock, PushService, UserAgent, Violation};

use super::cases::{AUTH, BROWSER, Gets, TEXT, all, parties};
use super::client::{Client, NOW, Push, Vapid, Wire};
use super::fake::{Browser, Notification, channel};

/// A service that is called localhost, as the measured one was, a browser with a subscription
/// that is bound to a key, and a sender.
pub(crate) struct Measured {
    pub(crate) service: PushService,
    pub(crate) browser: Browser,
    pub(crate) agent: UserAgent,
    pub(crate) subscription: Subscription,
    pub(crate) sender: Client,
}

impl Measured {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::at_unix(NOW));
        let service = PushService::builder().mozilla().localhost(true).clock(clock).start().await.unwrap();
        let mut browser = Browser::start(&service, None).await;
        let agent = UserAgent::from_keys(BROWSER, AUTH).unwrap();
        let subscription = browser.subscribe(&channel(1), &agent, Some(&Vapid::default().public())).await;
        let sender = Wire::Http1.connect(&service).await;
        Self { service, browser, agent, subscription, sender }
    }

    /// What the page sees, if the browser can open it; acknowledged as the browser would.
    pub(crate) async fn receive(&mut self) -> Result<Option<Vec<u8>>, ()> {
        let notification = self.browser.notification().await;
        let opened = self.open(&notification);
        self.browser.ack(&notification, if opened.is_ok() { 100 } else { 101 }).await;
        opened
    }

    fn open(&self, notification: &Notification) -> Result<Option<Vec<u8>>, ()> {
        let Some(body) = &notification.body else { return Ok(None) };
        let headers = &notification.headers;
        if headers["encoding"] == "aes128gcm" {
            assert!(headers.get("encryption").is_none(), "{headers}");
            return self.agent.decrypt(body).map(Some).map_err(drop);
        }
        assert_eq!(headers["encoding"], "aesgcm");
        let parties = parties(&self.subscription);
        // What Firefox needs, without quotes and padding.
        let parameter = |header: &str, name: &str| {
            let text = headers[header].as_str()?;
            text.split([',', ';']).find_map(|part| part.strip_prefix(name)).map(str::to_owned)
        };
        let k = |octets: &[u8]| base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, octets);
        assert_eq!(parameter("encryption", "salt="), Some(k(&parties.salt)));
        let dh = parameter("crypto_key", "dh=").ok_or(())?;
        assert_eq!(dh, k(&parties.sender));
        Ok(parties.open(&BROWSER, body))
    }
}

/// Mozilla's error JSON.
pub(crate) fn check_error(body: &[u8], code: u16, errno: Option<u16>, message: &str, case: &str) {
    let error: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(error["message"], message, "{case}");
    let expected = json!({
        "code": code,
        "errno": errno,
        "error": StatusCode::from_u16(code).unwrap().canonical_reason(),
        "message": message,
        "more_info": "http://autopush.readthedocs.io/en/latest/http.html#error-codes",
    });
    assert_eq!(error, expected, "{case}");
}

fn check_accepted(headers: &HeaderMap, body: &[u8], ttl: u32, origin: &str, case: &str) {
    assert_eq!(headers["ttl"], ttl.to_string(), "{case}");
    assert!(headers["location"].to_str().unwrap().starts_with(&format!("{origin}/m/")), "{case}");
    assert!(body.is_empty(), "{case}");
    for absent in ["link", "urgency", "topic", "retry-after"] {
        assert!(!headers.contains_key(absent), "{case} {absent}");
    }
}

#[tokio::test]
async fn each_row_of_the_measured_table_is_answered_so() {
    let mut measured = Measured::new().await;
    let origin = measured.service.origin();
    let (mut refused, mut delivered, mut unopened) = (0, 0, 0);
    for (case, push, gets) in all(&measured.subscription) {
        let answer = measured.sender.push(&push).await;
        let status = answer.status().as_u16();
        if let Gets::Error(code, errno, message) = gets {
            assert_eq!(status, code, "{case}: {:?}", answer.body());
            check_error(answer.body(), code, errno, message, case);
            refused += 1;
            continue;
        }
        assert_eq!(status, 201, "{case}: {:?}", answer.body());
        let ttl = if let Gets::Text(ttl) = gets { ttl } else { 60 };
        check_accepted(answer.headers(), answer.body(), ttl, origin.as_str(), case);
        let seen = measured.receive().await;
        match gets {
            Gets::Null => assert_eq!(seen, Ok(None), "{case}"),
            Gets::Unopened => assert_eq!(seen, Err(()), "{case}"),
            _ => assert_eq!(seen, Ok(Some(TEXT.to_vec())), "{case}"),
        }
        if seen.is_ok() { delivered += 1 } else { unopened += 1 }
    }
    measured.browser.ping().await;
    let counters = measured.service.counters();
    assert_eq!((counters.rejected, counters.accepted), (refused, delivered + unopened));
    assert_eq!((counters.decrypted, counters.undecryptable), (delivered, unopened));
    assert_eq!((refused, delivered, unopened), (47, 46, 2));
}

/// The simulated user agent sees what Firefox saw.
#[tokio::test]
async fn a_user_agent_opens_what_a_browser_opens() {
    let clock = Arc::new(ManualClock::at_unix(NOW));
    let service = PushService::builder().mozilla().localhost(true).clock(clock).start().await.unwrap();
    let agent = UserAgent::from_keys(BROWSER, AUTH).unwrap();
    let subscription = service.subscribe_bound(&agent, &Vapid::default().public());
    let mut sender = Wire::Http1.connect(&service).await;
    for (case, push, gets) in all(&subscription) {
        let before = service.received(&subscription).len();
        let status = sender.status(&push).await;
        let received = service.received(&subscription);
        let seen = received.get(before).map(webpush_channels::testing::Received::payload);
        match gets {
            Gets::Error(..) => assert!(!status.is_success() && seen.is_none(), "{case}"),
            Gets::Text(_) => assert_eq!(seen, Some(Ok(Some(TEXT))), "{case}"),
            Gets::Null => assert_eq!(seen, Some(Ok(None)), "{case}"),
            Gets::Unopened => assert!(matches!(seen, Some(Err(_))), "{case}"),
        }
    }
}

/// Each request breaks two rules that are next to each other in the order.
#[tokio::test]
async fn the_first_broken_rule_is_the_one_that_is_answered() {
    let mut measured = Measured::new().await;
    let to = measured.subscription.clone();
    let bad = || Push::new(&to, TEXT).with("topic", "a.b").with("ttl", "-1");
    let coded = || bad().with("content-encoding", "aesgcm128");
    let timeless = || coded().with("ttl", "x");
    let large = || timeless().body(vec![0; 4097]);
    let unsigned = || large().without("authorization");
    let elsewhere = format!("{}0", to.endpoint().as_str());
    let order: [(Push, u16, Option<Violation>); 6] = [
        (unsigned().at(&elsewhere), 404, Some(Violation::NotFound)),
        (unsigned(), 401, Some(Violation::VapidMissing)),
        (large(), 413, Some(Violation::TooLarge)),
        (timeless(), 400, Some(Violation::Ttl)),
        (coded(), 400, Some(Violation::ContentEncoding)),
        (bad(), 400, Some(Violation::Ttl)),
    ];
    for (push, status, violation) in order {
        assert_eq!(measured.sender.status(&push).await.as_u16(), status, "{violation:?}");
        assert_eq!(measured.service.violations().last().copied(), violation);
    }
}

/// The subscription is looked up between the key and the signature.
#[tokio::test]
async fn an_ended_subscription_is_gone() {
    let mut measured = Measured::new().await;
    let good = Push::new(&measured.subscription, TEXT);
    measured.service.expire(measured.subscription.endpoint());
    let answer = measured.sender.push(&good).await;
    assert_eq!(answer.headers()["cache-control"], "max-age=86400");
    assert_eq!(answer.status(), StatusCode::GONE);
    check_error(answer.body(), 410, Some(106), "No such subscription", "gone");
    let of_another = Vapid::of([6; 32]).header(measured.service.origin().as_str());
    let mismatch = good.clone().with("authorization", &of_another);
    assert_eq!(measured.sender.status(&mismatch).await, StatusCode::UNAUTHORIZED);
    let expired =
        Vapid { expires: NOW - 3600, ..Vapid::default() }.header(measured.service.origin().as_str());
    assert_eq!(measured.sender.status(&good.with("authorization", &expired)).await, StatusCode::GONE);
}

#[tokio::test]
async fn a_subscription_without_a_key_takes_any_token_or_none() {
    let mut measured = Measured::new().await;
    let agent = UserAgent::from_keys(BROWSER, AUTH).unwrap();
    let to = measured.browser.subscribe(&channel(2), &agent, None).await;
    assert!(to.endpoint().as_str().contains("/wpush/v1/"));
    let push = Push::new(&to, TEXT);
    let origin = measured.service.origin();
    let other = Vapid::of([6; 32]);
    let forged = format!("vapid t={}, k={}", "e30.e30.AAAA", other.k());
    for (authorization, status) in [
        (None, StatusCode::CREATED),
        (Some(Vapid::default().header(origin.as_str())), StatusCode::CREATED),
        (Some(other.header(origin.as_str())), StatusCode::CREATED),
        (Some(forged), StatusCode::UNAUTHORIZED),
        (Some(other.header("https://example.com")), StatusCode::UNAUTHORIZED),
    ] {
        let push = match &authorization {
            Some(header) => push.clone().with("authorization", header),
            None => push.clone().without("authorization"),
        };
        assert_eq!(measured.sender.status(&push).await, status, "{authorization:?}");
        if status.is_success() {
            assert_eq!(measured.receive().await, Ok(Some(TEXT.to_vec())));
        }
    }
}

#[tokio::test]
async fn the_strict_default_still_refuses_what_mozilla_takes() {
    let service = PushService::builder().clock(Arc::new(ManualClock::at_unix(NOW))).start().await.unwrap();
    let to = service.subscribe(&UserAgent::from_keys(BROWSER, AUTH).unwrap());
    let mut sender = Wire::Http1.connect(&service).await;
    assert!(to.endpoint().as_str().contains("/p/"));
    for header in ["urgency", "x-forwarded-for"] {
        let push = Push::new(&to, TEXT).with(header, "bogus");
        assert_eq!(sender.status(&push).await, StatusCode::BAD_REQUEST, "{header}");
    }
    let expired = Vapid { expires: NOW - 30, ..Vapid::default() }.header(service.origin().as_str());
    let push = Push::new(&to, TEXT).with("authorization", &expired);
    assert_eq!(sender.status(&push).await, StatusCode::FORBIDDEN);
}

//! The test kit's push service: requests and tokens of an application server that is not ours.
//!
//! Input: `r` and raw octets; `t` and an `Authorization`; or `p`, header lines, an empty line and the body of a push to
//! a subscription that is there (`{token}` is a good `Authorization`).
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::testing::vapid::{parse_authorization, verify};
use webpush_channels::testing::{PushService, UserAgent};
use webpush_channels::{Clock, KeyId, Subscription, SystemClock};
use webpush_channels_fuzz::{Fields, Served, exchange, first_answer, whole};

/// Most raw octets are a part of a request, for whose rest the service would wait; the others are whole.
const RAW: Duration = Duration::from_millis(5);
const FRAMED: Duration = Duration::from_millis(200);

thread_local! {
    static WORLD: Served<World> = const { Served::new(20_000, World::new) };
}

struct World {
    service: PushService,
    subscription: Subscription,
    token: String,
}

impl World {
    fn new(runtime: &Runtime) -> Self {
        let service = runtime.block_on(PushService::builder().start()).expect("a port is free");
        let subscription = service.subscribe(&UserAgent::seeded(1));
        let key = VapidKey::from_scalar(&[7; 32]).expect("a key");
        let vapid = Vapid::new(key, "mailto:ops@example.org".parse().expect("a contact"));
        let token = vapid.authorization(&service.origin()).expect("a key that can be read signs").header;
        let token = token.to_str().expect("a token is ASCII").to_owned();
        Self { service, subscription, token }
    }

    /// A push whose framing is right, whatever is in it.
    fn push(&self, mut fields: Fields<'_>) -> Vec<u8> {
        let url = self.subscription.endpoint().as_str();
        let path =
            url.strip_prefix(self.service.origin().as_str()).expect("an endpoint begins with its origin");
        let mut request =
            format!("POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.service.address());
        loop {
            let line = fields.line();
            if line.is_empty() {
                break;
            }
            request.push_str(&line.replace("{token}", &self.token));
            request.push_str("\r\n");
        }
        let body = fields.rest();
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        [request.as_bytes(), length.as_bytes(), body].concat()
    }

    async fn attack(&self, octets: &[u8], wait: Duration) {
        let before = self.service.counters();
        let answer = exchange(self.service.address(), octets, wait).await;
        let after = self.service.counters();
        if after.accepted > before.accepted {
            let (status, _) = first_answer(&answer).expect("what was accepted is answered");
            assert!((200..300).contains(&status), "{status}");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let kind = fields.octet();
    WORLD.with(|served| {
        served.with(|world, runtime| match kind {
            b'r' => runtime.block_on(world.attack(fields.rest(), RAW)),
            b'p' => runtime.block_on(world.attack(&world.push(fields), FRAMED)),
            b't' => {
                check_token(world, &String::from_utf8_lossy(fields.rest()).replace("{token}", &world.token));
            }
            _ => {}
        });
    });
});

fn check_token(world: &World, header: &str) {
    let credentials = match parse_authorization(header) {
        Ok(credentials) => credentials,
        Err(error) => {
            whole(&error);
            return;
        }
    };
    assert!(credentials.require_key(KeyId::from_bytes([0; 16])).is_err());
    assert!(credentials.require_key(credentials.key_id()).is_ok());
    match verify(&credentials, &world.service.origin(), SystemClock::default().now()) {
        // Only the one that was signed here: nobody else has a key.
        Ok(claims) => assert_eq!(claims.audience, world.service.origin().as_str()),
        Err(error) => drop(whole(&error)),
    }
}

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::*;
use crate::Endpoint;

const START: u64 = 80_000 * 6 * 3600;

/// Seconds since 1970, set by the test.
#[derive(Debug)]
struct TestClock(AtomicU64);

impl TestClock {
    fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

fn vapid() -> (Vapid, Arc<TestClock>) {
    let key = VapidKey::from_base64url("ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE").unwrap();
    let clock = Arc::new(TestClock(AtomicU64::new(START)));
    let vapid = Vapid::new(key, "mailto:push@example.com".parse().unwrap());
    (vapid.with_clock(Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn origin(host: &str) -> Origin {
    format!("https://{host}/p/x").parse::<Endpoint>().unwrap().origin()
}

fn claims(token: &Token) -> serde_json::Value {
    let value = token.header.to_str().unwrap();
    let payload = value.split('.').nth(1).unwrap();
    serde_json::from_slice(&crate::base64url::decode(payload).unwrap()).unwrap()
}

fn exp(token: &Token) -> u64 {
    claims(token)["exp"].as_u64().unwrap()
}

fn renewed(vapid: &Vapid, origin: &Origin, refused: &Token) -> Token {
    match vapid.renew_after(origin, refused.generation) {
        Renewal::Renewed(token) => token,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_holds_exactly_the_three_claims() {
    let (vapid, _) = vapid();
    let token = vapid.authorization(&origin("push.example.net:8443")).unwrap();
    let expected = serde_json::json!({
        "aud": "https://push.example.net:8443", "exp": START + 18 * 3600, "sub": "mailto:push@example.com"
    });
    assert_eq!(claims(&token), expected);
    assert!(token.header.is_sensitive());
    assert!(token.header.to_str().unwrap().ends_with(&format!(", k={}", vapid.application_server_key())));
}

#[test]
fn all_nodes_make_the_same_token_for_a_slot() {
    let ((here, morning), (there, evening)) = (vapid(), vapid());
    let origin = origin("push.example.net");
    morning.set(START + 5);
    evening.set(START + 6 * 3600 - 1);
    let first = here.authorization(&origin).unwrap();
    let second = there.authorization(&origin).unwrap();
    assert_eq!((&first.header, first.generation), (&second.header, second.generation));
    evening.set(START + 6 * 3600);
    let next = there.authorization(&origin).unwrap();
    assert_ne!(first.header, next.header);
    assert!(next.generation > first.generation);
}

#[test]
fn a_token_always_has_six_to_eighteen_hours_left() {
    let (vapid, clock) = vapid();
    let origin = origin("push.example.net");
    let mut last = vapid.authorization(&origin).unwrap();
    for step in 0..400 {
        let now = START + step * 611;
        clock.set(now);
        let token = match step % 50 {
            7 => renewed(&vapid, &origin, &last),
            _ => vapid.authorization(&origin).unwrap(),
        };
        assert!(token.generation >= last.generation);
        let left = exp(&token) - now;
        assert!((6 * 3600..=18 * 3600).contains(&left), "{left} at step {step}");
        last = token;
    }
}

#[test]
fn a_refused_token_is_replaced_once_an_hour() {
    let (vapid, clock) = vapid();
    let origin = origin("push.example.net");
    let slot = vapid.authorization(&origin).unwrap();
    clock.set(START + 100);
    let first = renewed(&vapid, &origin, &slot);
    assert_eq!(exp(&first), START + 100 + 12 * 3600);
    assert_eq!(vapid.authorization(&origin).unwrap().header, first.header, "it stays in use");
    clock.set(START + 100 + 3599);
    assert!(matches!(vapid.renew_after(&origin, first.generation), Renewal::TooSoon));
    assert_eq!(renewed(&vapid, &origin, &slot).header, first.header, "a late answer gets what is there");
    clock.set(START + 100 + 3600);
    let second = renewed(&vapid, &origin, &first);
    assert!(second.generation > first.generation);
    // It outlives the slot, and gives way to a slot's token after six hours.
    clock.set(START + 6 * 3600);
    assert_eq!(vapid.authorization(&origin).unwrap().header, second.header);
    clock.set(START + 3700 + 6 * 3600);
    let later = vapid.authorization(&origin).unwrap();
    assert_eq!(exp(&later), START + 24 * 3600);
    assert!(later.generation > second.generation);
}

#[test]
fn a_token_of_an_earlier_slot_is_replaced_by_the_slots() {
    let (vapid, clock) = vapid();
    let origin = origin("push.example.net");
    let old = vapid.authorization(&origin).unwrap();
    clock.set(START + 6 * 3600 + 5);
    let token = renewed(&vapid, &origin, &old);
    assert_eq!(exp(&token), START + 24 * 3600);
    assert!(matches!(vapid.renew_after(&origin, token.generation), Renewal::Renewed(_)), "not counted");
}

#[test]
fn of_many_tasks_with_a_refused_token_one_renews() {
    let (vapid, clock) = vapid();
    let origin = origin("push.example.net");
    let refused = vapid.authorization(&origin).unwrap().generation;
    clock.set(START + 60);
    let renewals: Vec<Renewal> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| vapid.renew_after(&origin, refused))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let expected = vapid.authorization(&origin).unwrap();
    for renewal in renewals {
        assert!(matches!(renewal, Renewal::Renewed(token) if token.header == expected.header));
    }
}

#[test]
fn strangers_origins_do_not_fill_memory_nor_reset_a_renewal() {
    let (vapid, clock) = vapid();
    let vapid = vapid.with_cache_capacity(NonZeroUsize::new(16).unwrap());
    let hot = origin("push.example.net");
    let refused = vapid.authorization(&hot).unwrap();
    clock.set(START + 60);
    let token = renewed(&vapid, &hot, &refused);
    for n in 0..200 {
        let _ = vapid.authorization(&origin(&format!("h{n}.example.org"))).unwrap();
    }
    assert_eq!(vapid.0.tokens.len(), 16);
    assert!(matches!(vapid.renew_after(&hot, token.generation), Renewal::TooSoon));
    assert_eq!(vapid.authorization(&hot).unwrap().header, token.header);
}

#[test]
fn a_clock_that_jumps_never_leaves_a_token_that_services_refuse() {
    let (vapid, clock) = vapid();
    let origin = origin("push.example.net");
    clock.set(START + 365 * 86_400);
    let future = vapid.authorization(&origin).unwrap();
    let _ = renewed(&vapid, &origin, &future);
    for now in [START, START - 1, START - 86_400, 0, START + 10 * 86_400] {
        clock.set(now);
        let token = vapid.authorization(&origin).unwrap();
        let left = exp(&token) - now;
        assert!((6 * 3600..24 * 3600).contains(&left), "{left} at {now}");
    }
    clock.set(START);
    let token = vapid.authorization(&origin).unwrap();
    assert!(matches!(vapid.renew_after(&origin, token.generation), Renewal::Renewed(_)));
}

#[test]
fn a_clock_before_1970_is_1970() {
    #[derive(Debug)]
    struct Early;
    impl Clock for Early {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH - Duration::from_secs(1)
        }
    }
    let vapid = vapid().0.with_clock(Arc::new(Early));
    assert_eq!(exp(&vapid.authorization(&origin("push.example.net")).unwrap()), 18 * 3600);
}

#[test]
fn debug_shows_no_secret() {
    let (vapid, _) = vapid();
    let token = vapid.authorization(&origin("push.example.net")).unwrap();
    let shown = format!("{vapid:?} {token:?} {:?}", Keyring::new(vapid.clone()));
    assert!(shown.contains("mailto:push@example.com"));
    for secret in ["eyJ", "ya-p2EW6", "vapid t="] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[cfg(feature = "testing")]
mod signers;

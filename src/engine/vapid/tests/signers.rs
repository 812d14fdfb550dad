//! Keys that are elsewhere.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::FutureExt as _;

use super::*;
use crate::CollapseKey;

/// Counts what it is asked; answers at once.
#[derive(Debug)]
struct Remote {
    key: VapidKey,
    asked: Arc<AtomicU64>,
    /// What happens while it signs, once.
    meanwhile: Mutex<Option<Meanwhile>>,
    signs_with: VapidKey,
}

struct Meanwhile(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meanwhile")
    }
}

#[async_trait]
impl Signer for Remote {
    fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    fn topic_key(&self) -> TopicKey {
        TopicKey::of(&self.key)
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(Meanwhile(happens)) = self.meanwhile.lock().unwrap().take() {
            happens();
        }
        self.signs_with.sign(message).await
    }
}

const KEY: &str = "ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE";

struct World {
    vapid: Vapid,
    clock: Arc<TestClock>,
    asked: Arc<AtomicU64>,
    origin: Origin,
}

impl World {
    fn new() -> Self {
        Self::with(|remote| remote)
    }

    fn with(change: impl FnOnce(Remote) -> Remote) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(START)));
        Self::at(clock, change)
    }

    fn at(clock: Arc<TestClock>, change: impl FnOnce(Remote) -> Remote) -> Self {
        let key = VapidKey::from_base64url(KEY).unwrap();
        let asked = Arc::new(AtomicU64::new(0));
        let meanwhile = Mutex::new(None);
        let remote = Remote { signs_with: key.clone(), key, asked: Arc::clone(&asked), meanwhile };
        let vapid = Vapid::with_signer(change(remote), "mailto:push@example.com".parse().unwrap());
        let vapid = vapid.with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        Self { vapid, clock, asked, origin: origin("push.example.net") }
    }

    fn authorize(&self) -> Token {
        self.vapid.authorize(&self.origin).now_or_never().unwrap().unwrap()
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn kind(result: Result<Token, SignError>) -> SignErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn a_key_elsewhere_makes_the_tokens_and_topics_of_the_same_key_at_hand() {
    let (here, _) = vapid();
    let world = World::new();
    assert_eq!(world.authorize().header, here.authorization(&world.origin).unwrap().header);
    assert_eq!(
        here.authorize(&world.origin).now_or_never().unwrap().unwrap().header,
        world.authorize().header
    );
    assert_eq!(world.vapid.key_id(), here.key_id());
    assert_eq!(world.vapid.application_server_key(), here.application_server_key());
    let (id, inbox) = (SubscriptionId::from_bytes([7; 32]), CollapseKey::new("inbox").unwrap());
    let topic = |vapid: &Vapid| vapid.topic(&id, TopicInput::Collapse(&inbox));
    assert_eq!(topic(&world.vapid), topic(&here));
}

#[test]
fn it_is_asked_once_a_slot_and_not_before_somebody_waits() {
    let world = World::new();
    for slot in 1..=3 {
        assert_eq!(kind(world.vapid.authorization(&world.origin)), SignErrorKind::NotReady);
        assert_eq!(world.asked(), slot - 1);
        let token = world.authorize();
        assert_eq!(world.authorize().header, token.header);
        assert_eq!(world.vapid.authorization(&world.origin).unwrap().header, token.header);
        assert_eq!(world.asked(), slot);
        world.clock.set(START + slot * 6 * 3600);
    }
}

#[test]
fn a_refused_token_is_renewed_by_whoever_waits_next() {
    let world = World::new();
    let first = world.authorize();
    world.clock.set(START + 100);
    assert!(matches!(world.vapid.renew_after(&world.origin, first.generation), Renewal::Renewing));
    // Others whose request was refused, before the token is there and afterwards.
    assert!(matches!(world.vapid.renew_after(&world.origin, first.generation), Renewal::Renewing));
    assert_eq!(kind(world.vapid.authorization(&world.origin)), SignErrorKind::NotReady);
    let second = world.authorize();
    assert_eq!((exp(&second), world.asked()), (START + 100 + 12 * 3600, 2));
    assert!(second.generation > first.generation);
    let again = world.vapid.renew_after(&world.origin, first.generation);
    assert!(matches!(again, Renewal::Renewed(token) if token.header == second.header));
    world.clock.set(START + 3600);
    assert!(matches!(world.vapid.renew_after(&world.origin, second.generation), Renewal::TooSoon));
    world.clock.set(START + 3701);
    assert!(matches!(world.vapid.renew_after(&world.origin, second.generation), Renewal::Renewing));
}

#[test]
fn the_next_token_is_signed_ahead_and_used_in_its_turn() {
    let world = World::new();
    let next = || world.vapid.authorize_ahead(&world.origin).now_or_never().unwrap().unwrap();
    let first = world.authorize();
    next();
    world.clock.set(START + 6 * 3600 - 601);
    next();
    assert!(matches!(world.vapid.readiness(world.origin.as_str()), Readiness::Ready { ending: false, .. }));
    assert_eq!(world.asked(), 1, "it is too early");
    world.clock.set(START + 6 * 3600 - 600);
    assert!(matches!(world.vapid.readiness(world.origin.as_str()), Readiness::Ready { ending: true, .. }));
    next();
    next();
    assert!(matches!(world.vapid.readiness(world.origin.as_str()), Readiness::Ready { ending: false, .. }));
    assert_eq!(world.vapid.authorization(&world.origin).unwrap().header, first.header, "the old one is used");
    world.clock.set(START + 6 * 3600);
    let second = world.vapid.authorization(&world.origin).unwrap();
    assert_eq!((exp(&second), world.asked()), (START + 24 * 3600, 2));
    assert!(second.generation > first.generation);
}

#[test]
fn a_renewed_token_is_followed_by_the_slots() {
    let world = World::new();
    let first = world.authorize();
    world.clock.set(START + 100);
    assert!(matches!(world.vapid.renew_after(&world.origin, first.generation), Renewal::Renewing));
    let renewed = world.authorize();
    world.clock.set(START + 6 * 3600 + 50);
    assert!(world.vapid.authorize_ahead(&world.origin).now_or_never().unwrap().is_ok());
    assert_eq!(world.authorize().header, renewed.header);
    world.clock.set(START + 6 * 3600 + 100);
    let next = world.authorize();
    assert_eq!((exp(&next), world.asked()), (START + 24 * 3600, 3));
    assert!(next.generation > renewed.generation);
}

#[test]
fn a_signature_of_another_key_is_not_used() {
    let world = World::with(|remote| Remote { signs_with: VapidKey::generate().unwrap(), ..remote });
    for _ in 0..2 {
        let answer = world.vapid.authorize(&world.origin).now_or_never().unwrap();
        assert_eq!(kind(answer), SignErrorKind::Faulty);
        assert_eq!(kind(world.vapid.authorization(&world.origin)), SignErrorKind::NotReady);
    }
}

#[test]
fn a_slot_that_ends_while_it_is_signed_gets_its_own_token() {
    let clock = Arc::new(TestClock(AtomicU64::new(START)));
    let later = Arc::clone(&clock);
    let world = World::at(clock, |remote| {
        let happens = Meanwhile(Box::new(move || later.set(START + 6 * 3600)));
        Remote { meanwhile: Mutex::new(Some(happens)), ..remote }
    });
    assert_eq!((exp(&world.authorize()), world.asked()), (START + 24 * 3600, 2));
}

#[test]
fn pointers_forward_every_method() {
    fn check(signer: &impl Signer) {
        let key = VapidKey::from_base64url(KEY).unwrap();
        assert_eq!(signer.public_key().as_bytes(), key.public_key());
        assert_eq!(signer.topic_key().octets(), TopicKey::of(&key).octets());
        assert_eq!(signer.sign(b"x").now_or_never().unwrap().unwrap(), key.sign_now(b"x"));
    }
    let key = || VapidKey::from_base64url(KEY).unwrap();
    check(&Arc::new(key()));
    check(&Box::new(key()));
    check(&(Arc::new(key()) as Arc<dyn Signer>));
    check(&(Box::new(key()) as Box<dyn Signer>));
}

#[test]
fn debug_shows_no_secret_of_a_signer() {
    let world = World::new();
    let token = world.authorize();
    let topic_key = TopicKey::from_bytes([0xC3; 32]);
    let shown = format!("{:?} {token:?} {topic_key:?}", world.vapid);
    assert!(
        shown.contains("TopicKey([redacted])") && !shown.contains("195") && !shown.contains("eyJ"),
        "{shown}"
    );
}

//! The conformance suite of `Signer` on the key at hand, and on doubles that are broken on purpose:
//! a suite that cannot fail proves nothing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use webpush_channels::PublicKey;
use webpush_channels::engine::vapid::{SignError, SignErrorKind, Signer, TopicKey, VapidKey};
use webpush_channels::testing::signer_suite as suite;

mod a_key_at_hand {
    use webpush_channels::engine::vapid::VapidKey;

    webpush_channels::signer_suite!(VapidKey::generate().unwrap());
}

mod a_key_at_hand_behind_a_box_of_dyn {
    use webpush_channels::engine::vapid::{Signer, VapidKey};

    webpush_channels::signer_suite!(Box::new(VapidKey::generate().unwrap()) as Box<dyn Signer>);
}

mod a_double_without_a_fault {
    webpush_channels::signer_suite!(super::Double::new(super::Fault::None));
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    AnotherKey,
    AnotherPublicKeyEachTime,
    AnotherTopicKeyEachTime,
    DebugTellsTheTopicKey,
    DroppedQuestionStaysOpen,
    HashesTwice,
    LittleEndian,
    MixesQuestionsUp,
    NeverAnswers,
    None,
    OnlyShortMessages,
    Panics,
    Refuses,
}

/// Signs with a key at hand, after a moment, with a fault.
struct Double {
    fault: Fault,
    keys: [VapidKey; 2],
    public: [PublicKey; 2],
    asked: AtomicUsize,
    question: Mutex<Vec<u8>>,
    open: AtomicUsize,
}

const TOPIC_KEY: [u8; 32] = [0xC3; 32];

impl Double {
    fn new(fault: Fault) -> Self {
        let keys = [1, 2].map(|n| VapidKey::from_scalar(&[n; 32]).unwrap());
        let public = keys.each_ref().map(|key| PublicKey::from_bytes(key.public_key()).unwrap());
        Self {
            fault,
            keys,
            public,
            asked: AtomicUsize::new(0),
            question: Mutex::default(),
            open: AtomicUsize::new(0),
        }
    }

    async fn signature(&self, message: &[u8]) -> [u8; 64] {
        self.keys[usize::from(self.fault == Fault::AnotherKey)].sign(message).await.unwrap()
    }
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.fault == Fault::DebugTellsTheTopicKey;
        f.debug_struct("Double").field("topic_key", &told.then_some(TOPIC_KEY)).finish_non_exhaustive()
    }
}

#[async_trait]
impl Signer for Double {
    fn public_key(&self) -> &PublicKey {
        let changes = self.fault == Fault::AnotherPublicKeyEachTime;
        let asked = if changes { self.asked.fetch_add(1, Ordering::Relaxed) } else { 0 };
        // The first two times the right one, so that the first signature fits.
        &self.public[usize::from(asked > 1)]
    }

    fn topic_key(&self) -> TopicKey {
        let changes = self.fault == Fault::AnotherTopicKeyEachTime;
        let asked = if changes { self.asked.fetch_add(1, Ordering::Relaxed) } else { 0 };
        TopicKey::from_bytes(if asked == 0 { TOPIC_KEY } else { [9; 32] })
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        *self.question.lock().unwrap() = message.to_vec();
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::DroppedQuestionStaysOpen && open > 0 {
            return Err(SignError::new(SignErrorKind::Unavailable));
        }
        tokio::task::yield_now().await;
        self.open.fetch_sub(1, Ordering::Relaxed);
        match self.fault {
            Fault::HashesTwice => Ok(self.signature(&[message, message].concat()).await),
            Fault::LittleEndian => {
                let mut signature = self.signature(message).await;
                signature[..32].reverse();
                signature[32..].reverse();
                Ok(signature)
            }
            Fault::MixesQuestionsUp => {
                let question = self.question.lock().unwrap().clone();
                Ok(self.signature(&question).await)
            }
            Fault::NeverAnswers => pending().await,
            Fault::OnlyShortMessages if message.len() > 256 => Err(SignError::new(SignErrorKind::Refused)),
            Fault::Panics => panic!("on purpose"),
            Fault::Refuses => Err(SignError::new(SignErrorKind::Refused)),
            _ => Ok(self.signature(message).await),
        }
    }
}

type Behaviour = fn(&Arc<Double>) -> BoxFuture<'_, ()>;

const BEHAVIOURS: [(&str, Behaviour); 6] = [
    ("dropped", |signer| suite::a_dropped_question_spoils_no_later_one(signer).boxed()),
    ("at once", |signer| suite::calls_at_the_same_time_are_each_answered_for_their_own(signer).boxed()),
    ("lengths", |signer| suite::octets_of_any_length_are_signed(signer).boxed()),
    ("tokens", |signer| suite::push_services_take_its_tokens(signer).boxed()),
    ("debug", |signer| suite::secrets_stay_out_of_debug(signer).boxed()),
    ("keys", |signer| suite::the_keys_never_change(signer).boxed()),
];

async fn notices(fault: Fault, name: &str) -> bool {
    let (_, behaviour) = BEHAVIOURS.iter().find(|(known, _)| *known == name).unwrap();
    let signer = Arc::new(Double::new(fault));
    AssertUnwindSafe(behaviour(&signer)).catch_unwind().await.is_err()
}

#[tokio::test(start_paused = true)]
async fn the_suite_notices_every_fault() {
    for (fault, behaviour) in [
        (Fault::AnotherKey, "lengths"),
        (Fault::AnotherKey, "tokens"),
        (Fault::AnotherPublicKeyEachTime, "keys"),
        (Fault::AnotherTopicKeyEachTime, "keys"),
        (Fault::DebugTellsTheTopicKey, "debug"),
        (Fault::DroppedQuestionStaysOpen, "dropped"),
        (Fault::HashesTwice, "lengths"),
        (Fault::LittleEndian, "lengths"),
        (Fault::LittleEndian, "tokens"),
        (Fault::MixesQuestionsUp, "at once"),
        (Fault::NeverAnswers, "tokens"),
        (Fault::OnlyShortMessages, "lengths"),
        (Fault::Panics, "tokens"),
        (Fault::Refuses, "tokens"),
    ] {
        assert!(notices(fault, behaviour).await, "{fault:?} passes {behaviour}");
        assert!(!notices(Fault::None, behaviour).await, "{behaviour} refuses a sound signer");
    }
}

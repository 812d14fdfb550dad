//! The conformance suite of [`Signer`]: one function per behaviour of its contract, and
//! [`signer_suite!`](crate::signer_suite) to run them all as tests.
//!
//! Each function panics when the behaviour is missing, and when an answer takes longer than the 30
//! seconds that the sender waits.
//!
//! ```
//! use webpush_channels::engine::vapid::VapidKey;
//! use webpush_channels::testing::signer_suite;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let signer = VapidKey::generate().expect("there is randomness");
//! signer_suite::push_services_take_its_tokens(&signer).await;
//! # });
//!
//! // In the tests of a signer, each behaviour a test:
//! mod a_key_at_hand {
//!     use webpush_channels::engine::vapid::VapidKey;
//!
//!     webpush_channels::signer_suite!(VapidKey::generate().expect("there is randomness"));
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

#![allow(clippy::missing_panics_doc, reason = "to panic is what a behaviour is for")]

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

use super::vapid::{parse_authorization, verify};
use crate::engine::vapid::{Signer, TopicInput, Vapid};
use crate::{Clock as _, CollapseKey, Endpoint, KeyId, SubscriptionId, SystemClock, base64url};

/// What the sender waits for at most.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs the conformance suite of [`Signer`] on the value of an expression, as one `#[tokio::test]`
/// per behaviour; put it into a module of its own.
#[macro_export]
macro_rules! signer_suite {
    ($signer:expr) => {
        $crate::signer_suite! {
            @tests $signer;
            a_dropped_question_spoils_no_later_one
            calls_at_the_same_time_are_each_answered_for_their_own
            octets_of_any_length_are_signed
            push_services_take_its_tokens
            secrets_stay_out_of_debug
            the_keys_never_change
        }
    };
    (@tests $signer:expr; $($behaviour:ident)+) => {$(
        #[tokio::test]
        async fn $behaviour() {
            $crate::testing::signer_suite::$behaviour(&::std::sync::Arc::new($signer)).await;
        }
    )+};
}

/// Signatures are R and S over the SHA-256 of exactly what was asked for (V-2).
pub async fn octets_of_any_length_are_signed<S: Signer>(signer: &S) {
    for len in [0, 1, 31, 32, 33, 63, 64, 65, 300, 4096] {
        let message: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).expect("below 251")).collect();
        sign(signer, &message).await;
    }
}

/// A token is what push services take: signed, for its origin, in the name of its key (V-19).
pub async fn push_services_take_its_tokens<S: Signer + Clone>(signer: &S) {
    let key = KeyId::of_public_key(signer.public_key().as_bytes());
    let contact = "mailto:ops@example.org".parse().expect("a contact");
    let vapid = Vapid::with_signer(signer.clone(), contact);
    assert_eq!(vapid.key_id(), key);
    for host in ["push.example.net", "push.example.org:8443"] {
        let origin = format!("https://{host}/p/x").parse::<Endpoint>().expect("an endpoint").origin();
        let token = answer(vapid.authorize(&origin)).await.expect("a token");
        let header = token.header.to_str().expect("a token is ASCII");
        let credentials = parse_authorization(header).expect("a push service reads it");
        credentials.require_key(key).expect("it carries the public key");
        verify(&credentials, &origin, SystemClock::new().now()).expect("a push service takes it");
    }
}

/// Questions that overlap are not mixed up.
pub async fn calls_at_the_same_time_are_each_answered_for_their_own<S: Signer>(signer: &S) {
    let messages: Vec<_> = (0..16).map(|n| format!("message {n}")).collect();
    join_all(messages.iter().map(|message| sign(signer, message.as_bytes()))).await;
}

/// Whoever asks may go away at any time.
pub async fn a_dropped_question_spoils_no_later_one<S: Signer>(signer: &S) {
    for n in 0..4 {
        let dropped = format!("dropped {n}");
        // Polled once, so that it began.
        let _ = signer.sign(dropped.as_bytes()).now_or_never();
        sign(signer, b"asked afterwards").await;
    }
}

/// Subscriptions are bound to the one key, and undelivered messages replaced by means of the
/// other (V-13, H-10).
pub async fn the_keys_never_change<S: Signer>(signer: &S) {
    let collapse = CollapseKey::new("inbox").expect("a collapse key");
    let subscription = SubscriptionId::from_bytes([7; 32]);
    let topic = || signer.topic_key().topic(&subscription, TopicInput::Collapse(&collapse));
    let (key, first) = (signer.public_key().clone(), topic());
    for _ in 0..4 {
        sign(signer, b"a message").await;
        assert!(*signer.public_key() == key, "another public key than before");
        assert_eq!(topic().as_str(), first.as_str(), "another topic key than before");
    }
}

/// `Debug` shows nothing of the topic key.
pub async fn secrets_stay_out_of_debug<S: Signer>(signer: &S) {
    sign(signer, b"a message").await;
    let (shown, topic_key) = (format!("{signer:?}"), signer.topic_key());
    let octets = topic_key.octets();
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let list = format!("{octets:?}");
    for secret in
        [hex.as_str(), &hex.to_uppercase(), &base64url::encode(octets), list.trim_matches(['[', ']'])]
    {
        assert!(!shown.contains(secret), "Debug shows the topic key");
    }
}

async fn sign(signer: &dyn Signer, message: &[u8]) {
    let signature = answer(signer.sign(message)).await.expect("a signature");
    let key = VerifyingKey::from_sec1_bytes(signer.public_key().as_bytes()).expect("a checked key");
    let signature = Signature::from_slice(&signature).expect("R and S, neither of them zero nor too large");
    key.verify(message, &signature)
        .expect("the signature of these octets by the private half of the public key");
}

async fn answer<T>(question: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, question).await.expect("an answer within 30 seconds")
}

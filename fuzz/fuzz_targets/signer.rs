//! The answers of a `Signer`, a KMS or an HSM: a token that a push service takes, or none.
//!
//! Input: a letter and what goes with it. `x`: octets that change a right signature; `w`: a signature; `m`: octets that are
//! signed instead; `e`: the kind of an error.
#![no_main]

use async_trait::async_trait;
use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::vapid::{SignError, SignErrorKind, Signer, TopicKey, Vapid, VapidKey};
use webpush_channels::testing::vapid::{parse_authorization, verify};
use webpush_channels::{Clock, Endpoint, PublicKey, SystemClock};
use webpush_channels_fuzz::{Fields, Served, whole};

thread_local! {
    static RUNTIME: Served<VapidKey> =
        const { Served::new(u32::MAX, |_| VapidKey::from_scalar(&[7; 32]).expect("a key")) };
}

#[derive(Debug)]
struct Scripted {
    key: VapidKey,
    answer: Answer,
}

#[derive(Clone, Debug)]
enum Answer {
    Changed([u8; 64]),
    Whole([u8; 64]),
    Other(Vec<u8>),
    Error(SignErrorKind),
}

#[async_trait]
impl Signer for Scripted {
    fn public_key(&self) -> &PublicKey {
        Signer::public_key(&self.key)
    }

    fn topic_key(&self) -> TopicKey {
        self.key.topic_key()
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        match &self.answer {
            Answer::Changed(by) => {
                let mut signature = self.key.sign(message).await?;
                for (octet, by) in signature.iter_mut().zip(by) {
                    *octet ^= by;
                }
                Ok(signature)
            }
            Answer::Whole(signature) => Ok(*signature),
            Answer::Other(message) => self.key.sign(message).await,
            Answer::Error(kind) => Err(SignError::new(*kind)),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let letter = fields.octet();
    let mut octets = [0; 64];
    for (to, from) in octets.iter_mut().zip(fields.rest()) {
        *to = *from;
    }
    let answer = match letter {
        b'x' => Answer::Changed(octets),
        b'w' => Answer::Whole(octets),
        b'm' => Answer::Other(fields.rest().to_vec()),
        b'e' => Answer::Error(match octets[0] % 4 {
            0 => SignErrorKind::Faulty,
            1 => SignErrorKind::NotReady,
            2 => SignErrorKind::Refused,
            _ => SignErrorKind::Unavailable,
        }),
        _ => return,
    };
    RUNTIME.with(|served| served.with(|key, runtime| runtime.block_on(attack(key.clone(), answer))));
});

async fn attack(key: VapidKey, answer: Answer) {
    let origin = "https://push.example.net/p/x".parse::<Endpoint>().expect("a plain URL").origin();
    let contact = "mailto:ops@example.org".parse().expect("a contact");
    let vapid = Vapid::with_signer(Scripted { key, answer: answer.clone() }, contact);
    match vapid.authorize(&origin).await {
        Ok(token) => {
            let header = token.header.to_str().expect("a token is ASCII");
            let credentials = parse_authorization(header).expect("a push service reads it");
            credentials.require_key(vapid.key_id()).expect("it carries the public key");
            verify(&credentials, &origin, SystemClock::default().now()).expect("a push service takes it");
            assert!(token.header.is_sensitive());
        }
        Err(error) => {
            whole(&error);
            let expected = if let Answer::Error(kind) = answer { kind } else { SignErrorKind::Faulty };
            assert_eq!(error.kind(), expected);
            assert!(!matches!(answer, Answer::Changed(by) if by == [0; 64]), "the signature is right");
            let kept = vapid.authorization(&origin).map(|token| token.generation);
            assert_eq!(kept.map_err(|error| error.kind()), Err(SignErrorKind::NotReady), "nothing is kept");
        }
    }
}

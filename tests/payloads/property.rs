//! Whatever the lengths are: who is asked, how often, and what is learned.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use webpush_channels::channel::{Broadcast, Channels};
use webpush_channels::engine::encryption::{Encoded, EncryptError, Encryptor, Plaintext};
use webpush_channels::{OutcomeKind, Padding, SubscriptionKeys};

use super::support::{Double, Plain, Seen, at, limits, sender, status, store};
use super::{entry, message, payload, publish};

const MEMBERS: usize = 40;

/// As long as a real body, and its first octet can be read.
#[derive(Debug)]
struct Long;

impl Encryptor for Long {
    fn max_plaintext_len(&self) -> usize {
        3993
    }

    fn encrypt(
        &self,
        to: &SubscriptionKeys,
        plaintext: &Plaintext,
        out: &mut Vec<u8>,
    ) -> Result<Encoded, EncryptError> {
        let encoded = Plain.encrypt(to, plaintext, out)?;
        out.resize(plaintext.padded_len() + Plaintext::OVERHEAD, b'.');
        Ok(encoded)
    }
}

fn index(seen: &Seen) -> usize {
    seen.uri.rsplit_once('/').unwrap().1.parse().unwrap()
}

const NOTHING: u8 = b'-';

/// Which payload it is: its first octet.
fn kind(seen: &Seen) -> u8 {
    seen.body.first().copied().unwrap_or(NOTHING)
}

/// The octets of a body, as the message asks for them; none where it cannot be so.
fn body(len: usize, padding: Padding) -> Option<usize> {
    if len == 0 {
        return Some(0);
    }
    Some(match padding {
        Padding::MultipleOf(step) => (len + 103).next_multiple_of(usize::from(step.get())).min(4096),
        Padding::Fixed(body) => usize::from(body).min(4096),
        _ => len + 103,
    })
    .filter(|body| len + 103 <= *body)
}

/// What is sent, and what each subscription takes.
struct Case {
    takes: Vec<usize>,
    lens: Vec<usize>,
    fallback: Option<usize>,
    padding: Padding,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut each = |most| (0..MEMBERS).map(|_| rng.usize(0..=most)).collect();
        let (takes, lens) = (each(4096), each(3993));
        let padding = match rng.u8(0..3) {
            0 => Padding::None,
            1 => Padding::MultipleOf(NonZeroU16::new(rng.u16(1..600)).unwrap()),
            _ => Padding::Fixed(rng.u16(104..=4096)),
        };
        Self { takes, lens, fallback: rng.bool().then(|| rng.usize(0..=300)), padding }
    }

    fn broadcast(&self) -> Broadcast {
        let mut message = message(payload("-")).with_padding(self.padding);
        if let Some(len) = self.fallback {
            message = message.with_fallback(payload(vec![b'f'; len]));
        }
        let lens = self.lens.clone();
        Broadcast::new(message).with_payloads(move |entry| {
            let n: usize = entry.user.as_str().rsplit_once('-').unwrap().1.parse().unwrap();
            Some(payload(vec![b'p'; lens[n]]))
        })
    }

    fn transport(&self) -> Double {
        let takes = self.takes.clone();
        Double::new(move |seen, _| status(if seen.body.len() > takes[index(seen)] { 413 } else { 201 }))
    }

    /// The fallback's length, where it is shorter than the payload.
    fn shorter(&self, n: usize) -> Option<usize> {
        self.fallback.filter(|len| *len < self.lens[n])
    }

    /// The [`kind`] of what must arrive, where it is clear: the payload as it is padded, else the
    /// fallback as it is padded.
    fn arrives(&self, n: usize) -> Option<u8> {
        let fits = |len| body(len, self.padding).filter(|body| *body <= self.takes[n]);
        let whole = fits(self.lens[n]).map(|body| (body, b'p'));
        let what = whole.or_else(|| self.shorter(n).and_then(fits).map(|body| (body, b'f')));
        what.map(|(body, kind)| if body > 0 { kind } else { NOTHING })
    }

    /// Checks one subscription's requests of one round. Returns the [`kind`] of what was accepted.
    fn check(&self, n: usize, round: usize, arrived: bool, asked: &[Seen]) -> Option<u8> {
        let refused = asked.iter().filter(|seen| seen.body.len() > self.takes[n]).count();
        assert!(asked.len() <= 2);
        // Padding that is cut may be refused once more, where there is nothing shorter.
        assert!(round < 3 || self.shorter(n).is_none() || refused == 0);
        assert!(!arrived || (asked.len(), refused) == (1, 0), "what arrived once needs no second try");
        let accepted = (refused < asked.len()).then(|| kind(asked.last().unwrap()));
        let expected = self.arrives(n);
        assert!(expected.is_none() || accepted == expected, "{accepted:?}, not {expected:?}");
        accepted
    }
}

#[tokio::test(start_paused = true)]
async fn no_push_service_is_asked_in_vain_for_long() {
    for seed in 0..60 {
        let case = Case::new(seed);
        let transport = case.transport();
        let store = store(at("push.example.net", MEMBERS)).await;
        let sender = sender(&transport).encryptor(Long).build();
        let hub = Channels::builder(Arc::clone(&store), sender).limits(limits()).build();
        let (mut before, mut arrived) = (0, BTreeSet::new());
        for round in 1..=3 {
            let report = publish(&hub, case.broadcast()).await;
            let seen = transport.seen().split_off(before);
            before += seen.len();
            assert_eq!(report.attempts, seen.len() as u64, "{report}");
            let mut accepted = 0;
            for n in 0..MEMBERS {
                let asked: Vec<_> = seen.iter().filter(|seen| index(seen) == n).cloned().collect();
                if case.check(n, round, arrived.contains(&n), &asked).is_some() {
                    accepted += 1;
                    arrived.insert(n);
                }
                // Nothing is believed to take less than it takes.
                let learned = entry(&store, n).await.payload_limit.map_or(4096, usize::from);
                assert!(learned >= case.takes[n], "seed {seed}, {n}");
            }
            assert_eq!(report.counts[OutcomeKind::Accepted], accepted, "{report}");
        }
    }
}

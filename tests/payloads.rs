//! Who gets which payload: a smaller one after a refusal, one for each subscription, none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/durable.rs"]
mod durable;
#[path = "payloads/fallback.rs"]
mod fallback;
// Most of it needs the encryptor of that coding.
#[cfg(feature = "ece")]
#[path = "payloads/legacy.rs"]
mod legacy;
#[path = "payloads/property.rs"]
mod property;
mod support;
#[path = "payloads/tailored.rs"]
mod tailored;

use std::sync::Arc;
use std::time::Duration;

use support::{Double, Seen, limits, news, user};
use webpush_channels::channel::{Broadcast, Channel as _, Channels};
use webpush_channels::store::{Entry, MemoryStore, SubscriptionStore as _};
use webpush_channels::testing::UserAgent;
use webpush_channels::{Message, OutcomeKind, Payload, Report, Ttl};

const SECOND: Duration = Duration::from_secs(1);

fn payload(octets: impl Into<bytes::Bytes>) -> Payload {
    Payload::new(octets).unwrap()
}

/// So many octets, which a receiver can tell from others.
fn octets(n: usize) -> Payload {
    payload(vec![b'a' + u8::try_from(n % 26).unwrap(); n])
}

fn message(payload: Payload) -> Message {
    Message::new(payload, Ttl::hours(1))
}

/// A hub that really encrypts.
fn encrypting(store: &Arc<MemoryStore>, transport: &Double) -> Channels {
    let sender =
        webpush_channels::sender::Sender::builder(support::vapid(1), transport.clone()).seed(7).build();
    Channels::builder(Arc::clone(store), sender).limits(limits()).build()
}

/// What the browser of a request gets; none when nothing was sent. All have one key.
fn opened(seen: &Seen) -> Option<Vec<u8>> {
    (!seen.body.is_empty()).then(|| UserAgent::seeded(1).decrypt(&seen.body).unwrap())
}

async fn publish(hub: &Channels, broadcast: impl Into<Broadcast>) -> Report {
    let report = hub.channel(&news()).publish(broadcast.into()).await.unwrap();
    assert_eq!((report.counts.total(), report.pending), (report.read, 0), "{report}");
    report
}

fn counted(report: &Report, expected: &[(OutcomeKind, u64)]) {
    for (kind, n) in expected {
        assert_eq!(report.counts[*kind], *n, "{kind}: {report}");
    }
    let total: u64 = expected.iter().map(|(_, n)| n).sum();
    assert_eq!(report.read, total, "{report}");
}

async fn entry(store: &MemoryStore, n: usize) -> Entry {
    store.subscriptions(&user(n)).await.unwrap().remove(0)
}

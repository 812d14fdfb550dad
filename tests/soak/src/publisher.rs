//! Broadcasts of every kind, each followed to its end.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use webpush_channels::{BroadcastId, Report};

use crate::Result;
use crate::clients::NAMES;
use crate::ledger::{CHANNELS, Failed};
use crate::shared::Shared;

/// Who publishes.
pub(crate) const USER: &str = "newsroom";
const LOOK: Duration = Duration::from_millis(500);
const URGENCIES: [&str; 4] = ["very-low", "low", "normal", "high"];
/// Seconds; most are long, so that nothing but an outcome explains a message that is missing.
const TTLS: [u64; 8] = [5, 60, 3600, 3600, 3600, 3600, 86_400, 2_592_000];
const SIZES: [usize; 8] = [1, 40, 40, 200, 200, 200, 1000, 3900];

/// Broadcasts at once: a machine that is slower than the rate must not be buried.
const MOST: usize = 64;

/// What a broadcast says: its number, and letters.
pub(crate) fn payload(broadcast: usize) -> Value {
    json!({"b": broadcast, "text": "x".repeat(SIZES[broadcast % SIZES.len()])})
}

/// The broadcast that a message is of, if it is what was published.
pub(crate) fn broadcast_of(message: &[u8]) -> Option<usize> {
    let said: Value = serde_json::from_slice(message).ok()?;
    let broadcast = usize::try_from(said["b"].as_u64()?).ok()?;
    (said == payload(broadcast)).then_some(broadcast)
}

/// Publishes until the run ends, and waits for every end.
pub(crate) async fn publish(shared: Arc<Shared>) {
    let mut random = Rng::with_seed(shared.options.seed.wrapping_mul(17));
    let every = Duration::from_secs(60).div_f64(shared.options.broadcasts_per_minute as f64);
    let mut followed = JoinSet::new();
    while shared.pause(every.mul_f64(0.5 + random.f64())).await {
        while followed.try_join_next().is_some() {}
        let channel = random.usize(..CHANNELS);
        let of_its_own = random.fork();
        if followed.len() < MOST {
            followed.spawn(follow(Arc::clone(&shared), channel, of_its_own));
        } else {
            shared.done.count("broadcasts left out, because too many run");
        }
    }
    while followed.join_next().await.is_some() {}
}

async fn follow(shared: Arc<Shared>, channel: usize, mut random: Rng) {
    let (now, ttl) = (shared.now(), TTLS[random.usize(..TTLS.len())]);
    let number = shared.ledger().publish(channel, Duration::from_secs(ttl), now);
    if let Err(error) = begin_and_end(&shared, number, channel, ttl, random).await {
        shared.wrong(format!("broadcast {number} failed: {error}"));
    }
}

async fn begin_and_end(
    shared: &Shared,
    number: usize,
    channel: usize,
    ttl: u64,
    mut random: Rng,
) -> Result<()> {
    let urgency = URGENCIES[random.usize(..URGENCIES.len())];
    let collapse = (random.u8(..5) == 0).then(|| format!("topic-{}", random.u8(..4)));
    let path = format!("channels/{}", NAMES[channel]);
    let write = |request: reqwest::RequestBuilder| {
        let request = request.header("TTL", ttl).header("Urgency", urgency);
        let request = request.header("Idempotency-Key", format!("broadcast-{number}"));
        let request = request.json(&json!({"data": payload(number)}));
        collapse.iter().fold(request, |request, key| request.header("Collapse-Key", key))
    };
    let published = shared.api.call_with(USER, Method::POST, &path, write).await?;
    let location = published.location.ok_or("a publication without a place")?;
    let id = location.rsplit_once('/').ok_or("the place has no id")?.1;
    let path = format!("broadcasts/{id}");
    while shared.api.call(USER, Method::GET, &path, None).await?.json["data"]["state"] == "running" {
        tokio::time::sleep(LOOK).await;
    }
    let ended = shared.now();
    let (report, failures) = told(shared, &id.parse()?).await?;
    shared.ledger().ended(number, ended, report, failures);
    Ok(())
}

/// What the journal says about a broadcast.
async fn told(shared: &Shared, id: &BroadcastId) -> Result<(Report, HashMap<String, Failed>)> {
    const PAGE: NonZeroU16 = NonZeroU16::new(1000).expect("not zero");
    // The file may be locked by somebody else just now.
    let report = loop {
        match shared.journal.report(id).await {
            Err(error) if error.is_retryable() => tokio::time::sleep(LOOK).await,
            report => break report?.ok_or("a broadcast without a report")?,
        }
    };
    let (mut failures, mut after) = (HashMap::new(), None);
    loop {
        let page = match shared.journal.failures(id, after, PAGE).await {
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            page => page?,
        };
        failures.extend(
            page.failures.into_iter().map(|it| (it.subscription.to_string(), (it.outcome, it.attempts))),
        );
        after = page.next;
        if after.is_none() {
            return Ok((report, failures));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_which_broadcast_it_is_of_and_whether_it_is_whole() {
        for broadcast in 0..20 {
            assert_eq!(broadcast_of(payload(broadcast).to_string().as_bytes()), Some(broadcast));
        }
        assert_eq!(broadcast_of(br#"{"b":1,"text":"x"}"#), None, "as long as another");
        assert_eq!(broadcast_of(b""), None);
    }
}

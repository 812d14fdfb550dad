//! The model: what must be true of what happened.

mod direct;
mod durable;
mod outcomes;

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

pub use self::direct::direct;
pub use self::durable::durable;
use super::direct::World;
use super::plan::Manner;
use super::record::{Device, End, Facts, Request, Rule};

/// Requests of one broadcast by device, in their order.
type ByDevice<'a> = HashMap<&'a Device, Vec<&'a Request>>;

fn by_device(facts: &Facts, broadcast: usize) -> ByDevice<'_> {
    let mut all = ByDevice::new();
    for request in facts.of_broadcast(broadcast) {
        all.entry(&request.device).or_default().push(request);
    }
    all
}

/// What is wrong, to be added to the facts that it was found in.
type Wrongs = Vec<(Rule, String)>;

fn tell(world: &World, wrongs: Wrongs) {
    let mut facts = world.record.facts();
    for (rule, what) in wrongs {
        facts.wrong(rule, what);
    }
}

/// What holds in every case.
pub fn always(world: &World) {
    let mut wrongs = Wrongs::new();
    {
        let facts = world.record.facts();
        // What was on its way before a nap may begin after it.
        if world.plan.naps.is_empty() {
            for broadcast in 0..super::members::CHANNELS {
                paused_by_hand(&facts, broadcast, &mut wrongs);
            }
            paused_origins(world, &facts, &mut wrongs);
        }
    }
    let mut facts = world.record.facts();
    let words: Vec<_> =
        facts.requests.iter().filter_map(|request| request.end).map(|(_, end)| end.word()).collect();
    words.into_iter().filter(|word| *word != "accepted").for_each(|word| facts.fault(word));
    drop(facts);
    tell(world, wrongs);
}

/// While a broadcast is paused nothing of it starts.
fn paused_by_hand(facts: &Facts, broadcast: usize, wrongs: &mut Wrongs) {
    for (_, from, until) in facts.pauses.iter().filter(|(paused, ..)| *paused == broadcast) {
        if facts.of_broadcast(broadcast).any(|request| *from < request.at && request.at < *until) {
            wrongs.push((Rule::Pause, format!("broadcast {broadcast} sends while it is paused")));
        }
    }
}

/// several subscriptions were told to wait within ten seconds, so that everybody waits. Five, because two
/// spans of ten seconds may share them.
fn paused_origins(world: &World, facts: &Facts, wrongs: &mut Wrongs) {
    let mut busy: HashMap<(usize, &str), Vec<Told<'_>>> = HashMap::new();
    for request in &facts.requests {
        if !matches!(world.plan.manner(&request.origin), Manner::Busy { .. }) {
            continue;
        }
        if let Some((at, End::Status { code: 429, after: Some(after), .. })) = request.end {
            busy.entry((request.node, &request.origin)).or_default().push((at, after, &request.device));
        }
    }
    for ((node, origin), mut told) in busy {
        told.sort_by_key(|(at, ..)| *at);
        let span = Duration::from_secs(10);
        let Some(five) = told.windows(5).find(|five| five[4].0 - five[0].0 < span && are_distinct(five))
        else {
            continue;
        };
        let (from, until) = (five[4].0, five[0].0 + five[0].1);
        let early = facts.requests.iter().find(|request| {
            request.node == node && request.origin == origin && from < request.at && request.at < until
        });
        if let Some(early) = early {
            let age = early.at - world.record.start;
            wrongs.push((Rule::Pause, format!("{origin} is asked {age:?} after the start, in its pause")));
        }
    }
}

/// Who was told to wait, when, and for how long.
type Told<'a> = (Instant, Duration, &'a Device);

fn are_distinct(five: &[Told<'_>]) -> bool {
    let devices: std::collections::HashSet<_> = five.iter().map(|(.., device)| *device).collect();
    devices.len() == five.len()
}

/// The requests of one broadcast to one device: how often, how far apart, and with which lifetime. Not where
/// what was known of earlier ones was lost on the way. `latency` is how long a store takes to remember a time.
fn sequence(
    world: &World,
    (begun, device): (Instant, &Device),
    (requests, latency): (&[&Request], Duration),
    wrongs: &mut Wrongs,
) {
    let plan = &world.plan;
    let deadline = begun + plan.send_within;
    let first = requests[0].at;
    for (number, request) in requests.iter().enumerate() {
        if request.at > deadline {
            let late = request.at - deadline;
            wrongs.push((Rule::Deadline, format!("{} is asked {late:?} after the deadline", device.0)));
        }
        let used = (request.at - first).saturating_sub(latency).as_secs_f64();
        let left = (f64::from(plan.ttl) - used).max(0.0);
        // Who has other keys since the first request is somebody else here.
        let renewed = !latency.is_zero() && plan.volatile < plan.users.len() && request.ttl <= plan.ttl;
        let wrong = match number {
            0 => request.ttl != plan.ttl && !renewed,
            _ => f64::from(request.ttl) > left,
        };
        // What has no lifetime is repeated at once, or not.
        let at_once =
            plan.ttl == 0 && number > 0 && !requests[number - 1].end.is_some_and(|(_, end)| end.is_failure());
        let dead = number > 0 && !at_once && used > f64::from(plan.ttl) + 1.0;
        if wrong || dead {
            let what =
                format!("request {number} to {} has TTL {}, and {left} are left", device.0, request.ttl);
            wrongs.push((Rule::Lifetime, what));
        }
    }
    for pair in requests.windows(2) {
        let Some((at, end)) = pair[0].end else { continue };
        if end.is_final() {
            wrongs.push((Rule::Final, format!("{} is asked again after {end:?}", device.0)));
        }
        if let End::Status { code: 429 | 503, after: Some(after), .. } = end
            && pair[1].at + Duration::from_millis(2) < at + after
        {
            let waited = pair[1].at - at;
            wrongs
                .push((Rule::Pause, format!("{} is asked again after {waited:?}, not {after:?}", device.0)));
        }
    }
    tries(world, device, requests, wrongs);
}

/// No more tries than the policy has. A rebuilt token and the shorter payload are one more each.
fn tries(world: &World, device: &Device, requests: &[&Request], wrongs: &mut Wrongs) {
    let (attempts, fallback) = (usize::from(world.plan.attempts), usize::from(world.plan.fallback));
    let failures =
        requests.iter().filter(|request| request.end.is_some_and(|(_, end)| end.is_failure())).count();
    let all = requests.len();
    if failures > attempts || all > attempts + 1 + fallback {
        wrongs.push((Rule::Tries, format!("{} is asked {all} times, {failures} failed", device.0)));
    }
}

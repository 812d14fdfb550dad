//! What must be true of a broadcast that was enqueued, once everything is at rest.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::time::Duration;

use webpush_channels::store::Entry;
use webpush_channels::store::journal::{FailureId, Journal};
use webpush_channels::{BroadcastState, Failure, OutcomeKind, Report, SubscriptionId};

use super::super::direct::World;
use super::super::durable::{Deeds, id};
use super::super::members;
use super::super::record::{Device, End, Facts, Request, Rule};
use super::outcomes::Case;
use super::{Wrongs, by_device, sequence, tell};

/// A call takes less than that where it is slow.
const LATENCY: Duration = Duration::from_secs(1);
const PAGE: NonZeroU16 = NonZeroU16::new(7).unwrap();

pub async fn durable(world: &World, number: usize, deeds: Deeds, stable: &[(Entry, Device)]) {
    let report = world.inner.report(&id(number)).await.expect("it works").expect("it was enqueued");
    let totals = world.inner.totals(&members::channel(number)).await.expect("it works");
    let failures = failures(world, number).await;
    let mut wrongs = Wrongs::new();
    {
        let facts = world.record.facts();
        let aborted = facts.aborted.contains_key(&number);
        counts(world, &facts, (number, &report), &mut wrongs);
        if !aborted && totals.counts != report.counts {
            wrongs.push((Rule::Counts, format!("the channel's totals are {totals:?}: {report}")));
        }
        requests(world, &facts, number, (deeds, &report), &mut wrongs);
        if aborted {
            after_the_abort(&facts, number, &mut wrongs);
        } else {
            let known = !deeds.crashes && report.takeovers == 0;
            whole(world, &facts, (number, known), (&report, &failures), stable, &mut wrongs);
        }
    }
    tell(world, wrongs);
}

async fn failures(world: &World, number: usize) -> Vec<Failure> {
    let (mut all, mut after) = (Vec::new(), None::<FailureId>);
    loop {
        let page = world.inner.failures(&id(number), after, PAGE).await.expect("it works");
        all.extend(page.failures);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

fn counts(world: &World, facts: &Facts, (number, report): (usize, &Report), wrongs: &mut Wrongs) {
    let mut wrong = |holds: bool, rule, what: &str| {
        if !holds {
            wrongs.push((rule, format!("{what}: {report}")));
        }
    };
    let done = report.counts.total();
    wrong(done + report.pending == report.read, Rule::Counts, "outcomes and pending are not what was read");
    let origins: u64 = report.origins.iter().map(|origin| origin.counts.total()).sum();
    wrong(origins == done, Rule::Counts, "origins do not add up");
    let ended = matches!(report.state, BroadcastState::Finished | BroadcastState::TimedOut);
    wrong(!ended || report.pending == 0, Rule::SettledOnce, "it ended, and some are pending");
    let aborted = facts.aborted.contains_key(&number);
    wrong(ended || (aborted && report.state == BroadcastState::Aborted), Rule::Ends, "it has not ended");
    let removed = facts.removed.get(&number).copied().unwrap_or_default();
    let calm = world.plan.volatile == world.plan.users.len();
    wrong(!calm || removed == report.pruned, Rule::Counts, &format!("{removed} entries were removed"));
    wrong(report.pruned <= report.counts[OutcomeKind::Gone], Rule::Proof, "more was removed than is gone");
}

/// What was sent, when and how often.
fn requests(
    world: &World,
    facts: &Facts,
    number: usize,
    (deeds, report): (Deeds, &Report),
    wrongs: &mut Wrongs,
) {
    let begun = facts.begun[&number];
    let known = !deeds.crashes && report.takeovers == 0 && !facts.aborted.contains_key(&number);
    let (mut twice, deadline) = (0, begun + world.plan.send_within);
    for (device, requests) in by_device(facts, number) {
        let accepted =
            requests.iter().filter(|request| request.end.is_some_and(|(_, end)| end.is_accepted()));
        twice += accepted.count().saturating_sub(1);
        if known {
            sequence_of_leases(world, (begun, device), &requests, wrongs);
        } else if world.plan.naps.is_empty() && requests.iter().any(|request| request.at > deadline) {
            wrongs.push((Rule::Deadline, format!("{} is asked after the deadline", device.0)));
        }
    }
    let made = facts.of_broadcast(number).count() as u64;
    if known && made != report.attempts {
        wrongs.push((Rule::Attempts, format!("{made} requests were made: {report}")));
    }
    let hand = world.plan.limits.window + 2 * world.plan.limits.in_flight;
    let most = report.repeats + report.takeovers * hand as u64;
    if twice as u64 > most && !facts.aborted.contains_key(&number) {
        wrongs.push((Rule::Duplicates, format!("{twice} were accepted twice, not {most}: {report}")));
    }
    let all_known = known && !deeds.steered && deeds.rate.is_some();
    if let (true, Some(rate)) = (all_known && world.plan.away.is_none(), deeds.rate) {
        rate_of_leases(facts, number, f64::from(rate.get()) / 60.0, wrongs);
    }
}

/// As of a broadcast that ends here, but that an answer may be late: then it is asked for again.
fn sequence_of_leases(
    world: &World,
    (begun, device): (tokio::time::Instant, &Device),
    requests: &[&Request],
    wrongs: &mut Wrongs,
) {
    let late = |pair: &[&Request]| {
        let Some((at, _)) = pair[0].end else { return true };
        at - pair[0].at >= Duration::from_secs(2) || pair[1].at < at
    };
    let clean = requests.iter().all(|request| request.end.is_some_and(|(_, end)| end != End::Dropped))
        && !requests.windows(2).any(late);
    if clean {
        sequence(world, (begun, device), (requests, LATENCY), wrongs);
    } else if requests.iter().any(|request| request.at > begun + world.plan.send_within) {
        wrongs.push((Rule::Deadline, format!("{} is asked after the deadline", device.0)));
    }
}

/// Each lease makes some progress, and may make up for a second.
fn rate_of_leases(facts: &Facts, number: usize, per_second: f64, wrongs: &mut Wrongs) {
    let leases = facts.leases.iter().filter(|lease| lease.broadcast == number).count();
    let mut first: Vec<_> = by_device(facts, number).values().map(|requests| requests[0].at).collect();
    first.sort();
    for (n, at) in first.iter().enumerate() {
        let seconds = (*at - facts.begun[&number]).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let allowed = (per_second + leases as f64 / 60.0) * (seconds + 1.0) + 2.0 * leases as f64;
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        if n as f64 + 1.0 > allowed {
            return wrongs.push((Rule::Rate, format!("{n} were sent where {allowed} may be")));
        }
    }
}

/// Workers hear of it with their next checkpoint, or when their term is over.
fn after_the_abort(facts: &Facts, number: usize, wrongs: &mut Wrongs) {
    let last = facts.aborted[&number] + Duration::from_secs(31);
    if facts.of_broadcast(number).any(|request| request.at > last) {
        wrongs.push((Rule::Ends, format!("broadcast {number} is sent after its abort")));
    }
}

/// Whoever was there throughout was reached, or is listed with the reason, once.
fn whole(
    world: &World,
    facts: &Facts,
    (number, known): (usize, bool),
    (report, failures): (&Report, &[Failure]),
    stable: &[(Entry, Device)],
    wrongs: &mut Wrongs,
) {
    let mut listed: HashMap<SubscriptionId, &Failure> = HashMap::new();
    for failure in failures {
        if listed.insert(failure.subscription, failure).is_some() {
            wrongs.push((Rule::SettledOnce, format!("{} is listed twice", failure.subscription)));
        }
    }
    if failures.len() as u64 != report.counts.total() - report.counts[OutcomeKind::Accepted] {
        wrongs.push((Rule::Counts, format!("{} failures are listed: {report}", failures.len())));
    }
    let finished = report.state == BroadcastState::Finished;
    let calm = world.plan.volatile == world.plan.users.len();
    if calm && finished && report.read != stable.len() as u64 && facts.begun.len() == 1 {
        wrongs.push((Rule::Whole, format!("{} are there: {report}", stable.len())));
    }
    let by_device = by_device(facts, number);
    for (entry, device) in stable {
        let requests = by_device.get(device).map_or(&[][..], Vec::as_slice);
        let accepted = requests.iter().any(|request| request.end.is_some_and(|(_, end)| end.is_accepted()));
        let removed = !facts.rows.contains_key(&entry.subscription.id());
        match listed.get(&entry.subscription.id()) {
            Some(failure) => reason(world, facts, (number, known), (entry, failure, requests), wrongs),
            None if accepted => {}
            // Another broadcast removed it before this one was done with it, or the time was over.
            None if removed || !finished => {}
            None => wrongs.push((Rule::Whole, format!("{} was not reached, and has no reason", device.0))),
        }
    }
}

/// A failure follows from what was answered, to any worker.
fn reason(
    world: &World,
    facts: &Facts,
    (number, known): (usize, bool),
    (entry, failure, requests): (&Entry, &Failure, &[&Request]),
    wrongs: &mut Wrongs,
) {
    let origin = super::super::record::origin(entry.subscription.endpoint().as_str());
    let ends = requests.iter().filter_map(|request| request.end).map(|(_, end)| Some(end)).chain([None]);
    let several = facts.begun.len() > 1;
    let explained = ends.into_iter().any(|last| {
        let case = Case {
            plan: &world.plan,
            facts,
            origin: &origin,
            last,
            late: true,
            expires: true,
            limited: several,
            marked: true,
        };
        case.allows(failure.outcome)
    });
    // An answer that came to a worker that vanished is none.
    let lost = !known && failure.outcome == OutcomeKind::Unconfirmed && !requests.is_empty();
    if !explained && !lost {
        let ends: Vec<_> = requests.iter().map(|request| request.end).collect();
        wrongs.push((Rule::Explained, format!("broadcast {number}: {} after {ends:?}", failure.outcome)));
    }
}

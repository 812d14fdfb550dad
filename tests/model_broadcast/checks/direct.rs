//! What must be true of a broadcast that ended here.

use std::collections::HashMap;
use std::time::Duration;

use webpush_channels::store::{Entry, EntryRef};
use webpush_channels::{BroadcastState, Outcome, OutcomeKind, Report};

use super::super::direct::{Delivered, Ran, World};
use super::super::record::{Device, Facts, Rule};
use super::outcomes::Case;
use super::{Wrongs, by_device, sequence, tell};

pub fn direct(world: &World, ran: &Ran, stable: &[(Entry, Device)]) {
    let mut wrongs = Wrongs::new();
    {
        let facts = world.record.facts();
        let mut read: HashMap<EntryRef, i64> = HashMap::new();
        for entry in
            facts.reads.iter().filter(|read| read.broadcast == ran.number).flat_map(|read| &read.entries)
        {
            *read.entry(*entry).or_default() += 1;
        }
        let naps = !world.plan.naps.is_empty();
        for (device, requests) in by_device(&facts, ran.number) {
            if !naps {
                sequence(world, (ran.begun, device), (&requests, world.plan.slack()), &mut wrongs);
            }
        }
        if ran.listened {
            settled(&facts, ran, &read, &mut wrongs);
            for delivered in &ran.deliveries {
                explained(world, &facts, ran, delivered, &mut wrongs);
            }
            attempts(&facts, ran, &mut wrongs);
        }
        if let Some(report) = &ran.report {
            counts(world, &facts, (ran, report), &read, &mut wrongs);
        }
        whole(world, &facts, ran, stable, &mut wrongs);
        ended(world, &facts, ran, &mut wrongs);
        rate(&facts, ran, &mut wrongs);
    }
    tell(world, wrongs);
}

/// Every entry that was read has one outcome, and nobody else has any.
fn settled(facts: &Facts, ran: &Ran, read: &HashMap<EntryRef, i64>, wrongs: &mut Wrongs) {
    let mut open = read.clone();
    for delivered in &ran.deliveries {
        *open.entry(delivered.reference).or_default() -= 1;
    }
    let (twice, pending) =
        (open.values().filter(|n| **n < 0).count(), open.values().filter(|n| **n > 0).count());
    let may_pend = ran.dropped || ran.failed;
    if twice > 0 || (pending > 0 && !may_pend) {
        let what = format!(
            "{twice} entries were settled more often than read, {pending} never: {}",
            facts.reads.len()
        );
        wrongs.push((Rule::SettledOnce, what));
    }
}

fn explained(world: &World, facts: &Facts, ran: &Ran, delivered: &Delivered, wrongs: &mut Wrongs) {
    let mut requests = facts.requests_to(ran.number, &delivered.device);
    let last = requests.by_ref().last();
    // One entry that was read twice, as another's, has the requests of both.
    let same = ran.deliveries.iter().filter(|other| other.device == delivered.device).count();
    if same > 1 {
        return;
    }
    let origin = super::super::record::origin(&delivered.device.0);
    let deadline = ran.begun + world.plan.send_within;
    // A pause that is longer than the rest of the time is the end at once.
    let longest = Duration::from_secs(if last.is_some() { 7300 } else { 0 });
    let case = Case {
        plan: &world.plan,
        facts,
        origin: &origin,
        last: last.and_then(|request| request.end).map(|(_, end)| end),
        late: delivered.at >= deadline,
        expires: delivered.at + longest >= deadline || last.is_some() || waits(facts, &origin),
        limited: delivered.entry.payload_limit.is_some(),
        marked: delivered.entry.needs_renewal,
    };
    let allowed = match delivered.outcome {
        Outcome::Skipped(reason) => {
            case.allows_skip(reason, delivered.entry.subscription.expiration_time().is_some())
        }
        ref outcome => case.allows(outcome.kind()),
    };
    if !allowed {
        let what = format!("{}: {:?} after {:?}", delivered.device.0, delivered.outcome, case.last);
        wrongs.push((Rule::Explained, what));
    }
}

/// Somebody at this push service was told to wait, or had no answer.
fn waits(facts: &Facts, origin: &str) -> bool {
    // Where tokens are refused, a few ask whether that is over, and the others wait.
    let waits = |end: super::super::record::End| end.is_failure() || matches!(end.code(), Some(401 | 403));
    facts
        .requests
        .iter()
        .any(|request| request.origin == origin && request.end.is_some_and(|(_, end)| waits(end)))
}

/// The requests that are counted are those that were made.
fn attempts(facts: &Facts, ran: &Ran, wrongs: &mut Wrongs) {
    if ran.dropped || ran.failed {
        return;
    }
    let mut counted: HashMap<&Device, usize> = HashMap::new();
    for delivered in &ran.deliveries {
        *counted.entry(&delivered.device).or_default() += usize::from(delivered.attempts);
    }
    let made = by_device(facts, ran.number);
    let wrong = counted.iter().find(|(device, n)| made.get(**device).map_or(0, Vec::len) != **n);
    if let Some((device, n)) = wrong {
        let made = made.get(*device).map_or(0, Vec::len);
        wrongs.push((Rule::Attempts, format!("{} was asked {made} times, and {n} are counted", device.0)));
    }
}

fn counts(
    world: &World,
    facts: &Facts,
    (ran, report): (&Ran, &Report),
    read: &HashMap<EntryRef, i64>,
    wrongs: &mut Wrongs,
) {
    let mut wrong = |holds: bool, rule, what: &str| {
        if !holds {
            wrongs.push((rule, format!("{what}: {report}")));
        }
    };
    let all = read.values().sum::<i64>();
    wrong(report.read.cast_signed() == all, Rule::Counts, "another number of entries was read");
    let (done, total) = (report.counts.total(), report.counts.total() + report.pending);
    wrong(total == report.read, Rule::Counts, "outcomes and pending are not what was read");
    let ended = matches!(report.state, BroadcastState::Finished | BroadcastState::TimedOut);
    wrong(!ended || report.pending == 0, Rule::SettledOnce, "it ended, and some are pending");
    wrong(ended != ran.failed, Rule::Counts, "an error is no end");
    let origins: u64 = report.origins.iter().map(|origin| origin.counts.total()).sum();
    wrong(origins == done, Rule::Counts, "origins do not add up");
    let progress = ran.progress;
    let same = (progress.read, progress.done, progress.attempts) == (report.read, done, report.attempts);
    wrong(same, Rule::Counts, &format!("the progress says something else: {progress:?}"));
    let made = facts.of_broadcast(ran.number).count() as u64;
    wrong(made == report.attempts, Rule::Attempts, &format!("{made} requests were made"));
    let gone = report.counts[OutcomeKind::Gone];
    wrong(report.pruned + report.withheld <= gone, Rule::Proof, "more was removed than is gone");
    // Whose answer a removal followed is not known where several had the same.
    let removed: u64 = facts.removed.values().sum();
    let exact = facts.lost_answers == 0 && world.plan.volatile == world.plan.users.len();
    wrong(!exact || removed >= report.pruned, Rule::Counts, &format!("{removed} were removed"));
}

/// Whoever was there throughout was read, once.
fn whole(world: &World, facts: &Facts, ran: &Ran, stable: &[(Entry, Device)], wrongs: &mut Wrongs) {
    let finished = match &ran.report {
        Some(report) => report.state == BroadcastState::Finished,
        // A stream does not say it; where nothing was dropped and the time is not over, it did.
        None => !ran.dropped && !ran.failed && ran.ended < ran.begun + world.plan.send_within,
    };
    let reads = facts.reads.iter().filter(|read| read.broadcast == ran.number);
    let mut times: HashMap<EntryRef, usize> = HashMap::new();
    reads.flat_map(|read| &read.entries).for_each(|entry| *times.entry(*entry).or_default() += 1);
    for (entry, device) in stable {
        let reference = entry.reference();
        let read = times.get(&reference).copied().unwrap_or_default();
        // Another broadcast may have removed it before it was this one's turn.
        let removed = !facts.rows.contains_key(&reference.id);
        if read > 1 || (finished && read == 0 && !removed) {
            wrongs.push((Rule::Whole, format!("{} was read {read} times", device.0)));
        }
    }
}

/// After its end nothing of it is on its way.
fn ended(world: &World, facts: &Facts, ran: &Ran, wrongs: &mut Wrongs) {
    // What was dropped before a nap may be gone after it.
    let end = ran.ended + world.plan.naps.iter().map(|(_, nap)| *nap).sum::<Duration>() + world.plan.slack();
    let late = facts
        .of_broadcast(ran.number)
        .filter(|request| request.at > end || request.end.is_none_or(|(at, _)| at > end))
        .count();
    if late > 0 {
        wrongs.push((Rule::Quiet, format!("{late} requests of broadcast {} outlive it", ran.number)));
    }
}

/// First attempts keep to the rate; what was not sent within a second may be made up for.
fn rate(facts: &Facts, ran: &Ran, wrongs: &mut Wrongs) {
    let Some(rate) = ran.per_minute else { return };
    let per_second = f64::from(rate.get()) / 60.0;
    let mut first: Vec<_> = by_device(facts, ran.number).values().map(|requests| requests[0].at).collect();
    first.sort();
    for (number, at) in first.iter().enumerate() {
        let (allowed, number) = (per_second * ((*at - ran.begun).as_secs_f64() + 1.0) + 2.0, number + 1);
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        if number as f64 > allowed {
            wrongs.push((Rule::Rate, format!("{number} were sent where {allowed} may be")));
            return;
        }
    }
}

//! Leases of a journal against a model of fencing: who has which work, and whose checkpoint counts.
//!
//! No clock is waited for: a term of zero has passed at once, so that another one takes the work over while
//! the last one goes on. What is strict is what fencing is for: nobody gets what somebody has, and nothing is
//! stored under a lease whose work was given back, taken over or ended. Whether a checkpoint that meets the
//! end of its term is in time, when nobody took the work, is the storage's clock's to say.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinHandle, yield_now};
use webpush_channels::store::journal::{
    Checkpoint, Journal, JournalError, JournalErrorKind, LeaseToken, NewBroadcast, State as Stands, Work,
    WorkerId,
};
use webpush_channels::store::{Audience, Position, Range};
use webpush_channels::{
    BroadcastId, ChannelName, Counts, Message, OriginLabel, OriginReport, OutcomeKind, Payload, Ttl, Vendor,
};

use super::linear::{Event, orders};
use super::ops::Stamps;

const TASKS: usize = 4;
const OPS: usize = 5;
const RANGES: usize = 2;
const TAG: [u8; 8] = *b"a model\0";
const LONG: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flaw {
    None,
    /// Gives out what somebody has.
    GivesTwice,
    /// Says that it stored what it did not.
    Forgets,
    /// Does not mind who lost the lease.
    Forgives,
    /// Stores a checkpoint twice.
    Repeats,
}

impl Flaw {
    pub(crate) const ALL: &[Self] = &[Self::GivesTwice, Self::Forgets, Self::Forgives, Self::Repeats];
}

/// One range.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Share {
    done: bool,
    /// The token of the last lease, as a number, and the last checkpoint stored under it.
    lease: Option<(usize, u64)>,
    /// Whether its term has not passed.
    live: bool,
    position: Option<u64>,
}

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct State {
    shares: [Share; RANGES],
    read: u64,
    takeovers: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Leased { range: usize, after: Option<u64>, token: usize, live: bool },
    Stored { token: usize, number: u64, done: bool, live: bool, said: Said },
    Released(usize),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    Running,
    Finished,
    Lost,
}

impl State {
    /// What a step can make of it; nothing where it cannot have said what it did.
    fn next(&self, step: &Step) -> Vec<Self> {
        let mut next = self.clone();
        match *step {
            Step::Leased { range, after, token, live } => {
                let share = &mut next.shares[range];
                if share.done || share.live || share.position != after {
                    return Vec::new();
                }
                next.takeovers += u64::from(share.lease.is_some());
                (share.lease, share.live) = (Some((token, 0)), live);
                vec![next]
            }
            Step::Stored { token, number, done, live, said } => self.stored(token, number, done, live, said),
            Step::Released(token) => {
                let Some(share) = next.shares.iter_mut().find(|share| share.has(token)) else {
                    return vec![next];
                };
                let passed = !share.live;
                (share.lease, share.live) = (None, false);
                // Whether one whose term has passed can still be given back, is left open.
                if passed { vec![next, self.clone()] } else { vec![next] }
            }
        }
    }

    fn stored(&self, token: usize, number: u64, done: bool, live: bool, said: Said) -> Vec<Self> {
        let mut next = self.clone();
        let Some(share) = next.shares.iter_mut().find(|share| share.has(token)) else {
            return if said == Said::Lost { vec![next] } else { Vec::new() };
        };
        if said == Said::Lost {
            return if share.live { Vec::new() } else { vec![next] };
        }
        if share.lease.is_some_and(|(_, last)| number <= last) {
            // It was sent again, or overtaken: answered, perhaps with a new term.
            share.live = live;
            return if said == Said::Running { vec![next, self.clone()] } else { Vec::new() };
        }
        (share.lease, share.live, share.position) = (Some((token, number)), live, Some(number));
        if done {
            (share.lease, share.live, share.done) = (None, false, true);
        }
        next.read += 1;
        let finished = next.shares.iter().all(|share| share.done);
        if said == if finished { Said::Finished } else { Said::Running } { vec![next] } else { Vec::new() }
    }
}

impl Share {
    fn has(&self, token: usize) -> bool {
        self.lease.is_some_and(|(known, _)| known == token)
    }
}

/// A journal with several handles, everything that it leased in this round, and a flaw.
struct Nodes {
    handles: Vec<Arc<dyn Journal>>,
    flaw: Flaw,
    leased: Mutex<Vec<(LeaseToken, Step)>>,
    numbers: AtomicU64,
    stamps: Stamps,
}

fn broadcast(round: u64) -> NewBroadcast {
    let id = BroadcastId::new(format!("round{round}")).unwrap();
    let to = Audience::Channel(ChannelName::new("news").unwrap());
    NewBroadcast::new(id, to, Message::new(Payload::new("hello").unwrap(), Ttl::hours(1)), 24 * LONG)
}

#[allow(clippy::needless_pass_by_value, reason = "it maps errors")]
fn failed(error: JournalError) -> String {
    format!("{error}: {:?}", std::error::Error::source(&error))
}

/// One entry more, up to a position of the checkpoint's number.
fn one_more(number: u64, done: bool, live: bool) -> Checkpoint {
    let mut checkpoint = Checkpoint::new(number, if live { LONG } else { Duration::ZERO });
    let mut counts = Counts::default();
    counts.add(OutcomeKind::Accepted, 1);
    checkpoint.counts = vec![OriginReport::new(OriginLabel::Vendor(Vendor::Fcm), counts)];
    (checkpoint.position, checkpoint.read, checkpoint.done) =
        (Some(Position::encode(TAG, [number])), 1, done);
    checkpoint
}

impl Nodes {
    fn handle(&self, node: usize) -> &dyn Journal {
        &*self.handles[node % self.handles.len()]
    }

    async fn lease(&self, node: usize, live: bool) -> Result<Option<Step>, String> {
        let term = if live { LONG } else { Duration::ZERO };
        let worker = WorkerId::from_bytes([u8::try_from(node).unwrap(); 16]);
        let lease = self.handle(node).lease(&worker, term, NonZeroU16::MIN).await.map_err(failed)?;
        let mut leased = self.leased.lock().unwrap();
        let Some(lease) = lease else {
            let twice = leased.last().filter(|_| self.flaw == Flaw::GivesTwice);
            return Ok(twice.map(|(_, step)| step.clone()));
        };
        let Work::Range { range, after } = lease.work else { return Err("there are no retries".into()) };
        let [range] = range.decode(TAG).map_err(|error| error.to_string())?;
        let after = after.map(|after| after.decode(TAG).map_or(u64::MAX, |[number]| number));
        let step = Step::Leased { range: usize::try_from(range).unwrap(), after, token: leased.len(), live };
        leased.push((lease.token, step.clone()));
        Ok(Some(step))
    }

    async fn checkpoint(&self, node: usize, token: usize, done: bool, live: bool) -> Result<Step, String> {
        let number = self.numbers.fetch_add(1, Ordering::SeqCst);
        let lease = self.leased.lock().unwrap()[token].0;
        let mut checkpoint = one_more(number, done, live);
        match self.flaw {
            Flaw::Forgets => (checkpoint.read, checkpoint.counts) = (0, Vec::new()),
            Flaw::Repeats => checkpoint.read = 2,
            _ => {}
        }
        let said = match self.handle(node).checkpoint(&lease, checkpoint).await {
            Ok(Stands::Running(_)) => Said::Running,
            Ok(Stands::Finished) => Said::Finished,
            Err(_) if self.flaw == Flaw::Forgives => Said::Running,
            Err(error) if error.kind() == JournalErrorKind::LeaseLost => Said::Lost,
            Err(error) => return Err(failed(error)),
            Ok(other) => return Err(format!("{other:?}")),
        };
        Ok(Step::Stored { token, number, done, live, said })
    }

    /// A random step of a node; whose lease it is about, nobody minds.
    async fn step(&self, node: usize, random: &mut fastrand::Rng) -> Result<Option<Event<Step>>, String> {
        let known = self.leased.lock().unwrap().len();
        let token = random.usize(known.saturating_sub(4)..known.max(1));
        let (live, done) = (random.u8(0..4) > 0, random.u8(0..6) == 0);
        let began = self.stamps.next();
        let step = match random.u8(0..8) {
            3..7 if known > 0 => Some(self.checkpoint(node, token, done, live).await?),
            7 if known > 0 => {
                let lease = self.leased.lock().unwrap()[token].0;
                self.handle(node).release(&lease).await.map_err(failed)?;
                Some(Step::Released(token))
            }
            _ => self.lease(node, live).await?,
        };
        let ended = self.stamps.next();
        Ok(step.map(|step| Event { began, ended, steps: vec![step], in_order: true }))
    }
}

async fn work(nodes: Arc<Nodes>, node: usize, mut random: fastrand::Rng) -> Result<Vec<Event<Step>>, String> {
    let mut events = Vec::new();
    for _ in 0..OPS {
        for _ in 0..random.u8(0..4) {
            yield_now().await;
        }
        events.extend(nodes.step(node, &mut random).await?);
    }
    Ok(events)
}

/// Rounds of one broadcast each; returns how many steps agreed.
pub(crate) async fn agree(
    handles: Vec<Arc<dyn Journal>>,
    flaw: Flaw,
    seed: u64,
    rounds: u64,
) -> Result<usize, String> {
    let (mut random, mut agreed) = (fastrand::Rng::with_seed(seed), 0);
    for round in 0..rounds {
        let (leased, stamps) = Default::default();
        let numbers = AtomicU64::new(1);
        let nodes = Arc::new(Nodes { handles: handles.clone(), flaw, leased, numbers, stamps });
        let ranges: Vec<Range> = (0..RANGES as u64).map(|number| Range::encode(TAG, [number])).collect();
        let broadcast = broadcast(round);
        nodes.handle(0).begin(&broadcast, &ranges).await.map_err(failed)?;
        let tasks: Vec<JoinHandle<_>> =
            (0..TASKS).map(|node| tokio::spawn(work(Arc::clone(&nodes), node, random.fork()))).collect();
        let mut history = Vec::new();
        for task in tasks {
            history.push(task.await.map_err(|error| error.to_string())??);
        }
        let report = nodes.handle(1).report(&broadcast.id).await.map_err(failed)?.ok_or("it is unknown")?;
        let ends = orders(&[State::default()], &history, State::next);
        // Some count a lease whose term passed as taken over before its work is.
        if !ends.iter().any(|end| end.read == report.read && end.takeovers <= report.takeovers) {
            let (read, takeovers) = (report.read, report.takeovers);
            return Err(format!(
                "no order leads to {read} entries, {takeovers} takeovers, in round {round}: {history:#?}"
            ));
        }
        agreed += history.iter().flatten().count();
        nodes.handle(0).abort(&broadcast.id).await.map_err(failed)?;
        nodes.handle(0).purge(Duration::ZERO).await.map_err(failed)?;
    }
    Ok(agreed)
}

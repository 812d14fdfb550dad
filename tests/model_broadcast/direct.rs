//! Broadcasts that end where they began, at random.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use webpush_channels::channel::{
    Broadcast, Channels, Controls, Deliveries, Progress, Publication, RemovalHook, Removals, Review, Snapshot,
};
use webpush_channels::engine::vapid::{Vapid, VapidKey};
use webpush_channels::sender::{RetryPolicy, Sender};
use webpush_channels::store::journal::Journal;
use webpush_channels::store::{Audience, Entry, EntryRef, MemoryStore};
use webpush_channels::{Clock, CollapseKey, Message, Outcome, Payload, Report, Ttl};

use super::checks;
use super::members::{self, channel};
use super::mutants::Broken;
use super::plan::{Plan, rng};
use super::push::{Labelling, Push, Walled, label};
use super::record::{Device, Record, Rule, Violation, device};
use super::shaky::Shaky;

/// One case's doubles, and what they stand on.
#[derive(Clone, Debug)]
pub struct World {
    pub plan: Arc<Plan>,
    pub record: Arc<Record>,
    pub inner: Arc<dyn Journal>,
    pub store: Arc<Shaky>,
    pub broken: Option<Broken>,
}

#[derive(Debug)]
struct Hook(World);

impl RemovalHook for Hook {
    fn review(&self, removals: &Removals<'_>) -> Review {
        let mut facts = self.0.record.facts();
        let withholds = self.0.plan.withholding.contains(removals.origin.as_str());
        if withholds && self.0.broken != Some(Broken::BypassesHook) {
            facts.withheld += removals.entries.len() as u64;
            facts.fault("removals withheld");
            return Review::Withhold;
        }
        facts.passed.extend(removals.entries);
        Review::Apply
    }
}

impl World {
    pub async fn new(plan: Plan, broken: Option<Broken>, stop_at: Option<usize>) -> Self {
        Self::over(Arc::new(MemoryStore::new()), plan, broken, stop_at).await
    }

    pub async fn over(
        inner: Arc<dyn Journal>,
        plan: Plan,
        broken: Option<Broken>,
        stop_at: Option<usize>,
    ) -> Self {
        let (plan, record) = (Arc::new(plan), Arc::new(Record::new(stop_at)));
        members::populate(&inner, &plan, &record).await;
        let store = Shaky::new(Arc::clone(&inner), Arc::clone(&record), Arc::clone(&plan), broken);
        Self { plan, record, inner, store, broken }
    }

    /// A node's hub.
    pub fn hub(&self, node: usize) -> Channels {
        let mut scalar = [7; 32];
        scalar[0] = 1;
        let key = VapidKey::from_scalar(&scalar).expect("it is a scalar");
        let vapid = Vapid::new(key, "mailto:ops@example.org".parse().expect("a contact"));
        let Self { plan, record, broken, .. } = self.clone();
        let late = broken == Some(Broken::SetsTheClockBack);
        let clock = Arc::new(Walled(Arc::clone(&record), late));
        let vapid = vapid.with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        let push = Push { node, record, plan: Arc::clone(&plan), broken };
        let retry = RetryPolicy::default().with_attempts(plan.attempts);
        let retry = retry.with_backoff(plan.backoff, Duration::from_secs(300));
        let sender = Sender::builder(vapid, push)
            .encryptor(Labelling(Arc::clone(&plan)))
            .clock(clock)
            .per_origin(plan.per_origin)
            .retry(retry)
            .seed(plan.seed)
            .build();
        Channels::builder(Arc::clone(&self.store), sender)
            .limits(plan.limits.clone())
            .removal_hook(Hook(self.clone()))
            .build()
    }

    pub fn message(&self, broadcast: usize) -> Message {
        let payload = |len| Payload::new(label(broadcast, len)).expect("it is short");
        let mut message =
            Message::new(payload(if self.plan.fallback { 1000 } else { 200 }), Ttl::from_secs(self.plan.ttl));
        if self.plan.fallback {
            message = message.with_fallback(payload(20));
        }
        if self.plan.collapses {
            message = message.with_collapse_key(CollapseKey::new("one").expect("it is a key"));
        }
        message
    }

    pub fn broadcast(&self, number: usize) -> Broadcast {
        Broadcast::new(self.message(number)).with_send_within(self.plan.send_within)
    }

    pub fn publication(&self, number: usize) -> Publication {
        publication(number, self.broadcast(number))
    }

    /// The wall clock's jumps, the machine's naps, and the members' comings and goings.
    pub fn disturb(&self, tasks: &mut JoinSet<()>) {
        let Self { plan, record, inner, .. } = self.clone();
        tasks.spawn(members::live(inner, Arc::clone(&plan), Arc::clone(&record)));
        for (at, by) in plan.jumps.clone() {
            let record = Arc::clone(&record);
            tasks.spawn(async move {
                sleep(at).await;
                record.wall.jump(by);
                let mut facts = record.facts();
                facts.jumps.insert(Instant::now());
                facts.fault("wall clock changed");
            });
        }
        for (at, nap) in plan.naps.clone() {
            let record = Arc::clone(&record);
            tasks.spawn(async move {
                sleep(at).await;
                record.facts().fault("process slept");
                tokio::time::advance(nap).await;
            });
        }
    }

    pub fn violations(&self) -> Vec<Violation> {
        self.record.facts().violations.clone()
    }
}

pub fn publication(number: usize, broadcast: Broadcast) -> Publication {
    Publication::new(Audience::Channel(channel(number)), broadcast)
}

/// One delivery, as the consumer got it.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub reference: EntryRef,
    pub entry: Entry,
    pub device: Device,
    pub outcome: Outcome,
    pub attempts: u8,
    pub at: Instant,
}

/// What became of one broadcast.
#[derive(Debug)]
pub struct Ran {
    pub number: usize,
    pub begun: Instant,
    pub ended: Instant,
    pub deliveries: Vec<Delivered>,
    pub report: Option<Report>,
    pub progress: Snapshot,
    pub failed: bool,
    pub dropped: bool,
    /// Its deliveries were looked at.
    pub listened: bool,
    pub per_minute: Option<NonZeroU32>,
}

/// How a broadcast is listened to.
#[derive(Clone, Copy, Debug)]
enum Ears {
    /// `publish`.
    None,
    Prompt,
    /// It takes so long for each delivery.
    Slow(Duration),
    /// It has enough after so many, or after so long.
    Drops(usize, Duration),
}

/// One case. Returns what was found to be wrong.
pub async fn case(plan: Plan, broken: Option<Broken>) -> World {
    let world = World::new(plan, broken, None).await;
    let stable = members::stable(&world.inner, &world.plan).await;
    let rng = &mut rng((world.plan.seed, "direct"));
    let (hub, mut chaos, mut running) = (world.hub(0), JoinSet::new(), JoinSet::new());
    world.disturb(&mut chaos);
    for number in 0..rng.usize(1..4) {
        let (controls, progress) = (Controls::default(), Progress::default());
        let per_minute = NonZeroU32::new([0, 0, 0, 60, 600, 20_000][rng.usize(0..6)]);
        let per_minute = per_minute.filter(|_| !world.plan.real);
        let mut broadcast = world.broadcast(number).with_progress(&progress).with_controls(&controls);
        if let Some(rate) = per_minute {
            broadcast = broadcast.with_rate(rate);
        }
        let ears = match rng.u8(0..6) {
            0 => Ears::None,
            1..=3 => Ears::Prompt,
            4 => Ears::Slow(Duration::from_millis(rng.u64(1..if world.plan.real { 10 } else { 400 }))),
            _ => Ears::Drops(rng.usize(0..10), Duration::from_millis(rng.u64(0..8000))),
        };
        if rng.u8(0..3) == 0 && !world.plan.real {
            chaos.spawn(steer(world.clone(), number, controls, rng.fork()));
        }
        let run = run(world.clone(), hub.clone(), (number, broadcast, progress), ears, per_minute);
        let delay = Duration::from_millis(rng.u64(0..500));
        running.spawn(async move {
            sleep(delay).await;
            run.await
        });
    }
    let mut all = Vec::new();
    while let Some(ran) = running.join_next().await {
        all.push(ran.expect("it does not panic"));
    }
    quiet(&world, None).await;
    chaos.shutdown().await;
    for ran in &all {
        checks::direct(&world, ran, &stable);
    }
    checks::always(&world);
    members::check_rows(&world.inner, &world.plan, &world.record).await;
    world
}

/// Pauses a broadcast by hand, and lets it go on.
async fn steer(world: World, number: usize, controls: Controls, mut rng: fastrand::Rng) {
    for _ in 0..rng.usize(1..3) {
        sleep(Duration::from_millis(rng.u64(0..5000))).await;
        controls.pause();
        let from = Instant::now();
        sleep(Duration::from_millis(rng.u64(100..30_000))).await;
        controls.resume();
        let mut facts = world.record.facts();
        facts.pauses.push((number, from, Instant::now()));
        facts.fault("paused by hand");
    }
}

async fn run(
    world: World,
    hub: Channels,
    (number, broadcast, progress): (usize, Broadcast, Progress),
    ears: Ears,
    per_minute: Option<NonZeroU32>,
) -> Ran {
    let begun = Instant::now();
    let publication = publication(number, broadcast);
    // A store that is away is asked for three seconds, and everything may take a nap.
    let naps: Duration = world.plan.naps.iter().map(|(_, nap)| *nap).sum();
    let patience = world.plan.send_within + naps + Duration::from_secs(300);
    let mut ran = Ran {
        number,
        begun,
        ended: begun,
        deliveries: Vec::new(),
        report: None,
        progress: progress.snapshot(),
        failed: false,
        dropped: false,
        listened: !matches!(ears, Ears::None),
        per_minute,
    };
    if let Ears::None = ears {
        match timeout(patience, hub.publish(publication)).await {
            Ok(Ok(report)) => ran.report = Some(report),
            Ok(Err(error)) => (ran.failed, ran.report) = (true, Some(*error.report)),
            Err(_) => world.record.facts().wrong(Rule::Ends, format!("it runs for longer than {patience:?}")),
        }
    } else {
        listen(&world, hub.deliveries(publication), (&mut ran, &progress), ears, patience).await;
    }
    ran.ended = Instant::now();
    ran.progress = progress.snapshot();
    ran
}

async fn listen(
    world: &World,
    mut deliveries: Deliveries,
    (ran, progress): (&mut Ran, &Progress),
    ears: Ears,
    patience: Duration,
) {
    let most = world.plan.limits.window + world.plan.limits.deferred;
    let end = ran.begun + if let Ears::Drops(_, after) = ears { after } else { patience };
    loop {
        let Ok(next) = timeout_at(end, deliveries.next()).await else {
            ran.dropped = true;
            if !matches!(ears, Ears::Drops(..)) {
                world.record.facts().wrong(Rule::Ends, format!("it runs for longer than {patience:?}"));
            }
            break;
        };
        let Snapshot { read, done, .. } = progress.snapshot();
        world.record.facts().check(read - done <= most as u64, Rule::Window, || {
            format!("{read} entries are read and {done} settled, that is more than {most}")
        });
        let delivery = match next {
            None => break,
            Some(Err(error)) => {
                (ran.failed, ran.report) = (true, Some(*error.report));
                continue;
            }
            Some(Ok(delivery)) => delivery,
        };
        ran.deliveries.push(Delivered {
            reference: delivery.entry.reference(),
            device: device(&delivery.entry),
            entry: delivery.entry,
            outcome: delivery.outcome,
            attempts: delivery.attempts,
            at: Instant::now(),
        });
        match ears {
            Ears::Slow(time) => sleep(time).await,
            Ears::Drops(enough, _) if ran.deliveries.len() >= enough => {
                ran.dropped = true;
                break;
            }
            _ => {}
        }
    }
    drop(deliveries);
    if ran.dropped {
        world.record.facts().fault("stream dropped");
    }
}

/// Nothing is on its way, and nothing starts any more.
pub async fn quiet(world: &World, node: Option<usize>) {
    // Elsewhere a task ends a little later.
    if world.plan.real {
        sleep(Duration::from_millis(50)).await;
    }
    tokio::task::yield_now().await;
    let here = |request: &&super::record::Request| node.is_none_or(|node| request.node == node);
    let (flying, before) = {
        let facts = world.record.facts();
        let requests: Vec<_> = facts.requests.iter().filter(here).collect();
        (requests.iter().filter(|request| request.end.is_none()).count(), requests.len())
    };
    sleep(if world.plan.real { Duration::from_millis(100) } else { Duration::from_secs(3600) }).await;
    let mut facts = world.record.facts();
    let after = facts.requests.iter().filter(here).count() - before;
    facts.check(flying + after == 0, Rule::Quiet, || {
        format!("{flying} requests are in flight after the end, and {after} start")
    });
}

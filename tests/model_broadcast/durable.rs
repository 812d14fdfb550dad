//! Broadcasts that several workers share, and that survive them, at random.

use std::future::pending;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use webpush_channels::BroadcastId;
use webpush_channels::channel::{DurableChannel, Worker};
use webpush_channels::store::journal::{Control, Journal};

use super::checks;
use super::direct::{World, publication, quiet};
use super::members;
use super::mutants::Broken;
use super::plan::{Plan, rng};
use super::record::Rule;

/// How a worker ends.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is told to stop, and may go on for so long.
    Stops(Duration),
    Vanishes,
}

pub fn id(number: usize) -> BroadcastId {
    BroadcastId::new(format!("b{number}")).expect("it is an id")
}

/// What was done to the workers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deeds {
    /// Workers vanished, or the machine slept: leases were lost.
    pub crashes: bool,
    /// A rate was set later.
    pub steered: bool,
    pub rate: Option<NonZeroU32>,
}

pub async fn case(plan: Plan, broken: Option<Broken>) -> World {
    let mut plan = plan;
    plan.fatal = None;
    let world = World::new(plan, broken, None).await;
    let stable = members::stable(&world.inner, &world.plan).await;
    let rng = &mut rng((world.plan.seed, "durable"));
    let mut deeds = Deeds { crashes: !world.plan.naps.is_empty(), ..Deeds::default() };
    let (mut chaos, mut lives, broadcasts) = (JoinSet::new(), JoinSet::new(), rng.usize(1..4));
    world.disturb(&mut chaos);
    deeds.rate = NonZeroU32::new([0, 0, 0, 120, 6000][rng.usize(0..5)]);
    if broken == Some(Broken::IgnoresRates) {
        deeds.rate = NonZeroU32::new(120);
    }
    for number in 0..broadcasts {
        let delay = Duration::from_millis(rng.u64(0..500));
        lives.spawn(enqueue(world.clone(), number, deeds.rate, delay, rng.u16(1..6)));
        if rng.u8(0..4) == 0 {
            deeds.steered = true;
            lives.spawn(steer(world.clone(), number, rng.fork(), deeds.rate));
        }
    }
    for node in 0..rng.usize(0..4) {
        let vanishes = rng.bool() && broken != Some(Broken::ForgetsPositions);
        let fate = if vanishes { Fate::Vanishes } else { Fate::Stops(Duration::from_secs(rng.u64(0..12))) };
        deeds.crashes |= matches!(fate, Fate::Vanishes);
        let term = Duration::from_secs([1, 3, 30][rng.usize(0..3)]);
        let leases = NonZeroUsize::new(rng.usize(1..5)).expect("not zero");
        let (begins, lasts) = (rng.u64(0..20_000), rng.u64(1..60_000));
        lives.spawn(live(world.clone(), node, (term, leases), fate, (begins, lasts)));
    }
    while let Some(ended) = lives.join_next().await {
        ended.expect("it does not panic");
    }
    // What fails for ever is no fault, and the members come to rest some time, too.
    world.store.calm.store(rng.bool(), Ordering::SeqCst);
    let last = Worker::builder(world.hub(99), Arc::clone(&world.store)).build();
    let longest = world.plan.send_within + Duration::from_secs(3600);
    match timeout(longest, last.run_until_idle()).await {
        Ok(done) => done.expect("nothing fails for good"),
        Err(_) => world.record.facts().wrong(Rule::Ends, format!("it runs for longer than {longest:?}")),
    }
    drop(last);
    quiet(&world, None).await;
    chaos.shutdown().await;
    for number in 0..broadcasts {
        checks::durable(&world, number, deeds, &stable).await;
    }
    checks::always(&world);
    members::check_rows(&world.inner, &world.plan, &world.record).await;
    world
}

pub async fn enqueue(world: World, number: usize, rate: Option<NonZeroU32>, delay: Duration, ranges: u16) {
    sleep(delay).await;
    let channel =
        DurableChannel::new(Arc::clone(&world.store)).with_ranges(NonZeroU16::new(ranges).expect("not zero"));
    let mut broadcast = world.broadcast(number).with_id(id(number));
    if let Some(rate) = rate {
        broadcast = broadcast.with_rate(rate);
    }
    let publication = publication(number, broadcast);
    while let Err(error) = channel.enqueue(publication.clone()).await {
        assert!(error.is_retryable(), "{error}");
        sleep(Duration::from_secs(1)).await;
    }
}

/// Until it works.
async fn control(world: &World, number: usize, control: Control) {
    while world.store.control(&id(number), control).await.is_err() {
        sleep(Duration::from_millis(300)).await;
    }
}

/// Pauses a broadcast, or aborts it.
async fn steer(world: World, number: usize, mut rng: fastrand::Rng, rate: Option<NonZeroU32>) {
    sleep(Duration::from_millis(rng.u64(500..15_000))).await;
    if rng.u8(0..3) == 0 {
        while world.store.abort(&id(number)).await.is_err() {
            sleep(Duration::from_millis(300)).await;
        }
        return world.record.facts().fault("aborted");
    }
    let mut paused = Control::default();
    (paused.paused, paused.per_minute) = (true, rate);
    control(&world, number, paused).await;
    // Workers see it with their next checkpoint, or have no lease after its term.
    sleep(Duration::from_secs(31)).await;
    let from = Instant::now();
    sleep(Duration::from_millis(rng.u64(100..60_000))).await;
    world.record.facts().pauses.push((number, from, Instant::now()));
    world.record.facts().fault("paused in the journal");
    paused.paused = false;
    control(&world, number, paused).await;
}

async fn live(
    world: World,
    node: usize,
    (term, leases): (Duration, NonZeroUsize),
    fate: Fate,
    (begins, lasts): (u64, u64),
) {
    sleep(Duration::from_millis(begins)).await;
    let builder = Worker::builder(world.hub(node), Arc::clone(&world.store)).term(term).leases(leases);
    let lasts = Duration::from_millis(lasts);
    match fate {
        Fate::Vanishes => {
            let worker = builder.build();
            drop(timeout(lasts, worker.run(pending())).await);
            world.record.facts().fault("worker vanished");
        }
        Fate::Stops(grace) => {
            let worker = builder.grace(grace).build();
            let naps: Duration = world.plan.naps.iter().map(|(_, nap)| *nap).sum();
            let most = lasts + grace + naps + Duration::from_secs(120);
            match timeout(most, worker.run(sleep(lasts))).await {
                Ok(done) => done.expect("nothing fails for good"),
                Err(_) => world.record.facts().wrong(Rule::Ends, "a worker does not stop"),
            }
            world.record.facts().fault("worker stopped");
        }
    }
    tokio::task::yield_now().await;
    let mut facts = world.record.facts();
    let left = facts.requests.iter().filter(|request| request.node == node && request.end.is_none()).count();
    facts.check(left == 0, Rule::Quiet, || format!("{left} requests of node {node} outlive it"));
}

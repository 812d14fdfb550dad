//! Rounds: some tasks at once, then silence, in which everything is looked at.

use std::collections::HashSet;
use std::fmt::Debug;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, yield_now};
use webpush_channels::store::{Audience, Count, SubscriptionStore};

use super::model::{Shown, State, Step, outcomes};
use super::ops::{Done, Generator, Op, Stamps, channels, failed, list, run};
use super::scans::{Kind, Scan};
use super::universe::{CHANNELS, MOVERS, New, USERS, channel, family_of, user};

/// What each task did, in its order.
type History = Vec<Vec<Done>>;
type Handles = Arc<Vec<Arc<dyn SubscriptionStore>>>;

const TASKS: usize = 5;
const OPS: usize = 3;
const SCANS: usize = 2;

/// What was done and found right.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) rounds: u64,
    pub(crate) operations: u64,
    /// Operations that went on while another one did.
    pub(crate) met: u64,
    pub(crate) scans: u64,
    /// Entries that a scan had to yield.
    pub(crate) certain: u64,
}

/// A history over handles of one storage: each task and each page takes the next handle.
pub(crate) struct Run {
    handles: Handles,
    limit: usize,
    random: fastrand::Rng,
    stamps: Arc<Stamps>,
    /// All states that the storage may be in: they differ in what nobody can see.
    states: Vec<State>,
    /// Scans that go on.
    scans: Vec<Scan>,
    tally: Tally,
}

impl Run {
    /// On an empty storage whose users may have so many entries each.
    pub(crate) async fn new(
        handles: Vec<Arc<dyn SubscriptionStore>>,
        limit: Option<usize>,
        seed: u64,
    ) -> Result<Self, String> {
        let (handles, limit) = (Arc::new(handles), limit.unwrap_or(usize::MAX));
        let mut state = State::default();
        for who in MOVERS..USERS {
            let new = New { user: who, endpoint: family_of(who), keys: 0, vapid: 0 };
            handles[0].put(&[new.entry()]).await.map_err(failed)?;
            handles[0].join(&channel(0), &[user(who)]).await.map_err(failed)?;
            for step in [Step::Put(new), Step::Join(0, who)] {
                state.step(&step, limit);
            }
        }
        let random = fastrand::Rng::with_seed(seed);
        let (stamps, scans, tally) = Default::default();
        Ok(Self { handles, limit, random, stamps, states: vec![state], scans, tally })
    }

    pub(crate) async fn rounds(mut self, rounds: u64) -> Result<Tally, String> {
        for _ in 0..rounds {
            let before = self.states.clone();
            let (history, scans) = self.together().await?;
            if let Err(problem) = self.judge(&before, &history, scans).await {
                let Tally { rounds, .. } = self.tally;
                return Err(format!(
                    "{problem}\nin round {rounds}, which began with {}",
                    tell(&before, &history)
                ));
            }
        }
        Ok(self.tally)
    }

    /// Operations and pages, all at once. Of each scan, whether it came to its end.
    async fn together(&mut self) -> Result<(History, Vec<(Scan, bool)>), String> {
        let now = self.states[0];
        let start = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for task in 0..TASKS {
            let mut generator = Generator { random: &mut self.random, now: &now };
            let ops: Vec<Op> = (0..OPS).map(|_| generator.op()).collect();
            let (handles, stamps) = (Arc::clone(&self.handles), Arc::clone(&self.stamps));
            let done = do_all(handles, task, ops, self.random.fork(), stamps);
            tasks.push(tokio::spawn(after_all(Arc::clone(&start), done)));
        }
        let mut scanning = Vec::new();
        for _ in 0..SCANS {
            let (known, kind) = (self.scans.pop(), KINDS[self.random.usize(0..KINDS.len())]);
            let (handles, stamps) = (Arc::clone(&self.handles), Arc::clone(&self.stamps));
            scanning.push(tokio::spawn(read_on(handles, known, kind, now, self.random.fork(), stamps)));
        }
        Ok((join(tasks).await?, join(scanning).await?))
    }

    async fn judge(
        &mut self,
        before: &[State],
        history: &History,
        scans: Vec<(Scan, bool)>,
    ) -> Result<(), String> {
        let seen = self.look().await?;
        self.states = outcomes(before, history, self.limit, &seen)
            .map_err(|problem| format!("{problem}: {}", show(&seen)))?;
        let log: Vec<Arc<Done>> = history.iter().flatten().cloned().map(Arc::new).collect();
        for (mut scan, ended) in scans {
            scan.note(&log);
            if ended {
                self.tally.certain +=
                    scan.check().map_err(|problem| format!("{problem}, by {scan:#?}"))? as u64;
                self.tally.scans += 1;
            } else {
                self.scans.push(scan);
            }
        }
        let meets = |one: &Done, other: &Done| one.began < other.ended && other.began < one.ended;
        // Each meets itself.
        let met = |one: &&Arc<Done>| log.iter().filter(|other| meets(one, other)).count() > 1;
        self.tally.met += log.iter().filter(met).count() as u64;
        self.tally.operations += log.len() as u64;
        self.tally.rounds += 1;
        self.compare(&seen).await
    }

    fn handle(&mut self) -> Arc<dyn SubscriptionStore> {
        Arc::clone(&self.handles[self.random.usize(0..self.handles.len())])
    }

    /// What lists of all users show, while nothing happens.
    async fn look(&mut self) -> Result<State, String> {
        let (mut rows, mut member_of): (Vec<Shown>, _) = (Vec::new(), [0; USERS as usize]);
        for (who, member_of) in (0..USERS).zip(&mut member_of) {
            let store = self.handle();
            rows.extend(list(&*store, who).await?);
            *member_of = channels(&*store, who).await?;
        }
        let places: HashSet<u8> = rows.iter().map(|row| row.new.endpoint).collect();
        if places.len() < rows.len() {
            return Err(format!("an endpoint has two owners: {rows:?}"));
        }
        Ok(State::from_lists(&rows, member_of))
    }

    /// Everything else that a store shows agrees with the lists.
    async fn compare(&mut self, seen: &State) -> Result<(), String> {
        for who in 0..USERS {
            let rows = seen.of(who).count() as u64;
            let to = Audience::User(user(who));
            let count = self.handle().count(&to).await.map_err(failed)?;
            agree("count of a user", &count, &Count { members: rows.min(1), subscriptions: rows })?;
        }
        for number in 0..CHANNELS {
            let members = (0..USERS).filter(|who| seen.is_member(number, *who)).count() as u64;
            let rows = seen.shown(|row| seen.is_member(number, row.new.user)).len() as u64;
            let to = Audience::Channel(channel(number));
            let count = self.handle().count(&to).await.map_err(failed)?;
            agree("count of a channel", &count, &Count { members, subscriptions: rows })?;
        }
        let all = NonZeroU16::MAX;
        let marked = self.handle().needing_renewal(None, all).await.map_err(failed)?.entries.len();
        agree("entries that need renewal", &marked, &seen.shown(|row| row.renewal).len())?;
        let unseen = self.handle().unseen(Duration::ZERO, None, all).await.map_err(failed)?.entries.len();
        agree("entries in all", &unseen, &seen.shown(|_| true).len())
    }
}

const KINDS: [Kind; 3] = [Kind::Channel(0), Kind::Channel(1), Kind::Unseen];

/// Begins when all tasks are there: otherwise one thread is done with the first before the next is
/// awake.
async fn after_all<T>(start: Arc<AtomicUsize>, then: impl Future<Output = T>) -> T {
    start.fetch_add(1, Ordering::Relaxed);
    while start.load(Ordering::Relaxed) < TASKS {
        yield_now().await;
    }
    then.await
}

async fn do_all(
    handles: Handles,
    task: usize,
    ops: Vec<Op>,
    mut random: fastrand::Rng,
    stamps: Arc<Stamps>,
) -> Result<Vec<Done>, String> {
    let mut done = Vec::new();
    for (n, op) in ops.into_iter().enumerate() {
        dawdle(&mut random).await;
        done.push(run(&*handles[(task + n) % handles.len()], op, &stamps).await?);
    }
    Ok(done)
}

/// Goes on with a scan, or begins one; whether it came to its end.
async fn read_on(
    handles: Handles,
    known: Option<Scan>,
    kind: Kind,
    now: State,
    mut random: fastrand::Rng,
    stamps: Arc<Stamps>,
) -> Result<(Scan, bool), String> {
    let mut scan = match known {
        Some(known) => known,
        None => Scan::begin(&*handles[0], kind, now, &mut random, &stamps).await?,
    };
    for _ in 0..random.u8(0..4) {
        dawdle(&mut random).await;
        if scan.page(&*handles[random.usize(0..handles.len())]).await? {
            return Ok((scan, true));
        }
    }
    Ok((scan, false))
}

async fn dawdle(random: &mut fastrand::Rng) {
    for _ in 0..random.u8(0..4) {
        yield_now().await;
    }
}

async fn join<T>(tasks: Vec<JoinHandle<Result<T, String>>>) -> Result<Vec<T>, String> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.map_err(|error| error.to_string())?);
    }
    results.into_iter().collect()
}

fn agree<T: Debug + PartialEq>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, and not {expected:?}")) }
}

fn show(state: &State) -> String {
    let channels: Vec<u8> = (0..USERS).map(|who| state.channels(who)).collect();
    format!("{:#?}, channels by user: {channels:?}", state.shown(|_| true))
}

fn tell(before: &[State], history: &History) -> String {
    let mut lines: Vec<&Done> = history.iter().flatten().collect();
    lines.sort_unstable_by_key(|done| done.began);
    let lines: Vec<String> = lines
        .iter()
        .map(|Done { op, began, ended, steps }| {
            let said: Vec<_> = steps.iter().map(|(_, said)| said).collect();
            format!("{began}-{ended}: {op:?}: {said:?}")
        })
        .collect();
    format!("{}\n{}", show(&before[0]), lines.join("\n"))
}

//! What happened, as the doubles saw it: the model's facts, and what was found to be wrong with them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use webpush_channels::store::{Entry, EntryRef, Range, Version};
use webpush_channels::transport::{Processed, TransportErrorKind};
use webpush_channels::{SubscriptionId, UserId};

/// What has to hold. Each is proven by a double that breaks it (`mutants`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// Each entry that was read has one outcome, or is pending.
    SettledOnce,
    /// Numbers of one report, and of a progress, add up.
    Counts,
    /// Requests that were counted are those that were made.
    Attempts,
    /// An outcome is what the answers say.
    Explained,
    /// After a final answer nothing more is sent.
    Final,
    /// Nothing is removed without a 404 or 410 of its own endpoint, for its own keys.
    Proof,
    /// What the hook withholds stays.
    Withheld,
    /// The store holds what was put there, less what was removed.
    Rows,
    /// Nothing starts after the deadline.
    Deadline,
    /// A request says what is left of the message's lifetime, and none starts after it.
    Lifetime,
    /// No more tries than the policy has.
    Tries,
    /// No more entries in hand than the limits say.
    Window,
    /// No more requests in flight than the limits say.
    InFlight,
    /// Nothing is sent within a pause.
    Pause,
    /// No faster than it is told.
    Rate,
    /// It ends in time.
    Ends,
    /// Once it ended, or was dropped, nothing is on its way and nothing starts.
    Quiet,
    /// Everybody who was there throughout is reached, or has a reason.
    Whole,
    /// Somebody may get it twice only as often as is documented.
    Duplicates,
    /// Nobody has what another has.
    Leases,
    /// Tokens are good for less than a day, and not over.
    Token,
}

#[derive(Clone)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    Status { code: u16, after: Option<Duration>, mismatch: bool },
    Failed { kind: TransportErrorKind, processed: Processed },
    Dropped,
}

impl End {
    pub const fn code(self) -> Option<u16> {
        if let Self::Status { code, .. } = self { Some(code) } else { None }
    }

    pub fn is_accepted(self) -> bool {
        self.code().is_some_and(|code| (200..300).contains(&code))
    }

    pub fn is_gone(self) -> bool {
        matches!(self.code(), Some(404 | 410))
    }

    /// Uses a try up.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Status { code, .. } => matches!(code, 408 | 425 | 429 | 500..=599),
            Self::Failed { kind, .. } => {
                !matches!(kind, TransportErrorKind::AddressRefused | TransportErrorKind::InvalidRequest)
            }
            Self::Dropped => false,
        }
    }

    /// The end of a subscription's attempts, whatever is left.
    pub fn is_final(self) -> bool {
        match self {
            Self::Status { mismatch, .. } if mismatch => true,
            Self::Status { code, .. } => matches!(code, 200..=399 | 400 | 404 | 410 | 418),
            _ => false,
        }
    }

    /// The peer may have acted on it, and did not say so.
    pub fn is_ambiguous(self) -> bool {
        matches!(self, Self::Dropped | Self::Failed { processed: Processed::Unknown, .. })
    }
}

/// Which subscription in which state: its URL and its secret.
pub type Device = (String, [u8; 16]);

#[derive(Clone, Debug)]
pub struct Request {
    pub node: usize,
    pub broadcast: usize,
    pub device: Device,
    pub origin: String,
    pub at: Instant,
    pub ttl: u32,
    pub end: Option<(Instant, End)>,
}

/// A page that reached who asked for it.
#[derive(Clone, Debug)]
pub struct Read {
    pub broadcast: usize,
    pub entries: Vec<EntryRef>,
}

/// A lease that was given out.
#[derive(Clone, Debug)]
pub struct Leased {
    pub token: Vec<u8>,
    pub broadcast: usize,
    pub range: Option<Range>,
    pub retries: Vec<[u8; 16]>,
    pub until: Instant,
    /// Entries that were read and that no checkpoint covers.
    pub uncommitted: usize,
    pub over: bool,
}

#[derive(Debug, Default)]
pub struct Facts {
    pub requests: Vec<Request>,
    pub reads: Vec<Read>,
    pub leases: Vec<Leased>,
    /// What each entry that was handed out is.
    pub devices: HashMap<EntryRef, Device>,
    /// What is in the store, and whose.
    pub rows: HashMap<SubscriptionId, (UserId, Version)>,
    /// How many rows each broadcast removed.
    pub removed: HashMap<usize, u64>,
    /// Checkpoints that were stored: token and number.
    pub stored: HashSet<(Vec<u8>, u64)>,
    /// Reviews that let removals pass.
    pub passed: HashSet<EntryRef>,
    pub withheld: u64,
    /// When the journal began a broadcast, and when it aborted one.
    pub begun: HashMap<usize, Instant>,
    pub aborted: HashMap<usize, Instant>,
    /// From when until when a broadcast was paused by hand.
    pub pauses: Vec<(usize, Instant, Instant)>,
    /// When the wall clock was changed, or the machine slept.
    pub jumps: HashSet<Instant>,
    /// A call of the store was done, and its answer lost.
    pub lost_answers: u64,
    /// The faults that were made, by kind.
    pub faults: HashMap<&'static str, u64>,
    pub violations: Vec<Violation>,
}

impl Facts {
    pub fn wrong(&mut self, rule: Rule, what: impl Into<String>) {
        // The first few tell everything.
        if self.violations.len() < 20 {
            self.violations.push(Violation { rule, what: what.into() });
        }
    }

    pub fn check(&mut self, holds: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !holds {
            let what = what();
            self.wrong(rule, what);
        }
    }

    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub fn knows(&mut self, entry: &Entry) -> EntryRef {
        let reference = entry.reference();
        self.devices.insert(reference, device(entry));
        reference
    }

    /// The requests of one broadcast to one device.
    pub fn requests_to<'a>(
        &'a self,
        broadcast: usize,
        device: &'a Device,
    ) -> impl Iterator<Item = &'a Request> {
        self.requests
            .iter()
            .filter(move |request| request.broadcast == broadcast && request.device == *device)
    }

    pub fn of_broadcast(&self, broadcast: usize) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(move |request| request.broadcast == broadcast)
    }

    /// A removal reached the store for this broadcast.
    pub fn removal(&mut self, broadcast: usize, reference: EntryRef, withholding: &HashSet<String>) {
        let current = self.rows.get(&reference.id).is_some_and(|(_, version)| *version == reference.version);
        let Some(device) = self.devices.get(&reference).cloned() else {
            return self.wrong(Rule::Proof, format!("{reference:?} is removed and was never read"));
        };
        let proven = self
            .requests_to(broadcast, &device)
            .any(|request| request.end.is_some_and(|(_, end)| end.is_gone()));
        self.check(proven, Rule::Proof, || format!("{} is removed without proof", device.0));
        let passed = self.passed.contains(&reference) && !withholding.contains(&origin(&device.0));
        self.check(passed, Rule::Withheld, || format!("{} is removed although it is withheld", device.0));
        if current {
            self.rows.remove(&reference.id);
            *self.removed.entry(broadcast).or_default() += 1;
        }
    }
}

pub fn device(entry: &Entry) -> Device {
    let subscription = &entry.subscription;
    (subscription.endpoint().as_str().to_owned(), *subscription.keys().auth().as_bytes())
}

pub fn origin(uri: &str) -> String {
    uri.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

/// Facts, and the point at which everything is to stop.
#[derive(Debug)]
pub struct Record {
    facts: Mutex<Facts>,
    pub start: Instant,
    pub steps: Steps,
    pub wall: Wall,
}

impl Record {
    pub fn new(stop_at: Option<usize>) -> Self {
        let (start, steps) = (Instant::now(), Steps::new(stop_at));
        Self { facts: Mutex::default(), start, steps, wall: Wall::new(start) }
    }

    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the points at which a double was called or is about to answer, and stops at one of them.
#[derive(Debug)]
pub struct Steps {
    count: AtomicUsize,
    stop_at: AtomicUsize,
    reached: Notify,
}

impl Steps {
    fn new(stop_at: Option<usize>) -> Self {
        let stop_at = AtomicUsize::new(stop_at.unwrap_or(usize::MAX));
        Self { count: AtomicUsize::new(0), stop_at, reached: Notify::new() }
    }

    pub async fn point(&self) {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        if self.stop_at.load(Ordering::SeqCst) == number {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
    }

    /// Stops nothing any more.
    pub fn disarm(&self) {
        self.stop_at.store(usize::MAX, Ordering::SeqCst);
    }

    pub async fn reached(&self) {
        self.reached.notified().await;
    }
}

/// A wall clock that goes with tokio's, and is changed now and then.
#[derive(Debug)]
pub struct Wall {
    start: Instant,
    offset: Mutex<i64>,
}

const EPOCH: u64 = 1_700_000_000;

impl Wall {
    const fn new(start: Instant) -> Self {
        Self { start, offset: Mutex::new(0) }
    }

    pub fn jump(&self, seconds: i64) {
        *self.offset.lock().unwrap() += seconds;
    }

    pub fn seconds(&self) -> u64 {
        (EPOCH + self.start.elapsed().as_secs()).saturating_add_signed(*self.offset.lock().unwrap())
    }

    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds())
    }
}

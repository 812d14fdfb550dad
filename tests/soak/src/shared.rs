//! What all parts of the run see.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use webpush_channels::store::journal::Journal;

use crate::api::Api;
use crate::ledger::Ledger;
use crate::nodes::Nodes;
use crate::options::Options;
use crate::origins::Origin;

pub(crate) struct Shared {
    pub(crate) options: Options,
    began: Instant,
    ledger: Arc<Mutex<Ledger>>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) api: Api,
    /// The same database, without what may come between it and the nodes.
    pub(crate) journal: Arc<dyn Journal>,
    /// The key that browsers subscribe with.
    pub(crate) key: [u8; 65],
    stop: AtomicBool,
    until: Mutex<Duration>,
    wrong: Mutex<Vec<String>>,
    pub(crate) done: Done,
}

/// How often what was done.
#[derive(Debug, Default)]
pub(crate) struct Done(Mutex<std::collections::BTreeMap<&'static str, u64>>);

impl Done {
    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.0).entry(what).or_default() += 1;
    }

    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        for (what, times) in &*lock(&self.0) {
            let _ = write!(line, "{}{times} {what}", if line.is_empty() { "" } else { ", " });
        }
        line
    }
}

impl Shared {
    #[allow(clippy::too_many_arguments, reason = "it is put together once")]
    pub(crate) fn new(
        options: Options,
        began: Instant,
        ledger: Arc<Mutex<Ledger>>,
        origins: Vec<Origin>,
        nodes: Arc<Nodes>,
        api: Api,
        journal: Arc<dyn Journal>,
        key: [u8; 65],
    ) -> Self {
        Self {
            options,
            began,
            ledger,
            origins,
            nodes,
            api,
            journal,
            key,
            stop: AtomicBool::new(false),
            until: Mutex::default(),
            wrong: Mutex::default(),
            done: Done::default(),
        }
    }

    /// Since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Something is not as it must be.
    pub(crate) fn wrong(&self, what: impl Into<String>) {
        let what = what.into();
        eprintln!("{:6.1} s  WRONG: {what}", self.now().as_secs_f64());
        lock(&self.wrong).push(what);
    }

    pub(crate) fn all_wrong(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// No new changes, broadcasts and faults.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Changes, broadcasts and faults begin now.
    pub(crate) fn start(&self) {
        *lock(&self.until) = self.now() + Duration::from_secs(self.options.seconds);
    }

    pub(crate) fn goes_on_for(&self, time: Duration) -> bool {
        self.now() + time < *lock(&self.until)
    }

    /// Sleeps, and says whether the run goes on.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while self.goes_on() && Instant::now() < until {
            tokio::time::sleep((until - Instant::now()).min(Duration::from_millis(250))).await;
        }
        self.goes_on()
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whoever panicked with it in hand has ended the run already.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

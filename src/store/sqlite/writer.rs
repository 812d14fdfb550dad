//! The one thread that writes: all that waits goes into one transaction.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::error::Fault;
use super::task::{Durability, Task};
use crate::clock::Clock;

/// A closure that writes.
pub(super) struct Job {
    pub(super) durability: Durability,
    pub(super) task: Box<dyn Task>,
}

/// The most jobs of one transaction: others want to write as well, and an answer waits for the
/// slowest of its group.
const GROUP: usize = 64;

/// The longest that something stays relaxed while writing goes on. A broadcast makes several
/// checkpoints a second, and what a power cut takes of them is sent again.
const RELAXED: Duration = Duration::from_secs(1);

/// Serves the queue until all senders are gone, then moves the log into the file.
pub(super) fn serve(
    connection: Connection,
    clock: Arc<dyn Clock>,
    mut jobs: mpsc::Receiver<Job>,
) -> Result<(), Fault> {
    let mut writer = Writer { connection, clock, level: None, relaxed: None };
    while let Some(first) = jobs.blocking_recv() {
        let mut group = Vec::with_capacity(GROUP);
        group.push(first);
        while group.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        writer.commit(group);
    }
    writer.finish()
}

struct Writer {
    connection: Connection,
    clock: Arc<dyn Clock>,
    /// The `synchronous` level that is set.
    level: Option<Durability>,
    /// Since when there is something that a power cut may take.
    relaxed: Option<SystemTime>,
}

impl Writer {
    fn commit(&mut self, mut group: Vec<Job>) {
        // Nobody hears the answer, so nobody knows that it was not done.
        group.retain(|job| !job.task.is_abandoned());
        if group.is_empty() {
            return;
        }
        let before = self.connection.total_changes();
        let stored = self.transaction(&mut group);
        if stored.is_ok() && self.connection.total_changes() != before {
            self.relaxed = match self.level {
                Some(Durability::Durable) => None,
                _ => self.relaxed.or_else(|| Some(self.clock.now())),
            };
        }
        if stored.is_err() && !self.connection.is_autocommit() {
            drop(self.connection.execute_batch("ROLLBACK"));
        }
        for job in group {
            job.task.answer(stored.clone());
        }
    }

    fn transaction(&mut self, group: &mut [Job]) -> Result<(), Fault> {
        self.set_level(group)?;
        self.execute("BEGIN IMMEDIATE")?;
        // The savepoint keeps a copy of each page that is changed; one of one needs none.
        if let [job] = group {
            if !job.task.run(&self.connection) {
                return Err(Fault::RolledBack);
            }
            return self.execute("COMMIT");
        }
        for job in group {
            self.execute("SAVEPOINT job")?;
            if !job.task.run(&self.connection) {
                // A full disk takes the whole transaction with it.
                if self.connection.is_autocommit() {
                    return Err(Fault::RolledBack);
                }
                self.execute("ROLLBACK TO job")?;
            }
            self.execute("RELEASE job")?;
        }
        self.execute("COMMIT")
    }

    /// In WAL mode NORMAL does not wait for the disk at the commit, FULL does.
    fn set_level(&mut self, group: &[Job]) -> Result<(), Fault> {
        let durable = self.is_overdue() || group.iter().any(|job| job.durability == Durability::Durable);
        let level = if durable { Durability::Durable } else { Durability::Relaxed };
        if self.level != Some(level) {
            self.level = None;
            self.execute(if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })?;
            self.level = Some(level);
        }
        Ok(())
    }

    fn is_overdue(&self) -> bool {
        // A clock that was set back says nothing about the time between.
        let is_long = |since| self.clock.now().duration_since(since).map_or(true, |long| long >= RELAXED);
        self.relaxed.is_some_and(is_long)
    }

    fn execute(&self, sql: &str) -> Result<(), Fault> {
        self.connection.prepare_cached(sql)?.raw_execute()?;
        Ok(())
    }

    fn finish(self) -> Result<(), Fault> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.connection.close().map_err(|(_, error)| error.into())
    }
}

//! The file and its threads, as both halves of the store see them.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use rusqlite::Connection;
use tokio::sync::{Notify, mpsc, oneshot};

use super::error::{Fault, SqlError};
use super::open::{Settings, open_writer};
use super::task::{Durability, Task, task};
use super::writer::Job;
use super::{readers, writer};
use crate::clock::Clock;

/// A handle: cloning it is cheap, and the threads end with the last clone.
#[derive(Clone)]
pub(in crate::store) struct Db(Arc<Inner>);

struct Inner {
    writes: mpsc::Sender<Job>,
    reads: mpsc::Sender<Box<dyn Task>>,
    tag: [u8; 8],
    clock: Arc<dyn Clock>,
    work: Notify,
}

/// Tells when all threads have ended, and with what.
pub(super) type Ended = mpsc::Receiver<Fault>;

/// Operations that wait in a queue; more wait for a place in it.
const QUEUE: usize = 256;

impl Db {
    /// Opens the file, on the thread that will write to it.
    pub(super) async fn open(
        settings: Settings,
        readers: usize,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Ended), SqlError> {
        let (end, ended) = mpsc::channel(1);
        let (writes, jobs) = mpsc::channel(QUEUE);
        let (opened, tag) = oneshot::channel();
        let (settings, end_of_writer) = (Arc::new(settings), end.clone());
        let writers_clock = Arc::clone(&clock);
        let for_writer = Arc::clone(&settings);
        spawn("sqlite-writer", move || match open_writer(&for_writer) {
            Ok((connection, tag)) => {
                // Whoever opens it may have gone: the queue has no sender then.
                drop(opened.send(Ok(tag)));
                if let Err(fault) = writer::serve(connection, writers_clock, jobs) {
                    drop(end_of_writer.try_send(fault));
                }
            }
            Err(fault) => drop(opened.send(Err(fault))),
        })?;
        let tag = tag.await.unwrap_or(Err(Fault::Ended))?;

        let (reads, tasks) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(tasks));
        for _ in 0..readers {
            let (settings, queue, end) = (Arc::clone(&settings), Arc::clone(&queue), end.clone());
            spawn("sqlite-reader", move || {
                readers::serve(&settings, &queue);
                drop(end);
            })?;
        }
        let inner = Inner { writes, reads, tag, clock, work: Notify::new() };
        Ok((Self(Arc::new(inner)), ended))
    }

    /// Runs a closure in a write transaction, which it may share with others; what it wrote stays
    /// only if it returns `Ok`. Answers after the commit.
    pub(in crate::store) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        run: impl FnOnce(&Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let (task, answer) = task(run);
        self.0.writes.send(Job { durability, task }).await.map_err(|_| Fault::Ended)?;
        answer.await.unwrap_or(Err(Fault::Ended.into()))
    }

    /// Runs a closure in a read transaction of its own. It sees all that was answered before.
    pub(in crate::store) async fn read<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, SqlError> {
        let (task, answer) = task(run);
        self.0.reads.send(task).await.map_err(|_| Fault::Ended)?;
        answer.await.unwrap_or(Err(Fault::Ended.into()))
    }

    /// What positions, ranges and lease tokens of this database carry.
    pub(in crate::store) fn tag(&self) -> [u8; 8] {
        self.0.tag
    }

    pub(in crate::store) fn now(&self) -> SystemTime {
        self.0.clock.now()
    }

    /// Milliseconds since 1970, as leases and deadlines are kept.
    pub(in crate::store) fn now_millis(&self) -> i64 {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// Is notified when this process makes work.
    pub(in crate::store) fn work(&self) -> &Notify {
        &self.0.work
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").finish_non_exhaustive()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map(drop).map_err(|error| Fault::NoThread(Arc::new(error)))
}

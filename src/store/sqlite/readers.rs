//! The threads that read.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::error::Fault;
use super::open::{Settings, open_reader};
use super::task::Task;

/// What the threads share: whoever is free takes the next.
pub(super) type Queue = Arc<Mutex<mpsc::Receiver<Box<dyn Task>>>>;

/// Serves the queue until all senders are gone. Connects when there is something to read.
pub(super) fn serve(settings: &Settings, queue: &Queue) {
    let mut connection = None;
    while let Some(mut task) = next(queue) {
        if task.is_abandoned() {
            continue;
        }
        let read = read(settings, &mut connection, task.as_mut());
        if read.is_err() {
            // A new one may fare better: the file may have been repaired or put back.
            connection = None;
        }
        task.answer(read);
    }
}

fn next(queue: &Queue) -> Option<Box<dyn Task>> {
    // A thread waits here for a task, or for the one that waits.
    queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv()
}

/// One short transaction, so that what is read in several statements belongs together.
fn read(settings: &Settings, slot: &mut Option<Connection>, task: &mut dyn Task) -> Result<(), Fault> {
    let connection = match slot {
        Some(connection) => connection,
        None => slot.insert(open_reader(settings)?),
    };
    connection.prepare_cached("BEGIN")?.raw_execute()?;
    let done = task.run(connection);
    connection.prepare_cached(if done { "COMMIT" } else { "ROLLBACK" })?.raw_execute()?;
    Ok(())
}

//! A closure on its way to a thread, and its answer on the way back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::error::{Fault, SqlError};

/// How sure the answer to a write is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::store) enum Durability {
    /// What was answered survives a power cut.
    Durable,
    /// What was answered survives the process, but a power cut may take it, for about a second
    /// while writing goes on: what is only renewed, or can be found out again.
    Relaxed,
}

/// What a thread knows of a closure.
pub(super) trait Task: Send {
    /// Runs it. False where what it wrote must not stay.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Answers: with what it returned, or that this was not stored.
    fn answer(self: Box<Self>, stored: Result<(), Fault>);
}

/// A task, and where its answer will be.
pub(super) fn task<T, F>(run: F) -> (Box<dyn Task>, oneshot::Receiver<Result<T, SqlError>>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, SqlError> + Send + 'static,
{
    let (to, from) = oneshot::channel();
    (Box::new(Closure { run: Some(run), result: None, to }), from)
}

struct Closure<T, F> {
    run: Option<F>,
    result: Option<Result<T, SqlError>>,
    to: oneshot::Sender<Result<T, SqlError>>,
}

impl<T, F> Task for Closure<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, SqlError> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(run) = self.run.take() else { return false };
        // What a panic leaves behind is rolled back.
        let result = catch_unwind(AssertUnwindSafe(|| run(connection)));
        let result = result.unwrap_or_else(|_| Err(Fault::Panicked.into()));
        let done = result.is_ok();
        self.result = Some(result);
        done
    }

    fn is_abandoned(&self) -> bool {
        self.to.is_closed()
    }

    fn answer(self: Box<Self>, stored: Result<(), Fault>) {
        let answer = match (self.result, stored) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(fault)) => Err(fault.into()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(Fault::Ended.into()),
        };
        // Whoever asked may have gone.
        drop(self.to.send(answer));
    }
}

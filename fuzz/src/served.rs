//! Something with a runtime, started once for all inputs of a process.

use std::cell::RefCell;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// What a target talks to, made anew after so many inputs: what a service stores must not slow it down.
pub struct Served<T> {
    make: fn(&Runtime) -> T,
    every: u32,
    state: RefCell<Option<(u32, T, Runtime)>>,
}

impl<T> Served<T> {
    /// Nothing yet.
    #[must_use]
    pub const fn new(every: u32, make: fn(&Runtime) -> T) -> Self {
        Self { make, every, state: RefCell::new(None) }
    }

    /// Calls `with` the one of now.
    pub fn with<R>(&self, with: impl FnOnce(&T, &Runtime) -> R) -> R {
        let mut state = self.state.borrow_mut();
        if state.as_ref().is_none_or(|(used, ..)| *used >= self.every) {
            // The former one first: it may hold files and ports.
            *state = None;
            let runtime =
                Builder::new_current_thread().enable_all().build().expect("the system has a runtime");
            let made = (self.make)(&runtime);
            *state = Some((0, made, runtime));
        }
        let (used, made, runtime) = state.as_mut().expect("made above");
        *used += 1;
        with(made, runtime)
    }
}

/// A directory of this process, in memory where the system has one there.
#[must_use]
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("the system has a place for files")
}

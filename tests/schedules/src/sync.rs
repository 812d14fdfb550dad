//! `std::sync` and `tokio::sync` as the copies see them: shuttle's locks, and tokio's real `Notify` and
//! `oneshot`, each use of which is a step before which others may have theirs.

pub(crate) use std::sync::{Arc, PoisonError};

pub(crate) use shuttle::sync::{Mutex, MutexGuard};
pub(crate) use tokio::sync::watch;

use shuttle::sync::atomic::{AtomicBool, Ordering};

/// Lets others go on.
#[derive(Debug, Default)]
struct Step(AtomicBool);

impl Step {
    fn take(&self) {
        self.0.load(Ordering::SeqCst);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Notify {
    inner: tokio::sync::Notify,
    step: Step,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.step.take();
        self.inner.notified()
    }

    pub(crate) fn notify_waiters(&self) {
        self.step.take();
        self.inner.notify_waiters();
    }
}

pub(crate) mod oneshot {
    use tokio::sync::oneshot;

    use super::Step;

    #[derive(Debug)]
    pub(crate) struct Sender<T> {
        inner: oneshot::Sender<T>,
        step: Step,
    }

    pub(crate) fn channel<T>() -> (Sender<T>, oneshot::Receiver<T>) {
        let (inner, receiver) = oneshot::channel();
        (Sender { inner, step: Step::default() }, receiver)
    }

    impl<T> Sender<T> {
        pub(crate) fn send(self, value: T) -> Result<(), T> {
            self.step.take();
            self.inner.send(value)
        }

        pub(crate) fn is_closed(&self) -> bool {
            self.step.take();
            self.inner.is_closed()
        }
    }
}

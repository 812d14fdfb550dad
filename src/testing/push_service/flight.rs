//! One request in progress.

use std::sync::Arc;

use super::answer::Answer;
use super::directory::Target;
use super::service::Service;

/// One request in progress.
pub(super) struct Flight {
    pub(super) service: Arc<Service>,
    pub(super) target: Target,
    pub(super) answer: Answer,
    ended: bool,
}

impl Flight {
    pub(super) fn new(service: &Arc<Service>, target: Target, answer: Answer) -> Self {
        Self { service: Arc::clone(service), target, answer, ended: false }
    }

    /// The request got its answer, or the fault that it was to get.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let counts = &self.service.counts;
        counts.in_flight.subtract();
        if !self.ended {
            counts.abandoned.add();
        }
        self.service.changed.notify_waiters();
    }
}

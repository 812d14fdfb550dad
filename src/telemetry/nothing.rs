//! Without the feature: the same types, empty.
#![allow(clippy::unused_self, clippy::needless_pass_by_value, reason = "the other side of the seam counts")]

use std::marker::PhantomData;
use std::time::Duration;

use super::{CancelEnd, Halt, LeaseEnd, Mode, Pause};
use crate::{BroadcastState, OriginLabel, OutcomeKind, Vendor};

#[derive(Clone, Debug)]
pub(crate) struct Instruments(Service);

impl Instruments {
    pub(crate) const fn new() -> Self {
        Self(Service)
    }

    pub(crate) const fn of(&self, _: Vendor) -> &Service {
        &self.0
    }

    pub(crate) const fn of_label(&self, _: &OriginLabel) -> &Service {
        &self.0
    }

    pub(crate) const fn encrypted(&self, _: usize, _: Stopwatch) {}

    pub(crate) const fn checkpoint(&self, _: bool, _: Stopwatch) {}

    pub(crate) const fn lease_ended(&self, _: LeaseEnd) {}
}

#[derive(Clone, Debug)]
pub(crate) struct Service;

impl Service {
    pub(crate) const fn delivered(&self, _: OutcomeKind) {}

    pub(crate) const fn cancelled(&self, _: CancelEnd) {}

    pub(crate) const fn exchange(&self) -> Exchange<'_> {
        Exchange(PhantomData)
    }

    pub(crate) const fn retried(&self) {}

    pub(crate) const fn paused(&self, _: Pause) {}

    pub(crate) const fn stopped(&self, _: Halt) {}

    pub(crate) const fn removals(&self, _: usize, _: bool) {}
}

#[derive(Debug)]
pub(crate) struct Exchange<'a>(PhantomData<&'a Service>);

impl Exchange<'_> {
    pub(crate) const fn answered(self, _: u16) {}

    pub(crate) const fn failed(self, _: &'static str) {}
}

#[derive(Debug)]
pub(crate) struct Run;

impl Run {
    pub(crate) const fn begin(_: &Instruments, _: Mode) -> Self {
        Self
    }

    pub(crate) const fn age(&mut self, _: Duration) {}

    pub(crate) const fn deferred(&mut self, _: usize) {}

    pub(crate) const fn ended(&mut self, _: BroadcastState) {}
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch;

impl Stopwatch {
    pub(crate) const fn start() -> Self {
        Self
    }
}

//! The entries of one origin that may be sent.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::super::rate::Rate;

/// Entries that may be sent, each with the time since when.
#[derive(Debug, Default)]
pub(in crate::channel::driver) struct Lines {
    ready: VecDeque<(usize, Instant)>,
    /// First attempts, where the rate of these is limited.
    first: VecDeque<(usize, Instant)>,
}

/// An entry whose turn it is.
pub(in crate::channel::driver) struct Popped {
    pub(in crate::channel::driver) key: usize,
    /// It waited for the rate of first attempts.
    pub(in crate::channel::driver) paced: bool,
}

impl Lines {
    pub(in crate::channel::driver) fn keys(&self) -> impl Iterator<Item = usize> {
        self.ready.iter().chain(&self.first).map(|(key, _)| *key)
    }

    pub(in crate::channel::driver) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        self.ready.retain(|(key, _)| keep(*key));
        self.first.retain(|(key, _)| keep(*key));
    }

    /// One more; `paced`: it waits for the rate of first attempts.
    pub(super) fn push(&mut self, key: usize, paced: bool, now: Instant) {
        if paced { &mut self.first } else { &mut self.ready }.push_back((key, now));
    }

    /// The next, as far as the rate allows a first attempt.
    pub(super) fn pop(&mut self, rate: &mut Rate, now: Instant) -> Option<Popped> {
        if let Some((key, _)) = self.ready.pop_front() {
            return Some(Popped { key, paced: false });
        }
        if self.first.is_empty() || !rate.has_one(now) {
            return None;
        }
        rate.take(1);
        self.first.pop_front().map(|(key, _)| Popped { key, paced: true })
    }

    /// Takes those out that wait for nothing, but for the first few.
    pub(super) fn split_off(&mut self, kept: usize) -> Self {
        let ready = self.ready.split_off(kept.min(self.ready.len()));
        Self { ready, first: VecDeque::new() }
    }

    /// First attempts wait for the rate from now on.
    pub(super) fn pace(&mut self, is_first: impl Fn(usize) -> bool) {
        (self.first, self.ready) = self.ready.drain(..).partition(|(key, _)| is_first(*key));
    }

    /// First attempts wait no more.
    pub(super) fn unpace(&mut self) {
        self.ready.append(&mut self.first);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.first.is_empty()
    }

    /// Whether everything here waits for the rate of first attempts.
    pub(super) fn is_paced(&self) -> bool {
        self.ready.is_empty() && !self.first.is_empty()
    }

    /// How many wait for nothing.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Since when the first of these waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.ready.front().map(|(_, since)| *since)
    }
}

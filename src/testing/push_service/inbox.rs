//! One subscription as its push service sees it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::answer::Answer;
use crate::testing::{DecryptError, UserAgent, lock};

/// A message that reached its user agent.
#[derive(Clone)]
#[non_exhaustive]
pub struct Received {
    headers: HeaderMap,
    ttl: u32,
    payload: Result<Option<Vec<u8>>, DecryptError>,
}

impl Received {
    /// The request's headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The TTL that was granted.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl as u64)
    }

    /// `Topic`, where there was one.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        self.headers.get("topic").and_then(|topic| topic.to_str().ok())
    }

    /// `Urgency`, where there was one.
    #[must_use]
    pub fn urgency(&self) -> Option<&str> {
        self.headers.get("urgency").and_then(|urgency| urgency.to_str().ok())
    }

    /// What the page saw; `None` is the null payload.
    ///
    /// # Errors
    ///
    /// [`DecryptError`]: why the user agent dropped it.
    pub fn payload(&self) -> Result<Option<&[u8]>, DecryptError> {
        self.payload.as_ref().map(Option::as_deref).map_err(|error| *error)
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opened = self.payload.as_ref().map(|payload| payload.as_ref().map(Vec::len));
        f.debug_struct("Received")
            .field("ttl", &self.ttl)
            .field("payload_len", &opened)
            .finish_non_exhaustive()
    }
}

/// A message between its acceptance and its delivery.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) number: u64,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) ttl: u32,
    pub(super) topic: Option<Box<str>>,
    /// Seconds since 1970.
    pub(super) accepted: u64,
}

impl Stored {
    /// What the user agent makes of it.
    pub(super) fn open(&self, agent: &UserAgent) -> Result<Option<Vec<u8>>, DecryptError> {
        agent.receive(&self.headers, &self.body)
    }

    pub(super) fn into_received(self, payload: Result<Option<Vec<u8>>, DecryptError>) -> Received {
        Received { headers: self.headers, ttl: self.ttl, payload }
    }
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) agent: UserAgent,
    /// The VAPID key that it is bound to (V-13).
    pub(super) bound: Option<Box<[u8; 65]>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    gone: bool,
    offline: bool,
    numbers: u64,
    script: VecDeque<Answer>,
    stored: Vec<Stored>,
    received: Vec<Received>,
}

/// Where an accepted message went.
pub(super) enum Placed {
    /// To the user agent, now.
    Deliver(Stored),
    /// Nobody is online and the TTL is zero.
    Dropped,
    /// Kept until the user agent comes; how many it replaced.
    Kept { replaced: usize },
}

impl Inbox {
    pub(super) fn new(agent: UserAgent, bound: Option<[u8; 65]>) -> Self {
        Self { agent, bound: bound.map(Box::new), state: Mutex::default() }
    }

    pub(super) fn is_gone(&self) -> bool {
        lock(&self.state).gone
    }

    pub(super) fn unsubscribe(&self) {
        let mut state = lock(&self.state);
        state.gone = true;
        state.stored.clear();
    }

    pub(super) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).script.extend(answers);
    }

    pub(super) fn next_answer(&self) -> Option<Answer> {
        lock(&self.state).script.pop_front()
    }

    /// The number of the next message.
    pub(super) fn next_number(&self) -> u64 {
        let mut state = lock(&self.state);
        state.numbers += 1;
        state.numbers
    }

    pub(super) fn place(&self, message: Stored) -> Placed {
        let mut state = lock(&self.state);
        if !state.offline {
            return Placed::Deliver(message);
        }
        let before = state.stored.len();
        if message.topic.is_some() {
            state.stored.retain(|stored| stored.topic != message.topic);
        }
        let replaced = before - state.stored.len();
        if message.ttl == 0 {
            return Placed::Dropped;
        }
        state.stored.push(message);
        Placed::Kept { replaced }
    }

    /// Says whether the user agent is connected; hands out what waited for it.
    pub(super) fn set_offline(&self, offline: bool) -> Vec<Stored> {
        let mut state = lock(&self.state);
        state.offline = offline;
        if offline { Vec::new() } else { std::mem::take(&mut state.stored) }
    }

    /// Removes a message that still waits.
    pub(super) fn cancel(&self, number: u64) -> bool {
        let mut state = lock(&self.state);
        let before = state.stored.len();
        state.stored.retain(|stored| stored.number != number);
        before != state.stored.len()
    }

    pub(super) fn keep(&self, received: Received) {
        lock(&self.state).received.push(received);
    }

    pub(super) fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }
}

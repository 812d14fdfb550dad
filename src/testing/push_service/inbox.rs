//! One subscription as its push service sees it.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use super::answer::Answer;
use super::message::{Received, Stored};
use super::receiver::{Receiver, Taken};
use crate::testing::{UserAgent, lock};

/// One subscription.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: Receiver,
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
    delete_script: VecDeque<Answer>,
    /// The resources of messages that have a topic, where it names them.
    resources: HashMap<Box<str>, u64>,
    stored: Vec<Stored>,
    /// Sent to a browser and not acknowledged.
    sent: Vec<Stored>,
    received: Vec<Received>,
}

/// Where an accepted message went.
pub(super) enum Placed<'a> {
    /// To the user agent, which opens it now.
    Open(&'a UserAgent, Stored),
    /// To the browser, which will acknowledge it.
    #[cfg(feature = "testing-browser")]
    Sent,
    /// Nobody is online and the TTL is zero.
    Dropped,
    /// Kept until the user agent comes; how many it replaced.
    Kept { replaced: usize },
}

impl State {
    fn keep(&mut self, message: Stored) -> Placed<'static> {
        let before = self.stored.len();
        if message.topic.is_some() {
            self.stored.retain(|stored| stored.topic != message.topic);
        }
        let replaced = before - self.stored.len();
        if message.ttl == 0 {
            return Placed::Dropped;
        }
        self.stored.push(message);
        Placed::Kept { replaced }
    }
}

impl Inbox {
    pub(super) fn new(receiver: Receiver, bound: Option<[u8; 65]>) -> Self {
        Self { receiver, bound: bound.map(Box::new), state: Mutex::default() }
    }

    pub(super) fn is_gone(&self) -> bool {
        lock(&self.state).gone
    }

    pub(super) fn unsubscribe(&self) {
        let mut state = lock(&self.state);
        state.gone = true;
        state.stored.clear();
        state.sent.clear();
    }

    pub(super) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).script.extend(answers);
    }

    pub(super) fn next_answer(&self) -> Option<Answer> {
        lock(&self.state).script.pop_front()
    }

    pub(super) fn script_delete(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).delete_script.extend(answers);
    }

    pub(super) fn next_delete_answer(&self) -> Option<Answer> {
        lock(&self.state).delete_script.pop_front()
    }

    /// What all messages of a topic are called: as the first of them was.
    pub(super) fn resource_of(&self, topic: &str, first: u64) -> u64 {
        *lock(&self.state).resources.entry(topic.into()).or_insert(first)
    }

    /// The number of the next message.
    pub(super) fn next_number(&self) -> u64 {
        let mut state = lock(&self.state);
        state.numbers += 1;
        state.numbers
    }

    pub(super) fn place(&self, message: Stored) -> Placed<'_> {
        let mut state = lock(&self.state);
        if state.offline {
            return state.keep(message);
        }
        match self.receiver.take(&message) {
            Taken::Open(agent) => Placed::Open(agent, message),
            #[cfg(feature = "testing-browser")]
            Taken::Sent => {
                state.sent.push(message);
                Placed::Sent
            }
            #[cfg(feature = "testing-browser")]
            Taken::Away => state.keep(message),
        }
    }

    /// Says whether the user agent is connected; hands out what waited for it.
    pub(super) fn set_offline(&self, offline: bool) -> Vec<Stored> {
        let mut state = lock(&self.state);
        state.offline = offline;
        if offline { Vec::new() } else { std::mem::take(&mut state.stored) }
    }

    /// Hands out what waited.
    #[cfg(feature = "testing-browser")]
    pub(super) fn take_stored(&self) -> Vec<Stored> {
        std::mem::take(&mut lock(&self.state).stored)
    }

    /// What was sent and not acknowledged waits again, as if the browser had been away.
    #[cfg(feature = "testing-browser")]
    pub(super) fn take_back(&self) -> Vec<Placed<'static>> {
        let mut state = lock(&self.state);
        std::mem::take(&mut state.sent).into_iter().map(|message| state.keep(message)).collect()
    }

    /// The browser has the message with this number; returns whether that is news.
    #[cfg(feature = "testing-browser")]
    pub(super) fn acknowledge(&self, number: u64) -> bool {
        let mut state = lock(&self.state);
        let before = state.sent.len();
        state.sent.retain(|sent| sent.number != number);
        before != state.sent.len()
    }

    /// Removes a message that still waits.
    pub(super) fn cancel(&self, resource: u64) -> bool {
        let mut state = lock(&self.state);
        state.sent.retain(|sent| sent.resource != resource);
        let before = state.stored.len();
        state.stored.retain(|stored| stored.resource != resource);
        before != state.stored.len()
    }

    pub(super) fn keep(&self, received: Received) {
        lock(&self.state).received.push(received);
    }

    pub(super) fn received(&self) -> Vec<Received> {
        lock(&self.state).received.clone()
    }
}

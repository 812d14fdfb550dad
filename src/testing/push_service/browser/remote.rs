//! One browser as its push service sees it: its line, while it is connected, and its channels.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::mpsc::UnboundedSender;

use super::Browser;
use super::frame::{self, ChannelId, Uaid};
use crate::testing::lock;
use crate::testing::push_service::inbox::{Inbox, Placed};
use crate::testing::push_service::message::Stored;

/// What goes out over a connection.
pub(super) enum Out {
    Frame(String),
    /// Another connection of the same browser took over.
    Close,
}

/// A browser, connected or not.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) uaid: Uaid,
    /// Held while a line begins or ends: what was sent over one is taken back before the next.
    turn: Mutex<()>,
    /// Taken under an inbox's lock, and never the other way round.
    state: Mutex<State>,
}

/// A channel's inbox and its number.
pub(super) type Registered = (usize, Arc<Inbox>);

#[derive(Debug, Default)]
struct State {
    line: Option<Line>,
    /// How many lines there were.
    lines: u64,
    channels: BTreeMap<ChannelId, Registered>,
}

/// The connection in use.
#[derive(Debug)]
struct Line {
    number: u64,
    out: UnboundedSender<Out>,
}

/// One channel of a browser, as its inbox sees it.
#[derive(Debug)]
pub(in crate::testing::push_service) struct Channel {
    id: ChannelId,
    /// The browser owns its channels.
    remote: Weak<Remote>,
}

impl Channel {
    pub(super) fn new(id: ChannelId, remote: &Arc<Remote>) -> Self {
        Self { id, remote: Arc::downgrade(remote) }
    }

    /// Sends a message, if the browser is connected.
    ///
    /// The caller holds the inbox's lock: whoever ends a line takes that lock afterwards, and so
    /// finds every message that went into the line.
    pub(in crate::testing::push_service) fn send(&self, message: &Stored) -> bool {
        let Some(remote) = self.remote.upgrade() else { return false };
        let state = lock(&remote.state);
        let Some(line) = &state.line else { return false };
        line.out.send(Out::Frame(frame::notification(&self.id, message))).is_ok()
    }
}

impl Remote {
    pub(super) fn new(uaid: Uaid) -> Self {
        Self { uaid, turn: Mutex::default(), state: Mutex::default() }
    }

    /// The browser speaks over this connection from now on. Returns the line's number, and where
    /// the messages went that the former line had lost.
    pub(super) fn connect(&self, out: UnboundedSender<Out>) -> (u64, Vec<Placed<'static>>) {
        let _turn = lock(&self.turn);
        let former = lock(&self.state).line.take();
        let lost = self.take_back(former);
        let mut state = lock(&self.state);
        state.lines += 1;
        state.line = Some(Line { number: state.lines, out });
        (state.lines, lost)
    }

    /// The connection ended. Another one may have taken over before.
    pub(super) fn disconnect(&self, number: u64) -> Vec<Placed<'static>> {
        let _turn = lock(&self.turn);
        let line = lock(&self.state).line.take_if(|line| line.number == number);
        self.take_back(line)
    }

    /// The service forgets the browser: its line ends and its subscriptions are gone.
    pub(super) fn end(&self) {
        for (_, inbox) in self.inboxes() {
            inbox.unsubscribe();
        }
        let _turn = lock(&self.turn);
        let line = lock(&self.state).line.take();
        self.take_back(line);
    }

    /// Adds a channel, or puts another inbox in the place of its former one.
    pub(super) fn register(&self, channel: ChannelId, registered: Registered) {
        lock(&self.state).channels.insert(channel, registered);
    }

    pub(super) fn unregister(&self, channel: &ChannelId) -> Option<Registered> {
        lock(&self.state).channels.remove(channel)
    }

    pub(super) fn inbox(&self, channel: &ChannelId) -> Option<Registered> {
        lock(&self.state).channels.get(channel).cloned()
    }

    pub(super) fn inboxes(&self) -> Vec<Registered> {
        lock(&self.state).channels.values().cloned().collect()
    }

    /// What can be told of the browser, if it is connected.
    pub(super) fn look(&self) -> Option<Browser> {
        let (connected, channels) = {
            let state = lock(&self.state);
            (state.line.is_some(), state.channels.clone())
        };
        let live = channels.into_iter().filter(|(_, (_, inbox))| !inbox.is_gone());
        connected.then(|| Browser {
            uaid: self.uaid.as_str().to_owned(),
            channels: live.map(|(id, _)| id.as_str().to_owned()).collect(),
        })
    }

    /// What was sent over a line and not acknowledged waits again.
    fn take_back(&self, line: Option<Line>) -> Vec<Placed<'static>> {
        let Some(line) = line else { return Vec::new() };
        // An error says that the connection has ended already.
        drop(line.out.send(Out::Close));
        self.inboxes().iter().flat_map(|(_, inbox)| inbox.take_back()).collect()
    }
}

//! From a path to the subscription or the message that it names.

use std::sync::{Arc, PoisonError, RwLock};

use super::inbox::Inbox;

/// All subscriptions of a service, by number.
#[derive(Debug)]
pub(super) struct Directory {
    secret: u64,
    inboxes: RwLock<Vec<Arc<Inbox>>>,
}

/// Where a request's path leads.
pub(super) enum Target {
    Push(usize, Arc<Inbox>),
    Message(Arc<Inbox>, u64),
    Unknown,
    UnknownMessage,
}

impl Directory {
    /// A directory whose paths cannot be guessed without the secret.
    pub(super) fn new(secret: u64) -> Self {
        Self { secret, inboxes: RwLock::default() }
    }

    /// Adds a subscription; returns its path.
    pub(super) fn add(&self, inbox: Inbox) -> String {
        let mut inboxes = self.inboxes.write().unwrap_or_else(PoisonError::into_inner);
        inboxes.push(Arc::new(inbox));
        let number = inboxes.len() - 1;
        format!("/p/{number}-{:016x}", self.ticket(number, 0))
    }

    /// The subscription with this path.
    pub(super) fn inbox(&self, path: &str) -> Option<(usize, Arc<Inbox>)> {
        let (number, ticket) = path.strip_prefix("/p/")?.split_once('-')?;
        self.find(number, ticket, 0)
    }

    /// The path of a message; messages are numbered from 1.
    pub(super) fn message_path(&self, number: usize, message: u64) -> String {
        format!("/m/{number}-{message}-{:016x}", self.ticket(number, message))
    }

    pub(super) fn target(&self, path: &str) -> Target {
        if let Some((number, inbox)) = self.inbox(path) {
            return Target::Push(number, inbox);
        }
        let Some(rest) = path.strip_prefix("/m/") else { return Target::Unknown };
        self.message(rest).unwrap_or(Target::UnknownMessage)
    }

    fn message(&self, rest: &str) -> Option<Target> {
        let (number, rest) = rest.split_once('-')?;
        let (message, ticket) = rest.split_once('-')?;
        let message = message.parse().ok().filter(|message| *message > 0)?;
        let (_, inbox) = self.find(number, ticket, message)?;
        Some(Target::Message(inbox, message))
    }

    fn find(&self, number: &str, ticket: &str, message: u64) -> Option<(usize, Arc<Inbox>)> {
        let number = number.parse().ok()?;
        // One spelling only, as an opaque path has.
        if ticket.len() != 16 || u64::from_str_radix(ticket, 16) != Ok(self.ticket(number, message)) {
            return None;
        }
        let inboxes = self.inboxes.read().unwrap_or_else(PoisonError::into_inner);
        inboxes.get(number).map(|inbox| (number, Arc::clone(inbox)))
    }

    /// What makes a path hard to guess (splitmix64: good enough among friends).
    fn ticket(&self, number: usize, message: u64) -> u64 {
        let mix = |value: u64| {
            let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            value ^ (value >> 31)
        };
        mix(mix(self.secret ^ number as u64).wrapping_add(message))
    }
}

//! From a path to the subscription or the message that it names.

use std::sync::{Arc, PoisonError, RwLock};

use super::inbox::Inbox;

/// How the paths of subscriptions look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Paths {
    /// All alike.
    Plain,
    /// Mozilla's: the version tells whether the subscription is bound to a key.
    #[cfg(feature = "testing-browser")]
    Versioned,
}

impl Paths {
    const fn prefix(self, bound: bool) -> &'static str {
        match (self, bound) {
            (Self::Plain, _) => "/p/",
            #[cfg(feature = "testing-browser")]
            (Self::Versioned, true) => "/wpush/v2/",
            #[cfg(feature = "testing-browser")]
            (Self::Versioned, false) => "/wpush/v1/",
        }
    }
}

/// All subscriptions of a service, by number.
#[derive(Debug)]
pub(super) struct Directory {
    paths: Paths,
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
    pub(super) fn new(paths: Paths, secret: u64) -> Self {
        Self { paths, secret, inboxes: RwLock::default() }
    }

    /// Adds a subscription; returns its number.
    pub(super) fn add(&self, inbox: Arc<Inbox>) -> usize {
        let mut inboxes = self.inboxes.write().unwrap_or_else(PoisonError::into_inner);
        inboxes.push(inbox);
        inboxes.len() - 1
    }

    /// The path of a subscription.
    pub(super) fn path(&self, number: usize, inbox: &Inbox) -> String {
        let prefix = self.paths.prefix(inbox.bound.is_some());
        format!("{prefix}{number}-{:016x}", self.ticket(number, 0))
    }

    /// The subscription with this path.
    pub(super) fn inbox(&self, path: &str) -> Option<(usize, Arc<Inbox>)> {
        let (_, token) = path.rsplit_once('/')?;
        let (number, ticket) = token.split_once('-')?;
        let (number, inbox) = self.find(number, ticket, 0)?;
        let prefix = path.strip_suffix(token)?;
        (prefix == self.paths.prefix(inbox.bound.is_some())).then_some((number, inbox))
    }

    /// The path of a message; messages are numbered from 1.
    pub(super) fn message_path(&self, number: usize, message: u64) -> String {
        format!("/m/{number}-{message}-{:016x}", self.ticket(number, message))
    }

    /// The path of a receipt subscription, which is a name only.
    pub(super) fn receipts_path(&self, number: usize) -> String {
        format!("/r/{:016x}", self.ticket(number, u64::MAX))
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
        // One spelling only, as an opaque path has.
        let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit()) && !text.starts_with('0');
        let is_ticket = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
        if !(number == "0" || digits(number)) || ticket.len() != 16 || !ticket.bytes().all(is_ticket) {
            return None;
        }
        let number = number.parse().ok()?;
        if u64::from_str_radix(ticket, 16) != Ok(self.ticket(number, message)) {
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

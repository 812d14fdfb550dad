//! What is asked of a store, and what it answers.

use super::{Entry, Position};
use crate::{ChannelName, KeyId, UserId};

/// Who is meant by a publication or a scan.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Audience {
    /// Every subscription of every member.
    Channel(ChannelName),
    /// Every subscription of one user.
    User(UserId),
}

/// What became of a subscription that was put.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Put {
    /// The user has as many subscriptions as one may have: nothing was stored or changed.
    LimitReached,
    /// It belonged to another user and is now this one's, as when two people share a browser.
    Moved,
    /// It was not there.
    New,
    /// It was there with other keys, another VAPID key or another coding: the version is a new
    /// one.
    Renewed,
    /// It was there in the same version.
    Same,
}

/// A change that a broadcast's results lead to. They are ordered as they take effect in one batch.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Change {
    /// Its push service takes request bodies up to this many octets.
    LimitPayload(u16),
    /// No VAPID key of ours fits: its client must subscribe anew.
    NeedsRenewal,
    /// It does not exist any more: remove it.
    Remove,
    /// It turned out to be bound to this VAPID key. Changes the version, and clears
    /// [`NeedsRenewal`](Self::NeedsRenewal) when the key is another than before.
    UseKey(KeyId),
}

/// Some entries of a scan.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "stores build it, and a page is no more than this")]
pub struct Page {
    /// The entries, at most as many as were asked for. May be fewer, or none, before the end.
    pub entries: Vec<Entry>,
    /// Where to go on. `None` ends the scan, and only that does.
    pub next: Option<Position>,
}

/// How large an audience is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "stores build it; more numbers would be another type")]
pub struct Count {
    /// How many users: the members of a channel; for one user 1 if there is a subscription,
    /// else 0.
    pub members: u64,
    /// How many subscriptions they have in all.
    pub subscriptions: u64,
}

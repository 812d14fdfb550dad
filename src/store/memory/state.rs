//! Everything behind the lock, and how it stays consistent.

use std::collections::BTreeMap;
use std::hash::RandomState;

use super::channels::Channels;
use super::former::Former;
use super::index::{Index, Mark};
use super::row::{Keys, Row};
use super::slab::{NONE, Slab};
use crate::store::{Entry, NewEntry, Version};
use crate::{SubscriptionId, UserId};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) rows: Slab<Row>,
    by_id: Index,
    pub(super) users: Slab<User>,
    by_name: Index,
    pub(super) channels: Channels,
    /// The rows that wait for renewal, in the order of scans.
    pub(super) renewals: BTreeMap<(u32, u64), u32>,
    pub(super) former: Former,
    pub(super) keys: Keys,
    /// The number of the next row.
    pub(super) next: u64,
}

/// A user who owns something or is in a channel. Its place is the user's number.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: UserId,
    /// The first of the user's rows by number; each row knows the next.
    pub(super) first: u32,
    last: u32,
    pub(super) count: u32,
}

/// For computing hashes before the lock is taken.
#[derive(Clone, Debug)]
pub(super) struct Hashers {
    id: RandomState,
    name: RandomState,
}

impl Hashers {
    pub(super) fn id(&self, id: &SubscriptionId) -> Mark {
        Mark::of(&self.id, id)
    }

    pub(super) fn user(&self, user: &UserId) -> Mark {
        Mark::of(&self.name, user)
    }
}

/// A [`NewEntry`] and all that can be computed of it before the lock is taken.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) new: &'a NewEntry,
    pub(super) id: SubscriptionId,
    pub(super) mark: Mark,
    pub(super) user: Mark,
    pub(super) version: Version,
    pub(super) now: u32,
}

impl State {
    pub(super) fn hashers(&self) -> Hashers {
        Hashers { id: self.by_id.hasher(), name: self.by_name.hasher() }
    }

    pub(super) fn find_user(&self, name: &UserId, mark: Mark) -> Option<u32> {
        self.by_name.find(mark, |user| self.users.at(user).name == *name)
    }

    /// The place of a user, who gets one if there is none.
    pub(super) fn intern_user(&mut self, name: &UserId, mark: Mark) -> u32 {
        self.find_user(name, mark).unwrap_or_else(|| {
            let user = self.users.insert(User { name: name.clone(), first: NONE, last: NONE, count: 0 });
            self.by_name.insert(mark, user);
            user
        })
    }

    /// Frees the place of a user who owns nothing and is in no channel.
    pub(super) fn release_user(&mut self, user: u32, hashers: &Hashers) {
        if self.users.at(user).count == 0 && !self.channels.is_member(user) {
            let gone = self.users.remove(user);
            self.by_name.remove(hashers.user(&gone.name), user);
        }
    }

    pub(super) fn find(&self, id: &SubscriptionId, mark: Mark) -> Option<u32> {
        self.by_id.find(mark, |at| self.rows.at(at).subscription.id() == *id)
    }

    pub(super) fn find_endpoint(&self, new: &Prepared<'_>) -> Option<u32> {
        let endpoint = new.new.subscription.endpoint();
        self.by_id.find(new.mark, |at| self.rows.at(at).subscription.endpoint() == endpoint)
    }

    /// Adds a row at the end of the user's list.
    pub(super) fn insert(&mut self, new: &Prepared<'_>) -> u32 {
        let user = self.intern_user(&new.new.user, new.user);
        let key = self.keys.number(new.new.key);
        let at = self.rows.insert(Row::new(new.new, new.version, key, self.next, user, new.now));
        self.next += 1;
        self.by_id.insert(new.mark, at);
        self.former.forget(&new.id);
        let owner = self.users.at_mut(user);
        let last = std::mem::replace(&mut owner.last, at);
        owner.count += 1;
        if last == NONE {
            owner.first = at;
        } else {
            self.rows.at_mut(last).next = at;
        }
        self.channels.adjust(user, true);
        at
    }

    pub(super) fn remove(&mut self, at: u32, hashers: &Hashers) -> Row {
        let row = self.unlink(at);
        self.by_id.remove(hashers.id(&row.subscription.id()), at);
        self.former.remove(at);
        self.renewals.remove(&(row.user, row.number));
        self.channels.adjust(row.user, false);
        self.release_user(row.user, hashers);
        row
    }

    /// Takes a row out of its owner's list.
    fn unlink(&mut self, at: u32) -> Row {
        let (user, next) = (self.rows.at(at).user, self.rows.at(at).next);
        let before = self.places(user).take_while(|place| *place != at).last();
        let owner = self.users.at_mut(user);
        owner.count -= 1;
        if owner.last == at {
            owner.last = before.unwrap_or(NONE);
        }
        match before {
            Some(before) => self.rows.at_mut(before).next = next,
            None => owner.first = next,
        }
        self.rows.remove(at)
    }

    /// Gives a row, in its place, another id.
    pub(super) fn rename(&mut self, at: u32, hashers: &Hashers, new: &Prepared<'_>) {
        let old = self.rows.at(at).subscription.id();
        self.by_id.remove(hashers.id(&old), at);
        self.by_id.insert(new.mark, at);
        self.former.forget(&new.id);
        self.former.add(old, at);
    }

    pub(super) fn mark_renewal(&mut self, at: u32, needed: bool) {
        let row = self.rows.at_mut(at);
        row.set_needs_renewal(needed);
        let place = (row.user, row.number);
        if needed {
            self.renewals.insert(place, at);
        } else {
            self.renewals.remove(&place);
        }
    }

    /// The places of a user's rows, by number.
    pub(super) fn places(&self, user: u32) -> impl Iterator<Item = u32> {
        let linked = |at: u32| (at != NONE).then_some(at);
        std::iter::successors(linked(self.users.at(user).first), move |at| linked(self.rows.at(*at).next))
    }

    pub(super) fn entry(&self, at: u32) -> Entry {
        let row = self.rows.at(at);
        row.entry(&self.users.at(row.user).name, &self.keys)
    }
}

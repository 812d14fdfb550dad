//! Puts, replacements and changes.

use std::sync::Arc;

use super::state::{Hashers, Prepared, State};
use crate::store::{Change, EntryRef, Put, Version};
use crate::{SubscriptionId, UserId};

impl State {
    /// Stores one subscription; `limit` is the most that its user may have.
    pub(super) fn put(&mut self, new: &Prepared<'_>, limit: u32, hashers: &Hashers) -> Put {
        let found = self.find_endpoint(new);
        let user = self.find_user(&new.new.user, new.user);
        match found {
            Some(at) if Some(self.rows.at(at).user) == user => self.update(at, new),
            _ if user.is_some_and(|user| self.users.at(user).count >= limit) => Put::LimitReached,
            Some(at) => {
                self.take_over(at, new, hashers);
                Put::Moved
            }
            None => {
                self.insert(new);
                Put::New
            }
        }
    }

    /// Puts again what is there already.
    fn update(&mut self, at: u32, new: &Prepared<'_>) -> Put {
        let (limit, renewal) = self.kept(at, new);
        let row = self.rows.at(at);
        let known = self.keys.id(row.key).filter(|_| row.subscription.keys() == new.new.subscription.keys());
        let key = new.new.key.or(known);
        let version = match new.new.key {
            None if key.is_some() => Version::of(&new.new.user, &new.new.subscription, key, new.new.coding),
            _ => new.version,
        };
        let put = if row.version == version { Put::Same } else { Put::Renewed };
        self.overwrite(at, new);
        let key = self.keys.number(key);
        let row = self.rows.at_mut(at);
        (row.version, row.key) = (version, key);
        row.set_limit(limit);
        self.mark_renewal(at, renewal);
        put
    }

    /// Moves another user's entry: the old one is gone, what the push service said of the
    /// endpoint stays.
    fn take_over(&mut self, at: u32, new: &Prepared<'_>, hashers: &Hashers) {
        let (limit, renewal) = self.kept(at, new);
        self.remove(at, hashers);
        let at = self.insert(new);
        self.rows.at_mut(at).set_limit(limit);
        if renewal {
            self.mark_renewal(at, true);
        }
    }

    /// The payload limit and the mark that are left after a put.
    fn kept(&self, at: u32, new: &Prepared<'_>) -> (Option<u16>, bool) {
        let row = self.rows.at(at);
        if row.subscription.keys() != new.new.subscription.keys() {
            return (None, false);
        }
        let other_key = new.new.key.is_some() && new.new.key != self.keys.id(row.key);
        (row.limit(), row.needs_renewal() && !other_key)
    }

    /// What a put always changes.
    fn overwrite(&mut self, at: u32, new: &Prepared<'_>) {
        let row = self.rows.at_mut(at);
        (row.coding, row.seen) = (new.new.coding, new.now);
        // The one that is there may be shared with pages that were read.
        if row.subscription != new.new.subscription {
            row.subscription = Arc::clone(&new.new.subscription);
        }
    }

    pub(super) fn replace(
        &mut self,
        old: &SubscriptionId,
        new: &Prepared<'_>,
        limit: u32,
        hashers: &Hashers,
    ) -> Put {
        let user = self.find_user(&new.new.user, new.user);
        let at = self.find(old, hashers.id(old)).or_else(|| self.former.find(old));
        let Some(at) = at.filter(|at| Some(self.rows.at(*at).user) == user && *old != new.id) else {
            return self.put(new, limit, hashers);
        };
        match self.find_endpoint(new) {
            Some(other) if other == at => self.update(at, new),
            // Both are the user's: the new one stays where it is.
            Some(other) if Some(self.rows.at(other).user) == user => {
                self.remove(at, hashers);
                self.update(other, new)
            }
            Some(other) => {
                self.remove(other, hashers);
                self.replace_at(at, new, hashers);
                Put::Moved
            }
            None if self.former.find(&new.id) == Some(at) => Put::Same,
            None => {
                self.replace_at(at, new, hashers);
                Put::Renewed
            }
        }
    }

    fn replace_at(&mut self, at: u32, new: &Prepared<'_>, hashers: &Hashers) {
        self.rename(at, hashers, new);
        self.overwrite(at, new);
        let key = self.keys.number(new.new.key);
        let row = self.rows.at_mut(at);
        (row.version, row.key) = (new.version, key);
        row.set_limit(None);
        self.mark_renewal(at, false);
    }

    /// Makes one change, if the entry is still in that version.
    pub(super) fn apply(&mut self, entry: &EntryRef, change: Change, hashers: &Hashers) -> bool {
        let found = self.find(&entry.id, hashers.id(&entry.id));
        let Some(at) = found.filter(|at| self.rows.at(*at).version == entry.version) else {
            return false;
        };
        match change {
            Change::LimitPayload(limit) => self.rows.at_mut(at).set_limit(Some(limit)),
            Change::NeedsRenewal => self.mark_renewal(at, true),
            Change::Remove => drop(self.remove(at, hashers)),
            Change::UseKey(key) => {
                let number = self.keys.number(Some(key));
                let user = self.users.at(self.rows.at(at).user).name.clone();
                let row = self.rows.at_mut(at);
                if row.key != number {
                    row.key = number;
                    row.version = Version::of(&user, &row.subscription, Some(key), row.coding);
                    self.mark_renewal(at, false);
                }
            }
        }
        true
    }

    /// Removes all that is kept of a user.
    pub(super) fn forget(&mut self, name: &UserId, hashers: &Hashers) {
        let Some(user) = self.find_user(name, hashers.user(name)) else { return };
        self.channels.leave_all(user, self.users.at(user).count);
        // The last removal also frees the user's place.
        let places: Vec<u32> = self.places(user).collect();
        if places.is_empty() {
            self.release_user(user, hashers);
        }
        for at in places {
            self.remove(at, hashers);
        }
    }
}

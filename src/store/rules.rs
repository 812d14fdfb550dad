//! What becomes of an entry, for stores that read it, change it and write it back.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Change, Entry, NewEntry, Put, Version};
use crate::KeyId;

/// For store authors: the rules of the contract.
impl Entry {
    /// The entry that [`Put::New`] stores at this time.
    #[must_use]
    pub fn first(new: &NewEntry, now: SystemTime) -> Self {
        Self::with_key(new, new.key, now, now)
    }

    /// What a `put` of the same endpoint makes of this entry, and what it is called: one of
    /// [`Put::Same`], [`Put::Renewed`] and [`Put::Moved`]. A moved one belongs in a place of its
    /// own.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use webpush_channels::store::{Entry, NewEntry, Put};
    /// use webpush_channels::{KeyId, Subscription, UserId};
    /// # let subscription = Subscription::from_json(r#"{"endpoint": "https://push.example.net/p/x", "keys": {
    /// #     "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    /// #     "auth": "BTBZMqHH6r4Tts7J_aSIgg"}}"#)?;
    ///
    /// let now = SystemTime::UNIX_EPOCH;
    /// let new = NewEntry::new(UserId::new("alice")?, subscription);
    /// let key = KeyId::from_bytes([1; 16]);
    /// let entry = Entry::first(&new.clone().with_key(key), now);
    ///
    /// let (entry, put) = entry.put(&new, now);
    /// assert_eq!((entry.key, put), (Some(key), Put::Same));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn put(&self, new: &NewEntry, now: SystemTime) -> (Self, Put) {
        let same_user = self.user == new.user;
        let same_keys = self.subscription.keys() == new.subscription.keys();
        let known = self.key.filter(|_| same_user && same_keys);
        let created = if same_user { self.created } else { now };
        let mut entry = Self::with_key(new, new.key.or(known), created, now);
        if same_keys {
            entry.payload_limit = self.payload_limit;
            entry.needs_renewal = self.needs_renewal && (new.key.is_none() || new.key == self.key);
        }
        let put = match () {
            () if !same_user => Put::Moved,
            () if entry.version == self.version => Put::Same,
            () => Put::Renewed,
        };
        (entry, put)
    }

    /// The entry that takes this one's place in a `replace`.
    #[must_use]
    pub fn replace(&self, new: &NewEntry, now: SystemTime) -> Self {
        Self::with_key(new, new.key, self.created, now)
    }

    /// Makes a change that was decided on this version. [`Change::Remove`] is the store's.
    pub fn change(&mut self, change: Change) {
        match change {
            Change::LimitPayload(limit) => self.payload_limit = Some(limit),
            Change::NeedsRenewal => self.needs_renewal = true,
            Change::Remove => {}
            Change::UseKey(key) => {
                self.needs_renewal &= self.key == Some(key);
                self.key = Some(key);
                self.version = Version::of(&self.user, &self.subscription, self.key, self.coding);
            }
        }
    }

    fn with_key(new: &NewEntry, key: Option<KeyId>, created: SystemTime, seen: SystemTime) -> Self {
        let version = Version::of(&new.user, &new.subscription, key, new.coding);
        let mut entry = Self::new(new.user.clone(), Arc::clone(&new.subscription), version, created);
        (entry.key, entry.coding, entry.seen) = (key, new.coding, seen);
        entry
    }
}

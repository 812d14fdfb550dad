//! Who is in which channel.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::slab::Slab;
use crate::ChannelName;

/// Memberships, both ways. Users are numbers here.
#[derive(Debug, Default)]
pub(super) struct Channels {
    rows: Slab<ChannelRow>,
    by_name: HashMap<ChannelName, u32>,
    by_user: BTreeSet<(u32, u32)>,
    /// How often anybody joined: who joined before a moment has a smaller number.
    pub(super) joins: u64,
}

#[derive(Debug)]
pub(super) struct ChannelRow {
    name: ChannelName,
    /// By user, with the number of the joining.
    pub(super) members: BTreeMap<u32, u64>,
    /// How many subscriptions the members have.
    pub(super) subscriptions: u64,
}

impl Channels {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn find(&self, name: &ChannelName) -> Option<&ChannelRow> {
        self.by_name.get(name).map(|number| self.rows.at(*number))
    }

    pub(super) fn join(&mut self, name: &ChannelName, user: u32, subscriptions: u32) {
        let Self { rows, by_name, .. } = self;
        let number = *by_name.entry(name.clone()).or_insert_with(|| {
            rows.insert(ChannelRow { name: name.clone(), members: BTreeMap::new(), subscriptions: 0 })
        });
        if !self.by_user.insert((user, number)) {
            return;
        }
        let row = rows.at_mut(number);
        row.members.insert(user, self.joins);
        row.subscriptions += u64::from(subscriptions);
        self.joins += 1;
    }

    pub(super) fn leave(&mut self, name: &ChannelName, user: u32, subscriptions: u32) {
        if let Some(number) = self.by_name.get(name).copied() {
            self.remove(number, user, subscriptions);
        }
    }

    /// Ends all memberships of a user.
    pub(super) fn leave_all(&mut self, user: u32, subscriptions: u32) {
        let numbers: Vec<u32> = self.of(user).map(|(_, number)| number).collect();
        for number in numbers {
            self.remove(number, user, subscriptions);
        }
    }

    /// Takes a channel's name away, so that nobody finds it while it is taken apart.
    pub(super) fn hide(&mut self, name: &ChannelName) -> Option<u32> {
        self.by_name.remove(name)
    }

    /// Takes up to `limit` members out of a hidden channel and returns them; none when it is gone.
    pub(super) fn take_apart(&mut self, number: u32, limit: usize) -> Vec<u32> {
        let members = &mut self.rows.at_mut(number).members;
        let users: Vec<u32> =
            std::iter::from_fn(|| members.pop_first()).take(limit).map(|(user, _)| user).collect();
        if users.is_empty() {
            self.rows.remove(number);
        }
        for user in &users {
            self.by_user.remove(&(*user, number));
        }
        users
    }

    pub(super) fn is_member(&self, user: u32) -> bool {
        self.of(user).next().is_some()
    }

    pub(super) fn names(&self, user: u32) -> Vec<ChannelName> {
        let visible = self.of(user).map(|(_, number)| (number, &self.rows.at(number).name));
        visible
            .filter(|(number, name)| self.by_name.get(*name) == Some(number))
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// A user has one subscription more, or one less.
    pub(super) fn adjust(&mut self, user: u32, more: bool) {
        let Self { rows, by_user, .. } = self;
        for (_, number) in by_user.range((user, 0)..=(user, u32::MAX)) {
            let count = &mut rows.at_mut(*number).subscriptions;
            *count = if more { *count + 1 } else { *count - 1 };
        }
    }

    fn of(&self, user: u32) -> impl Iterator<Item = (u32, u32)> {
        self.by_user.range((user, 0)..=(user, u32::MAX)).copied()
    }

    fn remove(&mut self, number: u32, user: u32, subscriptions: u32) {
        if !self.by_user.remove(&(user, number)) {
            return;
        }
        let row = self.rows.at_mut(number);
        row.members.remove(&user);
        row.subscriptions -= u64::from(subscriptions);
        // One that is hidden is freed by whoever takes it apart.
        if row.members.is_empty() && self.by_name.get(&row.name) == Some(&number) {
            let row = self.rows.remove(number);
            self.by_name.remove(&row.name);
        }
    }
}

//! The contract as a list of rows.

use std::collections::{BTreeMap, BTreeSet};

use super::super::kit;
use crate::store::{Change, Entry, EntryRef, NewEntry, Put};

/// A row while a user was a member.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Pair {
    pub(super) row: u64,
    membership: u64,
}

pub(super) struct Row {
    /// Never used again: one that was removed and put again is another.
    pub(super) uid: u64,
    pub(super) user: u32,
    endpoint: u32,
    keys: u8,
    vapid: Option<u8>,
    limit: Option<u16>,
    pub(super) renewal: bool,
    former: Vec<u32>,
}

#[derive(Default)]
pub(super) struct Model {
    rows: Vec<Row>,
    /// By channel and user, with a number that is never used again.
    pub(super) members: BTreeMap<(u32, u32), u64>,
    numbers: u64,
}

impl Row {
    fn reference(&self) -> EntryRef {
        let new = self.new_entry();
        EntryRef { id: new.subscription.id(), version: new.version() }
    }

    fn new_entry(&self) -> NewEntry {
        let mut new = kit::new_with_keys(&super::owner(self.user), self.endpoint, self.keys);
        new.key = self.vapid.map(kit::key);
        new
    }

    fn use_key(&mut self, vapid: u8) {
        self.renewal &= self.vapid == Some(vapid);
        self.vapid = Some(vapid);
    }
}

impl Model {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn find(&self, endpoint: u32) -> Option<usize> {
        self.rows.iter().position(|row| row.endpoint == endpoint)
    }

    fn take_id(&mut self, endpoint: u32) {
        self.rows.iter_mut().for_each(|row| row.former.retain(|former| *former != endpoint));
    }

    pub(super) fn put(&mut self, user: u32, endpoint: u32, keys: u8, vapid: Option<u8>) -> Put {
        let Some(at) = self.find(endpoint) else {
            self.take_id(endpoint);
            let uid = self.number();
            let former = Vec::new();
            self.rows.push(Row { uid, user, endpoint, keys, vapid, limit: None, renewal: false, former });
            return Put::New;
        };
        let uid = self.number();
        let row = &mut self.rows[at];
        if row.keys != keys {
            (row.keys, row.vapid, row.limit, row.renewal) = (keys, vapid, None, false);
        } else if row.user == user {
            let before = row.vapid;
            if let Some(vapid) = vapid {
                row.use_key(vapid);
            }
            return if row.vapid == before { Put::Same } else { Put::Renewed };
        } else {
            row.renewal &= vapid.is_none() || row.vapid == vapid;
            row.vapid = vapid;
        }
        if row.user == user {
            return Put::Renewed;
        }
        (row.uid, row.user) = (uid, user);
        row.former.clear();
        Put::Moved
    }

    /// `None` where an entry would have more former ids than a store must remember.
    pub(super) fn replace(
        &mut self,
        user: u32,
        old: u32,
        endpoint: u32,
        keys: u8,
        vapid: Option<u8>,
    ) -> Option<Put> {
        let former = || self.rows.iter().position(|row| row.former.contains(&old));
        let Some(at) =
            self.find(old).or_else(former).filter(|at| self.rows[*at].user == user && old != endpoint)
        else {
            return Some(self.put(user, endpoint, keys, vapid));
        };
        if self.rows[at].former.len() > 3 {
            return None;
        }
        match self.find(endpoint) {
            Some(other) if other == at => Some(self.put(user, endpoint, keys, vapid)),
            Some(other) if self.rows[other].user == user => {
                self.rows.remove(at);
                Some(self.put(user, endpoint, keys, vapid))
            }
            None if self.rows[at].former.contains(&endpoint) => Some(Put::Same),
            other => {
                let row = &mut self.rows[at];
                let before = std::mem::replace(&mut row.endpoint, endpoint);
                (row.keys, row.vapid, row.limit, row.renewal) = (keys, vapid, None, false);
                self.take_id(endpoint);
                self.rows[at].former.push(before);
                let Some(other) = other else { return Some(Put::Renewed) };
                self.rows.remove(other);
                Some(Put::Moved)
            }
        }
    }

    /// The former ids of a user's rows.
    pub(super) fn former(&self, user: u32) -> Vec<u32> {
        self.rows.iter().filter(|row| row.user == user).flat_map(|row| row.former.clone()).collect()
    }

    pub(super) fn apply(&mut self, to: &EntryRef, change: Change) -> bool {
        let Some(at) = self.rows.iter().position(|row| row.reference() == *to) else { return false };
        let row = &mut self.rows[at];
        match change {
            Change::LimitPayload(limit) => row.limit = Some(limit),
            Change::NeedsRenewal => row.renewal = true,
            Change::Remove => drop(self.rows.remove(at)),
            Change::UseKey(key) => row.use_key(key.as_bytes()[0]),
        }
        true
    }

    pub(super) fn join(&mut self, channel: u32, user: u32) {
        let number = self.number();
        self.members.entry((channel, user)).or_insert(number);
    }

    pub(super) fn forget(&mut self, user: u32) {
        self.rows.retain(|row| row.user != user);
        self.members.retain(|(_, member), _| *member != user);
    }

    pub(super) fn pairs(&self, channel: u32) -> BTreeSet<Pair> {
        let pair = |row: &Row| {
            let membership = *self.members.get(&(channel, row.user))?;
            Some(Pair { row: row.uid, membership })
        };
        self.rows.iter().filter_map(pair).collect()
    }

    pub(super) fn endpoints(&self, which: impl Fn(&Row) -> bool) -> Vec<u32> {
        let mut endpoints: Vec<u32> =
            self.rows.iter().filter(|row| which(row)).map(|row| row.endpoint).collect();
        endpoints.sort_unstable();
        endpoints
    }

    /// The row that an entry shows. Everything in it must agree.
    pub(super) fn check(&self, entry: &Entry) -> &Row {
        let row = self.find(kit::number(entry)).map(|at| &self.rows[at]).expect("the entry is there");
        let expected = row.new_entry();
        assert_eq!((&entry.user, &entry.subscription), (&expected.user, &expected.subscription));
        assert_eq!(entry.key, expected.key);
        assert_eq!((entry.payload_limit, entry.needs_renewal), (row.limit, row.renewal));
        row
    }
}

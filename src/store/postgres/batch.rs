//! Entries that are read, changed by the rules, and written back, in one transaction.

use std::collections::HashMap;

use deadpool_postgres::Transaction;

use super::error::PgError;
use super::moving;
use super::rows::{self, Place, Stored, Written};
use super::users::Users;
use crate::SubscriptionId;
use crate::store::{Change, Entry, EntryRef, NewEntry, Put};

/// The entries of a batch, with their owners locked.
pub(super) struct Batch {
    users: Users,
    rows: HashMap<SubscriptionId, Row>,
    /// Rows that are to go; an entry that moves is removed and inserted.
    removed: Vec<SubscriptionId>,
    /// How many were to be inserted so far.
    next: usize,
    /// Whether an entry changes its owner.
    moves: bool,
}

struct Row {
    owner: i64,
    state: State,
    /// `None` where what is stored is damaged.
    entry: Option<Entry>,
}

#[derive(Clone, Copy)]
enum State {
    /// Stored as it is.
    Kept(i64),
    /// To be written into its place.
    Changed(i64),
    /// To be inserted, as the nth.
    New(usize),
}

impl Batch {
    /// Reads the entries with these ids, whose owners must be locked.
    pub(super) async fn load(tx: &Transaction<'_>, users: Users, ids: &[&[u8]]) -> Result<Self, PgError> {
        let mut batch = Self { users, rows: HashMap::new(), removed: Vec::new(), next: 0, moves: false };
        for stored in rows::load(tx, ids).await? {
            let (id, row) = batch.row(stored)?;
            batch.rows.insert(id, row);
        }
        Ok(batch)
    }

    /// It came into being, or moved, after its owner was looked up.
    fn row(&self, stored: Stored) -> Result<(SubscriptionId, Row), PgError> {
        let (owner, number) = stored.place;
        let mut columns = stored.columns;
        self.users.name(owner).ok_or(PgError::Raced)?.clone_into(&mut columns.user);
        let entry = columns.entry().ok();
        Ok((stored.id, Row { owner, state: State::Kept(number), entry }))
    }

    pub(super) fn users(&self) -> &Users {
        &self.users
    }

    /// Where an entry is stored.
    pub(super) fn place(&self, id: &SubscriptionId) -> Option<Place> {
        self.rows.get(id).and_then(|row| match row.state {
            State::Kept(number) | State::Changed(number) => Some((row.owner, number)),
            State::New(_) => None,
        })
    }

    /// Stores one subscription; `limit` is the most that its user, who must be locked, may have.
    ///
    /// A damaged entry is overwritten by one that is new in its place.
    pub(super) fn put(&mut self, id: SubscriptionId, new: &NewEntry, limit: i64) -> Result<Put, PgError> {
        let now = self.users.now();
        let owner = self.users.number(new.user.as_str()).ok_or(PgError::Raced)?;
        let after = |before: Option<&Entry>| match before {
            Some(before) => before.put(new, now),
            None => (Entry::first(new, now), Put::Renewed),
        };
        let full = self.users.subscriptions(owner) >= limit;
        match self.rows.get_mut(&id) {
            Some(row) if row.owner == owner => {
                let (entry, put) = after(row.entry.as_ref());
                row.entry = Some(entry);
                row.change();
                return Ok(put);
            }
            _ if full => return Ok(Put::LimitReached),
            _ => {}
        }
        let (entry, put) = match self.rows.get(&id) {
            Some(row) => (after(row.entry.as_ref()).0, Put::Moved),
            None => (Entry::first(new, now), Put::New),
        };
        self.moves |= matches!(put, Put::Moved);
        self.remove(&id);
        self.rows.insert(id, Row { owner, state: State::New(self.next), entry: Some(entry) });
        self.next += 1;
        self.users.adjust(owner, 1);
        Ok(put)
    }

    /// Makes a change, if the entry is still in that version.
    pub(super) fn apply(&mut self, to: &EntryRef, change: Change) -> bool {
        let Some(row) = self.rows.get_mut(&to.id) else { return false };
        let Some(entry) = row.entry.as_mut().filter(|entry| entry.version == to.version) else {
            return false;
        };
        if matches!(change, Change::Remove) {
            self.remove(&to.id);
        } else {
            entry.change(change);
            row.change();
        }
        true
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&mut self, id: &SubscriptionId) {
        let Some(row) = self.rows.remove(id) else { return };
        self.users.adjust(row.owner, -1);
        if !matches!(row.state, State::New(_)) {
            self.removed.push(*id);
        }
    }

    /// An entry of this user was removed elsewhere.
    pub(super) fn discount(&mut self, owner: i64) {
        self.users.adjust(owner, -1);
    }

    /// Writes everything.
    pub(super) async fn write(&self, tx: &Transaction<'_>) -> Result<(), PgError> {
        let mut new = Vec::new();
        let mut changed = Vec::new();
        for (id, row) in &self.rows {
            let Some(entry) = &row.entry else { continue };
            match row.state {
                State::Kept(_) => {}
                State::Changed(number) => {
                    changed.push(Written { place: (row.owner, number), id: *id, entry });
                }
                State::New(nth) => new.push((nth, Written { place: (row.owner, 0), id: *id, entry })),
            }
        }
        new.sort_unstable_by_key(|(nth, _)| *nth);
        let mut new: Vec<Written<'_>> = new.into_iter().map(|(_, row)| row).collect();
        if self.moves {
            moving::begin(tx).await?;
        }
        let numbers = rows::numbers(tx, new.len()).await?;
        for (row, number) in new.iter_mut().zip(numbers) {
            row.place.1 = number;
        }
        rows::remove(tx, &self.removed).await?;
        rows::update(tx, &changed).await?;
        rows::insert(tx, &new).await?;
        self.users.write(tx).await
    }
}

impl Row {
    fn change(&mut self) {
        if let State::Kept(number) = self.state {
            self.state = State::Changed(number);
        }
    }
}

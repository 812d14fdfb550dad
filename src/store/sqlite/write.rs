//! Puts, replacements and changes.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::SqlError;
use super::rows::{self, Found, Place, User};
use crate::store::{Change, Entry, EntryRef, NewEntry, Put, parts};
use crate::{SubscriptionId, UserId};

/// A [`NewEntry`], and what can be computed of it before the transaction.
pub(super) struct Incoming {
    new: NewEntry,
    id: SubscriptionId,
    /// What is stored if there is nothing yet.
    first: Entry,
    now: SystemTime,
}

impl Incoming {
    pub(super) fn new(new: &NewEntry, now: SystemTime) -> Self {
        let (id, first) = (new.subscription.id(), Entry::first(new, now));
        Self { new: new.clone(), id, first, now }
    }
}

/// Stores one subscription; `limit` is the most that its user may have.
pub(super) fn put(c: &Connection, new: &Incoming, limit: u32) -> Result<Put, SqlError> {
    let found = rows::find(c, &new.id)?;
    let user = rows::find_user(c, &new.new.user)?;
    match found {
        Some(found) if is_of(found.place, user) => update(c, &found, new),
        _ if user.is_some_and(|user| user.subscriptions >= i64::from(limit)) => Ok(Put::LimitReached),
        Some(found) => {
            // The old one is gone, what the push service said of the endpoint stays.
            let entry = found.entry.map_or_else(|| new.first.clone(), |old| old.put(&new.new, new.now).0);
            rows::remove(c, found.place)?;
            insert(c, user, new, &entry)?;
            Ok(Put::Moved)
        }
        None => {
            insert(c, user, new, &new.first)?;
            Ok(Put::New)
        }
    }
}

fn is_of(place: Place, user: Option<User>) -> bool {
    user.is_some_and(|user| user.number == place.owner)
}

fn insert(c: &Connection, user: Option<User>, new: &Incoming, entry: &Entry) -> Result<(), SqlError> {
    let owner = match user {
        Some(user) => user.number,
        None => rows::intern_user(c, &new.new.user)?,
    };
    rows::insert(c, owner, &new.id, entry)
}

/// Puts again what is there already. This also mends a damaged row.
fn update(c: &Connection, found: &Found, new: &Incoming) -> Result<Put, SqlError> {
    let mended = (new.first.clone(), Put::Renewed);
    let (entry, put) = found.entry.as_ref().map_or(mended, |old| old.put(&new.new, new.now));
    rows::update(c, found.place, &entry)?;
    if found.entry.is_none() {
        rows::set_endpoint(c, found.place, &entry)?;
    }
    Ok(put)
}

pub(super) fn replace(
    c: &Connection,
    user: &UserId,
    old: &SubscriptionId,
    new: &Incoming,
    limit: u32,
) -> Result<Put, SqlError> {
    let user = rows::find_user(c, user)?;
    let found = match rows::find(c, old)? {
        Some(found) => Some(found),
        None => rows::find_former(c, old)?.map(|place| rows::at(c, place)).transpose()?.flatten(),
    };
    let Some(found) = found.filter(|found| is_of(found.place, user) && *old != new.id) else {
        return put(c, new, limit);
    };
    match rows::find(c, &new.id)? {
        Some(other) if other.place == found.place => update(c, &other, new),
        // Both are the user's: the new one stays where it is.
        Some(other) if is_of(other.place, user) => {
            rows::remove(c, found.place)?;
            update(c, &other, new)
        }
        Some(other) => {
            rows::remove(c, other.place)?;
            replace_at(c, &found, new)?;
            Ok(Put::Moved)
        }
        None if rows::find_former(c, &new.id)? == Some(found.place) => Ok(Put::Same),
        None => {
            replace_at(c, &found, new)?;
            Ok(Put::Renewed)
        }
    }
}

fn replace_at(c: &Connection, found: &Found, new: &Incoming) -> Result<(), SqlError> {
    let entry = found.entry.as_ref().map_or_else(|| new.first.clone(), |old| old.replace(&new.new, new.now));
    rows::rename(c, found.place, &new.id, &entry)?;
    rows::update(c, found.place, &entry)
}

/// Changes entries that are still in that version, and says for each whether it was.
pub(super) fn apply(c: &Connection, changes: &[(EntryRef, Change)]) -> Result<Vec<bool>, SqlError> {
    let mut done = vec![false; changes.len()];
    for at in parts::in_order(changes) {
        let (entry, change) = &changes[at];
        done[at] = apply_one(c, entry, *change)?;
    }
    Ok(done)
}

fn apply_one(c: &Connection, entry: &EntryRef, change: Change) -> Result<bool, SqlError> {
    let (id, version) = (entry.id.as_bytes(), entry.version.as_bytes());
    let changed = match change {
        Change::LimitPayload(limit) => c
            .prepare_cached("UPDATE subscriptions SET payload_limit = ?3 WHERE id = ?1 AND version = ?2")?
            .execute(params![id, version, limit])?,
        Change::NeedsRenewal => c
            .prepare_cached("UPDATE subscriptions SET needs_renewal = 1 WHERE id = ?1 AND version = ?2")?
            .execute(params![id, version])?,
        Change::Remove => {
            let place = c
                .prepare_cached("SELECT owner, number FROM subscriptions WHERE id = ?1 AND version = ?2")?
                .query_row(params![id, version], |row: &Row<'_>| {
                    Ok(Place { owner: row.get(0)?, number: row.get(1)? })
                })
                .optional()?;
            let Some(place) = place else { return Ok(false) };
            rows::remove(c, place)?;
            1
        }
        Change::UseKey(_) => return use_key(c, entry, change),
    };
    Ok(changed == 1)
}

/// The version is computed here, of the whole entry. One that is damaged is in none.
fn use_key(c: &Connection, at: &EntryRef, change: Change) -> Result<bool, SqlError> {
    let Some(Found { place, entry: Some(mut entry) }) = rows::find(c, &at.id)? else { return Ok(false) };
    if entry.version != at.version {
        return Ok(false);
    }
    entry.change(change);
    rows::update(c, place, &entry)?;
    Ok(true)
}

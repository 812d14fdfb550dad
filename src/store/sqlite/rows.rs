//! Rows of `subscriptions`, and the users who own them.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::SqlError;
use crate::store::Entry;
use crate::store::sql::{Damaged, EntryColumns};
use crate::{SubscriptionId, UserId};

/// What an [`Entry`] is read from, in the order of [`entry`]; then its place.
macro_rules! columns {
    () => {
        "u.name, s.endpoint, s.p256dh, s.auth, s.key, s.coding, s.payload_limit, s.needs_renewal, \
         s.expires, s.created, s.seen, s.version, s.owner, s.number"
    };
}
pub(super) use columns;

/// Where a row is, which is also the order of scans.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) owner: i64,
    pub(super) number: i64,
}

pub(super) fn place(row: &Row<'_>) -> Result<Place, SqlError> {
    Ok(Place { owner: row.get(12)?, number: row.get(13)? })
}

pub(super) fn entry(row: &Row<'_>) -> Result<Entry, Damaged> {
    let columns = EntryColumns {
        user: get(row, 0, "user")?,
        endpoint: get(row, 1, "endpoint")?,
        p256dh: get(row, 2, "p256dh")?,
        auth: get(row, 3, "auth")?,
        key: get(row, 4, "key")?,
        coding: get(row, 5, "coding")?,
        payload_limit: get(row, 6, "payload_limit")?,
        needs_renewal: get(row, 7, "needs_renewal")?,
        expires: get(row, 8, "expires")?,
        created: get(row, 9, "created")?,
        seen: get(row, 10, "seen")?,
        version: get(row, 11, "version")?,
    };
    columns.entry()
}

fn get<T: FromSql>(row: &Row<'_>, at: usize, column: &'static str) -> Result<T, Damaged> {
    // SQLite keeps any type in any column.
    row.get(at).map_err(|_| Damaged::new("subscriptions", column))
}

/// One that is damaged is reported, by its place only (S-12), and must not stop a channel.
pub(super) fn entry_or_report(row: &Row<'_>, place: Place) -> Option<Entry> {
    let Place { owner, number } = place;
    entry(row)
        .inspect_err(|damaged| tracing::error!(owner, number, %damaged, "a subscription was skipped"))
        .ok()
}

/// A row, and what it says, if it is not damaged.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) entry: Option<Entry>,
}

pub(super) fn find(c: &Connection, id: &SubscriptionId) -> Result<Option<Found>, SqlError> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM subscriptions AS s LEFT JOIN users AS u ON u.number = s.owner WHERE s.id = ?1"
    );
    first(c, SQL, params![id.as_bytes()])
}

pub(super) fn at(c: &Connection, place: Place) -> Result<Option<Found>, SqlError> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM subscriptions AS s LEFT JOIN users AS u ON u.number = s.owner \
         WHERE s.owner = ?1 AND s.number = ?2"
    );
    first(c, SQL, params![place.owner, place.number])
}

fn first(c: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Option<Found>, SqlError> {
    let mut statement = c.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let place = place(row)?;
    Ok(Some(Found { place, entry: entry_or_report(row, place) }))
}

/// Adds a row at the end of its owner's.
pub(super) fn insert(c: &Connection, owner: i64, id: &SubscriptionId, entry: &Entry) -> Result<(), SqlError> {
    let columns = EntryColumns::of(entry);
    let number = next_number(c, "subscription")?;
    c.prepare_cached(
        "INSERT INTO subscriptions (owner, number, id, endpoint, p256dh, auth, key, coding, payload_limit, \
         needs_renewal, expires, created, seen, version) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        owner,
        number,
        id.as_bytes(),
        columns.endpoint,
        columns.p256dh,
        columns.auth,
        columns.key,
        columns.coding,
        columns.payload_limit,
        columns.needs_renewal,
        columns.expires,
        columns.created,
        columns.seen,
        columns.version,
    ])?;
    c.prepare_cached("UPDATE users SET subscriptions = subscriptions + 1 WHERE number = ?1")?
        .execute([owner])?;
    forget_former(c, id)
}

/// Writes all but the id and the endpoint, which belong together.
pub(super) fn update(c: &Connection, place: Place, entry: &Entry) -> Result<(), SqlError> {
    let columns = EntryColumns::of(entry);
    c.prepare_cached(
        "UPDATE subscriptions SET p256dh = ?3, auth = ?4, key = ?5, coding = ?6, payload_limit = ?7, \
         needs_renewal = ?8, expires = ?9, created = ?10, seen = ?11, version = ?12 \
         WHERE owner = ?1 AND number = ?2",
    )?
    .execute(params![
        place.owner,
        place.number,
        columns.p256dh,
        columns.auth,
        columns.key,
        columns.coding,
        columns.payload_limit,
        columns.needs_renewal,
        columns.expires,
        columns.created,
        columns.seen,
        columns.version,
    ])?;
    Ok(())
}

/// Gives a row, in its place, another id and endpoint, and remembers the former id.
pub(super) fn rename(
    c: &Connection,
    place: Place,
    id: &SubscriptionId,
    entry: &Entry,
) -> Result<(), SqlError> {
    let Place { owner, number } = place;
    let since: i64 = c
        .prepare_cached(
            "SELECT coalesce(max(since), 0) + 1 FROM former_ids WHERE owner = ?1 AND number = ?2",
        )?
        .query_row([owner, number], |row| row.get(0))?;
    c.prepare_cached(
        "INSERT OR REPLACE INTO former_ids (id, owner, number, since) \
         SELECT id, owner, number, ?3 FROM subscriptions WHERE owner = ?1 AND number = ?2",
    )?
    .execute([owner, number, since])?;
    // A client that replaces without end must not grow the table.
    c.prepare_cached("DELETE FROM former_ids WHERE owner = ?1 AND number = ?2 AND since <= ?3")?
        .execute([owner, number, since - FORMER_IDS])?;
    c.prepare_cached("UPDATE subscriptions SET id = ?3 WHERE owner = ?1 AND number = ?2")?
        .execute(params![owner, number, id.as_bytes()])?;
    set_endpoint(c, place, entry)?;
    forget_former(c, id)
}

/// Writes the endpoint alone.
pub(super) fn set_endpoint(c: &Connection, place: Place, entry: &Entry) -> Result<(), SqlError> {
    let endpoint = entry.subscription.endpoint().as_str();
    c.prepare_cached("UPDATE subscriptions SET endpoint = ?3 WHERE owner = ?1 AND number = ?2")?
        .execute(params![place.owner, place.number, endpoint])?;
    Ok(())
}

/// The former ids of one entry that are remembered.
const FORMER_IDS: i64 = 8;

/// The id is now that of an entry.
fn forget_former(c: &Connection, id: &SubscriptionId) -> Result<(), SqlError> {
    c.prepare_cached("DELETE FROM former_ids WHERE id = ?1")?.execute([id.as_bytes()])?;
    Ok(())
}

pub(super) fn find_former(c: &Connection, id: &SubscriptionId) -> Result<Option<Place>, SqlError> {
    let mut statement = c.prepare_cached("SELECT owner, number FROM former_ids WHERE id = ?1")?;
    let place = |row: &Row<'_>| Ok(Place { owner: row.get(0)?, number: row.get(1)? });
    Ok(statement.query_row([id.as_bytes()], place).optional()?)
}

pub(super) fn remove(c: &Connection, place: Place) -> Result<(), SqlError> {
    let Place { owner, number } = place;
    c.prepare_cached("DELETE FROM subscriptions WHERE owner = ?1 AND number = ?2")?
        .execute([owner, number])?;
    c.prepare_cached("DELETE FROM former_ids WHERE owner = ?1 AND number = ?2")?.execute([owner, number])?;
    c.prepare_cached("UPDATE users SET subscriptions = subscriptions - 1 WHERE number = ?1")?
        .execute([owner])?;
    release_user(c, owner)
}

/// A user, and how many rows are hers.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) number: i64,
    pub(super) subscriptions: i64,
}

pub(super) fn find_user(c: &Connection, name: &UserId) -> Result<Option<User>, SqlError> {
    let mut statement = c.prepare_cached("SELECT number, subscriptions FROM users WHERE name = ?1")?;
    let user = |row: &Row<'_>| Ok(User { number: row.get(0)?, subscriptions: row.get(1)? });
    Ok(statement.query_row([name.as_str()], user).optional()?)
}

/// The number of a user, who gets one if there is none.
pub(super) fn intern_user(c: &Connection, name: &UserId) -> Result<i64, SqlError> {
    if let Some(user) = find_user(c, name)? {
        return Ok(user.number);
    }
    c.prepare_cached("INSERT INTO users (name) VALUES (?1)")?.execute([name.as_str()])?;
    Ok(c.last_insert_rowid())
}

/// Forgets a user who owns nothing and is in no channel.
pub(super) fn release_user(c: &Connection, number: i64) -> Result<(), SqlError> {
    c.prepare_cached(
        "DELETE FROM users WHERE number = ?1 AND subscriptions <= 0 \
         AND NOT EXISTS (SELECT 1 FROM members WHERE owner = ?1)",
    )?
    .execute([number])?;
    Ok(())
}

/// The next number of a kind, never given before.
pub(super) fn next_number(c: &Connection, kind: &str) -> Result<i64, SqlError> {
    let mut statement = c.prepare_cached(
        "INSERT INTO sequences (name, next) VALUES (?1, 1) \
         ON CONFLICT (name) DO UPDATE SET next = next + 1 RETURNING next - 1",
    )?;
    Ok(statement.query_row([kind], |row| row.get(0))?)
}

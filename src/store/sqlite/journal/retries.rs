//! Deferred attempts.

use std::num::NonZeroU16;

use rusqlite::{Connection, Row, params};

use super::lease::Held;
use super::rows::{between, unless_damaged};
use super::sums::{self, RETRIES};
use super::{end, failures};
use crate::store::journal::{Deferred, Due, RetryId, SettledRetry, Tried};
use crate::store::sql::{Damaged, due_at, label_from_text, millis};
use crate::store::sqlite::error::SqlError;
use crate::store::sqlite::rows::{columns, entry_or_report, place};
use crate::{OriginLabel, OutcomeKind, SubscriptionId, UserId};

/// The first due retries of a broadcast that nobody has.
pub(super) fn due(
    conn: &Connection,
    now: i64,
    broadcast: i64,
    limit: NonZeroU16,
) -> Result<Vec<Due>, SqlError> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!(),
        ", u.name = r.owner, r.id, r.owner, r.subscription, r.origin, r.attempts, r.failures, r.unconfirmed, \
         r.ttl_left, r.deferred \
         FROM retries AS r LEFT JOIN subscriptions AS s ON s.id = r.subscription \
         LEFT JOIN users AS u ON u.number = s.owner \
         WHERE r.broadcast = ?1 AND r.lease IS NULL AND r.due <= ?2 ORDER BY r.due"
    );
    let mut statement = conn.prepare_cached(SQL)?;
    let mut rows = statement.query([broadcast, now])?;
    let mut due = Vec::new();
    // The limit is not in the statement: rows that are damaged must not fill it.
    while due.len() < usize::from(limit.get())
        && let Some(row) = rows.next()?
    {
        due.extend(unless_damaged(read(row, now), "retries of the broadcast", broadcast)?);
    }
    Ok(due)
}

/// Marks retries as leased.
pub(super) fn take<'a>(
    conn: &Connection,
    broadcast: i64,
    lease: i64,
    retries: impl Iterator<Item = &'a RetryId>,
) -> Result<(), SqlError> {
    let mut statement =
        conn.prepare_cached("UPDATE retries SET lease = ?3 WHERE broadcast = ?1 AND id = ?2")?;
    for retry in retries {
        statement.execute(params![broadcast, retry.as_bytes(), lease])?;
    }
    Ok(())
}

/// Frees what a lease still has.
pub(super) fn give_back(conn: &Connection, lease: i64) -> Result<(), SqlError> {
    conn.prepare_cached("UPDATE retries SET lease = NULL WHERE lease = ?1")?.execute([lease])?;
    Ok(())
}

/// Stores retries, or puts known ones off. What another lease has stays with it. A batch has only known
/// ones: what is unknown there was settled by a late answer meanwhile, and must not be tried and counted
/// again.
pub(super) fn defer(conn: &Connection, now: i64, held: &Held, deferred: &[Deferred]) -> Result<(), SqlError> {
    let mut put_off = conn.prepare_cached(
        "UPDATE retries SET owner = ?3, subscription = ?4, origin = ?5, attempts = ?6, failures = ?7, \
         unconfirmed = ?8, due = ?9, ttl_left = ?10, deferred = ?11, lease = nullif(lease, ?12) \
         WHERE broadcast = ?1 AND id = ?2",
    )?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO retries (broadcast, id, owner, subscription, origin, attempts, failures, unconfirmed, due, \
         ttl_left, deferred) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for retry in deferred {
        let origin = retry.origin.to_string();
        let columns = params![
            held.broadcast,
            retry.retry.as_bytes(),
            retry.user.as_str(),
            retry.entry.id.as_bytes(),
            origin,
            retry.tried.attempts,
            retry.tried.failures,
            retry.tried.unconfirmed,
            due_at(now, retry.after),
            millis(retry.ttl_left),
            now,
            held.number,
        ];
        if put_off.execute(columns)? == 0 && !held.is_batch() {
            insert.execute(&columns[..11])?;
        }
    }
    Ok(())
}

/// Counts and removes the retries that are known.
pub(super) fn settle(conn: &Connection, broadcast: i64, settled: &[SettledRetry]) -> Result<(), SqlError> {
    let mut statement = conn.prepare_cached("DELETE FROM retries WHERE broadcast = ?1 AND id = ?2")?;
    let mut known = Vec::with_capacity(settled.len());
    for retry in settled {
        if statement.execute(params![broadcast, retry.retry.as_bytes()])? > 0 {
            known.push(retry);
        }
    }
    failures::insert(conn, broadcast, known.iter().filter_map(|retry| retry.failure.as_ref()))?;
    if known.is_empty() {
        return Ok(());
    }
    sums::add(conn, broadcast, RETRIES, |tallies| known.iter().for_each(|retry| tallies.settled(retry)))
}

/// Drops what is kept of a user's deliveries. What was deferred counts as skipped.
pub(in crate::store::sqlite) fn forget_user(
    conn: &Connection,
    now: i64,
    user: &UserId,
) -> Result<(), SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT broadcast, origin, count(*) FROM retries WHERE owner = ?1 GROUP BY broadcast, origin",
    )?;
    let dropped = statement.query_map([user.as_str()], |row| {
        let origin = row.get_ref(1)?.as_str().unwrap_or_default();
        Ok((row.get(0)?, origin.to_owned(), row.get(2)?))
    })?;
    let dropped: Vec<(i64, String, i64)> = dropped.collect::<Result<_, _>>()?;
    conn.prepare_cached("DELETE FROM retries WHERE owner = ?1")?.execute([user.as_str()])?;
    conn.prepare_cached("DELETE FROM failures WHERE owner = ?1")?.execute([user.as_str()])?;
    for of_one in dropped.chunk_by(|a, b| a.0 == b.0) {
        // The user goes in any case.
        let broadcast = of_one[0].0;
        unless_damaged(skip(conn, now, broadcast, of_one), "ranges of the broadcast", broadcast)?;
    }
    Ok(())
}

fn skip(conn: &Connection, now: i64, broadcast: i64, dropped: &[(i64, String, i64)]) -> Result<(), SqlError> {
    sums::add(conn, broadcast, RETRIES, |tallies| {
        for (_, origin, n) in dropped {
            let label = label_from_text(origin).unwrap_or(OriginLabel::Rest);
            tallies.count(&label, OutcomeKind::Skipped, n.unsigned_abs());
        }
    })?;
    end::finish_if_done(conn, now, broadcast)?;
    Ok(())
}

fn read(row: &Row<'_>, now: i64) -> Result<Due, SqlError> {
    let damaged = |column| move || Damaged::new("retries", column);
    let id = row.get::<_, Vec<u8>>(15)?.try_into().ok().ok_or_else(damaged("id"))?;
    let user = UserId::new(row.get::<_, String>(16)?).ok().ok_or_else(damaged("owner"))?;
    let subscription = row.get::<_, Vec<u8>>(17)?.try_into().ok().ok_or_else(damaged("subscription"))?;
    let origin = label_from_text(&row.get::<_, String>(18)?).ok_or_else(damaged("origin"))?;
    let tried = Tried::new(row.get(19)?, row.get(20)?, row.get(21)?);
    let stored = between(0, row.get(22)?);
    let left = match tried.attempts {
        // A lifetime begins with the first attempt (H-6).
        0 => stored,
        _ => stored.saturating_sub(between(row.get(23)?, now)),
    };
    let entry = match row.get(14)? {
        // One that cannot be read is none that can be sent to.
        Some(true) => entry_or_report(row, place(row)?),
        _ => None,
    };
    let subscription = SubscriptionId::from_bytes(subscription);
    Ok(Due::new(RetryId::from_bytes(id), user, subscription, origin, entry, tried, left))
}

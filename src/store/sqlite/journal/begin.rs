//! Beginning a broadcast, and its rate.

use rusqlite::{Connection, OptionalExtension, params};

use super::{end, rows};
use crate::BroadcastId;
use crate::store::Range;
use crate::store::journal::tallies::Tallies;
use crate::store::journal::{Begun, Control, JournalErrorKind, NewBroadcast};
use crate::store::sql::BroadcastColumns;
use crate::store::sqlite::error::SqlError;

/// Stores a broadcast with its ranges, unless it is there.
pub(super) fn begin(
    conn: &Connection,
    now: i64,
    broadcast: &NewBroadcast,
    ranges: &[Range],
) -> Result<Begun, SqlError> {
    if let Some(known) = fingerprint(conn, &broadcast.id)? {
        let same = known == broadcast.fingerprint();
        return if same { Ok(Begun::Known) } else { Err(SqlError::journal(JournalErrorKind::Conflict)) };
    }
    let number = insert(conn, now, broadcast)?;
    insert_ranges(conn, number, ranges)?;
    if ranges.is_empty() {
        end::finish(conn, now, number)?;
    }
    Ok(Begun::Created)
}

/// Pauses a broadcast, or limits its rate.
pub(super) fn control(conn: &Connection, id: &BroadcastId, control: Control) -> Result<(), SqlError> {
    let number = rows::known_number(conn, id)?;
    conn.prepare_cached("UPDATE broadcasts SET paused = ?2, per_minute = ?3 WHERE number = ?1")?
        .execute(params![number, control.paused, limit(control)])?;
    Ok(())
}

fn limit(control: Control) -> Option<i64> {
    control.per_minute.map(|limit| i64::from(limit.get()))
}

fn fingerprint(conn: &Connection, id: &BroadcastId) -> Result<Option<Vec<u8>>, SqlError> {
    let mut statement = conn.prepare_cached("SELECT fingerprint FROM broadcasts WHERE id = ?1")?;
    Ok(statement.query_row([id.as_str()], |row| row.get(0)).optional()?)
}

fn insert(conn: &Connection, now: i64, broadcast: &NewBroadcast) -> Result<i64, SqlError> {
    let columns = BroadcastColumns::of(broadcast);
    let mut statement = conn.prepare_cached(
        "INSERT INTO broadcasts (id, fingerprint, audience_kind, audience, payload, ttl, urgency, urgency_rank, \
         collapse_key, padding_kind, padding, send_within, created, paused, per_minute, fallback) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    Ok(statement.insert(params![
        columns.id,
        broadcast.fingerprint(),
        columns.audience_kind,
        columns.audience,
        columns.payload,
        columns.ttl,
        columns.urgency,
        broadcast.message.urgency() as i64,
        columns.collapse_key,
        columns.padding_kind,
        columns.padding,
        columns.send_within,
        now,
        broadcast.control.paused,
        limit(broadcast.control),
        columns.fallback,
    ])?)
}

fn insert_ranges(conn: &Connection, broadcast: i64, ranges: &[Range]) -> Result<(), SqlError> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO ranges (broadcast, number, octets, done, tally) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let none = Tallies::default().to_json();
    // Range 0 is never read: it holds the sums of retries.
    statement.execute(params![broadcast, 0, [0_u8; 0], true, none])?;
    for (number, range) in (1_i64..).zip(ranges) {
        statement.execute(params![broadcast, number, range.as_bytes(), false, none])?;
    }
    Ok(())
}

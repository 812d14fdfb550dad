//! Forgetting broadcasts that ended.

use rusqlite::{Connection, OptionalExtension};

use crate::store::sqlite::error::SqlError;

/// The most rows that one transaction removes: others wait for it.
const BATCH: usize = 1000;

/// A part of a purge.
pub(super) struct Purged {
    /// How many broadcasts are gone.
    pub(super) broadcasts: u64,
    /// Whether there may be more.
    pub(super) more: bool,
}

/// Removes some of what ended until then, in milliseconds since 1970.
pub(super) fn purge(conn: &Connection, until: i64) -> Result<Purged, SqlError> {
    let mut purged = Purged { broadcasts: 0, more: true };
    let mut left = BATCH;
    while left > 0 {
        let Some(broadcast) = oldest(conn, until)? else {
            purged.more = false;
            break;
        };
        left -= remove_failures(conn, broadcast, left)?.min(left);
        if left > 0 {
            conn.prepare_cached("DELETE FROM leases WHERE broadcast = ?1")?.execute([broadcast])?;
            conn.prepare_cached("DELETE FROM broadcasts WHERE number = ?1")?.execute([broadcast])?;
            purged.broadcasts += 1;
            left -= 1;
        }
    }
    Ok(purged)
}

fn oldest(conn: &Connection, until: i64) -> Result<Option<i64>, SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT number FROM broadcasts WHERE ended IS NOT NULL AND ended <= ?1 ORDER BY ended LIMIT 1",
    )?;
    Ok(statement.query_row([until], |row| row.get(0)).optional()?)
}

fn remove_failures(conn: &Connection, broadcast: i64, limit: usize) -> Result<usize, SqlError> {
    let mut statement = conn.prepare_cached(
        "DELETE FROM failures WHERE number IN \
         (SELECT number FROM failures WHERE broadcast = ?1 ORDER BY number LIMIT ?2)",
    )?;
    Ok(statement.execute([broadcast, i64::try_from(limit).unwrap_or(i64::MAX)])?)
}

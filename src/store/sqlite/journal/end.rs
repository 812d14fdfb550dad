//! How broadcasts end.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use super::report;
use super::rows::{ABORTED, Course, FINISHED, TIMED_OUT, unless_damaged};
use super::sums::Sums;
use crate::store::journal::Totals;
use crate::store::journal::tallies::Tallies;
use crate::store::sql::{Damaged, counts_from_json, counts_to_json};
use crate::store::sqlite::error::SqlError;
use crate::{BroadcastId, Report};

/// Ends a broadcast of which nothing is left. Says whether that was so.
pub(super) fn finish_if_done(conn: &Connection, now: i64, broadcast: i64) -> Result<bool, SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM ranges WHERE broadcast = ?1 AND done = 0) \
         OR EXISTS (SELECT 1 FROM retries WHERE broadcast = ?1)",
    )?;
    if statement.query_row([broadcast], |row| row.get(0))? {
        return Ok(false);
    }
    finish(conn, now, broadcast)?;
    Ok(true)
}

/// Ends a broadcast, and adds it to its channel's totals.
pub(super) fn finish(conn: &Connection, now: i64, broadcast: i64) -> Result<(), SqlError> {
    let sums = Sums::salvage(conn, broadcast)?;
    let state = if sums.timed_out { TIMED_OUT } else { FINISHED };
    fold(conn, now, broadcast, state, &sums.tallies)?;
    conn.prepare_cached("DELETE FROM leases WHERE broadcast = ?1")?.execute([broadcast])?;
    let mut statement =
        conn.prepare_cached("SELECT audience FROM broadcasts WHERE number = ?1 AND audience_kind = 0")?;
    let channel: Option<String> = statement.query_row([broadcast], |row| row.get(0)).optional()?;
    if let Some(channel) = channel {
        unless_damaged(add_to_totals(conn, &channel, &sums.tallies), "totals, for the broadcast", broadcast)?;
    }
    Ok(())
}

/// Ends a broadcast before its end. Its leases stay until their term has passed: whoever holds one is
/// told.
fn abort(conn: &Connection, now: i64, broadcast: i64) -> Result<(), SqlError> {
    let sums = Sums::salvage(conn, broadcast)?;
    fold(conn, now, broadcast, ABORTED, &sums.tallies)?;
    conn.prepare_cached("DELETE FROM retries WHERE broadcast = ?1")?.execute([broadcast])?;
    Ok(())
}

/// Aborts the broadcast of this id, unless it has ended.
pub(super) fn abort_known(conn: &Connection, now: i64, id: &BroadcastId) -> Result<Report, SqlError> {
    let course = Course::known(conn, id)?;
    if course.ended.is_none() {
        abort(conn, now, course.number)?;
    }
    report::report(conn, now, &Course::known(conn, id)?)
}

/// What all finished broadcasts to a channel add up to.
pub(super) fn totals(conn: &Connection, channel: &str) -> Result<Totals, SqlError> {
    let mut statement =
        conn.prepare_cached("SELECT broadcasts, pruned, counts FROM totals WHERE channel = ?1")?;
    let columns: Option<(i64, i64, String)> =
        statement.query_row([channel], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((broadcasts, pruned, counts)) = columns else { return Ok(Totals::default()) };
    let damaged = |column| move || Damaged::new("totals", column);
    let counts = serde_json::from_str::<Value>(&counts).ok().as_ref().and_then(counts_from_json);
    Ok(Totals {
        broadcasts: u64::try_from(broadcasts).ok().ok_or_else(damaged("broadcasts"))?,
        pruned: u64::try_from(pruned).ok().ok_or_else(damaged("pruned"))?,
        counts: counts.ok_or_else(damaged("counts"))?,
    })
}

fn fold(conn: &Connection, now: i64, broadcast: i64, state: i64, tallies: &Tallies) -> Result<(), SqlError> {
    conn.prepare_cached("UPDATE broadcasts SET ended = ?2, state = ?3, tally = ?4 WHERE number = ?1")?
        .execute(params![broadcast, now, state, tallies.to_json()])?;
    conn.prepare_cached("DELETE FROM ranges WHERE broadcast = ?1")?.execute([broadcast])?;
    Ok(())
}

fn add_to_totals(conn: &Connection, channel: &str, tallies: &Tallies) -> Result<(), SqlError> {
    let mut totals = totals(conn, channel)?;
    totals.broadcasts += 1;
    totals.pruned = totals.pruned.saturating_add(tallies.pruned);
    totals.counts.merge(&tallies.counts());
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    conn.prepare_cached(
        "INSERT INTO totals (channel, broadcasts, pruned, counts) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (channel) DO UPDATE SET broadcasts = ?2, pruned = ?3, counts = ?4",
    )?
    .execute(params![
        channel,
        number(totals.broadcasts),
        number(totals.pruned),
        counts_to_json(&totals.counts).to_string(),
    ])?;
    Ok(())
}

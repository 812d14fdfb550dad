//! Storing what was done under a lease.

use rusqlite::{Connection, params};

use super::lease::{Held, live};
use super::rows::{ABORTED, Course};
use super::{end, failures, retries, sums};
use crate::store::journal::{Checkpoint, JournalErrorKind, State};
use crate::store::sql::millis;
use crate::store::sqlite::error::SqlError;
use crate::store::sqlite::write;
use crate::store::{Change, Position};

/// Stores a checkpoint under a lease, and says how the broadcast stands then.
pub(super) fn checkpoint(
    conn: &Connection,
    now: i64,
    lease: i64,
    checkpoint: &Checkpoint,
) -> Result<State, SqlError> {
    let held = Held::find(conn, now, lease)?.ok_or(SqlError::journal(JournalErrorKind::LeaseLost))?;
    let course = Course::read(conn, held.broadcast)?.ok_or(SqlError::journal(JournalErrorKind::LeaseLost))?;
    if course.ended.is_some() {
        return Ok(if course.state == ABORTED { State::Aborted } else { State::Finished });
    }
    let number = i64::try_from(checkpoint.number).unwrap_or(i64::MAX);
    // One that is known is sent again because its answer was lost.
    let is_new = number > held.checkpoint;
    if is_new {
        record(conn, now, &held, checkpoint)?;
    }
    if is_new && checkpoint.ends_lease() {
        end_lease(conn, &held)?;
    } else {
        let until = now.saturating_add(millis(checkpoint.extend));
        conn.prepare_cached(
            "UPDATE leases SET until = ?2, checkpoint = max(checkpoint, ?3) WHERE number = ?1",
        )?
        .execute([held.number, until, number])?;
    }
    let may_be_last = is_new && (checkpoint.done || !checkpoint.settled.is_empty());
    if may_be_last && end::finish_if_done(conn, now, held.broadcast)? {
        return Ok(State::Finished);
    }
    Ok(State::Running(course.control(live(conn, now, held.broadcast)?)?))
}

fn record(conn: &Connection, now: i64, held: &Held, checkpoint: &Checkpoint) -> Result<(), SqlError> {
    let applied = write::apply(conn, &checkpoint.changes)?;
    let removed = checkpoint
        .changes
        .iter()
        .zip(&applied)
        .filter(|((_, change), applied)| **applied && matches!(change, Change::Remove));
    let pruned = removed.count() as u64;
    sums::add(conn, held.broadcast, held.range, |tallies| {
        tallies.add(checkpoint);
        tallies.pruned += pruned;
    })?;
    if !held.is_batch() {
        advance(conn, held, checkpoint)?;
    }
    failures::insert(conn, held.broadcast, &checkpoint.failures)?;
    // What was deferred and has its answer in the same checkpoint must be there to be settled.
    retries::defer(conn, now, held, &checkpoint.deferred)?;
    retries::settle(conn, held.broadcast, &checkpoint.settled)
}

/// Moves a range's position on.
fn advance(conn: &Connection, held: &Held, checkpoint: &Checkpoint) -> Result<(), SqlError> {
    let Checkpoint { position, done, timed_out, .. } = checkpoint;
    conn.prepare_cached(
        "UPDATE ranges SET position = coalesce(?3, position), done = max(done, ?4), \
         timed_out = max(timed_out, ?5) \
         WHERE broadcast = ?1 AND number = ?2",
    )?
    .execute(params![
        held.broadcast,
        held.range,
        position.as_ref().map(Position::as_bytes),
        done,
        timed_out
    ])?;
    Ok(())
}

fn end_lease(conn: &Connection, held: &Held) -> Result<(), SqlError> {
    conn.prepare_cached("DELETE FROM leases WHERE number = ?1")?.execute([held.number])?;
    if held.is_batch() {
        return retries::give_back(conn, held.number);
    }
    conn.prepare_cached("UPDATE ranges SET lease = NULL WHERE broadcast = ?1 AND number = ?2")?
        .execute([held.broadcast, held.range])?;
    Ok(())
}

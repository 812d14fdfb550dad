//! Handing work out, and taking it back.

use std::num::NonZeroU16;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::retries;
use super::rows::{self, Course, unless_damaged};
use super::sums::{self, RETRIES};
use crate::store::journal::{Control, Due, Lease, LeaseToken, NewBroadcast, Work, WorkerId};
use crate::store::sql::Damaged;
use crate::store::sqlite::error::SqlError;
use crate::store::{Position, Range};

/// Who asks for work.
pub(super) struct Ask {
    /// Whose leases these are.
    pub(super) tag: [u8; 8],
    pub(super) worker: WorkerId,
    /// The term, in milliseconds.
    pub(super) term: i64,
    /// The most retries.
    pub(super) retries: NonZeroU16,
}

/// A row of `leases`.
pub(super) struct Held {
    pub(super) number: i64,
    pub(super) broadcast: i64,
    /// [`RETRIES`] for a batch of them.
    pub(super) range: i64,
    /// The number of the last checkpoint.
    pub(super) checkpoint: i64,
}

/// Work that nobody has, whole enough to be handed out.
struct Choice {
    course: Course,
    control: Control,
    broadcast: NewBroadcast,
    range: i64,
    work: Work,
}

/// What has free work, the one whose turn it is first. Thousands may wait for retries that are not due:
/// each costs two searches, and nothing but indexes is read.
pub(super) const FREE: &str = "SELECT number FROM broadcasts INDEXED BY broadcasts_running WHERE ended IS NULL AND ( \
        EXISTS (SELECT 1 FROM retries INDEXED BY retries_due \
            WHERE broadcast = broadcasts.number AND lease IS NULL AND due <= ?1) \
        OR EXISTS (SELECT 1 FROM ranges INDEXED BY ranges_free \
            WHERE broadcast = broadcasts.number AND done = 0 AND lease IS NULL)) \
    ORDER BY leased, urgency_rank DESC, number";

/// Leases some work until then, if there is any.
pub(super) fn lease(conn: &Connection, now: i64, ask: &Ask) -> Result<Option<Lease>, SqlError> {
    reap(conn, now)?;
    choose(conn, now, ask.retries)?.map(|choice| take(conn, now, ask, choice)).transpose()
}

/// Gives work back. A lease that was lost is none to give back.
pub(super) fn release(conn: &Connection, now: i64, lease: i64) -> Result<(), SqlError> {
    Held::find(conn, now, lease)?.map_or(Ok(()), |held| give_back(conn, &held, false))
}

impl Held {
    /// The lease of this number, unless it ended or its term has passed.
    pub(super) fn find(conn: &Connection, now: i64, number: i64) -> Result<Option<Self>, SqlError> {
        let mut statement = conn.prepare_cached(
            "SELECT number, broadcast, range, checkpoint FROM leases WHERE number = ?1 AND until > ?2",
        )?;
        let mut rows = statement.query([number, now])?;
        rows.next()?.map(held).transpose()
    }

    /// Whether it is a batch of retries.
    pub(super) const fn is_batch(&self) -> bool {
        self.range == RETRIES
    }
}

/// How many leases on a broadcast have not passed.
pub(super) fn live(conn: &Connection, now: i64, broadcast: i64) -> Result<usize, SqlError> {
    let mut statement =
        conn.prepare_cached("SELECT count(*) FROM leases WHERE broadcast = ?1 AND until > ?2")?;
    let live: i64 = statement.query_row([broadcast, now], |row| row.get(0))?;
    Ok(usize::try_from(live).unwrap_or_default())
}

/// Takes back what was leased for a term that has passed.
fn reap(conn: &Connection, now: i64) -> Result<(), SqlError> {
    let mut statement =
        conn.prepare_cached("SELECT number, broadcast, range, checkpoint FROM leases WHERE until <= ?1")?;
    let mut rows = statement.query([now])?;
    let mut expired = Vec::new();
    while let Some(row) = rows.next()? {
        expired.extend(unless_damaged(held(row), "leases", row.get(0)?)?);
    }
    expired.iter().try_for_each(|held| give_back(conn, held, true))
}

fn held(row: &Row<'_>) -> Result<Held, SqlError> {
    Ok(Held { number: row.get(0)?, broadcast: row.get(1)?, range: row.get(2)?, checkpoint: row.get(3)? })
}

fn give_back(conn: &Connection, held: &Held, takeover: bool) -> Result<(), SqlError> {
    conn.prepare_cached("DELETE FROM leases WHERE number = ?1")?.execute([held.number])?;
    if held.is_batch() {
        retries::give_back(conn, held.number)?;
    }
    // Of a broadcast that has ended there is no range any more, and nothing is taken over.
    conn.prepare_cached(
        "UPDATE ranges SET lease = NULL, takeovers = takeovers + ?3 WHERE broadcast = ?1 AND number = ?2",
    )?
    .execute(params![held.broadcast, held.range, takeover])?;
    Ok(())
}

fn choose(conn: &Connection, now: i64, retries: NonZeroU16) -> Result<Option<Choice>, SqlError> {
    let mut statement = conn.prepare_cached(FREE)?;
    let mut free = statement.query([now])?;
    while let Some(row) = free.next()? {
        let number = row.get(0)?;
        if let Some(Some(choice)) = unless_damaged(read(conn, now, number, retries), "broadcasts", number)? {
            return Ok(Some(choice));
        }
    }
    Ok(None)
}

/// Free work of a broadcast: due retries before ranges. Only what can be recorded, or it would be sent
/// again and again.
fn read(conn: &Connection, now: i64, number: i64, retries: NonZeroU16) -> Result<Option<Choice>, SqlError> {
    let Some(course) = Course::read(conn, number)?.filter(|course| !course.paused) else { return Ok(None) };
    let control = course.control(live(conn, now, number)?.saturating_add(1))?;
    let broadcast = rows::published(conn, number)?;
    sums::of(conn, number, RETRIES)?.ok_or(Damaged::new("ranges", "number"))?;
    let due = retries::due(conn, now, number, retries)?;
    if !due.is_empty() {
        return Ok(Some(Choice { course, control, broadcast, range: RETRIES, work: Work::Retries(due) }));
    }
    let range = free_range(conn, number)?;
    Ok(range.map(|(range, work)| Choice { course, control, broadcast, range, work }))
}

/// The first range of a broadcast that is not done and that nobody has.
fn free_range(conn: &Connection, broadcast: i64) -> Result<Option<(i64, Work)>, SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT number, octets, position, tally FROM ranges INDEXED BY ranges_free \
         WHERE broadcast = ?1 AND done = 0 AND lease IS NULL ORDER BY number",
    )?;
    let mut rows = statement.query([broadcast])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        if let Some(work) = unless_damaged(range(row), "ranges", number)? {
            return Ok(Some((number, work)));
        }
    }
    Ok(None)
}

fn range(row: &Row<'_>) -> Result<Work, SqlError> {
    let (octets, position): (Vec<u8>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
    let range = Range::from_bytes(&octets).map_err(|_| Damaged::new("ranges", "octets"))?;
    let after = position.map(|position| Position::from_bytes(&position)).transpose();
    sums::parse("ranges", row.get_ref(3)?.as_str().ok())?;
    Ok(Work::Range { range, after: after.map_err(|_| Damaged::new("ranges", "position"))? })
}

fn take(conn: &Connection, now: i64, ask: &Ask, choice: Choice) -> Result<Lease, SqlError> {
    let Choice { course, control, broadcast, range, work } = choice;
    let until = now.saturating_add(ask.term);
    let number = conn
        .prepare_cached("INSERT INTO leases (broadcast, range, worker, until) VALUES (?1, ?2, ?3, ?4)")?
        .insert(params![course.number, range, ask.worker.as_bytes(), until])?;
    match &work {
        Work::Range { .. } => {
            conn.prepare_cached("UPDATE ranges SET lease = ?3 WHERE broadcast = ?1 AND number = ?2")?
                .execute([course.number, range, number])?;
        }
        Work::Retries(due) => {
            retries::take(conn, course.number, number, due.iter().map(|due: &Due| &due.retry))?;
        }
    }
    // Leases are numbered in sequence: the number also says which broadcast had one last.
    conn.prepare_cached("UPDATE broadcasts SET leased = ?2 WHERE number = ?1")?
        .execute([course.number, number])?;
    let token = LeaseToken::encode(ask.tag, [number.unsigned_abs()]);
    let age = course.age(now);
    let left = broadcast.send_within.saturating_sub(age);
    Ok(Lease::new(token, Arc::new(broadcast), age, left, control, work))
}

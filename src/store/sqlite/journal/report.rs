//! What is known of broadcasts.

use std::num::NonZeroU16;

use rusqlite::{Connection, Params, params};

use super::failures;
use super::rows::{Course, known_number};
use super::sums::{self, Sums};
use crate::report::MAX_FAILURES;
use crate::store::journal::Summary;
use crate::store::sql::{Damaged, audience, created};
use crate::store::sqlite::error::SqlError;
use crate::{BroadcastId, Report};

/// How a broadcast stands.
pub(super) fn report(conn: &Connection, now: i64, course: &Course) -> Result<Report, SqlError> {
    let tallies = match course.ended {
        None => Sums::read(conn, course.number)?.tallies,
        Some(_) => sums::parse("broadcasts", course.tally.as_deref())?,
    };
    let mut report = tallies.report(course.state()?);
    report.failures = failures::page(conn, course.number, None, MAX_FAILURES)?.failures;
    report.elapsed = course.elapsed(now);
    Ok(report)
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT number, id, audience_kind, audience FROM broadcasts ", $rest)
    };
}

/// The broadcast of this id.
pub(super) fn summary(conn: &Connection, now: i64, id: &BroadcastId) -> Result<Option<Summary>, SqlError> {
    Ok(summaries(conn, now, select!("WHERE id = ?1"), [id.as_str()])?.pop())
}

/// Broadcasts, the latest first.
pub(super) fn recent(
    conn: &Connection,
    now: i64,
    after: Option<&BroadcastId>,
    limit: NonZeroU16,
) -> Result<Vec<Summary>, SqlError> {
    let before = match after {
        None => i64::MAX,
        Some(after) => known_number(conn, after)?,
    };
    let latest = select!("WHERE number < ?1 ORDER BY number DESC LIMIT ?2");
    summaries(conn, now, latest, [before, i64::from(limit.get())])
}

fn summaries(conn: &Connection, now: i64, sql: &str, given: impl Params) -> Result<Vec<Summary>, SqlError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(given)?;
    let mut summaries = Vec::new();
    while let Some(row) = rows.next()? {
        let Some(course) = Course::read(conn, row.get(0)?)? else { continue };
        let id = broadcast_id(&row.get::<_, String>(1)?)?;
        let audience = audience(row.get(2)?, &row.get::<_, String>(3)?)?;
        let (created, report) = (created(course.created), report(conn, now, &course)?);
        summaries.push(Summary::new(id, audience, created, course.age(now), report));
    }
    Ok(summaries)
}

/// Broadcasts that have not ended, by id.
pub(super) fn unfinished(
    conn: &Connection,
    after: Option<&BroadcastId>,
    limit: NonZeroU16,
) -> Result<Vec<BroadcastId>, SqlError> {
    // Those that run are few, those that ended are many: they are sorted rather than passed over.
    let mut statement = conn.prepare_cached(
        "SELECT id FROM broadcasts INDEXED BY broadcasts_running WHERE ended IS NULL AND id > ?1 \
         ORDER BY id LIMIT ?2",
    )?;
    let after = after.map_or("", BroadcastId::as_str);
    let mut rows = statement.query(params![after, limit.get()])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(broadcast_id(&row.get::<_, String>(0)?)?);
    }
    Ok(ids)
}

fn broadcast_id(text: &str) -> Result<BroadcastId, Damaged> {
    BroadcastId::new(text).map_err(|_| Damaged::new("broadcasts", "id"))
}

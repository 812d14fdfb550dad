//! The sums of ranges and of broadcasts.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::unless_damaged;
use crate::store::journal::tallies::Tallies;
use crate::store::sql::Damaged;
use crate::store::sqlite::error::SqlError;

/// The range that holds the sums of a broadcast's retries.
pub(super) const RETRIES: i64 = 0;

/// What the ranges of a broadcast add up to.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) tallies: Tallies,
    /// Whether a range ended before its end.
    pub(super) timed_out: bool,
}

impl Sums {
    /// Of all ranges.
    pub(super) fn read(conn: &Connection, broadcast: i64) -> Result<Self, SqlError> {
        Self::gather(conn, broadcast, |range, _| range.map(Some))
    }

    /// Of those ranges whose sums can be read: a broadcast must be able to end, or what was sent last
    /// would be sent again.
    pub(super) fn salvage(conn: &Connection, broadcast: i64) -> Result<Self, SqlError> {
        Self::gather(conn, broadcast, |range, number| unless_damaged(range, "ranges", number))
    }

    fn gather(
        conn: &Connection,
        broadcast: i64,
        admit: impl Fn(Result<Tallies, SqlError>, i64) -> Result<Option<Tallies>, SqlError>,
    ) -> Result<Self, SqlError> {
        let mut statement = conn.prepare_cached(
            "SELECT number, tally, takeovers, timed_out <> 0 FROM ranges WHERE broadcast = ?1",
        )?;
        let mut rows = statement.query([broadcast])?;
        let mut sums = Self::default();
        while let Some(row) = rows.next()? {
            if let Some(tallies) = admit(of_range(row), row.get(0)?)? {
                sums.tallies.merge(&tallies);
            }
            sums.timed_out |= row.get::<_, bool>(3)?;
        }
        Ok(sums)
    }
}

fn of_range(row: &Row<'_>) -> Result<Tallies, SqlError> {
    let mut tallies = parse("ranges", row.get_ref(1)?.as_str().ok())?;
    let takeovers: i64 = row.get(2)?;
    tallies.takeovers = u64::try_from(takeovers).map_err(|_| Damaged::new("ranges", "takeovers"))?;
    Ok(tallies)
}

/// Reads a column of sums.
pub(super) fn parse(table: &'static str, tally: Option<&str>) -> Result<Tallies, Damaged> {
    tally.and_then(Tallies::from_json).ok_or(Damaged::new(table, "tally"))
}

/// The sums of a range. `None` where there is no such range, because its broadcast has ended.
pub(super) fn of(conn: &Connection, broadcast: i64, range: i64) -> Result<Option<Tallies>, SqlError> {
    let mut statement =
        conn.prepare_cached("SELECT tally FROM ranges WHERE broadcast = ?1 AND number = ?2")?;
    let tally = statement.query_row([broadcast, range], |row| row.get::<_, String>(0)).optional()?;
    Ok(tally.map(|tally| parse("ranges", Some(&tally))).transpose()?)
}

/// Adds to the sums of a range, if there is one.
pub(super) fn add(
    conn: &Connection,
    broadcast: i64,
    range: i64,
    add: impl FnOnce(&mut Tallies),
) -> Result<(), SqlError> {
    let Some(mut tallies) = of(conn, broadcast, range)? else { return Ok(()) };
    add(&mut tallies);
    conn.prepare_cached("UPDATE ranges SET tally = ?3 WHERE broadcast = ?1 AND number = ?2")?
        .execute(params![broadcast, range, tallies.to_json()])?;
    Ok(())
}

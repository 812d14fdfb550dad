//! Rows of `broadcasts` and what the journal reads in them.

use std::error::Error;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::store::StoreError;
use crate::store::journal::{Control, JournalErrorKind, NewBroadcast};
use crate::store::sql::{BroadcastColumns, Damaged, control};
use crate::store::sqlite::error::{Fault, SqlError};
use crate::{BroadcastId, BroadcastState};

/// `broadcasts.state`.
pub(super) const FINISHED: i64 = 1;
pub(super) const TIMED_OUT: i64 = 2;
pub(super) const ABORTED: i64 = 3;

/// How a broadcast stands.
pub(super) struct Course {
    pub(super) number: i64,
    pub(super) created: i64,
    pub(super) ended: Option<i64>,
    pub(super) state: i64,
    pub(super) paused: bool,
    pub(super) per_minute: Option<i64>,
    /// The sums, once it has ended.
    pub(super) tally: Option<String>,
}

impl Course {
    /// The course of a broadcast that somebody asks for by its id.
    pub(super) fn known(conn: &Connection, id: &BroadcastId) -> Result<Self, SqlError> {
        Self::read(conn, known_number(conn, id)?)?.ok_or(SqlError::journal(JournalErrorKind::Unknown))
    }

    pub(super) fn read(conn: &Connection, number: i64) -> Result<Option<Self>, SqlError> {
        let mut statement = conn.prepare_cached(
            "SELECT created, ended, state, paused, per_minute, tally FROM broadcasts WHERE number = ?1",
        )?;
        let course = statement.query_row([number], |row| {
            Ok(Self {
                number,
                created: row.get(0)?,
                ended: row.get(1)?,
                state: row.get(2)?,
                paused: row.get(3)?,
                per_minute: row.get(4)?,
                tally: row.get(5)?,
            })
        });
        Ok(course.optional()?)
    }

    pub(super) fn state(&self) -> Result<BroadcastState, Damaged> {
        match (self.ended, self.state) {
            (None, 0) => Ok(BroadcastState::Running),
            (Some(_), FINISHED) => Ok(BroadcastState::Finished),
            (Some(_), TIMED_OUT) => Ok(BroadcastState::TimedOut),
            (Some(_), ABORTED) => Ok(BroadcastState::Aborted),
            _ => Err(Damaged::new("broadcasts", "state")),
        }
    }

    /// How fast each of so many leases may go.
    pub(super) fn control(&self, leases: usize) -> Result<Control, Damaged> {
        Ok(control(self.paused, self.per_minute)?.shared_by(leases))
    }

    /// How long ago it began.
    pub(super) fn age(&self, now: i64) -> Duration {
        between(self.created, now)
    }

    /// How long it took, or has taken so far.
    pub(super) fn elapsed(&self, now: i64) -> Duration {
        between(self.created, self.ended.unwrap_or(now))
    }
}

/// The row of a broadcast.
pub(super) fn number_of(conn: &Connection, id: &BroadcastId) -> Result<Option<i64>, SqlError> {
    let mut statement = conn.prepare_cached("SELECT number FROM broadcasts WHERE id = ?1")?;
    Ok(statement.query_row([id.as_str()], |row| row.get(0)).optional()?)
}

/// The row of a broadcast that somebody asks for by its id.
pub(super) fn known_number(conn: &Connection, id: &BroadcastId) -> Result<i64, SqlError> {
    number_of(conn, id)?.ok_or(SqlError::journal(JournalErrorKind::Unknown))
}

/// What was published.
pub(super) fn published(conn: &Connection, number: i64) -> Result<NewBroadcast, SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT id, audience_kind, audience, payload, ttl, urgency, collapse_key, padding_kind, padding, \
         send_within, fallback FROM broadcasts WHERE number = ?1",
    )?;
    let columns = statement.query_row([number], |row| {
        Ok(BroadcastColumns {
            id: row.get(0)?,
            audience_kind: row.get(1)?,
            audience: row.get(2)?,
            payload: row.get(3)?,
            ttl: row.get(4)?,
            urgency: row.get(5)?,
            collapse_key: row.get(6)?,
            padding_kind: row.get(7)?,
            padding: row.get(8)?,
            send_within: row.get(9)?,
            fallback: row.get(10)?,
        })
    })?;
    Ok(columns.broadcast()?)
}

/// What something is, unless its row is damaged: one that cannot be read must not keep others from being
/// sent.
pub(super) fn unless_damaged<T>(
    read: Result<T, SqlError>,
    table: &'static str,
    row: i64,
) -> Result<Option<T>, SqlError> {
    match read {
        Err(error) if is_damage(&error) => {
            let error = StoreError::from(error);
            let cause = error.source().map(tracing::field::display);
            tracing::error!(cause, table, row, "a damaged row is passed over");
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The time from one moment to another, in milliseconds since 1970. A clock that was set back makes it
/// zero.
pub(super) fn between(from: i64, to: i64) -> Duration {
    Duration::from_millis(u64::try_from(to.saturating_sub(from)).unwrap_or_default())
}

/// Whether a row holds what no store wrote.
fn is_damage(error: &SqlError) -> bool {
    match error {
        SqlError::Store(error) => error.source().is_some_and(<dyn Error>::is::<Damaged>),
        // A column of another type. SQLite's own failures have a code.
        SqlError::Fault(Fault::Sqlite { source, .. }) => source.sqlite_error_code().is_none(),
        SqlError::Fault(_) | SqlError::Journal(_) => false,
    }
}

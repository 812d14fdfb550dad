//! Rows of `failures`.

use rusqlite::{Connection, Row, params};

use super::rows::known_number;
use crate::store::journal::{FailedDelivery, FailureId, FailurePage};
use crate::store::sql::{Damaged, label_from_text, outcome_from_text};
use crate::store::sqlite::error::SqlError;
use crate::{BroadcastId, Failure, OutcomeKind, SubscriptionId};

pub(super) fn insert<'a>(
    conn: &Connection,
    broadcast: i64,
    failures: impl IntoIterator<Item = &'a FailedDelivery>,
) -> Result<(), SqlError> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO failures (broadcast, owner, subscription, origin, outcome, detail, attempts) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for FailedDelivery { user, failure } in failures {
        statement.execute(params![
            broadcast,
            user.as_str(),
            failure.subscription.as_bytes(),
            failure.origin.to_string(),
            failure.outcome.as_str(),
            failure.detail,
            failure.attempts,
        ])?;
    }
    Ok(())
}

/// Failures of the broadcast of this id, oldest first.
pub(super) fn of(
    conn: &Connection,
    id: &BroadcastId,
    after: Option<FailureId>,
    limit: usize,
) -> Result<FailurePage, SqlError> {
    page(conn, known_number(conn, id)?, after, limit)
}

/// Failures of a broadcast, oldest first.
pub(super) fn page(
    conn: &Connection,
    broadcast: i64,
    after: Option<FailureId>,
    limit: usize,
) -> Result<FailurePage, SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT number, subscription, origin, outcome, detail, attempts FROM failures \
         WHERE broadcast = ?1 AND number > ?2 ORDER BY number",
    )?;
    let after = after.map_or(0, |after| i64::try_from(after.as_u64()).unwrap_or(i64::MAX));
    let mut rows = statement.query([broadcast, after])?;
    let (mut failures, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        if failures.len() == limit {
            return Ok(FailurePage::new(failures, last));
        }
        last = Some(FailureId::from_u64(row.get::<_, i64>(0)?.unsigned_abs()));
        failures.push(read(row)?);
    }
    Ok(FailurePage::new(failures, None))
}

fn read(row: &Row<'_>) -> Result<Failure, SqlError> {
    let damaged = |column| move || Damaged::new("failures", column);
    let subscription = row.get::<_, Vec<u8>>(1)?.try_into().ok().ok_or_else(damaged("subscription"))?;
    let origin = label_from_text(&row.get::<_, String>(2)?).ok_or_else(damaged("origin"))?;
    // One that a later version added.
    let outcome = outcome_from_text(&row.get::<_, String>(3)?).unwrap_or(OutcomeKind::Unexpected);
    let subscription = SubscriptionId::from_bytes(subscription);
    Ok(Failure::new(subscription, origin, outcome, row.get(4)?, row.get(5)?))
}

//! Retries that are due.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::ask::{execute, get, now, rows};
use super::columns::span;
use crate::store::Entry;
use crate::store::journal::{Due, RetryId, Tried};
use crate::store::postgres::error::PgError;
use crate::store::sql::{Damaged, EntryColumns, label_from_text};
use crate::{SubscriptionId, UserId};

/// The subscription may have been removed, moved to another user, or replaced meanwhile. Before the
/// first attempt the message's lifetime does not run (H-6).
const DUE: &str = concat!(
    "SELECT t.id, t.owner, t.subscription, t.origin, t.attempts, t.failures, t.unconfirmed,
        t.ttl_left - CASE WHEN t.attempts = 0 THEN 0 ELSE greatest(0, moment.now - t.deferred) END,
        s.endpoint, s.p256dh, s.auth, s.key, s.coding, s.payload_limit, s.needs_renewal, s.expires,
        s.created, s.seen, s.version, s.owner, s.number
    FROM webpush_channels.retries t CROSS JOIN (SELECT ",
    now!(),
    " AS now) moment LEFT JOIN (
        webpush_channels.subscriptions s JOIN webpush_channels.users u ON u.number = s.owner
    ) ON s.id = t.subscription AND u.name = t.owner
    WHERE t.lease = $1 ORDER BY t.due, t.id"
);

/// One that cannot be read is looked at again after a day, so that it does not come back at once and
/// for ever.
const SET_ASIDE: &str = concat!(
    "UPDATE webpush_channels.retries SET lease = NULL, due = 86400000 + ",
    now!(),
    " WHERE lease = $1 AND id = ANY ($2::bytea[])"
);

/// The retries of a lease.
pub(super) async fn due(tx: &Transaction<'_>, broadcast: i64, lease: i64) -> Result<Vec<Due>, PgError> {
    let (mut due, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows(tx, DUE, &[&lease]).await? {
        match read(&row) {
            Ok(read) => due.push(read),
            Err(PgError::Damaged(damaged)) => {
                tracing::error!(broadcast, %damaged, "a retry cannot be read: it is set aside for a day");
                unreadable.push(get::<Vec<u8>>(&row, 0)?);
            }
            Err(error) => return Err(error),
        }
    }
    if !unreadable.is_empty() {
        execute(tx, SET_ASIDE, &[&lease, &unreadable]).await?;
    }
    Ok(due)
}

fn read(row: &Row) -> Result<Due, PgError> {
    let damaged = |column| Damaged::new("retries", column);
    let id: &[u8] = get(row, 0)?;
    let subscription: &[u8] = get(row, 2)?;
    let tried =
        |at, column| Ok::<u8, PgError>(u8::try_from(get::<i16>(row, at)?).map_err(|_| damaged(column))?);
    Ok(Due::new(
        RetryId::from_bytes(id.try_into().map_err(|_| damaged("id"))?),
        UserId::new(get::<&str>(row, 1)?).map_err(|_| damaged("owner"))?,
        SubscriptionId::from_bytes(subscription.try_into().map_err(|_| damaged("subscription"))?),
        label_from_text(get(row, 3)?).ok_or(damaged("origin"))?,
        entry(row)?,
        Tried::new(tried(4, "attempts")?, tried(5, "failures")?, get(row, 6)?),
        span(get(row, 7)?),
    ))
}

/// One that cannot be read is as good as removed.
fn entry(row: &Row) -> Result<Option<Entry>, PgError> {
    let Some(endpoint) = get(row, 8)? else { return Ok(None) };
    let columns = EntryColumns {
        user: get(row, 1)?,
        endpoint,
        p256dh: get(row, 9)?,
        auth: get(row, 10)?,
        key: get(row, 11)?,
        coding: get(row, 12)?,
        payload_limit: get(row, 13)?,
        needs_renewal: get(row, 14)?,
        expires: get(row, 15)?,
        created: get(row, 16)?,
        seen: get(row, 17)?,
        version: get(row, 18)?,
    };
    match columns.entry() {
        Ok(entry) => Ok(Some(entry)),
        Err(damaged) => {
            let (owner, number): (i64, i64) = (get(row, 19)?, get(row, 20)?);
            tracing::error!(owner, number, %damaged, "a subscription cannot be read: its retry is given up");
            Ok(None)
        }
    }
}

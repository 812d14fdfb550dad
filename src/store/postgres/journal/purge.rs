//! Forgetting broadcasts that ended.

use std::time::Duration;

use super::ask::{begin, execute, get, now, rows};
use super::columns::term;
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;

/// The most failures that one transaction removes.
const BATCH: i64 = 1000;

const ENDED: &str = concat!(
    "SELECT number FROM webpush_channels.broadcasts WHERE ended <= ",
    now!(),
    " - $1::bigint ORDER BY ended LIMIT 64 FOR UPDATE SKIP LOCKED"
);

const FAILURES: &str = "DELETE FROM webpush_channels.failures WHERE (broadcast, number) IN (
        SELECT broadcast, number FROM webpush_channels.failures WHERE broadcast = ANY ($1::bigint[]) LIMIT $2
    )";

/// Leases of an aborted one may still be there.
const BROADCASTS: &str =
    "WITH leases AS (DELETE FROM webpush_channels.leases WHERE broadcast = ANY ($1::bigint[]))
    DELETE FROM webpush_channels.broadcasts WHERE number = ANY ($1::bigint[])";

/// A part of a purge.
pub(super) struct Purged {
    /// How many broadcasts are gone.
    pub(super) broadcasts: u64,
    /// Whether there may be more.
    pub(super) more: bool,
}

/// Removes some of what ended longer ago than this. Another's purge takes others.
pub(super) async fn purge(db: &Db, older_than: Duration) -> Result<Purged, PgError> {
    let mut client = db.client().await?;
    let tx = begin(&mut client).await?;
    let ended = rows(&tx, ENDED, &[&term(older_than)]).await?;
    let numbers = ended.iter().map(|row| get(row, 0)).collect::<Result<Vec<i64>, _>>()?;
    if numbers.is_empty() {
        return Ok(Purged { broadcasts: 0, more: false });
    }
    let failures = execute(&tx, FAILURES, &[&numbers, &BATCH]).await?;
    let mut purged = Purged { broadcasts: 0, more: true };
    if failures < BATCH.unsigned_abs() {
        purged.broadcasts = execute(&tx, BROADCASTS, &[&numbers]).await?;
    }
    tx.commit().await?;
    Ok(purged)
}

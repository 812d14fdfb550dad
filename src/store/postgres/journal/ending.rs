//! How broadcasts end.

use deadpool_postgres::Transaction;
use futures_util::future::try_join;
use serde_json::Value;
use tokio_postgres::Row;

use super::ask::{Given, begin, execute, get, now, ready, row, rows};
use super::columns::{self, ABORTED, FINISHED, RUNNING, TIMED_OUT};
use super::{refused, report};
use crate::store::journal::tallies::Tallies;
use crate::store::journal::{JournalErrorKind, Totals};
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::sql::{Damaged, counts_from_json, counts_to_json};
use crate::{BroadcastId, ChannelName, Report};

/// All ranges, if the broadcast has neither an open one nor a retry.
const LEFT: &str = "SELECT r.tally, r.takeovers, r.timed_out FROM webpush_channels.ranges r
    WHERE r.broadcast = $1
        AND NOT EXISTS (SELECT FROM webpush_channels.ranges o WHERE o.broadcast = $1 AND NOT o.done)
        AND NOT EXISTS (SELECT FROM webpush_channels.retries t WHERE t.broadcast = $1)";

/// Another's checkpoint may hold its lease and wait for us: it finds the end by itself.
const END_LEASES: &str = "DELETE FROM webpush_channels.leases WHERE number IN (
        SELECT number FROM webpush_channels.leases WHERE broadcast = $1 FOR UPDATE SKIP LOCKED
    )";

/// Finishes a broadcast of which nothing is left, and says whether that was so. The caller holds
/// its range 0: of two who did the last of it at once, the second sees what the first did.
pub(super) async fn finish(tx: &Transaction<'_>, broadcast: i64) -> Result<bool, PgError> {
    let left = rows(tx, LEFT, &[&broadcast]).await?;
    if left.is_empty() {
        return Ok(false);
    }
    let (sums, timed_out) = fold(&left)?;
    let state = if timed_out { TIMED_OUT } else { FINISHED };
    ready(tx, &[END, END_LEASES]).await?;
    let end = end(tx, broadcast, state, &sums);
    let (channel, _) = try_join(end, execute(tx, END_LEASES, &[&broadcast])).await?;
    if let Some(channel) = channel {
        add_to_totals(tx, &channel, &sums).await?;
    }
    Ok(true)
}

/// Finishes those of these broadcasts of which nothing is left. One that cannot be read stays as it
/// is.
pub(in crate::store::postgres) async fn finish_all(
    tx: &Transaction<'_>,
    broadcasts: &[i64],
) -> Result<(), PgError> {
    for broadcast in broadcasts {
        tx.batch_execute("SAVEPOINT webpush_channels_finish").await?;
        match finish(tx, *broadcast).await {
            Ok(_) => tx.batch_execute("RELEASE SAVEPOINT webpush_channels_finish").await?,
            Err(PgError::Damaged(damaged)) => {
                tracing::error!(broadcast, %damaged, "a broadcast cannot be read: it is not finished");
                tx.batch_execute("ROLLBACK TO SAVEPOINT webpush_channels_finish").await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Adds up the ranges of a broadcast. Says whether one was ended before its end.
fn fold(ranges: &[Row]) -> Result<(Tallies, bool), PgError> {
    let (mut sums, mut timed_out) = (Tallies::default(), false);
    for range in ranges {
        sums.merge(&columns::tally("ranges", get(range, 0)?)?);
        sums.takeovers += get::<i64>(range, 1)?.unsigned_abs();
        timed_out |= get::<bool>(range, 2)?;
    }
    Ok((sums, timed_out))
}

const END: &str = concat!(
    "WITH gone AS (DELETE FROM webpush_channels.ranges WHERE broadcast = $1)
    UPDATE webpush_channels.broadcasts SET ended = greatest(created, ",
    now!(),
    "), state = $2, tally = $3 WHERE number = $1
    RETURNING CASE WHEN audience_kind = 0 THEN audience END"
);

/// Returns the channel, where it was to one.
async fn end(
    tx: &Transaction<'_>,
    broadcast: i64,
    state: i16,
    sums: &Tallies,
) -> Result<Option<String>, PgError> {
    let ended = row(tx, END, &[&broadcast, &state, &sums.to_json()]).await?;
    Ok(ended.map(|ended| get(&ended, 0)).transpose()?.flatten())
}

const FIND: &str = "SELECT number, state FROM webpush_channels.broadcasts WHERE id = $1";

const LOCK_ALL: &str = "SELECT tally, takeovers, timed_out FROM webpush_channels.ranges
    WHERE broadcast = $1 ORDER BY number FOR UPDATE";

/// Ends a broadcast before its end. Its leases stay until their term has passed, so that whoever
/// holds one is told.
pub(super) async fn abort(db: &Db, id: &BroadcastId) -> Result<Report, PgError> {
    let mut client = db.client().await?;
    let tx = begin(&mut client).await?;
    let found = row(&tx, FIND, &[&id.as_str()]).await?.ok_or(refused(JournalErrorKind::Unknown))?;
    let broadcast: i64 = get(&found, 0)?;
    if get::<i16>(&found, 1)? == RUNNING {
        // There is none where it ended meanwhile.
        let ranges = rows(&tx, LOCK_ALL, &[&broadcast]).await?;
        if !ranges.is_empty() {
            let (sums, _) = fold(&ranges)?;
            execute(&tx, "DELETE FROM webpush_channels.retries WHERE broadcast = $1", &[&broadcast]).await?;
            end(&tx, broadcast, ABORTED, &sums).await?;
        }
    }
    let report = report::within(&tx, id).await?.ok_or(refused(JournalErrorKind::Unknown))?;
    tx.commit().await?;
    Ok(report)
}

const TOTALS: &str = "SELECT broadcasts, pruned, counts FROM webpush_channels.totals WHERE channel = $1";

/// What all finished broadcasts to a channel add up to.
pub(super) async fn totals(db: &Db, channel: &ChannelName) -> Result<Totals, PgError> {
    let client = db.client().await?;
    let found = row(&client, TOTALS, &[&channel.as_str()]).await?;
    found.map_or_else(|| Ok(Totals::default()), |found| read(&found))
}

fn read(row: &Row) -> Result<Totals, PgError> {
    let damaged = |column| Damaged::new("totals", column);
    let counts = serde_json::from_str::<Value>(get(row, 2)?).ok().as_ref().and_then(counts_from_json);
    Ok(Totals {
        broadcasts: u64::try_from(get::<i64>(row, 0)?).map_err(|_| damaged("broadcasts"))?,
        pruned: u64::try_from(get::<i64>(row, 1)?).map_err(|_| damaged("pruned"))?,
        counts: counts.ok_or(damaged("counts"))?,
    })
}

const NO_TOTALS: &str = "INSERT INTO webpush_channels.totals (channel, broadcasts, pruned, counts)
    VALUES ($1, 0, 0, '{}') ON CONFLICT (channel) DO NOTHING";

const LOCK_TOTALS: &str =
    "SELECT broadcasts, pruned, counts FROM webpush_channels.totals WHERE channel = $1 FOR UPDATE";

const SET_TOTALS: &str =
    "UPDATE webpush_channels.totals SET broadcasts = $2, pruned = $3, counts = $4 WHERE channel = $1";

async fn add_to_totals(tx: &Transaction<'_>, channel: &str, sums: &Tallies) -> Result<(), PgError> {
    ready(tx, &[NO_TOTALS, LOCK_TOTALS]).await?;
    let given: Given<'_> = &[&channel];
    let (_, found) = try_join(execute(tx, NO_TOTALS, given), row(tx, LOCK_TOTALS, given)).await?;
    let mut totals = found.map_or_else(|| Ok(Totals::default()), |found| read(&found))?;
    totals.counts.merge(&sums.counts());
    let column = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let (broadcasts, pruned) =
        (column(totals.broadcasts + 1), column(totals.pruned.saturating_add(sums.pruned)));
    let counts = counts_to_json(&totals.counts).to_string();
    execute(tx, SET_TOTALS, &[&channel, &broadcasts, &pruned, &counts]).await?;
    Ok(())
}

//! What a lease holds, and the locks under it.
//!
//! Locks are taken in one order, so that no two transactions wait for each other: lease, range 0,
//! other ranges by number, retries, users, subscriptions, broadcast, totals. Whoever changes
//! several retries, or may end a broadcast, holds its range 0; only those need not who lock retries
//! without waiting, and who insert new ones.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;

use super::ask::{execute, get, now, row, rows};
use super::columns::{self, ABORTED};
use crate::store::journal::tallies::Tallies;
use crate::store::journal::{Control, LeaseToken};
use crate::store::postgres::error::PgError;

/// What a lease is for. Its number is the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) lease: i64,
    pub(super) broadcast: i64,
    /// [`RETRIES`] for a batch of retries.
    pub(super) range: i64,
}

/// The range that holds the sums of retries.
pub(super) const RETRIES: i64 = 0;

impl Held {
    pub(super) fn token(self, tag: [u8; 8]) -> LeaseToken {
        LeaseToken::encode(tag, [self.lease, self.broadcast, self.range].map(i64::cast_unsigned))
    }

    pub(super) fn of(token: &LeaseToken, tag: [u8; 8]) -> Result<Self, PgError> {
        let [lease, broadcast, range] = token.decode(tag)?.map(u64::cast_signed);
        Ok(Self { lease, broadcast, range })
    }
}

/// How a broadcast stands under a lease that is one's own.
#[derive(Debug)]
pub(super) struct Standing {
    /// The number of the last checkpoint.
    pub(super) checkpoint: i64,
    pub(super) aborted: bool,
    /// This lease's share.
    pub(super) control: Control,
}

/// Who shares a rate is counted only where there is one.
pub(super) const FENCE: &str = concat!(
    "SELECT l.checkpoint, b.state, b.paused, b.per_minute, CASE WHEN b.per_minute IS NULL THEN 1 ELSE (
        SELECT count(*) FROM webpush_channels.leases o WHERE o.broadcast = l.broadcast AND o.until > ",
    now!(),
    ") END
    FROM webpush_channels.leases l JOIN webpush_channels.broadcasts b ON b.number = l.broadcast
    WHERE l.number = $1 AND l.until > ",
    now!(),
    " FOR UPDATE OF l"
);

/// Locks the lease, if its term has not passed.
pub(super) async fn fence(tx: &Transaction<'_>, held: Held) -> Result<Option<Standing>, PgError> {
    let Some(row) = row(tx, FENCE, &[&held.lease]).await? else { return Ok(None) };
    let control = columns::share(get(&row, 2)?, get(&row, 3)?, get(&row, 4)?)?;
    let aborted = get::<i16>(&row, 1)? == ABORTED;
    Ok(Some(Standing { checkpoint: get(&row, 0)?, aborted, control }))
}

/// Without an array, for which the server would plan it anew each time.
pub(super) const LOCK: &str = "SELECT number, tally FROM webpush_channels.ranges
    WHERE broadcast = $1 AND number IN ($2, $3) ORDER BY number FOR UPDATE";

/// Locks two ranges of a broadcast, which may be the same, the lower before the other, and reads
/// their sums. Those of a broadcast that has ended are not there.
pub(super) async fn lock(
    tx: &Transaction<'_>,
    broadcast: i64,
    [one, other]: [i64; 2],
) -> Result<BTreeMap<i64, Tallies>, PgError> {
    let mut sums = BTreeMap::new();
    for row in rows(tx, LOCK, &[&broadcast, &one, &other]).await? {
        sums.insert(get(&row, 0)?, columns::tally("ranges", get(&row, 1)?)?);
    }
    Ok(sums)
}

pub(super) const WRITE: &str =
    "UPDATE webpush_channels.ranges SET tally = $3 WHERE broadcast = $1 AND number = $2";

/// Writes the sums of a range that is locked.
pub(super) async fn write(
    tx: &Transaction<'_>,
    broadcast: i64,
    range: i64,
    sums: &Tallies,
) -> Result<(), PgError> {
    execute(tx, WRITE, &[&broadcast, &range, &sums.to_json()]).await?;
    Ok(())
}

pub(super) const END: &str = "DELETE FROM webpush_channels.leases WHERE number = $1";

/// Ends a lease that is locked.
pub(super) async fn end(tx: &Transaction<'_>, held: Held) -> Result<(), PgError> {
    execute(tx, END, &[&held.lease]).await?;
    Ok(())
}

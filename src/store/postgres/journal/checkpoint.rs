//! Storing what was done under a lease.

use std::collections::{BTreeMap, HashSet};

use deadpool_postgres::Transaction;
use futures_util::future::{try_join, try_join3, try_join4};

use super::ask::{Given, begin, execute, get, now, ready, row};
use super::columns::{ABORTED, term};
use super::held::{self, Held, RETRIES, Standing};
use super::{ending, failures, refused, retries};
use crate::SubscriptionId;
use crate::store::journal::tallies::Tallies;
use crate::store::journal::{Checkpoint, FailedDelivery, JournalErrorKind, LeaseToken, SettledRetry, State};
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::postgres::write;
use crate::store::{Change, Position};

/// Stores a checkpoint under a lease, and says how the broadcast stands then.
pub(super) async fn checkpoint(db: &Db, token: &LeaseToken, given: &Checkpoint) -> Result<State, PgError> {
    let held = Held::of(token, db.tag())?;
    let mut client = db.client().await?;
    let tx = begin(&mut client).await?;
    let state = fenced(&tx, held, given).await?;
    tx.commit().await?;
    state.ok_or(refused(JournalErrorKind::LeaseLost))
}

/// `None` when the lease is lost.
async fn fenced(tx: &Transaction<'_>, held: Held, given: &Checkpoint) -> Result<Option<State>, PgError> {
    let both = given.done || !given.settled.is_empty();
    let ranges = [if both { RETRIES } else { held.range }, held.range];
    ready(tx, &[held::FENCE, held::LOCK]).await?;
    let (standing, sums) = try_join(held::fence(tx, held), held::lock(tx, held.broadcast, ranges)).await?;
    let Some(standing) = standing else { return Ok(None) };
    if standing.aborted {
        return Ok(Some(State::Aborted));
    }
    if !sums.contains_key(&held.range) {
        return ended(tx, held).await;
    }
    if number(given) <= standing.checkpoint {
        renew(tx, held, given).await?;
        return Ok(Some(State::Running(standing.control)));
    }
    store(tx, held, given, &standing, sums).await.map(Some)
}

/// The broadcast ended while its ranges were waited for.
async fn ended(tx: &Transaction<'_>, held: Held) -> Result<Option<State>, PgError> {
    let sql = "SELECT state FROM webpush_channels.broadcasts WHERE number = $1";
    let state = row(tx, sql, &[&held.broadcast]).await?;
    if state.map(|row| get::<i16>(&row, 0)).transpose()? == Some(ABORTED) {
        return Ok(Some(State::Aborted));
    }
    held::end(tx, held).await?;
    Ok(None)
}

async fn store(
    tx: &Transaction<'_>,
    held: Held,
    given: &Checkpoint,
    standing: &Standing,
    mut sums: BTreeMap<i64, Tallies>,
) -> Result<State, PgError> {
    // In this order: an answer may come before its deferral was stored, and users are locked after
    // retries.
    retries::ready(tx, held).await?;
    write::ready(tx).await?;
    let settled = retries::settle(tx, held.broadcast, &given.settled);
    let ((), known, pruned) =
        try_join3(retries::defer(tx, held, &given.deferred), settled, apply(tx, given)).await?;
    add(&mut sums, held, given, pruned, &known);
    let failed: Vec<&FailedDelivery> =
        given.failures.iter().chain(known.iter().filter_map(|retry| retry.failure.as_ref())).collect();
    ready(tx, &[held::WRITE, ADVANCE, failures::INSERT, RENEW, held::END]).await?;
    try_join4(
        write_retries(tx, held, &sums),
        advance(tx, held, given, &sums),
        failures::insert(tx, held.broadcast, &failed),
        end_or_renew(tx, held, given),
    )
    .await?;
    let may_finish = given.done || !known.is_empty();
    if may_finish && ending::finish(tx, held.broadcast).await? {
        return Ok(State::Finished);
    }
    Ok(State::Running(standing.control))
}

/// Says how many entries were removed: a change that was decided on a former version does nothing.
async fn apply(tx: &Transaction<'_>, given: &Checkpoint) -> Result<u64, PgError> {
    let applied = write::apply(tx, &given.changes).await?;
    let removed: HashSet<SubscriptionId> = (given.changes.iter().zip(applied))
        .filter(|((_, change), applied)| *applied && *change == Change::Remove)
        .map(|((entry, _), _)| entry.id)
        .collect();
    Ok(removed.len() as u64)
}

fn add(
    sums: &mut BTreeMap<i64, Tallies>,
    held: Held,
    given: &Checkpoint,
    pruned: u64,
    known: &[&SettledRetry],
) {
    let of_range = sums.entry(held.range).or_default();
    of_range.add(given);
    of_range.pruned += pruned;
    if let Some(of_retries) = sums.get_mut(&RETRIES) {
        for retry in known {
            of_retries.settled(retry);
        }
    }
}

async fn write_retries(
    tx: &Transaction<'_>,
    held: Held,
    sums: &BTreeMap<i64, Tallies>,
) -> Result<(), PgError> {
    match sums.get(&RETRIES) {
        Some(sums) => held::write(tx, held.broadcast, RETRIES, sums).await,
        None => Ok(()),
    }
}

const ADVANCE: &str =
    "UPDATE webpush_channels.ranges SET position = coalesce($3, position), done = done OR $4,
        timed_out = timed_out OR $5, lease = CASE WHEN $6 THEN NULL ELSE lease END, tally = $7
    WHERE broadcast = $1 AND number = $2";

/// Moves a range's position on, and writes its sums.
async fn advance(
    tx: &Transaction<'_>,
    held: Held,
    given: &Checkpoint,
    sums: &BTreeMap<i64, Tallies>,
) -> Result<(), PgError> {
    let Some(sums) = sums.get(&held.range).filter(|_| held.range != RETRIES) else { return Ok(()) };
    let position = given.position.as_ref().map(Position::as_bytes);
    let timed_out = given.done && given.timed_out;
    let (ends, tally) = (given.ends_lease(), sums.to_json());
    let of_range: Given<'_> =
        &[&held.broadcast, &held.range, &position, &given.done, &timed_out, &ends, &tally];
    execute(tx, ADVANCE, of_range).await?;
    Ok(())
}

async fn end_or_renew(tx: &Transaction<'_>, held: Held, given: &Checkpoint) -> Result<(), PgError> {
    if !given.ends_lease() {
        return renew(tx, held, given).await;
    }
    if held.range == RETRIES {
        retries::free(tx, held.lease).await?;
    }
    held::end(tx, held).await
}

const RENEW: &str = concat!(
    "UPDATE webpush_channels.leases SET until = $2::bigint + ",
    now!(),
    ", checkpoint = greatest(checkpoint, $3) WHERE number = $1"
);

async fn renew(tx: &Transaction<'_>, held: Held, given: &Checkpoint) -> Result<(), PgError> {
    execute(tx, RENEW, &[&held.lease, &term(given.extend), &number(given)]).await?;
    Ok(())
}

fn number(given: &Checkpoint) -> i64 {
    i64::try_from(given.number).unwrap_or(i64::MAX)
}

//! Deferred attempts.

use std::collections::{BTreeMap, HashSet};

use deadpool_postgres::Transaction;

use super::ask::{self, execute, get, now, rows};
use super::columns::term;
use super::held::{Held, RETRIES};
use crate::store::journal::{Deferred, RetryId, SettledRetry};
use crate::store::postgres::error::PgError;

macro_rules! given {
    () => {
        "unnest($2::bytea[], $3::text[], $4::bytea[], $5::text[], $6::smallint[], $7::smallint[],
            $8::boolean[], $9::bigint[], $10::bigint[])
            AS given (id, owner, subscription, origin, attempts, failures, unconfirmed, delay, ttl_left)"
    };
}

/// In steps of a quarter of a second, as in every database of ours: what was deferred by whomever comes
/// back as a batch. What does not wait is due at once.
macro_rules! due {
    () => {
        "CASE WHEN given.delay = 0 THEN moment.now ELSE (moment.now + given.delay + 249) / 250 * 250 END"
    };
}

/// One that another lease has stays with it.
const DEFER: &str = concat!(
    "INSERT INTO webpush_channels.retries AS known (broadcast, id, owner, subscription, origin, attempts,
        failures, unconfirmed, due, ttl_left, deferred)
    SELECT $1, given.id, given.owner, given.subscription, given.origin, given.attempts, given.failures,
        given.unconfirmed, ",
    due!(),
    ", given.ttl_left, moment.now
    FROM ",
    given!(),
    ", (SELECT ",
    now!(),
    " AS now) moment ORDER BY given.id
    ON CONFLICT (broadcast, id) DO UPDATE SET owner = excluded.owner, subscription = excluded.subscription,
        origin = excluded.origin, attempts = excluded.attempts, failures = excluded.failures,
        unconfirmed = excluded.unconfirmed, due = excluded.due, ttl_left = excluded.ttl_left,
        deferred = excluded.deferred, lease = nullif(known.lease, $11::bigint)"
);

/// What is unknown in a batch was settled by a late answer meanwhile, or forgotten: it must not be
/// tried and counted again.
const PUT_OFF: &str = concat!(
    "UPDATE webpush_channels.retries known SET owner = given.owner, subscription = given.subscription,
        origin = given.origin, attempts = given.attempts, failures = given.failures,
        unconfirmed = given.unconfirmed, due = ",
    due!(),
    ", ttl_left = given.ttl_left,
        deferred = moment.now, lease = nullif(known.lease, $11::bigint)
    FROM ",
    given!(),
    ", (SELECT ",
    now!(),
    " AS now) moment
    WHERE known.broadcast = $1 AND known.id = given.id"
);

/// So that [`defer`] comes before [`settle`] where both are sent at once.
pub(super) async fn ready(tx: &Transaction<'_>, held: Held) -> Result<(), PgError> {
    ask::ready(tx, &[how(held), SETTLE]).await
}

const fn how(held: Held) -> &'static str {
    if held.range == RETRIES { PUT_OFF } else { DEFER }
}

/// Stores deferred attempts, or puts known ones off.
pub(super) async fn defer(tx: &Transaction<'_>, held: Held, deferred: &[Deferred]) -> Result<(), PgError> {
    if deferred.is_empty() {
        return Ok(());
    }
    // A statement changes a row once: of several deferrals the last counts.
    let unique: BTreeMap<RetryId, &Deferred> = deferred.iter().map(|each| (each.retry, each)).collect();
    let of = || unique.values();
    let ids: Vec<&[u8]> = unique.keys().map(|id| id.as_bytes().as_slice()).collect();
    let owners: Vec<&str> = of().map(|each| each.user.as_str()).collect();
    let subscriptions: Vec<&[u8]> = of().map(|each| each.entry.id.as_bytes().as_slice()).collect();
    let origins: Vec<String> = of().map(|each| each.origin.to_string()).collect();
    let attempts: Vec<i16> = of().map(|each| each.tried.attempts.into()).collect();
    let failures: Vec<i16> = of().map(|each| each.tried.failures.into()).collect();
    let unconfirmed: Vec<bool> = of().map(|each| each.tried.unconfirmed).collect();
    let delays: Vec<i64> = of().map(|each| term(each.after)).collect();
    let left: Vec<i64> = of().map(|each| term(each.ttl_left)).collect();
    execute(
        tx,
        how(held),
        &[
            &held.broadcast,
            &ids,
            &owners,
            &subscriptions,
            &origins,
            &attempts,
            &failures,
            &unconfirmed,
            &delays,
            &left,
            &held.lease,
        ],
    )
    .await?;
    Ok(())
}

const SETTLE: &str =
    "DELETE FROM webpush_channels.retries WHERE broadcast = $1 AND id = ANY ($2::bytea[]) RETURNING id";

/// Removes retries that have their outcome. Returns those that were known: another worker may have
/// settled the others.
pub(super) async fn settle<'a>(
    tx: &Transaction<'_>,
    broadcast: i64,
    settled: &'a [SettledRetry],
) -> Result<Vec<&'a SettledRetry>, PgError> {
    if settled.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&[u8]> = settled.iter().map(|each| each.retry.as_bytes().as_slice()).collect();
    let mut gone = HashSet::new();
    for row in rows(tx, SETTLE, &[&broadcast, &ids]).await? {
        gone.insert(get::<&[u8]>(&row, 0)?.to_vec());
    }
    Ok(settled.iter().filter(|each| gone.remove(each.retry.as_bytes().as_slice())).collect())
}

/// Frees what a lease still has.
pub(super) async fn free(tx: &Transaction<'_>, lease: i64) -> Result<(), PgError> {
    execute(tx, "UPDATE webpush_channels.retries SET lease = NULL WHERE lease = $1", &[&lease]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::STEP;

    #[test]
    fn retries_come_back_at_the_steps_of_every_store() {
        let rounded = format!("+ given.delay + {}) / {STEP} * {STEP}", STEP - 1);
        assert!(DEFER.contains(&rounded) && PUT_OFF.contains(&rounded), "{rounded}");
    }
}

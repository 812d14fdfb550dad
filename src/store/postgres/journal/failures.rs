//! Deliveries that failed.

use std::num::NonZeroU16;

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;

use super::ask::{execute, get, row, rows};
use crate::report::MAX_FAILURES;
use crate::store::journal::{FailedDelivery, FailureId, FailurePage, JournalErrorKind};
use crate::store::postgres::db::Db;
use crate::store::postgres::error::PgError;
use crate::store::sql::{Damaged, label_from_text, outcome_from_text};
use crate::{BroadcastId, Failure, OutcomeKind, SubscriptionId};

pub(super) const INSERT: &str = "INSERT INTO webpush_channels.failures
        (broadcast, owner, subscription, origin, outcome, detail, attempts)
    SELECT $1, given.owner, given.subscription, given.origin, given.outcome, given.detail, given.attempts
    FROM unnest($2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::smallint[]) WITH ORDINALITY
        AS given (owner, subscription, origin, outcome, detail, attempts, place)
    ORDER BY given.place";

/// Adds failures, in order.
pub(super) async fn insert(
    tx: &Transaction<'_>,
    broadcast: i64,
    failures: &[&FailedDelivery],
) -> Result<(), PgError> {
    if failures.is_empty() {
        return Ok(());
    }
    let of = || failures.iter().map(|failed| &failed.failure);
    let owners: Vec<&str> = failures.iter().map(|failed| failed.user.as_str()).collect();
    let subscriptions: Vec<&[u8]> = of().map(|failure| failure.subscription.as_bytes().as_slice()).collect();
    let origins: Vec<String> = of().map(|failure| failure.origin.to_string()).collect();
    let outcomes: Vec<&str> = of().map(|failure| failure.outcome.as_str()).collect();
    // The one character that a text column does not take.
    let details: Vec<_> =
        of().map(|failure| failure.detail.as_ref().map(|text| text.replace('\0', " "))).collect();
    let attempts: Vec<i16> = of().map(|failure| failure.attempts.into()).collect();
    execute(tx, INSERT, &[&broadcast, &owners, &subscriptions, &origins, &outcomes, &details, &attempts])
        .await?;
    Ok(())
}

const PAGE: &str =
    "SELECT subscription, origin, outcome, detail, attempts, number FROM webpush_channels.failures
    WHERE broadcast = $1 AND number > $2 ORDER BY number LIMIT $3";

/// Failures of a broadcast, oldest first.
pub(super) async fn page(
    db: &Db,
    id: &BroadcastId,
    after: Option<FailureId>,
    limit: NonZeroU16,
) -> Result<FailurePage, PgError> {
    let client = db.client().await?;
    let number = "SELECT number FROM webpush_channels.broadcasts WHERE id = $1";
    let number: i64 = get(
        &row(&client, number, &[&id.as_str()]).await?.ok_or(super::refused(JournalErrorKind::Unknown))?,
        0,
    )?;
    let after = after.map_or(0, |after| i64::try_from(after.as_u64()).unwrap_or(i64::MAX));
    let limit = usize::from(limit.get());
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX) + 1;
    let mut found = rows(&client, PAGE, &[&number, &after, &one_more]).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| more).map(|row| get::<i64>(row, 5)).transpose()?;
    let failures = found.iter().map(read).collect::<Result<_, _>>()?;
    Ok(FailurePage::new(failures, last.map(|number| FailureId::from_u64(number.unsigned_abs()))))
}

const FIRST: &str = "SELECT f.subscription, f.origin, f.outcome, f.detail, f.attempts, f.broadcast
    FROM unnest($1::bigint[]) AS given (broadcast) CROSS JOIN LATERAL (
        SELECT * FROM webpush_channels.failures of
        WHERE of.broadcast = given.broadcast ORDER BY of.number LIMIT $2
    ) f
    ORDER BY f.number";

/// The first failures of each of these broadcasts, with its number.
pub(super) async fn first(
    on: &impl GenericClient,
    broadcasts: &[i64],
) -> Result<Vec<(i64, Failure)>, PgError> {
    let limit = i64::try_from(MAX_FAILURES).unwrap_or(i64::MAX);
    let found = rows(on, FIRST, &[&broadcasts, &limit]).await?;
    found.iter().map(|row| Ok((get(row, 5)?, read(row)?))).collect()
}

fn read(row: &Row) -> Result<Failure, PgError> {
    let damaged = |column| Damaged::new("failures", column);
    let subscription: &[u8] = get(row, 0)?;
    let subscription =
        SubscriptionId::from_bytes(subscription.try_into().map_err(|_| damaged("subscription"))?);
    let origin = label_from_text(get(row, 1)?).ok_or(damaged("origin"))?;
    // One that a later version added.
    let outcome = outcome_from_text(get(row, 2)?).unwrap_or(OutcomeKind::Unexpected);
    let attempts = u8::try_from(get::<i16>(row, 4)?).map_err(|_| damaged("attempts"))?;
    Ok(Failure::new(subscription, origin, outcome, get(row, 3)?, attempts))
}
